/* The one clock: CLOCK_MONOTONIC, nanoseconds since boot, in uint64_t. */
#ifndef SL_RT_CLOCK_H
#define SL_RT_CLOCK_H

#include <stdint.h>
#include <time.h>

#define SL_NS_PER_US UINT64_C(1000)
#define SL_NS_PER_MS UINT64_C(1000000)
#define SL_NS_PER_S  UINT64_C(1000000000)

/* Now. Any thread; a vDSO read of some 20 ns that never blocks. */
static inline uint64_t sl_clock_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * SL_NS_PER_S + (uint64_t)t.tv_nsec;
}

/* The same clock as of the last tick, 1 to 10 ms ago: some 5 ns. For asking
 * "has it been a while?" in loops that spin. */
static inline uint64_t sl_clock_coarse_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
    return (uint64_t)t.tv_sec * SL_NS_PER_S + (uint64_t)t.tv_nsec;
}

static inline struct timespec sl_clock_timespec(uint64_t ns)
{
    return (struct timespec){.tv_sec = (time_t)(ns / SL_NS_PER_S),
                             .tv_nsec = (long)(ns % SL_NS_PER_S)};
}

/* Sleeps until an absolute time; a time that is past returns at once.
 * Signals do not shorten the sleep. Returns the time of waking. */
uint64_t sl_clock_sleep_until_ns(uint64_t deadline_ns);

#endif
