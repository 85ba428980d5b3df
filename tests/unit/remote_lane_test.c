/* Lanes from another machine that cannot be. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "app/drive/remote_lane.h"

#define WIDTH_M 3.5

static const struct sl_frame_info FRAME = {.width_px = 800, .height_px = 600};

static struct sl_detection good_lane(void)
{
    struct sl_detection lane = {
        .state = SL_LANE_TWO_LINES,
        .confidence = 0.9f,
        .lateral_offset_m = 0.2f,
        .lane_width_m = 3.5f,
        .frame_width_px = 800,
        .frame_height_px = 600,
        .left = {.seen = 1, .confidence = 1, .point_count = 1, .x_max_m = 30},
        .right = {.confidence = 0}};
    lane.left.points_px[0][0] = 100;
    lane.left.points_px[0][1] = 599;
    return lane;
}

static void must_pass(struct sl_detection lane)
{
    struct sl_error err;
    const struct sl_detection before = lane;
    if (sl_remote_lane_check(&lane, &FRAME, WIDTH_M, &err) != 0)
        fail_msg("%s", err.text);
    assert_memory_equal(&lane, &before, sizeof lane);
}

static void must_fail(struct sl_detection lane, const char *word)
{
    struct sl_error err = {0};
    assert_true(sl_remote_lane_check(&lane, &FRAME, WIDTH_M, &err) < 0);
    if (strstr(err.text, word) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", err.text, word);
}

static void roads_pass(void **unused)
{
    (void)unused;
    struct sl_detection lane = good_lane();
    must_pass(lane);
    lane.state = SL_LANE_ONE_LINE;
    lane.lateral_offset_m = -3.4f;
    lane.heading_error_rad = -1.5f;
    lane.curvature_1pm = 0.5f;
    lane.left.points_px[0][0] = -3000; /* a lane goes on beside the picture */
    must_pass(lane);
}

static void what_cannot_be_does_not(void **unused)
{
    (void)unused;
    const struct sl_detection good = good_lane();
    struct sl_detection lane = good;
    const struct {
        float *value;
        float wrong[3];
        const char *word;
    } cases[] = {
        {&lane.confidence, {1.01f, -0.01f, NAN}, "confidence"},
        {&lane.lateral_offset_m, {3.6f, -3.6f, INFINITY}, "lateral_offset_m"},
        {&lane.heading_error_rad, {1.6f, -1.6f, 1e30f}, "heading_error_rad"},
        {&lane.curvature_1pm, {0.6f, -0.6f, 1e30f}, "curvature_1pm"},
        {&lane.curvature_rate_1pm2, {0.4f, -0.4f, NAN}, "curvature_rate_1pm2"},
        {&lane.lane_width_m, {1.7f, 7.1f, 0}, "lane_width_m"},
        {&lane.lane_width_sd_m, {-1, 1e30f, NAN}, "lane_width_sd_m"},
        {&lane.camera_pitch_rad, {2, -2, NAN}, "camera_pitch_rad"},
        {&lane.covariance[0][0], {-1, 1e30f, NAN}, "covariance"},
        {&lane.covariance[3][3], {-1, 1e30f, NAN}, "covariance"},
        {&lane.left.confidence, {2, -1, NAN}, "confidence"},
        {&lane.left.x_max_m, {1e6f, -1e6f, NAN}, "x_max_m"},
        {&lane.left.x_min_m, {31, -1e6f, NAN}, "x_min_m"},
        {&lane.left.points_px[0][0], {4001, -3201, NAN}, "column"},
        {&lane.left.points_px[0][1], {1201, -601, NAN}, "row"},
        {&lane.right.confidence, {2, -1, NAN}, "confidence"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (int k = 0; k < 3; k++) {
            lane = good;
            *cases[i].value = cases[i].wrong[k];
            must_fail(lane, cases[i].word);
        }
    }
    lane = good;
    lane.state = 3;
    must_fail(lane, "state");
    lane = good;
    lane.right.point_count = SL_LANE_POINTS_MAX + 1;
    must_fail(lane, "point_count");
    lane = good;
    lane.frame_width_px = 640;
    must_fail(lane, "640 x 600");
}

/* Nothing of a lost lane is used by anybody, whatever the server put there. */
static void lost_lane_is_empty(void **unused)
{
    (void)unused;
    struct sl_detection lane = good_lane();
    struct sl_error err;
    const struct sl_detection empty = {.frame_width_px = 800, .frame_height_px = 600};
    lane.state = SL_LANE_LOST;
    lane.lateral_offset_m = 1e30f;
    assert_int_equal(sl_remote_lane_check(&lane, &FRAME, WIDTH_M, &err), 0);
    assert_memory_equal(&lane, &empty, sizeof lane);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(roads_pass),
        cmocka_unit_test(what_cannot_be_does_not),
        cmocka_unit_test(lost_lane_is_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
