/* What the libcamera driver decides without libcamera: pure functions, and where the
 * plug-in is found. Private to hal/camera/ and its tests. */
#ifndef SL_HAL_CAMERA_LIBCAMERA_PARTS_H
#define SL_HAL_CAMERA_LIBCAMERA_PARTS_H

#include <stddef.h>
#include <stdint.h>

#include "hal/camera/libcamera_api.h"
#include "rt/error.h"
#include "rt/frame.h"

/* ---- which camera ---- */

struct sl_libcamera_name {
    char id[256];
    char model[64];
};

/* `source` is an id, a number (in the order of `names`), a part of an id or of a
 * model, or empty for the first. Its number; -ENODEV (there is none of this name:
 * `err` lists those there are), -EINVAL (several: the same). */
int sl_libcamera_choose(const char *source, const struct sl_libcamera_name *names, size_t count,
                        struct sl_error *err);

/* ---- which format, and how it becomes ours ---- */

/* How rows become those of a frame. */
enum sl_libcamera_copy {
    SL_LIBCAMERA_COPY,       /* as they are */
    SL_LIBCAMERA_LUMA,       /* the first plane alone */
    SL_LIBCAMERA_INTERLEAVE, /* two planes of chroma become one */
    SL_LIBCAMERA_SWAP,       /* R, G, B become B, G, R */
};

struct sl_libcamera_way {
    uint32_t theirs; /* DRM's code */
    uint32_t ours;   /* enum sl_format */
    enum sl_libcamera_copy copy;
};

/* Way number `rank` to frames of `wanted`, best first: the wanted format itself, then
 * others as the camera has them. NULL behind the last. */
const struct sl_libcamera_way *sl_libcamera_way(uint32_t wanted, size_t rank);

/* Whether each plane of a buffer holds its rows: -EPROTO with the reason if not. */
int sl_libcamera_check(const struct sl_libcamera_way *way, const struct sl_libcamera_format *format,
                       const struct sl_libcamera_buffer *buffer, struct sl_error *err);

/* Writes the rows of a checked buffer tightly to `memory`, which has room for a frame
 * of way->ours in the format's size, and tells its layout. */
void sl_libcamera_unpack(const struct sl_libcamera_way *way,
                         const struct sl_libcamera_format *format,
                         const struct sl_libcamera_buffer *buffer, uint8_t *memory,
                         struct sl_frame_info *info);

/* ---- when, and how many before ---- */

/* Time of exposure in CLOCK_MONOTONIC. libcamera documents sensor times in
 * CLOCK_BOOTTIME, which also counts while the machine sleeps; what its pipelines
 * give today is the kernel's CLOCK_MONOTONIC. So a stamp is taken as the latter,
 * and as the former if it lies in the future as the latter. `boot_ahead_ns` is how
 * far CLOCK_BOOTTIME is ahead. A stamp that is nothing (0), in the future on both,
 * or before `earliest_ns` is replaced by `arrived_ns`. */
uint64_t sl_libcamera_exposed_ns(uint64_t stamp_ns, uint64_t arrived_ns, uint64_t boot_ahead_ns,
                                 uint64_t earliest_ns);

/* Frames between two that came, by the device's own numbers: 0 where these stand
 * still, or jump as they do after a reset. */
uint32_t sl_libcamera_gap(uint32_t last, uint32_t sequence);

/* ---- the plug-in ---- */

/* Loads it with the first call; it stays. NULL with the remedy in `err`: this build
 * has none, or libcamera is not installed. A file of its own, so that a test can
 * bring another table. Not for real-time threads. */
const struct sl_libcamera_api *sl_libcamera_load(struct sl_error *err);

#endif
