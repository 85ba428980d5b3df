/* What the vehicle sends: its buses, read like any other reader's, as topics of the
 * broadcast. One thread; no call waits. */
#ifndef SL_PROGRAMS_NET_SEND_H
#define SL_PROGRAMS_NET_SEND_H

#include "app/config/settings.h"
#include "net/action_gate.h"
#include "net/broadcast.h"
#include "net_figures.h"
#include "rt/error.h"

struct net_send; /* opaque */

/* Pollable things of it, for NET_SEND_FDS descriptors. */
#define NET_SEND_FDS 2

struct net_send_parts {
    struct sl_broadcast *broadcast;
    struct sl_gate *gate;
    const struct sl_guard *guard;
    struct net_figures *figures;
};

/* All parts outlive it. 0; -ENOMEM, -EMFILE and the like with a sentence. */
int net_send_open(struct net_send **send, const struct sl_settings *settings,
                  const struct net_send_parts *parts, struct sl_error *err);
void net_send_close(struct net_send *send); /* NULL is allowed */

/* Descriptors that are readable when there is something to send; -1 for what
 * nobody subscribes to at present. */
void net_send_fds(const struct net_send *send, int fds[NET_SEND_FDS]);

/* Sends what is new and somebody subscribes to, and what is due; tells alerts. */
void net_send_news(struct net_send *send, uint64_t now_ns);

/* The state, at once: somebody waits for an answer in it. */
void net_send_state(struct net_send *send, uint64_t now_ns);

/* When something is due next. */
uint64_t net_send_due_ns(const struct net_send *send);

/* How a viewer's pictures arrive. */
void net_send_report(struct net_send *send, const struct sl_ask *ask);

/* A line for everybody who reads the log. `level`: info, warning, error. */
void net_send_log(struct net_send *send, const char *level, const char *text, uint64_t now_ns);

/* Driving is permitted until then. */
void net_send_lease(struct net_send *send, uint64_t until_ns);

/* A setting was changed ("section.key=value"). */
void net_send_setting(struct net_send *send, const char *setting);

/* "frames 1234 sent ...", for the end. */
void net_send_summary(const struct net_send *send, FILE *to);

#endif
