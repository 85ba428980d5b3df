/* The detector on pictures of the simulator, at known places: how far off
 * offset, heading and curvature are, by light and wear; and that a vehicle
 * that sees no marking says so. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "app/detect/detect.h"
#include "tools/sim/world.h"

#define WIDTH     800
#define HEIGHT    600
#define PLACES    48
#define EXPOSURES 4 /* pictures that exposure control gets to settle */
#define NEAR_M    2.0
#define TRACKS    SL_SOURCE_DIR "/tools/sim/tracks/"

static uint8_t pixels[WIDTH * HEIGHT * 3 / 2];
static struct sl_detector *detector;

struct errors {
    double offset[PLACES], heading[PLACES], curvature[PLACES], signed_offset;
    int count, lost, wrong_and_sure;
};

static int set_up(void **state)
{
    (void)state;
    detector = aligned_alloc(64, sl_detector_size());
    return detector ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    free(detector);
    return 0;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double share(double *values, int count, double part)
{
    qsort(values, (size_t)count, sizeof *values, ascending);
    return values[(int)((count - 1) * part)];
}

static struct sl_sim *open_sim(const char *track, enum sl_sim_light light, double wear,
                               struct sl_detect_config *config)
{
    struct sl_sim_config c;
    struct sl_sim *sim;
    struct sl_error err = {0};
    char path[512];
    snprintf(path, sizeof path, TRACKS "%s.ini", track);
    sl_sim_config_default(&c);
    c.track_path = path;
    c.light = light;
    c.wear = wear;
    c.seed = 3;
    if (sl_sim_create(&sim, &c, &err))
        fail_msg("%s", err.text);
    *config = (struct sl_detect_config){
        .camera = c.camera,
        .lane_width_m = sl_track_lane_width_m(sl_sim_track(sim)),
        .lane_width_tolerance = 0.2,
        .marking_width_m = sl_track_marking_width_m(sl_sim_track(sim)),
        .near_m = NEAR_M,
        .far_m = 40,
        .min_contrast = 6,
    };
    assert_int_equal(sl_detector_init(detector, config, &err), 0);
    return sim;
}

static struct sl_detection look(struct sl_sim *sim, double x_m, double y_m, double yaw_rad)
{
    struct sl_sim_exposure exposure;
    struct sl_frame_info info = {0};
    struct sl_detection found;
    sl_sim_expose(sim, &exposure);
    exposure.x_m = x_m;
    exposure.y_m = y_m;
    exposure.yaw_rad = yaw_rad;
    assert_int_equal(sl_sim_render(sim, &exposure, pixels, sizeof pixels, &info), 0);
    assert_int_equal(sl_detector_run(detector, &info, pixels, &found), 0);
    return found;
}

/* Places all along the track, up to half a metre off its middle and 3 degrees
 * askew. `steady` leaves out where the curvature changes right there: what
 * lies behind the nearest visible ground cannot be seen. */
static void measure(const char *track, enum sl_sim_light light, double wear, struct errors *e)
{
    struct sl_detect_config config;
    struct sl_sim *sim = open_sim(track, light, wear, &config);
    const struct sl_track *course = sl_sim_track(sim);
    double length = sl_track_length_m(course);
    *e = (struct errors){0};
    for (int i = -EXPOSURES; i < PLACES; i++) {
        double s = length * (i < 0 ? 0 : i) / PLACES;
        double offset = 0.5 * sin(2.1 * i), heading = 0.05 * sin(1.3 * i + 1);
        struct sl_track_pose pose;
        sl_track_pose_at(course, s, &pose);
        struct sl_detection d =
            look(sim, pose.x_m - offset * sin(pose.heading_rad),
                 pose.y_m + offset * cos(pose.heading_rad), pose.heading_rad + heading);
        if (i < 0)
            continue;
        if (d.state == SL_LANE_LOST) {
            e->lost++;
            continue;
        }
        double off = d.lateral_offset_m - offset;
        e->signed_offset += off;
        e->offset[e->count] = fabs(off);
        e->heading[e->count] = fabs(d.heading_error_rad - heading);
        e->curvature[e->count] = fabs(d.curvature_1pm - pose.curvature_1pm);
        e->count++;
        if (fabs(off) > 0.4 && d.confidence > 0.9f)
            e->wrong_and_sure++;
    }
    sl_sim_destroy(sim);
}

static void check(const char *track, enum sl_sim_light light, double wear, double median_m,
                  double most_m)
{
    struct errors e;
    measure(track, light, wear, &e);
    double offset = share(e.offset, e.count, 0.5);
    double offset_95 = share(e.offset, e.count, 0.95);
    double heading = share(e.heading, e.count, 0.5);
    double curvature = share(e.curvature, e.count, 0.5);
    double bias = e.signed_offset / e.count;
    print_message("%s %s, wear %.1f: offset %.3f (95 %%: %.3f, mean %+.3f) m, heading %.2f deg, "
                  "curvature %.4f 1/m; lost %d of %d\n",
                  track, sl_sim_light_name(light), wear, offset, offset_95, bias,
                  heading * 180 / 3.14159265, curvature, e.lost, PLACES);
    assert_true(e.lost <= 2);
    assert_int_equal(e.wrong_and_sure, 0);
    assert_true(offset <= median_m);
    assert_true(offset_95 <= most_m);
    assert_true(fabs(bias) <= median_m);
    assert_true(heading <= 0.0088); /* half a degree */
    assert_true(curvature <= 0.004);
}

static void day(void **state)
{
    (void)state;
    check("oval", SL_SIM_DAY, 0, 0.02, 0.08);
    check("city", SL_SIM_DAY, 0, 0.03, 0.25);
}

static void dusk(void **state)
{
    (void)state;
    check("oval", SL_SIM_DUSK, 0, 0.02, 0.08);
}

static void night(void **state)
{
    (void)state;
    check("oval", SL_SIM_NIGHT, 0, 0.02, 0.08);
    check("city", SL_SIM_NIGHT, 0.2, 0.03, 0.25);
}

static void glare(void **state)
{
    (void)state;
    check("oval", SL_SIM_GLARE, 0, 0.02, 0.08);
    check("city", SL_SIM_GLARE, 0.2, 0.03, 0.25);
}

static void rain(void **state)
{
    (void)state;
    check("oval", SL_SIM_RAIN, 0, 0.02, 0.08);
    check("city", SL_SIM_RAIN, 0.2, 0.03, 0.25);
}

static void worn(void **state)
{
    (void)state;
    check("oval", SL_SIM_DAY, 0.2, 0.02, 0.08);
}

/* ---- what was seen before, for a vehicle that measures its motion ---- */

enum { TOLD, UNTOLD, STOPPED, CONFUSED, KINDS }; /* the latter two: up to some frame */

struct passage {
    struct sl_detector *detectors[KINDS];
    struct sl_sim *sim;
    struct sl_frame_info info;
    struct sl_track_pose before;
};

static void enter(struct passage *p, const char *track, bool tracked)
{
    struct sl_detect_config config;
    struct sl_error err = {0};
    *p = (struct passage){.sim = open_sim(track, SL_SIM_DAY, 0, &config)};
    config.track = tracked;
    for (int k = 0; k < KINDS; k++) {
        p->detectors[k] = aligned_alloc(64, sl_detector_size());
        assert_non_null(p->detectors[k]);
        assert_int_equal(sl_detector_init(p->detectors[k], &config, &err), 0);
    }
}

static void leave(struct passage *p)
{
    for (int k = 0; k < KINDS; k++)
        free(p->detectors[k]);
    sl_sim_destroy(p->sim);
}

/* The next frame in the lane's middle, and how the vehicle came there. */
static struct sl_detect_motion go_to(struct passage *p, double s_m, struct sl_track_pose *pose)
{
    struct sl_sim_exposure exposure;
    sl_track_pose_at(sl_sim_track(p->sim), s_m, pose);
    const struct sl_detect_motion moved = {
        .ahead_m = hypot(pose->x_m - p->before.x_m, pose->y_m - p->before.y_m),
        .turned_rad = remainder(pose->heading_rad - p->before.heading_rad, 2 * M_PI),
    };
    p->before = *pose;
    sl_sim_expose(p->sim, &exposure);
    exposure.x_m = pose->x_m;
    exposure.y_m = pose->y_m;
    exposure.yaw_rad = pose->heading_rad;
    assert_int_equal(sl_sim_render(p->sim, &exposure, pixels, sizeof pixels, &p->info), 0);
    return moved;
}

static struct sl_detection run_one(struct passage *p, int kind)
{
    struct sl_detection found;
    assert_int_equal(sl_detector_run(p->detectors[kind], &p->info, pixels, &found), 0);
    return found;
}

/* Along a track whose bends change all the time: who is told how the vehicle moved
 * knows several times better where it is. One frame before which nothing is told, or
 * nonsense, and it knows no more than who never was. */
static void remembers_where_the_lane_was(void **state)
{
    (void)state;
    enum { FRAMES = 300, FILLED = 30, LAPSE = 200 };
    static double heading[2][FRAMES], offset[2][FRAMES];
    struct passage p;
    enter(&p, "nasty", true);
    int count = 0;
    for (int i = 0; i < FRAMES; i++) {
        struct sl_track_pose pose;
        struct sl_detect_motion moved = go_to(&p, 0.2 * i, &pose);
        for (int k = 0; k < KINDS && i > 0; k++)
            if (k == TOLD || (k != UNTOLD && i < LAPSE))
                sl_detector_moved(p.detectors[k], &moved);
        moved.turned_rad = (double)NAN;
        if (i == LAPSE)
            sl_detector_moved(p.detectors[CONFUSED], &moved);
        struct sl_detection found[KINDS];
        for (int k = 0; k < KINDS; k++)
            found[k] = run_one(&p, k);
        if (i == LAPSE) {
            assert_memory_not_equal(&found[TOLD], &found[UNTOLD], sizeof found[0]);
            assert_memory_equal(&found[STOPPED], &found[UNTOLD], sizeof found[0]);
            assert_memory_equal(&found[CONFUSED], &found[UNTOLD], sizeof found[0]);
        }
        if (i < FILLED || found[TOLD].state == SL_LANE_LOST)
            continue;
        for (int k = TOLD; k <= UNTOLD; k++) {
            heading[k][count] = fabs((double)found[k].heading_error_rad);
            offset[k][count] = fabs((double)found[k].lateral_offset_m);
        }
        count++;
    }
    leave(&p);
    assert_true(count > FRAMES / 2);
    double median[2][2];
    for (int k = TOLD; k <= UNTOLD; k++) {
        median[0][k] = share(heading[k], count, 0.5) * 180 / M_PI;
        median[1][k] = share(offset[k], count, 0.5) * 100;
    }
    print_message("told: %.2f deg, %.1f cm; not told: %.2f deg, %.1f cm\n", median[0][TOLD],
                  median[1][TOLD], median[0][UNTOLD], median[1][UNTOLD]);
    assert_true(median[0][TOLD] < 0.3 && median[0][TOLD] < 0.5 * median[0][UNTOLD]);
    assert_true(median[1][TOLD] < 2 && median[1][TOLD] < 0.7 * median[1][UNTOLD]);
}

/* Each frame for itself means that. */
static void remembers_nothing_untracked(void **state)
{
    (void)state;
    struct passage p;
    enter(&p, "nasty", false);
    for (int i = 0; i < 40; i++) {
        struct sl_track_pose pose;
        const struct sl_detect_motion moved = go_to(&p, 0.2 * i, &pose);
        sl_detector_moved(p.detectors[TOLD], &moved);
        const struct sl_detection told = run_one(&p, TOLD), untold = run_one(&p, UNTOLD);
        assert_memory_equal(&told, &untold, sizeof told);
    }
    leave(&p);
}

/* Out on the grass there is no lane, by day or night. */
static void no_markings(void **state)
{
    (void)state;
    const enum sl_sim_light lights[] = {SL_SIM_DAY, SL_SIM_DUSK, SL_SIM_NIGHT, SL_SIM_GLARE,
                                        SL_SIM_RAIN};
    int frames = 0, believed = 0;
    for (size_t k = 0; k < sizeof lights / sizeof lights[0]; k++) {
        struct sl_detect_config config;
        struct sl_sim *sim = open_sim("oval", lights[k], 0, &config);
        double min[2], max[2];
        sl_track_bounds(sl_sim_track(sim), min, max);
        for (int i = 0; i < 12; i++) {
            /* Beyond the track's corner, turned away from it. */
            struct sl_detection d = look(sim, max[0] + 60 + 5 * i, max[1] + 60, 0.1 * i);
            frames++;
            believed += d.state != SL_LANE_LOST && d.confidence > 0.3f;
        }
        sl_sim_destroy(sim);
    }
    print_message("believed on grass: %d of %d\n", believed, frames);
    assert_true(believed == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(day),
        cmocka_unit_test(dusk),
        cmocka_unit_test(night),
        cmocka_unit_test(glare),
        cmocka_unit_test(rain),
        cmocka_unit_test(worn),
        cmocka_unit_test(no_markings),
        cmocka_unit_test(remembers_where_the_lane_was),
        cmocka_unit_test(remembers_nothing_untracked),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
