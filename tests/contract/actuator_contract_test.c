/* What every actuator driver promises, run over every driver of this build. A
 * driver that has no fixture here fails the first test. */
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

#include "hal/actuator/actuator.h"
#include "rt/bus.h"
#include "rt/clock.h"
#include "tests/contract/allocations.h"
#include "tests/contract/i2c_stub.h"
#include "tests/contract/output_peers.h"

#define BUS          "contract_command"
#define STEERING_MAX 0.5
#define SPEED_MAX    10.0
#define NOW          started_ns /* hardware outputs look at the clock */
#define LEASE        UINT64_C(100000000)

/* ---- fixtures: how to see what the device was told ---- */

static char folder[128];
static char device[64]; /* of hardware outputs */
static uint64_t started_ns;
static struct sl_error err;
static struct sl_bus_reader *reader;

struct fixture {
    const char *driver;
    const char *target;
    void (*begin)(void); /* sets `device` for hardware */
    /* Takes the next command that the device got, in order; false: none. */
    bool (*seen)(struct sl_command *command);
    void (*end)(void);
};

static void bus_begin(void)
{
    const struct sl_bus_reader_config config = {
        .name = BUS, .type = SL_RECORD_COMMAND, .min_bytes = sizeof(struct sl_command)};
    assert_int_equal(sl_bus_reader_open(&reader, &config, &err), 0);
}

static bool bus_seen(struct sl_command *command)
{
    struct sl_bus_view view;
    for (int attempt = 0; attempt < 100; attempt++) {
        const int result = sl_bus_read_next(reader, command, sizeof *command, &view);
        if (result == 0) {
            assert_int_equal(view.missed, 0);
            assert_int_equal(view.measured_ns,
                             command->exposed_ns != 0 ? command->exposed_ns : command->issued_ns);
            return true;
        }
        if (sl_bus_reader_attached(reader) != 0)
            return false; /* nothing new, or closed and read to its end */
        sl_clock_sleep_until_ns(sl_clock_now_ns() + 10 * SL_NS_PER_MS);
    }
    return false;
}

static void bus_end(void)
{
    sl_bus_reader_close(reader);
    reader = NULL;
}

static void nothing(void) {}

static void serial_begin(void)
{
    peer_begin(false, device);
}

static void vesc_begin(void)
{
    peer_begin(true, device);
}

static void pwm_begin(void)
{
    pwm_folder_begin(device);
}

static void pwm_end(void)
{
    for (int i = 0; i < 2; i++)
        assert_int_equal(pwm_folder_get(device, i, "duty_cycle"), 1500000);
    pwm_folder_end(device);
}

static void pca9685_begin(void)
{
    assert_true(i2c_stub_find(device));
}

static void pca9685_end(void)
{
    for (int i = 0; i < 2; i++) /* a step is 4.88 us at 50 Hz */
        assert_true(fabs(i2c_stub_pulse_us(device, i) - 1500) < 2.6);
}

static void serial_end(void)
{
    assert_true(peer_await_ns(1500, 1500, 1000) != UINT64_MAX);
    peer_end();
}

static void vesc_end(void)
{
    assert_true(peer_await_ns(0.5, 0, 1000) != UINT64_MAX);
    peer_end();
}

static const struct fixture FIXTURES[] = {
    {"bus", BUS, bus_begin, bus_seen, bus_end},
    {"null", NULL, nothing, NULL, nothing},
    /* What hardware sees is the business of actuator_outputs_test; here it rests
     * at the end. */
    {"pwm", NULL, pwm_begin, NULL, pwm_end},
    {"serial", NULL, serial_begin, NULL, serial_end},
    {"vesc", NULL, vesc_begin, NULL, vesc_end},
    {"pca9685", NULL, pca9685_begin, NULL, pca9685_end}, /* last: only where there is a stub */
};
#define DRIVER_COUNT (sizeof FIXTURES / sizeof FIXTURES[0])
static size_t FIXTURE_COUNT = DRIVER_COUNT;

static struct sl_actuator *open_actuator(const struct fixture *fixture)
{
    struct sl_actuator *actuator = NULL;
    struct sl_output_config output;
    output_config_for_tests(&output, device);
    const struct sl_actuator_config config = {.driver = fixture->driver,
                                              .target = fixture->target,
                                              .steering_max_rad = STEERING_MAX,
                                              .speed_max_mps = SPEED_MAX,
                                              .output = &output};
    err.text[0] = '\0';
    if (sl_actuator_open(&actuator, &config, &err) != 0)
        fail_msg("%s does not open: %s", fixture->driver, err.text);
    return actuator;
}

static struct sl_command command_of(float steering_rad, float speed_mps)
{
    return (struct sl_command){.seq = 999,
                               .frame_id = 7,
                               .exposed_ns = NOW - 2000,
                               .received_ns = NOW - 1000,
                               .issued_ns = NOW,
                               .expires_ns = NOW + LEASE,
                               .steering_rad = steering_rad,
                               .speed_mps = speed_mps,
                               .mode = SL_MODE_DRIVING};
}

/* The device got exactly what the wrapper says that it sent last. */
static void check_seen(const struct fixture *fixture, const struct sl_actuator *actuator)
{
    struct sl_command command;
    if (fixture->seen == NULL)
        return;
    assert_true(fixture->seen(&command));
    assert_memory_equal(&command, sl_actuator_last(actuator), sizeof command);
    assert_false(fixture->seen(&command));
}

static void check_neutral(const struct fixture *fixture, const struct sl_actuator *actuator,
                          uint64_t seq, uint32_t mode)
{
    const struct sl_command *last = sl_actuator_last(actuator);
    assert_true(sl_actuator_is_neutral(actuator));
    assert_true(last->steering_rad == 0 && last->speed_mps == 0);
    assert_int_equal(last->seq, seq);
    assert_int_equal(last->mode, mode);
    assert_int_equal(last->frame_id, 0);
    assert_true(last->expires_ns == UINT64_MAX);
    check_seen(fixture, actuator);
}

/* ---- the contract ---- */

static void every_driver_has_a_fixture(void **state)
{
    (void)state;
    size_t count = 0;
    for (; sl_actuator_drivers[count] != NULL; count++) {
        const struct sl_actuator_driver *driver = sl_actuator_drivers[count];
        bool found = false;
        for (size_t i = 0; i < DRIVER_COUNT; i++)
            found = found || strcmp(FIXTURES[i].driver, driver->name) == 0;
        if (!found)
            fail_msg("actuator driver %s has no fixture in this test", driver->name);
        assert_true(strlen(driver->help) > 10);
        assert_true(driver->open && driver->send && driver->neutral && driver->close);
        assert_true(driver->tend && driver->status);
    }
    assert_int_equal(count, DRIVER_COUNT);
}

static void expect_open_error(const struct sl_actuator_config *config, int code, const char *word)
{
    struct sl_actuator *actuator = (struct sl_actuator *)folder;
    err.text[0] = '\0';
    const int result = sl_actuator_open(&actuator, config, &err);
    if (result != code || strstr(err.text, word) == NULL)
        fail_msg("got %d '%s' instead of %d '..%s..'", result, err.text, code, word);
    assert_null(actuator);
    assert_int_equal(sl_actuator_open(&actuator, config, NULL), code);
}

static void wrong_settings_do_not_open(void **state)
{
    (void)state;
    static const double BAD[] = {0, -1, NAN, INFINITY, -INFINITY, 1e-300, 1e300};
    for (size_t i = 0; i < FIXTURE_COUNT; i++) {
        for (size_t n = 0; n < sizeof BAD / sizeof BAD[0]; n++) {
            struct sl_actuator_config config = {.driver = FIXTURES[i].driver,
                                                .target = FIXTURES[i].target,
                                                .steering_max_rad = BAD[n],
                                                .speed_max_mps = 1};
            expect_open_error(&config, -EINVAL, "limits");
            config.steering_max_rad = 1;
            config.speed_max_mps = BAD[n];
            expect_open_error(&config, -EINVAL, "limits");
        }
    }
    struct sl_actuator_config config = {
        .driver = "pwm9", .steering_max_rad = 1, .speed_max_mps = 1};
    expect_open_error(&config, -ENODEV, "pwm9\"; this build has: bus, null, pca9685");
    config.driver = NULL;
    expect_open_error(&config, -ENODEV, "this build has");
    config.driver = "bus";
    config.target = "Not A Bus";
    expect_open_error(&config, -EINVAL, "");
    struct sl_actuator *first = open_actuator(&FIXTURES[0]);
    config.target = BUS;
    expect_open_error(&config, -EBUSY, BUS);
    sl_actuator_close(first);
    sl_actuator_close(NULL);
}

static void opening_and_closing_are_neutral(void **state)
{
    (void)state;
    for (size_t i = 0; i < FIXTURE_COUNT; i++) {
        const struct fixture *fixture = &FIXTURES[i];
        for (int round = 0; round < 2; round++) {
            fixture->begin();
            struct sl_actuator *actuator = open_actuator(fixture);
            check_neutral(fixture, actuator, 1, SL_MODE_DISARMED);
            const struct sl_command command = command_of(0.2f, 3);
            assert_int_equal(sl_actuator_send(actuator, &command, NOW), 0);
            check_seen(fixture, actuator);
            sl_actuator_close(actuator);

            struct sl_command last = {0};
            if (fixture->seen != NULL) {
                assert_true(fixture->seen(&last));
                assert_int_equal(last.seq, 3);
                assert_true(last.steering_rad == 0 && last.speed_mps == 0);
                assert_int_equal(last.mode, SL_MODE_DISARMED);
                assert_false(fixture->seen(&last));
            }
            fixture->end();
        }
    }
}

static void commands_pass_clamped_and_numbered(void **state)
{
    (void)state;
    static const float IN[][2] = {{0, 0},        {0.3f, 5},           {-0.3f, 10},  {0.5f, 10.001f},
                                  {0.6f, 1e30f}, {-0.51f, 3.0e38f},   {3.0e38f, 0}, {-3.0e38f, 1},
                                  {-0.0f, 0},    {1.0e-40f, 1.0e-40f}};
    for (size_t i = 0; i < FIXTURE_COUNT; i++) {
        const struct fixture *fixture = &FIXTURES[i];
        fixture->begin();
        struct sl_actuator *actuator = open_actuator(fixture);
        check_neutral(fixture, actuator, 1, SL_MODE_DISARMED);
        for (size_t n = 0; n < sizeof IN / sizeof IN[0]; n++) {
            const struct sl_command command = command_of(IN[n][0], IN[n][1]);
            assert_int_equal(sl_actuator_send(actuator, &command, NOW), 0);
            assert_false(sl_actuator_is_neutral(actuator));
            const struct sl_command *last = sl_actuator_last(actuator);
            const float steering = fmaxf(-0.5f, fminf(0.5f, IN[n][0]));
            assert_true(last->steering_rad == steering);
            assert_true(last->speed_mps == fminf(10.0f, IN[n][1]));
            struct sl_command expected = command;
            expected.seq = n + 2;
            expected.steering_rad = last->steering_rad;
            expected.speed_mps = last->speed_mps;
            assert_memory_equal(last, &expected, sizeof expected);
            check_seen(fixture, actuator);
        }
        sl_actuator_close(actuator);
        fixture->end();
    }
}

static void bad_commands_are_refused_and_neutral(void **state)
{
    (void)state;
    static const float BAD[][2] = {{NAN, 1},        {INFINITY, 1},    {-INFINITY, 1},
                                   {0.1f, NAN},     {0.1f, INFINITY}, {0.1f, -INFINITY},
                                   {0.1f, -0.001f}, {NAN, NAN}};
    for (size_t i = 0; i < FIXTURE_COUNT; i++) {
        const struct fixture *fixture = &FIXTURES[i];
        fixture->begin();
        struct sl_actuator *actuator = open_actuator(fixture);
        uint64_t seq = 1;
        check_neutral(fixture, actuator, seq, SL_MODE_DISARMED);
        for (size_t n = 0; n < sizeof BAD / sizeof BAD[0]; n++) {
            const struct sl_command good = command_of(0.1f, 2);
            assert_int_equal(sl_actuator_send(actuator, &good, NOW), 0);
            seq++;
            check_seen(fixture, actuator);
            const struct sl_command bad = command_of(BAD[n][0], BAD[n][1]);
            assert_int_equal(sl_actuator_send(actuator, &bad, NOW), -EINVAL);
            check_neutral(fixture, actuator, ++seq, SL_MODE_SAFE_STOP);
        }
        sl_actuator_close(actuator);
        fixture->end();
    }
}

static void expired_commands_are_refused_and_neutral(void **state)
{
    (void)state;
    for (size_t i = 0; i < FIXTURE_COUNT; i++) {
        const struct fixture *fixture = &FIXTURES[i];
        fixture->begin();
        struct sl_actuator *actuator = open_actuator(fixture);
        check_neutral(fixture, actuator, 1, SL_MODE_DISARMED);
        struct sl_command command = command_of(0.1f, 2);
        assert_int_equal(sl_actuator_send(actuator, &command, NOW), 0);
        check_seen(fixture, actuator);
        assert_int_equal(sl_actuator_send(actuator, &command, NOW + LEASE), -ETIME);
        check_neutral(fixture, actuator, 3, SL_MODE_SAFE_STOP);
        assert_int_equal(sl_actuator_send(actuator, &command, NOW + LEASE - 1), 0);
        check_seen(fixture, actuator);
        command.expires_ns = 0;
        assert_int_equal(sl_actuator_send(actuator, &command, NOW), -ETIME);
        check_neutral(fixture, actuator, 5, SL_MODE_SAFE_STOP);
        sl_actuator_close(actuator);
        fixture->end();
    }
}

static void a_lease_ends_once(void **state)
{
    (void)state;
    for (size_t i = 0; i < FIXTURE_COUNT; i++) {
        const struct fixture *fixture = &FIXTURES[i];
        fixture->begin();
        struct sl_actuator *actuator = open_actuator(fixture);
        check_neutral(fixture, actuator, 1, SL_MODE_DISARMED);
        assert_int_equal(sl_actuator_poll(actuator, UINT64_MAX), 0); /* neutral does not end */

        const struct sl_command command = command_of(0.1f, 2);
        assert_int_equal(sl_actuator_send(actuator, &command, NOW), 0);
        check_seen(fixture, actuator);
        assert_int_equal(sl_actuator_poll(actuator, NOW), 0);
        assert_int_equal(sl_actuator_poll(actuator, NOW + LEASE - 1), 0);
        assert_false(sl_actuator_is_neutral(actuator));
        assert_int_equal(sl_actuator_poll(actuator, NOW + LEASE), -ETIME);
        check_neutral(fixture, actuator, 3, SL_MODE_SAFE_STOP);
        assert_int_equal(sl_actuator_poll(actuator, NOW + 2 * LEASE), 0);
        assert_int_equal(sl_actuator_last(actuator)->seq, 3);

        assert_int_equal(sl_actuator_neutral(actuator, NOW), 0);
        check_neutral(fixture, actuator, 4, SL_MODE_DISARMED);
        assert_int_equal(sl_actuator_last(actuator)->issued_ns, NOW);
        sl_actuator_close(actuator);
        fixture->end();
    }
}

static void sending_allocates_nothing(void **state)
{
    (void)state;
    free(malloc(1));
    assert_true(allocations > 0); /* the counter counts */
    for (size_t i = 0; i < FIXTURE_COUNT; i++) {
        FIXTURES[i].begin();
        struct sl_actuator *actuator = open_actuator(&FIXTURES[i]);
        const uint64_t before = allocations;
        for (int n = 0; n < 200; n++) {
            const struct sl_command command = command_of(n % 7 == 0 ? NAN : 0.1f, 2);
            (void)sl_actuator_send(actuator, &command, NOW);
            (void)sl_actuator_poll(actuator, NOW + LEASE);
            (void)sl_actuator_neutral(actuator, NOW);
        }
        assert_int_equal(allocations, before);
        sl_actuator_close(actuator);
        FIXTURES[i].end();
    }
}

static void an_empty_target_is_the_usual_bus(void **state)
{
    (void)state;
    const struct sl_bus_reader_config config = {
        .name = SL_BUS_COMMAND, .type = SL_RECORD_COMMAND, .min_bytes = sizeof(struct sl_command)};
    const struct fixture usual = {.driver = "bus", .target = ""};
    struct sl_actuator *actuator = open_actuator(&usual);
    struct sl_command command;
    assert_int_equal(sl_bus_reader_open(&reader, &config, &err), 0);
    assert_int_equal(sl_bus_read_newest(reader, &command, sizeof command, NULL), 0);
    assert_int_equal(command.seq, 1);
    sl_bus_reader_close(reader);
    sl_actuator_close(actuator);
}

static int create(void **state)
{
    (void)state;
    started_ns = sl_clock_now_ns();
    if (!i2c_stub_find(device))
        FIXTURE_COUNT--;
    const char *places[] = {"/dev/shm", "/tmp"};
    for (size_t i = 0; i < 2; i++) {
        snprintf(folder, sizeof folder, "%s/skylane_actuator_XXXXXX", places[i]);
        if (mkdtemp(folder) != NULL)
            break;
    }
    return setenv("SKYLANE_BUS_DIR", folder, 1);
}

static int destroy(void **state)
{
    (void)state;
    char command[256];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_driver_has_a_fixture),
        cmocka_unit_test(wrong_settings_do_not_open),
        cmocka_unit_test(opening_and_closing_are_neutral),
        cmocka_unit_test(commands_pass_clamped_and_numbered),
        cmocka_unit_test(bad_commands_are_refused_and_neutral),
        cmocka_unit_test(expired_commands_are_refused_and_neutral),
        cmocka_unit_test(a_lease_ends_once),
        cmocka_unit_test(sending_allocates_nothing),
        cmocka_unit_test(an_empty_target_is_the_usual_bus),
    };
    return cmocka_run_group_tests(tests, create, destroy);
}
