#include "app/drive/actuator_config.h"

#include <stdio.h>

#include "app/config/convert.h"

static void fill_pulse(const struct sl_settings *s, struct sl_pulse_config *out)
{
    *out = (struct sl_pulse_config){.steering_max_rad = s->vehicle.steering_max_rad,
                                    .speed_max_mps = s->vehicle.speed_max_mps,
                                    .steering_centre_us = s->actuator.steering_centre_us,
                                    .steering_left_us = s->actuator.steering_left_us,
                                    .steering_right_us = s->actuator.steering_right_us,
                                    .steering_rate_usps = s->actuator.steering_rate_usps,
                                    .throttle_neutral_us = s->actuator.throttle_neutral_us,
                                    .throttle_start_us = s->actuator.throttle_start_us,
                                    .throttle_end_us = s->actuator.throttle_end_us,
                                    .throttle_brake_us = s->actuator.throttle_brake_us,
                                    .brake_ms = s->actuator.brake_ms};
}

static void fill_output(const struct sl_settings *s, struct sl_output_config *out)
{
    *out = (struct sl_output_config){
        .i2c_address = (uint32_t)s->actuator.i2c_address,
        .steering_channel = (uint32_t)s->actuator.steering_channel,
        .throttle_channel = (uint32_t)s->actuator.throttle_channel,
        .frequency_hz = s->actuator.frequency_hz,
        .baud = (uint32_t)s->actuator.baud,
        .vesc = {.speed_gain_erpmpmps = s->actuator.vesc_speed_gain,
                 .speed_offset_erpm = s->actuator.vesc_speed_offset,
                 .servo_gain_1prad = s->actuator.vesc_servo_gain,
                 .servo_offset = s->actuator.vesc_servo_offset,
                 .brake_a = s->actuator.vesc_brake_a},
        .arming_ms = s->actuator.esc_arming_ms,
        .priority = s->realtime.enable ? (int)s->realtime.actuator_priority : 0};
    snprintf(out->device, sizeof out->device, "%s", s->actuator.device);
    snprintf(out->steering_pwm, sizeof out->steering_pwm, "%.31s", s->actuator.steering_pwm);
    snprintf(out->throttle_pwm, sizeof out->throttle_pwm, "%.31s", s->actuator.throttle_pwm);
    fill_pulse(s, &out->pulse);
}

void sl_drive_actuator_config(const struct sl_settings *s, struct sl_actuator_config *actuator,
                              struct sl_output_config *output)
{
    struct sl_bus_writer_config rights = {0};
    sl_settings_bus_rights(s, &rights);
    fill_output(s, output);
    *actuator = (struct sl_actuator_config){.driver = s->actuator.driver,
                                            .target = s->bus.command,
                                            .steering_max_rad = s->vehicle.steering_max_rad,
                                            .speed_max_mps = s->vehicle.speed_max_mps,
                                            .bus_access = rights.access,
                                            .bus_group = rights.group,
                                            .output = output};
}
