/* Pairing with the real program over real sockets: right and wrong codes, peers
 * that send rubbish, too much, or what they have overheard; and a peer that only
 * pretends to be the vehicle. */
#include "../unit/keys_folder.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/wait.h>

#include <sodium.h>

#include "net/pairing.h"
#include "net/pairing_exchange.h"
#include "rt/clock.h"
#include "tests/integration/programs.h"

#define SECONDS 20

static char vehicle_folder[128], laptop_folder[128];
static struct program vehicle, laptop;
static char code[16], port[8], endpoint[64];
static struct sl_error err;
static void *context;
static void *peers[600]; /* closed at the end, also of a test that fails */
static size_t peer_count;

/* ---- helpers ---- */

static int begin(void **unused)
{
    (void)unused;
    keys_folder_begin(vehicle_folder, sizeof vehicle_folder);
    keys_folder_begin(laptop_folder, sizeof laptop_folder);
    context = zmq_ctx_new();
    return 0;
}

static int end(void **unused)
{
    (void)unused;
    program_stop(&vehicle);
    program_stop(&laptop);
    while (peer_count > 0)
        zmq_close(peers[--peer_count]);
    zmq_ctx_term(context);
    keys_folder_end(vehicle_folder);
    keys_folder_end(laptop_folder);
    return 0;
}

static void must_end(struct program *p, int status, const char *text)
{
    assert_int_equal(program_wait(p, SECONDS), status);
    program_must_say(p, text);
    unlink(p->output);
}

/* The word behind `label` in what the program said. */
static void word_behind(const struct program *p, const char *label, char *word, size_t size)
{
    char said[4096];
    FILE *from = fopen(p->output, "r");
    assert_non_null(from);
    said[fread(said, 1, sizeof said - 1, from)] = '\0';
    fclose(from);
    const char *at = strstr(said, label);
    assert_non_null(at);
    at += strlen(label);
    const size_t length = strcspn(at, " \n");
    assert_in_range(length, 1, size - 1);
    memcpy(word, at, length);
    word[length] = '\0';
}

/* Starts the vehicle's program on a free port, and reads its code off the screen. */
static void show_code(const char *role, const char *minutes)
{
    setenv("SKYLANE_KEYS", vehicle_folder, 1);
    program_start(&vehicle, NULL, "pair", "--port", "0", "--name", "car", "--role", role,
                  "--minutes", minutes, NULL);
    program_must_say(&vehicle, "Ctrl-C ends it.");
    word_behind(&vehicle, "Pairing code:   ", code, sizeof code);
    word_behind(&vehicle, "--port ", port, sizeof port);
    snprintf(endpoint, sizeof endpoint, "tcp://127.0.0.1:%s", port);
}

static int join(const char *typed, struct sl_pair_joined *joined)
{
    const struct sl_pair_join_config config = {.folder = laptop_folder,
                                               .host = "127.0.0.1",
                                               .code = typed,
                                               .name = "annas-laptop",
                                               .port = (uint16_t)atoi(port),
                                               .timeout_ns = SECONDS * SL_NS_PER_S};
    err.text[0] = '\0';
    return sl_pair_join(&config, joined, &err);
}

/* Another code than the vehicle's. */
static const char *wrong_code(void)
{
    static char wrong[16];
    strcpy(wrong, code);
    wrong[8] = code[8] == 'A' ? 'B' : 'A';
    return wrong;
}

static struct sl_keys_list list_of(const char *folder, enum sl_keys_kind kind)
{
    struct sl_keys_list list;
    if (sl_keys_read(folder, kind, &list, &err) != 0)
        fail_msg("%s", err.text);
    return list;
}

static struct sl_keys_pair own_of(const char *folder, enum sl_keys_which which)
{
    struct sl_keys_pair pair;
    if (sl_keys_own(folder, which, &pair, &err) != 0)
        fail_msg("%s", err.text);
    return pair;
}

/* Both sides know each other, and nobody else. */
static void must_be_paired(enum sl_role role, const char *name)
{
    const struct sl_keys_list allowed = list_of(vehicle_folder, SL_KEYS_ALLOWED);
    const struct sl_keys_list vehicles = list_of(laptop_folder, SL_KEYS_VEHICLES);
    assert_int_equal(allowed.count, 1);
    assert_int_equal(allowed.entries[0].role, role);
    assert_string_equal(allowed.entries[0].name, name);
    assert_string_equal(allowed.entries[0].public_key,
                        own_of(laptop_folder, SL_KEYS_OF_CLIENT).public_key);
    assert_int_equal(vehicles.count, 1);
    assert_string_equal(vehicles.entries[0].name, "127.0.0.1");
    assert_string_equal(vehicles.entries[0].public_key,
                        own_of(vehicle_folder, SL_KEYS_OF_VEHICLE).public_key);
    static const char *const FILES[] = {"vehicle.key", "allowed", "client.key", "vehicles"};
    for (int i = 0; i < 4; i++)
        assert_int_equal(keys_rights(i < 2 ? vehicle_folder : laptop_folder, FILES[i]), 0600);
    assert_int_equal(keys_rights(vehicle_folder, ""), 0700);
    assert_int_equal(keys_rights(laptop_folder, ""), 0700);
}

/* A peer that says what it likes, from an address of this machine. */
static void *peer_at(const char *address)
{
    char where[128];
    const int zero = 0;
    void *peer = zmq_socket(context, ZMQ_DEALER);
    assert_non_null(peer);
    assert_true(peer_count < sizeof peers / sizeof peers[0]);
    peers[peer_count++] = peer;
    assert_int_equal(zmq_setsockopt(peer, ZMQ_LINGER, &zero, sizeof zero), 0);
    snprintf(where, sizeof where, "tcp://%s:0;127.0.0.1:%s", address, port);
    assert_int_equal(zmq_connect(peer, where), 0);
    return peer;
}

static void say(void *peer, const struct sl_pair_message *message)
{
    uint8_t bytes[SL_PAIR_MESSAGE_MAX];
    const size_t size = sl_pair_wire_put(bytes, message);
    assert_int_equal(zmq_send(peer, bytes, size, 0), size);
}

/* The next answer; false if none comes within `ms`. */
static bool hear(void *peer, struct sl_pair_message *message, long ms)
{
    uint8_t bytes[SL_PAIR_MESSAGE_MAX + 1];
    zmq_pollitem_t item = {.socket = peer, .events = ZMQ_POLLIN};
    if (zmq_poll(&item, 1, ms) <= 0)
        return false;
    const int size = zmq_recv(peer, bytes, sizeof bytes, 0);
    assert_int_equal(sl_pair_wire_get(bytes, (size_t)size, message), 0);
    return true;
}

/* Greets, and makes the proof for the offer, with the code as typed. */
static void prepare(void *peer, const uint8_t nonce[SL_PAIR_NONCE], const char *typed,
                    struct sl_pair_message *proof)
{
    struct sl_pair_message hello = {.kind = SL_PAIR_HELLO}, offer;
    struct sl_pair_exchange exchange;
    struct sl_keys_entry card = {.role = SL_ROLE_NONE, .name = "mallory"};
    char plain[SL_PAIR_CODE];
    assert_int_equal(sl_pair_code_read(typed, plain, &err), 0);
    memcpy(hello.nonce, nonce, SL_PAIR_NONCE);
    say(peer, &hello);
    assert_true(hear(peer, &offer, SECONDS * 1000));
    assert_int_equal(offer.kind, SL_PAIR_OFFER);
    sl_pair_exchange_begin(&exchange, SL_PAIR_LAPTOP, plain, nonce, offer.nonce);
    assert_int_equal(sl_pair_exchange_agree(&exchange, SL_PAIR_LAPTOP, offer.share), 0);
    *proof = (struct sl_pair_message){.kind = SL_PAIR_PROOF};
    memcpy(proof->share, exchange.transcript.share[SL_PAIR_LAPTOP], sizeof proof->share);
    sl_cpace_tag(proof->tag, exchange.isk, SL_PAIR_LAPTOP, &exchange.transcript);
    memcpy(card.public_key, keys_fresh().public_key, SL_KEYS_TEXT);
    sl_pair_exchange_seal(&exchange, SL_PAIR_LAPTOP, &card, proof->sealed);
}

static void must_refuse(void *peer, enum sl_pair_reason reason, unsigned tries_left)
{
    struct sl_pair_message answer;
    assert_true(hear(peer, &answer, SECONDS * 1000));
    assert_int_equal(answer.kind, SL_PAIR_REFUSE);
    assert_int_equal(answer.reason, reason);
    assert_int_equal(answer.tries_left, tries_left);
}

/* ---- codes ---- */

static void the_right_code_pairs(void **unused)
{
    (void)unused;
    show_code("driver", "1");
    setenv("SKYLANE_KEYS", laptop_folder, 1);
    program_start(&laptop, NULL, "pair", "--join", "127.0.0.1", "--port", port, "--code", code,
                  "--name", "bert@tower", NULL);
    must_end(&laptop, 0, "Paired with \"car\" at 127.0.0.1, as driver.");
    must_end(&vehicle, 0, "Paired: \"bert@tower\" at 127.0.0.1 is driver now.");
    must_be_paired(SL_ROLE_DRIVER, "bert@tower");
}

static void type_code(void)
{
    int ends[2];
    if (pipe(ends) != 0 || write(ends[1], code, strlen(code)) < 0 || write(ends[1], "\n", 1) < 0)
        _exit(126);
    close(ends[1]);
    dup2(ends[0], STDIN_FILENO);
}

static void the_code_can_be_typed(void **unused)
{
    (void)unused;
    show_code("viewer", "1");
    setenv("SKYLANE_KEYS", laptop_folder, 1);
    program_start(&laptop, type_code, "pair", "--join", "127.0.0.1", "--port", port, "--name",
                  "bert", NULL);
    must_end(&laptop, 0, "as viewer.");
    must_end(&vehicle, 0, "\"bert\" at 127.0.0.1 is viewer now");
    must_be_paired(SL_ROLE_VIEWER, "bert");
}

static void a_wrong_code_is_a_lost_try(void **unused)
{
    (void)unused;
    struct sl_pair_joined joined;
    show_code("driver", "1");
    for (int left = 2; left > 0; left--) {
        char told[64];
        assert_int_equal(join(wrong_code(), &joined), -EACCES);
        snprintf(told, sizeof told, "tries left: %d", left);
        assert_non_null(strstr(err.text, told));
        snprintf(told, sizeof told, "wrong code from 127.0.0.1; tries left: %d", left);
        program_must_say(&vehicle, told);
    }
    assert_int_equal(list_of(vehicle_folder, SL_KEYS_ALLOWED).count, 0);
    assert_int_equal(list_of(laptop_folder, SL_KEYS_VEHICLES).count, 0);
    assert_int_equal(join(code, &joined), 0);
    assert_int_equal(joined.role, SL_ROLE_DRIVER);
    assert_string_equal(joined.name, "car");
    assert_string_equal(joined.public_key, own_of(vehicle_folder, SL_KEYS_OF_VEHICLE).public_key);
    must_end(&vehicle, 0, "Paired");
    must_be_paired(SL_ROLE_DRIVER, "annas-laptop");
}

static void three_wrong_codes_end_it(void **unused)
{
    (void)unused;
    struct sl_pair_joined joined;
    show_code("driver", "1");
    for (int i = 0; i < 3; i++)
        assert_int_equal(join(wrong_code(), &joined), -EACCES);
    assert_non_null(strstr(err.text, "for the last time"));
    must_end(&vehicle, 1, "three wrong codes");
    assert_int_equal(list_of(vehicle_folder, SL_KEYS_ALLOWED).count, 0);
    assert_int_equal(list_of(laptop_folder, SL_KEYS_VEHICLES).count, 0);
}

static void a_code_expires(void **unused)
{
    (void)unused;
    const uint64_t begin_ns = sl_clock_now_ns();
    show_code("driver", "0.01");
    must_end(&vehicle, 1, "nobody was paired in time");
    assert_true(sl_clock_now_ns() - begin_ns >= 600 * SL_NS_PER_MS);
}

static void pairing_again_replaces(void **unused)
{
    (void)unused;
    struct sl_pair_joined joined;
    show_code("driver", "1");
    assert_int_equal(join(code, &joined), 0);
    must_end(&vehicle, 0, "is driver now.");
    show_code("viewer", "1");
    assert_int_equal(join(code, &joined), 0);
    must_end(&vehicle, 0, "is viewer now, in place of an older entry.");
    must_be_paired(SL_ROLE_VIEWER, "annas-laptop");
}

/* ---- peers that mean no good ---- */

static void garbage_is_ignored(void **unused)
{
    (void)unused;
    struct sl_pair_message hello = {.kind = SL_PAIR_HELLO}, answer;
    struct sl_pair_joined joined;
    uint8_t bytes[SL_PAIR_MESSAGE_MAX];
    show_code("driver", "1");
    void *peer = peer_at("127.0.0.1");
    for (size_t size = 0; size < sizeof bytes; size++) {
        randombytes_buf(bytes, sizeof bytes);
        assert_int_equal(zmq_send(peer, bytes, size, 0), size);
        /* The right beginning, and then rubbish. */
        memcpy(bytes, "SKPR\x01", 5);
        bytes[5] = (uint8_t)(size % 8);
        if (size >= 6 && size != 22 && size != sizeof bytes)
            assert_int_equal(zmq_send(peer, bytes, size, 0), size);
    }
    /* A greeting in parts is none. */
    const size_t size = sl_pair_wire_put(bytes, &hello);
    assert_true(zmq_send(peer, bytes, size, ZMQ_SNDMORE) >= 0);
    assert_true(zmq_send(peer, bytes, size, 0) >= 0);
    /* What only the vehicle says, and a proof that nobody asked for. */
    for (int kind = SL_PAIR_OFFER; kind <= SL_PAIR_REFUSE; kind++) {
        const struct sl_pair_message wrong = {.kind = (enum sl_pair_kind)kind,
                                              .reason = SL_PAIR_BUSY};
        say(peer, &wrong);
    }
    assert_false(hear(peer, &answer, 300));
    /* A name that a peer gave to itself. */
    void *named = zmq_socket(context, ZMQ_DEALER);
    peers[peer_count++] = named;
    assert_int_equal(zmq_setsockopt(named, ZMQ_ROUTING_ID, "named-peer", 10), 0);
    assert_int_equal(zmq_connect(named, endpoint), 0);
    say(named, &hello);
    assert_false(hear(named, &answer, 300));
    /* Another version is told so. */
    sl_pair_wire_put(bytes, &hello);
    bytes[4]++;
    assert_true(zmq_send(peer, bytes, size, 0) >= 0);
    must_refuse(peer, SL_PAIR_VERSIONS, 3);
    /* A message that is too long costs its sender the connection, not more. */
    static const char big[100000];
    void *other = peer_at("127.0.0.1");
    assert_true(zmq_send(other, big, sizeof big, 0) >= 0);
    assert_int_equal(join(code, &joined), 0);
    must_end(&vehicle, 0, "messages that made no sense");
    must_be_paired(SL_ROLE_DRIVER, "annas-laptop");
}

static void shares_that_are_none_are_no_try(void **unused)
{
    (void)unused;
    struct sl_pair_message hello = {.kind = SL_PAIR_HELLO}, proof = {.kind = SL_PAIR_PROOF}, answer;
    struct sl_pair_joined joined;
    show_code("driver", "1");
    for (int i = 0; i < 3; i++) {
        void *peer = peer_at("127.0.0.2");
        memset(proof.share, i == 2 ? 0xff : 0, sizeof proof.share); /* the neutral element first */
        say(peer, &hello);
        assert_true(hear(peer, &answer, SECONDS * 1000));
        assert_int_equal(answer.kind, SL_PAIR_OFFER);
        say(peer, &proof);
        assert_false(hear(peer, &answer, 200));
        /* Its exchange is over, whatever comes now. */
        say(peer, &proof);
        assert_false(hear(peer, &answer, 100));
    }
    assert_int_equal(join(code, &joined), 0);
    must_end(&vehicle, 0, "ignored 6 messages that made no sense");
}

static void flood(const struct sl_pair_message *message)
{
    for (size_t i = 0; i < peer_count; i++)
        for (int n = 0; n < 5; n++)
            say(peers[i], message);
}

static void a_flood_from_elsewhere_keeps_nobody_out(void **unused)
{
    (void)unused;
    struct sl_pair_message hello = {.kind = SL_PAIR_HELLO}, answer;
    struct sl_pair_joined joined;
    unsigned offers = 0, refusals = 0;
    show_code("driver", "1");
    const uint64_t begin_ns = sl_clock_now_ns();
    for (int i = 0; i < 200; i++)
        (void)peer_at("127.0.0.2");
    flood(&hello);
    for (size_t i = 0; i < 200; i++) {
        while (hear(peers[i], &answer, i == 0 ? 2000 : 20)) {
            offers += answer.kind == SL_PAIR_OFFER;
            refusals += answer.kind == SL_PAIR_REFUSE && answer.reason == SL_PAIR_BUSY;
        }
    }
    /* Four places, each free again after 5 s. */
    const uint64_t rounds = 1 + (sl_clock_now_ns() - begin_ns) / (5 * SL_NS_PER_S);
    assert_in_range(offers, 1, 4 * rounds);
    assert_true(refusals > 100);
    flood(&hello); /* and in the middle of it */
    assert_int_equal(join(code, &joined), 0);
    must_end(&vehicle, 0, "from peers that asked too often");
    must_be_paired(SL_ROLE_DRIVER, "annas-laptop");
}

/* A proof that was overheard, and never arrived, is worth nothing in another exchange. */
static void a_replay_is_a_wrong_code(void **unused)
{
    (void)unused;
    uint8_t nonce[SL_PAIR_NONCE] = {1, 2, 3};
    struct sl_pair_message overheard, other, answer;
    show_code("driver", "1");
    prepare(peer_at("127.0.0.1"), nonce, code, &overheard);
    void *mallory = peer_at("127.0.0.1");
    prepare(mallory, nonce, code, &other); /* the same greeting gets another offer */
    assert_memory_not_equal(other.share, overheard.share, sizeof other.share);
    say(mallory, &overheard);
    must_refuse(mallory, SL_PAIR_WRONG_CODE, 2);
    /* One try for each exchange: then even the right proof comes too late. */
    say(mallory, &other);
    assert_false(hear(mallory, &answer, 300));
    /* A tag with another's card: told from each other. */
    void *third = peer_at("127.0.0.1");
    prepare(third, nonce, code, &other);
    memcpy(other.sealed, overheard.sealed, sizeof other.sealed);
    say(third, &other);
    must_refuse(third, SL_PAIR_VERSIONS, 2);
    assert_int_equal(list_of(vehicle_folder, SL_KEYS_ALLOWED).count, 0);
    /* And all of it is not in vain because peers in general fail here. */
    void *good = peer_at("127.0.0.1");
    prepare(good, nonce, code, &other);
    say(good, &other);
    assert_true(hear(good, &answer, SECONDS * 1000));
    assert_int_equal(answer.kind, SL_PAIR_ACCEPT);
    must_end(&vehicle, 0, "Paired: \"mallory\"");
}

/* Somebody who answers instead of the vehicle, but does not know the code. */
static void who_pretends_to_be_the_vehicle_fails(void **unused)
{
    (void)unused;
    char where[64];
    size_t size = sizeof where;
    const int zero = 0;
    void *router = zmq_socket(context, ZMQ_ROUTER);
    peers[peer_count++] = router;
    assert_int_equal(zmq_setsockopt(router, ZMQ_LINGER, &zero, sizeof zero), 0);
    assert_int_equal(zmq_bind(router, "tcp://127.0.0.1:*"), 0);
    assert_int_equal(zmq_getsockopt(router, ZMQ_LAST_ENDPOINT, where, &size), 0);
    snprintf(port, sizeof port, "%s", strrchr(where, ':') + 1);
    setenv("SKYLANE_KEYS", laptop_folder, 1);
    program_start(&laptop, NULL, "pair", "--join", "127.0.0.1", "--port", port, "--code",
                  "K7QF-3M9P", NULL);
    for (int kind = SL_PAIR_OFFER; kind <= SL_PAIR_ACCEPT; kind += SL_PAIR_ACCEPT - SL_PAIR_OFFER) {
        uint8_t route[5], bytes[SL_PAIR_MESSAGE_MAX];
        struct sl_pair_message message, reply = {.kind = (enum sl_pair_kind)kind};
        struct sl_pair_exchange exchange;
        zmq_pollitem_t item = {.socket = router, .events = ZMQ_POLLIN};
        assert_int_equal(zmq_poll(&item, 1, SECONDS * 1000), 1);
        assert_int_equal(zmq_recv(router, route, sizeof route, 0), sizeof route);
        const int got = zmq_recv(router, bytes, sizeof bytes, 0);
        assert_int_equal(sl_pair_wire_get(bytes, (size_t)got, &message), 0);
        assert_int_equal(message.kind, kind - 1);
        sl_pair_exchange_begin(&exchange, SL_PAIR_VEHICLE, "K7QF3M9Q", message.nonce, reply.nonce);
        memcpy(reply.share, exchange.transcript.share[SL_PAIR_VEHICLE], sizeof reply.share);
        memcpy(reply.tag, message.tag, sizeof reply.tag); /* its own proof sent back */
        memcpy(reply.sealed, message.sealed, sizeof reply.sealed);
        assert_int_equal(zmq_send(router, route, sizeof route, ZMQ_SNDMORE), sizeof route);
        const size_t length = sl_pair_wire_put(bytes, &reply);
        assert_int_equal(zmq_send(router, bytes, length, 0), length);
    }
    must_end(&laptop, 1, "does not know the code");
    assert_int_equal(list_of(laptop_folder, SL_KEYS_VEHICLES).count, 0);
}

/* ---- the program ---- */

static void run(int status, const char *says, const char *a, const char *b, const char *c,
                const char *d)
{
    program_start(&laptop, NULL, "pair", a, b, c, d, NULL);
    must_end(&laptop, status, says);
}

static void lists_and_revokes(void **unused)
{
    (void)unused;
    const struct sl_keys_pair a = keys_fresh(), b = keys_fresh();
    setenv("SKYLANE_KEYS", vehicle_folder, 1);
    run(0, "nobody was paired", "--list", NULL, NULL, NULL);
    run(1, "nobody is called \"anna\"", "--revoke", "anna", NULL, NULL);
    keys_allow(vehicle_folder, a.public_key, SL_ROLE_DRIVER, "anna");
    keys_allow(vehicle_folder, b.public_key, SL_ROLE_VIEWER, "bert");
    run(0, a.public_key, "--list", NULL, NULL, NULL);
    run(0, "viewer   bert ", "--list", NULL, NULL, NULL);
    run(0, "\"anna\" is let in no longer", "--revoke", "anna", NULL, NULL);
    const struct sl_keys_list list = list_of(vehicle_folder, SL_KEYS_ALLOWED);
    assert_int_equal(list.count, 1);
    assert_string_equal(list.entries[0].name, "bert");
    char path[256];
    assert_int_equal(sl_keys_path(vehicle_folder, SL_KEYS_ALLOWED, path, sizeof path), 0);
    assert_int_equal(chmod(path, 0666), 0);
    run(1, "chmod 600", "--list", NULL, NULL, NULL);
    run(1, "chmod 600", "--revoke", "bert", NULL, NULL);
}

static void keys_that_are_not_safe_stop_it(void **unused)
{
    (void)unused;
    (void)own_of(vehicle_folder, SL_KEYS_OF_VEHICLE);
    assert_int_equal(chmod(vehicle_folder, 0755), 0);
    setenv("SKYLANE_KEYS", vehicle_folder, 1);
    run(1, "chmod 700", "--port", "0", NULL, NULL);
}

static void a_client_that_cannot_be_noted_is_told(void **unused)
{
    (void)unused;
    struct sl_pair_joined joined;
    show_code("driver", "1");
    assert_int_equal(chmod(vehicle_folder, 0777), 0);
    assert_int_equal(join(code, &joined), -EREMOTEIO);
    must_end(&vehicle, 1, "chmod 700");
    assert_int_equal(list_of(laptop_folder, SL_KEYS_VEHICLES).count, 0);
}

static void misuse_is_told(void **unused)
{
    (void)unused;
    setenv("SKYLANE_KEYS", vehicle_folder, 1);
    run(2, "driver or viewer", "--role", "pilot", NULL, NULL);
    run(2, "--minutes", "--minutes", "0", NULL, NULL);
    run(2, "--minutes", "--minutes", "61", NULL, NULL);
    run(2, "do not go together", "--list", "--join", "car", NULL);
    run(2, "--code is for --join", "--code", "K7QF-3M9P", NULL, NULL);
    run(2, "for the vehicle", "--join", "car", "--role", "viewer");
    run(2, "--name has 1 to 63", "--name", "two words", NULL, NULL);
    run(2, "for pairing", "--list", "--name", "x", NULL);
    run(2, "the port that the vehicle shows", "--join", "car", "--port", "0");
    run(2, "does not know what to do", "join", NULL, NULL, NULL);
    run(2, "did you mean --minutes?", "--minuets", NULL, NULL, NULL);
    run(0, "examples:", "--help", NULL, NULL, NULL);
    run(0, "skylane-pair ", "--version", NULL, NULL, NULL);
    assert_int_equal(access(vehicle_folder, F_OK), -1); /* all that has made no keys */
    run(1, "none of 0, 1, I and O", "--join", "127.0.0.1", "--code", "OOOO-OOOO");
    run(1, "no name or address", "--join", "a b", "--code", "K7QF-3M9P");
}

static void nobody_answers(void **unused)
{
    (void)unused;
    struct sl_pair_joined joined;
    const struct sl_pair_join_config config = {.folder = laptop_folder,
                                               .host = "127.0.0.1",
                                               .code = "K7QF-3M9P",
                                               .name = "laptop",
                                               .port = 1,
                                               .timeout_ns = 200 * SL_NS_PER_MS};
    assert_int_equal(sl_pair_join(&config, &joined, &err), -ETIMEDOUT);
    assert_non_null(strstr(err.text, "is \"skylane pair\" running on the vehicle"));
}

static void ctrl_c_ends_it(void **unused)
{
    (void)unused;
    show_code("driver", "1");
    program_signal(&vehicle, SIGINT);
    must_end(&vehicle, 1, "stopped; nobody was paired");
    setenv("SKYLANE_KEYS", laptop_folder, 1);
    program_start(&laptop, NULL, "pair", "--join", "127.0.0.1", "--port", "1", "--code",
                  "K7QF-3M9P", NULL);
    const uint64_t give_up = sl_clock_now_ns() + SECONDS * SL_NS_PER_S;
    char own[256];
    snprintf(own, sizeof own, "%s/client.key", laptop_folder);
    while (access(own, F_OK) != 0 && sl_clock_now_ns() < give_up)
        sl_clock_sleep_until_ns(sl_clock_now_ns() + SL_NS_PER_MS);
    sl_clock_sleep_until_ns(sl_clock_now_ns() + 200 * SL_NS_PER_MS); /* until it waits */
    program_signal(&laptop, SIGINT);
    must_end(&laptop, 1, "stopped; not paired");
}

static void a_port_in_use_is_told(void **unused)
{
    (void)unused;
    show_code("driver", "1");
    run(1, "another \"skylane pair\" is running", "--port", port, NULL, NULL);
}

int main(void)
{
    if (sodium_init() < 0)
        return 1;
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(the_right_code_pairs),
        TEST(the_code_can_be_typed),
        TEST(a_wrong_code_is_a_lost_try),
        TEST(three_wrong_codes_end_it),
        TEST(a_code_expires),
        TEST(pairing_again_replaces),
        TEST(garbage_is_ignored),
        TEST(shares_that_are_none_are_no_try),
        TEST(a_flood_from_elsewhere_keeps_nobody_out),
        TEST(a_replay_is_a_wrong_code),
        TEST(who_pretends_to_be_the_vehicle_fails),
        TEST(lists_and_revokes),
        TEST(keys_that_are_not_safe_stop_it),
        TEST(a_client_that_cannot_be_noted_is_told),
        TEST(misuse_is_told),
        TEST(nobody_answers),
        TEST(ctrl_c_ends_it),
        TEST(a_port_in_use_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
