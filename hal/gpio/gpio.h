/* One line of a GPIO chip, through the kernel's character device (uAPI v2, Linux
 * 5.10 and later; Documentation/userspace-api/gpio/chardev.rst).
 *
 * Levels here are logical: `true` is active, whatever the voltage. One thread at a
 * time. Nothing but opening and closing allocates, and nothing but
 * sl_gpio_wait() sleeps, except on chips behind a slow bus (I2C expanders). */
#ifndef SL_HAL_GPIO_GPIO_H
#define SL_HAL_GPIO_GPIO_H

#include <stdbool.h>
#include <stdint.h>

#include "rt/error.h"

enum sl_gpio_bias {
    SL_GPIO_BIAS_KEEP, /* as the board or the firmware set it */
    SL_GPIO_BIAS_NONE,
    SL_GPIO_BIAS_UP,
    SL_GPIO_BIAS_DOWN,
};

/* The texts need to live during the opening only. */
struct sl_gpio_config {
    const char *chip;     /* its path, such as /dev/gpiochip0 */
    uint32_t line;        /* offset on that chip, from 0 */
    const char *consumer; /* what gpioinfo shows as its user: at most 31 characters */
    const char *setting;  /* for sentences: the settings' prefix, such as "gpio.estop" */
    bool output;          /* inactive after opening */
    bool active_low;      /* active at low voltage */
    enum sl_gpio_bias bias;
};

struct sl_gpio; /* opaque */

/* Takes the line for this process alone. Inputs tell of both edges. 0; -ENODEV (no
 * such chip, or it is none), -EACCES, -EBUSY (somebody else has the line), -EINVAL
 * (no such line), -ENOTSUP (the chip lacks edges or this bias), each with a sentence.
 * *gpio is NULL after a failure. */
int sl_gpio_open(struct sl_gpio **gpio, const struct sl_gpio_config *config, struct sl_error *err);

/* 1 (active), 0 (inactive) or -ENODEV (the chip is gone or does not answer). */
int sl_gpio_read(struct sl_gpio *gpio);

/* Sleeps until an edge of an input, at most until `until_ns` (CLOCK_MONOTONIC), and
 * forgets the edges that came: the level is what counts. 1 (there was one), 0 (none),
 * or -ENODEV. */
int sl_gpio_wait(struct sl_gpio *gpio, uint64_t until_ns);

/* An output. 0 or -ENODEV. */
int sl_gpio_set(struct sl_gpio *gpio, bool active);

/* Outputs become inactive first. NULL is allowed. */
void sl_gpio_close(struct sl_gpio *gpio);

#endif
