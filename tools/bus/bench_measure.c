#include "tools/bus/bench_measure.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

void bench_series_add(struct bench_series *series, uint64_t duration_ns)
{
    uint32_t i = atomic_fetch_add_explicit(&series->count, 1, memory_order_relaxed);
    if (i < BENCH_SAMPLES_MAX)
        series->ns[i] = duration_ns < UINT32_MAX ? (uint32_t)duration_ns : UINT32_MAX;
}

static uint32_t stored(const struct bench_series *series)
{
    uint32_t count = atomic_load_explicit(&series->count, memory_order_relaxed);
    return count < BENCH_SAMPLES_MAX ? count : BENCH_SAMPLES_MAX;
}

static int by_size(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* The smallest sample that a share `q` of all do not exceed. */
static double quantile(const uint32_t *sorted, uint32_t count, double q)
{
    uint32_t rank = (uint32_t)ceil(q * count);
    return sorted[rank > 0 ? rank - 1 : 0];
}

struct bench_summary bench_summarize(struct bench_series *series)
{
    uint32_t count = stored(series);
    if (count == 0)
        return (struct bench_summary){0};
    qsort(series->ns, count, sizeof series->ns[0], by_size);
    return (struct bench_summary){.count = count,
                                  .p50_ns = quantile(series->ns, count, 0.5),
                                  .p99_ns = quantile(series->ns, count, 0.99),
                                  .p999_ns = quantile(series->ns, count, 0.999),
                                  .max_ns = series->ns[count - 1]};
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double bench_median(double *values, unsigned count)
{
    qsort(values, count, sizeof *values, by_value);
    return count % 2 == 1 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

double bench_cpu_seconds(pid_t pid)
{
    clockid_t clock = CLOCK_PROCESS_CPUTIME_ID;
    struct timespec t;
    if ((pid != 0 && clock_getcpuclockid(pid, &clock) != 0) || clock_gettime(clock, &t) != 0)
        return 0;
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

int bench_two_cores(int cores[2], struct sl_error *err)
{
    cpu_set_t set;
    int found = 0;
    if (sched_getaffinity(0, sizeof set, &set) != 0)
        return sl_error_set(err, -errno, "cannot tell which cores there are: %s", strerror(errno));
    for (int core = 0; core < CPU_SETSIZE && found < 2; core++) {
        if (CPU_ISSET(core, &set))
            cores[found++] = core;
    }
    if (found == 2)
        return 0;
    return sl_error_set(err, -ENOTSUP,
                        "this needs two cores, one for the writer and one for the reader, but may "
                        "use only one here");
}

int bench_pin(int core)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(core, &set);
    return -pthread_setaffinity_np(pthread_self(), sizeof set, &set);
}

bool bench_fifo(int priority)
{
    const struct sched_param param = {.sched_priority = priority};
    return pthread_setschedparam(pthread_self(), SCHED_FIFO, &param) == 0;
}

/* The sum of all values, in bytes, of lines "KEY: 123 kB" in a file of /proc. */
static int sum_of_lines(pid_t pid, const char *file, const char *const *keys, uint64_t *bytes)
{
    char path[64], line[256];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, file);
    FILE *f = fopen(path, "r");
    if (f == NULL)
        return -errno;
    *bytes = 0;
    while (fgets(line, sizeof line, f) != NULL) {
        for (const char *const *key = keys; *key != NULL; key++) {
            size_t length = strlen(*key);
            if (strncmp(line, *key, length) == 0 && line[length] == ':')
                *bytes += strtoull(line + length + 1, NULL, 10) * 1024;
        }
    }
    fclose(f);
    return 0;
}

int bench_memory_add(struct bench_memory *memory, pid_t pid)
{
    static const char *const PSS[] = {"Pss", NULL};
    static const char *const HUGETLB[] = {"Private_Hugetlb", "Shared_Hugetlb", NULL};
    static const char *const TABLES[] = {"VmPTE", NULL};
    uint64_t pss = 0, hugetlb = 0, tables = 0;
    int rc = sum_of_lines(pid, "smaps_rollup", PSS, &pss);
    if (rc == 0)
        rc = sum_of_lines(pid, "smaps_rollup", HUGETLB, &hugetlb);
    if (rc == 0)
        rc = sum_of_lines(pid, "status", TABLES, &tables);
    if (rc != 0)
        return rc;
    memory->pss_bytes += pss;
    memory->page_table_bytes += tables;
    if (hugetlb > memory->hugetlb_bytes)
        memory->hugetlb_bytes = hugetlb;
    return 0;
}

void *bench_shared_alloc(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

void bench_json_series(FILE *to, const char *name, struct bench_series *series, bool samples)
{
    struct bench_summary s = bench_summarize(series);
    if (s.count == 0)
        return;
    fprintf(to,
            ",\n   \"%s\": {\"count\": %u, \"p50_ns\": %.0f, \"p99_ns\": %.0f, \"p999_ns\": %.0f, "
            "\"max_ns\": %.0f",
            name, s.count, s.p50_ns, s.p99_ns, s.p999_ns, s.max_ns);
    if (samples) {
        fputs(", \"samples_ns\": [", to);
        for (uint32_t i = 0; i < s.count; i++)
            fprintf(to, "%s%u", i == 0 ? "" : ",", series->ns[i]);
        fputc(']', to);
    }
    fputc('}', to);
}
