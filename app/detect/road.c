/* The road model.
 *
 * Both boundaries share heading, curvature and its change: one centre line and
 * a width. The curvature is linear in x, c2 + c3 x. Along any curve the sine of
 * the heading grows by the curvature's integral over x, since d(heading) is
 * curvature times the path's length, and dx is its cosine's share of that: the
 * sine is c1 + c2 x + c3 x^2/2, exactly, and y the integral of its tangent. A
 * cubic in x instead takes a bend of 18 m for one that begins straight. The
 * boundaries run at half the width beside, across the line.
 *
 * In ray slopes, a line y(x) appears as t = y(h/s) s/h: a hyperbola over s
 * (Y. Wang, D. Shen, E. K. Teoh, "Lane detection using spline model", 2000;
 * Q. Chen, H. Wang, "A real-time lane detection algorithm based on a
 * hyperbola-pair model", IV 2006). An error of pitch moves s for both boundaries
 * alike, which straight parallel lines betray: it is a sixth parameter. All are
 * estimated together (fit.c) under Gaussian priors, so that a single dash or one
 * boundary alone still gives a lane: whatever the picture does not tell stays as
 * the prior has it. */
#include <math.h>
#include <string.h>

#include "app/detect/crossing.h"

/* From which share of the near part on what is drawn goes over to the whole. */
#define NEAR_BLEND 0.6
/* A candidate counts as on the line within this many sigmas. */
#define INLIER_SIGMAS 2.5f

static double sine_at(const struct sl_road *road, double x)
{
    const double *p = road->p;
    double u = p[SL_C1] + x * (p[SL_C2] + x * p[SL_C3] / 2);
    const double most = (double)SL_SINE_MAX;
    return u > most ? most : u < -most ? -most : u;
}

/* As road_kernels.inc has it. */
static double tangent(double u)
{
    double u2 = u * u;
    double p = -13.32138578 + u2 * 9.49654359;
    p = 0.596145 + u2 * (-1.11597015 + u2 * (7.45596365 + u2 * p));
    return u + u * u2 * p;
}

double sl_road_centre(const struct sl_road *road, double x, double *sine)
{
    double mean = 0;
    for (int i = 0; i < SL_NODES; i++)
        mean += (double)SL_NODE_WEIGHT[i] * tangent(sine_at(road, (double)SL_NODE[i] * x));
    if (sine)
        *sine = sine_at(road, x);
    return road->p[SL_C0] + x * mean;
}

double sl_road_side(const struct sl_road *road, int side, double x)
{
    double half = (double)sl_side_sign(side) * 0.5 * road->p[SL_WIDTH];
    double beside = x + half * sine_at(road, x + half * sine_at(road, x));
    double sine;
    double y = sl_road_centre(road, beside, &sine);
    return y + half * sqrt(1 - sine * sine);
}

void sl_prior_set(struct sl_prior *prior, const double mean[SL_PARAMETERS],
                  const double sigma[SL_PARAMETERS], double price)
{
    prior->price = price;
    for (int i = 0; i < SL_PARAMETERS; i++) {
        prior->mean[i] = mean[i];
        prior->weight[i] = 1.0 / (sigma[i] * sigma[i]);
    }
}

void sl_cross_rows(const struct sl_detector *d, const struct sl_quick_road *q, int side,
                   const struct sl_row_view *view, int rows, struct sl_crossings *at)
{
    const int count = SL_FOURS(rows);
    if (d->flat)
        memcpy(at->s, view->s, (size_t)count * sizeof *at->s);
    else
        d->kernels->meet(q, side, view, count, at->s);
    d->kernels->cross(q, side, count, at);
}

double sl_road_far_share(const struct sl_detector *d, double x)
{
    double far = x / d->near_end_m;
    double part = far < NEAR_BLEND ? 0 : far > 1 ? 1 : (far - NEAR_BLEND) / (1 - NEAR_BLEND);
    return part * part * (3 - 2 * part);
}

void sl_road_drawn(const struct sl_detector *d, int side, struct sl_drawn_row rows[SL_ROWS_MAX])
{
    const struct sl_row_view *view = &d->views[SL_ROWS_ALL];
    struct sl_quick_road near_road = sl_quick(d, &d->near), whole_road = sl_quick(d, &d->road);
    struct sl_crossings near, whole;
    sl_cross_rows(d, &near_road, side, view, view->count, &near);
    sl_cross_rows(d, &whole_road, side, view, view->count, &whole);
    for (int i = 0; i < view->count; i++) {
        float far = (float)sl_road_far_share(d, (double)whole.x[i]);
        const struct sl_crossings *most = far < 0.5f ? &near : &whole;
        rows[i].s = most->s[i];
        rows[i].t = near.t[i] + far * (whole.t[i] - near.t[i]);
        rows[i].per_s = most->per_s[i];
        rows[i].per_sigma = 1.0f / (view->sigma[i] * most->aslant[i]);
    }
}

double sl_road_cost(const struct sl_prior *prior, const struct sl_road *road)
{
    double cost = 0;
    for (int i = 0; i < SL_PARAMETERS; i++) {
        double off = road->p[i] - prior->mean[i];
        cost += 0.5 * prior->weight[i] * off * off;
    }
    return cost;
}

/* The row's candidate that speaks most for a boundary: by its quality, less the
 * farther off it is, in squares of the limit. */
static float best_of_row(const struct sl_votes *votes, int row, float t, float s, float per_s,
                         float per_limit2, float *z2)
{
    sl_four best = {0}, best_z2 = {0};
    for (int k = votes->first[row]; k < votes->end[row]; k += SL_FOUR) {
        sl_four off = sl_four_load(votes->t + k) - t - per_s * (sl_four_load(votes->s + k) - s);
        sl_four off_z2 = off * off * per_limit2;
        sl_four value = sl_four_load(votes->quality + k) * (1 - off_z2);
        sl_four_mask better = value > best;
        best = sl_four_either(better, value, best);
        best_z2 = sl_four_either(better, off_z2, best_z2);
    }
    if (sl_four_sum(best) <= 0)
        return 0;
    int lane = best[1] > best[0];
    int other = 2 + (best[3] > best[2]);
    lane = best[other] > best[lane] ? other : lane;
    *z2 = best_z2[lane];
    return best[lane];
}

static void score_side(const struct sl_detector *d, const struct sl_row_view *view, int side,
                       const struct sl_crossings *at, struct sl_support *support)
{
    _Alignas(16) float per_limit2[SL_ROWS_MAX], chance[SL_ROWS_MAX];
    for (int i = 0; i < SL_FOURS(view->count); i++) {
        float limit = INLIER_SIGMAS * view->sigma[i] * at->aslant[i];
        per_limit2[i] = 1.0f / (limit * limit);
        chance[i] = 2 * limit * view->per_span[i]; /* of each of the row's candidates */
    }
    float sum = 0, squares = 0, others = 0, others2 = 0;
    int visible = 0, inliers = 0, first = -1, last = -1;
    for (int i = 0; i < view->count; i++) {
        float t = at->t[i];
        if (t > view->t_left[i] || t < view->t_right[i])
            continue;
        visible++;
        const int row = view->row[i];
        if (d->rows[row].count == 0)
            continue;
        float z2 = 0;
        float best = best_of_row(&d->votes, row, t, at->s[i], at->per_s[i], per_limit2[i], &z2);
        others += chance[i] * (d->votes.sum[row] - best);
        others2 += chance[i] * (d->votes.squares[row] - best * best);
        if (best <= 0)
            continue;
        sum += best;
        squares += z2;
        inliers++;
        first = first < 0 ? i : first;
        last = i;
    }
    support->side[side] = sum * view->stride;
    support->squares[side] = squares * INLIER_SIGMAS * INLIER_SIGMAS;
    /* Means over the limit's width of closeness, 1 - z^2, and of its square. */
    support->chance[side] = others * (2.0f / 3);
    support->chance_variance[side] = others2 * (8.0f / 15);
    support->visible[side] = (float)visible;
    support->inliers[side] = (float)inliers;
    if (inliers > 0)
        support->span[side] = (float)(last - first + 1) / (float)visible;
}

void sl_road_score(const struct sl_detector *d, const struct sl_prior *prior,
                   const struct sl_road *road, enum sl_row_choice choice,
                   struct sl_support *support)
{
    const struct sl_row_view *view = &d->views[choice];
    struct sl_quick_road q = sl_quick(d, road);
    memset(support, 0, sizeof *support);
    for (int side = 0; side < SL_SIDES; side++) {
        struct sl_crossings at;
        sl_cross_rows(d, &q, side, view, view->count, &at);
        score_side(d, view, side, &at, support);
    }
    support->cost = prior->price + sl_road_cost(prior, road);
    support->score = support->side[0] + support->side[1] - support->cost;
}
