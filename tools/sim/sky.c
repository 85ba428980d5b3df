#include "tools/sim/sky.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "tools/sim/exact.h"
#include "tools/sim/random.h"

#define WIDTH (1 << SL_SKY_WIDTH_LOG2)

/* A smooth random curve around the horizon: `knots` heights, `octaves` times
 * as many each time, each half as strong. Result within about -1 and 1. */
static void fill_curve(float *curve, int knots_log2, int octaves, uint64_t seed, uint64_t purpose)
{
    struct sl_random r = sl_random_make(seed, purpose);
    float strength = 0.5f;
    for (int x = 0; x < WIDTH; x++)
        curve[x] = 0;
    for (int o = 0; o < octaves && knots_log2 + o <= SL_SKY_WIDTH_LOG2; o++, strength *= 0.6f) {
        int knots = 1 << (knots_log2 + o), step = WIDTH / knots;
        float first = (float)sl_random_between(&r, -1, 1), a = first;
        for (int k = 0; k < knots; k++) {
            float b = k + 1 < knots ? (float)sl_random_between(&r, -1, 1) : first;
            for (int i = 0; i < step; i++) {
                float t = (float)i / (float)step;
                t = t * t * (3 - 2 * t);
                curve[k * step + i] += (a + (b - a) * t) * strength;
            }
            a = b;
        }
    }
}

static uint32_t texel(double grey, double cb, double cr)
{
    int g = (int)(grey < 0 ? 0 : grey > 255 ? 255 : grey);
    return (uint32_t)g | (uint32_t)(uint8_t)(int8_t)cb << 8 | (uint32_t)(uint8_t)(int8_t)cr << 16;
}

/* Cloud cover from stretched noise that repeats around. */
static float lattice(uint64_t seed, int x, int y, int period)
{
    int wrapped = ((x % period) + period) % period;
    uint64_t h = sl_random_mix(seed ^ sl_random_mix((uint64_t)wrapped * 65536 + (uint64_t)y));
    return (float)(h >> 40) * (1.0f / 8388608.0f) - 1.0f;
}

static float clouds(uint64_t seed, int x, int y)
{
    float sum = 0, strength = 0.55f;
    for (int o = 0; o < 5; o++, strength *= 0.55f) {
        int cx = 256 >> o, cy = 64 >> o;
        int ix = x / cx, iy = y / cy;
        float fx = (float)(x % cx) / (float)cx, fy = (float)(y % cy) / (float)cy;
        fx = fx * fx * (3 - 2 * fx);
        fy = fy * fy * (3 - 2 * fy);
        int period = WIDTH / cx;
        uint64_t s = seed + (uint64_t)o;
        float a = lattice(s, ix, iy, period), b = lattice(s, ix + 1, iy, period);
        float c = lattice(s, ix, iy + 1, period), d = lattice(s, ix + 1, iy + 1, period);
        float top = a + (b - a) * fx, bottom = c + (d - c) * fx;
        sum += (top + (bottom - top) * fy) * strength;
    }
    return sum;
}

/* Grey level of a sky without a gap in its clouds. The sky's mean light is
 * that of a white sheet beneath it, which is grey level 255, and toward the
 * horizon it falls to a third of the zenith's: the CIE's standard overcast sky
 * (ISO 15469), 9/7 (1 + 2 sin elevation) / 3. Brighter than white it clips. */
static double overcast_grey(int up)
{
    double sine, cosine;
    sl_exact_sincos((up > 0 ? up : 0) / SL_SKY_TEXELS_PER_RAD, &sine, &cosine);
    double light = 3.0 / 7 * (1 + 2 * sine);
    return 255 * sl_exact_pow(light < 1 ? light : 1, 1 / 2.2);
}

static void paint_hall(struct sl_sky *sky, uint64_t seed)
{
    struct sl_random r = sl_random_make(seed, 0x68616c6c);
    int x = 0;
    /* Wall panels, doors and shelves of random widths. */
    while (x < WIDTH) {
        int width = (int)sl_random_between(&r, 40, 220);
        double grey = sl_random_between(&r, 95, 175);
        double cb = sl_random_between(&r, -8, 6), cr = sl_random_between(&r, -4, 10);
        int top = (int)sl_random_between(&r, 60, 260);
        for (int i = 0; i < width && x < WIDTH; i++, x++) {
            for (int y = 0; y < SL_SKY_HEIGHT; y++) {
                int up = y - SL_SKY_BELOW;
                double here = up < top ? grey : 178 + up * 0.03;
                double b = up < top ? cb : -2, c = up < top ? cr : 2;
                if (up < 14)
                    here = 62;         /* skirting */
                if (i < 8 && up < top) /* a soft gap between panels */
                    here -= 3 * (i < 4 ? i + 1 : 8 - i);
                sky->texels[y * WIDTH + x] = texel(here, b, c);
            }
        }
    }
}

int sl_sky_make(struct sl_sky *sky, enum sl_sim_light light, bool indoor, uint64_t seed,
                struct sl_error *err)
{
    sky->texels = malloc((size_t)WIDTH * SL_SKY_HEIGHT * sizeof *sky->texels);
    float *hills = malloc(3 * WIDTH * sizeof *hills);
    if (sky->texels == NULL || hills == NULL) {
        free(hills);
        sl_sky_free(sky);
        return sl_error_set(err, -ENOMEM, "the sky's texture: out of memory");
    }
    if (indoor) {
        paint_hall(sky, seed);
        free(hills);
        return 0;
    }
    float *trees = hills + WIDTH, *leaves = trees + WIDTH;
    fill_curve(hills, 4, 6, seed, 0x68696c6c73);
    fill_curve(trees, 5, 8, seed, 0x74726565);
    fill_curve(leaves, 8, 5, seed, 0x6c656176);
    for (int x = 0; x < WIDTH; x++) {
        double hill_top = 14 + 13 * (double)hills[x];
        double tree_top = 3 + 15 * (double)(trees[x] > -0.1f ? trees[x] + 0.1f : 0) +
                          (trees[x] > -0.1f ? 4 * (double)leaves[x] : 0);
        for (int y = 0; y < SL_SKY_HEIGHT; y++) {
            int up = y - SL_SKY_BELOW;
            double height = up / (double)(SL_SKY_HEIGHT - SL_SKY_BELOW);
            double grey, cb, cr;
            if (up < tree_top) {
                grey =
                    62 + 14 * (double)leaves[(x * 7 + y * 131) & (WIDTH - 1)] + (up < 2 ? 12 : 0);
                cb = -9;
                cr = -8;
            } else if (up < hill_top) {
                grey = 118 + 8 * (double)leaves[(x * 3 + y * 61) & (WIDTH - 1)];
                cb = 0;
                cr = -6;
            } else {
                double cover =
                    light == SL_SIM_NIGHT ? 0 : (double)clouds(seed, x, y > 0 ? y : 0) * 1.6 + 0.15;
                cover = cover < 0 ? 0 : cover > 1 ? 1 : cover;
                double t = height > 0 ? height : 0;
                double clear = 214 - 62 * t;
                double blue = 6 + 22 * t, red = -4 - 15 * t;
                if (light == SL_SIM_DUSK) {
                    double low = sl_exact_exp(-t * 7); /* the glow where the sun went */
                    clear = 150 + 80 * low - 30 * t;
                    blue = 12 - 30 * low;
                    red = -6 + 26 * low;
                }
                grey = clear + (232 - clear) * cover * (light == SL_SIM_DUSK ? 0.4 : 1);
                cb = blue * (1 - 0.8 * cover);
                cr = red * (1 - 0.8 * cover);
                if (light == SL_SIM_RAIN) {
                    grey = overcast_grey(up) * (1 + 0.05 * (double)clouds(seed, x, y));
                    cb = 3;
                    cr = -2;
                }
            }
            if (light == SL_SIM_RAIN && (up < hill_top || up < tree_top)) {
                /* A kilometre and more of rain lies before them. */
                grey += (overcast_grey(0) - grey) * (up < tree_top ? 0.35 : 0.6);
                cb *= 0.6;
                cr *= 0.6;
            }
            if (light == SL_SIM_NIGHT && up < hill_top)
                grey *= 0.5;
            sky->texels[y * WIDTH + x] = texel(grey, cb, cr);
        }
    }
    free(hills);
    return 0;
}

void sl_sky_free(struct sl_sky *sky)
{
    free(sky->texels);
    sky->texels = NULL;
}
