/* libFuzzer's entry for what hardware outputs answer: a microcontroller's lines and a
 * VESC's packets, as they come from a wire. The first byte chooses. Build with
 * -DSL_FUZZ=ON and clang, then run bin/outputs_fuzz on a copy of
 * tests/fuzz/corpus/outputs. */
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "hal/actuator/serial_line.h"
#include "hal/actuator/vesc_packet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool good)
{
    if (!good)
        abort();
}

/* Whatever came before, a good line that follows is taken. */
static void lines(const uint8_t *data, size_t size)
{
    static const char GOOD[] = "$A,12,0,7400*535D\n";
    struct sl_serial_lines in = {0};
    struct sl_serial_answer answer;
    for (size_t i = 0; i < size; i++) {
        if (!sl_serial_lines_take(&in, (char)data[i]))
            continue;
        must(in.length < SL_SERIAL_LINE_MAX && in.line[in.length] == '\0');
        must(strpbrk(in.line, "$\r\n") == NULL);
        if (sl_serial_answer_read(in.line, in.length, &answer))
            must(answer.battery_mv <= 100000);
    }
    bool taken = false;
    for (size_t i = 0; i < sizeof GOOD - 1; i++)
        taken = sl_serial_lines_take(&in, GOOD[i]);
    must(taken && sl_serial_answer_read(in.line, in.length, &answer));
    must(answer.seq == 12 && answer.flags == 0 && answer.battery_mv == 7400);
}

/* Whatever came before, one of the good packets that follow is taken: half a packet
 * that came may swallow as many bytes as it claims to have. */
static void packets(const uint8_t *data, size_t size)
{
    struct sl_vesc_stream in = {0};
    struct sl_vesc_values values;
    for (size_t i = 0; i < size; i++) {
        if (!sl_vesc_stream_take(&in, data[i]))
            continue;
        must(in.payload_count > 0 && in.payload_count <= SL_VESC_PAYLOAD_MAX);
        if (sl_vesc_values_read(in.payload, in.payload_count, &values))
            must(isfinite(values.erpm) && fabs(values.battery_v) <= 3276.8);
    }
    uint8_t packet[SL_VESC_PACKET_MAX];
    const size_t length = sl_vesc_ask_values(packet);
    bool taken = false;
    for (size_t sent = 0; sent < 2 * SL_VESC_PACKET_MAX && !taken; sent += length)
        for (size_t i = 0; i < length; i++)
            taken = sl_vesc_stream_take(&in, packet[i]) || taken;
    must(taken && in.payload_count == 1 && in.payload[0] == SL_VESC_GET_VALUES);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    if (data[0] % 2 == 0)
        lines(data + 1, size - 1);
    else
        packets(data + 1, size - 1);
    return 0;
}
