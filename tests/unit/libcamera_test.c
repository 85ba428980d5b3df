/* The libcamera driver without libcamera: its pure parts; and the driver over a camera
 * that this test plays, on a thread of its own as libcamera's is. What libcamera itself
 * does is tried by tests/contract/libcamera_target_test.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hal/camera/camera.h"
#include "hal/camera/libcamera.h"
#include "hal/camera/libcamera_parts.h"
#include "rt/clock.h"

#define DRM_NV12   SL_FOURCC('N', 'V', '1', '2')
#define DRM_YUV420 SL_FOURCC('Y', 'U', '1', '2')
#define DRM_BGR888 SL_FOURCC('B', 'G', '2', '4')

static struct sl_error err;

static uint64_t in_ms(uint64_t ms)
{
    return sl_clock_now_ns() + ms * SL_NS_PER_MS;
}

/* ---- which camera ---- */

static const struct sl_libcamera_name NAMES[] = {
    {"/base/soc/i2c0mux/i2c@1/imx708@1a", "imx708"},
    {"/base/soc/i2c0mux/i2c@0/imx219@10", "imx219"},
    {"Virtual0", "Virtual Video Device"},
};

static int choose(const char *source)
{
    err.text[0] = '\0';
    return sl_libcamera_choose(source, NAMES, 3, &err);
}

static void cameras_are_chosen_by_text(void **state)
{
    (void)state;
    assert_int_equal(choose(""), 0);
    assert_int_equal(choose(NULL), 0);
    assert_int_equal(choose("0"), 0);
    assert_int_equal(choose("2"), 2);
    assert_int_equal(choose("imx219"), 1);
    assert_int_equal(choose("i2c@1/"), 0);
    assert_int_equal(choose("Virtual Video"), 2);
    assert_int_equal(choose("/base/soc/i2c0mux/i2c@0/imx219@10"), 1);
    assert_string_equal(err.text, "");

    /* A whole id is not asked whether it is a part of another one, nor is a number. */
    const struct sl_libcamera_name nested[] = {{"cam10", ""}, {"cam1", ""}, {"1", ""}};
    assert_int_equal(sl_libcamera_choose("cam1", nested, 3, &err), 1);
    assert_int_equal(sl_libcamera_choose("1", nested, 3, &err), 2);
}

static void wrong_names_list_the_cameras(void **state)
{
    (void)state;
    const char *const wrong[] = {"imx477", "3", "99999999999999999999", "-1"};
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(choose(wrong[i]), -ENODEV);
        assert_non_null(strstr(err.text, wrong[i]));
        assert_non_null(strstr(err.text, "0: /base/soc/i2c0mux/i2c@1/imx708@1a (imx708), 1: "));
        assert_non_null(strstr(err.text, "2: Virtual0"));
    }
    assert_int_equal(choose("imx"), -EINVAL);
    assert_non_null(strstr(err.text, "several"));
    assert_int_equal(sl_libcamera_choose("", NULL, 0, &err), -ENODEV);
    assert_non_null(strstr(err.text, "cable"));
    assert_int_equal(sl_libcamera_choose("imx708", NULL, 0, NULL), -ENODEV);

    /* More than a sentence holds. */
    static struct sl_libcamera_name many[16];
    for (size_t i = 0; i < 16; i++)
        memset(many[i].id, 'a' + (int)i, sizeof many[i].id - 1);
    assert_int_equal(sl_libcamera_choose("X", many, 16, &err), -ENODEV);
    assert_true(strlen(err.text) < sizeof err.text);
}

/* ---- formats ---- */

static void wanted_formats_come_first(void **state)
{
    (void)state;
    const uint32_t wanted[] = {SL_FORMAT_NV12, SL_FORMAT_GRAY8, SL_FORMAT_BGR24, SL_FORMAT_YUYV};
    for (size_t i = 0; i < 4; i++) {
        size_t count = 0, own = 0;
        for (const struct sl_libcamera_way *way; (way = sl_libcamera_way(wanted[i], count)) != NULL;
             count++) {
            assert_true(sl_libcamera_can_use(way->theirs));
            if (way->ours == wanted[i])
                assert_int_equal(own++, count); /* none of another before it */
        }
        assert_true(own > 0);
        assert_int_equal(count, 8);
    }
    assert_int_equal(sl_libcamera_way(SL_FORMAT_NV12, 0)->theirs, DRM_NV12);
    assert_int_equal(sl_libcamera_way(SL_FORMAT_NV12, 1)->theirs, DRM_YUV420);
    assert_int_equal(sl_libcamera_way(SL_FORMAT_MJPEG, 0)->theirs, DRM_NV12);
    assert_false(sl_libcamera_can_use(SL_FOURCC('p', 'R', 'A', 'A')));
}

/* A picture of the camera's: each byte tells plane, row and column; between rows lies
 * what must not be seen. */
#define STRIDE  48
#define BETWEEN 0xee

struct picture {
    struct sl_libcamera_format format;
    struct sl_libcamera_buffer buffer;
    uint8_t bytes[3][STRIDE * 16];
};

static uint8_t pixel(uint32_t plane, size_t y, size_t x)
{
    return (uint8_t)(1 + plane * 71 + y * 13 + x);
}

static void paint(struct picture *p, const struct sl_libcamera_way *way)
{
    const bool yuv420 = way->theirs == DRM_YUV420;
    memset(p->bytes, BETWEEN, sizeof p->bytes);
    p->format = (struct sl_libcamera_format){
        .fourcc = way->theirs, .width_px = 12, .height_px = 6, .stride_bytes = STRIDE};
    p->buffer.plane_count = yuv420 ? 3 : way->theirs == DRM_NV12 ? 2 : 1;
    const size_t first = way->ours == SL_FORMAT_BGR24 ? 36 : way->ours == SL_FORMAT_YUYV ? 24 : 12;
    for (uint32_t i = 0; i < p->buffer.plane_count; i++) {
        const size_t rows = i == 0 ? 6 : 3;
        const size_t stride = i > 0 && yuv420 ? STRIDE / 2 : STRIDE;
        const size_t bytes = i == 0 ? first : yuv420 ? 6 : 12;
        for (size_t y = 0; y < rows; y++)
            for (size_t x = 0; x < bytes; x++)
                p->bytes[i][y * stride + x] = pixel(i, y, x);
        p->buffer.planes[i].data = p->bytes[i];
        p->buffer.planes[i].bytes = stride * (rows - 1) + bytes; /* none behind the last row */
    }
}

static void rows_are_packed_tightly(void **state)
{
    (void)state;
    static struct picture p;
    static uint8_t memory[1024];
    for (size_t rank = 0; rank < 8; rank++) {
        const struct sl_libcamera_way *way = sl_libcamera_way(SL_FORMAT_NV12, rank);
        paint(&p, way);
        assert_int_equal(sl_libcamera_check(way, &p.format, &p.buffer, &err), 0);
        memset(memory, BETWEEN, sizeof memory);
        struct sl_frame_info info = {0};
        sl_libcamera_unpack(way, &p.format, &p.buffer, memory, &info);
        assert_int_equal(info.fourcc, way->ours);
        assert_int_equal(info.size_bytes, sl_frame_size_bytes(way->ours, 12, 6));
        assert_int_equal(sl_frame_check(&info, info.size_bytes, &err), 0);
        assert_int_equal(memory[info.size_bytes], BETWEEN);
        for (size_t y = 0; y < 6; y++) {
            for (size_t x = 0; x < info.planes[0].stride_bytes; x++) {
                const size_t from = way->copy == SL_LIBCAMERA_SWAP ? x + 2 - 2 * (x % 3) : x;
                assert_int_equal(memory[y * info.planes[0].stride_bytes + x], pixel(0, y, from));
            }
        }
        if (info.plane_count < 2)
            continue;
        for (size_t y = 0; y < 3; y++) {
            for (size_t x = 0; x < 12; x++) {
                const uint8_t there = way->copy == SL_LIBCAMERA_INTERLEAVE
                                          ? pixel(1 + x % 2, y, x / 2)
                                          : pixel(1, y, x);
                assert_int_equal(memory[info.planes[1].offset_bytes + y * 12 + x], there);
            }
        }
    }
}

static void short_buffers_are_refused(void **state)
{
    (void)state;
    static struct picture p;
    for (size_t rank = 0; rank < 8; rank++) {
        const struct sl_libcamera_way *way = sl_libcamera_way(SL_FORMAT_NV12, rank);
        const uint32_t used = way->copy == SL_LIBCAMERA_LUMA ? 1
                              : way->theirs == DRM_YUV420    ? 3
                              : way->theirs == DRM_NV12      ? 2
                                                             : 1;
        for (uint32_t i = 0; i < used; i++) {
            paint(&p, way);
            p.buffer.planes[i].bytes--;
            assert_int_equal(sl_libcamera_check(way, &p.format, &p.buffer, &err), -EPROTO);
        }
        paint(&p, way);
        p.buffer.plane_count = used - 1;
        assert_int_equal(sl_libcamera_check(way, &p.format, &p.buffer, &err), -EPROTO);
        paint(&p, way);
        p.format.stride_bytes = 10;
        assert_int_equal(sl_libcamera_check(way, &p.format, &p.buffer, &err), -EPROTO);
    }
}

/* ---- times and numbers ---- */

static void times_are_repaired(void **state)
{
    (void)state;
    const uint64_t s = SL_NS_PER_S;
    assert_int_equal(sl_libcamera_exposed_ns(99 * s, 100 * s, 0, 90 * s), 99 * s);
    assert_int_equal(sl_libcamera_exposed_ns(100 * s, 100 * s, 0, 90 * s), 100 * s);
    assert_int_equal(sl_libcamera_exposed_ns(0, 100 * s, 0, 0), 100 * s);
    assert_int_equal(sl_libcamera_exposed_ns(101 * s, 100 * s, 0, 90 * s), 100 * s);
    assert_int_equal(sl_libcamera_exposed_ns(90 * s - 1, 100 * s, 0, 90 * s), 100 * s);
    assert_int_equal(sl_libcamera_exposed_ns(UINT64_MAX, 100 * s, 0, 90 * s), 100 * s);
    /* The machine slept for an hour: both clocks are understood. */
    assert_int_equal(sl_libcamera_exposed_ns(3699 * s, 100 * s, 3600 * s, 90 * s), 99 * s);
    assert_int_equal(sl_libcamera_exposed_ns(99 * s, 100 * s, 3600 * s, 90 * s), 99 * s);
    assert_int_equal(sl_libcamera_exposed_ns(3701 * s, 100 * s, 3600 * s, 90 * s), 100 * s);
}

static void gaps_are_counted(void **state)
{
    (void)state;
    assert_int_equal(sl_libcamera_gap(7, 8), 0);
    assert_int_equal(sl_libcamera_gap(7, 10), 2);
    assert_int_equal(sl_libcamera_gap(UINT32_MAX, 1), 1);
    assert_int_equal(sl_libcamera_gap(7, 7), 0);
    assert_int_equal(sl_libcamera_gap(5000, 0), 0);
    assert_int_equal(sl_libcamera_gap(0, 4000000), 0);
}

/* ---- a camera that is played ---- */

#define WIDTH_PX  32
#define HEIGHT_PX 16
#define BUFFERS   4
#define QUEUE     16

static struct {
    pthread_mutex_t lock;
    pthread_cond_t queued;
    struct sl_libcamera_events events;
    uint32_t queue[QUEUE];
    uint32_t head, tail;
    bool streaming, acquired;
    uint32_t sequence;
    uint8_t pixels[BUFFERS][WIDTH_PX * HEIGHT_PX * 3];
    /* what the test asks for */
    size_t cameras;
    uint32_t fourcc;
    int open_fails, start_fails;
    uint64_t stamp_ns; /* 0: the time at which it is made */
    bool unloadable;
    uint32_t opened, closed;
} played = {.lock = PTHREAD_MUTEX_INITIALIZER, .queued = PTHREAD_COND_INITIALIZER};

static int played_list(void (*each)(void *context, const struct sl_libcamera_info *info),
                       void *context, struct sl_libcamera_why *why)
{
    (void)why;
    for (size_t i = 0; i < played.cameras; i++) {
        char id[32];
        snprintf(id, sizeof id, "played%zu", i);
        const struct sl_libcamera_mode mode = {played.fourcc, 16, 16, 4096, 2160};
        const struct sl_libcamera_info info = {id, "test", &mode, 1};
        each(context, &info);
    }
    return 0;
}

static int played_open(struct sl_libcamera_session **session, const char *id,
                       const struct sl_libcamera_events *events, struct sl_libcamera_why *why)
{
    assert_memory_equal(id, "played", 6);
    assert_false(played.acquired);
    if (played.open_fails != 0) {
        snprintf(why->text, sizeof why->text, "it is not to be had");
        return played.open_fails;
    }
    played.events = *events;
    played.acquired = true;
    played.opened++;
    *session = (struct sl_libcamera_session *)&played;
    return 0;
}

static int played_configure(struct sl_libcamera_session *session,
                            struct sl_libcamera_format *format,
                            const struct sl_libcamera_controls *controls,
                            struct sl_libcamera_why *why)
{
    assert_ptr_equal(session, &played);
    const bool good = format->fourcc == played.fourcc && format->width_px == WIDTH_PX;
    if (controls->gain > 16) {
        snprintf(why->text, sizeof why->text, "gain: 1 to 16");
        return -ERANGE;
    }
    format->fourcc = played.fourcc;
    format->width_px = WIDTH_PX;
    format->height_px = HEIGHT_PX;
    format->stride_bytes = played.fourcc == DRM_BGR888 ? WIDTH_PX * 3 : WIDTH_PX;
    format->buffers = BUFFERS;
    format->rate_hz = controls->rate_hz;
    return good ? 0 : -EINVAL;
}

static void played_buffer(struct sl_libcamera_session *session, uint32_t buffer,
                          struct sl_libcamera_buffer *out)
{
    assert_ptr_equal(session, &played);
    *out = (struct sl_libcamera_buffer){.plane_count = played.fourcc == DRM_BGR888 ? 1 : 2};
    out->planes[0].data = played.pixels[buffer];
    out->planes[0].bytes = sizeof played.pixels[buffer];
    out->planes[1].data = played.pixels[buffer] + WIDTH_PX * HEIGHT_PX;
    out->planes[1].bytes = WIDTH_PX * HEIGHT_PX / 2;
}

static int played_queue(struct sl_libcamera_session *session, uint32_t buffer)
{
    assert_ptr_equal(session, &played);
    pthread_mutex_lock(&played.lock);
    const bool streaming = played.streaming;
    if (streaming)
        played.queue[played.tail++ % QUEUE] = buffer;
    assert_true(played.tail - played.head <= BUFFERS); /* none twice */
    pthread_mutex_unlock(&played.lock);
    return streaming ? 0 : -EACCES;
}

static int played_start(struct sl_libcamera_session *session, struct sl_libcamera_why *why)
{
    if (played.start_fails != 0) {
        snprintf(why->text, sizeof why->text, "it does not want to");
        return played.start_fails;
    }
    pthread_mutex_lock(&played.lock);
    played.streaming = true;
    played.sequence = 0;
    pthread_mutex_unlock(&played.lock);
    for (uint32_t i = 0; i < BUFFERS; i++)
        played_queue(session, i);
    return 0;
}

static void played_sync(struct sl_libcamera_session *session, uint32_t buffer, bool begin)
{
    (void)begin;
    assert_ptr_equal(session, &played);
    assert_true(buffer < BUFFERS);
}

/* One of the queued buffers, as libcamera's thread brings it; false if there is none. */
static bool bring(uint32_t sequence, bool good)
{
    pthread_mutex_lock(&played.lock);
    const bool has = played.streaming && played.head != played.tail;
    struct sl_libcamera_done done = {.sequence = sequence, .good = good};
    if (has)
        done.buffer = played.queue[played.head++ % QUEUE];
    pthread_mutex_unlock(&played.lock);
    if (!has)
        return false;
    memset(played.pixels[done.buffer], (int)(sequence & 0xff), sizeof played.pixels[0]);
    done.stamp_ns = played.stamp_ns != 0 ? played.stamp_ns : sl_clock_now_ns();
    played.events.done(played.events.context, &done);
    return true;
}

static void played_stop(struct sl_libcamera_session *session)
{
    assert_ptr_equal(session, &played);
    while (bring(0, false)) {
    }
    pthread_mutex_lock(&played.lock);
    played.streaming = false;
    played.head = played.tail;
    pthread_mutex_unlock(&played.lock);
}

static void played_close(struct sl_libcamera_session *session)
{
    assert_ptr_equal(session, &played);
    assert_true(played.acquired && !played.streaming);
    played.acquired = false;
    played.closed++;
}

/* In the place of libcamera_load.c. */
const struct sl_libcamera_api *sl_libcamera_load(struct sl_error *why)
{
    static const struct sl_libcamera_api api = {
        .version = SL_LIBCAMERA_API_VERSION,
        .library = "played",
        .list = played_list,
        .open = played_open,
        .configure = played_configure,
        .buffer = played_buffer,
        .start = played_start,
        .queue = played_queue,
        .sync = played_sync,
        .stop = played_stop,
        .close = played_close,
    };
    if (played.unloadable)
        sl_error_set(why, -ENODEV, "install it");
    return played.unloadable ? NULL : &api;
}

/* ---- the driver over it ---- */

static uint8_t memory[WIDTH_PX * HEIGHT_PX * 3];

static int reset(void **state)
{
    (void)state;
    played.cameras = 1;
    played.fourcc = DRM_NV12;
    played.open_fails = played.start_fails = 0;
    played.stamp_ns = 0;
    played.unloadable = false;
    played.opened = played.closed = 0;
    return 0;
}

static struct sl_camera_config config_of(const char *source)
{
    return (struct sl_camera_config){.driver = "libcamera",
                                     .source = source,
                                     .width_px = WIDTH_PX,
                                     .height_px = HEIGHT_PX,
                                     .rate_hz = 50};
}

static struct sl_camera *started(const char *source)
{
    const struct sl_camera_config config = config_of(source);
    struct sl_camera *camera;
    if (sl_camera_open(&camera, &config, &err) != 0 || sl_camera_start(camera, &err) != 0)
        fail_msg("%s", err.text);
    return camera;
}

static int fill(struct sl_camera *camera, struct sl_frame_info *info, uint64_t wait_ms)
{
    return sl_camera_fill(camera, memory, sizeof memory, info, wait_ms == 0 ? 0 : in_ms(wait_ms));
}

static void expect_open_error(const struct sl_camera_config *config, int code, const char *word)
{
    struct sl_camera *camera;
    err.text[0] = '\0';
    const int rc = sl_camera_open(&camera, config, &err);
    if (rc != code || strstr(err.text, word) == NULL)
        fail_msg("got %d '%s' instead of %d '..%s..'", rc, err.text, code, word);
    assert_null(camera);
    assert_int_equal(played.opened, played.closed);
}

static void cameras_that_do_not_open_say_why(void **state)
{
    (void)state;
    struct sl_camera_config config = config_of("");
    config.width_px = WIDTH_PX + 2;
    expect_open_error(&config, -EINVAL, "no frames of 34 x 16 px, but of 32 x 16");
    config = config_of("");
    config.width_px = config.height_px = 0;
    expect_open_error(&config, -EINVAL, "width");
    config = config_of("");
    config.gain = 17;
    expect_open_error(&config, -ERANGE, "played0: gain: 1 to 16");
    config = config_of("imx708");
    expect_open_error(&config, -ENODEV, "0: played0 (test)");
    char long_name[400] = "";
    memset(long_name, 'x', sizeof long_name - 1);
    config = config_of(long_name);
    expect_open_error(&config, -EINVAL, "longer");
    config = config_of("");
    played.fourcc = SL_FOURCC('p', 'R', 'A', 'A');
    expect_open_error(&config, -EINVAL, "none of the formats");
    played.fourcc = DRM_NV12;
    played.open_fails = -EBUSY;
    expect_open_error(&config, -EBUSY, "played0: it is not to be had");
    played.cameras = 0;
    expect_open_error(&config, -ENODEV, "finds no camera");
    played.unloadable = true;
    expect_open_error(&config, -ENODEV, "install it");
    assert_int_equal(sl_libcamera_list(NULL, NULL, &err), -ENODEV);
}

static void frames_have_identity_time_and_pixels(void **state)
{
    (void)state;
    struct sl_camera *camera = started("");
    assert_int_equal(sl_camera_caps(camera)->fourcc, SL_FORMAT_NV12);
    assert_int_equal(sl_camera_caps(camera)->frame_bytes, WIDTH_PX * HEIGHT_PX * 3 / 2);
    assert_true(sl_camera_caps(camera)->rate_hz == 50);
    assert_non_null(strstr(sl_camera_transfer(camera), "libcamera"));
    struct sl_frame_info info;
    for (uint32_t i = 0; i < 50; i++) {
        assert_true(bring(i, true));
        assert_int_equal(fill(camera, &info, 0), 0);
        assert_int_equal(info.frame_id, i + 1);
        assert_int_equal(info.dropped, 0);
        assert_int_equal(memory[0], i & 0xff);
        assert_int_equal(memory[info.size_bytes - 1], i & 0xff);
        assert_true(info.exposed_ns <= info.received_ns && info.exposed_ns != 0);
        assert_true(info.exposed_ns + SL_NS_PER_S > info.received_ns);
    }
    assert_int_equal(fill(camera, &info, 0), -ETIMEDOUT);
    sl_camera_close(camera);
    assert_int_equal(played.closed, 1);
}

static void other_formats_are_taken_as_they_are(void **state)
{
    (void)state;
    played.fourcc = DRM_BGR888;
    struct sl_camera *camera = started("played0");
    struct sl_frame_info info;
    assert_int_equal(sl_camera_caps(camera)->fourcc, SL_FORMAT_BGR24);
    assert_true(bring(7, true));
    assert_int_equal(fill(camera, &info, 0), 0);
    assert_int_equal(info.size_bytes, WIDTH_PX * HEIGHT_PX * 3);
    sl_camera_close(camera);
}

static void newest_wins_and_the_rest_is_counted(void **state)
{
    (void)state;
    struct sl_camera *camera = started("");
    struct sl_frame_info info;
    for (uint32_t i = 0; i < 9; i++)
        assert_true(bring(i, true)); /* the camera never runs dry */
    assert_int_equal(fill(camera, &info, 0), 0);
    assert_int_equal(info.frame_id, 9);
    assert_int_equal(info.dropped, 8);
    assert_int_equal(memory[0], 8);

    assert_true(bring(11, true)); /* 9 and 10 never came */
    assert_int_equal(fill(camera, &info, 0), 0);
    assert_int_equal(info.frame_id, 12);
    assert_int_equal(info.dropped, 10);

    assert_true(bring(12, false));
    assert_int_equal(fill(camera, &info, 0), -EPROTO);
    assert_true(strlen(sl_camera_problem(camera)) > 0);
    assert_int_equal(fill(camera, &info, 0), -ETIMEDOUT);
    assert_true(bring(13, false));
    assert_true(bring(14, true));
    assert_int_equal(fill(camera, &info, 0), 0);
    assert_int_equal(info.frame_id, 15);
    assert_int_equal(info.dropped, 12);

    struct sl_camera_drops drops;
    sl_camera_drops(camera, &drops);
    assert_int_equal(drops.late, 8);
    assert_int_equal(drops.sensor, 2);
    assert_int_equal(drops.corrupt, 2);
    assert_int_equal(drops.no_area, 0);
    sl_camera_close(camera);
}

static void nonsense_times_become_the_arrival(void **state)
{
    (void)state;
    struct sl_camera *camera = started("");
    const uint64_t stamps[] = {1, UINT64_MAX, sl_clock_now_ns() + 3600 * SL_NS_PER_S};
    for (uint32_t i = 0; i < 3; i++) {
        struct sl_frame_info info;
        played.stamp_ns = stamps[i];
        const uint64_t before = sl_clock_now_ns();
        assert_true(bring(0, true)); /* a number that stands still is no gap either */
        assert_int_equal(fill(camera, &info, 0), 0);
        assert_true(info.exposed_ns >= before && info.exposed_ns <= info.received_ns);
        assert_int_equal(info.dropped, 0);
    }
    sl_camera_close(camera);
}

static void deadlines_are_kept(void **state)
{
    (void)state;
    struct sl_camera *camera = started("");
    struct sl_frame_info info;
    const uint64_t deadline = in_ms(30);
    assert_int_equal(sl_camera_fill(camera, memory, sizeof memory, &info, deadline), -ETIMEDOUT);
    const uint64_t now = sl_clock_now_ns();
    assert_true(now >= deadline && now < deadline + 500 * SL_NS_PER_MS);
    assert_string_equal(sl_camera_problem(camera), ""); /* a state, not an error */
    sl_camera_close(camera);
}

static void a_camera_that_goes_comes_back(void **state)
{
    (void)state;
    struct sl_camera *camera = started("");
    struct sl_frame_info info;
    assert_true(bring(0, true));
    assert_int_equal(fill(camera, &info, 0), 0);
    played.events.gone(played.events.context);
    assert_int_equal(fill(camera, &info, 5000), -EPIPE); /* at once */
    assert_non_null(strstr(sl_camera_problem(camera), "gone"));
    const uint64_t deadline = in_ms(20);
    assert_int_equal(sl_camera_fill(camera, memory, sizeof memory, &info, deadline), -EPIPE);
    assert_true(sl_clock_now_ns() >= deadline);
    sl_camera_stop(camera);

    played.cameras = 0;
    assert_int_equal(sl_camera_start(camera, &err), -ENODEV);
    assert_non_null(strstr(err.text, "finds no camera"));
    played.cameras = 1;
    played.fourcc = DRM_BGR888;
    assert_int_equal(sl_camera_start(camera, &err), -EPROTO);
    assert_non_null(strstr(err.text, "other frames"));
    played.fourcc = DRM_NV12;
    played.start_fails = -EIO;
    assert_int_equal(sl_camera_start(camera, &err), -EIO);
    assert_non_null(strstr(err.text, "does not want to"));
    assert_false(played.acquired);
    played.start_fails = 0;
    assert_int_equal(sl_camera_start(camera, &err), 0);
    assert_true(bring(0, true));
    assert_int_equal(fill(camera, &info, 0), 0);
    assert_int_equal(info.frame_id, 2);
    sl_camera_close(camera);
    assert_int_equal(played.opened, played.closed);
}

/* ---- with a thread ---- */

static _Atomic bool stop_bringing;

static void *bring_always(void *argument)
{
    (void)argument;
    for (uint32_t i = 0; !atomic_load(&stop_bringing); i++) {
        pthread_mutex_lock(&played.lock);
        const uint32_t sequence = played.sequence++;
        pthread_mutex_unlock(&played.lock);
        bring(sequence, i % 97 != 0);
        if (i % 5 == 0)
            sl_clock_sleep_until_ns(sl_clock_now_ns() + 20 * SL_NS_PER_US);
    }
    return NULL;
}

static void frames_are_whole_and_none_is_lost_uncounted(void **state)
{
    (void)state;
    struct sl_camera *camera = started("");
    pthread_t thread;
    atomic_store(&stop_bringing, false);
    assert_int_equal(pthread_create(&thread, NULL, bring_always, NULL), 0);
    struct sl_frame_info info, last = {0};
    for (int taken = 0; taken < 2000;) {
        const int rc = fill(camera, &info, 5000);
        assert_true(rc == 0 || rc == -EPROTO);
        if (rc != 0)
            continue;
        for (size_t i = 1; i < info.size_bytes; i++)
            assert_int_equal(memory[i], memory[0]);
        if (taken++ > 0)
            assert_int_equal(info.frame_id - last.frame_id, 1 + info.dropped - last.dropped);
        last = info;
    }
    atomic_store(&stop_bringing, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    sl_camera_close(camera);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cameras_are_chosen_by_text),
        cmocka_unit_test(wrong_names_list_the_cameras),
        cmocka_unit_test(wanted_formats_come_first),
        cmocka_unit_test(rows_are_packed_tightly),
        cmocka_unit_test(short_buffers_are_refused),
        cmocka_unit_test(times_are_repaired),
        cmocka_unit_test(gaps_are_counted),
        cmocka_unit_test_setup(cameras_that_do_not_open_say_why, reset),
        cmocka_unit_test_setup(frames_have_identity_time_and_pixels, reset),
        cmocka_unit_test_setup(other_formats_are_taken_as_they_are, reset),
        cmocka_unit_test_setup(newest_wins_and_the_rest_is_counted, reset),
        cmocka_unit_test_setup(nonsense_times_become_the_arrival, reset),
        cmocka_unit_test_setup(deadlines_are_kept, reset),
        cmocka_unit_test_setup(a_camera_that_goes_comes_back, reset),
        cmocka_unit_test_setup(frames_are_whole_and_none_is_lost_uncounted, reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
