/* Real-time threads and periodic loops. */
#ifndef SL_RT_THREAD_H
#define SL_RT_THREAD_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rt/error.h"
#include "rt/histogram.h"

struct sl_thread_config {
    const char *name;   /* at most 15 characters, as shown by ps and top */
    int priority;       /* SCHED_FIFO 1..98; 0: an ordinary thread, or an idle one like the
                         * one that starts it */
    int cpu;            /* core to stay on; -1: any */
    size_t stack_bytes; /* 0: 256 KiB; at least what the C library asks for; touched
                         * before main() is called */
};

struct sl_thread {
    pthread_t id;
    bool running;
    bool fifo; /* SCHED_FIFO was granted */
};

/* Starts a thread with all signals blocked (they belong to the program's main
 * thread). Where SCHED_FIFO is not permitted the thread runs at ordinary
 * priority and thread->fifo is false: the caller tells the user once.
 * 0; -EINVAL (no such core, priority); -EAGAIN (no resources). */
int sl_thread_start(struct sl_thread *thread, const struct sl_thread_config *config,
                    void *(*main)(void *), void *argument, struct sl_error *err);

/* Waits for its end. Does nothing if it does not run. */
void sl_thread_join(struct sl_thread *thread);

/* Whether this process may use SCHED_FIFO at `priority`: 0, or -EPERM with the
 * remedy. Tries it on a short thread. */
int sl_thread_may_fifo(int priority, struct sl_error *err);

/* Keeps the calling thread, and those that it starts, off these cores: `cores`
 * holds `count` numbers, of which those below 0 stand for none. Where no core would
 * remain it changes nothing: sharing a core is better than not running. True if it
 * keeps off all of them. */
bool sl_thread_keep_off(const int *cores, int count);

/* A periodic loop on absolute deadlines, and what it always counts: how late
 * each round began, and how often later than allowed. One thread. */
struct sl_loop {
    uint64_t period_ns;
    uint64_t allowed_ns; /* later than this is a miss */
    uint64_t next_ns;    /* the coming deadline */
    _Atomic uint64_t misses;
    struct sl_histogram lateness;
};

/* The first deadline is one period after `start_ns`. */
void sl_loop_init(struct sl_loop *loop, uint64_t period_ns, uint64_t allowed_ns, uint64_t start_ns);

/* To be called with the time at which the round for next_ns begins: counts its
 * lateness and moves next_ns to the first deadline after `now_ns`; deadlines
 * that were slept through whole count as misses too. True if it missed. */
bool sl_loop_begin(struct sl_loop *loop, uint64_t now_ns);

/* Sleeps until next_ns, then sl_loop_begin(). */
bool sl_loop_wait(struct sl_loop *loop);

uint64_t sl_loop_misses(const struct sl_loop *loop); /* any thread */

#endif
