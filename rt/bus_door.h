/* How readers come in, and what happens when somebody dies.
 *
 * The writer's process listens on a socket in the folder of the buses. A reader
 * connects, says what it is, and is given descriptors of the ring and the
 * payloads, to be mapped read-only, and of its user's rows, with a place in
 * them. After that the connection is a sign of life: the kernel closes it when
 * either side dies, whatever the death; and who waits in poll() is sent a byte
 * through it when there is news.
 *
 * - A reader dies: the door's thread sees its connection end, and clears what
 *   it left in its row. Its pid is only ever shown, so that reuse of pids is
 *   harmless.
 * - The writer dies: readers find the connection ended when nothing new came
 *   for a while, and look for the successor's door.
 * - The writer's process is stopped: readers keep what they have; new ones wait.
 *
 * All memory is in sealed memfds, which vanish with the last process that has
 * them: nothing to clean up after any death. */
#ifndef SL_RT_BUS_DOOR_H
#define SL_RT_BUS_DOOR_H

#include <stdint.h>
#include <sys/types.h>

#include "rt/bus_memory.h"
#include "rt/bus_ring.h"
#include "rt/bus_status.h"
#include "rt/thread.h"

/* Of the bus's own threads, which call nothing deep. */
#define SL_BUS_STACK_BYTES ((size_t)64 << 10)

struct sl_bus_guest_entry;

struct sl_bus_door {
    struct sl_ring_writer *ring;
    int listen_fd, epoll_fd, stop_fd, ring_fd, payloads_fd;
    int spare_fd; /* closed for a moment to tell a guest that there are no more */
    struct sl_thread thread;
    uid_t owner; /* this process's user */
    struct sl_bus_door_user {
        uid_t uid;
        struct sl_bus_memory rows;
        int rows_fd;                                          /* to be handed out */
        struct sl_bus_guest_entry *guest[SL_BUS_READERS_MAX]; /* by row */
        uint32_t realtime_used;                               /* bit k: word k is taken */
    } user[SL_BUS_USERS_MAX];
    struct sl_bus_guest_entry *guests;
    uint32_t pending; /* guests that have not said hello */
    _Atomic uint32_t reader_count;
    struct sl_bus_status status; /* the part that does not change */
    _Atomic(const char *) note;  /* for people; lives for ever; NULL: none */
};

/* A door that was never opened: sl_bus_door_close() may be called on it. */
void sl_bus_door_init(struct sl_bus_door *door);

/* Opens it: takes the listening socket, and copies the facts in `status` that
 * only the writer knows. The memory and the ring stay the caller's, until
 * sl_bus_door_close(). Starts a thread of ordinary priority. 0 or -errno with a
 * sentence; then `listen_fd` is closed. */
int sl_bus_door_open(struct sl_bus_door *door, struct sl_ring_writer *ring,
                     const struct sl_bus_memory *ring_memory,
                     const struct sl_bus_memory *payload_memory, int listen_fd,
                     const struct sl_bus_status *status, struct sl_error *err);

/* Ends the thread and all connections. */
void sl_bus_door_close(struct sl_bus_door *door);

/* In the child of fork(): lets go of everything the parent has open. */
void sl_bus_door_orphan(struct sl_bus_door *door);

/* Tells all who armed their descriptors that there is news. From the relay. */
void sl_bus_door_ring_armed(struct sl_bus_door *door);

#endif
