/* Memory for real time: locked, touched, on huge pages where there are any,
 * and counted, so that "allocates nothing, faults nothing" can be checked. */
#ifndef SL_RT_MEMORY_H
#define SL_RT_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rt/error.h"

/* Locks all present and future memory of the process, raising the soft limit
 * to the hard one first, and keeps malloc from giving memory back. Once, at
 * start. 0; -EPERM or -ENOMEM with the remedy in `err`: the program may run on
 * unlocked. */
int sl_memory_lock(struct sl_error *err);

/* An arena: one block, taken at start, from which parts are cut until it is
 * freed whole. On 2 MiB pages if the machine has them free, else on plain
 * ones; touched, so that using it never faults. */
struct sl_arena {
    uint8_t *base;
    size_t size, used;
    bool huge_pages; /* what it lies on in fact */
};

/* 0 or -ENOMEM. `want_huge` asks, arena->huge_pages tells. */
int sl_arena_open(struct sl_arena *arena, size_t size, bool want_huge, struct sl_error *err);

/* Cuts off `size` zeroed bytes, aligned (a power of two). NULL if it is used
 * up. Not freed singly. One thread at a time. */
void *sl_arena_take(struct sl_arena *arena, size_t size, size_t alignment);
void sl_arena_close(struct sl_arena *arena);

/* Page faults of the calling thread since it began, minor and major. One
 * system call of some 200 ns. */
uint64_t sl_memory_thread_faults(void);

/* Allocations (malloc and relatives) that the calling thread made while it
 * was marked. Counted only in programs that link skylane_rt_guard; 0 elsewhere
 * and under sanitizers, which bring an allocator of their own. */
void sl_memory_mark_thread(bool realtime);
uint64_t sl_memory_marked_allocations(void); /* of all threads; any thread */
bool sl_memory_counts_allocations(void);

#endif
