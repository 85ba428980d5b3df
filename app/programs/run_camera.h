/* The camera's process beside the vehicle. */
#ifndef SL_APP_PROGRAMS_RUN_CAMERA_H
#define SL_APP_PROGRAMS_RUN_CAMERA_H

#include "app/config/options.h"
#include "rt/child.h"
#include "rt/log.h"

#define RUN_CAMERA_PATIENCE_NS (2 * UINT64_C(1000000000)) /* to end in, when asked */

/* Starts "skylane-camera run" with the options that this program got, if the settings
 * want the camera in a process of its own; *camera is NULL if they do not. What it
 * says, and how it ends, is logged; it is started again. 0, or what
 * sl_child_open() says. Main thread. */
int run_camera_start(struct sl_child **camera, const struct sl_settings *settings,
                     const struct sl_settings_options *options, struct sl_log *log,
                     struct sl_error *err);

#endif
