/* Smaller copies of frames: every pixel against one that was computed the long way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "hal/camera/image.h"
#include "net/jpeg.h"
#include "net/shrink.h"

static struct sl_error err;

/* A frame of noise whose rows are `spare` bytes longer than they need, and whose planes
 * begin where they like, in memory that ends with it. */
static uint8_t *noise(struct sl_frame_info *info, uint32_t fourcc, uint32_t width_px,
                      uint32_t height_px, uint32_t spare)
{
    static uint32_t state = 1;
    memset(info, 0, sizeof *info);
    info->frame_id = 7;
    info->exposed_ns = 1234567;
    assert_int_equal(sl_frame_layout(info, fourcc, width_px, height_px), 0);
    uint32_t offset = spare;
    for (uint32_t i = 0; i < info->plane_count; i++) {
        info->planes[i].offset_bytes = offset;
        info->planes[i].stride_bytes += spare;
        offset += info->planes[i].stride_bytes * (i == 0 ? height_px : height_px / 2);
    }
    info->size_bytes = offset - spare; /* the last row needs no spare bytes */
    uint8_t *pixels = malloc(info->size_bytes);
    assert_non_null(pixels);
    for (uint32_t i = 0; i < info->size_bytes; i++) {
        state = state * 1664525u + 1013904223u;
        pixels[i] = (uint8_t)(state >> 24);
    }
    return pixels;
}

/* Kinds of samples: luma, two of chroma, or blue, green, red. Where the one at (x, y) of
 * its own grid is. */
static const uint8_t *sample(const struct sl_frame_info *info, const uint8_t *pixels, int kind,
                             uint32_t x, uint32_t y)
{
    const uint8_t *row[2] = {0};
    for (uint32_t i = 0; i < info->plane_count; i++)
        row[i] = pixels + info->planes[i].offset_bytes + (size_t)y * info->planes[i].stride_bytes;
    switch (info->fourcc) {
    case SL_FORMAT_GRAY8:
        return &row[0][x];
    case SL_FORMAT_NV12:
        return kind == 0 ? &row[0][x] : &row[1][2 * x + (uint32_t)kind - 1];
    case SL_FORMAT_YUYV:
        return kind == 0 ? &row[0][2 * x] : &row[0][4 * x + (kind == 1 ? 1 : 3)];
    case SL_FORMAT_BGRA:
        return &row[0][4 * x + (uint32_t)kind];
    default:
        return &row[0][3 * x + (uint32_t)kind];
    }
}

static void check(uint32_t fourcc, uint32_t width_px, uint32_t height_px, uint32_t scale,
                  uint32_t spare)
{
    struct sl_frame_info info, small;
    uint8_t *pixels = noise(&info, fourcc, width_px, height_px, spare);
    if (sl_shrink_layout(&info, scale, &small, &err) != 0)
        fail_msg("%u x %u by %u: %s", width_px, height_px, scale, err.text);
    const bool halves_width = fourcc == SL_FORMAT_NV12 || fourcc == SL_FORMAT_YUYV;
    const bool halves_height = fourcc == SL_FORMAT_NV12;
    const uint32_t small_px = width_px / scale, small_rows = height_px / scale;
    assert_int_equal(small.width_px, halves_width ? small_px - small_px % 2 : small_px);
    assert_int_equal(small.height_px, halves_height ? small_rows - small_rows % 2 : small_rows);
    assert_int_equal(small.fourcc, fourcc == SL_FORMAT_BGRA ? SL_FORMAT_BGR24 : fourcc);
    assert_int_equal(small.frame_id, 7);
    assert_int_equal(small.exposed_ns, 1234567);
    assert_int_equal(sl_frame_check(&small, small.size_bytes, &err), 0);
    uint8_t *out = malloc(small.size_bytes);
    assert_non_null(out);
    sl_shrink(&info, pixels, scale, &small, out);
    const int kinds = fourcc == SL_FORMAT_GRAY8 ? 1 : 3;
    for (int kind = 0; kind < kinds; kind++) {
        const uint32_t width = small.width_px / (kind > 0 && halves_width ? 2 : 1);
        const uint32_t height = small.height_px / (kind > 0 && halves_height ? 2 : 1);
        for (uint32_t y = 0; y < height; y++) {
            for (uint32_t x = 0; x < width; x++) {
                double sum = 0;
                for (uint32_t i = 0; i < scale * scale; i++)
                    sum +=
                        *sample(&info, pixels, kind, x * scale + i % scale, y * scale + i / scale);
                const int right = (int)(sum / (scale * scale) + 0.5);
                const int got = *sample(&small, out, kind, x, y);
                if (got != right)
                    fail_msg("%u x %u by %u, kind %d at %u, %u: %d instead of %d", width_px,
                             height_px, scale, kind, x, y, got, right);
            }
        }
    }
    free(pixels);
    free(out);
}

static void every_pixel_is_its_boxes_average(void **unused)
{
    (void)unused;
    static const uint32_t FORMATS[] = {SL_FORMAT_GRAY8, SL_FORMAT_NV12, SL_FORMAT_YUYV,
                                       SL_FORMAT_BGR24, SL_FORMAT_BGRA};
    static const uint32_t SIZES[][2] = {{64, 48}, {640, 480}, {16, 16},
                                        {18, 22}, {50, 34},   {130, 16}};
    for (size_t f = 0; f < sizeof FORMATS / sizeof FORMATS[0]; f++)
        for (size_t s = 0; s < sizeof SIZES / sizeof SIZES[0]; s++)
            for (uint32_t scale = SL_SHRINK_MIN; scale <= SL_SHRINK_MAX; scale++)
                check(FORMATS[f], SIZES[s][0], SIZES[s][1], scale, scale % 2 * 5);
}

static void odd_sizes_where_chroma_allows_them(void **unused)
{
    (void)unused;
    static const uint32_t FORMATS[] = {SL_FORMAT_GRAY8, SL_FORMAT_BGR24, SL_FORMAT_BGRA};
    for (size_t f = 0; f < sizeof FORMATS / sizeof FORMATS[0]; f++) {
        check(FORMATS[f], 2, 2, 2, 0);
        check(FORMATS[f], 17, 33, 4, 3);
        check(FORMATS[f], 7, 9, 4, 0);
        check(FORMATS[f], SL_FRAME_WIDTH_MAX_PX, 3, 2, 0);
    }
    check(SL_FORMAT_YUYV, 34, 17, 4, 1);
    check(SL_FORMAT_YUYV, 14, 5, 2, 0);
}

/* What comes out goes into the encoder as it is. */
static void the_copy_can_be_encoded(void **unused)
{
    (void)unused;
    static const uint32_t FORMATS[] = {SL_FORMAT_GRAY8, SL_FORMAT_NV12, SL_FORMAT_YUYV,
                                       SL_FORMAT_BGR24, SL_FORMAT_BGRA};
    struct sl_jpeg_encoder *encoder = sl_jpeg_encoder_create();
    struct sl_image_decoder *decoder = sl_image_decoder_create();
    assert_true(encoder != NULL && decoder != NULL);
    for (size_t f = 0; f < sizeof FORMATS / sizeof FORMATS[0]; f++) {
        struct sl_frame_info info, small, back = {0};
        uint8_t *pixels = noise(&info, FORMATS[f], 66, 50, 0);
        memset(pixels, 90, info.size_bytes); /* of one colour, which survives */
        assert_int_equal(sl_shrink_layout(&info, 4, &small, &err), 0);
        uint8_t *out = malloc(small.size_bytes), gray[16 * 12];
        const uint8_t *jpeg;
        size_t size;
        assert_non_null(out);
        sl_shrink(&info, pixels, 4, &small, out);
        assert_int_equal(sl_jpeg_encode(encoder, &small, out, 90, &jpeg, &size, &err), 0);
        assert_int_equal(
            sl_image_decode(decoder, jpeg, size, SL_FORMAT_GRAY8, gray, sizeof gray, &back, &err),
            0);
        assert_int_equal(back.width_px, 16);
        assert_int_equal(back.height_px, 12);
        for (size_t i = 0; i < sizeof gray; i++)
            assert_in_range(gray[i], 88, 92);
        free(pixels);
        free(out);
    }
    sl_jpeg_encoder_destroy(encoder);
    sl_image_decoder_destroy(decoder);
}

static void what_cannot_be_is_refused(void **unused)
{
    (void)unused;
    struct sl_frame_info info, small;
    free(noise(&info, SL_FORMAT_NV12, 64, 48, 0));
    assert_int_equal(sl_shrink_layout(&info, 1, &small, &err), -EINVAL);
    assert_int_equal(sl_shrink_layout(&info, 9, &small, &err), -EINVAL);
    struct sl_frame_info bad = info;
    bad.size_bytes--;
    assert_int_equal(sl_shrink_layout(&bad, 4, &small, &err), -EPROTO);
    bad = info;
    bad.fourcc = SL_FORMAT_MJPEG;
    assert_int_equal(sl_shrink_layout(&bad, 4, &small, &err), -ENOTSUP);
    bad.fourcc = SL_FOURCC('X', 'Y', 'Z', 'W');
    assert_int_equal(sl_shrink_layout(&bad, 4, &small, NULL), -ENOTSUP);
    free(noise(&info, SL_FORMAT_NV12, 6, 48, 0)); /* one box is no pair */
    assert_int_equal(sl_shrink_layout(&info, 4, &small, &err), -EINVAL);
    assert_non_null(strstr(err.text, "too small"));
    free(noise(&info, SL_FORMAT_GRAY8, 64, 3, 0));
    assert_int_equal(sl_shrink_layout(&info, 4, &small, &err), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_pixel_is_its_boxes_average),
        cmocka_unit_test(odd_sizes_where_chroma_allows_them),
        cmocka_unit_test(the_copy_can_be_encoded),
        cmocka_unit_test(what_cannot_be_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
