/* The simulator's terminal: a live line, and keys. */
#ifndef SL_TOOLS_SIM_PROGRAM_CONSOLE_H
#define SL_TOOLS_SIM_PROGRAM_CONSOLE_H

#include <stdbool.h>

#include "rt/records.h"
#include "tools/sim/program/host.h"

/* Prints what the keys do and lets single key presses through. Does nothing
 * where input or output is no terminal. */
void sl_console_open(void);

/* Puts the terminal back as it was, below the live line. */
void sl_console_close(void);

/* The next key pressed, or 0. Never waits. */
int sl_console_key(void);

/* Draws the line anew; `state` is NULL while no vehicle answers. */
void sl_console_line(const struct sl_host_status *status, const struct sl_state *state);

/* From now on sentences go to standard error: standard output is for a report,
 * or for nobody. */
void sl_console_silence(void);

/* A sentence to the user, above the live line. */
void sl_console_say(const char *text);

/* What another program wrote on standard error, likewise and there. */
void sl_console_pass(const char *line);

#endif
