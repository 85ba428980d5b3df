/* How the vehicle moved between two frames, by its odometry: what the detector is
 * told (sl_detector_moved()), so that it knows where in the lane it was before.
 *
 * Pure: no clock, no I/O, no globals, no allocation. The caller's memory, of one
 * thread at a time. */
#ifndef SL_APP_DETECT_MOTION_H
#define SL_APP_DETECT_MOTION_H

#include <stdbool.h>
#include <stdint.h>

#include "app/detect/detect.h"
#include "rt/records.h"

#define SL_MOTION_SAMPLES 64 /* kept: a third of a second of 200 Hz */

struct sl_motion_sample {
    uint64_t at_ns;
    double speed_mps, yaw_rate_radps;
    double yaw_rate_sd_radps;
};

/* What the vehicle does with its steering and its tyres, as control.h has it. */
struct sl_motion_config {
    double wheelbase_m;
    double understeer_rads2pm;
    double rear_slip_rads2pm;
};

struct sl_motion {
    struct sl_motion_config config;                     /* may be changed at any time */
    struct sl_motion_sample samples[SL_MOTION_SAMPLES]; /* the oldest first */
    int count;
};

/* Nothing is known yet. `config` (wheelbase above 0) turns steering into a yaw rate
 * where none is measured, and tells how far tyres slip. */
void sl_motion_init(struct sl_motion *motion, const struct sl_motion_config *config);

/* Another measurement. `asked_steering_rad`, left positive, is what the vehicle was
 * told, for a vehicle that measures neither yaw rate nor steering; NAN if nobody
 * knows. Passed over without a finite speed, without anything that tells how the
 * vehicle turns, and at the time of the last one. An earlier time is another clock's,
 * such as that of a simulator that was started again: what was known is forgotten. */
void sl_motion_add(struct sl_motion *motion, const struct sl_odometry *odometry,
                   double asked_steering_rad);

/* How the vehicle moved from `from_ns` to `to_ns` (since boot), at most a second
 * later: the integral over samples and straight lines between them, with the rear
 * tyres' slip in proportion to the sideways acceleration (H. B. Pacejka, "Tyre and
 * Vehicle Dynamics", 3rd ed. 2012, section 1.3: the linear range). The first and
 * the last hold for 100 ms before and after. False if that is not known; `moved` is
 * then untouched. */
bool sl_motion_between(const struct sl_motion *motion, uint64_t from_ns, uint64_t to_ns,
                       struct sl_detect_motion *moved);

#endif
