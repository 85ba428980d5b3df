#include "tools/sim/raster.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

int sl_raster_make(struct sl_raster *r, uint32_t width_px, uint32_t height_px)
{
    memset(r, 0, sizeof *r);
    size_t pixels = (size_t)width_px * height_px;
    r->width_px = width_px;
    r->height_px = height_px;
    r->block_columns = (width_px + (1u << SL_RASTER_BLOCK_LOG2) - 1) >> SL_RASTER_BLOCK_LOG2;
    r->sums = calloc(((size_t)width_px + 2) * height_px, sizeof *r->sums);
    r->first = calloc(height_px, sizeof *r->first);
    r->last = calloc(height_px, sizeof *r->last);
    r->flags = calloc((size_t)r->block_columns * height_px, 1);
    uint16_t *cover = calloc(SL_COATS * pixels, sizeof *cover);
    for (int i = 0; cover != NULL && i < SL_COATS; i++)
        r->cover[i] = cover + (size_t)i * pixels;
    if (r->sums == NULL || r->first == NULL || r->last == NULL || r->flags == NULL ||
        cover == NULL) {
        sl_raster_free(r);
        return -ENOMEM;
    }
    return 0;
}

void sl_raster_free(struct sl_raster *r)
{
    free(r->sums);
    free(r->first);
    free(r->last);
    free(r->flags);
    free(r->cover[0]);
    memset(r, 0, sizeof *r);
}

static float within(float v, float low, float high)
{
    return v < low ? low : v > high ? high : v;
}

static void add_edge(struct sl_raster *r, float x0, float y0, float x1, float y1)
{
    float direction = 1;
    if (y0 > y1) {
        float t = x0;
        x0 = x1;
        x1 = t;
        t = y0;
        y0 = y1;
        y1 = t;
        direction = -1;
    }
    float height = (float)r->height_px, width = (float)r->width_px;
    if (y1 <= 0 || y0 >= height || y0 == y1)
        return;
    float slope = (x1 - x0) / (y1 - y0);
    if (y0 < 0) {
        x0 -= y0 * slope;
        y0 = 0;
    }
    if (y1 > height)
        y1 = height;
    int32_t row = (int32_t)y0, end = (int32_t)ceilf(y1);
    float x = x0;
    for (; row < end; row++) {
        float *sums = r->sums + (size_t)row * (r->width_px + 2);
        float bottom = (float)(row + 1) < y1 ? (float)(row + 1) : y1;
        float top = (float)row > y0 ? (float)row : y0;
        float dy = bottom - top;
        float next = x + slope * dy;
        /* Outside of the picture an edge still covers what lies right of it. */
        float a = within(x < next ? x : next, 0, width);
        float b = within(x < next ? next : x, 0, width);
        x = next;
        float d = direction * dy;
        int32_t ia = (int32_t)a, ib = (int32_t)ceilf(b);
        if (ib <= ia + 1) {
            float inside = 0.5f * (a + b) - (float)ia;
            sums[ia] += d * (1 - inside);
            sums[ia + 1] += d * inside;
            ib = ia + 1;
        } else {
            float scale = 1 / (b - a);
            float lead = (float)(ia + 1) - a;
            float tail = b - (float)(ib - 1);
            float covered = 0.5f * scale * lead * lead;
            float last = 0.5f * scale * tail * tail;
            sums[ia] += d * covered;
            if (ib == ia + 2) {
                sums[ia + 1] += d * (1 - covered - last);
            } else {
                float second = scale * (lead + 0.5f);
                sums[ia + 1] += d * (second - covered);
                for (int32_t i = ia + 2; i < ib - 1; i++)
                    sums[i] += d * scale;
                float before = second + (float)(ib - ia - 3) * scale;
                sums[ib - 1] += d * (1 - before - last);
            }
            sums[ib] += d * last;
        }
        if (ia < r->first[row])
            r->first[row] = ia;
        if (ib > r->last[row])
            r->last[row] = ib;
    }
}

void sl_raster_polygon(struct sl_raster *r, enum sl_coat coat, float weight,
                       const float (*vertices)[2], size_t count)
{
    if (count < 3)
        return;
    /* Pixel i spans i - 0.5 to i + 0.5; inside, edges of pixels are whole. */
    float low = INFINITY, high = -INFINITY, left = INFINITY, right = -INFINITY;
    for (size_t i = 0; i < count; i++) {
        low = fminf(low, vertices[i][1]);
        high = fmaxf(high, vertices[i][1]);
        left = fminf(left, vertices[i][0]);
        right = fmaxf(right, vertices[i][0]);
    }
    low += 0.5f;
    high += 0.5f;
    if (high <= 0 || low >= (float)r->height_px || right < -0.5f ||
        left > (float)r->width_px - 0.5f)
        return;
    int32_t top = low > 0 ? (int32_t)low : 0;
    int32_t bottom = high < (float)r->height_px ? (int32_t)ceilf(high) : (int32_t)r->height_px;
    for (int32_t y = top; y < bottom; y++) {
        r->first[y] = INT32_MAX;
        r->last[y] = -1;
    }
    for (size_t i = 0; i < count; i++) {
        const float *a = vertices[i], *b = vertices[i + 1 < count ? i + 1 : 0];
        add_edge(r, a[0] + 0.5f, a[1] + 0.5f, b[0] + 0.5f, b[1] + 0.5f);
    }
    float full = weight * SL_RASTER_FULL;
    for (int32_t y = top; y < bottom; y++) {
        int32_t first = r->first[y], last = r->last[y];
        if (last < 0)
            continue;
        float *sums = r->sums + (size_t)y * (r->width_px + 2);
        uint16_t *cover = r->cover[coat] + (size_t)y * r->width_px;
        float sum = 0;
        for (int32_t x = first; x <= last; x++) {
            sum += sums[x];
            sums[x] = 0;
            if (x < (int32_t)r->width_px)
                cover[x] = (uint16_t)(cover[x] + (int32_t)(fabsf(sum) * full + 0.5f));
        }
        if (last >= (int32_t)r->width_px)
            last = (int32_t)r->width_px - 1;
        uint8_t *flags = r->flags + (size_t)y * r->block_columns;
        for (int32_t b = first >> SL_RASTER_BLOCK_LOG2; b <= last >> SL_RASTER_BLOCK_LOG2; b++)
            flags[b] |= (uint8_t)(1u << coat);
    }
}
