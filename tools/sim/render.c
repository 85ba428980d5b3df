#include "tools/sim/render.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tools/sim/exact.h"
#include "tools/sim/ground.h"
#include "tools/sim/paint.h"
#include "tools/sim/random.h"
#include "tools/sim/raster.h"
#include "tools/sim/sky.h"

/* Most of the work is done once for two neighbours in a row, a "pair": the
 * ground's texels are several pixels wide, so are sky and light. Grain, paint
 * and noise are each pixel's own. */

#define TONE_LOG2   14
#define TONE_SIZE   (1 << TONE_LOG2)
#define LINEAR_ONE  65535.0 /* linear light of grey level 255 at exposure 1 */
#define GAIN_ONE    16384   /* of a pair's light: the product of both, >> 16, is in quarters */
#define TONE_SHIFT  1       /* quarters of linear light >> this: the table ends at twice white */
#define SHADE_ONE   4096
#define NOISE_LOG2  16
#define NOISE_UNIT  32 /* of the noise tile: one standard deviation */
#define LEVEL_UNIT  16 /* of the table of noise by grey level: one grey level */
#define NOISE_SHIFT 9  /* log2 of both units' product */
#define GLARE_CELL  8  /* pixels between the places where glare is computed */
#define SUB_MAX     8
#define FARTHEST_M  2000.0
#define PAINT_LANES 32.0 /* markings further away are less than a pixel high */

#define YELLOW_CB (-49) /* chroma of yellow paint, per 128 of luma */
#define YELLOW_CR 25

#define LEAST_DOWN 1e-3 /* rays that fall by less than this see the sky */

/* What a wet road mirrors: the sky's texels, in steps upward. */
#define MIRROR_STEP  8 /* texels of the sky */
#define MIRROR_SMEAR 8 /* steps over which a film on stones smears it: 0.1 rad */
#define MIRROR_STEPS ((SL_SKY_HEIGHT - SL_SKY_BELOW) / MIRROR_STEP)

/* Everything that the light decides. */
struct look {
    double exposure_s;  /* shutter time */
    double noise_floor; /* grey levels, in the dark */
    double noise_shot;  /* grey levels, at white */
    double sky_grey;    /* brightness of the sky's table, as a factor */
    double haze;        /* share of light lost over 300 m */
    double haze_grey;
    int tint_cb, tint_cr; /* colour cast, per 128 of luma */
    int saturation;       /* of 16 */
    int white_grey;       /* of paint */
    int yellow_grey;
    double metered_grey; /* what automatic exposure aims at */
    double gain_min, gain_max;
};

static const struct look looks[SL_SIM_LIGHT_COUNT] = {
    [SL_SIM_DAY] = {.exposure_s = 0.004,
                    .noise_floor = 0.9,
                    .noise_shot = 1.9,
                    .sky_grey = 1.0,
                    .haze = 0.25,
                    .haze_grey = 190,
                    .saturation = 16,
                    .white_grey = 205,
                    .yellow_grey = 174,
                    .metered_grey = 106,
                    .gain_min = 0.75,
                    .gain_max = 1.5},
    [SL_SIM_DUSK] = {.exposure_s = 0.010,
                     .noise_floor = 2.2,
                     .noise_shot = 3.2,
                     .sky_grey = 0.72,
                     .haze = 0.3,
                     .haze_grey = 130,
                     .tint_cb = -1,
                     .tint_cr = 2,
                     .saturation = 12,
                     .white_grey = 205,
                     .yellow_grey = 174,
                     .metered_grey = 74,
                     .gain_min = 0.75,
                     .gain_max = 1.5},
    [SL_SIM_NIGHT] = {.exposure_s = 0.012,
                      .noise_floor = 3.2,
                      .noise_shot = 4.2,
                      .sky_grey = 0.09,
                      .haze = 0.0,
                      .haze_grey = 8,
                      .tint_cb = -4,
                      .tint_cr = 3,
                      .saturation = 9,
                      .white_grey = 205,
                      .yellow_grey = 174,
                      .metered_grey = 45,
                      .gain_min = 0.8,
                      .gain_max = 1.3},
    [SL_SIM_GLARE] = {.exposure_s = 0.003,
                      .noise_floor = 1.1,
                      .noise_shot = 2.1,
                      .sky_grey = 1.0,
                      .haze = 0.35,
                      .haze_grey = 205,
                      .tint_cb = -3,
                      .tint_cr = 3,
                      .saturation = 13,
                      .white_grey = 205,
                      .yellow_grey = 174,
                      .metered_grey = 118,
                      .gain_min = 0.6,
                      .gain_max = 1.4},
    /* Under water, white and yellow paint keep six tenths of their light. */
    [SL_SIM_RAIN] = {.exposure_s = 0.008,
                     .noise_floor = 2.0,
                     .noise_shot = 2.9,
                     .sky_grey = 1.0,
                     .haze = 0.42,
                     .haze_grey = 172,
                     .tint_cb = 2,
                     .tint_cr = -1,
                     .saturation = 11,
                     .white_grey = 162,
                     .yellow_grey = 138,
                     .metered_grey = 88,
                     .gain_min = 0.75,
                     .gain_max = 1.3},
};

struct material {
    uint8_t grain; /* strength of the grain pattern */
    uint8_t gloss; /* how much it mirrors a low sun, or the sky when wet */
    int8_t cb, cr; /* chroma, per 128 of luma */
};

struct sl_renderer {
    struct sl_render_config config;
    struct look look;
    uint32_t width, height, pairs;
    double rotation[3][3]; /* camera axes to vehicle axes, body level */
    bool distorted;
    struct sl_camera_model model;
    double sun_azimuth_rad, sun_elevation_rad;

    struct sl_ground ground;
    struct sl_paint paint;
    struct sl_raster raster;
    struct sl_sky sky;

    /* Of each pair, fixed: the camera does not move on the vehicle. */
    float (*normal)[2];   /* undistorted normalised coordinates; NULL where they are linear */
    uint16_t *gain;       /* light that arrives, GAIN_ONE is all */
    uint16_t *lift;       /* light that is added: haze, in quarters of linear light */
    int16_t (*sky_at)[2]; /* azimuth and elevation in the sky's texels, level body, yaw 0 */

    uint16_t to_linear[1024]; /* grey level * 4 */
    uint16_t shade_linear[256];
    struct material materials[256];
    float water[256];  /* share of a road that mirrors, by its texel's tint */
    uint16_t *wet_sky; /* what it mirrors: MIRROR_STEPS rows of linear light; NULL when dry */
    float fresnel[SL_SKY_HEIGHT]; /* the mirrored share, by texels of angle to the surface */
    uint8_t tone_grey[TONE_SIZE]; /* at exposure 1 */
    uint8_t noise_level[256];     /* LEVEL_UNIT per grey level, by grey level */
    uint16_t tone[TONE_SIZE];     /* grey | noise << 8, at this frame's exposure */
    int8_t *noise;                /* NOISE_UNIT per standard deviation */

    double gain_now;
    bool metered;
    uint64_t metered_ns;

    /* Rows being drawn. */
    int32_t *ground_x, *ground_y; /* fine texel * 8 of each pair, and one more */
    uint32_t *texels, *texels_more;
    uint16_t *row_luma, *row_gain, *row_lift; /* of each pair */
    uint16_t *row_linear, *row_tone;          /* of each pixel */
    uint32_t *row_fine;
    uint8_t *row_grain;
    int8_t *row_cb, *row_cr;
    bool *row_is_ground;
    float *glare;  /* (width / cell + 2) * (height / cell + 2), light added */
    float *mirror; /* the same, for what the road mirrors */
    float *hidden; /* the same: share of its own light that the mirror replaces */
    uint32_t glare_columns, glare_rows;
    uint8_t *scratch; /* an NV12 picture on the way to BGR24; chroma for GRAY8 */
};

static int clamp_int(int v, int low, int high)
{
    return v < low ? low : v > high ? high : v;
}
static double clamp(double v, double low, double high)
{
    return v < low ? low : v > high ? high : v;
}

/* ---- preparing ---- */

static void multiply(double out[3][3], double a[3][3], double b[3][3])
{
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < 3; k++)
            out[i][k] = a[i][0] * b[0][k] + a[i][1] * b[1][k] + a[i][2] * b[2][k];
}

/* As in app/detect/camera_model.c, with sines that are the same everywhere. */
static void camera_rotation(const struct sl_camera_calibration *c, double pitch_rad,
                            double out[3][3])
{
    double sr, cr, sp, cp, sy, cy;
    sl_exact_sincos(c->roll_rad, &sr, &cr);
    sl_exact_sincos(pitch_rad, &sp, &cp);
    sl_exact_sincos(c->yaw_rad, &sy, &cy);
    double level[3][3] = {{0, 0, 1}, {-1, 0, 0}, {0, -1, 0}};
    double roll[3][3] = {{1, 0, 0}, {0, cr, -sr}, {0, sr, cr}};
    double pitch[3][3] = {{cp, 0, sp}, {0, 1, 0}, {-sp, 0, cp}};
    double yaw[3][3] = {{cy, -sy, 0}, {sy, cy, 0}, {0, 0, 1}};
    double a[3][3], b[3][3];
    multiply(a, roll, level);
    multiply(b, pitch, a);
    multiply(out, yaw, b);
}

/* The middle of a pair in normalised camera coordinates. */
static void pair_normal(const struct sl_renderer *r, uint32_t pair, uint32_t row, double *x,
                        double *y)
{
    const struct sl_camera_calibration *c = &r->config.camera;
    if (r->normal != NULL) {
        *x = (double)r->normal[(size_t)row * r->pairs + pair][0];
        *y = (double)r->normal[(size_t)row * r->pairs + pair][1];
        return;
    }
    *x = (2.0 * pair + 0.5 - c->cx_px) / c->fx_px;
    *y = ((double)row - c->cy_px) / c->fy_px;
}

/* Undistorts every pair by way of the camera model. A model that looks level
 * and straight ahead needs no sines, so that its rays are the same on every
 * machine; they are (ahead, left, up). */
static int fill_normals(struct sl_renderer *r, struct sl_error *err)
{
    struct sl_camera_calibration level = r->config.camera;
    struct sl_camera_model model;
    level.pitch_rad = level.yaw_rad = level.roll_rad = 0;
    int rc = sl_camera_model_init(&model, &level, err);
    if (rc != 0)
        return rc;
    for (uint32_t row = 0; row < r->height; row++) {
        for (uint32_t pair = 0; pair < r->pairs; pair++) {
            double ray[3];
            sl_camera_ray(&model, 2.0 * pair + 0.5, (double)row, ray);
            r->normal[(size_t)row * r->pairs + pair][0] = (float)(-ray[1] / ray[0]);
            r->normal[(size_t)row * r->pairs + pair][1] = (float)(-ray[2] / ray[0]);
        }
    }
    return 0;
}

static double linear_of_grey(double grey)
{
    return sl_exact_pow(grey / 255, 2.2) * LINEAR_ONE;
}

/* Low beam headlights: light that falls on the ground `x_m` ahead and `y_m`
 * beside, with its decline over distance and grazing angle already in. */
static double headlights(double x_m, double y_m, double scale)
{
    double x = x_m / scale, y = y_m / scale;
    if (x < 0.1)
        x = 0.1;
    double across = y / (1.6 + 0.30 * x);
    double beam = sl_exact_exp(-across * across);
    double ahead = x < 9 ? 0.45 + 0.55 * x / 9 : 1;
    double cut = 1 / (1 + (x / 21) * (x / 21) * (x / 21));
    return beam * ahead * cut;
}

static void fill_light(struct sl_renderer *r)
{
    const struct sl_camera_calibration *c = &r->config.camera;
    double scale = sl_track_lane_width_m(r->config.track) / 3.5;
    double corner = 0.25 * ((double)r->width * r->width + (double)r->height * r->height);
    double haze_light = linear_of_grey(r->look.haze_grey);
    for (uint32_t row = 0; row < r->height; row++) {
        for (uint32_t pair = 0; pair < r->pairs; pair++) {
            double x, y, ray[3];
            pair_normal(r, pair, row, &x, &y);
            for (int i = 0; i < 3; i++)
                ray[i] = r->rotation[i][0] * x + r->rotation[i][1] * y + r->rotation[i][2];
            double du = 2.0 * pair + 0.5 - 0.5 * r->width, dv = row + 0.5 - 0.5 * r->height;
            double off = (du * du + dv * dv) / corner;
            /* Lenses darken their corners with cos^4 and more. */
            double gain = 1 - 0.30 * off + 0.05 * off * off;
            double lift = 0, horizontal = sqrt(ray[0] * ray[0] + ray[1] * ray[1]);
            double down = -ray[2];
            if (down > 1e-4) {
                double k = c->height_m / down;
                double share = 1 - sl_exact_exp(-k * horizontal / (300 * scale) *
                                                (r->look.haze / (1 - r->look.haze)));
                if (sl_track_surface(r->config.track) == SL_TRACK_INDOOR)
                    share = 0;
                if (r->config.light == SL_SIM_NIGHT)
                    gain *= 0.015 + 0.80 * headlights(c->forward_m + k * ray[0],
                                                      c->left_m + k * ray[1], scale);
                lift = gain * share * haze_light;
                gain *= 1 - share;
            } else {
                gain *= sl_exact_pow(r->look.sky_grey, 2.2);
            }
            if (r->config.light == SL_SIM_DUSK)
                gain *= down > 1e-4 ? 0.62 : 1;
            size_t i = (size_t)row * r->pairs + pair;
            r->gain[i] = (uint16_t)clamp(gain * GAIN_ONE, 0, 65535);
            r->lift[i] = (uint16_t)clamp(lift / 4, 0, 32767);
            double azimuth = sl_exact_atan2(ray[1], ray[0]);
            double elevation = sl_exact_atan(-down / (horizontal > 1e-9 ? horizontal : 1e-9));
            r->sky_at[i][0] = (int16_t)floor(azimuth * SL_SKY_TEXELS_PER_RAD);
            r->sky_at[i][1] = (int16_t)floor(elevation * SL_SKY_TEXELS_PER_RAD);
        }
    }
}

static int8_t chroma_ratio(int chroma, int luma)
{
    return (int8_t)((chroma - 128) * 128 / luma);
}

static void fill_materials(struct sl_renderer *r)
{
    bool indoor = sl_track_surface(r->config.track) == SL_TRACK_INDOOR;
    /* Chroma and luma of terrain, verge, road. */
    const int outside[3][3] = {{106, 123, 95}, {116, 133, 112}, {129, 127, 100}};
    const int inside[3][3] = {{112, 139, 112}, {124, 129, 100}, {129, 126, 92}};
    const int(*t)[3] = indoor ? inside : outside;
    int sat = r->look.saturation;
    for (int i = 0; i < 256; i++) {
        int low = i < 128 ? 0 : 1, at = i < 128 ? i * 2 : (i - 128) * 2;
        int cb0 = chroma_ratio(t[low][0], t[low][2]),
            cb1 = chroma_ratio(t[low + 1][0], t[low + 1][2]);
        int cr0 = chroma_ratio(t[low][1], t[low][2]),
            cr1 = chroma_ratio(t[low + 1][1], t[low + 1][2]);
        struct material *m = &r->materials[i];
        m->cb = (int8_t)((cb0 + (cb1 - cb0) * at / 255) * sat / 16 + r->look.tint_cb);
        m->cr = (int8_t)((cr0 + (cr1 - cr0) * at / 255) * sat / 16 + r->look.tint_cr);
        m->grain = (uint8_t)(indoor ? 8 : 66 - i * 22 / 255);
        m->gloss = (uint8_t)(i * i / 255);
        /* Only the road is flat enough for water to lie on. */
        if (r->config.light == SL_SIM_RAIN)
            m->gloss = (uint8_t)(m->gloss * i / 255);
        r->water[i] = r->config.light == SL_SIM_RAIN ? (float)i / 255 : 1;
    }
}

/* A wet road's mirror. Its film of water follows the stones, so that it smears
 * what it mirrors upward, and mirrors flat rays less than a lake does: the
 * stones that show are those that lean toward the viewer. Schlick's
 * approximation of Fresnel's equations for water, with the lean added. */
static void fill_wet_sky(struct sl_renderer *r)
{
    enum { WIDTH = 1 << SL_SKY_WIDTH_LOG2 };
    const double lean = 0.05, straight = 0.02;
    for (int i = 0; i < SL_SKY_HEIGHT; i++) {
        double sine, cosine;
        sl_exact_sincos(i / SL_SKY_TEXELS_PER_RAD, &sine, &cosine);
        double off = 1 - sine - lean, off2 = off * off;
        r->fresnel[i] = (float)(straight + (1 - straight) * (off > 0 ? off2 * off2 * off : 0));
    }
    for (int x = 0; x < WIDTH; x++) {
        uint32_t steps[MIRROR_STEPS];
        for (int k = 0; k < MIRROR_STEPS; k++) {
            steps[k] = 0;
            for (int y = 0; y < MIRROR_STEP; y++) {
                uint32_t texel = sl_sky_texel(&r->sky, x, k * MIRROR_STEP + y);
                steps[k] += r->to_linear[(texel & 255) * 4];
            }
        }
        for (int k = 0; k < MIRROR_STEPS; k++) {
            uint32_t sum = 0;
            for (int n = 0; n < MIRROR_SMEAR; n++)
                sum += steps[k + n < MIRROR_STEPS ? k + n : MIRROR_STEPS - 1];
            r->wet_sky[k * WIDTH + x] = (uint16_t)(sum / (MIRROR_STEP * MIRROR_SMEAR));
        }
    }
}

static void fill_tones(struct sl_renderer *r)
{
    for (int i = 0; i < 1024; i++)
        r->to_linear[i] = (uint16_t)(linear_of_grey(i * 0.25) + 0.5);
    for (int i = 0; i < 256; i++) {
        r->shade_linear[i] = (uint16_t)(sl_exact_pow(i / 255.0, 2.2) * SHADE_ONE + 0.5);
        double sigma = sqrt(r->look.noise_floor * r->look.noise_floor +
                            r->look.noise_shot * r->look.noise_shot * i / 255);
        r->noise_level[i] = (uint8_t)(r->config.noise ? sigma * LEVEL_UNIT + 0.5 : 0);
    }
    for (int i = 0; i < TONE_SIZE; i++) {
        double light = ((double)i + 0.5) * (4 << TONE_SHIFT) / LINEAR_ONE;
        double grey = i == 0 ? 0 : sl_exact_pow(light, 1 / 2.2);
        /* A shoulder: bright light is compressed before it clips. */
        if (grey > 0.82)
            grey = 0.82 + 0.19 * (1 - sl_exact_exp(-(grey - 0.82) / 0.19));
        r->tone_grey[i] = (uint8_t)clamp(grey * 255 + 0.5, 0, 255);
    }
    struct sl_random random = sl_random_make(r->config.seed, 0x6e6f697365);
    for (int i = 0; i < 1 << NOISE_LOG2; i++)
        r->noise[i] =
            (int8_t)clamp_int((int)floor(sl_random_normal(&random) * NOISE_UNIT + 0.5), -127, 127);
}

static void choose_sun(struct sl_renderer *r)
{
    struct sl_random random = sl_random_make(r->config.seed, 0x73756e);
    r->sun_azimuth_rad = sl_random_between(&random, -SL_PI, SL_PI);
    double share = sl_random_unit(&random);
    r->sun_elevation_rad =
        r->config.light == SL_SIM_GLARE ? 0.14 + 0.07 * share : 0.60 + 0.40 * share;
}

static int take_memory(struct sl_renderer *r)
{
    size_t all = (size_t)r->pairs * r->height, row = r->pairs + 8;
    bool ok = true;
#define TAKE(field, count) ok = ((r->field = calloc((count), sizeof *r->field)) != NULL) && ok
    if (r->distorted)
        TAKE(normal, all);
    TAKE(gain, all);
    TAKE(lift, all);
    TAKE(sky_at, all);
    TAKE(noise, 1u << NOISE_LOG2);
    TAKE(ground_x, row);
    TAKE(ground_y, row);
    TAKE(texels, row);
    TAKE(texels_more, row);
    TAKE(row_luma, row);
    TAKE(row_lift, row);
    TAKE(row_gain, row);
    TAKE(row_linear, 2 * row);
    TAKE(row_tone, 2 * row);
    TAKE(row_fine, 2 * row);
    TAKE(row_grain, row);
    TAKE(row_cb, row);
    TAKE(row_cr, row);
    TAKE(row_is_ground, row);
    r->glare_columns = r->width / GLARE_CELL + 2;
    r->glare_rows = r->height / GLARE_CELL + 2;
    TAKE(glare, (size_t)r->glare_columns * r->glare_rows);
    TAKE(mirror, (size_t)r->glare_columns * r->glare_rows);
    TAKE(hidden, (size_t)r->glare_columns * r->glare_rows);
    if (r->config.light == SL_SIM_RAIN)
        TAKE(wet_sky, (size_t)MIRROR_STEPS << SL_SKY_WIDTH_LOG2);
    if (r->config.format != SL_FORMAT_NV12)
        TAKE(scratch, (size_t)r->width * r->height * 3 / 2);
#undef TAKE
    if (ok && sl_raster_make(&r->raster, r->width, r->height) != 0)
        ok = false;
    return ok ? 0 : -ENOMEM;
}

int sl_renderer_create(struct sl_renderer **renderer, const struct sl_render_config *config,
                       struct sl_error *err)
{
    *renderer = NULL;
    const struct sl_camera_calibration *c = &config->camera;
    if (config->format != SL_FORMAT_NV12 && config->format != SL_FORMAT_BGR24 &&
        config->format != SL_FORMAT_GRAY8)
        return sl_error_set(err, -EINVAL, "simulator: the format must be NV12, BGR24 or GRAY8");
    if ((unsigned)config->light >= SL_SIM_LIGHT_COUNT)
        return sl_error_set(err, -EINVAL, "simulator: the light must be one of " SL_SIM_LIGHTS);
    if (!(config->wear >= 0 && config->wear <= 1))
        return sl_error_set(err, -EINVAL, "simulator: wear is %g; it must lie within 0 and 1",
                            config->wear);
    if (c->width_px % 2 != 0 || c->height_px % 2 != 0 || c->width_px < 32 || c->height_px < 32 ||
        c->width_px > 4096 || c->height_px > 4096)
        return sl_error_set(err, -EINVAL,
                            "simulator: a picture of %ux%u; both sides must be even, 32 to 4096",
                            c->width_px, c->height_px);
    struct sl_renderer *r = calloc(1, sizeof *r);
    if (r == NULL)
        return sl_error_set(err, -ENOMEM, "simulator: out of memory");
    r->config = *config;
    r->look = looks[config->light];
    r->width = c->width_px;
    r->height = c->height_px;
    r->pairs = r->width / 2;
    r->gain_now = 1;
    int rc = sl_camera_model_init(&r->model, c, err);
    if (rc == 0) {
        r->distorted = r->model.distorted;
        rc = take_memory(r);
        if (rc != 0)
            sl_error_set(err, rc, "simulator: out of memory");
    }
    if (rc == 0) {
        choose_sun(r);
        const struct sl_ground_config g = {.track = config->track,
                                           .seed = config->seed,
                                           .light = config->light,
                                           .wear = config->wear,
                                           .sun_azimuth_rad = r->sun_azimuth_rad,
                                           .sun_elevation_rad = r->sun_elevation_rad};
        rc = sl_ground_make(&r->ground, &g, err);
    }
    if (rc == 0)
        rc = sl_paint_make(&r->paint, config->track, config->wear, config->seed, err);
    if (rc == 0)
        rc = sl_sky_make(&r->sky, config->light, sl_track_surface(config->track) == SL_TRACK_INDOOR,
                         config->seed, err);
    if (rc == 0 && r->distorted)
        rc = fill_normals(r, err);
    if (rc != 0) {
        sl_renderer_destroy(r);
        return rc;
    }
    camera_rotation(c, c->pitch_rad, r->rotation);
    fill_tones(r);
    fill_materials(r);
    fill_light(r);
    if (r->wet_sky != NULL)
        fill_wet_sky(r);
    *renderer = r;
    return 0;
}

void sl_renderer_destroy(struct sl_renderer *r)
{
    if (r == NULL)
        return;
    sl_ground_free(&r->ground);
    sl_paint_free(&r->paint);
    sl_raster_free(&r->raster);
    sl_sky_free(&r->sky);
    free(r->normal);
    free(r->gain);
    free(r->lift);
    free(r->sky_at);
    free(r->noise);
    free(r->ground_x);
    free(r->ground_y);
    free(r->texels);
    free(r->texels_more);
    free(r->row_luma);
    free(r->row_lift);
    free(r->row_gain);
    free(r->row_linear);
    free(r->row_tone);
    free(r->row_fine);
    free(r->row_grain);
    free(r->row_cb);
    free(r->row_cr);
    free(r->row_is_ground);
    free(r->glare);
    free(r->mirror);
    free(r->hidden);
    free(r->wet_sky);
    free(r->scratch);
    free(r);
}

/* ---- a frame's camera ---- */

struct eye {
    double x_m, y_m, height_m; /* of the lens, in the world */
    double rotation[3][3];     /* camera axes to world axes */
};

static void eye_at(const struct sl_renderer *r, const struct sl_render_view *v, double later_s,
                   struct eye *eye)
{
    const struct sl_camera_calibration *c = &r->config.camera;
    double s, k, own[3][3];
    /* Half way through the movement, so that it follows its arc. */
    sl_exact_sincos(v->yaw_rad + 0.5 * v->yaw_rate_radps * later_s, &s, &k);
    double x = v->x_m + v->speed_mps * later_s * k;
    double y = v->y_m + v->speed_mps * later_s * s;
    sl_exact_sincos(v->yaw_rad + v->yaw_rate_radps * later_s, &s, &k);
    eye->x_m = x + k * c->forward_m - s * c->left_m;
    eye->y_m = y + s * c->forward_m + k * c->left_m;
    eye->height_m = c->height_m;
    camera_rotation(c, c->pitch_rad + v->pitch_rad, own);
    double turn[3][3] = {{k, -s, 0}, {s, k, 0}, {0, 0, 1}};
    multiply(eye->rotation, turn, own);
}

/* ---- outlines ---- */

struct outline {
    double p[4 * SL_PAINT_VERTICES_MAX][3];
    size_t count;
};

/* Keeps what lies at least so far on the positive side of a plane through the
 * lens. Sutherland and Hodgman's method. */
static void cut(struct outline *o, const double plane[3], double least)
{
    struct outline out;
    out.count = 0;
    for (size_t i = 0; i < o->count; i++) {
        const double *a = o->p[i], *b = o->p[i + 1 < o->count ? i + 1 : 0];
        double da = plane[0] * a[0] + plane[1] * a[1] + plane[2] * a[2] - least;
        double db = plane[0] * b[0] + plane[1] * b[1] + plane[2] * b[2] - least;
        if (da >= 0 && out.count < 4 * SL_PAINT_VERTICES_MAX)
            memcpy(out.p[out.count++], a, sizeof out.p[0]);
        if ((da >= 0) != (db >= 0) && out.count < 4 * SL_PAINT_VERTICES_MAX) {
            double t = da / (da - db);
            for (int k = 0; k < 3; k++)
                out.p[out.count][k] = a[k] + t * (b[k] - a[k]);
            out.count++;
        }
    }
    o->count = out.count;
    memcpy(o->p, out.p, out.count * sizeof out.p[0]);
}

/* A lens bends straight edges: more vertices along them. */
static void subdivide(struct outline *o)
{
    struct outline out;
    out.count = 0;
    size_t parts = 4 * SL_PAINT_VERTICES_MAX / o->count;
    if (parts > 12)
        parts = 12;
    for (size_t i = 0; i < o->count; i++) {
        const double *a = o->p[i], *b = o->p[i + 1 < o->count ? i + 1 : 0];
        for (size_t n = 0; n < parts; n++) {
            /* Even steps in the picture, not on the ground: in 1 / z. */
            double share = (double)n / (double)parts;
            double t = share * a[2] / (b[2] + share * (a[2] - b[2]));
            for (int k = 0; k < 3; k++)
                out.p[out.count][k] = a[k] + t * (b[k] - a[k]);
            out.count++;
        }
    }
    o->count = out.count;
    memcpy(o->p, out.p, out.count * sizeof out.p[0]);
}

static void draw_outlines(struct sl_renderer *r, const struct eye *eye, float weight)
{
    const struct sl_camera_calibration *c = &r->config.camera;
    double lane = sl_track_lane_width_m(r->config.track);
    double far_m = PAINT_LANES * lane;
    double near = 0.25 * eye->height_m;
    const double(*m)[3] = eye->rotation;
    for (size_t i = 0; i < r->paint.piece_count; i++) {
        const struct sl_paint_piece *piece = &r->paint.pieces[i];
        double dx = (double)piece->centre_m[0] - eye->x_m;
        double dy = (double)piece->centre_m[1] - eye->y_m;
        double radius = (double)piece->radius_m;
        if (dx * dx + dy * dy > (far_m + radius) * (far_m + radius))
            continue;
        double ahead = m[0][2] * dx + m[1][2] * dy - m[2][2] * eye->height_m;
        double aside = fabs(m[0][0] * dx + m[1][0] * dy - m[2][0] * eye->height_m);
        if (ahead < near - radius || aside > 2.2 * (ahead + radius) + radius)
            continue;
        struct outline o;
        o.count = piece->count;
        for (size_t k = 0; k < o.count; k++) {
            const double *v = r->paint.vertices[piece->first + k];
            double d[3] = {v[0] - eye->x_m, v[1] - eye->y_m, -eye->height_m};
            for (int n = 0; n < 3; n++)
                o.p[k][n] = m[0][n] * d[0] + m[1][n] * d[1] + m[2][n] * d[2];
        }
        if (ahead - radius < near)
            cut(&o, (const double[3]){0, 0, 1}, near);
        if (r->distorted) {
            /* Outside of the picture the distortion's polynomial may fold
             * back into it. */
            double wide = 0.98 * sqrt(r->model.fold_r2 * 0.5);
            if (wide > 3)
                wide = 3;
            cut(&o, (const double[3]){1, 0, wide}, 0);
            cut(&o, (const double[3]){-1, 0, wide}, 0);
            cut(&o, (const double[3]){0, 1, wide}, 0);
            cut(&o, (const double[3]){0, -1, wide}, 0);
            if (o.count >= 3)
                subdivide(&o);
        }
        if (o.count < 3)
            continue;
        float image[4 * SL_PAINT_VERTICES_MAX][2];
        for (size_t k = 0; k < o.count; k++) {
            double x = o.p[k][0] / o.p[k][2], y = o.p[k][1] / o.p[k][2];
            if (r->distorted) {
                double r2 = x * x + y * y;
                double gain = 1 + r2 * (c->k1 + r2 * (c->k2 + r2 * c->k3));
                double xd = x * gain + 2 * c->p1 * x * y + c->p2 * (r2 + 2 * x * x);
                double yd = y * gain + c->p1 * (r2 + 2 * y * y) + 2 * c->p2 * x * y;
                x = xd;
                y = yd;
            }
            image[k][0] = (float)(c->cx_px + c->fx_px * x);
            image[k][1] = (float)(c->cy_px + c->fy_px * y);
        }
        sl_raster_polygon(&r->raster, piece->coat, weight * piece->weight, (const float(*)[2])image,
                          o.count);
    }
}

/* ---- glare and mirrors ---- */

/* Light that a low sun scatters in the lens, and what the road mirrors of it,
 * at the corners of a coarse grid. */
static void fill_glare(struct sl_renderer *r, const struct eye *eye)
{
    const struct sl_camera_calibration *c = &r->config.camera;
    double s, k, up_s, up_k;
    sl_exact_sincos(r->sun_azimuth_rad, &s, &k);
    sl_exact_sincos(r->sun_elevation_rad, &up_s, &up_k);
    const double sun[3] = {k * up_k, s * up_k, up_s};
    float at_sun[3], in_mirror[3], down[3];
    for (int i = 0; i < 3; i++) {
        at_sun[i] = (float)(eye->rotation[0][i] * sun[0] + eye->rotation[1][i] * sun[1] +
                            eye->rotation[2][i] * sun[2]);
        in_mirror[i] = (float)(eye->rotation[0][i] * sun[0] + eye->rotation[1][i] * sun[1] -
                               eye->rotation[2][i] * sun[2]);
        down[i] = (float)-eye->rotation[2][i];
    }
    float depth = in_mirror[2] > 0.1f ? in_mirror[2] : 0.1f;
    float mirror_x = in_mirror[0] / depth, mirror_y = in_mirror[1] / depth;
    /* Sun behind the lens: nothing to scatter. */
    float ahead = at_sun[2] > 0 ? at_sun[2] * at_sun[2] : 0;
    for (uint32_t row = 0; row < r->glare_rows; row++) {
        float y = (float)(((double)row * GLARE_CELL - c->cy_px) / c->fy_px);
        for (uint32_t column = 0; column < r->glare_columns; column++) {
            float x = (float)(((double)column * GLARE_CELL - c->cx_px) / c->fx_px);
            float length = 1 / sqrtf(x * x + y * y + 1);
            float dot = (x * at_sun[0] + y * at_sun[1] + at_sun[2]) * length;
            float off2 = 2 - 2 * dot; /* angle squared, nearly */
            float veil = ahead * (0.010f / (off2 + 0.06f) + 0.0030f / (off2 + 0.0010f));
            size_t i = (size_t)row * r->glare_columns + column;
            r->glare[i] = veil * 65535.0f;
            /* Rough asphalt smears the mirrored sun into a streak toward the
             * viewer, and mirrors the more the flatter it is looked at. */
            float beside = x - mirror_x, before = y - mirror_y;
            float graze = (x * down[0] + y * down[1] + down[2]) * length;
            graze = graze > 0.02f ? graze : 0.02f;
            float fresnel = 0.13f / (graze + 0.12f);
            float streak = 1 / (1 + 26 * beside * beside + 2.2f * before * before);
            r->mirror[i] = ahead * fresnel * streak * streak * 65535.0f;
        }
    }
}

/* What a wet road mirrors, on the same grid: each corner's ray goes on from
 * the road as far up as it came down. */
static void fill_wet_mirror(struct sl_renderer *r, int turn, int lift)
{
    for (uint32_t row = 0; row < r->glare_rows; row++) {
        uint32_t y = row * GLARE_CELL < r->height ? row * GLARE_CELL : r->height - 1;
        for (uint32_t column = 0; column < r->glare_columns; column++) {
            uint32_t pair = column * (GLARE_CELL / 2);
            size_t at = (size_t)y * r->pairs + (pair < r->pairs ? pair : r->pairs - 1);
            int azimuth = r->sky_at[at][0] + turn, up = -(r->sky_at[at][1] + lift);
            up = clamp_int(up, 0, SL_SKY_HEIGHT - 1);
            int step = up / MIRROR_STEP < MIRROR_STEPS ? up / MIRROR_STEP : MIRROR_STEPS - 1;
            uint32_t mirrored = r->wet_sky[((uint32_t)step << SL_SKY_WIDTH_LOG2) +
                                           ((uint32_t)azimuth & ((1u << SL_SKY_WIDTH_LOG2) - 1))];
            /* The lens and the haze dim it as they do the road. */
            float light = (float)mirrored * (float)r->gain[at] * (1.0f / GAIN_ONE);
            size_t i = (size_t)row * r->glare_columns + column;
            r->mirror[i] = light * r->fresnel[up];
            r->hidden[i] = r->fresnel[up];
        }
    }
}

/* Adds both to a row's light. */
static void add_glare(struct sl_renderer *r, uint32_t row)
{
    uint32_t cell = row / GLARE_CELL;
    float fy = (float)(row % GLARE_CELL) / GLARE_CELL;
    const float *g0 = r->glare + (size_t)cell * r->glare_columns, *g1 = g0 + r->glare_columns;
    const float *m0 = r->mirror + (size_t)cell * r->glare_columns, *m1 = m0 + r->glare_columns;
    const float *h0 = r->hidden + (size_t)cell * r->glare_columns, *h1 = h0 + r->glare_columns;
    const bool wet = r->wet_sky != NULL;
    enum { CELL_PAIRS = GLARE_CELL / 2 };
    for (uint32_t column = 0; column * CELL_PAIRS < r->pairs; column++) {
        uint32_t from = column * CELL_PAIRS;
        uint32_t to = from + CELL_PAIRS < r->pairs ? from + CELL_PAIRS : r->pairs;
        /* In quarters of linear light, as the lift is. */
        float ga = 0.25f * (g0[column] + (g1[column] - g0[column]) * fy);
        float gb = 0.25f * (g0[column + 1] + (g1[column + 1] - g0[column + 1]) * fy);
        float ma = m0[column] + (m1[column] - m0[column]) * fy;
        float mb = m0[column + 1] + (m1[column + 1] - m0[column + 1]) * fy;
        ma *= 0.25f / (255.0f * SHADE_ONE);
        mb *= 0.25f / (255.0f * SHADE_ONE);
        float ha = (h0[column] + (h1[column] - h0[column]) * fy) / 255.0f;
        float hb = (h0[column + 1] + (h1[column + 1] - h0[column + 1]) * fy) / 255.0f;
        for (uint32_t pair = from; pair < to; pair++) {
            float fx = (float)(pair - from) / CELL_PAIRS;
            float light = ga + (gb - ga) * fx;
            if (r->row_is_ground[pair]) {
                uint32_t texel = r->texels[pair];
                float gloss = (float)r->materials[texel >> 16 & 255].gloss * r->water[texel >> 24];
                light += (ma + (mb - ma) * fx) * gloss * (float)r->shade_linear[texel >> 8 & 255];
                if (wet)
                    r->row_gain[pair] =
                        (uint16_t)((float)r->row_gain[pair] * (1 - (ha + (hb - ha) * fx) * gloss));
            }
            light += (float)r->row_lift[pair];
            r->row_lift[pair] = (uint16_t)(light < 32767.0f ? light : 32767.0f);
        }
    }
}

/* Haze and mirrored clouds have the light's colour alone: beside what they add,
 * the ground's own fades. */
static void fade_colour(struct sl_renderer *r)
{
    const uint16_t *restrict luma = r->row_luma, *restrict gain = r->row_gain;
    const uint16_t *restrict lift = r->row_lift, *restrict to_linear = r->to_linear;
    int8_t *restrict cb = r->row_cb, *restrict cr = r->row_cr;
    const int tint_cb = r->look.tint_cb, tint_cr = r->look.tint_cr;
    for (uint32_t i = 0; i < r->pairs; i++) {
        if (!r->row_is_ground[i])
            continue;
        int32_t own = (int32_t)((uint32_t)to_linear[luma[i]] * gain[i] >> 16);
        float left = (float)own / (float)(own + lift[i] + 1);
        cb[i] = (int8_t)(tint_cb + (int)((float)(cb[i] - tint_cb) * left));
        cr[i] = (int8_t)(tint_cr + (int)((float)(cr[i] - tint_cr) * left));
    }
}

/* ---- rows ---- */

/* Where the pairs of a row (a fraction of a row below it) look at the ground. */
static void find_ground(struct sl_renderer *r, const struct eye *eye, uint32_t row, float below)
{
    const struct sl_camera_calibration *c = &r->config.camera;
    float m[3][3];
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < 3; k++)
            m[i][k] = (float)eye->rotation[i][k];
    float scale = (float)(256.0 / r->ground.texel_m);
    float height = (float)eye->height_m * scale;
    float x0 = (float)((eye->x_m - r->ground.origin_m[0])) * scale;
    float y0 = (float)((eye->y_m - r->ground.origin_m[1])) * scale;
    float farthest = (float)FARTHEST_M * scale;
    int32_t *gx = r->ground_x, *gy = r->ground_y;
    float least = height / farthest;
    if (r->normal == NULL) {
        float y = (float)(((double)row + (double)below - c->cy_px) / c->fy_px);
        float step = (float)(2 / c->fx_px), start = (float)((0.5 - c->cx_px) / c->fx_px);
        float ax = m[0][1] * y + m[0][2], ay = m[1][1] * y + m[1][2], az = m[2][1] * y + m[2][2];
        for (uint32_t i = 0; i <= r->pairs; i++) {
            float x = start + step * (float)(int32_t)i;
            float down = -(m[2][0] * x + az);
            float k = height / (down > least ? down : least);
            gx[i] = (int32_t)(x0 + k * (m[0][0] * x + ax));
            gy[i] = (int32_t)(y0 + k * (m[1][0] * x + ay));
        }
        return;
    }
    const float(*normal)[2] = (const float(*)[2])r->normal + (size_t)row * r->pairs;
    float shift = (float)((double)below / c->fy_px);
    for (uint32_t i = 0; i <= r->pairs; i++) {
        uint32_t at = i < r->pairs ? i : r->pairs - 1;
        float x = normal[at][0], y = normal[at][1] + shift;
        float down = -(m[2][0] * x + m[2][1] * y + m[2][2]);
        float k = height / (down > least ? down : least);
        gx[i] = (int32_t)(x0 + k * (m[0][0] * x + m[0][1] * y + m[0][2]));
        gy[i] = (int32_t)(y0 + k * (m[1][0] * x + m[1][1] * y + m[1][2]));
    }
}

/* Looks the row's pairs up in one level, between four texels each. */
static void fetch_ground(const struct sl_renderer *r, int level, uint32_t *out)
{
    const uint32_t *texels = r->ground.levels[level];
    const int32_t *gx = r->ground_x, *gy = r->ground_y;
    int width_log2 = r->ground.width_log2 - level;
    uint32_t wmask = (1u << width_log2) - 1;
    uint32_t hmask = (1u << (r->ground.height_log2 - level)) - 1;
    int32_t half = 128 << level;
    const uint32_t low = UINT32_C(0x00ff00ff);
    for (uint32_t i = 0; i < r->pairs; i++) {
        uint32_t qx = (uint32_t)(gx[i] - half) >> (level + 4);
        uint32_t qy = (uint32_t)(gy[i] - half) >> (level + 4);
        uint32_t fx = qx & 15, fy = qy & 15;
        uint32_t ix = qx >> 4 & wmask, iy = qy >> 4 & hmask;
        uint32_t ix1 = (ix + 1) & wmask, iy1 = (iy + 1) & hmask;
        const uint32_t *a = texels + ((size_t)iy << width_log2);
        const uint32_t *b = texels + ((size_t)iy1 << width_log2);
        uint32_t w11 = fx * fy, w01 = fx * 16 - w11, w10 = fy * 16 - w11;
        uint32_t w00 = 256 - w01 - w10 - w11;
        uint32_t p = a[ix], q = a[ix1], s = b[ix], t = b[ix1];
        uint32_t even = (p & low) * w00 + (q & low) * w01 + (s & low) * w10 + (t & low) * w11;
        uint32_t odd = (p >> 8 & low) * w00 + (q >> 8 & low) * w01 + (s >> 8 & low) * w10 +
                       (t >> 8 & low) * w11;
        out[i] = (even >> 8 & low) | (odd & ~low);
    }
}

static void mix_half(uint32_t *a, const uint32_t *b, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        a[i] = (a[i] & b[i]) + (((a[i] ^ b[i]) >> 1) & UINT32_C(0x7f7f7f7f));
}

static int level_for(double metres, double texel_m, int levels)
{
    int level = 0;
    double size = texel_m * 1.5;
    while (level + 1 < levels && size < metres) {
        size *= 2;
        level++;
    }
    return level;
}

/* The ground of a row into r->texels; returns the level of the fine patterns. */
static int look_at_ground(struct sl_renderer *r, const struct eye *eye, uint32_t row, double blur_m)
{
    double x, y;
    pair_normal(r, r->pairs / 2, row, &x, &y);
    double down = -(eye->rotation[2][0] * x + eye->rotation[2][1] * y + eye->rotation[2][2]);
    if (down < 1e-3)
        down = 1e-3;
    /* A pixel's size on the ground, across and along the view. */
    double range = eye->height_m / down;
    double across = range / r->config.camera.fx_px;
    double along = across * range / eye->height_m;
    int taps = along > 24 * across ? 4 : along > 6 * across ? 2 : 1;
    double tap = along / taps;
    double size = sqrt(2 * across * (tap > 2 * across ? tap : 2 * across));
    int level = level_for(size, r->ground.texel_m, SL_GROUND_LEVELS);
    if (taps == 1) {
        find_ground(r, eye, row, 0);
        fetch_ground(r, level, r->texels);
    } else {
        for (int i = 0; i < taps; i++) {
            static const float at[2][4] = {{-0.25f, 0.25f, 0, 0},
                                           {-0.375f, 0.125f, -0.125f, 0.375f}};
            find_ground(r, eye, row, at[taps == 4][i]);
            fetch_ground(r, level, i == 0 ? r->texels : r->texels_more);
            if (i > 0)
                mix_half(r->texels, r->texels_more, r->pairs);
        }
    }
    double fine = sqrt(across * sqrt(along * along + blur_m * blur_m * 0.25));
    return level_for(fine, r->ground.texel_m / 32, SL_GROUND_FINE_LEVELS);
}

/* Which of a row's pairs see the ground. */
static void find_horizon(struct sl_renderer *r, const struct eye *eye, uint32_t row,
                         bool some_ground, bool some_sky)
{
    if (some_ground && some_sky) {
        for (uint32_t i = 0; i < r->pairs; i++) {
            double x, y;
            pair_normal(r, i, row, &x, &y);
            r->row_is_ground[i] = -(eye->rotation[2][0] * x + eye->rotation[2][1] * y +
                                    eye->rotation[2][2]) > LEAST_DOWN;
        }
        return;
    }
    memset(r->row_is_ground, some_ground, r->pairs * sizeof *r->row_is_ground);
}

/* Turns texels of the ground into brightness and light. */
static void light_ground(struct sl_renderer *r, const uint16_t *restrict gain)
{
    const uint32_t *restrict texels = r->texels;
    const uint16_t *restrict shades = r->shade_linear;
    const struct material *restrict materials = r->materials;
    uint16_t *restrict luma = r->row_luma, *restrict light = r->row_gain;
    uint8_t *restrict rough = r->row_grain;
    uint32_t pairs = r->pairs;
    for (uint32_t i = 0; i < pairs; i++) {
        uint32_t t = texels[i];
        luma[i] = (uint16_t)((t & 255) << 2);
        light[i] = (uint16_t)((uint32_t)gain[i] * shades[t >> 8 & 255] / SHADE_ONE);
        rough[i] = materials[t >> 16 & 255].grain;
    }
}

static void colour_ground(struct sl_renderer *r)
{
    const uint32_t *restrict texels = r->texels;
    const struct material *restrict materials = r->materials;
    int8_t *restrict cb = r->row_cb, *restrict cr = r->row_cr;
    uint32_t pairs = r->pairs;
    for (uint32_t i = 0; i < pairs; i++) {
        uint32_t t = texels[i];
        struct material m = materials[t >> 16 & 255];
        /* Dry terrain is yellower, the road has no such tint. */
        int tint = ((int)(t >> 24) - 128) * (255 - (int)(t >> 16 & 255));
        cb[i] = (int8_t)(m.cb - tint / 4096);
        cr[i] = (int8_t)(m.cr + tint / 2048);
    }
}

static void light_sky(struct sl_renderer *r, size_t base, int turn, int lift, bool some_ground)
{
    int sat = r->look.saturation;
    for (uint32_t i = 0; i < r->pairs; i++) {
        if (some_ground && r->row_is_ground[i])
            continue;
        uint32_t t =
            sl_sky_texel(&r->sky, r->sky_at[base + i][0] + turn, r->sky_at[base + i][1] + lift);
        r->row_luma[i] = (uint16_t)((t & 255) << 2);
        r->row_gain[i] = r->gain[base + i];
        r->row_grain[i] = 0;
        r->row_cb[i] = (int8_t)((int8_t)(t >> 8 & 255) * sat / 16 + r->look.tint_cb);
        r->row_cr[i] = (int8_t)((int8_t)(t >> 16 & 255) * sat / 16 + r->look.tint_cr);
    }
}

/* Lays the coats of one block over its light. `white` and `yellow` get what
 * covers each of its pixels. */
static void paint_block(struct sl_renderer *r, uint32_t row, uint32_t from, uint32_t to,
                        uint8_t flags, const uint8_t *wear, uint32_t *white, uint32_t *yellow)
{
    const uint32_t white_light = r->to_linear[r->look.white_grey * 4];
    const uint32_t yellow_light = r->to_linear[r->look.yellow_grey * 4];
    size_t base = (size_t)row * r->width;
    for (uint32_t x = from; x < to; x++) {
        uint32_t light = r->row_linear[x];
        for (int coat = 0; coat < SL_COATS; coat++) {
            uint32_t cover = flags & 1u << coat ? r->raster.cover[coat][base + x] : 0;
            if (cover > SL_RASTER_FULL)
                cover = SL_RASTER_FULL;
            if (coat == SL_COAT_DARK) {
                light -= light * cover / SL_RASTER_FULL * 5 / 8;
                continue;
            }
            cover = cover * wear[r->row_fine[x]] / 255;
            uint32_t paint = coat == SL_COAT_WHITE ? white_light : yellow_light;
            light = (light * (SL_RASTER_FULL - cover) + paint * cover) / SL_RASTER_FULL;
            (coat == SL_COAT_WHITE ? white : yellow)[x - from] = cover;
        }
        r->row_linear[x] = (uint16_t)light;
    }
}

static void clear_block(struct sl_renderer *r, uint32_t row, uint32_t from, uint32_t to,
                        uint8_t flags)
{
    for (int coat = 0; coat < SL_COATS; coat++)
        if (flags & 1u << coat)
            memset(r->raster.cover[coat] + (size_t)row * r->width + from, 0,
                   (to - from) * sizeof(uint16_t));
}

#define BLOCK (1u << SL_RASTER_BLOCK_LOG2)

/* Every pixel's place in the fine patterns. */
static void find_fine(struct sl_renderer *r, int level)
{
    const int32_t *restrict gx = r->ground_x, *restrict gy = r->ground_y;
    uint32_t *restrict fine = r->row_fine;
    int side_log2 = SL_GROUND_FINE_LOG2 - level, shift = 3 + level;
    uint32_t mask = (1u << side_log2) - 1, pairs = r->pairs;
    for (uint32_t i = 0; i < pairs; i++) {
        int32_t hx = (gx[i + 1] - gx[i]) >> 2, hy = (gy[i + 1] - gy[i]) >> 2;
        fine[2 * i] = (((uint32_t)(gy[i] - hy) >> shift & mask) << side_log2) +
                      ((uint32_t)(gx[i] - hx) >> shift & mask);
        fine[2 * i + 1] = (((uint32_t)(gy[i] + hy) >> shift & mask) << side_log2) +
                          ((uint32_t)(gx[i] + hx) >> shift & mask);
    }
}

/* Linear reflectance of every pixel, its grain included. */
static void reflect_row(struct sl_renderer *r, int fine_level, bool some_ground)
{
    const uint16_t *restrict to_linear = r->to_linear, *restrict luma = r->row_luma;
    uint16_t *restrict out = r->row_linear;
    uint32_t pairs = r->pairs;
    if (!some_ground) {
        for (uint32_t i = 0; i < pairs; i++)
            out[2 * i] = out[2 * i + 1] = to_linear[luma[i]];
        return;
    }
    const uint32_t *restrict fine = r->row_fine;
    const uint8_t *restrict roughness = r->row_grain;
    const int8_t *restrict grain = r->ground.grain[fine_level];
    /* Grain of at most 127 * 255 >> 6, below 512: one comparison of bits
     * tells whether a grey level left the table. */
    for (uint32_t i = 0; i < pairs; i++) {
        int32_t grey = luma[i], rough = roughness[i];
        int32_t a = grey + (grain[fine[2 * i]] * rough >> 6);
        int32_t b = grey + (grain[fine[2 * i + 1]] * rough >> 6);
        if ((a | b) & ~1023) {
            a = clamp_int(a, 0, 1023);
            b = clamp_int(b, 0, 1023);
        }
        out[2 * i] = to_linear[a];
        out[2 * i + 1] = to_linear[b];
    }
}

/* Reflectance times light, through the tone curve, with noise. */
static void expose_row(struct sl_renderer *r, const int8_t *restrict noise, uint8_t *restrict luma)
{
    const uint16_t *restrict linear = r->row_linear, *restrict gain = r->row_gain;
    const uint16_t *restrict lift = r->row_lift, *restrict tones = r->tone;
    uint16_t *restrict at = r->row_tone;
    uint32_t pairs = r->pairs, width = r->width;
    for (uint32_t i = 0; i < pairs; i++) {
        uint32_t a = ((uint32_t)linear[2 * i] * gain[i] >> 16) + lift[i];
        uint32_t b = ((uint32_t)linear[2 * i + 1] * gain[i] >> 16) + lift[i];
        a >>= TONE_SHIFT;
        b >>= TONE_SHIFT;
        at[2 * i] = tones[a < TONE_SIZE ? a : TONE_SIZE - 1];
        at[2 * i + 1] = tones[b < TONE_SIZE ? b : TONE_SIZE - 1];
    }
    for (uint32_t x = 0; x < width; x++) {
        int16_t rough = (int16_t)((int16_t)noise[x] * (int16_t)(at[x] >> 8));
        int16_t grey = (int16_t)((int16_t)(at[x] & 255) +
                                 (int16_t)((rough + (1 << (NOISE_SHIFT - 1))) >> NOISE_SHIFT));
        luma[x] = (uint8_t)(grey < 0 ? 0 : grey > 255 ? 255 : grey);
    }
}

static void colour_row(const struct sl_renderer *r, const int8_t *restrict noise,
                       const uint8_t *restrict luma, uint8_t *restrict chroma)
{
    const int8_t *restrict cb = r->row_cb, *restrict cr = r->row_cr;
    uint32_t pairs = r->pairs;
    /* Chroma's noise is a quarter of luma's. */
    const int shift = NOISE_SHIFT + 2;
    for (uint32_t i = 0; i < pairs; i++) {
        int32_t y = (luma[2 * i] + luma[2 * i + 1]) >> 1;
        int32_t level = r->noise_level[y];
        int32_t b = 128 + (cb[i] * y >> 7) + ((noise[2 * i] * level + (1 << (shift - 1))) >> shift);
        int32_t c =
            128 + (cr[i] * y >> 7) + ((noise[2 * i + 1] * level + (1 << (shift - 1))) >> shift);
        chroma[2 * i] = (uint8_t)clamp_int(b, 0, 255);
        chroma[2 * i + 1] = (uint8_t)clamp_int(c, 0, 255);
    }
}

/* Paints the blocks of a row that outlines touch. */
static void paint_row(struct sl_renderer *r, uint32_t row, int fine_level, bool some_ground)
{
    uint8_t *flags = r->raster.flags + (size_t)row * r->raster.block_columns;
    const int sat = r->look.saturation, tint_cb = r->look.tint_cb, tint_cr = r->look.tint_cr;
    for (uint32_t block = 0; block < r->raster.block_columns; block++) {
        if (flags[block] == 0)
            continue;
        uint32_t from = block * BLOCK, to = from + BLOCK < r->width ? from + BLOCK : r->width;
        uint32_t white[BLOCK] = {0}, yellow[BLOCK] = {0};
        if (some_ground) {
            paint_block(r, row, from, to, flags[block], r->ground.wear[fine_level], white, yellow);
            for (uint32_t x = from; x < to; x += 2) {
                int32_t w = (int32_t)(white[x - from] + white[x - from + 1]) >> 1;
                int32_t y = (int32_t)(yellow[x - from] + yellow[x - from + 1]) >> 1;
                int32_t bare = SL_RASTER_FULL - w - y;
                bare = bare < 0 ? 0 : bare;
                int32_t cb =
                    r->row_cb[x >> 1] * bare + tint_cb * w + (YELLOW_CB * sat / 16 + tint_cb) * y;
                int32_t cr =
                    r->row_cr[x >> 1] * bare + tint_cr * w + (YELLOW_CR * sat / 16 + tint_cr) * y;
                r->row_cb[x >> 1] = (int8_t)(cb / SL_RASTER_FULL);
                r->row_cr[x >> 1] = (int8_t)(cr / SL_RASTER_FULL);
            }
        }
        clear_block(r, row, from, to, flags[block]);
        flags[block] = 0;
    }
}

/* ---- exposure and formats ---- */

static void set_tone(struct sl_renderer *r)
{
    uint32_t gain = (uint32_t)(r->gain_now * 4096 + 0.5);
    for (uint32_t i = 0; i < TONE_SIZE; i++) {
        uint32_t at = i * gain >> 12;
        uint32_t grey = r->tone_grey[at < TONE_SIZE ? at : TONE_SIZE - 1];
        r->tone[i] = (uint16_t)(grey | (uint32_t)r->noise_level[grey] << 8);
    }
}

/* Follows the mean of the lower two thirds, as cameras for roads do: the sky
 * must not decide how bright the road is. */
static void meter(struct sl_renderer *r, const uint8_t *luma, uint64_t time_ns)
{
    uint64_t sum = 0, count = 0;
    for (uint32_t y = r->height / 3; y < r->height; y += 8)
        for (uint32_t x = 0; x < r->width; x += 8) {
            sum += luma[(size_t)y * r->width + x];
            count++;
        }
    double mean = (double)sum / (double)count;
    double wanted = r->gain_now * sl_exact_pow(r->look.metered_grey / (mean + 1), 1.6);
    wanted = clamp(wanted, r->look.gain_min, r->look.gain_max);
    double dt = r->metered ? (double)(time_ns - r->metered_ns) * 1e-9 : 0;
    if (!(dt >= 0 && dt < 1))
        dt = 0;
    r->gain_now += (wanted - r->gain_now) * dt / (dt + 0.4);
    r->metered = true;
    r->metered_ns = time_ns;
}

static void to_bgr(const uint8_t *nv12, uint32_t width, uint32_t height, uint8_t *out)
{
    const uint8_t *chroma = nv12 + (size_t)width * height;
    for (uint32_t y = 0; y < height; y++) {
        const uint8_t *l = nv12 + (size_t)y * width, *c = chroma + (size_t)(y / 2) * width;
        uint8_t *o = out + (size_t)y * width * 3;
        for (uint32_t x = 0; x < width; x += 2) {
            /* Full-range BT.601, as JPEG has it, in 1/1024. */
            int cb = c[x] - 128, cr = c[x + 1] - 128;
            int blue = (1815 * cb + 512) >> 10;
            int green = (-352 * cb - 731 * cr + 512) >> 10;
            int red = (1436 * cr + 512) >> 10;
            for (uint32_t k = 0; k < 2; k++, o += 3) {
                int luma = l[x + k];
                o[0] = (uint8_t)clamp_int(luma + blue, 0, 255);
                o[1] = (uint8_t)clamp_int(luma + green, 0, 255);
                o[2] = (uint8_t)clamp_int(luma + red, 0, 255);
            }
        }
    }
}

void sl_renderer_draw(struct sl_renderer *r, const struct sl_render_view *view, uint8_t *memory)
{
    struct eye eye;
    eye_at(r, view, 0, &eye);
    set_tone(r);

    /* Markings, at several moments of the exposure: as many as the blur at
     * the lower edge is worth. */
    double reach = view->speed_mps * r->look.exposure_s;
    double bottom_m = r->config.camera.height_m * 1.5;
    double blur_px =
        r->config.camera.fy_px * reach * r->config.camera.height_m / (bottom_m * bottom_m);
    int moments = clamp_int((int)(blur_px / 2.5) + 1, 1, SUB_MAX);
    for (int i = 0; i < moments; i++) {
        struct eye then;
        eye_at(r, view, ((i + 0.5) / moments - 0.5) * r->look.exposure_s, &then);
        draw_outlines(r, &then, 1.0f / (float)moments);
    }
    int sky_turn = (int)floor(view->yaw_rad * SL_SKY_TEXELS_PER_RAD + 0.5);
    int sky_lift = (int)floor(-view->pitch_rad * SL_SKY_TEXELS_PER_RAD + 0.5);
    if (r->config.light == SL_SIM_GLARE)
        fill_glare(r, &eye);
    if (r->wet_sky != NULL)
        fill_wet_mirror(r, sky_turn, sky_lift);

    bool direct = r->config.format == SL_FORMAT_NV12;
    uint8_t *luma = r->config.format == SL_FORMAT_BGR24 ? r->scratch : memory;
    uint8_t *chroma =
        direct || r->config.format == SL_FORMAT_BGR24 ? luma + (size_t)r->width * r->height : NULL;
    struct sl_random noise_random = sl_random_make(r->config.seed ^ 0x667261, view->frame_id);
    for (uint32_t row = 0; row < r->height; row++) {
        /* The ends of a row and its middle tell what is in it: with a lens
         * that bends the horizon, more than a row of linear pairs would. */
        bool some_ground = false, some_sky = false;
        for (uint32_t k = 0; k <= 4; k++) {
            double x, y;
            pair_normal(r, (r->pairs - 1) * k / 4, row, &x, &y);
            double down = -(eye.rotation[2][0] * x + eye.rotation[2][1] * y + eye.rotation[2][2]);
            if (down > (r->distorted ? -0.01 : LEAST_DOWN))
                some_ground = true;
            if (down <= (r->distorted ? 0.01 : LEAST_DOWN))
                some_sky = true;
        }
        size_t base = (size_t)row * r->pairs;
        bool coloured = chroma != NULL && row % 2 == 0;
        int fine_level = 0;
        find_horizon(r, &eye, row, some_ground, some_sky);
        if (some_ground) {
            fine_level = look_at_ground(r, &eye, row, reach);
            light_ground(r, r->gain + base);
            if (coloured)
                colour_ground(r);
            find_fine(r, fine_level);
        }
        if (some_sky)
            light_sky(r, base, sky_turn, sky_lift, some_ground);
        memcpy(r->row_lift, r->lift + base, r->pairs * sizeof *r->row_lift);
        if (r->config.light == SL_SIM_GLARE || r->wet_sky != NULL)
            add_glare(r, row);
        if (r->wet_sky != NULL && some_ground && coloured)
            fade_colour(r);
        reflect_row(r, fine_level, some_ground);
        paint_row(r, row, fine_level, some_ground);
        uint64_t random = sl_random_next(&noise_random);
        uint32_t limit = (1u << NOISE_LOG2) - r->width;
        uint8_t *out = luma + (size_t)row * r->width;
        expose_row(r, r->noise + (uint32_t)random % limit, out);
        if (coloured)
            colour_row(r, r->noise + (uint32_t)(random >> 32) % limit, out,
                       chroma + (size_t)(row / 2) * r->width);
    }
    meter(r, luma, view->time_ns);
    if (r->config.format == SL_FORMAT_BGR24)
        to_bgr(r->scratch, r->width, r->height, memory);
}
