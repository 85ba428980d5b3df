/* Detection as a process of its own between two buses.
 *
 * The thread below does what app/drive/detect_node.c does inside skylane-run,
 * for a camera that may come and go, whose frames may be JPEG, and whose time
 * may be virtual. It writes no text itself: the log's thread does. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/config/convert.h"
#include "app/detect/motion.h"
#include "detect_server.h"
#include "rt/bus.h"
#include "rt/cli.h"
#include "rt/clock.h"
#include "rt/memory.h"
#include "rt/thread.h"

#define VERB        "detect"
#define WAIT_NS     (20 * SL_NS_PER_MS)
#define PATIENCE_NS (500 * SL_NS_PER_MS) /* then the user is told what is waited for */
#define SILENCE_NS  (5 * SL_NS_PER_S)    /* a camera that lives, but sends nothing */
/* A frame whose own stamp is so far from the machine's clock was taken in
 * another time than ours: a simulator's in lockstep, or a recording's. */
#define OTHER_TIME_NS SL_NS_PER_S

/* What the user was told last. */
enum camera_state { CAMERA_UNKNOWN, CAMERA_ABSENT, CAMERA_SILENT, CAMERA_THERE };

struct bus_server {
    const struct sl_detect_serve *options;
    struct sl_arena arena;
    struct sl_detector *detector;
    struct sl_bus_reader *frames, *odometry, *actions;
    struct sl_bus_writer *lanes;
    struct sl_picture_reader pictures;
    struct sl_thread thread;
    _Atomic bool stop;
    _Atomic bool failed; /* with the reason in `failure`, which is then complete */
    struct sl_error failure;

    /* the thread's own */
    struct sl_motion motion;
    uint64_t looked_at_ns; /* when the detector's last frame was exposed; 0: none */
    struct sl_detect_tally tally;
    enum camera_state told;
    uint64_t attached;
    uint64_t quiet_since_ns; /* when a frame came, or the camera's state changed */
    int absence;             /* why it is absent, as an errno */
    bool told_unusable;
    bool was_there; /* a frame came once */
    bool published; /* there are lanes on the bus */
};

static bool other_time(const struct sl_frame_info *info, const struct sl_bus_view *view)
{
    const uint64_t a = info->received_ns, b = view->published_ns;
    return a != 0 && (a > b ? a - b : b - a) > OTHER_TIME_NS;
}

/* How the vehicle moved since the detector's last frame, if something measures that. */
static void tell_motion(struct bus_server *server, uint64_t exposed_ns)
{
    struct sl_odometry odometry;
    struct sl_detect_motion moved;
    /* No more than are kept, however fast somebody writes. */
    for (int i = 0; i < SL_MOTION_SAMPLES &&
                    sl_bus_read_next(server->odometry, &odometry, sizeof odometry, NULL) == 0;
         i++)
        sl_motion_add(&server->motion, &odometry, (double)NAN);
    if (server->looked_at_ns != 0 &&
        sl_motion_between(&server->motion, server->looked_at_ns, exposed_ns, &moved))
        sl_detector_moved(server->detector, &moved);
    server->looked_at_ns = exposed_ns;
}

/* Lanes of the lent frame. 0, or -EPROTO, -ENOTSUP, -ENOMEM with the reason. */
static int detect(struct bus_server *server, const struct sl_bus_view *view,
                  struct sl_detection *out, struct sl_error *err)
{
    /* The frame comes from another process: its description is copied before
     * it is looked at, and nothing in it is trusted. */
    struct sl_frame_info info, frame;
    const void *pixels;
    memcpy(&info, view->meta, sizeof info);
    int rc = sl_frame_check(&info, view->size, err);
    if (rc != 0)
        return rc;
    tell_motion(server, info.exposed_ns);
    const uint64_t started_ns = sl_clock_now_ns();
    rc = sl_picture_read(&server->pictures, &info, view->data, &frame, &pixels, err);
    if (rc == 0 && sl_detector_run(server->detector, &frame, pixels, out) != 0)
        rc = sl_error_set(err, -ENOTSUP, "the detector does not read this pixel format");
    if (rc != 0)
        return rc;
    out->frame_id = info.frame_id;
    out->exposed_ns = info.exposed_ns;
    out->received_ns = other_time(&info, view) ? info.received_ns : view->published_ns;
    out->started_ns = started_ns;
    out->finished_ns = sl_clock_now_ns();
    return 0;
}

static void tell_there(struct bus_server *server, const struct sl_bus_view *view)
{
    const struct sl_settings *s = server->options->settings;
    if (server->told == CAMERA_THERE)
        return;
    struct sl_frame_info info;
    memcpy(&info, view->meta, sizeof info);
    char name[5];
    struct sl_error what;
    sl_error_set(&what, 0, "%s: %s of %u x %u px on bus %s; lanes go to bus %s",
                 server->was_there ? "frames come again" : "frames come",
                 sl_frame_format_name(info.fourcc, name), info.width_px, info.height_px,
                 s->bus.camera, s->bus.detection);
    sl_log(server->options->log, SL_LOG_INFO, "{}", sl_log_copy(what.text));
    server->told = CAMERA_THERE;
    server->was_there = true;
}

static void use_frame(struct bus_server *server, struct sl_bus_view *view)
{
    struct sl_detect_tally *tally = &server->tally;
    struct sl_error why = {0};
    struct sl_detection found;
    tally->missed += view->missed;
    server->quiet_since_ns = sl_clock_now_ns();
    tell_there(server, view);

    struct sl_frame_info info;
    memcpy(&info, view->meta, sizeof info);
    const bool ours = !other_time(&info, view);
    const int rc = detect(server, view, &found, &why);
    if (sl_bus_release(server->frames, view) != 0) {
        /* It may be half another frame: what it gave is void. */
        tally->overrun++;
        sl_detector_reset(server->detector);
    } else if (rc == 0) {
        sl_bus_write(server->lanes, &found, sizeof found, found.exposed_ns);
        server->published = true;
        sl_detect_tally_add(tally, &found);
        if (ours && found.finished_ns > found.exposed_ns)
            sl_histogram_add(&tally->age, found.finished_ns - found.exposed_ns);
    } else {
        tally->unusable++;
        if (!server->told_unusable)
            sl_log(server->options->log, SL_LOG_ERROR,
                   "a frame cannot be used, and others like it will not be told: {}",
                   sl_log_copy(why.text));
        server->told_unusable = true;
    }
}

/* Nothing came: says so once, and again when the reason is another. */
static void tell_waiting(struct bus_server *server, int rc)
{
    const uint64_t now = sl_clock_now_ns();
    const bool absent = rc == -EPIPE || rc == -EPROTO || rc == -EUSERS;
    const uint64_t quiet_ns = now - server->quiet_since_ns;
    if (absent && quiet_ns >= PATIENCE_NS &&
        (server->told != CAMERA_ABSENT || server->absence != rc)) {
        sl_log(server->options->log, server->was_there ? SL_LOG_WARNING : SL_LOG_INFO,
               server->was_there ? "the camera is gone, waits for the next: {}"
                                 : "waits for a camera or the simulator: {}",
               sl_log_copy(sl_bus_reader_problem(server->frames)));
        server->told = CAMERA_ABSENT;
        server->absence = rc;
    } else if (!absent && quiet_ns >= SILENCE_NS &&
               (server->told == CAMERA_UNKNOWN || server->told == CAMERA_THERE)) {
        sl_log(server->options->log, SL_LOG_WARNING,
               "the camera's program lives, but no frame came for 5 s; goes on waiting");
        server->told = CAMERA_SILENT;
    }
}

static int open_lanes(struct bus_server *server, struct sl_error *err);

/* The camera went or another one came: what was seen before is void. A vehicle
 * that starts now must not find lanes of the drive before on the bus, so that
 * begins anew, too. 0, or -EBUSY and the like with the reason. */
static int begin_anew(struct bus_server *server, struct sl_error *err)
{
    sl_detector_reset(server->detector);
    if (!server->published)
        return 0;
    server->published = false;
    sl_bus_writer_close(server->lanes);
    server->lanes = NULL;
    return open_lanes(server, err);
}

static bool respawned(struct bus_server *server)
{
    struct sl_action action;
    bool moved = false;
    while (sl_bus_read_next(server->actions, &action, sizeof action, NULL) == 0)
        moved = moved || action.kind == SL_ACTION_RESPAWN;
    return moved;
}

static void *serve(void *argument)
{
    struct bus_server *server = argument;
    server->quiet_since_ns = sl_clock_now_ns();
    while (!atomic_load_explicit(&server->stop, memory_order_relaxed)) {
        struct sl_bus_view view;
        int rc = sl_bus_wait(server->frames, sl_clock_now_ns() + WAIT_NS);
        if (rc == 0)
            rc = sl_bus_acquire_newest(server->frames, &view);
        const uint64_t attached = sl_bus_reader_attached(server->frames);
        if (attached != server->attached || (rc == -EPIPE && server->published)) {
            if (attached != server->attached) {
                server->told = CAMERA_UNKNOWN;
                server->quiet_since_ns = sl_clock_now_ns();
            }
            server->attached = attached;
            if (begin_anew(server, &server->failure) != 0) {
                if (rc == 0)
                    sl_bus_release(server->frames, &view);
                atomic_store_explicit(&server->failed, true, memory_order_release);
                return NULL;
            }
        }
        if (respawned(server))
            sl_detector_reset(server->detector);
        if (rc == 0)
            use_frame(server, &view);
        else
            tell_waiting(server, rc);
    }
    return NULL;
}

/* ---- opening ---- */

static int open_lanes(struct bus_server *server, struct sl_error *err)
{
    const struct sl_settings *s = server->options->settings;
    struct sl_bus_writer_config lanes = {.name = s->bus.detection,
                                         .type = SL_RECORD_DETECTION,
                                         .slot_count = SL_BUS_RECORD_SLOTS,
                                         .slot_bytes = sizeof(struct sl_detection)};
    sl_settings_bus_rights(s, &lanes);
    int rc = sl_bus_writer_open(&server->lanes, &lanes, err);
    if (rc == -EBUSY) {
        struct sl_error why = *err;
        sl_error_set(err, rc,
                     "%s; end it, or if it is skylane run, start that with -o "
                     "detect.detector=bus",
                     why.text);
    }
    return rc;
}

static int open_buses(struct bus_server *server, struct sl_error *err)
{
    const struct sl_settings *s = server->options->settings;
    const struct sl_bus_reader_config frames = {.name = s->bus.camera,
                                                .type = SL_RECORD_FRAME,
                                                .min_bytes = 1,
                                                .realtime = true,
                                                .writers = sl_settings_bus_writers(s)};
    const struct sl_bus_reader_config actions = {.name = s->bus.action,
                                                 .type = SL_RECORD_ACTION,
                                                 .min_bytes = sizeof(struct sl_action),
                                                 .writers = sl_settings_bus_writers(s)};
    const struct sl_bus_reader_config odometry = {.name = s->bus.odometry,
                                                  .type = SL_RECORD_ODOMETRY,
                                                  .min_bytes = sizeof(struct sl_odometry),
                                                  .realtime = true,
                                                  .writers = sl_settings_bus_writers(s)};
    int rc = open_lanes(server, err);
    if (rc == 0)
        rc = sl_bus_reader_open(&server->frames, &frames, err);
    if (rc == 0)
        rc = sl_bus_reader_open(&server->odometry, &odometry, err);
    if (rc == 0)
        rc = sl_bus_reader_open(&server->actions, &actions, err);
    return rc;
}

/* Asks for what real time needs; what is not granted is told once. */
static bool ask_for_realtime(const struct sl_detect_serve *options)
{
    struct sl_error lacks;
    if (!options->settings->realtime.enable)
        return false;
    if (sl_memory_lock(&lacks) != 0)
        sl_log(options->log, SL_LOG_WARNING, "{}", sl_log_copy(lacks.text));
    if (sl_thread_may_fifo((int)options->settings->realtime.detect_priority, &lacks) == 0)
        return true;
    sl_log(options->log, SL_LOG_WARNING, "{}", sl_log_copy(lacks.text));
    return false;
}

static int start(struct bus_server *server, struct sl_error *err)
{
    const struct sl_settings *s = server->options->settings;
    struct sl_detect_config config;
    sl_settings_detect(s, &config);
    config.track = 1;
    int rc = sl_arena_open(&server->arena, sl_detector_size() + 4096, s->realtime.enable, err);
    if (rc != 0)
        return rc;
    server->detector = sl_arena_take(&server->arena, sl_detector_size(), 64);
    struct sl_motion_config motion;
    sl_settings_motion(s, &motion);
    sl_motion_init(&server->motion, &motion);
    rc = sl_detector_init(server->detector, &config, err);
    if (rc == 0)
        rc = sl_picture_reader_open(&server->pictures, err);
    if (rc == 0)
        rc = open_buses(server, err);
    if (rc != 0)
        return rc;
    const bool fifo = ask_for_realtime(server->options);
    const struct sl_thread_config thread = {.name = "sl-detect",
                                            .priority = fifo ? (int)s->realtime.detect_priority : 0,
                                            .cpu = (int)s->realtime.detect_cpu};
    return sl_thread_start(&server->thread, &thread, serve, server, err);
}

int sl_detect_serve_buses(const struct sl_detect_serve *options)
{
    struct sl_error err = {0};
    struct bus_server *server = calloc(1, sizeof *server);
    if (server == NULL) {
        fprintf(stderr, "skylane " VERB ": no memory to start\n");
        return SL_EXIT_FAILED;
    }
    server->options = options;
    int rc = start(server, &err);
    while (rc == 0 && !sl_cli_stop_wanted() &&
           !atomic_load_explicit(&server->failed, memory_order_acquire))
        sl_clock_sleep_until_ns(sl_clock_now_ns() + WAIT_NS);
    atomic_store_explicit(&server->stop, true, memory_order_relaxed);
    sl_thread_join(&server->thread);
    sl_bus_reader_close(server->frames);
    sl_bus_reader_close(server->odometry);
    sl_bus_reader_close(server->actions);
    sl_bus_writer_close(server->lanes);
    if (rc == 0 && atomic_load_explicit(&server->failed, memory_order_acquire)) {
        err = server->failure;
        rc = -EIO;
    }
    if (rc != 0)
        fprintf(stderr, "skylane " VERB ": %s\n", err.text);
    else
        rc = sl_detect_tally_print(&server->tally, NULL, options->json);
    sl_picture_reader_close(&server->pictures);
    sl_arena_close(&server->arena);
    free(server);
    return rc == 0 ? SL_EXIT_OK : SL_EXIT_FAILED;
}
