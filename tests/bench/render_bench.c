/* What a frame of the simulator costs, beside copying as many bytes:
 *
 *     render_bench [TRACK.ini [FRAMES]]
 *
 * Prints p50 and p99 of the processor time of drawing one 800x600 NV12 frame,
 * while driving along the track, for each light. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "rt/cli.h"
#include "tools/sim/world.h"

#define FRAME_BYTES (800 * 600 * 3 / 2)

/* Processor time: what else the machine does is not what is asked. */
static double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void print(const char *name, double *ms, int count)
{
    qsort(ms, (size_t)count, sizeof *ms, by_size);
    printf("%-8s p50 %7.3f ms   p99 %7.3f ms\n", name, ms[count / 2], ms[count * 99 / 100]);
}

int main(int argc, char **argv)
{
    const char *path = argc > 1 ? argv[1] : SL_SOURCE_DIR "/tools/sim/tracks/city.ini";
    int64_t wanted = 600;
    struct sl_error misuse;
    if (argc > 2 && sl_cli_integer(argv[2], "FRAMES", 10, 1000000, &wanted, &misuse) != 0) {
        fprintf(stderr, "render_bench: %s\n", misuse.text);
        return 2;
    }
    static uint8_t picture[FRAME_BYTES], copy[FRAME_BYTES];
    const int frames = (int)wanted;
    double *ms = calloc((size_t)frames, sizeof *ms);
    if (ms == NULL)
        return 1;
    for (int light = 0; light < SL_SIM_LIGHT_COUNT; light++) {
        struct sl_sim_config c;
        struct sl_sim *sim;
        struct sl_error err = {""};
        sl_sim_config_default(&c);
        c.track_path = path;
        c.light = (enum sl_sim_light)light;
        c.wear = 0.3;
        if (sl_sim_create(&sim, &c, &err) != 0) {
            fprintf(stderr, "render_bench: %s\n", err.text);
            free(ms);
            return 1;
        }
        const struct sl_track *track = sl_sim_track(sim);
        double step_m = sl_track_length_m(track) / frames;
        for (int i = 0; i < frames; i++) {
            struct sl_track_pose p;
            struct sl_sim_exposure e;
            struct sl_frame_info info;
            sl_sim_step(sim, 16666667, 0, 0);
            sl_sim_expose(sim, &e);
            sl_track_pose_at(track, i * step_m, &p);
            e.x_m = p.x_m;
            e.y_m = p.y_m;
            e.yaw_rad = p.heading_rad;
            e.speed_mps = sl_track_speed_mps(track);
            e.yaw_rate_radps = e.speed_mps * p.curvature_1pm;
            double start = now_ms();
            if (sl_sim_render(sim, &e, picture, sizeof picture, &info) != 0)
                return 1;
            ms[i] = now_ms() - start;
        }
        print(sl_sim_light_name((enum sl_sim_light)light), ms, frames);
        sl_sim_destroy(sim);
    }
    for (int i = 0; i < frames; i++) {
        double start = now_ms();
        memcpy(copy, picture, sizeof copy);
        /* The copy must happen: hand it to something opaque. */
        __asm__ volatile("" : : "r"(copy) : "memory");
        ms[i] = now_ms() - start;
    }
    print("memcpy", ms, frames);
    free(ms);
    return 0;
}
