/* /metrics in Prometheus' text format, version 0.0.4: what the viewer counted
 * (skylane_view_...), and what the vehicle tells of itself (skylane_...), under
 * the names by which the vehicle serves it. */
#ifndef SL_TOOLS_VIEW_METRICS_H
#define SL_TOOLS_VIEW_METRICS_H

#include "tools/view/server.h"

/* A new buffer, or NULL without memory. */
struct view_buffer *view_metrics_text(const struct view_server *server);

#endif
