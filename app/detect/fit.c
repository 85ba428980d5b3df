/* The road model's fit to candidates: Gauss-Newton under Gaussian priors, for
 * the model of road.c. Sums over candidates are made in single precision, the
 * equations solved in double. */
#include <math.h>
#include <string.h>

#include "app/detect/crossing.h"

/* Neighbouring rows err alike, by uneven paint and by what a cubic leaves over:
 * by so much their number overstates what is known (tests/bench/detect_truth). */
#define INFLATION 1.5

/* Sums over points in four lanes. */
struct sums {
    sl_four a[SL_TRIANGLE], b[SL_PARAMETERS];
};

static void add(const struct sl_derivatives *at, int count, struct sums *sums)
{
    for (int first = 0; first < count; first += SL_FOUR) {
        sl_four j[SL_PARAMETERS + 1];
        for (int i = 0; i <= SL_PARAMETERS; i++)
            j[i] = sl_four_load(&at->j[i][first]);
        sl_four weight = sl_four_load(&at->weight[first]);
        sl_four *a = sums->a;
        for (int i = 0; i < SL_PARAMETERS; i++) {
            sl_four wj = weight * j[i];
            for (int k = 0; k <= i; k++)
                *a++ += wj * j[k];
            sums->b[i] += wj * j[SL_ERROR];
        }
    }
}

static void total(const struct sums *sums, struct sl_pull *pull)
{
    for (int i = 0; i < SL_TRIANGLE; i++)
        pull->a[i] = sl_four_sum(sums->a[i]);
    for (int i = 0; i < SL_PARAMETERS; i++)
        pull->b[i] = sl_four_sum(sums->b[i]);
}

void sl_road_pull(const struct sl_detector *d, const struct sl_road *road, int side,
                  const uint16_t *candidates, int count, struct sl_pull *pull)
{
    const int fours = SL_FOURS(count);
    struct sl_quick_road q = sl_quick(d, road);
    struct sl_crossings at;
    struct sl_derivatives seen;
    struct sums sums = {0};
    for (int i = 0; i < fours; i++)
        at.s[i] = d->candidates[candidates[i < count ? i : count - 1]].s;
    d->kernels->cross(&q, side, fours, &at);
    d->kernels->differentiate(&q, &at, side, fours, &seen);
    for (int i = 0; i < fours; i++) {
        const struct sl_candidate *c = &d->candidates[candidates[i < count ? i : count - 1]];
        float sigma = d->rows[c->row].sigma * at.aslant[i];
        seen.j[SL_ERROR][i] = c->t - at.t[i];
        seen.weight[i] = i < count ? 1.0f / (sigma * sigma) : 0;
    }
    add(&seen, fours, &sums);
    total(&sums, pull);
}

void sl_row_pull(const struct sl_votes *votes, int row, float t, float s, float per_s,
                 float per_limit2, float *weight, float *pull)
{
    sl_four weights = {0}, pulls = {0};
    for (int k = votes->first[row]; k < votes->end[row]; k += SL_FOUR) {
        sl_four off = sl_four_load(votes->t + k) - t - per_s * (sl_four_load(votes->s + k) - s);
        sl_four w = 1.0f - off * off * per_limit2;
        w = sl_four_where(w > 0, w);
        w *= w * sl_four_load(votes->quality + k);
        weights += w;
        pulls += w * off;
    }
    *weight = sl_four_sum(weights);
    *pull = sl_four_sum(pulls);
}

/* What all candidates within `gate` sigmas say of the road. */
static void pull_of_rows(const struct sl_detector *d, const struct sl_road *road,
                         enum sl_row_choice choice, int rows, float gate, struct sl_pull *pull)
{
    const struct sl_row_view *view = &d->views[choice];
    struct sl_quick_road q = sl_quick(d, road);
    struct sums sums = {0};
    rows = rows < view->count ? rows : view->count;
    const int fours = SL_FOURS(rows);
    const float per_gate2 = 1.0f / (gate * gate);
    for (int side = 0; side < SL_SIDES; side++) {
        struct sl_crossings at;
        struct sl_derivatives seen;
        _Alignas(16) float per_variance[SL_ROWS_MAX], weight[SL_ROWS_MAX] = {0},
                                                      sum[SL_ROWS_MAX] = {0};
        sl_cross_rows(d, &q, side, view, rows, &at);
        d->kernels->differentiate(&q, &at, side, fours, &seen);
        for (int i = 0; i < fours; i++) {
            float sigma = view->sigma[i] * at.aslant[i];
            per_variance[i] = 1.0f / (sigma * sigma);
        }
        for (int i = 0; i < rows; i++)
            sl_row_pull(&d->votes, view->row[i], at.t[i], at.s[i], at.per_s[i],
                        per_gate2 * per_variance[i], &weight[i], &sum[i]);
        /* All of a row's candidates share its derivatives. */
        for (int i = 0; i < fours; i++) {
            seen.j[SL_ERROR][i] = sum[i] / (weight[i] > 0 ? weight[i] : 1);
            seen.weight[i] = weight[i] * per_variance[i];
        }
        add(&seen, fours, &sums);
    }
    total(&sums, pull);
}

/* Normal equations with the prior; then L and D of their decomposition L D L^T,
 * which is Cholesky's without roots. */
struct equations {
    double a[SL_PARAMETERS][SL_PARAMETERS]; /* lower triangle; L below its diagonal of ones */
    double per_d[SL_PARAMETERS];            /* 1/D */
    double b[SL_PARAMETERS];
};

static void set_up(struct equations *e, const struct sl_pull *pull, const struct sl_prior *prior,
                   const struct sl_road *road)
{
    const float *a = pull->a;
    for (int i = 0; i < SL_PARAMETERS; i++) {
        for (int k = 0; k <= i; k++)
            e->a[i][k] = (double)*a++;
        e->a[i][i] += prior->weight[i];
        e->b[i] = (double)pull->b[i] + prior->weight[i] * (prior->mean[i] - road->p[i]);
    }
}

/* False if not positive definite. */
static bool decompose(struct equations *e)
{
    for (int i = 0; i < SL_PARAMETERS; i++) {
        double *row = e->a[i]; /* L D at first */
        double d = row[i];
        for (int k = 0; k < i; k++)
            for (int m = 0; m < k; m++)
                row[k] -= row[m] * e->a[k][m];
        for (int k = 0; k < i; k++) {
            double l = row[k] * e->per_d[k];
            d -= row[k] * l;
            row[k] = l;
        }
        if (!(d > 1e-12))
            return false;
        e->per_d[i] = 1.0 / d;
    }
    return true;
}

static void substitute(const struct equations *e, const double b[SL_PARAMETERS],
                       double x[SL_PARAMETERS])
{
    for (int i = 0; i < SL_PARAMETERS; i++) {
        x[i] = b[i];
        for (int k = 0; k < i; k++)
            x[i] -= e->a[i][k] * x[k];
    }
    for (int i = SL_PARAMETERS - 1; i >= 0; i--) {
        x[i] *= e->per_d[i];
        for (int k = i + 1; k < SL_PARAMETERS; k++)
            x[i] -= e->a[k][i] * x[k];
    }
}

bool sl_road_step(const struct sl_prior *prior, const struct sl_pull *pull,
                  const struct sl_pull *more, struct sl_road *road)
{
    struct sl_pull both = *pull;
    if (more) {
        for (int i = 0; i < SL_TRIANGLE; i++)
            both.a[i] += more->a[i];
        for (int i = 0; i < SL_PARAMETERS; i++)
            both.b[i] += more->b[i];
    }
    struct equations e;
    double delta[SL_PARAMETERS];
    set_up(&e, &both, prior, road);
    if (!decompose(&e))
        return false;
    substitute(&e, e.b, delta);
    for (int i = 0; i < SL_PARAMETERS; i++) {
        road->p[i] += delta[i];
        if (!isfinite(road->p[i]))
            return false;
    }
    if (fabs(road->p[SL_PITCH]) > 0.1)
        road->p[SL_PITCH] = road->p[SL_PITCH] > 0 ? 0.1 : -0.1;
    return road->p[SL_WIDTH] > 0;
}

bool sl_road_refine(const struct sl_detector *d, const struct sl_prior *prior,
                    enum sl_row_choice choice, int rows, int steps, double gate, double gate_end,
                    struct sl_road *road)
{
    for (int n = 0; n < steps; n++) {
        double g = steps > 1 ? gate + (gate_end - gate) * n / (steps - 1) : gate_end;
        struct sl_pull pull;
        pull_of_rows(d, road, choice, rows, (float)g, &pull);
        if (!sl_road_step(prior, &pull, NULL, road))
            return false;
    }
    return true;
}

bool sl_road_covariance(const struct sl_detector *d, const struct sl_prior *prior, int rows,
                        const struct sl_road *road, double covariance[SL_PARAMETERS][SL_PARAMETERS])
{
    struct sl_pull pull;
    struct equations e;
    pull_of_rows(d, road, SL_ROWS_ALL, rows, SL_GATE_LAST, &pull);
    set_up(&e, &pull, prior, road);
    if (!decompose(&e))
        return false;
    for (int i = 0; i < SL_PARAMETERS; i++) {
        double unit[SL_PARAMETERS] = {0};
        unit[i] = 1;
        substitute(&e, unit, covariance[i]);
        for (int k = 0; k < SL_PARAMETERS; k++)
            covariance[i][k] *= INFLATION;
    }
    return true;
}
