/* The bus.
 *
 * Files, in SKYLANE_BUS_DIR or /dev/shm:
 *
 *   skylane.NAME            who writes: the writer holds a lock on it for as
 *                           long as it lives (the kernel drops it at death),
 *                           and the instance number of the ring stands in it
 *   skylane.NAME.ring.ID    header and slots; readers map it read-only
 *   skylane.NAME.rows.ID    one row a reader; readers write it, the writer
 *                           reads it and trusts nothing in it
 *
 * Payloads follow the slots in the ring file, or lie in a memfd on huge pages
 * which readers open through /proc/PID/fd: a huge page that no process maps is
 * free again, so a killed writer leaks none of that scarce memory.
 *
 * A restarted writer makes a ring with a new ID, so that nobody ever sees a
 * ring change its shape; readers notice by the instance number or the lock.
 *
 * Protocol. Each slot has a sequence word: the number of the record in it, or
 * 0 while it is empty or being filled. `newest` holds sequence and slot.
 *
 *   writer, to reuse slot s          reader, to hold slot s with record n
 *   W1 s.seq = 0                     R1 row.hazard = s
 *   -- fence --                      -- fence --
 *   W2 look at all hazards for s     R2 s.seq == n ?
 *
 * With a sequentially consistent fence on both sides at least one of the two
 * sees the other (Dekker's argument). If the writer sees the hazard it restores
 * the sequence and takes another slot; if the reader sees 0 or another number
 * it lets go and looks for the newest again. If both see each other, both step
 * back. Only when every slot but the newest is held does the writer go on
 * regardless: then s.seq is no longer n when the reader releases, which is how
 * it learns (a seqlock's read side). */
#include "rt/bus.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "rt/clock.h"
#include "rt/frame.h"

#define MAGIC                  UINT64_C(0x31305355424c4b53) /* "SKLBUS01" */
#define LAYOUT_VERSION         1u
#define PLAIN_PAGE             ((size_t)4096)
#define HUGE_PAGE              ((size_t)2 << 20)
#define LOOKUP_INTERVAL_NS     (10 * SL_NS_PER_MS)
#define LOOKUP_INTERVAL_MAX_NS (80 * SL_NS_PER_MS)
#define ALIVE_INTERVAL_NS      (50 * SL_NS_PER_MS)
#define PATH_BYTES             256

/* The name file's whole content. */
struct name_record {
    uint64_t magic;
    uint32_t layout_version;
    int32_t writer_pid;
    uint64_t instance; /* of ring and rows; 0 while there is none */
};

struct ring_header {
    _Atomic uint64_t magic; /* written last: then the rest is there */
    uint32_t layout_version;
    uint32_t type;
    uint64_t instance;
    uint32_t slot_count;
    uint32_t payloads_in_memfd;
    uint64_t slot_bytes;     /* from a payload to the next */
    uint64_t payload_bytes;  /* of all payloads, rounded up to their pages */
    uint64_t payload_offset; /* in the ring file; 0 for a memfd */
    int32_t writer_pid;
    int32_t payload_fd;     /* the memfd's number in the writer */
    uint64_t payload_inode; /* of the memfd: tells it from a recycled number */
    uint64_t payload_device;
    _Alignas(64) _Atomic uint64_t newest; /* sequence << 8 | slot; 0: nothing yet */
    _Alignas(64) _Atomic uint32_t bell;   /* futex word of ordinary readers */
    _Atomic uint32_t closed;
};

struct slot {
    _Alignas(64) _Atomic uint64_t seq;
    uint64_t measured_ns;
    uint64_t published_ns;
    uint64_t size;
    _Alignas(64) uint8_t meta[SL_BUS_META_BYTES];
};

struct row {
    _Alignas(64) _Atomic uint32_t owner_pid; /* 0: free */
    _Atomic uint32_t realtime;
    _Atomic uint64_t owner_start; /* process start time; 0: not yet told */
    _Atomic uint32_t hazard;      /* slot held + 1; 0: none */
    _Atomic uint32_t waiting;     /* asleep, or about to be */
    _Atomic uint32_t word;        /* futex word of a real-time reader */
};

struct rows {
    uint64_t magic;
    uint64_t instance;
    _Alignas(64) _Atomic uint32_t used; /* rows below this were claimed at some time */
    struct row row[SL_BUS_READERS_MAX];
};

struct sl_bus_writer {
    char name[SL_BUS_NAME_MAX + 1];
    int name_fd, ring_fd, rows_fd, payload_fd;
    struct ring_header *ring;
    struct slot *slots;
    uint8_t *payloads;
    struct rows *rows;
    size_t ring_bytes, payload_map_bytes;
    uint32_t slot_count; /* the writer's own copies: its steering never */
    size_t slot_bytes;   /* depends on what lies in shared memory       */
    size_t capacity;
    uint64_t seq;
    uint64_t slot_seq[SL_BUS_SLOTS_MAX];
    uint32_t newest_slot; /* slot_count: none */
    uint64_t overruns;
    bool huge;
    bool relay_running;
    pthread_t relay;
    _Atomic uint32_t relay_word;
    _Atomic uint32_t relay_stop;
};

struct sl_bus_reader {
    char name[SL_BUS_NAME_MAX + 1];
    uint32_t type;
    size_t min_bytes;
    bool realtime;
    int name_fd;
    const struct ring_header *ring; /* NULL: not attached */
    const struct slot *slots;
    const uint8_t *payloads;
    size_t ring_bytes, payload_map_bytes;
    struct rows *rows;
    struct row *row;
    uint32_t slot_count;
    size_t slot_bytes;
    uint64_t instance;
    uint64_t last_seq;
    uint64_t next_lookup_ns, next_alive_ns;
    uint64_t attached;
    bool holds;
    uint8_t *scratch; /* min_bytes: a record until it is known to be whole */
    int problem_code;
    const char *problem_format; /* what `problem` was made from */
    uint64_t lookup_interval_ns;
    char problem[256];
};

/* ---- small helpers ---- */

static long futex(const _Atomic uint32_t *word, int op, uint32_t value,
                  const struct timespec *until)
{
    return syscall(SYS_futex, word, op, value, until, NULL, FUTEX_BITSET_MATCH_ANY);
}

static void futex_wake(const _Atomic uint32_t *word, int count)
{
    futex(word, FUTEX_WAKE, (uint32_t)count, NULL);
}

/* Returns when woken, when *word is not `value`, at the time, or on a signal. */
static void futex_wait_until(const _Atomic uint32_t *word, uint32_t value, uint64_t until_ns)
{
    const struct timespec until = sl_clock_timespec(until_ns);
    futex(word, FUTEX_WAIT_BITSET, value, &until);
}

static size_t round_up(size_t value, size_t unit)
{
    return (value + unit - 1) / unit * unit;
}

static const char *bus_dir(void)
{
    const char *dir = getenv("SKYLANE_BUS_DIR");
    return dir != NULL && dir[0] != '\0' ? dir : "/dev/shm";
}

static int bus_path(char path[PATH_BYTES], const char *name, const char *part, uint64_t instance)
{
    int n = part == NULL ? snprintf(path, PATH_BYTES, "%s/skylane.%s", bus_dir(), name)
                         : snprintf(path, PATH_BYTES, "%s/skylane.%s.%s.%016" PRIx64, bus_dir(),
                                    name, part, instance);
    return n > 0 && n < PATH_BYTES ? 0 : -ENAMETOOLONG;
}

static int check_name(const char *name, struct sl_error *err)
{
    size_t length = name == NULL ? 0 : strlen(name);
    bool good = length > 0 && length <= SL_BUS_NAME_MAX;
    for (size_t i = 0; good && i < length; i++)
        good = islower((unsigned char)name[i]) || isdigit((unsigned char)name[i]) || name[i] == '_';
    if (good)
        return 0;
    return sl_error_set(err, -EINVAL,
                        "\"%.60s\" cannot be a bus's name: take 1 to %d of a-z, 0-9 and _",
                        name == NULL ? "" : name, SL_BUS_NAME_MAX);
}

/* Field 22 of /proc/PID/stat: clock ticks since boot at the process's start.
 * 0 if there is no such process. */
static uint64_t process_start(uint32_t pid)
{
    char path[64], text[1024];
    snprintf(path, sizeof path, "/proc/%" PRIu32 "/stat", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    if (n <= 0)
        return 0;
    text[n] = '\0';
    const char *p = strrchr(text, ')'); /* the command may hold spaces and brackets */
    for (int field = 2; p != NULL && field < 22; field++)
        p = strchr(p + 1, ' ');
    return p == NULL ? 0 : strtoull(p + 1, NULL, 10);
}

/* ---- writer: opening ---- */

static int reserve(int fd, size_t bytes, const char *what, const char *name, struct sl_error *err)
{
    /* Without this, a full /dev/shm would be a SIGBUS at the first touch. */
    int rc = posix_fallocate(fd, 0, (off_t)bytes);
    if (rc == 0)
        return 0;
    if (rc == ENOSPC || rc == ENOMEM)
        return sl_error_set(err, -ENOSPC,
                            "bus %s needs %zu bytes for its %s in %s, which has less left; "
                            "remove files there or make it larger",
                            name, bytes, what, bus_dir());
    return sl_error_set(err, -rc, "bus %s: cannot reserve %zu bytes in %s: %s", name, bytes,
                        bus_dir(), strerror(rc));
}

/* A new file of the bus, reserved and mapped. The file has no content before,
 * so O_EXCL keeps out anything that was put there under its name. */
static int create_mapped(const char *name, const char *part, uint64_t instance, size_t bytes,
                         int *fd, void **map, struct sl_error *err)
{
    char path[PATH_BYTES];
    int rc = bus_path(path, name, part, instance);
    if (rc != 0)
        return sl_error_set(err, rc, "the path of bus %s in %s is too long", name, bus_dir());
    *fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (*fd < 0)
        return sl_error_set(err, -errno, "cannot create %s: %s", path, strerror(errno));
    rc = reserve(*fd, bytes, part, name, err);
    if (rc != 0)
        return rc;
    *map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, *fd, 0);
    if (*map == MAP_FAILED) {
        *map = NULL;
        return sl_error_set(err, -errno, "cannot map %zu bytes of %s: %s", bytes, path,
                            strerror(errno));
    }
    return 0;
}

static bool is_same_file(const char *path, int fd)
{
    struct stat named, opened;
    return stat(path, &named) == 0 && fstat(fd, &opened) == 0 && named.st_ino == opened.st_ino &&
           named.st_dev == opened.st_dev;
}

/* Becomes the one writer: opens the name file and locks it. */
static int lock_name(struct sl_bus_writer *w, bool take_over, struct sl_error *err)
{
    char path[PATH_BYTES];
    int rc = bus_path(path, w->name, NULL, 0);
    if (rc != 0)
        return sl_error_set(err, rc, "the path of bus %s in %s is too long", w->name, bus_dir());

    for (int attempt = 0; attempt < 100; attempt++) {
        w->name_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (w->name_fd < 0 && errno == ENOENT)
            return sl_error_set(err, -ENOENT,
                                "the folder of the buses, %s, does not exist; mount it, or set "
                                "SKYLANE_BUS_DIR to one in memory (tmpfs)",
                                bus_dir());
        if (w->name_fd < 0)
            return sl_error_set(err, -errno,
                                "cannot open %s: %s; if another user left it, ask them to remove "
                                "it, or choose another bus name",
                                path, strerror(errno));
        struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
        if (fcntl(w->name_fd, F_OFD_SETLK, &lock) != 0) {
            int code = errno;
            struct name_record record = {0};
            ssize_t n = pread(w->name_fd, &record, sizeof record, 0);
            close(w->name_fd);
            w->name_fd = -1;
            if (code != EAGAIN && code != EACCES)
                return sl_error_set(err, -code, "cannot lock %s: %s", path, strerror(code));
            if (take_over && unlink(path) == 0)
                continue;
            return sl_error_set(err, -EBUSY,
                                "bus %s already has a writer, process %d; stop it, or choose "
                                "another bus name",
                                w->name, n == (ssize_t)sizeof record ? record.writer_pid : 0);
        }
        /* A writer that was closing may have removed the file in between: then
         * the lock is on a file that nobody else can find. */
        if (is_same_file(path, w->name_fd))
            return 0;
        close(w->name_fd);
        w->name_fd = -1;
    }
    return sl_error_set(err, -EBUSY, "bus %s is opened and closed by others all the time", w->name);
}

static void unlink_parts(const char *name, uint64_t instance)
{
    char path[PATH_BYTES];
    if (bus_path(path, name, "ring", instance) == 0)
        unlink(path);
    if (bus_path(path, name, "rows", instance) == 0)
        unlink(path);
}

static void remove_predecessor(struct sl_bus_writer *w)
{
    struct name_record old;
    if (pread(w->name_fd, &old, sizeof old, 0) == (ssize_t)sizeof old && old.magic == MAGIC &&
        old.instance != 0)
        unlink_parts(w->name, old.instance);
}

static int write_name(struct sl_bus_writer *w, uint64_t instance, struct sl_error *err)
{
    const struct name_record record = {.magic = MAGIC,
                                       .layout_version = LAYOUT_VERSION,
                                       .writer_pid = (int32_t)getpid(),
                                       .instance = instance};
    if (pwrite(w->name_fd, &record, sizeof record, 0) == (ssize_t)sizeof record)
        return 0;
    return sl_error_set(err, errno == ENOSPC ? -ENOSPC : -EIO,
                        "bus %s needs %zu bytes in %s, which has less left; remove files there or "
                        "make it larger",
                        w->name, PLAIN_PAGE, bus_dir());
}

/* Payloads on huge pages. False: there are none to be had, which is no error. */
static bool map_huge_payloads(struct sl_bus_writer *w, size_t bytes)
{
    size_t rounded = round_up(bytes, HUGE_PAGE);
    int fd = memfd_create("skylane-bus", MFD_CLOEXEC | MFD_HUGETLB);
    if (fd < 0)
        return false;
    if (ftruncate(fd, (off_t)rounded) == 0) {
        /* mmap reserves the pages or fails; populate then takes them. */
        void *map = mmap(NULL, rounded, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
        struct stat st;
        if (map != MAP_FAILED && fstat(fd, &st) == 0) {
            w->payload_fd = fd;
            w->payloads = map;
            w->payload_map_bytes = rounded;
            w->huge = true;
            w->ring->payloads_in_memfd = 1;
            w->ring->payload_fd = fd;
            w->ring->payload_inode = st.st_ino;
            w->ring->payload_device = st.st_dev;
            return true;
        }
        if (map != MAP_FAILED)
            munmap(map, rounded);
    }
    close(fd);
    return false;
}

static int map_rows(struct sl_bus_writer *w, uint64_t instance, struct sl_error *err)
{
    void *rows = NULL;
    int rc = create_mapped(w->name, "rows", instance, round_up(sizeof(struct rows), PLAIN_PAGE),
                           &w->rows_fd, &rows, err);
    if (rc != 0)
        return rc;
    w->rows = rows;
    w->rows->magic = MAGIC;
    w->rows->instance = instance;
    return 0;
}

static int map_ring(struct sl_bus_writer *w, const struct sl_bus_writer_config *config,
                    uint64_t instance, struct sl_error *err)
{
    w->slot_count = config->slot_count;
    w->slot_bytes = round_up(config->slot_bytes, config->slot_bytes > PLAIN_PAGE ? PLAIN_PAGE : 64);
    w->capacity = config->slot_bytes;
    w->newest_slot = w->slot_count;

    const size_t slots_offset = round_up(sizeof(struct ring_header), 64);
    const size_t head_bytes =
        round_up(slots_offset + w->slot_count * sizeof(struct slot), PLAIN_PAGE);
    const size_t payload_bytes = round_up(w->slot_count * w->slot_bytes, PLAIN_PAGE);

    /* Made without the payloads first: whether they belong to it is known only
     * after huge pages were asked for. */
    void *head = NULL;
    int rc = create_mapped(w->name, "ring", instance, head_bytes, &w->ring_fd, &head, err);
    if (rc != 0)
        return rc;
    w->ring = head;
    w->ring_bytes = head_bytes;
    if (!config->huge_pages || !map_huge_payloads(w, payload_bytes)) {
        rc = reserve(w->ring_fd, head_bytes + payload_bytes, "frames", w->name, err);
        if (rc != 0)
            return rc;
        void *all = mmap(NULL, head_bytes + payload_bytes, PROT_READ | PROT_WRITE,
                         MAP_SHARED | MAP_POPULATE, w->ring_fd, 0);
        if (all == MAP_FAILED)
            return sl_error_set(err, -errno, "bus %s: cannot map %zu bytes: %s", w->name,
                                head_bytes + payload_bytes, strerror(errno));
        munmap(head, head_bytes);
        w->ring = all;
        w->ring_bytes = head_bytes + payload_bytes;
        w->payloads = (uint8_t *)all + head_bytes;
        w->ring->payload_offset = head_bytes;
    }
    w->slots = (struct slot *)((uint8_t *)w->ring + slots_offset);

    w->ring->layout_version = LAYOUT_VERSION;
    w->ring->type = config->type;
    w->ring->instance = instance;
    w->ring->slot_count = w->slot_count;
    w->ring->slot_bytes = w->slot_bytes;
    w->ring->payload_bytes = w->huge ? w->payload_map_bytes : payload_bytes;
    w->ring->writer_pid = (int32_t)getpid();
    /* SYNC with the acquire in check_ring(). */
    atomic_store_explicit(&w->ring->magic, MAGIC, memory_order_release);
    return 0;
}

/* ---- writer: the relay ---- */

#define RECLAIMING UINT32_C(0x80000000) /* with the pid of who does it */

/* Frees the rows of readers that died without closing. */
static void reclaim_rows(struct rows *rows)
{
    uint32_t used = atomic_load_explicit(&rows->used, memory_order_relaxed);
    for (uint32_t i = 0; i < used && i < SL_BUS_READERS_MAX; i++) {
        struct row *row = &rows->row[i];
        uint32_t pid = atomic_load_explicit(&row->owner_pid, memory_order_acquire);
        if (pid == 0)
            continue;
        uint64_t start = atomic_load_explicit(&row->owner_start, memory_order_relaxed);
        uint64_t now = process_start(pid & ~RECLAIMING);
        if (now != 0 && (start == 0 || start == now || (pid & RECLAIMING) != 0))
            continue;
        /* Owned first, so that of two who found it only one clears it, and
         * nobody claims it half cleared. */
        uint32_t mine = RECLAIMING | (uint32_t)getpid();
        if (!atomic_compare_exchange_strong_explicit(&row->owner_pid, &pid, mine,
                                                     memory_order_acquire, memory_order_relaxed))
            continue;
        atomic_store_explicit(&row->hazard, 0, memory_order_relaxed);
        atomic_store_explicit(&row->waiting, 0, memory_order_relaxed);
        atomic_store_explicit(&row->owner_start, 0, memory_order_relaxed);
        /* SYNC with the acquire in claim_row(). */
        atomic_store_explicit(&row->owner_pid, 0, memory_order_release);
    }
}

/* Wakes ordinary readers on behalf of the (perhaps real-time) writer, so that
 * two hundred sleepers cost the writer one wake. */
static void *relay_main(void *argument)
{
    struct sl_bus_writer *w = argument;
    uint64_t reclaim_ns = sl_clock_now_ns() + 100 * SL_NS_PER_MS;
    uint32_t seen = 0;
    while (atomic_load_explicit(&w->relay_stop, memory_order_acquire) == 0) {
        uint32_t word = atomic_load_explicit(&w->relay_word, memory_order_acquire);
        if (word != seen) {
            seen = word;
            futex_wake(&w->ring->bell, INT_MAX);
        } else {
            futex_wait_until(&w->relay_word, word, reclaim_ns);
        }
        if (sl_clock_now_ns() >= reclaim_ns) {
            reclaim_rows(w->rows);
            reclaim_ns = sl_clock_now_ns() + 100 * SL_NS_PER_MS;
        }
    }
    return NULL;
}

static int start_relay(struct sl_bus_writer *w, struct sl_error *err)
{
    /* An ordinary thread whoever opens the bus, deaf to signals: those are for
     * the program's own threads. */
    pthread_attr_t attr;
    sigset_t all, old;
    pthread_attr_init(&attr);
    pthread_attr_setinheritsched(&attr, PTHREAD_EXPLICIT_SCHED);
    pthread_attr_setschedpolicy(&attr, SCHED_OTHER);
    pthread_attr_setstacksize(&attr, (size_t)128 << 10);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int rc = pthread_create(&w->relay, &attr, relay_main, w);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attr);
    if (rc != 0)
        return sl_error_set(err, -rc, "bus %s: cannot start its thread: %s", w->name, strerror(rc));
    pthread_setname_np(w->relay, "sl-bus-relay");
    w->relay_running = true;
    return 0;
}

int sl_bus_writer_open(struct sl_bus_writer **writer, const struct sl_bus_writer_config *config,
                       struct sl_error *err)
{
    *writer = NULL;
    int rc = check_name(config->name, err);
    if (rc != 0)
        return rc;
    if (config->slot_count < 3 || config->slot_count > SL_BUS_SLOTS_MAX ||
        config->slot_bytes == 0 || config->slot_bytes > (size_t)1 << 30)
        return sl_error_set(err, -EINVAL,
                            "bus %s: %u slots of %zu bytes; 3 to %d slots of 1 byte to 1 GiB are "
                            "possible",
                            config->name, config->slot_count, config->slot_bytes, SL_BUS_SLOTS_MAX);
    struct sl_bus_writer *w = calloc(1, sizeof *w);
    if (w == NULL)
        return sl_error_set(err, -ENOMEM, "no memory for a bus");
    snprintf(w->name, sizeof w->name, "%s", config->name);
    w->name_fd = w->ring_fd = w->rows_fd = w->payload_fd = -1;

    uint64_t instance = 0;
    rc = lock_name(w, config->take_over, err);
    if (rc != 0)
        goto error;
    remove_predecessor(w);
    while (instance == 0) {
        if (getrandom(&instance, sizeof instance, 0) != (ssize_t)sizeof instance)
            instance = sl_clock_now_ns() ^ (uint64_t)getpid() << 40;
    }
    /* Told before the parts exist, so that a successor can remove them even
     * if this process dies half-way; readers retry until they are whole. */
    rc = write_name(w, instance, err);
    if (rc == 0)
        rc = map_rows(w, instance, err);
    if (rc == 0)
        rc = map_ring(w, config, instance, err);
    if (rc == 0)
        rc = start_relay(w, err);
    if (rc != 0)
        goto error;
    *writer = w;
    return 0;

error:
    sl_bus_writer_close(w);
    return rc;
}

void sl_bus_writer_close(struct sl_bus_writer *w)
{
    if (w == NULL)
        return;
    if (w->ring != NULL && w->slots != NULL) {
        atomic_store_explicit(&w->ring->closed, 1, memory_order_release);
        atomic_fetch_add_explicit(&w->ring->bell, 1, memory_order_release);
        futex_wake(&w->ring->bell, INT_MAX);
        for (uint32_t i = 0; i < SL_BUS_READERS_MAX; i++) {
            atomic_fetch_add_explicit(&w->rows->row[i].word, 1, memory_order_release);
            futex_wake(&w->rows->row[i].word, INT_MAX);
        }
    }
    if (w->relay_running) {
        atomic_store_explicit(&w->relay_stop, 1, memory_order_release);
        atomic_fetch_add_explicit(&w->relay_word, 1, memory_order_release);
        futex_wake(&w->relay_word, 1);
        pthread_join(w->relay, NULL);
    }
    if (w->name_fd >= 0) { /* locked: it names our own parts by now */
        char path[PATH_BYTES];
        remove_predecessor(w);
        if (bus_path(path, w->name, NULL, 0) == 0 && is_same_file(path, w->name_fd))
            unlink(path);
    }
    if (w->huge && w->payloads != NULL)
        munmap(w->payloads, w->payload_map_bytes);
    if (w->ring != NULL)
        munmap(w->ring, w->ring_bytes);
    if (w->rows != NULL)
        munmap(w->rows, round_up(sizeof(struct rows), PLAIN_PAGE));
    const int fds[] = {w->payload_fd, w->ring_fd, w->rows_fd, w->name_fd};
    for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++) {
        if (fds[i] >= 0)
            close(fds[i]);
    }
    free(w);
}

bool sl_bus_writer_huge_pages(const struct sl_bus_writer *w)
{
    return w->huge;
}

uint64_t sl_bus_writer_overruns(const struct sl_bus_writer *w)
{
    return w->overruns;
}

/* ---- writer: loan and publish ---- */

static uint32_t rows_used(const struct rows *rows)
{
    /* SYNC with the release in claim_row(). Readers write this: never trust it
     * beyond the array. */
    uint32_t used = atomic_load_explicit(&rows->used, memory_order_acquire);
    return used < SL_BUS_READERS_MAX ? used : SL_BUS_READERS_MAX;
}

/* One bit for each slot that some reader announces. */
static uint64_t held_slots(const struct rows *rows)
{
    uint64_t held = 0;
    for (uint32_t i = 0, used = rows_used(rows); i < used; i++) {
        /* SYNC with the release store of hazard in let_go(): a reader's last
         * look at the payload comes before the writer's first store to it. */
        uint32_t hazard = atomic_load_explicit(&rows->row[i].hazard, memory_order_acquire);
        if (hazard != 0 && hazard <= SL_BUS_SLOTS_MAX)
            held |= UINT64_C(1) << (hazard - 1);
    }
    return held;
}

/* The slot with the oldest record among those not excluded; slot_count if none. */
static uint32_t oldest_slot(const struct sl_bus_writer *w, uint64_t excluded)
{
    uint32_t best = w->slot_count;
    for (uint32_t s = 0; s < w->slot_count; s++) {
        if (s == w->newest_slot || (excluded >> s & 1) != 0)
            continue;
        if (best == w->slot_count || w->slot_seq[s] < w->slot_seq[best])
            best = s;
    }
    return best;
}

void sl_bus_loan(struct sl_bus_writer *w, struct sl_bus_loan *loan)
{
    uint64_t held = held_slots(w->rows);
    uint32_t s;
    for (;;) { /* at most once a slot: `held` grows by one each time round */
        s = oldest_slot(w, held);
        bool overrun = s == w->slot_count;
        if (overrun)
            s = oldest_slot(w, 0);
        atomic_store_explicit(&w->slots[s].seq, 0, memory_order_relaxed);
        /* SYNC with the fence in take_slot(): W1 before W2. Also keeps the
         * payload's stores behind seq = 0 for readers that are overrun. */
        atomic_thread_fence(memory_order_seq_cst);
        if (overrun) {
            w->overruns++;
            break;
        }
        uint64_t now_held = held_slots(w->rows);
        if ((now_held >> s & 1) == 0)
            break;
        /* Taken between the two looks: its record is untouched, give it back. */
        atomic_store_explicit(&w->slots[s].seq, w->slot_seq[s], memory_order_release);
        held |= now_held;
    }
    w->slot_seq[s] = 0;
    memset(w->slots[s].meta, 0, sizeof w->slots[s].meta);
    *loan = (struct sl_bus_loan){.data = w->payloads + s * w->slot_bytes,
                                 .capacity = w->capacity,
                                 .meta = w->slots[s].meta,
                                 .slot = s};
}

static void wake_readers(struct sl_bus_writer *w)
{
    bool others = false;
    for (uint32_t i = 0, used = rows_used(w->rows); i < used; i++) {
        struct row *row = &w->rows->row[i];
        if (atomic_load_explicit(&row->waiting, memory_order_relaxed) == 0)
            continue;
        if (atomic_load_explicit(&row->realtime, memory_order_relaxed) != 0) {
            atomic_fetch_add_explicit(&row->word, 1, memory_order_release);
            futex_wake(&row->word, INT_MAX);
        } else {
            others = true;
        }
    }
    if (others) {
        atomic_fetch_add_explicit(&w->relay_word, 1, memory_order_release);
        futex_wake(&w->relay_word, 1);
    }
}

void sl_bus_publish(struct sl_bus_writer *w, struct sl_bus_loan *loan, size_t size,
                    uint64_t measured_ns)
{
    struct slot *slot = &w->slots[loan->slot];
    slot->measured_ns = measured_ns;
    slot->published_ns = sl_clock_now_ns();
    slot->size = size <= w->capacity ? size : w->capacity;
    w->seq++;
    w->slot_seq[loan->slot] = w->seq;
    w->newest_slot = loan->slot;
    /* SYNC with the acquire loads of seq in take_slot(): the payload is there
     * before its number is. */
    atomic_store_explicit(&slot->seq, w->seq, memory_order_release);
    /* SYNC with the loads of newest in newer_than(). */
    atomic_store_explicit(&w->ring->newest, w->seq << 8 | loan->slot, memory_order_release);
    atomic_fetch_add_explicit(&w->ring->bell, 1, memory_order_release);
    /* SYNC with the fence in sleep_for_news(): either this sees `waiting`, or
     * the reader sees the new `newest` before it sleeps. */
    atomic_thread_fence(memory_order_seq_cst);
    wake_readers(w);
}

void sl_bus_cancel(struct sl_bus_writer *w, struct sl_bus_loan *loan)
{
    (void)w; /* the slot's seq is 0 already: nobody can take it */
    loan->data = NULL;
}

void sl_bus_write(struct sl_bus_writer *w, const void *record, size_t size, uint64_t measured_ns)
{
    struct sl_bus_loan loan;
    sl_bus_loan(w, &loan);
    memcpy(loan.data, record, size <= loan.capacity ? size : loan.capacity);
    sl_bus_publish(w, &loan, size, measured_ns);
}

/* ---- reader: attaching ---- */

static int problem(struct sl_bus_reader *r, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static int problem(struct sl_bus_reader *r, int code, const char *format, ...)
{
    r->problem_code = code;
    /* A real-time reader asks again and again: the text is made once. */
    if (r->problem_format == format)
        return code;
    va_list args;
    va_start(args, format);
    vsnprintf(r->problem, sizeof r->problem, format, args);
    va_end(args);
    r->problem_format = format;
    return code;
}

static void detach(struct sl_bus_reader *r)
{
    if (r->row != NULL) {
        atomic_store_explicit(&r->row->hazard, 0, memory_order_release);
        atomic_store_explicit(&r->row->waiting, 0, memory_order_relaxed);
        atomic_store_explicit(&r->row->owner_start, 0, memory_order_relaxed);
        atomic_store_explicit(&r->row->owner_pid, 0, memory_order_release);
    }
    if (r->rows != NULL)
        munmap(r->rows, round_up(sizeof(struct rows), PLAIN_PAGE));
    if (r->payload_map_bytes != 0)
        munmap((void *)r->payloads, r->payload_map_bytes);
    if (r->ring != NULL)
        munmap((void *)r->ring, r->ring_bytes);
    if (r->name_fd >= 0)
        close(r->name_fd);
    r->row = NULL;
    r->rows = NULL;
    r->payloads = NULL;
    r->payload_map_bytes = 0;
    r->ring = NULL;
    r->slots = NULL;
    r->name_fd = -1;
    r->holds = false;
}

/* The writer's lock is the truth about its life: the kernel drops it. */
static bool writer_alive(int name_fd)
{
    struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET};
    return fcntl(name_fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

static int map_file(struct sl_bus_reader *r, const char *part, int flags, int protection,
                    void **map, size_t *bytes)
{
    char path[PATH_BYTES];
    if (bus_path(path, r->name, part, r->instance) != 0)
        return problem(r, -EPIPE, "the path of bus %s in %s is too long", r->name, bus_dir());
    int fd = open(path, flags | O_CLOEXEC | O_NOFOLLOW);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0 || st.st_size == 0) {
        int code = fd < 0 ? errno : 0;
        if (fd >= 0)
            close(fd);
        if (code == EACCES)
            return problem(r, -EPIPE,
                           "bus %s belongs to another user; run both sides as the same one",
                           r->name);
        return problem(r, -EPIPE, "the writer of bus %s is just starting", r->name);
    }
    *bytes = (size_t)st.st_size;
    void *p = mmap(NULL, *bytes, protection, MAP_SHARED | MAP_POPULATE, fd, 0);
    int code = errno;
    close(fd);
    if (p == MAP_FAILED)
        return problem(r, -EPIPE, "cannot map bus %s: %s", r->name, strerror(code));
    *map = p;
    return 0;
}

/* Payloads in the writer's memfd. */
static int map_payloads(struct sl_bus_reader *r, const struct ring_header *ring)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/fd/%d", ring->writer_pid, ring->payload_fd);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return problem(r, -EPIPE, "cannot open the frames of bus %s (%s): %s", r->name, path,
                       strerror(errno));
    struct stat st;
    bool same = fstat(fd, &st) == 0 && st.st_ino == ring->payload_inode &&
                st.st_dev == ring->payload_device && (uint64_t)st.st_size >= ring->payload_bytes;
    void *map = same ? mmap(NULL, ring->payload_bytes, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0)
                     : MAP_FAILED;
    close(fd);
    if (map == MAP_FAILED)
        return problem(r, -EPIPE, "the frames of bus %s are gone with their writer", r->name);
    r->payloads = map;
    r->payload_map_bytes = ring->payload_bytes;
    return 0;
}

/* Looks once at what another process wrote, and keeps a copy of what it then
 * goes by. */
static int check_ring(struct sl_bus_reader *r)
{
    const size_t slots_offset = round_up(sizeof *r->ring, 64);
    /* SYNC with the release in map_ring(). */
    if (r->ring_bytes < sizeof *r->ring ||
        atomic_load_explicit(&r->ring->magic, memory_order_acquire) != MAGIC)
        return problem(r, -EPIPE, "the writer of bus %s is just starting", r->name);
    if (atomic_load_explicit(&r->ring->closed, memory_order_acquire) != 0)
        return problem(r, -EPIPE, "the writer of bus %s closed it", r->name);
    const struct ring_header copy = *r->ring, *ring = &copy;
    if (ring->instance != r->instance)
        return problem(r, -EPIPE, "the writer of bus %s is just starting", r->name);
    if (ring->layout_version != LAYOUT_VERSION)
        return problem(r, -EPROTO,
                       "bus %s is laid out as version %u, this program knows %u; update the older "
                       "of the two programs",
                       r->name, ring->layout_version, LAYOUT_VERSION);
    if (ring->type != r->type) {
        char has[5], wants[5];
        return problem(r, -EPROTO,
                       "bus %s carries %s records, but %s are expected; check the bus names in "
                       "the settings, and that both programs are of one version",
                       r->name, sl_frame_format_name(ring->type, has),
                       sl_frame_format_name(r->type, wants));
    }
    if (ring->slot_count < 1 || ring->slot_count > SL_BUS_SLOTS_MAX || ring->slot_bytes == 0 ||
        ring->slot_bytes > (uint64_t)1 << 31 ||
        slots_offset + ring->slot_count * sizeof(struct slot) > r->ring_bytes ||
        ring->slot_count * ring->slot_bytes > ring->payload_bytes ||
        (!ring->payloads_in_memfd && (ring->payload_bytes > r->ring_bytes ||
                                      ring->payload_offset > r->ring_bytes - ring->payload_bytes)))
        return problem(r, -EPROTO, "the header of bus %s is corrupt; restart its writer", r->name);
    if (ring->slot_bytes < r->min_bytes)
        return problem(r, -EPROTO,
                       "records on bus %s have %" PRIu64 " bytes, but %zu are expected; update "
                       "the older of the two programs",
                       r->name, ring->slot_bytes, r->min_bytes);
    r->slot_count = ring->slot_count;
    r->slot_bytes = ring->slot_bytes;
    r->slots = (const struct slot *)((const uint8_t *)r->ring + slots_offset);
    if (ring->payloads_in_memfd)
        return map_payloads(r, ring);
    r->payloads = (const uint8_t *)r->ring + ring->payload_offset;
    return 0;
}

static int claim_row(struct sl_bus_reader *r)
{
    uint32_t pid = (uint32_t)getpid();
    for (int attempt = 0; attempt < 2; attempt++) {
        for (uint32_t i = 0; i < SL_BUS_READERS_MAX; i++) {
            struct row *row = &r->rows->row[i];
            uint32_t nobody = 0;
            /* SYNC with the release in detach() and reclaim_rows(): the row is clean. */
            if (!atomic_compare_exchange_strong_explicit(
                    &row->owner_pid, &nobody, pid, memory_order_acquire, memory_order_relaxed))
                continue;
            atomic_store_explicit(&row->owner_start, process_start(pid), memory_order_relaxed);
            atomic_store_explicit(&row->realtime, r->realtime, memory_order_relaxed);
            uint32_t used = atomic_load_explicit(&r->rows->used, memory_order_relaxed);
            while (used < i + 1 &&
                   !atomic_compare_exchange_weak_explicit(
                       &r->rows->used, &used, i + 1, memory_order_release, memory_order_relaxed)) {
            }
            r->row = row;
            return 0;
        }
        if (r->realtime)
            break; /* the writer's own thread will reclaim soon: too slow for here */
        reclaim_rows(r->rows);
    }
    return problem(r, -EUSERS, "bus %s already has %d readers; close some", r->name,
                   SL_BUS_READERS_MAX);
}

static int attach(struct sl_bus_reader *r)
{
    char path[PATH_BYTES];
    if (bus_path(path, r->name, NULL, 0) != 0)
        return problem(r, -EPIPE, "the path of bus %s in %s is too long", r->name, bus_dir());
    r->name_fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (r->name_fd < 0)
        return errno == EACCES
                   ? problem(r, -EPIPE,
                             "bus %s belongs to another user; run both sides as the same one",
                             r->name)
                   : problem(r, -EPIPE, "nobody writes bus %s yet", r->name);
    struct name_record name;
    if (pread(r->name_fd, &name, sizeof name, 0) != (ssize_t)sizeof name || name.magic != MAGIC ||
        name.instance == 0)
        return problem(r, -EPIPE, "the writer of bus %s is just starting", r->name);
    if (!writer_alive(r->name_fd))
        return problem(r, -EPIPE, "the writer of bus %s, process %d, is gone", r->name,
                       name.writer_pid);
    if (r->instance != name.instance)
        r->last_seq = 0;
    r->instance = name.instance;

    void *ring = NULL, *rows = NULL;
    size_t rows_bytes = 0;
    int rc = map_file(r, "ring", O_RDONLY, PROT_READ, &ring, &r->ring_bytes);
    r->ring = ring;
    if (rc == 0)
        rc = check_ring(r);
    if (rc == 0)
        rc = map_file(r, "rows", O_RDWR, PROT_READ | PROT_WRITE, &rows, &rows_bytes);
    if (rc == 0 && rows_bytes < sizeof(struct rows)) {
        munmap(rows, rows_bytes);
        rows = NULL;
    }
    r->rows = rows;
    if (rc == 0 && (rows == NULL || r->rows->instance != r->instance))
        rc = problem(r, -EPIPE, "the writer of bus %s is just starting", r->name);
    if (rc == 0)
        rc = claim_row(r);
    if (rc != 0)
        return rc;
    r->attached++;
    r->problem_code = 0;
    r->problem_format = NULL;
    r->problem[0] = '\0';
    r->next_alive_ns = sl_clock_now_ns() + ALIVE_INTERVAL_NS;
    return 0;
}

/* 0 if attached to a writer; else -EPIPE, -EPROTO or -EUSERS. Looks for one
 * at most every 10 ms. */
static int ensure_attached(struct sl_bus_reader *r)
{
    if (r->ring != NULL)
        return 0;
    uint64_t now = sl_clock_now_ns();
    if (now < r->next_lookup_ns)
        return r->problem_code;
    int rc = attach(r);
    if (rc == 0) {
        r->lookup_interval_ns = LOOKUP_INTERVAL_NS;
        return 0;
    }
    detach(r);
    /* A bus that nobody writes (a car without odometry) is asked for less and
     * less often. */
    r->next_lookup_ns = now + r->lookup_interval_ns;
    if (r->lookup_interval_ns < LOOKUP_INTERVAL_MAX_NS)
        r->lookup_interval_ns *= 2;
    return rc;
}

/* With nothing new to read: is this still the bus of that name? Detaches if not. */
static void check_writer(struct sl_bus_reader *r)
{
    if (r->holds)
        return; /* what is lent must stay mapped */
    if (atomic_load_explicit(&r->ring->closed, memory_order_acquire) != 0) {
        problem(r, -EPIPE, "the writer of bus %s closed it", r->name);
        detach(r);
        r->next_lookup_ns = 0;
        return;
    }
    uint64_t now = sl_clock_now_ns();
    if (now < r->next_alive_ns)
        return;
    r->next_alive_ns = now + ALIVE_INTERVAL_NS;
    struct name_record name;
    struct stat st;
    bool ours = pread(r->name_fd, &name, sizeof name, 0) == (ssize_t)sizeof name &&
                name.instance == r->instance && fstat(r->name_fd, &st) == 0 && st.st_nlink > 0;
    if (ours && writer_alive(r->name_fd))
        return;
    problem(r, -EPIPE, "the writer of bus %s is gone", r->name);
    detach(r);
    r->next_lookup_ns = 0;
}

int sl_bus_reader_open(struct sl_bus_reader **reader, const struct sl_bus_reader_config *config,
                       struct sl_error *err)
{
    *reader = NULL;
    int rc = check_name(config->name, err);
    if (rc != 0)
        return rc;
    struct sl_bus_reader *r = calloc(1, sizeof *r + config->min_bytes);
    if (r == NULL)
        return sl_error_set(err, -ENOMEM, "no memory for a bus reader");
    r->scratch = (uint8_t *)(r + 1);
    snprintf(r->name, sizeof r->name, "%s", config->name);
    r->type = config->type;
    r->min_bytes = config->min_bytes;
    r->realtime = config->realtime;
    r->name_fd = -1;
    r->lookup_interval_ns = LOOKUP_INTERVAL_NS;
    problem(r, -EPIPE, "nobody writes bus %s yet", r->name);
    *reader = r;
    return 0;
}

void sl_bus_reader_close(struct sl_bus_reader *r)
{
    if (r == NULL)
        return;
    detach(r);
    free(r);
}

const char *sl_bus_reader_problem(const struct sl_bus_reader *r)
{
    return r->problem;
}

uint64_t sl_bus_reader_attached(const struct sl_bus_reader *r)
{
    return r->attached;
}

bool sl_bus_reader_huge_pages(const struct sl_bus_reader *r)
{
    return r->payload_map_bytes != 0;
}

/* ---- reader: waiting and holding ---- */

/* The newest word if it is newer than what was acquired last, else 0. */
static uint64_t newer_than(const struct sl_bus_reader *r)
{
    /* SYNC with the release of newest in sl_bus_publish(). */
    uint64_t newest = atomic_load_explicit(&r->ring->newest, memory_order_acquire);
    return newest >> 8 > r->last_seq ? newest : 0;
}

static void sleep_for_news(struct sl_bus_reader *r, uint64_t until_ns)
{
    const _Atomic uint32_t *word = r->realtime ? &r->row->word : &r->ring->bell;
    uint32_t before = atomic_load_explicit(word, memory_order_acquire);
    atomic_store_explicit(&r->row->waiting, 1, memory_order_relaxed);
    /* SYNC with the fence in sl_bus_publish(). */
    atomic_thread_fence(memory_order_seq_cst);
    if (newer_than(r) == 0 && atomic_load_explicit(&r->ring->closed, memory_order_relaxed) == 0)
        futex_wait_until(word, before, until_ns);
    atomic_store_explicit(&r->row->waiting, 0, memory_order_relaxed);
}

int sl_bus_wait(struct sl_bus_reader *r, uint64_t deadline_ns)
{
    for (;;) {
        int rc = ensure_attached(r);
        if (rc == 0 && newer_than(r) != 0)
            return 0;
        if (rc == 0) {
            check_writer(r);
            if (r->ring == NULL)
                rc = r->problem_code;
        }
        uint64_t now = sl_clock_now_ns();
        if (now >= deadline_ns)
            return rc == 0 ? -ETIMEDOUT : rc;
        if (rc == 0) {
            uint64_t until = r->next_alive_ns < deadline_ns ? r->next_alive_ns : deadline_ns;
            sleep_for_news(r, until);
        } else {
            uint64_t until = now + LOOKUP_INTERVAL_NS;
            sl_clock_sleep_until_ns(until < deadline_ns ? until : deadline_ns);
        }
    }
}

static void let_go(struct sl_bus_reader *r)
{
    /* SYNC with the acquire in held_slots(). */
    atomic_store_explicit(&r->row->hazard, 0, memory_order_release);
    r->holds = false;
}

/* R1, R2: holds slot `s` if record `seq` is still in it. */
static bool take_slot(struct sl_bus_reader *r, uint32_t s, uint64_t seq, struct sl_bus_view *view)
{
    /* Release, since this too ends the hold before it for held_slots(). */
    atomic_store_explicit(&r->row->hazard, s + 1, memory_order_release);
    /* SYNC with the fence in sl_bus_loan(). */
    atomic_thread_fence(memory_order_seq_cst);
    const struct slot *slot = &r->slots[s];
    /* SYNC with the release of seq in sl_bus_publish(). */
    if (atomic_load_explicit(&slot->seq, memory_order_acquire) != seq) {
        let_go(r);
        return false;
    }
    uint64_t size = slot->size;
    *view = (struct sl_bus_view){.data = r->payloads + s * r->slot_bytes,
                                 .meta = slot->meta,
                                 .size = size <= r->slot_bytes ? size : r->slot_bytes,
                                 .seq = seq,
                                 .measured_ns = slot->measured_ns,
                                 .published_ns = slot->published_ns,
                                 .missed = seq - r->last_seq - 1,
                                 .slot = s};
    /* A reader that only just arrived has missed nothing. */
    if (r->last_seq == 0)
        view->missed = 0;
    r->last_seq = seq;
    r->holds = true;
    return true;
}

static int nothing_new(struct sl_bus_reader *r)
{
    check_writer(r);
    return r->ring != NULL ? -EAGAIN : -EPIPE;
}

/* No honest writer can outrun a reader this often. */
#define TRIES_MAX 1000

static int corrupt(struct sl_bus_reader *r)
{
    int rc = problem(r, -EPROTO, "what lies on bus %s is corrupt; restart its writer", r->name);
    detach(r);
    r->next_lookup_ns = sl_clock_now_ns() + SL_NS_PER_S;
    return rc;
}

int sl_bus_acquire_newest(struct sl_bus_reader *r, struct sl_bus_view *view)
{
    int rc = ensure_attached(r);
    if (rc != 0)
        return rc;
    if (r->holds)
        return -EBUSY;
    /* Goes round only if the writer reused the newest slot in between. */
    for (int tries = 0; tries < TRIES_MAX; tries++) {
        uint64_t newest = newer_than(r);
        if (newest == 0)
            return nothing_new(r);
        uint32_t s = (uint32_t)(newest & 0xff);
        if (s < r->slot_count && take_slot(r, s, newest >> 8, view))
            return 0;
    }
    return corrupt(r);
}

int sl_bus_acquire_next(struct sl_bus_reader *r, struct sl_bus_view *view)
{
    int rc = ensure_attached(r);
    if (rc != 0)
        return rc;
    if (r->holds)
        return -EBUSY;
    for (int tries = 0; tries < TRIES_MAX; tries++) {
        if (newer_than(r) == 0)
            return nothing_new(r);
        uint64_t best = 0;
        uint32_t best_slot = 0;
        for (uint32_t s = 0; s < r->slot_count; s++) {
            uint64_t seq = atomic_load_explicit(&r->slots[s].seq, memory_order_relaxed);
            if (seq > r->last_seq && (best == 0 || seq < best)) {
                best = seq;
                best_slot = s;
            }
        }
        if (best != 0 && take_slot(r, best_slot, best, view))
            return 0;
    }
    return corrupt(r);
}

int sl_bus_release(struct sl_bus_reader *r, struct sl_bus_view *view)
{
    if (!r->holds || r->ring == NULL)
        return -EOVERFLOW;
    /* SYNC with the fence in sl_bus_loan(): every look at the payload comes
     * before this look at its number. */
    atomic_thread_fence(memory_order_acquire);
    uint64_t seq = atomic_load_explicit(&r->slots[view->slot].seq, memory_order_relaxed);
    let_go(r);
    view->data = NULL;
    return seq == view->seq ? 0 : -EOVERFLOW;
}

static int read_record(struct sl_bus_reader *r, void *record, size_t size,
                       struct sl_bus_view *view_out,
                       int (*acquire)(struct sl_bus_reader *, struct sl_bus_view *))
{
    int rc = -EAGAIN;
    for (int attempt = 0; attempt < 3; attempt++) {
        struct sl_bus_view view;
        rc = acquire(r, &view);
        if (rc != 0)
            return rc;
        bool whole = view.size == size && size <= r->min_bytes;
        if (whole)
            memcpy(r->scratch, view.data, size);
        if (view_out != NULL)
            *view_out = view;
        rc = sl_bus_release(r, &view);
        if (rc == 0 && !whole)
            return problem(r, -EPROTO,
                           "a record on bus %s has %zu bytes, but %zu are expected; update the "
                           "older of the two programs",
                           r->name, view.size, size);
        if (rc == 0) {
            memcpy(record, r->scratch, size);
            return 0;
        }
    }
    return rc;
}

int sl_bus_read_newest(struct sl_bus_reader *r, void *record, size_t size, struct sl_bus_view *view)
{
    return read_record(r, record, size, view, sl_bus_acquire_newest);
}

int sl_bus_read_next(struct sl_bus_reader *r, void *record, size_t size, struct sl_bus_view *view)
{
    return read_record(r, record, size, view, sl_bus_acquire_next);
}
