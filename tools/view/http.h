/* What is served over plain HTTP:
 *   /               the page, and its files beside it
 *   /stream.mjpg    the picture without a page, newest only
 *   /snapshot.jpg   the newest picture
 *   /api/state      link and state as JSON
 *   /metrics        Prometheus' text format
 *   /socket         the WebSocket (websocket.h) */
#ifndef SL_TOOLS_VIEW_HTTP_H
#define SL_TOOLS_VIEW_HTTP_H

#include "tools/view/server.h"

/* A new frame is there: wakes those that get /stream.mjpg. */
void view_http_wake(struct view_server *server);

#endif
