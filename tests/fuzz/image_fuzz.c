/* libFuzzer's entry for the picture reader. The first byte chooses the format
 * to decode to, the rest is the file. Build with -DSL_FUZZ=ON and clang, then
 * run bin/image_fuzz on a copy of tests/fuzz/corpus/image. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "hal/camera/image.h"

/* Small pictures find the same faults as large ones, a thousand times faster. */
#define CAPACITY ((size_t)512 * 512 * 3)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint32_t FORMATS[] = {SL_FORMAT_GRAY8, SL_FORMAT_NV12, SL_FORMAT_YUYV,
                                       SL_FORMAT_BGR24};
    static struct sl_image_decoder *decoder;
    if (decoder == NULL)
        decoder = sl_image_decoder_create();
    if (decoder == NULL || size == 0)
        return 0;

    const uint32_t fourcc = FORMATS[data[0] % 4];
    struct sl_error err;
    uint32_t width_px = 0, height_px = 0;
    const int probed = sl_image_probe(decoder, data + 1, size - 1, &width_px, &height_px, &err);

    /* Exactly what the picture needs, so that one byte more is noticed. */
    size_t capacity = CAPACITY;
    if (probed == 0) {
        struct sl_frame_info layout;
        if (fourcc == SL_FORMAT_NV12 || fourcc == SL_FORMAT_YUYV)
            width_px &= ~1u;
        if (fourcc == SL_FORMAT_NV12)
            height_px &= ~1u;
        if (sl_frame_layout(&layout, fourcc, width_px, height_px) == 0 &&
            layout.size_bytes < CAPACITY)
            capacity = layout.size_bytes;
    }
    uint8_t *memory = malloc(capacity);
    if (memory == NULL)
        return 0;
    struct sl_frame_info info;
    memset(&info, 0, sizeof info);
    const int decoded =
        sl_image_decode(decoder, data + 1, size - 1, fourcc, memory, capacity, &info, &err);
    if (decoded == 0 && (probed != 0 || info.width_px != width_px || info.height_px != height_px ||
                         sl_frame_check(&info, capacity, &err) != 0))
        abort();
    free(memory);
    return 0;
}
