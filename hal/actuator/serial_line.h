/* The lines between this side and a microcontroller, as docs/serial.md describes
 * them. Pure. */
#ifndef SL_HAL_ACTUATOR_SERIAL_LINE_H
#define SL_HAL_ACTUATOR_SERIAL_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SL_SERIAL_LINE_MAX 48 /* with '$', newline and the terminating zero */

enum {
    SL_SERIAL_STOPPED = 1, /* its emergency stop is pressed */
    SL_SERIAL_EXPIRED = 2, /* it went neutral by itself since its last answer */
    SL_SERIAL_REFUSED = 4, /* it refused a line since its last answer */
};

struct sl_serial_command {
    uint16_t seq;
    uint16_t steering_us, throttle_us;
    uint16_t valid_ms; /* neutral after so long without another */
};

struct sl_serial_answer {
    uint16_t seq; /* of the command that it answers */
    uint16_t flags;
    uint32_t battery_mv; /* 0: not measured */
};

/* Writes a line with its newline and a terminating zero; returns its length. */
size_t sl_serial_command_line(const struct sl_serial_command *command,
                              char line[SL_SERIAL_LINE_MAX]);

/* Reads a line from behind '$' to before the newline. False unless all of it is as
 * it should be, the checksum included. */
bool sl_serial_answer_read(const char *line, size_t length, struct sl_serial_answer *answer);

/* Puts bytes together to lines. Zeroed before the first. */
struct sl_serial_lines {
    char line[SL_SERIAL_LINE_MAX];
    size_t length;
    bool inside; /* a '$' has come */
};

/* Takes one byte; true if it ends a line, which is then `lines->line`, without '$'
 * and newline, until the next byte. What is too long, or begins anew, is dropped. */
bool sl_serial_lines_take(struct sl_serial_lines *lines, char byte);

#endif
