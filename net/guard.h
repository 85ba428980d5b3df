/* Where the vehicle's sockets listen, whom they let in, and who sent a message.
 *
 * Every socket is encrypted (CURVE) and lets in whom net/keys.h lists, and the
 * user who runs the program: whoever can read the client.key beside the
 * vehicle's own key could change the list anyhow. As long as nobody is listed,
 * TCP listens on the loopback only, whatever address was asked for. When the
 * list changes (somebody was paired, or revoked) sockets listen anew: whoever is
 * still let in connects again by itself.
 *
 * Without keys ("insecure", for benches) everybody who reaches a socket is a
 * driver; addresses beyond the loopback are then refused unless it was asked
 * for twice.
 *
 * One thread; not for real-time loops. */
#ifndef SL_NET_GUARD_H
#define SL_NET_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/keys.h"
#include "net/link.h"
#include "rt/error.h"

/* ZMQ_MAXMSGSIZE also counts the handshake's messages (up to 600 bytes) and what
 * encryption adds to ours: to be added to it. */
#define SL_GUARD_WRAP_BYTES 1024

struct sl_guard; /* opaque */

/* Keys lie where sl_keys_folder() says; the vehicle's and the user's own are made
 * if there are none. `context`: of ZMQ, with no other ZAP handler; it outlives the
 * guard. `insecure`: how often that was asked for. 0; as sl_keys_own() and
 * sl_zap_start(). */
int sl_guard_open(struct sl_guard **guard, void *context, int insecure, struct sl_error *err);

/* After its sockets were closed. NULL is allowed. */
void sl_guard_close(struct sl_guard *guard);

/* Is there anybody on the list? False without keys. */
bool sl_guard_paired(const struct sl_guard *guard);

struct sl_guard_counts {
    uint64_t denied;  /* connections without a key that is let in; what was no question at all */
    uint64_t revoked; /* messages of clients that were let in, and are no longer */
};
void sl_guard_counts(const struct sl_guard *guard, struct sl_guard_counts *counts);

/* Are there no keys? */
bool sl_guard_insecure(const struct sl_guard *guard);

/* A sentence for who starts the program: that there are no keys, that nobody is
 * paired, that the list cannot be read. False: there is nothing to say. */
bool sl_guard_advice(const struct sl_guard *guard, struct sl_error *advice);

/* A socket that listens. The caller fills in the first part, which outlives it. */
struct sl_guard_socket {
    int kind;                             /* ZMQ_XPUB and the like */
    const struct sl_link_option *options; /* ends with 0 */
    const char *endpoint; /* "tcp://ADDRESS:PORT" (* : as far as may be), "ipc://PATH" */

    void *socket;    /* NULL: cannot listen at present */
    char bound[256]; /* where it does, with its port */
    uint64_t epoch;
};

/* 0; -EACCES, -EADDRINUSE, -EADDRNOTAVAIL, -EINVAL, -EMFILE, -EPERM (without keys
 * and beyond the loopback) with a sentence, and no socket. */
int sl_guard_listen(struct sl_guard *guard, struct sl_guard_socket *s, struct sl_error *err);
void sl_guard_hang_up(struct sl_guard_socket *s);

/* Looks after the list, four times a second however often it is called. True if
 * the socket is another one since (or NULL: it is tried again): subscriptions
 * and connections are gone. May wait 1 s for the port, after a change. */
bool sl_guard_tend(struct sl_guard *guard, struct sl_guard_socket *s, uint64_t now_ns);

/* Who sent a message (a zmq_msg_t) that came through such a socket. Without keys:
 * a driver without a name. 0; -EPERM (revoked), -EPROTO. */
int sl_guard_sender(struct sl_guard *guard, void *message, struct sl_keys_entry *who);

/* The other side: prepares a socket that will connect to `endpoint`, with the key
 * that its host was paired with; on this machine, with the one in the own folder.
 * `insecure`: without keys, as the other side must be, too. 0; -ENOKEY (not paired
 * with that host) and as sl_keys_own() with a sentence. */
int sl_guard_present(void *socket, const char *endpoint, bool insecure, struct sl_error *err);

#endif
