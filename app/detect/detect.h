/* Lane detection: a picture in, the lane out.
 *
 * Pure: no clock, no I/O, no globals, no allocation; the same bytes give the
 * same result. All memory is the caller's: struct sl_detector is large (see
 * sl_detector_size()) and belongs to one thread at a time. Work is bounded by
 * the rows sampled, whatever the picture holds. */
#ifndef SL_APP_DETECT_DETECT_H
#define SL_APP_DETECT_DETECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "app/detect/camera_model.h"
#include "rt/records.h"

/* Which markings are looked for. */
enum sl_marking_polarity {
    SL_MARKINGS_BRIGHT = 0, /* brighter than the ground: paint on asphalt */
    SL_MARKINGS_DARK = 1,   /* darker: black tape on a pale floor */
    SL_MARKINGS_BOTH = 2,
};

/* Which instructions the loops over pixels may use; the result is the same. */
enum sl_instruction_set {
    SL_INSTRUCTIONS_AUTO = 0, /* the fastest that this machine has */
    SL_INSTRUCTIONS_PLAIN,
    SL_INSTRUCTIONS_SSE41,
    SL_INSTRUCTIONS_AVX2,
    SL_INSTRUCTIONS_NEON,
    SL_INSTRUCTION_SETS
};

struct sl_detect_config {
    struct sl_camera_calibration camera;
    double lane_width_m;         /* expected */
    double lane_width_tolerance; /* share of it by which a lane may differ, 0..0.5 */
    double marking_width_m;      /* expected width of the paint */
    double near_m, far_m;        /* ground looked at, ahead of the lens */
    double min_contrast;         /* least step from road to paint, grey levels */
    int track;                   /* 1: use the frames before; 0: each frame for itself */
    enum sl_marking_polarity markings;
    enum sl_instruction_set instructions;
};

struct sl_detector;

/* Bytes and alignment that a detector needs for this configuration's rows. */
size_t sl_detector_size(void);

/* Prepares the caller's memory (sl_detector_size() bytes, 64-byte aligned).
 * 0, or -EINVAL with the reason in `err`. */
int sl_detector_init(struct sl_detector *detector, const struct sl_detect_config *config,
                     struct sl_error *err);

/* Forgets the frames before: next clip, camera restarted, vehicle moved. */
void sl_detector_reset(struct sl_detector *detector);

/* How the vehicle moved between two frames, and one sigma of that. */
struct sl_detect_motion {
    double ahead_m;    /* way of the rear axle's middle along the vehicle, negative backwards */
    double aside_m;    /* across it, left positive: what tyres slip in bends */
    double turned_rad; /* left positive */
    double ahead_sd_m, aside_sd_m, turned_sd_rad;
};

/* Tells how the vehicle moved since the frame that was run last; called before the
 * next is run. A detector that is told remembers where it saw the lane's middle
 * until the vehicle has passed it: offset and heading become several times more
 * accurate where roads change their bends. What was remembered is forgotten by a
 * frame before which nothing was told, and by numbers that no vehicle's motion has:
 * more than three lane widths or a radian, or NAN. Nothing is remembered without config.track. */
void sl_detector_moved(struct sl_detector *detector, const struct sl_detect_motion *motion);

/* Finds the lane. `info` and `pixels` are a frame of any format but MJPEG that
 * sl_frame_check() passed; another size than the calibration's is scaled to.
 * Fills every field of `out` but the times of detection (started_ns,
 * finished_ns). 0; -ENOTSUP (format): `out` is then "lost". */
int sl_detector_run(struct sl_detector *detector, const struct sl_frame_info *info,
                    const void *pixels, struct sl_detection *out);

/* The image column at which the lane of the last run crosses an image row;
 * `side` 0 is the left boundary, 1 the right. May lie outside the picture.
 * False if that run found no lane, or the boundary does not reach this row. */
bool sl_detector_column(const struct sl_detector *detector, int side, double row_px, double *u_px);

#endif
