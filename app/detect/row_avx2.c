/* For x86-64 with AVX2, 32 bytes at a time: the build says -mavx2. */
#include "app/detect/row_sets.h"

#ifdef __x86_64__
#define SL_ROW_KERNELS sl_row_kernels_avx2
#include "app/detect/row_kernels.inc"
#endif
