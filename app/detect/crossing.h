/* Where a road's boundaries cross image rows, for many rows at a time. Private
 * to app/detect. */
#ifndef SL_APP_DETECT_CROSSING_H
#define SL_APP_DETECT_CROSSING_H

#include <math.h>

#include "app/detect/detector.h"

/* A road in single precision, prepared for many rows. */
struct sl_quick_road {
    float c0, c1, c2, c3, half, pitch, h, per_h;
};

static inline struct sl_quick_road sl_quick(const struct sl_detector *d, const struct sl_road *road)
{
    const double *p = road->p, h = d->camera.c.height_m;
    return (struct sl_quick_road){(float)p[SL_C0],
                                  (float)p[SL_C1],
                                  (float)p[SL_C2],
                                  (float)p[SL_C3],
                                  (float)(0.5 * p[SL_WIDTH]),
                                  (float)p[SL_PITCH],
                                  (float)h,
                                  (float)(1 / h)};
}

/* One boundary: t where it is met at the slope s, and how t changes with s. */
struct sl_crossings {
    _Alignas(16) float s[SL_ROWS_MAX];
    float t[SL_ROWS_MAX], per_s[SL_ROWS_MAX];
    float aslant[SL_ROWS_MAX]; /* distance along the row over distance across the line */
    /* There: distance ahead; that of the centre line's point beside it; and how much
     * wider the lane is sideways. */
    float x[SL_ROWS_MAX], beside[SL_ROWS_MAX], slant[SL_ROWS_MAX];
};

/* How t changes with each parameter where a boundary crosses rows; and behind
 * them, by how much what was seen departs. */
#define SL_ERROR SL_PARAMETERS
struct sl_derivatives {
    _Alignas(16) float j[SL_PARAMETERS + 1][SL_ROWS_MAX];
    float weight[SL_ROWS_MAX];
};

/* The centre line by Gauss and Legendre's three nodes and their weights. */
#define SL_NODES 3
static const float SL_NODE[SL_NODES] = {0.112701665f, 0.5f, 0.887298335f};
static const float SL_NODE_WEIGHT[SL_NODES] = {5.0f / 18, 8.0f / 18, 5.0f / 18};

/* The sine of its heading at x; it is never steeper than SL_SINE_MAX. */
#define SL_SINE_MAX 0.9f
static inline float sl_sine(const struct sl_quick_road *q, float x)
{
    float u = q->c1 + x * (q->c2 + x * q->c3 * 0.5f);
    u = u < SL_SINE_MAX ? u : SL_SINE_MAX;
    return u > -SL_SINE_MAX ? u : -SL_SINE_MAX;
}

/* Left 1, right -1. */
static inline float sl_side_sign(int side)
{
    return side == 0 ? 1.0f : -1.0f;
}

/* road.c: where a boundary crosses the first `rows` of a choice, and a few more to
 * make whole fours. */
void sl_cross_rows(const struct sl_detector *d, const struct sl_quick_road *road, int side,
                   const struct sl_row_view *view, int rows, struct sl_crossings *at);

#endif
