/* The vehicle's side: a ROUTER, a few exchanges that are under way, and a count
 * of tries.
 *
 * Whoever floods it from one address takes that address's places only, and
 * costs one CPace share for each of them in EXCHANGE_NS. Places of peers that
 * went away come free after that time. */
#include "net/pairing.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>
#include <zmq.h>

#include "net/link.h"
#include "net/pairing_exchange.h"
#include "rt/clock.h"

#define EXCHANGES    16
#define PER_ADDRESS  4
#define EXCHANGE_NS  (5 * SL_NS_PER_S)
#define ROUTE_BYTES  5 /* of the names that a ROUTER gives to its peers */
#define WAITING_PEER 4 /* messages that libzmq keeps from and for each */
#define LINGER_MS    1000
#define HANDSHAKE_MS 2000

struct place {
    bool used;
    uint8_t route[ROUTE_BYTES];
    char address[SL_PAIR_ADDRESS];
    uint64_t until_ns;
    struct sl_pair_exchange exchange;
};

struct sl_pair_host {
    void *context;
    void *socket;
    uint16_t port;
    char *folder;
    char shown[SL_PAIR_CODE_SHOW];
    char code[SL_PAIR_CODE];
    struct sl_keys_entry self; /* the vehicle's card: its key, its name, the client's role */
    uint64_t expires_ns;
    unsigned tries_left;
    bool over;
    struct sl_pair_event end; /* once it is over */
    struct sl_pair_counts counts;
    struct place places[EXCHANGES];
};

struct peer {
    uint8_t route[ROUTE_BYTES];
    char address[SL_PAIR_ADDRESS];
};

/* ---- opening and closing ---- */

static int listen_on(struct sl_pair_host *host, uint16_t port, struct sl_error *err)
{
    const int64_t largest = SL_PAIR_MESSAGE_MAX;
    char where[64];
    size_t size = sizeof where;
    host->context = zmq_ctx_new();
    if (host->context != NULL)
        host->socket = zmq_socket(host->context, ZMQ_ROUTER);
    if (host->socket == NULL)
        return sl_error_set(err, -errno, "cannot make a ZMQ socket: %s", zmq_strerror(errno));
    void *s = host->socket;
    if (sl_link_set(s, ZMQ_LINGER, LINGER_MS) != 0 ||
        sl_link_set(s, ZMQ_RCVHWM, WAITING_PEER) != 0 ||
        sl_link_set(s, ZMQ_SNDHWM, WAITING_PEER) != 0 ||
        sl_link_set(s, ZMQ_HANDSHAKE_IVL, HANDSHAKE_MS) != 0 || sl_link_set(s, ZMQ_IPV6, 1) != 0 ||
        zmq_setsockopt(s, ZMQ_MAXMSGSIZE, &largest, sizeof largest) != 0)
        return sl_error_set(err, -errno, "cannot set up a ZMQ socket: %s", zmq_strerror(errno));
    if (port == 0)
        snprintf(where, sizeof where, "tcp://*:*");
    else
        snprintf(where, sizeof where, "tcp://*:%u", port);
    if (zmq_bind(s, where) != 0) {
        const int code = errno;
        return sl_error_set(err, -code, "cannot listen on port %u: %s%s", port, zmq_strerror(code),
                            code == EADDRINUSE
                                ? "; another \"skylane pair\" is running, or choose another --port"
                                : "");
    }
    if (zmq_getsockopt(s, ZMQ_LAST_ENDPOINT, where, &size) == 0 && strrchr(where, ':') != NULL)
        port = (uint16_t)strtoul(strrchr(where, ':') + 1, NULL, 10);
    host->port = port;
    return 0;
}

int sl_pair_host_open(struct sl_pair_host **out, const struct sl_pair_host_config *config,
                      struct sl_error *err)
{
    struct sl_keys_pair own;
    *out = NULL;
    if (!sl_keys_name_good(config->name) || config->role == SL_ROLE_NONE)
        return sl_error_set(err, -EINVAL,
                            "a vehicle's name has 1 to 63 letters, digits and .-_@, and a client "
                            "is a viewer or a driver");
    if (sodium_init() < 0)
        return sl_error_set(err, -ENOTSUP, "libsodium cannot start");
    struct sl_pair_host *host = calloc(1, sizeof *host);
    if (host == NULL || (host->folder = strdup(config->folder)) == NULL) {
        free(host);
        return sl_error_set(err, -ENOMEM, "no memory to pair");
    }
    int rc = sl_keys_own(config->folder, SL_KEYS_OF_VEHICLE, &own, err);
    if (rc == 0) {
        memcpy(host->self.public_key, own.public_key, sizeof own.public_key);
        sl_keys_pair_wipe(&own);
        snprintf(host->self.name, sizeof host->self.name, "%s", config->name);
        host->self.role = config->role;
        host->tries_left = SL_PAIR_TRIES;
        host->expires_ns = sl_clock_now_ns() + config->lifetime_ns;
        sl_pair_code_draw(host->shown);
        rc = sl_pair_code_read(host->shown, host->code, err);
    }
    if (rc == 0)
        rc = listen_on(host, config->port, err);
    if (rc != 0) {
        sl_pair_host_close(host);
        return rc;
    }
    *out = host;
    return 0;
}

void sl_pair_host_close(struct sl_pair_host *host)
{
    if (host == NULL)
        return;
    if (host->socket != NULL)
        zmq_close(host->socket);
    if (host->context != NULL)
        zmq_ctx_term(host->context);
    free(host->folder);
    sodium_memzero(host, sizeof *host);
    free(host);
}

const char *sl_pair_host_code(const struct sl_pair_host *host)
{
    return host->shown;
}

uint16_t sl_pair_host_port(const struct sl_pair_host *host)
{
    return host->port;
}

void sl_pair_host_counts(const struct sl_pair_host *host, struct sl_pair_counts *counts)
{
    *counts = host->counts;
}

/* ---- messages ---- */

/* Whole or not at all: a ROUTER drops what it cannot deliver. */
static void reply(struct sl_pair_host *host, const struct peer *peer,
                  const struct sl_pair_message *message)
{
    uint8_t bytes[SL_PAIR_MESSAGE_MAX];
    const size_t size = sl_pair_wire_put(bytes, message);
    if (zmq_send(host->socket, peer->route, sizeof peer->route, ZMQ_DONTWAIT | ZMQ_SNDMORE) >= 0)
        (void)zmq_send(host->socket, bytes, size, ZMQ_DONTWAIT);
}

static void refuse(struct sl_pair_host *host, const struct peer *peer, enum sl_pair_reason reason)
{
    const struct sl_pair_message message = {
        .kind = SL_PAIR_REFUSE, .reason = reason, .tries_left = (uint8_t)host->tries_left};
    reply(host, peer, &message);
}

/* With both IP versions on one socket, addresses of version 4 look so. */
static void copy_address(char address[SL_PAIR_ADDRESS], const char *text)
{
    static const char MAPPED[] = "::ffff:";
    if (text != NULL && strncmp(text, MAPPED, strlen(MAPPED)) == 0)
        text += strlen(MAPPED);
    snprintf(address, SL_PAIR_ADDRESS, "%s", text != NULL ? text : "an unknown address");
}

/* Takes one message off the socket. 0; -EAGAIN: none; -EPROTO: garbage, `peer`
 * may not be set; -EPROTONOSUPPORT: another version. */
static int take(struct sl_pair_host *host, struct peer *peer, struct sl_pair_message *message)
{
    zmq_msg_t part;
    int rc = -EPROTO, more = 1;
    bool from_peer = false;
    zmq_msg_init(&part);
    for (int i = 0; more; i++) {
        if (zmq_msg_recv(&part, host->socket, ZMQ_DONTWAIT) < 0) {
            rc = i == 0 ? -errno : -EPROTO;
            break;
        }
        more = zmq_msg_more(&part);
        if (i == 0) {
            /* A peer may choose a longer name for itself. Ours does not. */
            from_peer = zmq_msg_size(&part) == sizeof peer->route;
            if (from_peer)
                memcpy(peer->route, zmq_msg_data(&part), sizeof peer->route);
        } else if (i == 1 && !more && from_peer) {
            copy_address(peer->address, zmq_msg_gets(&part, "Peer-Address"));
            rc = sl_pair_wire_get(zmq_msg_data(&part), zmq_msg_size(&part), message);
        }
    }
    zmq_msg_close(&part);
    return rc;
}

/* ---- exchanges ---- */

static void leave(struct place *place)
{
    sodium_memzero(place, sizeof *place);
}

static struct place *find_place(struct sl_pair_host *host, const struct peer *peer)
{
    for (size_t i = 0; i < EXCHANGES; i++) {
        struct place *place = &host->places[i];
        if (place->used && memcmp(place->route, peer->route, sizeof peer->route) == 0)
            return place;
    }
    return NULL;
}

/* A free place; NULL: there is none, or this address has its share. */
static struct place *new_place(struct sl_pair_host *host, const struct peer *peer, uint64_t now_ns)
{
    struct place *unused = NULL;
    unsigned same = 0;
    for (size_t i = 0; i < EXCHANGES; i++) {
        struct place *place = &host->places[i];
        if (place->used && place->until_ns <= now_ns)
            leave(place);
        if (!place->used)
            unused = place;
        else if (strcmp(place->address, peer->address) == 0)
            same++;
    }
    return same < PER_ADDRESS ? unused : NULL;
}

static void on_hello(struct sl_pair_host *host, const struct peer *peer,
                     const struct sl_pair_message *hello)
{
    const uint64_t now_ns = sl_clock_now_ns();
    struct sl_pair_message offer = {.kind = SL_PAIR_OFFER};
    /* A peer that has a place waits until it is free, so that greetings one after the
     * other cost no more than a peer that greets once. */
    struct place *place = find_place(host, peer);
    if (place == NULL || place->until_ns <= now_ns)
        place = new_place(host, peer, now_ns);
    else
        place = NULL;
    if (place == NULL) {
        host->counts.busy++;
        refuse(host, peer, SL_PAIR_BUSY);
        return;
    }
    place->used = true;
    place->until_ns = now_ns + EXCHANGE_NS;
    memcpy(place->route, peer->route, sizeof place->route);
    memcpy(place->address, peer->address, sizeof place->address);
    randombytes_buf(offer.nonce, sizeof offer.nonce);
    sl_pair_exchange_begin(&place->exchange, SL_PAIR_VEHICLE, host->code, hello->nonce,
                           offer.nonce);
    memcpy(offer.share, place->exchange.transcript.share[SL_PAIR_VEHICLE], sizeof offer.share);
    reply(host, peer, &offer);
}

/* The code is proved: the client's card, the list, the answer. */
static int admit(struct sl_pair_host *host, const struct peer *peer, struct place *place,
                 const struct sl_pair_message *proof, struct sl_pair_event *event,
                 struct sl_error *err)
{
    struct sl_pair_message accept = {.kind = SL_PAIR_ACCEPT};
    struct sl_keys_entry client;
    if (sl_pair_exchange_open(&place->exchange, SL_PAIR_LAPTOP, proof->sealed, &client) != 0) {
        host->counts.garbage++;
        refuse(host, peer, SL_PAIR_VERSIONS);
        return 0;
    }
    client.role = host->self.role; /* the vehicle decides that, whatever the card says */
    const int rc = sl_keys_add(host->folder, SL_KEYS_ALLOWED, &client, &event->replaced, err);
    if (rc != 0) {
        refuse(host, peer, SL_PAIR_TROUBLE);
        return rc;
    }
    sl_cpace_tag(accept.tag, place->exchange.isk, SL_PAIR_VEHICLE, &place->exchange.transcript);
    sl_pair_exchange_seal(&place->exchange, SL_PAIR_VEHICLE, &host->self, accept.sealed);
    reply(host, peer, &accept);
    event->what = SL_PAIR_DONE;
    event->client = client;
    memcpy(event->address, peer->address, sizeof event->address);
    return 0;
}

static int on_proof(struct sl_pair_host *host, const struct peer *peer,
                    const struct sl_pair_message *proof, struct sl_pair_event *event,
                    struct sl_error *err)
{
    struct place *place = find_place(host, peer);
    int rc = 0;
    if (place == NULL || place->until_ns <= sl_clock_now_ns()) {
        host->counts.garbage++;
        return 0;
    }
    if (sl_pair_exchange_agree(&place->exchange, SL_PAIR_VEHICLE, proof->share) != 0) {
        /* No try: nothing that depends on the code was compared. The place stays
         * taken, though its scalar is gone, or such proofs would buy new shares
         * as fast as they can be sent. */
        host->counts.garbage++;
        return 0;
    }
    if (!sl_pair_exchange_proves(&place->exchange, SL_PAIR_LAPTOP, proof->tag)) {
        host->tries_left--;
        refuse(host, peer, SL_PAIR_WRONG_CODE);
        event->what = SL_PAIR_FAILED;
        event->tries_left = host->tries_left;
        memcpy(event->address, peer->address, sizeof event->address);
    } else {
        rc = admit(host, peer, place, proof, event, err);
    }
    leave(place); /* each exchange is good for one proof */
    return rc;
}

static int answer(struct sl_pair_host *host, struct sl_pair_event *event, struct sl_error *err)
{
    struct sl_pair_message message;
    struct peer peer;
    const int rc = take(host, &peer, &message);
    if (rc == 0 && message.kind == SL_PAIR_HELLO) {
        on_hello(host, &peer, &message);
        return 0;
    }
    if (rc == 0 && message.kind == SL_PAIR_PROOF)
        return on_proof(host, &peer, &message, event, err);
    if (rc == -EAGAIN || rc == -EINTR)
        return rc;
    host->counts.garbage++;
    if (rc == -EPROTONOSUPPORT)
        refuse(host, &peer, SL_PAIR_VERSIONS);
    return 0;
}

static void end(struct sl_pair_host *host, const struct sl_pair_event *event)
{
    host->over = true;
    host->end = *event;
    for (size_t i = 0; i < EXCHANGES; i++)
        leave(&host->places[i]);
    sodium_memzero(host->code, sizeof host->code);
}

int sl_pair_host_wait(struct sl_pair_host *host, uint64_t deadline_ns, struct sl_pair_event *event,
                      struct sl_error *err)
{
    *event = (struct sl_pair_event){.what = SL_PAIR_NOTHING};
    while (!host->over) {
        const uint64_t now_ns = sl_clock_now_ns();
        if (now_ns >= host->expires_ns) {
            event->what = SL_PAIR_EXPIRED;
            end(host, event);
            break;
        }
        if (now_ns >= deadline_ns)
            return 0;
        const uint64_t until_ns = deadline_ns < host->expires_ns ? deadline_ns : host->expires_ns;
        zmq_pollitem_t item = {.socket = host->socket, .events = ZMQ_POLLIN};
        if (zmq_poll(&item, 1, (long)((until_ns - now_ns) / SL_NS_PER_MS + 1)) < 0)
            return sl_error_set(err, -errno, "waiting for a laptop: %s", zmq_strerror(errno));
        if (item.revents == 0)
            continue;
        const int rc = answer(host, event, err);
        if (rc != 0 && rc != -EAGAIN)
            return rc;
        if (event->what == SL_PAIR_DONE ||
            (event->what == SL_PAIR_FAILED && event->tries_left == 0))
            end(host, event);
        if (event->what != SL_PAIR_NOTHING)
            return 0;
    }
    *event = host->end;
    return 0;
}
