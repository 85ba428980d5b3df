/* Where the vehicle is in its lane.
 *
 * Roads bend differently near and far, which no road with few parameters follows:
 * the fit to all of the picture is of little use where the lane begins. Here the
 * curvature wanders about the fitted road's and returns to it (an Ornstein and
 * Uhlenbeck process). A Kalman filter (R. E. Kalman, "A new
 * approach to linear filtering and prediction problems", J. Basic Eng. 82, 1960)
 * goes from far to near over the rows, for what the centre line departs from the
 * fitted road: sideways, in heading and in curvature, and in the lane's width. Where
 * the rows end it goes on over what earlier pictures showed (passed.c). It ends at
 * the rear axle, and what it does not know, it says. */
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
/* Fewer places than these are what is left of a stretch where hardly anything was
 * seen, and as good as that was. */
#define PLACES_LEAST 6
/* By so much of a marking's width the lane's middle is a matter of taste: of double
 * lines, one or the middle of both may be meant. */
#define MEANT 0.25
/* Candidates of good quality weigh 1 in all; neighbouring rows err alike. */
#define INFLATION 2.0

struct filter {
    double x; /* ahead of the lens */
    double state[STATES], p[STATES][STATES];
    double wander, return_m; /* of the curvature: variance per metre; decay */
};

/* Adds `by` times one state to another: to the state itself, and to both sides of
 * its covariance. */
static void mix(struct filter *f, int to, int from, double by)
{
    f->state[to] += by * f->state[from];
    for (int i = 0; i < STATES; i++)
        f->p[to][i] += by * f->p[from][i];
    for (int i = 0; i < STATES; i++)
        f->p[i][to] += by * f->p[i][from];
}

/* By how much the tangent grows with the sine. */
static double tangent_by_sine(double sine)
{
    const double cosine2 = 1 - sine * sine;
    return 1 / (cosine2 * sqrt(cosine2));
}

/* The variance that the curvature's wandering gives a place `h` away. */
static double wandered(const struct filter *f, double h, double bend)
{
    const double h2 = h * h;
    return f->wander * h2 * h2 * h / 20 * bend * bend;
}

/* To x, from farther away, where the centre line's heading has this sine. */
static void move(struct filter *f, double x, double sine)
{
    const double bend = tangent_by_sine(sine);
    const double h = f->x - x, h2 = h * h, q = f->wander;
    mix(f, SIDEWAYS, SINE, -h * bend);
    mix(f, SIDEWAYS, CURVATURE, h2 / 2 * bend);
    mix(f, SINE, CURVATURE, -h);
    mix(f, CURVATURE, CURVATURE, -h / (f->return_m + h));
    const double noise[3][3] = {{wandered(f, h, bend)},
                                {-q * h2 * h2 / 8 * bend, q * h2 * h / 3},
                                {q * h2 * h / 6 * bend, -q * h2 / 2, q * h}};
    for (int i = SIDEWAYS; i <= CURVATURE; i++)
        for (int k = 0; k <= i; k++) {
            f->p[i][k] += noise[i][k];
            f->p[k][i] = f->p[i][k];
        }
    f->x = x;
}

/* By how much `at` of the state is uncertain: a variance. */
static double known(const struct filter *f, const double at[STATES])
{
    double sum = 0;
    for (int i = 0; i < STATES; i++)
        for (int k = 0; k < STATES; k++)
            sum += at[i] * f->p[i][k] * at[k];
    return sum;
}

/* Something that goes with `at` of the state was seen `off` of where the state has
 * it, with such a variance. */
static void update(struct filter *f, const double at[STATES], double off, double variance)
{
    double gain[STATES] = {0}, all = variance;
    for (int i = 0; i < STATES; i++) {
        for (int k = 0; k < STATES; k++)
            gain[i] += f->p[i][k] * at[k];
        all += at[i] * gain[i];
    }
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
    const double per_m = 1.0 / (double)at->x[i];
    const double by[STATES] = {[SIDEWAYS] = per_m,
                               [WIDTH] =
                                   0.5 * (double)sl_side_sign(side) * (double)at->slant[i] * per_m};
    double expected = by[SIDEWAYS] * f->state[SIDEWAYS] + by[WIDTH] * f->state[WIDTH];
    double sigma = (double)(view->sigma[i] * at->aslant[i]);
    double noise = sigma * sigma;
    float weight, sum;
    sl_row_pull(&d->votes, view->row[i], at->t[i] + (float)expected, at->s[i], at->per_s[i],
                (float)(1.0 / (GATE * GATE * (fmin(known(f, by), KNOWN_MOST * noise) + noise))),
                &weight, &sum);
    if (weight > 0)
        update(f, by, (double)(sum / weight), INFLATION * noise / (double)weight);
}

/* A place that was seen earlier, when the filter is at it or has come to the rear
 * axle, which has passed it. It may be the next lane's middle. False if it says
 * otherwise than what has been seen since: then it has no say. */
static bool recall(const struct sl_road *road, struct filter *f,
                   const struct sl_passed_place *place)
{
    double sine;
    const double there = sl_road_centre(road, place->x, NULL), h = place->x - f->x;
    (void)sl_road_centre(road, f->x, &sine);
    const double bend = tangent_by_sine(sine);
    const double at[STATES] = {[SIDEWAYS] = 1, [SINE] = h * bend, [CURVATURE] = h * h / 2 * bend};
    double expected = there;
    for (int i = 0; i < STATES; i++)
        expected += at[i] * f->state[i];
    const double noise = INFLATION * place->sd * place->sd + wandered(f, fabs(h), bend);
    const double off = remainder(place->y - expected, road->p[SL_WIDTH]);
    if (!(off * off < (double)(GATE * GATE) * (known(f, at) + noise)))
        return false;
    update(f, at, off, noise);
    return true;
}

/* From the rows' end to the rear axle, over what was seen there earlier. The number
 * of places that agree, less those that do not. */
static int pass(const struct sl_detector *d, struct filter *f, double back)
{
    int agree = 0;
    const struct sl_road *road = &d->near;
    const int count = d->passed_count >= PLACES_LEAST ? d->passed_count : 0;
    const double meant = MEANT * d->config.marking_width_m;
    const double shared = f->p[SIDEWAYS][SIDEWAYS] + meant * meant;
    double sine;
    for (int i = 0; i <= count; i++) {
        const double x = i < count ? fmax(d->passed[i].x, back) : back;
        if (x > f->x)
            continue;
        (void)sl_road_centre(road, 0.5 * (x + f->x), &sine);
        move(f, x, sine);
        if (i < count)
            agree += recall(road, f, &d->passed[i]) ? 1 : -1;
    }
    /* In what they share they are no better than this picture. */
    f->p[SIDEWAYS][SIDEWAYS] = fmax(f->p[SIDEWAYS][SIDEWAYS], shared);
    return agree;
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
    double sine = 0;
    for (int i = rows - 1; i >= 0; i--) {
        const double x = fmin(0.5 * (double)(at[0].x[i] + at[1].x[i]), f.x);
        (void)sl_road_centre(road, x, &sine);
        move(&f, x, sine);
        for (int side = 0; side < SL_SIDES; side++)
            look(d, &f, &at[side], side, i);
    }
    pose->seen = (struct sl_passed_place){.x = f.x,
                                          .y = sl_road_centre(road, f.x, &sine) + f.state[SIDEWAYS],
                                          .sd = sqrt(fmax(f.p[SIDEWAYS][SIDEWAYS], 0))};
    pose->seen.sine = sine + f.state[SINE];
    const double back = -d->camera.c.forward_m;
    struct filter alone = f;
    (void)sl_road_centre(road, 0.5 * (f.x + back), &sine);
    move(&alone, back, sine);
    pose->agree = pass(d, &f, back);
    const double y_m = sl_road_centre(road, back, &sine);
    pose->alone_y_m = y_m + alone.state[SIDEWAYS];
    pose->alone_sine = fmax(-0.99, fmin(sine + alone.state[SINE], 0.99));
    pose->y_m = y_m + f.state[SIDEWAYS];
    pose->sine = fmax(-0.99, fmin(sine + f.state[SINE], 0.99));
    pose->curvature_1pm = road->p[SL_C2] + back * road->p[SL_C3] + f.state[CURVATURE];
    pose->width_m = road->p[SL_WIDTH] + f.state[WIDTH];
    for (int i = 0; i < STATES; i++)
        for (int k = 0; k < STATES; k++)
            pose->covariance[i][k] = f.p[i][k];
}
