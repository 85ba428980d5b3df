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

#ifdef __GNUC__
#pragma GCC optimize("O3") /* the loops over pixels are worth vectorising */
#endif

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
    row->flat = true;
    for (int i = 0; i < SL_ROW_NODES; i++)
        if (fabsf(row->node_s[i] - row->s) > 0.005f * row->s)
            row->flat = false;
    row->marking_px = (float)fmin(d->config.marking_width_m * s / h / per_px, SL_ROW_PAD);
    double paint = PAINT_SIGMA * d->config.lane_width_m * s / h;
    double pixel = PIXEL_SIGMA * per_px;
    double ahead = h / (s * d->config.lane_width_m);
    double model = MODEL_SIGMA * ahead * ahead;
    row->sigma = (float)sqrt(paint * paint + pixel * pixel + model * model);
    row->first = 0;
    row->count = 0;
}

void sl_rows_prepare(struct sl_detector *d)
{
    double h = d->camera.c.height_m;
    double middle = 0.5 * (d->width_px - 1.0);
    int top = -1, bottom = -1;
    d->row_count = 0;
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
    int count = available < SL_ROWS_MAX ? available : SL_ROWS_MAX;
    for (int i = 0; i < count; i++) {
        int v = count > 1 ? bottom - (int)((int64_t)i * (available - 1) / (count - 1)) : bottom;
        tabulate(d, &d->rows[i], v);
    }
    d->row_count = count;
}

/* One row's brightness, 0..510. */
static void brightness(const struct sl_frame_info *info, const uint8_t *pixels, int v,
                       uint16_t *out)
{
    int width = (int)info->width_px;
    const uint8_t *p =
        pixels + info->planes[0].offset_bytes + (size_t)v * info->planes[0].stride_bytes;
    switch (info->fourcc) {
    case SL_FORMAT_GRAY8:
        for (int u = 0; u < width; u++)
            out[u] = p[u];
        return;
    case SL_FORMAT_NV12: {
        const uint8_t *c =
            pixels + info->planes[1].offset_bytes + (size_t)(v / 2) * info->planes[1].stride_bytes;
        for (int u = 0; u + 1 < width; u += 2) {
            int lack = 128 - c[u];
            lack = lack > 0 ? lack : 0;
            out[u] = (uint16_t)(p[u] + lack);
            out[u + 1] = (uint16_t)(p[u + 1] + lack);
        }
        return;
    }
    case SL_FORMAT_YUYV:
        for (int u = 0; u + 1 < width; u += 2) {
            int lack = 128 - p[2 * u + 1];
            lack = lack > 0 ? lack : 0;
            out[u] = (uint16_t)(p[2 * u] + lack);
            out[u + 1] = (uint16_t)(p[2 * u + 2] + lack);
        }
        return;
    case SL_FORMAT_BGR24:
    case SL_FORMAT_BGRA: {
        int step = info->fourcc == SL_FORMAT_BGR24 ? 3 : 4;
        for (int u = 0; u < width; u++, p += step) {
            /* Rec. 601 luma, and minus Cb: (43 R + 85 G - 128 B) / 256. */
            int luma = (29 * p[0] + 150 * p[1] + 77 * p[2]) >> 8;
            int lack = (43 * p[2] + 85 * p[1] - 128 * p[0]) >> 8;
            out[u] = (uint16_t)(luma + (lack > 0 ? lack : 0));
        }
        return;
    }
    }
}

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

/* Walks from the paint outwards until the brightness falls below `level`;
 * where exactly, by interpolation. False if it does not within `reach`. */
static bool find_edge(const uint16_t *line, int width, int from, int direction, int reach,
                      float level, float *edge)
{
    for (int i = 0; i < reach; i++) {
        int u = from + i * direction;
        int next = u + direction;
        if (next < 0 || next >= width)
            return false;
        float a = line[u], b = line[next];
        if (b < level) {
            float part = a > b ? (a - level) / (a - b) : 0.0f;
            part = part < 0 ? 0 : part > 1 ? 1 : part;
            *edge = (float)u + (float)direction * part;
            return true;
        }
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
static float edge_share(const uint16_t *line, float edge, int direction, float reach, float step)
{
    int in = (int)lrintf(edge - (float)direction * reach);
    int out = (int)lrintf(edge + (float)direction * reach);
    float share = ((float)line[in] - (float)line[out]) / step;
    return share < 0 ? 0 : share > 1 ? 1 : share;
}

/* Continues the row by `pad` columns on either side, and sums it up. */
static void accumulate(struct sl_detector *d, int pad)
{
    const int width = (int)d->width_px;
    uint16_t *line = d->line + SL_ROW_PAD;
    int32_t *sums = d->sums + SL_ROW_PAD;
    for (int i = 1; i <= pad; i++) {
        line[-i] = line[0];
        line[width - 1 + i] = line[width - 1];
    }
    int32_t sum = 0;
    sums[-pad] = 0;
    for (int u = -pad; u < width + pad; u++) {
        sum += line[u];
        sums[u + 1] = sum;
    }
}

/* Adds the row's ridges of about m columns. */
static void scan_row(struct sl_detector *d, int index, int m)
{
    struct sl_row *row = &d->rows[index];
    const int width = (int)d->width_px;
    const uint16_t *line = d->line + SL_ROW_PAD;
    const int32_t *sums = d->sums + SL_ROW_PAD;
    int32_t *response = d->response + SL_ROW_PAD;
    int gap = (int)lrint(FLANK_GAP * m);
    gap = gap < 1 ? 1 : gap;
    int reach = m + gap; /* from the box's first column to its flanks' first ones */
    int pad = reach + m + m / 2 + 2;
    if (pad > SL_ROW_PAD || width < 2 * m)
        return;
    accumulate(d, pad);

    /* Box at u: [u, u+m); flanks [u-reach, u-gap) and [u+reach, u+reach+m). */
    int first = -m / 2;
    int last = width - 1 - m / 2;
    uint32_t rough = 0; /* at most 510 grey levels, 350 columns a box, 8192 boxes: fits */
    for (int u = first; u <= last; u++) {
        int32_t box = sums[u + m] - sums[u];
        int32_t left = sums[u - gap] - sums[u - reach];
        int32_t right = sums[u + reach + m] - sums[u + reach];
        int32_t brighter = left > right ? left : right;
        response[u] = box - brighter;
        rough += (uint32_t)abs(left - right);
    }
    /* How uneven the row is at this scale: shadows, texture and noise alike. */
    float noise = (float)rough / ((float)(last - first + 1) * (float)m);
    int32_t threshold = (int32_t)(d->config.min_contrast * m);
    if (threshold < 1)
        threshold = 1;

    struct peak peaks[SL_ROW_PEAKS];
    int count = 0;
    for (int u = first; u <= last;) {
        if (response[u] < threshold) {
            u++;
            continue;
        }
        /* One maximum for each stretch above the threshold, cut at a box's width. */
        int best = u;
        while (u <= last && response[u] >= threshold && u - best <= m) {
            if (response[u] > response[best])
                best = u;
            u++;
        }
        count = keep_peak(peaks, count, (struct peak){best, response[best]});
        /* After a cut, the rest of the slope belongs to the maximum before. */
        while (u <= last && response[u] >= threshold && response[u] <= response[u - 1])
            u++;
    }

    for (int i = 0; i < count; i++) {
        int u = peaks[i].u;
        /* The paint's level is between the box's mean and its brightest pixel:
         * paint may be narrower than the box. */
        float box = (float)(sums[u + m] - sums[u]) / (float)m;
        float left = (float)(sums[u - gap] - sums[u - reach]) / (float)m;
        float right = (float)(sums[u + reach + m] - sums[u + reach]) / (float)m;
        int top = u;
        for (int k = u; k < u + m; k++)
            if (line[k] > line[top])
                top = k;
        float paint = 0.5f * (box + (float)line[top]);
        float from, to;
        int far = m + reach;
        if (!find_edge(line, width, top, -1, far, 0.5f * (paint + left), &from) ||
            !find_edge(line, width, top, 1, far, 0.5f * (paint + right), &to))
            continue;
        float wide = to - from;
        float middle = 0.5f * (from + to);
        if (wide > WIDEST * (float)m + 1.0f || wide < NARROWEST * (float)m || middle < 0 ||
            middle > (float)(width - 1))
            continue;
        if (d->candidate_count >= SL_CANDIDATES_MAX)
            break;
        struct sl_candidate *c = &d->candidates[d->candidate_count++];
        float within = fmaxf(EDGE_SHARE * wide, 1.0f);
        float sharp = fminf(edge_share(line, from, -1, within, paint - left),
                            edge_share(line, to, 1, within, paint - right));
        c->u = middle;
        slopes_at(row, c->u, &c->s, &c->t);
        c->row = (int16_t)index;
        c->chain = -1;
        c->contrast = (float)peaks[i].value / (float)m;
        c->noise = noise;
        c->quality = sharp;
        row->count++;
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
        brightness(info, pixels, d->rows[i].v, d->line + SL_ROW_PAD);
        struct sl_row *row = &d->rows[i];
        row->first = (uint16_t)d->candidate_count;
        row->count = 0;
        int m = (int)lrintf(row->marking_px);
        m = m < 2 ? 2 : m;
        scan_row(d, i, m);
    }
    rate(d);
    return 0;
}
