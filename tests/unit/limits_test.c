/* The last gate before the actuator, case by case and under hostile input. */
#include <errno.h>
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "app/control/limits.h"

#define MS UINT64_C(1000000)

static const struct sl_limits_config CONFIG = {
    .steering_max_rad = 0.5,
    .steering_rate_max_radps = 1.0,
    .speed_max_mps = 10,
    .accel_max_mps2 = 2,
    .decel_max_mps2 = 5,
    .fresh_ms = 100,
};

static struct sl_limits fresh_limits(void)
{
    struct sl_limits limits;
    struct sl_error err = {0};
    assert_int_equal(sl_limits_init(&limits, &CONFIG, &err), 0);
    return limits;
}

static void near_to(double got, double want)
{
    if (!(fabs(got - want) <= 1e-12))
        fail_msg("got %.17g, want %.17g", got, want);
}

static struct sl_limited apply(struct sl_limits *limits, uint64_t now_ns, double steering,
                               double speed)
{
    struct sl_wish wish = {.decided_ns = now_ns, .steering_rad = steering, .speed_mps = speed};
    struct sl_limited out;
    sl_limits_apply(limits, now_ns, &wish, &out);
    return out;
}

/* At this state, with the clock at 1 s. */
static struct sl_limits moving(double steering, double speed)
{
    struct sl_limits limits = fresh_limits();
    apply(&limits, 1000 * MS, 0, 0);
    limits.steering_rad = steering;
    limits.speed_mps = speed;
    return limits;
}

static void refuses_bad_configs(void **state)
{
    (void)state;
    const double bad[] = {0, -1, NAN, INFINITY, -INFINITY, 1e30};
    for (size_t field = 0; field < 6; field++) {
        for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
            struct sl_limits_config config = CONFIG;
            double *fields[] = {&config.steering_max_rad, &config.steering_rate_max_radps,
                                &config.speed_max_mps,    &config.accel_max_mps2,
                                &config.decel_max_mps2,   &config.fresh_ms};
            static const char *const NAMES[] = {"steering_max_rad", "steering_rate_max_radps",
                                                "speed_max_mps",    "accel_max_mps2",
                                                "decel_max_mps2",   "fresh_ms"};
            *fields[field] = bad[i];
            struct sl_limits limits;
            struct sl_error err = {0};
            assert_int_equal(sl_limits_init(&limits, &config, &err), -EINVAL);
            assert_non_null(strstr(err.text, NAMES[field]));
        }
    }
}

static void starts_at_rest(void **state)
{
    (void)state;
    struct sl_limits limits = fresh_limits();
    struct sl_limited out = apply(&limits, 5000 * MS, 0.3, 8);
    near_to(out.steering_rad, 0);
    near_to(out.speed_mps, 0);
    assert_int_equal(out.hit, SL_LIMIT_STEERING_RATE | SL_LIMIT_ACCEL);
    out = apply(&limits, 5010 * MS, 0.3, 8);
    near_to(out.steering_rad, 0.01);
    near_to(out.speed_mps, 0.02);

    /* Time may begin at 0. */
    limits = fresh_limits();
    apply(&limits, 0, 0, 0);
    out = apply(&limits, 10 * MS, 0.3, 8);
    near_to(out.steering_rad, 0.01);
}

static void passes_what_is_within(void **state)
{
    (void)state;
    struct sl_limits limits = moving(0.1, 5);
    struct sl_limited out = apply(&limits, 1010 * MS, 0.105, 5.01);
    near_to(out.steering_rad, 0.105);
    near_to(out.speed_mps, 5.01);
    assert_int_equal(out.hit, 0);
    /* Exactly at the limits is within. */
    limits = moving(0.5, 10);
    out = apply(&limits, 1010 * MS, 0.5, 10);
    near_to(out.steering_rad, 0.5);
    near_to(out.speed_mps, 10);
    assert_int_equal(out.hit, 0);
}

static void cuts_each(void **state)
{
    (void)state;
    const struct {
        double steering_before, speed_before, steering, speed;
        double steering_out, speed_out;
        uint32_t hit;
    } cases[] = {
        {0.499, 5, 0.9, 5, 0.5, 5, SL_LIMIT_STEERING},
        {-0.499, 5, -0.9, 5, -0.5, 5, SL_LIMIT_STEERING},
        {0, 5, 0.4, 5, 0.01, 5, SL_LIMIT_STEERING_RATE},
        {0, 5, -0.4, 5, -0.01, 5, SL_LIMIT_STEERING_RATE},
        {0, 5, 0.9, 5, 0.01, 5, SL_LIMIT_STEERING | SL_LIMIT_STEERING_RATE},
        {0, 9.99, 0, 12, 0, 10, SL_LIMIT_SPEED},
        {0, 0.01, 0, -3, 0, 0, SL_LIMIT_SPEED},
        {0, 5, 0, 7, 0, 5.02, SL_LIMIT_ACCEL},
        {0, 5, 0, 2, 0, 4.95, SL_LIMIT_ACCEL},
        {0, 5, 0, -2, 0, 4.95, SL_LIMIT_ACCEL | SL_LIMIT_SPEED},
        {0, 0.03, 0, 0, 0, 0, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sl_limits limits = moving(cases[i].steering_before, cases[i].speed_before);
        struct sl_limited out = apply(&limits, 1010 * MS, cases[i].steering, cases[i].speed);
        near_to(out.steering_rad, cases[i].steering_out);
        near_to(out.speed_mps, cases[i].speed_out);
        assert_int_equal(out.hit, cases[i].hit);
    }
}

static void not_finite_slows_down(void **state)
{
    (void)state;
    const double bad[] = {NAN, INFINITY, -INFINITY};
    for (int i = 0; i < 3; i++) {
        for (int which = 1; which <= 3; which++) {
            struct sl_limits limits = moving(0.2, 5);
            struct sl_limited out =
                apply(&limits, 1010 * MS, which & 1 ? bad[i] : 0.21, which & 2 ? bad[i] : 5);
            near_to(out.steering_rad, 0.2);
            near_to(out.speed_mps, 4.95);
            assert_true(out.hit & SL_LIMIT_NOT_FINITE);
            assert_false(out.hit & SL_LIMIT_STALE);
        }
    }
}

static void stale_slows_down(void **state)
{
    (void)state;
    const struct {
        int64_t decided_before_now_ns;
        bool stale;
    } cases[] = {{0, false},
                 {(int64_t)(100 * MS), false},
                 {(int64_t)(100 * MS) + 1, true},
                 {(int64_t)(1000 * MS), true},
                 {-(int64_t)(100 * MS), false},
                 {-(int64_t)(100 * MS) - 1, true}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sl_limits limits = moving(0.2, 5);
        uint64_t now_ns = 1010 * MS;
        struct sl_wish wish = {.decided_ns = now_ns - (uint64_t)cases[i].decided_before_now_ns,
                               .steering_rad = 0.205,
                               .speed_mps = 5};
        struct sl_limited out;
        sl_limits_apply(&limits, now_ns, &wish, &out);
        assert_int_equal((out.hit & SL_LIMIT_STALE) != 0, cases[i].stale);
        near_to(out.steering_rad, cases[i].stale ? 0.2 : 0.205);
        near_to(out.speed_mps, cases[i].stale ? 4.95 : 5);
    }
}

static void neutral_stops(void **state)
{
    (void)state;
    struct sl_limits limits = moving(0.2, 5);
    struct sl_limited out;
    uint64_t now_ns = 1000 * MS;
    for (int i = 1; i <= 100; i++) {
        now_ns += 10 * MS;
        struct sl_wish wish = {
            .decided_ns = now_ns, .steering_rad = 0.195, .speed_mps = 9, .neutral = true};
        sl_limits_apply(&limits, now_ns, &wish, &out);
        near_to(out.steering_rad, 0.195);
        assert_true(fabs(out.speed_mps - (5 - 0.05 * i)) < 1e-9);
    }
    assert_true(out.speed_mps < 1e-9);
}

static void time_is_not_trusted(void **state)
{
    (void)state;
    /* A long stall counts 100 ms, not more. */
    struct sl_limits limits = moving(0, 5);
    struct sl_limited out = apply(&limits, 60000 * MS, 0.4, 9);
    near_to(out.steering_rad, 0.1);
    near_to(out.speed_mps, 5.2);
    /* Backwards: nothing moves, then time counts from there. */
    out = apply(&limits, 1000 * MS, 0.4, 9);
    near_to(out.steering_rad, 0.1);
    near_to(out.speed_mps, 5.2);
    out = apply(&limits, 1010 * MS, 0.4, 9);
    near_to(out.steering_rad, 0.11);
    near_to(out.speed_mps, 5.22);
    /* Standing still: nothing moves. */
    out = apply(&limits, 1010 * MS, 0.4, 9);
    near_to(out.steering_rad, 0.11);
    near_to(out.speed_mps, 5.22);
}

static uint64_t seed = 88172645463325252u;

static uint64_t random_u64(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

static double hostile(double usual)
{
    switch (random_u64() % 12) {
    case 0:
        return NAN;
    case 1:
        return INFINITY;
    case 2:
        return -INFINITY;
    case 3:
        return DBL_MAX;
    case 4:
        return -DBL_MAX;
    case 5:
        return DBL_MIN / 4;
    case 6:
        return -0.0;
    default:
        return ((double)(random_u64() % 2000001) / 1e6 - 1) * usual;
    }
}

static void holds_under_hostile_input(void **state)
{
    (void)state;
    struct sl_limits limits = fresh_limits();
    uint64_t now_ns = 1000 * MS;
    double steering = 0, speed = 0;
    for (int i = 0; i < 300000; i++) {
        uint64_t before_ns = now_ns;
        switch (random_u64() % 16) {
        case 0:
            now_ns = random_u64();
            break;
        case 1:
            now_ns = now_ns > 50 * MS ? now_ns - random_u64() % (50 * MS) : now_ns;
            break;
        case 2:
            now_ns += random_u64() % (2000 * MS);
            break;
        default:
            now_ns += random_u64() % (20 * MS);
            break;
        }
        struct sl_wish wish = {.decided_ns = now_ns,
                               .steering_rad = hostile(1),
                               .speed_mps = hostile(20),
                               .neutral = random_u64() % 8 == 0};
        if (random_u64() % 8 == 0)
            wish.decided_ns = random_u64() % 2 ? random_u64() : now_ns - random_u64() % (300 * MS);
        struct sl_limited out;
        sl_limits_apply(&limits, now_ns, &wish, &out);

        double dt = i > 0 && now_ns > before_ns ? (double)(now_ns - before_ns) * 1e-9 : 0;
        dt = dt < 0.1 ? dt : 0.1;
        assert_true(isfinite(out.steering_rad) && isfinite(out.speed_mps));
        assert_true(fabs(out.steering_rad) <= CONFIG.steering_max_rad);
        assert_true(out.speed_mps >= 0 && out.speed_mps <= CONFIG.speed_max_mps);
        assert_true(fabs(out.steering_rad - steering) <=
                    CONFIG.steering_rate_max_radps * dt + 1e-12);
        assert_true(out.speed_mps - speed <= CONFIG.accel_max_mps2 * dt + 1e-12);
        assert_true(speed - out.speed_mps <= CONFIG.decel_max_mps2 * dt + 1e-12);

        bool usable = isfinite(wish.steering_rad) && isfinite(wish.speed_mps);
        uint64_t apart =
            now_ns > wish.decided_ns ? now_ns - wish.decided_ns : wish.decided_ns - now_ns;
        bool stale = apart > 101 * MS;
        if (!usable || stale || wish.neutral) {
            double slower = speed - CONFIG.decel_max_mps2 * dt;
            assert_true(fabs(out.speed_mps - (slower > 0 ? slower : 0)) <= 1e-12);
        }
        if (!usable || stale)
            assert_true(out.steering_rad == steering);
        assert_int_equal(!usable, (out.hit & SL_LIMIT_NOT_FINITE) != 0);
        steering = out.steering_rad;
        speed = out.speed_mps;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_bad_configs),
        cmocka_unit_test(starts_at_rest),
        cmocka_unit_test(passes_what_is_within),
        cmocka_unit_test(cuts_each),
        cmocka_unit_test(not_finite_slows_down),
        cmocka_unit_test(stale_slows_down),
        cmocka_unit_test(neutral_stops),
        cmocka_unit_test(time_is_not_trusted),
        cmocka_unit_test(holds_under_hostile_input),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
