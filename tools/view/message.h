/* One message of the vehicle's broadcast (docs/network.md), checked: nothing
 * of it is trusted before. Pure: bytes in, a struct out. */
#ifndef SL_TOOLS_VIEW_MESSAGE_H
#define SL_TOOLS_VIEW_MESSAGE_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rt/error.h"

#define VIEW_METADATA_MAX   65536
#define VIEW_SESSION_LENGTH 16

enum view_topic {
    VIEW_FRAME,
    VIEW_DETECTION,
    VIEW_STATE,
    VIEW_TRACE,
    VIEW_LOG,
    VIEW_TOPICS,
};

/* Frames may come from this topic instead of their own: smaller ones. */
#define VIEW_PREVIEW_TOPIC "preview"

/* "frame", "detection" and so on. */
const char *view_topic_name(enum view_topic topic);

struct view_message {
    enum view_topic topic;
    char session[VIEW_SESSION_LENGTH + 1];
    uint64_t seq;
    uint64_t sent_ns;
    cJSON *meta;

    /* Of frames and detections, else 0: */
    uint64_t frame_id, exposed_ns;
    /* Of frames: */
    uint32_t width_px, height_px, source_width_px, source_height_px;
};

/* Reads the three parts of a message. `payload` is looked at, not kept. On 0
 * the caller ends with view_message_clear(); -EBADMSG with a sentence if
 * anything is not as it has to be. */
int view_message_read(struct view_message *message, const void *topic, size_t topic_bytes,
                      const void *meta, size_t meta_bytes, const void *payload,
                      size_t payload_bytes, struct sl_error *err);

/* Frees what it holds; a zeroed or cleared one is allowed. */
void view_message_clear(struct view_message *message);

/* A whole number in [0, 2^53] from member `key`. False if it is not there. */
bool view_json_u64(const cJSON *object, const char *key, uint64_t *out);

/* A text from member `key`, or NULL. */
const char *view_json_text(const cJSON *object, const char *key);

/* Whether bytes are well-formed UTF-8 (RFC 3629) without 0 bytes. */
bool view_is_utf8(const void *bytes, size_t size);

#endif
