/* A serial port whose writes and reads never wait long. One thread. */
#ifndef SL_HAL_ACTUATOR_SERIAL_PORT_H
#define SL_HAL_ACTUATOR_SERIAL_PORT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "rt/error.h"

struct sl_serial_port {
    int fd;         /* -1: closed */
    char path[192]; /* for sentences */
};

/* Opens a terminal device raw, 8N1, for this process alone; `baud` is one of
 * 9600 to 1000000 as termios names them, and means nothing to USB. What had come in
 * is thrown away. 0; -ENOENT, -EACCES, -EBUSY, -ENOTTY, -EINVAL (rate), with a
 * sentence. */
int sl_serial_open(struct sl_serial_port *port, const char *path, uint32_t baud,
                   struct sl_error *err);

/* All bytes or an error, in 10 ms at most. What still waits from before is not
 * queued behind: old commands are worth nothing. 0; -EAGAIN (it takes no bytes: the
 * line's other end hangs, or the rate is too low), -EIO and the like (it is gone). */
int sl_serial_write(struct sl_serial_port *port, const void *bytes, size_t count,
                    struct sl_error *err);

/* What has come in, at most `room` bytes: their number, 0 if there are none, or a
 * negative errno with a sentence (it is gone). Does not block. */
ssize_t sl_serial_read(struct sl_serial_port *port, void *bytes, size_t room, struct sl_error *err);

void sl_serial_close(struct sl_serial_port *port); /* a closed one, too */

#endif
