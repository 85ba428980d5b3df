/* The pose from straight driving: pictures, or frames from a bus. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/calibrate/draw.h"
#include "calibrate.h"
#include "hal/camera/camera.h"
#include "rt/cli.h"
#include "rt/clock.h"

#define DEGREES      (180.0 / 3.14159265358979323846)
#define FRAMES_MAX   1500 /* 36 MB of candidates; more tell nothing new */
#define BUS_RATE_HZ  10   /* frames taken a second: neighbours look alike */
#define BUS_WAIT_NS  (10 * SL_NS_PER_S)
#define KEPT_MAX     12 /* frames of a bus kept to draw on */
#define OVERLAYS_MAX 60
#define GRIDS_ACROSS 2 /* squares across a lane narrower than 1 m */

struct drive_work {
    struct sl_picture_files list;
    struct sl_picture_file_reader *reader;
    struct sl_jpeg_encoder *encoder;
    struct sl_drive_frame *frames;
    const char **names; /* of the frames; a bus has none */
    double *scratch;
    size_t count, failed;
    struct sl_camera_model lens;
    uint32_t width_px, height_px; /* 0 before the first frame */
    struct {
        uint8_t *bgr;
        size_t frame;
    } kept[KEPT_MAX];
    size_t kept_count;
};

/* The first picture decides the size; the lens is made for it. */
static int begin(struct drive_work *w, const struct calibrate_options *o,
                 struct calibrate_output *output, const struct sl_luma *luma, struct sl_error *err)
{
    int rc = 0;
    struct sl_camera_calibration *c = &output->camera;
    if (o->intrinsics != NULL || o->fov_given)
        rc = calibrate_given_lens(o, luma->width_px, luma->height_px, output, err);
    else if (fabs((double)luma->width_px * c->height_px / ((double)luma->height_px * c->width_px) -
                  1) > 0.02)
        rc = sl_error_set(err, -EINVAL,
                          "the pictures have %ux%u pixels, the lens was found for %ux%u, which is "
                          "another shape: calibrate with the pictures that the vehicle drives with",
                          luma->width_px, luma->height_px, c->width_px, c->height_px);
    else
        sl_camera_calibration_scale(c, luma->width_px, luma->height_px);
    if (rc == 0)
        rc = sl_lane_points_lens(&w->lens, c, err);
    w->width_px = luma->width_px;
    w->height_px = luma->height_px;
    return rc;
}

static int take(struct drive_work *w, const struct calibrate_options *o,
                struct calibrate_output *output, const struct sl_luma *luma, struct sl_error *err)
{
    if (w->width_px == 0) {
        int rc = begin(w, o, output, luma, err);
        if (rc != 0)
            return rc;
    }
    if (luma->width_px != w->width_px || luma->height_px != w->height_px)
        return sl_error_set(err, -EPROTO, "has %ux%u pixels, the first %ux%u", luma->width_px,
                            luma->height_px, w->width_px, w->height_px);
    sl_lane_points_find(&w->lens, luma, o->markings, o->min_contrast, &w->frames[w->count].points);
    w->count++;
    return 0;
}

static int from_pictures(struct drive_work *w, const struct calibrate_options *o,
                         struct calibrate_output *output)
{
    struct sl_error err = {0};
    int status = calibrate_list_find(&w->list, "--drive", o->drive);
    if (status != 0)
        return status;
    size_t every = (w->list.count + FRAMES_MAX - 1) / FRAMES_MAX;
    if (every > 1)
        fprintf(stderr, "skylane calibrate: of %zu pictures, one in %zu is looked at\n",
                w->list.count, every);
    for (size_t i = 0; i < w->list.count && !sl_cli_stop_wanted(); i += every) {
        struct sl_luma luma;
        calibrate_progress("pictures", i, w->list.count);
        int rc = calibrate_read_luma(w->reader, w->list.paths[i], &luma, &err);
        if (rc == 0) {
            rc = take(w, o, output, &luma, &err);
            if (rc == 0)
                w->names[w->count - 1] = w->list.paths[i];
            else if (rc == -EINVAL)
                return calibrate_failed("%s", err.text);
            else
                sl_error_prefix(&err, "%s", w->list.paths[i]);
        }
        if (rc != 0) {
            fprintf(stderr, "skylane calibrate: %s\n", err.text);
            w->failed++;
        }
    }
    calibrate_progress("pictures", w->list.count, w->list.count);
    return 0;
}

/* Copies a frame to draw on, gray: frames spread over the whole time. */
static void keep(struct drive_work *w, const struct sl_luma *luma)
{
    uint8_t *bgr = malloc((size_t)luma->width_px * luma->height_px * 3);
    if (bgr == NULL)
        return; /* one picture less */
    for (uint32_t y = 0; y < luma->height_px; y++)
        for (uint32_t x = 0; x < luma->width_px; x++)
            memset(bgr + 3 * ((size_t)y * luma->width_px + x),
                   luma->pixels[y * luma->stride_bytes + x], 3);
    w->kept[w->kept_count].bgr = bgr;
    w->kept[w->kept_count++].frame = w->count - 1;
}

static int from_bus(struct drive_work *w, const struct calibrate_options *o,
                    struct calibrate_output *output)
{
    struct sl_camera *camera = NULL;
    struct sl_error err = {0};
    uint8_t *memory = NULL;
    int status = 0;
    const struct sl_camera_config config = {.driver = "bus", .source = o->bus};
    if (sl_camera_open(&camera, &config, &err) != 0 || sl_camera_start(camera, &err) != 0) {
        sl_camera_close(camera);
        return calibrate_failed("%s", err.text);
    }
    const size_t capacity = sl_camera_caps(camera)->frame_bytes;
    memory = aligned_alloc(64, (capacity + 63) / 64 * 64);
    if (memory == NULL)
        status = calibrate_failed("no memory for a frame");
    uint64_t now = sl_clock_now_ns(), end = now + (uint64_t)(o->seconds * 1e9), last = now;
    uint64_t next = now;
    const size_t wanted = (size_t)(o->seconds * BUS_RATE_HZ) + 1;
    bool waited = false;
    while (status == 0 && !sl_cli_stop_wanted() && w->count < FRAMES_MAX) {
        struct sl_frame_info info;
        struct sl_luma luma;
        now = sl_clock_now_ns();
        if (w->count > 0 && now >= end)
            break;
        int rc = sl_camera_fill(camera, memory, capacity, &info, now + 100 * SL_NS_PER_MS);
        now = sl_clock_now_ns();
        if (rc == -EPROTO) {
            status = calibrate_failed("%s", sl_camera_problem(camera));
        } else if (rc != 0) {
            if (now - last > BUS_WAIT_NS)
                status = calibrate_failed("no frames on bus %s for 10 s; start the camera, or see "
                                          "\"skylane bus ls\"",
                                          o->bus);
            else if (!waited && w->count == 0 && now - last > SL_NS_PER_S) {
                fprintf(stderr, "skylane calibrate: waiting for frames on bus %s\n", o->bus);
                waited = true;
            }
        } else if (now >= next) {
            if (w->count == 0)
                end = now + (uint64_t)(o->seconds * 1e9);
            last = now;
            next = now + SL_NS_PER_S / BUS_RATE_HZ;
            rc = calibrate_frame_luma(w->reader, &info, memory, &luma, &err);
            if (rc == 0)
                rc = take(w, o, output, &luma, &err);
            if (rc != 0)
                status = calibrate_failed("bus %s: %s", o->bus, err.text);
            else if (o->overlay != NULL && w->kept_count < KEPT_MAX &&
                     w->count * KEPT_MAX >= (w->kept_count + 1) * wanted)
                keep(w, &luma);
            calibrate_progress("frames", w->count, wanted);
        } else {
            last = now;
        }
    }
    calibrate_progress("frames", w->count, w->count);
    free(memory);
    sl_camera_close(camera);
    return status;
}

static void print_number(const char *what, const struct sl_drive_number *n, double unit,
                         const char *unit_name, int decimals)
{
    printf("  %-8s %8.*f%s \u00b1 %.*f   (from frame to frame \u00b1 %.*f)\n", what, decimals,
           n->value * unit, unit_name, decimals, n->error * unit, decimals, n->spread * unit);
}

static void print_pose(const struct drive_work *w, const struct sl_drive_result *r, double given_m,
                       const struct calibrate_options *o)
{
    printf("pose from %u of %zu pictures of %ux%u px: in %u the road bends, in %u there are not "
           "both lines, in %u another lane\n",
           r->counts[SL_DRIVE_STRAIGHT], w->count, w->width_px, w->height_px,
           r->counts[SL_DRIVE_BENT], r->counts[SL_DRIVE_NO_LANE], r->counts[SL_DRIVE_OTHER]);
    print_number("pitch", &r->pitch_rad, DEGREES, "\u00b0", 3);
    print_number("yaw", &r->yaw_rad, DEGREES, "\u00b0", 3);
    if (r->roll_found)
        printf("  %-8s %8.2f\u00b0 \u00b1 %.2f\n", "roll", r->roll_rad.value * DEGREES,
               r->roll_rad.error * DEGREES);
    else
        printf("  %-8s %8.2f\u00b0 kept: only a vehicle that wanders in its lane shows it\n",
               "roll", r->roll_rad.value * DEGREES);
    print_number("height", &r->height_m, 1, " m", 4);
    printf("  horizon  row %.1f, vanishing point in column %.1f\n", r->horizon_px, r->vanishing_px);
    printf("  lines    within %.2f px of the fit; lane %.2f m wide\n", r->residual_px, given_m);
    if (o->fov_given)
        printf(
            "  note: with the focal length guessed, row and height are right, and angles as good "
            "as the guess\n");
}

static void number_json(cJSON *to, const char *key, const struct sl_drive_number *n)
{
    cJSON *o = cJSON_AddObjectToObject(to, key);
    cJSON_AddNumberToObject(o, "value", n->value);
    cJSON_AddNumberToObject(o, "standard_error", n->error);
    cJSON_AddNumberToObject(o, "spread", n->spread);
}

static void pose_json(const struct drive_work *w, const struct sl_drive_result *r, cJSON *json)
{
    static const char *const VERDICTS[SL_DRIVE_VERDICTS] = {"straight", "no_lane", "bent", "other"};
    cJSON *pose = cJSON_AddObjectToObject(json, "pose");
    number_json(pose, "pitch_rad", &r->pitch_rad);
    number_json(pose, "yaw_rad", &r->yaw_rad);
    number_json(pose, "height_m", &r->height_m);
    if (r->roll_found)
        number_json(pose, "roll_rad", &r->roll_rad);
    cJSON_AddNumberToObject(pose, "horizon_px", r->horizon_px);
    cJSON_AddNumberToObject(pose, "vanishing_px", r->vanishing_px);
    cJSON_AddNumberToObject(pose, "residual_px", r->residual_px);
    cJSON_AddNumberToObject(pose, "width_px", w->width_px);
    cJSON_AddNumberToObject(pose, "height_px", w->height_px);
    cJSON *counts = cJSON_AddObjectToObject(pose, "pictures");
    for (int i = 0; i < SL_DRIVE_VERDICTS; i++)
        cJSON_AddNumberToObject(counts, VERDICTS[i], r->counts[i]);
}

static int draw(struct drive_work *w, const struct calibrate_options *o,
                const struct sl_camera_calibration *camera, double points_roll_rad)
{
    /* Squares of 1 m, smaller for a small vehicle's lane. */
    double grid = o->lane_width_m >= 1 ? 1 : o->lane_width_m / GRIDS_ACROSS;
    const size_t every = o->drive != NULL ? (w->count + OVERLAYS_MAX - 1) / OVERLAYS_MAX : 1;
    const size_t count = o->drive != NULL ? w->count : w->kept_count;
    for (size_t i = 0; i < count && !sl_cli_stop_wanted(); i += every) {
        struct sl_canvas canvas;
        struct sl_error err = {0};
        char name[32];
        const char *path = name;
        const struct sl_drive_frame *frame = &w->frames[i];
        int rc = 0;
        if (o->drive != NULL) {
            path = w->names[i];
            rc = calibrate_read_colour(w->reader, path, &canvas, &err);
        } else {
            frame = &w->frames[w->kept[i].frame];
            snprintf(name, sizeof name, "bus-%03zu", i);
            canvas = (struct sl_canvas){w->kept[i].bgr, w->width_px, w->height_px,
                                        (size_t)w->width_px * 3};
        }
        if (rc == 0) {
            sl_draw_drive(&canvas, camera, o->lane_width_m, grid, frame, points_roll_rad);
            rc = sl_picture_file_draw(w->encoder, &canvas, o->overlay, path, &err);
        }
        if (rc != 0)
            return calibrate_failed("%s", err.text);
    }
    return 0;
}

static int solve(struct drive_work *w, const struct calibrate_options *o,
                 struct calibrate_output *output, cJSON *json)
{
    struct sl_drive_result result;
    struct sl_error err = {0}, second = {0};
    struct sl_drive_config config = {.camera = output->camera, .lane_width_m = o->lane_width_m};
    /* Searched everywhere first, so that what comes out does not depend on what
     * was believed before; where that does not do, around the settings' pose. */
    int rc = sl_drive_solve(&config, w->frames, w->count, w->scratch, &result, &err);
    if (rc == -ENODATA && o->config != NULL) {
        config.pose_known = true;
        if (sl_drive_solve(&config, w->frames, w->count, w->scratch, &result, &second) == 0)
            rc = 0;
    }
    if (rc != 0)
        return calibrate_failed("%s", err.text);
    output->camera = result.camera;
    output->pose = true;
    snprintf(output->pose_note, sizeof output->pose_note,
             "%u straight frames, lane %.2f m, pitch +-%.2f deg, height +-%.1f %%",
             result.counts[SL_DRIVE_STRAIGHT], o->lane_width_m, result.pitch_rad.error * DEGREES,
             100 * result.height_m.error / result.height_m.value);
    if (json != NULL)
        pose_json(w, &result, json);
    else
        print_pose(w, &result, o->lane_width_m, o);
    return o->overlay != NULL ? draw(w, o, &result.camera, config.camera.roll_rad) : 0;
}

int calibrate_drive(const struct calibrate_options *options, struct calibrate_output *output,
                    cJSON *json)
{
    struct drive_work w = {0};
    int status = 0;
    sl_cli_catch_stop();
    w.reader = sl_picture_file_reader_create();
    w.encoder = sl_jpeg_encoder_create();
    /* Pages that no frame comes to are never touched. */
    w.frames = calloc(FRAMES_MAX, sizeof *w.frames);
    w.names = calloc(FRAMES_MAX, sizeof *w.names);
    w.scratch = calloc((size_t)2 * FRAMES_MAX, sizeof *w.scratch);
    if (w.reader == NULL || w.encoder == NULL || w.frames == NULL || w.names == NULL ||
        w.scratch == NULL)
        status = calibrate_failed("no memory");
    if (status == 0)
        status = options->drive != NULL ? from_pictures(&w, options, output)
                                        : from_bus(&w, options, output);
    if (status == 0 && sl_cli_stop_wanted()) /* not enough was seen: the user said so */
        status = calibrate_failed(CALIBRATE_STOPPED);
    if (status == 0 && w.count == 0)
        status = calibrate_failed("no picture could be used");
    if (status == 0)
        status = solve(&w, options, output, json);
    for (size_t i = 0; i < w.kept_count; i++)
        free(w.kept[i].bgr);
    sl_picture_file_reader_destroy(w.reader);
    sl_jpeg_encoder_destroy(w.encoder);
    free(w.frames);
    free(w.names);
    free(w.scratch);
    sl_picture_files_free(&w.list);
    return status;
}
