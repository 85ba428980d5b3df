/* Settings to an actuator's configuration. */
#ifndef SL_APP_DRIVE_ACTUATOR_CONFIG_H
#define SL_APP_DRIVE_ACTUATOR_CONFIG_H

#include "app/config/settings.h"
#include "hal/actuator/actuator.h"

/* Fills both in; `actuator` refers to `settings` and `output`, and has no log.
 * `settings` have passed sl_settings_check(). */
void sl_drive_actuator_config(const struct sl_settings *settings,
                              struct sl_actuator_config *actuator, struct sl_output_config *output);

#endif
