#include "tools/bus/bench_run.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rt/bus_status.h"
#include "rt/cli.h"
#include "rt/clock.h"
#include "tools/bus/bench_sides.h"

/* The writer is child 0. */
struct children {
    pid_t pid[BENCH_READERS_MAX + 1];
    uint32_t count, alive;
};

static int start_child(struct children *children, struct bench_shared *shared,
                       int (*body)(struct bench_shared *), struct sl_error *err)
{
    pid_t parent = getpid();
    /* Not fork(): what that does in the child besides (handlers, locks) would
     * cost every reader three pages of its own. This process has one thread. */
    pid_t pid = _Fork();
    if (pid < 0)
        return sl_error_set(err, -errno,
                            "cannot start process %u of %u: %s; allow more (ulimit -u)",
                            children->count + 1, shared->setup.readers + 1, strerror(errno));
    if (pid == 0) {
        const struct sigaction usual = {.sa_handler = SIG_DFL};
        sigaction(SIGINT, &usual, NULL);
        sigaction(SIGTERM, &usual, NULL);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        _exit(getppid() == parent ? body(shared) : 1);
    }
    children->pid[children->count++] = pid;
    children->alive++;
    return 0;
}

/* Collects those that ended. -ECHILD if one ended badly. */
static int reap(struct children *children, bool wait)
{
    int rc = 0;
    for (uint32_t i = 0; i < children->count; i++) {
        int status = 0;
        if (children->pid[i] == 0 ||
            waitpid(children->pid[i], &status, wait ? 0 : WNOHANG) != children->pid[i])
            continue;
        children->pid[i] = 0;
        children->alive--;
        if (status != 0)
            rc = -ECHILD;
    }
    return rc;
}

static void kill_all(struct children *children)
{
    for (uint32_t i = 0; i < children->count; i++) {
        if (children->pid[i] != 0)
            kill(children->pid[i], SIGKILL);
    }
    reap(children, true);
}

/* The parent looks once a second whether all live: no load worth the name. */
static int wait_measured(struct children *children, struct bench_shared *shared,
                         uint64_t deadline_ns, struct sl_error *err)
{
    const char *name = shared->transport->name;
    uint32_t phase;
    while ((phase = atomic_load(&shared->phase)) == BENCH_RUNNING) {
        bench_futex_wait(&shared->phase, BENCH_RUNNING, SL_NS_PER_S);
        if (sl_cli_stop_wanted())
            return sl_error_set(err, -EINTR, "stopped");
        if (atomic_load(&shared->phase) != BENCH_RUNNING)
            continue;
        if (reap(children, false) != 0 || children->alive < children->count)
            return sl_error_set(err, -ECHILD, "a process that measured %s died", name);
        if (sl_clock_now_ns() > deadline_ns)
            return sl_error_set(err, -ETIMEDOUT,
                                "%s did not end in time: %u of %u readers came in, %u got the "
                                "last frame",
                                name, atomic_load(&shared->joined), shared->setup.readers,
                                atomic_load(&shared->finished));
    }
    if (phase == BENCH_FAILED)
        return sl_error_set(err, -EIO, "%s", shared->failure);
    return 0;
}

static int weigh(const struct children *children, struct bench_shared *shared, struct sl_error *err)
{
    struct bench_memory *memory = &shared->result.memory;
    int rc = 0;
    for (uint32_t i = 0; i < children->count && rc == 0; i++)
        rc = bench_memory_add(memory, children->pid[i]);
    if (rc == 0 && shared->setup.broker != 0)
        rc = bench_memory_add(memory, shared->setup.broker);
    if (rc != 0)
        return sl_error_set(err, rc, "cannot read the memory of a process in /proc: %s",
                            strerror(-rc));
    return 0;
}

/* Readers look at `stop` at the end of a wait, each at its time. */
static int end_children(struct children *children, struct bench_shared *shared,
                        struct sl_error *err)
{
    uint64_t deadline_ns = sl_clock_now_ns() + 10 * SL_NS_PER_S;
    atomic_store(&shared->stop, 1);
    bench_futex_wake(&shared->stop, 1);
    while (children->alive > 0) {
        if (reap(children, false) != 0)
            return sl_error_set(err, -ECHILD, "a process that measured %s ended badly",
                                shared->transport->name);
        if (sl_clock_now_ns() > deadline_ns)
            return sl_error_set(err, -ETIMEDOUT, "a process that measured %s does not end",
                                shared->transport->name);
        usleep(2000);
    }
    return 0;
}

pid_t bench_no_broker(struct sl_error *err)
{
    (void)err;
    return 0;
}

/* Tells the broker to end, which ends its clients, and does not wait for ever. */
static void end_broker(struct children *children, pid_t broker)
{
    uint64_t deadline_ns = sl_clock_now_ns() + 10 * SL_NS_PER_S;
    kill(broker, SIGTERM);
    while (waitpid(broker, NULL, WNOHANG) == 0) {
        reap(children, false);
        if (sl_clock_now_ns() > deadline_ns)
            kill(broker, SIGKILL);
        usleep(2000);
    }
    kill_all(children);
}

static int run_children(struct children *children, struct bench_shared *shared,
                        struct sl_error *err)
{
    const struct bench_setup *s = &shared->setup;
    int rc = start_child(children, shared, bench_writer_main, err);
    for (uint32_t i = 0; i < s->readers && rc == 0; i++)
        rc = start_child(children, shared, bench_reader_main, err);
    if (rc != 0)
        return rc;
    uint64_t paced_ns = s->fps > 0 ? (uint64_t)((double)(s->frames + s->warmup) / s->fps * 1e9) : 0;
    rc = wait_measured(children, shared, sl_clock_now_ns() + paced_ns + 120 * SL_NS_PER_S, err);
    if (rc == 0 && s->weigh)
        rc = weigh(children, shared, err);
    if (rc == 0 && s->broker == 0)
        rc = end_children(children, shared, err);
    return rc;
}

static int run(struct bench_shared *shared, struct sl_error *err)
{
    struct children children = {0};
    pid_t broker = shared->transport->broker_start(err);
    if (broker < 0)
        return (int)broker;
    shared->setup.broker = broker;
    fflush(NULL);
    int rc = run_children(&children, shared, err);
    if (broker != 0)
        end_broker(&children, broker);
    if (rc != 0) {
        kill_all(&children);
        sl_bus_clean(shared->setup.bus, NULL); /* a killed writer leaves its empty files */
    }
    return rc;
}

int bench_run(const struct bench_transport *transport, const struct bench_setup *setup,
              struct bench_result **result, struct sl_error *err)
{
    static unsigned runs;
    struct bench_shared *shared = bench_shared_alloc(sizeof *shared);
    *result = NULL;
    if (shared == NULL)
        return sl_error_set(err, -ENOMEM, "no memory to measure in");
    shared->transport = transport;
    shared->setup = *setup;
    shared->setup.scratch = shared->scratch;
    snprintf(shared->setup.bus, sizeof shared->setup.bus, "bench_%d_%u", (int)getpid(), runs++);
    int rc = run(shared, err);
    if (rc != 0) {
        munmap(shared, sizeof *shared);
        return rc;
    }
    *result = &shared->result;
    return 0;
}

void bench_result_free(struct bench_result *result)
{
    if (result != NULL)
        munmap((char *)result - offsetof(struct bench_shared, result), sizeof(struct bench_shared));
}
