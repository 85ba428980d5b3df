/* What lane detection costs a frame, beside one pass that only reads the same
 * rows' luma: the floor that memory sets, in the same run.
 *
 *     detect_bench [FRAMES]
 *
 * Prints p50, p99 and max in microseconds for painted roads at 800x600 NV12,
 * and for the footage where it is found (SKYLANE_ROADS or ../shared/roads). */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../unit/detect_paint.h"
#include "app/detect/detect.h"
#include "hal/camera/image.h"
#include "rt/clock.h"

#define FRAMES_MAX 100000

static double times_us[FRAMES_MAX];
static double floors_us[FRAMES_MAX];

extern volatile uint64_t read_sum;
volatile uint64_t read_sum; /* keeps the reading from being optimised away */

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void report(const char *name, double *t, size_t n)
{
    qsort(t, n, sizeof *t, ascending);
    printf("%-34s %9.1f %9.1f %9.1f\n", name, t[n / 2], t[n * 99 / 100], t[n - 1]);
}

/* One pass over the rows from the horizon down. */
static double read_floor(const struct sl_frame_info *info, const uint8_t *pixels)
{
    uint64_t begin = sl_clock_now_ns();
    uint64_t sum = 0;
    for (uint32_t v = info->height_px * 2 / 5; v < info->height_px; v++) {
        const uint8_t *p =
            pixels + info->planes[0].offset_bytes + (size_t)v * info->planes[0].stride_bytes;
        for (uint32_t u = 0; u + 8 <= info->width_px; u += 8) {
            uint64_t word;
            memcpy(&word, p + u, sizeof word);
            sum += word;
        }
    }
    read_sum = sum;
    return (double)(sl_clock_now_ns() - begin) * 1e-3;
}

static double detect_once(struct sl_detector *d, const struct sl_frame_info *info,
                          const uint8_t *pixels)
{
    struct sl_detection found;
    uint64_t begin = sl_clock_now_ns();
    sl_detector_run(d, info, pixels, &found);
    return (double)(sl_clock_now_ns() - begin) * 1e-3;
}

static void bench_painted(struct sl_detector *d, int track, size_t frames)
{
    enum { SCENES = 8 };
    struct sl_detect_config config = paint_config();
    config.track = track;
    size_t size = sl_frame_size_bytes(SL_FORMAT_NV12, 800, 600);
    uint8_t *memory[SCENES];
    struct sl_frame_info info[SCENES];
    for (int i = 0; i < SCENES; i++) {
        struct paint_scene scene = paint_usual;
        scene.noise = 4 + 4 * i;
        scene.dashed_right = true;
        scene.second_lane = true;
        if (track) {
            /* A drive: there and back again, a little a frame. */
            scene.offset_m = 0.02 * (i < SCENES / 2 ? i : SCENES - 1 - i);
            scene.noise = 12;
        } else {
            scene.offset_m = 0.1 * i - 0.4;
            scene.curvature_1pm = (i % 3 - 1) * 0.01;
            scene.dashed_right = i % 2;
            scene.second_lane = i > 4;
        }
        memory[i] = malloc(size);
        if (!memory[i])
            abort();
        paint_road(&config, &scene, memory[i], &info[i]);
    }
    if (sl_detector_init(d, &config, NULL))
        abort();
    for (size_t i = 0; i < frames; i++) {
        floors_us[i] = read_floor(&info[i % SCENES], memory[i % SCENES]);
        times_us[i] = detect_once(d, &info[i % SCENES], memory[i % SCENES]);
    }
    report(track ? "painted 800x600, tracking" : "painted 800x600, each for itself", times_us,
           frames);
    report("  one pass over its luma", floors_us, frames);
    for (int i = 0; i < SCENES; i++)
        free(memory[i]);
}

/* Pictures of a folder with a guessed camera: the times matter, not the lanes. */
static void bench_folder(struct sl_detector *d, const char *root, const char *name)
{
    char folder[1024];
    snprintf(folder, sizeof folder, "%s/%s", root, name);
    DIR *dir = opendir(folder);
    if (!dir)
        return;
    struct sl_image_decoder *decoder = sl_image_decoder_create();
    size_t capacity = (size_t)1920 * 1080 * 3, n = 0;
    uint8_t *bytes = malloc(capacity), *pixels = malloc(capacity);
    uint32_t width = 0;
    for (struct dirent *e; decoder && bytes && pixels && n < FRAMES_MAX && (e = readdir(dir));) {
        char path[2048];
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        FILE *f = strstr(e->d_name, ".jpg") ? fopen(path, "rb") : NULL;
        if (!f)
            continue;
        size_t size = fread(bytes, 1, capacity, f);
        fclose(f);
        struct sl_frame_info info = {0};
        if (sl_image_decode(decoder, bytes, size, SL_FORMAT_NV12, pixels, capacity, &info, NULL))
            continue;
        if (info.width_px != width) {
            struct sl_detect_config config = paint_config();
            sl_camera_calibration_scale(&config.camera, info.width_px, info.height_px);
            width = info.width_px;
            if (sl_detector_init(d, &config, NULL))
                continue;
        }
        for (int k = 0; k < 5 && n < FRAMES_MAX; k++, n++) {
            floors_us[n] = read_floor(&info, pixels);
            times_us[n] = detect_once(d, &info, pixels);
        }
    }
    if (n) {
        report(name, times_us, n);
        report("  one pass over its luma", floors_us, n);
    }
    free(bytes);
    free(pixels);
    sl_image_decoder_destroy(decoder);
    closedir(dir);
}

int main(int argc, char **argv)
{
    long frames = argc > 1 ? strtol(argv[1], NULL, 10) : 4000;
    if (frames < 1 || frames > FRAMES_MAX) {
        fprintf(stderr, "usage: detect_bench [FRAMES], 1 to %d\n", FRAMES_MAX);
        return 2;
    }
    struct sl_detector *d = aligned_alloc(64, sl_detector_size());
    if (!d)
        return 1;
    printf("%-34s %9s %9s %9s\n", "microseconds a frame", "p50", "p99", "max");
    bench_painted(d, 0, (size_t)frames);
    bench_painted(d, 1, (size_t)frames);
    const char *given = getenv("SKYLANE_ROADS");
    const char *root = given ? given : SL_SOURCE_DIR "/../shared/roads";
    const char *clips[] = {"solid_white_right", "highway_1s", "highway_bridge", "indoor_track"};
    for (size_t i = 0; i < sizeof clips / sizeof clips[0]; i++)
        bench_folder(d, root, clips[i]);
    free(d);
    return 0;
}
