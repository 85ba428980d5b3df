/* Paints a flat road with two markings, from numbers: ground truth to the
 * millimetre, for tests and benchmarks of the detector alone. */
#ifndef SL_TESTS_DETECT_PAINT_H
#define SL_TESTS_DETECT_PAINT_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "app/detect/detect.h"

struct paint_scene {
    double offset_m;      /* of the vehicle, left of the lane's middle */
    double heading_rad;   /* of the vehicle, turned left */
    double curvature_1pm; /* of the lane, bends left */
    double width_m;       /* of the lane */
    double marking_m;
    bool left, right;  /* which markings exist */
    bool dashed_right; /* 3 m paint, 6 m gap */
    int road, paint;   /* grey levels */
    int noise;         /* +- grey levels */
    int paint_cb;      /* chroma of the left marking; 128 is white */
    bool second_lane;  /* another lane to the right */
};

static const struct paint_scene paint_usual = {.width_m = 3.5,
                                               .marking_m = 0.15,
                                               .left = true,
                                               .right = true,
                                               .road = 90,
                                               .paint = 200,
                                               .noise = 4,
                                               .paint_cb = 128};

static inline struct sl_detect_config paint_config(void)
{
    return (struct sl_detect_config){
        .camera = {.width_px = 800,
                   .height_px = 600,
                   .fx_px = 560,
                   .fy_px = 560,
                   .cx_px = 399.5,
                   .cy_px = 299.5,
                   .height_m = 1.3,
                   .forward_m = 1.5,
                   .pitch_rad = 0.09},
        .lane_width_m = 3.5,
        .lane_width_tolerance = 0.2,
        .marking_width_m = 0.15,
        .near_m = 2,
        .far_m = 40,
        .min_contrast = 6,
    };
}

static inline uint32_t paint_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 16;
}

/* How much of a pixel `size` wide, `distance` from a stripe's middle, it covers. */
static inline double paint_cover(double distance, double stripe, double size)
{
    double c = (0.5 * stripe - fabs(distance)) / size + 0.5;
    return c < 0 ? 0 : c > 1 ? 1 : c;
}

/* Fills an NV12 frame of the configuration's size; `memory` has room for it. */
static inline void paint_road(const struct sl_detect_config *config,
                              const struct paint_scene *scene, uint8_t *memory,
                              struct sl_frame_info *info)
{
    struct sl_camera_model camera;
    uint32_t w = config->camera.width_px, h = config->camera.height_px;
    uint32_t seed = 12345;
    memset(info, 0, sizeof *info);
    (void)sl_camera_model_init(&camera, &config->camera, NULL);
    (void)sl_frame_layout(info, SL_FORMAT_NV12, w, h);
    info->frame_id = 7;
    uint8_t *luma = memory + info->planes[0].offset_bytes;
    uint8_t *chroma = memory + info->planes[1].offset_bytes;
    memset(chroma, 128, (size_t)info->planes[1].stride_bytes * (h / 2));
    double k = scene->curvature_1pm;
    for (uint32_t v = 0; v < h; v++) {
        for (uint32_t u = 0; u < w; u++) {
            uint8_t *to = &luma[(size_t)v * info->planes[0].stride_bytes + u];
            double x, y, x2, y2, value = 150, yellow = 0;
            if (sl_camera_to_ground(&camera, u, v, &x, &y)) {
                value = scene->road;
                double size = 1e3;
                if (sl_camera_to_ground(&camera, u + 1.0, v, &x2, &y2))
                    size = fmax(hypot(x2 - x, y2 - y), 1e-6);
                /* Into the lane's frame: along it, and to the left of its middle. */
                double c = cos(scene->heading_rad), s = sin(scene->heading_rad);
                double along = c * x - s * y;
                double left = scene->offset_m + s * x + c * y;
                if (fabs(k) > 1e-9) {
                    double r = 1 / k - left;
                    double sign = k > 0 ? 1 : -1;
                    left = 1 / k - sign * hypot(along, r);
                    along = atan2(sign * along, sign * r) / k * 1.0;
                }
                double l = 0, r = 0;
                if (scene->left)
                    l = paint_cover(left - 0.5 * scene->width_m, scene->marking_m, size);
                bool painted = !scene->dashed_right || fmod(along + 900, 9) < 3;
                if (scene->right && painted)
                    r = paint_cover(left + 0.5 * scene->width_m, scene->marking_m, size);
                if (scene->second_lane)
                    r = fmax(r, paint_cover(left + 1.5 * scene->width_m, scene->marking_m, size));
                value += fmax(l, r) * (scene->paint - scene->road);
                yellow = l;
            }
            value += scene->noise * ((int)(paint_random(&seed) % 201) - 100) / 100.0;
            *to = (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
            if (yellow > 0.5)
                chroma[(size_t)(v / 2) * info->planes[1].stride_bytes + (u & ~1u)] =
                    (uint8_t)scene->paint_cb;
        }
    }
}

#endif
