/* skylane-calibrate: what its sub-verbs share. One thread. */
#ifndef SL_APP_PROGRAMS_CALIBRATE_H
#define SL_APP_PROGRAMS_CALIBRATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cjson/cJSON.h>

#include "app/calibrate/drive.h"
#include "app/calibrate/lens.h"
#include "app/detect/overlay.h"
#include "picture_files.h"
#include "rt/error.h"

#define VERB "calibrate"

/* Ctrl-C, wherever the work is: settings must not come from half of it. */
#define CALIBRATE_STOPPED "stopped; no settings are written"

/* Sub-verbs: argv[0] is the sub-verb's word. The exit status. */
int calibrate_camera(int argc, char **argv);
int calibrate_steering(int argc, char **argv);

/* "skylane calibrate: SENTENCE" on standard error; returns SL_EXIT_FAILED. */
int calibrate_failed(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ---- pictures (calibrate_pictures.c) ---- */

/* sl_picture_files_find() in one folder. 0; SL_EXIT_MISUSE after a sentence if
 * there is none; SL_EXIT_FAILED after another. */
int calibrate_list_find(struct sl_picture_files *list, const char *option, const char *where);

/* A picture as the reader has it, until it reads the next. 0, or a negative
 * errno with a sentence that names the file. */
int calibrate_read_luma(struct sl_picture_file_reader *reader, const char *path,
                        struct sl_luma *luma, struct sl_error *err);
int calibrate_read_colour(struct sl_picture_file_reader *reader, const char *path,
                          struct sl_canvas *canvas, struct sl_error *err);
/* The luma of a frame of any format, MJPEG included. */
int calibrate_frame_luma(struct sl_picture_file_reader *reader, const struct sl_frame_info *info,
                         const void *data, struct sl_luma *luma, struct sl_error *err);

/* A line that tells how far work has come, if standard error is a terminal. */
void calibrate_progress(const char *what, size_t done, size_t count);

/* ---- what was found, as settings (calibrate_output.c) ---- */

/* Which keys of [camera] a result sets. */
struct calibrate_output {
    struct sl_camera_calibration camera;
    bool lens, pose;
    char lens_note[160], pose_note[160]; /* how it was found, for the comment */
};

/* Checks that `path` can become or is a settings file, before any work.
 * 0; -EINVAL (it exists and is none); as sl_outfile_check(). */
int calibrate_output_check(const char *path, struct sl_error *err);

/* Writes the keys into `path`: what else is there stays, to the byte; a new
 * file if there is none. Either all of it is written or the file stays as it
 * was. 0, or a negative errno with a sentence. */
int calibrate_output_write(const struct calibrate_output *output, const char *path,
                           struct sl_error *err);

/* The same for any section: sl_settings_edit() has `mark`, `note` and `edits`. */
struct sl_settings_edit;
int calibrate_section_write(const char *path, const char *section, const char *mark,
                            const char *note, const struct sl_settings_edit *edits, size_t count,
                            struct sl_error *err);

/* ---- the two ways to look (calibrate_lens.c, calibrate_drive.c) ---- */

struct calibrate_options {
    const char *chessboard, *images, *drive, *bus, *intrinsics, *config, *output, *overlay, *size,
        *print_board;
    struct sl_chessboard board;
    enum sl_marking_polarity markings;
    double seconds, lane_width_m, fov_rad, min_contrast;
    bool json, square_given, lane_width_given, fov_given;
};

/* Solves the lens from pictures of a chessboard and prints what was found, or
 * puts it into `json` if that is not NULL. Fills output->camera's lens. The
 * exit status, with a sentence told. */
int calibrate_lens(const struct calibrate_options *options, struct calibrate_output *output,
                   cJSON *json);

/* Solves for the pose, from pictures or from a bus, and prints or tells it the
 * same way. output->camera holds the lens, and is scaled to the pictures' size;
 * with --intrinsics or --fov-deg the lens is made for that size first. */
int calibrate_drive(const struct calibrate_options *options, struct calibrate_output *output,
                    cJSON *json);

/* The lens of options->intrinsics or options->fov_rad for pictures of this size.
 * 0 or -EINVAL with a sentence. Leaves the pose alone. */
int calibrate_given_lens(const struct calibrate_options *options, uint32_t width_px,
                         uint32_t height_px, struct calibrate_output *output, struct sl_error *err);

#endif
