/* The viewer's parts that need no network: clocks, access, messages. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tools/view/access.h"
#include "tools/view/clock.h"
#include "tools/view/listen.h"
#include "tools/view/message.h"
#include "tools/view/page.h"

#define MS 1000000ull
#define S  1000000000ull

static struct sl_error err;

/* An exchange that leaves at `at_ns`, takes `there` and `back`, and is held
 * for `held`; the vehicle's clock is `offset` ahead. */
static bool exchange(struct view_clock *clock, uint64_t at_ns, uint64_t there, uint64_t held,
                     uint64_t back, int64_t offset)
{
    const uint64_t taken = (uint64_t)((int64_t)(at_ns + there) + offset);
    return view_clock_add(clock, at_ns, taken, taken + held, at_ns + there + held + back);
}

static void the_shortest_trip_wins(void **state)
{
    (void)state;
    struct view_clock clock = {0};
    int64_t offset;
    uint64_t bound;
    assert_false(view_clock_offset(&clock, S, &offset, &bound));
    assert_true(bound == UINT64_MAX && offset == 0);
    const int64_t truth = 12345 * (int64_t)S + 678;
    assert_true(exchange(&clock, 10 * S, 30 * MS, 5 * MS, 2 * MS, truth));
    assert_true(exchange(&clock, 11 * S, 2 * MS, 50 * MS, 2 * MS, truth));
    assert_true(exchange(&clock, 12 * S, 2 * MS, 50 * MS, 60 * MS, truth));
    assert_true(view_clock_offset(&clock, 12 * S, &offset, &bound));
    assert_true(llabs(offset - truth) <= 1);
    assert_in_range(bound, 2 * MS, 2 * MS + 100000);
    assert_int_equal(view_clock_to_viewer(20 * S + (uint64_t)truth, truth), 20 * S);
    assert_int_equal(view_clock_to_vehicle(20 * S, truth), 20 * S + (uint64_t)truth);
}

static void the_truth_is_within_the_bound(void **state)
{
    (void)state;
    srand(1);
    for (int round = 0; round < 200; round++) {
        struct view_clock clock = {0};
        const int64_t truth = (int64_t)(rand() % 1000) * (int64_t)S - 500 * (int64_t)S;
        int64_t offset;
        uint64_t bound, now = 1000 * S;
        for (int i = 0; i < 40; i++, now += S) {
            assert_true(exchange(&clock, now, (uint64_t)(rand() % 50) * MS,
                                 (uint64_t)(rand() % 50) * MS, (uint64_t)(rand() % 50) * MS,
                                 truth));
            assert_true(view_clock_offset(&clock, now, &offset, &bound));
            assert_true((uint64_t)llabs(offset - truth) <= bound + 1);
        }
    }
}

static void old_answers_are_forgotten(void **state)
{
    (void)state;
    struct view_clock clock = {0};
    int64_t offset;
    uint64_t bound;
    assert_true(exchange(&clock, S, MS, 0, MS, 1000));
    for (unsigned i = 0; i < VIEW_CLOCK_SAMPLES; i++)
        assert_true(exchange(&clock, (2 + i) * S, 5 * MS, 0, 5 * MS, 9000));
    assert_true(view_clock_offset(&clock, 20 * S, &offset, &bound));
    assert_in_range(offset, 8999, 9001);
    view_clock_reset(&clock);
    assert_false(view_clock_offset(&clock, 20 * S, &offset, &bound));
}

static void impossible_answers_are_refused(void **state)
{
    (void)state;
    struct view_clock clock = {0};
    int64_t offset;
    uint64_t bound;
    assert_false(view_clock_add(&clock, 10, 5, 6, 9));     /* arrived before it left */
    assert_false(view_clock_add(&clock, 1, 7, 6, 9));      /* answered before it was taken */
    assert_false(view_clock_add(&clock, 1, 5, 500, 9));    /* held for longer than it was away */
    assert_false(view_clock_add(&clock, 1, 1, 1, 60 * S)); /* a minute */
    assert_false(view_clock_add(&clock, 1, 1, 1ull << 63, 5));
    assert_false(view_clock_offset(&clock, S, &offset, &bound));
    view_clock_guess(&clock, 5 * S, 2 * S);
    view_clock_guess(&clock, 6 * S, 3 * S + MS);
    assert_false(view_clock_offset(&clock, S, &offset, &bound));
    assert_int_equal(offset, 3 * S);
}

static void tokens_are_compared_whole(void **state)
{
    (void)state;
    struct view_access access;
    assert_int_equal(view_access_init(&access, NULL, false, &err), 0);
    assert_true(view_access_token_ok(&access, ""));
    assert_int_equal(view_access_init(&access, "abcdefgh12", true, &err), 0);
    assert_true(view_access_token_ok(&access, "abcdefgh12"));
    const char *const wrong[] = {"", "abcdefgh1", "abcdefgh123", "abcdefgh13", "Abcdefgh12"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_false(view_access_token_ok(&access, wrong[i]));
    char lengthy[200];
    memset(lengthy, 'a', sizeof lengthy);
    lengthy[sizeof lengthy - 1] = '\0';
    assert_false(view_access_token_ok(&access, lengthy));
    assert_int_equal(view_access_init(&access, "short", true, &err), -EINVAL);
    assert_int_equal(view_access_init(&access, "with space", true, &err), -EINVAL);
    assert_int_equal(view_access_init(&access, lengthy, true, &err), -EINVAL);
    struct view_access first, second;
    assert_int_equal(view_access_init(&first, NULL, true, &err), 0);
    assert_int_equal(view_access_init(&second, NULL, true, &err), 0);
    assert_int_equal(strlen(first.token), 32);
    assert_string_not_equal(first.token, second.token);
}

static void only_our_own_page_and_name(void **state)
{
    (void)state;
    struct view_access open = {0}, guarded = {.token = "abcdefgh"};
    assert_true(view_access_host_ok(&open, "localhost:8080"));
    assert_true(view_access_host_ok(&open, "127.0.0.1"));
    assert_true(view_access_host_ok(&open, "[::1]:8080"));
    assert_false(view_access_host_ok(&open, "localhost.evil.example:8080"));
    assert_false(view_access_host_ok(&open, ""));
    assert_true(view_access_host_ok(&guarded, "car.local:8080"));
    assert_true(view_access_origin_ok("http://localhost:8080", "localhost:8080"));
    assert_true(view_access_origin_ok("https://car.local", "CAR.local"));
    assert_false(view_access_origin_ok("http://localhost:8081", "localhost:8080"));
    assert_false(view_access_origin_ok("http://localhost:8080.evil.example", "localhost:8080"));
    assert_false(view_access_origin_ok("null", "localhost:8080"));
    assert_false(view_access_origin_ok("", ""));
    assert_false(view_access_origin_ok("http://", ""));
}

static void the_loopback_is_known(void **state)
{
    (void)state;
    assert_true(view_listen_is_loopback("127.0.0.1"));
    assert_true(view_listen_is_loopback("127.1.2.3"));
    assert_true(view_listen_is_loopback("::1"));
    assert_true(view_listen_is_loopback("localhost"));
    assert_false(view_listen_is_loopback("0.0.0.0"));
    assert_false(view_listen_is_loopback("::"));
    assert_false(view_listen_is_loopback("*"));
    assert_false(view_listen_is_loopback("192.168.1.5"));
}

#define COMMON "\"v\":1,\"session\":\"0123456789abcdef\",\"seq\":3,\"sent_ns\":900"
#define FRAME                                                                                      \
    "{" COMMON ",\"frame_id\":7,\"exposed_ns\":800,\"format\":\"jpeg\",\"width_px\":640,"          \
    "\"height_px\":480,\"source_width_px\":1280,\"source_height_px\":960}"

static int read_message(struct view_message *m, const char *topic, const char *meta,
                        const char *payload)
{
    return view_message_read(m, topic, strlen(topic), meta, strlen(meta), payload, strlen(payload),
                             &err);
}

static void messages_are_read(void **state)
{
    (void)state;
    struct view_message m;
    assert_int_equal(read_message(&m, "frame", FRAME, "\xff\xd8\xff\xd9"), 0);
    assert_int_equal(m.topic, VIEW_FRAME);
    assert_int_equal(m.frame_id, 7);
    assert_int_equal(m.source_width_px, 1280);
    assert_string_equal(m.session, "0123456789abcdef");
    view_message_clear(&m);
    view_message_clear(&m);
    assert_int_equal(read_message(&m, "preview", FRAME, "\xff\xd8\xff\xd9"), 0);
    assert_int_equal(m.topic, VIEW_FRAME);
    view_message_clear(&m);
    assert_int_equal(read_message(&m, "state", "{" COMMON "}", ""), 0);
    view_message_clear(&m);
}

static void messages_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *topic, *meta, *payload;
    } WRONG[] = {
        {"frame", FRAME, "GIF89a"},
        {"frame", FRAME, ""},
        {"frame", "{" COMMON ",\"frame_id\":7,\"exposed_ns\":901}", "\xff\xd8\xff\xd9"},
        {"frames", FRAME, "\xff\xd8\xff\xd9"},
        {"previews", FRAME, "\xff\xd8\xff\xd9"},
        {"preview", FRAME, "GIF89a"},
        {"", "{" COMMON "}", ""},
        {"state", "", ""},
        {"state", "[]", ""},
        {"state", "{" COMMON, ""},
        {"state", "{\"v\":1}", ""},
        {"state", "{\"v\":2,\"session\":\"0123456789abcdef\",\"seq\":3,\"sent_ns\":9}", ""},
        {"state", "{\"v\":1,\"session\":\"0123456789abcdeg\",\"seq\":3,\"sent_ns\":9}", ""},
        {"state", "{\"v\":1,\"session\":\"0123456789abcdef\",\"seq\":0,\"sent_ns\":9}", ""},
        {"state", "{\"v\":1,\"session\":\"0123456789abcdef\",\"seq\":3,\"sent_ns\":1e300}", ""},
        {"log", "{" COMMON ",\"text\":\"\xc0\x80\"}", ""},
    };
    for (size_t i = 0; i < sizeof WRONG / sizeof WRONG[0]; i++) {
        struct view_message m;
        err.text[0] = '\0';
        assert_int_equal(read_message(&m, WRONG[i].topic, WRONG[i].meta, WRONG[i].payload),
                         -EBADMSG);
        assert_true(err.text[0] != '\0' && m.meta == NULL);
    }
    char *large = calloc(1, VIEW_METADATA_MAX + 2);
    struct view_message m;
    assert_non_null(large);
    memset(large, ' ', VIEW_METADATA_MAX + 1);
    assert_int_equal(read_message(&m, "state", large, ""), -EBADMSG);
    free(large);
}

static void utf8_is_told_from_noise(void **state)
{
    (void)state;
    assert_true(view_is_utf8("a\xc3\xa4\xe2\x82\xac\xf0\x9f\x9a\x97", 10));
    assert_false(view_is_utf8("\xc3", 1));
    assert_false(view_is_utf8("\xed\xa0\x80", 3));     /* half a pair */
    assert_false(view_is_utf8("\xf4\x90\x80\x80", 4)); /* beyond the last */
    assert_false(view_is_utf8("\xe0\x80\x80", 3));     /* longer than need be */
    assert_false(view_is_utf8("\x80", 1));
    assert_false(view_is_utf8("a\0b", 3));
}

static void the_page_is_whole(void **state)
{
    (void)state;
    const struct view_page_file *page = view_page_find("/");
    assert_non_null(page);
    assert_memory_equal(page->bytes, "<!doctype html>", 15);
    assert_non_null(view_page_find("/vendor/uplot/uPlot.iife.min.js"));
    assert_null(view_page_find("/../page.c"));
    /* Works offline: nothing is fetched from elsewhere. */
    for (size_t i = 0; i < VIEW_PAGE_FILE_COUNT; i++)
        if (strstr(VIEW_PAGE_FILES[i].path, "vendor") == NULL)
            assert_null(memmem(VIEW_PAGE_FILES[i].bytes, VIEW_PAGE_FILES[i].size, "=\"http", 6));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_shortest_trip_wins),
        cmocka_unit_test(the_truth_is_within_the_bound),
        cmocka_unit_test(old_answers_are_forgotten),
        cmocka_unit_test(impossible_answers_are_refused),
        cmocka_unit_test(tokens_are_compared_whole),
        cmocka_unit_test(only_our_own_page_and_name),
        cmocka_unit_test(the_loopback_is_known),
        cmocka_unit_test(messages_are_read),
        cmocka_unit_test(messages_are_refused),
        cmocka_unit_test(utf8_is_told_from_noise),
        cmocka_unit_test(the_page_is_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
