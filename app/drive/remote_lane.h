/* What a lane from another machine must be before anybody may steer by it. Pure. */
#ifndef SL_APP_DRIVE_REMOTE_LANE_H
#define SL_APP_DRIVE_REMOTE_LANE_H

#include "rt/error.h"
#include "rt/records.h"

/* Checks a lane whose numbers are finite (net/detect_wire.h sees to that) against
 * what roads and pictures can be: found in a picture of this size; confidences
 * within 0 and 1; the lane between half and twice as wide as expected; the vehicle
 * not farther beside its middle than one such width, nor across it; no bend so
 * tight that the inner boundary would be a point; variances that are none below
 * 0. A lost lane's numbers are set to 0, whatever they were. 0; -EPROTO with a
 * sentence. */
int sl_remote_lane_check(struct sl_detection *lane, const struct sl_frame_info *frame,
                         double lane_width_m, struct sl_error *err);

#endif
