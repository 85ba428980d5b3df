/* Transports that are measured by "skylane bus bench". */
#ifndef SL_TOOLS_BUS_BENCH_TRANSPORTS_H
#define SL_TOOLS_BUS_BENCH_TRANSPORTS_H

#include "tools/bus/bench_run.h"

/* The bus. */
extern const struct bench_transport bench_skylane;

/* Floors: the least that a polling and a sleeping reader could cost, through
 * the same loops. They carry no frame, only its number and time, and readers
 * that are late miss some. */
extern const struct bench_transport bench_line;  /* one cache line, polled */
extern const struct bench_transport bench_futex; /* the same line, and one futex for all */

/* Nanoseconds from one core to the other for one cache line: half a round trip,
 * without any clock, each sample the mean of `batch` round trips. */
int bench_ping_pong(struct bench_series *series, const int cores[2], uint32_t samples,
                    uint32_t batch, struct sl_error *err);

/* One memcpy() of so many bytes. */
int bench_memcpy(struct bench_series *series, size_t bytes, uint32_t samples, struct sl_error *err);

/* One look at the clock, each sample the mean of 1000. */
void bench_clock(struct bench_series *series, uint32_t samples);

#endif
