#include "hal/gpio/gpio.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/gpio.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "rt/clock.h"

struct sl_gpio {
    int fd; /* of the line */
    bool output;
};

static int cannot_open(const struct sl_gpio_config *c, int error, struct sl_error *err)
{
    if (error == EACCES || error == EPERM)
        return sl_error_set(err, -EACCES,
                            "%s_chip: %s may not be opened by this user; add the user to the group "
                            "gpio (Raspberry Pi OS), or run as root",
                            c->setting, c->chip);
    return sl_error_set(err, -ENODEV,
                        "%s_chip: there is no GPIO chip %s (%s); gpiodetect lists them; a kernel "
                        "needs CONFIG_GPIO_CDEV and the chip's module (Raspberry Pi: "
                        "pinctrl_bcm2835, or pinctrl_rp1)",
                        c->setting, c->chip, strerror(error));
}

static int cannot_take(const struct sl_gpio_config *c, uint32_t lines, int error,
                       struct sl_error *err)
{
    switch (error) {
    case EBUSY:
        return sl_error_set(err, -EBUSY,
                            "%s_line: line %u of %s is in use by something else; gpioinfo tells by "
                            "whom; take another line",
                            c->setting, c->line, c->chip);
    case EACCES:
    case EPERM:
        return sl_error_set(err, -EACCES, "%s_line: line %u of %s is not to be had: %s", c->setting,
                            c->line, c->chip, strerror(error));
    default: /* which of the two it was the kernel does not say */
        return sl_error_set(err, -ENOTSUP,
                            "%s_line: line %u of %s (%u lines) cannot be used like this: %s; take "
                            "a line that %s, or other settings",
                            c->setting, c->line, c->chip, lines, strerror(error),
                            c->output ? "can be an output" : "can tell edges and has this bias");
    }
}

static uint64_t flags_of(const struct sl_gpio_config *c)
{
    static const uint64_t BIAS[] = {
        [SL_GPIO_BIAS_KEEP] = 0,
        [SL_GPIO_BIAS_NONE] = GPIO_V2_LINE_FLAG_BIAS_DISABLED,
        [SL_GPIO_BIAS_UP] = GPIO_V2_LINE_FLAG_BIAS_PULL_UP,
        [SL_GPIO_BIAS_DOWN] = GPIO_V2_LINE_FLAG_BIAS_PULL_DOWN,
    };
    const uint64_t way = c->output ? GPIO_V2_LINE_FLAG_OUTPUT
                                   : GPIO_V2_LINE_FLAG_INPUT | GPIO_V2_LINE_FLAG_EDGE_RISING |
                                         GPIO_V2_LINE_FLAG_EDGE_FALLING;
    return way | BIAS[c->bias] | (c->active_low ? GPIO_V2_LINE_FLAG_ACTIVE_LOW : 0);
}

/* The line's descriptor, or a negative errno with its sentence. */
static int take_line(const struct sl_gpio_config *c, struct sl_error *err)
{
    struct gpiochip_info info = {0};
    const int chip = open(c->chip, O_RDWR | O_CLOEXEC);
    if (chip < 0)
        return cannot_open(c, errno, err);
    int rc = 0;
    if (ioctl(chip, GPIO_GET_CHIPINFO_IOCTL, &info) != 0) {
        rc = sl_error_set(err, -ENODEV, "%s_chip: %s is no GPIO chip; gpiodetect lists them",
                          c->setting, c->chip);
    } else if (c->line >= info.lines) {
        rc = sl_error_set(err, -EINVAL, "%s_line: %s (%.32s) has lines 0 to %u, but no %u",
                          c->setting, c->chip, info.label, info.lines - 1, c->line);
    } else {
        /* An output without a value given starts inactive. */
        struct gpio_v2_line_request request = {
            .offsets = {c->line}, .num_lines = 1, .config = {.flags = flags_of(c)}};
        snprintf(request.consumer, sizeof request.consumer, "%s", c->consumer);
        rc = ioctl(chip, GPIO_V2_GET_LINE_IOCTL, &request) == 0
                 ? request.fd
                 : cannot_take(c, info.lines, errno, err);
    }
    close(chip);
    return rc;
}

int sl_gpio_open(struct sl_gpio **gpio, const struct sl_gpio_config *config, struct sl_error *err)
{
    *gpio = NULL;
    struct sl_gpio *g = calloc(1, sizeof *g);
    if (g == NULL)
        return sl_error_set(err, -ENOMEM, "no memory for a GPIO line");
    g->fd = take_line(config, err);
    g->output = config->output;
    if (g->fd < 0) {
        const int rc = g->fd;
        free(g);
        return rc;
    }
    /* Edges are read until there are no more. */
    const int status = fcntl(g->fd, F_GETFL);
    (void)fcntl(g->fd, F_SETFL, status | O_NONBLOCK);
    *gpio = g;
    return 0;
}

int sl_gpio_read(struct sl_gpio *gpio)
{
    struct gpio_v2_line_values values = {.mask = 1};
    if (ioctl(gpio->fd, GPIO_V2_LINE_GET_VALUES_IOCTL, &values) != 0)
        return -ENODEV;
    return (int)(values.bits & 1);
}

static int forget_edges(int fd)
{
    struct gpio_v2_line_event events[16];
    ssize_t got;
    int any = 0;
    while ((got = read(fd, events, sizeof events)) > 0)
        any = 1;
    return got < 0 && errno != EAGAIN && errno != EINTR ? -ENODEV : any;
}

int sl_gpio_wait(struct sl_gpio *gpio, uint64_t until_ns)
{
    const uint64_t now_ns = sl_clock_now_ns();
    const struct timespec rest = sl_clock_timespec(until_ns > now_ns ? until_ns - now_ns : 0);
    struct pollfd line = {.fd = gpio->fd, .events = POLLIN};
    const int rc = ppoll(&line, 1, &rest, NULL);
    if (rc < 0)
        return errno == EINTR ? 0 : -ENODEV;
    /* A chip that was taken away tells so from Linux 6.3 on (POLLHUP, POLLERR);
     * before that, only reading the level does. */
    if (rc > 0 && (line.revents & (POLLHUP | POLLERR | POLLNVAL)) != 0)
        return -ENODEV;
    return rc > 0 ? forget_edges(gpio->fd) : 0;
}

int sl_gpio_set(struct sl_gpio *gpio, bool active)
{
    struct gpio_v2_line_values values = {.bits = active, .mask = 1};
    return ioctl(gpio->fd, GPIO_V2_LINE_SET_VALUES_IOCTL, &values) == 0 ? 0 : -ENODEV;
}

void sl_gpio_close(struct sl_gpio *gpio)
{
    if (gpio == NULL)
        return;
    if (gpio->output)
        (void)sl_gpio_set(gpio, false);
    close(gpio->fd);
    free(gpio);
}
