/* CRC-16/XMODEM: polynomial 0x1021, begins at 0, nothing reflected. Of "123456789"
 * it is 0x31c3. Both serial wires use it: ours and the VESC's. */
#ifndef SL_HAL_ACTUATOR_CRC16_H
#define SL_HAL_ACTUATOR_CRC16_H

#include <stddef.h>
#include <stdint.h>

static inline uint16_t sl_crc16(const void *bytes, size_t count)
{
    const uint8_t *byte = bytes;
    uint32_t crc = 0;
    for (size_t i = 0; i < count; i++) {
        crc ^= (uint32_t)byte[i] << 8;
        for (int bit = 0; bit < 8; bit++)
            crc = (crc & 0x8000u) != 0 ? crc << 1 ^ 0x1021u : crc << 1;
    }
    return (uint16_t)crc;
}

#endif
