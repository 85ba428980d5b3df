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
#define CHAIN_SAMPLES  6 /* candidates of a chain that a hypothesis is fitted to */
#define CHAINS_TRIED   16
#define CHAINS_ALWAYS  4    /* chains tried however weak; the others only if not */
#define CHAIN_SHARE    0.1f /* weaker than this beside the strongest */
#define FINALISTS      3
#define ROUGH_STEPS    2
#define FINE_STEPS     2
#define GATE_FIRST     6.0 /* sigmas within which candidates have a say, at first */
#define GATE_MIDDLE    3.5

#define EGO_SHARE    0.6 /* of the width: how far off the lane's middle may be */
#define WIDTH_BEYOND 1.5 /* tolerances that a lane's width may be off */

#define CLEAR_SHARE 0.15f /* of all rows that must speak for each boundary */
#define CLEAR_SPAN  0.6f
#define CLEAR_COST  5.0

/* The strongest chains, from the strongest on, and a few candidates of each. */
struct strands {
    int count;
    const struct sl_chain *chain[CHAINS_TRIED];
    uint16_t points[CHAINS_TRIED][CHAIN_SAMPLES];
    int point_count[CHAINS_TRIED];
    /* What the points say, as either boundary, of the road that is the priors' mean. */
    struct sl_pull pull[CHAINS_TRIED][SL_SIDES];
};

struct hypothesis {
    struct sl_road road;
    double score;
};

/* What has been tried under a prior, and the best of it: those that differ from
 * each other, best first. */
struct trial {
    const struct sl_prior *prior;
    int tried, count;
    struct hypothesis best[FINALISTS];
};

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

bool sl_road_alike(const struct sl_detector *d, const struct sl_road *a, const struct sl_road *b)
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

static void consider(const struct sl_detector *d, const struct sl_road *road, struct trial *trial)
{
    if (!is_ego(d, road))
        return;
    struct sl_support support;
    sl_road_score(d, trial->prior, road, SL_ROWS_FOURTH, &support);
    struct hypothesis *best = trial->best;
    const struct hypothesis h = {*road, support.score};
    int place = trial->count;
    for (int i = 0; i < trial->count; i++) {
        if (sl_road_alike(d, road, &best[i].road)) {
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
    if (place == trial->count)
        trial->count++;
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

static void sample_chains(const struct sl_detector *d, const struct sl_road *start,
                          struct strands *strands)
{
    int order[SL_CHAINS_MAX];
    sort_chains(d, order);
    int n = d->chain_count < CHAINS_TRIED ? d->chain_count : CHAINS_TRIED;
    while (n > CHAINS_ALWAYS &&
           d->chains[order[n - 1]].strength < CHAIN_SHARE * d->chains[order[0]].strength)
        n--;
    strands->count = n;
    for (int i = 0; i < n; i++) {
        const struct sl_chain *chain = &d->chains[order[i]];
        int count = chain->count < CHAIN_SAMPLES ? chain->count : CHAIN_SAMPLES;
        for (int k = 0; k < count; k++)
            strands->points[i][k] = chain->points[k * (chain->count - 1) / (count - 1)];
        strands->chain[i] = chain;
        strands->point_count[i] = count;
        for (int side = 0; side < SL_SIDES; side++)
            sl_road_pull(d, start, side, strands->points[i], count, &strands->pull[i][side]);
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

/* Refines the best of a trial, all of them roughly and the leader to the end;
 * keeps it if it is better than what was found before. */
static void finish(const struct sl_detector *d, struct trial *trial, struct sl_found *found)
{
    struct hypothesis *leader = NULL;
    for (int i = 0; i < trial->count; i++) {
        struct hypothesis *h = &trial->best[i];
        struct sl_support support;
        if (!sl_road_refine(d, trial->prior, SL_ROWS_HALF, SL_ROWS_MAX, ROUGH_STEPS, GATE_FIRST,
                            GATE_MIDDLE, &h->road) ||
            !is_ego(d, &h->road))
            continue;
        if (trial->count > 1) {
            sl_road_score(d, trial->prior, &h->road, SL_ROWS_ALL, &support);
            h->score = support.score;
        }
        if (leader == NULL || h->score > leader->score)
            leader = h;
    }
    if (leader == NULL)
        return;
    struct sl_road road = leader->road;
    struct sl_support support;
    if (!sl_road_refine(d, trial->prior, SL_ROWS_ALL, SL_ROWS_MAX, FINE_STEPS, GATE_MIDDLE,
                        SL_GATE_LAST, &road) ||
        !is_ego(d, &road))
        return;
    sl_road_score(d, trial->prior, &road, SL_ROWS_ALL, &support);
    if (support.score > found->score) {
        found->score = support.score;
        found->support = support;
        found->road = road;
    }
}

/* One boundary is chain `a`, and one, the same or the other, is `b` (or b < 0). */
static void try(const struct sl_detector *d, const struct strands *strands, int steps, int a,
                int side_a, int b, int side_b, struct trial *trial)
{
    struct sl_road road;
    trial->tried++;
    memcpy(road.p, trial->prior->mean, sizeof road.p);
    if (!sl_road_step(trial->prior, &strands->pull[a][side_a],
                      b < 0 ? NULL : &strands->pull[b][side_b], &road))
        return;
    for (int n = 1; n < steps; n++) {
        struct sl_pull pull_a, pull_b;
        sl_road_pull(d, &road, side_a, strands->points[a], strands->point_count[a], &pull_a);
        if (b >= 0)
            sl_road_pull(d, &road, side_b, strands->points[b], strands->point_count[b], &pull_b);
        if (!sl_road_step(trial->prior, &pull_a, b < 0 ? NULL : &pull_b, &road))
            return;
    }
    consider(d, &road, trial);
}

static void try_pair(const struct sl_detector *d, const struct strands *strands, int steps, int a,
                     int b, struct trial *trial)
{
    const double w = d->config.lane_width_m;
    double apart = lateral_distance(d, strands->chain[a], strands->chain[b]);
    if (fabs(apart) > 2.0 * w)
        return;
    /* Pieces of one marking, perhaps, on either side. */
    if (fabs(apart) < 0.6 * w)
        for (int side = 0; side < SL_SIDES; side++)
            try(d, strands, steps, a, side, b, side, trial);
    if (fabs(apart) >= 0.4 * w)
        try(d, strands, steps, a, apart > 0 ? 0 : 1, b, apart > 0 ? 1 : 0, trial);
}

/* Searches under a prior; keeps what is better than before. */
static void search(const struct sl_detector *d, const struct strands *strands,
                   const struct sl_prior *prior, int steps, struct sl_found *found)
{
    struct trial trial = {.prior = prior};
    for (int i = 0; i < strands->count && trial.tried < HYPOTHESES_MAX / 2; i++)
        for (int side = 0; side < SL_SIDES; side++)
            try(d, strands, steps, i, side, -1, 0, &trial);
    /* Pairs in the order of their weaker chain's strength. */
    for (int i = 1; i < strands->count && trial.tried < HYPOTHESES_MAX; i++)
        for (int k = 0; k < i && trial.tried < HYPOTHESES_MAX; k++)
            try_pair(d, strands, steps, i, k, &trial);
    finish(d, &trial, found);
}

void sl_search_track(const struct sl_detector *d, const struct sl_prior *prior,
                     const struct sl_road *road, struct sl_found *found)
{
    struct trial trial = {.prior = prior, .count = 1, .best = {{.road = *road}}};
    if (is_ego(d, road))
        finish(d, &trial, found);
}

void sl_search_afresh(const struct sl_detector *d, struct sl_found *found)
{
    struct strands strands;
    struct sl_road start;
    /* The same for both priors. */
    memcpy(start.p, d->priors[SL_PRIOR_ROAD].mean, sizeof start.p);
    sample_chains(d, &start, &strands);
    search(d, &strands, &d->priors[SL_PRIOR_ROAD], 1, found);
    /* The wider the prior, the further the first step is from linear. */
    if (!sl_search_is_clear(d, found))
        search(d, &strands, &d->priors[SL_PRIOR_TIGHT], 3, found);
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
