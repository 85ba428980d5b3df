/* Where a picture may show paint: the first step of calibrating from driving.
 *
 * In each of some rows, every strip that is brighter (or darker) than the
 * ground on both of its sides is a candidate: a rising edge and the next
 * falling one, no further apart than paint can be wide. Nothing is assumed of
 * where the horizon lies: that is what is to be found. Points come as
 * directions of a level camera, the lens's distortion undone, so that straight
 * lines of the road are straight lines here.
 *
 * Pure: no allocation, no I/O. */
#ifndef SL_APP_CALIBRATE_LANE_POINTS_H
#define SL_APP_CALIBRATE_LANE_POINTS_H

#include <stddef.h>
#include <stdint.h>

#include "app/calibrate/luma.h"
#include "app/detect/camera_model.h"
#include "app/detect/detect.h"

#define SL_LANE_POINT_ROWS    150  /* rows looked at, at most */
#define SL_LANE_POINTS_IN_ROW 10   /* strongest candidates kept of a row */
#define SL_LANE_POINTS        1500 /* candidates of a picture, at most */

/* A candidate. x and y are tangents: right of, and below, the optical axis of
 * the camera with its roll taken out. */
struct sl_lane_point {
    float x, y;
    float width; /* of the strip, in the same unit */
    float contrast;
};

struct sl_lane_point_set {
    uint32_t count;
    float pixel;     /* a pixel's size near the middle, in the same unit */
    float lowest;    /* y of the lowest row looked at */
    float row_pitch; /* y from a row to the next */
    struct sl_lane_point points[SL_LANE_POINTS];
};

/* Prepares the lens of `camera` without its pitch and yaw; its roll stays.
 * 0, or -EINVAL with the offending number named in `err`. */
int sl_lane_points_lens(struct sl_camera_model *lens, const struct sl_camera_calibration *camera,
                        struct sl_error *err);

/* Finds the candidates of a picture, which has the size that the lens was
 * prepared for. `min_contrast` is the least step of grey levels, above 0; a
 * noisy picture raises it by itself. Takes a few ms for a megapixel. */
void sl_lane_points_find(const struct sl_camera_model *lens, const struct sl_luma *picture,
                         enum sl_marking_polarity polarity, double min_contrast,
                         struct sl_lane_point_set *out);

#endif
