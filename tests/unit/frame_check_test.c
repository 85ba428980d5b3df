/* Frame layouts: sizes of every format, and hostile descriptions of frames. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "rt/frame.h"

static const uint32_t FORMATS[] = {SL_FORMAT_GRAY8, SL_FORMAT_NV12, SL_FORMAT_YUYV, SL_FORMAT_BGR24,
                                   SL_FORMAT_BGRA};
#define FORMAT_COUNT (sizeof FORMATS / sizeof FORMATS[0])

static void sizes_are_right(void **state)
{
    (void)state;
    static const size_t BYTES[] = {800 * 600, 800 * 600 * 3 / 2, 800 * 600 * 2, 800 * 600 * 3,
                                   800 * 600 * 4};
    for (size_t i = 0; i < FORMAT_COUNT; i++) {
        struct sl_frame_info info = {.frame_id = 5, .exposed_ns = 6};
        struct sl_error err;
        assert_int_equal(sl_frame_size_bytes(FORMATS[i], 800, 600), BYTES[i]);
        assert_int_equal(sl_frame_layout(&info, FORMATS[i], 800, 600), 0);
        assert_int_equal(info.size_bytes, BYTES[i]);
        assert_int_equal(info.frame_id, 5);
        assert_int_equal(sl_frame_check(&info, BYTES[i], &err), 0);
        assert_int_equal(sl_frame_check(&info, BYTES[i] - 1, &err), -EPROTO);
        assert_true(strlen(err.text) > 0);
        /* The largest still fits its 32 bits. */
        assert_true(sl_frame_size_bytes(FORMATS[i], 8192, 8192) >= (size_t)8192 * 8192);
    }
    assert_int_equal(sl_frame_size_bytes(SL_FORMAT_MJPEG, 800, 600), 0);
    assert_int_equal(sl_frame_size_bytes(0, 800, 600), 0);
}

static void sides_are_checked(void **state)
{
    (void)state;
    static const struct {
        uint32_t fourcc, width_px, height_px;
    } BAD[] = {{SL_FORMAT_GRAY8, 0, 1},        {SL_FORMAT_GRAY8, 1, 0},
               {SL_FORMAT_GRAY8, 8193, 1},     {SL_FORMAT_GRAY8, 1, 8193},
               {SL_FORMAT_NV12, 801, 600},     {SL_FORMAT_NV12, 800, 601},
               {SL_FORMAT_YUYV, 801, 600},     {SL_FORMAT_BGR24, UINT32_MAX, 2},
               {SL_FORMAT_BGRA, 1u << 31, 2},  {SL_FORMAT_BGRA, 2, 1u << 31},
               {SL_FORMAT_GRAY8, 65536, 65536}};
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++) {
        struct sl_frame_info info = {0};
        assert_int_equal(sl_frame_size_bytes(BAD[i].fourcc, BAD[i].width_px, BAD[i].height_px), 0);
        assert_int_equal(sl_frame_layout(&info, BAD[i].fourcc, BAD[i].width_px, BAD[i].height_px),
                         -EINVAL);
        info = (struct sl_frame_info){.fourcc = BAD[i].fourcc,
                                      .width_px = BAD[i].width_px,
                                      .height_px = BAD[i].height_px,
                                      .size_bytes = UINT32_MAX,
                                      .plane_count = BAD[i].fourcc == SL_FORMAT_NV12 ? 2 : 1};
        for (int p = 0; p < SL_FRAME_PLANES_MAX; p++)
            info.planes[p].stride_bytes = UINT32_MAX;
        assert_int_equal(sl_frame_check(&info, SIZE_MAX, NULL), -EPROTO);
    }
    struct sl_frame_info info = {0};
    assert_int_equal(sl_frame_layout(&info, SL_FORMAT_YUYV, 800, 601), 0);
    assert_int_equal(sl_frame_layout(&info, SL_FORMAT_BGR24, 801, 601), 0);
}

/* Every field of a good description takes every nasty value: what passes must
 * keep all rows inside. */
static void hostile_fields_never_pass_out_of_bounds(void **state)
{
    (void)state;
    static const uint32_t NASTY[] = {
        0,    1,    2,    3,     47,    48,         63,         64,         65,        4095,
        4096, 8192, 8193, 65535, 65536, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff};
    size_t passed = 0;
    for (size_t f = 0; f < FORMAT_COUNT; f++) {
        struct sl_frame_info good = {0};
        assert_int_equal(sl_frame_layout(&good, FORMATS[f], 64, 48), 0);
        for (size_t field = 0; field < sizeof good / 4; field++) {
            for (size_t n = 0; n < sizeof NASTY / sizeof NASTY[0]; n++) {
                struct sl_frame_info info = good;
                memcpy((uint8_t *)&info + 4 * field, &NASTY[n], 4);
                if (sl_frame_check(&info, good.size_bytes, NULL) != 0)
                    continue;
                passed++;
                assert_true(info.size_bytes <= good.size_bytes);
                if (info.fourcc == SL_FORMAT_MJPEG)
                    continue;
                for (uint32_t p = 0; p < info.plane_count; p++) {
                    const uint64_t rows = p == 0 ? info.height_px : info.height_px / 2;
                    struct sl_frame_info tight = {0};
                    assert_int_equal(
                        sl_frame_layout(&tight, info.fourcc, info.width_px, info.height_px), 0);
                    const uint64_t end = (uint64_t)info.planes[p].offset_bytes +
                                         (rows - 1) * (uint64_t)info.planes[p].stride_bytes +
                                         tight.planes[p].stride_bytes;
                    assert_true(end <= info.size_bytes);
                }
            }
        }
    }
    assert_true(passed > 100); /* the harmless ones: ids, times, smaller pictures */
}

static void mjpeg_has_any_size(void **state)
{
    (void)state;
    struct sl_frame_info info = {.fourcc = SL_FORMAT_MJPEG,
                                 .width_px = 800,
                                 .height_px = 600,
                                 .size_bytes = 1000,
                                 .plane_count = 1};
    assert_int_equal(sl_frame_check(&info, 1000, NULL), 0);
    assert_int_equal(sl_frame_check(&info, 999, NULL), -EPROTO);
    info.planes[0].offset_bytes = 1000;
    assert_int_equal(sl_frame_check(&info, 1000, NULL), -EPROTO);
    info.planes[0].offset_bytes = 0;
    info.plane_count = 0;
    assert_int_equal(sl_frame_check(&info, 1000, NULL), -EPROTO);
    info.plane_count = 1;
    info.size_bytes = 0;
    assert_int_equal(sl_frame_check(&info, 1000, NULL), -EPROTO);
}

static void names_go_both_ways(void **state)
{
    (void)state;
    char name[5];
    for (size_t i = 0; i < FORMAT_COUNT; i++)
        assert_int_equal(sl_frame_format_parse(sl_frame_format_name(FORMATS[i], name)), FORMATS[i]);
    assert_int_equal(sl_frame_format_parse("gray8"), SL_FORMAT_GRAY8);
    assert_int_equal(sl_frame_format_parse("GREY"), SL_FORMAT_GRAY8);
    assert_int_equal(sl_frame_format_parse("nv12"), SL_FORMAT_NV12);
    assert_int_equal(sl_frame_format_parse("MJPEG"), SL_FORMAT_MJPEG);
    assert_int_equal(sl_frame_format_parse(""), 0);
    assert_int_equal(sl_frame_format_parse("NV21"), 0);
    assert_string_equal(sl_frame_format_name(0x01020304, name), "????");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_are_right),
        cmocka_unit_test(sides_are_checked),
        cmocka_unit_test(hostile_fields_never_pass_out_of_bounds),
        cmocka_unit_test(mjpeg_has_any_size),
        cmocka_unit_test(names_go_both_ways),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
