#include "net/detect_server.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <zmq.h>

#include "net/guard.h"
#include "rt/clock.h"

#define ID_MAX         255 /* bytes of a ROUTER's name for a connection */
#define WAITING_PEER   2   /* messages that libzmq keeps for us, from each client */
#define ANSWERS_PEER   8   /* the same, to each */
#define TEND_MS        250 /* how soon a change of who may connect is seen */
#define MESSAGES_ROUND 64  /* so many are looked at before one is answered */

struct address {
    uint8_t id[ID_MAX];
    size_t id_bytes;
    bool delimited; /* a REQ socket: an empty part stands before the message */
};

struct place {
    bool taken;
    bool first;
    struct address address;
    uint64_t client;
    uint64_t seen; /* counts messages: the smallest is the least recent */

    bool waiting; /* the question below stands in the queue */
    struct sl_detect_request request;
    zmq_msg_t picture;
    uint64_t taken_ns;
};

struct sl_detect_server {
    void *context;
    struct sl_guard *guard;
    struct sl_guard_socket listening;
    char endpoint[256]; /* that was asked for */
    struct place places[SL_DETECT_CLIENTS_MAX];
    uint32_t queue[SL_DETECT_CLIENTS_MAX]; /* places, in the order of their questions */
    uint32_t queued;
    uint64_t messages;
    struct sl_detect_server_stats stats;
};

/* ---- opening ---- */

/* As net/link.h wants it. */
static int make_endpoint(struct sl_detect_server *server, const char *host, uint16_t port,
                         struct sl_error *err)
{
    const bool ipv6 = strchr(host, ':') != NULL;
    char number[8] = "*";
    if (port != 0)
        snprintf(number, sizeof number, "%u", port);
    const int n = snprintf(server->endpoint, sizeof server->endpoint,
                           ipv6 ? "tcp://[%s]:%s" : "tcp://%s:%s", host, number);
    return n > 0 && (size_t)n < sizeof server->endpoint
               ? 0
               : sl_error_set(err, -EINVAL, "\"%.32s...\" is no address of this machine", host);
}

static int prepare(struct sl_detect_server *server, int insecure, struct sl_error *err)
{
    static const struct sl_link_option OPTIONS[] = {
        {ZMQ_RCVHWM, WAITING_PEER},
        {ZMQ_SNDHWM, ANSWERS_PEER},
        {ZMQ_MAXMSGSIZE, (int)SL_DETECT_PICTURE_MAX + SL_GUARD_WRAP_BYTES},
        {0},
    };
    server->context = zmq_ctx_new();
    if (server->context == NULL)
        return sl_error_set(err, -errno, "cannot start ZMQ: %s", zmq_strerror(errno));
    const int rc = sl_guard_open(&server->guard, server->context, insecure, err);
    if (rc != 0)
        return rc;
    server->listening = (struct sl_guard_socket){
        .kind = ZMQ_ROUTER, .options = OPTIONS, .endpoint = server->endpoint};
    return sl_guard_listen(server->guard, &server->listening, err);
}

int sl_detect_server_open(struct sl_detect_server **out, const char *host, uint16_t port,
                          int insecure, struct sl_error *err)
{
    *out = NULL;
    struct sl_detect_server *server = calloc(1, sizeof *server);
    if (server == NULL)
        return sl_error_set(err, -ENOMEM, "no memory for a detection server");
    for (uint32_t i = 0; i < SL_DETECT_CLIENTS_MAX; i++)
        zmq_msg_init(&server->places[i].picture);
    int rc = make_endpoint(server, host, port, err);
    if (rc == 0)
        rc = prepare(server, insecure, err);
    if (rc != 0) {
        sl_detect_server_close(server);
        return rc;
    }
    *out = server;
    return 0;
}

void sl_detect_server_close(struct sl_detect_server *server)
{
    if (server == NULL)
        return;
    for (uint32_t i = 0; i < SL_DETECT_CLIENTS_MAX; i++)
        zmq_msg_close(&server->places[i].picture);
    sl_guard_hang_up(&server->listening);
    sl_guard_close(server->guard);
    if (server->context != NULL)
        zmq_ctx_term(server->context);
    free(server);
}

const char *sl_detect_server_endpoint(const struct sl_detect_server *server)
{
    return server->listening.bound;
}

bool sl_detect_server_advice(const struct sl_detect_server *server, struct sl_error *advice)
{
    return sl_guard_advice(server->guard, advice);
}

/* ---- answers ---- */

/* Whole or not at all: a ROUTER drops what it cannot deliver. */
static void send_reply(struct sl_detect_server *server, const struct address *to,
                       const struct sl_detect_reply *reply)
{
    uint8_t bytes[SL_DETECT_REPLY_MAX];
    const size_t size = sl_detect_wire_put_reply(bytes, reply);
    void *socket = server->listening.socket;
    if (socket == NULL || zmq_send(socket, to->id, to->id_bytes, ZMQ_DONTWAIT | ZMQ_SNDMORE) < 0)
        return;
    if (to->delimited)
        (void)zmq_send(socket, "", 0, ZMQ_DONTWAIT | ZMQ_SNDMORE);
    (void)zmq_send(socket, bytes, size, ZMQ_DONTWAIT);
}

void sl_detect_server_reply(struct sl_detect_server *server,
                            const struct sl_detect_question *question,
                            struct sl_detect_reply *reply, uint64_t began_ns)
{
    struct place *place = &server->places[question->place];
    reply->sequence = question->request.sequence;
    reply->frame_id = question->request.frame.frame_id;
    reply->waited_ns = began_ns - question->taken_ns;
    reply->total_ns = sl_clock_now_ns() - question->taken_ns;
    send_reply(server, &place->address, reply);
    zmq_msg_close(&place->picture); /* a large picture is not kept */
    zmq_msg_init(&place->picture);
}

static void refuse(struct sl_detect_server *server, const struct address *to,
                   const struct sl_detect_request *request, const struct sl_error *why)
{
    struct sl_detect_reply reply = {.status = SL_DETECT_BAD_REQUEST,
                                    .sequence = request->sequence,
                                    .frame_id = request->frame.frame_id,
                                    .problem = *why};
    server->stats.refused++;
    server->stats.last_refusal = *why;
    send_reply(server, to, &reply);
}

/* ---- questions ---- */

/* The place of this client: its own, a free one, or the least recently seen
 * one's whose question does not wait. There is one, as the queue is not full. */
static struct place *place_of(struct sl_detect_server *server, const struct address *address)
{
    struct place *best = NULL;
    for (uint32_t i = 0; i < SL_DETECT_CLIENTS_MAX; i++) {
        struct place *p = &server->places[i];
        if (p->taken && p->address.id_bytes == address->id_bytes &&
            memcmp(p->address.id, address->id, address->id_bytes) == 0) {
            p->address = *address;
            return p;
        }
        if (p->waiting)
            continue;
        if (best == NULL || (best->taken && (!p->taken || p->seen < best->seen)))
            best = p;
    }
    if (best->taken)
        server->stats.gave_way++;
    best->taken = best->first = true;
    best->address = *address;
    best->client = ++server->stats.clients;
    return best;
}

static void enqueue(struct sl_detect_server *server, const struct address *from,
                    const struct sl_detect_request *request, zmq_msg_t *picture)
{
    struct place *place = place_of(server, from);
    struct sl_detect_request asked = *request;
    place->seen = ++server->messages;
    if (place->waiting) {
        struct sl_detect_reply reply = {.status = SL_DETECT_SUPERSEDED,
                                        .sequence = place->request.sequence,
                                        .frame_id = place->request.frame.frame_id};
        sl_error_set(&reply.problem, 0, "a newer question of yours came before its turn");
        send_reply(server, from, &reply);
        server->stats.superseded++;
        asked.reset = asked.reset || place->request.reset;
    } else {
        server->queue[server->queued++] = (uint32_t)(place - server->places);
        place->waiting = true;
    }
    place->request = asked;
    place->taken_ns = sl_clock_now_ns();
    zmq_msg_move(&place->picture, picture);
}

/* One part of the message that is being taken. False if there is none left. */
static bool next_part(struct sl_detect_server *server, zmq_msg_t *part)
{
    return zmq_msg_more(part) && zmq_msg_recv(part, server->listening.socket, ZMQ_DONTWAIT) >= 0;
}

/* Takes one message off the socket. 0: it was a question and waits, or was
 * refused; -EAGAIN: there is none. */
static int receive(struct sl_detect_server *server)
{
    struct address from = {.id_bytes = 0};
    struct sl_keys_entry who;
    zmq_msg_t part, picture;
    zmq_msg_init(&part);
    if (zmq_msg_recv(&part, server->listening.socket, ZMQ_DONTWAIT) < 0) {
        const int code = errno;
        zmq_msg_close(&part);
        return -code;
    }
    if (zmq_msg_size(&part) <= sizeof from.id) {
        from.id_bytes = zmq_msg_size(&part);
        memcpy(from.id, zmq_msg_data(&part), from.id_bytes);
    }
    bool there = next_part(server, &part);
    const bool known = there && sl_guard_sender(server->guard, &part, &who) == 0;
    if (there && zmq_msg_size(&part) == 0 && zmq_msg_more(&part)) {
        from.delimited = true;
        there = next_part(server, &part);
    }
    /* The header is read before the picture takes its message's place. */
    uint8_t header[SL_DETECT_REQUEST_BYTES];
    const size_t header_bytes = there ? zmq_msg_size(&part) : 0;
    if (header_bytes <= sizeof header && header_bytes > 0)
        memcpy(header, zmq_msg_data(&part), header_bytes);
    zmq_msg_init(&picture);
    const bool has_picture = there && next_part(server, &part);
    if (has_picture)
        zmq_msg_move(&picture, &part); /* leaves `part` empty, without "more" */
    bool more = has_picture && zmq_msg_more(&picture);
    uint32_t surplus = 0;
    while (more && zmq_msg_recv(&part, server->listening.socket, ZMQ_DONTWAIT) >= 0) {
        surplus++;
        more = zmq_msg_more(&part);
    }
    struct sl_detect_request request;
    struct sl_error why = {0};
    int rc =
        known ? 0 : sl_error_set(&why, -EPERM, "this client is let in no longer; pair it again");
    if (rc == 0)
        rc = sl_detect_wire_get_request(header, header_bytes,
                                        has_picture ? zmq_msg_size(&picture) : 0, &request, &why);
    if (rc == 0 && surplus > 0)
        rc = sl_error_set(&why, -EPROTO, "a request has two parts, a header and a picture; %u came",
                          2 + surplus);
    if (rc == 0)
        enqueue(server, &from, &request, &picture);
    else
        refuse(server, &from, &request, &why);
    zmq_msg_close(&picture);
    zmq_msg_close(&part);
    return 0;
}

/* The first of the queue, for the program. */
static void take_first(struct sl_detect_server *server, struct sl_detect_question *question)
{
    const uint32_t index = server->queue[0];
    struct place *place = &server->places[index];
    server->queued--;
    memmove(server->queue, server->queue + 1, server->queued * sizeof server->queue[0]);
    place->waiting = false;
    *question = (struct sl_detect_question){.place = index,
                                            .client = place->client,
                                            .first = place->first,
                                            .request = place->request,
                                            .picture = zmq_msg_data(&place->picture),
                                            .taken_ns = place->taken_ns};
    place->first = false;
}

int sl_detect_server_next(struct sl_detect_server *server, uint64_t deadline_ns,
                          struct sl_detect_question *question, struct sl_error *err)
{
    for (;;) {
        int rc = 0;
        sl_guard_tend(server->guard, &server->listening, sl_clock_now_ns());
        if (server->listening.socket == NULL)
            rc = -EAGAIN;
        for (int i = 0; rc == 0 && i < MESSAGES_ROUND && server->queued < SL_DETECT_CLIENTS_MAX;
             i++)
            rc = receive(server);
        if (server->queued > 0) {
            take_first(server, question);
            return 0;
        }
        if (rc != 0 && rc != -EAGAIN && rc != -EINTR)
            return sl_error_set(err, -EIO, "the detection server's socket failed: %s",
                                zmq_strerror(-rc));
        const uint64_t now = sl_clock_now_ns();
        if (now >= deadline_ns || rc == -EINTR)
            return -EAGAIN;
        const uint64_t ms = (deadline_ns - now + SL_NS_PER_MS - 1) / SL_NS_PER_MS;
        zmq_pollitem_t item = {.socket = server->listening.socket, .fd = -1, .events = ZMQ_POLLIN};
        if (zmq_poll(&item, 1, (long)(ms < TEND_MS ? ms : TEND_MS)) < 0 && errno == EINTR)
            return -EAGAIN;
    }
}

const struct sl_detect_server_stats *sl_detect_server_stats(const struct sl_detect_server *server)
{
    return &server->stats;
}
