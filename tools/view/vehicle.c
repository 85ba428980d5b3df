#include "tools/view/vehicle.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "rt/clock.h"

#define FRAME_MAGIC 0x46594b53u          /* "SKYF" */
#define SILENCE_NS  (300 * SL_NS_PER_MS) /* six states: older pictures are not live either */
#define FIGURES_NS  (3 * SL_NS_PER_S)    /* they come once a second */
#define JSON_MAX    131072               /* of a text for browsers: metadata, printed anew */

static const char *const LINK_STATES[] = {
    [VIEW_CONNECTING] = "connecting",
    [VIEW_LIVE] = "live",
    [VIEW_NO_VEHICLE] = "no_vehicle",
    [VIEW_RECONNECTING] = "reconnecting",
};

const char *view_link_state_name(enum view_link_state state)
{
    return LINK_STATES[state];
}

void view_vehicle_init(struct view_vehicle *vehicle, const char *endpoint, uint64_t now_ns)
{
    memset(vehicle, 0, sizeof *vehicle);
    vehicle->endpoint = endpoint;
    vehicle->started_ns = vehicle->since_ns = vehicle->rate_since_ns = now_ns;
}

static void clear_detections(struct view_vehicle *vehicle)
{
    for (size_t i = 0; i < VIEW_DETECTIONS; i++) {
        view_buffer_release(vehicle->detections[i].text);
        vehicle->detections[i] = (struct view_detection){0};
    }
}

void view_vehicle_clear(struct view_vehicle *vehicle)
{
    clear_detections(vehicle);
    view_buffer_replace(&vehicle->frame.buffer, NULL);
    view_buffer_replace(&vehicle->state, NULL);
    view_buffer_replace(&vehicle->trace, NULL);
    for (size_t i = 0; i < VIEW_LOGS; i++)
        view_buffer_replace(&vehicle->logs[i], NULL);
}

/* ---- little-endian, whatever the machine ---- */

static void put32(unsigned char *to, uint32_t value)
{
    for (unsigned i = 0; i < 4; i++)
        to[i] = (unsigned char)(value >> (8 * i));
}

static void put64(unsigned char *to, uint64_t value)
{
    put32(to, (uint32_t)value);
    put32(to + 4, (uint32_t)(value >> 32));
}

void view_frame_stamp(struct view_frame *frame, const struct view_vehicle *vehicle, uint64_t now_ns)
{
    unsigned char *header = view_buffer_bytes(frame->buffer);
    int64_t offset_ns;
    uint64_t bound_ns;
    const bool known = view_clock_offset(&vehicle->clock, now_ns, &offset_ns, &bound_ns);
    const uint64_t bound_us = bound_ns / 1000;
    put64(header + 16, known ? view_clock_to_viewer(frame->exposed_ns, offset_ns) : 0);
    put64(header + 32, now_ns);
    put32(header + 40, !known || bound_us >= UINT32_MAX ? UINT32_MAX : (uint32_t)bound_us);
}

/* ---- topics ---- */

static void take_frame(struct view_vehicle *vehicle, const struct view_message *m,
                       const void *payload, size_t size, uint64_t arrived_ns)
{
    struct view_buffer *buffer = view_buffer_create(VIEW_FRAME_HEADER + size);
    if (buffer == NULL)
        return;
    unsigned char *header = view_buffer_bytes(buffer);
    memset(header, 0, VIEW_FRAME_HEADER);
    put32(header, FRAME_MAGIC);
    header[4] = 1;
    header[6] = VIEW_FRAME_HEADER;
    put64(header + 8, m->frame_id);
    put64(header + 24, arrived_ns);
    put32(header + 44, m->width_px);
    put32(header + 48, m->height_px);
    put32(header + 52, m->source_width_px);
    put32(header + 56, m->source_height_px);
    memcpy(header + VIEW_FRAME_HEADER, payload, size);
    view_buffer_replace(&vehicle->frame.buffer, buffer);
    vehicle->frame.number++;
    vehicle->frame.frame_id = m->frame_id;
    vehicle->frame.arrived_ns = arrived_ns;
    vehicle->frame.exposed_ns = m->exposed_ns;
    vehicle->counts.bytes += size;
    vehicle->rate_count++;

    int64_t offset_ns;
    uint64_t bound_ns;
    if (!view_clock_offset(&vehicle->clock, arrived_ns, &offset_ns, &bound_ns))
        return;
    const uint64_t exposed_ns = view_clock_to_viewer(m->exposed_ns, offset_ns);
    const uint64_t age_ns = arrived_ns > exposed_ns ? arrived_ns - exposed_ns : 0;
    sl_histogram_add(&vehicle->age, age_ns);
    vehicle->age_ms_sum += (double)age_ns / 1e6;
    vehicle->age_ms_count++;
}

/* A message wrapped for browsers: {"type":TYPE, "exposed_ns":..., TYPE:{...}}. */
static struct view_buffer *wrap(const struct view_vehicle *vehicle, const struct view_message *m,
                                uint64_t arrived_ns)
{
    int64_t offset_ns;
    uint64_t bound_ns;
    const char *type = view_topic_name(m->topic);
    char *text = cJSON_PrintUnformatted(m->meta);
    if (text == NULL || strlen(text) > JSON_MAX) {
        cJSON_free(text);
        return NULL;
    }
    const bool known = view_clock_offset(&vehicle->clock, arrived_ns, &offset_ns, &bound_ns);
    struct view_buffer *buffer = view_buffer_print(
        "{\"type\":\"%s\",\"arrived_ns\":%" PRIu64 ",\"sent_viewer_ns\":%" PRIu64 ",\"%s\":%s}",
        type, arrived_ns, known ? view_clock_to_viewer(m->sent_ns, offset_ns) : arrived_ns, type,
        text);
    cJSON_free(text);
    return buffer;
}

static void take_detection(struct view_vehicle *vehicle, const struct view_message *m,
                           struct view_buffer *text)
{
    struct view_detection *place =
        &vehicle->detections[vehicle->detection_number++ % VIEW_DETECTIONS];
    view_buffer_replace(&place->text, view_buffer_hold(text));
    place->number = vehicle->detection_number;
    place->frame_id = m->frame_id;
}

static void take_state(struct view_vehicle *vehicle, const struct view_message *m,
                       struct view_buffer *text, uint64_t arrived_ns)
{
    const char *name = view_json_text(m->meta, "vehicle");
    /* A name that is too long is not cut: half a character is not UTF-8. */
    if (name == NULL || strlen(name) >= sizeof vehicle->name)
        name = "";
    snprintf(vehicle->name, sizeof vehicle->name, "%s", name);
    vehicle->connected = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(m->meta, "connected"));
    vehicle->insecure = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(m->meta, "insecure"));
    const cJSON *figures = cJSON_GetObjectItemCaseSensitive(m->meta, "figures");
    if (cJSON_IsObject(figures)) {
        sl_figures_read(&vehicle->figures, figures);
        vehicle->figures_ns = arrived_ns;
    }
    vehicle->state_ns = arrived_ns;
    vehicle->state_number++;
    view_buffer_replace(&vehicle->state, view_buffer_hold(text));
}

static void take_trace(struct view_vehicle *vehicle, struct view_buffer *text)
{
    vehicle->trace_number++;
    view_buffer_replace(&vehicle->trace, view_buffer_hold(text));
}

static void begin_session(struct view_vehicle *vehicle, const char *session)
{
    /* The vehicle, or its part of the network, began anew: its clock may be
     * another boot's, and its counts begin at 1. */
    memcpy(vehicle->session, session, sizeof vehicle->session);
    memset(vehicle->last_seq, 0, sizeof vehicle->last_seq);
    view_clock_reset(&vehicle->clock);
    clear_detections(vehicle);
    vehicle->figures_ns = 0;
    vehicle->counts.sessions++;
}

static void count_seq(struct view_vehicle *vehicle, const struct view_message *m)
{
    uint64_t *last = &vehicle->last_seq[m->topic];
    if (*last > 0 && m->seq > *last + 1)
        vehicle->counts.lost[m->topic] += m->seq - *last - 1;
    *last = m->seq;
    vehicle->counts.received[m->topic]++;
}

void view_vehicle_take(struct view_vehicle *vehicle, const struct view_message *m,
                       const void *payload, size_t payload_bytes, uint64_t arrived_ns)
{
    if (strcmp(vehicle->session, m->session) != 0)
        begin_session(vehicle, m->session);
    vehicle->heard_ns = arrived_ns;
    view_clock_guess(&vehicle->clock, m->sent_ns, arrived_ns);
    count_seq(vehicle, m);
    if (m->topic == VIEW_FRAME) {
        take_frame(vehicle, m, payload, payload_bytes, arrived_ns);
        return;
    }
    struct view_buffer *text = wrap(vehicle, m, arrived_ns);
    if (text == NULL)
        return;
    if (m->topic == VIEW_DETECTION)
        take_detection(vehicle, m, text);
    else if (m->topic == VIEW_STATE)
        take_state(vehicle, m, text, arrived_ns);
    else if (m->topic == VIEW_TRACE)
        take_trace(vehicle, text);
    else
        view_buffer_replace(&vehicle->logs[vehicle->log_number++ % VIEW_LOGS],
                            view_buffer_hold(text));
    view_buffer_release(text);
}

void view_vehicle_overtaken(struct view_vehicle *vehicle, const struct view_message *message)
{
    if (strcmp(vehicle->session, message->session) != 0)
        begin_session(vehicle, message->session);
    count_seq(vehicle, message);
    vehicle->counts.overtaken++;
    vehicle->rate_count++;
}

void view_vehicle_garbage(struct view_vehicle *vehicle, const char *sentence)
{
    vehicle->counts.garbage++;
    snprintf(vehicle->garbage_text, sizeof vehicle->garbage_text, "%s", sentence);
}

bool view_vehicle_tick(struct view_vehicle *vehicle, uint64_t now_ns)
{
    enum view_link_state state = VIEW_CONNECTING;
    if (now_ns - vehicle->rate_since_ns >= SL_NS_PER_S) {
        vehicle->received_hz =
            vehicle->rate_count / ((double)(now_ns - vehicle->rate_since_ns) / (double)SL_NS_PER_S);
        vehicle->rate_count = 0;
        vehicle->rate_since_ns = now_ns;
    }
    if (vehicle->heard_ns != 0) {
        const bool silent = now_ns > vehicle->heard_ns && now_ns - vehicle->heard_ns > SILENCE_NS;
        state = silent ? VIEW_RECONNECTING : vehicle->connected ? VIEW_LIVE : VIEW_NO_VEHICLE;
    }
    if (state == vehicle->link)
        return false;
    vehicle->link = state;
    vehicle->since_ns = state == VIEW_RECONNECTING ? vehicle->heard_ns : now_ns;
    return true;
}

/* The text as a JSON string with its quotes; the caller frees it with
 * cJSON_free(). NULL without memory. */
static char *quoted(const char *text)
{
    cJSON *item = cJSON_CreateString(text);
    char *out = item == NULL ? NULL : cJSON_PrintUnformatted(item);
    cJSON_Delete(item);
    return out;
}

struct view_buffer *view_vehicle_link_text(const struct view_vehicle *vehicle, uint64_t now_ns)
{
    int64_t offset_ns;
    uint64_t bound_ns;
    const bool known = view_clock_offset(&vehicle->clock, now_ns, &offset_ns, &bound_ns);
    const struct view_counts *c = &vehicle->counts;
    char *endpoint = quoted(vehicle->endpoint), *name = quoted(vehicle->name),
         *garbage = quoted(vehicle->garbage_text);
    struct view_buffer *text = NULL;
    if (endpoint != NULL && name != NULL && garbage != NULL)
        text = view_buffer_print(
            "{\"type\":\"link\",\"state\":\"%s\",\"since_ns\":%" PRIu64 ",\"now_ns\":%" PRIu64
            ",\"endpoint\":%s,\"vehicle\":%s,\"insecure\":%s,\"refused\":%s,\"clock\":{\"known\":%"
            "s,"
            "\"offset_ns\":%" PRId64 ",\"bound_us\":%" PRIu64 "},\"received_hz\":%.2f,"
            "\"frames\":%" PRIu64 ",\"dropped\":{\"lost\":%" PRIu64 ",\"overtaken\":%" PRIu64
            "},\"garbage\":%" PRIu64 ",\"garbage_text\":%s,\"sessions\":%" PRIu64 "}",
            LINK_STATES[vehicle->link], vehicle->since_ns, now_ns, endpoint, name,
            vehicle->insecure ? "true" : "false", vehicle->refused ? "true" : "false",
            known ? "true" : "false", offset_ns, known ? bound_ns / 1000 : 0, vehicle->received_hz,
            c->received[VIEW_FRAME], c->lost[VIEW_FRAME], c->overtaken, c->garbage, garbage,
            c->sessions);
    cJSON_free(endpoint);
    cJSON_free(name);
    cJSON_free(garbage);
    return text;
}

double view_vehicle_report_age(struct view_vehicle *vehicle)
{
    const double age =
        vehicle->age_ms_count == 0 ? -1.0 : vehicle->age_ms_sum / vehicle->age_ms_count;
    vehicle->age_ms_sum = 0.0;
    vehicle->age_ms_count = 0;
    return age;
}

const struct sl_figures *view_vehicle_figures(const struct view_vehicle *vehicle, uint64_t now_ns)
{
    const bool fresh = vehicle->figures_ns != 0 && now_ns < vehicle->figures_ns + FIGURES_NS;
    return fresh ? &vehicle->figures : NULL;
}

const struct view_detection *view_vehicle_detection(const struct view_vehicle *vehicle,
                                                    uint64_t frame_id)
{
    for (size_t i = 0; i < VIEW_DETECTIONS; i++)
        if (vehicle->detections[i].text != NULL && vehicle->detections[i].frame_id == frame_id)
            return &vehicle->detections[i];
    return NULL;
}
