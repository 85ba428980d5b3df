/* ZMQ's connections when the other side misbehaves: it floods, is not read, and
 * resets the connection. It speaks ZMTP 3.0 by hand (rfc.zeromq.org/spec/23), so that
 * it can do so at the worst moment. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <zmq.h>

#include "net/detect_client.h"
#include "net/link.h"
#include "rt/cli.h"
#include "rt/clock.h"

#define PATIENCE_NS (10 * SL_NS_PER_S)
/* Longer than any timer of a connection. */
#define LATER_NS (5 * SL_NS_PER_S / 2)

static struct sl_error err;

static int socket_at(struct sockaddr_in *at, int port)
{
    *at = (struct sockaddr_in){.sin_family = AF_INET,
                               .sin_port = htons((uint16_t)port),
                               .sin_addr = {htonl(INADDR_LOOPBACK)}};
    return socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static void read_exactly(int fd, size_t bytes)
{
    char into[256];
    while (bytes > 0) {
        const ssize_t n = read(fd, into, bytes < sizeof into ? bytes : sizeof into);
        if (n <= 0)
            fail_msg("the connection is closed: %s", n == 0 ? "orderly" : strerror(errno));
        bytes -= (size_t)n;
    }
}

static const char GREETING[64] = {'\xff', [9] = 0x7f, [10] = 3, [12] = 'N', 'U', 'L', 'L'};
/* Commands: what kind of socket it says it is. */
static const char READY_PUSH[] = "\4\x1a\5READY\13Socket-Type\0\0\0\4PUSH";
static const char READY_ROUTER[] = "\4\x1c\5READY\13Socket-Type\0\0\0\6ROUTER";

/* Mechanism NULL. */
static void shake_hands(int fd, const char *ready, size_t ready_bytes)
{
    assert_int_equal(write(fd, GREETING, sizeof GREETING), sizeof GREETING);
    read_exactly(fd, sizeof GREETING);
    assert_int_equal(write(fd, ready, ready_bytes), ready_bytes);
}

/* Messages until nobody has taken one for a while; then a reset. */
static void flood_and_vanish(int fd)
{
    static const unsigned char message[202] = {0, 200};
    uint64_t taken_ns = sl_clock_now_ns();
    size_t sent = 0; /* of the message under way */
    fcntl(fd, F_SETFL, O_NONBLOCK);
    while (sl_clock_now_ns() < taken_ns + SL_NS_PER_S / 2) {
        const ssize_t n = send(fd, message + sent, sizeof message - sent, MSG_NOSIGNAL);
        if (n < 0) {
            assert_int_equal(errno, EAGAIN);
            sl_clock_sleep_until_ns(sl_clock_now_ns() + 5 * SL_NS_PER_MS);
            continue;
        }
        sent = (sent + (size_t)n) % sizeof message;
        taken_ns = sl_clock_now_ns();
    }
    const struct linger reset = {.l_onoff = 1};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    close(fd);
}

static void a_client_that_floods_and_vanishes_ends_nobody(void **unused)
{
    (void)unused;
    static const struct sl_link_option OPTIONS[] = {{ZMQ_RCVHWM, 10}, {0}};
    void *context = zmq_ctx_new(), *pull;
    char bound[64], message[256];
    assert_int_equal(sl_link_make(&pull, context, ZMQ_PULL, OPTIONS, "tcp://127.0.0.1:*", &err), 0);
    assert_int_equal(sl_link_bind(pull, "tcp://127.0.0.1:*", bound, sizeof bound, &err), 0);
    struct sockaddr_in at;
    int64_t port;
    assert_int_equal(sl_cli_integer(strrchr(bound, ':') + 1, "port", 1, 65535, &port, &err), 0);
    const int fd = socket_at(&at, (int)port);
    assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof at), 0);
    shake_hands(fd, READY_PUSH, sizeof READY_PUSH - 1);
    flood_and_vanish(fd);
    sl_clock_sleep_until_ns(sl_clock_now_ns() + LATER_NS);
    for (int i = 0; i < 10; i++) /* what came is still there */
        assert_int_equal(zmq_recv(pull, message, sizeof message, ZMQ_DONTWAIT), 200);
    zmq_close(pull);
    zmq_ctx_term(context);
}

/* It would take the vehicle's control process with it. */
static void a_detection_server_that_floods_and_vanishes_ends_nobody(void **unused)
{
    (void)unused;
    struct sockaddr_in at;
    socklen_t size = sizeof at;
    static uint8_t pixels[64 * 48];
    const int listener = socket_at(&at, 0);
    char url[64];
    struct sl_detect_client *client;
    assert_int_equal(bind(listener, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&at, &size), 0);
    assert_int_equal(listen(listener, 4), 0);
    snprintf(url, sizeof url, "tcp://127.0.0.1:%d", ntohs(at.sin_port));
    assert_int_equal(sl_detect_client_open(&client, url, true, &err), 0);
    const int fd = accept(listener, NULL, NULL);
    assert_true(fd >= 0);
    shake_hands(fd, READY_ROUTER, sizeof READY_ROUTER - 1);
    flood_and_vanish(fd);
    sl_clock_sleep_until_ns(sl_clock_now_ns() + LATER_NS);
    /* It asks on, and connects once more. */
    const uint64_t give_up_ns = sl_clock_now_ns() + PATIENCE_NS;
    struct sl_frame_info info = {0};
    assert_int_equal(sl_frame_layout(&info, SL_FORMAT_GRAY8, 64, 48), 0);
    int again = -1;
    fcntl(listener, F_SETFL, O_NONBLOCK);
    while (again < 0 && sl_clock_now_ns() < give_up_ns) {
        struct sl_detect_answer answer;
        const uint64_t until_ns = sl_clock_now_ns() + 50 * SL_NS_PER_MS;
        (void)sl_detect_client_ask(client, &info, pixels, false, until_ns, &err);
        (void)sl_detect_client_wait(client, until_ns, &answer, &err);
        again = accept(listener, NULL, NULL);
    }
    assert_true(again >= 0);
    close(again);
    close(listener);
    sl_detect_client_close(client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_client_that_floods_and_vanishes_ends_nobody),
        cmocka_unit_test(a_detection_server_that_floods_and_vanishes_ends_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
