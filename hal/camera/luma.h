/* The luma of frames that interleave it. */
#ifndef SL_HAL_CAMERA_LUMA_H
#define SL_HAL_CAMERA_LUMA_H

#include <stddef.h>
#include <stdint.h>

/* Every other byte of `height_px` rows of `width_px` pixels, which begin `stride_bytes`
 * apart: tight rows of luma. 800x600: some 30 us. */
void sl_luma_from_yuyv(const uint8_t *yuyv, size_t stride_bytes, uint32_t width_px,
                       uint32_t height_px, uint8_t *luma);

#endif
