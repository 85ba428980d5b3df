/* The vehicle: a dynamic bicycle model with its steering and its drive.
 *
 * Lateral motion is the two-axle model of R. Rajamani, "Vehicle Dynamics and
 * Control", 2nd ed. (Springer 2012), section 2.3, with tyre forces that
 * saturate at the friction limit. Its slip angles are undefined at standstill,
 * so below a speed that scales with the size the motion blends into the
 * kinematic bicycle, as P. Polack et al., "The kinematic bicycle model: A
 * consistent model for planning feasible trajectories for autonomous
 * vehicles?" (IEEE IV 2017) justify for small lateral accelerations.
 *
 * SI units, radians. Vehicle frame: x forward, y left, origin on the ground
 * under the middle of the rear axle; positive steers left. No clocks, no
 * globals; bit for bit the same on every machine. */
#ifndef SL_TOOLS_SIM_VEHICLE_H
#define SL_TOOLS_SIM_VEHICLE_H

#include <stdint.h>

#include "rt/error.h"

struct sl_vehicle_parameters {
    double wheelbase_m;
    double front_axle_m;          /* centre of gravity to the front axle, < wheelbase */
    double yaw_radius_m;          /* radius of gyration: yaw inertia = mass * radius^2 */
    double front_stiffness_1prad; /* cornering stiffness over the axle's load */
    double rear_stiffness_1prad;
    double friction; /* largest tyre force over load */
    double steering_max_rad;
    double steering_rate_radps; /* fastest movement of the wheels */
    double steering_lag_s;      /* first-order time constant */
    double steering_delay_s;    /* pure delay before it, <= SL_VEHICLE_DELAY_MAX_S */
    double accel_max_mps2;
    double decel_max_mps2;
    double speed_lag_s; /* time constant toward the commanded speed */
    double speed_max_mps;
};

#define SL_VEHICLE_DELAY_MAX_S 0.5
#define SL_VEHICLE_STEP_NS     UINT64_C(1000000) /* longest internal step */

/* The position of everything that moves. Read freely; write through the
 * functions below. */
struct sl_vehicle_state {
    double x_m, y_m, yaw_rad; /* rear axle's middle in the world; yaw in (-pi, pi] */
    double speed_mps;         /* forward, never negative */
    double accel_mps2;
    double lateral_mps; /* of the centre of gravity, positive left */
    double yaw_rate_radps;
    double steering_rad; /* of the front wheels */
};

#define SL_VEHICLE_COMMANDS_MAX 1024

struct sl_vehicle {
    struct sl_vehicle_parameters p;
    struct sl_vehicle_state state;
    uint64_t time_ns;      /* since init */
    double held_rad;       /* the delayed command that acts now */
    uint32_t first, count; /* commands not yet acting, oldest first */
    struct {
        uint64_t due_ns;
        double steering_rad;
    } commands[SL_VEHICLE_COMMANDS_MAX];
};

/* Parameters of an ordinary car shrunk to this wheelbase: a 2.7 m car as it
 * is, a 0.27 m one with its times and speeds scaled as gravity demands
 * (square root of the length). Steering limit and rate, accelerations and top
 * speed are the caller's to set where the settings file knows better. */
void sl_vehicle_parameters_for_wheelbase(struct sl_vehicle_parameters *p, double wheelbase_m);

/* 0, or -EINVAL with the offending number named in `err`. */
int sl_vehicle_parameters_check(const struct sl_vehicle_parameters *p, struct sl_error *err);

/* The vehicle stands at this pose, wheels straight, no command pending.
 * `p` must have passed the check. */
void sl_vehicle_init(struct sl_vehicle *v, const struct sl_vehicle_parameters *p, double x_m,
                     double y_m, double yaw_rad);

/* Moves on by `dt_ns` under one command, in internal steps of at most 1 ms.
 * Commands beyond the limits are clamped; one that is not finite counts as
 * straight wheels and standstill. Some 0.2 us an internal step. */
void sl_vehicle_step(struct sl_vehicle *v, uint64_t dt_ns, double steering_rad, double speed_mps);

/* Understeer gradient: steady cornering needs the steering angle
 * wheelbase * curvature + gradient * lateral acceleration (rad s^2/m). */
double sl_vehicle_understeer(const struct sl_vehicle_parameters *p);

#endif
