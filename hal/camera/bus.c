/* Frames that another process publishes: a simulator, a recording, a camera
 * with a process of its own. Rows are packed tightly while they are copied out
 * of shared memory; what the writer says of them is checked before, and the
 * copy is thrown away if the writer took the slot back meanwhile. */
#include "rt/bus.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "hal/camera/drivers.h"
#include "rt/clock.h"
#include "rt/records.h"

/* Memory to ask for if nobody said how large the frames will be. */
#define DEFAULT_WIDTH_PX  1920u
#define DEFAULT_HEIGHT_PX 1080u

/* A reader that is overrun so often cannot keep up at all. */
#define OVERRUNS_MAX 3

struct bus_camera {
    char name[SL_BUS_NAME_MAX + 1];
    uint32_t writers;             /* enum sl_bus_writers */
    uint32_t width_px, height_px; /* that must be; 0: any */
    struct sl_bus_reader *reader; /* while started */
    uint64_t attached;            /* which writer `missed` is counted for */
    uint64_t missed;              /* frames published, but not delivered here */
    struct sl_error why;
};

static int bus_open(void *state, const struct sl_camera_config *config, struct sl_camera_caps *caps,
                    struct sl_error *err)
{
    struct bus_camera *b = state;
    const char *name =
        config->source != NULL && config->source[0] != '\0' ? config->source : SL_BUS_CAMERA;
    if (strlen(name) > SL_BUS_NAME_MAX)
        return sl_error_set(err, -EINVAL, "the bus name %s is longer than %d characters", name,
                            SL_BUS_NAME_MAX);
    memcpy(b->name, name, strlen(name) + 1);
    b->writers = config->bus_writers;
    b->width_px = config->width_px;
    b->height_px = config->height_px;
    const uint32_t width_px = b->width_px != 0 ? b->width_px : DEFAULT_WIDTH_PX;
    const uint32_t height_px = b->height_px != 0 ? b->height_px : DEFAULT_HEIGHT_PX;
    caps->width_px = b->width_px;
    caps->height_px = b->height_px;
    /* The format is the writer's choice, and it may start later: room for the
     * largest. */
    caps->frame_bytes = sl_frame_size_bytes(SL_FORMAT_BGRA, width_px, height_px);

    /* Opened once to have the name judged now rather than at the start. */
    const struct sl_bus_reader_config reader = {
        .name = b->name, .type = SL_RECORD_FRAME, .writers = b->writers};
    int failed = sl_bus_reader_open(&b->reader, &reader, err);
    sl_bus_reader_close(b->reader);
    b->reader = NULL;
    return failed;
}

static int bus_start(void *state, struct sl_error *err)
{
    struct bus_camera *b = state;
    const struct sl_bus_reader_config reader = {
        .name = b->name, .type = SL_RECORD_FRAME, .realtime = true, .writers = b->writers};
    b->attached = 0;
    b->missed = 0;
    return sl_bus_reader_open(&b->reader, &reader, err);
}

static void copy_planes(const struct sl_frame_info *from, const uint8_t *source,
                        const struct sl_frame_info *to, uint8_t *memory)
{
    for (uint32_t i = 0; i < to->plane_count; i++) {
        /* NV12's second plane is the only one with fewer rows than the picture. */
        const uint32_t rows = i == 0 ? to->height_px : to->height_px / 2;
        const size_t row_bytes = to->planes[i].stride_bytes;
        const size_t stride = from->planes[i].stride_bytes;
        const uint8_t *in = source + from->planes[i].offset_bytes;
        uint8_t *out = memory + to->planes[i].offset_bytes;
        if (stride == row_bytes) {
            memcpy(out, in, row_bytes * rows);
            continue;
        }
        for (uint32_t y = 0; y < rows; y++)
            memcpy(out + y * row_bytes, in + y * stride, row_bytes);
    }
}

/* Checks what the writer says and copies the frame. */
static int copy_frame(struct bus_camera *b, const struct sl_bus_view *view, void *memory,
                      size_t capacity, struct sl_frame_info *info)
{
    /* Shared memory may change under our eyes: decide on a copy. */
    struct sl_frame_info source;
    memcpy(&source, view->meta, sizeof source);
    if (sl_frame_check(&source, view->size, &b->why) != 0) {
        sl_error_prefix(&b->why, "a frame on bus %s", b->name);
        return -EPROTO;
    }
    if (b->width_px != 0 && (source.width_px != b->width_px || source.height_px != b->height_px))
        return sl_error_set(&b->why, -EPROTO,
                            "the frames on bus %s have %u x %u px, but %u x %u are set; make the "
                            "settings of both sides agree",
                            b->name, source.width_px, source.height_px, b->width_px, b->height_px);
    *info = source;
    memset(info->reserved, 0, sizeof info->reserved);
    if (source.fourcc == SL_FORMAT_MJPEG) {
        const uint32_t offset = source.planes[0].offset_bytes;
        info->planes[0].offset_bytes = 0;
        info->size_bytes = source.size_bytes - offset;
        if (info->size_bytes <= capacity)
            memcpy(memory, (const uint8_t *)view->data + offset, info->size_bytes);
    } else {
        /* Cannot fail: the check above covers all that the layout depends on. */
        (void)sl_frame_layout(info, source.fourcc, source.width_px, source.height_px);
        if (info->size_bytes <= capacity)
            copy_planes(&source, view->data, info, memory);
    }
    if (info->size_bytes > capacity)
        return sl_error_set(&b->why, -EPROTO,
                            "a frame on bus %s takes %u bytes, there is room for %zu; set the "
                            "camera's width and height",
                            b->name, info->size_bytes, capacity);
    return 0;
}

/* A frame is there: takes it. -EOVERFLOW if it was lost on the way. */
static int take_frame(struct bus_camera *b, struct sl_bus_view *view, void *memory, size_t capacity,
                      struct sl_frame_info *info)
{
    const uint64_t attached = sl_bus_reader_attached(b->reader);
    if (attached != b->attached) {
        b->attached = attached;
        b->missed = 0;
    }
    b->missed += view->missed;
    int result = copy_frame(b, view, memory, capacity, info);
    if (sl_bus_release(b->reader, view) != 0)
        result = -EOVERFLOW; /* whatever was found may be half of another frame */
    if (result != 0)
        b->missed++;
    else
        info->dropped += b->missed;
    return result;
}

static int bus_fill(void *state, void *memory, size_t capacity, struct sl_frame_info *info,
                    uint64_t deadline_ns)
{
    struct bus_camera *b = state;
    int overruns = 0;
    for (;;) {
        struct sl_bus_view view;
        int result = sl_bus_acquire_newest(b->reader, &view);
        if (result == 0) {
            result = take_frame(b, &view, memory, capacity, info);
            if (result != -EOVERFLOW)
                return result;
            if (++overruns == OVERRUNS_MAX)
                return -ETIMEDOUT;
            continue;
        }
        if (result == -EAGAIN || sl_clock_now_ns() < deadline_ns)
            result = sl_bus_wait(b->reader, deadline_ns);
        if (result == 0)
            continue;
        if (result == -ETIMEDOUT)
            return result;
        sl_error_set(&b->why, result, "%s", sl_bus_reader_problem(b->reader));
        return result == -EPROTO ? -EPROTO : -EPIPE;
    }
}

static void bus_drops(const void *state, struct sl_camera_drops *drops)
{
    const struct bus_camera *b = state;
    drops->late = b->missed;
}

static const char *bus_transfer(const void *state)
{
    (void)state;
    return "copied from another bus";
}

static void bus_stop(void *state)
{
    struct bus_camera *b = state;
    sl_bus_reader_close(b->reader);
    b->reader = NULL;
}

static void bus_close(void *state)
{
    bus_stop(state);
}

static const char *bus_problem(const void *state)
{
    return ((const struct bus_camera *)state)->why.text;
}

const struct sl_camera_driver sl_camera_bus = {
    .name = "bus",
    .help = "frames that another process publishes; source: the bus's name (camera_feed)",
    .state_bytes = sizeof(struct bus_camera),
    .open = bus_open,
    .start = bus_start,
    .fill = bus_fill,
    .share = sl_camera_cannot_share,
    .queue = sl_camera_cannot_queue,
    .take = sl_camera_cannot_take,
    .drops = bus_drops,
    .transfer = bus_transfer,
    .stop = bus_stop,
    .close = bus_close,
    .problem = bus_problem,
};
