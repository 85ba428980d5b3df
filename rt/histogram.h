/* A histogram of durations with fixed memory: for statistics that real-time
 * loops always keep.
 *
 * Buckets are linear within each power of two (G. Tene's HdrHistogram idea):
 * 32 for each octave, so that a reported percentile is at most 3.2 % above
 * the true value, from 1 ns to 73 minutes. The maximum is exact. */
#ifndef SL_RT_HISTOGRAM_H
#define SL_RT_HISTOGRAM_H

#include <stdint.h>

#define SL_HISTOGRAM_SUB_BITS 5
#define SL_HISTOGRAM_OCTAVES  37
#define SL_HISTOGRAM_BUCKETS  ((SL_HISTOGRAM_OCTAVES + 1) << SL_HISTOGRAM_SUB_BITS)

/* One writer; a reader in another thread may see a state between two adds,
 * never a torn count. Plain memory, zeroed is empty. */
struct sl_histogram {
    _Atomic uint64_t count;
    _Atomic uint64_t max_ns;
    _Atomic uint32_t buckets[SL_HISTOGRAM_BUCKETS];
};

/* Counts one duration; above 73 minutes it counts in the last bucket. Some
 * nanoseconds, no loop. Only the owning thread. */
void sl_histogram_add(struct sl_histogram *histogram, uint64_t duration_ns);

/* The duration that a share `quantile` (0..1) of the counted ones does not
 * exceed: its bucket's upper edge, never above the maximum. 0 if empty. */
uint64_t sl_histogram_quantile_ns(const struct sl_histogram *histogram, double quantile);

uint64_t sl_histogram_count(const struct sl_histogram *histogram);
uint64_t sl_histogram_max_ns(const struct sl_histogram *histogram);

#endif
