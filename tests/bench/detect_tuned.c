/* The detector with other parameters than its own, again and again: for
 * leave_one_out, which makes this program's copy of app/detect.
 *
 *     detect_tuned ROADS [DRIVES]
 *
 * Reads a line of numbers at a time, one for each parameter in leave_one_out's
 * order, and answers with a line of JSON: the lanes it finds in the labelled
 * frames of ROADS, each by itself; of DRIVES' simulated frames, for each track and
 * light, the share in which both boundaries are right, and how far they are off. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "detect_drives.h"
#include "detect_labels.h"
#include "rt/cli.h"
#include "tuned.h"

#define KEPT_MAX 4096

double sl_tuned[SL_TUNED_COUNT];

struct kept {
    struct drive_frame frame;
    struct sl_detect_config config;
};

static struct kept kept[KEPT_MAX];
static int kept_count;
static struct sl_detector *detector;

static void give_up(const char *text)
{
    fprintf(stderr, "detect_tuned: %s\n", text);
    exit(SL_EXIT_FAILED);
}

static void keep(const struct drive_frame *f, void *context)
{
    (void)context;
    if (f->number != 0 && f->number != DRIVE_FRAMES / 2)
        return; /* the others show nearly the same */
    if (kept_count == KEPT_MAX)
        give_up("more frames than there is room for");
    struct kept *k = &kept[kept_count++];
    uint8_t *pixels = malloc(f->info.size_bytes);
    if (pixels == NULL)
        give_up("no memory");
    memcpy(pixels, f->pixels, f->info.size_bytes);
    k->frame = *f;
    k->config = *f->config;
    k->frame.pixels = pixels;
}

static void simulate(int drives)
{
    static const char *const tracks[] = {"oval", "city", "nasty", "lab"};
    for (size_t t = 0; t < sizeof tracks / sizeof tracks[0]; t++)
        for (int light = 0; light < SL_SIM_LIGHT_COUNT; light++) {
            struct drive_condition c = {tracks[t], (enum sl_sim_light)light, 0.2,
                                        strcmp(tracks[t], "lab") == 0};
            struct sl_error err;
            if (drive(&c, drives, keep, NULL, &err) != 0)
                give_up(err.text);
        }
}

static void run(const struct sl_detect_config *config, const struct sl_frame_info *info,
                const uint8_t *pixels, struct sl_detection *found)
{
    struct sl_error err;
    if (sl_detector_init(detector, config, &err) != 0)
        give_up(err.text);
    sl_detector_run(detector, info, pixels, found);
}

static void answer_labelled(const struct labelled_frame *f)
{
    struct sl_detection found;
    run(&f->config, &f->info, f->pixels, &found);
    printf("{\"raw_file\":\"%s\",\"lanes\":[", f->file);
    for (int side = 0; side < 2; side++) {
        printf("%s[", side ? "," : "");
        for (int i = 0; i < f->row_count; i++) {
            double u;
            bool there = sl_detector_column(detector, side, f->rows_px[i], &u) && u >= 0 &&
                         u <= f->info.width_px - 1.0;
            printf("%s%.1f", i ? "," : "", there ? u : -2.0);
        }
        printf("]");
    }
    printf("]}");
}

static void answer(const struct labelled_frames *labels)
{
    printf("{\"frames\":[");
    for (int i = 0; i < labels->count; i++) {
        printf("%s", i ? "," : "");
        answer_labelled(&labels->frames[i]);
    }
    int right = 0;
    double miss = 0;
    for (int i = 0; i < kept_count; i++) {
        struct sl_detection found;
        bool sides[2];
        run(&kept[i].config, &kept[i].frame.info, kept[i].frame.pixels, &found);
        drive_judge(&kept[i].frame, &found, sides);
        right += found.state != SL_LANE_LOST && sides[0] && sides[1];
        miss += drive_miss(&kept[i].frame, &found);
    }
    const int count = kept_count > 0 ? kept_count : 1;
    printf("],\"simulated\":{\"right\":%.6f,\"miss\":%.6f}}\n", (double)right / count,
           miss / count);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    if (argc < 2 || argc > 3) {
        fputs("usage: detect_tuned ROADS [DRIVES], with parameters on standard input\n", stderr);
        return SL_EXIT_MISUSE;
    }
    struct labelled_frames labels;
    struct sl_error err = {0};
    int64_t drives = 2;
    if (argc > 2 && sl_cli_integer(argv[2], "DRIVES", 0, 1000, &drives, &err) != 0) {
        fprintf(stderr, "detect_tuned: %s\n", err.text);
        return SL_EXIT_MISUSE;
    }
    detector = aligned_alloc(64, sl_detector_size());
    if (detector == NULL)
        give_up("no memory");
    if (labels_read(&labels, argv[1], &err) != 0)
        give_up(err.text);
    simulate((int)drives);
    for (;;) {
        for (int i = 0; i < SL_TUNED_COUNT; i++)
            if (scanf("%lf", &sl_tuned[i]) != 1) {
                labels_free(&labels);
                for (int k = 0; k < kept_count; k++)
                    free((void *)(uintptr_t)kept[k].frame.pixels);
                free(detector);
                return SL_EXIT_OK;
            }
        answer(&labels);
    }
}
