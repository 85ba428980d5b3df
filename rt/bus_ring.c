#include "rt/bus_ring.h"

#include <errno.h>
#include <string.h>

/* No honest writer can outrun a reader this often. */
#define TRIES_MAX 1000
/* A reader that wants every record and is lapped all the time gives up the
 * oldest, which is the next to go. */
#define TRIES_IN_ORDER 16

_Static_assert(SL_BUS_SLOTS_MAX <= 64, "held_slots() answers with one bit a slot");
_Static_assert(SL_BUS_READERS_MAX == 8 * SL_RING_LINE_BYTES, "eight lines of hazards");
_Static_assert(sizeof(struct sl_ring_rows) <= 4096, "one page a user");

/* Sequentially consistent. ThreadSanitizer does not know fences; it needs none
 * to follow the protocol, since every hand-over also goes through an atomic. */
static inline void full_fence(void)
{
    atomic_thread_fence(memory_order_seq_cst);
}

/* ---- writer ---- */

static size_t slots_offset(void)
{
    return (sizeof(struct sl_ring_header) + SL_RING_LINE_BYTES - 1) / SL_RING_LINE_BYTES *
           SL_RING_LINE_BYTES;
}

size_t sl_ring_bytes(uint32_t slot_count)
{
    return slots_offset() + slot_count * sizeof(struct sl_ring_slot);
}

const struct sl_ring_slot *sl_ring_slots(const struct sl_ring_header *header)
{
    return (const struct sl_ring_slot *)((const uint8_t *)header + slots_offset());
}

void sl_ring_create(struct sl_ring_writer *w, void *ring, void *payloads, uint32_t type,
                    uint32_t slot_count, size_t slot_bytes, size_t capacity_bytes)
{
    w->header = ring;
    w->slots = (struct sl_ring_slot *)((uint8_t *)ring + slots_offset());
    w->payloads = payloads;
    w->slot_count = slot_count;
    w->slot_bytes = slot_bytes;
    w->capacity_bytes = capacity_bytes;
    w->newest_slot = slot_count;
    w->header->shape = (struct sl_ring_shape){.magic = SL_RING_MAGIC,
                                              .layout_version = SL_RING_LAYOUT_VERSION,
                                              .type = type,
                                              .slot_count = slot_count,
                                              .slot_bytes = slot_bytes,
                                              .capacity_bytes = capacity_bytes};
}

uint32_t sl_ring_add_user(struct sl_ring_writer *w, struct sl_ring_rows *rows, bool foreign)
{
    uint32_t user = atomic_load_explicit(&w->user_count, memory_order_relaxed);
    w->users[user].foreign = foreign;
    atomic_store_explicit(&w->users[user].rows, rows, memory_order_relaxed);
    /* SYNC with the acquire in held_slots(), and with that of who wakes. */
    atomic_store_explicit(&w->user_count, user + 1, memory_order_release);
    return user;
}

/* Bit s: some reader of these rows announces slot s. */
static uint64_t held_by_user(const struct sl_ring_user *user)
{
    const struct sl_ring_rows *rows = atomic_load_explicit(&user->rows, memory_order_relaxed);
    uint32_t used = atomic_load_explicit(&user->used, memory_order_relaxed);
    uint64_t held = 0;
    for (uint32_t line = 0; line < 8 && line < used; line++) {
        const _Atomic uint8_t *hazards = &rows->hazard[line * SL_RING_LINE_BYTES];
        for (uint32_t k = 0; k * 8 + line < used; k++) {
            /* SYNC with the release stores in let_go() and hold(): a reader's
             * last look at a payload comes before the writer's first store. */
            uint8_t hazard = atomic_load_explicit(&hazards[k], memory_order_acquire);
            if (hazard != 0 && hazard <= SL_BUS_SLOTS_MAX)
                held |= UINT64_C(1) << (hazard - 1);
        }
    }
    return held;
}

/* Bit s: slot s is held by anybody, or by anybody of the writer's own user. */
static uint64_t held_slots(const struct sl_ring_writer *w, bool by_own_only)
{
    uint64_t held = 0;
    /* SYNC with the release in sl_ring_add_user(). A reader that came in after
     * this look finds s.seq == 0: it was told its row after `used` covered it,
     * and both lie before its R1. */
    uint32_t users = atomic_load_explicit(&w->user_count, memory_order_acquire);
    for (uint32_t u = 0; u < users; u++) {
        if (!by_own_only || !w->users[u].foreign)
            held |= held_by_user(&w->users[u]);
    }
    return held;
}

/* The slot with the oldest record among those not excluded nor on loan;
 * slot_count if none. */
static uint32_t oldest_slot(const struct sl_ring_writer *w, uint64_t excluded)
{
    uint32_t best = w->slot_count;
    for (uint32_t s = 0; s < w->slot_count; s++) {
        if (s == w->newest_slot || ((excluded | w->loaned) >> s & 1) != 0)
            continue;
        if (best == w->slot_count || w->slot_seq[s] < w->slot_seq[best])
            best = s;
    }
    return best;
}

/* Only for those who look at the bus: the readers learn it on release. */
static void count_overrun(struct sl_ring_writer *w, uint32_t slot)
{
    bool held = false;
    uint32_t users = atomic_load_explicit(&w->user_count, memory_order_acquire);
    for (uint32_t u = 0; u < users; u++) {
        struct sl_ring_user *user = &w->users[u];
        const struct sl_ring_rows *rows = atomic_load_explicit(&user->rows, memory_order_relaxed);
        uint32_t used = atomic_load_explicit(&user->used, memory_order_relaxed);
        for (uint32_t i = 0; i < used; i++) {
            if (atomic_load_explicit(&rows->hazard[sl_ring_hazard_index(i)],
                                     memory_order_relaxed) != slot + 1)
                continue;
            atomic_fetch_add_explicit(&user->overruns[i], 1, memory_order_relaxed);
            held = true;
        }
    }
    if (held)
        atomic_fetch_add_explicit(&w->overruns, 1, memory_order_relaxed);
}

/* W1, W2: takes the oldest slot out of circulation that nobody (or nobody of the
 * writer's own user) holds; slot_count if there is none. */
static uint32_t take_free_slot(struct sl_ring_writer *w, bool by_own_only)
{
    uint64_t held = held_slots(w, by_own_only);
    for (;;) { /* at most once a slot: `held` grows by one each time round */
        uint32_t s = oldest_slot(w, held);
        if (s == w->slot_count)
            return s;
        atomic_store_explicit(&w->slots[s].seq, 0, memory_order_relaxed);
        /* SYNC with the fence in hold(): W1, and the newest word, before W2. Also
         * keeps the stores to the payload behind seq = 0, for the look in
         * sl_ring_release(). */
        full_fence();
        uint64_t now_held = held_slots(w, by_own_only);
        if ((now_held >> s & 1) == 0)
            return s;
        /* Taken between the two looks: its record is untouched, give it back.
         * SYNC with the acquire of seq in slot_still_has(), as in sl_ring_publish(). */
        atomic_store_explicit(&w->slots[s].seq, w->slot_seq[s], memory_order_release);
        held |= now_held;
    }
}

uint32_t sl_ring_loan(struct sl_ring_writer *w)
{
    uint32_t s = take_free_slot(w, false);
    if (s == w->slot_count) {
        s = take_free_slot(w, true);
        if (s == w->slot_count) {
            s = oldest_slot(w, 0);
            if (s == w->slot_count)
                return s;
            atomic_store_explicit(&w->slots[s].seq, 0, memory_order_relaxed);
            full_fence(); /* as in take_free_slot() */
        }
        count_overrun(w, s);
    }
    w->slot_seq[s] = 0;
    w->loaned |= UINT64_C(1) << s;
    memset(w->slots[s].meta, 0, sizeof w->slots[s].meta);
    return s;
}

void sl_ring_cancel(struct sl_ring_writer *w, uint32_t s)
{
    w->loaned &= ~(UINT64_C(1) << s); /* its seq is 0 already: nobody can take it */
}

static void store_facts(struct sl_ring_facts *facts, size_t size, uint64_t measured_ns,
                        uint64_t published_ns, memory_order order)
{
    atomic_store_explicit(&facts->measured_ns, measured_ns, order);
    atomic_store_explicit(&facts->published_ns, published_ns, order);
    atomic_store_explicit(&facts->size, size, order);
}

void sl_ring_publish(struct sl_ring_writer *w, uint32_t s, size_t size, uint64_t measured_ns,
                     uint64_t now_ns)
{
    struct sl_ring_slot *slot = &w->slots[s];
    struct sl_ring_header *header = w->header;
    uint64_t seq = atomic_load_explicit(&w->seq, memory_order_relaxed) + 1;
    if (size > w->capacity_bytes)
        size = w->capacity_bytes;
    store_facts(&slot->facts, size, measured_ns, now_ns, memory_order_relaxed);
    w->slot_seq[s] = seq;
    w->newest_slot = s;
    w->loaned &= ~(UINT64_C(1) << s);
    /* SYNC with the acquire of seq in slot_still_has(): the payload is there
     * before its number is. */
    atomic_store_explicit(&slot->seq, seq, memory_order_release);
    /* SYNC with the acquires in newest_still_is(): who sees one of these facts
     * sees `begun` too. */
    atomic_store_explicit(&header->begun, seq, memory_order_relaxed);
    store_facts(&header->newest_facts, size, measured_ns, now_ns, memory_order_release);
    /* SYNC with the acquires in newer() and newest_still_is(): payload and facts
     * are there before the record is the newest. */
    atomic_store_explicit(&header->newest, seq << 8 | s, memory_order_release);
    atomic_store_explicit(&w->seq, seq, memory_order_relaxed);
    atomic_store_explicit(&w->newest_ns, now_ns, memory_order_relaxed);
    /* SYNC with the reader's fence between S1 and S2: P1 before P2. */
    full_fence();
}

/* ---- reader ---- */

/* The newest word if it is newer than what was acquired last, else 0. */
static uint64_t newer(const struct sl_ring_reader *r)
{
    /* SYNC with the release of newest in sl_ring_publish(). */
    uint64_t newest = atomic_load_explicit(&r->header->newest, memory_order_acquire);
    return newest >> 8 > r->last_seq ? newest : 0;
}

bool sl_ring_news(const struct sl_ring_reader *r)
{
    return newer(r) != 0;
}

void sl_ring_warm(struct sl_ring_reader *r)
{
    /* It is 0 already; the store is what fetches the line. Release, since the
     * writer may find this 0 instead of the one of let_go(). */
    atomic_store_explicit(r->hazard, 0, memory_order_release);
}

static void let_go(struct sl_ring_reader *r)
{
    /* SYNC with the acquire in held_by_user(). */
    atomic_store_explicit(r->hazard, 0, memory_order_release);
}

static void load_facts(const struct sl_ring_facts *facts, struct sl_bus_view *view,
                       memory_order order)
{
    view->measured_ns = atomic_load_explicit(&facts->measured_ns, order);
    view->published_ns = atomic_load_explicit(&facts->published_ns, order);
    view->size = atomic_load_explicit(&facts->size, order);
}

/* R2 by the newest word: true if it is record `seq` in slot `s`. Fills in the
 * facts about it, or about who knows which if not. */
static bool newest_still_is(const struct sl_ring_reader *r, uint32_t s, uint64_t seq,
                            struct sl_bus_view *view)
{
    const struct sl_ring_header *header = r->header;
    /* SYNC with the release of newest in sl_ring_publish(). */
    if (atomic_load_explicit(&header->newest, memory_order_acquire) != (seq << 8 | s))
        return false;
    /* SYNC with the releases of these facts: if one is of a later record, so
     * is `begun`. */
    load_facts(&header->newest_facts, view, memory_order_acquire);
    return atomic_load_explicit(&header->begun, memory_order_relaxed) == seq;
}

/* R2 by the slot's own number, as above. */
static bool slot_still_has(const struct sl_ring_reader *r, uint32_t s, uint64_t seq,
                           struct sl_bus_view *view)
{
    const struct sl_ring_slot *slot = &r->slots[s];
    /* SYNC with the release of seq in sl_ring_publish() and take_free_slot(). */
    if (atomic_load_explicit(&slot->seq, memory_order_acquire) != seq)
        return false;
    load_facts(&slot->facts, view, memory_order_relaxed);
    return true;
}

/* R1, R2: holds slot `s` if record `seq` is still in it. */
static bool hold(struct sl_ring_reader *r, uint32_t s, uint64_t seq, struct sl_bus_view *view)
{
    /* Release: this too ends a hold, that of the try before. */
    atomic_store_explicit(r->hazard, (uint8_t)(s + 1), memory_order_release);
    /* SYNC with the fence in take_free_slot(): R1 before R2. */
    full_fence();
    if (!newest_still_is(r, s, seq, view) && !slot_still_has(r, s, seq, view)) {
        let_go(r);
        return false;
    }
    view->data = r->payloads + s * r->slot_bytes;
    view->meta = r->slots[s].meta;
    view->slot = s;
    view->seq = seq;
    if (view->size > r->slot_bytes) /* no honest writer's */
        view->size = r->slot_bytes;
    /* A reader that only just arrived has missed nothing. */
    view->missed = r->last_seq == 0 ? 0 : seq - r->last_seq - 1;
    r->last_seq = seq;
    return true;
}

int sl_ring_take_newest(struct sl_ring_reader *r, struct sl_bus_view *view)
{
    /* Goes round only if the writer reused the slot in between. */
    for (int tries = 0; tries < TRIES_MAX; tries++) {
        uint64_t newest = newer(r);
        if (newest == 0)
            return -EAGAIN;
        uint32_t s = (uint32_t)(newest & 0xff);
        if (s < r->slot_count && hold(r, s, newest >> 8, view))
            return 0;
    }
    return -EPROTO;
}

/* The slot with the oldest record after the last acquired; its number in `seq`. */
static uint32_t oldest_unread(const struct sl_ring_reader *r, uint64_t *seq)
{
    /* While nobody holds on, the slots are filled in turn: look there first. */
    uint32_t guess = (uint32_t)(r->last_seq % r->slot_count);
    *seq = atomic_load_explicit(&r->slots[guess].seq, memory_order_relaxed);
    if (*seq == r->last_seq + 1)
        return guess;
    uint32_t best = 0;
    *seq = 0;
    for (uint32_t s = 0; s < r->slot_count; s++) {
        uint64_t here = atomic_load_explicit(&r->slots[s].seq, memory_order_relaxed);
        if (here > r->last_seq && (*seq == 0 || here < *seq)) {
            *seq = here;
            best = s;
        }
    }
    return best;
}

int sl_ring_take_next(struct sl_ring_reader *r, struct sl_bus_view *view)
{
    for (int tries = 0; tries < TRIES_MAX; tries++) {
        uint64_t newest = newer(r);
        if (newest == 0)
            return -EAGAIN;
        uint64_t seq = newest >> 8;
        uint32_t s = tries < TRIES_IN_ORDER ? oldest_unread(r, &seq) : (uint32_t)(newest & 0xff);
        if (seq != 0 && s < r->slot_count && hold(r, s, seq, view))
            return 0;
    }
    return -EPROTO;
}

int sl_ring_release(struct sl_ring_reader *r, struct sl_bus_view *view)
{
    /* SYNC with the fences in sl_ring_loan(): every look at the payload comes
     * before this look at its number. */
    atomic_thread_fence(memory_order_acquire);
    uint64_t seq = atomic_load_explicit(&r->slots[view->slot].seq, memory_order_relaxed);
    let_go(r);
    return seq == view->seq ? 0 : -EOVERFLOW;
}
