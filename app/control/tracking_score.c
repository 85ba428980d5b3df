#include "app/control/tracking_score.h"

#include <math.h>

#define MOVING_MPS 0.05

void sl_tracking_score_add(struct sl_tracking_score *score, const struct sl_truth *truth)
{
    score->laps = truth->laps;
    score->departures = truth->departures;
    if ((double)truth->speed_mps > MOVING_MPS)
        score->moved = true;
    if (!score->moved)
        return;
    double error_m = fabs((double)truth->lateral_offset_m);
    score->frames++;
    score->sum_abs_m += error_m;
    score->max_abs_m = fmax(score->max_abs_m, error_m);
    double bin = floor(error_m / SL_SCORE_BIN_M);
    score->bins[bin < SL_SCORE_BINS - 1 ? (uint32_t)bin : SL_SCORE_BINS - 1]++;
}

double sl_tracking_score_mean_m(const struct sl_tracking_score *score)
{
    return score->frames == 0 ? 0.0 : score->sum_abs_m / (double)score->frames;
}

double sl_tracking_score_p95_m(const struct sl_tracking_score *score)
{
    uint64_t below = 0;
    for (uint32_t b = 0; b < SL_SCORE_BINS - 1; b++) {
        below += score->bins[b];
        if ((double)below >= 0.95 * (double)score->frames)
            return fmin((b + 1) * SL_SCORE_BIN_M, score->max_abs_m);
    }
    return score->max_abs_m;
}
