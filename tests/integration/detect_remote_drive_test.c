/* Simulator, detection server and vehicle, each a program of its own, while the
 * server is killed, stopped and started again. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <cjson/cJSON.h>

#include "rt/clock.h"
#include "tests/integration/programs.h"

#define SETTINGS   SL_SOURCE_DIR "/board/sim/skylane.ini"
#define TIMEOUT_MS 100
#define MAX_M      0.25 /* as for the built-in detector, in tests/integration/laps */

static struct program sim, server, vehicle;
static struct sl_bus_reader *states, *lanes;
static char url[64], port[8], report_path[128];

/* ---- helpers ---- */

/* On a free port the first time, then on the same one. */
static void start_server(void)
{
    program_start(&server, NULL, "detect", "--config", SETTINGS, "--port",
                  port[0] == '\0' ? "0" : port, NULL);
    program_must_say(&server, "listens on tcp://127.0.0.1:");
    char said[4096];
    FILE *from = fopen(server.output, "r");
    assert_non_null(from);
    said[fread(said, 1, sizeof said - 1, from)] = '\0';
    fclose(from);
    const char *at = strstr(said, "tcp://127.0.0.1:") + 16;
    snprintf(port, sizeof port, "%.*s", (int)strspn(at, "0123456789"), at);
    snprintf(url, sizeof url, "tcp://127.0.0.1:%s", port);
}

static void kill_server(void)
{
    program_signal(&server, SIGKILL);
    assert_int_equal(program_wait(&server, 5), 128 + SIGKILL);
    unlink(server.output);
}

static int begin(void **unused)
{
    (void)unused;
    programs_begin();
    port[0] = '\0';
    states = reader_of(SL_BUS_STATE, SL_RECORD_STATE, sizeof(struct sl_state));
    lanes = reader_of(SL_BUS_DETECTION, SL_RECORD_DETECTION, sizeof(struct sl_detection));
    snprintf(report_path, sizeof report_path, "%s/report.json", getenv("SKYLANE_BUS_DIR"));
    start_server();
    program_start(&sim, NULL, "sim", "--headless", "--track", "oval", "--rate", "30", NULL);
    return 0;
}

static int end(void **unused)
{
    (void)unused;
    program_signal(&server, SIGCONT);
    program_stop(&vehicle);
    unlink(vehicle.output);
    program_stop(&server);
    program_stop(&sim);
    sl_bus_reader_close(states);
    sl_bus_reader_close(lanes);
    programs_end();
    return 0;
}

static bool drives_fast(const struct sl_state *state)
{
    return state->mode == SL_MODE_DRIVING && state->speed_mps > 3;
}

static bool stopped(const struct sl_state *state)
{
    return state->mode == SL_MODE_SAFE_STOP;
}

static void start_vehicle(const char *option)
{
    struct sl_state state;
    char timeout[8];
    snprintf(timeout, sizeof timeout, "%d", TIMEOUT_MS);
    program_start(&vehicle, NULL, "run", "--config", SETTINGS, "-o", "safety.recover_source=false",
                  "--detector", "zmq", "--detector-url", url, "--detector-timeout", timeout,
                  "--json", report_path, "-o", option, NULL);
    program_must_say(&vehicle, " are driven by");
    assert_true(await_state(states, 15000, drives_fast, &state));
}

static cJSON *finish(int status)
{
    static char text[65536];
    program_signal(&vehicle, SIGTERM);
    assert_int_equal(program_wait(&vehicle, 20), status);
    FILE *file = fopen(report_path, "r");
    assert_non_null(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    cJSON *report = cJSON_Parse(text);
    assert_non_null(report);
    return report;
}

static double counted(const cJSON *report, const char *name)
{
    return cJSON_GetNumberValue(
        cJSON_GetObjectItem(cJSON_GetObjectItem(report, "remote_detection"), name));
}

/* It kept its lane, at speed, and its real-time threads their promises. */
static void must_have_driven_well(const cJSON *report)
{
    const cJSON *error = cJSON_GetObjectItem(report, "lateral_error_m");
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(report, "stops")), 0);
    assert_int_equal(cJSON_GetNumberValue(cJSON_GetObjectItem(report, "departures")), 0);
    assert_true(cJSON_GetNumberValue(cJSON_GetObjectItem(error, "max_abs")) < MAX_M);
    assert_int_equal(cJSON_GetNumberValue(cJSON_GetObjectItem(report, "page_faults_after_start")),
                     0);
    assert_int_equal(cJSON_GetNumberValue(cJSON_GetObjectItem(report, "allocations_after_start")),
                     0);
}

/* The longest time without a lane while `what` is done and for a second after. */
static double longest_gap_ms(void (*what)(void))
{
    struct sl_detection lane;
    uint64_t last_ns = 0, longest_ns = 0;
    bool done = false;
    for (const uint64_t begin_ns = sl_clock_now_ns();
         sl_clock_now_ns() < begin_ns + 2 * SL_NS_PER_S;) {
        if (!done && sl_clock_now_ns() > begin_ns + SL_NS_PER_S) {
            what();
            done = true;
        }
        struct sl_bus_view view;
        if (sl_bus_wait(lanes, sl_clock_now_ns() + 10 * SL_NS_PER_MS) != 0 ||
            sl_bus_read_next(lanes, &lane, sizeof lane, &view) != 0)
            continue;
        const uint64_t gap_ns = last_ns == 0 ? 0 : view.published_ns - last_ns;
        longest_ns = gap_ns > longest_ns ? gap_ns : longest_ns;
        last_ns = view.published_ns;
    }
    assert_true(last_ns != 0);
    return (double)longest_ns / 1e6;
}

/* ---- drives ---- */

static void built_in_detector_takes_over_and_gives_back(void **unused)
{
    (void)unused;
    start_vehicle("detect.when_gone=builtin");
    /* The answered frame, the next one a period later, its timeout; and a little. */
    const double gap_ms = longest_gap_ms(kill_server);
    print_message("%.1f ms without a lane when the server was killed\n", gap_ms);
    assert_true(gap_ms < 34 + TIMEOUT_MS + 20);
    program_must_say(&vehicle, "the built-in detector drives, and tcp://");
    start_server();
    program_must_say(&vehicle, " are driven by again, after");
    cJSON *report = finish(0);
    must_have_driven_well(report);
    assert_int_equal(counted(report, "takeovers"), 1);
    assert_true(counted(report, "answered") > 60);
    assert_true(counted(report, "builtin_frames") > 60);
    assert_true(counted(report, "unasked") > 10);
    cJSON_Delete(report);
}

static void stop_server(void)
{
    program_signal(&server, SIGSTOP);
}

static void hanging_server_is_replaced_and_its_late_answers_dropped(void **unused)
{
    (void)unused;
    start_vehicle("detect.when_gone=builtin");
    assert_true(longest_gap_ms(stop_server) < 34 + TIMEOUT_MS + 20);
    program_must_say(&vehicle, "the built-in detector drives, and tcp://");
    program_signal(&server, SIGCONT);
    program_must_say(&vehicle, " are driven by again, after");
    cJSON *report = finish(0);
    must_have_driven_well(report);
    assert_int_equal(counted(report, "takeovers"), 1);
    assert_true(counted(report, "late") >= 1);
    cJSON_Delete(report);
}

static void vehicle_stops_if_so_set(void **unused)
{
    (void)unused;
    struct sl_state state;
    start_vehicle("detect.when_gone=stop");
    kill_server();
    assert_true(await_state(states, 2000, stopped, &state));
    assert_int_equal(state.stop_reason, SL_REASON_DETECTOR_STALL);
    program_must_say(&vehicle, "nothing to drive by, and tcp://");
    /* It comes back; whoever stands at the car says when to drive on. */
    start_server();
    program_must_say(&vehicle, " are driven by again, after");
    cJSON *report = finish(1);
    assert_int_equal(counted(report, "builtin_frames"), 0);
    assert_string_equal(
        cJSON_GetStringValue(cJSON_GetArrayItem(cJSON_GetObjectItem(report, "stops"), 0)),
        "detector_stall");
    cJSON_Delete(report);
}

/* It is the camera that is told then, not the detector. */
static void camera_stall_is_told_as_such(void **unused)
{
    (void)unused;
    struct sl_state state;
    start_vehicle("detect.when_gone=stop");
    program_signal(&sim, SIGKILL);
    assert_int_equal(program_wait(&sim, 5), 128 + SIGKILL);
    unlink(sim.output);
    assert_true(await_state(states, 2000, stopped, &state));
    assert_int_equal(state.stop_reason, SL_REASON_CAMERA_STALL);
    cJSON *report = finish(1);
    assert_int_equal(counted(report, "takeovers"), 0); /* no frame, no missing answer */
    cJSON_Delete(report);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(built_in_detector_takes_over_and_gives_back, begin, end),
        cmocka_unit_test_setup_teardown(hanging_server_is_replaced_and_its_late_answers_dropped,
                                        begin, end),
        cmocka_unit_test_setup_teardown(vehicle_stops_if_so_set, begin, end),
        cmocka_unit_test_setup_teardown(camera_stall_is_told_as_such, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
