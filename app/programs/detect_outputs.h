/* What skylane-detect writes for each picture: a line of JSON, and the picture
 * with the lane drawn on it. One thread. */
#ifndef SL_APP_PROGRAMS_DETECT_OUTPUTS_H
#define SL_APP_PROGRAMS_DETECT_OUTPUTS_H

#include <stdbool.h>
#include <stdint.h>

#include "app/detect/detect.h"
#include "net/jpeg.h"
#include "rt/error.h"
#include "rt/outfile.h"

struct sl_detect_outputs {
    struct sl_outfile *predictions; /* NULL: not wanted */
    const char *overlay;            /* folder; NULL: not wanted */
    struct sl_jpeg_encoder *encoder;
    uint8_t *bgr; /* of a frame that has other colours */
    size_t bgr_size;
};

/* Begins the file `predictions` ("-": standard output) and makes the folder
 * `overlay`; NULL for what is not wanted. `overlay` outlives the outputs. 0, or
 * -EACCES, -ENOENT, -ENOTDIR, -ENOMEM and the like with a sentence. What is open
 * is closed by sl_detect_outputs_close() in any case. */
int sl_detect_outputs_open(struct sl_detect_outputs *outputs, const char *predictions,
                           const char *overlay, struct sl_error *err);

/* Writes the line of a picture that is called `raw_file`: what `detector` found
 * last, in a picture whose camera is `camera` (of any size of the same shape),
 * within `time_ms`. 0; -ENOMEM, -ENOSPC and the like with a sentence: this
 * output will not take more. */
int sl_detect_outputs_predict(struct sl_detect_outputs *outputs, const char *raw_file,
                              const struct sl_detector *detector,
                              const struct sl_camera_calibration *camera,
                              const struct sl_detection *found, double time_ms,
                              struct sl_error *err);

/* Writes the picture with the lane drawn on it into the clip's folder, under
 * the name of the picture `of`. The frame is BGR24, which is drawn on, or NV12.
 * Errors as above. */
int sl_detect_outputs_draw(struct sl_detect_outputs *outputs, const char *clip, const char *of,
                           const struct sl_frame_info *info, uint8_t *pixels,
                           const struct sl_detection *found, struct sl_error *err);

enum sl_detect_end {
    SL_DETECT_DONE,    /* all pictures were looked at */
    SL_DETECT_STOPPED, /* the user has ended it: `kept` gets the name of what
                        * there is of the predictions, or "" */
    SL_DETECT_FAILED   /* what there is goes away */
};

/* Ends the outputs. 0, or as sl_outfile_finish(). */
int sl_detect_outputs_close(struct sl_detect_outputs *outputs, enum sl_detect_end end, char *kept,
                            size_t size, struct sl_error *err);

#endif
