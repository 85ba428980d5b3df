/* The protocol of the bus, on plain pointers: no system calls, no files, no
 * threads. rt/bus_writer.c and rt/bus_reader.c put memory under it and sleep on
 * it; tests/model/ holds its model, and checks it with every step of either
 * side possible between any two of the other.
 *
 * Three regions, each with one kind of writer:
 *
 *   ring      header and slots      the writer writes, readers map it read-only
 *   payloads  one area a slot       the same
 *   rows      what readers say      one region for each user who reads; its
 *                                   readers write it, and the writer trusts
 *                                   nothing in it: at worst a user fools
 *                                   readers of his own
 *
 * Each slot has a sequence word: the number of the record in it, or 0 while it
 * is empty or being filled. `newest` holds sequence and slot. A reader
 * announces the slot it holds in its hazard byte.
 *
 *   writer, to reuse slot s          reader, to hold slot s with record n
 *   W1 s.seq = 0                     R1 hazard = s
 *   -- fence --                      -- fence --
 *   W2 look at all hazards for s     R2 newest == (n, s), or s.seq == n ?
 *
 * With a sequentially consistent fence on both sides at least one of the two
 * sees the other (Dekker's argument; hazard pointers are Michael's, "Hazard
 * Pointers: Safe Memory Reclamation for Lock-Free Objects", IEEE TPDS 15(6),
 * 2004). If the writer sees the hazard it restores the sequence and takes
 * another slot; if the reader sees 0 or another number it lets go and looks for
 * the newest again. If both see each other, both step back. Asking `newest`
 * does as well as asking the slot, since the newest slot is never reused: the
 * successor was stored there before W1. It is asked first because its line
 * also says the newest record's size and times, so that a poller takes a record
 * with the one line that it polls; those are read as with a seqlock, `begun`
 * being the number that they belong to. Only when every
 * slot but the newest is held does the writer go on regardless: then s.seq is
 * no longer n when the reader releases, which is how it learns (the read side
 * of a seqlock; the fences are those of Boehm, "Can Seqlocks Get Along With
 * Programming Language Memory Models?", MSPC 2012). It takes what foreign users
 * hold before what its own user's readers hold: a stranger who announces every
 * slot for ever gains nothing.
 *
 * Sleeping follows the same pattern:
 *
 *   writer                           reader
 *   P1 newest = n                    S1 asleep bit = 1
 *   -- fence --                      -- fence --
 *   P2 look at the asleep bits       S2 newest still old? then sleep
 *
 * Whoever wakes clears the bits first, then moves the futex word, then wakes.
 * A reader reads the word before it sets its bit, so that if its bit was
 * cleared, the word has moved or will, and it can not sleep through. */
#ifndef SL_RT_BUS_RING_H
#define SL_RT_BUS_RING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rt/bus.h"

#define SL_RING_MAGIC          UINT64_C(0x32305355424c4b53) /* "SKLBUS02" */
#define SL_RING_LAYOUT_VERSION 3u
#define SL_RING_LINE_BYTES     64 /* of cache, on all machines that we know */
#define SL_RING_BIT_WORDS      (SL_BUS_READERS_MAX / 64)

/* Of a record. Atomic, since a reader may be overrun while it reads them. */
struct sl_ring_facts {
    _Atomic uint64_t measured_ns;
    _Atomic uint64_t published_ns;
    _Atomic uint64_t size;
};

/* Never changes in an honest writer's ring; a reader checks a copy, and goes by
 * that. */
struct sl_ring_shape {
    uint64_t magic;
    uint32_t layout_version;
    uint32_t type;
    uint32_t slot_count;
    uint32_t pages;          /* enum sl_bus_pages */
    uint64_t slot_bytes;     /* from a payload to the next */
    uint64_t capacity_bytes; /* largest payload */
};

struct sl_ring_header {
    struct sl_ring_shape shape;
    _Alignas(SL_RING_LINE_BYTES) _Atomic uint64_t newest; /* sequence << 8 | slot; 0: none yet */
    _Atomic uint64_t begun;                               /* sequence that newest_facts are of */
    struct sl_ring_facts newest_facts;
    _Alignas(SL_RING_LINE_BYTES) _Atomic uint32_t bell; /* futex word of ordinary readers */
    _Atomic uint32_t closed;
};

struct sl_ring_slot {
    _Alignas(SL_RING_LINE_BYTES) _Atomic uint64_t seq;
    struct sl_ring_facts facts;
    _Alignas(SL_RING_LINE_BYTES) uint8_t meta[SL_BUS_META_BYTES];
};

/* What the readers of one user say. Reader i's hazard is the byte
 * sl_ring_hazard_index(i): neighbours lie on different cache lines, so that the
 * usual handful of readers does not share one, while all 512 take the writer
 * eight lines to look through. */
struct sl_ring_rows {
    _Alignas(SL_RING_LINE_BYTES) _Atomic uint8_t hazard[SL_BUS_READERS_MAX]; /* slot + 1; 0: none */
    /* Bit i: reader i sleeps on the bell, or is about to. */
    _Alignas(SL_RING_LINE_BYTES) _Atomic uint64_t asleep[SL_RING_BIT_WORDS];
    /* Bit i: reader i has armed its file descriptor. */
    _Alignas(SL_RING_LINE_BYTES) _Atomic uint64_t armed[SL_RING_BIT_WORDS];
    /* Bit k: a real-time reader sleeps on word k, or is about to. */
    _Alignas(SL_RING_LINE_BYTES) _Atomic uint32_t realtime_asleep;
    struct {
        _Alignas(SL_RING_LINE_BYTES) _Atomic uint32_t value;
    } realtime_word[SL_BUS_REALTIME_MAX];
};

static inline uint32_t sl_ring_hazard_index(uint32_t reader)
{
    return reader % 8 * SL_RING_LINE_BYTES + reader / 8;
}

/* ---- the writer's side: one thread ---- */

/* One user's rows, as the writer sees them. A door sets them up while the
 * writer runs: `rows` once, `used` whenever readers come and go. */
struct sl_ring_user {
    _Atomic(struct sl_ring_rows *) rows;
    bool foreign;          /* not the writer's own: holds are respected as long as that
                            * costs no reader of the writer's own user anything */
    _Atomic uint32_t used; /* readers below this may be there */
    _Atomic uint64_t overruns[SL_BUS_READERS_MAX];
};

struct sl_ring_writer {
    struct sl_ring_header *header;
    struct sl_ring_slot *slots;
    uint8_t *payloads;
    uint32_t slot_count; /* the writer's own copies: its steering never */
    size_t slot_bytes;   /* depends on what lies in shared memory       */
    size_t capacity_bytes;
    uint32_t newest_slot; /* slot_count: none */
    uint64_t loaned;      /* bit s: slot s is being filled */
    uint64_t slot_seq[SL_BUS_SLOTS_MAX];
    _Atomic uint64_t seq;       /* records published; others may look */
    _Atomic uint64_t newest_ns; /* when the last was */
    _Atomic uint64_t overruns;
    struct sl_ring_user users[SL_BUS_USERS_MAX];
    _Atomic uint32_t user_count;
};

/* Bytes that header and slots take; where the slots lie behind a header. */
size_t sl_ring_bytes(uint32_t slot_count);
const struct sl_ring_slot *sl_ring_slots(const struct sl_ring_header *header);

/* Lays out a ring in zeroed memory: sl_ring_bytes() at `ring` and slot_count *
 * slot_bytes at `payloads`. `writer` is zeroed by the caller, who keeps all
 * three until the writer is done. */
void sl_ring_create(struct sl_ring_writer *writer, void *ring, void *payloads, uint32_t type,
                    uint32_t slot_count, size_t slot_bytes, size_t capacity_bytes);

/* Lets the readers of one more user in. From the door's thread. Returns the
 * user's number. */
uint32_t sl_ring_add_user(struct sl_ring_writer *writer, struct sl_ring_rows *rows, bool foreign);

/* The slot to fill next: the oldest that nobody holds; else the oldest that
 * only foreign users hold; else the oldest of all but the newest. slot_count if
 * all but the newest are on loan already. Bounded: at most 2 * slot_count looks
 * at the rows.
 *
 * To the readers a slot on loan is an empty one, for however long it lasts: what
 * holds for one loan at a time holds for several, in a ring that has so many
 * slots fewer meanwhile. */
uint32_t sl_ring_loan(struct sl_ring_writer *writer);

/* Gives a loaned slot back unpublished. */
void sl_ring_cancel(struct sl_ring_writer *writer, uint32_t slot);

/* Makes the loaned slot the newest, and orders that before the look at who
 * sleeps. */
void sl_ring_publish(struct sl_ring_writer *writer, uint32_t slot, size_t size,
                     uint64_t measured_ns, uint64_t now_ns);

/* ---- the reader's side: one thread a reader ---- */

struct sl_ring_reader {
    const struct sl_ring_header *header; /* NULL: not attached */
    const struct sl_ring_slot *slots;
    const uint8_t *payloads;
    uint32_t slot_count;
    size_t slot_bytes;
    struct sl_ring_rows *rows;
    _Atomic uint8_t *hazard;
    uint64_t last_seq; /* acquired last; 0: nothing of this ring yet */
};

/* True if there is something newer than what was acquired last. */
bool sl_ring_news(const struct sl_ring_reader *reader);

/* For a poller that holds nothing: keeps the line of its hazard in this core's
 * cache, from where the writer's looks draw it away. */
void sl_ring_warm(struct sl_ring_reader *reader);

/* 0; -EAGAIN (nothing newer); -EPROTO (goes round without end: what lies there
 * was not written by this protocol). */
int sl_ring_take_newest(struct sl_ring_reader *reader, struct sl_bus_view *view);
int sl_ring_take_next(struct sl_ring_reader *reader, struct sl_bus_view *view);

/* 0, or -EOVERFLOW if the slot was reused meanwhile. */
int sl_ring_release(struct sl_ring_reader *reader, struct sl_bus_view *view);

#endif
