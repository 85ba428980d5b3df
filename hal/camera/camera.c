#include "hal/camera/camera.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RATE_MAX_HZ 100000.0

struct sl_camera {
    const struct sl_camera_driver *driver;
    struct sl_camera_caps caps;
    bool started;
    bool shares;     /* the device writes into areas by itself */
    uint32_t areas;  /* so many of them */
    uint64_t queued; /* bit i: area i is the device's */
    size_t area_bytes;
    uint64_t refused;    /* frames that the driver took for good */
    bool own_problem;    /* the last fault was found here */
    struct sl_error why; /* that fault */
    _Alignas(max_align_t) unsigned char state[];
};

static const struct sl_camera_driver *find(const char *name)
{
    for (size_t i = 0; sl_camera_drivers[i] != NULL; i++) {
        if (name != NULL && strcmp(sl_camera_drivers[i]->name, name) == 0)
            return sl_camera_drivers[i];
    }
    return NULL;
}

static int no_driver(const char *name, struct sl_error *err)
{
    char list[256] = "";
    size_t used = 0;
    for (size_t i = 0; sl_camera_drivers[i] != NULL && used < sizeof list; i++)
        used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", i == 0 ? "" : ", ",
                                 sl_camera_drivers[i]->name);
    return sl_error_set(err, -ENODEV, "there is no camera driver \"%s\"; this build has: %s",
                        name != NULL ? name : "", list);
}

static int check_config(const struct sl_camera_config *config, struct sl_error *err)
{
    if (config->width_px > SL_FRAME_WIDTH_MAX_PX || config->height_px > SL_FRAME_HEIGHT_MAX_PX)
        return sl_error_set(err, -EINVAL, "a camera of %u x %u px is too large; at most %d x %d",
                            config->width_px, config->height_px, SL_FRAME_WIDTH_MAX_PX,
                            SL_FRAME_HEIGHT_MAX_PX);
    if ((config->width_px == 0) != (config->height_px == 0))
        return sl_error_set(err, -EINVAL,
                            "the camera's width is %u px and its height %u px; give both or "
                            "neither",
                            config->width_px, config->height_px);
    if (!isfinite(config->rate_hz) || config->rate_hz < 0 || config->rate_hz > RATE_MAX_HZ)
        return sl_error_set(err, -EINVAL, "the camera's rate of %g Hz is not within 0..%g",
                            config->rate_hz, RATE_MAX_HZ);
    return 0;
}

int sl_camera_open(struct sl_camera **camera, const struct sl_camera_config *config,
                   struct sl_error *err)
{
    *camera = NULL;
    const struct sl_camera_driver *driver = find(config->driver);
    if (driver == NULL)
        return no_driver(config->driver, err);
    int failed = check_config(config, err);
    if (failed)
        return failed;
    struct sl_camera *c = calloc(1, sizeof *c + driver->state_bytes);
    if (c == NULL)
        return sl_error_set(err, -ENOMEM, "no memory for a camera");
    c->driver = driver;
    failed = driver->open(c->state, config, &c->caps, err);
    if (failed) {
        driver->close(c->state);
        free(c);
        return failed;
    }
    *camera = c;
    return 0;
}

const struct sl_camera_caps *sl_camera_caps(const struct sl_camera *camera)
{
    return &camera->caps;
}

int sl_camera_start(struct sl_camera *camera, struct sl_error *err)
{
    if (camera->started)
        return sl_error_set(err, -EALREADY, "the camera runs already");
    const int failed = camera->driver->start(camera->state, err);
    if (failed)
        return failed;
    camera->started = true;
    return 0;
}

/* Records a fault that the driver did not see. */
static int refuse(struct sl_camera *camera, int code, const char *text)
{
    camera->own_problem = true;
    return sl_error_set(&camera->why, code, "%s", text);
}

/* What the driver says of a frame. Whoever made it, nobody behind this line has to
 * distrust it. */
static int judge(struct sl_camera *camera, int result, struct sl_frame_info *info, size_t capacity)
{
    if (result != 0) {
        if (result != -ETIMEDOUT && result != -ENODATA)
            camera->own_problem = false;
        return result;
    }
    if (sl_frame_check(info, capacity, &camera->why) != 0) {
        camera->own_problem = true;
        camera->refused++;
        return -EPROTO;
    }
    info->dropped += camera->refused;
    return 0;
}

int sl_camera_fill(struct sl_camera *camera, void *memory, size_t capacity,
                   struct sl_frame_info *info, uint64_t deadline_ns)
{
    if (!camera->started || camera->shares)
        return refuse(camera, -EINVAL,
                      camera->started ? "the camera's frames come into shared areas"
                                      : "the camera is not started");
    if (memory == NULL || capacity < camera->caps.frame_bytes)
        return refuse(camera, -EINVAL, "the memory given for a frame is too small");
    memset(info, 0, sizeof *info);
    const int result = camera->driver->fill(camera->state, memory, capacity, info, deadline_ns);
    return judge(camera, result, info, capacity);
}

int sl_camera_share(struct sl_camera *camera, const struct sl_bus_payloads *areas,
                    struct sl_error *err)
{
    if (camera->started || camera->shares)
        return sl_error_set(err, -EALREADY, "the camera has its areas, or runs already");
    if (areas->count > SL_BUS_SLOTS_MAX || areas->capacity_bytes < camera->caps.frame_bytes)
        return sl_error_set(err, -EINVAL, "the areas given for frames are too many or too small");
    const int failed = camera->driver->share(camera->state, areas, err);
    if (failed)
        return failed;
    camera->shares = true;
    camera->areas = areas->count;
    camera->area_bytes = areas->capacity_bytes;
    return 0;
}

int sl_camera_queue(struct sl_camera *camera, uint32_t area)
{
    if (!camera->started || !camera->shares || area >= camera->areas ||
        (camera->queued >> area & 1) != 0)
        return refuse(camera, -EINVAL, "this area can not be queued now");
    const int result = camera->driver->queue(camera->state, area);
    if (result == 0)
        camera->queued |= UINT64_C(1) << area;
    else
        camera->own_problem = false;
    return result;
}

int sl_camera_take(struct sl_camera *camera, uint32_t *area, struct sl_frame_info *info,
                   uint64_t deadline_ns)
{
    if (!camera->started || !camera->shares)
        return refuse(camera, -EINVAL, "the camera is not started, or has no areas");
    memset(info, 0, sizeof *info);
    int result = camera->driver->take(camera->state, area, info, deadline_ns);
    const bool came = result == 0;
    result = judge(camera, result, info, camera->area_bytes);
    if (result == 0)
        camera->queued &= ~(UINT64_C(1) << *area);
    else if (came)
        camera->driver->queue(camera->state, *area); /* it is no worse than before */
    return result;
}

void sl_camera_drops(const struct sl_camera *camera, struct sl_camera_drops *drops)
{
    *drops = (struct sl_camera_drops){0};
    camera->driver->drops(camera->state, drops);
    drops->corrupt += camera->refused;
}

const char *sl_camera_transfer(const struct sl_camera *camera)
{
    return camera->driver->transfer(camera->state);
}

const char *sl_camera_problem(const struct sl_camera *camera)
{
    return camera->own_problem ? camera->why.text : camera->driver->problem(camera->state);
}

void sl_camera_stop(struct sl_camera *camera)
{
    if (!camera->started)
        return;
    camera->started = false;
    camera->queued = 0;
    camera->driver->stop(camera->state);
}

void sl_camera_close(struct sl_camera *camera)
{
    if (camera == NULL)
        return;
    sl_camera_stop(camera);
    camera->driver->close(camera->state);
    free(camera);
}
