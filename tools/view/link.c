#include "tools/view/link.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>
#include <zmq.h>

#include "net/guard.h"
#include "net/link.h"
#include "rt/clock.h"

#define RECEIVE_MARK  16 /* messages of all topics: a quarter of a second */
#define SEND_MARK     64
#define BYTES_MAX     (16 << 20)
#define DRAIN_MAX     200
#define PARTS_MAX     3
#define CONNECTING_MS 500
#define RECONNECT_MS  100
/* libzmq gives up where it was turned away, but we may be paired meanwhile. */
#define RENEW_NS (2 * SL_NS_PER_S)

/* ZMQ events of a connection that was not let in. */
#define TURNED_AWAY                                                                                \
    (ZMQ_EVENT_HANDSHAKE_FAILED_AUTH | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL |                      \
     ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL)
#define MONITOR "inproc://view-link-monitor-%u"

struct view_link {
    void *context;
    void *broadcast; /* SUB */
    void *monitor;   /* PAIR: how the broadcast's connection fares */
    void *actions;   /* PUB */
    int fd;          /* of epoll, since the sockets' own change with them */
    const char *vehicle_url, *actions_url, *pictures;
    bool insecure;
    bool refused;
    unsigned made;        /* how often the sockets were */
    uint64_t progress_ns; /* when they were, or something answered */
};

static int set_up(void *socket)
{
    /* IMMEDIATE: an action that waited for a connection would come too late. */
    static const struct sl_link_option OPTIONS[] = {{ZMQ_LINGER, 0},
                                                    {ZMQ_IPV6, 1},
                                                    {ZMQ_IMMEDIATE, 1},
                                                    {ZMQ_RCVHWM, RECEIVE_MARK},
                                                    {ZMQ_SNDHWM, SEND_MARK},
                                                    {ZMQ_CONNECT_TIMEOUT, CONNECTING_MS},
                                                    {ZMQ_RECONNECT_IVL, RECONNECT_MS},
                                                    {ZMQ_MAXMSGSIZE, BYTES_MAX}};
    for (size_t i = 0; i < sizeof OPTIONS / sizeof OPTIONS[0]; i++)
        if (sl_link_set(socket, OPTIONS[i].option, OPTIONS[i].value) != 0)
            return -errno;
    return sl_link_keep_watch(socket) != 0 ? -errno : 0;
}

static int make_socket(struct view_link *link, void **out, int type, const char *endpoint,
                       struct sl_error *err)
{
    void *socket = *out = zmq_socket(link->context, type);
    if (socket == NULL)
        return sl_error_set(err, -errno, "no socket to the vehicle: %s", zmq_strerror(errno));
    int rc = set_up(socket);
    if (rc != 0)
        return sl_error_set(err, rc, "cannot set up a socket to the vehicle: %s",
                            zmq_strerror(-rc));
    for (unsigned i = 0; type == ZMQ_SUB && i < VIEW_TOPICS; i++) {
        const char *topic = i == VIEW_FRAME ? link->pictures : view_topic_name((enum view_topic)i);
        if (zmq_setsockopt(socket, ZMQ_SUBSCRIBE, topic, strlen(topic)) != 0)
            return sl_error_set(err, -errno, "cannot subscribe: %s", zmq_strerror(errno));
    }
    return sl_guard_present(socket, endpoint, link->insecure, err);
}

static int connect_to(void *socket, const char *endpoint, struct sl_error *err)
{
    if (zmq_connect(socket, endpoint) == 0)
        return 0;
    return sl_error_set(err, -EINVAL,
                        "%s is not an address to connect to (%s): tcp://HOST:PORT, such as "
                        "tcp://192.168.1.20:5557 or tcp://[::1]:5557",
                        endpoint, zmq_strerror(errno));
}

static int watch(struct view_link *link, struct sl_error *err)
{
    struct epoll_event event = {.events = EPOLLIN};
    char address[sizeof MONITOR + 10];
    int fd = -1;
    size_t size = sizeof fd;
    /* Another one each time: libzmq gives an address back some time after its socket. */
    snprintf(address, sizeof address, MONITOR, link->made++);
    link->monitor = zmq_socket(link->context, ZMQ_PAIR);
    if (link->monitor == NULL ||
        zmq_socket_monitor(link->broadcast, address,
                           TURNED_AWAY | ZMQ_EVENT_CONNECTED | ZMQ_EVENT_HANDSHAKE_SUCCEEDED) !=
            0 ||
        zmq_connect(link->monitor, address) != 0)
        return sl_error_set(err, -errno, "cannot watch the link: %s", zmq_strerror(errno));
    if (zmq_getsockopt(link->broadcast, ZMQ_FD, &fd, &size) != 0 ||
        epoll_ctl(link->fd, EPOLL_CTL_ADD, fd, &event) != 0)
        return sl_error_set(err, -errno, "no descriptor of the link: %s", strerror(errno));
    return 0;
}

static int open_sockets(struct view_link *link, struct sl_error *err)
{
    link->progress_ns = sl_clock_now_ns();
    int rc = make_socket(link, &link->broadcast, ZMQ_SUB, link->vehicle_url, err);
    if (rc == 0)
        rc = watch(link, err);
    if (rc == 0)
        rc = connect_to(link->broadcast, link->vehicle_url, err);
    if (rc == 0)
        rc = make_socket(link, &link->actions, ZMQ_PUB, link->actions_url, err);
    if (rc == 0)
        rc = connect_to(link->actions, link->actions_url, err);
    return rc;
}

static void close_sockets(struct view_link *link)
{
    int fd = -1;
    size_t size = sizeof fd;
    if (link->broadcast != NULL && zmq_getsockopt(link->broadcast, ZMQ_FD, &fd, &size) == 0)
        epoll_ctl(link->fd, EPOLL_CTL_DEL, fd, NULL);
    if (link->broadcast != NULL)
        zmq_socket_monitor(link->broadcast, NULL, 0);
    void *sockets[] = {link->broadcast, link->monitor, link->actions};
    for (size_t i = 0; i < sizeof sockets / sizeof sockets[0]; i++)
        if (sockets[i] != NULL)
            zmq_close(sockets[i]);
    link->broadcast = link->monitor = link->actions = NULL;
}

int view_link_open(struct view_link **out, const char *vehicle, const char *actions,
                   const char *pictures, bool insecure, struct sl_error *err)
{
    *out = NULL;
    struct view_link *link = calloc(1, sizeof *link);
    if (link == NULL || (link->context = zmq_ctx_new()) == NULL) {
        free(link);
        return sl_error_set(err, -ENOMEM, "no memory for the link to the vehicle");
    }
    link->vehicle_url = vehicle;
    link->actions_url = actions;
    link->pictures = pictures;
    link->insecure = insecure;
    link->fd = epoll_create1(EPOLL_CLOEXEC);
    const int rc =
        link->fd >= 0 ? open_sockets(link, err)
                      : sl_error_set(err, -errno, "no descriptor of the link: %s", strerror(errno));
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
    close_sockets(link);
    zmq_ctx_term(link->context);
    if (link->fd >= 0)
        close(link->fd);
    free(link);
}

int view_link_fd(const struct view_link *link)
{
    return link->fd;
}

/* What the monitor tells: a number of 16 bits and one of 32, then the address. */
static void read_monitor(struct view_link *link, uint64_t now_ns)
{
    uint8_t event[6];
    char address[256];
    while (zmq_recv(link->monitor, event, sizeof event, ZMQ_DONTWAIT) == (int)sizeof event) {
        uint16_t kind;
        memcpy(&kind, event, sizeof kind);
        link->progress_ns = now_ns;
        if (kind != ZMQ_EVENT_CONNECTED)
            link->refused = (kind & TURNED_AWAY) != 0;
        (void)zmq_recv(link->monitor, address, sizeof address, ZMQ_DONTWAIT);
    }
}

void view_link_tend(struct view_link *link, bool silent, uint64_t now_ns)
{
    struct sl_error err;
    if (link->monitor != NULL)
        read_monitor(link, now_ns);
    if (!silent || now_ns < link->progress_ns + RENEW_NS)
        return;
    close_sockets(link);
    if (open_sockets(link, &err) != 0)
        close_sockets(link); /* and again, later */
}

bool view_link_refused(const struct view_link *link)
{
    return link->refused;
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
    for (unsigned i = 0; more && link->broadcast != NULL && i < DRAIN_MAX; i++) {
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
    return more && link->broadcast != NULL;
}

int view_link_send(struct view_link *link, const char *metadata)
{
    if (link->actions == NULL)
        return -EAGAIN;
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
