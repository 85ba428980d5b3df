/* The measurements of "skylane bus bench" with ZeroMQ in the bus's place: PUB
 * and SUB, over ipc and over tcp on the loopback. What is timed is what it
 * costs at its best: the frame is drawn into the message itself, so that only
 * the kernel copies, in and out. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <zmq.h>

#include "rt/clock.h"
#include "tools/bus/bench_program.h"

#define ENDPOINT_BYTES 256

/* In the page that the processes share: the port is the kernel's choice. */
struct meeting {
    _Atomic uint32_t ready;
    char endpoint[ENDPOINT_BYTES];
};

struct side {
    void *context, *socket;
    zmq_msg_t message;
    bool has_message;
    size_t frame_bytes;
};

static int failed(struct sl_error *err, const char *what)
{
    return sl_error_set(err, -EIO, "%s: %s", what, zmq_strerror(zmq_errno()));
}

static struct side *open_side(const struct bench_setup *setup, int type)
{
    struct side *s = calloc(1, sizeof *s);
    if (s == NULL)
        return NULL;
    const int linger_ms = 0;
    s->frame_bytes = setup->frame_bytes;
    s->context = zmq_ctx_new();
    s->socket = zmq_socket(s->context, type);
    if (s->socket != NULL)
        zmq_setsockopt(s->socket, ZMQ_LINGER, &linger_ms, sizeof linger_ms);
    return s;
}

static int open_writer(void **state, const struct bench_setup *setup, const char *endpoint,
                       struct sl_error *err)
{
    struct side *s = open_side(setup, ZMQ_PUB);
    if (s == NULL || s->socket == NULL)
        return failed(err, "cannot open a socket");
    *state = s;
    struct meeting *meeting = setup->scratch;
    size_t size = sizeof meeting->endpoint;
    if (zmq_bind(s->socket, endpoint) != 0 ||
        zmq_getsockopt(s->socket, ZMQ_LAST_ENDPOINT, meeting->endpoint, &size) != 0)
        return failed(err, endpoint);
    /* SYNC with the acquire in reader_open(). */
    atomic_store_explicit(&meeting->ready, 1, memory_order_release);
    return 0;
}

static int open_ipc(void **state, const struct bench_setup *setup, struct sl_error *err)
{
    char endpoint[ENDPOINT_BYTES];
    snprintf(endpoint, sizeof endpoint, "ipc://@skylane-%s", setup->bus);
    return open_writer(state, setup, endpoint, err);
}

static int open_tcp(void **state, const struct bench_setup *setup, struct sl_error *err)
{
    return open_writer(state, setup, "tcp://127.0.0.1:*", err);
}

static int loan(void *state, struct bench_loan *lent)
{
    struct side *s = state;
    if (zmq_msg_init_size(&s->message, s->frame_bytes) != 0)
        return -ENOMEM;
    void *data = zmq_msg_data(&s->message);
    *lent = (struct bench_loan){.head = data, .data = data};
    return 0;
}

static void publish(void *state, struct bench_loan *lent)
{
    struct side *s = state;
    (void)lent;
    if (zmq_msg_send(&s->message, s->socket, 0) < 0)
        zmq_msg_close(&s->message);
}

static uint64_t overruns(void *state)
{
    (void)state;
    return 0; /* each reader has a copy of its own */
}

static void close_side(void *state)
{
    struct side *s = state;
    if (s->has_message)
        zmq_msg_close(&s->message);
    zmq_close(s->socket);
    zmq_ctx_term(s->context);
    free(s);
}

static int reader_open(void **state, const struct bench_setup *setup,
                       void (*arrived)(void *context), void *context, struct sl_error *err)
{
    (void)arrived;
    (void)context;
    const int timeout_ms = (int)(BENCH_WAIT_NS / SL_NS_PER_MS);
    struct meeting *meeting = setup->scratch;
    struct side *s = open_side(setup, ZMQ_SUB);
    if (s == NULL || s->socket == NULL)
        return failed(err, "cannot open a socket");
    *state = s;
    /* SYNC with the release in open_writer(). */
    while (atomic_load_explicit(&meeting->ready, memory_order_acquire) == 0)
        sl_clock_sleep_until_ns(sl_clock_now_ns() + SL_NS_PER_MS);
    if (zmq_setsockopt(s->socket, ZMQ_RCVTIMEO, &timeout_ms, sizeof timeout_ms) != 0 ||
        zmq_setsockopt(s->socket, ZMQ_SUBSCRIBE, "", 0) != 0 ||
        zmq_connect(s->socket, meeting->endpoint) != 0)
        return failed(err, meeting->endpoint);
    return 0;
}

static int wait_message(void *state, struct sl_error *err)
{
    (void)err;
    struct side *s = state;
    zmq_msg_init(&s->message);
    s->has_message = zmq_msg_recv(&s->message, s->socket, 0) >= 0;
    return 0;
}

static bool take(void *state, struct bench_frame *frame)
{
    struct side *s = state;
    if (!s->has_message)
        return false;
    const void *data = zmq_msg_data(&s->message);
    *frame = (struct bench_frame){.head = data, .data = data};
    return true;
}

static int release(void *state)
{
    struct side *s = state;
    zmq_msg_close(&s->message);
    s->has_message = false;
    return 0;
}

#define ZEROMQ                                                                                     \
    .broker_start = bench_no_broker, .loan = loan, .publish = publish, .overruns = overruns,       \
    .writer_close = close_side, .reader_open = reader_open, .wait = wait_message, .take = take,    \
    .release = release, .reader_close = close_side

static const struct bench_transport IPC = {ZEROMQ, .name = "ZeroMQ ipc", .writer_open = open_ipc};
static const struct bench_transport TCP = {ZEROMQ, .name = "ZeroMQ tcp", .writer_open = open_tcp};

static void plan(struct bench_plan *p)
{
    bench_plan_copied(p, &IPC);
    bench_plan_copied(p, &TCP);
}

int main(int argc, char **argv)
{
    static const struct bench_program PROGRAM = {
        .verb = "bus_zmq",
        .help = "bus_zmq - ZeroMQ, measured as \"skylane bus bench\" measures the bus\n"
                "\n"
                "usage: bus_zmq [options]\n"
                "\n",
        .examples = "example:\n"
                    "  bus_zmq --only paced\n"
                    "\n",
        .plan = plan,
    };
    return bench_program_main(&PROGRAM, argc, argv);
}
