/* What hal/camera/ asks of libcamera, in C. libcamera.cpp implements it, the only file
 * that speaks libcamera's C++; no exception leaves it. It is a plug-in,
 * skylane-libcamera.so, loaded when such a camera is opened or listed: a vehicle
 * without libcamera runs the same programs, and no other process gets the threads
 * that libcamera and its libraries start while they are loaded.
 *
 * A session is one camera in use. All calls for one come from one thread; events
 * come from libcamera's own thread. Formats are DRM's codes (drm_fourcc.h), as
 * libcamera's are: its names tell the bytes of a little-endian word, so that its
 * RGB888 lies in memory as B, G, R. */
#ifndef SL_HAL_CAMERA_LIBCAMERA_API_H
#define SL_HAL_CAMERA_LIBCAMERA_API_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Programs and plug-in must be of one build; this changes with every struct here. */
#define SL_LIBCAMERA_API_VERSION 1
#define SL_LIBCAMERA_API_SYMBOL  "sl_libcamera_api"

#define SL_LIBCAMERA_PLANES_MAX  3
#define SL_LIBCAMERA_BUFFERS_MAX 8

/* Why a call failed, in words; empty if it did not. */
struct sl_libcamera_why {
    char text[400];
};

/* What it can deliver in one format. */
struct sl_libcamera_mode {
    uint32_t fourcc; /* DRM's */
    uint32_t least_width_px, least_height_px;
    uint32_t largest_width_px, largest_height_px;
};

/* The texts and modes hold during the call that shows them. */
struct sl_libcamera_info {
    const char *id;    /* stays the same: "/base/soc/i2c0mux/i2c@1/imx708@1a" */
    const char *model; /* "imx708"; "" if it does not tell */
    const struct sl_libcamera_mode *modes;
    size_t mode_count;
};

struct sl_libcamera_format {
    uint32_t fourcc;
    uint32_t width_px, height_px;
    uint32_t buffers;      /* asked, and what came of it */
    uint32_t stride_bytes; /* of the first plane; an answer only */
    double rate_hz;        /* the same; 0: the camera has no such control */
};

/* 0: the camera's own choice. */
struct sl_libcamera_controls {
    double rate_hz;
    double exposure_us;
    double gain;            /* factor, from 1 */
    double white_balance_k; /* colour temperature */
    double focus;           /* dioptres, if it is locked */
    bool focus_locked;
};

/* Mapped from configure to close. */
struct sl_libcamera_buffer {
    struct {
        const uint8_t *data;
        size_t bytes;
    } planes[SL_LIBCAMERA_PLANES_MAX];
    uint32_t plane_count;
};

/* A buffer came back. */
struct sl_libcamera_done {
    uint32_t buffer;
    uint32_t sequence; /* the device's count of frames */
    uint64_t stamp_ns; /* of the sensor, else of the buffer; 0: none */
    bool good;         /* false: broken, or given up */
};

struct sl_libcamera_events {
    void *context;
    void (*done)(void *context, const struct sl_libcamera_done *done);
    void (*gone)(void *context); /* unplugged */
};

struct sl_libcamera_session;

/* Results are 0 or a negative errno, with a sentence in `why`. */
struct sl_libcamera_api {
    uint32_t version;    /* SL_LIBCAMERA_API_VERSION; first, for ever */
    const char *library; /* libcamera's own: "v0.4.0" */
    /* Shows each camera that there is. The first call finds them, which takes up to
     * some seconds and starts libcamera's thread. -ENOSYS (it does not run here). */
    int (*list)(void (*each)(void *context, const struct sl_libcamera_info *info), void *context,
                struct sl_libcamera_why *why);
    /* Takes the camera of this id. -EBUSY (another process has it), -ENODEV. */
    int (*open)(struct sl_libcamera_session **session, const char *id,
                const struct sl_libcamera_events *events, struct sl_libcamera_why *why);
    /* Agrees on exactly this format and takes its buffers; once with success.
     * -EINVAL (not this format: `format` is then what it would make of it),
     * -ENOTSUP, -ERANGE (a control), -ENOMEM. */
    int (*configure)(struct sl_libcamera_session *session, struct sl_libcamera_format *format,
                     const struct sl_libcamera_controls *controls, struct sl_libcamera_why *why);
    /* Buffer number `buffer`, below format.buffers. */
    void (*buffer)(struct sl_libcamera_session *session, uint32_t buffer,
                   struct sl_libcamera_buffer *out);
    /* Starts, and gives it all buffers. */
    int (*start)(struct sl_libcamera_session *session, struct sl_libcamera_why *why);
    /* Gives it a buffer that came back. From the thread of the events too. */
    int (*queue)(struct sl_libcamera_session *session, uint32_t buffer);
    /* The processor is about to read a buffer, or has read it: system calls that do
     * not wait for frames. */
    void (*sync)(struct sl_libcamera_session *session, uint32_t buffer, bool begin);
    /* All buffers come back (not good) before it returns. */
    void (*stop)(struct sl_libcamera_session *session);
    void (*close)(struct sl_libcamera_session *session); /* stopped before; NULL is allowed */
};

#endif
