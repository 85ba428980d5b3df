#include "app/drive/detect_source.h"

void sl_source_init(struct sl_source *source, uint64_t timeout_ns)
{
    *source = (struct sl_source){.timeout_ns = timeout_ns, .calm_ns = SL_SOURCE_CALM_NS};
}

void sl_source_frame(struct sl_source *source, uint64_t published_ns)
{
    if (published_ns <= source->frame_ns)
        return;
    source->frame_ns = published_ns;
    /* It may be seen here only after its answer. */
    if (source->waiting_ns == 0 && published_ns > source->answered_ns)
        source->waiting_ns = published_ns;
}

uint64_t sl_source_deadline_ns(const struct sl_source *source)
{
    const bool counts_on_it = source->remote || source->calm_answers > 0;
    return source->waiting_ns != 0 && counts_on_it ? source->waiting_ns + source->timeout_ns
                                                   : UINT64_MAX;
}

static void drop_out(struct sl_source *source, uint64_t now_ns)
{
    source->calm_since_ns = 0;
    source->calm_answers = 0;
    if (!source->remote)
        return;
    source->remote = false;
    const uint64_t doubled_ns = 2 * source->calm_ns;
    if (now_ns - source->remote_since_ns >= SL_SOURCE_LASTING_NS)
        source->calm_ns = SL_SOURCE_CALM_NS;
    else
        source->calm_ns = doubled_ns < SL_SOURCE_CALM_MAX_NS ? doubled_ns : SL_SOURCE_CALM_MAX_NS;
}

void sl_source_answer(struct sl_source *source, uint64_t now_ns, uint64_t published_ns)
{
    if (now_ns >= sl_source_deadline_ns(source))
        drop_out(source, now_ns); /* it comes after all, but there was a gap */
    /* A frame that came meanwhile is asked for from now on. */
    source->waiting_ns = source->frame_ns > published_ns ? now_ns : 0;
    source->answered_ns = published_ns;
    if (source->calm_answers == 0)
        source->calm_since_ns = now_ns;
    if (source->calm_answers < SL_SOURCE_CALM_ANSWERS)
        source->calm_answers++;
    if (!source->remote && source->calm_answers >= SL_SOURCE_CALM_ANSWERS &&
        now_ns - source->calm_since_ns >= source->calm_ns) {
        source->remote = true;
        source->remote_since_ns = now_ns;
    }
}

bool sl_source_step(struct sl_source *source, uint64_t now_ns)
{
    if (now_ns >= sl_source_deadline_ns(source))
        drop_out(source, now_ns);
    return source->remote;
}
