#include "net/record_json.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "net/json.h"
#include "rt/action.h"
#include "rt/records.h"

/* A record comes from another process: a code may be one that has no word. */
static void add_word(cJSON *to, const char *key, uint32_t code, const char *word)
{
    if (word != NULL)
        cJSON_AddStringToObject(to, key, word);
    else
        sl_json_add_u64(to, key, code);
}

static void add_mode(cJSON *to, const char *key, uint32_t mode)
{
    add_word(to, key, mode, mode < SL_MODE_COUNT ? sl_mode_name(mode) : NULL);
}

static void add_reason(cJSON *to, const char *key, uint32_t reason)
{
    add_word(to, key, reason, reason < SL_REASON_COUNT ? sl_reason_name(reason) : NULL);
}

static void add_lane_state(cJSON *to, const char *key, uint32_t state)
{
    static const char *const WORDS[] = {
        [SL_LANE_LOST] = "lost",
        [SL_LANE_ONE_LINE] = "one_line",
        [SL_LANE_TWO_LINES] = "two_lines",
    };
    add_word(to, key, state, state < sizeof WORDS / sizeof WORDS[0] ? WORDS[state] : NULL);
}

/* An array with the word of each bit that is set; words[i] is bit i's. */
static void add_bits(cJSON *to, const char *key, uint32_t bits, const char *const *words,
                     unsigned count)
{
    cJSON *array = cJSON_AddArrayToObject(to, key);
    for (unsigned i = 0; i < count; i++) {
        if ((bits >> i & 1) != 0)
            cJSON_AddItemToArray(array, cJSON_CreateString(words[i]));
    }
}

static void add_frame(cJSON *to, const void *data)
{
    const struct sl_frame_info *f = data;
    char name[5];
    sl_json_add_u64(to, "frame_id", f->frame_id);
    sl_json_add_u64(to, "exposed_ns", f->exposed_ns);
    sl_json_add_u64(to, "received_ns", f->received_ns);
    sl_json_add_u64(to, "dropped", f->dropped);
    cJSON_AddStringToObject(to, "fourcc", sl_frame_format_name(f->fourcc, name));
    sl_json_add_u64(to, "width_px", f->width_px);
    sl_json_add_u64(to, "height_px", f->height_px);
    sl_json_add_u64(to, "size_bytes", f->size_bytes);
    cJSON *planes = cJSON_AddArrayToObject(to, "planes");
    for (uint32_t i = 0; i < f->plane_count && i < SL_FRAME_PLANES_MAX; i++) {
        cJSON *plane = cJSON_CreateObject();
        sl_json_add_u64(plane, "offset_bytes", f->planes[i].offset_bytes);
        sl_json_add_u64(plane, "stride_bytes", f->planes[i].stride_bytes);
        cJSON_AddItemToArray(planes, plane);
    }
}

static void add_line(cJSON *to, const char *key, const struct sl_lane_line *line)
{
    cJSON *o = cJSON_AddObjectToObject(to, key);
    cJSON_AddBoolToObject(o, "seen", line->seen != 0);
    sl_json_add_float(o, "confidence", line->confidence);
    sl_json_add_float(o, "x_min_m", line->x_min_m);
    sl_json_add_float(o, "x_max_m", line->x_max_m);
    cJSON *poly = cJSON_AddArrayToObject(o, "poly");
    for (int i = 0; i < 4; i++)
        cJSON_AddItemToArray(poly, sl_json_float(line->poly[i]));
    cJSON *points = cJSON_AddArrayToObject(o, "points_px");
    for (uint32_t i = 0; i < line->point_count && i < SL_LANE_POINTS_MAX; i++) {
        cJSON *point = cJSON_CreateArray();
        cJSON_AddItemToArray(point, sl_json_float(line->points_px[i][0]));
        cJSON_AddItemToArray(point, sl_json_float(line->points_px[i][1]));
        cJSON_AddItemToArray(points, point);
    }
}

static void add_detection(cJSON *to, const void *data)
{
    const struct sl_detection *d = data;
    sl_json_add_u64(to, "frame_id", d->frame_id);
    sl_json_add_u64(to, "exposed_ns", d->exposed_ns);
    sl_json_add_u64(to, "received_ns", d->received_ns);
    sl_json_add_u64(to, "started_ns", d->started_ns);
    sl_json_add_u64(to, "finished_ns", d->finished_ns);
    add_lane_state(to, "state", d->state);
    sl_json_add_float(to, "confidence", d->confidence);
    sl_json_add_float(to, "lateral_offset_m", d->lateral_offset_m);
    sl_json_add_float(to, "heading_error_rad", d->heading_error_rad);
    sl_json_add_float(to, "curvature_1pm", d->curvature_1pm);
    sl_json_add_float(to, "curvature_rate_1pm2", d->curvature_rate_1pm2);
    sl_json_add_float(to, "lane_width_m", d->lane_width_m);
    sl_json_add_float(to, "lane_width_sd_m", d->lane_width_sd_m);
    sl_json_add_float(to, "camera_pitch_rad", d->camera_pitch_rad);
    cJSON *covariance = cJSON_AddArrayToObject(to, "covariance");
    for (int i = 0; i < 4; i++) {
        cJSON *row = cJSON_CreateArray();
        for (int k = 0; k < 4; k++)
            cJSON_AddItemToArray(row, sl_json_float(d->covariance[i][k]));
        cJSON_AddItemToArray(covariance, row);
    }
    sl_json_add_u64(to, "frame_width_px", d->frame_width_px);
    sl_json_add_u64(to, "frame_height_px", d->frame_height_px);
    add_line(to, "left", &d->left);
    add_line(to, "right", &d->right);
}

static void add_command(cJSON *to, const void *data)
{
    const struct sl_command *c = data;
    sl_json_add_u64(to, "seq", c->seq);
    sl_json_add_u64(to, "frame_id", c->frame_id);
    sl_json_add_u64(to, "exposed_ns", c->exposed_ns);
    sl_json_add_u64(to, "received_ns", c->received_ns);
    sl_json_add_u64(to, "issued_ns", c->issued_ns);
    sl_json_add_u64(to, "expires_ns", c->expires_ns);
    sl_json_add_float(to, "steering_rad", c->steering_rad);
    sl_json_add_float(to, "speed_mps", c->speed_mps);
    add_mode(to, "mode", c->mode);
}

static void add_stage(cJSON *to, const char *key, const struct sl_stage_stats *stage)
{
    cJSON *o = cJSON_AddObjectToObject(to, key);
    sl_json_add_u64(o, "count", stage->count);
    sl_json_add_float(o, "p50_us", stage->p50_us);
    sl_json_add_float(o, "p90_us", stage->p90_us);
    sl_json_add_float(o, "p99_us", stage->p99_us);
    sl_json_add_float(o, "p999_us", stage->p999_us);
    sl_json_add_float(o, "max_us", stage->max_us);
}

static void add_state(cJSON *to, const void *data)
{
    static const char *const STAGES[SL_STAGE_COUNT] = {
        [SL_STAGE_CAMERA_TO_DETECT] = "camera_to_detect",
        [SL_STAGE_DETECT] = "detect",
        [SL_STAGE_DETECT_TO_CONTROL] = "detect_to_control",
        [SL_STAGE_CAMERA_TO_ACTUATOR] = "camera_to_actuator",
        [SL_STAGE_LOOP_LATENESS] = "loop_lateness",
    };
    static const char *const REALTIME[] = {"fifo", "mlock", "hugepages"};
    static const char *const CONDITIONS[SL_CONDITION_COUNT] = {
        "estop", "battery_low", "battery_empty", "under_voltage", "throttled"};
    const struct sl_state *s = data;
    sl_json_add_u64(to, "published_ns", s->published_ns);
    sl_json_add_u64(to, "started_ns", s->started_ns);
    sl_json_add_u64(to, "frames", s->frames);
    sl_json_add_u64(to, "frames_dropped", s->frames_dropped);
    sl_json_add_u64(to, "deadline_misses", s->deadline_misses);
    sl_json_add_u64(to, "page_faults", s->page_faults);
    sl_json_add_u64(to, "allocations", s->allocations);
    sl_json_add_u64(to, "stop_count", s->stop_count);
    add_mode(to, "mode", s->mode);
    add_reason(to, "stop_reason", s->stop_reason);
    sl_json_add_u64(to, "action_id", s->action_id);
    add_reason(to, "action_reason", s->action_reason);
    add_lane_state(to, "lane_state", s->lane_state);
    sl_json_add_float(to, "confidence", s->confidence);
    sl_json_add_float(to, "lateral_offset_m", s->lateral_offset_m);
    sl_json_add_float(to, "heading_error_rad", s->heading_error_rad);
    sl_json_add_float(to, "curvature_1pm", s->curvature_1pm);
    sl_json_add_float(to, "steering_rad", s->steering_rad);
    sl_json_add_float(to, "speed_command_mps", s->speed_command_mps);
    sl_json_add_float(to, "speed_mps", s->speed_mps);
    sl_json_add_float(to, "detection_age_ms", s->detection_age_ms);
    add_bits(to, "realtime", s->realtime, REALTIME, 3);
    if (s->battery_mv != 0)
        cJSON_AddNumberToObject(to, "battery_v", s->battery_mv / 1e3);
    else
        cJSON_AddNullToObject(to, "battery_v");
    add_bits(to, "conditions", s->conditions, CONDITIONS, SL_CONDITION_COUNT);
    cJSON *stages = cJSON_AddObjectToObject(to, "stages");
    for (int i = 0; i < SL_STAGE_COUNT; i++)
        add_stage(stages, STAGES[i], &s->stages[i]);
}

static void add_odometry(cJSON *to, const void *data)
{
    static const char *const VALID[] = {"speed", "steering", "yaw_rate"};
    const struct sl_odometry *o = data;
    sl_json_add_u64(to, "measured_ns", o->measured_ns);
    sl_json_add_float(to, "speed_mps", o->speed_mps);
    sl_json_add_float(to, "steering_rad", o->steering_rad);
    sl_json_add_float(to, "yaw_rate_radps", o->yaw_rate_radps);
    add_bits(to, "valid", o->valid, VALID, 3);
}

static void add_truth(cJSON *to, const void *data)
{
    const struct sl_truth *t = data;
    sl_json_add_u64(to, "frame_id", t->frame_id);
    sl_json_add_u64(to, "exposed_ns", t->exposed_ns);
    sl_json_add_float(to, "x_m", t->x_m);
    sl_json_add_float(to, "y_m", t->y_m);
    sl_json_add_float(to, "yaw_rad", t->yaw_rad);
    sl_json_add_float(to, "speed_mps", t->speed_mps);
    sl_json_add_float(to, "steering_rad", t->steering_rad);
    sl_json_add_float(to, "lateral_offset_m", t->lateral_offset_m);
    sl_json_add_float(to, "heading_error_rad", t->heading_error_rad);
    sl_json_add_float(to, "curvature_1pm", t->curvature_1pm);
    sl_json_add_float(to, "lane_width_m", t->lane_width_m);
    sl_json_add_float(to, "progress_m", t->progress_m);
    sl_json_add_u64(to, "laps", t->laps);
    sl_json_add_u64(to, "departures", t->departures);
    cJSON_AddBoolToObject(to, "markings", t->markings != 0);
}

static void add_action(cJSON *to, const void *data)
{
    const struct sl_action *a = data;
    const bool known = a->kind >= SL_ACTION_ARM && a->kind <= SL_ACTION_SET;
    sl_json_add_u64(to, "id", a->id);
    sl_json_add_u64(to, "issued_ns", a->issued_ns);
    sl_json_add_u64(to, "expires_ns", a->expires_ns);
    add_word(to, "kind", a->kind, known ? sl_action_name(a->kind) : NULL);
    char setting[sizeof a->setting + 1];
    snprintf(setting, sizeof setting, "%.*s", (int)sizeof a->setting, a->setting);
    cJSON_AddStringToObject(to, "setting", setting);
}

static void add_log_line(cJSON *to, const void *data)
{
    static const char *const LEVELS[] = {"debug", "info", "warning", "error"};
    const struct sl_log_line *l = data;
    char text[sizeof l->text + 1];
    snprintf(text, sizeof text, "%.*s", (int)sizeof l->text, l->text);
    sl_json_add_u64(to, "at_ns", l->at_ns);
    add_word(to, "level", l->level,
             l->level < sizeof LEVELS / sizeof LEVELS[0] ? LEVELS[l->level] : NULL);
    cJSON_AddStringToObject(to, "text", text);
}

static void add_permit(cJSON *to, const void *data)
{
    const struct sl_permit *p = data;
    sl_json_add_u64(to, "issued_ns", p->issued_ns);
    sl_json_add_u64(to, "expires_ns", p->expires_ns);
}

static void add_text(cJSON *to, const char *key, const char *text, size_t size)
{
    char copy[256];
    snprintf(copy, sizeof copy, "%.*s", (int)(size < sizeof copy ? size : sizeof copy - 1), text);
    cJSON_AddStringToObject(to, key, copy);
}

static void add_camera(cJSON *to, const void *data)
{
    static const char *const TROUBLES[] = {"none", "stalled", "frozen", "black"};
    const struct sl_camera_status *c = data;
    sl_json_add_u64(to, "published_ns", c->published_ns);
    sl_json_add_u64(to, "started_ns", c->started_ns);
    add_word(to, "trouble", c->trouble,
             c->trouble < sizeof TROUBLES / sizeof TROUBLES[0] ? TROUBLES[c->trouble] : NULL);
    sl_json_add_u64(to, "trouble_ns", c->trouble_ns);
    sl_json_add_u64(to, "frames", c->frames);
    sl_json_add_u64(to, "dropped_sensor", c->dropped_sensor);
    sl_json_add_u64(to, "dropped_no_area", c->dropped_no_area);
    sl_json_add_u64(to, "dropped_late", c->dropped_late);
    sl_json_add_u64(to, "dropped_corrupt", c->dropped_corrupt);
    sl_json_add_u64(to, "troubles", c->troubles);
    sl_json_add_u64(to, "restarts", c->restarts);
    sl_json_add_u64(to, "recovery_last_ns", c->recovery_last_ns);
    sl_json_add_u64(to, "recovery_max_ns", c->recovery_max_ns);
    sl_json_add_float(to, "rate_hz", c->rate_hz);
    add_text(to, "transfer", c->transfer, sizeof c->transfer);
    add_text(to, "problem", c->problem, sizeof c->problem);
}

static void add_output(cJSON *to, const void *data)
{
    static const char *const STATES[] = {"opening", "arming", "ready", "stopped", "failed"};
    const struct sl_output_status *o = data;
    sl_json_add_u64(to, "published_ns", o->published_ns);
    sl_json_add_u64(to, "restarts", o->restarts);
    sl_json_add_u64(to, "writes", o->writes);
    sl_json_add_u64(to, "errors", o->errors);
    sl_json_add_u64(to, "recovered", o->recovered);
    sl_json_add_u64(to, "reopened", o->reopened);
    sl_json_add_u64(to, "lease_ends", o->lease_ends);
    sl_json_add_u64(to, "write_last_ns", o->write_last_ns);
    sl_json_add_u64(to, "write_max_ns", o->write_max_ns);
    add_word(to, "state", o->state,
             o->state < sizeof STATES / sizeof STATES[0] ? STATES[o->state] : NULL);
    cJSON_AddNumberToObject(to, "code", o->code);
    sl_json_add_float(to, "steering_us", o->steering_us);
    sl_json_add_float(to, "throttle_us", o->throttle_us);
    sl_json_add_float(to, "speed_mps", o->speed_mps);
    cJSON_AddNumberToObject(to, "battery_mv", o->battery_mv);
    add_text(to, "problem", o->problem, sizeof o->problem);
}

static const struct {
    uint32_t type;
    size_t size;
    void (*add)(cJSON *to, const void *data);
} RECORDS[] = {
    {SL_RECORD_FRAME, sizeof(struct sl_frame_info), add_frame},
    {SL_RECORD_DETECTION, sizeof(struct sl_detection), add_detection},
    {SL_RECORD_COMMAND, sizeof(struct sl_command), add_command},
    {SL_RECORD_STATE, sizeof(struct sl_state), add_state},
    {SL_RECORD_ODOMETRY, sizeof(struct sl_odometry), add_odometry},
    {SL_RECORD_TRUTH, sizeof(struct sl_truth), add_truth},
    {SL_RECORD_ACTION, sizeof(struct sl_action), add_action},
    {SL_RECORD_LOG, sizeof(struct sl_log_line), add_log_line},
    {SL_RECORD_PERMIT, sizeof(struct sl_permit), add_permit},
    {SL_RECORD_CAMERA, sizeof(struct sl_camera_status), add_camera},
    {SL_RECORD_OUTPUT, sizeof(struct sl_output_status), add_output},
};

cJSON *sl_record_json(uint32_t type, const void *data, size_t size, struct sl_error *err)
{
    char name[5];
    for (size_t i = 0; i < sizeof RECORDS / sizeof RECORDS[0]; i++) {
        if (RECORDS[i].type != type)
            continue;
        if (RECORDS[i].size != size) {
            sl_error_set(err, -EPROTO,
                         "the record has %zu bytes, but %zu are expected; update the older of the "
                         "two programs",
                         size, RECORDS[i].size);
            return NULL;
        }
        cJSON *json = cJSON_CreateObject();
        if (json == NULL)
            sl_error_set(err, -ENOMEM, "no memory for the record");
        else
            RECORDS[i].add(json, data);
        return json;
    }
    sl_error_set(err, -ENOTSUP,
                 "records of type \"%s\" have no names for their fields here; take --format raw",
                 sl_frame_format_name(type, name));
    return NULL;
}
