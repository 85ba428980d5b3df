/* Reads picture files: JPEG through libjpeg-turbo, and binary PGM (P5) and
 * PPM (P6) of 8 bits. Trusts nothing in the bytes: a truncated, oversized or
 * corrupt picture is an error with a sentence, never a crash or a half frame.
 *
 * Colours are BT.601 with full range, as JPEG has them (Y = 0.299 R + 0.587 G
 * + 0.114 B, all of 0..255), whatever the file. Chroma that has to be reduced
 * is averaged; grayscale pictures get neutral chroma.
 *
 * Bytes after a complete picture are ignored. A JPEG whose end marker is
 * missing is truncated, even if all its rows could be decoded. */
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

/* Reads the size only, from the header: the rest may still be bad.
 * 0, or -EPROTO with the reason (this includes a side of 0 or above 8192 px). */
int sl_image_probe(struct sl_image_decoder *decoder, const void *bytes, size_t size,
                   uint32_t *width_px, uint32_t *height_px, struct sl_error *err);

/* Decodes into `memory` with tight rows as `fourcc` (GRAY8, NV12, YUYV or
 * BGR24; JPEG luma goes straight to luma) and fills info's layout. NV12 and
 * YUYV of odd sizes drop the last column or row. 0; -EPROTO (bad bytes, or a
 * kind of picture that is not read, such as CMYK), -ENOSPC (`capacity`),
 * -ENOTSUP (`fourcc`). On error `memory` and the layout in `info` are undefined.
 *
 * libjpeg allocates while it decodes (some hundred KiB; at most 256 MiB more
 * for progressive pictures) and gives it back. PGM and PPM allocate nothing. */
int sl_image_decode(struct sl_image_decoder *decoder, const void *bytes, size_t size,
                    uint32_t fourcc, void *memory, size_t capacity, struct sl_frame_info *info,
                    struct sl_error *err);

#endif
