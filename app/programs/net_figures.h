/* What is measured of the vehicle: who takes part and what that costs, how
 * latencies are, what was dropped; and the alerts that come of it.
 *
 * Processes and buses are looked at once a second by a thread of its own, since
 * a writer that is stopped is waited for. All calls are one thread's but where
 * it says otherwise; none waits. */
#ifndef SL_PROGRAMS_NET_FIGURES_H
#define SL_PROGRAMS_NET_FIGURES_H

#include <stdbool.h>

#include "app/config/settings.h"
#include "net/alerts.h"
#include "rt/error.h"
#include "rt/records.h"

struct net_figures; /* opaque */

/* The settings outlive it. 0; -ENOMEM, -EMFILE, -EAGAIN with a sentence. */
int net_figures_open(struct net_figures **figures, const struct sl_settings *settings,
                     struct sl_error *err);
void net_figures_close(struct net_figures *figures); /* NULL is allowed */

/* The newest state of the vehicle; `state` NULL: it has never told any. */
void net_figures_state(struct net_figures *figures, const struct sl_state *state, bool connected);

/* The state's writer has gone: look now how it ended, before the next begins. */
void net_figures_gone(struct net_figures *figures);

/* A frame's way from its publication to here, while frames are read here. */
void net_figures_access(struct net_figures *figures, uint64_t waited_ns);

/* How old a viewer says that pictures are. */
void net_figures_report(struct net_figures *figures, double age_ms, uint64_t now_ns);

/* Frames that were not sent, since the start. */
struct net_figures_drops {
    uint64_t rate, overrun, failed;
};

/* Reads what came from the detector, and once a second sums up. Returns how
 * many alerts came, changed or went then, and tells each in `events`. */
int net_figures_look(struct net_figures *figures, const struct net_figures_drops *drops,
                     uint64_t now_ns, struct sl_alert_event events[SL_ALERTS]);

/* Adds `alerts`, and once a second `figures`, to a state that is sent. */
void net_figures_add(struct net_figures *figures, cJSON *state);

/* The figures as text for Prometheus, to be freed; NULL without memory. Any
 * thread. */
char *net_figures_text(struct net_figures *figures, size_t *size);

#endif
