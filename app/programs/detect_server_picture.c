#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "detect_server.h"
#include "hal/camera/image.h"
#include "net/detect_wire.h"

int sl_picture_reader_open(struct sl_picture_reader *reader, struct sl_error *err)
{
    *reader = (struct sl_picture_reader){.decoder = sl_image_decoder_create()};
    return reader->decoder != NULL ? 0 : sl_error_set(err, -ENOMEM, "no memory to read pictures");
}

void sl_picture_reader_close(struct sl_picture_reader *reader)
{
    if (reader->decoder != NULL)
        sl_image_decoder_destroy(reader->decoder);
    free(reader->pixels);
    *reader = (struct sl_picture_reader){0};
}

static int make_room(struct sl_picture_reader *reader, uint32_t width_px, uint32_t height_px,
                     struct sl_error *err)
{
    if ((uint64_t)width_px * height_px > SL_PICTURE_PIXELS_MAX)
        return sl_error_set(err, -EPROTO,
                            "the picture has %u x %u px; at most %u million are looked at",
                            width_px, height_px, SL_PICTURE_PIXELS_MAX / 1000000);
    const size_t needed = (size_t)width_px * height_px * 3 / 2;
    if (needed <= reader->capacity)
        return 0;
    uint8_t *pixels = realloc(reader->pixels, needed);
    if (pixels == NULL)
        return sl_error_set(err, -ENOMEM, "no memory for a picture of %u x %u px", width_px,
                            height_px);
    reader->pixels = pixels;
    reader->capacity = needed;
    return 0;
}

int sl_picture_read(struct sl_picture_reader *reader, const struct sl_frame_info *info,
                    const void *data, struct sl_frame_info *out, const void **pixels,
                    struct sl_error *err)
{
    *out = *info;
    *pixels = data;
    if (info->fourcc != SL_FORMAT_MJPEG && info->fourcc != SL_DETECT_ENCODING_FILE)
        return 0;
    const uint8_t *file = (const uint8_t *)data + info->planes[0].offset_bytes;
    const size_t size = info->size_bytes - info->planes[0].offset_bytes;
    uint32_t width_px, height_px;
    int rc = sl_image_probe(reader->decoder, file, size, &width_px, &height_px, err);
    if (rc == 0)
        rc = make_room(reader, width_px, height_px, err);
    if (rc == 0)
        rc = sl_image_decode(reader->decoder, file, size, SL_FORMAT_NV12, reader->pixels,
                             reader->capacity, out, err);
    *pixels = reader->pixels;
    return rc;
}
