/* Runs the detector on a few frames from a file, for who counts instructions
 * (detect_instructions):
 *
 *     detect_count write simulator|worst FILE
 *     detect_count run FILE still|tracked FRAMES [FIRST]
 *
 * write: makes the frames, and prints their names. run: detects in FRAMES of
 * them from FIRST (0) on; none only prepares, which is what counters take off. Where the
 * simulator is not linked in (another processor, under emulation), there is
 * only run. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "detect_frames.h"

#define FRAMES_A_LIGHT 4

#ifdef WITH_SCENES
static int write_frames(const char *which, const char *path)
{
    struct frame_set set = {0};
    int failed;
    if (strcmp(which, "simulator") == 0)
        failed = frames_simulated(&set, "simulator, 800x600 luma", SL_FORMAT_GRAY8, 800, 600,
                                  FRAMES_A_LIGHT);
    else if (strcmp(which, "worst") == 0)
        failed = frames_worst(&set);
    else
        return 2;
    if (failed == 0)
        failed = frames_write(&set, path);
    for (int i = 0; failed == 0 && i < set.count; i++)
        printf("%s\n", set.frames[i].name);
    frames_free(&set);
    return failed ? 1 : 0;
}
#endif

static int run(const char *path, const char *how, const char *frames, const char *from)
{
    struct frame_set set = {0};
    struct sl_detector *detector = aligned_alloc(64, sl_detector_size());
    if (detector == NULL || frames_read(&set, path) != 0)
        return 1;
    char *end = NULL, *first_end = NULL;
    const long asked = strtol(frames, &end, 10), first = strtol(from, &first_end, 10);
    const int track = strcmp(how, "tracked") == 0;
    if (*end != '\0' || *first_end != '\0' || asked < 0 || first < 0 || first >= set.count ||
        asked > set.count - first || (!track && strcmp(how, "still") != 0))
        return 2;
    int clip = -1;
    double sum = 0;
    for (long i = 0; i < (asked > 0 ? asked : 1); i++) {
        const struct bench_frame *frame = &set.frames[first + i];
        struct sl_detection found;
        if (frame->clip != clip) {
            struct sl_detect_config config = set.configs[frame->clip];
            config.track = track;
            if (sl_detector_init(detector, &config, NULL) != 0)
                return 1;
            clip = frame->clip;
        }
        if (i < asked) {
            if (sl_detector_run(detector, &frame->info, frame->pixels, &found) != 0)
                return 1;
            sum += (double)found.lateral_offset_m;
        }
    }
    printf("%ld frames, offsets %.6f m in sum\n", asked, sum);
    frames_free(&set);
    free(detector);
    return 0;
}

int main(int argc, char **argv)
{
    int status = 2;
    if ((argc == 5 || argc == 6) && strcmp(argv[1], "run") == 0)
        status = run(argv[2], argv[3], argv[4], argc == 6 ? argv[5] : "0");
#ifdef WITH_SCENES
    else if (argc == 4 && strcmp(argv[1], "write") == 0)
        status = write_frames(argv[2], argv[3]);
#endif
    if (status == 2)
        fputs("usage: detect_count write simulator|worst FILE\n"
              "       detect_count run FILE still|tracked FRAMES [FIRST]\n",
              stderr);
    return status;
}
