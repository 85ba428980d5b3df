#include "app/drive/remote_lane.h"

#include <errno.h>
#include <math.h>
#include <stddef.h>

#define ACROSS_RAD 1.571 /* a quarter turn */
#define FAR_M      1000.0

static int check(double value, double low, double high, const char *name, struct sl_error *err)
{
    if (value >= low && value <= high) /* a NaN fails too */
        return 0;
    return sl_error_set(err, -EPROTO, "the answer's %s is %g; possible are %g to %g", name, value,
                        low, high);
}

/* Points may lie beside the picture: a lane that leaves it goes on there. */
static int check_line(const struct sl_lane_line *line, const struct sl_frame_info *frame,
                      struct sl_error *err)
{
    const double width_px = frame->width_px, height_px = frame->height_px;
    int rc = check((double)line->confidence, 0, 1, "boundary's confidence", err);
    if (rc == 0)
        rc = check((double)line->x_max_m, -FAR_M, FAR_M, "boundary's x_max_m", err);
    if (rc == 0)
        rc = check((double)line->x_min_m, -FAR_M, (double)line->x_max_m, "boundary's x_min_m", err);
    if (rc == 0)
        rc = check(line->point_count, 0, SL_LANE_POINTS_MAX, "point_count", err);
    for (uint32_t i = 0; rc == 0 && i < line->point_count; i++) {
        rc = check((double)line->points_px[i][0], -4 * width_px, 5 * width_px, "point's column",
                   err);
        if (rc == 0)
            rc =
                check((double)line->points_px[i][1], -height_px, 2 * height_px, "point's row", err);
    }
    return rc;
}

int sl_remote_lane_check(struct sl_detection *lane, const struct sl_frame_info *frame,
                         double lane_width_m, struct sl_error *err)
{
    if (lane->frame_width_px != frame->width_px || lane->frame_height_px != frame->height_px)
        return sl_error_set(
            err, -EPROTO, "the answer is about a picture of %u x %u px, not of %u x %u",
            lane->frame_width_px, lane->frame_height_px, frame->width_px, frame->height_px);
    if (lane->state == SL_LANE_LOST) {
        *lane = (struct sl_detection){.frame_width_px = frame->width_px,
                                      .frame_height_px = frame->height_px};
        return 0;
    }
    const double tightest_1pm = 2 / lane_width_m;
    const struct {
        double value, low, high;
        const char *name;
    } numbers[] = {
        {lane->state, SL_LANE_ONE_LINE, SL_LANE_TWO_LINES, "state"},
        {(double)lane->confidence, 0, 1, "confidence"},
        {(double)lane->lane_width_m, lane_width_m / 2, lane_width_m * 2, "lane_width_m"},
        {(double)lane->lane_width_sd_m, 0, FAR_M, "lane_width_sd_m"},
        {(double)lane->lateral_offset_m, -lane_width_m, lane_width_m, "lateral_offset_m"},
        {(double)lane->heading_error_rad, -ACROSS_RAD, ACROSS_RAD, "heading_error_rad"},
        {(double)lane->curvature_1pm, -tightest_1pm, tightest_1pm, "curvature_1pm"},
        {(double)lane->curvature_rate_1pm2, -tightest_1pm * tightest_1pm,
         tightest_1pm * tightest_1pm, "curvature_rate_1pm2"},
        {(double)lane->camera_pitch_rad, -ACROSS_RAD, ACROSS_RAD, "camera_pitch_rad"},
        {(double)lane->covariance[0][0], 0, FAR_M, "covariance"},
        {(double)lane->covariance[1][1], 0, FAR_M, "covariance"},
        {(double)lane->covariance[2][2], 0, FAR_M, "covariance"},
        {(double)lane->covariance[3][3], 0, FAR_M, "covariance"},
    };
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < sizeof numbers / sizeof numbers[0]; i++)
        rc = check(numbers[i].value, numbers[i].low, numbers[i].high, numbers[i].name, err);
    if (rc == 0)
        rc = check_line(&lane->left, frame, err);
    if (rc == 0)
        rc = check_line(&lane->right, frame, err);
    return rc;
}
