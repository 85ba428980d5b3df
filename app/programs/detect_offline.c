#include "detect_offline.h"

#include <cjson/cJSON.h>
#include <dirent.h>
#include <errno.h>
#include <glob.h>
#include <math.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/detect/detect.h"
#include "app/detect/overlay.h"
#include "detect_calibration.h"
#include "hal/camera/camera.h"
#include "hal/camera/image.h"
#include "hal/camera/y4m.h"
#include "net/jpeg.h"
#include "rt/clock.h"

#define PICTURE_BYTES_MAX (64u << 20)
#define OVERLAY_QUALITY   90
#define PROGRESS_AFTER_NS (1 * SL_NS_PER_S)
#define PROGRESS_EVERY_NS (100 * SL_NS_PER_MS)
#define PROGRESS_CELLS    30
#define VIDEO_WAIT_NS     (200 * SL_NS_PER_MS) /* between looks whether to stop */

static volatile sig_atomic_t stop_asked;

static void ask_stop(int number)
{
    (void)number;
    stop_asked = 1;
}

/* ---- which pictures ---- */

struct picture {
    char *path;
    char *clip;     /* name of its folder */
    char *raw_file; /* clip/name */
};

struct pictures {
    struct picture *items;
    size_t count, capacity;
};

static bool is_picture(const char *name)
{
    const char *dot = strrchr(name, '.');
    if (!dot || name[0] == '.')
        return false;
    const char *kinds[] = {".jpg", ".jpeg", ".pgm", ".ppm"};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (strcasecmp(dot, kinds[i]) == 0)
            return true;
    return false;
}

static void add_picture(struct pictures *list, const char *path)
{
    if (list->count == list->capacity) {
        list->capacity = list->capacity ? 2 * list->capacity : 256;
        list->items = realloc(list->items, list->capacity * sizeof *list->items);
        if (!list->items)
            abort();
    }
    struct picture *p = &list->items[list->count];
    p->path = realpath(path, NULL);
    if (!p->path)
        p->path = strdup(path);
    if (!p->path)
        abort();
    const char *name = strrchr(p->path, '/');
    const char *end = name ? name : p->path;
    const char *begin = end;
    while (begin > p->path && begin[-1] != '/')
        begin--;
    p->clip = strndup(begin, (size_t)(end - begin));
    p->raw_file = strdup(begin);
    if (!p->clip || !p->raw_file)
        abort();
    list->count++;
}

static void free_pictures(struct pictures *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free(list->items[i].path);
        free(list->items[i].clip);
        free(list->items[i].raw_file);
    }
    free(list->items);
}

static int by_path(const void *a, const void *b)
{
    const struct picture *x = a, *y = b;
    int order = strcmp(x->clip, y->clip);
    return order ? order : strcmp(x->path, y->path);
}

/* Pictures of a folder, and, one level deep, of the folders in it. */
static void add_folder(struct pictures *list, const char *path, int depth)
{
    DIR *dir = opendir(path);
    if (!dir)
        return;
    for (struct dirent *entry; (entry = readdir(dir));) {
        char inner[4096];
        struct stat st;
        if (entry->d_name[0] == '.' ||
            snprintf(inner, sizeof inner, "%s/%s", path, entry->d_name) >= (int)sizeof inner ||
            stat(inner, &st) != 0)
            continue;
        if (S_ISDIR(st.st_mode) && depth > 0)
            add_folder(list, inner, depth - 1);
        else if (S_ISREG(st.st_mode) && is_picture(entry->d_name))
            add_picture(list, inner);
    }
    closedir(dir);
}

static int find_pictures(struct pictures *list, const char *images)
{
    struct stat st;
    if (stat(images, &st) == 0) {
        if (S_ISDIR(st.st_mode))
            add_folder(list, images, 1);
        else
            add_picture(list, images);
    } else if (errno != ENOENT) {
        fprintf(stderr, "skylane detect: cannot read %s: %s\n", images, strerror(errno));
        return 1;
    } else {
        glob_t found;
        int rc = glob(images, 0, NULL, &found);
        for (size_t i = 0; rc == 0 && i < found.gl_pathc; i++) {
            if (stat(found.gl_pathv[i], &st) == 0 && S_ISDIR(st.st_mode))
                add_folder(list, found.gl_pathv[i], 1);
            else
                add_picture(list, found.gl_pathv[i]);
        }
        if (rc == 0)
            globfree(&found);
        if (rc == GLOB_NOMATCH || rc != 0) {
            fprintf(stderr,
                    "skylane detect: there is no folder, picture or match for --images %s\n",
                    images);
            return 2;
        }
    }
    if (list->count == 0) {
        fprintf(stderr,
                "skylane detect: no pictures in %s (looked for .jpg, .jpeg, .pgm and .ppm, "
                "also in the folders within)\n",
                images);
        return 2;
    }
    qsort(list->items, list->count, sizeof *list->items, by_path);
    return 0;
}

/* ---- one picture ---- */

/* What became of a clip's pictures. */
struct tally {
    char *clip;
    size_t states[3], failed;
    double confidence; /* sum over the pictures that are not lost */
    float *times_ms;   /* of each that was not failed */
    size_t done, room;
};

struct work {
    struct sl_clip_calibrations *calibrations;
    struct sl_image_decoder *decoder;
    struct sl_jpeg_encoder *encoder;
    struct sl_detector *detector;
    struct sl_detect_config config;
    uint8_t *bytes; /* of the file */
    uint8_t *pixels;
    size_t pixels_size;
    uint8_t *bgr; /* of a video's frame, for its overlay */
    FILE *predictions;
    const char *overlay;
    struct tally *tallies;
    size_t tally_count;
    size_t done, failed; /* in all clips */
};

/* Begins a clip. */
static struct tally *new_tally(struct work *w, const char *clip)
{
    w->tallies = realloc(w->tallies, (w->tally_count + 1) * sizeof *w->tallies);
    if (!w->tallies)
        abort();
    struct tally *t = &w->tallies[w->tally_count++];
    *t = (struct tally){.clip = strdup(clip)};
    if (!t->clip)
        abort();
    return t;
}

static void tally_found(struct work *w, const struct sl_detection *found, double time_ms)
{
    struct tally *t = &w->tallies[w->tally_count - 1];
    if (t->done == t->room) {
        t->room = t->room ? 2 * t->room : 256;
        t->times_ms = realloc(t->times_ms, t->room * sizeof *t->times_ms);
        if (!t->times_ms)
            abort();
    }
    t->times_ms[t->done++] = (float)time_ms;
    t->states[found->state]++;
    if (found->state != SL_LANE_LOST)
        t->confidence += (double)found->confidence;
    w->done++;
}

static void tally_failed(struct work *w)
{
    w->tallies[w->tally_count - 1].failed++;
    w->failed++;
}

static int read_picture(struct work *w, const char *path, size_t *size, struct sl_error *err)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        return sl_error_set(err, -errno, "cannot be opened: %s", strerror(errno));
    *size = fread(w->bytes, 1, PICTURE_BYTES_MAX, f);
    int failed = ferror(f) ? EIO : 0;
    bool more = !failed && *size == PICTURE_BYTES_MAX && fgetc(f) != EOF;
    fclose(f);
    if (failed)
        return sl_error_set(err, -failed, "cannot be read");
    if (more)
        return sl_error_set(err, -EFBIG, "is larger than %u MiB", PICTURE_BYTES_MAX >> 20);
    if (*size == 0)
        return sl_error_set(err, -EPROTO, "is empty");
    return 0;
}

static int decode(struct work *w, size_t size, uint32_t fourcc, struct sl_frame_info *info,
                  struct sl_error *err)
{
    uint32_t width, height;
    int rc = sl_image_probe(w->decoder, w->bytes, size, &width, &height, err);
    if (rc)
        return rc;
    size_t need = (size_t)(width + 1) * (height + 1) * 3;
    if (need > w->pixels_size) {
        uint8_t *grown = realloc(w->pixels, need);
        if (!grown)
            return sl_error_set(err, -ENOMEM, "no memory for %ux%u pixels", width, height);
        w->pixels = grown;
        w->pixels_size = need;
    }
    memset(info, 0, sizeof *info);
    return sl_image_decode(w->decoder, w->bytes, size, fourcc, w->pixels, w->pixels_size, info,
                           err);
}

static void add_rounded(cJSON *array, double value)
{
    cJSON_AddItemToArray(array, cJSON_CreateNumber(round(value * 10) / 10));
}

static void add_number(cJSON *object, const char *key, double value, double unit)
{
    cJSON_AddNumberToObject(object, key, round(value / unit) * unit);
}

static const char *state_name(uint32_t state)
{
    return state == SL_LANE_TWO_LINES  ? "two_lines"
           : state == SL_LANE_ONE_LINE ? "one_line"
                                       : "lost";
}

static int write_prediction(struct work *w, const struct picture *p,
                            const struct sl_detection *found, double time_ms, struct sl_error *err)
{
    int height = (int)found->frame_height_px, width = (int)found->frame_width_px;
    int step = height <= 240 ? 2 : 10;
    cJSON *line = cJSON_CreateObject();
    cJSON_AddStringToObject(line, "raw_file", p->raw_file);
    cJSON *rows = cJSON_AddArrayToObject(line, "h_samples");
    cJSON *lanes = cJSON_AddArrayToObject(line, "lanes");

    struct sl_camera_model camera;
    struct sl_camera_calibration c = w->config.camera;
    sl_camera_calibration_scale(&c, (uint32_t)width, (uint32_t)height);
    double horizon = 0;
    if (sl_camera_model_init(&camera, &c, NULL) == 0)
        horizon = sl_camera_horizon_px(&camera) + 0.015 * height;
    int first = (int)ceil(fmin(fmax(horizon, 0), height) / step) * step;
    for (int v = first; v < height; v += step)
        cJSON_AddItemToArray(rows, cJSON_CreateNumber(v));
    if (found->state != SL_LANE_LOST) {
        for (int side = 0; side < 2; side++) {
            cJSON *lane = cJSON_CreateArray();
            for (int v = first; v < height; v += step) {
                double u;
                bool inside =
                    sl_detector_column(w->detector, side, v, &u) && u >= 0 && u <= width - 1;
                add_rounded(lane, inside ? u : -2);
            }
            cJSON_AddItemToArray(lanes, lane);
        }
    }
    add_number(line, "run_time", time_ms, 1e-4);
    cJSON_AddStringToObject(line, "state", state_name(found->state));
    add_number(line, "confidence", found->confidence, 1e-4);
    add_number(line, "lateral_offset_m", found->lateral_offset_m, 1e-4);
    add_number(line, "heading_error_rad", found->heading_error_rad, 1e-5);
    add_number(line, "curvature_1pm", found->curvature_1pm, 1e-6);
    add_number(line, "lane_width_m", found->lane_width_m, 1e-4);
    cJSON_AddNumberToObject(line, "left_seen", found->left.seen);
    cJSON_AddNumberToObject(line, "right_seen", found->right.seen);
    char *text = cJSON_PrintUnformatted(line);
    cJSON_Delete(line);
    if (!text)
        return sl_error_set(err, -ENOMEM, "no memory for its prediction");
    int written = fprintf(w->predictions, "%s\n", text);
    free(text);
    if (written < 0)
        return sl_error_set(err, -EIO, "its prediction cannot be written: %s", strerror(errno));
    return 0;
}

/* JFIF 1.02, page 3, in 16 bits of fraction. */
static void nv12_to_bgr(const struct sl_frame_info *info, const uint8_t *pixels, uint8_t *to)
{
    for (uint32_t v = 0; v < info->height_px; v++) {
        const uint8_t *luma =
            pixels + info->planes[0].offset_bytes + (size_t)v * info->planes[0].stride_bytes;
        const uint8_t *chroma =
            pixels + info->planes[1].offset_bytes + (size_t)(v / 2) * info->planes[1].stride_bytes;
        for (uint32_t u = 0; u < info->width_px; u++) {
            const int y = (luma[u] << 16) + (1 << 15);
            const int cb = chroma[u & ~1u] - 128, cr = chroma[u | 1u] - 128;
            const int bgr[3] = {y + 116130 * cb, y - 22554 * cb - 46802 * cr, y + 91881 * cr};
            for (int k = 0; k < 3; k++)
                *to++ = (uint8_t)(bgr[k] < 0 ? 0 : bgr[k] >> 16 > 255 ? 255 : bgr[k] >> 16);
        }
    }
}

/* The picture in colours to draw on; `info` becomes theirs. A file is decoded
 * anew, a video's frame converted. */
static int colour_picture(struct work *w, size_t size, struct sl_frame_info *info,
                          uint8_t **colours, struct sl_error *err)
{
    if (size > 0) {
        const int rc = decode(w, size, SL_FORMAT_BGR24, info, err);
        *colours = w->pixels;
        return rc;
    }
    const struct sl_frame_info frame = *info;
    if (!w->bgr)
        w->bgr = malloc(sl_frame_size_bytes(SL_FORMAT_BGR24, frame.width_px, frame.height_px));
    if (!w->bgr)
        return sl_error_set(err, -ENOMEM, "no memory for its overlay");
    nv12_to_bgr(&frame, w->pixels, w->bgr);
    (void)sl_frame_layout(info, SL_FORMAT_BGR24, frame.width_px, frame.height_px);
    *colours = w->bgr;
    return 0;
}

/* `size`: of the picture's file in w->bytes; 0 for a video's frame, whose
 * layout is `info`. */
static int write_overlay(struct work *w, const struct picture *p, size_t size,
                         struct sl_frame_info info, const struct sl_detection *found,
                         struct sl_error *err)
{
    uint8_t *colours = NULL;
    int rc = colour_picture(w, size, &info, &colours, err);
    if (rc)
        return rc;
    struct sl_canvas canvas = {.bgr = colours + info.planes[0].offset_bytes,
                               .width_px = info.width_px,
                               .height_px = info.height_px,
                               .stride_bytes = info.planes[0].stride_bytes};
    sl_overlay_draw(&canvas, found);
    const uint8_t *jpeg;
    size_t jpeg_size;
    rc = sl_jpeg_encode(w->encoder, &info, colours, OVERLAY_QUALITY, &jpeg, &jpeg_size, err);
    if (rc)
        return rc;
    char path[4096];
    if (snprintf(path, sizeof path, "%s/%s", w->overlay, p->clip) >= (int)sizeof path)
        return sl_error_set(err, -ENAMETOOLONG, "its overlay's path is too long");
    if (mkdir(path, 0777) != 0 && errno != EEXIST)
        return sl_error_set(err, -errno, "cannot make the folder %s: %s", path, strerror(errno));
    const char *name = strrchr(p->raw_file, '/');
    name = name ? name + 1 : p->raw_file;
    int stem = (int)(strrchr(name, '.') ? strrchr(name, '.') - name : (long)strlen(name));
    if (snprintf(path, sizeof path, "%s/%s/%.*s.jpg", w->overlay, p->clip, stem, name) >=
        (int)sizeof path)
        return sl_error_set(err, -ENAMETOOLONG, "its overlay's path is too long");
    FILE *f = fopen(path, "wb");
    if (!f)
        return sl_error_set(err, -errno, "cannot write %s: %s", path, strerror(errno));
    bool ok = fwrite(jpeg, 1, jpeg_size, f) == jpeg_size;
    ok = fclose(f) == 0 && ok;
    return ok ? 0 : sl_error_set(err, -EIO, "cannot write %s: %s", path, strerror(errno));
}

/* `size`: as in write_overlay(). */
static int detect(struct work *w, const struct picture *p, size_t size,
                  const struct sl_frame_info *info, struct sl_error *err)
{
    struct sl_detection found;
    uint64_t before = sl_clock_now_ns();
    int rc = sl_detector_run(w->detector, info, w->pixels, &found);
    double time_ms = (double)(sl_clock_now_ns() - before) * 1e-6;
    if (rc)
        return sl_error_set(err, rc, "holds no luma that the detector could read");
    if (w->predictions)
        rc = write_prediction(w, p, &found, time_ms, err);
    if (rc == 0 && w->overlay)
        rc = write_overlay(w, p, size, *info, &found, err);
    if (rc == 0)
        tally_found(w, &found, time_ms);
    return rc;
}

static int process(struct work *w, const struct picture *p, struct sl_error *err)
{
    size_t size = 0;
    struct sl_frame_info info;
    int rc = read_picture(w, p->path, &size, err);
    if (rc == 0)
        rc = decode(w, size, SL_FORMAT_NV12, &info, err);
    return rc ? rc : detect(w, p, size, &info, err);
}

/* ---- how far it is ---- */

struct progress {
    bool terminal;
    bool shown; /* a bar stands in the terminal's last line */
    uint64_t begun_ns, last_ns;
    size_t count; /* 0: nobody knows */
};

static void progress_begin(struct progress *p, size_t count)
{
    *p = (struct progress){
        .terminal = isatty(STDERR_FILENO) != 0, .begun_ns = sl_clock_now_ns(), .count = count};
}

/* Makes room for a line of text. */
static void progress_clear(struct progress *p)
{
    if (p->shown)
        fputs("\r\033[K", stderr);
    p->shown = false;
}

/* Short work ends before anybody asks: the bar comes after a second. */
static void progress_show(struct progress *p, size_t done)
{
    const uint64_t now = sl_clock_now_ns();
    if (!p->terminal || now - p->begun_ns < PROGRESS_AFTER_NS ||
        now - p->last_ns < PROGRESS_EVERY_NS)
        return;
    p->last_ns = now;
    p->shown = true;
    const double rate = (double)done / ((double)(now - p->begun_ns) * 1e-9);
    if (p->count == 0) {
        fprintf(stderr, "\r\033[K%zu pictures, %.0f a second", done, rate);
        return;
    }
    char bar[PROGRESS_CELLS + 1];
    const size_t full = done * PROGRESS_CELLS / p->count;
    memset(bar, '.', PROGRESS_CELLS);
    memset(bar, '#', full < PROGRESS_CELLS ? full : PROGRESS_CELLS);
    bar[PROGRESS_CELLS] = '\0';
    const double left_s = rate > 0 ? (double)(p->count - done) / rate : 0;
    fprintf(stderr, "\r\033[K[%s] %zu of %zu pictures, %.0f a second, %.0f:%02.0f left", bar, done,
            p->count, rate, floor(left_s / 60), floor(fmod(left_s, 60)));
}

static void tell(struct progress *p, const char *what, const char *why)
{
    progress_clear(p);
    fprintf(stderr, "skylane detect: %s%s%s\n", what, what[0] ? ": " : "", why);
}

/* ---- the summary ---- */

struct figures {
    size_t pictures, states[3], failed;
    double confidence; /* mean over the pictures that are not lost */
    double mean_ms, p50_ms, p99_ms;
};

static int ascending(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static double share_of(const float *sorted, size_t count, double share)
{
    size_t at = (size_t)(share * (double)count);
    return count ? (double)sorted[at < count ? at : count - 1] : 0;
}

/* Orders the clip's times. */
static struct figures figures_of(struct tally *t)
{
    struct figures f = {.pictures = t->done + t->failed, .failed = t->failed};
    memcpy(f.states, t->states, sizeof f.states);
    const size_t found = t->done - t->states[SL_LANE_LOST];
    if (t->done)
        qsort(t->times_ms, t->done, sizeof *t->times_ms, ascending);
    for (size_t i = 0; i < t->done; i++)
        f.mean_ms += (double)t->times_ms[i] / (double)t->done;
    f.confidence = found ? t->confidence / (double)found : 0;
    f.p50_ms = share_of(t->times_ms, t->done, 0.5);
    f.p99_ms = share_of(t->times_ms, t->done, 0.99);
    return f;
}

/* All clips as one. */
static struct tally sum_of(const struct work *w)
{
    struct tally sum = {.room = w->done ? w->done : 1};
    sum.times_ms = malloc(sum.room * sizeof *sum.times_ms);
    if (!sum.times_ms)
        abort();
    for (size_t i = 0; i < w->tally_count; i++) {
        const struct tally *t = &w->tallies[i];
        if (t->done)
            memcpy(sum.times_ms + sum.done, t->times_ms, t->done * sizeof *t->times_ms);
        sum.done += t->done;
        sum.failed += t->failed;
        sum.confidence += t->confidence;
        for (int k = 0; k < 3; k++)
            sum.states[k] += t->states[k];
    }
    return sum;
}

static void add_figures(cJSON *o, const struct figures *f)
{
    cJSON_AddNumberToObject(o, "pictures", (double)f->pictures);
    cJSON_AddNumberToObject(o, "failed", (double)f->failed);
    cJSON_AddNumberToObject(o, "two_lines", (double)f->states[SL_LANE_TWO_LINES]);
    cJSON_AddNumberToObject(o, "one_line", (double)f->states[SL_LANE_ONE_LINE]);
    cJSON_AddNumberToObject(o, "lost", (double)f->states[SL_LANE_LOST]);
    add_number(o, "mean_confidence", f->confidence, 1e-4);
    add_number(o, "mean_run_time_ms", f->mean_ms, 1e-4);
    add_number(o, "p50_run_time_ms", f->p50_ms, 1e-4);
    add_number(o, "p99_run_time_ms", f->p99_ms, 1e-4);
}

static void print_json(const struct work *w, const struct figures *all, FILE *to)
{
    cJSON *o = cJSON_CreateObject();
    add_figures(o, all);
    cJSON *clips = cJSON_AddArrayToObject(o, "clips");
    for (size_t i = 0; i < w->tally_count; i++) {
        const struct figures f = figures_of(&w->tallies[i]);
        cJSON *clip = cJSON_CreateObject();
        cJSON_AddStringToObject(clip, "clip", w->tallies[i].clip);
        add_figures(clip, &f);
        cJSON_AddItemToArray(clips, clip);
    }
    char *text = cJSON_Print(o);
    fprintf(to, "%s\n", text ? text : "{}");
    free(text);
    cJSON_Delete(o);
}

/* A number in its column, coloured if there is any. */
static void print_count(FILE *to, int width, size_t count, const char *colour)
{
    const bool coloured = count > 0 && colour[0] != '\0';
    fprintf(to, "%s%*zu%s", coloured ? colour : "", width, count, coloured ? "\033[0m" : "");
}

static void print_line(FILE *to, int width, const char *clip, const struct figures *f, bool colours)
{
    fprintf(to, "%-*s %9zu %10zu %9zu", width, clip, f->pictures, f->states[SL_LANE_TWO_LINES],
            f->states[SL_LANE_ONE_LINE]);
    print_count(to, 6, f->states[SL_LANE_LOST], colours ? "\033[33m" : "");
    print_count(to, 8, f->failed, colours ? "\033[31m" : "");
    fprintf(to, " %11.2f %8.3f %8.3f\n", f->confidence, f->p50_ms, f->p99_ms);
}

static void print_table(const struct work *w, const struct figures *all, FILE *to)
{
    const bool colours = isatty(fileno(to)) && !getenv("NO_COLOR");
    int width = 4;
    for (size_t i = 0; i < w->tally_count; i++)
        width = (int)fmax(width, fmin((double)strlen(w->tallies[i].clip), 48));
    fprintf(to, "%s%-*s %9s %10s %9s %5s %7s %11s %8s %8s%s\n", colours ? "\033[1m" : "", width,
            "clip", "pictures", "two lines", "one line", "lost", "failed", "confidence", "ms p50",
            "p99", colours ? "\033[0m" : "");
    for (size_t i = 0; i < w->tally_count; i++) {
        const struct figures f = figures_of(&w->tallies[i]);
        print_line(to, width, w->tallies[i].clip, &f, colours);
    }
    if (w->tally_count != 1)
        print_line(to, width, "all", all, colours);
    if (w->failed)
        fprintf(to, "%zu could not be processed\n", w->failed);
}

static void summary(const struct work *w, bool json, FILE *to)
{
    struct tally sum = sum_of(w);
    const struct figures all = figures_of(&sum);
    if (json)
        print_json(w, &all, to);
    else
        print_table(w, &all, to);
    free(sum.times_ms);
}

/* ---- all of them ---- */

static int open_outputs(struct work *w, const struct sl_detect_offline *o)
{
    if (o->overlay && mkdir(o->overlay, 0777) != 0 && errno != EEXIST) {
        fprintf(stderr, "skylane detect: cannot make the folder %s: %s\n", o->overlay,
                strerror(errno));
        return 1;
    }
    if (o->predictions && strcmp(o->predictions, "-") == 0) {
        w->predictions = stdout;
    } else if (o->predictions) {
        w->predictions = fopen(o->predictions, "w");
        if (!w->predictions) {
            fprintf(stderr, "skylane detect: cannot write %s: %s\n", o->predictions,
                    strerror(errno));
            return 1;
        }
    }
    return 0;
}

/* A detector for the clip; false after a sentence. */
static bool begin_clip(struct work *w, const struct sl_detect_offline *o, const char *clip,
                       struct progress *progress)
{
    struct sl_error err = {0};
    new_tally(w, clip);
    int rc = sl_clip_calibration(w->calibrations, clip, &w->config, &err);
    w->config.track = o->track;
    if (rc == 0) {
        rc = sl_detector_init(w->detector, &w->config, &err);
        if (rc)
            sl_error_prefix(&err, "clip %s", clip);
    }
    if (rc)
        tell(progress, "", err.text);
    return rc == 0;
}

static void run_pictures(struct work *w, const struct sl_detect_offline *o,
                         const struct pictures *list)
{
    const char *clip = NULL;
    bool usable = false;
    struct progress progress;
    progress_begin(&progress, list->count);
    for (size_t i = 0; i < list->count && !stop_asked; i++) {
        const struct picture *p = &list->items[i];
        struct sl_error err = {0};
        if (!clip || strcmp(clip, p->clip) != 0) {
            clip = p->clip;
            usable = begin_clip(w, o, clip, &progress);
        }
        if (!usable) {
            tally_failed(w);
        } else if (process(w, p, &err) != 0) {
            tally_failed(w);
            tell(&progress, p->path, err.text);
        }
        progress_show(&progress, i + 1);
    }
    progress_clear(&progress);
    if (stop_asked)
        fprintf(stderr, "skylane detect: stopped after %zu of %zu pictures\n", w->done + w->failed,
                list->count);
}

/* ---- video ---- */

/* "drives/monday.y4m" is the clip "monday"; standard input is "video". */
static void name_clip(const char *video, char *clip, size_t size)
{
    size_t end = strlen(video);
    while (end > 1 && video[end - 1] == '/')
        end--;
    size_t begin = end;
    while (begin > 0 && video[begin - 1] != '/')
        begin--;
    const char *dot = memrchr(video + begin, '.', end - begin);
    if (dot && dot > video + begin)
        end = (size_t)(dot - video);
    if (strcmp(video, "-") == 0 || end == begin)
        snprintf(clip, size, "video");
    else
        snprintf(clip, size, "%.*s", (int)(end - begin), video + begin);
}

/* How many frames a file has; 0 where only the end will tell. */
static size_t count_frames(const char *video)
{
    struct stat st;
    struct sl_y4m *y4m;
    if (strcmp(video, "-") == 0 || stat(video, &st) != 0 || !S_ISREG(st.st_mode) ||
        sl_y4m_open(&y4m, video, NULL) != 0)
        return 0;
    const uint64_t count = sl_y4m_count(y4m);
    sl_y4m_close(y4m);
    return (size_t)count;
}

/* The camera, started, and memory for its frames. 0 or an exit status. */
static int open_video(struct work *w, const char *video, struct sl_camera **camera)
{
    struct sl_error err = {0};
    const struct sl_camera_config config = {
        .driver = "file", .source = video, .fourcc = SL_FORMAT_NV12};
    int rc = sl_camera_open(camera, &config, &err);
    if (rc == 0)
        rc = sl_camera_start(*camera, &err);
    if (rc == 0) {
        w->pixels_size = (sl_camera_caps(*camera)->frame_bytes + 63) & ~(size_t)63;
        w->pixels = aligned_alloc(64, w->pixels_size);
        if (!w->pixels)
            rc = sl_error_set(&err, -ENOMEM, "no memory for a frame");
    }
    if (rc == 0)
        return 0;
    fprintf(stderr, "skylane detect: --video: %s%s\n", err.text,
            rc == -EPROTO ? "; other kinds of video go through ffmpeg -i FILE -f yuv4mpegpipe "
                            "-pix_fmt yuv420p - | skylane detect --video - ..."
                          : "");
    sl_camera_close(*camera);
    *camera = NULL;
    return stop_asked ? 1 : 2;
}

static void run_frames(struct work *w, struct sl_camera *camera, const char *clip,
                       struct progress *progress)
{
    for (uint64_t taken = 0; !stop_asked;) {
        struct sl_frame_info info;
        struct sl_error err = {0};
        char raw_file[512];
        const int rc = sl_camera_fill(camera, w->pixels, w->pixels_size, &info,
                                      sl_clock_now_ns() + VIDEO_WAIT_NS);
        if (rc == -ETIMEDOUT)
            continue;
        if (rc == -ENODATA)
            return;
        taken++;
        snprintf(raw_file, sizeof raw_file, "%s/%06llu", clip, (unsigned long long)taken);
        const struct picture p = {.clip = (char *)clip, .raw_file = raw_file};
        if (rc != 0) {
            tally_failed(w);
            tell(progress, raw_file, sl_camera_problem(camera));
        } else if (detect(w, &p, 0, &info, &err) != 0) {
            tally_failed(w);
            tell(progress, raw_file, err.text);
        }
        progress_show(progress, w->done + w->failed);
    }
}

/* 0 or an exit status. */
static int run_video(struct work *w, const struct sl_detect_offline *o)
{
    char clip[256];
    struct sl_camera *camera;
    struct progress progress;
    name_clip(o->video, clip, sizeof clip);
    int status = open_video(w, o->video, &camera);
    if (status)
        return status;
    progress_begin(&progress, count_frames(o->video));
    status = begin_clip(w, o, clip, &progress) ? 0 : 2;
    if (status == 0)
        run_frames(w, camera, clip, &progress);
    sl_camera_close(camera);
    progress_clear(&progress);
    if (stop_asked)
        fprintf(stderr, "skylane detect: stopped after %zu pictures\n", w->done + w->failed);
    return status;
}

/* ---- the whole ---- */

static int open_tools(struct work *w, const char *calibration)
{
    struct sl_error err = {0};
    if (sl_clip_calibrations_read(&w->calibrations, calibration, &err) != 0) {
        fprintf(stderr, "skylane detect: %s\n", err.text);
        return 2;
    }
    w->decoder = sl_image_decoder_create();
    w->encoder = sl_jpeg_encoder_create();
    w->detector = aligned_alloc(64, sl_detector_size());
    w->bytes = malloc(PICTURE_BYTES_MAX);
    if (!w->decoder || !w->encoder || !w->detector || !w->bytes) {
        fprintf(stderr, "skylane detect: no memory\n");
        return 1;
    }
    return 0;
}

static void close_tools(struct work *w)
{
    for (size_t i = 0; i < w->tally_count; i++) {
        free(w->tallies[i].clip);
        free(w->tallies[i].times_ms);
    }
    free(w->tallies);
    sl_clip_calibrations_free(w->calibrations);
    sl_image_decoder_destroy(w->decoder);
    sl_jpeg_encoder_destroy(w->encoder);
    free(w->detector);
    free(w->bytes);
    free(w->pixels);
    free(w->bgr);
}

int sl_detect_offline(const struct sl_detect_offline *o)
{
    struct work w = {.overlay = o->overlay};
    struct pictures list = {0};
    struct sigaction action = {.sa_handler = ask_stop};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    if (!o->images == !o->video) {
        fprintf(stderr, "skylane detect: give either --images or --video\n");
        return 2;
    }

    int status = o->images ? find_pictures(&list, o->images) : 0;
    if (status == 0)
        status = open_tools(&w, o->calibration);
    if (status == 0)
        status = open_outputs(&w, o);
    if (status == 0) {
        if (o->images)
            run_pictures(&w, o, &list);
        else
            status = run_video(&w, o);
    }
    if (status == 0) {
        summary(&w, o->json, o->json && w.predictions != stdout ? stdout : stderr);
        status = w.failed || stop_asked ? 1 : 0;
    }
    if (w.predictions && w.predictions != stdout && fclose(w.predictions) != 0) {
        fprintf(stderr, "skylane detect: cannot write %s: %s\n", o->predictions, strerror(errno));
        status = 1;
    }
    close_tools(&w);
    free_pictures(&list);
    return status;
}
