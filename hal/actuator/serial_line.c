#include "hal/actuator/serial_line.h"

#include <stdio.h>
#include <string.h>

#include "hal/actuator/crc16.h"

#define CHECK_CHARS 5 /* '*' and four digits */

size_t sl_serial_command_line(const struct sl_serial_command *c, char line[SL_SERIAL_LINE_MAX])
{
    char body[SL_SERIAL_LINE_MAX - CHECK_CHARS - 2];
    const int length = snprintf(body, sizeof body, "S,%u,%u,%u,%u", c->seq, c->steering_us,
                                c->throttle_us, c->valid_ms);
    return (size_t)snprintf(line, SL_SERIAL_LINE_MAX, "$%s*%04X\n", body,
                            sl_crc16(body, (size_t)length));
}

/* ",DIGITS" from `*at` on, at most `max`. */
static bool field(const char **at, const char *end, uint32_t max, uint32_t *value)
{
    const char *p = *at;
    if (p == end || *p++ != ',' || p == end || *p < '0' || *p > '9')
        return false;
    uint64_t number = 0;
    for (; p < end && *p >= '0' && *p <= '9'; p++) {
        number = number * 10 + (uint64_t)(*p - '0');
        if (number > max)
            return false;
    }
    *value = (uint32_t)number;
    *at = p;
    return true;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool check_is_right(const char *line, size_t length)
{
    const char *check = line + length - CHECK_CHARS;
    uint32_t told = 0;
    if (check[0] != '*')
        return false;
    for (int i = 1; i < CHECK_CHARS; i++) {
        const int digit = hex_digit(check[i]);
        if (digit < 0)
            return false;
        told = told << 4 | (uint32_t)digit;
    }
    return told == sl_crc16(line, length - CHECK_CHARS);
}

bool sl_serial_answer_read(const char *line, size_t length, struct sl_serial_answer *answer)
{
    if (length < CHECK_CHARS + 1 || line[0] != 'A' || !check_is_right(line, length))
        return false;
    const char *at = line + 1, *end = line + length - CHECK_CHARS;
    uint32_t seq, flags, battery_mv;
    if (!field(&at, end, UINT16_MAX, &seq) || !field(&at, end, UINT16_MAX, &flags) ||
        !field(&at, end, 100000, &battery_mv) || at != end)
        return false;
    *answer = (struct sl_serial_answer){
        .seq = (uint16_t)seq, .flags = (uint16_t)flags, .battery_mv = battery_mv};
    return true;
}

bool sl_serial_lines_take(struct sl_serial_lines *l, char byte)
{
    if (byte == '$') {
        l->inside = true;
        l->length = 0;
        return false;
    }
    if (!l->inside)
        return false;
    if (byte == '\n' || byte == '\r') {
        l->inside = false;
        l->line[l->length] = '\0';
        return true;
    }
    if (l->length == sizeof l->line - 1)
        l->inside = false;
    else
        l->line[l->length++] = byte;
    return false;
}
