/* The watchdog's table, and watchdogs and GPIO chips that are not there: each ends in
 * one sentence that names the setting, and leaves nothing open. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "hal/gpio/gpio.h"
#include "hal/watchdog/watchdog.h"

static int first_free_fd(void)
{
    const int fd = dup(STDERR_FILENO);
    close(fd);
    return fd;
}

static void watchdogs(void **unused)
{
    (void)unused;
    const struct {
        struct sl_watchdog_config config;
        int rc;
        const char *says;
    } cases[] = {
        {{"linux", "/dev/watchdog-none", 10}, -ENODEV, "watchdog.device: there is no watchdog"},
        {{"linux", "/dev/null", 10}, -ENODEV, "is no watchdog"},
        {{"linux", "/dev/null", 0}, -EINVAL, "timeout"},
        {{"dog", "", 10}, -ENODEV, "\"dog\"; this build has: linux, none"},
    };
    const int before = first_free_fd();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sl_error err = {0};
        struct sl_watchdog *dog = (struct sl_watchdog *)&err;
        assert_int_equal(sl_watchdog_open(&dog, &cases[i].config, &err), cases[i].rc);
        assert_null(dog);
        assert_non_null(strstr(err.text, cases[i].says));
    }
    assert_int_equal(first_free_fd(), before);
}

static void none_never_resets(void **unused)
{
    (void)unused;
    struct sl_error err = {0};
    struct sl_watchdog *dog = NULL;
    uint32_t left_s;
    const struct sl_watchdog_config config = {.driver = "none", .timeout_s = 1};
    assert_int_equal(sl_watchdog_open(&dog, &config, &err), 0);
    assert_int_equal(sl_watchdog_info(dog)->timeout_s, 0);
    assert_int_equal(sl_watchdog_feed(dog), 0);
    assert_int_equal(sl_watchdog_time_left(dog, &left_s), -ENOTSUP);
    sl_watchdog_close(dog, true);
    sl_watchdog_close(NULL, true);
}

static void gpio_chips(void **unused)
{
    (void)unused;
    static const char *const CHIPS[] = {"/dev/gpiochip-none", "/dev/null"};
    const int before = first_free_fd();
    for (size_t i = 0; i < sizeof CHIPS / sizeof CHIPS[0]; i++) {
        struct sl_error err = {0};
        struct sl_gpio *line = (struct sl_gpio *)&err;
        const struct sl_gpio_config config = {
            .chip = CHIPS[i], .consumer = "test", .setting = "gpio.estop"};
        assert_int_equal(sl_gpio_open(&line, &config, &err), -ENODEV);
        assert_null(line);
        assert_ptr_equal(strstr(err.text, "gpio.estop_chip: "), err.text);
        assert_non_null(strstr(err.text, CHIPS[i]));
    }
    assert_int_equal(first_free_fd(), before);
    sl_gpio_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(watchdogs),
        cmocka_unit_test(none_never_resets),
        cmocka_unit_test(gpio_chips),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
