#include "net/local.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG 8

static const char *const NAMES[] = {"localhost", "127.0.0.1", "[::1]"};
#define NAME_COUNT (sizeof NAMES / sizeof NAMES[0])

bool sl_local_is_host(const char *host)
{
    for (size_t i = 0; i < NAME_COUNT; i++) {
        const size_t length = strlen(NAMES[i]);
        if (strncasecmp(host, NAMES[i], length) == 0 &&
            (host[length] == '\0' || host[length] == ':'))
            return true;
    }
    return false;
}

/* Digits alone. */
static bool read_port(const char *text, in_port_t *port)
{
    const size_t length = strlen(text);
    if (length < 1 || length > 5 || strspn(text, "0123456789") != length)
        return false;
    const unsigned long number = strtoul(text, NULL, 10);
    *port = htons((in_port_t)number);
    return number <= 65535;
}

static bool is_exactly(const char *text, size_t length, const char *word)
{
    return length == strlen(word) && strncmp(text, word, length) == 0;
}

static bool read_where(const char *where, struct sockaddr_storage *address, socklen_t *size)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)address;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)address;
    const char *colon = strrchr(where, ':');
    const size_t length = colon != NULL ? (size_t)(colon - where) : 0;
    in_port_t port;
    memset(address, 0, sizeof *address);
    if (!read_port(colon != NULL ? colon + 1 : where, &port))
        return false;
    if (is_exactly(where, length, "[::1]")) {
        v6->sin6_family = AF_INET6;
        v6->sin6_addr = in6addr_loopback;
        v6->sin6_port = port;
        *size = sizeof *v6;
        return true;
    }
    v4->sin_family = AF_INET;
    v4->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    v4->sin_port = port;
    *size = sizeof *v4;
    return colon == NULL || is_exactly(where, length, "localhost") ||
           is_exactly(where, length, "127.0.0.1");
}

static int refuse(const char *key, const char *where, int error, struct sl_error *err)
{
    if (error == EADDRINUSE)
        return sl_error_set(err, -error,
                            "%s: %s is taken: end the program that has it (ss -ltnp), or choose "
                            "another port",
                            key, where);
    if (error == EACCES)
        return sl_error_set(err, -error,
                            "%s: the port of %s is for the administrator: choose one above 1023",
                            key, where);
    return sl_error_set(err, -error, "%s: cannot listen on %s: %s", key, where, strerror(error));
}

int sl_local_listen(const char *key, const char *where, struct sl_error *err)
{
    struct sockaddr_storage address;
    socklen_t size;
    if (!read_where(where, &address, &size))
        return sl_error_set(err, -EINVAL,
                            "%s: \"%s\" is no address of this machine alone; use 127.0.0.1:PORT, "
                            "and a tunnel (ssh -L) from elsewhere",
                            key, where);
    const int fd = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return refuse(key, where, errno, err);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    if (bind(fd, (struct sockaddr *)&address, size) != 0 || listen(fd, BACKLOG) != 0) {
        const int error = errno;
        close(fd);
        return refuse(key, where, error, err);
    }
    return fd;
}

unsigned sl_local_port(int fd)
{
    struct sockaddr_storage bound;
    socklen_t size = sizeof bound;
    if (getsockname(fd, (struct sockaddr *)&bound, &size) != 0)
        return 0;
    return ntohs(bound.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&bound)->sin6_port
                                             : ((struct sockaddr_in *)&bound)->sin_port);
}
