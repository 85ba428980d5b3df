#include "tools/view/server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "rt/cli.h"
#include "rt/clock.h"
#include "tools/view/http.h"
#include "tools/view/listen.h"
#include "tools/view/websocket.h"

#define TICK_US         (100 * LWS_US_PER_MS)
#define PING_NS         SL_NS_PER_S
#define FIRST_PING_NS   (100 * SL_NS_PER_MS)
#define REPORT_NS       (500 * SL_NS_PER_MS)
#define TELL_NS         (500 * SL_NS_PER_MS)
#define EXPIRES_MS      1000
#define GIVE_UP_NS      SL_NS_PER_S /* without a word: connections are made anew */
#define DESCRIPTORS_MAX 128         /* connections and all: more are turned away */

struct view_server *view_server_of(struct lws *wsi)
{
    return lws_context_user(lws_get_context(wsi));
}

void view_server_header(struct lws *wsi, enum lws_token_indexes which, char *out, int size)
{
    out[0] = '\0';
    if (lws_hdr_total_length(wsi, which) >= size || lws_hdr_copy(wsi, out, size, which) < 0)
        out[0] = '\0';
}

void view_server_argument(struct lws *wsi, const char *name, char *out, int size)
{
    char argument[256];
    const size_t length = strlen(name);
    out[0] = '\0';
    for (int i = 0; i < 16; i++) {
        if (lws_hdr_copy_fragment(wsi, argument, sizeof argument, WSI_TOKEN_HTTP_URI_ARGS, i) < 0)
            return;
        if (strncmp(argument, name, length) == 0 && argument[length] == '=' &&
            strlen(argument + length + 1) < (size_t)size) {
            memcpy(out, argument + length + 1, strlen(argument + length + 1) + 1);
            return;
        }
    }
}

static void cookie_of(struct lws *wsi, const char *name, char *out, size_t size)
{
    char cookies[1024];
    const size_t length = strlen(name);
    char *rest = cookies;
    out[0] = '\0';
    view_server_header(wsi, WSI_TOKEN_HTTP_COOKIE, cookies, sizeof cookies);
    for (char *c = strsep(&rest, ";"); c != NULL; c = strsep(&rest, ";")) {
        c += strspn(c, " ");
        if (strncmp(c, name, length) == 0 && c[length] == '=' && strlen(c + length + 1) < size)
            memcpy(out, c + length + 1, strlen(c + length + 1) + 1);
    }
}

enum view_permission view_server_permits(struct view_server *server, struct lws *wsi)
{
    char host[256], token[VIEW_TOKEN_MAX + 2], name[32];
    view_server_header(wsi, WSI_TOKEN_HOST, host, sizeof host);
    if (!view_access_host_ok(&server->access, host))
        return VIEW_WRONG_HOST;
    view_server_argument(wsi, "token", token, sizeof token);
    if (view_access_token_ok(&server->access, token))
        return VIEW_MAY;
    snprintf(name, sizeof name, "skylane_view_%u", server->port);
    cookie_of(wsi, name, token, sizeof token);
    return view_access_token_ok(&server->access, token) ? VIEW_MAY : VIEW_NO_TOKEN;
}

/* ---- the link ---- */

static void on_message(void *context, const struct view_message *message, const void *payload,
                       size_t payload_bytes, uint64_t arrived_ns)
{
    struct view_server *server = context;
    view_vehicle_take(&server->vehicle, message, payload, payload_bytes, arrived_ns);
    if (message->topic == VIEW_FRAME)
        view_http_wake(server);
    view_websocket_wake(server);
}

static void on_garbage(void *context, const char *sentence)
{
    struct view_server *server = context;
    view_vehicle_garbage(&server->vehicle, sentence);
}

static void on_overtaken(void *context, const struct view_message *message)
{
    struct view_server *server = context;
    view_vehicle_overtaken(&server->vehicle, message);
}

/* The state's own times belong to the pong in it. */
struct answers_of {
    struct view_server *server;
    uint64_t sent_ns, arrived_ns;
};

static void on_answer(void *context, const struct view_asker *asker, const char *name,
                      bool accepted, const char *reason, const char *text, double took_ms)
{
    view_websocket_answer(((struct answers_of *)context)->server, asker, name, accepted, reason,
                          text, took_ms);
}

static void on_pong(void *context, uint64_t asked_ns, uint64_t taken_ns)
{
    const struct answers_of *of = context;
    view_clock_add(&of->server->vehicle.clock, asked_ns, taken_ns, of->sent_ns, of->arrived_ns);
}

static void on_message_with_answers(void *context, const struct view_message *message,
                                    const void *payload, size_t payload_bytes, uint64_t arrived_ns)
{
    struct view_server *server = context;
    on_message(context, message, payload, payload_bytes, arrived_ns);
    if (message->topic != VIEW_STATE)
        return;
    struct answers_of of = {server, message->sent_ns, arrived_ns};
    view_actions_answers(&server->actions,
                         cJSON_GetObjectItemCaseSensitive(message->meta, "answers"), arrived_ns,
                         on_answer, on_pong, &of);
}

static void drain(struct view_server *server);

static void on_again(lws_sorted_usec_list_t *timer)
{
    drain(lws_container_of(timer, struct view_server, again));
}

static void drain(struct view_server *server)
{
    const struct view_link_events events = {.context = server,
                                            .message = on_message_with_answers,
                                            .garbage = on_garbage,
                                            .overtaken = on_overtaken};
    /* ZMQ's descriptor tells only of the first message after silence: what
     * was left over must be asked for, after the browsers had their turn. */
    if (view_link_drain(server->link, &events))
        lws_sul_schedule(server->context, 0, &server->again, on_again, 1);
}

static int link_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                         size_t size)
{
    (void)user, (void)in, (void)size;
    if (reason == LWS_CALLBACK_RAW_RX_FILE)
        drain(view_server_of(wsi));
    return 0;
}

/* ---- what is due ---- */

static void ask_by_itself(struct view_server *server, const char *name, const cJSON *args,
                          bool answered, uint64_t now_ns)
{
    int64_t offset_ns;
    uint64_t bound_ns;
    view_clock_offset(&server->vehicle.clock, now_ns, &offset_ns, &bound_ns);
    const struct view_action_request request = {
        .name = name,
        .args = args,
        .session = server->vehicle.session,
        .vehicle_now_ns = view_clock_to_vehicle(now_ns, offset_ns),
        .expires_ms = EXPIRES_MS,
        .answered = answered,
    };
    view_actions_send(&server->actions, &request, now_ns);
}

static void ping(struct view_server *server, uint64_t now_ns)
{
    cJSON *args = cJSON_CreateObject();
    cJSON_AddNumberToObject(args, "client_ns", (double)now_ns);
    ask_by_itself(server, "ping", args, true, now_ns);
    cJSON_Delete(args);
}

static void report(struct view_server *server, uint64_t now_ns)
{
    const double age_ms = view_vehicle_report_age(&server->vehicle);
    const double shown_hz = view_websocket_shown_hz(server);
    if (age_ms < 0.0)
        return;
    cJSON *args = cJSON_CreateObject();
    cJSON_AddStringToObject(args, "topic", server->pictures);
    cJSON_AddNumberToObject(args, "age_ms", age_ms);
    cJSON_AddNumberToObject(args, "shown_hz",
                            shown_hz > 0.0 ? shown_hz : server->vehicle.received_hz);
    ask_by_itself(server, "report", args, false, now_ns);
    cJSON_Delete(args);
}

static void on_tick(lws_sorted_usec_list_t *timer)
{
    struct view_server *server = lws_container_of(timer, struct view_server, tick);
    const uint64_t now_ns = sl_clock_now_ns();
    struct answers_of of = {server, 0, 0};
    drain(server);
    /* By what has come until now: a link that is just back must not be made anew. */
    view_link_tend(server->link, now_ns > server->vehicle.heard_ns + GIVE_UP_NS, now_ns);
    server->vehicle.refused = view_link_refused(server->link);
    if (view_vehicle_tick(&server->vehicle, now_ns) || now_ns >= server->told_ns) {
        view_websocket_tell_link(server, now_ns);
        server->told_ns = now_ns + TELL_NS;
    }
    if (server->vehicle.session[0] != '\0' && now_ns >= server->ping_ns) {
        ping(server, now_ns);
        /* The first four quickly, so that the age is known soon. */
        server->ping_ns = now_ns + (server->vehicle.clock.count < 4 ? FIRST_PING_NS : PING_NS);
    }
    if (server->vehicle.link == VIEW_LIVE && now_ns >= server->report_ns) {
        report(server, now_ns);
        server->report_ns = now_ns + REPORT_NS;
    }
    view_actions_tick(&server->actions, now_ns, on_answer, &of);
    lws_sul_schedule(server->context, 0, &server->tick, on_tick, TICK_US);
}

/* ---- libwebsockets ---- */

static int listen_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                           size_t size)
{
    (void)user, (void)in, (void)size;
    if (reason != LWS_CALLBACK_RAW_RX_FILE)
        return 0;
    struct view_server *server = view_server_of(wsi);
    const int connection = view_listen_accept(server->listen_fd);
    /* On failure it closes the connection: too many are open. */
    if (connection >= 0)
        lws_adopt_socket_vhost(server->vhost, connection);
    return 0;
}

static void log_error(int level, const char *line)
{
    (void)level;
    fprintf(stderr, "skylane view: %s", line);
}

static int adopt(struct view_server *server, int fd, const char *protocol, struct sl_error *err)
{
    /* A copy, since libwebsockets closes what it adopts. */
    lws_sock_file_fd_type of = {.filefd = dup(fd)};
    if (of.filefd < 0 || lws_adopt_descriptor_vhost(server->vhost, LWS_ADOPT_RAW_FILE_DESC, of,
                                                    protocol, NULL) == NULL)
        return sl_error_set(err, -EIO, "cannot wait for the %s", protocol);
    return 0;
}

static int open_lws(struct view_server *server, struct sl_error *err)
{
    static struct lws_protocols protocols[] = {
        {.name = "http", .callback = view_http_callback},
        {.name = VIEW_WEBSOCKET_PROTOCOL,
         .callback = view_websocket_callback,
         .rx_buffer_size = 4096},
        {.name = "link", .callback = link_callback},
        {.name = "listen", .callback = listen_callback},
        {0},
    };
    /* Browsers that vanished without a word are noticed within 10 s. */
    static const lws_retry_bo_t ALIVE = {.secs_since_valid_ping = 4, .secs_since_valid_hangup = 10};
    protocols[0].per_session_data_size = VIEW_REQUEST_BYTES;
    protocols[1].per_session_data_size = VIEW_BROWSER_BYTES;
    struct lws_context_creation_info info = {
        .port = CONTEXT_PORT_NO_LISTEN_SERVER,
        .protocols = protocols,
        .user = server,
        .gid = (gid_t)-1,
        .uid = (uid_t)-1,
        .options = LWS_SERVER_OPTION_EXPLICIT_VHOSTS | LWS_SERVER_OPTION_VALIDATE_UTF8,
        .fd_limit_per_thread = DESCRIPTORS_MAX,
        .timeout_secs = 10,
        .keepalive_timeout = 30,
        .max_http_header_data = 4096,
        .retry_and_idle_policy = &ALIVE,
        .server_string = "skylane-view",
        .vhost_name = "skylane-view",
    };
    lws_set_log_level(LLL_ERR, log_error);
    server->context = lws_create_context(&info);
    if (server->context != NULL)
        server->vhost = lws_create_vhost(server->context, &info);
    if (server->vhost == NULL)
        return sl_error_set(err, -EIO, "cannot start the web server (its lines stand above)");
    int rc = adopt(server, view_link_fd(server->link), "link", err);
    if (rc == 0)
        rc = adopt(server, server->listen_fd, "listen", err);
    return rc;
}

int view_server_open(struct view_server **out, const struct view_server_config *config,
                     struct sl_error *err)
{
    *out = NULL;
    struct view_server *server = calloc(1, sizeof *server);
    if (server == NULL) {
        close(config->listen_fd);
        return sl_error_set(err, -ENOMEM, "no memory to start");
    }
    server->access = config->access;
    server->port = config->port;
    server->listen_fd = config->listen_fd;
    view_vehicle_init(&server->vehicle, config->vehicle, sl_clock_now_ns());
    server->pictures = config->pictures;
    int rc = view_link_open(&server->link, config->vehicle, config->actions, config->pictures,
                            config->insecure, err);
    if (rc == 0)
        rc = view_actions_init(&server->actions, server->link, err);
    if (rc == 0)
        rc = open_lws(server, err);
    if (rc != 0) {
        view_server_close(server);
        return rc;
    }
    *out = server;
    return 0;
}

int view_server_run(struct view_server *server, struct sl_error *err)
{
    /* The tick also bounds how long a signal that came between the question
     * and the wait goes unseen. */
    lws_sul_schedule(server->context, 0, &server->tick, on_tick, 1);
    while (!sl_cli_stop_wanted())
        if (lws_service(server->context, 0) < 0)
            return sl_error_set(err, -EIO, "the web server stopped");
    return 0;
}

void view_server_close(struct view_server *server)
{
    if (server == NULL)
        return;
    if (server->context != NULL) {
        lws_sul_cancel(&server->tick);
        lws_sul_cancel(&server->again);
        lws_context_destroy(server->context);
    }
    close(server->listen_fd);
    view_actions_clear(&server->actions);
    view_link_close(server->link);
    view_vehicle_clear(&server->vehicle);
    free(server);
}
