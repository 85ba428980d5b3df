/* The camera as geometry: pixels to the ground plane and back.
 *
 * Pinhole with Brown-Conrady distortion (D. C. Brown, "Close-Range Camera
 * Calibration", Photogrammetric Engineering 37(8), 1971), the model of
 * OpenCV's calibrateCamera. The ground is the plane z = 0 of the vehicle frame:
 * x forward, y left, origin under the middle of the rear axle. Pixels are
 * counted from the centre of the top left one, x right, y down. */
#ifndef SL_APP_DETECT_CAMERA_MODEL_H
#define SL_APP_DETECT_CAMERA_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "rt/error.h"

/* What a calibration file says; settings section [camera]. */
struct sl_camera_calibration {
    uint32_t width_px, height_px; /* the picture that the numbers below refer to */
    double fx_px, fy_px;          /* focal lengths */
    double cx_px, cy_px;          /* principal point */
    double k1, k2, p1, p2, k3;    /* distortion; all 0: none */
    double height_m;              /* of the lens above the ground, > 0 */
    double forward_m;             /* of the lens ahead of the rear axle */
    double left_m;                /* of the lens to the left of the vehicle's middle */
    double pitch_rad;             /* positive looks down */
    double yaw_rad;               /* positive looks left */
    double roll_rad;              /* positive: the right side of the camera dips */
};

#define SL_CAMERA_SIDE_MAX_PX 8192

struct sl_camera_model {
    struct sl_camera_calibration c;
    double rotation[3][3]; /* camera axes (x right, y down, z ahead) to vehicle axes */
    double fold_r2;        /* squared radius beyond which the distortion folds back */
    bool distorted;
};

/* Checks the numbers (finite, in range) and prepares the model.
 * 0, or -EINVAL with the offending number named in `err`. */
int sl_camera_model_init(struct sl_camera_model *model, const struct sl_camera_calibration *c,
                         struct sl_error *err);

/* The same camera at another picture size: scales focal lengths and centre. */
void sl_camera_calibration_scale(struct sl_camera_calibration *c, uint32_t width_px,
                                 uint32_t height_px);

/* The direction of a pixel in vehicle axes (not normalised), distortion
 * undone by 20 fixed-point steps. Pure, bounded. */
void sl_camera_ray(const struct sl_camera_model *model, double u_px, double v_px, double ray[3]);

/* Where a pixel's ray meets the ground. False at or above the horizon, or
 * further than 1000 camera heights away. */
bool sl_camera_to_ground(const struct sl_camera_model *model, double u_px, double v_px, double *x_m,
                         double *y_m);

/* The pixel that shows a ground point. False if it lies behind the camera or
 * so far aside that the distortion polynomial folds back; the result may lie
 * outside the picture. */
bool sl_camera_to_image(const struct sl_camera_model *model, double x_m, double y_m, double *u_px,
                        double *v_px);

/* The row at which the ground vanishes straight ahead, distortion aside. */
double sl_camera_horizon_px(const struct sl_camera_model *model);

#endif
