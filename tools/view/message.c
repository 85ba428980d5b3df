#include "tools/view/message.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#define SIDE_MAX_PX 16384
#define WHOLE_MAX   9007199254740992.0 /* 2^53: whole numbers are exact up to here */

static const char *const TOPICS[VIEW_TOPICS] = {
    [VIEW_FRAME] = "frame", [VIEW_DETECTION] = "detection",
    [VIEW_STATE] = "state", [VIEW_TRACE] = "trace",
    [VIEW_LOG] = "log",
};

const char *view_topic_name(enum view_topic topic)
{
    return TOPICS[topic];
}

bool view_is_utf8(const void *bytes, size_t size)
{
    const unsigned char *s = bytes;
    size_t i = 0;
    while (i < size) {
        const unsigned char c = s[i++];
        unsigned more;
        uint32_t point, least;
        if (c == 0)
            return false;
        if (c < 0x80)
            continue;
        if (c >= 0xc2 && c <= 0xdf)
            more = 1, point = c & 0x1fu, least = 0x80;
        else if ((c & 0xf0) == 0xe0)
            more = 2, point = c & 0x0fu, least = 0x800;
        else if (c >= 0xf0 && c <= 0xf4)
            more = 3, point = c & 0x07u, least = 0x10000;
        else
            return false;
        for (; more > 0; more--) {
            if (i >= size || (s[i] & 0xc0) != 0x80)
                return false;
            point = point << 6 | (s[i++] & 0x3fu);
        }
        if (point < least || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff))
            return false;
    }
    return true;
}

bool view_json_u64(const cJSON *object, const char *key, uint64_t *out)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
    if (!cJSON_IsNumber(item) || !(item->valuedouble >= 0.0 && item->valuedouble <= WHOLE_MAX) ||
        floor(item->valuedouble) != item->valuedouble)
        return false;
    *out = (uint64_t)item->valuedouble;
    return true;
}

const char *view_json_text(const cJSON *object, const char *key)
{
    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, key));
}

static bool read_side(const cJSON *meta, const char *key, uint32_t *out)
{
    uint64_t side;
    if (!view_json_u64(meta, key, &side) || side < 1 || side > SIDE_MAX_PX)
        return false;
    *out = (uint32_t)side;
    return true;
}

static int read_frame(struct view_message *m, const unsigned char *payload, size_t size,
                      struct sl_error *err)
{
    const char *format = view_json_text(m->meta, "format");
    if (format == NULL || strcmp(format, "jpeg") != 0)
        return sl_error_set(err, -EBADMSG, "a frame is not a JPEG");
    /* FF D8 begins every JPEG; the browser's decoder judges the rest. */
    if (size < 4 || payload[0] != 0xff || payload[1] != 0xd8)
        return sl_error_set(err, -EBADMSG, "a frame's payload is not a JPEG");
    if (!read_side(m->meta, "width_px", &m->width_px) ||
        !read_side(m->meta, "height_px", &m->height_px) ||
        !read_side(m->meta, "source_width_px", &m->source_width_px) ||
        !read_side(m->meta, "source_height_px", &m->source_height_px))
        return sl_error_set(err, -EBADMSG, "a frame's size is missing or impossible");
    return 0;
}

static int read_common(struct view_message *m, struct sl_error *err)
{
    uint64_t version;
    if (!view_json_u64(m->meta, "v", &version))
        return sl_error_set(err, -EBADMSG, "a message without a version");
    if (version != 1)
        return sl_error_set(err, -EBADMSG,
                            "the vehicle speaks version %llu of the protocol, this program "
                            "version 1: install the same release on both",
                            (unsigned long long)version);
    const char *session = view_json_text(m->meta, "session");
    if (session == NULL || strlen(session) != VIEW_SESSION_LENGTH ||
        strspn(session, "0123456789abcdefABCDEF") != VIEW_SESSION_LENGTH)
        return sl_error_set(err, -EBADMSG, "a message without a session");
    memcpy(m->session, session, sizeof m->session);
    if (!view_json_u64(m->meta, "seq", &m->seq) || m->seq == 0 ||
        !view_json_u64(m->meta, "sent_ns", &m->sent_ns))
        return sl_error_set(err, -EBADMSG, "a message without seq or sent_ns");
    if (m->topic != VIEW_FRAME && m->topic != VIEW_DETECTION)
        return 0;
    if (!view_json_u64(m->meta, "frame_id", &m->frame_id) ||
        !view_json_u64(m->meta, "exposed_ns", &m->exposed_ns) || m->exposed_ns > m->sent_ns)
        return sl_error_set(err, -EBADMSG, "a %s without frame_id, or from the future",
                            TOPICS[m->topic]);
    return 0;
}

static bool is(const char *name, const void *topic, size_t topic_bytes)
{
    return strlen(name) == topic_bytes && memcmp(name, topic, topic_bytes) == 0;
}

int view_message_read(struct view_message *message, const void *topic, size_t topic_bytes,
                      const void *meta, size_t meta_bytes, const void *payload,
                      size_t payload_bytes, struct sl_error *err)
{
    memset(message, 0, sizeof *message);
    unsigned which = 0;
    while (which < VIEW_TOPICS && !is(TOPICS[which], topic, topic_bytes))
        which++;
    if (is(VIEW_PREVIEW_TOPIC, topic, topic_bytes))
        which = VIEW_FRAME;
    if (which == VIEW_TOPICS)
        return sl_error_set(err, -EBADMSG, "a topic that there is not");
    message->topic = (enum view_topic)which;
    if (meta_bytes > VIEW_METADATA_MAX)
        return sl_error_set(err, -EBADMSG, "metadata of %zu bytes, more than 64 KiB", meta_bytes);
    if (!view_is_utf8(meta, meta_bytes))
        return sl_error_set(err, -EBADMSG, "metadata that is not UTF-8");
    message->meta = cJSON_ParseWithLength(meta, meta_bytes);
    int rc = cJSON_IsObject(message->meta)
                 ? 0
                 : sl_error_set(err, -EBADMSG, "metadata that is not a JSON object");
    if (rc == 0)
        rc = read_common(message, err);
    if (rc == 0 && message->topic == VIEW_FRAME)
        rc = read_frame(message, payload, payload_bytes, err);
    if (rc != 0)
        view_message_clear(message);
    return rc;
}

void view_message_clear(struct view_message *message)
{
    cJSON_Delete(message->meta);
    message->meta = NULL;
}
