/* The service manager's protocol, with real sockets in its place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "rt/notify.h"

static void forget(void)
{
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
}

static int listen_at(const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, name, strlen(name));
    if (name[0] == '@')
        address.sun_path[0] = '\0';
    const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name));
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, length), 0);
    return fd;
}

static void tells(void **unused)
{
    (void)unused;
    char names[2][64];
    snprintf(names[0], sizeof names[0], "/tmp/sl-notify-%d", (int)getpid());
    snprintf(names[1], sizeof names[1], "@sl-notify-%d", (int)getpid());
    for (int i = 0; i < 2; i++) {
        struct sl_notify notify;
        struct sl_error err = {0};
        char message[64] = "";
        const int manager = listen_at(names[i]);
        setenv("NOTIFY_SOCKET", names[i], 1);
        assert_int_equal(sl_notify_open(&notify, &err), 0);
        assert_int_equal(notify.watchdog_ns, 0);
        assert_int_equal(sl_notify_send(&notify, "READY=1\nSTATUS=it runs"), 0);
        assert_int_equal(recv(manager, message, sizeof message - 1, 0), 22);
        assert_string_equal(message, "READY=1\nSTATUS=it runs");
        /* Nobody reads: it does not wait. */
        int rc = 0;
        for (int k = 0; k < 100000 && rc == 0; k++)
            rc = sl_notify_send(&notify, "WATCHDOG=1");
        assert_int_equal(rc, -EAGAIN);
        close(manager);
        assert_int_equal(sl_notify_send(&notify, "WATCHDOG=1"), -ECONNREFUSED);
        sl_notify_close(&notify);
        assert_int_equal(sl_notify_send(&notify, "WATCHDOG=1"), 0);
        sl_notify_close(&notify);
        unlink(names[i]);
    }
}

static void reads_the_environment_once(void **unused)
{
    (void)unused;
    struct sl_notify notify;
    struct sl_error err = {0};
    char pid[16];
    const struct {
        const char *us, *pid;
        uint64_t ns;
    } cases[] = {{"2000000", NULL, UINT64_C(2000000000)},
                 {"2000000", "self", UINT64_C(2000000000)},
                 {"2000000", "1", 0}, /* meant for another process */
                 {"2000000", "x", 0},
                 {"2s", NULL, 0},
                 {"-5", NULL, 0},
                 {"", NULL, 0},
                 {"99999999999999999999999", NULL, 0},
                 {"18446744073709551615", NULL, 0}};
    snprintf(pid, sizeof pid, "%d", (int)getpid());
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        setenv("NOTIFY_SOCKET", "/tmp/nobody-listens", 1);
        setenv("WATCHDOG_USEC", cases[i].us, 1);
        if (cases[i].pid != NULL)
            setenv("WATCHDOG_PID", strcmp(cases[i].pid, "self") == 0 ? pid : cases[i].pid, 1);
        assert_int_equal(sl_notify_open(&notify, &err), 0);
        assert_int_equal(notify.watchdog_ns, cases[i].ns);
        assert_null(getenv("NOTIFY_SOCKET"));
        assert_null(getenv("WATCHDOG_USEC"));
        assert_null(getenv("WATCHDOG_PID"));
        sl_notify_close(&notify);
    }
    /* Not a service: nothing is told, whatever else is set. */
    setenv("WATCHDOG_USEC", "2000000", 1);
    assert_int_equal(sl_notify_open(&notify, &err), 0);
    assert_int_equal(notify.fd, -1);
    assert_int_equal(notify.watchdog_ns, 0);
    assert_int_equal(sl_notify_send(&notify, "READY=1"), 0);
    sl_notify_close(&notify);
}

static void refuses_what_is_no_socket(void **unused)
{
    (void)unused;
    char longest[200];
    memset(longest, 'a', sizeof longest - 1);
    longest[0] = '/';
    longest[sizeof longest - 1] = '\0';
    const char *const names[] = {"", "/", "@", "relative", "vsock:2:1234", longest};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct sl_notify notify;
        struct sl_error err = {0};
        setenv("NOTIFY_SOCKET", names[i], 1);
        assert_int_equal(sl_notify_open(&notify, &err), -EINVAL);
        assert_non_null(strstr(err.text, "NOTIFY_SOCKET"));
        sl_notify_close(&notify);
        forget();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells),
        cmocka_unit_test(reads_the_environment_once),
        cmocka_unit_test(refuses_what_is_no_socket),
    };
    forget();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
