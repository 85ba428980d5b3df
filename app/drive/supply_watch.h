/* Looks at the power supply once a second, in a thread of ordinary priority, and has
 * a verdict for the control thread. Private to app/drive. */
#ifndef SL_APP_DRIVE_SUPPLY_WATCH_H
#define SL_APP_DRIVE_SUPPLY_WATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "app/config/settings.h"
#include "hal/actuator/actuator.h"
#include "rt/error.h"
#include "rt/log.h"

struct sl_supply_watch; /* opaque */

/* What the supply allows at present. */
struct sl_supply_verdict {
    uint64_t at_ns;
    double scale;     /* 0..1 of the speed */
    double voltage_v; /* NAN: not known */
    bool empty, low, throttled, under_voltage;
};

/* Reads what [power] names once; blocks until the outputs have told a voltage, at most
 * 1 s, if it is to come from there. *watch is NULL, with 0, if nothing is named. 0, or
 * what reading says. `actuator` is needed for SL_VOLTAGE_OF_OUTPUTS only, and outlives the
 * watch then. `log` may be NULL. */
int sl_supply_watch_open(struct sl_supply_watch **watch, const struct sl_settings *settings,
                         struct sl_actuator *actuator, struct sl_log *log, struct sl_error *err);

int sl_supply_watch_start(struct sl_supply_watch *watch, struct sl_error *err);

/* The newest verdict, at `now_ns`: one that was not renewed for 5 s (a sensor hangs)
 * slows like an unknown voltage. For any thread, a real-time one too: does not wait.
 * False if it is being written at this moment: `verdict` is unchanged. */
bool sl_supply_watch_read(struct sl_supply_watch *watch, uint64_t now_ns,
                          struct sl_supply_verdict *verdict);

/* Ends the thread, which may take as long as a sensor. NULL is allowed. */
void sl_supply_watch_close(struct sl_supply_watch *watch);

#endif
