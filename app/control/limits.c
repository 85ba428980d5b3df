#include "app/control/limits.h"

#include <errno.h>
#include <math.h>

static int check(double value, const char *name, struct sl_error *err)
{
    /* Written so that a NaN fails too. */
    if (value > 0 && value <= 1e9)
        return 0;
    return sl_error_set(err, -EINVAL, "limits: %s is %g; it must be a number above 0", name, value);
}

int sl_limits_init(struct sl_limits *limits, const struct sl_limits_config *config,
                   struct sl_error *err)
{
    int rc = check(config->steering_max_rad, "steering_max_rad", err);
    if (rc == 0)
        rc = check(config->steering_rate_max_radps, "steering_rate_max_radps", err);
    if (rc == 0)
        rc = check(config->speed_max_mps, "speed_max_mps", err);
    if (rc == 0)
        rc = check(config->accel_max_mps2, "accel_max_mps2", err);
    if (rc == 0)
        rc = check(config->decel_max_mps2, "decel_max_mps2", err);
    if (rc == 0)
        rc = check(config->fresh_ms, "fresh_ms", err);
    if (rc == 0)
        *limits = (struct sl_limits){.config = *config};
    return rc;
}

/* Cuts to low..high; sets `bit` if that changed anything. */
static double cut(double value, double low, double high, uint32_t bit, uint32_t *hit)
{
    if (value < low) {
        *hit |= bit;
        return low;
    }
    if (value > high) {
        *hit |= bit;
        return high;
    }
    return value;
}

static double step_s(struct sl_limits *limits, uint64_t now_ns)
{
    uint64_t step_ns = 0;
    if (limits->started && now_ns > limits->last_ns)
        step_ns = now_ns - limits->last_ns;
    /* After a step backwards time counts from there: waiting until it has
     * caught up would freeze the outputs, also those of a stop. */
    limits->last_ns = now_ns;
    limits->started = true;
    const uint64_t longest_ns = SL_LIMITS_STEP_MAX_MS * UINT64_C(1000000);
    return (double)(step_ns < longest_ns ? step_ns : longest_ns) * 1e-9;
}

void sl_limits_apply(struct sl_limits *limits, uint64_t now_ns, const struct sl_wish *wish,
                     struct sl_limited *out)
{
    const struct sl_limits_config *c = &limits->config;
    const double dt_s = step_s(limits, now_ns);
    uint32_t hit = 0;

    uint64_t apart_ns =
        now_ns > wish->decided_ns ? now_ns - wish->decided_ns : wish->decided_ns - now_ns;
    if ((double)apart_ns > c->fresh_ms * 1e6)
        hit |= SL_LIMIT_STALE;
    if (!isfinite(wish->steering_rad) || !isfinite(wish->speed_mps))
        hit |= SL_LIMIT_NOT_FINITE;

    double steering = limits->steering_rad;
    double speed = 0;
    if (hit == 0) {
        steering = wish->steering_rad;
        if (!wish->neutral)
            speed = wish->speed_mps;
    }

    steering = cut(steering, -c->steering_max_rad, c->steering_max_rad, SL_LIMIT_STEERING, &hit);
    double turn = c->steering_rate_max_radps * dt_s;
    steering = cut(steering, limits->steering_rad - turn, limits->steering_rad + turn,
                   SL_LIMIT_STEERING_RATE, &hit);

    speed = cut(speed, 0, c->speed_max_mps, SL_LIMIT_SPEED, &hit);
    speed = cut(speed, limits->speed_mps - c->decel_max_mps2 * dt_s,
                limits->speed_mps + c->accel_max_mps2 * dt_s, SL_LIMIT_ACCEL, &hit);

    limits->steering_rad = steering;
    limits->speed_mps = speed;
    *out = (struct sl_limited){.steering_rad = steering, .speed_mps = speed, .hit = hit};
}
