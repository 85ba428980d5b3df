#include "tools/view/websocket.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "rt/clock.h"

#define QUEUE_MAX         32
#define TEXTS_IN_A_ROW    3 /* while a frame waits: a slow link must not starve it */
#define HEARD_MAX         8192
#define EXPIRES_MS        1000
#define EXPIRES_MAX_MS    60000
#define ACTIONS_PER_S_MAX 50
#define AGE_MAX_MS        600000.0

struct view_browser {
    struct lws *wsi;
    struct view_browser *next;
    uint64_t number;

    bool credit;
    uint64_t frame_number, state_number, trace_number, log_number; /* last sent */
    uint64_t detection_number;
    unsigned texts_in_a_row;
    uint64_t wanted_frame; /* detection of this frame goes before others */
    bool wants_detection;
    struct view_buffer *link;
    struct view_buffer *queue[QUEUE_MAX]; /* answers, pongs: in order */
    unsigned queue_first, queue_count;

    double shown_hz;
    uint64_t action_since_ns;
    unsigned actions; /* in the second that began then */
    size_t heard;
    char message[HEARD_MAX];
};

const size_t VIEW_BROWSER_BYTES = sizeof(struct view_browser);

static void enqueue(struct view_server *server, struct view_browser *browser,
                    struct view_buffer *text)
{
    if (text == NULL || browser->queue_count == QUEUE_MAX) {
        server->texts_dropped++;
        view_buffer_release(text);
        return;
    }
    browser->queue[(browser->queue_first + browser->queue_count++) % QUEUE_MAX] = text;
    lws_callback_on_writable(browser->wsi);
}

/* ---- to the browser ---- */

static bool frame_waits(const struct view_server *server, const struct view_browser *browser)
{
    return browser->credit && server->vehicle.frame.buffer != NULL &&
           browser->frame_number < server->vehicle.frame.number;
}

/* The next text for a browser, held for the caller, or NULL. Answers first:
 * somebody waits for them. */
static struct view_buffer *next_text(struct view_server *server, struct view_browser *browser)
{
    const struct view_vehicle *vehicle = &server->vehicle;
    if (browser->queue_count > 0) {
        struct view_buffer *text = browser->queue[browser->queue_first];
        browser->queue_first = (browser->queue_first + 1) % QUEUE_MAX;
        browser->queue_count--;
        return text;
    }
    if (browser->link != NULL) {
        struct view_buffer *text = browser->link;
        browser->link = NULL;
        return text;
    }
    if (browser->state_number < vehicle->state_number) {
        browser->state_number = vehicle->state_number;
        return view_buffer_hold(vehicle->state);
    }
    if (browser->wants_detection) {
        browser->wants_detection = false;
        const struct view_detection *own = view_vehicle_detection(vehicle, browser->wanted_frame);
        if (own != NULL && own->number < browser->detection_number)
            return view_buffer_hold(own->text);
    }
    if (browser->detection_number < vehicle->detection_number) {
        browser->detection_number = vehicle->detection_number;
        return view_buffer_hold(
            vehicle->detections[(vehicle->detection_number - 1) % VIEW_DETECTIONS].text);
    }
    if (browser->trace_number < vehicle->trace_number) {
        browser->trace_number = vehicle->trace_number;
        return view_buffer_hold(vehicle->trace);
    }
    if (browser->log_number < vehicle->log_number) {
        if (vehicle->log_number - browser->log_number > VIEW_LOGS)
            browser->log_number = vehicle->log_number - VIEW_LOGS;
        return view_buffer_hold(vehicle->logs[browser->log_number++ % VIEW_LOGS]);
    }
    return NULL;
}

static int send_buffer(struct lws *wsi, struct view_buffer *buffer, enum lws_write_protocol how)
{
    const size_t size = view_buffer_size(buffer);
    return lws_write(wsi, view_buffer_bytes(buffer), size, how) < (int)size ? -1 : 0;
}

static int send_frame(struct view_server *server, struct view_browser *browser)
{
    struct view_vehicle *vehicle = &server->vehicle;
    struct view_frame *frame = &vehicle->frame;
    if (browser->frame_number > 0)
        server->not_taken += frame->number - browser->frame_number - 1;
    browser->frame_number = frame->number;
    browser->credit = false;
    /* Its detection may have been passed over while the browser was busy. */
    browser->wanted_frame = frame->frame_id;
    browser->wants_detection = true;
    view_frame_stamp(frame, vehicle, sl_clock_now_ns());
    return send_buffer(browser->wsi, frame->buffer, LWS_WRITE_BINARY);
}

static int write_next(struct view_server *server, struct view_browser *browser)
{
    int rc = 0;
    const bool frame_first =
        browser->texts_in_a_row >= TEXTS_IN_A_ROW && frame_waits(server, browser);
    struct view_buffer *text = frame_first ? NULL : next_text(server, browser);
    if (text != NULL) {
        browser->texts_in_a_row++;
        rc = send_buffer(browser->wsi, text, LWS_WRITE_TEXT);
        view_buffer_release(text);
        /* One write for each call; there may be more. */
        lws_callback_on_writable(browser->wsi);
    } else if (frame_waits(server, browser)) {
        browser->texts_in_a_row = 0;
        rc = send_frame(server, browser);
        lws_callback_on_writable(browser->wsi);
    }
    return rc;
}

void view_websocket_wake(struct view_server *server)
{
    for (struct view_browser *b = server->browsers; b != NULL; b = b->next)
        lws_callback_on_writable(b->wsi);
}

void view_websocket_tell_link(struct view_server *server, uint64_t now_ns)
{
    struct view_buffer *text = view_vehicle_link_text(&server->vehicle, now_ns);
    for (struct view_browser *b = server->browsers; b != NULL; b = b->next) {
        view_buffer_replace(&b->link, view_buffer_hold(text));
        lws_callback_on_writable(b->wsi);
    }
    view_buffer_release(text);
}

double view_websocket_shown_hz(const struct view_server *server)
{
    double best = 0.0;
    for (const struct view_browser *b = server->browsers; b != NULL; b = b->next)
        best = fmax(best, b->shown_hz);
    return best;
}

/* ---- answers ---- */

static void answer_browser(struct view_server *server, struct view_browser *browser, const char *id,
                           const char *name, bool accepted, const char *reason, const char *text,
                           double took_ms)
{
    cJSON *answer = cJSON_CreateObject();
    cJSON_AddStringToObject(answer, "type", "answer");
    cJSON_AddStringToObject(answer, "id", id);
    cJSON_AddStringToObject(answer, "name", name);
    cJSON_AddBoolToObject(answer, "accepted", accepted);
    cJSON_AddStringToObject(answer, "reason", reason);
    cJSON_AddStringToObject(answer, "text", text);
    cJSON_AddNumberToObject(answer, "took_ms", took_ms);
    char *json = cJSON_PrintUnformatted(answer);
    cJSON_Delete(answer);
    if (json != NULL)
        enqueue(server, browser, view_buffer_print("%s", json));
    cJSON_free(json);
}

void view_websocket_answer(void *context, const struct view_asker *asker, const char *name,
                           bool accepted, const char *reason, const char *text, double took_ms)
{
    struct view_server *server = context;
    for (struct view_browser *b = server->browsers; b != NULL; b = b->next)
        if (b->number == asker->browser)
            answer_browser(server, b, asker->id, name, accepted, reason, text, took_ms);
}

/* ---- from the browser ---- */

static bool too_often(struct view_browser *browser, uint64_t now_ns)
{
    if (now_ns - browser->action_since_ns > SL_NS_PER_S) {
        browser->action_since_ns = now_ns;
        browser->actions = 0;
    }
    return ++browser->actions > ACTIONS_PER_S_MAX;
}

static void ask(struct view_server *server, struct view_browser *browser, const cJSON *message)
{
    const uint64_t now_ns = sl_clock_now_ns();
    const char *id = view_json_text(message, "id"), *name = view_json_text(message, "name");
    const cJSON *args = cJSON_GetObjectItemCaseSensitive(message, "args");
    uint64_t expires_ms = EXPIRES_MS;
    if (id == NULL || strlen(id) > VIEW_ASKER_ID_MAX || name == NULL || !view_action_name_ok(name))
        return;
    const bool stop = strcmp(name, "stop") == 0;
    const char *problem = NULL;
    if (args != NULL && !cJSON_IsObject(args))
        problem = "The page sent arguments that are not an object; reload it.";
    else if (strcmp(name, "ping") == 0 || strcmp(name, "report") == 0)
        problem = "The viewer does this by itself.";
    else if (!stop && server->vehicle.session[0] == '\0')
        problem = "No vehicle has been heard yet; look at its address and at the link.";
    else if (!stop && too_often(browser, now_ns))
        problem = "More than 50 actions in a second; wait a moment.";
    if (cJSON_GetObjectItemCaseSensitive(message, "expires_ms") != NULL &&
        (!view_json_u64(message, "expires_ms", &expires_ms) || expires_ms < 1 ||
         expires_ms > EXPIRES_MAX_MS))
        problem = "The page sent an expiry that cannot be; reload it.";
    if (problem != NULL) {
        answer_browser(server, browser, id, name, false, "viewer", problem, 0.0);
        return;
    }
    int64_t offset_ns;
    uint64_t bound_ns;
    view_clock_offset(&server->vehicle.clock, now_ns, &offset_ns, &bound_ns);
    struct view_action_request request = {
        .name = name,
        .args = args,
        .session = server->vehicle.session,
        .vehicle_now_ns = view_clock_to_vehicle(now_ns, offset_ns),
        .expires_ms = (uint32_t)expires_ms,
        .answered = true,
    };
    request.asker.browser = browser->number;
    memcpy(request.asker.id, id, strlen(id) + 1);
    if (view_actions_send(&server->actions, &request, now_ns) != 0)
        answer_browser(server, browser, id, name, false, "viewer",
                       "Too many actions wait for the vehicle's answer; wait a moment.", 0.0);
}

static double number_in(const cJSON *message, const char *key, double max)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(message, key);
    return cJSON_IsNumber(item) && item->valuedouble >= 0.0 && item->valuedouble <= max
               ? item->valuedouble
               : -1.0;
}

static void shown(struct view_server *server, struct view_browser *browser, const cJSON *message)
{
    const double age_ms = number_in(message, "age_ms", AGE_MAX_MS);
    const double hz = number_in(message, "hz", 1000.0);
    if (!browser->credit)
        server->vehicle.counts.shown++;
    browser->credit = true;
    if (hz >= 0.0)
        browser->shown_hz = hz;
    if (age_ms >= 0.0)
        sl_histogram_add(&server->vehicle.shown, (uint64_t)(age_ms * 1e6));
    lws_callback_on_writable(browser->wsi);
}

static void hear(struct view_server *server, struct view_browser *browser)
{
    const uint64_t now_ns = sl_clock_now_ns();
    if (!view_is_utf8(browser->message, browser->heard))
        return;
    cJSON *message = cJSON_ParseWithLength(browser->message, browser->heard);
    const char *type = view_json_text(message, "type");
    if (type == NULL)
        ;
    else if (strcmp(type, "shown") == 0)
        shown(server, browser, message);
    else if (strcmp(type, "action") == 0)
        ask(server, browser, message);
    else if (strcmp(type, "ping") == 0) {
        const cJSON *t = cJSON_GetObjectItemCaseSensitive(message, "t");
        if (cJSON_IsNumber(t) && isfinite(t->valuedouble))
            enqueue(server, browser,
                    view_buffer_print("{\"type\":\"pong\",\"t\":%.17g,\"viewer_ns\":%" PRIu64 "}",
                                      t->valuedouble, now_ns));
    }
    cJSON_Delete(message);
}

static int receive(struct view_server *server, struct view_browser *browser, const char *bytes,
                   size_t size)
{
    if (lws_frame_is_binary(browser->wsi) || size > sizeof browser->message - browser->heard) {
        static unsigned char reason[] = "a text of at most 8 KiB, please";
        lws_close_reason(browser->wsi, LWS_CLOSE_STATUS_MESSAGE_TOO_LARGE, reason,
                         sizeof reason - 1);
        return -1;
    }
    memcpy(browser->message + browser->heard, bytes, size);
    browser->heard += size;
    if (lws_is_final_fragment(browser->wsi) && lws_remaining_packet_payload(browser->wsi) == 0) {
        hear(server, browser);
        browser->heard = 0;
    }
    return 0;
}

/* ---- coming and going ---- */

static int come(struct view_server *server, struct view_browser *browser, struct lws *wsi)
{
    memset(browser, 0, sizeof *browser);
    browser->wsi = wsi;
    browser->number = ++server->browser_number;
    browser->credit = true;
    browser->next = server->browsers;
    server->browsers = browser;
    server->browser_count++;
    if (server->browser_count > VIEW_BROWSERS_MAX) {
        static unsigned char reason[] = "32 browsers watch already";
        lws_close_reason(wsi, LWS_CLOSE_STATUS_POLICY_VIOLATION, reason, sizeof reason - 1);
        return -1;
    }
    const uint64_t now_ns = sl_clock_now_ns();
    enqueue(server, browser,
            view_buffer_print("{\"type\":\"hello\",\"browser\":%" PRIu64
                              ",\"version\":\"" SL_VERSION
                              "\",\"client\":\"%s\",\"now_ns\":%" PRIu64 "}",
                              browser->number, server->actions.client, now_ns));
    view_buffer_replace(&browser->link, view_vehicle_link_text(&server->vehicle, now_ns));
    return 0;
}

static void go(struct view_server *server, struct view_browser *browser)
{
    for (struct view_browser **at = &server->browsers; *at != NULL; at = &(*at)->next) {
        if (*at != browser)
            continue;
        *at = browser->next;
        server->browser_count--;
        view_buffer_replace(&browser->link, NULL);
        for (; browser->queue_count > 0; browser->queue_count--) {
            view_buffer_release(browser->queue[browser->queue_first]);
            browser->queue_first = (browser->queue_first + 1) % QUEUE_MAX;
        }
        return;
    }
}

int view_websocket_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                            size_t size)
{
    struct view_server *server = view_server_of(wsi);
    struct view_browser *browser = user;
    switch (reason) {
    case LWS_CALLBACK_ESTABLISHED:
        return come(server, browser, wsi);
    case LWS_CALLBACK_RECEIVE:
        return receive(server, browser, in, size);
    case LWS_CALLBACK_SERVER_WRITEABLE:
        return write_next(server, browser);
    case LWS_CALLBACK_CLOSED:
        go(server, browser);
        return 0;
    default:
        return 0;
    }
}
