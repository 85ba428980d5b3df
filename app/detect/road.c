/* The road model and its fit.
 *
 * Both boundaries share heading, curvature and its change: one centre line and
 * a width. In ray slopes, a line y(x) appears as t = y(h/s) s/h: a hyperbola
 * over s (Y. Wang, D. Shen, E. K. Teoh, "Lane detection using spline model",
 * 2000; Q. Chen, H. Wang, "A real-time lane detection algorithm based on a
 * hyperbola-pair model", IV 2006). An error of pitch moves s for both
 * boundaries alike, which straight parallel lines betray: it is a sixth
 * parameter. All are estimated together by Gauss-Newton under Gaussian priors,
 * so that a single dash or one boundary alone still gives a lane: whatever the
 * picture does not tell stays as the prior has it. */
#include <math.h>
#include <string.h>

#include "app/detect/detector.h"

#define SLOPE_MIN 0.003f /* rays that fall less are taken to fall so: no ground */
/* From which share of the near part on what is drawn goes over to the whole. */
#define NEAR_BLEND 0.6
/* Neighbouring rows err alike, by uneven paint and by what a cubic leaves over:
 * by so much their number overstates what is known (tests/bench/detect_truth). */
#define INFLATION 1.5
/* A candidate counts as on the line within this many sigmas. */
#define INLIER_SIGMAS 2.5f

double sl_road_centre(const struct sl_road *road, double x, double *slope)
{
    const double *p = road->p;
    if (slope)
        *slope = p[SL_C1] + x * (p[SL_C2] + x * p[SL_C3] / 2);
    return p[SL_C0] + x * (p[SL_C1] + x * (p[SL_C2] / 2 + x * p[SL_C3] / 6));
}

/* Sideways, a lane is wider where it runs aslant. */
static double slant(double slope)
{
    double s2 = slope * slope;
    return sqrt(1.0 + (s2 < 4.0 ? s2 : 4.0));
}

double sl_road_side(const struct sl_road *road, int side, double x)
{
    double slope;
    double y = sl_road_centre(road, x, &slope);
    double half = 0.5 * road->p[SL_WIDTH] * slant(slope);
    return side == 0 ? y + half : y - half;
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

/* Sums of w J^T J, and of w J^T error as the seventh column: eight numbers wide,
 * so that a row of them is one or two vectors. */
#define COLUMNS 8
#define ERROR   SL_PARAMETERS
struct sums {
    _Alignas(32) float a[SL_PARAMETERS][COLUMNS];
};

static void add(struct sums *sums, const float j[COLUMNS], float weight)
{
    for (int i = 0; i < SL_PARAMETERS; i++) {
        float wj = weight * j[i];
        for (int k = 0; k < COLUMNS; k++)
            sums->a[i][k] += wj * j[k];
    }
}

/* Normal equations with the prior; solved in double precision. */
struct equations {
    double a[SL_PARAMETERS][SL_PARAMETERS]; /* lower triangle */
    double b[SL_PARAMETERS];
};

static void set_up(struct equations *e, const struct sums *sums, const struct sl_prior *prior,
                   const struct sl_road *road)
{
    for (int i = 0; i < SL_PARAMETERS; i++) {
        for (int k = 0; k <= i; k++)
            e->a[i][k] = (double)sums->a[i][k];
        e->a[i][i] += prior->weight[i];
        e->b[i] = (double)sums->a[i][ERROR] + prior->weight[i] * (prior->mean[i] - road->p[i]);
    }
}

/* Cholesky's decomposition in place; false if not positive definite. */
static bool decompose(double a[SL_PARAMETERS][SL_PARAMETERS])
{
    for (int i = 0; i < SL_PARAMETERS; i++) {
        for (int k = 0; k <= i; k++) {
            double sum = a[i][k];
            for (int m = 0; m < k; m++)
                sum -= a[i][m] * a[k][m];
            if (i == k) {
                if (!(sum > 1e-12))
                    return false;
                a[i][i] = sqrt(sum);
            } else {
                a[i][k] = sum / a[k][k];
            }
        }
    }
    return true;
}

static void substitute(const double a[SL_PARAMETERS][SL_PARAMETERS], const double b[SL_PARAMETERS],
                       double x[SL_PARAMETERS])
{
    double z[SL_PARAMETERS] = {0};
    for (int i = 0; i < SL_PARAMETERS; i++) {
        double sum = b[i];
        for (int k = 0; k < i; k++)
            sum -= a[i][k] * z[k];
        z[i] = sum / a[i][i];
    }
    for (int i = SL_PARAMETERS - 1; i >= 0; i--) {
        double sum = z[i];
        for (int k = i + 1; k < SL_PARAMETERS; k++)
            sum -= a[k][i] * x[k];
        x[i] = sum / a[i][i];
    }
}

static bool step(struct equations *e, struct sl_road *road)
{
    double delta[SL_PARAMETERS];
    if (!decompose(e->a))
        return false;
    substitute(e->a, e->b, delta);
    for (int i = 0; i < SL_PARAMETERS; i++) {
        road->p[i] += delta[i];
        if (!isfinite(road->p[i]))
            return false;
    }
    if (fabs(road->p[SL_PITCH]) > 0.1)
        road->p[SL_PITCH] = road->p[SL_PITCH] > 0 ? 0.1 : -0.1;
    return road->p[SL_WIDTH] > 0;
}

/* The road in single precision, prepared for many rows. */
struct quick_road {
    float c0, c1, c2, c3, half, pitch, h;
};

static struct quick_road quick(const struct sl_detector *d, const struct sl_road *road)
{
    const double *p = road->p;
    return (struct quick_road){(float)p[SL_C0],
                               (float)p[SL_C1],
                               (float)p[SL_C2],
                               (float)p[SL_C3],
                               (float)(0.5 * p[SL_WIDTH]),
                               (float)p[SL_PITCH],
                               (float)d->camera.c.height_m};
}

/* Where a boundary crosses a row: t at the row's s, and how t changes with s. */
struct crossing {
    float t, per_s;
    float aslant;          /* distance along the row over distance across the line */
    float x, slope, slant; /* there: distance ahead, and the centre line's dy/dx */
};

/* `side`: 1 left, -1 right. Total: rays that are no ground count as far away.
 * What counts is the distance across the line: one pixel up or down is many
 * along a row where a line runs nearly level through the picture. */
static inline struct crossing cross(const struct quick_road *q, float s, float side)
{
    struct crossing c;
    float s1 = s + q->pitch * (1.0f + s * s);
    s1 = s1 > SLOPE_MIN ? s1 : SLOPE_MIN;
    float inverse = s1 / q->h; /* 1/x */
    c.x = q->h / s1;
    c.slope = q->c1 + c.x * (q->c2 + c.x * q->c3 * 0.5f);
    float y = q->c0 + c.x * (q->c1 + c.x * (q->c2 * 0.5f + c.x * q->c3 * (1.0f / 6)));
    float steep = c.slope * c.slope;
    c.slant = sqrtf(1.0f + (steep < 4.0f ? steep : 4.0f));
    float t = (y + side * q->half * c.slant) * inverse;
    c.t = t * (1.0f - s * q->pitch);
    c.per_s = c.x / q->h * (t - c.slope);
    c.aslant = sqrtf(1.0f + c.per_s * c.per_s);
    return c;
}

/* How t there changes with each parameter. */
static inline void derivatives(const struct quick_road *q, const struct crossing *at, float s,
                               float side, float j[COLUMNS])
{
    float inverse = 1.0f / at->x;
    float dg = side * q->half * at->slope / at->slant * inverse;
    j[SL_C0] = inverse;
    j[SL_C1] = 1.0f + dg;
    j[SL_C2] = at->x * (0.5f + dg);
    j[SL_C3] = at->x * at->x * (1.0f / 6 + 0.5f * dg);
    j[SL_WIDTH] = side * 0.5f * at->slant * inverse;
    j[SL_PITCH] = at->per_s * (1.0f + s * s) - at->t * s;
}

static const float SIDE_SIGN[SL_SIDES] = {1, -1};

bool sl_road_fit(const struct sl_detector *d, const struct sl_prior *prior,
                 const struct sl_assigned *points, int count, int steps, struct sl_road *road)
{
    for (int n = 0; n < steps; n++) {
        struct quick_road q = quick(d, road);
        struct sums sums = {0};
        for (int i = 0; i < count; i++) {
            const struct sl_candidate *c = &d->candidates[points[i].candidate];
            float side = SIDE_SIGN[points[i].side];
            struct crossing at = cross(&q, c->s, side);
            float j[COLUMNS] = {0};
            derivatives(&q, &at, c->s, side, j);
            j[ERROR] = c->t - at.t;
            float sigma = d->rows[c->row].sigma * at.aslant;
            add(&sums, j, 1.0f / (sigma * sigma));
        }
        struct equations e;
        set_up(&e, &sums, prior, road);
        if (!step(&e, road))
            return false;
    }
    return true;
}

/* Crossings of many rows: arrays, so that rows are computed side by side. */
struct crossings {
    float t[SL_SIDES][SL_ROWS_MAX], s[SL_SIDES][SL_ROWS_MAX], per_s[SL_SIDES][SL_ROWS_MAX];
    float aslant[SL_SIDES][SL_ROWS_MAX];
    float x[SL_SIDES][SL_ROWS_MAX], slope[SL_SIDES][SL_ROWS_MAX], slant[SL_SIDES][SL_ROWS_MAX];
};

/* Rows through a distorting lens rise or fall: the slope where t is met. */
static inline float slope_where_met(const struct quick_road *q, const struct sl_row_view *view,
                                    int i, float sign)
{
    float t = cross(q, view->s[i], sign).t;
    t = t < view->t_left[i] ? t : view->t_left[i];
    t = t > view->t_right[i] ? t : view->t_right[i];
    return view->s[i] + t * (view->s_per_t[i] + t * view->s_per_t2[i]);
}

static void cross_rows(const struct sl_detector *d, const struct quick_road *q,
                       const struct sl_row_view *view, int rows, struct crossings *out)
{
    for (int side = 0; side < SL_SIDES; side++) {
        float sign = SIDE_SIGN[side];
        for (int i = 0; i < rows; i++)
            out->s[side][i] = d->flat ? view->s[i] : slope_where_met(q, view, i, sign);
        for (int i = 0; i < rows; i++) {
            struct crossing c = cross(q, out->s[side][i], sign);
            out->t[side][i] = c.t;
            out->per_s[side][i] = c.per_s;
            out->aslant[side][i] = c.aslant;
            out->x[side][i] = c.x;
            out->slope[side][i] = c.slope;
            out->slant[side][i] = c.slant;
        }
    }
}

/* What a row's candidates say of one boundary: Tukey's biweight, far ones have
 * no say. Returns their weight, 0 for none, and their mean error. */
static float pull_of_row(const struct sl_detector *d, const struct sl_row *row, float t, float s,
                         float per_s, float limit, float *error)
{
    float weight = 0, pull = 0;
    float per_limit2 = 1.0f / (limit * limit);
    for (int k = row->first; k < row->first + row->count; k++) {
        const struct sl_candidate *c = &d->candidates[k];
        float off = c->t - t - per_s * (c->s - s);
        float w = 1.0f - off * off * per_limit2;
        if (w <= 0)
            continue;
        w *= w * c->quality;
        weight += w;
        pull += w * off;
    }
    *error = weight > 0 ? pull / weight : 0;
    return weight;
}

/* What all candidates within `gate` sigmas say of the road. */
static void sum_rows(const struct sl_detector *d, const struct sl_road *road,
                     enum sl_row_choice choice, int rows, float gate, struct sums *sums)
{
    const struct sl_row_view *view = &d->views[choice];
    struct quick_road q = quick(d, road);
    struct crossings at;
    rows = rows < view->count ? rows : view->count;
    *sums = (struct sums){0};
    cross_rows(d, &q, view, rows, &at);
    for (int side = 0; side < SL_SIDES; side++) {
        for (int i = 0; i < rows; i++) {
            const struct sl_row *row = &d->rows[view->row[i]];
            float sigma = row->sigma * at.aslant[side][i];
            float j[COLUMNS] = {0};
            float weight = pull_of_row(d, row, at.t[side][i], at.s[side][i], at.per_s[side][i],
                                       gate * sigma, &j[ERROR]);
            if (weight <= 0)
                continue;
            /* All of the row's candidates share its derivatives. */
            const struct crossing c = {.t = at.t[side][i],
                                       .per_s = at.per_s[side][i],
                                       .x = at.x[side][i],
                                       .slope = at.slope[side][i],
                                       .slant = at.slant[side][i]};
            derivatives(&q, &c, at.s[side][i], SIDE_SIGN[side], j);
            add(sums, j, weight / (sigma * sigma));
        }
    }
}

bool sl_road_refine(const struct sl_detector *d, const struct sl_prior *prior,
                    enum sl_row_choice choice, int rows, int steps, double gate, double gate_end,
                    struct sl_road *road)
{
    for (int n = 0; n < steps; n++) {
        double g = steps > 1 ? gate + (gate_end - gate) * n / (steps - 1) : gate_end;
        struct sums sums;
        struct equations e;
        sum_rows(d, road, choice, rows, (float)g, &sums);
        set_up(&e, &sums, prior, road);
        if (!step(&e, road))
            return false;
    }
    return true;
}

bool sl_road_covariance(const struct sl_detector *d, const struct sl_prior *prior, int rows,
                        const struct sl_road *road, double covariance[SL_PARAMETERS][SL_PARAMETERS])
{
    struct sums sums;
    struct equations e;
    sum_rows(d, road, SL_ROWS_ALL, rows, SL_GATE_LAST, &sums);
    set_up(&e, &sums, prior, road);
    if (!decompose(e.a))
        return false;
    for (int i = 0; i < SL_PARAMETERS; i++) {
        double unit[SL_PARAMETERS] = {0};
        unit[i] = 1;
        substitute((const double(*)[SL_PARAMETERS])e.a, unit, covariance[i]);
        for (int k = 0; k < SL_PARAMETERS; k++)
            covariance[i][k] *= INFLATION;
    }
    return true;
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
    struct quick_road near_road = quick(d, &d->near), whole_road = quick(d, &d->road);
    struct crossings near, whole;
    cross_rows(d, &near_road, view, view->count, &near);
    cross_rows(d, &whole_road, view, view->count, &whole);
    for (int i = 0; i < view->count; i++) {
        float far = (float)sl_road_far_share(d, (double)whole.x[side][i]);
        const struct crossings *most = far < 0.5f ? &near : &whole;
        rows[i].s = most->s[side][i];
        rows[i].t = near.t[side][i] + far * (whole.t[side][i] - near.t[side][i]);
        rows[i].per_s = most->per_s[side][i];
        rows[i].per_sigma = 1.0f / (d->rows[i].sigma * most->aslant[side][i]);
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

void sl_road_score(const struct sl_detector *d, const struct sl_prior *prior,
                   const struct sl_road *road, enum sl_row_choice choice,
                   struct sl_support *support)
{
    const struct sl_row_view *view = &d->views[choice];
    struct quick_road q = quick(d, road);
    struct crossings at;
    memset(support, 0, sizeof *support);
    cross_rows(d, &q, view, view->count, &at);
    for (int side = 0; side < SL_SIDES; side++) {
        int first = -1, last = -1;
        for (int i = 0; i < view->count; i++) {
            float t = at.t[side][i];
            if (t > view->t_left[i] || t < view->t_right[i])
                continue;
            const struct sl_row *row = &d->rows[view->row[i]];
            support->visible[side]++;
            if (row->count == 0)
                continue;
            float limit = INLIER_SIGMAS * row->sigma * at.aslant[side][i];
            float per_limit2 = 1.0f / (limit * limit);
            float chance = (float)row->count * 2 * limit / (view->t_left[i] - view->t_right[i]);
            support->chance[side] += chance < 1 ? chance : 1;
            float best = 0, best_z2 = 0;
            for (int k = row->first; k < row->first + row->count; k++) {
                const struct sl_candidate *c = &d->candidates[k];
                float error = c->t - t - at.per_s[side][i] * (c->s - at.s[side][i]);
                float z2 = error * error * per_limit2;
                float value = c->quality * (1 - z2);
                if (value > best) {
                    best = value;
                    best_z2 = z2;
                }
            }
            if (best <= 0)
                continue;
            support->side[side] += best;
            support->inliers[side]++;
            support->squares[side] += best_z2 * INLIER_SIGMAS * INLIER_SIGMAS;
            if (first < 0)
                first = i;
            last = i;
        }
        if (first >= 0 && support->visible[side] > 0)
            support->span[side] = (float)(last - first + 1) / support->visible[side];
        support->side[side] *= view->stride;
    }
    support->cost = prior->price + sl_road_cost(prior, road);
    support->score = support->side[0] + support->side[1] - support->cost;
}
