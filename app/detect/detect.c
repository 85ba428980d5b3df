#include "app/detect/detect.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "app/detect/detector.h"

/* Scores count rows that agree; this is taken off in the same coin for a tight bend. */
#define TIGHT_PRICE 2.0

/* What roads are like: one sigma each, lengths in lane widths. */
#define OFFSET_SD          0.4
#define HEADING_SD         0.2 /* rad */
#define BEND_SD            0.06
#define BEND_RATE_SD       0.004
#define TIGHT_HEADING_SD   0.35
#define TIGHT_BEND_SD      0.5
#define TIGHT_BEND_RATE_SD 0.25
#define WIDTH_SHARE        0.4 /* of the width's tolerance */

static int check(double value, double min, double max, const char *name, struct sl_error *err)
{
    if (isfinite(value) && value >= min && value <= max)
        return 0;
    return sl_error_set(err, -EINVAL, "detect: %s is %g; it must lie within %g and %g", name, value,
                        min, max);
}

size_t sl_detector_size(void)
{
    return (sizeof(struct sl_detector) + 63) & ~(size_t)63;
}

double sl_width_sd(const struct sl_detect_config *config)
{
    return fmax(WIDTH_SHARE * config->lane_width_tolerance, 0.005) * config->lane_width_m;
}

/* What roads are like before one is seen. Offsets and bends go with the lane's
 * width, so that a car of a tenth the size has bends of a tenth the radius. */
static void set_priors(struct sl_detector *d)
{
    const struct sl_detect_config *c = &d->config;
    const double w = c->lane_width_m, width = sqrt(d->width.variance);
    const double mean[SL_PARAMETERS] = {
        [SL_C0] = -c->camera.left_m, [SL_WIDTH] = d->width.mean, [SL_PITCH] = d->pitch.mean};
    const double road[SL_PARAMETERS] = {
        [SL_C0] = OFFSET_SD * w,          [SL_C1] = HEADING_SD, [SL_C2] = BEND_SD / w,
        [SL_C3] = BEND_RATE_SD / (w * w), [SL_WIDTH] = width,   [SL_PITCH] = SL_PITCH_SIGMA,
    };
    const double tight[SL_PARAMETERS] = {
        [SL_C0] = OFFSET_SD * w,     [SL_C1] = TIGHT_HEADING_SD,
        [SL_C2] = TIGHT_BEND_SD / w, [SL_C3] = TIGHT_BEND_RATE_SD / (w * w),
        [SL_WIDTH] = width,          [SL_PITCH] = SL_PITCH_SIGMA,
    };
    sl_prior_set(&d->priors[SL_PRIOR_ROAD], mean, road, 0);
    sl_prior_set(&d->priors[SL_PRIOR_TIGHT], mean, tight, TIGHT_PRICE);
}

int sl_detector_init(struct sl_detector *d, const struct sl_detect_config *config,
                     struct sl_error *err)
{
    struct sl_camera_model model;
    int rc = sl_camera_model_init(&model, &config->camera, err);
    if (rc)
        return rc;
    const struct {
        const char *name;
        double value, min, max;
    } checks[] = {
        {"lane_width_m", config->lane_width_m, 0.05, 20},
        {"lane_width_tolerance", config->lane_width_tolerance, 0, 0.5},
        {"marking_width_m", config->marking_width_m, 0.001, 2},
        {"near_m", config->near_m, 0, 1000},
        {"far_m", config->far_m, 0.01, 1000},
        {"min_contrast", config->min_contrast, 0.5, 255},
    };
    for (size_t i = 0; i < sizeof checks / sizeof checks[0]; i++) {
        rc = check(checks[i].value, checks[i].min, checks[i].max, checks[i].name, err);
        if (rc)
            return rc;
    }
    if (config->near_m >= config->far_m)
        return sl_error_set(err, -EINVAL, "detect: near_m (%g) must be less than far_m (%g)",
                            config->near_m, config->far_m);
    const struct sl_row_kernels *kernels = sl_row_kernels(config->instructions);
    if (kernels == NULL)
        return sl_error_set(err, -EINVAL, "detect: this machine lacks instruction set %d",
                            (int)config->instructions);
    if (config->markings > SL_MARKINGS_BOTH)
        return sl_error_set(err, -EINVAL, "detect: there is no kind of markings %d",
                            (int)config->markings);
    memset(d, 0, sizeof *d);
    d->config = *config;
    d->kernels = kernels;
    d->camera = model;
    d->width_px = config->camera.width_px;
    d->height_px = config->camera.height_px;
    sl_detector_reset(d);
    sl_rows_prepare(d);
    return 0;
}

void sl_detector_reset(struct sl_detector *d)
{
    d->found = false;
    sl_tracks_reset(d);
    sl_passed_forget(d);
    set_priors(d);
}

static void set_size(struct sl_detector *d, uint32_t width_px, uint32_t height_px)
{
    struct sl_camera_calibration c = d->config.camera;
    sl_camera_calibration_scale(&c, width_px, height_px);
    d->width_px = width_px;
    d->height_px = height_px;
    d->row_count = 0;
    /* Scaled, a legal calibration can leave the legal range: then no ground. */
    if (sl_camera_model_init(&d->camera, &c, NULL) == 0)
        sl_rows_prepare(d);
}

int sl_detector_run(struct sl_detector *d, const struct sl_frame_info *info, const void *pixels,
                    struct sl_detection *out)
{
    memset(out, 0, sizeof *out);
    out->frame_id = info->frame_id;
    out->exposed_ns = info->exposed_ns;
    out->received_ns = info->received_ns;
    out->frame_width_px = info->width_px;
    out->frame_height_px = info->height_px;
    out->state = SL_LANE_LOST;
    d->found = false;
    if (!d->moved)
        sl_passed_forget(d);
    d->moved = false;
    if (info->width_px < 1 || info->height_px < 1 || info->width_px > SL_FRAME_WIDTH_MAX_PX ||
        info->height_px > SL_FRAME_HEIGHT_MAX_PX)
        return -ENOTSUP;
    if (info->width_px != d->width_px || info->height_px != d->height_px)
        set_size(d, info->width_px, info->height_px);
    int rc = sl_rows_scan(d, info, pixels);
    if (rc || d->row_count == 0)
        return rc;
    sl_chains_link(d);

    struct sl_found found = {.score = -INFINITY};
    if (d->config.track)
        sl_tracks_look(d, &found);
    else
        sl_search_afresh(d, &found);
    if (!isfinite(found.score))
        return 0;
    sl_result_seen(&found.support, found.expected, d->seen);
    d->found = d->seen[0] || d->seen[1];
    if (!d->found)
        return 0;
    d->road = found.road;
    sl_result_fit_near(d);
    sl_follow(d);
    sl_tracks_compare(d);
    sl_evidence(d, &found);
    sl_result_fill(d, out);
    sl_tracks_learn(d, out->confidence / d->trust);
    sl_passed_add(d, out->confidence);
    set_priors(d);
    return 0;
}
