/* A DEALER socket: unlike REQ it may ask again while an answer is missing, so
 * that a lost one is no dead end. The sequence number tells which answer is
 * meant. ZMQ_IMMEDIATE keeps questions from piling up for a server that is not
 * there: they would all be asked, and be stale, when it comes. */
#include "net/detect_client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <zmq.h>

#include "net/guard.h"
#include "net/jpeg.h"
#include "net/link.h"
#include "rt/clock.h"

#define RECONNECT_MS     50
#define RECONNECT_MAX_MS 500
/* libzmq gives up where a server turned it away; but we may be paired meanwhile. */
#define RENEW_NS     (4 * SL_NS_PER_S) /* a pulled link is noticed before: it only hangs */
#define JPEG_QUALITY 80
#define REMEMBERED   64 /* questions of which it is known whether they were given up */

struct sl_detect_client {
    void *context;
    void *socket;
    char url[256];
    bool insecure;
    uint64_t made_ns;  /* when the socket was made, or last seen connected */
    uint64_t sequence; /* of the last question */
    bool waiting;      /* for its answer */
    uint64_t given_up; /* bit i: question `sequence - i` was, and has no answer yet */
    uint64_t frame_id;
    uint64_t encoded_ns;
    uint64_t asked_ns;
    uint64_t late, unwanted;
    uint64_t sent_bytes;
    struct sl_jpeg_encoder *encoder; /* NULL: never used JPEG */
    int jpeg_quality;                /* 0: frames go as they are */
};

/* The other transports of libzmq are no detection server's; it judges the rest. */
static bool looks_like_tcp(const char *url)
{
    if (strncmp(url, "tcp://", 6) != 0 || url[6] == ':')
        return false;
    const char *colon = strrchr(url + 6, ':');
    return colon != NULL && colon[1] != '\0' && colon[1 + strspn(colon + 1, "0123456789")] == '\0';
}

static int make_socket(struct sl_detect_client *client, struct sl_error *err)
{
    const char *url = client->url;
    client->made_ns = sl_clock_now_ns();
    client->socket = zmq_socket(client->context, ZMQ_DEALER);
    if (client->socket == NULL)
        return sl_error_set(err, -errno, "cannot make a ZMQ socket: %s", zmq_strerror(errno));
    const int64_t largest = SL_DETECT_REPLY_MAX + SL_GUARD_WRAP_BYTES;
    void *s = client->socket;
    if (sl_link_set(s, ZMQ_LINGER, 0) != 0 || sl_link_set(s, ZMQ_IMMEDIATE, 1) != 0 ||
        sl_link_set(s, ZMQ_SNDHWM, 1) != 0 || sl_link_set(s, ZMQ_RCVHWM, 8) != 0 ||
        sl_link_set(s, ZMQ_RECONNECT_IVL, RECONNECT_MS) != 0 ||
        sl_link_set(s, ZMQ_RECONNECT_IVL_MAX, RECONNECT_MAX_MS) != 0 ||
        sl_link_keep_watch(s) != 0 || sl_link_set(s, ZMQ_IPV6, strchr(url, '[') != NULL) != 0 ||
        zmq_setsockopt(s, ZMQ_MAXMSGSIZE, &largest, sizeof largest) != 0)
        return sl_error_set(err, -errno, "cannot set up a ZMQ socket: %s", zmq_strerror(errno));
    const int rc = looks_like_tcp(url) ? sl_guard_present(s, url, client->insecure, err) : 0;
    if (rc != 0)
        return rc;
    if (!looks_like_tcp(url) || zmq_connect(s, url) != 0)
        return sl_error_set(err, -EINVAL,
                            "\"%s\" is no address of a detection server; write it as "
                            "tcp://HOST:PORT, for example tcp://localhost:%d",
                            url, SL_DETECT_PORT);
    return 0;
}

int sl_detect_client_open(struct sl_detect_client **out, const char *url, bool insecure,
                          struct sl_error *err)
{
    *out = NULL;
    struct sl_detect_client *client = calloc(1, sizeof *client);
    if (client == NULL)
        return sl_error_set(err, -ENOMEM, "no memory for a detection client");
    client->insecure = insecure;
    client->context = zmq_ctx_new();
    int rc = client->context != NULL
                 ? 0
                 : sl_error_set(err, -errno, "cannot start ZMQ: %s", zmq_strerror(errno));
    if (rc == 0 && snprintf(client->url, sizeof client->url, "%s", url) >= (int)sizeof client->url)
        rc = sl_error_set(err, -EINVAL, "the detection server's address is too long");
    if (rc == 0)
        rc = make_socket(client, err);
    if (rc != 0) {
        sl_detect_client_close(client);
        return rc;
    }
    *out = client;
    return 0;
}

void sl_detect_client_close(struct sl_detect_client *client)
{
    if (client == NULL)
        return;
    if (client->socket != NULL)
        zmq_close(client->socket);
    if (client->context != NULL)
        zmq_ctx_term(client->context);
    sl_jpeg_encoder_destroy(client->encoder);
    free(client);
}

/* 0 when the socket is ready for `events`; -EAGAIN at the deadline, -EINTR. */
static int await(struct sl_detect_client *client, short events, uint64_t deadline_ns)
{
    if (client->socket == NULL) /* no more could be made: renew() tries again */
        return -ENOTSOCK;
    const uint64_t now = sl_clock_now_ns();
    /* Rounded up: a millisecond too long rather than a loop that spins. */
    const uint64_t ms =
        deadline_ns > now ? (deadline_ns - now + SL_NS_PER_MS - 1) / SL_NS_PER_MS : 0;
    zmq_pollitem_t item = {.socket = client->socket, .events = events};
    const int ready = zmq_poll(&item, 1, (long)(ms < 3600000 ? ms : 3600000));
    if (ready < 0)
        return -errno;
    return ready == 0 ? -EAGAIN : 0;
}

bool sl_detect_client_is_local(const char *url)
{
    char host[64];
    struct in_addr address;
    const char *begin = url + 6, *end = strrchr(url, ':');
    if (!looks_like_tcp(url) || (size_t)(end - begin) >= sizeof host)
        return false;
    memcpy(host, begin, (size_t)(end - begin));
    host[end - begin] = '\0';
    return strcasecmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0 ||
           (strncmp(host, "127.", 4) == 0 && inet_pton(AF_INET, host, &address) == 1);
}

/* A new socket where the old one has found nobody for a while. */
static void renew(struct sl_detect_client *client)
{
    struct sl_error err;
    const uint64_t now_ns = sl_clock_now_ns();
    if (await(client, ZMQ_POLLOUT, 0) == 0) {
        client->made_ns = now_ns;
    } else if (now_ns > client->made_ns + RENEW_NS) {
        if (client->socket != NULL)
            zmq_close(client->socket);
        client->waiting = false;
        make_socket(client, &err);
    }
}

int sl_detect_client_usual_jpeg(const char *url)
{
    return sl_detect_client_is_local(url) ? 0 : JPEG_QUALITY;
}

int sl_detect_client_use_jpeg(struct sl_detect_client *client, int quality, struct sl_error *err)
{
    if (quality > 0 && client->encoder == NULL)
        client->encoder = sl_jpeg_encoder_create();
    if (quality > 0 && client->encoder == NULL)
        return sl_error_set(err, -ENOMEM, "no memory for JPEG");
    client->jpeg_quality = quality;
    return 0;
}

/* Makes a JPEG of the frame where that is wanted; `frame` and `picture` are then
 * its, until the next. */
static int encode(struct sl_detect_client *client, struct sl_frame_info *frame,
                  const void **picture, struct sl_error *err)
{
    client->encoded_ns = 0;
    if (client->jpeg_quality == 0 || frame->fourcc == SL_FORMAT_MJPEG ||
        frame->fourcc == SL_DETECT_ENCODING_FILE)
        return 0;
    const uint64_t begin_ns = sl_clock_now_ns();
    const uint8_t *jpeg;
    size_t size;
    const int rc =
        sl_jpeg_encode(client->encoder, frame, *picture, client->jpeg_quality, &jpeg, &size, err);
    if (rc != 0)
        return rc;
    frame->fourcc = SL_FORMAT_MJPEG;
    frame->size_bytes = (uint32_t)size;
    *picture = jpeg;
    client->encoded_ns = sl_clock_now_ns() - begin_ns;
    return 0;
}

/* A server is there. */
static int send_question(struct sl_detect_client *client, const struct sl_detect_request *request,
                         const void *picture, struct sl_error *err)
{
    uint8_t header[SL_DETECT_REQUEST_BYTES];
    sl_detect_wire_put_request(header, request);
    const uint64_t asked_ns = sl_clock_now_ns();
    if (zmq_send(client->socket, header, sizeof header, ZMQ_DONTWAIT | ZMQ_SNDMORE) < 0 ||
        zmq_send(client->socket, picture, request->frame.size_bytes, ZMQ_DONTWAIT) < 0) {
        const int code = errno;
        return sl_error_set(err, -code, "asking the detection server: %s", zmq_strerror(code));
    }
    client->sequence = request->sequence;
    client->given_up <<= 1;
    client->frame_id = request->frame.frame_id;
    client->asked_ns = asked_ns;
    client->sent_bytes += request->frame.size_bytes;
    client->waiting = true;
    return 0;
}

int sl_detect_client_ask(struct sl_detect_client *client, const struct sl_frame_info *info,
                         const void *pixels, bool reset, uint64_t deadline_ns, struct sl_error *err)
{
    struct sl_detect_request request = {
        .sequence = client->sequence + 1, .reset = reset, .frame = *info};
    if (client->waiting)
        client->given_up |= 1;
    client->waiting = false;
    if (info->size_bytes == 0 || info->size_bytes > SL_DETECT_PICTURE_MAX)
        return sl_error_set(err, -EMSGSIZE,
                            "a frame of %u bytes cannot be sent; between 1 and %zu are possible",
                            info->size_bytes, SL_DETECT_PICTURE_MAX);
    renew(client);
    int rc = await(client, ZMQ_POLLOUT, deadline_ns);
    if (rc == -EAGAIN)
        return sl_error_set(err, rc, "no detection server takes the question");
    if (rc != 0)
        return sl_error_set(err, rc, "waiting for the detection server: %s", zmq_strerror(-rc));
    rc = encode(client, &request.frame, &pixels, err);
    return rc != 0 ? rc : send_question(client, &request, pixels, err);
}

/* An answer to another question than the last one. */
static void note_other(struct sl_detect_client *client, uint64_t sequence)
{
    const uint64_t age = client->sequence - sequence; /* huge for what comes yet */
    const bool late = age < REMEMBERED && (client->given_up >> age & 1) != 0;
    if (late)
        client->given_up &= ~(UINT64_C(1) << age);
    ++*(late ? &client->late : &client->unwanted);
}

/* Takes one message off the socket. 0: the answer; -ESTALE: one to an older
 * question; -EAGAIN: none; -EPROTO. */
static int take(struct sl_detect_client *client, struct sl_detect_reply *reply,
                struct sl_error *err)
{
    zmq_msg_t part;
    int more = 0;
    zmq_msg_init(&part);
    if (zmq_msg_recv(&part, client->socket, ZMQ_DONTWAIT) < 0) {
        const int code = errno;
        zmq_msg_close(&part);
        return -code;
    }
    int rc = sl_detect_wire_get_reply(zmq_msg_data(&part), zmq_msg_size(&part), reply, err);
    for (more = zmq_msg_more(&part); more; more = zmq_msg_more(&part)) {
        if (zmq_msg_recv(&part, client->socket, ZMQ_DONTWAIT) < 0)
            break;
        rc = sl_error_set(err, -EPROTO, "a reply has one part, this has several");
    }
    zmq_msg_close(&part);
    if (rc != 0)
        return rc;
    if (reply->sequence != client->sequence) {
        note_other(client, reply->sequence);
        return -ESTALE;
    }
    if (reply->status == SL_DETECT_OK &&
        (reply->frame_id != client->frame_id || reply->lane.frame_id != client->frame_id))
        return sl_error_set(err, -EPROTO, "the reply is about another frame than was asked for");
    return 0;
}

int sl_detect_client_wait(struct sl_detect_client *client, uint64_t deadline_ns,
                          struct sl_detect_answer *answer, struct sl_error *err)
{
    if (!client->waiting)
        return sl_error_set(err, -ENOENT, "no question is under way");
    for (;;) {
        int rc = take(client, &answer->reply, err);
        if (rc == 0) {
            answer->encoded_ns = client->encoded_ns;
            answer->asked_ns = client->asked_ns;
            answer->answered_ns = sl_clock_now_ns();
            client->waiting = false;
            return 0;
        }
        if (rc != -EAGAIN && rc != -ESTALE)
            return rc;
        /* A server that sends without end holds nobody up beyond the deadline. */
        if (rc == -ESTALE && sl_clock_now_ns() < deadline_ns)
            continue;
        rc = rc == -ESTALE ? -EAGAIN : await(client, ZMQ_POLLIN, deadline_ns);
        if (rc != 0)
            return rc;
    }
}

uint64_t sl_detect_client_late(const struct sl_detect_client *client)
{
    return client->late;
}

uint64_t sl_detect_client_unwanted(const struct sl_detect_client *client)
{
    return client->unwanted;
}

uint64_t sl_detect_client_sent_bytes(const struct sl_detect_client *client)
{
    return client->sent_bytes;
}
