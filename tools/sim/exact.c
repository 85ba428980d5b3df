#include "tools/sim/exact.h"

#include <math.h>

/* pi/2 in two parts: the first has 33 bits, so that its product with a small
 * whole number is exact. */
#define HALF_PI_HIGH 1.57079632673412561417e+00
#define HALF_PI_LOW  6.07710050650619224932e-11
#define LOG2_HIGH    6.93147180369123816490e-01
#define LOG2_LOW     1.90821492927058770002e-10

/* Taylor series on |x| <= pi/4, to below 1e-17. */
static double series_sin(double x)
{
    double z = x * x;
    return x * (1 + z * (-1.0 / 6 +
                         z * (1.0 / 120 +
                              z * (-1.0 / 5040 + z * (1.0 / 362880 +
                                                      z * (-1.0 / 39916800 +
                                                           z * (1.0 / 6227020800.0 +
                                                                z * (-1.0 / 1307674368000.0))))))));
}

static double series_cos(double x)
{
    double z = x * x;
    return 1 + z * (-1.0 / 2 +
                    z * (1.0 / 24 +
                         z * (-1.0 / 720 +
                              z * (1.0 / 40320 + z * (-1.0 / 3628800 +
                                                      z * (1.0 / 479001600.0 +
                                                           z * (-1.0 / 87178291200.0 +
                                                                z * (1.0 / 20922789888000.0))))))));
}

void sl_exact_sincos(double angle_rad, double *sine, double *cosine)
{
    double turns = floor(angle_rad * (2 / SL_PI) + 0.5);
    double x = (angle_rad - turns * HALF_PI_HIGH) - turns * HALF_PI_LOW;
    double s = series_sin(x), c = series_cos(x);
    switch ((long)turns & 3) {
    case 0:
        *sine = s;
        *cosine = c;
        break;
    case 1:
        *sine = c;
        *cosine = -s;
        break;
    case 2:
        *sine = -s;
        *cosine = -c;
        break;
    default:
        *sine = -c;
        *cosine = s;
        break;
    }
}

double sl_exact_tan(double angle_rad)
{
    double s, c;
    sl_exact_sincos(angle_rad, &s, &c);
    return s / c;
}

double sl_exact_atan(double x)
{
    double a = fabs(x);
    /* atan(a) = pi/2 - atan(1/a), and then halved arguments twice, leave at
     * most tan(pi/16) for the series. */
    int invert = a > 1;
    if (invert)
        a = 1 / a;
    a = a / (1 + sqrt(1 + a * a));
    a = a / (1 + sqrt(1 + a * a));
    double z = a * a;
    double sum = 0;
    for (int n = 21; n >= 1; n -= 2)
        sum = 1.0 / n - z * sum;
    double y = 4 * a * sum;
    if (invert)
        y = SL_PI / 2 - y;
    return x < 0 ? -y : y;
}

double sl_exact_atan2(double y, double x)
{
    if (x > 0)
        return sl_exact_atan(y / x);
    if (x < 0)
        return sl_exact_atan(y / x) + (y >= 0 ? SL_PI : -SL_PI);
    return y > 0 ? SL_PI / 2 : y < 0 ? -SL_PI / 2 : 0;
}

double sl_exact_exp(double x)
{
    if (x < -700)
        return 0;
    double n = floor(x * (1 / (LOG2_HIGH + LOG2_LOW)) + 0.5);
    double r = (x - n * LOG2_HIGH) - n * LOG2_LOW;
    double sum = 1;
    for (int k = 16; k >= 1; k--)
        sum = 1 + sum * r / k;
    return ldexp(sum, (int)n);
}

double sl_exact_log(double x)
{
    int exponent;
    double m = frexp(x, &exponent);
    if (m < 0.70710678118654752440) {
        m *= 2;
        exponent--;
    }
    /* log(m) = 2 atanh((m - 1) / (m + 1)), argument at most 0.172. */
    double t = (m - 1) / (m + 1);
    double z = t * t;
    double sum = 0;
    for (int n = 23; n >= 1; n -= 2)
        sum = 1.0 / n + z * sum;
    return 2 * t * sum + exponent * LOG2_LOW + exponent * LOG2_HIGH;
}

double sl_exact_pow(double x, double y)
{
    return x <= 0 ? 0 : sl_exact_exp(y * sl_exact_log(x));
}

double sl_exact_wrap(double angle_rad)
{
    double turns = floor(angle_rad / (2 * SL_PI) + 0.5);
    double a = angle_rad - turns * (2 * SL_PI);
    if (a <= -SL_PI)
        a += 2 * SL_PI;
    if (a > SL_PI)
        a -= 2 * SL_PI;
    return a;
}
