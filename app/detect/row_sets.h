/* The tables that row_kernels.inc was compiled to. Private to app/detect. */
#ifndef SL_APP_DETECT_ROW_SETS_H
#define SL_APP_DETECT_ROW_SETS_H

#include "app/detect/row_kernels.h"

extern const struct sl_row_kernels sl_row_kernels_plain;
#ifdef __x86_64__
extern const struct sl_row_kernels sl_row_kernels_sse41;
extern const struct sl_row_kernels sl_row_kernels_avx2;
#endif
#ifdef __aarch64__
extern const struct sl_row_kernels sl_row_kernels_neon;
#endif

#endif
