/* Asks a detection server on another machine (docs/protocol.md) for the lane in
 * each frame: a bridge from the camera's bus to bus.remote. Private to app/drive.
 *
 * A thread of ordinary priority, which the control path never waits for: it
 * reads the camera's bus as any other reader does, has one question under way,
 * takes the newest frame for the next, and gives a question up when the timeout
 * has passed since its frame was taken. Only lanes that were asked for, came in
 * time and pass sl_remote_lane_check() are published, each once, with the frame's
 * identity and the vehicle's own clock. sl-detect decides whether they are driven
 * by (detect_remote_node.c). The server may start later, end and come back. */
#ifndef SL_APP_DRIVE_REMOTE_H
#define SL_APP_DRIVE_REMOTE_H

#include <stdbool.h>
#include <stdint.h>

#include "app/config/settings.h"
#include "app/drive/drive.h"
#include "rt/error.h"

struct sl_remote; /* opaque */

/* Opens client and buses, becomes the writer of bus.remote; does not wait for a
 * server. The settings outlive it. `insecure`: without keys. 0; -EINVAL (detect.url);
 * -ENOKEY (not paired with it; as sl_guard_present()); -EBUSY (another
 * process writes bus.remote); -ENOMEM, -EMFILE. */
int sl_remote_open(struct sl_remote **remote, const struct sl_settings *settings, bool insecure,
                   struct sl_error *err);
int sl_remote_start(struct sl_remote *remote, struct sl_error *err); /* 0 or -EAGAIN */
void sl_remote_stop(struct sl_remote *remote);  /* ends the thread, within some 20 ms */
void sl_remote_close(struct sl_remote *remote); /* stops as well; NULL is allowed */

/* The server shall forget the frames before: the vehicle was put elsewhere. Any
 * thread, real-time ones too. */
void sl_remote_reset(struct sl_remote *remote);

/* What was asked and answered so far; `takeovers` and `builtin_frames`, which it
 * does not know, are 0. Not for real-time threads: it takes a lock. */
void sl_remote_counts(struct sl_remote *remote, struct sl_drive_remote *counts);

enum sl_remote_trouble {
    SL_REMOTE_FINE = 0,
    SL_REMOTE_NOBODY,   /* no server takes questions */
    SL_REMOTE_SILENT,   /* one does, and does not answer in time */
    SL_REMOTE_REFUSES,  /* it answers with a sentence, or a lane that cannot be; or the
                         * frame cannot be sent */
    SL_REMOTE_NONSENSE, /* it sends what is no answer */
};

/* Why the newest frame has no lane of the server's: enum sl_remote_trouble, and in
 * words with the remedy (empty if it has one). Not for real-time threads. */
uint32_t sl_remote_problem(struct sl_remote *remote, struct sl_error *why);

#endif
