#include "tools/sim/paint.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "tools/sim/exact.h"
#include "tools/sim/random.h"

#define FULL_LANE_M  3.5
#define PIECE_LANES  2.0    /* longest piece, in lane widths */
#define SAGITTA_LANE 0.0003 /* how far a chord may leave the arc, in lane widths */

static bool grow(void **array, size_t *room, size_t need, size_t size)
{
    if (need <= *room)
        return true;
    size_t more = *room > 0 ? 2 * *room : 1024;
    while (more < need)
        more *= 2;
    void *bigger = realloc(*array, more * size);
    if (bigger == NULL)
        return false;
    *array = bigger;
    *room = more;
    return true;
}

/* A strip along the road between two lateral places, which change linearly
 * from its start to its end. */
static bool add_strip(struct sl_paint *p, const struct sl_track *track, double s0, double s1,
                      const double d0[2], const double d1[2], enum sl_coat coat, double weight)
{
    double lane = sl_track_lane_width_m(track);
    struct sl_track_pose a, b;
    sl_track_pose_at(track, s0, &a);
    sl_track_pose_at(track, s1, &b);
    double bend = fmax(fabs(a.curvature_1pm), fabs(b.curvature_1pm));
    double step = sqrt(8 * SAGITTA_LANE * lane / (bend + 1e-4));
    size_t steps = 1 + (size_t)((s1 - s0) / step);
    if (steps > SL_PAINT_VERTICES_MAX / 2 - 1)
        steps = SL_PAINT_VERTICES_MAX / 2 - 1;
    size_t count = 2 * (steps + 1);
    if (!grow((void **)&p->pieces, &p->piece_room, p->piece_count + 1, sizeof *p->pieces) ||
        !grow((void **)&p->vertices, &p->vertex_room, p->vertex_count + count, sizeof *p->vertices))
        return false;
    double(*v)[2] = p->vertices + p->vertex_count;
    double mean[2] = {0, 0};
    for (size_t i = 0; i <= steps; i++) {
        double t = (double)i / (double)steps, sine, cosine;
        struct sl_track_pose at;
        sl_track_pose_at(track, s0 + t * (s1 - s0), &at);
        sl_exact_sincos(at.heading_rad, &sine, &cosine);
        for (int k = 0; k < 2; k++) {
            double d = d0[k] + t * (d1[k] - d0[k]);
            double *to = v[k == 0 ? i : count - 1 - i];
            to[0] = at.x_m - sine * d;
            to[1] = at.y_m + cosine * d;
            mean[0] += to[0] / (double)count;
            mean[1] += to[1] / (double)count;
        }
    }
    double radius2 = 0;
    for (size_t i = 0; i < count; i++) {
        double dx = v[i][0] - mean[0], dy = v[i][1] - mean[1];
        radius2 = fmax(radius2, dx * dx + dy * dy);
    }
    p->pieces[p->piece_count++] =
        (struct sl_paint_piece){.coat = coat,
                                .weight = (float)weight,
                                .centre_m = {(float)mean[0], (float)mean[1]},
                                .radius_m = (float)sqrt(radius2) * 1.001f,
                                .first = (uint32_t)p->vertex_count,
                                .count = (uint32_t)count};
    p->vertex_count += count;
    return true;
}

/* One unbroken stretch of a line. Worn ones lose pieces and width. */
static bool add_stretch(struct sl_paint *p, const struct sl_track *track, double s0, double s1,
                        double middle, double width, enum sl_coat coat, double worn,
                        struct sl_random *r)
{
    double lane = sl_track_lane_width_m(track), unit = lane / FULL_LANE_M;
    double longest = worn > 0 ? 0.35 * lane : PIECE_LANES * lane;
    for (double s = s0; s < s1 - 1e-9;) {
        double length = worn > 0 ? longest * sl_random_between(r, 0.4, 1.6) : longest;
        double end = s + length < s1 ? s + length : s1;
        double weight = 1 - 0.25 * worn;
        double d0[2] = {middle - width / 2, middle + width / 2}, d1[2] = {d0[0], d0[1]};
        bool gone = false;
        if (worn > 0) {
            gone = sl_random_unit(r) < 0.45 * worn * worn;
            weight *= 1 - 0.5 * worn * sl_random_unit(r);
            for (int k = 0; k < 2; k++) {
                double inward = k == 0 ? 1 : -1;
                d0[k] += inward * width * 0.25 * worn * sl_random_unit(r);
                d1[k] += inward * width * 0.25 * worn * sl_random_unit(r);
            }
        }
        if (!gone && end - s > 0.005 * unit && !add_strip(p, track, s, end, d0, d1, coat, weight))
            return false;
        s = end;
    }
    return true;
}

static bool add_line(struct sl_paint *p, const struct sl_track *track,
                     const struct sl_track_section *section, enum sl_track_line line, double wear,
                     struct sl_random *r)
{
    const struct sl_marking *m = &section->lines[line];
    double width = sl_track_marking_width_m(track);
    double end = section->start_m + section->length_m;
    enum sl_coat coat = m->colour == SL_MARKING_YELLOW ? SL_COAT_YELLOW : SL_COAT_WHITE;
    double worn = section->worn + 0.5 * wear * (1 - section->worn);
    for (int copy = 0; copy < (m->twice ? 2 : 1); copy++) {
        double middle = sl_track_line_offset_m(track, line);
        if (m->twice)
            middle += copy == 0 ? width : -width;
        if (m->style == SL_MARKING_SOLID) {
            if (!add_stretch(p, track, section->start_m, end, middle, width, coat, worn, r))
                return false;
            continue;
        }
        /* Dashes count from the start of the track, so that they run on from
         * one section into the next. */
        double period = m->paint_m + m->gap_m;
        for (double n = floor(section->start_m / period); n * period < end; n++) {
            double from = fmax(n * period, section->start_m);
            double to = fmin(n * period + m->paint_m, end);
            if (to > from && !add_stretch(p, track, from, to, middle, width, coat, worn, r))
                return false;
        }
    }
    return true;
}

/* Seams, cracks and skid marks, more of them where the road was mended. */
static bool add_traces(struct sl_paint *p, const struct sl_track *track,
                       const struct sl_track_section *section, struct sl_random *r)
{
    double unit = sl_track_lane_width_m(track) / FULL_LANE_M;
    double left = sl_track_line_offset_m(track, SL_TRACK_OUTER_LEFT);
    double right = sl_track_line_offset_m(track, SL_TRACK_OUTER_RIGHT);
    double end = section->start_m + section->length_m;
    if (sl_track_surface(track) == SL_TRACK_INDOOR)
        return true;
    double every = 14 * unit / (0.15 + section->patches);
    for (double s = section->start_m + sl_random_between(r, 0, every); s < end;
         s += every * sl_random_between(r, 0.4, 1.6)) {
        double kind = sl_random_unit(r);
        if (kind < 0.35) { /* a joint across the road */
            double width = sl_random_between(r, 0.015, 0.05) * unit;
            double slant = sl_random_between(r, -0.1, 0.1) * unit;
            double d0[2] = {right, left}, d1[2] = {right + slant, left - slant};
            if (!add_strip(p, track, s, s + width, d0, d1, SL_COAT_DARK,
                           sl_random_between(r, 0.4, 0.8)))
                return false;
            continue;
        }
        /* Along the road: a wandering crack, or two marks of braking tyres. */
        bool skid = kind > 0.75 && section->patches > 0.2;
        double width = skid ? 0.18 * unit : sl_random_between(r, 0.012, 0.05) * unit;
        double place = sl_random_between(r, right + 0.8 * unit, left - 0.8 * unit);
        double length = sl_random_between(r, 2, 9) * unit;
        double weight = skid ? sl_random_between(r, 0.15, 0.4) : sl_random_between(r, 0.4, 0.8);
        double drift = skid ? sl_random_between(r, -0.3, 0.3) * unit : 0;
        for (double at = s; at < s + length && at < end; at += 1.0 * unit) {
            double to = fmin(at + 1.0 * unit, end);
            double next =
                place + (skid ? drift * unit / length : sl_random_between(r, -0.12, 0.12) * unit);
            for (int tyre = 0; tyre < (skid ? 2 : 1); tyre++) {
                double shift = tyre * 1.5 * unit;
                double d0[2] = {place - width / 2 + shift, place + width / 2 + shift};
                double d1[2] = {next - width / 2 + shift, next + width / 2 + shift};
                if (!add_strip(p, track, at, to, d0, d1, SL_COAT_DARK, weight))
                    return false;
            }
            place = next;
        }
    }
    return true;
}

int sl_paint_make(struct sl_paint *paint, const struct sl_track *track, double wear, uint64_t seed,
                  struct sl_error *err)
{
    memset(paint, 0, sizeof *paint);
    struct sl_random wear_random = sl_random_make(seed, 0x7061696e74);
    struct sl_random trace_random = sl_random_make(seed, 0x7472616365);
    for (size_t i = 0; i < sl_track_section_count(track); i++) {
        const struct sl_track_section *s = sl_track_section(track, i);
        bool ok = add_traces(paint, track, s, &trace_random);
        for (int line = 0; ok && !s->crossing && line < SL_TRACK_LINES; line++) {
            if ((line == SL_TRACK_OUTER_LEFT && sl_track_lanes_left(track) == 0) ||
                (line == SL_TRACK_OUTER_RIGHT && sl_track_lanes_right(track) == 0) ||
                s->lines[line].style == SL_MARKING_NONE)
                continue;
            ok = add_line(paint, track, s, (enum sl_track_line)line, wear, &wear_random);
        }
        if (!ok) {
            sl_paint_free(paint);
            return sl_error_set(err, -ENOMEM, "the track's paint: out of memory");
        }
    }
    return 0;
}

void sl_paint_free(struct sl_paint *paint)
{
    free(paint->pieces);
    free(paint->vertices);
    memset(paint, 0, sizeof *paint);
}
