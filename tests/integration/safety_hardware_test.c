/* A vehicle with safety hardware of this test's own: a watchdog that counts what it is
 * fed, GPIO lines, a battery's file, a service manager's socket, and a camera whose
 * loop can be made to hang. All else is real. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "app/drive/drive.h"
#include "app/drive/keeper.h"
#include "hal/camera/drivers.h"
#include "hal/gpio/gpio.h"
#include "hal/watchdog/watchdog.h"
#include "rt/bus.h"
#include "rt/clock.h"
#include "rt/thread.h"
#include "tests/contract/output_peers.h"
#include "tests/integration/programs.h"

/* ---- the watchdog ---- */

static struct {
    _Atomic int opened, fed, disarmed, left_armed;
} dog;

static int dog_open(void *state, const struct sl_watchdog_config *config,
                    struct sl_watchdog_info *info, struct sl_error *err)
{
    (void)state;
    (void)err;
    info->timeout_s = config->timeout_s;
    snprintf(info->identity, sizeof info->identity, "a dog");
    dog.opened++;
    return 0;
}

static int dog_feed(void *state)
{
    (void)state;
    dog.fed++;
    return 0;
}

static int dog_time_left(void *state, uint32_t *s)
{
    (void)state;
    (void)s;
    return -ENOTSUP;
}

static void dog_close(void *state, bool disarm)
{
    (void)state;
    if (disarm)
        dog.disarmed++;
    else
        dog.left_armed++;
}

static const struct sl_watchdog_driver dog_driver = {.name = "linux",
                                                     .help = "counts",
                                                     .state_bytes = 1,
                                                     .open = dog_open,
                                                     .feed = dog_feed,
                                                     .time_left = dog_time_left,
                                                     .close = dog_close};
const struct sl_watchdog_driver *const sl_watchdog_drivers[] = {&dog_driver, NULL};

/* ---- the camera: the build's pattern, which may hang or be away ---- */

static _Atomic bool camera_hangs, camera_is_away;

static int camera_fill(void *state, void *memory, size_t capacity, struct sl_frame_info *info,
                       uint64_t deadline_ns)
{
    while (camera_hangs) /* whatever the deadline says */
        sl_clock_sleep_until_ns(sl_clock_now_ns() + 5 * SL_NS_PER_MS);
    if (camera_is_away)
        return -EPIPE;
    return sl_camera_pattern.fill(state, memory, capacity, info, deadline_ns);
}

/* Filled before main(): the pattern's functions, but for one. */
static struct sl_camera_driver camera_driver;
const struct sl_camera_driver *const sl_camera_drivers[] = {&camera_driver, NULL};

/* ---- the lines ---- */

#define ESTOP_LINE 4
#define LIGHT_LINE 5

struct sl_gpio {
    bool output;
};

static struct {
    struct sl_gpio estop, light;
    _Atomic int level; /* of the stop; below 0: the chip is gone */
    int edges;         /* eventfd */
    _Atomic bool light_fails, lit;
    _Atomic int light_changes;
    _Atomic int taken; /* lines */
    struct sl_gpio_config estop_config;
} pins;

int sl_gpio_open(struct sl_gpio **gpio, const struct sl_gpio_config *config, struct sl_error *err)
{
    *gpio = NULL;
    if (config->output && pins.light_fails)
        return sl_error_set(err, -EBUSY, "gpio.led_line: in use");
    if (config->line == ESTOP_LINE)
        pins.estop_config = *config;
    *gpio = config->line == ESTOP_LINE ? &pins.estop : &pins.light;
    (*gpio)->output = config->output;
    pins.taken++;
    return 0;
}

int sl_gpio_read(struct sl_gpio *gpio)
{
    (void)gpio;
    return pins.level >= 0 ? pins.level : -ENODEV;
}

int sl_gpio_wait(struct sl_gpio *gpio, uint64_t until_ns)
{
    (void)gpio;
    const uint64_t now_ns = sl_clock_now_ns();
    const struct timespec rest = sl_clock_timespec(until_ns > now_ns ? until_ns - now_ns : 0);
    struct pollfd edges = {.fd = pins.edges, .events = POLLIN};
    uint64_t count;
    if (ppoll(&edges, 1, &rest, NULL) > 0)
        return read(pins.edges, &count, sizeof count) == sizeof count;
    return 0;
}

int sl_gpio_set(struct sl_gpio *gpio, bool active)
{
    (void)gpio;
    if (pins.lit != active)
        pins.light_changes++;
    pins.lit = active;
    return 0;
}

void sl_gpio_close(struct sl_gpio *gpio)
{
    if (gpio == NULL)
        return;
    if (gpio->output)
        sl_gpio_set(gpio, false);
    pins.taken--;
}

static void edge(void)
{
    const uint64_t one = 1;
    assert_int_equal(write(pins.edges, &one, sizeof one), sizeof one);
}

/* ---- the vehicle ---- */

#define STEP_NS (10 * SL_NS_PER_MS)

static struct {
    struct sl_settings settings;
    struct sl_drive *drive;
    struct sl_log *log;
    struct sl_bus_writer *lanes;
    struct sl_thread driver;
    bool main_drives; /* the test's main thread polls, not `driver` */
    uint64_t lane_id;
    _Atomic bool ends;
    _Atomic bool said_stall, said_back;
    int manager; /* the service manager's socket */
    char manager_path[96], voltage_path[96];
} rig;

static void listen_log(void *context, uint64_t time_ns, enum sl_log_level level, const char *text)
{
    (void)context;
    (void)time_ns;
    (void)level;
    if (strstr(text, "loop has not turned") != NULL)
        rig.said_stall = true;
    if (strstr(text, "turns again") != NULL)
        rig.said_back = true;
}

static void set(const char *assignment)
{
    struct sl_error err = {0};
    if (sl_settings_set(&rig.settings, assignment, &err) != 0)
        fail_msg("%s", err.text);
}

/* What the program's main thread and a detector elsewhere do, each 10 ms. */
static void drive_step(void)
{
    const uint64_t now_ns = sl_clock_now_ns();
    const struct sl_detection lane = {.frame_id = ++rig.lane_id,
                                      .exposed_ns = now_ns,
                                      .received_ns = now_ns,
                                      .started_ns = now_ns,
                                      .finished_ns = now_ns,
                                      .state = SL_LANE_TWO_LINES,
                                      .confidence = 0.9f,
                                      .lane_width_m = 3.5f,
                                      .left = {.seen = 1, .x_min_m = 1, .x_max_m = 30},
                                      .right = {.seen = 1, .x_min_m = 1, .x_max_m = 30}};
    if (rig.lanes != NULL)
        sl_bus_write(rig.lanes, &lane, sizeof lane, lane.exposed_ns);
    sl_drive_poll(rig.drive);
    sl_clock_sleep_until_ns(now_ns + STEP_NS);
}

static void *drive_main(void *unused)
{
    while (!rig.ends)
        drive_step();
    return unused;
}

static int begin(void **unused)
{
    (void)unused;
    struct sl_error err;
    programs_begin();
    memset(&dog, 0, sizeof dog);
    memset(&pins, 0, sizeof pins);
    memset(&rig, 0, sizeof rig);
    camera_driver = sl_camera_pattern;
    camera_driver.fill = camera_fill;
    camera_hangs = camera_is_away = false;
    pins.edges = eventfd(0, EFD_CLOEXEC);
    rig.manager = -1;
    snprintf(rig.voltage_path, sizeof rig.voltage_path, "%s/volts", getenv("SKYLANE_BUS_DIR"));
    sl_settings_defaults(&rig.settings);
    set("camera.driver=pattern");
    set("camera.source=");
    set("camera.rate_hz=50");
    set("camera.width_px=320");
    set("camera.height_px=240");
    set("camera.cx_px=159.5");
    set("camera.cy_px=119.5");
    set("detect.detector=bus");
    set("actuator.driver=null");
    set("safety.arm_at_start=yes");
    set("safety.miss_limit=1000000"); /* other tests may keep the machine busy */
    set("safety.stale_ms=2000");
    set("safety.detector_stall_ms=2000");
    set("watchdog.stall_ms=2000");
    if (sl_log_open(&rig.log, stderr, SL_LOG_WARNING, &err) != 0)
        return -1;
    sl_log_listen(rig.log, SL_LOG_DEBUG, listen_log, NULL);
    return 0;
}

static int try_open(struct sl_error *err)
{
    const struct sl_drive_options options = {.log = rig.log};
    const int rc = sl_settings_check(&rig.settings, err);
    return rc != 0 ? rc : sl_drive_open(&rig.drive, &rig.settings, &options, err);
}

static void start(bool with_lanes)
{
    struct sl_error err = {0};
    const struct sl_bus_writer_config bus = {.name = SL_BUS_DETECTION,
                                             .type = SL_RECORD_DETECTION,
                                             .slot_count = SL_BUS_RECORD_SLOTS,
                                             .slot_bytes = sizeof(struct sl_detection)};
    const struct sl_thread_config thread = {.name = "test-driver", .cpu = -1};
    if ((with_lanes && sl_bus_writer_open(&rig.lanes, &bus, &err) != 0) || try_open(&err) != 0 ||
        sl_drive_start(rig.drive, &err) != 0 ||
        (!rig.main_drives && sl_thread_start(&rig.driver, &thread, drive_main, NULL, &err) != 0))
        fail_msg("%s", err.text);
}

static void stop(void)
{
    rig.ends = true;
    if (!rig.main_drives)
        sl_thread_join(&rig.driver);
    sl_drive_close(rig.drive);
    rig.drive = NULL;
}

static int end(void **unused)
{
    (void)unused;
    camera_hangs = false;
    stop();
    sl_bus_writer_close(rig.lanes);
    sl_log_close(rig.log);
    if (rig.manager >= 0)
        close(rig.manager);
    close(pins.edges);
    peer_end();
    unlink(rig.voltage_path);
    unlink(rig.manager_path);
    programs_end();
    return 0;
}

static void rest_ms(uint64_t ms)
{
    const uint64_t until_ns = sl_clock_now_ns() + ms * SL_NS_PER_MS;
    while (rig.main_drives && sl_clock_now_ns() < until_ns)
        drive_step();
    sl_clock_sleep_until_ns(until_ns);
}

static struct sl_state now(void)
{
    struct sl_state state;
    sl_drive_state(rig.drive, &state);
    return state;
}

static bool await_mode(uint32_t mode, uint64_t ms)
{
    const uint64_t give_up_ns = sl_clock_now_ns() + ms * SL_NS_PER_MS;
    while (now().mode != mode) {
        if (sl_clock_now_ns() > give_up_ns)
            return false;
        if (rig.main_drives)
            drive_step();
        else
            sl_clock_sleep_until_ns(sl_clock_now_ns() + SL_NS_PER_MS / 4);
    }
    return true;
}

static bool await_fed(int times, uint64_t ms)
{
    const uint64_t give_up_ns = sl_clock_now_ns() + ms * SL_NS_PER_MS;
    while (dog.fed < times) {
        if (sl_clock_now_ns() > give_up_ns)
            return false;
        rest_ms(10);
    }
    return true;
}

static void ask(enum sl_action_kind kind, uint32_t expected)
{
    struct sl_error err = {0};
    struct sl_bus_writer *actions = NULL;
    const struct sl_bus_writer_config bus = {.name = SL_BUS_ACTION,
                                             .type = SL_RECORD_ACTION,
                                             .slot_count = SL_BUS_RECORD_SLOTS,
                                             .slot_bytes = sizeof(struct sl_action)};
    if (sl_bus_writer_open(&actions, &bus, &err) != 0)
        fail_msg("%s", err.text);
    rest_ms(200); /* the vehicle finds the bus */
    const struct sl_action action = {.id = sl_clock_now_ns(),
                                     .kind = kind,
                                     .issued_ns = sl_clock_now_ns(),
                                     .expires_ns = UINT64_MAX};
    sl_bus_write(actions, &action, sizeof action, action.issued_ns);
    for (int i = 0; i < 1000 && now().action_id != action.id; i++)
        rest_ms(5);
    assert_int_equal(now().action_id, action.id);
    assert_int_equal(now().action_reason, expected);
    sl_bus_writer_close(actions);
}

/* ---- feeding ---- */

static void arm_the_dog(void)
{
    set("watchdog.driver=linux");
    set("watchdog.simulated=yes");
    set("watchdog.timeout_s=2"); /* fed each half second */
    set("watchdog.camera_stall_ms=400");
}

static void a_stalled_loop_is_not_fed_for(void **unused)
{
    (void)unused;
    arm_the_dog();
    start(true);
    assert_true(await_fed(3, 10000));
    camera_hangs = true;
    rest_ms(1000);
    assert_true(rig.said_stall);
    int fed = dog.fed;
    rest_ms(1500);
    assert_int_equal(dog.fed, fed);
    /* It turned again before the timeout was over: nothing is lost. */
    assert_false(rig.said_back);
    camera_hangs = false;
    assert_true(await_fed(fed + 2, 10000));
    assert_true(rig.said_back);
    assert_int_equal(dog.opened, 1);
    assert_int_equal(dog.disarmed, 0);
    stop();
    assert_int_equal(dog.disarmed, 1);
    assert_int_equal(dog.left_armed, 0);
    fed = dog.fed;
    rest_ms(700);
    assert_int_equal(dog.fed, fed);
}

/* A camera that was unplugged leaves its loop turning. */
static void a_camera_that_is_away_stalls_nothing(void **unused)
{
    (void)unused;
    arm_the_dog();
    start(true);
    assert_true(await_fed(1, 10000));
    camera_is_away = true;
    const int fed = dog.fed;
    assert_true(await_fed(fed + 4, 10000));
    assert_false(rig.said_stall);
}

/* What a runaway thread of higher priority does to the detector. */
static void *spin(void *until)
{
    while (sl_clock_now_ns() < *(const uint64_t *)until) {
    }
    return until;
}

static void a_starved_loop_is_not_fed_for(void **unused)
{
    (void)unused;
    struct sl_error err = {0};
    struct sl_thread spinner;
    cpu_set_t cores;
    CPU_ZERO(&cores);
    sched_getaffinity(0, sizeof cores, &cores);
    if (!CPU_ISSET(0, &cores) || !CPU_ISSET(1, &cores) || sl_thread_may_fifo(90, &err) != 0)
        skip(); /* needs two cores and real-time priorities */
    arm_the_dog();
    set("detect.detector=builtin");
    set("realtime.control_cpu=0");
    set("realtime.camera_cpu=0");
    set("realtime.detect_cpu=1");
    set("safety.detector_stall_ms=200");
    set("watchdog.stall_ms=400");
    start(false);
    assert_true(await_fed(2, 10000));
    const struct sl_thread_config config = {.name = "test-spin", .priority = 90, .cpu = 1};
    uint64_t until_ns = sl_clock_now_ns() + 3 * SL_NS_PER_S;
    assert_int_equal(sl_thread_start(&spinner, &config, spin, &until_ns, &err), 0);
    rest_ms(1000);
    const bool said = rig.said_stall;
    const int fed = dog.fed;
    rest_ms(1500);
    const int fed_later = dog.fed;
    sl_thread_join(&spinner);
    assert_true(said);
    assert_int_equal(fed_later, fed);
    assert_true(await_fed(fed + 2, 10000));
}

static void the_dog_is_armed_last_and_not_for_simulations(void **unused)
{
    (void)unused;
    struct sl_error err = {0};
    set("watchdog.driver=linux");
    assert_int_equal(try_open(&err), -EINVAL);
    assert_non_null(strstr(err.text, "watchdog.simulated"));
    set("watchdog.simulated=yes");
    set("gpio.led_line=5");
    pins.light_fails = true;
    assert_int_equal(try_open(&err), -EBUSY);
    assert_int_equal(dog.opened, 0);
    assert_int_equal(pins.taken, 0);
    /* Opened and never started: disarmed again. */
    pins.light_fails = false;
    assert_int_equal(try_open(&err), 0);
    assert_int_equal(dog.opened, 1);
    sl_drive_close(rig.drive);
    rig.drive = NULL;
    assert_int_equal(dog.disarmed, 1);
    /* Not in virtual time at all. */
    const struct sl_drive_options options = {.lockstep = true};
    assert_int_equal(sl_drive_open(&rig.drive, &rig.settings, &options, &err), -EINVAL);
    assert_non_null(strstr(err.text, "lockstep"));
    assert_int_equal(dog.opened, 1);
}

/* ---- the service manager ---- */

static void listen_as_manager(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(rig.manager_path, sizeof rig.manager_path, "%s/notify", getenv("SKYLANE_BUS_DIR"));
    snprintf(address.sun_path, sizeof address.sun_path, "%s", rig.manager_path);
    rig.manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(rig.manager, (struct sockaddr *)&address, sizeof address), 0);
    setenv("NOTIFY_SOCKET", rig.manager_path, 1);
    setenv("WATCHDOG_USEC", "400000", 1);
}

/* How many of the messages that have come since the last call begin so. */
static int heard(const char *text)
{
    char message[600];
    int count = 0;
    ssize_t got;
    while ((got = recv(rig.manager, message, sizeof message - 1, 0)) >= 0) {
        message[got] = '\0';
        count += strncmp(message, text, strlen(text)) == 0;
    }
    return count;
}

static void the_manager_is_told(void **unused)
{
    (void)unused;
    listen_as_manager();
    set("watchdog.camera_stall_ms=400");
    start(true);
    assert_null(getenv("NOTIFY_SOCKET"));
    assert_true(await_mode(SL_MODE_DRIVING, 10000));
    rest_ms(300);
    char message[600];
    bool ready = false, driving = false;
    int alive = 0;
    ssize_t got;
    while ((got = recv(rig.manager, message, sizeof message - 1, 0)) >= 0) {
        message[got] = '\0';
        ready |= strcmp(message, "READY=1") == 0;
        alive += strcmp(message, "WATCHDOG=1") == 0;
        driving |= strcmp(message, "STATUS=driving") == 0;
    }
    assert_true(ready && driving && alive > 0);
    rest_ms(1000);
    assert_true(heard("WATCHDOG=1") >= 5);
    camera_hangs = true;
    rest_ms(1000);
    (void)heard("");
    rest_ms(600);
    assert_int_equal(heard("WATCHDOG=1"), 0);
    camera_hangs = false;
    rest_ms(600);
    assert_true(heard("WATCHDOG=1") > 0);
    ask(SL_ACTION_STOP, SL_REASON_NONE);
    assert_true(await_mode(SL_MODE_SAFE_STOP, 5000));
    rest_ms(200);
    assert_int_equal(heard("STATUS=safe_stop: a stop was requested"), 1);
    stop();
    assert_int_equal(heard("STOPPING=1"), 1);
}

/* ---- the emergency stop ---- */

static void the_stop_stops(void **unused)
{
    (void)unused;
    set("gpio.estop_line=4");
    set("gpio.estop_debounce_us=5000");
    start(true);
    assert_false(pins.estop_config.output || pins.estop_config.active_low);
    assert_int_equal(pins.estop_config.bias, SL_GPIO_BIAS_UP);
    assert_true(await_mode(SL_MODE_DRIVING, 10000));
    assert_int_equal(now().conditions, 0);
    /* A spike that does not hold is none. */
    pins.level = 1;
    edge();
    rest_ms(1);
    pins.level = 0;
    edge();
    rest_ms(100);
    assert_int_equal(now().mode, SL_MODE_DRIVING);

    const uint64_t pressed_ns = sl_clock_now_ns();
    pins.level = 1;
    edge();
    assert_true(await_mode(SL_MODE_SAFE_STOP, 5000));
    const uint64_t took_ns = sl_clock_now_ns() - pressed_ns;
    print_message("stopped %.1f ms after it was pressed\n", (double)took_ns / 1e6);
    if ((now().realtime & SL_REALTIME_FIFO) != 0)
        assert_true(took_ns < 20 * SL_NS_PER_MS);
    assert_int_equal(now().stop_reason, SL_REASON_ESTOP);
    assert_int_equal(now().conditions, SL_CONDITION_ESTOP);
    ask(SL_ACTION_ARM, SL_REASON_ESTOP);

    /* Released, it waits for a person. */
    pins.level = 0;
    edge();
    rest_ms(1000);
    assert_int_equal(now().mode, SL_MODE_SAFE_STOP);
    assert_int_equal(now().conditions, 0);
    ask(SL_ACTION_ARM, SL_REASON_NONE);
    assert_true(await_mode(SL_MODE_DRIVING, 10000));

    /* An edge that nobody told of. */
    pins.level = 1;
    assert_true(await_mode(SL_MODE_SAFE_STOP, 1000));
}

static void a_short_press_is_enough(void **unused)
{
    (void)unused;
    set("gpio.estop_line=4");
    set("gpio.estop_debounce_us=0");
    set("control.rate_hz=10");
    set("safety.command_lease_ms=300");
    start(true);
    assert_true(await_mode(SL_MODE_DRIVING, 10000));
    pins.level = 1;
    edge();
    rest_ms(3); /* shorter than the control loop's period */
    pins.level = 0;
    edge();
    assert_true(await_mode(SL_MODE_SAFE_STOP, 5000));
    assert_int_equal(now().stop_reason, SL_REASON_ESTOP);
}

static void a_stop_that_is_gone_is_pressed(void **unused)
{
    (void)unused;
    set("gpio.estop_line=4");
    start(true);
    assert_true(await_mode(SL_MODE_DRIVING, 10000));
    pins.level = -1;
    assert_true(await_mode(SL_MODE_SAFE_STOP, 5000));
    assert_int_equal(now().stop_reason, SL_REASON_ESTOP);
    ask(SL_ACTION_ARM, SL_REASON_ESTOP);
}

static void pressed_at_the_start_it_does_not_drive(void **unused)
{
    (void)unused;
    set("gpio.estop_line=4");
    pins.level = 1;
    start(true);
    assert_true(await_mode(SL_MODE_SAFE_STOP, 5000));
    assert_int_equal(now().stop_reason, SL_REASON_ESTOP);
    pins.level = 0;
    rest_ms(500);
    assert_int_equal(now().mode, SL_MODE_SAFE_STOP);
}

/* ---- the light ---- */

static void the_light_tells_the_mode(void **unused)
{
    (void)unused;
    const struct {
        uint32_t mode;
        int changes; /* in two seconds */
    } cases[] = {{SL_MODE_DRIVING, 0}, {SL_MODE_DISARMED, 4},   {SL_MODE_ARMED, 4},
                 {SL_MODE_PAUSED, 4},  {SL_MODE_SAFE_STOP, 20}, {SL_MODE_COUNT, 20}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int changes = 0;
        for (uint64_t ms = 0; ms < 2000; ms++)
            changes += sl_keeper_light(cases[i].mode, ms * SL_NS_PER_MS) !=
                       sl_keeper_light(cases[i].mode, (ms + 1) * SL_NS_PER_MS);
        assert_int_equal(changes, cases[i].changes);
    }
    assert_true(sl_keeper_light(SL_MODE_DRIVING, 0));

    set("gpio.led_line=5");
    start(true);
    assert_true(await_mode(SL_MODE_DRIVING, 10000));
    rest_ms(200);
    const int changes = pins.light_changes;
    rest_ms(600);
    assert_true(pins.lit);
    assert_int_equal(pins.light_changes, changes);
    ask(SL_ACTION_STOP, SL_REASON_NONE);
    rest_ms(1000);
    assert_true(pins.light_changes - changes >= 4);
    stop();
    assert_false(pins.lit);
    assert_int_equal(pins.taken, 0);
}

/* ---- the battery ---- */

static void write_voltage(const char *microvolts)
{
    char next[128];
    snprintf(next, sizeof next, "%s.next", rig.voltage_path);
    FILE *file = fopen(next, "w");
    assert_non_null(file);
    fputs(microvolts, file);
    fclose(file);
    assert_int_equal(rename(next, rig.voltage_path), 0);
}

static void a_low_battery_slows_and_an_empty_one_stops(void **unused)
{
    (void)unused;
    char path[128];
    snprintf(path, sizeof path, "power.voltage_path=%s", rig.voltage_path);
    write_voltage("7400000\n");
    set(path);
    set("power.warn_v=7");
    set("power.stop_v=6");
    set("power.stop_after_s=1");
    set("control.speed_mps=4");
    start(true);
    assert_true(await_mode(SL_MODE_DRIVING, 10000));
    rest_ms(4000);
    assert_int_equal(now().battery_mv, 7400);
    assert_int_equal(now().conditions, 0);
    assert_true(now().speed_command_mps > 3.9f);
    write_voltage("6500000\n");
    rest_ms(4000);
    assert_int_equal(now().battery_mv, 6500);
    assert_int_equal(now().conditions, SL_CONDITION_BATTERY_LOW);
    assert_int_equal(now().mode, SL_MODE_DRIVING);
    assert_true(now().speed_command_mps > 1.9f && now().speed_command_mps < 2.1f);
    /* Who does not know drives no faster. */
    unlink(rig.voltage_path);
    rest_ms(1500);
    assert_int_equal(now().battery_mv, 0);
    assert_int_equal(now().conditions, SL_CONDITION_BATTERY_LOW);
    assert_int_equal(now().mode, SL_MODE_DRIVING);
    write_voltage("5900000\n");
    assert_true(await_mode(SL_MODE_SAFE_STOP, 5000));
    assert_int_equal(now().stop_reason, SL_REASON_BATTERY);
    assert_int_equal(now().conditions, SL_CONDITION_BATTERY_LOW | SL_CONDITION_BATTERY_EMPTY);
    rest_ms(1000);
    ask(SL_ACTION_ARM, SL_REASON_BATTERY);
}

/* ---- what the outputs tell ---- */

static void set_text(const char *key, const char *value)
{
    char setting[160];
    snprintf(setting, sizeof setting, "%s=%s", key, value);
    set(setting);
}

static bool await_outputs(struct sl_bus_reader *reader, uint32_t state, uint64_t ms,
                          struct sl_output_status *outputs)
{
    const uint64_t give_up_ns = sl_clock_now_ns() + ms * SL_NS_PER_MS;
    do
        rest_ms(10);
    while ((sl_bus_read_newest(reader, outputs, sizeof *outputs, NULL) != 0 ||
            outputs->state != state) &&
           sl_clock_now_ns() < give_up_ns);
    return outputs->state == state;
}

/* A VESC measures what other cars have no sensor for. The peer's is always at 11.1 V, and
 * at 1 m/s. */
static void what_a_vesc_measures_is_driven_by_and_told(void **unused)
{
    (void)unused;
    char device[64];
    struct sl_output_status outputs = {0};
    rig.main_drives = true; /* who opens outputs tends them */
    peer_begin(true, device);
    set("actuator.driver=vesc");
    set_text("actuator.device", device);
    set("actuator.esc_arming_ms=0");
    set("power.voltage_path=outputs");
    set("power.warn_v=12");
    set("control.speed_mps=4");
    start(true);
    struct sl_bus_reader *reader =
        reader_of(SL_BUS_OUTPUT_STATUS, SL_RECORD_OUTPUT, sizeof outputs);
    assert_true(await_mode(SL_MODE_DRIVING, 10000));
    rest_ms(3000);
    assert_int_equal(now().battery_mv, 11100);
    assert_int_equal(now().conditions, SL_CONDITION_BATTERY_LOW);
    assert_true(fabsf(now().speed_command_mps - 2) < 0.1f);
    assert_true(fabsf(now().speed_mps - 1) < 0.01f);
    assert_true(await_outputs(reader, SL_OUTPUTS_READY, 2000, &outputs));
    assert_true(outputs.writes > 10);
    assert_int_equal(outputs.errors, 0);
    assert_int_equal(outputs.battery_mv, 11100);
    assert_true(fabsf(outputs.speed_mps - 1) < 0.01f);

    peer_unplug();
    assert_true(await_mode(SL_MODE_SAFE_STOP, 5000));
    assert_int_equal(now().stop_reason, SL_REASON_ACTUATOR);
    assert_true(await_outputs(reader, SL_OUTPUTS_FAILED, 5000, &outputs));
    assert_true(outputs.errors > 0);
    assert_non_null(strstr(outputs.problem, device));
    assert_int_equal(outputs.battery_mv, 0);
    assert_true(isnan(outputs.speed_mps));
    rest_ms(2000);
    assert_int_equal(now().battery_mv, 0);
    sl_bus_reader_close(reader);
}

static void a_voltage_that_nothing_measures_is_refused(void **unused)
{
    (void)unused;
    struct sl_error err = {0};
    set("power.voltage_path=outputs");
    set("power.warn_v=7");
    assert_int_equal(try_open(&err), -EINVAL);
    assert_non_null(strstr(err.text, "actuator.driver = null measures no voltage"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_stalled_loop_is_not_fed_for, begin, end),
        cmocka_unit_test_setup_teardown(a_camera_that_is_away_stalls_nothing, begin, end),
        cmocka_unit_test_setup_teardown(a_starved_loop_is_not_fed_for, begin, end),
        cmocka_unit_test_setup_teardown(the_dog_is_armed_last_and_not_for_simulations, begin, end),
        cmocka_unit_test_setup_teardown(the_manager_is_told, begin, end),
        cmocka_unit_test_setup_teardown(the_stop_stops, begin, end),
        cmocka_unit_test_setup_teardown(a_short_press_is_enough, begin, end),
        cmocka_unit_test_setup_teardown(a_stop_that_is_gone_is_pressed, begin, end),
        cmocka_unit_test_setup_teardown(pressed_at_the_start_it_does_not_drive, begin, end),
        cmocka_unit_test_setup_teardown(the_light_tells_the_mode, begin, end),
        cmocka_unit_test_setup_teardown(a_low_battery_slows_and_an_empty_one_stops, begin, end),
        cmocka_unit_test_setup_teardown(what_a_vesc_measures_is_driven_by_and_told, begin, end),
        cmocka_unit_test_setup_teardown(a_voltage_that_nothing_measures_is_refused, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
