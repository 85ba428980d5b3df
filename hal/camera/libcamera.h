/* The cameras that libcamera finds, for lists. */
#ifndef SL_HAL_CAMERA_LIBCAMERA_H
#define SL_HAL_CAMERA_LIBCAMERA_H

#include "hal/camera/libcamera_api.h"
#include "rt/error.h"

/* Shows each camera to `each`, in the order in which camera.source counts them. It
 * reads the cameras, takes none, and blocks up to some seconds. 0, also where
 * there are none; -ENODEV (libcamera is not there: `err` says what to install),
 * -ENOSYS (it does not run here). Any thread but real-time ones, one at a time. */
int sl_libcamera_list(void (*each)(void *context, const struct sl_libcamera_info *info),
                      void *context, struct sl_error *err);

/* Whether frames of a format in sl_libcamera_mode can be used, as they are or
 * converted. */
bool sl_libcamera_can_use(uint32_t fourcc);

#endif
