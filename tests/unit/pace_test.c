/* What is sent follows what the best-placed viewer says. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "net/pace.h"

#define MS UINT64_C(1000000)

static const struct sl_pace_config CONFIG = {.rate_max_hz = 30, .quality_max = 80};

/* Frames that a camera of so many a second may send in `seconds`, with reports of
 * these ages five times a second (below 0: none). */
static int sent(struct sl_pace *pace, uint64_t *now_ns, double camera_hz, double seconds,
                double age_ms, double other_age_ms)
{
    int count = 0;
    const int frames = (int)(camera_hz * seconds);
    for (int i = 0; i < frames; i++) {
        *now_ns += (uint64_t)(1e9 / camera_hz);
        if (i % (int)(camera_hz / 5) == 0 && age_ms >= 0) {
            sl_pace_report(pace, age_ms);
            sl_pace_report(pace, other_age_ms);
        }
        count += sl_pace_allows(pace, *now_ns);
    }
    return count;
}

static void keeps_the_rate(void **state)
{
    (void)state;
    const double cameras_hz[] = {60, 30, 30.5, 50, 10};
    for (size_t i = 0; i < sizeof cameras_hz / sizeof cameras_hz[0]; i++) {
        struct sl_pace pace;
        uint64_t now_ns = 1000 * MS;
        sl_pace_init(&pace, &CONFIG);
        const double expected = 10 * fmin(30, cameras_hz[i]);
        const int count = sent(&pace, &now_ns, cameras_hz[i], 10, -1, -1);
        if (abs(count - (int)expected) > 6)
            fail_msg("%g Hz: %d frames in 10 s", cameras_hz[i], count);
        assert_int_equal(sl_pace_quality(&pace), 80);
    }
}

static void falls_and_recovers(void **state)
{
    (void)state;
    struct sl_pace pace;
    uint64_t now_ns = 1000 * MS;
    sl_pace_init(&pace, &CONFIG);
    const int before = sent(&pace, &now_ns, 60, 5, 50, 60);
    sent(&pace, &now_ns, 60, 10, 400, 500);
    const int slow = sent(&pace, &now_ns, 60, 5, 400, 500);
    assert_true(slow <= before / 5 && slow >= 5);
    assert_int_equal(sl_pace_quality(&pace), 40);
    sent(&pace, &now_ns, 60, 20, 50, 60);
    assert_true(sent(&pace, &now_ns, 60, 5, 50, 60) >= before - 5);
    assert_int_equal(sl_pace_quality(&pace), 80);
}

/* One that is slow among others costs them nothing; nor does nonsense. */
static void the_best_decides(void **state)
{
    (void)state;
    struct sl_pace pace;
    uint64_t now_ns = 1000 * MS;
    sl_pace_init(&pace, &CONFIG);
    const int before = sent(&pace, &now_ns, 60, 5, -1, -1);
    assert_true(abs(sent(&pace, &now_ns, 60, 5, 5000, 40) - before) <= 3);
    assert_true(abs(sent(&pace, &now_ns, 60, 5, NAN, 40) - before) <= 3);
    assert_int_equal(sl_pace_quality(&pace), 80);
}

/* After a pause frames do not come in a burst. */
static void no_burst(void **state)
{
    (void)state;
    struct sl_pace pace;
    uint64_t now_ns = 1000 * MS;
    sl_pace_init(&pace, &CONFIG);
    sent(&pace, &now_ns, 60, 1, -1, -1);
    now_ns += 60000 * MS;
    int count = 0;
    for (int i = 0; i < 20; i++, now_ns += MS)
        count += sl_pace_allows(&pace, now_ns);
    assert_int_equal(count, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_the_rate),
        cmocka_unit_test(falls_and_recovers),
        cmocka_unit_test(the_best_decides),
        cmocka_unit_test(no_burst),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
