#include "tools/sim/light.h"

#include <errno.h>
#include <string.h>

static const char *const names[SL_SIM_LIGHT_COUNT] = {"day", "dusk", "night", "glare", "rain"};

const char *sl_sim_light_name(enum sl_sim_light light)
{
    return (unsigned)light < SL_SIM_LIGHT_COUNT ? names[light] : "unknown";
}

int sl_sim_light_parse(const char *word, enum sl_sim_light *light, struct sl_error *err)
{
    for (int i = 0; i < SL_SIM_LIGHT_COUNT; i++) {
        if (strcmp(word, names[i]) == 0) {
            *light = (enum sl_sim_light)i;
            return 0;
        }
    }
    return sl_error_set(err, -EINVAL, "light \"%s\" is unknown; it must be one of " SL_SIM_LIGHTS,
                        word);
}
