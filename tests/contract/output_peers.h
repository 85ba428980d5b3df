/* What is at the other end of hardware outputs, for tests on a desk: a
 * microcontroller and a VESC at a pseudo terminal, each a thread, and a folder
 * that looks like the kernel's PWM chips. */
#ifndef SL_TESTS_CONTRACT_OUTPUT_PEERS_H
#define SL_TESTS_CONTRACT_OUTPUT_PEERS_H

#include <stdbool.h>
#include <stdint.h>

#include "hal/actuator/actuator.h"

/* What the peer puts out. */
struct peer_outputs {
    double steering, throttle; /* serial: us; vesc: servo 0 to 1, and erpm (brake: 0) */
    uint64_t lines;            /* commands that were right */
    uint64_t broken;           /* what was not */
    uint64_t stall_ns;         /* longest time that the machine held the peer up */
};

enum peer_mood {
    PEER_WELL,
    PEER_MUTE,    /* obeys, and answers nothing */
    PEER_BABBLES, /* answers nonsense */
    PEER_HANGS,   /* reads nothing */
    PEER_STOPPED, /* its emergency stop is pressed (serial), a fault is on (vesc) */
};

/* One at a time. `path` has room for 64 bytes: the terminal to open. */
void peer_begin(bool vesc, char *path);
void peer_set_mood(enum peer_mood mood);
void peer_outputs(struct peer_outputs *outputs);
void peer_unplug(void); /* the terminal is gone */
void peer_end(void);    /* unplugged, too */

/* Waits until steering and throttle are these, within half a unit (vesc: a
 * thousandth of the servo, one erpm). How long it took, or UINT64_MAX after `ms`. */
uint64_t peer_await_ns(double steering, double throttle, uint64_t ms);

/* A folder with pwmchip0 and its outputs 0 and 1. `path` has room for 64 bytes. */
void pwm_folder_begin(char *path);
/* Value of a file of an output, -1 if it has none. */
long pwm_folder_get(const char *path, int output, const char *file);
void pwm_folder_end(const char *path);

/* Outputs as the tests have them: 1000 to 2000 us, no arming. */
void output_config_for_tests(struct sl_output_config *config, const char *device);

#endif
