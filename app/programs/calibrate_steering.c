/* skylane calibrate steering: the servo's centre and ends, found by hand with the
 * wheels up, and the centre made right by a straight run. The throttle is neutral
 * all the time: nobody drives while this runs; the car is pushed. */
#include <errno.h>
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "app/calibrate/settings_edit.h"
#include "app/config/convert.h"
#include "app/config/options.h"
#include "app/drive/actuator_config.h"
#include "calibrate.h"
#include "hal/actuator/actuator.h"
#include "rt/cli.h"
#include "rt/clock.h"

#define SUB        VERB " steering"
#define MARK       "; steering: "
#define SEND_MS    20 /* well within the lease of a command */
#define SMALL_US   2
#define LARGE_US   20
#define LINE_ROOM  64
#define END_MIN_US 20 /* an end this near the centre was not looked for */

/* All pulses can be asked for: an angle of -1 to 1 rad is MIDDLE -+ REACH. */
#define MIDDLE_US ((SL_PULSE_MIN_US + SL_PULSE_MAX_US) / 2.0)
#define REACH_US  ((SL_PULSE_MAX_US - SL_PULSE_MIN_US) / 2.0)

struct wizard {
    struct sl_settings settings;
    struct sl_actuator *actuator;
    double pulse_us; /* what the servo is told */
    bool raw;        /* the terminal gives single keys */
    struct termios before;
};

static void help(FILE *to)
{
    fputs(
        "skylane calibrate steering - find the servo's centre and ends\n\n"
        "usage: skylane calibrate steering --output FILE [options]\n\n"
        "  --output FILE         settings file to write the pulses into; made if it is not there\n"
        "  --config FILE         settings to begin with: the outputs' device above all\n"
        "  -o SECTION.KEY=VALUE  one setting; may be given several times\n"
        "  --help, --version\n\n"
        "The motor never turns: take its plug off all the same. Keys:\n\n"
        "  left, right (or j, l) turn the servo a little; J, L more\n"
        "  enter takes the position, q gives up\n\n"
        "examples:\n"
        "  skylane calibrate steering --config my-car.ini --output my-car.ini\n"
        "  skylane calibrate steering -o actuator.driver=pca9685 --output my-car.ini\n\n"
        "exit status: 0, 1 (failed, or given up), 2 (misuse)\n",
        to);
}

/* ---- keys and lines, while the servo is held ---- */

static int hold(struct wizard *w)
{
    const uint64_t now_ns = sl_clock_now_ns();
    const struct sl_command command = {.issued_ns = now_ns,
                                       .expires_ns = now_ns + SL_NS_PER_S,
                                       .steering_rad =
                                           (float)((w->pulse_us - MIDDLE_US) / REACH_US),
                                       .mode = SL_MODE_ARMED};
    sl_actuator_tend(w->actuator);
    if (sl_actuator_send(w->actuator, &command, now_ns) == 0)
        return 0;
    struct sl_actuator_status status;
    const bool told = sl_actuator_status(w->actuator, &status) == 0 && status.problem[0] != '\0';
    return calibrate_failed("the servo cannot be moved any more: %s",
                            told ? status.problem : "its device fails");
}

/* The next byte of the input, -1 at its end or when it is time to stop, -2 when
 * the servo fails. */
static int next_byte(struct wizard *w)
{
    struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
    while (!sl_cli_stop_wanted()) {
        if (hold(w) != 0)
            return -2;
        if (poll(&in, 1, SEND_MS) == 1) {
            unsigned char byte;
            return read(STDIN_FILENO, &byte, 1) == 1 ? byte : -1;
        }
    }
    return -1;
}

static int given_up(int byte)
{
    return byte == -2 ? SL_EXIT_FAILED : calibrate_failed("given up; no settings are written");
}

/* Lets the user turn the servo until enter. 0, or the exit status. */
static int turn(struct wizard *w, const char *what, double *found_us)
{
    printf("%s\n", what);
    for (;;) {
        printf("%s  %6.0f us  %s", w->raw ? "\r" : "", w->pulse_us, w->raw ? "\033[K" : "\n");
        fflush(stdout);
        int byte = next_byte(w);
        if (byte == 27 && next_byte(w) == '[') { /* an arrow */
            byte = next_byte(w);
            byte = byte == 'D' ? 'j' : byte == 'C' ? 'l' : byte;
        }
        const double step_us = byte == 'j'   ? -SMALL_US
                               : byte == 'l' ? SMALL_US
                               : byte == 'J' ? -LARGE_US
                               : byte == 'L' ? LARGE_US
                                             : 0;
        if (byte < 0 || byte == 'q')
            return given_up(byte);
        w->pulse_us = fmin(fmax(w->pulse_us + step_us, SL_PULSE_MIN_US), SL_PULSE_MAX_US);
        if (byte == '\n' || byte == '\r') {
            *found_us = w->pulse_us;
            printf("%s", w->raw ? "\n" : "");
            return 0;
        }
    }
}

/* Asks until there is a number in the range; an empty line is `if_empty`. */
static int ask(struct wizard *w, const char *what, double min, double max, double if_empty,
               double *number)
{
    for (;;) {
        char line[LINE_ROOM];
        size_t length = 0;
        struct sl_error err;
        printf("%s ", what);
        fflush(stdout);
        for (;;) {
            const int byte = next_byte(w);
            if (byte < 0)
                return given_up(byte);
            if (byte == '\n' || byte == '\r')
                break;
            if (w->raw)
                putchar(byte);
            fflush(stdout);
            if ((byte == 127 || byte == 8) && length > 0)
                length--;
            else if (length < sizeof line - 1)
                line[length++] = (char)byte;
        }
        line[length] = '\0';
        putchar('\n');
        *number = if_empty;
        if (length == 0 || sl_cli_number(line, "it", min, max, number, &err) == 0)
            return 0;
        printf("%s\n", err.text);
    }
}

/* ---- what is found ---- */

/* The centre that drives straight. Pushed with the pulse at `centre_us` the car went
 * `distance` ahead and `drift` to the side (positive left), which is an arc of
 * curvature 2 drift / (distance^2 + drift^2), and so, by the wheels' geometry, an angle of
 * atan(wheelbase x curvature). The servo moves (left - right) / (2 steering_max) a radian. */
static double straight_centre_us(const struct sl_settings *s, double centre_us, double left_us,
                                 double right_us, double distance_m, double drift_m)
{
    const double curvature_1pm = 2 * drift_m / (distance_m * distance_m + drift_m * drift_m);
    const double angle_rad = atan(s->vehicle.wheelbase_m * curvature_1pm);
    return centre_us - angle_rad * (left_us - right_us) / (2 * s->vehicle.steering_max_rad);
}

static int check_found(double centre_us, double left_us, double right_us)
{
    const double to_left = left_us - centre_us, to_right = right_us - centre_us;
    if (to_left * to_right < 0 && fabs(to_left) >= END_MIN_US && fabs(to_right) >= END_MIN_US)
        return 0;
    return calibrate_failed("the centre (%.0f us) does not lie between the left end (%.0f us) and "
                            "the right end (%.0f us); no settings are written, begin again",
                            centre_us, left_us, right_us);
}

static void pulse_edit(struct sl_settings_edit *edit, const char *key, double us)
{
    edit->key = key;
    snprintf(edit->value, sizeof edit->value, "%.1f", us);
}

static int store(const char *path, double centre_us, double left_us, double right_us,
                 struct sl_error *err)
{
    struct sl_settings_edit edits[4] = {{.key = "steering_check"}};
    char note[128], date[16];
    const time_t now = time(NULL);
    struct tm day;
    strftime(date, sizeof date, "%Y-%m-%d", localtime_r(&now, &day));
    snprintf(note, sizeof note, MARK "measured by skylane calibrate steering, %s", date);
    sl_settings_steering_check(centre_us, left_us, right_us, edits[0].value);
    pulse_edit(&edits[1], "steering_centre_us", centre_us);
    pulse_edit(&edits[2], "steering_left_us", left_us);
    pulse_edit(&edits[3], "steering_right_us", right_us);
    return calibrate_section_write(path, "actuator", MARK, note, edits, 4, err);
}

/* ---- the steps ---- */

static int walk_through(struct wizard *w, const char *output)
{
    double centre_us, left_us, right_us, distance_m, drift_m, drop;
    struct sl_error err = {0};
    printf("1. Motor off: pull its plug, or the ESC's. Wheels up: put the car on a box.\n");
    int status = ask(w, "   Enter when that is done.", 0, 0, 0, &drop);
    if (status == 0)
        status =
            turn(w, "2. Turn the wheels straight ahead: left, right; J, L for larger steps; enter.",
                 &centre_us);
    if (status == 0)
        status =
            turn(w, "3. To the left, as far as the wheels go without the servo humming; enter.",
                 &left_us);
    if (status != 0)
        return status;
    w->pulse_us = centre_us;
    status = turn(w, "4. The same to the right; enter.", &right_us);
    if (status == 0)
        status = check_found(centre_us, left_us, right_us);
    if (status != 0)
        return status;
    w->pulse_us = centre_us;
    printf(
        "5. On the ground, at the beginning of a straight line, aimed along it: push the car from\n"
        "   behind for some metres without steering it.\n");
    status = ask(w, "   How far did it go, in metres? (0: leave this out)", 0, 100, 0, &distance_m);
    if (status == 0 && distance_m > 0)
        status = ask(w, "   How far beside the line is it now, in metres, left positive?",
                     -distance_m, distance_m, 0, &drift_m);
    if (status != 0)
        return status;
    if (distance_m > 0) {
        const double straight_us =
            straight_centre_us(&w->settings, centre_us, left_us, right_us, distance_m, drift_m);
        printf("   The centre moves from %.1f to %.1f us.\n", centre_us, straight_us);
        centre_us = straight_us;
    }
    status = check_found(centre_us, left_us, right_us);
    if (status == 0 && store(output, centre_us, left_us, right_us, &err) != 0)
        status = calibrate_failed("%s", err.text);
    if (status == 0)
        printf("centre %.1f us, left %.1f us, right %.1f us: written to %s\n", centre_us, left_us,
               right_us, output);
    return status;
}

static int open_servo(struct wizard *w, struct sl_error *err)
{
    struct sl_actuator_config config;
    struct sl_output_config output;
    sl_drive_actuator_config(&w->settings, &config, &output);
    w->pulse_us = w->settings.actuator.steering_centre_us;
    config.steering_max_rad = output.pulse.steering_max_rad = 1;
    output.pulse.steering_left_us = SL_PULSE_MAX_US;
    output.pulse.steering_right_us = SL_PULSE_MIN_US;
    output.pulse.steering_centre_us = MIDDLE_US;
    output.pulse.steering_rate_usps = 0;
    return sl_actuator_open(&w->actuator, &config, err);
}

static int run(struct wizard *w, const char *output)
{
    struct sl_error err = {0};
    if (open_servo(w, &err) != 0)
        return calibrate_failed("%s", err.text);
    sl_cli_catch_stop();
    w->raw = isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &w->before) == 0;
    if (w->raw) {
        struct termios keys = w->before;
        keys.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
        tcsetattr(STDIN_FILENO, TCSANOW, &keys);
    }
    const int status = walk_through(w, output);
    if (w->raw)
        tcsetattr(STDIN_FILENO, TCSANOW, &w->before);
    sl_actuator_close(w->actuator);
    return status;
}

static int check_driver(const struct sl_settings *s)
{
    if (strcmp(s->actuator.driver, "bus") == 0)
        return calibrate_failed("actuator.driver is bus, behind which there is no servo of pulses; "
                                "choose pca9685, pwm or serial");
    if (strcmp(s->actuator.driver, "vesc") == 0)
        return calibrate_failed("a VESC has no pulses to find: set actuator.vesc_servo_offset (the "
                                "centre) and vesc_servo_gain");
    return 0;
}

int calibrate_steering(int argc, char **argv)
{
    static const struct option OPTIONS[] = {
        {"config", required_argument, NULL, 'c'}, {"output", required_argument, NULL, 'O'},
        {"set", required_argument, NULL, 'o'},    {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},      {NULL, 0, NULL, 0}};
    static struct sl_settings_options options;
    static struct wizard wizard;
    const char *output = NULL;
    struct sl_error err = {0};
    opterr = 0;
    for (int option, rc = 0; (option = getopt_long(argc, argv, ":o:hV", OPTIONS, NULL)) != -1;) {
        switch (option) {
        case 'h':
            help(stdout);
            return SL_EXIT_OK;
        case 'V':
            puts("skylane-" VERB " " SL_VERSION);
            return SL_EXIT_OK;
        case 'c':
            rc = sl_settings_options_add_file(&options, optarg, &err);
            break;
        case 'o':
            rc = sl_settings_options_add(&options, optarg, &err);
            break;
        case 'O':
            output = optarg;
            break;
        default:
            return sl_cli_bad_option(SUB, option, argv, OPTIONS);
        }
        if (rc != 0)
            return sl_cli_misuse(SUB, "%s", err.text);
    }
    if (optind < argc)
        return sl_cli_bad_operand(SUB, argv[optind]);
    if (output == NULL)
        return sl_cli_misuse(SUB, "say with --output which settings file gets the pulses");
    int rc = sl_settings_options_read(&options, &wizard.settings, &err);
    if (rc == 0)
        rc = sl_settings_options_apply(&options, &wizard.settings, &err);
    /* What is measured anew need not fit what was. */
    wizard.settings.actuator.steering_check[0] = '\0';
    if (rc == 0)
        rc = sl_settings_check(&wizard.settings, &err);
    if (rc == 0)
        rc = calibrate_output_check(output, &err);
    if (rc != 0)
        return calibrate_failed("%s", err.text);
    const int status = check_driver(&wizard.settings);
    return status != 0 ? status : run(&wizard, output);
}
