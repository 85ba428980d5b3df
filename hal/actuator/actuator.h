/* Actuators behind one table: what turns a command into motion.
 *
 * A driver keeps the last command's lease: when expires_ns passes without a
 * fresh command, its outputs go to neutral. One thread at a time. */
#ifndef SL_HAL_ACTUATOR_ACTUATOR_H
#define SL_HAL_ACTUATOR_ACTUATOR_H

#include <stddef.h>
#include <stdint.h>

#include "rt/error.h"
#include "rt/records.h"

struct sl_actuator_config {
    const char *driver;         /* "bus", "null" */
    const char *target;         /* bus: its name; null: ignored */
    double steering_max_rad;    /* commands beyond are clamped */
    double speed_max_mps;
};

struct sl_actuator;

struct sl_actuator_driver {
    const char *name;
    const char *help;
    size_t state_bytes;
    int (*open)(void *state, const struct sl_actuator_config *config, struct sl_error *err);
    int (*send)(void *state, const struct sl_command *command);
    int (*neutral)(void *state, uint64_t now_ns);
    void (*close)(void *state);
};

extern const struct sl_actuator_driver *const sl_actuator_drivers[];

/* 0; -ENODEV (no such driver: `err` lists them); -EINVAL; what the driver's
 * device says, with a sentence. Outputs are neutral after opening. */
int sl_actuator_open(struct sl_actuator **actuator, const struct sl_actuator_config *config,
                     struct sl_error *err);

/* Sends one command, clamped. Blocks < 100 us (bus, null). 0; -EINVAL (a
 * number is not finite or the speed is negative: nothing was sent and the
 * outputs went neutral); -ETIME (it had expired by `now_ns`: the outputs went
 * neutral); -EIO (the device failed). */
int sl_actuator_send(struct sl_actuator *actuator, const struct sl_command *command,
                     uint64_t now_ns);

/* The last command that went out, for contract tests and displays. */
const struct sl_command *sl_actuator_last(const struct sl_actuator *actuator);

/* Steering straight, speed 0, now. 0 or -EIO. */
int sl_actuator_neutral(struct sl_actuator *actuator, uint64_t now_ns);
void sl_actuator_close(struct sl_actuator *actuator); /* neutral first; NULL is allowed */

#endif
