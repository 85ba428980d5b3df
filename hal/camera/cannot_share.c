#include "hal/camera/drivers.h"

#include <errno.h>

int sl_camera_cannot_share(void *state, const struct sl_bus_payloads *areas, struct sl_error *err)
{
    (void)state;
    (void)areas;
    return sl_error_set(err, -ENOTSUP, "this camera's frames are copied");
}

int sl_camera_cannot_queue(void *state, uint32_t area)
{
    (void)state;
    (void)area;
    return -ENOTSUP;
}

int sl_camera_cannot_take(void *state, uint32_t *area, struct sl_frame_info *info,
                          uint64_t deadline_ns)
{
    (void)state;
    (void)area;
    (void)info;
    (void)deadline_ns;
    return -ENOTSUP;
}
