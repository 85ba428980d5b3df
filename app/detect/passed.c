/* Where the lane's middle was seen that no picture shows any more.
 *
 * A camera sees the road from some way ahead on; the vehicle's own place in the lane
 * is a guess from there, the poorer the more the road changes its bend on that way.
 * But what lies between was seen a moment ago: the lane's middle at the picture's
 * lower end is noted down frame by frame, and carried along by odometry (dead
 * reckoning) until the vehicle has passed it. pose.c weighs it with the rest.
 *
 * Places err alike: all of one drive share the camera's tilt and the lane's width,
 * and odometry errs in one direction. So their errors add up as such, not as
 * squares, and say nothing about how far off all of them are together. */
#include <math.h>
#include <string.h>

#include "app/detect/detector.h"

/* In lane widths: between two places; behind the rear axle. */
#define SPACING 0.06
#define KEPT    0.5
#define SURE    0.2f /* confidence of a frame whose place is noted down */
#define VAGUE   0.05 /* sigma, in lane widths, of one that says nothing */
/* More than any vehicle does from one frame to the next: in lane widths, rad. */
#define AHEAD_MOST  3.0
#define TURNED_MOST 1.0

void sl_passed_forget(struct sl_detector *d)
{
    d->passed_count = 0;
    d->moved = false;
}

static bool within(double value, double most)
{
    return fabs(value) <= most;
}

void sl_detector_moved(struct sl_detector *d, const struct sl_detect_motion *motion)
{
    const double ahead = d->camera.c.forward_m, left = d->camera.c.left_m;
    const double w = d->config.lane_width_m, turned = motion->turned_rad;
    if (!(within(motion->ahead_m, AHEAD_MOST * w) && within(motion->aside_m, AHEAD_MOST * w) &&
          within(turned, TURNED_MOST) && within(motion->ahead_sd_m, AHEAD_MOST * w) &&
          within(motion->aside_sd_m, AHEAD_MOST * w) &&
          within(motion->turned_sd_rad, TURNED_MOST))) {
        sl_passed_forget(d);
        return;
    }
    /* An arc's chord points half way between the headings at its ends. */
    const double ch = cos(0.5 * turned), sh = sin(0.5 * turned);
    const double dx = motion->ahead_m * ch - motion->aside_m * sh;
    const double dy = motion->ahead_m * sh + motion->aside_m * ch;
    const double c = cos(turned), s = sin(turned);
    int kept = 0;
    for (int i = 0; i < d->passed_count; i++) {
        struct sl_passed_place p = d->passed[i];
        const double x = p.x + ahead - dx, y = p.y + left - dy; /* of the old rear axle's axes */
        p.x = c * x + s * y - ahead;
        p.y = c * y - s * x - left;
        p.sd += fabs(x * motion->turned_sd_rad) + fabs(p.sine * motion->ahead_sd_m) +
                fabs(motion->aside_sd_m);
        p.sine -= turned; /* good enough for an error's share */
        if (p.x > -ahead - KEPT * w)
            d->passed[kept++] = p;
    }
    d->passed_count = kept;
    d->moved = true;
}

void sl_passed_add(struct sl_detector *d, float confidence)
{
    const struct sl_passed_place *place = &d->pose.seen;
    const double w = d->config.lane_width_m;
    if (!d->config.track || confidence < SURE || d->trust < 1 || !(place->sd < VAGUE * w))
        return;
    if (d->passed_count > 0 && fabs(place->x - d->passed[0].x) < SPACING * w)
        return;
    if (d->passed_count == SL_PASSED_MAX)
        d->passed_count--;
    memmove(d->passed + 1, d->passed, (size_t)d->passed_count * sizeof *d->passed);
    d->passed[0] = *place;
    d->passed_count++;
}
