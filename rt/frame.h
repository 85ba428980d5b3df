/* A picture: what its bytes mean, and where they lie.
 *
 * Frames keep the format that their camera delivers. Lane detection works on
 * luma, which GRAY8 and NV12 hold as a plane of its own. */
#ifndef SL_RT_FRAME_H
#define SL_RT_FRAME_H

#include <stddef.h>
#include <stdint.h>

#include "rt/error.h"

#define SL_FOURCC(a, b, c, d)                                                                      \
    ((uint32_t)(uint8_t)(a) | (uint32_t)(uint8_t)(b) << 8 | (uint32_t)(uint8_t)(c) << 16 |         \
     (uint32_t)(uint8_t)(d) << 24)

/* The codes are V4L2's. */
enum sl_format {
    SL_FORMAT_GRAY8 = SL_FOURCC('G', 'R', 'E', 'Y'),
    SL_FORMAT_NV12 = SL_FOURCC('N', 'V', '1', '2'),
    SL_FORMAT_YUYV = SL_FOURCC('Y', 'U', 'Y', 'V'),
    SL_FORMAT_BGR24 = SL_FOURCC('B', 'G', 'R', '3'),
    SL_FORMAT_BGRA = SL_FOURCC('B', 'G', 'R', '4'),
    SL_FORMAT_MJPEG = SL_FOURCC('M', 'J', 'P', 'G'),
};

#define SL_FRAME_PLANES_MAX    3
#define SL_FRAME_WIDTH_MAX_PX  8192
#define SL_FRAME_HEIGHT_MAX_PX 8192

/* Travels in a bus slot's meta area: fixed size, no pointers. */
struct sl_frame_info {
    uint64_t frame_id;    /* counts up by one a frame the sensor took, from 1 */
    uint64_t exposed_ns;  /* middle of the exposure */
    uint64_t received_ns; /* when the pixels were complete in memory */
    uint64_t dropped;     /* frames lost before this one, since the source started */
    uint32_t fourcc;      /* enum sl_format */
    uint32_t width_px;
    uint32_t height_px;
    uint32_t size_bytes; /* of all planes, from the first byte */
    uint32_t plane_count;
    struct {
        uint32_t offset_bytes; /* from the frame's first byte */
        uint32_t stride_bytes; /* from a row to the next; 0 for MJPEG */
    } planes[SL_FRAME_PLANES_MAX];
    uint32_t reserved[3];
};
_Static_assert(sizeof(struct sl_frame_info) == 88, "the layout is shared between processes");

/* Bytes that a frame of this format takes with tight rows; 0 if the format is
 * unknown, has no fixed size (MJPEG), or a side is 0, odd where chroma is
 * halved, or above the maximum. */
size_t sl_frame_size_bytes(uint32_t fourcc, uint32_t width_px, uint32_t height_px);

/* Fills format, size, planes and strides for tight rows; leaves identity and
 * times alone. 0, or -EINVAL where sl_frame_size_bytes() would say 0. */
int sl_frame_layout(struct sl_frame_info *info, uint32_t fourcc, uint32_t width_px,
                    uint32_t height_px);

/* Checks that every row of every plane lies inside `size_bytes`, whatever a
 * peer or a driver wrote. 0, or -EPROTO with the reason in `err`. */
int sl_frame_check(const struct sl_frame_info *info, size_t size_bytes, struct sl_error *err);

/* "NV12" and the like, for people; "????" where it is not printable.
 * `name` has room for 5 bytes; returned. */
const char *sl_frame_format_name(uint32_t fourcc, char name[5]);

/* The reverse, case ignored, "GRAY8" and "GREY" both understood; 0 if unknown. */
uint32_t sl_frame_format_parse(const char *name);

#endif
