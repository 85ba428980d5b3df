/* A microcontroller at a serial port, in the lines of docs/serial.md. It answers
 * each line, and goes neutral by itself when no new one comes: the lease ends even
 * if this whole machine hangs. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "hal/actuator/output.h"
#include "hal/actuator/serial_line.h"
#include "hal/actuator/serial_port.h"
#include "rt/clock.h"

/* Opening the port restarts many boards, whose boot loader then takes two seconds. */
#define HELLO_NS      (4 * SL_NS_PER_S)
#define HELLO_EACH_NS (100 * SL_NS_PER_MS)
#define HELLO_POLL_NS (2 * SL_NS_PER_MS)
#define SILENT_NS     (150 * SL_NS_PER_MS) /* what comes in passes an ordinary kernel thread */

struct serial {
    struct sl_serial_port port;
    struct sl_serial_lines lines;
    struct sl_serial_answer answer; /* newest */
    uint64_t answered_ns;           /* 0: never */
    uint16_t seq;
};

static int serial_write(void *state, const struct sl_output *output, struct sl_error *err)
{
    struct serial *s = state;
    char line[SL_SERIAL_LINE_MAX];
    const struct sl_serial_command command = {
        .seq = ++s->seq,
        .steering_us = (uint16_t)lround(output->pulses.steering_us),
        .throttle_us = (uint16_t)lround(output->pulses.throttle_us),
        .valid_ms = (uint16_t)output->valid_ms};
    return sl_serial_write(&s->port, line, sl_serial_command_line(&command, line), err);
}

static int take_answers(struct serial *s, struct sl_error *err)
{
    char bytes[256];
    const ssize_t count = sl_serial_read(&s->port, bytes, sizeof bytes, err);
    for (ssize_t i = 0; i < count; i++) {
        struct sl_serial_answer answer;
        /* One to a line of before its restart is none. */
        if (sl_serial_lines_take(&s->lines, bytes[i]) &&
            sl_serial_answer_read(s->lines.line, s->lines.length, &answer) &&
            (uint16_t)(s->seq - answer.seq) < 64) {
            s->answer = answer;
            s->answered_ns = sl_clock_now_ns();
        }
    }
    return count < 0 ? (int)count : 0;
}

static int serial_check(void *state, struct sl_output_report *report, struct sl_error *err)
{
    struct serial *s = state;
    const int rc = take_answers(s, err);
    if (rc != 0)
        return rc;
    if (sl_clock_now_ns() > s->answered_ns + SILENT_NS)
        return sl_error_set(err, -ETIMEDOUT,
                            "the microcontroller at %s does not answer any more; is its program "
                            "running?",
                            s->port.path);
    report->battery_mv = s->answer.battery_mv;
    report->emergency_stop = (s->answer.flags & SL_SERIAL_STOPPED) != 0;
    if (report->emergency_stop)
        snprintf(report->emergency, sizeof report->emergency,
                 "the emergency stop at the microcontroller is pressed");
    return 0;
}

/* Neutral, again and again, until it answers. */
static int greet(struct serial *s, const struct sl_output *neutral, struct sl_error *err)
{
    const uint64_t give_up_ns = sl_clock_now_ns() + HELLO_NS;
    uint64_t next_ns = 0;
    while (s->answered_ns == 0) {
        const uint64_t now_ns = sl_clock_now_ns();
        if (now_ns > give_up_ns)
            return sl_error_set(err, -ETIMEDOUT,
                                "nothing at %s answers; load the microcontroller's program "
                                "(docs/serial.md), or set actuator.baud to its rate",
                                s->port.path);
        int rc = 0;
        if (now_ns >= next_ns) {
            rc = serial_write(s, neutral, err);
            next_ns = now_ns + HELLO_EACH_NS;
        }
        if (rc == 0 || rc == -EAGAIN) /* it may be starting */
            rc = take_answers(s, err);
        if (rc != 0)
            return rc;
        sl_clock_sleep_until_ns(now_ns + HELLO_POLL_NS);
    }
    return 0;
}

static int serial_open(void *state, const struct sl_output_config *config,
                       const struct sl_output *neutral, struct sl_error *err)
{
    struct serial *s = state;
    const int rc =
        sl_serial_open(&s->port, sl_output_path(&sl_output_serial, config), config->baud, err);
    return rc != 0 ? rc : greet(s, neutral, err);
}

static void serial_close(void *state)
{
    struct serial *s = state;
    sl_serial_close(&s->port);
}

const struct sl_output_device sl_output_serial = {
    .name = "serial",
    .usual = "/dev/ttyACM0",
    .state_bytes = sizeof(struct serial),
    .rewrite_ns = 20 * SL_NS_PER_MS,
    .check_ns = 10 * SL_NS_PER_MS,
    .open = serial_open,
    .write = serial_write,
    .check = serial_check,
    .close = serial_close,
};
