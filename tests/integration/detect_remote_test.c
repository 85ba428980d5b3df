/* A vehicle that asks a detection server, and a server that this test is: what it
 * is asked, and what becomes of good answers, late ones, those to other frames,
 * double ones, nonsense, and numbers that cannot be. The camera is a test picture;
 * nothing moves. */
#include <errno.h>
#include <math.h>
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
#include <zmq.h>

#include "../unit/keys_folder.h"
#include "net/detect_wire.h"
#include "net/link.h"
#include "rt/clock.h"
#include "tests/integration/programs.h"

#define SECONDS    (20 * SL_NS_PER_S)
#define OFFSET_M   0.123f /* what this server answers; the built-in detector finds no lane */
#define PICTURE_PX ((size_t)800 * 600)

static void *context, *server;
static char url[64], report_path[128];
static struct program vehicle;
static struct sl_bus_reader *lanes, *answers;
static cJSON *report;

/* ---- the server ---- */

struct question {
    uint8_t peer[64];
    int peer_bytes;
    int picture_bytes;
    struct sl_detect_request request;
    uint64_t came_ns;
};

static void bind_server(void)
{
    size_t size = sizeof url;
    server = zmq_socket(context, ZMQ_ROUTER);
    sl_link_set(server, ZMQ_LINGER, 0);
    sl_link_set(server, ZMQ_RCVTIMEO, 50);
    keys_be_vehicle(server, getenv("SKYLANE_KEYS"));
    if (zmq_bind(server, url[0] != '\0' ? url : "tcp://127.0.0.1:*") != 0)
        fail_msg("%s", zmq_strerror(errno));
    assert_int_equal(zmq_getsockopt(server, ZMQ_LAST_ENDPOINT, url, &size), 0);
}

/* The next question, if one comes within 50 ms. Whatever it is, it must be one. */
static bool take_question(struct question *q)
{
    static uint8_t header[SL_DETECT_REQUEST_BYTES], picture[PICTURE_PX * 3];
    struct sl_error err;
    q->peer_bytes = zmq_recv(server, q->peer, sizeof q->peer, 0);
    if (q->peer_bytes < 0)
        return false;
    assert_int_equal(zmq_recv(server, header, sizeof header, 0), sizeof header);
    q->picture_bytes = zmq_recv(server, picture, sizeof picture, 0);
    assert_true(q->picture_bytes > 0 && (size_t)q->picture_bytes <= sizeof picture);
    if (sl_detect_wire_get_request(header, sizeof header, (size_t)q->picture_bytes, &q->request,
                                   &err) != 0)
        fail_msg("%s", err.text);
    q->came_ns = sl_clock_now_ns();
    return true;
}

static struct sl_detect_reply good_reply(const struct question *q)
{
    return (struct sl_detect_reply){.sequence = q->request.sequence,
                                    .frame_id = q->request.frame.frame_id,
                                    .lane = {.frame_id = q->request.frame.frame_id,
                                             .exposed_ns = 1, /* the server's word is not taken */
                                             .received_ns = 2,
                                             .started_ns = 3,
                                             .finished_ns = 4,
                                             .state = SL_LANE_TWO_LINES,
                                             .confidence = 0.9f,
                                             .lateral_offset_m = OFFSET_M,
                                             .lane_width_m = 3.5f,
                                             .frame_width_px = 800,
                                             .frame_height_px = 600}};
}

static void send_bytes(const struct question *q, const void *bytes, size_t size)
{
    assert_true(zmq_send(server, q->peer, (size_t)q->peer_bytes, ZMQ_SNDMORE) >= 0);
    assert_true(zmq_send(server, bytes, size, 0) >= 0);
}

static void send_reply(const struct question *q, const struct sl_detect_reply *reply)
{
    uint8_t bytes[SL_DETECT_REPLY_MAX];
    send_bytes(q, bytes, sl_detect_wire_put_reply(bytes, reply));
}

/* Answers as `answer` does, for `ms` or until `enough` says so. */
static void serve(uint64_t ms, void (*answer)(const struct question *), bool (*enough)(void))
{
    const uint64_t end = sl_clock_now_ns() + ms * SL_NS_PER_MS;
    struct question q;
    bool done = false;
    while (sl_clock_now_ns() < end && !done) {
        if (take_question(&q))
            answer(&q);
        done = enough != NULL && enough();
    }
    if (enough != NULL && !done)
        fail_msg("not enough within %d ms; see %s", (int)ms, vehicle.output);
}

static void answer_well(const struct question *q)
{
    const struct sl_detect_reply reply = good_reply(q);
    send_reply(q, &reply);
}

/* ---- the vehicle ---- */

static int begin(void **unused)
{
    (void)unused;
    programs_begin();
    url[0] = '\0';
    context = zmq_ctx_new();
    bind_server();
    lanes = reader_of(SL_BUS_DETECTION, SL_RECORD_DETECTION, sizeof(struct sl_detection));
    answers = reader_of("detection_remote", SL_RECORD_DETECTION, sizeof(struct sl_detection));
    snprintf(report_path, sizeof report_path, "%s/report.json", getenv("SKYLANE_BUS_DIR"));
    return 0;
}

/* Its output is of no use any more. */
static void forget(void)
{
    unlink(vehicle.output);
    cJSON_Delete(report);
    report = NULL;
}

static int end(void **unused)
{
    (void)unused;
    program_stop(&vehicle);
    forget();
    sl_bus_reader_close(lanes);
    sl_bus_reader_close(answers);
    if (server != NULL)
        zmq_close(server);
    server = NULL;
    zmq_ctx_term(context);
    programs_end();
    return 0;
}

/* 20 frames a second. `more` may be NULL. */
static void start_vehicle(const char *timeout_ms, const char *more)
{
    program_start(&vehicle, NULL, "run", "-o", "camera.driver=pattern", "-o", "camera.rate_hz=20",
                  "-o", "actuator.driver=null", "-o", "safety.detector_stall_ms=10000",
                  "--detector", "zmq", "--detector-url", url, "--detector-timeout", timeout_ms,
                  "--json", report_path, more != NULL ? "-o" : NULL, more, NULL);
}

/* Ends it, and reads its report. */
static void finish(void)
{
    static char text[65536];
    program_signal(&vehicle, SIGTERM);
    assert_int_equal(program_wait(&vehicle, 20), 0);
    FILE *file = fopen(report_path, "r");
    assert_non_null(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    report = cJSON_Parse(text);
    assert_non_null(report);
}

static uint64_t counted(const char *name)
{
    const cJSON *remote = cJSON_GetObjectItem(report, "remote_detection");
    const cJSON *item = cJSON_GetObjectItem(remote, name);
    if (!cJSON_IsNumber(item))
        fail_msg("the report has no %s", name);
    return (uint64_t)item->valuedouble;
}

/* Each question has one end; the last may be under way. */
static void counts_must_add_up(void)
{
    const uint64_t ends =
        counted("answered") + counted("refused") + counted("late") + counted("lost");
    assert_in_range(counted("asked"), ends, ends + 1);
}

static bool is_ours(const struct sl_detection *lane)
{
    return lane->state == SL_LANE_TWO_LINES && lane->lateral_offset_m == OFFSET_M;
}

/* One lane of ours among those that are driven by. */
static bool drives_by_ours(void)
{
    struct sl_detection lane;
    while (sl_bus_read_next(lanes, &lane, sizeof lane, NULL) == 0) {
        if (is_ours(&lane))
            return true;
    }
    return false;
}

/* The server published nothing, and the built-in detector all the time. */
static void must_have_used_nothing(void)
{
    struct sl_detection lane;
    assert_int_not_equal(sl_bus_read_newest(answers, &lane, sizeof lane, NULL), 0);
    assert_false(drives_by_ours());
    assert_int_equal(counted("answered"), 0);
    assert_true(counted("builtin_frames") > 20);
    counts_must_add_up();
}

/* ---- good answers ---- */

static void lanes_have_the_frames_identity_and_our_clock(void **unused)
{
    (void)unused;
    const uint64_t begin_ns = sl_clock_now_ns();
    start_vehicle("1000", NULL);
    serve(20000, answer_well, drives_by_ours);
    uint64_t last_id = 0;
    int seen = 0;
    for (int i = 0; i < 20; i++) {
        struct question q;
        struct sl_detection lane;
        if (!take_question(&q))
            continue;
        answer_well(&q);
        /* Published at the answer, not at the next frame. */
        while (sl_bus_wait(lanes, q.came_ns + 1000 * SL_NS_PER_MS) == 0 &&
               sl_bus_read_next(lanes, &lane, sizeof lane, NULL) == 0 &&
               lane.frame_id < q.request.frame.frame_id) {
        }
        if (lane.frame_id != q.request.frame.frame_id)
            continue;
        assert_true(is_ours(&lane));
        assert_true(lane.frame_id > last_id);
        last_id = lane.frame_id;
        assert_true(lane.exposed_ns == q.request.frame.exposed_ns);
        assert_true(lane.exposed_ns > begin_ns && lane.received_ns >= lane.exposed_ns);
        assert_true(lane.started_ns >= lane.received_ns && q.came_ns >= lane.started_ns);
        assert_true(lane.finished_ns >= q.came_ns && lane.finished_ns <= sl_clock_now_ns());
        seen++;
    }
    assert_true(seen >= 10);
    finish();
    assert_true(program_said(&vehicle, " are driven by"));
    assert_true(counted("answered") > 20);
    assert_int_equal(counted("takeovers"), 0);
    assert_int_equal(counted("late") + counted("refused") + counted("unwanted"), 0);
    counts_must_add_up();
}

static uint32_t asked_fourcc;
static bool asked_to_forget;

static void note_format(const struct question *q)
{
    asked_fourcc = q->request.frame.fourcc;
    asked_to_forget = asked_to_forget || q->request.reset;
    answer_well(q);
}

static bool was_asked(void)
{
    return asked_fourcc != 0;
}

static void must_send(const char *jpeg, uint32_t fourcc, int quality)
{
    asked_fourcc = 0;
    asked_to_forget = false;
    start_vehicle("1000", jpeg);
    serve(20000, note_format, was_asked);
    assert_int_equal(asked_fourcc, fourcc);
    assert_true(asked_to_forget); /* the first question begins a drive */
    finish();
    struct question old;
    while (take_question(&old)) { /* that the next vehicle does not ask */
    }
    assert_int_equal(counted("jpeg_quality"), quality);
    const uint64_t raw = counted("asked") * PICTURE_PX * 3 / 2;
    if (fourcc == SL_FORMAT_MJPEG)
        assert_in_range(counted("sent_bytes"), 1, raw / 2);
    else
        assert_true(counted("sent_bytes") == raw);
    forget();
}

static void frames_go_as_they_are_or_as_jpeg(void **unused)
{
    (void)unused;
    must_send(NULL, SL_FORMAT_NV12, 0);
    must_send("detect.jpeg=50", SL_FORMAT_MJPEG, 50);
    /* 0.0.0.0 leads here as well, but not by its name, as another machine's would. */
    char elsewhere[64];
    snprintf(elsewhere, sizeof elsewhere, "tcp://0.0.0.0%s", strrchr(url, ':'));
    memcpy(url, elsewhere, sizeof url);
    struct sl_keys_pair own;
    struct sl_keys_entry paired = {.name = "0.0.0.0"};
    struct sl_error err = {0};
    const char *keys = getenv("SKYLANE_KEYS");
    assert_int_equal(sl_keys_own(keys, SL_KEYS_OF_VEHICLE, &own, &err), 0);
    memcpy(paired.public_key, own.public_key, sizeof paired.public_key);
    assert_int_equal(sl_keys_add(keys, SL_KEYS_VEHICLES, &paired, NULL, &err), 0);
    must_send(NULL, SL_FORMAT_MJPEG, 80);
    must_send("detect.jpeg=0", SL_FORMAT_NV12, 0);
}

/* ---- others ---- */

/* One kind of wrong answer after the other. */
static void answer_nonsense(const struct question *q)
{
    static uint32_t turn;
    uint8_t bytes[SL_DETECT_REPLY_MAX];
    struct sl_detect_reply reply = good_reply(q);
    size_t size = sl_detect_wire_put_reply(bytes, &reply);
    switch (turn++ % 8) {
    case 0:
        size = 0;
        break;
    case 1:
        memset(bytes, 0xff, size);
        break;
    case 2:
        size -= 1;
        break;
    case 3:
        bytes[4] = 9; /* the version */
        break;
    case 4:
        memset(bytes + SL_DETECT_REPLY_BYTES + 44, 0xff, 4); /* the confidence: a NaN */
        break;
    case 5:
        bytes[SL_DETECT_REPLY_BYTES + 40] = 7; /* the state */
        break;
    case 6: /* another frame, with the right sequence */
        reply.frame_id++;
        reply.lane.frame_id++;
        size = sl_detect_wire_put_reply(bytes, &reply);
        break;
    default: /* what will be asked next */
        reply.sequence++;
        size = sl_detect_wire_put_reply(bytes, &reply);
        break;
    }
    send_bytes(q, bytes, size);
}

static void nonsense_is_no_answer(void **unused)
{
    (void)unused;
    start_vehicle("90", NULL);
    serve(4000, answer_nonsense, NULL);
    finish();
    must_have_used_nothing();
    assert_true(counted("unwanted") >= 8);
    assert_true(counted("lost") >= 8);
    assert_int_equal(counted("refused"), 0);
    assert_true(program_said(&vehicle, "the built-in detector drives, and tcp://"));
}

/* It does not end a question, either: the right answer still counts. */
static void answer_after_nonsense(const struct question *q)
{
    answer_nonsense(q);
    send_bytes(q, "?", 1);
    answer_well(q);
}

static void answer_after_nonsense_counts(void **unused)
{
    (void)unused;
    start_vehicle("1000", NULL);
    serve(20000, answer_after_nonsense, drives_by_ours);
    finish();
    assert_true(counted("unwanted") >= 10);
    counts_must_add_up();
}

static void answer_absurdly(const struct question *q)
{
    static uint32_t turn;
    struct sl_detect_reply reply = good_reply(q);
    switch (turn++ % 4) {
    case 0:
        reply.lane.lateral_offset_m = 1e7f;
        break;
    case 1:
        reply.lane.confidence = 100;
        break;
    case 2:
        reply.lane.frame_width_px = 640;
        break;
    default:
        reply.status = SL_DETECT_BAD_PICTURE;
        sl_error_set(&reply.problem, 0, "not today");
        break;
    }
    send_reply(q, &reply);
}

static void absurd_lanes_are_refused(void **unused)
{
    (void)unused;
    start_vehicle("1000", NULL);
    serve(4000, answer_absurdly, NULL);
    finish();
    must_have_used_nothing();
    assert_true(program_said(&vehicle, "not today") ||
                program_said(&vehicle, "the answer's lateral_offset_m is 1e+07") ||
                program_said(&vehicle, "the answer's confidence is 100") ||
                program_said(&vehicle, "a picture of 640 x 600 px"));
    assert_true(counted("refused") >= 8);
    assert_int_equal(counted("unwanted"), 0);
}

/* The answer to the question before: it was given up. */
static void answer_late(const struct question *q)
{
    static struct question before;
    if (before.peer_bytes == q->peer_bytes &&
        memcmp(before.peer, q->peer, (size_t)q->peer_bytes) == 0)
        answer_well(&before);
    before = *q;
}

static void late_answers_are_dropped(void **unused)
{
    (void)unused;
    start_vehicle("70", NULL);
    serve(4000, answer_late, NULL);
    finish();
    must_have_used_nothing();
    assert_true(counted("late") >= 8);
    assert_int_equal(counted("unwanted"), 0);
}

static void answer_twice(const struct question *q)
{
    answer_well(q);
    answer_well(q);
}

static void second_answer_is_dropped(void **unused)
{
    (void)unused;
    start_vehicle("1000", NULL);
    uint64_t last_id = 0;
    const uint64_t end_ns = sl_clock_now_ns() + 4 * SL_NS_PER_S;
    while (sl_clock_now_ns() < end_ns) {
        struct question q;
        struct sl_detection lane;
        if (take_question(&q))
            answer_twice(&q);
        while (sl_bus_read_next(answers, &lane, sizeof lane, NULL) == 0) {
            assert_true(lane.frame_id > last_id);
            last_id = lane.frame_id;
        }
    }
    assert_true(last_id > 0);
    finish();
    assert_true(counted("answered") > 20);
    assert_true(counted("unwanted") > 20);
    assert_int_equal(counted("late") + counted("lost"), 0);
    counts_must_add_up();
}

/* Answers without end hold up neither the questions' timeouts nor the program's end. */
static void answer_without_end(const struct question *q)
{
    struct sl_detect_reply reply = good_reply(q);
    reply.sequence = 0;
    for (int i = 0; i < 2000; i++)
        send_reply(q, &reply);
}

static void flood_holds_nothing_up(void **unused)
{
    (void)unused;
    start_vehicle("90", NULL);
    serve(4000, answer_without_end, NULL);
    const uint64_t asked_to_end_ns = sl_clock_now_ns();
    finish();
    assert_true(sl_clock_now_ns() - asked_to_end_ns < 5 * SL_NS_PER_S);
    must_have_used_nothing();
    assert_true(counted("unwanted") > 1000);
    assert_true(counted("lost") >= 8);
}

/* ---- coming and going ---- */

static void vehicle_may_be_first(void **unused)
{
    (void)unused;
    zmq_close(server);
    server = NULL;
    start_vehicle("1000", NULL);
    program_must_say(&vehicle,
                     "no server takes questions there; start one with \"skylane detect --port");
    bind_server();
    serve(20000, answer_well, drives_by_ours);
    finish();
    assert_true(counted("unasked") > 20);
    counts_must_add_up();
}

/* Nobody is gone: it just says nothing. Then what it says again is not taken at once. */
static void silent_server_is_left_and_taken_back(void **unused)
{
    (void)unused;
    struct sl_detection lane;
    start_vehicle("300", NULL);
    serve(20000, answer_well, drives_by_ours);
    const uint64_t silent_ns = sl_clock_now_ns();
    program_must_say(&vehicle, "does not answer within 300 ms");
    assert_true(sl_clock_now_ns() - silent_ns < 5 * SL_NS_PER_S);
    while (sl_bus_read_next(lanes, &lane, sizeof lane, NULL) == 0) {
    }
    const uint64_t again_ns = sl_clock_now_ns();
    serve(30000, answer_well, drives_by_ours);
    /* It dropped out soon after it had come: two seconds of calm are asked for. */
    assert_true(sl_clock_now_ns() - again_ns >= 2 * SL_NS_PER_S - 100 * SL_NS_PER_MS);
    finish();
    assert_true(counted("takeovers") >= 1);
    assert_true(counted("lost") + counted("late") >= 1);
    counts_must_add_up();
}

/* Without the built-in detector beside it: each answer in time is taken, and
 * nothing else is published. */
static void nobody_else_detects_if_so_set(void **unused)
{
    (void)unused;
    struct sl_detection lane;
    struct question q;
    start_vehicle("300", "detect.when_gone=stop");
    program_must_say(&vehicle, "nothing to drive by, and tcp://");
    assert_int_not_equal(sl_bus_read_newest(lanes, &lane, sizeof lane, NULL), 0);
    while (take_question(&q)) { /* those that were given up */
    }
    serve(20000, answer_well, drives_by_ours);
    finish();
    assert_int_equal(counted("builtin_frames"), 0);
    counts_must_add_up();
}

static void misuse_is_told(void **unused)
{
    (void)unused;
    static const struct {
        const char *first, *second, *third, *said;
        int status;
    } CASES[] = {
        {"--detector=zmq", NULL, NULL, "tell with --detector-url where", 2},
        {"--detector-url=tcp://x:1", NULL, NULL, "--detector zmq, which is missing", 2},
        {"--detector-timeout=20", NULL, NULL, "--detector zmq, which is missing", 2},
        {"--detector=zmq", "--detector-url=5556", NULL, "tcp://HOST:PORT", 1},
        {"--detector=zmq", "--detector-url=tcp://x:1", "--detector-timeout=-1", "timeout_ms", 1},
        {"--detector=zmq", "--detector-url=tcp://x:1", "--detector-timeout=200",
         "detect.timeout_ms (200 ms) must be less than safety.detector_stall_ms", 1},
        {"--detector=zmq", "--detector-url=tcp://x:1", "-obus.remote=camera_feed",
         "each bus needs a name of its own", 1},
        {"--detector=zmq", "--detector-url=tcp://x:1", "--lockstep", "lockstep waits", 1},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        struct program p;
        program_start(&p, NULL, "run", "-oactuator.driver=null", CASES[i].first, CASES[i].second,
                      CASES[i].third, NULL);
        const int status = program_wait(&p, 20);
        if (status != CASES[i].status || !program_said(&p, CASES[i].said))
            fail_msg("case %d: status %d, see %s", (int)i, status, p.output);
        unlink(p.output);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(lanes_have_the_frames_identity_and_our_clock, begin, end),
        cmocka_unit_test_setup_teardown(frames_go_as_they_are_or_as_jpeg, begin, end),
        cmocka_unit_test_setup_teardown(nonsense_is_no_answer, begin, end),
        cmocka_unit_test_setup_teardown(answer_after_nonsense_counts, begin, end),
        cmocka_unit_test_setup_teardown(absurd_lanes_are_refused, begin, end),
        cmocka_unit_test_setup_teardown(late_answers_are_dropped, begin, end),
        cmocka_unit_test_setup_teardown(second_answer_is_dropped, begin, end),
        cmocka_unit_test_setup_teardown(flood_holds_nothing_up, begin, end),
        cmocka_unit_test_setup_teardown(vehicle_may_be_first, begin, end),
        cmocka_unit_test_setup_teardown(silent_server_is_left_and_taken_back, begin, end),
        cmocka_unit_test_setup_teardown(nobody_else_detects_if_so_set, begin, end),
        cmocka_unit_test_setup_teardown(misuse_is_told, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
