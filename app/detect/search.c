/* Hypotheses, and the choice among them.
 *
 * A few candidates of one chain, of two that may be pieces of one marking, or of
 * two that may be both boundaries, make a hypothesis: the road that fits them
 * best under the prior. All candidates then vote on it. The order is fixed and
 * the number bounded, unlike random sampling (M. A. Fischler, R. C. Bolles,
 * "Random sample consensus", CACM 24(6), 1981), of which this keeps the idea:
 * propose from few, judge by all. The best are refined by reweighted least
 * squares, all of them roughly, the leader to the end. */
#include <math.h>
#include <string.h>

#include "app/detect/detector.h"

#define HYPOTHESES_MAX 48
#define CHAIN_SAMPLES  6    /* candidates of a chain that a hypothesis is fitted to */
#define CHAINS_ALWAYS  4    /* chains tried however weak; the others only if not */
#define CHAIN_SHARE    0.1f /* weaker than this beside the strongest */
#define FINALISTS      3
#define ROUGH_STEPS    2
#define FINE_STEPS     2
#define GATE_FIRST     6.0 /* sigmas within which candidates have a say, at first */
#define GATE_MIDDLE    3.5

#define EGO_SHARE    0.6 /* of the width: how far off the lane's middle may be */
#define WIDTH_BEYOND 1.5 /* tolerances that a lane's width may be off */

#define CLEAR_SHARE 0.2f /* of all rows that must speak for each boundary */
#define CLEAR_SPAN  0.7f
#define CLEAR_COST  5.0

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
    return fabs(sl_road_centre(road, x, NULL) - middle) < EGO_SHARE * w &&
           w > expected * (1 - WIDTH_BEYOND * tolerance) &&
           w < expected * (1 + WIDTH_BEYOND * tolerance);
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
    sl_road_score(d, prior, road, SL_ROWS_THIRD, &support);
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
    while (n > CHAINS_ALWAYS &&
           d->chains[order[n - 1]].strength < CHAIN_SHARE * d->chains[order[0]].strength)
        n--;
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

/* Searches and refines under one prior; keeps what is better than before. */
void sl_search(const struct sl_detector *d, int kind, struct sl_found *found)
{
    struct hypothesis best[FINALISTS] = {0};
    int count = 0;
    /* The track proposes itself; everything else is for the other priors. */
    if (kind == SL_PRIOR_TRACK)
        consider(d, &d->priors[kind], &d->track, best, &count);
    else
        count = search(d, kind, best, count);
    int leader = -1;
    for (int i = 0; i < count; i++) {
        struct sl_support support;
        if (!sl_road_refine(d, &d->priors[kind], SL_ROWS_HALF, SL_ROWS_MAX, ROUGH_STEPS, GATE_FIRST,
                            GATE_MIDDLE, &best[i].road) ||
            !is_ego(d, &best[i].road))
            continue;
        sl_road_score(d, &d->priors[kind], &best[i].road, SL_ROWS_ALL, &support);
        best[i].score = support.score;
        if (leader < 0 || best[i].score > best[leader].score)
            leader = i;
    }
    if (leader < 0)
        return;
    struct sl_road road = best[leader].road;
    struct sl_support support;
    if (!sl_road_refine(d, &d->priors[kind], SL_ROWS_ALL, SL_ROWS_MAX, FINE_STEPS, GATE_MIDDLE,
                        SL_GATE_LAST, &road) ||
        !is_ego(d, &road))
        return;
    sl_road_score(d, &d->priors[kind], &road, SL_ROWS_ALL, &support);
    if (support.score > found->score) {
        found->score = support.score;
        found->support = support;
        found->road = road;
    }
}

/* Both boundaries are beyond doubt: other priors need not be asked. */
bool sl_search_is_clear(const struct sl_detector *d, const struct sl_found *found)
{
    for (int k = 0; k < SL_SIDES; k++)
        if (found->support.side[k] < CLEAR_SHARE * (float)d->row_count ||
            found->support.span[k] < CLEAR_SPAN)
            return false;
    return isfinite(found->score) && found->support.cost < CLEAR_COST;
}
