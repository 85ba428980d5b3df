/* A watchdog of the kernel's: on a machine that may be reset. SL_WATCHDOG names it
 * (/dev/watchdog0); skipped where there is none.
 *
 *   watchdog_target_test          opens, feeds, disarms: the machine goes on
 *   watchdog_target_test unfed    arms it and feeds it no more: the machine resets
 *   watchdog_target_test killed   arms it and is killed: the machine resets */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hal/watchdog/watchdog.h"
#include "rt/clock.h"

static const char *device;

static void rest_ms(uint64_t ms)
{
    sl_clock_sleep_until_ns(sl_clock_now_ns() + ms * SL_NS_PER_MS);
}

static struct sl_watchdog *arm(uint32_t timeout_s)
{
    struct sl_error err = {0};
    struct sl_watchdog *dog = NULL;
    const struct sl_watchdog_config config = {
        .driver = "linux", .device = device, .timeout_s = timeout_s};
    if (sl_watchdog_open(&dog, &config, &err) != 0) {
        fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
    const struct sl_watchdog_info *info = sl_watchdog_info(dog);
    fprintf(stderr, "%s: %s, %u s%s%s%s\n", device, info->identity, info->timeout_s,
            info->nowayout ? ", nowayout" : "", info->crash_stops ? ", stops at a crash" : "",
            info->reset_before ? ", has reset this machine" : "");
    return dog;
}

static void fed_it_lets_the_machine_run(void **unused)
{
    (void)unused;
    struct sl_watchdog *dog = arm(3);
    assert_int_equal(sl_watchdog_info(dog)->timeout_s, 3);
    for (int i = 0; i < 12; i++) {
        rest_ms(500);
        assert_int_equal(sl_watchdog_feed(dog), 0);
    }
    sl_watchdog_close(dog, true);
}

static void disarmed_it_lets_the_machine_run(void **unused)
{
    (void)unused;
    struct sl_watchdog *dog = arm(2);
    assert_false(sl_watchdog_info(dog)->nowayout);
    sl_watchdog_close(dog, true);
    rest_ms(4000);
}

static void tells_what_time_is_left(void **unused)
{
    (void)unused;
    struct sl_watchdog *dog = arm(12);
    uint32_t left_s = 0, later_s = 0;
    const int rc = sl_watchdog_time_left(dog, &left_s);
    if (rc == 0) {
        rest_ms(3000);
        assert_int_equal(sl_watchdog_time_left(dog, &later_s), 0);
        assert_true(left_s <= 12 && later_s < left_s);
        assert_int_equal(sl_watchdog_feed(dog), 0);
        assert_int_equal(sl_watchdog_time_left(dog, &left_s), 0);
        assert_true(left_s > later_s);
    } else {
        assert_int_equal(rc, -ENOTSUP); /* softdog does not tell */
    }
    sl_watchdog_close(dog, true);
}

/* A program that was started anew finds the timer running, and goes on feeding it. */
static void left_armed_it_is_taken_over(void **unused)
{
    (void)unused;
    struct sl_watchdog *dog = arm(6);
    sl_watchdog_close(dog, false);
    rest_ms(1000);
    dog = arm(6);
    for (int i = 0; i < 8; i++) {
        rest_ms(1000);
        assert_int_equal(sl_watchdog_feed(dog), 0);
    }
    sl_watchdog_close(dog, true);
}

static void refuses_with_a_sentence(void **unused)
{
    (void)unused;
    struct sl_error err = {0};
    struct sl_watchdog *other = NULL;
    struct sl_watchdog_config config = {.driver = "linux", .device = device, .timeout_s = 10};
    struct sl_watchdog *dog = arm(10);
    assert_int_equal(sl_watchdog_open(&other, &config, &err), -EBUSY);
    assert_non_null(strstr(err.text, "another program"));
    assert_null(other);
    sl_watchdog_close(dog, true);
    config.timeout_s = 5000000; /* no timer of the kernel's is that long */
    assert_int_equal(sl_watchdog_open(&other, &config, &err), -EINVAL);
    assert_non_null(strstr(err.text, "watchdog.timeout_s"));
    /* Nor was it left armed. */
    rest_ms(1000);
    config.timeout_s = 10;
    assert_int_equal(sl_watchdog_open(&other, &config, &err), 0);
    sl_watchdog_close(other, true);
}

/* The machine is to be reset within these seconds; else this fails. */
static int await_reset(void)
{
    rest_ms(30000);
    fprintf(stderr, "the machine still runs\n");
    return 1;
}

static int be_killed(void)
{
    const pid_t child = fork();
    if (child == 0) {
        (void)arm(3);
        kill(getpid(), SIGKILL);
    }
    return await_reset();
}

int main(int argc, char **argv)
{
    device = getenv("SL_WATCHDOG") != NULL ? getenv("SL_WATCHDOG") : "/dev/watchdog0";
    if (access(device, F_OK) != 0) {
        fprintf(stderr, "skipped: there is no %s (modprobe softdog)\n", device);
        return 77;
    }
    if (argc > 1 && strcmp(argv[1], "killed") == 0)
        return be_killed();
    if (argc > 1 && strcmp(argv[1], "unfed") == 0) {
        (void)arm(3);
        return await_reset();
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fed_it_lets_the_machine_run),
        cmocka_unit_test(disarmed_it_lets_the_machine_run),
        cmocka_unit_test(tells_what_time_is_left),
        cmocka_unit_test(left_armed_it_is_taken_over),
        cmocka_unit_test(refuses_with_a_sentence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
