#include "net_metrics.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <libwebsockets.h>

#include "net/local.h"

#define HEADERS_MAX     1024
#define DESCRIPTORS_MAX 16 /* connections and all: more are turned away */
#define PATIENCE_S      5  /* with who connects and says nothing */

struct net_metrics {
    struct net_figures *figures;
    struct lws_context *context;
    struct lws_vhost *vhost;
    pthread_t thread;
    bool started;
    atomic_bool ending;
    int listen_fd;
};

/* Of one connection; zeroed by libwebsockets. */
struct answer {
    char *body;
    size_t size;
};

static struct net_metrics *metrics_of(struct lws *wsi)
{
    return lws_context_user(lws_get_context(wsi));
}

static int add(struct lws *wsi, const char *name, const char *value, unsigned char **at,
               unsigned char *end)
{
    return lws_add_http_header_by_name(wsi, (const unsigned char *)name,
                                       (const unsigned char *)value, (int)strlen(value), at, end);
}

/* Answers with `body`, which becomes the answer's; NULL: no memory. */
static int respond(struct lws *wsi, struct answer *answer, unsigned status, const char *type,
                   char *body, size_t size)
{
    unsigned char bytes[LWS_PRE + HEADERS_MAX];
    unsigned char *at = bytes + LWS_PRE, *end = bytes + sizeof bytes - 1;
    free(answer->body);
    *answer = (struct answer){.body = body, .size = size};
    if (body == NULL || lws_add_http_common_headers(wsi, status, type, size, &at, end) != 0 ||
        add(wsi, "cache-control:", "no-store", &at, end) != 0 ||
        add(wsi, "x-content-type-options:", "nosniff", &at, end) != 0 ||
        (status == HTTP_STATUS_METHOD_NOT_ALLOWED && add(wsi, "allow:", "GET", &at, end) != 0) ||
        lws_finalize_write_http_header(wsi, bytes + LWS_PRE, &at, end) != 0)
        return -1;
    if (lws_hdr_total_length(wsi, WSI_TOKEN_HEAD_URI) > 0) { /* what asks so wants no body */
        free(answer->body);
        answer->body = NULL;
        return lws_http_transaction_completed(wsi) != 0 ? -1 : 0;
    }
    lws_callback_on_writable(wsi);
    return 0;
}

static int respond_in_words(struct lws *wsi, struct answer *answer, unsigned status,
                            const char *words)
{
    return respond(wsi, answer, status, "text/plain; charset=utf-8", strdup(words), strlen(words));
}

static int route(struct lws *wsi, struct answer *answer, const char *path)
{
    char host[256];
    if (lws_hdr_copy(wsi, host, sizeof host, WSI_TOKEN_HOST) < 0)
        host[0] = '\0';
    if (!sl_local_is_host(host))
        return respond_in_words(wsi, answer, HTTP_STATUS_FORBIDDEN,
                                "Only requests for localhost are answered here.\n");
    if (lws_hdr_total_length(wsi, WSI_TOKEN_GET_URI) <= 0)
        return respond_in_words(wsi, answer, HTTP_STATUS_METHOD_NOT_ALLOWED,
                                "Only GET is answered here.\n");
    if (strcmp(path, "/metrics") != 0)
        return respond_in_words(wsi, answer, HTTP_STATUS_NOT_FOUND,
                                "There is nothing at this address but /metrics.\n");
    size_t size = 0;
    char *text = net_figures_text(metrics_of(wsi)->figures, &size);
    return respond(wsi, answer, HTTP_STATUS_OK, "text/plain; version=0.0.4; charset=utf-8", text,
                   size);
}

/* What the kernel does not take at once, libwebsockets keeps and sends. */
static int write_body(struct lws *wsi, struct answer *answer)
{
    if (answer->body == NULL)
        return 0;
    unsigned char *bytes = malloc(LWS_PRE + answer->size);
    if (bytes == NULL)
        return -1;
    memcpy(bytes + LWS_PRE, answer->body, answer->size);
    free(answer->body);
    answer->body = NULL;
    const int written = lws_write(wsi, bytes + LWS_PRE, answer->size, LWS_WRITE_HTTP_FINAL);
    free(bytes);
    if (written < (int)answer->size)
        return -1;
    return lws_http_transaction_completed(wsi) != 0 ? -1 : 0;
}

static int on_http(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                   size_t size)
{
    struct answer *answer = user;
    switch (reason) {
    case LWS_CALLBACK_HTTP:
        return route(wsi, answer, in);
    case LWS_CALLBACK_HTTP_WRITEABLE:
        return write_body(wsi, answer);
    case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE:
        return -1;
    case LWS_CALLBACK_CLOSED_HTTP:
    case LWS_CALLBACK_HTTP_DROP_PROTOCOL:
        if (answer != NULL) {
            free(answer->body);
            answer->body = NULL;
        }
        return 0;
    default:
        return lws_callback_http_dummy(wsi, reason, user, in, size);
    }
}

static int on_listen(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                     size_t size)
{
    (void)user, (void)in, (void)size;
    if (reason != LWS_CALLBACK_RAW_RX_FILE)
        return 0;
    struct net_metrics *m = metrics_of(wsi);
    const int connection = accept4(m->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    /* On failure it closes the connection: too many are open. */
    if (connection >= 0)
        lws_adopt_socket_vhost(m->vhost, connection);
    return 0;
}

static void *serve(void *argument)
{
    struct net_metrics *m = argument;
    while (!atomic_load_explicit(&m->ending, memory_order_relaxed))
        if (lws_service(m->context, 0) < 0)
            break;
    return NULL;
}

static void log_error(int level, const char *line)
{
    (void)level;
    fprintf(stderr, "skylane net: %s", line);
}

static int open_lws(struct net_metrics *m, struct sl_error *err)
{
    static const struct lws_protocols PROTOCOLS[] = {
        {.name = "http", .callback = on_http, .per_session_data_size = sizeof(struct answer)},
        {.name = "listen", .callback = on_listen},
        {0},
    };
    const struct lws_context_creation_info info = {
        .port = CONTEXT_PORT_NO_LISTEN_SERVER,
        .protocols = PROTOCOLS,
        .user = m,
        .gid = (gid_t)-1,
        .uid = (uid_t)-1,
        .options = LWS_SERVER_OPTION_EXPLICIT_VHOSTS,
        .fd_limit_per_thread = DESCRIPTORS_MAX,
        .timeout_secs = PATIENCE_S,
        .keepalive_timeout = PATIENCE_S,
        .max_http_header_data = HEADERS_MAX,
        .server_string = "skylane-net",
        .vhost_name = "skylane-net",
    };
    lws_set_log_level(LLL_ERR, log_error);
    m->context = lws_create_context(&info);
    if (m->context != NULL)
        m->vhost = lws_create_vhost(m->context, &info);
    if (m->vhost == NULL)
        return sl_error_set(err, -EIO,
                            "cannot start the server of /metrics (its lines stand above)");
    /* A copy, since libwebsockets closes what it adopts. */
    const lws_sock_file_fd_type of = {.filefd = dup(m->listen_fd)};
    if (of.filefd < 0 ||
        lws_adopt_descriptor_vhost(m->vhost, LWS_ADOPT_RAW_FILE_DESC, of, "listen", NULL) == NULL)
        return sl_error_set(err, -EIO, "cannot wait for requests of /metrics");
    return 0;
}

int net_metrics_open(struct net_metrics **metrics, const char *where, struct net_figures *figures,
                     struct sl_error *err)
{
    *metrics = NULL;
    struct net_metrics *m = calloc(1, sizeof *m);
    if (m == NULL)
        return sl_error_set(err, -ENOMEM, "no memory to serve /metrics");
    m->figures = figures;
    m->listen_fd = sl_local_listen("net.metrics", where, err);
    int rc = m->listen_fd < 0 ? m->listen_fd : open_lws(m, err);
    if (rc == 0) {
        const int code = pthread_create(&m->thread, NULL, serve, m);
        m->started = code == 0;
        if (code != 0)
            rc = sl_error_set(err, -code, "cannot start a thread: %s", strerror(code));
    }
    if (rc != 0) {
        net_metrics_close(m);
        return rc;
    }
    *metrics = m;
    return 0;
}

void net_metrics_close(struct net_metrics *metrics)
{
    if (metrics == NULL)
        return;
    atomic_store_explicit(&metrics->ending, true, memory_order_relaxed);
    if (metrics->started) {
        lws_cancel_service(metrics->context);
        pthread_join(metrics->thread, NULL);
    }
    if (metrics->context != NULL)
        lws_context_destroy(metrics->context);
    if (metrics->listen_fd >= 0)
        close(metrics->listen_fd);
    free(metrics);
}

unsigned net_metrics_port(const struct net_metrics *metrics)
{
    return sl_local_port(metrics->listen_fd);
}
