/* What every camera driver promises, run over every driver of this build; and
 * below it what each driver promises beside that. A driver that has no fixture
 * here fails the first test. */
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
#include <sys/stat.h>
#include <unistd.h>

#include "hal/camera/camera.h"
#include "hal/camera/pattern.h"
#include "net/jpeg.h"
#include "rt/bus.h"
#include "rt/clock.h"
#include "rt/records.h"
#include "tests/contract/allocations.h"

#define WIDTH_PX    128
#define HEIGHT_PX   96
#define PICTURES    5
#define GUARD       64
#define PATIENCE_MS 5000  /* with a frame that must come */
#define SLOW_MS     30000 /* vimc's, on an emulated machine */
#define BUS         "contract_feed"

/* ---- helpers ---- */

static char folder[128]; /* of this run; pictures lie in it and below */
static struct sl_error err;
static uint8_t memory[512 * 1024 + GUARD];

static uint64_t in_ms(uint64_t ms)
{
    return sl_clock_now_ns() + ms * SL_NS_PER_MS;
}

static void write_file(const char *path, const void *bytes, size_t size)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

/* A PGM of one shade, so that a test knows which picture it got. */
static void write_pgm(const char *path, uint32_t width_px, uint32_t height_px, uint8_t shade)
{
    static char bytes[64 + 512 * 512];
    const int head = snprintf(bytes, 64, "P5 %u %u 255\n", width_px, height_px);
    memset(bytes + head, shade, (size_t)width_px * height_px);
    write_file(path, bytes, (size_t)head + (size_t)width_px * height_px);
}

static char *in_folder(const char *name)
{
    static char paths[8][512];
    static int turn;
    char *path = paths[turn++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static char *new_folder(const char *name)
{
    char *path = in_folder(name);
    assert_int_equal(mkdir(path, 0700), 0);
    return path;
}

static struct sl_camera *open_camera(const struct sl_camera_config *config)
{
    struct sl_camera *camera = NULL;
    err.text[0] = '\0';
    if (sl_camera_open(&camera, config, &err) != 0)
        fail_msg("%s does not open: %s", config->driver, err.text);
    assert_non_null(camera);
    return camera;
}

static struct sl_camera *start_camera(const struct sl_camera_config *config)
{
    struct sl_camera *camera = open_camera(config);
    assert_int_equal(sl_camera_start(camera, &err), 0);
    return camera;
}

static int fill(struct sl_camera *camera, struct sl_frame_info *info, uint64_t wait_ms)
{
    return sl_camera_fill(camera, memory, sizeof memory - GUARD, info,
                          wait_ms == 0 ? 0 : in_ms(wait_ms));
}

static void expect_open_error(const struct sl_camera_config *config, int code, const char *word)
{
    struct sl_camera *camera = (struct sl_camera *)memory;
    err.text[0] = '\0';
    const int result = sl_camera_open(&camera, config, &err);
    if (result != code || strstr(err.text, word) == NULL)
        fail_msg("got %d '%s' instead of %d '..%s..'", result, err.text, code, word);
    assert_null(camera);
    assert_int_equal(sl_camera_open(&camera, config, NULL), code);
}

/* For sources that can be opened once. */
static void expect_open_error_once(const struct sl_camera_config *config, int code,
                                   const char *word)
{
    struct sl_camera *camera = NULL;
    err.text[0] = '\0';
    const int result = sl_camera_open(&camera, config, &err);
    if (result != code || strstr(err.text, word) == NULL)
        fail_msg("got %d '%s' instead of %d '..%s..'", result, err.text, code, word);
    assert_null(camera);
}

/* ---- a process that publishes frames, played by a thread ---- */

struct publisher {
    pthread_t thread;
    _Atomic bool stop;
    _Atomic uint64_t published;
    double rate_hz; /* 0: as fast as it goes */
    uint32_t width_px, height_px;
    uint32_t slots;
};

/* Each frame is filled with its own number, so that a torn one shows. */
static void *publish_frames(void *argument)
{
    struct publisher *p = argument;
    struct sl_bus_writer *writer;
    const struct sl_bus_writer_config config = {
        .name = BUS,
        .type = SL_RECORD_FRAME,
        .slot_count = p->slots != 0 ? p->slots : SL_BUS_FRAME_SLOTS,
        .slot_bytes = (size_t)p->width_px * p->height_px,
    };
    struct sl_error why;
    if (sl_bus_writer_open(&writer, &config, &why) != 0) {
        fprintf(stderr, "publisher: %s\n", why.text);
        return NULL;
    }
    uint64_t next_ns = sl_clock_now_ns();
    for (uint64_t id = 1; !atomic_load(&p->stop); id++) {
        struct sl_bus_loan loan;
        sl_bus_loan(writer, &loan);
        struct sl_frame_info *info = loan.meta;
        memset(loan.data, (int)(id & 0xff), (size_t)p->width_px * p->height_px);
        (void)sl_frame_layout(info, SL_FORMAT_GRAY8, p->width_px, p->height_px);
        info->frame_id = id;
        info->exposed_ns = sl_clock_now_ns();
        info->received_ns = info->exposed_ns;
        sl_bus_publish(writer, &loan, info->size_bytes, info->exposed_ns);
        atomic_fetch_add(&p->published, 1);
        if (p->rate_hz > 0) {
            next_ns += (uint64_t)(1e9 / p->rate_hz);
            /* In short steps, so that a slow publisher stops at once too. */
            while (!atomic_load(&p->stop) && sl_clock_now_ns() < next_ns) {
                const uint64_t step = in_ms(5);
                sl_clock_sleep_until_ns(step < next_ns ? step : next_ns);
            }
        }
    }
    sl_bus_writer_close(writer);
    return NULL;
}

static void publisher_start(struct publisher *p, double rate_hz, uint32_t width_px,
                            uint32_t height_px)
{
    atomic_store(&p->stop, false);
    atomic_store(&p->published, 0);
    p->rate_hz = rate_hz;
    p->width_px = width_px;
    p->height_px = height_px;
    assert_int_equal(pthread_create(&p->thread, NULL, publish_frames, p), 0);
    const uint64_t deadline = in_ms(10000);
    while (atomic_load(&p->published) == 0 && sl_clock_now_ns() < deadline)
        sl_clock_sleep_until_ns(in_ms(1));
    assert_true(atomic_load(&p->published) != 0);
}

static void publisher_stop(struct publisher *p)
{
    atomic_store(&p->stop, true);
    assert_int_equal(pthread_join(p->thread, NULL), 0);
}

/* ---- fixtures: a source of frames for each driver ---- */

struct fixture {
    const char *driver;
    /* Makes frames come at this rate, and says how to open the camera. */
    void (*begin)(double rate_hz, struct sl_camera_config *config);
    void (*end)(void);
    bool keeps_rate; /* as it was asked for, or said */
};

static struct publisher publisher;

static void bus_begin(double rate_hz, struct sl_camera_config *config)
{
    config->source = BUS;
    publisher_start(&publisher, rate_hz, WIDTH_PX, HEIGHT_PX);
}

static void bus_end(void)
{
    publisher_stop(&publisher);
}

static void file_begin(double rate_hz, struct sl_camera_config *config)
{
    config->source = in_folder("drive");
    config->rate_hz = rate_hz;
    config->loop = true;
}

static void video_begin(double rate_hz, struct sl_camera_config *config)
{
    file_begin(rate_hz, config);
    config->source = in_folder("drive.y4m");
}

static void pattern_begin(double rate_hz, struct sl_camera_config *config)
{
    config->rate_hz = rate_hz;
}

static void no_end(void) {}

/* vivid's webcam, which the emulated target has, does all rates at this size. */
static void v4l2_begin(double rate_hz, struct sl_camera_config *config)
{
    config->source = "vivid";
    config->rate_hz = rate_hz < 1 ? 1 : rate_hz > 60 ? 60 : rate_hz;
    config->width_px = 320;
    config->height_px = 180;
}

/* vimc's, which the emulated target has; older versions want multiples of 6. */
static void libcamera_begin(double rate_hz, struct sl_camera_config *config)
{
    config->source = "Sensor B";
    config->rate_hz = rate_hz;
    config->width_px = 288;
    config->height_px = 216;
}

/* Those of hardware last: where it is missing, only `fixtures_here` are run. No camera
 * of libcamera's that can be had without a sensor keeps a rate; when such a one is late
 * or has dropped frames, libcamera_target_test.c sees. */
static const struct fixture FIXTURES[] = {
    {"bus", bus_begin, bus_end, true},   {"file", file_begin, no_end, true},
    {"file", video_begin, no_end, true}, {"pattern", pattern_begin, no_end, true},
    {"v4l2", v4l2_begin, no_end, true},  {"libcamera", libcamera_begin, no_end, false},
};
#define FIXTURE_COUNT (sizeof FIXTURES / sizeof FIXTURES[0])
static size_t fixtures_here = FIXTURE_COUNT - 2;

static uint64_t patience_ms(const struct fixture *fixture)
{
    return fixture->keeps_rate ? PATIENCE_MS : SLOW_MS;
}

static struct sl_camera_config begin(const struct fixture *fixture, double rate_hz)
{
    struct sl_camera_config config = {
        .driver = fixture->driver, .width_px = WIDTH_PX, .height_px = HEIGHT_PX};
    fixture->begin(rate_hz, &config);
    return config;
}

/* ---- the contract ---- */

static void every_driver_has_a_fixture(void **state)
{
    (void)state;
    size_t count = 0;
    for (; sl_camera_drivers[count] != NULL; count++) {
        const struct sl_camera_driver *driver = sl_camera_drivers[count];
        bool found = false;
        for (size_t i = 0; i < FIXTURE_COUNT; i++)
            found = found || strcmp(FIXTURES[i].driver, driver->name) == 0;
        if (!found)
            fail_msg("camera driver %s has no fixture in this test", driver->name);
        assert_true(strlen(driver->help) > 10);
        assert_true(driver->open && driver->start && driver->fill && driver->stop &&
                    driver->close && driver->problem && driver->share && driver->queue &&
                    driver->take && driver->drops && driver->transfer);
    }
    for (size_t i = 0; i < FIXTURE_COUNT; i++) {
        bool found = false;
        for (size_t n = 0; n < count; n++)
            found = found || strcmp(FIXTURES[i].driver, sl_camera_drivers[n]->name) == 0;
        assert_true(found);
    }
}

static void wrong_settings_do_not_open(void **state)
{
    (void)state;
    for (size_t i = 0; i < FIXTURE_COUNT; i++) {
        const char *driver = FIXTURES[i].driver;
        struct sl_camera_config config = {.driver = driver, .source = "x", .rate_hz = -1};
        expect_open_error(&config, -EINVAL, "rate");
        config.rate_hz = 0.0 / 0.0;
        expect_open_error(&config, -EINVAL, "rate");
        config.rate_hz = 1e300;
        expect_open_error(&config, -EINVAL, "rate");
        config.rate_hz = 0;
        config.width_px = 8193;
        config.height_px = 600;
        expect_open_error(&config, -EINVAL, "large");
        config.width_px = 0;
        expect_open_error(&config, -EINVAL, "both");
    }
    expect_open_error(&(struct sl_camera_config){.driver = "v4l3"}, -ENODEV,
                      "v4l3\"; this build has: bus, file, pattern");
    expect_open_error(&(struct sl_camera_config){0}, -ENODEV, "this build has");
}

static void fill_needs_start_and_room(void **state)
{
    (void)state;
    for (size_t i = 0; i < fixtures_here; i++) {
        const struct sl_camera_config config = begin(&FIXTURES[i], 200);
        struct sl_camera *camera = open_camera(&config);
        struct sl_frame_info info;
        assert_string_equal(sl_camera_problem(camera), "");
        assert_int_equal(fill(camera, &info, 100), -EINVAL);
        assert_non_null(strstr(sl_camera_problem(camera), "not started"));
        assert_int_equal(sl_camera_start(camera, &err), 0);
        assert_int_equal(sl_camera_start(camera, &err), -EALREADY);

        memset(memory, 0x5a, sizeof memory);
        const size_t needed = sl_camera_caps(camera)->frame_bytes;
        assert_int_equal(sl_camera_fill(camera, memory, needed - 1, &info, in_ms(100)), -EINVAL);
        assert_int_equal(sl_camera_fill(camera, NULL, needed, &info, in_ms(100)), -EINVAL);
        assert_int_equal(memory[0], 0x5a);
        assert_true(strlen(sl_camera_problem(camera)) > 0);
        assert_int_equal(
            sl_camera_fill(camera, memory, needed, &info, in_ms(patience_ms(&FIXTURES[i]))), 0);
        for (size_t n = needed; n < needed + GUARD; n++)
            assert_int_equal(memory[n], 0x5a);
        sl_camera_close(camera);
        FIXTURES[i].end();
    }
}

static void frames_have_identity_time_and_layout(void **state)
{
    (void)state;
    static const double RATES[] = {0, 200};
    for (size_t i = 0; i < 2 * fixtures_here; i++) {
        const struct fixture *fixture = &FIXTURES[i / 2];
        const struct sl_camera_config config = begin(fixture, RATES[i % 2]);
        struct sl_camera *camera = start_camera(&config);
        const struct sl_camera_caps *caps = sl_camera_caps(camera);
        struct sl_frame_info last = {0};
        for (int n = 0; n < 40; n++) {
            struct sl_frame_info info;
            assert_int_equal(fill(camera, &info, patience_ms(fixture)), 0);
            const uint64_t now = sl_clock_now_ns();
            assert_int_equal(sl_frame_check(&info, caps->frame_bytes, &err), 0);
            assert_int_equal(info.width_px, config.width_px);
            assert_int_equal(info.height_px, config.height_px);
            if (caps->fourcc != 0) {
                assert_int_equal(info.fourcc, caps->fourcc);
                assert_int_equal(info.width_px, caps->width_px);
                assert_int_equal(info.height_px, caps->height_px);
            }
            assert_true(info.exposed_ns != 0 && info.exposed_ns <= info.received_ns);
            assert_true(info.received_ns <= now);
            if (n > 0) {
                assert_int_equal(info.frame_id - last.frame_id, 1 + info.dropped - last.dropped);
                assert_true(info.dropped >= last.dropped);
                assert_true(info.exposed_ns > last.exposed_ns);
            } else {
                assert_true(info.frame_id >= 1);
            }
            last = info;
        }
        sl_camera_close(camera);
        fixture->end();
    }
}

static void deadlines_are_kept(void **state)
{
    (void)state;
    for (size_t i = 0; i < fixtures_here; i++) {
        if (!FIXTURES[i].keeps_rate)
            continue;
        const struct sl_camera_config config = begin(&FIXTURES[i], 0.5);
        struct sl_camera *camera = start_camera(&config);
        struct sl_frame_info info;
        assert_int_equal(fill(camera, &info, PATIENCE_MS), 0);

        uint64_t before = sl_clock_now_ns();
        assert_int_equal(fill(camera, &info, 0), -ETIMEDOUT);
        assert_true(sl_clock_now_ns() - before < 500 * SL_NS_PER_MS);
        assert_int_equal(sl_camera_fill(camera, memory, sizeof memory, &info, before), -ETIMEDOUT);

        before = sl_clock_now_ns();
        const uint64_t deadline = before + 30 * SL_NS_PER_MS;
        assert_int_equal(sl_camera_fill(camera, memory, sizeof memory, &info, deadline),
                         -ETIMEDOUT);
        const uint64_t after = sl_clock_now_ns();
        assert_true(after >= deadline);
        assert_true(after < deadline + 500 * SL_NS_PER_MS); /* the next frame is 2 s away */
        sl_camera_close(camera);
        FIXTURES[i].end();
    }
}

static void pacing_follows_the_rate(void **state)
{
    (void)state;
    for (size_t i = 0; i < fixtures_here; i++) {
        if (!FIXTURES[i].keeps_rate)
            continue;
        const struct sl_camera_config config = begin(&FIXTURES[i], 100);
        struct sl_camera *camera = start_camera(&config);
        struct sl_frame_info first, info;
        assert_int_equal(fill(camera, &first, PATIENCE_MS), 0);
        const uint64_t began = sl_clock_now_ns();
        do {
            assert_int_equal(fill(camera, &info, PATIENCE_MS), 0);
        } while (info.frame_id < first.frame_id + 20);
        /* 20 periods and what was passed over, less one for where it began. */
        const uint64_t frames = info.frame_id - first.frame_id;
        assert_true(sl_clock_now_ns() - began >= (frames - 1) * 10 * SL_NS_PER_MS);
        sl_camera_close(camera);
        FIXTURES[i].end();
    }
}

static void late_callers_get_the_newest(void **state)
{
    (void)state;
    for (size_t i = 0; i < fixtures_here; i++) {
        if (!FIXTURES[i].keeps_rate)
            continue;
        const struct sl_camera_config config = begin(&FIXTURES[i], 100);
        struct sl_camera *camera = start_camera(&config);
        struct sl_frame_info before, after;
        const double given_hz = sl_camera_caps(camera)->rate_hz; /* not all can do any rate */
        const uint64_t period_ns = (uint64_t)(1e9 / (given_hz > 0 ? given_hz : 100));
        assert_int_equal(fill(camera, &before, PATIENCE_MS), 0);
        sl_clock_sleep_until_ns(sl_clock_now_ns() + 21 * period_ns / 2);
        const uint64_t called = sl_clock_now_ns();
        assert_int_equal(fill(camera, &after, PATIENCE_MS), 0);
        /* Ten periods went by: nine frames lost, give or take the scheduler. */
        assert_true(after.dropped - before.dropped >= 5);
        assert_int_equal(after.frame_id - before.frame_id, 1 + after.dropped - before.dropped);
        assert_true(after.exposed_ns + 5 * period_ns > called);
        sl_camera_close(camera);
        FIXTURES[i].end();
    }
}

static void stops_and_starts_from_any_state(void **state)
{
    (void)state;
    sl_camera_close(NULL);
    for (size_t i = 0; i < fixtures_here; i++) {
        const struct sl_camera_config config = begin(&FIXTURES[i], 200);
        struct sl_frame_info info;

        sl_camera_close(open_camera(&config)); /* never started */
        struct sl_camera *camera = open_camera(&config);
        sl_camera_stop(camera); /* not running */
        assert_int_equal(sl_camera_start(camera, &err), 0);
        sl_camera_stop(camera); /* no frame taken */
        sl_camera_stop(camera);
        assert_int_equal(fill(camera, &info, 10), -EINVAL);
        for (int round = 0; round < 3; round++) {
            assert_int_equal(sl_camera_start(camera, &err), 0);
            for (int n = 0; n < 3; n++)
                assert_int_equal(fill(camera, &info, patience_ms(&FIXTURES[i])), 0);
            sl_camera_stop(camera);
        }
        /* A bus shows its newest frame once more to a reader that comes back. */
        assert_true(info.frame_id >= 7);
        assert_int_equal(sl_camera_start(camera, &err), 0);
        sl_camera_close(camera); /* running */
        FIXTURES[i].end();
    }
}

static void fill_allocates_nothing(void **state)
{
    (void)state;
    free(malloc(1));
    assert_true(allocations > 0); /* the counter counts */
    for (size_t i = 0; i < fixtures_here; i++) {
        const struct sl_camera_config config = begin(&FIXTURES[i], 500);
        struct sl_camera *camera = start_camera(&config);
        struct sl_frame_info info;
        const uint64_t before = allocations;
        for (int n = 0; n < 20; n++)
            (void)fill(camera, &info, 1000);
        for (int n = 0; n < 5; n++)
            (void)fill(camera, &info, 0);
        assert_int_equal(allocations, before);
        sl_camera_close(camera);
        FIXTURES[i].end();
    }
}

static void texts_are_copied_while_opening(void **state)
{
    (void)state;
    for (size_t i = 0; i < fixtures_here; i++) {
        struct sl_camera_config config = begin(&FIXTURES[i], 200);
        char source[256] = "";
        if (config.source != NULL)
            snprintf(source, sizeof source, "%s", config.source);
        config.source = source;
        struct sl_camera *camera = open_camera(&config);
        memset(source, 'x', sizeof source - 1);
        memset(&config, 0xff, sizeof config);
        struct sl_frame_info info;
        assert_int_equal(sl_camera_start(camera, &err), 0);
        assert_int_equal(fill(camera, &info, patience_ms(&FIXTURES[i])), 0);
        sl_camera_close(camera);
        FIXTURES[i].end();
    }
}

/* ---- file ---- */

static void file_sources_that_do_not_open(void **state)
{
    (void)state;
    struct sl_camera_config config = {.driver = "file"};
    expect_open_error(&config, -EINVAL, "needs a folder");
    config.source = "";
    expect_open_error(&config, -EINVAL, "needs a folder");
    config.source = in_folder("missing");
    expect_open_error(&config, -ENOENT, "missing: No such file");
    config.source = in_folder("missing*.jpg");
    expect_open_error(&config, -ENOENT, "no file fits");
    config.source = new_folder("empty");
    expect_open_error(&config, -ENOENT, "holds no pictures");
    write_file(in_folder("empty/readme.txt"), "x", 1);
    write_pgm(in_folder("empty/.hidden.pgm"), 4, 4, 0);
    expect_open_error(&config, -ENOENT, "holds no pictures");

    config.source = in_folder("zero.jpg");
    write_file(config.source, "", 0);
    expect_open_error(&config, -EPROTO, "zero.jpg: the file is empty");
    config.source = in_folder("garbage.jpg");
    write_file(config.source, "this is not a picture at all", 28);
    expect_open_error(&config, -EPROTO, "garbage.jpg: neither");
    config.source = in_folder("head.jpg");
    write_file(config.source, "\xff\xd8\xff\xe0\0\x10JFIF", 10);
    expect_open_error(&config, -EPROTO, "head.jpg: bad JPEG");
    config.source = in_folder("huge.pgm");
    write_file(config.source, "P5 100000 4 255\n", 16);
    expect_open_error(&config, -EPROTO, "huge.pgm: the picture claims 8193");
    config.source = in_folder("pipe.jpg");
    assert_int_equal(mkfifo(config.source, 0600), 0);
    expect_open_error(&config, -EPROTO, "pipe.jpg");
    config.source = "/dev/zero";
    expect_open_error(&config, -EPROTO, "/dev/zero");

    config.source = in_folder("drive");
    config.width_px = WIDTH_PX + 2;
    config.height_px = HEIGHT_PX;
    expect_open_error(&config, -EPROTO, "not 130 x 96");
    config.width_px = WIDTH_PX;
    config.fourcc = SL_FORMAT_BGRA;
    expect_open_error(&config, -EINVAL, "only to GRAY8");
    config.fourcc = SL_FORMAT_MJPEG;
    expect_open_error(&config, -EINVAL, "only to GRAY8");
    config = (struct sl_camera_config){.driver = "file", .source = in_folder("one_px.pgm")};
    write_pgm(config.source, 1, 1, 9);
    expect_open_error(&config, -EPROTO, "too small");
}

static void file_order_is_natural_and_ends(void **state)
{
    (void)state;
    new_folder("order");
    static const struct {
        const char *name;
        uint8_t shade;
    } FILES[] = {{"order/f10.pgm", 3},   {"order/f9.PGM", 2}, {"order/f1.pgm", 1},
                 {"order/f010b.pgm", 4}, {"order/g.pgm", 5},  {"order/notes.txt", 9}};
    for (size_t i = 0; i < sizeof FILES / sizeof FILES[0]; i++)
        write_pgm(in_folder(FILES[i].name), 32, 16, FILES[i].shade);

    struct sl_camera_config config = {
        .driver = "file", .source = in_folder("order"), .fourcc = SL_FORMAT_GRAY8};
    struct sl_camera *camera = start_camera(&config);
    struct sl_frame_info info;
    uint64_t id = 0;
    for (int round = 0; round < 2; round++) {
        for (uint8_t shade = 1; shade <= 5; shade++) {
            assert_int_equal(fill(camera, &info, 0), 0);
            assert_int_equal(memory[0], shade);
            assert_int_equal(info.frame_id, ++id);
            assert_int_equal(info.dropped, 0);
        }
        assert_int_equal(fill(camera, &info, 0), -ENODATA);
        assert_int_equal(fill(camera, &info, 1000), -ENODATA);
        sl_camera_stop(camera);
        assert_int_equal(sl_camera_start(camera, &err), 0);
    }
    sl_camera_close(camera);

    config.source = in_folder("order/f*[0-9].pgm");
    config.loop = true;
    camera = start_camera(&config);
    static const uint8_t SHADES[] = {1, 3, 1, 3};
    for (size_t i = 0; i < sizeof SHADES; i++) {
        assert_int_equal(fill(camera, &info, 0), 0);
        assert_int_equal(memory[0], SHADES[i]);
    }
    sl_camera_close(camera);

    config.source = in_folder("order/f9.PGM");
    config.loop = false;
    camera = start_camera(&config);
    assert_int_equal(fill(camera, &info, 0), 0);
    assert_int_equal(memory[0], 2);
    assert_int_equal(fill(camera, &info, 0), -ENODATA);
    sl_camera_close(camera);

    /* A name with brackets is a name if such a file exists. */
    config.source = in_folder("order/[1].pgm");
    write_pgm(config.source, 32, 16, 77);
    camera = start_camera(&config);
    assert_int_equal(fill(camera, &info, 0), 0);
    assert_int_equal(memory[0], 77);
    sl_camera_close(camera);
}

static void file_bad_pictures_cost_their_turn(void **state)
{
    (void)state;
    new_folder("bad");
    struct sl_jpeg_encoder *encoder = sl_jpeg_encoder_create();
    struct sl_frame_info gray = {0};
    const uint8_t *jpeg;
    size_t size;
    static uint8_t pixels[WIDTH_PX * HEIGHT_PX];
    memset(pixels, 100, sizeof pixels);
    assert_int_equal(sl_frame_layout(&gray, SL_FORMAT_GRAY8, WIDTH_PX, HEIGHT_PX), 0);
    assert_int_equal(sl_jpeg_encode(encoder, &gray, pixels, 90, &jpeg, &size, &err), 0);
    write_file(in_folder("bad/1.jpg"), jpeg, size);
    write_file(in_folder("bad/2.jpeg"), jpeg, size - 20);
    write_pgm(in_folder("bad/3.pgm"), WIDTH_PX, HEIGHT_PX - 2, 5);
    write_file(in_folder("bad/4.jpg"), "", 0);
    write_file(in_folder("bad/5.ppm"), "nonsense", 8);
    write_pgm(in_folder("bad/6.pgm"), WIDTH_PX, HEIGHT_PX, 6);
    write_pgm(in_folder("bad/7.pgm"), WIDTH_PX, HEIGHT_PX, 7);
    write_file(in_folder("bad/8.jpg"), jpeg, size);
    sl_jpeg_encoder_destroy(encoder);

    const struct sl_camera_config config = {
        .driver = "file", .source = in_folder("bad"), .fourcc = SL_FORMAT_GRAY8, .loop = true};
    struct sl_camera *camera = start_camera(&config);
    assert_int_equal(unlink(in_folder("bad/6.pgm")), 0);
    write_pgm(in_folder("bad/7.pgm"), 400, 400, 7); /* more than was reserved */
    static const char *const REASONS[] = {
        NULL,    "2.jpeg: bad JPEG",    "128 x 94 px, not 128 x 96", "4.jpg: the file is empty",
        "5.ppm", "6.pgm: No such file", "7.pgm has grown",           NULL};
    uint64_t dropped = 0;
    for (uint64_t id = 1; id <= 16; id++) {
        struct sl_frame_info info;
        const char *reason = REASONS[(id - 1) % 8];
        const int result = fill(camera, &info, 0);
        if (reason == NULL) {
            assert_int_equal(result, 0);
            assert_int_equal(info.frame_id, id);
            assert_int_equal(info.dropped, dropped);
            assert_in_range(memory[0], 98, 102);
            continue;
        }
        dropped++;
        assert_int_equal(result, -EPROTO);
        if (strstr(sl_camera_problem(camera), reason) == NULL)
            fail_msg("'%s' does not say '%s'", sl_camera_problem(camera), reason);
    }
    sl_camera_close(camera);
}

static void file_shows_the_last_picture_however_late(void **state)
{
    (void)state;
    const struct sl_camera_config config = {
        .driver = "file", .source = in_folder("drive"), .fourcc = SL_FORMAT_GRAY8, .rate_hz = 100};
    struct sl_camera *camera = start_camera(&config);
    struct sl_frame_info info;
    assert_int_equal(fill(camera, &info, 0), 0);
    sl_clock_sleep_until_ns(in_ms(200));
    assert_int_equal(fill(camera, &info, 0), 0);
    assert_int_equal(info.frame_id, PICTURES);
    assert_int_equal(info.dropped, PICTURES - 2);
    assert_int_equal(memory[0], PICTURES);
    assert_int_equal(fill(camera, &info, 0), -ENODATA);
    sl_camera_close(camera);
}

/* ---- file: video ---- */

#define Y4M "YUV4MPEG2 "

/* A video of frames of one shade: 1, 2, 3 and so on, each with its line. */
static size_t make_video(uint8_t *to, const char *header, const char *line, size_t frame_bytes,
                         int frames)
{
    size_t size = (size_t)sprintf((char *)to, "%s", header);
    for (int i = 1; i <= frames; i++) {
        size += (size_t)sprintf((char *)to + size, "%s", line);
        memset(to + size, i, frame_bytes);
        size += frame_bytes;
    }
    return size;
}

static uint8_t video_bytes[512 * 1024];

static char *write_video(const char *name, const char *header, const char *line, size_t frame_bytes,
                         int frames)
{
    char *path = in_folder(name);
    write_file(path, video_bytes, make_video(video_bytes, header, line, frame_bytes, frames));
    return path;
}

static void video_headers_that_do_not_open(void **state)
{
    (void)state;
    static const struct {
        const char *text, *word;
    } BAD[] = {
        {"", "ends within its header"},
        {"YUV4", "ends within its header"},
        {"YUV5MPEG2 W16 H8\n", "no YUV4MPEG2"},
        {"YUV4MPEG2W16 H8\n", "no YUV4MPEG2"},
        {"\xff\xd8\xff\xe0", "no YUV4MPEG2"},
        {Y4M "W16 H8", "ends within its header"},
        {Y4M "\n", "no width and height"},
        {Y4M "W16\n", "no width and height"},
        {Y4M "W0 H8\n", "no width and height"},
        {Y4M "W16 H-8\n", "no width and height"},
        {Y4M "W8193 H8\n", "no width and height"},
        {Y4M "W99999999999999999999 H8\n", "no width and height"},
        {Y4M "W16x H8\n", "no width and height"},
        {Y4M "W H\n", "no width and height"},
        {Y4M "W16 H8 C422\n", "C422 is not read"},
        {Y4M "W16 H8 C444alpha\n", "C444alpha is not read"},
        {Y4M "W16 H8 C420p10\n", "ffmpeg -pix_fmt yuv420p"},
        {Y4M "W16 H8 Cmono16\n", "Cmono16 is not read"},
        {Y4M "W16 H8 C\n", "is not read"},
        {Y4M "W16 H8\n", "has no frames"},
        {Y4M "W16 H8\nFRAM", "ends within a frame"},
        {Y4M "W16 H8\nFRAME", "ends within a frame"},
        {Y4M "W16 H8\nFRAME\n", "ends within a frame"},
        {Y4M "W16 H8\nFRAME\nxyz", "ends within a frame"},
        {Y4M "W16 H8\nFRAMES\nxyz", "does not begin with FRAME"},
        {Y4M "W8192 H8192\nFRAME\nxyz", "ends within a frame"},
        {Y4M "W1 H1 Cmono\nFRAME\nx", "too small"},
    };
    struct sl_camera_config config = {.driver = "file", .source = in_folder("hostile.y4m")};
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++) {
        write_file(config.source, BAD[i].text, strlen(BAD[i].text));
        expect_open_error(&config, -EPROTO, BAD[i].word);
        expect_open_error(&config, -EPROTO, "hostile.y4m");
    }
    /* A line without an end, in the header and in a frame. */
    memset(video_bytes, 'I', 4096);
    memcpy(video_bytes, Y4M, 10);
    video_bytes[10] = ' ';
    write_file(config.source, video_bytes, 4096);
    expect_open_error(&config, -EPROTO, "longer than");
    memcpy(video_bytes, Y4M "W2 H2\nFRAME ", 22);
    write_file(config.source, video_bytes, 4096);
    expect_open_error(&config, -EPROTO, "longer than");
    /* A NUL is a byte like others. */
    write_file(config.source, "YUV4MPEG2\0W16 H8\nFRAME\n", 24);
    expect_open_error(&config, -EPROTO, "no YUV4MPEG2");

    config.source = in_folder("missing.y4m");
    expect_open_error(&config, -ENOENT, "missing.y4m: No such file");
    config.source = new_folder("folder.y4m");
    expect_open_error(&config, -EPROTO, "no ordinary file");
    config.source = in_folder("pipe.y4m");
    assert_int_equal(mkfifo(config.source, 0600), 0);
    expect_open_error(&config, -EPROTO, "no ordinary file");
    config.source = in_folder("drive.y4m");
    config.width_px = WIDTH_PX;
    config.height_px = HEIGHT_PX + 2;
    expect_open_error(&config, -EPROTO, "not 128 x 98");
}

static void video_frames_come_in_order_and_end(void **state)
{
    (void)state;
    /* Rate, interlacing, aspect and comments do not matter; frames' lines may
     * say something. */
    const struct sl_camera_config config = {
        .driver = "file",
        .source =
            write_video("odd.Y4M", Y4M "W33 H17 F30000:1001 Ip A1:1 C420mpeg2 XCOLORRANGE=FULL\n",
                        "FRAME Ixyz XSOMETHING\n", 33 * 17 + 2 * 17 * 9, 4),
        .fourcc = SL_FORMAT_GRAY8};
    struct sl_camera *camera = start_camera(&config);
    struct sl_frame_info info;
    uint64_t id = 0;
    for (int round = 0; round < 2; round++) {
        for (int shade = 1; shade <= 4; shade++) {
            assert_int_equal(fill(camera, &info, 0), 0);
            assert_int_equal(info.width_px, 33);
            assert_int_equal(info.height_px, 17);
            assert_int_equal(memory[0], shade);
            assert_int_equal(memory[33 * 17 - 1], shade);
            assert_int_equal(info.frame_id, ++id);
        }
        assert_int_equal(fill(camera, &info, 0), -ENODATA);
        assert_int_equal(fill(camera, &info, 1000), -ENODATA);
        sl_camera_stop(camera);
        assert_int_equal(sl_camera_start(camera, &err), 0);
    }
    sl_camera_close(camera);
}

static void video_that_is_damaged_ends_there(void **state)
{
    (void)state;
    static const char *const REASONS[] = {"ends within a frame", "does not begin with FRAME"};
    for (int kind = 0; kind < 2; kind++) {
        const size_t frame = 6 + 32 * 16;
        size_t size =
            make_video(video_bytes, Y4M "W32 H16 Cmono XCOLORRANGE=FULL\n", "FRAME\n", 32 * 16, 5);
        if (kind == 0)
            size -= frame + 1; /* the fourth lacks a byte */
        else
            video_bytes[size - 2 * frame] = 'x'; /* as its first */
        struct sl_camera_config config = {
            .driver = "file", .source = in_folder("torn.y4m"), .fourcc = SL_FORMAT_GRAY8};
        write_file(config.source, video_bytes, size);
        struct sl_camera *camera = start_camera(&config);
        struct sl_frame_info info;
        for (int shade = 1; shade <= 3; shade++) {
            assert_int_equal(fill(camera, &info, 0), 0);
            assert_int_equal(memory[0], shade);
        }
        assert_int_equal(fill(camera, &info, 0), -EPROTO);
        assert_non_null(strstr(sl_camera_problem(camera), REASONS[kind]));
        assert_int_equal(fill(camera, &info, 0), -ENODATA);
        sl_camera_close(camera);
    }
    /* Cut while it is open. */
    const struct sl_camera_config config = {
        .driver = "file",
        .source = write_video("cut.y4m", Y4M "W32 H16 Cmono\n", "FRAME\n", 32 * 16, 3)};
    struct sl_camera *camera = start_camera(&config);
    struct sl_frame_info info;
    assert_int_equal(truncate(config.source, 100), 0);
    assert_int_equal(fill(camera, &info, 0), -EPROTO);
    assert_non_null(strstr(sl_camera_problem(camera), "shrunk"));
    sl_camera_close(camera);
}

/* The same colours as a picture has, from either range, in every format. */
static void video_colours_are_those_of_pictures(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        uint8_t y, cb, cr;               /* in the video */
        uint8_t luma, c_b, c_r, b, g, r; /* in the frame */
    } COLOURS[] = {
        {Y4M "W4 H2 C420jpeg XCOLORRANGE=FULL\n", 76, 85, 255, 76, 85, 255, 0, 0, 254},
        {Y4M "W4 H2 C420jpeg XCOLORRANGE=LIMITED\n", 81, 90, 240, 76, 85, 255, 0, 0, 254},
        {Y4M "W4 H2\n", 16, 128, 128, 0, 128, 128, 0, 0, 0},
        {Y4M "W4 H2 C420paldv\n", 235, 128, 128, 255, 128, 128, 255, 255, 255},
        {Y4M "W4 H2\n", 0, 0, 255, 0, 0, 255, 0, 0, 178},
        {Y4M "W4 H2\n", 255, 128, 128, 255, 128, 128, 255, 255, 255},
    };
    for (size_t i = 0; i < sizeof COLOURS / sizeof COLOURS[0]; i++) {
        static const uint32_t FORMATS[] = {SL_FORMAT_GRAY8, SL_FORMAT_NV12, SL_FORMAT_YUYV,
                                           SL_FORMAT_BGR24};
        size_t size = (size_t)sprintf((char *)video_bytes, "%sFRAME\n", COLOURS[i].header);
        memset(video_bytes + size, COLOURS[i].y, 8);
        memset(video_bytes + size + 8, COLOURS[i].cb, 2);
        memset(video_bytes + size + 10, COLOURS[i].cr, 2);
        for (size_t f = 0; f < sizeof FORMATS / sizeof FORMATS[0]; f++) {
            struct sl_camera_config config = {
                .driver = "file", .source = in_folder("colour.y4m"), .fourcc = FORMATS[f]};
            write_file(config.source, video_bytes, size + 12);
            struct sl_camera *camera = start_camera(&config);
            struct sl_frame_info info;
            assert_int_equal(fill(camera, &info, 0), 0);
            const uint8_t expected[4][4] = {
                {COLOURS[i].luma},
                {COLOURS[i].luma},
                {COLOURS[i].luma, COLOURS[i].c_b, COLOURS[i].luma, COLOURS[i].c_r},
                {COLOURS[i].b, COLOURS[i].g, COLOURS[i].r}};
            const size_t bytes[] = {1, 1, 4, 3};
            for (size_t k = 0; k < bytes[f]; k++)
                assert_in_range(memory[k], expected[f][k] > 0 ? expected[f][k] - 1 : 0,
                                expected[f][k] + 1);
            if (FORMATS[f] == SL_FORMAT_NV12) {
                assert_int_equal(memory[8], COLOURS[i].c_b);
                assert_int_equal(memory[9], COLOURS[i].c_r);
            }
            sl_camera_close(camera);
        }
    }
    /* Without chroma it is neutral. */
    struct sl_camera_config config = {
        .driver = "file",
        .source = write_video("mono.y4m", Y4M "W4 H2 Cmono XCOLORRANGE=FULL\n", "FRAME\n", 8, 1)};
    struct sl_camera *camera = start_camera(&config);
    struct sl_frame_info info;
    assert_int_equal(fill(camera, &info, 0), 0);
    assert_int_equal(memory[7], 1);
    assert_int_equal(memory[8], 128);
    assert_int_equal(memory[11], 128);
    sl_camera_close(camera);
}

/* ---- file: video on standard input ---- */

struct feeder {
    pthread_t thread;
    int fd;
    const uint8_t *bytes;
    size_t size, pause_at; /* after so many bytes it waits to be told to go on */
    _Atomic bool go_on;
};

static void *feed(void *argument)
{
    struct feeder *f = argument;
    size_t at = 0;
    while (at < f->size) {
        while (at >= f->pause_at && !atomic_load(&f->go_on))
            sl_clock_sleep_until_ns(in_ms(1));
        const size_t end = at < f->pause_at && f->pause_at < f->size ? f->pause_at : f->size;
        const size_t part = end - at < 777 ? end - at : 777; /* never a whole frame */
        const ssize_t put = write(f->fd, f->bytes + at, part);
        if (put < 0)
            break;
        at += (size_t)put;
    }
    close(f->fd);
    return NULL;
}

/* A pipe takes standard input's place. The old one, to be given back. */
static int feed_start(struct feeder *f, const uint8_t *bytes, size_t size, size_t pause_at)
{
    int ends[2];
    const int before = dup(STDIN_FILENO);
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(dup2(ends[0], STDIN_FILENO), STDIN_FILENO);
    close(ends[0]);
    *f = (struct feeder){.fd = ends[1], .bytes = bytes, .size = size, .pause_at = pause_at};
    assert_int_equal(pthread_create(&f->thread, NULL, feed, f), 0);
    return before;
}

static void feed_stop(struct feeder *f, int before)
{
    atomic_store(&f->go_on, true);
    assert_int_equal(pthread_join(f->thread, NULL), 0);
    if (before >= 0) {
        dup2(before, STDIN_FILENO);
        close(before);
    } else {
        close(STDIN_FILENO);
    }
}

static void video_streams_wait_for_their_frames(void **state)
{
    (void)state;
    static const char header[] = Y4M "W64 H32 Cmono XCOLORRANGE=FULL\n";
    const size_t frame = 6 + 64 * 32;
    const size_t size = make_video(video_bytes, header, "FRAME\n", 64 * 32, 12);
    struct feeder feeder;
    const int before =
        feed_start(&feeder, video_bytes, size, sizeof header - 1 + 2 * frame + frame / 2);
    struct sl_camera_config config = {
        .driver = "file", .source = "-", .fourcc = SL_FORMAT_GRAY8, .rate_hz = 1000};
    struct sl_camera *camera = start_camera(&config);
    struct sl_frame_info info;
    uint64_t last_ns = 0;
    for (int shade = 1; shade <= 12; shade++) {
        if (shade == 3) { /* half of it is there */
            const uint64_t deadline = in_ms(30);
            assert_int_equal(sl_camera_fill(camera, memory, sizeof memory, &info, deadline),
                             -ETIMEDOUT);
            assert_true(sl_clock_now_ns() >= deadline);
            assert_int_equal(fill(camera, &info, 0), -ETIMEDOUT);
            atomic_store(&feeder.go_on, true);
        }
        assert_int_equal(fill(camera, &info, PATIENCE_MS), 0);
        assert_int_equal(memory[0], shade);
        assert_int_equal(memory[64 * 32 - 1], shade);
        /* However late, no frame of a stream is passed over. */
        assert_int_equal(info.frame_id, shade);
        assert_int_equal(info.dropped, 0);
        assert_true(info.exposed_ns > last_ns && info.exposed_ns <= info.received_ns);
        last_ns = info.exposed_ns;
    }
    assert_int_equal(fill(camera, &info, PATIENCE_MS), -ENODATA);
    assert_int_equal(fill(camera, &info, 0), -ENODATA);
    sl_camera_stop(camera);
    assert_int_equal(sl_camera_start(camera, &err), -ESPIPE);
    assert_non_null(strstr(err.text, "cannot begin again"));
    sl_camera_close(camera);
    feed_stop(&feeder, before);
}

static void video_streams_that_fail(void **state)
{
    (void)state;
    struct sl_camera_config config = {.driver = "file", .source = "-", .loop = true};
    struct feeder feeder;
    struct sl_frame_info info;
    size_t size = make_video(video_bytes, Y4M "W32 H16 Cmono\n", "FRAME\n", 32 * 16, 2);
    int before = feed_start(&feeder, video_bytes, size, SIZE_MAX);
    expect_open_error_once(&config, -EINVAL, "cannot begin again");
    feed_stop(&feeder, before);
    config.loop = false;

    before = feed_start(&feeder, video_bytes, 0, SIZE_MAX);
    expect_open_error_once(&config, -EPROTO, "standard input: no video came");
    feed_stop(&feeder, before);
    before = feed_start(&feeder, video_bytes, 12, SIZE_MAX);
    expect_open_error_once(&config, -EPROTO, "ends within its header");
    feed_stop(&feeder, before);
    before = feed_start(&feeder, (const uint8_t *)"nonsense", 8, SIZE_MAX);
    expect_open_error_once(&config, -EPROTO, "no YUV4MPEG2");
    feed_stop(&feeder, before);

    /* It ends within the second frame: told once. */
    before = feed_start(&feeder, video_bytes, size - 1, SIZE_MAX);
    struct sl_camera *camera = start_camera(&config);
    assert_int_equal(fill(camera, &info, PATIENCE_MS), 0);
    assert_int_equal(fill(camera, &info, PATIENCE_MS), -EPROTO);
    assert_non_null(strstr(sl_camera_problem(camera), "ends within a frame"));
    assert_int_equal(fill(camera, &info, PATIENCE_MS), -ENODATA);
    sl_camera_close(camera);
    feed_stop(&feeder, before);
}

/* ---- pattern ---- */

static void pattern_draws_its_id_in_every_format(void **state)
{
    (void)state;
    static const uint32_t FORMATS[] = {
        0, SL_FORMAT_GRAY8, SL_FORMAT_NV12, SL_FORMAT_YUYV, SL_FORMAT_BGR24, SL_FORMAT_BGRA};
    static const uint32_t SIZES[][2] = {{128, 96}, {64, 16}, {400, 300}};
    for (size_t f = 0; f < sizeof FORMATS / sizeof FORMATS[0]; f++) {
        for (size_t s = 0; s < sizeof SIZES / sizeof SIZES[0]; s++) {
            const struct sl_camera_config config = {.driver = "pattern",
                                                    .fourcc = FORMATS[f],
                                                    .width_px = SIZES[s][0],
                                                    .height_px = SIZES[s][1]};
            struct sl_camera *camera = start_camera(&config);
            for (uint32_t expected = 1; expected <= 5; expected++) {
                struct sl_frame_info info;
                uint32_t id = 0;
                assert_int_equal(fill(camera, &info, 0), 0);
                assert_true(sl_pattern_read_id(&info, memory, &id));
                assert_int_equal(id, expected);
                assert_int_equal(info.frame_id, expected);
                assert_int_equal(info.fourcc,
                                 FORMATS[f] != 0 ? FORMATS[f] : (uint32_t)SL_FORMAT_NV12);
            }
            sl_camera_close(camera);
        }
    }
}

static void pattern_shows_a_lane(void **state)
{
    (void)state;
    const struct sl_camera_config config = {
        .driver = "pattern", .fourcc = SL_FORMAT_GRAY8, .width_px = 401, .height_px = 301};
    struct sl_camera *camera = start_camera(&config);
    struct sl_frame_info info;
    uint32_t marker[2] = {0, 0};
    for (int n = 0; n < 2; n++) {
        assert_int_equal(fill(camera, &info, 0), 0);
        for (uint32_t x = 0; x < 401; x++) {
            if (memory[14 * 401 + x] == 250 && marker[n] == 0)
                marker[n] = x;
        }
    }
    assert_int_equal(marker[1], marker[0] + 3);
    /* The left line is solid and comes nearer to the middle further up. */
    uint32_t before = 0;
    for (uint32_t y = 265; y > 160; y -= 5) {
        uint32_t x = 0;
        while (x < 200 && memory[y * 401 + x] < 200)
            x++;
        assert_true(x < 200 && x >= before);
        before = x;
    }
    sl_camera_close(camera);
}

static void pattern_sizes_that_do_not_open(void **state)
{
    (void)state;
    struct sl_camera_config config = {.driver = "pattern", .width_px = 63, .height_px = 96};
    expect_open_error(&config, -EINVAL, "too small");
    config.width_px = 127;
    expect_open_error(&config, -EINVAL, "even");
    config.width_px = 128;
    config.fourcc = SL_FORMAT_MJPEG;
    expect_open_error(&config, -EINVAL, "MJPG");
    config.fourcc = 0x1234;
    expect_open_error(&config, -EINVAL, "????");
}

/* ---- bus ---- */

static void bus_comes_goes_and_comes_back(void **state)
{
    (void)state;
    const struct sl_camera_config config = {
        .driver = "bus", .source = BUS, .width_px = WIDTH_PX, .height_px = HEIGHT_PX};
    struct sl_camera *camera = start_camera(&config);
    struct sl_frame_info info;
    const uint64_t deadline = in_ms(30);
    assert_int_equal(sl_camera_fill(camera, memory, sizeof memory, &info, deadline), -EPIPE);
    assert_true(sl_clock_now_ns() >= deadline);
    assert_non_null(strstr(sl_camera_problem(camera), BUS));

    for (int round = 0; round < 3; round++) {
        publisher_start(&publisher, 200, WIDTH_PX, HEIGHT_PX);
        int result = 0;
        uint64_t until = in_ms(PATIENCE_MS);
        do {
            result = fill(camera, &info, 20);
        } while (result != 0 && sl_clock_now_ns() < until);
        assert_int_equal(result, 0);
        assert_int_equal(info.dropped, 0); /* a reader that just came has missed nothing */
        publisher_stop(&publisher);
        until = in_ms(PATIENCE_MS);
        do {
            result = fill(camera, &info, 20);
        } while (result != -EPIPE && sl_clock_now_ns() < until);
        assert_int_equal(result, -EPIPE);
        assert_true(strlen(sl_camera_problem(camera)) > 0);
    }
    sl_camera_close(camera);
}

static struct sl_bus_writer *open_writer(size_t slot_bytes, uint32_t type)
{
    struct sl_bus_writer *writer;
    const struct sl_bus_writer_config config = {
        .name = BUS, .type = type, .slot_count = 4, .slot_bytes = slot_bytes};
    if (sl_bus_writer_open(&writer, &config, &err) != 0)
        fail_msg("%s", err.text);
    return writer;
}

static void publish(struct sl_bus_writer *writer, const struct sl_frame_info *info, size_t size)
{
    struct sl_bus_loan loan;
    sl_bus_loan(writer, &loan);
    memcpy(loan.meta, info, sizeof *info);
    for (size_t i = 0; i < size; i++)
        ((uint8_t *)loan.data)[i] = (uint8_t)(i * 7 + i / 251);
    sl_bus_publish(writer, &loan, size, info->exposed_ns);
}

static void bus_frames_are_packed_tightly(void **state)
{
    (void)state;
    struct sl_bus_writer *writer = open_writer(8192, SL_RECORD_FRAME);
    const struct sl_camera_config config = {.driver = "bus", .source = BUS};
    struct sl_camera *camera = start_camera(&config);
    const size_t needed = (size_t)1920 * 1080 * 4;
    assert_int_equal(sl_camera_caps(camera)->frame_bytes, needed);
    uint8_t *large = malloc(needed);
    assert_non_null(large);
    const struct sl_frame_info padded = {.frame_id = 41,
                                         .exposed_ns = 1000,
                                         .received_ns = 2000,
                                         .dropped = 3,
                                         .fourcc = SL_FORMAT_NV12,
                                         .width_px = 32,
                                         .height_px = 8,
                                         .size_bytes = 100 + 40 * 8 + 36 * 4,
                                         .plane_count = 2,
                                         .planes = {{100, 40}, {100 + 40 * 8, 36}},
                                         .reserved = {1, 2, 3}};
    struct sl_frame_info info;
    publish(writer, &padded, padded.size_bytes);
    assert_int_equal(sl_camera_fill(camera, large, needed, &info, in_ms(1000)), 0);
    assert_int_equal(info.size_bytes, 32 * 12);
    assert_int_equal(info.planes[0].stride_bytes, 32);
    assert_int_equal(info.planes[1].offset_bytes, 32 * 8);
    assert_int_equal(info.frame_id, 41);
    assert_int_equal(info.exposed_ns, 1000);
    assert_int_equal(info.received_ns, 2000);
    assert_int_equal(info.dropped, 3);
    for (uint32_t y = 0; y < 12; y++) {
        for (uint32_t x = 0; x < 32; x++) {
            const size_t i = y < 8 ? 100 + y * 40 + x : 100 + 40 * 8 + (y - 8) * 36 + x;
            assert_int_equal(large[y * 32 + x], (uint8_t)(i * 7 + i / 251));
        }
    }

    const struct sl_frame_info jpeg = {.frame_id = 42,
                                       .fourcc = SL_FORMAT_MJPEG,
                                       .width_px = 32,
                                       .height_px = 8,
                                       .size_bytes = 500,
                                       .plane_count = 1,
                                       .planes = {{10, 0}}};
    publish(writer, &jpeg, 500);
    assert_int_equal(sl_camera_fill(camera, large, needed, &info, in_ms(1000)), 0);
    assert_int_equal(info.fourcc, SL_FORMAT_MJPEG);
    assert_int_equal(info.size_bytes, 490);
    assert_int_equal(large[0], 70);
    free(large);
    sl_camera_close(camera);
    sl_bus_writer_close(writer);
}

static void bus_distrusts_its_writer(void **state)
{
    (void)state;
    const size_t size = WIDTH_PX * HEIGHT_PX;
    struct sl_bus_writer *writer = open_writer(4 * size + 4096, SL_RECORD_FRAME);
    const struct sl_camera_config config = {
        .driver = "bus", .source = BUS, .width_px = WIDTH_PX, .height_px = HEIGHT_PX};
    struct sl_camera *camera = start_camera(&config);
    struct sl_frame_info good = {.frame_id = 1}, info;
    assert_int_equal(sl_frame_layout(&good, SL_FORMAT_GRAY8, WIDTH_PX, HEIGHT_PX), 0);
    publish(writer, &good, size);
    assert_int_equal(fill(camera, &info, 1000), 0);
    assert_int_equal(info.dropped, 0);

    uint64_t bad_frames = 0;
    for (int kind = 0; kind < 9; kind++) {
        struct sl_frame_info bad = good;
        size_t published = size;
        switch (kind) {
        case 0:
            bad.size_bytes = UINT32_MAX;
            break;
        case 1:
            bad.planes[0].stride_bytes = UINT32_MAX;
            break;
        case 2:
            bad.planes[0].offset_bytes = 1;
            break;
        case 3:
            bad.fourcc = 0;
            break;
        case 4:
            bad.plane_count = 4000000;
            break;
        case 5:
            bad.width_px = 0;
            break;
        case 6:
            published = size - 1;
            break;
        case 7: /* whole, but of another size */
            assert_int_equal(sl_frame_layout(&bad, SL_FORMAT_GRAY8, WIDTH_PX, HEIGHT_PX - 2), 0);
            break;
        default: /* a JPEG larger than any frame of this size */
            bad.fourcc = SL_FORMAT_MJPEG;
            bad.size_bytes = 4 * size + 1;
            published = bad.size_bytes;
            break;
        }
        publish(writer, &bad, published);
        bad_frames++;
        /* Into memory of exactly the promised size. */
        uint8_t *tight = malloc(4 * size);
        assert_non_null(tight);
        assert_int_equal(sl_camera_fill(camera, tight, 4 * size, &info, in_ms(1000)), -EPROTO);
        free(tight);
        assert_true(strlen(sl_camera_problem(camera)) > 10);
        assert_int_equal(fill(camera, &info, 0), -ETIMEDOUT);
    }
    good.frame_id = 1 + bad_frames + 1;
    publish(writer, &good, size);
    assert_int_equal(fill(camera, &info, 1000), 0);
    assert_int_equal(info.dropped, bad_frames);
    sl_camera_close(camera);
    sl_bus_writer_close(writer);
}

static void bus_of_another_type_is_refused(void **state)
{
    (void)state;
    struct sl_bus_writer *writer = open_writer(4096, SL_RECORD_COMMAND);
    const struct sl_camera_config config = {.driver = "bus", .source = BUS};
    struct sl_camera *camera = start_camera(&config);
    struct sl_frame_info info;
    const size_t needed = sl_camera_caps(camera)->frame_bytes;
    uint8_t *large = malloc(needed);
    assert_non_null(large);
    /* Not before the deadline: a loop at high priority must not spin on it. */
    const uint64_t deadline = in_ms(30);
    assert_int_equal(sl_camera_fill(camera, large, needed, &info, deadline), -EPROTO);
    assert_true(sl_clock_now_ns() >= deadline);
    assert_non_null(strstr(sl_camera_problem(camera), BUS));
    free(large);
    sl_camera_close(camera);
    sl_bus_writer_close(writer);

    struct sl_camera_config bad = {.driver = "bus", .source = "No/Such Name"};
    expect_open_error(&bad, -EINVAL, "");
    bad.source = "a_name_that_is_longer_than_the_forty_eight_allowed_characters";
    expect_open_error(&bad, -EINVAL, "longer");
}

/* Two readers that never give back what they hold leave a writer of three
 * slots no choice but to write into the one being copied: such frames are
 * lost, never delivered torn. */
static void bus_frames_are_never_torn(void **state)
{
    (void)state;
    struct publisher flood = {.slots = 3};
    publisher_start(&flood, 0, 512, 512);
    struct sl_bus_reader *holders[2];
    for (size_t i = 0; i < 2; i++) {
        const struct sl_bus_reader_config holder = {.name = BUS, .type = SL_RECORD_FRAME};
        struct sl_bus_view view;
        assert_int_equal(sl_bus_reader_open(&holders[i], &holder, &err), 0);
        assert_int_equal(sl_bus_wait(holders[i], in_ms(1000)), 0);
        assert_int_equal(sl_bus_acquire_newest(holders[i], &view), 0);
    }
    const struct sl_camera_config config = {
        .driver = "bus", .source = BUS, .width_px = 512, .height_px = 512};
    struct sl_camera *camera;
    static uint8_t frame[512 * 512 * 4];
    assert_int_equal(sl_camera_open(&camera, &config, &err), 0);
    assert_int_equal(sl_camera_start(camera, &err), 0);
    const uint64_t until = in_ms(1000);
    int frames = 0;
    uint64_t last_id = 0, last_dropped = 0;
    while (sl_clock_now_ns() < until) {
        struct sl_frame_info info;
        const int result = sl_camera_fill(camera, frame, sizeof frame, &info, in_ms(100));
        if (result == -ETIMEDOUT)
            continue;
        assert_int_equal(result, 0);
        for (size_t i = 0; i < info.size_bytes; i++) {
            if (frame[i] != (info.frame_id & 0xff))
                fail_msg("frame %llu is torn at byte %zu", (unsigned long long)info.frame_id, i);
        }
        if (last_id != 0)
            assert_int_equal(info.frame_id - last_id, 1 + info.dropped - last_dropped);
        last_id = info.frame_id;
        last_dropped = info.dropped;
        frames++;
    }
    assert_true(frames > 10);
    sl_camera_close(camera);
    for (size_t i = 0; i < 2; i++)
        sl_bus_reader_close(holders[i]);
    publisher_stop(&flood);
}

/* ---- the run ---- */

/* Hardware that is there takes part. */
static void look_for_hardware(void)
{
    while (fixtures_here < FIXTURE_COUNT) {
        struct sl_camera *camera;
        const struct sl_camera_config config = begin(&FIXTURES[fixtures_here], 30);
        if (sl_camera_open(&camera, &config, &err) != 0) {
            print_message("without %s: %s\n", config.driver, err.text);
            return;
        }
        sl_camera_close(camera);
        FIXTURES[fixtures_here++].end();
    }
}

static int create(void **state)
{
    (void)state;
    look_for_hardware();
    const char *places[] = {"/dev/shm", "/tmp"};
    for (size_t i = 0; i < 2; i++) {
        snprintf(folder, sizeof folder, "%s/skylane_camera_XXXXXX", places[i]);
        if (mkdtemp(folder) != NULL)
            break;
    }
    if (setenv("SKYLANE_BUS_DIR", folder, 1) != 0 || mkdir(in_folder("drive"), 0700) != 0)
        return 1;
    for (int i = 1; i <= PICTURES; i++) {
        char name[32];
        snprintf(name, sizeof name, "drive/%d.pgm", i);
        write_pgm(in_folder(name), WIDTH_PX, HEIGHT_PX, (uint8_t)i);
    }
    write_video("drive.y4m", Y4M "W128 H96 C420jpeg\n", "FRAME\n", WIDTH_PX * HEIGHT_PX * 3 / 2,
                PICTURES);
    return 0;
}

static int destroy(void **state)
{
    (void)state;
    char command[256];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_driver_has_a_fixture),
        cmocka_unit_test(wrong_settings_do_not_open),
        cmocka_unit_test(fill_needs_start_and_room),
        cmocka_unit_test(frames_have_identity_time_and_layout),
        cmocka_unit_test(deadlines_are_kept),
        cmocka_unit_test(pacing_follows_the_rate),
        cmocka_unit_test(late_callers_get_the_newest),
        cmocka_unit_test(stops_and_starts_from_any_state),
        cmocka_unit_test(fill_allocates_nothing),
        cmocka_unit_test(texts_are_copied_while_opening),
        cmocka_unit_test(file_sources_that_do_not_open),
        cmocka_unit_test(file_order_is_natural_and_ends),
        cmocka_unit_test(file_bad_pictures_cost_their_turn),
        cmocka_unit_test(file_shows_the_last_picture_however_late),
        cmocka_unit_test(video_headers_that_do_not_open),
        cmocka_unit_test(video_frames_come_in_order_and_end),
        cmocka_unit_test(video_that_is_damaged_ends_there),
        cmocka_unit_test(video_colours_are_those_of_pictures),
        cmocka_unit_test(video_streams_wait_for_their_frames),
        cmocka_unit_test(video_streams_that_fail),
        cmocka_unit_test(pattern_draws_its_id_in_every_format),
        cmocka_unit_test(pattern_shows_a_lane),
        cmocka_unit_test(pattern_sizes_that_do_not_open),
        cmocka_unit_test(bus_comes_goes_and_comes_back),
        cmocka_unit_test(bus_frames_are_packed_tightly),
        cmocka_unit_test(bus_distrusts_its_writer),
        cmocka_unit_test(bus_of_another_type_is_refused),
        cmocka_unit_test(bus_frames_are_never_torn),
    };
    return cmocka_run_group_tests(tests, create, destroy);
}
