#include "detect_offline.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/detect/detect.h"
#include "detect_calibration.h"
#include "detect_clips.h"
#include "detect_outputs.h"
#include "detect_progress.h"
#include "detect_summary.h"
#include "hal/camera/camera.h"
#include "picture_files.h"
#include "rt/cli.h"
#include "rt/clock.h"

#define VIDEO_WAIT_NS (200 * SL_NS_PER_MS) /* between looks whether to stop */

struct work {
    const struct sl_detect_offline *options;
    struct sl_clip_calibrations *calibrations;
    struct sl_picture_file_reader *reader;
    struct sl_detector *detector;
    struct sl_detect_config config; /* of the clip */
    struct sl_detect_outputs outputs;
    struct sl_tallies tallies;
    struct sl_progress progress;
    bool broken; /* an output takes no more: there is no use in going on */
};

/* Says the sentence; returns `status`. */
static int say(const char *sentence, int status)
{
    fprintf(stderr, "skylane detect: %s\n", sentence);
    return status;
}

static void tell(struct work *w, const char *what, const char *why)
{
    sl_progress_clear(&w->progress);
    fprintf(stderr, "skylane detect: %s%s%s\n", what, what[0] ? ": " : "", why);
}

static bool going_on(const struct work *w)
{
    return !w->broken && !sl_cli_stop_wanted();
}

/* ---- one frame ---- */

/* Colours to draw on: a picture file's are decoded anew, a video's frame has
 * them. */
static int draw(struct work *w, const struct sl_clip_picture *p, const struct sl_frame_info *info,
                uint8_t *pixels, const struct sl_detection *found, struct sl_error *err)
{
    struct sl_frame_info own = *info;
    const bool file = p->path != NULL;
    int rc = 0;
    if (file)
        rc = sl_picture_file_again(w->reader, SL_FORMAT_BGR24, &own, &pixels, err);
    if (rc != 0)
        return rc;
    rc = sl_detect_outputs_draw(&w->outputs, p->clip, file ? p->path : p->raw_file, &own, pixels,
                                found, err);
    w->broken = rc != 0;
    return rc;
}

static int detect(struct work *w, const struct sl_clip_picture *p, const struct sl_frame_info *info,
                  uint8_t *pixels, struct sl_error *err)
{
    struct sl_detection found;
    const uint64_t before = sl_clock_now_ns();
    int rc = sl_detector_run(w->detector, info, pixels, &found);
    const double time_ms = (double)(sl_clock_now_ns() - before) * 1e-6;
    if (rc != 0)
        return sl_error_set(err, rc, "holds no luma that the detector could read");
    if (w->outputs.predictions != NULL) {
        rc = sl_detect_outputs_predict(&w->outputs, p->raw_file, w->detector, &w->config.camera,
                                       &found, time_ms, err);
        w->broken = rc != 0;
    }
    if (rc == 0 && w->outputs.overlay != NULL)
        rc = draw(w, p, info, pixels, &found, err);
    if (rc == 0 && !sl_tallies_add(&w->tallies, &found, time_ms)) {
        rc = sl_error_set(err, -ENOMEM, "no memory to go on");
        w->broken = true;
    }
    return rc;
}

/* What came of a frame: a picture that failed is told and counted, and the next
 * is looked at; an output that failed is told for itself. */
static void note(struct work *w, const char *what, int rc, const char *why)
{
    if (rc == 0)
        return;
    if (!w->broken)
        sl_tallies_add_failed(&w->tallies);
    tell(w, w->broken ? "" : what, why);
}

/* A detector for the clip; false after a sentence. */
static bool begin_clip(struct work *w, const char *clip)
{
    struct sl_error err = {0};
    if (!sl_tallies_begin(&w->tallies, clip)) {
        w->broken = true;
        tell(w, "", "no memory to go on");
        return false;
    }
    int rc = sl_clip_calibration(w->calibrations, clip, &w->config, &err);
    w->config.track = w->options->track;
    if (rc == 0) {
        rc = sl_detector_init(w->detector, &w->config, &err);
        if (rc)
            sl_error_prefix(&err, "clip %s", clip);
    }
    if (rc)
        tell(w, "", err.text);
    return rc == 0;
}

/* ---- pictures ---- */

static void run_pictures(struct work *w, const struct sl_clip_pictures *list)
{
    const char *clip = NULL;
    bool usable = false;
    sl_progress_begin(&w->progress, list->count);
    for (size_t i = 0; i < list->count && going_on(w); i++) {
        const struct sl_clip_picture *p = &list->items[i];
        struct sl_error err = {0};
        if (clip == NULL || strcmp(clip, p->clip) != 0) {
            clip = p->clip;
            usable = begin_clip(w, clip);
            if (w->broken)
                break;
        }
        if (usable) {
            struct sl_frame_info info;
            uint8_t *pixels;
            int rc = sl_picture_file_read(w->reader, p->path, SL_FORMAT_NV12, &info, &pixels, &err);
            if (rc == 0)
                rc = detect(w, p, &info, pixels, &err);
            note(w, p->path, rc, err.text);
        } else {
            sl_tallies_add_failed(&w->tallies); /* was told with the clip */
        }
        sl_progress_show(&w->progress, i + 1);
    }
    sl_progress_clear(&w->progress);
}

/* ---- video ---- */

/* The camera, started, and memory for its frames. 0 or an exit status. */
static int open_video(const char *video, struct sl_camera **camera, uint8_t **memory)
{
    struct sl_error err = {0};
    const struct sl_camera_config config = {
        .driver = "file", .source = video, .fourcc = SL_FORMAT_NV12};
    int rc = sl_camera_open(camera, &config, &err);
    if (rc == 0)
        rc = sl_camera_start(*camera, &err);
    if (rc == 0) {
        *memory = aligned_alloc(64, (sl_camera_caps(*camera)->frame_bytes + 63) & ~(size_t)63);
        if (*memory == NULL)
            rc = sl_error_set(&err, -ENOMEM, "no memory for a frame");
    }
    if (rc == 0)
        return 0;
    sl_camera_close(*camera);
    *camera = NULL;
    if (sl_cli_stop_wanted())
        return say("stopped before the video began", SL_EXIT_FAILED);
    const bool readable = strcmp(video, "-") == 0 || access(video, R_OK) == 0;
    fprintf(stderr, "skylane detect: --video: %s%s\n", err.text,
            rc == -EPROTO && readable
                ? "; other kinds of video go through ffmpeg -i FILE -f yuv4mpegpipe "
                  "-pix_fmt yuv420p - | skylane detect --video - ..."
                : "");
    return SL_EXIT_MISUSE;
}

static void run_frames(struct work *w, struct sl_camera *camera, uint8_t *memory, const char *clip)
{
    const size_t capacity = sl_camera_caps(camera)->frame_bytes;
    for (uint64_t taken = 0; going_on(w);) {
        struct sl_frame_info info;
        struct sl_error err = {0};
        char raw_file[512];
        int rc = sl_camera_fill(camera, memory, capacity, &info, sl_clock_now_ns() + VIDEO_WAIT_NS);
        if (rc == -ETIMEDOUT)
            continue;
        if (rc == -ENODATA)
            return;
        taken++;
        snprintf(raw_file, sizeof raw_file, "%s/%06llu", clip, (unsigned long long)taken);
        const struct sl_clip_picture p = {.clip = (char *)clip, .raw_file = raw_file};
        if (rc != 0)
            sl_error_set(&err, rc, "%s", sl_camera_problem(camera));
        else
            rc = detect(w, &p, &info, memory, &err);
        note(w, raw_file, rc, err.text);
        sl_progress_show(&w->progress, w->tallies.done + w->tallies.failed);
    }
}

/* 0 or an exit status. */
static int run_video(struct work *w, const char *video)
{
    char clip[256];
    struct sl_camera *camera = NULL;
    uint8_t *memory = NULL;
    sl_clip_name_of_video(video, clip, sizeof clip);
    int status = open_video(video, &camera, &memory);
    if (status != 0)
        return status;
    sl_progress_begin(&w->progress, sl_clip_count_of_video(video));
    status = begin_clip(w, clip) ? 0 : SL_EXIT_MISUSE;
    if (status == 0)
        run_frames(w, camera, memory, clip);
    sl_camera_close(camera);
    free(memory);
    sl_progress_clear(&w->progress);
    return status;
}

/* ---- the whole ---- */

/* 0 or an exit status. */
static int open_work(struct work *w, struct sl_clip_pictures *list)
{
    const struct sl_detect_offline *o = w->options;
    struct sl_error err = {0};
    int rc = o->images != NULL ? sl_clip_pictures_find(list, o->images, &err) : 0;
    if (rc == 0)
        rc = sl_clip_calibrations_read(&w->calibrations, o->calibration, &err);
    if (rc != 0)
        return say(err.text, rc == -EINVAL || rc == -ENOENT || rc == -EISDIR ? SL_EXIT_MISUSE
                                                                             : SL_EXIT_FAILED);
    w->reader = sl_picture_file_reader_create();
    w->detector = aligned_alloc(64, sl_detector_size());
    if (w->reader == NULL || w->detector == NULL)
        return say("no memory", SL_EXIT_FAILED);
    if (sl_detect_outputs_open(&w->outputs, o->predictions, o->overlay, &err) != 0)
        return say(err.text, SL_EXIT_FAILED);
    return 0;
}

/* The numbers, where predictions leave room for them. */
static void summarize(struct work *w)
{
    const bool taken = w->options->predictions != NULL && strcmp(w->options->predictions, "-") == 0;
    if (!w->options->json)
        sl_tallies_print(&w->tallies, stderr);
    else
        sl_tallies_print_json(&w->tallies, taken ? stderr : stdout);
}

/* After the loop: what is kept, and what is told. The exit status. */
static int end_work(struct work *w, size_t count)
{
    struct sl_error err = {0};
    char kept[4096];
    const bool stopped = sl_cli_stop_wanted();
    int status = w->broken || stopped || w->tallies.failed > 0 ? SL_EXIT_FAILED : SL_EXIT_OK;
    const enum sl_detect_end end = w->broken ? SL_DETECT_FAILED
                                   : stopped ? SL_DETECT_STOPPED
                                             : SL_DETECT_DONE;
    if (sl_detect_outputs_close(&w->outputs, end, kept, sizeof kept, &err) != 0) {
        w->broken = true;
        status = say(err.text, SL_EXIT_FAILED);
    }
    if (stopped) {
        fprintf(stderr, "skylane detect: stopped after %zu", w->tallies.done + w->tallies.failed);
        if (count > 0)
            fprintf(stderr, " of %zu", count);
        fprintf(stderr, " pictures%s%s\n", kept[0] ? "; their predictions are in " : "", kept);
    }
    if (!w->broken)
        summarize(w);
    if (!w->broken && (fflush(stdout) != 0 || ferror(stdout)))
        status = say("cannot write to standard output, where the summary goes", SL_EXIT_FAILED);
    return status;
}

int sl_detect_offline(const struct sl_detect_offline *o)
{
    struct work w = {.options = o};
    struct sl_clip_pictures list = {0};
    sl_cli_catch_stop();
    if (!o->images == !o->video) {
        fprintf(stderr, "skylane detect: give either --images or --video\n");
        return SL_EXIT_MISUSE;
    }
    int status = open_work(&w, &list);
    if (status == 0 && o->images != NULL)
        run_pictures(&w, &list);
    else if (status == 0)
        status = run_video(&w, o->video);
    if (status == 0) {
        status = end_work(&w, list.count);
    } else {
        struct sl_error unused;
        sl_detect_outputs_close(&w.outputs, SL_DETECT_FAILED, NULL, 0, &unused);
    }
    sl_tallies_free(&w.tallies);
    sl_clip_calibrations_free(w.calibrations);
    sl_picture_file_reader_destroy(w.reader);
    free(w.detector);
    sl_clip_pictures_free(&list);
    return status;
}
