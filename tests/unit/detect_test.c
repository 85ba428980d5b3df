/* The detector on painted roads with known answers, and on rubbish. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "app/detect/detect.h"
#include "app/detect/overlay.h"
#include "detect_paint.h"

#define WIDTH  800
#define HEIGHT 600

static struct sl_detector *detector;
static uint8_t *nv12;

static int set_up(void **state)
{
    (void)state;
    detector = aligned_alloc(64, sl_detector_size());
    nv12 = malloc(WIDTH * HEIGHT * 3 / 2);
    return detector && nv12 ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    free(detector);
    free(nv12);
    return 0;
}

static void start(const struct sl_detect_config *config)
{
    struct sl_error err = {0};
    if (sl_detector_init(detector, config, &err))
        fail_msg("%s", err.text);
}

static struct sl_detection detect(const struct sl_detect_config *config,
                                  const struct paint_scene *scene)
{
    struct sl_frame_info info;
    struct sl_detection found;
    paint_road(config, scene, nv12, &info);
    assert_int_equal(sl_detector_run(detector, &info, nv12, &found), 0);
    assert_int_equal(found.frame_id, 7);
    return found;
}

static void near_to(const char *what, double got, double want, double within)
{
    if (!(fabs(got - want) <= within))
        fail_msg("%s is %.5g, should be %.5g within %g", what, got, want, within);
}

static void straight_road(void **state)
{
    (void)state;
    struct sl_detect_config config = paint_config();
    start(&config);
    for (double offset = -0.6; offset <= 0.61; offset += 0.3) {
        for (double heading = -0.06; heading <= 0.061; heading += 0.06) {
            struct paint_scene scene = paint_usual;
            scene.offset_m = offset;
            scene.heading_rad = heading;
            struct sl_detection found = detect(&config, &scene);
            assert_int_equal(found.state, SL_LANE_TWO_LINES);
            near_to("offset", found.lateral_offset_m, offset, 0.02);
            near_to("heading", found.heading_error_rad, heading, 0.004);
            near_to("curvature", found.curvature_1pm, 0, 0.002);
            near_to("width", found.lane_width_m, 3.5, 0.04);
            assert_true(found.confidence > 0.8f);
            assert_true(found.left.seen && found.right.seen);
            assert_true(found.left.point_count > 10);
            /* At the rear axle the lines lie half a lane to either side. */
            double half = 1.75 / cos(heading);
            near_to("left", found.left.poly[0], half - offset / cos(heading), 0.03);
            near_to("right", found.right.poly[0], -half - offset / cos(heading), 0.03);
        }
    }
}

static void bends(void **state)
{
    (void)state;
    struct sl_detect_config config = paint_config();
    start(&config);
    const double curvatures[] = {-1 / 30.0, -1 / 60.0, -1 / 200.0, 1 / 200.0, 1 / 60.0, 1 / 30.0};
    for (size_t i = 0; i < sizeof curvatures / sizeof curvatures[0]; i++) {
        struct paint_scene scene = paint_usual;
        scene.curvature_1pm = curvatures[i];
        scene.offset_m = 0.2;
        struct sl_detection found = detect(&config, &scene);
        assert_int_not_equal(found.state, SL_LANE_LOST);
        near_to("offset", found.lateral_offset_m, 0.2, 0.05);
        near_to("heading", found.heading_error_rad, 0, 0.015);
        near_to("curvature", found.curvature_1pm, curvatures[i],
                0.002 + 0.15 * fabs(curvatures[i]));
    }
}

static void points_lie_on_the_paint(void **state)
{
    (void)state;
    struct sl_detect_config config = paint_config();
    start(&config);
    struct paint_scene scene = paint_usual;
    scene.offset_m = -0.3;
    struct sl_detection found = detect(&config, &scene);
    struct sl_camera_model camera;
    assert_int_equal(sl_camera_model_init(&camera, &config.camera, NULL), 0);
    for (int side = 0; side < 2; side++) {
        const struct sl_lane_line *line = side ? &found.right : &found.left;
        for (uint32_t i = 0; i < line->point_count; i++) {
            double x, y, u;
            if (i)
                assert_true(line->points_px[i][1] < line->points_px[i - 1][1]);
            assert_true(
                sl_camera_to_ground(&camera, line->points_px[i][0], line->points_px[i][1], &x, &y));
            near_to("ground point", y, (side ? -1.75 : 1.75) + 0.3, 0.02 + 0.01 * x);
            assert_true(sl_detector_column(detector, side, line->points_px[i][1], &u));
            near_to("column", u, line->points_px[i][0], 0.5);
        }
    }
}

static void dashes_and_neighbours(void **state)
{
    (void)state;
    struct sl_detect_config config = paint_config();
    start(&config);
    struct paint_scene scene = paint_usual;
    scene.dashed_right = true;
    scene.second_lane = true;
    scene.offset_m = 0.25;
    scene.paint_cb = 90;
    struct sl_detection found = detect(&config, &scene);
    assert_int_not_equal(found.state, SL_LANE_LOST);
    near_to("offset", found.lateral_offset_m, 0.25, 0.05);
    near_to("width", found.lane_width_m, 3.5, 0.1);
}

static void yellow_on_pale_concrete(void **state)
{
    (void)state;
    struct sl_detect_config config = paint_config();
    start(&config);
    struct paint_scene scene = paint_usual;
    scene.road = 170;
    scene.paint = 175;
    scene.paint_cb = 70;
    scene.right = false;
    struct sl_detection found = detect(&config, &scene);
    assert_int_equal(found.left.seen, 1);
    assert_int_equal(found.state, SL_LANE_ONE_LINE);
    near_to("offset", found.lateral_offset_m, 0, 0.12);
}

static void one_line(void **state)
{
    (void)state;
    struct sl_detect_config config = paint_config();
    start(&config);
    for (int side = 0; side < 2; side++) {
        struct paint_scene scene = paint_usual;
        scene.offset_m = 0.2;
        if (side)
            scene.left = false;
        else
            scene.right = false;
        struct sl_detection found = detect(&config, &scene);
        assert_int_equal(found.state, SL_LANE_ONE_LINE);
        assert_int_equal(found.left.seen, !side);
        assert_int_equal(found.right.seen, side);
        /* The other boundary is where the usual width puts it. */
        near_to("offset", found.lateral_offset_m, 0.2, 0.12);
        near_to("width", found.lane_width_m, 3.5, 0.15);
        assert_true(found.confidence < 0.75f);
    }
}

static void nothing_there(void **state)
{
    (void)state;
    struct sl_detect_config config = paint_config();
    for (int track = 0; track < 2; track++) {
        config.track = track;
        start(&config);
        if (track) {
            /* Seen, then gone: that is told at once. */
            struct sl_detection found = detect(&config, &paint_usual);
            assert_int_equal(found.state, SL_LANE_TWO_LINES);
        }
        for (int noise = 0; noise < 60; noise += 12) {
            struct paint_scene scene = paint_usual;
            scene.left = scene.right = false;
            scene.noise = noise;
            struct sl_detection found = detect(&config, &scene);
            assert_int_equal(found.state, SL_LANE_LOST);
            assert_true(found.confidence == 0);
            assert_true(found.lateral_offset_m == 0 && found.left.point_count == 0);
        }
    }
}

static void tracking_follows(void **state)
{
    (void)state;
    struct sl_detect_config config = paint_config();
    config.track = 1;
    start(&config);
    struct paint_scene scene = paint_usual;
    for (int i = 0; i < 30; i++) {
        scene.offset_m = 0.5 * sin(i * 0.15);
        scene.curvature_1pm = 0.002 * i / 3;
        scene.right = i % 7 != 6;
        struct sl_detection found = detect(&config, &scene);
        assert_int_not_equal(found.state, SL_LANE_LOST);
        near_to("offset", found.lateral_offset_m, scene.offset_m, 0.08);
    }
    /* A jump, as after a respawn, is believed when both lines say so. */
    scene = paint_usual;
    scene.offset_m = -0.7;
    struct sl_detection found = detect(&config, &scene);
    near_to("offset", found.lateral_offset_m, -0.7, 0.05);
    /* After a reset the same picture gives what a fresh detector gives. */
    sl_detector_reset(detector);
    struct sl_detection again = detect(&config, &scene);
    start(&config);
    struct sl_detection fresh = detect(&config, &scene);
    assert_memory_equal(&again, &fresh, sizeof again);
}

/* The NV12 picture as another format, with rows `extra` bytes longer. */
static size_t convert(uint32_t fourcc, uint32_t extra, struct sl_frame_info *info, uint8_t *to)
{
    int bytes = fourcc == SL_FORMAT_GRAY8   ? 1
                : fourcc == SL_FORMAT_YUYV  ? 2
                : fourcc == SL_FORMAT_BGR24 ? 3
                                            : 4;
    memset(info, 0, sizeof *info);
    info->frame_id = 7;
    info->fourcc = fourcc;
    info->width_px = WIDTH;
    info->height_px = HEIGHT;
    info->plane_count = 1;
    info->planes[0].offset_bytes = extra;
    info->planes[0].stride_bytes = WIDTH * (uint32_t)bytes + extra;
    info->size_bytes = extra + HEIGHT * info->planes[0].stride_bytes;
    for (uint32_t v = 0; v < HEIGHT; v++) {
        for (uint32_t u = 0; u < WIDTH; u++) {
            uint8_t *p = to + extra + (size_t)v * info->planes[0].stride_bytes + u * (size_t)bytes;
            uint8_t luma = nv12[v * WIDTH + u];
            memset(p, luma, (size_t)bytes);
            if (fourcc == SL_FORMAT_YUYV)
                p[1] = 128;
        }
    }
    return info->size_bytes;
}

static void all_formats_agree(void **state)
{
    (void)state;
    struct sl_detect_config config = paint_config();
    start(&config);
    struct paint_scene scene = paint_usual;
    scene.offset_m = 0.31;
    struct sl_detection first = detect(&config, &scene);
    const uint32_t formats[] = {SL_FORMAT_GRAY8, SL_FORMAT_YUYV, SL_FORMAT_BGR24, SL_FORMAT_BGRA};
    for (size_t i = 0; i < 4; i++) {
        for (uint32_t extra = 0; extra < 40; extra += 13) {
            struct sl_frame_info info;
            uint8_t *bytes = malloc((size_t)(WIDTH * 4 + extra) * HEIGHT + extra);
            assert_non_null(bytes);
            size_t size = convert(formats[i], extra, &info, bytes);
            struct sl_error err = {0};
            assert_int_equal(sl_frame_check(&info, size, &err), 0);
            struct sl_detection found;
            assert_int_equal(sl_detector_run(detector, &info, bytes, &found), 0);
            free(bytes);
            assert_memory_equal(&found, &first, sizeof found);
        }
    }
    struct sl_frame_info info = {.fourcc = SL_FORMAT_MJPEG, .width_px = WIDTH, .height_px = HEIGHT};
    struct sl_detection found;
    assert_int_not_equal(sl_detector_run(detector, &info, nv12, &found), 0);
    assert_int_equal(found.state, SL_LANE_LOST);
}

static void other_sizes_are_scaled_to(void **state)
{
    (void)state;
    struct sl_detect_config config = paint_config();
    start(&config);
    struct sl_detect_config half = config;
    sl_camera_calibration_scale(&half.camera, 400, 300);
    struct paint_scene scene = paint_usual;
    scene.offset_m = -0.25;
    /* The detector is told 800x600 and gets 400x300. */
    struct sl_detection found = detect(&half, &scene);
    assert_int_equal(found.state, SL_LANE_TWO_LINES);
    assert_int_equal(found.frame_width_px, 400);
    near_to("offset", found.lateral_offset_m, -0.25, 0.04);
    found = detect(&config, &scene);
    near_to("offset", found.lateral_offset_m, -0.25, 0.02);
}

static void assert_finite(const struct sl_detection *d)
{
    const float *values[] = {&d->confidence,      &d->lateral_offset_m,    &d->heading_error_rad,
                             &d->curvature_1pm,   &d->curvature_rate_1pm2, &d->lane_width_m,
                             &d->lane_width_sd_m, &d->camera_pitch_rad};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
        assert_true(isfinite(*values[i]));
    for (int i = 0; i < 4; i++)
        for (int k = 0; k < 4; k++) {
            assert_true(isfinite(d->covariance[i][k]));
            assert_true(d->covariance[i][k] == d->covariance[k][i]);
            assert_true(d->covariance[i][k] * d->covariance[i][k] <=
                        1.001f * d->covariance[i][i] * d->covariance[k][k]);
        }
    assert_true(d->state <= SL_LANE_TWO_LINES);
    assert_true(d->confidence >= 0 && d->confidence <= 1);
    for (int side = 0; side < 2; side++) {
        const struct sl_lane_line *line = side ? &d->right : &d->left;
        assert_true(line->point_count <= SL_LANE_POINTS_MAX);
        assert_true(line->confidence >= 0 && line->confidence <= 1);
        assert_true(isfinite(line->x_min_m) && isfinite(line->x_max_m));
        for (int i = 0; i < 4; i++)
            assert_true(isfinite(line->poly[i]));
        for (uint32_t i = 0; i < line->point_count; i++)
            assert_true(isfinite(line->points_px[i][0]) && isfinite(line->points_px[i][1]));
    }
}

static double between(uint32_t *seed, double low, double high)
{
    return low + (high - low) * (paint_random(seed) & 0xffff) / 65535.0;
}

/* Black tape on a pale floor: seen when asked for, and only then. */
static void dark_markings(void **state)
{
    (void)state;
    struct sl_detect_config config = paint_config();
    struct paint_scene scene = paint_usual;
    scene.offset_m = 0.3;
    for (int dark = 0; dark < 2; dark++) {
        scene.road = dark ? 190 : 90;
        scene.paint = dark ? 60 : 200;
        for (int asked = SL_MARKINGS_BRIGHT; asked <= SL_MARKINGS_BOTH; asked++) {
            config.markings = (enum sl_marking_polarity)asked;
            start(&config);
            struct sl_detection found = detect(&config, &scene);
            bool fits = asked == SL_MARKINGS_BOTH || (asked == SL_MARKINGS_DARK) == dark;
            if (!fits) {
                assert_true(found.state == SL_LANE_LOST || found.confidence < 0.5f);
                continue;
            }
            assert_int_equal(found.state, SL_LANE_TWO_LINES);
            assert_true(found.confidence > 0.9f);
            near_to("offset", found.lateral_offset_m, 0.3, 0.02);
        }
    }
}

/* Less to see, less certain; and where a boundary is missing, its width is not
 * known at all. */
static void uncertainty(void **state)
{
    (void)state;
    struct sl_detect_config config = paint_config();
    struct paint_scene scene = paint_usual;
    start(&config);
    struct sl_detection whole = detect(&config, &scene);
    scene.dashed_right = true;
    struct sl_detection dashed = detect(&config, &scene);
    scene.right = false;
    struct sl_detection single = detect(&config, &scene);
    assert_int_equal(single.state, SL_LANE_ONE_LINE);
    for (int i = 0; i < 4; i++) {
        assert_true(whole.covariance[i][i] > 0);
        assert_true(dashed.covariance[i][i] > whole.covariance[i][i]);
        assert_true(single.covariance[i][i] > dashed.covariance[i][i]);
    }
    assert_true(single.lane_width_sd_m > 3 * whole.lane_width_sd_m);
    assert_true(whole.lane_width_sd_m < 0.05f);
}

/* The camera hangs a little lower than its calibration says. */
static void pitch_is_found(void **state)
{
    (void)state;
    struct sl_detect_config told = paint_config(), true_one = paint_config();
    told.camera.pitch_rad -= 0.01;
    start(&told);
    struct sl_detection found = detect(&true_one, &paint_usual);
    assert_int_equal(found.state, SL_LANE_TWO_LINES);
    near_to("pitch", found.camera_pitch_rad, 0.01, 0.003);
    near_to("offset", found.lateral_offset_m, 0, 0.02);
}

static void rubbish(void **state)
{
    (void)state;
    const uint32_t formats[] = {SL_FORMAT_GRAY8, SL_FORMAT_NV12, SL_FORMAT_YUYV, SL_FORMAT_BGR24,
                                SL_FORMAT_BGRA};
    const uint32_t sizes[][2] = {{16, 16}, {2, 2}, {640, 2}, {2, 640}, {8192, 16}, {322, 242}};
    uint32_t seed = 99;
    int sure = 0, frames = 0;
    for (int round = 0; round < 300; round++) {
        struct sl_detect_config config = paint_config();
        struct sl_camera_calibration *c = &config.camera;
        if (round % 3) {
            c->fx_px = between(&seed, 1, 3000);
            c->fy_px = between(&seed, 1, 3000);
            c->cx_px = between(&seed, -500, 2000);
            c->cy_px = between(&seed, -500, 2000);
            c->k1 = between(&seed, -1, 1);
            c->k2 = between(&seed, -1, 1);
            c->p1 = between(&seed, -0.2, 0.2);
            c->height_m = between(&seed, 0.01, 3);
            c->pitch_rad = between(&seed, -0.5, 1.4);
            c->yaw_rad = between(&seed, -1, 1);
            c->roll_rad = between(&seed, -0.5, 0.5);
            config.marking_width_m = between(&seed, 0.005, 0.5);
            config.lane_width_m = between(&seed, 0.1, 10);
            config.near_m = between(&seed, 0.05, 10);
            config.far_m = config.near_m + between(&seed, 0.1, 100);
        }
        config.track = round & 1;
        start(&config);
        for (size_t k = 0; k < 5; k++) {
            const uint32_t *size = sizes[(size_t)(round + (int)k) % 6];
            uint32_t odd = k == 0 || k >= 3; /* these formats may have odd sides */
            uint32_t width = size[0] + (odd ? (uint32_t)round % 2 : 0);
            uint32_t height = size[1] + (odd ? (uint32_t)round % 3 : 0);
            struct sl_frame_info info = {0};
            if (width > SL_FRAME_WIDTH_MAX_PX)
                width = SL_FRAME_WIDTH_MAX_PX;
            assert_int_equal(sl_frame_layout(&info, formats[k], width, height), 0);
            uint8_t *bytes = malloc(info.size_bytes);
            assert_non_null(bytes);
            for (uint32_t i = 0; i < info.size_bytes; i++)
                bytes[i] = (uint8_t)(round % 4 == 0   ? paint_random(&seed)
                                     : round % 4 == 1 ? 255 * (i / 7 % 2)
                                     : round % 4 == 2 ? i * 37
                                                      : 200);
            struct sl_detection found;
            assert_int_equal(sl_detector_run(detector, &info, bytes, &found), 0);
            assert_finite(&found);
            sure += found.confidence > 0.8f;
            frames++;
            if (info.width_px <= 400) {
                struct sl_canvas canvas = {malloc((size_t)width * height * 3), width, height,
                                           (size_t)width * 3};
                assert_non_null(canvas.bgr);
                memset(canvas.bgr, 0, (size_t)width * height * 3);
                sl_overlay_draw(&canvas, &found);
                free(canvas.bgr);
            }
            free(bytes);
        }
    }
    /* Rubbish may look like a lane once in a while, but not as a rule. */
    if (sure * 50 > frames)
        fail_msg("%d of %d frames of rubbish were believed", sure, frames);
}

static void overlay_survives(void **state)
{
    (void)state;
    uint8_t bgr[64 * 48 * 3];
    struct sl_canvas canvas = {bgr, 64, 48, 64 * 3};
    struct sl_detection d = {.state = SL_LANE_TWO_LINES,
                             .confidence = NAN,
                             .lane_width_m = INFINITY,
                             .frame_width_px = 64,
                             .frame_height_px = 48};
    d.left.point_count = 4000;
    d.right.point_count = SL_LANE_POINTS_MAX;
    for (int i = 0; i < SL_LANE_POINTS_MAX; i++) {
        d.left.points_px[i][0] = i % 2 ? NAN : 1e30f;
        d.left.points_px[i][1] = (float)(47 - i);
        d.right.points_px[i][0] = (float)i * 1000;
        d.right.points_px[i][1] = (float)(47 - i);
    }
    memset(bgr, 7, sizeof bgr);
    sl_overlay_draw(&canvas, &d);
    /* A lost lane is told by a red frame. */
    d.state = SL_LANE_LOST;
    sl_overlay_draw(&canvas, &d);
    assert_true(bgr[2] > 150 && bgr[0] < 100);
}

static void refuses(void **state)
{
    (void)state;
    struct sl_error err = {0};
    struct sl_detect_config config = paint_config();
    config.near_m = 50;
    assert_int_not_equal(sl_detector_init(detector, &config, &err), 0);
    assert_non_null(strstr(err.text, "near_m"));
    config = paint_config();
    config.lane_width_m = NAN;
    assert_int_not_equal(sl_detector_init(detector, &config, &err), 0);
    assert_non_null(strstr(err.text, "lane_width_m"));
    config = paint_config();
    config.camera.fx_px = 0;
    assert_int_not_equal(sl_detector_init(detector, &config, &err), 0);
    assert_non_null(strstr(err.text, "fx_px"));
    /* Looking at the sky is legal, and finds nothing. */
    config = paint_config();
    config.camera.pitch_rad = -0.5;
    start(&config);
    struct sl_frame_info info;
    struct sl_detection found;
    paint_road(&config, &paint_usual, nv12, &info);
    assert_int_equal(sl_detector_run(detector, &info, nv12, &found), 0);
    assert_int_equal(found.state, SL_LANE_LOST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(straight_road),           cmocka_unit_test(bends),
        cmocka_unit_test(points_lie_on_the_paint), cmocka_unit_test(dashes_and_neighbours),
        cmocka_unit_test(yellow_on_pale_concrete), cmocka_unit_test(one_line),
        cmocka_unit_test(nothing_there),           cmocka_unit_test(tracking_follows),
        cmocka_unit_test(all_formats_agree),       cmocka_unit_test(other_sizes_are_scaled_to),
        cmocka_unit_test(dark_markings),           cmocka_unit_test(uncertainty),
        cmocka_unit_test(pitch_is_found),          cmocka_unit_test(rubbish),
        cmocka_unit_test(overlay_survives),        cmocka_unit_test(refuses),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
