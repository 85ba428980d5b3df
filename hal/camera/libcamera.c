/* Cameras of libcamera: those on a Raspberry Pi's CSI connectors, and others whose
 * pictures need processing. What is libcamera's own is behind libcamera_api.h.
 *
 * Its thread and the one that takes frames meet under one lock that is held for some
 * lines of code; with priority inheritance, since one of them may be real-time. A
 * buffer that was read goes back to the camera with the next one that comes, by
 * libcamera's thread: to queue it allocates, which the reader must not. */
#include "hal/camera/libcamera.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "hal/camera/drivers.h"
#include "hal/camera/libcamera_parts.h"
#include "rt/clock.h"

#define SOURCE_MAX  256
#define CAMERAS_MAX 16
/* One is read, one is the newest, two are the camera's: it fills one and has the
 * next. More would not come sooner, but older. */
#define BUFFERS 4
/* Frames may have been exposed before the start that shows them, not longer ago. */
#define OLD_NS SL_NS_PER_S

struct libcamera_camera {
    const struct sl_libcamera_api *api;
    struct sl_libcamera_session *session; /* NULL: to be opened by the next start */
    char source[SOURCE_MAX];
    uint32_t wanted; /* enum sl_format */
    struct sl_libcamera_controls controls;
    const struct sl_libcamera_way *way;
    struct sl_libcamera_format format; /* agreed; a camera that comes back must do it again */
    struct sl_libcamera_buffer buffers[SL_LIBCAMERA_BUFFERS_MAX];
    uint64_t started_ns;
    uint64_t boot_ahead_ns; /* CLOCK_BOOTTIME's, at the start */
    bool told_gone;
    struct sl_error why;

    bool has_lock;
    pthread_mutex_t lock; /* of all below */
    pthread_cond_t news;
    bool running;
    bool gone;
    bool bad;      /* a broken frame, not told yet */
    int newest;    /* buffer; -1: none that was not taken */
    uint32_t read; /* bit i: buffer i was read and can go back */
    bool seen;     /* a frame since the start; its number is: */
    uint32_t sequence;
    uint64_t frame_id;
    struct sl_camera_drops drops;
    struct {
        uint64_t frame_id, dropped, stamp_ns, received_ns;
    } frame; /* in buffer `newest` */
};

/* ---- on libcamera's thread ---- */

/* A camera that takes no buffers any more will bring none. */
static void give_back(struct libcamera_camera *c, uint32_t buffer)
{
    if (c->api->queue(c->session, buffer) != 0)
        c->gone = true;
}

static void take_in(struct libcamera_camera *c, const struct sl_libcamera_done *done)
{
    const uint32_t gap = c->seen ? sl_libcamera_gap(c->sequence, done->sequence) : 0;
    c->seen = true;
    c->sequence = done->sequence;
    c->drops.sensor += gap;
    c->frame_id += 1 + gap;
    if (!done->good) {
        c->drops.corrupt++;
        c->bad = true;
        give_back(c, done->buffer);
        return;
    }
    if (c->newest >= 0) {
        c->drops.late++;
        give_back(c, (uint32_t)c->newest);
    }
    c->newest = (int)done->buffer;
    c->frame.frame_id = c->frame_id;
    c->frame.dropped = c->drops.sensor + c->drops.late + c->drops.corrupt;
    c->frame.stamp_ns = done->stamp_ns;
    c->frame.received_ns = sl_clock_now_ns();
}

static void on_done(void *context, const struct sl_libcamera_done *done)
{
    struct libcamera_camera *c = context;
    pthread_mutex_lock(&c->lock);
    if (c->running) { /* while it stops they all come back, unfilled */
        for (uint32_t i = 0; i < c->format.buffers; i++) {
            if ((c->read >> i & 1) != 0)
                give_back(c, i);
        }
        c->read = 0;
        take_in(c, done);
        pthread_cond_signal(&c->news);
    }
    pthread_mutex_unlock(&c->lock);
}

static void on_gone(void *context)
{
    struct libcamera_camera *c = context;
    pthread_mutex_lock(&c->lock);
    c->gone = true;
    pthread_cond_signal(&c->news);
    pthread_mutex_unlock(&c->lock);
}

/* ---- opening ---- */

struct names {
    struct sl_libcamera_name each[CAMERAS_MAX];
    size_t count;
};

static void add_name(void *context, const struct sl_libcamera_info *info)
{
    struct names *names = context;
    if (names->count == CAMERAS_MAX)
        return;
    struct sl_libcamera_name *name = &names->each[names->count++];
    snprintf(name->id, sizeof name->id, "%s", info->id);
    snprintf(name->model, sizeof name->model, "%s", info->model);
}

/* Agrees on the best format that the camera has in this size. */
static int agree(struct libcamera_camera *c, struct sl_libcamera_format *format, const char *id,
                 struct sl_error *err)
{
    const struct sl_libcamera_format wish = *format;
    struct sl_libcamera_format other = {0}; /* the same pixels in another size */
    struct sl_libcamera_why why = {""};
    for (size_t rank = 0; (c->way = sl_libcamera_way(c->wanted, rank)) != NULL; rank++) {
        *format = wish;
        format->fourcc = c->way->theirs;
        if (sl_frame_size_bytes(c->way->ours, wish.width_px, wish.height_px) == 0)
            continue; /* NV12 of odd sides */
        const int rc = c->api->configure(c->session, format, &c->controls, &why);
        if (rc == 0)
            return 0;
        if (rc != -EINVAL)
            return sl_error_set(err, rc, "%s: %s", id, why.text);
        if (format->fourcc == c->way->theirs && other.width_px == 0)
            other = *format;
    }
    if (other.width_px != 0 &&
        (other.width_px != wish.width_px || other.height_px != wish.height_px))
        return sl_error_set(err, -EINVAL,
                            "%s has no frames of %u x %u px, but of %u x %u; set camera.width_px "
                            "and camera.height_px, and calibrate anew",
                            id, wish.width_px, wish.height_px, other.width_px, other.height_px);
    return sl_error_set(err, -EINVAL,
                        "%s has none of the formats NV12, YUV420, YUYV, R8, RGB888 and BGR888 with "
                        "%u x %u px (%s)",
                        id, wish.width_px, wish.height_px, why.text);
}

/* Finds the camera and agrees with it. */
static int connect(struct libcamera_camera *c, struct sl_libcamera_format *format,
                   struct sl_error *err)
{
    struct sl_libcamera_why why = {""};
    struct names names = {.count = 0};
    int rc = c->api->list(add_name, &names, &why);
    if (rc != 0)
        return sl_error_set(err, rc, "libcamera does not run here: %s", why.text);
    const int chosen = sl_libcamera_choose(c->source, names.each, names.count, err);
    if (chosen < 0)
        return chosen;
    const char *id = names.each[chosen].id;
    const struct sl_libcamera_events events = {.context = c, .done = on_done, .gone = on_gone};
    rc = c->api->open(&c->session, id, &events, &why);
    if (rc != 0)
        return sl_error_set(err, rc, "%s: %s", id, why.text);
    rc = agree(c, format, id, err);
    if (rc == 0 && (format->buffers == 0 || format->buffers > SL_LIBCAMERA_BUFFERS_MAX))
        rc = sl_error_set(err, -EPROTO, "%s wants %u buffers", id, format->buffers);
    for (uint32_t i = 0; rc == 0 && i < format->buffers; i++) {
        c->api->buffer(c->session, i, &c->buffers[i]);
        rc = sl_libcamera_check(c->way, format, &c->buffers[i], err);
    }
    return rc;
}

static void disconnect(struct libcamera_camera *c)
{
    if (c->session != NULL)
        c->api->close(c->session);
    c->session = NULL;
    c->gone = false;
}

static int make_lock(struct libcamera_camera *c, struct sl_error *err)
{
    pthread_mutexattr_t inherits;
    pthread_condattr_t clock;
    int rc = pthread_mutexattr_init(&inherits);
    if (rc == 0)
        rc = pthread_mutexattr_setprotocol(&inherits, PTHREAD_PRIO_INHERIT);
    if (rc == 0)
        rc = pthread_mutex_init(&c->lock, &inherits);
    if (rc == 0)
        rc = pthread_condattr_init(&clock);
    if (rc == 0)
        rc = pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    if (rc == 0)
        rc = pthread_cond_init(&c->news, &clock);
    c->has_lock = rc == 0;
    return rc == 0 ? 0 : sl_error_set(err, -rc, "no lock for the camera: %s", strerror(rc));
}

static int libcamera_open(void *state, const struct sl_camera_config *config,
                          struct sl_camera_caps *caps, struct sl_error *err)
{
    struct libcamera_camera *c = state;
    const char *source = config->source != NULL ? config->source : "";
    if (strlen(source) >= SOURCE_MAX)
        return sl_error_set(err, -EINVAL, "camera.source is longer than %d characters",
                            SOURCE_MAX - 1);
    memcpy(c->source, source, strlen(source) + 1);
    if (config->width_px == 0)
        return sl_error_set(err, -EINVAL, "a camera of libcamera needs its width and height");
    c->wanted = config->fourcc != 0 ? config->fourcc : (uint32_t)SL_FORMAT_NV12;
    c->controls = (struct sl_libcamera_controls){.rate_hz = config->rate_hz,
                                                 .exposure_us = config->exposure_us,
                                                 .gain = config->gain,
                                                 .white_balance_k = config->white_balance_k,
                                                 .focus = config->focus,
                                                 .focus_locked = config->focus_locked};
    c->newest = -1;
    c->format = (struct sl_libcamera_format){
        .width_px = config->width_px, .height_px = config->height_px, .buffers = BUFFERS};
    c->api = sl_libcamera_load(err);
    if (c->api == NULL)
        return -ENODEV;
    int rc = make_lock(c, err);
    if (rc == 0)
        rc = connect(c, &c->format, err);
    if (rc != 0)
        return rc;
    *caps = (struct sl_camera_caps){
        .width_px = c->format.width_px,
        .height_px = c->format.height_px,
        .fourcc = c->way->ours,
        .frame_bytes = sl_frame_size_bytes(c->way->ours, c->format.width_px, c->format.height_px),
        .rate_hz = c->format.rate_hz};
    return 0;
}

/* ---- starting and stopping ---- */

/* A camera that was away is opened anew. */
static int reconnect(struct libcamera_camera *c, struct sl_error *err)
{
    const struct sl_libcamera_way *way = c->way;
    struct sl_libcamera_format format = {
        .width_px = c->format.width_px, .height_px = c->format.height_px, .buffers = BUFFERS};
    int rc = connect(c, &format, err);
    if (rc == 0 && c->way->ours != way->ours)
        rc = sl_error_set(err, -EPROTO,
                          "the camera that came back has other frames than the one before; start "
                          "the program anew");
    if (rc != 0) {
        c->way = way;
        disconnect(c);
        return rc;
    }
    c->format = format;
    return 0;
}

static uint64_t boot_ahead_ns(void)
{
    struct timespec boot;
    const uint64_t now_ns = sl_clock_now_ns();
    clock_gettime(CLOCK_BOOTTIME, &boot);
    const uint64_t boot_ns = (uint64_t)boot.tv_sec * SL_NS_PER_S + (uint64_t)boot.tv_nsec;
    return boot_ns > now_ns ? boot_ns - now_ns : 0;
}

static void libcamera_stop(void *state)
{
    struct libcamera_camera *c = state;
    if (c->session == NULL)
        return;
    pthread_mutex_lock(&c->lock);
    const bool running = c->running;
    c->running = false; /* from here on nothing is queued */
    c->newest = -1;
    c->read = 0;
    pthread_mutex_unlock(&c->lock);
    if (running)
        c->api->stop(c->session);
}

static int libcamera_start(void *state, struct sl_error *err)
{
    struct libcamera_camera *c = state;
    struct sl_libcamera_why why = {""};
    pthread_mutex_lock(&c->lock);
    const bool gone = c->gone;
    pthread_mutex_unlock(&c->lock);
    if (gone)
        disconnect(c);
    int rc = c->session != NULL ? 0 : reconnect(c, err);
    if (rc != 0)
        return rc;
    c->told_gone = false;
    c->started_ns = sl_clock_now_ns();
    c->boot_ahead_ns = boot_ahead_ns();
    pthread_mutex_lock(&c->lock);
    c->running = true;
    c->seen = c->bad = false;
    pthread_mutex_unlock(&c->lock);
    rc = c->api->start(c->session, &why);
    if (rc == 0)
        return 0;
    libcamera_stop(c);
    disconnect(c); /* the next start looks for it anew */
    return sl_error_set(err, rc, "the camera does not start: %s", why.text);
}

static void libcamera_close(void *state)
{
    struct libcamera_camera *c = state;
    libcamera_stop(c);
    disconnect(c);
    if (c->has_lock) {
        pthread_cond_destroy(&c->news);
        pthread_mutex_destroy(&c->lock);
    }
    c->has_lock = false;
}

/* ---- frames ---- */

/* The newest frame's buffer, or a negative errno. */
static int take_newest(struct libcamera_camera *c, struct sl_frame_info *info, uint64_t *stamp_ns,
                       uint64_t deadline_ns)
{
    const struct timespec deadline = sl_clock_timespec(deadline_ns);
    pthread_mutex_lock(&c->lock);
    int waited = 0;
    while (c->newest < 0 && !c->gone && !c->bad && waited == 0)
        waited = pthread_cond_timedwait(&c->news, &c->lock, &deadline);
    const int result = c->newest >= 0 ? c->newest
                       : c->gone      ? -EPIPE
                       : c->bad       ? -EPROTO
                                      : -ETIMEDOUT;
    info->frame_id = c->frame.frame_id;
    info->dropped = c->frame.dropped;
    info->received_ns = c->frame.received_ns;
    *stamp_ns = c->frame.stamp_ns;
    c->newest = -1;
    c->bad = false; /* one that came before a good one says nothing against that */
    pthread_mutex_unlock(&c->lock);
    return result;
}

static int libcamera_fill(void *state, void *memory, size_t capacity, struct sl_frame_info *info,
                          uint64_t deadline_ns)
{
    struct libcamera_camera *c = state;
    (void)capacity; /* not below caps.frame_bytes */
    uint64_t stamp_ns;
    const int buffer = take_newest(c, info, &stamp_ns, deadline_ns);
    if (buffer == -EPIPE) {
        if (c->told_gone)
            sl_clock_sleep_until_ns(deadline_ns);
        c->told_gone = true;
        return sl_error_set(&c->why, -EPIPE, "libcamera's camera is gone: unplugged?");
    }
    if (buffer == -EPROTO)
        return sl_error_set(&c->why, -EPROTO, "libcamera gave a frame up");
    if (buffer < 0)
        return buffer;
    c->api->sync(c->session, (uint32_t)buffer, true);
    sl_libcamera_unpack(c->way, &c->format, &c->buffers[buffer], memory, info);
    c->api->sync(c->session, (uint32_t)buffer, false);
    /* A sensor's stamp is of the first row's exposure or of the end of it: the middle of
     * the picture's lies up to half an exposure before, half a readout behind. */
    info->exposed_ns = sl_libcamera_exposed_ns(stamp_ns, info->received_ns, c->boot_ahead_ns,
                                               c->started_ns > OLD_NS ? c->started_ns - OLD_NS : 0);
    info->received_ns = sl_clock_now_ns();
    pthread_mutex_lock(&c->lock);
    c->read |= UINT32_C(1) << buffer;
    pthread_mutex_unlock(&c->lock);
    return 0;
}

static void libcamera_drops(const void *state, struct sl_camera_drops *drops)
{
    struct libcamera_camera *c = (struct libcamera_camera *)state; /* for its lock */
    pthread_mutex_lock(&c->lock);
    *drops = c->drops;
    pthread_mutex_unlock(&c->lock);
}

static const char *libcamera_transfer(const void *state)
{
    const struct libcamera_camera *c = state;
    return c->way->copy == SL_LIBCAMERA_INTERLEAVE ? "one copy (libcamera, YUV420 to NV12)"
           : c->way->copy == SL_LIBCAMERA_SWAP     ? "one copy (libcamera, RGB to BGR)"
                                                   : "one copy (libcamera)";
}

static const char *libcamera_problem(const void *state)
{
    return ((const struct libcamera_camera *)state)->why.text;
}

const struct sl_camera_driver sl_camera_libcamera = {
    .name = "libcamera",
    .help = "cameras of a Raspberry Pi's CSI connectors and others of libcamera; source: a number, "
            "an id or a part of it, a sensor's name, or nothing for the first",
    .state_bytes = sizeof(struct libcamera_camera),
    .open = libcamera_open,
    .start = libcamera_start,
    .fill = libcamera_fill,
    .share = sl_camera_cannot_share,
    .queue = sl_camera_cannot_queue,
    .take = sl_camera_cannot_take,
    .drops = libcamera_drops,
    .transfer = libcamera_transfer,
    .stop = libcamera_stop,
    .close = libcamera_close,
    .problem = libcamera_problem,
};

/* ---- lists ---- */

int sl_libcamera_list(void (*each)(void *context, const struct sl_libcamera_info *info),
                      void *context, struct sl_error *err)
{
    struct sl_libcamera_why why = {""};
    const struct sl_libcamera_api *api = sl_libcamera_load(err);
    if (api == NULL)
        return -ENODEV;
    const int rc = api->list(each, context, &why);
    return rc == 0 ? 0 : sl_error_set(err, rc, "libcamera does not run here: %s", why.text);
}
