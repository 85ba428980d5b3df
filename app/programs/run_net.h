/* The network process beside the vehicle. */
#ifndef SL_APP_PROGRAMS_RUN_NET_H
#define SL_APP_PROGRAMS_RUN_NET_H

#include <stdbool.h>

#include "app/config/options.h"
#include "rt/child.h"
#include "rt/log.h"

#define RUN_NET_PATIENCE_NS (2 * UINT64_C(1000000000)) /* to end in, when asked */

/* Starts skylane-net with the options that this program got, if the settings
 * want it and this drive is one to be watched: in real time, and not of
 * pictures from files. What it says, and how it ends, is logged. NULL if none
 * is wanted or it cannot be started, which is logged, too: the vehicle drives
 * without. `insecure`: how often --insecure was said. Main thread. */
struct sl_child *run_net_start(const struct sl_settings *settings,
                               const struct sl_settings_options *options, bool lockstep,
                               int insecure, struct sl_log *log);

#endif
