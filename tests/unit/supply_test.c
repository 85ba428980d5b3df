/* What the power supply allows, and the files that tell of it; and whether loops turn. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/control/supply.h"
#include "app/drive/progress.h"
#include "hal/power/power.h"

#define S UINT64_C(1000000000)

static const struct sl_supply_config CONFIG = {.voltage_expected = true,
                                               .warn_v = 7,
                                               .stop_v = 6,
                                               .stop_after_ms = 3000,
                                               .low_scale = 0.5,
                                               .throttled_scale = 0.3};

static struct sl_supply_output look(struct sl_supply *s, uint64_t now_ns, double voltage_v,
                                    bool throttled)
{
    const struct sl_supply_input in = {
        .now_ns = now_ns, .voltage_v = voltage_v, .throttled = throttled};
    struct sl_supply_output out;
    sl_supply_step(s, &CONFIG, &in, &out);
    return out;
}

static void low_voltage_slows(void **unused)
{
    (void)unused;
    struct sl_supply s = {0};
    assert_true(look(&s, S, 7.4, false).scale == 1);
    assert_true(look(&s, 2 * S, 7, false).scale == 1); /* the limit itself is not below it */
    assert_false(look(&s, 3 * S, 7, false).low);
    assert_true(look(&s, 4 * S, 6.999, false).low);
    assert_true(look(&s, 5 * S, 7.4, false).scale == 0.5);
    /* It holds for ten seconds after it was last seen, not after it began. */
    assert_true(look(&s, 10 * S, 6.9, false).scale == 0.5);
    assert_true(look(&s, 20 * S - 1, 7.4, false).scale == 0.5);
    assert_true(look(&s, 20 * S, 7.4, false).scale == 1);
    assert_false(look(&s, 21 * S, 7.4, false).low);
}

static void throttling_slows(void **unused)
{
    (void)unused;
    struct sl_supply s = {0};
    struct sl_supply_output out = look(&s, S, 7.4, true);
    assert_true(out.scale == 0.3 && out.throttled && !out.low && !out.empty);
    /* The lower share counts, whichever it is. */
    out = look(&s, 2 * S, 6.5, false);
    assert_true(out.scale == 0.3 && out.throttled && out.low);
    out = look(&s, 11 * S, 7.4, false);
    assert_true(out.scale == 0.5 && !out.throttled && out.low);
    assert_true(look(&s, 12 * S, 7.4, false).scale == 1);
}

static void unknown_voltage_slows_where_one_is_expected(void **unused)
{
    (void)unused;
    struct sl_supply s = {0};
    assert_true(look(&s, S, NAN, false).scale == 0.5);
    struct sl_supply_config config = CONFIG;
    config.voltage_expected = false;
    const struct sl_supply_input in = {.now_ns = S, .voltage_v = NAN};
    struct sl_supply_output out;
    struct sl_supply t = {0};
    sl_supply_step(&t, &config, &in, &out);
    assert_true(out.scale == 1 && !out.low && !out.empty);
}

static void empty_after_a_while_and_until_it_is_charged(void **unused)
{
    (void)unused;
    struct sl_supply s = {0};
    assert_false(look(&s, S, 5.9, false).empty);
    assert_false(look(&s, 4 * S - 1, 5.9, false).empty);
    /* Back for a moment: it counts anew. */
    assert_false(look(&s, 4 * S - 1, 6, false).empty);
    assert_false(look(&s, 5 * S, 5.9, false).empty);
    assert_false(look(&s, 6 * S, NAN, false).empty); /* not known is no recovery */
    assert_false(look(&s, 8 * S - 1, 5.9, false).empty);
    assert_true(look(&s, 8 * S, 5.9, false).empty);
    /* Without a load it looks better than it is. */
    assert_true(look(&s, 9 * S, 6.5, false).empty);
    assert_true(look(&s, 60 * S, 6.999, false).empty);
    assert_true(look(&s, 61 * S, NAN, false).empty);
    assert_false(look(&s, 62 * S, 7, false).empty);
    /* Without a limit there is none. */
    struct sl_supply_config config = CONFIG;
    config.warn_v = config.stop_v = 0;
    struct sl_supply t = {0};
    struct sl_supply_output out;
    for (uint64_t at = S; at < 20 * S; at += S) {
        const struct sl_supply_input in = {.now_ns = at, .voltage_v = 0};
        sl_supply_step(&t, &config, &in, &out);
        assert_true(out.scale == 1 && !out.empty && !out.low);
    }
}

static char path[] = "/tmp/sl-supply-XXXXXX";

static void hold(const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void files(void **unused)
{
    (void)unused;
    struct sl_error err = {0};
    double volts = -1;
    uint32_t flags = 1;
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    hold("7412000\n");
    assert_int_equal(sl_power_read_voltage(path, 1e-6, &volts, &err), 0);
    assert_true(fabs(volts - 7.412) < 1e-9);
    hold("512");
    assert_int_equal(sl_power_read_voltage(path, 0.015, &volts, &err), 0);
    assert_true(fabs(volts - 7.68) < 1e-9);
    static const char *const NO_VOLTS[] = {"",     "\n",    "volts\n", "12 V\n",
                                           "-1\n", "nan\n", "1e999\n"};
    for (size_t i = 0; i < sizeof NO_VOLTS / sizeof NO_VOLTS[0]; i++) {
        hold(NO_VOLTS[i]);
        volts = 42;
        assert_int_equal(sl_power_read_voltage(path, 1e-6, &volts, &err), -EINVAL);
        assert_non_null(strstr(err.text, "power.voltage_path"));
        assert_true(volts == 42);
    }
    hold("50005\n"); /* as the firmware's driver writes it: without 0x */
    assert_int_equal(sl_power_read_throttled(path, &flags, &err), 0);
    assert_int_equal(flags, 0x50005);
    hold("0x1");
    assert_int_equal(sl_power_read_throttled(path, &flags, &err), 0);
    assert_int_equal(flags, SL_THROTTLED_UNDER_VOLTAGE);
    static const char *const NO_FLAGS[] = {"", "x\n", "-1\n", "1 2\n", "100000000\n"};
    for (size_t i = 0; i < sizeof NO_FLAGS / sizeof NO_FLAGS[0]; i++) {
        hold(NO_FLAGS[i]);
        assert_int_equal(sl_power_read_throttled(path, &flags, &err), -EINVAL);
        assert_non_null(strstr(err.text, "power.throttled_path"));
        assert_int_equal(flags, 1);
    }
    unlink(path);
    assert_int_equal(sl_power_read_voltage(path, 1, &volts, &err), -ENOENT);
    assert_non_null(strstr(err.text, path));
    assert_int_equal(sl_power_read_throttled(path, &flags, &err), -ENOENT);
}

static void loops(void **unused)
{
    (void)unused;
    struct sl_progress p = {.name = "test", .allowance_ns = 100};
    /* A loop that has not begun yet counts from the first look. */
    assert_int_equal(sl_progress_look(&p, 0, false, 1000), SL_PROGRESS_SAME);
    assert_int_equal(sl_progress_look(&p, 0, false, 1100), SL_PROGRESS_SAME);
    assert_int_equal(sl_progress_look(&p, 0, false, 1101), SL_PROGRESS_STALLED);
    assert_true(p.stalled);
    assert_int_equal(sl_progress_look(&p, 0, false, 1102), SL_PROGRESS_SAME);
    assert_int_equal(sl_progress_look(&p, 1, false, 1103), SL_PROGRESS_BACK);
    assert_false(p.stalled);
    assert_int_equal(sl_progress_look(&p, 1, false, 1203), SL_PROGRESS_SAME);
    assert_int_equal(sl_progress_look(&p, 2, false, 1204), SL_PROGRESS_SAME);
    assert_int_equal(sl_progress_look(&p, 2, false, 1304), SL_PROGRESS_SAME);
    assert_int_equal(sl_progress_look(&p, 2, false, 1305), SL_PROGRESS_STALLED);
    /* A loop that was told to end has not stalled. */
    assert_int_equal(sl_progress_look(&p, 2, true, 9000), SL_PROGRESS_BACK);
    assert_int_equal(sl_progress_look(&p, 2, true, 99000), SL_PROGRESS_SAME);
    assert_false(p.stalled);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(low_voltage_slows),
        cmocka_unit_test(throttling_slows),
        cmocka_unit_test(unknown_voltage_slows_where_one_is_expected),
        cmocka_unit_test(empty_after_a_while_and_until_it_is_charged),
        cmocka_unit_test(files),
        cmocka_unit_test(loops),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
