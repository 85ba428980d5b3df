/* The drivers of this build; private to hal/camera/. A new driver is declared
 * here and listed in drivers.c, and gets a fixture in the contract test. */
#ifndef SL_HAL_CAMERA_DRIVERS_H
#define SL_HAL_CAMERA_DRIVERS_H

#include "hal/camera/camera.h"

extern const struct sl_camera_driver sl_camera_bus;
extern const struct sl_camera_driver sl_camera_file;
extern const struct sl_camera_driver sl_camera_libcamera;
extern const struct sl_camera_driver sl_camera_pattern;
extern const struct sl_camera_driver sl_camera_v4l2;

/* For drivers without such: refuse with -ENOTSUP. */
int sl_camera_cannot_share(void *state, const struct sl_bus_payloads *areas, struct sl_error *err);
int sl_camera_cannot_queue(void *state, uint32_t area);
int sl_camera_cannot_take(void *state, uint32_t *area, struct sl_frame_info *info,
                          uint64_t deadline_ns);

#endif
