#include "hal/actuator/serial_port.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "rt/clock.h"

#define WRITE_NS    (10 * SL_NS_PER_MS)
#define BACKLOG_MAX 128 /* bytes not yet on the wire: 11 ms at 115200 baud */

static speed_t speed_of(uint32_t baud)
{
    static const struct {
        uint32_t baud;
        speed_t speed;
    } SPEEDS[] = {{9600, B9600},     {19200, B19200},    {38400, B38400},   {57600, B57600},
                  {115200, B115200}, {230400, B230400},  {460800, B460800}, {500000, B500000},
                  {921600, B921600}, {1000000, B1000000}};
    for (size_t i = 0; i < sizeof SPEEDS / sizeof SPEEDS[0]; i++)
        if (SPEEDS[i].baud == baud)
            return SPEEDS[i].speed;
    return B0;
}

static int set_raw(struct sl_serial_port *port, uint32_t baud, struct sl_error *err)
{
    struct termios mode;
    const speed_t speed = speed_of(baud);
    if (speed == B0)
        return sl_error_set(err, -EINVAL,
                            "%u baud is no rate that serial ports have; 115200 is the usual one",
                            baud);
    if (tcgetattr(port->fd, &mode) != 0)
        return sl_error_set(err, -ENOTTY, "%s is no serial port", port->path);
    cfmakeraw(&mode);
    mode.c_cflag |= CLOCAL | CREAD;
    mode.c_cflag &= ~(tcflag_t)(CRTSCTS | CSTOPB | HUPCL);
    mode.c_cc[VMIN] = 0;
    mode.c_cc[VTIME] = 0;
    cfsetispeed(&mode, speed);
    cfsetospeed(&mode, speed);
    if (tcsetattr(port->fd, TCSANOW, &mode) != 0)
        return sl_error_set(err, -EINVAL, "%s cannot be set to %u baud", port->path, baud);
    tcflush(port->fd, TCIOFLUSH);
    return 0;
}

int sl_serial_open(struct sl_serial_port *port, const char *path, uint32_t baud,
                   struct sl_error *err)
{
    snprintf(port->path, sizeof port->path, "%s", path);
    port->fd = open(path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (port->fd < 0)
        return sl_error_set(
            err, -errno,
            errno == EACCES  ? "%s: no permission; add the user to the group dialout"
            : errno == EBUSY ? "%s is used by another program"
            : errno == ENOENT
                ? "there is no serial port %s: plug it in, or name another with actuator.device; "
                  "\"ls /dev/serial/by-id\" lists USB's by their names"
                : "the serial port %s cannot be opened",
            path);
    int rc = set_raw(port, baud, err);
    /* Not TIOCEXCL: root passes it, and what a dead process set could stay. */
    if (rc == 0 && flock(port->fd, LOCK_EX | LOCK_NB) != 0)
        rc = sl_error_set(err, -EBUSY, "%s is used by another program", path);
    if (rc != 0)
        sl_serial_close(port);
    return rc;
}

static int no_bytes_taken(const struct sl_serial_port *port, struct sl_error *err)
{
    return sl_error_set(err, -EAGAIN,
                        "%s takes no more bytes: what is at its other end hangs, or "
                        "actuator.baud is wrong",
                        port->path);
}

static int gone(const struct sl_serial_port *port, int code, struct sl_error *err)
{
    return sl_error_set(err, code, "%s is gone: %s; check plug and cable", port->path,
                        strerror(-code));
}

int sl_serial_write(struct sl_serial_port *port, const void *bytes, size_t count,
                    struct sl_error *err)
{
    const uint64_t give_up_ns = sl_clock_now_ns() + WRITE_NS;
    const uint8_t *next = bytes;
    int backlog = 0;
    if (ioctl(port->fd, TIOCOUTQ, &backlog) == 0 && backlog > BACKLOG_MAX)
        return no_bytes_taken(port, err);
    while (count > 0) {
        const ssize_t n = write(port->fd, next, count);
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return gone(port, -errno, err);
        if (n > 0) {
            next += n;
            count -= (size_t)n;
            continue;
        }
        const uint64_t now_ns = sl_clock_now_ns();
        if (now_ns >= give_up_ns) {
            tcflush(port->fd, TCOFLUSH); /* half a message must not lead the next one */
            return no_bytes_taken(port, err);
        }
        struct pollfd room = {.fd = port->fd, .events = POLLOUT};
        const struct timespec left = sl_clock_timespec(give_up_ns - now_ns);
        ppoll(&room, 1, &left, NULL);
    }
    return 0;
}

ssize_t sl_serial_read(struct sl_serial_port *port, void *bytes, size_t room, struct sl_error *err)
{
    const ssize_t n = read(port->fd, bytes, room);
    if (n > 0)
        return n;
    if (n < 0 && errno != EAGAIN && errno != EINTR)
        return gone(port, -errno, err);
    /* With VMIN 0 nothing and the end look alike. */
    struct pollfd line = {.fd = port->fd, .events = POLLIN};
    if (poll(&line, 1, 0) == 1 && (line.revents & (POLLHUP | POLLERR)) != 0)
        return gone(port, -EIO, err);
    return 0;
}

void sl_serial_close(struct sl_serial_port *port)
{
    if (port->fd >= 0)
        close(port->fd);
    port->fd = -1;
}
