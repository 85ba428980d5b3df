#include "net/detect_wire.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#define REQUEST_MAGIC SL_FOURCC('S', 'L', 'D', 'Q')
#define REPLY_MAGIC   SL_FOURCC('S', 'L', 'D', 'A')
#define FLAG_RESET    1u

_Static_assert(sizeof(struct sl_detection) == SL_DETECT_LANE_BYTES,
               "a field came or went: carry it below and in docs/protocol.md, and count "
               "SL_DETECT_WIRE_VERSION up");
_Static_assert(sizeof(float) == 4, "floats travel as IEEE 754 single precision");

/* ---- numbers ---- */

/* Where the next number goes, or comes from. Sizes are checked before: each
 * message has one layout. */
struct writer {
    uint8_t *at;
};

struct reader {
    const uint8_t *at;
};

static void put_bytes(struct writer *w, uint64_t value, int count)
{
    for (int i = 0; i < count; i++)
        *w->at++ = (uint8_t)(value >> (8 * i));
}

static void put16(struct writer *w, uint32_t value)
{
    put_bytes(w, value, 2);
}

static void put32(struct writer *w, uint32_t value)
{
    put_bytes(w, value, 4);
}

static void put64(struct writer *w, uint64_t value)
{
    put_bytes(w, value, 8);
}

static void put_floats(struct writer *w, const float *values, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, &values[i], sizeof bits);
        put32(w, bits);
    }
}

static uint64_t get_bytes(struct reader *r, int count)
{
    uint64_t value = 0;
    for (int i = 0; i < count; i++)
        value |= (uint64_t)*r->at++ << (8 * i);
    return value;
}

static uint32_t get16(struct reader *r)
{
    return (uint32_t)get_bytes(r, 2);
}

static uint32_t get32(struct reader *r)
{
    return (uint32_t)get_bytes(r, 4);
}

static uint64_t get64(struct reader *r)
{
    return get_bytes(r, 8);
}

/* False if one of them is none. */
static bool get_floats(struct reader *r, float *values, size_t count)
{
    bool finite = true;
    for (size_t i = 0; i < count; i++) {
        const uint32_t bits = get32(r);
        memcpy(&values[i], &bits, sizeof bits);
        finite = finite && isfinite(values[i]);
    }
    return finite;
}

/* ---- requests ---- */

static bool is_file(uint32_t fourcc)
{
    return fourcc == SL_FORMAT_MJPEG || fourcc == SL_DETECT_ENCODING_FILE;
}

void sl_detect_wire_put_request(uint8_t bytes[SL_DETECT_REQUEST_BYTES],
                                const struct sl_detect_request *request)
{
    const struct sl_frame_info *frame = &request->frame;
    const bool file = is_file(frame->fourcc);
    struct writer w = {bytes};
    put32(&w, REQUEST_MAGIC);
    put16(&w, SL_DETECT_WIRE_VERSION);
    put16(&w, request->reset ? FLAG_RESET : 0);
    put64(&w, request->sequence);
    put64(&w, frame->frame_id);
    put64(&w, frame->exposed_ns);
    put64(&w, frame->received_ns);
    put32(&w, frame->fourcc);
    put32(&w, file ? 0 : frame->width_px);
    put32(&w, file ? 0 : frame->height_px);
    put32(&w, frame->size_bytes);
    put32(&w, file ? 0 : frame->plane_count);
    put32(&w, 0);
    for (uint32_t i = 0; i < SL_FRAME_PLANES_MAX; i++) {
        const bool used = !file && i < frame->plane_count;
        put32(&w, used ? frame->planes[i].offset_bytes : 0);
        put32(&w, used ? frame->planes[i].stride_bytes : 0);
    }
}

/* Fills planes that were left out, and checks those that were not. */
static int check_picture(struct sl_frame_info *frame, size_t picture_bytes, struct sl_error *err)
{
    char name[5];
    if (frame->size_bytes != picture_bytes)
        return sl_error_set(err, -EPROTO,
                            "the request announces a picture of %u bytes, but %zu came",
                            frame->size_bytes, picture_bytes);
    if (picture_bytes == 0 || picture_bytes > SL_DETECT_PICTURE_MAX)
        return sl_error_set(err, -EPROTO,
                            "the picture has %zu bytes; between 1 and %zu are possible",
                            picture_bytes, SL_DETECT_PICTURE_MAX);
    if (is_file(frame->fourcc)) {
        if (frame->width_px != 0 || frame->height_px != 0 || frame->plane_count != 0)
            return sl_error_set(err, -EPROTO,
                                "a picture file tells its size itself: width, height and planes "
                                "must be 0");
        frame->plane_count = 1;
        memset(frame->planes, 0, sizeof frame->planes);
        return 0;
    }
    if (frame->plane_count != 0) {
        if (frame->plane_count > SL_FRAME_PLANES_MAX)
            return sl_error_set(err, -EPROTO, "%u planes are claimed; no format has more than %d",
                                frame->plane_count, SL_FRAME_PLANES_MAX);
        return sl_frame_check(frame, picture_bytes, err);
    }
    const uint32_t width_px = frame->width_px, height_px = frame->height_px;
    if (sl_frame_layout(frame, frame->fourcc, width_px, height_px) != 0)
        return sl_error_set(err, -EPROTO,
                            "a frame %s of %u x %u px is not possible; the formats are GREY, NV12, "
                            "YUYV, BGR3, BGR4, MJPG and FILE",
                            sl_frame_format_name(frame->fourcc, name), width_px, height_px);
    if (frame->size_bytes != picture_bytes)
        return sl_error_set(err, -EPROTO,
                            "%s of %u x %u px has %u bytes, but %zu came; tell the strides if rows "
                            "are padded",
                            sl_frame_format_name(frame->fourcc, name), width_px, height_px,
                            frame->size_bytes, picture_bytes);
    return 0;
}

int sl_detect_wire_get_request(const void *bytes, size_t size, size_t picture_bytes,
                               struct sl_detect_request *request, struct sl_error *err)
{
    memset(request, 0, sizeof *request);
    if (size != SL_DETECT_REQUEST_BYTES)
        return sl_error_set(err, -EPROTO,
                            "a request's first part has %d bytes, not %zu; docs/protocol.md "
                            "describes them",
                            SL_DETECT_REQUEST_BYTES, size);
    struct reader r = {bytes};
    if (get32(&r) != REQUEST_MAGIC)
        return sl_error_set(err, -EPROTO,
                            "this is no request for detection: it does not begin with SLDQ");
    const uint32_t version = get16(&r);
    const uint32_t flags = get16(&r);
    const uint64_t sequence = get64(&r);
    const uint64_t frame_id = get64(&r);
    struct sl_frame_info frame = {.frame_id = frame_id};
    frame.exposed_ns = get64(&r);
    frame.received_ns = get64(&r);
    frame.fourcc = get32(&r);
    frame.width_px = get32(&r);
    frame.height_px = get32(&r);
    frame.size_bytes = get32(&r);
    frame.plane_count = get32(&r);
    const uint32_t reserved = get32(&r);
    for (uint32_t i = 0; i < SL_FRAME_PLANES_MAX; i++) {
        frame.planes[i].offset_bytes = get32(&r);
        frame.planes[i].stride_bytes = get32(&r);
    }
    request->sequence = sequence;
    request->frame.frame_id = frame_id;
    if (version != SL_DETECT_WIRE_VERSION)
        return sl_error_set(err, -EPROTO,
                            "the request is of protocol version %u, this side speaks %d: update "
                            "the older one",
                            version, SL_DETECT_WIRE_VERSION);
    if ((flags & ~FLAG_RESET) != 0 || reserved != 0)
        return sl_error_set(err, -EPROTO, "the request has bits set that must be 0");
    const int rc = check_picture(&frame, picture_bytes, err);
    if (rc != 0)
        return rc;
    request->reset = (flags & FLAG_RESET) != 0;
    request->frame = frame;
    return 0;
}

/* ---- replies ---- */

static void put_line(struct writer *w, const struct sl_lane_line *line)
{
    put32(w, line->seen);
    put32(w, line->point_count);
    put_floats(w, &line->confidence, 1);
    put_floats(w, &line->x_min_m, 1);
    put_floats(w, &line->x_max_m, 1);
    put_floats(w, line->poly, 4);
    put_floats(w, &line->points_px[0][0], (size_t)2 * SL_LANE_POINTS_MAX);
}

static void put_lane(struct writer *w, const struct sl_detection *lane)
{
    put64(w, lane->frame_id);
    put64(w, lane->exposed_ns);
    put64(w, lane->received_ns);
    put64(w, lane->started_ns);
    put64(w, lane->finished_ns);
    put32(w, lane->state);
    put_floats(w, &lane->confidence, 1);
    put_floats(w, &lane->lateral_offset_m, 1);
    put_floats(w, &lane->heading_error_rad, 1);
    put_floats(w, &lane->curvature_1pm, 1);
    put_floats(w, &lane->curvature_rate_1pm2, 1);
    put_floats(w, &lane->lane_width_m, 1);
    put_floats(w, &lane->lane_width_sd_m, 1);
    put_floats(w, &lane->camera_pitch_rad, 1);
    put_floats(w, &lane->covariance[0][0], 16);
    put32(w, lane->frame_width_px);
    put32(w, lane->frame_height_px);
    put32(w, lane->reserved);
    put_line(w, &lane->left);
    put_line(w, &lane->right);
}

static bool get_line(struct reader *r, struct sl_lane_line *line)
{
    line->seen = get32(r);
    line->point_count = get32(r);
    bool good = line->seen <= 1 && line->point_count <= SL_LANE_POINTS_MAX;
    good = get_floats(r, &line->confidence, 1) && good;
    good = get_floats(r, &line->x_min_m, 1) && good;
    good = get_floats(r, &line->x_max_m, 1) && good;
    good = get_floats(r, line->poly, 4) && good;
    return get_floats(r, &line->points_px[0][0], (size_t)2 * SL_LANE_POINTS_MAX) && good;
}

static bool get_lane(struct reader *r, struct sl_detection *lane)
{
    lane->frame_id = get64(r);
    lane->exposed_ns = get64(r);
    lane->received_ns = get64(r);
    lane->started_ns = get64(r);
    lane->finished_ns = get64(r);
    lane->state = get32(r);
    bool good = lane->state <= SL_LANE_TWO_LINES;
    good = get_floats(r, &lane->confidence, 1) && good;
    good = get_floats(r, &lane->lateral_offset_m, 1) && good;
    good = get_floats(r, &lane->heading_error_rad, 1) && good;
    good = get_floats(r, &lane->curvature_1pm, 1) && good;
    good = get_floats(r, &lane->curvature_rate_1pm2, 1) && good;
    good = get_floats(r, &lane->lane_width_m, 1) && good;
    good = get_floats(r, &lane->lane_width_sd_m, 1) && good;
    good = get_floats(r, &lane->camera_pitch_rad, 1) && good;
    good = get_floats(r, &lane->covariance[0][0], 16) && good;
    lane->frame_width_px = get32(r);
    lane->frame_height_px = get32(r);
    lane->reserved = get32(r);
    good = get_line(r, &lane->left) && good;
    return get_line(r, &lane->right) && good;
}

size_t sl_detect_wire_put_reply(uint8_t bytes[SL_DETECT_REPLY_MAX],
                                const struct sl_detect_reply *reply)
{
    const size_t body = reply->status == SL_DETECT_OK
                            ? SL_DETECT_LANE_BYTES
                            : strnlen(reply->problem.text, SL_DETECT_SENTENCE_MAX);
    struct writer w = {bytes};
    put32(&w, REPLY_MAGIC);
    put16(&w, SL_DETECT_WIRE_VERSION);
    put16(&w, reply->status);
    put64(&w, reply->sequence);
    put64(&w, reply->frame_id);
    put32(&w, (uint32_t)body);
    put32(&w, 0);
    put64(&w, reply->waited_ns);
    put64(&w, reply->decoded_ns);
    put64(&w, reply->detected_ns);
    put64(&w, reply->total_ns);
    if (reply->status == SL_DETECT_OK)
        put_lane(&w, &reply->lane);
    else
        memcpy(w.at, reply->problem.text, body);
    return SL_DETECT_REPLY_BYTES + body;
}

/* A terminal shows it: nothing in it may be more than text. */
static void get_sentence(const uint8_t *bytes, size_t size, struct sl_error *problem)
{
    for (size_t i = 0; i < size; i++)
        problem->text[i] = bytes[i] >= 0x20 && bytes[i] != 0x7f ? (char)bytes[i] : '?';
    problem->text[size] = '\0';
}

static int get_reply(const void *bytes, size_t size, struct sl_detect_reply *reply,
                     struct sl_error *err)
{
    if (size < SL_DETECT_REPLY_BYTES)
        return sl_error_set(err, -EPROTO, "a reply has at least %d bytes, %zu came",
                            SL_DETECT_REPLY_BYTES, size);
    struct reader r = {bytes};
    if (get32(&r) != REPLY_MAGIC)
        return sl_error_set(err, -EPROTO,
                            "what answers is no detection server: its reply does not begin with "
                            "SLDA");
    const uint32_t version = get16(&r);
    if (version != SL_DETECT_WIRE_VERSION)
        return sl_error_set(err, -EPROTO,
                            "the reply is of protocol version %u, this side speaks %d: update the "
                            "older one",
                            version, SL_DETECT_WIRE_VERSION);
    reply->status = get16(&r);
    reply->sequence = get64(&r);
    reply->frame_id = get64(&r);
    const size_t body = get32(&r);
    const uint32_t reserved = get32(&r);
    reply->waited_ns = get64(&r);
    reply->decoded_ns = get64(&r);
    reply->detected_ns = get64(&r);
    reply->total_ns = get64(&r);
    if (reply->status >= SL_DETECT_STATUS_COUNT || reserved != 0 ||
        body != size - SL_DETECT_REPLY_BYTES)
        return sl_error_set(err, -EPROTO, "the reply's header contradicts itself");
    if (reply->status != SL_DETECT_OK) {
        if (body > SL_DETECT_SENTENCE_MAX)
            return sl_error_set(err, -EPROTO, "the reply's sentence is too long");
        get_sentence(r.at, body, &reply->problem);
        return 0;
    }
    if (body != SL_DETECT_LANE_BYTES)
        return sl_error_set(err, -EPROTO, "a detection has %d bytes, %zu came",
                            SL_DETECT_LANE_BYTES, body);
    if (!get_lane(&r, &reply->lane))
        return sl_error_set(err, -EPROTO,
                            "the reply's detection holds a number that is none, or an unknown "
                            "state");
    return 0;
}

int sl_detect_wire_get_reply(const void *bytes, size_t size, struct sl_detect_reply *reply,
                             struct sl_error *err)
{
    memset(reply, 0, sizeof *reply);
    const int rc = get_reply(bytes, size, reply, err);
    if (rc != 0)
        memset(reply, 0, sizeof *reply);
    return rc;
}
