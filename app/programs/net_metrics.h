/* Serves the figures to Prometheus: GET /metrics over HTTP, to this machine
 * alone, from a thread of its own. */
#ifndef SL_PROGRAMS_NET_METRICS_H
#define SL_PROGRAMS_NET_METRICS_H

#include "net_figures.h"
#include "rt/error.h"

struct net_metrics; /* opaque */

/* Listens at `where` (see net/local.h). The figures outlive it. 0; -EINVAL,
 * -EADDRINUSE and the like, -ENOMEM, -EIO with a sentence: the caller goes on
 * without. */
int net_metrics_open(struct net_metrics **metrics, const char *where, struct net_figures *figures,
                     struct sl_error *err);

/* Ends the thread and its connections. NULL is allowed. */
void net_metrics_close(struct net_metrics *metrics);

/* The port that it listens on. */
unsigned net_metrics_port(const struct net_metrics *metrics);

#endif
