/* Drives through the simulator whose truth is known: every track, light and wear,
 * from random places, weaving. Shared by what holds the detector to the truth. */
#ifndef SL_TESTS_DETECT_DRIVES_H
#define SL_TESTS_DETECT_DRIVES_H

#include <stdbool.h>
#include <stdint.h>

#include "app/detect/detect.h"
#include "rt/error.h"
#include "tools/sim/world.h"

#define DRIVE_FRAMES 8 /* of one drive, one after the other */

struct drive_condition {
    const char *track; /* its name, or NULL for places off the road, where there is no lane */
    enum sl_sim_light light;
    double wear;
    bool small; /* the lab's car and camera */
};

#define DRIVE_AHEAD_WIDTHS 4
#define DRIVE_POINTS       (2 * DRIVE_AHEAD_WIDTHS - 1) /* from one lane width on, each half of it */

/* A frame and what is true of it. What it points to lives as long as the frame is
 * looked at. */
struct drive_frame {
    const struct sl_detect_config *config; /* of the detector */
    struct sl_frame_info info;
    const uint8_t *pixels;
    int number; /* 0: the first of a drive; negative: on the way there */
    bool first; /* of all, on that way */
    bool on_road;
    struct sl_detect_motion moved; /* since the one before, if not the first: as odometry has it */
    double lane_m, offset_m, heading_rad;
    /* Places on the boundaries, left and right, in the vehicle's axes; `across` is
     * the cosine between the boundary there and x. */
    struct drive_point {
        double x_m, y_m, across;
    } boundary[2][DRIVE_POINTS];
};

typedef void drive_look(const struct drive_frame *frame, void *context);

/* Shows the frames of `drives` drives to `look`, one by one. 0, or a negative errno with `err`. */
int drive(const struct drive_condition *condition, int drives, drive_look *look, void *context,
          struct sl_error *err);

/* Starts the random places again: the same seed gives the same drives. */
void drive_seed(uint64_t seed);

/* A lane is right when both boundaries are, over the next four lane widths, within
 * a tenth of the lane's width or 3 % of the distance. */
void drive_judge(const struct drive_frame *frame, const struct sl_detection *found, bool right[2]);

/* By how much both are off on average, in what is right at most; each place counts
 * as 1 at most, as does each of a lane that was not found. */
double drive_miss(const struct drive_frame *frame, const struct sl_detection *found);

#endif
