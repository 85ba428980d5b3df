#include "rt/bus_fork.h"

#include <pthread.h>
#include <sys/mman.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct sl_bus_fork_entry *first;

void sl_bus_fork_lock(void)
{
    pthread_mutex_lock(&lock);
}

void sl_bus_fork_unlock(void)
{
    pthread_mutex_unlock(&lock);
}

static void in_child(void)
{
    for (struct sl_bus_fork_entry *e = first; e != NULL; e = e->next) {
        if (!e->orphan)
            e->in_child(e->handle);
        e->orphan = true;
    }
    pthread_mutex_unlock(&lock);
}

static void install(void)
{
    pthread_atfork(sl_bus_fork_lock, sl_bus_fork_unlock, in_child);
}

void sl_bus_fork_add(struct sl_bus_fork_entry *entry, void (*callback)(void *), void *handle)
{
    pthread_once(&once, install);
    sl_bus_fork_lock();
    *entry = (struct sl_bus_fork_entry){.next = first, .in_child = callback, .handle = handle};
    if (first != NULL)
        first->previous = entry;
    first = entry;
    sl_bus_fork_unlock();
}

void sl_bus_fork_remove(struct sl_bus_fork_entry *entry)
{
    if (entry->in_child == NULL)
        return; /* was never added */
    sl_bus_fork_lock();
    if (entry->previous != NULL)
        entry->previous->next = entry->next;
    else
        first = entry->next;
    if (entry->next != NULL)
        entry->next->previous = entry->previous;
    sl_bus_fork_unlock();
}

void sl_bus_fork_blank(void *map, unsigned long bytes)
{
    (void)mmap(map, bytes, PROT_READ | PROT_WRITE,
               MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
}
