#include "app/detect/overlay.h"

#include <math.h>
#include <stdbool.h>

const struct sl_colour sl_colour_orange = {40, 150, 255};
const struct sl_colour sl_colour_blue = {255, 170, 40};
const struct sl_colour sl_colour_green = {120, 220, 60};
const struct sl_colour sl_colour_red = {50, 50, 235};
static const struct sl_colour bar_colour = {20, 20, 20};

void sl_canvas_blend(const struct sl_canvas *c, int x, int y, struct sl_colour colour, float alpha)
{
    if (x < 0 || y < 0 || x >= (int)c->width_px || y >= (int)c->height_px || !(alpha > 0))
        return;
    if (alpha > 1)
        alpha = 1;
    uint8_t *p = c->bgr + (size_t)y * c->stride_bytes + (size_t)x * 3;
    const float to[3] = {colour.b, colour.g, colour.r};
    for (int i = 0; i < 3; i++)
        p[i] = (uint8_t)(p[i] + alpha * (to[i] - p[i]) + 0.5f);
}

static void fill_box(const struct sl_canvas *c, float x0, float y0, float x1, float y1,
                     struct sl_colour colour, float alpha)
{
    int left = (int)floorf(fmaxf(x0, 0)), right = (int)ceilf(fminf(x1, (float)c->width_px));
    int top = (int)floorf(fmaxf(y0, 0)), bottom = (int)ceilf(fminf(y1, (float)c->height_px));
    for (int y = top; y < bottom; y++) {
        float cover_y = fminf((float)y + 1, y1) - fmaxf((float)y, y0);
        for (int x = left; x < right; x++) {
            float cover_x = fminf((float)x + 1, x1) - fmaxf((float)x, x0);
            sl_canvas_blend(c, x, y, colour, alpha * cover_x * cover_y);
        }
    }
}

/* A boundary at every row of the canvas: column, and dx/dy. Points run from
 * near to far; between them a Catmull-Rom spline over rows keeps it smooth. */
struct boundary {
    const struct sl_lane_line *line;
    float scale_x, scale_y;
    int count;
};

static bool point(const struct boundary *b, int i, float *x, float *y)
{
    *x = (b->line->points_px[i][0] + 0.5f) * b->scale_x - 0.5f;
    *y = (b->line->points_px[i][1] + 0.5f) * b->scale_y - 0.5f;
    return isfinite(*x) && isfinite(*y) && fabsf(*x) < 1e5f && fabsf(*y) < 1e5f;
}

static bool column(const struct boundary *b, float row, float *x, float *slope)
{
    for (int i = 0; i + 1 < b->count; i++) {
        float x1, y1, x2, y2;
        if (!point(b, i, &x1, &y1) || !point(b, i + 1, &x2, &y2) || !(y1 > y2))
            return false;
        if (row > y1 || row < y2)
            continue;
        float m = (x2 - x1) / (y2 - y1);
        float m1 = m, m2 = m, x0, y0, x3, y3;
        if (i > 0 && point(b, i - 1, &x0, &y0) && y0 > y1)
            m1 = (x2 - x0) / (y2 - y0);
        if (i + 2 < b->count && point(b, i + 2, &x3, &y3) && y2 > y3)
            m2 = (x3 - x1) / (y3 - y1);
        float h = y2 - y1;
        float t = (row - y1) / h;
        float t2 = t * t, t3 = t2 * t;
        *x = (2 * t3 - 3 * t2 + 1) * x1 + (t3 - 2 * t2 + t) * h * m1 + (3 * t2 - 2 * t3) * x2 +
             (t3 - t2) * h * m2;
        *slope =
            ((6 * t2 - 6 * t) * (x1 - x2) / h + (3 * t2 - 4 * t + 1) * m1 + (3 * t2 - 2 * t) * m2);
        return isfinite(*x) && isfinite(*slope);
    }
    return false;
}

static struct boundary boundary_of(const struct sl_canvas *c, const struct sl_detection *d,
                                   const struct sl_lane_line *line)
{
    struct boundary b = {.line = line};
    b.count = line->point_count < SL_LANE_POINTS_MAX ? (int)line->point_count : SL_LANE_POINTS_MAX;
    b.scale_x = d->frame_width_px ? (float)c->width_px / (float)d->frame_width_px : 1;
    b.scale_y = d->frame_height_px ? (float)c->height_px / (float)d->frame_height_px : 1;
    return b;
}

static float ramp(float x)
{
    return x < 0 ? 0 : x > 1 ? 1 : x;
}

static void draw_surface(const struct sl_canvas *c, const struct boundary *left,
                         const struct boundary *right, float top, float bottom)
{
    for (int y = (int)fmaxf(top, 0); y < (int)c->height_px && (float)y <= bottom; y++) {
        float xl, xr, slope;
        bool is_left = column(left, (float)y, &xl, &slope);
        bool is_right = column(right, (float)y, &xr, &slope);
        if (!is_left && !is_right)
            continue;
        /* Near the vehicle a boundary may run out of what the lens shows. */
        if (!is_left)
            xl = fminf(-2, xr);
        if (!is_right)
            xr = fmaxf((float)c->width_px + 2, xl);
        float depth = ((float)y - top) / fmaxf(bottom - top, 1);
        float alpha = 0.12f + 0.26f * ramp(depth);
        int from = (int)floorf(fmaxf(xl, 0));
        int to = (int)ceilf(fminf(xr, (float)c->width_px - 1));
        for (int x = from; x <= to; x++)
            sl_canvas_blend(c, x, y, sl_colour_green,
                            alpha * ramp((float)x + 0.5f - xl) * ramp(xr - (float)x + 0.5f));
    }
}

static void draw_boundary(const struct sl_canvas *c, const struct boundary *b,
                          struct sl_colour colour, float top, float bottom)
{
    /* Thicker when nearer, so that the line seems to lie on the road. */
    float most = fmaxf((float)c->width_px / 150.0f, 1.2f);
    float least = fmaxf((float)c->width_px / 700.0f, 0.8f);
    float dash = fmaxf((bottom - top) / 14.0f, 3);
    for (int y = (int)fmaxf(top, 0); y < (int)c->height_px && (float)y <= bottom; y++) {
        float x, slope;
        if (!column(b, (float)y, &x, &slope))
            continue;
        if (!b->line->seen && fmodf(bottom - (float)y, 2 * dash) > dash)
            continue;
        float depth = ramp(((float)y - top) / fmaxf(bottom - top, 1));
        float half = 0.5f * (least + (most - least) * depth);
        /* Distance across the line, not along the row. */
        float across = 1.0f / sqrtf(1.0f + slope * slope);
        float reach = (half + 1.0f) / across;
        if (reach > (float)c->width_px)
            reach = (float)c->width_px;
        int from = (int)floorf(fmaxf(x - reach, 0));
        int to = (int)ceilf(fminf(x + reach, (float)c->width_px - 1));
        for (int u = from; u <= to; u++) {
            float distance = fabsf((float)u - x) * across;
            sl_canvas_blend(c, u, y, colour, 0.95f * ramp(half + 0.5f - distance));
        }
    }
}

/* Two slim bars: how sure, and where in the lane. */
static void draw_bars(const struct sl_canvas *c, const struct sl_detection *d)
{
    float width = (float)c->width_px, height = (float)c->height_px;
    float thick = fmaxf(height / 90.0f, 2.0f);
    float margin = width * 0.03f;
    float y = height - 2.0f * thick;
    float length = width * 0.28f;
    float sure = isfinite(d->confidence) ? ramp(d->confidence) : 0;
    struct sl_colour level = {60, 60 + 160 * sure, 240 - 190 * sure};
    fill_box(c, margin, y - thick, margin + length, y, bar_colour, 0.6f);
    fill_box(c, margin, y - thick, margin + length * sure, y, level, 0.95f);

    float right = width - margin, left = right - length, middle = 0.5f * (left + right);
    fill_box(c, left, y - thick, right, y, bar_colour, 0.6f);
    fill_box(c, middle - 0.5f, y - 1.6f * thick, middle + 0.5f, y + 0.6f * thick,
             (struct sl_colour){230, 230, 230}, 0.8f);
    if (d->lane_width_m > 0 && isfinite(d->lateral_offset_m) && isfinite(d->lane_width_m)) {
        float at = d->lateral_offset_m / d->lane_width_m;
        at = at < -0.5f ? -0.5f : at > 0.5f ? 0.5f : at;
        float x = middle - at * length;
        fill_box(c, x - thick * 0.6f, y - 1.4f * thick, x + thick * 0.6f, y + 0.4f * thick,
                 sl_colour_green, 0.95f);
    }
}

void sl_overlay_draw(const struct sl_canvas *canvas, const struct sl_detection *d)
{
    if (canvas->width_px < 8 || canvas->height_px < 8)
        return;
    if (d->state != SL_LANE_ONE_LINE && d->state != SL_LANE_TWO_LINES) {
        float w = (float)canvas->width_px, h = (float)canvas->height_px;
        float edge = fmaxf(w / 160.0f, 1.5f);
        fill_box(canvas, 0, 0, w, edge, sl_colour_red, 0.9f);
        fill_box(canvas, 0, h - edge, w, h, sl_colour_red, 0.9f);
        fill_box(canvas, 0, edge, edge, h - edge, sl_colour_red, 0.9f);
        fill_box(canvas, w - edge, edge, w, h - edge, sl_colour_red, 0.9f);
        return;
    }
    struct boundary left = boundary_of(canvas, d, &d->left);
    struct boundary right = boundary_of(canvas, d, &d->right);
    float top = (float)canvas->height_px, bottom = 0, x, y;
    for (int k = 0; k < 2; k++) {
        const struct boundary *b = k ? &right : &left;
        if (b->count < 2)
            continue;
        if (point(b, 0, &x, &y) && y > bottom)
            bottom = fminf(y, (float)canvas->height_px - 1);
        if (point(b, b->count - 1, &x, &y) && y < top)
            top = fmaxf(y, 0);
    }
    draw_surface(canvas, &left, &right, top, bottom);
    draw_boundary(canvas, &left, sl_colour_orange, top, bottom);
    draw_boundary(canvas, &right, sl_colour_blue, top, bottom);
    draw_bars(canvas, d);
}
