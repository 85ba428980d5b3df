/* VESC packets, as bldc's comm/packet.c and comm/commands.c have them: start 2,
 * length, payload, CRC-16 of the payload, stop 3; numbers big-endian. Pure. */
#ifndef SL_HAL_ACTUATOR_VESC_PACKET_H
#define SL_HAL_ACTUATOR_VESC_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SL_VESC_PAYLOAD_MAX 255
#define SL_VESC_PACKET_MAX  (SL_VESC_PAYLOAD_MAX + 5)

/* Payload's first byte: COMM_PACKET_ID of bldc's datatypes.h. */
enum {
    SL_VESC_GET_VALUES = 4,
    SL_VESC_SET_CURRENT_BRAKE = 7, /* int32, mA */
    SL_VESC_SET_RPM = 8,           /* int32, electrical rotations a minute */
    SL_VESC_SET_SERVO_POS = 12,    /* int16, thousandths of the servo's range */
};

/* Wraps `count` bytes, 1 to 255; returns the packet's length. */
size_t sl_vesc_packet(const uint8_t *payload, size_t count, uint8_t packet[SL_VESC_PACKET_MAX]);

/* Commands: the packet's length. */
size_t sl_vesc_ask_values(uint8_t packet[SL_VESC_PACKET_MAX]);
size_t sl_vesc_set_int32(uint8_t command, double value, uint8_t packet[SL_VESC_PACKET_MAX]);
size_t sl_vesc_set_servo(double position, uint8_t packet[SL_VESC_PACKET_MAX]); /* 0 to 1 */

/* What comes in. Zeroed before the first byte. */
struct sl_vesc_stream {
    uint8_t bytes[SL_VESC_PACKET_MAX];
    size_t count;
    uint8_t payload[SL_VESC_PAYLOAD_MAX];
    size_t payload_count;
};

/* Takes one byte; true if it completes a packet, whose payload is then in the
 * stream. Noise, and packets longer than ours, are passed over. */
bool sl_vesc_stream_take(struct sl_vesc_stream *stream, uint8_t byte);

struct sl_vesc_values {
    double erpm, battery_v;
    uint8_t fault; /* mc_fault_code; 0: none */
};

/* The speed at these electrical rotations a minute, which the motor is told as
 * gain x speed + offset: 0 where it does not turn, and below what the offset alone
 * asks for. */
double sl_vesc_speed_mps(double erpm, double gain_erpmpmps, double offset_erpm);

/* Reads an answer to GET_VALUES. False if it is none. */
bool sl_vesc_values_read(const uint8_t *payload, size_t count, struct sl_vesc_values *values);

#endif
