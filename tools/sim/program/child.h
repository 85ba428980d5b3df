/* The vehicle beside the simulator: skylane-run as a process of its own. */
#ifndef SL_TOOLS_SIM_PROGRAM_CHILD_H
#define SL_TOOLS_SIM_PROGRAM_CHILD_H

#include <stdbool.h>
#include <sys/types.h>

#include "rt/error.h"

struct sl_child {
    pid_t pid;     /* 0: none */
    int report_fd; /* where its report arrives */
    char path[4096];
};

/* Starts skylane-run from this program's own folder with these arguments
 * (ended by NULL; the program's name and --json are added). The child dies
 * with its parent, whatever kills that, and gets no Ctrl-C from the terminal.
 * 0 or a negative errno. */
int sl_child_start(struct sl_child *child, const char *const *arguments, struct sl_error *err);

/* False once it has ended; then `why` says how, in words. */
bool sl_child_running(struct sl_child *child, struct sl_error *why);

/* Asks it to end, waits 5 s, then kills it. Returns its report (the caller
 * frees it), or NULL with the reason. */
char *sl_child_stop(struct sl_child *child, struct sl_error *err);

#endif
