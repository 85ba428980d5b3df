#include "rt/memory.h"

#include <errno.h>
#include <linux/capability.h>
#include <malloc.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "rt/alloc_guard.h"

#define HUGE_PAGE  ((size_t)2 << 20)
#define PLAIN_PAGE ((size_t)4096)

/* CAP_IPC_LOCK: the limit does not count. */
static bool may_lock_anything(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {{0}};
    return syscall(SYS_capget, &header, data) == 0 &&
           (data[0].effective & (1u << CAP_IPC_LOCK)) != 0;
}

int sl_memory_lock(struct sl_error *err)
{
    struct rlimit limit = {0};
    if (getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_MEMLOCK, &limit);
    }
    /* Under a finite limit mlockall() may succeed now, and then every mapping
     * that exceeds it later fails: no frame could be attached. */
    if (limit.rlim_cur != RLIM_INFINITY && !may_lock_anything())
        return sl_error_set(err, -EPERM,
                            "memory is not locked: the limit (ulimit -l) is %llu KiB, and has to "
                            "be unlimited; grant it with tools/setup --realtime and log in again",
                            (unsigned long long)limit.rlim_cur / 1024);
    /* Freed memory stays with the process, where it is locked and touched. */
    mallopt(M_TRIM_THRESHOLD, -1);
    mallopt(M_MMAP_MAX, 0);
    if (mlockall(MCL_CURRENT | MCL_FUTURE) == 0)
        return 0;
    int code = errno;
    return sl_error_set(err, -code, "memory is not locked: %s", strerror(code));
}

int sl_arena_open(struct sl_arena *arena, size_t size, bool want_huge, struct sl_error *err)
{
    *arena = (struct sl_arena){0};
    void *base = MAP_FAILED;
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE;
    if (want_huge) {
        arena->size = (size + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
        base = mmap(NULL, arena->size, PROT_READ | PROT_WRITE, flags | MAP_HUGETLB, -1, 0);
        arena->huge_pages = base != MAP_FAILED;
    }
    if (base == MAP_FAILED) {
        arena->size = (size + PLAIN_PAGE - 1) / PLAIN_PAGE * PLAIN_PAGE;
        base = mmap(NULL, arena->size, PROT_READ | PROT_WRITE, flags, -1, 0);
    }
    if (base == MAP_FAILED) {
        *arena = (struct sl_arena){0};
        return sl_error_set(err, -ENOMEM, "cannot take %zu bytes of memory: %s", size,
                            strerror(errno));
    }
    arena->base = base;
    return 0;
}

void *sl_arena_take(struct sl_arena *arena, size_t size, size_t alignment)
{
    size_t start = (arena->used + alignment - 1) & ~(alignment - 1);
    if (start > arena->size || size > arena->size - start)
        return NULL;
    arena->used = start + size;
    return arena->base + start;
}

void sl_arena_close(struct sl_arena *arena)
{
    if (arena->base != NULL)
        munmap(arena->base, arena->size);
    *arena = (struct sl_arena){0};
}

uint64_t sl_memory_thread_faults(void)
{
    struct rusage usage;
    if (getrusage(RUSAGE_THREAD, &usage) != 0)
        return 0;
    return (uint64_t)usage.ru_minflt + (uint64_t)usage.ru_majflt;
}

static _Thread_local bool thread_is_marked;
static _Atomic uint64_t marked_allocations;
static _Atomic bool guard_linked;

void sl_memory_mark_thread(bool realtime)
{
    thread_is_marked = realtime;
}

uint64_t sl_memory_marked_allocations(void)
{
    return atomic_load_explicit(&marked_allocations, memory_order_relaxed);
}

bool sl_memory_counts_allocations(void)
{
    return atomic_load_explicit(&guard_linked, memory_order_relaxed);
}

void sl_alloc_guard_note(void)
{
    if (thread_is_marked)
        atomic_fetch_add_explicit(&marked_allocations, 1, memory_order_relaxed);
}

void sl_alloc_guard_present(void)
{
    atomic_store_explicit(&guard_linked, true, memory_order_relaxed);
}
