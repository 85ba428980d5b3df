/* From what is seen to a camera.
 *
 * A clip's JSON says where a straight lane's sides lie in two rows (ipm_quad),
 * and where they meet. Over flat ground, a lane of width w under a camera of
 * height h appears as wide as (w/h)(v - horizon) columns in row v, whatever
 * the focal length: the quadrangle's slope gives h for a given w. The meeting
 * point gives pitch and yaw for a given focal length. The focal length itself
 * only sets how far away things are thought to be. It is guessed from the
 * picture's width unless "focal_px" gives it.
 *
 * Optional keys of a clip, all numbers: lane_width_m, marking_width_m,
 * focal_px, k1, k2, min_contrast. Pictures of 320 columns and less are taken to
 * come from small cars: their lanes are 0.6 m with tape of 5 cm and
 * their cameras have wide lenses, whose barrel distortion is guessed as well.
 * Straight lines are then straight only after that is undone, so the corners
 * are moved to where they would be without. */
#include "detect_calibration.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/config/convert.h"
#include "app/config/settings.h"

#define FILE_BYTES_MAX (4 << 20)

#define SMALL_PICTURE_PX 320
#define ROAD_LANE_M      3.7
#define ROAD_MARKING_M   0.15
#define ROAD_FOCAL       0.9 /* of the picture's width: 58 degrees across */
#define SMALL_LANE_M     0.6
#define SMALL_MARKING_M  0.05
#define SMALL_FOCAL      0.65 /* 75 degrees across, more with the distortion */
#define SMALL_K1         -0.15

struct sl_clip_calibrations {
    cJSON *clips; /* NULL: one configuration for all */
    struct sl_detect_config config;
    char path[512];
};

static int read_file(const char *path, char **text, struct sl_error *err)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        return sl_error_set(err, -errno, "cannot read the calibration %s: %s", path,
                            strerror(errno));
    char *bytes = malloc(FILE_BYTES_MAX + 1);
    size_t n = bytes ? fread(bytes, 1, FILE_BYTES_MAX, f) : 0;
    int failed = ferror(f) ? errno : 0;
    fclose(f);
    if (!bytes)
        return sl_error_set(err, -ENOMEM, "no memory to read %s", path);
    if (failed) {
        free(bytes);
        return sl_error_set(err, -failed, "cannot read the calibration %s: %s", path,
                            strerror(failed));
    }
    bytes[n] = 0;
    *text = bytes;
    return 0;
}

int sl_clip_calibrations_read(struct sl_clip_calibrations **calibrations, const char *path,
                              struct sl_error *err)
{
    char *text = NULL;
    *calibrations = NULL;
    int rc = read_file(path, &text, err);
    if (rc)
        return rc;
    struct sl_clip_calibrations *c = calloc(1, sizeof *c);
    if (!c) {
        free(text);
        return sl_error_set(err, -ENOMEM, "no memory to read %s", path);
    }
    snprintf(c->path, sizeof c->path, "%s", path);
    if (text[strspn(text, " \t\r\n")] == '{') {
        c->clips = cJSON_Parse(text);
        if (!c->clips)
            rc = sl_error_set(err, -EINVAL, "%s begins like JSON but is none; check its syntax",
                              path);
    } else {
        struct sl_settings *settings = calloc(1, sizeof *settings);
        if (!settings) {
            rc = sl_error_set(err, -ENOMEM, "no memory to read %s", path);
        } else {
            sl_settings_defaults(settings);
            rc = sl_settings_read(settings, path, err);
            if (rc == 0)
                rc = sl_settings_check(settings, err);
            if (rc == 0)
                sl_settings_detect(settings, &c->config);
        }
        free(settings);
    }
    free(text);
    if (rc) {
        sl_clip_calibrations_free(c);
        return rc;
    }
    *calibrations = c;
    return 0;
}

void sl_clip_calibrations_free(struct sl_clip_calibrations *calibrations)
{
    if (!calibrations)
        return;
    cJSON_Delete(calibrations->clips);
    free(calibrations);
}

static bool number(const cJSON *clip, const char *key, double *value)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(clip, key);
    if (!cJSON_IsNumber(item) || !isfinite(item->valuedouble))
        return false;
    *value = item->valuedouble;
    return true;
}

static double number_or(const cJSON *clip, const char *key, double otherwise)
{
    double value;
    return number(clip, key, &value) ? value : otherwise;
}

static bool point(const cJSON *array, int index, double out[2])
{
    const cJSON *p = array;
    if (index >= 0)
        p = cJSON_GetArrayItem(array, index);
    if (!cJSON_IsArray(p) || cJSON_GetArraySize(p) != 2)
        return false;
    for (int i = 0; i < 2; i++) {
        const cJSON *n = cJSON_GetArrayItem(p, i);
        if (!cJSON_IsNumber(n) || !isfinite(n->valuedouble))
            return false;
        out[i] = n->valuedouble;
    }
    return true;
}

/* The quadrangle's sides as lines through points that lie in the picture: the
 * corners may be extrapolated to beyond its edges, where a lens model says
 * nothing. Undistorts them, as normalised coordinates. */
static void side_in_picture(const struct sl_camera_model *lens, double a[2], double b[2],
                            double width)
{
    for (int i = 0; i < 2; i++) {
        double *p = i ? b : a;
        const double *q = i ? a : b;
        double limit = p[0] < 0 ? 0 : p[0] > width - 1 ? width - 1 : p[0];
        if (limit != p[0] && fabs(p[0] - q[0]) > 1e-9) {
            double k = (limit - q[0]) / (p[0] - q[0]);
            p[1] = q[1] + k * (p[1] - q[1]);
            p[0] = limit;
        }
    }
    double ray[3];
    for (int i = 0; i < 2; i++) {
        double *p = i ? b : a;
        sl_camera_ray(lens, p[0], p[1], ray);
        /* `lens` is level: ray = (ahead, left, up). */
        p[0] = -ray[1] / ray[0];
        p[1] = -ray[2] / ray[0];
    }
}

static int from_quad(const cJSON *json, struct sl_detect_config *config, struct sl_error *err)
{
    double width, height, corner[4][2];
    if (!number(json, "width", &width) || !number(json, "height", &height) || width < 16 ||
        height < 16 || width > SL_FRAME_WIDTH_MAX_PX || height > SL_FRAME_HEIGHT_MAX_PX)
        return sl_error_set(err, -EINVAL, "width and height must be numbers within 16 and 8192");
    const cJSON *quad = cJSON_GetObjectItemCaseSensitive(json, "ipm_quad");
    if (!cJSON_IsArray(quad) || cJSON_GetArraySize(quad) != 4)
        return sl_error_set(err, -EINVAL, "ipm_quad must be four points [column, row]");
    for (int i = 0; i < 4; i++)
        if (!point(quad, i, corner[i]))
            return sl_error_set(err, -EINVAL, "ipm_quad's point %d is not [column, row]", i + 1);

    bool small = width <= SMALL_PICTURE_PX;
    double lane = number_or(json, "lane_width_m", small ? SMALL_LANE_M : ROAD_LANE_M);
    double focal = number_or(json, "focal_px", (small ? SMALL_FOCAL : ROAD_FOCAL) * width);
    memset(config, 0, sizeof *config);
    struct sl_camera_calibration *c = &config->camera;
    c->width_px = (uint32_t)width;
    c->height_px = (uint32_t)height;
    c->fx_px = c->fy_px = focal;
    c->cx_px = 0.5 * (width - 1);
    c->cy_px = 0.5 * (height - 1);
    c->k1 = number_or(json, "k1", small ? SMALL_K1 : 0);
    c->k2 = number_or(json, "k2", 0);
    c->height_m = 1;
    struct sl_camera_model lens;
    int rc = sl_camera_model_init(&lens, c, err);
    if (rc)
        return rc;
    /* Far left, far right, near right, near left. */
    side_in_picture(&lens, corner[0], corner[3], width);
    side_in_picture(&lens, corner[1], corner[2], width);
    double left = (corner[3][0] - corner[0][0]) / (corner[3][1] - corner[0][1]);
    double right = (corner[2][0] - corner[1][0]) / (corner[2][1] - corner[1][1]);
    double spread = right - left; /* w/h */
    double meet_y =
        (corner[0][0] - left * corner[0][1] - corner[1][0] + right * corner[1][1]) / spread;
    double meet_x = corner[0][0] + left * (meet_y - corner[0][1]);
    if (!isfinite(spread) || !isfinite(meet_x) || !isfinite(meet_y) || spread < 0.05)
        return sl_error_set(err, -EINVAL,
                            "ipm_quad's sides do not meet above it: give far left, far right, "
                            "near right, near left");
    c->pitch_rad = atan(-meet_y);
    c->yaw_rad = atan(meet_x * cos(c->pitch_rad));
    c->height_m = lane / spread;

    config->lane_width_m = lane;
    config->lane_width_tolerance = 0.25;
    config->marking_width_m =
        number_or(json, "marking_width_m", small ? SMALL_MARKING_M : ROAD_MARKING_M);
    config->min_contrast = number_or(json, "min_contrast", 6);
    /* From the last row of road to four per cent of the picture below the horizon. */
    double last = number_or(json, "last_road_row", height - 1);
    struct sl_camera_model camera;
    rc = sl_camera_model_init(&camera, c, err);
    if (rc)
        return rc;
    double x, y;
    if (!sl_camera_to_ground(&camera, c->cx_px, last + 0.5, &x, &y))
        return sl_error_set(err, -EINVAL, "last_road_row (%g) lies above the horizon", last);
    config->near_m = x;
    config->far_m = c->height_m * focal / (0.04 * height);
    return 0;
}

int sl_clip_calibration(const struct sl_clip_calibrations *calibrations, const char *clip,
                        struct sl_detect_config *config, struct sl_error *err)
{
    if (!calibrations->clips) {
        *config = calibrations->config;
        return 0;
    }
    const cJSON *json = cJSON_GetObjectItemCaseSensitive(calibrations->clips, clip);
    if (!cJSON_IsObject(json))
        return sl_error_set(err, -ENOENT,
                            "%s holds no clip named \"%s\"; add it, or give a settings file",
                            calibrations->path, clip);
    int rc = from_quad(json, config, err);
    if (rc)
        sl_error_prefix(err, "%s, clip %s", calibrations->path, clip);
    return rc;
}
