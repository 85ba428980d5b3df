/* A frame's rows in other colours. Frames' colours are JPEG's: BT.601, full
 * range. `out` has room for the row. Any format but MJPEG. */
#ifndef SL_TOOLS_BUS_ROWS_H
#define SL_TOOLS_BUS_ROWS_H

#include <stdint.h>

#include "rt/frame.h"

/* One byte a pixel. */
void bus_row_luma(const struct sl_frame_info *info, const void *pixels, uint32_t y, uint8_t *out);

/* Three bytes a pixel: red, green, blue. */
void bus_row_rgb(const struct sl_frame_info *info, const void *pixels, uint32_t y, uint8_t *out);

#endif
