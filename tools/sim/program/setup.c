#include "tools/sim/program/setup.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "app/config/convert.h"
#include "rt/cli.h"

#define OWN_MAX 7 /* settings that options of this program stand for */

/* Where tracks and settings lie: under the prefix of an installation, found
 * from the program's own folder; else beside the sources of a build tree. */
static char installed_tracks[4096], installed_boards[4096];
static const char *const TRACK_DIRS[] = {installed_tracks, SL_SOURCE_TRACKS};
static const char *const BOARD_DIRS[] = {installed_boards, SL_SOURCE_BOARDS};

static void find_installation(void)
{
    char bin[2048];
    if (sl_cli_program_dir(bin, sizeof bin) != 0)
        bin[0] = '\0';
    snprintf(installed_tracks, sizeof installed_tracks, "%s/../share/skylane/tracks", bin);
    snprintf(installed_boards, sizeof installed_boards, "%s/../share/skylane/board", bin);
}

void sim_track_names(char *text, size_t size)
{
    find_installation();
    sl_track_names(TRACK_DIRS, 2, text, size);
}

static int default_settings_file(const char *track_path, char *path, size_t size,
                                 struct sl_error *err)
{
    const char *slash = strrchr(track_path, '/');
    const char *track = slash == NULL ? track_path : slash + 1;
    const char *file = strcmp(track, "lab.ini") == 0 ? "lab.ini" : "skylane.ini";
    for (size_t i = 0; i < 2; i++) {
        int n = snprintf(path, size, "%s/sim/%s", BOARD_DIRS[i], file);
        if (n > 0 && (size_t)n < size && access(path, R_OK) == 0)
            return 0;
    }
    return sl_error_set(err, -ENOENT, "the simulator's settings (sim/%s) are not in %s nor in %s",
                        file, BOARD_DIRS[0], BOARD_DIRS[1]);
}

/* Options of this program that are settings of the vehicle, too. They come
 * after the user's own -o, and so have the last word. */
static int add_own(struct sim_options *o, struct sl_error *err)
{
    static char texts[OWN_MAX][SL_SETTINGS_TEXT_MAX + 32];
    const struct {
        const char *key, *value;
    } own[OWN_MAX] = {{"bus.camera", o->image_bus},
                      {"camera.source", o->image_bus},
                      {"bus.detection", o->detection_bus},
                      {"detect.detector", sim_detects_elsewhere(o) ? "bus" : NULL},
                      {"net.start", o->broadcast ? "yes" : NULL},
                      {"net.broadcast", o->broadcast_url},
                      {"net.raw", o->broadcast_images ? "yes" : NULL}};
    for (size_t i = 0; i < OWN_MAX; i++) {
        if (own[i].value == NULL)
            continue;
        const int n = snprintf(texts[i], sizeof texts[i], "%s=%s", own[i].key, own[i].value);
        if (n < 0 || (size_t)n >= sizeof texts[i])
            return sl_error_set(err, -EINVAL, "%s: more than %d characters", own[i].key,
                                SL_SETTINGS_TEXT_MAX);
        sl_settings_options_add(&o->own, texts[i], err);
    }
    return 0;
}

int sim_setup(struct sim_options *o, struct sl_settings *settings, struct sl_host_config *config,
              struct sl_error *err)
{
    static char track_path[4096];
    static char own_settings[4096];
    find_installation();
    int rc = sl_track_find(o->track, TRACK_DIRS, 2, track_path, sizeof track_path, err);
    if (rc == 0 && o->settings.file_count == 0) {
        rc = default_settings_file(track_path, own_settings, sizeof own_settings, err);
        sl_settings_options_add_file(&o->settings, own_settings, err);
    }
    if (rc == 0)
        rc = add_own(o, err);
    if (rc == 0)
        rc = sl_settings_options_read(&o->settings, settings, err);
    if (rc == 0)
        rc = sl_settings_options_apply(&o->settings, settings, err);
    if (rc == 0)
        rc = sl_settings_options_apply(&o->own, settings, err);
    if (rc == 0)
        rc = sl_settings_check(settings, err);
    if (rc != 0)
        return rc;

    *config = (struct sl_host_config){.settings = settings,
                                      .rate_hz = o->rate_hz,
                                      .seconds = o->seconds,
                                      .laps = (uint32_t)o->laps,
                                      .lockstep = o->lockstep,
                                      .detector_elsewhere =
                                          strcmp(settings->detect.detector, "bus") == 0};
    struct sl_sim_config *world = &config->world;
    sl_sim_config_default(world);
    world->track_path = track_path;
    world->seed = (uint64_t)o->seed;
    world->light = o->light;
    world->wear = o->wear;
    world->noise = !o->no_noise;
    world->format = sl_frame_format_parse(o->format != NULL ? o->format : settings->camera.format);
    sl_settings_calibration(settings, &world->camera);
    sl_vehicle_parameters_for_wheelbase(&world->vehicle, settings->vehicle.wheelbase_m);
    world->vehicle.steering_max_rad = settings->vehicle.steering_max_rad;
    world->vehicle.accel_max_mps2 = settings->vehicle.accel_max_mps2;
    world->vehicle.decel_max_mps2 = settings->vehicle.decel_max_mps2;
    world->vehicle.speed_max_mps = settings->vehicle.speed_max_mps;
    return 0;
}
