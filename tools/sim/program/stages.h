/* Where the time between a frame's exposure and its command went, stage by
 * stage, as the records on the buses tell it; and whether lanes come at all. */
#ifndef SL_TOOLS_SIM_PROGRAM_STAGES_H
#define SL_TOOLS_SIM_PROGRAM_STAGES_H

#include <stdbool.h>
#include <stdio.h>

#include <cjson/cJSON.h>

#include "app/config/settings.h"
#include "rt/error.h"
#include "tools/sim/program/bridge.h"

struct sl_stages; /* opaque */

/* Reads bus.detection and bus.command from now on. In lockstep most stamps are
 * virtual time: only durations that one process measured are counted. 0;
 * -ENOMEM, -EMFILE. */
int sl_stages_open(struct sl_stages **stages, const struct sl_settings *settings, bool lockstep,
                   struct sl_error *err);
void sl_stages_close(struct sl_stages *stages); /* NULL is allowed */

/* Takes what came since the last call; some twenty times a second at least, or
 * records are missed. Does not wait. */
void sl_stages_poll(struct sl_stages *stages);

/* True if there is something that the user should know since the last call:
 * nobody publishes lanes, or somebody does now. */
bool sl_stages_news(struct sl_stages *stages, struct sl_error *news);

/* The table; `bridge` is NULL where detection was not remote. */
void sl_stages_print(const struct sl_stages *stages, const struct sl_bridge_times *bridge,
                     FILE *to);

/* The same as an object of stages, each with p50, p99 and max in ms. */
cJSON *sl_stages_json(const struct sl_stages *stages, const struct sl_bridge_times *bridge);

#endif
