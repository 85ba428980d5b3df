/* Four floats at a time, on any machine: GCC's and Clang's vector types. Private
 * to app/detect. Sums run in four fixed lanes, so all machines give the same bits. */
#ifndef SL_APP_DETECT_FOUR_H
#define SL_APP_DETECT_FOUR_H

#include <string.h>

#define SL_FOUR 4
/* Elements in whole fours. */
#define SL_FOURS(n) (((n) + SL_FOUR - 1) / SL_FOUR * SL_FOUR)

typedef float sl_four __attribute__((vector_size(16)));
typedef int sl_four_mask __attribute__((vector_size(16)));

static inline sl_four sl_four_load(const float *from)
{
    sl_four v;
    memcpy(&v, from, sizeof v);
    return v;
}

/* `v` where the mask is set, 0 elsewhere. */
static inline sl_four sl_four_where(sl_four_mask mask, sl_four v)
{
    return (sl_four)((sl_four_mask)v & mask);
}

static inline sl_four sl_four_either(sl_four_mask mask, sl_four yes, sl_four no)
{
    return (sl_four)(((sl_four_mask)yes & mask) | ((sl_four_mask)no & ~mask));
}

static inline float sl_four_sum(sl_four v)
{
    return (v[0] + v[2]) + (v[1] + v[3]);
}

#endif
