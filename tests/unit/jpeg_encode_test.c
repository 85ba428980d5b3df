/* Frames to JPEG and back: every format, odd sizes, padded rows, bad input. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "hal/camera/image.h"
#include "net/jpeg.h"

static struct sl_jpeg_encoder *encoder;
static struct sl_image_decoder *decoder;
static struct sl_error err;

#define SIDE_MAX 320
static uint8_t pixels[SIDE_MAX * SIDE_MAX * 4 + 4096];

static uint8_t luma(uint32_t x, uint32_t y)
{
    return (uint8_t)(60 + x % 128 + y % 64);
}
static uint8_t cb(uint32_t x, uint32_t y)
{
    return (uint8_t)(100 + (x + y) % 32);
}
static uint8_t cr(uint32_t x, uint32_t y)
{
    return (uint8_t)(150 - (x % 32) + y % 16);
}

/* Paints a frame whose rows are `spare` bytes longer than they need, and whose
 * planes begin where they like. */
static void paint(struct sl_frame_info *info, uint32_t fourcc, uint32_t width_px,
                  uint32_t height_px, uint32_t spare)
{
    memset(info, 0, sizeof *info);
    memset(pixels, 0xee, sizeof pixels);
    assert_int_equal(sl_frame_layout(info, fourcc, width_px, height_px), 0);
    uint32_t offset = spare;
    for (uint32_t i = 0; i < info->plane_count; i++) {
        info->planes[i].offset_bytes = offset;
        info->planes[i].stride_bytes += spare;
        offset += info->planes[i].stride_bytes * (i == 0 ? height_px : height_px / 2);
    }
    info->size_bytes = offset;
    assert_true(offset <= sizeof pixels);
    for (uint32_t y = 0; y < height_px; y++) {
        uint8_t *row = pixels + info->planes[0].offset_bytes + y * info->planes[0].stride_bytes;
        for (uint32_t x = 0; x < width_px; x++) {
            switch (fourcc) {
            case SL_FORMAT_YUYV:
                row[2 * x] = luma(x, y);
                row[2 * x + 1] = x % 2 == 0 ? cb(x, y) : cr(x - 1, y);
                break;
            case SL_FORMAT_BGR24:
                memset(row + 3 * x, luma(x, y), 3);
                break;
            case SL_FORMAT_BGRA:
                memset(row + 4 * x, luma(x, y), 3);
                row[4 * x + 3] = (uint8_t)x; /* must not matter */
                break;
            default:
                row[x] = luma(x, y);
            }
        }
        if (fourcc == SL_FORMAT_NV12 && y % 2 == 0) {
            row = pixels + info->planes[1].offset_bytes + y / 2 * info->planes[1].stride_bytes;
            for (uint32_t x = 0; x < width_px; x += 2) {
                row[x] = cb(x, y);
                row[x + 1] = cr(x, y);
            }
        }
    }
}

static void near_to(int value, int expected, int tolerance)
{
    if (abs(value - expected) > tolerance)
        fail_msg("%d is not near to %d", value, expected);
}

static void check_round_trip(uint32_t fourcc, uint32_t width_px, uint32_t height_px, uint32_t spare)
{
    struct sl_frame_info info, back = {0};
    const uint8_t *jpeg;
    size_t size;
    static uint8_t out[SIDE_MAX * SIDE_MAX * 4];
    paint(&info, fourcc, width_px, height_px, spare);
    err.text[0] = '\0';
    const int result = sl_jpeg_encode(encoder, &info, pixels, 100, &jpeg, &size, &err);
    if (result != 0)
        fail_msg("%u x %u: %s", width_px, height_px, err.text);
    assert_int_equal(
        sl_image_decode(decoder, jpeg, size, SL_FORMAT_GRAY8, out, sizeof out, &back, &err), 0);
    assert_int_equal(back.width_px, width_px);
    assert_int_equal(back.height_px, height_px);
    for (uint32_t y = 0; y < height_px; y++)
        for (uint32_t x = 0; x < width_px; x++)
            near_to(out[y * width_px + x], luma(x, y), 4);
    if (fourcc != SL_FORMAT_NV12 && fourcc != SL_FORMAT_YUYV)
        return;

    assert_int_equal(sl_image_decode(decoder, jpeg, size, fourcc, out, sizeof out, &back, &err), 0);
    for (uint32_t y = 0; y < height_px; y++) {
        for (uint32_t x = 0; x < width_px; x += 2) {
            if (fourcc == SL_FORMAT_YUYV) {
                near_to(out[(y * width_px + x) * 2 + 1], cb(x, y), 4);
                near_to(out[(y * width_px + x) * 2 + 3], cr(x, y), 4);
            } else if (y % 2 == 0) {
                const uint8_t *chroma = out + width_px * (height_px + y / 2) + x;
                near_to(chroma[0], cb(x, y), 4);
                near_to(chroma[1], cr(x, y), 4);
            }
        }
    }
}

static void every_format_survives(void **state)
{
    (void)state;
    static const uint32_t FORMATS[] = {SL_FORMAT_GRAY8, SL_FORMAT_NV12, SL_FORMAT_YUYV,
                                       SL_FORMAT_BGR24, SL_FORMAT_BGRA};
    static const uint32_t SIZES[][2] = {{64, 48}, {320, 240}, {2, 2},
                                        {18, 22}, {50, 14},   {16, 320}};
    for (size_t f = 0; f < sizeof FORMATS / sizeof FORMATS[0]; f++) {
        for (size_t s = 0; s < sizeof SIZES / sizeof SIZES[0]; s++) {
            check_round_trip(FORMATS[f], SIZES[s][0], SIZES[s][1], 0);
            if (SIZES[s][0] < 300)
                check_round_trip(FORMATS[f], SIZES[s][0], SIZES[s][1], 7);
        }
    }
}

static void odd_sizes_where_chroma_allows_them(void **state)
{
    (void)state;
    static const uint32_t FORMATS[] = {SL_FORMAT_GRAY8, SL_FORMAT_BGR24, SL_FORMAT_BGRA};
    for (size_t f = 0; f < sizeof FORMATS / sizeof FORMATS[0]; f++) {
        check_round_trip(FORMATS[f], 1, 1, 0);
        check_round_trip(FORMATS[f], 17, 33, 5);
    }
    check_round_trip(SL_FORMAT_YUYV, 34, 17, 0);
}

static void quality_and_large_output(void **state)
{
    (void)state;
    struct sl_frame_info info;
    const uint8_t *jpeg;
    size_t small, large;
    paint(&info, SL_FORMAT_GRAY8, 320, 320, 0);
    uint32_t noise = 1;
    for (size_t i = 0; i < info.size_bytes; i++) {
        noise = noise * 1664525u + 1013904223u;
        pixels[i] = (uint8_t)(noise >> 24);
    }
    assert_int_equal(sl_jpeg_encode(encoder, &info, pixels, 1, &jpeg, &small, &err), 0);
    assert_int_equal(sl_jpeg_encode(encoder, &info, pixels, 100, &jpeg, &large, &err), 0);
    assert_true(small < large);
    assert_true(large > 80000); /* more than what the encoder starts with */
    struct sl_frame_info back = {0};
    static uint8_t out[320 * 320];
    assert_int_equal(
        sl_image_decode(decoder, jpeg, large, SL_FORMAT_GRAY8, out, sizeof out, &back, &err), 0);
}

static void bad_calls_are_refused(void **state)
{
    (void)state;
    struct sl_frame_info info;
    const uint8_t *jpeg;
    size_t size;
    paint(&info, SL_FORMAT_NV12, 64, 48, 0);
    static const int QUALITIES[] = {0, -1, 101, 1000};
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(sl_jpeg_encode(encoder, &info, pixels, QUALITIES[i], &jpeg, &size, &err),
                         -EINVAL);
    struct sl_frame_info bad = info;
    bad.planes[1].stride_bytes = 63;
    assert_int_equal(sl_jpeg_encode(encoder, &bad, pixels, 80, &jpeg, &size, &err), -EINVAL);
    bad = info;
    bad.size_bytes--;
    assert_int_equal(sl_jpeg_encode(encoder, &bad, pixels, 80, &jpeg, &size, &err), -EINVAL);
    bad = info;
    bad.width_px = 0;
    assert_int_equal(sl_jpeg_encode(encoder, &bad, pixels, 80, &jpeg, &size, &err), -EINVAL);
    bad = info;
    bad.fourcc = SL_FORMAT_MJPEG;
    assert_int_equal(sl_jpeg_encode(encoder, &bad, pixels, 80, &jpeg, &size, &err), -ENOTSUP);
    bad.fourcc = SL_FOURCC('X', 'Y', 'Z', 'W');
    assert_int_equal(sl_jpeg_encode(encoder, &bad, pixels, 80, &jpeg, &size, NULL), -ENOTSUP);
    assert_int_equal(sl_jpeg_encode(encoder, &info, pixels, 80, &jpeg, &size, &err), 0);
    sl_jpeg_encoder_destroy(NULL);
}

static int create(void **state)
{
    (void)state;
    encoder = sl_jpeg_encoder_create();
    decoder = sl_image_decoder_create();
    return encoder == NULL || decoder == NULL;
}

static int destroy(void **state)
{
    (void)state;
    sl_jpeg_encoder_destroy(encoder);
    sl_image_decoder_destroy(decoder);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_format_survives),
        cmocka_unit_test(odd_sizes_where_chroma_allows_them),
        cmocka_unit_test(quality_and_large_output),
        cmocka_unit_test(bad_calls_are_refused),
    };
    return cmocka_run_group_tests(tests, create, destroy);
}
