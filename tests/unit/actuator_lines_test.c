/* The two serial wires: lines of a microcontroller, with the one that is in board/
 * at the other end, and packets of a VESC; whole, broken, and as noise. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../board/microcontroller/skylane_outputs/lines.h"
#include "hal/actuator/crc16.h"
#include "hal/actuator/serial_line.h"
#include "hal/actuator/vesc_packet.h"

static void the_checksum_is_xmodem(void **state)
{
    (void)state;
    assert_int_equal(sl_crc16("123456789", 9), 0x31c3); /* the usual check value */
    assert_int_equal(outputs_crc("123456789", 9), 0x31c3);
}

/* The lines that docs/serial.md shows. */
static void the_documented_lines_are_right(void **state)
{
    (void)state;
    static const char ANSWER[] = "A,12,0,7400*535D";
    const struct sl_serial_command c = {12, 1500, 1500, 90};
    struct sl_serial_answer answer;
    char line[SL_SERIAL_LINE_MAX];
    sl_serial_command_line(&c, line);
    assert_string_equal(line, "$S,12,1500,1500,90*BB72\n");
    assert_true(sl_serial_answer_read(ANSWER, sizeof ANSWER - 1, &answer));
    assert_int_equal(answer.seq, 12);
    assert_int_equal(answer.battery_mv, 7400);
}

/* Gives a line to the microcontroller; true if it obeys. */
static bool give(struct outputs *o, const char *line, uint32_t now_ms)
{
    bool obeyed = false;
    for (; *line != '\0'; line++)
        obeyed = outputs_take(o, *line, now_ms) || obeyed;
    return obeyed;
}

static bool hear_answer(struct outputs *o, struct sl_serial_answer *answer)
{
    struct sl_serial_lines lines = {0};
    char text[LINE_ROOM];
    bool right = false;
    outputs_answer(o, 7412, text);
    for (const char *p = text; *p != '\0'; p++)
        if (sl_serial_lines_take(&lines, *p))
            right = sl_serial_answer_read(lines.line, lines.length, answer);
    return right;
}

static void a_command_arrives_and_is_answered(void **state)
{
    (void)state;
    struct outputs o;
    struct sl_serial_answer answer;
    char line[SL_SERIAL_LINE_MAX];
    outputs_begin(&o, 1480, 1500);
    srand(1);
    for (int i = 0; i < 5000; i++) {
        const struct sl_serial_command c = {.seq = (uint16_t)rand(),
                                            .steering_us = (uint16_t)(400 + rand() % 2201),
                                            .throttle_us = (uint16_t)(400 + rand() % 2201),
                                            .valid_ms = (uint16_t)(rand() % 201)};
        const size_t length = sl_serial_command_line(&c, line);
        assert_int_equal(strlen(line), length);
        assert_true(give(&o, line, 1000));
        assert_int_equal(o.steering_us, c.steering_us);
        assert_int_equal(o.throttle_us, c.throttle_us);
        assert_true(hear_answer(&o, &answer));
        assert_int_equal(answer.seq, c.seq);
        assert_int_equal(answer.flags, 0);
        assert_int_equal(answer.battery_mv, 7412);
    }
}

static void the_microcontroller_ends_a_lease_by_itself(void **state)
{
    (void)state;
    struct outputs o;
    struct sl_serial_answer answer;
    char line[SL_SERIAL_LINE_MAX];
    const struct sl_serial_command c = {1, 1900, 1600, 100};
    sl_serial_command_line(&c, line);
    outputs_begin(&o, 1480, 1500);
    const uint32_t begin_ms = UINT32_MAX - 50; /* its clock wraps */
    assert_true(give(&o, line, begin_ms));
    outputs_tick(&o, begin_ms + 99, 0);
    assert_int_equal(o.throttle_us, 1600);
    outputs_tick(&o, begin_ms + 100, 0);
    assert_int_equal(o.throttle_us, 1500);
    assert_int_equal(o.steering_us, 1480);
    assert_true(hear_answer(&o, &answer));
    assert_int_equal(answer.flags, SL_SERIAL_EXPIRED);
    assert_true(hear_answer(&o, &answer));
    assert_int_equal(answer.flags, 0); /* told once */

    outputs_tick(&o, 1000, 1); /* the stop is pressed */
    assert_true(give(&o, line, 1000));
    assert_int_equal(o.throttle_us, 1500);
    assert_true(hear_answer(&o, &answer));
    assert_int_equal(answer.flags, SL_SERIAL_STOPPED);
    outputs_tick(&o, 1010, 0);
    assert_int_equal(o.throttle_us, 1500); /* it does not drive on by itself */
    assert_true(give(&o, line, 1020));
    assert_int_equal(o.throttle_us, 1600);
}

/* Every change of one byte, and every cut, is noticed on both sides. */
static void broken_lines_are_refused(void **state)
{
    (void)state;
    char line[SL_SERIAL_LINE_MAX], answer[LINE_ROOM];
    const struct sl_serial_command c = {77, 1900, 1600, 100};
    const size_t length = sl_serial_command_line(&c, line);
    struct outputs o;
    outputs_begin(&o, 1500, 1500);
    const size_t answer_length = outputs_answer(&o, 7400, answer);
    for (int value = 1; value < 256; value++) {
        for (size_t at = 0; at + 1 < length; at++) { /* the newline may change */
            char broken[SL_SERIAL_LINE_MAX];
            memcpy(broken, line, length + 1);
            if ((uint8_t)broken[at] == value)
                continue;
            broken[at] = (char)value;
            outputs_begin(&o, 1500, 1500);
            assert_false(give(&o, broken, 0));
            assert_int_equal(o.throttle_us, 1500);
        }
        for (size_t at = 1; at + 1 < answer_length; at++) {
            struct sl_serial_answer read;
            char broken[LINE_ROOM];
            memcpy(broken, answer, answer_length + 1);
            if ((uint8_t)broken[at] == value)
                continue;
            broken[at] = (char)value;
            assert_false(sl_serial_answer_read(broken + 1, answer_length - 2, &read));
        }
    }
    for (size_t cut = 0; cut + 2 < answer_length; cut++) {
        struct sl_serial_answer read;
        assert_false(sl_serial_answer_read(answer + 1, cut, &read));
    }
    /* Right checksum, wrong content. */
    static const char *const WRONG[] = {"A",           "A,1",          "A,1,2",    "A,1,2,3,4",
                                        "A,70000,0,1", "A,1,0,100001", "A,-1,0,1", "A,,0,1",
                                        "B,1,0,1",     "A 1,0,1",      "A,1,0,1 "};
    for (size_t i = 0; i < sizeof WRONG / sizeof WRONG[0]; i++) {
        struct sl_serial_answer read;
        char text[64];
        snprintf(text, sizeof text, "%s*%04X", WRONG[i], sl_crc16(WRONG[i], strlen(WRONG[i])));
        assert_false(sl_serial_answer_read(text, strlen(text), &read));
    }
    static const char *const UNSAFE[] = {"S,1,399,1500,100", "S,1,1500,2601,100",
                                         "S,1,1500,1500,201", "S,1,1500,1500",
                                         "S,1,1500,1500,100,1"};
    for (size_t i = 0; i < sizeof UNSAFE / sizeof UNSAFE[0]; i++) {
        char text[64];
        snprintf(text, sizeof text, "$%s*%04X\n", UNSAFE[i],
                 sl_crc16(UNSAFE[i], strlen(UNSAFE[i])));
        outputs_begin(&o, 1500, 1500);
        assert_false(give(&o, text, 0));
        assert_int_equal(o.flags, FLAG_REFUSED);
    }
}

static void noise_is_passed_over(void **state)
{
    (void)state;
    struct sl_serial_lines lines = {0};
    struct sl_vesc_stream stream = {0};
    struct outputs o;
    char line[SL_SERIAL_LINE_MAX];
    uint8_t packet[SL_VESC_PACKET_MAX];
    const struct sl_serial_command c = {5, 1700, 1600, 100};
    int found = 0;
    srand(3);
    for (int round = 0; round < 3000; round++) {
        const int noise = rand() % 600;
        outputs_begin(&o, 1500, 1500);
        for (int i = 0; i < noise; i++) {
            const uint8_t byte =
                (uint8_t)(rand() % 3 == 0 ? "$*A,\n\x02\x03\x05"[rand() % 8] : rand());
            struct sl_serial_answer answer;
            if (sl_serial_lines_take(&lines, (char)byte))
                assert_false(sl_serial_answer_read(lines.line, lines.length, &answer));
            sl_vesc_stream_take(&stream, byte);
            outputs_take(&o, (char)byte, 0);
        }
        sl_serial_command_line(&c, line);
        assert_true(give(&o, line, 0)); /* the first line behind it counts */
        /* A packet counts at the latest when what noise announced has passed. */
        const size_t length = sl_vesc_set_servo(0.25, packet);
        for (int n = 0; n < 40; n++)
            for (size_t i = 0; i < length; i++)
                found += sl_vesc_stream_take(&stream, packet[i]) && stream.payload_count == 3 &&
                         stream.payload[0] == SL_VESC_SET_SERVO_POS;
    }
    assert_true(found > 3000 * 10);
}

static void vesc_packets_are_as_its_firmware_has_them(void **state)
{
    (void)state;
    uint8_t packet[SL_VESC_PACKET_MAX];
    /* COMM_SET_RPM 4614, with the checksum of payload 08 00 00 12 06. */
    static const uint8_t rpm[] = {0x08, 0x00, 0x00, 0x12, 0x06};
    const uint16_t crc = outputs_crc((const char *)rpm, sizeof rpm);
    assert_int_equal(sl_vesc_set_int32(SL_VESC_SET_RPM, 4614, packet), 10);
    assert_int_equal(packet[0], 2);
    assert_int_equal(packet[1], 5);
    assert_memory_equal(packet + 2, rpm, sizeof rpm);
    assert_int_equal(packet[7] << 8 | packet[8], crc);
    assert_int_equal(packet[9], 3);
    sl_vesc_set_int32(SL_VESC_SET_RPM, -2, packet);
    assert_int_equal(packet[3], 0xff);
    assert_int_equal(packet[6], 0xfe);
    sl_vesc_set_servo(0.5304, packet);
    assert_int_equal(packet[3] << 8 | packet[4], 530);
    sl_vesc_set_servo(7, packet);
    assert_int_equal(packet[3] << 8 | packet[4], 1000);
    sl_vesc_set_servo(-7, packet);
    assert_int_equal(packet[3] << 8 | packet[4], 0);

    uint8_t values[60] = {SL_VESC_GET_VALUES};
    struct sl_vesc_values read;
    values[25] = 0x12; /* rpm: bytes 23 to 26 */
    values[26] = 0x06;
    values[28] = 111; /* v_in: bytes 27, 28, tenths */
    values[53] = 4;   /* fault */
    assert_true(sl_vesc_values_read(values, sizeof values, &read));
    assert_true(read.erpm == 4614 && read.battery_v == 11.1 && read.fault == 4);
    assert_false(sl_vesc_values_read(values, 53, &read));
    values[0] = 5;
    assert_false(sl_vesc_values_read(values, sizeof values, &read));
}

static void a_vescs_speed_is_its_rotations_undone(void **state)
{
    (void)state;
    static const double GAINS[] = {4614, -4614}, OFFSETS[] = {0, 300, -300};
    for (size_t g = 0; g < 2; g++)
        for (size_t o = 0; o < 3; o++) {
            for (int i = -50; i <= 50; i++) {
                const double speed = 0.1 * i, erpm = GAINS[g] * speed + OFFSETS[o];
                if (i != 0)
                    assert_true(fabs(sl_vesc_speed_mps(erpm, GAINS[g], OFFSETS[o]) - speed) < 1e-9);
            }
            /* A motor that stands has no speed, whatever the offset. */
            assert_true(sl_vesc_speed_mps(0, GAINS[g], OFFSETS[o]) == 0);
            assert_true(sl_vesc_speed_mps(0.9 * OFFSETS[o], GAINS[g], OFFSETS[o]) *
                            (GAINS[g] * OFFSETS[o]) >=
                        0);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_checksum_is_xmodem),
        cmocka_unit_test(the_documented_lines_are_right),
        cmocka_unit_test(a_command_arrives_and_is_answered),
        cmocka_unit_test(the_microcontroller_ends_a_lease_by_itself),
        cmocka_unit_test(broken_lines_are_refused),
        cmocka_unit_test(noise_is_passed_over),
        cmocka_unit_test(a_vescs_speed_is_its_rotations_undone),
        cmocka_unit_test(vesc_packets_are_as_its_firmware_has_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
