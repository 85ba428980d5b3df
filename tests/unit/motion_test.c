/* How the vehicle moved, from what measures it. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "app/detect/motion.h"

#define MS    UINT64_C(1000000)
#define START (5000 * MS)

static const struct sl_motion_config ROLLS = {.wheelbase_m = 2.7};

static struct sl_odometry measured(uint64_t at_ns, double speed_mps, double yaw_rate_radps)
{
    return (struct sl_odometry){.measured_ns = at_ns,
                                .speed_mps = (float)speed_mps,
                                .yaw_rate_radps = (float)yaw_rate_radps,
                                .valid = SL_ODOMETRY_SPEED | SL_ODOMETRY_YAW_RATE};
}

static void add(struct sl_motion *m, uint64_t at_ns, double speed_mps, double yaw_rate_radps)
{
    const struct sl_odometry odometry = measured(at_ns, speed_mps, yaw_rate_radps);
    sl_motion_add(m, &odometry, (double)NAN);
}

static void near(double a, double b, double most)
{
    if (!(fabs(a - b) <= most))
        fail_msg("%g is not %g", a, b);
}

/* Speed and yaw rate that change steadily: exact, wherever the ends lie. */
static void adds_up_what_was_measured(void **unused)
{
    (void)unused;
    struct sl_motion m;
    struct sl_detect_motion moved;
    sl_motion_init(&m, &ROLLS);
    for (int i = 0; i <= 20; i++) /* every 10 ms; 5 m/s^2, 2 rad/s^2 */
        add(&m, START + (uint64_t)i * 10 * MS, 3 + 0.05 * i, 0.02 * i);
    for (uint64_t from = 0; from < 100; from += 7)
        for (uint64_t to = from + 1; to <= 200; to += 13) {
            const double a = 1e-3 * (double)from, b = 1e-3 * (double)to;
            assert_true(sl_motion_between(&m, START + from * MS, START + to * MS, &moved));
            near(moved.ahead_m, 3 * (b - a) + 2.5 * (b * b - a * a), 1e-6);
            near(moved.turned_rad, b * b - a * a, 1e-6);
            near(moved.aside_m, 0, 0);
            assert_true(moved.ahead_sd_m > 0 && moved.ahead_sd_m < 0.05 * moved.ahead_m);
            assert_true(moved.turned_sd_rad > 0 && moved.turned_sd_rad < 0.05 * (b - a));
        }
}

/* Only the newest are kept: as much as a frame needs. */
static void keeps_the_newest(void **unused)
{
    (void)unused;
    struct sl_motion m;
    struct sl_detect_motion moved;
    sl_motion_init(&m, &ROLLS);
    for (uint64_t i = 0; i <= 1000; i++)
        add(&m, START + i * MS, 1e-3 * (double)i, 0);
    assert_true(sl_motion_between(&m, START + 950 * MS, START + 1000 * MS, &moved));
    near(moved.ahead_m, 0.5 * (1 - 0.95 * 0.95), 1e-6);
    assert_false(sl_motion_between(&m, START + 800 * MS, START + 1000 * MS, &moved));
}

/* A gap of a tenth of a second is bridged, a longer one is not. */
static void knows_what_it_does_not_know(void **unused)
{
    (void)unused;
    struct sl_motion m;
    struct sl_detect_motion moved = {.ahead_m = 7};
    sl_motion_init(&m, &ROLLS);
    assert_false(sl_motion_between(&m, START, START + MS, &moved));
    add(&m, START, 2, 0.5);
    assert_true(sl_motion_between(&m, START - 90 * MS, START + 90 * MS, &moved));
    near(moved.ahead_m, 0.36, 1e-6);
    near(moved.turned_rad, 0.09, 1e-6);
    moved.ahead_m = 7;
    assert_false(sl_motion_between(&m, START - 110 * MS, START, &moved));
    assert_false(sl_motion_between(&m, START, START + 110 * MS, &moved));
    assert_false(sl_motion_between(&m, START, START, &moved));
    assert_false(sl_motion_between(&m, START + MS, START, &moved));
    for (uint64_t i = 1; i <= 30; i++)
        add(&m, START + i * 50 * MS, 2, 0);
    assert_false(sl_motion_between(&m, START + 100 * MS, START + 1200 * MS, &moved));
    near(moved.ahead_m, 7, 0);
}

static void passes_over_what_cannot_be(void **unused)
{
    (void)unused;
    struct sl_motion m;
    struct sl_detect_motion moved;
    sl_motion_init(&m, &ROLLS);
    add(&m, START, (double)NAN, 0);
    add(&m, START, 1, (double)INFINITY);
    struct sl_odometry odometry = measured(START, 1, 0);
    odometry.valid = SL_ODOMETRY_YAW_RATE;
    sl_motion_add(&m, &odometry, 0);
    assert_false(sl_motion_between(&m, START, START + MS, &moved));
    add(&m, START, 1, 0);
    add(&m, START, 50, 0); /* the same time again */
    assert_true(sl_motion_between(&m, START, START + 10 * MS, &moved));
    near(moved.ahead_m, 0.01, 1e-6);
}

/* A simulator that is started again, and a time that cannot be. */
static void begins_anew_with_another_clock(void **unused)
{
    (void)unused;
    struct sl_motion m;
    struct sl_detect_motion moved;
    sl_motion_init(&m, &ROLLS);
    for (uint64_t i = 0; i < 10; i++)
        add(&m, 2 * START + i * 10 * MS, 7, 0);
    add(&m, UINT64_MAX, 7, 0);
    for (uint64_t i = 0; i < 10; i++)
        add(&m, START + i * 10 * MS, 1, 0);
    assert_true(sl_motion_between(&m, START, START + 90 * MS, &moved));
    near(moved.ahead_m, 0.09, 1e-6);
    assert_false(sl_motion_between(&m, 2 * START, 2 * START + 90 * MS, &moved));
}

/* Without a gyroscope: by steering, measured or asked for, as far as tyres grip. */
static void turns_by_its_steering(void **unused)
{
    (void)unused;
    const struct sl_motion_config tyres = {.wheelbase_m = 2.7, .understeer_rads2pm = 0.002};
    for (int measures = 0; measures < 2; measures++) {
        struct sl_motion m;
        struct sl_detect_motion moved, by_gyroscope;
        sl_motion_init(&m, &tyres);
        add(&m, START, 6, 0.4);
        assert_true(sl_motion_between(&m, START, START + 50 * MS, &by_gyroscope));
        sl_motion_init(&m, &tyres);
        struct sl_odometry odometry = {
            .measured_ns = START, .speed_mps = 6, .valid = SL_ODOMETRY_SPEED};
        odometry.steering_rad = measures ? 0.2f : 3;
        odometry.valid |= measures ? SL_ODOMETRY_STEERING : 0;
        sl_motion_add(&m, &odometry, (double)NAN);
        assert_int_equal(sl_motion_between(&m, START, START + 50 * MS, &moved), measures);
        odometry.measured_ns++;
        sl_motion_add(&m, &odometry, measures ? -0.4 : 0.2);
        assert_true(sl_motion_between(&m, START, START + 50 * MS, &moved));
        near(moved.turned_rad, 0.05 * 6 * tan(0.2) / (2.7 + 0.002 * 36), 1e-6);
        assert_true(moved.turned_sd_rad > 2 * by_gyroscope.turned_sd_rad);
    }
}

/* In a bend the rear axle moves outwards of where the vehicle points. */
static void slips_in_bends(void **unused)
{
    (void)unused;
    struct sl_motion_config tyres = ROLLS;
    tyres.rear_slip_rads2pm = 0.009;
    struct sl_motion m;
    struct sl_detect_motion moved;
    sl_motion_init(&m, &tyres);
    add(&m, START, 8, 0.5);
    assert_true(sl_motion_between(&m, START, START + 100 * MS, &moved));
    near(moved.aside_m, -0.009 * 4 * 0.8, 1e-6);
    assert_true(moved.aside_sd_m > 0.1 * 0.0288 && moved.aside_sd_m < 0.0288);
    m.config.rear_slip_rads2pm = 0; /* as a live setting may */
    assert_true(sl_motion_between(&m, START, START + 100 * MS, &moved));
    near(moved.aside_m, 0, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(adds_up_what_was_measured),
        cmocka_unit_test(keeps_the_newest),
        cmocka_unit_test(knows_what_it_does_not_know),
        cmocka_unit_test(passes_over_what_cannot_be),
        cmocka_unit_test(turns_by_its_steering),
        cmocka_unit_test(slips_in_bends),
        cmocka_unit_test(begins_anew_with_another_clock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
