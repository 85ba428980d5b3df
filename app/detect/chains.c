/* Candidates that continue from row to row.
 *
 * Chains only propose where a line may run; the fit looks at all candidates
 * again. So linking may be greedy: from near to far, each candidate joins the
 * chain whose extrapolation it meets best. */
#include <math.h>
#include <string.h>

#include "app/detect/detector.h"

#define GAP_ROWS     5    /* rows a chain survives without a candidate */
#define SLOPE_FIRST  4.0f /* |dt/ds| that a chain of one point may take */
#define LEAST_POINTS 3

static float predict_error(const struct sl_detector *d, const struct sl_chain *chain,
                           const struct sl_candidate *c, float *slack)
{
    const struct sl_candidate *last = &d->candidates[chain->points[chain->count - 1]];
    float ds = c->s - last->s;
    float sigma = d->rows[c->row].sigma;
    *slack = 2.5f * sigma * sqrtf(1.0f + chain->slope * chain->slope) + fabsf(ds) * chain->slope_sd;
    return fabsf(c->t - last->t - chain->slope * ds);
}

static void update_slope(const struct sl_detector *d, struct sl_chain *chain)
{
    int n = chain->count < 8 ? chain->count : 8;
    if (n < 2)
        return;
    float ms = 0, mt = 0;
    for (int i = 0; i < n; i++) {
        const struct sl_candidate *c = &d->candidates[chain->points[chain->count - 1 - i]];
        ms += c->s;
        mt += c->t;
    }
    ms /= (float)n;
    mt /= (float)n;
    float ss = 0, st = 0;
    for (int i = 0; i < n; i++) {
        const struct sl_candidate *c = &d->candidates[chain->points[chain->count - 1 - i]];
        ss += (c->s - ms) * (c->s - ms);
        st += (c->s - ms) * (c->t - mt);
    }
    if (ss <= 0)
        return;
    chain->slope = st / ss;
    float sigma = d->rows[d->candidates[chain->points[chain->count - 1]].row].sigma;
    chain->slope_sd = 2.0f * sigma / sqrtf(ss) + 0.15f * (0.5f + fabsf(chain->slope));
}

void sl_chains_link(struct sl_detector *d)
{
    d->chain_count = 0;
    int live[SL_CHAINS_MAX];
    int live_count = 0;
    for (int r = 0; r < d->row_count; r++) {
        const struct sl_row *row = &d->rows[r];
        int kept = 0;
        for (int i = 0; i < live_count; i++)
            if (r - d->chains[live[i]].last_row <= GAP_ROWS)
                live[kept++] = live[i];
        live_count = kept;
        for (int k = 0; k < row->count; k++) {
            int index = row->first + k;
            struct sl_candidate *c = &d->candidates[index];
            int best = -1;
            float best_ratio = 1.0f;
            for (int i = 0; i < live_count; i++) {
                struct sl_chain *chain = &d->chains[live[i]];
                if (chain->last_row == r || chain->count >= SL_CHAIN_POINTS)
                    continue;
                float slack;
                float error = predict_error(d, chain, c, &slack);
                float ratio = error / slack;
                if (ratio < best_ratio) {
                    best_ratio = ratio;
                    best = live[i];
                }
            }
            if (best < 0) {
                /* A full table gives up the place of a chain that ended short. */
                int place = -1;
                if (d->chain_count < SL_CHAINS_MAX) {
                    place = d->chain_count++;
                } else {
                    float weakest = 3.0f;
                    for (int i = 0; i < SL_CHAINS_MAX; i++) {
                        const struct sl_chain *old = &d->chains[i];
                        if (r - old->last_row > GAP_ROWS && old->strength < weakest) {
                            weakest = old->strength;
                            place = i;
                        }
                    }
                    if (place >= 0)
                        for (int i = 0; i < d->chains[place].count; i++)
                            d->candidates[d->chains[place].points[i]].chain = -1;
                }
                if (place < 0)
                    continue;
                struct sl_chain *chain = &d->chains[place];
                chain->count = 1;
                chain->points[0] = (uint16_t)index;
                chain->strength = c->quality;
                chain->last_row = r;
                /* Straight lines through the vanishing point have t ~ slope * s. */
                chain->slope = c->s > 0 ? c->t / c->s : 0;
                chain->slope_sd = SLOPE_FIRST * 0.25f * (0.5f + fabsf(chain->slope));
                c->chain = (int16_t)place;
                if (live_count < SL_CHAINS_MAX)
                    live[live_count++] = place;
                continue;
            }
            struct sl_chain *chain = &d->chains[best];
            chain->points[chain->count++] = (uint16_t)index;
            chain->strength += c->quality;
            chain->last_row = r;
            c->chain = (int16_t)best;
            update_slope(d, chain);
        }
    }
    /* Strongest first; short ones say nothing. Insertion sort of indices would
     * do, but chains refer to candidates, not the reverse, after this point. */
    int count = 0;
    for (int i = 0; i < d->chain_count; i++) {
        if (d->chains[i].count < LEAST_POINTS)
            continue;
        if (count != i)
            d->chains[count] = d->chains[i];
        count++;
    }
    d->chain_count = count;
}
