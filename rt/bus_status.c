#include "rt/bus_status.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "rt/bus_name.h"
#include "rt/bus_wire.h"
#include "rt/clock.h"

#define ANSWER_NS (200 * SL_NS_PER_MS)

static int by_name(const void *a, const void *b)
{
    return strcmp(a, b);
}

int sl_bus_list(char (*names)[SL_BUS_NAME_MAX + 1], size_t max, struct sl_error *err)
{
    DIR *dir = opendir(sl_bus_dir());
    if (dir == NULL)
        return sl_error_set(err, -errno,
                            "cannot look into the folder of the buses, %s: %s; mount it, or set "
                            "SKYLANE_BUS_DIR",
                            sl_bus_dir(), strerror(errno));
    static const char PREFIX[] = "skylane.";
    size_t count = 0;
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        if (strncmp(entry->d_name, PREFIX, sizeof PREFIX - 1) != 0)
            continue;
        const char *name = entry->d_name + sizeof PREFIX - 1; /* doors have a dot in theirs */
        if (sl_bus_name_check(name, NULL) != 0)
            continue;
        if (count < max)
            snprintf(names[count], sizeof names[count], "%s", name);
        count++;
    }
    closedir(dir);
    qsort(names, count < max ? count : max, sizeof names[0], by_name);
    return (int)count;
}

/* Asks the door. True with the answer in `status`; else `status->life` says why not. */
static void ask(const char *name, struct sl_bus_status *status)
{
    static const struct sl_bus_hello hello = {.magic = SL_RING_MAGIC,
                                              .layout_version = SL_RING_LAYOUT_VERSION,
                                              .guest = SL_BUS_GUEST_OBSERVER};
    struct sl_bus_peer peer = {0};
    int fd = sl_bus_door_connect(name, &peer, NULL);
    status->life = fd == -EACCES || fd == -EPERM ? SL_BUS_FOREIGN : SL_BUS_SILENT;
    status->writer_pid = peer.pid;
    if (fd < 0)
        return;
    struct pollfd answer = {.fd = fd, .events = POLLIN};
    const struct timespec patience = sl_clock_timespec(ANSWER_NS);
    struct sl_bus_status *reply = malloc(sizeof *reply);
    if (reply != NULL && sl_bus_send(fd, &hello, sizeof hello, NULL, 0) == 0 &&
        ppoll(&answer, 1, &patience, NULL) == 1) {
        ssize_t n = sl_bus_receive(fd, reply, sizeof *reply, NULL, 0);
        if (n == sizeof(struct sl_bus_welcome))
            status->life = SL_BUS_MISMATCH;
        else if (n >= (ssize_t)offsetof(struct sl_bus_status, readers)) {
            memcpy(status, reply, (size_t)n);
            snprintf(status->name, sizeof status->name, "%s", name);
            status->life = SL_BUS_ALIVE;
            status->writer_pid = peer.pid; /* as seen from here */
        }
    }
    free(reply);
    close(fd);
}

int sl_bus_status_get(const char *name, struct sl_bus_status *status, struct sl_error *err)
{
    memset(status, 0, sizeof *status);
    int rc = sl_bus_name_check(name, err);
    if (rc != 0)
        return rc;
    snprintf(status->name, sizeof status->name, "%s", name);
    rc = sl_bus_lock_is_held(name);
    if (rc == -ENOENT)
        return sl_error_set(err, rc, "there is no bus %s in %s", name, sl_bus_dir());
    if (rc == 0)
        status->life = SL_BUS_DEAD;
    else
        ask(name, status);
    return 0;
}

int sl_bus_clean(const char *name, struct sl_error *err)
{
    char path[SL_BUS_PATH_BYTES];
    struct stat st;
    int fd;
    int rc = sl_bus_name_check(name, err);
    if (rc == 0)
        rc = sl_bus_lock_path(path, name, err);
    if (rc != 0)
        return rc;
    if (lstat(path, &st) != 0)
        return sl_error_set(err, -errno, "there is no bus %s in %s", name, sl_bus_dir());
    if (!S_ISREG(st.st_mode) || st.st_size != 0)
        return sl_error_set(err, -EINVAL, "%s is no bus, whatever its name; it is left alone",
                            path);
    /* Under the lock, so that no writer can begin in between. */
    rc = sl_bus_lock_take(name, false, &fd, err);
    if (rc != 0)
        return rc;
    if (sl_bus_door_path(path, name, NULL) == 0)
        unlink(path);
    if (sl_bus_lock_path(path, name, err) != 0 || unlink(path) != 0)
        rc = sl_error_set(err, -errno, "cannot remove %s: %s; its owner or root can", path,
                          strerror(errno));
    close(fd);
    return rc;
}
