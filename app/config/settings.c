#include "app/config/settings.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "app/config/convert.h"
#include "app/config/table.h"

#define LEASE_MIN_MS      100 /* what a viewer can keep renewing over a radio link */
#define HARDWARE_LEASE_MS 90  /* SL_HELPER_LEASE_MAX_NS of hal/actuator/helper.h */

void sl_settings_defaults(struct sl_settings *settings)
{
    memset(settings, 0, sizeof *settings);
    for (size_t i = 0; i < sl_key_count; i++) {
        const struct sl_key *key = &sl_keys[i];
        void *to = (char *)settings + key->offset;
        switch (key->type) {
        case SL_KEY_REAL:
            *(double *)to = key->default_number;
            break;
        case SL_KEY_INT:
            *(int64_t *)to = (int64_t)key->default_number;
            break;
        case SL_KEY_BOOL:
            *(bool *)to = key->default_number != 0;
            break;
        case SL_KEY_TEXT:
        case SL_KEY_CHOICE:
            snprintf(to, SL_SETTINGS_TEXT_MAX, "%s", key->default_text);
            break;
        }
    }
}

/* Copies without the white space at both ends; false if it does not fit. */
static bool trimmed(char *to, size_t room, const char *from, size_t length)
{
    while (length > 0 && isspace((unsigned char)from[0])) {
        from++;
        length--;
    }
    while (length > 0 && isspace((unsigned char)from[length - 1]))
        length--;
    if (length >= room)
        return false;
    memcpy(to, from, length);
    to[length] = '\0';
    return true;
}

/* The key of an assignment, and its value's text. */
static int split(const char *assignment, const struct sl_key **key, char value[1024],
                 struct sl_error *err)
{
    const char *equals = strchr(assignment, '=');
    const char *dot = strchr(assignment, '.');
    if (equals == NULL || dot == NULL || dot > equals)
        return sl_error_set(err, -EINVAL,
                            "\"%.80s\": expected section.key=value, as in control.speed_mps=5",
                            assignment);
    char section[64], name[64];
    if (!trimmed(section, sizeof section, assignment, (size_t)(dot - assignment)) ||
        !trimmed(name, sizeof name, dot + 1, (size_t)(equals - dot - 1)) ||
        !trimmed(value, 1024, equals + 1, strlen(equals + 1)))
        return sl_error_set(err, -EINVAL, "\"%.80s...\": longer than any setting", assignment);
    *key = sl_key_find(section, name);
    return *key != NULL ? 0 : sl_key_unknown(section, name, err);
}

int sl_settings_set(struct sl_settings *settings, const char *assignment, struct sl_error *err)
{
    const struct sl_key *key;
    char value[1024];
    int rc = split(assignment, &key, value, err);
    return rc != 0 ? rc : sl_key_set(settings, key, value, err);
}

int sl_settings_set_live(struct sl_settings *settings, const char *assignment, struct sl_error *err)
{
    const struct sl_key *key;
    char value[1024];
    int rc = split(assignment, &key, value, err);
    if (rc != 0)
        return rc;
    if (!key->live)
        return sl_error_set(err, -EINVAL,
                            "%s.%s cannot be changed while running; set it in the settings file "
                            "or with -o, and start again",
                            key->section, key->name);
    struct sl_settings changed = *settings;
    rc = sl_key_set(&changed, key, value, err);
    if (rc == 0)
        rc = sl_settings_check(&changed, err);
    if (rc == 0)
        *settings = changed;
    return rc;
}

static int check_less(double a, const char *a_name, double b, const char *b_name, const char *unit,
                      bool or_equal, struct sl_error *err)
{
    if (a < b || (or_equal && a == b))
        return 0;
    char a_text[32], b_text[32];
    return sl_error_set(err, -EINVAL, "%s (%s %s) must be %s %s (%s %s)", a_name,
                        sl_number_text(a, a_text), unit, or_equal ? "at most" : "less than", b_name,
                        sl_number_text(b, b_text), unit);
}

static int check_buses(const struct sl_settings *s, struct sl_error *err)
{
    const struct {
        const char *key;
        const char *name;
    } buses[] = {
        {"bus.camera", s->bus.camera},     {"bus.detection", s->bus.detection},
        {"bus.command", s->bus.command},   {"bus.state", s->bus.state},
        {"bus.odometry", s->bus.odometry}, {"bus.action", s->bus.action},
        {"bus.remote", s->bus.remote},     {"bus.permit", s->bus.permit},
        {"bus.log", s->bus.log},
    };
    const size_t count = sizeof buses / sizeof buses[0];
    for (size_t i = 0; i < count; i++) {
        size_t length = strlen(buses[i].name);
        if (length < 1 || length > 48 ||
            strspn(buses[i].name, "abcdefghijklmnopqrstuvwxyz0123456789_") != length)
            return sl_error_set(err, -EINVAL,
                                "%s: \"%.60s\" is not a bus name; allowed: 1 to 48 of a-z, 0-9, _",
                                buses[i].key, buses[i].name);
        for (size_t j = 0; j < i; j++) {
            if (strcmp(buses[i].name, buses[j].name) == 0)
                return sl_error_set(err, -EINVAL,
                                    "%s and %s are both \"%s\"; each bus needs a name of its own",
                                    buses[j].key, buses[i].key, buses[i].name);
        }
    }
    return 0;
}

static int check_remote(const struct sl_settings *s, struct sl_error *err)
{
    if (strcmp(s->detect.detector, "zmq") != 0)
        return 0;
    if (s->detect.url[0] == '\0')
        return sl_error_set(err, -EINVAL,
                            "detect.detector is zmq, but detect.url is empty: tell where the "
                            "detection server is, for example --detector-url "
                            "tcp://192.168.1.20:5556");
    if (strcmp(s->detect.when_gone, "builtin") != 0)
        return 0;
    /* Else the vehicle would stop before its own detector takes over. */
    return check_less((double)sl_settings_remote_timeout_ns(s) / 1e6,
                      s->detect.timeout_ms > 0 ? "detect.timeout_ms"
                                               : "two periods of camera.rate_hz",
                      s->safety.detector_stall_ms, "safety.detector_stall_ms", "ms", false, err);
}

/* A camera's stall is told after three of its periods; a limit below two of them would
 * be passed by every frame that is a little late. */
static int check_camera(const struct sl_settings *s, struct sl_error *err)
{
    const double period_ms = s->camera.rate_hz > 0 ? 1e3 / s->camera.rate_hz : 0;
    if (!sl_settings_camera_is_hardware(s) || s->safety.camera_stall_ms >= 2 * period_ms)
        return 0;
    return sl_error_set(err, -EINVAL,
                        "safety.camera_stall_ms (%g) must be at least %g, two periods of "
                        "camera.rate_hz (%g); three are %g",
                        s->safety.camera_stall_ms, 2 * period_ms, s->camera.rate_hz, 3 * period_ms);
}

static int check_hardware(const struct sl_settings *s, struct sl_error *err)
{
    if ((s->power.warn_v > 0 || s->power.stop_v > 0) && s->power.voltage_path[0] == '\0')
        return sl_error_set(err, -EINVAL,
                            "%s is set, but nothing measures the battery: set power.voltage_path",
                            s->power.warn_v > 0 ? "power.warn_v" : "power.stop_v");
    if (strcmp(s->power.voltage_path, SL_VOLTAGE_OF_OUTPUTS) == 0 &&
        strcmp(s->actuator.driver, "serial") != 0 && strcmp(s->actuator.driver, "vesc") != 0)
        return sl_error_set(err, -EINVAL,
                            "power.voltage_path is " SL_VOLTAGE_OF_OUTPUTS
                            ", but actuator.driver = %s measures no voltage; only serial and "
                            "vesc do",
                            s->actuator.driver);
    if (s->gpio.estop_line >= 0 && s->gpio.estop_line == s->gpio.led_line &&
        strcmp(s->gpio.estop_chip, s->gpio.led_chip) == 0)
        return sl_error_set(err, -EINVAL,
                            "gpio.estop_line and gpio.led_line are the same line; each needs one "
                            "of its own");
    int rc = 0;
    if (s->power.warn_v > 0)
        rc = check_less(s->power.stop_v, "power.stop_v", s->power.warn_v, "power.warn_v", "V", true,
                        err);
    if (rc != 0 || strcmp(s->watchdog.driver, "none") == 0)
        return rc;
    /* The vehicle stands before the machine may be reset. */
    rc = check_less(s->safety.detector_stall_ms, "safety.detector_stall_ms", s->watchdog.stall_ms,
                    "watchdog.stall_ms", "ms", true, err);
    if (rc == 0)
        rc = check_less(s->safety.camera_stall_ms, "safety.camera_stall_ms",
                        s->watchdog.camera_stall_ms, "watchdog.camera_stall_ms", "ms", true, err);
    if (rc == 0)
        rc = check_less(s->safety.command_lease_ms, "safety.command_lease_ms", s->watchdog.stall_ms,
                        "watchdog.stall_ms", "ms", true, err);
    return rc;
}

/* `between` lies strictly between the two, whichever is larger. */
static int check_between(const char *key, double between, const char *a_key, double a,
                         const char *b_key, double b, struct sl_error *err)
{
    if ((a < between && between < b) || (b < between && between < a))
        return 0;
    return sl_error_set(err, -EINVAL, "%s (%g us) must lie between %s (%g us) and %s (%g us)", key,
                        between, a_key, a, b_key, b);
}

static int check_steering(const struct sl_settings *s, struct sl_error *err)
{
    char check[SL_STEERING_CHECK_CHARS + 1];
    sl_settings_steering_check(s->actuator.steering_centre_us, s->actuator.steering_left_us,
                               s->actuator.steering_right_us, check);
    if (s->actuator.steering_check[0] == '\0' || strcmp(s->actuator.steering_check, check) == 0)
        return 0;
    return sl_error_set(err, -EINVAL,
                        "actuator.steering_centre_us, steering_left_us and steering_right_us are "
                        "not those that were calibrated (actuator.steering_check); run skylane "
                        "calibrate steering, or leave steering_check out if they were changed on "
                        "purpose");
}

static int check_actuator(const struct sl_settings *s, struct sl_error *err)
{
    int rc = check_between("actuator.steering_centre_us", s->actuator.steering_centre_us,
                           "actuator.steering_left_us", s->actuator.steering_left_us,
                           "actuator.steering_right_us", s->actuator.steering_right_us, err);
    if (rc == 0)
        rc = check_between("actuator.throttle_start_us", s->actuator.throttle_start_us,
                           "actuator.throttle_neutral_us", s->actuator.throttle_neutral_us,
                           "actuator.throttle_end_us", s->actuator.throttle_end_us, err);
    if (rc == 0 && s->actuator.throttle_brake_us != 0)
        rc = check_between("actuator.throttle_neutral_us", s->actuator.throttle_neutral_us,
                           "actuator.throttle_brake_us", s->actuator.throttle_brake_us,
                           "actuator.throttle_end_us", s->actuator.throttle_end_us, err);
    if (rc == 0 && s->actuator.throttle_brake_us != 0 && s->actuator.throttle_brake_us < 400)
        rc = sl_error_set(err, -EINVAL,
                          "actuator.throttle_brake_us (%g us) must be 0, for none, or at least 400",
                          s->actuator.throttle_brake_us);
    if (rc == 0 && s->actuator.steering_channel == s->actuator.throttle_channel)
        rc = sl_error_set(err, -EINVAL,
                          "actuator.steering_channel and actuator.throttle_channel are both %d; "
                          "servo and ESC need an output each",
                          (int)s->actuator.steering_channel);
    if (rc == 0 && strcmp(s->actuator.steering_pwm, s->actuator.throttle_pwm) == 0)
        rc = sl_error_set(err, -EINVAL,
                          "actuator.steering_pwm and actuator.throttle_pwm are both \"%s\"; servo "
                          "and ESC need an output each",
                          s->actuator.steering_pwm);
    if (rc == 0)
        rc = check_steering(s, err);
    const struct {
        const char *key, *name;
    } outputs[] = {{"actuator.steering_pwm", s->actuator.steering_pwm},
                   {"actuator.throttle_pwm", s->actuator.throttle_pwm}};
    for (size_t i = 0; i < 2 && rc == 0; i++)
        if (strlen(outputs[i].name) > 31)
            rc = sl_error_set(err, -EINVAL, "%s: \"%.40s...\" is no PWM output; say pwmchipN/M",
                              outputs[i].key, outputs[i].name);
    if (rc == 0 && sl_settings_outputs_are_hardware(s) &&
        1000 / s->control.rate_hz >= HARDWARE_LEASE_MS)
        rc =
            sl_error_set(err, -EINVAL,
                         "control.rate_hz (%g Hz) is too low for actuator.driver %s, whose outputs "
                         "go neutral %d ms after each command; take 20 Hz or more",
                         s->control.rate_hz, s->actuator.driver, HARDWARE_LEASE_MS);
    if (rc == 0 && (s->actuator.vesc_speed_gain == 0 || s->actuator.vesc_servo_gain == 0))
        rc = sl_error_set(err, -EINVAL,
                          "actuator.vesc_speed_gain and actuator.vesc_servo_gain must not be 0: "
                          "nothing would move");
    return rc;
}

int sl_settings_check(const struct sl_settings *s, struct sl_error *err)
{
    int rc = check_less(s->detect.near_m, "detect.near_m", s->detect.far_m, "detect.far_m", "m",
                        false, err);
    if (rc == 0)
        rc = check_less(s->detect.marking_width_m, "detect.marking_width_m",
                        s->detect.lane_width_m / 4, "a quarter of detect.lane_width_m", "m", false,
                        err);
    if (rc == 0)
        rc = check_less(s->control.speed_mps, "control.speed_mps", s->vehicle.speed_max_mps,
                        "vehicle.speed_max_mps", "m/s", true, err);
    if (rc == 0)
        rc = check_less(s->control.deadline_us / 1e6, "control.deadline_us", 1 / s->control.rate_hz,
                        "the period of control.rate_hz", "s", true, err);
    if (rc == 0)
        rc = check_less(s->safety.hold_ms, "safety.hold_ms", s->safety.slow_ms, "safety.slow_ms",
                        "ms", true, err);
    if (rc == 0)
        rc = check_less(s->safety.standing_mps, "safety.standing_mps", s->vehicle.speed_max_mps,
                        "vehicle.speed_max_mps", "m/s", false, err);
    if (rc == 0 && s->safety.lease_ms > 0 && s->safety.lease_ms < LEASE_MIN_MS)
        rc = sl_error_set(err, -EINVAL,
                          "safety.lease_ms (%g ms) must be 0 or at least %d ms: a viewer renews it "
                          "three times in that time",
                          s->safety.lease_ms, LEASE_MIN_MS);
    if (rc == 0) /* else the outputs would go neutral between two ticks */
        rc = check_less(1000 / s->control.rate_hz, "the period of control.rate_hz",
                        s->safety.command_lease_ms, "safety.command_lease_ms", "ms", false, err);
    if (rc == 0 && s->realtime.enable)
        rc = check_less((double)s->realtime.detect_priority, "realtime.detect_priority",
                        (double)s->realtime.control_priority, "realtime.control_priority", "of 98",
                        true, err);
    if (rc == 0 && s->realtime.enable)
        rc = check_less((double)s->realtime.camera_priority, "realtime.camera_priority",
                        (double)s->realtime.control_priority, "realtime.control_priority", "of 98",
                        true, err);
    if (rc == 0 && s->realtime.enable)
        rc = check_less((double)s->realtime.control_priority, "realtime.control_priority",
                        (double)s->realtime.actuator_priority, "realtime.actuator_priority",
                        "of 98", true, err);
    if (rc == 0)
        rc = check_less(s->alert.access_p99_warning_ms, "alert.access_p99_warning_ms",
                        s->alert.access_p99_critical_ms, "alert.access_p99_critical_ms", "ms", true,
                        err);
    if (rc == 0)
        rc = check_less(s->alert.memory_warning_mb, "alert.memory_warning_mb",
                        s->alert.memory_critical_mb, "alert.memory_critical_mb", "MB", true, err);
    if (rc == 0)
        rc = check_less(s->alert.drops_warning_hz, "alert.drops_warning_hz",
                        s->alert.drops_critical_hz, "alert.drops_critical_hz", "Hz", true, err);
    const bool names_source =
        strcmp(s->camera.driver, "bus") == 0 || strcmp(s->camera.driver, "file") == 0;
    if (rc == 0 && s->camera.source[0] == '\0' && names_source)
        rc = sl_error_set(err, -EINVAL, "camera.source: empty, but camera.driver is %s",
                          s->camera.driver);
    if (rc == 0)
        rc = check_buses(s, err);
    if (rc == 0)
        rc = check_remote(s, err);
    if (rc == 0)
        rc = check_camera(s, err);
    if (rc == 0)
        rc = check_hardware(s, err);
    if (rc == 0)
        rc = check_actuator(s, err);
    if (rc == 0) {
        struct sl_camera_calibration calibration;
        struct sl_camera_model model;
        sl_settings_calibration(s, &calibration);
        rc = sl_camera_model_init(&model, &calibration, err);
        if (rc != 0)
            sl_error_prefix(err, "section [camera]");
    }
    return rc;
}
