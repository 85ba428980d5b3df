/* libFuzzer's entry for remote detection's messages. The first byte chooses the
 * kind, the rest is the message. Build with -DSL_FUZZ=ON and clang, then run
 * bin/detect_wire_fuzz on a copy of tests/fuzz/corpus/detect_wire. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "net/detect_wire.h"

#define SIZE_OFFSET 52 /* of the picture's size in a request */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What was taken holds what the header promises, and is written as it was read. */
static void request(const uint8_t *data, size_t size, size_t picture_bytes)
{
    struct sl_detect_request first, second;
    struct sl_error err;
    if (sl_detect_wire_get_request(data, size, picture_bytes, &first, &err) != 0) {
        if (err.text[0] == '\0')
            abort();
        return;
    }
    const struct sl_frame_info *frame = &first.frame;
    const int file = frame->fourcc == SL_FORMAT_MJPEG || frame->fourcc == SL_DETECT_ENCODING_FILE;
    if (frame->size_bytes != picture_bytes || picture_bytes > SL_DETECT_PICTURE_MAX ||
        (!file && sl_frame_check(frame, picture_bytes, &err) != 0))
        abort();
    uint8_t bytes[SL_DETECT_REQUEST_BYTES];
    sl_detect_wire_put_request(bytes, &first);
    if (sl_detect_wire_get_request(bytes, sizeof bytes, picture_bytes, &second, &err) != 0)
        abort();
    /* Planes beyond those in use do not travel. */
    for (uint32_t i = frame->plane_count; i < SL_FRAME_PLANES_MAX; i++) {
        first.frame.planes[i].offset_bytes = 0;
        first.frame.planes[i].stride_bytes = 0;
    }
    if (memcmp(&first, &second, sizeof first) != 0)
        abort();
}

static void reply(const uint8_t *data, size_t size)
{
    struct sl_detect_reply first, second;
    struct sl_error err;
    if (sl_detect_wire_get_reply(data, size, &first, &err) != 0) {
        if (err.text[0] == '\0')
            abort();
        return;
    }
    uint8_t bytes[SL_DETECT_REPLY_MAX];
    const size_t written = sl_detect_wire_put_reply(bytes, &first);
    if (sl_detect_wire_get_reply(bytes, written, &second, &err) != 0 ||
        memcmp(&first, &second, sizeof first) != 0)
        abort();
    if (first.status == SL_DETECT_OK && memcmp(bytes, data, size) != 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    const uint8_t kind = data[0];
    data++;
    size--;
    if (kind % 4 == 0) {
        reply(data, size);
    } else if (kind % 4 == 1 || size < SIZE_OFFSET + 4) {
        request(data, size, size);
    } else {
        /* The picture that the header announces: what lies behind is reached. */
        size_t picture_bytes = 0;
        for (int i = 3; i >= 0; i--)
            picture_bytes = picture_bytes << 8 | data[SIZE_OFFSET + i];
        request(data, size, picture_bytes);
    }
    return 0;
}
