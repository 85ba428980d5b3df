/* The detector's configuration for a clip of pictures: from one of our
 * settings files, or from a JSON that describes clips by what is seen in them
 * (horizon, vanishing point, a straight lane's quadrangle). */
#ifndef SL_APP_PROGRAMS_DETECT_CALIBRATION_H
#define SL_APP_PROGRAMS_DETECT_CALIBRATION_H

#include <stdint.h>

#include "app/detect/detect.h"
#include "rt/error.h"

struct sl_clip_calibrations; /* opaque */

/* Reads a file; what begins with '{' is JSON, all else is settings. 0;
 * -ENOENT and the like; -EINVAL (content) with a sentence. */
int sl_clip_calibrations_read(struct sl_clip_calibrations **calibrations, const char *path,
                              struct sl_error *err);
void sl_clip_calibrations_free(struct sl_clip_calibrations *calibrations); /* NULL is allowed */

/* The configuration for a clip: a settings file's is the same for all. 0;
 * -ENOENT if the JSON has no such clip; -EINVAL if its numbers make no camera. */
int sl_clip_calibration(const struct sl_clip_calibrations *calibrations, const char *clip,
                        struct sl_detect_config *config, struct sl_error *err);

#endif
