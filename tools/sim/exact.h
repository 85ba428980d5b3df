/* Mathematics that gives the same bits on every machine.
 *
 * libm promises accuracy, not bits: its sin() may differ by the last one
 * between processors (with and without fused multiply-add) and versions, and a
 * closed loop turns one bit into another drive. These use only operations that
 * IEEE 754 defines exactly: + - * / sqrt and powers of two. Errors are below
 * 1e-14, which is finer than anything the simulator draws or drives. */
#ifndef SL_TOOLS_SIM_EXACT_H
#define SL_TOOLS_SIM_EXACT_H

#define SL_PI 3.14159265358979323846

/* For |angle| below 1e6. Some 15 ns. */
void sl_exact_sincos(double angle_rad, double *sine, double *cosine);
double sl_exact_tan(double angle_rad);
double sl_exact_atan(double x);
double sl_exact_atan2(double y, double x); /* 0 for 0, 0 */
double sl_exact_exp(double x);             /* 0 below -700; x must be below 700 */
double sl_exact_log(double x);             /* x must be positive and normal */
double sl_exact_pow(double x, double y);   /* x > 0; 0 for x = 0 */

/* The same angle in (-pi, pi]. For |angle| below 1e6. */
double sl_exact_wrap(double angle_rad);

#endif
