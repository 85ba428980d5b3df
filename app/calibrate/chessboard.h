/* Chessboards: finding one in a picture, and the lens that saw several.
 *
 * Both are OpenCV's (findChessboardCornersSB: A. Duda, U. Frese, "Accurate
 * Detection and Localization of Checkerboard Corners for Calibration", BMVC
 * 2018; calibrateCamera: Z. Zhang, "A Flexible New Technique for Camera
 * Calibration", PAMI 22(11), 2000, with Brown-Conrady distortion). A build
 * without OpenCV has these functions too, and they answer -ENOTSUP.
 *
 * Not for real-time threads: all of this allocates. One thread at a time. */
#ifndef SL_APP_CALIBRATE_CHESSBOARD_H
#define SL_APP_CALIBRATE_CHESSBOARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "app/calibrate/luma.h"
#include "app/detect/camera_model.h"
#include "rt/error.h"

#define SL_CHESSBOARD_SIDE_MIN    3
#define SL_CHESSBOARD_SIDE_MAX    40
#define SL_CHESSBOARD_CORNERS_MAX (SL_CHESSBOARD_SIDE_MAX * SL_CHESSBOARD_SIDE_MAX)

/* By its inner corners: 9x6 has 10 by 7 squares. */
struct sl_chessboard {
    int columns, rows; /* within SL_CHESSBOARD_SIDE_MIN and _MAX */
    double square_m;   /* side of a square, above 0 */
};

/* A picture in which the board was found. Arrays are the caller's, of
 * columns * rows points, row by row; pixels count from the centre of the top
 * left one. */
struct sl_chessboard_view {
    float (*corners)[2]; /* as found */
    float (*fitted)[2];  /* where the solved lens puts them; filled in */
    double rotation[3];  /* of the board, an axis times an angle, to camera axes; filled in */
    double position[3];  /* of its first corner, metres, x right, y down, z ahead; filled in */
    double rms_px;       /* of found to fitted; filled in */
    bool used;           /* false: solving passes it over, and only fills in the rest */
};

/* Standard deviations of what was solved; 0 for what was held. */
struct sl_lens_deviation {
    double fx_px, fy_px, cx_px, cy_px, k1, k2, p1, p2, k3;
};

/* True if this build can do it. */
bool sl_chessboard_available(void);

/* Finds the board and refines its corners to fractions of a pixel. All of the
 * board has to be in view. Takes some 0.1 s a megapixel. 0; -ENOENT (there is
 * no such board); -ENOTSUP (this build), -ENOMEM, with a sentence. */
int sl_chessboard_find(const struct sl_chessboard *board, const struct sl_luma *picture,
                       float (*corners)[2], struct sl_error *err);

/* Solves for the lens that shows the used views best, in least squares. Writes
 * focal lengths, centre, distortion and size into `camera` and leaves its pose
 * alone; k3 is solved for if `with_k3`, else 0. Some ms to seconds. 0; -EINVAL
 * (fewer than 3 used views), -ERANGE (no lens fits), -ENOTSUP, -ENOMEM, with a
 * sentence. */
int sl_chessboard_solve(const struct sl_chessboard *board, struct sl_chessboard_view *views,
                        size_t count, uint32_t width_px, uint32_t height_px, bool with_k3,
                        struct sl_camera_calibration *camera, struct sl_lens_deviation *deviation,
                        double *rms_px, struct sl_error *err);

#endif
