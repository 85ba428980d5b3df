/* The actuator's wrapper before a device that fails: a table of this test's
 * own takes the place of the build's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "hal/actuator/actuator.h"

static struct {
    int open, send, neutral; /* what the device answers */
    int sent, neutrals, closed, tended;
    struct sl_command last;
} device;

static int device_open(void *state, const struct sl_actuator_config *config, struct sl_error *err)
{
    (void)state;
    (void)config;
    return device.open == 0 ? 0 : sl_error_set(err, device.open, "the device is not there");
}

static int device_send(void *state, const struct sl_command *command)
{
    (void)state;
    device.sent++;
    device.last = *command;
    return device.send;
}

static int device_neutral(void *state, const struct sl_command *command)
{
    (void)state;
    device.neutrals++;
    device.last = *command;
    return device.neutral;
}

static void device_close(void *state)
{
    (void)state;
    device.closed++;
}

static void device_tend(void *state)
{
    (void)state;
    device.tended++;
}

static int device_status(void *state, struct sl_actuator_status *status)
{
    (void)state;
    *status = (struct sl_actuator_status){.state = SL_OUTPUTS_FAILED, .errors = 3};
    return 0;
}

static const struct sl_actuator_driver faulty = {
    .name = "faulty",
    .help = "fails on demand",
    .state_bytes = 8,
    .open = device_open,
    .send = device_send,
    .neutral = device_neutral,
    .close = device_close,
    .tend = device_tend,
    .status = device_status,
};
const struct sl_actuator_driver *const sl_actuator_drivers[] = {&faulty, NULL};

static const struct sl_actuator_config CONFIG = {
    .driver = "faulty", .steering_max_rad = 0.4, .speed_max_mps = 5};

static struct sl_actuator *open_faulty(void)
{
    struct sl_actuator *actuator = NULL;
    struct sl_error err;
    memset(&device, 0, sizeof device);
    assert_int_equal(sl_actuator_open(&actuator, &CONFIG, &err), 0);
    assert_int_equal(device.neutrals, 1);
    return actuator;
}

static void a_device_that_does_not_open_is_closed(void **state)
{
    (void)state;
    struct sl_actuator *actuator;
    struct sl_error err;
    memset(&device, 0, sizeof device);
    device.open = -ENXIO;
    assert_int_equal(sl_actuator_open(&actuator, &CONFIG, &err), -ENXIO);
    assert_string_equal(err.text, "the device is not there");
    assert_null(actuator);
    assert_int_equal(device.closed, 1);
    assert_int_equal(device.neutrals, 0);

    memset(&device, 0, sizeof device);
    device.neutral = -EIO;
    assert_int_equal(sl_actuator_open(&actuator, &CONFIG, &err), -EIO);
    assert_non_null(strstr(err.text, "neutral"));
    assert_null(actuator);
    assert_int_equal(device.closed, 1);
}

static void a_failed_command_becomes_neutral(void **state)
{
    (void)state;
    struct sl_actuator *actuator = open_faulty();
    const struct sl_command command = {.expires_ns = 200, .steering_rad = 0.1f, .speed_mps = 1};
    device.send = -EIO;
    assert_int_equal(sl_actuator_send(actuator, &command, 100), -EIO);
    assert_int_equal(device.neutrals, 2);
    assert_true(sl_actuator_is_neutral(actuator));
    assert_true(sl_actuator_last(actuator)->speed_mps == 0);
    assert_int_equal(device.last.seq, 3); /* the failed one may have gone out: its number is used */
    sl_actuator_close(actuator);
    assert_int_equal(device.neutrals, 3);
    assert_int_equal(device.closed, 1);
}

static void a_neutral_that_failed_is_repeated(void **state)
{
    (void)state;
    struct sl_actuator *actuator = open_faulty();
    const struct sl_command good = {.expires_ns = 200, .steering_rad = 0.1f, .speed_mps = 1};
    const struct sl_command bad = {.expires_ns = 200, .speed_mps = -1};
    assert_int_equal(sl_actuator_send(actuator, &good, 100), 0);
    device.neutral = -EIO;
    assert_int_equal(sl_actuator_send(actuator, &bad, 100), -EIO);
    assert_false(sl_actuator_is_neutral(actuator));
    assert_true(sl_actuator_last(actuator)->speed_mps == 1); /* what the device still does */
    for (int i = 0; i < 3; i++)
        assert_int_equal(sl_actuator_poll(actuator, 110), -EIO);
    assert_int_equal(device.neutrals, 5);
    device.neutral = 0;
    assert_int_equal(sl_actuator_poll(actuator, 110), 0);
    assert_true(sl_actuator_is_neutral(actuator));
    assert_int_equal(sl_actuator_last(actuator)->mode, SL_MODE_SAFE_STOP);
    assert_int_equal(sl_actuator_poll(actuator, 110), 0);
    assert_int_equal(device.neutrals, 6);

    /* A good command makes up for it too. */
    device.neutral = -EIO;
    assert_int_equal(sl_actuator_neutral(actuator, 110), -EIO);
    assert_int_equal(sl_actuator_send(actuator, &good, 120), 0);
    device.neutral = 0;
    assert_int_equal(sl_actuator_poll(actuator, 130), 0);
    assert_false(sl_actuator_is_neutral(actuator));
    /* And the end of its lease is noticed, however often neutral fails. */
    device.neutral = -EIO;
    assert_int_equal(sl_actuator_poll(actuator, 200), -EIO);
    assert_int_equal(sl_actuator_poll(actuator, 201), -EIO);
    device.neutral = 0;
    assert_int_equal(sl_actuator_poll(actuator, 202), 0);
    assert_true(sl_actuator_is_neutral(actuator));
    sl_actuator_close(actuator);
}

static void tending_and_asking_reach_the_driver(void **state)
{
    (void)state;
    struct sl_actuator *actuator = open_faulty();
    struct sl_actuator_status status;
    sl_actuator_tend(actuator);
    sl_actuator_tend(actuator);
    assert_int_equal(device.tended, 2);
    assert_int_equal(sl_actuator_status(actuator, &status), 0);
    assert_int_equal(status.state, SL_OUTPUTS_FAILED);
    assert_int_equal(status.errors, 3);
    sl_actuator_close(actuator);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_device_that_does_not_open_is_closed),
        cmocka_unit_test(a_failed_command_becomes_neutral),
        cmocka_unit_test(a_neutral_that_failed_is_repeated),
        cmocka_unit_test(tending_and_asking_reach_the_driver),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
