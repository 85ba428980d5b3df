/* One thread that serves the page, the browsers and the vehicle's link: they
 * wait in one poll, and nothing of it blocks. */
#ifndef SL_TOOLS_VIEW_SERVER_H
#define SL_TOOLS_VIEW_SERVER_H

#include <libwebsockets.h>

#include "tools/view/access.h"
#include "tools/view/actions.h"
#include "tools/view/link.h"
#include "tools/view/vehicle.h"

#define VIEW_BROWSERS_MAX 32

struct view_browser;
struct view_request;

struct view_server_config {
    const char *vehicle, *actions; /* "tcp://host:port" */
    const char *pictures;          /* topic that frames come from; lives for ever */
    bool insecure;                 /* the vehicle asks for no keys */
    int listen_fd;                 /* becomes the server's */
    uint16_t port;
    struct view_access access;
};

struct view_server {
    struct view_access access;
    uint16_t port;
    struct lws_context *context;
    struct lws_vhost *vhost;
    int listen_fd;

    const char *pictures; /* topic */
    struct view_link *link;
    struct view_vehicle vehicle;
    struct view_actions actions;

    struct view_browser *browsers; /* list */
    unsigned browser_count;
    uint64_t browser_number;      /* of the last one */
    struct view_request *streams; /* list of those that get /stream.mjpg */
    uint64_t not_taken;           /* frames that browsers were too slow for */
    uint64_t texts_dropped;       /* the same, of texts */
    uint64_t refused_requests;    /* token, origin, host */

    lws_sorted_usec_list_t tick, again;
    uint64_t ping_ns, report_ns, told_ns; /* when the next is due */
};

/* Opens the link and everything else. 0, or a negative errno with a sentence;
 * the listening descriptor is closed in either case, at the latest by
 * view_server_close(). */
int view_server_open(struct view_server **server, const struct view_server_config *config,
                     struct sl_error *err);

/* Serves until SIGINT or SIGTERM (sl_cli_stop_wanted()). 0 or -EIO. */
int view_server_run(struct view_server *server, struct sl_error *err);

/* NULL is allowed. */
void view_server_close(struct view_server *server);

/* The server that a connection belongs to. */
struct view_server *view_server_of(struct lws *wsi);

/* A request's header or query argument, "" if it is not there or too long. */
void view_server_header(struct lws *wsi, enum lws_token_indexes which, char *out, int size);
void view_server_argument(struct lws *wsi, const char *name, char *out, int size);

/* Whether a request may be answered at all: Host and token. */
enum view_permission { VIEW_MAY, VIEW_WRONG_HOST, VIEW_NO_TOKEN };
enum view_permission view_server_permits(struct view_server *server, struct lws *wsi);

/* libwebsockets' callbacks of the two kinds of connections. */
int view_http_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                       size_t size);
int view_websocket_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                            size_t size);

/* How much libwebsockets keeps for each. */
extern const size_t VIEW_REQUEST_BYTES, VIEW_BROWSER_BYTES;

#define VIEW_WEBSOCKET_PROTOCOL "skylane-view"

#endif
