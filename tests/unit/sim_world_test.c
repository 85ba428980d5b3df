/* The world: truth, odometry, laps, departures, respawn. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <math.h>
#include <string.h>

#include "tools/sim/world.h"

#define TRACKS SL_SOURCE_DIR "/tools/sim/tracks/"
#define MS     UINT64_C(1000000)

static struct sl_sim *make(uint64_t seed)
{
    struct sl_sim_config c;
    struct sl_error err = {""};
    struct sl_sim *sim;
    sl_sim_config_default(&c);
    c.track_path = TRACKS "lab.ini";
    c.camera.width_px = 64; /* no picture is drawn here */
    c.camera.height_px = 48;
    c.camera.height_m = 0.16;
    sl_vehicle_parameters_for_wheelbase(&c.vehicle, 0.27);
    c.seed = seed;
    c.start_ns = 1000 * MS;
    if (sl_sim_create(&sim, &c, &err) != 0)
        fail_msg("%s", err.text);
    return sim;
}

/* Steers by the truth toward a point ahead at some offset from the middle. */
static void drive(struct sl_sim *sim, double seconds, double offset_m, double speed_mps)
{
    for (int i = 0; i < (int)(seconds * 100); i++) {
        struct sl_truth t;
        struct sl_track_projection p;
        struct sl_track_pose a;
        sl_sim_truth(sim, &t);
        sl_track_project_anywhere(sl_sim_track(sim), (double)t.x_m, (double)t.y_m, &p);
        double ahead = 0.5;
        sl_track_pose_at(sl_sim_track(sim), p.foot.s_m + ahead, &a);
        double x = a.x_m - sin(a.heading_rad) * offset_m - (double)t.x_m;
        double y = a.y_m + cos(a.heading_rad) * offset_m - (double)t.y_m;
        double yaw = (double)t.yaw_rad;
        double side = -x * sin(yaw) + y * cos(yaw);
        sl_sim_step(sim, 10 * MS, atan(0.27 * 2 * side / (x * x + y * y)), speed_mps);
    }
}

static void counts_laps(void **state)
{
    (void)state;
    struct sl_sim *sim = make(3);
    double length = sl_track_length_m(sl_sim_track(sim));
    struct sl_truth t;
    uint32_t laps = 0;
    for (int i = 0; i < 60; i++) {
        drive(sim, 1, 0, 1.5);
        sl_sim_truth(sim, &t);
        assert_true(fabsf(t.lateral_offset_m) < 0.06f);
        assert_true(t.laps == laps || t.laps == laps + 1);
        laps = t.laps;
        assert_int_equal(laps, (int)((double)t.progress_m / length));
    }
    assert_true(laps >= 3);
    assert_int_equal(t.departures, 0);
    assert_true(sl_sim_time_ns(sim) == (1000 + 60000) * MS);
    sl_sim_destroy(sim);
}

static void counts_departures(void **state)
{
    (void)state;
    struct sl_sim *sim = make(4);
    struct sl_truth t;
    drive(sim, 3, 0, 1);
    for (uint32_t n = 1; n <= 3; n++) {
        drive(sim, 3, n % 2 ? 0.3 : -0.3, 0.8);
        sl_sim_truth(sim, &t);
        assert_true(fabsf(t.lateral_offset_m) > 0.2f);
        assert_true((t.lateral_offset_m > 0) == (n % 2 == 1));
        assert_int_equal(t.departures, n);
        drive(sim, 3, 0, 0.8);
        sl_sim_truth(sim, &t);
        assert_true(fabsf(t.lateral_offset_m) < 0.1f);
        assert_int_equal(t.departures, n);
    }
    double progress = (double)t.progress_m;
    sl_sim_respawn(sim);
    sl_sim_truth(sim, &t);
    assert_int_equal(t.departures, 3);
    assert_true(fabs((double)t.progress_m - progress) < 1e-6);
    assert_true(t.speed_mps == 0 && t.lateral_offset_m < 1e-6f);
    drive(sim, 2, 0, 1);
    sl_sim_truth(sim, &t);
    assert_true((double)t.progress_m > progress + 0.5);
    sl_sim_destroy(sim);
}

static void truth_is_true(void **state)
{
    (void)state;
    struct sl_sim *sim = make(5);
    struct sl_truth t;
    for (int i = 0; i < 2000; i++) {
        struct sl_track_pose p;
        struct sl_sim_exposure e;
        drive(sim, 0.01, 0.05, 1.2);
        sl_sim_expose(sim, &e);
        t = e.truth;
        assert_int_equal(t.frame_id, i + 1);
        assert_true(t.exposed_ns == sl_sim_time_ns(sim));
        struct sl_track_projection at;
        sl_track_project_anywhere(sl_sim_track(sim), e.x_m, e.y_m, &at);
        sl_track_pose_at(sl_sim_track(sim), at.foot.s_m, &p);
        assert_true(fabs((double)t.lateral_offset_m - at.offset_m) < 1e-5);
        assert_true(fabs((double)t.curvature_1pm - p.curvature_1pm) < 1e-3);
        assert_true(fabs(cos(e.yaw_rad - p.heading_rad) - cos((double)t.heading_error_rad)) < 1e-5);
        assert_true(t.lane_width_m == 0.40f);
        assert_int_equal(t.markings, sl_track_markings_at(sl_sim_track(sim), at.foot.s_m));
        assert_true(fabs(e.pitch_rad) < 0.05);
    }
    sl_sim_destroy(sim);
}

static void odometry_is_near_the_truth(void **state)
{
    (void)state;
    struct sl_sim *sim = make(6);
    struct sl_odometry o;
    sl_sim_odometry(sim, &o);
    assert_true(o.speed_mps == 0);
    drive(sim, 5, 0, 1.5);
    bool differs = false;
    for (int i = 0; i < 100; i++) {
        struct sl_truth t;
        sl_sim_truth(sim, &t);
        sl_sim_odometry(sim, &o);
        assert_true(fabsf(o.speed_mps - t.speed_mps) < 0.08f);
        assert_true(fabsf(o.steering_rad - t.steering_rad) < 0.01f);
        assert_int_equal(o.valid, SL_ODOMETRY_SPEED | SL_ODOMETRY_STEERING | SL_ODOMETRY_YAW_RATE);
        assert_true(o.measured_ns == sl_sim_time_ns(sim));
        differs = differs || o.speed_mps != t.speed_mps;
    }
    assert_true(differs);
    sl_sim_destroy(sim);
}

/* Same seed, same calls: same truth and odometry to the bit. Another seed
 * starts elsewhere. */
static void a_seed_fixes_the_drive(void **state)
{
    (void)state;
    struct sl_truth t[3];
    struct sl_odometry o[3];
    memset(t, 0, sizeof t);
    memset(o, 0, sizeof o);
    for (int i = 0; i < 3; i++) {
        struct sl_sim *sim = make(i < 2 ? 7 : 8);
        drive(sim, 4, 0, 1.5);
        sl_sim_truth(sim, &t[i]);
        sl_sim_odometry(sim, &o[i]);
        sl_sim_destroy(sim);
    }
    assert_memory_equal(&t[0], &t[1], sizeof t[0]);
    assert_memory_equal(&o[0], &o[1], sizeof o[0]);
    assert_memory_not_equal(&t[0], &t[2], sizeof t[0]);
}

static void refuses_bad_configurations(void **state)
{
    (void)state;
    struct sl_sim_config c;
    struct sl_error err = {""};
    struct sl_sim *sim = (struct sl_sim *)1;
    sl_sim_config_default(&c);
    assert_int_equal(sl_sim_create(&sim, &c, &err), -EINVAL);
    assert_null(sim);
    c.track_path = "/nonexistent.ini";
    assert_int_equal(sl_sim_create(&sim, &c, &err), -ENOENT);
    c.track_path = TRACKS "oval.ini";
    c.bounce = -1;
    assert_int_equal(sl_sim_create(&sim, &c, &err), -EINVAL);
    assert_non_null(strstr(err.text, "bounce"));
    c.bounce = 1;
    c.vehicle.wheelbase_m = 0;
    assert_int_equal(sl_sim_create(&sim, &c, &err), -EINVAL);
    assert_non_null(strstr(err.text, "wheelbase_m"));
    sl_sim_config_default(&c);
    c.track_path = TRACKS "oval.ini";
    c.camera.fx_px = 0;
    assert_int_equal(sl_sim_create(&sim, &c, &err), -EINVAL);
    assert_non_null(strstr(err.text, "fx_px"));
    sl_sim_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_laps),
        cmocka_unit_test(counts_departures),
        cmocka_unit_test(truth_is_true),
        cmocka_unit_test(odometry_is_near_the_truth),
        cmocka_unit_test(a_seed_fixes_the_drive),
        cmocka_unit_test(refuses_bad_configurations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
