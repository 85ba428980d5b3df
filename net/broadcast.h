/* The vehicle's broadcast: docs/network.md. An XPUB socket that everybody who was
 * let in may subscribe to; messages of three parts. Nobody's slowness costs the
 * others or the sender anything: what a subscriber does not take is dropped for it.
 *
 * One thread. It allocates: not for real-time loops. No call waits but as told. */
#ifndef SL_NET_BROADCAST_H
#define SL_NET_BROADCAST_H

#include <stddef.h>
#include <stdint.h>

#include <cjson/cJSON.h>

#include "net/guard.h"
#include "rt/error.h"

enum sl_topic {
    SL_TOPIC_FRAME = 0,
    SL_TOPIC_PREVIEW,
    SL_TOPIC_RAW,
    SL_TOPIC_DETECTION,
    SL_TOPIC_STATE,
    SL_TOPIC_TRACE,
    SL_TOPIC_LOG,
    SL_TOPIC_COUNT
};

/* "frame" and the like. */
const char *sl_topic_name(enum sl_topic topic);

struct sl_broadcast; /* opaque */

/* Listens on `endpoint` (copied) for whom the guard lets in, which outlives it.
 * `session`: 16 hexadecimal digits, in every message. 0, or as sl_guard_listen(). */
int sl_broadcast_open(struct sl_broadcast **broadcast, struct sl_guard *guard, const char *endpoint,
                      const char *session, struct sl_error *err);
void sl_broadcast_close(struct sl_broadcast *broadcast); /* NULL is allowed */

/* The ZMQ socket, to be polled for input (NULL: it cannot listen at present); and
 * where it really listens. */
void *sl_broadcast_socket(const struct sl_broadcast *broadcast);
const char *sl_broadcast_endpoint(const struct sl_broadcast *broadcast);

/* Takes what came in: who subscribes to what. Listens anew when the guard's list
 * changed (sl_guard_tend() may wait then): everybody subscribes again. */
void sl_broadcast_listen(struct sl_broadcast *broadcast, uint64_t now_ns);

/* How many subscriptions a topic has at present. */
uint64_t sl_broadcast_subscribers(const struct sl_broadcast *broadcast, enum sl_topic topic);

/* Sends `metadata`, an object, with version, session, seq and sent_ns (now)
 * added to it, and `size` bytes of payload (copied). The topic's seq rises whether
 * or not anybody listens; `metadata` may be NULL if nobody does. Takes `metadata`
 * over. 0, or -ENOMEM. */
int sl_broadcast_send(struct sl_broadcast *broadcast, enum sl_topic topic, cJSON *metadata,
                      const void *payload, size_t size);

#endif
