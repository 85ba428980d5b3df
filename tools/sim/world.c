#include "tools/sim/world.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tools/sim/exact.h"
#include "tools/sim/random.h"
#include "tools/sim/render.h"

/* An excursion ends only this share of the lane within its edge, so that one
 * that runs along the edge counts once. */
#define RETURN_SHARE 0.02

#define WAVES 5 /* of the road's unevenness */

struct sl_sim {
    struct sl_sim_config config;
    struct sl_track *track;
    struct sl_renderer *renderer;
    struct sl_vehicle vehicle;
    uint64_t time_ns;
    uint64_t frame_id;

    struct sl_track_projection place;
    double progress_m;
    uint32_t departures;
    bool outside;
    bool held;

    double pitch_rad, pitch_rate_radps; /* from braking and accelerating */
    struct {
        double length_m, phase_rad, size_rad;
    } waves[WAVES];
    double travelled_m;
    struct sl_random odometry_random;
};

void sl_sim_config_default(struct sl_sim_config *config)
{
    *config = (struct sl_sim_config){
        .seed = 1,
        .light = SL_SIM_DAY,
        .camera = {.width_px = 800,
                   .height_px = 600,
                   .fx_px = 560,
                   .fy_px = 560,
                   .cx_px = 399.5,
                   .cy_px = 299.5,
                   .height_m = 1.3,
                   .forward_m = 1.5,
                   .pitch_rad = 0.09},
        .format = SL_FORMAT_NV12,
        .noise = true,
        .bounce = 1,
    };
    sl_vehicle_parameters_for_wheelbase(&config->vehicle, 2.7);
}

static void project(struct sl_sim *sim, double hint_m)
{
    sl_track_project(sim->track, sim->vehicle.state.x_m, sim->vehicle.state.y_m, hint_m,
                     &sim->place);
}

/* Puts the vehicle at the spawn point, so far beside the middle and turned. */
static void place(struct sl_sim *sim, double ahead_m, double left_m, double turned_rad)
{
    struct sl_track_pose p;
    double s, c;
    sl_track_pose_at(sim->track, sl_track_spawn_m(sim->track) + ahead_m, &p);
    sl_exact_sincos(p.heading_rad, &s, &c);
    sl_vehicle_init(&sim->vehicle, &sim->config.vehicle, p.x_m - s * left_m, p.y_m + c * left_m,
                    p.heading_rad + turned_rad);
    project(sim, p.s_m);
    sim->outside = false;
    sim->pitch_rad = sim->pitch_rate_radps = 0;
}

int sl_sim_create(struct sl_sim **sim, const struct sl_sim_config *config, struct sl_error *err)
{
    *sim = NULL;
    if (config->track_path == NULL)
        return sl_error_set(err, -EINVAL, "simulator: no track given");
    if (!(config->bounce >= 0 && config->bounce <= 10))
        return sl_error_set(err, -EINVAL, "simulator: bounce is %g; it must lie within 0 and 10",
                            config->bounce);
    int rc = sl_vehicle_parameters_check(&config->vehicle, err);
    if (rc != 0)
        return rc;
    struct sl_sim *s = calloc(1, sizeof *s);
    if (s == NULL)
        return sl_error_set(err, -ENOMEM, "simulator: out of memory");
    s->config = *config;
    s->config.track_path = NULL;
    s->time_ns = config->start_ns;
    rc = sl_track_load(&s->track, config->track_path, err);
    if (rc == 0) {
        const struct sl_render_config r = {.track = s->track,
                                           .camera = config->camera,
                                           .seed = config->seed,
                                           .light = config->light,
                                           .wear = config->wear,
                                           .format = config->format,
                                           .noise = config->noise};
        rc = sl_renderer_create(&s->renderer, &r, err);
    }
    if (rc != 0) {
        sl_sim_destroy(s);
        return rc;
    }
    struct sl_random random = sl_random_make(config->seed, 0x737061776e);
    double lane = sl_track_lane_width_m(s->track);
    double ahead = sl_random_between(&random, 0, 2 * lane);
    double left = sl_random_between(&random, -0.04, 0.04) * lane;
    double turned = sl_random_between(&random, -0.02, 0.02);
    s->odometry_random = sl_random_make(config->seed, 0x6f646f);
    struct sl_random road = sl_random_make(config->seed, 0x726f6164);
    for (int i = 0; i < WAVES; i++) {
        /* Long waves are higher: roads' unevenness grows with wavelength. */
        s->waves[i].length_m =
            config->vehicle.wheelbase_m * (0.9 + 1.3 * i) * sl_random_between(&road, 0.8, 1.2);
        s->waves[i].phase_rad = sl_random_between(&road, 0, 2 * SL_PI);
        s->waves[i].size_rad = 0.0004 * (1 + 0.4 * i) * config->bounce;
    }
    place(s, ahead, left, turned);
    *sim = s;
    return 0;
}

void sl_sim_destroy(struct sl_sim *sim)
{
    if (sim == NULL)
        return;
    sl_renderer_destroy(sim->renderer);
    sl_track_free(sim->track);
    free(sim);
}

/* Follows the foot on the track after a movement of the vehicle. */
static void follow(struct sl_sim *sim)
{
    double before = sim->place.foot.s_m;
    double length = sl_track_length_m(sim->track);
    double lane = sl_track_lane_width_m(sim->track);
    project(sim, before);
    double moved = sim->place.foot.s_m - before;
    if (moved > length / 2)
        moved -= length;
    else if (moved < -length / 2)
        moved += length;
    sim->progress_m += moved;
    double off = fabs(sim->place.offset_m);
    if (!sim->outside && off > lane / 2) {
        sim->outside = true;
        sim->departures++;
    } else if (sim->outside && off < lane * (0.5 - RETURN_SHARE)) {
        sim->outside = false;
    }
}

/* The body on its springs, pushed by braking and accelerating: 1.4 Hz for a
 * full-size car, well damped. */
static void lean(struct sl_sim *sim, double h)
{
    double size = sqrt(sim->config.vehicle.wheelbase_m / 2.7);
    double omega = 2 * SL_PI * 1.4 / size;
    double rest = -sim->vehicle.state.accel_mps2 * 0.0022 * sim->config.bounce;
    double accel = omega * omega * (rest - sim->pitch_rad) - 0.7 * omega * sim->pitch_rate_radps;
    sim->pitch_rate_radps += accel * h;
    sim->pitch_rad += sim->pitch_rate_radps * h;
}

void sl_sim_step(struct sl_sim *sim, uint64_t dt_ns, double steering_rad, double speed_mps)
{
    /* Pieces of 5 ms: an excursion or a lap must not slip through a long step. */
    const uint64_t most_ns = UINT64_C(5000000);
    if (sim->held) {
        sim->time_ns += dt_ns;
        return;
    }
    while (dt_ns > 0) {
        uint64_t piece_ns = dt_ns < most_ns ? dt_ns : most_ns;
        double h = (double)piece_ns * 1e-9;
        sl_vehicle_step(&sim->vehicle, piece_ns, steering_rad, speed_mps);
        sim->travelled_m += sim->vehicle.state.speed_mps * h;
        lean(sim, h);
        follow(sim);
        sim->time_ns += piece_ns;
        dt_ns -= piece_ns;
    }
}

uint64_t sl_sim_time_ns(const struct sl_sim *sim)
{
    return sim->time_ns;
}

void sl_sim_truth(const struct sl_sim *sim, struct sl_truth *truth)
{
    const struct sl_vehicle_state *v = &sim->vehicle.state;
    double length = sl_track_length_m(sim->track);
    memset(truth, 0, sizeof *truth);
    truth->frame_id = sim->frame_id;
    truth->exposed_ns = sim->time_ns;
    truth->x_m = (float)v->x_m;
    truth->y_m = (float)v->y_m;
    truth->yaw_rad = (float)v->yaw_rad;
    truth->speed_mps = (float)v->speed_mps;
    truth->steering_rad = (float)v->steering_rad;
    truth->lateral_offset_m = (float)sim->place.offset_m;
    truth->heading_error_rad = (float)sl_exact_wrap(v->yaw_rad - sim->place.foot.heading_rad);
    truth->curvature_1pm = (float)sim->place.foot.curvature_1pm;
    truth->lane_width_m = (float)sl_track_lane_width_m(sim->track);
    truth->progress_m = (float)sim->progress_m;
    truth->laps = sim->progress_m > 0 ? (uint32_t)(sim->progress_m / length) : 0;
    truth->departures = sim->departures;
    truth->markings = sl_track_markings_at(sim->track, sim->place.foot.s_m) ? 1 : 0;
}

void sl_sim_expose(struct sl_sim *sim, struct sl_sim_exposure *exposure)
{
    const struct sl_vehicle_state *v = &sim->vehicle.state;
    sim->frame_id++;
    memset(exposure, 0, sizeof *exposure);
    sl_sim_truth(sim, &exposure->truth);
    exposure->x_m = v->x_m;
    exposure->y_m = v->y_m;
    exposure->yaw_rad = v->yaw_rad;
    exposure->speed_mps = v->speed_mps;
    exposure->yaw_rate_radps = v->yaw_rate_radps;
    double pitch = sim->pitch_rad;
    double size = sqrt(sim->config.vehicle.wheelbase_m / 2.7);
    double moving = v->speed_mps / (4 * size);
    moving = moving < 1 ? moving : 1;
    for (int i = 0; i < WAVES; i++) {
        double s, c;
        sl_exact_sincos(2 * SL_PI * sim->travelled_m / sim->waves[i].length_m +
                            sim->waves[i].phase_rad,
                        &s, &c);
        pitch += moving * sim->waves[i].size_rad * s;
    }
    exposure->pitch_rad = pitch;
}

int sl_sim_render(struct sl_sim *sim, const struct sl_sim_exposure *exposure, void *memory,
                  size_t capacity, struct sl_frame_info *info)
{
    memset(info, 0, sizeof *info);
    int rc = sl_frame_layout(info, sim->config.format, sim->config.camera.width_px,
                             sim->config.camera.height_px);
    if (rc != 0)
        return rc;
    if (capacity < info->size_bytes)
        return -ENOSPC;
    info->frame_id = exposure->truth.frame_id;
    info->exposed_ns = info->received_ns = exposure->truth.exposed_ns;
    const struct sl_render_view view = {.frame_id = exposure->truth.frame_id,
                                        .time_ns = exposure->truth.exposed_ns,
                                        .x_m = exposure->x_m,
                                        .y_m = exposure->y_m,
                                        .yaw_rad = exposure->yaw_rad,
                                        .speed_mps = exposure->speed_mps,
                                        .yaw_rate_radps = exposure->yaw_rate_radps,
                                        .pitch_rad = exposure->pitch_rad};
    sl_renderer_draw(sim->renderer, &view, memory);
    return 0;
}

void sl_sim_odometry(struct sl_sim *sim, struct sl_odometry *odometry)
{
    const struct sl_vehicle_state *v = &sim->vehicle.state;
    double size = sqrt(sim->config.vehicle.wheelbase_m / 2.7);
    double noise[3];
    for (int i = 0; i < 3; i++)
        noise[i] = sim->config.noise ? sl_random_normal(&sim->odometry_random) : 0;
    memset(odometry, 0, sizeof *odometry);
    odometry->measured_ns = sim->time_ns;
    /* Wheel ticks, a potentiometer, a gyroscope: errors of cheap ones. A
     * standing wheel gives no ticks and hence no noise. */
    double speed =
        v->speed_mps > 0 ? v->speed_mps * (1 + 0.004 * noise[0]) + 0.01 * size * noise[0] : 0;
    odometry->speed_mps = (float)(speed > 0 ? speed : 0);
    odometry->steering_rad = (float)(v->steering_rad + 0.001 * noise[1]);
    odometry->yaw_rate_radps = (float)(v->yaw_rate_radps + 0.003 * noise[2]);
    odometry->valid = SL_ODOMETRY_SPEED | SL_ODOMETRY_STEERING | SL_ODOMETRY_YAW_RATE;
}

void sl_sim_respawn(struct sl_sim *sim)
{
    place(sim, 0, 0, 0);
}

void sl_sim_hold(struct sl_sim *sim, bool hold)
{
    const struct sl_vehicle_state v = sim->vehicle.state;
    if (hold && !sim->held)
        sl_vehicle_init(&sim->vehicle, &sim->config.vehicle, v.x_m, v.y_m, v.yaw_rad);
    sim->held = hold;
}

const struct sl_track *sl_sim_track(const struct sl_sim *sim)
{
    return sim->track;
}
