#include "tools/bus/bench_program.h"

#include <assert.h>
#include <stdarg.h>

#define VGA_BYTES ((size_t)800 * 600 * 3)
#define FHD_BYTES ((size_t)1920 * 1080 * 3)

/* As skylane's own threads have them: camera 70, detection 75. */
#define WRITER_FIFO 70
#define READER_FIFO 75

/* Frames a second for sleeping readers: far enough apart that both sides
 * sleep deeply in between, near enough that it does not take all day. */
#define SLEEP_FPS   200.0
#define PUBLISH_FPS 30.0

#define MANY_S 5 /* seconds with hundreds of readers */

static uint32_t scaled(const struct bench_plan *plan, uint32_t number)
{
    return plan->quick && number >= 10 ? number / 10 : number;
}

static struct bench_setup *add(struct bench_plan *plan, enum bench_section section,
                               const struct bench_transport *transport, uint32_t frames)
{
    assert(plan->count < BENCH_CASES_MAX);
    struct bench_case *c = &plan->cases[plan->count++];
    *c = (struct bench_case){.section = section,
                             .transport = transport,
                             .setup = {.frame_bytes = VGA_BYTES,
                                       .slots = 4,
                                       .readers = 1,
                                       .frames = scaled(plan, frames),
                                       .warmup = scaled(plan, frames / 10),
                                       .writer_core = -1,
                                       .reader_core = -1}};
    return &c->setup;
}

/* One writer and one reader, each on a core of its own. */
static struct bench_setup *add_pair(struct bench_plan *plan, enum bench_section section,
                                    const struct bench_transport *transport, uint32_t frames)
{
    struct bench_setup *s = add(plan, section, transport, frames);
    s->writer_core = plan->cores[0];
    s->reader_core = plan->cores[1];
    return s;
}

/* Names the case that was added last. */
__attribute__((format(printf, 2, 3))) static void name(struct bench_plan *plan, const char *format,
                                                       ...)
{
    struct bench_case *c = &plan->cases[plan->count - 1];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(c->name, sizeof c->name, format, arguments);
    va_end(arguments);
}

struct size {
    const char *name;
    size_t bytes;
};

static const struct size SIZES[] = {{"800x600", VGA_BYTES}, {"1920x1080", FHD_BYTES}};

/* Unpaced, first without drawing, which is the bare hand-over. */
static void add_handover(struct bench_plan *plan, const struct bench_transport *transport,
                         const struct size *size, bool fill, uint32_t frames, bool copied)
{
    struct bench_setup *s = add_pair(plan, BENCH_HANDOVER, transport, frames);
    s->frame_bytes = size->bytes;
    s->polling = !copied;
    s->fill = fill;
    name(plan, fill ? "%s drawn" : "%s", size->name);
}

/* As a camera would: a frame is drawn, then published, then all sleep but the
 * polling reader. */
static void add_paced(struct bench_plan *plan, const struct bench_transport *transport,
                      const struct size *size, bool copied)
{
    struct bench_setup *s = add_pair(plan, BENCH_PACED, transport, 240);
    s->frame_bytes = size->bytes;
    s->polling = !copied;
    s->fill = true;
    s->fps = 60;
    name(plan, "%s drawn, 60 fps", size->name);
}

void bench_plan_handover(struct bench_plan *plan, const struct bench_transport *transport)
{
    for (size_t i = 0; i < 2; i++) {
        add_handover(plan, transport, &SIZES[i], false, 20000, false);
        add_handover(plan, transport, &SIZES[i], true, 1000, false);
    }
    for (size_t i = 0; i < 2; i++)
        add_paced(plan, transport, &SIZES[i], false);
}

void bench_plan_copied(struct bench_plan *plan, const struct bench_transport *transport)
{
    for (size_t i = 0; i < 2; i++)
        add_handover(plan, transport, &SIZES[i], true, 300, true);
    for (size_t i = 0; i < 2; i++)
        add_paced(plan, transport, &SIZES[i], true);
}

void bench_plan_line(struct bench_plan *plan, const struct bench_transport *transport)
{
    struct bench_setup *s = add_pair(plan, BENCH_HANDOVER, transport, 20000);
    s->polling = true;
    name(plan, "number and time");

    s = add_pair(plan, BENCH_PACED, transport, 240);
    s->polling = true;
    s->fps = 60;
    name(plan, "number and time, 60 fps");
}

void bench_plan_sleep(struct bench_plan *plan, const struct bench_transport *transport)
{
    struct bench_setup *s = add_pair(plan, BENCH_SLEEP, transport, 400);
    s->fps = SLEEP_FPS;
    name(plan, "ordinary reader");
}

void bench_plan_sleep_realtime(struct bench_plan *plan, const struct bench_transport *transport)
{
    struct bench_setup *s = add_pair(plan, BENCH_SLEEP, transport, 400);
    s->fps = SLEEP_FPS;
    s->realtime = true;
    s->writer_fifo = WRITER_FIFO;
    s->reader_fifo = READER_FIFO;
    name(plan, "real-time reader");
}

void bench_plan_publish_awake(struct bench_plan *plan, const struct bench_transport *transport)
{
    struct bench_setup *s = add(plan, BENCH_PUBLISH, transport, 20000);
    s->readers = 0;
    s->writer_core = plan->cores[0];
    name(plan, "no reader");

    s = add_pair(plan, BENCH_PUBLISH, transport, 20000);
    s->polling = true;
    name(plan, "1 polling");

    s = add_pair(plan, BENCH_PUBLISH, transport, 120);
    s->polling = true;
    s->fps = 60;
    name(plan, "1 polling, 60 fps");
}

void bench_plan_publish(struct bench_plan *plan, const struct bench_transport *transport,
                        uint32_t readers)
{
    struct bench_setup *s = add(plan, BENCH_PUBLISH, transport, 150);
    s->readers = scaled(plan, readers);
    s->fps = PUBLISH_FPS;
    s->all_asleep = true;
    s->writer_core = plan->cores[0];
    s->writer_fifo = WRITER_FIFO;
    name(plan, "%u asleep", s->readers);
}

static struct bench_setup *add_many(struct bench_plan *plan,
                                    const struct bench_transport *transport, uint32_t readers,
                                    uint32_t frames)
{
    struct bench_setup *s = add(plan, BENCH_MANY, transport, frames);
    s->readers = scaled(plan, readers);
    s->frame_bytes = FHD_BYTES;
    s->ordered = true;
    s->check = true;
    s->time_access = true;
    return s;
}

void bench_plan_many(struct bench_plan *plan, const struct bench_transport *transport,
                     uint32_t readers, double fps)
{
    struct bench_setup *s = add_many(plan, transport, readers, (uint32_t)(fps * MANY_S));
    s->fps = fps;
    s->weigh = true;
    s->writer_fifo = WRITER_FIFO;
    name(plan, "%u readers, %.0f fps", s->readers, fps);
}

void bench_plan_many_unpaced(struct bench_plan *plan, const struct bench_transport *transport,
                             uint32_t readers)
{
    struct bench_setup *s = add_many(plan, transport, readers, 1000);
    name(plan, "%u readers, unpaced", s->readers);
}

void bench_plan_many_floor(struct bench_plan *plan, const struct bench_transport *transport,
                           double fps)
{
    struct bench_setup *s = add_many(plan, transport, 0, (uint32_t)(fps * MANY_S));
    s->fps = fps;
    s->writer_fifo = WRITER_FIFO;
    name(plan, "the loop alone, %.0f fps", fps);
}
