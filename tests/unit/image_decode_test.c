/* The picture reader: right pixels from good files, an error and nothing else
 * from bad ones. Sample JPEGs are made here, of every kind that libjpeg writes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

#include "hal/camera/image.h"

struct sample {
    J_COLOR_SPACE in, stored;
    int h, v; /* samples of luma for one of chroma */
    uint32_t width_px, height_px;
    int progressive; /* 2: a scan for each coefficient */
};

static struct sl_image_decoder *decoder;
static struct sl_error err;

/* Smooth values, so that JPEG keeps them nearly. */
static uint8_t slope(uint32_t x, uint32_t y, int component)
{
    switch (component) {
    case 0:
        return (uint8_t)(40 + 2 * x + y);
    case 1:
        return (uint8_t)(100 + x);
    case 2:
        return (uint8_t)(160 - y);
    default:
        return 30;
    }
}

static uint8_t *make_jpeg(const struct sample *s, unsigned long *size)
{
    static jpeg_scan_info scans[200];
    struct jpeg_compress_struct jpeg;
    struct jpeg_error_mgr errors;
    uint8_t *bytes = NULL;
    jpeg.err = jpeg_std_error(&errors);
    jpeg_create_compress(&jpeg);
    *size = 0;
    jpeg_mem_dest(&jpeg, &bytes, size);
    jpeg.image_width = s->width_px;
    jpeg.image_height = s->height_px;
    jpeg.in_color_space = s->in;
    jpeg.input_components = s->in == JCS_GRAYSCALE ? 1 : s->in == JCS_CMYK ? 4 : 3;
    jpeg_set_defaults(&jpeg);
    jpeg_set_colorspace(&jpeg, s->stored);
    jpeg_set_quality(&jpeg, 95, TRUE);
    jpeg.comp_info[0].h_samp_factor = s->h;
    jpeg.comp_info[0].v_samp_factor = s->v;
    if (s->progressive == 1)
        jpeg_simple_progression(&jpeg);
    if (s->progressive == 2) {
        scans[0] = (jpeg_scan_info){.comps_in_scan = 1};
        for (int i = 1; i < 64; i++)
            scans[i] = (jpeg_scan_info){.comps_in_scan = 1, .Ss = i, .Se = i};
        for (int c = 1; c < 3; c++)
            scans[63 + c] = (jpeg_scan_info){.comps_in_scan = 1, .component_index = {c}};
        jpeg.scan_info = scans;
        jpeg.num_scans = 66;
    }
    jpeg_start_compress(&jpeg, TRUE);
    uint8_t row[4 * 256];
    for (uint32_t y = 0; y < s->height_px; y++) {
        JSAMPROW rows[1] = {row};
        for (uint32_t x = 0; x < s->width_px; x++) {
            for (int c = 0; c < jpeg.input_components; c++)
                row[x * (uint32_t)jpeg.input_components + (uint32_t)c] = slope(x, y, c);
        }
        jpeg_write_scanlines(&jpeg, rows, 1);
    }
    jpeg_finish_compress(&jpeg);
    jpeg_destroy_compress(&jpeg);
    return bytes;
}

/* Decodes into memory of exactly the right size, with a guard behind it. */
static uint8_t *decode(const void *bytes, size_t size, uint32_t fourcc, struct sl_frame_info *info)
{
    static uint8_t memory[512 * 512 * 4];
    *info = (struct sl_frame_info){.frame_id = 77};
    memset(memory, 0xa5, sizeof memory);
    err.text[0] = '\0';
    assert_int_equal(
        sl_image_decode(decoder, bytes, size, fourcc, memory, sizeof memory - 64, info, &err), 0);
    assert_int_equal(sl_frame_check(info, info->size_bytes, &err), 0);
    assert_int_equal(info->frame_id, 77);
    assert_int_equal(info->fourcc, fourcc);
    for (size_t i = info->size_bytes; i < info->size_bytes + 64u; i++)
        assert_int_equal(memory[i], 0xa5);
    return memory;
}

static void near_to(int value, int expected, int tolerance)
{
    if (abs(value - expected) > tolerance)
        fail_msg("%d is not near to %d", value, expected);
}

static void jpeg_gives_its_luma_and_chroma(void **state)
{
    (void)state;
    static const struct sample KINDS[] = {
        {JCS_YCbCr, JCS_YCbCr, 1, 1, 50, 38, 0}, {JCS_YCbCr, JCS_YCbCr, 2, 1, 50, 38, 0},
        {JCS_YCbCr, JCS_YCbCr, 2, 2, 50, 38, 0}, {JCS_YCbCr, JCS_YCbCr, 1, 2, 50, 38, 0},
        {JCS_YCbCr, JCS_YCbCr, 4, 1, 50, 38, 0}, {JCS_YCbCr, JCS_YCbCr, 2, 2, 50, 38, 1},
    };
    for (size_t k = 0; k < sizeof KINDS / sizeof KINDS[0]; k++) {
        unsigned long size;
        uint8_t *jpeg = make_jpeg(&KINDS[k], &size);
        struct sl_frame_info info;
        static uint8_t gray[50 * 38];
        memcpy(gray, decode(jpeg, size, SL_FORMAT_GRAY8, &info), sizeof gray);
        assert_int_equal(info.size_bytes, sizeof gray);
        for (uint32_t y = 0; y < 38; y++)
            for (uint32_t x = 0; x < 50; x++)
                near_to(gray[y * 50 + x], slope(x, y, 0), 6);

        const uint8_t *nv12 = decode(jpeg, size, SL_FORMAT_NV12, &info);
        assert_memory_equal(nv12, gray, sizeof gray);
        const uint8_t *chroma = nv12 + info.planes[1].offset_bytes;
        for (uint32_t y = 0; y < 19; y++) {
            for (uint32_t x = 0; x < 25; x++) {
                near_to(chroma[y * 50 + 2 * x], slope(2 * x, 2 * y, 1), 6);
                near_to(chroma[y * 50 + 2 * x + 1], slope(2 * x, 2 * y, 2), 6);
            }
        }

        const uint8_t *yuyv = decode(jpeg, size, SL_FORMAT_YUYV, &info);
        for (uint32_t i = 0; i < 50 * 38; i++)
            assert_int_equal(yuyv[2 * i], gray[i]);
        for (uint32_t y = 0; y < 38; y++) {
            for (uint32_t x = 0; x < 25; x++) {
                near_to(yuyv[y * 100 + 4 * x + 1], slope(2 * x, y, 1), 6);
                near_to(yuyv[y * 100 + 4 * x + 3], slope(2 * x, y, 2), 6);
            }
        }

        const uint8_t *bgr = decode(jpeg, size, SL_FORMAT_BGR24, &info);
        for (uint32_t i = 0; i < 50 * 38; i++)
            near_to((114 * bgr[3 * i] + 587 * bgr[3 * i + 1] + 299 * bgr[3 * i + 2]) / 1000,
                    gray[i], 3);
        free(jpeg);
    }
}

/* The samples that the file stores, through libjpeg's other door. */
static void chroma_of_420_is_not_resampled(void **state)
{
    (void)state;
    unsigned long size;
    uint8_t *jpeg = make_jpeg(&(struct sample){JCS_YCbCr, JCS_YCbCr, 2, 2, 64, 48, 0}, &size);
    struct sl_frame_info info;
    const uint8_t *nv12 = decode(jpeg, size, SL_FORMAT_NV12, &info);
    const uint8_t *chroma = nv12 + info.planes[1].offset_bytes;

    struct jpeg_decompress_struct raw;
    struct jpeg_error_mgr errors;
    raw.err = jpeg_std_error(&errors);
    jpeg_create_decompress(&raw);
    jpeg_mem_src(&raw, jpeg, size);
    jpeg_read_header(&raw, TRUE);
    raw.raw_data_out = TRUE;
    jpeg_start_decompress(&raw);
    static uint8_t planes[3][16][64];
    JSAMPROW rows[3][16];
    JSAMPARRAY arrays[3] = {rows[0], rows[1], rows[2]};
    for (int c = 0; c < 3; c++)
        for (int i = 0; i < 16; i++)
            rows[c][i] = planes[c][i];
    for (uint32_t y = 0; y < 48; y += 16) {
        assert_int_equal(jpeg_read_raw_data(&raw, arrays, 16), 16);
        for (uint32_t i = 0; i < 8; i++) {
            for (uint32_t x = 0; x < 32; x++) {
                assert_int_equal(chroma[(y / 2 + i) * 64 + 2 * x], planes[1][i][x]);
                assert_int_equal(chroma[(y / 2 + i) * 64 + 2 * x + 1], planes[2][i][x]);
            }
        }
    }
    jpeg_finish_decompress(&raw);
    jpeg_destroy_decompress(&raw);
    free(jpeg);
}

static void gray_and_rgb_jpegs(void **state)
{
    (void)state;
    unsigned long size;
    struct sl_frame_info info;
    uint8_t *jpeg =
        make_jpeg(&(struct sample){JCS_GRAYSCALE, JCS_GRAYSCALE, 1, 1, 34, 22, 0}, &size);
    static uint8_t gray[34 * 22];
    memcpy(gray, decode(jpeg, size, SL_FORMAT_GRAY8, &info), sizeof gray);
    const uint8_t *out = decode(jpeg, size, SL_FORMAT_NV12, &info);
    assert_memory_equal(out, gray, sizeof gray);
    for (uint32_t i = sizeof gray; i < info.size_bytes; i++)
        assert_int_equal(out[i], 128);
    out = decode(jpeg, size, SL_FORMAT_BGR24, &info);
    for (uint32_t i = 0; i < info.size_bytes; i++)
        assert_int_equal(out[i], gray[i / 3]);
    free(jpeg);

    jpeg = make_jpeg(&(struct sample){JCS_RGB, JCS_RGB, 1, 1, 34, 22, 0}, &size);
    out = decode(jpeg, size, SL_FORMAT_BGR24, &info);
    for (uint32_t y = 0; y < 22; y++)
        for (uint32_t x = 0; x < 34; x++)
            for (int c = 0; c < 3; c++)
                near_to(out[(y * 34 + x) * 3 + 2 - (uint32_t)c], slope(x, y, c), 6);
    out = decode(jpeg, size, SL_FORMAT_NV12, &info);
    near_to(out[0], (299 * 40 + 587 * 100 + 114 * 160) / 1000, 6);
    free(jpeg);
}

static void odd_sizes_lose_the_last_column_or_row(void **state)
{
    (void)state;
    unsigned long size;
    uint8_t *jpeg = make_jpeg(&(struct sample){JCS_YCbCr, JCS_YCbCr, 2, 2, 17, 13, 0}, &size);
    static const struct {
        uint32_t fourcc, width_px, height_px;
    } EXPECTED[] = {{SL_FORMAT_GRAY8, 17, 13},
                    {SL_FORMAT_BGR24, 17, 13},
                    {SL_FORMAT_YUYV, 16, 13},
                    {SL_FORMAT_NV12, 16, 12}};
    for (size_t i = 0; i < 4; i++) {
        struct sl_frame_info info;
        decode(jpeg, size, EXPECTED[i].fourcc, &info);
        assert_int_equal(info.width_px, EXPECTED[i].width_px);
        assert_int_equal(info.height_px, EXPECTED[i].height_px);
    }
    free(jpeg);

    jpeg = make_jpeg(&(struct sample){JCS_YCbCr, JCS_YCbCr, 1, 1, 1, 1, 0}, &size);
    struct sl_frame_info info;
    uint8_t memory[64];
    decode(jpeg, size, SL_FORMAT_GRAY8, &info);
    assert_int_equal(sl_image_decode(decoder, jpeg, size, SL_FORMAT_NV12, memory, 64, &info, &err),
                     -EPROTO);
    free(jpeg);
}

static int try_decode(const void *bytes, size_t size, uint32_t fourcc)
{
    static uint8_t memory[256 * 256 * 3];
    /* A copy of exactly this size, so that a sanitizer sees reads beyond it. */
    uint8_t *copy = malloc(size != 0 ? size : 1);
    struct sl_frame_info info = {0};
    assert_non_null(copy);
    if (size != 0)
        memcpy(copy, bytes, size);
    err.text[0] = '\0';
    const int result =
        sl_image_decode(decoder, copy, size, fourcc, memory, sizeof memory, &info, &err);
    free(copy);
    if (result == 0)
        assert_int_equal(sl_frame_check(&info, sizeof memory, NULL), 0);
    else
        assert_true(strlen(err.text) > 5);
    return result;
}

static void every_prefix_of_a_jpeg_is_an_error(void **state)
{
    (void)state;
    static const struct sample KINDS[] = {
        {JCS_YCbCr, JCS_YCbCr, 2, 2, 32, 24, 0},
        {JCS_YCbCr, JCS_YCbCr, 2, 1, 32, 24, 1},
        {JCS_GRAYSCALE, JCS_GRAYSCALE, 1, 1, 32, 24, 0},
    };
    for (size_t k = 0; k < sizeof KINDS / sizeof KINDS[0]; k++) {
        unsigned long size;
        uint8_t *jpeg = make_jpeg(&KINDS[k], &size);
        for (size_t n = 0; n < size; n++) {
            assert_int_equal(try_decode(jpeg, n, SL_FORMAT_GRAY8), -EPROTO);
            assert_int_equal(try_decode(jpeg, n, SL_FORMAT_NV12), -EPROTO);
        }
        assert_int_equal(try_decode(jpeg, size, SL_FORMAT_NV12), 0);
        free(jpeg);
    }
}

static void damaged_bytes_never_crash(void **state)
{
    (void)state;
    for (int progressive = 0; progressive < 2; progressive++) {
        unsigned long size;
        uint8_t *jpeg =
            make_jpeg(&(struct sample){JCS_YCbCr, JCS_YCbCr, 2, 2, 24, 24, progressive}, &size);
        int errors = 0;
        for (size_t n = 0; n < size; n++) {
            static const uint8_t FLIPS[] = {0xff, 0x01, 0x80};
            for (size_t i = 0; i < sizeof FLIPS; i++) {
                jpeg[n] ^= FLIPS[i];
                errors += try_decode(jpeg, size, SL_FORMAT_YUYV) != 0;
                jpeg[n] ^= FLIPS[i];
            }
        }
        assert_true(errors > 100);
        /* The decoder is as good as new. */
        assert_int_equal(try_decode(jpeg, size, SL_FORMAT_YUYV), 0);
        free(jpeg);
    }
}

/* Where the frame header says height and width. */
static uint8_t *size_of(uint8_t *jpeg, size_t size, uint8_t marker)
{
    for (size_t i = 0; i + 9 < size; i++) {
        if (jpeg[i] == 0xff && jpeg[i + 1] == marker && jpeg[i + 2] == 0)
            return jpeg + i + 5;
    }
    fail_msg("no frame header");
    return NULL;
}

static void hostile_jpeg_headers(void **state)
{
    (void)state;
    unsigned long size;
    uint32_t width, height;
    uint8_t *jpeg = make_jpeg(&(struct sample){JCS_YCbCr, JCS_YCbCr, 1, 1, 32, 24, 0}, &size);
    assert_int_equal(sl_image_probe(decoder, jpeg, size, &width, &height, &err), 0);
    assert_int_equal(width, 32);
    assert_int_equal(height, 24);

    static const uint8_t SIZES[][4] = {{0xff, 0xff, 0xff, 0xff},
                                       {0x20, 0x01, 0, 16},
                                       {0, 16, 0x20, 0x01},
                                       {0, 0, 0, 16},
                                       {0, 16, 0, 0}};
    for (size_t i = 0; i < sizeof SIZES / sizeof SIZES[0]; i++) {
        memcpy(size_of(jpeg, size, 0xc0), SIZES[i], 4);
        assert_int_equal(sl_image_probe(decoder, jpeg, size, &width, &height, &err), -EPROTO);
        assert_int_equal(try_decode(jpeg, size, SL_FORMAT_GRAY8), -EPROTO);
    }
    /* More rows than there are bytes for: truncated. */
    memcpy(size_of(jpeg, size, 0xc0), "\0\x60\0\x20", 4);
    assert_int_equal(try_decode(jpeg, size, SL_FORMAT_GRAY8), -EPROTO);
    /* Larger than the memory given. */
    memcpy(size_of(jpeg, size, 0xc0), "\x20\0\x20\0", 4);
    assert_int_equal(try_decode(jpeg, size, SL_FORMAT_GRAY8), -ENOSPC);
    /* 12 bits a sample. */
    memcpy(size_of(jpeg, size, 0xc0) - 1, "\x0c\0\x18\0\x20", 5);
    assert_int_equal(try_decode(jpeg, size, SL_FORMAT_GRAY8), -EPROTO);
    free(jpeg);
}

static void costly_jpegs_are_refused(void **state)
{
    (void)state;
    unsigned long size;
    uint8_t *jpeg = make_jpeg(&(struct sample){JCS_YCbCr, JCS_YCbCr, 1, 1, 16, 16, 2}, &size);
    assert_int_equal(try_decode(jpeg, size, SL_FORMAT_NV12), -EPROTO);
    assert_non_null(strstr(err.text, "scans"));
    free(jpeg);

    /* A few hundred bytes that ask for 400 MB of coefficients. */
    jpeg = make_jpeg(&(struct sample){JCS_YCbCr, JCS_YCbCr, 1, 1, 16, 16, 1}, &size);
    memcpy(size_of(jpeg, size, 0xc2), "\x20\0\x20\0", 4);
    const size_t capacity = (size_t)8192 * 8192 * 3;
    uint8_t *memory = malloc(capacity);
    struct sl_frame_info info = {0};
    assert_non_null(memory);
    assert_int_equal(
        sl_image_decode(decoder, jpeg, size, SL_FORMAT_BGR24, memory, capacity, &info, &err),
        -EPROTO);
    if (strstr(err.text, "256 MiB of memory") == NULL)
        fail_msg("not for its memory, but: %s", err.text);
    free(memory);
    free(jpeg);
}

static void cmyk_is_refused_in_words(void **state)
{
    (void)state;
    unsigned long size;
    uint8_t *jpeg = make_jpeg(&(struct sample){JCS_CMYK, JCS_CMYK, 1, 1, 16, 16, 0}, &size);
    static const uint32_t FORMATS[] = {SL_FORMAT_GRAY8, SL_FORMAT_NV12, SL_FORMAT_YUYV,
                                       SL_FORMAT_BGR24};
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(try_decode(jpeg, size, FORMATS[i]), -EPROTO);
        assert_non_null(strstr(err.text, "CMYK"));
    }
    free(jpeg);
}

static void pgm_and_ppm(void **state)
{
    (void)state;
    struct sl_frame_info info;
    static const char *const SAME[] = {
        "P5 4 2 255\nabcdefgh",
        "P5\n4\n2\n255\nabcdefgh",
        "P5\n# made by hand\n4 2\n255 abcdefgh",
        "P5#x\n 4#y 9 9\r2 # 255\n255\nabcdefgh",
        "P5\t0004\v2\f255\rabcdefgh and more",
    };
    for (size_t i = 0; i < sizeof SAME / sizeof SAME[0]; i++) {
        uint32_t width = 0, height = 0;
        assert_int_equal(sl_image_probe(decoder, SAME[i], strlen(SAME[i]), &width, &height, &err),
                         0);
        assert_int_equal(width * 10 + height, 42);
        assert_memory_equal(decode(SAME[i], strlen(SAME[i]), SL_FORMAT_GRAY8, &info), "abcdefgh",
                            8);
    }
    /* The one white space after 255 is no pixel, the next one is. */
    assert_memory_equal(decode("P5 2 2 255\n\n #\n", 15, SL_FORMAT_GRAY8, &info), "\n #\n", 4);

    const uint8_t *out = decode(SAME[0], strlen(SAME[0]), SL_FORMAT_BGR24, &info);
    assert_memory_equal(out, "aaabbbccc", 9);
    out = decode(SAME[0], strlen(SAME[0]), SL_FORMAT_YUYV, &info);
    assert_memory_equal(out,
                        "a\x80"
                        "b\x80"
                        "c\x80"
                        "d\x80"
                        "e\x80",
                        10);
    out = decode(SAME[0], strlen(SAME[0]), SL_FORMAT_NV12, &info);
    assert_memory_equal(out, "abcdefgh\x80\x80\x80\x80", 12);

    out = decode("P6 2 1 255 rgbRGB", 17, SL_FORMAT_BGR24, &info);
    assert_memory_equal(out, "bgrBGR", 6);
}

/* Values of ITU-R BT.601 with full range, as in JFIF 1.02, page 3. */
static void colours_are_bt601(void **state)
{
    (void)state;
    static const struct {
        uint8_t rgb[3], ycc[3];
    } COLOURS[] = {
        {{0, 0, 0}, {0, 128, 128}},     {{255, 255, 255}, {255, 128, 128}},
        {{255, 0, 0}, {76, 85, 255}},   {{0, 255, 0}, {150, 44, 21}},
        {{0, 0, 255}, {29, 255, 107}},  {{255, 255, 0}, {226, 1, 149}},
        {{0, 255, 255}, {179, 171, 1}}, {{128, 128, 128}, {128, 128, 128}},
    };
    for (size_t i = 0; i < sizeof COLOURS / sizeof COLOURS[0]; i++) {
        struct sl_frame_info info;
        char file[32] = "P6 2 2 255 ";
        for (int p = 0; p < 4; p++)
            memcpy(file + 11 + 3 * p, COLOURS[i].rgb, 3);
        const uint8_t *out = decode(file, 23, SL_FORMAT_NV12, &info);
        for (int p = 0; p < 4; p++)
            assert_int_equal(out[p], COLOURS[i].ycc[0]);
        near_to(out[4], COLOURS[i].ycc[1], 1);
        near_to(out[5], COLOURS[i].ycc[2], 1);
        out = decode(file, 23, SL_FORMAT_YUYV, &info);
        assert_int_equal(out[0], COLOURS[i].ycc[0]);
        near_to(out[1], COLOURS[i].ycc[1], 1);
        near_to(out[3], COLOURS[i].ycc[2], 1);
        out = decode(file, 23, SL_FORMAT_GRAY8, &info);
        assert_int_equal(out[3], COLOURS[i].ycc[0]);
    }
}

static void hostile_pnm_headers(void **state)
{
    (void)state;
    static const char *const BAD[] = {
        "",
        "P",
        "P5",
        "P6",
        "P5 ",
        "P5 4",
        "P5 4 2",
        "P5 4 2 255",
        "P5 4 2 255\n",
        "P5 4 2 255\nabcdefg",
        "P6 4 2 255\nabcdefgh",
        "P54 2 255\nabcdefgh",
        "P5 4 2 255abcdefgh",
        "P5 4 2 255#comment\nabcdefgh",
        "P5 -4 2 255\nabcdefgh",
        "P5 +4 2 255\nabcdefgh",
        "P5 4x2 255\nabcdefgh",
        "P5 4.0 2 255\nabcdefgh",
        "P5 0 2 255\nabcdefgh",
        "P5 4 0 255\nabcdefgh",
        "P5 4 2 0\nabcdefgh",
        "P5 4 2 254\nabcdefgh",
        "P5 4 2 256\nabcdefghabcdefgh",
        "P5 4 2 65535\nabcdefghabcdefgh",
        "P5 8193 1 255\nabcdefgh",
        "P5 1 8193 255\nabcdefgh",
        "P5 4294967297 1 255\nabcdefgh",
        "P5 99999999999999999999999999999999999999999999 1 255\nabcdefgh",
        "P5 65536 65536 255\n",
        "P5 8192 8192 255\nabcdefgh",
        "P5 # never ends",
        "P5 4 # 2 255 abcdefgh",
        "P1 4 2 255\nabcdefgh",
        "P2 4 2 255\n1 2 3 4 5 6 7 8",
        "P7\nWIDTH 4\n",
        "BM garbage",
        "\xff\xd8",
        "\xff\xd8\xff",
        "\xff\xd8 garbage",
    };
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++) {
        const int result = try_decode(BAD[i], strlen(BAD[i]), SL_FORMAT_GRAY8);
        /* One of them is right but larger than the memory. */
        if (result != -EPROTO && !(result == -ENOSPC && strstr(BAD[i], "8192 8192") != NULL))
            fail_msg("'%s' gave %d", BAD[i], result);
    }
    const char good[] = "P6 # \n2 2\n255\nabcdefghijkl";
    for (size_t n = 0; n < sizeof good - 1; n++)
        assert_int_equal(try_decode(good, n, SL_FORMAT_NV12), -EPROTO);
    assert_int_equal(try_decode(good, sizeof good - 1, SL_FORMAT_NV12), 0);
    assert_int_equal(try_decode(NULL, 0, SL_FORMAT_NV12), -EPROTO);
}

static void capacity_and_format_are_checked(void **state)
{
    (void)state;
    static const char PGM[] = "P5 4 2 255\nabcdefgh";
    struct sl_frame_info info = {0};
    uint8_t memory[16] = {0};
    assert_int_equal(sl_image_decode(decoder, PGM, 19, SL_FORMAT_GRAY8, memory, 7, &info, &err),
                     -ENOSPC);
    assert_int_equal(memory[0], 0);
    assert_int_equal(sl_image_decode(decoder, PGM, 19, SL_FORMAT_GRAY8, memory, 8, &info, &err), 0);
    assert_int_equal(sl_image_decode(decoder, PGM, 19, SL_FORMAT_MJPEG, memory, 16, &info, &err),
                     -ENOTSUP);
    assert_int_equal(sl_image_decode(decoder, PGM, 19, 0, memory, 16, &info, NULL), -ENOTSUP);
    sl_image_decoder_destroy(NULL);
}

static int create(void **state)
{
    (void)state;
    decoder = sl_image_decoder_create();
    return decoder == NULL;
}

static int destroy(void **state)
{
    (void)state;
    sl_image_decoder_destroy(decoder);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(jpeg_gives_its_luma_and_chroma),
        cmocka_unit_test(chroma_of_420_is_not_resampled),
        cmocka_unit_test(gray_and_rgb_jpegs),
        cmocka_unit_test(odd_sizes_lose_the_last_column_or_row),
        cmocka_unit_test(every_prefix_of_a_jpeg_is_an_error),
        cmocka_unit_test(damaged_bytes_never_crash),
        cmocka_unit_test(hostile_jpeg_headers),
        cmocka_unit_test(costly_jpegs_are_refused),
        cmocka_unit_test(cmyk_is_refused_in_words),
        cmocka_unit_test(pgm_and_ppm),
        cmocka_unit_test(colours_are_bt601),
        cmocka_unit_test(hostile_pnm_headers),
        cmocka_unit_test(capacity_and_format_are_checked),
    };
    return cmocka_run_group_tests(tests, create, destroy);
}
