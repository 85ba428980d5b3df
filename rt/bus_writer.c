/* A bus's writer: puts memory, a lock, a door and a relay around the protocol
 * of rt/bus_ring.h. */
#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "rt/bus.h"
#include "rt/bus_door.h"
#include "rt/bus_fork.h"
#include "rt/bus_futex.h"
#include "rt/bus_memory.h"
#include "rt/bus_name.h"
#include "rt/bus_ring.h"
#include "rt/clock.h"
#include "rt/thread.h"

#define PLAIN_PAGE     ((size_t)4096)
#define HUGE_PAGE      ((size_t)2 << 20)
#define SLOT_BYTES_MAX ((size_t)1 << 30)

struct sl_bus_writer {
    struct sl_ring_writer ring;
    char name[SL_BUS_NAME_MAX + 1];
    int lock_fd;
    struct sl_bus_memory head, payloads;
    int dmabufs[SL_BUS_SLOTS_MAX]; /* of each slot */
    bool has_dmabufs;
    struct sl_bus_door door;
    struct sl_thread relay;
    _Atomic uint32_t relay_word;
    _Atomic uint32_t relay_asleep;
    _Atomic uint32_t relay_stop;
    _Atomic uint32_t relay_wakes; /* it is waking readers at this moment */
    struct sl_bus_fork_entry fork;
};

/* ---- waking ---- */

/* Clears the asleep bits, then moves the bell, then wakes: the order that
 * rt/bus_ring.h asks for. Of the writer or of the relay. */
static void wake_ordinary(struct sl_bus_writer *w)
{
    uint32_t users = atomic_load_explicit(&w->ring.user_count, memory_order_acquire);
    for (uint32_t u = 0; u < users; u++) {
        struct sl_ring_rows *rows =
            atomic_load_explicit(&w->ring.users[u].rows, memory_order_relaxed);
        for (uint32_t k = 0; k < SL_RING_BIT_WORDS; k++) {
            if (atomic_load_explicit(&rows->asleep[k], memory_order_relaxed) != 0)
                atomic_exchange_explicit(&rows->asleep[k], 0, memory_order_acq_rel);
        }
    }
    /* SYNC with the acquire of the bell in sleep_for_news(). */
    atomic_fetch_add_explicit(&w->ring.header->bell, 1, memory_order_release);
    sl_futex_wake_shared(&w->ring.header->bell, INT_MAX);
}

static void wake_realtime(struct sl_ring_rows *rows)
{
    uint32_t asleep = atomic_exchange_explicit(&rows->realtime_asleep, 0, memory_order_acq_rel);
    for (uint32_t k = 0; k < SL_BUS_REALTIME_MAX; k++) {
        if ((asleep >> k & 1) == 0)
            continue;
        /* SYNC with the acquire of the word in sleep_for_news(). */
        atomic_fetch_add_explicit(&rows->realtime_word[k].value, 1, memory_order_release);
        sl_futex_wake_shared(&rows->realtime_word[k].value, INT_MAX);
    }
}

/* The relay does for the (perhaps real-time) writer what grows with the number
 * of readers. */
static void ring_relay(struct sl_bus_writer *w)
{
    atomic_fetch_add_explicit(&w->relay_word, 1, memory_order_release);
    /* SYNC with the fence in relay_main(). */
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load_explicit(&w->relay_asleep, memory_order_relaxed) != 0)
        sl_futex_wake_private(&w->relay_word, 1);
}

static void *relay_main(void *argument)
{
    struct sl_bus_writer *w = argument;
    uint32_t seen = 0;
    while (atomic_load_explicit(&w->relay_stop, memory_order_acquire) == 0) {
        uint32_t word = atomic_load_explicit(&w->relay_word, memory_order_acquire);
        if (word == seen) {
            atomic_store_explicit(&w->relay_asleep, 1, memory_order_relaxed);
            /* SYNC with the fence in ring_relay(). */
            atomic_thread_fence(memory_order_seq_cst);
            sl_futex_wait_private(&w->relay_word, seen);
            atomic_store_explicit(&w->relay_asleep, 0, memory_order_relaxed);
            continue;
        }
        seen = word;
        atomic_store_explicit(&w->relay_wakes, 1, memory_order_relaxed);
        wake_ordinary(w);
        atomic_store_explicit(&w->relay_wakes, 0, memory_order_relaxed);
        sl_bus_door_ring_armed(&w->door);
    }
    return NULL;
}

/* Whoever sleeps is woken: real-time readers from here; a single other one as
 * well, since that costs no more than to wake the relay would. But the bits do
 * not bound how many threads wait for the bell: not if there are other users,
 * who may set one bit and wait with a thousand threads, nor while the relay is
 * between clearing the bits and waking. */
static void wake_readers(struct sl_bus_writer *w)
{
    const uid_t self = w->door.owner;
    int ordinary = 0;
    bool armed = false;
    uint32_t users = atomic_load_explicit(&w->ring.user_count, memory_order_acquire);
    for (uint32_t u = 0; u < users; u++) {
        struct sl_ring_rows *rows =
            atomic_load_explicit(&w->ring.users[u].rows, memory_order_relaxed);
        if (w->door.user[u].uid == self &&
            atomic_load_explicit(&rows->realtime_asleep, memory_order_relaxed) != 0)
            wake_realtime(rows);
        for (uint32_t k = 0; k < SL_RING_BIT_WORDS; k++) {
            uint64_t asleep = atomic_load_explicit(&rows->asleep[k], memory_order_relaxed);
            if (asleep != 0)
                ordinary += (asleep & (asleep - 1)) == 0 ? 1 : 2;
            armed |= atomic_load_explicit(&rows->armed[k], memory_order_relaxed) != 0;
        }
    }
    if (ordinary > 1 || armed ||
        (ordinary == 1 &&
         (users > 1 || atomic_load_explicit(&w->relay_wakes, memory_order_relaxed) != 0)))
        ring_relay(w);
    else if (ordinary == 1)
        wake_ordinary(w);
}

/* ---- loan and publish ---- */

void sl_bus_loan(struct sl_bus_writer *w, struct sl_bus_loan *loan)
{
    const uint32_t s = sl_ring_loan(&w->ring);
    *loan = (struct sl_bus_loan){.slot = s};
    if (s < w->ring.slot_count)
        *loan = (struct sl_bus_loan){.data = w->ring.payloads + s * w->ring.slot_bytes,
                                     .capacity = w->ring.capacity_bytes,
                                     .meta = w->ring.slots[s].meta,
                                     .slot = s};
}

void sl_bus_publish(struct sl_bus_writer *w, struct sl_bus_loan *loan, size_t size,
                    uint64_t measured_ns)
{
    sl_ring_publish(&w->ring, loan->slot, size, measured_ns, sl_clock_now_ns());
    wake_readers(w);
}

void sl_bus_cancel(struct sl_bus_writer *w, struct sl_bus_loan *loan)
{
    sl_ring_cancel(&w->ring, loan->slot);
    loan->data = NULL;
}

void sl_bus_write(struct sl_bus_writer *w, const void *record, size_t size, uint64_t measured_ns)
{
    struct sl_bus_loan loan;
    sl_bus_loan(w, &loan);
    memcpy(loan.data, record, size <= loan.capacity ? size : loan.capacity);
    sl_bus_publish(w, &loan, size, measured_ns);
}

uint32_t sl_bus_writer_pages(const struct sl_bus_writer *w)
{
    return w->payloads.pages;
}

void sl_bus_writer_payloads(const struct sl_bus_writer *w, struct sl_bus_payloads *payloads)
{
    *payloads = (struct sl_bus_payloads){.base = w->ring.payloads,
                                         .stride_bytes = w->ring.slot_bytes,
                                         .capacity_bytes = w->ring.capacity_bytes,
                                         .count = w->ring.slot_count,
                                         .dmabufs = w->has_dmabufs ? w->dmabufs : NULL};
}

void sl_bus_writer_note(struct sl_bus_writer *w, const char *text)
{
    atomic_store_explicit(&w->door.note, text, memory_order_release);
}

uint64_t sl_bus_writer_overruns(const struct sl_bus_writer *w)
{
    return atomic_load_explicit(&w->ring.overruns, memory_order_relaxed);
}

uint32_t sl_bus_writer_readers(const struct sl_bus_writer *w)
{
    return atomic_load_explicit(&w->door.reader_count, memory_order_relaxed);
}

/* ---- opening and closing ---- */

static int check_config(const struct sl_bus_writer_config *config, struct sl_error *err)
{
    int rc = sl_bus_name_check(config->name, err);
    if (rc != 0)
        return rc;
    if (config->slot_count < 3 || config->slot_count > SL_BUS_SLOTS_MAX ||
        config->slot_bytes == 0 || config->slot_bytes > SLOT_BYTES_MAX)
        return sl_error_set(err, -EINVAL,
                            "bus %s: %u slots of %zu bytes; 3 to %d slots of 1 byte to 1 GiB are "
                            "possible",
                            config->name, config->slot_count, config->slot_bytes, SL_BUS_SLOTS_MAX);
    if (config->access > SL_BUS_ACCESS_ALL)
        return sl_error_set(err, -EINVAL, "bus %s: access %u is not one of enum sl_bus_access",
                            config->name, config->access);
    return sl_bus_reserved_check(config->reserved, "writer", err);
}

/* Who may connect to the door, as a file's mode and group. */
static int door_rights(const struct sl_bus_writer_config *config, mode_t *mode, gid_t *gid,
                       struct sl_error *err)
{
    static const mode_t MODES[] = {
        [SL_BUS_ACCESS_OWNER] = 0600, [SL_BUS_ACCESS_GROUP] = 0660, [SL_BUS_ACCESS_ALL] = 0666};
    *mode = MODES[config->access];
    *gid = (gid_t)-1;
    if (config->access != SL_BUS_ACCESS_GROUP || config->group == NULL || config->group[0] == '\0')
        return 0;
    struct group entry, *found = NULL;
    char text[16384];
    if (getgrnam_r(config->group, &entry, text, sizeof text, &found) != 0 || found == NULL)
        return sl_error_set(err, -EINVAL,
                            "bus %s: there is no group \"%s\"; make it with \"groupadd %s\", or "
                            "name another",
                            config->name, config->group, config->group);
    *gid = found->gr_gid;
    return 0;
}

static size_t round_up(size_t value, size_t unit)
{
    return (value + unit - 1) / unit * unit;
}

/* From a slot to the next. On huge pages a slot lies within one, so that a device
 * finds its memory in one piece. */
static size_t slot_stride(const struct sl_bus_writer_config *config)
{
    size_t stride = round_up(config->slot_bytes, config->slot_bytes > PLAIN_PAGE ? PLAIN_PAGE : 64);
    if (!config->huge_pages || stride <= PLAIN_PAGE)
        return stride;
    if (stride > HUGE_PAGE)
        return round_up(stride, HUGE_PAGE);
    size_t piece = PLAIN_PAGE;
    while (piece < stride)
        piece *= 2;
    return piece;
}

static int make_ring(struct sl_bus_writer *w, const struct sl_bus_writer_config *config,
                     struct sl_error *err)
{
    char what[SL_BUS_NAME_MAX + 8];
    snprintf(what, sizeof what, "bus %s", w->name);
    const size_t slot_bytes = slot_stride(config);
    int rc = sl_bus_memory_create(&w->payloads, config->slot_count * slot_bytes, config->huge_pages,
                                  what, err);
    if (rc == 0)
        rc = sl_bus_memory_create(&w->head, sl_ring_bytes(config->slot_count), false, what, err);
    if (rc != 0)
        return rc;
    sl_ring_create(&w->ring, w->head.map, w->payloads.map, config->type, config->slot_count,
                   slot_bytes, config->slot_bytes);
    w->ring.header->shape.pages = w->payloads.pages;
    if (config->dmabufs) /* before the seals, which would forbid it */
        w->has_dmabufs =
            sl_bus_memory_dmabufs(&w->payloads, slot_bytes, config->slot_count, w->dmabufs) == 0;
    sl_bus_memory_seal_readers_out(&w->head);
    sl_bus_memory_seal_readers_out(&w->payloads);
    return 0;
}

static int open_door(struct sl_bus_writer *w, const struct sl_bus_writer_config *config,
                     struct sl_error *err)
{
    mode_t mode;
    gid_t gid;
    int rc = door_rights(config, &mode, &gid, err);
    if (rc != 0)
        return rc;
    /* Making the ring took its time. */
    if (!sl_bus_lock_is_current(w->name, w->lock_fd))
        return sl_error_set(err, -EBUSY, "bus %s was taken over while it was opened", w->name);
    int listen_fd = sl_bus_door_bind(w->name, mode, gid, err);
    if (listen_fd < 0)
        return listen_fd;
    struct sl_bus_status status = {
        .life = SL_BUS_ALIVE,
        .writer_pid = (int32_t)getpid(),
        .type = config->type,
        .slot_count = config->slot_count,
        .slot_bytes = config->slot_bytes,
        .memory_bytes = w->head.bytes + w->payloads.bytes,
        .pages = w->payloads.pages,
        .locked = w->payloads.locked && w->head.locked,
        .access = config->access,
        .started_ns = sl_clock_now_ns(),
    };
    snprintf(status.name, sizeof status.name, "%s", w->name);
    return sl_bus_door_open(&w->door, &w->ring, &w->head, &w->payloads, listen_fd, &status, err);
}

/* In the child of fork(). */
static void orphan(void *handle)
{
    struct sl_bus_writer *w = handle;
    /* From any half-open state: another thread may be opening it. */
    if (w->lock_fd >= 0)
        close(w->lock_fd);
    w->lock_fd = -1;
    sl_bus_door_orphan(&w->door);
    w->relay.running = false;
    for (uint32_t i = 0; w->has_dmabufs && i < w->ring.slot_count; i++)
        close(w->dmabufs[i]);
    w->has_dmabufs = false;
    struct sl_bus_memory *memories[] = {&w->head, &w->payloads};
    for (int i = 0; i < 2; i++) {
        if (memories[i]->fd >= 0)
            close(memories[i]->fd);
        memories[i]->fd = -1;
        if (memories[i]->map != NULL)
            sl_bus_fork_blank(memories[i]->map, memories[i]->bytes);
    }
}

int sl_bus_writer_open(struct sl_bus_writer **writer, const struct sl_bus_writer_config *config,
                       struct sl_error *err)
{
    *writer = NULL;
    int rc = check_config(config, err);
    if (rc != 0)
        return rc;
    struct sl_bus_writer *w = aligned_alloc(64, round_up(sizeof *w, 64));
    if (w == NULL)
        return sl_error_set(err, -ENOMEM, "no memory for a bus");
    memset(w, 0, sizeof *w); /* touched, for real-time writers */
    snprintf(w->name, sizeof w->name, "%s", config->name);
    w->lock_fd = -1;
    w->head = w->payloads = SL_BUS_MEMORY_NONE;
    sl_bus_door_init(&w->door);
    sl_bus_fork_add(&w->fork, orphan, w);

    rc = sl_bus_lock_take(w->name, config->take_over, &w->lock_fd, err);
    if (rc == 0)
        rc = make_ring(w, config, err);
    if (rc == 0)
        rc = open_door(w, config, err);
    if (rc == 0) {
        const struct sl_thread_config relay = {
            .name = "sl-bus-relay", .cpu = -1, .stack_bytes = SL_BUS_STACK_BYTES};
        rc = sl_thread_start(&w->relay, &relay, relay_main, w, err);
    }
    if (rc != 0) {
        sl_bus_writer_close(w);
        return rc;
    }
    *writer = w;
    return 0;
}

/* Readers that sleep find the bus closed. */
static void say_closed(struct sl_bus_writer *w)
{
    atomic_store_explicit(&w->ring.header->closed, 1, memory_order_relaxed);
    /* SYNC with the reader's fence between S1 and S2. */
    atomic_thread_fence(memory_order_seq_cst);
    wake_ordinary(w);
    uint32_t users = atomic_load_explicit(&w->ring.user_count, memory_order_acquire);
    for (uint32_t u = 0; u < users; u++)
        wake_realtime(atomic_load_explicit(&w->ring.users[u].rows, memory_order_relaxed));
}

static void stop_relay(struct sl_bus_writer *w)
{
    atomic_store_explicit(&w->relay_stop, 1, memory_order_release);
    atomic_fetch_add_explicit(&w->relay_word, 1, memory_order_release);
    sl_futex_wake_private(&w->relay_word, 1);
    sl_thread_join(&w->relay);
}

static void remove_entries(const struct sl_bus_writer *w)
{
    char path[SL_BUS_PATH_BYTES];
    /* After a take-over they are somebody else's. */
    if (!sl_bus_lock_is_current(w->name, w->lock_fd))
        return;
    if (sl_bus_door_path(path, w->name, NULL) == 0)
        unlink(path);
    if (sl_bus_lock_path(path, w->name, NULL) == 0)
        unlink(path);
}

void sl_bus_writer_close(struct sl_bus_writer *w)
{
    if (w == NULL)
        return;
    sl_bus_fork_remove(&w->fork);
    if (w->lock_fd >= 0)
        remove_entries(w); /* first: who looks again must not find this door */
    if (w->ring.header != NULL && !w->fork.orphan)
        say_closed(w);
    if (w->relay.running)
        stop_relay(w);
    sl_bus_door_close(&w->door);
    for (uint32_t i = 0; w->has_dmabufs && i < w->ring.slot_count; i++)
        close(w->dmabufs[i]);
    sl_bus_memory_close(&w->head);
    sl_bus_memory_close(&w->payloads);
    if (w->lock_fd >= 0)
        close(w->lock_fd);
    free(w);
}
