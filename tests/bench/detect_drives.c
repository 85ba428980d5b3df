#include "detect_drives.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "app/config/convert.h"
#include "app/config/settings.h"

#define EXPOSURES   4    /* pictures that exposure control gets to settle, off the road */
#define STEP_WIDTHS 0.05 /* lane widths driven from frame to frame */
/* The way to a drive's first frame, long enough for the vehicle to be where that
 * way's first frame looked at. */
#define WAY_FRAMES 14
#define WAY_STEP   0.1
/* How wrong odometry is at most, all along a drive: share of the way; rad a frame, as
 * of a gyroscope that is off by half a degree a second. */
#define AHEAD_SHARE 0.01
#define TURNED_RAD  1.5e-4
#define RIGHT_WIDTH 0.10
#define RIGHT_AHEAD 0.03
#define OFF_ROAD_M  40.0 /* at least so far from the track's bounds, and within ten times that */

static uint64_t state = 1;

void drive_seed(uint64_t seed)
{
    state = seed;
}

static double random_between(double low, double high)
{
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return low + (high - low) * (double)(state >> 11) / (double)(UINT64_C(1) << 53);
}

static double boundary_at(const struct sl_lane_line *line, double x)
{
    return (double)line->poly[0] +
           x * ((double)line->poly[1] + x * ((double)line->poly[2] + x * (double)line->poly[3]));
}

/* How far a boundary is off, in what is right at most; 0 beyond its ends. */
static double off_at(const struct drive_frame *f, const struct sl_lane_line *line,
                     const struct drive_point *p)
{
    if (p->x_m < (double)line->x_min_m || p->x_m > (double)line->x_max_m)
        return 0;
    /* Across the boundary, not along the vehicle's y. */
    double off = fabs((boundary_at(line, p->x_m) - p->y_m) * p->across);
    return off / (RIGHT_WIDTH * f->lane_m + RIGHT_AHEAD * p->x_m);
}

void drive_judge(const struct drive_frame *f, const struct sl_detection *found, bool right[2])
{
    for (int side = 0; side < 2; side++) {
        right[side] = f->on_road;
        for (int i = 0; i < DRIVE_POINTS; i++)
            if (!(off_at(f, side ? &found->right : &found->left, &f->boundary[side][i]) <= 1))
                right[side] = false;
    }
}

double drive_miss(const struct drive_frame *f, const struct sl_detection *found)
{
    double sum = 0;
    if (found->state == SL_LANE_LOST)
        return 1;
    for (int side = 0; side < 2; side++)
        for (int i = 0; i < DRIVE_POINTS; i++)
            sum += fmin(off_at(f, side ? &found->right : &found->left, &f->boundary[side][i]), 1);
    return sum / (2 * DRIVE_POINTS);
}

static int open_condition(const struct drive_condition *c, struct sl_sim **sim,
                          struct sl_detect_config *config, struct sl_error *err)
{
    static struct sl_settings settings;
    struct sl_sim_config sim_config;
    char path[1024];
    snprintf(path, sizeof path, SL_SOURCE_DIR "/board/sim/%s.ini", c->small ? "lab" : "skylane");
    sl_settings_defaults(&settings);
    int rc = sl_settings_read(&settings, path, err);
    if (rc)
        return rc;
    sl_settings_detect(&settings, config);
    snprintf(path, sizeof path, SL_SOURCE_DIR "/tools/sim/tracks/%s.ini",
             c->track ? c->track : "oval");
    sl_sim_config_default(&sim_config);
    sim_config.track_path = path;
    sim_config.light = c->light;
    sim_config.wear = c->wear;
    sim_config.seed = 7;
    sim_config.camera = config->camera;
    return sl_sim_create(sim, &sim_config, err);
}

/* Where a drive begins and how it weaves; and how wrong its odometry is. */
struct course {
    double start_m, phase, middle_m, swing_m;
    double ahead_share, turned_rad;
};

static struct course random_course(const struct sl_track *track)
{
    const double lane_m = sl_track_lane_width_m(track);
    struct course c;
    c.start_m = random_between(0, sl_track_length_m(track));
    c.phase = random_between(0, 6.28);
    c.middle_m = random_between(-0.1, 0.1) * lane_m;
    c.swing_m = random_between(0, 0.1) * lane_m;
    /* Not drawn: the same places as ever. */
    c.ahead_share = AHEAD_SHARE * cos(5 * c.phase);
    c.turned_rad = TURNED_RAD * cos(7 * c.phase);
    return c;
}

static void find_boundaries(const struct sl_track *track, const struct sl_track_pose *pose,
                            struct drive_frame *f)
{
    double yaw = pose->heading_rad + f->heading_rad;
    double x0 = pose->x_m - f->offset_m * sin(pose->heading_rad);
    double y0 = pose->y_m + f->offset_m * cos(pose->heading_rad);
    for (int i = 0; i < DRIVE_POINTS; i++) {
        struct sl_track_pose there;
        sl_track_pose_at(track, pose->s_m + (1 + 0.5 * i) * f->lane_m, &there);
        for (int side = 0; side < 2; side++) {
            double half = side == 0 ? 0.5 * f->lane_m : -0.5 * f->lane_m;
            double dx = there.x_m - half * sin(there.heading_rad) - x0;
            double dy = there.y_m + half * cos(there.heading_rad) - y0;
            f->boundary[side][i] =
                (struct drive_point){dx * cos(yaw) + dy * sin(yaw), dy * cos(yaw) - dx * sin(yaw),
                                     cos(there.heading_rad - yaw)};
        }
    }
}

static struct sl_track_pose place_on_road(const struct sl_track *track, const struct course *c,
                                          struct drive_frame *f)
{
    struct sl_track_pose pose;
    double driven_m = f->number * (f->number > 0 ? STEP_WIDTHS : WAY_STEP) * f->lane_m;
    double wave = 0.3 / f->lane_m * driven_m + c->phase;
    sl_track_pose_at(track, c->start_m + driven_m, &pose);
    f->on_road = true;
    f->offset_m = c->middle_m + c->swing_m * sin(wave);
    f->heading_rad = c->swing_m * 0.3 / f->lane_m * cos(wave);
    find_boundaries(track, &pose, f);
    return pose;
}

static struct sl_track_pose place_off_road(const struct sl_track *track)
{
    double min_m[2], max_m[2];
    sl_track_bounds(track, min_m, max_m);
    return (struct sl_track_pose){
        .x_m = max_m[0] + random_between(OFF_ROAD_M, 10 * OFF_ROAD_M),
        .y_m = max_m[1] + random_between(OFF_ROAD_M, 10 * OFF_ROAD_M),
        .heading_rad = random_between(-0.6, 2.2),
    };
}

/* From where the frame before was exposed to where this one is. */
static void tell_motion(const struct course *c, const struct sl_sim_exposure *before,
                        const struct sl_sim_exposure *now, struct sl_detect_motion *moved)
{
    const double way_m = hypot(now->x_m - before->x_m, now->y_m - before->y_m);
    moved->ahead_m = way_m * (1 + c->ahead_share);
    moved->turned_rad = remainder(now->yaw_rad - before->yaw_rad, 2 * M_PI) + c->turned_rad;
    moved->ahead_sd_m = AHEAD_SHARE * way_m;
    moved->turned_sd_rad = TURNED_RAD;
}

static int render(struct sl_sim *sim, const struct sl_track_pose *pose, struct drive_frame *f,
                  struct sl_sim_exposure *exposure, uint8_t *pixels, size_t size)
{
    sl_sim_expose(sim, exposure);
    exposure->x_m = pose->x_m - f->offset_m * sin(pose->heading_rad);
    exposure->y_m = pose->y_m + f->offset_m * cos(pose->heading_rad);
    exposure->yaw_rad = pose->heading_rad + f->heading_rad;
    f->pixels = pixels;
    return sl_sim_render(sim, exposure, pixels, size, &f->info);
}

int drive(const struct drive_condition *condition, int drives, drive_look *look, void *context,
          struct sl_error *err)
{
    struct sl_sim *sim;
    struct sl_detect_config config;
    int rc = open_condition(condition, &sim, &config, err);
    if (rc)
        return rc;
    const size_t size = (size_t)config.camera.width_px * config.camera.height_px * 4;
    uint8_t *pixels = aligned_alloc(64, (size + 63) / 64 * 64);
    if (pixels == NULL)
        rc = sl_error_set(err, -ENOMEM, "no memory for a frame");
    const struct sl_track *track = sl_sim_track(sim);
    for (int n = 0; n < drives && rc == 0; n++) {
        const struct course course = random_course(track);
        struct sl_sim_exposure exposures[2]; /* the one before, and this */
        const int from = condition->track ? -WAY_FRAMES : n == 0 ? -EXPOSURES : 0;
        for (int i = from; i < DRIVE_FRAMES && rc == 0; i++) {
            struct drive_frame f = {.config = &config,
                                    .number = i,
                                    .first = i == from,
                                    .lane_m = sl_track_lane_width_m(track)};
            struct sl_track_pose pose =
                condition->track ? place_on_road(track, &course, &f) : place_off_road(track);
            rc = render(sim, &pose, &f, &exposures[1], pixels, size);
            if (!f.first)
                tell_motion(&course, &exposures[0], &exposures[1], &f.moved);
            exposures[0] = exposures[1];
            if (rc)
                sl_error_set(err, rc, "a frame could not be drawn");
            else
                look(&f, context);
        }
    }
    free(pixels);
    sl_sim_destroy(sim);
    return rc;
}
