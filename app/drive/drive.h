/* The control path: camera, detect and control as threads between buses, wired as
 * the settings say. This is what `skylane run` runs.
 *
 *   camera  fills frames into bus.camera (unless another process does)
 *   detect  bus.camera, bus.odometry -> lanes -> bus.detection (unless another
 *           process does)
 *   control bus.detection, bus.odometry -> law, safety, limits -> actuator
 *
 * With detect.detector = zmq a bridge of ordinary priority asks a detection server
 * (bus.camera -> wire -> bus.remote), and detect takes what it brings while that
 * comes in time.
 *
 * The caller's own thread, of ordinary priority, calls sl_drive_poll() some
 * fifty times a second: it takes requests from bus.action and publishes
 * bus.state. If it stalls, driving goes on. */
#ifndef SL_APP_DRIVE_DRIVE_H
#define SL_APP_DRIVE_DRIVE_H

#include <stdbool.h>
#include <stdint.h>

#include "app/config/settings.h"
#include "rt/error.h"
#include "rt/log.h"
#include "rt/records.h"

struct sl_drive; /* opaque */

struct sl_drive_options {
    /* Virtual time: one command for each detection, with the frame's own time
     * as the clock and no control ticks in between. For simulators that wait
     * for the command; refused with actuators that move something real. */
    bool lockstep;
    bool insecure;      /* a detection server is asked without keys: net/guard.h */
    struct sl_log *log; /* outlives the vehicle; may be NULL */
};

/* A vehicle that asks a detection server. Of the questions asked, one may be under
 * way; each other is counted once as answered, refused, late or lost. */
struct sl_drive_remote {
    uint64_t timeout_ns;
    int jpeg_quality;        /* 0: frames go as they are */
    uint64_t asked;          /* questions sent */
    uint64_t sent_bytes;     /* of their pictures */
    uint64_t answered;       /* with a lane, in time */
    uint64_t refused;        /* answered with a sentence, or with a lane that cannot be */
    uint64_t late;           /* answered after the timeout: dropped */
    uint64_t lost;           /* never answered */
    uint64_t unwanted;       /* messages that answer nothing: nonsense, another frame, twice */
    uint64_t unasked;        /* frames while no server took a question */
    uint64_t takeovers;      /* how often the server was gone after it had been driven by */
    uint64_t builtin_frames; /* lanes published of the built-in detector */
};

/* Opens buses, camera, detector and actuator, takes and locks all memory. The
 * settings must have passed sl_settings_check() and outlive the vehicle. What
 * the machine lacks for real time is logged once, as warnings. Nothing moves
 * yet. 0, or the failing part's code with its sentence. */
int sl_drive_open(struct sl_drive **drive, const struct sl_settings *settings,
                  const struct sl_drive_options *options, struct sl_error *err);

/* Starts the threads. On failure nothing runs. */
int sl_drive_start(struct sl_drive *drive, struct sl_error *err);

/* Requests in, state out. Not blocking. */
void sl_drive_poll(struct sl_drive *drive);

/* The newest state, with percentiles up to now. Any time after open. */
void sl_drive_state(struct sl_drive *drive, struct sl_state *state);

/* True once the camera has no more frames (a folder without loop). */
bool sl_drive_finished(const struct sl_drive *drive);

/* The reasons of the safe stops so far, oldest first: at most `max` are
 * written, the number of all is returned. */
uint64_t sl_drive_stops(struct sl_drive *drive, uint32_t *reasons, uint32_t max);

/* What was asked of a detection server. False if none is (then nothing is
 * written). Not for real-time threads. */
bool sl_drive_remote(struct sl_drive *drive, struct sl_drive_remote *remote);

/* Outputs to neutral first, then ends threads and closes everything. NULL is
 * allowed. */
void sl_drive_close(struct sl_drive *drive);

#endif
