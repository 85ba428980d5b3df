/* Detection as a process of its own, with the real programs over real buses and
 * real sockets: any start order, either side killed and started again, several
 * clients, rubbish from clients, and drives that stay in their lane. */
#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <cjson/cJSON.h>
#include <zmq.h>

#include "../unit/detect_paint.h"
#include "../unit/keys_folder.h"
#include "app/config/convert.h"
#include "app/config/settings.h"
#include "net/detect_client.h"
#include "net/detect_server.h"
#include "net/guard.h"
#include "net/jpeg.h"
#include "rt/clock.h"
#include "tests/integration/programs.h"

#define SETTINGS            SL_SOURCE_DIR "/board/sim/skylane.ini"
#define MAX_M               0.25 /* as for the built-in detector, in tests/integration/laps */
#define SECONDS             (15 * SL_NS_PER_S)
#define CLIENTS             4
#define SL_TEXT_OF(number)  SL_TEXT_OF_(number)
#define SL_TEXT_OF_(number) #number
#define FRAMES              5

static struct program sim, server;
static struct sl_bus_reader *lanes;
static char url[64], port[8];

/* ---- helpers ---- */

static int begin(void **unused)
{
    (void)unused;
    programs_begin();
    lanes = reader_of(SL_BUS_DETECTION, SL_RECORD_DETECTION, sizeof(struct sl_detection));
    return 0;
}

static int end(void **unused)
{
    (void)unused;
    program_stop(&sim);
    program_stop(&server);
    sl_bus_reader_close(lanes);
    programs_end();
    return 0;
}

/* A lane whose frame was exposed from now on. */
static void must_detect(void)
{
    const uint64_t begin_ns = sl_clock_now_ns();
    struct sl_detection lane;
    while (sl_clock_now_ns() < begin_ns + SECONDS) {
        sl_bus_wait(lanes, sl_clock_now_ns() + 50 * SL_NS_PER_MS);
        if (sl_bus_read_newest(lanes, &lane, sizeof lane, NULL) == 0 &&
            lane.exposed_ns > begin_ns && lane.state == SL_LANE_TWO_LINES) {
            assert_true(lane.received_ns > lane.exposed_ns);
            assert_true(lane.started_ns >= lane.received_ns);
            assert_true(lane.finished_ns >= lane.started_ns);
            return;
        }
    }
    fail_msg("no lanes come");
}

static void kill_hard(struct program *p)
{
    program_signal(p, SIGKILL);
    assert_int_equal(program_wait(p, 5), 128 + SIGKILL);
    unlink(p->output);
}

static void start_bus_server(void)
{
    program_start(&server, NULL, "detect", "--config", SETTINGS, NULL);
}

static void start_sim(void)
{
    program_start(&sim, NULL, "sim", "--headless", "--track", "oval", "--rate", "30",
                  "--shared-memory", NULL);
}

/* On a free port the first time, then on the same one. */
static void start_zmq_server(void)
{
    program_start(&server, NULL, "detect", "--config", SETTINGS, "--port",
                  port[0] == '\0' ? "0" : port, NULL);
    program_must_say(&server, "listens on tcp://127.0.0.1:");
    char said[4096] = {0};
    FILE *from = fopen(server.output, "r");
    assert_non_null(from);
    const size_t n = fread(said, 1, sizeof said - 1, from);
    fclose(from);
    said[n] = '\0';
    const char *at = strstr(said, "tcp://127.0.0.1:");
    const size_t digits = strspn(at + 16, "0123456789");
    assert_true(digits > 0 && digits < sizeof port);
    memcpy(port, at + 16, digits);
    port[digits] = '\0';
    snprintf(url, sizeof url, "tcp://127.0.0.1:%s", port);
}

static int begin_zmq(void **unused)
{
    port[0] = '\0';
    begin(unused);
    start_zmq_server();
    return 0;
}

static struct sl_detect_client *client_of(void)
{
    struct sl_error err;
    struct sl_detect_client *client = NULL;
    if (sl_detect_client_open(&client, url, false, &err) != 0)
        fail_msg("%s", err.text);
    return client;
}

static void must_ask(struct sl_detect_client *client, const struct sl_frame_info *info,
                     const void *pixels)
{
    struct sl_error err;
    if (sl_detect_client_ask(client, info, pixels, false, sl_clock_now_ns() + SECONDS, &err) != 0)
        fail_msg("%s", err.text);
}

static struct sl_detect_answer must_answer(struct sl_detect_client *client)
{
    struct sl_error err;
    struct sl_detect_answer answer;
    if (sl_detect_client_wait(client, sl_clock_now_ns() + SECONDS, &answer, &err) != 0)
        fail_msg("%s", err.text);
    return answer;
}

static struct sl_detect_answer call(struct sl_detect_client *client,
                                    const struct sl_frame_info *info, const void *pixels)
{
    must_ask(client, info, pixels);
    return must_answer(client);
}

/* The configuration that the server has, too. */
static struct sl_detect_config config_of_server(void)
{
    static struct sl_settings settings;
    struct sl_detect_config config;
    struct sl_error err;
    sl_settings_defaults(&settings);
    assert_int_equal(sl_settings_read(&settings, SETTINGS, &err), 0);
    sl_settings_detect(&settings, &config);
    config.track = 1;
    return config;
}

/* Another road for each client, moving aside from frame to frame. */
static void paint(int client, int frame, uint8_t *memory, struct sl_frame_info *info)
{
    const struct sl_detect_config config = config_of_server();
    struct paint_scene scene = paint_usual;
    scene.offset_m = -0.6 + 0.4 * client + 0.02 * frame;
    scene.heading_rad = 0.01 * (client - 1);
    paint_road(&config, &scene, memory, info);
    info->frame_id = (uint64_t)(100 * client + frame + 1);
    info->exposed_ns = 1000 + info->frame_id;
    info->received_ns = 2000 + info->frame_id;
}

static uint8_t *road_memory(void)
{
    uint8_t *memory = malloc((size_t)800 * 600 * 3 / 2);
    assert_non_null(memory);
    return memory;
}

/* ---- over buses ---- */

static void bus_server_may_be_first(void **unused)
{
    (void)unused;
    start_bus_server();
    program_must_say(&server, "waits for a camera or the simulator: nobody writes bus camera_feed");
    start_sim();
    program_must_say(&server, "frames come: NV12 of 800 x 600 px on bus camera_feed");
    must_detect();
    kill_hard(&sim);
    program_must_say(&server, "the camera is gone, waits for the next");
    start_sim();
    must_detect();
    program_must_say(&server, "frames come again");
    program_signal(&server, SIGTERM);
    assert_int_equal(program_wait(&server, 10), 0);
    assert_true(program_said(&server, " a second: "));
    assert_true(program_said(&server, "p99"));
}

static void simulator_may_be_first(void **unused)
{
    (void)unused;
    start_sim();
    program_must_say(&sim, "no lanes come on bus detection_results");
    start_bus_server();
    program_must_say(&sim, "skylane sim: lanes come on bus detection_results");
    must_detect();
    kill_hard(&server);
    program_must_say(&sim, "with this camera's settings again"); /* told for the second time */
    start_bus_server();
    program_must_say(&sim, "lanes come again");
    must_detect();
}

/* What is on the bus when a vehicle starts is of the camera that it sees. */
static void new_camera_begins_a_new_ring(void **unused)
{
    (void)unused;
    start_bus_server();
    start_sim();
    must_detect();
    kill_hard(&sim);
    program_must_say(&server, "the camera is gone");
    struct sl_detection old;
    struct sl_bus_reader *late =
        reader_of(SL_BUS_DETECTION, SL_RECORD_DETECTION, sizeof(struct sl_detection));
    assert_int_equal(sl_bus_wait(late, sl_clock_now_ns() + 200 * SL_NS_PER_MS), -ETIMEDOUT);
    assert_int_equal(sl_bus_read_newest(late, &old, sizeof old, NULL), -EAGAIN);
    sl_bus_reader_close(late);
}

static void buses_may_have_other_names(void **unused)
{
    (void)unused;
    struct sl_bus_reader *others =
        reader_of("other_lanes", SL_RECORD_DETECTION, sizeof(struct sl_detection));
    program_start(&server, NULL, "detect", "--config", SETTINGS, "--shared-memory",
                  "--image-shm-name", "other_camera", "--detection-shm-name", "other_lanes",
                  "--json", NULL);
    program_start(&sim, NULL, "sim", "--headless", "--track", "oval", "--rate", "30",
                  "--shared-memory", "--image-shm-name", "other_camera", "--detection-shm-name",
                  "other_lanes", NULL);
    struct sl_detection lane;
    assert_int_equal(sl_bus_wait(others, sl_clock_now_ns() + SECONDS), 0);
    assert_int_equal(sl_bus_read_newest(others, &lane, sizeof lane, NULL), 0);
    sl_bus_reader_close(others);
    program_signal(&server, SIGINT);
    assert_int_equal(program_wait(&server, 10), 0);
    assert_true(program_said(&server, "\"two_lines\":"));
    assert_true(program_said(&server, "\"detection_us\":"));
}

/* A camera whose frames are JPEG; one that then sends what is none. */
static void jpeg_frames_are_decoded(void **unused)
{
    (void)unused;
    struct sl_error err;
    struct sl_frame_info raw;
    struct sl_bus_writer *camera = NULL;
    const uint8_t *jpeg;
    size_t size;
    uint8_t *memory = road_memory();
    struct sl_jpeg_encoder *encoder = sl_jpeg_encoder_create();
    paint(1, 0, memory, &raw);
    assert_int_equal(sl_jpeg_encode(encoder, &raw, memory, 90, &jpeg, &size, &err), 0);
    const struct sl_bus_writer_config bus = {
        .name = SL_BUS_CAMERA, .type = SL_RECORD_FRAME, .slot_count = 4, .slot_bytes = size};
    assert_int_equal(sl_bus_writer_open(&camera, &bus, &err), 0);
    start_bus_server();
    struct sl_detection lane = {0};
    const uint64_t give_up = sl_clock_now_ns() + SECONDS;
    for (uint64_t id = 1; lane.state != SL_LANE_TWO_LINES && sl_clock_now_ns() < give_up; id++) {
        struct sl_bus_loan loan;
        sl_bus_loan(camera, &loan);
        memcpy(loan.data, jpeg, size);
        const struct sl_frame_info info = {.frame_id = id,
                                           .exposed_ns = sl_clock_now_ns(),
                                           .received_ns = sl_clock_now_ns(),
                                           .fourcc = SL_FORMAT_MJPEG,
                                           .width_px = 800,
                                           .height_px = 600,
                                           .size_bytes = (uint32_t)size,
                                           .plane_count = 1};
        memcpy(loan.meta, &info, sizeof info);
        sl_bus_publish(camera, &loan, size, info.exposed_ns);
        sl_bus_wait(lanes, sl_clock_now_ns() + 50 * SL_NS_PER_MS);
        sl_bus_read_newest(lanes, &lane, sizeof lane, NULL);
    }
    assert_int_equal(lane.state, SL_LANE_TWO_LINES);
    assert_true(fabs((double)lane.lateral_offset_m - -0.2) < 0.05);
    /* Half a JPEG, and a description that lies. */
    for (int lie = 0; lie < 2; lie++) {
        struct sl_bus_loan loan;
        sl_bus_loan(camera, &loan);
        memcpy(loan.data, jpeg, size / 2);
        const struct sl_frame_info info = {.fourcc = lie ? SL_FORMAT_GRAY8 : SL_FORMAT_MJPEG,
                                           .width_px = lie ? 8192 : 800,
                                           .height_px = lie ? 8192 : 600,
                                           .size_bytes = lie ? 8192u * 8192u : (uint32_t)(size / 2),
                                           .plane_count = 1,
                                           .planes = {{0, lie ? 8192 : 0}}};
        memcpy(loan.meta, &info, sizeof info);
        sl_bus_publish(camera, &loan, size / 2, sl_clock_now_ns());
        program_must_say(&server, "a frame cannot be used");
        sl_clock_sleep_until_ns(sl_clock_now_ns() + 100 * SL_NS_PER_MS);
    }
    program_signal(&server, SIGTERM);
    assert_int_equal(program_wait(&server, 10), 0);
    assert_true(program_said(&server, "2 unreadable"));
    sl_bus_writer_close(camera);
    sl_jpeg_encoder_destroy(encoder);
    free(memory);
}

static void second_server_is_refused(void **unused)
{
    (void)unused;
    start_bus_server();
    program_must_say(&server, "waits for a camera");
    struct program second;
    program_start(&second, NULL, "detect", "--config", SETTINGS, NULL);
    assert_int_equal(program_wait(&second, 10), 1);
    assert_true(program_said(&second, "already has a writer"));
    assert_true(program_said(&second, "detect.detector=bus"));
    unlink(second.output);
}

/* ---- over ZMQ ---- */

static void start_asking_sim(void)
{
    program_start(&sim, NULL, "sim", "--headless", "--track", "oval", "--rate", "30",
                  "--detector-url", url, NULL);
}

static void either_side_may_come_and_go(void **unused)
{
    (void)unused;
    program_stop(&server); /* its port is known, and free */
    start_asking_sim();
    program_must_say(&sim, "nobody answers at tcp://127.0.0.1:");
    start_zmq_server();
    program_must_say(&sim, "answers\n");
    must_detect();
    kill_hard(&server);
    program_must_say_again(&sim, "goes on asking", 2);
    start_zmq_server();
    program_must_say(&sim, "answers again, after");
    must_detect();
    kill_hard(&sim);
    start_asking_sim();
    program_must_say(&server, "client 2 asks");
    must_detect();
    program_signal(&server, SIGTERM);
    assert_int_equal(program_wait(&server, 10), 0);
    assert_true(program_said(&server, "clients     2"));
}

/* A socket without our client around it. */
struct raw {
    void *context, *socket;
};

static struct raw raw_of(int type)
{
    struct raw raw = {.context = zmq_ctx_new()};
    const int linger = 0, patience_ms = 5000;
    raw.socket = zmq_socket(raw.context, type);
    zmq_setsockopt(raw.socket, ZMQ_LINGER, &linger, sizeof linger);
    zmq_setsockopt(raw.socket, ZMQ_RCVTIMEO, &patience_ms, sizeof patience_ms);
    struct sl_error err;
    assert_int_equal(sl_guard_present(raw.socket, url, false, &err), 0);
    assert_int_equal(zmq_connect(raw.socket, url), 0);
    return raw;
}

static void raw_close(struct raw *raw)
{
    zmq_close(raw->socket);
    zmq_ctx_term(raw->context);
}

/* What the simulator asks, seen by a server that this test is. `host` and the
 * option, which may be NULL, say how frames go. */
static void must_send(const char *host, const char *option, uint32_t fourcc)
{
    struct raw asked = {.context = zmq_ctx_new()};
    const int linger = 0, patience_ms = 15000;
    char endpoint[64], at[64];
    size_t size = sizeof endpoint;
    uint8_t id[256], header[SL_DETECT_REQUEST_BYTES];
    static uint8_t picture[(size_t)800 * 600 * 3];
    struct sl_detect_request request;
    struct sl_error err;
    asked.socket = zmq_socket(asked.context, ZMQ_ROUTER);
    zmq_setsockopt(asked.socket, ZMQ_LINGER, &linger, sizeof linger);
    zmq_setsockopt(asked.socket, ZMQ_RCVTIMEO, &patience_ms, sizeof patience_ms);
    keys_be_vehicle(asked.socket, getenv("SKYLANE_KEYS"));
    assert_int_equal(zmq_bind(asked.socket, "tcp://127.0.0.1:*"), 0);
    assert_int_equal(zmq_getsockopt(asked.socket, ZMQ_LAST_ENDPOINT, endpoint, &size), 0);
    snprintf(at, sizeof at, "--detector-url=tcp://%s%s", host, strrchr(endpoint, ':'));
    program_start(&sim, NULL, "sim", "--headless", "--track", "oval", "--rate", "30", at, option,
                  NULL);
    assert_true(zmq_recv(asked.socket, id, sizeof id, 0) > 0);
    assert_int_equal(zmq_recv(asked.socket, header, sizeof header, 0), sizeof header);
    const int bytes = zmq_recv(asked.socket, picture, sizeof picture, 0);
    assert_true(bytes > 0 && (size_t)bytes <= sizeof picture);
    if (sl_detect_wire_get_request(header, sizeof header, (size_t)bytes, &request, &err) != 0)
        fail_msg("%s", err.text);
    assert_int_equal(request.frame.fourcc, fourcc);
    assert_true(request.frame.frame_id > 0 && request.frame.exposed_ns > 0);
    if (fourcc == SL_FORMAT_MJPEG)
        assert_true(picture[0] == 0xff && picture[1] == 0xd8 && bytes < 800 * 600 / 2);
    else
        assert_int_equal(bytes, 800 * 600 * 3 / 2);
    program_stop(&sim);
    raw_close(&asked);
}

static void frames_go_as_they_are_or_as_jpeg(void **unused)
{
    (void)unused;
    must_send("localhost", NULL, SL_FORMAT_NV12);
    must_send("127.0.0.1", "--detector-jpeg=50", SL_FORMAT_MJPEG);
    /* 0.0.0.0 leads to this machine as well, but not by its name: as any other
     * machine's address does, which has to be paired. */
    struct sl_keys_entry other = {.name = "0.0.0.0"};
    struct sl_keys_pair own;
    struct sl_error err;
    assert_int_equal(sl_keys_own(getenv("SKYLANE_KEYS"), SL_KEYS_OF_VEHICLE, &own, &err), 0);
    memcpy(other.public_key, own.public_key, sizeof other.public_key);
    assert_int_equal(sl_keys_add(getenv("SKYLANE_KEYS"), SL_KEYS_VEHICLES, &other, NULL, &err), 0);
    must_send("0.0.0.0", NULL, SL_FORMAT_MJPEG);
    must_send("0.0.0.0", "--detector-jpeg=0", SL_FORMAT_NV12);
}

static void only_this_machine_is_local(void **unused)
{
    (void)unused;
    static const char *const LOCAL[] = {"tcp://localhost:5556", "tcp://LocalHost:1",
                                        "tcp://127.0.0.1:5556", "tcp://127.9.8.7:5556",
                                        "tcp://[::1]:5556"};
    static const char *const REMOTE[] = {"tcp://127.example.org:5556",
                                         "tcp://localhost.example.org:1",
                                         "tcp://192.0.2.1:5556",
                                         "tcp://[2001:db8::1]:5556",
                                         "tcp://1270.0.0.1:5556",
                                         "tcp://localhost",
                                         "127.0.0.1:5556",
                                         "tcp://car:127",
                                         ""};
    for (size_t i = 0; i < sizeof LOCAL / sizeof LOCAL[0]; i++)
        assert_true(sl_detect_client_is_local(LOCAL[i]));
    for (size_t i = 0; i < sizeof REMOTE / sizeof REMOTE[0]; i++)
        assert_false(sl_detect_client_is_local(REMOTE[i]));
}

/* A server that hangs costs a question now and then, and nothing else. */
static void hanging_server_is_told(void **unused)
{
    (void)unused;
    start_asking_sim();
    program_must_say(&sim, "answers\n");
    program_signal(&server, SIGSTOP);
    program_must_say(&sim, "goes on asking");
    program_signal(&server, SIGCONT);
    program_must_say(&sim, "answers again");
    must_detect();
    program_signal(&sim, SIGTERM);
    assert_int_equal(program_wait(&sim, 10), 0);
    assert_true(program_said(&sim, "given up after 200 ms"));
    assert_false(program_said(&sim, " 0 given up"));
}

/* What a client gets does not depend on who else asks: each has tracking of its
 * own. The detector alone, on the same frames, says what that is. */
static void clients_do_not_disturb_each_other(void **unused)
{
    (void)unused;
    struct sl_error err;
    struct sl_detect_client *clients[CLIENTS];
    struct sl_detector *detectors[CLIENTS];
    uint8_t *memory[CLIENTS];
    const struct sl_detect_config config = config_of_server();
    for (int c = 0; c < CLIENTS; c++) {
        clients[c] = client_of();
        memory[c] = road_memory();
        detectors[c] = aligned_alloc(64, sl_detector_size());
        assert_int_equal(sl_detector_init(detectors[c], &config, &err), 0);
    }
    for (int f = 0; f < FRAMES; f++) {
        struct sl_frame_info info[CLIENTS];
        for (int c = 0; c < CLIENTS; c++) { /* all questions are under way at once */
            paint(c, f, memory[c], &info[c]);
            must_ask(clients[c], &info[c], memory[c]);
        }
        for (int c = 0; c < CLIENTS; c++) {
            struct sl_detection want;
            struct sl_detect_answer answer = must_answer(clients[c]);
            struct sl_detection *got = &answer.reply.lane;
            assert_int_equal(answer.reply.status, SL_DETECT_OK);
            assert_int_equal(sl_detector_run(detectors[c], &info[c], memory[c], &want), 0);
            assert_true(got->finished_ns >= got->started_ns && got->started_ns > 0);
            assert_true(answer.reply.total_ns >= answer.reply.detected_ns);
            assert_true(answer.answered_ns - answer.asked_ns >= answer.reply.total_ns);
            want.frame_id = info[c].frame_id;
            want.exposed_ns = info[c].exposed_ns;
            want.received_ns = info[c].received_ns;
            want.started_ns = got->started_ns;
            want.finished_ns = got->finished_ns;
            assert_memory_equal(got, &want, sizeof want);
            assert_int_equal(got->state, SL_LANE_TWO_LINES);
        }
    }
    for (int c = 0; c < CLIENTS; c++) {
        sl_detect_client_close(clients[c]);
        free(detectors[c]);
        free(memory[c]);
    }
}

static void least_recent_client_gives_way(void **unused)
{
    (void)unused;
    struct sl_detect_client *clients[SL_DETECT_CLIENTS_MAX + 2];
    uint8_t *memory = road_memory();
    struct sl_frame_info info;
    paint(1, 0, memory, &info);
    for (int c = 0; c < SL_DETECT_CLIENTS_MAX + 2; c++) {
        clients[c] = client_of();
        assert_int_equal(call(clients[c], &info, memory).reply.status, SL_DETECT_OK);
    }
    program_must_say(&server, "the least recently seen gives way");
    /* It is answered all the same when it comes back. */
    assert_int_equal(call(clients[0], &info, memory).reply.status, SL_DETECT_OK);
    for (int c = 0; c < SL_DETECT_CLIENTS_MAX + 2; c++)
        sl_detect_client_close(clients[c]);
    free(memory);
    program_signal(&server, SIGTERM);
    assert_int_equal(program_wait(&server, 10), 0);
    assert_true(program_said(&server, "clients     19; 3 gave way"));
}

static void newest_question_wins(void **unused)
{
    (void)unused;
    struct sl_error err;
    struct sl_detect_answer answer;
    struct sl_detect_client *client = client_of();
    static uint8_t gray[64 * 48];
    struct sl_frame_info info = {.frame_id = 1};
    assert_int_equal(sl_frame_layout(&info, SL_FORMAT_GRAY8, 64, 48), 0);
    assert_int_equal(call(client, &info, gray).reply.status, SL_DETECT_OK);
    program_signal(&server, SIGSTOP);
    for (info.frame_id = 2; info.frame_id <= 4; info.frame_id++) {
        must_ask(client, &info, gray);
        assert_int_equal(
            sl_detect_client_wait(client, sl_clock_now_ns() + 100 * SL_NS_PER_MS, &answer, &err),
            -EAGAIN);
    }
    program_signal(&server, SIGCONT);
    answer = must_answer(client);
    assert_int_equal(answer.reply.status, SL_DETECT_OK);
    assert_int_equal(answer.reply.frame_id, 4);
    assert_int_equal(sl_detect_client_late(client), 2);
    assert_int_equal(sl_detect_client_wait(client, 0, &answer, &err), -ENOENT);
    sl_detect_client_close(client);
}

static struct sl_detect_reply raw_reply(struct raw *raw)
{
    struct sl_error err;
    struct sl_detect_reply reply;
    uint8_t bytes[SL_DETECT_REPLY_MAX + 1];
    const int n = zmq_recv(raw->socket, bytes, sizeof bytes, 0);
    if (n < 0)
        fail_msg("no reply: %s", zmq_strerror(errno));
    if (sl_detect_wire_get_reply(bytes, (size_t)n, &reply, &err) != 0)
        fail_msg("%s", err.text);
    return reply;
}

static void must_still_answer(void)
{
    struct sl_detect_client *client = client_of();
    static uint8_t gray[64 * 48];
    struct sl_frame_info info = {.frame_id = 1};
    assert_int_equal(sl_frame_layout(&info, SL_FORMAT_GRAY8, 64, 48), 0);
    assert_int_equal(call(client, &info, gray).reply.status, SL_DETECT_OK);
    sl_detect_client_close(client);
}

static void rubbish_is_answered_and_harms_nobody(void **unused)
{
    (void)unused;
    static uint8_t rubbish[100000];
    uint32_t seed = 1;
    struct raw raw = raw_of(ZMQ_DEALER);
    for (int round = 0; round < 200; round++) {
        const int parts = 1 + (int)(paint_random(&seed) % 4);
        for (int p = 0; p < parts; p++) {
            const size_t size = paint_random(&seed) % (round % 10 == 0 ? sizeof rubbish : 200);
            for (size_t i = 0; i < size; i++)
                rubbish[i] = (uint8_t)paint_random(&seed);
            if (round % 3 == 0 && size >= 4)
                memcpy(rubbish, "SLDQ", 4);
            assert_true(zmq_send(raw.socket, rubbish, size, p + 1 < parts ? ZMQ_SNDMORE : 0) >= 0);
        }
        const struct sl_detect_reply reply = raw_reply(&raw);
        assert_int_equal(reply.status, SL_DETECT_BAD_REQUEST);
        assert_true(reply.problem.text[0] != '\0');
    }
    raw_close(&raw);
    program_must_say(&server, "further ones are counted");

    /* Not even ZMQ. */
    const int tcp = socket(AF_INET, SOCK_STREAM, 0);
    const struct sockaddr_in to = {.sin_family = AF_INET,
                                   .sin_port = htons((uint16_t)strtoul(port, NULL, 10)),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(connect(tcp, (const struct sockaddr *)&to, sizeof to), 0);
    (void)!send(tcp, rubbish, sizeof rubbish, MSG_NOSIGNAL);
    close(tcp);

    /* A part above the limit ends the connection. */
    raw = raw_of(ZMQ_DEALER);
    const size_t large = SL_DETECT_PICTURE_MAX + SL_GUARD_WRAP_BYTES + 1;
    uint8_t *bytes = calloc(1, large);
    assert_non_null(bytes);
    zmq_send(raw.socket, rubbish, SL_DETECT_REQUEST_BYTES, ZMQ_SNDMORE);
    zmq_send(raw.socket, bytes, large, 0);
    const int patience_ms = 500;
    zmq_setsockopt(raw.socket, ZMQ_RCVTIMEO, &patience_ms, sizeof patience_ms);
    assert_int_equal(zmq_recv(raw.socket, rubbish, sizeof rubbish, 0), -1);
    raw_close(&raw);
    free(bytes);
    must_still_answer();
}

static void req_sockets_are_answered(void **unused)
{
    (void)unused;
    static uint8_t gray[64 * 48];
    struct sl_detect_request request = {.sequence = 41, .frame = {.frame_id = 42}};
    uint8_t header[SL_DETECT_REQUEST_BYTES];
    struct raw raw = raw_of(ZMQ_REQ);
    assert_int_equal(sl_frame_layout(&request.frame, SL_FORMAT_GRAY8, 64, 48), 0);
    sl_detect_wire_put_request(header, &request);
    for (int i = 0; i < 3; i++) {
        zmq_send(raw.socket, header, sizeof header, ZMQ_SNDMORE);
        zmq_send(raw.socket, gray, sizeof gray, 0);
        const struct sl_detect_reply reply = raw_reply(&raw);
        assert_int_equal(reply.status, SL_DETECT_OK);
        assert_int_equal(reply.sequence, 41);
        assert_int_equal(reply.lane.frame_id, 42);
        assert_int_equal(reply.lane.frame_width_px, 64);
    }
    /* One part too many. */
    zmq_send(raw.socket, header, sizeof header, ZMQ_SNDMORE);
    zmq_send(raw.socket, gray, sizeof gray, ZMQ_SNDMORE);
    zmq_send(raw.socket, "", 0, 0);
    const struct sl_detect_reply reply = raw_reply(&raw);
    assert_int_equal(reply.status, SL_DETECT_BAD_REQUEST);
    assert_int_equal(reply.sequence, 41);
    assert_non_null(strstr(reply.problem.text, "two parts"));
    raw_close(&raw);
}

static void pictures_are_read_or_refused_in_words(void **unused)
{
    (void)unused;
    struct sl_error err;
    struct sl_detect_client *client = client_of();
    struct sl_jpeg_encoder *encoder = sl_jpeg_encoder_create();
    uint8_t *memory = road_memory();
    struct sl_frame_info info;
    const uint8_t *jpeg;
    size_t size;
    paint(1, 0, memory, &info);
    assert_int_equal(sl_jpeg_encode(encoder, &info, memory, 90, &jpeg, &size, &err), 0);
    info.fourcc = SL_FORMAT_MJPEG;
    info.size_bytes = (uint32_t)size;
    struct sl_detect_answer answer = call(client, &info, jpeg);
    assert_int_equal(answer.reply.status, SL_DETECT_OK);
    assert_int_equal(answer.reply.lane.state, SL_LANE_TWO_LINES);
    assert_int_equal(answer.reply.lane.frame_width_px, 800);
    assert_true(fabs((double)answer.reply.lane.lateral_offset_m - -0.2) < 0.05);
    assert_true(answer.reply.decoded_ns > 0);

    info.size_bytes = (uint32_t)size / 2;
    answer = call(client, &info, jpeg);
    assert_int_equal(answer.reply.status, SL_DETECT_BAD_PICTURE);
    assert_true(answer.reply.problem.text[0] != '\0');

    static const char pgm[] = "P5 16 16 255\n0123456789abcdef0123456789abcdef";
    info.fourcc = SL_DETECT_ENCODING_FILE;
    info.size_bytes = sizeof pgm;
    answer = call(client, &info, pgm);
    assert_int_equal(answer.reply.status, SL_DETECT_BAD_PICTURE);

    /* Twenty bytes that claim 64 million pixels. */
    static const char bomb[] = "P5 8192 8192 255\n...";
    info.size_bytes = sizeof bomb;
    answer = call(client, &info, bomb);
    assert_int_equal(answer.reply.status, SL_DETECT_BAD_PICTURE);

    info.size_bytes = 0;
    assert_int_equal(sl_detect_client_ask(client, &info, pgm, false, 0, &err), -EMSGSIZE);
    sl_detect_client_close(client);
    sl_jpeg_encoder_destroy(encoder);
    free(memory);
}

static void client_says_that_nobody_is_there(void **unused)
{
    (void)unused;
    struct sl_error err;
    struct sl_detect_client *client = NULL;
    static uint8_t gray[64 * 48];
    struct sl_frame_info info = {.frame_id = 1};
    assert_int_equal(sl_frame_layout(&info, SL_FORMAT_GRAY8, 64, 48), 0);
    program_stop(&server);
    client = client_of();
    const uint64_t until = sl_clock_now_ns() + 200 * SL_NS_PER_MS;
    assert_int_equal(sl_detect_client_ask(client, &info, gray, false, until, &err), -EAGAIN);
    assert_true(sl_clock_now_ns() >= until);
    sl_detect_client_close(client);
    const char *const wrong[] = {
        "", "localhost:5556", "tcp://", "tcp://localhost", "tcp://x:port", "ipc:///tmp/x"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_int_equal(sl_detect_client_open(&client, wrong[i], false, &err), -EINVAL);
        assert_null(client);
        assert_non_null(strstr(err.text, "tcp://HOST:PORT"));
    }
}

static void port_in_use_is_told(void **unused)
{
    (void)unused;
    struct program second;
    program_start(&second, NULL, "detect", "--config", SETTINGS, "--port", port, NULL);
    assert_int_equal(program_wait(&second, 10), 1);
    assert_true(program_said(&second, "is taken by another program"));
    unlink(second.output);
}

/* The example of docs/protocol.md, where this machine's Python has zmq. */
static void python_example_finds_the_lane(void **unused)
{
    (void)unused;
    static const char *const PYTHONS[] = {"/usr/bin/python3", "python3"};
    const char *python = NULL;
    char command[512];
    for (size_t i = 0; python == NULL && i < 2; i++) {
        snprintf(command, sizeof command, "%s -c 'import zmq' 2>/dev/null", PYTHONS[i]);
        if (system(command) == 0)
            python = PYTHONS[i];
    }
    if (python == NULL)
        skip();
    uint8_t *memory = road_memory();
    struct sl_frame_info info;
    char picture[128], said[128];
    paint(1, 0, memory, &info);
    snprintf(picture, sizeof picture, "%s/road.pgm", getenv("SKYLANE_BUS_DIR"));
    snprintf(said, sizeof said, "%s/said.txt", getenv("SKYLANE_BUS_DIR"));
    FILE *file = fopen(picture, "wb");
    assert_non_null(file);
    fprintf(file, "P5 800 600 255\n");
    assert_int_equal(fwrite(memory, 1, (size_t)800 * 600, file), 800 * 600);
    fclose(file);
    free(memory);
    snprintf(command, sizeof command,
             "%s %s/docs/examples/remote_detection.py --url %s %s >%s 2>&1", python, SL_SOURCE_DIR,
             url, picture, said);
    const int status = system(command);
    char text[2048] = {0};
    file = fopen(said, "r");
    assert_non_null(file);
    (void)!fread(text, 1, sizeof text - 1, file);
    fclose(file);
    if (status != 0 || strstr(text, "two lines") == NULL || strstr(text, "-0.2") == NULL)
        fail_msg("status %d: %s", status, text);
}

/* ---- drives ---- */

static void drive(const char *first, const char *second, const char *third)
{
    static char text[65536];
    char report[128];
    snprintf(report, sizeof report, "%s/report.json", getenv("SKYLANE_BUS_DIR"));
    program_start(&sim, NULL, "sim", "--drive", "--lockstep", "--headless", "--track", "oval",
                  "--seconds", SL_TEXT_OF(SL_DRIVE_SECONDS), "--seed", "5", "--latency", "--json",
                  report, first, second, third, NULL);
    if (program_wait(&sim, 240) != 0)
        fail_msg("the drive failed; see %s", sim.output);
    FILE *file = fopen(report, "r");
    assert_non_null(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    cJSON *json = cJSON_Parse(text);
    assert_non_null(json);
    const cJSON *error = cJSON_GetObjectItem(json, "lateral_error_m");
    const double max_m = cJSON_GetNumberValue(cJSON_GetObjectItem(error, "max_abs"));
    const double distance_m = cJSON_GetNumberValue(cJSON_GetObjectItem(json, "distance_m"));
    const double frames = cJSON_GetNumberValue(cJSON_GetObjectItem(json, "frames"));
    const cJSON *stages = cJSON_GetObjectItem(json, "stages_ms");
    const cJSON *detection = cJSON_GetObjectItem(stages, "detection");
    assert_true(max_m < MAX_M);
    /* It gathers speed at some 2 m/s^2, after the lane was good for a while. */
    assert_true(distance_m > 0.5 * SL_DRIVE_SECONDS * SL_DRIVE_SECONDS);
    assert_int_equal(frames, 60 * SL_DRIVE_SECONDS);
    assert_int_equal(cJSON_GetNumberValue(cJSON_GetObjectItem(json, "departures")), 0);
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(json, "stops")), 0);
    assert_true(cJSON_GetNumberValue(cJSON_GetObjectItem(detection, "p50")) > 0);
    cJSON_Delete(json);
}

static void drives_over_shared_memory(void **unused)
{
    (void)unused;
    start_bus_server();
    drive("--shared-memory", NULL, NULL);
}

static void drives_with_a_remote_detector(void **unused)
{
    (void)unused;
    /* A busy machine must not make a frame look lost: that would be another drive. */
    char option[96];
    snprintf(option, sizeof option, "--detector-url=%s", url);
    drive("--detector-timeout=20000", option, NULL);
}

static void drives_by_jpegs(void **unused)
{
    (void)unused;
    char option[96];
    snprintf(option, sizeof option, "--detector-url=%s", url);
    drive("--detector-timeout=20000", option, "--detector-jpeg=80");
}

static void misuse_is_told(void **unused)
{
    (void)unused;
    static const struct {
        const char *verb, *first, *second, *said;
        int status;
    } CASES[] = {
        {"detect", "--method=dl", NULL, "not built into this program", 2},
        {"detect", "--method=ml", NULL, "this program has cv", 2},
        {"detect", "--gpu=0", NULL, "none is built into this program", 2},
        {"detect", "--images=x", "--port=1", "--port is for the server", 2},
        {"detect", "--images=x", "--shared-memory", "--shared-memory is for the server", 2},
        {"detect", "--images=x", "--config=y", "--config is for the server", 2},
        {"detect", "--images=x", "-obus.camera=y", "-o is for the server", 2},
        {"detect", "--track", NULL, "--images is missing", 2},
        {"detect", "--calibration=x", "--port=0", "--images is missing", 2},
        {"detect", "--port=5556", "--shared-memory", "leave out one", 2},
        {"detect", "--host=*", "--image-shm-name=x", "leave out one", 2},
        {"detect", "--port=65536", NULL, "within 0 and 65535", 2},
        {"detect", "--prot", "1", "did you mean --port?", 2},
        {"detect", "--insecure", NULL, "--insecure is for clients over ZMQ", 2},
        {"detect", "--images=x", "--insecure", "--insecure is for the server", 2},
        {"detect", "--host=192.0.2.1", "--insecure", "say --insecure twice", 1},
        {"detect", "--image-shm-name=detection_results", NULL, "a name of its own", 1},
        {"detect", "--image-shm-name=A B", NULL, "is not a bus name", 1},
        {"detect", "--config=/nonexistent.ini", NULL, "/nonexistent.ini", 1},
        {"sim", "--shared-memory", "--detector-url=tcp://x:1", "leave out one", 2},
        {"sim", "--detector-timeout=5", NULL, "--detector-url, which is missing", 2},
        {"sim", "--detector-timeout=0", "--detector-url=tcp://x:1", "--detector-timeout is 0", 2},
        {"sim", "--detector-jpeg=80", NULL, "--detector-url, which is missing", 2},
        {"sim", "--detector-jpeg=101", "--detector-url=tcp://x:1", "within 0 and 100", 2},
        {"sim", "--detector-url=5556", NULL, "tcp://HOST:PORT", 1},
        {"sim", "--pictures=x", "--latency", "leave out --latency", 2},
        {"sim", "--image-shm-name=A B", NULL, "is not a bus name", 1},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        struct program p;
        program_start(&p, NULL, CASES[i].verb, CASES[i].first, CASES[i].second, NULL);
        const int status = program_wait(&p, 20);
        if (status != CASES[i].status || !program_said(&p, CASES[i].said))
            fail_msg("skylane %s %s: status %d, see %s", CASES[i].verb, CASES[i].first, status,
                     p.output);
        unlink(p.output);
    }
    struct program p;
    program_start(&p, NULL, "detect", "--host=192.0.2.1", "--insecure", "--insecure", NULL);
    assert_int_equal(program_wait(&p, 20), 1);
    assert_true(program_said(&p, "no address of this machine"));
    unlink(p.output);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(bus_server_may_be_first, begin, end),
        cmocka_unit_test_setup_teardown(simulator_may_be_first, begin, end),
        cmocka_unit_test_setup_teardown(new_camera_begins_a_new_ring, begin, end),
        cmocka_unit_test_setup_teardown(buses_may_have_other_names, begin, end),
        cmocka_unit_test_setup_teardown(jpeg_frames_are_decoded, begin, end),
        cmocka_unit_test_setup_teardown(second_server_is_refused, begin, end),
        cmocka_unit_test_setup_teardown(either_side_may_come_and_go, begin_zmq, end),
        cmocka_unit_test_setup_teardown(frames_go_as_they_are_or_as_jpeg, begin, end),
        cmocka_unit_test(only_this_machine_is_local),
        cmocka_unit_test_setup_teardown(hanging_server_is_told, begin_zmq, end),
        cmocka_unit_test_setup_teardown(clients_do_not_disturb_each_other, begin_zmq, end),
        cmocka_unit_test_setup_teardown(least_recent_client_gives_way, begin_zmq, end),
        cmocka_unit_test_setup_teardown(newest_question_wins, begin_zmq, end),
        cmocka_unit_test_setup_teardown(rubbish_is_answered_and_harms_nobody, begin_zmq, end),
        cmocka_unit_test_setup_teardown(req_sockets_are_answered, begin_zmq, end),
        cmocka_unit_test_setup_teardown(pictures_are_read_or_refused_in_words, begin_zmq, end),
        cmocka_unit_test_setup_teardown(client_says_that_nobody_is_there, begin_zmq, end),
        cmocka_unit_test_setup_teardown(port_in_use_is_told, begin_zmq, end),
        cmocka_unit_test_setup_teardown(python_example_finds_the_lane, begin_zmq, end),
        cmocka_unit_test_setup_teardown(drives_over_shared_memory, begin, end),
        cmocka_unit_test_setup_teardown(drives_with_a_remote_detector, begin_zmq, end),
        cmocka_unit_test_setup_teardown(drives_by_jpegs, begin_zmq, end),
        cmocka_unit_test_setup_teardown(misuse_is_told, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
