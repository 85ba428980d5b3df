/* Where buses are found: two entries in the folder of the buses, both without
 * content, so that even a full file system has room for them.
 *
 *   skylane.NAME        the writer locks it for as long as it lives; the kernel
 *                       drops the lock at its death, whatever the death
 *   skylane.NAME.door   the socket on which it lets readers in
 *
 * What a killed writer leaves says nothing by itself: no pid, no time, nothing
 * that a reused pid or a reboot could make a lie of. */
#ifndef SL_RT_BUS_NAME_H
#define SL_RT_BUS_NAME_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "rt/error.h"

#define SL_BUS_PATH_BYTES 256

/* The folder: SKYLANE_BUS_DIR of the environment, or /dev/shm. */
const char *sl_bus_dir(void);

/* 0, or -EINVAL with a sentence. */
int sl_bus_name_check(const char *name, struct sl_error *err);

/* The reserved words of a configuration, which must be zero, or else later
 * versions could give them no meaning. 0, or -EINVAL with a sentence. */
int sl_bus_reserved_check(const uint64_t reserved[4], const char *whose, struct sl_error *err);

/* Paths of the two. 0 or -ENAMETOOLONG with a sentence. */
int sl_bus_lock_path(char path[SL_BUS_PATH_BYTES], const char *name, struct sl_error *err);
int sl_bus_door_path(char path[SL_BUS_PATH_BYTES], const char *name, struct sl_error *err);

/* Takes the lock of a name. 0 with *fd, else -EBUSY (its pid in words) and the
 * like. `take_over` leaves the present owner with a lock that nobody finds. */
int sl_bus_lock_take(const char *name, bool take_over, int *fd, struct sl_error *err);

/* 1: somebody alive holds it; 0: nobody; -ENOENT: no such bus; -errno. */
int sl_bus_lock_is_held(const char *name);

/* True if the lock on `fd` is the one that others find under this name. */
bool sl_bus_lock_is_current(const char *name, int fd);

/* Who listens behind a door; the pid as this process sees it. */
struct sl_bus_peer {
    int32_t pid;
    uint32_t uid;
};

/* A socket connected to the door, non-blocking; whose it is in *peer (may be
 * NULL; its pid is 0 if unknown), and which door it was in *door_id (may be
 * NULL). -errno: -ENOENT and -ECONNREFUSED (nobody is there), -EACCES,
 * -EAGAIN (too many at once). */
int sl_bus_door_connect(const char *name, struct sl_bus_peer *peer, uint64_t *door_id);

/* Which door stands there now; 0: none. Two doors of a name never share it
 * while either is open. */
uint64_t sl_bus_door_id(const char *name);

/* A bound and listening socket, reachable by whom `mode` and `gid` (-1: leave
 * as it is) say. For the holder of the lock. -errno with a sentence. */
int sl_bus_door_bind(const char *name, mode_t mode, gid_t gid, struct sl_error *err);

#endif
