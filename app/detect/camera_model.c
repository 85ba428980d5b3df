#include "app/detect/camera_model.h"

#include <errno.h>
#include <math.h>
#include <stddef.h>
#include <string.h>

/* A ray that meets the ground further away than this many camera heights is
 * treated as parallel to it: there, a thousandth of a radian of pitch is
 * worth more than the distance itself. */
#define FARTHEST_HEIGHTS 1000.0
#define UNDISTORT_STEPS  20

static int check_range(double value, double min, double max, const char *name, struct sl_error *err)
{
    if (isfinite(value) && value >= min && value <= max)
        return 0;
    return sl_error_set(err, -EINVAL, "camera: %s is %g; it must lie within %g and %g", name, value,
                        min, max);
}

static void multiply(double out[3][3], double a[3][3], double b[3][3])
{
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++)
            out[i][j] = a[i][0] * b[0][j] + a[i][1] * b[1][j] + a[i][2] * b[2][j];
}

static double radial_gain(const struct sl_camera_calibration *c, double r2)
{
    return 1.0 + r2 * (c->k1 + r2 * (c->k2 + r2 * c->k3));
}

/* Radial distortion moves a point outwards in proportion to r * gain(r). Where
 * that stops to grow the picture folds back onto itself and the polynomial no
 * longer describes a lens. Walks outwards to find that radius, squared. */
static double fold_radius2(const struct sl_camera_calibration *c)
{
    const double step = 0.01;
    const double farthest = 10.0;
    double last = 0.0;
    for (double r = step; r < farthest; r += step) {
        double moved = r * radial_gain(c, r * r);
        if (!(moved > last))
            return (r - step) * (r - step);
        last = moved;
    }
    return farthest * farthest;
}

int sl_camera_model_init(struct sl_camera_model *model, const struct sl_camera_calibration *c,
                         struct sl_error *err)
{
    const struct {
        const char *name;
        double value, min, max;
    } checks[] = {
        {"width_px", c->width_px, 1, SL_CAMERA_SIDE_MAX_PX},
        {"height_px", c->height_px, 1, SL_CAMERA_SIDE_MAX_PX},
        {"fx_px", c->fx_px, 1, 100000},
        {"fy_px", c->fy_px, 1, 100000},
        {"cx_px", c->cx_px, -10000, 10000},
        {"cy_px", c->cy_px, -10000, 10000},
        {"k1", c->k1, -10, 10},
        {"k2", c->k2, -10, 10},
        {"p1", c->p1, -1, 1},
        {"p2", c->p2, -1, 1},
        {"k3", c->k3, -10, 10},
        {"height_m", c->height_m, 0.01, 10},
        {"forward_m", c->forward_m, -10, 10},
        {"left_m", c->left_m, -5, 5},
        {"pitch_rad", c->pitch_rad, -0.5, 1.4},
        {"yaw_rad", c->yaw_rad, -1, 1},
        {"roll_rad", c->roll_rad, -0.5, 0.5},
    };
    for (size_t i = 0; i < sizeof checks / sizeof checks[0]; i++) {
        int rc = check_range(checks[i].value, checks[i].min, checks[i].max, checks[i].name, err);
        if (rc)
            return rc;
    }
    memset(model, 0, sizeof *model);
    model->c = *c;
    model->distorted = c->k1 != 0 || c->k2 != 0 || c->k3 != 0 || c->p1 != 0 || c->p2 != 0;
    model->fold_r2 = fold_radius2(c);

    /* Level camera first, then roll about the forward axis, pitch about the
     * left axis, yaw about the up axis; each right-handed in vehicle axes. */
    double cr = cos(c->roll_rad), sr = sin(c->roll_rad);
    double cp = cos(c->pitch_rad), sp = sin(c->pitch_rad);
    double cy = cos(c->yaw_rad), sy = sin(c->yaw_rad);
    double level[3][3] = {{0, 0, 1}, {-1, 0, 0}, {0, -1, 0}};
    double roll[3][3] = {{1, 0, 0}, {0, cr, -sr}, {0, sr, cr}};
    double pitch[3][3] = {{cp, 0, sp}, {0, 1, 0}, {-sp, 0, cp}};
    double yaw[3][3] = {{cy, -sy, 0}, {sy, cy, 0}, {0, 0, 1}};
    double a[3][3], b[3][3];
    multiply(a, roll, level);
    multiply(b, pitch, a);
    multiply(model->rotation, yaw, b);
    return 0;
}

void sl_camera_calibration_scale(struct sl_camera_calibration *c, uint32_t width_px,
                                 uint32_t height_px)
{
    if (c->width_px == 0 || c->height_px == 0 || width_px == 0 || height_px == 0)
        return;
    double kx = (double)width_px / c->width_px;
    double ky = (double)height_px / c->height_px;
    c->fx_px *= kx;
    c->fy_px *= ky;
    /* Coordinates count from the middle of the first pixel, sizes from its edge. */
    c->cx_px = (c->cx_px + 0.5) * kx - 0.5;
    c->cy_px = (c->cy_px + 0.5) * ky - 0.5;
    c->width_px = width_px;
    c->height_px = height_px;
}

/* Undoes distortion in normalised coordinates: x = (x_d - tangential(x)) / radial(x). */
static void undistort(const struct sl_camera_model *m, double *x, double *y)
{
    const struct sl_camera_calibration *c = &m->c;
    double xd = *x, yd = *y;
    double xu = xd, yu = yd;
    for (int i = 0; i < UNDISTORT_STEPS; i++) {
        double r2 = xu * xu + yu * yu;
        if (r2 > m->fold_r2) {
            /* Beyond the fold no ray exists; the last one is as near as it gets. */
            double k = sqrt(m->fold_r2 / r2);
            xu *= k;
            yu *= k;
            r2 = m->fold_r2;
        }
        double gain = radial_gain(c, r2);
        if (!(gain > 0.05))
            gain = 0.05;
        double dx = 2 * c->p1 * xu * yu + c->p2 * (r2 + 2 * xu * xu);
        double dy = c->p1 * (r2 + 2 * yu * yu) + 2 * c->p2 * xu * yu;
        xu = (xd - dx) / gain;
        yu = (yd - dy) / gain;
    }
    *x = xu;
    *y = yu;
}

void sl_camera_ray(const struct sl_camera_model *model, double u_px, double v_px, double ray[3])
{
    const struct sl_camera_calibration *c = &model->c;
    double x = (u_px - c->cx_px) / c->fx_px;
    double y = (v_px - c->cy_px) / c->fy_px;
    if (model->distorted)
        undistort(model, &x, &y);
    for (int i = 0; i < 3; i++)
        ray[i] = model->rotation[i][0] * x + model->rotation[i][1] * y + model->rotation[i][2];
}

bool sl_camera_to_ground(const struct sl_camera_model *model, double u_px, double v_px, double *x_m,
                         double *y_m)
{
    double ray[3];
    sl_camera_ray(model, u_px, v_px, ray);
    double along = sqrt(ray[0] * ray[0] + ray[1] * ray[1]);
    if (!(ray[2] < 0) || !(along < -ray[2] * FARTHEST_HEIGHTS))
        return false;
    double k = model->c.height_m / -ray[2];
    *x_m = model->c.forward_m + k * ray[0];
    *y_m = model->c.left_m + k * ray[1];
    return true;
}

bool sl_camera_to_image(const struct sl_camera_model *model, double x_m, double y_m, double *u_px,
                        double *v_px)
{
    const struct sl_camera_calibration *c = &model->c;
    double d[3] = {x_m - c->forward_m, y_m - c->left_m, -c->height_m};
    double p[3];
    for (int i = 0; i < 3; i++)
        p[i] = model->rotation[0][i] * d[0] + model->rotation[1][i] * d[1] +
               model->rotation[2][i] * d[2];
    if (!(p[2] > 1e-6))
        return false;
    double x = p[0] / p[2];
    double y = p[1] / p[2];
    if (model->distorted) {
        double r2 = x * x + y * y;
        if (!(r2 <= model->fold_r2))
            return false;
        double gain = radial_gain(c, r2);
        double xd = x * gain + 2 * c->p1 * x * y + c->p2 * (r2 + 2 * x * x);
        double yd = y * gain + c->p1 * (r2 + 2 * y * y) + 2 * c->p2 * x * y;
        x = xd;
        y = yd;
    }
    *u_px = c->cx_px + c->fx_px * x;
    *v_px = c->cy_px + c->fy_px * y;
    return isfinite(*u_px) && isfinite(*v_px);
}

double sl_camera_horizon_px(const struct sl_camera_model *model)
{
    /* The vehicle's forward axis in camera axes is the rotation's first row. */
    double y = model->rotation[0][1];
    double z = model->rotation[0][2];
    return model->c.cy_px + model->c.fy_px * y / (z > 1e-6 ? z : 1e-6);
}
