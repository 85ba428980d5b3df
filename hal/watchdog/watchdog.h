/* Hardware watchdogs behind one table: a timer apart from the processor's programs
 * that resets the machine when it has not been fed for its timeout.
 *
 * Opening arms it: from then on it must be fed. Closing in order disarms it, unless
 * the kernel was told to keep it running (nowayout). A process that dies without
 * closing leaves it armed, and the machine resets, unless a successor opens and
 * feeds it within the timeout: that is what it is for.
 *
 * One thread at a time, of ordinary priority: a driver may sleep. */
#ifndef SL_HAL_WATCHDOG_WATCHDOG_H
#define SL_HAL_WATCHDOG_WATCHDOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rt/error.h"

/* The texts need to live during the opening only. */
struct sl_watchdog_config {
    const char *driver; /* "linux", "none" */
    const char *device; /* linux: its path; none: ignored */
    uint32_t timeout_s; /* reset when unfed for so long; above 0 */
};

struct sl_watchdog_info {
    char identity[33];  /* as the driver calls it */
    uint32_t timeout_s; /* what the device made of it; 0: never resets (none) */
    bool reset_before;  /* this machine's last start was a reset by it */
    bool nowayout;      /* keeps running when it is closed in order, too */
    bool crash_stops;   /* disarms itself even when its owner dies: a crash goes unseen */
};

struct sl_watchdog;

/* A driver. Every entry is filled. */
struct sl_watchdog_driver {
    const char *name;
    const char *help;   /* one line: what it is, what `device` means */
    size_t state_bytes; /* of the driver's own struct, zeroed before open */
    int (*open)(void *state, const struct sl_watchdog_config *config, struct sl_watchdog_info *info,
                struct sl_error *err);
    int (*feed)(void *state);                   /* 0 or -EIO */
    int (*time_left)(void *state, uint32_t *s); /* 0, -ENOTSUP or -EIO */
    void (*close)(void *state, bool disarm);    /* from any half-open state */
};

/* All drivers of this build, ended by NULL. */
extern const struct sl_watchdog_driver *const sl_watchdog_drivers[];

/* Opens and arms. 0; -ENODEV (no such driver: `err` lists them; no such device);
 * -EACCES, -EBUSY, -EINVAL (that timeout is impossible) and what else the device
 * says, each with a sentence. *watchdog is NULL after a failure, and nothing is
 * armed. Blocks < 100 ms. */
int sl_watchdog_open(struct sl_watchdog **watchdog, const struct sl_watchdog_config *config,
                     struct sl_error *err);

/* What is behind it; lives as long as it does. */
const struct sl_watchdog_info *sl_watchdog_info(const struct sl_watchdog *watchdog);

/* The timeout begins anew. 0 or -EIO. Blocks < 10 ms. */
int sl_watchdog_feed(struct sl_watchdog *watchdog);

/* Whole seconds until the reset. 0; -ENOTSUP (this device does not tell); -EIO. */
int sl_watchdog_time_left(struct sl_watchdog *watchdog, uint32_t *s);

/* Closes; with `disarm` there is no reset (but see nowayout), without it the timer
 * runs on, as after a crash. NULL is allowed. */
void sl_watchdog_close(struct sl_watchdog *watchdog, bool disarm);

#endif
