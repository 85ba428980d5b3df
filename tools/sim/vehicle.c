#include "tools/sim/vehicle.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "tools/sim/exact.h"

#define GRAVITY_MPS2 9.81

/* The car whose proportions all sizes share. */
#define REFERENCE_WHEELBASE_M 2.7

/* Between these speeds (of the reference car) the model turns from kinematic
 * to dynamic. Above the second, the slip angles' denominators are well away
 * from zero for a step of 1 ms. */
#define BLEND_LOW_MPS  1.5
#define BLEND_HIGH_MPS 4.0

void sl_vehicle_parameters_for_wheelbase(struct sl_vehicle_parameters *p, double wheelbase_m)
{
    double scale = wheelbase_m / REFERENCE_WHEELBASE_M;
    double time_scale = sqrt(scale);
    *p = (struct sl_vehicle_parameters){
        .wheelbase_m = wheelbase_m,
        /* 55 % of the weight in front, as front-wheel driven cars have. */
        .front_axle_m = 0.45 * wheelbase_m,
        .yaw_radius_m = 0.5 * wheelbase_m,
        /* Passenger tyres give 15 to 20 % of their load a degree; a softer
         * front makes the usual mild understeer. */
        .front_stiffness_1prad = 9.0,
        .rear_stiffness_1prad = 11.0,
        .friction = 0.9,
        .steering_max_rad = 0.5,
        .steering_rate_radps = 1.2 / time_scale,
        .steering_lag_s = 0.04 * time_scale,
        .steering_delay_s = 0.02 * time_scale,
        .accel_max_mps2 = 2.5,
        .decel_max_mps2 = 5.0,
        .speed_lag_s = 0.3 * time_scale,
        .speed_max_mps = 15.0 * time_scale,
    };
}

int sl_vehicle_parameters_check(const struct sl_vehicle_parameters *p, struct sl_error *err)
{
    const struct {
        const char *name;
        double value, min, max;
    } checks[] = {
        {"wheelbase_m", p->wheelbase_m, 0.05, 10},
        {"front_axle_m", p->front_axle_m, 0.1 * p->wheelbase_m, 0.9 * p->wheelbase_m},
        {"yaw_radius_m", p->yaw_radius_m, 0.2 * p->wheelbase_m, 2 * p->wheelbase_m},
        {"front_stiffness_1prad", p->front_stiffness_1prad, 1, 100},
        {"rear_stiffness_1prad", p->rear_stiffness_1prad, 1, 100},
        {"friction", p->friction, 0.05, 3},
        {"steering_max_rad", p->steering_max_rad, 0.01, 1.2},
        {"steering_rate_radps", p->steering_rate_radps, 0.01, 100},
        {"steering_lag_s", p->steering_lag_s, 0, 2},
        {"steering_delay_s", p->steering_delay_s, 0, SL_VEHICLE_DELAY_MAX_S},
        {"accel_max_mps2", p->accel_max_mps2, 0.01, 50},
        {"decel_max_mps2", p->decel_max_mps2, 0.01, 50},
        {"speed_lag_s", p->speed_lag_s, 0, 10},
        {"speed_max_mps", p->speed_max_mps, 0.01, 100},
    };
    for (size_t i = 0; i < sizeof checks / sizeof checks[0]; i++) {
        double v = checks[i].value;
        if (!isfinite(v) || v < checks[i].min || v > checks[i].max)
            return sl_error_set(err, -EINVAL, "vehicle: %s is %g; it must lie within %g and %g",
                                checks[i].name, v, checks[i].min, checks[i].max);
    }
    return 0;
}

void sl_vehicle_init(struct sl_vehicle *v, const struct sl_vehicle_parameters *p, double x_m,
                     double y_m, double yaw_rad)
{
    memset(v, 0, sizeof *v);
    v->p = *p;
    v->state.x_m = x_m;
    v->state.y_m = y_m;
    v->state.yaw_rad = sl_exact_wrap(yaw_rad);
}

static double clamp(double x, double low, double high)
{
    return x < low ? low : x > high ? high : x;
}

/* Force over load: linear for small slip, the friction limit for large. */
static double tyre(double stiffness, double friction, double slip_rad)
{
    double linear = stiffness * slip_rad / friction;
    return friction * linear / sqrt(1 + linear * linear);
}

static void push_command(struct sl_vehicle *v, double steering_rad)
{
    if (v->count == SL_VEHICLE_COMMANDS_MAX) { /* steps below 0.5 ms: merge the newest two */
        v->commands[(v->first + v->count - 1) % SL_VEHICLE_COMMANDS_MAX].steering_rad =
            steering_rad;
        return;
    }
    uint32_t at = (v->first + v->count++) % SL_VEHICLE_COMMANDS_MAX;
    v->commands[at].due_ns = v->time_ns + (uint64_t)(v->p.steering_delay_s * 1e9);
    v->commands[at].steering_rad = steering_rad;
}

static void turn_wheels(struct sl_vehicle *v, double h)
{
    while (v->count > 0 && v->commands[v->first].due_ns <= v->time_ns) {
        v->held_rad = v->commands[v->first].steering_rad;
        v->first = (v->first + 1) % SL_VEHICLE_COMMANDS_MAX;
        v->count--;
    }
    /* The lag's exact answer would need exp(); h/(lag + h) is implicit Euler,
     * stable for any lag. */
    double move = (v->held_rad - v->state.steering_rad) * h / (v->p.steering_lag_s + h);
    double most = v->p.steering_rate_radps * h;
    v->state.steering_rad += clamp(move, -most, most);
}

static void drive(struct sl_vehicle *v, double h, double wanted_mps)
{
    struct sl_vehicle_state *s = &v->state;
    double accel = (wanted_mps - s->speed_mps) / (v->p.speed_lag_s + h);
    accel = clamp(accel, -v->p.decel_max_mps2, v->p.accel_max_mps2);
    double speed = s->speed_mps + accel * h;
    if (speed < 0)
        speed = 0;
    s->accel_mps2 = (speed - s->speed_mps) / h;
    s->speed_mps = speed;
}

static void move(struct sl_vehicle *v, double h)
{
    const struct sl_vehicle_parameters *p = &v->p;
    struct sl_vehicle_state *s = &v->state;
    double a = p->front_axle_m, b = p->wheelbase_m - p->front_axle_m;
    double u = s->speed_mps;
    double sine, cosine;
    sl_exact_sincos(s->steering_rad, &sine, &cosine);

    double kinematic_yaw_rate = u * (sine / cosine) / p->wheelbase_m;
    double kinematic_lateral = kinematic_yaw_rate * b;

    double size = sqrt(p->wheelbase_m / REFERENCE_WHEELBASE_M);
    double low = BLEND_LOW_MPS * size, high = BLEND_HIGH_MPS * size;
    double w = clamp((u - low) / (high - low), 0, 1);
    double yaw_rate = kinematic_yaw_rate, lateral = kinematic_lateral;
    if (w > 0) {
        double front_slip =
            s->steering_rad - sl_exact_atan((s->lateral_mps + a * s->yaw_rate_radps) / u);
        double rear_slip = -sl_exact_atan((s->lateral_mps - b * s->yaw_rate_radps) / u);
        /* Accelerations: each axle carries its share b/L, a/L of the weight. */
        double front = tyre(p->front_stiffness_1prad, p->friction, front_slip) * GRAVITY_MPS2 * b /
                       p->wheelbase_m;
        double rear = tyre(p->rear_stiffness_1prad, p->friction, rear_slip) * GRAVITY_MPS2 * a /
                      p->wheelbase_m;
        double lateral_accel = front * cosine + rear - u * s->yaw_rate_radps;
        double yaw_accel = (a * front * cosine - b * rear) / (p->yaw_radius_m * p->yaw_radius_m);
        double dynamic_yaw_rate = s->yaw_rate_radps + yaw_accel * h;
        double dynamic_lateral = s->lateral_mps + lateral_accel * h;
        yaw_rate += w * (dynamic_yaw_rate - yaw_rate);
        lateral += w * (dynamic_lateral - lateral);
    }
    double mean_yaw_rate = 0.5 * (yaw_rate + s->yaw_rate_radps);
    s->yaw_rate_radps = yaw_rate;
    s->lateral_mps = lateral;

    /* The rear axle's middle moves with the centre of gravity's sideways
     * velocity less what the turn adds there. */
    double rear_lateral = lateral - b * yaw_rate;
    double middle = s->yaw_rad + 0.5 * mean_yaw_rate * h;
    sl_exact_sincos(middle, &sine, &cosine);
    s->x_m += (u * cosine - rear_lateral * sine) * h;
    s->y_m += (u * sine + rear_lateral * cosine) * h;
    s->yaw_rad = sl_exact_wrap(s->yaw_rad + mean_yaw_rate * h);
}

void sl_vehicle_step(struct sl_vehicle *v, uint64_t dt_ns, double steering_rad, double speed_mps)
{
    if (!isfinite(steering_rad) || !isfinite(speed_mps)) {
        steering_rad = 0;
        speed_mps = 0;
    }
    steering_rad = clamp(steering_rad, -v->p.steering_max_rad, v->p.steering_max_rad);
    speed_mps = clamp(speed_mps, 0, v->p.speed_max_mps);
    if (dt_ns == 0)
        return;
    push_command(v, steering_rad);
    uint64_t end_ns = v->time_ns + dt_ns;
    while (v->time_ns < end_ns) {
        uint64_t step_ns = end_ns - v->time_ns;
        if (step_ns > SL_VEHICLE_STEP_NS)
            step_ns = SL_VEHICLE_STEP_NS;
        double h = (double)step_ns * 1e-9;
        turn_wheels(v, h);
        drive(v, h, speed_mps);
        move(v, h);
        v->time_ns += step_ns;
    }
}

double sl_vehicle_understeer(const struct sl_vehicle_parameters *p)
{
    return (1 / p->front_stiffness_1prad - 1 / p->rear_stiffness_1prad) / GRAVITY_MPS2;
}
