/* What one would write instead with OpenCV, for detect_bench. */
#ifndef SL_TESTS_DETECT_OPENCV_H
#define SL_TESTS_DETECT_OPENCV_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Blur of 5, Canny and Hough's segments, on one thread, in memory that is kept
 * from frame to frame. `cropped`: all of it on the rows from `road_row` down;
 * otherwise the whole picture is blurred and searched for edges, of which a
 * trapezoid below that row is looked at further. The number of segments; -1 if
 * OpenCV failed, told on standard error. */
int opencv_lanes(const uint8_t *luma, int width_px, int height_px, int stride_bytes, int road_row,
                 int cropped);

const char *opencv_version(void);

#ifdef __cplusplus
}
#endif

#endif
