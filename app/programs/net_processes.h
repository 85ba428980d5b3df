/* Looks at the vehicle's processes and buses once a second, from a thread of
 * its own: who takes part is told by the buses, what it costs by /proc. */
#ifndef SL_PROGRAMS_NET_PROCESSES_H
#define SL_PROGRAMS_NET_PROCESSES_H

#include "app/config/settings.h"
#include "net/figures.h"
#include "rt/error.h"

struct net_processes; /* opaque */

/* The settings (bus names) outlive it. Starts the thread. How often this very
 * program was restarted is read from SKYLANE_NET_RESTARTS of the environment.
 * 0; -ENOMEM, -EAGAIN with a sentence. */
int net_processes_open(struct net_processes **processes, const struct sl_settings *settings,
                       struct sl_error *err);

/* Blocks until the look under way is over: 200 ms for each bus whose writer is
 * stopped. NULL is allowed. */
void net_processes_close(struct net_processes *processes);

/* Has it look at once. Does not wait. */
void net_processes_look(struct net_processes *processes);

/* Writes what the last look saw: processes, buses, restarts, crashes, and the
 * picture's age on the vehicle. */
void net_processes_put(struct net_processes *processes, struct sl_figures *to);

#endif
