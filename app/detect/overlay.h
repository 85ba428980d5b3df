/* Draws a found lane onto a picture, for people. Pure; BGR24 only. What other
 * drawings share with it (app/calibrate/draw.h) is here, too. */
#ifndef SL_APP_DETECT_OVERLAY_H
#define SL_APP_DETECT_OVERLAY_H

#include <stddef.h>
#include <stdint.h>

#include "rt/records.h"

/* A picture of 3 bytes a pixel: blue, green, red. */
struct sl_canvas {
    uint8_t *bgr;
    uint32_t width_px, height_px;
    size_t stride_bytes;
};

struct sl_colour {
    float b, g, r; /* 0 to 255 */
};

/* Boundaries: left orange, right blue; green lies on the ground, red is wrong
 * or needs a look. */
extern const struct sl_colour sl_colour_orange, sl_colour_blue, sl_colour_green, sl_colour_red;

/* Mixes `alpha` (0 to 1) of a colour into one pixel. Outside of the canvas, and
 * for an alpha that is no number, nothing happens. */
void sl_canvas_blend(const struct sl_canvas *canvas, int x, int y, struct sl_colour colour,
                     float alpha);

/* Draws the lane between the boundaries' points_px as a translucent surface,
 * the boundaries as smooth lines (left orange, right blue; dashed where they
 * are inferred, not seen), and at the bottom two bars: confidence, and the
 * vehicle's place in the lane. Points refer to frame_width_px and
 * frame_height_px and are scaled to the canvas. A lost lane draws a red frame
 * and no lane. Any numbers in `detection` are safe. */
void sl_overlay_draw(const struct sl_canvas *canvas, const struct sl_detection *detection);

#endif
