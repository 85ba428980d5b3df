/* Everything that can go wrong around the driving vehicle, with the real
 * programs: it ends in a clear sentence and in safe outputs. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "rt/action.h"
#include "rt/clock.h"
#include "tests/integration/programs.h"

#define SETTINGS SL_SOURCE_DIR "/board/sim/skylane.ini"
/* The machine that runs the tests may be busy: what is tested is the reaction,
 * not the machine, so a late tick alone must not stop the vehicle. */
#define PATIENT "safety.miss_limit=1000000"

static struct program sim, run;
static struct sl_bus_reader *states, *commands;
static struct sl_state state;

static void start_sim(void)
{
    program_start(&sim, NULL, "sim", "--headless", "--track", "oval", "--rate", "30", NULL);
}

static void start_run(void)
{
    program_start(&run, NULL, "run", "--quiet", "--config", SETTINGS, "-o", PATIENT, NULL);
}

static bool driving(const struct sl_state *s)
{
    return s->mode == SL_MODE_DRIVING && s->speed_mps > 2.0f;
}
static bool stopped(const struct sl_state *s)
{
    return s->mode == SL_MODE_SAFE_STOP;
}
static bool standing(const struct sl_state *s)
{
    return s->mode == SL_MODE_SAFE_STOP && s->speed_mps < 0.05f && s->speed_command_mps == 0.0f;
}
static bool paused(const struct sl_state *s)
{
    return s->mode == SL_MODE_PAUSED;
}

static int begin(void **unused)
{
    (void)unused;
    programs_begin();
    memset(&state, 0, sizeof state);
    states = reader_of(SL_BUS_STATE, SL_RECORD_STATE, sizeof state);
    commands = reader_of(SL_BUS_COMMAND, SL_RECORD_COMMAND, sizeof(struct sl_command));
    return 0;
}

static int end(void **unused)
{
    (void)unused;
    program_stop(&run);
    program_stop(&sim);
    sl_bus_reader_close(states);
    sl_bus_reader_close(commands);
    programs_end();
    return 0;
}

static void must_drive(void)
{
    if (!await_state(states, 30000, driving, &state))
        fail_msg("it does not drive: %s, %s", sl_mode_name(state.mode),
                 sl_reason_text(state.stop_reason));
}

static void dead_camera_stops_and_its_return_drives_on(void **unused)
{
    (void)unused;
    start_sim();
    start_run();
    must_drive();
    program_signal(&sim, SIGKILL);
    assert_int_equal(program_wait(&sim, 5), 128 + SIGKILL);
    assert_true(await_state(states, 2000, stopped, &state));
    assert_int_equal(state.stop_reason, SL_REASON_CAMERA_STALL);
    assert_true(await_state(states, 10000, standing, &state));
    program_must_say(&run, "no new frame");
    start_sim(); /* board/sim/skylane.ini allows it to recover by itself */
    must_drive();
}

static void frozen_camera_stops(void **unused)
{
    (void)unused;
    start_sim();
    start_run();
    must_drive();
    program_signal(&sim, SIGSTOP);
    assert_true(await_state(states, 2000, stopped, &state));
    assert_int_equal(state.stop_reason, SL_REASON_CAMERA_STALL);
    program_signal(&sim, SIGCONT);
    must_drive();
}

static void hanging_detector_stops(void **unused)
{
    (void)unused;
    struct sl_error err;
    struct sl_bus_writer *detections = NULL;
    const struct sl_bus_writer_config bus = {.name = SL_BUS_DETECTION,
                                             .type = SL_RECORD_DETECTION,
                                             .slot_count = SL_BUS_RECORD_SLOTS,
                                             .slot_bytes = sizeof(struct sl_detection)};
    assert_int_equal(sl_bus_writer_open(&detections, &bus, &err), 0);
    program_start(&run, NULL, "run", "--quiet", "--config", SETTINGS, "--detector", "bus", "-o",
                  PATIENT, "-o", "safety.recover_source=false", NULL);
    struct sl_detection lane = {
        .state = SL_LANE_TWO_LINES, .confidence = 0.9f, .lane_width_m = 3.5f};
    const uint64_t give_up = sl_clock_now_ns() + 20 * SL_NS_PER_S;
    do { /* this test is the detector: a straight lane at 50 Hz */
        lane.frame_id++;
        lane.exposed_ns = lane.received_ns = lane.started_ns = lane.finished_ns = sl_clock_now_ns();
        sl_bus_write(detections, &lane, sizeof lane, lane.exposed_ns);
        sl_clock_sleep_until_ns(lane.exposed_ns + 20 * SL_NS_PER_MS);
        sl_bus_read_newest(states, &state, sizeof state, NULL);
    } while (!driving(&state) && sl_clock_now_ns() < give_up);
    assert_true(driving(&state));
    /* ... which now hangs. */
    assert_true(await_state(states, 2000, stopped, &state));
    assert_int_equal(state.stop_reason, SL_REASON_DETECTOR_STALL);
    assert_true(await_state(states, 10000, standing, &state));

    /* Numbers that are none do not reach the actuator either. */
    lane.lateral_offset_m = NAN;
    lane.curvature_1pm = INFINITY;
    for (int i = 0; i < 50; i++) {
        struct sl_command command;
        lane.frame_id++;
        lane.exposed_ns = lane.received_ns = lane.started_ns = lane.finished_ns = sl_clock_now_ns();
        sl_bus_write(detections, &lane, sizeof lane, lane.exposed_ns);
        sl_clock_sleep_until_ns(lane.exposed_ns + 10 * SL_NS_PER_MS);
        if (sl_bus_read_newest(commands, &command, sizeof command, NULL) == 0) {
            assert_true(isfinite(command.steering_rad));
            assert_true(command.speed_mps == 0.0f);
        }
    }
    program_stop(&run);
    sl_bus_writer_close(detections);
}

static void killed_vehicle_program_leaves_a_braking_vehicle(void **unused)
{
    (void)unused;
    struct sl_truth truth = {0};
    struct sl_bus_reader *truths = reader_of(SL_BUS_TRUTH, SL_RECORD_TRUTH, sizeof truth);
    start_sim();
    start_run();
    must_drive();
    program_signal(&run, SIGKILL);
    program_wait(&run, 5);
    const uint64_t give_up = sl_clock_now_ns() + 15 * SL_NS_PER_S;
    do {
        sl_bus_wait(truths, sl_clock_now_ns() + 100 * SL_NS_PER_MS);
        sl_bus_read_newest(truths, &truth, sizeof truth, NULL);
    } while (truth.speed_mps > 0.05f && sl_clock_now_ns() < give_up);
    assert_true(truth.speed_mps <= 0.05f);
    sl_bus_reader_close(truths);
    start_run(); /* a new one takes over, with nothing to clean up */
    must_drive();
}

static void clean_end_leaves_neutral_outputs(void **unused)
{
    (void)unused;
    start_sim();
    start_run();
    must_drive();
    struct sl_command command = {0};
    program_signal(&run, SIGTERM);
    const uint64_t give_up = sl_clock_now_ns() + 10 * SL_NS_PER_S;
    int rc;
    do { /* in order, so that the very last one is seen */
        rc = sl_bus_read_next(commands, &command, sizeof command, NULL);
        if (rc == -EAGAIN)
            sl_clock_sleep_until_ns(sl_clock_now_ns() + SL_NS_PER_MS / 2);
    } while (rc != -EPIPE && sl_clock_now_ns() < give_up);
    assert_true(command.seq > 0);
    assert_true(command.speed_mps == 0.0f && command.steering_rad == 0.0f);
    assert_int_equal(program_wait(&run, 5), 0);
}

static bool slow(const struct sl_state *s)
{
    return s->mode == SL_MODE_DRIVING && s->speed_mps > 0.5f && s->speed_mps < 1.1f;
}

static bool quick(const struct sl_state *s)
{
    return s->mode == SL_MODE_DRIVING && s->speed_mps > 3;
}

/* The last centimetres a second fade slowly: asks until it is accepted. */
static void arm_when_it_stands(void)
{
    struct sl_error err;
    const uint64_t give_up = sl_clock_now_ns() + 10 * SL_NS_PER_S;
    while (sl_action_send(SL_BUS_ACTION, SL_BUS_STATE, SL_ACTION_ARM, 5000, &err) != 0) {
        if (strstr(err.text, "still moves") == NULL || sl_clock_now_ns() > give_up)
            fail_msg("%s", err.text);
    }
}

static void requests_are_answered(void **unused)
{
    (void)unused;
    struct sl_error err;
    start_sim();
    start_run();
    must_drive();
    assert_int_equal(sl_action_send(SL_BUS_ACTION, SL_BUS_STATE, SL_ACTION_PAUSE, 2000, &err), 0);
    assert_true(await_state(states, 2000, paused, &state));
    assert_int_equal(sl_action_send(SL_BUS_ACTION, SL_BUS_STATE, SL_ACTION_PAUSE, 2000, &err),
                     -EPERM);
    assert_non_null(strstr(err.text, "pause was refused: the vehicle is paused"));
    assert_int_equal(sl_action_send(SL_BUS_ACTION, SL_BUS_STATE, SL_ACTION_RESUME, 2000, &err), 0);
    must_drive();
    assert_int_equal(sl_action_send(SL_BUS_ACTION, SL_BUS_STATE, SL_ACTION_STOP, 2000, &err), 0);
    assert_true(await_state(states, 10000, standing, &state));
    assert_int_equal(state.stop_reason, SL_REASON_REQUESTED);
    arm_when_it_stands();
    must_drive();
    assert_int_equal(sl_action_set(SL_BUS_ACTION, SL_BUS_STATE, "control.speed_mps=1", 2000, &err),
                     0);
    assert_true(await_state(states, 10000, slow, &state));
    assert_int_equal(sl_action_set(SL_BUS_ACTION, SL_BUS_STATE, "control.speed_mps=-1", 2000, &err),
                     -EPERM);
    assert_int_equal(sl_action_set(SL_BUS_ACTION, SL_BUS_STATE, "control.law=pid", 2000, &err),
                     -EPERM);
    struct program action;
    program_start(&action, NULL, "action", "set", "control.speed_mps=8", NULL);
    assert_int_equal(program_wait(&action, 10), 0);
    assert_true(await_state(states, 10000, quick, &state));
    program_start(&action, NULL, "action", "set", "vehicle.wheelbase_m=3", NULL);
    assert_int_equal(program_wait(&action, 10), 1);
    assert_true(program_said(&action, "cannot be changed while running"));
    program_start(&action, NULL, "action", "disarm", NULL);
    assert_int_equal(program_wait(&action, 10), 0);
    program_start(&action, NULL, "action", "resume", NULL);
    assert_int_equal(program_wait(&action, 10), 1);
    assert_true(program_said(&action, "resume was refused: the vehicle is disarmed; arm it first"));
    arm_when_it_stands();
    must_drive();
    assert_int_equal(sl_action_send(SL_BUS_ACTION, SL_BUS_STATE, SL_ACTION_RESPAWN, 2000, &err), 0);
    must_drive();
    program_stop(&run);
    program_start(&action, NULL, "action", "--timeout", "200", "stop", NULL);
    assert_int_equal(program_wait(&action, 10), 1);
    assert_true(program_said(&action, "is \"skylane run\" running?"));
}

static void hanging_sender_keeps_nobody_from_stopping(void **unused)
{
    (void)unused;
    struct sl_error err;
    struct sl_bus_writer *hanging = NULL;
    const struct sl_bus_writer_config bus = {.name = SL_BUS_ACTION,
                                             .type = SL_RECORD_ACTION,
                                             .slot_count = SL_BUS_RECORD_SLOTS,
                                             .slot_bytes = sizeof(struct sl_action)};
    start_sim();
    start_run();
    must_drive();
    assert_int_equal(sl_bus_writer_open(&hanging, &bus, &err), 0);
    assert_int_equal(sl_action_send(SL_BUS_ACTION, SL_BUS_STATE, SL_ACTION_PAUSE, 300, &err),
                     -EBUSY);
    assert_int_equal(sl_action_send(SL_BUS_ACTION, SL_BUS_STATE, SL_ACTION_STOP, 1000, &err), 0);
    assert_true(await_state(states, 10000, standing, &state));
    sl_bus_writer_close(hanging);
}

/* Held up for longer than its lease: it does not jump back to its old speed. */
static void held_up_vehicle_program_stops(void **unused)
{
    (void)unused;
    start_sim();
    start_run();
    must_drive();
    program_signal(&run, SIGSTOP);
    sl_clock_sleep_until_ns(sl_clock_now_ns() + 500 * SL_NS_PER_MS);
    program_signal(&run, SIGCONT);
    assert_true(await_state(states, 1000, stopped, &state));
}

/* Readers that stop reading, and a log that nobody drains, cost nothing. */
static int log_pipe[2];
static void log_into_a_full_pipe(void)
{
    dup2(log_pipe[1], STDERR_FILENO);
    close(log_pipe[0]); /* the parent holds the other end and never reads */
}

static void stalled_readers_and_log_cost_no_deadline(void **unused)
{
    (void)unused;
    char fill[4096];
    assert_int_equal(pipe(log_pipe), 0);
    fcntl(log_pipe[1], F_SETFL, O_NONBLOCK);
    memset(fill, 'x', sizeof fill);
    while (write(log_pipe[1], fill, sizeof fill) > 0)
        ;
    fcntl(log_pipe[1], F_SETFL, 0);
    start_sim();
    program_start(&run, log_into_a_full_pipe, "run", "--quiet", "--config", SETTINGS, "-o", PATIENT,
                  "-o", "control.rate_hz=20", "-o", "control.deadline_us=50000", NULL);
    must_drive();
    struct sl_bus_reader *frames = reader_of(SL_BUS_CAMERA, SL_RECORD_FRAME, 1);
    struct sl_bus_reader *lanes =
        reader_of(SL_BUS_DETECTION, SL_RECORD_DETECTION, sizeof(struct sl_detection));
    struct sl_bus_view frame, lane;
    assert_int_equal(sl_bus_wait(frames, sl_clock_now_ns() + 5 * SL_NS_PER_S), 0);
    assert_int_equal(sl_bus_acquire_newest(frames, &frame), 0); /* held, never given back */
    assert_int_equal(sl_bus_wait(lanes, sl_clock_now_ns() + 5 * SL_NS_PER_S), 0);
    assert_int_equal(sl_bus_acquire_newest(lanes, &lane), 0);
    /* Provoke messages: every stop and start is one. */
    struct sl_error err;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(sl_action_send(SL_BUS_ACTION, SL_BUS_STATE, SL_ACTION_STOP, 5000, &err),
                         0);
        assert_true(await_state(states, 10000, standing, &state));
        arm_when_it_stands();
        must_drive();
    }
    assert_int_equal(state.deadline_misses, 0);
    assert_int_equal(state.page_faults, 0);
    assert_int_equal(state.allocations, 0);
    sl_bus_reader_close(frames);
    sl_bus_reader_close(lanes);
    /* Let the log end, so that the program can. */
    close(log_pipe[1]);
    fcntl(log_pipe[0], F_SETFL, O_NONBLOCK);
    program_signal(&run, SIGTERM);
    for (int i = 0; i < 200; i++) {
        if (read(log_pipe[0], fill, sizeof fill) <= 0)
            sl_clock_sleep_until_ns(sl_clock_now_ns() + 10 * SL_NS_PER_MS);
    }
    program_wait(&run, 10);
    close(log_pipe[0]);
}

/* An ordinary user without rights. */
static void become_nobody(void)
{
    const struct rlimit no_fifo = {0, 0}, little = {65536, 65536};
    setrlimit(RLIMIT_RTPRIO, &no_fifo);
    setrlimit(RLIMIT_MEMLOCK, &little);
    if (setgroups(0, NULL) != 0 || setgid(65534) != 0 || setuid(65534) != 0)
        _exit(126);
}

static void runs_without_privileges_and_says_what_it_lacks(void **unused)
{
    (void)unused;
    if (getuid() != 0)
        skip(); /* an ordinary user's own run shows it as well */
    assert_int_equal(chmod(getenv("SKYLANE_BUS_DIR"), 0777), 0);
    program_start(&sim, become_nobody, "sim", "--headless", "--track", "oval", "--rate", "30",
                  NULL);
    program_start(&run, become_nobody, "run", "--quiet", "--config", SETTINGS, "-o", PATIENT, NULL);
    /* The buses belong to that user now: only root may look in, as here. */
    must_drive();
    assert_int_equal(state.realtime & (SL_REALTIME_FIFO | SL_REALTIME_MLOCK), 0);
    assert_true(program_said(&run, "SCHED_FIFO is not permitted"));
    assert_true(program_said(&run, "memory is not locked"));
    assert_true(program_said(&run, "tools/setup --realtime"));
}

static void runs_without_huge_pages_and_says_so(void **unused)
{
    (void)unused;
    /* Takes every huge page that is free. */
    void *taken[1024];
    int count = 0;
    while (count < 1024) {
        taken[count] = mmap(NULL, 2 << 20, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_POPULATE, -1, 0);
        if (taken[count] == MAP_FAILED)
            break;
        count++;
    }
    start_sim();
    start_run();
    must_drive();
    assert_int_equal(state.realtime & SL_REALTIME_HUGEPAGES, 0);
    assert_true(program_said(&run, "no huge pages are free"));
    while (count > 0)
        munmap(taken[--count], 2 << 20);
}

/* As a folder of root's or of another user's is. */
static void forbidden_bus_folder_is_told(void **unused)
{
    (void)unused;
    void (*const before)(void) = getuid() == 0 ? become_nobody : NULL;
    assert_int_equal(chmod(getenv("SKYLANE_BUS_DIR"), 0555), 0);
    program_start(&sim, before, "sim", "--headless", "--track", "oval", NULL);
    assert_int_equal(program_wait(&sim, 20), 1);
    assert_true(program_said(&sim, "you may not make files; set SKYLANE_BUS_DIR to one in which"));
    assert_int_equal(chmod(getenv("SKYLANE_BUS_DIR"), 0700), 0);
}

static void absent_bus_folder_is_told(void **unused)
{
    (void)unused;
    char before[256];
    snprintf(before, sizeof before, "%s", getenv("SKYLANE_BUS_DIR"));
    setenv("SKYLANE_BUS_DIR", "/nonexistent/folder", 1);
    start_run();
    assert_int_equal(program_wait(&run, 20), 1);
    assert_true(program_said(&run, "/nonexistent/folder, does not exist"));
    start_sim();
    assert_int_equal(program_wait(&sim, 20), 1);
    assert_true(program_said(&sim, "/nonexistent/folder, does not exist"));
    setenv("SKYLANE_BUS_DIR", before, 1);
}

static void full_bus_folder_is_told(void **unused)
{
    (void)unused;
    char folder[256];
    snprintf(folder, sizeof folder, "%s", getenv("SKYLANE_BUS_DIR"));
    if (mount("tmpfs", folder, "tmpfs", 0, "nr_inodes=3") != 0)
        skip(); /* only root can make a folder that is full */
    start_sim();
    int status = program_wait(&sim, 20);
    bool told = program_said(&sim, "has no room for one more file");
    umount2(folder, MNT_DETACH);
    assert_int_equal(status, 1);
    assert_true(told);
}

static void second_vehicle_is_refused(void **unused)
{
    (void)unused;
    start_run();
    assert_int_equal(sl_bus_wait(states, sl_clock_now_ns() + 10 * SL_NS_PER_S), 0);
    struct program second;
    program_start(&second, NULL, "run", "--quiet", "--config", SETTINGS, NULL);
    assert_int_equal(program_wait(&second, 10), 1);
    char pid[64];
    snprintf(pid, sizeof pid, "already has a writer, process %d", run.pid);
    assert_true(program_said(&second, pid));
}

static void misuse_is_told(void **unused)
{
    (void)unused;
    static const struct {
        const char *verb, *argument, *said;
        int status;
    } CASES[] = {
        {"run", "--secnds", "did you mean --seconds?", 2},
        {"run", "--seconds", "--seconds needs a value", 2},
        {"run", "operand", "does not know what to do with \"operand\"", 2},
        {"run", "--config=/nonexistent.ini", "/nonexistent.ini", 1},
        {"run", "-ocamera.hight_m=1", "height_m", 1},
        {"sim", "--track=citty", "city", 1},
        {"sim", "--ligth", "did you mean --light?", 2},
        {"sim", "--light=noon", "noon", 2},
        {"sim", "--wear=2", "--wear is 2", 2},
        {"action", "dance", "there is no action \"dance\"", 2},
        {"action", "paus", "did you mean \"pause\"?", 2},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        struct program p;
        program_start(&p, NULL, CASES[i].verb, CASES[i].argument, NULL);
        int status = program_wait(&p, 20);
        if (status != CASES[i].status || !program_said(&p, CASES[i].said))
            fail_msg("skylane %s %s: status %d, see %s", CASES[i].verb, CASES[i].argument, status,
                     p.output);
        unlink(p.output);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(dead_camera_stops_and_its_return_drives_on, begin, end),
        cmocka_unit_test_setup_teardown(frozen_camera_stops, begin, end),
        cmocka_unit_test_setup_teardown(hanging_detector_stops, begin, end),
        cmocka_unit_test_setup_teardown(killed_vehicle_program_leaves_a_braking_vehicle, begin,
                                        end),
        cmocka_unit_test_setup_teardown(clean_end_leaves_neutral_outputs, begin, end),
        cmocka_unit_test_setup_teardown(requests_are_answered, begin, end),
        cmocka_unit_test_setup_teardown(hanging_sender_keeps_nobody_from_stopping, begin, end),
        cmocka_unit_test_setup_teardown(held_up_vehicle_program_stops, begin, end),
        cmocka_unit_test_setup_teardown(stalled_readers_and_log_cost_no_deadline, begin, end),
        cmocka_unit_test_setup_teardown(runs_without_privileges_and_says_what_it_lacks, begin, end),
        cmocka_unit_test_setup_teardown(runs_without_huge_pages_and_says_so, begin, end),
        cmocka_unit_test_setup_teardown(forbidden_bus_folder_is_told, begin, end),
        cmocka_unit_test_setup_teardown(absent_bus_folder_is_told, begin, end),
        cmocka_unit_test_setup_teardown(full_bus_folder_is_told, begin, end),
        cmocka_unit_test_setup_teardown(second_vehicle_is_refused, begin, end),
        cmocka_unit_test_setup_teardown(misuse_is_told, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
