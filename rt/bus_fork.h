/* What fork() does to a bus. The child inherits mappings and descriptors, but
 * neither the threads nor the right to write or to read in the parent's place:
 * its copies are closed, and its mappings replaced by empty memory of its own,
 * so that the bus lives and dies with the parent, and a child that goes on
 * writing disturbs nobody. */
#ifndef SL_RT_BUS_FORK_H
#define SL_RT_BUS_FORK_H

#include <stdbool.h>
#include <stdint.h>

/* Member of a handle. `in_child` runs in the child, inside fork(): only
 * async-signal-safe calls. */
struct sl_bus_fork_entry {
    struct sl_bus_fork_entry *next, *previous;
    void (*in_child)(void *handle);
    void *handle;
    bool orphan; /* true in the child */
};

/* Any thread, not real-time. */
void sl_bus_fork_add(struct sl_bus_fork_entry *entry, void (*in_child)(void *), void *handle);
void sl_bus_fork_remove(struct sl_bus_fork_entry *entry);

/* For changes to what in_child() looks at, by any thread. Short. */
void sl_bus_fork_lock(void);
void sl_bus_fork_unlock(void);

/* Puts empty private memory in place of a mapping. */
void sl_bus_fork_blank(void *map, unsigned long bytes);

#endif
