#include "app/calibrate/draw.h"

#include <math.h>

static const struct sl_colour white = {255, 255, 255};
static const struct sl_colour yellow = {40, 230, 250};

/* A line of `thick` pixels with soft edges: each pixel by its distance. */
static void line(const struct sl_canvas *c, double x0, double y0, double x1, double y1,
                 double thick, struct sl_colour colour, float alpha)
{
    const double far = 4.0 * (c->width_px + c->height_px);
    if (!(fabs(x0) < far) || !(fabs(y0) < far) || !(fabs(x1) < far) || !(fabs(y1) < far))
        return;
    double reach = 0.5 * thick + 1, dx = x1 - x0, dy = y1 - y0, length2 = dx * dx + dy * dy;
    int top = (int)fmax(fmin(y0, y1) - reach, 0);
    int bottom = (int)fmin(fmax(y0, y1) + reach + 1, c->height_px - 1.0);
    for (int y = top; y <= bottom; y++) {
        /* The columns between which the line passes this row and its neighbours. */
        double a = fmin(x0, x1), b = fmax(x0, x1);
        if (fabs(dy) > 1e-9) {
            double k0 = (y - reach - y0) / dy, k1 = (y + reach - y0) / dy;
            double low = fmin(fmax(fmin(k0, k1), 0), 1), high = fmin(fmax(fmax(k0, k1), 0), 1);
            a = fmin(x0 + low * dx, x0 + high * dx);
            b = fmax(x0 + low * dx, x0 + high * dx);
        }
        int from = (int)fmax(a - reach, 0), to = (int)fmin(b + reach + 1, c->width_px - 1.0);
        for (int x = from; x <= to; x++) {
            double k = length2 > 0 ? ((x - x0) * dx + (y - y0) * dy) / length2 : 0;
            k = k < 0 ? 0 : k > 1 ? 1 : k;
            double off = hypot(x - x0 - k * dx, y - y0 - k * dy);
            sl_canvas_blend(c, x, y, colour, alpha * (float)fmin(0.5 * thick + 0.5 - off, 1));
        }
    }
}

static void ring(const struct sl_canvas *c, double x, double y, double radius, double thick,
                 struct sl_colour colour)
{
    double reach = radius + thick;
    if (!(x > -reach) || !(y > -reach) || !(x < c->width_px + reach) || !(y < c->height_px + reach))
        return;
    for (int v = (int)(y - reach); v <= (int)(y + reach) + 1; v++)
        for (int u = (int)(x - reach); u <= (int)(x + reach) + 1; u++)
            sl_canvas_blend(c, u, v, colour,
                            (float)(0.5 * thick + 0.5 - fabs(hypot(u - x, v - y) - radius)));
}

static void frame_around(const struct sl_canvas *c)
{
    double w = c->width_px - 1.0, h = c->height_px - 1.0, thick = fmax(w / 80, 3);
    line(c, 0, 0, w, 0, thick, sl_colour_red, 0.9f);
    line(c, 0, h, w, h, thick, sl_colour_red, 0.9f);
    line(c, 0, 0, 0, h, thick, sl_colour_red, 0.9f);
    line(c, w, 0, w, h, thick, sl_colour_red, 0.9f);
}

void sl_draw_view(const struct sl_canvas *c, const struct sl_chessboard *board,
                  const struct sl_chessboard_view *view)
{
    const double thick = fmax(c->width_px / 700.0, 1.2), radius = 4 * thick;
    if (!view->used)
        frame_around(c);
    for (int r = 0; r < board->rows; r++) {
        float part = board->rows > 1 ? (float)r / (float)(board->rows - 1) : 0;
        struct sl_colour colour = {40 + 215 * part, 200 - 300 * fabsf(part - 0.5f) + 40,
                                   255 - 215 * part};
        if (colour.g < 0)
            colour.g = 0;
        for (int k = 0; k < board->columns; k++) {
            const float *at = view->corners[r * board->columns + k];
            if (k + 1 < board->columns)
                line(c, at[0], at[1], at[2], at[3], thick, colour, 0.7f);
        }
        for (int k = 0; k < board->columns; k++) {
            const float *at = view->corners[r * board->columns + k];
            const float *fit = view->fitted[r * board->columns + k];
            ring(c, at[0], at[1], radius, thick, colour);
            line(c, at[0], at[1], at[0] + SL_DRAW_RESIDUAL_TIMES * (fit[0] - at[0]),
                 at[1] + SL_DRAW_RESIDUAL_TIMES * (fit[1] - at[1]), 1.5 * thick, white, 0.9f);
        }
    }
}

/* A curve over the ground, in short pieces: lenses bend it. */
static void ground_line(const struct sl_canvas *c, const struct sl_camera_model *m, double x0,
                        double y0, double x1, double y1, double thick, struct sl_colour colour,
                        float alpha)
{
    const int pieces = 96;
    double last_u = 0, last_v = 0;
    bool last = false;
    for (int i = 0; i <= pieces; i++) {
        /* Nearer pieces are larger in the picture, so they are cut finer. */
        double k = (double)i / pieces, u, v;
        k *= k;
        bool seen = sl_camera_to_image(m, x0 + k * (x1 - x0), y0 + k * (y1 - y0), &u, &v);
        if (seen && last)
            line(c, last_u, last_v, u, v, thick, colour, alpha);
        last = seen;
        last_u = u;
        last_v = v;
    }
}

void sl_draw_drive(const struct sl_canvas *c, const struct sl_camera_calibration *camera,
                   double lane_width_m, double grid_m, const struct sl_drive_frame *frame,
                   double points_roll_rad)
{
    struct sl_camera_calibration own = *camera;
    struct sl_camera_model m;
    sl_camera_calibration_scale(&own, c->width_px, c->height_px);
    own.forward_m = 0;
    own.left_m = 0;
    if (sl_camera_model_init(&m, &own, NULL) != 0 || !(lane_width_m > 0) || !(grid_m > 0.01))
        return;
    const double thin = fmax(c->width_px / 900.0, 0.8), thick = 3 * thin;
    const double ahead = 10 * lane_width_m, aside = 2 * lane_width_m;
    for (double x = grid_m; x <= ahead; x += grid_m)
        ground_line(c, &m, x, -aside, x, aside, thin, sl_colour_green, 0.5f);
    int across = (int)(aside / grid_m);
    for (int i = -across; i <= across; i++)
        ground_line(c, &m, 0.3 * own.height_m, i * grid_m, ahead, i * grid_m, thin, sl_colour_green,
                    0.5f);

    /* The horizon: ground so far away that its height does not matter. */
    double last_u = 0, last_v = 0, u, v;
    bool last = false;
    for (int i = -60; i <= 60; i++) {
        double angle = own.yaw_rad + i * 0.02;
        bool seen = sl_camera_to_image(&m, 1e7 * cos(angle), 1e7 * sin(angle), &u, &v);
        if (seen && last)
            line(c, last_u, last_v, u, v, thick, yellow, 0.8f);
        last = seen;
        last_u = u;
        last_v = v;
    }
    if (sl_camera_to_image(&m, 1e7, 0, &u, &v)) {
        ring(c, u, v, 6 * thin, thick, sl_colour_red);
        line(c, u, v - 14 * thin, u, v - 7 * thin, thick, sl_colour_red, 0.9f);
        line(c, u, v + 7 * thin, u, v + 14 * thin, thick, sl_colour_red, 0.9f);
    }
    if (frame == NULL || frame->verdict != SL_DRIVE_STRAIGHT)
        return;
    /* The lane's edges as this frame has them, through the lens alone. The model
     * shows points of the ground, so a camera that looks steeply down is put
     * over it, whose ground lies in every direction that the lens sees. */
    struct sl_camera_calibration steep = own;
    steep.pitch_rad = 1.2;
    steep.yaw_rad = 0;
    steep.roll_rad = points_roll_rad;
    steep.height_m = 1;
    if (sl_camera_model_init(&m, &steep, NULL) != 0)
        return;
    const double cp = cos(steep.pitch_rad), sp = sin(steep.pitch_rad);
    for (int side = 0; side < 2; side++) {
        last = false;
        for (int i = 0; i <= 60; i++) {
            double y = frame->points.lowest + i / 60.0 * (frame->far_y - frame->points.lowest);
            double x =
                frame->slope[side] * y + frame->offset[side] + frame->bend / (y - frame->meet_y);
            double ahead_of = cp - sp * y, below = sp + cp * y;
            bool seen =
                below > 1e-3 && sl_camera_to_image(&m, ahead_of / below, -x / below, &u, &v);
            if (seen && last)
                line(c, last_u, last_v, u, v, thick, side ? sl_colour_blue : sl_colour_orange,
                     0.9f);
            last = seen;
            last_u = u;
            last_v = v;
        }
    }
}
