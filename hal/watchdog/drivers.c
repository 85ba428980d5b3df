/* A file of its own, so that a test can bring another table. */
#include "hal/watchdog/drivers.h"

#include <stddef.h>

const struct sl_watchdog_driver *const sl_watchdog_drivers[] = {
    &sl_watchdog_linux,
    &sl_watchdog_none,
    NULL,
};
