/* The two sides of a measurement, as bench_run() starts them. */
#ifndef SL_TOOLS_BUS_BENCH_SIDES_H
#define SL_TOOLS_BUS_BENCH_SIDES_H

#include "tools/bus/bench_run.h"

enum bench_phase { BENCH_RUNNING = 0, BENCH_MEASURED, BENCH_FAILED };

/* What all processes of one measurement share. Words that one side spins or
 * sleeps on have a cache line of their own. */
struct bench_shared {
    struct bench_setup setup;
    const struct bench_transport *transport;
    _Alignas(64) _Atomic uint32_t phase;     /* enum bench_phase; the parent sleeps on it */
    _Atomic uint32_t joined;                 /* readers that have got frame 0 */
    _Atomic uint32_t finished;               /* readers that have got the last frame */
    _Atomic uint32_t stop;                   /* everything is measured: go home */
    _Alignas(64) _Atomic uint64_t confirmed; /* newest frame that the polling reader has */
    _Alignas(64) _Atomic uint32_t remaining; /* sleeping readers that lack the newest frame */
    _Alignas(64) _Atomic uint32_t asleep;    /* readers that are waiting */
    _Atomic uint32_t failures;               /* the first one wrote `failure` */
    char failure[512];
    struct bench_result result;
    _Alignas(64) char scratch[4096];
};

/* Bodies of the child processes. Return 0, or 1 after bench_fail(). */
int bench_writer_main(struct bench_shared *shared);
int bench_reader_main(struct bench_shared *shared);

/* Leaves the sentence for the parent, and wakes it. Returns 1. */
int bench_fail(struct bench_shared *shared, const char *sentence);

/* Futex words in memory shared between processes. The wait ends when woken,
 * when *word is not `value`, or after `timeout_ns`. */
void bench_futex_wait(const _Atomic uint32_t *word, uint32_t value, uint64_t timeout_ns);
void bench_futex_wake(const _Atomic uint32_t *word, int count);

#endif
