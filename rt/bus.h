/* The bus: a named ring in shared memory with one writer and any number of
 * readers. Readers never block the writer, the writer never blocks readers,
 * and no reader sees half a record. Frames and small records use the same code.
 *
 *     writer:  loan -> fill in place -> publish            (or cancel)
 *     reader:  wait -> acquire -> use in place -> release  (0, or "overrun":
 *              discard what was computed from it)
 *
 * How it works stands at the top of rt/bus_ring.h (the protocol) and of
 * rt/bus_door.h (how readers come in, and what happens when somebody dies).
 *
 * Names are 1 to 48 of [a-z0-9_]. They live in the directory SKYLANE_BUS_DIR
 * of the environment, /dev/shm if unset. Handles belong to one thread at a
 * time, and to the process that opened them: after fork() the child gets
 * -ECHILD from them and opens its own. A process may open many, also of the
 * same bus.
 *
 * Set a configuration to zero before filling it: what later versions add means
 * today's behaviour when it is zero. */
#ifndef SL_RT_BUS_H
#define SL_RT_BUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rt/error.h"

#define SL_BUS_NAME_MAX     48
#define SL_BUS_META_BYTES   128
#define SL_BUS_SLOTS_MAX    64
#define SL_BUS_READERS_MAX  512 /* of the writer's user on one bus */
#define SL_BUS_REALTIME_MAX 16  /* of those */
#define SL_BUS_FOREIGN_MAX  64  /* readers of each other user */
#define SL_BUS_USERS_MAX                                                                           \
    8                         /* different users who ever read one bus, while it has one           \
                               * writer; the writer's own always can */
#define SL_BUS_FRAME_SLOTS  4 /* usual slot counts */
#define SL_BUS_RECORD_SLOTS 64

#pragma GCC visibility push(default)

struct sl_bus_writer;
struct sl_bus_reader;

/* What the payloads lie on. */
enum sl_bus_pages {
    SL_BUS_PAGES_PLAIN = 0,       /* 4 KiB */
    SL_BUS_PAGES_TRANSPARENT = 1, /* 2 MiB as far as the kernel found some */
    SL_BUS_PAGES_HUGE = 2,        /* 2 MiB of the reserved ones */
};

/* Who may read. Nobody but the writer's process can ever write. */
enum sl_bus_access {
    SL_BUS_ACCESS_OWNER = 0, /* the writer's user, and root */
    SL_BUS_ACCESS_GROUP = 1, /* a group as well */
    SL_BUS_ACCESS_ALL = 2,
};

/* Whose records a reader takes. A name that nobody writes is free to everybody
 * on the machine. */
enum sl_bus_writers {
    SL_BUS_WRITERS_OWN = 0, /* those of its own user, and root's */
    SL_BUS_WRITERS_ANY = 1,
};

struct sl_bus_writer_config {
    const char *name;
    uint32_t type;        /* enum sl_record_type; readers that expect another are refused */
    uint32_t slot_count;  /* 3..64 */
    size_t slot_bytes;    /* largest payload, 1 byte to 1 GiB; rounded up to whole
                           * pages above 4 KiB */
    bool take_over;       /* from a writer that is alive but does not let go; it goes on
                           * writing where nobody looks any more */
    bool huge_pages;      /* payloads on 2 MiB pages if the machine has them, else on
                           * transparent ones, else on plain ones */
    bool dmabufs;         /* make a dma-buf of each slot, if the machine has /dev/udmabuf */
    uint32_t access;      /* enum sl_bus_access */
    const char *group;    /* for ..._GROUP: its name; NULL: the process's own group */
    uint64_t reserved[4]; /* zero */
};

/* What the writer is lent: fill `data` and `meta`, then publish or cancel. */
struct sl_bus_loan {
    void *data; /* `capacity` bytes, 64-byte aligned, page aligned above 4 KiB */
    size_t capacity;
    void *meta;    /* SL_BUS_META_BYTES, zeroed; struct sl_frame_info for frames */
    uint32_t slot; /* its number; `data` is sl_bus_writer_payloads().base + slot * stride_bytes */
};

/* Where the payloads of all slots lie, for devices that write there by
 * themselves. */
struct sl_bus_payloads {
    uint8_t *base;
    size_t stride_bytes;   /* from a slot to the next; whole pages above 4 KiB, and no slot of
                            * up to 2 MiB lies across two huge pages */
    size_t capacity_bytes; /* of a slot */
    uint32_t count;        /* slots */
    const int *dmabufs;    /* of each slot, the writer's; NULL: there are none */
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
 * All memory is reserved and touched here, and locked if the process may. Not
 * for real-time loops. Starts two threads of ordinary priority: one lets
 * readers in, one wakes them.
 * 0; -EINVAL (bad name, sizes or group; reserved words not zero); -EBUSY (another process writes
 * it: `err` names its pid); -ENOMEM (`err` gives the bytes needed and those there are); -ENOSPC,
 * -EACCES, -ENOENT (the directory); each in words in `err`. */
int sl_bus_writer_open(struct sl_bus_writer **writer, const struct sl_bus_writer_config *config,
                       struct sl_error *err);

/* Closes and removes the bus; readers learn it as -EPIPE. NULL is allowed. */
void sl_bus_writer_close(struct sl_bus_writer *writer);

/* enum sl_bus_pages: what the payloads lie on in fact. */
uint32_t sl_bus_writer_pages(const struct sl_bus_writer *writer);

/* Lends the slot to fill next: never the newest, and never one that a reader
 * holds while any other is left; else the oldest held one, whose reader will
 * learn of it. Several loans at a time are possible, one for each buffer of a
 * device; each but the first takes a slot from the ring, which needs two beside
 * them: the newest, and one to lend next. `data` is NULL if there is none left.
 * Never blocks, makes no system call; bounded by slots times readers. */
void sl_bus_loan(struct sl_bus_writer *writer, struct sl_bus_loan *loan);

/* Makes the loaned slot the newest and wakes who waits. `size` is at most the
 * capacity, `measured_ns` the time at which the content was measured. Bounded:
 * no system call if nobody sleeps, else one futex wake for each sleeping
 * real-time reader and one for all others together. */
void sl_bus_publish(struct sl_bus_writer *writer, struct sl_bus_loan *loan, size_t size,
                    uint64_t measured_ns);

/* Gives the slot back unpublished. */
void sl_bus_cancel(struct sl_bus_writer *writer, struct sl_bus_loan *loan);

/* loan, copy, publish in one: for small records. */
void sl_bus_write(struct sl_bus_writer *writer, const void *record, size_t size,
                  uint64_t measured_ns);

/* Holds until close. */
void sl_bus_writer_payloads(const struct sl_bus_writer *writer, struct sl_bus_payloads *payloads);

/* What "skylane bus ls" shows of this bus, in a few words: `text` must live for ever,
 * as literals do. */
void sl_bus_writer_note(struct sl_bus_writer *writer, const char *text);

/* How often the writer had to take a slot from a reader that held it. */
uint64_t sl_bus_writer_overruns(const struct sl_bus_writer *writer);

/* How many readers are attached now. */
uint32_t sl_bus_writer_readers(const struct sl_bus_writer *writer);

struct sl_bus_reader_config {
    const char *name;
    uint32_t type;        /* expected record type; 0: any */
    size_t min_bytes;     /* smallest acceptable slot: sizeof the record */
    bool realtime;        /* woken by the writer itself, before all others; for the
                           * writer's own user */
    bool pollable;        /* sl_bus_reader_fd() will be used */
    uint32_t spin_us;     /* sl_bus_wait() looks for news this long before it sleeps;
                           * SL_BUS_SPIN_ALWAYS: it never sleeps, for a core of its own */
    uint32_t writers;     /* enum sl_bus_writers */
    uint64_t reserved[4]; /* zero */
};

#define SL_BUS_SPIN_ALWAYS UINT32_MAX

/* Prepares a reader, and attaches it if there is a writer: blocks at most
 * 100 ms. The writer need not exist, then or later: the reader attaches when it
 * appears and moves on when it is replaced, inside sl_bus_wait() and the
 * acquiring functions. A reader without a writer looks for one every 10 ms at
 * first, later every 40 ms. 0; -EINVAL; -ENOMEM; -EMFILE. */
int sl_bus_reader_open(struct sl_bus_reader **reader, const struct sl_bus_reader_config *config,
                       struct sl_error *err);
void sl_bus_reader_close(struct sl_bus_reader *reader); /* releases what it holds; NULL allowed */

/* Waits until there is a record newer than the last acquired, at most until
 * `deadline_ns` (0: do not wait). 0; -ETIMEDOUT (nothing new, writer alive);
 * -EPIPE (at the deadline there was no writer: none yet, closed, or dead);
 * -EPROTO (the writer's type, layout, size or user does not fit: see
 * sl_bus_reader_problem()); -EUSERS (no place for another reader); -EBUSY (a
 * record is held: release it first); -ECHILD (opened before fork()). */
int sl_bus_wait(struct sl_bus_reader *reader, uint64_t deadline_ns);

/* Lends the newest record. One at a time. 0; -EAGAIN (nothing newer than the
 * last, or the writer has not answered yet); -EPIPE, -EPROTO, -EUSERS, -EBUSY,
 * -ECHILD as above. Lock-free; no system call while attached, but for a look
 * every 30 ms whether the writer lives and still is the one of that name. While it attaches
 * to a new writer it blocks at most 10 ms, a real-time reader not at all. */
int sl_bus_acquire_newest(struct sl_bus_reader *reader, struct sl_bus_view *view);

/* Lends the oldest record still there after the last acquired one: for who
 * wants them all. `view->missed` tells how many were lost. Errors as above. */
int sl_bus_acquire_next(struct sl_bus_reader *reader, struct sl_bus_view *view);

/* Gives it back. 0, or -EOVERFLOW: the writer had to reuse the slot while it
 * was held, so that what was read from it may be torn; discard it. (Once in a
 * million reads or so this is said of a whole record, when the writer was just
 * looking whether it could have the slot; never the other way round.) */
int sl_bus_release(struct sl_bus_reader *reader, struct sl_bus_view *view);

/* Copies the newest record out whole: acquire, copy, release, again on overrun
 * (three tries). `record` has room for `size` bytes, the record's exact size,
 * at most the reader's min_bytes; it is written only on success.
 * 0; -EAGAIN, -EPIPE, -EPROTO, -EUSERS, -EBUSY, -ECHILD; -EOVERFLOW. `view` may
 * be NULL; its pointers do not hold after the call. */
int sl_bus_read_newest(struct sl_bus_reader *reader, void *record, size_t size,
                       struct sl_bus_view *view);

/* The same for the next in order. */
int sl_bus_read_next(struct sl_bus_reader *reader, void *record, size_t size,
                     struct sl_bus_view *view);

/* For poll() and epoll: a file descriptor that stays the same as long as the
 * reader is open, whichever writer comes and goes. Readable (POLLIN) when there
 * may be something new, or when the writer came or went: then acquire until
 * that answers -EAGAIN or another error, which arms it anew. Never read from it
 * or close it. -ENOTSUP if the reader was not opened as pollable. */
int sl_bus_reader_fd(const struct sl_bus_reader *reader);

/* enum sl_bus_pages of the writer it is attached to; plain if to none. */
uint32_t sl_bus_reader_pages(const struct sl_bus_reader *reader);

/* The largest record that the writer it is attached to can send, in bytes, and
 * its record type; 0 if attached to none. */
size_t sl_bus_reader_capacity(const struct sl_bus_reader *reader);
uint32_t sl_bus_reader_type(const struct sl_bus_reader *reader);

/* A sentence on why the last call said -EPROTO, -EPIPE or -EUSERS. */
const char *sl_bus_reader_problem(const struct sl_bus_reader *reader);

/* Counts up each time this reader attached to a writer; 0 while it never did. */
uint64_t sl_bus_reader_attached(const struct sl_bus_reader *reader);

#pragma GCC visibility pop

#endif
