#include "tools/bus/picture.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "net/jpeg.h"
#include "tools/bus/png.h"
#include "tools/bus/rows.h"

#define JPEG_QUALITY 92

static int cannot_write(struct sl_error *err)
{
    const int code = errno;
    return sl_error_set(err, -code, "cannot write: %s", strerror(code));
}

static int refuse_mjpeg(const struct sl_frame_info *info, struct sl_error *err)
{
    if (info->fourcc != SL_FORMAT_MJPEG)
        return 0;
    return sl_error_set(err, -ENOTSUP, "the frame is a JPEG already; take --format jpg");
}

int bus_picture_write_jpeg(FILE *to, const struct sl_frame_info *info, const void *pixels,
                           struct sl_error *err)
{
    const uint8_t *bytes = (const uint8_t *)pixels + info->planes[0].offset_bytes;
    size_t size = info->size_bytes - info->planes[0].offset_bytes;
    struct sl_jpeg_encoder *encoder = NULL;
    int rc = 0;
    if (info->fourcc != SL_FORMAT_MJPEG) {
        encoder = sl_jpeg_encoder_create();
        if (encoder == NULL)
            return sl_error_set(err, -ENOMEM, "no memory for the JPEG encoder");
        rc = sl_jpeg_encode(encoder, info, pixels, JPEG_QUALITY, &bytes, &size, err);
        if (rc == -EINVAL) /* as a layout that is wrong, which it is not */
            rc = -EPROTO;
    }
    if (rc == 0 && fwrite(bytes, 1, size, to) != size)
        rc = cannot_write(err);
    sl_jpeg_encoder_destroy(encoder);
    return rc;
}

int bus_picture_write_png(FILE *to, const struct sl_frame_info *info, const void *pixels,
                          struct sl_error *err)
{
    const bool gray = info->fourcc == SL_FORMAT_GRAY8;
    int rc = refuse_mjpeg(info, err);
    if (rc != 0)
        return rc;
    uint8_t *row = malloc((size_t)info->width_px * 3);
    if (row == NULL)
        return sl_error_set(err, -ENOMEM, "no memory for a row of %u px", info->width_px);
    struct bus_png png;
    bus_png_begin(&png, to, info->width_px, info->height_px, gray ? 1 : 3);
    for (uint32_t y = 0; y < info->height_px; y++) {
        if (gray)
            bus_row_luma(info, pixels, y, row);
        else
            bus_row_rgb(info, pixels, y, row);
        bus_png_row(&png, row);
    }
    bus_png_end(&png);
    free(row);
    return ferror(to) ? cannot_write(err) : 0;
}

int bus_picture_write_pgm(FILE *to, const struct sl_frame_info *info, const void *pixels,
                          struct sl_error *err)
{
    int rc = refuse_mjpeg(info, err);
    if (rc != 0)
        return rc;
    uint8_t *row = malloc(info->width_px);
    if (row == NULL)
        return sl_error_set(err, -ENOMEM, "no memory for a row of %u px", info->width_px);
    fprintf(to, "P5\n%u %u\n255\n", info->width_px, info->height_px);
    for (uint32_t y = 0; y < info->height_px; y++) {
        bus_row_luma(info, pixels, y, row);
        fwrite(row, 1, info->width_px, to);
    }
    free(row);
    return ferror(to) ? cannot_write(err) : 0;
}
