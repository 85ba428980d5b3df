/* Outlines into coverage: how much of each pixel a painted area takes.
 *
 * Exact areas, not samples, after the signed-area accumulation of R. Levien's
 * font-rs: each edge adds, in the rows that it crosses, the change of coverage
 * from left to right; a running sum then gives every pixel's share. Areas that
 * share an edge add up to exactly one, so strips can be drawn in pieces. */
#ifndef SL_TOOLS_SIM_RASTER_H
#define SL_TOOLS_SIM_RASTER_H

#include <stddef.h>
#include <stdint.h>

enum sl_coat { SL_COAT_WHITE = 0, SL_COAT_YELLOW, SL_COAT_DARK, SL_COATS };

#define SL_RASTER_FULL       4096 /* coverage of a whole pixel */
#define SL_RASTER_BLOCK_LOG2 4    /* flags are kept for this many pixels of a row */

struct sl_raster {
    uint32_t width_px, height_px, block_columns;
    float *sums;               /* zero between polygons */
    int32_t *first, *last;     /* of each row: the polygon's columns */
    uint16_t *cover[SL_COATS]; /* width * height each; may exceed FULL where areas overlap */
    uint8_t *flags;            /* a bit for each coat that touches the block */
};

/* 0 or -ENOMEM. Everything is clear. */
int sl_raster_make(struct sl_raster *r, uint32_t width_px, uint32_t height_px);
void sl_raster_free(struct sl_raster *r);

/* Adds a polygon's coverage, `weight` (0..1) for a whole pixel, to one coat.
 * Vertices are image x, y with pixel centres at whole numbers, in either
 * sense of rotation, inside or outside of the picture, but finite. The cost
 * grows with the rows crossed and the pixels covered. */
void sl_raster_polygon(struct sl_raster *r, enum sl_coat coat, float weight,
                       const float (*vertices)[2], size_t count);

#endif
