/* A file of its own, so that a test of the wrapper can bring another table. */
#include "hal/camera/drivers.h"

#include <stddef.h>

const struct sl_camera_driver *const sl_camera_drivers[] = {
    &sl_camera_bus,  &sl_camera_file,      &sl_camera_pattern,
    &sl_camera_v4l2, &sl_camera_libcamera, NULL,
};
