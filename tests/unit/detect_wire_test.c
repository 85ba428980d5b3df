/* Remote detection's messages: every field there and back, byte for byte as
 * docs/protocol.md says, and any other bytes answered with a sentence. */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "net/detect_wire.h"

static struct sl_error err;

static struct sl_detect_request raw_request(void)
{
    struct sl_detect_request request = {.sequence = UINT64_C(0x0102030405060708), .reset = true};
    request.frame.frame_id = UINT64_C(0x1112131415161718);
    request.frame.exposed_ns = UINT64_C(0x2122232425262728);
    request.frame.received_ns = UINT64_C(0x3132333435363738);
    assert_int_equal(sl_frame_layout(&request.frame, SL_FORMAT_NV12, 64, 48), 0);
    return request;
}

/* A lane in which every number differs from every other. */
static struct sl_detection full_lane(void)
{
    struct sl_detection lane = {.frame_id = 1,
                                .exposed_ns = 2,
                                .received_ns = 3,
                                .started_ns = 4,
                                .finished_ns = UINT64_C(0xfedcba9876543210),
                                .state = SL_LANE_TWO_LINES,
                                .confidence = 0.5f,
                                .lateral_offset_m = -0.25f,
                                .heading_error_rad = 0.125f,
                                .curvature_1pm = -0.0625f,
                                .curvature_rate_1pm2 = 0.03125f,
                                .lane_width_m = 3.5f,
                                .lane_width_sd_m = 0.0078125f,
                                .camera_pitch_rad = -0.001f,
                                .frame_width_px = 800,
                                .frame_height_px = 600,
                                .reserved = 77};
    for (int i = 0; i < 16; i++)
        lane.covariance[i / 4][i % 4] = 100.0f + (float)i;
    struct sl_lane_line *const lines[] = {&lane.left, &lane.right};
    for (int k = 0; k < 2; k++) {
        struct sl_lane_line *line = lines[k];
        const float base = 1000.0f * (float)(k + 1);
        line->seen = (uint32_t)k;
        line->point_count = (uint32_t)(SL_LANE_POINTS_MAX - k);
        line->confidence = base + 1;
        line->x_min_m = base + 2;
        line->x_max_m = base + 3;
        for (int i = 0; i < 4; i++)
            line->poly[i] = base + 4 + (float)i;
        for (int i = 0; i < 2 * SL_LANE_POINTS_MAX; i++)
            line->points_px[i / 2][i % 2] = base + 10 + (float)i;
    }
    return lane;
}

static struct sl_detect_reply full_reply(void)
{
    return (struct sl_detect_reply){.sequence = 5,
                                    .frame_id = 6,
                                    .waited_ns = 7,
                                    .decoded_ns = 8,
                                    .detected_ns = 9,
                                    .total_ns = 10,
                                    .lane = full_lane()};
}

static uint64_t number_at(const uint8_t *bytes, int offset, int size)
{
    uint64_t value = 0;
    for (int i = size - 1; i >= 0; i--)
        value = value << 8 | bytes[offset + i];
    return value;
}

static float float_at(const uint8_t *bytes, int offset)
{
    const uint32_t bits = (uint32_t)number_at(bytes, offset, 4);
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* ---- as documented ---- */

static void request_is_what_the_page_says(void **state)
{
    (void)state;
    uint8_t b[SL_DETECT_REQUEST_BYTES];
    const struct sl_detect_request request = raw_request();
    sl_detect_wire_put_request(b, &request);
    assert_memory_equal(b, "SLDQ", 4);
    assert_int_equal(number_at(b, 4, 2), 1);
    assert_int_equal(number_at(b, 6, 2), 1);
    assert_true(number_at(b, 8, 8) == UINT64_C(0x0102030405060708));
    assert_int_equal(b[8], 0x08); /* the lowest byte first */
    assert_true(number_at(b, 16, 8) == UINT64_C(0x1112131415161718));
    assert_true(number_at(b, 24, 8) == UINT64_C(0x2122232425262728));
    assert_true(number_at(b, 32, 8) == UINT64_C(0x3132333435363738));
    assert_memory_equal(b + 40, "NV12", 4);
    assert_int_equal(number_at(b, 44, 4), 64);
    assert_int_equal(number_at(b, 48, 4), 48);
    assert_int_equal(number_at(b, 52, 4), 64 * 48 * 3 / 2);
    assert_int_equal(number_at(b, 56, 4), 2);
    assert_int_equal(number_at(b, 60, 4), 0);
    const uint32_t planes[] = {0, 64, 64 * 48, 64, 0, 0};
    for (int i = 0; i < 6; i++)
        assert_int_equal(number_at(b, 64 + 4 * i, 4), planes[i]);
}

static void reply_is_what_the_page_says(void **state)
{
    (void)state;
    uint8_t b[SL_DETECT_REPLY_MAX];
    const struct sl_detect_reply reply = full_reply();
    const struct sl_detection *lane = &reply.lane;
    assert_int_equal(sl_detect_wire_put_reply(b, &reply), 64 + 608);
    assert_memory_equal(b, "SLDA", 4);
    assert_int_equal(number_at(b, 4, 2), 1);
    assert_int_equal(number_at(b, 6, 2), SL_DETECT_OK);
    const uint64_t header[] = {5, 6, 608, 7, 8, 9, 10}; /* the third is two words of 4 */
    for (int i = 0; i < 7; i++)
        assert_int_equal(number_at(b, 8 + 8 * i, 8), header[i]);
    const uint8_t *d = b + 64;
    const uint64_t times[] = {1, 2, 3, 4, UINT64_C(0xfedcba9876543210)};
    for (int i = 0; i < 5; i++)
        assert_true(number_at(d, 8 * i, 8) == times[i]);
    assert_int_equal(number_at(d, 40, 4), SL_LANE_TWO_LINES);
    const float numbers[] = {lane->confidence,          lane->lateral_offset_m,
                             lane->heading_error_rad,   lane->curvature_1pm,
                             lane->curvature_rate_1pm2, lane->lane_width_m,
                             lane->lane_width_sd_m,     lane->camera_pitch_rad};
    for (int i = 0; i < 8; i++)
        assert_true(float_at(d, 44 + 4 * i) == numbers[i]);
    for (int i = 0; i < 16; i++)
        assert_true(float_at(d, 76 + 4 * i) == 100.0f + (float)i);
    assert_int_equal(number_at(d, 140, 4), 800);
    assert_int_equal(number_at(d, 144, 4), 600);
    assert_int_equal(number_at(d, 148, 4), 77);
    for (int k = 0; k < 2; k++) {
        const uint8_t *line = d + 152 + 228 * k;
        const float base = 1000.0f * (float)(k + 1);
        assert_int_equal(number_at(line, 0, 4), k);
        assert_int_equal(number_at(line, 4, 4), SL_LANE_POINTS_MAX - k);
        for (int i = 0; i < 7; i++)
            assert_true(float_at(line, 8 + 4 * i) == base + 1 + (float)i);
        for (int i = 0; i < 2 * SL_LANE_POINTS_MAX; i++)
            assert_true(float_at(line, 36 + 4 * i) == base + 10 + (float)i);
    }
}

/* ---- there and back ---- */

static void requests_come_back(void **state)
{
    (void)state;
    static const struct {
        uint32_t fourcc, width_px, height_px;
    } FRAMES[] = {{SL_FORMAT_GRAY8, 33, 7},
                  {SL_FORMAT_NV12, 64, 48},
                  {SL_FORMAT_YUYV, 2, 1},
                  {SL_FORMAT_BGR24, 5, 5},
                  {SL_FORMAT_BGRA, 800, 600}};
    for (size_t i = 0; i < sizeof FRAMES / sizeof FRAMES[0]; i++) {
        struct sl_detect_request asked = {.sequence = i}, got;
        uint8_t b[SL_DETECT_REQUEST_BYTES];
        assert_int_equal(sl_frame_layout(&asked.frame, FRAMES[i].fourcc, FRAMES[i].width_px,
                                         FRAMES[i].height_px),
                         0);
        sl_detect_wire_put_request(b, &asked);
        assert_int_equal(
            sl_detect_wire_get_request(b, sizeof b, asked.frame.size_bytes, &got, &err), 0);
        assert_memory_equal(&got, &asked, sizeof got);
        /* Without planes the rows are tight. */
        memset(b + 56, 0, 32);
        assert_int_equal(
            sl_detect_wire_get_request(b, sizeof b, asked.frame.size_bytes, &got, &err), 0);
        assert_memory_equal(&got, &asked, sizeof got);
    }
}

static void padded_rows_come_back(void **state)
{
    (void)state;
    struct sl_detect_request asked = {.sequence = 1}, got;
    uint8_t b[SL_DETECT_REQUEST_BYTES];
    asked.frame = (struct sl_frame_info){.fourcc = SL_FORMAT_NV12,
                                         .width_px = 60,
                                         .height_px = 40,
                                         .plane_count = 2,
                                         .size_bytes = 64 * 40 + 100 + 64 * 20,
                                         .planes = {{0, 64}, {64 * 40 + 100, 64}}};
    sl_detect_wire_put_request(b, &asked);
    assert_int_equal(sl_detect_wire_get_request(b, sizeof b, asked.frame.size_bytes, &got, &err),
                     0);
    assert_memory_equal(&got, &asked, sizeof got);
    /* Its last row ends one byte behind the picture. */
    asked.frame.planes[1].offset_bytes += 5;
    sl_detect_wire_put_request(b, &asked);
    assert_int_equal(sl_detect_wire_get_request(b, sizeof b, asked.frame.size_bytes, &got, &err),
                     -EPROTO);
    assert_non_null(strstr(err.text, "does not fit"));
}

static void picture_files_come_back(void **state)
{
    (void)state;
    const uint32_t encodings[] = {SL_FORMAT_MJPEG, SL_DETECT_ENCODING_FILE};
    for (size_t i = 0; i < 2; i++) {
        struct sl_detect_request asked = {.sequence = 3}, got;
        uint8_t b[SL_DETECT_REQUEST_BYTES];
        asked.frame.fourcc = encodings[i];
        asked.frame.size_bytes = 4321;
        asked.frame.plane_count = 1; /* as a frame of the bus has it: does not travel */
        asked.frame.width_px = 800;
        sl_detect_wire_put_request(b, &asked);
        assert_int_equal(number_at(b, 44, 4), 0);
        assert_int_equal(number_at(b, 56, 4), 0);
        assert_int_equal(sl_detect_wire_get_request(b, sizeof b, 4321, &got, &err), 0);
        assert_int_equal(got.frame.fourcc, encodings[i]);
        assert_int_equal(got.frame.size_bytes, 4321);
        assert_int_equal(got.frame.plane_count, 1);
        assert_int_equal(got.frame.planes[0].offset_bytes, 0);
    }
}

static void replies_come_back(void **state)
{
    (void)state;
    const struct sl_detect_reply sent = full_reply();
    struct sl_detect_reply got;
    uint8_t b[SL_DETECT_REPLY_MAX];
    const size_t size = sl_detect_wire_put_reply(b, &sent);
    assert_int_equal(sl_detect_wire_get_reply(b, size, &got, &err), 0);
    assert_memory_equal(&got.lane, &sent.lane, sizeof got.lane);
    assert_int_equal(got.sequence, 5);
    assert_int_equal(got.frame_id, 6);
    assert_int_equal(got.waited_ns, 7);
    assert_int_equal(got.decoded_ns, 8);
    assert_int_equal(got.detected_ns, 9);
    assert_int_equal(got.total_ns, 10);
}

static void problems_come_back_as_text(void **state)
{
    (void)state;
    struct sl_detect_reply sent = {.status = SL_DETECT_BAD_PICTURE, .sequence = 9}, got;
    uint8_t b[SL_DETECT_REPLY_MAX];
    strcpy(sent.problem.text, "no \x1b[31m picture \x7f, sch\xc3\xb6n");
    size_t size = sl_detect_wire_put_reply(b, &sent);
    assert_int_equal(sl_detect_wire_get_reply(b, size, &got, &err), 0);
    assert_int_equal(got.status, SL_DETECT_BAD_PICTURE);
    assert_string_equal(got.problem.text, "no ?[31m picture ?, sch\xc3\xb6n");
    assert_int_equal(got.lane.frame_id, 0);
    /* The longest that fits, and one that does not. */
    memset(sent.problem.text, 'x', sizeof sent.problem.text - 1);
    sent.problem.text[sizeof sent.problem.text - 1] = '\0';
    size = sl_detect_wire_put_reply(b, &sent);
    assert_int_equal(size, SL_DETECT_REPLY_BYTES + SL_DETECT_SENTENCE_MAX);
    assert_int_equal(sl_detect_wire_get_reply(b, size, &got, &err), 0);
    assert_int_equal(strlen(got.problem.text), SL_DETECT_SENTENCE_MAX);
    sent.problem.text[0] = '\0';
    size = sl_detect_wire_put_reply(b, &sent);
    assert_int_equal(size, SL_DETECT_REPLY_BYTES);
    assert_int_equal(sl_detect_wire_get_reply(b, size, &got, &err), 0);
}

/* ---- anything else ---- */

/* One number of a good request is replaced: it is refused, with these words. */
static void wrong_requests_are_told(void **state)
{
    (void)state;
    static const struct {
        int offset, size;
        uint64_t value;
        const char *told;
    } CASES[] = {
        {0, 4, 0, "does not begin with SLDQ"},
        {4, 2, 2, "version 2, this side speaks 1"},
        {4, 2, 0, "version 0"},
        {6, 2, 2, "must be 0"},
        {60, 4, 1, "must be 0"},
        {40, 4, 0, "unknown pixel format"},
        {40, 4, SL_FORMAT_MJPEG, "must be 0"},
        {40, 4, SL_FORMAT_GRAY8, "GRAY8 has 1 planes"},
        {44, 4, 0, "a side is 0"},
        {44, 4, 65, "even sides"},
        {44, 4, 0xffffffff, "above 8192"},
        {48, 4, 50, "does not fit"},
        {52, 4, 1, "announces a picture of 1 bytes, but 4608 came"},
        {56, 4, 3, "has 2 planes"},
        {56, 4, 4, "4 planes are claimed"},
        {56, 4, 0xffffffff, "planes are claimed"},
        {64, 4, 0xffffffff, "does not fit"},
        {68, 4, 0xffffffff, "does not fit"},
        {68, 4, 63, "does not fit"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        const struct sl_detect_request asked = raw_request();
        struct sl_detect_request got;
        uint8_t b[SL_DETECT_REQUEST_BYTES];
        sl_detect_wire_put_request(b, &asked);
        for (int k = 0; k < CASES[i].size; k++)
            b[CASES[i].offset + k] = (uint8_t)(CASES[i].value >> (8 * k));
        const int rc = sl_detect_wire_get_request(b, sizeof b, asked.frame.size_bytes, &got, &err);
        if (rc != -EPROTO || strstr(err.text, CASES[i].told) == NULL)
            fail_msg("case %zu: %d, %s", i, rc, err.text);
        /* Who asked can be told which question it was. */
        if (i > 0)
            assert_true(got.sequence == asked.sequence);
        assert_int_equal(got.frame.size_bytes, 0);
    }
}

static void wrong_sizes_are_told(void **state)
{
    (void)state;
    const struct sl_detect_request asked = raw_request();
    struct sl_detect_request got;
    uint8_t b[SL_DETECT_REQUEST_BYTES + 1] = {0};
    sl_detect_wire_put_request(b, &asked);
    assert_int_equal(sl_detect_wire_get_request(NULL, 0, 0, &got, &err), -EPROTO);
    for (size_t n = 0; n < SL_DETECT_REQUEST_BYTES; n++)
        assert_int_equal(sl_detect_wire_get_request(b, n, asked.frame.size_bytes, &got, &err),
                         -EPROTO);
    assert_int_equal(sl_detect_wire_get_request(b, sizeof b, asked.frame.size_bytes, &got, &err),
                     -EPROTO);
    assert_int_equal(sl_detect_wire_get_request(b, SL_DETECT_REQUEST_BYTES, 0, &got, &err),
                     -EPROTO);
    /* A size of 0 that both sides agree on, and one above the limit. */
    memset(b + 52, 0, 4);
    assert_int_equal(sl_detect_wire_get_request(b, SL_DETECT_REQUEST_BYTES, 0, &got, &err),
                     -EPROTO);
    assert_non_null(strstr(err.text, "between 1 and"));
    const uint32_t large = (uint32_t)SL_DETECT_PICTURE_MAX + 1;
    memcpy(b + 40, "FILE", 4);
    memset(b + 44, 0, 8);
    memset(b + 56, 0, 32);
    for (int k = 0; k < 4; k++)
        b[52 + k] = (uint8_t)(large >> (8 * k));
    assert_int_equal(sl_detect_wire_get_request(b, SL_DETECT_REQUEST_BYTES, large, &got, &err),
                     -EPROTO);
    assert_non_null(strstr(err.text, "between 1 and"));
    /* Tight rows that are not. */
    sl_detect_wire_put_request(b, &asked);
    memset(b + 56, 0, 4);
    b[52]++;
    assert_int_equal(sl_detect_wire_get_request(b, SL_DETECT_REQUEST_BYTES,
                                                asked.frame.size_bytes + 1, &got, &err),
                     -EPROTO);
    assert_non_null(strstr(err.text, "tell the strides"));
}

static void wrong_replies_are_told(void **state)
{
    (void)state;
    static const struct {
        int offset;
        uint32_t value;
        const char *told;
    } CASES[] = {
        {0, 0, "does not begin with SLDA"},
        {4, 2, "version 2"},                     /* and status 0 */
        {4, 1 | 4u << 16, "contradicts itself"}, /* an unknown status */
        {4, 1 | 1u << 16, "too long"},           /* a problem of 608 bytes */
        {24, 607, "contradicts itself"},
        {24, 0xffffffff, "contradicts itself"},
        {28, 1, "contradicts itself"},
        {64 + 40, 3, "unknown"},                    /* state */
        {64 + 44, 0x7fc00000, "none"},              /* not a number */
        {64 + 72, 0x7f800000, "none"},              /* infinite */
        {64 + 136, 0xff800000, "none"},             /* the last of the covariance */
        {64 + 152, 2, "none"},                      /* seen */
        {64 + 156, 25, "none"},                     /* more points than there are */
        {64 + 152 + 228 + 224, 0x7fc00000, "none"}, /* the very last number */
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        const struct sl_detect_reply sent = full_reply();
        struct sl_detect_reply got, zero;
        uint8_t b[SL_DETECT_REPLY_MAX];
        memset(&zero, 0, sizeof zero);
        const size_t size = sl_detect_wire_put_reply(b, &sent);
        for (int k = 0; k < 4; k++)
            b[CASES[i].offset + k] = (uint8_t)(CASES[i].value >> (8 * k));
        const int rc = sl_detect_wire_get_reply(b, size, &got, &err);
        if (rc != -EPROTO || strstr(err.text, CASES[i].told) == NULL)
            fail_msg("case %zu: %d, %s", i, rc, err.text);
        assert_memory_equal(&got, &zero, sizeof got);
    }
}

static void cut_replies_are_told(void **state)
{
    (void)state;
    const struct sl_detect_reply sent = full_reply();
    struct sl_detect_reply got;
    uint8_t b[SL_DETECT_REPLY_MAX];
    const size_t size = sl_detect_wire_put_reply(b, &sent);
    for (size_t n = 0; n < size; n++) {
        /* Exactly as large as the piece: a sanitizer sees a byte read behind it. */
        uint8_t *piece = malloc(n > 0 ? n : 1);
        memcpy(piece, b, n);
        assert_int_equal(sl_detect_wire_get_reply(piece, n, &got, &err), -EPROTO);
        free(piece);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(request_is_what_the_page_says),
        cmocka_unit_test(reply_is_what_the_page_says),
        cmocka_unit_test(requests_come_back),
        cmocka_unit_test(padded_rows_come_back),
        cmocka_unit_test(picture_files_come_back),
        cmocka_unit_test(replies_come_back),
        cmocka_unit_test(problems_come_back_as_text),
        cmocka_unit_test(wrong_requests_are_told),
        cmocka_unit_test(wrong_sizes_are_told),
        cmocka_unit_test(wrong_replies_are_told),
        cmocka_unit_test(cut_replies_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
