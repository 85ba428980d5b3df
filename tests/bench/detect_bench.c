/* What lane detection costs a frame, beside OpenCV's usual pipeline on the same
 * frames and beside the floor that memory sets, in turn and in one run; and on
 * the worst pictures that could be drawn for it. See --help. */
#include <cjson/cJSON.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/detect/detect.h"
#include "detect_frames.h"
#include "rt/cli.h"
#include "rt/clock.h"
#ifdef WITH_OPENCV
#include "detect_opencv.h"
#endif

#define FRAMES_MAX 100000
#define ROUNDS_MAX 100
#define SETS_MAX   8
#define LINE_BYTES 64
#define BUSY_LOAD  0.5

/* The targets: at 800x600 luma, on one core. */
#define P50_US       100.0
#define P99_US       300.0
#define OPENCV_RATIO 20.0

enum what {
    STILL_WARM,
    STILL_COLD,
    TRACKED_WARM,
    TRACKED_COLD,
    FLOOR_WARM,
    FLOOR_COLD,
    OPENCV_CROPPED,
    OPENCV_WHOLE,
    WHATS
};

static const char *const WHAT_NAMES[WHATS] = {"each for itself, warm", "each for itself, cold",
                                              "tracked, warm",         "tracked, cold",
                                              "floor: one pass, warm", "floor: one pass, cold",
                                              "OpenCV, cropped first", "OpenCV, the whole picture"};

/* Times of one kind on one set of frames. */
struct series {
    double *us;
    size_t count, room;
    double round_p50[ROUNDS_MAX];
    int rounds;
};

struct bench {
    struct sl_detector *detector;
    long frames, rounds;
    bool realtime;
    struct frame_set sets[SETS_MAX];
    int set_count;
    int luma_sets; /* of them, the first: 800x600 luma, compared with OpenCV */
    struct series series[SETS_MAX][WHATS];
    struct series worst[WHATS];
    int worst_frame[WHATS];
};

extern volatile uint64_t read_sum;
volatile uint64_t read_sum; /* keeps the reading from being optimised away */

/* ---- statistics ---- */

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double quantile(const double *sorted, size_t count, double share)
{
    size_t at = (size_t)(share * (double)count);
    return sorted[at < count ? at : count - 1];
}

static void add(struct series *s, double us)
{
    if (s->count == s->room) {
        s->room = s->room == 0 ? 1024 : 2 * s->room;
        s->us = realloc(s->us, s->room * sizeof *s->us);
        if (s->us == NULL)
            abort();
    }
    s->us[s->count++] = us;
}

/* What was added since `from` was a round; its order is lost. */
static void end_round(struct series *s, size_t from)
{
    if (s->count == from)
        return;
    qsort(s->us + from, s->count - from, sizeof *s->us, ascending);
    s->round_p50[s->rounds++] = quantile(s->us + from, s->count - from, 0.5);
}

static double median(const double *values, int count)
{
    double sorted[ROUNDS_MAX];
    memcpy(sorted, values, (size_t)count * sizeof *sorted);
    qsort(sorted, (size_t)count, sizeof *sorted, ascending);
    return sorted[count / 2];
}

/* Median of the rounds' ratios: both of a round met the same machine. 0 if one
 * of them was not measured. */
static double paired(const struct series *a, const struct series *b)
{
    double ratios[ROUNDS_MAX];
    const int rounds = a->rounds < b->rounds ? a->rounds : b->rounds;
    for (int i = 0; i < rounds; i++)
        ratios[i] = a->round_p50[i] / b->round_p50[i];
    return rounds > 0 ? median(ratios, rounds) : 0;
}

/* ---- warm and cold ---- */

/* Out of every cache of this core, as a camera's frame is when it arrives. */
static void evict(const void *memory, size_t size)
{
    const char *p = memory;
#if defined(__x86_64__)
    for (size_t i = 0; i < size; i += LINE_BYTES)
        __builtin_ia32_clflush(p + i);
    __builtin_ia32_mfence();
#elif defined(__aarch64__)
    for (size_t i = 0; i < size; i += LINE_BYTES)
        __asm__ volatile("dc civac, %0" : : "r"(p + i) : "memory");
    __asm__ volatile("dsb sy" : : : "memory");
#else
    static char other[64 << 20]; /* larger than any cache */
    (void)p;
    (void)size;
    for (size_t i = 0; i < sizeof other; i += LINE_BYTES)
        other[i]++;
#endif
}

/* One pass over the luma of the rows that can show road. */
static void read_road(const struct frame_set *set, const struct bench_frame *frame)
{
    const struct sl_frame_info *info = &frame->info;
    uint64_t sum[4] = {0};
    for (uint32_t v = frames_road_row(set, frame); v < info->height_px; v++) {
        const uint8_t *p =
            frame->pixels + info->planes[0].offset_bytes + (size_t)v * info->planes[0].stride_bytes;
        for (uint32_t u = 0; u + 32 <= info->width_px; u += 32) {
            uint64_t words[4];
            memcpy(words, p + u, sizeof words);
            for (int i = 0; i < 4; i++)
                sum[i] += words[i];
        }
    }
    read_sum = sum[0] + sum[1] + sum[2] + sum[3];
}

/* ---- one frame ---- */

/* A detector for the frame's clip, its tables made for this size. */
static void begin_clip(struct bench *b, const struct frame_set *set,
                       const struct bench_frame *frame, int track)
{
    struct sl_detect_config config = set->configs[frame->clip];
    struct sl_detection found;
    struct sl_error err = {0};
    config.track = track;
    if (sl_detector_init(b->detector, &config, &err) != 0) {
        fprintf(stderr, "detect_bench: %s: %s\n", set->name, err.text);
        exit(SL_EXIT_FAILED);
    }
    (void)sl_detector_run(b->detector, &frame->info, frame->pixels, &found);
    sl_detector_reset(b->detector);
}

static double time_frame(struct bench *b, const struct frame_set *set,
                         const struct bench_frame *frame, enum what what)
{
    const uint8_t *pixels = frame->pixels;
    const bool cold = what == STILL_COLD || what == TRACKED_COLD || what == FLOOR_COLD;
    struct sl_detection found;
    if (cold) {
        evict(pixels, frame->info.size_bytes);
        if (what != FLOOR_COLD)
            evict(b->detector, sl_detector_size());
    } else {
        read_road(set, frame);
    }
    uint64_t begin, end;
    if (what == OPENCV_CROPPED || what == OPENCV_WHOLE) {
#ifdef WITH_OPENCV
        const int row = (int)frames_road_row(set, frame);
        begin = sl_clock_now_ns();
        const int segments =
            opencv_lanes(pixels + frame->info.planes[0].offset_bytes, (int)frame->info.width_px,
                         (int)frame->info.height_px, (int)frame->info.planes[0].stride_bytes, row,
                         what == OPENCV_CROPPED);
        end = sl_clock_now_ns();
        if (segments < 0)
            exit(SL_EXIT_FAILED);
        read_sum += (uint64_t)segments;
#else
        begin = end = 0;
#endif
    } else if (what == FLOOR_WARM || what == FLOOR_COLD) {
        begin = sl_clock_now_ns();
        read_road(set, frame);
        end = sl_clock_now_ns();
    } else {
        begin = sl_clock_now_ns();
        (void)sl_detector_run(b->detector, &frame->info, pixels, &found);
        end = sl_clock_now_ns();
    }
    return (double)(end - begin) * 1e-3;
}

/* ---- rounds ---- */

static void time_set(struct bench *b, const struct frame_set *set, enum what what, struct series *s)
{
    const bool detector = what <= TRACKED_COLD;
    const int track = what == TRACKED_WARM || what == TRACKED_COLD;
    const size_t from = s->count;
    int clip = -1;
    for (long i = 0; i < b->frames; i++) {
        const int at = (int)(i % set->count);
        const struct bench_frame *frame = &set->frames[at];
        /* A clip's first frame has none before it: not timed where tracking is. */
        const bool first = frame->clip != clip || at == 0;
        if (first && detector) {
            begin_clip(b, set, frame, track);
            clip = frame->clip;
        }
        const double us = time_frame(b, set, frame, what);
        if (!(first && track))
            add(s, us);
    }
    end_round(s, from);
}

/* Which frame takes longest, by the median of a few runs. */
static int find_worst(struct bench *b, const struct frame_set *set, enum what what)
{
    enum { RUNS = 9 };
    const int track = what == TRACKED_WARM || what == TRACKED_COLD;
    double *us = calloc((size_t)set->count * RUNS, sizeof *us);
    if (us == NULL)
        abort();
    for (int run = 0; run < RUNS; run++) {
        begin_clip(b, set, &set->frames[0], track);
        for (int i = 0; i < set->count; i++)
            us[i * RUNS + run] = time_frame(b, set, &set->frames[i], what);
    }
    int worst = 0;
    double most = 0;
    for (int i = 0; i < set->count; i++) {
        const double m = median(us + (size_t)i * RUNS, RUNS);
        if (m > most) {
            most = m;
            worst = i;
        }
    }
    free(us);
    return worst;
}

/* The worst frame over and over; tracked, with the frames before it as they
 * come, so that it meets the same memory each time. */
static void time_worst(struct bench *b, const struct frame_set *set, enum what what,
                       struct series *s)
{
    enum { BEFORE = 5 };
    const int track = what == TRACKED_WARM || what == TRACKED_COLD;
    const int at = b->worst_frame[what];
    const size_t from = s->count;
    begin_clip(b, set, &set->frames[at], track);
    for (long i = 0; i < b->frames; i++) {
        struct sl_detection found;
        if (track) {
            sl_detector_reset(b->detector);
            for (int k = at > BEFORE ? at - BEFORE : 0; k < at; k++)
                (void)sl_detector_run(b->detector, &set->frames[k].info, set->frames[k].pixels,
                                      &found);
        }
        add(s, time_frame(b, set, &set->frames[at], what));
    }
    end_round(s, from);
}

static void measure(struct bench *b, const struct frame_set *worst)
{
    for (int what = 0; what <= TRACKED_COLD; what++)
        b->worst_frame[what] = find_worst(b, worst, (enum what)what);
    for (long round = 0; round < b->rounds; round++) {
        if (isatty(STDERR_FILENO))
            fprintf(stderr, "\rround %ld of %ld", round + 1, b->rounds);
        for (int i = 0; i < b->set_count; i++) {
            for (int what = 0; what < WHATS; what++) {
                const bool opencv = what == OPENCV_CROPPED || what == OPENCV_WHOLE;
#ifndef WITH_OPENCV
                if (opencv)
                    continue;
#endif
                if (!opencv || i < b->luma_sets)
                    time_set(b, &b->sets[i], (enum what)what, &b->series[i][what]);
            }
        }
        for (int what = 0; what <= TRACKED_COLD; what++)
            time_worst(b, worst, (enum what)what, &b->worst[what]);
    }
    if (isatty(STDERR_FILENO))
        fputs("\r\033[K", stderr);
}

/* ---- what is printed ---- */

static void print_series(cJSON *rows, const char *set, const char *what, const char *note,
                         struct series *s)
{
    if (s->count == 0)
        return;
    static const struct {
        const char *name;
        double share;
    } QUANTILES[] = {{"p50_us", 0.5}, {"p90_us", 0.9}, {"p99_us", 0.99}, {"p999_us", 0.999}};
    qsort(s->us, s->count, sizeof *s->us, ascending);
    cJSON *row = cJSON_CreateObject();
    cJSON_AddStringToObject(row, "frames", set);
    cJSON_AddStringToObject(row, "what", what);
    if (note[0] != '\0')
        cJSON_AddStringToObject(row, "worst", note);
    cJSON_AddNumberToObject(row, "samples", (double)s->count);
    printf("  %-27s", what);
    for (size_t i = 0; i < sizeof QUANTILES / sizeof QUANTILES[0]; i++) {
        const double us = quantile(s->us, s->count, QUANTILES[i].share);
        cJSON_AddNumberToObject(row, QUANTILES[i].name, us);
        printf(" %8.1f", us);
    }
    cJSON_AddNumberToObject(row, "max_us", s->us[s->count - 1]);
    printf(" %8.1f  %s\n", s->us[s->count - 1], note);
    cJSON_AddItemToArray(rows, row);
}

static void print_ratio(cJSON *ratios, const char *set, const char *text, double ratio)
{
    if (ratio <= 0)
        return;
    printf("  %-60s %8.2f x\n", text, ratio);
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "frames", set);
    cJSON_AddStringToObject(o, "ratio", text);
    cJSON_AddNumberToObject(o, "median", ratio);
    cJSON_AddItemToArray(ratios, o);
}

static void print_target(cJSON *targets, const char *set, const char *text, double value,
                         double limit, bool at_least)
{
    const bool good = at_least ? value >= limit : value <= limit;
    printf("  %-26s %-32s %8.1f  %s %5g  %s\n", set, text, value, at_least ? ">=" : "<=", limit,
           good ? "PASS" : "OVER");
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "frames", set);
    cJSON_AddStringToObject(o, "target", text);
    cJSON_AddNumberToObject(o, "measured", value);
    cJSON_AddNumberToObject(o, "limit", limit);
    cJSON_AddBoolToObject(o, "at_least", at_least);
    cJSON_AddBoolToObject(o, "pass", good);
    cJSON_AddItemToArray(targets, o);
}

static void print_targets(struct bench *b, const struct frame_set *worst, cJSON *targets)
{
    static const struct {
        enum what what;
        const char *p50, *p99;
    } DETECTOR[] = {
        {STILL_COLD, "each for itself, cold: p50, us", "each for itself, cold: p99, us"},
        {TRACKED_COLD, "tracked, cold: p50, us", "tracked, cold: p99, us"},
    };
    printf("Targets\n");
    for (int i = 0; i < b->luma_sets; i++) {
        struct series *all = b->series[i];
        for (size_t k = 0; k < sizeof DETECTOR / sizeof DETECTOR[0]; k++) {
            const struct series *s = &all[DETECTOR[k].what];
            if (s->count == 0)
                continue;
            print_target(targets, b->sets[i].name, DETECTOR[k].p50, quantile(s->us, s->count, 0.5),
                         P50_US, false);
            print_target(targets, b->sets[i].name, DETECTOR[k].p99, quantile(s->us, s->count, 0.99),
                         P99_US, false);
        }
        const double ratio = paired(&all[OPENCV_CROPPED], &all[STILL_WARM]);
        if (ratio > 0)
            print_target(targets, b->sets[i].name, "OpenCV, cropped / detector", ratio,
                         OPENCV_RATIO, true);
    }
    for (size_t k = 0; k < sizeof DETECTOR / sizeof DETECTOR[0]; k++) {
        const struct series *s = &b->worst[DETECTOR[k].what];
        print_target(targets, worst->name, DETECTOR[k].p99, quantile(s->us, s->count, 0.99), P99_US,
                     false);
    }
}

static cJSON *print_all(struct bench *b, const struct frame_set *worst)
{
    cJSON *result = cJSON_CreateObject();
    cJSON_AddNumberToObject(result, "rounds", (double)b->rounds);
    cJSON_AddNumberToObject(result, "frames_a_round", (double)b->frames);
    cJSON_AddBoolToObject(result, "realtime", b->realtime);
#ifdef WITH_OPENCV
    cJSON_AddStringToObject(result, "opencv", opencv_version());
#endif
    cJSON *rows = cJSON_AddArrayToObject(result, "rows");
    cJSON *ratios = cJSON_AddArrayToObject(result, "ratios");
    for (int i = 0; i < b->set_count; i++) {
        struct series *all = b->series[i];
        const char *name = b->sets[i].name;
        printf("%-29s %8s %8s %8s %8s %8s\n", name, "p50", "p90", "p99", "p99.9", "max");
        for (int what = 0; what < WHATS; what++)
            print_series(rows, name, WHAT_NAMES[what], "", &all[what]);
        print_ratio(ratios, name, "OpenCV, cropped / each for itself, warm",
                    paired(&all[OPENCV_CROPPED], &all[STILL_WARM]));
        print_ratio(ratios, name, "OpenCV, cropped / tracked, warm",
                    paired(&all[OPENCV_CROPPED], &all[TRACKED_WARM]));
        print_ratio(ratios, name, "OpenCV, the whole picture / each for itself, warm",
                    paired(&all[OPENCV_WHOLE], &all[STILL_WARM]));
        print_ratio(ratios, name, "each for itself, cold / floor, cold",
                    paired(&all[STILL_COLD], &all[FLOOR_COLD]));
        print_ratio(ratios, name, "tracked, cold / floor, cold",
                    paired(&all[TRACKED_COLD], &all[FLOOR_COLD]));
        putchar('\n');
    }
    printf("%-29s %8s %8s %8s %8s %8s\n", worst->name, "p50", "p90", "p99", "p99.9", "max");
    for (int what = 0; what <= TRACKED_COLD; what++)
        print_series(rows, worst->name, WHAT_NAMES[what], worst->frames[b->worst_frame[what]].name,
                     &b->worst[what]);
    putchar('\n');
    print_targets(b, worst, cJSON_AddArrayToObject(result, "targets"));
#ifndef WITH_OPENCV
    printf("\nOpenCV is not in this build: install libopencv-imgproc-dev (tools/setup --bench) and "
           "build again.\n");
#endif
    return result;
}

static int write_json(const cJSON *result, const char *path)
{
    char *text = cJSON_Print(result);
    FILE *file = text != NULL ? fopen(path, "w") : NULL;
    bool good = file != NULL && fprintf(file, "%s\n", text) > 0;
    if (file != NULL)
        good = fclose(file) == 0 && good;
    if (!good)
        fprintf(stderr, "detect_bench: cannot write %s: %s\n", path,
                text != NULL ? strerror(errno) : "no memory");
    free(text);
    return good ? SL_EXIT_OK : SL_EXIT_FAILED;
}

/* ---- the run ---- */

/* As the vehicle's threads run: what else wants this core waits. */
static int become_realtime(void)
{
    const struct sched_param lowest = {.sched_priority = 1};
    if (sched_setscheduler(0, SCHED_FIFO, &lowest) == 0)
        return 0;
    fprintf(stderr,
            "detect_bench: --realtime: %s; tools/setup --realtime grants it, or run it as root\n",
            strerror(errno));
    return -1;
}

static void warn_if_busy(const struct bench *b)
{
    double load = 0;
    if (getloadavg(&load, 1) == 1 && load > BUSY_LOAD && !b->realtime)
        fprintf(stderr,
                "detect_bench: this machine is busy (load %.1f); the figures will be worse than "
                "it can do, unless with --realtime\n",
                load);
}

/* The simulator's frames may be fewer than a round takes: they come again. */
static int prepare(struct bench *b, struct frame_set *worst)
{
    enum { LUMA_FRAMES = 24, OTHER_FRAMES = 6, CLIP_FRAMES = 12 };
    static const struct {
        const char *name;
        uint32_t width_px, height_px;
    } OTHERS[] = {{"simulator, 800x600 NV12", 800, 600},
                  {"simulator, 1280x720 NV12", 1280, 720},
                  {"simulator, 1920x1080 NV12", 1920, 1080}};
    int failed = frames_simulated(&b->sets[b->set_count++], "simulator, 800x600 luma",
                                  SL_FORMAT_GRAY8, 800, 600, LUMA_FRAMES);
    if (failed == 0) {
        const int roads = frames_roads(&b->sets[b->set_count], CLIP_FRAMES);
        if (roads == 0)
            b->set_count++;
        else if (roads == -ENOENT)
            fprintf(stderr, "detect_bench: no real roads in $SKYLANE_ROADS or ../shared/roads; "
                            "left out\n");
        else
            failed = roads;
    }
    b->luma_sets = b->set_count;
    for (size_t i = 0; failed == 0 && i < sizeof OTHERS / sizeof OTHERS[0]; i++)
        failed = frames_simulated(&b->sets[b->set_count++], OTHERS[i].name, SL_FORMAT_NV12,
                                  OTHERS[i].width_px, OTHERS[i].height_px, OTHER_FRAMES);
    return failed ? failed : frames_worst(worst);
}

static void help(void)
{
    fputs(
        "detect_bench - what lane detection costs a frame\n"
        "\n"
        "usage: detect_bench [--frames N] [--rounds N] [--realtime] [--json FILE]\n"
        "\n"
        "  --frames N    frames of each kind in a round (200)\n"
        "  --rounds N    rounds, in which all kinds take turns (5)\n"
        "  --realtime    under SCHED_FIFO, as on the vehicle: what else this core has to do waits\n"
        "  --json FILE   all figures\n"
        "  --help\n"
        "\n"
        "Microseconds of one call on one core. warm: the picture's road has just been read,\n"
        "and the detector's memory is as the last frame left it. cold: both have been flushed\n"
        "from all caches (code has not). floor: one pass that only reads the luma of the rows\n"
        "from the horizon down. OpenCV: GaussianBlur 5, Canny, HoughLinesP on one thread, all\n"
        "of it on the same rows (cropped first), or the whole picture and then a region of its\n"
        "edges. tracked: a frame that has one before it. Ratios are medians of the rounds'\n"
        "ratios of p50. The worst cases are drawn to have as many candidates, chains and\n"
        "hypotheses as there is room for; the figures are those of the one that takes longest.\n"
        "Good only while nothing else runs; detect_instructions counts what noise can not touch.\n"
        "\n"
        "examples:\n"
        "  build/tests/detect_bench\n"
        "  build/tests/detect_bench --realtime --frames 2000 --json figures.json\n"
        "\n"
        "exit status: 0 (measured, targets met or not), 1 (failed), 2 (misuse)\n",
        stdout);
}

int main(int argc, char **argv)
{
    static const struct option OPTIONS[] = {
        {"frames", required_argument, NULL, 'f'}, {"rounds", required_argument, NULL, 'r'},
        {"json", required_argument, NULL, 'j'},   {"realtime", no_argument, NULL, 't'},
        {"help", no_argument, NULL, 'h'},         {0}};
    static struct bench b = {.frames = 200, .rounds = 5};
    const char *json = NULL;
    opterr = 0;
    for (int option; (option = getopt_long(argc, argv, ":h", OPTIONS, NULL)) != -1;) {
        struct sl_error err = {0};
        int64_t number = 0;
        if (option == 'h') {
            help();
            return SL_EXIT_OK;
        }
        if (option == 't') {
            b.realtime = true;
            continue;
        }
        if (option == 'j') {
            json = optarg;
            continue;
        }
        int failed =
            option == 'f'   ? sl_cli_integer(optarg, "--frames", 10, FRAMES_MAX, &number, &err)
            : option == 'r' ? sl_cli_integer(optarg, "--rounds", 1, ROUNDS_MAX, &number, &err)
                            : sl_error_set(&err, -EINVAL, "cannot use %s", argv[optind - 1]);
        if (failed) {
            fprintf(stderr, "detect_bench: %s; see detect_bench --help\n", err.text);
            return SL_EXIT_MISUSE;
        }
        *(option == 'f' ? &b.frames : &b.rounds) = (long)number;
    }
    if (optind < argc) {
        fprintf(stderr, "detect_bench: unexpected \"%s\"; see detect_bench --help\n", argv[optind]);
        return SL_EXIT_MISUSE;
    }
    struct frame_set worst = {0};
    b.detector = aligned_alloc(64, sl_detector_size());
    if (b.detector == NULL || prepare(&b, &worst) != 0) {
        fprintf(stderr, "detect_bench: the frames could not be made\n");
        return SL_EXIT_FAILED;
    }
    warn_if_busy(&b);
    if (b.realtime && become_realtime() != 0)
        return SL_EXIT_FAILED;
    measure(&b, &worst);
    cJSON *result = print_all(&b, &worst);
    const int status = json != NULL ? write_json(result, json) : SL_EXIT_OK;
    cJSON_Delete(result);
    for (int i = 0; i < b.set_count; i++) {
        frames_free(&b.sets[i]);
        for (int what = 0; what < WHATS; what++)
            free(b.series[i][what].us);
    }
    for (int what = 0; what < WHATS; what++)
        free(b.worst[what].us);
    frames_free(&worst);
    free(b.detector);
    return status;
}
