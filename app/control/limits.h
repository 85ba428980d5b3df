/* The last gate before the actuator: absolute, rate, finite, fresh. Apart
 * from the control law, knows nothing of it, and trusts no number. Pure. */
#ifndef SL_APP_CONTROL_LIMITS_H
#define SL_APP_CONTROL_LIMITS_H

#include <stdbool.h>
#include <stdint.h>

#include "rt/error.h"

/* The longest step that a rate limit allows for: after a stall of the caller
 * the outputs go on from where they were, and do not jump to catch up. */
#define SL_LIMITS_STEP_MAX_MS 100

struct sl_limits_config {
    double steering_max_rad;
    double steering_rate_max_radps;
    double speed_max_mps;
    double accel_max_mps2;
    double decel_max_mps2; /* also how fast a stop may be */
    double fresh_ms;       /* a wish older than this is not obeyed */
};

enum {
    SL_LIMIT_STEERING = 1u << 0,
    SL_LIMIT_STEERING_RATE = 1u << 1,
    SL_LIMIT_SPEED = 1u << 2,
    SL_LIMIT_ACCEL = 1u << 3,
    SL_LIMIT_NOT_FINITE = 1u << 4,
    SL_LIMIT_STALE = 1u << 5,
};

struct sl_limits {
    struct sl_limits_config config;
    bool started; /* false until the first step, which has no duration */
    uint64_t last_ns;
    double steering_rad, speed_mps; /* the last output */
};

struct sl_wish {
    uint64_t decided_ns;
    double steering_rad;
    double speed_mps;
    bool neutral; /* go to the safe values: speed 0 at decel_max */
};

struct sl_limited {
    double steering_rad;
    double speed_mps;
    uint32_t hit; /* SL_LIMIT_* bits that took effect */
};

/* Starts at rest, steering straight. 0, or -EINVAL with the offending number
 * named: all must be finite and above 0. */
int sl_limits_init(struct sl_limits *limits, const struct sl_limits_config *config,
                   struct sl_error *err);

/* The output is always finite and inside the limits, whatever the wish.
 *
 * A wish that is not finite or not fresh: steering stays, speed falls to 0.
 * Fresh means decided at most fresh_ms before now, nor further after it.
 * A neutral wish: speed falls to 0 at decel_max whatever it asks, and the
 * steering follows the wish, so that a stop in a bend can be steered; a caller
 * with no lane to steer by repeats the last output's steering.
 *
 * Steps last from the call before to this one, at most SL_LIMITS_STEP_MAX_MS;
 * the first, and one with time going backwards, last 0 and change nothing. */
void sl_limits_apply(struct sl_limits *limits, uint64_t now_ns, const struct sl_wish *wish,
                     struct sl_limited *out);

#endif
