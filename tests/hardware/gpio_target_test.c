/* Lines of a GPIO chip of the kernel's. SL_GPIO_CHIP names it (/dev/gpiochip0) and
 * SL_GPIO_LINE a line of it that nothing is connected to (0: it becomes an output);
 * skipped where there is no such chip.
 *
 * Where the module gpio-sim is loaded (as root, configfs mounted), a chip of that kind
 * is made besides, whose lines can be pulled from outside and which can be taken away.
 *
 * With SL_GPIO_EDGE_LINE an edge from outside is waited for on that line: on QEMU's
 * "virt" line 3 is a power button, which "system_powerdown" on QEMU's monitor presses
 * for a tenth of a second (without the module gpio_keys, which takes the line). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/config/settings.h"
#include "app/drive/estop.h"
#include "hal/gpio/gpio.h"
#include "rt/clock.h"

static struct sl_gpio_config given;

static struct sl_gpio *take(const struct sl_gpio_config *config)
{
    struct sl_error err = {0};
    struct sl_gpio *line = NULL;
    if (sl_gpio_open(&line, config, &err) != 0)
        fail_msg("%s", err.text);
    return line;
}

static void outputs_read_back(void **unused)
{
    (void)unused;
    for (int active_low = 0; active_low < 2; active_low++) {
        struct sl_gpio_config config = given;
        config.output = true;
        config.active_low = active_low;
        struct sl_gpio *line = take(&config);
        assert_int_equal(sl_gpio_read(line), 0); /* inactive after opening */
        for (int i = 0; i < 6; i++) {
            assert_int_equal(sl_gpio_set(line, i % 2 == 0), 0);
            assert_int_equal(sl_gpio_read(line), i % 2 == 0);
        }
        assert_int_equal(sl_gpio_set(line, true), 0);
        sl_gpio_close(line);
    }
}

static void a_quiet_input_has_no_edges(void **unused)
{
    (void)unused;
    struct sl_gpio *line = take(&given);
    const int level = sl_gpio_read(line);
    assert_true(level == 0 || level == 1);
    const uint64_t until_ns = sl_clock_now_ns() + 200 * SL_NS_PER_MS;
    assert_int_equal(sl_gpio_wait(line, until_ns), 0);
    assert_true(sl_clock_now_ns() >= until_ns);
    assert_int_equal(sl_gpio_wait(line, 0), 0); /* a time that is past: no wait */
    sl_gpio_close(line);
    /* The same level, named the other way round. */
    struct sl_gpio_config config = given;
    config.active_low = true;
    line = take(&config);
    assert_int_equal(sl_gpio_read(line), !level);
    sl_gpio_close(line);
}

static void refuses_with_a_sentence(void **unused)
{
    (void)unused;
    struct sl_error err = {0};
    struct sl_gpio *line = take(&given), *other = NULL;
    assert_int_equal(sl_gpio_open(&other, &given, &err), -EBUSY);
    assert_non_null(strstr(err.text, "in use"));
    assert_null(other);
    sl_gpio_close(line);
    struct sl_gpio_config config = given;
    config.line = 1000;
    assert_int_equal(sl_gpio_open(&other, &config, &err), -EINVAL);
    assert_non_null(strstr(err.text, "has lines 0 to"));
    config.chip = "/dev/null";
    assert_int_equal(sl_gpio_open(&other, &config, &err), -ENODEV);
    assert_non_null(strstr(err.text, "no GPIO chip"));
    config.chip = "/dev/gpiochip99";
    assert_int_equal(sl_gpio_open(&other, &config, &err), -ENODEV);
    assert_non_null(strstr(err.text, "there is no GPIO chip"));
}

static void an_edge_from_outside(void **unused)
{
    (void)unused;
    const char *number = getenv("SL_GPIO_EDGE_LINE");
    if (number == NULL)
        skip();
    struct sl_gpio_config config = given;
    config.line = (uint32_t)strtoul(number, NULL, 10);
    struct sl_gpio *line = take(&config);
    const int before = sl_gpio_read(line);
    print_message("waits for an edge on line %u\n", config.line);
    assert_int_equal(sl_gpio_wait(line, sl_clock_now_ns() + 120 * SL_NS_PER_S), 1);
    assert_int_equal(sl_gpio_read(line), !before);
    /* The button is let go. */
    assert_int_equal(sl_gpio_wait(line, sl_clock_now_ns() + 10 * SL_NS_PER_S), 1);
    assert_int_equal(sl_gpio_read(line), before);
    sl_gpio_close(line);
}

/* ---- a simulated chip ---- */

#define SIM "/sys/kernel/config/gpio-sim"
#define DIR SIM "/skylane"

static struct {
    char device[64], name[64]; /* of the platform device, and of its chip */
    char chip[80];
    bool live;
} sim;

static void put(const char *path, const char *text)
{
    const int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, text, strlen(text)) < 0)
        fail_msg("%s: %s", path, strerror(errno));
    close(fd);
}

static void get(const char *path, char text[64])
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    const ssize_t got = fd >= 0 ? read(fd, text, 63) : -1;
    if (got < 0)
        fail_msg("%s: %s", path, strerror(errno));
    close(fd);
    text[got < 0 ? 0 : got] = '\0'; /* fail_msg() does not return, which gcc is not told */
    text[strcspn(text, "\n")] = '\0';
}

static void pull(unsigned line, bool up)
{
    char path[256];
    snprintf(path, sizeof path, "/sys/devices/platform/%s/%s/sim_gpio%u/pull", sim.device, sim.name,
             line);
    put(path, up ? "pull-up" : "pull-down");
}

static int plug(void **unused)
{
    (void)unused;
    if (access(SIM, F_OK) != 0)
        return 0;
    if (mkdir(DIR, 0755) != 0 || mkdir(DIR "/bank", 0755) != 0)
        return -1;
    put(DIR "/bank/num_lines", "8");
    put(DIR "/live", "1");
    sim.live = true;
    get(DIR "/dev_name", sim.device);
    get(DIR "/bank/chip_name", sim.name);
    snprintf(sim.chip, sizeof sim.chip, "/dev/%s", sim.name);
    for (int i = 0; i < 100 && access(sim.chip, F_OK) != 0; i++)
        sl_clock_sleep_until_ns(sl_clock_now_ns() + 20 * SL_NS_PER_MS);
    return 0;
}

static void unplug(void)
{
    if (sim.live)
        put(DIR "/live", "0");
    sim.live = false;
}

static int clean(void **unused)
{
    (void)unused;
    if (sim.name[0] == '\0')
        return 0;
    unplug();
    rmdir(DIR "/bank");
    rmdir(DIR);
    memset(&sim, 0, sizeof sim);
    return 0;
}

static void pulled_lines_tell_edges(void **unused)
{
    (void)unused;
    if (sim.name[0] == '\0')
        skip();
    const struct sl_gpio_config config = {
        .chip = sim.chip, .line = 2, .consumer = "skylane test", .setting = "gpio.test"};
    pull(2, false);
    struct sl_gpio *line = take(&config);
    assert_int_equal(sl_gpio_read(line), 0);
    for (int i = 0; i < 4; i++) {
        pull(2, i % 2 == 0);
        assert_int_equal(sl_gpio_wait(line, sl_clock_now_ns() + 5 * SL_NS_PER_S), 1);
        assert_int_equal(sl_gpio_read(line), i % 2 == 0);
    }
    /* More edges than the kernel keeps, all forgotten with fewer calls: the level counts. */
    for (int i = 0; i < 60; i++)
        pull(2, i % 2 == 0);
    int calls = 0;
    while (sl_gpio_wait(line, sl_clock_now_ns() + 200 * SL_NS_PER_MS) == 1)
        calls++;
    assert_true(calls > 0 && calls < 60);
    assert_int_equal(sl_gpio_read(line), 0);
    sl_gpio_close(line);
    /* An open wire takes the level of the bias. */
    struct sl_gpio_config biased = config;
    biased.bias = SL_GPIO_BIAS_UP;
    line = take(&biased);
    assert_int_equal(sl_gpio_read(line), 1);
    sl_gpio_close(line);
    biased.bias = SL_GPIO_BIAS_DOWN;
    biased.active_low = true;
    line = take(&biased);
    assert_int_equal(sl_gpio_read(line), 1);
    /* Taken away while it is in use. */
    unplug();
    assert_int_equal(sl_gpio_wait(line, sl_clock_now_ns() + SL_NS_PER_S), -ENODEV);
    assert_int_equal(sl_gpio_read(line), -ENODEV);
    sl_gpio_close(line);
}

static bool await_pressed(struct sl_estop *estop, bool pressed)
{
    const uint64_t give_up_ns = sl_clock_now_ns() + 5 * SL_NS_PER_S;
    while (sl_estop_is_pressed(estop) != pressed) {
        if (sl_clock_now_ns() > give_up_ns)
            return false;
        sl_clock_sleep_until_ns(sl_clock_now_ns() + SL_NS_PER_MS);
    }
    return true;
}

static void an_emergency_stop(void **unused)
{
    (void)unused;
    if (sim.name[0] == '\0')
        skip();
    static struct sl_settings settings;
    struct sl_error err = {0};
    struct sl_estop *estop = NULL;
    sl_settings_defaults(&settings);
    settings.gpio.estop_line = 3;
    snprintf(settings.gpio.estop_chip, sizeof settings.gpio.estop_chip, "%s", sim.chip);
    if (sl_estop_open(&estop, &settings, NULL, &err) != 0 || sl_estop_start(estop, 79, &err) != 0)
        fail_msg("%s", err.text);
    /* The wire is open: the resistor pulls it up. */
    assert_true(sl_estop_is_pressed(estop));
    uint64_t seen = 0;
    for (int i = 0; i < 3; i++) {
        pull(3, false); /* the button connects it to ground */
        assert_true(await_pressed(estop, false));
        (void)sl_estop_pressed(estop, &seen);
        assert_false(sl_estop_pressed(estop, &seen));
        pull(3, true);
        assert_true(await_pressed(estop, true));
        assert_true(sl_estop_pressed(estop, &seen));
    }
    pull(3, false);
    assert_true(await_pressed(estop, false));
    unplug();
    assert_true(await_pressed(estop, true));
    sl_estop_close(estop);
}

int main(void)
{
    const char *chip = getenv("SL_GPIO_CHIP"), *line = getenv("SL_GPIO_LINE");
    given = (struct sl_gpio_config){.chip = chip != NULL ? chip : "/dev/gpiochip0",
                                    .line = line != NULL ? (uint32_t)strtoul(line, NULL, 10) : 0,
                                    .consumer = "skylane test",
                                    .setting = "gpio.test"};
    if (access(given.chip, F_OK) != 0) {
        fprintf(stderr, "skipped: there is no %s\n", given.chip);
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(outputs_read_back),
        cmocka_unit_test(a_quiet_input_has_no_edges),
        cmocka_unit_test(refuses_with_a_sentence),
        cmocka_unit_test_setup_teardown(pulled_lines_tell_edges, plug, clean),
        cmocka_unit_test_setup_teardown(an_emergency_stop, plug, clean),
        cmocka_unit_test(an_edge_from_outside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
