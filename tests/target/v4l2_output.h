/* The side of a v4l2loopback device that shows pictures. One thread. */
#ifndef SL_TESTS_TARGET_V4L2_OUTPUT_H
#define SL_TESTS_TARGET_V4L2_OUTPUT_H

#include <stddef.h>

#include "rt/error.h"
#include "rt/frame.h"

/* Opens `path` for frames of this layout. A descriptor, for close(); else negative, with a
 * sentence. */
int v4l2_output_open(const char *path, const struct sl_frame_info *info, struct sl_error *err);

/* Shows the first `bytes` of a frame; fewer than a frame has are a broken one. 0; -EIO
 * with a sentence. */
int v4l2_output_show(int fd, const void *pixels, size_t bytes, struct sl_error *err);

#endif
