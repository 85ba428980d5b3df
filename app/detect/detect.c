#include "app/detect/detect.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "app/detect/detector.h"

/* Scores count rows that agree; these are taken off in the same coin. */
#define TIGHT_PRICE 2.0 /* of a tight bend */
#define JUMP_PRICE  4.0 /* of a lane unlike the one before */

/* What roads are like: one sigma each, lengths in lane widths. */
#define OFFSET_SD          0.4
#define HEADING_SD         0.2 /* rad */
#define BEND_SD            0.06
#define BEND_RATE_SD       0.004
#define TIGHT_HEADING_SD   0.6
#define TIGHT_BEND_SD      0.5
#define TIGHT_BEND_RATE_SD 0.25
#define WIDTH_SHARE        0.4 /* of the width's tolerance */

#define UNASKED_FRAMES 4 /* in a row in which a clear track is followed unasked */
#define FORGET_FRAMES  8 /* without a lane, after which the last one says nothing */

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

/* What roads are like before one is seen. Offsets and bends go with the lane's
 * width, so that a car of a tenth the size has bends of a tenth the radius. */
static void set_base_priors(struct sl_detector *d)
{
    const struct sl_detect_config *c = &d->config;
    const double w = c->lane_width_m;
    const double mean[SL_PARAMETERS] = {[SL_C0] = -c->camera.left_m, [SL_WIDTH] = w};
    const double width = fmax(WIDTH_SHARE * c->lane_width_tolerance, 0.005) * w;
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

/* After a frame with a lane: the next is much alike. Width and pitch drift
 * back to what the configuration says where nothing else holds them. */
static void set_track_prior(struct sl_detector *d)
{
    const double w = d->config.lane_width_m;
    const double more = 1.0 + d->unseen;
    const double sigma[SL_PARAMETERS] = {
        [SL_C0] = 0.06 * w * more,       [SL_C1] = 0.05 * more, [SL_C2] = 0.04 / w * more,
        [SL_C3] = 0.02 / (w * w) * more, [SL_WIDTH] = 0.03 * w, [SL_PITCH] = 0.5 * SL_PITCH_SIGMA,
    };
    double mean[SL_PARAMETERS];
    memcpy(mean, d->track.p, sizeof mean);
    mean[SL_WIDTH] += 0.05 * (w - mean[SL_WIDTH]);
    mean[SL_PITCH] *= 0.9;
    sl_prior_set(&d->priors[SL_PRIOR_TRACK], mean, sigma, 0);
    d->priors[SL_PRIOR_ROAD].price = JUMP_PRICE;
    d->priors[SL_PRIOR_TIGHT].price = JUMP_PRICE + TIGHT_PRICE;
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
    d->tracking = false;
    d->unseen = 0;
    d->unasked = 0;
    d->found = false;
    memset(&d->track, 0, sizeof d->track);
    set_base_priors(d);
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
    if (d->tracking)
        sl_search_track(d, &found);
    /* A clear lane where the last one was is looked for no further; but now
     * and then the whole picture is asked whether it is still the best. */
    if (!d->tracking || !sl_search_is_clear(d, &found) || d->unasked >= UNASKED_FRAMES) {
        d->unasked = 0;
        sl_search_afresh(d, &found);
    } else {
        d->unasked++;
    }
    d->found = isfinite(found.score);
    d->road = found.road;
    const struct sl_support support = found.support;
    bool *seen = d->seen;
    seen[0] = seen[1] = false;
    if (d->found)
        sl_result_seen(&support, d->row_count, seen);
    if (!seen[0] && !seen[1]) {
        d->found = false;
        if (d->tracking && ++d->unseen > FORGET_FRAMES)
            sl_detector_reset(d);
        else if (d->tracking)
            set_track_prior(d);
        return 0;
    }
    sl_result_fit_near(d);
    sl_follow(d);
    sl_evidence(d, &found);
    sl_result_fill(d, out);
    if (d->config.track) {
        d->tracking = true;
        d->unseen = 0;
        d->track = d->road;
        set_track_prior(d);
    }
    return 0;
}
