#include "tools/view/http.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "rt/clock.h"
#include "tools/view/metrics.h"
#include "tools/view/page.h"

#define HEADERS_MAX 2048
#define CHUNK_BYTES 32768
#define BOUNDARY    "skylane-frame"

static const char POLICY[] = "default-src 'none'; script-src 'self'; style-src 'self'; "
                             "img-src 'self' blob: data:; connect-src 'self'; "
                             "frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

struct view_request {
    struct lws *wsi;
    struct view_request *next; /* of the streams */
    struct view_buffer *body;
    size_t sent;
    bool streams;
    uint64_t frame_number; /* last one streamed */
};

const size_t VIEW_REQUEST_BYTES = sizeof(struct view_request);

struct headers {
    unsigned char bytes[LWS_PRE + HEADERS_MAX];
    unsigned char *at, *end;
};

static int add(struct lws *wsi, struct headers *h, const char *name, const char *value)
{
    return lws_add_http_header_by_name(wsi, (const unsigned char *)name,
                                       (const unsigned char *)value, (int)strlen(value), &h->at,
                                       h->end);
}

/* The headers that every answer has. */
static int begin_headers(struct lws *wsi, struct headers *h, unsigned status, const char *type,
                         lws_filepos_t size)
{
    h->at = h->bytes + LWS_PRE;
    h->end = h->bytes + sizeof h->bytes - 1;
    return lws_add_http_common_headers(wsi, status, type, size, &h->at, h->end) != 0 ||
           add(wsi, h, "content-security-policy:", POLICY) != 0 ||
           add(wsi, h, "x-content-type-options:", "nosniff") != 0 ||
           add(wsi, h, "referrer-policy:", "no-referrer") != 0 ||
           add(wsi, h, "cross-origin-resource-policy:", "same-origin") != 0 ||
           add(wsi, h, "cache-control:", "no-store") != 0;
}

static bool is_head(struct lws *wsi)
{
    return lws_hdr_total_length(wsi, WSI_TOKEN_HEAD_URI) > 0;
}

/* Answers with `body`, which becomes the request's (NULL: no memory). A cookie
 * keeps the token for what the page loads. */
static int respond(struct lws *wsi, struct view_request *request, unsigned status, const char *type,
                   struct view_buffer *body, const char *cookie)
{
    struct headers h;
    view_buffer_replace(&request->body, body);
    request->sent = 0;
    if (body == NULL || begin_headers(wsi, &h, status, type, view_buffer_size(body)) != 0 ||
        (status == HTTP_STATUS_METHOD_NOT_ALLOWED && add(wsi, &h, "allow:", "GET, HEAD") != 0) ||
        (cookie != NULL && add(wsi, &h, "set-cookie:", cookie) != 0) ||
        lws_finalize_write_http_header(wsi, h.bytes + LWS_PRE, &h.at, h.end) != 0)
        return -1;
    if (is_head(wsi)) {
        view_buffer_replace(&request->body, NULL);
        return lws_http_transaction_completed(wsi) != 0 ? -1 : 0;
    }
    lws_callback_on_writable(wsi);
    return 0;
}

static int respond_in_words(struct lws *wsi, struct view_request *request, unsigned status,
                            const char *words)
{
    return respond(wsi, request, status, "text/plain; charset=utf-8",
                   view_buffer_print("%s\n", words), NULL);
}

static struct view_buffer *copy(const void *bytes, size_t size)
{
    struct view_buffer *buffer = view_buffer_create(size);
    if (buffer != NULL)
        memcpy(view_buffer_bytes(buffer), bytes, size);
    return buffer;
}

static int send_page(struct view_server *server, struct lws *wsi, struct view_request *request,
                     const struct view_page_file *file)
{
    char cookie[160];
    snprintf(cookie, sizeof cookie, "skylane_view_%u=%s; Path=/; HttpOnly; SameSite=Strict",
             server->port, server->access.token);
    return respond(wsi, request, HTTP_STATUS_OK, file->type, copy(file->bytes, file->size),
                   server->access.token[0] == '\0' ? NULL : cookie);
}

static int send_snapshot(struct view_server *server, struct lws *wsi, struct view_request *request)
{
    const struct view_frame *frame = &server->vehicle.frame;
    if (frame->buffer == NULL)
        return respond_in_words(wsi, request, HTTP_STATUS_SERVICE_UNAVAILABLE,
                                "No picture has come from the vehicle yet.");
    return respond(wsi, request, HTTP_STATUS_OK, "image/jpeg",
                   copy(view_buffer_bytes(frame->buffer) + VIEW_FRAME_HEADER,
                        view_buffer_size(frame->buffer) - VIEW_FRAME_HEADER),
                   NULL);
}

static int send_state(struct view_server *server, struct lws *wsi, struct view_request *request)
{
    struct view_vehicle *vehicle = &server->vehicle;
    struct view_buffer *link = view_vehicle_link_text(vehicle, sl_clock_now_ns());
    struct view_buffer *body = NULL;
    if (link != NULL)
        body = view_buffer_print(
            "{\"link\":%s,\"state\":%s,\"browsers\":%u}\n", (char *)view_buffer_bytes(link),
            vehicle->state == NULL ? "null" : (char *)view_buffer_bytes(vehicle->state),
            server->browser_count);
    view_buffer_release(link);
    return respond(wsi, request, HTTP_STATUS_OK, "application/json", body, NULL);
}

static int begin_stream(struct view_server *server, struct lws *wsi, struct view_request *request)
{
    struct headers h;
    if (begin_headers(wsi, &h, HTTP_STATUS_OK, "multipart/x-mixed-replace; boundary=" BOUNDARY,
                      LWS_ILLEGAL_HTTP_CONTENT_LEN) != 0 ||
        lws_finalize_write_http_header(wsi, h.bytes + LWS_PRE, &h.at, h.end) != 0)
        return -1;
    if (is_head(wsi))
        return -1; /* without a length, the end of the connection is the end */
    lws_set_timeout(wsi, NO_PENDING_TIMEOUT, 0);
    request->streams = true;
    request->frame_number = 0;
    request->next = server->streams;
    server->streams = request;
    lws_callback_on_writable(wsi);
    return 0;
}

static int stream_next(struct view_server *server, struct lws *wsi, struct view_request *request)
{
    struct view_frame *frame = &server->vehicle.frame;
    if (frame->buffer == NULL || request->frame_number == frame->number)
        return 0;
    char head[160];
    const size_t jpeg = view_buffer_size(frame->buffer) - VIEW_FRAME_HEADER;
    const int head_size = snprintf(head, sizeof head,
                                   "--" BOUNDARY "\r\nContent-Type: image/jpeg\r\n"
                                   "Content-Length: %zu\r\nX-Frame-Id: %" PRIu64 "\r\n\r\n",
                                   jpeg, frame->frame_id);
    struct view_buffer *part = view_buffer_create((size_t)head_size + jpeg + 2);
    if (part == NULL)
        return -1;
    unsigned char *to = view_buffer_bytes(part);
    memcpy(to, head, (size_t)head_size);
    memcpy(to + head_size, view_buffer_bytes(frame->buffer) + VIEW_FRAME_HEADER, jpeg);
    to[(size_t)head_size + jpeg] = '\r';
    to[(size_t)head_size + jpeg + 1] = '\n';
    if (request->frame_number > 0)
        server->not_taken += frame->number - request->frame_number - 1;
    request->frame_number = frame->number;
    const size_t size = view_buffer_size(part);
    const int written = lws_write(wsi, to, size, LWS_WRITE_HTTP);
    view_buffer_release(part);
    return written < (int)size ? -1 : 0;
}

void view_http_wake(struct view_server *server)
{
    for (struct view_request *r = server->streams; r != NULL; r = r->next)
        lws_callback_on_writable(r->wsi);
}

static int write_body(struct lws *wsi, struct view_request *request)
{
    if (request->body == NULL)
        return 0;
    const size_t left = view_buffer_size(request->body) - request->sent;
    const size_t size = left < CHUNK_BYTES ? left : CHUNK_BYTES;
    const bool last = size == left;
    if (lws_write(wsi, view_buffer_bytes(request->body) + request->sent, size,
                  last ? LWS_WRITE_HTTP_FINAL : LWS_WRITE_HTTP) < (int)size)
        return -1;
    request->sent += size;
    if (!last) {
        lws_callback_on_writable(wsi);
        return 0;
    }
    view_buffer_replace(&request->body, NULL);
    return lws_http_transaction_completed(wsi) != 0 ? -1 : 0;
}

static int refuse(struct view_server *server, struct lws *wsi, struct view_request *request,
                  enum view_permission permission)
{
    server->refused_requests++;
    if (permission == VIEW_WRONG_HOST)
        return respond_in_words(wsi, request, HTTP_STATUS_FORBIDDEN,
                                "This viewer answers only to localhost. To reach it by another "
                                "name, start it with --listen and a token.");
    return respond_in_words(wsi, request, HTTP_STATUS_FORBIDDEN,
                            "A token is needed: open the address that \"skylane view\" printed "
                            "when it started, with ?token= and all.");
}

static int route(struct view_server *server, struct lws *wsi, struct view_request *request,
                 const char *path)
{
    memset(request, 0, sizeof *request);
    request->wsi = wsi;
    if (lws_hdr_total_length(wsi, WSI_TOKEN_GET_URI) <= 0 && !is_head(wsi))
        return respond_in_words(wsi, request, HTTP_STATUS_METHOD_NOT_ALLOWED,
                                "Only GET and HEAD are answered here; actions go over the page.");
    const enum view_permission permission = view_server_permits(server, wsi);
    if (permission != VIEW_MAY)
        return refuse(server, wsi, request, permission);
    const struct view_page_file *file = view_page_find(path);
    if (file != NULL)
        return send_page(server, wsi, request, file);
    if (strcmp(path, "/stream.mjpg") == 0)
        return begin_stream(server, wsi, request);
    if (strcmp(path, "/snapshot.jpg") == 0)
        return send_snapshot(server, wsi, request);
    if (strcmp(path, "/api/state") == 0)
        return send_state(server, wsi, request);
    if (strcmp(path, "/metrics") == 0)
        return respond(wsi, request, HTTP_STATUS_OK, "text/plain; version=0.0.4; charset=utf-8",
                       view_metrics_text(server), NULL);
    return respond_in_words(wsi, request, HTTP_STATUS_NOT_FOUND,
                            "There is nothing at this address. The page is at /; there are also "
                            "/stream.mjpg, /snapshot.jpg, /api/state and /metrics.");
}

/* A WebSocket is about to be: 0 lets it; -1, which ends the connection, after
 * an answer that refuses. There is no request's memory at this point. */
static int confirm_socket(struct view_server *server, struct lws *wsi)
{
    char origin[256], host[256], protocol[64], path[64];
    const char *why = NULL;
    view_server_header(wsi, WSI_TOKEN_ORIGIN, origin, sizeof origin);
    view_server_header(wsi, WSI_TOKEN_HOST, host, sizeof host);
    view_server_header(wsi, WSI_TOKEN_PROTOCOL, protocol, sizeof protocol);
    view_server_header(wsi, WSI_TOKEN_GET_URI, path, sizeof path);
    unsigned status = HTTP_STATUS_FORBIDDEN;
    const enum view_permission permission = view_server_permits(server, wsi);
    if (permission == VIEW_WRONG_HOST)
        why = "This viewer answers only to localhost.\n";
    else if (permission == VIEW_NO_TOKEN)
        why = "A token is needed: open the address that \"skylane view\" printed.\n";
    else if (!view_access_origin_ok(origin, host))
        why = "Only this viewer's own page may open its WebSocket.\n";
    else if (strcmp(path, "/socket") != 0 || strcmp(protocol, VIEW_WEBSOCKET_PROTOCOL) != 0) {
        why = "The WebSocket is at /socket, with subprotocol " VIEW_WEBSOCKET_PROTOCOL ".\n";
        status = HTTP_STATUS_BAD_REQUEST;
    }
    if (why == NULL)
        return 0;
    server->refused_requests++;
    struct headers h;
    struct view_buffer *body = view_buffer_print("%s", why);
    if (body == NULL)
        return -1;
    const size_t size = view_buffer_size(body);
    if (begin_headers(wsi, &h, status, "text/plain; charset=utf-8", size) == 0 &&
        add(wsi, &h, "connection:", "close") == 0 &&
        lws_finalize_write_http_header(wsi, h.bytes + LWS_PRE, &h.at, h.end) == 0)
        lws_write(wsi, view_buffer_bytes(body), size, LWS_WRITE_HTTP_FINAL);
    view_buffer_release(body);
    return -1;
}

static void end(struct view_server *server, struct view_request *request)
{
    if (request == NULL)
        return;
    view_buffer_replace(&request->body, NULL);
    for (struct view_request **at = &server->streams; *at != NULL; at = &(*at)->next) {
        if (*at == request) {
            *at = request->next;
            break;
        }
    }
    request->streams = false;
}

int view_http_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                       size_t size)
{
    struct view_server *server = view_server_of(wsi);
    struct view_request *request = user;
    switch (reason) {
    case LWS_CALLBACK_HTTP:
        return route(server, wsi, request, in);
    case LWS_CALLBACK_HTTP_WRITEABLE:
        return request->streams ? stream_next(server, wsi, request) : write_body(wsi, request);
    case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE:
        return confirm_socket(server, wsi);
    case LWS_CALLBACK_CLOSED_HTTP:
    case LWS_CALLBACK_HTTP_DROP_PROTOCOL:
        end(server, request);
        return 0;
    default:
        return lws_callback_http_dummy(wsi, reason, user, in, size);
    }
}
