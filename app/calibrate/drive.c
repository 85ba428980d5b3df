#include "app/calibrate/drive.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Where lines cross the picture's lowest row, as seen from a supposed meeting
 * point: tangents to either side of it. */
#define BIN_REACH 4.0
#define BINS_MAX  400
#define BIN       0.025
#define PEAKS     12

#define SEARCH_STEP    0.01 /* of the meeting point, a tangent: 0.6 degrees */
#define FINE_STEP      0.0025
#define MEETINGS       6 /* tried in a frame */
#define MEETINGS_APART 0.045

/* How far a frame's own meeting point may lie from the common one: vehicles
 * pitch by a degree, and weave by two. */
#define FRAME_REACH_X 0.06
#define FRAME_REACH_Y 0.05

/* Depth t = y - meet_y of a point is the camera's height over its distance. */
#define DEPTH_MIN        0.03
#define LOWEST_DEPTH_MIN 0.1 /* of the lowest row: less shows next to no road */
#define RATIO_MIN        1.2 /* w/h of any lane seen from any vehicle */
#define RATIO_MAX        10.0
#define PAINT_PART       0.15 /* paint's widest, as a share of its lane */
#define PAINT_MIN        0.03 /* its narrowest and widest, as a share of the depth */
#define PAINT_MAX        0.35

#define FIT_ROUNDS      8
#define FIT_POINTS_MIN  10
#define FIT_DEPTH_RANGE 2.0
#define REACH_WIDTHS    3.5   /* a frame shows both lines so many lane widths ahead */
#define BEND_MAX        0.004 /* of curvature times lane width: 875 m for a lane of 3.5 m */

#define RATIO_WINDOW     0.08
#define RATIO_OTHER      0.12
#define SPREAD_PITCH_MAX 0.020 /* rad */
#define SPREAD_YAW_MAX   0.035
#define SPREAD_RATIO_MAX 0.06 /* of the ratio */
#define ROLL_ERROR_MAX   0.007
#define DEGREES          (180.0 / 3.14159265358979323846)

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Sorts `values`. */
static double median(double *values, size_t count)
{
    if (count == 0)
        return 0;
    qsort(values, count, sizeof *values, ascending);
    return 0.5 * (values[(count - 1) / 2] + values[count / 2]);
}

/* ---- the meeting point of one frame ---- */

struct histogram {
    double bin, x, y, depth; /* the meeting point; its height over the lowest row */
    int bins;
    uint16_t n[BINS_MAX];
};

static void fill_histogram(const struct sl_lane_point_set *set, double x, double y,
                           struct histogram *h)
{
    h->x = x;
    h->y = y;
    h->depth = set->lowest - y;
    h->bin = BIN > 1.5 * set->pixel ? BIN : 1.5 * set->pixel;
    h->bins = (int)(2 * BIN_REACH / h->bin);
    memset(h->n, 0, sizeof h->n);
    const float fx = (float)x, fy = (float)y;
    const float scale = (float)(h->depth / h->bin), middle = 0.5f * (float)h->bins;
    for (uint32_t i = 0; i < set->count; i++) {
        const struct sl_lane_point *p = &set->points[i];
        float t = p->y - fy;
        if (t < (float)DEPTH_MIN || p->width > (float)PAINT_MAX * t + 2 * set->pixel ||
            p->width < (float)PAINT_MIN * t)
            continue;
        float at = (p->x - fx) / t * scale + middle;
        if (at >= 0 && at < (float)h->bins)
            h->n[(int)at]++;
    }
}

/* How much its peaks stand out of what lies around them by more than chance
 * would, squared: three standard deviations of a count. */
static double sharpness(const struct histogram *h)
{
    double sum = 0;
    for (int i = 5; i + 6 < h->bins; i++) {
        int two = h->n[i] + h->n[i + 1];
        if (two < 5)
            continue;
        int around = h->n[i - 5] + h->n[i - 4] + h->n[i - 3] + h->n[i - 2] + h->n[i + 3] +
                     h->n[i + 4] + h->n[i + 5] + h->n[i + 6];
        double chance = 0.25 * around, over = two - chance;
        if (over > 0 && over * over > 9 * (chance + 1))
            sum += over * over;
    }
    return sum;
}

struct area {
    double x, y, reach_x, reach_y;
};

static double scan(const struct sl_lane_point_set *set, struct area a, double step, double *best_x,
                   double *best_y)
{
    struct histogram h;
    double best = 0;
    int nx = (int)ceil(a.reach_x / step), ny = (int)ceil(a.reach_y / step);
    for (int j = -ny; j <= ny; j++) {
        for (int i = -nx; i <= nx; i++) {
            double x = a.x + i * step, y = a.y + j * step;
            if (set->lowest - y < LOWEST_DEPTH_MIN)
                continue;
            fill_histogram(set, x, y, &h);
            double s = sharpness(&h);
            if (s > best) {
                best = s;
                *best_x = x;
                *best_y = y;
            }
        }
    }
    return best;
}

/* The best points of the area, none close to a better one; how many. */
static int find_meetings(const struct sl_lane_point_set *set, struct area a,
                         double found[MEETINGS][2])
{
    struct histogram h;
    double score[MEETINGS];
    int count = 0;
    int nx = (int)ceil(a.reach_x / SEARCH_STEP), ny = (int)ceil(a.reach_y / SEARCH_STEP);
    if (set->count < 2 * FIT_POINTS_MIN)
        return 0;
    for (int j = -ny; j <= ny; j++) {
        for (int i = -nx; i <= nx; i++) {
            double x = a.x + i * SEARCH_STEP, y = a.y + j * SEARCH_STEP;
            if (set->lowest - y < LOWEST_DEPTH_MIN)
                continue;
            fill_histogram(set, x, y, &h);
            double s = sharpness(&h);
            if (s <= 0)
                continue;
            /* It takes the place of a weaker neighbour, else of the weakest. */
            int at = -1, weakest = 0;
            bool hidden = false;
            for (int k = 0; k < count; k++) {
                if (fabs(found[k][0] - x) < MEETINGS_APART &&
                    fabs(found[k][1] - y) < MEETINGS_APART) {
                    hidden = hidden || score[k] >= s;
                    at = k;
                }
                if (score[k] < score[weakest])
                    weakest = k;
            }
            if (hidden)
                continue;
            if (at < 0)
                at = count < MEETINGS ? count++ : score[weakest] < s ? weakest : -1;
            if (at >= 0) {
                found[at][0] = x;
                found[at][1] = y;
                score[at] = s;
            }
        }
    }
    for (int k = 0; k < count; k++) {
        struct area fine = {found[k][0], found[k][1], SEARCH_STEP, SEARCH_STEP};
        scan(set, fine, FINE_STEP, &found[k][0], &found[k][1]);
    }
    return count;
}

/* ---- its lines ---- */

struct peak {
    double slope;
    int strength;
};

/* The histogram's peaks from left to right. Dashes leave a fifth of a solid
 * line's points. */
static int find_peaks(const struct histogram *h, struct peak peaks[PEAKS])
{
    int smooth[BINS_MAX] = {0}, most = 0, count = 0;
    for (int i = 1; i + 1 < h->bins; i++) {
        smooth[i] = h->n[i - 1] + 2 * h->n[i] + h->n[i + 1];
        if (smooth[i] > most)
            most = smooth[i];
    }
    int least = most / 6 > 16 ? most / 6 : 16;
    for (int i = 2; i + 2 < h->bins; i++) {
        if (smooth[i] < least || smooth[i] < smooth[i - 1] || smooth[i] <= smooth[i + 1])
            continue;
        /* The weakest gives way if there are too many. */
        int at = count;
        if (count == PEAKS) {
            at = 0;
            for (int k = 1; k < PEAKS; k++)
                if (peaks[k].strength < peaks[at].strength)
                    at = k;
            if (peaks[at].strength >= smooth[i])
                continue;
            memmove(peaks + at, peaks + at + 1, (size_t)(PEAKS - 1 - at) * sizeof *peaks);
            at = PEAKS - 1;
        } else {
            count++;
        }
        double left = h->n[i - 1], right = h->n[i + 1], middle = h->n[i];
        double centre = i + 0.5 + (right - left) / (left + middle + right);
        peaks[at].slope = (centre - 0.5 * h->bins) * h->bin / h->depth;
        peaks[at].strength = smooth[i];
    }
    return count;
}

/* The lane's two lines: of the pairs on either side of the meeting point whose
 * distance is allowed, the strongest; of those nearly as strong the narrowest. */
static bool find_pair(const struct peak *peaks, int count, double ratio_min, double ratio_max,
                      double pair[2])
{
    double best = 0;
    for (int l = 0; l < count; l++) {
        for (int r = l + 1; r < count; r++) {
            double ratio = peaks[r].slope - peaks[l].slope;
            if (peaks[l].slope >= -0.1 * ratio || peaks[r].slope <= 0.1 * ratio ||
                ratio < ratio_min || ratio > ratio_max)
                continue;
            int weaker =
                peaks[l].strength < peaks[r].strength ? peaks[l].strength : peaks[r].strength;
            double score = sqrt((double)weaker) / ratio;
            if (score > best) {
                best = score;
                pair[0] = peaks[l].slope;
                pair[1] = peaks[r].slope;
            }
        }
    }
    return best > 0;
}

/* ---- the fit ---- */

#define UNKNOWNS 5

/* Solves a x = b by elimination with pivots; false if it is singular. */
static bool solve(double a[UNKNOWNS][UNKNOWNS + 1], double x[UNKNOWNS])
{
    for (int c = 0; c < UNKNOWNS; c++) {
        int pivot = c;
        for (int r = c + 1; r < UNKNOWNS; r++)
            if (fabs(a[r][c]) > fabs(a[pivot][c]))
                pivot = r;
        if (fabs(a[pivot][c]) < 1e-12)
            return false;
        for (int k = 0; k <= UNKNOWNS; k++) {
            double swap = a[c][k];
            a[c][k] = a[pivot][k];
            a[pivot][k] = swap;
        }
        for (int r = c + 1; r < UNKNOWNS; r++) {
            double f = a[r][c] / a[c][c];
            for (int k = c; k <= UNKNOWNS; k++)
                a[r][k] -= f * a[c][k];
        }
    }
    for (int r = UNKNOWNS - 1; r >= 0; r--) {
        x[r] = a[r][UNKNOWNS];
        for (int k = r + 1; k < UNKNOWNS; k++)
            x[r] -= a[r][k] * x[k];
        x[r] /= a[r][r];
    }
    return true;
}

/* How far from the model a point may lie: some pixels, or a share of the lane,
 * which shrinks from round to round. */
static double reach_of(const struct sl_lane_point_set *set, double t, double ratio, int round)
{
    double share = (round < 2 ? 0.08 : round < 4 ? 0.05 : 0.03) * t * ratio;
    double pixels = (round < 4 ? 4.0 : 2.5) * set->pixel;
    return share > pixels ? share : pixels;
}

struct fit {
    double slope[2], offset[2], bend, meet_x, meet_y;
    double far[2], near[2]; /* depths of the points used, by side */
    double residual;
    uint32_t used[2];
};

/* One round: the points near the last model, weighed, make the next. */
static bool fit_round(const struct sl_lane_point_set *set, struct fit *f, int round)
{
    double a[UNKNOWNS][UNKNOWNS + 1] = {0}, x[UNKNOWNS];
    const double ratio = f->slope[1] - f->slope[0];
    const double paint = PAINT_PART * ratio;
    double squares = 0, weights = 0;
    for (int s = 0; s < 2; s++) {
        f->used[s] = 0;
        f->far[s] = 1e9;
        f->near[s] = 0;
    }
    for (uint32_t i = 0; i < set->count; i++) {
        const struct sl_lane_point *p = &set->points[i];
        double t = p->y - f->meet_y;
        if (t < DEPTH_MIN || p->width > paint * t + 2 * set->pixel)
            continue;
        for (int s = 0; s < 2; s++) {
            double off = p->x - (f->slope[s] * p->y + f->offset[s] + f->bend / t);
            double u = off / reach_of(set, t, ratio, round);
            if (fabs(u) >= 1)
                continue;
            double w = (1 - u * u) * (1 - u * u);
            double row[UNKNOWNS] = {0};
            row[2 * s] = p->y;
            row[2 * s + 1] = 1;
            row[4] = 1 / t;
            for (int j = 0; j < UNKNOWNS; j++) {
                for (int k = 0; k < UNKNOWNS; k++)
                    a[j][k] += w * row[j] * row[k];
                a[j][UNKNOWNS] += w * row[j] * p->x;
            }
            squares += w * off * off;
            weights += w;
            f->used[s]++;
            if (t < f->far[s])
                f->far[s] = t;
            if (t > f->near[s])
                f->near[s] = t;
        }
    }
    if (f->used[0] < FIT_POINTS_MIN || f->used[1] < FIT_POINTS_MIN || !solve(a, x))
        return false;
    f->residual = sqrt(squares / weights);
    if (!(x[2] - x[0] > RATIO_MIN) || !(x[2] - x[0] < RATIO_MAX))
        return false;
    for (int s = 0; s < 2; s++) {
        f->slope[s] = x[2 * s];
        f->offset[s] = x[2 * s + 1];
    }
    f->bend = x[4];
    f->meet_y = (f->offset[0] - f->offset[1]) / (f->slope[1] - f->slope[0]);
    f->meet_x = f->slope[0] * f->meet_y + f->offset[0];
    return true;
}

/* From the frame's lines, the camera rolled by `roll` more: what it says of
 * the pose. */
struct pose {
    double pitch_rad, yaw_rad, ratio;
};

static struct pose pose_of(const struct sl_drive_frame *f, double roll)
{
    const double c = cos(roll), s = sin(roll);
    /* The lines' planes through the lens, by their normals, and their common
     * direction. Level camera axes: x right, y down, z ahead. */
    double d[3] = {f->meet_x * c - f->meet_y * s, f->meet_x * s + f->meet_y * c, 1};
    double norm = sqrt(d[0] * d[0] + d[1] * d[1] + 1);
    struct pose p;
    p.pitch_rad = atan(-d[1]);
    p.yaw_rad = asin(d[0] / norm);
    const double up[3] = {0, -cos(p.pitch_rad), -sin(p.pitch_rad)};
    double left[3] = {up[1] * d[2] - up[2] * d[1], up[2] * d[0] - up[0] * d[2],
                      up[0] * d[1] - up[1] * d[0]};
    double place[2];
    for (int side = 0; side < 2; side++) {
        double nx = 1, ny = -f->slope[side];
        double n[3] = {nx * c - ny * s, nx * s + ny * c, -f->offset[side]};
        double along_up = n[1] * up[1] + n[2] * up[2];
        double along_left = (n[0] * left[0] + n[1] * left[1] + n[2] * left[2]) / norm;
        place[side] = along_up / along_left; /* its distance to the left, over h */
    }
    p.ratio = place[0] - place[1];
    return p;
}

/* Fits from one meeting point. How much of the rows both lines were seen in,
 * 0 if they cannot be fitted; *other: there are lines, but of another lane. */
static double fit_from(const struct sl_lane_point_set *set, const double meet[2], double low,
                       double high, struct fit *f, bool *other)
{
    struct histogram h;
    struct peak peaks[PEAKS];
    double pair[2] = {0, 0};
    fill_histogram(set, meet[0], meet[1], &h);
    int count = find_peaks(&h, peaks);
    if (!find_pair(peaks, count, low, high, pair)) {
        *other = *other || find_pair(peaks, count, RATIO_MIN, RATIO_MAX, pair);
        return 0;
    }
    memset(f, 0, sizeof *f);
    f->meet_x = meet[0];
    f->meet_y = meet[1];
    for (int s = 0; s < 2; s++) {
        f->slope[s] = pair[s];
        f->offset[s] = meet[0] - pair[s] * meet[1];
    }
    for (int round = 0; round < FIT_ROUNDS; round++)
        if (!fit_round(set, f, round))
            return 0;
    if (f->near[0] < FIT_DEPTH_RANGE * f->far[0] || f->near[1] < FIT_DEPTH_RANGE * f->far[1])
        return 0;
    double rows = (set->lowest - f->meet_y) / set->row_pitch;
    return sqrt((double)f->used[0] * f->used[1]) / rows;
}

/* The best of the frame's meeting points within the area, for a lane whose w/h
 * lies within low and high. */
static void fit_frame(struct sl_drive_frame *frame, struct area area, double low, double high)
{
    const struct sl_lane_point_set *set = &frame->points;
    double meetings[MEETINGS][2], best = 0;
    struct fit f = {0}, one;
    bool other = false;
    int count = find_meetings(set, area, meetings);
    for (int i = 0; i < count; i++) {
        double quality = fit_from(set, meetings[i], low, high, &one, &other);
        if (quality > best && fabs(one.meet_x - area.x) < area.reach_x + SEARCH_STEP &&
            fabs(one.meet_y - area.y) < area.reach_y + SEARCH_STEP) {
            best = quality;
            f = one;
        }
    }
    frame->verdict = other ? SL_DRIVE_OTHER : SL_DRIVE_NO_LANE;
    if (best <= 0)
        return;
    for (int s = 0; s < 2; s++) {
        frame->slope[s] = f.slope[s];
        frame->offset[s] = f.offset[s];
        frame->points_used[s] = f.used[s];
    }
    frame->bend = f.bend;
    frame->meet_x = f.meet_x;
    frame->meet_y = f.meet_y;
    frame->far_y = f.meet_y + (f.far[0] > f.far[1] ? f.far[0] : f.far[1]);
    frame->residual_px = f.residual / set->pixel;
    struct pose p = pose_of(frame, 0), q = pose_of(frame, 0.01), r = pose_of(frame, -0.01);
    frame->pitch_rad = p.pitch_rad;
    frame->yaw_rad = p.yaw_rad;
    frame->width_by_height = p.ratio;
    frame->skew = (q.ratio - r.ratio) / 0.02;
    bool bent = fabs(2 * f.bend * p.ratio) > BEND_MAX;
    bool near_only = (frame->far_y - f.meet_y) * p.ratio * REACH_WIDTHS > 1;
    frame->verdict = bent || near_only ? SL_DRIVE_BENT : SL_DRIVE_STRAIGHT;
}

/* ---- all frames ---- */

/* Values in order of time; sorts `scratch` (count doubles). */
static struct sl_drive_number number_of(const double *values, size_t count, double *scratch)
{
    struct sl_drive_number out = {0};
    memcpy(scratch, values, count * sizeof *values);
    out.value = median(scratch, count);
    for (size_t i = 0; i < count; i++)
        scratch[i] = fabs(values[i] - out.value);
    out.spread = 1.4826 * median(scratch, count);
    /* Outliers are cut before they rule the correlation. */
    double squares = 0, products = 0, last = 0;
    const double most = 3 * out.spread;
    for (size_t i = 0; i < count; i++) {
        double v = values[i] - out.value;
        v = v > most ? most : v < -most ? -most : v;
        squares += v * v;
        if (i > 0)
            products += v * last;
        last = v;
    }
    double r = squares > 0 ? products / squares : 0;
    r = r < 0 ? 0 : r > 0.98 ? 0.98 : r;
    double independent = (double)count * (1 - r) / (1 + r);
    out.error = 1.2533 * out.spread / sqrt(independent > 1 ? independent : 1);
    return out;
}

/* Roll from how w/h changes with the vehicle's place in the lane: the slope of
 * width_by_height against skew, by least squares. */
static struct sl_drive_number roll_of(const struct sl_drive_frame *frames, size_t count)
{
    struct sl_drive_number out = {0, 0, 1e9};
    double n = 0, s = 0, g = 0, sg = 0, gg = 0, ss = 0;
    for (int part = 0; part < 2; part++) {
        double mean_s = n > 0 ? s / n : 0, mean_g = n > 0 ? g / n : 0;
        for (size_t i = 0; i < count; i++) {
            const struct sl_drive_frame *f = &frames[i];
            if (f->verdict != SL_DRIVE_STRAIGHT)
                continue;
            if (part == 0) {
                n++;
                s += f->width_by_height;
                g += f->skew;
            } else {
                double ds = f->width_by_height - mean_s, dg = f->skew - mean_g;
                sg += ds * dg;
                gg += dg * dg;
                ss += ds * ds;
            }
        }
    }
    if (n < SL_DRIVE_FRAMES_MIN || !(gg > 1e-9))
        return out;
    out.value = -sg / gg;
    double rest = ss - sg * sg / gg;
    out.spread = sqrt((rest > 0 ? rest : 0) / (n - 2));
    out.error = out.spread / sqrt(gg);
    return out;
}

static struct area start_area(const struct sl_drive_config *config,
                              const struct sl_lane_point_set *set)
{
    const struct sl_camera_calibration *c = &config->camera;
    if (config->pose_known) {
        double norm = cos(c->pitch_rad);
        return (struct area){tan(c->yaw_rad) / norm, -tan(c->pitch_rad), 0.10, 0.11};
    }
    /* From an eighth to three quarters of the way down the picture. */
    double rows = (double)c->height_px / c->fy_px;
    double top = set->lowest - 0.85 * rows, bottom = set->lowest - 0.25 * rows;
    return (struct area){0, 0.5 * (top + bottom), 0.25, 0.5 * (bottom - top)};
}

/* How far frames that agree may differ. */
static bool alike(const struct sl_drive_frame *a, const struct sl_drive_frame *b)
{
    return fabs(a->meet_x - b->meet_x) < FRAME_REACH_X / 2 &&
           fabs(a->meet_y - b->meet_y) < FRAME_REACH_Y / 2 &&
           fabs(a->width_by_height - b->width_by_height) < RATIO_WINDOW * b->width_by_height;
}

/* First pass: each frame for itself, and what most agree on. False if hardly
 * any shows a straight lane. */
static bool agree(const struct sl_drive_config *config, struct sl_drive_frame *frames, size_t count,
                  double *scratch, struct area *area, double *ratio)
{
    double low = RATIO_MIN, high = RATIO_MAX;
    if (config->pose_known) {
        double expected = config->lane_width_m / config->camera.height_m;
        low = expected / 1.6;
        high = expected * 1.6;
    }
    for (size_t i = 0; i < count; i++)
        fit_frame(&frames[i], start_area(config, &frames[i].points), low, high);
    size_t best = 0, middle = 0;
    for (size_t i = 0; i < count; i++) {
        size_t n = 0;
        for (size_t k = 0; frames[i].verdict == SL_DRIVE_STRAIGHT && k < count; k++)
            n += frames[k].verdict == SL_DRIVE_STRAIGHT && alike(&frames[k], &frames[i]);
        if (n > best) {
            best = n;
            middle = i;
        }
    }
    if (best < SL_DRIVE_FRAMES_MIN / 2)
        return false;
    const struct sl_drive_frame agreed = frames[middle];
    size_t n = 0;
    for (size_t k = 0; k < count; k++) {
        if (frames[k].verdict == SL_DRIVE_STRAIGHT && alike(&frames[k], &agreed)) {
            scratch[n] = frames[k].meet_x;
            scratch[count + n++] = frames[k].meet_y;
        }
    }
    area->x = median(scratch, n);
    area->y = median(scratch + count, n);
    area->reach_x = FRAME_REACH_X;
    area->reach_y = FRAME_REACH_Y;
    *ratio = agreed.width_by_height;
    return true;
}

static void count_verdicts(const struct sl_drive_frame *frames, size_t count,
                           struct sl_drive_result *result)
{
    memset(result->counts, 0, sizeof result->counts);
    for (size_t i = 0; i < count; i++)
        result->counts[frames[i].verdict]++;
}

static int too_few(const struct sl_drive_result *r, size_t count, struct sl_error *err)
{
    const char *advice;
    if (2 * r->counts[SL_DRIVE_STRAIGHT] > count)
        advice = "; take more of them";
    else if (r->counts[SL_DRIVE_BENT] > r->counts[SL_DRIVE_NO_LANE])
        advice = "; drive along a straight road";
    else
        advice = "; both lines of the lane must be in view (for dark lines say --markings dark)";
    return sl_error_set(err, -ENODATA,
                        "only %u of %zu pictures show a straight lane, and %d are needed: in %u "
                        "the road bends, in %u there are not both lines, in %u they do not fit "
                        "the rest%s",
                        r->counts[SL_DRIVE_STRAIGHT], count, SL_DRIVE_FRAMES_MIN,
                        r->counts[SL_DRIVE_BENT], r->counts[SL_DRIVE_NO_LANE],
                        r->counts[SL_DRIVE_OTHER], advice);
}

/* Gathers one value of each straight frame, in order, into `to`. */
static size_t gather(const struct sl_drive_frame *frames, size_t count, double roll, int which,
                     double *to)
{
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        if (frames[i].verdict != SL_DRIVE_STRAIGHT)
            continue;
        struct pose p = pose_of(&frames[i], roll);
        to[n++] = which == 0   ? p.pitch_rad
                  : which == 1 ? p.yaw_rad
                  : which == 2 ? p.ratio
                               : frames[i].residual_px;
    }
    return n;
}

int sl_drive_solve(const struct sl_drive_config *config, struct sl_drive_frame *frames,
                   size_t count, double *scratch, struct sl_drive_result *result,
                   struct sl_error *err)
{
    struct sl_camera_model model;
    memset(result, 0, sizeof *result);
    result->camera = config->camera;
    if (!(config->lane_width_m >= 0.05 && config->lane_width_m <= 20))
        return sl_error_set(err, -EINVAL,
                            "the lane's width is %g m; it must lie within 0.05 and 20",
                            config->lane_width_m);
    int rc = sl_camera_model_init(&model, &config->camera, err);
    if (rc)
        return rc;
    struct area area;
    double ratio;
    if (!agree(config, frames, count, scratch, &area, &ratio)) {
        count_verdicts(frames, count, result);
        return too_few(result, count, err);
    }
    for (size_t i = 0; i < count; i++)
        fit_frame(&frames[i], area, ratio * (1 - 2 * RATIO_OTHER), ratio * (1 + 2 * RATIO_OTHER));
    /* A neighbouring lane, or a crack for a line, has another width. */
    size_t n = gather(frames, count, 0, 2, scratch);
    double usual = median(scratch, n);
    for (size_t i = 0; i < count; i++)
        if (frames[i].verdict == SL_DRIVE_STRAIGHT &&
            fabs(frames[i].width_by_height / usual - 1) > RATIO_OTHER)
            frames[i].verdict = SL_DRIVE_OTHER;
    count_verdicts(frames, count, result);
    if (result->counts[SL_DRIVE_STRAIGHT] < SL_DRIVE_FRAMES_MIN)
        return too_few(result, count, err);

    result->roll_rad = roll_of(frames, count);
    result->roll_found = result->roll_rad.error < ROLL_ERROR_MAX &&
                         fabs(config->camera.roll_rad + result->roll_rad.value) < 0.2;
    double roll = result->roll_found ? result->roll_rad.value : 0;
    result->roll_rad.value = config->camera.roll_rad + roll;

    double *values = scratch, *sorted = scratch + count;
    n = gather(frames, count, roll, 0, values);
    result->pitch_rad = number_of(values, n, sorted);
    gather(frames, count, roll, 1, values);
    result->yaw_rad = number_of(values, n, sorted);
    gather(frames, count, roll, 2, values);
    struct sl_drive_number by_height = number_of(values, n, sorted);
    gather(frames, count, roll, 3, values);
    result->residual_px = median(values, n);
    double height = config->lane_width_m / by_height.value;
    result->height_m = (struct sl_drive_number){height, height * by_height.spread / by_height.value,
                                                height * by_height.error / by_height.value};
    if (result->pitch_rad.spread > SPREAD_PITCH_MAX || result->yaw_rad.spread > SPREAD_YAW_MAX ||
        by_height.spread > SPREAD_RATIO_MAX * by_height.value)
        return sl_error_set(
            err, -ENODATA,
            "the pictures do not agree: from one to the next the pitch changes by %.2f degrees, "
            "the yaw by %.2f, the lane's width by %.0f %%; drive slowly along the middle of one "
            "lane, and check the lens",
            result->pitch_rad.spread * DEGREES, result->yaw_rad.spread * DEGREES,
            100 * by_height.spread / by_height.value);
    struct sl_camera_calibration *c = &result->camera;
    c->pitch_rad = result->pitch_rad.value;
    c->yaw_rad = result->yaw_rad.value;
    c->roll_rad = result->roll_rad.value;
    c->height_m = height;
    rc = sl_camera_model_init(&model, c, err);
    if (rc) {
        sl_error_prefix(err, "what was found is no camera; check the lens and the lane's width");
        return rc;
    }
    /* A point of the ground so far ahead that it is on the horizon. */
    if (!sl_camera_to_image(&model, 1e7, c->left_m, &result->vanishing_px, &result->horizon_px)) {
        result->vanishing_px = c->cx_px;
        result->horizon_px = sl_camera_horizon_px(&model);
    }
    return 0;
}
