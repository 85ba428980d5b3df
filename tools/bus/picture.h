/* Frames as picture files. */
#ifndef SL_TOOLS_BUS_PICTURE_H
#define SL_TOOLS_BUS_PICTURE_H

#include <stdio.h>

#include "rt/error.h"
#include "rt/frame.h"

/* Each writes the frame, whose layout sl_frame_check() has passed. 0, or a
 * negative errno with a sentence: -ENOTSUP for what the kind of file cannot
 * hold (MJPEG frames are JPEG files already, and become nothing else here). */

/* Colours and luma as in the frame, compressed a little. */
int bus_picture_write_jpeg(FILE *to, const struct sl_frame_info *info, const void *pixels,
                           struct sl_error *err);

/* RGB, or gray for GRAY8, without loss and without compression. */
int bus_picture_write_png(FILE *to, const struct sl_frame_info *info, const void *pixels,
                          struct sl_error *err);

/* Luma alone, as the lane detector sees it. */
int bus_picture_write_pgm(FILE *to, const struct sl_frame_info *info, const void *pixels,
                          struct sl_error *err);

#endif
