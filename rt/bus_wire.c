#include "rt/bus_wire.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define FDS_MAX 4

union control {
    struct cmsghdr header;
    uint8_t bytes[CMSG_SPACE(FDS_MAX * sizeof(int))];
};

int sl_bus_send(int socket, const void *message, size_t size, const int *fds, size_t fd_count)
{
    union control control = {0};
    struct iovec part = {.iov_base = (void *)message, .iov_len = size};
    struct msghdr msg = {.msg_iov = &part, .msg_iovlen = 1};
    if (fd_count != 0) {
        msg.msg_control = &control;
        msg.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
        struct cmsghdr *rights = CMSG_FIRSTHDR(&msg);
        rights->cmsg_level = SOL_SOCKET;
        rights->cmsg_type = SCM_RIGHTS;
        rights->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
        memcpy(CMSG_DATA(rights), fds, fd_count * sizeof(int));
    }
    return sendmsg(socket, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)size ? 0 : -errno;
}

ssize_t sl_bus_receive(int socket, void *message, size_t size, int *fds, size_t fd_count)
{
    union control control = {0};
    struct iovec part = {.iov_base = message, .iov_len = size};
    struct msghdr msg = {.msg_iov = &part, .msg_iovlen = 1};
    if (fd_count != 0) {
        msg.msg_control = &control;
        msg.msg_controllen = sizeof control;
    }
    for (size_t i = 0; i < fd_count; i++)
        fds[i] = -1;
    ssize_t n = recvmsg(socket, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (n < 0)
        return -errno;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c != NULL; c = CMSG_NXTHDR(&msg, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
            if (i < fd_count)
                fds[i] = fd;
            else
                close(fd); /* whatever a guest thinks it could leave here */
        }
    }
    return n;
}
