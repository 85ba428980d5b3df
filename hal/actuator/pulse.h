/* From a command to the pulses of a steering servo and an ESC. Pure: numbers in,
 * numbers out; no clock, no I/O. One thread at a time.
 *
 * Steering, with max = steering_max_rad; positive angles are to the left, and
 * which way the servo turns follows from which end has the longer pulse:
 *
 *     angle >= 0   centre + (left  - centre) x  angle / max
 *     angle <  0   centre + (right - centre) x -angle / max
 *
 * Throttle, with max = speed_max_mps:
 *
 *     speed <= 0   neutral (or brake, for a while after it drove)
 *     speed >  0   start + (end - start) x speed / max
 *
 * The step from neutral to start is the ESC's dead band. An ESC without a speed
 * sensor turns pulses into motor voltage: the speed of a throttle pulse is only as
 * right as the end was measured. */
#ifndef SL_HAL_ACTUATOR_PULSE_H
#define SL_HAL_ACTUATOR_PULSE_H

#include <stdbool.h>
#include <stdint.h>

#include "rt/error.h"

/* Beyond these no servo or ESC of a model car goes. */
#define SL_PULSE_MIN_US 400
#define SL_PULSE_MAX_US 2600

struct sl_pulse_config {
    double steering_max_rad, speed_max_mps; /* finite, above 0 */
    double steering_centre_us, steering_left_us, steering_right_us;
    double steering_rate_usps; /* fastest that the pulse may change; 0: at once */
    double throttle_neutral_us;
    double throttle_start_us; /* the motor just turns */
    double throttle_end_us;   /* at speed_max_mps */
    double throttle_brake_us; /* when speed 0 is asked while driving; 0: neutral does it */
    double brake_ms;          /* at most so long: many ESCs then reverse */
};

/* What the outputs are to do. */
struct sl_pulses {
    double steering_us, throttle_us;
    double steering_rad, speed_mps; /* the same, as it was asked; neutral: 0 */
    bool neutral;
};

struct sl_pulse {
    struct sl_pulse_config config;
    double steering_us;  /* last */
    uint64_t stepped_ns; /* when; 0: never */
    uint64_t drove_ns;   /* when the throttle last drove; 0: not since the brake's end */
    uint64_t braking_ns; /* since when it brakes; 0: it does not */
};

/* 0; -EINVAL with a sentence: not finite, outside SL_PULSE_MIN_US..MAX_US, ends on
 * one side of the centre, throttle start not between neutral and end. */
int sl_pulse_init(struct sl_pulse *pulse, const struct sl_pulse_config *config,
                  struct sl_error *err);

/* The formulas above, without memory: angles and speeds beyond the ends count as
 * the ends, what is not finite as 0. */
double sl_pulse_steering_us(const struct sl_pulse_config *config, double steering_rad);
double sl_pulse_throttle_us(const struct sl_pulse_config *config, double speed_mps);

/* The pulses for a command at `now_ns`, no earlier than the last: with the
 * steering's rate and the brake. */
struct sl_pulses sl_pulse_drive(struct sl_pulse *pulse, uint64_t now_ns, double steering_rad,
                                double speed_mps);

/* Centre and neutral, at once: what makes safe is not slowed, and does not brake. */
struct sl_pulses sl_pulse_neutral(struct sl_pulse *pulse, uint64_t now_ns);

#endif
