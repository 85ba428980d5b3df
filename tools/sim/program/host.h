/* The simulated world on the buses: publishes camera_feed, ground_truth and
 * vehicle_odometry, obeys vehicle_command, answers vehicle_action. Private to
 * the simulator's program. */
#ifndef SL_TOOLS_SIM_PROGRAM_HOST_H
#define SL_TOOLS_SIM_PROGRAM_HOST_H

#include <stdbool.h>
#include <stdint.h>

#include "app/config/settings.h"
#include "app/control/tracking_score.h"
#include "rt/error.h"
#include "tools/sim/world.h"

struct sl_host_config {
    struct sl_sim_config world;
    const struct sl_settings *settings; /* bus names; outlives the host */
    double rate_hz;                     /* frames a second */
    double seconds;                     /* of simulated time; 0: until told to stop */
    uint32_t laps;                      /* end after so many; 0: any number */
    bool lockstep;                      /* wait for each frame's command */
    bool detector_elsewhere;            /* lockstep: wait without end for the first one, as
                                         * who detects may be started later */
};

struct sl_host;

/* What is shown while it runs. */
struct sl_host_status {
    double seconds; /* simulated so far */
    uint64_t frames;
    uint64_t late_frames;  /* the machine was too slow to draw in time */
    struct sl_truth truth; /* of the newest frame */
    struct sl_tracking_score score;
};

/* Builds the world and opens the buses. Up to 2 s. 0 or what failed. */
int sl_host_open(struct sl_host **host, const struct sl_host_config *config, struct sl_error *err);

/* Starts the thread that lets time pass and draws. */
int sl_host_start(struct sl_host *host, struct sl_error *err);

/* Any time, any thread. */
void sl_host_status(struct sl_host *host, struct sl_host_status *status);

/* True when the time is over or it failed; then sl_host_failure() is not NULL. */
bool sl_host_finished(const struct sl_host *host);
const char *sl_host_failure(const struct sl_host *host);

/* Lockstep: nobody will answer any more. */
void sl_host_stop(struct sl_host *host);
void sl_host_close(struct sl_host *host); /* NULL is allowed */

#endif
