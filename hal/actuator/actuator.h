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
 * ended; this covers a loop that runs but has nothing new to say. Hardware that
 * would hold its last output by itself (a PWM chip) has neither, if the loop
 * hangs: there a process of its own holds the device and ends the lease (helper.h).
 *
 * Steering is in radians, positive to the left. One thread at a time, but for
 * sl_actuator_tend() and sl_actuator_status(), which another may call meanwhile.
 * Nothing but opening, tending and closing allocates. */
#ifndef SL_HAL_ACTUATOR_ACTUATOR_H
#define SL_HAL_ACTUATOR_ACTUATOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hal/actuator/pulse.h"
#include "rt/error.h"
#include "rt/log.h"
#include "rt/records.h"

/* A VESC motor controller: output_vesc.c has the formulas. */
struct sl_vesc_config {
    double speed_gain_erpmpmps, speed_offset_erpm; /* the gain is not 0 */
    double servo_gain_1prad, servo_offset;
    double brake_a; /* 0: rolls out */
};

/* Hardware outputs, for "pca9685", "pwm", "serial" and "vesc". Plain data, since
 * it goes to another process. */
struct sl_output_config {
    char device[192]; /* its file; empty: the usual one */
    struct sl_pulse_config pulse;
    uint32_t i2c_address;                        /* pca9685: 7 bits */
    uint32_t steering_channel, throttle_channel; /* pca9685: 0 to 15, two of them */
    double frequency_hz;                         /* pca9685, pwm: 40 to 400 */
    char steering_pwm[32], throttle_pwm[32];     /* pwm: "pwmchip0/1" */
    uint32_t baud;                               /* serial, vesc */
    struct sl_vesc_config vesc;
    double arming_ms; /* throttle stays neutral so long after the device was opened */
    int priority;     /* SCHED_FIFO of the thread that writes; 0: ordinary */
};

/* The texts are copied while opening. */
struct sl_actuator_config {
    const char *driver;      /* a name of sl_actuator_drivers */
    const char *target;      /* bus: its name, vehicle_command if NULL or empty; null: ignored */
    double steering_max_rad; /* commands beyond are clamped; finite, above 0 */
    double speed_max_mps;    /* the same */
    uint32_t bus_access;     /* bus: who may read it, enum sl_bus_access */
    const char *bus_group;   /* bus: the group's name for SL_BUS_ACCESS_GROUP, or NULL */
    const struct sl_output_config *output; /* hardware: not NULL; others ignore it */
    struct sl_log *log; /* hardware: what it tells people; outlives the actuator; may be NULL */
};

/* Hardware outputs, as they are. Counts are since the start of the process that
 * holds them. */
struct sl_actuator_status {
    uint32_t state;      /* enum sl_outputs_state, of rt/records.h */
    int32_t code;        /* FAILED: a negative errno */
    uint64_t beat_ns;    /* the process that holds them was alive then */
    uint64_t restarts;   /* of that process */
    uint64_t writes;     /* that succeeded */
    uint64_t errors;     /* writes and checks that failed */
    uint64_t recovered;  /* of those, made up for by the next try */
    uint64_t reopened;   /* how often the device was set up anew */
    uint64_t lease_ends; /* a command ran out, and the outputs went neutral */
    uint64_t write_max_ns, write_last_ns;
    float steering_us, throttle_us; /* written last */
    uint64_t speed_ns;              /* when the device told its speed */
    float speed_mps;                /* measured by the device; NAN: it does not tell */
    uint32_t battery_mv;            /* 0: it does not tell */
    char problem[256];              /* the newest one, in words; empty: none yet */
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
    /* For sl_actuator_tend() and sl_actuator_status(). */
    void (*tend)(void *state);
    int (*status)(void *state, struct sl_actuator_status *status);
};

/* All drivers of this build, ended by NULL. */
extern const struct sl_actuator_driver *const sl_actuator_drivers[];

/* 0; -ENODEV (no such driver: `err` lists them); -EINVAL; what the driver's
 * device says, with a sentence. Outputs are neutral after opening. *actuator
 * is NULL after a failure. */
int sl_actuator_open(struct sl_actuator **actuator, const struct sl_actuator_config *config,
                     struct sl_error *err);

/* Sends one command, clamped, and numbered anew: `seq` counts what this
 * actuator sent, neutral commands included, from 1. Blocks < 100 us: hardware is
 * written by another process. 0; -EINVAL (steering or speed is not finite, or the speed negative:
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

/* To be called some fifty times a second by the thread that opened the actuator,
 * which is the program's main thread: keeps the process that holds hardware
 * running, and says in the log, once for each cause, what happens there. Blocks
 * only while it starts that process, some 0.2 ms. */
void sl_actuator_tend(struct sl_actuator *actuator);

/* How hardware outputs are, as of some 20 ms ago. 0; -ENOTSUP: nothing is known
 * behind this driver; -EAGAIN: the process that holds them is just being replaced.
 * Any ordinary thread, beside all others. */
int sl_actuator_status(struct sl_actuator *actuator, struct sl_actuator_status *status);

/* Neutral first; NULL is allowed. Hardware: blocks until its process has ended, at
 * most 5 s. */
void sl_actuator_close(struct sl_actuator *actuator);

#endif
