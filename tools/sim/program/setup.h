/* From options and settings files to a world. Private to the simulator's
 * program. */
#ifndef SL_TOOLS_SIM_PROGRAM_SETUP_H
#define SL_TOOLS_SIM_PROGRAM_SETUP_H

#include <stddef.h>

#include "rt/error.h"
#include "tools/sim/program/host.h"
#include "tools/sim/program/options.h"

/* Finds the track, reads the settings (its own, where none were given: they are
 * noted in `o`, for the programs beside the simulator) and describes the world.
 * `config` refers to `settings` and to memory of this module. 0, or what is
 * wrong with which file or option. */
int sim_setup(struct sim_options *o, struct sl_settings *settings, struct sl_host_config *config,
              struct sl_error *err);

/* "city, lab, ...": the tracks that are installed. */
void sim_track_names(char *text, size_t size);

#endif
