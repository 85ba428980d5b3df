/* Devices that hold a vehicle's outputs, behind one table: a steering servo and an
 * ESC, or what drives them. Private to hal/actuator/: the helper process is the
 * only one that opens them (helper.h), so that a device's time is nobody else's. */
#ifndef SL_HAL_ACTUATOR_OUTPUT_H
#define SL_HAL_ACTUATOR_OUTPUT_H

#include <stddef.h>
#include <stdint.h>

#include "hal/actuator/actuator.h"
#include "hal/actuator/pulse.h"
#include "rt/error.h"

/* One write. */
struct sl_output {
    struct sl_pulses pulses;
    uint32_t valid_ms; /* for devices that end a lease by themselves */
};

/* What a device tells of itself. */
struct sl_output_report {
    uint32_t battery_mv; /* 0: it does not tell */
    uint64_t speed_ns;   /* when it told the speed */
    float speed_mps;     /* measured; NAN: it does not tell */
    bool emergency_stop; /* its own is pressed: it stays neutral */
    char emergency[96];  /* then: in words */
};

/* A device. Every entry is filled. One thread. */
struct sl_output_device {
    const char *name;
    const char *usual; /* the device if the settings name none */
    size_t state_bytes;
    uint64_t rewrite_ns; /* what did not change is written again after so long */
    uint64_t check_ns;   /* how often to check */

    /* Opens and sets up the device, which then puts out `neutral`. May block for
     * some seconds. 0; -ENOENT (there is none), -EBUSY, -EIO and the like, with a
     * sentence. */
    int (*open)(void *state, const struct sl_output_config *config, const struct sl_output *neutral,
                struct sl_error *err);
    /* Blocks 30 ms at most. 0, or a negative errno with a sentence: then it may be
     * tried again. */
    int (*write)(void *state, const struct sl_output *output, struct sl_error *err);
    /* Is it what was set up, and does it put out what was written last? Reads what
     * it says of itself, too. As write. */
    int (*check)(void *state, struct sl_output_report *report, struct sl_error *err);
    void (*close)(void *state); /* outputs stay as they are; from any half-open state */
};

extern const struct sl_output_device sl_output_pca9685;
extern const struct sl_output_device sl_output_pwm;
extern const struct sl_output_device sl_output_serial;
extern const struct sl_output_device sl_output_vesc;

/* NULL: there is none of this name. */
const struct sl_output_device *sl_output_find(const char *name);

/* The device's file: as configured, or the usual one. */
const char *sl_output_path(const struct sl_output_device *device,
                           const struct sl_output_config *config);

#endif
