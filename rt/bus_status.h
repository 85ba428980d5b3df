/* Buses as seen from outside, for "skylane bus" and its like: which there are,
 * who writes and who reads them. Asks the writer's process, which answers from
 * a thread of ordinary priority; disturbs neither writer nor readers. */
#ifndef SL_RT_BUS_STATUS_H
#define SL_RT_BUS_STATUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "rt/bus.h"

enum sl_bus_life {
    SL_BUS_ALIVE = 0,
    SL_BUS_DEAD,     /* its writer is gone: the files left can be removed */
    SL_BUS_SILENT,   /* its writer lives, but did not answer in time (stopped?) */
    SL_BUS_FOREIGN,  /* alive, and not for this user to read */
    SL_BUS_MISMATCH, /* its writer is of another version */
};

/* Longest list of readers in one answer. */
#define SL_BUS_STATUS_READERS_MAX 1024

struct sl_bus_status_reader {
    int32_t pid; /* as the writer sees it; 0 from another pid namespace */
    uint32_t uid;
    uint32_t realtime;
    uint32_t asleep;
    uint32_t holds; /* slot held + 1; 0: none */
    uint32_t pad;
    uint64_t attached_ns; /* CLOCK_MONOTONIC */
    uint64_t overruns;    /* times that the writer took a slot which this reader held */
};

struct sl_bus_status {
    char name[SL_BUS_NAME_MAX + 1];
    uint32_t life;      /* enum sl_bus_life; the rest is zero unless ..._ALIVE */
    int32_t writer_pid; /* also for ..._SILENT, ..._FOREIGN; 0: not known */
    uint32_t type;
    uint32_t slot_count;
    uint64_t slot_bytes;   /* largest record */
    uint64_t memory_bytes; /* of the whole bus */
    uint32_t pages;        /* enum sl_bus_pages */
    uint32_t locked;       /* 1: its memory can not be swapped out */
    uint32_t access;       /* enum sl_bus_access */
    uint64_t started_ns;   /* CLOCK_MONOTONIC */
    uint64_t now_ns;       /* when this answer was made */
    uint64_t published;    /* records since then */
    uint64_t newest_ns;    /* when the newest was published; 0: none yet */
    uint64_t overruns;     /* slots taken from a reader that held them */
    uint32_t reader_count; /* may be more than are listed */
    char note[40];         /* what the writer wants people to know; empty: nothing */
    struct sl_bus_status_reader readers[SL_BUS_STATUS_READERS_MAX];
};

/* Names of all buses in the directory, sorted, dead ones too: at most `max`,
 * returns how many there are, or -ENOENT, -EACCES with a sentence. */
int sl_bus_list(char (*names)[SL_BUS_NAME_MAX + 1], size_t max, struct sl_error *err);

/* Asks about one. Blocks at most 200 ms. 0; -ENOENT (no bus of that name);
 * -EINVAL (not a name). */
int sl_bus_status_get(const char *name, struct sl_bus_status *status, struct sl_error *err);

/* Removes the files of a bus whose writer is provably dead: its lock is free.
 * 0; -EBUSY (it lives); -ENOENT; -EINVAL (a file of that name which is none of a
 * bus's); -EACCES; in words in `err`. */
int sl_bus_clean(const char *name, struct sl_error *err);

#endif
