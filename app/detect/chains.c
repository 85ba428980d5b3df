/* Candidates that continue from row to row.
 *
 * Chains only propose where a line may run; the fit looks at all candidates
 * again. So linking may be greedy: from near to far, each candidate joins the
 * chain whose extrapolation it meets best. */
#include <math.h>
#include <string.h>

#include "app/detect/detector.h"

#define GAP_ROWS     3
#define SIGMAS       2.5f /* by which a candidate may miss a chain */
#define SLOPE_FIRST  1.0f /* how uncertain one point's slope is, by the slope and a half */
#define SLOPE_POINTS 8    /* that tell the slope */
#define LEAST_POINTS 3
#define WEAK         3.0f /* strength below which a chain's place may be given away */

/* The far end of a chain that may go on. */
struct tip {
    float s, t, slope, slope_sd;
    float slant; /* distance along a row over distance across a line of this slope */
    int chain, last_row;
};

static void set_slope(struct sl_chain *chain, struct tip *tip, float slope, float slope_sd)
{
    chain->slope = tip->slope = slope;
    tip->slope_sd = slope_sd;
    tip->slant = sqrtf(1.0f + slope * slope);
}

/* From the chain's last points. */
static void update_slope(const struct sl_detector *d, struct sl_chain *chain, struct tip *tip)
{
    int n = chain->count < SLOPE_POINTS ? chain->count : SLOPE_POINTS;
    const uint16_t *points = chain->points + chain->count - n;
    float ms = 0, mt = 0;
    for (int i = 0; i < n; i++) {
        ms += d->candidates[points[i]].s;
        mt += d->candidates[points[i]].t;
    }
    ms /= (float)n;
    mt /= (float)n;
    float ss = 0, st = 0;
    for (int i = 0; i < n; i++) {
        const struct sl_candidate *c = &d->candidates[points[i]];
        ss += (c->s - ms) * (c->s - ms);
        st += (c->s - ms) * (c->t - mt);
    }
    if (ss <= 0)
        return;
    float slope = st / ss;
    float sigma = d->rows[d->candidates[points[n - 1]].row].sigma;
    set_slope(chain, tip, slope, 2.0f * sigma / sqrtf(ss) + 0.15f * (0.5f + fabsf(slope)));
}

/* Where a new chain may be kept, or -1: a full table gives up the place of a
 * chain that ended short. */
static int new_chain(struct sl_detector *d, int row)
{
    if (d->chain_count < SL_CHAINS_MAX)
        return d->chain_count++;
    int place = -1;
    float weakest = WEAK;
    for (int i = 0; i < SL_CHAINS_MAX; i++)
        if (row - d->chains[i].last_row > GAP_ROWS && d->chains[i].strength < weakest) {
            weakest = d->chains[i].strength;
            place = i;
        }
    return place;
}

static void append(struct sl_detector *d, int index, struct tip *tip)
{
    const struct sl_candidate *c = &d->candidates[index];
    struct sl_chain *chain = &d->chains[tip->chain];
    chain->points[chain->count++] = (uint16_t)index;
    chain->strength += c->quality;
    chain->last_row = tip->last_row = c->row;
    tip->s = c->s;
    tip->t = c->t;
}

/* The tip that this candidate continues best, or -1. */
static int best_tip(const struct sl_detector *d, const struct tip *tips, int count,
                    const struct sl_candidate *c)
{
    const float reach = SIGMAS * d->rows[c->row].sigma;
    float best_error = 1, best_slack = 1;
    int best = -1;
    for (int i = 0; i < count; i++) {
        const struct tip *tip = &tips[i];
        float ds = c->s - tip->s;
        float slack = reach * tip->slant + fabsf(ds) * tip->slope_sd;
        float error = fabsf(c->t - tip->t - tip->slope * ds);
        if (error * best_slack < best_error * slack && tip->last_row != c->row) {
            best_error = error;
            best_slack = slack;
            best = i;
        }
    }
    return best;
}

void sl_chains_link(struct sl_detector *d)
{
    struct tip tips[SL_CHAINS_MAX];
    int tip_count = 0;
    d->chain_count = 0;
    for (int r = 0; r < d->row_count; r++) {
        const struct sl_row *row = &d->rows[r];
        int kept = 0;
        for (int i = 0; i < tip_count; i++)
            if (r - tips[i].last_row <= GAP_ROWS)
                tips[kept++] = tips[i];
        tip_count = kept;
        for (int index = row->first; index < row->first + row->count; index++) {
            const struct sl_candidate *c = &d->candidates[index];
            int best = best_tip(d, tips, tip_count, c);
            if (best >= 0) {
                append(d, index, &tips[best]);
                update_slope(d, &d->chains[tips[best].chain], &tips[best]);
                continue;
            }
            int place = tip_count < SL_CHAINS_MAX ? new_chain(d, r) : -1;
            if (place < 0)
                continue;
            struct tip *tip = &tips[tip_count++];
            tip->chain = place;
            d->chains[place].count = 0;
            d->chains[place].strength = 0;
            append(d, index, tip);
            /* Straight lines through the vanishing point have t ~ slope * s. */
            float slope = c->s > 0 ? c->t / c->s : 0;
            set_slope(&d->chains[place], tip, slope, SLOPE_FIRST * (0.5f + fabsf(slope)));
        }
    }
    /* Short ones say nothing. */
    int count = 0;
    for (int i = 0; i < d->chain_count; i++)
        if (d->chains[i].count >= LEAST_POINTS)
            d->chains[count++] = d->chains[i];
    d->chain_count = count;
}
