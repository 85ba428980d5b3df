#include "hal/camera/pattern.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "hal/camera/drivers.h"
#include "hal/camera/pacer.h"
#include "rt/clock.h"

#define DEFAULT_WIDTH_PX  800u
#define DEFAULT_HEIGHT_PX 600u

#define ID_BITS      32
#define LUMA_SKY     150
#define LUMA_ROAD    80
#define LUMA_PAINT   220
#define LUMA_MARKER  250
#define LUMA_ONE     235
#define LUMA_ZERO    16
#define CHROMA_NONE  128
#define MARKER_PX    3    /* moves by this much a frame */
#define STEP_MM      167u /* 10 m/s at 60 frames a second */
#define DASH_MM      3000u
#define DASH_STEP_MM 9000u

static const double FOCAL_WIDTHS = 0.7;
static const double HEIGHT_M = 1.3;
static const double PITCH_RAD = 0.09;
static const double LINE_M = 1.75; /* half the lane's width */
static const double HALF_PAINT_M = 0.06;
static const double VIEW_M = 80.0;

/* Where the paint lies in a row: [from, to) on both sides. */
struct row_shape {
    uint32_t left_from, left_to;
    uint32_t right_from, right_to;
    uint32_t ahead_mm; /* 0: above the horizon */
};

struct pattern_camera {
    struct sl_frame_info layout;
    struct row_shape *rows;
    struct sl_pacer pacer;
    double rate_hz;
    uint64_t taken;
    uint64_t dropped;
    uint8_t row[SL_FRAME_WIDTH_MAX_PX]; /* luma, for formats that interleave it */
};

static uint32_t clamp_px(double x, uint32_t width_px)
{
    return x <= 0 ? 0 : x >= width_px ? width_px : (uint32_t)x;
}

/* The ray of row y meets the ground at `reach` times its direction, which is
 * (cos p - d sin p) ahead, (d cos p + sin p) down and 1 aside per focal length. */
static void shape_row(struct row_shape *shape, const struct sl_frame_info *layout, uint32_t y)
{
    const double focal_px = FOCAL_WIDTHS * layout->width_px;
    const double centre_px = layout->width_px / 2.0;
    const double slope = (y + 0.5 - layout->height_px / 2.0) / focal_px;
    const double down = slope * cos(PITCH_RAD) + sin(PITCH_RAD);
    *shape = (struct row_shape){0};
    if (down <= 0)
        return;
    const double reach = HEIGHT_M / down;
    const double ahead_m = reach * (cos(PITCH_RAD) - slope * sin(PITCH_RAD));
    shape->ahead_mm = 1;
    if (ahead_m > VIEW_M || ahead_m <= 0)
        return;
    shape->ahead_mm = 1 + (uint32_t)(ahead_m * 1000);
    const double px_per_m = focal_px / reach;
    const double inner = (LINE_M - HALF_PAINT_M) * px_per_m;
    const double outer = fmax((LINE_M + HALF_PAINT_M) * px_per_m, inner + 1);
    shape->left_from = clamp_px(centre_px - outer + 0.5, layout->width_px);
    shape->left_to = clamp_px(centre_px - inner + 0.5, layout->width_px);
    shape->right_from = clamp_px(centre_px + inner + 0.5, layout->width_px);
    shape->right_to = clamp_px(centre_px + outer + 0.5, layout->width_px);
}

static uint32_t cell_px(uint32_t width_px)
{
    return width_px / ID_BITS;
}

static void draw_row(const struct pattern_camera *p, uint32_t y, uint64_t id, uint8_t *row)
{
    const uint32_t width_px = p->layout.width_px;
    const uint32_t cell = cell_px(width_px);
    const struct row_shape *shape = &p->rows[y];
    memset(row, shape->ahead_mm == 0 ? LUMA_SKY : LUMA_ROAD, width_px);
    memset(row + shape->left_from, LUMA_PAINT, shape->left_to - shape->left_from);
    if ((shape->ahead_mm + id * STEP_MM) % DASH_STEP_MM < DASH_MM)
        memset(row + shape->right_from, LUMA_PAINT, shape->right_to - shape->right_from);
    if (y < cell && y < p->layout.height_px / 2) {
        for (uint32_t bit = 0; bit < ID_BITS; bit++)
            memset(row + bit * cell, id >> (ID_BITS - 1 - bit) & 1 ? LUMA_ONE : LUMA_ZERO, cell);
    } else if (y < 2 * cell) {
        memset(row + id * MARKER_PX % (width_px - cell), LUMA_MARKER, cell);
    }
}

static int pattern_open(void *state, const struct sl_camera_config *config,
                        struct sl_camera_caps *caps, struct sl_error *err)
{
    struct pattern_camera *p = state;
    const uint32_t fourcc = config->fourcc != 0 ? config->fourcc : (uint32_t)SL_FORMAT_NV12;
    const uint32_t width_px = config->width_px != 0 ? config->width_px : DEFAULT_WIDTH_PX;
    const uint32_t height_px = config->height_px != 0 ? config->height_px : DEFAULT_HEIGHT_PX;
    char name[5];
    if (width_px < SL_PATTERN_WIDTH_MIN_PX || height_px < SL_PATTERN_HEIGHT_MIN_PX)
        return sl_error_set(err, -EINVAL,
                            "a test picture of %u x %u px is too small; at least %d "
                            "x %d",
                            width_px, height_px, SL_PATTERN_WIDTH_MIN_PX, SL_PATTERN_HEIGHT_MIN_PX);
    if (sl_frame_layout(&p->layout, fourcc, width_px, height_px) != 0)
        return sl_error_set(err, -EINVAL,
                            "no test picture in %s of %u x %u px: GRAY8, BGR24 and BGRA have any "
                            "size, YUYV an even width, NV12 even sides",
                            sl_frame_format_name(fourcc, name), width_px, height_px);
    p->rate_hz = config->rate_hz;
    p->rows = calloc(height_px, sizeof *p->rows);
    if (p->rows == NULL)
        return sl_error_set(err, -ENOMEM, "no memory for a test picture");
    for (uint32_t y = 0; y < height_px; y++)
        shape_row(&p->rows[y], &p->layout, y);
    *caps = (struct sl_camera_caps){.width_px = width_px,
                                    .height_px = height_px,
                                    .fourcc = fourcc,
                                    .frame_bytes = p->layout.size_bytes,
                                    .rate_hz = p->rate_hz};
    return 0;
}

static int pattern_start(void *state, struct sl_error *err)
{
    struct pattern_camera *p = state;
    (void)err;
    sl_pacer_reset(&p->pacer, p->rate_hz);
    return 0;
}

static void draw(struct pattern_camera *p, uint64_t id, uint8_t *memory)
{
    const struct sl_frame_info *layout = &p->layout;
    for (uint32_t y = 0; y < layout->height_px; y++) {
        uint8_t *out = memory + (size_t)y * layout->planes[0].stride_bytes;
        if (layout->fourcc == SL_FORMAT_GRAY8 || layout->fourcc == SL_FORMAT_NV12) {
            draw_row(p, y, id, out);
            continue;
        }
        draw_row(p, y, id, p->row);
        for (uint32_t x = 0; x < layout->width_px; x++) {
            *out++ = p->row[x];
            if (layout->fourcc == SL_FORMAT_YUYV) {
                *out++ = CHROMA_NONE;
                continue;
            }
            *out++ = p->row[x];
            *out++ = p->row[x];
            if (layout->fourcc == SL_FORMAT_BGRA)
                *out++ = 255;
        }
    }
    if (layout->fourcc == SL_FORMAT_NV12)
        memset(memory + layout->planes[1].offset_bytes, CHROMA_NONE,
               layout->size_bytes - layout->planes[1].offset_bytes);
}

static int pattern_fill(void *state, void *memory, size_t capacity, struct sl_frame_info *info,
                        uint64_t deadline_ns)
{
    struct pattern_camera *p = state;
    uint64_t index, due_ns, skipped;
    (void)capacity;
    const int waited = sl_pacer_wait(&p->pacer, deadline_ns, UINT64_MAX, &index, &due_ns, &skipped);
    if (waited != 0)
        return waited;
    p->taken += skipped + 1;
    p->dropped += skipped;
    draw(p, p->taken, memory);
    *info = p->layout;
    info->frame_id = p->taken;
    info->dropped = p->dropped;
    info->exposed_ns = due_ns;
    info->received_ns = sl_clock_now_ns();
    return 0;
}

static void pattern_drops(const void *state, struct sl_camera_drops *drops)
{
    const struct pattern_camera *p = state;
    drops->late = p->dropped;
}

static const char *pattern_transfer(const void *state)
{
    (void)state;
    return "drawn";
}

static void pattern_stop(void *state)
{
    (void)state;
}

static void pattern_close(void *state)
{
    struct pattern_camera *p = state;
    free(p->rows);
    p->rows = NULL;
}

static const char *pattern_problem(const void *state)
{
    (void)state;
    return ""; /* nothing here can fail */
}

const struct sl_camera_driver sl_camera_pattern = {
    .name = "pattern",
    .help = "a moving test picture of a straight lane; source: ignored",
    .state_bytes = sizeof(struct pattern_camera),
    .open = pattern_open,
    .start = pattern_start,
    .fill = pattern_fill,
    .share = sl_camera_cannot_share,
    .queue = sl_camera_cannot_queue,
    .take = sl_camera_cannot_take,
    .drops = pattern_drops,
    .transfer = pattern_transfer,
    .stop = pattern_stop,
    .close = pattern_close,
    .problem = pattern_problem,
};

bool sl_pattern_read_id(const struct sl_frame_info *info, const void *pixels, uint32_t *id)
{
    uint32_t step; /* bytes from a pixel's luma, or green, to the next */
    switch (info->fourcc) {
    case SL_FORMAT_GRAY8:
    case SL_FORMAT_NV12:
        step = 1;
        break;
    case SL_FORMAT_YUYV:
        step = 2;
        break;
    case SL_FORMAT_BGR24:
        step = 3;
        break;
    case SL_FORMAT_BGRA:
        step = 4;
        break;
    default:
        return false;
    }
    const uint32_t cell = cell_px(info->width_px);
    if (cell == 0)
        return false;
    const uint8_t *row = (const uint8_t *)pixels + info->planes[0].offset_bytes;
    uint32_t bits = 0;
    for (uint32_t bit = 0; bit < ID_BITS; bit++) {
        const uint8_t luma = row[(size_t)(bit * cell + cell / 2) * step];
        if (luma > LUMA_ZERO + 40 && luma < LUMA_ONE - 40)
            return false;
        bits = bits << 1 | (luma > 128);
    }
    *id = bits;
    return true;
}
