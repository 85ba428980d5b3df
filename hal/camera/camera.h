/* Cameras behind one table. A driver fills memory that the caller gives (a bus
 * slot, so that a frame is written once) and says what it put there.
 *
 *     open -> start -> fill, fill, ... -> stop -> (start again) -> close
 *
 * Where the device can write into a bus's slots by itself, no frame is copied:
 *
 *     open -> share -> start -> queue, queue, take, queue, take ... -> stop -> ...
 *
 * One thread at a time for each camera. Signs and units as in rt/frame.h. */
#ifndef SL_HAL_CAMERA_CAMERA_H
#define SL_HAL_CAMERA_CAMERA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rt/bus.h"
#include "rt/error.h"
#include "rt/frame.h"

/* The texts are copied while opening. */
struct sl_camera_config {
    const char *driver; /* "bus", "file", "pattern" */
    /* file: a folder, a glob, a picture, a .y4m video, or "-" for Y4M on standard
     * input; bus: its name; pattern: ignored */
    const char *source;
    uint32_t width_px; /* pattern: asked; file, bus: 0 or the size that must be */
    uint32_t height_px;
    uint32_t fourcc;      /* pattern: asked; file: GRAY8, NV12, YUYV or BGR24; bus: ignored, what
                           * comes is delivered; 0: the driver's own (file, pattern: NV12) */
    double rate_hz;       /* file, pattern: paced to this; 0: as fast as possible */
    uint32_t bus_writers; /* bus: whose frames are taken, enum sl_bus_writers */
    bool loop;            /* file: begin again after the last picture */
    /* file, bus, pattern: ignored. Others fail to open if they have no such control. */
    double exposure_us;     /* 0: the camera's own choice */
    double gain;            /* in the driver's units; 0: the camera's own choice */
    double white_balance_k; /* colour temperature; 0: the camera's own choice */
    double focus;           /* in the driver's units, if it is locked */
    bool focus_locked;
};

/* What an opened camera will deliver at most. */
struct sl_camera_caps {
    uint32_t width_px, height_px, fourcc; /* bus: 0 where it depends on who writes the bus */
    size_t frame_bytes;                   /* memory that fill() needs */
    double rate_hz;                       /* 0: unpaced or unknown */
    uint32_t areas; /* that share() wants queued at a time; 0: it will refuse */
};

/* Frames that did not come, since the camera was opened; together they are what
 * sl_frame_info.dropped counts. A bus's are those since its writer was found. */
struct sl_camera_drops {
    uint64_t sensor;  /* gaps in the device's own numbers: it never delivered them */
    uint64_t no_area; /* gaps while no memory was queued that it could write to */
    uint64_t late;    /* older than another one that was there too, when looked for */
    uint64_t corrupt; /* broken, incomplete, or not what they say they are */
};

struct sl_camera;

/* A driver. Every entry is filled. The wrapper calls them only in the order
 * above, with arguments that it has checked. */
struct sl_camera_driver {
    const char *name;
    const char *help;   /* one line: what it is, what `source` means */
    size_t state_bytes; /* of the driver's own struct, zeroed before open */
    int (*open)(void *state, const struct sl_camera_config *config, struct sl_camera_caps *caps,
                struct sl_error *err);
    int (*start)(void *state, struct sl_error *err);
    int (*fill)(void *state, void *memory, size_t capacity, struct sl_frame_info *info,
                uint64_t deadline_ns);
    /* Only after share() was granted. */
    int (*share)(void *state, const struct sl_bus_payloads *areas, struct sl_error *err);
    int (*queue)(void *state, uint32_t area);
    int (*take)(void *state, uint32_t *area, struct sl_frame_info *info, uint64_t deadline_ns);
    void (*drops)(const void *state, struct sl_camera_drops *drops);
    const char *(*transfer)(const void *state);
    void (*stop)(void *state);
    void (*close)(void *state); /* from any half-open state; open failed included */
    const char *(*problem)(const void *state);
};

/* All drivers of this build, ended by NULL. */
extern const struct sl_camera_driver *const sl_camera_drivers[];

/* Opens by config->driver. Reads headers, takes memory; no frames yet.
 * 0; -ENODEV (no such driver: `err` lists them), -ENOENT, -EINVAL, -EPROTO
 * (unreadable or of the wrong size), -ENOMEM; the sentence is in `err`.
 * *camera is NULL after a failure. */
int sl_camera_open(struct sl_camera **camera, const struct sl_camera_config *config,
                   struct sl_error *err);

/* What was opened; holds until close. */
const struct sl_camera_caps *sl_camera_caps(const struct sl_camera *camera);

/* Starts, or starts again after stop: a folder begins with its first picture;
 * frame ids and drop counts of file and pattern go on. 0; -EALREADY (it runs);
 * what the driver's device says, with a sentence: the camera stays stopped. */
int sl_camera_start(struct sl_camera *camera, struct sl_error *err);

/* Waits for the next frame, at most until `deadline_ns` (absolute; 0: do not
 * wait), and puts it into `memory` (64-byte aligned, `capacity` >=
 * caps.frame_bytes). 0; -ETIMEDOUT (no frame yet: a state, not an error);
 * -ENODATA (the end: a folder without loop); -EPIPE (the source is gone; may
 * come back; said at the deadline); -EPROTO (a bad frame was dropped and
 * counted, the next may be good); -EINVAL (capacity, or not started).
 *
 * Frame ids rise by one plus the number of frames that info->dropped grew by.
 * A paced source is like a sensor: a caller who comes late by whole periods
 * gets the newest frame that is due, and the ones before are dropped. The
 * first is due at the first fill after start. Unpaced, nothing is ever
 * dropped but bad pictures. Frames of a bus keep the ids and times that their
 * writer gave them (they begin again when it does), and `dropped` adds what
 * this reader missed since it found that writer.
 *
 * Allocates nothing, except that the file driver's libjpeg takes working
 * memory for each picture and gives it back. The file driver may overstay the
 * deadline by one read and decode. What a driver delivers has passed
 * sl_frame_check(). */
int sl_camera_fill(struct sl_camera *camera, void *memory, size_t capacity,
                   struct sl_frame_info *info, uint64_t deadline_ns);

/* Lets the device write into `areas` by itself, between open and the first start;
 * they outlive the camera. Each is at least caps.frame_bytes long. From then on
 * queue and take stand for fill. 0; -ENOTSUP (not this camera, or not in this
 * format: fill as ever); -EALREADY. Not for real-time threads. */
int sl_camera_share(struct sl_camera *camera, const struct sl_bus_payloads *areas,
                    struct sl_error *err);

/* Gives area number `area` to the device, which may write to it from now on. At
 * least caps.areas of them should be queued at any time. Stopping takes back
 * all. 0; -EINVAL (not started, no such area, or queued already); -EPIPE (the
 * device is gone). */
int sl_camera_queue(struct sl_camera *camera, uint32_t area);

/* Waits as sl_camera_fill() does, for a frame in one of the queued areas, which
 * is then the caller's again. The newest wins: older ones that are there too are
 * dropped and their areas queued again. The results are those of fill; with any
 * but 0 no area changes hands. */
int sl_camera_take(struct sl_camera *camera, uint32_t *area, struct sl_frame_info *info,
                   uint64_t deadline_ns);

/* What was dropped so far, by its cause. */
void sl_camera_drops(const struct sl_camera *camera, struct sl_camera_drops *drops);

/* How pixels come into the bus, in a few words for people that live for ever. Once
 * open; sharing may change it. */
const char *sl_camera_transfer(const struct sl_camera *camera);

/* The last fault in words; empty if there was none. Holds until the next call. */
const char *sl_camera_problem(const struct sl_camera *camera);

void sl_camera_stop(struct sl_camera *camera);  /* nothing happens if it is stopped */
void sl_camera_close(struct sl_camera *camera); /* stops first; NULL is allowed */

#endif
