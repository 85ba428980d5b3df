/* Resets nothing: for desks, and boards without one. */
#include <errno.h>

#include "hal/watchdog/drivers.h"

static int none_open(void *state, const struct sl_watchdog_config *config,
                     struct sl_watchdog_info *info, struct sl_error *err)
{
    (void)state;
    (void)config;
    (void)info;
    (void)err;
    return 0;
}

static int none_feed(void *state)
{
    (void)state;
    return 0;
}

static int none_time_left(void *state, uint32_t *s)
{
    (void)state;
    (void)s;
    return -ENOTSUP;
}

static void none_close(void *state, bool disarm)
{
    (void)state;
    (void)disarm;
}

const struct sl_watchdog_driver sl_watchdog_none = {
    .name = "none",
    .help = "resets nothing; device: ignored",
    .state_bytes = 0,
    .open = none_open,
    .feed = none_feed,
    .time_left = none_time_left,
    .close = none_close,
};
