#include "app/calibrate/lens.h"

#include <math.h>
#include <string.h>

#define OUTLIER_TIMES 3.0
#define OUTLIER_PX    0.5
#define K3_GAIN       0.9 /* k3 is kept if the error falls below this share */
#define CORNER_REACH  0.7
#define DEVIATION_MAX 0.01

double sl_lens_tilt_rad(const struct sl_chessboard_view *view)
{
    /* Of Rodrigues' rotation, how much of the board's normal stays along the
     * optical axis: R33 = cos + (1 - cos) kz^2. */
    const double *r = view->rotation;
    double angle = sqrt(r[0] * r[0] + r[1] * r[1] + r[2] * r[2]);
    if (!(angle > 1e-12))
        return 0;
    double kz = r[2] / angle;
    double along = cos(angle) + (1 - cos(angle)) * kz * kz;
    return acos(fmin(fabs(along), 1));
}

/* The median error of the used views, without memory of its own: the error
 * that half of them do not exceed. */
static double median_error(const struct sl_chessboard_view *views, size_t count)
{
    size_t used = 0;
    for (size_t i = 0; i < count; i++)
        used += views[i].used;
    for (size_t i = 0; i < count; i++) {
        size_t below = 0, same = 0;
        for (size_t k = 0; views[i].used && k < count; k++) {
            below += views[k].used && views[k].rms_px < views[i].rms_px;
            same += views[k].used && views[k].rms_px == views[i].rms_px;
        }
        if (views[i].used && below <= used / 2 && below + same > used / 2)
            return views[i].rms_px;
    }
    return 0;
}

/* The view to leave out, or NULL. */
static struct sl_chessboard_view *worst_outlier(struct sl_chessboard_view *views, size_t count)
{
    double limit = fmax(OUTLIER_TIMES * median_error(views, count), OUTLIER_PX);
    struct sl_chessboard_view *worst = NULL;
    for (size_t i = 0; i < count; i++)
        if (views[i].used && views[i].rms_px > limit &&
            (worst == NULL || views[i].rms_px > worst->rms_px))
            worst = &views[i];
    return worst;
}

static bool folds(const struct sl_camera_calibration *camera)
{
    struct sl_camera_calibration level = *camera;
    struct sl_camera_model model;
    level.height_m = 1;
    level.pitch_rad = level.yaw_rad = level.roll_rad = 0;
    level.forward_m = level.left_m = 0;
    if (sl_camera_model_init(&model, &level, NULL) != 0)
        return true;
    for (int i = 0; i < 4; i++) {
        double u = i & 1 ? level.width_px - 1 : 0, v = i & 2 ? level.height_px - 1 : 0, ray[3];
        sl_camera_ray(&model, u, v, ray);
        double x = ray[1] / ray[0], y = ray[2] / ray[0];
        if (x * x + y * y > 0.95 * model.fold_r2)
            return true;
    }
    return false;
}

static void judge(const struct sl_chessboard *board, const struct sl_chessboard_view *views,
                  size_t count, struct sl_lens *lens)
{
    const double w = lens->camera.width_px, h = lens->camera.height_px;
    for (size_t i = 0; i < count; i++) {
        if (!views[i].used)
            continue;
        lens->used++;
        lens->tilted += sl_lens_tilt_rad(&views[i]) > SL_LENS_TILT_RAD;
        for (int k = 0; k < board->columns * board->rows; k++) {
            double u = views[i].corners[k][0], v = views[i].corners[k][1];
            int x = (int)((u + 0.5) / w * SL_LENS_CELLS_X);
            int y = (int)((v + 0.5) / h * SL_LENS_CELLS_Y);
            if (x >= 0 && y >= 0 && x < SL_LENS_CELLS_X && y < SL_LENS_CELLS_Y)
                lens->cells[y][x]++;
            lens->reach = fmax(lens->reach,
                               hypot(u - 0.5 * (w - 1), v - 0.5 * (h - 1)) / hypot(w / 2, h / 2));
        }
    }
    if (lens->used < SL_LENS_VIEWS)
        lens->doubts |= SL_LENS_FEW_VIEWS;
    if (lens->tilted < 3)
        lens->doubts |= SL_LENS_FRONTAL;
    if (lens->reach < CORNER_REACH)
        lens->doubts |= SL_LENS_MIDDLE;
    if (lens->deviation.fx_px > DEVIATION_MAX * lens->camera.fx_px ||
        lens->deviation.fy_px > DEVIATION_MAX * lens->camera.fy_px)
        lens->doubts |= SL_LENS_UNCERTAIN;
    if (folds(&lens->camera))
        lens->doubts |= SL_LENS_FOLDS;
    if (lens->rms_px > fmax(1e-3 * w, 0.5))
        lens->doubts |= SL_LENS_LARGE_ERROR;
}

int sl_lens_solve(const struct sl_chessboard *board, struct sl_chessboard_view *views, size_t count,
                  const struct sl_camera_calibration *camera, uint32_t width_px, uint32_t height_px,
                  struct sl_lens *lens, struct sl_error *err)
{
    memset(lens, 0, sizeof *lens);
    lens->camera = *camera;
    for (size_t i = 0; i < count; i++)
        views[i].used = true;
    int rc;
    for (;;) {
        rc = sl_chessboard_solve(board, views, count, width_px, height_px, false, &lens->camera,
                                 &lens->deviation, &lens->rms_px, err);
        if (rc != 0)
            return rc;
        /* A third may be left out; if more are bad, it is not they. */
        struct sl_chessboard_view *worst = worst_outlier(views, count);
        if (worst == NULL || 3 * (lens->outliers + 1) > count)
            break;
        worst->used = false;
        lens->outliers++;
    }
    struct sl_camera_calibration fuller = lens->camera;
    struct sl_lens_deviation deviation;
    double rms_px;
    rc = sl_chessboard_solve(board, views, count, width_px, height_px, true, &fuller, &deviation,
                             &rms_px, NULL);
    lens->with_k3 = rc == 0 && rms_px < K3_GAIN * lens->rms_px && !folds(&fuller);
    if (lens->with_k3) {
        lens->camera = fuller;
        lens->deviation = deviation;
        lens->rms_px = rms_px;
    } else { /* the views' fitted points are to be those of the lens that is kept */
        rc = sl_chessboard_solve(board, views, count, width_px, height_px, false, &lens->camera,
                                 &lens->deviation, &lens->rms_px, err);
        if (rc != 0)
            return rc;
    }
    judge(board, views, count, lens);
    return 0;
}

const char *sl_lens_doubt_text(uint32_t doubt)
{
    switch (doubt) {
    case SL_LENS_FEW_VIEWS:
        return "few pictures show the board: take 15";
    case SL_LENS_FRONTAL:
        return "the board faces the camera in nearly all pictures, from which the focal length "
               "cannot be told: tilt it, by some 30 degrees, to all sides";
    case SL_LENS_MIDDLE:
        return "the board was never near the picture's corners, where the lens bends most: take "
               "some pictures with it there";
    case SL_LENS_UNCERTAIN:
        return "the focal length is known to no better than 1 %: take more pictures, closer, and "
               "tilted to different sides";
    case SL_LENS_FOLDS:
        return "the distortion found makes no sense in the picture's corners: take pictures with "
               "the board there";
    case SL_LENS_LARGE_ERROR:
        return "the corners lie far from where the lens puts them: is the board flat, are the "
               "pictures sharp, did the camera's focus or zoom stay as it was?";
    default:
        return "unknown doubt";
    }
}
