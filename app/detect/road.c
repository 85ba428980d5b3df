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

#define SLOPE_MIN 0.003
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

struct equations {
    double a[SL_PARAMETERS][SL_PARAMETERS]; /* lower triangle */
    double b[SL_PARAMETERS];
};

static void begin(struct equations *e, const struct sl_prior *prior, const struct sl_road *road)
{
    memset(e, 0, sizeof *e);
    for (int i = 0; i < SL_PARAMETERS; i++) {
        e->a[i][i] = prior->weight[i];
        e->b[i] = prior->weight[i] * (prior->mean[i] - road->p[i]);
    }
}

/* The error of a ray, its derivatives, and the square of the share of it that
 * lies across the line. False where the ray is no ground. */
static bool residual(const struct sl_road *road, double h, double s, double t, int side,
                     double *error, double *across, double j[SL_PARAMETERS])
{
    const double *p = road->p;
    double pitch = p[SL_PITCH];
    double s1 = s + pitch * (1.0 + s * s);
    if (s1 < SLOPE_MIN)
        return false;
    double t1 = t * (1.0 + s * pitch);
    double x = h / s1;
    double slope;
    double y = sl_road_centre(road, x, &slope);
    double g = slant(slope);
    double k = side == 0 ? 0.5 : -0.5;
    double shift = k * p[SL_WIDTH] * g;
    double predicted = (y + shift) / x;
    *error = t1 - predicted;
    double dg = k * p[SL_WIDTH] * slope / (g * x);
    j[SL_C0] = 1.0 / x;
    j[SL_C1] = 1.0 + dg;
    j[SL_C2] = x / 2 + dg * x;
    j[SL_C3] = x * x / 6 + dg * x * x / 2;
    j[SL_WIDTH] = k * g / x;
    double per_s = -(x / h) * (slope - predicted);
    j[SL_PITCH] = per_s * (1.0 + s * s) - t * s;
    /* What counts is the distance across the line: one pixel up or down is
     * many along a row where a line runs nearly level through the picture. */
    *across = 1.0 / (1.0 + per_s * per_s);
    return true;
}

static void add(struct equations *e, const double j[SL_PARAMETERS], double error, double weight)
{
    for (int i = 0; i < SL_PARAMETERS; i++) {
        double wj = weight * j[i];
        for (int k = 0; k <= i; k++)
            e->a[i][k] += wj * j[k];
        e->b[i] += wj * error;
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

bool sl_road_fit(const struct sl_detector *d, const struct sl_prior *prior,
                 const struct sl_assigned *points, int count, int steps, struct sl_road *road)
{
    double h = d->camera.c.height_m;
    for (int n = 0; n < steps; n++) {
        struct equations e;
        begin(&e, prior, road);
        for (int i = 0; i < count; i++) {
            const struct sl_candidate *c = &d->candidates[points[i].candidate];
            double error, across, j[SL_PARAMETERS];
            if (!residual(road, h, c->s, c->t, points[i].side, &error, &across, j))
                continue;
            double sigma = d->rows[c->row].sigma;
            add(&e, j, error, across / (sigma * sigma));
        }
        if (!step(&e, road))
            return false;
    }
    return true;
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

static bool crossings(const struct quick_road *q, float s, struct crossing out[SL_SIDES])
{
    float s1 = s + q->pitch * (1.0f + s * s);
    if (!(s1 >= (float)SLOPE_MIN))
        return false;
    float inverse = s1 / q->h; /* 1/x */
    float x = q->h / s1;
    float slope = q->c1 + x * (q->c2 + x * q->c3 * 0.5f);
    float y = q->c0 + x * (q->c1 + x * (q->c2 * 0.5f + x * q->c3 * (1.0f / 6)));
    float steep = slope * slope;
    float wider = sqrtf(1.0f + (steep < 4.0f ? steep : 4.0f));
    float half = q->half * wider;
    float back = 1.0f - s * q->pitch;
    float k = x / q->h;
    for (int side = 0; side < SL_SIDES; side++) {
        float t = (y + (side == 0 ? half : -half)) * inverse;
        out[side].t = t * back;
        out[side].per_s = k * (t - slope);
        out[side].aslant = sqrtf(1.0f + out[side].per_s * out[side].per_s);
        out[side].x = x;
        out[side].slope = slope;
        out[side].slant = wider;
    }
    return true;
}

/* Rows through a distorting lens rise or fall: the slope s where t is met. */
static float slope_at(const struct sl_row *row, float t)
{
    float step = (row->node_t[SL_ROW_NODES - 1] - row->node_t[0]) / (SL_ROW_NODES - 1);
    float at = (t - row->node_t[0]) / step;
    int i = at < 0 ? 0 : at > SL_ROW_NODES - 1 ? SL_ROW_NODES - 1 : (int)(at + 0.5f);
    return row->node_s[i];
}

/* Crossings of a row, each where it happens on it. `s` gets the slopes. */
static bool row_crossings(const struct quick_road *q, const struct sl_row *row,
                          struct crossing out[SL_SIDES], float s[SL_SIDES])
{
    s[0] = s[1] = row->s;
    if (!crossings(q, row->s, out))
        return false;
    if (row->flat)
        return true;
    for (int side = 0; side < SL_SIDES; side++) {
        float there = slope_at(row, out[side].t);
        struct crossing again[SL_SIDES];
        if (crossings(q, there, again)) {
            out[side] = again[side];
            s[side] = there;
        }
    }
    return true;
}

/* As residual() has them, from what the crossing already knows. */
static void derivatives(const struct quick_road *q, const struct crossing *at, float s, int side,
                        double j[SL_PARAMETERS])
{
    float k = side == 0 ? 0.5f : -0.5f;
    float x = at->x;
    float inverse = 1.0f / x;
    float dg = k * 2 * q->half * at->slope / at->slant * inverse;
    j[SL_C0] = inverse;
    j[SL_C1] = 1.0f + dg;
    j[SL_C2] = x * (0.5f + dg);
    j[SL_C3] = x * x * (1.0f / 6 + 0.5f * dg);
    j[SL_WIDTH] = k * at->slant * inverse;
    j[SL_PITCH] = at->per_s * (1.0f + s * s) - at->t * s;
}

bool sl_road_refine(const struct sl_detector *d, const struct sl_prior *prior, int rows, int steps,
                    int stride, double gate, double gate_end, struct sl_road *road)
{
    struct equations e;
    for (int n = 0; n < steps; n++) {
        double g = steps > 1 ? gate + (gate_end - gate) * n / (steps - 1) : gate_end;
        struct quick_road q = quick(d, road);
        begin(&e, prior, road);
        for (int r = 0; r < rows; r += stride) {
            const struct sl_row *row = &d->rows[r];
            struct crossing at[SL_SIDES];
            float s[SL_SIDES];
            if (row->count == 0 || !row_crossings(&q, row, at, s))
                continue;
            for (int side = 0; side < SL_SIDES; side++) {
                float limit = (float)g * row->sigma * at[side].aslant;
                float weight = 0, pull = 0;
                for (int k = 0; k < row->count; k++) {
                    const struct sl_candidate *c = &d->candidates[row->first + k];
                    float error = c->t - at[side].t - at[side].per_s * (c->s - s[side]);
                    /* Tukey's biweight: far candidates have no say. */
                    float z = error / limit;
                    float w = 1.0f - z * z;
                    if (w <= 0)
                        continue;
                    w *= w * c->quality;
                    weight += w;
                    pull += w * error;
                }
                if (weight <= 0)
                    continue;
                /* All of the row's candidates share its derivatives. */
                double j[SL_PARAMETERS];
                derivatives(&q, &at[side], s[side], side, j);
                float spread = row->sigma * at[side].aslant;
                add(&e, j, pull / weight, weight / (spread * spread));
            }
        }
        if (!step(&e, road))
            return false;
    }
    return true;
}

void sl_road_score(const struct sl_detector *d, const struct sl_prior *prior,
                   const struct sl_road *road, int stride, struct sl_support *support)
{
    struct quick_road q = quick(d, road);
    int first[SL_SIDES] = {-1, -1}, last[SL_SIDES] = {-1, -1};
    memset(support, 0, sizeof *support);
    for (int r = 0; r < d->row_count; r += stride) {
        const struct sl_row *row = &d->rows[r];
        struct crossing at[SL_SIDES];
        float s[SL_SIDES];
        if (!row_crossings(&q, row, at, s))
            continue;
        float t_left = row->node_t[0], t_right = row->node_t[SL_ROW_NODES - 1];
        for (int side = 0; side < SL_SIDES; side++) {
            if (at[side].t > t_left || at[side].t < t_right)
                continue;
            float limit = INLIER_SIGMAS * row->sigma * at[side].aslant;
            float per_limit2 = 1.0f / (limit * limit);
            support->visible[side]++;
            float chance = (float)row->count * 2 * limit / (t_left - t_right);
            support->chance[side] += chance < 1 ? chance : 1;
            float best = 0, best_z2 = 0;
            for (int k = 0; k < row->count; k++) {
                const struct sl_candidate *c = &d->candidates[row->first + k];
                float error = c->t - at[side].t - at[side].per_s * (c->s - s[side]);
                float z2 = error * error * per_limit2;
                if (z2 >= 1)
                    continue;
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
            if (first[side] < 0)
                first[side] = r;
            last[side] = r;
        }
    }
    for (int side = 0; side < SL_SIDES; side++)
        if (first[side] >= 0 && support->visible[side] > 0)
            support->span[side] = (float)(last[side] - first[side] + 1) / support->visible[side];
    if (stride > 1)
        for (int side = 0; side < SL_SIDES; side++)
            support->side[side] *= (float)stride;
    support->cost = prior->price;
    for (int i = 0; i < SL_PARAMETERS; i++) {
        double off = road->p[i] - prior->mean[i];
        support->cost += 0.5 * prior->weight[i] * off * off;
    }
    support->score = support->side[0] + support->side[1] - support->cost;
}
