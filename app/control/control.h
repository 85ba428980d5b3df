/* The control law: lane and motion in, steering and speed asked out.
 *
 * Pure: numbers in, numbers out; time comes as an argument. What this asks
 * for is not yet safe: app/control/safety.h decides whether to drive at all,
 * and app/control/limits.h has the last word before the actuator. */
#ifndef SL_APP_CONTROL_CONTROL_H
#define SL_APP_CONTROL_CONTROL_H

#include <stdbool.h>
#include <stdint.h>

#include "rt/error.h"
#include "rt/records.h"

enum sl_control_law {
    SL_LAW_PURE_PURSUIT = 0,
    SL_LAW_STANLEY,
    SL_LAW_PID,
};

struct sl_control_config {
    enum sl_control_law law;
    double wheelbase_m;
    double steering_max_rad;
    double actuation_delay_s;    /* from command to moving wheels: predicted over as well */
    /* pure pursuit */
    double lookahead_min_m, lookahead_time_s;
    /* Stanley */
    double stanley_gain_1ps, stanley_softening_mps;
    /* PID on lateral offset and heading */
    double pid_kp_radpm, pid_ki_radpms, pid_kd_rads_pm, pid_heading_gain;
    /* speed */
    double speed_max_mps;
    double speed_min_mps;        /* slowest speed in bends */
    double lateral_accel_max_mps2;
    double accel_max_mps2, decel_max_mps2;
};

struct sl_control_input {
    uint64_t now_ns;
    const struct sl_detection *lane; /* never NULL; its state may be "lost" */
    double speed_mps;                /* of the vehicle now */
    double steering_rad;             /* of the wheels now, as measured or last commanded */
    double speed_scale;              /* 0..1: what safety allows of the speed */
};

struct sl_control_output {
    double steering_rad;
    double speed_mps;
    double lateral_offset_m;   /* the pose predicted to now and steered by */
    double heading_error_rad;
    double curvature_1pm;
    double age_s;              /* of the detection: now less exposure */
};

/* What a law remembers from step to step. Plain memory; zeroed by reset. */
struct sl_control {
    struct sl_control_config config;
    double integral;
    double speed_target_mps;
    uint64_t last_ns;
};

/* 0, or -EINVAL with the offending number named. */
int sl_control_init(struct sl_control *control, const struct sl_control_config *config,
                    struct sl_error *err);

/* Forgets integrals and ramps, as after any stop. */
void sl_control_reset(struct sl_control *control);

/* One step. With a lost lane the steering asked is the present one and the
 * speed is 0. Never asks for more than steering_max_rad; may return
 * non-finite numbers if given such (limits catch them). */
void sl_control_step(struct sl_control *control, const struct sl_control_input *in,
                     struct sl_control_output *out);

/* Moves a lane-relative pose ahead in time by the kinematic bicycle model
 * (rear axle): used for detection age and actuation delay. */
void sl_control_predict(double *lateral_offset_m, double *heading_error_rad, double curvature_1pm,
                        double speed_mps, double steering_rad, double wheelbase_m, double dt_s);

#endif
