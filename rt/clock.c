#include "rt/clock.h"

#include <errno.h>

uint64_t sl_clock_sleep_until_ns(uint64_t deadline_ns)
{
    const struct timespec until = sl_clock_timespec(deadline_ns);
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR) {
    }
    return sl_clock_now_ns();
}
