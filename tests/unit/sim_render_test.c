/* Pictures: the same from the same seed, geometry as the camera model says,
 * brightness as roads have it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/sim/raster.h"
#include "tools/sim/render.h"
#include "tools/sim/world.h"

#define TRACKS SL_SOURCE_DIR "/tools/sim/tracks/"
#define WIDTH  800
#define HEIGHT 600

static uint8_t picture[WIDTH * HEIGHT * 3];

struct scene {
    struct sl_track *track;
    struct sl_renderer *renderer;
    struct sl_render_config config;
};

static void open_scene(struct scene *s, const char *path, enum sl_sim_light light)
{
    struct sl_sim_config d;
    struct sl_error err = {""};
    sl_sim_config_default(&d);
    memset(s, 0, sizeof *s);
    if (sl_track_load(&s->track, path, &err) != 0)
        fail_msg("%s", err.text);
    s->config = (struct sl_render_config){
        .track = s->track, .camera = d.camera, .seed = 5, .light = light, .format = SL_FORMAT_NV12};
}

static void ready(struct scene *s)
{
    struct sl_error err = {""};
    if (sl_renderer_create(&s->renderer, &s->config, &err) != 0)
        fail_msg("%s", err.text);
}

static void close_scene(struct scene *s)
{
    sl_renderer_destroy(s->renderer);
    sl_track_free(s->track);
}

static struct sl_render_view view_at(const struct scene *s, double at_m, double left_m,
                                     double turned_rad)
{
    struct sl_track_pose p;
    sl_track_pose_at(s->track, at_m, &p);
    return (struct sl_render_view){.frame_id = 1,
                                   .x_m = p.x_m - sin(p.heading_rad) * left_m,
                                   .y_m = p.y_m + cos(p.heading_rad) * left_m,
                                   .yaw_rad = p.heading_rad + turned_rad};
}

static uint64_t hash(const uint8_t *bytes, size_t count)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < count; i++)
        h = (h ^ bytes[i]) * UINT64_C(0x100000001b3);
    return h;
}

static uint64_t drive_and_hash(uint64_t seed, enum sl_sim_light light, uint32_t format)
{
    struct sl_sim_config c;
    struct sl_error err = {""};
    struct sl_sim *sim;
    sl_sim_config_default(&c);
    c.track_path = TRACKS "lab.ini";
    c.camera.height_m = 0.16;
    c.camera.forward_m = 0.2;
    c.camera.pitch_rad = 0.25;
    sl_vehicle_parameters_for_wheelbase(&c.vehicle, 0.27);
    c.seed = seed;
    c.light = light;
    c.format = format;
    c.wear = 0.5;
    if (sl_sim_create(&sim, &c, &err) != 0)
        fail_msg("%s", err.text);
    uint64_t h = 0;
    for (int i = 0; i < 20; i++) {
        struct sl_sim_exposure e;
        struct sl_frame_info info;
        sl_sim_step(sim, 16666667, 0.02, 1.5);
        sl_sim_expose(sim, &e);
        assert_int_equal(sl_sim_render(sim, &e, picture, 10, &info), -ENOSPC);
        assert_int_equal(sl_sim_render(sim, &e, picture, sizeof picture, &info), 0);
        assert_int_equal(info.size_bytes, sl_frame_size_bytes(format, WIDTH, HEIGHT));
        assert_int_equal(info.frame_id, i + 1);
        assert_true(info.exposed_ns == (uint64_t)(i + 1) * 16666667);
        assert_int_equal(sl_frame_check(&info, info.size_bytes, &err), 0);
        h = h * 31 + hash(picture, info.size_bytes);
    }
    sl_sim_destroy(sim);
    return h;
}

static void a_seed_fixes_every_byte(void **state)
{
    (void)state;
    const uint32_t formats[] = {SL_FORMAT_NV12, SL_FORMAT_GRAY8, SL_FORMAT_BGR24};
    for (int i = 0; i < SL_SIM_LIGHT_COUNT; i++) {
        uint32_t format = formats[i % 3];
        uint64_t a = drive_and_hash(11, (enum sl_sim_light)i, format);
        uint64_t b = drive_and_hash(11, (enum sl_sim_light)i, format);
        uint64_t c = drive_and_hash(12, (enum sl_sim_light)i, format);
        assert_true(a == b);
        assert_true(a != c);
    }
}

/* The grey picture is the luma of the others. */
static void formats_agree(void **state)
{
    (void)state;
    static uint8_t luma[WIDTH * HEIGHT];
    struct scene s;
    open_scene(&s, TRACKS "lab.ini", SL_SIM_DAY);
    s.config.camera.height_m = 0.16;
    struct sl_render_view v = view_at(&s, 1, 0, 0);
    const uint32_t formats[] = {SL_FORMAT_NV12, SL_FORMAT_GRAY8, SL_FORMAT_BGR24};
    for (int f = 0; f < 3; f++) {
        s.config.format = formats[f];
        ready(&s);
        sl_renderer_draw(s.renderer, &v, picture);
        sl_renderer_destroy(s.renderer);
        s.renderer = NULL;
        if (f == 0)
            memcpy(luma, picture, sizeof luma);
        else if (f == 1)
            assert_memory_equal(luma, picture, sizeof luma);
        else
            for (size_t i = 0; i < sizeof luma; i++) {
                double y = 0.114 * picture[3 * i] + 0.587 * picture[3 * i + 1] +
                           0.299 * picture[3 * i + 2];
                /* Where colour changes within a pair of rows, blue may clip. */
                assert_true(fabs(y - luma[i]) < 8);
            }
    }
    close_scene(&s);
}

/* Where a row cuts a line painted at a lateral place of a straight: found by
 * walking the camera model, compared with the middle of the paint seen. */
static void check_line(const struct scene *s, double left_m, double heading, double line_m,
                       double width_m)
{
    struct sl_camera_model m;
    assert_int_equal(sl_camera_model_init(&m, &s->config.camera, NULL), 0);
    int rows = 0;
    for (double ahead = 3.5; ahead < 26; ahead += 0.37) {
        /* Vehicle coordinates of the line at this distance along the road. */
        double c = cos(heading), sn = sin(heading), u, v;
        double x = c * ahead + sn * (line_m - left_m), y = -sn * ahead + c * (line_m - left_m);
        if (!sl_camera_to_image(&m, x, y, &u, &v) || v < 0 || v > HEIGHT - 1)
            continue;
        double row = floor(v + 0.5), low = ahead - 3, high = ahead + 6;
        for (int k = 0; k < 60; k++) {
            double middle = 0.5 * (low + high), uu, vv;
            double mx = c * middle + sn * (line_m - left_m);
            double my = -sn * middle + c * (line_m - left_m);
            if (!sl_camera_to_image(&m, mx, my, &uu, &vv) || vv > row)
                low = middle;
            else
                high = middle;
            u = uu;
        }
        double half = 0.5 * width_m * s->config.camera.fx_px / (high - s->config.camera.forward_m);
        int from = (int)floor(u - half * 1.5 - 4), to = (int)ceil(u + half * 1.5 + 4);
        if (from < 3 || to >= WIDTH - 3)
            continue;
        const uint8_t *line = picture + (size_t)row * WIDTH;
        double back = 0.25 * (line[from] + line[from + 1] + line[to] + line[to - 1]);
        double sum = 0, weighted = 0;
        for (int x_px = from; x_px <= to; x_px++) {
            double w = line[x_px] - back;
            w = w > 12 ? w : 0;
            sum += w;
            weighted += w * x_px;
        }
        if (sum < 40)
            fail_msg("no paint at row %g, column %.1f", row, u);
        if (fabs(weighted / sum - u) > 0.5)
            fail_msg("row %g: paint at %.2f, expected at %.2f", row, weighted / sum, u);
        rows++;
    }
    assert_true(rows > 12);
}

static void markings_lie_where_the_camera_model_says(void **state)
{
    (void)state;
    const struct {
        double k1, p1, roll, yaw, left, heading;
    } cases[] = {
        {0, 0, 0, 0, 0, 0},
        {0, 0, 0, 0, 0.4, 0.05},
        {0, 0, 0.03, 0.02, -0.3, -0.04},
        {-0.22, 0.001, 0, 0, 0.2, 0.02},
        {-0.15, 0, -0.02, 0, 0, -0.03},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct scene s;
        open_scene(&s, TRACKS "oval.ini", SL_SIM_DUSK); /* without shadows */
        s.config.camera.k1 = cases[i].k1;
        s.config.camera.p1 = cases[i].p1;
        s.config.camera.roll_rad = cases[i].roll;
        s.config.camera.yaw_rad = cases[i].yaw;
        ready(&s);
        struct sl_render_view v = view_at(&s, 20, cases[i].left, cases[i].heading);
        sl_renderer_draw(s.renderer, &v, picture);
        check_line(&s, cases[i].left, cases[i].heading, -1.75, 0.15);
        close_scene(&s);
    }
}

static double mean_at(int x0, int y0, int width, int height)
{
    double sum = 0;
    for (int y = y0; y < y0 + height; y++)
        for (int x = x0; x < x0 + width; x++)
            sum += picture[y * WIDTH + x];
    return sum / (width * height);
}

static double brightest(int x0, int y0, int width, int height)
{
    int best = 0;
    for (int y = y0; y < y0 + height; y++)
        for (int x = x0; x < x0 + width; x++)
            best = picture[y * WIDTH + x] > best ? picture[y * WIDTH + x] : best;
    return best;
}

static void lights_have_their_grey_levels(void **state)
{
    (void)state;
    /* Road in the middle of the lane at some 5 m; the brightest paint there;
     * the sky. */
    const struct {
        double road_low, road_high, paint_low, paint_high, sky_low, sky_high;
    } expected[SL_SIM_LIGHT_COUNT] = {
        [SL_SIM_DAY] = {88, 122, 185, 225, 150, 250},
        [SL_SIM_DUSK] = {55, 90, 120, 185, 60, 180},
        [SL_SIM_NIGHT] = {45, 100, 110, 205, 0, 30},
        [SL_SIM_GLARE] = {40, 190, 120, 255, 120, 255},
        [SL_SIM_RAIN] = {60, 86, 120, 175, 150, 250},
    };
    for (int light = 0; light < SL_SIM_LIGHT_COUNT; light++) {
        struct scene s;
        open_scene(&s, TRACKS "oval.ini", (enum sl_sim_light)light);
        ready(&s);
        /* Place without a tree's shadow: the brightest of several. Without a
         * puddle: the darkest. */
        bool wet = light == SL_SIM_RAIN;
        double road = wet ? 255 : 0, paint = 0, sky = 0;
        for (double at = 15; at < 60; at += 5) {
            struct sl_render_view v = view_at(&s, at, 0, 0);
            sl_renderer_draw(s.renderer, &v, picture);
            double here = mean_at(360, 370, 80, 20);
            road = wet ? fmin(road, here) : fmax(road, here);
            paint = fmax(paint, brightest(440, 370, 200, 20));
            sky = fmax(sky, mean_at(300, 20, 200, 100));
        }
        if (road < expected[light].road_low || road > expected[light].road_high ||
            paint < expected[light].paint_low || paint > expected[light].paint_high ||
            sky < expected[light].sky_low || sky > expected[light].sky_high)
            fail_msg("%s: road %.0f, paint %.0f, sky %.0f",
                     sl_sim_light_name((enum sl_sim_light)light), road, paint, sky);
        close_scene(&s);
    }
}

/* The lane's middle over a stretch of road: near, where one looks down into
 * the water, and far, where it mirrors the sky. */
static void near_and_far(enum sl_sim_light light, double *near, double *far)
{
    struct scene s;
    open_scene(&s, TRACKS "oval.ini", light);
    ready(&s);
    *near = *far = 0;
    int count = 0;
    for (double at = 12; at < 36; at += 4, count++) {
        struct sl_render_view v = view_at(&s, at, 0, 0);
        sl_renderer_draw(s.renderer, &v, picture);
        *near += mean_at(360, 560, 80, 30);
        *far += mean_at(385, 265, 30, 10);
    }
    *near /= count;
    *far /= count;
    close_scene(&s);
}

static void rain_darkens_the_road_and_mirrors_the_sky(void **state)
{
    (void)state;
    double day_near, day_far, dusk_near, dusk_far, rain_near, rain_far;
    near_and_far(SL_SIM_DAY, &day_near, &day_far);
    near_and_far(SL_SIM_DUSK, &dusk_near, &dusk_far);
    near_and_far(SL_SIM_RAIN, &rain_near, &rain_far);
    /* Half the light: 0.73 of the grey level. */
    double share = pow(rain_near / day_near, 2.2);
    if (share < 0.40 || share > 0.65)
        fail_msg("near, the road has %.2f of the dry road's light", share);
    /* Haze lifts the far road in every light, a mirror much more. */
    double rise = pow(rain_far / rain_near, 2.2);
    double dry = fmax(pow(day_far / day_near, 2.2), pow(dusk_far / dusk_near, 2.2));
    if (rise < 1.6 * dry)
        fail_msg("the far road is %.2f times as bright as the near one, a dry one %.2f times", rise,
                 dry);
}

/* Puddles: the same distance, wet and wetter. Paint stays brighter than both. */
static void water_lies_in_patches(void **state)
{
    (void)state;
    struct spread {
        double low, high, paint;
    } spread[2];
    for (int wet = 0; wet < 2; wet++) {
        struct scene s;
        open_scene(&s, TRACKS "oval.ini", wet ? SL_SIM_RAIN : SL_SIM_DUSK);
        ready(&s);
        spread[wet] = (struct spread){255, 0, 255};
        for (double at = 12; at < 60; at += 4) {
            struct sl_render_view v = view_at(&s, at, 0, 0);
            sl_renderer_draw(s.renderer, &v, picture);
            double here = mean_at(385, 325, 30, 10);
            spread[wet].low = fmin(spread[wet].low, here);
            spread[wet].high = fmax(spread[wet].high, here);
            spread[wet].paint = fmin(spread[wet].paint, brightest(440, 325, 200, 10));
        }
        close_scene(&s);
    }
    double dry = spread[0].high - spread[0].low, wet = spread[1].high - spread[1].low;
    if (wet < 2 * dry)
        fail_msg("the road varies by %.1f grey levels, a dry one by %.1f", wet, dry);
    if (spread[1].paint < spread[1].high + 15)
        fail_msg("paint of %.0f beside water of %.0f", spread[1].paint, spread[1].high);
}

/* Along both lines: paint before and after a crossing, none within. */
static void crossings_are_bare(void **state)
{
    (void)state;
    struct scene s;
    open_scene(&s, TRACKS "city.ini", SL_SIM_DUSK);
    ready(&s);
    const struct sl_track_section *crossing = NULL;
    for (size_t i = 0; i < sl_track_section_count(s.track); i++)
        if (sl_track_section(s.track, i)->crossing)
            crossing = sl_track_section(s.track, i);
    assert_non_null(crossing);
    double at = crossing->start_m - 5;
    struct sl_render_view v = view_at(&s, at, 0, 0);
    sl_renderer_draw(s.renderer, &v, picture);
    struct sl_camera_model m;
    assert_int_equal(sl_camera_model_init(&m, &s.config.camera, NULL), 0);
    double road = mean_at(380, 400, 40, 20);
    int bare = 0, painted = 0;
    for (double ahead = 3.6; ahead < 24; ahead += 0.1) {
        double u, w;
        assert_true(sl_camera_to_image(&m, ahead, -1.75, &u, &w));
        if (u < 2 || u > WIDTH - 3 || w > HEIGHT - 2)
            continue;
        double grey = brightest((int)u - 1, (int)(w + 0.5), 3, 1);
        bool within = ahead > 5.1 && ahead < 4.8 + crossing->length_m;
        bool outside = ahead < 4.8 || ahead > 5.5 + crossing->length_m;
        if (within) {
            assert_true(grey < road + 25);
            bare++;
        } else if (outside) {
            assert_true(grey > road + 25);
            painted++;
        }
    }
    assert_true(bare > 50 && painted > 60);
    close_scene(&s);
}

/* Pixels of wear: less paint is left the more it is worn. */
static void wear_takes_paint_away(void **state)
{
    (void)state;
    double last = 1e9;
    for (double wear = 0; wear <= 1; wear += 0.5) {
        struct scene s;
        open_scene(&s, TRACKS "oval.ini", SL_SIM_DUSK);
        s.config.wear = wear;
        ready(&s);
        struct sl_render_view v = view_at(&s, 20, 0, 0);
        sl_renderer_draw(s.renderer, &v, picture);
        double sum = 0, road = mean_at(360, 370, 80, 20);
        for (int y = 300; y < 500; y++)
            for (int x = 420; x < 760; x++)
                sum += fmax(0, picture[y * WIDTH + x] - road - 25);
        assert_true(sum < last * 0.85);
        assert_true(sum > 0);
        last = sum;
        close_scene(&s);
    }
}

/* Areas: a rectangle between pixels, a strip in two halves, a fan that leaves
 * the picture on every side. */
static void coverage_is_exact(void **state)
{
    (void)state;
    struct sl_raster r;
    assert_int_equal(sl_raster_make(&r, 64, 48), 0);
    const float box[4][2] = {{9.75f, 4.5f}, {20.0f, 4.5f}, {20.0f, 9.25f}, {9.75f, 9.25f}};
    sl_raster_polygon(&r, SL_COAT_WHITE, 1, box, 4);
    uint64_t sum = 0;
    for (int i = 0; i < 64 * 48; i++)
        sum += r.cover[SL_COAT_WHITE][i];
    assert_true(fabs(sum / (double)SL_RASTER_FULL - 10.25 * 4.75) < 0.01);
    assert_int_equal(r.cover[SL_COAT_WHITE][6 * 64 + 15], SL_RASTER_FULL);
    assert_int_equal(r.cover[SL_COAT_WHITE][6 * 64 + 10], 0.75 * SL_RASTER_FULL);
    assert_int_equal(r.cover[SL_COAT_WHITE][6 * 64 + 20], 0.5 * SL_RASTER_FULL);
    assert_int_equal(r.cover[SL_COAT_WHITE][9 * 64 + 15], 0.75 * SL_RASTER_FULL);
    assert_true(r.flags[6 * r.block_columns] & 1u << SL_COAT_WHITE);

    const float left[3][2] = {{5, 5}, {60, 7}, {11, 40}},
                right[3][2] = {{60, 7}, {58, 44}, {11, 40}};
    sl_raster_polygon(&r, SL_COAT_YELLOW, 0.5f, left, 3);
    sl_raster_polygon(&r, SL_COAT_YELLOW, 0.5f, right, 3);
    int most = 0;
    sum = 0;
    for (int i = 0; i < 64 * 48; i++) {
        sum += r.cover[SL_COAT_YELLOW][i];
        most = r.cover[SL_COAT_YELLOW][i] > most ? r.cover[SL_COAT_YELLOW][i] : most;
    }
    assert_true(most <= SL_RASTER_FULL / 2 + 1);
    double area = 0.5 * fabs((60 - 5) * (40.0 - 5) - (11 - 5) * (7.0 - 5)) +
                  0.5 * fabs((58 - 60) * (40.0 - 7) - (11 - 60) * (44.0 - 7));
    assert_true(fabs(sum / (0.5 * SL_RASTER_FULL) - area) < 0.5);

    const float wide[4][2] = {{-1000, -900}, {1200, -800}, {900, 1000}, {-800, 700}};
    sl_raster_polygon(&r, SL_COAT_DARK, 1, wide, 4);
    for (int i = 0; i < 64 * 48; i++)
        assert_in_range(r.cover[SL_COAT_DARK][i], SL_RASTER_FULL - 4, SL_RASTER_FULL + 4);
    const float beside[3][2] = {{70, 5}, {90, 5}, {80, 30}}, flat[3][2] = {{1, 5}, {9, 5}, {5, 5}};
    sl_raster_polygon(&r, SL_COAT_DARK, 1, beside, 3);
    sl_raster_polygon(&r, SL_COAT_DARK, 1, flat, 3);
    sl_raster_polygon(&r, SL_COAT_DARK, 1, box, 2);
    for (int i = 0; i < (64 + 2) * 48; i++)
        assert_true(r.sums[i] == 0);
    sl_raster_free(&r);
}

static void refuses_what_it_cannot_draw(void **state)
{
    (void)state;
    struct scene s;
    struct sl_error err = {""};
    open_scene(&s, TRACKS "lab.ini", SL_SIM_DAY);
    struct sl_render_config good = s.config;
    s.config.format = SL_FORMAT_MJPEG;
    assert_int_equal(sl_renderer_create(&s.renderer, &s.config, &err), -EINVAL);
    assert_non_null(strstr(err.text, "format"));
    s.config = good;
    s.config.camera.width_px = 801;
    assert_int_equal(sl_renderer_create(&s.renderer, &s.config, &err), -EINVAL);
    assert_non_null(strstr(err.text, "801x600"));
    s.config = good;
    s.config.wear = NAN;
    assert_int_equal(sl_renderer_create(&s.renderer, &s.config, &err), -EINVAL);
    s.config = good;
    s.config.camera.height_m = 0;
    assert_int_equal(sl_renderer_create(&s.renderer, &s.config, &err), -EINVAL);
    assert_non_null(strstr(err.text, "height_m"));
    s.config = good;
    s.config.light = (enum sl_sim_light)9;
    assert_int_equal(sl_renderer_create(&s.renderer, &s.config, &err), -EINVAL);
    assert_null(s.renderer);
    close_scene(&s);
}

static void lights_have_names(void **state)
{
    (void)state;
    enum sl_sim_light light;
    struct sl_error err = {""};
    for (int i = 0; i < SL_SIM_LIGHT_COUNT; i++) {
        assert_int_equal(sl_sim_light_parse(sl_sim_light_name((enum sl_sim_light)i), &light, &err),
                         0);
        assert_int_equal(light, i);
    }
    assert_int_equal(sl_sim_light_parse("noon", &light, &err), -EINVAL);
    assert_non_null(strstr(err.text, "day|dusk|night|glare|rain"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(coverage_is_exact),
        cmocka_unit_test(a_seed_fixes_every_byte),
        cmocka_unit_test(formats_agree),
        cmocka_unit_test(markings_lie_where_the_camera_model_says),
        cmocka_unit_test(lights_have_their_grey_levels),
        cmocka_unit_test(rain_darkens_the_road_and_mirrors_the_sky),
        cmocka_unit_test(water_lies_in_patches),
        cmocka_unit_test(crossings_are_bare),
        cmocka_unit_test(wear_takes_paint_away),
        cmocka_unit_test(refuses_what_it_cannot_draw),
        cmocka_unit_test(lights_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
