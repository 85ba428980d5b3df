/* A file of its own, so that a test of the wrapper can bring another table. */
#include "hal/actuator/drivers.h"

#include <stddef.h>

const struct sl_actuator_driver *const sl_actuator_drivers[] = {
    &sl_actuator_bus,
    &sl_actuator_null,
    &sl_actuator_pca9685,
    &sl_actuator_pwm,
    &sl_actuator_serial,
    &sl_actuator_vesc,
    NULL,
};
