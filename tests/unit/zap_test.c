/* Who gets through to a guarded socket, over real sockets on loopback: paired
 * keys do; unknown keys, other mechanisms and a wrong idea of the vehicle do
 * not; and a list that changes counts at once. */
#include "keys_folder.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>

#include "net/zap.h"
#include "rt/clock.h"

#define PATIENCE_MS 5000 /* for what must come */
#define SILENCE_MS  400  /* for what must not; an allowed client takes some 20 ms */

static char folder[128];
static struct sl_keys_pair vehicle, driver, viewer, stranger;
static struct sl_error err;
static struct sl_zap *zap;
static void *context, *clients; /* the vehicle's, and one that stands for other machines */

/* Those that are open: a test that fails leaves some, and contexts wait for them. */
static void *sockets[16];
#define SOCKETS (sizeof sockets / sizeof sockets[0])

/* ---- helpers ---- */

static void shut(void *socket)
{
    for (size_t i = 0; i < SOCKETS; i++)
        if (sockets[i] == socket)
            sockets[i] = NULL;
    zmq_close(socket);
}

static int begin(void **unused)
{
    (void)unused;
    keys_folder_begin(folder, sizeof folder);
    if (sl_keys_own(folder, SL_KEYS_OF_VEHICLE, &vehicle, &err) != 0)
        fail_msg("%s", err.text);
    driver = keys_fresh();
    viewer = keys_fresh();
    stranger = keys_fresh();
    keys_allow(folder, driver.public_key, SL_ROLE_DRIVER, "anna@laptop");
    keys_allow(folder, viewer.public_key, SL_ROLE_VIEWER, "bert");
    context = zmq_ctx_new();
    clients = zmq_ctx_new();
    if (sl_zap_start(&zap, context, folder, NULL, &err) != 0)
        fail_msg("%s", err.text);
    return 0;
}

static int end(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < SOCKETS; i++)
        if (sockets[i] != NULL)
            shut(sockets[i]);
    sl_zap_stop(zap);
    zap = NULL;
    zmq_ctx_term(clients);
    zmq_ctx_term(context);
    keys_folder_end(folder);
    return 0;
}

static void set(void *socket, int option, int value)
{
    assert_int_equal(zmq_setsockopt(socket, option, &value, sizeof value), 0);
}

static void *socket_of(void *of, int type)
{
    void *socket = zmq_socket(of, type);
    size_t free_place = 0;
    assert_non_null(socket);
    while (sockets[free_place] != NULL)
        assert_true(++free_place < SOCKETS);
    sockets[free_place] = socket;
    set(socket, ZMQ_LINGER, 0);
    if (type == ZMQ_SUB)
        assert_int_equal(zmq_setsockopt(socket, ZMQ_SUBSCRIBE, "", 0), 0);
    return socket;
}

/* A guarded socket of the vehicle's, and where it listens. */
static void *guarded(int type, char endpoint[64])
{
    size_t size = 64;
    void *socket = socket_of(context, type);
    if (sl_zap_guard(zap, socket, &vehicle, &err) != 0)
        fail_msg("%s", err.text);
    assert_int_equal(zmq_bind(socket, "tcp://127.0.0.1:*"), 0);
    assert_int_equal(zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, endpoint, &size), 0);
    return socket;
}

static void *client(int type, const struct sl_keys_pair *own, const char *endpoint)
{
    void *socket = socket_of(clients, type);
    if (own != NULL && sl_zap_present(socket, own, vehicle.public_key, &err) != 0)
        fail_msg("%s", err.text);
    assert_int_equal(zmq_connect(socket, endpoint), 0);
    return socket;
}

static bool readable(void *socket, long ms)
{
    zmq_pollitem_t item = {.socket = socket, .events = ZMQ_POLLIN};
    return zmq_poll(&item, 1, ms) > 0;
}

/* Receives one message and says whose it is; the text it held. */
static int receive(void *socket, char text[32], struct sl_keys_entry *from)
{
    zmq_msg_t message;
    zmq_msg_init(&message);
    assert_true(zmq_msg_recv(&message, socket, ZMQ_DONTWAIT) >= 0);
    assert_true(zmq_msg_size(&message) < 32);
    memcpy(text, zmq_msg_data(&message), zmq_msg_size(&message));
    text[zmq_msg_size(&message)] = '\0';
    const int rc = sl_zap_user(zap, zmq_msg_gets(&message, SL_ZAP_USER_ID), from);
    zmq_msg_close(&message);
    return rc;
}

/* Sends from a PUB until something arrives at the SUB. */
static bool gets_through(void *pub, void *sub, const char *text, long ms)
{
    const uint64_t until_ns = sl_clock_now_ns() + (uint64_t)ms * SL_NS_PER_MS;
    while (sl_clock_now_ns() < until_ns) {
        assert_true(zmq_send(pub, text, strlen(text), ZMQ_DONTWAIT) >= 0);
        if (readable(sub, 10))
            return true;
    }
    return false;
}

static void drain(void *socket)
{
    char text[32];
    while (readable(socket, 50))
        (void)receive(socket, text, NULL);
}

static struct sl_zap_counts counts(void)
{
    struct sl_zap_counts now;
    sl_zap_counts(zap, &now);
    return now;
}

/* ---- who is let in ---- */

static void actions_tell_who_sent_them(void **unused)
{
    (void)unused;
    char endpoint[64], text[32];
    struct sl_keys_entry from;
    void *sub = guarded(ZMQ_SUB, endpoint);
    void *pub = client(ZMQ_PUB, &driver, endpoint);
    assert_true(gets_through(pub, sub, "arm", PATIENCE_MS));
    assert_int_equal(receive(sub, text, &from), 0);
    assert_string_equal(text, "arm");
    assert_int_equal(from.role, SL_ROLE_DRIVER);
    assert_string_equal(from.name, "anna@laptop");
    assert_string_equal(from.public_key, driver.public_key);
    shut(pub);
    drain(sub);
    pub = client(ZMQ_PUB, &viewer, endpoint);
    assert_true(gets_through(pub, sub, "stop", PATIENCE_MS));
    assert_int_equal(receive(sub, text, &from), 0);
    assert_int_equal(from.role, SL_ROLE_VIEWER);
    assert_string_equal(from.name, "bert");
    assert_int_equal(counts().accepted, 2);
    assert_int_equal(counts().denied + counts().malformed, 0);
    shut(pub);
    shut(sub);
}

static void broadcasts_reach_who_subscribes(void **unused)
{
    (void)unused;
    char endpoint[64], text[32];
    struct sl_keys_entry from;
    void *xpub = guarded(ZMQ_XPUB, endpoint);
    void *sub = client(ZMQ_SUB, &viewer, endpoint);
    assert_true(readable(xpub, PATIENCE_MS));
    assert_int_equal(receive(xpub, text, &from), 0); /* the subscription */
    assert_string_equal(text, "\x01");
    assert_string_equal(from.name, "bert");
    assert_true(gets_through(xpub, sub, "state", PATIENCE_MS));
    shut(sub);
    shut(xpub);
}

/* Nothing arrives from `bad`, either way; and the sockets work, for a good one does. */
static void must_stay_outside(void *bad_pub, void *bad_sub, void *sub, void *xpub,
                              const char *actions)
{
    char text[32];
    assert_false(gets_through(bad_pub, sub, "bad", SILENCE_MS));
    assert_false(readable(xpub, 0)); /* not even its subscription */
    assert_false(gets_through(xpub, bad_sub, "secret", SILENCE_MS));
    shut(bad_pub);
    shut(bad_sub);
    void *good = client(ZMQ_PUB, &driver, actions);
    assert_true(gets_through(good, sub, "good", PATIENCE_MS));
    assert_int_equal(receive(sub, text, NULL), 0);
    assert_string_equal(text, "good");
    shut(good);
}

enum bad { UNKNOWN_KEY, NO_MECHANISM, PLAIN, WRONG_VEHICLE, OWN_KEY_OF_VEHICLE, BADS };

static void *bad_client(int type, enum bad bad, const char *endpoint)
{
    void *socket = socket_of(clients, type);
    const struct sl_keys_pair other = keys_fresh();
    switch (bad) {
    case UNKNOWN_KEY:
        assert_int_equal(sl_zap_present(socket, &stranger, vehicle.public_key, &err), 0);
        break;
    case PLAIN:
        assert_int_equal(zmq_setsockopt(socket, ZMQ_PLAIN_USERNAME, "anna", 4), 0);
        assert_int_equal(zmq_setsockopt(socket, ZMQ_PLAIN_PASSWORD, "anna", 4), 0);
        break;
    case WRONG_VEHICLE:
        assert_int_equal(sl_zap_present(socket, &driver, other.public_key, &err), 0);
        break;
    case OWN_KEY_OF_VEHICLE:
        assert_int_equal(sl_zap_present(socket, &vehicle, vehicle.public_key, &err), 0);
        break;
    case NO_MECHANISM:
    case BADS:
        break;
    }
    assert_int_equal(zmq_connect(socket, endpoint), 0);
    return socket;
}

static void nobody_else_gets_in(void **unused)
{
    (void)unused;
    for (enum bad bad = 0; bad < BADS; bad++) {
        char actions[64], broadcast[64];
        const uint64_t denied = counts().denied;
        void *sub = guarded(ZMQ_SUB, actions), *xpub = guarded(ZMQ_XPUB, broadcast);
        must_stay_outside(bad_client(ZMQ_PUB, bad, actions), bad_client(ZMQ_SUB, bad, broadcast),
                          sub, xpub, actions);
        /* The others are turned away before anybody is asked. */
        if (bad == UNKNOWN_KEY || bad == OWN_KEY_OF_VEHICLE)
            assert_true(counts().denied > denied + 1);
        else
            assert_int_equal(counts().denied, denied);
        shut(sub);
        shut(xpub);
    }
}

static void without_a_handler_nobody_gets_in(void **unused)
{
    (void)unused;
    char endpoint[64];
    void *sub = guarded(ZMQ_SUB, endpoint);
    sl_zap_stop(zap);
    zap = NULL;
    void *pub = client(ZMQ_PUB, &driver, endpoint);
    assert_false(gets_through(pub, sub, "arm", SILENCE_MS));
    if (sl_zap_start(&zap, context, folder, NULL, &err) != 0)
        fail_msg("%s", err.text);
    shut(pub);
    pub = client(ZMQ_PUB, &driver, endpoint);
    assert_true(gets_through(pub, sub, "arm", PATIENCE_MS));
    shut(pub);
    shut(sub);
}

/* ---- a list that changes ---- */

static void the_revoked_are_dropped_at_once(void **unused)
{
    (void)unused;
    char endpoint[64], text[32];
    void *sub = guarded(ZMQ_SUB, endpoint);
    void *pub = client(ZMQ_PUB, &driver, endpoint), *other = client(ZMQ_PUB, &viewer, endpoint);
    assert_true(gets_through(pub, sub, "arm", PATIENCE_MS));
    assert_int_equal(receive(sub, text, NULL), 0);
    drain(sub);
    assert_true(gets_through(other, sub, "stop", PATIENCE_MS));
    drain(sub);
    const uint64_t revision = sl_zap_revision(zap);
    assert_int_equal(sl_zap_revision(zap), revision);
    assert_int_equal(sl_keys_remove(folder, SL_KEYS_ALLOWED, "anna@laptop", &err), 0);
    /* Its connection stands; what comes through it is refused. */
    assert_true(gets_through(pub, sub, "arm", PATIENCE_MS));
    assert_int_equal(receive(sub, text, NULL), -EPERM);
    assert_string_equal(text, "arm");
    assert_int_equal(sl_zap_revision(zap), revision + 1);
    shut(pub);
    drain(sub);
    pub = client(ZMQ_PUB, &driver, endpoint);
    assert_false(gets_through(pub, sub, "arm", SILENCE_MS));
    /* The others are not touched. */
    assert_true(gets_through(other, sub, "stop", PATIENCE_MS));
    assert_int_equal(receive(sub, text, NULL), 0);
    shut(pub);
    shut(other);
    shut(sub);
}

static void who_is_added_gets_in(void **unused)
{
    (void)unused;
    char endpoint[64], text[32];
    struct sl_keys_entry from;
    void *sub = guarded(ZMQ_SUB, endpoint);
    void *pub = client(ZMQ_PUB, &stranger, endpoint);
    assert_false(gets_through(pub, sub, "arm", SILENCE_MS));
    const uint64_t revision = sl_zap_revision(zap);
    keys_allow(folder, stranger.public_key, SL_ROLE_DRIVER, "carla");
    shut(pub);
    pub = client(ZMQ_PUB, &stranger, endpoint);
    assert_true(gets_through(pub, sub, "arm", PATIENCE_MS));
    assert_int_equal(receive(sub, text, &from), 0);
    assert_string_equal(from.name, "carla");
    assert_int_equal(sl_zap_revision(zap), revision); /* nothing was taken from anybody */
    shut(pub);
    shut(sub);
}

static void another_role_is_another_user(void **unused)
{
    (void)unused;
    char id[128];
    snprintf(id, sizeof id, "driver anna@laptop %s", driver.public_key);
    assert_int_equal(sl_zap_user(zap, id, NULL), 0);
    const uint64_t revision = sl_zap_revision(zap);
    keys_allow(folder, driver.public_key, SL_ROLE_VIEWER, "anna@laptop");
    assert_int_equal(sl_zap_user(zap, id, NULL), -EPERM);
    assert_int_equal(sl_zap_revision(zap), revision + 1);
    snprintf(id, sizeof id, "viewer anna@laptop %s", driver.public_key);
    assert_int_equal(sl_zap_user(zap, id, NULL), 0);
}

static void user_ids_are_read_strictly(void **unused)
{
    (void)unused;
    char id[256];
    struct sl_keys_entry from = {.name = "as it was"};
    static const char *const FORMS[] = {"", "driver", "driver anna@laptop", "anna@laptop driver"};
    assert_int_equal(sl_zap_user(zap, NULL, &from), -EPROTO);
    for (size_t i = 0; i < sizeof FORMS / sizeof FORMS[0]; i++)
        assert_int_equal(sl_zap_user(zap, FORMS[i], &from), -EPROTO);
    snprintf(id, sizeof id, "driver anna@laptop %s x", driver.public_key);
    assert_int_equal(sl_zap_user(zap, id, &from), -EPROTO);
    snprintf(id, sizeof id, "driver anna@laptop %sx", driver.public_key);
    assert_int_equal(sl_zap_user(zap, id, &from), -EPROTO);
    snprintf(id, sizeof id, "pilot anna@laptop %s", driver.public_key);
    assert_int_equal(sl_zap_user(zap, id, &from), -EPROTO);
    snprintf(id, sizeof id, "driver %0100d %s", 7, driver.public_key);
    assert_int_equal(sl_zap_user(zap, id, &from), -EPROTO);
    snprintf(id, sizeof id, "driver bert %s", driver.public_key); /* another's name */
    assert_int_equal(sl_zap_user(zap, id, &from), -EPERM);
    snprintf(id, sizeof id, "driver anna@laptop %s", stranger.public_key);
    assert_int_equal(sl_zap_user(zap, id, &from), -EPERM);
    assert_string_equal(from.name, "as it was");
}

static void a_list_that_cannot_be_trusted_allows_nobody(void **unused)
{
    (void)unused;
    char id[128], path[256];
    snprintf(id, sizeof id, "driver anna@laptop %s", driver.public_key);
    assert_int_equal(sl_keys_path(folder, SL_KEYS_ALLOWED, path, sizeof path), 0);
    assert_int_equal(sl_zap_list_good(zap, &err), 0);
    assert_int_equal(chmod(path, 0644), 0);
    assert_int_equal(sl_zap_user(zap, id, NULL), -EPERM);
    assert_int_equal(sl_zap_list_good(zap, &err), -EACCES);
    assert_non_null(strstr(err.text, "chmod 600"));
    assert_int_equal(chmod(path, 0600), 0);
    assert_int_equal(sl_zap_user(zap, id, NULL), 0);
    assert_int_equal(chmod(folder, 0777), 0);
    assert_int_equal(sl_zap_user(zap, id, NULL), -EPERM);
    assert_int_equal(chmod(folder, 0700), 0);
    assert_int_equal(sl_zap_user(zap, id, NULL), 0);
    FILE *to = fopen(path, "a");
    fputs("rubbish\n", to);
    fclose(to);
    assert_int_equal(sl_zap_user(zap, id, NULL), -EPERM);
    assert_int_equal(sl_zap_list_good(zap, &err), -EPROTO);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(sl_zap_user(zap, id, NULL), -EPERM);
    assert_int_equal(sl_zap_list_good(zap, &err), 0); /* nobody was paired: that is good */
    keys_allow(folder, driver.public_key, SL_ROLE_DRIVER, "anna@laptop");
    assert_int_equal(sl_zap_user(zap, id, NULL), 0);
}

static void while_the_list_is_broken_nobody_gets_in(void **unused)
{
    (void)unused;
    char endpoint[64], path[256];
    void *sub = guarded(ZMQ_SUB, endpoint);
    assert_int_equal(sl_keys_path(folder, SL_KEYS_ALLOWED, path, sizeof path), 0);
    assert_int_equal(chmod(path, 0640), 0);
    void *pub = client(ZMQ_PUB, &driver, endpoint);
    assert_false(gets_through(pub, sub, "arm", SILENCE_MS));
    assert_true(counts().denied > 0);
    shut(pub);
    assert_int_equal(chmod(path, 0600), 0);
    pub = client(ZMQ_PUB, &driver, endpoint);
    assert_true(gets_through(pub, sub, "arm", PATIENCE_MS));
    shut(pub);
    shut(sub);
}

/* ---- ZAP itself ---- */

struct part {
    const void *data;
    size_t size;
};

/* Asks the handler as libzmq would; the status of its answer, whose id must be `id`. */
static int ask(const struct part *parts, size_t count, const char *id, char user[128])
{
    void *req = socket_of(context, ZMQ_REQ);
    char answer[6][128];
    assert_int_equal(zmq_connect(req, "inproc://zeromq.zap.01"), 0);
    for (size_t i = 0; i < count; i++)
        assert_true(zmq_send(req, parts[i].data, parts[i].size, i + 1 < count ? ZMQ_SNDMORE : 0) >=
                    0);
    assert_true(readable(req, PATIENCE_MS));
    for (int i = 0; i < 6; i++) {
        int more = -1;
        size_t size = sizeof more;
        const int n = zmq_recv(req, answer[i], sizeof answer[i] - 1, 0);
        assert_in_range(n, 0, sizeof answer[i] - 1);
        answer[i][n] = '\0';
        assert_int_equal(zmq_getsockopt(req, ZMQ_RCVMORE, &more, &size), 0);
        assert_int_equal(more, i < 5);
    }
    assert_string_equal(answer[0], "1.0");
    assert_string_equal(answer[1], id);
    assert_string_equal(answer[5], "");
    snprintf(user, 128, "%s", answer[4]);
    shut(req);
    return atoi(answer[2]);
}

#define PART(text)                                                                                 \
    {                                                                                              \
        text, sizeof text - 1                                                                      \
    }

static void questions_are_read_strictly(void **unused)
{
    (void)unused;
    uint8_t key[33] = {0};
    char user[128], expected[128];
    assert_non_null(zmq_z85_decode(key, driver.public_key));
    const struct part good[] = {PART("1.0"),      PART("7"),     PART("skylane"), PART("127.0.0.1"),
                                PART("identity"), PART("CURVE"), {key, 32}};
    static const char big[300];
    static const struct {
        size_t at;
        struct part part;
        int status;
    } SPOILT[] = {
        {0, PART("1.1"), 500},   {0, PART(""), 500},       {0, PART("1.0 "), 500},
        {2, PART("other"), 400}, {2, PART(""), 400},       {5, PART("NULL"), 400},
        {5, PART("PLAIN"), 400}, {5, PART("CURVEX"), 400}, {5, PART(""), 400},
        {6, PART("short"), 500}, {6, PART(""), 500},       {6, {big, 33}, 500},
        {6, {big, 300}, 500},    {6, {big, 32}, 400},      {3, {big, 300}, 200},
        {4, {big, 300}, 200},
    };
    snprintf(expected, sizeof expected, "driver anna@laptop %s", driver.public_key);
    assert_int_equal(ask(good, 7, "7", user), 200);
    assert_string_equal(user, expected);
    for (size_t i = 0; i < sizeof SPOILT / sizeof SPOILT[0]; i++) {
        struct part parts[7];
        memcpy(parts, good, sizeof parts);
        parts[SPOILT[i].at] = SPOILT[i].part;
        assert_int_equal(ask(parts, 7, "7", user), SPOILT[i].status);
        if (SPOILT[i].status != 200)
            assert_string_equal(user, "");
    }
    /* Parts that are missing, and parts too many. */
    for (size_t count = 1; count < 7; count++)
        assert_int_equal(ask(good, count, count > 1 ? "7" : "", user), 500);
    struct part many[40];
    for (size_t i = 0; i < 40; i++)
        many[i] = good[i < 7 ? i : 6];
    assert_int_equal(ask(many, 8, "7", user), 500);
    assert_int_equal(ask(many, 40, "7", user), 500);
    assert_int_equal(ask(good, 7, "7", user), 200);
    assert_int_equal(counts().accepted, 4);
    assert_int_equal(counts().denied, 7);
    assert_int_equal(counts().malformed, 7 + 6 + 2);
}

static void one_handler_for_a_context(void **unused)
{
    (void)unused;
    struct sl_zap *second = zap;
    assert_int_equal(sl_zap_start(&second, context, folder, NULL, &err), -EADDRINUSE);
    assert_null(second);
    assert_non_null(strstr(err.text, "has a handler already"));
}

static void keys_that_are_none_are_refused(void **unused)
{
    (void)unused;
    struct sl_keys_pair none = {0};
    void *socket = socket_of(context, ZMQ_SUB);
    assert_int_equal(sl_zap_guard(zap, socket, &none, &err), -EINVAL);
    assert_int_equal(sl_zap_guard(NULL, socket, &vehicle, &err), -EINVAL);
    assert_int_equal(sl_zap_present(socket, &none, vehicle.public_key, &err), -EINVAL);
    assert_int_equal(sl_zap_present(socket, &driver, "", &err), -EINVAL);
    shut(socket);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(actions_tell_who_sent_them),
        TEST(broadcasts_reach_who_subscribes),
        TEST(nobody_else_gets_in),
        TEST(without_a_handler_nobody_gets_in),
        TEST(the_revoked_are_dropped_at_once),
        TEST(who_is_added_gets_in),
        TEST(another_role_is_another_user),
        TEST(user_ids_are_read_strictly),
        TEST(a_list_that_cannot_be_trusted_allows_nobody),
        TEST(while_the_list_is_broken_nobody_gets_in),
        TEST(questions_are_read_strictly),
        TEST(one_handler_for_a_context),
        TEST(keys_that_are_none_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
