/* The futex calls that the bus needs. Shared: between processes. */
#ifndef SL_RT_BUS_FUTEX_H
#define SL_RT_BUS_FUTEX_H

#include <linux/futex.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "rt/clock.h"

static inline void sl_futex_wake_shared(const _Atomic uint32_t *word, int count)
{
    syscall(SYS_futex, word, FUTEX_WAKE, count, NULL, NULL, 0);
}

static inline void sl_futex_wake_private(const _Atomic uint32_t *word, int count)
{
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0);
}

/* Returns when woken, when *word is not `value`, at the time, or on a signal. */
static inline void sl_futex_wait_shared_until(const _Atomic uint32_t *word, uint32_t value,
                                              uint64_t until_ns)
{
    const struct timespec until = sl_clock_timespec(until_ns);
    syscall(SYS_futex, word, FUTEX_WAIT_BITSET, value, &until, NULL, FUTEX_BITSET_MATCH_ANY);
}

/* Without a time. */
static inline void sl_futex_wait_private(const _Atomic uint32_t *word, uint32_t value)
{
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

#endif
