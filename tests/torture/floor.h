/* The machine's own tardiness, measured all the time beside what is judged: how
 * late a process wakes that a pipe or a timer wakes. A time limit that is
 * missed while the floor is as late says nothing about the bus. */
#ifndef SL_TESTS_TORTURE_FLOOR_H
#define SL_TESTS_TORTURE_FLOOR_H

#include <stdint.h>

#include "rt/histogram.h"

/* Starts two processes, of which one wakes the other every 2 ms. They end with
 * the caller. 0 or -1. */
int floor_start(void);
void floor_stop(void);

/* Begins a window; the worst wake since it began, in ns, also one that is still
 * overdue. */
void floor_window(void);
uint64_t floor_worst_ns(void);

/* Of all wakes by pipe since the start. */
const struct sl_histogram *floor_wakes(void);

#endif
