#include "net/pace.h"

#include <math.h>

#define DECIDE_NS    UINT64_C(1000000000)
#define OLD_MS       150.0 /* older pictures than this: less is sent */
#define FRESH_MS     100.0 /* younger than this: more is tried */
#define FALL         0.7
#define RATE_MIN_HZ  2.0
#define RATE_STEP_HZ 2.0
#define QUALITY_MIN  40.0
#define QUALITY_STEP 5.0

void sl_pace_init(struct sl_pace *pace, const struct sl_pace_config *config)
{
    *pace = (struct sl_pace){.config = *config,
                             .rate_hz = config->rate_max_hz,
                             .quality = config->quality_max,
                             .freshest_ms = INFINITY};
}

void sl_pace_report(struct sl_pace *pace, double age_ms)
{
    if (!(age_ms >= 0))
        return;
    pace->reports++;
    pace->freshest_ms = fmin(pace->freshest_ms, age_ms);
}

static void decide(struct sl_pace *pace)
{
    const double rate_min_hz = fmin(RATE_MIN_HZ, pace->config.rate_max_hz);
    const double quality_min = fmin(QUALITY_MIN, pace->config.quality_max);
    if (pace->freshest_ms > OLD_MS) {
        pace->rate_hz = fmax(pace->rate_hz * FALL, rate_min_hz);
        pace->quality = fmax(pace->quality * FALL, quality_min);
    } else if (pace->freshest_ms < FRESH_MS) {
        pace->rate_hz = fmin(pace->rate_hz + RATE_STEP_HZ, pace->config.rate_max_hz);
        pace->quality = fmin(pace->quality + QUALITY_STEP, pace->config.quality_max);
    }
}

bool sl_pace_allows(struct sl_pace *pace, uint64_t now_ns)
{
    if (pace->reports > 0 && now_ns >= pace->decide_ns) {
        decide(pace);
        pace->reports = 0;
        pace->freshest_ms = INFINITY;
        pace->decide_ns = now_ns + DECIDE_NS;
    }
    if (now_ns < pace->next_frame_ns)
        return false;
    const uint64_t period_ns = (uint64_t)(1e9 / pace->rate_hz);
    /* By its own clock, so that a camera a little faster than the rate is not
     * halved; anew after a pause. */
    pace->next_frame_ns += period_ns;
    if (pace->next_frame_ns + period_ns < now_ns)
        pace->next_frame_ns = now_ns + period_ns;
    return true;
}

int sl_pace_quality(const struct sl_pace *pace)
{
    return (int)lrint(pace->quality);
}
