/* Settings as the configurations that the pure modules take. */
#ifndef SL_APP_CONFIG_CONVERT_H
#define SL_APP_CONFIG_CONVERT_H

#include "app/config/settings.h"
#include "app/control/control.h"
#include "app/control/limits.h"
#include "app/control/safety.h"
#include "app/detect/detect.h"
#include "app/detect/motion.h"
#include "rt/bus.h"

void sl_settings_calibration(const struct sl_settings *settings, struct sl_camera_calibration *out);
/* Whose records are taken: enum sl_bus_writers. */
uint32_t sl_settings_bus_writers(const struct sl_settings *settings);
/* Who may read a bus: fills `access` and `group`, which points into the settings. */
void sl_settings_bus_rights(const struct sl_settings *settings, struct sl_bus_writer_config *out);
void sl_settings_detect(const struct sl_settings *settings, struct sl_detect_config *out);
/* How long a detection server may take: detect.timeout_ms, or what its 0 means. */
uint64_t sl_settings_remote_timeout_ns(const struct sl_settings *settings);
/* True if [camera] names hardware: something that can fail, and be started anew. */
bool sl_settings_camera_is_hardware(const struct sl_settings *settings);
/* True if [actuator] names hardware; else it moves nothing real. */
bool sl_settings_outputs_are_hardware(const struct sl_settings *settings);
void sl_settings_motion(const struct sl_settings *settings, struct sl_motion_config *out);
void sl_settings_control(const struct sl_settings *settings, struct sl_control_config *out);
void sl_settings_safety(const struct sl_settings *settings, struct sl_safety_config *out);
void sl_settings_limits(const struct sl_settings *settings, struct sl_limits_config *out);

/* The checksum of the steering's three pulses, to a tenth of a microsecond, as
 * actuator.steering_check holds it: against pulses that were changed or half
 * written after they were measured, not against malice. */
#define SL_STEERING_CHECK_CHARS 8
void sl_settings_steering_check(double centre_us, double left_us, double right_us,
                                char text[SL_STEERING_CHECK_CHARS + 1]);

#endif
