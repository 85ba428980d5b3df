/* The drivers of this build; private to hal/watchdog/. A new driver is declared
 * here and listed in drivers.c. */
#ifndef SL_HAL_WATCHDOG_DRIVERS_H
#define SL_HAL_WATCHDOG_DRIVERS_H

#include "hal/watchdog/watchdog.h"

extern const struct sl_watchdog_driver sl_watchdog_linux;
extern const struct sl_watchdog_driver sl_watchdog_none;

#endif
