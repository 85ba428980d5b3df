#include "hal/camera/libcamera_parts.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hal/camera/libcamera.h"

/* A device that was reset counts from 0 again: such a step is no gap. */
#define GAP_MAX 1000

/* ---- which camera ---- */

static int list_names(const char *source, const char *what, int code,
                      const struct sl_libcamera_name *names, size_t count, struct sl_error *err)
{
    char list[320] = "";
    size_t used = 0;
    for (size_t i = 0; i < count && used < sizeof list; i++)
        used +=
            (size_t)snprintf(list + used, sizeof list - used, "%s%zu: %s%s%s%s", i == 0 ? "" : ", ",
                             i, names[i].id, names[i].model[0] != '\0' ? " (" : "", names[i].model,
                             names[i].model[0] != '\0' ? ")" : "");
    return sl_error_set(err, code, "camera.source \"%.80s\" is %s; there are %s", source, what,
                        list);
}

int sl_libcamera_choose(const char *source, const struct sl_libcamera_name *names, size_t count,
                        struct sl_error *err)
{
    if (count == 0)
        return sl_error_set(
            err, -ENODEV,
            "libcamera finds no camera: check its cable (both ends, contacts the "
            "right way), that its overlay is in config.txt, and that the kernel has "
            "its driver (see docs/cameras.md)");
    if (source == NULL || source[0] == '\0')
        return 0;
    for (size_t i = 0; i < count; i++) {
        if (strcmp(names[i].id, source) == 0)
            return (int)i;
    }
    char *end;
    errno = 0;
    const unsigned long number = strtoul(source, &end, 10);
    if (source[0] >= '0' && source[0] <= '9' && *end == '\0') {
        if (errno == 0 && number < count)
            return (int)number;
        return list_names(source, "the number of no camera", -ENODEV, names, count, err);
    }
    int found = -1;
    for (size_t i = 0; i < count; i++) {
        if (strstr(names[i].id, source) == NULL && strstr(names[i].model, source) == NULL)
            continue;
        if (found >= 0)
            return list_names(source, "a part of several cameras' names", -EINVAL, names, count,
                              err);
        found = (int)i;
    }
    return found >= 0 ? found
                      : list_names(source, "no camera of libcamera's", -ENODEV, names, count, err);
}

/* ---- formats ---- */

#define DRM_NV12   SL_FOURCC('N', 'V', '1', '2')
#define DRM_YUV420 SL_FOURCC('Y', 'U', '1', '2')
#define DRM_YUYV   SL_FOURCC('Y', 'U', 'Y', 'V')
#define DRM_R8     SL_FOURCC('R', '8', ' ', ' ')
#define DRM_RGB888 SL_FOURCC('R', 'G', '2', '4') /* in memory B, G, R */
#define DRM_BGR888 SL_FOURCC('B', 'G', '2', '4')

/* Best first, for those that want another format too. */
static const struct sl_libcamera_way WAYS[] = {
    {DRM_NV12, SL_FORMAT_NV12, SL_LIBCAMERA_COPY},
    {DRM_YUV420, SL_FORMAT_NV12, SL_LIBCAMERA_INTERLEAVE},
    {DRM_YUYV, SL_FORMAT_YUYV, SL_LIBCAMERA_COPY},
    {DRM_R8, SL_FORMAT_GRAY8, SL_LIBCAMERA_COPY},
    {DRM_NV12, SL_FORMAT_GRAY8, SL_LIBCAMERA_LUMA},
    {DRM_YUV420, SL_FORMAT_GRAY8, SL_LIBCAMERA_LUMA},
    /* Swapping is dearer than to copy, but vimc (Linux 6.12) only says that it had RGB888:
     * it does not start with it. */
    {DRM_BGR888, SL_FORMAT_BGR24, SL_LIBCAMERA_SWAP},
    {DRM_RGB888, SL_FORMAT_BGR24, SL_LIBCAMERA_COPY},
};
#define WAY_COUNT (sizeof WAYS / sizeof WAYS[0])

const struct sl_libcamera_way *sl_libcamera_way(uint32_t wanted, size_t rank)
{
    for (int others = 0; others < 2; others++) {
        for (size_t i = 0; i < WAY_COUNT; i++) {
            if ((WAYS[i].ours != wanted) == (others != 0) && rank-- == 0)
                return &WAYS[i];
        }
    }
    return NULL;
}

bool sl_libcamera_can_use(uint32_t fourcc)
{
    for (size_t i = 0; i < WAY_COUNT; i++) {
        if (WAYS[i].theirs == fourcc)
            return true;
    }
    return false;
}

/* Where the rows of a plane lie in the camera's buffer. */
struct rows {
    size_t stride, bytes, count;
};

static struct rows rows_of(const struct sl_libcamera_way *way,
                           const struct sl_libcamera_format *format, uint32_t plane)
{
    const size_t width = format->width_px, height = format->height_px;
    const size_t stride = format->stride_bytes;
    if (way->theirs == DRM_YUV420 && plane > 0)
        return (struct rows){stride / 2, width / 2, height / 2};
    if (way->theirs == DRM_NV12 && plane > 0)
        return (struct rows){stride, width, height / 2};
    const size_t bytes_per_px = way->ours == SL_FORMAT_BGR24  ? 3
                                : way->ours == SL_FORMAT_YUYV ? 2
                                                              : 1;
    return (struct rows){stride, width * bytes_per_px, height};
}

/* Of the planes that are read. */
static uint32_t planes_of(const struct sl_libcamera_way *way)
{
    return way->copy == SL_LIBCAMERA_INTERLEAVE ? 3 : way->ours == SL_FORMAT_NV12 ? 2 : 1;
}

int sl_libcamera_check(const struct sl_libcamera_way *way, const struct sl_libcamera_format *format,
                       const struct sl_libcamera_buffer *buffer, struct sl_error *err)
{
    if (buffer->plane_count < planes_of(way))
        return sl_error_set(err, -EPROTO, "libcamera gave a buffer of %u planes instead of %u",
                            buffer->plane_count, planes_of(way));
    for (uint32_t i = 0; i < planes_of(way); i++) {
        const struct rows r = rows_of(way, format, i);
        if (r.stride < r.bytes || buffer->planes[i].bytes < r.stride * (r.count - 1) + r.bytes)
            return sl_error_set(err, -EPROTO,
                                "plane %u of libcamera's buffer holds %zu bytes, too few for %zu "
                                "rows of %zu every %zu bytes",
                                i, buffer->planes[i].bytes, r.count, r.bytes, r.stride);
    }
    return 0;
}

static void copy_rows(const struct rows *r, const uint8_t *in, uint8_t *out)
{
    if (r->stride == r->bytes) {
        memcpy(out, in, r->bytes * r->count);
        return;
    }
    for (size_t y = 0; y < r->count; y++)
        memcpy(out + y * r->bytes, in + y * r->stride, r->bytes);
}

static void interleave_rows(const struct rows *r, const uint8_t *u, const uint8_t *v, uint8_t *out)
{
    for (size_t y = 0; y < r->count; y++) {
        for (size_t x = 0; x < r->bytes; x++) {
            out[2 * x] = u[x];
            out[2 * x + 1] = v[x];
        }
        u += r->stride;
        v += r->stride;
        out += 2 * r->bytes;
    }
}

static void swap_rows(const struct rows *r, const uint8_t *in, uint8_t *out)
{
    for (size_t y = 0; y < r->count; y++) {
        for (size_t x = 0; x < r->bytes; x += 3) {
            out[x] = in[x + 2];
            out[x + 1] = in[x + 1];
            out[x + 2] = in[x];
        }
        in += r->stride;
        out += r->bytes;
    }
}

void sl_libcamera_unpack(const struct sl_libcamera_way *way,
                         const struct sl_libcamera_format *format,
                         const struct sl_libcamera_buffer *buffer, uint8_t *memory,
                         struct sl_frame_info *info)
{
    (void)sl_frame_layout(info, way->ours, format->width_px, format->height_px);
    const struct rows first = rows_of(way, format, 0), second = rows_of(way, format, 1);
    uint8_t *chroma = memory + info->planes[1].offset_bytes;
    if (way->copy == SL_LIBCAMERA_SWAP)
        swap_rows(&first, buffer->planes[0].data, memory);
    else
        copy_rows(&first, buffer->planes[0].data, memory);
    if (way->copy == SL_LIBCAMERA_INTERLEAVE)
        interleave_rows(&second, buffer->planes[1].data, buffer->planes[2].data, chroma);
    else if (info->plane_count > 1)
        copy_rows(&second, buffer->planes[1].data, chroma);
}

/* ---- times and numbers ---- */

uint64_t sl_libcamera_exposed_ns(uint64_t stamp_ns, uint64_t arrived_ns, uint64_t boot_ahead_ns,
                                 uint64_t earliest_ns)
{
    if (stamp_ns > arrived_ns && stamp_ns >= boot_ahead_ns)
        stamp_ns -= boot_ahead_ns;
    const bool good = stamp_ns != 0 && stamp_ns <= arrived_ns && stamp_ns >= earliest_ns;
    return good ? stamp_ns : arrived_ns;
}

uint32_t sl_libcamera_gap(uint32_t last, uint32_t sequence)
{
    const uint32_t gap = sequence - last - 1;
    return gap <= GAP_MAX ? gap : 0;
}
