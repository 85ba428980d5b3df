#include "tools/sim/track.h"

#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/sim/exact.h"
#include "tools/sim/track_file.h"

/* The course is kept as samples of the reference line, this many a lane
 * width; between them it is taken for an arc, which is off by less than 1e-6
 * of a lane width at the tightest radius allowed. */
#define SAMPLES_PER_LANE_WIDTH 32
#define SAMPLES_MAX            1000000

/* Every so many samples one is looked at in searches of the whole track. */
#define COARSE_STRIDE 16

/* A piece of the course whose curvature changes linearly. */
struct piece {
    double start_m, length_m;
    double x_m, y_m, heading_rad; /* at its start */
    double curvature_1pm, rate_1pm2;
};

struct sample {
    double x_m, y_m, heading_rad, curvature_1pm; /* heading not wrapped */
};

struct sl_track {
    struct sl_track_file file;
    double length_m;
    double turn_rad; /* of the whole loop: 2 pi or -2 pi */
    size_t sample_count;
    double sample_m;
    struct sample *samples; /* sample_count + 1: the last one closes the loop */
    struct sl_track_section *sections;
    size_t section_count;
    double min_m[2], max_m[2];
};

/* Moves by `length` along a course of linear curvature: heading is exact,
 * position by Gauss-Legendre quadrature with three points. */
static void advance(double *x, double *y, double *heading, double curvature, double rate,
                    double length)
{
    static const double at[3] = {0.11270166537925831148, 0.5, 0.88729833462074168852};
    static const double weight[3] = {5.0 / 18, 8.0 / 18, 5.0 / 18};
    double dx = 0, dy = 0;
    for (int i = 0; i < 3; i++) {
        double u = at[i] * length, s, c;
        sl_exact_sincos(*heading + u * (curvature + 0.5 * rate * u), &s, &c);
        dx += weight[i] * c;
        dy += weight[i] * s;
    }
    *x += dx * length;
    *y += dy * length;
    *heading += length * (curvature + 0.5 * rate * length);
}

static void advance_piece(const struct piece *p, double from, double to, double *x, double *y,
                          double *heading)
{
    /* The quadrature is good for a tenth of a radian or so at a time. */
    double turn =
        fabs(p->curvature_1pm) * (to - from) + 0.5 * fabs(p->rate_1pm2) * p->length_m * (to - from);
    int steps = 1 + (int)(turn / 0.05);
    double h = (to - from) / steps;
    for (int i = 0; i < steps; i++)
        advance(x, y, heading, p->curvature_1pm + p->rate_1pm2 * (from + i * h), p->rate_1pm2, h);
}

/* The pieces of one section: one for a straight; clothoid, arc, clothoid for
 * a bend. Returns how many. */
static size_t section_pieces(const struct sl_track_file_section *s, struct piece pieces[3])
{
    memset(pieces, 0, 3 * sizeof *pieces);
    if (!s->bend) {
        pieces[0].length_m = s->length_m;
        return 1;
    }
    double curvature = (s->angle_rad > 0 ? 1 : -1) / s->radius_m;
    /* Each clothoid turns by transition / (2 radius). */
    double arc = s->radius_m * fabs(s->angle_rad) - s->transition_m;
    size_t count = 0;
    if (s->transition_m > 0)
        pieces[count++] =
            (struct piece){.length_m = s->transition_m, .rate_1pm2 = curvature / s->transition_m};
    pieces[count++] = (struct piece){.length_m = arc, .curvature_1pm = curvature};
    if (s->transition_m > 0)
        pieces[count++] = (struct piece){.length_m = s->transition_m,
                                         .curvature_1pm = curvature,
                                         .rate_1pm2 = -curvature / s->transition_m};
    return count;
}

/* The way a section covers when it begins at a heading. */
static void section_travel(const struct sl_track_file_section *s, double heading, double travel[2],
                           double *end_heading)
{
    struct piece pieces[3];
    size_t count = section_pieces(s, pieces);
    double x = 0, y = 0;
    for (size_t i = 0; i < count; i++)
        advance_piece(&pieces[i], 0, pieces[i].length_m, &x, &y, &heading);
    travel[0] = x;
    travel[1] = y;
    *end_heading = heading;
}

static int check_bends(const struct sl_track_file *f, const char *path, struct sl_error *err)
{
    double turn = 0;
    for (size_t i = 0; i < f->section_count; i++) {
        const struct sl_track_file_section *s = &f->sections[i];
        if (!s->bend)
            continue;
        turn += s->angle_rad;
        if (s->transition_m > s->radius_m * fabs(s->angle_rad) * (1 + 1e-9))
            return sl_error_set(err, -EINVAL,
                                "%s:%d: [section %zu]: the bend is %.2f m long without its "
                                "transitions, too short for transition_m = %g; shorten it or "
                                "enlarge radius_m",
                                path, s->line, i + 1, s->radius_m * fabs(s->angle_rad),
                                s->transition_m);
        int lanes = s->angle_rad > 0 ? f->lanes_left : f->lanes_right;
        double inside = f->lane_width_m * (0.5 + lanes) + f->shoulder_m;
        if (s->radius_m < inside * 1.1)
            return sl_error_set(err, -EINVAL,
                                "%s:%d: [section %zu]: radius_m = %g is too tight: the inner edge "
                                "of the road lies %.2f m from its middle",
                                path, s->line, i + 1, s->radius_m, inside);
    }
    if (fabs(fabs(turn) - 2 * SL_PI) > 1e-6)
        return sl_error_set(err, -EINVAL,
                            "%s:%d: the loop does not close: the bends turn by %.3f degrees in "
                            "all; it must be 360 or -360",
                            path, f->sections[0].line, turn * 180 / SL_PI);
    return 0;
}

/* Closes the loop: with the headings known from the bends alone, the end
 * depends linearly on the two lengths marked auto. */
static int close_loop(struct sl_track_file *f, const char *path, struct sl_error *err)
{
    double sum[2] = {0, 0}, heading = 0, direction[2][2];
    size_t unknown[2], unknown_count = 0;
    for (size_t i = 0; i < f->section_count; i++) {
        struct sl_track_file_section *s = &f->sections[i];
        double travel[2];
        if (s->solve_length) {
            if (unknown_count == 2)
                return sl_error_set(err, -EINVAL,
                                    "%s:%d: [section %zu]: a third length_m = auto; two close any "
                                    "loop",
                                    path, s->line, i + 1);
            sl_exact_sincos(heading, &direction[unknown_count][1], &direction[unknown_count][0]);
            unknown[unknown_count++] = i;
            continue;
        }
        section_travel(s, heading, travel, &heading);
        sum[0] += travel[0];
        sum[1] += travel[1];
    }
    double tolerance = f->lane_width_m * 1e-3;
    if (unknown_count == 0) {
        double gap = sqrt(sum[0] * sum[0] + sum[1] * sum[1]);
        if (gap > tolerance)
            return sl_error_set(err, -EINVAL,
                                "%s:%d: the loop does not close: its end lies %.3f m beyond its "
                                "start along x and %.3f m along y; write length_m = auto in two "
                                "straights that are not parallel to have it closed",
                                path, f->sections[f->section_count - 1].line, sum[0], sum[1]);
        return 0;
    }
    const struct sl_track_file_section *first = &f->sections[unknown[0]];
    if (unknown_count == 1)
        return sl_error_set(err, -EINVAL,
                            "%s:%d: [section %zu] is the only one with length_m = auto; closing a "
                            "loop takes two straights that are not parallel",
                            path, first->line, unknown[0] + 1);
    double det = direction[0][0] * direction[1][1] - direction[0][1] * direction[1][0];
    if (fabs(det) < 0.02)
        return sl_error_set(err, -EINVAL,
                            "%s:%d: [section %zu] and [section %zu] have length_m = auto but are "
                            "parallel; choose two that are not",
                            path, first->line, unknown[0] + 1, unknown[1] + 1);
    double length[2] = {(-sum[0] * direction[1][1] + sum[1] * direction[1][0]) / det,
                        (-sum[1] * direction[0][0] + sum[0] * direction[0][1]) / det};
    for (int k = 0; k < 2; k++) {
        if (length[k] < 0.05)
            return sl_error_set(err, -EINVAL,
                                "%s:%d: the loop does not close: [section %zu] would have to be "
                                "%.2f m long; lengthen what runs against it",
                                path, f->sections[unknown[k]].line, unknown[k] + 1, length[k]);
        f->sections[unknown[k]].length_m = length[k];
    }
    return 0;
}

static int lay_out(struct sl_track *t, const char *path, struct sl_error *err)
{
    struct sl_track_file *f = &t->file;
    size_t piece_count = 0;
    struct piece *pieces = calloc(3 * f->section_count + 1, sizeof *pieces);
    t->sections = calloc(f->section_count, sizeof *t->sections);
    if (pieces == NULL || t->sections == NULL) {
        free(pieces);
        return sl_error_set(err, -ENOMEM, "%s: out of memory", path);
    }
    double x = 0, y = 0, heading = 0, s = 0;
    t->section_count = f->section_count;
    for (size_t i = 0; i < f->section_count; i++) {
        struct piece own[3];
        size_t count = section_pieces(&f->sections[i], own);
        t->sections[i] = f->sections[i].section;
        t->sections[i].start_m = s;
        for (size_t k = 0; k < count; k++) {
            if (own[k].length_m <= 0)
                continue;
            own[k].start_m = s;
            own[k].x_m = x;
            own[k].y_m = y;
            own[k].heading_rad = heading;
            advance_piece(&own[k], 0, own[k].length_m, &x, &y, &heading);
            s += own[k].length_m;
            pieces[piece_count++] = own[k];
        }
        t->sections[i].length_m = s - t->sections[i].start_m;
    }
    t->length_m = s;
    t->turn_rad = heading > 0 ? 2 * SL_PI : -2 * SL_PI;

    double wanted = t->length_m / (f->lane_width_m / SAMPLES_PER_LANE_WIDTH);
    t->sample_count = (size_t)wanted + 1;
    if (wanted > SAMPLES_MAX) {
        free(pieces);
        return sl_error_set(err, -EINVAL, "%s:%d: the track is %.0f m long; %g lane widths is most",
                            path, f->sections[0].line, t->length_m,
                            (double)SAMPLES_MAX / SAMPLES_PER_LANE_WIDTH);
    }
    t->sample_m = t->length_m / (double)t->sample_count;
    t->samples = calloc(t->sample_count + 1, sizeof *t->samples);
    if (t->samples == NULL) {
        free(pieces);
        return sl_error_set(err, -ENOMEM, "%s: out of memory", path);
    }
    size_t p = 0;
    double within = 0;
    x = y = heading = 0;
    for (size_t i = 0; i <= t->sample_count; i++) {
        double at = i == t->sample_count ? t->length_m : (double)i * t->sample_m;
        while (p + 1 < piece_count && at >= pieces[p + 1].start_m) {
            p++;
            within = 0;
            x = pieces[p].x_m;
            y = pieces[p].y_m;
            heading = pieces[p].heading_rad;
        }
        double to = at - pieces[p].start_m;
        advance_piece(&pieces[p], within, to, &x, &y, &heading);
        within = to;
        t->samples[i] =
            (struct sample){.x_m = x,
                            .y_m = y,
                            .heading_rad = heading,
                            .curvature_1pm = pieces[p].curvature_1pm + pieces[p].rate_1pm2 * to};
    }
    free(pieces);

    t->min_m[0] = t->max_m[0] = t->min_m[1] = t->max_m[1] = 0;
    for (size_t i = 0; i < t->sample_count; i++) {
        const double at[2] = {t->samples[i].x_m, t->samples[i].y_m};
        for (int k = 0; k < 2; k++) {
            t->min_m[k] = at[k] < t->min_m[k] ? at[k] : t->min_m[k];
            t->max_m[k] = at[k] > t->max_m[k] ? at[k] : t->max_m[k];
        }
    }
    return 0;
}

/* Two parts of the road must not touch: neither a picture nor a projection
 * would have one answer there. */
static int check_apart(const struct sl_track *t, const char *path, struct sl_error *err)
{
    const struct sl_track_file *f = &t->file;
    double width = f->lane_width_m * (1 + f->lanes_left + f->lanes_right) + 2 * f->shoulder_m;
    size_t stride = SAMPLES_PER_LANE_WIDTH / 2;
    double near2 = width * width;
    for (size_t i = 0; i < t->sample_count; i += stride) {
        for (size_t k = i + stride; k < t->sample_count; k += stride) {
            double along = (double)(k - i) * t->sample_m;
            if (along > t->length_m / 2)
                along = t->length_m - along;
            if (along < 2 * width)
                continue;
            double dx = t->samples[k].x_m - t->samples[i].x_m;
            double dy = t->samples[k].y_m - t->samples[i].y_m;
            if (dx * dx + dy * dy >= near2)
                continue;
            const struct sl_track_section *a = sl_track_section_at(t, (double)i * t->sample_m);
            const struct sl_track_section *b = sl_track_section_at(t, (double)k * t->sample_m);
            /* A bend around a tight inner edge is near itself without touching. */
            double turn = fabs(t->samples[k].heading_rad - t->samples[i].heading_rad);
            if (fabs(turn - 2 * SL_PI) < turn)
                turn = fabs(turn - 2 * SL_PI);
            if (turn < along / width * 1.2 && along < 4 * width)
                continue;
            size_t ai = (size_t)(a - t->sections), bi = (size_t)(b - t->sections);
            return sl_error_set(err, -EINVAL,
                                "%s:%d: the road runs into itself: [section %zu] comes within "
                                "%.2f m of [section %zu]; it needs %.2f m",
                                path, f->sections[bi].line, bi + 1, sqrt(dx * dx + dy * dy), ai + 1,
                                width);
        }
    }
    return 0;
}

int sl_track_load(struct sl_track **track, const char *path, struct sl_error *err)
{
    *track = NULL;
    struct sl_track *t = calloc(1, sizeof *t);
    if (t == NULL)
        return sl_error_set(err, -ENOMEM, "%s: out of memory", path);
    int rc = sl_track_file_read(&t->file, path, err);
    if (rc == 0)
        rc = check_bends(&t->file, path, err);
    if (rc == 0)
        rc = close_loop(&t->file, path, err);
    if (rc == 0)
        rc = lay_out(t, path, err);
    if (rc == 0)
        rc = check_apart(t, path, err);
    if (rc == 0 && t->file.spawn_m >= t->length_m)
        rc = sl_error_set(err, -EINVAL, "%s:1: spawn_m = %g lies beyond the track's %.1f m", path,
                          t->file.spawn_m, t->length_m);
    if (rc != 0) {
        sl_track_free(t);
        return rc;
    }
    *track = t;
    return 0;
}

void sl_track_free(struct sl_track *track)
{
    if (track == NULL)
        return;
    free(track->samples);
    free(track->sections);
    free(track);
}

/* ---- finding tracks ---- */

#define NAMES_MAX 128

static int by_name(const void *a, const void *b)
{
    return strcmp(a, b);
}

size_t sl_track_names(const char *const *directories, size_t directory_count, char *text,
                      size_t size)
{
    char names[NAMES_MAX][48];
    size_t count = 0;
    for (size_t d = 0; d < directory_count; d++) {
        DIR *dir = opendir(directories[d]);
        if (dir == NULL)
            continue;
        const struct dirent *entry;
        while (count < NAMES_MAX && (entry = readdir(dir)) != NULL) {
            size_t length = strlen(entry->d_name);
            if (entry->d_name[0] == '.' || length < 5 || length - 4 >= sizeof names[0] ||
                strcmp(entry->d_name + length - 4, ".ini") != 0)
                continue;
            memcpy(names[count], entry->d_name, length - 4);
            names[count][length - 4] = '\0';
            count++;
        }
        closedir(dir);
    }
    qsort(names, count, sizeof names[0], by_name);
    size_t used = 0, distinct = 0;
    if (size > 0)
        text[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        if (i > 0 && strcmp(names[i], names[i - 1]) == 0)
            continue;
        distinct++;
        size_t need = strlen(names[i]) + (used > 0);
        if (used + need + 1 > size)
            continue;
        used += (size_t)snprintf(text + used, size - used, "%s%s", used > 0 ? "|" : "", names[i]);
    }
    return distinct;
}

int sl_track_find(const char *name, const char *const *directories, size_t directory_count,
                  char *path, size_t path_size, struct sl_error *err)
{
    size_t length = strlen(name);
    bool is_path =
        strchr(name, '/') != NULL || (length > 4 && strcmp(name + length - 4, ".ini") == 0);
    if (is_path) {
        if (length + 1 > path_size)
            return sl_error_set(err, -ENAMETOOLONG, "the track's path is too long");
        memcpy(path, name, length + 1);
        return 0;
    }
    for (size_t d = 0; d < directory_count; d++) {
        int used = snprintf(path, path_size, "%s/%s.ini", directories[d], name);
        if (used < 0 || (size_t)used >= path_size)
            return sl_error_set(err, -ENAMETOOLONG, "the track's path is too long");
        if (access(path, R_OK) == 0)
            return 0;
    }
    char names[256];
    if (sl_track_names(directories, directory_count, names, sizeof names) == 0)
        return sl_error_set(err, -ENOENT,
                            "there is no track \"%s\", and none at all in %s; give the path of a "
                            "track file",
                            name, directory_count > 0 ? directories[0] : "(no directory)");
    return sl_error_set(err, -ENOENT,
                        "there is no track \"%s\"; there are %s, or give the path of a file", name,
                        names);
}

/* ---- what it is ---- */

const char *sl_track_title(const struct sl_track *track)
{
    return track->file.title;
}
double sl_track_length_m(const struct sl_track *track)
{
    return track->length_m;
}
double sl_track_speed_mps(const struct sl_track *track)
{
    return track->file.speed_mps;
}
double sl_track_spawn_m(const struct sl_track *track)
{
    return track->file.spawn_m;
}
double sl_track_lane_width_m(const struct sl_track *track)
{
    return track->file.lane_width_m;
}
double sl_track_marking_width_m(const struct sl_track *track)
{
    return track->file.marking_width_m;
}
double sl_track_shoulder_m(const struct sl_track *track)
{
    return track->file.shoulder_m;
}
double sl_track_trees(const struct sl_track *track)
{
    return track->file.trees;
}
enum sl_track_surface sl_track_surface(const struct sl_track *track)
{
    return track->file.surface;
}
int sl_track_lanes_left(const struct sl_track *track)
{
    return track->file.lanes_left;
}
int sl_track_lanes_right(const struct sl_track *track)
{
    return track->file.lanes_right;
}

double sl_track_line_offset_m(const struct sl_track *track, enum sl_track_line line)
{
    const struct sl_track_file *f = &track->file;
    switch (line) {
    case SL_TRACK_OUTER_LEFT:
        return f->lane_width_m * (0.5 + f->lanes_left);
    case SL_TRACK_LEFT:
        return f->lane_width_m * 0.5;
    case SL_TRACK_RIGHT:
        return f->lane_width_m * -0.5;
    default:
        return f->lane_width_m * (-0.5 - f->lanes_right);
    }
}

size_t sl_track_section_count(const struct sl_track *track)
{
    return track->section_count;
}

const struct sl_track_section *sl_track_section(const struct sl_track *track, size_t index)
{
    return &track->sections[index];
}

void sl_track_bounds(const struct sl_track *track, double min_m[2], double max_m[2])
{
    memcpy(min_m, track->min_m, sizeof track->min_m);
    memcpy(max_m, track->max_m, sizeof track->max_m);
}

/* ---- along it ---- */

static double take_laps_off(const struct sl_track *t, double s)
{
    s -= floor(s / t->length_m) * t->length_m;
    return s < t->length_m ? s : 0;
}

const struct sl_track_section *sl_track_section_at(const struct sl_track *track, double s_m)
{
    double s = take_laps_off(track, s_m);
    size_t low = 0, high = track->section_count;
    while (high - low > 1) {
        size_t middle = (low + high) / 2;
        if (track->sections[middle].start_m <= s)
            low = middle;
        else
            high = middle;
    }
    return &track->sections[low];
}

bool sl_track_markings_at(const struct sl_track *track, double s_m)
{
    const struct sl_track_section *s = sl_track_section_at(track, s_m);
    return !s->crossing && (s->lines[SL_TRACK_LEFT].style != SL_MARKING_NONE ||
                            s->lines[SL_TRACK_RIGHT].style != SL_MARKING_NONE);
}

void sl_track_pose_at(const struct sl_track *track, double s_m, struct sl_track_pose *pose)
{
    double s = take_laps_off(track, s_m);
    size_t i = (size_t)(s / track->sample_m);
    if (i >= track->sample_count)
        i = track->sample_count - 1;
    const struct sample *a = &track->samples[i], *b = a + 1;
    double u = s - (double)i * track->sample_m;
    double share = u / track->sample_m;
    double sine, cosine;
    /* The heading follows the curvature, linear between samples, and meets
     * both samples' headings. The way is the chord: its direction is the mean
     * heading, and it falls short of the arc by turn^2 / 24. */
    double turn = b->heading_rad - a->heading_rad;
    double uneven = 0.5 * (b->curvature_1pm - a->curvature_1pm) * track->sample_m;
    double bend = turn * share + uneven * (share * share - share);
    double mean = 0.5 * turn * share + uneven * (share * share / 3 - 0.5 * share);
    sl_exact_sincos(a->heading_rad + mean, &sine, &cosine);
    double chord = u * (1 - bend * bend / 24);
    pose->s_m = s;
    pose->x_m = a->x_m + chord * cosine;
    pose->y_m = a->y_m + chord * sine;
    pose->heading_rad = sl_exact_wrap(a->heading_rad + bend);
    pose->curvature_1pm = a->curvature_1pm + (b->curvature_1pm - a->curvature_1pm) * share;
}

/* Newton's method on "the line to the point is square to the course". */
static void refine(const struct sl_track *t, double x, double y, double s,
                   struct sl_track_projection *out)
{
    double most = 0.5 * t->file.lane_width_m;
    double sine, cosine, ahead = 0;
    for (int i = 0; i < 16; i++) {
        sl_track_pose_at(t, s, &out->foot);
        sl_exact_sincos(out->foot.heading_rad, &sine, &cosine);
        double dx = x - out->foot.x_m, dy = y - out->foot.y_m;
        ahead = dx * cosine + dy * sine;
        out->offset_m = -dx * sine + dy * cosine;
        double stretch = 1 - out->foot.curvature_1pm * out->offset_m;
        double step = ahead / (stretch > 0.2 ? stretch : 0.2);
        step = step > most ? most : step < -most ? -most : step;
        if (fabs(step) < 1e-9)
            break;
        s = out->foot.s_m + step;
    }
}

void sl_track_project_anywhere(const struct sl_track *track, double x_m, double y_m,
                               struct sl_track_projection *projection)
{
    size_t best = 0;
    double best2 = INFINITY;
    for (size_t i = 0; i < track->sample_count; i += COARSE_STRIDE) {
        double dx = x_m - track->samples[i].x_m, dy = y_m - track->samples[i].y_m;
        double d2 = dx * dx + dy * dy;
        if (d2 < best2) {
            best2 = d2;
            best = i;
        }
    }
    refine(track, x_m, y_m, (double)best * track->sample_m, projection);
}

void sl_track_project(const struct sl_track *track, double x_m, double y_m, double hint_s_m,
                      struct sl_track_projection *projection)
{
    refine(track, x_m, y_m, hint_s_m, projection);
    double dx = x_m - projection->foot.x_m, dy = y_m - projection->foot.y_m;
    double limit = 3 * track->file.lane_width_m;
    if (!(dx * dx + dy * dy < limit * limit))
        sl_track_project_anywhere(track, x_m, y_m, projection);
}
