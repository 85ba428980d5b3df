/* skylane calibrate steering with keys from a pipe: what it writes, what it refuses,
 * and what the servo sees meanwhile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "app/config/settings.h"

static char folder[64], file[128], output[16 * 1024];

/* Runs with this input and these arguments; the exit status, both outputs kept. */
static int run(const char *input, const char *arguments)
{
    char command[1024];
    snprintf(command, sizeof command,
             "printf '%s' | SKYLANE_BUS_DIR=%s timeout 60 %s/skylane-calibrate steering %s 2>&1",
             input, folder, SL_BIN_DIR, arguments);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    output[fread(output, 1, sizeof output - 1, pipe)] = '\0';
    const int status = pclose(pipe);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void says(const char *part)
{
    if (strstr(output, part) == NULL)
        fail_msg("does not say \"%s\":\n%s", part, output);
}

static void write_file(const char *text)
{
    FILE *f = fopen(file, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void read_back(struct sl_settings *settings)
{
    struct sl_error err = {0};
    sl_settings_defaults(settings);
    if (sl_settings_read(settings, file, &err) != 0 || sl_settings_check(settings, &err) != 0)
        fail_msg("%s", err.text);
}

static const char *arguments_with(const char *more)
{
    static char text[512];
    snprintf(text, sizeof text, "--config %s --output %s %s", file, file, more);
    return text;
}

#define CAR "[vehicle]\nwheelbase_m = 0.26\nsteering_max_rad = 0.4\n[actuator]\ndriver = null ; x\n"
/* Enter; 1500 + 3 x 2; then left 20 x 20 shorter; right 20 x 20 longer. */
#define KEYS "\\nlll\\nJJJJJJJJJJJJJJJJJJJJ\\nLLLLLLLLLLLLLLLLLLLL\\n"

static void pulses_are_written_and_checked(void **state)
{
    (void)state;
    struct sl_settings s;
    struct sl_error err = {0};
    write_file(CAR);
    assert_int_equal(run(KEYS "0\\n", arguments_with("")), 0);
    says("written to");
    read_back(&s);
    assert_true(s.actuator.steering_centre_us == 1506);
    assert_true(s.actuator.steering_left_us == 1106);
    assert_true(s.actuator.steering_right_us == 1906);
    assert_int_equal(strlen(s.actuator.steering_check), 8);
    assert_string_equal(s.actuator.driver, "null"); /* what else was there stays */
    assert_true(s.vehicle.wheelbase_m == 0.26);

    /* Changed by hand, or half written: told. */
    assert_int_equal(sl_settings_set(&s, "actuator.steering_left_us=1107", &err), 0);
    assert_true(sl_settings_check(&s, &err) < 0);
    assert_non_null(strstr(err.text, "steering_check"));
    assert_int_equal(sl_settings_set(&s, "actuator.steering_check=", &err), 0);
    assert_int_equal(sl_settings_check(&s, &err), 0);

    /* It begins at what was found, and can be run again. */
    assert_int_equal(run("\\n\\nJJJJJ\\nLLLLL\\n0\\n", arguments_with("")), 0);
    read_back(&s);
    assert_true(s.actuator.steering_centre_us == 1506);
    assert_true(s.actuator.steering_left_us == 1406);
}

static void the_straight_run_corrects_the_centre(void **state)
{
    (void)state;
    struct sl_settings s;
    write_file(CAR);
    /* 0.1 m to the left over 3 m: the wheels stood to the left. */
    assert_int_equal(run(KEYS "3\\n0.1\\n", arguments_with("")), 0);
    read_back(&s);
    /* Check by driving that arc: from its start, heading along it, 3 m on. */
    const double slope_radpus = 2 * 0.4 / (1106.0 - 1906.0);
    const double angle_rad = (1506 - s.actuator.steering_centre_us) * slope_radpus;
    const double radius_m = 0.26 / tan(angle_rad);
    const double drift_m = radius_m - sqrt(radius_m * radius_m - 9);
    assert_true(angle_rad > 0);
    assert_true(fabs(drift_m - 0.1) < 0.003);
}

static void what_makes_no_sense_is_refused(void **state)
{
    (void)state;
    struct sl_settings s;
    write_file(CAR);
    assert_int_equal(run("\\n\\nJJJJ\\nJJJJ\\n0\\n", arguments_with("")), 1); /* both ends left */
    says("no settings are written");
    assert_int_equal(run("\\n\\nJJq", arguments_with("")), 1);
    says("given up");
    assert_int_equal(run("\\n\\n", arguments_with("")), 1); /* the input ends */
    read_back(&s);
    assert_true(s.actuator.steering_centre_us == 1500);
    assert_int_equal(strlen(s.actuator.steering_check), 0);
    assert_int_equal(run(KEYS "three\\n0\\n", arguments_with("")), 0); /* asked again */
    assert_int_equal(run("", arguments_with("-o actuator.driver=bus")), 1);
    says("pca9685, pwm or serial");
    assert_int_equal(run("", arguments_with("-o actuator.driver=vesc")), 1);
    says("vesc_servo_offset");
    assert_int_equal(
        run("", arguments_with("-o actuator.driver=pca9685 -o actuator.device=/dev/i2c-199")), 1);
    says("there is no I2C bus /dev/i2c-199");
    assert_int_equal(run("", "--config /dev/null"), 2);
    says("--output");
}

static int begin(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/skylane_steering_XXXXXX");
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(file, sizeof file, "%s/car.ini", folder);
    return 0;
}

static int end(void **state)
{
    (void)state;
    unlink(file);
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pulses_are_written_and_checked),
        cmocka_unit_test(the_straight_run_corrects_the_centre),
        cmocka_unit_test(what_makes_no_sense_is_refused),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
