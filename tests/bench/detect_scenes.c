#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "detect_calibration.h"
#include "detect_frames.h"
#include "hal/camera/image.h"
#include "tools/sim/world.h"

#define TRACK           SL_SOURCE_DIR "/tools/sim/tracks/city.ini"
#define STEP_NS         16666667
#define EXPOSURES       4 /* pictures that exposure control gets to settle */
#define WIDTH_PX        800
#define HEIGHT_PX       600
#define PICTURE_MAX     ((size_t)16 << 20)
#define PICTURE_PATHS   512
#define DECODED_BYTES   ((size_t)2560 * 1440)
#define LIGHT_WEAR      0.1
#define LIGHT_APART     0.21 /* of the track's length from where one light drives to the next */
#define WEAVE_M         0.2
#define WEAVE_PERIOD_M  30.0
#define FULL_CIRCLE_RAD 6.283185307179586

/* ---- the simulator ---- */

static int simulate(struct frame_set *set, enum sl_sim_light light, uint32_t fourcc,
                    uint32_t width_px, uint32_t height_px, int count)
{
    struct sl_sim_config c;
    struct sl_sim *sim;
    struct sl_error err = {0};
    sl_sim_config_default(&c);
    c.track_path = TRACK;
    c.light = light;
    c.wear = LIGHT_WEAR;
    c.seed = 3;
    c.format = fourcc;
    sl_camera_calibration_scale(&c.camera, width_px, height_px);
    c.camera.width_px = width_px;
    c.camera.height_px = height_px;
    int failed = sl_sim_create(&sim, &c, &err);
    if (failed) {
        fprintf(stderr, "the simulator: %s\n", err.text);
        return failed;
    }
    const struct sl_track *track = sl_sim_track(sim);
    set->configs[set->clip_count++] = (struct sl_detect_config){
        .camera = c.camera,
        .lane_width_m = sl_track_lane_width_m(track),
        .lane_width_tolerance = 0.2,
        .marking_width_m = sl_track_marking_width_m(track),
        .near_m = 2,
        .far_m = 40,
        .min_contrast = 6,
    };
    const size_t size = sl_frame_size_bytes(fourcc, width_px, height_px);
    uint8_t *pixels = malloc(size);
    failed = pixels == NULL ? -ENOMEM : 0;
    const double speed_mps = sl_track_speed_mps(track);
    const double start_m = sl_track_length_m(track) * LIGHT_APART * ((int)light + 0.5);
    for (int i = -EXPOSURES; failed == 0 && i < count; i++) {
        struct sl_sim_exposure e;
        struct sl_frame_info info = {0};
        struct sl_track_pose p;
        const double gone_m = (i < 0 ? 0 : i) * speed_mps * STEP_NS * 1e-9;
        const double phase = gone_m * FULL_CIRCLE_RAD / WEAVE_PERIOD_M;
        const double offset_m = WEAVE_M * sin(phase);
        sl_sim_step(sim, STEP_NS, 0, 0);
        sl_sim_expose(sim, &e);
        sl_track_pose_at(track, start_m + gone_m, &p);
        e.x_m = p.x_m - offset_m * sin(p.heading_rad);
        e.y_m = p.y_m + offset_m * cos(p.heading_rad);
        e.yaw_rad = p.heading_rad + WEAVE_M * cos(phase) * FULL_CIRCLE_RAD / WEAVE_PERIOD_M;
        e.speed_mps = speed_mps;
        e.yaw_rate_radps = speed_mps * p.curvature_1pm;
        failed = sl_sim_render(sim, &e, pixels, size, &info);
        if (failed == 0 && i >= 0)
            failed = frames_add(set, sl_sim_light_name(light), &info, pixels);
    }
    free(pixels);
    sl_sim_destroy(sim);
    if (failed)
        fprintf(stderr, "the simulator: %s\n", strerror(-failed));
    return failed;
}

int frames_simulated(struct frame_set *set, const char *name, uint32_t fourcc, uint32_t width_px,
                     uint32_t height_px, int count)
{
    memset(set, 0, sizeof *set);
    snprintf(set->name, sizeof set->name, "%s", name);
    int failed = 0;
    for (int light = 0; failed == 0 && light < SL_SIM_LIGHT_COUNT; light++)
        failed = simulate(set, (enum sl_sim_light)light, fourcc, width_px, height_px, count);
    return failed;
}

/* ---- real roads ---- */

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int list_pictures(const char *folder, char **paths)
{
    DIR *dir = opendir(folder);
    int count = 0;
    if (dir == NULL)
        return 0;
    for (const struct dirent *e; count < PICTURE_PATHS && (e = readdir(dir)) != NULL;) {
        if (strstr(e->d_name, ".jpg") != NULL &&
            asprintf(&paths[count], "%s/%s", folder, e->d_name) > 0)
            count++;
    }
    closedir(dir);
    qsort(paths, (size_t)count, sizeof *paths, by_name);
    return count;
}

/* Bilinear. Footage is larger than 800x600 by at most 1.8, or smaller. */
static void scale(const struct sl_frame_info *from, const uint8_t *pixels, uint8_t *to)
{
    const double kx = (double)from->width_px / WIDTH_PX, ky = (double)from->height_px / HEIGHT_PX;
    for (uint32_t v = 0; v < HEIGHT_PX; v++) {
        const double y = fmin(fmax((v + 0.5) * ky - 0.5, 0), from->height_px - 1.0);
        const uint32_t y0 = (uint32_t)y, y1 = y0 + 1 < from->height_px ? y0 + 1 : y0;
        const uint8_t *a = pixels + (size_t)y0 * from->planes[0].stride_bytes;
        const uint8_t *b = pixels + (size_t)y1 * from->planes[0].stride_bytes;
        for (uint32_t u = 0; u < WIDTH_PX; u++) {
            const double x = fmin(fmax((u + 0.5) * kx - 0.5, 0), from->width_px - 1.0);
            const uint32_t x0 = (uint32_t)x, x1 = x0 + 1 < from->width_px ? x0 + 1 : x0;
            const double top = a[x0] + (x - x0) * (a[x1] - a[x0]);
            const double bottom = b[x0] + (x - x0) * (b[x1] - b[x0]);
            to[(size_t)v * WIDTH_PX + u] = (uint8_t)lrint(top + (y - y0) * (bottom - top));
        }
    }
}

struct reading {
    struct sl_image_decoder *decoder;
    uint8_t *bytes, *decoded, *scaled;
};

static int add_picture(struct frame_set *set, const struct reading *r, const char *clip,
                       const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return -errno;
    const size_t size = fread(r->bytes, 1, PICTURE_MAX, file);
    fclose(file);
    struct sl_frame_info info = {0};
    struct sl_error err = {0};
    int failed = sl_image_decode(r->decoder, r->bytes, size, SL_FORMAT_GRAY8, r->decoded,
                                 DECODED_BYTES, &info, &err);
    if (failed) {
        fprintf(stderr, "%s: %s\n", path, err.text);
        return failed;
    }
    scale(&info, r->decoded, r->scaled);
    failed = sl_frame_layout(&info, SL_FORMAT_GRAY8, WIDTH_PX, HEIGHT_PX);
    return failed ? failed : frames_add(set, clip, &info, r->scaled);
}

static int add_clip(struct frame_set *set, const struct reading *r,
                    const struct sl_clip_calibrations *calibrations, const char *root,
                    const char *clip, int count)
{
    static char *paths[PICTURE_PATHS];
    struct sl_error err = {0};
    char folder[1024];
    snprintf(folder, sizeof folder, "%s/%s", root, clip);
    const int found = list_pictures(folder, paths);
    int failed = 0;
    if (found > 0) {
        failed = sl_clip_calibration(calibrations, clip, &set->configs[set->clip_count], &err);
        if (failed)
            fprintf(stderr, "%s: %s\n", clip, err.text);
        else
            set->clip_count++;
    }
    for (int i = 0; i < found; i++) {
        if (failed == 0 && i < count)
            failed = add_picture(set, r, clip, paths[i]);
        free(paths[i]);
    }
    return failed;
}

int frames_roads(struct frame_set *set, int count)
{
    static const char *const CLIPS[] = {"solid_white_right", "highway_1s", "highway_bridge",
                                        "indoor_track"};
    const char *given = getenv("SKYLANE_ROADS");
    const char *root = given != NULL ? given : SL_SOURCE_DIR "/../shared/roads";
    char path[1024];
    memset(set, 0, sizeof *set);
    snprintf(set->name, sizeof set->name, "real roads, 800x600 luma");
    snprintf(path, sizeof path, "%s/calibration.json", root);
    struct sl_clip_calibrations *calibrations = NULL;
    struct sl_error err = {0};
    int failed = sl_clip_calibrations_read(&calibrations, path, &err);
    if (failed) {
        if (failed != -ENOENT)
            fprintf(stderr, "%s\n", err.text);
        return failed;
    }
    struct reading r = {.decoder = sl_image_decoder_create(),
                        .bytes = malloc(PICTURE_MAX),
                        .decoded = malloc(DECODED_BYTES),
                        .scaled = malloc((size_t)WIDTH_PX * HEIGHT_PX)};
    if (r.decoder == NULL || r.bytes == NULL || r.decoded == NULL || r.scaled == NULL)
        failed = -ENOMEM;
    for (size_t i = 0; failed == 0 && i < sizeof CLIPS / sizeof CLIPS[0]; i++)
        failed = add_clip(set, &r, calibrations, root, CLIPS[i], count);
    sl_image_decoder_destroy(r.decoder);
    free(r.bytes);
    free(r.decoded);
    free(r.scaled);
    sl_clip_calibrations_free(calibrations);
    return failed == 0 && set->count == 0 ? -ENOENT : failed;
}
