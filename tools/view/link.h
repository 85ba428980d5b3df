/* The two ZMQ sockets to the vehicle: its broadcast, and our actions. */
#ifndef SL_TOOLS_VIEW_LINK_H
#define SL_TOOLS_VIEW_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "rt/error.h"
#include "tools/view/message.h"

struct view_link; /* opaque; one thread */

/* What view_link_drain() finds. A frame's payload and the message live only
 * during the call. */
struct view_link_events {
    void *context;
    void (*message)(void *context, const struct view_message *message, const void *payload,
                    size_t payload_bytes, uint64_t arrived_ns);
    /* A message that cannot be: counted, and its sentence for people. */
    void (*garbage)(void *context, const char *sentence);
    /* A frame that a newer one overtook before anybody looked. */
    void (*overtaken)(void *context, const struct view_message *message);
};

/* Opens both sockets; they connect, and reconnect, by themselves. `vehicle`
 * and `actions` are "tcp://host:port" and outlive the link. `insecure`: without
 * keys, as the vehicle must be, too. `pictures`: the topic that frames come from, which
 * lives for ever. 0; -ENOKEY (not paired with that host), or another negative errno, with
 * a sentence. */
int view_link_open(struct view_link **link, const char *vehicle, const char *actions,
                   const char *pictures, bool insecure, struct sl_error *err);

/* NULL is allowed. Does not wait for unsent actions. */
void view_link_close(struct view_link *link);

/* Some times a second: looks after connections. `silent`: nothing comes at present, so
 * that everything is made anew when for two seconds nobody answered either. */
void view_link_tend(struct view_link *link, bool silent, uint64_t now_ns);

/* Did the vehicle turn us away the last time? */
bool view_link_refused(const struct view_link *link);

/* A descriptor that becomes readable when view_link_drain() should be called.
 * The link's: do not close it. */
int view_link_fd(const struct view_link *link);

/* Reads what has come, at most some hundred messages; of frames only the
 * newest is given. Never blocks. True if there may be more: call again soon,
 * the descriptor may keep silent about it. */
bool view_link_drain(struct view_link *link, const struct view_link_events *events);

/* Sends one action's metadata (JSON). Never blocks. 0; -EAGAIN if there is no
 * connection to the vehicle, which then will not get it later either. */
int view_link_send(struct view_link *link, const char *metadata);

#endif
