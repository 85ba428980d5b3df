/* The process that holds hardware outputs, skylane-actuator, and the memory
 * between it and the vehicle's process.
 *
 * Why a process of its own: a PWM chip goes on with its last pulses when nobody
 * talks to it. A thread of the vehicle's process would end with it, and could not
 * bring the outputs to neutral after a crash or a SIGKILL. This one can, and ends
 * the lease of a command too if the vehicle's process merely hangs. And the bus's
 * time is its own: to send a command takes the control thread one system call.
 *
 * The vehicle's process writes a command and rings; the helper's thread wakes,
 * makes pulses of it and writes the device, and again when the lease ends. It
 * writes how it fares, at least each 20 ms; if that stops, or tells of failure,
 * sending fails. Either side may die at any instant: what the other reads is a
 * whole value or none.
 *
 * A helper that hangs (SIGSTOP) is killed by the vehicle's polling thread after 400
 * ms, and its successor goes neutral. A kernel that hangs cannot be covered from here:
 * a microcontroller that ends leases itself can ("serial"), and so can a VESC's own
 * timeout. */
#ifndef SL_HAL_ACTUATOR_HELPER_H
#define SL_HAL_ACTUATOR_HELPER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "hal/actuator/actuator.h"
#include "rt/clock.h"
#include "rt/error.h"
#include "rt/latch.h"

#define SL_HELPER_PROGRAM "skylane-actuator"
#define SL_HELPER_FD      3
#define SL_HELPER_LAYOUT  UINT64_C(0x736c6f7574000001) /* "slout", 1 */

/* No command is obeyed longer than this after it was sent, whatever it claims: of
 * the 100 ms in which outputs are neutral the rest is for the device. */
#define SL_HELPER_LEASE_MAX_NS (90 * SL_NS_PER_MS)

struct sl_helper_command {
    uint64_t sent_ns;    /* when it was written here */
    uint64_t expires_ns; /* at most SL_HELPER_LEASE_MAX_NS later counts */
    float steering_rad, speed_mps;
    bool neutral;
};

struct sl_helper_page {
    uint64_t layout; /* SL_HELPER_LAYOUT */
    uint64_t bytes;  /* sizeof of this struct, as the vehicle's process has it */
    pid_t owner;     /* the vehicle's process */
    char device[16]; /* name of an output device */
    struct sl_output_config config;

    /* From the vehicle's control thread. */
    _Alignas(64) struct sl_latch command; /* struct sl_helper_command */
    _Atomic uint32_t bell;                /* futex: counts commands */

    /* From the helper. */
    _Alignas(64) struct sl_latch status; /* struct sl_actuator_status */
    /* Two of it by themselves, for the control thread: it may have interrupted the
     * helper while that wrote the rest, and cannot wait. */
    _Atomic uint64_t beat_ns;
    _Atomic uint32_t state;
};
_Static_assert(sizeof(struct sl_actuator_status) <= SL_LATCH_WORDS * 8, "it fits a latch");

/* The helper's whole life: `fd` is the memory above. Returns 0 when the owner has
 * ended or SIGTERM or SIGINT came, with the outputs neutral; -EINVAL with a sentence
 * if `fd` is no such memory. Main thread. */
int sl_actuator_helper_run(int fd, struct sl_error *err);

#endif
