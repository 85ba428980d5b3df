/* Draws what a calibration found, for people. Pure; BGR24 only; any numbers
 * are safe. */
#ifndef SL_APP_CALIBRATE_DRAW_H
#define SL_APP_CALIBRATE_DRAW_H

#include "app/calibrate/chessboard.h"
#include "app/calibrate/drive.h"
#include "app/detect/camera_model.h"
#include "app/detect/overlay.h"

/* How many times longer than it is a corner's error is drawn. */
#define SL_DRAW_RESIDUAL_TIMES 20

/* The corners of a view as rings, row by row from red to blue, joined in their
 * order, and from each a white line, SL_DRAW_RESIDUAL_TIMES as long as the way to
 * where the lens puts it. A view that was left out gets a red frame. */
void sl_draw_view(const struct sl_canvas *canvas, const struct sl_chessboard *board,
                  const struct sl_chessboard_view *view);

/* The horizon (yellow) with the vanishing point, a grid of squares of `grid_m`
 * on the ground (green, to ten lane widths ahead), and, where `frame` is
 * straight, its lane's edges (left orange, right blue), which are to lie on
 * the paint. `frame` may be NULL; points_roll_rad is the roll of the lens that
 * its points were found with. Another size than the camera's is scaled to. */
void sl_draw_drive(const struct sl_canvas *canvas, const struct sl_camera_calibration *camera,
                   double lane_width_m, double grid_m, const struct sl_drive_frame *frame,
                   double points_roll_rad);

#endif
