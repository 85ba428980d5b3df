/* A camera at work, and in trouble: a table of this test's own takes the place of the
 * build's, with a device that does what it is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/camera/source.h"
#include "hal/camera/drivers.h"
#include "rt/bus_status.h"
#include "rt/clock.h"
#include "rt/records.h"

#define RATE_HZ   100
#define PERIOD_NS (SL_NS_PER_S / RATE_HZ)
#define WIDTH_PX  64
#define HEIGHT_PX 48
#define BYTES     (WIDTH_PX * HEIGHT_PX)
#define PATIENCE  (10 * SL_NS_PER_S)

enum behaviour { GOOD, SILENT, FROZEN, BLACK, BROKEN, GONE };

static struct {
    enum behaviour behaves;
    bool heals;  /* by a restart */
    bool shares; /* takes areas */
    struct sl_bus_payloads areas;
    uint64_t queued; /* bits */
    uint64_t id, due_ns;
    struct sl_camera_drops drops;
    int starts;
    bool running;
} device;

static int device_open(void *state, const struct sl_camera_config *config,
                       struct sl_camera_caps *caps, struct sl_error *err)
{
    (void)state;
    (void)config;
    (void)err;
    *caps = (struct sl_camera_caps){.width_px = WIDTH_PX,
                                    .height_px = HEIGHT_PX,
                                    .fourcc = SL_FORMAT_GRAY8,
                                    .frame_bytes = BYTES,
                                    .rate_hz = RATE_HZ,
                                    .areas = device.shares ? 2 : 0};
    return 0;
}

static int device_start(void *state, struct sl_error *err)
{
    (void)state;
    device.starts++;
    if (device.behaves == GONE)
        return sl_error_set(err, -ENODEV, "the test's camera is away");
    if (device.heals)
        device.behaves = GOOD;
    device.due_ns = sl_clock_now_ns();
    device.running = true;
    return 0;
}

/* The next frame's time; -ETIMEDOUT if that is too late. */
static int await(uint64_t deadline_ns)
{
    assert_true(device.running);
    if (device.behaves == GONE)
        return -EPIPE;
    if (device.behaves == SILENT || device.due_ns + PERIOD_NS > deadline_ns) {
        sl_clock_sleep_until_ns(deadline_ns);
        return -ETIMEDOUT;
    }
    device.due_ns += PERIOD_NS;
    sl_clock_sleep_until_ns(device.due_ns);
    device.id++;
    return device.behaves == BROKEN ? -EPROTO : 0;
}

static void draw(uint8_t *memory, struct sl_frame_info *info)
{
    memset(memory, device.behaves == BLACK ? 3 : 128, BYTES);
    if (device.behaves != FROZEN)
        memset(memory, device.behaves == BLACK ? (int)(device.id % 9) : (int)(100 + device.id % 99),
               BYTES / 2);
    (void)sl_frame_layout(info, SL_FORMAT_GRAY8, WIDTH_PX, HEIGHT_PX);
    info->frame_id = device.id;
    info->received_ns = sl_clock_now_ns();
    info->exposed_ns = device.due_ns;
}

static int device_fill(void *state, void *memory, size_t capacity, struct sl_frame_info *info,
                       uint64_t deadline_ns)
{
    (void)state;
    assert_true(capacity >= BYTES);
    const int rc = await(deadline_ns);
    if (rc == 0)
        draw(memory, info);
    return rc;
}

static int device_share(void *state, const struct sl_bus_payloads *areas, struct sl_error *err)
{
    (void)state;
    if (!device.shares)
        return sl_error_set(err, -ENOTSUP, "not this one");
    device.areas = *areas;
    return 0;
}

static int device_queue(void *state, uint32_t area)
{
    (void)state;
    assert_true(area < device.areas.count);
    device.queued |= UINT64_C(1) << area;
    return 0;
}

/* Writes as a device does, into whichever area it has. */
static int device_take(void *state, uint32_t *area, struct sl_frame_info *info,
                       uint64_t deadline_ns)
{
    (void)state;
    const int rc = await(deadline_ns);
    if (rc != 0)
        return rc;
    if (device.queued == 0) {
        device.drops.no_area++;
        return -ETIMEDOUT;
    }
    *area = (uint32_t)__builtin_ctzll(device.queued);
    device.queued &= device.queued - 1;
    draw(device.areas.base + *area * device.areas.stride_bytes, info);
    return 0;
}

static void device_drops(const void *state, struct sl_camera_drops *drops)
{
    (void)state;
    *drops = device.drops;
}

static const char *device_transfer(const void *state)
{
    (void)state;
    return device.shares ? "written by the test" : "copied by the test";
}

static void device_stop(void *state)
{
    (void)state;
    device.queued = 0;
    device.running = false;
}

static const char *device_problem(const void *state)
{
    (void)state;
    return "the device's own words";
}

static const struct sl_camera_driver device_driver = {
    .name = "v4l2", /* hardware, to the source */
    .help = "does what the test tells it",
    .state_bytes = 8,
    .open = device_open,
    .start = device_start,
    .fill = device_fill,
    .share = device_share,
    .queue = device_queue,
    .take = device_take,
    .drops = device_drops,
    .transfer = device_transfer,
    .stop = device_stop,
    .close = device_stop,
    .problem = device_problem,
};
const struct sl_camera_driver *const sl_camera_drivers[] = {&device_driver, NULL};

/* ---- what the source publishes ---- */

static struct sl_settings settings;
static struct sl_source *source;
static struct sl_bus_reader *frames, *statuses;
static struct sl_camera_status status;
static uint64_t seen; /* frames */
static int last_rc;

static struct sl_bus_reader *open_reader(const char *name, uint32_t type, size_t bytes)
{
    struct sl_error err = {0};
    struct sl_bus_reader *reader = NULL;
    const struct sl_bus_reader_config config = {.name = name, .type = type, .min_bytes = bytes};
    if (sl_bus_reader_open(&reader, &config, &err) != 0)
        fail_msg("%s", err.text);
    return reader;
}

static void begin(bool shares)
{
    struct sl_error err = {0};
    memset(&device, 0, sizeof device);
    memset(&status, 0, sizeof status);
    device.shares = shares;
    seen = 0;
    sl_settings_defaults(&settings);
    strcpy(settings.camera.driver, "v4l2");
    settings.camera.rate_hz = RATE_HZ;
    if (sl_source_open(&source, &settings, NULL, &err) != 0 || sl_source_start(source, &err) != 0)
        fail_msg("%s", err.text);
    frames = open_reader(settings.bus.camera, SL_RECORD_FRAME, 1);
    statuses = open_reader(settings.bus.camera_status, SL_RECORD_CAMERA, sizeof status);
}

static void end(void)
{
    sl_source_close(source);
    sl_bus_reader_close(frames);
    sl_bus_reader_close(statuses);
    assert_false(device.running);
}

static void turn(void)
{
    struct sl_bus_view view;
    last_rc = sl_source_round(source);
    while (sl_bus_acquire_next(frames, &view) == 0) {
        struct sl_frame_info info;
        memcpy(&info, view.meta, sizeof info);
        assert_int_equal(info.width_px, WIDTH_PX);
        assert_int_equal(((const uint8_t *)view.data)[BYTES - 1],
                         device.behaves == BLACK ? 3 : 128);
        seen++;
        sl_bus_release(frames, &view);
    }
    sl_bus_read_newest(statuses, &status, sizeof status, NULL);
}

/* Goes round until the reports say so. */
static void turn_until(uint32_t trouble)
{
    const uint64_t give_up_ns = sl_clock_now_ns() + PATIENCE;
    do {
        turn();
        if (sl_clock_now_ns() > give_up_ns)
            fail_msg("the trouble is still %u and not %u", status.trouble, trouble);
    } while (status.trouble != trouble || status.published_ns == 0);
}

static void turn_times(int times)
{
    for (int i = 0; i < times; i++)
        turn();
}

/* ---- the tests ---- */

static void frames_and_reports_come(void **state)
{
    (void)state;
    begin(false);
    turn_until(SL_CAMERA_GOOD);
    turn_times(130);
    assert_true(seen >= 130);
    assert_int_equal(status.troubles, 0);
    assert_int_equal(status.restarts, 0);
    assert_true(status.frames > 100);
    assert_true(status.rate_hz > 10 && status.rate_hz < 120);
    assert_string_equal(status.transfer, "copied by the test");
    end();
}

static void a_silent_camera_is_restarted_and_comes_back(void **state)
{
    (void)state;
    begin(false);
    turn_times(20);
    device.behaves = SILENT;
    device.heals = true;
    const uint64_t silent_ns = sl_clock_now_ns();
    turn_until(SL_CAMERA_STALLED);
    assert_true(status.published_ns - silent_ns >= 2 * PERIOD_NS);
    turn_until(SL_CAMERA_GOOD);
    assert_int_equal(status.troubles, 1);
    assert_int_equal(status.restarts, 1);
    assert_int_equal(device.starts, 2);
    assert_true(status.recovery_last_ns >= 9 * PERIOD_NS); /* ten good frames */
    assert_int_equal(status.recovery_max_ns, status.recovery_last_ns);
    assert_int_equal(status.trouble_ns, 0);
    end();
}

static void one_that_stays_silent_is_given_up(void **state)
{
    (void)state;
    begin(false);
    turn_times(5);
    device.behaves = SILENT;
    const uint64_t give_up_ns = sl_clock_now_ns() + PATIENCE;
    do
        turn();
    while (last_rc == 0 && sl_clock_now_ns() < give_up_ns);
    assert_int_equal(last_rc, -EPIPE);
    assert_int_equal(device.starts, 1 + SL_SOURCE_RESTARTS);
    assert_int_equal(status.trouble, SL_CAMERA_STALLED);
    end();
}

/* Another process would not find it either. */
static void one_that_is_away_is_waited_for(void **state)
{
    (void)state;
    begin(false);
    turn_times(5);
    device.behaves = GONE;
    turn_until(SL_CAMERA_STALLED);
    assert_string_equal(status.problem, "the device's own words");
    for (int i = 0; i < 40; i++) {
        turn();
        assert_int_equal(last_rc, 0);
    }
    assert_true(device.starts > SL_SOURCE_RESTARTS);
    const int starts = device.starts;
    device.behaves = GOOD;
    turn_until(SL_CAMERA_GOOD);
    assert_int_equal(device.starts, starts + 1);
    end();
}

static void frozen_and_black_pictures_are_troubles_that_can_be_seen(void **state)
{
    (void)state;
    const struct {
        enum behaviour behaves;
        uint32_t trouble;
    } cases[] = {{FROZEN, SL_CAMERA_FROZEN}, {BLACK, SL_CAMERA_BLACK}};
    for (int i = 0; i < 2; i++) {
        begin(false);
        turn_times(5);
        device.behaves = cases[i].behaves;
        turn_until(cases[i].trouble);
        const uint64_t before = seen;
        turn_times(30);
        assert_true(seen >= before + 20); /* published all the same */
        assert_int_equal(last_rc, 0);
        assert_true(status.restarts > 0);
        device.behaves = GOOD;
        turn_until(SL_CAMERA_GOOD);
        end();
    }
}

static void contents_are_watched_as_the_settings_say(void **state)
{
    (void)state;
    begin(false);
    sl_source_close(source);
    sl_bus_reader_close(frames);
    sl_bus_reader_close(statuses);
    struct sl_error err = {0};
    strcpy(settings.camera.watch, "off");
    assert_int_equal(sl_source_open(&source, &settings, NULL, &err), 0);
    assert_int_equal(sl_source_start(source, &err), 0);
    frames = open_reader(settings.bus.camera, SL_RECORD_FRAME, 1);
    statuses = open_reader(settings.bus.camera_status, SL_RECORD_CAMERA, sizeof status);
    device.behaves = FROZEN;
    turn_times(60);
    assert_int_equal(status.trouble, SL_CAMERA_GOOD);
    assert_int_equal(status.troubles, 0);
    end();
}

static void broken_frames_are_not_published(void **state)
{
    (void)state;
    begin(false);
    turn_times(5);
    const uint64_t before = seen;
    device.behaves = BROKEN;
    turn_until(SL_CAMERA_STALLED); /* no good one for three periods is none */
    assert_int_equal(seen, before);
    device.behaves = GOOD;
    turn_until(SL_CAMERA_GOOD);
    end();
}

static void devices_write_into_the_bus_itself(void **state)
{
    (void)state;
    begin(true);
    turn_times(50);
    assert_true(seen >= 49);
    assert_int_equal(__builtin_popcountll(device.queued), 2);
    assert_int_equal(device.areas.count, SL_BUS_FRAME_SLOTS + 2);
    turn_until(SL_CAMERA_GOOD);
    assert_string_equal(status.transfer, "written by the test");
    struct sl_bus_status bus;
    struct sl_error err;
    assert_int_equal(sl_bus_status_get(settings.bus.camera, &bus, &err), 0);
    assert_string_equal(bus.note, "written by the test");
    end();
}

static void shared_areas_survive_restarts(void **state)
{
    (void)state;
    begin(true);
    for (int i = 0; i < 6; i++) {
        device.behaves = SILENT;
        device.heals = true;
        turn_until(SL_CAMERA_STALLED);
        turn_until(SL_CAMERA_GOOD);
        assert_int_equal(__builtin_popcountll(device.queued), 2); /* none got lost */
    }
    assert_int_equal(status.restarts, 6);
    end();
}

static void one_more_area_is_lent_where_they_run_out(void **state)
{
    (void)state;
    begin(true);
    turn_times(5);
    device.drops.no_area += 2;
    turn_times(5);
    assert_int_equal(__builtin_popcountll(device.queued), 3);
    device.drops.no_area += 2;
    turn_times(5);
    assert_int_equal(__builtin_popcountll(device.queued), 3); /* the ring has no more */
    turn_until(SL_CAMERA_GOOD);
    end();
}

static char folder[] = "/dev/shm/sl-source-XXXXXX";

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) == NULL || setenv("SKYLANE_BUS_DIR", folder, 1) != 0;
}

static int remove_folder(void **state)
{
    (void)state;
    return rmdir(folder); /* nothing is left behind */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_and_reports_come),
        cmocka_unit_test(a_silent_camera_is_restarted_and_comes_back),
        cmocka_unit_test(one_that_stays_silent_is_given_up),
        cmocka_unit_test(one_that_is_away_is_waited_for),
        cmocka_unit_test(frozen_and_black_pictures_are_troubles_that_can_be_seen),
        cmocka_unit_test(contents_are_watched_as_the_settings_say),
        cmocka_unit_test(broken_frames_are_not_published),
        cmocka_unit_test(devices_write_into_the_bus_itself),
        cmocka_unit_test(shared_areas_survive_restarts),
        cmocka_unit_test(one_more_area_is_lent_where_they_run_out),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
