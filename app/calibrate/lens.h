/* A lens from views of a chessboard: which views are used, and whether they are
 * enough to trust what comes out. */
#ifndef SL_APP_CALIBRATE_LENS_H
#define SL_APP_CALIBRATE_LENS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "app/calibrate/chessboard.h"

#define SL_LENS_CELLS_X  8 /* the picture in cells, to see which parts showed the board */
#define SL_LENS_CELLS_Y  6
#define SL_LENS_VIEWS    10   /* used ones from which a lens is well founded */
#define SL_LENS_TILT_RAD 0.26 /* a view tilted by more counts as tilted: 15 degrees */

/* What is doubtful about a lens. */
enum sl_lens_doubt {
    SL_LENS_FEW_VIEWS = 1u << 0,  /* fewer than SL_LENS_VIEWS */
    SL_LENS_FRONTAL = 1u << 1,    /* fewer than 3 tilted views: focal length and distance trade */
    SL_LENS_MIDDLE = 1u << 2,     /* nothing near the picture's corners: distortion is a guess */
    SL_LENS_UNCERTAIN = 1u << 3,  /* a focal length's deviation is above 1 % of it */
    SL_LENS_FOLDS = 1u << 4,      /* the distortion folds back before the picture's corners */
    SL_LENS_LARGE_ERROR = 1u << 5 /* root mean square error above 1 px at 1000 px of width */
};

struct sl_lens {
    struct sl_camera_calibration camera; /* lens and size; pose as before */
    struct sl_lens_deviation deviation;
    double rms_px;
    uint32_t used, outliers, tilted;
    double reach; /* farthest corner from the middle, as a share of the half diagonal */
    uint32_t cells[SL_LENS_CELLS_Y][SL_LENS_CELLS_X]; /* corners seen there */
    uint32_t doubts;                                  /* enum sl_lens_doubt */
    bool with_k3; /* k3 was solved for, since that lowered the error by a tenth */
};

/* Solves, leaves out views whose error is more than three times the median and
 * above half a pixel (`used` becomes false), solves again, and judges. All
 * views begin as used. `camera` gives the pose that the result keeps. As
 * sl_chessboard_solve(). */
int sl_lens_solve(const struct sl_chessboard *board, struct sl_chessboard_view *views, size_t count,
                  const struct sl_camera_calibration *camera, uint32_t width_px, uint32_t height_px,
                  struct sl_lens *lens, struct sl_error *err);

/* A doubt (one bit) as a sentence with its remedy. Never NULL. */
const char *sl_lens_doubt_text(uint32_t doubt);

/* The angle between the board and the picture plane in a solved view, rad. */
double sl_lens_tilt_rad(const struct sl_chessboard_view *view);

#endif
