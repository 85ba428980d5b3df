/* Everything drawn on the road with an outline: markings, and the dark traces
 * that look a little like them (seams, cracks, skid marks). */
#ifndef SL_TOOLS_SIM_PAINT_H
#define SL_TOOLS_SIM_PAINT_H

#include <stddef.h>
#include <stdint.h>

#include "rt/error.h"
#include "tools/sim/raster.h"
#include "tools/sim/track.h"

/* A polygon on the ground. */
struct sl_paint_piece {
    enum sl_coat coat;
    float weight;                /* 0..1: how opaque */
    float centre_m[2], radius_m; /* a circle around it, world coordinates */
    uint32_t first, count;       /* of the vertices */
};

struct sl_paint {
    struct sl_paint_piece *pieces;
    size_t piece_count, piece_room;
    double (*vertices)[2]; /* world coordinates */
    size_t vertex_count, vertex_room;
};

#define SL_PAINT_VERTICES_MAX 64 /* of one piece */

/* The paint of a track as new as `wear` (0..1) leaves it. 0 or -ENOMEM. */
int sl_paint_make(struct sl_paint *paint, const struct sl_track *track, double wear, uint64_t seed,
                  struct sl_error *err);
void sl_paint_free(struct sl_paint *paint);

#endif
