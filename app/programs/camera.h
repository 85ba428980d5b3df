/* The three jobs of skylane camera. Each returns an exit status, and has said on
 * standard error what went wrong. */
#ifndef SL_APP_PROGRAMS_CAMERA_H
#define SL_APP_PROGRAMS_CAMERA_H

#include <stdbool.h>

#include "app/config/settings.h"

#define CAMERA_VERB "camera"

struct camera_options {
    struct sl_settings settings; /* checked */
    double seconds;              /* test: how long */
    const char *picture;         /* test: a JPEG file for the last frame; NULL: none */
    bool json, quiet;
};

/* Every camera that the machine has, with formats, sizes and rates. */
int camera_list(const struct camera_options *o);

/* What the camera of the settings delivers: rate, jitter, age, drops, a picture. */
int camera_test(const struct camera_options *o);

/* Publishes its frames until it is told to stop, or can do no more. */
int camera_run(const struct camera_options *o);

#endif
