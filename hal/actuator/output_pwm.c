/* Two outputs of the kernel's PWM chips, through sysfs (Documentation/ABI/testing/
 * sysfs-class-pwm in the kernel's sources): "pwmchip0/1" is output 1 of chip 0.
 * The hardware goes on by itself when nobody talks to it. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hal/actuator/output.h"
#include "rt/clock.h"

#define APPEAR_NS (1 * SL_NS_PER_S) /* udev grants the files to a group */
#define POLL_NS   (10 * SL_NS_PER_MS)
#define PATH_ROOM 400

struct channel {
    char path[PATH_ROOM - 40]; /* the output's folder */
    char name[64];             /* as in the settings */
    int duty_fd;
    uint64_t duty_ns; /* written last */
};

struct pwm {
    struct channel channels[2]; /* steering, throttle */
    uint64_t period_ns;
};

/* One value into one file. 0 or a negative errno. */
static int put(int fd, uint64_t value)
{
    char text[24];
    const int length = snprintf(text, sizeof text, "%" PRIu64 "\n", value);
    return pwrite(fd, text, (size_t)length, 0) == length ? 0 : errno != 0 ? -errno : -EIO;
}

static int put_file(const struct channel *c, const char *file, uint64_t value)
{
    char path[PATH_ROOM];
    snprintf(path, sizeof path, "%s/%s", c->path, file);
    const int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    const int rc = put(fd, value);
    close(fd);
    return rc;
}

static int get_file(const struct channel *c, const char *file, uint64_t *value)
{
    char path[PATH_ROOM], text[24] = "";
    snprintf(path, sizeof path, "%s/%s", c->path, file);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    const ssize_t length = read(fd, text, sizeof text - 1);
    const int code = errno;
    close(fd);
    if (length <= 0)
        return length == 0 ? -EIO : -code;
    *value = strtoull(text, NULL, 10);
    return 0;
}

static int pwm_write(void *state, const struct sl_output *output, struct sl_error *err)
{
    struct pwm *p = state;
    const double us[] = {output->pulses.steering_us, output->pulses.throttle_us};
    for (int i = 0; i < 2; i++) {
        struct channel *c = &p->channels[i];
        c->duty_ns = (uint64_t)llround(us[i] * (double)SL_NS_PER_US);
        errno = 0;
        const int rc = put(c->duty_fd, c->duty_ns);
        if (rc != 0)
            return sl_error_set(err, rc, "the PWM output %s does not take its pulse: %s", c->name,
                                strerror(-rc));
    }
    return 0;
}

static int pwm_check(void *state, struct sl_output_report *report, struct sl_error *err)
{
    const struct pwm *p = state;
    (void)report;
    for (int i = 0; i < 2; i++) {
        const struct channel *c = &p->channels[i];
        uint64_t duty_ns = 0, period_ns = 0, enabled = 0;
        int rc = get_file(c, "duty_cycle", &duty_ns);
        if (rc == 0)
            rc = get_file(c, "period", &period_ns);
        if (rc == 0)
            rc = get_file(c, "enable", &enabled);
        if (rc != 0)
            return sl_error_set(err, rc, "the PWM output %s is gone: %s; was its driver unloaded?",
                                c->name, strerror(-rc));
        if (duty_ns != c->duty_ns || period_ns != p->period_ns || enabled != 1)
            return sl_error_set(err, -EILSEQ,
                                "the PWM output %s holds another pulse than was written; does "
                                "another program use it?",
                                c->name);
    }
    return 0;
}

/* ---- opening ---- */

/* Waits for the output's files to be there and writable. */
static int await_files(const struct channel *c)
{
    static const char *const FILES[] = {"period", "duty_cycle", "enable"};
    char path[PATH_ROOM];
    const uint64_t give_up_ns = sl_clock_now_ns() + APPEAR_NS;
    for (;;) {
        int missing = 0;
        for (size_t i = 0; i < sizeof FILES / sizeof FILES[0] && missing == 0; i++) {
            snprintf(path, sizeof path, "%s/%s", c->path, FILES[i]);
            missing = access(path, W_OK) == 0 ? 0 : errno;
        }
        if (missing == 0)
            return 0;
        if (sl_clock_now_ns() > give_up_ns)
            return -missing;
        sl_clock_sleep_until_ns(sl_clock_now_ns() + POLL_NS);
    }
}

/* "pwmchipN/M". */
static bool parse_name(const char *name, unsigned long *chip, unsigned long *output)
{
    static const char PREFIX[] = "pwmchip";
    char *end;
    if (strncmp(name, PREFIX, sizeof PREFIX - 1) != 0 ||
        !isdigit((unsigned char)name[sizeof PREFIX - 1]))
        return false;
    *chip = strtoul(name + sizeof PREFIX - 1, &end, 10);
    if (*end != '/' || !isdigit((unsigned char)end[1]))
        return false;
    *output = strtoul(end + 1, &end, 10);
    return *end == '\0' && *chip < 10000 && *output < 10000;
}

static int export_channel(struct channel *c, const char *root, struct sl_error *err)
{
    char chip[32];
    unsigned long number, output;
    if (!parse_name(c->name, &number, &output))
        return sl_error_set(err, -EINVAL,
                            "\"%s\" is no PWM output: say pwmchipN/M, as in pwmchip0/1; \"ls "
                            "/sys/class/pwm\" tells which chips there are",
                            c->name);
    snprintf(chip, sizeof chip, "pwmchip%lu", number);
    snprintf(c->path, sizeof c->path, "%.250s/%s", root, chip);
    if (access(c->path, F_OK) != 0)
        return sl_error_set(err, -ENOENT,
                            "there is no PWM chip %s in %s: name another, or turn the hardware on "
                            "(on a Raspberry Pi: dtoverlay=pwm-2chan in config.txt)",
                            chip, root);
    struct channel exporter = *c;
    snprintf(c->path, sizeof c->path, "%.250s/%s/pwm%lu", root, chip, output);
    int rc = 0;
    if (access(c->path, F_OK) != 0)
        rc = put_file(&exporter, "export", output);
    if (rc == 0)
        rc = await_files(c);
    if (rc == -EACCES)
        return sl_error_set(err, rc,
                            "the PWM output %s: no permission; run as root, or let udev give its "
                            "files to a group of yours",
                            c->name);
    if (rc == -EBUSY)
        return sl_error_set(err, rc, "the PWM output %s is used by a kernel driver", c->name);
    if (rc != 0)
        return sl_error_set(err, rc,
                            "the PWM output %s cannot be had: %s; \"cat %.250s/%s/npwm\" tells how "
                            "many the chip has",
                            c->name, strerror(-rc), root, chip);
    return 0;
}

static int open_channel(struct pwm *p, struct channel *c, const char *root, double neutral_us,
                        struct sl_error *err)
{
    int rc = export_channel(c, root, err);
    if (rc != 0)
        return rc;
    c->duty_ns = (uint64_t)llround(neutral_us * (double)SL_NS_PER_US);
    uint64_t duty_ns = 0;
    get_file(c, "duty_cycle", &duty_ns);
    /* The kernel refuses a period shorter than the pulse that is there. */
    if (duty_ns > p->period_ns)
        rc = put_file(c, "duty_cycle", 0);
    if (rc == 0)
        rc = put_file(c, "period", p->period_ns);
    if (rc == 0)
        rc = put_file(c, "duty_cycle", c->duty_ns);
    if (rc == 0)
        rc = put_file(c, "enable", 1);
    if (rc != 0)
        return sl_error_set(err, rc,
                            "the PWM output %s cannot be set to %" PRIu64 " us: %s; two outputs of "
                            "a chip may have to share one period",
                            c->name, p->period_ns / SL_NS_PER_US, strerror(-rc));
    char path[PATH_ROOM];
    snprintf(path, sizeof path, "%s/duty_cycle", c->path);
    c->duty_fd = open(path, O_WRONLY | O_CLOEXEC);
    return c->duty_fd >= 0 ? 0 : sl_error_set(err, -errno, "%s cannot be opened", path);
}

static int pwm_open(void *state, const struct sl_output_config *config,
                    const struct sl_output *neutral, struct sl_error *err)
{
    struct pwm *p = state;
    const char *root = sl_output_path(&sl_output_pwm, config);
    p->channels[0].duty_fd = p->channels[1].duty_fd = -1;
    p->period_ns = (uint64_t)llround((double)SL_NS_PER_S / config->frequency_hz);
    snprintf(p->channels[0].name, sizeof p->channels[0].name, "%s", config->steering_pwm);
    snprintf(p->channels[1].name, sizeof p->channels[1].name, "%s", config->throttle_pwm);
    const int rc = open_channel(p, &p->channels[0], root, neutral->pulses.steering_us, err);
    return rc != 0 ? rc : open_channel(p, &p->channels[1], root, neutral->pulses.throttle_us, err);
}

static void pwm_close(void *state)
{
    struct pwm *p = state;
    for (int i = 0; i < 2; i++) {
        if (p->channels[i].duty_fd >= 0)
            close(p->channels[i].duty_fd);
        p->channels[i].duty_fd = -1;
    }
}

const struct sl_output_device sl_output_pwm = {
    .name = "pwm",
    .usual = "/sys/class/pwm",
    .state_bytes = sizeof(struct pwm),
    .rewrite_ns = SL_NS_PER_S,
    .check_ns = SL_NS_PER_S,
    .open = pwm_open,
    .write = pwm_write,
    .check = pwm_check,
    .close = pwm_close,
};
