/* The watch over what a camera delivers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "app/camera/watch.h"
#include "rt/clock.h"

#define PERIOD_NS (20 * SL_NS_PER_MS)
#define START_NS  SL_NS_PER_S

static const struct sl_watch_config CONFIG = {.period_ms = 20, .contents = true, .good_frames = 4};

static struct sl_frame_digest different(void)
{
    static uint64_t hash;
    return (struct sl_frame_digest){.hash = ++hash, .brightest = 200};
}

static bool see(struct sl_watch *w, uint64_t *now_ns, struct sl_frame_digest digest)
{
    *now_ns += PERIOD_NS;
    return sl_watch_frame(w, &digest, *now_ns);
}

static struct sl_watch started(uint64_t *now_ns)
{
    struct sl_watch w = {0};
    *now_ns = START_NS;
    sl_watch_start(&w, &CONFIG, START_NS);
    return w;
}

static void silence_is_told_after_three_periods(void **state)
{
    (void)state;
    uint64_t now_ns;
    struct sl_watch w = started(&now_ns);
    assert_false(see(&w, &now_ns, different()));
    assert_int_equal(sl_watch_deadline_ns(&w), now_ns + 3 * PERIOD_NS);
    assert_false(sl_watch_none(&w, now_ns + 3 * PERIOD_NS - 1));
    assert_true(sl_watch_none(&w, now_ns + 3 * PERIOD_NS));
    assert_int_equal(w.trouble, SL_CAMERA_STALLED);
    assert_int_equal(w.trouble_ns, now_ns + 3 * PERIOD_NS);
    assert_false(sl_watch_none(&w, now_ns + 9 * PERIOD_NS)); /* once */
    assert_int_equal(w.trouble_ns, now_ns + 3 * PERIOD_NS);
}

static void silence_from_the_start_too(void **state)
{
    (void)state;
    uint64_t now_ns;
    struct sl_watch w = started(&now_ns);
    assert_false(sl_watch_none(&w, START_NS + 3 * PERIOD_NS - 1));
    assert_true(sl_watch_none(&w, START_NS + 3 * PERIOD_NS));
}

static void a_trouble_ends_with_good_frames_in_a_row(void **state)
{
    (void)state;
    uint64_t now_ns;
    struct sl_watch w = started(&now_ns);
    now_ns += 3 * PERIOD_NS;
    assert_true(sl_watch_none(&w, now_ns));
    for (int i = 0; i < 3; i++)
        assert_false(see(&w, &now_ns, different()));
    now_ns += 3 * PERIOD_NS; /* a gap: they do not count any more */
    assert_false(sl_watch_none(&w, now_ns));
    for (int i = 0; i < 3; i++)
        assert_false(see(&w, &now_ns, different()));
    assert_int_equal(w.trouble, SL_CAMERA_STALLED);
    assert_true(see(&w, &now_ns, different()));
    assert_int_equal(w.trouble, SL_CAMERA_GOOD);
    assert_int_equal(w.trouble_ns, 0);
}

static void a_restart_ends_no_trouble(void **state)
{
    (void)state;
    uint64_t now_ns;
    struct sl_watch w = started(&now_ns);
    sl_watch_none(&w, START_NS + 3 * PERIOD_NS);
    sl_watch_start(&w, &CONFIG, START_NS + 5 * PERIOD_NS);
    assert_int_equal(w.trouble, SL_CAMERA_STALLED);
    assert_int_equal(w.trouble_ns, START_NS + 3 * PERIOD_NS);
    assert_int_equal(sl_watch_deadline_ns(&w), START_NS + 8 * PERIOD_NS);
}

static void repeated_pictures_are_told_at_the_third_repetition(void **state)
{
    (void)state;
    uint64_t now_ns;
    struct sl_watch w = started(&now_ns);
    const struct sl_frame_digest same = different();
    for (int i = 0; i < 3; i++)
        assert_false(see(&w, &now_ns, same));
    assert_true(see(&w, &now_ns, same));
    assert_int_equal(w.trouble, SL_CAMERA_FROZEN);
    for (int i = 0; i < 9; i++)
        assert_false(see(&w, &now_ns, same));
    for (int i = 0; i < 3; i++)
        assert_false(see(&w, &now_ns, different()));
    assert_true(see(&w, &now_ns, different()));
    assert_int_equal(w.trouble, SL_CAMERA_GOOD);
}

static void black_pictures_are_told_though_their_noise_differs(void **state)
{
    (void)state;
    uint64_t now_ns;
    struct sl_watch w = started(&now_ns);
    for (int i = 0; i < 3; i++) {
        struct sl_frame_digest dark = different();
        dark.brightest = 23;
        assert_int_equal(see(&w, &now_ns, dark), i == 2);
    }
    assert_int_equal(w.trouble, SL_CAMERA_BLACK);
    struct sl_frame_digest lamp = different();
    lamp.brightest = 24; /* not black any more */
    for (int i = 0; i < 4; i++) {
        lamp.hash++;
        assert_int_equal(see(&w, &now_ns, lamp), i == 3);
    }
}

static void one_trouble_becomes_another_since_the_first(void **state)
{
    (void)state;
    uint64_t now_ns;
    struct sl_watch w = started(&now_ns);
    const struct sl_frame_digest same = different();
    for (int i = 0; i < 4; i++)
        see(&w, &now_ns, same);
    const uint64_t since_ns = now_ns;
    assert_true(sl_watch_none(&w, now_ns + 3 * PERIOD_NS));
    assert_int_equal(w.trouble, SL_CAMERA_STALLED);
    assert_int_equal(w.trouble_ns, since_ns);
}

static void contents_may_go_unwatched(void **state)
{
    (void)state;
    struct sl_watch w = {0};
    struct sl_watch_config config = CONFIG;
    config.contents = false;
    sl_watch_start(&w, &config, START_NS);
    for (uint64_t i = 1; i < 20; i++)
        assert_false(sl_watch_frame(&w, NULL, START_NS + i * PERIOD_NS));
}

/* ---- digests ---- */

static void every_format_is_looked_at_by_its_luma(void **state)
{
    (void)state;
    static uint8_t pixels[200 * 100 * 4];
    static const uint32_t FORMATS[] = {SL_FORMAT_GRAY8, SL_FORMAT_NV12, SL_FORMAT_YUYV,
                                       SL_FORMAT_BGR24, SL_FORMAT_BGRA};
    for (size_t i = 0; i < sizeof FORMATS / sizeof FORMATS[0]; i++) {
        struct sl_frame_info info = {0};
        struct sl_frame_digest dark, light, again;
        assert_int_equal(sl_frame_layout(&info, FORMATS[i], 200, 100), 0);
        memset(pixels, 10, sizeof pixels);
        sl_frame_digest(&info, pixels, &dark);
        assert_int_equal(dark.brightest, 10);
        assert_true(sl_frame_digest_is_black(&dark));
        memset(pixels + 40 * info.planes[0].stride_bytes, 99, 4 * info.planes[0].stride_bytes);
        sl_frame_digest(&info, pixels, &light);
        assert_int_equal(light.brightest, 99);
        assert_false(sl_frame_digest_is_black(&light));
        assert_int_not_equal(light.hash, dark.hash);
        sl_frame_digest(&info, pixels, &again);
        assert_int_equal(again.hash, light.hash);
        if (FORMATS[i] == SL_FORMAT_NV12) { /* chroma says nothing */
            memset(pixels + info.planes[1].offset_bytes, 255, 200 * 50);
            sl_frame_digest(&info, pixels, &again);
            assert_int_equal(again.hash, light.hash);
        }
    }
}

/* A sensor's noise: one step of one level in a part of its pixels. */
static void noise_is_seen(void **state)
{
    (void)state;
    static uint8_t pixels[800 * 600];
    struct sl_frame_info info = {0};
    struct sl_frame_digest before, after;
    assert_int_equal(sl_frame_layout(&info, SL_FORMAT_GRAY8, 800, 600), 0);
    memset(pixels, 128, sizeof pixels);
    sl_frame_digest(&info, pixels, &before);
    uint32_t random = 1;
    for (size_t i = 0; i < sizeof pixels; i++) {
        random = random * 1664525u + 1013904223u;
        if (random >> 24 < 3) /* 1 of 85 */
            pixels[i]++;
    }
    sl_frame_digest(&info, pixels, &after);
    assert_int_not_equal(before.hash, after.hash);
}

static void the_smallest_pictures_are_no_trouble(void **state)
{
    (void)state;
    const uint8_t one[2] = {7, 0};
    struct sl_frame_info info = {0};
    struct sl_frame_digest digest;
    assert_int_equal(sl_frame_layout(&info, SL_FORMAT_GRAY8, 1, 1), 0);
    sl_frame_digest(&info, one, &digest);
    assert_int_equal(digest.brightest, 7);
    info = (struct sl_frame_info){.fourcc = SL_FORMAT_MJPEG,
                                  .plane_count = 1,
                                  .size_bytes = 2,
                                  .width_px = 1,
                                  .height_px = 1};
    sl_frame_digest(&info, one, &digest);
    assert_false(sl_frame_digest_is_black(&digest));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(silence_is_told_after_three_periods),
        cmocka_unit_test(silence_from_the_start_too),
        cmocka_unit_test(a_trouble_ends_with_good_frames_in_a_row),
        cmocka_unit_test(a_restart_ends_no_trouble),
        cmocka_unit_test(repeated_pictures_are_told_at_the_third_repetition),
        cmocka_unit_test(black_pictures_are_told_though_their_noise_differs),
        cmocka_unit_test(one_trouble_becomes_another_since_the_first),
        cmocka_unit_test(contents_may_go_unwatched),
        cmocka_unit_test(every_format_is_looked_at_by_its_luma),
        cmocka_unit_test(noise_is_seen),
        cmocka_unit_test(the_smallest_pictures_are_no_trouble),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
