/* The simulator's command line. Private to its program. */
#ifndef SL_TOOLS_SIM_PROGRAM_OPTIONS_H
#define SL_TOOLS_SIM_PROGRAM_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "app/config/options.h"
#include "tools/sim/world.h"

#define SIM_VERB "sim"

enum sim_viewer { SIM_VIEWER_AUTO, SIM_VIEWER_WEB, SIM_VIEWER_NONE };

struct sim_options {
    const char *track, *json, *format, *pictures;
    struct sl_settings_options settings;
    struct sl_settings_options own; /* of these, what other options stand for */
    const char *image_bus, *detection_bus, *detector_url;
    double detector_timeout_ms;
    int64_t detector_jpeg;
    bool shared_memory, latency;
    int64_t seed, count, laps;
    enum sl_sim_light light;
    double wear, seconds, rate_hz;
    bool drive, lockstep, headless, no_noise;
    enum sim_viewer viewer; /* read: web or none */
    int64_t web_port;
    bool broadcast; /* also wherever something needs it */
    const char *broadcast_url;
    bool broadcast_images;
    int insecure; /* how often it was said */
};

/* Reads the command line, checks what goes together and fills in what was not
 * given. 0; -1 if something was asked and answered (--help): exit with 0; else
 * the exit status, after a sentence on standard error. */
int sim_options_read(int argc, char **argv, struct sim_options *o);

/* Another process detects: what it publishes is what the vehicle steers by. */
bool sim_detects_elsewhere(const struct sim_options *o);

/* The report goes to standard output, so that nothing else may. */
bool sim_reports_on_stdout(const struct sim_options *o);

#endif
