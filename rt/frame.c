#include "rt/frame.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

/* The rows of one plane, as a share of the picture's. */
struct plane_shape {
    uint32_t bytes_per_two_px; /* twice the bytes a pixel: NV12's chroma is 1 a pixel */
    uint32_t rows_divisor;
};

struct format_shape {
    uint32_t fourcc;
    const char *name;
    uint32_t plane_count;
    uint32_t multiple_px; /* both sides (YUYV: the width) must be multiples */
    uint32_t multiple_rows;
    struct plane_shape planes[SL_FRAME_PLANES_MAX];
};

static const struct format_shape SHAPES[] = {
    {SL_FORMAT_GRAY8, "GRAY8", 1, 1, 1, {{2, 1}}},
    {SL_FORMAT_NV12, "NV12", 2, 2, 2, {{2, 1}, {2, 2}}},
    {SL_FORMAT_YUYV, "YUYV", 1, 2, 1, {{4, 1}}},
    {SL_FORMAT_BGR24, "BGR24", 1, 1, 1, {{6, 1}}},
    {SL_FORMAT_BGRA, "BGRA", 1, 1, 1, {{8, 1}}},
};
#define SHAPE_COUNT (sizeof SHAPES / sizeof SHAPES[0])

static const struct format_shape *shape_of(uint32_t fourcc)
{
    for (size_t i = 0; i < SHAPE_COUNT; i++) {
        if (SHAPES[i].fourcc == fourcc)
            return &SHAPES[i];
    }
    return NULL;
}

static uint32_t row_bytes(const struct plane_shape *plane, uint32_t width_px)
{
    return plane->bytes_per_two_px * width_px / 2;
}

static const char *size_problem(const struct format_shape *shape, uint32_t width_px,
                                uint32_t height_px)
{
    if (width_px == 0 || height_px == 0)
        return "a side is 0";
    if (width_px > SL_FRAME_WIDTH_MAX_PX || height_px > SL_FRAME_HEIGHT_MAX_PX)
        return "a side is above 8192 px";
    if (width_px % shape->multiple_px != 0 || height_px % shape->multiple_rows != 0)
        return "this format needs even sides";
    return NULL;
}

size_t sl_frame_size_bytes(uint32_t fourcc, uint32_t width_px, uint32_t height_px)
{
    const struct format_shape *shape = shape_of(fourcc);
    if (shape == NULL || size_problem(shape, width_px, height_px) != NULL)
        return 0;
    size_t size = 0;
    for (uint32_t i = 0; i < shape->plane_count; i++) {
        const struct plane_shape *plane = &shape->planes[i];
        size += (size_t)row_bytes(plane, width_px) * (height_px / plane->rows_divisor);
    }
    return size;
}

int sl_frame_layout(struct sl_frame_info *info, uint32_t fourcc, uint32_t width_px,
                    uint32_t height_px)
{
    size_t size = sl_frame_size_bytes(fourcc, width_px, height_px);
    if (size == 0)
        return -EINVAL;
    const struct format_shape *shape = shape_of(fourcc);
    info->fourcc = fourcc;
    info->width_px = width_px;
    info->height_px = height_px;
    info->size_bytes = (uint32_t)size;
    info->plane_count = shape->plane_count;
    memset(info->planes, 0, sizeof info->planes);
    uint32_t offset = 0;
    for (uint32_t i = 0; i < shape->plane_count; i++) {
        const struct plane_shape *plane = &shape->planes[i];
        info->planes[i].offset_bytes = offset;
        info->planes[i].stride_bytes = row_bytes(plane, width_px);
        offset += info->planes[i].stride_bytes * (height_px / plane->rows_divisor);
    }
    return 0;
}

int sl_frame_check(const struct sl_frame_info *info, size_t size_bytes, struct sl_error *err)
{
    char name[5];
    if (info->size_bytes > size_bytes)
        return sl_error_set(err, -EPROTO, "the frame claims %u bytes, but %zu are there",
                            info->size_bytes, size_bytes);
    if (info->fourcc == SL_FORMAT_MJPEG) {
        if (info->plane_count != 1 || info->planes[0].offset_bytes >= info->size_bytes)
            return sl_error_set(err, -EPROTO, "the MJPEG frame is empty");
        return 0;
    }
    const struct format_shape *shape = shape_of(info->fourcc);
    if (shape == NULL)
        return sl_error_set(err, -EPROTO, "unknown pixel format %s",
                            sl_frame_format_name(info->fourcc, name));
    const char *problem = size_problem(shape, info->width_px, info->height_px);
    if (problem != NULL)
        return sl_error_set(err, -EPROTO, "%s frame of %u x %u px: %s", shape->name, info->width_px,
                            info->height_px, problem);
    if (info->plane_count != shape->plane_count)
        return sl_error_set(err, -EPROTO, "%s has %u planes, the frame claims %u", shape->name,
                            shape->plane_count, info->plane_count);
    for (uint32_t i = 0; i < shape->plane_count; i++) {
        const struct plane_shape *plane = &shape->planes[i];
        uint64_t row = row_bytes(plane, info->width_px);
        uint64_t rows = info->height_px / plane->rows_divisor;
        uint64_t end =
            info->planes[i].offset_bytes + (rows - 1) * info->planes[i].stride_bytes + row;
        if (info->planes[i].stride_bytes < row || end > info->size_bytes)
            return sl_error_set(err, -EPROTO,
                                "plane %u of the %s frame (offset %u, stride %u) does not fit its "
                                "%u bytes",
                                i, shape->name, info->planes[i].offset_bytes,
                                info->planes[i].stride_bytes, info->size_bytes);
    }
    return 0;
}

const char *sl_frame_format_name(uint32_t fourcc, char name[5])
{
    for (int i = 0; i < 4; i++) {
        unsigned char c = (unsigned char)(fourcc >> (8 * i));
        if (!isprint(c)) {
            memcpy(name, "????", 5);
            return name;
        }
        name[i] = (char)c;
    }
    name[4] = '\0';
    return name;
}

uint32_t sl_frame_format_parse(const char *name)
{
    for (size_t i = 0; i < SHAPE_COUNT; i++) {
        char code[5];
        if (strcasecmp(name, SHAPES[i].name) == 0 ||
            strcasecmp(name, sl_frame_format_name(SHAPES[i].fourcc, code)) == 0)
            return SHAPES[i].fourcc;
    }
    if (strcasecmp(name, "MJPEG") == 0 || strcasecmp(name, "MJPG") == 0)
        return SL_FORMAT_MJPEG;
    return 0;
}
