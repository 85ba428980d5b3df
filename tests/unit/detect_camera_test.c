/* The camera as geometry, against numbers worked out by hand. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "app/detect/camera_model.h"

static const struct sl_camera_calibration simple = {.width_px = 800,
                                                    .height_px = 600,
                                                    .fx_px = 500,
                                                    .fy_px = 500,
                                                    .cx_px = 400,
                                                    .cy_px = 300,
                                                    .height_m = 1.0};

static struct sl_camera_model model_of(struct sl_camera_calibration c)
{
    struct sl_camera_model m;
    struct sl_error err = {0};
    assert_int_equal(sl_camera_model_init(&m, &c, &err), 0);
    return m;
}

static void near_to(double got, double want, double within)
{
    if (!(fabs(got - want) <= within))
        fail_msg("got %.9g, want %.9g within %g", got, want, within);
}

static void level_camera(void **state)
{
    (void)state;
    struct sl_camera_model m = model_of(simple);
    double x, y, u, v;
    /* 100 rows below the horizon: slope 100/500, so 5 m away at 1 m height;
     * 50 columns to the right are a tenth of that, to the right (negative). */
    assert_true(sl_camera_to_ground(&m, 450, 400, &x, &y));
    near_to(x, 5.0, 1e-12);
    near_to(y, -0.5, 1e-12);
    assert_true(sl_camera_to_image(&m, 5.0, -0.5, &u, &v));
    near_to(u, 450, 1e-9);
    near_to(v, 400, 1e-9);
    near_to(sl_camera_horizon_px(&m), 300, 1e-9);
    assert_false(sl_camera_to_ground(&m, 400, 300, &x, &y));
    assert_false(sl_camera_to_ground(&m, 400, 100, &x, &y));
    assert_false(sl_camera_to_ground(&m, 400, 300.4, &x, &y)); /* 1250 heights away */
    assert_false(sl_camera_to_image(&m, -3, 0, &u, &v));
}

static void mounting(void **state)
{
    (void)state;
    struct sl_camera_calibration c = simple;
    c.pitch_rad = atan(0.2);
    c.forward_m = 1.5;
    c.left_m = 0.25;
    struct sl_camera_model m = model_of(c);
    double x, y;
    /* Pitched down by one in five, the optical axis meets the ground after 5 m. */
    assert_true(sl_camera_to_ground(&m, 400, 300, &x, &y));
    near_to(x, 6.5, 1e-12);
    near_to(y, 0.25, 1e-12);
    near_to(sl_camera_horizon_px(&m), 200, 1e-9);

    c = simple;
    c.yaw_rad = atan(0.1);
    m = model_of(c);
    /* Looking left by one in ten: straight ahead lies 50 columns to the right. */
    double u, v;
    assert_true(sl_camera_to_image(&m, 1e6, 0, &u, &v));
    near_to(u, 450, 1e-3);

    c = simple;
    c.roll_rad = atan(0.1);
    m = model_of(c);
    /* The right side dips: on the right the horizon is seen higher up. */
    double ray[3];
    sl_camera_ray(&m, 500, 290, ray);
    near_to(ray[2], 0, 1e-12);
}

static void distortion(void **state)
{
    (void)state;
    struct sl_camera_calibration c = simple;
    c.k1 = -0.2;
    c.k2 = 0.05;
    c.p1 = 0.01;
    c.p2 = -0.02;
    struct sl_camera_model m = model_of(c);
    /* By hand: x = 0.5, y = 0.4, r2 = 0.41, gain = 1 - 0.082 + 0.05 * 0.1681.
     * dx = 2 p1 xy + p2 (r2 + 2 x^2) = 0.004 - 0.0182; dy = p1 (r2 + 2 y^2) + 2 p2 xy. */
    double gain = 1 - 0.082 + 0.008405;
    double u, v;
    assert_true(sl_camera_to_image(&m, 2.5, -1.25, &u, &v));
    near_to(u, 400 + 500 * (0.5 * gain - 0.0142), 1e-9);
    near_to(v, 300 + 500 * (0.4 * gain + 0.0073 - 0.008), 1e-9);
    double x, y;
    assert_true(sl_camera_to_ground(&m, u, v, &x, &y));
    near_to(x, 2.5, 1e-6);
    near_to(y, -1.25, 1e-6);
    /* A barrel polynomial folds back at r^2 = 1 / (3 * 0.4): no pixel beyond. */
    c = simple;
    c.k1 = -0.4;
    m = model_of(c);
    assert_false(sl_camera_to_image(&m, 1.0, -3.0, &u, &v));
    sl_camera_ray(&m, 1e6, 1e6, (double[3]){0});
}

static void round_trip(void **state)
{
    (void)state;
    struct sl_camera_calibration c = {800,   600, 560, 540, 399.5, 299.5, -0.25, 0.06, 1e-3,
                                      -2e-3, 0,   1.3, 1.5, 0.1,   0.09,  0.05,  -0.03};
    struct sl_camera_model m = model_of(c);
    for (double px = 4; px < 60; px *= 1.4) {
        for (double py = -2; py <= 2; py += 0.5) {
            double u, v, x, y;
            assert_true(sl_camera_to_image(&m, px, py, &u, &v));
            assert_true(sl_camera_to_ground(&m, u, v, &x, &y));
            near_to(x, px, 1e-5 * px);
            near_to(y, py, 1e-5 * px);
        }
    }
    /* At half the size the same ground point lies at half the place. */
    struct sl_camera_calibration half = c;
    sl_camera_calibration_scale(&half, 400, 300);
    near_to(half.fx_px, 280, 1e-12);
    near_to(half.cx_px, 199.5, 1e-12);
    struct sl_camera_model n = model_of(half);
    double u, v, hu, hv;
    assert_true(sl_camera_to_image(&m, 12, 1, &u, &v));
    assert_true(sl_camera_to_image(&n, 12, 1, &hu, &hv));
    near_to(hu, (u + 0.5) / 2 - 0.5, 1e-9);
    near_to(hv, (v + 0.5) / 2 - 0.5, 1e-9);
}

static void refuses(void **state)
{
    (void)state;
    struct sl_camera_model m;
    struct sl_error err = {0};
    struct sl_camera_calibration c = simple;
    c.fx_px = NAN;
    assert_int_not_equal(sl_camera_model_init(&m, &c, &err), 0);
    assert_non_null(strstr(err.text, "fx_px"));
    c = simple;
    c.height_m = 0;
    assert_int_not_equal(sl_camera_model_init(&m, &c, &err), 0);
    assert_non_null(strstr(err.text, "height_m"));
    c = simple;
    c.pitch_rad = INFINITY;
    assert_int_not_equal(sl_camera_model_init(&m, &c, &err), 0);
    assert_non_null(strstr(err.text, "pitch_rad"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(level_camera), cmocka_unit_test(mounting), cmocka_unit_test(distortion),
        cmocka_unit_test(round_trip),   cmocka_unit_test(refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
