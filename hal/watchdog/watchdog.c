#include "hal/watchdog/watchdog.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct sl_watchdog {
    const struct sl_watchdog_driver *driver;
    struct sl_watchdog_info info;
    _Alignas(max_align_t) unsigned char state[];
};

static const struct sl_watchdog_driver *find(const char *name)
{
    for (size_t i = 0; sl_watchdog_drivers[i] != NULL; i++) {
        if (strcmp(sl_watchdog_drivers[i]->name, name) == 0)
            return sl_watchdog_drivers[i];
    }
    return NULL;
}

static int no_driver(const char *name, struct sl_error *err)
{
    char list[256] = "";
    size_t used = 0;
    for (size_t i = 0; sl_watchdog_drivers[i] != NULL && used < sizeof list; i++)
        used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", i == 0 ? "" : ", ",
                                 sl_watchdog_drivers[i]->name);
    return sl_error_set(err, -ENODEV, "there is no watchdog driver \"%s\"; this build has: %s",
                        name, list);
}

int sl_watchdog_open(struct sl_watchdog **watchdog, const struct sl_watchdog_config *config,
                     struct sl_error *err)
{
    *watchdog = NULL;
    const struct sl_watchdog_driver *driver = find(config->driver);
    if (driver == NULL)
        return no_driver(config->driver, err);
    if (config->timeout_s == 0)
        return sl_error_set(err, -EINVAL, "a watchdog's timeout must be 1 s or more");
    struct sl_watchdog *w = calloc(1, sizeof *w + driver->state_bytes);
    if (w == NULL)
        return sl_error_set(err, -ENOMEM, "no memory for the watchdog");
    w->driver = driver;
    const int rc = driver->open(w->state, config, &w->info, err);
    if (rc != 0) {
        driver->close(w->state, true);
        free(w);
        return rc;
    }
    *watchdog = w;
    return 0;
}

const struct sl_watchdog_info *sl_watchdog_info(const struct sl_watchdog *watchdog)
{
    return &watchdog->info;
}

int sl_watchdog_feed(struct sl_watchdog *watchdog)
{
    return watchdog->driver->feed(watchdog->state);
}

int sl_watchdog_time_left(struct sl_watchdog *watchdog, uint32_t *s)
{
    return watchdog->driver->time_left(watchdog->state, s);
}

void sl_watchdog_close(struct sl_watchdog *watchdog, bool disarm)
{
    if (watchdog == NULL)
        return;
    watchdog->driver->close(watchdog->state, disarm);
    free(watchdog);
}
