#include "app/camera/source.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/camera/watch.h"
#include "app/config/convert.h"
#include "rt/clock.h"

#define WAIT_NS          (50 * SL_NS_PER_MS)
#define STATUS_NS        (200 * SL_NS_PER_MS)
#define AGAIN_NS         (100 * SL_NS_PER_MS) /* to the second restart; doubled each time */
#define AGAIN_LONGEST_NS SL_NS_PER_S
#define RATE_NS          SL_NS_PER_S
#define RATE_MARGIN      0.95 /* 29.97 is 30 */
#define UNPACED_HZ       10.0 /* where no rate is known, the watch expects this one */
/* Slots of the ring beside those that are the device's. */
#define RING_SLOTS SL_BUS_FRAME_SLOTS

struct sl_source {
    const struct sl_settings *settings;
    struct sl_log *log;
    struct sl_camera *camera;
    struct sl_bus_writer *frames, *statuses;
    bool started;                               /* the camera */
    bool shares;                                /* its device writes into the bus's slots */
    bool hardware;                              /* worth a restart */
    uint32_t lent;                              /* slots that the device has */
    uint32_t areas;                             /* that it should have */
    struct sl_bus_loan loans[SL_BUS_SLOTS_MAX]; /* by slot */
    struct sl_watch watch;
    struct sl_watch_config watching;
    uint64_t again_ns;     /* when the next restart is due; 0: none is */
    uint64_t pause_ns;     /* until the one after */
    uint32_t fruitless;    /* restarts since the last frame */
    uint64_t no_area_seen; /* of the drops, when the areas were last counted */
    uint64_t status_ns;    /* when the next report is due */
    uint64_t rate_from_ns, rate_from_frames;
    struct sl_camera_status status;
    uint64_t faulty; /* broken frames */
};

/* ---- opening ---- */

void sl_source_config(const struct sl_settings *s, struct sl_camera_config *config)
{
    *config = (struct sl_camera_config){.driver = s->camera.driver,
                                        .source = s->camera.source,
                                        .width_px = (uint32_t)s->camera.width_px,
                                        .height_px = (uint32_t)s->camera.height_px,
                                        .bus_writers = sl_settings_bus_writers(s),
                                        .fourcc = sl_frame_format_parse(s->camera.format),
                                        .rate_hz = s->camera.rate_hz,
                                        .loop = s->camera.loop,
                                        .exposure_us = s->camera.exposure_us,
                                        .gain = s->camera.gain,
                                        .white_balance_k = s->camera.white_balance_k,
                                        .focus = s->camera.focus,
                                        .focus_locked = s->camera.focus >= 0};
    /* The default names a bus. */
    if (sl_settings_camera_is_hardware(s) && strcmp(config->source, SL_BUS_CAMERA) == 0)
        config->source = "";
}

static int open_buses(struct sl_source *s, struct sl_error *err)
{
    const struct sl_camera_caps *caps = sl_camera_caps(s->camera);
    struct sl_bus_writer_config frames = {.name = s->settings->bus.camera,
                                          .type = SL_RECORD_FRAME,
                                          .slot_count = RING_SLOTS + caps->areas,
                                          .slot_bytes = caps->frame_bytes,
                                          .huge_pages = s->settings->realtime.enable,
                                          .dmabufs = caps->areas > 0};
    struct sl_bus_writer_config statuses = {.name = s->settings->bus.camera_status,
                                            .type = SL_RECORD_CAMERA,
                                            .slot_count = SL_BUS_RECORD_SLOTS,
                                            .slot_bytes = sizeof(struct sl_camera_status)};
    sl_settings_bus_rights(s->settings, &frames);
    sl_settings_bus_rights(s->settings, &statuses);
    const int rc = sl_bus_writer_open(&s->frames, &frames, err);
    return rc != 0 ? rc : sl_bus_writer_open(&s->statuses, &statuses, err);
}

static void share(struct sl_source *s)
{
    struct sl_bus_payloads payloads;
    struct sl_error why;
    if (sl_camera_caps(s->camera)->areas == 0)
        return;
    sl_bus_writer_payloads(s->frames, &payloads);
    s->areas = sl_camera_caps(s->camera)->areas;
    s->shares = sl_camera_share(s->camera, &payloads, &why) == 0;
    if (!s->shares)
        sl_log(s->log, SL_LOG_INFO, "camera: {}", sl_log_copy(why.text));
}

int sl_source_open(struct sl_source **source, const struct sl_settings *settings,
                   struct sl_log *log, struct sl_error *err)
{
    *source = NULL;
    struct sl_source *s = calloc(1, sizeof *s);
    if (s == NULL)
        return sl_error_set(err, -ENOMEM, "no memory for a camera");
    s->settings = settings;
    s->log = log;
    s->hardware = sl_settings_camera_is_hardware(settings);
    struct sl_camera_config config;
    sl_source_config(settings, &config);
    int rc = sl_camera_open(&s->camera, &config, err);
    if (rc == 0)
        rc = open_buses(s, err);
    if (rc != 0) {
        sl_source_close(s);
        return rc;
    }
    share(s);
    double rate_hz = sl_camera_caps(s->camera)->rate_hz;
    if (rate_hz <= 0 && s->hardware) /* it does not tell: then what it was asked for */
        rate_hz = settings->camera.rate_hz;
    s->watching = (struct sl_watch_config){
        .period_ms = 1000.0 / (rate_hz > 0 ? rate_hz : UNPACED_HZ),
        .contents = strcmp(settings->camera.watch, "on") == 0 ||
                    (strcmp(settings->camera.watch, "auto") == 0 && s->hardware),
        .good_frames = (uint32_t)settings->camera.good_frames};
    if (s->hardware && rate_hz < RATE_MARGIN * settings->camera.rate_hz)
        sl_log(log, SL_LOG_WARNING,
               "camera: it gives {} frames a second in this format, and camera.rate_hz is {}: set "
               "that to what it gives, or the vehicle takes its pauses for failures",
               sl_log_f64(rate_hz), sl_log_f64(settings->camera.rate_hz));
    s->status.started_ns = sl_clock_now_ns();
    sl_bus_writer_note(s->frames, sl_source_transfer(s));
    snprintf(s->status.transfer, sizeof s->status.transfer, "%s", sl_source_transfer(s));
    *source = s;
    return 0;
}

/* ---- reports ---- */

static void report(struct sl_source *s, uint64_t now_ns)
{
    struct sl_camera_status *status = &s->status;
    struct sl_camera_drops drops;
    sl_camera_drops(s->camera, &drops);
    status->published_ns = now_ns;
    status->trouble = s->watch.trouble;
    status->trouble_ns = s->watch.trouble_ns;
    status->dropped_sensor = drops.sensor;
    status->dropped_no_area = drops.no_area;
    status->dropped_late = drops.late;
    status->dropped_corrupt = drops.corrupt;
    snprintf(status->problem, sizeof status->problem, "%.*s", (int)sizeof status->problem - 1,
             sl_camera_problem(s->camera));
    if (now_ns - s->rate_from_ns >= RATE_NS) {
        status->rate_hz = (float)((double)(status->frames - s->rate_from_frames) * 1e9 /
                                  (double)(now_ns - s->rate_from_ns));
        s->rate_from_ns = now_ns;
        s->rate_from_frames = status->frames;
    }
    sl_bus_write(s->statuses, status, sizeof *status, now_ns);
    s->status_ns = now_ns + STATUS_NS;
}

/* The watch has changed its mind; `since_ns` is when the trouble began that ended. */
static void tell(struct sl_source *s, uint64_t since_ns, uint64_t now_ns)
{
    static const char *const TROUBLES[] = {
        [SL_CAMERA_STALLED] = "no frame came for three periods",
        [SL_CAMERA_FROZEN] = "it shows the same picture again and again",
        [SL_CAMERA_BLACK] = "its pictures are black (a cap, the dark, its cable?)",
    };
    struct sl_camera_status *status = &s->status;
    if (s->watch.trouble != SL_CAMERA_GOOD) {
        status->troubles++;
        s->fruitless = 0;
        s->pause_ns = AGAIN_NS;
        s->again_ns = s->hardware ? now_ns : 0;
        sl_log(s->log, SL_LOG_WARNING, "camera: {}", sl_log_text(TROUBLES[s->watch.trouble]));
    } else {
        status->recovery_last_ns = now_ns - since_ns;
        if (status->recovery_last_ns > status->recovery_max_ns)
            status->recovery_max_ns = status->recovery_last_ns;
        s->again_ns = 0;
        sl_log(s->log, SL_LOG_INFO, "camera: good again after {} ms",
               sl_log_f64((double)status->recovery_last_ns / (double)SL_NS_PER_MS));
    }
    report(s, now_ns);
}

/* ---- frames ---- */

/* Lends the device so many slots as it should have. */
static void lend(struct sl_source *s)
{
    while (s->shares && s->lent < s->areas) {
        struct sl_bus_loan loan;
        sl_bus_loan(s->frames, &loan);
        if (loan.data == NULL)
            return;
        s->loans[loan.slot] = loan;
        if (sl_camera_queue(s->camera, loan.slot) != 0) {
            sl_bus_cancel(s->frames, &loan);
            return;
        }
        s->lent++;
    }
}

static void take_back(struct sl_source *s)
{
    for (uint32_t i = 0; i < SL_BUS_SLOTS_MAX; i++)
        if (s->loans[i].data != NULL)
            sl_bus_cancel(s->frames, &s->loans[i]);
    s->lent = 0;
}

/* A frame came that the sensor made while it had nowhere to write to: one more slot
 * keeps the rate, as long as the ring has some. */
static void lend_more(struct sl_source *s)
{
    struct sl_camera_drops drops;
    sl_camera_drops(s->camera, &drops);
    if (drops.no_area > s->no_area_seen && s->areas < sl_camera_caps(s->camera)->areas + 1)
        s->areas++;
    s->no_area_seen = drops.no_area;
}

static void look_at(struct sl_source *s, const struct sl_frame_info *info, const void *pixels)
{
    struct sl_frame_digest digest;
    const uint64_t since_ns = s->watch.trouble_ns;
    if (s->watching.contents)
        sl_frame_digest(info, pixels, &digest);
    const uint64_t now_ns = sl_clock_now_ns();
    s->fruitless = 0;
    s->status.frames++;
    if (sl_watch_frame(&s->watch, &digest, now_ns))
        tell(s, since_ns, now_ns);
}

static int take_copied(struct sl_source *s, uint64_t until_ns)
{
    struct sl_bus_loan loan;
    sl_bus_loan(s->frames, &loan);
    struct sl_frame_info *info = loan.meta;
    const int rc = sl_camera_fill(s->camera, loan.data, loan.capacity, info, until_ns);
    if (rc != 0) {
        sl_bus_cancel(s->frames, &loan);
        return rc;
    }
    look_at(s, info, loan.data);
    sl_bus_publish(s->frames, &loan, info->size_bytes, info->exposed_ns);
    return 0;
}

static int take_shared(struct sl_source *s, uint64_t until_ns)
{
    struct sl_frame_info info;
    uint32_t slot;
    const int rc = sl_camera_take(s->camera, &slot, &info, until_ns);
    if (rc != 0)
        return rc;
    struct sl_bus_loan *loan = &s->loans[slot];
    memcpy(loan->meta, &info, sizeof info);
    look_at(s, &info, loan->data);
    sl_bus_publish(s->frames, loan, info.size_bytes, info.exposed_ns);
    loan->data = NULL;
    s->lent--;
    lend_more(s);
    lend(s);
    return 0;
}

/* ---- restarts ---- */

static int start(struct sl_source *s, struct sl_error *err)
{
    const int rc = sl_camera_start(s->camera, err);
    s->started = rc == 0;
    if (rc != 0)
        return rc;
    sl_watch_start(&s->watch, &s->watching, sl_clock_now_ns());
    lend(s);
    return 0;
}

static void stop(struct sl_source *s)
{
    sl_camera_stop(s->camera);
    s->started = false;
    take_back(s);
}

static void restart(struct sl_source *s)
{
    struct sl_error why;
    stop(s);
    const int rc = start(s, &why);
    const uint64_t now_ns = sl_clock_now_ns();
    s->status.restarts++;
    s->fruitless += rc == 0; /* one that is away is not hung */
    if (rc != 0 && s->pause_ns == AGAIN_NS)
        sl_log(s->log, SL_LOG_WARNING, "camera: {}", sl_log_copy(why.text));
    s->again_ns = now_ns + s->pause_ns;
    s->pause_ns = 2 * s->pause_ns < AGAIN_LONGEST_NS ? 2 * s->pause_ns : AGAIN_LONGEST_NS;
}

int sl_source_start(struct sl_source *s, struct sl_error *err)
{
    s->rate_from_ns = sl_clock_now_ns();
    return start(s, err);
}

/* ---- the loop ---- */

static void note_broken(struct sl_source *s)
{
    const uint64_t faulty = ++s->faulty;
    if ((faulty & (faulty - 1)) == 0) /* the 1st, 2nd, 4th, 8th ... */
        sl_log(s->log, SL_LOG_WARNING, "camera: {} broken frames were dropped; the last: {}",
               sl_log_u64(faulty), sl_log_copy(sl_camera_problem(s->camera)));
}

/* Until when to wait for a frame: soon enough for whatever is due. */
static uint64_t wait_until(const struct sl_source *s, uint64_t now_ns)
{
    uint64_t until_ns = now_ns + WAIT_NS;
    const uint64_t stall_ns = sl_watch_deadline_ns(&s->watch);
    if (s->watch.trouble == SL_CAMERA_GOOD && stall_ns < until_ns)
        until_ns = stall_ns;
    return until_ns;
}

int sl_source_round(struct sl_source *s)
{
    const uint64_t begun_ns = sl_clock_now_ns();
    const uint64_t until_ns = wait_until(s, begun_ns);
    int rc = -EPIPE;
    if (s->started)
        rc = s->shares ? take_shared(s, until_ns) : take_copied(s, until_ns);
    if (rc == -EPROTO)
        note_broken(s);
    else if (rc != 0 && rc != -ETIMEDOUT && rc != -ENODATA) /* gone: do not spin */
        sl_clock_sleep_until_ns(until_ns);
    if (rc == -ENODATA) {
        sl_log(s->log, SL_LOG_INFO, "camera: that was the last picture");
        return rc;
    }
    const uint64_t now_ns = sl_clock_now_ns();
    if (rc != 0 && sl_watch_none(&s->watch, now_ns))
        tell(s, 0, now_ns);
    if (now_ns >= s->status_ns)
        report(s, now_ns);
    if (s->again_ns == 0 || now_ns < s->again_ns)
        return 0;
    if (s->fruitless >= SL_SOURCE_RESTARTS && s->watch.trouble == SL_CAMERA_STALLED) {
        s->fruitless = 0;
        return -EPIPE;
    }
    restart(s);
    return 0;
}

const struct sl_camera_caps *sl_source_caps(const struct sl_source *s)
{
    return sl_camera_caps(s->camera);
}

const char *sl_source_transfer(const struct sl_source *s)
{
    return sl_camera_transfer(s->camera);
}

void sl_source_close(struct sl_source *s)
{
    if (s == NULL)
        return;
    if (s->camera != NULL && s->frames != NULL)
        stop(s);
    sl_camera_close(s->camera);
    sl_bus_writer_close(s->frames);
    sl_bus_writer_close(s->statuses);
    free(s);
}
