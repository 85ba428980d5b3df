/* The detector against the truth: how far off it is, whether its confidence and
 * its covariance mean what they say.
 *
 *     detect_truth [--frames N] [--roads DIR] [--features FILE] [--help]
 *
 * Frames come from the simulator: every track, light and wear, in short drives
 * from random places, weaving. Each frame is looked at by itself, with those
 * before it, and as a vehicle that measures its motion does. A lane counts as right when both
 * boundaries are, over the next four lane widths, within a tenth of the lane's width or 3 % of the
 * distance. */
#include <getopt.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "app/config/convert.h"
#include "app/config/settings.h"
#include "app/control/control.h"
#include "app/detect/detector.h"
#include "app/programs/detect_calibration.h"
#include "detect_drives.h"
#include "detect_labels.h"
#include "hal/camera/image.h"
#include "rt/cli.h"
#include "rt/clock.h"

#define SURE 0.9f
#define BINS 6

#define FRAMES_MAX 10000
#define FRAME_NS   (50 * SL_NS_PER_MS)
/* Neither was recorded. People look farther ahead than the small car's settings:
 * by three widths of their lane. */
#define HUMAN_SPEED_MPS   2.5
#define HUMAN_LOOKAHEAD_M 2.0

/* By itself; with those before it; and told how the vehicle moved since. */
enum { STILL, TRACKED, DRIVEN, MODES };
static const char *const MODE_NAMES[MODES] = {"still", "tracked", "driven"};
static const float BIN_ENDS[BINS] = {0.3f, 0.5f, 0.7f, 0.8f, SURE, 1.01f};

struct errors {
    double *offset_m, *heading_rad;
    int count, frames, lost, right, sure, sure_and_wrong;
    double nees_offset, nees_heading; /* sums of squared errors over variances */
};

/* All errors under one light, on some tracks. */
struct pool {
    double *offset_m, *heading_rad;
    int count;
};

struct reliability {
    int count[BINS], right[BINS];
    double confidence[BINS];
    int frames, sure_and_wrong;
};

static struct reliability reliability[MODES], roads_reliability;
static struct sl_detector *detectors[MODES];
static uint8_t *pixels;
static size_t pixels_size;
static FILE *features;

static void give_up(const char *text)
{
    fprintf(stderr, "detect_truth: %s\n", text);
    exit(SL_EXIT_FAILED);
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double quantile(double *values, int count, double part)
{
    if (count == 0)
        return NAN;
    qsort(values, (size_t)count, sizeof *values, ascending);
    return values[(int)((count - 1) * part)];
}

/* ---- one answer ---- */

static void write_features(const char *set, const char *mode, const struct sl_detector *d,
                           const struct sl_detection *found, const bool right[SL_SIDES])
{
    if (features == NULL || found->state == SL_LANE_LOST)
        return;
    fprintf(features, "{\"set\":\"%s\",\"mode\":\"%s\",\"right\":[%d,%d],\"both\":[", set, mode,
            right[0], right[1]);
    for (int i = 0; i < SL_EVIDENCE_COUNT; i++)
        fprintf(features, "%s%.6g", i ? "," : "", (double)d->evidence[i]);
    for (int side = 0; side < SL_SIDES; side++) {
        fprintf(features, "],\"%s\":[", side ? "r" : "l");
        for (int i = 0; i < SL_EVIDENCE_COUNT; i++)
            fprintf(features, "%s%.6g", i ? "," : "", (double)d->side_evidence[side][i]);
    }
    fprintf(features, "]}\n");
}

static void count_answer(struct reliability *r, const struct sl_detection *found, bool right)
{
    r->frames++;
    if (found->state == SL_LANE_LOST)
        return;
    int bin = 0;
    while (found->confidence >= BIN_ENDS[bin])
        bin++;
    r->count[bin]++;
    r->right[bin] += right;
    r->confidence[bin] += (double)found->confidence;
    r->sure_and_wrong += found->confidence >= SURE && !right;
}

static void print_reliability(const char *title, const struct reliability *r)
{
    printf("\n%s: %d frames\n  %-12s %8s %12s %8s\n", title, r->frames, "confidence", "frames",
           "mean", "right");
    for (int i = 0; i < BINS; i++)
        if (r->count[i] > 0)
            printf("  %.1f to %-5.1f %8d %10.1f %% %6.1f %%\n", i ? (double)BIN_ENDS[i - 1] : 0.0,
                   fmin((double)BIN_ENDS[i], 1), r->count[i], 100 * r->confidence[i] / r->count[i],
                   100.0 * r->right[i] / r->count[i]);
    printf("  sure (at least %.1f) and wrong: %.2f %% of all frames\n", (double)SURE,
           100.0 * r->sure_and_wrong / r->frames);
}

/* ---- simulated frames ---- */

static void add_errors(struct errors *e, const struct sl_detection *d, double offset_m,
                       double heading_rad, bool right)
{
    e->frames++;
    if (d->state == SL_LANE_LOST) {
        e->lost++;
        return;
    }
    double offset = (double)d->lateral_offset_m - offset_m;
    double heading = (double)d->heading_error_rad - heading_rad;
    e->offset_m[e->count] = fabs(offset);
    e->heading_rad[e->count++] = fabs(heading);
    e->right += right;
    if (right) { /* what is about another lane is not about this one's errors */
        e->nees_offset += offset * offset / (double)d->covariance[0][0];
        e->nees_heading += heading * heading / (double)d->covariance[1][1];
    }
}

/* What one condition's frames are counted in. */
struct count {
    char set[64];
    bool ready;
    struct errors *errors; /* MODES of them, or NULL off the road */
    int lost;
};

static void look(const struct drive_frame *f, void *context)
{
    struct count *count = context;
    if (!count->ready) {
        struct sl_detect_config config = *f->config;
        struct sl_error err;
        for (int mode = 0; mode < MODES; mode++) {
            config.track = mode != STILL;
            if (sl_detector_init(detectors[mode], &config, &err) != 0)
                give_up(err.text);
        }
        count->ready = true;
    }
    for (int mode = 0; mode < MODES; mode++) {
        struct sl_detection found;
        bool right[SL_SIDES];
        if (f->first || !f->on_road)
            sl_detector_reset(detectors[mode]);
        else if (mode == DRIVEN)
            sl_detector_moved(detectors[mode], &f->moved);
        sl_detector_run(detectors[mode], &f->info, f->pixels, &found);
        if (f->number < 0)
            continue;
        drive_judge(f, &found, right);
        count_answer(&reliability[mode], &found, right[0] && right[1]);
        if (count->errors)
            add_errors(&count->errors[mode], &found, f->offset_m, f->heading_rad,
                       right[0] && right[1]);
        count->lost += mode == STILL && found.state == SL_LANE_LOST;
        /* Off the road no frame has one before it. */
        if (mode == STILL || (mode == TRACKED && f->on_road))
            write_features(count->set, MODE_NAMES[mode], detectors[mode], &found, right);
    }
}

static void measure(const struct drive_condition *c, int drives, struct errors errors[MODES])
{
    struct count count = {.errors = errors};
    struct sl_error err;
    snprintf(count.set, sizeof count.set, "%s/%s/%.1f", c->track, sl_sim_light_name(c->light),
             c->wear);
    if (drive(c, drives, look, &count, &err) != 0)
        give_up(err.text);
}

/* Off the road, where every lane is wrong. */
static int measure_nothing(enum sl_sim_light light, int drives)
{
    const struct drive_condition c = {NULL, light, 0, false};
    struct count count = {0};
    struct sl_error err;
    snprintf(count.set, sizeof count.set, "none/%s", sl_sim_light_name(light));
    if (drive(&c, drives, look, &count, &err) != 0)
        give_up(err.text);
    return count.lost;
}

static void print_errors(const char *name, const char *light, double wear, const char *mode,
                         struct errors *e)
{
    printf("%-6s %-6s %4.1f %-8s %6.1f %6.1f %8.2f %8.2f %7.1f %7.2f %7.2f %6.1f\n", name, light,
           wear, mode, 100 * quantile(e->offset_m, e->count, 0.5),
           100 * quantile(e->offset_m, e->count, 0.95),
           quantile(e->heading_rad, e->count, 0.5) * 180 / M_PI,
           quantile(e->heading_rad, e->count, 0.95) * 180 / M_PI, 100.0 * e->right / e->frames,
           e->nees_offset / e->right, e->nees_heading / e->right, 100.0 * e->lost / e->frames);
    fflush(stdout);
}

static void pool_errors(struct pool *pool, const struct errors *e)
{
    memcpy(pool->offset_m + pool->count, e->offset_m, (size_t)e->count * sizeof(double));
    memcpy(pool->heading_rad + pool->count, e->heading_rad, (size_t)e->count * sizeof(double));
    pool->count += e->count;
}

static double *numbers(size_t count)
{
    double *array = calloc(count, sizeof *array);
    if (array == NULL)
        give_up("no memory");
    return array;
}

/* By light and wear. */
struct pools {
    const char *title;
    struct pool each[SL_SIM_LIGHT_COUNT][2];
};

static void make_pools(struct pools *pools, const char *title, size_t room)
{
    pools->title = title;
    for (int light = 0; light < SL_SIM_LIGHT_COUNT; light++)
        for (int w = 0; w < 2; w++)
            pools->each[light][w] = (struct pool){numbers(room), numbers(room), 0};
}

static void print_pools(struct pools *pools)
{
    printf("\n%s: medians\n", pools->title);
    for (int light = 0; light < SL_SIM_LIGHT_COUNT; light++)
        for (int w = 0; w < 2; w++) {
            struct pool *p = &pools->each[light][w];
            printf("  %-6s %s  offset %.1f cm, heading %.2f deg (%d frames)\n",
                   sl_sim_light_name((enum sl_sim_light)light), w ? "worn 20 %" : "new paint",
                   100 * quantile(p->offset_m, p->count, 0.5),
                   quantile(p->heading_rad, p->count, 0.5) * 180 / M_PI, p->count);
            free(p->offset_m);
            free(p->heading_rad);
        }
}

static void simulated(int frames)
{
    struct pools everyday, all;
    static const char *const tracks[] = {"oval", "city", "nasty", "lab"};
    static const double wears[] = {0, 0.2};
    enum { TRACKS = 4, EVERYDAY = 2, WEARS = 2, CONDITIONS = TRACKS * WEARS * SL_SIM_LIGHT_COUNT };
    int drives = (frames + CONDITIONS * DRIVE_FRAMES - 1) / (CONDITIONS * DRIVE_FRAMES);
    const size_t room = (size_t)drives * DRIVE_FRAMES;
    make_pools(&everyday, "oval and city together, each frame by itself", EVERYDAY * room);
    make_pools(&all, "all four tracks together, driven", TRACKS * room);
    printf("%-6s %-6s %4s %-8s %13s %17s %7s %15s %6s\n%-26s %6s %6s %8s %8s %7s %7s %7s %6s\n",
           "track", "light", "wear", "frames", "offset cm", "heading deg", "right",
           "error2/variance", "lost", "", "p50", "p95", "p50", "p95", "%", "offset", "heading",
           "%");
    for (int t = 0; t < TRACKS; t++)
        for (int light = 0; light < SL_SIM_LIGHT_COUNT; light++)
            for (int w = 0; w < WEARS; w++) {
                const struct drive_condition c = {tracks[t], (enum sl_sim_light)light, wears[w],
                                                  strcmp(tracks[t], "lab") == 0};
                struct errors errors[MODES] = {0};
                for (int mode = 0; mode < MODES; mode++) {
                    errors[mode].offset_m = numbers(room);
                    errors[mode].heading_rad = numbers(room);
                }
                measure(&c, drives, errors);
                if (t < EVERYDAY)
                    pool_errors(&everyday.each[light][w], &errors[STILL]);
                pool_errors(&all.each[light][w], &errors[DRIVEN]);
                for (int mode = 0; mode < MODES; mode++) {
                    print_errors(c.track, sl_sim_light_name(c.light), c.wear, MODE_NAMES[mode],
                                 &errors[mode]);
                    free(errors[mode].offset_m);
                    free(errors[mode].heading_rad);
                }
            }
    print_pools(&everyday);
    print_pools(&all);
    int nowhere = frames / 20 / SL_SIM_LIGHT_COUNT / DRIVE_FRAMES + 1, lost = 0;
    for (int light = 0; light < SL_SIM_LIGHT_COUNT; light++)
        lost += measure_nothing((enum sl_sim_light)light, nowhere);
    printf("off the road: no lane in %d of %d frames\n", lost,
           nowhere * DRIVE_FRAMES * SL_SIM_LIGHT_COUNT);
    static const char *const titles[MODES] = {"simulated, each frame by itself",
                                              "simulated, with the frames before",
                                              "simulated, driven"};
    for (int mode = 0; mode < MODES; mode++)
        print_reliability(titles[mode], &reliability[mode]);
}

/* ---- labelled footage ---- */

static char *read_text(const char *path, size_t *size)
{
    FILE *f = fopen(path, "rb");
    char *text = malloc((size_t)8 << 20);
    if (f == NULL || text == NULL)
        give_up("the roads' files cannot be read; --roads names their folder");
    *size = fread(text, 1, ((size_t)8 << 20) - 1, f);
    text[*size] = 0;
    fclose(f);
    return text;
}

/* TuSimple's: 20 px of 1280 along the row, more where the lane is aslant. */
static bool lane_is_right(const struct sl_detector *d, int side, const struct labelled_frame *f)
{
    double n = 0, mv = 0, mu = 0, vv = 0, uv = 0;
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < f->row_count; i++) {
            double v = f->rows_px[i], u = f->lanes_px[side][i];
            if (u < 0)
                continue;
            if (pass == 0) {
                n++;
                mv += v;
                mu += u;
            } else {
                vv += (v - mv / n) * (v - mv / n);
                uv += (v - mv / n) * (u - mu / n);
            }
        }
    if (n == 0)
        return true;
    double slope = vv > 0 ? uv / vv : 0;
    double limit = 20.0 * f->info.width_px / 1280 * sqrt(1 + slope * slope);
    int right = 0;
    for (int i = 0; i < f->row_count; i++) {
        double label = f->lanes_px[side][i], u;
        if (label >= 0 && sl_detector_column(d, side, f->rows_px[i], &u))
            right += fabs(u - label) < limit;
    }
    return right >= 0.85 * n;
}

static void labelled_roads(const char *folder)
{
    struct labelled_frames frames;
    struct sl_error err = {0};
    if (labels_read(&frames, folder, &err) != 0)
        give_up(err.text);
    for (int i = 0; i < frames.count; i++) {
        const struct labelled_frame *f = &frames.frames[i];
        struct sl_detection found;
        if (sl_detector_init(detectors[STILL], &f->config, &err) != 0)
            give_up(err.text);
        sl_detector_run(detectors[STILL], &f->info, f->pixels, &found);
        bool right[SL_SIDES];
        for (int side = 0; side < SL_SIDES; side++)
            right[side] = lane_is_right(detectors[STILL], side, f);
        count_answer(&roads_reliability, &found, right[0] && right[1]);
        write_features(f->clip, "still", detectors[STILL], &found, right);
    }
    labels_free(&frames);
    print_reliability("labelled roads, each frame by itself", &roads_reliability);
}

/* ---- what the controller makes of it, beside a human ---- */

static double correlation(const double *a, const double *b, int n)
{
    double ma = 0, mb = 0, aa = 0, bb = 0, ab = 0;
    for (int i = 0; i < n; i++) {
        ma += a[i] / n;
        mb += b[i] / n;
    }
    for (int i = 0; i < n; i++) {
        aa += (a[i] - ma) * (a[i] - ma);
        bb += (b[i] - mb) * (b[i] - mb);
        ab += (a[i] - ma) * (b[i] - mb);
    }
    return ab / sqrt(aa * bb);
}

/* The steering that the small car's controller asks for along a recorded drive,
 * frame by frame, against what its driver did: steering.csv, right positive. */
static void human_steering(const char *folder, const char *clip)
{
    static struct sl_settings settings;
    static double asked[FRAMES_MAX], human[FRAMES_MAX];
    char path[2048];
    struct sl_error err = {0};
    struct sl_clip_calibrations *calibrations;
    struct sl_detect_config config;
    struct sl_control_config law;
    struct sl_control control;
    struct sl_image_decoder *decoder = sl_image_decoder_create();
    size_t size;
    snprintf(path, sizeof path, "%s/%s/steering.csv", folder, clip);
    char *text = read_text(path, &size), *rest = text;
    sl_settings_defaults(&settings);
    snprintf(path, sizeof path, "%s/calibration.json", folder);
    if (decoder == NULL ||
        sl_settings_read(&settings, SL_SOURCE_DIR "/board/sim/lab.ini", &err) != 0 ||
        sl_clip_calibrations_read(&calibrations, path, &err) != 0 ||
        sl_clip_calibration(calibrations, clip, &config, &err) != 0)
        give_up(err.text);
    config.track = 1;
    sl_settings_control(&settings, &law);
    law.lookahead_min_m = HUMAN_LOOKAHEAD_M;
    law.lookahead_time_s = 0;
    law.actuation_delay_s = 0;
    law.steering_max_rad = 0.6;
    if (sl_detector_init(detectors[TRACKED], &config, &err) != 0 ||
        sl_control_init(&control, &law, &err) != 0)
        give_up(err.text);
    int count = 0;
    double steering_rad = 0;
    strsep(&rest, "\n"); /* the columns' names */
    for (char *line; (line = strsep(&rest, "\n")) != NULL && count < FRAMES_MAX;) {
        char *number = strsep(&line, ","), *angle = strsep(&line, ",");
        if (angle == NULL)
            continue;
        struct sl_frame_info info = {0};
        struct sl_detection found;
        snprintf(path, sizeof path, "%s/%s/%s.jpg", folder, clip, number);
        char *jpeg = read_text(path, &size);
        if (sl_image_decode(decoder, jpeg, size, SL_FORMAT_NV12, pixels, pixels_size, &info,
                            &err) != 0)
            give_up(err.text);
        free(jpeg);
        info.exposed_ns = (uint64_t)(count + 1) * FRAME_NS;
        sl_detector_run(detectors[TRACKED], &info, pixels, &found);
        const struct sl_control_input in = {.now_ns = info.exposed_ns,
                                            .lane = &found,
                                            .speed_mps = HUMAN_SPEED_MPS,
                                            .steering_rad = steering_rad,
                                            .speed_scale = 1};
        struct sl_control_output out;
        sl_control_step(&control, &in, &out);
        steering_rad = out.steering_rad;
        asked[count] = -steering_rad;
        human[count++] = strtod(angle, NULL);
    }
    free(text);
    sl_clip_calibrations_free(calibrations);
    sl_image_decoder_destroy(decoder);
    printf(
        "\n%s: the controller's steering and the driver's correlate at r = %.3f over %d frames\n",
        clip, correlation(asked, human, count), count);
}

int main(int argc, char **argv)
{
    static const struct option names[] = {{"frames", 1, NULL, 'n'},
                                          {"roads", 1, NULL, 'r'},
                                          {"features", 1, NULL, 'f'},
                                          {"help", 0, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
    int64_t frames = 10000;
    const char *roads = NULL;
    struct sl_error err;
    for (int option; (option = getopt_long(argc, argv, "h", names, NULL)) != -1;) {
        switch (option) {
        case 'n':
            if (sl_cli_integer(optarg, "--frames", 0, 10000000, &frames, &err) != 0) {
                fprintf(stderr, "detect_truth: %s\n", err.text);
                return SL_EXIT_MISUSE;
            }
            break;
        case 'r':
            roads = optarg;
            break;
        case 'f':
            features = fopen(optarg, "w");
            if (features == NULL)
                give_up("the file of --features cannot be written");
            break;
        case 'h':
            puts("detect_truth - the detector beside the truth, and what its confidence is worth\n"
                 "\n"
                 "  --frames N       simulated frames, 0 for none (10000)\n"
                 "  --roads DIR      labelled footage as well: labels.jsonl, calibration.json\n"
                 "  --features FILE  writes each answer's evidence, for fit_confidence");
            return SL_EXIT_OK;
        default:
            return SL_EXIT_MISUSE;
        }
    }
    pixels_size = (size_t)4096 * 4096;
    pixels = malloc(pixels_size);
    for (int mode = 0; mode < MODES; mode++)
        detectors[mode] = aligned_alloc(64, sl_detector_size());
    if (pixels == NULL || detectors[STILL] == NULL || detectors[TRACKED] == NULL ||
        detectors[DRIVEN] == NULL)
        give_up("no memory");
    if (frames > 0)
        simulated((int)frames);
    if (roads != NULL) {
        labelled_roads(roads);
        human_steering(roads, "indoor_track");
    }
    for (int mode = 0; mode < MODES; mode++)
        free(detectors[mode]);
    free(pixels);
    if (features != NULL && fclose(features) != 0)
        give_up("the file of --features cannot be written");
    return SL_EXIT_OK;
}
