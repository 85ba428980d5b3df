/* Whose lanes are driven by: a server's or the built-in detector's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "app/drive/detect_source.h"

#define MS         UINT64_C(1000000)
#define TIMEOUT_NS (66 * MS)
#define PERIOD_NS  (33 * MS)
#define BEGIN_NS   (5000 * MS)

/* Frames at 30 Hz, each answered after `answer_ns`, for `ns`; without an answer if
 * that is 0. Returns the time at the end. */
static uint64_t play(struct sl_source *s, uint64_t now, uint64_t ns, uint64_t answer_ns)
{
    for (const uint64_t end = now + ns; now < end; now += PERIOD_NS) {
        sl_source_frame(s, now);
        sl_source_step(s, now);
        if (answer_ns != 0)
            sl_source_answer(s, now + answer_ns, now);
        sl_source_step(s, now + PERIOD_NS - 1);
    }
    return now;
}

/* Plays with answers until the server is driven by; how long that took. */
static uint64_t calm_ns(struct sl_source *s, uint64_t *now)
{
    const uint64_t begin = *now;
    while (!s->remote) {
        *now = play(s, *now, 1, 10 * MS);
        assert_true(*now - begin < 60000 * MS);
    }
    return *now - begin;
}

static void built_in_first(void **unused)
{
    (void)unused;
    struct sl_source s;
    sl_source_init(&s, TIMEOUT_NS);
    assert_false(sl_source_step(&s, BEGIN_NS));
    uint64_t now = play(&s, BEGIN_NS, 20000 * MS, 0);
    assert_false(s.remote);
    assert_true(sl_source_deadline_ns(&s) == UINT64_MAX); /* nothing to wake up for */
    const uint64_t calm = calm_ns(&s, &now);
    assert_in_range(calm, SL_SOURCE_CALM_NS, SL_SOURCE_CALM_NS + 2 * PERIOD_NS);
}

/* Few frames a second: then the answers count, not the time. */
static void ten_answers_are_asked_for(void **unused)
{
    (void)unused;
    struct sl_source s;
    sl_source_init(&s, TIMEOUT_NS);
    for (uint64_t i = 1; i <= SL_SOURCE_CALM_ANSWERS; i++) {
        assert_false(s.remote);
        sl_source_frame(&s, i * 1000 * MS);
        sl_source_answer(&s, i * 1000 * MS + 10 * MS, i * 1000 * MS);
        sl_source_step(&s, i * 1000 * MS + 10 * MS);
    }
    assert_true(s.remote);
}

static void one_missing_answer_is_enough_and_not_less(void **unused)
{
    (void)unused;
    struct sl_source s;
    sl_source_init(&s, TIMEOUT_NS);
    uint64_t now = BEGIN_NS;
    calm_ns(&s, &now);
    sl_source_frame(&s, now);
    assert_true(sl_source_deadline_ns(&s) == now + TIMEOUT_NS);
    sl_source_frame(&s, now + PERIOD_NS); /* does not put it off */
    assert_true(sl_source_deadline_ns(&s) == now + TIMEOUT_NS);
    assert_true(sl_source_step(&s, now + TIMEOUT_NS - 1));
    assert_false(sl_source_step(&s, now + TIMEOUT_NS));
    assert_true(sl_source_deadline_ns(&s) == UINT64_MAX);
}

/* A server that takes longer than a period: the frame that came meanwhile is asked
 * for when the answer is here, and has its time from then on. */
static void slower_than_the_camera_is_no_fault(void **unused)
{
    (void)unused;
    struct sl_source s;
    sl_source_init(&s, TIMEOUT_NS);
    uint64_t now = BEGIN_NS;
    calm_ns(&s, &now);
    const uint64_t begin = now;
    uint64_t asked = begin; /* the frame of the question under way */
    for (uint64_t t = begin, answer = begin + 60 * MS; t < begin + 10000 * MS; t += MS) {
        if ((t - begin) % PERIOD_NS == 0)
            sl_source_frame(&s, t);
        if (t == answer) {
            sl_source_answer(&s, t, asked);
            asked = t - (t - begin) % PERIOD_NS;
            answer = t + 60 * MS;
        }
        assert_true(sl_source_step(&s, t));
    }
}

/* Who waits for answers learns of a frame only with its answer. */
static void answered_frame_is_not_waited_for(void **unused)
{
    (void)unused;
    struct sl_source s;
    sl_source_init(&s, TIMEOUT_NS);
    uint64_t now = BEGIN_NS;
    calm_ns(&s, &now);
    sl_source_answer(&s, now + 5 * MS, now);
    sl_source_frame(&s, now);
    assert_true(sl_source_deadline_ns(&s) == UINT64_MAX);
    sl_source_frame(&s, now + PERIOD_NS);
    assert_true(sl_source_deadline_ns(&s) == now + PERIOD_NS + TIMEOUT_NS);
}

static void no_frames_are_no_fault_of_the_server(void **unused)
{
    (void)unused;
    struct sl_source s;
    sl_source_init(&s, TIMEOUT_NS);
    uint64_t now = BEGIN_NS;
    calm_ns(&s, &now);
    assert_true(sl_source_step(&s, now + 60000 * MS));
    sl_source_frame(&s, now - 10 * PERIOD_NS); /* an old one is none */
    assert_true(sl_source_step(&s, now + 60000 * MS));
}

/* An answer after the deadline, before anybody looked. */
static void late_answer_begins_anew(void **unused)
{
    (void)unused;
    struct sl_source s;
    sl_source_init(&s, TIMEOUT_NS);
    uint64_t now = BEGIN_NS;
    calm_ns(&s, &now);
    sl_source_frame(&s, now);
    sl_source_answer(&s, now + TIMEOUT_NS, now);
    assert_false(s.remote);
    assert_int_equal(s.calm_answers, 1);
}

/* A gap while it is watched begins the watching anew. */
static void answers_must_be_in_a_row(void **unused)
{
    (void)unused;
    struct sl_source s;
    sl_source_init(&s, TIMEOUT_NS);
    uint64_t now = BEGIN_NS;
    for (int i = 0; i < 20; i++) {
        now = play(&s, now, 900 * MS, 10 * MS);
        now = play(&s, now, 100 * MS, 0);
        assert_false(s.remote);
    }
}

static void who_drops_out_often_is_waited_for_longer(void **unused)
{
    (void)unused;
    struct sl_source s;
    sl_source_init(&s, TIMEOUT_NS);
    uint64_t now = BEGIN_NS, want = SL_SOURCE_CALM_NS;
    for (int i = 0; i < 8; i++) {
        const uint64_t calm = calm_ns(&s, &now);
        assert_in_range(calm, want, want + 2 * PERIOD_NS);
        now = play(&s, now, 3000 * MS, 10 * MS);
        now = play(&s, now, 200 * MS, 0);
        assert_false(s.remote);
        want = 2 * want < SL_SOURCE_CALM_MAX_NS ? 2 * want : SL_SOURCE_CALM_MAX_NS;
    }
    assert_true(want == SL_SOURCE_CALM_MAX_NS);
    /* It lasts: all is forgiven. */
    calm_ns(&s, &now);
    now = play(&s, now, SL_SOURCE_LASTING_NS + PERIOD_NS, 10 * MS);
    now = play(&s, now, 200 * MS, 0);
    assert_false(s.remote);
    assert_in_range(calm_ns(&s, &now), SL_SOURCE_CALM_NS, SL_SOURCE_CALM_NS + 2 * PERIOD_NS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(built_in_first),
        cmocka_unit_test(ten_answers_are_asked_for),
        cmocka_unit_test(one_missing_answer_is_enough_and_not_less),
        cmocka_unit_test(slower_than_the_camera_is_no_fault),
        cmocka_unit_test(answered_frame_is_not_waited_for),
        cmocka_unit_test(no_frames_are_no_fault_of_the_server),
        cmocka_unit_test(late_answer_begins_anew),
        cmocka_unit_test(answers_must_be_in_a_row),
        cmocka_unit_test(who_drops_out_often_is_waited_for_longer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
