/* How likely it is that the lane is right.
 *
 * Logistic regression over a few numbers about the fit. The weights were fitted
 * to frames of known truth, simulated and real, by tests/bench/fit_confidence,
 * and are held to by tests/bench/detect_truth: see docs/detection.md. */
#include <math.h>
#include <string.h>

#include "app/detect/detector.h"

#define STRANGEST 10.0f /* more is not told apart */
#define WIDEST    2.0

#define RIGHT_WIDTH 0.1 /* of the lane's width by which a boundary may be off and is right */

static const float BOTH_BIAS = 3.104f;
static const float BOTH[SL_EVIDENCE_COUNT] = {1.440f, -3.459f, -2.565f, 7.221f, -5.953f};
static const float SIDE_BIAS = 1.204f;
static const float SIDE[SL_EVIDENCE_COUNT] = {1.092f, -1.240f, -3.238f, 12.005f, -5.211f};

static float share(float part, float whole)
{
    return whole > 0 ? part / whole : 0;
}

void sl_evidence(struct sl_detector *d, const struct sl_found *found)
{
    const struct sl_support *s = &found->support;
    float *e = d->evidence;
    float filled[SL_SIDES];
    for (int k = 0; k < SL_SIDES; k++)
        filled[k] = share(s->inliers[k], s->visible[k]);
    double tolerance = fmax(d->config.lane_width_tolerance, 0.01) * d->config.lane_width_m;
    double wider = fabs(d->near.p[SL_WIDTH] - d->config.lane_width_m);
    e[SL_EVIDENCE_FILLED] = fminf(filled[0], filled[1]);
    e[SL_EVIDENCE_SPREAD] = share(s->squares[0] + s->squares[1], s->inliers[0] + s->inliers[1]);
    e[SL_EVIDENCE_STRANGE] = fminf((float)s->cost, STRANGEST) / STRANGEST;
    e[SL_EVIDENCE_STRENGTH] = share((float)found->score, (float)d->row_count);
    e[SL_EVIDENCE_WIDTH] = (float)fmin(wider / tolerance, WIDEST);
    for (int k = 0; k < SL_SIDES; k++) {
        memcpy(d->side_evidence[k], e, sizeof d->evidence);
        d->side_evidence[k][SL_EVIDENCE_FILLED] = filled[k];
        d->side_evidence[k][SL_EVIDENCE_SPREAD] = share(s->squares[k], s->inliers[k]);
    }
}

static float chance(const float evidence[SL_EVIDENCE_COUNT], const float weights[SL_EVIDENCE_COUNT],
                    float bias)
{
    float sum = bias;
    for (int i = 0; i < SL_EVIDENCE_COUNT; i++)
        sum += weights[i] * evidence[i];
    return 1.0f / (1.0f + expf(-sum));
}

/* A boundary that is not seen is where the lane's width puts it: the chance that
 * this is not off by more than RIGHT_WIDTH of the width. */
static float width_chance(const struct sl_detector *d)
{
    double sd_m = sqrt(d->covariance[SL_WIDTH][SL_WIDTH]);
    return (float)erf(RIGHT_WIDTH * d->near.p[SL_WIDTH] / (fmax(sd_m, 1e-6) * M_SQRT2));
}

float sl_confidence(const struct sl_detector *d)
{
    return chance(d->evidence, BOTH, BOTH_BIAS) * width_chance(d) * d->trust;
}

float sl_side_confidence(const struct sl_detector *d, int side)
{
    float both = d->seen[side] ? 1 : width_chance(d);
    return chance(d->side_evidence[side], SIDE, SIDE_BIAS) * both * d->trust;
}
