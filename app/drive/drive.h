/* The control path: camera, detect and control as threads between buses, wired as
 * the settings say. This is what `skylane run` runs.
 *
 *   camera  fills frames into bus.camera (unless another process does)
 *   detect  bus.camera -> lanes -> bus.detection (unless another process does)
 *   control bus.detection, bus.odometry -> law, safety, limits -> actuator
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
    struct sl_log *log; /* outlives the vehicle; may be NULL */
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

/* Outputs to neutral first, then ends threads and closes everything. NULL is
 * allowed. */
void sl_drive_close(struct sl_drive *drive);

#endif
