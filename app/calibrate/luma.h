/* A picture's brightness, as the calibration reads it. */
#ifndef SL_APP_CALIBRATE_LUMA_H
#define SL_APP_CALIBRATE_LUMA_H

#include <stddef.h>
#include <stdint.h>

/* 8 bits a pixel; not owned. */
struct sl_luma {
    const uint8_t *pixels;
    uint32_t width_px, height_px;
    size_t stride_bytes;
};

#endif
