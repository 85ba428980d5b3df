#include <errno.h>
#include <string.h>

#include "app/drive/nodes.h"
#include "rt/clock.h"

#define WAIT_NS     (20 * SL_NS_PER_MS)
#define PATIENCE_NS (2 * SL_NS_PER_S) /* then the user is told what is waited for */

/* What the vehicle measured of its motion. Read in each round, whether there is a
 * frame or not: the bus is then found before the path is warm. */
static void take_odometry(struct sl_drive *drive)
{
    struct sl_detect_node *node = &drive->detect;
    struct sl_motion_config *vehicle = &node->motion.config;
    struct sl_odometry odometry;
    if (node->odometry == NULL)
        return;
    const double asked_rad =
        atomic_load_explicit(&drive->control.asked_steering_rad, memory_order_relaxed);
    vehicle->understeer_rads2pm =
        atomic_load_explicit(&drive->control.understeer_rads2pm, memory_order_relaxed);
    vehicle->rear_slip_rads2pm =
        atomic_load_explicit(&drive->control.rear_slip_rads2pm, memory_order_relaxed);
    /* No more than are kept, however fast somebody writes. */
    for (int i = 0; i < SL_MOTION_SAMPLES &&
                    sl_bus_read_next(node->odometry, &odometry, sizeof odometry, NULL) == 0;
         i++)
        sl_motion_add(&node->motion, &odometry, asked_rad);
}

/* How the vehicle moved since the detector's last frame, as far as it is measured. */
static void tell_motion(struct sl_detect_node *node, uint64_t exposed_ns)
{
    struct sl_detect_motion moved;
    if (node->looked_at_ns != 0 &&
        sl_motion_between(&node->motion, node->looked_at_ns, exposed_ns, &moved))
        sl_detector_moved(node->detector, &moved);
    node->looked_at_ns = exposed_ns;
}

/* Lanes of the lent frame. False if there is nothing to publish. */
static bool detect(struct sl_drive *drive, const struct sl_bus_view *frame,
                   struct sl_detection *out)
{
    struct sl_frame_info info;
    memcpy(&info, frame->meta, sizeof info);
    const uint64_t started_ns = sl_clock_now_ns();
    /* The frame may come from another process: nothing in it is trusted. */
    if (sl_frame_check(&info, frame->size, NULL) != 0)
        return false;
    tell_motion(&drive->detect, info.exposed_ns);
    if (sl_detector_run(drive->detect.detector, &info, frame->data, out) != 0)
        return false;
    out->frame_id = info.frame_id;
    out->exposed_ns = info.exposed_ns;
    /* In lockstep the frame tells its own time; else the bus knows best. */
    out->received_ns = drive->lockstep ? info.received_ns : frame->published_ns;
    out->started_ns = started_ns;
    out->finished_ns = sl_clock_now_ns();
    return true;
}

/* The frames before are forgotten, here and by the server. */
static void reset(struct sl_detect_node *node)
{
    if (node->detector != NULL)
        sl_detector_reset(node->detector);
    if (node->remote != NULL)
        sl_remote_reset(node->remote);
}

int sl_detect_node_look(struct sl_drive *drive, uint64_t *attached, struct sl_look *look)
{
    struct sl_detect_node *node = &drive->detect;
    struct sl_bus_view frame;
    memset(look, 0, sizeof *look);
    const int rc = drive->lockstep ? sl_bus_acquire_next(node->reader, &frame)
                                   : sl_bus_acquire_newest(node->reader, &frame);
    take_odometry(drive);
    if (rc != 0)
        return rc;
    const bool restarted = sl_bus_reader_attached(node->reader) != *attached;
    *attached = sl_bus_reader_attached(node->reader);
    atomic_store_explicit(&node->frames_on_huge_pages,
                          sl_bus_reader_pages(node->reader) == SL_BUS_PAGES_HUGE,
                          memory_order_relaxed);
    if (restarted || atomic_exchange_explicit(&node->reset, false, memory_order_acquire))
        reset(node);
    look->published_ns = frame.published_ns;
    if (node->detector != NULL) {
        look->usable = detect(drive, &frame, &look->lane);
        look->unusable = !look->usable;
    }
    atomic_store_explicit(&node->frame_seen_ns, sl_clock_now_ns(), memory_order_relaxed);
    /* An overrun frame may be half another: what it gave is void. */
    if (sl_bus_release(node->reader, &frame) != 0) {
        if (node->detector != NULL)
            sl_detector_reset(node->detector);
        look->usable = look->unusable = false;
    }
    return 0;
}

void sl_detect_node_tell(struct sl_drive *drive, int rc, const struct sl_look *look,
                         struct sl_look_log *log)
{
    const bool nothing_there = rc == -EPIPE || rc == -EPROTO || rc == -EUSERS;
    if (!nothing_there) {
        log->tell_ns = sl_clock_now_ns() + PATIENCE_NS;
    } else if (log->tell_ns != 0 && sl_clock_now_ns() >= log->tell_ns) {
        sl_log(drive->log, SL_LOG_WARNING, "detect waits for frames: {}",
               sl_log_copy(sl_bus_reader_problem(drive->detect.reader)));
        log->tell_ns = 0;
    }
    if (look->unusable && !log->told_unusable) {
        sl_log(drive->log, SL_LOG_ERROR,
               "detect: the camera's frames cannot be used: NV12, GRAY8, YUYV, BGR24 and "
               "BGRA are possible");
        log->told_unusable = true;
    }
}

void *sl_detect_node_main(void *argument)
{
    struct sl_drive *drive = argument;
    struct sl_detect_node *node = &drive->detect;
    struct sl_look_log log = {.tell_ns = sl_clock_now_ns() + PATIENCE_NS};
    struct sl_look look = {0};
    uint64_t attached = 0;
    while (!atomic_load_explicit(&drive->stop_sources, memory_order_relaxed)) {
        int rc = sl_bus_wait(node->reader, sl_clock_now_ns() + WAIT_NS);
        if (rc == 0)
            rc = sl_detect_node_look(drive, &attached, &look);
        else
            take_odometry(drive);
        if (rc == 0 && look.usable)
            sl_bus_write(node->writer, &look.lane, sizeof look.lane, look.lane.exposed_ns);
        sl_detect_node_tell(drive, rc, &look, &log);
        sl_node_round(drive, &node->thread);
    }
    sl_node_end(&node->thread);
    return NULL;
}
