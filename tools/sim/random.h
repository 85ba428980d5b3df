/* Random numbers from a seed, the same on every machine. */
#ifndef SL_TOOLS_SIM_RANDOM_H
#define SL_TOOLS_SIM_RANDOM_H

#include <stdint.h>

/* splitmix64: G. Steele, D. Lea, C. Flood, "Fast Splittable Pseudorandom
 * Number Generators", OOPSLA 2014. Any state is a good one. */
struct sl_random {
    uint64_t state;
};

/* Scrambles a number: near arguments give unrelated results. */
static inline uint64_t sl_random_mix(uint64_t x)
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

/* A stream of its own for each purpose, so that one purpose's draws do not
 * shift another's. */
static inline struct sl_random sl_random_make(uint64_t seed, uint64_t purpose)
{
    return (struct sl_random){sl_random_mix(seed ^ sl_random_mix(purpose))};
}

static inline uint64_t sl_random_next(struct sl_random *r)
{
    uint64_t value = sl_random_mix(r->state);
    r->state += UINT64_C(0x9e3779b97f4a7c15);
    return value;
}

/* [0, 1) */
static inline double sl_random_unit(struct sl_random *r)
{
    return (double)(sl_random_next(r) >> 11) * (1.0 / 9007199254740992.0);
}

static inline double sl_random_between(struct sl_random *r, double low, double high)
{
    return low + (high - low) * sl_random_unit(r);
}

/* Mean 0, variance 1, never beyond 6: the sum of twelve uniform numbers,
 * which unlike the usual transforms needs no logarithm. */
static inline double sl_random_normal(struct sl_random *r)
{
    double sum = -6;
    for (int i = 0; i < 12; i++)
        sum += sl_random_unit(r);
    return sum;
}

#endif
