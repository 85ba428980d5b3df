/* Where the vehicle is in its lane.
 *
 * Roads bend differently near and far, which no road with few parameters follows:
 * the fit to all of the picture is of little use where the lane begins. Here the
 * curvature is a random walk along the road. A Kalman filter (R. E. Kalman, "A new
 * approach to linear filtering and prediction problems", J. Basic Eng. 82, 1960)
 * goes from far to near over the rows, for what the centre line departs from the
 * fitted road: sideways, in heading and in curvature, and in the lane's width. It
 * ends at the rear axle, and what it does not know, it says. */
#include <math.h>
#include <string.h>

#include "app/detect/crossing.h"

enum { SIDEWAYS, SINE, CURVATURE, WIDTH, STATES };

/* At the far end, one sigma, lengths in lane widths; the width is known from there. */
#define SIDEWAYS_SD  0.1
#define SINE_SD      0.1
#define CURVATURE_SD 0.1
#define WIDTH_SD     0.02
/* By how much curvature departs from the fitted road's, by how tightly that bends;
 * and the lane widths over which it returns. */
#define WANDER       0.02
#define WANDER_TIGHT 0.2
#define RETURN       2.0
/* Where little is known, candidates may be off by so many variances more. */
#define KNOWN_MOST 4.0
#define GATE       3.0f
/* Candidates of good quality weigh 1 in all; neighbouring rows err alike. */
#define INFLATION 2.0

struct filter {
    double x; /* ahead of the lens */
    double state[STATES], p[STATES][STATES];
    double wander, return_m; /* of the curvature: variance per metre; decay */
};

/* To x, from farther away. `bend`: of the tangent by the sine. */
static void move(struct filter *f, double x, double bend)
{
    const double h = f->x - x;
    double to[STATES][STATES] = {
        {1, -h * bend, h * h / 2 * bend, 0}, {0, 1, -h, 0}, {0, 0, 1, 0}, {0, 0, 0, 1}};
    double state[STATES] = {0}, half[STATES][STATES] = {0}, p[STATES][STATES] = {0};
    for (int i = 0; i < STATES; i++)
        for (int k = i; k < STATES; k++) {
            state[i] += to[i][k] * f->state[k];
            for (int n = 0; n < STATES; n++)
                half[i][n] += to[i][k] * f->p[k][n];
        }
    for (int i = 0; i < STATES; i++)
        for (int k = 0; k < STATES; k++)
            for (int n = k; n < STATES; n++)
                p[i][k] += half[i][n] * to[k][n];
    const double q = f->wander, h2 = h * h;
    p[SIDEWAYS][SIDEWAYS] += q * h2 * h2 * h / 20 * bend * bend;
    p[SIDEWAYS][SINE] -= q * h2 * h2 / 8 * bend;
    p[SIDEWAYS][CURVATURE] += q * h2 * h / 6 * bend;
    p[SINE][SINE] += q * h2 * h / 3;
    p[SINE][CURVATURE] -= q * h2 / 2;
    p[CURVATURE][CURVATURE] += q * h;
    for (int i = 0; i < STATES; i++)
        for (int k = 0; k < i; k++)
            p[i][k] = p[k][i];
    memcpy(f->state, state, sizeof f->state);
    memcpy(f->p, p, sizeof f->p);
    f->x = x;
}

/* A boundary was seen `off` of where the state has it, with such a variance. */
static void update(struct filter *f, double by_sideways, double by_width, double off,
                   double variance)
{
    double gain[STATES];
    for (int i = 0; i < STATES; i++)
        gain[i] = by_sideways * f->p[i][SIDEWAYS] + by_width * f->p[i][WIDTH];
    double all = by_sideways * gain[SIDEWAYS] + by_width * gain[WIDTH] + variance;
    for (int i = 0; i < STATES; i++) {
        f->state[i] += gain[i] / all * off;
        for (int k = 0; k < STATES; k++)
            f->p[i][k] -= gain[i] * gain[k] / all;
    }
}

static void look(const struct sl_detector *d, struct filter *f, const struct sl_crossings *at,
                 int side, int i)
{
    const struct sl_row_view *view = &d->views[SL_ROWS_ALL];
    if (at->t[i] > view->t_left[i] || at->t[i] < view->t_right[i])
        return;
    double by_sideways = 1.0 / (double)at->x[i];
    double by_width = 0.5 * (double)sl_side_sign(side) * (double)at->slant[i] * by_sideways;
    double expected = by_sideways * f->state[SIDEWAYS] + by_width * f->state[WIDTH];
    double known = by_sideways * by_sideways * f->p[SIDEWAYS][SIDEWAYS] +
                   2 * by_sideways * by_width * f->p[SIDEWAYS][WIDTH] +
                   by_width * by_width * f->p[WIDTH][WIDTH];
    double sigma = (double)(view->sigma[i] * at->aslant[i]);
    double noise = sigma * sigma;
    float weight, sum;
    sl_row_pull(&d->votes, view->row[i], at->t[i] + (float)expected, at->s[i], at->per_s[i],
                (float)(1.0 / (GATE * GATE * (fmin(known, KNOWN_MOST * noise) + noise))), &weight,
                &sum);
    if (weight > 0)
        update(f, by_sideways, by_width, (double)(sum / weight),
               INFLATION * noise / (double)weight);
}

void sl_pose_find(struct sl_detector *d, bool tight, struct sl_pose *pose)
{
    const double w = d->config.lane_width_m;
    const struct sl_row_view *view = &d->views[SL_ROWS_ALL];
    const struct sl_road *road = &d->near;
    const double wander = (tight ? WANDER_TIGHT : WANDER) / w, return_m = RETURN * w;
    const double sd[STATES] = {SIDEWAYS_SD * w, SINE_SD, CURVATURE_SD / w, WIDTH_SD * w};
    struct sl_quick_road q = sl_quick(d, road);
    struct sl_crossings at[SL_SIDES];
    int rows = 0;
    while (rows < view->count && d->camera.c.height_m < (double)view->s[rows] * d->near_end_m)
        rows++;
    for (int side = 0; side < SL_SIDES; side++)
        sl_cross_rows(d, &q, side, view, rows, &at[side]);
    struct filter f = {
        .x = d->near_end_m, .wander = 2 * wander * wander / return_m, .return_m = return_m};
    for (int i = 0; i < STATES; i++)
        f.p[i][i] = sd[i] * sd[i];
    double sine = 0, x = f.x;
    for (int i = rows - 1; i >= 0; i--) {
        x = 0.5 * (double)(at[0].x[i] + at[1].x[i]);
        x = x < f.x ? x : f.x;
        (void)sl_road_centre(road, x, &sine);
        move(&f, x, pow(1 - sine * sine, -1.5));
        for (int side = 0; side < SL_SIDES; side++)
            look(d, &f, &at[side], side, i);
    }
    const double back = -d->camera.c.forward_m;
    (void)sl_road_centre(road, 0.5 * (x + back), &sine);
    move(&f, back, pow(1 - sine * sine, -1.5));
    pose->y_m = sl_road_centre(road, back, &sine) + f.state[SIDEWAYS];
    pose->sine = fmax(-0.99, fmin(sine + f.state[SINE], 0.99));
    pose->curvature_1pm = road->p[SL_C2] + back * road->p[SL_C3] + f.state[CURVATURE];
    pose->width_m = road->p[SL_WIDTH] + f.state[WIDTH];
    for (int i = 0; i < STATES; i++)
        for (int k = 0; k < STATES; k++)
            pose->covariance[i][k] = f.p[i][k];
}
