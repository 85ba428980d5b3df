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
#include "hal/camera/image.h"
#include "net/jpeg.h"
#include "rt/clock.h"

#define PICTURE_BYTES_MAX (64u << 20)
#define OVERLAY_QUALITY   90

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

struct work {
    struct sl_clip_calibrations *calibrations;
    struct sl_image_decoder *decoder;
    struct sl_jpeg_encoder *encoder;
    struct sl_detector *detector;
    struct sl_detect_config config;
    uint8_t *bytes; /* of the file */
    uint8_t *pixels;
    size_t pixels_size;
    FILE *predictions;
    const char *overlay;
    size_t states[3];
    size_t done, failed;
    double time_ms;
};

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

static int write_overlay(struct work *w, const struct picture *p, size_t size,
                         const struct sl_detection *found, struct sl_error *err)
{
    struct sl_frame_info info;
    int rc = decode(w, size, SL_FORMAT_BGR24, &info, err);
    if (rc)
        return rc;
    struct sl_canvas canvas = {.bgr = w->pixels + info.planes[0].offset_bytes,
                               .width_px = info.width_px,
                               .height_px = info.height_px,
                               .stride_bytes = info.planes[0].stride_bytes};
    sl_overlay_draw(&canvas, found);
    const uint8_t *jpeg;
    size_t jpeg_size;
    rc = sl_jpeg_encode(w->encoder, &info, w->pixels, OVERLAY_QUALITY, &jpeg, &jpeg_size, err);
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

static int process(struct work *w, const struct picture *p, struct sl_error *err)
{
    size_t size = 0;
    struct sl_frame_info info;
    int rc = read_picture(w, p->path, &size, err);
    if (rc == 0)
        rc = decode(w, size, SL_FORMAT_NV12, &info, err);
    if (rc)
        return rc;
    struct sl_detection found;
    uint64_t before = sl_clock_now_ns();
    rc = sl_detector_run(w->detector, &info, w->pixels, &found);
    double time_ms = (double)(sl_clock_now_ns() - before) * 1e-6;
    if (rc)
        return sl_error_set(err, rc, "holds no luma that the detector could read");
    w->states[found.state]++;
    w->time_ms += time_ms;
    if (w->predictions)
        rc = write_prediction(w, p, &found, time_ms, err);
    if (rc == 0 && w->overlay)
        rc = write_overlay(w, p, size, &found, err);
    return rc;
}

/* ---- all of them ---- */

static void progress(size_t done, size_t count, bool end)
{
    static uint64_t last_ns;
    uint64_t now = sl_clock_now_ns();
    if (!end && now - last_ns < 100 * SL_NS_PER_MS)
        return;
    last_ns = now;
    char bar[31];
    size_t full = count ? done * 30 / count : 30;
    for (size_t i = 0; i < 30; i++)
        bar[i] = i < full ? '#' : '.';
    bar[30] = 0;
    fprintf(stderr, "\r[%s] %zu of %zu pictures%s", bar, done, count, end ? "\n" : "");
    fflush(stderr);
}

static void summary(const struct work *w, bool json, FILE *to)
{
    double mean = w->done ? w->time_ms / (double)w->done : 0;
    if (json) {
        cJSON *o = cJSON_CreateObject();
        cJSON_AddNumberToObject(o, "pictures", (double)(w->done + w->failed));
        cJSON_AddNumberToObject(o, "failed", (double)w->failed);
        cJSON_AddNumberToObject(o, "two_lines", (double)w->states[SL_LANE_TWO_LINES]);
        cJSON_AddNumberToObject(o, "one_line", (double)w->states[SL_LANE_ONE_LINE]);
        cJSON_AddNumberToObject(o, "lost", (double)w->states[SL_LANE_LOST]);
        add_number(o, "mean_run_time_ms", mean, 1e-4);
        char *text = cJSON_Print(o);
        fprintf(to, "%s\n", text ? text : "{}");
        free(text);
        cJSON_Delete(o);
        return;
    }
    fprintf(to, "%zu pictures: %zu with two lines, %zu with one, %zu without; %.3f ms each",
            w->done + w->failed, w->states[SL_LANE_TWO_LINES], w->states[SL_LANE_ONE_LINE],
            w->states[SL_LANE_LOST], mean);
    if (w->failed)
        fprintf(to, "; %zu could not be processed", w->failed);
    fputc('\n', to);
}

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

static int run(struct work *w, const struct sl_detect_offline *o, const struct pictures *list)
{
    bool bar = isatty(STDERR_FILENO);
    const char *clip = NULL;
    bool usable = false;
    for (size_t i = 0; i < list->count && !stop_asked; i++) {
        const struct picture *p = &list->items[i];
        struct sl_error err = {0};
        if (!clip || strcmp(clip, p->clip) != 0) {
            clip = p->clip;
            usable = sl_clip_calibration(w->calibrations, clip, &w->config, &err) == 0;
            w->config.track = o->track;
            if (usable && sl_detector_init(w->detector, &w->config, &err) != 0) {
                sl_error_prefix(&err, "clip %s", clip);
                usable = false;
            }
            if (!usable)
                fprintf(stderr, "%sskylane detect: %s\n", bar ? "\r\033[K" : "", err.text);
        }
        if (!usable) {
            w->failed++;
            continue;
        }
        if (process(w, p, &err) == 0) {
            w->done++;
        } else {
            w->failed++;
            fprintf(stderr, "%sskylane detect: %s: %s\n", bar ? "\r\033[K" : "", p->path, err.text);
        }
        if (bar)
            progress(i + 1, list->count, i + 1 == list->count);
    }
    if (stop_asked)
        fprintf(stderr, "\nskylane detect: stopped after %zu of %zu pictures\n",
                w->done + w->failed, list->count);
    return w->failed || stop_asked ? 1 : 0;
}

int sl_detect_offline(const struct sl_detect_offline *o)
{
    struct work w = {.overlay = o->overlay};
    struct pictures list = {0};
    struct sl_error err = {0};
    struct sigaction action = {.sa_handler = ask_stop};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);

    int status = find_pictures(&list, o->images);
    if (status == 0) {
        int rc = sl_clip_calibrations_read(&w.calibrations, o->calibration, &err);
        if (rc) {
            fprintf(stderr, "skylane detect: %s\n", err.text);
            status = 2;
        }
    }
    if (status == 0) {
        w.decoder = sl_image_decoder_create();
        w.encoder = sl_jpeg_encoder_create();
        w.detector = aligned_alloc(64, sl_detector_size());
        w.bytes = malloc(PICTURE_BYTES_MAX);
        if (!w.decoder || !w.encoder || !w.detector || !w.bytes) {
            fprintf(stderr, "skylane detect: no memory\n");
            status = 1;
        }
    }
    if (status == 0)
        status = open_outputs(&w, o);
    if (status == 0) {
        status = run(&w, o, &list);
        summary(&w, o->json, o->json && w.predictions != stdout ? stdout : stderr);
    }
    if (w.predictions && w.predictions != stdout && fclose(w.predictions) != 0) {
        fprintf(stderr, "skylane detect: cannot write %s: %s\n", o->predictions, strerror(errno));
        status = 1;
    }
    sl_clip_calibrations_free(w.calibrations);
    sl_image_decoder_destroy(w.decoder);
    sl_jpeg_encoder_destroy(w.encoder);
    free(w.detector);
    free(w.bytes);
    free(w.pixels);
    free_pictures(&list);
    return status;
}
