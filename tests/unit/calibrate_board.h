/* Draws a chessboard as a camera with a known lens sees it: each pixel's ray,
 * its distortion undone, meets the board's plane; nine rays a pixel. */
#ifndef SL_TESTS_CALIBRATE_BOARD_H
#define SL_TESTS_CALIBRATE_BOARD_H

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "app/calibrate/chessboard.h"
#include "app/detect/camera_model.h"

/* Where the board is: turned by these angles about the camera's x, y and z
 * axes, its middle at (x, y, z), metres. */
struct board_pose {
    double ax, ay, az, x, y, z;
};

struct board_scene {
    struct board_pose pose;
    bool none;    /* no board at all */
    int blur;     /* passes of a 3x3 blur */
    double noise; /* standard deviation, grey levels */
    uint32_t seed;
};

/* Tangents of the rays through the pixels' corners. */
struct board_rays {
    uint32_t width, height;
    float (*xy)[2];
};

static inline struct board_rays board_rays_of(const struct sl_camera_calibration *camera)
{
    struct sl_camera_calibration level = *camera;
    struct sl_camera_model model;
    struct board_rays r = {camera->width_px, camera->height_px, NULL};
    level.height_m = 1;
    level.pitch_rad = level.yaw_rad = level.roll_rad = 0;
    if (sl_camera_model_init(&model, &level, NULL) != 0)
        abort();
    r.xy = malloc((size_t)(r.width + 1) * (r.height + 1) * sizeof *r.xy);
    if (r.xy == NULL)
        abort();
    for (uint32_t v = 0; v <= r.height; v++) {
        for (uint32_t u = 0; u <= r.width; u++) {
            double ray[3];
            float *to = r.xy[(size_t)v * (r.width + 1) + u];
            sl_camera_ray(&model, u - 0.5, v - 0.5, ray);
            to[0] = (float)(-ray[1] / ray[0]);
            to[1] = (float)(-ray[2] / ray[0]);
        }
    }
    return r;
}

static inline uint32_t board_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

/* Sum of four evens, nearly Gaussian. */
static inline double board_gauss(uint32_t *state)
{
    double sum = 0;
    for (int i = 0; i < 4; i++)
        sum += board_random(state) / 16777216.0 - 0.5;
    return sum * 1.7320508;
}

static inline void board_draw(const struct board_rays *rays, const struct sl_chessboard *board,
                              const struct board_scene *scene, uint8_t *pixels)
{
    const struct board_pose *p = &scene->pose;
    const double cx = cos(p->ax), sx = sin(p->ax), cy = cos(p->ay), sy = sin(p->ay);
    const double cz = cos(p->az), sz = sin(p->az);
    /* Rows of Rz Ry Rx: its columns are the board's axes and normal. */
    const double r[3][3] = {{cz * cy, cz * sy * sx - sz * cx, cz * sy * cx + sz * sx},
                            {sz * cy, sz * sy * sx + cz * cx, sz * sy * cx - cz * sx},
                            {-sy, cy * sx, cy * cx}};
    const double plane = r[0][2] * p->x + r[1][2] * p->y + r[2][2] * p->z;
    const double half_w = 0.5 * (board->columns + 1) * board->square_m;
    const double half_h = 0.5 * (board->rows + 1) * board->square_m;
    const double margin = 0.6 * board->square_m; /* white paper */
    for (uint32_t v = 0; v < rays->height; v++) {
        for (uint32_t u = 0; u < rays->width; u++) {
            const float *a = rays->xy[(size_t)v * (rays->width + 1) + u], *b = a + 2;
            const float *c = rays->xy[(size_t)(v + 1) * (rays->width + 1) + u], *d = c + 2;
            double sum = 0;
            for (int i = 0; i < 9; i++) {
                double fx = (i % 3 + 0.5) / 3, fy = (i / 3 + 0.5) / 3;
                double x =
                    (a[0] * (1 - fx) + b[0] * fx) * (1 - fy) + (c[0] * (1 - fx) + d[0] * fx) * fy;
                double y =
                    (a[1] * (1 - fx) + b[1] * fx) * (1 - fy) + (c[1] * (1 - fx) + d[1] * fx) * fy;
                double grey = 90 + 40 * x; /* the wall behind */
                double along = r[0][2] * x + r[1][2] * y + r[2][2];
                double k = plane / along;
                double dx = k * x - p->x, dy = k * y - p->y, dz = k - p->z;
                double s = r[0][0] * dx + r[1][0] * dy + r[2][0] * dz;
                double t = r[0][1] * dx + r[1][1] * dy + r[2][1] * dz;
                if (!scene->none && fabs(s) < half_w + margin && fabs(t) < half_h + margin) {
                    int column = (int)floor((s + half_w) / board->square_m);
                    int row = (int)floor((t + half_h) / board->square_m);
                    bool inside = fabs(s) < half_w && fabs(t) < half_h;
                    grey = inside && (column + row) % 2 == 0 ? 30 : 215;
                }
                sum += grey;
            }
            pixels[(size_t)v * rays->width + u] = (uint8_t)(sum / 9 + 0.5);
        }
    }
    uint8_t *copy = malloc((size_t)rays->width * rays->height);
    if (copy == NULL)
        abort();
    for (int pass = 0; pass < scene->blur; pass++) {
        memcpy(copy, pixels, (size_t)rays->width * rays->height);
        for (uint32_t v = 1; v + 1 < rays->height; v++)
            for (uint32_t u = 1; u + 1 < rays->width; u++) {
                const uint8_t *q = copy + (size_t)v * rays->width + u;
                const ptrdiff_t w = (ptrdiff_t)rays->width;
                int sum = 4 * q[0] + 2 * (q[-1] + q[1] + q[-w] + q[w]) + q[-w - 1] + q[-w + 1] +
                          q[w - 1] + q[w + 1];
                pixels[(size_t)v * rays->width + u] = (uint8_t)((sum + 8) / 16);
            }
    }
    free(copy);
    uint32_t random = scene->seed;
    for (size_t i = 0; scene->noise > 0 && i < (size_t)rays->width * rays->height; i++) {
        double noisy = pixels[i] + scene->noise * board_gauss(&random);
        pixels[i] = (uint8_t)(noisy < 0 ? 0 : noisy > 255 ? 255 : noisy + 0.5);
    }
}

/* A session as a person would shoot it: tilted to all sides, in the middle and
 * near the corners. `i` from 0 to 14. Made for a view some 60 degrees wide and
 * a board 0.25 m across. */
static inline struct board_pose board_usual_pose(int i)
{
    static const struct board_pose POSES[15] = {
        {0, 0, 0, 0, 0, 0.36},
        {0.55, 0, 0.1, 0, 0, 0.40},
        {-0.55, 0.1, 0, 0.02, 0, 0.40},
        {0, 0.6, 0, 0, 0.01, 0.40},
        {0.1, -0.6, 0, 0, 0, 0.40},
        {0.35, 0.35, 0.3, -0.09, -0.05, 0.45},
        {-0.35, 0.35, -0.3, 0.09, -0.05, 0.45},
        {0.35, -0.35, 0.2, -0.09, 0.05, 0.45},
        {-0.35, -0.35, 0, 0.09, 0.05, 0.45},
        {0.2, 0.3, 1.4, 0.1, 0, 0.50},
        {-0.2, -0.3, 1.7, -0.1, 0, 0.50},
        {0.3, 0.2, 0, 0.24, 0.17, 0.65},
        {-0.3, 0.2, 0, -0.24, -0.17, 0.65},
        {0.2, -0.3, 0.1, 0.24, -0.17, 0.65},
        {0.2, 0.3, -0.1, -0.24, 0.17, 0.65},
    };
    return POSES[i % 15];
}

#endif
