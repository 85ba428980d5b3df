/* A camera at work: fills its bus, watches what comes, and starts the source anew
 * when it fails. The loop is one thread, or one process, of its own.
 *
 * A trouble is told in the log and on bus.camera_status at once; frames go on being
 * published meanwhile, so that people can see them. Restarts in place are tried at
 * once and then ever more seldom, until frames are good again. */
#ifndef SL_APP_CAMERA_SOURCE_H
#define SL_APP_CAMERA_SOURCE_H

#include <stdbool.h>

#include "app/config/settings.h"
#include "hal/camera/camera.h"
#include "rt/bus.h"
#include "rt/error.h"
#include "rt/log.h"

struct sl_source; /* opaque */

/* Settings that the camera in [camera] stands for; the texts are those of `s`. */
void sl_source_config(const struct sl_settings *s, struct sl_camera_config *config);

/* Opens camera and buses, takes all memory. `settings` and `log` outlive it; `log`
 * may be NULL. 0, or what failed with its sentence. */
int sl_source_open(struct sl_source **source, const struct sl_settings *settings,
                   struct sl_log *log, struct sl_error *err);

/* Starts the camera. 0, or what failed with its sentence. */
int sl_source_start(struct sl_source *source, struct sl_error *err);

/* One round of the loop: waits for a frame, some 50 ms at most, and does what is due.
 * 0 (go on); -ENODATA (that was the last frame); -EPIPE (SL_SOURCE_RESTARTS restarts
 * in place have not brought a frame: what more can be done is the caller's). */
int sl_source_round(struct sl_source *source);
#define SL_SOURCE_RESTARTS 3

const struct sl_camera_caps *sl_source_caps(const struct sl_source *source);
const char *sl_source_transfer(const struct sl_source *source); /* once open */

void sl_source_close(struct sl_source *source); /* after the loop; NULL is allowed */

#endif
