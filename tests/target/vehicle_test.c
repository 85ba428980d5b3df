/* The whole vehicle as it is bought: "skylane run" with a V4L2 camera (v4l2loopback,
 * which is shown a road) and a PCA9685 (i2c-stub, whose registers are read), on a real
 * kernel; and everything that breaks while it drives. Skipped where those devices are
 * missing:
 *
 *   modprobe v4l2loopback video_nr=7 exclusive_caps=0
 *   modprobe i2c-dev; modprobe i2c-stub chip_addr=0x40
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "hal/camera/camera.h"
#include "rt/action.h"
#include "rt/clock.h"
#include "tests/contract/i2c_stub.h"
#include "tests/integration/programs.h"
#include "tests/target/v4l2_output.h"

#define SKIPPED   77
#define SETTINGS  SL_SOURCE_DIR "/board/sim/skylane.ini"
#define VIDEO     "/dev/video7"
#define WIDTH_PX  320
#define HEIGHT_PX 240
#define RATE_HZ   10
#define SAFE_MS   100   /* from a failure to neutral outputs */
#define PATIENCE  60000 /* ms; an emulated machine is slow */

#define SLACK_MS 60 /* what the machine may add */

static char board[64]; /* the I2C bus */
static struct program run;
static struct sl_bus_reader *states, *cameras;
static struct sl_state state;
static struct sl_error err;

/* ---- the road before the camera ---- */

enum picture { ROAD, NOTHING, BLACK, EVERY_OTHER_BROKEN };

static struct {
    pthread_t thread;
    _Atomic int picture; /* enum picture */
    _Atomic bool ends;
    uint8_t pixels[WIDTH_PX * HEIGHT_PX * 2] __attribute__((aligned(64)));
} screen;

static void show_road(struct sl_camera *pattern)
{
    struct sl_frame_info info;
    struct sl_error why = {0};
    int fd = -1;
    for (uint64_t n = 0; !screen.ends; n++) {
        if (sl_camera_fill(pattern, screen.pixels, sizeof screen.pixels, &info,
                           sl_clock_now_ns() + SL_NS_PER_S) != 0) {
            sl_clock_sleep_until_ns(sl_clock_now_ns() + SL_NS_PER_S / RATE_HZ);
            continue;
        }
        const int picture = screen.picture;
        size_t bytes = info.size_bytes;
        if (picture == NOTHING)
            continue;
        if (picture == BLACK)
            memset(screen.pixels, 16, (size_t)WIDTH_PX * HEIGHT_PX);
        if (picture == EVERY_OTHER_BROKEN && n % 2 == 0)
            bytes /= 2;
        if (fd < 0)
            fd = v4l2_output_open(VIDEO, &info, &why);
        if (fd < 0 || v4l2_output_show(fd, screen.pixels, bytes, &why) != 0)
            puts(why.text);
    }
    if (fd >= 0)
        close(fd);
}

static void *screen_main(void *unused)
{
    struct sl_error why = {0};
    struct sl_camera *pattern = NULL;
    const struct sl_camera_config config = {.driver = "pattern",
                                            .width_px = WIDTH_PX,
                                            .height_px = HEIGHT_PX,
                                            .fourcc = SL_FORMAT_NV12,
                                            .rate_hz = RATE_HZ};
    if (sl_camera_open(&pattern, &config, &why) != 0 || sl_camera_start(pattern, &why) != 0)
        puts(why.text);
    else
        show_road(pattern);
    sl_camera_close(pattern);
    return unused;
}

/* ---- the vehicle ---- */

/* A vehicle that stops goes on steering, and one that stands leaves its wheels. */
static bool at_rest(void)
{
    return fabs(i2c_stub_pulse_us(board, 1) - 1500) < 3;
}

static bool neutral(void)
{
    return at_rest() && fabs(i2c_stub_pulse_us(board, 0) - 1500) < 3;
}

static bool throttle_is_on(void)
{
    return i2c_stub_pulse_us(board, 1) > 1540;
}

/* How many ms after `since_ns` it is so; fails after `limit_ms`. */
static int await(bool (*so)(void), uint64_t since_ns, int64_t limit_ms, const char *what)
{
    for (;;) {
        const bool good = so();
        const int64_t ms = (int64_t)((sl_clock_now_ns() - since_ns) / SL_NS_PER_MS);
        if (good) {
            printf("%s: %d ms\n", what, (int)ms);
            return (int)ms;
        }
        if (ms > limit_ms)
            fail_msg("%s: not within %d ms; servo %.0f us, ESC %.0f us", what, (int)limit_ms,
                     i2c_stub_pulse_us(board, 0), i2c_stub_pulse_us(board, 1));
        sl_clock_sleep_until_ns(sl_clock_now_ns() + SL_NS_PER_MS);
    }
}

static void start_vehicle(void)
{
    char device[96];
    snprintf(device, sizeof device, "actuator.device=%s", board);
    program_start(&run, NULL, "run", "--config", SETTINGS, "--camera", "v4l2:" VIDEO,
                  "-ocamera.rate_hz=10", "-ocamera.width_px=320", "-ocamera.height_px=240",
                  "-ocamera.fx_px=224", "-ocamera.fy_px=224", "-ocamera.cx_px=159.5",
                  "-ocamera.cy_px=119.5", "-oactuator.driver=pca9685", "-o", device,
                  "-oactuator.esc_arming_ms=100",
                  /* Lateness is the emulated machine's, and not what is tested. */
                  "-osafety.miss_limit=1000000", "-osafety.stale_ms=2000",
                  "-osafety.detector_stall_ms=3000", "-osafety.camera_stall_ms=1000", NULL);
}

static bool any(const struct sl_state *s)
{
    return s->published_ns != 0;
}

/* Drives off, and whenever it has stopped for a reason that needs somebody to arm it, does
 * so: an emulated machine that stands still for a moment ends a lease. */
static void must_drive(void)
{
    const uint64_t give_up_ns = sl_clock_now_ns() + PATIENCE * SL_NS_PER_MS;
    while (!throttle_is_on()) {
        if (sl_clock_now_ns() > give_up_ns)
            fail_msg("it does not drive: %s, %s", sl_mode_name(state.mode),
                     sl_reason_text(state.stop_reason));
        if (!await_state(states, 1000, any, &state))
            continue;
        if (state.mode == SL_MODE_SAFE_STOP && state.speed_mps < 0.05f)
            (void)sl_action_send(SL_BUS_ACTION, SL_BUS_STATE, SL_ACTION_ARM, 1000, &err);
    }
}

static enum sl_reason awaited;
static bool stopped_for_it(const struct sl_state *s)
{
    return s->mode == SL_MODE_SAFE_STOP && s->stop_reason == awaited;
}

static void must_stop_for(enum sl_reason reason)
{
    awaited = reason;
    if (!await_state(states, 5000, stopped_for_it, &state))
        fail_msg("it is %s for \"%s\" instead of \"%s\"", sl_mode_name(state.mode),
                 sl_reason_text(state.stop_reason), sl_reason_text(reason));
}

static void must_say(const char *text)
{
    const uint64_t begin_ns = sl_clock_now_ns();
    program_must_say(&run, text);
    assert_true(sl_clock_now_ns() - begin_ns < 5 * SL_NS_PER_S);
}

static pid_t child(const char *name)
{
    pid_t pid = 0;
    if (program_children(run.pid, name, &pid, 1) != 1)
        fail_msg("skylane-run has no child %s", name);
    return pid;
}

static pid_t await_child_after(const char *name, pid_t gone)
{
    const uint64_t give_up_ns = sl_clock_now_ns() + 10 * SL_NS_PER_S;
    pid_t pid = gone;
    while (program_children(run.pid, name, &pid, 1) != 1 || pid == gone) {
        if (sl_clock_now_ns() > give_up_ns)
            fail_msg("%s is not started anew", name);
        sl_clock_sleep_until_ns(sl_clock_now_ns() + 20 * SL_NS_PER_MS);
    }
    return pid;
}

/* Reads the camera's reports until `good` holds for one that was published from now on. */
static struct sl_camera_status await_camera(bool (*good)(const struct sl_camera_status *),
                                            const char *what)
{
    struct sl_camera_status status;
    const uint64_t since_ns = sl_clock_now_ns(), give_up_ns = since_ns + 10 * SL_NS_PER_S;
    while (sl_clock_now_ns() < give_up_ns) {
        (void)sl_bus_wait(cameras, sl_clock_now_ns() + SL_NS_PER_S);
        if (sl_bus_read_newest(cameras, &status, sizeof status, NULL) == 0 &&
            status.published_ns >= since_ns && (good == NULL || good(&status)))
            return status;
    }
    fail_msg("the camera does not report %s", what);
    return (struct sl_camera_status){0};
}

static struct sl_camera_status camera_status(void)
{
    return await_camera(NULL, "anything");
}

static bool in_trouble(const struct sl_camera_status *status)
{
    return status->trouble != SL_CAMERA_GOOD;
}

static bool recovered(const struct sl_camera_status *status)
{
    return status->trouble == SL_CAMERA_GOOD && status->recovery_last_ns != 0;
}

/* Stops since then were the emulated machine's, if there were any: lateness, which ends
 * leases. */
static void must_not_have_stopped_for_pictures(uint64_t stops_before)
{
    assert_true(await_state(states, 5000, any, &state));
    if (state.stop_count > stops_before && state.stop_reason != SL_REASON_DEADLINE &&
        state.stop_reason != SL_REASON_ACTUATOR)
        fail_msg("it stopped: %s", sl_reason_text(state.stop_reason));
}

static int begin(void **unused)
{
    (void)unused;
    programs_begin();
    states = reader_of(SL_BUS_STATE, SL_RECORD_STATE, sizeof state);
    cameras = reader_of(SL_BUS_CAMERA_STATUS, SL_RECORD_CAMERA, sizeof(struct sl_camera_status));
    memset(&state, 0, sizeof state);
    screen.picture = ROAD;
    screen.ends = false;
    return pthread_create(&screen.thread, NULL, screen_main, NULL);
}

static int end(void **unused)
{
    (void)unused;
    if (i2c_stub_get_fault("fail") >= 0)
        i2c_stub_set_fault("fail", 0);
    screen.ends = true;
    pthread_join(screen.thread, NULL);
    if (run.pid > 0)
        program_signal(&run, SIGCONT);
    program_stop(&run);
    sl_bus_reader_close(states);
    sl_bus_reader_close(cameras);
    programs_end();
    return 0;
}

/* ---- the camera ---- */

static void a_camera_that_stands_still_stops_it_and_its_return_drives_on(void **unused)
{
    (void)unused;
    start_vehicle();
    must_drive();
    screen.picture = NOTHING;
    const uint64_t since_ns = sl_clock_now_ns();
    must_stop_for(SL_REASON_CAMERA_STALL);
    await(at_rest, since_ns, 10000, "camera stands still: motor at rest");
    assert_int_equal(await_camera(in_trouble, "its trouble").trouble, SL_CAMERA_STALLED);
    must_say("no new frame");
    screen.picture = ROAD;
    must_drive();
    must_say("camera: good again after");
    (void)await_camera(recovered, "how long that took");
}

static void a_black_camera_stops_it(void **unused)
{
    (void)unused;
    start_vehicle();
    must_drive();
    screen.picture = BLACK;
    const uint64_t since_ns = sl_clock_now_ns();
    must_stop_for(SL_REASON_CAMERA_BLIND);
    await(at_rest, since_ns, 10000, "camera is black: motor at rest");
    must_say("black");
    screen.picture = ROAD;
    must_drive();
}

static void broken_frames_are_dropped_and_counted(void **unused)
{
    (void)unused;
    start_vehicle();
    must_drive();
    const uint64_t before = camera_status().dropped_corrupt, stops = state.stop_count;
    screen.picture = EVERY_OTHER_BROKEN;
    sl_clock_sleep_until_ns(sl_clock_now_ns() + 3 * SL_NS_PER_S);
    screen.picture = ROAD;
    must_not_have_stopped_for_pictures(stops);
    must_drive();
    assert_true(camera_status().dropped_corrupt >= before + 5);
    must_say("broken frames were dropped");
}

static void a_dead_camera_process_is_started_anew(void **unused)
{
    (void)unused;
    start_vehicle();
    must_drive();
    /* A quick machine replaces it before the vehicle has to stop; but the second time
     * only after 400 ms (rt/child.h). */
    const pid_t first = child("skylane-camera");
    kill(first, SIGKILL);
    const pid_t second = await_child_after("skylane-camera", first);
    must_drive();
    kill(second, SIGKILL);
    const uint64_t since_ns = sl_clock_now_ns();
    must_stop_for(SL_REASON_CAMERA_STALL);
    await(at_rest, since_ns, 10000, "camera process killed: motor at rest");
    must_drive();
    assert_true(child("skylane-camera") != second);
}

/* Holds a frame that is newer than `seq`, and returns its own. */
static uint64_t hold_newer(struct sl_bus_reader *reader, struct sl_bus_view *view, uint64_t seq)
{
    const uint64_t give_up_ns = sl_clock_now_ns() + 10 * SL_NS_PER_S;
    while (sl_clock_now_ns() < give_up_ns) {
        if (sl_bus_wait(reader, sl_clock_now_ns() + SL_NS_PER_S) != 0 ||
            sl_bus_acquire_newest(reader, view) != 0)
            continue;
        if (view->seq > seq)
            return view->seq;
        sl_bus_release(reader, view);
    }
    fail_msg("no newer frame");
    return 0;
}

/* Readers that hold every slot of the camera's bus, each another, and give none back. */
static void a_full_bus_does_not_stop_it(void **unused)
{
    (void)unused;
    enum { HOLDERS = 8 };
    struct sl_bus_reader *readers[HOLDERS];
    struct sl_bus_view views[HOLDERS];
    start_vehicle();
    must_drive();
    uint64_t seq = 0;
    for (int i = 0; i < HOLDERS; i++) {
        readers[i] = reader_of(SL_BUS_CAMERA, SL_RECORD_FRAME, 1);
        seq = hold_newer(readers[i], &views[i], seq);
    }
    const uint64_t frames = camera_status().frames, stops = state.stop_count;
    sl_clock_sleep_until_ns(sl_clock_now_ns() + 2 * SL_NS_PER_S);
    must_not_have_stopped_for_pictures(stops);
    must_drive();
    assert_true(camera_status().frames > frames + 5);
    int overrun = 0;
    for (int i = 0; i < HOLDERS; i++) {
        overrun += sl_bus_release(readers[i], &views[i]) == -EOVERFLOW;
        sl_bus_reader_close(readers[i]);
    }
    printf("%d of %d readers had to give their frame away\n", overrun, HOLDERS);
    assert_true(overrun > 0);
}

/* ---- the board ---- */

static void a_wire_that_fails_stops_it(void **unused)
{
    (void)unused;
    if (i2c_stub_get_fault("fail") < 0)
        skip();
    start_vehicle();
    must_drive();
    i2c_stub_set_fault("fail", -1);
    must_stop_for(SL_REASON_ACTUATOR);
    must_say("no chip answers at I2C address 0x40");
    const int failed = i2c_stub_get_fault("failed");
    sl_clock_sleep_until_ns(sl_clock_now_ns() + SL_NS_PER_S);
    assert_true(i2c_stub_get_fault("failed") > failed + 3); /* it is tried again and again */
    i2c_stub_set_fault("fail", 0);
    await(at_rest, sl_clock_now_ns(), SAFE_MS + SLACK_MS, "wire whole again: motor at rest");
    must_say("the outputs are neutral and take commands");
    must_drive();
}

static bool is_awake(void)
{
    return i2c_stub_get(board, 0x00) == 0x20;
}

static void a_board_that_lost_its_power_is_set_up_anew(void **unused)
{
    (void)unused;
    start_vehicle();
    must_drive();
    i2c_stub_set(board, 0x00, 0x11); /* MODE1 after power-up: data sheet, table 5 */
    must_say("lost its settings");
    await(is_awake, sl_clock_now_ns(), 5000, "board set up anew");
    must_drive();
}

static void a_dead_actuator_process_leaves_neutral_and_is_started_anew(void **unused)
{
    (void)unused;
    start_vehicle();
    must_drive();
    const pid_t pid = child("skylane-actuato");
    const uint64_t since_ns = sl_clock_now_ns();
    kill(pid, SIGKILL);
    await(at_rest, since_ns, SAFE_MS + SLACK_MS, "actuator process killed: motor at rest");
    must_say("nobody holds the outputs");
    must_drive();
    assert_true(child("skylane-actuato") != pid);
}

/* ---- the vehicle itself ---- */

static void a_killed_or_stopped_vehicle_leaves_neutral_outputs(void **unused)
{
    (void)unused;
    static const int SIGNALS[] = {SIGSTOP, SIGKILL, SIGABRT, SIGTERM};
    for (size_t i = 0; i < sizeof SIGNALS / sizeof SIGNALS[0]; i++) {
        char what[64];
        start_vehicle();
        must_drive();
        const pid_t family[] = {child("skylane-camera"), child("skylane-actuato")};
        const uint64_t since_ns = sl_clock_now_ns();
        program_signal(&run, SIGNALS[i]);
        snprintf(what, sizeof what, "%s: neutral", strsignal(SIGNALS[i]));
        if (SIGNALS[i] == SIGTERM) { /* it stops as a car does, and then ends */
            await(neutral, since_ns, 10000, what);
            assert_int_equal(program_wait(&run, 20), 0);
        } else {
            await(neutral, since_ns, SAFE_MS + SLACK_MS, what);
        }
        if (SIGNALS[i] == SIGSTOP) {
            program_signal(&run, SIGCONT);
            must_drive();
            assert_int_equal(program_stop(&run), 0);
        } else if (run.pid > 0) {
            assert_int_equal(program_wait(&run, 20), 128 + SIGNALS[i]);
        }
        for (size_t k = 0; k < 2; k++) { /* nobody is left behind */
            const uint64_t give_up_ns = sl_clock_now_ns() + 5 * SL_NS_PER_S;
            while (kill(family[k], 0) == 0 && sl_clock_now_ns() < give_up_ns)
                sl_clock_sleep_until_ns(sl_clock_now_ns() + 10 * SL_NS_PER_MS);
            assert_true(kill(family[k], 0) != 0);
        }
        assert_true(neutral());
    }
}

int main(void)
{
    if (!i2c_stub_find(board) || access(VIDEO, W_OK) != 0) {
        puts("skipped: no v4l2loopback at " VIDEO ", or no i2c-stub with a chip at 0x40");
        return SKIPPED;
    }
    /* What is measured is the vehicle, which is started as it is by a user, and not how
     * this program is served. */
    sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK,
                       &(struct sched_param){.sched_priority = 20});
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            a_camera_that_stands_still_stops_it_and_its_return_drives_on, begin, end),
        cmocka_unit_test_setup_teardown(a_black_camera_stops_it, begin, end),
        cmocka_unit_test_setup_teardown(broken_frames_are_dropped_and_counted, begin, end),
        cmocka_unit_test_setup_teardown(a_dead_camera_process_is_started_anew, begin, end),
        cmocka_unit_test_setup_teardown(a_full_bus_does_not_stop_it, begin, end),
        cmocka_unit_test_setup_teardown(a_wire_that_fails_stops_it, begin, end),
        cmocka_unit_test_setup_teardown(a_board_that_lost_its_power_is_set_up_anew, begin, end),
        cmocka_unit_test_setup_teardown(a_dead_actuator_process_leaves_neutral_and_is_started_anew,
                                        begin, end),
        cmocka_unit_test_setup_teardown(a_killed_or_stopped_vehicle_leaves_neutral_outputs, begin,
                                        end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
