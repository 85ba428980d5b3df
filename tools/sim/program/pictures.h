/* Pictures of the simulated road as files. Private to the simulator's program. */
#ifndef SL_TOOLS_SIM_PROGRAM_PICTURES_H
#define SL_TOOLS_SIM_PROGRAM_PICTURES_H

#include <stdint.h>

#include "rt/error.h"
#include "tools/sim/program/host.h"

/* Drives an ideal vehicle once around in the middle of the lane and writes
 * `count` pictures at equal distances into `folder` (made if missing) as
 * 0000.jpg and so on, with truth.jsonl beside them: one line a picture with
 * raw_file, lateral_offset_m, heading_error_rad, curvature_1pm. 0 or what
 * failed. */
int sl_pictures_write(const char *folder, uint32_t count, const struct sl_host_config *config,
                      struct sl_error *err);

#endif
