#include "detect_frames.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../unit/detect_paint.h"

#define WIDTH_PX  800
#define HEIGHT_PX 600
#define MAGIC     "slframe1"

void frames_free(struct frame_set *set)
{
    for (int i = 0; i < set->count; i++)
        free(set->frames[i].pixels);
    free(set->frames);
    memset(set, 0, sizeof *set);
}

int frames_add(struct frame_set *set, const char *name, const struct sl_frame_info *info,
               const void *pixels)
{
    if (set->count == set->room) {
        const int room = set->room == 0 ? 64 : 2 * set->room;
        struct bench_frame *frames = realloc(set->frames, (size_t)room * sizeof *frames);
        if (frames == NULL)
            return -ENOMEM;
        set->frames = frames;
        set->room = room;
    }
    struct bench_frame *frame = &set->frames[set->count];
    memset(frame, 0, sizeof *frame);
    snprintf(frame->name, sizeof frame->name, "%s", name);
    frame->clip = set->clip_count - 1;
    frame->info = *info;
    frame->pixels = aligned_alloc(64, ((size_t)info->size_bytes + 63) & ~(size_t)63);
    if (frame->pixels == NULL)
        return -ENOMEM;
    memcpy(frame->pixels, pixels, info->size_bytes);
    set->count++;
    return 0;
}

uint32_t frames_road_row(const struct frame_set *set, const struct bench_frame *frame)
{
    struct sl_camera_calibration c = set->configs[frame->clip].camera;
    struct sl_camera_model model;
    sl_camera_calibration_scale(&c, frame->info.width_px, frame->info.height_px);
    if (sl_camera_model_init(&model, &c, NULL) != 0)
        return 0;
    const double row = sl_camera_horizon_px(&model) + 0.015 * frame->info.height_px;
    return (uint32_t)fmin(fmax(row, 0), 0.8 * frame->info.height_px);
}

/* ---- pictures that are as bad as can be ---- */

/* Where a pixel's ray meets the ground; x < 0 is sky. */
struct spot {
    float x_m, y_m;
};

enum worst_kind {
    NOISE,    /* every grey level: size is the share of 255 */
    CHEQUERS, /* size: pixels of a side */
    COLUMNS,  /* upright stripes: size is their width in pixels, as wide as their gaps */
    STRIPES,  /* along the road, as wide as paint: size is the period in paint widths */
    CROSSED,  /* the same in two directions */
    BARCODE,  /* the same, each present or not, for some metres: chains of all lengths */
    LANES,    /* lanes of the right width beside each other: everything fits */
    BENDS,    /* lines of all curvatures through the same places */
    LANE,     /* a lane as usual */
    FAINT,    /* a lane that is hardly there, under noise: nothing is ever clear */
};

struct worst {
    const char *name;
    enum worst_kind kind;
    double size;
    uint32_t seed;
};

static const struct worst WORST[] = {
    {"noise", NOISE, 1, 1},
    {"noise of an eighth", NOISE, 0.125, 2},
    {"chequers of 2 px", CHEQUERS, 2, 0},
    {"chequers of 4 px", CHEQUERS, 4, 0},
    {"lane", LANE, 0, 3},
    {"chequers of 8 px", CHEQUERS, 8, 0},
    {"chequers of 16 px", CHEQUERS, 16, 0},
    {"columns of 3 px", COLUMNS, 3, 0},
    {"columns of 8 px", COLUMNS, 8, 0},
    {"lane", LANE, 0, 4},
    {"stripes, period 2.2", STRIPES, 2.2, 0},
    {"stripes, period 2.5", STRIPES, 2.5, 0},
    {"stripes, period 3", STRIPES, 3, 0},
    {"stripes, period 4", STRIPES, 4, 0},
    {"lane", LANE, 0, 5},
    {"stripes, period 6", STRIPES, 6, 0},
    {"stripes, period 8", STRIPES, 8, 0},
    {"stripes, period 2.8", STRIPES, 2.8, 0},
    {"crossed, period 6", CROSSED, 6, 0},
    {"lane", LANE, 0, 6},
    {"crossed, period 12", CROSSED, 12, 0},
    {"bar code 1", BARCODE, 3, 11},
    {"bar code 2", BARCODE, 4, 12},
    {"bar code 3", BARCODE, 6, 13},
    {"lane", LANE, 0, 7},
    {"bar code 4", BARCODE, 8, 14},
    {"bar code 5", BARCODE, 5, 15},
    {"lanes", LANES, 1, 0},
    {"half lanes", LANES, 0.5, 0},
    {"lane", LANE, 0, 8},
    {"bends", BENDS, 5, 0},
    {"many bends", BENDS, 11, 0},
    {"faint lane 1", FAINT, 0.5, 16},
    {"faint lane 2", FAINT, 0.35, 17},
};

static uint32_t scramble(uint32_t x)
{
    x ^= x >> 16;
    x *= 0x7feb352du;
    x ^= x >> 15;
    x *= 0x846ca68bu;
    return x ^ x >> 16;
}

static bool striped(double at, double period, double width)
{
    const double part = at - period * floor(at / period);
    return part < width;
}

static bool bent(const struct spot *s, double count, double lane_m, double paint_m)
{
    for (int i = 0; i < (int)count; i++) {
        const double bend = 0.02 * (i - 0.5 * (count - 1)) / count;
        for (int side = -1; side <= 1; side += 2) {
            const double y = 0.5 * side * lane_m + 0.5 * bend * s->x_m * s->x_m;
            if (fabs(s->y_m - y) < 0.5 * paint_m)
                return true;
        }
    }
    return false;
}

static bool painted(const struct worst *w, const struct spot *s, uint32_t u, uint32_t v,
                    const struct sl_detect_config *c)
{
    const double paint = c->marking_width_m, lane = c->lane_width_m;
    const double y = s->y_m, period = w->size * paint;
    switch (w->kind) {
    case CHEQUERS:
        return ((u / (uint32_t)w->size) + (v / (uint32_t)w->size)) & 1;
    case COLUMNS:
        return u / (uint32_t)w->size & 1;
    case STRIPES:
        return striped(y, period, paint);
    case CROSSED:
        return striped(y + 0.12 * (double)s->x_m, period, paint) ||
               striped(y - 0.12 * (double)s->x_m, period, paint);
    case BARCODE: {
        const int32_t cell = (int32_t)floor(y / period);
        const int32_t piece = (int32_t)floor(s->x_m / (1.5 + scramble((uint32_t)cell) % 6));
        const uint32_t dice =
            scramble(w->seed * 2654435761u ^ (uint32_t)cell * 40503u ^ (uint32_t)piece);
        return dice % 3 != 0 && striped(y, period, paint);
    }
    case LANES:
        return striped(y + 0.5 * lane, w->size * lane, paint);
    case BENDS:
        return bent(s, w->size, lane, paint);
    case LANE:
    case FAINT:
        return fabs(fabs(y) - 0.5 * lane) < 0.5 * paint;
    default:
        return false;
    }
}

static void draw_worst(const struct worst *w, const struct spot *spots,
                       const struct sl_detect_config *c, uint8_t *pixels)
{
    for (uint32_t v = 0; v < HEIGHT_PX; v++) {
        for (uint32_t u = 0; u < WIDTH_PX; u++) {
            const size_t i = (size_t)v * WIDTH_PX + u;
            const uint32_t dice = scramble(w->seed * 0x9e3779b9u + (uint32_t)i);
            const bool flat = w->kind == CHEQUERS || w->kind == COLUMNS; /* ground or not */
            double level = 90;
            if (w->kind == NOISE)
                level = 128 + w->size * ((double)(dice % 256) - 128);
            else if (spots[i].x_m < 0 && !flat)
                level = 150;
            else if (painted(w, &spots[i], u, v, c))
                level = w->kind == FAINT ? 90 + 14 * w->size : 210;
            if (w->kind == FAINT || w->kind == LANE)
                level += (double)(dice % 17) - 8;
            pixels[i] = (uint8_t)fmin(fmax(level, 0), 255);
        }
    }
}

int frames_worst(struct frame_set *set)
{
    memset(set, 0, sizeof *set);
    snprintf(set->name, sizeof set->name, "worst cases, 800x600 luma");
    set->clip_count = 1;
    set->configs[0] = paint_config();
    struct sl_camera_model camera;
    struct sl_frame_info info = {0};
    const size_t count = (size_t)WIDTH_PX * HEIGHT_PX;
    struct spot *spots = calloc(count, sizeof *spots);
    uint8_t *pixels = malloc(count);
    int failed = spots == NULL || pixels == NULL ? -ENOMEM : 0;
    if (failed == 0)
        failed = sl_camera_model_init(&camera, &set->configs[0].camera, NULL);
    if (failed == 0)
        failed = sl_frame_layout(&info, SL_FORMAT_GRAY8, WIDTH_PX, HEIGHT_PX);
    for (size_t i = 0; failed == 0 && i < count; i++) {
        double x, y;
        const bool ground =
            sl_camera_to_ground(&camera, (double)(i % WIDTH_PX), (double)(i / WIDTH_PX), &x, &y);
        spots[i] = ground ? (struct spot){(float)x, (float)y} : (struct spot){-1, 0};
    }
    for (size_t k = 0; failed == 0 && k < sizeof WORST / sizeof WORST[0]; k++) {
        draw_worst(&WORST[k], spots, &set->configs[0], pixels);
        info.frame_id = k + 1;
        failed = frames_add(set, WORST[k].name, &info, pixels);
    }
    free(spots);
    free(pixels);
    return failed;
}

/* ---- to a file and back ---- */

static int tell(const char *path, int code)
{
    fprintf(stderr, "%s: %s\n", path,
            code == -EPROTO ? "is no file of frames; write it again" : strerror(-code));
    return code;
}

int frames_write(const struct frame_set *set, const char *path)
{
    FILE *file = fopen(path, "wb");
    if (file == NULL)
        return tell(path, -errno);
    bool good = fwrite(MAGIC, 8, 1, file) == 1 && fwrite(set, sizeof *set, 1, file) == 1;
    for (int i = 0; i < set->count; i++) {
        const struct bench_frame *frame = &set->frames[i];
        good = good && fwrite(frame, sizeof *frame, 1, file) == 1 &&
               fwrite(frame->pixels, frame->info.size_bytes, 1, file) == 1;
    }
    good = fclose(file) == 0 && good;
    return good ? 0 : tell(path, -EIO);
}

static int read_frames(struct frame_set *set, FILE *file)
{
    char magic[8];
    struct frame_set head;
    if (fread(magic, sizeof magic, 1, file) != 1 || memcmp(magic, MAGIC, sizeof magic) != 0 ||
        fread(&head, sizeof head, 1, file) != 1 || head.count < 1 || head.clip_count < 1 ||
        head.clip_count > FRAMES_CLIPS_MAX)
        return -EPROTO;
    memset(set, 0, sizeof *set);
    memcpy(set->name, head.name, sizeof set->name);
    set->name[sizeof set->name - 1] = '\0';
    memcpy(set->configs, head.configs, sizeof set->configs);
    int failed = 0;
    for (int i = 0; failed == 0 && i < head.count; i++) {
        struct bench_frame frame;
        if (fread(&frame, sizeof frame, 1, file) != 1 || frame.clip < 0 ||
            frame.clip >= head.clip_count ||
            sl_frame_check(&frame.info, frame.info.size_bytes, NULL) != 0)
            return -EPROTO;
        uint8_t *pixels = malloc(frame.info.size_bytes);
        if (pixels == NULL)
            return -ENOMEM;
        set->clip_count = frame.clip + 1;
        frame.name[sizeof frame.name - 1] = '\0';
        failed = fread(pixels, frame.info.size_bytes, 1, file) == 1
                     ? frames_add(set, frame.name, &frame.info, pixels)
                     : -EPROTO;
        free(pixels);
    }
    set->clip_count = head.clip_count;
    return failed;
}

int frames_read(struct frame_set *set, const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return tell(path, -errno);
    const int failed = read_frames(set, file);
    fclose(file);
    return failed ? tell(path, failed) : 0;
}
