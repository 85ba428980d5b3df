#include "app/config/convert.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

void sl_settings_calibration(const struct sl_settings *settings, struct sl_camera_calibration *out)
{
    *out = (struct sl_camera_calibration){
        .width_px = (uint32_t)settings->camera.width_px,
        .height_px = (uint32_t)settings->camera.height_px,
        .fx_px = settings->camera.fx_px,
        .fy_px = settings->camera.fy_px,
        .cx_px = settings->camera.cx_px,
        .cy_px = settings->camera.cy_px,
        .k1 = settings->camera.k1,
        .k2 = settings->camera.k2,
        .p1 = settings->camera.p1,
        .p2 = settings->camera.p2,
        .k3 = settings->camera.k3,
        .height_m = settings->camera.height_m,
        .forward_m = settings->camera.forward_m,
        .left_m = settings->camera.left_m,
        .pitch_rad = settings->camera.pitch_rad,
        .yaw_rad = settings->camera.yaw_rad,
        .roll_rad = settings->camera.roll_rad,
    };
}

uint32_t sl_settings_bus_writers(const struct sl_settings *settings)
{
    return strcmp(settings->bus.writers, "any") == 0 ? SL_BUS_WRITERS_ANY : SL_BUS_WRITERS_OWN;
}

void sl_settings_bus_rights(const struct sl_settings *settings, struct sl_bus_writer_config *out)
{
    static const char *const CHOICES[] = {[SL_BUS_ACCESS_OWNER] = "owner",
                                          [SL_BUS_ACCESS_GROUP] = "group",
                                          [SL_BUS_ACCESS_ALL] = "all"};
    out->access = SL_BUS_ACCESS_OWNER;
    for (uint32_t i = 0; i < sizeof CHOICES / sizeof CHOICES[0]; i++) {
        if (strcmp(settings->bus.access, CHOICES[i]) == 0)
            out->access = i;
    }
    out->group = settings->bus.group;
}

void sl_settings_detect(const struct sl_settings *settings, struct sl_detect_config *out)
{
    memset(out, 0, sizeof *out);
    sl_settings_calibration(settings, &out->camera);
    out->lane_width_m = settings->detect.lane_width_m;
    out->lane_width_tolerance = settings->detect.lane_width_tolerance;
    out->marking_width_m = settings->detect.marking_width_m;
    out->near_m = settings->detect.near_m;
    out->far_m = settings->detect.far_m;
    out->min_contrast = settings->detect.min_contrast;
    out->track = 1;
    out->markings = strcmp(settings->detect.markings, "dark") == 0   ? SL_MARKINGS_DARK
                    : strcmp(settings->detect.markings, "both") == 0 ? SL_MARKINGS_BOTH
                                                                     : SL_MARKINGS_BRIGHT;
}

uint64_t sl_settings_remote_timeout_ns(const struct sl_settings *settings)
{
    const double rate_hz = settings->camera.rate_hz > 0 ? settings->camera.rate_hz : 20;
    const double ms = settings->detect.timeout_ms > 0 ? settings->detect.timeout_ms : 2e3 / rate_hz;
    return (uint64_t)llround(ms * 1e6);
}

static enum sl_control_law law_of(const char *name)
{
    if (strcmp(name, "stanley") == 0)
        return SL_LAW_STANLEY;
    if (strcmp(name, "pid") == 0)
        return SL_LAW_PID;
    return SL_LAW_PURE_PURSUIT;
}

void sl_settings_motion(const struct sl_settings *settings, struct sl_motion_config *out)
{
    *out = (struct sl_motion_config){
        .wheelbase_m = settings->vehicle.wheelbase_m,
        .understeer_rads2pm = settings->vehicle.understeer_rads2pm,
        .rear_slip_rads2pm = settings->vehicle.rear_slip_rads2pm,
    };
}

void sl_settings_control(const struct sl_settings *settings, struct sl_control_config *out)
{
    *out = (struct sl_control_config){
        .law = law_of(settings->control.law),
        .wheelbase_m = settings->vehicle.wheelbase_m,
        .steering_max_rad = settings->vehicle.steering_max_rad,
        .actuation_delay_s = settings->vehicle.actuation_delay_s,
        .understeer_rads2pm = settings->vehicle.understeer_rads2pm,
        .rear_slip_rads2pm = settings->vehicle.rear_slip_rads2pm,
        .lookahead_min_m = settings->control.lookahead_min_m,
        .lookahead_time_s = settings->control.lookahead_time_s,
        .stanley_gain_1ps = settings->control.stanley_gain_1ps,
        .stanley_softening_mps = settings->control.stanley_softening_mps,
        .pid_kp_radpm = settings->control.pid_kp_radpm,
        .pid_ki_radpms = settings->control.pid_ki_radpms,
        .pid_kd_rads_pm = settings->control.pid_kd_rads_pm,
        .pid_heading_gain = settings->control.pid_heading_gain,
        .speed_max_mps = settings->control.speed_mps,
        .speed_min_mps = settings->control.speed_min_mps,
        .lateral_accel_max_mps2 = settings->control.lateral_accel_max_mps2,
        .accel_max_mps2 = settings->vehicle.accel_max_mps2,
        .decel_max_mps2 = settings->vehicle.decel_max_mps2,
    };
}

bool sl_settings_camera_is_hardware(const struct sl_settings *settings)
{
    return strcmp(settings->camera.driver, "v4l2") == 0 ||
           strcmp(settings->camera.driver, "libcamera") == 0;
}

bool sl_settings_outputs_are_hardware(const struct sl_settings *settings)
{
    return strcmp(settings->actuator.driver, "bus") != 0 &&
           strcmp(settings->actuator.driver, "null") != 0;
}

/* Of a real camera, three periods less the tick in which that is noticed. */
static double camera_stall_ms(const struct sl_settings *s)
{
    if (!sl_settings_camera_is_hardware(s) || s->camera.rate_hz <= 0)
        return s->safety.camera_stall_ms;
    return fmin(s->safety.camera_stall_ms,
                fmax(3e3 / s->camera.rate_hz - 1e3 / s->control.rate_hz, 1));
}

void sl_settings_safety(const struct sl_settings *settings, struct sl_safety_config *out)
{
    *out = (struct sl_safety_config){
        .arm_at_start = settings->safety.arm_at_start,
        .recover_lane = settings->safety.recover_lane,
        .recover_source = settings->safety.recover_source,
        .min_confidence = settings->safety.min_confidence,
        .settle_ms = settings->safety.settle_ms,
        .hold_ms = settings->safety.hold_ms,
        .slow_ms = settings->safety.slow_ms,
        .slow_scale = settings->safety.slow_scale,
        .stale_ms = settings->safety.stale_ms,
        .camera_stall_ms = camera_stall_ms(settings),
        .detector_stall_ms = settings->safety.detector_stall_ms,
        .miss_limit = (uint32_t)settings->safety.miss_limit,
        .miss_window_ms = settings->safety.miss_window_ms,
        .standing_mps = settings->safety.standing_mps,
        .lease_ms = settings->safety.lease_ms,
    };
}

void sl_settings_limits(const struct sl_settings *settings, struct sl_limits_config *out)
{
    *out = (struct sl_limits_config){
        .steering_max_rad = settings->vehicle.steering_max_rad,
        .steering_rate_max_radps = settings->vehicle.steering_rate_max_radps,
        .speed_max_mps = settings->vehicle.speed_max_mps,
        .accel_max_mps2 = settings->vehicle.accel_max_mps2,
        .decel_max_mps2 = settings->vehicle.decel_max_mps2,
        /* A wish is as good as the command that it becomes. */
        .fresh_ms = settings->safety.command_lease_ms,
    };
}

void sl_settings_steering_check(double centre_us, double left_us, double right_us,
                                char text[SL_STEERING_CHECK_CHARS + 1])
{
    char pulses[64];
    uint32_t h = 0x811c9dc5; /* FNV-1a, 32 bits (http://www.isthe.com/chongo/tech/comp/fnv/) */
    snprintf(pulses, sizeof pulses, "%.1f %.1f %.1f", centre_us, left_us, right_us);
    for (const char *p = pulses; *p != '\0'; p++)
        h = (h ^ (unsigned char)*p) * 0x01000193u;
    snprintf(text, SL_STEERING_CHECK_CHARS + 1, "%08x", h);
}
