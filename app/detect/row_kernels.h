/* What is done to every pixel of a row, and to every row of a road. Private to
 * app/detect.
 *
 * There is one source, row_kernels.inc in whole numbers and road_kernels.inc in
 * fractions without sums; it is compiled once for each instruction set, by loops
 * that compilers turn into vectors. So all sets give the same bits, and which one
 * runs is only a matter of speed. */
#ifndef SL_APP_DETECT_ROW_KERNELS_H
#define SL_APP_DETECT_ROW_KERNELS_H

#include <stdint.h>

#include "app/detect/detect.h"

/* Largest brightness: luma, and as much for what a pixel lacks in blue. */
#define SL_BRIGHTNESS_MAX 383
/* Widest box: sums over it fit 16 bits. */
#define SL_BOX_MAX 16
/* Answers come in blocks of so many columns. */
#define SL_BLOCK 32

_Static_assert(SL_BOX_MAX *SL_BRIGHTNESS_MAX <= UINT16_MAX, "sums of boxes fit 16 bits");

struct sl_quick_road;
struct sl_crossings;
struct sl_derivatives;
struct sl_row_view;

struct sl_row_kernels {
    /* Brightness of the `width` pixels of a row. `luma` is the row in the first
     * plane, `chroma` in NV12's second. */
    void (*gray)(const uint8_t *luma, int width, uint16_t *out);
    void (*nv12)(const uint8_t *luma, const uint8_t *chroma, int width, uint16_t *out);
    void (*yuyv)(const uint8_t *pixels, int width, uint16_t *out);
    void (*bgr24)(const uint8_t *pixels, int width, uint16_t *out);
    void (*bgra)(const uint8_t *pixels, int width, uint16_t *out);

    /* Means of neighbouring columns, rounded up: `count` of them. */
    void (*halve)(const uint16_t *line, int count, uint16_t *out);

    /* sums[i] = line[i] + ... + line[i + m - 1] for `count` columns, m within 2 and
     * SL_BOX_MAX. Reads count + m - 1 columns of `line`; `doubles` has room for as many. */
    void (*boxes)(const uint16_t *line, int count, int m, uint16_t *doubles, uint16_t *sums);

    /* How much each box exceeds the higher of the two at `reach` on either side
     * of it (ridges), or falls short of the lower (grooves); 0 if it does not.
     * `box` is that of the first column; those before it and behind the last are
     * read. `blocks` blocks of SL_BLOCK columns; `tops` gets each block's largest.
     * Returns the sum of the flanks' differences. */
    uint32_t (*ridges)(const uint16_t *box, int blocks, int reach, uint16_t *answers,
                       uint16_t *tops);
    uint32_t (*grooves)(const uint16_t *box, int blocks, int reach, uint16_t *answers,
                        uint16_t *tops);

    /* crossing.h: fills in the rest from `s` for `count` rows, in whole fours. Total:
     * rays that are no ground count as far away. */
    void (*cross)(const struct sl_quick_road *road, int side, int count, struct sl_crossings *at);

    /* crossing.h: through a lens whose rows rise or fall, the slopes where a boundary
     * is met, nearly. What they miss, per_s makes good. */
    void (*meet)(const struct sl_quick_road *road, int side, const struct sl_row_view *view,
                 int count, float *slopes);

    /* crossing.h: how t changes there with each parameter. */
    void (*differentiate)(const struct sl_quick_road *road, const struct sl_crossings *at, int side,
                          int count, struct sl_derivatives *out);
};

/* Those of an instruction set; NULL if this machine does not have it. AUTO: the
 * fastest it has. */
const struct sl_row_kernels *sl_row_kernels(enum sl_instruction_set set);

#endif
