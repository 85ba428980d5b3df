/* Who may ask a vehicle for what: docs/network.md, line by line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "net/action_gate.h"

#define SECOND  UINT64_C(1000000000)
#define NOW     (100 * SECOND)
#define SESSION "0123456789abcdef"

static struct sl_gate *gate;
static struct sl_ask ask;
static uint64_t now_ns, seq;
static enum sl_role role;
static const char *user;

static int set_up(void **state)
{
    (void)state;
    gate = sl_gate_create(SESSION);
    now_ns = NOW;
    seq = 0;
    role = SL_ROLE_DRIVER;
    user = "";
    return gate != NULL ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    sl_gate_destroy(gate);
    return 0;
}

static enum sl_gate_verdict take(const char *text)
{
    return sl_gate_take(gate, text, strlen(text), role, user, now_ns, &ask);
}

/* An action that was issued then and expires so long after. */
static enum sl_gate_verdict asks_at(const char *client, const char *id, const char *name,
                                    const char *args, uint64_t issued_ns, const char *expires_ms)
{
    char text[1024];
    snprintf(text, sizeof text,
             "{\"v\":1,\"session\":\"" SESSION "\",\"id\":\"%s\",\"name\":\"%s\",\"seq\":%llu,"
             "\"issued_ns\":%llu,\"expires_ms\":%s,\"client\":\"%s\"%s}",
             id, name, (unsigned long long)++seq, (unsigned long long)issued_ns, expires_ms, client,
             args);
    return take(text);
}

/* An action as it should be, with the next seq; `args` begins with a comma or is empty. */
static enum sl_gate_verdict asks(const char *client, const char *id, const char *name,
                                 const char *args)
{
    return asks_at(client, id, name, args, now_ns, "500");
}

static struct sl_gate_answer last(void)
{
    struct sl_gate_answer answers[SL_GATE_ANSWERS];
    const int count = sl_gate_answers(gate, answers);
    assert_true(count > 0);
    return answers[count - 1];
}

static void assert_refused(enum sl_gate_verdict verdict, const char *reason)
{
    assert_int_equal(verdict, SL_GATE_ANSWERED);
    const struct sl_gate_answer answer = last();
    assert_false(answer.accepted);
    assert_string_equal(answer.reason, reason);
    assert_true(strlen(answer.text) > 10);
}

static void passes_and_is_answered(void **state)
{
    (void)state;
    assert_int_equal(asks("ann", "1", "arm", ""), SL_GATE_PASSED);
    assert_int_equal(ask.name, SL_ASK_ARM);
    assert_string_equal(ask.client, "ann");
    struct sl_gate_answer answers[SL_GATE_ANSWERS];
    assert_int_equal(sl_gate_answers(gate, answers), 0); /* not done yet */
    sl_gate_settle(gate, "1", false, "not_standing", "the vehicle still moves");
    const struct sl_gate_answer answer = last();
    assert_string_equal(answer.id, "1");
    assert_string_equal(answer.reason, "not_standing");
    assert_false(answer.accepted);
    /* Settled once: what comes later does not change it. */
    sl_gate_settle(gate, "1", true, "none", "");
    assert_false(last().accepted);
}

static void same_id_does_nothing(void **state)
{
    (void)state;
    assert_int_equal(asks("ann", "1", "arm", ""), SL_GATE_PASSED);
    sl_gate_settle(gate, "1", true, "none", "");
    assert_int_equal(asks("ann", "1", "arm", ""), SL_GATE_ANSWERED);
    assert_true(last().accepted);
    assert_int_equal(sl_gate_counts(gate)->replayed, 1);
    /* Neither does a stop's: whoever recorded one cannot stop the vehicle with it. */
    assert_int_equal(asks("ann", "2", "stop", ""), SL_GATE_PASSED);
    assert_int_equal(asks("bob", "2", "stop", ""), SL_GATE_ANSWERED);
}

static void refused_in_words(void **state)
{
    (void)state;
    assert_int_equal(asks("ann", "first", "ping", ",\"args\":{\"client_ns\":5}"), SL_GATE_ANSWERED);
    assert_true(last().accepted);
    assert_int_equal(last().echo_ns, 5);
    assert_int_equal(last().taken_ns, NOW);
    seq = 0;
    assert_refused(asks("ann", "a", "arm", ""), "out_of_order");
    assert_int_equal(asks("bob", "b", "arm", ""), SL_GATE_PASSED); /* another's numbers */
    assert_refused(take("{\"v\":1,\"session\":\"fedcba9876543210\",\"id\":\"c\",\"name\":\"arm\","
                        "\"seq\":9,\"issued_ns\":100000000000,\"expires_ms\":500,"
                        "\"client\":\"bob\"}"),
                   "other_session");
    assert_refused(take("{\"v\":2,\"id\":\"d\",\"name\":\"arm\",\"client\":\"bob\"}"), "version");
    assert_refused(asks("bob", "e", "fly", ""), "unknown_action");
    assert_refused(asks("bob", "f", "set", ""), "bad_args");
    assert_refused(asks("bob", "g", "set", ",\"args\":{\"key\":\"a=b\",\"value\":1}"), "bad_args");
    assert_refused(asks("bob", "h", "ping", ",\"args\":{\"client_ns\":-1}"), "bad_args");
    assert_refused(asks("bob", "i", "ping", ",\"args\":{\"client_ns\":1e300}"), "bad_args");
    now_ns += 3 * SECOND;
    assert_refused(asks_at("bob", "j", "arm", "", now_ns - SECOND, "900"), "expired");
    assert_refused(asks_at("bob", "k", "arm", "", now_ns + 2 * SECOND, "900"), "from_the_future");
    assert_refused(asks_at("bob", "l", "arm", "", now_ns, "60001"), "bad_args");
    assert_refused(asks_at("bob", "m", "arm", "", now_ns, "0"), "bad_args");
    assert_refused(asks("", "n", "arm", ""), "bad_args");
}

static void args_arrive(void **state)
{
    (void)state;
    const struct {
        const char *args, *setting;
    } sets[] = {
        {",\"args\":{\"key\":\"control.speed_mps\",\"value\":2.5}", "control.speed_mps=2.5"},
        {",\"args\":{\"key\":\"a.b\",\"value\":true}", "a.b=true"},
        {",\"args\":{\"key\":\"a.b\",\"value\":\"pid\"}", "a.b=pid"},
    };
    for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++) {
        char id[8];
        snprintf(id, sizeof id, "%zu", i);
        assert_int_equal(asks("ann", id, "set", sets[i].args), SL_GATE_PASSED);
        assert_string_equal(ask.setting, sets[i].setting);
    }
    assert_int_equal(asks("ann", "m", "mark", ",\"args\":{\"text\":\"kerb\"}"), SL_GATE_PASSED);
    assert_string_equal(ask.text, "kerb");
    assert_refused(asks("ann", "n", "mark", ",\"args\":{\"text\":\"a\\nb\"}"), "bad_args");
    assert_int_equal(asks("ann", "r", "report",
                          ",\"args\":{\"topic\":\"frame\",\"age_ms\":40.5,\"shown_hz\":30}"),
                     SL_GATE_REPORTED);
    assert_true(ask.age_ms == 40.5 && ask.shown_hz == 30);
}

static void stop_always_passes(void **state)
{
    (void)state;
    role = SL_ROLE_VIEWER;
    assert_int_equal(take("{\"id\":\"1\",\"name\":\"stop\"}"), SL_GATE_PASSED);
    assert_int_equal(take("{\"id\":\"2\",\"name\":\"stop\",\"v\":7,\"session\":5,\"seq\":-1}"),
                     SL_GATE_PASSED);
    role = SL_ROLE_NONE; /* but for those who were not let in */
    assert_int_equal(take("{\"id\":\"3\",\"name\":\"stop\"}"), SL_GATE_GARBAGE);
}

static void one_drives(void **state)
{
    (void)state;
    assert_null(sl_gate_driver(gate, now_ns));
    assert_int_equal(asks("ann", "1", "arm", ""), SL_GATE_PASSED);
    assert_string_equal(sl_gate_driver(gate, now_ns), "ann");
    assert_refused(asks("bob", "2", "pause", ""), "not_driver");
    assert_non_null(strstr(last().text, "ann drives"));
    assert_int_equal(asks("bob", "3", "stop", ""), SL_GATE_PASSED);
    assert_int_equal(asks("bob", "4", "drive", ""), SL_GATE_ANSWERED);
    assert_true(last().accepted);
    assert_string_equal(sl_gate_driver(gate, now_ns), "bob");
    assert_refused(asks("ann", "5", "resume", ""), "not_driver");
    assert_int_equal(asks("bob", "6", "release", ""), SL_GATE_ANSWERED);
    assert_null(sl_gate_driver(gate, now_ns));
    assert_int_equal(asks("ann", "7", "pause", ""), SL_GATE_PASSED);
    /* Silent for ten seconds: gone. A ping keeps the place. */
    now_ns += 9 * SECOND;
    assert_int_equal(asks("ann", "8", "ping", ",\"args\":{\"client_ns\":5}"), SL_GATE_ANSWERED);
    now_ns += 9 * SECOND;
    assert_refused(asks("bob", "9", "pause", ""), "not_driver");
    now_ns += 2 * SECOND;
    assert_int_equal(asks("bob", "10", "pause", ""), SL_GATE_PASSED);
    role = SL_ROLE_VIEWER;
    assert_refused(asks("bob", "11", "arm", ""), "role");
    assert_refused(asks("eve", "12", "drive", ""), "role");
    assert_int_equal(asks("eve", "13", "ping", ",\"args\":{\"client_ns\":5}"), SL_GATE_ANSWERED);
}

/* What the connection proved is who asks: another name in the message changes nothing. */
static void proved_names_count(void **state)
{
    (void)state;
    user = "laptop";
    assert_int_equal(asks("view", "1", "arm", ""), SL_GATE_PASSED);
    assert_string_equal(ask.client, "laptop/view");
    user = "other";
    assert_refused(asks("view", "2", "pause", ""), "not_driver");
    assert_refused(asks("laptop/view", "3", "pause", ""), "not_driver");
    user = "";
    role = SL_ROLE_VIEWER;
    assert_refused(asks("laptop/view", "4", "pause", ""), "role");
}

static void garbage_is_counted(void **state)
{
    (void)state;
    static char large[SL_GATE_BYTES_MAX + 1];
    const char *const garbage[] = {"",
                                   "x",
                                   "{",
                                   "[]",
                                   "null",
                                   "{}",
                                   "{\"id\":5}",
                                   "{\"id\":\"\"}",
                                   ("{\"id\":\"0123456789012345678901234567890123456789"
                                    "0123456789012345678901234\",\"name\":\"stop\"}")};
    for (size_t i = 0; i < sizeof garbage / sizeof garbage[0]; i++)
        assert_int_equal(take(garbage[i]), SL_GATE_GARBAGE);
    assert_int_equal(sl_gate_counts(gate)->garbage, sizeof garbage / sizeof garbage[0]);
    memset(large, ' ', sizeof large);
    assert_int_equal(sl_gate_take(gate, large, sizeof large, role, user, now_ns, &ask),
                     SL_GATE_GARBAGE);
    assert_int_equal(sl_gate_counts(gate)->oversize, 1);
    /* Nested too deeply for cJSON. */
    memset(large, '[', SL_GATE_BYTES_MAX);
    assert_int_equal(sl_gate_take(gate, large, SL_GATE_BYTES_MAX, role, user, now_ns, &ask),
                     SL_GATE_GARBAGE);
}

/* More clients and actions than are remembered: the recent ones still are. */
static void bounded_memory(void **state)
{
    (void)state;
    char id[24], name[24];
    for (int i = 0; i < 5000; i++) {
        snprintf(id, sizeof id, "id%d", i);
        snprintf(name, sizeof name, "client%d", i % 100);
        asks(name, id, i % 2 == 0 ? "ping" : "mark",
             i % 2 == 0 ? ",\"args\":{\"client_ns\":5}" : ",\"args\":{\"text\":\"m\"}");
        now_ns += 1000000;
    }
    assert_int_equal(asks("client99", "id4990", "mark", ",\"args\":{\"text\":\"m\"}"),
                     SL_GATE_ANSWERED);
    struct sl_gate_answer answers[SL_GATE_ANSWERS];
    assert_int_equal(sl_gate_answers(gate, answers), SL_GATE_ANSWERS);
    assert_string_equal(answers[SL_GATE_ANSWERS - 1].id, "id4998"); /* the last ping */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(passes_and_is_answered, set_up, tear_down),
        cmocka_unit_test_setup_teardown(same_id_does_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refused_in_words, set_up, tear_down),
        cmocka_unit_test_setup_teardown(args_arrive, set_up, tear_down),
        cmocka_unit_test_setup_teardown(stop_always_passes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_drives, set_up, tear_down),
        cmocka_unit_test_setup_teardown(proved_names_count, set_up, tear_down),
        cmocka_unit_test_setup_teardown(garbage_is_counted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(bounded_memory, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
