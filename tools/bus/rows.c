#include "tools/bus/rows.h"

#include <string.h>

#define ONE  (1 << 16) /* fractions of 16 bits */
#define HALF (ONE / 2)

static const uint8_t *row_of(const struct sl_frame_info *info, const void *pixels, uint32_t plane,
                             uint32_t y)
{
    return (const uint8_t *)pixels + info->planes[plane].offset_bytes +
           (size_t)y * info->planes[plane].stride_bytes;
}

static uint8_t clamp(int value)
{
    return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

/* ITU-T T.871 (JFIF), section 7. */
static uint8_t luma_of(int r, int g, int b)
{
    return clamp((19595 * r + 38470 * g + 7471 * b + HALF) / ONE);
}

static int scaled(int factor, int value)
{
    const int product = factor * value;
    return product >= 0 ? (product + HALF) / ONE : -((-product + HALF) / ONE);
}

static void put_ycc(uint8_t *rgb, int y, int cb, int cr)
{
    cb -= 128;
    cr -= 128;
    rgb[0] = clamp(y + scaled(91881, cr));
    rgb[1] = clamp(y - scaled(22554, cb) - scaled(46802, cr));
    rgb[2] = clamp(y + scaled(116130, cb));
}

void bus_row_luma(const struct sl_frame_info *info, const void *pixels, uint32_t y, uint8_t *out)
{
    const uint8_t *in = row_of(info, pixels, 0, y);
    const uint32_t step = info->fourcc == SL_FORMAT_BGRA ? 4 : 3;
    switch (info->fourcc) {
    case SL_FORMAT_YUYV:
        for (uint32_t x = 0; x < info->width_px; x++)
            out[x] = in[2 * x];
        break;
    case SL_FORMAT_BGR24:
    case SL_FORMAT_BGRA:
        for (uint32_t x = 0; x < info->width_px; x++, in += step)
            out[x] = luma_of(in[2], in[1], in[0]);
        break;
    default: /* GRAY8, NV12 */
        memcpy(out, in, info->width_px);
    }
}

void bus_row_rgb(const struct sl_frame_info *info, const void *pixels, uint32_t y, uint8_t *out)
{
    const uint8_t *in = row_of(info, pixels, 0, y);
    const uint32_t step = info->fourcc == SL_FORMAT_BGRA ? 4 : 3;
    const uint8_t *chroma;
    switch (info->fourcc) {
    case SL_FORMAT_NV12:
        chroma = row_of(info, pixels, 1, y / 2);
        for (uint32_t x = 0; x < info->width_px; x++, out += 3)
            put_ycc(out, in[x], chroma[x / 2 * 2], chroma[x / 2 * 2 + 1]);
        break;
    case SL_FORMAT_YUYV:
        for (uint32_t x = 0; x < info->width_px; x++, out += 3)
            put_ycc(out, in[2 * x], in[x / 2 * 4 + 1], in[x / 2 * 4 + 3]);
        break;
    case SL_FORMAT_BGR24:
    case SL_FORMAT_BGRA:
        for (uint32_t x = 0; x < info->width_px; x++, in += step, out += 3) {
            out[0] = in[2];
            out[1] = in[1];
            out[2] = in[0];
        }
        break;
    default: /* GRAY8 */
        for (uint32_t x = 0; x < info->width_px; x++, out += 3)
            memset(out, in[x], 3);
    }
}
