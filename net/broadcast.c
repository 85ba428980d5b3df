#include "net/broadcast.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <zmq.h>

#include "net/json.h"
#include "net/link.h"
#include "rt/clock.h"

#define VERSION 1

/* Messages that wait for a slow subscriber, and bytes below them: together some
 * tenths of a second of video, after which the next ones are dropped for it. */
#define QUEUE_MESSAGES 8
#define QUEUE_BYTES    (128 << 10)
/* The same of what subscribers say, which is little. libzmq reads a queue of
 * subscriptions until it is empty (4.3.4, xpub.cpp: xread_activated()), in the
 * thread that sends: one who fills it as fast would hold that for ever. A queue
 * that runs dry before the next bytes can come does not. */
#define HEARD_MESSAGES   16
#define HEARD_BYTES      (4 << 10)
#define AT_ONCE          256
#define SUBSCRIPTION_MAX 64 /* bytes that a subscriber may send at once */

static const char *const NAMES[SL_TOPIC_COUNT] = {"frame", "preview", "raw", "detection",
                                                  "state", "trace",   "log"};

struct sl_broadcast {
    struct sl_guard *guard;
    struct sl_guard_socket listening;
    char endpoint[256];
    char session[17];
    uint64_t seq[SL_TOPIC_COUNT];
    uint64_t subscribers[SL_TOPIC_COUNT];
};

const char *sl_topic_name(enum sl_topic topic)
{
    return NAMES[topic];
}

int sl_broadcast_open(struct sl_broadcast **broadcast, struct sl_guard *guard, const char *endpoint,
                      const char *session, struct sl_error *err)
{
    *broadcast = NULL;
    struct sl_broadcast *b = calloc(1, sizeof *b);
    if (b == NULL)
        return sl_error_set(err, -ENOMEM, "no memory for the broadcast");
    static const struct sl_link_option OPTIONS[] = {
        {ZMQ_SNDHWM, QUEUE_MESSAGES},
        {ZMQ_SNDBUF, QUEUE_BYTES},
        {ZMQ_RCVHWM, HEARD_MESSAGES},
        {ZMQ_RCVBUF, HEARD_BYTES},
        {ZMQ_MAXMSGSIZE, SUBSCRIPTION_MAX + SL_GUARD_WRAP_BYTES},
        {ZMQ_XPUB_VERBOSER, 1}, /* tells each subscription, so that they can be counted */
        {0},
    };
    snprintf(b->session, sizeof b->session, "%s", session);
    snprintf(b->endpoint, sizeof b->endpoint, "%s", endpoint);
    b->guard = guard;
    b->listening =
        (struct sl_guard_socket){.kind = ZMQ_XPUB, .options = OPTIONS, .endpoint = b->endpoint};
    const int rc = sl_guard_listen(guard, &b->listening, err);
    if (rc != 0) {
        sl_broadcast_close(b);
        return rc;
    }
    *broadcast = b;
    return 0;
}

void sl_broadcast_close(struct sl_broadcast *broadcast)
{
    if (broadcast == NULL)
        return;
    sl_guard_hang_up(&broadcast->listening);
    free(broadcast);
}

void *sl_broadcast_socket(const struct sl_broadcast *broadcast)
{
    return broadcast->listening.socket;
}

const char *sl_broadcast_endpoint(const struct sl_broadcast *broadcast)
{
    return broadcast->listening.bound;
}

uint64_t sl_broadcast_subscribers(const struct sl_broadcast *broadcast, enum sl_topic topic)
{
    return broadcast->subscribers[topic];
}

/* One byte, 1 or 0, and the beginning of all topics that are meant. */
static void count(struct sl_broadcast *b, const char *bytes, size_t size)
{
    if (size < 1 || bytes[0] < 0 || bytes[0] > 1)
        return;
    for (int i = 0; i < SL_TOPIC_COUNT; i++) {
        if (size - 1 > strlen(NAMES[i]) || memcmp(NAMES[i], bytes + 1, size - 1) != 0)
            continue;
        if (bytes[0] == 1)
            b->subscribers[i]++;
        else if (b->subscribers[i] > 0)
            b->subscribers[i]--;
    }
}

void sl_broadcast_listen(struct sl_broadcast *broadcast, uint64_t now_ns)
{
    if (sl_guard_tend(broadcast->guard, &broadcast->listening, now_ns))
        memset(broadcast->subscribers, 0, sizeof broadcast->subscribers);
    if (broadcast->listening.socket == NULL)
        return;
    char bytes[SUBSCRIPTION_MAX + 1];
    /* A client that floods must not keep pictures and actions waiting. */
    for (int i = 0; i < AT_ONCE; i++) {
        const int size = zmq_recv(broadcast->listening.socket, bytes, sizeof bytes, ZMQ_DONTWAIT);
        if (size < 0)
            break;
        if (size <= (int)sizeof bytes)
            count(broadcast, bytes, (size_t)size);
    }
}

int sl_broadcast_send(struct sl_broadcast *broadcast, enum sl_topic topic, cJSON *metadata,
                      const void *payload, size_t size)
{
    const uint64_t seq = ++broadcast->seq[topic];
    if (broadcast->subscribers[topic] == 0 || metadata == NULL) {
        cJSON_Delete(metadata);
        return 0;
    }
    cJSON_AddNumberToObject(metadata, "v", VERSION);
    cJSON_AddStringToObject(metadata, "session", broadcast->session);
    sl_json_add_u64(metadata, "seq", seq);
    sl_json_add_u64(metadata, "sent_ns", sl_clock_now_ns());
    char *text = cJSON_PrintUnformatted(metadata);
    cJSON_Delete(metadata);
    if (text == NULL)
        return -ENOMEM;
    void *socket = broadcast->listening.socket; /* which somebody subscribed through */
    zmq_send_const(socket, NAMES[topic], strlen(NAMES[topic]), ZMQ_SNDMORE | ZMQ_DONTWAIT);
    zmq_send(socket, text, strlen(text), ZMQ_SNDMORE | ZMQ_DONTWAIT);
    zmq_send(socket, payload, size, ZMQ_DONTWAIT);
    free(text);
    return 0;
}
