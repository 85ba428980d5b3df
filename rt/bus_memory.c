#include "rt/bus_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/memfd.h>
#include <linux/udmabuf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "rt/bus.h"

#define PLAIN_PAGE ((size_t)4096)
#define HUGE_PAGE  ((size_t)2 << 20)

/* Younger than some headers; the values are the kernel's. */
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

#define GROUPS "/sys/fs/cgroup"

static size_t round_up(size_t value, size_t unit)
{
    return (value + unit - 1) / unit * unit;
}

/* The number behind `key` in a text file of the kernel's; UINT64_MAX if there is none. */
static uint64_t number_in_file(const char *path, const char *key)
{
    char line[256];
    uint64_t value = UINT64_MAX;
    FILE *f = fopen(path, "re");
    while (f != NULL && fgets(line, sizeof line, f) != NULL) {
        if (strncmp(line, key, strlen(key)) != 0)
            continue;
        char *end, *digits = line + strlen(key);
        uint64_t number = strtoull(digits, &end, 10);
        value = end != digits ? number : UINT64_MAX; /* "max": no limit */
        break;
    }
    if (f != NULL)
        fclose(f);
    return value;
}

/* What may still be taken in one control group, or UINT64_MAX. What its files
 * have cached counts as used, but gives way. */
static uint64_t left_in_group(const char *group)
{
    char path[640];
    snprintf(path, sizeof path, GROUPS "%s/memory.max", group);
    uint64_t limit = number_in_file(path, "");
    snprintf(path, sizeof path, GROUPS "%s/memory.current", group);
    uint64_t used = number_in_file(path, "");
    if (limit == UINT64_MAX || used == UINT64_MAX)
        return UINT64_MAX;
    snprintf(path, sizeof path, GROUPS "%s/memory.stat", group);
    static const char *const CACHES[] = {"inactive_file ", "active_file "};
    for (int i = 0; i < 2; i++) {
        uint64_t cached = number_in_file(path, CACHES[i]);
        if (cached != UINT64_MAX)
            used -= cached < used ? cached : used;
    }
    return used < limit ? limit - used : 0;
}

/* What may still be taken in this process's control group (version 2) and in
 * those that it lies in. */
static uint64_t available_in_cgroup(void)
{
    char line[512] = "";
    FILE *f = fopen("/proc/self/cgroup", "re");
    while (f != NULL && fgets(line, sizeof line, f) != NULL && strncmp(line, "0::", 3) != 0)
        line[0] = '\0';
    if (f != NULL)
        fclose(f);
    if (line[0] == '\0')
        return UINT64_MAX;
    line[strcspn(line, "\n")] = '\0';
    char *group = line + 3;
    uint64_t least = UINT64_MAX;
    for (char *end; (end = strrchr(group, '/')) != NULL; *end = '\0') {
        uint64_t left = left_in_group(group);
        least = left < least ? left : least;
    }
    return least;
}

/* Memory that the kernel thinks can be had without ending somebody's process. */
static uint64_t available_bytes(void)
{
    uint64_t kib = number_in_file("/proc/meminfo", "MemAvailable:");
    uint64_t machine = kib < UINT64_MAX / 1024 ? kib * 1024 : UINT64_MAX;
    uint64_t group = available_in_cgroup();
    return group < machine ? group : machine;
}

static int create_memfd(unsigned flags)
{
    flags |= MFD_CLOEXEC | MFD_ALLOW_SEALING;
    int fd = memfd_create("skylane-bus", flags | MFD_NOEXEC_SEAL);
    return fd >= 0 || errno != EINVAL ? fd : memfd_create("skylane-bus", flags);
}

/* Takes the pages of a mapping now. False if some are not to be had: then the
 * first touch would end the process. */
static bool populate(void *map, size_t bytes)
{
    if (madvise(map, bytes, MADV_POPULATE_WRITE) == 0)
        return true;
    if (errno != EINVAL)
        return false;
    for (size_t i = 0; i < bytes; i += PLAIN_PAGE) /* before Linux 5.14 */
        ((volatile uint8_t *)map)[i] = 0;
    return true;
}

/* On reserved huge pages. False: there are not enough, which is no error. */
static bool map_huge(struct sl_bus_memory *m, size_t bytes)
{
    m->bytes = round_up(bytes, HUGE_PAGE);
    m->fd = create_memfd(MFD_HUGETLB | MFD_HUGE_2MB);
    if (m->fd >= 0 && ftruncate(m->fd, (off_t)m->bytes) == 0) {
        /* mmap reserves the pages or fails; a control group may still refuse
         * them when they are taken. */
        void *map = mmap(NULL, m->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, m->fd, 0);
        m->map = map != MAP_FAILED ? map : NULL;
        if (m->map != NULL && populate(m->map, m->bytes)) {
            m->pages = SL_BUS_PAGES_HUGE;
            return true;
        }
    }
    sl_bus_memory_close(m);
    return false;
}

/* How much of a mapping the kernel put on transparent huge pages. */
static uint64_t transparent_kib(const void *map)
{
    char line[512];
    uint64_t kib = 0;
    bool inside = false;
    FILE *f = fopen("/proc/self/smaps", "re");
    while (f != NULL && fgets(line, sizeof line, f) != NULL) {
        static const char KEY[] = "ShmemPmdMapped:";
        char *end;
        uintptr_t from = strtoul(line, &end, 16); /* "from-to rights ..." begins a mapping */
        if (*end == '-')
            inside = from <= (uintptr_t)map && (uintptr_t)map < strtoul(end + 1, NULL, 16);
        else if (inside && strncmp(line, KEY, sizeof KEY - 1) == 0)
            kib += strtoull(line + sizeof KEY - 1, NULL, 10);
    }
    if (f != NULL)
        fclose(f);
    return kib;
}

static int map_plain(struct sl_bus_memory *m, size_t bytes, bool transparent, const char *what,
                     struct sl_error *err)
{
    m->bytes = round_up(bytes, PLAIN_PAGE);
    /* Asked before, since a kernel that has too little grants the pages all the
     * same and ends a process at the first touch. */
    uint64_t available = available_bytes();
    if (m->bytes > available)
        return sl_error_set(err, -ENOMEM,
                            "%s needs %zu bytes of memory, and %" PRIu64 " are available; end "
                            "other programs, or choose fewer or smaller slots",
                            what, m->bytes, available);
    m->fd = create_memfd(0);
    if (m->fd < 0 || ftruncate(m->fd, (off_t)m->bytes) != 0)
        return sl_error_set(err, -errno, "%s: cannot make shared memory of %zu bytes: %s", what,
                            m->bytes, strerror(errno));
    void *map = mmap(NULL, m->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, m->fd, 0);
    if (map == MAP_FAILED)
        return sl_error_set(err, -errno, "%s: cannot map %zu bytes: %s; check \"ulimit -v\"", what,
                            m->bytes, strerror(errno));
    m->map = map;
    if (transparent && m->bytes >= HUGE_PAGE)
        madvise(map, m->bytes, MADV_HUGEPAGE); /* a wish */
    if (!populate(map, m->bytes))
        return sl_error_set(err, -ENOMEM, "%s: %zu bytes of memory can not be had: %s", what,
                            m->bytes, strerror(errno));
    m->pages = transparent && m->bytes >= HUGE_PAGE && transparent_kib(map) != 0
                   ? SL_BUS_PAGES_TRANSPARENT
                   : SL_BUS_PAGES_PLAIN;
    return 0;
}

int sl_bus_memory_create(struct sl_bus_memory *m, size_t bytes, bool huge, const char *what,
                         struct sl_error *err)
{
    *m = SL_BUS_MEMORY_NONE;
    if (!huge || !map_huge(m, bytes)) {
        int rc = map_plain(m, bytes, huge, what, err);
        if (rc != 0) {
            sl_bus_memory_close(m);
            return rc;
        }
    }
    m->locked = m->pages == SL_BUS_PAGES_HUGE || mlock(m->map, m->bytes) == 0;
    fchmod(m->fd, 0600); /* or any user could open it anew through /proc */
    fcntl(m->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW);
    return 0;
}

int sl_bus_memory_dmabufs(const struct sl_bus_memory *m, size_t bytes, uint32_t count, int *dmabufs)
{
    const int maker = open("/dev/udmabuf", O_RDWR | O_CLOEXEC);
    int rc = maker >= 0 ? 0 : -errno;
    uint32_t made = 0;
    for (; rc == 0 && made < count; made++) {
        struct udmabuf_create piece = {.memfd = (uint32_t)m->fd,
                                       .flags = UDMABUF_FLAGS_CLOEXEC,
                                       .offset = (uint64_t)made * bytes,
                                       .size = bytes};
        dmabufs[made] = ioctl(maker, UDMABUF_CREATE, &piece);
        if (dmabufs[made] < 0) {
            rc = -errno;
            break;
        }
    }
    while (rc != 0 && made > 0)
        close(dmabufs[--made]);
    if (maker >= 0)
        close(maker);
    return rc;
}

void sl_bus_memory_seal_readers_out(struct sl_bus_memory *m)
{
    fcntl(m->fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE | F_SEAL_SEAL);
}

int sl_bus_memory_readable_fd(const struct sl_bus_memory *m)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", m->fd);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0)
        return fd;
    /* Without /proc the seal has to do. */
    int seals = fcntl(m->fd, F_GET_SEALS);
    if (seals < 0 || (seals & F_SEAL_FUTURE_WRITE) == 0)
        return -EACCES;
    fd = fcntl(m->fd, F_DUPFD_CLOEXEC, 0);
    return fd >= 0 ? fd : -errno;
}

void sl_bus_memory_close(struct sl_bus_memory *m)
{
    if (m->map != NULL)
        munmap(m->map, m->bytes);
    if (m->fd >= 0)
        close(m->fd);
    *m = SL_BUS_MEMORY_NONE;
}

int sl_bus_memory_map(int fd, bool writable, void **map, size_t *bytes)
{
    struct stat st;
    int seals = fcntl(fd, F_GET_SEALS);
    if (seals < 0 || (seals & F_SEAL_SHRINK) == 0 || fstat(fd, &st) != 0 || st.st_size <= 0)
        return -EPROTO;
    void *m = mmap(NULL, (size_t)st.st_size, writable ? PROT_READ | PROT_WRITE : PROT_READ,
                   MAP_SHARED | MAP_POPULATE, fd, 0);
    if (m == MAP_FAILED)
        return -errno;
    *map = m;
    *bytes = (size_t)st.st_size;
    return 0;
}
