/* The text of a track file, before its course is computed. Private to the
 * track's two files: parsing (track_file.c) and geometry (track.c). */
#ifndef SL_TOOLS_SIM_TRACK_FILE_H
#define SL_TOOLS_SIM_TRACK_FILE_H

#include "tools/sim/track.h"

#define SL_TRACK_TITLE_BYTES  64
#define SL_TRACK_SECTIONS_MAX 256
#define SL_TRACK_NOT_GIVEN    (-1e9) /* a number that the file must give and has not yet */

/* A section as written. A straight has an angle of 0. */
struct sl_track_file_section {
    int line; /* of its heading */
    bool bend;
    bool solve_length;                        /* length_m = auto */
    double length_m;                          /* of straights */
    double radius_m, angle_rad, transition_m; /* of bends; positive angles turn left */
    struct sl_track_section section;
};

struct sl_track_file {
    char title[SL_TRACK_TITLE_BYTES];
    double lane_width_m, marking_width_m, shoulder_m, speed_mps, spawn_m, transition_m, trees;
    int lanes_left, lanes_right;
    enum sl_track_surface surface;
    size_t section_count;
    struct sl_track_file_section sections[SL_TRACK_SECTIONS_MAX];
};

/* Reads and checks everything that can be checked without geometry.
 * Codes and texts as sl_track_load(). */
int sl_track_file_read(struct sl_track_file *file, const char *path, struct sl_error *err);

#endif
