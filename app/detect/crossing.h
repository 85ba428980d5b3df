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
    /* There: distance ahead, the centre line's dy/dx, and how much wider the lane is. */
    float x[SL_ROWS_MAX], slope[SL_ROWS_MAX], slant[SL_ROWS_MAX];
};

/* Left 1, right -1. */
static inline float sl_side_sign(int side)
{
    return side == 0 ? 1.0f : -1.0f;
}

/* road.c: fills in the rest from `s`; `count` in whole fours. Total: rays that
 * are no ground count as far away. */
void sl_cross(const struct sl_quick_road *road, int side, int count, struct sl_crossings *at);

/* road.c: the same, and s too, for the first `rows` of a choice, and for what is
 * lacking to whole fours. */
void sl_cross_rows(const struct sl_detector *d, const struct sl_quick_road *road, int side,
                   const struct sl_row_view *view, int rows, struct sl_crossings *at);

#endif
