/* Labelled footage, decoded: TuSimple's lines beside the pictures that they are
 * about, each with its clip's calibration. */
#ifndef SL_TESTS_DETECT_LABELS_H
#define SL_TESTS_DETECT_LABELS_H

#include <stdint.h>

#include "app/detect/detect.h"
#include "rt/error.h"

#define LABEL_ROWS_MAX 128

struct labelled_frame {
    char file[128], clip[64];
    struct sl_detect_config config;
    struct sl_frame_info info;
    uint8_t *pixels; /* NV12 */
    int row_count;
    double rows_px[LABEL_ROWS_MAX];
    double lanes_px[2][LABEL_ROWS_MAX]; /* left, right; negative: not given */
};

struct labelled_frames {
    int count;
    struct labelled_frame *frames;
};

/* Reads labels.jsonl, calibration.json and the pictures in a folder. 0, or a
 * negative errno with `err`; then there is nothing to free. */
int labels_read(struct labelled_frames *frames, const char *folder, struct sl_error *err);

void labels_free(struct labelled_frames *frames);

#endif
