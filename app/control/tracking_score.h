/* How well a lane was kept: running figures over ground truth. Pure. */
#ifndef SL_APP_CONTROL_TRACKING_SCORE_H
#define SL_APP_CONTROL_TRACKING_SCORE_H

#include <stdbool.h>
#include <stdint.h>

#include "rt/records.h"

#define SL_SCORE_BINS  4096
#define SL_SCORE_BIN_M 0.0005 /* the percentile's resolution; up to 2 m, then the maximum */

struct sl_tracking_score {
    uint64_t frames;
    double sum_abs_m;
    double max_abs_m;
    uint32_t bins[SL_SCORE_BINS];
    uint32_t laps, departures;
    bool moved; /* counts from the first movement on */
};

/* Counts one frame's truth. Frames before the vehicle first moves are left
 * out; places without markings are not. Zeroed memory is empty. */
void sl_tracking_score_add(struct sl_tracking_score *score, const struct sl_truth *truth);

double sl_tracking_score_mean_m(const struct sl_tracking_score *score);
/* The smallest bin edge that 95 % of the frames do not exceed. */
double sl_tracking_score_p95_m(const struct sl_tracking_score *score);

#endif
