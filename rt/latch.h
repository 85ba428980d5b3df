/* The newest value of a small struct, from one thread to others of the same
 * process, without a lock: a seqlock (H. Boehm, "Can Seqlocks Get Along With
 * Programming Language Memory Models?", MSPC 2012, figure 6) over words. The
 * writer never waits; a reader retries while the writer writes. */
#ifndef SL_RT_LATCH_H
#define SL_RT_LATCH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define SL_LATCH_WORDS 64 /* 512 bytes */

struct sl_latch {
    _Atomic uint64_t version; /* odd: being written; 0: never was */
    _Atomic uint64_t words[SL_LATCH_WORDS];
};

/* `size` is at most 512 bytes. One writing thread. */
static inline void sl_latch_write(struct sl_latch *latch, const void *value, size_t size)
{
    uint64_t words[SL_LATCH_WORDS] = {0};
    memcpy(words, value, size);
    uint64_t version = atomic_load_explicit(&latch->version, memory_order_relaxed);
    atomic_store_explicit(&latch->version, version + 1, memory_order_relaxed);
    /* Each store below is a release, so that a reader who sees one of them
     * also sees the odd version. SYNC with the acquire loads in the reader. */
    for (size_t i = 0; i < (size + 7) / 8; i++)
        atomic_store_explicit(&latch->words[i], words[i], memory_order_release);
    atomic_store_explicit(&latch->version, version + 2, memory_order_release);
}

/* One try to copy the newest value out, for readers that must not wait for
 * the writer (which a real-time reader may have interrupted). False if it is
 * being written; else `count` tells how many were written so far (0: none,
 * `value` is zeroed). */
static inline bool sl_latch_try_read(struct sl_latch *latch, void *value, size_t size,
                                     uint64_t *count)
{
    uint64_t words[SL_LATCH_WORDS] = {0};
    uint64_t before = atomic_load_explicit(&latch->version, memory_order_acquire);
    for (size_t i = 0; i < (size + 7) / 8; i++)
        words[i] = atomic_load_explicit(&latch->words[i], memory_order_acquire);
    uint64_t after = atomic_load_explicit(&latch->version, memory_order_relaxed);
    if (before != after || before % 2 != 0)
        return false;
    memcpy(value, words, size);
    *count = before / 2;
    return true;
}

/* The same until it succeeds, for readers of lower priority than the writer.
 * Returns the count. */
static inline uint64_t sl_latch_read(struct sl_latch *latch, void *value, size_t size)
{
    uint64_t count;
    while (!sl_latch_try_read(latch, value, size, &count)) {
    }
    return count;
}

#endif
