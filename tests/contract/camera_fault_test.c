/* The camera's wrapper before a driver that misbehaves: a table of this test's
 * own takes the place of the build's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "hal/camera/camera.h"

static struct {
    int open, start, fill; /* what the driver answers */
    int stopped, closed;
    uint32_t claims_bytes;
    uint64_t id;
} device;

static int device_open(void *state, const struct sl_camera_config *config,
                       struct sl_camera_caps *caps, struct sl_error *err)
{
    (void)state;
    (void)config;
    caps->frame_bytes = 16;
    return device.open == 0 ? 0 : sl_error_set(err, device.open, "no device");
}

static int device_start(void *state, struct sl_error *err)
{
    (void)state;
    return device.start == 0 ? 0 : sl_error_set(err, device.start, "no signal");
}

static int device_fill(void *state, void *memory, size_t capacity, struct sl_frame_info *info,
                       uint64_t deadline_ns)
{
    (void)state;
    (void)deadline_ns;
    assert_true(capacity >= 16);
    memset(memory, 1, 16);
    (void)sl_frame_layout(info, SL_FORMAT_GRAY8, 4, 4);
    info->size_bytes = device.claims_bytes;
    info->frame_id = ++device.id;
    return device.fill;
}

static void device_stop(void *state)
{
    (void)state;
    device.stopped++;
}

static void device_close(void *state)
{
    (void)state;
    device.closed++;
}

static const char *device_problem(const void *state)
{
    (void)state;
    return "the driver's own words";
}

static const struct sl_camera_driver faulty = {
    .name = "faulty",
    .help = "fails on demand",
    .state_bytes = 8,
    .open = device_open,
    .start = device_start,
    .fill = device_fill,
    .stop = device_stop,
    .close = device_close,
    .problem = device_problem,
};
const struct sl_camera_driver *const sl_camera_drivers[] = {&faulty, NULL};

static const struct sl_camera_config CONFIG = {.driver = "faulty"};

static int reset(void **state)
{
    (void)state;
    memset(&device, 0, sizeof device);
    device.claims_bytes = 16;
    return 0;
}

static void a_device_that_does_not_open_is_closed(void **state)
{
    (void)state;
    struct sl_camera *camera;
    struct sl_error err;
    device.open = -ENXIO;
    assert_int_equal(sl_camera_open(&camera, &CONFIG, &err), -ENXIO);
    assert_string_equal(err.text, "no device");
    assert_null(camera);
    assert_int_equal(device.closed, 1);
    assert_int_equal(device.stopped, 0);
}

static void a_device_that_does_not_start_stays_stopped(void **state)
{
    (void)state;
    struct sl_camera *camera;
    struct sl_error err;
    struct sl_frame_info info;
    uint8_t memory[16];
    assert_int_equal(sl_camera_open(&camera, &CONFIG, &err), 0);
    device.start = -EIO;
    assert_int_equal(sl_camera_start(camera, &err), -EIO);
    assert_string_equal(err.text, "no signal");
    assert_int_equal(sl_camera_fill(camera, memory, 16, &info, 0), -EINVAL);
    sl_camera_stop(camera);
    assert_int_equal(device.stopped, 0);
    device.start = 0;
    assert_int_equal(sl_camera_start(camera, &err), 0);
    assert_int_equal(sl_camera_fill(camera, memory, 16, &info, 0), 0);
    sl_camera_close(camera);
    assert_int_equal(device.stopped, 1);
    assert_int_equal(device.closed, 1);
}

static void frames_out_of_bounds_are_dropped_and_counted(void **state)
{
    (void)state;
    struct sl_camera *camera;
    struct sl_error err;
    struct sl_frame_info info;
    uint8_t memory[16];
    assert_int_equal(sl_camera_open(&camera, &CONFIG, &err), 0);
    assert_int_equal(sl_camera_start(camera, &err), 0);
    assert_int_equal(sl_camera_fill(camera, memory, 16, &info, 0), 0);
    assert_int_equal(info.dropped, 0);
    static const uint32_t BAD[] = {0, 15, 17, UINT32_MAX};
    for (uint32_t i = 0; i < 4; i++) {
        device.claims_bytes = BAD[i];
        assert_int_equal(sl_camera_fill(camera, memory, 16, &info, 0), -EPROTO);
        assert_true(strlen(sl_camera_problem(camera)) > 10);
        assert_string_not_equal(sl_camera_problem(camera), "the driver's own words");
    }
    device.claims_bytes = 16;
    assert_int_equal(sl_camera_fill(camera, memory, 16, &info, 0), 0);
    assert_int_equal(info.frame_id, 6);
    assert_int_equal(info.dropped, 4);
    device.fill = -EPIPE;
    assert_int_equal(sl_camera_fill(camera, memory, 16, &info, 0), -EPIPE);
    assert_string_equal(sl_camera_problem(camera), "the driver's own words");
    sl_camera_close(camera);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_device_that_does_not_open_is_closed, reset),
        cmocka_unit_test_setup(a_device_that_does_not_start_stays_stopped, reset),
        cmocka_unit_test_setup(frames_out_of_bounds_are_dropped_and_counted, reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
