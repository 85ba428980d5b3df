/* Pulses of commands: the formulas at their corners, and what must hold anywhere. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "hal/actuator/pulse.h"
#include "rt/clock.h"

static const struct sl_pulse_config CONFIG = {.steering_max_rad = 0.5,
                                              .speed_max_mps = 10,
                                              .steering_centre_us = 1480,
                                              .steering_left_us = 1900,
                                              .steering_right_us = 1000,
                                              .throttle_neutral_us = 1500,
                                              .throttle_start_us = 1550,
                                              .throttle_end_us = 1750};

#define NEAR(a, b) assert_true(fabs((a) - (b)) < 1e-9)

static void corners_are_as_documented(void **state)
{
    (void)state;
    NEAR(sl_pulse_steering_us(&CONFIG, 0), 1480);
    NEAR(sl_pulse_steering_us(&CONFIG, 0.5), 1900);
    NEAR(sl_pulse_steering_us(&CONFIG, -0.5), 1000);
    NEAR(sl_pulse_steering_us(&CONFIG, 0.25), 1690);
    NEAR(sl_pulse_steering_us(&CONFIG, -0.25), 1240);
    NEAR(sl_pulse_throttle_us(&CONFIG, 0), 1500);
    NEAR(sl_pulse_throttle_us(&CONFIG, 1e-12), 1550);
    NEAR(sl_pulse_throttle_us(&CONFIG, 5), 1650);
    NEAR(sl_pulse_throttle_us(&CONFIG, 10), 1750);
}

static void what_is_not_a_number_is_neutral(void **state)
{
    (void)state;
    const double bad[] = {NAN, INFINITY, -INFINITY};
    struct sl_pulse pulse;
    assert_int_equal(sl_pulse_init(&pulse, &CONFIG, NULL), 0);
    for (size_t i = 0; i < 3; i++) {
        NEAR(sl_pulse_steering_us(&CONFIG, bad[i]), 1480);
        NEAR(sl_pulse_throttle_us(&CONFIG, bad[i]), 1500);
        const struct sl_pulses out = sl_pulse_drive(&pulse, 1 + i, bad[i], bad[i]);
        assert_true(out.steering_rad == 0 && out.speed_mps == 0);
        NEAR(out.throttle_us, 1500);
    }
    NEAR(sl_pulse_throttle_us(&CONFIG, -3), 1500);
}

static double random_between(double a, double b)
{
    return a + (b - a) * (double)rand() / RAND_MAX;
}

/* Any configuration that is taken gives pulses between its ends, rising or falling
 * with what is asked, whichever way servo and ESC turn. */
static void pulses_stay_between_the_ends_and_in_order(void **state)
{
    (void)state;
    int taken = 0;
    srand(1);
    for (int round = 0; round < 20000; round++) {
        struct sl_pulse_config c = {.steering_max_rad = random_between(0.05, 1.2),
                                    .speed_max_mps = random_between(0.05, 40),
                                    .steering_centre_us = random_between(300, 2700),
                                    .steering_left_us = random_between(300, 2700),
                                    .steering_right_us = random_between(300, 2700),
                                    .throttle_neutral_us = random_between(300, 2700),
                                    .throttle_start_us = random_between(300, 2700),
                                    .throttle_end_us = random_between(300, 2700)};
        struct sl_pulse pulse;
        struct sl_error err = {0};
        if (sl_pulse_init(&pulse, &c, &err) != 0) {
            assert_true(strlen(err.text) > 20);
            continue;
        }
        taken++;
        const double low = fmin(c.steering_left_us, c.steering_right_us);
        const double high = fmax(c.steering_left_us, c.steering_right_us);
        const double a = random_between(-2, 2), b = random_between(-2, 2);
        const double at_a = sl_pulse_steering_us(&c, a), at_b = sl_pulse_steering_us(&c, b);
        assert_true(at_a >= low - 1e-9 && at_a <= high + 1e-9);
        const double turn = c.steering_left_us > c.steering_right_us ? 1 : -1;
        assert_true(turn * (at_a - at_b) * (a - b) >= 0);
        const double v = random_between(0, 60), w = random_between(0, 60);
        const double at_v = sl_pulse_throttle_us(&c, v), at_w = sl_pulse_throttle_us(&c, w);
        const double push = c.throttle_end_us > c.throttle_neutral_us ? 1 : -1;
        assert_true(push * (at_v - c.throttle_start_us) >= 0);
        assert_true(push * (c.throttle_end_us - at_v) >= -1e-9);
        assert_true(push * (at_v - at_w) * (v - w) >= 0);
    }
    assert_true(taken > 500);
}

static void wrong_ends_are_refused_with_a_sentence(void **state)
{
    (void)state;
    const struct {
        size_t offset;
        double value;
        const char *word;
    } wrong[] = {
        {offsetof(struct sl_pulse_config, steering_centre_us), 1900, "between its left end"},
        {offsetof(struct sl_pulse_config, steering_centre_us), 950, "between its left end"},
        {offsetof(struct sl_pulse_config, steering_left_us), 2601, "400 to 2600"},
        {offsetof(struct sl_pulse_config, steering_right_us), NAN, "right end"},
        {offsetof(struct sl_pulse_config, throttle_start_us), 1450, "between neutral"},
        {offsetof(struct sl_pulse_config, throttle_start_us), 1750, "between neutral"},
        {offsetof(struct sl_pulse_config, throttle_end_us), 1500, "between neutral"},
        {offsetof(struct sl_pulse_config, throttle_brake_us), 1600, "brake"},
        {offsetof(struct sl_pulse_config, throttle_brake_us), 100, "brake"},
        {offsetof(struct sl_pulse_config, steering_rate_usps), -1, "rate"},
        {offsetof(struct sl_pulse_config, steering_rate_usps), INFINITY, "rate"},
        {offsetof(struct sl_pulse_config, brake_ms), NAN, "brake"},
        {offsetof(struct sl_pulse_config, steering_max_rad), 0, "largest angle"},
        {offsetof(struct sl_pulse_config, speed_max_mps), NAN, "largest angle"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct sl_pulse_config c = CONFIG;
        struct sl_pulse pulse;
        struct sl_error err = {0};
        memcpy((char *)&c + wrong[i].offset, &wrong[i].value, sizeof(double));
        assert_int_equal(sl_pulse_init(&pulse, &c, &err), -EINVAL);
        if (strstr(err.text, wrong[i].word) == NULL)
            fail_msg("\"%s\" instead of ..%s..", err.text, wrong[i].word);
    }
}

static void the_servo_moves_no_faster_than_its_rate(void **state)
{
    (void)state;
    struct sl_pulse_config c = CONFIG;
    struct sl_pulse pulse;
    uint64_t now_ns = SL_NS_PER_S;
    c.steering_rate_usps = 1000;
    assert_int_equal(sl_pulse_init(&pulse, &c, NULL), 0);
    NEAR(sl_pulse_drive(&pulse, now_ns, 0.5, 0).steering_us, 1480); /* begins at the centre */
    double last_us = 1480;
    srand(2);
    for (int i = 0; i < 2000; i++) {
        const uint64_t step_ns = (uint64_t)random_between(0, 30e6);
        now_ns += step_ns;
        const double us = sl_pulse_drive(&pulse, now_ns, random_between(-0.5, 0.5), 1).steering_us;
        assert_true(fabs(us - last_us) <= 1000 * (double)step_ns / 1e9 + 1e-9);
        last_us = us;
    }
    sl_pulse_drive(&pulse, now_ns += SL_NS_PER_S, 0.5, 1);
    NEAR(sl_pulse_drive(&pulse, now_ns, 0.5, 1).steering_us, 1900); /* and arrives */
    NEAR(sl_pulse_neutral(&pulse, now_ns).steering_us, 1480);       /* safe is at once */
    NEAR(sl_pulse_drive(&pulse, now_ns, 0.5, 1).steering_us, 1480);
}

static void the_brake_is_short_and_only_after_driving(void **state)
{
    (void)state;
    struct sl_pulse_config c = CONFIG;
    struct sl_pulse pulse;
    c.throttle_brake_us = 1300;
    c.brake_ms = 200;
    assert_int_equal(sl_pulse_init(&pulse, &c, NULL), 0);
    const uint64_t ms = SL_NS_PER_MS;
    NEAR(sl_pulse_drive(&pulse, 10 * ms, 0, 0).throttle_us, 1500);
    NEAR(sl_pulse_drive(&pulse, 20 * ms, 0, 5).throttle_us, 1650);
    NEAR(sl_pulse_drive(&pulse, 30 * ms, 0, 0).throttle_us, 1300);
    NEAR(sl_pulse_drive(&pulse, 229 * ms, 0, 0).throttle_us, 1300);
    NEAR(sl_pulse_drive(&pulse, 230 * ms, 0, 0).throttle_us, 1500);
    NEAR(sl_pulse_drive(&pulse, 240 * ms, 0, 0).throttle_us, 1500); /* else it would reverse */
    NEAR(sl_pulse_drive(&pulse, 250 * ms, 0, 5).throttle_us, 1650);
    NEAR(sl_pulse_neutral(&pulse, 260 * ms).throttle_us, 1500);
    NEAR(sl_pulse_drive(&pulse, 270 * ms, 0, 0).throttle_us, 1500); /* neutral ended it */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(corners_are_as_documented),
        cmocka_unit_test(what_is_not_a_number_is_neutral),
        cmocka_unit_test(pulses_stay_between_the_ends_and_in_order),
        cmocka_unit_test(wrong_ends_are_refused_with_a_sentence),
        cmocka_unit_test(the_servo_moves_no_faster_than_its_rate),
        cmocka_unit_test(the_brake_is_short_and_only_after_driving),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
