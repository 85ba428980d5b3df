/* Rows, rays and ridges.
 *
 * A lane marking crosses an image row as a bright stretch of known width
 * between darker ones. The ridge filter is a difference of boxes on running
 * sums: the mean over the expected width less the brighter of the two flanks.
 * Taking the worse flank makes steps (shadow edges, kerbs, car bodies) answer
 * with nothing, as in the symmetrical local threshold that T. Veit et al.
 * found best of the common marking extractors ("Evaluation of Road Marking
 * Feature Extraction", ITSC 2008).
 *
 * Brightness is luma plus what a pixel lacks in blue: white paint is as bright
 * as it was, and yellow paint stands out on pale concrete, where luma alone
 * hardly shows it. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "app/detect/detector.h"

/* Rows looked at in pictures that have more than SL_ROWS_MAX of them. Small
 * pictures need each they have. */
#define ROWS_OF_MANY 48
/* The flanks begin this share of the paint's width beside it, so that paint of
 * up to twice the expected width does not fill them. */
#define FLANK_GAP 0.5
/* Paint may be so much wider or narrower than expected. */
#define WIDEST    2.6f
#define NARROWEST 0.25f
/* An edge's sharpness is looked at over this share of the paint's width. */
#define EDGE_SHARE 0.2f
/* How much of the picture's usual contrast a marking must have to count half. */
#define RELATIVE 0.3f
/* Candidates are uncertain by pixels, across the line, and by the unevenness of
 * markings and road, as a share of the lane's width. */
#define PIXEL_SIGMA 0.8
#define PAINT_SIGMA 0.003
/* What a cubic leaves of real roads, which change their curvature: grows with
 * the distance in lane widths, squared. */
#define MODEL_SIGMA 0.00005
/* Contrast that the unevenness of its row explains is none. */
#define NOISE_SHARE 1.0f
/* Rays must fall this steeply to be ground. */
#define SLOPE_MIN 0.002

static void ray_slopes(const struct sl_camera_model *camera, double u, double v, double *s,
                       double *t)
{
    double ray[3];
    sl_camera_ray(camera, u, v, ray);
    if (ray[0] < 1e-3) {
        *s = -1.0;
        *t = 0.0;
        return;
    }
    *s = -ray[2] / ray[0];
    *t = ray[1] / ray[0];
}

static void tabulate(struct sl_detector *d, struct sl_row *row, int v)
{
    const struct sl_camera_model *camera = &d->camera;
    double h = camera->c.height_m;
    double middle = 0.5 * (d->width_px - 1.0);
    double s, t;
    row->v = v;
    row->node_px = (float)((d->width_px - 1.0) / (SL_ROW_NODES - 1));
    for (int i = 0; i < SL_ROW_NODES; i++) {
        ray_slopes(camera, i * (double)row->node_px, v, &s, &t);
        row->node_s[i] = (float)s;
        row->node_t[i] = (float)t;
    }
    double t0, t1;
    ray_slopes(camera, middle - 1, v, &s, &t0);
    ray_slopes(camera, middle + 1, v, &s, &t1);
    double per_px = fmax(0.5 * (t0 - t1), 1e-9);
    ray_slopes(camera, middle, v, &s, &t);
    row->s = (float)s;
    for (int i = 0; i < SL_ROW_NODES; i++)
        if (fabsf(row->node_s[i] - row->s) > 0.005f * row->s)
            d->flat = false;
    double marking_px = fmin(d->config.marking_width_m * s / h / per_px, d->width_px);
    row->halvings = 0;
    while (marking_px > SL_BOX_MAX) {
        marking_px *= 0.5;
        row->halvings++;
    }
    row->box = marking_px > 2 ? (int)lrint(marking_px) : 2;
    double paint = PAINT_SIGMA * d->config.lane_width_m * s / h;
    double pixel = PIXEL_SIGMA * per_px;
    double ahead = h / (s * d->config.lane_width_m);
    double model = MODEL_SIGMA * ahead * ahead;
    row->sigma = (float)sqrt(paint * paint + pixel * pixel + model * model);
    row->first = 0;
    row->count = 0;
}

/* How s changes along a row: the parabola through the row's middle that fits its
 * nodes best. */
static void fit_bow(const struct sl_row *row, float *per_t, float *per_t2)
{
    double t2 = 0, t3 = 0, t4 = 0, st = 0, st2 = 0;
    for (int i = 0; i < SL_ROW_NODES; i++) {
        double t = row->node_t[i], ds = row->node_s[i] - row->s;
        t2 += t * t;
        t3 += t * t * t;
        t4 += t * t * t * t;
        st += ds * t;
        st2 += ds * t * t;
    }
    double determinant = t2 * t4 - t3 * t3;
    *per_t = *per_t2 = 0;
    if (fabs(determinant) < 1e-12)
        return;
    *per_t = (float)((st * t4 - st2 * t3) / determinant);
    *per_t2 = (float)((st2 * t2 - st * t3) / determinant);
}

static void choose_rows(struct sl_detector *d, enum sl_row_choice choice, int stride)
{
    struct sl_row_view *view = &d->views[choice];
    view->count = (d->row_count + stride - 1) / stride;
    view->stride = (float)stride;
    for (int i = 0; i < SL_FOURS(view->count); i++) {
        int r = (i < view->count ? i : view->count - 1) * stride;
        const struct sl_row *row = &d->rows[r];
        view->row[i] = (uint8_t)r;
        view->s[i] = row->s;
        view->t_left[i] = row->node_t[0];
        view->t_right[i] = row->node_t[SL_ROW_NODES - 1];
        view->per_span[i] = 1.0f / (view->t_left[i] - view->t_right[i]);
        view->sigma[i] = row->sigma;
        fit_bow(row, &view->s_per_t[i], &view->s_per_t2[i]);
    }
}

static void tabulate_rows(struct sl_detector *d)
{
    double h = d->camera.c.height_m;
    double middle = 0.5 * (d->width_px - 1.0);
    int top = -1, bottom = -1;
    for (int v = 0; v < (int)d->height_px; v++) {
        double s, t;
        ray_slopes(&d->camera, middle, v, &s, &t);
        if (s < SLOPE_MIN)
            continue;
        double x = h / s;
        if (x < d->config.near_m || x > d->config.far_m)
            continue;
        if (top < 0)
            top = v;
        bottom = v;
    }
    if (top < 0)
        return;
    int available = bottom - top + 1;
    int count = available <= SL_ROWS_MAX ? available : ROWS_OF_MANY;
    for (int i = 0; i < count; i++) {
        int v = count > 1 ? bottom - (int)((int64_t)i * (available - 1) / (count - 1)) : bottom;
        tabulate(d, &d->rows[i], v);
    }
    d->row_count = count;
}

void sl_rows_prepare(struct sl_detector *d)
{
    d->flat = true;
    d->row_count = 0;
    tabulate_rows(d);
    choose_rows(d, SL_ROWS_ALL, 1);
    choose_rows(d, SL_ROWS_HALF, 2);
    choose_rows(d, SL_ROWS_FOURTH, 4);
}

/* A row's brightness at full width; the buffer it lies in. */
static uint16_t *read_row(struct sl_detector *d, const struct sl_frame_info *info,
                          const uint8_t *pixels, int v)
{
    const struct sl_row_kernels *k = d->kernels;
    int width = (int)info->width_px;
    const uint8_t *first =
        pixels + info->planes[0].offset_bytes + (size_t)v * info->planes[0].stride_bytes;
    uint16_t *line = d->work.line[0] + SL_ROW_PAD;
    switch (info->fourcc) {
    case SL_FORMAT_NV12:
        k->nv12(first,
                pixels + info->planes[1].offset_bytes +
                    (size_t)(v / 2) * info->planes[1].stride_bytes,
                width, line);
        break;
    case SL_FORMAT_YUYV:
        k->yuyv(first, width, line);
        break;
    case SL_FORMAT_BGR24:
        k->bgr24(first, width, line);
        break;
    case SL_FORMAT_BGRA:
        k->bgra(first, width, line);
        break;
    default:
        k->gray(first, width, line);
        break;
    }
    return line;
}

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "columns are read four at a time");

struct peak {
    int u; /* first column of the box */
    int32_t value;
};

/* Keeps the SL_ROW_PEAKS strongest, in the order of columns. */
static int keep_peak(struct peak *peaks, int count, struct peak candidate)
{
    if (count < SL_ROW_PEAKS) {
        peaks[count] = candidate;
        return count + 1;
    }
    int weakest = 0;
    for (int i = 1; i < count; i++)
        if (peaks[i].value < peaks[weakest].value)
            weakest = i;
    if (peaks[weakest].value >= candidate.value)
        return count;
    memmove(&peaks[weakest], &peaks[weakest + 1], (size_t)(count - 1 - weakest) * sizeof *peaks);
    peaks[count - 1] = candidate;
    return count;
}

/* A row between its reading and its candidates. */
struct scan {
    const uint16_t *line; /* halved as often as the row says */
    int width;
    int box, reach; /* columns; from a box to its flanks */
    const uint16_t *boxes;
    float per_box; /* 1 / box */
    float noise;   /* how uneven the row is at this scale, by shadows, texture and noise alike */
    int sign;      /* -1: everything upside down, for dark markings */
};

static int round_up(float x)
{
    const int whole = (int)x;
    return whole + (x > (float)whole);
}

static int level(const struct scan *s, int u)
{
    return s->sign * s->line[u];
}

/* Mean over the box that begins at u. */
static float box_level(const struct scan *s, int u)
{
    return (float)(s->sign * s->boxes[u]) * s->per_box;
}

/* Walks from the paint outwards until the brightness falls below `edge_level`;
 * where exactly, by interpolation. False if it does not within `most` columns. */
static bool find_edge(const struct scan *s, int from, int direction, int most, float edge_level,
                      float *edge)
{
    const int room = direction > 0 ? s->width - 1 - from : from;
    const int below = round_up(edge_level); /* the same, for whole numbers */
    most = most < room ? most : room;
    for (int i = 1; i <= most; i++) {
        int next = from + i * direction;
        if (level(s, next) >= below)
            continue;
        float a = (float)level(s, next - direction), b = (float)level(s, next);
        float part = a > b ? (a - edge_level) / (a - b) : 0.0f;
        part = part < 0 ? 0 : part > 1 ? 1 : part;
        *edge = (float)(next - direction) + (float)direction * part;
        return true;
    }
    return false;
}

static void slopes_at(const struct sl_row *row, float u, float *s, float *t)
{
    float at = row->node_px > 0 ? u / row->node_px : 0;
    int i = (int)at;
    i = i < 0 ? 0 : i > SL_ROW_NODES - 2 ? SL_ROW_NODES - 2 : i;
    float k = at - (float)i;
    *s = row->node_s[i] + k * (row->node_s[i + 1] - row->node_s[i]);
    *t = row->node_t[i] + k * (row->node_t[i + 1] - row->node_t[i]);
}

/* How much of the step from paint to road happens right at the edge: about 1
 * for paint, little for reflections and patches of light, which fade. */
static float edge_share(const struct scan *s, float edge, int direction, float within, float step)
{
    int in = (int)lrintf(edge - (float)direction * within);
    int out = (int)lrintf(edge + (float)direction * within);
    float share = (float)(level(s, in) - level(s, out)) / step;
    return share < 0 ? 0 : share > 1 ? 1 : share;
}

/* The first column from u on, of `count`, whose response reaches the threshold;
 * `count` if none does. Four columns at a time: numbers below 2^15 reach it when
 * adding 2^15 less the threshold reaches the uppermost bit. */
static int next_above(const uint16_t *response, int u, int count, int threshold)
{
    const uint64_t each = UINT64_C(0x0001000100010001);
    const uint64_t add = each * (uint64_t)(0x8000 - threshold);
    for (; u < count; u += 4) {
        uint64_t four;
        memcpy(&four, response + u, sizeof four);
        four = (four + add) & each << 15;
        if (four != 0) {
            u += __builtin_ctzll(four) / 16;
            break;
        }
    }
    return u < count ? u : count;
}

/* The strongest maxima of a row's answers, from left to right. */
static int find_peaks(const struct sl_detector *d, const struct scan *s,
                      struct peak peaks[SL_ROW_PEAKS])
{
    const uint16_t *response = d->work.answers, *tops = d->work.tops;
    const int count = s->width;
    const int threshold =
        (int)(fmax(d->config.min_contrast, (double)(NOISE_SHARE * s->noise)) * s->box);
    const int blocks = (count + SL_BLOCK - 1) / SL_BLOCK;
    int found = 0;
    for (int u = 0, b = 0; b < blocks; b = u / SL_BLOCK) {
        while (b < blocks && tops[b] < threshold)
            b++;
        if (b == blocks)
            break;
        const int block_end = (b + 1) * SL_BLOCK;
        u = u > b * SL_BLOCK ? u : b * SL_BLOCK;
        u = next_above(response, u, block_end, threshold);
        if (u >= block_end || u >= count) {
            u = block_end;
            continue;
        }
        /* One maximum for each stretch above the threshold, cut at a box's width. */
        int best = u;
        while (u < count && response[u] >= threshold && u - best <= s->box) {
            if (response[u] > response[best])
                best = u;
            u++;
        }
        found = keep_peak(peaks, found, (struct peak){best - s->box / 2, response[best]});
        /* After a cut, the rest of the slope belongs to the maximum before. */
        while (u < count && response[u] >= threshold && response[u] <= response[u - 1])
            u++;
    }
    return found;
}

/* What a peak is of, to a part of a column. False if it is no marking. */
static bool measure(const struct scan *s, struct peak peak, struct sl_candidate *c)
{
    const int u = peak.u, m = s->box;
    int top = u < 0 ? 0 : u;
    const int end = u + m < s->width ? u + m : s->width;
    int highest = level(s, top);
    for (int k = top + 1; k < end; k++) {
        int here = level(s, k);
        top = here > highest ? k : top;
        highest = here > highest ? here : highest;
    }
    /* The paint's level is between the box's mean and its brightest pixel:
     * paint may be narrower than the box. */
    float paint = 0.5f * (box_level(s, u) + (float)level(s, top));
    float left = box_level(s, u - s->reach), right = box_level(s, u + s->reach);
    float from, to;
    int most = m + s->reach;
    if (!find_edge(s, top, -1, most, 0.5f * (paint + left), &from) ||
        !find_edge(s, top, 1, most, 0.5f * (paint + right), &to))
        return false;
    float wide = to - from;
    float middle = 0.5f * (from + to);
    if (wide > WIDEST * (float)m + 1.0f || wide < NARROWEST * (float)m)
        return false;
    float within = fmaxf(EDGE_SHARE * wide, 1.0f);
    c->quality = fminf(edge_share(s, from, -1, within, paint - left),
                       edge_share(s, to, 1, within, paint - right));
    c->u = middle;
    c->contrast = (float)peak.value / (float)m;
    c->noise = s->noise;
    return true;
}

static void add_candidates(struct sl_detector *d, int index, const struct scan *s,
                           const struct peak *peaks, int count)
{
    struct sl_row *row = &d->rows[index];
    const float columns = (float)(1 << row->halvings);
    for (int i = 0; i < count && d->candidate_count < SL_CANDIDATES_MAX; i++) {
        struct sl_candidate *c = &d->candidates[d->candidate_count];
        if (!measure(s, peaks[i], c))
            continue;
        c->u = (c->u + 0.5f) * columns - 0.5f;
        slopes_at(row, c->u, &c->s, &c->t);
        c->row = (int16_t)index;
        d->candidate_count++;
        row->count++;
    }
}

/* Continues a row by its edges' pixels. */
static void extend(uint16_t *line, int width, int before, int behind)
{
    for (int i = 1; i <= before; i++)
        line[-i] = line[0];
    for (int i = 0; i < behind; i++)
        line[width + i] = line[width - 1];
}

/* Adds the row's markings. */
static void scan_row(struct sl_detector *d, const struct sl_frame_info *info, const uint8_t *pixels,
                     int index)
{
    const struct sl_row *row = &d->rows[index];
    const struct sl_row_kernels *kernels = d->kernels;
    struct sl_row_work *work = &d->work;
    const int m = row->box;
    int width = (int)d->width_px >> row->halvings;
    if (width < 2 * m)
        return;
    uint16_t *line = read_row(d, info, pixels, row->v);
    uint16_t *other = work->line[1] + SL_ROW_PAD;
    for (int i = 0; i < row->halvings; i++) {
        kernels->halve(line, (int)d->width_px >> (i + 1), other);
        uint16_t *swap = line;
        line = other;
        other = swap;
    }
    int gap = (int)lrint(FLANK_GAP * m);
    int reach = m + (gap < 1 ? 1 : gap);
    int first = m / 2; /* columns by which the first box begins before the row */
    int blocks = (width + SL_BLOCK - 1) / SL_BLOCK;
    int count = blocks * SL_BLOCK + 2 * reach;
    int before = first + reach, behind = count + m - width - before;
    extend(line, width, before, behind);
    uint16_t *boxes = work->boxes + SL_ROW_PAD;
    kernels->boxes(line - before, count, m, other - before, boxes - before);
    struct scan scan = {.line = line,
                        .width = width,
                        .box = m,
                        .per_box = 1.0f / (float)m,
                        .reach = reach,
                        .boxes = boxes};
    for (int dark = 0; dark <= 1; dark++) {
        if (d->config.markings == (dark ? SL_MARKINGS_BRIGHT : SL_MARKINGS_DARK))
            continue;
        /* The answer for the box that begins at u stands at u + first. */
        uint32_t rough = (dark ? kernels->grooves : kernels->ridges)(boxes - first, blocks, reach,
                                                                     work->answers, work->tops);
        scan.sign = dark ? -1 : 1;
        scan.noise = (float)rough / ((float)width * (float)m);
        struct peak peaks[SL_ROW_PEAKS];
        add_candidates(d, index, &scan, peaks, find_peaks(d, &scan, peaks));
    }
}

/* Contrast counts beside the noise of its row, and beside what the clearer
 * markings of this picture reach. */
static void rate(struct sl_detector *d)
{
    float sum = 0, squares = 0;
    for (int i = 0; i < d->candidate_count; i++) {
        sum += d->candidates[i].contrast;
        squares += d->candidates[i].contrast * d->candidates[i].contrast;
    }
    float usual = sum > 0 ? squares / sum : 0; /* the mean, weighted by contrast itself */
    float least = (float)d->config.min_contrast;
    for (int i = 0; i < d->candidate_count; i++) {
        struct sl_candidate *c = &d->candidates[i];
        c->quality *= c->contrast / (c->contrast + c->noise + least + RELATIVE * usual);
    }
}

static void collect_votes(struct sl_detector *d)
{
    static const struct sl_candidate none;
    struct sl_votes *votes = &d->votes;
    int n = 0;
    for (int r = 0; r < d->row_count; r++) {
        const struct sl_row *row = &d->rows[r];
        votes->first[r] = (uint16_t)n;
        for (int i = 0; i < SL_FOURS(row->count); i++, n++) {
            const struct sl_candidate *c = i < row->count ? &d->candidates[row->first + i] : &none;
            votes->s[n] = c->s;
            votes->t[n] = c->t;
            votes->quality[n] = c->quality;
        }
        votes->end[r] = (uint16_t)n;
        votes->sum[r] = votes->squares[r] = 0;
        for (int i = 0; i < row->count; i++) {
            float quality = d->candidates[row->first + i].quality;
            votes->sum[r] += quality;
            votes->squares[r] += quality * quality;
        }
    }
}

static bool is_readable(uint32_t fourcc)
{
    return fourcc == SL_FORMAT_GRAY8 || fourcc == SL_FORMAT_NV12 || fourcc == SL_FORMAT_YUYV ||
           fourcc == SL_FORMAT_BGR24 || fourcc == SL_FORMAT_BGRA;
}

int sl_rows_scan(struct sl_detector *d, const struct sl_frame_info *info, const uint8_t *pixels)
{
    if (!is_readable(info->fourcc))
        return -ENOTSUP;
    d->candidate_count = 0;
    for (int i = 0; i < d->row_count; i++) {
        d->rows[i].first = (uint16_t)d->candidate_count;
        d->rows[i].count = 0;
        scan_row(d, info, pixels, i);
    }
    rate(d);
    collect_votes(d);
    return 0;
}
