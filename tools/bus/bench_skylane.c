#include <errno.h>
#include <stdlib.h>

#include "rt/bus.h"
#include "rt/clock.h"
#include "rt/frame.h"
#include "tools/bus/bench_transports.h"

#define RECORD_TYPE SL_FOURCC('B', 'N', 'C', 'H')

struct writer {
    struct sl_bus_writer *bus;
    struct sl_bus_loan loan;
    size_t frame_bytes;
};

struct reader {
    struct sl_bus_reader *bus;
    struct sl_bus_view view;
    bool ordered;
};

static int writer_open(void **state, const struct bench_setup *setup, struct sl_error *err)
{
    const struct sl_bus_writer_config config = {.name = setup->bus,
                                                .type = RECORD_TYPE,
                                                .slot_count = setup->slots,
                                                .slot_bytes = setup->frame_bytes,
                                                .huge_pages = true};
    struct writer *w = calloc(1, sizeof *w);
    if (w == NULL)
        return sl_error_set(err, -ENOMEM, "no memory for a bus handle");
    w->frame_bytes = setup->frame_bytes;
    *state = w;
    return sl_bus_writer_open(&w->bus, &config, err);
}

static int loan(void *state, struct bench_loan *lent)
{
    struct writer *w = state;
    sl_bus_loan(w->bus, &w->loan);
    *lent = (struct bench_loan){.head = w->loan.meta, .data = w->loan.data};
    return 0;
}

static void publish(void *state, struct bench_loan *lent)
{
    struct writer *w = state;
    sl_bus_publish(w->bus, &w->loan, w->frame_bytes, lent->head->published_ns);
}

static uint64_t overruns(void *state)
{
    const struct writer *w = state;
    return sl_bus_writer_overruns(w->bus);
}

static void writer_close(void *state)
{
    struct writer *w = state;
    sl_bus_writer_close(w->bus);
    free(w);
}

static int reader_open(void **state, const struct bench_setup *setup,
                       void (*arrived)(void *context), void *context, struct sl_error *err)
{
    (void)arrived;
    (void)context;
    const struct sl_bus_reader_config config = {.name = setup->bus,
                                                .type = RECORD_TYPE,
                                                .realtime = setup->realtime,
                                                .spin_us = setup->polling ? SL_BUS_SPIN_ALWAYS : 0};
    /* Not allocated: a process has one, and what it weighs is measured. */
    static struct reader reader;
    reader.ordered = setup->ordered;
    *state = &reader;
    return sl_bus_reader_open(&reader.bus, &config, err);
}

static int wait(void *state, struct sl_error *err)
{
    struct reader *r = state;
    int rc = sl_bus_wait(r->bus, sl_clock_now_ns() + BENCH_WAIT_NS);
    if (rc == -EPROTO || rc == -EUSERS)
        return sl_error_set(err, rc, "%s", sl_bus_reader_problem(r->bus));
    return 0; /* a writer that is not there yet will come */
}

static bool take(void *state, struct bench_frame *frame)
{
    struct reader *r = state;
    int rc = r->ordered ? sl_bus_acquire_next(r->bus, &r->view)
                        : sl_bus_acquire_newest(r->bus, &r->view);
    if (rc != 0)
        return false;
    *frame = (struct bench_frame){.head = r->view.meta, .data = r->view.data};
    return true;
}

static int release(void *state)
{
    struct reader *r = state;
    return sl_bus_release(r->bus, &r->view);
}

static void reader_close(void *state)
{
    const struct reader *r = state;
    sl_bus_reader_close(r->bus);
}

const struct bench_transport bench_skylane = {
    .name = "skylane",
    .broker_start = bench_no_broker,
    .writer_open = writer_open,
    .loan = loan,
    .publish = publish,
    .overruns = overruns,
    .writer_close = writer_close,
    .reader_open = reader_open,
    .wait = wait,
    .take = take,
    .release = release,
    .reader_close = reader_close,
};
