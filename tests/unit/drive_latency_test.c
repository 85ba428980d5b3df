/* What the control path counts as its latency: detections of frames that were
 * exposed while it ran, and no others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "app/drive/drive.h"
#include "rt/bus.h"
#include "rt/clock.h"
#include "tests/integration/programs.h"

#define OLD_NS (3600 * SL_NS_PER_S)

static struct sl_bus_writer *lanes;

static int begin(void **unused)
{
    (void)unused;
    struct sl_error err;
    const struct sl_bus_writer_config bus = {.name = SL_BUS_DETECTION,
                                             .type = SL_RECORD_DETECTION,
                                             .slot_count = SL_BUS_RECORD_SLOTS,
                                             .slot_bytes = sizeof(struct sl_detection)};
    programs_begin();
    return sl_bus_writer_open(&lanes, &bus, &err);
}

static int end(void **unused)
{
    (void)unused;
    sl_bus_writer_close(lanes);
    programs_end();
    return 0;
}

static void publish(uint64_t frame_id, uint64_t exposed_ns)
{
    const struct sl_detection lane = {.frame_id = frame_id,
                                      .exposed_ns = exposed_ns,
                                      .received_ns = exposed_ns + 1000,
                                      .started_ns = exposed_ns + 2000,
                                      .finished_ns = exposed_ns + 3000,
                                      .state = SL_LANE_TWO_LINES,
                                      .confidence = 0.9f,
                                      .lane_width_m = 3.5f};
    sl_bus_write(lanes, &lane, sizeof lane, exposed_ns);
}

/* Until the vehicle has taken so many detections. */
static void await_frames(struct sl_drive *drive, uint64_t frames, struct sl_state *state)
{
    const uint64_t give_up = sl_clock_now_ns() + 20 * SL_NS_PER_S;
    do {
        sl_clock_sleep_until_ns(sl_clock_now_ns() + 2 * SL_NS_PER_MS);
        sl_drive_state(drive, state);
    } while (state->frames < frames && sl_clock_now_ns() < give_up);
    assert_true(state->frames >= frames);
}

static void old_detections_do_not_count(void **unused)
{
    (void)unused;
    static struct sl_settings settings;
    struct sl_error err = {0};
    struct sl_drive *drive = NULL;
    struct sl_state state;
    const struct sl_drive_options options = {0};
    sl_settings_defaults(&settings);
    assert_int_equal(sl_settings_set(&settings, "camera.driver=bus", &err), 0);
    assert_int_equal(sl_settings_set(&settings, "camera.source=" SL_BUS_CAMERA, &err), 0);
    assert_int_equal(sl_settings_set(&settings, "detect.detector=bus", &err), 0);
    assert_int_equal(sl_settings_set(&settings, "actuator.driver=null", &err), 0);
    if (sl_settings_check(&settings, &err) != 0 ||
        sl_drive_open(&drive, &settings, &options, &err) != 0)
        fail_msg("%s", err.text);
    /* One waits when the vehicle starts; another comes late. */
    const uint64_t old_ns = sl_clock_now_ns() - SL_NS_PER_MS;
    publish(1, old_ns > OLD_NS ? old_ns - OLD_NS : 1);
    if (sl_drive_start(drive, &err) != 0)
        fail_msg("%s", err.text);
    await_frames(drive, 1, &state);
    publish(2, old_ns);
    await_frames(drive, 2, &state);
    for (int i = 0; i < SL_STAGE_LOOP_LATENESS; i++)
        assert_int_equal(state.stages[i].count, 0);

    publish(3, sl_clock_now_ns());
    await_frames(drive, 3, &state);
    for (int i = 0; i < SL_STAGE_LOOP_LATENESS; i++)
        assert_int_equal(state.stages[i].count, 1);
    assert_true(state.stages[SL_STAGE_CAMERA_TO_ACTUATOR].max_us < 10e6f);
    sl_drive_close(drive);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(old_detections_do_not_count, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
