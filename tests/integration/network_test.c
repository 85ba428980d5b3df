/* skylane net with real sockets, a real vehicle and a real simulator: what it
 * sends, what can be asked of it, and what cannot. */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include <cjson/cJSON.h>
#include <zmq.h>

#include "hal/camera/image.h"
#include "net/guard.h"
#include "net/link.h"
#include "rt/clock.h"
#include "tests/integration/programs.h"

#define SETTINGS SL_SOURCE_DIR "/board/sim/skylane.ini"
#define PATIENT  "safety.miss_limit=1000000"
#define LEASE    "safety.lease_ms=500"
#define SCALE    4 /* net.preview_scale and net.preview_rate_hz, as they are by themselves */
#define RATE_HZ  10

static struct program sim, run, net;
static void *context, *watch, *actions;
static char broadcast_at[96], actions_at[96];
static unsigned long long seq;

struct message {
    char topic[16];
    cJSON *metadata;
    uint8_t *payload;
    size_t size;
};

static void start_net(void)
{
    program_start(&net, NULL, "net", "--config", SETTINGS, "--broadcast", broadcast_at, "--actions",
                  actions_at, NULL);
}

static void connect_all(const char *topics)
{
    watch = zmq_socket(context, ZMQ_SUB);
    actions = zmq_socket(context, ZMQ_PUB);
    struct sl_error err;
    if (sl_guard_present(watch, broadcast_at, false, &err) != 0 ||
        sl_guard_present(actions, actions_at, false, &err) != 0)
        fail_msg("%s", err.text);
    assert_int_equal(sl_link_set(watch, ZMQ_RCVTIMEO, 20000), 0);
    assert_int_equal(sl_link_set(actions, ZMQ_LINGER, 0), 0);
    assert_int_equal(zmq_connect(watch, broadcast_at), 0);
    assert_int_equal(zmq_setsockopt(watch, ZMQ_SUBSCRIBE, topics, strlen(topics)), 0);
    assert_int_equal(zmq_connect(actions, actions_at), 0);
}

static void disconnect_all(void)
{
    zmq_close(watch);
    zmq_close(actions);
}

static int begin(void **unused)
{
    (void)unused;
    programs_begin();
    /* In the folder of the buses: tests run side by side. */
    snprintf(broadcast_at, sizeof broadcast_at, "ipc://%s/broadcast", getenv("SKYLANE_BUS_DIR"));
    snprintf(actions_at, sizeof actions_at, "ipc://%s/actions", getenv("SKYLANE_BUS_DIR"));
    context = zmq_ctx_new();
    seq = 0;
    start_net();
    return 0;
}

static int end(void **unused)
{
    (void)unused;
    program_stop(&net);
    program_stop(&run);
    program_stop(&sim);
    disconnect_all();
    zmq_ctx_term(context);
    programs_end();
    return 0;
}

static void drive(void)
{
    program_start(&sim, NULL, "sim", "--headless", "--track", "oval", "--rate", "30", NULL);
    program_start(&run, NULL, "run", "--quiet", "--config", SETTINGS, "-o", PATIENT, NULL);
}

/* The next message; three parts, as every one has to be. */
static struct message next(void)
{
    static char bytes[1 << 20];
    struct message m = {0};
    for (int i = 0; i < 3; i++) {
        int more = 0;
        size_t length = sizeof more;
        const int size = zmq_recv(watch, bytes, sizeof bytes, 0);
        if (size < 0)
            fail_msg("nothing was sent: %s", zmq_strerror(zmq_errno()));
        assert_true((size_t)size <= sizeof bytes);
        assert_int_equal(zmq_getsockopt(watch, ZMQ_RCVMORE, &more, &length), 0);
        assert_int_equal(more != 0, i < 2);
        if (i == 0) {
            assert_true((size_t)size < sizeof m.topic);
            memcpy(m.topic, bytes, (size_t)size);
        } else if (i == 1) {
            m.metadata = cJSON_ParseWithLength(bytes, (size_t)size);
            assert_non_null(m.metadata);
        } else {
            m.payload = malloc((size_t)size + 1);
            m.size = (size_t)size;
            assert_non_null(m.payload);
            memcpy(m.payload, bytes, (size_t)size);
        }
    }
    return m;
}

static void drop(struct message *m)
{
    cJSON_Delete(m->metadata);
    free(m->payload);
    memset(m, 0, sizeof *m);
}

static struct message next_of(const char *topic)
{
    for (;;) {
        struct message m = next();
        if (strcmp(m.topic, topic) == 0)
            return m;
        drop(&m);
    }
}

static const cJSON *item(const cJSON *from, const char *key)
{
    const cJSON *found = cJSON_GetObjectItemCaseSensitive(from, key);
    if (found == NULL)
        fail_msg("there is no \"%s\"", key);
    return found;
}

static double number(const cJSON *from, const char *key)
{
    const cJSON *found = item(from, key);
    assert_true(cJSON_IsNumber(found));
    return found->valuedouble;
}

static const char *text(const cJSON *from, const char *key)
{
    const cJSON *found = item(from, key);
    assert_true(cJSON_IsString(found));
    return found->valuestring;
}

/* Waits for a state in which the vehicle is in this mode. */
static void await_mode(const char *mode)
{
    const uint64_t give_up = sl_clock_now_ns() + 40 * SL_NS_PER_S;
    for (bool reached = false; !reached;) {
        struct message m = next_of("state");
        const cJSON *now = cJSON_GetObjectItemCaseSensitive(m.metadata, "mode");
        reached = cJSON_IsString(now) && strcmp(now->valuestring, mode) == 0;
        drop(&m);
        if (sl_clock_now_ns() > give_up)
            fail_msg("the vehicle does not get into the mode \"%s\"", mode);
    }
}

static void send_text(const char *metadata)
{
    zmq_send(actions, "action", 6, ZMQ_SNDMORE);
    zmq_send(actions, metadata, strlen(metadata), ZMQ_SNDMORE);
    zmq_send(actions, "", 0, 0);
}

/* Asks, and again until it is heard (a PUB socket that is just connecting drops
 * what it is given); writes the answer's text to `said` and what was sent to
 * `sent`. True if it was accepted. */
static bool ask(const char *client, const char *name, const char *args, char said[256],
                char sent[1024])
{
    char id[32];
    const uint64_t give_up = sl_clock_now_ns() + 20 * SL_NS_PER_S;
    snprintf(id, sizeof id, "%s-%llu", client, ++seq);
    uint64_t asked_ns = 0;
    for (;;) {
        struct message m = next_of("state");
        const cJSON *answer;
        cJSON_ArrayForEach(answer, item(m.metadata, "answers"))
        {
            if (strcmp(text(answer, "id"), id) != 0)
                continue;
            const bool accepted = cJSON_IsTrue(item(answer, "accepted"));
            snprintf(said, 256, "%s: %s", text(answer, "reason"), text(answer, "text"));
            drop(&m);
            return accepted;
        }
        if (sl_clock_now_ns() > asked_ns + SL_NS_PER_S) {
            snprintf(sent, 1024,
                     "{\"v\":1,\"session\":\"%s\",\"id\":\"%s\",\"name\":\"%s\",\"seq\":%llu,"
                     "\"issued_ns\":%.0f,\"expires_ms\":2000,\"client\":\"%s\",\"args\":{%s}}",
                     text(m.metadata, "session"), id, name, ++seq, number(m.metadata, "sent_ns"),
                     client, args);
            send_text(sent);
            asked_ns = sl_clock_now_ns();
        }
        drop(&m);
        if (sl_clock_now_ns() > give_up)
            fail_msg("%s is not answered", name);
    }
}

static void sends_what_the_vehicle_sees(void **unused)
{
    (void)unused;
    connect_all("");
    drive();
    await_mode("driving");
    struct message frame = next_of("frame"), lane = {0};
    assert_string_equal(text(frame.metadata, "format"), "jpeg");
    assert_true(frame.size > 2 && frame.payload[0] == 0xff && frame.payload[1] == 0xd8);
    assert_true(number(frame.metadata, "v") == 1);
    assert_int_equal(strlen(text(frame.metadata, "session")), 16);
    assert_true(number(frame.metadata, "exposed_ns") <= number(frame.metadata, "published_ns"));
    assert_true(number(frame.metadata, "published_ns") <= number(frame.metadata, "encoded_ns"));
    assert_true(number(frame.metadata, "encoded_ns") <= number(frame.metadata, "sent_ns"));
    /* The frame's own lane comes, too. */
    const double id = number(frame.metadata, "frame_id");
    for (int i = 0; i < 60; i++) {
        lane = next_of("detection");
        assert_true(number(lane.metadata, "finished_ns") <= number(lane.metadata, "sent_ns"));
        if (number(lane.metadata, "frame_id") >= id)
            break;
        drop(&lane);
    }
    assert_true(number(lane.metadata, "frame_id") <= id + 60);
    assert_true(number(lane.metadata, "frame_width_px") == number(frame.metadata, "width_px"));
    assert_true(cJSON_GetArraySize(item(item(lane.metadata, "left"), "points_px")) > 2);
    drop(&frame);
    drop(&lane);
    struct message trace = next_of("trace");
    const cJSON *stages = item(trace.metadata, "stages");
    assert_true(number(item(stages, "camera_to_actuator"), "p99_us") > 0);
    drop(&trace);
    /* The vehicle's program ends: said, not hidden. */
    program_stop(&run);
    const uint64_t give_up = sl_clock_now_ns() + 5 * SL_NS_PER_S;
    for (bool connected = true; connected && sl_clock_now_ns() < give_up;) {
        struct message m = next_of("state");
        connected = cJSON_IsTrue(item(m.metadata, "connected"));
        drop(&m);
        if (!connected)
            return;
    }
    fail_msg("the state does not say that the vehicle is gone");
}

static void does_what_it_is_asked(void **unused)
{
    (void)unused;
    char said[256], sent[1024];
    connect_all("state");
    drive();
    await_mode("driving");
    assert_true(ask("ann", "pause", "", said, sent));
    await_mode("paused");
    assert_false(ask("ann", "pause", "", said, sent));
    assert_non_null(strstr(said, "refused: pause was refused"));
    assert_false(ask("bob", "resume", "", said, sent));
    assert_non_null(strstr(said, "not_driver: local/ann drives"));
    assert_true(ask("bob", "drive", "", said, sent));
    assert_true(ask("bob", "resume", "", said, sent));
    await_mode("driving");
    /* Sent again, as somebody might who recorded it. */
    assert_true(ask("bob", "pause", "", said, sent));
    await_mode("paused");
    char again[1024];
    assert_true(ask("bob", "resume", "", said, again));
    await_mode("driving");
    for (int i = 0; i < 20; i++)
        send_text(sent);
    assert_true(ask("bob", "ping", "\"client_ns\":5", said, again));
    struct message m = next_of("state");
    assert_string_equal(text(m.metadata, "mode"), "driving");
    assert_true(number(item(item(m.metadata, "sends"), "refused"), "replayed") >= 20);
    assert_string_equal(text(m.metadata, "driver"), "local/bob");
    drop(&m);
    assert_true(ask("bob", "set", "\"key\":\"control.speed_mps\",\"value\":3", said, sent));
    assert_false(ask("bob", "set", "\"key\":\"control.speed_mps\",\"value\":300", said, sent));
    assert_false(ask("bob", "set", "\"key\":\"bus.state\",\"value\":\"x\"", said, sent));
    for (bool told = false; !told;) {
        m = next_of("state");
        const cJSON *setting;
        cJSON_ArrayForEach(setting, cJSON_GetObjectItemCaseSensitive(m.metadata, "settings"))
        {
            if (strcmp(text(setting, "key"), "control.speed_mps") == 0) {
                assert_true(number(setting, "value") == 3);
                told = true;
            }
        }
        drop(&m);
    }
    assert_true(ask("eve", "stop", "", said, sent)); /* whoever drives */
    await_mode("safe_stop");
}

/* Bytes that are no actions, many at a time: counted, and nothing else happens. */
static void garbage_changes_nothing(void **unused)
{
    (void)unused;
    static char large[100000];
    char said[256], sent[1024];
    connect_all("state");
    drive();
    await_mode("driving");
    assert_true(ask("ann", "ping", "\"client_ns\":5", said, sent));
    for (int i = 0; i < 3000; i++) {
        send_text(i % 2 == 0 ? "{\"id\":" : "\xff\xfe\x01");
        zmq_send(actions, "action", 6, 0);
        zmq_send(actions, "actionable", 10, ZMQ_SNDMORE);
        zmq_send(actions, "{}", 2, 0);
        for (int part = 0; part < 9; part++)
            zmq_send(actions, "action", 6, part < 8 ? ZMQ_SNDMORE : 0);
    }
    assert_true(ask("ann", "ping", "\"client_ns\":6", said, sent));
    struct message m = next_of("state");
    const cJSON *refused = item(item(m.metadata, "sends"), "refused");
    assert_true(number(refused, "garbage") >= 100); /* of what the queue took */
    assert_string_equal(text(m.metadata, "mode"), "driving");
    drop(&m);
    /* Larger than it may be: the connection ends, others' do not, and it comes back. */
    memset(large, ' ', sizeof large);
    zmq_send(actions, "action", 6, ZMQ_SNDMORE);
    zmq_send(actions, large, sizeof large, 0);
    assert_true(ask("ann", "pause", "", said, sent));
    await_mode("paused");
}

/* With a lease the vehicle drives only while somebody permits it, and stops when that
 * somebody is gone, or the network process is. */
static void drives_only_while_permitted(void **unused)
{
    (void)unused;
    char said[256], sent[1024];
    program_stop(&net);
    program_start(&net, NULL, "net", "--config", SETTINGS, "--broadcast", broadcast_at, "--actions",
                  actions_at, "-o", LEASE, NULL);
    connect_all("state");
    program_start(&sim, NULL, "sim", "--headless", "--track", "oval", "--rate", "30", NULL);
    program_start(&run, NULL, "run", "--quiet", "--config", SETTINGS, "-o", PATIENT, "-o", LEASE,
                  NULL);
    await_mode("armed"); /* at the start, as the simulator's settings want; and so it stays */
    struct message m = next_of("state");
    assert_true(number(item(m.metadata, "lease"), "demanded_ms") == 500);
    assert_true(number(item(m.metadata, "lease"), "left_ms") == 0);
    drop(&m);
    const uint64_t began = sl_clock_now_ns();
    bool drove = false;
    while (sl_clock_now_ns() < began + 3 * SL_NS_PER_S) {
        assert_true(ask("ann", "permit", "", said, sent));
        m = next_of("state");
        drove = drove || strcmp(text(m.metadata, "mode"), "driving") == 0;
        assert_true(number(item(m.metadata, "lease"), "left_ms") > 0);
        drop(&m);
    }
    assert_true(drove);
    assert_false(ask("bob", "permit", "", said, sent)); /* only who drives can */
    await_mode("safe_stop");
    m = next_of("state");
    assert_string_equal(text(m.metadata, "stop_reason"), "link_lost");
    drop(&m);
    const uint64_t give_up = sl_clock_now_ns() + 5 * SL_NS_PER_S;
    do { /* it may still roll */
        assert_true(sl_clock_now_ns() < give_up);
        assert_false(ask("ann", "arm", "", said, sent));
    } while (strstr(said, "permitted driving") == NULL);
}

/* The control process writes to its own terminal; others read it here. */
static void tells_what_control_logs(void **unused)
{
    (void)unused;
    struct program other;
    connect_all("state");
    drive();
    await_mode("driving");
    zmq_setsockopt(watch, ZMQ_UNSUBSCRIBE, "state", 5);
    zmq_setsockopt(watch, ZMQ_SUBSCRIBE, "log", 3);
    program_start(&other, NULL, "action", "set", "control.speed_mps=3", NULL);
    assert_int_equal(program_wait(&other, 10), 0);
    program_start(&other, NULL, "action", "stop", NULL);
    assert_int_equal(program_wait(&other, 10), 0);
    static const char *const WANTED[][2] = {{"info", "set: control.speed_mps=3"},
                                            {"warning", "safe stop: a stop was requested"}};
    for (int i = 0; i < 2;) {
        struct message m = next_of("log");
        assert_true(number(m.metadata, "at_ns") > 0);
        if (strncmp(text(m.metadata, "text"), WANTED[i][1], strlen(WANTED[i][1])) == 0) {
            assert_string_equal(text(m.metadata, "level"), WANTED[i][0]);
            i++;
        }
        drop(&m);
    }
}

/* Nobody watches: nothing is encoded. Killed and started again: watchers go on. */
static void sends_only_to_those_who_watch(void **unused)
{
    (void)unused;
    connect_all("state");
    drive();
    await_mode("driving");
    struct message m = next_of("state");
    assert_true(number(item(m.metadata, "sends"), "frames_sent") == 0);
    drop(&m);
    zmq_setsockopt(watch, ZMQ_SUBSCRIBE, "frame", 5);
    m = next_of("frame");
    drop(&m);
    zmq_setsockopt(watch, ZMQ_UNSUBSCRIBE, "frame", 5);
    double before = -1, now = 0;
    for (int i = 0; i < 40 && now != before; i++) {
        before = now;
        for (int k = 0; k < 10; k++) {
            m = next_of("state");
            now = number(item(m.metadata, "sends"), "frames_sent");
            drop(&m);
        }
    }
    assert_true(now > 0 && now == before);
    m = next_of("state");
    char session[17];
    snprintf(session, sizeof session, "%s", text(m.metadata, "session"));
    drop(&m);
    program_signal(&net, SIGKILL);
    program_wait(&net, 10);
    start_net();
    for (bool other = false; !other;) {
        m = next_of("state");
        other = strcmp(text(m.metadata, "session"), session) != 0;
        drop(&m);
    }
    await_mode("driving");
}

/* A paired client that subscribes and takes it back, as fast as it can. */
struct flood {
    pthread_t thread;
    atomic_bool stop;
    atomic_int sent;
};

static void *flood(void *argument)
{
    struct flood *f = argument;
    char bytes[1000]; /* long ones take the longest to note down */
    struct sl_error err;
    setpriority(PRIO_PROCESS, (id_t)gettid(), 19); /* on a car, it is another machine's work */
    void *own = zmq_ctx_new();
    void *socket = zmq_socket(own, ZMQ_XSUB);
    if (sl_guard_present(socket, broadcast_at, false, &err) == 0 &&
        sl_link_set(socket, ZMQ_SNDTIMEO, 100) == 0 && sl_link_set(socket, ZMQ_LINGER, 0) == 0 &&
        zmq_connect(socket, broadcast_at) == 0)
        while (!f->stop) {
            memset(bytes, 'a' + f->sent / 2 % 20, sizeof bytes);
            bytes[0] = f->sent % 2 == 0;
            f->sent += zmq_send(socket, bytes, sizeof bytes, 0) > 0;
        }
    zmq_close(socket);
    zmq_ctx_term(own);
    return NULL;
}

static void subscriptions_without_end_hold_nothing_up(void **unused)
{
    (void)unused;
    static struct flood f; /* goes on when this test fails */
    char said[256], sent[1024];
    connect_all("");
    drive();
    await_mode("driving");
    assert_true(ask("ann", "ping", "\"client_ns\":5", said, sent));
    assert_int_equal(pthread_create(&f.thread, NULL, flood, &f), 0);
    while (f.sent < 10000) {
        struct message m = next();
        drop(&m);
    }
    for (int i = 0; i < 60; i++) { /* each within next()'s patience */
        struct message m = next_of("frame");
        drop(&m);
    }
    assert_true(ask("ann", "ping", "\"client_ns\":6", said, sent));
    f.stop = true;
    pthread_join(f.thread, NULL);
}

static void topic(int option, const char *name)
{
    assert_int_equal(zmq_setsockopt(watch, option, name, strlen(name)), 0);
}

/* A picture's luma in `out`, as large as its metadata says. */
static void decode(const struct message *m, uint8_t *out, size_t room, struct sl_frame_info *info)
{
    struct sl_error err = {0};
    struct sl_image_decoder *decoder = sl_image_decoder_create();
    assert_non_null(decoder);
    memset(info, 0, sizeof *info);
    if (sl_image_decode(decoder, m->payload, m->size, SL_FORMAT_GRAY8, out, room, info, &err) != 0)
        fail_msg("%s", err.text);
    sl_image_decoder_destroy(decoder);
    assert_true(info->width_px == number(m->metadata, "width_px"));
    assert_true(info->height_px == number(m->metadata, "height_px"));
}

/* The same frame as both topics have it: the preview is what the frame looks like from
 * farther away. Mean difference of a pixel, in steps of 255. */
static double differ(const struct message *frame, const struct message *preview)
{
    static uint8_t large[1 << 20], little[1 << 16];
    struct sl_frame_info full, small;
    decode(frame, large, sizeof large, &full);
    decode(preview, little, sizeof little, &small);
    assert_int_equal(small.width_px, full.width_px / SCALE);
    assert_int_equal(small.height_px, full.height_px / SCALE);
    double sum = 0;
    for (uint32_t y = 0; y < small.height_px; y++) {
        for (uint32_t x = 0; x < small.width_px; x++) {
            double box = 0;
            for (uint32_t i = 0; i < SCALE * SCALE; i++)
                box += large[(y * SCALE + i / SCALE) * full.width_px + x * SCALE + i % SCALE];
            const double off = box / (SCALE * SCALE) - little[y * small.width_px + x];
            sum += off < 0 ? -off : off;
        }
    }
    return sum / (small.width_px * small.height_px);
}

static double sends(const char *outer, const char *inner)
{
    struct message m = next_of("state");
    const cJSON *all = item(m.metadata, "sends");
    const double value = inner == NULL ? number(all, outer) : number(item(all, outer), inner);
    drop(&m);
    return value;
}

/* Small pictures: nothing is done for them unless somebody wants them, and whoever wants
 * them alone gets no large ones. */
static void sends_previews_to_those_who_want_them(void **unused)
{
    (void)unused;
    connect_all("state");
    drive();
    await_mode("driving");
    assert_true(sends("preview", "sent") == 0);
    topic(ZMQ_SUBSCRIBE, "preview");
    struct message m = next_of("preview"), frame = {0};
    assert_string_equal(text(m.metadata, "format"), "jpeg");
    assert_true(number(m.metadata, "source_width_px") == SCALE * number(m.metadata, "width_px"));
    assert_true(number(m.metadata, "source_height_px") == SCALE * number(m.metadata, "height_px"));
    assert_true(number(m.metadata, "exposed_ns") <= number(m.metadata, "published_ns"));
    assert_true(number(m.metadata, "published_ns") <= number(m.metadata, "encoded_ns"));
    const double began_ns = number(m.metadata, "sent_ns"), began_seq = number(m.metadata, "seq");
    for (int i = 0; i < 20; i++) {
        drop(&m);
        m = next_of("preview");
    }
    const double hz = (number(m.metadata, "seq") - began_seq) /
                      (number(m.metadata, "sent_ns") - began_ns) * (double)SL_NS_PER_S;
    assert_true(hz > RATE_HZ * 0.6 && hz < RATE_HZ * 1.1);
    drop(&m);
    assert_true(sends("frames_sent", NULL) == 0);
    /* How they arrive says nothing about the large ones. */
    for (double rate_hz = RATE_HZ; rate_hz >= RATE_HZ;) {
        char report[512];
        m = next_of("state");
        snprintf(report, sizeof report,
                 "{\"v\":1,\"session\":\"%s\",\"id\":\"r%llu\",\"name\":\"report\","
                 "\"seq\":%llu,\"issued_ns\":%.0f,\"expires_ms\":2000,\"client\":\"ann\","
                 "\"args\":{\"topic\":\"preview\",\"age_ms\":400,\"shown_hz\":9}}",
                 text(m.metadata, "session"), seq, seq, number(m.metadata, "sent_ns"));
        drop(&m);
        seq++;
        send_text(report);
        rate_hz = sends("preview", "rate_hz");
    }
    assert_true(sends("rate_hz", NULL) == 30);
    /* Both of one frame. */
    topic(ZMQ_SUBSCRIBE, "frame");
    double difference = -1;
    for (int i = 0; i < 1000 && difference < 0; i++) {
        m = next();
        if (strcmp(m.topic, "preview") == 0 && frame.metadata != NULL &&
            number(m.metadata, "frame_id") == number(frame.metadata, "frame_id"))
            difference = differ(&frame, &m);
        if (strcmp(m.topic, "frame") == 0) {
            drop(&frame);
            frame = m;
        } else {
            drop(&m);
        }
    }
    drop(&frame);
    assert_true(difference >= 0 && difference < 3);
    topic(ZMQ_UNSUBSCRIBE, "frame");
    topic(ZMQ_UNSUBSCRIBE, "preview");
    double before = -1, now = sends("preview", "sent");
    for (int i = 0; i < 40 && now != before; i++) {
        before = now;
        for (int k = 0; k < 10; k++)
            now = sends("preview", "sent");
    }
    assert_true(now > 20 && now == before);
}

static void refuses_in_words(void **unused)
{
    (void)unused;
    connect_all("state");
    struct message m = next_of("state"); /* the first has its sockets */
    assert_false(cJSON_IsTrue(item(m.metadata, "connected")));
    drop(&m);
    struct program other;
    program_start(&other, NULL, "net", "--insecure", "--broadcast", "tcp://192.0.2.1:5557", NULL);
    assert_int_equal(program_wait(&other, 10), 1);
    assert_true(program_said(&other, "could be reached by everybody"));
    program_start(&other, NULL, "net", "--broadcast", "udp", NULL);
    assert_int_equal(program_wait(&other, 10), 1);
    program_start(&other, NULL, "net", "--brodcast", "x", NULL);
    assert_int_equal(program_wait(&other, 10), 2);
    assert_true(program_said(&other, "--broadcast"));
    program_start(&other, NULL, "net", "--broadcast", "tcp://127.0.0.1:99999", NULL);
    assert_int_equal(program_wait(&other, 10), 1);
    assert_true(program_said(&other, "is no endpoint"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(sends_what_the_vehicle_sees, begin, end),
        cmocka_unit_test_setup_teardown(does_what_it_is_asked, begin, end),
        cmocka_unit_test_setup_teardown(drives_only_while_permitted, begin, end),
        cmocka_unit_test_setup_teardown(tells_what_control_logs, begin, end),
        cmocka_unit_test_setup_teardown(garbage_changes_nothing, begin, end),
        cmocka_unit_test_setup_teardown(sends_only_to_those_who_watch, begin, end),
        cmocka_unit_test_setup_teardown(sends_previews_to_those_who_want_them, begin, end),
        cmocka_unit_test_setup_teardown(subscriptions_without_end_hold_nothing_up, begin, end),
        cmocka_unit_test_setup_teardown(refuses_in_words, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
