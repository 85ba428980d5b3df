/* Nobody who was not let in can watch, command or ask: tried at every socket of
 * the real programs, with what strangers have. And who is paired, or revoked,
 * while they run. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <cjson/cJSON.h>
#include <zmq.h>

#include "net/detect_client.h"
#include "net/guard.h"
#include "net/zap.h"
#include "rt/clock.h"
#include "tests/integration/programs.h"

#define SETTINGS    SL_SOURCE_DIR "/board/sim/skylane.ini"
#define PATIENCE_NS (10 * SL_NS_PER_S)
#define SILENCE_MS  1500 /* of what must not come; what may comes 20 times a second */

static struct program net;
static void *context;
static char broadcast_at[96], actions_at[96];
static const char *keys;
static struct sl_error err;

/* All that were opened: a test that fails leaves them, and contexts wait for them. */
static void *sockets[64];
static size_t socket_count;

/* What somebody has to show. */
enum credentials { NOTHING, STRANGERS_KEY, WRONG_VEHICLE, OWN };

/* ---- helpers ---- */

/* The address that the program printed after `word`, reached from this machine. */
static void read_address(const char *word, char address[96])
{
    static char said[16384];
    FILE *from = fopen(net.output, "r");
    assert_non_null(from);
    said[fread(said, 1, sizeof said - 1, from)] = '\0';
    fclose(from);
    const char *at = NULL;
    for (const char *next = said; (next = strstr(next, word)) != NULL; next++)
        at = next + strlen(word); /* the last one */
    assert_non_null(at);
    snprintf(address, 96, "tcp://127.0.0.1%.*s", (int)strcspn(strchr(at + 6, ':'), ",\n"),
             strchr(at + 6, ':'));
}

static void start_net(const char *first, const char *second)
{
    program_start(&net, NULL, "net", "--broadcast", "tcp://*:0", "--actions", "tcp://*:0", first,
                  second, NULL);
    program_must_say(&net, "listening on");
    read_address("broadcasting on ", broadcast_at);
    read_address("listening on ", actions_at);
}

static int begin(void **unused)
{
    (void)unused;
    programs_begin();
    keys = getenv("SKYLANE_KEYS");
    context = zmq_ctx_new();
    memset(&net, 0, sizeof net);
    return 0;
}

static int end(void **unused)
{
    (void)unused;
    program_stop(&net);
    while (socket_count > 0)
        zmq_close(sockets[--socket_count]);
    zmq_ctx_term(context);
    programs_end();
    return 0;
}

static struct sl_keys_pair fresh_pair(void)
{
    struct sl_keys_pair pair;
    assert_int_equal(zmq_curve_keypair(pair.public_key, pair.secret_key), 0);
    return pair;
}

static void allow(const struct sl_keys_pair *pair, enum sl_role role, const char *name)
{
    struct sl_keys_entry entry = {.role = role};
    memcpy(entry.public_key, pair->public_key, sizeof entry.public_key);
    snprintf(entry.name, sizeof entry.name, "%s", name);
    if (sl_keys_add(keys, SL_KEYS_ALLOWED, &entry, NULL, &err) != 0)
        fail_msg("%s", err.text);
}

static void *connect_with(int type, const char *endpoint, const struct sl_keys_pair *own,
                          const char *vehicle_key)
{
    assert_true(socket_count < sizeof sockets / sizeof sockets[0]);
    void *socket = sockets[socket_count++] = zmq_socket(context, type);
    assert_int_equal(sl_link_set(socket, ZMQ_LINGER, 0), 0);
    if (type == ZMQ_SUB)
        assert_int_equal(zmq_setsockopt(socket, ZMQ_SUBSCRIBE, "", 0), 0);
    if (own != NULL)
        assert_int_equal(sl_zap_present(socket, own, vehicle_key, &err), 0);
    assert_int_equal(zmq_connect(socket, endpoint), 0);
    return socket;
}

static void *connect_as(int type, const char *endpoint, enum credentials credentials)
{
    const struct sl_keys_pair stranger = fresh_pair(), other = fresh_pair();
    struct sl_keys_pair vehicle, own;
    assert_int_equal(sl_keys_own(keys, SL_KEYS_OF_VEHICLE, &vehicle, &err), 0);
    assert_int_equal(sl_keys_own(keys, SL_KEYS_OF_CLIENT, &own, &err), 0);
    switch (credentials) {
    case NOTHING:
        return connect_with(type, endpoint, NULL, NULL);
    case STRANGERS_KEY:
        return connect_with(type, endpoint, &stranger, vehicle.public_key);
    case WRONG_VEHICLE:
        return connect_with(type, endpoint, &own, other.public_key);
    case OWN:
        break;
    }
    return connect_with(type, endpoint, &own, vehicle.public_key);
}

static bool hears(void *socket, long ms)
{
    zmq_pollitem_t item = {.socket = socket, .events = ZMQ_POLLIN};
    return zmq_poll(&item, 1, ms) > 0;
}

/* The next state's metadata. */
static cJSON *next_state(void *watch)
{
    static char bytes[1 << 16];
    const uint64_t give_up = sl_clock_now_ns() + PATIENCE_NS;
    while (sl_clock_now_ns() < give_up) {
        if (!hears(watch, 100))
            continue;
        char topic[16] = "";
        int more = 1;
        size_t length = sizeof more;
        cJSON *metadata = NULL;
        zmq_recv(watch, topic, sizeof topic - 1, 0);
        for (int part = 1; more != 0; part++) {
            const int size = zmq_recv(watch, bytes, sizeof bytes, 0);
            if (part == 1 && size >= 0 && size <= (int)sizeof bytes)
                metadata = cJSON_ParseWithLength(bytes, (size_t)size);
            zmq_getsockopt(watch, ZMQ_RCVMORE, &more, &length);
        }
        if (strcmp(topic, "state") == 0 && metadata != NULL)
            return metadata;
        cJSON_Delete(metadata);
    }
    fail_msg("there is no state");
    return NULL;
}

static void send_action(void *actions, void *watch, const char *id, const char *name)
{
    char text[512];
    cJSON *state = next_state(watch);
    const char *session = cJSON_GetObjectItem(state, "session")->valuestring;
    snprintf(text, sizeof text,
             "{\"v\":1,\"session\":\"%s\",\"id\":\"%s\",\"client\":\"test\",\"name\":\"%s\","
             "\"seq\":%" PRIu64 ",\"issued_ns\":%" PRIu64 ",\"expires_ms\":5000,"
             "\"args\":{\"client_ns\":1}}",
             session, id, name, sl_clock_now_ns(), sl_clock_now_ns());
    cJSON_Delete(state);
    zmq_send(actions, "action", 6, ZMQ_SNDMORE);
    zmq_send(actions, text, strlen(text), ZMQ_SNDMORE);
    zmq_send(actions, "", 0, 0);
}

/* The answer's reason within the time, or "". */
static void answer_of(void *watch, const char *id, uint64_t within_ns, char reason[32])
{
    const uint64_t give_up = sl_clock_now_ns() + within_ns;
    reason[0] = '\0';
    while (reason[0] == '\0' && sl_clock_now_ns() < give_up) {
        cJSON *state = next_state(watch);
        const cJSON *answer;
        cJSON_ArrayForEach(answer, cJSON_GetObjectItem(state, "answers"))
        {
            if (strcmp(cJSON_GetObjectItem(answer, "id")->valuestring, id) == 0)
                snprintf(reason, 32, "%s", cJSON_GetObjectItem(answer, "reason")->valuestring);
        }
        cJSON_Delete(state);
    }
}

static double refused(void *watch, const char *cause)
{
    cJSON *state = next_state(watch);
    const cJSON *all = cJSON_GetObjectItem(cJSON_GetObjectItem(state, "sends"), "refused");
    const cJSON *one = cJSON_GetObjectItem(all, cause);
    assert_non_null(one);
    const double count = one->valuedouble;
    cJSON_Delete(state);
    return count;
}

/* Until an action with this socket is answered; whatever the answer, it came through. */
static bool gets_through(void *actions, void *watch, const char *name, char reason[32])
{
    static int number;
    char id[32];
    for (int i = 0; i < 5; i++) {
        snprintf(id, sizeof id, "%s-%d", name, ++number);
        send_action(actions, watch, id, name);
        answer_of(watch, id, SL_NS_PER_S, reason);
        if (reason[0] != '\0')
            return true;
    }
    return false;
}

/* ---- tests ---- */

static void strangers_see_nothing(void **unused)
{
    (void)unused;
    start_net(NULL, NULL);
    void *watch = connect_as(ZMQ_SUB, broadcast_at, OWN);
    assert_true(hears(watch, 5000));
    for (int c = NOTHING; c < OWN; c++) {
        void *stranger = connect_as(ZMQ_SUB, broadcast_at, (enum credentials)c);
        assert_false(hears(stranger, SILENCE_MS));
    }
    const uint64_t give_up = sl_clock_now_ns() + PATIENCE_NS;
    while (refused(watch, "denied") < 1) /* the first ones are of before */
        assert_true(sl_clock_now_ns() < give_up);
}

static void strangers_command_nothing(void **unused)
{
    (void)unused;
    char reason[32];
    start_net(NULL, NULL);
    void *watch = connect_as(ZMQ_SUB, broadcast_at, OWN);
    for (int c = NOTHING; c < OWN; c++) {
        void *stranger = connect_as(ZMQ_PUB, actions_at, (enum credentials)c);
        assert_false(gets_through(stranger, watch, "stop", reason));
        assert_false(gets_through(stranger, watch, "ping", reason));
    }
    void *own = connect_as(ZMQ_PUB, actions_at, OWN);
    assert_true(gets_through(own, watch, "ping", reason));
}

static void strangers_are_not_answered_by_a_detection_server(void **unused)
{
    (void)unused;
    static uint8_t gray[64 * 48];
    struct program server;
    struct sl_frame_info info = {.frame_id = 1};
    struct sl_detect_client *client;
    struct sl_detect_answer answer;
    assert_int_equal(sl_frame_layout(&info, SL_FORMAT_GRAY8, 64, 48), 0);
    program_start(&server, NULL, "detect", "--config", SETTINGS, "--port", "0", NULL);
    program_must_say(&server, "listens on");
    struct program saved = net;
    net = server;
    char url[96];
    read_address("listens on ", url);
    *strchr(url, ';') = '\0';
    net = saved;
    uint8_t header[SL_DETECT_REQUEST_BYTES];
    const struct sl_detect_request request = {.sequence = 1, .frame = info};
    sl_detect_wire_put_request(header, &request);
    for (int c = NOTHING; c <= OWN; c++) {
        void *socket = connect_as(ZMQ_DEALER, url, (enum credentials)c);
        zmq_send(socket, header, sizeof header, ZMQ_SNDMORE);
        zmq_send(socket, gray, sizeof gray, 0);
        assert_int_equal(hears(socket, c == OWN ? 5000 : SILENCE_MS), c == OWN);
    }
    /* The client of the simulator and the vehicle, from here. */
    assert_int_equal(sl_detect_client_open(&client, url, false, &err), 0);
    assert_int_equal(
        sl_detect_client_ask(client, &info, gray, false, sl_clock_now_ns() + PATIENCE_NS, &err), 0);
    assert_int_equal(sl_detect_client_wait(client, sl_clock_now_ns() + PATIENCE_NS, &answer, &err),
                     0);
    sl_detect_client_close(client);
    /* And of one that was not paired with that machine: it says what to do. */
    assert_int_equal(sl_detect_client_open(&client, "tcp://192.0.2.1:5556", false, &err), -ENOKEY);
    assert_non_null(strstr(err.text, "skylane pair"));
    program_stop(&server);
}

static void viewers_watch_and_stop(void **unused)
{
    (void)unused;
    char reason[32];
    const struct sl_keys_pair viewer = fresh_pair();
    struct sl_keys_pair vehicle;
    start_net(NULL, NULL);
    assert_int_equal(sl_keys_own(keys, SL_KEYS_OF_VEHICLE, &vehicle, &err), 0);
    allow(&viewer, SL_ROLE_VIEWER, "anna");
    void *watch = connect_with(ZMQ_SUB, broadcast_at, &viewer, vehicle.public_key);
    void *actions = connect_with(ZMQ_PUB, actions_at, &viewer, vehicle.public_key);
    assert_true(gets_through(actions, watch, "ping", reason));
    assert_string_equal(reason, "none");
    assert_true(gets_through(actions, watch, "pause", reason));
    assert_string_equal(reason, "role");
    assert_true(gets_through(actions, watch, "stop", reason));
    assert_string_equal(reason, "no_answer"); /* of a vehicle that does not run */
}

/* Paired while it runs: it listens beyond this machine. Revoked: the pictures end,
 * and so do the actions, also through a connection that was there before. */
static void pairing_and_revoking_count_at_once(void **unused)
{
    (void)unused;
    char reason[32];
    const struct sl_keys_pair laptop = fresh_pair();
    struct sl_keys_pair vehicle;
    start_net(NULL, NULL);
    assert_true(program_said(&net, "broadcasting on tcp://127.0.0.1:"));
    program_must_say(&net, "nobody is paired");
    assert_int_equal(sl_keys_own(keys, SL_KEYS_OF_VEHICLE, &vehicle, &err), 0);
    void *own = connect_as(ZMQ_SUB, broadcast_at, OWN);
    assert_true(hears(own, 5000));
    allow(&laptop, SL_ROLE_DRIVER, "laptop");
    const uint64_t paired_ns = sl_clock_now_ns();
    program_must_say(&net, "broadcasting on tcp://0.0.0.0:");
    assert_true(sl_clock_now_ns() - paired_ns < PATIENCE_NS);
    void *watch = connect_with(ZMQ_SUB, broadcast_at, &laptop, vehicle.public_key);
    void *actions = connect_with(ZMQ_PUB, actions_at, &laptop, vehicle.public_key);
    assert_true(gets_through(actions, watch, "ping", reason));
    cJSON_Delete(next_state(own)); /* who was there before is there again */
    assert_int_equal(sl_keys_remove(keys, SL_KEYS_ALLOWED, "laptop", &err), 0);
    send_action(actions, own, "too-late", "ping");
    answer_of(own, "too-late", SL_NS_PER_S, reason);
    assert_string_equal(reason, "");
    while (hears(watch, 0)) { /* what was under way */
        char bytes[16];
        zmq_recv(watch, bytes, sizeof bytes, 0);
    }
    assert_false(hears(watch, SILENCE_MS));
    assert_false(gets_through(actions, own, "ping", reason));
    program_must_say_again(&net, "nobody is paired", 2);
}

static void without_keys_everybody_sees_that(void **unused)
{
    (void)unused;
    char reason[32];
    start_net("--insecure", NULL);
    program_must_say(&net, "no keys (--insecure)");
    void *watch = connect_as(ZMQ_SUB, broadcast_at, NOTHING);
    void *actions = connect_as(ZMQ_PUB, actions_at, NOTHING);
    cJSON *state = next_state(watch);
    assert_true(cJSON_IsTrue(cJSON_GetObjectItem(state, "insecure")));
    cJSON_Delete(state);
    assert_true(gets_through(actions, watch, "ping", reason));
    assert_true(program_said(&net, "broadcasting on tcp://127.0.0.1:"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(strangers_see_nothing, begin, end),
        cmocka_unit_test_setup_teardown(strangers_command_nothing, begin, end),
        cmocka_unit_test_setup_teardown(strangers_are_not_answered_by_a_detection_server, begin,
                                        end),
        cmocka_unit_test_setup_teardown(viewers_watch_and_stop, begin, end),
        cmocka_unit_test_setup_teardown(pairing_and_revoking_count_at_once, begin, end),
        cmocka_unit_test_setup_teardown(without_keys_everybody_sees_that, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
