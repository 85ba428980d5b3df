#include "tools/sim/ground.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "tools/sim/exact.h"
#include "tools/sim/random.h"

#define TEXELS_PER_LANE 32.0
#define SIDE_LOG2_MAX   12
#define MARGIN_LANES    22.0 /* terrain around the track before it repeats */
#define NOISE_LOG2      10
#define NOISE_SIDE      (1 << NOISE_LOG2)
#define FINE_SIDE       (1 << SL_GROUND_FINE_LOG2)

/* A full-size lane: lengths of things on and beside the road are given for
 * it, and shrink with the lane on small tracks. */
#define FULL_LANE_M 3.5

struct making {
    struct sl_ground *g;
    const struct sl_ground_config *c;
    double scale;           /* lane width over FULL_LANE_M */
    uint8_t *noise;         /* clouds of all sizes, repeating; mean 128 */
    double left_m, right_m; /* edges of the asphalt */
};

/* Clouds: lattices of random heights, each twice as fine and `fade` times as
 * strong as the one before, smoothly interpolated, repeating at the edges. */
static int make_clouds(uint8_t *out, int side_log2, int first_log2, double fade, uint64_t seed)
{
    int side = 1 << side_log2;
    float *sum = calloc((size_t)side * (size_t)side, sizeof *sum);
    float *lattice = malloc((size_t)side * (size_t)side * sizeof *lattice);
    if (sum == NULL || lattice == NULL) {
        free(sum);
        free(lattice);
        return -ENOMEM;
    }
    double strength = 1, power = 0;
    for (int cells_log2 = first_log2; cells_log2 <= side_log2; cells_log2++, strength *= fade) {
        int cells = 1 << cells_log2, mask = cells - 1, step = 1 << (side_log2 - cells_log2);
        struct sl_random r = sl_random_make(seed, (uint64_t)cells_log2);
        for (int i = 0; i < cells * cells; i++)
            lattice[i] = (float)(strength * (2 * sl_random_unit(&r) - 1));
        power += strength * strength * (step > 1 ? 0.19 : 0.33);
        for (int y = 0; y < side; y++) {
            float fy = (float)(y % step) / (float)step;
            fy = fy * fy * (3 - 2 * fy);
            const float *a = lattice + (size_t)(y / step) * (size_t)cells;
            const float *b = lattice + (size_t)((y / step + 1) & mask) * (size_t)cells;
            float *row = sum + (size_t)y * (size_t)side;
            for (int cx = 0; cx < cells; cx++) {
                int cx1 = (cx + 1) & mask;
                float left = a[cx] + (b[cx] - a[cx]) * fy;
                float right = a[cx1] + (b[cx1] - a[cx1]) * fy;
                for (int k = 0; k < step; k++) {
                    float fx = (float)k / (float)step;
                    fx = fx * fx * (3 - 2 * fx);
                    row[cx * step + k] += left + (right - left) * fx;
                }
            }
        }
    }
    float gain = (float)(40 / sqrt(power));
    for (int i = 0; i < side * side; i++) {
        float v = 128.5f + sum[i] * gain;
        out[i] = (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
    }
    free(sum);
    free(lattice);
    return 0;
}

static int cloud(const struct making *m, int x, int y)
{
    return (int)m->noise[(size_t)(y & (NOISE_SIDE - 1)) * NOISE_SIDE +
                         (size_t)(x & (NOISE_SIDE - 1))] -
           128;
}

static int clamp_int(int v, int low, int high)
{
    return v < low ? low : v > high ? high : v;
}

static double smooth(double edge0, double edge1, double x)
{
    double t = (x - edge0) / (edge1 - edge0);
    t = t < 0 ? 0 : t > 1 ? 1 : t;
    return t * t * (3 - 2 * t);
}

/* ---- what the surfaces look like ---- */

/* Rain darkens what is rough or porous: light that enters the water is mirrored
 * back inside and meets the ground again. Half of asphalt's light is lost, a
 * third of sand's, little of grass's; a floor of lacquer or vinyl only looks
 * darker where water stands. `keep` is the share of the grey level that is
 * left: the power 1 / 2.2 of the share of light. */
static int wet_luma(const struct making *m, int luma, double keep)
{
    return m->c->light == SL_SIM_RAIN ? (int)(luma * keep) : luma;
}

static uint32_t terrain_texel(const struct making *m, int x, int y)
{
    int fine = cloud(m, x * 3 + 91, y * 3 + 17), wide = cloud(m, x >> 2, y >> 2);
    int widest = cloud(m, (x >> 5) + 300, (y >> 5) + 700);
    if (sl_track_surface(m->c->track) == SL_TRACK_INDOOR) {
        /* Planks, half a lane wide. */
        int plank = (y >> 4) * 37 + ((x + (y >> 4) * 55) >> 7) * 101;
        int luma = 112 + cloud(m, plank * 13, plank * 7) / 8 + cloud(m, x >> 2, y * 5) / 14;
        if ((y & 15) == 0 || ((x + (y >> 4) * 55) & 127) == 0)
            luma -= 16;
        return SL_GROUND_TEXEL(clamp_int(luma, 20, 235), 255, 0, 128);
    }
    int luma = 88 + fine / 5 + wide / 6 + widest / 5;
    int tint = clamp_int(128 + wide / 2 + widest, 0, 255);
    if (m->c->light == SL_SIM_RAIN)
        tint = 128; /* nothing is dry */
    return SL_GROUND_TEXEL(clamp_int(wet_luma(m, luma, 0.9), 20, 235), 255, 0, tint);
}

/* How much of the road's surface is smooth water: a film between the stones
 * everywhere, more in the ruts that tyres leave (`rut`, 0..1) and toward the
 * edge, where the road drains (`edge`, 0..1), and puddles in its hollows. */
static double water_share(const struct making *m, int x, int y, double rut, double edge)
{
    int near = cloud(m, x * 2 + 611, y * 2 + 253), wide = cloud(m, (x >> 1) + 433, (y >> 1) + 87);
    double hollow = 0.6 * near + 0.6 * wide + 20 * rut + 24 * edge;
    double share = 0.26 + 0.0014 * near + 0.18 * rut + 0.10 * edge + 0.55 * smooth(30, 62, hollow);
    return share < 0.05 ? 0.05 : share > 1 ? 1 : share;
}

static uint32_t asphalt_texel(const struct making *m, int x, int y, int luma, double rut,
                              double edge)
{
    if (m->c->light != SL_SIM_RAIN)
        return SL_GROUND_TEXEL(clamp_int(luma, 20, 235), 255, 255, 128);
    double water = water_share(m, x, y, rut, edge);
    bool indoor = sl_track_surface(m->c->track) == SL_TRACK_INDOOR;
    luma = wet_luma(m, luma, indoor ? 0.95 - 0.1 * water : 0.74 - 0.12 * water);
    return SL_GROUND_TEXEL(clamp_int(luma, 20, 235), 255, 255, (int)(water * 255));
}

static int asphalt_luma(const struct making *m, int x, int y)
{
    int fine = cloud(m, x * 2 + 501, y * 2 + 77), wide = cloud(m, (x >> 2) + 40, (y >> 2) + 9);
    if (sl_track_surface(m->c->track) == SL_TRACK_INDOOR)
        return 92 + fine / 20 + wide / 16;
    return 104 + fine / 14 + wide / 12;
}

/* A point of the road or of what lies beside it, by its lateral place. */
static uint32_t road_texel(const struct making *m, int x, int y, double offset, uint32_t terrain)
{
    double unit = m->scale;
    bool indoor = sl_track_surface(m->c->track) == SL_TRACK_INDOOR;
    double ragged = indoor ? 0 : cloud(m, x + 33, y + 71) * 0.0022 * unit;
    double beyond = offset > 0 ? offset - m->left_m : m->right_m - offset;
    beyond += ragged;
    double soft = 0.06 * unit;
    if (beyond < -soft || indoor) {
        if (beyond > 0)
            return terrain;
        int luma = asphalt_luma(m, x, y);
        double rut = 0;
        if (!indoor) {
            /* Tyres polish two tracks in each lane, oil darkens between. */
            double lane = sl_track_lane_width_m(m->c->track);
            double within = offset / lane + 0.5;
            within = (within - floor(within) - 0.5) * lane;
            double track = fabs(fabs(within) - 0.8 * unit) / (0.35 * unit);
            double oil = fabs(within) / (0.4 * unit);
            if (track < 1) {
                luma += (int)(4.5 * (1 - track));
                rut = 1 - track;
            }
            if (oil < 1)
                luma -= (int)(5.5 * (1 - oil));
        }
        double edge = indoor ? 0 : 1 + beyond / (0.7 * unit);
        return asphalt_texel(m, x, y, luma, rut, edge > 0 ? edge : 0);
    }
    /* A strip of sand and gravel between asphalt and grass. */
    double verge = 0.55 * unit + ragged * 2;
    if (beyond < verge) {
        int luma = 112 + cloud(m, x * 3 + 7, y * 3) / 5;
        double t = beyond < 0 ? 0 : beyond / verge;
        int material = (int)(150 - 90 * t);
        luma += (int)((88 - luma) * t * t);
        luma = wet_luma(m, luma, 0.8);
        return SL_GROUND_TEXEL(clamp_int(luma, 20, 235), 255, material, 190);
    }
    return terrain;
}

/* ---- places ---- */

static uint32_t *texel_at(const struct making *m, int x, int y)
{
    int wmask = (1 << m->g->width_log2) - 1, hmask = (1 << m->g->height_log2) - 1;
    return &m->g->levels[0][((size_t)(y & hmask) << m->g->width_log2) + (size_t)(x & wmask)];
}

static int texel_x(const struct making *m, double x_m)
{
    return (int)floor((x_m - m->g->origin_m[0]) / m->g->texel_m);
}

static int texel_y(const struct making *m, double y_m)
{
    return (int)floor((y_m - m->g->origin_m[1]) / m->g->texel_m);
}

/* Terrain everywhere: one noisy square, repeated with its neighbours' rows
 * shifted, because a texel of its own everywhere takes too long. */
static void lay_terrain(const struct making *m)
{
    int width = 1 << m->g->width_log2, height = 1 << m->g->height_log2;
    for (int y = 0; y < height; y++) {
        uint32_t *row = m->g->levels[0] + ((size_t)y << m->g->width_log2);
        if (y >= NOISE_SIDE) {
            const uint32_t *old = row - ((size_t)NOISE_SIDE << m->g->width_log2);
            int shift = 389 & (width - 1);
            memcpy(row, old + shift, (size_t)(width - shift) * sizeof *row);
            memcpy(row + width - shift, old, (size_t)shift * sizeof *row);
            continue;
        }
        for (int x = 0; x < width; x++)
            row[x] = x >= NOISE_SIDE ? row[x - NOISE_SIDE] : terrain_texel(m, x, y);
    }
}

/* The road: every texel of every square that comes near it is projected. */
static int lay_road(const struct making *m)
{
    enum { SQUARE = 16 };
    int width = 1 << m->g->width_log2, height = 1 << m->g->height_log2;
    double texel = m->g->texel_m;
    double reach = (m->left_m > -m->right_m ? m->left_m : -m->right_m) + 1.2 * m->scale;
    double half = SQUARE * texel * 0.75;
    double length = sl_track_length_m(m->c->track);
    int columns = width / SQUARE, rows = height / SQUARE;
    /* Squares that the road passes, with the place along it: walk the line. */
    float *along = malloc((size_t)columns * (size_t)rows * sizeof *along);
    if (along == NULL)
        return -ENOMEM;
    for (int i = 0; i < columns * rows; i++)
        along[i] = -1;
    int spread = (int)((reach + half) / (SQUARE * texel)) + 1;
    for (double s = 0; s < length; s += half) {
        struct sl_track_pose p;
        sl_track_pose_at(m->c->track, s, &p);
        int cx = texel_x(m, p.x_m) / SQUARE, cy = texel_y(m, p.y_m) / SQUARE;
        for (int y = cy - spread; y <= cy + spread; y++) {
            for (int x = cx - spread; x <= cx + spread; x++) {
                if (x < 0 || y < 0 || x >= columns || y >= rows)
                    continue;
                if (along[y * columns + x] < 0)
                    along[y * columns + x] = (float)s;
            }
        }
    }
    for (int sy = 0; sy < rows; sy++) {
        for (int sx = 0; sx < columns; sx++) {
            if (along[sy * columns + sx] < 0)
                continue;
            struct sl_track_projection p;
            double mx = m->g->origin_m[0] + (sx + 0.5) * SQUARE * texel;
            double my = m->g->origin_m[1] + (sy + 0.5) * SQUARE * texel;
            sl_track_project(m->c->track, mx, my, (double)along[sy * columns + sx], &p);
            if (fabs(p.offset_m) > reach + half)
                continue;
            for (int y = sy * SQUARE; y < (sy + 1) * SQUARE; y++) {
                for (int x = sx * SQUARE; x < (sx + 1) * SQUARE; x++) {
                    double wx = m->g->origin_m[0] + (x + 0.5) * texel;
                    double wy = m->g->origin_m[1] + (y + 0.5) * texel;
                    /* Distance from the arc through the square's foot: the
                     * curvature hardly changes within a square. */
                    double k = p.foot.curvature_1pm, sine, cosine;
                    double dx = wx - p.foot.x_m, dy = wy - p.foot.y_m;
                    sl_exact_sincos(p.foot.heading_rad, &sine, &cosine);
                    double ahead = dx * cosine + dy * sine, side = -dx * sine + dy * cosine;
                    double d2 = ahead * ahead + side * side;
                    double q = 1 - 2 * k * side + k * k * d2;
                    double offset = (2 * side - k * d2) / (1 + sqrt(q > 0 ? q : 0));
                    uint32_t *t = texel_at(m, x, y);
                    if (fabs(offset) < reach)
                        *t = road_texel(m, x, y, offset, *t);
                }
            }
        }
    }
    free(along);
    return 0;
}

/* Calls `set` for every texel of a strip along the road (or across it where
 * the strip is wider than long), several times for some. */
static void for_strip(const struct making *m, double s0, double s1, double d0, double d1,
                      void (*set)(const struct making *m, uint32_t *texel, int x, int y, int kind),
                      int kind)
{
    double step = m->g->texel_m * 0.6;
    for (double s = s0; s <= s1; s += step) {
        struct sl_track_pose p;
        double sine, cosine;
        sl_track_pose_at(m->c->track, s, &p);
        sl_exact_sincos(p.heading_rad, &sine, &cosine);
        for (double d = d0; d <= d1; d += step) {
            int x = texel_x(m, p.x_m - sine * d), y = texel_y(m, p.y_m + cosine * d);
            set(m, texel_at(m, x, y), x, y, kind);
        }
    }
}

static void set_asphalt(const struct making *m, uint32_t *texel, int x, int y, int kind)
{
    (void)kind;
    if ((*texel >> 16 & 255) != 255)
        *texel = asphalt_texel(m, x, y, asphalt_luma(m, x, y), 0, 0);
}

static void set_patch(const struct making *m, uint32_t *texel, int x, int y, int kind)
{
    /* Too new for ruts. */
    *texel = asphalt_texel(m, x, y, asphalt_luma(m, x, y) + kind, 0, 0);
}

static void lay_crossings(const struct making *m)
{
    for (size_t i = 0; i < sl_track_section_count(m->c->track); i++) {
        const struct sl_track_section *s = sl_track_section(m->c->track, i);
        double arm = 14 * sl_track_lane_width_m(m->c->track);
        double kerb = 0.12 * s->length_m;
        if (s->crossing)
            for_strip(m, s->start_m + kerb, s->start_m + s->length_m - kerb, m->right_m - arm,
                      m->left_m + arm, set_asphalt, 0);
    }
}

static void lay_patches(const struct making *m)
{
    struct sl_random r = sl_random_make(m->c->seed, 0x7061746368);
    double lane = sl_track_lane_width_m(m->c->track);
    for (size_t i = 0; i < sl_track_section_count(m->c->track); i++) {
        const struct sl_track_section *s = sl_track_section(m->c->track, i);
        double every = 9 * m->scale / (s->patches > 0.01 ? s->patches : 0.01);
        for (double at = s->start_m + sl_random_between(&r, 0, every);
             at < s->start_m + s->length_m - 1 * m->scale;
             at += sl_random_between(&r, 0.3, 1.7) * every) {
            double length = sl_random_between(&r, 1, 6) * m->scale;
            double width = sl_random_between(&r, 0.6, 2.6) * m->scale;
            double middle =
                sl_random_between(&r, m->right_m + width / 2 + 0.2 * lane, m->left_m - width / 2);
            if (at + length > s->start_m + s->length_m)
                length = s->start_m + s->length_m - at;
            /* New asphalt is darker, concrete lighter. */
            int kind = sl_random_unit(&r) < 0.7 ? (int)sl_random_between(&r, -30, -12)
                                                : (int)sl_random_between(&r, 10, 30);
            for_strip(m, at, at + length, middle - width / 2, middle + width / 2, set_patch, kind);
        }
    }
}

/* ---- shadows ---- */

static void darken(const struct making *m, double x_m, double y_m, double share)
{
    uint32_t *t = texel_at(m, texel_x(m, x_m), texel_y(m, y_m));
    /* The sky alone lights shadows: a fifth of the sun's light, which is half
     * the grey level. */
    uint32_t shade = (uint32_t)(255 - 130 * share);
    if ((*t >> 8 & 255) > shade)
        *t = (*t & ~UINT32_C(0xff00)) | shade << 8;
}

static void shade_tree(const struct making *m, double x_m, double y_m, double trunk_m,
                       double crown_m, int look)
{
    double sine, cosine, up_sine, up_cosine;
    sl_exact_sincos(m->c->sun_azimuth_rad, &sine, &cosine);
    sl_exact_sincos(m->c->sun_elevation_rad, &up_sine, &up_cosine);
    double throw_ = up_cosine / up_sine; /* length of shadow by height */
    double fx = -cosine, fy = -sine;     /* direction in which shadows fall */
    double step = m->g->texel_m * 0.7;
    double centre = (trunk_m + crown_m * 0.8) * throw_;
    double half_along = crown_m / up_sine, half_across = crown_m;
    for (double a = -half_along; a <= half_along; a += step) {
        double u = a / half_along;
        double across = half_across * sqrt(1 - u * u < 0 ? 0 : 1 - u * u);
        for (double b = -across; b <= across; b += step) {
            double v = b / half_across;
            double rho = u * u + v * v;
            int nx = (int)(u * crown_m * 26 / m->scale) + look * 131;
            int ny = (int)(v * crown_m * 26 / m->scale) + look * 57;
            double leaves = (cloud(m, nx, ny) + cloud(m, nx * 3, ny * 3) * 0.6) / 110.0;
            double cover = smooth(-0.10, 0.22, 0.42 - 0.7 * rho + 1.25 * leaves);
            if (cover > 0.02)
                darken(m, x_m + fx * (centre + a) - fy * b, y_m + fy * (centre + a) + fx * b,
                       cover);
        }
    }
    double thick = 0.16 * m->scale * (1 + crown_m / m->scale / 6);
    for (double a = 0; a < centre; a += step)
        for (double b = -thick; b <= thick; b += step)
            darken(m, x_m + fx * a - fy * b, y_m + fy * a + fx * b, 0.95);
}

/* Lamp posts, or table legs in a hall: thin bars across the road. */
static void shade_post(const struct making *m, double x_m, double y_m, double height_m)
{
    double sine, cosine;
    sl_exact_sincos(m->c->sun_azimuth_rad, &sine, &cosine);
    double length = height_m / sl_exact_tan(m->c->sun_elevation_rad);
    double step = m->g->texel_m * 0.7;
    for (double a = 0; a < length; a += step)
        for (double b = -0.11 * m->scale; b <= 0.11 * m->scale; b += step)
            darken(m, x_m - cosine * a + sine * b, y_m - sine * a - cosine * b, 0.9);
}

static void lay_shadows(const struct making *m)
{
    const struct sl_track *track = m->c->track;
    struct sl_random r = sl_random_make(m->c->seed, 0x7472656573);
    double trees = sl_track_trees(track), length = sl_track_length_m(track);
    bool sunny = m->c->light == SL_SIM_DAY || m->c->light == SL_SIM_GLARE;
    if (!sunny || trees <= 0)
        return;
    int look = 0;
    double every = 11 * m->scale / trees;
    for (int side = -1; side <= 1; side += 2) {
        for (double s = sl_random_between(&r, 0, every); s < length;
             s += every * sl_random_between(&r, 0.4, 1.6)) {
            double crown = sl_random_between(&r, 1.6, 3.6) * m->scale;
            double trunk = sl_random_between(&r, 1.5, 4.0) * m->scale;
            double beyond = sl_random_between(&r, 2.0, 7.0) * m->scale;
            double d = side > 0 ? m->left_m + beyond : m->right_m - beyond;
            struct sl_track_pose p;
            struct sl_track_projection there;
            double sine, cosine;
            sl_track_pose_at(track, s, &p);
            sl_exact_sincos(p.heading_rad, &sine, &cosine);
            double x = p.x_m - sine * d, y = p.y_m + cosine * d;
            look++;
            /* Within bends another part of the road may be nearer. */
            sl_track_project_anywhere(track, x, y, &there);
            if (there.offset_m < m->left_m + 1.2 * m->scale &&
                there.offset_m > m->right_m - 1.2 * m->scale)
                continue;
            if (sl_random_unit(&r) < 0.15)
                shade_post(m, x, y, sl_random_between(&r, 4, 8) * m->scale);
            else
                shade_tree(m, x, y, trunk, crown, look);
        }
    }
}

/* The sun is no point, and texels are squares: edges of shadows are soft. */
static int soften_shadows(const struct making *m)
{
    int width = 1 << m->g->width_log2, height = 1 << m->g->height_log2;
    uint8_t *rows = malloc(3 * (size_t)width);
    bool any[3] = {false, false, false};
    if (rows == NULL)
        return -ENOMEM;
    for (int y = -1; y <= height; y++) {
        /* Row y is read in before row y - 1, between it and y - 2, is written. */
        uint8_t *next = rows + (size_t)((y + 3) % 3) * (size_t)width;
        const uint32_t *from = texel_at(m, 0, y);
        uint8_t least = 255;
        for (int x = 0; x < width; x++) {
            next[x] = (uint8_t)(from[x] >> 8);
            least = next[x] < least ? next[x] : least;
        }
        any[(y + 3) % 3] = least < 255;
        if (y < 1 || !(any[0] || any[1] || any[2]))
            continue;
        const uint8_t *c = next, *b = rows + (size_t)((y + 2) % 3) * (size_t)width;
        const uint8_t *a = rows + (size_t)((y + 1) % 3) * (size_t)width;
        uint32_t *to = texel_at(m, 0, y - 1);
        for (int x = 1; x < width - 1; x++) {
            uint32_t sum = (uint32_t)(a[x - 1] + 2 * a[x] + a[x + 1]) +
                           2u * (uint32_t)(b[x - 1] + 2 * b[x] + b[x + 1]) +
                           (uint32_t)(c[x - 1] + 2 * c[x] + c[x + 1]);
            to[x] = (to[x] & ~UINT32_C(0xff00)) | (sum + 8) >> 4 << 8;
        }
    }
    free(rows);
    return 0;
}

/* ---- coarser levels and fine patterns ---- */

static uint32_t mean4(uint32_t a, uint32_t b, uint32_t c, uint32_t d)
{
    const uint32_t mask = UINT32_C(0x00ff00ff);
    uint32_t low = (a & mask) + (b & mask) + (c & mask) + (d & mask) + UINT32_C(0x00020002);
    uint32_t high = (a >> 8 & mask) + (b >> 8 & mask) + (c >> 8 & mask) + (d >> 8 & mask) +
                    UINT32_C(0x00020002);
    return (low >> 2 & mask) | (high >> 2 & mask) << 8;
}

static void halve(const struct sl_ground *g, int level)
{
    int width = 1 << (g->width_log2 - level), height = 1 << (g->height_log2 - level);
    for (int y = 0; y < height; y++) {
        const uint32_t *a = g->levels[level - 1] + (size_t)y * 4 * (size_t)width;
        const uint32_t *b = a + 2 * (size_t)width;
        uint32_t *out = g->levels[level] + (size_t)y * (size_t)width;
        for (int x = 0; x < width; x++)
            out[x] = mean4(a[2 * x], a[2 * x + 1], b[2 * x], b[2 * x + 1]);
    }
}

static int make_fine(struct making *m)
{
    struct sl_ground *g = m->g;
    uint8_t *clouds = malloc((size_t)FINE_SIDE * FINE_SIDE);
    if (clouds == NULL)
        return -ENOMEM;
    /* Grain: mostly single stones, a little lumpy. */
    int rc = make_clouds(clouds, SL_GROUND_FINE_LOG2, 7, 1.25, m->c->seed ^ 0x677261696e);
    for (int i = 0; rc == 0 && i < FINE_SIDE * FINE_SIDE; i++)
        g->grain[0][i] = (int8_t)((int)clouds[i] - 128);
    /* Wear: paint goes first where the clouds are low. */
    if (rc == 0)
        rc = make_clouds(clouds, SL_GROUND_FINE_LOG2, 3, 0.8, m->c->seed ^ 0x77656172);
    double wear = m->c->wear;
    for (int i = 0; rc == 0 && i < FINE_SIDE * FINE_SIDE; i++) {
        double height = clouds[i] / 255.0;
        double left = smooth(-0.10, 0.10, height - (0.02 + 0.52 * wear));
        left *= 1 - 0.35 * wear;
        g->wear[0][i] = (uint8_t)(left * 255);
    }
    free(clouds);
    for (int level = 1; rc == 0 && level < SL_GROUND_FINE_LEVELS; level++) {
        int side = FINE_SIDE >> level;
        for (int y = 0; y < side; y++) {
            for (int x = 0; x < side; x++) {
                size_t a = (size_t)(4 * y) * (size_t)side + (size_t)(2 * x);
                size_t b = a + 2 * (size_t)side;
                const int8_t *n = g->grain[level - 1];
                const uint8_t *w = g->wear[level - 1];
                size_t to = (size_t)y * (size_t)side + (size_t)x;
                /* Plain means would leave no grain two levels up; real
                 * surfaces are rough at all sizes. */
                g->grain[level][to] =
                    (int8_t)clamp_int((n[a] + n[a + 1] + n[b] + n[b + 1]) * 21 / 64, -127, 127);
                g->wear[level][to] = (uint8_t)((w[a] + w[a + 1] + w[b] + w[b + 1] + 2) / 4);
            }
        }
    }
    return rc;
}

static int log2_up(double value)
{
    int n = 0;
    while (n < 30 && (double)(1 << n) < value)
        n++;
    return n;
}

int sl_ground_make(struct sl_ground *ground, const struct sl_ground_config *config,
                   struct sl_error *err)
{
    struct making m = {.g = ground, .c = config};
    const struct sl_track *track = config->track;
    double lane = sl_track_lane_width_m(track);
    m.scale = lane / FULL_LANE_M;
    m.left_m = sl_track_line_offset_m(track, SL_TRACK_OUTER_LEFT) + sl_track_shoulder_m(track);
    m.right_m = sl_track_line_offset_m(track, SL_TRACK_OUTER_RIGHT) - sl_track_shoulder_m(track);

    double low[2], high[2], margin = MARGIN_LANES * lane;
    memset(ground, 0, sizeof *ground);
    sl_track_bounds(track, low, high);
    double extent[2] = {high[0] - low[0] + 2 * margin, high[1] - low[1] + 2 * margin};
    double longest = extent[0] > extent[1] ? extent[0] : extent[1];
    ground->texel_m = lane / TEXELS_PER_LANE;
    while (longest / ground->texel_m > (double)(1 << SIDE_LOG2_MAX))
        ground->texel_m *= 1.25;
    int logs[2];
    for (int k = 0; k < 2; k++) {
        logs[k] = log2_up(extent[k] / ground->texel_m);
        if (logs[k] < SL_GROUND_LEVELS + 1)
            logs[k] = SL_GROUND_LEVELS + 1;
        ground->origin_m[k] =
            0.5 * (low[k] + high[k]) - 0.5 * (double)(1 << logs[k]) * ground->texel_m;
    }
    ground->width_log2 = logs[0];
    ground->height_log2 = logs[1];

    size_t texels = 0, fine = 0;
    for (int level = 0; level < SL_GROUND_LEVELS; level++)
        texels += (size_t)1 << (logs[0] + logs[1] - 2 * level);
    for (int level = 0; level < SL_GROUND_FINE_LEVELS; level++)
        fine += (size_t)1 << (2 * (SL_GROUND_FINE_LOG2 - level));
    uint8_t *memory = malloc(texels * sizeof(uint32_t) + 2 * fine);
    m.noise = malloc((size_t)NOISE_SIDE * NOISE_SIDE);
    int rc = memory == NULL || m.noise == NULL ? -ENOMEM : 0;
    if (rc == 0) {
        ground->memory = memory;
        for (int level = 0; level < SL_GROUND_LEVELS; level++) {
            ground->levels[level] = (uint32_t *)(void *)memory;
            memory += ((size_t)1 << (logs[0] + logs[1] - 2 * level)) * sizeof(uint32_t);
        }
        for (int level = 0; level < SL_GROUND_FINE_LEVELS; level++) {
            ground->grain[level] = (int8_t *)memory;
            ground->wear[level] = memory + fine;
            memory += (size_t)1 << (2 * (SL_GROUND_FINE_LOG2 - level));
        }
        memory = NULL;
        rc = make_clouds(m.noise, NOISE_LOG2, 3, 0.75, config->seed);
    }
    if (rc == 0)
        rc = make_fine(&m);
    if (rc == 0) {
        lay_terrain(&m);
        rc = lay_road(&m);
    }
    if (rc == 0) {
        lay_crossings(&m);
        lay_patches(&m);
        lay_shadows(&m);
        rc = soften_shadows(&m);
    }
    if (rc == 0) {
        for (int level = 1; level < SL_GROUND_LEVELS; level++)
            halve(ground, level);
    } else {
        if (ground->memory == NULL)
            free(memory);
        sl_ground_free(ground);
        sl_error_set(err, rc, "the ground's texture: out of memory");
    }
    free(m.noise);
    return rc;
}

void sl_ground_free(struct sl_ground *ground)
{
    free(ground->memory);
    memset(ground, 0, sizeof *ground);
}
