/* The clock in which all deadlines and stamps are counted, for programs that
 * have only the shared library. */
#ifndef SL_RT_API_NOW_H
#define SL_RT_API_NOW_H

#include <stdint.h>

/* Nanoseconds of CLOCK_MONOTONIC (C++: steady_clock, Python:
 * time.monotonic_ns()). A deadline is this plus how long to wait. */
uint64_t sl_bus_now_ns(void);

#endif
