/* libFuzzer's entry for what the viewer hears from a vehicle. The first byte
 * chooses the topic, a 0 byte ends the metadata, the rest is the payload.
 * Build with -DSL_FUZZ=ON and clang, then run bin/view_message_fuzz on a copy
 * of tests/fuzz/corpus/view_message. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tools/view/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    const char *topic = view_topic_name((enum view_topic)(data[0] % VIEW_TOPICS));
    const uint8_t *meta = data + 1;
    const uint8_t *end = memchr(meta, 0, size - 1);
    const size_t meta_bytes = end == NULL ? size - 1 : (size_t)(end - meta);
    const size_t payload_bytes = end == NULL ? 0 : size - 2 - meta_bytes;
    struct view_message message;
    struct sl_error err = {0};
    if (view_message_read(&message, topic, strlen(topic), meta, meta_bytes,
                          end == NULL ? NULL : end + 1, payload_bytes, &err) != 0) {
        if (err.text[0] == '\0' || message.meta != NULL)
            abort();
        return 0;
    }
    /* What is handed on to browsers has to be text again. */
    char *text = cJSON_PrintUnformatted(message.meta);
    if (text == NULL || !view_is_utf8(text, strlen(text)) || strlen(message.session) != 16 ||
        message.seq == 0 || message.exposed_ns > message.sent_ns)
        abort();
    cJSON_free(text);
    view_message_clear(&message);
    return 0;
}
