#include "rt/bus_name.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "rt/bus.h"

#define BACKLOG 128

const char *sl_bus_dir(void)
{
    const char *dir = getenv("SKYLANE_BUS_DIR");
    return dir != NULL && dir[0] != '\0' ? dir : "/dev/shm";
}

int sl_bus_name_check(const char *name, struct sl_error *err)
{
    size_t length = name == NULL ? 0 : strlen(name);
    bool good = length > 0 && length <= SL_BUS_NAME_MAX;
    for (size_t i = 0; good && i < length; i++)
        good = islower((unsigned char)name[i]) || isdigit((unsigned char)name[i]) || name[i] == '_';
    if (good)
        return 0;
    return sl_error_set(err, -EINVAL,
                        "\"%s\" cannot be a bus's name; use 1 to %d of a-z, 0-9 and _",
                        name == NULL ? "" : name, SL_BUS_NAME_MAX);
}

int sl_bus_reserved_check(const uint64_t reserved[4], const char *whose, struct sl_error *err)
{
    if ((reserved[0] | reserved[1] | reserved[2] | reserved[3]) == 0)
        return 0;
    return sl_error_set(err, -EINVAL,
                        "the reserved words of a bus %s's configuration are not zero; set it to "
                        "zero before filling it",
                        whose);
}

static int make_path(char path[SL_BUS_PATH_BYTES], const char *name, const char *suffix,
                     struct sl_error *err)
{
    static const char PREFIX[] = "/skylane.";
    const char *dir = sl_bus_dir();
    /* By hand: every reader looks at its door 20 times a second, and
     * snprintf() takes two pages of each one's stack. */
    if (strlen(dir) + strlen(PREFIX) + strlen(name) + strlen(suffix) < SL_BUS_PATH_BYTES) {
        stpcpy(stpcpy(stpcpy(stpcpy(path, dir), PREFIX), name), suffix);
        return 0;
    }
    return sl_error_set(err, -ENAMETOOLONG, "the path of bus %s in %s is too long", name,
                        sl_bus_dir());
}

int sl_bus_lock_path(char path[SL_BUS_PATH_BYTES], const char *name, struct sl_error *err)
{
    return make_path(path, name, "", err);
}

int sl_bus_door_path(char path[SL_BUS_PATH_BYTES], const char *name, struct sl_error *err)
{
    return make_path(path, name, ".door", err);
}

/* ---- the lock ---- */

static bool is_same_file(const char *path, int fd)
{
    struct stat named, opened;
    return stat(path, &named) == 0 && fstat(fd, &opened) == 0 && named.st_ino == opened.st_ino &&
           named.st_dev == opened.st_dev;
}

/* Opens what is there before it makes anything: in a sticky folder the kernel
 * refuses O_CREAT on another user's file, even to root. */
static int open_lock_file(const char *path)
{
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd >= 0 || errno != ENOENT)
        return fd;
    fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd >= 0)
        fchmod(fd, 0644); /* anybody may ask whether the lock is held */
    return fd;
}

static bool is_read_locked(const char *path)
{
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    bool yes = fd >= 0 && fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type == F_RDLCK;
    if (fd >= 0)
        close(fd);
    return yes;
}

static int owner_pid(const char *name)
{
    struct sl_bus_peer peer = {0};
    int fd = sl_bus_door_connect(name, &peer, NULL);
    if (fd >= 0)
        close(fd);
    return peer.pid;
}

static int refuse_open(const char *path, struct sl_error *err)
{
    const int code = errno;
    if (code == EACCES && access(path, F_OK) != 0)
        return sl_error_set(err, -code,
                            "in the folder of the buses, %s, you may not make files; set "
                            "SKYLANE_BUS_DIR to one in which you may",
                            sl_bus_dir());
    switch (code) {
    case ENOENT:
        return sl_error_set(err, -ENOENT,
                            "the folder of the buses, %s, does not exist; mount it, or set "
                            "SKYLANE_BUS_DIR to one that does",
                            sl_bus_dir());
    case ENOSPC:
        return sl_error_set(err, -ENOSPC,
                            "%s has no room for one more file; remove some (\"skylane bus clean\" "
                            "removes what dead programs left)",
                            sl_bus_dir());
    default:
        return sl_error_set(err, -code,
                            "cannot open %s: %s; if another user left it, ask them to remove it, "
                            "or choose another bus name",
                            path, strerror(code));
    }
}

int sl_bus_lock_take(const char *name, bool take_over, int *fd_out, struct sl_error *err)
{
    char path[SL_BUS_PATH_BYTES];
    int rc = sl_bus_lock_path(path, name, err);
    if (rc != 0)
        return rc;
    for (int attempt = 0; attempt < 100; attempt++) {
        int fd = open_lock_file(path);
        if (fd < 0 && errno == EEXIST)
            continue; /* made by another in between */
        if (fd < 0)
            return refuse_open(path, err);
        struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
        if (fcntl(fd, F_OFD_SETLK, &lock) != 0) {
            int code = errno;
            close(fd);
            if (code != EAGAIN && code != EACCES)
                return sl_error_set(err, -code, "cannot lock %s: %s", path, strerror(code));
            /* A reader's lock, which anybody may have, is no writer's: the next
             * file is not locked by it. */
            if ((take_over || is_read_locked(path)) && unlink(path) == 0)
                continue;
            int pid = owner_pid(name);
            if (pid == 0) /* about to open, or from another pid namespace */
                return sl_error_set(err, -EBUSY,
                                    "bus %s already has a writer; stop it, or choose another bus "
                                    "name",
                                    name);
            return sl_error_set(err, -EBUSY,
                                "bus %s already has a writer, process %d; stop it, or choose "
                                "another bus name",
                                name, pid);
        }
        /* A writer that was closing may have removed the file in between: then
         * the lock is on a file that nobody else can find. */
        if (is_same_file(path, fd)) {
            *fd_out = fd;
            return 0;
        }
        close(fd);
    }
    return sl_error_set(err, -EBUSY, "bus %s is opened and closed by others all the time", name);
}

int sl_bus_lock_is_held(const char *name)
{
    char path[SL_BUS_PATH_BYTES];
    int rc = sl_bus_lock_path(path, name, NULL);
    if (rc != 0)
        return rc;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return -errno;
    struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET};
    rc = fcntl(fd, F_OFD_GETLK, &lock) != 0 ? -errno : lock.l_type != F_UNLCK;
    close(fd);
    return rc;
}

bool sl_bus_lock_is_current(const char *name, int fd)
{
    char path[SL_BUS_PATH_BYTES];
    return sl_bus_lock_path(path, name, NULL) == 0 && is_same_file(path, fd);
}

/* ---- the door ---- */

/* A socket's address holds 107 bytes of path. A longer one is reached through
 * a descriptor of its folder, which the caller closes. */
static int door_address(struct sockaddr_un *address, const char *name, int *dir_fd)
{
    *dir_fd = -1;
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    char path[SL_BUS_PATH_BYTES];
    int rc = sl_bus_door_path(path, name, NULL);
    if (rc != 0)
        return rc;
    if (strlen(path) < sizeof address->sun_path) {
        memcpy(address->sun_path, path, strlen(path) + 1);
        return 0;
    }
    *dir_fd = open(sl_bus_dir(), O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (*dir_fd < 0)
        return -errno;
    snprintf(address->sun_path, sizeof address->sun_path, "/proc/self/fd/%d/skylane.%s.door",
             *dir_fd, name);
    return 0;
}

static int with_door(const char *name, int (*call)(int, const struct sockaddr *, socklen_t))
{
    struct sockaddr_un address;
    int dir_fd;
    int rc = door_address(&address, name, &dir_fd);
    if (rc != 0)
        return rc;
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || call(fd, (const struct sockaddr *)&address, sizeof address) != 0) {
        rc = -errno;
        if (fd >= 0)
            close(fd);
    }
    if (dir_fd >= 0)
        close(dir_fd);
    return rc == 0 ? fd : rc;
}

int sl_bus_door_connect(const char *name, struct sl_bus_peer *peer, uint64_t *door_id)
{
    int fd;
    uint64_t before, after = sl_bus_door_id(name);
    /* A door that was replaced in between could be either of the two. */
    for (int attempt = 0;; attempt++) {
        before = after;
        fd = with_door(name, connect);
        after = sl_bus_door_id(name);
        if (fd < 0 || before == after)
            break;
        close(fd);
        if (attempt == 10)
            return -ECONNREFUSED;
    }
    if (door_id != NULL)
        *door_id = after;
    if (fd < 0 || peer == NULL)
        return fd;
    struct ucred listens; /* answered or not */
    socklen_t size = sizeof listens;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &listens, &size) != 0)
        listens = (struct ucred){.uid = (uid_t)-1};
    *peer = (struct sl_bus_peer){.pid = listens.pid, .uid = listens.uid};
    return fd;
}

uint64_t sl_bus_door_id(const char *name)
{
    char path[SL_BUS_PATH_BYTES];
    struct stat st;
    if (sl_bus_door_path(path, name, NULL) != 0 || stat(path, &st) != 0)
        return 0;
    /* Inode numbers are given out again; with the time of birth, which a
     * socket's modification time stays, they are not. */
    return st.st_ino * UINT64_C(0x9e3779b97f4a7c15) ^
           ((uint64_t)st.st_mtim.tv_sec * 1000000000 + (uint64_t)st.st_mtim.tv_nsec);
}

int sl_bus_door_bind(const char *name, mode_t mode, gid_t gid, struct sl_error *err)
{
    char path[SL_BUS_PATH_BYTES];
    int rc = sl_bus_door_path(path, name, err);
    if (rc != 0)
        return rc;
    if (unlink(path) != 0 && errno != ENOENT)
        return sl_error_set(err, -errno, "cannot remove the old %s: %s", path, strerror(errno));
    int fd = with_door(name, bind);
    if (fd < 0)
        return sl_error_set(err, fd, "cannot make %s: %s", path, strerror(-fd));
    if ((gid != (gid_t)-1 && chown(path, (uid_t)-1, gid) != 0) || chmod(path, mode) != 0 ||
        listen(fd, BACKLOG) != 0) {
        rc = sl_error_set(err, -errno, "cannot open %s to its readers: %s", path, strerror(errno));
        close(fd);
        return rc;
    }
    return fd;
}
