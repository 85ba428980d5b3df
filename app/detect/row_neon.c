/* For aarch64, where every machine has NEON, 16 bytes at a time. */
#include "app/detect/row_sets.h"

#ifdef __aarch64__
#define SL_ROW_KERNELS sl_row_kernels_neon
#include "app/detect/row_kernels.inc"
#endif
