/* The viewer's sockets against one that listens to their subscriptions: which topics, and
 * that being made anew leaves them as they were. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include <zmq.h>

#include "net/link.h"
#include "rt/clock.h"
#include "tools/view/link.h"

#define RENEWALS 12

static void *context, *vehicle;
static char endpoint[64];
static struct view_link *link_to;

static int begin(void **unused)
{
    (void)unused;
    size_t size = sizeof endpoint;
    context = zmq_ctx_new();
    vehicle = zmq_socket(context, ZMQ_XPUB);
    if (sl_link_set(vehicle, ZMQ_XPUB_VERBOSE, 1) != 0 ||
        sl_link_set(vehicle, ZMQ_RCVTIMEO, 10) != 0 || zmq_bind(vehicle, "tcp://127.0.0.1:*") != 0)
        return -1;
    return zmq_getsockopt(vehicle, ZMQ_LAST_ENDPOINT, endpoint, &size);
}

static int end(void **unused)
{
    (void)unused;
    view_link_close(link_to);
    link_to = NULL;
    zmq_close(vehicle);
    zmq_ctx_term(context);
    return 0;
}

static void open_link(const char *pictures)
{
    struct sl_error err = {0};
    /* Nobody takes the actions. */
    if (view_link_open(&link_to, endpoint, "tcp://127.0.0.1:1", pictures, true, &err) != 0)
        fail_msg("%s", err.text);
}

/* Subscriptions of one connection; whether there were some to a topic. */
struct topics {
    bool frame, preview, detection, state, trace, log, other;
};

static void ignore_message(void *unused, const struct view_message *message, const void *payload,
                           size_t payload_bytes, uint64_t arrived_ns)
{
    (void)unused, (void)message, (void)payload, (void)payload_bytes, (void)arrived_ns;
}

static void ignore_garbage(void *unused, const char *sentence)
{
    (void)unused, (void)sentence;
}

static void ignore_overtaken(void *unused, const struct view_message *message)
{
    (void)unused, (void)message;
}

static const struct view_link_events NOTHING = {
    .message = ignore_message, .garbage = ignore_garbage, .overtaken = ignore_overtaken};

static struct topics subscriptions(void)
{
    struct topics found = {0};
    const uint64_t give_up_ns = sl_clock_now_ns() + 5 * SL_NS_PER_S;
    for (int count = 0; count < VIEW_TOPICS;) {
        char topic[32] = "";
        view_link_drain(link_to, &NOTHING); /* its sockets go on when they are asked */
        const int size = zmq_recv(vehicle, topic, sizeof topic - 1, 0);
        if (sl_clock_now_ns() > give_up_ns)
            fail_msg("only %d subscriptions came", count);
        if (size < 1 || topic[0] != 1)
            continue; /* nothing yet, or the connection before ends */
        topic[size] = '\0';
        bool *which = strcmp(topic + 1, "frame") == 0       ? &found.frame
                      : strcmp(topic + 1, "preview") == 0   ? &found.preview
                      : strcmp(topic + 1, "detection") == 0 ? &found.detection
                      : strcmp(topic + 1, "state") == 0     ? &found.state
                      : strcmp(topic + 1, "trace") == 0     ? &found.trace
                      : strcmp(topic + 1, "log") == 0       ? &found.log
                                                            : &found.other;
        *which = true;
        count++;
    }
    return found;
}

static void subscribes_to_what_is_shown(void **unused)
{
    (void)unused;
    open_link("frame");
    struct topics t = subscriptions();
    assert_true(t.frame && t.detection && t.state && t.trace && t.log && !t.preview && !t.other);
    view_link_close(link_to);
    open_link("preview");
    t = subscriptions();
    assert_true(t.preview && t.detection && t.state && t.trace && t.log && !t.frame && !t.other);
}

static void comes_back_each_time(void **unused)
{
    (void)unused;
    uint64_t now_ns = sl_clock_now_ns();
    open_link("frame");
    (void)subscriptions();
    for (int i = 0; i < RENEWALS; i++) {
        /* That it just connected counts as an answer: it is given time to say something. */
        now_ns += 3 * SL_NS_PER_S;
        view_link_tend(link_to, true, now_ns);
        view_link_tend(link_to, false, now_ns + 3 * SL_NS_PER_S); /* not silent: left alone */
        char topic[32];
        for (int k = 0; k < 5; k++)
            if (zmq_recv(vehicle, topic, sizeof topic, 0) > 0)
                assert_int_equal(topic[0], 0);
        now_ns += 3 * SL_NS_PER_S;
        view_link_tend(link_to, true, now_ns);
        const struct topics t = subscriptions();
        assert_true(t.frame && t.detection && t.state && t.trace && t.log && !t.other);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(subscribes_to_what_is_shown, begin, end),
        cmocka_unit_test_setup_teardown(comes_back_each_time, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
