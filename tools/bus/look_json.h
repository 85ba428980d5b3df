/* Buses as JSON. */
#ifndef SL_TOOLS_BUS_LOOK_JSON_H
#define SL_TOOLS_BUS_LOOK_JSON_H

#include <cjson/cJSON.h>

#include "tools/bus/look.h"

/* {"buses": [...]}; the caller deletes it. NULL: no memory. */
cJSON *bus_looks_json(const struct bus_looks *looks);

#endif
