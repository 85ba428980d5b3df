/* A bus's reader: finds the writer, maps what it is given, and sleeps. The
 * protocol itself is in rt/bus_ring.h. */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "rt/bus.h"
#include "rt/bus_fork.h"
#include "rt/bus_futex.h"
#include "rt/bus_memory.h"
#include "rt/bus_name.h"
#include "rt/bus_ring.h"
#include "rt/bus_wire.h"
#include "rt/clock.h"
#include "rt/frame.h"

#define LOOKUP_INTERVAL_NS     (10 * SL_NS_PER_MS)
#define LOOKUP_INTERVAL_MAX_NS (40 * SL_NS_PER_MS) /* with the next: found in 100 ms */
#define ALIVE_INTERVAL_NS      (50 * SL_NS_PER_MS) /* a sleeper wakes to look at its writer */
#define ALIVE_MIN_NS                                                                               \
    (30 * SL_NS_PER_MS) /* from one look to the next: less, since the                              \
                         * cheap clock may be 10 ms behind */
#define OPEN_PATIENCE_NS   (100 * SL_NS_PER_MS)
#define ANSWER_PATIENCE_NS (10 * SL_NS_PER_MS)
#define SILENCE_NS         (1 * SL_NS_PER_S) /* then the writer is said not to answer */

struct sl_bus_reader {
    struct sl_ring_reader ring; /* .header is NULL while not attached */
    uint64_t next_alive_ns;
    bool holds;
    bool superseded; /* another writer has the name: move on before the next record */
    bool realtime, pollable;
    uint32_t spin_us;

    uint32_t row, realtime_word;
    struct sl_ring_shape shape; /* of the writer's ring, as it was checked */
    void *ring_map, *payload_map, *rows_map;
    size_t ring_bytes, payload_bytes, rows_bytes;

    char name[SL_BUS_NAME_MAX + 1];
    uint32_t type_wanted, writers_wanted;
    size_t min_bytes;
    int socket; /* to the door; -1: none */
    uint64_t door_id;
    struct sl_bus_peer writer;
    uint64_t asked_ns; /* when it connected */
    uint64_t next_lookup_ns, lookup_interval_ns;
    uint64_t attached;

    /* For sl_bus_reader_fd(): poll_fd is an epoll set of the timer and of the
     * socket, on which the door sends a byte when there is news. */
    int poll_fd, timer_fd;
    bool timer_set;

    struct sl_bus_fork_entry fork;
    int problem_code;
    const char *problem_format; /* what `problem` was made from */
    char problem[256];
    uint8_t scratch[]; /* min_bytes: a record until it is known to be whole */
};

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

static void close_fd(int *fd)
{
    int old = *fd;
    *fd = -1;
    if (old >= 0)
        close(old);
}

/* ---- the file descriptor for poll() ---- */

/* While there is no writer, the timer says when to look for one again. 0: never;
 * 1: at once. */
static void set_timer(struct sl_bus_reader *r, uint64_t at_ns)
{
    if (r->timer_fd < 0 || (at_ns == 0 && !r->timer_set))
        return;
    r->timer_set = at_ns != 0;
    const struct itimerspec when = {.it_value = sl_clock_timespec(at_ns)};
    timerfd_settime(r->timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
}

static int open_poll_set(struct sl_bus_reader *r)
{
    r->poll_fd = epoll_create1(EPOLL_CLOEXEC);
    r->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN};
    if (r->poll_fd < 0 || r->timer_fd < 0 ||
        epoll_ctl(r->poll_fd, EPOLL_CTL_ADD, r->timer_fd, &event) != 0)
        return -errno;
    set_timer(r, 1); /* long past: the first poll() leads to the first look-up */
    return 0;
}

/* Takes what the door has sent. False if it has hung up. */
static bool drain_socket(const struct sl_bus_reader *r)
{
    char bytes[16];
    for (int i = 0; i < 16; i++) { /* an honest door sends one for each time armed */
        ssize_t n = recv(r->socket, bytes, sizeof bytes, MSG_DONTWAIT);
        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
            return false;
        if (n < 0)
            return true;
    }
    return true;
}

/* Makes the descriptor readable at the next record. True if one is there. */
static bool arm(struct sl_bus_reader *r)
{
    set_timer(r, 0);
    atomic_fetch_or_explicit(&r->ring.rows->armed[r->row / 64], UINT64_C(1) << r->row % 64,
                             memory_order_release);
    /* SYNC with the fence in sl_ring_publish(): S1 before S2. */
    atomic_thread_fence(memory_order_seq_cst);
    return sl_ring_news(&r->ring);
}

/* ---- attaching ---- */

static void detach(struct sl_bus_reader *r)
{
    if (r->ring.header != NULL && r->holds)
        atomic_store_explicit(r->ring.hazard, 0, memory_order_release);
    r->holds = r->superseded = false;
    r->ring = (struct sl_ring_reader){0};
    void **maps[] = {&r->ring_map, &r->payload_map, &r->rows_map};
    const size_t bytes[] = {r->ring_bytes, r->payload_bytes, r->rows_bytes};
    for (int i = 0; i < 3; i++) {
        void *map = *maps[i];
        *maps[i] = NULL;
        if (map != NULL)
            munmap(map, bytes[i]);
    }
    close_fd(&r->socket); /* the door clears the row */
    r->shape = (struct sl_ring_shape){0};
    r->problem_format = NULL;
}

/* Copies the ring's shape, so that what was checked is what is used, whatever
 * the writer does to it later. */
static int check_ring(struct sl_bus_reader *r)
{
    struct sl_ring_shape *ring = &r->shape;
    if (r->ring_bytes >= sizeof(struct sl_ring_header))
        memcpy(ring, r->ring_map, sizeof *ring);
    atomic_signal_fence(memory_order_seq_cst); /* not read again */
    if (ring->magic != SL_RING_MAGIC || ring->layout_version != SL_RING_LAYOUT_VERSION ||
        ring->slot_count < 1 || ring->slot_count > SL_BUS_SLOTS_MAX ||
        sl_ring_bytes(ring->slot_count) > r->ring_bytes || ring->slot_bytes == 0 ||
        ring->slot_bytes > r->payload_bytes / ring->slot_count ||
        ring->capacity_bytes > ring->slot_bytes || r->rows_bytes < sizeof(struct sl_ring_rows))
        return problem(r, -EPROTO,
                       "the header of bus %s is corrupt; restart its writer, process %d", r->name,
                       r->writer.pid);
    if (r->type_wanted != 0 && ring->type != r->type_wanted) {
        char has[5], wants[5];
        return problem(r, -EPROTO,
                       "bus %s carries %s records, but %s are expected; check the bus names in "
                       "the settings, and that both programs are of one version",
                       r->name, sl_frame_format_name(ring->type, has),
                       sl_frame_format_name(r->type_wanted, wants));
    }
    if (ring->capacity_bytes < r->min_bytes)
        return problem(r, -EPROTO,
                       "records on bus %s have at most %" PRIu64 " bytes, but %zu are expected; "
                       "update the older of the two programs",
                       r->name, ring->capacity_bytes, r->min_bytes);
    return 0;
}

static int refused(struct sl_bus_reader *r, const struct sl_bus_welcome *welcome)
{
    switch (welcome->code) {
    case -EPROTO:
        return problem(r, -EPROTO,
                       "bus %s is laid out as version %u, this program knows %u; update the older "
                       "of the two programs",
                       r->name, welcome->layout_version, SL_RING_LAYOUT_VERSION);
    case -EUSERS:
        return problem(r, -EUSERS,
                       "bus %s has no place for another reader: %d of its writer's user, %d of "
                       "them real-time, %d of each other user, %d users; close some, or restart "
                       "it if other users came and went",
                       r->name, SL_BUS_READERS_MAX, SL_BUS_REALTIME_MAX, SL_BUS_FOREIGN_MAX,
                       SL_BUS_USERS_MAX);
    case -EACCES:
        return problem(r, -EUSERS,
                       "bus %s has real-time readers of its writer's own user only; read it as "
                       "an ordinary one, or run both as one user",
                       r->name);
    case -ENOMEM:
        return problem(r, -EUSERS,
                       "the writer of bus %s, process %d, has no memory for another reader; end "
                       "other programs",
                       r->name, r->writer.pid);
    default:
        return problem(r, -EUSERS,
                       "the writer of bus %s, process %d, cannot take another reader: %s; raise "
                       "\"ulimit -n\" where it is started",
                       r->name, r->writer.pid, strerror(-welcome->code));
    }
}

static int map_ring(struct sl_bus_reader *r, const struct sl_bus_welcome *welcome, const int *fds)
{
    int rc = sl_bus_memory_map(fds[SL_BUS_FD_RING], false, &r->ring_map, &r->ring_bytes);
    if (rc == 0)
        rc = sl_bus_memory_map(fds[SL_BUS_FD_PAYLOADS], false, &r->payload_map, &r->payload_bytes);
    if (rc == 0)
        rc = sl_bus_memory_map(fds[SL_BUS_FD_ROWS], true, &r->rows_map, &r->rows_bytes);
    if (rc != 0)
        return problem(r, -EPROTO, "cannot map bus %s: %s", r->name, strerror(-rc));
    rc = check_ring(r);
    if (rc != 0)
        return rc;
    if (welcome->row >= SL_BUS_READERS_MAX || welcome->realtime_word >= SL_BUS_REALTIME_MAX)
        return problem(r, -EPROTO, "what the writer of bus %s says is corrupt; restart it",
                       r->name);
    struct sl_ring_rows *rows = r->rows_map;
    r->row = welcome->row;
    r->realtime_word = welcome->realtime_word;
    r->ring = (struct sl_ring_reader){
        .header = r->ring_map,
        .slots = sl_ring_slots(r->ring_map),
        .payloads = r->payload_map,
        .slot_count = r->shape.slot_count,
        .slot_bytes = r->shape.slot_bytes,
        .rows = rows,
        .hazard = &rows->hazard[sl_ring_hazard_index(welcome->row)],
    };
    return 0;
}

/* Takes the door's answer, if there is one. 0: attached; -EAGAIN: none yet; else
 * a problem, and the connection is of no more use. */
static int hear_welcome(struct sl_bus_reader *r)
{
    struct sl_bus_welcome welcome;
    int fds[SL_BUS_FD_COUNT];
    ssize_t n = sl_bus_receive(r->socket, &welcome, sizeof welcome, fds, SL_BUS_FD_COUNT);
    if (n == -EAGAIN || n == -EINTR)
        return -EAGAIN;
    int rc;
    if (n <= 0)
        rc = problem(r, -EPIPE, "the writer of bus %s is gone", r->name);
    else if (n != sizeof welcome || welcome.magic != SL_RING_MAGIC)
        rc = problem(r, -EPROTO, "what answers for bus %s is no skylane program", r->name);
    else if (welcome.code != 0)
        rc = refused(r, &welcome);
    else
        rc = map_ring(r, &welcome, fds);
    for (int i = 0; i < SL_BUS_FD_COUNT; i++)
        close_fd(&fds[i]);
    if (rc != 0)
        return rc;
    r->attached++;
    r->problem_code = 0;
    r->problem_format = NULL;
    r->problem[0] = '\0';
    r->lookup_interval_ns = LOOKUP_INTERVAL_NS;
    r->next_alive_ns = sl_clock_coarse_ns() + ALIVE_MIN_NS;
    set_timer(r, 1); /* who polls before acquiring has not armed it: there may be something */
    return 0;
}

/* Anybody can make a door of any name where there is none: commands and frames
 * are not taken from strangers. */
static bool is_trusted(const struct sl_bus_reader *r)
{
    return r->writers_wanted == SL_BUS_WRITERS_ANY || r->writer.uid == geteuid() ||
           r->writer.uid == 0;
}

/* Connects to the door and says hello. 0, -EPIPE or -EPROTO. */
static int knock(struct sl_bus_reader *r, uint64_t now)
{
    uint64_t door_id_before = r->door_id;
    r->socket = sl_bus_door_connect(r->name, &r->writer, &r->door_id);
    if (r->door_id != door_id_before)
        r->problem_format = NULL; /* the same words may be about another writer */
    if (r->socket == -EACCES || r->socket == -EPERM)
        return problem(r, -EPIPE,
                       "bus %s is not open to this user; run both sides as the same one, or open "
                       "it with bus.access in the writer's settings",
                       r->name);
    if (r->socket == -EMFILE || r->socket == -ENFILE)
        return problem(r, -EPIPE, "too many open files to look for bus %s; raise \"ulimit -n\"",
                       r->name);
    if (r->socket == -ECONNREFUSED)
        return problem(r, -EPIPE, "the writer of bus %s is gone", r->name);
    if (r->socket == -EAGAIN)
        return problem(r, -EPIPE, "too many readers wait for the writer of bus %s; is it stopped?",
                       r->name);
    if (r->socket < 0)
        return problem(r, -EPIPE, "nobody writes bus %s yet", r->name);
    if (!is_trusted(r))
        return problem(r, -EPROTO,
                       "bus %s is written by another user, number %u, process %d; run both as "
                       "one user, or let the reader trust any (bus.writers = any)",
                       r->name, r->writer.uid, r->writer.pid);
    r->asked_ns = now;
    const struct sl_bus_hello hello = {.magic = SL_RING_MAGIC,
                                       .layout_version = SL_RING_LAYOUT_VERSION,
                                       .guest = SL_BUS_GUEST_READER,
                                       .realtime = r->realtime,
                                       .pollable = r->pollable};
    int rc = sl_bus_send(r->socket, &hello, sizeof hello, NULL, 0);
    if (rc != 0)
        return problem(r, -EPIPE, "the writer of bus %s is gone", r->name);
    if (r->pollable) {
        struct epoll_event event = {.events = EPOLLIN};
        epoll_ctl(r->poll_fd, EPOLL_CTL_ADD, r->socket, &event);
    }
    return 0;
}

/* Who was refused before stays so until there is another answer. */
static int unanswered(struct sl_bus_reader *r)
{
    if (r->problem_code == -EPROTO || r->problem_code == -EUSERS)
        return r->problem_code;
    return problem(r, -EAGAIN, "the writer of bus %s has not answered yet", r->name);
}

static void wait_for_answer(const struct sl_bus_reader *r, uint64_t patience_ns)
{
    struct pollfd door = {.fd = r->socket, .events = POLLIN};
    const struct timespec patience = sl_clock_timespec(patience_ns);
    ppoll(&door, 1, &patience, NULL);
}

/* Not attached: does what can be done about it at once. 0 if it is now; -EAGAIN
 * while the writer is asked; else -EPIPE, -EPROTO or -EUSERS. */
static int try_attach(struct sl_bus_reader *r)
{
    uint64_t now = sl_clock_now_ns();
    int rc = 0;
    if (r->socket < 0) {
        if (now < r->next_lookup_ns)
            return r->problem_code;
        /* The door answers in less than a millisecond; that is waited for, so
         * that whoever asks for a record gets it, but by a real-time reader. */
        rc = knock(r, now);
        if (rc == 0 && !r->realtime)
            wait_for_answer(r, ANSWER_PATIENCE_NS);
    }
    if (rc == 0) {
        rc = hear_welcome(r);
        if (rc == 0)
            return 0;
        if (rc == -EAGAIN && r->door_id != sl_bus_door_id(r->name)) {
            rc = problem(r, -EPIPE, "the writer of bus %s is gone", r->name);
        } else if (rc == -EAGAIN) {
            set_timer(r, now + LOOKUP_INTERVAL_MAX_NS);
            if (now - r->asked_ns < SILENCE_NS)
                return unanswered(r);
            return problem(r, -EPIPE,
                           "the writer of bus %s, process %d, does not answer; is it stopped?",
                           r->name, r->writer.pid);
        }
    }
    /* Nobody there, gone, replaced, or not for us. A bus that nobody writes (a
     * car without odometry) is asked for less and less often. */
    const char *format = r->problem_format;
    detach(r);
    r->problem_format = format;
    r->next_lookup_ns = now + r->lookup_interval_ns;
    set_timer(r, r->next_lookup_ns);
    if (r->lookup_interval_ns < LOOKUP_INTERVAL_MAX_NS)
        r->lookup_interval_ns *= 2;
    return rc;
}

static int ensure_attached(struct sl_bus_reader *r)
{
    if (r->fork.orphan)
        return problem(r, -ECHILD, "bus %s was opened before fork(); open it again in the child",
                       r->name);
    return r->ring.header != NULL ? 0 : try_attach(r);
}

static void leave_writer(struct sl_bus_reader *r, const char *why)
{
    detach(r);
    problem(r, -EPIPE, "the writer of bus %s %s", r->name, why);
    r->next_lookup_ns = 0;
    set_timer(r, 1);
}

/* With nothing new to read: is this still the bus of that name? Detaches if not. */
static void check_writer(struct sl_bus_reader *r)
{
    if (r->holds)
        return; /* what is lent must stay mapped */
    if (atomic_load_explicit(&r->ring.header->closed, memory_order_acquire) != 0) {
        leave_writer(r, "closed it");
        return;
    }
    /* A poller asks all the time, so with the cheap clock; but who sleeps in
     * poll() is woken by the hang-up and has to see it. */
    uint64_t now = sl_clock_coarse_ns();
    bool due = now >= r->next_alive_ns;
    if (!due && !r->pollable)
        return;
    if (due)
        r->next_alive_ns = now + ALIVE_MIN_NS;
    if (!drain_socket(r) || (due && sl_bus_door_id(r->name) != r->door_id))
        leave_writer(r, "is gone");
}

/* A reader that always finds news, and hence never came by check_writer(), must
 * learn all the same that another writer took the name over. A door that is only
 * gone does not count: the writer closed, and its last records are good. A look
 * costs a system call: after a record was used, not between it and its user. */
static void look_for_successor(struct sl_bus_reader *r)
{
    uint64_t now = sl_clock_coarse_ns();
    if (now < r->next_alive_ns + ALIVE_MIN_NS)
        return;
    r->next_alive_ns = now + ALIVE_MIN_NS;
    uint64_t id = sl_bus_door_id(r->name);
    r->superseded = id != 0 && id != r->door_id;
}

/* ---- waiting ---- */

static void sleep_for_news(struct sl_bus_reader *r, uint64_t until_ns)
{
    struct sl_ring_rows *rows = r->ring.rows;
    if (r->realtime) {
        const _Atomic uint32_t *word = &rows->realtime_word[r->realtime_word].value;
        const uint32_t bit = UINT32_C(1) << r->realtime_word;
        /* SYNC with the release in wake_realtime(). */
        uint32_t before = atomic_load_explicit(word, memory_order_acquire);
        atomic_fetch_or_explicit(&rows->realtime_asleep, bit, memory_order_release);
        /* SYNC with the fence in sl_ring_publish(): S1 before S2. */
        atomic_thread_fence(memory_order_seq_cst);
        if (!sl_ring_news(&r->ring) &&
            atomic_load_explicit(&r->ring.header->closed, memory_order_relaxed) == 0)
            sl_futex_wait_shared_until(word, before, until_ns);
        if ((atomic_load_explicit(&rows->realtime_asleep, memory_order_relaxed) & bit) != 0)
            atomic_fetch_and_explicit(&rows->realtime_asleep, ~bit, memory_order_relaxed);
        return;
    }
    _Atomic uint64_t *asleep = &rows->asleep[r->row / 64];
    const uint64_t bit = UINT64_C(1) << r->row % 64;
    /* SYNC with the release in wake_ordinary(). */
    uint32_t before = atomic_load_explicit(&r->ring.header->bell, memory_order_acquire);
    atomic_fetch_or_explicit(asleep, bit, memory_order_release);
    /* As above. */
    atomic_thread_fence(memory_order_seq_cst);
    if (!sl_ring_news(&r->ring) &&
        atomic_load_explicit(&r->ring.header->closed, memory_order_relaxed) == 0)
        sl_futex_wait_shared_until(&r->ring.header->bell, before, until_ns);
    if ((atomic_load_explicit(asleep, memory_order_relaxed) & bit) != 0)
        atomic_fetch_and_explicit(asleep, ~bit, memory_order_relaxed);
}

static inline void pause_cpu(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Looks for news without sleeping, at most until the time. */
static void spin_for_news(struct sl_bus_reader *r, uint64_t until_ns)
{
    for (uint32_t i = 1; !sl_ring_news(&r->ring); i++) {
        sl_ring_warm(&r->ring);
        pause_cpu();
        if (i % 64 == 0 &&
            (sl_clock_now_ns() >= until_ns ||
             atomic_load_explicit(&r->ring.header->closed, memory_order_relaxed) != 0))
            return;
    }
}

static uint64_t earlier(uint64_t a_ns, uint64_t b_ns)
{
    return a_ns < b_ns ? a_ns : b_ns;
}

/* Until the door answers, or it is time to look for a writer again. */
static void wait_for_writer(struct sl_bus_reader *r, uint64_t now, uint64_t deadline_ns)
{
    if (r->socket < 0) {
        sl_clock_sleep_until_ns(
            earlier(deadline_ns, r->next_lookup_ns > now ? r->next_lookup_ns : now));
        return;
    }
    wait_for_answer(r, earlier(deadline_ns - now, LOOKUP_INTERVAL_NS));
}

int sl_bus_wait(struct sl_bus_reader *r, uint64_t deadline_ns)
{
    if (r->holds)
        return -EBUSY;
    uint64_t spin_until_ns = 0;
    for (;;) {
        int rc = ensure_attached(r);
        if (rc == 0) {
            if (sl_ring_news(&r->ring))
                return 0;
            check_writer(r);
            if (r->ring.header == NULL)
                rc = r->problem_code;
        }
        uint64_t now = sl_clock_now_ns();
        if (now >= deadline_ns || rc == -ECHILD)
            return rc == 0 || rc == -EAGAIN ? -ETIMEDOUT : rc;
        if (rc != 0) {
            wait_for_writer(r, now, deadline_ns);
            continue;
        }
        if (spin_until_ns == 0)
            spin_until_ns =
                r->spin_us == SL_BUS_SPIN_ALWAYS ? UINT64_MAX : now + r->spin_us * SL_NS_PER_US;
        uint64_t until = earlier(deadline_ns, now + ALIVE_INTERVAL_NS);
        if (now < spin_until_ns)
            spin_for_news(r, earlier(until, spin_until_ns));
        else
            sleep_for_news(r, until);
    }
}

/* ---- acquiring ---- */

static int acquire(struct sl_bus_reader *r, struct sl_bus_view *view,
                   int (*take)(struct sl_ring_reader *, struct sl_bus_view *))
{
    if (r->holds)
        return -EBUSY;
    if (r->superseded)
        leave_writer(r, "was replaced by another");
    int rc = ensure_attached(r);
    if (rc != 0)
        return rc;
    rc = take(&r->ring, view);
    if (rc == -EAGAIN) {
        check_writer(r);
        if (r->ring.header == NULL)
            return r->problem_code;
        if (r->pollable && arm(r))
            rc = take(&r->ring, view);
    }
    if (rc == 0) {
        r->holds = true;
    } else if (rc == -EPROTO) {
        detach(r);
        r->next_lookup_ns = sl_clock_now_ns() + SL_NS_PER_S;
        set_timer(r, r->next_lookup_ns);
        problem(r, -EPROTO, "what lies on bus %s is corrupt; restart its writer", r->name);
    }
    return rc;
}

int sl_bus_acquire_newest(struct sl_bus_reader *r, struct sl_bus_view *view)
{
    return acquire(r, view, sl_ring_take_newest);
}

int sl_bus_acquire_next(struct sl_bus_reader *r, struct sl_bus_view *view)
{
    return acquire(r, view, sl_ring_take_next);
}

int sl_bus_release(struct sl_bus_reader *r, struct sl_bus_view *view)
{
    if (!r->holds)
        return -EOVERFLOW;
    r->holds = false;
    view->data = view->meta = NULL;
    if (r->fork.orphan)
        return -EOVERFLOW;
    int rc = sl_ring_release(&r->ring, view);
    look_for_successor(r);
    return rc;
}

static int read_record(struct sl_bus_reader *r, void *record, size_t size,
                       struct sl_bus_view *view_out,
                       int (*take)(struct sl_ring_reader *, struct sl_bus_view *))
{
    int rc = -EAGAIN;
    uint64_t lost = 0; /* by the attempts before */
    for (int attempt = 0; attempt < 3; attempt++) {
        struct sl_bus_view view;
        rc = acquire(r, &view, take);
        if (rc != 0)
            return rc;
        view.missed += lost;
        lost = view.missed + 1;
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
    return read_record(r, record, size, view, sl_ring_take_newest);
}

int sl_bus_read_next(struct sl_bus_reader *r, void *record, size_t size, struct sl_bus_view *view)
{
    return read_record(r, record, size, view, sl_ring_take_next);
}

/* ---- life ---- */

/* In the child of fork(): the row and the connection are the parent's. */
static void orphan(void *handle)
{
    struct sl_bus_reader *r = handle;
    int *fds[] = {&r->socket, &r->poll_fd, &r->timer_fd};
    for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++)
        close_fd(fds[i]);
    if (r->ring_map != NULL)
        sl_bus_fork_blank(r->ring_map, r->ring_bytes);
    if (r->payload_map != NULL)
        sl_bus_fork_blank(r->payload_map, r->payload_bytes);
    if (r->rows_map != NULL)
        sl_bus_fork_blank(r->rows_map, r->rows_bytes);
}

int sl_bus_reader_open(struct sl_bus_reader **reader, const struct sl_bus_reader_config *config,
                       struct sl_error *err)
{
    *reader = NULL;
    int rc = sl_bus_name_check(config->name, err);
    if (rc == 0)
        rc = sl_bus_reserved_check(config->reserved, "reader", err);
    if (rc != 0)
        return rc;
    /* A page of its own: of hundreds of readers, that costs each less than a
     * heap would. */
    size_t bytes = sizeof(struct sl_bus_reader) + config->min_bytes;
    struct sl_bus_reader *r =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (r == MAP_FAILED)
        return sl_error_set(err, -ENOMEM, "no memory for a bus reader");
    memcpy(r->name, config->name, strlen(config->name) + 1);
    r->type_wanted = config->type;
    r->writers_wanted = config->writers;
    r->min_bytes = config->min_bytes;
    r->realtime = config->realtime;
    r->pollable = config->pollable;
    r->spin_us = config->spin_us;
    r->socket = r->poll_fd = r->timer_fd = -1;
    r->lookup_interval_ns = LOOKUP_INTERVAL_NS;
    if (r->pollable && (rc = open_poll_set(r)) != 0) {
        sl_error_set(err, rc, "cannot open a descriptor for bus %s: %s; raise \"ulimit -n\"",
                     r->name, strerror(-rc));
        sl_bus_reader_close(r);
        return rc;
    }
    sl_bus_fork_add(&r->fork, orphan, r);
    *reader = r;

    uint64_t until = sl_clock_now_ns() + OPEN_PATIENCE_NS;
    while (try_attach(r) != 0 && r->socket >= 0 && sl_clock_now_ns() < until)
        wait_for_writer(r, sl_clock_now_ns(), until);
    return 0;
}

void sl_bus_reader_close(struct sl_bus_reader *r)
{
    if (r == NULL)
        return;
    sl_bus_fork_remove(&r->fork);
    detach(r);
    close_fd(&r->poll_fd);
    close_fd(&r->timer_fd);
    munmap(r, sizeof *r + r->min_bytes);
}

int sl_bus_reader_fd(const struct sl_bus_reader *r)
{
    return r->pollable ? r->poll_fd : -ENOTSUP;
}

const char *sl_bus_reader_problem(const struct sl_bus_reader *r)
{
    return r->problem;
}

uint64_t sl_bus_reader_attached(const struct sl_bus_reader *r)
{
    return r->attached;
}

uint32_t sl_bus_reader_pages(const struct sl_bus_reader *r)
{
    return r->shape.pages;
}

size_t sl_bus_reader_capacity(const struct sl_bus_reader *r)
{
    return r->shape.capacity_bytes;
}

uint32_t sl_bus_reader_type(const struct sl_bus_reader *r)
{
    return r->shape.type;
}
