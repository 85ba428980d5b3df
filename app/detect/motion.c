#include "app/detect/motion.h"

#include <math.h>
#include <string.h>

#define NS_PER_S    UINT64_C(1000000000)
#define HOLD_NS     (NS_PER_S / 10)
#define LONGEST_NS  NS_PER_S
#define SPEED_SHARE 0.01 /* one sigma of a speed, of itself: worn tyres, ticks */
/* One sigma of yaw rates: of a cheap gyroscope, with what is left of its bias; and
 * from steering, by what the tyres slip and the linkage is off. */
#define GYRO_SD_RADPS     0.01
#define GYRO_SHARE        0.01
#define STEERING_SD_RAD   0.01
#define STEERING_SHARE    0.1
#define STEERING_MOST_RAD 1.2
/* One sigma of what tyres slip, of itself: they are worn, warm or wet. */
#define SLIP_SHARE 0.25

void sl_motion_init(struct sl_motion *motion, const struct sl_motion_config *config)
{
    memset(motion, 0, sizeof *motion);
    motion->config = *config;
}

void sl_motion_add(struct sl_motion *motion, const struct sl_odometry *odometry,
                   double asked_steering_rad)
{
    const bool speed = odometry->valid & SL_ODOMETRY_SPEED && isfinite(odometry->speed_mps);
    const bool turn = odometry->valid & SL_ODOMETRY_YAW_RATE && isfinite(odometry->yaw_rate_radps);
    const double steering_rad = odometry->valid & SL_ODOMETRY_STEERING
                                    ? (double)odometry->steering_rad
                                    : asked_steering_rad;
    struct sl_motion_sample sample = {.at_ns = odometry->measured_ns,
                                      .speed_mps = (double)odometry->speed_mps};
    if (!speed || (!turn && !(fabs(steering_rad) <= STEERING_MOST_RAD)))
        return;
    const uint64_t last_ns = motion->count > 0 ? motion->samples[motion->count - 1].at_ns : 0;
    if (sample.at_ns == last_ns)
        return;
    if (sample.at_ns < last_ns)
        motion->count = 0;
    if (turn) {
        sample.yaw_rate_radps = (double)odometry->yaw_rate_radps;
        sample.yaw_rate_sd_radps = GYRO_SD_RADPS + GYRO_SHARE * fabs(sample.yaw_rate_radps);
    } else {
        const double v = sample.speed_mps;
        const double base_m = motion->config.wheelbase_m;
        const double per_rad =
            v / fmax(base_m + motion->config.understeer_rads2pm * v * v, base_m / 2);
        sample.yaw_rate_radps = per_rad * tan(steering_rad);
        sample.yaw_rate_sd_radps =
            STEERING_SD_RAD * fabs(per_rad) + STEERING_SHARE * fabs(sample.yaw_rate_radps);
    }
    if (motion->count == SL_MOTION_SAMPLES)
        memmove(motion->samples, motion->samples + 1,
                (size_t)--motion->count * sizeof *motion->samples);
    motion->samples[motion->count++] = sample;
}

/* At a time that lies within two samples, or is one's. */
static struct sl_motion_sample between(const struct sl_motion_sample *a,
                                       const struct sl_motion_sample *b, uint64_t at_ns)
{
    const double part =
        b->at_ns > a->at_ns ? (double)(at_ns - a->at_ns) / (double)(b->at_ns - a->at_ns) : 0;
    return (struct sl_motion_sample){
        .at_ns = at_ns,
        .speed_mps = a->speed_mps + part * (b->speed_mps - a->speed_mps),
        .yaw_rate_radps = a->yaw_rate_radps + part * (b->yaw_rate_radps - a->yaw_rate_radps),
        .yaw_rate_sd_radps = fmax(a->yaw_rate_sd_radps, b->yaw_rate_sd_radps),
    };
}

/* The trapezium over one piece. */
static void add(struct sl_detect_motion *moved, double slip_rads2pm,
                const struct sl_motion_sample *a, const struct sl_motion_sample *b)
{
    const double s = (double)(b->at_ns - a->at_ns) / (double)NS_PER_S;
    const double speed_mps = 0.5 * (a->speed_mps + b->speed_mps);
    const double yaw_rate_radps = 0.5 * (a->yaw_rate_radps + b->yaw_rate_radps);
    moved->ahead_m += speed_mps * s;
    moved->aside_m -= slip_rads2pm * speed_mps * yaw_rate_radps * speed_mps * s;
    moved->turned_rad += yaw_rate_radps * s;
    moved->turned_sd_rad += fmax(a->yaw_rate_sd_radps, b->yaw_rate_sd_radps) * s;
}

bool sl_motion_between(const struct sl_motion *motion, uint64_t from_ns, uint64_t to_ns,
                       struct sl_detect_motion *moved)
{
    const int n = motion->count;
    if (n == 0 || to_ns <= from_ns || to_ns - from_ns > LONGEST_NS)
        return false;
    struct sl_motion_sample first = motion->samples[0], last = motion->samples[n - 1];
    if (from_ns + HOLD_NS < first.at_ns || to_ns > last.at_ns + HOLD_NS)
        return false;
    struct sl_detect_motion sum = {0};
    first.at_ns = from_ns < first.at_ns ? from_ns : first.at_ns;
    last.at_ns = to_ns > last.at_ns ? to_ns : last.at_ns;
    /* The samples, with what holds before the first and after the last. */
    const struct sl_motion_sample *before = &first;
    for (int i = 0; i <= n; i++) {
        const struct sl_motion_sample *here = i < n ? &motion->samples[i] : &last;
        const uint64_t begin = from_ns > before->at_ns ? from_ns : before->at_ns;
        const uint64_t end = to_ns < here->at_ns ? to_ns : here->at_ns;
        if (begin < end) {
            const struct sl_motion_sample a = between(before, here, begin);
            const struct sl_motion_sample b = between(before, here, end);
            add(&sum, motion->config.rear_slip_rads2pm, &a, &b);
        }
        before = here;
    }
    sum.ahead_sd_m = SPEED_SHARE * fabs(sum.ahead_m);
    sum.aside_sd_m = SLIP_SHARE * fabs(sum.aside_m);
    *moved = sum;
    return true;
}
