/* A chessboard to print, as SVG on A4. */
#ifndef SL_APP_CALIBRATE_BOARD_SVG_H
#define SL_APP_CALIBRATE_BOARD_SVG_H

#include <stdio.h>

#include "app/calibrate/chessboard.h"
#include "rt/error.h"

/* The largest square, in mm, with which the board fits A4 with a white margin. */
double sl_board_square_max_mm(const struct sl_chessboard *board);

/* Writes the board to scale, on A4 lying, with a ruler of 100 mm and a line that
 * says what to measure. 0; -ERANGE (it does not fit: the largest square that does
 * is told); -EIO (`to`). */
int sl_board_svg(const struct sl_chessboard *board, FILE *to, struct sl_error *err);

#endif
