/* A smaller copy of a frame, for thin links: each pixel is the average of a box of
 * `scale` x `scale` pixels, exact and rounded to the nearest, for luma and chroma (or
 * blue, green and red) alike. What is left of a box at the right and at the bottom is
 * not in the copy. Pure. */
#ifndef SL_NET_SHRINK_H
#define SL_NET_SHRINK_H

#include <stdint.h>

#include "rt/error.h"
#include "rt/frame.h"

#define SL_SHRINK_MIN 2
#define SL_SHRINK_MAX 8

/* Describes in `small` what sl_shrink() makes of such a frame: of the same moment and
 * format (but BGRA becomes BGR24), with tight rows. Its corner is the frame's, and
 * pixels are `scale` times as far from it there. 0; -ENOTSUP (MJPEG, unknown formats);
 * -EINVAL (a scale beyond the limits, a frame smaller than its boxes); -EPROTO (its
 * layout cannot be) with a sentence. */
int sl_shrink_layout(const struct sl_frame_info *info, uint32_t scale, struct sl_frame_info *small,
                     struct sl_error *err);

/* Makes the copy in `out`, which has room for small->size_bytes; `info` and `small` as
 * sl_shrink_layout() accepted and wrote them. Reads every byte of the frame once. */
void sl_shrink(const struct sl_frame_info *info, const void *pixels, uint32_t scale,
               const struct sl_frame_info *small, uint8_t *out);

#endif
