/* The C library's allocator with a look-out in front: every malloc, calloc,
 * realloc and aligned allocation of the program and of its libraries is
 * noted, then passed on unchanged. It uses the entry points that glibc keeps
 * for this purpose ("Replacing malloc", glibc manual, 3.2.5). */
#include "rt/alloc_guard.h"

#include <errno.h>
#include <malloc.h>
#include <stddef.h>
#include <stdlib.h>

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && defined(__GLIBC__)

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *old, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

#define SHOWN __attribute__((visibility("default")))

SHOWN void *malloc(size_t size)
{
    sl_alloc_guard_note();
    return __libc_malloc(size);
}

SHOWN void *calloc(size_t count, size_t size)
{
    sl_alloc_guard_note();
    return __libc_calloc(count, size);
}

SHOWN void *realloc(void *old, size_t size)
{
    sl_alloc_guard_note();
    return __libc_realloc(old, size);
}

SHOWN void *memalign(size_t alignment, size_t size)
{
    sl_alloc_guard_note();
    return __libc_memalign(alignment, size);
}

SHOWN void *aligned_alloc(size_t alignment, size_t size)
{
    sl_alloc_guard_note();
    return __libc_memalign(alignment, size);
}

SHOWN int posix_memalign(void **out, size_t alignment, size_t size)
{
    if (alignment % sizeof(void *) != 0 || (alignment & (alignment - 1)) != 0 || alignment == 0)
        return EINVAL;
    sl_alloc_guard_note();
    void *memory = __libc_memalign(alignment, size);
    if (memory == NULL)
        return ENOMEM;
    *out = memory;
    return 0;
}

__attribute__((constructor)) static void announce(void)
{
    sl_alloc_guard_present();
}

#endif
