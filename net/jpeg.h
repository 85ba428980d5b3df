/* Frames to JPEG, through libjpeg-turbo. */
#ifndef SL_NET_JPEG_H
#define SL_NET_JPEG_H

#include <stddef.h>
#include <stdint.h>

#include "rt/error.h"
#include "rt/frame.h"

struct sl_jpeg_encoder;
struct sl_jpeg_encoder *sl_jpeg_encoder_create(void); /* NULL: no memory */
void sl_jpeg_encoder_destroy(struct sl_jpeg_encoder *encoder);

/* Encodes a GRAY8, NV12, YUYV, BGR24 or BGRA frame at `quality` 1..100. The
 * bytes stay the encoder's, until its next call. One thread at a time; some
 * milliseconds for a megapixel. 0; -ENOTSUP (format), -EINVAL, -ENOMEM. */
int sl_jpeg_encode(struct sl_jpeg_encoder *encoder, const struct sl_frame_info *info,
                   const void *pixels, int quality, const uint8_t **bytes, size_t *size,
                   struct sl_error *err);

#endif
