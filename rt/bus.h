/* The bus: a named ring in shared memory with one writer and any number of
 * readers. Readers never block the writer, the writer never blocks readers,
 * and no reader sees half a record. Frames and small records use the same code.
 *
 *     writer:  loan -> fill in place -> publish            (or cancel)
 *     reader:  wait -> acquire -> use in place -> release  (0, or "overrun":
 *              discard what was computed from it)
 *
 * The layout in memory, its invariants and the orders of its atomics are
 * described at the top of rt/bus.c.
 *
 * Names are 1 to 48 of [a-z0-9_]. They live in the directory SKYLANE_BUS_DIR
 * of the environment, /dev/shm if unset. Handles belong to one thread at a
 * time. A process may open many, also of the same bus. */
#ifndef SL_RT_BUS_H
#define SL_RT_BUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rt/error.h"

#define SL_BUS_NAME_MAX     48
#define SL_BUS_META_BYTES   128
#define SL_BUS_SLOTS_MAX    64
#define SL_BUS_READERS_MAX  256
#define SL_BUS_FRAME_SLOTS  4 /* usual slot counts */
#define SL_BUS_RECORD_SLOTS 64

struct sl_bus_writer;
struct sl_bus_reader;

struct sl_bus_writer_config {
    const char *name;
    uint32_t type;       /* enum sl_record_type; readers that expect another are refused */
    uint32_t slot_count; /* 3..64 */
    size_t slot_bytes;   /* largest payload; rounded up to whole pages above 4 KiB */
    bool take_over;      /* from a writer that is alive but does not let go; it goes on
                          * writing where nobody looks any more */
    bool huge_pages;     /* payloads on 2 MiB pages if the machine has them, else plain ones */
};

/* What the writer is lent: fill `data` and `meta`, then publish or cancel. */
struct sl_bus_loan {
    void *data; /* `capacity` bytes, 64-byte aligned, page aligned above 4 KiB */
    size_t capacity;
    void *meta;    /* SL_BUS_META_BYTES, zeroed; struct sl_frame_info for frames */
    uint32_t slot; /* private */
};

/* What a reader is lent, until it releases it. Read-only memory. */
struct sl_bus_view {
    const void *data;
    const void *meta;
    size_t size;
    uint64_t seq;         /* counts published records from 1 in a writer's life */
    uint64_t measured_ns; /* as told to publish */
    uint64_t published_ns;
    uint64_t missed; /* records between the last one acquired and this one */
    uint32_t slot;   /* private */
};

/* Creates the ring and becomes its writer; replaces what a dead writer left.
 * All memory is reserved and touched here. Not for
 * real-time loops. Starts one thread of ordinary priority that wakes readers.
 * 0; -EINVAL (bad name or sizes); -EBUSY (another process writes it: `err`
 * names its pid); -ENOSPC (`err` gives the bytes needed and where);
 * -EACCES, -ENOENT (the directory), each in words in `err`. */
int sl_bus_writer_open(struct sl_bus_writer **writer, const struct sl_bus_writer_config *config,
                       struct sl_error *err);

/* Closes and removes the bus; readers learn it as -EPIPE. NULL is allowed. */
void sl_bus_writer_close(struct sl_bus_writer *writer);

/* True if the payloads lie on huge pages. */
bool sl_bus_writer_huge_pages(const struct sl_bus_writer *writer);

/* Lends the slot to fill next: never the newest, and never one that a reader
 * holds while any other is left; else the oldest held one, whose reader will
 * learn of it. One loan at a time. Never blocks or fails; bounded by slots
 * times readers. */
void sl_bus_loan(struct sl_bus_writer *writer, struct sl_bus_loan *loan);

/* Makes the loaned slot the newest and wakes who waits. `size` is at most the
 * capacity, `measured_ns` the time at which the content was measured. Bounded;
 * one futex wake for each waiting real-time reader and one for all others. */
void sl_bus_publish(struct sl_bus_writer *writer, struct sl_bus_loan *loan, size_t size,
                    uint64_t measured_ns);

/* Gives the slot back unpublished. */
void sl_bus_cancel(struct sl_bus_writer *writer, struct sl_bus_loan *loan);

/* loan, copy, publish in one: for small records. */
void sl_bus_write(struct sl_bus_writer *writer, const void *record, size_t size,
                  uint64_t measured_ns);

/* How often the writer had to take a slot from a reader that held it. */
uint64_t sl_bus_writer_overruns(const struct sl_bus_writer *writer);

struct sl_bus_reader_config {
    const char *name;
    uint32_t type;    /* expected record type */
    size_t min_bytes; /* smallest acceptable slot: sizeof the record */
    bool realtime;    /* woken by the writer itself, before all others */
};

/* Prepares a reader. The writer need not exist, then or later: the reader
 * attaches when it appears and moves on when it is replaced, inside
 * sl_bus_wait() and the acquiring functions. A reader without a writer looks
 * for one every 10 ms at first, later every 80 ms. 0; -EINVAL; -ENOMEM. */
int sl_bus_reader_open(struct sl_bus_reader **reader, const struct sl_bus_reader_config *config,
                       struct sl_error *err);
void sl_bus_reader_close(struct sl_bus_reader *reader); /* releases what it holds; NULL allowed */

/* Waits until there is a record newer than the last acquired, at most until
 * `deadline_ns` (0: do not wait). 0; -ETIMEDOUT (nothing new, writer alive);
 * -EPIPE (at the deadline there was no writer: none yet, closed, or dead);
 * -EPROTO (the writer's type, layout or size does not fit: see
 * sl_bus_reader_problem()); -EUSERS (256 readers are attached). */
int sl_bus_wait(struct sl_bus_reader *reader, uint64_t deadline_ns);

/* Lends the newest record. One at a time. 0; -EAGAIN (nothing newer than the
 * last); -EPIPE, -EPROTO, -EUSERS as above. Lock-free; no system call while attached, but for a
 * look every 50 ms whether the writer lives while nothing is new. */
int sl_bus_acquire_newest(struct sl_bus_reader *reader, struct sl_bus_view *view);

/* Lends the oldest record still there after the last acquired one: for who
 * wants them all. `view->missed` tells how many were lost. Errors as above. */
int sl_bus_acquire_next(struct sl_bus_reader *reader, struct sl_bus_view *view);

/* Gives it back. 0, or -EOVERFLOW: the writer had to reuse the slot while it
 * was held, so that what was read from it may be torn; discard it. */
int sl_bus_release(struct sl_bus_reader *reader, struct sl_bus_view *view);

/* Copies the newest record out whole: acquire, copy, release, again on overrun
 * (three tries). `record` has room for `size` bytes, the record's exact size,
 * at most the reader's min_bytes; it is written only on success.
 * 0; -EAGAIN, -EPIPE, -EPROTO, -EUSERS; -EOVERFLOW. `view` may be NULL; its
 * pointers do not hold after the call. */
int sl_bus_read_newest(struct sl_bus_reader *reader, void *record, size_t size,
                       struct sl_bus_view *view);

/* The same for the next in order. */
int sl_bus_read_next(struct sl_bus_reader *reader, void *record, size_t size,
                     struct sl_bus_view *view);

/* True if it is attached to a writer whose payloads lie on huge pages. */
bool sl_bus_reader_huge_pages(const struct sl_bus_reader *reader);

/* A sentence on why the last call said -EPROTO, -EPIPE or -EUSERS. */
const char *sl_bus_reader_problem(const struct sl_bus_reader *reader);

/* Counts up each time this reader attached to a writer; 0 while it never did. */
uint64_t sl_bus_reader_attached(const struct sl_bus_reader *reader);

#endif
