/* What the detector makes of one frame after the other: lanes that are kept, lanes
 * that are left, and what it learns of the camera and the road. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "app/detect/detect.h"
#include "detect_paint.h"

#define WIDTH  800
#define HEIGHT 600
#define BYTES  (WIDTH * HEIGHT * 3 / 2)

static struct sl_detector *tracking, *fresh;
static uint8_t *nv12, *other;

static int set_up(void **state)
{
    (void)state;
    tracking = aligned_alloc(64, sl_detector_size());
    fresh = aligned_alloc(64, sl_detector_size());
    nv12 = malloc(BYTES);
    other = malloc(BYTES);
    return tracking && fresh && nv12 && other ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    free(tracking);
    free(fresh);
    free(nv12);
    free(other);
    return 0;
}

static void start(struct sl_detect_config config)
{
    struct sl_error err = {0};
    for (int track = 0; track <= 1; track++) {
        config.track = track;
        if (sl_detector_init(track ? tracking : fresh, &config, &err))
            fail_msg("%s", err.text);
    }
}

static struct sl_detection run(struct sl_detector *detector, const struct sl_frame_info *info)
{
    struct sl_detection found;
    assert_int_equal(sl_detector_run(detector, info, nv12, &found), 0);
    return found;
}

/* A camera that looks down more than its calibration says, over a lane that is
 * wider than usual: with one boundary left, only what was learned tells where the
 * lane's middle is. */
static void learns_width_and_pitch(void **state)
{
    (void)state;
    const struct sl_detect_config config = paint_config();
    struct sl_detect_config real = config;
    real.camera.pitch_rad += 0.012;
    start(config);
    double learned = 0, unlearned = 0;
    int count = 0;
    for (int i = 0; i < 120; i++) {
        struct paint_scene scene = paint_usual;
        struct sl_frame_info info;
        scene.width_m = 3.9;
        scene.offset_m = 0.3 * sin(0.1 * i);
        scene.right = i < 100;
        paint_road(&real, &scene, nv12, &info);
        struct sl_detection found = run(tracking, &info);
        if (i < 100)
            continue;
        struct sl_detection alone = run(fresh, &info);
        assert_int_equal(found.state, SL_LANE_ONE_LINE);
        assert_int_equal(alone.state, SL_LANE_ONE_LINE);
        learned += fabs((double)found.lateral_offset_m - scene.offset_m);
        unlearned += fabs((double)alone.lateral_offset_m - scene.offset_m);
        count++;
    }
    if (!(learned / count < 0.08 && learned < 0.5 * unlearned))
        fail_msg("off by %.3f m with what was learned, by %.3f m without", learned / count,
                 unlearned / count);
}

/* What was learned is forgotten with everything else. */
static void forgets(void **state)
{
    (void)state;
    const struct sl_detect_config config = paint_config();
    struct paint_scene scene = paint_usual;
    struct sl_frame_info info;
    start(config);
    paint_road(&config, &scene, nv12, &info);
    const struct sl_detection before = run(tracking, &info);
    scene.width_m = 3.8;
    paint_road(&config, &scene, nv12, &info);
    for (int i = 0; i < 30; i++)
        run(tracking, &info);
    sl_detector_reset(tracking);
    scene.width_m = paint_usual.width_m;
    paint_road(&config, &scene, nv12, &info);
    const struct sl_detection again = run(tracking, &info);
    assert_memory_equal(&before, &again, sizeof again);
}

/* From one lane to the one at its right: at every moment one of both is told, and
 * the new one once most of the vehicle is in it. */
static void change_lanes(bool told)
{
    const struct sl_detect_config config = paint_config();
    start(config);
    for (int i = 0; i <= 70; i++) {
        const struct sl_detect_motion moved = {.ahead_m = 0.2,
                                               .aside_m = i > 0 && i <= 60 ? -3.5 / 60 : 0};
        struct paint_scene scene = paint_usual;
        struct sl_frame_info info;
        scene.second_lane = true;
        scene.offset_m = -3.5 * fmin(i, 60) / 60;
        paint_road(&config, &scene, nv12, &info);
        if (told)
            sl_detector_moved(tracking, &moved);
        struct sl_detection found = run(tracking, &info);
        assert_int_not_equal(found.state, SL_LANE_LOST);
        double left = fabs((double)found.lateral_offset_m - scene.offset_m);
        double right = fabs((double)found.lateral_offset_m - scene.offset_m - 3.5);
        bool is_left = left < 0.1, is_right = right < 0.1;
        if (!is_left && !is_right)
            fail_msg("at %.2f m the offset is said to be %.2f m", scene.offset_m,
                     (double)found.lateral_offset_m);
        if (scene.offset_m > -1.0)
            assert_true(is_left);
        if (scene.offset_m < -2.5)
            assert_true(is_right);
    }
}

static void changes_lanes(void **state)
{
    (void)state;
    change_lanes(false);
    change_lanes(true);
}

/* Brighter paint that shows up beside the lane, such as that of road works, is
 * another lane once it stays; and the old one is not forgotten at once. */
static void waits_before_it_believes(void **state)
{
    (void)state;
    const struct sl_detect_config config = paint_config();
    struct paint_scene lane = paint_usual, decoy = paint_usual;
    struct sl_frame_info info;
    lane.paint = 150;
    decoy.paint = 210;
    decoy.offset_m = 0.9;
    start(config);
    int believed_after = 0;
    for (int i = 0; i < 40; i++) {
        bool both = i == 12 || i >= 20;
        paint_road(&config, &lane, nv12, &info);
        if (both) {
            paint_road(&config, &decoy, other, &info);
            for (int k = 0; k < WIDTH * HEIGHT; k++)
                nv12[k] = nv12[k] > other[k] ? nv12[k] : other[k];
        }
        struct sl_detection found = run(tracking, &info);
        assert_int_not_equal(found.state, SL_LANE_LOST);
        bool is_lane = fabs((double)found.lateral_offset_m - lane.offset_m) < 0.15;
        bool is_decoy = fabs((double)found.lateral_offset_m - decoy.offset_m) < 0.15;
        assert_true(is_lane || is_decoy);
        if (i <= 20)
            assert_true(is_lane);
        if (both && i >= 20 && is_lane)
            believed_after++;
    }
    /* A picture alone says that the brighter one is the lane. */
    assert_true(fabs((double)run(fresh, &info).lateral_offset_m - decoy.offset_m) < 0.15);
    if (believed_after < 1 || believed_after > 15)
        fail_msg("believed after %d frames", believed_after);
    paint_road(&config, &lane, nv12, &info);
    assert_true(fabs((double)run(tracking, &info).lateral_offset_m - lane.offset_m) < 0.15);
}

/* No vehicle turns by a fifth of a radian between two frames, or leaves half its
 * lane: what seems so is doubted until it has lasted, and what was before is
 * believed at once. */
static void doubts_leaps(void **state)
{
    (void)state;
    const struct sl_detect_config config = paint_config();
    const struct {
        double offset_m, heading_rad;
        bool is_leap;
    } cases[] = {{0, 0.3, true}, {1.5, 0, true}, {0, 0.08, false}, {0.5, 0, false}};
    const int leap = 5;
    for (size_t i = 0; i < 2 * sizeof cases / sizeof cases[0]; i++) {
        const bool is_short = i % 2 == 1;
        const int back = leap + (is_short ? 2 : 40);
        int doubted = 0;
        start(config);
        for (int k = 0; k < back + 1; k++) {
            struct paint_scene scene = paint_usual;
            struct sl_frame_info info;
            if (k >= leap && k < back) {
                scene.offset_m = cases[i / 2].offset_m;
                scene.heading_rad = cases[i / 2].heading_rad;
            }
            paint_road(&config, &scene, nv12, &info);
            const struct sl_detection found = run(tracking, &info);
            const float alone = run(fresh, &info).confidence;
            if (k >= leap && k < back)
                doubted += found.confidence < 0.3f * alone;
            else if (k < leap || is_short)
                assert_true(found.confidence > 0.9f);
        }
        const bool expected = !cases[i / 2].is_leap ? doubted == 0
                              : is_short            ? doubted == 2
                                                    : doubted >= 5 && doubted <= 20;
        if (!expected)
            fail_msg("case %zu: %d frames in doubt", i / 2, doubted);
    }
}

/* Nor does it move sideways by less than that while its odometry says that it drove
 * straight on: then what is seen is another line. */
static void doubts_what_its_motion_rules_out(void **state)
{
    (void)state;
    const struct sl_detect_config config = paint_config();
    const struct sl_detect_motion straight_on = {
        .ahead_m = 0.2, .ahead_sd_m = 0.002, .turned_sd_rad = 0.0002};
    enum { FILLED = 30, FRAMES = 60 };
    for (int told = 0; told <= 1; told++) {
        int doubted = 0, first = -1, last = -1;
        start(config);
        for (int i = 0; i < FRAMES; i++) {
            struct paint_scene scene = paint_usual;
            struct sl_frame_info info;
            scene.offset_m = i < FILLED ? 0 : 0.45;
            paint_road(&config, &scene, nv12, &info);
            if (told)
                sl_detector_moved(tracking, &straight_on);
            const struct sl_detection found = run(tracking, &info);
            if (found.confidence >= 0.3f * run(fresh, &info).confidence)
                continue;
            doubted++;
            first = first < 0 ? i : first;
            last = i;
        }
        const bool expected =
            told ? doubted >= 5 && first == FILLED && last < FILLED + 15 : doubted == 0;
        if (!expected)
            fail_msg("%s: %d frames in doubt, from %d to %d", told ? "told" : "not told", doubted,
                     first, last);
    }
}

/* Frames without any paint: no lane is told, and the same one afterwards. */
static void survives_gaps(void **state)
{
    (void)state;
    const struct sl_detect_config config = paint_config();
    start(config);
    for (int i = 0; i < 60; i++) {
        struct paint_scene scene = paint_usual;
        struct sl_frame_info info;
        scene.left = scene.right = i % 12 < 7;
        scene.offset_m = 0.2;
        paint_road(&config, &scene, nv12, &info);
        struct sl_detection found = run(tracking, &info);
        if (!scene.left)
            assert_int_equal(found.state, SL_LANE_LOST);
        else if (!(fabs((double)found.lateral_offset_m - 0.2) < 0.05))
            fail_msg("frame %d: %.3f m", i, (double)found.lateral_offset_m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(learns_width_and_pitch),
        cmocka_unit_test(forgets),
        cmocka_unit_test(changes_lanes),
        cmocka_unit_test(waits_before_it_believes),
        cmocka_unit_test(doubts_leaps),
        cmocka_unit_test(survives_gaps),
        cmocka_unit_test(doubts_what_its_motion_rules_out),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
