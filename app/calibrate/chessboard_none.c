/* chessboard.h in a build without OpenCV. */
#include <errno.h>

#include "app/calibrate/chessboard.h"

static int lacking(struct sl_error *err)
{
    return sl_error_set(err, -ENOTSUP,
                        "this build has no OpenCV, which finds chessboards: install "
                        "libopencv-calib3d-dev and libopencv-imgproc-dev and build again, or give "
                        "the lens with --intrinsics or --fov-deg");
}

bool sl_chessboard_available(void)
{
    return false;
}

int sl_chessboard_find(const struct sl_chessboard *board, const struct sl_luma *picture,
                       float (*corners)[2], struct sl_error *err)
{
    (void)board;
    (void)picture;
    (void)corners;
    return lacking(err);
}

int sl_chessboard_solve(const struct sl_chessboard *board, struct sl_chessboard_view *views,
                        size_t count, uint32_t width_px, uint32_t height_px, bool with_k3,
                        struct sl_camera_calibration *camera, struct sl_lens_deviation *deviation,
                        double *rms_px, struct sl_error *err)
{
    (void)board;
    (void)views;
    (void)count;
    (void)width_px;
    (void)height_px;
    (void)with_k3;
    (void)camera;
    (void)deviation;
    (void)rms_px;
    return lacking(err);
}
