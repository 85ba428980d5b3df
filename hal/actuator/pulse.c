#include "hal/actuator/pulse.h"

#include <errno.h>
#include <math.h>
#include <stddef.h>

#include "rt/clock.h"

static bool is_pulse(double us)
{
    return isfinite(us) && us >= SL_PULSE_MIN_US && us <= SL_PULSE_MAX_US;
}

static int check_pulses(const struct sl_pulse_config *c, struct sl_error *err)
{
    const struct {
        const char *what;
        double us;
    } pulses[] = {
        {"steering centre", c->steering_centre_us}, {"left end", c->steering_left_us},
        {"right end", c->steering_right_us},        {"throttle neutral", c->throttle_neutral_us},
        {"throttle start", c->throttle_start_us},   {"throttle end", c->throttle_end_us}};
    for (size_t i = 0; i < sizeof pulses / sizeof pulses[0]; i++)
        if (!is_pulse(pulses[i].us))
            return sl_error_set(err, -EINVAL, "the pulse of the %s (%g us) must be %d to %d us",
                                pulses[i].what, pulses[i].us, SL_PULSE_MIN_US, SL_PULSE_MAX_US);
    if (c->throttle_brake_us != 0 && !is_pulse(c->throttle_brake_us))
        return sl_error_set(err, -EINVAL, "the brake's pulse (%g us) must be 0 or %d to %d us",
                            c->throttle_brake_us, SL_PULSE_MIN_US, SL_PULSE_MAX_US);
    return 0;
}

int sl_pulse_init(struct sl_pulse *pulse, const struct sl_pulse_config *c, struct sl_error *err)
{
    *pulse = (struct sl_pulse){.config = *c, .steering_us = c->steering_centre_us};
    int rc = check_pulses(c, err);
    if (rc != 0)
        return rc;
    if (!isfinite(c->steering_max_rad) || c->steering_max_rad <= 0 || !isfinite(c->speed_max_mps) ||
        c->speed_max_mps <= 0)
        return sl_error_set(err, -EINVAL,
                            "the largest angle (%g rad) and speed (%g m/s) must be above 0",
                            c->steering_max_rad, c->speed_max_mps);
    if (!isfinite(c->steering_rate_usps) || c->steering_rate_usps < 0 || !isfinite(c->brake_ms) ||
        c->brake_ms < 0)
        return sl_error_set(err, -EINVAL,
                            "the steering's rate (%g us/s) and the brake's time (%g ms) must be 0 "
                            "or more",
                            c->steering_rate_usps, c->brake_ms);
    if ((c->steering_left_us - c->steering_centre_us) *
            (c->steering_right_us - c->steering_centre_us) >=
        0)
        return sl_error_set(err, -EINVAL,
                            "the steering's centre (%g us) must lie between its left end (%g us) "
                            "and its right end (%g us)",
                            c->steering_centre_us, c->steering_left_us, c->steering_right_us);
    const double span = c->throttle_end_us - c->throttle_neutral_us;
    const double start = c->throttle_start_us - c->throttle_neutral_us;
    if (span == 0 || start * span < 0 || fabs(start) >= fabs(span))
        return sl_error_set(err, -EINVAL,
                            "the throttle's start (%g us) must lie between neutral (%g us) and its "
                            "end (%g us)",
                            c->throttle_start_us, c->throttle_neutral_us, c->throttle_end_us);
    if (c->throttle_brake_us != 0 && (c->throttle_brake_us - c->throttle_neutral_us) * span >= 0)
        return sl_error_set(err, -EINVAL,
                            "the brake (%g us) must lie beyond neutral (%g us), away from the "
                            "throttle's end (%g us)",
                            c->throttle_brake_us, c->throttle_neutral_us, c->throttle_end_us);
    return 0;
}

double sl_pulse_steering_us(const struct sl_pulse_config *c, double steering_rad)
{
    if (!isfinite(steering_rad))
        return c->steering_centre_us;
    const double share = fmin(fabs(steering_rad) / c->steering_max_rad, 1);
    const double end = steering_rad >= 0 ? c->steering_left_us : c->steering_right_us;
    return c->steering_centre_us + (end - c->steering_centre_us) * share;
}

double sl_pulse_throttle_us(const struct sl_pulse_config *c, double speed_mps)
{
    if (!isfinite(speed_mps) || speed_mps <= 0)
        return c->throttle_neutral_us;
    const double share = fmin(speed_mps / c->speed_max_mps, 1);
    return c->throttle_start_us + (c->throttle_end_us - c->throttle_start_us) * share;
}

static double limited_us(const struct sl_pulse *p, uint64_t now_ns, double wanted_us)
{
    if (p->config.steering_rate_usps == 0)
        return wanted_us;
    const double most_us =
        p->config.steering_rate_usps * (double)(now_ns - p->stepped_ns) / (double)SL_NS_PER_S;
    return fmin(fmax(wanted_us, p->steering_us - most_us), p->steering_us + most_us);
}

/* Whether speed 0 means the brake now. */
static bool brakes(struct sl_pulse *p, uint64_t now_ns)
{
    if (p->config.throttle_brake_us == 0 || p->drove_ns == 0)
        return false;
    if (p->braking_ns == 0)
        p->braking_ns = now_ns;
    if ((double)(now_ns - p->braking_ns) < p->config.brake_ms * (double)SL_NS_PER_MS)
        return true;
    p->drove_ns = 0;
    return false;
}

struct sl_pulses sl_pulse_drive(struct sl_pulse *p, uint64_t now_ns, double steering_rad,
                                double speed_mps)
{
    struct sl_pulses out = {.steering_rad = isfinite(steering_rad) ? steering_rad : 0,
                            .speed_mps = isfinite(speed_mps) && speed_mps > 0 ? speed_mps : 0};
    if (p->stepped_ns == 0)
        p->stepped_ns = now_ns;
    out.steering_us = limited_us(p, now_ns, sl_pulse_steering_us(&p->config, steering_rad));
    out.throttle_us = sl_pulse_throttle_us(&p->config, speed_mps);
    if (out.speed_mps > 0) {
        p->drove_ns = now_ns;
        p->braking_ns = 0;
    } else if (brakes(p, now_ns)) {
        out.throttle_us = p->config.throttle_brake_us;
    }
    p->steering_us = out.steering_us;
    p->stepped_ns = now_ns;
    return out;
}

struct sl_pulses sl_pulse_neutral(struct sl_pulse *p, uint64_t now_ns)
{
    p->steering_us = p->config.steering_centre_us;
    p->stepped_ns = now_ns;
    p->drove_ns = p->braking_ns = 0;
    return (struct sl_pulses){.steering_us = p->config.steering_centre_us,
                              .throttle_us = p->config.throttle_neutral_us,
                              .neutral = true};
}
