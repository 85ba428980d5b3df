#include "tools/view/link.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#include "rt/clock.h"

#define RECEIVE_MARK  16 /* messages of all topics: a quarter of a second */
#define SEND_MARK     64
#define BYTES_MAX     (INT64_C(16) << 20)
#define DRAIN_MAX     200
#define PARTS_MAX     3
#define HEARTBEAT_MS  500
#define SILENCE_MS    1500
#define CONNECTING_MS 500
#define RECONNECT_MS  100

struct view_link {
    void *context;
    void *broadcast; /* SUB */
    void *actions;   /* PUB */
    int fd;
};

static int set(void *socket, int option, int value)
{
    return zmq_setsockopt(socket, option, &value, sizeof value);
}

static int open_socket(void **out, void *context, int type, const char *endpoint,
                       struct sl_error *err)
{
    void *socket = *out = zmq_socket(context, type);
    if (socket == NULL)
        return sl_error_set(err, -errno, "no socket to the vehicle: %s", zmq_strerror(errno));
    const int64_t bytes_max = BYTES_MAX;
    /* IMMEDIATE: an action that waited for a connection would come too late. */
    if (set(socket, ZMQ_LINGER, 0) != 0 || set(socket, ZMQ_IPV6, 1) != 0 ||
        set(socket, ZMQ_IMMEDIATE, 1) != 0 || set(socket, ZMQ_RCVHWM, RECEIVE_MARK) != 0 ||
        set(socket, ZMQ_SNDHWM, SEND_MARK) != 0 ||
        set(socket, ZMQ_HEARTBEAT_IVL, HEARTBEAT_MS) != 0 ||
        set(socket, ZMQ_HEARTBEAT_TIMEOUT, SILENCE_MS) != 0 ||
        set(socket, ZMQ_CONNECT_TIMEOUT, CONNECTING_MS) != 0 ||
        set(socket, ZMQ_RECONNECT_IVL, RECONNECT_MS) != 0 ||
        zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &bytes_max, sizeof bytes_max) != 0)
        return sl_error_set(err, -errno, "cannot set up a socket to the vehicle: %s",
                            zmq_strerror(errno));
    for (unsigned i = 0; type == ZMQ_SUB && i < VIEW_TOPICS; i++) {
        const char *topic = view_topic_name((enum view_topic)i);
        if (zmq_setsockopt(socket, ZMQ_SUBSCRIBE, topic, strlen(topic)) != 0)
            return sl_error_set(err, -errno, "cannot subscribe: %s", zmq_strerror(errno));
    }
    if (zmq_connect(socket, endpoint) != 0)
        return sl_error_set(err, -EINVAL,
                            "%s is not an address to connect to (%s): tcp://HOST:PORT, such as "
                            "tcp://192.168.1.20:5557 or tcp://[::1]:5557",
                            endpoint, zmq_strerror(errno));
    return 0;
}

int view_link_open(struct view_link **out, const char *vehicle, const char *actions,
                   struct sl_error *err)
{
    *out = NULL;
    struct view_link *link = calloc(1, sizeof *link);
    if (link == NULL || (link->context = zmq_ctx_new()) == NULL) {
        free(link);
        return sl_error_set(err, -ENOMEM, "no memory for the link to the vehicle");
    }
    int rc = open_socket(&link->broadcast, link->context, ZMQ_SUB, vehicle, err);
    if (rc == 0)
        rc = open_socket(&link->actions, link->context, ZMQ_PUB, actions, err);
    size_t size = sizeof link->fd;
    if (rc == 0 && zmq_getsockopt(link->broadcast, ZMQ_FD, &link->fd, &size) != 0)
        rc = sl_error_set(err, -errno, "no descriptor of the link: %s", zmq_strerror(errno));
    if (rc != 0) {
        view_link_close(link);
        return rc;
    }
    *out = link;
    return 0;
}

void view_link_close(struct view_link *link)
{
    if (link == NULL)
        return;
    if (link->broadcast != NULL)
        zmq_close(link->broadcast);
    if (link->actions != NULL)
        zmq_close(link->actions);
    zmq_ctx_term(link->context);
    free(link);
}

int view_link_fd(const struct view_link *link)
{
    return link->fd;
}

/* One message into `parts`, which are initialised; superfluous parts are
 * dropped but counted. The number of parts, or 0 if there is no message. */
static unsigned receive(void *socket, zmq_msg_t parts[PARTS_MAX])
{
    unsigned count = 0;
    zmq_msg_t surplus;
    zmq_msg_init(&surplus);
    for (bool more = true; more; count++) {
        zmq_msg_t *part = count < PARTS_MAX ? &parts[count] : &surplus;
        if (zmq_msg_recv(part, socket, ZMQ_DONTWAIT) < 0)
            break; /* only before the first part: messages come whole */
        more = zmq_msg_more(part) != 0;
    }
    zmq_msg_close(&surplus);
    return count;
}

struct held_frame {
    struct view_message message;
    zmq_msg_t payload;
    uint64_t arrived_ns;
    bool held;
};

static void take(const struct view_link_events *events, zmq_msg_t parts[PARTS_MAX], unsigned count,
                 struct held_frame *newest)
{
    struct view_message message;
    struct sl_error err = {0};
    const uint64_t now_ns = sl_clock_now_ns();
    if (count != PARTS_MAX) {
        events->garbage(events->context, "a message that has not three parts");
        return;
    }
    if (view_message_read(&message, zmq_msg_data(&parts[0]), zmq_msg_size(&parts[0]),
                          zmq_msg_data(&parts[1]), zmq_msg_size(&parts[1]), zmq_msg_data(&parts[2]),
                          zmq_msg_size(&parts[2]), &err) != 0) {
        events->garbage(events->context, err.text);
        return;
    }
    if (message.topic != VIEW_FRAME) {
        events->message(events->context, &message, NULL, 0, now_ns);
        view_message_clear(&message);
        return;
    }
    if (newest->held) {
        events->overtaken(events->context, &newest->message);
        view_message_clear(&newest->message);
    }
    newest->message = message;
    newest->arrived_ns = now_ns;
    newest->held = true;
    zmq_msg_move(&newest->payload, &parts[2]);
}

bool view_link_drain(struct view_link *link, const struct view_link_events *events)
{
    struct held_frame newest = {.held = false};
    zmq_msg_t parts[PARTS_MAX];
    bool more = true;
    zmq_msg_init(&newest.payload);
    for (unsigned i = 0; i < PARTS_MAX; i++)
        zmq_msg_init(&parts[i]);
    for (unsigned i = 0; more && i < DRAIN_MAX; i++) {
        const unsigned count = receive(link->broadcast, parts);
        if (count > 0)
            take(events, parts, count, &newest);
        more = count > 0;
    }
    for (unsigned i = 0; i < PARTS_MAX; i++)
        zmq_msg_close(&parts[i]);
    if (newest.held) {
        events->message(events->context, &newest.message, zmq_msg_data(&newest.payload),
                        zmq_msg_size(&newest.payload), newest.arrived_ns);
        view_message_clear(&newest.message);
    }
    zmq_msg_close(&newest.payload);
    return more;
}

int view_link_send(struct view_link *link, const char *metadata)
{
    /* A socket looks after connections only when it is asked something. */
    int ready = 0;
    size_t size = sizeof ready;
    zmq_getsockopt(link->actions, ZMQ_EVENTS, &ready, &size);
    if (zmq_send(link->actions, "action", 6, ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0 ||
        zmq_send(link->actions, metadata, strlen(metadata), ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0 ||
        zmq_send(link->actions, "", 0, ZMQ_DONTWAIT) < 0)
        return -EAGAIN;
    return 0;
}
