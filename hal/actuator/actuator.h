/* Actuators behind one table: what turns a command into motion.
 *
 * Neutral is steering straight and speed 0. Outputs are neutral after opening
 * and before closing, and whenever a command is refused.
 *
 * Every command is a lease that ends at its expires_ns. Who ends it depends on
 * what lies behind the driver. A receiver with a clock of its own (whoever
 * reads the bus of the `bus` driver) must obey expires_ns itself; this covers
 * a control process that died or hangs. Beside that the control loop calls
 * sl_actuator_poll() at each tick, which sends neutral once when the lease has
 * ended; this covers a loop that runs but has nothing new to say. A driver of
 * hardware that would hold its last output by itself (a PWM chip) has neither,
 * if the loop hangs, and must guard the lease with a thread or timer of its
 * own.
 *
 * Steering is in radians, positive to the left. One thread at a time. Nothing
 * but opening and closing allocates. */
#ifndef SL_HAL_ACTUATOR_ACTUATOR_H
#define SL_HAL_ACTUATOR_ACTUATOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rt/error.h"
#include "rt/records.h"

/* The texts are copied while opening. */
struct sl_actuator_config {
    const char *driver;      /* "bus", "null" */
    const char *target;      /* bus: its name, vehicle_command if NULL or empty; null: ignored */
    double steering_max_rad; /* commands beyond are clamped; finite, above 0 */
    double speed_max_mps;    /* the same */
    uint32_t bus_access;     /* bus: who may read it, enum sl_bus_access */
    const char *bus_group;   /* bus: the group's name for SL_BUS_ACCESS_GROUP, or NULL */
};

struct sl_actuator;

/* A driver. Every entry is filled. The wrapper calls them with commands that
 * are checked, clamped and numbered. */
struct sl_actuator_driver {
    const char *name;
    const char *help;   /* one line: what it is, what `target` means */
    size_t state_bytes; /* of the driver's own struct, zeroed before open */
    int (*open)(void *state, const struct sl_actuator_config *config, struct sl_error *err);
    /* Both: 0 or -EIO, in bounded time. `neutral` is a command of its own
     * number that asks for speed 0 and steering 0 and does not expire, for
     * drivers that pass records on; others do what makes them safe. */
    int (*send)(void *state, const struct sl_command *command);
    int (*neutral)(void *state, const struct sl_command *command);
    void (*close)(void *state); /* from any half-open state; open failed included */
};

/* All drivers of this build, ended by NULL. */
extern const struct sl_actuator_driver *const sl_actuator_drivers[];

/* 0; -ENODEV (no such driver: `err` lists them); -EINVAL; what the driver's
 * device says, with a sentence. Outputs are neutral after opening. *actuator
 * is NULL after a failure. */
int sl_actuator_open(struct sl_actuator **actuator, const struct sl_actuator_config *config,
                     struct sl_error *err);

/* Sends one command, clamped, and numbered anew: `seq` counts what this
 * actuator sent, neutral commands included, from 1. Blocks < 100 us (bus,
 * null). 0; -EINVAL (steering or speed is not finite, or the speed negative:
 * it was not sent and the outputs went neutral); -ETIME (it had expired by
 * `now_ns`: the outputs went neutral); -EIO (the device failed; neutral was
 * tried, and is tried again by each sl_actuator_poll() until it succeeds). */
int sl_actuator_send(struct sl_actuator *actuator, const struct sl_command *command,
                     uint64_t now_ns);

/* For every tick of the control loop: goes neutral, once, if the last
 * command's lease has ended by `now_ns`, and repeats a neutral that failed.
 * 0 (nothing to do); -ETIME (the lease ended: the outputs went neutral now);
 * -EIO (the device failed). Blocks like sending. */
int sl_actuator_poll(struct sl_actuator *actuator, uint64_t now_ns);

/* The last command that went out, for contract tests and displays. A neutral
 * one has speed and steering 0, frame_id 0 and an expires_ns of UINT64_MAX; its
 * mode is SL_MODE_DISARMED if it was asked for (opening and closing included)
 * and SL_MODE_SAFE_STOP if a refusal, a fault or the end of a lease led to it. */
const struct sl_command *sl_actuator_last(const struct sl_actuator *actuator);

/* True while what went out last is neutral. */
bool sl_actuator_is_neutral(const struct sl_actuator *actuator);

/* Steering straight, speed 0, now. 0 or -EIO (see sl_actuator_poll()). */
int sl_actuator_neutral(struct sl_actuator *actuator, uint64_t now_ns);

void sl_actuator_close(struct sl_actuator *actuator); /* neutral first; NULL is allowed */

#endif
