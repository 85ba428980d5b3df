#include "app/calibrate/lane_points.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

/* The sky's share of a picture that is never road, and paint's widest share of
 * a row, at the bottom; higher up it is narrower in proportion, but by how
 * much depends on the horizon, so that only the widest is excluded here. */
#define TOP_SHARE   0.05
#define WIDEST_PART 0.10

int sl_lane_points_lens(struct sl_camera_model *lens, const struct sl_camera_calibration *camera,
                        struct sl_error *err)
{
    struct sl_camera_calibration level = *camera;
    level.pitch_rad = 0;
    level.yaw_rad = 0;
    level.forward_m = 0;
    level.left_m = 0;
    level.height_m = 1;
    return sl_camera_model_init(lens, &level, err);
}

struct strip {
    float u, width, contrast;
};

/* Keeps the strongest strips of a row. */
static void keep(struct strip *strips, int *count, struct strip s)
{
    if (*count < SL_LANE_POINTS_IN_ROW) {
        strips[(*count)++] = s;
        return;
    }
    int weakest = 0;
    for (int i = 1; i < *count; i++)
        if (strips[i].contrast < strips[weakest].contrast)
            weakest = i;
    if (s.contrast > strips[weakest].contrast)
        strips[weakest] = s;
}

/* The row and its neighbours averaged (columns are not: edges stay sharp),
 * then the gradient of four columns. */
static void row_gradient(const struct sl_luma *p, uint32_t v, int16_t *gradient)
{
    const uint8_t *a = p->pixels + (size_t)(v > 0 ? v - 1 : v) * p->stride_bytes;
    const uint8_t *b = p->pixels + (size_t)v * p->stride_bytes;
    const uint8_t *c = p->pixels + (size_t)(v + 1 < p->height_px ? v + 1 : v) * p->stride_bytes;
    const uint32_t w = p->width_px;
    for (uint32_t u = 0; u < w; u++)
        gradient[u] = 0;
    for (uint32_t u = 2; u + 2 < w; u++) {
        int left = a[u - 2] + 2 * b[u - 2] + c[u - 2] + a[u - 1] + 2 * b[u - 1] + c[u - 1];
        int right = a[u + 2] + 2 * b[u + 2] + c[u + 2] + a[u + 1] + 2 * b[u + 1] + c[u + 1];
        gradient[u] = (int16_t)(right - left); /* eight times a step in grey levels */
    }
}

/* Sub-pixel place of an extremum: the parabola through it and its neighbours. */
static float peak_at(const int16_t *g, uint32_t u)
{
    float a = g[u - 1], b = g[u], c = g[u + 1];
    float bend = a - 2 * b + c;
    float shift = fabsf(bend) > 1e-6f ? 0.5f * (a - c) / bend : 0;
    return (float)u + (shift < -0.5f ? -0.5f : shift > 0.5f ? 0.5f : shift);
}

static int find_strips(const int16_t *g, uint32_t w, int sign, int threshold, float widest,
                       struct strip *strips, int count)
{
    bool open = false;
    float begin = 0;
    int begin_step = 0;
    for (uint32_t u = 3; u + 3 < w; u++) {
        int step = sign * g[u];
        bool rising = step >= threshold && step >= sign * g[u - 1] && step > sign * g[u + 1];
        bool falling = -step >= threshold && -step >= -sign * g[u - 1] && -step > -sign * g[u + 1];
        if (rising) {
            float at = peak_at(g, u);
            /* Of rising edges close together the steepest begins the strip. */
            if (!open || step >= begin_step || at - begin > widest) {
                begin = at;
                begin_step = step;
            }
            open = true;
        } else if (falling && open) {
            float end = peak_at(g, u);
            int weaker = -step < begin_step ? -step : begin_step;
            int stronger = -step < begin_step ? begin_step : -step;
            /* Paint stands out from the same ground on both sides. */
            if (end - begin <= widest && 3 * weaker >= stronger)
                keep(strips, &count,
                     (struct strip){.u = 0.5f * (begin + end),
                                    .width = end - begin,
                                    .contrast = (float)weaker / 8.0f});
            open = false;
        }
    }
    return count;
}

/* The gradient that noise and texture make: three times its mean magnitude. */
static int noise_threshold(const int16_t *g, uint32_t w, double min_contrast)
{
    int64_t sum = 0;
    for (uint32_t u = 0; u < w; u++)
        sum += abs(g[u]);
    double noise = 3.0 * (double)sum / (double)w;
    double least = 8.0 * min_contrast;
    /* Strong paint in many places must not hide weak paint. */
    if (noise > 3.0 * least)
        noise = 3.0 * least;
    return (int)(noise > least ? noise : least);
}

void sl_lane_points_find(const struct sl_camera_model *lens, const struct sl_luma *picture,
                         enum sl_marking_polarity polarity, double min_contrast,
                         struct sl_lane_point_set *out)
{
    int16_t gradient[SL_CAMERA_SIDE_MAX_PX];
    const uint32_t w = picture->width_px, h = picture->height_px;
    out->count = 0;
    out->pixel = (float)(1.0 / lens->c.fx_px);
    const uint32_t top = (uint32_t)(TOP_SHARE * h);
    const uint32_t rows = h - top < SL_LANE_POINT_ROWS ? h - top : SL_LANE_POINT_ROWS;
    const double step = (double)(h - top) / rows;
    out->row_pitch = (float)(step / lens->c.fy_px);
    out->lowest = -1e9f;
    if (w < 16)
        return;
    for (uint32_t r = 0; r < rows; r++) {
        uint32_t v = h - 1 - (uint32_t)(r * step); /* from the bottom: near rows first */
        row_gradient(picture, v, gradient);
        int threshold = noise_threshold(gradient, w, min_contrast);
        struct strip strips[SL_LANE_POINTS_IN_ROW];
        float widest = (float)(WIDEST_PART * w);
        int count = 0;
        if (polarity != SL_MARKINGS_DARK)
            count = find_strips(gradient, w, 1, threshold, widest, strips, count);
        if (polarity != SL_MARKINGS_BRIGHT)
            count = find_strips(gradient, w, -1, threshold, widest, strips, count);
        for (int i = 0; i < count && out->count < SL_LANE_POINTS; i++) {
            double at[3], beside[3];
            sl_camera_ray(lens, strips[i].u, v, at);
            sl_camera_ray(lens, strips[i].u + strips[i].width, v, beside);
            if (!(at[0] > 0.1) || !(beside[0] > 0.1))
                continue;
            struct sl_lane_point *p = &out->points[out->count++];
            p->x = (float)(-at[1] / at[0]);
            p->y = (float)(-at[2] / at[0]);
            p->width = (float)(-beside[1] / beside[0] + at[1] / at[0]);
            p->contrast = strips[i].contrast;
            if (p->y > out->lowest)
                out->lowest = p->y;
        }
    }
}
