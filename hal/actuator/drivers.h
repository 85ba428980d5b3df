/* The drivers of this build; private to hal/actuator/. A new driver is declared
 * here and listed in drivers.c, and gets a fixture in the contract test. */
#ifndef SL_HAL_ACTUATOR_DRIVERS_H
#define SL_HAL_ACTUATOR_DRIVERS_H

#include "hal/actuator/actuator.h"

extern const struct sl_actuator_driver sl_actuator_bus;
extern const struct sl_actuator_driver sl_actuator_null;

#endif
