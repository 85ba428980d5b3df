/* The simulated world: a track, a vehicle on it, and what its camera sees.
 *
 *     create -> { step, expose, render, odometry, respawn } ... -> destroy
 *
 * Nothing here reads a clock or a device: time passes only in sl_sim_step().
 * The same configuration and the same calls give the same bytes, in pictures
 * and in truth, on every machine.
 *
 * Threads: one at a time, with one exception that lets the vehicle move on
 * while a picture is drawn. sl_sim_render() touches nothing that the other
 * functions do, so one thread may render an exposure while another steps,
 * exposes and respawns. Nothing allocates after sl_sim_create(). */
#ifndef SL_TOOLS_SIM_WORLD_H
#define SL_TOOLS_SIM_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "app/detect/camera_model.h"
#include "rt/error.h"
#include "rt/frame.h"
#include "rt/records.h"
#include "tools/sim/light.h"
#include "tools/sim/track.h"
#include "tools/sim/vehicle.h"

struct sl_sim_config {
    const char *track_path; /* a file; see sl_track_find() for names. Not kept */
    uint64_t seed;          /* texture, shadows, wear, sun, spawn, noise */
    enum sl_sim_light light;
    double wear;                         /* of the markings everywhere, 0 new .. 1 nearly gone */
    struct sl_camera_calibration camera; /* its size is the picture's, both sides even */
    struct sl_vehicle_parameters vehicle;
    uint32_t format;   /* SL_FORMAT_NV12, _BGR24 or _GRAY8 */
    bool noise;        /* sensor noise in pictures, measurement noise in odometry */
    double bounce;     /* pitching of the body on the road: 0 none, 1 usual */
    uint64_t start_ns; /* what the simulation's time starts at */
};

/* Defaults: a full-size car, the camera of the settings table (800x600, 1.3 m
 * up), NV12, day, no wear, noise on, usual bounce, seed 1; no track. */
void sl_sim_config_default(struct sl_sim_config *config);

struct sl_sim; /* opaque */

/* Loads the track, prepares its textures and puts the vehicle at its start,
 * standing. Takes below a second and 120 MB. 0; -EINVAL (a number out of
 * range, named); the codes of sl_track_load(); -ENOMEM. `*sim` is NULL on
 * failure. */
int sl_sim_create(struct sl_sim **sim, const struct sl_sim_config *config, struct sl_error *err);
void sl_sim_destroy(struct sl_sim *sim); /* NULL is allowed */

/* Lets `dt_ns` pass under one command: steering of the front wheels (rad,
 * positive left) and speed (m/s). Limits, delay and lag are the vehicle's;
 * what is not finite counts as neutral. Some 0.3 us for each ms that passes. */
void sl_sim_step(struct sl_sim *sim, uint64_t dt_ns, double steering_rad, double speed_mps);

/* The simulation's time: start_ns plus all steps. */
uint64_t sl_sim_time_ns(const struct sl_sim *sim);

/* One exposure: what a picture taken now would need, and the truth that
 * belongs to it. A plain value; it holds no pointers. */
struct sl_sim_exposure {
    struct sl_truth truth;            /* frame_id and exposed_ns set */
    double x_m, y_m, yaw_rad;         /* of the rear axle's middle */
    double speed_mps, yaw_rate_radps; /* they blur the picture */
    double pitch_rad;                 /* of the body at this moment, positive looks down */
};

/* Takes the exposure of the next frame: frame_id counts up by one. */
void sl_sim_expose(struct sl_sim *sim, struct sl_sim_exposure *exposure);

/* The truth now, without taking a frame: frame_id is the last exposed one's. */
void sl_sim_truth(const struct sl_sim *sim, struct sl_truth *truth);

/* Draws the picture of an exposure. `memory` has room for `capacity` bytes,
 * of which sl_frame_size_bytes() are written, in tight rows. `info` gets
 * layout, frame_id, exposed_ns and received_ns (both the exposure's time;
 * the caller overwrites what its own clock knows better); `dropped` is 0.
 * Exposure control follows the pictures drawn, so the order of calls matters.
 * 0, or -ENOSPC if the memory is too small. */
int sl_sim_render(struct sl_sim *sim, const struct sl_sim_exposure *exposure, void *memory,
                  size_t capacity, struct sl_frame_info *info);

/* What the vehicle measures of its motion: speed, steering, yaw rate, each
 * with a little noise. `measured_ns` is the simulation's time. Each call
 * draws new noise, so the number of calls matters to what follows. */
void sl_sim_odometry(struct sl_sim *sim, struct sl_odometry *odometry);

/* Puts the vehicle back on the lane's middle at the track's spawn point,
 * standing. Progress, laps, departures and time go on counting. */
void sl_sim_respawn(struct sl_sim *sim);

/* Holds the vehicle where it is, at once and standing, while time and pictures
 * go on; released, it starts from there. */
void sl_sim_hold(struct sl_sim *sim, bool hold);

/* The track, as long as the simulation lives. */
const struct sl_track *sl_sim_track(const struct sl_sim *sim);

#endif
