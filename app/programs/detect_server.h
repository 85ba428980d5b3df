/* skylane-detect as a server: over buses, or over ZMQ. */
#ifndef SL_APP_PROGRAMS_DETECT_SERVER_H
#define SL_APP_PROGRAMS_DETECT_SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include "app/config/settings.h"
#include "app/detect/detect.h"
#include "net/detect_server.h"
#include "rt/histogram.h"
#include "rt/log.h"

struct sl_detect_serve {
    const struct sl_settings *settings; /* checked; bus names, camera, detector */
    const char *host;                   /* ZMQ: where to listen */
    uint16_t port;                      /* ZMQ: 0 takes a free one */
    int insecure;                       /* ZMQ: how often --insecure was said */
    bool json;                          /* the summary as JSON */
    struct sl_log *log;                 /* outlives the call */
};

/* Reads bus.camera, writes bus.detection, until SIGINT or SIGTERM; then prints
 * the summary on standard output. Camera and reader of the lanes may come and
 * go. Detection runs in a thread of its own, with the settings' real-time
 * priority where that is granted. The exit status; what failed is told on
 * standard error. */
int sl_detect_serve_buses(const struct sl_detect_serve *options);

/* The same for clients over ZMQ. One thread of ordinary priority answers all,
 * one after the other. */
int sl_detect_serve_zmq(const struct sl_detect_serve *options);

/* ---- shared by both, private to them ---- */

/* What the summary counts. One writer; it is read after that has ended. */
struct sl_detect_tally {
    uint64_t frames;   /* that a detection was given for */
    uint64_t missed;   /* published, but newer ones were there when their turn came */
    uint64_t overrun;  /* the camera took them back while they were looked at */
    uint64_t unusable; /* no picture that can be read */
    uint64_t states[SL_LANE_TWO_LINES + 1];
    uint64_t first_ns, last_ns; /* when the first and the last were finished */
    struct sl_histogram detection;
    struct sl_histogram age; /* from exposure to the detection's end; empty: unknown */
};

void sl_detect_tally_add(struct sl_detect_tally *tally, const struct sl_detection *found);

/* Prints it; `zmq` is NULL for buses. 0, or -EIO if standard output failed. */
int sl_detect_tally_print(const struct sl_detect_tally *tally,
                          const struct sl_detect_server_stats *zmq, bool json);

/* Pictures to pixels: raw frames as they are, picture files decoded to NV12 in
 * memory that grows with the largest so far. */
struct sl_picture_reader {
    struct sl_image_decoder *decoder;
    uint8_t *pixels;
    size_t capacity;
};

#define SL_PICTURE_PIXELS_MAX (UINT32_C(4096) * 4096) /* more is no camera's frame */

int sl_picture_reader_open(struct sl_picture_reader *reader, struct sl_error *err); /* 0, -ENOMEM */
void sl_picture_reader_close(struct sl_picture_reader *reader);

/* `info` and `data` are a frame that sl_frame_check() passed or a picture file
 * of info->size_bytes - offset bytes. On success `out` describes `*pixels`,
 * with the identity and times of `info`: either `data` itself or the reader's
 * memory, until the next call. 0; -EPROTO with a sentence (bad bytes, too many
 * pixels); -ENOMEM. libjpeg allocates while it decodes. */
int sl_picture_read(struct sl_picture_reader *reader, const struct sl_frame_info *info,
                    const void *data, struct sl_frame_info *out, const void **pixels,
                    struct sl_error *err);

#endif
