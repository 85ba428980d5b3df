#include "app/detect/row_kernels.h"

#include <stddef.h>

#include "app/detect/row_sets.h"

const struct sl_row_kernels *sl_row_kernels(enum sl_instruction_set set)
{
    switch (set) {
    case SL_INSTRUCTIONS_PLAIN:
        return &sl_row_kernels_plain;
#ifdef __x86_64__
    case SL_INSTRUCTIONS_SSE41:
        return __builtin_cpu_supports("sse4.1") ? &sl_row_kernels_sse41 : NULL;
    case SL_INSTRUCTIONS_AVX2:
        return __builtin_cpu_supports("avx2") ? &sl_row_kernels_avx2 : NULL;
    case SL_INSTRUCTIONS_AUTO:
        return __builtin_cpu_supports("avx2")     ? &sl_row_kernels_avx2
               : __builtin_cpu_supports("sse4.1") ? &sl_row_kernels_sse41
                                                  : &sl_row_kernels_plain;
#elif defined(__aarch64__)
    case SL_INSTRUCTIONS_NEON:
    case SL_INSTRUCTIONS_AUTO:
        return &sl_row_kernels_neon;
#else
    case SL_INSTRUCTIONS_AUTO:
        return &sl_row_kernels_plain;
#endif
    default:
        return NULL;
    }
}
