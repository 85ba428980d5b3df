/* The emergency-stop input: a thread that sleeps until the line's level changes, and
 * looks at it every 20 ms whatever was told. Pressed means stop; so does a line that
 * cannot be read any more. Private to app/drive. */
#ifndef SL_APP_DRIVE_ESTOP_H
#define SL_APP_DRIVE_ESTOP_H

#include <stdbool.h>
#include <stdint.h>

#include "app/config/settings.h"
#include "rt/error.h"
#include "rt/log.h"

struct sl_estop; /* opaque */

/* Takes the line that gpio.estop_line names and reads it once. *estop is NULL, with 0,
 * if none is named. 0, or what sl_gpio_open() says. `log` may be NULL. */
int sl_estop_open(struct sl_estop **estop, const struct sl_settings *settings, struct sl_log *log,
                  struct sl_error *err);

/* Starts the thread, SCHED_FIFO at `priority` (0: ordinary). 0 or as of
 * sl_thread_start(). */
int sl_estop_start(struct sl_estop *estop, int priority, struct sl_error *err);

/* True if it is pressed, or was since the call before. For one thread, which may be a
 * real-time one: does not wait. `presses_seen` is that thread's own, 0 at first. */
bool sl_estop_pressed(struct sl_estop *estop, uint64_t *presses_seen);

/* True while it is pressed. Any thread. NULL is none: false. */
bool sl_estop_is_pressed(struct sl_estop *estop);

/* Ends the thread and gives the line back. NULL is allowed. */
void sl_estop_close(struct sl_estop *estop);

#endif
