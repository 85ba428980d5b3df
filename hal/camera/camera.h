/* Cameras behind one table. A driver fills memory that the caller gives (a bus
 * slot, so that a frame is written once) and says what it put there.
 *
 * One thread at a time for each camera. Signs and units as in rt/frame.h. */
#ifndef SL_HAL_CAMERA_CAMERA_H
#define SL_HAL_CAMERA_CAMERA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rt/error.h"
#include "rt/frame.h"

struct sl_camera_config {
    const char *driver;    /* "file", "bus", "pattern" */
    const char *source;    /* file: folder, glob or picture; bus: its name; pattern: ignored */
    uint32_t width_px;     /* pattern: asked; file, bus: 0 or the size that must be */
    uint32_t height_px;
    uint32_t fourcc;       /* pattern: asked; file: GRAY8, NV12 or BGR24; 0: the driver's own */
    double rate_hz;        /* file, pattern: paced to this; 0: as fast as possible */
    bool loop;             /* file: begin again after the last picture */
};

/* What an opened camera will deliver at most. */
struct sl_camera_caps {
    uint32_t width_px, height_px, fourcc;
    size_t frame_bytes;    /* memory that fill() needs */
    double rate_hz;        /* 0: unpaced or unknown */
};

struct sl_camera;

/* A driver. Every entry is filled. */
struct sl_camera_driver {
    const char *name;
    const char *help;      /* one line: what it is, what `source` means */
    size_t state_bytes;    /* of the driver's own struct, zeroed before open */
    int (*open)(void *state, const struct sl_camera_config *config, struct sl_camera_caps *caps,
                struct sl_error *err);
    int (*start)(void *state, struct sl_error *err);
    int (*fill)(void *state, void *memory, size_t capacity, struct sl_frame_info *info,
                uint64_t deadline_ns);
    void (*stop)(void *state);
    void (*close)(void *state); /* from any half-open state */
    const char *(*problem)(const void *state);
};

/* All drivers of this build, ended by NULL. */
extern const struct sl_camera_driver *const sl_camera_drivers[];

/* Opens by config->driver. Reads headers, takes memory; no frames yet.
 * 0; -ENODEV (no such driver: `err` lists them), -ENOENT, -EINVAL, -EPROTO
 * (unreadable or of the wrong size), -ENOMEM; the sentence is in `err`. */
int sl_camera_open(struct sl_camera **camera, const struct sl_camera_config *config,
                   struct sl_error *err);
const struct sl_camera_caps *sl_camera_caps(const struct sl_camera *camera);
int sl_camera_start(struct sl_camera *camera, struct sl_error *err);

/* Waits for the next frame, at most until `deadline_ns`, and puts it into
 * `memory` (64-byte aligned, `capacity` >= caps.frame_bytes).
 * 0; -ETIMEDOUT (no frame yet: a state, not an error); -ENODATA (the end: a
 * folder without loop); -EPIPE (the source is gone; may come back);
 * -EPROTO (a bad frame was dropped and counted, the next may be good);
 * -EINVAL (capacity). Allocates nothing. A driver that decodes (file) may
 * overstay the deadline by one decode. */
int sl_camera_fill(struct sl_camera *camera, void *memory, size_t capacity,
                   struct sl_frame_info *info, uint64_t deadline_ns);

/* The last fault in words; empty if there was none. */
const char *sl_camera_problem(const struct sl_camera *camera);
void sl_camera_stop(struct sl_camera *camera);
void sl_camera_close(struct sl_camera *camera); /* NULL is allowed */

#endif
