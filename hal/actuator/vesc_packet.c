#include "hal/actuator/vesc_packet.h"

#include <math.h>
#include <string.h>

#include "hal/actuator/crc16.h"

#define START    2
#define STOP     3
#define OVERHEAD 5

/* Where COMM_GET_VALUES has them, behind its id: two temperatures of 2 bytes, four
 * currents of 4, the duty cycle of 2; then these; then four counters and two
 * tachometers of 4 before the fault. */
#define VALUES_ERPM    23
#define VALUES_BATTERY 27 /* tenths of a volt */
#define VALUES_FAULT   53

size_t sl_vesc_packet(const uint8_t *payload, size_t count, uint8_t packet[SL_VESC_PACKET_MAX])
{
    const uint16_t crc = sl_crc16(payload, count);
    packet[0] = START;
    packet[1] = (uint8_t)count;
    memcpy(packet + 2, payload, count);
    packet[count + 2] = (uint8_t)(crc >> 8);
    packet[count + 3] = (uint8_t)crc;
    packet[count + 4] = STOP;
    return count + OVERHEAD;
}

size_t sl_vesc_ask_values(uint8_t packet[SL_VESC_PACKET_MAX])
{
    const uint8_t payload = SL_VESC_GET_VALUES;
    return sl_vesc_packet(&payload, 1, packet);
}

size_t sl_vesc_set_int32(uint8_t command, double value, uint8_t packet[SL_VESC_PACKET_MAX])
{
    const uint32_t n = (uint32_t)(int32_t)lround(fmin(fmax(value, INT32_MIN), INT32_MAX));
    const uint8_t payload[] = {command, (uint8_t)(n >> 24), (uint8_t)(n >> 16), (uint8_t)(n >> 8),
                               (uint8_t)n};
    return sl_vesc_packet(payload, sizeof payload, packet);
}

size_t sl_vesc_set_servo(double position, uint8_t packet[SL_VESC_PACKET_MAX])
{
    const uint16_t n = (uint16_t)lround(fmin(fmax(position, 0), 1) * 1000);
    const uint8_t payload[] = {SL_VESC_SET_SERVO_POS, (uint8_t)(n >> 8), (uint8_t)n};
    return sl_vesc_packet(payload, sizeof payload, packet);
}

/* ---- what comes in ---- */

static void drop(struct sl_vesc_stream *s, size_t count)
{
    s->count -= count;
    memmove(s->bytes, s->bytes + count, s->count);
}

/* What its first bytes are: a packet's length, 0 if more must come, -1 if none
 * begins here. */
static int packet_at_front(const struct sl_vesc_stream *s)
{
    if (s->count > 0 && s->bytes[0] != START)
        return -1;
    if (s->count < 2)
        return 0;
    const size_t length = s->bytes[1];
    if (length == 0)
        return -1;
    if (s->count < length + OVERHEAD)
        return 0;
    const uint8_t *tail = s->bytes + 2 + length;
    const uint16_t told = (uint16_t)(tail[0] << 8 | tail[1]);
    return tail[2] == STOP && told == sl_crc16(s->bytes + 2, length) ? (int)(length + OVERHEAD)
                                                                     : -1;
}

bool sl_vesc_stream_take(struct sl_vesc_stream *s, uint8_t byte)
{
    s->bytes[s->count++] = byte; /* there is room: a packet is complete before it is full */
    for (;;) {
        const int length = packet_at_front(s);
        if (length == 0)
            return false;
        if (length > 0) {
            s->payload_count = (size_t)length - OVERHEAD;
            memcpy(s->payload, s->bytes + 2, s->payload_count);
            drop(s, (size_t)length);
            return true;
        }
        drop(s, 1);
    }
}

static int32_t int32_at(const uint8_t *p)
{
    return (int32_t)((uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3]);
}

bool sl_vesc_values_read(const uint8_t *payload, size_t count, struct sl_vesc_values *values)
{
    if (count <= VALUES_FAULT || payload[0] != SL_VESC_GET_VALUES)
        return false;
    values->erpm = int32_at(payload + VALUES_ERPM);
    values->battery_v =
        (int16_t)(uint16_t)(payload[VALUES_BATTERY] << 8 | payload[VALUES_BATTERY + 1]) / 10.0;
    values->fault = payload[VALUES_FAULT];
    return true;
}

double sl_vesc_speed_mps(double erpm, double gain_erpmpmps, double offset_erpm)
{
    const double speed_mps = (erpm - offset_erpm) / gain_erpmpmps;
    return speed_mps * erpm * gain_erpmpmps > 0 ? speed_mps : 0;
}
