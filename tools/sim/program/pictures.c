#include "tools/sim/program/pictures.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "net/jpeg.h"
#include "rt/cli.h"
#include "rt/outfile.h"

#define QUALITY 92

/* As if the vehicle stood exactly on the lane's middle at `s_m`. */
static struct sl_sim_exposure ideal_exposure(struct sl_sim *sim, double s_m)
{
    struct sl_sim_exposure e;
    struct sl_track_pose pose;
    sl_sim_expose(sim, &e);
    sl_track_pose_at(sl_sim_track(sim), s_m, &pose);
    e.x_m = pose.x_m;
    e.y_m = pose.y_m;
    e.yaw_rad = pose.heading_rad;
    e.speed_mps = 0.0;
    e.yaw_rate_radps = 0.0;
    e.pitch_rad = 0.0;
    e.truth.curvature_1pm = (float)pose.curvature_1pm;
    e.truth.lateral_offset_m = 0.0f;
    e.truth.heading_error_rad = 0.0f;
    return e;
}

int sl_pictures_write(const char *folder, uint32_t count, const struct sl_host_config *config,
                      struct sl_error *err)
{
    char path[4096];
    struct sl_sim *sim = NULL;
    struct sl_jpeg_encoder *encoder = sl_jpeg_encoder_create();
    struct sl_outfile *truth = NULL;
    void *pixels = NULL;
    const size_t size = sl_frame_size_bytes(config->world.format, config->world.camera.width_px,
                                            config->world.camera.height_px);
    int rc = sl_outfile_folder(folder, err);
    if (rc == 0)
        rc = sl_sim_create(&sim, &config->world, err);
    if (rc != 0)
        goto done;
    pixels = aligned_alloc(64, (size + 63) / 64 * 64);
    snprintf(path, sizeof path, "%s/truth.jsonl", folder);
    if (pixels == NULL || encoder == NULL)
        rc = sl_error_set(err, -ENOMEM, "no memory for a picture");
    if (rc == 0)
        rc = sl_outfile_open(&truth, path, err);
    const double length_m = rc == 0 ? sl_track_length_m(sl_sim_track(sim)) : 0;
    for (uint32_t i = 0; rc == 0 && i < count; i++) {
        const struct sl_sim_exposure exposure = ideal_exposure(sim, length_m * i / count);
        struct sl_frame_info info = {0};
        const uint8_t *bytes;
        size_t byte_count;
        if (sl_cli_stop_wanted()) {
            rc = sl_error_set(err, -EINTR, "stopped after %u of %u pictures", i, count);
            break;
        }
        rc = sl_sim_render(sim, &exposure, pixels, size, &info);
        if (rc == 0)
            rc = sl_jpeg_encode(encoder, &info, pixels, QUALITY, &bytes, &byte_count, err);
        snprintf(path, sizeof path, "%s/%04u.jpg", folder, i);
        if (rc == 0)
            rc = sl_outfile_write(path, bytes, byte_count, err);
        if (rc == 0)
            fprintf(sl_outfile_stream(truth),
                    "{\"raw_file\": \"%04u.jpg\", \"lateral_offset_m\": 0, "
                    "\"heading_error_rad\": 0, \"curvature_1pm\": %.6g}\n",
                    i, (double)exposure.truth.curvature_1pm);
    }
    if (rc == 0)
        rc = sl_outfile_finish(truth, err);
    else
        sl_outfile_abandon(truth);
done:
    free(pixels);
    sl_jpeg_encoder_destroy(encoder);
    sl_sim_destroy(sim);
    return rc;
}
