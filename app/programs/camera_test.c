#include "camera.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "app/camera/source.h"
#include "app/camera/watch.h"
#include "hal/camera/camera.h"
#include "net/jpeg.h"
#include "rt/cli.h"
#include "rt/clock.h"
#include "rt/histogram.h"
#include "rt/outfile.h"

#define QUALITY 90

struct trial {
    struct sl_camera *camera;
    uint8_t *memory;
    size_t capacity;
    struct sl_frame_info newest;
    uint64_t frames, broken, started_ns, first_ns, last_ns;
    uint64_t repeated, black; /* frames */
    struct sl_frame_digest digest;
    struct sl_histogram intervals, ages;
    bool ended; /* no more frames */
};

static void count(struct trial *t, const struct sl_frame_info *info)
{
    struct sl_frame_digest digest;
    sl_frame_digest(info, t->memory, &digest);
    if (t->frames == 0)
        t->first_ns = info->exposed_ns;
    else if (info->exposed_ns > t->last_ns)
        sl_histogram_add(&t->intervals, info->exposed_ns - t->last_ns);
    t->repeated += t->frames > 0 && digest.hash == t->digest.hash;
    t->black += sl_frame_digest_is_black(&digest);
    sl_histogram_add(&t->ages, info->received_ns - info->exposed_ns);
    t->digest = digest;
    t->last_ns = info->exposed_ns;
    t->newest = *info;
    t->frames++;
}

static void progress(const struct trial *t, double seconds, double all)
{
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\r\033[K%.0f of %.0f s, %" PRIu64 " frames", seconds, all, t->frames);
}

static int take_frames(struct trial *t, double seconds, struct sl_error *err)
{
    struct sl_frame_info info;
    int rc = sl_camera_start(t->camera, err);
    if (rc != 0)
        return rc;
    t->started_ns = sl_clock_now_ns();
    const uint64_t until_ns = t->started_ns + (uint64_t)(seconds * 1e9);
    uint64_t next_ns = t->started_ns;
    for (uint64_t now_ns;
         !t->ended && !sl_cli_stop_wanted() && (now_ns = sl_clock_now_ns()) < until_ns;) {
        if (now_ns >= next_ns) {
            progress(t, (double)(now_ns - t->started_ns) * 1e-9, seconds);
            next_ns = now_ns + SL_NS_PER_S / 4;
        }
        rc = sl_camera_fill(t->camera, t->memory, t->capacity, &info, now_ns + SL_NS_PER_S / 10);
        if (rc == 0)
            count(t, &info);
        t->broken += rc == -EPROTO;
        t->ended = rc == -ENODATA;
        if (rc == -EPIPE)
            return sl_error_set(err, rc, "%s", sl_camera_problem(t->camera));
    }
    if (isatty(STDERR_FILENO))
        fputs("\r\033[K", stderr);
    if (t->frames == 0)
        return sl_error_set(err, -ETIMEDOUT,
                            "no frame came within %g s%s%s; is another program using the camera, "
                            "or its cable loose?",
                            seconds, t->broken > 0 ? ", but broken ones: " : "",
                            t->broken > 0 ? sl_camera_problem(t->camera) : "");
    return 0;
}

/* ---- the report ---- */

static double rate_hz(const struct trial *t)
{
    return t->last_ns > t->first_ns
               ? (double)(t->frames - 1) * 1e9 / (double)(t->last_ns - t->first_ns)
               : 0;
}

static double ms(const struct sl_histogram *histogram, double share)
{
    return (double)sl_histogram_quantile_ns(histogram, share) * 1e-6;
}

static void print_json(const struct trial *t)
{
    char name[5];
    struct sl_camera_drops drops;
    sl_camera_drops(t->camera, &drops);
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "format", sl_frame_format_name(t->newest.fourcc, name));
    cJSON_AddNumberToObject(o, "width_px", t->newest.width_px);
    cJSON_AddNumberToObject(o, "height_px", t->newest.height_px);
    cJSON_AddStringToObject(o, "transfer", sl_camera_transfer(t->camera));
    const struct {
        const char *key;
        double value;
    } figures[] = {{"frames", (double)t->frames},
                   {"rate_hz", rate_hz(t)},
                   {"interval_p50_ms", ms(&t->intervals, 0.5)},
                   {"interval_p99_ms", ms(&t->intervals, 0.99)},
                   {"interval_max_ms", ms(&t->intervals, 1)},
                   {"age_p50_ms", ms(&t->ages, 0.5)},
                   {"age_p99_ms", ms(&t->ages, 0.99)},
                   {"age_max_ms", ms(&t->ages, 1)},
                   {"dropped_sensor", (double)drops.sensor},
                   {"dropped_no_area", (double)drops.no_area},
                   {"dropped_late", (double)drops.late},
                   {"dropped_corrupt", (double)drops.corrupt},
                   {"repeated", (double)t->repeated},
                   {"black", (double)t->black}};
    for (size_t i = 0; i < sizeof figures / sizeof figures[0]; i++)
        cJSON_AddNumberToObject(o, figures[i].key, round(figures[i].value * 1e3) / 1e3);
    char *text = cJSON_Print(o);
    puts(text);
    free(text);
    cJSON_Delete(o);
}

static void print_text(const struct trial *t)
{
    char name[5];
    struct sl_camera_drops drops;
    sl_camera_drops(t->camera, &drops);
    printf("frames     %" PRIu64 " of %ux%u px, %s; %s\n", t->frames, t->newest.width_px,
           t->newest.height_px, sl_frame_format_name(t->newest.fourcc, name),
           sl_camera_transfer(t->camera));
    printf("rate       %.2f a second\n", rate_hz(t));
    printf("interval   p50 %.2f  p99 %.2f  max %.2f ms\n", ms(&t->intervals, 0.5),
           ms(&t->intervals, 0.99), ms(&t->intervals, 1));
    printf("age        p50 %.2f  p99 %.2f  max %.2f ms, from exposure until it is here\n",
           ms(&t->ages, 0.5), ms(&t->ages, 0.99), ms(&t->ages, 1));
    printf("dropped    %" PRIu64 " by the sensor, %" PRIu64 " for want of memory, %" PRIu64
           " late, %" PRIu64 " corrupt\n",
           drops.sensor, drops.no_area, drops.late, drops.corrupt);
    if (t->repeated > 0 || t->black > 0)
        printf("warning    %" PRIu64 " frames repeat the one before, %" PRIu64 " are black\n",
               t->repeated, t->black);
}

static int write_picture(const struct trial *t, const char *path, struct sl_error *err)
{
    struct sl_jpeg_encoder *encoder = sl_jpeg_encoder_create();
    struct sl_outfile *file;
    const uint8_t *bytes;
    size_t size;
    int rc = encoder != NULL ? 0 : sl_error_set(err, -ENOMEM, "no memory for a picture");
    if (rc == 0)
        rc = sl_jpeg_encode(encoder, &t->newest, t->memory, QUALITY, &bytes, &size, err);
    if (rc == 0)
        rc = sl_outfile_open(&file, path, err);
    if (rc == 0) {
        fwrite(bytes, 1, size, sl_outfile_stream(file));
        rc = sl_outfile_finish(file, err);
    }
    sl_jpeg_encoder_destroy(encoder);
    return rc;
}

int camera_test(const struct camera_options *o)
{
    static struct trial t;
    struct sl_error err = {0};
    struct sl_camera_config config;
    sl_source_config(&o->settings, &config);
    int rc = o->picture != NULL ? sl_outfile_check(o->picture, &err) : 0;
    if (rc == 0)
        rc = sl_camera_open(&t.camera, &config, &err);
    if (rc == 0) {
        t.capacity = (sl_camera_caps(t.camera)->frame_bytes + 63) / 64 * 64;
        t.memory = aligned_alloc(64, t.capacity);
        if (t.memory == NULL)
            rc = sl_error_set(&err, -ENOMEM, "no memory for a frame");
    }
    if (rc == 0)
        rc = take_frames(&t, o->seconds, &err);
    if (rc == 0 && o->json)
        print_json(&t);
    else if (rc == 0)
        print_text(&t);
    if (rc == 0 && o->picture != NULL)
        rc = write_picture(&t, o->picture, &err);
    sl_camera_close(t.camera);
    free(t.memory);
    if (rc != 0)
        fprintf(stderr, "skylane " CAMERA_VERB ": %s\n", err.text);
    return rc == 0 ? SL_EXIT_OK : SL_EXIT_FAILED;
}
