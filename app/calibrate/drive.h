/* A camera's pitch, yaw, height and roll from straight driving.
 *
 * Lines of a straight lane meet in the picture where the road vanishes. Over
 * many frames of a vehicle that follows its lane, that point is where the
 * vehicle heads: it gives pitch and yaw. A lane of known width w seen from
 * height h opens below that point by w/h, whatever the focal length: that
 * gives the height. With the camera rolled by r, w/h seems to change with the
 * vehicle's place in the lane, by r (yl^2 - yr^2) / h^2 for lines yl and yr to
 * the left: a vehicle that wanders in its lane shows the roll, one that does
 * not cannot.
 *
 * For each frame: (1) the meeting point is the one from which the candidates'
 * slopes make the sharpest histogram; (2) the lane's lines are the nearest
 * strong peaks of that histogram on either side; (3) both lines are fitted
 * together, by least squares with Tukey's weights, with one bend k / (y - y0)
 * in common, which is what a road of curvature -2 k / h looks like. A bend
 * moves both lines alike: pitch and height do not feel it, yaw does, and frames
 * with a bend that matters are left out. Then the frames' medians are taken.
 *
 * Pure: no allocation, no I/O, no clock. */
#ifndef SL_APP_CALIBRATE_DRIVE_H
#define SL_APP_CALIBRATE_DRIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "app/calibrate/lane_points.h"

#define SL_DRIVE_FRAMES_MIN 10 /* straight ones that a result takes */

/* What became of a frame. */
enum sl_drive_verdict {
    SL_DRIVE_STRAIGHT = 0, /* it counts */
    SL_DRIVE_NO_LANE,      /* not both lines */
    SL_DRIVE_BENT,         /* the road bends */
    SL_DRIVE_OTHER,        /* a lane of another width, or a line that is none */
    SL_DRIVE_VERDICTS
};

struct sl_drive_frame {
    struct sl_lane_point_set points; /* the caller's, from sl_lane_points_find() */
    enum sl_drive_verdict verdict;
    /* Of both lines: x = slope y + offset + bend / (y - meet_y), left and right.
     * Tangents, as the points. */
    double slope[2], offset[2], bend;
    double meet_x, meet_y;   /* where they meet */
    double far_y;            /* the highest point that was used */
    double pitch_rad;        /* that this frame alone asks for */
    double yaw_rad;          /* the same, vehicle heading along the lane */
    double width_by_height;  /* w/h, with the roll that the points were found with */
    double skew;             /* how it changes with roll: (yl^2 - yr^2) / h^2 */
    double residual_px;      /* of the points used, root mean square */
    uint32_t points_used[2]; /* left, right */
};

struct sl_drive_config {
    struct sl_camera_calibration camera; /* the lens; pitch, yaw and height are where to begin */
    bool pose_known;                     /* false: pitch, yaw and height are searched everywhere */
    double lane_width_m;                 /* between the middles of the markings, above 0 */
};

/* A number with its spread over frames and its standard error. The error
 * counts frames that resemble their neighbours as one (n (1-r)/(1+r), r the
 * correlation of a frame with the one before). */
struct sl_drive_number {
    double value, spread, error;
};

struct sl_drive_result {
    struct sl_camera_calibration camera; /* as given, with the pose found */
    struct sl_drive_number pitch_rad, yaw_rad, roll_rad, height_m;
    bool roll_found;                    /* false: too little wandering; the given one stays */
    double horizon_px;                  /* row of the vanishing point */
    double vanishing_px;                /* its column */
    uint32_t counts[SL_DRIVE_VERDICTS]; /* frames by verdict */
    double residual_px;                 /* median over frames */
};

/* Solves for the pose. `frames` hold the points of each frame, in order of
 * time, found with the lens of config->camera; the rest of each is filled in.
 * `scratch` has room for 2 * count doubles. Some ms a frame; ten times that if
 * the pose is not known. 0; -EINVAL (config); -ENODATA: too few straight
 * frames, or too different ones, with a sentence that says what to do. The
 * verdicts and counts are filled even then. */
int sl_drive_solve(const struct sl_drive_config *config, struct sl_drive_frame *frames,
                   size_t count, double *scratch, struct sl_drive_result *result,
                   struct sl_error *err);

#endif
