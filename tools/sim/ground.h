/* The ground as a picture from above: asphalt, verge, terrain and shadows, in
 * texels of a 32nd of a lane width and coarser, and two fine patterns that
 * repeat: the grain of the surface and the wear of the paint. Markings are
 * not in it: they are drawn as outlines, sharp at any distance (paint.h).
 *
 * Brightness is held as grey levels of a picture taken in full light (gamma
 * 2.2), so that 8 bits suffice. */
#ifndef SL_TOOLS_SIM_GROUND_H
#define SL_TOOLS_SIM_GROUND_H

#include <stdint.h>

#include "rt/error.h"
#include "tools/sim/light.h"
#include "tools/sim/track.h"

#define SL_GROUND_LEVELS      9
#define SL_GROUND_FINE_LOG2   10 /* the fine patterns are 1024 texels wide and high */
#define SL_GROUND_FINE_LEVELS 7

/* A texel, in bits from the lowest: luma 8, share of full light 8 (as the
 * factor on grey levels; 255 is no shadow), material 8 (255 road, 0 terrain),
 * tint 8 (128 neutral; a road has no tint: under rain it is the share of its
 * surface that water covers, 255 all of it). */
#define SL_GROUND_TEXEL(luma, shade, material, tint)                                               \
    ((uint32_t)(luma) | (uint32_t)(shade) << 8 | (uint32_t)(material) << 16 |                      \
     (uint32_t)(tint) << 24)

struct sl_ground {
    double texel_m;              /* of level 0; a fine texel is a 32nd of it */
    double origin_m[2];          /* world coordinates of the first texel's corner */
    int width_log2, height_log2; /* of level 0; each level halves them; wraps around */
    uint32_t *levels[SL_GROUND_LEVELS];
    int8_t *grain[SL_GROUND_FINE_LEVELS]; /* mean 0 */
    uint8_t *wear[SL_GROUND_FINE_LEVELS]; /* paint left: 255 all of it, 0 none */
    void *memory;
};

struct sl_ground_config {
    const struct sl_track *track;
    uint64_t seed;
    enum sl_sim_light light;
    double wear;            /* of the paint, 0..1 */
    double sun_azimuth_rad; /* where the sun stands, in the world */
    double sun_elevation_rad;
};

/* Draws it all. Below a second and below 120 MB for a track of a kilometre.
 * 0 or -ENOMEM. */
int sl_ground_make(struct sl_ground *ground, const struct sl_ground_config *config,
                   struct sl_error *err);
void sl_ground_free(struct sl_ground *ground);

#endif
