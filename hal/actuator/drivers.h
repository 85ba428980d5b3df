/* The drivers of this build; private to hal/actuator/. A new driver is declared
 * here and listed in drivers.c, and gets a fixture in the contract test. */
#ifndef SL_HAL_ACTUATOR_DRIVERS_H
#define SL_HAL_ACTUATOR_DRIVERS_H

#include "hal/actuator/actuator.h"

extern const struct sl_actuator_driver sl_actuator_bus;
extern const struct sl_actuator_driver sl_actuator_null;
extern const struct sl_actuator_driver sl_actuator_pca9685;
extern const struct sl_actuator_driver sl_actuator_pwm;
extern const struct sl_actuator_driver sl_actuator_serial;
extern const struct sl_actuator_driver sl_actuator_vesc;

/* For drivers with nothing to tend and nothing to tell. */
void sl_actuator_no_tend(void *state);
int sl_actuator_no_status(void *state, struct sl_actuator_status *status);

#endif
