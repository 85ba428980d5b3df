/* Cameras of Video4Linux. Where the kernel lets us, the device writes into the bus's
 * own slots: through udmabuf (a dma-buf made of the bus's memfd; on huge pages a
 * slot is one piece of memory), else through user pointers. Else it writes into
 * buffers of its own, from which a frame is copied, or decoded, once. */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include <linux/dma-buf.h>
#include <linux/videodev2.h>

#include "hal/camera/drivers.h"
#include "hal/camera/image.h"
#include "hal/camera/luma.h"
#include "hal/camera/v4l2_device.h"
#include "rt/clock.h"

#define SOURCE_MAX  64
#define BUFFERS_MAX 32 /* the kernel's VIDEO_MAX_FRAME */
/* Between the one that the device fills and the one that is looked at. */
#define SPARE_BUFFERS 1
/* A device that was reset counts from 0 again: such a step is no gap. */
#define GAP_MAX 1000
#define OLD_NS  SL_NS_PER_S

struct v4l2_camera {
    struct sl_v4l2_device device;
    char source[SOURCE_MAX];
    uint32_t fourcc, width_px, height_px; /* asked */
    double rate_hz;
    struct sl_v4l2_controls controls;
    struct sl_frame_info agreed;      /* at opening: a device that comes back must agree again */
    struct sl_image_decoder *decoder; /* NULL: frames are not compressed */
    uint32_t decoded;                 /* format that it makes */
    bool luma_only;                   /* YUYV comes, and GRAY8 is wanted */
    uint32_t memory;                  /* enum v4l2_memory */
    struct sl_bus_payloads areas;     /* if they are shared */
    uint32_t buffer_count;
    struct {
        void *map;
        size_t bytes;
    } own[BUFFERS_MAX]; /* the device's, mapped here */

    /* while it streams */
    bool streaming;
    uint32_t queued; /* buffers that the device has */
    bool starved;    /* it had none, since the last frame */
    bool seen;       /* a frame since the start; its number is: */
    uint32_t sequence;

    uint64_t frame_id;
    struct sl_camera_drops drops;
    struct sl_error why;
};

static uint64_t dropped(const struct v4l2_camera *v)
{
    return v->drops.sensor + v->drops.no_area + v->drops.late + v->drops.corrupt;
}

/* ---- opening ---- */

/* Finds the device and agrees with it. */
static int connect(struct v4l2_camera *v, struct sl_error *err)
{
    int rc = sl_v4l2_open(&v->device, v->source, err);
    if (rc == 0)
        rc = sl_v4l2_negotiate(&v->device, v->fourcc, v->width_px, v->height_px, v->rate_hz, err);
    if (rc == 0)
        rc = sl_v4l2_set_controls(&v->device, &v->controls, err);
    if (rc != 0)
        sl_v4l2_close(&v->device);
    return rc;
}

static int v4l2_open(void *state, const struct sl_camera_config *config,
                     struct sl_camera_caps *caps, struct sl_error *err)
{
    struct v4l2_camera *v = state;
    v->device.fd = -1;
    if (config->source != NULL && strlen(config->source) >= SOURCE_MAX)
        return sl_error_set(err, -EINVAL, "camera.source is longer than %d characters",
                            SOURCE_MAX - 1);
    if (config->source != NULL)
        memcpy(v->source, config->source, strlen(config->source) + 1);
    if (config->width_px == 0)
        return sl_error_set(err, -EINVAL, "a V4L2 camera needs its width and height");
    v->fourcc = config->fourcc != 0 ? config->fourcc : (uint32_t)SL_FORMAT_NV12;
    v->width_px = config->width_px;
    v->height_px = config->height_px;
    v->rate_hz = config->rate_hz;
    v->controls = (struct sl_v4l2_controls){.exposure_us = config->exposure_us,
                                            .gain = config->gain,
                                            .white_balance_k = config->white_balance_k,
                                            .focus = config->focus,
                                            .focus_locked = config->focus_locked};
    v->memory = V4L2_MEMORY_MMAP;
    const int rc = connect(v, err);
    if (rc != 0)
        return rc;
    v->agreed = v->device.layout;
    *caps =
        (struct sl_camera_caps){.width_px = v->width_px,
                                .height_px = v->height_px,
                                .fourcc = v->agreed.fourcc,
                                .frame_bytes = v->device.image_bytes,
                                .rate_hz = v->device.rate_hz > 0 ? v->device.rate_hz : v->rate_hz,
                                .areas = sl_v4l2_min_buffers(&v->device) + 1 + SPARE_BUFFERS};
    v->luma_only = v->agreed.fourcc == SL_FORMAT_YUYV && v->fourcc == SL_FORMAT_GRAY8;
    if (v->luma_only) {
        caps->fourcc = SL_FORMAT_GRAY8;
        caps->frame_bytes = sl_frame_size_bytes(SL_FORMAT_GRAY8, v->width_px, v->height_px);
        caps->areas = 0;
    }
    if (v->agreed.fourcc != SL_FORMAT_MJPEG)
        return 0;
    v->decoded = v->fourcc == SL_FORMAT_MJPEG ? (uint32_t)SL_FORMAT_NV12 : v->fourcc;
    v->decoder = sl_image_decoder_create();
    caps->fourcc = v->decoded;
    caps->frame_bytes = sl_frame_size_bytes(v->decoded, v->width_px, v->height_px);
    caps->areas = 0;
    if (v->decoder == NULL || caps->frame_bytes == 0)
        return sl_error_set(err, v->decoder == NULL ? -ENOMEM : -EINVAL,
                            "the camera's JPEG pictures cannot be decoded: no memory, or odd "
                            "sides");
    return 0;
}

/* ---- buffers ---- */

static struct v4l2_buffer make_buffer(const struct v4l2_camera *v, uint32_t index,
                                      struct v4l2_plane *plane)
{
    struct v4l2_buffer b = {.type = v->device.type, .memory = v->memory, .index = index};
    const bool planes = b.type == V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE;
    *plane = (struct v4l2_plane){0};
    if (planes) {
        b.m.planes = plane;
        b.length = 1;
    }
    if (v->memory == V4L2_MEMORY_USERPTR) {
        const unsigned long address =
            (unsigned long)(v->areas.base + index * v->areas.stride_bytes);
        if (planes) {
            plane->m.userptr = address;
            plane->length = (uint32_t)v->areas.capacity_bytes;
        } else {
            b.m.userptr = address;
            b.length = (uint32_t)v->areas.capacity_bytes;
        }
    } else if (v->memory == V4L2_MEMORY_DMABUF) {
        if (planes)
            plane->m.fd = v->areas.dmabufs[index];
        else
            b.m.fd = v->areas.dmabufs[index];
    }
    return b;
}

/* The driver may give fewer, or more. */
static int request(struct v4l2_camera *v, uint32_t count)
{
    struct v4l2_requestbuffers r = {.count = count, .type = v->device.type, .memory = v->memory};
    const int rc = sl_v4l2_ioctl(v->device.fd, VIDIOC_REQBUFS, &r);
    v->buffer_count = rc == 0 && r.count <= BUFFERS_MAX ? r.count : 0;
    return rc;
}

/* What the device wrote is to be read by the processor, or the reverse; only memory
 * that it does not see coherently needs it, and udmabuf knows. */
static void sync_area(const struct v4l2_camera *v, uint32_t area, uint64_t flags)
{
    struct dma_buf_sync s = {.flags = flags | DMA_BUF_SYNC_READ};
    if (v->memory == V4L2_MEMORY_DMABUF)
        sl_v4l2_ioctl(v->areas.dmabufs[area], DMA_BUF_IOCTL_SYNC, &s);
}

static int queue_buffer(struct v4l2_camera *v, uint32_t index)
{
    struct v4l2_plane plane;
    struct v4l2_buffer b = make_buffer(v, index, &plane);
    const int rc = sl_v4l2_ioctl(v->device.fd, VIDIOC_QBUF, &b);
    v->queued += rc == 0;
    return rc;
}

/* ---- sharing ---- */

/* ---- sharing, tried ---- */

#define PIECE_BYTES 4096u
#define TRIAL_NS    (2 * SL_NS_PER_S)

/* What no picture looks like: another word at each place. */
static uint64_t mark_of(size_t offset)
{
    return (offset + 1) * UINT64_C(0x9e3779b97f4a7c15);
}

static void mark(uint8_t *area, size_t bytes)
{
    for (size_t i = 0; i + PIECE_BYTES <= bytes; i += PIECE_BYTES)
        memcpy(area + i, &(uint64_t){mark_of(i)}, sizeof(uint64_t));
}

/* True if every page of it was written to. */
static bool is_whole(const uint8_t *area, size_t bytes)
{
    for (size_t i = 0; i + PIECE_BYTES <= bytes; i += PIECE_BYTES) {
        uint64_t word;
        memcpy(&word, area + i, sizeof word);
        if (word == mark_of(i))
            return false;
    }
    return true;
}

/* One frame into memory of this kind. Asking for buffers does not tell whether the
 * device can write there, nor does queuing one; and udmabuf of some kernels (6.12)
 * shows drivers without DMA the first page of each huge one again and again. */
static bool try_one_frame(struct v4l2_camera *v)
{
    struct pollfd p = {.fd = v->device.fd, .events = POLLIN};
    struct v4l2_plane plane;
    struct v4l2_buffer b = make_buffer(v, 0, &plane);
    for (uint32_t i = 0; i < v->areas.count; i++) {
        mark(v->areas.base + i * v->areas.stride_bytes, v->agreed.size_bytes);
        if (queue_buffer(v, i) != 0)
            return false;
    }
    return sl_v4l2_ioctl(v->device.fd, VIDIOC_STREAMON, &v->device.type) == 0 &&
           poll(&p, 1, (int)(TRIAL_NS / SL_NS_PER_MS)) == 1 &&
           sl_v4l2_ioctl(v->device.fd, VIDIOC_DQBUF, &b) == 0 && b.index < v->areas.count &&
           is_whole(v->areas.base + b.index * v->areas.stride_bytes, v->agreed.size_bytes);
}

static bool accepts(struct v4l2_camera *v, uint32_t memory)
{
    v->memory = memory;
    const bool good =
        request(v, v->areas.count) == 0 && v->buffer_count >= v->areas.count && try_one_frame(v);
    sl_v4l2_ioctl(v->device.fd, VIDIOC_STREAMOFF, &v->device.type);
    v->queued = 0;
    request(v, 0);
    return good;
}

static int v4l2_share(void *state, const struct sl_bus_payloads *areas, struct sl_error *err)
{
    struct v4l2_camera *v = state;
    if (v->decoder != NULL || v->luma_only)
        return sl_error_set(err, -ENOTSUP, "frames are converted on their way into the bus");
    if (areas->count > BUFFERS_MAX)
        return sl_error_set(err, -ENOTSUP, "%u slots are more than a V4L2 device takes (%d)",
                            areas->count, BUFFERS_MAX);
    v->areas = *areas;
    if (areas->dmabufs != NULL && accepts(v, V4L2_MEMORY_DMABUF))
        return 0;
    if (accepts(v, V4L2_MEMORY_USERPTR))
        return 0;
    v->memory = V4L2_MEMORY_MMAP;
    return sl_error_set(err, -ENOTSUP,
                        "%s (%s) does not write into the bus by itself: frames are copied once",
                        v->device.info.path, v->device.info.card);
}

static const char *v4l2_transfer(const void *state)
{
    const struct v4l2_camera *v = state;
    return v->decoder != NULL                 ? "MJPEG, decoded into the bus"
           : v->luma_only                     ? "luma of YUYV, copied"
           : v->memory == V4L2_MEMORY_DMABUF  ? "zero copy (DMABUF)"
           : v->memory == V4L2_MEMORY_USERPTR ? "zero copy (USERPTR)"
                                              : "one copy (MMAP)";
}

/* ---- starting and stopping ---- */

static void unmap(struct v4l2_camera *v)
{
    for (int i = 0; i < BUFFERS_MAX; i++) {
        if (v->own[i].map != NULL)
            munmap(v->own[i].map, v->own[i].bytes);
        v->own[i].map = NULL;
    }
}

static int map_buffers(struct v4l2_camera *v)
{
    for (uint32_t i = 0; i < v->buffer_count; i++) {
        struct v4l2_plane plane;
        struct v4l2_buffer b = make_buffer(v, i, &plane);
        const int rc = sl_v4l2_ioctl(v->device.fd, VIDIOC_QUERYBUF, &b);
        if (rc != 0)
            return rc;
        const bool planes = b.type == V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE;
        v->own[i].bytes = planes ? plane.length : b.length;
        void *map = mmap(NULL, v->own[i].bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
                         v->device.fd, planes ? plane.m.mem_offset : b.m.offset);
        if (map == MAP_FAILED)
            return -errno;
        v->own[i].map = map;
    }
    return 0;
}

static void v4l2_stop(void *state)
{
    struct v4l2_camera *v = state;
    unmap(v);
    if (v->device.fd >= 0) {
        sl_v4l2_ioctl(v->device.fd, VIDIOC_STREAMOFF, &v->device.type);
        request(v, 0);
    }
    v->streaming = false;
    v->queued = 0;
}

static int v4l2_start(void *state, struct sl_error *err)
{
    struct v4l2_camera *v = state;
    int rc = v->device.fd >= 0 ? 0 : connect(v, err);
    if (rc != 0)
        return rc;
    if (memcmp(&v->device.layout, &v->agreed, sizeof v->agreed) != 0) {
        sl_v4l2_close(&v->device);
        return sl_error_set(err, -EPROTO,
                            "the camera that came back has other frames than the one before; "
                            "start the program anew");
    }
    v->seen = v->starved = false;
    const bool copies = v->memory == V4L2_MEMORY_MMAP;
    rc = request(v, copies ? sl_v4l2_min_buffers(&v->device) + 2 + SPARE_BUFFERS : v->areas.count);
    if (rc == 0 && v->buffer_count < (copies ? 2 : v->areas.count))
        rc = -ENOMEM;
    if (rc == 0 && copies)
        rc = map_buffers(v);
    for (uint32_t i = 0; rc == 0 && copies && i < v->buffer_count; i++)
        rc = queue_buffer(v, i);
    if (rc == 0)
        rc = sl_v4l2_ioctl(v->device.fd, VIDIOC_STREAMON, &v->device.type);
    v->streaming = rc == 0;
    if (rc == 0)
        return 0;
    sl_error_set(err, rc, "%s (%s) does not start: %s%s", v->device.info.path, v->device.info.card,
                 strerror(-rc),
                 rc == -ENOSPC  ? " (the USB bus has too little bandwidth left: use another port, "
                                  "a smaller picture, or MJPEG)"
                 : rc == -EBUSY ? " (another program uses it)"
                                : "");
    v4l2_stop(v);
    sl_v4l2_close(&v->device); /* the next start looks for it anew */
    return rc;
}

static void v4l2_close(void *state)
{
    struct v4l2_camera *v = state;
    v4l2_stop(v);
    sl_v4l2_close(&v->device);
    sl_image_decoder_destroy(v->decoder);
    v->decoder = NULL;
}

/* ---- frames ---- */

static int is_gone(struct v4l2_camera *v, int rc)
{
    sl_error_set(&v->why, -EPIPE, "%s (%s) is gone: %s", v->device.info.path, v->device.info.card,
                 rc == -ENODEV ? "unplugged?" : strerror(-rc));
    v4l2_stop(v);
    sl_v4l2_close(&v->device);
    return -EPIPE;
}

/* Counts what the device did not deliver before this frame. */
static void count_gap(struct v4l2_camera *v, uint32_t sequence)
{
    const uint32_t gap = v->seen ? sequence - v->sequence - 1 : 0;
    v->seen = true;
    v->sequence = sequence;
    v->frame_id++;
    if (gap == 0 || gap > GAP_MAX)
        return;
    v->frame_id += gap;
    if (v->starved)
        v->drops.no_area += gap;
    else
        v->drops.sensor += gap;
}

/* A buffer that the device has filled. */
struct arrival {
    uint32_t index, flags;
    size_t bytes;
    uint64_t stamp_ns;
};

/* True if its queue has failed for good, as after an error that it cannot go on from. */
static bool says_error(const struct v4l2_camera *v)
{
    struct pollfd p = {.fd = v->device.fd, .events = POLLIN};
    return poll(&p, 1, 0) == 1 && (p.revents & POLLERR) != 0;
}

/* One of the buffers that are ready: 0, -EAGAIN (none), -EPROTO (a broken one, given
 * back already), -EPIPE. */
static int dequeue(struct v4l2_camera *v, struct arrival *a)
{
    struct v4l2_plane plane;
    struct v4l2_buffer b = make_buffer(v, 0, &plane);
    const int rc = sl_v4l2_ioctl(v->device.fd, VIDIOC_DQBUF, &b);
    if (rc == -EAGAIN)
        return rc;
    /* "Temporary problems like signal loss", or the end. */
    if (rc == -EIO && !says_error(v)) {
        v->drops.corrupt++;
        v->frame_id++;
        return sl_error_set(&v->why, -EPROTO, "%s (%s) had trouble with a frame",
                            v->device.info.path, v->device.info.card);
    }
    if (rc != 0 || b.index >= v->buffer_count)
        return is_gone(v, rc != 0 ? rc : -EPROTO);
    v->queued -= v->queued > 0;
    count_gap(v, b.sequence);
    sync_area(v, b.index, DMA_BUF_SYNC_START);
    *a = (struct arrival){.index = b.index,
                          .flags = b.flags,
                          .bytes = b.type == V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE ? plane.bytesused
                                                                                : b.bytesused,
                          .stamp_ns = (uint64_t)b.timestamp.tv_sec * SL_NS_PER_S +
                                      (uint64_t)b.timestamp.tv_usec * SL_NS_PER_US};
    const size_t least = v->decoder != NULL ? 1 : v->agreed.size_bytes;
    const bool torn = (a->flags & V4L2_BUF_FLAG_ERROR) != 0;
    if (!torn && a->bytes >= least)
        return 0;
    v->drops.corrupt++;
    sl_error_set(&v->why, -EPROTO, "a frame of %s (%s) came %s: %zu of %zu bytes",
                 v->device.info.path, v->device.info.card, torn ? "marked as broken" : "incomplete",
                 a->bytes, least);
    sync_area(v, a->index, DMA_BUF_SYNC_END);
    const int again = queue_buffer(v, a->index);
    return again == 0 ? -EPROTO : is_gone(v, again);
}

static int wait_ready(struct v4l2_camera *v, uint64_t deadline_ns)
{
    struct pollfd p = {.fd = v->device.fd, .events = POLLIN};
    const uint64_t now_ns = sl_clock_now_ns();
    const uint64_t left_ns = deadline_ns > now_ns ? deadline_ns - now_ns : 0;
    const struct timespec left = {.tv_sec = (time_t)(left_ns / SL_NS_PER_S),
                                  .tv_nsec = (long)(left_ns % SL_NS_PER_S)};
    const int ready = ppoll(&p, 1, &left, NULL);
    if (ready < 0 && errno != EINTR)
        return is_gone(v, -errno);
    if (ready <= 0)
        return -ETIMEDOUT;
    if ((p.revents & POLLERR) != 0 && v->queued == 0) { /* nothing to write to, it means */
        sl_clock_sleep_until_ns(deadline_ns);
        return -ETIMEDOUT;
    }
    return 0;
}

/* When the device says it was exposed. */
static uint64_t exposed_ns(const struct v4l2_camera *v, const struct arrival *a, uint64_t now_ns)
{
    if ((a->flags & V4L2_BUF_FLAG_TIMESTAMP_MASK) != V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC ||
        a->stamp_ns > now_ns || now_ns - a->stamp_ns > OLD_NS)
        return now_ns; /* of another clock, or nonsense */
    /* Of the start of the exposure; its middle is known only where it is locked. */
    const uint64_t half_ns = (uint64_t)(v->controls.exposure_us * 500);
    const bool at_start =
        (a->flags & V4L2_BUF_FLAG_TSTAMP_SRC_MASK) == V4L2_BUF_FLAG_TSTAMP_SRC_SOE;
    return at_start && a->stamp_ns + half_ns <= now_ns ? a->stamp_ns + half_ns : a->stamp_ns;
}

/* Gives it back unused: a newer one is there, or wanted. */
static int drop_late(struct v4l2_camera *v, uint32_t index)
{
    v->drops.late++;
    sync_area(v, index, DMA_BUF_SYNC_END);
    const int rc = queue_buffer(v, index);
    return rc == 0 ? 0 : is_gone(v, rc);
}

/* The newest of those that are there. -EAGAIN: none is. */
static int newest_ready(struct v4l2_camera *v, struct arrival *newest)
{
    uint32_t older[BUFFERS_MAX], count = 0;
    struct arrival next;
    int rc = dequeue(v, newest);
    if (rc != 0)
        return rc;
    while (count < BUFFERS_MAX && (rc = dequeue(v, &next)) == 0) {
        older[count++] = newest->index;
        *newest = next;
    }
    v->starved = v->queued == 0; /* before those that are late are given back */
    for (uint32_t i = 0; rc != -EPIPE && i < count; i++)
        rc = drop_late(v, older[i]);
    return rc == -EPIPE ? rc : 0; /* a broken one behind it says nothing against it */
}

/* True if the device ran out of buffers long ago: what it saw since is lost, and what
 * it had then is old. */
static bool is_stale(const struct v4l2_camera *v, const struct arrival *a)
{
    const uint64_t now_ns = sl_clock_now_ns();
    return v->starved && v->device.rate_hz > 0 &&
           (double)(now_ns - exposed_ns(v, a, now_ns)) * 1e-9 * v->device.rate_hz > 1.5;
}

/* At most until the deadline. */
static int take_newest(struct v4l2_camera *v, struct arrival *a, uint64_t deadline_ns)
{
    if (!v->streaming) { /* gone, and not started anew */
        sl_clock_sleep_until_ns(deadline_ns);
        return -EPIPE;
    }
    int rc = newest_ready(v, a);
    if (rc == 0 && is_stale(v, a)) {
        rc = drop_late(v, a->index);
        rc = rc == 0 ? -EAGAIN : rc;
    }
    if (rc == -EAGAIN) {
        rc = wait_ready(v, deadline_ns);
        rc = rc == 0 ? newest_ready(v, a) : rc;
    }
    return rc == -EAGAIN ? -ETIMEDOUT : rc;
}

static void describe(const struct v4l2_camera *v, const struct arrival *a,
                     struct sl_frame_info *info)
{
    info->frame_id = v->frame_id;
    info->received_ns = sl_clock_now_ns();
    info->exposed_ns = exposed_ns(v, a, info->received_ns);
    info->dropped = dropped(v);
}

static int v4l2_queue(void *state, uint32_t area)
{
    struct v4l2_camera *v = state;
    if (!v->streaming)
        return -EPIPE;
    sync_area(v, area, DMA_BUF_SYNC_END);
    const int rc = queue_buffer(v, area);
    return rc == 0 ? 0 : is_gone(v, rc);
}

static int v4l2_take(void *state, uint32_t *area, struct sl_frame_info *info, uint64_t deadline_ns)
{
    struct v4l2_camera *v = state;
    struct arrival a;
    const int rc = take_newest(v, &a, deadline_ns);
    if (rc != 0)
        return rc;
    *info = v->agreed;
    describe(v, &a, info);
    *area = a.index;
    return 0;
}

static void copy_plane(const struct sl_frame_info *from, const uint8_t *pixels, uint32_t plane,
                       uint32_t rows, uint8_t *memory, const struct sl_frame_info *to)
{
    const uint8_t *in = pixels + from->planes[plane].offset_bytes;
    uint8_t *out = memory + to->planes[plane].offset_bytes;
    const size_t stride = from->planes[plane].stride_bytes, bytes = to->planes[plane].stride_bytes;
    if (stride == bytes) {
        memcpy(out, in, bytes * rows);
        return;
    }
    for (uint32_t y = 0; y < rows; y++)
        memcpy(out + y * bytes, in + y * stride, bytes);
}

static int v4l2_fill(void *state, void *memory, size_t capacity, struct sl_frame_info *info,
                     uint64_t deadline_ns)
{
    struct v4l2_camera *v = state;
    struct arrival a;
    int rc = take_newest(v, &a, deadline_ns);
    if (rc != 0)
        return rc;
    const uint8_t *pixels = v->own[a.index].map;
    const size_t size = a.bytes < v->own[a.index].bytes ? a.bytes : v->own[a.index].bytes;
    if (v->decoder != NULL) {
        rc = sl_image_decode(v->decoder, pixels, size, v->decoded, memory, capacity, info, &v->why);
        if (rc == 0 && (info->width_px != v->width_px || info->height_px != v->height_px))
            rc = sl_error_set(&v->why, -EPROTO, "a JPEG picture has %u x %u px", info->width_px,
                              info->height_px);
        if (rc != 0)
            v->drops.corrupt++;
    } else if (v->luma_only) {
        (void)sl_frame_layout(info, SL_FORMAT_GRAY8, v->width_px, v->height_px);
        sl_luma_from_yuyv(pixels + v->agreed.planes[0].offset_bytes,
                          v->agreed.planes[0].stride_bytes, v->width_px, v->height_px, memory);
    } else {
        (void)sl_frame_layout(info, v->agreed.fourcc, v->width_px, v->height_px);
        copy_plane(&v->agreed, pixels, 0, v->height_px, memory, info);
        if (info->plane_count > 1) /* NV12's chroma */
            copy_plane(&v->agreed, pixels, 1, v->height_px / 2, memory, info);
    }
    if (rc == 0)
        describe(v, &a, info);
    const int again = queue_buffer(v, a.index);
    if (again != 0)
        return is_gone(v, again);
    return rc == 0 ? 0 : -EPROTO;
}

static void v4l2_drops(const void *state, struct sl_camera_drops *drops)
{
    *drops = ((const struct v4l2_camera *)state)->drops;
}

static const char *v4l2_problem(const void *state)
{
    return ((const struct v4l2_camera *)state)->why.text;
}

const struct sl_camera_driver sl_camera_v4l2 = {
    .name = "v4l2",
    .help = "USB and other cameras of the kernel; source: /dev/videoN, N, a part of its name, or "
            "nothing for the first",
    .state_bytes = sizeof(struct v4l2_camera),
    .open = v4l2_open,
    .start = v4l2_start,
    .fill = v4l2_fill,
    .share = v4l2_share,
    .queue = v4l2_queue,
    .take = v4l2_take,
    .drops = v4l2_drops,
    .transfer = v4l2_transfer,
    .stop = v4l2_stop,
    .close = v4l2_close,
    .problem = v4l2_problem,
};
