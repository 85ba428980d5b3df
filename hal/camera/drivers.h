/* The drivers of this build; private to hal/camera/. A new driver is declared
 * here and listed in drivers.c, and gets a fixture in the contract test. */
#ifndef SL_HAL_CAMERA_DRIVERS_H
#define SL_HAL_CAMERA_DRIVERS_H

#include "hal/camera/camera.h"

extern const struct sl_camera_driver sl_camera_bus;
extern const struct sl_camera_driver sl_camera_file;
extern const struct sl_camera_driver sl_camera_pattern;

#endif
