/* For x86-64 with SSE4.1, 16 bytes at a time: the build says -msse4.1. */
#include "app/detect/row_sets.h"

#ifdef __x86_64__
#define SL_ROW_KERNELS sl_row_kernels_sse41
#include "app/detect/row_kernels.inc"
#endif
