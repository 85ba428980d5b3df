/* A capture device of Video4Linux: found, asked what it can, and set to a format.
 * Names of ioctls and fields are those of the kernel's documentation, "Video for
 * Linux API". Private to hal/camera/ and to its users' lists; one thread at a time. */
#ifndef SL_HAL_CAMERA_V4L2_DEVICE_H
#define SL_HAL_CAMERA_V4L2_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rt/error.h"
#include "rt/frame.h"

struct sl_v4l2_info {
    char path[64];   /* "/dev/video0" */
    char card[33];   /* what it is called: "HD Pro Webcam C920" */
    char driver[17]; /* the kernel's: "uvcvideo" */
    char bus[33];    /* where it is plugged in */
};

struct sl_v4l2_device {
    int fd; /* -1: not open */
    struct sl_v4l2_info info;
    uint32_t type;               /* V4L2_BUF_TYPE_VIDEO_CAPTURE, or ..._MPLANE */
    struct sl_frame_info layout; /* of the frames that were agreed on */
    size_t image_bytes;          /* that a buffer must have room for: the layout's, or more */
    double rate_hz;              /* agreed on; 0: the device does not tell */
};

/* What it can deliver. Sizes that lie between a least and a largest one are told
 * as these two. */
struct sl_v4l2_mode {
    uint32_t fourcc; /* V4L2's; those of enum sl_format can be used */
    uint32_t width_px, height_px;
    bool is_least;  /* of a range: the next one called back is its largest */
    double rate_hz; /* highest; 0: not told */
};

/* Capture devices of this machine, in the order of their numbers: at most `max`
 * are written, the number of all is returned. Blocks for some ms a device. */
size_t sl_v4l2_list(struct sl_v4l2_info *infos, size_t max);

/* `source` is a path, a number, a part of the card's name, or empty for the
 * first. 0; -ENODEV (none, or none of this name: `err` lists those there are);
 * -EACCES, -EBUSY and the like, with the remedy. */
int sl_v4l2_open(struct sl_v4l2_device *device, const char *source, struct sl_error *err);

/* Of an open device, each once. */
void sl_v4l2_modes(struct sl_v4l2_device *device,
                   void (*each)(void *context, const struct sl_v4l2_mode *mode), void *context);

/* Agrees on a format of exactly this size: `fourcc` if the device has it at
 * `rate_hz` (0: any), else the first of NV12, YUYV, GREY, BGR24, MJPEG that it
 * has at that rate, else the fastest. 0; -EINVAL with a sentence: no such size (it
 * lists those there are) or none of these formats; -EBUSY (somebody else
 * captures). */
int sl_v4l2_negotiate(struct sl_v4l2_device *device, uint32_t fourcc, uint32_t width_px,
                      uint32_t height_px, double rate_hz, struct sl_error *err);

/* What sl_camera_config says of them; 0 (focus: not locked) leaves the device's own
 * automatic control on, where it has one. 0, or -ENOTSUP with the setting that
 * this device has no control for, -ERANGE with its bounds. */
struct sl_v4l2_controls {
    double exposure_us, gain, white_balance_k, focus;
    bool focus_locked;
};
int sl_v4l2_set_controls(struct sl_v4l2_device *device, const struct sl_v4l2_controls *controls,
                         struct sl_error *err);

/* Least number of buffers that must be queued for it to run, as it tells; 1 if it
 * does not. */
uint32_t sl_v4l2_min_buffers(struct sl_v4l2_device *device);

void sl_v4l2_close(struct sl_v4l2_device *device); /* of one that is not open: nothing */

/* ioctl(), again if a signal came. 0 or a negative errno. */
int sl_v4l2_ioctl(int fd, unsigned long request, void *argument);

#endif
