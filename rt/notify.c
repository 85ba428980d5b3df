#include "rt/notify.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "rt/clock.h"

/* The whole text as a number; 0 if it is none. */
static uint64_t number(const char *text)
{
    char *end = NULL;
    if (text == NULL || *text < '0' || *text > '9')
        return 0;
    errno = 0;
    const unsigned long long value = strtoull(text, &end, 10);
    return *end == '\0' && errno == 0 ? value : 0;
}

/* How often the manager wants to hear from this process, and no other one. */
static uint64_t watchdog_ns(void)
{
    const char *pid = getenv("WATCHDOG_PID");
    if (pid != NULL && number(pid) != (uint64_t)getpid())
        return 0;
    const uint64_t us = number(getenv("WATCHDOG_USEC"));
    return us <= UINT64_MAX / SL_NS_PER_US ? us * SL_NS_PER_US : 0;
}

static int set_address(struct sl_notify *notify, const char *name, struct sl_error *err)
{
    const size_t length = strlen(name);
    if ((name[0] != '/' && name[0] != '@') || length < 2 ||
        length >= sizeof notify->address.sun_path)
        return sl_error_set(err, -EINVAL,
                            "NOTIFY_SOCKET is \"%.120s\": neither a path nor @ and a name; it is "
                            "set by systemd: start this without it, or as a service",
                            name);
    notify->address.sun_family = AF_UNIX;
    memcpy(notify->address.sun_path, name, length);
    notify->address_length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
    if (name[0] == '@')
        notify->address.sun_path[0] = '\0';
    return 0;
}

int sl_notify_open(struct sl_notify *notify, struct sl_error *err)
{
    *notify = (struct sl_notify){.fd = -1};
    const char *name = getenv("NOTIFY_SOCKET");
    int rc = name != NULL ? set_address(notify, name, err) : 0;
    if (rc == 0 && name != NULL) {
        notify->watchdog_ns = watchdog_ns();
        notify->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (notify->fd < 0)
            rc = sl_error_set(err, -errno, "cannot open a socket to systemd: %s", strerror(errno));
    }
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
    return rc;
}

int sl_notify_send(const struct sl_notify *notify, const char *message)
{
    if (notify->fd < 0)
        return 0;
    const ssize_t sent = sendto(notify->fd, message, strlen(message), MSG_DONTWAIT | MSG_NOSIGNAL,
                                (const struct sockaddr *)&notify->address, notify->address_length);
    return sent >= 0 ? 0 : -errno;
}

void sl_notify_close(struct sl_notify *notify)
{
    if (notify->fd >= 0)
        close(notify->fd);
    notify->fd = -1;
}
