/* The pose from driving, on the simulator's pictures, whose camera is known:
 * how near it comes from a wrong start and from none, and what it refuses. */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "app/calibrate/drive.h"
#include "tools/sim/world.h"

#define FRAMES  40
#define RADIANS (3.14159265358979323846 / 180)
#define TRACKS  SL_SOURCE_DIR "/tools/sim/tracks/"

static uint8_t pixels[800 * 600];
static struct sl_drive_frame *frames;
static double scratch[2 * FRAMES];
static struct sl_drive_result result;
static struct sl_error err;

static int set_up(void **state)
{
    (void)state;
    frames = calloc(FRAMES, sizeof *frames);
    return frames ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    free(frames);
    return 0;
}

/* Where the vehicle looks from: a part of the oval, wandering in the lane. */
struct course {
    double from_m, to_m;
    double sway_m;      /* to either side */
    double pitching;    /* rad, of the body */
    double heading_rad; /* to either side */
    enum sl_sim_light light;
    double wear;
};

static const struct course straight = {5, 75, 0.1, 0.002, 0.004, SL_SIM_DAY, 0};

static struct sl_camera_calibration truth_of_sim(void)
{
    struct sl_sim_config c;
    sl_sim_config_default(&c);
    return c.camera;
}

/* Renders what `truth` sees along the course and finds the candidates with
 * the lens of `start`. */
static void drive(const struct sl_camera_calibration *truth, const struct course *course,
                  const struct sl_camera_calibration *start)
{
    struct sl_sim_config c;
    struct sl_sim *sim = NULL;
    struct sl_camera_model lens;
    sl_sim_config_default(&c);
    c.track_path = TRACKS "oval.ini";
    c.camera = *truth;
    c.format = SL_FORMAT_GRAY8;
    c.light = course->light;
    c.wear = course->wear;
    c.seed = 5;
    if (sl_sim_create(&sim, &c, &err) != 0 || sl_lane_points_lens(&lens, start, &err) != 0)
        fail_msg("%s", err.text);
    for (int i = -3; i < FRAMES; i++) { /* exposure control gets three to settle */
        double part = (i < 0 ? 0 : i) / (FRAMES - 1.0);
        double sway = course->sway_m * sin(2.3 * i), heading = course->heading_rad * sin(1.7 * i);
        struct sl_track_pose pose;
        struct sl_sim_exposure e;
        struct sl_frame_info info = {0};
        sl_track_pose_at(sl_sim_track(sim), course->from_m + part * (course->to_m - course->from_m),
                         &pose);
        sl_sim_expose(sim, &e);
        e.x_m = pose.x_m - sway * sin(pose.heading_rad);
        e.y_m = pose.y_m + sway * cos(pose.heading_rad);
        e.yaw_rad = pose.heading_rad + heading;
        e.pitch_rad = course->pitching * cos(2.9 * i);
        assert_int_equal(sl_sim_render(sim, &e, pixels, sizeof pixels, &info), 0);
        if (i < 0)
            continue;
        const struct sl_luma luma = {pixels, info.width_px, info.height_px,
                                     info.planes[0].stride_bytes};
        sl_lane_points_find(&lens, &luma, SL_MARKINGS_BRIGHT, 6, &frames[i].points);
    }
    sl_sim_destroy(sim);
}

static int solve(const struct sl_camera_calibration *start, bool known, size_t count)
{
    const struct sl_drive_config config = {
        .camera = *start, .pose_known = known, .lane_width_m = 3.5};
    memset(&err, 0, sizeof err);
    return sl_drive_solve(&config, frames, count, scratch, &result, &err);
}

static void assert_found(const struct sl_camera_calibration *truth, double degrees, double share)
{
    const double *found[] = {&result.camera.pitch_rad, &result.camera.yaw_rad};
    const double should[] = {truth->pitch_rad, truth->yaw_rad};
    for (int i = 0; i < 2; i++)
        /* The vehicle's own weaving adds to the yaw. */
        if (!(fabs(*found[i] - should[i]) < (degrees + 0.15 * i) * RADIANS))
            fail_msg("%s is %.3f degrees, and should be %.3f", i ? "yaw" : "pitch",
                     *found[i] / RADIANS, should[i] / RADIANS);
    if (!(fabs(result.camera.height_m / truth->height_m - 1) < share))
        fail_msg("height is %.4f m, and should be %.4f", result.camera.height_m, truth->height_m);
}

/* The corners of what may be believed wrongly, and no belief at all. */
static void from_wrong_starts(void **state)
{
    (void)state;
    const struct sl_camera_calibration truth = truth_of_sim();
    drive(&truth, &straight, &truth);
    for (int i = 0; i < 8; i++) {
        struct sl_camera_calibration start = truth;
        start.pitch_rad += (i & 1 ? 3 : -3) * RADIANS;
        start.yaw_rad += (i & 2 ? 2 : -2) * RADIANS;
        start.height_m *= i & 4 ? 1.2 : 0.8;
        if (solve(&start, true, FRAMES) != 0)
            fail_msg("%s", err.text);
        assert_found(&truth, 0.05, 0.01);
        assert_true(result.counts[SL_DRIVE_STRAIGHT] > FRAMES / 2);
        assert_true(fabs(result.horizon_px - (299.5 - 560 * tan(0.09))) < 0.5);
    }
    struct sl_camera_calibration nothing = truth;
    nothing.pitch_rad = nothing.yaw_rad = 0;
    nothing.height_m = 1;
    assert_int_equal(solve(&nothing, false, FRAMES), 0);
    assert_found(&truth, 0.05, 0.01);
    /* The errors told are honest: the truth within some of them, and not so
     * large that this says nothing. */
    assert_true(result.pitch_rad.error < 0.05 * RADIANS);
    assert_true(fabs(result.pitch_rad.value - truth.pitch_rad) < 5 * result.pitch_rad.error + 1e-3);
    assert_true(result.pitch_rad.spread > 0.0005 && result.pitch_rad.spread < 0.004);
}

static void other_cameras(void **state)
{
    (void)state;
    struct sl_camera_calibration truth = truth_of_sim();
    truth.pitch_rad = 0.02;
    truth.yaw_rad = -0.05;
    truth.height_m = 1.8;
    drive(&truth, &straight, &truth);
    assert_int_equal(solve(&truth, false, FRAMES), 0);
    assert_found(&truth, 0.1, 0.01);
    /* A wide lens that bends straight lines. */
    truth = truth_of_sim();
    truth.fx_px = truth.fy_px = 420;
    truth.k1 = -0.2;
    truth.k2 = 0.03;
    truth.pitch_rad = 0.15;
    drive(&truth, &straight, &truth);
    assert_int_equal(solve(&truth, false, FRAMES), 0);
    assert_found(&truth, 0.1, 0.015);
}

static void other_light(void **state)
{
    (void)state;
    const struct sl_camera_calibration truth = truth_of_sim();
    struct course night = straight, worn = straight;
    night.light = SL_SIM_NIGHT;
    worn.wear = 0.2;
    drive(&truth, &night, &truth);
    assert_int_equal(solve(&truth, false, FRAMES), 0);
    assert_found(&truth, 0.1, 0.03);
    drive(&truth, &worn, &truth);
    assert_int_equal(solve(&truth, false, FRAMES), 0);
    assert_found(&truth, 0.1, 0.03);
}

/* Roll is seen by wandering, and not believed without. */
static void roll(void **state)
{
    (void)state;
    struct sl_camera_calibration truth = truth_of_sim(), level = truth;
    truth.roll_rad = 2 * RADIANS;
    struct course weaving = straight;
    weaving.sway_m = 0.5;
    drive(&truth, &weaving, &level);
    assert_int_equal(solve(&level, false, FRAMES), 0);
    assert_true(result.roll_found);
    if (!(fabs(result.camera.roll_rad - truth.roll_rad) < 0.3 * RADIANS))
        fail_msg("roll is %.2f degrees, and should be 2", result.camera.roll_rad / RADIANS);
    assert_found(&truth, 0.1, 0.03);

    struct course rails = straight;
    rails.sway_m = 0;
    rails.heading_rad = 0;
    drive(&truth, &rails, &truth);
    assert_int_equal(solve(&truth, false, FRAMES), 0);
    assert_false(result.roll_found);
    assert_true(result.camera.roll_rad == truth.roll_rad);
    assert_found(&truth, 0.1, 0.03);
}

static void bends_only(void **state)
{
    (void)state;
    const struct sl_camera_calibration truth = truth_of_sim();
    const struct course bend = {150, 225, 0, 0, 0, SL_SIM_DAY, 0};
    drive(&truth, &bend, &truth);
    for (int known = 0; known < 2; known++) {
        assert_int_equal(solve(&truth, known, FRAMES), -ENODATA);
        assert_non_null(strstr(err.text, "straight"));
        assert_true(result.counts[SL_DRIVE_STRAIGHT] < SL_DRIVE_FRAMES_MIN);
    }
}

static void too_little(void **state)
{
    (void)state;
    const struct sl_camera_calibration truth = truth_of_sim();
    drive(&truth, &straight, &truth);
    assert_int_equal(solve(&truth, false, 6), -ENODATA);
    assert_non_null(strstr(err.text, "10 are needed"));
    assert_int_equal(solve(&truth, false, 0), -ENODATA);
    /* Nothing to see. */
    struct sl_camera_model lens;
    const struct sl_luma luma = {pixels, 800, 600, 800};
    assert_int_equal(sl_lane_points_lens(&lens, &truth, &err), 0);
    memset(pixels, 128, sizeof pixels);
    for (int i = 0; i < FRAMES; i++)
        sl_lane_points_find(&lens, &luma, SL_MARKINGS_BOTH, 6, &frames[i].points);
    assert_int_equal(frames[0].points.count, 0);
    assert_int_equal(solve(&truth, false, FRAMES), -ENODATA);
    assert_non_null(strstr(err.text, "both lines"));
    assert_int_equal(result.counts[SL_DRIVE_NO_LANE], FRAMES);
    struct sl_drive_config bad = {.camera = truth, .lane_width_m = 0};
    assert_int_equal(sl_drive_solve(&bad, frames, FRAMES, scratch, &result, &err), -EINVAL);
}

/* Pictures that disagree: the camera was moved half way. */
static void unsteady(void **state)
{
    (void)state;
    const struct sl_camera_calibration truth = truth_of_sim();
    struct course rough = straight;
    rough.pitching = 0.05;
    drive(&truth, &rough, &truth);
    assert_int_equal(solve(&truth, false, FRAMES), -ENODATA);
    assert_true(strlen(err.text) > 40);
}

/* Pictures of nothing but noise, and points that no picture could give: a
 * refusal, or finite numbers. */
static void nonsense(void **state)
{
    (void)state;
    const struct sl_camera_calibration c = truth_of_sim();
    struct sl_camera_model lens;
    uint32_t random = 1;
    assert_int_equal(sl_lane_points_lens(&lens, &c, &err), 0);
    for (int kind = 0; kind < 3; kind++) {
        for (int i = 0; i < FRAMES; i++) {
            struct sl_lane_point_set *set = &frames[i].points;
            const struct sl_luma luma = {pixels, 800, 600, 800};
            for (size_t k = 0; k < sizeof pixels; k++) {
                random = random * 1664525u + 1013904223u;
                pixels[k] = kind == 0 ? (uint8_t)(random >> 24) : (random >> 24 > 250 ? 255 : 60);
            }
            sl_lane_points_find(&lens, &luma, SL_MARKINGS_BOTH, 6, set);
            assert_true(set->count <= SL_LANE_POINTS);
            for (uint32_t k = 0; kind == 2 && k < set->count; k++) {
                set->points[k].x = k % 3 ? 0 : 1e30f;
                set->points[k].y = k % 5 ? 0.2f : -1e30f;
            }
        }
        for (int known = 0; known < 2; known++) {
            if (solve(&c, known, FRAMES) == 0) {
                assert_true(isfinite(result.camera.pitch_rad) && isfinite(result.camera.height_m));
                assert_true(isfinite(result.horizon_px) && isfinite(result.pitch_rad.error));
            } else {
                assert_true(strlen(err.text) > 40);
            }
        }
    }
}

/* Paint in one row: where it is said to be, bright and dark. */
static void one_strip(void **state)
{
    (void)state;
    struct sl_camera_calibration c = truth_of_sim();
    struct sl_camera_model lens;
    static struct sl_lane_point_set found;
    const struct sl_luma luma = {pixels, 800, 600, 800};
    assert_int_equal(sl_lane_points_lens(&lens, &c, &err), 0);
    for (int dark = 0; dark < 2; dark++) {
        memset(pixels, dark ? 160 : 90, sizeof pixels);
        for (int v = 0; v < 600; v++)
            memset(pixels + 800 * v + 500, dark ? 90 : 160, 10); /* columns 500 to 509 */
        sl_lane_points_find(&lens, &luma, dark ? SL_MARKINGS_DARK : SL_MARKINGS_BRIGHT, 6, &found);
        assert_int_equal(found.count, SL_LANE_POINT_ROWS);
        for (uint32_t i = 0; i < found.count; i++) {
            assert_true(fabs(found.points[i].x - (504.5 - 399.5) / 560) < 0.2 / 560);
            assert_true(fabs(found.points[i].width - 10.0 / 560) < 1.5 / 560);
        }
        sl_lane_points_find(&lens, &luma, dark ? SL_MARKINGS_BRIGHT : SL_MARKINGS_DARK, 6, &found);
        assert_int_equal(found.count, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_strip),     cmocka_unit_test(from_wrong_starts),
        cmocka_unit_test(other_cameras), cmocka_unit_test(other_light),
        cmocka_unit_test(roll),          cmocka_unit_test(bends_only),
        cmocka_unit_test(too_little),    cmocka_unit_test(unsteady),
        cmocka_unit_test(nonsense),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
