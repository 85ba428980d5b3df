#include "rt/bus_door.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "rt/bus_fork.h"
#include "rt/bus_wire.h"
#include "rt/clock.h"

#define PENDING_MAX       64
#define HELLO_MAX_NS      (1 * SL_NS_PER_S)
#define SHORTAGE_PAUSE_NS (100 * SL_NS_PER_MS)

struct sl_bus_guest_entry {
    struct sl_bus_guest_entry *next;
    int fd;
    pid_t pid;
    uid_t uid;
    uint64_t arrived_ns;
    bool reader; /* has a row */
    bool realtime, pollable;
    uint32_t user, row, realtime_word;
};

/* ---- rows ---- */

/* The number of this uid's rows; made when its first reader comes. -EUSERS; -ENOMEM. */
static int user_of(struct sl_bus_door *d, uid_t uid)
{
    uint32_t count = atomic_load_explicit(&d->ring->user_count, memory_order_relaxed);
    for (uint32_t u = 0; u < count; u++) {
        if (d->user[u].uid == uid)
            return (int)u;
    }
    if (count == SL_BUS_USERS_MAX)
        return -EUSERS;
    struct sl_bus_door_user *user = &d->user[count];
    int rc =
        sl_bus_memory_create(&user->rows, sizeof(struct sl_ring_rows), false, "a bus's rows", NULL);
    if (rc != 0)
        return rc;
    user->uid = uid;
    user->rows_fd = fcntl(user->rows.fd, F_DUPFD_CLOEXEC, 0);
    if (user->rows_fd < 0) {
        rc = -errno;
        sl_bus_memory_close(&user->rows);
        return rc;
    }
    return (int)sl_ring_add_user(d->ring, user->rows.map, uid != d->owner);
}

static void set_used(struct sl_bus_door *d, uint32_t u)
{
    uint32_t used = SL_BUS_READERS_MAX;
    while (used > 0 && d->user[u].guest[used - 1] == NULL)
        used--;
    atomic_store_explicit(&d->ring->users[u].used, used, memory_order_release);
}

static int give_row(struct sl_bus_door *d, struct sl_bus_guest_entry *g,
                    const struct sl_bus_hello *hello)
{
    const bool realtime = hello->realtime != 0;
    int u = user_of(d, g->uid);
    if (u < 0)
        return u;
    struct sl_bus_door_user *user = &d->user[u];
    const uint32_t rows = g->uid == d->owner ? SL_BUS_READERS_MAX : SL_BUS_FOREIGN_MAX;
    uint32_t row = 0, word = 0;
    while (row < rows && user->guest[row] != NULL)
        row++;
    if (row == rows)
        return -EUSERS;
    if (realtime) {
        /* Each costs the writer's own thread a wake. */
        if (g->uid != d->owner)
            return -EACCES;
        while (word < SL_BUS_REALTIME_MAX && (user->realtime_used >> word & 1) != 0)
            word++;
        if (word == SL_BUS_REALTIME_MAX)
            return -EUSERS;
        user->realtime_used |= 1u << word;
    }
    g->reader = true;
    g->realtime = realtime;
    g->pollable = hello->pollable != 0;
    g->user = (uint32_t)u;
    g->row = row;
    g->realtime_word = word;
    user->guest[row] = g;
    atomic_store_explicit(&d->ring->users[u].overruns[row], 0, memory_order_relaxed);
    set_used(d, (uint32_t)u); /* before it hears of its row */
    atomic_fetch_add_explicit(&d->reader_count, 1, memory_order_relaxed);
    return 0;
}

/* The reader is gone: its connection ended, so that no thread of it runs. */
static void take_row_back(struct sl_bus_door *d, const struct sl_bus_guest_entry *g)
{
    struct sl_bus_door_user *user = &d->user[g->user];
    struct sl_ring_rows *rows = user->rows.map;
    const uint64_t bit = UINT64_C(1) << g->row % 64;
    atomic_fetch_and_explicit(&rows->asleep[g->row / 64], ~bit, memory_order_relaxed);
    atomic_fetch_and_explicit(&rows->armed[g->row / 64], ~bit, memory_order_relaxed);
    if (g->realtime) {
        atomic_fetch_and_explicit(&rows->realtime_asleep, ~(1u << g->realtime_word),
                                  memory_order_relaxed);
        user->realtime_used &= ~(1u << g->realtime_word);
    }
    /* SYNC with the acquire in held_by_user(). */
    atomic_store_explicit(&rows->hazard[sl_ring_hazard_index(g->row)], 0, memory_order_release);
    user->guest[g->row] = NULL;
    set_used(d, g->user);
    atomic_fetch_sub_explicit(&d->reader_count, 1, memory_order_relaxed);
}

/* ---- guests ---- */

static void close_guest(struct sl_bus_guest_entry *g)
{
    close(g->fd);
    free(g);
}

static void dismiss(struct sl_bus_door *d, struct sl_bus_guest_entry *g)
{
    sl_bus_fork_lock();
    if (g->reader)
        take_row_back(d, g);
    else
        d->pending--;
    for (struct sl_bus_guest_entry **p = &d->guests; *p != NULL; p = &(*p)->next) {
        if (*p == g) {
            *p = g->next;
            break;
        }
    }
    /* A child of fork() may still have the connection for a moment: closing it
     * alone would leave it in the set, with a pointer to freed memory. */
    epoll_ctl(d->epoll_fd, EPOLL_CTL_DEL, g->fd, NULL);
    close_guest(g);
    sl_bus_fork_unlock();
}

static void refuse(int socket, int code)
{
    const struct sl_bus_welcome welcome = {
        .magic = SL_RING_MAGIC, .layout_version = SL_RING_LAYOUT_VERSION, .code = code};
    sl_bus_send(socket, &welcome, sizeof welcome, NULL, 0);
}

/* Out of descriptors: one is kept back, to say so instead of leaving the guest
 * in the queue, where it would keep this thread awake for ever. */
static void turn_away(struct sl_bus_door *d)
{
    if (d->spare_fd >= 0)
        close(d->spare_fd);
    int fd = accept4(d->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        refuse(fd, -EMFILE);
        close(fd);
    }
    d->spare_fd = eventfd(0, EFD_CLOEXEC);
    /* Another thread was faster. The guests in the queue can not even be told. */
    if (d->spare_fd < 0)
        sl_clock_sleep_until_ns(sl_clock_now_ns() + SHORTAGE_PAUSE_NS);
}

static void dismiss_oldest_pending(struct sl_bus_door *d)
{
    struct sl_bus_guest_entry *oldest = NULL;
    for (struct sl_bus_guest_entry *g = d->guests; g != NULL; g = g->next) {
        if (!g->reader && (oldest == NULL || g->arrived_ns < oldest->arrived_ns))
            oldest = g;
    }
    if (oldest != NULL)
        dismiss(d, oldest);
}

static void let_in(struct sl_bus_door *d)
{
    int fd = accept4(d->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        if (errno == EMFILE || errno == ENFILE)
            turn_away(d);
        return;
    }
    struct ucred peer;
    socklen_t size = sizeof peer;
    struct sl_bus_guest_entry *g = calloc(1, sizeof *g);
    if (g == NULL || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) {
        free(g);
        close(fd);
        return;
    }
    if (d->pending == PENDING_MAX)
        dismiss_oldest_pending(d);
    g->fd = fd;
    g->pid = peer.pid;
    g->uid = peer.uid;
    g->arrived_ns = sl_clock_now_ns();
    sl_bus_fork_lock();
    g->next = d->guests;
    d->guests = g;
    d->pending++;
    sl_bus_fork_unlock();
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = g};
    if (epoll_ctl(d->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0)
        dismiss(d, g);
}

static void answer_observer(struct sl_bus_door *d, int socket)
{
    struct sl_bus_status *status = malloc(sizeof *status);
    if (status == NULL)
        return;
    *status = d->status;
    const struct sl_ring_writer *ring = d->ring;
    status->now_ns = sl_clock_now_ns();
    status->published = atomic_load_explicit(&ring->seq, memory_order_relaxed);
    status->newest_ns = atomic_load_explicit(&ring->newest_ns, memory_order_relaxed);
    status->overruns = atomic_load_explicit(&ring->overruns, memory_order_relaxed);
    status->reader_count = atomic_load_explicit(&d->reader_count, memory_order_relaxed);
    const char *note = atomic_load_explicit(&d->note, memory_order_acquire);
    snprintf(status->note, sizeof status->note, "%s", note != NULL ? note : "");
    uint32_t listed = 0;
    for (const struct sl_bus_guest_entry *g = d->guests; g != NULL; g = g->next) {
        if (!g->reader || listed == SL_BUS_STATUS_READERS_MAX)
            continue;
        struct sl_ring_rows *rows = d->user[g->user].rows.map;
        uint64_t asleep =
            g->realtime ? atomic_load_explicit(&rows->realtime_asleep, memory_order_relaxed) >>
                              g->realtime_word
                        : atomic_load_explicit(&rows->asleep[g->row / 64], memory_order_relaxed) >>
                              g->row % 64;
        status->readers[listed++] = (struct sl_bus_status_reader){
            .pid = g->pid,
            .uid = g->uid,
            .realtime = g->realtime,
            .asleep = asleep & 1,
            .holds = atomic_load_explicit(&rows->hazard[sl_ring_hazard_index(g->row)],
                                          memory_order_relaxed),
            .attached_ns = g->arrived_ns,
            .overruns =
                atomic_load_explicit(&ring->users[g->user].overruns[g->row], memory_order_relaxed),
        };
    }
    sl_bus_send(socket, status,
                offsetof(struct sl_bus_status, readers) + listed * sizeof status->readers[0], NULL,
                0);
    free(status);
}

static int seat_reader(struct sl_bus_door *d, struct sl_bus_guest_entry *g,
                       const struct sl_bus_hello *hello)
{
    sl_bus_fork_lock(); /* the relay looks at who has a row */
    int rc = give_row(d, g, hello);
    if (rc == 0)
        d->pending--;
    sl_bus_fork_unlock();
    if (rc != 0)
        return rc;
    const struct sl_bus_welcome welcome = {.magic = SL_RING_MAGIC,
                                           .layout_version = SL_RING_LAYOUT_VERSION,
                                           .row = g->row,
                                           .realtime_word = g->realtime_word};
    const int fds[SL_BUS_FD_COUNT] = {[SL_BUS_FD_RING] = d->ring_fd,
                                      [SL_BUS_FD_PAYLOADS] = d->payloads_fd,
                                      [SL_BUS_FD_ROWS] = d->user[g->user].rows_fd};
    return sl_bus_send(g->fd, &welcome, sizeof welcome, fds, SL_BUS_FD_COUNT);
}

/* A guest has said something, or hung up. */
static void hear(struct sl_bus_door *d, struct sl_bus_guest_entry *g)
{
    struct sl_bus_hello hello;
    /* No descriptors are taken from guests: a stranger's could block whoever
     * writes to it, or even closes it. */
    ssize_t n = sl_bus_receive(g->fd, &hello, sizeof hello, NULL, 0);
    if (n == -EAGAIN || n == -EINTR)
        return;
    bool first_words = !g->reader && n >= (ssize_t)offsetof(struct sl_bus_hello, realtime) &&
                       hello.magic == SL_RING_MAGIC;
    if (first_words && hello.layout_version != SL_RING_LAYOUT_VERSION) {
        refuse(g->fd, -EPROTO);
    } else if (first_words && hello.guest == SL_BUS_GUEST_OBSERVER) {
        answer_observer(d, g->fd);
    } else if (first_words && hello.guest == SL_BUS_GUEST_READER && n == sizeof hello) {
        int rc = seat_reader(d, g, &hello);
        if (rc == 0)
            return;
        if (!g->reader)
            refuse(g->fd, rc);
    }
    dismiss(d, g);
}

static void dismiss_silent(struct sl_bus_door *d)
{
    uint64_t now = sl_clock_now_ns();
    for (struct sl_bus_guest_entry *g = d->guests, *next; g != NULL; g = next) {
        next = g->next;
        if (!g->reader && now - g->arrived_ns > HELLO_MAX_NS)
            dismiss(d, g);
    }
}

static void *door_main(void *argument)
{
    struct sl_bus_door *d = argument;
    for (;;) {
        struct epoll_event event;
        /* One at a time: a guest that is dismissed can not be in a list of
         * events that wait to be handled. */
        int n = epoll_wait(d->epoll_fd, &event, 1, d->pending != 0 ? 100 : -1);
        if (n == 1 && event.data.ptr == d)
            return NULL;
        if (n == 1 && event.data.ptr == &d->listen_fd)
            let_in(d);
        else if (n == 1)
            hear(d, event.data.ptr);
        if (d->pending != 0)
            dismiss_silent(d);
    }
}

void sl_bus_door_ring_armed(struct sl_bus_door *d)
{
    uint32_t users = atomic_load_explicit(&d->ring->user_count, memory_order_acquire);
    for (uint32_t u = 0; u < users; u++) {
        struct sl_ring_rows *rows = d->user[u].rows.map;
        for (uint32_t k = 0; k < SL_RING_BIT_WORDS; k++) {
            if (atomic_load_explicit(&rows->armed[k], memory_order_relaxed) == 0)
                continue;
            uint64_t bits = atomic_exchange_explicit(&rows->armed[k], 0, memory_order_acq_rel);
            sl_bus_fork_lock();
            for (uint32_t b = 0; b < 64; b++) {
                const struct sl_bus_guest_entry *g = d->user[u].guest[k * 64 + b];
                if ((bits >> b & 1) != 0 && g != NULL && g->pollable)
                    sl_bus_send(g->fd, "!", 1, NULL, 0); /* full: it has not looked yet */
            }
            sl_bus_fork_unlock();
        }
    }
}

/* ---- life ---- */

static int watch(const struct sl_bus_door *d, int fd, void *what)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = what};
    return epoll_ctl(d->epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

void sl_bus_door_init(struct sl_bus_door *d)
{
    memset(d, 0, sizeof *d);
    d->listen_fd = d->epoll_fd = d->stop_fd = d->ring_fd = d->payloads_fd = d->spare_fd = -1;
    d->owner = geteuid();
    for (uint32_t u = 0; u < SL_BUS_USERS_MAX; u++) {
        d->user[u].rows = SL_BUS_MEMORY_NONE;
        d->user[u].rows_fd = -1;
    }
}

int sl_bus_door_open(struct sl_bus_door *d, struct sl_ring_writer *ring,
                     const struct sl_bus_memory *ring_memory,
                     const struct sl_bus_memory *payload_memory, int listen_fd,
                     const struct sl_bus_status *status, struct sl_error *err)
{
    d->ring = ring;
    d->listen_fd = listen_fd;
    d->status = *status;
    d->ring_fd = sl_bus_memory_readable_fd(ring_memory);
    d->payloads_fd = sl_bus_memory_readable_fd(payload_memory);
    d->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    d->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    d->spare_fd = eventfd(0, EFD_CLOEXEC);
    int rc;
    if (d->ring_fd < 0 || d->payloads_fd < 0 || d->epoll_fd < 0 || d->stop_fd < 0 ||
        d->spare_fd < 0 || watch(d, listen_fd, &d->listen_fd) != 0 ||
        watch(d, d->stop_fd, d) != 0) {
        rc = sl_error_set(err, -errno, "bus %s: cannot open its door: %s", status->name,
                          strerror(errno));
    } else if ((rc = user_of(d, d->owner)) < 0) { /* strangers can not take its place */
        sl_error_set(err, rc, "bus %s: cannot open its door: %s", status->name, strerror(-rc));
    } else {
        const struct sl_thread_config config = {
            .name = "sl-bus-door", .cpu = -1, .stack_bytes = SL_BUS_STACK_BYTES};
        rc = sl_thread_start(&d->thread, &config, door_main, d, err);
    }
    if (rc != 0)
        sl_bus_door_close(d);
    return rc;
}

/* Both for the parent, whose thread has ended, and for a forked child. */
static void release_all(struct sl_bus_door *d)
{
    for (struct sl_bus_guest_entry *g = d->guests, *next; g != NULL; g = next) {
        next = g->next;
        if (g->fd >= 0)
            close(g->fd);
        g->fd = -1; /* the child may close its handle later */
    }
    for (uint32_t u = 0; u < SL_BUS_USERS_MAX; u++) {
        if (d->user[u].rows_fd >= 0)
            close(d->user[u].rows_fd);
        if (d->user[u].rows.fd >= 0)
            close(d->user[u].rows.fd);
        d->user[u].rows_fd = d->user[u].rows.fd = -1;
    }
    int *fds[] = {&d->listen_fd, &d->epoll_fd,    &d->stop_fd,
                  &d->ring_fd,   &d->payloads_fd, &d->spare_fd};
    for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++) {
        if (*fds[i] >= 0)
            close(*fds[i]);
        *fds[i] = -1;
    }
}

void sl_bus_door_close(struct sl_bus_door *d)
{
    if (d->thread.running) {
        const uint64_t one = 1;
        while (write(d->stop_fd, &one, sizeof one) < 0 && errno == EINTR) {
        }
        sl_thread_join(&d->thread);
    }
    release_all(d);
    for (struct sl_bus_guest_entry *g = d->guests, *next; g != NULL; g = next) {
        next = g->next;
        free(g);
    }
    d->guests = NULL;
    for (uint32_t u = 0; u < SL_BUS_USERS_MAX; u++)
        sl_bus_memory_close(&d->user[u].rows);
}

void sl_bus_door_orphan(struct sl_bus_door *d)
{
    release_all(d);
    d->thread.running = false;
    for (uint32_t u = 0; u < SL_BUS_USERS_MAX; u++) {
        if (d->user[u].rows.map != NULL)
            sl_bus_fork_blank(d->user[u].rows.map, d->user[u].rows.bytes);
    }
}
