/* Who may connect: answers libzmq's question about each new CURVE connection
 * (ZAP 1.0, ZeroMQ RFC 27) from the list `allowed` of net/keys.h.
 *
 *   sl_zap_start()            one for each ZMQ context, before anything listens
 *   sl_zap_guard(socket)      before zmq_bind()
 *   ...                       receive; ask sl_zap_user() about every message
 *   zmq_close(), sl_zap_stop(), zmq_ctx_term()
 *
 * Messages that come through a guarded socket carry the user id of the client
 * that sent them: zmq_msg_gets(message, "User-Id"), a text "ROLE NAME KEY", on
 * SUB and also on XPUB's subscriptions. There only this handler can set it. On
 * sockets that are not guarded a peer may claim what it likes: do not ask
 * sl_zap_user() about their messages.
 *
 * Revoking. The list is read again when its file has changed. A revoked client
 * gets no new connection. One that it has already is not cut by libzmq:
 *   - what comes in through it is refused by sl_zap_user(), which looks at the
 *     file each time, from the moment on when the file is replaced;
 *   - what goes out to it (a broadcast) goes on until the owner of the socket
 *     closes and binds it again, to be done when sl_zap_revision() has changed.
 *     Whoever is still allowed connects again by itself.
 * A list that cannot be read, or whose rights are not safe, allows nobody.
 *
 * Whoever was turned away does not try again: libzmq 4.3 gives a connection up
 * whose handshake failed. A client learns of it through zmq_socket_monitor()
 * (ZMQ_EVENT_HANDSHAKE_FAILED_AUTH with 400, or _NO_DETAIL) and makes a new
 * socket when there is a reason to hope, such as having been paired. */
#ifndef SL_NET_ZAP_H
#define SL_NET_ZAP_H

#include <stdbool.h>
#include <stdint.h>

#include "net/keys.h"
#include "rt/error.h"

#define SL_ZAP_DOMAIN  "skylane"
#define SL_ZAP_USER_ID "User-Id" /* for zmq_msg_gets() */

struct sl_zap; /* opaque */

struct sl_zap_counts {
    uint64_t accepted;
    uint64_t denied;    /* unknown keys, and mechanisms other than CURVE */
    uint64_t malformed; /* questions that are no ZAP 1.0: answered 500 */
};

/* Starts the handler's thread in a ZMQ context, which outlives it, with the
 * list in `folder` (copied). `own`: somebody who is let in though not listed
 * (copied; a listed entry of that key counts instead); NULL: nobody. Blocks some ms. 0; -EADDRINUSE
 * (the context has a handler); -ENOMEM, -EAGAIN (no thread), -ENAMETOOLONG with a sentence. A list
 * that cannot be read is no failure: see sl_zap_list_good(). */
int sl_zap_start(struct sl_zap **out, void *context, const char *folder,
                 const struct sl_keys_entry *own, struct sl_error *err);

/* Ends the thread and frees `zap`; NULL is allowed. Guarded sockets are to be
 * closed before: what connects to one without a handler is turned away. Blocks
 * some ms. */
void sl_zap_stop(struct sl_zap *zap);

/* Makes a socket that is not bound yet one that only lets allowed clients in.
 * `zap` must be of the same context. From the thread that owns the socket.
 * 0; -EINVAL or -ENOTSUP (libzmq without CURVE) with a sentence. */
int sl_zap_guard(const struct sl_zap *zap, void *socket, const struct sl_keys_pair *own,
                 struct sl_error *err);

/* The other side: a socket that is not connected yet shows `own` and talks to
 * the vehicle with this public key only. Needs no handler. Errors as above. */
int sl_zap_present(void *socket, const struct sl_keys_pair *own, const char *vehicle_key,
                   struct sl_error *err);

/* Whose message it is, and whether that client is still allowed, with the same
 * role and name. `user_id` may be NULL (a message through a socket without
 * CURVE: refused). Fills `entry` if given, on success only. Any thread. Blocks
 * for two calls of stat(), some us, and for its reading after a change.
 * 0; -EPERM (revoked, or role changed: it must connect again), -EPROTO (no
 * user id of ours). */
int sl_zap_user(struct sl_zap *zap, const char *user_id, struct sl_keys_entry *entry);

/* Grows by one whenever a change of the list has taken something away from
 * somebody. Any thread; blocks like sl_zap_user(). */
uint64_t sl_zap_revision(struct sl_zap *zap);

/* How many are on the list. Any thread; blocks like sl_zap_user(). */
size_t sl_zap_listed(struct sl_zap *zap);

/* 0, or why the list cannot be read (as sl_keys_read()), for people. Any
 * thread; blocks like sl_zap_user(). */
int sl_zap_list_good(struct sl_zap *zap, struct sl_error *err);

/* Since start. Any thread; does not block. */
void sl_zap_counts(const struct sl_zap *zap, struct sl_zap_counts *counts);

#endif
