/* One measurement: a writer and its readers, each a process of its own, over
 * one transport. The loops on both sides are the same for every transport, so
 * that figures differ by what carries the frames and by nothing else.
 *
 * Every frame carries its number and the time just before it was published.
 * Frame 0 is sent again and again until every reader has it; then come the
 * warm-up's frames, and then those that are counted. */
#ifndef SL_TOOLS_BUS_BENCH_RUN_H
#define SL_TOOLS_BUS_BENCH_RUN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "rt/error.h"
#include "tools/bus/bench_measure.h"

#define BENCH_READERS_MAX 512u
#define BENCH_WAIT_NS     UINT64_C(100000000) /* longest that a transport's wait() takes */

struct bench_head {
    uint64_t number;
    uint64_t published_ns;
};

struct bench_setup {
    char bus[40]; /* given by bench_run() */
    size_t frame_bytes;
    uint32_t slots;
    uint32_t readers;
    uint32_t frames, warmup;
    double fps; /* 0: the next frame as soon as all readers confirmed the last */

    bool polling;     /* readers spin, else they sleep */
    bool realtime;    /* readers are the kind that the writer wakes first */
    bool ordered;     /* readers want every frame, not the newest */
    bool fill;        /* the writer draws every frame, else only those of the warm-up */
    bool check;       /* the frame's first and last word are compared with its number */
    bool time_access; /* readers time taking and giving back: costs two looks at the clock */
    bool all_asleep;  /* publications are timed only while every reader sleeps */
    bool weigh;       /* memory of all processes, at the end */

    int writer_core, reader_core; /* -1: any */
    int writer_fifo, reader_fifo; /* SCHED_FIFO priority; 0: ordinary */
    pid_t broker;                 /* given by bench_run(): as of broker_start(); 0: none */
    void *scratch;                /* a zeroed page that all processes share: for floors */
};

struct bench_loan {
    struct bench_head *head; /* in the frame, or beside it if the transport has such a place */
    void *data;
};

struct bench_frame {
    const struct bench_head *head;
    const void *data; /* NULL from a floor, which carries none */
};

/* What carries frames. Each side has a state of its own. */
struct bench_transport {
    const char *name;
    bool calls_back; /* frames are announced by `arrived`, not by wait() returning */

    /* Starts the process that the transport needs besides, and waits until it
     * serves. It ends its clients when it is told to end. Its pid; 0: there is
     * none; a negative errno. */
    pid_t (*broker_start)(struct sl_error *err);

    int (*writer_open)(void **writer, const struct bench_setup *setup, struct sl_error *err);
    int (*loan)(void *writer, struct bench_loan *loan); /* 0 or a negative errno */
    void (*publish)(void *writer, struct bench_loan *loan);
    uint64_t (*overruns)(void *writer); /* slots taken from a reader that held them */
    void (*writer_close)(void *writer);

    /* `arrived` is for transports that call back, from one thread at a time. */
    int (*reader_open)(void **reader, const struct bench_setup *setup,
                       void (*arrived)(void *context), void *context, struct sl_error *err);
    /* Until there may be a frame, but not for much longer than BENCH_WAIT_NS. */
    int (*wait)(void *reader, struct sl_error *err);
    bool (*take)(void *reader, struct bench_frame *frame); /* false: nothing new */
    int (*release)(void *reader);                          /* 0 or -EOVERFLOW: overrun */
    void (*reader_close)(void *reader);
};

struct bench_result {
    struct bench_series handover; /* just before publishing -> reader has the pointer */
    struct bench_series loan, publish;
    struct bench_series access, release; /* of the readers, when time_access */
    struct bench_series lateness;        /* of the writer's loop, when paced */

    _Atomic uint64_t received, missed, overruns_told, torn; /* of all readers */
    _Atomic uint64_t readers_cpu_ns;
    uint64_t overruns_counted;
    uint32_t deadlines_missed; /* frames published after the next one was due */
    uint32_t awake;            /* publications not timed: not every reader slept */
    double writer_cpu_s, broker_cpu_s, wall_s;
    struct bench_memory memory;
    bool fifo; /* SCHED_FIFO was wanted and granted */
};

/* For transports without one. */
pid_t bench_no_broker(struct sl_error *err);

/* Runs it. The result lies in shared memory: bench_result_free(). 0, or a
 * negative errno with a sentence; no process is left behind then either. */
int bench_run(const struct bench_transport *transport, const struct bench_setup *setup,
              struct bench_result **result, struct sl_error *err);

void bench_result_free(struct bench_result *result);

#endif
