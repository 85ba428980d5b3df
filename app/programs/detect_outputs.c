#include "detect_outputs.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/detect/overlay.h"
#include "detect_summary.h"
#include "picture_files.h"

int sl_detect_outputs_open(struct sl_detect_outputs *outputs, const char *predictions,
                           const char *overlay, struct sl_error *err)
{
    *outputs = (struct sl_detect_outputs){.overlay = overlay};
    int rc = overlay != NULL ? sl_outfile_folder(overlay, err) : 0;
    if (rc == 0 && overlay != NULL) {
        outputs->encoder = sl_jpeg_encoder_create();
        if (outputs->encoder == NULL)
            rc = sl_error_set(err, -ENOMEM, "no memory for overlays");
    }
    if (rc == 0 && predictions != NULL)
        rc = sl_outfile_open(&outputs->predictions, predictions, err);
    return rc;
}

/* ---- predictions ---- */

/* The picture's rows from below the horizon on. */
static int first_row(const struct sl_camera_calibration *calibration, int width, int height,
                     int step)
{
    struct sl_camera_model camera;
    struct sl_camera_calibration own = *calibration;
    double horizon = 0;
    sl_camera_calibration_scale(&own, (uint32_t)width, (uint32_t)height);
    if (sl_camera_model_init(&camera, &own, NULL) == 0)
        horizon = sl_camera_horizon_px(&camera) + 0.015 * height;
    return (int)ceil(fmin(fmax(horizon, 0), height) / step) * step;
}

static void add_lane(cJSON *lanes, const struct sl_detector *detector, int side, int first,
                     int step, const struct sl_detection *found)
{
    cJSON *lane = cJSON_CreateArray();
    for (int v = first; v < (int)found->frame_height_px; v += step) {
        double u;
        const bool inside = sl_detector_column(detector, side, v, &u) && u >= 0 &&
                            u <= (double)found->frame_width_px - 1;
        cJSON_AddItemToArray(lane, cJSON_CreateNumber(round((inside ? u : -2) * 10) / 10));
    }
    cJSON_AddItemToArray(lanes, lane);
}

static const char *state_name(uint32_t state)
{
    return state == SL_LANE_TWO_LINES  ? "two_lines"
           : state == SL_LANE_ONE_LINE ? "one_line"
                                       : "lost";
}

int sl_detect_outputs_predict(struct sl_detect_outputs *outputs, const char *raw_file,
                              const struct sl_detector *detector,
                              const struct sl_camera_calibration *camera,
                              const struct sl_detection *found, double time_ms,
                              struct sl_error *err)
{
    const int height = (int)found->frame_height_px;
    const int step = height <= 240 ? 2 : 10; /* as TuSimple has them; small pictures closer */
    const int first = first_row(camera, (int)found->frame_width_px, height, step);
    cJSON *line = cJSON_CreateObject();
    cJSON_AddStringToObject(line, "raw_file", raw_file);
    cJSON *rows = cJSON_AddArrayToObject(line, "h_samples");
    cJSON *lanes = cJSON_AddArrayToObject(line, "lanes");
    for (int v = first; v < height; v += step)
        cJSON_AddItemToArray(rows, cJSON_CreateNumber(v));
    for (int side = 0; side < 2 && found->state != SL_LANE_LOST; side++)
        add_lane(lanes, detector, side, first, step, found);
    sl_detect_add_number(line, "run_time", time_ms, 1e-4);
    cJSON_AddStringToObject(line, "state", state_name(found->state));
    sl_detect_add_number(line, "confidence", found->confidence, 1e-4);
    sl_detect_add_number(line, "lateral_offset_m", found->lateral_offset_m, 1e-4);
    sl_detect_add_number(line, "heading_error_rad", found->heading_error_rad, 1e-5);
    sl_detect_add_number(line, "curvature_1pm", found->curvature_1pm, 1e-6);
    sl_detect_add_number(line, "lane_width_m", found->lane_width_m, 1e-4);
    cJSON_AddNumberToObject(line, "left_seen", found->left.seen);
    cJSON_AddNumberToObject(line, "right_seen", found->right.seen);
    char *text = cJSON_PrintUnformatted(line);
    cJSON_Delete(line);
    if (text == NULL)
        return sl_error_set(err, -ENOMEM, "no memory for the prediction of %s", raw_file);
    FILE *to = sl_outfile_stream(outputs->predictions);
    fputs(text, to);
    fputc('\n', to);
    free(text);
    /* A disk that is full is told now, and not after an hour's work; and who
     * reads a pipe gets each line when it is there. */
    return sl_outfile_flush(outputs->predictions, err);
}

/* ---- overlays ---- */

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

/* The frame in colours to draw on. */
static int canvas_of(struct sl_detect_outputs *outputs, const struct sl_frame_info *info,
                     uint8_t *pixels, struct sl_canvas *canvas, struct sl_error *err)
{
    *canvas = (struct sl_canvas){.bgr = pixels + info->planes[0].offset_bytes,
                                 .width_px = info->width_px,
                                 .height_px = info->height_px,
                                 .stride_bytes = info->planes[0].stride_bytes};
    if (info->fourcc == SL_FORMAT_BGR24)
        return 0;
    const size_t size = (size_t)info->width_px * info->height_px * 3;
    if (size > outputs->bgr_size) {
        free(outputs->bgr);
        outputs->bgr = malloc(size);
        outputs->bgr_size = outputs->bgr != NULL ? size : 0;
    }
    if (outputs->bgr == NULL)
        return sl_error_set(err, -ENOMEM, "no memory for overlays");
    nv12_to_bgr(info, pixels, outputs->bgr);
    canvas->bgr = outputs->bgr;
    canvas->stride_bytes = (size_t)info->width_px * 3;
    return 0;
}

int sl_detect_outputs_draw(struct sl_detect_outputs *outputs, const char *clip, const char *of,
                           const struct sl_frame_info *info, uint8_t *pixels,
                           const struct sl_detection *found, struct sl_error *err)
{
    struct sl_canvas canvas;
    char folder[4096];
    int rc = canvas_of(outputs, info, pixels, &canvas, err);
    if (rc != 0)
        return rc;
    sl_overlay_draw(&canvas, found);
    if (snprintf(folder, sizeof folder, "%s/%s", outputs->overlay, clip) >= (int)sizeof folder)
        return sl_error_set(err, -ENAMETOOLONG, "%s/%s is too long a path", outputs->overlay, clip);
    rc = sl_outfile_folder(folder, err);
    return rc != 0 ? rc : sl_picture_file_draw(outputs->encoder, &canvas, folder, of, err);
}

int sl_detect_outputs_close(struct sl_detect_outputs *outputs, enum sl_detect_end end, char *kept,
                            size_t size, struct sl_error *err)
{
    int rc = 0;
    if (size > 0)
        kept[0] = '\0';
    if (outputs->predictions != NULL && end == SL_DETECT_DONE)
        rc = sl_outfile_finish(outputs->predictions, err);
    else if (outputs->predictions != NULL && end == SL_DETECT_STOPPED)
        rc = sl_outfile_keep_part(outputs->predictions, kept, size, err);
    else
        sl_outfile_abandon(outputs->predictions);
    sl_jpeg_encoder_destroy(outputs->encoder);
    free(outputs->bgr);
    *outputs = (struct sl_detect_outputs){0};
    return rc;
}
