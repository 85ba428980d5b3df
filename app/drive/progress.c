#include "app/drive/progress.h"

enum sl_progress_news sl_progress_look(struct sl_progress *p, uint64_t rounds, bool ended,
                                       uint64_t now_ns)
{
    const bool was_stalled = p->stalled;
    if (ended || rounds != p->rounds || p->since_ns == 0) {
        p->rounds = rounds;
        p->since_ns = now_ns;
        p->stalled = false;
    } else if (now_ns > p->since_ns && now_ns - p->since_ns > p->allowance_ns) {
        p->stalled = true;
    }
    if (p->stalled == was_stalled)
        return SL_PROGRESS_SAME;
    return p->stalled ? SL_PROGRESS_STALLED : SL_PROGRESS_BACK;
}
