/* What stands above the horizon: a strip all around, with sky, clouds, hills
 * and trees far away; or the walls of a hall. */
#ifndef SL_TOOLS_SIM_SKY_H
#define SL_TOOLS_SIM_SKY_H

#include <stdbool.h>
#include <stdint.h>

#include "rt/error.h"
#include "tools/sim/light.h"

#define SL_SKY_WIDTH_LOG2     12
#define SL_SKY_HEIGHT         640
#define SL_SKY_BELOW          64                /* texels below the horizon */
#define SL_SKY_TEXELS_PER_RAD 651.8986469044033 /* 4096 around */

struct sl_sky {
    /* Texels: grey level 8 bits, then Cb and Cr per 128 of luma, signed. */
    uint32_t *texels;
};

/* 0 or -ENOMEM. 10 MB. */
int sl_sky_make(struct sl_sky *sky, enum sl_sim_light light, bool indoor, uint64_t seed,
                struct sl_error *err);
void sl_sky_free(struct sl_sky *sky);

/* The texel at an azimuth (any, positive left) and an elevation. */
static inline uint32_t sl_sky_texel(const struct sl_sky *sky, int azimuth, int elevation)
{
    int row = elevation + SL_SKY_BELOW;
    row = row < 0 ? 0 : row < SL_SKY_HEIGHT ? row : SL_SKY_HEIGHT - 1;
    return sky->texels[((uint32_t)row << SL_SKY_WIDTH_LOG2) +
                       ((uint32_t)azimuth & ((1u << SL_SKY_WIDTH_LOG2) - 1))];
}

#endif
