/* The socket of a detection server: takes questions of several clients, in the
 * order in which they came, and sends answers. docs/protocol.md describes what
 * travels; the program behind decides what to answer.
 *
 * A client is a connection. Up to SL_DETECT_CLIENTS_MAX have a place each, a
 * number with which the program can keep what belongs to them; the least
 * recently seen one gives way to a new one. A client's newest question wins: if
 * it asks again before its turn came, the older question is answered as
 * superseded. What is no question is answered with a sentence, and counted.
 *
 * net/guard.h lets in who was paired, whatever the role. Bounded are the size of a message part,
 * the questions that wait and the clients that are remembered; not the number of connections.
 *
 * One thread at a time. It allocates: not for real-time loops. */
#ifndef SL_NET_DETECT_SERVER_H
#define SL_NET_DETECT_SERVER_H

#include "net/detect_wire.h"

#define SL_DETECT_CLIENTS_MAX 16

struct sl_detect_server;

struct sl_detect_question {
    uint32_t place;  /* of the client, 0 .. SL_DETECT_CLIENTS_MAX - 1 */
    uint64_t client; /* counts clients from 1: whose place it is now */
    bool first;      /* of this client: what the place held belongs to another */
    struct sl_detect_request request;
    const void *picture; /* request.frame.size_bytes, until the reply */
    uint64_t taken_ns;   /* when it was taken off the socket */
};

struct sl_detect_server_stats {
    uint64_t clients;    /* that ever asked */
    uint64_t gave_way;   /* clients whose place another one got */
    uint64_t superseded; /* questions */
    uint64_t refused;    /* messages that were no question */
    struct sl_error last_refusal;
};

/* Listens on tcp://HOST:PORT, on the loopback only until somebody was paired;
 * `insecure` as sl_guard_open() takes it. `host`: an address of this machine, the name of
 * an interface, "localhost", or "*" for all; IPv6 addresses without brackets.
 * `port`: 0 takes a free one. 0, or as sl_guard_open() and sl_guard_listen(). */
int sl_detect_server_open(struct sl_detect_server **server, const char *host, uint16_t port,
                          int insecure, struct sl_error *err);
void sl_detect_server_close(struct sl_detect_server *server); /* NULL is allowed */

/* Where it listens, with the port that was chosen: "tcp://127.0.0.1:5556". */
const char *sl_detect_server_endpoint(const struct sl_detect_server *server);

/* What to tell who starts it, as sl_guard_advice(). */
bool sl_detect_server_advice(const struct sl_detect_server *server, struct sl_error *advice);

/* The next question, waiting until `deadline_ns`. The one before must have been
 * answered. 0; -EAGAIN (none; also after a signal); -EIO with a sentence. */
int sl_detect_server_next(struct sl_detect_server *server, uint64_t deadline_ns,
                          struct sl_detect_question *question, struct sl_error *err);

/* Answers the question. Fills in the reply's sequence and frame_id, waited_ns
 * from `began_ns` (when its turn came) and total_ns. A client that is gone or
 * takes nothing loses the answer. Does not wait. */
void sl_detect_server_reply(struct sl_detect_server *server,
                            const struct sl_detect_question *question,
                            struct sl_detect_reply *reply, uint64_t began_ns);

const struct sl_detect_server_stats *sl_detect_server_stats(const struct sl_detect_server *server);

#endif
