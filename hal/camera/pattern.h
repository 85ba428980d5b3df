/* What the pattern camera shows: a straight lane of 3.5 m, seen by a camera
 * 1.3 m above its middle which looks down by 0.09 rad with a focal length of
 * 0.7 picture widths; a bright square that crosses the sky; and the frame's id
 * in black and white cells along the upper edge. Gray in every format. */
#ifndef SL_HAL_CAMERA_PATTERN_H
#define SL_HAL_CAMERA_PATTERN_H

#include <stdbool.h>
#include <stdint.h>

#include "rt/frame.h"

#define SL_PATTERN_WIDTH_MIN_PX  64
#define SL_PATTERN_HEIGHT_MIN_PX 16

/* Reads the low 32 bits of the id that is drawn into a picture, so that a test
 * knows which frame it really holds. False if the upper edge shows no id, or
 * the format is MJPEG. The frame has passed sl_frame_check(). */
bool sl_pattern_read_id(const struct sl_frame_info *info, const void *pixels, uint32_t *id);

#endif
