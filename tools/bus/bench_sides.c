#include "tools/bus/bench_sides.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "rt/clock.h"

void bench_futex_wait(const _Atomic uint32_t *word, uint32_t value, uint64_t timeout_ns)
{
    const struct timespec timeout = sl_clock_timespec(timeout_ns);
    syscall(SYS_futex, word, FUTEX_WAIT, value, &timeout, NULL, 0);
}

void bench_futex_wake(const _Atomic uint32_t *word, int count)
{
    syscall(SYS_futex, word, FUTEX_WAKE, count, NULL, NULL, 0);
}

static void set_phase(struct bench_shared *shared, enum bench_phase phase)
{
    atomic_store(&shared->phase, phase);
    bench_futex_wake(&shared->phase, 1);
}

int bench_fail(struct bench_shared *shared, const char *sentence)
{
    if (atomic_fetch_add(&shared->failures, 1) == 0) {
        snprintf(shared->failure, sizeof shared->failure, "%s", sentence);
        set_phase(shared, BENCH_FAILED);
    }
    return 1;
}

static bool stopped(const struct bench_shared *shared)
{
    return atomic_load_explicit(&shared->stop, memory_order_relaxed) != 0;
}

static uint64_t last_number(const struct bench_setup *setup)
{
    return (uint64_t)setup->warmup + setup->frames;
}

/* Where the last whole word of a frame begins. */
static size_t tail_offset(const struct bench_setup *setup)
{
    return setup->frame_bytes / sizeof(uint64_t) * sizeof(uint64_t) - sizeof(uint64_t);
}

/* Offset of the frame's first word that is not the head, should that lie in it. */
#define FIRST_WORD sizeof(struct bench_head)

/* ---- writer ---- */

struct writer {
    struct bench_shared *shared;
    const struct bench_setup *setup;
    const struct bench_transport *transport;
    struct bench_result *result;
    void *state;
    uint64_t cpu_start_ns;
};

static int publish(struct writer *w, uint64_t number, bool counted)
{
    struct bench_loan loan;
    uint64_t begin_ns = sl_clock_now_ns();
    int rc = w->transport->loan(w->state, &loan);
    uint64_t loaned_ns = sl_clock_now_ns();
    if (rc != 0)
        return rc;
    if (w->setup->fill || !counted)
        memset(loan.data, (int)(number & 0xff), w->setup->frame_bytes);
    if (w->setup->check) {
        memcpy((char *)loan.data + FIRST_WORD, &number, sizeof number);
        memcpy((char *)loan.data + tail_offset(w->setup), &number, sizeof number);
    }
    atomic_store_explicit(&w->shared->remaining, w->setup->readers, memory_order_relaxed);
    uint32_t asleep = atomic_load_explicit(&w->shared->asleep, memory_order_relaxed);
    bool timed = counted && (!w->setup->all_asleep || asleep == w->setup->readers);
    loan.head->number = number;
    /* What was stored so far is on its way: it is not publishing. */
    atomic_thread_fence(memory_order_seq_cst);
    uint64_t now_ns = sl_clock_now_ns();
    loan.head->published_ns = now_ns;
    w->transport->publish(w->state, &loan);
    uint64_t done_ns = sl_clock_now_ns();
    if (timed) {
        bench_series_add(&w->result->loan, loaned_ns - begin_ns);
        bench_series_add(&w->result->publish, done_ns - now_ns);
    } else if (counted) {
        w->result->awake++;
    }
    return 0;
}

/* Until all readers have the frame. */
static void wait_for_readers(struct writer *w, uint64_t number)
{
    if (w->setup->readers == 0)
        return;
    if (w->setup->polling) {
        while (atomic_load_explicit(&w->shared->confirmed, memory_order_acquire) != number) {
        }
        return;
    }
    uint32_t remaining;
    while ((remaining = atomic_load_explicit(&w->shared->remaining, memory_order_acquire)) != 0)
        bench_futex_wait(&w->shared->remaining, remaining, BENCH_WAIT_NS);
}

static void start_of_count(struct writer *w, uint64_t *start_ns)
{
    struct bench_result *r = w->result;
    r->writer_cpu_s = bench_cpu_seconds(0);
    r->broker_cpu_s = w->setup->broker == 0 ? 0 : bench_cpu_seconds(w->setup->broker);
    *start_ns = sl_clock_now_ns();
}

static void end_of_count(struct writer *w, uint64_t start_ns)
{
    struct bench_result *r = w->result;
    r->wall_s = (double)(sl_clock_now_ns() - start_ns) * 1e-9;
    r->writer_cpu_s = bench_cpu_seconds(0) - r->writer_cpu_s;
    if (w->setup->broker != 0)
        r->broker_cpu_s = bench_cpu_seconds(w->setup->broker) - r->broker_cpu_s;
}

static int publish_all(struct writer *w)
{
    const struct bench_setup *s = w->setup;
    uint64_t period_ns = s->fps > 0 ? (uint64_t)(1e9 / s->fps) : 0;
    uint64_t due_ns = sl_clock_now_ns() + period_ns, start_ns = 0;
    for (uint64_t number = 1; number <= last_number(s); number++) {
        bool counted = number > s->warmup;
        if (number == (uint64_t)s->warmup + 1)
            start_of_count(w, &start_ns);
        if (period_ns != 0) {
            uint64_t woken_ns = sl_clock_sleep_until_ns(due_ns);
            if (counted)
                bench_series_add(&w->result->lateness, woken_ns > due_ns ? woken_ns - due_ns : 0);
            due_ns += period_ns;
        }
        int rc = publish(w, number, counted);
        if (rc != 0)
            return rc;
        if (period_ns == 0)
            wait_for_readers(w, number);
        else if (counted && sl_clock_now_ns() > due_ns)
            w->result->deadlines_missed++;
    }
    end_of_count(w, start_ns);
    return 0;
}

/* Frame 0 until all readers are there: some transports drop what is sent
 * before a reader has subscribed. */
static int gather_readers(struct writer *w)
{
    while (atomic_load(&w->shared->joined) < w->setup->readers) {
        if (stopped(w->shared))
            return 0;
        int rc = publish(w, 0, false);
        if (rc != 0)
            return rc;
        usleep(5000);
    }
    return 0;
}

static int writer_run(struct writer *w)
{
    int rc = gather_readers(w);
    if (rc == 0)
        rc = publish_all(w);
    if (rc != 0)
        return rc;
    /* Paced readers may be on their way; those that lost the last frame show
     * as missing in the result. */
    for (int tries = 0; tries < 200 && atomic_load(&w->shared->finished) < w->setup->readers;
         tries++)
        usleep(10000);
    w->result->overruns_counted = w->transport->overruns(w->state);
    set_phase(w->shared, BENCH_MEASURED);
    while (!stopped(w->shared))
        bench_futex_wait(&w->shared->stop, 0, BENCH_WAIT_NS);
    return 0;
}

int bench_writer_main(struct bench_shared *shared)
{
    struct writer w = {.shared = shared,
                       .setup = &shared->setup,
                       .transport = shared->transport,
                       .result = &shared->result};
    struct sl_error err = {0};
    int rc = w.transport->writer_open(&w.state, w.setup, &err);
    if (rc != 0)
        return bench_fail(shared, err.text);
    /* After opening, so that the transport's own threads stay ordinary ones. */
    if (w.setup->writer_core >= 0)
        rc = bench_pin(w.setup->writer_core);
    if (w.setup->writer_fifo > 0)
        w.result->fifo = bench_fifo(w.setup->writer_fifo);
    if (rc == 0)
        rc = writer_run(&w);
    if (rc != 0) {
        sl_error_set(&err, rc, "the writer of %s failed: %s", w.transport->name, strerror(-rc));
        bench_fail(shared, err.text);
    }
    w.transport->writer_close(w.state);
    return rc == 0 ? 0 : 1;
}

/* ---- reader ---- */

struct reader {
    struct bench_shared *shared;
    const struct bench_setup *setup;
    const struct bench_transport *transport;
    struct bench_result *result;
    void *state;
    bool joined, finished;
    uint32_t stride; /* one frame in so many is put into the series */
    uint64_t last;   /* number of the newest frame so far */
    uint64_t received, missed, overruns, torn;
    double cpu_start_s;
};

static void finish(struct reader *r)
{
    r->finished = true;
    double cpu_s = bench_cpu_seconds(0) - r->cpu_start_s;
    atomic_fetch_add(&r->result->readers_cpu_ns, (uint64_t)(cpu_s * 1e9));
    atomic_fetch_add(&r->result->received, r->received);
    atomic_fetch_add(&r->result->missed, r->missed);
    atomic_fetch_add(&r->result->overruns_told, r->overruns);
    atomic_fetch_add(&r->result->torn, r->torn);
    atomic_fetch_add(&r->shared->finished, 1);
}

static void confirm(struct reader *r, uint64_t number)
{
    if (r->setup->polling) {
        atomic_store_explicit(&r->shared->confirmed, number, memory_order_release);
    } else if (r->setup->fps == 0) {
        /* The last one wakes the writer. */
        if (atomic_fetch_sub_explicit(&r->shared->remaining, 1, memory_order_acq_rel) == 1)
            bench_futex_wake(&r->shared->remaining, 1);
    }
}

static bool is_whole(const struct reader *r, const struct bench_frame *frame, uint64_t number)
{
    uint64_t first, tail;
    memcpy(&first, (const char *)frame->data + FIRST_WORD, sizeof first);
    memcpy(&tail, (const char *)frame->data + tail_offset(r->setup), sizeof tail);
    return first == number && tail == number;
}

static void count(struct reader *r, uint64_t number, bool whole, int released)
{
    if (r->received == 0)
        r->cpu_start_s = bench_cpu_seconds(0);
    uint64_t before = r->last > r->setup->warmup ? r->last : r->setup->warmup;
    r->missed += number - before - 1;
    r->received++;
    if (released != 0)
        r->overruns++;
    else if (!whole)
        r->torn++; /* passed as good: must never happen */
}

/* Takes one frame, if there is one. */
static bool receive(struct reader *r)
{
    struct bench_frame frame;
    uint64_t begin_ns = r->setup->time_access ? sl_clock_now_ns() : 0;
    if (!r->transport->take(r->state, &frame))
        return false;
    uint64_t taken_ns = sl_clock_now_ns();
    uint64_t number = frame.head->number, published_ns = frame.head->published_ns;
    bool whole = !r->setup->check || frame.data == NULL || is_whole(r, &frame, number);
    uint64_t used_ns = r->setup->time_access ? sl_clock_now_ns() : 0;
    int released = r->transport->release(r->state);
    uint64_t released_ns = r->setup->time_access ? sl_clock_now_ns() : 0;

    if (number == 0) {
        if (!r->joined)
            atomic_fetch_add(&r->shared->joined, 1);
        r->joined = true;
        return true;
    }
    if (number <= r->last || number > last_number(r->setup)) {
        r->torn++; /* not a frame that was sent */
        return true;
    }
    if (number > r->setup->warmup) {
        count(r, number, whole, released);
        if (number % r->stride == 0) {
            bench_series_add(&r->result->handover, taken_ns - published_ns);
            if (r->setup->time_access) {
                bench_series_add(&r->result->access, taken_ns - begin_ns);
                bench_series_add(&r->result->release, released_ns - used_ns);
            }
        }
    }
    r->last = number;
    if (number == last_number(r->setup) && !r->finished)
        finish(r);
    confirm(r, number);
    return true;
}

static void arrived(void *context)
{
    while (receive(context)) {
    }
}

static int reader_run(struct reader *r, struct sl_error *err)
{
    bool show = r->setup->all_asleep;
    while (!stopped(r->shared)) {
        if (show)
            atomic_fetch_add_explicit(&r->shared->asleep, 1, memory_order_relaxed);
        int rc = r->transport->wait(r->state, err);
        if (show)
            atomic_fetch_sub_explicit(&r->shared->asleep, 1, memory_order_relaxed);
        if (rc != 0)
            return rc;
        if (!r->transport->calls_back)
            receive(r);
    }
    return 0;
}

int bench_reader_main(struct bench_shared *shared)
{
    struct reader r = {.shared = shared,
                       .setup = &shared->setup,
                       .transport = shared->transport,
                       .result = &shared->result};
    uint64_t frames = (uint64_t)r.setup->frames * r.setup->readers;
    r.stride = (uint32_t)(frames / BENCH_SAMPLES_MAX) + (frames % BENCH_SAMPLES_MAX != 0);
    struct sl_error err = {0};
    /* Before opening, so that a thread which calls back is bound by it too. */
    int rc = r.setup->reader_core >= 0 ? bench_pin(r.setup->reader_core) : 0;
    if (r.setup->reader_fifo > 0)
        bench_fifo(r.setup->reader_fifo);
    if (rc != 0)
        sl_error_set(&err, rc, "cannot stay on core %d: %s", r.setup->reader_core, strerror(-rc));
    if (rc == 0)
        rc = r.transport->reader_open(&r.state, r.setup, arrived, &r, &err);
    if (rc != 0)
        return bench_fail(shared, err.text);
    rc = reader_run(&r, &err);
    if (rc != 0)
        bench_fail(shared, err.text);
    r.transport->reader_close(r.state);
    return rc == 0 ? 0 : 1;
}
