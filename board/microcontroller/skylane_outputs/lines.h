/* The microcontroller's side of docs/serial.md, without any hardware: bytes and
 * times in, pulses and answers out. C and C++; tests/unit/actuator_lines_test.c
 * runs it on a desk. */
#ifndef SKYLANE_OUTPUTS_LINES_H
#define SKYLANE_OUTPUTS_LINES_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_ROOM    48
#define PULSE_MIN_US 400
#define PULSE_MAX_US 2600
#define VALID_MAX_MS 200
#define FLAG_STOPPED 1
#define FLAG_EXPIRED 2
#define FLAG_REFUSED 4

struct outputs {
    uint16_t steering_us, throttle_us; /* to be put out now */
    uint16_t centre_us, neutral_us;    /* what is safe */
    uint16_t seq;                      /* of the newest line that was right */
    uint8_t flags;                     /* for the next answer */
    uint8_t stopped;                   /* the emergency stop is pressed */
    uint32_t until_ms;                 /* the newest line holds so long */
    uint8_t holds;
    char line[LINE_ROOM];
    uint8_t length, inside;
};

static inline uint16_t outputs_crc(const char *bytes, size_t count)
{
    uint16_t crc = 0;
    for (size_t i = 0; i < count; i++) {
        crc = (uint16_t)(crc ^ (uint16_t)((uint8_t)bytes[i] << 8));
        for (uint8_t bit = 0; bit < 8; bit++)
            crc = (uint16_t)((uint16_t)(crc << 1) ^ ((crc & 0x8000u) != 0 ? 0x1021u : 0u));
    }
    return crc;
}

static inline void outputs_rest(struct outputs *o)
{
    o->steering_us = o->centre_us;
    o->throttle_us = o->neutral_us;
    o->holds = 0;
}

static inline void outputs_begin(struct outputs *o, uint16_t centre_us, uint16_t neutral_us)
{
    memset(o, 0, sizeof *o);
    o->centre_us = centre_us;
    o->neutral_us = neutral_us;
    outputs_rest(o);
}

/* Digits behind a comma, at most `max`; moves on behind them. 0: there are none. */
static inline uint8_t outputs_number(const char **at, uint32_t max, uint16_t *number)
{
    uint32_t value = 0;
    const char *p = *at;
    if (*p++ != ',' || *p < '0' || *p > '9')
        return 0;
    for (; *p >= '0' && *p <= '9'; p++) {
        value = value * 10 + (uint32_t)(*p - '0');
        if (value > max)
            return 0;
    }
    *number = (uint16_t)value;
    *at = p;
    return 1;
}

static inline uint8_t outputs_obey(struct outputs *o, uint32_t now_ms)
{
    char check[6];
    uint16_t seq, steering_us, throttle_us, valid_ms;
    char *star = strchr(o->line, '*');
    if (star == NULL || o->line[0] != 'S')
        return 0;
    snprintf(check, sizeof check, "*%04X", outputs_crc(o->line, (size_t)(star - o->line)));
    if (strcmp(star, check) != 0)
        return 0;
    const char *at = o->line + 1;
    if (!outputs_number(&at, 65535, &seq) || !outputs_number(&at, PULSE_MAX_US, &steering_us) ||
        !outputs_number(&at, PULSE_MAX_US, &throttle_us) ||
        !outputs_number(&at, VALID_MAX_MS, &valid_ms) || at != star || steering_us < PULSE_MIN_US ||
        throttle_us < PULSE_MIN_US)
        return 0;
    o->seq = seq;
    if (!o->stopped) {
        o->steering_us = steering_us;
        o->throttle_us = throttle_us;
        o->until_ms = now_ms + valid_ms;
        o->holds = 1;
    }
    return 1;
}

/* One byte that came in. 1: it ended a line that was right, and an answer is due. */
static inline uint8_t outputs_take(struct outputs *o, char byte, uint32_t now_ms)
{
    if (byte == '$') {
        o->inside = 1;
        o->length = 0;
    } else if (o->inside && byte == '\n') {
        o->inside = 0;
        o->line[o->length] = '\0';
        if (outputs_obey(o, now_ms))
            return 1;
        o->flags |= FLAG_REFUSED;
    } else if (o->inside && o->length < LINE_ROOM - 1) {
        o->line[o->length++] = byte;
    } else if (o->inside) {
        o->inside = 0;
        o->flags |= FLAG_REFUSED;
    }
    return 0;
}

/* Some hundred times a second: ends what has expired, and obeys the stop. */
static inline void outputs_tick(struct outputs *o, uint32_t now_ms, uint8_t stop_pressed)
{
    o->stopped = stop_pressed;
    if (o->holds && (int32_t)(now_ms - o->until_ms) >= 0) {
        o->flags |= FLAG_EXPIRED;
        outputs_rest(o);
    }
    if (stop_pressed)
        outputs_rest(o);
}

/* The answer to the newest line; returns its length. */
static inline size_t outputs_answer(struct outputs *o, uint32_t battery_mv, char answer[LINE_ROOM])
{
    char body[LINE_ROOM - 8];
    const int length =
        snprintf(body, sizeof body, "A,%u,%u,%lu", (unsigned)o->seq,
                 (unsigned)(o->flags | (o->stopped ? FLAG_STOPPED : 0)), (unsigned long)battery_mv);
    o->flags = 0;
    return (size_t)snprintf(answer, LINE_ROOM, "$%s*%04X\n", body,
                            outputs_crc(body, (size_t)length));
}

#endif
