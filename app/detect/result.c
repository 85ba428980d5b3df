/* From the road that was found to what the vehicle is told. */
#include <math.h>
#include <string.h>

#include "app/detect/detector.h"

/* The near part that gives the pose, in lane widths; less of a road that turns
 * by more than so much over it, rad: bends seldom stay the same for long. */
#define NEAR_WIDTHS     3.5
#define NEAR_WIDTHS_MIN 1.8
#define NEAR_TURN       1.1
#define ORDINARY        3.0 /* cost up to which a road is not a tight bend */
#define NEAR_STEPS      2
#define NEAR_GATE_FIRST 8.0
/* Sine of the heading up to which boundaries are told as cubics. */
#define LINE_SINE  0.75
#define LINE_STEPS 16
#define PREVIEW    3.0
#define MIN_SLOPE  0.002 /* of rays to the ground */

/* Roads bend differently near and far, which one cubic follows only so well,
 * and what is far weighs much in its choice. The pose is that of the near part:
 * fitted again to it alone, starting from the whole. */
static double near_end(const struct sl_detector *d)
{
    const double w = d->config.lane_width_m;
    const double bend = fabs(d->road.p[SL_C2]) + fabs(d->road.p[SL_C3]) * w;
    return fmax(NEAR_WIDTHS_MIN * w, fmin(NEAR_WIDTHS * w, NEAR_TURN / fmax(bend, 1e-9)));
}

void sl_result_fit_near(struct sl_detector *d)
{
    const double w = d->config.lane_width_m;
    const double sigma[SL_PARAMETERS] = {
        [SL_C0] = 0.1 * w,       [SL_C1] = 0.1,         [SL_C2] = 0.3 / w,
        [SL_C3] = 0.3 / (w * w), [SL_WIDTH] = 0.02 * w, [SL_PITCH] = 0.25 * SL_PITCH_SIGMA,
    };
    struct sl_prior prior;
    sl_prior_set(&prior, d->road.p, sigma, 0);
    d->near_end_m = near_end(d);
    int rows = 0;
    while (rows < d->row_count && d->camera.c.height_m < d->rows[rows].s * d->near_end_m)
        rows++;
    d->near = d->road;
    if (!sl_road_refine(d, &prior, SL_ROWS_ALL, rows, NEAR_STEPS, NEAR_GATE_FIRST, SL_GATE_LAST,
                        &d->near))
        d->near = d->road;
    /* What is known before the picture is what roads of this kind are like, not
     * what the whole fit has just taken from the same picture. */
    const struct sl_prior *road = &d->priors[SL_PRIOR_ROAD];
    const struct sl_prior *kind =
        sl_road_cost(road, &d->near) < ORDINARY ? road : &d->priors[SL_PRIOR_TIGHT];
    if (!sl_road_covariance(d, kind, rows, &d->near, d->covariance))
        memset(d->covariance, 0, sizeof d->covariance);
    sl_pose_find(d, kind == &d->priors[SL_PRIOR_TIGHT], &d->pose);
    /* Drawn as one: the far part is seen with the same pitch. */
    d->near.p[SL_PITCH] = d->road.p[SL_PITCH];
}

/* A boundary as found. */
static double side_at(const struct sl_detector *d, int side, double x)
{
    double part = sl_road_far_share(d, x);
    double y = 0;
    if (part < 1)
        y += (1 - part) * sl_road_side(&d->near, side, x);
    if (part > 0)
        y += part * sl_road_side(&d->road, side, x);
    double s = d->camera.c.height_m / x - d->road.p[SL_PITCH];
    return y + x * (double)sl_followed(d, side, (float)s);
}

/* Whether a boundary lies on paint: whether clearly more speaks for it than would
 * if candidates were strewn at random, which is how much a picture without any
 * meaning offers (A. Desolneux, L. Moisan, J.-M. Morel, "Meaningful alignments",
 * IJCV 40(1), 2000). A few rows of good paint say more than many of texture. */
struct doubt {
    float inliers, sigmas, more;
};

static bool line_seen(const struct sl_support *s, int side, const struct doubt *doubt)
{
    return s->inliers[side] >= doubt->inliers &&
           s->side[side] >
               s->chance[side] + doubt->sigmas * sqrtf(s->chance_variance[side]) + doubt->more;
}

/* The first boundary has been searched for among many, and must stand out, unless
 * it was expected; the second then only has to be where it should. */
void sl_result_seen(const struct sl_support *s, bool expected, bool seen[SL_SIDES])
{
    static const struct doubt found = {5, 4.5f, 1.0f}, awaited = {4, 3, 0.5f};
    const struct doubt *first = expected ? &awaited : &found;
    bool any = line_seen(s, 0, first) || line_seen(s, 1, first);
    for (int k = 0; k < SL_SIDES; k++)
        seen[k] = any && line_seen(s, k, &awaited);
}

/* The camera as this frame's pitch has it. */
static struct sl_camera_model pitched_camera(const struct sl_detector *d)
{
    struct sl_camera_model m = d->camera;
    double c = cos(d->road.p[SL_PITCH]), s = sin(d->road.p[SL_PITCH]);
    for (int k = 0; k < 3; k++) {
        double x = d->camera.rotation[0][k], z = d->camera.rotation[2][k];
        m.rotation[0][k] = c * x + s * z;
        m.rotation[2][k] = -s * x + c * z;
    }
    return m;
}

static bool side_pixel(const struct sl_detector *d, const struct sl_camera_model *m, int side,
                       double x, double *u, double *v)
{
    double y = side_at(d, side, x);
    return sl_camera_to_image(m, x + m->c.forward_m, y + m->c.left_m, u, v);
}

static bool column_at(const struct sl_detector *d, const struct sl_camera_model *m, int side,
                      double row_px, double *u_px)
{
    /* Along a boundary, rows fall with 1/x nearly linearly, as through a lens
     * without distortion: then a secant search in 1/x. */
    double h = m->c.height_m;
    double s = fmax((row_px - sl_camera_horizon_px(m)) / m->c.fy_px, 0.004);
    double per_s = m->c.fy_px, s_before = 0, v_before = 0;
    double u, v = 0;
    for (int i = 0; i < 8; i++) {
        if (s < MIN_SLOPE || !side_pixel(d, m, side, h / s, &u, &v))
            return false;
        double off = v - row_px;
        if (fabs(off) < 0.01)
            break;
        if (i > 0)
            per_s = (v - v_before) / (s - s_before);
        double next = s - off / per_s;
        if (!(fabs(per_s) > 1e-6) || !isfinite(next))
            return false;
        s_before = s;
        v_before = v;
        s = fmax(0.5 * s, fmin(2 * s, next));
    }
    if (fabs(v - row_px) > 0.5)
        return false;
    *u_px = u;
    return true;
}

bool sl_detector_column(const struct sl_detector *d, int side, double row_px, double *u_px)
{
    if (!d->found || !isfinite(row_px))
        return false;
    struct sl_camera_model m = pitched_camera(d);
    return column_at(d, &m, side, row_px, u_px) && *u_px > -4.0 * d->width_px &&
           *u_px < 5.0 * d->width_px;
}

/* Up to where a cubic in x is like the boundary: as long as that runs ahead. */
static double line_end(const struct sl_detector *d, double near_m, double far_m)
{
    double sine;
    for (int i = 0; i < LINE_STEPS; i++) {
        double x = far_m + (near_m - far_m) * i / LINE_STEPS;
        sl_road_centre(&d->near, x, &sine);
        if (fabs(sine) <= LINE_SINE)
            return x;
    }
    return near_m;
}

/* The cubic through four points of a boundary, moved to the rear axle. */
static void line_polynomial(const struct sl_detector *d, int side, double far_m, float poly[4])
{
    double x[4], y[4];
    for (int i = 0; i < 4; i++) {
        x[i] = far_m * i / 3.0 + d->camera.c.forward_m;
        y[i] = sl_road_side(&d->near, side, x[i] - d->camera.c.forward_m) + d->camera.c.left_m;
    }
    /* Newton's divided differences, expanded. */
    for (int k = 1; k < 4; k++)
        for (int i = 3; i >= k; i--)
            y[i] = (y[i] - y[i - 1]) / (x[i] - x[i - k]);
    double c[4] = {y[3], 0, 0, 0};
    for (int i = 2; i >= 0; i--) {
        for (int k = 3; k > 0; k--)
            c[k] = c[k - 1] - x[i] * c[k];
        c[0] = y[i] - x[i] * c[0];
    }
    for (int k = 0; k < 4; k++)
        poly[k] = (float)c[k];
}

static void add_point(const struct sl_detector *d, double u, double v, struct sl_lane_line *line)
{
    const uint32_t n = line->point_count;
    if (u < -4.0 * d->width_px || u > 5.0 * d->width_px ||
        (n > 0 && v >= (double)line->points_px[n - 1][1]))
        return;
    line->points_px[n][0] = (float)u;
    line->points_px[n][1] = (float)v;
    line->point_count++;
}

/* From the picture's lower edge to the farthest row, evenly but for the lens. */
static void draw_line(const struct sl_detector *d, const struct sl_camera_model *m, int side,
                      struct sl_lane_line *line)
{
    const struct sl_row *near = &d->rows[0], *far = &d->rows[d->row_count - 1];
    const double bottom = d->height_px - 1.0;
    const double per_row = ((double)near->s - (double)far->s) / fmax(near->v - far->v, 1);
    const double from = (double)near->s + per_row * (bottom - near->v);
    double u, v;
    line->point_count = 0;
    if (column_at(d, m, side, bottom, &u))
        add_point(d, u, bottom, line);
    for (int i = 1; i < SL_LANE_POINTS_MAX; i++) {
        double s = from + ((double)far->s - from) * i / (SL_LANE_POINTS_MAX - 1);
        double x = m->c.height_m / fmax(s + d->road.p[SL_PITCH], MIN_SLOPE);
        if (side_pixel(d, m, side, x, &u, &v) && v >= 0)
            add_point(d, u, v, line);
    }
}

static void fill_line(const struct sl_detector *d, const struct sl_camera_model *m, int side,
                      bool seen, float confidence, struct sl_lane_line *line)
{
    double near_s = d->rows[0].s + d->road.p[SL_PITCH];
    double far_s = d->rows[d->row_count - 1].s + d->road.p[SL_PITCH];
    double h = m->c.height_m;
    double near_m = h / fmax(near_s, 0.01);
    double far_m = fmin(h / fmax(far_s, 0.01), d->near_end_m);
    near_m = fmin(near_m, far_m);
    far_m = line_end(d, near_m, far_m);
    line->seen = seen;
    line->confidence = confidence;
    line->x_min_m = (float)(near_m + m->c.forward_m);
    line->x_max_m = (float)(far_m + m->c.forward_m);
    line_polynomial(d, side, far_m, line->poly);
    draw_line(d, m, side, line);
}

/* How uncertain the pose is: offset, heading, curvature as pose.c has them; how
 * the curvature changes, as the near road has it. */
static void fill_covariance(const struct sl_detector *d, struct sl_detection *out)
{
    static const double sign[3] = {-1, -1, 1};
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < 3; k++)
            out->covariance[i][k] = (float)(sign[i] * sign[k] * d->pose.covariance[i][k]);
    out->covariance[3][3] = (float)d->covariance[SL_C3][SL_C3];
    out->lane_width_sd_m = (float)sqrt(d->covariance[SL_WIDTH][SL_WIDTH]);
    out->camera_pitch_rad = (float)d->road.p[SL_PITCH];
}

void sl_result_fill(const struct sl_detector *d, struct sl_detection *out)
{
    const struct sl_road *road = &d->near;
    out->state = d->seen[0] && d->seen[1] ? SL_LANE_TWO_LINES : SL_LANE_ONE_LINE;
    out->confidence = sl_confidence(d);
    fill_covariance(d, out);
    const struct sl_pose *pose = &d->pose;
    const double y = pose->y_m + d->camera.c.left_m, back = -d->camera.c.forward_m;
    out->lateral_offset_m = (float)(-y * sqrt(1 - pose->sine * pose->sine));
    out->heading_error_rad = (float)-asin(pose->sine);
    out->curvature_1pm = (float)pose->curvature_1pm;
    /* So that lanes seen ahead are where they are said to be. */
    double ahead = PREVIEW * d->config.lane_width_m, sine;
    (void)sl_road_centre(road, ahead, &sine);
    ahead -= back;
    out->curvature_rate_1pm2 =
        (float)(2 * (sine - pose->sine - pose->curvature_1pm * ahead) / (ahead * ahead));
    out->lane_width_m = (float)road->p[SL_WIDTH];
    struct sl_camera_model m = pitched_camera(d);
    fill_line(d, &m, 0, d->seen[0], sl_side_confidence(d, 0), &out->left);
    fill_line(d, &m, 1, d->seen[1], sl_side_confidence(d, 1), &out->right);
}
