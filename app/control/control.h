/* The control law: lane and motion in, steering and speed asked out.
 *
 * Pure: numbers in, numbers out; time comes as an argument. What this asks
 * for is not yet safe: app/control/safety.h decides whether to drive at all,
 * and app/control/limits.h has the last word before the actuator.
 *
 * Each step predicts the pose in the lane to the moment at which its command
 * will move the wheels (age of the detection, and actuation_delay_s), adds the
 * steering that the lane's bend needs there, and corrects what is left by one
 * of three laws:
 *
 *   pure pursuit  R. C. Coulter, "Implementation of the Pure Pursuit Path
 *                 Tracking Algorithm", CMU-RI-TR-92-01, 1992
 *   Stanley       G. M. Hoffmann, C. J. Tomlin, M. Montemerlo, S. Thrun,
 *                 "Autonomous Automobile Trajectory Tracking for Off-Road
 *                 Driving", American Control Conference 2007
 *   PID           on the lateral offset, with a heading term
 *
 * Tyres let the vehicle move a little outwards of where it points; the laws
 * correct the course, which is the heading less that slip.
 *
 * All three keep the middle of the rear axle on the lane's centre, and ask
 * for no more than twice lateral_accel_max_mps2 of sideways acceleration. A lateral
 * offset to the left steers right. */
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
    double actuation_delay_s; /* from command to moving wheels: predicted over as well */
    /* Tyres, both by lateral acceleration and 0 for a vehicle that rolls where
     * it points: steering that a bend needs beyond its geometry, and the angle
     * by which the rear axle moves outwards of where the vehicle points. */
    double understeer_rads2pm, rear_slip_rads2pm;
    /* pure pursuit */
    double lookahead_min_m, lookahead_time_s;
    /* Stanley */
    double stanley_gain_1ps, stanley_softening_mps;
    /* PID on lateral offset and heading */
    double pid_kp_radpm, pid_ki_radpms, pid_kd_rads_pm, pid_heading_gain;
    /* speed */
    double speed_max_mps;
    double speed_min_mps; /* slowest speed in bends */
    double lateral_accel_max_mps2;
    double accel_max_mps2, decel_max_mps2;
};

struct sl_control_input {
    uint64_t now_ns;
    const struct sl_detection *lane; /* never NULL; its state may be "lost" */
    double speed_mps;                /* of the vehicle now */
    double steering_rad;             /* of the wheels now, as measured or last commanded */
    double speed_scale;              /* 0..1: what safety allows of the speed */
    bool steering_measured;          /* steering_rad is measured; false: last commanded */
    bool hold;                       /* safety does not trust the lane: as if it were lost */
};

struct sl_control_output {
    double steering_rad;
    double speed_mps;
    double lateral_offset_m; /* the pose predicted and steered by */
    double heading_error_rad;
    double curvature_1pm;
    double age_s; /* of the detection: now less exposure, never negative */
};

/* Steps of which the steering is remembered: 0.4 s at 160 a second. */
#define SL_CONTROL_HISTORY 64

/* Where the vehicle was in the last good lane, carried along by its motion. */
struct sl_lane_memory {
    uint64_t ns; /* at which it was there */
    double offset_m, heading_rad;
    double curvature_1pm, curvature_rate_1pm2;
    double visible_m; /* ahead, over which the bend's change was seen */
    bool known;
};

/* What a law remembers from step to step. Plain memory; zeroed by reset. */
struct sl_control {
    struct sl_control_config config;
    struct sl_lane_memory memory;
    double integral;         /* of the lateral offset, m s */
    double speed_free_mps;   /* asked of the last good lane, before scale and ramp */
    double speed_target_mps; /* last asked */
    uint64_t last_ns;        /* 0: no step yet */
    uint32_t history_count, history_next;
    struct {
        uint64_t ns;
        double steering_rad;
    } history[SL_CONTROL_HISTORY];
};

/* 0, or -EINVAL with the offending number named. */
int sl_control_init(struct sl_control *control, const struct sl_control_config *config,
                    struct sl_error *err);

/* Forgets integrals, ramps and past steering, as after any stop. */
void sl_control_reset(struct sl_control *control);

/* One step. The speed ramps from the present one. With a lost lane (or
 * `hold`) the last good one is followed, as far as the vehicle's motion tells
 * where that is by now, and the speed asked is the last one, never rising,
 * times speed_scale: how long that may go on is for safety to say. Without an
 * earlier lane the steering asked is the present one and the speed 0. Never asks for more than
 * steering_max_rad. Given a number that is not finite, all outputs are NaN
 * (limits catch them) and the step leaves no trace. Bounded work. */
void sl_control_step(struct sl_control *control, const struct sl_control_input *in,
                     struct sl_control_output *out);

/* Moves a lane-relative pose ahead in time by the kinematic bicycle model
 * (rear axle): used for detection age and actuation delay. */
void sl_control_predict(double *lateral_offset_m, double *heading_error_rad, double curvature_1pm,
                        double speed_mps, double steering_rad, double wheelbase_m, double dt_s);

#endif
