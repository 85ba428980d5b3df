/* Hardware outputs as the hardware sees them, and what becomes of them when either
 * process, the wire or the device fails. The driving process that is killed is this
 * program, started with arguments. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <math.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hal/actuator/actuator.h"
#include "rt/clock.h"
#include "tests/contract/i2c_stub.h"
#include "tests/contract/output_peers.h"
#include "tests/integration/programs.h"

#define TICK_NS (10 * SL_NS_PER_MS)
#define SAFE_MS 100 /* from any failure to neutral */
/* What the machine may add, beside what it was seen to hold up the device's own thread. */
#define SLACK_MS (60 + stalled_ms())

static char device[64];
static struct sl_actuator *actuator;
static struct sl_error err;
static bool stub; /* there is an i2c-stub */

static int stalled_ms(void)
{
    struct peer_outputs now;
    peer_outputs(&now);
    return (int)(now.stall_ns / SL_NS_PER_MS);
}

/* ---- devices ---- */

struct kind {
    const char *driver;
    double straight, left, rest, drive; /* outputs for 0 rad, 0.5 rad, 0 m/s, 5 m/s */
};

static const struct kind SERIAL = {"serial", 1500, 2000, 1500, 1800};
static const struct kind VESC = {"vesc", 0.5, 0, 0, 23070};
static const struct kind PWM = {"pwm", 1500, 2000, 1500, 1800};
static const struct kind PCA9685 = {"pca9685", 1500, 2000, 1500, 1800};

static bool is(const struct kind *kind, const struct kind *other)
{
    return kind == other;
}

static void device_begin(const struct kind *kind)
{
    if (is(kind, &PWM))
        pwm_folder_begin(device);
    else if (is(kind, &PCA9685))
        i2c_stub_find(device);
    else
        peer_begin(is(kind, &VESC), device);
}

static void device_end(const struct kind *kind)
{
    if (is(kind, &PWM))
        pwm_folder_end(device);
    else if (!is(kind, &PCA9685))
        peer_end();
}

static bool shows(const struct kind *kind, double steering, double throttle)
{
    if (is(kind, &PWM))
        return pwm_folder_get(device, 0, "duty_cycle") == lround(steering * 1e3) &&
               pwm_folder_get(device, 1, "duty_cycle") == lround(throttle * 1e3);
    if (is(kind, &PCA9685)) /* a step is 4.88 us at 50 Hz */
        return fabs(i2c_stub_pulse_us(device, 0) - steering) < 2.6 &&
               fabs(i2c_stub_pulse_us(device, 1) - throttle) < 2.6;
    return peer_await_ns(steering, throttle, 0) != UINT64_MAX;
}

/* How many ms until the device shows it; -1: it does not within `ms`. */
static int await(const struct kind *kind, double steering, double throttle, int ms)
{
    const uint64_t begun_ns = sl_clock_now_ns();
    for (;;) {
        const bool good = shows(kind, steering, throttle);
        const int passed_ms = (int)((sl_clock_now_ns() - begun_ns) / SL_NS_PER_MS);
        if (good)
            return passed_ms;
        if (passed_ms > ms)
            return -1;
        sl_clock_sleep_until_ns(sl_clock_now_ns() + SL_NS_PER_MS);
    }
}

static int await_rest(const struct kind *kind, int ms)
{
    return await(kind, kind->straight, kind->rest, ms);
}

/* ---- driving ---- */

static int open_with(const struct kind *kind, struct sl_output_config *output)
{
    const struct sl_actuator_config config = {
        .driver = kind->driver, .steering_max_rad = 0.5, .speed_max_mps = 10, .output = output};
    err.text[0] = '\0';
    return sl_actuator_open(&actuator, &config, &err);
}

static void open_outputs(const struct kind *kind)
{
    struct sl_output_config output;
    output_config_for_tests(&output, device);
    if (open_with(kind, &output) != 0)
        fail_msg("%s does not open: %s", kind->driver, err.text);
}

static int send(double steering_rad, double speed_mps, uint64_t lease_ms)
{
    const uint64_t now_ns = sl_clock_now_ns();
    const struct sl_command command = {.issued_ns = now_ns,
                                       .expires_ns = now_ns + lease_ms * SL_NS_PER_MS,
                                       .steering_rad = (float)steering_rad,
                                       .speed_mps = (float)speed_mps,
                                       .mode = SL_MODE_DRIVING};
    return sl_actuator_send(actuator, &command, now_ns);
}

/* Drives at 5 m/s, to the left, for `ms` or until sending fails; what it said last. */
static int drive(int ms)
{
    int rc = 0;
    for (int i = 0; i < ms / 10 && rc == 0; i++) {
        rc = send(0.5, 5, 100);
        sl_actuator_tend(actuator);
        sl_clock_sleep_until_ns(sl_clock_now_ns() + TICK_NS);
    }
    return rc;
}

/* The same, but a machine that stands still for a moment may fail it for a while. */
static bool drives(int ms)
{
    const uint64_t give_up_ns = sl_clock_now_ns() + 3 * SL_NS_PER_S;
    while (sl_clock_now_ns() < give_up_ns) {
        if (drive(ms) == 0)
            return true;
        sl_clock_sleep_until_ns(sl_clock_now_ns() + TICK_NS);
    }
    return false;
}

static void begin_driving(const struct kind *kind)
{
    device_begin(kind);
    open_outputs(kind);
    assert_true(drives(100));
    assert_true(drives(10));
    if (!shows(kind, kind->left, kind->drive))
        fail_msg("%s does not drive", kind->driver);
}

static void end_driving(const struct kind *kind)
{
    sl_actuator_close(actuator);
    actuator = NULL;
    assert_true(await_rest(kind, SLACK_MS) >= 0); /* it is on the wire; the peer reads it */
    device_end(kind);
}

static struct sl_actuator_status status_now(void)
{
    struct sl_actuator_status status;
    assert_int_equal(sl_actuator_status(actuator, &status), 0);
    return status;
}

/* True when the helper's status is `state` within `ms`. Tends meanwhile. */
static bool await_state_of(uint32_t state, int ms)
{
    for (int i = 0; i <= ms / 10; i++) {
        struct sl_actuator_status status;
        sl_actuator_tend(actuator);
        if (sl_actuator_status(actuator, &status) == 0 && status.state == state)
            return true;
        sl_clock_sleep_until_ns(sl_clock_now_ns() + TICK_NS);
    }
    return false;
}

/* The n-th of the devices that are here, or NULL behind the last. */
static const struct kind *device_at(int n)
{
    const struct kind *kinds[] = {&SERIAL, &VESC, &PWM, stub ? &PCA9685 : NULL, NULL};
    return kinds[n];
}

#define EACH_DEVICE(kind)                                                                          \
    int device_number = 0;                                                                         \
    for (const struct kind *kind; (kind = device_at(device_number)) != NULL; device_number++)

/* ---- in order ---- */

static void commands_arrive_and_closing_is_neutral(void **state)
{
    (void)state;
    EACH_DEVICE(kind)
    {
        device_begin(kind);
        open_outputs(kind);
        assert_true(await_rest(kind, 100) >= 0);
        assert_int_equal(send(0.5, 5, 100), 0);
        assert_true(await(kind, kind->left, kind->drive, 80) >= 0);
        assert_int_equal(send(-0.5, 0, 100), 0);
        assert_true(await(kind, 2 * kind->straight - kind->left, kind->rest, 80) >= 0);
        assert_int_equal(sl_actuator_neutral(actuator, sl_clock_now_ns()), 0);
        assert_true(await_rest(kind, 80) >= 0);
        const struct sl_actuator_status status = status_now();
        assert_true(status.writes >= 3);
        assert_int_equal(status.errors, 0);
        assert_true(status.write_max_ns > 0);
        assert_true(drives(50));
        end_driving(kind);
    }
}

static void a_lease_ends_without_the_vehicles_help(void **state)
{
    (void)state;
    EACH_DEVICE(kind)
    {
        begin_driving(kind);
        /* It claims an hour; nobody polls. */
        assert_int_equal(send(0.5, 5, 3600000), 0);
        const int ms = await_rest(kind, 1000);
        if (ms < 30 || ms > SAFE_MS + SLACK_MS)
            fail_msg("%s: neutral after %d ms", kind->driver, ms);
        assert_true(await_state_of(SL_OUTPUTS_READY, 100));
        for (int i = 0; i < 50 && status_now().lease_ends == 0; i++) /* a device may be faster */
            sl_clock_sleep_until_ns(sl_clock_now_ns() + TICK_NS);
        assert_true(status_now().lease_ends >= 1);
        assert_true(drives(50)); /* and drives on when told to */
        assert_int_equal(send(0.5, 5, 30), 0);
        const int shorter_ms = await_rest(kind, 1000);
        if (shorter_ms > 30 + SLACK_MS)
            fail_msg("%s: neutral after %d ms", kind->driver, shorter_ms);
        end_driving(kind);
    }
}

static void the_throttle_waits_for_the_esc(void **state)
{
    (void)state;
    EACH_DEVICE(kind)
    {
        struct sl_output_config output;
        device_begin(kind);
        output_config_for_tests(&output, device);
        output.arming_ms = 400;
        assert_int_equal(open_with(kind, &output), 0);
        const uint64_t begun_ns = sl_clock_now_ns();
        assert_int_equal(status_now().state, SL_OUTPUTS_ARMING);
        assert_true(drives(200));
        assert_true(await(kind, kind->left, kind->rest, 50) >= 0); /* it steers meanwhile */
        while (!shows(kind, kind->left, kind->drive) &&
               sl_clock_now_ns() < begun_ns + 2 * SL_NS_PER_S)
            assert_true(drives(10));
        assert_true(sl_clock_now_ns() >= begun_ns + 380 * SL_NS_PER_MS);
        assert_true(shows(kind, kind->left, kind->drive));
        end_driving(kind);
    }
}

static void what_is_not_there_is_told_in_a_sentence(void **state)
{
    (void)state;
    const struct {
        const struct kind *kind;
        const char *path;
        int code;
        const char *word;
    } missing[] = {
        {&PCA9685, "/dev/i2c-199", -ENOENT, "there is no I2C bus /dev/i2c-199"},
        {&PCA9685, "/dev/null", -ENOTTY, "no I2C bus"},
        {&PWM, "/nowhere/pwm", -ENOENT, "there is no PWM chip pwmchip0"},
        {&SERIAL, "/dev/ttyNOWHERE", -ENOENT, "there is no serial port"},
        {&VESC, "/dev/ttyNOWHERE", -ENOENT, "there is no serial port"},
        {&SERIAL, "/dev/null", -ENOTTY, "no serial port"},
    };
    for (size_t i = 0; i < sizeof missing / sizeof missing[0]; i++) {
        struct sl_output_config output;
        output_config_for_tests(&output, missing[i].path);
        const int rc = open_with(missing[i].kind, &output);
        if (rc != missing[i].code || strstr(err.text, missing[i].word) == NULL)
            fail_msg("%d \"%s\" instead of ..%s..", rc, err.text, missing[i].word);
        assert_null(actuator);
    }
    struct sl_output_config output;
    output_config_for_tests(&output, "");
    output.pulse.steering_centre_us = 3000;
    assert_int_equal(open_with(&PWM, &output), -EINVAL);
    assert_int_equal(open_with(&PWM, NULL), -EINVAL);

    pwm_folder_begin(device);
    output_config_for_tests(&output, device);
    snprintf(output.throttle_pwm, sizeof output.throttle_pwm, "pwmchip0/7");
    assert_true(open_with(&PWM, &output) < 0);
    assert_non_null(strstr(err.text, "pwmchip0/7 cannot be had"));
    snprintf(output.throttle_pwm, sizeof output.throttle_pwm, "pwm1");
    assert_int_equal(open_with(&PWM, &output), -EINVAL);
    pwm_folder_end(device);

    const struct kind *silent[] = {&SERIAL, &VESC};
    for (size_t i = 0; i < 2; i++) {
        device_begin(silent[i]);
        peer_set_mood(PEER_MUTE);
        output_config_for_tests(&output, device);
        assert_int_equal(open_with(silent[i], &output), -ETIMEDOUT);
        assert_non_null(strstr(err.text, "answers"));
        device_end(silent[i]);
    }
}

/* ---- the vehicle's process dies or hangs ---- */

static pid_t start_driver(const struct kind *kind)
{
    const pid_t pid = fork();
    if (pid == 0) {
        execl("/proc/self/exe", "drive", kind->driver, device, (char *)NULL);
        _exit(127);
    }
    return pid;
}

static void a_driver_that_is_killed_or_stopped_leaves_neutral(void **state)
{
    (void)state;
    static const int SIGNALS[] = {SIGKILL, SIGSTOP, SIGABRT, SIGTERM};
    EACH_DEVICE(kind)
    {
        for (size_t i = 0; i < sizeof SIGNALS / sizeof SIGNALS[0]; i++) {
            device_begin(kind);
            const pid_t pid = start_driver(kind);
            if (await(kind, kind->left, kind->drive, 5000) < 0)
                fail_msg("%s: the other process does not drive", kind->driver);
            kill(pid, SIGNALS[i]);
            const int ms = await_rest(kind, 2000);
            printf("%s: neutral %d ms after signal %d\n", kind->driver, ms, SIGNALS[i]);
            if (ms < 0 || ms > SAFE_MS + SLACK_MS)
                fail_msg("%s: neutral %d ms after signal %d", kind->driver, ms, SIGNALS[i]);
            if (SIGNALS[i] == SIGSTOP) { /* it drives on when it is let go */
                kill(pid, SIGCONT);
                assert_true(await(kind, kind->left, kind->drive, 2000) >= 0);
                kill(pid, SIGKILL);
            }
            waitpid(pid, NULL, 0);
            assert_true(await_rest(kind, SAFE_MS + SLACK_MS) >= 0);
            sl_clock_sleep_until_ns(sl_clock_now_ns() + 100 * SL_NS_PER_MS);
            assert_true(shows(kind, kind->straight, kind->rest)); /* and stays there */
            device_end(kind);
        }
    }
}

/* ---- the helper dies or hangs ---- */

static pid_t helper_pid(void)
{
    pid_t pid = 0;
    /* The kernel keeps the first 15 characters of a name. */
    assert_int_equal(program_children(getpid(), "skylane-actuato", &pid, 1), 1);
    return pid;
}

static void a_helper_that_is_killed_is_replaced(void **state)
{
    (void)state;
    EACH_DEVICE(kind)
    {
        begin_driving(kind);
        const pid_t pid = helper_pid();
        assert_true(drives(50)); /* a slow machine took more than a lease to find it */
        const uint64_t killed_ns = sl_clock_now_ns();
        kill(pid, SIGKILL);
        /* The vehicle's main thread tends; nobody sends any more. */
        int ms = -1;
        while (ms < 0 && sl_clock_now_ns() < killed_ns + 3 * SL_NS_PER_S) {
            sl_actuator_tend(actuator);
            if (shows(kind, kind->straight, kind->rest))
                ms = (int)((sl_clock_now_ns() - killed_ns) / SL_NS_PER_MS);
            sl_clock_sleep_until_ns(sl_clock_now_ns() + TICK_NS);
        }
        printf("%s: neutral %d ms after the helper was killed\n", kind->driver, ms);
        if (ms < 0 || ms > SAFE_MS + SLACK_MS)
            fail_msg("%s: neutral %d ms after the helper was killed", kind->driver, ms);
        assert_true(await_state_of(SL_OUTPUTS_READY, 2000));
        assert_int_equal(status_now().restarts, 1);
        assert_true(drives(100));
        end_driving(kind);
    }
}

static void a_helper_that_hangs_is_noticed_and_replaced(void **state)
{
    (void)state;
    EACH_DEVICE(kind)
    {
        begin_driving(kind);
        const pid_t pid = helper_pid();
        assert_true(drives(100));
        kill(pid, SIGSTOP);
        const uint64_t begun_ns = sl_clock_now_ns();
        assert_int_equal(drive(2000), -EIO);
        assert_true(sl_clock_now_ns() < begun_ns + 500 * SL_NS_PER_MS);
        int ms = -1;
        while (ms < 0 && sl_clock_now_ns() < begun_ns + 3 * SL_NS_PER_S) {
            sl_actuator_tend(actuator);
            /* Some devices end the lease by themselves. */
            if (kill(pid, 0) != 0 && shows(kind, kind->straight, kind->rest))
                ms = (int)((sl_clock_now_ns() - begun_ns) / SL_NS_PER_MS);
            sl_clock_sleep_until_ns(sl_clock_now_ns() + TICK_NS);
        }
        printf("%s: neutral %d ms after the helper was stopped\n", kind->driver, ms);
        if (ms < 0 || ms > 600 + SLACK_MS)
            fail_msg("%s: neutral %d ms after the helper was stopped", kind->driver, ms);
        assert_true(await_state_of(SL_OUTPUTS_READY, 2000));
        assert_int_equal(status_now().restarts, 1);
        assert_true(drives(100));
        end_driving(kind);
    }
}

/* ---- the device fails ---- */

static void a_device_that_goes_silent_stops_the_vehicle(void **state)
{
    (void)state;
    const struct kind *kinds[] = {&SERIAL, &VESC};
    static const enum peer_mood MOODS[] = {PEER_MUTE, PEER_BABBLES, PEER_HANGS};
    for (size_t k = 0; k < 2; k++) {
        for (size_t i = 0; i < sizeof MOODS / sizeof MOODS[0]; i++) {
            begin_driving(kinds[k]);
            peer_set_mood(MOODS[i]);
            const uint64_t begun_ns = sl_clock_now_ns();
            assert_int_equal(drive(3000), -EIO);
            const int ms = (int)((sl_clock_now_ns() - begun_ns) / SL_NS_PER_MS);
            printf("%s: sending fails %d ms after mood %d\n", kinds[k]->driver, ms, MOODS[i]);
            assert_true(ms < 340 + SLACK_MS);
            const struct sl_actuator_status status = status_now();
            assert_int_equal(status.state, SL_OUTPUTS_FAILED);
            assert_true(status.errors > 0);
            assert_non_null(strstr(status.problem, device));
            peer_set_mood(PEER_WELL);
            assert_true(await_state_of(SL_OUTPUTS_READY, 6000)); /* it comes back by itself */
            assert_true(await_rest(kinds[k], 100) >= 0);
            assert_true(drives(100));
            assert_true(status_now().reopened >= 2);
            end_driving(kinds[k]);
        }
    }
}

static void a_device_that_is_unplugged_stops_the_vehicle(void **state)
{
    (void)state;
    const struct kind *kinds[] = {&SERIAL, &VESC};
    for (size_t k = 0; k < 2; k++) {
        begin_driving(kinds[k]);
        peer_unplug();
        assert_int_equal(drive(2000), -EIO);
        assert_int_equal(status_now().state, SL_OUTPUTS_FAILED);
        sl_actuator_close(actuator);
        actuator = NULL;
        device_end(kinds[k]);
    }
    begin_driving(&PWM);
    pwm_folder_end(device); /* its driver was unloaded: noticed by reading back */
    assert_int_equal(drive(3000), -EIO);
    assert_int_equal(status_now().state, SL_OUTPUTS_FAILED);
    assert_non_null(strstr(status_now().problem, "pwmchip0"));
    sl_actuator_close(actuator);
    actuator = NULL;
}

static void the_devices_own_stop_stops_the_vehicle(void **state)
{
    (void)state;
    const struct kind *kinds[] = {&SERIAL, &VESC};
    static const char *const WORDS[] = {"emergency stop", "fault 5"};
    for (size_t k = 0; k < 2; k++) {
        begin_driving(kinds[k]);
        struct sl_actuator_status status = status_now();
        assert_int_equal(status.battery_mv, k == 0 ? 7400 : 11100);
        assert_true(k == 0 ? isnan(status.speed_mps) : fabsf(status.speed_mps - 1) < 1e-3f);
        peer_set_mood(PEER_STOPPED);
        assert_int_equal(drive(1000), -EIO);
        status = status_now();
        assert_int_equal(status.state, SL_OUTPUTS_STOPPED);
        assert_non_null(strstr(status.problem, WORDS[k]));
        assert_int_equal(sl_actuator_neutral(actuator, sl_clock_now_ns()), 0);
        peer_set_mood(PEER_WELL);
        assert_true(await_state_of(SL_OUTPUTS_READY, 1000));
        assert_true(drives(100));
        end_driving(kinds[k]);
    }
}

/* ---- the PCA9685 ---- */

static void registers_are_as_the_data_sheet_has_them(void **state)
{
    (void)state;
    struct sl_output_config output;
    if (!stub)
        skip();
    device_begin(&PCA9685);
    output_config_for_tests(&output, device);
    output.steering_channel = 15; /* not neighbours, and the other way round */
    output.throttle_channel = 3;
    output.frequency_hz = 60;
    assert_int_equal(open_with(&PCA9685, &output), 0);
    assert_int_equal(i2c_stub_get(device, 0xfe), 101); /* round(25 MHz / (4096 x 60)) - 1 */
    assert_int_equal(i2c_stub_get(device, 0x00), 0x20);
    assert_int_equal(i2c_stub_get(device, 0x01), 0x04);
    assert_true(fabs(i2c_stub_pulse_us(device, 15) - 1500) < 2.1);
    assert_int_equal(send(0.25, 10, 100), 0);
    sl_clock_sleep_until_ns(sl_clock_now_ns() + 50 * SL_NS_PER_MS);
    assert_true(fabs(i2c_stub_pulse_us(device, 15) - 1750) < 2.1);
    assert_true(fabs(i2c_stub_pulse_us(device, 3) - 2000) < 2.1);
    sl_actuator_close(actuator);
    actuator = NULL;
    assert_true(fabs(i2c_stub_pulse_us(device, 15) - 1500) < 2.1);
    assert_true(fabs(i2c_stub_pulse_us(device, 3) - 1500) < 2.1);

    output.i2c_address = 0x41; /* where no chip is */
    assert_true(open_with(&PCA9685, &output) < 0);
    assert_non_null(strstr(err.text, "0x41"));
}

static void a_chip_that_lost_its_power_is_set_up_anew(void **state)
{
    (void)state;
    if (!stub)
        skip();
    begin_driving(&PCA9685);
    i2c_stub_set(device, 0xfe, 30); /* as after power-up: data sheet, tables 4, 5 and 8 */
    i2c_stub_set(device, 0x00, 0x11);
    for (uint8_t reg = 6; reg < 14; reg++)
        i2c_stub_set(device, reg, 0);
    const uint64_t begun_ns = sl_clock_now_ns();
    while (status_now().reopened < 2 && sl_clock_now_ns() < begun_ns + 3 * SL_NS_PER_S)
        drive(10);
    const struct sl_actuator_status status = status_now();
    assert_int_equal(status.reopened, 2);
    assert_true(status.errors >= 1);
    assert_non_null(strstr(status.problem, "lost its settings"));
    assert_int_equal(i2c_stub_get(device, 0x00), 0x20);
    assert_true(drives(100));
    end_driving(&PCA9685);
}

/* ---- wires that fail, where the kernel's i2c-stub makes them ---- */

static bool wires_can_fail(void)
{
    return stub && i2c_stub_get_fault("fail") >= 0;
}

/* Drives with the wheels to and fro, so that each command is another pulse to write. */
static int wiggle(int ms)
{
    int rc = 0;
    for (int i = 0; i < ms / 10 && rc == 0; i++) {
        rc = send(i % 2 == 0 ? 0.4 : 0.5, 5, 100);
        sl_actuator_tend(actuator);
        sl_clock_sleep_until_ns(sl_clock_now_ns() + TICK_NS);
    }
    return rc;
}

static void a_wire_that_fails_for_a_moment_is_tried_again_and_told(void **state)
{
    (void)state;
    static const int CODES[] = {ENXIO, EIO, EAGAIN, ETIMEDOUT};
    if (!wires_can_fail())
        skip();
    begin_driving(&PCA9685);
    for (size_t i = 0; i < sizeof CODES / sizeof CODES[0]; i++) {
        const struct sl_actuator_status before = status_now();
        i2c_stub_set_fault("fail_with", CODES[i]);
        i2c_stub_set_fault("fail", 3);
        assert_int_equal(wiggle(200), 0); /* too short to stop for */
        const struct sl_actuator_status after = status_now();
        assert_int_equal(i2c_stub_get_fault("fail"), 0);
        assert_int_equal(after.errors, before.errors + 3);
        assert_int_equal(after.recovered, before.recovered + 1);
        assert_int_equal(after.reopened, before.reopened);
        assert_int_equal(after.state, SL_OUTPUTS_READY);
        assert_true(drives(50));
        assert_true(await(&PCA9685, PCA9685.left, PCA9685.drive, 80) >= 0);
    }
    end_driving(&PCA9685);
}

static void a_wire_that_stays_broken_stops_the_vehicle(void **state)
{
    (void)state;
    static const struct {
        int code, hang_ms;
        const char *words;
    } FAULTS[] = {{ENXIO, 0, "no chip answers at I2C address 0x40"},
                  {EIO, 0, "the PCA9685 at I2C address 0x40 failed while"},
                  {ETIMEDOUT, 20, "timed out"},
                  {ETIMEDOUT, 700, ""}}; /* its process is replaced, which has no words yet */
    if (!wires_can_fail())
        skip();
    for (size_t i = 0; i < sizeof FAULTS / sizeof FAULTS[0]; i++) {
        begin_driving(&PCA9685);
        i2c_stub_set_fault("fail_with", FAULTS[i].code);
        i2c_stub_set_fault("hang_ms", FAULTS[i].hang_ms);
        i2c_stub_set_fault("fail", -1);
        uint64_t begun_ns = sl_clock_now_ns();
        assert_int_equal(wiggle(3000), -EIO);
        int ms = (int)((sl_clock_now_ns() - begun_ns) / SL_NS_PER_MS);
        printf("pca9685: sending fails %d ms after the wire did (%d)\n", ms, FAULTS[i].code);
        assert_true(ms < 400 + SLACK_MS);
        assert_true(FAULTS[i].hang_ms > 100 ||
                    strstr(status_now().problem, FAULTS[i].words) != NULL);
        for (int tick = 0; tick < 100; tick++) { /* as the vehicle does while it stands */
            sl_actuator_tend(actuator);
            sl_clock_sleep_until_ns(sl_clock_now_ns() + TICK_NS);
        }

        i2c_stub_set_fault("fail", 0);
        i2c_stub_set_fault("hang_ms", 0);
        begun_ns = sl_clock_now_ns();
        do {
            sl_actuator_tend(actuator);
            ms = (int)((sl_clock_now_ns() - begun_ns) / SL_NS_PER_MS);
        } while (!shows(&PCA9685, PCA9685.straight, PCA9685.rest) && ms < 3000);
        printf("pca9685: neutral %d ms after the wire was whole again\n", ms);
        assert_true(ms < SAFE_MS + 700 * (FAULTS[i].hang_ms == 700) + SLACK_MS);
        assert_true(await_state_of(SL_OUTPUTS_READY, 2000));
        assert_true(drives(100));
        end_driving(&PCA9685);
    }
}

/* ---- the kernel's PWM, on a real kernel ---- */

static bool write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    if (file == NULL)
        return false;
    const bool good = fputs(text, file) >= 0;
    return fclose(file) == 0 && good;
}

/* The PWM chip that the driver pwm-pca9685 has made of the stub; -1: none. */
static int stub_pwm_chip(void)
{
    for (int chip = 0; chip < 64; chip++) {
        char path[96], name[32] = "";
        snprintf(path, sizeof path, "/sys/class/pwm/pwmchip%d/device/name", chip);
        FILE *file = fopen(path, "r");
        if (file == NULL)
            continue;
        const bool is_it =
            fgets(name, sizeof name, file) != NULL && strncmp(name, "pca9685", 7) == 0;
        fclose(file);
        if (is_it)
            return chip;
    }
    return -1;
}

/* i2c-stub under pwm-pca9685 under sysfs under our driver: the pulse asked must be
 * in the chip's registers. */
static void the_kernels_pwm_reaches_a_chip(void **state)
{
    (void)state;
    struct sl_output_config output;
    char folder[96], new_device[128], delete_device[128];
    if (!stub)
        skip();
    i2c_stub_find(device);
    snprintf(folder, sizeof folder, "/sys/bus/i2c/devices/%.40s", strrchr(device, '/') + 1);
    snprintf(new_device, sizeof new_device, "%s/new_device", folder);
    snprintf(delete_device, sizeof delete_device, "%s/delete_device", folder);
    assert_true(write_text(new_device, "pca9685 0x40"));
    int chip = -1;
    for (int i = 0; i < 200 && chip < 0; i++) {
        sl_clock_sleep_until_ns(sl_clock_now_ns() + TICK_NS);
        chip = stub_pwm_chip();
    }
    if (chip < 0) { /* the module pwm-pca9685 is not loaded */
        write_text(delete_device, "0x40");
        skip();
    }
    output_config_for_tests(&output, "/sys/class/pwm");
    snprintf(output.steering_pwm, sizeof output.steering_pwm, "pwmchip%d/0", chip);
    snprintf(output.throttle_pwm, sizeof output.throttle_pwm, "pwmchip%d/1", chip);
    const int opened = open_with(&PWM, &output);
    double us[4] = {0};
    if (opened == 0) {
        us[0] = i2c_stub_pulse_us(device, 0);
        send(0.5, 5, 100);
        sl_clock_sleep_until_ns(sl_clock_now_ns() + 60 * SL_NS_PER_MS);
        us[1] = i2c_stub_pulse_us(device, 0);
        us[2] = i2c_stub_pulse_us(device, 1);
        sl_clock_sleep_until_ns(sl_clock_now_ns() + 200 * SL_NS_PER_MS);
        us[3] = i2c_stub_pulse_us(device, 1);
        sl_actuator_close(actuator);
        actuator = NULL;
    }
    write_text(delete_device, "0x40");
    if (opened != 0)
        fail_msg("%s", err.text);
    /* The driver rounds a pulse down to a step, of a period that it rounds, too. */
    assert_true(fabs(us[0] - 1500) < 8);
    assert_true(fabs(us[1] - 2000) < 8);
    assert_true(fabs(us[2] - 1800) < 8);
    assert_true(fabs(us[3] - 1500) < 8);
}

/* ---- this program as the driving process ---- */

static int drive_until_killed(const char *driver, const char *path)
{
    const struct kind *kinds[] = {&SERIAL, &VESC, &PWM, &PCA9685};
    const struct kind *kind = NULL;
    for (size_t i = 0; i < 4; i++)
        if (strcmp(kinds[i]->driver, driver) == 0)
            kind = kinds[i];
    struct sl_output_config output;
    output_config_for_tests(&output, path);
    if (kind == NULL || open_with(kind, &output) != 0) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    for (;;)
        drive(1000);
}

/* A test that failed must not fail the next. */
static int clean_up(void **state)
{
    (void)state;
    sl_actuator_close(actuator);
    actuator = NULL;
    peer_end();
    if (wires_can_fail()) {
        i2c_stub_set_fault("fail", 0);
        i2c_stub_set_fault("hang_ms", 0);
    }
    return 0;
}

int main(int argc, char **argv)
{
    /* This thread is the vehicle's, which is real-time where that is granted. */
    sched_setscheduler(0, SCHED_FIFO, &(struct sched_param){.sched_priority = 70});
    if (argc == 3)
        return drive_until_killed(argv[1], argv[2]);
    char found[64];
    stub = i2c_stub_find(found);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(commands_arrive_and_closing_is_neutral, clean_up),
        cmocka_unit_test_teardown(a_lease_ends_without_the_vehicles_help, clean_up),
        cmocka_unit_test_teardown(the_throttle_waits_for_the_esc, clean_up),
        cmocka_unit_test_teardown(what_is_not_there_is_told_in_a_sentence, clean_up),
        cmocka_unit_test_teardown(a_driver_that_is_killed_or_stopped_leaves_neutral, clean_up),
        cmocka_unit_test_teardown(a_helper_that_is_killed_is_replaced, clean_up),
        cmocka_unit_test_teardown(a_helper_that_hangs_is_noticed_and_replaced, clean_up),
        cmocka_unit_test_teardown(a_device_that_goes_silent_stops_the_vehicle, clean_up),
        cmocka_unit_test_teardown(a_device_that_is_unplugged_stops_the_vehicle, clean_up),
        cmocka_unit_test_teardown(the_devices_own_stop_stops_the_vehicle, clean_up),
        cmocka_unit_test_teardown(registers_are_as_the_data_sheet_has_them, clean_up),
        cmocka_unit_test_teardown(a_chip_that_lost_its_power_is_set_up_anew, clean_up),
        cmocka_unit_test_teardown(a_wire_that_fails_for_a_moment_is_tried_again_and_told, clean_up),
        cmocka_unit_test_teardown(a_wire_that_stays_broken_stops_the_vehicle, clean_up),
        cmocka_unit_test_teardown(the_kernels_pwm_reaches_a_chip, clean_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
