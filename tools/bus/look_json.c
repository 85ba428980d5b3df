#include "tools/bus/look_json.h"

#include <stdio.h>

#include "net/json.h"
#include "tools/bus/words.h"

static cJSON *process_json(int32_t pid)
{
    char program[64];
    cJSON *o = cJSON_CreateObject();
    if (pid > 0) {
        bus_program_text(program, sizeof program, pid);
        cJSON_AddNumberToObject(o, "pid", pid);
        cJSON_AddStringToObject(o, "program", program);
    } else {
        cJSON_AddNullToObject(o, "pid");
        cJSON_AddNullToObject(o, "program");
    }
    return o;
}

static cJSON *reader_json(const struct sl_bus_status_reader *r)
{
    char user[40];
    cJSON *o = process_json(r->pid);
    bus_user_text(user, sizeof user, r->uid);
    sl_json_add_u64(o, "uid", r->uid);
    cJSON_AddStringToObject(o, "user", user);
    cJSON_AddBoolToObject(o, "realtime", r->realtime != 0);
    cJSON_AddBoolToObject(o, "asleep", r->asleep != 0);
    if (r->holds != 0)
        sl_json_add_u64(o, "holds_slot", r->holds - 1);
    else
        cJSON_AddNullToObject(o, "holds_slot");
    sl_json_add_u64(o, "attached_ns", r->attached_ns);
    sl_json_add_u64(o, "overruns", r->overruns);
    return o;
}

static void add_frame(cJSON *to, const struct bus_look *look)
{
    char name[5];
    if (look->width_px == 0)
        return;
    cJSON *frame = cJSON_AddObjectToObject(to, "frame");
    sl_json_add_u64(frame, "width_px", look->width_px);
    sl_json_add_u64(frame, "height_px", look->height_px);
    cJSON_AddStringToObject(frame, "fourcc", sl_frame_format_name(look->fourcc, name));
}

static void add_living(cJSON *to, const struct bus_look *look)
{
    const struct sl_bus_status *s = &look->status;
    char type[16];
    bus_type_word(type, sizeof type, s->type);
    cJSON_AddStringToObject(to, "type", type);
    add_frame(to, look);
    sl_json_add_u64(to, "slot_count", s->slot_count);
    sl_json_add_u64(to, "slot_bytes", s->slot_bytes);
    sl_json_add_u64(to, "memory_bytes", s->memory_bytes);
    cJSON_AddStringToObject(to, "pages", bus_pages_word(s->pages));
    cJSON_AddBoolToObject(to, "locked", s->locked != 0);
    cJSON_AddStringToObject(to, "access", bus_access_word(s->access));
    cJSON_AddStringToObject(to, "note", s->note);
    sl_json_add_u64(to, "started_ns", s->started_ns);
    sl_json_add_u64(to, "now_ns", s->now_ns);
    sl_json_add_u64(to, "published", s->published);
    sl_json_add_u64(to, "newest_ns", s->newest_ns);
    if (s->newest_ns != 0 && s->now_ns >= s->newest_ns)
        sl_json_add_figure(to, "age_ms", (double)(s->now_ns - s->newest_ns) * 1e-6);
    else
        cJSON_AddNullToObject(to, "age_ms");
    if (look->compared)
        sl_json_add_figure(to, "rate_hz", look->rate_hz);
    else
        cJSON_AddNullToObject(to, "rate_hz");
    sl_json_add_u64(to, "overruns", s->overruns);
    if (look->compared)
        sl_json_add_u64(to, "overruns_since", look->overruns_since);
    sl_json_add_u64(to, "reader_count", s->reader_count);
    cJSON *readers = cJSON_AddArrayToObject(to, "readers");
    for (uint32_t i = 0; i < bus_readers_listed(s); i++)
        cJSON_AddItemToArray(readers, reader_json(&s->readers[i]));
}

static cJSON *look_json(const struct bus_look *look)
{
    char sentence[256];
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "name", look->status.name);
    cJSON_AddStringToObject(o, "life", bus_life_word(look));
    cJSON_AddItemToObject(o, "writer", process_json(look->status.writer_pid));
    if (look->found && look->status.life == SL_BUS_ALIVE) {
        add_living(o, look);
    } else {
        bus_life_sentence(sentence, sizeof sentence, look);
        cJSON_AddStringToObject(o, "problem", sentence);
    }
    return o;
}

cJSON *bus_looks_json(const struct bus_looks *looks)
{
    cJSON *json = cJSON_CreateObject();
    cJSON *buses = cJSON_AddArrayToObject(json, "buses");
    for (size_t i = 0; i < looks->count; i++)
        cJSON_AddItemToArray(buses, look_json(&looks->looks[i]));
    return json;
}
