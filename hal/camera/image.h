/* Reads picture files: JPEG through libjpeg-turbo, and binary PGM (P5) and
 * PPM (P6) of 8 bits. Trusts nothing in the bytes: a truncated, oversized or
 * corrupt picture is an error with a sentence, never a crash or a half frame. */
#ifndef SL_HAL_CAMERA_IMAGE_H
#define SL_HAL_CAMERA_IMAGE_H

#include <stddef.h>
#include <stdint.h>

#include "rt/error.h"
#include "rt/frame.h"

/* A decoder keeps what decoding needs between pictures. One thread at a time. */
struct sl_image_decoder;
struct sl_image_decoder *sl_image_decoder_create(void); /* NULL: no memory */
void sl_image_decoder_destroy(struct sl_image_decoder *decoder);

/* Reads size only. 0, or -EPROTO with the reason. */
int sl_image_probe(struct sl_image_decoder *decoder, const void *bytes, size_t size,
                   uint32_t *width_px, uint32_t *height_px, struct sl_error *err);

/* Decodes into `memory` with tight rows as `fourcc` (GRAY8, NV12, YUYV or
 * BGR24; JPEG luma goes straight to luma) and fills info's layout. NV12 and
 * YUYV of odd sizes drop the last column or row. 0; -EPROTO (bad bytes),
 * -ENOSPC (`capacity`), -ENOTSUP (format). On error `memory` is undefined. */
int sl_image_decode(struct sl_image_decoder *decoder, const void *bytes, size_t size,
                    uint32_t fourcc, void *memory, size_t capacity, struct sl_frame_info *info,
                    struct sl_error *err);

#endif
