/* libFuzzer's entry for the lane detector: any calibration and configuration,
 * and any bytes as a few frames of any legal format, size and layout. What
 * comes out must be finite, in its bounds and the same with every instruction
 * set, and must take bounded time. Build with -DSL_FUZZ=ON and clang, then run
 * bin/detect_fuzz on a copy of tests/fuzz/corpus/detect.
 *
 * The input is read front to back, zeros follow its end: configuration, frames
 * (each: format, size, layout, lines), and the rest are pixels, repeated.
 * Lines are drawn because random bytes alone never make a road, and would
 * leave everything behind the search for candidates untouched.
 * tests/fuzz/detect_seeds writes the same layout. */
#include <errno.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "app/detect/detect.h"

#define FRAMES_MAX 8
#define LINES_MAX  8
/* Processor time, far above what the largest picture takes under a sanitizer
 * on a slow machine; an endless loop and quadratic work show. */
#define FRAME_SECONDS_MAX 5.0

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
    const uint8_t *data;
    size_t size, at;
};

static uint8_t take(struct input *in)
{
    return in->at < in->size ? in->data[in->at++] : 0;
}

static uint32_t take_16(struct input *in)
{
    uint32_t low = take(in);
    return low | (uint32_t)take(in) << 8;
}

/* From the whole of a range, its ends included. */
static double take_within(struct input *in, double min, double max)
{
    return min + (max - min) * take_16(in) / 65535.0;
}

/* Any bits: infinities and what is no number included. */
static double take_any(struct input *in)
{
    uint8_t bytes[8];
    double value;
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = take(in);
    memcpy(&value, bytes, sizeof value);
    return value;
}

static void fault(const char *what, double value)
{
    fprintf(stderr, "detect_fuzz: %s (%g)\n", what, value);
    abort();
}

static void require(int held, const char *what, double value)
{
    if (!held)
        fault(what, value);
}

/* ---- what comes out ---- */

static void check_line(const struct sl_lane_line *line)
{
    require(line->seen <= 1, "a line's seen is neither 0 nor 1", line->seen);
    require(line->point_count <= SL_LANE_POINTS_MAX, "too many points", line->point_count);
    require(line->confidence >= 0 && line->confidence <= 1, "a line's confidence leaves 0..1",
            line->confidence);
    require(isfinite(line->x_min_m), "x_min_m is not finite", line->x_min_m);
    require(isfinite(line->x_max_m), "x_max_m is not finite", line->x_max_m);
    require(line->x_min_m <= line->x_max_m, "x_min_m lies beyond x_max_m",
            line->x_min_m - line->x_max_m);
    for (int i = 0; i < 4; i++)
        require(isfinite(line->poly[i]), "a coefficient is not finite", line->poly[i]);
    for (uint32_t i = 0; i < SL_LANE_POINTS_MAX; i++)
        for (int k = 0; k < 2; k++)
            require(isfinite(line->points_px[i][k]), "a point is not finite",
                    line->points_px[i][k]);
}

static void check_covariance(const float covariance[4][4])
{
    for (int i = 0; i < 4; i++) {
        require(covariance[i][i] >= 0, "a variance is negative", covariance[i][i]);
        for (int k = 0; k < 4; k++) {
            require(isfinite(covariance[i][k]), "a covariance is not finite", covariance[i][k]);
            require(covariance[i][k] == covariance[k][i], "the covariance is not symmetric",
                    covariance[i][k] - covariance[k][i]);
            /* No correlation beyond one, rounding to float aside. */
            double most = sqrt((double)covariance[i][i] * (double)covariance[k][k]);
            require(fabs(covariance[i][k]) <= most * 1.001 + 1e-30,
                    "a covariance is above what its variances allow", covariance[i][k]);
        }
    }
}

static void check_lost(const struct sl_detection *d)
{
    require(d->lateral_offset_m == 0 && d->heading_error_rad == 0 && d->curvature_1pm == 0 &&
                d->curvature_rate_1pm2 == 0,
            "lost, and yet a pose", d->lateral_offset_m);
    require(d->left.point_count == 0 && d->right.point_count == 0 && d->left.seen == 0 &&
                d->right.seen == 0,
            "lost, and yet lines", d->left.point_count);
}

/* Every field that the detector fills, whatever the picture was. */
static void check_detection(const struct sl_detection *d, const struct sl_frame_info *info)
{
    require(d->frame_id == info->frame_id && d->exposed_ns == info->exposed_ns &&
                d->received_ns == info->received_ns,
            "another frame's identity", (double)d->frame_id);
    require(d->frame_width_px == info->width_px && d->frame_height_px == info->height_px,
            "another frame's size", d->frame_width_px);
    require(d->started_ns == 0 && d->finished_ns == 0, "times that nobody measured",
            (double)d->started_ns);
    require(d->state <= SL_LANE_TWO_LINES, "there is no such state", d->state);
    require(d->confidence >= 0 && d->confidence <= 1, "confidence leaves 0..1", d->confidence);
    require(d->reserved == 0, "reserved is not 0", d->reserved);
    const float numbers[] = {d->lateral_offset_m,    d->heading_error_rad, d->curvature_1pm,
                             d->curvature_rate_1pm2, d->lane_width_m,      d->lane_width_sd_m,
                             d->camera_pitch_rad};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        require(isfinite(numbers[i]), "a number of the pose is not finite", (double)i);
    require(d->lane_width_m >= 0 && d->lane_width_sd_m >= 0, "a negative width", d->lane_width_m);
    check_covariance(d->covariance);
    check_line(&d->left);
    check_line(&d->right);
    const uint32_t seen = d->left.seen + d->right.seen;
    if (d->state == SL_LANE_LOST)
        check_lost(d);
    else
        require(seen == (d->state == SL_LANE_TWO_LINES ? 2 : 1),
                "the state tells another number of lines than was seen", seen);
}

/* At rows of the picture, between and outside them, and at no row at all. */
static void check_columns(struct input *in, const struct sl_detector *detector,
                          const struct sl_detection *found)
{
    const double rows[] = {
        0,        0.5 * found->frame_height_px, -1e30,    (double)found->frame_height_px - 1,
        1e30,     take_within(in, -100, 8300),  INFINITY, NAN,
        -INFINITY};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        for (int side = 0; side < 2; side++) {
            double u = NAN;
            bool there = sl_detector_column(detector, side, rows[i], &u);
            require(!there || isfinite(u), "a column is not finite", rows[i]);
            require(!there || found->state != SL_LANE_LOST, "a column of a lost lane", rows[i]);
        }
    }
}

/* ---- what goes in ---- */

/* Legal to the last: the whole range of each number. */
static void take_legal(struct input *in, struct sl_detect_config *c)
{
    c->camera = (struct sl_camera_calibration){
        .width_px = 1 + take_16(in) % SL_FRAME_WIDTH_MAX_PX,
        .height_px = 1 + take_16(in) % SL_FRAME_HEIGHT_MAX_PX,
        .fx_px = take_within(in, 1, 10000),
        .fy_px = take_within(in, 1, 10000),
        .cx_px = take_within(in, -10000, 10000),
        .cy_px = take_within(in, -10000, 10000),
        .k1 = take_within(in, -10, 10),
        .k2 = take_within(in, -10, 10),
        .p1 = take_within(in, -1, 1),
        .p2 = take_within(in, -1, 1),
        .k3 = take_within(in, -10, 10),
        .height_m = take_within(in, 0.01, 10),
        .forward_m = take_within(in, -10, 10),
        .left_m = take_within(in, -5, 5),
        .pitch_rad = take_within(in, -0.5, 1.4),
        .yaw_rad = take_within(in, -1, 1),
        .roll_rad = take_within(in, -0.5, 0.5),
    };
    c->lane_width_m = take_within(in, 0.05, 20);
    c->lane_width_tolerance = take_within(in, 0, 0.5);
    c->marking_width_m = take_within(in, 0.001, 2);
    c->near_m = take_within(in, 0, 1000);
    c->far_m = take_within(in, 0.01, 1000);
    c->min_contrast = take_within(in, 0.5, 255);
}

/* Near a camera on a vehicle: where lanes are found. */
static void take_usual(struct input *in, struct sl_detect_config *c)
{
    const bool small = take(in) & 1; /* a car of a tenth the size */
    const double scale = small ? 0.1 : 1;
    c->camera = (struct sl_camera_calibration){
        .width_px = 800,
        .height_px = 600,
        .fx_px = take_within(in, 250, 1500),
        .cx_px = 399.5 + take_within(in, -40, 40),
        .cy_px = 299.5 + take_within(in, -40, 40),
        .k1 = take_within(in, -0.4, 0.4),
        .height_m = scale * take_within(in, 0.6, 2.6),
        .forward_m = scale * 1.5,
        .left_m = scale * take_within(in, -0.5, 0.5),
        .pitch_rad = take_within(in, -0.05, 0.4),
        .yaw_rad = take_within(in, -0.05, 0.05),
        .roll_rad = take_within(in, -0.05, 0.05),
    };
    c->camera.fy_px = c->camera.fx_px;
    c->lane_width_m = scale * take_within(in, 2.5, 4.5);
    c->lane_width_tolerance = 0.2;
    c->marking_width_m = scale * take_within(in, 0.08, 0.4);
    c->near_m = scale * take_within(in, 1, 6);
    c->far_m = scale * take_within(in, 20, 80);
    c->min_contrast = take_within(in, 1, 20);
}

static void take_raw(struct input *in, struct sl_detect_config *c)
{
    c->camera.width_px = take_16(in);
    c->camera.height_px = take_16(in);
    double *const numbers[] = {&c->camera.fx_px,
                               &c->camera.fy_px,
                               &c->camera.cx_px,
                               &c->camera.cy_px,
                               &c->camera.k1,
                               &c->camera.k2,
                               &c->camera.p1,
                               &c->camera.p2,
                               &c->camera.k3,
                               &c->camera.height_m,
                               &c->camera.forward_m,
                               &c->camera.left_m,
                               &c->camera.pitch_rad,
                               &c->camera.yaw_rad,
                               &c->camera.roll_rad,
                               &c->lane_width_m,
                               &c->lane_width_tolerance,
                               &c->marking_width_m,
                               &c->near_m,
                               &c->far_m,
                               &c->min_contrast};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        *numbers[i] = take_any(in);
}

static void take_config(struct input *in, struct sl_detect_config *c)
{
    memset(c, 0, sizeof *c);
    const uint8_t kind = take(in);
    const uint8_t flags = take(in);
    c->track = flags & 1;
    /* One in four asks for a polarity that does not exist. */
    c->markings = (enum sl_marking_polarity)(flags >> 1 & 3);
    switch (kind % 4) {
    case 0:
    case 1:
        take_usual(in, c);
        break;
    case 2:
        take_legal(in, c);
        break;
    default:
        take_raw(in, c);
        break;
    }
}

static void take_size(struct input *in, uint32_t *width_px, uint32_t *height_px)
{
    switch (take(in) % 8) {
    case 0:
        *width_px = 800;
        *height_px = 600;
        break;
    case 1:
        *width_px = 1 + take(in) % 64;
        *height_px = 1 + take(in) % 64;
        break;
    case 2:
        *width_px = SL_FRAME_WIDTH_MAX_PX - take(in) % 8;
        *height_px = 1 + take(in) % 32;
        break;
    case 3:
        *width_px = 1 + take(in) % 32;
        *height_px = SL_FRAME_HEIGHT_MAX_PX - take(in) % 8;
        break;
    case 4:
        *width_px = 1;
        *height_px = 1;
        break;
    case 5:
        *width_px = 1 + take_16(in) % 1024;
        *height_px = 1 + take_16(in) % 768;
        break;
    case 6:
        *width_px = 320;
        *height_px = 180;
        break;
    default:
        *width_px = 1 + take(in) % 200;
        *height_px = 400 + take(in);
        break;
    }
}

static uint32_t pixel_bytes(uint32_t fourcc)
{
    switch (fourcc) {
    case SL_FORMAT_YUYV:
        return 2;
    case SL_FORMAT_BGR24:
        return 3;
    case SL_FORMAT_BGRA:
        return 4;
    default:
        return 1;
    }
}

/* Planes with room between their rows, before and between them, and the
 * second before the first where the flags say so. */
static void take_layout(struct input *in, struct sl_frame_info *info)
{
    static const uint32_t FORMATS[] = {SL_FORMAT_GRAY8, SL_FORMAT_NV12, SL_FORMAT_YUYV,
                                       SL_FORMAT_BGR24, SL_FORMAT_BGRA, SL_FORMAT_MJPEG};
    uint32_t width_px, height_px;
    memset(info, 0, sizeof *info);
    const uint32_t fourcc = FORMATS[take(in) % (sizeof FORMATS / sizeof FORMATS[0])];
    take_size(in, &width_px, &height_px);
    const uint8_t flags = take(in);
    const uint32_t gap = flags & 1 ? take(in) : 0;
    const uint32_t pad = flags & 2 ? take(in) : 0;
    if (fourcc == SL_FORMAT_NV12 || fourcc == SL_FORMAT_YUYV)
        width_px += width_px & 1;
    if (fourcc == SL_FORMAT_NV12)
        height_px += height_px & 1;
    if (fourcc == SL_FORMAT_MJPEG) {
        /* A JPEG says its size itself: what is written here may be anything. */
        info->fourcc = fourcc;
        info->width_px = width_px;
        info->height_px = height_px;
        info->plane_count = 1;
        info->size_bytes = 1 + gap;
        return;
    }
    require(sl_frame_layout(info, fourcc, width_px, height_px) == 0, "a size is not legal",
            width_px);
    uint32_t at = gap;
    for (uint32_t i = 0; i < info->plane_count; i++) {
        const uint32_t p = flags & 4 ? info->plane_count - 1 - i : i;
        const uint32_t rows = p == 0 ? height_px : height_px / 2;
        const uint32_t row = info->planes[p].stride_bytes;
        info->planes[p].stride_bytes = row + pad;
        info->planes[p].offset_bytes = at;
        /* Nothing behind the last row: a byte read there is not the frame's. */
        at += (rows - 1) * (row + pad) + row;
        info->size_bytes = at;
        at += gap;
    }
}

struct line {
    double bottom, top; /* columns, as a share of the width */
    double width;       /* at the bottom, as a share of the picture's */
    double horizon;     /* as a share of the height */
    uint8_t level;
    uint8_t dash; /* rows; 0: solid */
};

static void draw_line(const struct sl_frame_info *info, const struct line *line, uint8_t *pixels)
{
    const uint32_t bytes = pixel_bytes(info->fourcc);
    const double w = info->width_px, h = info->height_px;
    for (uint32_t v = (uint32_t)(line->horizon * h); v < info->height_px; v++) {
        if (line->dash != 0 && v / line->dash % 2 != 0)
            continue;
        const double near = ((double)v / h - line->horizon) / (1.0001 - line->horizon);
        const double middle = w * (line->top + near * (line->bottom - line->top));
        const double half = fmax(0.5 * w * line->width * near, 0.5);
        const double from = fmin(fmax(middle - half, 0), w), to = fmin(fmax(middle + half, 0), w);
        memset(pixels + info->planes[0].offset_bytes + (size_t)v * info->planes[0].stride_bytes +
                   (size_t)from * bytes,
               line->level, ((size_t)to - (size_t)from) * bytes);
    }
}

static int take_lines(struct input *in, struct line lines[LINES_MAX])
{
    const int count = take(in) % (LINES_MAX + 1);
    for (int i = 0; i < count; i++)
        lines[i] = (struct line){
            .bottom = take_within(in, -0.5, 1.5),
            .top = take_within(in, 0.2, 0.8),
            .width = take(in) / 2550.0,
            .horizon = take(in) / 256.0,
            .level = take(in),
            .dash = take(in),
        };
    return count;
}

/* The rest of the input, over and over, whatever stands between the rows too. */
static void fill(const struct input *in, uint8_t *memory, size_t size)
{
    const size_t left = in->size - in->at;
    if (left == 0) {
        memset(memory, 80, size);
        return;
    }
    for (size_t i = 0; i < size; i += left)
        memcpy(memory + i, in->data + in->at, left < size - i ? left : size - i);
}

/* ---- a run ---- */

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void run_frame(struct input *in, struct sl_detector *best, struct sl_detector *plain,
                      struct sl_frame_info *info)
{
    struct line lines[LINES_MAX];
    const int line_count = take_lines(in, lines);
    struct sl_error err = {0};
    require(sl_frame_check(info, info->size_bytes, &err) == 0, "a frame is not legal", 0);
    uint8_t *memory = malloc(info->size_bytes);
    if (memory == NULL)
        return;
    fill(in, memory, info->size_bytes);
    const bool jpeg = info->fourcc == SL_FORMAT_MJPEG;
    for (int i = 0; i < line_count && !jpeg; i++)
        draw_line(info, &lines[i], memory);

    struct sl_detection found, again;
    memset(&found, 0xa5, sizeof found);
    memset(&again, 0x5a, sizeof again);
    const double before_s = now_s();
    const int result = sl_detector_run(best, info, memory, &found);
    const double took_s = now_s() - before_s;
    require(took_s < FRAME_SECONDS_MAX, "a frame took too long", took_s);
    require(result == (jpeg ? -ENOTSUP : 0), "the result is not the one that is documented",
            result);
    require(!jpeg || found.state == SL_LANE_LOST, "a lane in a JPEG", found.state);
    check_detection(&found, info);
    check_columns(in, best, &found);
    /* No padding in the record: equal in all fields is equal in all bytes. */
    require(sl_detector_run(plain, info, memory, &again) == result, "plain C answers otherwise",
            result);
    require(memcmp(&found, &again, sizeof found) == 0,
            "plain C and the machine's own instructions differ", found.state);
    free(memory);
}

/* What a vehicle's motion may be, and what not. */
static void tell_motion(struct input *in, struct sl_detector *best, struct sl_detector *plain)
{
    static const double STRANGE[] = {NAN, INFINITY, -INFINITY, 1e300, -1e300, 1e-300};
    double values[6];
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
        values[i] = take_within(in, i < 3 ? -1 : 0, 1);
    const uint8_t strange = take(in);
    if (strange % 8 < 6)
        values[strange / 8 % 6] = STRANGE[strange % 8];
    const struct sl_detect_motion moved = {.ahead_m = 4 * values[0],
                                           .aside_m = values[1],
                                           .turned_rad = values[2],
                                           .ahead_sd_m = values[3],
                                           .aside_sd_m = values[4],
                                           .turned_sd_rad = values[5]};
    sl_detector_moved(best, &moved);
    sl_detector_moved(plain, &moved);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct sl_detector *best, *plain;
    if (best == NULL) {
        best = aligned_alloc(64, sl_detector_size());
        plain = aligned_alloc(64, sl_detector_size());
    }
    if (best == NULL || plain == NULL)
        return 0;
    struct input in = {data, size, 0};
    struct sl_detect_config config;
    struct sl_error err = {0};
    take_config(&in, &config);
    if (sl_detector_init(best, &config, &err) != 0) {
        require(err.text[0] != '\0', "refused without a word", 0);
        require(sl_detector_init(best, &config, NULL) != 0, "refused once only", 0);
        return 0;
    }
    config.instructions = SL_INSTRUCTIONS_PLAIN;
    require(sl_detector_init(plain, &config, &err) == 0, "plain C is refused", 0);

    const int frames = 1 + take(&in) % FRAMES_MAX;
    struct sl_frame_info info;
    for (int i = 0; i < frames; i++) {
        /* Mostly frames of one camera; now and then the camera is another. */
        const uint8_t how = take(&in);
        if (i == 0 || how % 8 == 7)
            take_layout(&in, &info);
        if (how % 8 == 6) {
            sl_detector_reset(best);
            sl_detector_reset(plain);
        }
        if (how >= 128)
            tell_motion(&in, best, plain);
        info.frame_id = (uint64_t)i + 1;
        info.exposed_ns = 33333333ull * (uint64_t)i;
        info.received_ns = info.exposed_ns + 1000;
        run_frame(&in, best, plain, &info);
    }
    return 0;
}
