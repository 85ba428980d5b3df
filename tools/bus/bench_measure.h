/* What every measurement of a bus shares: samples, processor time, memory,
 * scheduling, and their JSON. */
#ifndef SL_TOOLS_BUS_BENCH_MEASURE_H
#define SL_TOOLS_BUS_BENCH_MEASURE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "rt/error.h"

#define BENCH_SAMPLES_MAX 20000u

/* Durations. Lies in memory shared by fork(): any process may add. */
struct bench_series {
    _Atomic uint32_t count;
    uint32_t ns[BENCH_SAMPLES_MAX];
};

/* Counts one duration, at most 4.29 s; does nothing once it is full. */
void bench_series_add(struct bench_series *series, uint64_t duration_ns);

struct bench_summary {
    uint32_t count;
    double p50_ns, p99_ns, p999_ns, max_ns;
};

/* Sorts the samples. Nobody may add any more. */
struct bench_summary bench_summarize(struct bench_series *series);

/* Median of `count` numbers, at least one; sorts them. */
double bench_median(double *values, unsigned count);

/* Processor time of a process, all its threads; of the caller for pid 0. */
double bench_cpu_seconds(pid_t pid);

/* The two cores to measure on: the first two that this process may use.
 * -ENOTSUP if there is only one. */
int bench_two_cores(int cores[2], struct sl_error *err);

/* Keeps the calling thread on a core; threads that it starts later as well. */
int bench_pin(int core);

/* Makes the calling thread SCHED_FIFO. False where that is not permitted. */
bool bench_fifo(int priority);

struct bench_memory {
    uint64_t pss_bytes;        /* summed: each shared page counts once in all */
    uint64_t hugetlb_bytes;    /* which PSS leaves out; the largest share of any process, since
                                * they map the same */
    uint64_t page_table_bytes; /* the kernel's, summed; not in PSS either */
};

/* Adds one process. -errno if /proc does not tell. */
int bench_memory_add(struct bench_memory *memory, pid_t pid);

/* Processes that share memory by fork() need one mapping for it. NULL: none. */
void *bench_shared_alloc(size_t bytes);

/* `"name": {"count": ..., "p50_ns": ...}`, with all samples in order of size if
 * `samples`; nothing if the series is empty, and a comma before it if not. */
void bench_json_series(FILE *to, const char *name, struct bench_series *series, bool samples);

#endif
