/* Tells others that the vehicle is alive, for as long as it is: feeds the hardware
 * watchdog and the service manager's only while every real-time loop turns, says to
 * the service manager what the vehicle does, and blinks the status light. A thread of
 * ordinary priority. Private to app/drive. */
#ifndef SL_APP_DRIVE_KEEPER_H
#define SL_APP_DRIVE_KEEPER_H

#include <stdbool.h>
#include <stdint.h>

#include "rt/error.h"

struct sl_drive;
struct sl_keeper; /* opaque */

/* Whether the status light is lit at this time: out and in once a second while the
 * vehicle waits (disarmed, armed, paused), lit while it drives, out and in five times a
 * second in a safe stop and whatever else `mode` is. */
bool sl_keeper_light(uint32_t mode, uint64_t now_ns);

/* Takes the light, the service manager's socket and, last, the hardware watchdog, which
 * is armed from then on. The vehicle must have all its nodes. *keeper is NULL, with 0,
 * if nothing of it is there. 0, or what the devices say. */
int sl_keeper_open(struct sl_keeper **keeper, struct sl_drive *drive, struct sl_error *err);

/* Starts the thread, after those that it watches. 0 or as of sl_thread_start(). */
int sl_keeper_start(struct sl_keeper *keeper, struct sl_error *err);

/* Tells the service manager that the vehicle is about to end. NULL is allowed. */
void sl_keeper_stopping(struct sl_keeper *keeper);

/* Ends the thread, puts out the light, and disarms the hardware watchdog: this is an
 * orderly end, with the outputs neutral. NULL is allowed. */
void sl_keeper_close(struct sl_keeper *keeper);

#endif
