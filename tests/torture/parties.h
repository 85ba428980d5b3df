/* The processes of a torture: who takes part, what they count, and how they are
 * started, stopped and killed. A supervisor has them as children; they open
 * their handles themselves, and count in memory that outlives them. */
#ifndef SL_TESTS_TORTURE_PARTIES_H
#define SL_TESTS_TORTURE_PARTIES_H

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "rt/frame.h"

#define TORTURE_BUS         "torture"
#define TORTURE_TYPE        SL_FOURCC('T', 'O', 'R', '1')
#define TORTURE_SLOT_BYTES  256 /* the smallest slot of any instance */
#define TORTURE_PARTIES_MAX 130

#define TORTURE_INSTANCES_KNOWN 1024 /* no reader is as far behind */

enum party_kind {
    PARTY_WRITES = 0,
    PARTY_SLEEPS,   /* newest, woken by the relay */
    PARTY_POLLS,    /* newest, never sleeps in the bus */
    PARTY_REALTIME, /* newest, woken by the writer */
    PARTY_NEXT,     /* every record in order */
    PARTY_SLOW,     /* holds on to records until it is overrun at times */
    PARTY_SPINS,    /* looks for news for a while, then sleeps */
    PARTY_COPIES,   /* has records copied out, newest and next by turns */
    PARTY_FD,       /* waits with poll() */
    PARTY_KINDS
};

/* Where a party is, for the statistics of what was interrupted by a kill. */
enum party_point {
    POINT_NOWHERE = 0,
    POINT_STARTS,
    POINT_OPENS,
    POINT_WAITS, /* readers: for news; writers: for their time */
    POINT_ACQUIRES,
    POINT_HOLDS,
    POINT_RELEASES,
    POINT_FILLS,
    POINT_PUBLISHES,
    POINT_CLOSES,
    POINTS
};

enum party_life { PARTY_GONE = 0, PARTY_RUNS, PARTY_STOPPED };

struct party {
    enum party_kind kind;
    bool survives;   /* a reader that keeps its one handle */
    uint64_t chance; /* state of its random numbers; a new life goes on from it */

    /* The supervisor's. */
    pid_t pid;
    enum party_life life;
    uint64_t due_ns; /* when to start it again, or to let it go on; 0: not */
    uint64_t starts, kills, stops;

    /* The party's own, for the supervisor to read. Each has one writer. */
    _Alignas(64) _Atomic uint32_t point; /* enum party_point */
    _Atomic uint32_t leave;              /* the supervisor's wish: close and end, */
    _Atomic uint32_t die_at;             /* or be killed at this point */
    _Atomic uint64_t accepted[2];        /* records that release() called whole: small, large */
    _Atomic uint64_t told;               /* overruns that release() told of */
    _Atomic uint64_t torn_and_told;      /* of those: with wrong content indeed */
    _Atomic uint64_t false_alarms; /* told of on a roomy ring, where none can be; counted above */
    _Atomic uint64_t missed;       /* as told */
    _Atomic uint64_t bytes;        /* checked, of accepted records */
    _Atomic uint64_t instance;     /* of the writer that the last accepted one was from */
    _Atomic uint64_t instance_ns;  /* when the first one from it was accepted */
    _Atomic uint64_t published;    /* writers */
    _Atomic uint64_t overruns;     /* writers: slots taken from their holders */
    _Atomic uint64_t life_reads;   /* records accepted, or published, in this life */
};

/* Shared by all processes of a run. */
struct torture {
    uint64_t run;         /* its seed */
    uint32_t slot_count;  /* of tight rings, where overruns are to be expected */
    uint32_t roomy_count; /* of roomy ones, where there is always a slot that nobody holds */
    uint64_t small_bytes, large_bytes;
    uint64_t small_reads, large_reads; /* wanted: their ratio decides what is written */
    bool steady;                       /* writers: some records a millisecond, one size */
    uint64_t hold_us;                  /* slow readers: longest hold */

    _Atomic uint32_t readers_end, writers_end;      /* close and end */
    _Atomic uint64_t instances;                     /* writers that got the bus so far */
    _Atomic uint8_t roomy[TORTURE_INSTANCES_KNOWN]; /* by instance: was it a roomy ring */
    _Atomic uint64_t instance_ns;                   /* just before the newest one's first record */
    _Atomic uint32_t violations;
    _Atomic uint32_t violation_told; /* the text is there */
    char violation[512];             /* the first one */

    uint32_t party_count;
    struct party parties[TORTURE_PARTIES_MAX];
};

extern struct torture *torture;

/* Makes the shared memory, and a fresh folder for buses as SKYLANE_BUS_DIR. */
void torture_begin(uint64_t seed);

/* Names of the files in the folder, with their bytes on disk, as one text. */
int torture_files(char *text, size_t size, uint64_t *bytes);

/* Kills what still runs and removes the folder. */
void torture_end(void);

/* Notes that a promise was broken; the first sentence is kept. Any process. */
void violation(const char *format, ...) __attribute__((format(printf, 1, 2)));

struct party *party_add(enum party_kind kind);
const char *party_name(enum party_kind kind);
const char *point_name(enum party_point point);

/* Life and death; each also notes what happened in the party. */
void party_start(struct party *p);
bool party_kill(struct party *p); /* SIGKILL, and waits for its end; false: ended before */
void party_stop(struct party *p);
void party_continue(struct party *p);

/* Notes who ended by himself; that is a violation unless he was asked to. */
void parties_reap(void);

/* Waits until `done` says so for every party, reaping; false after `ms`. */
bool parties_await(bool (*done)(const struct party *), uint64_t ms);

/* Sums of a counter over all parties. */
uint64_t parties_accepted(int large);

static inline uint64_t counter(const _Atomic uint64_t *c)
{
    return atomic_load_explicit(c, memory_order_relaxed);
}

/* One writer a counter: load and store need not be one step. */
static inline void count(_Atomic uint64_t *c, uint64_t more)
{
    atomic_store_explicit(c, counter(c) + more, memory_order_relaxed);
}

/* Says where it is; dies there if that is wanted. */
static inline void at_point(struct party *p, enum party_point point)
{
    atomic_store_explicit(&p->point, point, memory_order_relaxed);
    if (atomic_load_explicit(&p->die_at, memory_order_relaxed) == (uint32_t)point) {
        atomic_store(&p->die_at, POINT_NOWHERE);
        raise(SIGKILL);
    }
}

/* What a child does: until it is asked to end, or killed. */
void writer_main(struct party *me);
void reader_main(struct party *me);

#endif
