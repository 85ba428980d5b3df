/* A VESC motor controller at USB or a UART, whose servo output steers.
 *
 *     rotations a minute (electrical) = speed_gain x m/s + speed_offset
 *     servo, 0 to 1                   = servo_gain x rad + servo_offset
 *
 * Speed 0 is the braking current, not 0 rotations: a speed controller that holds 0
 * would stop the vehicle as hard as it can. With 0 A the motor runs free. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "hal/actuator/output.h"
#include "hal/actuator/serial_port.h"
#include "hal/actuator/vesc_packet.h"
#include "rt/clock.h"

#define HELLO_NS      (2 * SL_NS_PER_S)
#define HELLO_EACH_NS (100 * SL_NS_PER_MS)
#define HELLO_POLL_NS (2 * SL_NS_PER_MS)
#define ASK_NS        (40 * SL_NS_PER_MS)
#define SILENT_NS     (160 * SL_NS_PER_MS) /* four questions without an answer */

struct vesc {
    struct sl_serial_port port;
    struct sl_vesc_config config;
    struct sl_vesc_stream stream;
    struct sl_vesc_values values; /* newest */
    uint64_t answered_ns;         /* 0: never */
    uint64_t asked_ns;
};

static int vesc_write(void *state, const struct sl_output *output, struct sl_error *err)
{
    struct vesc *v = state;
    const struct sl_pulses *asked = &output->pulses;
    uint8_t bytes[3 * SL_VESC_PACKET_MAX];
    size_t count = sl_vesc_set_servo(
        v->config.servo_gain_1prad * asked->steering_rad + v->config.servo_offset, bytes);
    count +=
        asked->speed_mps > 0
            ? sl_vesc_set_int32(SL_VESC_SET_RPM,
                                v->config.speed_gain_erpmpmps * asked->speed_mps +
                                    v->config.speed_offset_erpm,
                                bytes + count)
            : sl_vesc_set_int32(SL_VESC_SET_CURRENT_BRAKE, v->config.brake_a * 1e3, bytes + count);
    const uint64_t now_ns = sl_clock_now_ns();
    if (now_ns >= v->asked_ns + ASK_NS) {
        count += sl_vesc_ask_values(bytes + count);
        v->asked_ns = now_ns;
    }
    return sl_serial_write(&v->port, bytes, count, err);
}

static int take_answers(struct vesc *v, struct sl_error *err)
{
    uint8_t bytes[256];
    const ssize_t count = sl_serial_read(&v->port, bytes, sizeof bytes, err);
    for (ssize_t i = 0; i < count; i++)
        if (sl_vesc_stream_take(&v->stream, bytes[i]) &&
            sl_vesc_values_read(v->stream.payload, v->stream.payload_count, &v->values))
            v->answered_ns = sl_clock_now_ns();
    return count < 0 ? (int)count : 0;
}

static int vesc_check(void *state, struct sl_output_report *report, struct sl_error *err)
{
    struct vesc *v = state;
    const int rc = take_answers(v, err);
    if (rc != 0)
        return rc;
    if (sl_clock_now_ns() > v->answered_ns + SILENT_NS)
        return sl_error_set(err, -ETIMEDOUT,
                            "the VESC at %s does not answer any more; check its power and cable",
                            v->port.path);
    report->battery_mv = (uint32_t)lround(fmax(v->values.battery_v, 0) * 1e3);
    report->speed_mps = (float)sl_vesc_speed_mps(v->values.erpm, v->config.speed_gain_erpmpmps,
                                                 v->config.speed_offset_erpm);
    report->speed_ns = v->answered_ns;
    report->emergency_stop = v->values.fault != 0;
    if (report->emergency_stop)
        snprintf(report->emergency, sizeof report->emergency,
                 "the VESC reports fault %u; VESC Tool's terminal explains it (\"faults\")",
                 v->values.fault);
    return 0;
}

static int greet(struct vesc *v, const struct sl_output *neutral, struct sl_error *err)
{
    const uint64_t give_up_ns = sl_clock_now_ns() + HELLO_NS;
    uint64_t next_ns = 0;
    while (v->answered_ns == 0) {
        const uint64_t now_ns = sl_clock_now_ns();
        if (now_ns > give_up_ns)
            return sl_error_set(err, -ETIMEDOUT,
                                "no VESC answers at %s; set actuator.baud as VESC Tool has it, and "
                                "its app to UART",
                                v->port.path);
        int rc = 0;
        if (now_ns >= next_ns) {
            rc = vesc_write(v, neutral, err);
            next_ns = now_ns + HELLO_EACH_NS;
        }
        if (rc == 0 || rc == -EAGAIN) /* it may be starting */
            rc = take_answers(v, err);
        if (rc != 0)
            return rc;
        sl_clock_sleep_until_ns(now_ns + HELLO_POLL_NS);
    }
    return 0;
}

static int vesc_open(void *state, const struct sl_output_config *config,
                     const struct sl_output *neutral, struct sl_error *err)
{
    struct vesc *v = state;
    v->config = config->vesc;
    const int rc =
        sl_serial_open(&v->port, sl_output_path(&sl_output_vesc, config), config->baud, err);
    return rc != 0 ? rc : greet(v, neutral, err);
}

static void vesc_close(void *state)
{
    struct vesc *v = state;
    sl_serial_close(&v->port);
}

const struct sl_output_device sl_output_vesc = {
    .name = "vesc",
    .usual = "/dev/ttyACM0",
    .state_bytes = sizeof(struct vesc),
    .rewrite_ns = 20 * SL_NS_PER_MS,
    .check_ns = 10 * SL_NS_PER_MS,
    .open = vesc_open,
    .write = vesc_write,
    .check = vesc_check,
    .close = vesc_close,
};
