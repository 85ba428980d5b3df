#include "app/control/control.h"

#include <errno.h>
#include <math.h>
#include <stddef.h>
#include <string.h>

/* Prediction over more than this is a guess that no law should act on; the
 * detection is long stale for safety by then. */
#define PREDICT_MAX_S 0.5
/* Steps of the prediction: 10 ms each at a usual 80 ms. */
#define PREDICT_STEPS 8
/* A caller that stalled must not make the integral or the ramp jump. */
#define STEP_MAX_S 0.1
/* Parts of the curve that the pursued point is found on; even, for Simpson. */
#define CURVE_PARTS 4

int sl_control_init(struct sl_control *control, const struct sl_control_config *config,
                    struct sl_error *err)
{
    const struct {
        double value, low, high;
        const char *name;
    } numbers[] = {
        {config->wheelbase_m, 0.01, 100, "wheelbase_m"},
        {config->steering_max_rad, 0.001, 1.5, "steering_max_rad"},
        {config->actuation_delay_s, 0, PREDICT_MAX_S, "actuation_delay_s"},
        {config->understeer_rads2pm, -0.1, 0.1, "understeer_rads2pm"},
        {config->rear_slip_rads2pm, 0, 0.1, "rear_slip_rads2pm"},
        {config->lookahead_min_m, 0.01, 1000, "lookahead_min_m"},
        {config->lookahead_time_s, 0, 100, "lookahead_time_s"},
        {config->stanley_gain_1ps, 0, 1000, "stanley_gain_1ps"},
        {config->stanley_softening_mps, 0, 1000, "stanley_softening_mps"},
        {config->pid_kp_radpm, 0, 1000, "pid_kp_radpm"},
        {config->pid_ki_radpms, 0, 1000, "pid_ki_radpms"},
        {config->pid_kd_rads_pm, 0, 1000, "pid_kd_rads_pm"},
        {config->pid_heading_gain, 0, 1000, "pid_heading_gain"},
        {config->speed_max_mps, 0, 1000, "speed_max_mps"},
        {config->speed_min_mps, 0, 1000, "speed_min_mps"},
        {config->lateral_accel_max_mps2, 0.001, 1000, "lateral_accel_max_mps2"},
        {config->accel_max_mps2, 0.001, 1000, "accel_max_mps2"},
        {config->decel_max_mps2, 0.001, 1000, "decel_max_mps2"},
        {config->law, SL_LAW_PURE_PURSUIT, SL_LAW_PID, "law"},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        /* Written so that a NaN fails too. */
        if (!(numbers[i].value >= numbers[i].low && numbers[i].value <= numbers[i].high))
            return sl_error_set(err, -EINVAL, "control: %s is %g; allowed: %g to %g",
                                numbers[i].name, numbers[i].value, numbers[i].low, numbers[i].high);
    }
    control->config = *config;
    sl_control_reset(control);
    return 0;
}

void sl_control_reset(struct sl_control *control)
{
    struct sl_control_config config = control->config;
    memset(control, 0, sizeof *control);
    control->config = config;
}

static double bound(double value, double low, double high)
{
    return value < low ? low : value > high ? high : value;
}

/* Turn of the vehicle less turn of the lane below it, and drift across it. */
static void pose_rate(double offset_m, double heading_rad, double curvature_1pm, double speed_mps,
                      double yaw_rate_radps, double *offset_rate, double *heading_rate)
{
    /* Outside of a bend the lane passes more slowly below the vehicle; at its
     * centre of curvature the model ends. */
    double stretch = bound(1 - curvature_1pm * offset_m, 0.2, 5);
    *offset_rate = speed_mps * sin(heading_rad);
    *heading_rate = yaw_rate_radps - curvature_1pm * speed_mps * cos(heading_rad) / stretch;
}

void sl_control_predict(double *lateral_offset_m, double *heading_error_rad, double curvature_1pm,
                        double speed_mps, double steering_rad, double wheelbase_m, double dt_s)
{
    double yaw_rate = speed_mps * tan(steering_rad) / wheelbase_m;
    double offset_rate, heading_rate;
    /* Midpoint rule: exact to the second order, and of fixed cost. */
    pose_rate(*lateral_offset_m, *heading_error_rad, curvature_1pm, speed_mps, yaw_rate,
              &offset_rate, &heading_rate);
    pose_rate(*lateral_offset_m + offset_rate * dt_s / 2,
              *heading_error_rad + heading_rate * dt_s / 2, curvature_1pm, speed_mps, yaw_rate,
              &offset_rate, &heading_rate);
    *lateral_offset_m += offset_rate * dt_s;
    *heading_error_rad += heading_rate * dt_s;
}

static void remember_steering(struct sl_control *control, const struct sl_control_input *in)
{
    control->history[control->history_next].ns = in->now_ns;
    control->history[control->history_next].steering_rad = in->steering_rad;
    control->history_next = (control->history_next + 1) % SL_CONTROL_HISTORY;
    if (control->history_count < SL_CONTROL_HISTORY)
        control->history_count++;
}

/* The steering that held at a time: the last one told before it, or the
 * oldest that is remembered. The newest entry is at least there. */
static double steering_at(const struct sl_control *control, double before_now_s, uint64_t now_ns)
{
    double steering_rad = 0;
    uint32_t index = control->history_next;
    for (uint32_t i = 0; i < control->history_count; i++) {
        index = (index + SL_CONTROL_HISTORY - 1) % SL_CONTROL_HISTORY;
        uint64_t ns = control->history[index].ns;
        steering_rad = control->history[index].steering_rad;
        if (now_ns >= ns && (double)(now_ns - ns) * 1e-9 >= before_now_s)
            break;
    }
    return steering_rad;
}

/* The vehicle in its lane. */
struct pose {
    double offset_m;
    double heading_rad;
    double course_rad; /* of the motion, to the lane: heading less the tyres' slip */
    double curvature_1pm, curvature_rate_1pm2;
    double visible_m; /* ahead, over which the bend's change was seen */
    double turn_m;    /* wheelbase by which steering turns at this speed: tan = turn x curvature */
};

/* Carries a pose of `age_s` ago through a span of time with the steering of then. */
static void carry(const struct sl_control *control, const struct sl_control_input *in, double age_s,
                  double span_s, struct pose *pose)
{
    const struct sl_control_config *c = &control->config;
    const double step_s = span_s / PREDICT_STEPS;
    /* A measured angle is the wheels' own; a commanded one reaches them after
     * the delay. What comes after the newest measurement is not known better. */
    const double shift_s = in->steering_measured ? 0 : c->actuation_delay_s;
    /* The slip follows the vehicle's own turn, but steering for what steering
     * causes feeds back: taken wholly from the wheels, a strong law swings, and
     * from the lane alone, it errs wherever the curvature seen ahead is not yet
     * that of the place. Half of each does neither. */
    const double slip_gain = c->rear_slip_rads2pm * in->speed_mps * in->speed_mps;
    double slip_rad = 0;
    for (int i = 0; i < PREDICT_STEPS; i++) {
        const double way_m = in->speed_mps * step_s;
        if (pose->visible_m <= 0)
            pose->curvature_rate_1pm2 = 0; /* nobody saw it bend on */
        double before_now_s = age_s - (i + 0.5) * step_s + shift_s;
        double steering_rad = steering_at(control, before_now_s > 0 ? before_now_s : 0, in->now_ns);
        slip_rad = slip_gain * 0.5 * (tan(steering_rad) / pose->turn_m + pose->curvature_1pm);
        pose->course_rad = pose->heading_rad - slip_rad;
        sl_control_predict(&pose->offset_m, &pose->course_rad,
                           pose->curvature_1pm + pose->curvature_rate_1pm2 * way_m / 2,
                           in->speed_mps, steering_rad, pose->turn_m, step_s);
        pose->heading_rad = pose->course_rad + slip_rad;
        pose->curvature_1pm += pose->curvature_rate_1pm2 * way_m;
        pose->visible_m -= way_m;
    }
}

/* The bend's own steering, which all laws begin with. */
static double feed_forward(const struct pose *pose)
{
    return atan(pose->turn_m * pose->curvature_1pm);
}

/* Curvature of the arc from the rear axle's middle, along the vehicle's
 * heading, through the lane's centre `ahead_m` further on (Coulter, eq. 4). */
static double pursuit_curvature(const struct pose *pose, double ahead_m)
{
    /* The centre's course in the lane's frame, by Simpson's rule. */
    const double part_m = ahead_m / CURVE_PARTS;
    double x_m = 0, y_m = 0;
    for (int i = 0; i <= CURVE_PARTS; i++) {
        double s_m = i * part_m;
        double lane_rad = pose->curvature_1pm * s_m + pose->curvature_rate_1pm2 * s_m * s_m / 2;
        double weight = (i == 0 || i == CURVE_PARTS ? 1 : i % 2 == 1 ? 4 : 2) * part_m / 3;
        x_m += weight * cos(lane_rad);
        y_m += weight * sin(lane_rad);
    }
    y_m -= pose->offset_m;
    double left_m = y_m * cos(pose->course_rad) - x_m * sin(pose->course_rad);
    return 2 * left_m / (x_m * x_m + y_m * y_m);
}

static double pure_pursuit(const struct sl_control_config *c, const struct pose *pose,
                           double speed_mps)
{
    double ahead_m = fmax(c->lookahead_min_m, c->lookahead_time_s * speed_mps);
    /* Pursuing a point cuts corners where the curvature changes, by a third of
     * the way to it. So the law corrects the pose alone: what it would steer
     * on the centre itself is taken off, and the bend's own curvature put in. */
    struct pose centred = *pose;
    centred.offset_m = 0;
    centred.course_rad = 0;
    return atan(pose->turn_m * (pursuit_curvature(pose, ahead_m) -
                                pursuit_curvature(&centred, ahead_m) + pose->curvature_1pm));
}

static double stanley(const struct sl_control_config *c, const struct pose *pose, double speed_mps)
{
    /* Stanley's errors are those of the front axle. Its path is the one that
     * the front axle describes while the rear one follows the lane's centre:
     * on it the heading error is the rear's, and the steering the bend's. */
    double front_offset_m = pose->offset_m + c->wheelbase_m * sin(pose->course_rad);
    double slowness = fmax(c->stanley_softening_mps + fabs(speed_mps), 0.01);
    return feed_forward(pose) - pose->course_rad -
           atan(c->stanley_gain_1ps * front_offset_m / slowness);
}

static double pid(const struct sl_control_config *c, const struct pose *pose, double speed_mps,
                  double dt_s, double *integral)
{
    double correction_rad = -c->pid_kp_radpm * pose->offset_m -
                            c->pid_kd_rads_pm * speed_mps * sin(pose->course_rad) -
                            c->pid_heading_gain * pose->course_rad;
    double steering_rad = feed_forward(pose) + correction_rad - c->pid_ki_radpms * *integral;
    /* The integral is for small lasting errors (a bent axle, a sloping road):
     * it learns only in motion and away from the stops, and a tenth of the
     * steering is all it gets. */
    if (fabs(speed_mps) > 0.05 && fabs(steering_rad) < c->steering_max_rad &&
        c->pid_ki_radpms > 0) {
        double most = 0.1 * c->steering_max_rad / c->pid_ki_radpms;
        *integral = bound(*integral + pose->offset_m * dt_s, -most, most);
    }
    return steering_rad;
}

/* Keeps the steering within twice the sideways acceleration that bends may
 * take: a metre beside the centre at speed is no reason to throw the wheels
 * over, and a strong law would swing from one side to the other as fast as the
 * steering goes. Once is not enough: what is seen of a bend may be wrong by as
 * much as the bend itself, and the correction has to make up for it. */
static double gentle(const struct sl_control_config *c, const struct pose *pose, double speed_mps,
                     double steering_rad)
{
    const double speed2 = fmax(speed_mps * speed_mps, 1e-6);
    const double most_rad = atan(pose->turn_m * 2 * c->lateral_accel_max_mps2 / speed2);
    return bound(steering_rad, -most_rad, most_rad);
}

/* How fast the lane may be driven, before scale and ramp. */
static double speed_for(const struct sl_control_config *c, const struct sl_control_input *in,
                        const struct pose *pose)
{
    /* Curvature changes evenly, so that it is largest at one of the ends of
     * what is looked at: as far as it takes to slow down, if one sees so far. */
    double ahead_m = in->speed_mps * in->speed_mps / (2 * c->decel_max_mps2) + c->lookahead_min_m;
    ahead_m = fmin(ahead_m, fmax(pose->visible_m, 0));
    double most = fmax(fabs(pose->curvature_1pm),
                       fabs(pose->curvature_1pm + pose->curvature_rate_1pm2 * ahead_m));
    double speed_mps = c->speed_max_mps;
    if (most * speed_mps * speed_mps > c->lateral_accel_max_mps2)
        speed_mps = fmax(sqrt(c->lateral_accel_max_mps2 / most), c->speed_min_mps);
    return fmin(speed_mps, c->speed_max_mps);
}

static bool all_finite(const struct sl_control_input *in)
{
    const struct sl_detection *lane = in->lane;
    /* Huge numbers count too: their squares would not be finite. */
    const double numbers[] = {
        in->speed_mps,
        in->steering_rad,
        in->speed_scale,
        lane->lateral_offset_m,
        lane->heading_error_rad,
        lane->curvature_1pm,
        lane->curvature_rate_1pm2,
        lane->left.x_max_m,
        lane->right.x_max_m,
    };
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        if (!(fabs(numbers[i]) < 1e6))
            return false;
    }
    return true;
}

static double steer(const struct sl_control_config *c, const struct pose *pose, double speed_mps,
                    double dt_s, double *integral)
{
    double steering_rad = 0;
    switch (c->law) {
    case SL_LAW_PURE_PURSUIT:
        steering_rad = pure_pursuit(c, pose, speed_mps);
        break;
    case SL_LAW_STANLEY:
        steering_rad = stanley(c, pose, speed_mps);
        break;
    case SL_LAW_PID:
        steering_rad = pid(c, pose, speed_mps, dt_s, integral);
        break;
    }
    return gentle(c, pose, speed_mps, steering_rad);
}

static void remember_lane(struct sl_control *control, const struct sl_detection *lane)
{
    control->memory = (struct sl_lane_memory){
        .known = true,
        .ns = lane->exposed_ns,
        .offset_m = lane->lateral_offset_m,
        .heading_rad = lane->heading_error_rad,
        .curvature_1pm = lane->curvature_1pm,
        .curvature_rate_1pm2 = lane->curvature_rate_1pm2,
        .visible_m = fmax((double)lane->left.x_max_m, (double)lane->right.x_max_m),
    };
}

/* The remembered lane at the moment at which a command of now moves the wheels.
 * What it was carried over stays with it, so that steering of long ago need not
 * be known where no new lane comes. */
static struct pose recall_lane(struct sl_control *control, const struct sl_control_input *in)
{
    const struct sl_control_config *c = &control->config;
    struct sl_lane_memory *memory = &control->memory;
    const double speed2 = in->speed_mps * in->speed_mps;
    struct pose pose = {
        .offset_m = memory->offset_m,
        .heading_rad = memory->heading_rad,
        .curvature_1pm = memory->curvature_1pm,
        .curvature_rate_1pm2 = memory->curvature_rate_1pm2,
        .visible_m = memory->visible_m,
        /* An oversteering vehicle has a critical speed, at which this is
         * 0; what it needs near that is beyond these laws. */
        .turn_m = fmax(c->wheelbase_m + c->understeer_rads2pm * speed2, c->wheelbase_m / 2),
    };
    const double age_s = in->now_ns > memory->ns ? (double)(in->now_ns - memory->ns) * 1e-9 : 0;
    const double to_now_s = fmin(age_s, PREDICT_MAX_S);
    carry(control, in, age_s, to_now_s, &pose);
    memory->ns = in->now_ns;
    memory->offset_m = pose.offset_m;
    memory->heading_rad = pose.heading_rad;
    memory->curvature_1pm = pose.curvature_1pm;
    memory->curvature_rate_1pm2 = pose.curvature_rate_1pm2;
    memory->visible_m = pose.visible_m;
    carry(control, in, 0, fmin(c->actuation_delay_s, PREDICT_MAX_S - to_now_s), &pose);
    return pose;
}

void sl_control_step(struct sl_control *control, const struct sl_control_input *in,
                     struct sl_control_output *out)
{
    const struct sl_control_config *c = &control->config;
    const struct sl_detection *lane = in->lane;
    const double age_s =
        in->now_ns > lane->exposed_ns ? (double)(in->now_ns - lane->exposed_ns) * 1e-9 : 0;
    if (!all_finite(in)) {
        *out = (struct sl_control_output){NAN, NAN, NAN, NAN, NAN, age_s};
        return;
    }
    *out = (struct sl_control_output){.age_s = age_s};

    double dt_s = 0;
    if (control->last_ns == 0)
        control->speed_target_mps = bound(in->speed_mps, 0, c->speed_max_mps);
    else if (in->now_ns > control->last_ns)
        dt_s = fmin((double)(in->now_ns - control->last_ns) * 1e-9, STEP_MAX_S);
    control->last_ns = in->now_ns > 0 ? in->now_ns : 1;
    remember_steering(control, in);

    const bool good = !in->hold && lane->state != SL_LANE_LOST;
    if (good)
        remember_lane(control, lane);
    double speed_mps = 0;
    if (control->memory.known) {
        struct pose pose = recall_lane(control, in);
        out->steering_rad = steer(c, &pose, in->speed_mps, good ? dt_s : 0, &control->integral);
        out->lateral_offset_m = pose.offset_m;
        out->heading_error_rad = pose.heading_rad;
        out->curvature_1pm = pose.curvature_1pm;
        if (good)
            control->speed_free_mps = speed_for(c, in, &pose);
        speed_mps = control->speed_free_mps * bound(in->speed_scale, 0, 1);
        if (!good)
            speed_mps = fmin(speed_mps, control->speed_target_mps);
    } else {
        out->steering_rad = in->steering_rad;
    }
    out->steering_rad = bound(out->steering_rad, -c->steering_max_rad, c->steering_max_rad);
    speed_mps = bound(speed_mps, control->speed_target_mps - c->decel_max_mps2 * dt_s,
                      control->speed_target_mps + c->accel_max_mps2 * dt_s);
    control->speed_target_mps = speed_mps;
    out->speed_mps = speed_mps;
}
