#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rt/clock.h"
#include "tools/bus/bench_sides.h"
#include "tools/bus/bench_transports.h"

/* ---- floors as transports: number and time of a frame in one line ---- */

/* Lies in the page that all processes of a measurement share. */
struct line {
    _Alignas(64) _Atomic uint64_t number; /* of the newest frame + 1 */
    _Atomic uint64_t published_ns;
    _Alignas(64) _Atomic uint32_t bell;
};

struct writer {
    struct line *line;
    struct bench_head head;
    void *data; /* there is no frame to hand over: this is for drawing into */
};

struct reader {
    struct line *line;
    struct bench_head head;
    uint64_t last;
};

static int writer_open(void **state, const struct bench_setup *setup, struct sl_error *err)
{
    struct writer *w = calloc(1, sizeof *w);
    void *data = calloc(1, setup->frame_bytes);
    if (w == NULL || data == NULL) {
        free(w);
        free(data);
        return sl_error_set(err, -ENOMEM, "no memory for a frame");
    }
    *w = (struct writer){.line = setup->scratch, .data = data};
    *state = w;
    return 0;
}

static int loan(void *state, struct bench_loan *lent)
{
    struct writer *w = state;
    *lent = (struct bench_loan){.head = &w->head, .data = w->data};
    return 0;
}

static void publish_line(void *state, struct bench_loan *lent)
{
    const struct writer *w = state;
    atomic_store_explicit(&w->line->published_ns, lent->head->published_ns, memory_order_relaxed);
    /* SYNC with the acquire in take(). */
    atomic_store_explicit(&w->line->number, lent->head->number + 1, memory_order_release);
}

static void publish_futex(void *state, struct bench_loan *lent)
{
    const struct writer *w = state;
    publish_line(state, lent);
    atomic_fetch_add_explicit(&w->line->bell, 1, memory_order_seq_cst);
    bench_futex_wake(&w->line->bell, INT_MAX);
}

static uint64_t overruns(void *state)
{
    (void)state;
    return 0; /* nothing is ever held */
}

static void writer_close(void *state)
{
    struct writer *w = state;
    free(w->data);
    free(w);
}

static int reader_open(void **state, const struct bench_setup *setup,
                       void (*arrived)(void *context), void *context, struct sl_error *err)
{
    (void)arrived;
    (void)context;
    struct reader *r = calloc(1, sizeof *r);
    if (r == NULL)
        return sl_error_set(err, -ENOMEM, "no memory for a reader");
    r->line = setup->scratch;
    *state = r;
    return 0;
}

static bool is_new(const struct reader *r)
{
    return atomic_load_explicit(&r->line->number, memory_order_acquire) != r->last;
}

static int wait_line(void *state, struct sl_error *err)
{
    (void)state;
    (void)err;
    return 0;
}

static int wait_futex(void *state, struct sl_error *err)
{
    (void)err;
    const struct reader *r = state;
    uint32_t bell = atomic_load_explicit(&r->line->bell, memory_order_seq_cst);
    if (!is_new(r))
        bench_futex_wait(&r->line->bell, bell, BENCH_WAIT_NS);
    return 0;
}

static bool take(void *state, struct bench_frame *frame)
{
    struct reader *r = state;
    /* SYNC with the release in publish_line(). */
    uint64_t number = atomic_load_explicit(&r->line->number, memory_order_acquire);
    if (number == r->last)
        return false;
    r->last = number;
    r->head.number = number - 1;
    r->head.published_ns = atomic_load_explicit(&r->line->published_ns, memory_order_relaxed);
    *frame = (struct bench_frame){.head = &r->head};
    return true;
}

static int release(void *state)
{
    (void)state;
    return 0;
}

static void reader_close(void *state)
{
    free(state);
}

const struct bench_transport bench_line = {
    .name = "floor: one cache line",
    .broker_start = bench_no_broker,
    .writer_open = writer_open,
    .loan = loan,
    .publish = publish_line,
    .overruns = overruns,
    .writer_close = writer_close,
    .reader_open = reader_open,
    .wait = wait_line,
    .take = take,
    .release = release,
    .reader_close = reader_close,
};

const struct bench_transport bench_futex = {
    .name = "floor: futex",
    .broker_start = bench_no_broker,
    .writer_open = writer_open,
    .loan = loan,
    .publish = publish_futex,
    .overruns = overruns,
    .writer_close = writer_close,
    .reader_open = reader_open,
    .wait = wait_futex,
    .take = take,
    .release = release,
    .reader_close = reader_close,
};

/* ---- floors that are no transport ---- */

/* The other process answers every odd number with the next even one. */
static void pong(_Atomic uint64_t *ball)
{
    uint64_t seen = 0;
    for (;;) {
        uint64_t now = atomic_load_explicit(ball, memory_order_acquire);
        if (now == UINT64_MAX)
            return;
        if (now != seen && now % 2 == 1) {
            seen = now + 1;
            atomic_store_explicit(ball, seen, memory_order_release);
        }
    }
}

static void ping(_Atomic uint64_t *ball, uint64_t *next, uint32_t rounds)
{
    for (uint32_t i = 0; i < rounds; i++) {
        atomic_store_explicit(ball, *next, memory_order_release);
        while (atomic_load_explicit(ball, memory_order_acquire) != *next + 1) {
        }
        *next += 2;
    }
}

int bench_ping_pong(struct bench_series *series, const int cores[2], uint32_t samples,
                    uint32_t batch, struct sl_error *err)
{
    _Atomic uint64_t *ball = bench_shared_alloc(64);
    if (ball == NULL)
        return sl_error_set(err, -ENOMEM, "no memory for a cache line");
    fflush(NULL);
    pid_t pid = fork();
    if (pid < 0)
        return sl_error_set(err, -errno, "cannot start a process: %s", strerror(errno));
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        bench_pin(cores[1]);
        pong(ball);
        _exit(0);
    }
    cpu_set_t before;
    sched_getaffinity(0, sizeof before, &before);
    int rc = bench_pin(cores[0]);
    uint64_t next = 1;
    if (rc == 0)
        ping(ball, &next, batch * 10); /* until both run at full speed */
    for (uint32_t i = 0; i < samples && rc == 0; i++) {
        uint64_t begin_ns = sl_clock_now_ns();
        ping(ball, &next, batch);
        bench_series_add(series, (sl_clock_now_ns() - begin_ns) / ((uint64_t)batch * 2));
    }
    atomic_store(ball, UINT64_MAX);
    waitpid(pid, NULL, 0);
    sched_setaffinity(0, sizeof before, &before);
    munmap(ball, 64);
    return rc == 0 ? 0 : sl_error_set(err, rc, "cannot stay on core %d", cores[0]);
}

int bench_memcpy(struct bench_series *series, size_t bytes, uint32_t samples, struct sl_error *err)
{
    char *from = malloc(bytes), *to = malloc(bytes);
    if (from == NULL || to == NULL) {
        free(from);
        free(to);
        return sl_error_set(err, -ENOMEM, "no memory for two frames of %zu bytes", bytes);
    }
    memset(from, 1, bytes);
    memset(to, 2, bytes);
    for (uint32_t i = 0; i < samples; i++) {
        uint64_t begin_ns = sl_clock_now_ns();
        memcpy(to, from, bytes);
        /* The copy must happen: show it to something opaque. */
        __asm__ volatile("" : : "r"(to) : "memory");
        bench_series_add(series, sl_clock_now_ns() - begin_ns);
    }
    free(from);
    free(to);
    return 0;
}

void bench_clock(struct bench_series *series, uint32_t samples)
{
    enum { BATCH = 1000 };
    for (uint32_t i = 0; i < samples; i++) {
        uint64_t begin_ns = sl_clock_now_ns(), now_ns = begin_ns;
        for (int k = 0; k < BATCH; k++)
            now_ns = sl_clock_now_ns();
        bench_series_add(series, (now_ns - begin_ns) / BATCH);
    }
}
