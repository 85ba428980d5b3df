/* Boundaries as they are drawn: where paint is seen, they follow it.
 *
 * Roads change their bends more often than one cubic does, lenses are calibrated
 * only so well, and floors are not flat. What the road model leaves over along a
 * boundary is taken to be an Ornstein-Uhlenbeck process over the rows: small,
 * smooth, and forgotten where nothing is seen. A Kalman filter from near to far
 * and Rauch, Tung and Striebel's smoother back ("Maximum likelihood estimates of
 * linear dynamic systems", AIAA Journal 3(8), 1965) estimate it. The pose does
 * not take part: it comes from the model. */
#include <math.h>
#include <string.h>

#include "app/detect/detector.h"

#define LEFT_OVER_SIGMAS 1.7f /* of the process, in a row's candidates' sigmas */
#define MEMORY           0.3f /* share of all rows over which it is forgotten */
#define GATE             3.0f /* sigmas within which a candidate is taken */
#define QUALITY_MIN      0.05f

/* The candidate closest to the boundary, in sigmas; false if there is none. */
static bool closest(const struct sl_detector *d, const struct sl_row *row,
                    const struct sl_drawn_row *at, float expected, float *found, float *variance)
{
    float best = INFINITY;
    for (int k = row->first; k < row->first + row->count; k++) {
        const struct sl_candidate *c = &d->candidates[k];
        float off = (c->t - at->t - at->per_s * (c->s - at->s)) * at->per_sigma;
        if (fabsf(off - expected) < best) {
            best = fabsf(off - expected);
            *found = off;
            *variance = 1.0f / fmaxf(c->quality, QUALITY_MIN);
        }
    }
    return best < INFINITY;
}

void sl_follow(struct sl_detector *d)
{
    const float stationary = LEFT_OVER_SIGMAS * LEFT_OVER_SIGMAS;
    const float keep = expf(-1.0f / (MEMORY * (float)d->row_count));
    const float grow = stationary * (1 - keep * keep);
    struct sl_drawn_row at[SL_ROWS_MAX];
    float mean[SL_ROWS_MAX], variance[SL_ROWS_MAX];
    float mean_before[SL_ROWS_MAX], variance_before[SL_ROWS_MAX];
    for (int side = 0; side < SL_SIDES; side++) {
        sl_road_drawn(d, side, at);
        float m = 0, p = stationary;
        for (int i = 0; i < d->row_count; i++) {
            if (i > 0) {
                m *= keep;
                p = keep * keep * p + grow;
            }
            mean_before[i] = m;
            variance_before[i] = p;
            float seen = 0, noise = 1;
            if (closest(d, &d->rows[i], &at[i], m, &seen, &noise) &&
                (seen - m) * (seen - m) < GATE * GATE * (p + noise)) {
                float gain = p / (p + noise);
                m += gain * (seen - m);
                p *= 1 - gain;
            }
            mean[i] = m;
            variance[i] = p;
        }
        for (int i = d->row_count - 2; i >= 0; i--)
            mean[i] +=
                keep * variance[i] / variance_before[i + 1] * (mean[i + 1] - mean_before[i + 1]);
        for (int i = 0; i < d->row_count; i++)
            d->left_over[side][i] = mean[i] / at[i].per_sigma;
    }
}

float sl_followed(const struct sl_detector *d, int side, float s)
{
    const float *over = d->left_over[side];
    const struct sl_row_view *view = &d->views[SL_ROWS_ALL];
    int n = view->count;
    if (s >= view->s[0])
        return over[0];
    if (s <= view->s[n - 1])
        return over[n - 1];
    /* Rows lie at even distances, hence nearly so in s. */
    int i = (int)((view->s[0] - s) / (view->s[0] - view->s[n - 1]) * (float)(n - 1));
    i = i < 0 ? 0 : i > n - 2 ? n - 2 : i;
    while (i > 0 && s > view->s[i])
        i--;
    while (i < n - 2 && s < view->s[i + 1])
        i++;
    float part = (view->s[i] - s) / (view->s[i] - view->s[i + 1]);
    return over[i] + part * (over[i + 1] - over[i]);
}
