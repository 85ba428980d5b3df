#include "net/shrink.h"

#include <errno.h>
#include <string.h>

#define ROW_BYTES_MAX ((size_t)SL_FRAME_WIDTH_MAX_PX * 4) /* BGRA's */
#define SAMPLES_MAX   4

/* Where a row has the samples of one kind: one luma of YUYV, say, every two bytes. */
struct samples {
    uint32_t first_bytes, step_bytes;             /* in the frame */
    uint32_t small_first_bytes, small_step_bytes; /* in the copy */
    uint32_t per_two_px;                          /* of the copy */
};

struct plane {
    uint32_t rows_divisor;
    struct samples samples[SAMPLES_MAX]; /* ends with a step of 0 */
};

struct shape {
    uint32_t fourcc, small_fourcc;
    uint32_t multiple_px, multiple_rows; /* that the copy's sides must be */
    struct plane planes[2];
};

static const struct shape SHAPES[] = {
    {SL_FORMAT_GRAY8, SL_FORMAT_GRAY8, 1, 1, {{1, {{0, 1, 0, 1, 2}}}}},
    {SL_FORMAT_NV12,
     SL_FORMAT_NV12,
     2,
     2,
     {{1, {{0, 1, 0, 1, 2}}}, {2, {{0, 2, 0, 2, 1}, {1, 2, 1, 2, 1}}}}},
    {SL_FORMAT_YUYV,
     SL_FORMAT_YUYV,
     2,
     1,
     {{1, {{0, 2, 0, 2, 2}, {1, 4, 1, 4, 1}, {3, 4, 3, 4, 1}}}}},
    {SL_FORMAT_BGR24,
     SL_FORMAT_BGR24,
     1,
     1,
     {{1, {{0, 3, 0, 3, 2}, {1, 3, 1, 3, 2}, {2, 3, 2, 3, 2}}}}},
    {SL_FORMAT_BGRA,
     SL_FORMAT_BGR24,
     1,
     1,
     {{1, {{0, 4, 0, 3, 2}, {1, 4, 1, 3, 2}, {2, 4, 2, 3, 2}}}}},
};

static const struct shape *shape_of(uint32_t fourcc)
{
    for (size_t i = 0; i < sizeof SHAPES / sizeof SHAPES[0]; i++)
        if (SHAPES[i].fourcc == fourcc)
            return &SHAPES[i];
    return NULL;
}

int sl_shrink_layout(const struct sl_frame_info *info, uint32_t scale, struct sl_frame_info *small,
                     struct sl_error *err)
{
    char name[5];
    const struct shape *shape = shape_of(info->fourcc);
    if (shape == NULL)
        return sl_error_set(err, -ENOTSUP, "there is no smaller copy of %s frames",
                            sl_frame_format_name(info->fourcc, name));
    if (scale < SL_SHRINK_MIN || scale > SL_SHRINK_MAX)
        return sl_error_set(err, -EINVAL, "pictures cannot be made %u times smaller, but %d to %d",
                            scale, SL_SHRINK_MIN, SL_SHRINK_MAX);
    const int rc = sl_frame_check(info, info->size_bytes, err);
    if (rc != 0)
        return rc;
    const uint32_t width_px = info->width_px / scale / shape->multiple_px * shape->multiple_px;
    const uint32_t height_px =
        info->height_px / scale / shape->multiple_rows * shape->multiple_rows;
    memcpy(small, info, sizeof *small);
    if (sl_frame_layout(small, shape->small_fourcc, width_px, height_px) != 0)
        return sl_error_set(err, -EINVAL, "a picture of %u x %u px is too small to be shrunk by %u",
                            info->width_px, info->height_px, scale);
    return 0;
}

/* Whole columns first, since bytes that lie side by side are added many at a time. */
static void add_rows(uint16_t *sums, const uint8_t *rows, uint32_t stride_bytes, uint32_t count,
                     uint32_t bytes)
{
    memset(sums, 0, bytes * sizeof *sums);
    for (uint32_t y = 0; y < count; y++)
        for (uint32_t x = 0; x < bytes; x++)
            sums[x] = (uint16_t)(sums[x] + rows[(size_t)y * stride_bytes + x]);
}

static void average(const uint16_t *sums, const struct samples *s, uint32_t scale, uint32_t count,
                    uint8_t *out)
{
    const uint32_t area = scale * scale;
    for (uint32_t x = 0; x < count; x++) {
        uint32_t sum = area / 2; /* rounds */
        for (uint32_t i = 0; i < scale; i++)
            sum += sums[s->first_bytes + (x * scale + i) * s->step_bytes];
        out[s->small_first_bytes + x * s->small_step_bytes] = (uint8_t)(sum / area);
    }
}

void sl_shrink(const struct sl_frame_info *info, const void *pixels, uint32_t scale,
               const struct sl_frame_info *small, uint8_t *out)
{
    uint16_t sums[ROW_BYTES_MAX];
    const struct shape *shape = shape_of(info->fourcc);
    for (uint32_t p = 0; p < info->plane_count; p++) {
        const struct plane *plane = &shape->planes[p];
        const uint8_t *from = (const uint8_t *)pixels + info->planes[p].offset_bytes;
        uint8_t *to = out + small->planes[p].offset_bytes;
        uint32_t used_bytes = 0; /* of the frame's rows */
        for (const struct samples *s = plane->samples; s->step_bytes != 0; s++) {
            const uint32_t count = small->width_px * s->per_two_px / 2;
            const uint32_t end = s->first_bytes + (count * scale - 1) * s->step_bytes + 1;
            used_bytes = end > used_bytes ? end : used_bytes;
        }
        for (uint32_t y = 0; y < small->height_px / plane->rows_divisor; y++) {
            add_rows(sums, from + (size_t)y * scale * info->planes[p].stride_bytes,
                     info->planes[p].stride_bytes, scale, used_bytes);
            for (const struct samples *s = plane->samples; s->step_bytes != 0; s++)
                average(sums, s, scale, small->width_px * s->per_two_px / 2,
                        to + (size_t)y * small->planes[p].stride_bytes);
        }
    }
}
