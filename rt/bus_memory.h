/* Memory that a bus shares: sealed memfds, which belong to no folder, need no
 * clean-up, and are gone when the last process that uses them is. */
#ifndef SL_RT_BUS_MEMORY_H
#define SL_RT_BUS_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rt/error.h"

struct sl_bus_memory {
    int fd; /* read and write: never leaves the process; -1: none */
    void *map;
    size_t bytes;   /* whole pages */
    uint32_t pages; /* enum sl_bus_pages */
    bool locked;
};

#define SL_BUS_MEMORY_NONE ((struct sl_bus_memory){.fd = -1})

/* Reserves, maps, touches and, where the process may, locks `bytes` of zeroed
 * memory. `huge`: on 2 MiB pages if there are any. `what` names it in words.
 * The size can never change again. 0; -ENOMEM with the bytes needed and those
 * available; -EMFILE and the like. */
int sl_bus_memory_create(struct sl_bus_memory *memory, size_t bytes, bool huge, const char *what,
                         struct sl_error *err);

/* Makes a dma-buf of each of `count` pieces of `bytes`, whole pages, through
 * /dev/udmabuf: before sl_bus_memory_seal_readers_out(), since the kernel makes none
 * of memory to which new writers are forbidden. The descriptors are the caller's. 0, or
 * why there are none: -ENOENT, -EACCES, -EINVAL (memory that is no memfd's) ... */
int sl_bus_memory_dmabufs(const struct sl_bus_memory *memory, size_t bytes, uint32_t count,
                          int *dmabufs);

/* From now on nobody can make another mapping that writes. */
void sl_bus_memory_seal_readers_out(struct sl_bus_memory *memory);

/* A file descriptor of it for readers, which can only be mapped to read; the
 * caller closes it. -errno if there is none to be had. */
int sl_bus_memory_readable_fd(const struct sl_bus_memory *memory);

/* Unmaps and closes; from any half-made state. */
void sl_bus_memory_close(struct sl_bus_memory *memory);

/* Maps what came from a writer, as a whole, and checks that it can not shrink
 * under the mapping. The descriptor
 * stays the caller's. 0 or -errno. */
int sl_bus_memory_map(int fd, bool writable, void **map, size_t *bytes);

#endif
