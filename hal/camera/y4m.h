/* Reads uncompressed video: YUV4MPEG2, the format that ffmpeg and mjpegtools
 * hand from program to program (y4m(5) of mjpegtools): a line of text, then for
 * each frame a short line and its planes. Read are 8 bits of 4:2:0 and of
 * luminance alone (C420, C420jpeg, C420mpeg2, C420paldv, Cmono).
 *
 * Colours come out as those of pictures do (image.h): BT.601, full range.
 * Video says so only where its header has XCOLORRANGE=FULL; all else has the
 * range of studios (luminance 16..235) and is stretched.
 *
 * Trusts nothing in the bytes. A file is looked through once when it is opened,
 * and its frames can then be had in any order. Standard input comes as it
 * comes. One thread at a time. */
#ifndef SL_HAL_CAMERA_Y4M_H
#define SL_HAL_CAMERA_Y4M_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rt/error.h"
#include "rt/frame.h"

#define SL_Y4M_LINE_MAX   1024    /* bytes of a header's or a frame's line */
#define SL_Y4M_FRAMES_MAX 4000000 /* of a file: 18 hours at 60 a second */

struct sl_y4m_header {
    uint32_t width_px, height_px; /* 1..8192 */
    bool mono;                    /* no chroma */
    bool full_range;
    size_t line_bytes;  /* of the header, its line's end included */
    size_t frame_bytes; /* of a frame's planes */
};

/* Reads the header at the beginning of `bytes`. 0; -EAGAIN (no line's end yet:
 * come again with more); -EPROTO (not such a video, or a kind that is not
 * read). `err` says why after -EPROTO. */
int sl_y4m_parse(const void *bytes, size_t size, struct sl_y4m_header *header,
                 struct sl_error *err);

/* Reads a frame's line at the beginning of `bytes` and tells its length. As
 * above. */
int sl_y4m_parse_frame(const void *bytes, size_t size, size_t *line_bytes, struct sl_error *err);

/* Converts the planes of one frame (header->frame_bytes at `planes`) to tight
 * rows of `fourcc` (GRAY8, NV12, YUYV or BGR24) and fills info's layout. NV12
 * and YUYV of odd sizes drop the last column or row. 0; -ENOTSUP (`fourcc`),
 * -ENOSPC (`capacity`), -EPROTO (too small for this format). */
int sl_y4m_convert(const struct sl_y4m_header *header, const uint8_t *planes, uint32_t fourcc,
                   void *memory, size_t capacity, struct sl_frame_info *info, struct sl_error *err);

struct sl_y4m; /* an open video */

/* Opens a file, or standard input where `path` is "-", and reads its header; of
 * a file, the place of every frame too, some microseconds each. Waits up to 30 s
 * for the header on standard input. 0; -ENOENT and the like; -EPROTO;
 * -ENOMEM; -ETIMEDOUT; -EINTR (a signal came); with a sentence that names the
 * path. *video is NULL after a failure. */
int sl_y4m_open(struct sl_y4m **video, const char *path, struct sl_error *err);
void sl_y4m_close(struct sl_y4m *video); /* NULL is allowed */

const struct sl_y4m_header *sl_y4m_header(const struct sl_y4m *video);

/* Whether frames come once and in their order, as from a pipe. */
bool sl_y4m_is_stream(const struct sl_y4m *video);

/* How many frames a file has; 0 for a stream. What stands behind a damaged
 * frame cannot be found: that frame is the last and counts. */
uint64_t sl_y4m_count(const struct sl_y4m *video);

/* The planes of frame `index` of a file, valid until the next call. Blocks for
 * one read. Allocates nothing. 0; -EPROTO (damaged, or the file changed);
 * -ENODATA (there is no such frame). */
int sl_y4m_read(struct sl_y4m *video, uint64_t index, const uint8_t **planes, struct sl_error *err);

/* The next frame of a stream, the same. Waits until `deadline_ns` at most (0:
 * not at all), and goes on where it was when called again. 0; -ETIMEDOUT;
 * -EPROTO (damaged: told once, the stream has then ended); -ENODATA (the end). */
int sl_y4m_next(struct sl_y4m *video, uint64_t deadline_ns, const uint8_t **planes,
                struct sl_error *err);

#endif
