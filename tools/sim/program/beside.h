/* The programs beside the simulator: the vehicle (skylane run), what broadcasts
 * it (skylane net), and its page (skylane view). Main thread. Private to the
 * simulator's program. */
#ifndef SL_TOOLS_SIM_PROGRAM_BESIDE_H
#define SL_TOOLS_SIM_PROGRAM_BESIDE_H

#include "app/config/settings.h"
#include "rt/child.h"
#include "rt/error.h"
#include "tools/sim/program/options.h"

struct sim_beside {
    struct sl_child *vehicle, *net, *page; /* NULL: not started */
    int report_fd;                         /* where the vehicle's report arrives; -1: none */
};

/* Starts the vehicle with the simulator's settings. It broadcasts itself if that
 * was asked for, but not in lockstep. 0, or why it cannot be started. */
int sim_beside_start_vehicle(struct sim_beside *b, const struct sim_options *o,
                             struct sl_error *err);

/* Starts what `o` wants to be watched with: the broadcast where no vehicle does
 * it, and the page. What is missing is said on the console, and the simulator
 * goes on without. */
void sim_beside_start_watching(struct sim_beside *b, const struct sim_options *o,
                               const struct sl_settings *settings);

/* Passes on what they say, starts those that are for watching again. 0, or
 * -ECHILD if the vehicle has ended, and how. Does not block. */
int sim_beside_poll(struct sim_beside *b, struct sl_error *err);

/* Asks the vehicle to end, for up to 5 s, and then kills it. Returns its report
 * (the caller frees it), or NULL with the reason. */
char *sim_beside_stop_vehicle(struct sim_beside *b, struct sl_error *err);

/* Ends all that still runs, within 4 s. */
void sim_beside_close(struct sim_beside *b);

#endif
