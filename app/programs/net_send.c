#include "net_send.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "app/config/convert.h"
#include "net/jpeg.h"
#include "net/json.h"
#include "net/pace.h"
#include "net/record_json.h"
#include "net/shrink.h"
#include "rt/bus.h"
#include "rt/clock.h"
#include "rt/records.h"

#define STATE_NS    (50 * SL_NS_PER_MS)
#define ALONE_NS    (100 * SL_NS_PER_MS) /* the same while nobody subscribes to anything */
#define TRACE_NS    (500 * SL_NS_PER_MS)
#define SETTINGS_NS SL_NS_PER_S
#define SILENT_NS   SL_NS_PER_S /* a vehicle that says nothing for so long is not there */

struct net_send {
    struct sl_settings settings; /* with what was changed since the start */
    struct sl_broadcast *broadcast;
    struct sl_gate *gate;
    const struct sl_guard *guard;
    struct net_figures *figures;
    struct sl_bus_reader *frames, *detections, *states, *odometry, *logs;
    struct sl_jpeg_encoder *encoder;
    uint8_t *raw; /* a frame to be sent as it is */
    size_t raw_bytes;
    struct sl_pace pace, preview_pace;
    struct sl_frame_info small; /* a copy for the preview */
    uint8_t *small_pixels;
    size_t small_bytes;
    char name[SL_SETTINGS_TEXT_MAX];

    struct sl_odometry motion;
    struct sl_state state;
    uint64_t state_seen_ns; /* 0: never */
    uint64_t permitted_until_ns;
    bool state_gone; /* its writer */
    uint64_t state_due_ns, trace_due_ns, settings_due_ns;

    uint64_t frames_sensed, frames_sent, previews_sent, dropped_rate, dropped_overrun, failed;
};

static int open_reader(struct net_send *s, struct sl_bus_reader **reader, const char *name,
                       uint32_t type, size_t bytes, struct sl_error *err)
{
    const struct sl_bus_reader_config config = {.name = name,
                                                .type = type,
                                                .min_bytes = bytes,
                                                .pollable = true,
                                                .writers = sl_settings_bus_writers(&s->settings)};
    return sl_bus_reader_open(reader, &config, err);
}

int net_send_open(struct net_send **send, const struct sl_settings *settings,
                  const struct net_send_parts *parts, struct sl_error *err)
{
    *send = NULL;
    struct net_send *s = calloc(1, sizeof *s);
    if (s == NULL)
        return sl_error_set(err, -ENOMEM, "no memory for the broadcast");
    s->settings = *settings;
    s->broadcast = parts->broadcast;
    s->gate = parts->gate;
    s->guard = parts->guard;
    s->figures = parts->figures;
    memcpy(s->name, settings->net.name, sizeof s->name);
    if (s->name[0] == '\0' && gethostname(s->name, sizeof s->name - 1) != 0)
        s->name[0] = '\0';
    struct sl_pace_config pace = {.rate_max_hz = settings->net.frame_rate_hz,
                                  .quality_max = (int)settings->net.quality};
    sl_pace_init(&s->pace, &pace);
    pace.rate_max_hz = settings->net.preview_rate_hz;
    sl_pace_init(&s->preview_pace, &pace);
    s->encoder = sl_jpeg_encoder_create();
    int rc = s->encoder != NULL ? 0 : sl_error_set(err, -ENOMEM, "no memory for pictures");
    if (rc == 0)
        rc = open_reader(s, &s->frames, settings->bus.camera, SL_RECORD_FRAME, 1, err);
    if (rc == 0)
        rc = open_reader(s, &s->detections, settings->bus.detection, SL_RECORD_DETECTION,
                         sizeof(struct sl_detection), err);
    if (rc == 0)
        rc = open_reader(s, &s->states, settings->bus.state, SL_RECORD_STATE,
                         sizeof(struct sl_state), err);
    if (rc == 0)
        rc = open_reader(s, &s->odometry, settings->bus.odometry, SL_RECORD_ODOMETRY,
                         sizeof(struct sl_odometry), err);
    if (rc == 0)
        rc = open_reader(s, &s->logs, settings->bus.log, SL_RECORD_LOG, sizeof(struct sl_log_line),
                         err);
    if (rc != 0) {
        net_send_close(s);
        return rc;
    }
    *send = s;
    return 0;
}

void net_send_close(struct net_send *send)
{
    if (send == NULL)
        return;
    sl_bus_reader_close(send->frames);
    sl_bus_reader_close(send->detections);
    sl_bus_reader_close(send->states);
    sl_bus_reader_close(send->odometry);
    sl_bus_reader_close(send->logs);
    sl_jpeg_encoder_destroy(send->encoder);
    free(send->raw);
    free(send->small_pixels);
    free(send);
}

static bool wanted(const struct net_send *s, enum sl_topic topic)
{
    return sl_broadcast_subscribers(s->broadcast, topic) > 0;
}

static bool full_frames_wanted(const struct net_send *s)
{
    return wanted(s, SL_TOPIC_FRAME) || wanted(s, SL_TOPIC_RAW);
}

static bool frames_wanted(const struct net_send *s)
{
    return full_frames_wanted(s) || wanted(s, SL_TOPIC_PREVIEW);
}

void net_send_fds(const struct net_send *send, int fds[NET_SEND_FDS])
{
    fds[0] = frames_wanted(send) ? sl_bus_reader_fd(send->frames) : -1;
    fds[1] = wanted(send, SL_TOPIC_DETECTION) ? sl_bus_reader_fd(send->detections) : -1;
}

/* ---- frames ---- */

/* `scale`: how many times smaller than the camera's frame it is. */
static cJSON *describe_frame(const struct sl_frame_info *info, uint32_t scale,
                             const struct sl_bus_view *view, const char *format,
                             const struct sl_pace *pace)
{
    cJSON *o = cJSON_CreateObject();
    sl_json_add_u64(o, "frame_id", info->frame_id);
    sl_json_add_u64(o, "exposed_ns", info->exposed_ns);
    sl_json_add_u64(o, "published_ns", view->published_ns);
    sl_json_add_u64(o, "encoded_ns", sl_clock_now_ns());
    cJSON_AddStringToObject(o, "format", format);
    cJSON_AddNumberToObject(o, "width_px", info->width_px);
    cJSON_AddNumberToObject(o, "height_px", info->height_px);
    cJSON_AddNumberToObject(o, "source_width_px", (double)info->width_px * scale);
    cJSON_AddNumberToObject(o, "source_height_px", (double)info->height_px * scale);
    sl_json_add_figure(o, "rate_hz", pace->rate_hz);
    return o;
}

static void send_jpeg(struct net_send *s, const struct sl_frame_info *info,
                      const struct sl_bus_view *view, const uint8_t *jpeg, size_t size)
{
    cJSON *o = describe_frame(info, 1, view, "jpeg", &s->pace);
    cJSON_AddNumberToObject(o, "quality", sl_pace_quality(&s->pace));
    s->frames_sent++;
    sl_broadcast_send(s->broadcast, SL_TOPIC_FRAME, o, jpeg, size);
}

static bool make_room(uint8_t **bytes, size_t *room, size_t wanted_bytes)
{
    if (*room >= wanted_bytes)
        return true;
    uint8_t *more = realloc(*bytes, wanted_bytes);
    if (more == NULL)
        return false;
    *bytes = more;
    *room = wanted_bytes;
    return true;
}

/* A copy, since whether the frame was whole is known only once it is given back. */
static bool copy_raw(struct net_send *s, const struct sl_frame_info *info, const void *pixels)
{
    if (!make_room(&s->raw, &s->raw_bytes, info->size_bytes))
        return false;
    memcpy(s->raw, pixels, info->size_bytes);
    return true;
}

static void send_raw(struct net_send *s, const struct sl_frame_info *info,
                     const struct sl_bus_view *view)
{
    char format[5];
    cJSON *o = describe_frame(info, 1, view, sl_frame_format_name(info->fourcc, format), &s->pace);
    cJSON *planes = cJSON_AddArrayToObject(o, "planes");
    for (uint32_t i = 0; i < info->plane_count && i < SL_FRAME_PLANES_MAX; i++) {
        cJSON *plane = cJSON_CreateObject();
        cJSON_AddNumberToObject(plane, "offset_bytes", info->planes[i].offset_bytes);
        cJSON_AddNumberToObject(plane, "stride_bytes", info->planes[i].stride_bytes);
        cJSON_AddItemToArray(planes, plane);
    }
    sl_broadcast_send(s->broadcast, SL_TOPIC_RAW, o, s->raw, info->size_bytes);
}

static int shrink(struct net_send *s, const struct sl_frame_info *info, const void *pixels,
                  struct sl_error *err)
{
    const uint32_t scale = (uint32_t)s->settings.net.preview_scale;
    const int rc = sl_shrink_layout(info, scale, &s->small, err);
    if (rc != 0)
        return rc;
    if (!make_room(&s->small_pixels, &s->small_bytes, s->small.size_bytes))
        return -ENOMEM;
    sl_shrink(info, pixels, scale, &s->small, s->small_pixels);
    return 0;
}

/* From the copy, when the frame was given back. */
static void send_preview(struct net_send *s, const struct sl_bus_view *view)
{
    struct sl_error err;
    const uint8_t *jpeg;
    size_t size;
    const int quality = sl_pace_quality(&s->preview_pace);
    if (sl_jpeg_encode(s->encoder, &s->small, s->small_pixels, quality, &jpeg, &size, &err) != 0) {
        s->failed++;
        return;
    }
    cJSON *o = describe_frame(&s->small, (uint32_t)s->settings.net.preview_scale, view, "jpeg",
                              &s->preview_pace);
    cJSON_AddNumberToObject(o, "quality", quality);
    s->previews_sent++;
    sl_broadcast_send(s->broadcast, SL_TOPIC_PREVIEW, o, jpeg, size);
}

/* What is to be made of a frame. */
struct uses {
    bool jpeg, raw, preview;
};

static struct uses uses_of(struct net_send *s, uint64_t now_ns)
{
    const bool due = full_frames_wanted(s) && sl_pace_allows(&s->pace, now_ns);
    s->dropped_rate += full_frames_wanted(s) && !due;
    return (struct uses){
        .jpeg = due && wanted(s, SL_TOPIC_FRAME),
        .raw = due && wanted(s, SL_TOPIC_RAW) && s->settings.net.raw,
        .preview = wanted(s, SL_TOPIC_PREVIEW) && sl_pace_allows(&s->preview_pace, now_ns),
    };
}

/* The frame is held while it is encoded; if the camera had to have its slot back
 * meanwhile, what was made of it is thrown away. */
static void send_frame(struct net_send *s, struct sl_bus_view *view, const struct uses *uses)
{
    struct sl_frame_info info;
    struct sl_error err;
    memcpy(&info, view->meta, sizeof info);
    const uint8_t *jpeg = NULL;
    size_t size = 0;
    int rc = sl_frame_check(&info, view->size, &err);
    if (rc == 0 && uses->jpeg)
        rc = sl_jpeg_encode(s->encoder, &info, view->data, sl_pace_quality(&s->pace), &jpeg, &size,
                            &err);
    if (rc == 0 && uses->preview)
        rc = shrink(s, &info, view->data, &err);
    const bool preview = rc == 0 && uses->preview;
    const bool raw = rc == 0 && uses->raw && copy_raw(s, &info, view->data);
    if (sl_bus_release(s->frames, view) != 0) {
        s->dropped_overrun++;
        return;
    }
    s->failed += rc != 0;
    if (jpeg != NULL)
        send_jpeg(s, &info, view, jpeg, size);
    if (raw)
        send_raw(s, &info, view);
    if (preview)
        send_preview(s, view); /* last: the encoder's bytes are the frame's until then */
}

static void send_frames(struct net_send *s, uint64_t now_ns)
{
    struct sl_bus_view view;
    while (sl_bus_acquire_newest(s->frames, &view) == 0) {
        s->frames_sensed += 1 + view.missed;
        if (frames_wanted(s))
            net_figures_access(s->figures, sl_clock_now_ns() - view.published_ns);
        const struct uses uses = uses_of(s, now_ns);
        if (uses.jpeg || uses.raw || uses.preview)
            send_frame(s, &view, &uses);
        else
            sl_bus_release(s->frames, &view);
    }
}

/* What the control process tells people. Read to its end also when nobody
 * listens, so that nothing old is told later. */
static void send_log_lines(struct net_send *s)
{
    struct sl_log_line line;
    while (sl_bus_read_next(s->logs, &line, sizeof line, NULL) == 0)
        sl_broadcast_send(s->broadcast, SL_TOPIC_LOG,
                          wanted(s, SL_TOPIC_LOG)
                              ? sl_record_json(SL_RECORD_LOG, &line, sizeof line, NULL)
                              : NULL,
                          NULL, 0);
}

static void send_detections(struct net_send *s)
{
    struct sl_detection lane;
    while (sl_bus_read_newest(s->detections, &lane, sizeof lane, NULL) == 0)
        sl_broadcast_send(s->broadcast, SL_TOPIC_DETECTION,
                          sl_record_json(SL_RECORD_DETECTION, &lane, sizeof lane, NULL), NULL, 0);
}

/* ---- state ---- */

static void add_answers(const struct net_send *s, cJSON *to)
{
    struct sl_gate_answer answers[SL_GATE_ANSWERS];
    const int count = sl_gate_answers(s->gate, answers);
    cJSON *array = cJSON_AddArrayToObject(to, "answers");
    for (int i = 0; i < count; i++) {
        cJSON *o = cJSON_CreateObject();
        cJSON_AddStringToObject(o, "id", answers[i].id);
        cJSON_AddStringToObject(o, "client", answers[i].client);
        cJSON_AddStringToObject(o, "name", sl_ask_text(answers[i].name));
        cJSON_AddBoolToObject(o, "accepted", answers[i].accepted);
        cJSON_AddStringToObject(o, "reason", answers[i].reason);
        cJSON_AddStringToObject(o, "text", answers[i].text);
        sl_json_add_u64(o, "taken_ns", answers[i].taken_ns);
        if (answers[i].name == SL_ASK_PING)
            sl_json_add_u64(o, "echo_ns", answers[i].echo_ns);
        cJSON_AddItemToArray(array, o);
    }
}

static void add_sends(const struct net_send *s, cJSON *to)
{
    cJSON *o = cJSON_AddObjectToObject(to, "sends");
    sl_json_add_u64(o, "frames_sensed", s->frames_sensed);
    sl_json_add_u64(o, "frames_sent", s->frames_sent);
    cJSON *dropped = cJSON_AddObjectToObject(o, "dropped");
    sl_json_add_u64(dropped, "rate", s->dropped_rate);
    sl_json_add_u64(dropped, "overrun", s->dropped_overrun);
    sl_json_add_u64(dropped, "failed", s->failed);
    sl_json_add_figure(o, "rate_hz", s->pace.rate_hz);
    cJSON_AddNumberToObject(o, "quality", sl_pace_quality(&s->pace));
    cJSON *preview = cJSON_AddObjectToObject(o, "preview");
    sl_json_add_u64(preview, "sent", s->previews_sent);
    sl_json_add_figure(preview, "rate_hz", s->preview_pace.rate_hz);
    cJSON_AddNumberToObject(preview, "quality", sl_pace_quality(&s->preview_pace));
    cJSON *subscribers = cJSON_AddObjectToObject(o, "subscribers");
    for (int i = 0; i < SL_TOPIC_COUNT; i++)
        sl_json_add_u64(subscribers, sl_topic_name((enum sl_topic)i),
                        sl_broadcast_subscribers(s->broadcast, (enum sl_topic)i));
    const struct sl_gate_counts *counts = sl_gate_counts(s->gate);
    cJSON *refused = cJSON_AddObjectToObject(o, "refused");
    sl_json_add_u64(refused, "garbage", counts->garbage);
    sl_json_add_u64(refused, "oversize", counts->oversize);
    sl_json_add_u64(refused, "role", counts->role);
    sl_json_add_u64(refused, "not_driver", counts->not_driver);
    sl_json_add_u64(refused, "expired", counts->expired);
    sl_json_add_u64(refused, "replayed", counts->replayed);
    sl_json_add_u64(refused, "unknown", counts->unknown);
    struct sl_guard_counts door;
    sl_guard_counts(s->guard, &door);
    sl_json_add_u64(refused, "denied", door.denied);
    sl_json_add_u64(refused, "revoked", door.revoked);
}

static void add_lease(const struct net_send *s, cJSON *to, uint64_t now_ns)
{
    cJSON *o = cJSON_AddObjectToObject(to, "lease");
    const double left_ms = s->permitted_until_ns > now_ns
                               ? (double)(s->permitted_until_ns - now_ns) / (double)SL_NS_PER_MS
                               : 0;
    sl_json_add_figure(o, "demanded_ms", s->settings.safety.lease_ms);
    sl_json_add_figure(o, "left_ms", left_ms);
}

static bool is_connected(const struct net_send *s, uint64_t now_ns)
{
    return s->state_seen_ns != 0 && now_ns - s->state_seen_ns < SILENT_NS;
}

static cJSON *describe_state(struct net_send *s, uint64_t now_ns)
{
    cJSON *o = s->state_seen_ns != 0
                   ? sl_record_json(SL_RECORD_STATE, &s->state, sizeof s->state, NULL)
                   : cJSON_CreateObject();
    cJSON_AddStringToObject(o, "vehicle", s->name);
    cJSON_AddBoolToObject(o, "insecure", sl_guard_insecure(s->guard));
    cJSON_AddBoolToObject(o, "connected", is_connected(s, now_ns));
    if (s->state_seen_ns != 0)
        cJSON_AddStringToObject(o, "stop_text", sl_reason_text(s->state.stop_reason));
    sl_bus_read_newest(s->odometry, &s->motion, sizeof s->motion, NULL);
    if ((s->motion.valid & SL_ODOMETRY_STEERING) != 0 && now_ns < s->motion.measured_ns + SILENT_NS)
        sl_json_add_float(o, "steering_measured_rad", s->motion.steering_rad);
    else
        cJSON_AddNullToObject(o, "steering_measured_rad");
    const char *driver = sl_gate_driver(s->gate, now_ns);
    cJSON_AddItemToObject(o, "driver",
                          driver != NULL ? cJSON_CreateString(driver) : cJSON_CreateNull());
    add_lease(s, o, now_ns);
    add_answers(s, o);
    add_sends(s, o);
    net_figures_add(s->figures, o);
    if (now_ns >= s->settings_due_ns) {
        cJSON_AddItemToObject(o, "settings", sl_settings_live_json(&s->settings));
        s->settings_due_ns = now_ns + SETTINGS_NS;
    }
    return o;
}

static void read_states(struct net_send *s, uint64_t now_ns)
{
    int rc;
    while ((rc = sl_bus_read_newest(s->states, &s->state, sizeof s->state, NULL)) == 0)
        s->state_seen_ns = now_ns;
    if (rc == -EPIPE && !s->state_gone && s->state_seen_ns != 0)
        net_figures_gone(s->figures);
    s->state_gone = rc == -EPIPE;
    net_figures_state(s->figures, s->state_seen_ns != 0 ? &s->state : NULL,
                      is_connected(s, now_ns));
}

static bool watched(const struct net_send *s)
{
    for (int i = 0; i < SL_TOPIC_COUNT; i++)
        if (wanted(s, (enum sl_topic)i))
            return true;
    return false;
}

void net_send_state(struct net_send *send, uint64_t now_ns)
{
    read_states(send, now_ns);
    sl_broadcast_send(send->broadcast, SL_TOPIC_STATE,
                      wanted(send, SL_TOPIC_STATE) ? describe_state(send, now_ns) : NULL, NULL, 0);
    send->state_due_ns = now_ns + (watched(send) ? STATE_NS : ALONE_NS);
}

static void send_trace(struct net_send *s, uint64_t now_ns)
{
    s->trace_due_ns = now_ns + TRACE_NS;
    if (!wanted(s, SL_TOPIC_TRACE) || s->state_seen_ns == 0)
        return;
    cJSON *state = sl_record_json(SL_RECORD_STATE, &s->state, sizeof s->state, NULL);
    cJSON *o = cJSON_CreateObject();
    cJSON_AddItemToObject(o, "stages", cJSON_DetachItemFromObject(state, "stages"));
    cJSON_Delete(state);
    sl_broadcast_send(s->broadcast, SL_TOPIC_TRACE, o, NULL, 0);
}

static void look_at_figures(struct net_send *s, uint64_t now_ns)
{
    const struct net_figures_drops drops = {
        .rate = s->dropped_rate, .overrun = s->dropped_overrun, .failed = s->failed};
    struct sl_alert_event events[SL_ALERTS];
    const int count = net_figures_look(s->figures, &drops, now_ns, events);
    for (int i = 0; i < count; i++) {
        const char *level = sl_alert_log_level(events[i].level);
        fprintf(stderr, "%s: %s\n", level, events[i].text);
        net_send_log(s, level, events[i].text, now_ns);
    }
}

void net_send_news(struct net_send *send, uint64_t now_ns)
{
    send_frames(send, now_ns);
    if (wanted(send, SL_TOPIC_DETECTION))
        send_detections(send);
    send_log_lines(send);
    if (now_ns >= send->state_due_ns)
        net_send_state(send, now_ns);
    if (now_ns >= send->trace_due_ns)
        send_trace(send, now_ns);
    look_at_figures(send, now_ns);
}

uint64_t net_send_due_ns(const struct net_send *send)
{
    return send->state_due_ns < send->trace_due_ns ? send->state_due_ns : send->trace_due_ns;
}

void net_send_report(struct net_send *send, const struct sl_ask *ask)
{
    struct sl_pace *pace = NULL;
    if (strcmp(ask->topic, sl_topic_name(SL_TOPIC_FRAME)) == 0)
        pace = &send->pace;
    else if (strcmp(ask->topic, sl_topic_name(SL_TOPIC_PREVIEW)) == 0)
        pace = &send->preview_pace;
    if (pace == NULL)
        return;
    sl_pace_report(pace, ask->age_ms);
    net_figures_report(send->figures, ask->age_ms, sl_clock_now_ns());
}

void net_send_log(struct net_send *send, const char *level, const char *text, uint64_t now_ns)
{
    cJSON *o = cJSON_CreateObject();
    sl_json_add_u64(o, "at_ns", now_ns);
    cJSON_AddStringToObject(o, "level", level);
    cJSON_AddStringToObject(o, "text", text);
    sl_broadcast_send(send->broadcast, SL_TOPIC_LOG, o, NULL, 0);
}

void net_send_lease(struct net_send *send, uint64_t until_ns)
{
    send->permitted_until_ns = until_ns;
}

void net_send_setting(struct net_send *send, const char *setting)
{
    struct sl_error err;
    if (sl_settings_set_live(&send->settings, setting, &err) == 0)
        send->settings_due_ns = 0;
}

void net_send_summary(const struct net_send *send, FILE *to)
{
    const struct sl_gate_counts *counts = sl_gate_counts(send->gate);
    struct sl_guard_counts door;
    sl_guard_counts(send->guard, &door);
    fprintf(to,
            "frames: %" PRIu64 " sent; actions: %" PRIu64 " no actions, %" PRIu64
            " too large, %" PRIu64 " expired, %" PRIu64 " sent again; connections without a key: "
            "%" PRIu64 "\n",
            send->frames_sent, counts->garbage, counts->oversize, counts->expired, counts->replayed,
            door.denied);
}
