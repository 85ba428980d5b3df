/* What the simulator tells at its end. Private to its program. */
#ifndef SL_TOOLS_SIM_PROGRAM_REPORT_H
#define SL_TOOLS_SIM_PROGRAM_REPORT_H

#include <cjson/cJSON.h>

#include "rt/error.h"
#include "tools/sim/program/bridge.h"
#include "tools/sim/program/host.h"
#include "tools/sim/program/options.h"
#include "tools/sim/program/stages.h"

/* What follows detection where it happens elsewhere; NULL where not. */
struct sim_detection {
    struct sl_bridge *bridge;
    struct sl_stages *stages;
};

/* The vehicle's own report (NULL: there was no vehicle), completed with what
 * only the world knows. In lockstep, whatever depends on the wall clock is left
 * out, so that two runs of one seed agree to the byte. The caller deletes it;
 * NULL with the reason if the vehicle's is no JSON. */
cJSON *sim_report_make(const struct sim_options *o, const char *vehicle_text,
                       const struct sl_host_status *status, const struct sim_detection *detection,
                       struct sl_error *err);

/* As JSON to `path` (- : standard output). 0, or what failed. */
int sim_report_write(cJSON *report, const char *path, struct sl_error *err);

/* For people, on standard output. */
void sim_report_print(const struct sim_options *o, const cJSON *report,
                      const struct sl_host_status *status, const struct sim_detection *detection);

#endif
