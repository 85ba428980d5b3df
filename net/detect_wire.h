/* Remote detection's messages as bytes: a picture there, a lane back.
 *
 * docs/protocol.md gives every byte. All numbers are little-endian, floats are
 * IEEE 754. Nothing of the structs below depends on a machine's layout: each
 * field is written and read for itself. What comes from the other side is not
 * trusted: any bytes are either a message or an error with a sentence.
 *
 * Pure functions; any thread; no allocation. */
#ifndef SL_NET_DETECT_WIRE_H
#define SL_NET_DETECT_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rt/error.h"
#include "rt/frame.h"
#include "rt/records.h"

#define SL_DETECT_WIRE_VERSION 1
#define SL_DETECT_PORT         5556

#define SL_DETECT_REQUEST_BYTES 88                 /* the first part of a request */
#define SL_DETECT_PICTURE_MAX   ((size_t)16 << 20) /* its second part: 4K as NV12 fits */
#define SL_DETECT_REPLY_BYTES   64                 /* a reply without its body */
#define SL_DETECT_LANE_BYTES    608                /* the body with a detection */
#define SL_DETECT_SENTENCE_MAX  500                /* the body with an error, in bytes */
#define SL_DETECT_REPLY_MAX     (SL_DETECT_REPLY_BYTES + SL_DETECT_LANE_BYTES)

/* Beside enum sl_format: a picture file as hal/camera/image.h reads them,
 * known by its first bytes. SL_FORMAT_MJPEG is one too. */
#define SL_DETECT_ENCODING_FILE SL_FOURCC('F', 'I', 'L', 'E')

struct sl_detect_request {
    uint64_t sequence; /* the client's choice; the reply repeats it */
    bool reset;        /* forget the frames before: another clip, the vehicle was moved */
    /* frame_id, exposed_ns and received_ns are the client's and come back as
     * they are. fourcc: a raw format, or SL_FORMAT_MJPEG or
     * SL_DETECT_ENCODING_FILE, whose sides are then 0. size_bytes: of the
     * picture. `dropped` and `reserved` do not travel. */
    struct sl_frame_info frame;
};

enum sl_detect_status {
    SL_DETECT_OK = 0,
    SL_DETECT_BAD_REQUEST = 1, /* the header is none, or contradicts itself */
    SL_DETECT_BAD_PICTURE = 2, /* the picture cannot be read */
    SL_DETECT_SUPERSEDED = 3,  /* the same client asked anew before its turn came */
    SL_DETECT_STATUS_COUNT
};

struct sl_detect_reply {
    uint32_t status; /* enum sl_detect_status */
    uint64_t sequence;
    uint64_t frame_id;
    /* Durations by the server's clock. */
    uint64_t waited_ns;   /* from taking the request off the socket until its turn */
    uint64_t decoded_ns;  /* to make pixels of a picture file; raw: nearly 0 */
    uint64_t detected_ns; /* the detector's own */
    uint64_t total_ns;    /* from taking the request off the socket until the reply was made */
    /* For SL_DETECT_OK. started_ns and finished_ns are the server's clock. */
    struct sl_detection lane;
    /* Else: what is wrong, in words. */
    struct sl_error problem;
};

/* Writes a request's first part; the second is the picture's bytes as they are. */
void sl_detect_wire_put_request(uint8_t bytes[SL_DETECT_REQUEST_BYTES],
                                const struct sl_detect_request *request);

/* Reads a request's first part, which came with a picture of `picture_bytes`.
 * 0: every row of the picture lies inside it, `request->frame` has planes and
 * strides also where the client left them out; -EPROTO with a sentence. Then
 * `request` is all zero but for the sequence and frame_id as far as they could
 * be read, for the reply. `bytes` may be NULL if `size` is 0. */
int sl_detect_wire_get_request(const void *bytes, size_t size, size_t picture_bytes,
                               struct sl_detect_request *request, struct sl_error *err);

/* Writes a reply, returns its bytes. A sentence is cut after
 * SL_DETECT_SENTENCE_MAX bytes. */
size_t sl_detect_wire_put_reply(uint8_t bytes[SL_DETECT_REPLY_MAX],
                                const struct sl_detect_reply *reply);

/* Reads a reply. 0: also if the server tells a problem (reply->status, and a
 * sentence of printable characters in reply->problem); a detection has only
 * finite numbers, a known state and at most SL_LANE_POINTS_MAX points a line.
 * -EPROTO with a sentence: it is no reply; `reply` is all zero. */
int sl_detect_wire_get_reply(const void *bytes, size_t size, struct sl_detect_reply *reply,
                             struct sl_error *err);

#endif
