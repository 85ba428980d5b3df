/* Another of our programs beside this one: started, listened to, started again
 * when it ends.
 *
 * It dies with this process, whatever kills that. It gets no Ctrl-C from the
 * terminal (its process group is its own), no real-time priority, and no open
 * descriptor but the one that is given to it; it reads nothing, and what it
 * writes comes here. Starting it copies no page tables, so that it costs the
 * real-time threads of this process no page fault.
 *
 * All calls are for the program's main thread. The kernel ties a child's life
 * to the thread that started it, not to the process, and that thread's cores
 * are the child's: threads that are pinned must not start it. (The kernel
 * forgets the tie for programs with file capabilities: give them none.)
 * Nobody is waited for but this child, and no signal handler is needed. */
#ifndef SL_RT_CHILD_H
#define SL_RT_CHILD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "rt/error.h"

/* The delays between its end and its next start: the first, doubled each time
 * up to the longest. They begin anew once it has lived a while. */
#define SL_CHILD_DELAY_NS     UINT64_C(200000000)
#define SL_CHILD_DELAY_MAX_NS UINT64_C(10000000000)
#define SL_CHILD_LIVED_NS     UINT64_C(10000000000)

enum sl_child_news {
    SL_CHILD_SAID,  /* a line that it wrote on standard output or error */
    SL_CHILD_ENDED, /* how it ended, in a sentence; only if it is to be started again */
};

struct sl_child_config {
    const char *program;           /* a file in this program's own folder: "skylane-net" */
    const char *const *arguments;  /* those behind its name, ended by NULL; copied */
    int given_fd;                  /* becomes its descriptor 3; stays the caller's; -1: none */
    int orphan_signal;             /* it gets this when this process dies first */
    bool again;                    /* to be started again when it ends */
    uint64_t delay_ns;             /* before its first new start; 0: SL_CHILD_DELAY_NS */
    const char *restarts_variable; /* environment: how often it was; NULL: not told; outlives
                                    * the child */
    /* Called from the functions below. Of one that is started again, what was
     * said already is not said again until it has lived a while: a program that
     * fails at each start says why once. Texts have no newline and are cut at
     * 511 bytes. */
    void (*say)(void *context, enum sl_child_news news, const char *text);
    void *context;
};

struct sl_child; /* opaque */

/* Starts it. Blocks until it is executed, some 0.2 ms. 0; -ENOENT (no such
 * program: build or install it), -ENOMEM, -EAGAIN and the like. */
int sl_child_open(struct sl_child **child, const struct sl_child_config *config,
                  struct sl_error *err);

/* To be called some fifty times a second: passes on what it wrote (at most 4 KiB
 * at a time), notices its end, starts it again when that is due. True while it
 * runs. Does not block, but as sl_child_open() when it starts. NULL: false. */
bool sl_child_poll(struct sl_child *child);

/* How it last ended, in a sentence; empty if it has not. */
const char *sl_child_end(const struct sl_child *child);

pid_t sl_child_pid(const struct sl_child *child); /* 0: it does not run */
uint64_t sl_child_restarts(const struct sl_child *child);

/* Asks it to end (SIGTERM), passes on what it still says, and kills it after
 * `patience_ns`. It is not started again. Blocks so long at most, and until the
 * kernel has ended a killed one. True if it ended by itself. NULL: true. */
bool sl_child_stop(struct sl_child *child, uint64_t patience_ns);

/* Kills it if it still runs. NULL is allowed. */
void sl_child_close(struct sl_child *child);

#endif
