#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "calibrate.h"
#include "rt/cli.h"
#include "rt/clock.h"

int calibrate_list_find(struct sl_picture_files *list, const char *option, const char *where)
{
    struct sl_error err = {0};
    const int rc = sl_picture_files_find(list, option, where, 0, &err);
    if (rc == -EINVAL)
        return sl_cli_misuse(VERB " camera", "%s", err.text);
    return rc == 0 ? 0 : calibrate_failed("%s", err.text);
}

static int read_file(struct sl_picture_file_reader *reader, const char *path, uint32_t fourcc,
                     struct sl_frame_info *info, uint8_t **pixels, struct sl_error *err)
{
    const int rc = sl_picture_file_read(reader, path, fourcc, info, pixels, err);
    if (rc != 0)
        sl_error_prefix(err, "%s", path);
    return rc;
}

int calibrate_read_luma(struct sl_picture_file_reader *reader, const char *path,
                        struct sl_luma *luma, struct sl_error *err)
{
    struct sl_frame_info info;
    uint8_t *pixels;
    const int rc = read_file(reader, path, SL_FORMAT_GRAY8, &info, &pixels, err);
    if (rc == 0)
        *luma = (struct sl_luma){pixels + info.planes[0].offset_bytes, info.width_px,
                                 info.height_px, info.planes[0].stride_bytes};
    return rc;
}

int calibrate_read_colour(struct sl_picture_file_reader *reader, const char *path,
                          struct sl_canvas *canvas, struct sl_error *err)
{
    struct sl_frame_info info;
    uint8_t *pixels;
    const int rc = read_file(reader, path, SL_FORMAT_BGR24, &info, &pixels, err);
    if (rc == 0)
        *canvas = (struct sl_canvas){pixels + info.planes[0].offset_bytes, info.width_px,
                                     info.height_px, info.planes[0].stride_bytes};
    return rc;
}

int calibrate_frame_luma(struct sl_picture_file_reader *reader, const struct sl_frame_info *info,
                         const void *data, struct sl_luma *luma, struct sl_error *err)
{
    const uint8_t *plane = (const uint8_t *)data + info->planes[0].offset_bytes;
    const size_t stride = info->planes[0].stride_bytes;
    *luma = (struct sl_luma){plane, info->width_px, info->height_px, stride};
    if (info->fourcc == SL_FORMAT_GRAY8 || info->fourcc == SL_FORMAT_NV12)
        return 0;
    if (info->fourcc == SL_FORMAT_MJPEG) {
        struct sl_frame_info decoded;
        uint8_t *decoded_to;
        const int rc =
            sl_picture_file_decode(reader, plane, info->size_bytes - info->planes[0].offset_bytes,
                                   SL_FORMAT_GRAY8, &decoded, &decoded_to, err);
        if (rc == 0)
            *luma = (struct sl_luma){decoded_to + decoded.planes[0].offset_bytes, decoded.width_px,
                                     decoded.height_px, decoded.planes[0].stride_bytes};
        return rc;
    }
    size_t step = info->fourcc == SL_FORMAT_YUYV    ? 2
                  : info->fourcc == SL_FORMAT_BGR24 ? 3
                  : info->fourcc == SL_FORMAT_BGRA  ? 4
                                                    : 0;
    if (step == 0)
        return sl_error_set(err, -ENOTSUP, "the frames' pixel format has no luma known here");
    uint8_t *pixels = sl_picture_file_room(reader, (size_t)info->width_px * info->height_px, err);
    if (pixels == NULL)
        return -ENOMEM;
    for (uint32_t y = 0; y < info->height_px; y++) {
        const uint8_t *from = plane + y * stride;
        uint8_t *to = pixels + (size_t)y * info->width_px;
        for (uint32_t x = 0; x < info->width_px;
             x++, from += step) /* BT.601, as hal/camera/image.h */
            to[x] = step == 2 ? from[0]
                              : (uint8_t)((29 * from[0] + 150 * from[1] + 77 * from[2] + 128) >> 8);
    }
    *luma = (struct sl_luma){pixels, info->width_px, info->height_px, info->width_px};
    return 0;
}

void calibrate_progress(const char *what, size_t done, size_t count)
{
    static uint64_t last_ns;
    uint64_t now = sl_clock_now_ns();
    bool end = done == count;
    if (!isatty(STDERR_FILENO) || (!end && now - last_ns < 100 * SL_NS_PER_MS))
        return;
    last_ns = now;
    fprintf(stderr, "\r%s: %zu of %zu%s", what, done, count, end ? "\r\033[K" : "");
    fflush(stderr);
}
