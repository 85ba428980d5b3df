/* The lights under which the simulator draws. */
#ifndef SL_TOOLS_SIM_LIGHT_H
#define SL_TOOLS_SIM_LIGHT_H

#include "rt/error.h"

enum sl_sim_light {
    SL_SIM_DAY = 0, /* high sun, hard shadows */
    SL_SIM_DUSK,    /* no sun: low contrast, warm, long exposure, more noise */
    SL_SIM_NIGHT,   /* headlights alone */
    SL_SIM_GLARE,   /* low sun, ahead on part of the track, mirrored by the road */
    SL_SIM_RAIN,    /* overcast: no shadows; a dark, wet road that mirrors the sky */
    SL_SIM_LIGHT_COUNT
};

#define SL_SIM_LIGHTS "day|dusk|night|glare|rain" /* for --help */

/* "day" and so on. Never NULL. */
const char *sl_sim_light_name(enum sl_sim_light light);

/* 0, or -EINVAL with the possible words in `err`. */
int sl_sim_light_parse(const char *word, enum sl_sim_light *light, struct sl_error *err);

#endif
