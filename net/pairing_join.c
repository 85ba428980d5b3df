/* The laptop's side. A DEALER: unlike a REQ it can greet again. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <sodium.h>
#include <zmq.h>

#include "net/link.h"
#include "net/pairing.h"
#include "net/pairing_exchange.h"
#include "rt/clock.h"

#define BUSY_MS      300
#define RECONNECT_MS 100

struct join {
    const struct sl_pair_join_config *config;
    char code[SL_PAIR_CODE];
    void *context;
    void *socket;
    uint64_t deadline_ns;
    uint8_t nonce[SL_PAIR_NONCE];
    struct sl_keys_pair own;
    struct sl_pair_exchange exchange;
};

static int dial(struct join *join, struct sl_error *err)
{
    const int64_t largest = SL_PAIR_MESSAGE_MAX;
    const char *host = join->config->host;
    /* An address of IP version 6 may come with its brackets. */
    const bool six = strchr(host, ':') != NULL, bare = six && host[0] != '[';
    char where[SL_KEYS_NAME + 32];
    snprintf(where, sizeof where, bare ? "tcp://[%s]:%u" : "tcp://%s:%u", host, join->config->port);
    join->context = zmq_ctx_new();
    if (join->context != NULL)
        join->socket = zmq_socket(join->context, ZMQ_DEALER);
    if (join->socket == NULL)
        return sl_error_set(err, -errno, "cannot make a ZMQ socket: %s", zmq_strerror(errno));
    void *s = join->socket;
    if (sl_link_set(s, ZMQ_LINGER, 0) != 0 || sl_link_set(s, ZMQ_IPV6, six) != 0 ||
        sl_link_set(s, ZMQ_RECONNECT_IVL, RECONNECT_MS) != 0 ||
        sl_link_set(s, ZMQ_RCVHWM, 8) != 0 ||
        zmq_setsockopt(s, ZMQ_MAXMSGSIZE, &largest, sizeof largest) != 0)
        return sl_error_set(err, -errno, "cannot set up a ZMQ socket: %s", zmq_strerror(errno));
    if (zmq_connect(s, where) != 0)
        return sl_error_set(err, -EINVAL, "\"%s\" is no name or address of a vehicle", host);
    return 0;
}

static int nobody(const struct join *join, struct sl_error *err)
{
    return sl_error_set(err, -ETIMEDOUT,
                        "nobody answers at %s, port %u; is \"skylane pair\" running on the "
                        "vehicle, and are both in the same network?",
                        join->config->host, join->config->port);
}

/* 0; -ETIMEDOUT, or -EINTR, both with a sentence. */
static int await(struct join *join, short events, struct sl_error *err)
{
    const uint64_t now_ns = sl_clock_now_ns();
    zmq_pollitem_t item = {.socket = join->socket, .events = events};
    if (now_ns >= join->deadline_ns)
        return nobody(join, err);
    const int n = zmq_poll(&item, 1, (long)((join->deadline_ns - now_ns) / SL_NS_PER_MS + 1));
    if (n < 0)
        return sl_error_set(err, -errno, "waiting for the vehicle: %s", zmq_strerror(errno));
    return n == 0 ? nobody(join, err) : 0;
}

static int send_message(struct join *join, const struct sl_pair_message *message,
                        struct sl_error *err)
{
    uint8_t bytes[SL_PAIR_MESSAGE_MAX];
    const size_t size = sl_pair_wire_put(bytes, message);
    const int rc = await(join, ZMQ_POLLOUT, err);
    if (rc == 0 && zmq_send(join->socket, bytes, size, ZMQ_DONTWAIT) < 0)
        return sl_error_set(err, -errno, "sending to the vehicle: %s", zmq_strerror(errno));
    return rc;
}

/* Takes what came. 0; -EAGAIN: nothing that can be read. */
static int take(struct join *join, struct sl_pair_message *message, struct sl_error *err)
{
    zmq_msg_t part;
    int rc = -EAGAIN, more = 1;
    zmq_msg_init(&part);
    for (int i = 0; more; i++) {
        if (zmq_msg_recv(&part, join->socket, ZMQ_DONTWAIT) < 0)
            break;
        more = zmq_msg_more(&part);
        rc = i == 0 && !more ? sl_pair_wire_get(zmq_msg_data(&part), zmq_msg_size(&part), message)
                             : -EAGAIN;
    }
    zmq_msg_close(&part);
    if (rc == -EPROTONOSUPPORT)
        return sl_error_set(err, -EPROTO,
                            "the vehicle speaks another version of pairing; install the same "
                            "skylane on both");
    return rc == -EPROTO ? -EAGAIN : rc;
}

static int refused(const struct sl_pair_message *message, struct sl_error *err)
{
    switch (message->reason) {
    case SL_PAIR_WRONG_CODE:
        if (message->tries_left == 0)
            return sl_error_set(err, -EACCES,
                                "wrong code, for the last time; start \"skylane pair\" on the "
                                "vehicle again for a new one");
        return sl_error_set(err, -EACCES, "wrong code; tries left: %u", message->tries_left);
    case SL_PAIR_BUSY:
        return sl_error_set(err, -EBUSY,
                            "the vehicle is busy with others who try to pair; try again in 10 s");
    case SL_PAIR_TROUBLE:
        return sl_error_set(err, -EREMOTEIO,
                            "the vehicle cannot note who was paired; its screen tells why");
    case SL_PAIR_VERSIONS:
        break;
    }
    return sl_error_set(err, -EPROTO,
                        "the vehicle speaks another version of pairing; install the same skylane "
                        "on both");
}

/* Waits for a message of this kind; others are ignored. A refusal is an error. */
static int expect(struct join *join, enum sl_pair_kind kind, struct sl_pair_message *message,
                  struct sl_error *err)
{
    for (;;) {
        int rc = await(join, ZMQ_POLLIN, err);
        if (rc == 0)
            rc = take(join, message, err);
        if (rc == -EAGAIN)
            continue;
        if (rc != 0)
            return rc;
        if (message->kind == SL_PAIR_REFUSE)
            return refused(message, err);
        if (message->kind == kind)
            return 0;
    }
}

/* Greets until the vehicle has time. */
static int greet(struct join *join, struct sl_pair_message *offer, struct sl_error *err)
{
    struct sl_pair_message hello = {.kind = SL_PAIR_HELLO};
    randombytes_buf(join->nonce, sizeof join->nonce);
    memcpy(hello.nonce, join->nonce, sizeof hello.nonce);
    for (;;) {
        int rc = send_message(join, &hello, err);
        if (rc == 0)
            rc = expect(join, SL_PAIR_OFFER, offer, err);
        const uint64_t again_ns = sl_clock_now_ns() + BUSY_MS * SL_NS_PER_MS;
        if (rc != -EBUSY || again_ns >= join->deadline_ns)
            return rc;
        sl_clock_sleep_until_ns(again_ns);
    }
}

static int talk(struct join *join, struct sl_pair_joined *joined, struct sl_error *err)
{
    struct sl_pair_exchange *exchange = &join->exchange;
    struct sl_pair_message message, proof = {.kind = SL_PAIR_PROOF};
    struct sl_keys_entry card = {0};
    int rc = greet(join, &message, err);
    if (rc != 0)
        return rc;
    sl_pair_exchange_begin(exchange, SL_PAIR_LAPTOP, join->code, join->nonce, message.nonce);
    if (sl_pair_exchange_agree(exchange, SL_PAIR_LAPTOP, message.share) != 0)
        return sl_error_set(err, -EPROTO, "who answers at %s is no vehicle", join->config->host);
    memcpy(proof.share, exchange->transcript.share[SL_PAIR_LAPTOP], sizeof proof.share);
    sl_cpace_tag(proof.tag, exchange->isk, SL_PAIR_LAPTOP, &exchange->transcript);
    memcpy(card.public_key, join->own.public_key, sizeof card.public_key);
    snprintf(card.name, sizeof card.name, "%s", join->config->name);
    sl_pair_exchange_seal(exchange, SL_PAIR_LAPTOP, &card, proof.sealed);
    rc = send_message(join, &proof, err);
    if (rc == 0)
        rc = expect(join, SL_PAIR_ACCEPT, &message, err);
    if (rc != 0)
        return rc;
    if (!sl_pair_exchange_proves(exchange, SL_PAIR_VEHICLE, message.tag) ||
        sl_pair_exchange_open(exchange, SL_PAIR_VEHICLE, message.sealed, &card) != 0 ||
        card.role == SL_ROLE_NONE)
        return sl_error_set(err, -EPROTO,
                            "who answers at %s does not know the code, and may pretend to be the "
                            "vehicle; start \"skylane pair\" there again for a new code",
                            join->config->host);
    *joined = (struct sl_pair_joined){.role = card.role};
    memcpy(joined->public_key, card.public_key, sizeof joined->public_key);
    memcpy(joined->name, card.name, sizeof joined->name);
    return 0;
}

int sl_pair_join(const struct sl_pair_join_config *config, struct sl_pair_joined *joined,
                 struct sl_error *err)
{
    struct join join = {.config = config, .deadline_ns = sl_clock_now_ns() + config->timeout_ns};
    *joined = (struct sl_pair_joined){0};
    if (!sl_keys_name_good(config->host))
        return sl_error_set(err, -EINVAL, "\"%s\" is no name or address of a vehicle",
                            config->host);
    if (!sl_keys_name_good(config->name))
        return sl_error_set(err, -EINVAL,
                            "\"%s\" is no name for this machine: 1 to 63 letters, digits and .-_@",
                            config->name);
    if (sodium_init() < 0)
        return sl_error_set(err, -ENOTSUP, "libsodium cannot start");
    int rc = sl_pair_code_read(config->code, join.code, err);
    if (rc == 0)
        rc = sl_keys_own(config->folder, SL_KEYS_OF_CLIENT, &join.own, err);
    if (rc == 0)
        rc = dial(&join, err);
    if (rc == 0)
        rc = talk(&join, joined, err);
    if (join.socket != NULL)
        zmq_close(join.socket);
    if (join.context != NULL)
        zmq_ctx_term(join.context);
    if (rc == 0) {
        struct sl_keys_entry vehicle = {.role = SL_ROLE_NONE};
        memcpy(vehicle.public_key, joined->public_key, sizeof vehicle.public_key);
        snprintf(vehicle.name, sizeof vehicle.name, "%s", config->host);
        rc = sl_keys_add(config->folder, SL_KEYS_VEHICLES, &vehicle, NULL, err);
    }
    sodium_memzero(&join, sizeof join);
    return rc;
}
