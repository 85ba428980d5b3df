/* A closed road: its course, its lanes and its paint, read from a text file.
 *
 * The file is an INI file: one [track] section, then [section 1], [section 2]
 * and so on in driving order. tools/sim/tracks/city.ini uses and explains
 * every key. The middle of the driven lane is the reference line; distances
 * along it (s) count from the start of [section 1]. x, y and heading are world
 * coordinates; s = 0 is the origin, heading along x. Lateral offsets are
 * positive to the left; positive curvature bends left. SI units, radians.
 *
 * Bends begin and end with a clothoid of `transition_m`, as roads do, so that
 * the curvature has no steps unless the file asks for transition_m = 0. */
#ifndef SL_TOOLS_SIM_TRACK_H
#define SL_TOOLS_SIM_TRACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rt/error.h"

enum sl_marking_style { SL_MARKING_NONE = 0, SL_MARKING_SOLID, SL_MARKING_DASHED };
enum sl_marking_colour { SL_MARKING_WHITE = 0, SL_MARKING_YELLOW };

struct sl_marking {
    enum sl_marking_style style;
    enum sl_marking_colour colour;
    bool twice;            /* two parallel lines, one line's width apart */
    double paint_m, gap_m; /* of dashes */
};

/* The lines across the road, from left to right as driven. */
enum sl_track_line {
    SL_TRACK_OUTER_LEFT = 0, /* far edge of the lanes on the left; none without such lanes */
    SL_TRACK_LEFT,           /* of the driven lane */
    SL_TRACK_RIGHT,
    SL_TRACK_OUTER_RIGHT,
    SL_TRACK_LINES
};

enum sl_track_surface { SL_TRACK_ROAD = 0, SL_TRACK_INDOOR };

struct sl_track_section {
    double start_m, length_m;
    bool crossing; /* a road crosses; nothing is painted */
    struct sl_marking lines[SL_TRACK_LINES];
    double worn;    /* 0..1, of the paint here, beside the wear of the whole track */
    double patches; /* 0..1, how much the asphalt was mended here */
};

struct sl_track_pose {
    double s_m; /* in [0, length) */
    double x_m, y_m, heading_rad;
    double curvature_1pm;
};

struct sl_track_projection {
    struct sl_track_pose foot; /* nearest point of the reference line */
    double offset_m;           /* of the point from it, positive left */
};

struct sl_track; /* opaque, constant once loaded: any number of threads */

/* Reads and checks a track file. 0; -ENOENT and other codes of opening it;
 * -EINVAL with "FILE:LINE: what is wrong; what would be right" in `err`
 * (unknown, repeated, missing, malformed or out-of-range keys, sections out
 * of order, a loop that does not close or runs into itself); -ENOMEM.
 * `*track` is NULL on failure. Some ms. */
int sl_track_load(struct sl_track **track, const char *path, struct sl_error *err);
void sl_track_free(struct sl_track *track); /* NULL is allowed */

/* Finds the file of a track by its name ("oval"): DIRECTORY/NAME.ini in the
 * first directory that has one. A name with a slash or ending in .ini is a
 * path already. 0 with the path in `path`; -ENOENT with the tracks that there
 * are in `err`; -ENAMETOOLONG. */
int sl_track_find(const char *name, const char *const *directories, size_t directory_count,
                  char *path, size_t path_size, struct sl_error *err);

/* The names of the tracks in these directories, sorted, each once, as
 * "city|lab|oval", cut where `size` ends. Returns how many there are. */
size_t sl_track_names(const char *const *directories, size_t directory_count, char *text,
                      size_t size);

const char *sl_track_title(const struct sl_track *track);
double sl_track_length_m(const struct sl_track *track);
double sl_track_speed_mps(const struct sl_track *track);    /* recommended */
double sl_track_spawn_m(const struct sl_track *track);      /* s at which vehicles start */
double sl_track_lane_width_m(const struct sl_track *track); /* between its lines' middles */
double sl_track_marking_width_m(const struct sl_track *track);
double sl_track_shoulder_m(const struct sl_track *track); /* asphalt beyond the outer line */
double sl_track_trees(const struct sl_track *track);      /* 0..1: how many stand beside it */
enum sl_track_surface sl_track_surface(const struct sl_track *track);

/* Lanes beside the driven one, 0 to 2. */
int sl_track_lanes_left(const struct sl_track *track);
int sl_track_lanes_right(const struct sl_track *track);

/* Lateral place of a line's middle; the outer ones coincide with the lane's
 * own where there is no lane beside it. */
double sl_track_line_offset_m(const struct sl_track *track, enum sl_track_line line);

size_t sl_track_section_count(const struct sl_track *track);
const struct sl_track_section *sl_track_section(const struct sl_track *track, size_t index);

/* The section at s (any s; laps are taken off). Logarithmic. */
const struct sl_track_section *sl_track_section_at(const struct sl_track *track, double s_m);

/* Whether any line of the driven lane is painted at s, in dashes or whole. */
bool sl_track_markings_at(const struct sl_track *track, double s_m);

/* The reference line at s (any s). Constant time, some 30 ns. */
void sl_track_pose_at(const struct sl_track *track, double s_m, struct sl_track_pose *pose);

/* The foot of a point. `hint_s_m` is where it was last (any s): the search
 * starts there, some 100 ns, and falls back to the whole track where that
 * finds nothing within three lane widths. */
void sl_track_project(const struct sl_track *track, double x_m, double y_m, double hint_s_m,
                      struct sl_track_projection *projection);

/* The same without a hint: over the whole track, some microseconds. */
void sl_track_project_anywhere(const struct sl_track *track, double x_m, double y_m,
                               struct sl_track_projection *projection);

/* The smallest rectangle along the axes that holds the reference line. */
void sl_track_bounds(const struct sl_track *track, double min_m[2], double max_m[2]);

#endif
