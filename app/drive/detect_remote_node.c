/* The detect thread of a vehicle that asks a detection server. It is the one writer
 * of bus.detection, and a real-time thread: what the bridge (remote.h) puts on its
 * bus is taken without waiting for it, and passed on while detect_source.h says
 * that the server is there. The built-in detector looks at every frame all the
 * while, so that it is as good from its first frame as from its thousandth, and
 * needs no page that was not touched before. */
#include "app/config/convert.h"
#include "app/drive/detect_source.h"
#include "app/drive/nodes.h"
#include "rt/clock.h"

#define WAIT_NS (20 * SL_NS_PER_MS)

struct chooser {
    struct sl_drive *drive;
    struct sl_source source;
    uint64_t attached;
    uint64_t published_ns; /* when the frame was published whose lane was, last */
    struct sl_look look;   /* of the built-in detector, at the newest frame */
};

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static void publish(struct chooser *c, const struct sl_detection *lane)
{
    sl_bus_write(c->drive->detect.writer, lane, sizeof *lane, lane->exposed_ns);
    c->published_ns = lane->received_ns;
}

static void take_answer(struct chooser *c)
{
    struct sl_detection lane;
    if (sl_bus_read_newest(c->drive->detect.answers, &lane, sizeof lane, NULL) != 0)
        return;
    sl_source_answer(&c->source, sl_clock_now_ns(), lane.received_ns);
    const bool alone = c->drive->detect.detector == NULL;
    /* After a change the built-in detector's lane may be of a newer frame. */
    if ((alone || c->source.remote) && lane.received_ns > c->published_ns)
        publish(c, &lane);
}

/* What was published of earlier frames is void once the vehicle was put elsewhere,
 * and so is what the server still answers about them. */
static void note_reset(struct chooser *c)
{
    if (atomic_load_explicit(&c->drive->detect.reset, memory_order_relaxed))
        c->published_ns = sl_clock_now_ns();
}

static int take_frame(struct chooser *c)
{
    struct sl_look look;
    note_reset(c);
    const int rc = sl_detect_node_look(c->drive, &c->attached, &look);
    if (rc != 0)
        return rc;
    sl_source_frame(&c->source, look.published_ns);
    c->look = look;
    return 0;
}

static void decide(struct chooser *c)
{
    struct sl_detect_node *node = &c->drive->detect;
    const bool remote = sl_source_step(&c->source, sl_clock_now_ns());
    if (atomic_load_explicit(&node->remote_drives, memory_order_relaxed) != remote) {
        atomic_store_explicit(&node->remote_drives, remote, memory_order_relaxed);
        if (!remote)
            atomic_fetch_add_explicit(&node->takeovers, 1, memory_order_relaxed);
    }
    if (remote || !c->look.usable || c->look.lane.received_ns <= c->published_ns)
        return;
    publish(c, &c->look.lane);
    atomic_fetch_add_explicit(&node->builtin_frames, 1, memory_order_relaxed);
}

/* Until there is something to do: for an answer while the server's lanes are driven
 * by, and no longer than until it drops out; else for a frame. */
static void wait(struct chooser *c)
{
    struct sl_detect_node *node = &c->drive->detect;
    const uint64_t now = sl_clock_now_ns();
    if (!c->source.remote && node->detector != NULL) {
        sl_bus_wait(node->reader, now + WAIT_NS);
        return;
    }
    /* A frame that comes meanwhile is seen in time for its own deadline. */
    const uint64_t look_ns = now + earlier(WAIT_NS, c->source.timeout_ns / 2);
    sl_bus_wait(node->answers, earlier(look_ns, sl_source_deadline_ns(&c->source)));
}

void *sl_detect_remote_node_main(void *argument)
{
    struct sl_drive *drive = argument;
    struct chooser chooser = {.drive = drive};
    struct sl_look_log log = {.tell_ns = sl_clock_now_ns() + 2 * SL_NS_PER_S};
    sl_source_init(&chooser.source, sl_settings_remote_timeout_ns(drive->settings));
    while (!atomic_load_explicit(&drive->stop_sources, memory_order_relaxed)) {
        wait(&chooser);
        take_answer(&chooser);
        const int rc = take_frame(&chooser);
        decide(&chooser);
        sl_detect_node_tell(drive, rc, &chooser.look, &log);
        sl_node_round(drive, &drive->detect.thread);
    }
    sl_node_end(&drive->detect.thread);
    return NULL;
}
