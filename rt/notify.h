/* Telling the service manager how it goes: systemd's notification protocol, as
 * sd_notify(3) describes it, without its library. Datagrams of lines such as
 * "READY=1" to the socket that the environment names; where it names none, nothing
 * is told and nothing fails. */
#ifndef SL_RT_NOTIFY_H
#define SL_RT_NOTIFY_H

#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "rt/error.h"

struct sl_notify {
    int fd; /* -1: nobody wants to be told */
    struct sockaddr_un address;
    socklen_t address_length;
    uint64_t watchdog_ns; /* WATCHDOG=1 is expected at least so often; 0: not at all */
};

/* Reads NOTIFY_SOCKET (a path, or an abstract name after @), WATCHDOG_USEC and
 * WATCHDOG_PID, and takes them out of the environment: what this program starts is
 * not to speak for it. Not while other threads use the environment. 0, also where
 * there is no such socket; -EINVAL (a name that is none); -EMFILE and the like. In
 * each case sl_notify_close() may follow. */
int sl_notify_open(struct sl_notify *notify, struct sl_error *err);

/* Sends one message, lines parted by newlines, without a copy being kept. Does not
 * block: -EAGAIN if nobody empties the socket. 0, also where nobody wants to be
 * told; else what the socket says. Any thread. */
int sl_notify_send(const struct sl_notify *notify, const char *message);

void sl_notify_close(struct sl_notify *notify); /* may be repeated */

#endif
