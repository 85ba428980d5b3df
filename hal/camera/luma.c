#include "hal/camera/luma.h"

/* Vectorised by the compiler: see CMakeLists.txt. */
static void row(const uint8_t *restrict yuyv, uint32_t width_px, uint8_t *restrict luma)
{
    for (uint32_t x = 0; x < width_px; x++)
        luma[x] = yuyv[2 * (size_t)x];
}

void sl_luma_from_yuyv(const uint8_t *yuyv, size_t stride_bytes, uint32_t width_px,
                       uint32_t height_px, uint8_t *luma)
{
    for (uint32_t y = 0; y < height_px; y++)
        row(yuyv + y * stride_bytes, width_px, luma + (size_t)y * width_px);
}
