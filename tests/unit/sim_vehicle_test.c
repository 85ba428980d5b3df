/* The vehicle model against the formulas that it must obey. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <math.h>
#include <string.h>

#include "tools/sim/vehicle.h"

#define MS UINT64_C(1000000)

static void settle(struct sl_vehicle *v, double seconds, double steering, double speed)
{
    for (int i = 0; i < (int)(seconds * 100); i++)
        sl_vehicle_step(v, 10 * MS, steering, speed);
}

/* Steady cornering: steering = wheelbase * curvature + gradient * lateral
 * acceleration (Rajamani, section 3.3), at accelerations where tyres are
 * linear; full size and 1:10. */
static void corners_as_the_understeer_formula_says(void **state)
{
    (void)state;
    const double wheelbases[] = {2.7, 0.27};
    for (int i = 0; i < 2; i++) {
        struct sl_vehicle_parameters p;
        sl_vehicle_parameters_for_wheelbase(&p, wheelbases[i]);
        double scale = wheelbases[i] / 2.7;
        for (double speed = 6; speed <= 14; speed += 4) {
            for (double accel = -1.5; accel <= 1.5; accel += 1.0) {
                double v_mps = speed * sqrt(scale);
                double curvature = accel / (v_mps * v_mps);
                double steering = wheelbases[i] * curvature + sl_vehicle_understeer(&p) * accel;
                struct sl_vehicle v;
                sl_vehicle_init(&v, &p, 0, 0, 0);
                settle(&v, 12, steering, v_mps);
                double got = v.state.yaw_rate_radps / v.state.speed_mps;
                if (fabs(got / curvature - 1) > 0.03)
                    fail_msg("wheelbase %g, %g m/s, %g m/s^2: curvature %g instead of %g",
                             wheelbases[i], v_mps, accel, got, curvature);
            }
        }
        assert_true(sl_vehicle_understeer(&p) > 0);
    }
}

/* Slowly, the rear axle's middle drives circles of wheelbase / tan(steering). */
static void is_kinematic_when_slow(void **state)
{
    (void)state;
    struct sl_vehicle_parameters p;
    sl_vehicle_parameters_for_wheelbase(&p, 2.7);
    struct sl_vehicle v;
    sl_vehicle_init(&v, &p, 3, 4, 0.5);
    settle(&v, 5, 0.3, 1.0);
    double radius = 2.7 / tan(0.3);
    double cx = v.state.x_m - radius * sin(v.state.yaw_rad);
    double cy = v.state.y_m + radius * cos(v.state.yaw_rad);
    for (int i = 0; i < 2000; i++) {
        sl_vehicle_step(&v, 10 * MS, 0.3, 1.0);
        double d = hypot(v.state.x_m - cx, v.state.y_m - cy);
        assert_true(fabs(d - radius) < 1e-3);
    }
}

static void drives_straight_and_stands(void **state)
{
    (void)state;
    struct sl_vehicle_parameters p;
    sl_vehicle_parameters_for_wheelbase(&p, 2.7);
    struct sl_vehicle v;
    sl_vehicle_init(&v, &p, 0, 0, 0);
    settle(&v, 2, 0.4, 0);
    assert_true(v.state.x_m == 0 && v.state.y_m == 0 && v.state.yaw_rad == 0);
    settle(&v, 2, 0, 0);
    settle(&v, 10, 0, 10);
    assert_true(fabs(v.state.speed_mps - 10) < 0.01);
    assert_true(fabs(v.state.y_m) < 0.05);
    settle(&v, 10, 0, 0);
    assert_true(v.state.speed_mps < 1e-3);
}

static void keeps_its_limits(void **state)
{
    (void)state;
    struct sl_vehicle_parameters p;
    sl_vehicle_parameters_for_wheelbase(&p, 2.7);
    p.steering_delay_s = 0.050;
    p.steering_lag_s = 0.001;
    struct sl_vehicle v;
    sl_vehicle_init(&v, &p, 0, 0, 0);
    double last = 0, speed = 0;
    for (int ms = 0; ms < 3000; ms++) {
        sl_vehicle_step(&v, MS, 10, 1000);
        if (ms < 50)
            assert_true(v.state.steering_rad == 0);
        assert_true(v.state.steering_rad - last <= p.steering_rate_radps * 0.001 + 1e-12);
        assert_true(v.state.speed_mps - speed <= p.accel_max_mps2 * 0.001 + 1e-12);
        last = v.state.steering_rad;
        speed = v.state.speed_mps;
    }
    assert_true(fabs(last - p.steering_max_rad) < 1e-6);
    /* Too fast for the curve, it slides, but stays finite and within friction. */
    settle(&v, 20, 10, 1000);
    assert_true(v.state.speed_mps <= p.speed_max_mps + 1e-9);
    assert_true(isfinite(v.state.x_m) && isfinite(v.state.yaw_rate_radps));
    assert_true(fabs(v.state.yaw_rate_radps) * v.state.speed_mps < p.friction * 9.81 * 1.05);
    for (int ms = 0; ms < 3000; ms++) {
        speed = v.state.speed_mps;
        sl_vehicle_step(&v, MS, 0, 0);
        assert_true(speed - v.state.speed_mps <= p.decel_max_mps2 * 0.001 + 1e-12);
        assert_true(v.state.speed_mps >= 0);
    }
}

static void takes_nonsense_for_neutral(void **state)
{
    (void)state;
    struct sl_vehicle_parameters p;
    sl_vehicle_parameters_for_wheelbase(&p, 2.7);
    struct sl_vehicle v;
    sl_vehicle_init(&v, &p, 0, 0, 0);
    settle(&v, 5, 0, 8);
    settle(&v, 5, NAN, 8);
    assert_true(v.state.speed_mps < 1e-3);
    settle(&v, 5, 0.1, INFINITY);
    assert_true(v.state.speed_mps < 1e-3);
    settle(&v, 5, 0, -3);
    assert_true(v.state.speed_mps == 0 || v.state.speed_mps < 1e-3);
}

/* However time is cut, the drive is the same up to the size of the step. */
static void steps_add_up(void **state)
{
    (void)state;
    struct sl_vehicle_parameters p;
    sl_vehicle_parameters_for_wheelbase(&p, 2.7);
    struct sl_vehicle a, b;
    sl_vehicle_init(&a, &p, 0, 0, 0);
    sl_vehicle_init(&b, &p, 0, 0, 0);
    for (int i = 0; i < 500; i++) {
        sl_vehicle_step(&a, 10 * MS, 0.05, 8);
        for (int k = 0; k < 10; k++)
            sl_vehicle_step(&b, MS, 0.05, 8);
    }
    assert_true(a.time_ns == b.time_ns);
    assert_memory_equal(&a.state, &b.state, sizeof a.state);
    sl_vehicle_step(&a, 0, 0.05, 8);
    assert_memory_equal(&a.state, &b.state, sizeof a.state);
    /* Steps far below a millisecond fill the queue of delayed commands. */
    for (int i = 0; i < 5000; i++)
        sl_vehicle_step(&a, 1000, 0.05, 8);
    for (int k = 0; k < 5; k++)
        sl_vehicle_step(&b, MS, 0.05, 8);
    assert_true(fabs(a.state.x_m - b.state.x_m) < 1e-3);
}

static void checks_parameters(void **state)
{
    (void)state;
    struct sl_vehicle_parameters p;
    struct sl_error err = {""};
    sl_vehicle_parameters_for_wheelbase(&p, 2.7);
    assert_int_equal(sl_vehicle_parameters_check(&p, &err), 0);
    p.friction = NAN;
    assert_int_equal(sl_vehicle_parameters_check(&p, &err), -EINVAL);
    assert_non_null(strstr(err.text, "friction"));
    sl_vehicle_parameters_for_wheelbase(&p, 2.7);
    p.steering_delay_s = 0.6;
    assert_int_equal(sl_vehicle_parameters_check(&p, &err), -EINVAL);
    assert_non_null(strstr(err.text, "steering_delay_s"));
    sl_vehicle_parameters_for_wheelbase(&p, 0.01);
    assert_int_equal(sl_vehicle_parameters_check(&p, &err), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(corners_as_the_understeer_formula_says),
        cmocka_unit_test(is_kinematic_when_slow),
        cmocka_unit_test(drives_straight_and_stands),
        cmocka_unit_test(keeps_its_limits),
        cmocka_unit_test(takes_nonsense_for_neutral),
        cmocka_unit_test(steps_add_up),
        cmocka_unit_test(checks_parameters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
