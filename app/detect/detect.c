#include "app/detect/detect.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "app/detect/detector.h"

#define HYPOTHESES_MAX  96
#define SEARCH_STRIDE   3
#define FINALISTS       4
#define TIGHT_PRICE     2.0
#define JUMP_PRICE      4.0 /* of a lane unlike the one before */
#define ROUGH_STEPS     3
#define FINE_STEPS      3
#define GATE_MIDDLE     3.5
#define GATE_FIRST      6.0
#define GATE_LAST       2.5
#define CLEAR_SHARE     0.2f
#define NEAR_WIDTHS     3.5
#define NEAR_BLEND      0.6
#define NEAR_STEPS      4
#define NEAR_GATE_FIRST 8.0
#define ONE_LINE_SHARE  0.7f  /* one boundary is often right where the other is not */
#define STRANGE         0.06f /* confidence lost for each unit of a road's cost, up to so many */
#define STRANGEST       6.0f
#define FORGET_FRAMES   8
#define WIDTH_SHARE     0.4 /* of the width's tolerance: one sigma */
#define PITCH_SIGMA     0.012
#define CHAIN_SAMPLES   6 /* candidates of a chain that a hypothesis is fitted to */

static int check(double value, double min, double max, const char *name, struct sl_error *err)
{
    if (isfinite(value) && value >= min && value <= max)
        return 0;
    return sl_error_set(err, -EINVAL, "detect: %s is %g; it must lie within %g and %g", name, value,
                        min, max);
}

size_t sl_detector_size(void)
{
    return (sizeof(struct sl_detector) + 63) & ~(size_t)63;
}

static void set_prior(struct sl_prior *prior, const double mean[SL_PARAMETERS],
                      const double sigma[SL_PARAMETERS], double price)
{
    prior->price = price;
    for (int i = 0; i < SL_PARAMETERS; i++) {
        prior->mean[i] = mean[i];
        prior->weight[i] = 1.0 / (sigma[i] * sigma[i]);
    }
}

/* What roads are like before one is seen. Offsets and bends go with the lane's
 * width, so that a car of a tenth the size has bends of a tenth the radius. */
static void set_base_priors(struct sl_detector *d)
{
    const struct sl_detect_config *c = &d->config;
    const double w = c->lane_width_m;
    const double mean[SL_PARAMETERS] = {[SL_C0] = -c->camera.left_m, [SL_WIDTH] = w};
    const double width = fmax(WIDTH_SHARE * c->lane_width_tolerance, 0.005) * w;
    const double road[SL_PARAMETERS] = {
        [SL_C0] = 0.4 * w,         [SL_C1] = 0.2,      [SL_C2] = 0.06 / w,
        [SL_C3] = 0.004 / (w * w), [SL_WIDTH] = width, [SL_PITCH] = PITCH_SIGMA,
    };
    const double tight[SL_PARAMETERS] = {
        [SL_C0] = 0.4 * w,        [SL_C1] = 0.6,      [SL_C2] = 0.5 / w,
        [SL_C3] = 0.25 / (w * w), [SL_WIDTH] = width, [SL_PITCH] = PITCH_SIGMA,
    };
    set_prior(&d->priors[SL_PRIOR_ROAD], mean, road, 0);
    set_prior(&d->priors[SL_PRIOR_TIGHT], mean, tight, TIGHT_PRICE);
}

/* After a frame with a lane: the next is much alike. Width and pitch drift
 * back to what the configuration says where nothing else holds them. */
static void set_track_prior(struct sl_detector *d)
{
    const double w = d->config.lane_width_m;
    const double more = 1.0 + d->unseen;
    const double sigma[SL_PARAMETERS] = {
        [SL_C0] = 0.06 * w * more,       [SL_C1] = 0.05 * more, [SL_C2] = 0.04 / w * more,
        [SL_C3] = 0.02 / (w * w) * more, [SL_WIDTH] = 0.03 * w, [SL_PITCH] = 0.5 * PITCH_SIGMA,
    };
    double mean[SL_PARAMETERS];
    memcpy(mean, d->track.p, sizeof mean);
    mean[SL_WIDTH] += 0.05 * (w - mean[SL_WIDTH]);
    mean[SL_PITCH] *= 0.9;
    set_prior(&d->priors[SL_PRIOR_TRACK], mean, sigma, 0);
    d->priors[SL_PRIOR_ROAD].price = JUMP_PRICE;
    d->priors[SL_PRIOR_TIGHT].price = JUMP_PRICE + TIGHT_PRICE;
}

int sl_detector_init(struct sl_detector *d, const struct sl_detect_config *config,
                     struct sl_error *err)
{
    struct sl_camera_model model;
    int rc = sl_camera_model_init(&model, &config->camera, err);
    if (rc)
        return rc;
    const struct {
        const char *name;
        double value, min, max;
    } checks[] = {
        {"lane_width_m", config->lane_width_m, 0.05, 20},
        {"lane_width_tolerance", config->lane_width_tolerance, 0, 0.5},
        {"marking_width_m", config->marking_width_m, 0.001, 2},
        {"near_m", config->near_m, 0, 1000},
        {"far_m", config->far_m, 0.01, 1000},
        {"min_contrast", config->min_contrast, 0.5, 255},
    };
    for (size_t i = 0; i < sizeof checks / sizeof checks[0]; i++) {
        rc = check(checks[i].value, checks[i].min, checks[i].max, checks[i].name, err);
        if (rc)
            return rc;
    }
    if (config->near_m >= config->far_m)
        return sl_error_set(err, -EINVAL, "detect: near_m (%g) must be less than far_m (%g)",
                            config->near_m, config->far_m);
    memset(d, 0, sizeof *d);
    d->config = *config;
    d->camera = model;
    d->width_px = config->camera.width_px;
    d->height_px = config->camera.height_px;
    sl_detector_reset(d);
    sl_rows_prepare(d);
    return 0;
}

void sl_detector_reset(struct sl_detector *d)
{
    d->tracking = false;
    d->unseen = 0;
    d->found = false;
    memset(&d->track, 0, sizeof d->track);
    set_base_priors(d);
}

/* ---- hypotheses ---- */

static int sample_chain(const struct sl_chain *chain, int side, struct sl_assigned *out)
{
    int n = chain->count < CHAIN_SAMPLES ? chain->count : CHAIN_SAMPLES;
    for (int i = 0; i < n; i++) {
        int at = n > 1 ? i * (chain->count - 1) / (n - 1) : 0;
        out[i].candidate = chain->points[at];
        out[i].side = (uint8_t)side;
    }
    return n;
}

/* The lane under the vehicle: its boundaries lie on either side of it where the
 * picture begins. A little slack: vehicles straddle lines. */
static bool is_ego(const struct sl_detector *d, const struct sl_road *road)
{
    double w = road->p[SL_WIDTH];
    double s = d->rows[0].s + road->p[SL_PITCH];
    double x = d->camera.c.height_m / fmax(s, 0.01);
    double middle = -d->camera.c.left_m;
    double expected = d->config.lane_width_m;
    double tolerance = d->config.lane_width_tolerance;
    return fabs(sl_road_centre(road, x, NULL) - middle) < 0.6 * w &&
           w > expected * (1 - 1.5 * tolerance) && w < expected * (1 + 1.5 * tolerance);
}

struct hypothesis {
    struct sl_road road;
    const struct sl_prior *prior;
    double score;
};

static bool alike(const struct sl_detector *d, const struct sl_road *a, const struct sl_road *b)
{
    const double w = d->config.lane_width_m;
    const double near[SL_PARAMETERS] = {
        [SL_C0] = 0.05 * w,       [SL_C1] = 0.03,        [SL_C2] = 0.02 / w,
        [SL_C3] = 0.02 / (w * w), [SL_WIDTH] = 0.05 * w, [SL_PITCH] = 0.01,
    };
    for (int i = 0; i < SL_PARAMETERS; i++)
        if (fabs(a->p[i] - b->p[i]) > near[i])
            return false;
    return true;
}

/* Keeps the best FINALISTS that differ from each other, best first. */
static void consider(const struct sl_detector *d, const struct sl_prior *prior,
                     const struct sl_road *road, struct hypothesis best[FINALISTS], int *count)
{
    if (!is_ego(d, road))
        return;
    struct sl_support support;
    sl_road_score(d, prior, road, SEARCH_STRIDE, &support);
    struct hypothesis h = {*road, prior, support.score};
    int place = *count;
    for (int i = 0; i < *count; i++) {
        if (best[i].prior == prior && alike(d, road, &best[i].road)) {
            if (best[i].score >= h.score)
                return;
            place = i;
            break;
        }
    }
    if (place == FINALISTS) {
        place = FINALISTS - 1;
        if (best[place].score >= h.score)
            return;
    }
    if (place == *count)
        (*count)++;
    best[place] = h;
    for (int i = place; i > 0 && best[i].score > best[i - 1].score; i--) {
        struct hypothesis swap = best[i];
        best[i] = best[i - 1];
        best[i - 1] = swap;
    }
}

static void sort_chains(const struct sl_detector *d, int order[SL_CHAINS_MAX])
{
    for (int i = 0; i < d->chain_count; i++) {
        int k = i;
        while (k > 0 && d->chains[order[k - 1]].strength < d->chains[i].strength) {
            order[k] = order[k - 1];
            k--;
        }
        order[k] = i;
    }
}

/* How far chain a lies to the left of b, in metres: where they run beside each
 * other, or else where the one that ends first would be, going on as it did. */
static double lateral_distance(const struct sl_detector *d, const struct sl_chain *a,
                               const struct sl_chain *b)
{
    bool a_near = d->candidates[a->points[0]].row < d->candidates[b->points[0]].row;
    const struct sl_chain *near = a_near ? a : b;
    const struct sl_chain *far = a_near ? b : a;
    const struct sl_candidate *from = &d->candidates[far->points[0]];
    /* The nearer chain's candidate closest to the row where the farther begins. */
    const struct sl_candidate *at = &d->candidates[near->points[near->count - 1]];
    float t = at->t + near->slope * (from->s - at->s);
    for (int i = 0; i < near->count; i++) {
        const struct sl_candidate *c = &d->candidates[near->points[i]];
        if (c->row >= from->row) {
            t = c->t + near->slope * (from->s - c->s);
            break;
        }
    }
    double apart = (double)(t - from->t) * d->camera.c.height_m / fmax(from->s, 0.003);
    return a_near ? apart : -apart;
}

static int search(const struct sl_detector *d, int kind, struct hypothesis best[FINALISTS],
                  int count)
{
    const struct sl_prior *prior = &d->priors[kind];
    /* The wider the prior, the further the first step is from linear. */
    const int steps = kind == SL_PRIOR_TIGHT ? 2 : 1;
    int order[SL_CHAINS_MAX];
    int tried = 0;
    int n = d->chain_count;
    sort_chains(d, order);
    struct sl_assigned points[2 * CHAIN_SAMPLES];
    struct sl_road start;
    memcpy(start.p, prior->mean, sizeof start.p);

    for (int i = 0; i < n && tried < HYPOTHESES_MAX / 2; i++) {
        for (int side = 0; side < SL_SIDES; side++) {
            struct sl_road road = start;
            int k = sample_chain(&d->chains[order[i]], side, points);
            tried++;
            if (sl_road_fit(d, prior, points, k, steps, &road))
                consider(d, prior, &road, best, &count);
        }
    }
    /* Pairs in the order of their weaker chain's strength. */
    for (int i = 1; i < n && tried < HYPOTHESES_MAX; i++) {
        for (int j = 0; j < i && tried < HYPOTHESES_MAX; j++) {
            const struct sl_chain *a = &d->chains[order[i]];
            const struct sl_chain *b = &d->chains[order[j]];
            double apart = lateral_distance(d, a, b);
            double w = d->config.lane_width_m;
            if (fabs(apart) > 2.0 * w)
                continue;
            if (fabs(apart) < 0.6 * w) {
                /* Pieces of one marking, perhaps, on either side. */
                for (int side = 0; side < SL_SIDES; side++) {
                    struct sl_road road = start;
                    int k = sample_chain(a, side, points);
                    k += sample_chain(b, side, points + k);
                    tried++;
                    if (sl_road_fit(d, prior, points, k, steps, &road))
                        consider(d, prior, &road, best, &count);
                }
            }
            if (fabs(apart) < 0.4 * w)
                continue;
            tried++;
            struct sl_road road = start;
            int k = sample_chain(a, apart > 0 ? 0 : 1, points);
            k += sample_chain(b, apart > 0 ? 1 : 0, points + k);
            if (sl_road_fit(d, prior, points, k, steps, &road))
                consider(d, prior, &road, best, &count);
        }
    }
    return count;
}

struct found {
    struct sl_road road;
    struct sl_support support;
    double score; /* -INFINITY: nothing yet */
};

/* Searches and refines under one prior; keeps what is better than before. */
static void look(const struct sl_detector *d, int kind, struct found *found)
{
    struct hypothesis best[FINALISTS] = {0};
    int count = 0;
    if (kind == SL_PRIOR_TRACK)
        consider(d, &d->priors[kind], &d->track, best, &count);
    count = search(d, kind, best, count);
    int leader = -1;
    for (int i = 0; i < count; i++) {
        struct sl_support support;
        if (!sl_road_refine(d, &d->priors[kind], d->row_count, ROUGH_STEPS, 2, GATE_FIRST,
                            GATE_MIDDLE, &best[i].road, NULL) ||
            !is_ego(d, &best[i].road))
            continue;
        sl_road_score(d, &d->priors[kind], &best[i].road, 1, &support);
        best[i].score = support.score;
        if (leader < 0 || best[i].score > best[leader].score)
            leader = i;
    }
    if (leader < 0)
        return;
    struct sl_road road = best[leader].road;
    struct sl_support support;
    if (!sl_road_refine(d, &d->priors[kind], d->row_count, FINE_STEPS, 1, GATE_MIDDLE, GATE_LAST,
                        &road, NULL) ||
        !is_ego(d, &road))
        return;
    sl_road_score(d, &d->priors[kind], &road, 1, &support);
    if (support.score > found->score) {
        found->score = support.score;
        found->support = support;
        found->road = road;
    }
}

/* Both boundaries are beyond doubt: other priors need not be asked. */
static bool is_clear(const struct sl_detector *d, const struct found *found)
{
    for (int k = 0; k < SL_SIDES; k++)
        if (found->support.side[k] < CLEAR_SHARE * (float)d->row_count ||
            found->support.span[k] < 0.7f)
            return false;
    return isfinite(found->score) && found->support.cost < 5.0;
}

/* Roads bend differently near and far, which one cubic follows only so well,
 * and what is far weighs much in its choice. The pose is that of the near part:
 * fitted again to it alone, starting from the whole. */
static void fit_near(struct sl_detector *d)
{
    const double w = d->config.lane_width_m;
    const double sigma[SL_PARAMETERS] = {
        [SL_C0] = 0.1 * w,        [SL_C1] = 0.1,         [SL_C2] = 0.1 / w,
        [SL_C3] = 0.03 / (w * w), [SL_WIDTH] = 0.02 * w, [SL_PITCH] = 0.25 * PITCH_SIGMA,
    };
    struct sl_prior prior;
    set_prior(&prior, d->road.p, sigma, 0);
    d->near_end_m = NEAR_WIDTHS * w;
    int rows = 0;
    while (rows < d->row_count && d->camera.c.height_m < d->rows[rows].s * d->near_end_m)
        rows++;
    d->near = d->road;
    if (!sl_road_refine(d, &prior, rows, NEAR_STEPS, 1, NEAR_GATE_FIRST, GATE_LAST, &d->near, NULL))
        d->near = d->road;
    /* Drawn as one: the far part is seen with the same pitch. */
    d->near.p[SL_PITCH] = d->road.p[SL_PITCH];
}

/* A boundary as found: the near fit, going over into the whole's. */
static double side_at(const struct sl_detector *d, int side, double x)
{
    double far = x / d->near_end_m;
    double part = far < NEAR_BLEND ? 0 : far > 1 ? 1 : (far - NEAR_BLEND) / (1 - NEAR_BLEND);
    part *= part * (3 - 2 * part);
    double y = 0;
    if (part < 1)
        y += (1 - part) * sl_road_side(&d->near, side, x);
    if (part > 0)
        y += part * sl_road_side(&d->road, side, x);
    return y;
}

/* ---- the result ---- */

/* Whether a boundary lies on paint: on clearly more candidates than would fall
 * there if they were strewn at random, which is how much a picture without
 * any meaning offers (A. Desolneux, L. Moisan, J.-M. Morel, "Meaningful
 * alignments", IJCV 40(1), 2000). `sigmas` and `more`: by how much. */
static bool line_seen(const struct sl_support *s, int side, int rows, float sigmas, float more)
{
    float least = fmaxf(5.0f, 0.07f * (float)rows);
    float chance = s->chance[side];
    return s->inliers[side] >= least && s->inliers[side] > chance + sigmas * sqrtf(chance) + more;
}

/* The first boundary has been searched for among many, and must stand out; the
 * second then only has to be where it should. */
static void lines_seen(const struct sl_support *s, int rows, bool seen[SL_SIDES])
{
    bool any = line_seen(s, 0, rows, 4, 2) || line_seen(s, 1, rows, 4, 2);
    for (int k = 0; k < SL_SIDES; k++)
        seen[k] = any && line_seen(s, k, rows, 3, 1);
}

/* The camera as this frame's pitch has it. */
static struct sl_camera_model pitched_camera(const struct sl_detector *d)
{
    struct sl_camera_model m = d->camera;
    double c = cos(d->road.p[SL_PITCH]), s = sin(d->road.p[SL_PITCH]);
    for (int k = 0; k < 3; k++) {
        double x = d->camera.rotation[0][k], z = d->camera.rotation[2][k];
        m.rotation[0][k] = c * x + s * z;
        m.rotation[2][k] = -s * x + c * z;
    }
    return m;
}

static bool side_pixel(const struct sl_detector *d, const struct sl_camera_model *m, int side,
                       double x, double *u, double *v)
{
    double y = side_at(d, side, x);
    return sl_camera_to_image(m, x + m->c.forward_m, y + m->c.left_m, u, v);
}

static bool column_at(const struct sl_detector *d, const struct sl_camera_model *m, int side,
                      double row_px, double *u_px)
{
    /* On a line, rows fall with 1/x nearly linearly: a secant search in 1/x. */
    double h = m->c.height_m;
    double horizon = sl_camera_horizon_px(m);
    double s0 = (row_px - horizon) / m->c.fy_px;
    if (s0 < 0.004)
        s0 = 0.004;
    double s1 = s0 * 1.02;
    double u, v0, v1;
    if (!side_pixel(d, m, side, h / s0, &u, &v0))
        return false;
    for (int i = 0; i < 8; i++) {
        if (!side_pixel(d, m, side, h / s1, &u, &v1))
            return false;
        if (fabs(v1 - row_px) < 0.01)
            break;
        double slope = (v1 - v0) / (s1 - s0);
        if (!(fabs(slope) > 1e-6))
            return false;
        double next = s1 - (v1 - row_px) / slope;
        if (!isfinite(next))
            return false;
        s0 = s1;
        v0 = v1;
        s1 = next < 0.5 * s1 ? 0.5 * s1 : next > 2 * s1 ? 2 * s1 : next;
        if (s1 < 0.002)
            return false;
    }
    if (fabs(v1 - row_px) > 0.5)
        return false;
    *u_px = u;
    return true;
}

bool sl_detector_column(const struct sl_detector *d, int side, double row_px, double *u_px)
{
    if (!d->found)
        return false;
    struct sl_camera_model m = pitched_camera(d);
    return column_at(d, &m, side, row_px, u_px) && *u_px > -4.0 * d->width_px &&
           *u_px < 5.0 * d->width_px;
}

/* The cubic through four points of a boundary, moved to the rear axle. */
static void line_polynomial(const struct sl_detector *d, int side, double far_m, float poly[4])
{
    double x[4], y[4];
    for (int i = 0; i < 4; i++) {
        x[i] = far_m * i / 3.0 + d->camera.c.forward_m;
        y[i] = sl_road_side(&d->near, side, x[i] - d->camera.c.forward_m) + d->camera.c.left_m;
    }
    /* Newton's divided differences, expanded. */
    for (int k = 1; k < 4; k++)
        for (int i = 3; i >= k; i--)
            y[i] = (y[i] - y[i - 1]) / (x[i] - x[i - k]);
    double c[4] = {y[3], 0, 0, 0};
    for (int i = 2; i >= 0; i--) {
        for (int k = 3; k > 0; k--)
            c[k] = c[k - 1] - x[i] * c[k];
        c[0] = y[i] - x[i] * c[0];
    }
    for (int k = 0; k < 4; k++)
        poly[k] = (float)c[k];
}

static void fill_line(const struct sl_detector *d, const struct sl_camera_model *m, int side,
                      bool seen, float confidence, struct sl_lane_line *line)
{
    double near_s = d->rows[0].s + d->road.p[SL_PITCH];
    double far_s = d->rows[d->row_count - 1].s + d->road.p[SL_PITCH];
    double h = m->c.height_m;
    double near_m = h / fmax(near_s, 0.01);
    double far_m = fmin(h / fmax(far_s, 0.01), d->near_end_m);
    if (near_m > far_m)
        near_m = far_m;
    line->seen = seen;
    line->confidence = confidence;
    line->x_min_m = (float)(near_m + m->c.forward_m);
    line->x_max_m = (float)(far_m + m->c.forward_m);
    line_polynomial(d, side, far_m, line->poly);
    double from = d->height_px - 1.0;
    double to = d->rows[d->row_count - 1].v;
    line->point_count = 0;
    for (int i = 0; i < SL_LANE_POINTS_MAX; i++) {
        double v = from + (to - from) * i / (SL_LANE_POINTS_MAX - 1);
        double u;
        if (!column_at(d, m, side, v, &u) || u < -4.0 * d->width_px || u > 5.0 * d->width_px)
            continue;
        line->points_px[line->point_count][0] = (float)u;
        line->points_px[line->point_count][1] = (float)v;
        line->point_count++;
    }
}

static float side_confidence(const struct sl_support *s, int side)
{
    if (s->inliers[side] < 1)
        return 0;
    float filled = s->inliers[side] / fmaxf(s->visible[side], 1.0f);
    float spread = s->squares[side] / s->inliers[side];
    float x = 4.0f * filled + 2.0f * s->span[side] - 0.5f * spread - 1.2f;
    return 1.0f / (1.0f + expf(-x));
}

static void fill(const struct sl_detector *d, const struct sl_support *support,
                 const bool seen[SL_SIDES], struct sl_detection *out)
{
    const struct sl_road *road = &d->near;
    float side[SL_SIDES];
    for (int k = 0; k < SL_SIDES; k++)
        side[k] = side_confidence(support, k);
    /* The stranger the road, the likelier that it is none. */
    const float plain = expf(-STRANGE * fminf((float)support->cost, STRANGEST));
    if (seen[0] && seen[1]) {
        out->state = SL_LANE_TWO_LINES;
        out->confidence = fminf(side[0], side[1]) * plain;
    } else {
        out->state = SL_LANE_ONE_LINE;
        out->confidence = ONE_LINE_SHARE * (seen[0] ? side[0] : side[1]) * plain;
        for (int k = 0; k < SL_SIDES; k++)
            if (!seen[k])
                side[k] = out->confidence;
    }
    double slope;
    double back = -d->camera.c.forward_m;
    double y = sl_road_centre(road, back, &slope) + d->camera.c.left_m;
    double bend = road->p[SL_C2] + back * road->p[SL_C3];
    double across = 1.0 + slope * slope;
    out->lateral_offset_m = (float)(-y / sqrt(across));
    out->heading_error_rad = (float)-atan(slope);
    out->curvature_1pm = (float)(bend / (across * sqrt(across)));
    out->curvature_rate_1pm2 = (float)road->p[SL_C3];
    out->lane_width_m = (float)road->p[SL_WIDTH];
    struct sl_camera_model m = pitched_camera(d);
    fill_line(d, &m, 0, seen[0], side[0], &out->left);
    fill_line(d, &m, 1, seen[1], side[1], &out->right);
}

static void set_size(struct sl_detector *d, uint32_t width_px, uint32_t height_px)
{
    struct sl_camera_calibration c = d->config.camera;
    sl_camera_calibration_scale(&c, width_px, height_px);
    d->width_px = width_px;
    d->height_px = height_px;
    d->row_count = 0;
    /* Scaled, a legal calibration can leave the legal range: then no ground. */
    if (sl_camera_model_init(&d->camera, &c, NULL) == 0)
        sl_rows_prepare(d);
}

int sl_detector_run(struct sl_detector *d, const struct sl_frame_info *info, const void *pixels,
                    struct sl_detection *out)
{
    memset(out, 0, sizeof *out);
    out->frame_id = info->frame_id;
    out->exposed_ns = info->exposed_ns;
    out->received_ns = info->received_ns;
    out->frame_width_px = info->width_px;
    out->frame_height_px = info->height_px;
    out->state = SL_LANE_LOST;
    d->found = false;
    if (info->width_px < 1 || info->height_px < 1 || info->width_px > SL_FRAME_WIDTH_MAX_PX ||
        info->height_px > SL_FRAME_HEIGHT_MAX_PX)
        return -ENOTSUP;
    if (info->width_px != d->width_px || info->height_px != d->height_px)
        set_size(d, info->width_px, info->height_px);
    int rc = sl_rows_scan(d, info, pixels);
    if (rc)
        return rc;
    if (d->row_count == 0)
        return 0;
    sl_chains_link(d);

    struct found found = {.score = -INFINITY};
    if (d->tracking)
        look(d, SL_PRIOR_TRACK, &found);
    look(d, SL_PRIOR_ROAD, &found);
    if (!is_clear(d, &found))
        look(d, SL_PRIOR_TIGHT, &found);
    d->found = isfinite(found.score);
    d->road = found.road;
    const struct sl_support support = found.support;
    bool seen[SL_SIDES] = {false, false};
    if (d->found)
        lines_seen(&support, d->row_count, seen);
    if (!seen[0] && !seen[1]) {
        d->found = false;
        if (d->tracking && ++d->unseen > FORGET_FRAMES)
            sl_detector_reset(d);
        else if (d->tracking)
            set_track_prior(d);
        return 0;
    }
    fit_near(d);
    fill(d, &support, seen, out);
    if (d->config.track) {
        d->tracking = true;
        d->unseen = 0;
        d->track = d->road;
        set_track_prior(d);
    }
    return 0;
}
