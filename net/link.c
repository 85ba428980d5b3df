#include "net/link.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <zmq.h>

#define KEEPALIVE_S 1 /* the kernel's finest */

int sl_link_set(void *socket, int option, int value)
{
    const int64_t wide = value;
    if (option == ZMQ_MAXMSGSIZE)
        return zmq_setsockopt(socket, option, &wide, sizeof wide);
    return zmq_setsockopt(socket, option, &value, sizeof value);
}

int sl_link_keep_watch(void *socket)
{
    /* The second probe finds that SL_LINK_SILENT_MS are over (tcp(7), TCP_USER_TIMEOUT). */
    static const struct sl_link_option OPTIONS[] = {{ZMQ_TCP_KEEPALIVE, 1},
                                                    {ZMQ_TCP_KEEPALIVE_IDLE, KEEPALIVE_S},
                                                    {ZMQ_TCP_KEEPALIVE_INTVL, KEEPALIVE_S},
                                                    {ZMQ_TCP_KEEPALIVE_CNT, 1},
                                                    {ZMQ_TCP_MAXRT, SL_LINK_SILENT_MS}};
    for (size_t i = 0; i < sizeof OPTIONS / sizeof OPTIONS[0]; i++)
        if (sl_link_set(socket, OPTIONS[i].option, OPTIONS[i].value) != 0)
            return -1;
    return 0;
}

static int bind_failure(int code, const char *endpoint, struct sl_error *err)
{
    switch (code) {
    case EADDRINUSE:
        return sl_error_set(err, -code,
                            "%s is taken by another program; end that, or choose another port",
                            endpoint);
    case EACCES:
        return sl_error_set(err, -code, "%s may not be used by this user; choose a port above 1023",
                            endpoint);
    case EADDRNOTAVAIL:
    case ENODEV:
        return sl_error_set(err, -EADDRNOTAVAIL,
                            "%s is no address of this machine; use one of those that \"ip "
                            "address\" shows, or tcp://*:PORT for all",
                            endpoint);
    case EINVAL:
    case EPROTONOSUPPORT:
        return sl_error_set(err, -EINVAL,
                            "\"%s\" is no endpoint; expected tcp://ADDRESS:PORT or ipc://PATH",
                            endpoint);
    default:
        return sl_error_set(err, -code, "cannot listen on %s: %s", endpoint, zmq_strerror(code));
    }
}

/* libzmq takes 65537 for 1. */
static bool has_port(const char *endpoint)
{
    if (strncmp(endpoint, "tcp://", 6) != 0)
        return true; /* needs none */
    const char *port = strrchr(endpoint, ':') + 1;
    char *end;
    const long number = strtol(port, &end, 10);
    return strcmp(port, "*") == 0 || (end != port && *end == '\0' && number >= 0 && number < 65536);
}

static int prepare(void *socket, const struct sl_link_option *options, const char *endpoint)
{
    const struct sl_link_option common[] = {
        {ZMQ_LINGER, 0},
        {ZMQ_IPV6, strchr(endpoint, '[') != NULL},
    };
    int rc = sl_link_keep_watch(socket);
    for (size_t i = 0; rc == 0 && i < sizeof common / sizeof common[0]; i++)
        rc = sl_link_set(socket, common[i].option, common[i].value);
    for (; rc == 0 && options->option != 0; options++)
        rc = sl_link_set(socket, options->option, options->value);
    return rc;
}

int sl_link_make(void **socket, void *context, int kind, const struct sl_link_option *options,
                 const char *endpoint, struct sl_error *err)
{
    *socket = NULL;
    if (!has_port(endpoint))
        return bind_failure(EINVAL, endpoint, err);
    *socket = zmq_socket(context, kind);
    if (*socket == NULL)
        return sl_error_set(err, -errno, "cannot make a ZMQ socket: %s", zmq_strerror(errno));
    if (prepare(*socket, options, endpoint) == 0)
        return 0;
    const int code = errno;
    zmq_close(*socket);
    *socket = NULL;
    return sl_error_set(err, -code, "cannot set up a ZMQ socket: %s", zmq_strerror(code));
}

int sl_link_bind(void *socket, const char *endpoint, char *bound, size_t room, struct sl_error *err)
{
    static const char LOCAL[] = "tcp://localhost:";
    char address[256];
    snprintf(address, sizeof address, "%s", endpoint);
    /* libzmq does not resolve names to listen on. */
    if (strncmp(endpoint, LOCAL, sizeof LOCAL - 1) == 0)
        snprintf(address, sizeof address, "tcp://127.0.0.1:%s", endpoint + sizeof LOCAL - 1);
    if (zmq_bind(socket, address) != 0)
        return bind_failure(errno, endpoint, err);
    if (zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, bound, &room) != 0)
        snprintf(bound, room, "%s", endpoint);
    return 0;
}

#ifdef __SANITIZE_THREAD__
/* Debian's libzmq is not built for ThreadSanitizer, which therefore sees the
 * bytes that its threads hand to each other, but not how they agree on it. */
__attribute__((visibility("default"))) const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
    return "called_from_lib:libzmq.so\n"
           "called_from_lib:libsodium.so\n"; /* which encrypts for it */
}
#endif
