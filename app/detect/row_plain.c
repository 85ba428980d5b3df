/* Without vectors (the build says so), for any machine. */
#include "app/detect/row_sets.h"

#define SL_ROW_KERNELS sl_row_kernels_plain
#include "app/detect/row_kernels.inc"
