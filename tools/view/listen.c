#include "tools/view/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG 32
/* What the kernel keeps for one browser: some frames of 640x480, not seconds
 * of them. Doubled by the kernel. */
#define SEND_BYTES (256 << 10)

bool view_listen_is_loopback(const char *address)
{
    struct in_addr v4;
    struct in6_addr v6;
    if (strcmp(address, "localhost") == 0)
        return true;
    if (inet_pton(AF_INET, address, &v4) == 1)
        return (ntohl(v4.s_addr) >> 24) == 127;
    return inet_pton(AF_INET6, address, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

static int refuse(const char *address, uint16_t port, int error, struct sl_error *err)
{
    if (error == EADDRINUSE)
        return sl_error_set(err, -error,
                            "port %u of %s is taken: end the program that has it (ss -ltnp), or "
                            "choose another with --port (0: any free one)",
                            port, address);
    if (error == EACCES)
        return sl_error_set(err, -error,
                            "port %u is for the administrator: choose one above 1023 with --port",
                            port);
    if (error == EADDRNOTAVAIL)
        return sl_error_set(err, -error,
                            "%s is not an address of this machine: \"ip address\" lists them",
                            address);
    return sl_error_set(err, -error, "cannot listen on %s, port %u: %s", address, port,
                        strerror(error));
}

static uint16_t port_of(int fd)
{
    struct sockaddr_storage bound;
    socklen_t size = sizeof bound;
    if (getsockname(fd, (struct sockaddr *)&bound, &size) != 0)
        return 0;
    return ntohs(bound.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&bound)->sin6_port
                                             : ((struct sockaddr_in *)&bound)->sin_port);
}

int view_listen_open(const char *address, uint16_t port, uint16_t *port_out, struct sl_error *err)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC,
                                   .ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *found;
    char service[8];
    snprintf(service, sizeof service, "%u", port);
    const char *host = strcmp(address, "*") == 0 ? "::" : address;
    /* "localhost" may mean ::1 here and 127.0.0.1 in the browser. */
    if (strcmp(address, "localhost") == 0)
        host = "127.0.0.1";
    const int rc = getaddrinfo(host, service, &hints, &found);
    if (rc != 0)
        return sl_error_set(err, -EINVAL,
                            "--listen: \"%s\" is no address (%s); one of this machine's, such as "
                            "192.168.1.5, or * for every one",
                            address, gai_strerror(rc));
    const int fd = socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int error = fd < 0 ? errno : 0;
    if (fd >= 0) {
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
        if (strcmp(address, "*") == 0)
            setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &(int){0}, sizeof(int));
        if (bind(fd, found->ai_addr, found->ai_addrlen) != 0 || listen(fd, BACKLOG) != 0)
            error = errno;
    }
    freeaddrinfo(found);
    if (error != 0) {
        if (fd >= 0)
            close(fd);
        return refuse(address, port, error, err);
    }
    *port_out = port_of(fd);
    return fd;
}

int view_listen_accept(int fd)
{
    const int connection = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (connection >= 0) {
        setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
        setsockopt(connection, SOL_SOCKET, SO_SNDBUF, &(int){SEND_BYTES}, sizeof(int));
    }
    return connection;
}
