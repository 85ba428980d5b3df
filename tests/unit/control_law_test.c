/* The control laws one step at a time: signs, equilibria, speed, memory. */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "app/control/control.h"

#define MS UINT64_C(1000000)

static const struct sl_control_config CONFIG = {
    .law = SL_LAW_PURE_PURSUIT,
    .wheelbase_m = 2.7,
    .steering_max_rad = 0.5,
    .actuation_delay_s = 0.06,
    .lookahead_min_m = 5,
    .lookahead_time_s = 0.5,
    .stanley_gain_1ps = 5,
    .stanley_softening_mps = 5,
    .pid_kp_radpm = 0.2,
    .pid_ki_radpms = 0.01,
    .pid_heading_gain = 1,
    .speed_max_mps = 10,
    .speed_min_mps = 2,
    .lateral_accel_max_mps2 = 3,
    .accel_max_mps2 = 2.5,
    .decel_max_mps2 = 5,
};

static struct sl_control control_of(enum sl_control_law law)
{
    struct sl_control control;
    struct sl_control_config config = CONFIG;
    struct sl_error err = {0};
    config.law = law;
    assert_int_equal(sl_control_init(&control, &config, &err), 0);
    return control;
}

static struct sl_detection lane_of(double offset, double heading, double curvature)
{
    struct sl_detection lane = {.exposed_ns = 1000 * MS,
                                .state = SL_LANE_TWO_LINES,
                                .confidence = 0.9f,
                                .lateral_offset_m = (float)offset,
                                .heading_error_rad = (float)heading,
                                .curvature_1pm = (float)curvature};
    lane.left.x_max_m = lane.right.x_max_m = 30;
    return lane;
}

static struct sl_control_output step(struct sl_control *control, const struct sl_detection *lane,
                                     double speed, double steering)
{
    struct sl_control_input in = {.now_ns = 1020 * MS,
                                  .lane = lane,
                                  .speed_mps = speed,
                                  .steering_rad = steering,
                                  .speed_scale = 1};
    struct sl_control_output out;
    sl_control_step(control, &in, &out);
    return out;
}

static void refuses_bad_configs(void **state)
{
    (void)state;
    struct sl_control control;
    struct sl_error err = {0};
    struct sl_control_config config = CONFIG;
    config.wheelbase_m = 0;
    assert_int_equal(sl_control_init(&control, &config, &err), -EINVAL);
    assert_non_null(strstr(err.text, "wheelbase_m"));
    config = CONFIG;
    config.lookahead_min_m = NAN;
    assert_int_equal(sl_control_init(&control, &config, &err), -EINVAL);
    assert_non_null(strstr(err.text, "lookahead_min_m"));
    config = CONFIG;
    config.law = (enum sl_control_law)7;
    assert_int_equal(sl_control_init(&control, &config, &err), -EINVAL);
    assert_non_null(strstr(err.text, "law"));
}

/* Left of the centre, or turned left: right. And the mirror image. */
static void steers_back(void **state)
{
    (void)state;
    for (int law = SL_LAW_PURE_PURSUIT; law <= SL_LAW_PID; law++) {
        for (int v = 1; v <= 10; v += 3) {
            struct sl_control control = control_of((enum sl_control_law)law);
            struct sl_detection lane = lane_of(0.5, 0, 0);
            double left = step(&control, &lane, v, 0).steering_rad;
            assert_true(left < -0.01);
            sl_control_reset(&control);
            lane = lane_of(-0.5, 0, 0);
            assert_true(fabs(step(&control, &lane, v, 0).steering_rad + left) < 1e-9);
            sl_control_reset(&control);
            lane = lane_of(0, 0.1, 0);
            assert_true(step(&control, &lane, v, 0).steering_rad < -0.01);
            sl_control_reset(&control);
            lane = lane_of(0, 0, 0);
            assert_true(fabs(step(&control, &lane, v, 0).steering_rad) < 1e-12);
            /* However far: never more than the steering can do. */
            sl_control_reset(&control);
            lane = lane_of(-40, 0.5, 0.1);
            assert_true(fabs(step(&control, &lane, v, 0).steering_rad) <= 0.5);
        }
    }
}

/* On the centre of a steady bend every law keeps the bend's own steering. */
static void keeps_bends(void **state)
{
    (void)state;
    for (int law = SL_LAW_PURE_PURSUIT; law <= SL_LAW_PID; law++) {
        for (int side = -1; side <= 1; side += 2) {
            struct sl_control control = control_of((enum sl_control_law)law);
            double curvature = (double)(float)(side / 40.0);
            struct sl_detection lane = lane_of(0, 0, curvature);
            double own = atan(2.7 * curvature);
            struct sl_control_output out = step(&control, &lane, 8, own);
            assert_true(fabs(out.steering_rad - own) < 1e-6);
            assert_true(fabs(out.lateral_offset_m) < 1e-6);
            assert_true(fabs(out.heading_error_rad) < 1e-6);
        }
    }
}

/* Prediction against small steps of the same motion. */
static void predicts(void **state)
{
    (void)state;
    double offset = 0.3, heading = 0.05;
    sl_control_predict(&offset, &heading, 0.02, 10, 0.1, 2.7, 0.1);
    double fine_offset = 0.3, fine_heading = 0.05;
    for (int i = 0; i < 100000; i++) {
        double along = 10 * cos(fine_heading) / (1 - 0.02 * fine_offset);
        double offset_rate = 10 * sin(fine_heading);
        fine_heading += (10 * tan(0.1) / 2.7 - 0.02 * along) * 1e-6;
        fine_offset += offset_rate * 1e-6;
    }
    assert_true(fabs(offset - fine_offset) < 2e-3);
    assert_true(fabs(heading - fine_heading) < 1e-3);
    /* Turned left and moving: further left with time. */
    offset = heading = 0;
    sl_control_predict(&offset, &heading, 0, 10, 0.1, 2.7, 0.1);
    assert_true(offset > 0 && heading > 0);
    /* Standing: nothing moves. */
    offset = 0.2, heading = 0.1;
    sl_control_predict(&offset, &heading, 0.02, 0, 0.3, 2.7, 1);
    assert_true(offset == 0.2 && heading == 0.1);
}

/* An old detection of a vehicle turned left: it is further left by now. */
static void makes_up_for_age(void **state)
{
    (void)state;
    struct sl_control control = control_of(SL_LAW_PURE_PURSUIT);
    struct sl_detection lane = lane_of(0, 0.1, 0);
    struct sl_control_output out = step(&control, &lane, 10, 0);
    assert_true(fabs(out.age_s - 0.02) < 1e-9);
    /* 20 ms of age and 60 ms of delay at 10 m/s, turned by 0.1 rad */
    assert_true(fabs(out.lateral_offset_m - 0.8 * sin(0.1)) < 1e-3);
    /* From the future: no age, and no prediction over it. */
    sl_control_reset(&control);
    lane.exposed_ns = 5000 * MS;
    out = step(&control, &lane, 10, 0);
    assert_true(out.age_s == 0);
    assert_true(fabs(out.lateral_offset_m - 0.6 * sin(0.1)) < 1e-3);
    /* Ages old: the prediction stops at half a second. */
    sl_control_reset(&control);
    lane.exposed_ns = 1;
    out = step(&control, &lane, 10, 0);
    assert_true(out.age_s > 1);
    assert_true(fabs(out.lateral_offset_m - 5 * sin(0.1)) < 1e-2);
}

static void speed_follows_bends(void **state)
{
    (void)state;
    const struct {
        double curvature, rate, want;
    } cases[] = {
        {0, 0, 10},
        {1 / 40., 0, 10}, /* sqrt(3 x 40) is more */
        {1 / 20., 0, sqrt(60)},
        {-1 / 20., 0, sqrt(60)},
        {3, 0, 2},                          /* speed_min */
        {0, 0.005, sqrt(3 / (0.005 * 15))}, /* 10 m of braking and 5 m ahead */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sl_control control = control_of(SL_LAW_PURE_PURSUIT);
        control.config.actuation_delay_s = 0;
        struct sl_detection lane = lane_of(0, 0, cases[i].curvature);
        lane.curvature_rate_1pm2 = (float)cases[i].rate;
        struct sl_control_input in = {.lane = &lane, .speed_mps = 10, .speed_scale = 1};
        struct sl_control_output out = {0};
        for (int t = 0; t < 400; t++) { /* until the ramp is done */
            in.now_ns = lane.exposed_ns = 1000 * MS + (uint64_t)t * 10 * MS;
            sl_control_step(&control, &in, &out);
        }
        assert_true(fabs(out.speed_mps - cases[i].want) < 0.01);
    }
}

static void speed_ramps(void **state)
{
    (void)state;
    struct sl_control control = control_of(SL_LAW_PURE_PURSUIT);
    struct sl_detection lane = lane_of(0, 0, 0);
    struct sl_control_input in = {
        .now_ns = 1000 * MS, .lane = &lane, .speed_mps = 3, .speed_scale = 1};
    struct sl_control_output out;
    sl_control_step(&control, &in, &out);
    assert_true(out.speed_mps == 3); /* from what it is */
    in.now_ns += 10 * MS;
    sl_control_step(&control, &in, &out);
    assert_true(fabs(out.speed_mps - 3.025) < 1e-12);
    in.now_ns += 60000 * MS; /* a stall counts 0.1 s */
    sl_control_step(&control, &in, &out);
    assert_true(fabs(out.speed_mps - 3.275) < 1e-12);
    in.now_ns -= 1000 * MS; /* backwards counts nothing */
    sl_control_step(&control, &in, &out);
    assert_true(fabs(out.speed_mps - 3.275) < 1e-12);
    in.speed_scale = 0;
    in.now_ns += 10 * MS;
    sl_control_step(&control, &in, &out);
    assert_true(fabs(out.speed_mps - 3.225) < 1e-12);
    in.speed_scale = -5; /* counts as 0 */
    for (int i = 0; i < 100; i++) {
        in.now_ns += 10 * MS;
        sl_control_step(&control, &in, &out);
    }
    assert_true(out.speed_mps == 0);
}

/* Without a lane: speed as it was, less what safety says. */
static void lost_lane_holds_speed(void **state)
{
    (void)state;
    for (int held = 0; held < 2; held++) {
        struct sl_control control = control_of(SL_LAW_STANLEY);
        struct sl_detection lane = lane_of(0.4, 0, 0);
        struct sl_control_input in = {
            .now_ns = 1000 * MS, .lane = &lane, .speed_mps = 6, .speed_scale = 1};
        struct sl_control_output out;
        sl_control_step(&control, &in, &out);
        in.now_ns += 10 * MS;
        sl_control_step(&control, &in, &out);
        double speed = out.speed_mps;
        in.hold = held == 1;
        lane.state = held == 1 ? SL_LANE_TWO_LINES : SL_LANE_LOST;
        for (int i = 0; i < 50; i++) {
            in.now_ns += 10 * MS;
            sl_control_step(&control, &in, &out);
            assert_true(out.speed_mps == speed);
        }
        in.speed_scale = 0.3;
        for (int i = 0; i < 200; i++) {
            in.now_ns += 10 * MS;
            sl_control_step(&control, &in, &out);
        }
        assert_true(fabs(out.speed_mps - 3) < 1e-9); /* of the 10 that the lane allowed */
        in.speed_scale = 1;
        in.now_ns += 10 * MS;
        sl_control_step(&control, &in, &out);
        assert_true(out.speed_mps <= 3 + 1e-9); /* never rising without a lane */
    }
    /* Never a lane: no speed. */
    struct sl_control control = control_of(SL_LAW_PID);
    struct sl_detection lost = {0};
    struct sl_control_output out = step(&control, &lost, 0, 0.1);
    assert_true(out.speed_mps == 0 && out.steering_rad == 0.1);
}

/* The last good lane is followed where it must be by now: wheels that were turned
 * for a correction do not stay so, and a bend that was seen coming is driven. */
static void lost_lane_is_followed(void **state)
{
    (void)state;
    const double speed = 6, dt_s = 0.01, bend_rate = 0.002;
    for (int law = SL_LAW_PURE_PURSUIT; law <= SL_LAW_PID; law++) {
        for (int wrong = 0; wrong < 2; wrong++) {
            struct sl_control control = control_of((enum sl_control_law)law);
            struct sl_detection lane = lane_of(0.5, 0.05, 0.01);
            struct sl_control_input in = {.now_ns = 1000 * MS,
                                          .lane = &lane,
                                          .speed_mps = speed,
                                          .steering_measured = true,
                                          .speed_scale = 1};
            double offset = 0.5, heading = 0.05, curvature = 0.01;
            lane.curvature_rate_1pm2 = (float)bend_rate;
            for (int i = 0; i < 150; i++) {
                struct sl_control_output out;
                sl_control_step(&control, &in, &out);
                sl_control_predict(&offset, &heading, curvature, speed, in.steering_rad,
                                   control.config.wheelbase_m, dt_s);
                in.steering_rad = out.steering_rad;
                in.now_ns += 10 * MS;
                curvature += bend_rate * speed * dt_s;
                if (wrong) /* not to be trusted, and far off */
                    lane = lane_of(-1, 0.5, -0.05);
                lane.state = wrong ? SL_LANE_TWO_LINES : SL_LANE_LOST;
                in.hold = wrong == 1;
            }
            if (!(fabs(offset) < 0.15 && fabs(heading) < 0.05))
                fail_msg("law %d: %.2f m beside the lane, turned by %.3f rad", law, offset,
                         heading);
        }
    }
}

static void not_finite_leaves_no_trace(void **state)
{
    (void)state;
    const float bad[] = {NAN, INFINITY, -INFINITY, 1e30f};
    for (int law = SL_LAW_PURE_PURSUIT; law <= SL_LAW_PID; law++) {
        for (int i = 0; i < 4; i++) {
            for (int field = 0; field < 7; field++) {
                struct sl_control control = control_of((enum sl_control_law)law);
                struct sl_detection lane = lane_of(0.2, 0.01, 0.01);
                step(&control, &lane, 5, 0.05);
                struct sl_control before = control;
                struct sl_control_input in = {.now_ns = 1030 * MS,
                                              .lane = &lane,
                                              .speed_mps = field == 0 ? (double)bad[i] : 5,
                                              .steering_rad = field == 1 ? (double)bad[i] : 0.05,
                                              .speed_scale = field == 2 ? (double)bad[i] : 1};
                if (field == 3)
                    lane.lateral_offset_m = bad[i];
                if (field == 4)
                    lane.heading_error_rad = bad[i];
                if (field == 5)
                    lane.curvature_1pm = bad[i];
                if (field == 6)
                    lane.curvature_rate_1pm2 = bad[i];
                struct sl_control_output out;
                sl_control_step(&control, &in, &out);
                assert_true(isnan(out.steering_rad) && isnan(out.speed_mps));
                assert_memory_equal(&control, &before, sizeof control);
            }
        }
    }
}

/* The integral takes out a lasting error, and is bounded. */
static void pid_integral(void **state)
{
    (void)state;
    struct sl_control control = control_of(SL_LAW_PID);
    struct sl_detection lane = lane_of(0.1, 0, 0);
    struct sl_control_input in = {.lane = &lane, .speed_mps = 5, .speed_scale = 1};
    struct sl_control_output out;
    double first = 0, last = 0;
    for (int t = 0; t < 20000; t++) {
        in.now_ns = lane.exposed_ns = 1000 * MS + (uint64_t)t * 10 * MS;
        sl_control_step(&control, &in, &out);
        if (t == 0)
            first = out.steering_rad;
        last = out.steering_rad;
    }
    assert_true(last < first);
    assert_true(fabs(last - first + 0.05) < 1e-6); /* a tenth of steering_max_rad */
    sl_control_reset(&control);
    sl_control_step(&control, &in, &out);
    assert_true(fabs(out.steering_rad - first) < 1e-9);
    /* Standing it does not learn. */
    sl_control_reset(&control);
    in.speed_mps = 0;
    for (int t = 0; t < 100; t++) {
        in.now_ns += 10 * MS;
        sl_control_step(&control, &in, &out);
    }
    assert_true(control.integral == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_bad_configs),   cmocka_unit_test(steers_back),
        cmocka_unit_test(keeps_bends),           cmocka_unit_test(predicts),
        cmocka_unit_test(makes_up_for_age),      cmocka_unit_test(speed_follows_bends),
        cmocka_unit_test(speed_ramps),           cmocka_unit_test(lost_lane_holds_speed),
        cmocka_unit_test(lost_lane_is_followed), cmocka_unit_test(not_finite_leaves_no_trace),
        cmocka_unit_test(pid_integral),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
