#include "rt/histogram.h"

#include <stdatomic.h>

#define SUB_COUNT (UINT64_C(1) << SL_HISTOGRAM_SUB_BITS)

static uint32_t bucket_of(uint64_t value)
{
    if (value < SUB_COUNT)
        return (uint32_t)value;
    uint32_t octave = 63 - SL_HISTOGRAM_SUB_BITS - (uint32_t)__builtin_clzll(value);
    if (octave >= SL_HISTOGRAM_OCTAVES)
        return SL_HISTOGRAM_BUCKETS - 1;
    uint32_t within = (uint32_t)(value >> octave) & (SUB_COUNT - 1);
    return ((octave + 1) << SL_HISTOGRAM_SUB_BITS) + within;
}

/* The largest value that counts in a bucket. */
static uint64_t upper_edge(uint32_t bucket)
{
    uint32_t octave = bucket >> SL_HISTOGRAM_SUB_BITS;
    uint64_t within = bucket & (SUB_COUNT - 1);
    if (octave == 0)
        return within;
    return ((SUB_COUNT + within + 1) << (octave - 1)) - 1;
}

/* One writer: load and store need not be one step. */
static void bump(_Atomic uint32_t *counter)
{
    uint32_t old = atomic_load_explicit(counter, memory_order_relaxed);
    atomic_store_explicit(counter, old + 1, memory_order_relaxed);
}

void sl_histogram_add(struct sl_histogram *histogram, uint64_t duration_ns)
{
    bump(&histogram->buckets[bucket_of(duration_ns)]);
    if (duration_ns > atomic_load_explicit(&histogram->max_ns, memory_order_relaxed))
        atomic_store_explicit(&histogram->max_ns, duration_ns, memory_order_relaxed);
    uint64_t count = atomic_load_explicit(&histogram->count, memory_order_relaxed);
    atomic_store_explicit(&histogram->count, count + 1, memory_order_relaxed);
}

uint64_t sl_histogram_quantile_ns(const struct sl_histogram *histogram, double quantile)
{
    uint64_t count = sl_histogram_count(histogram);
    uint64_t max_ns = sl_histogram_max_ns(histogram);
    if (count == 0)
        return 0;
    double wanted = quantile * (double)count;
    uint64_t below = 0;
    for (uint32_t b = 0; b < SL_HISTOGRAM_BUCKETS; b++) {
        below += atomic_load_explicit(&histogram->buckets[b], memory_order_relaxed);
        if ((double)below >= wanted && below > 0) {
            uint64_t edge = upper_edge(b);
            return edge < max_ns ? edge : max_ns;
        }
    }
    return max_ns;
}

uint64_t sl_histogram_count(const struct sl_histogram *histogram)
{
    return atomic_load_explicit(&histogram->count, memory_order_relaxed);
}

uint64_t sl_histogram_max_ns(const struct sl_histogram *histogram)
{
    return atomic_load_explicit(&histogram->max_ns, memory_order_relaxed);
}
