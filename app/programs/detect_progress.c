#include "detect_progress.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "rt/clock.h"

#define AFTER_NS (1 * SL_NS_PER_S)
#define EVERY_NS (100 * SL_NS_PER_MS)
#define CELLS    30

void sl_progress_begin(struct sl_progress *p, size_t count)
{
    *p = (struct sl_progress){
        .terminal = isatty(STDERR_FILENO) != 0, .begun_ns = sl_clock_now_ns(), .count = count};
}

void sl_progress_clear(struct sl_progress *p)
{
    if (p->shown)
        fputs("\r\033[K", stderr);
    p->shown = false;
}

void sl_progress_show(struct sl_progress *p, size_t done)
{
    const uint64_t now = sl_clock_now_ns();
    if (!p->terminal || now - p->begun_ns < AFTER_NS || now - p->last_ns < EVERY_NS)
        return;
    p->last_ns = now;
    p->shown = true;
    const double rate = (double)done / ((double)(now - p->begun_ns) * 1e-9);
    if (p->count == 0) {
        fprintf(stderr, "\r\033[K%zu pictures, %.0f a second", done, rate);
        return;
    }
    char bar[CELLS + 1];
    const size_t full = done * CELLS / p->count;
    memset(bar, '.', CELLS);
    memset(bar, '#', full < CELLS ? full : CELLS);
    bar[CELLS] = '\0';
    const double left_s = rate > 0 ? (double)(p->count - done) / rate : 0;
    fprintf(stderr, "\r\033[K[%s] %zu of %zu pictures, %.0f a second, %.0f:%02.0f left", bar, done,
            p->count, rate, floor(left_s / 60), floor(fmod(left_s, 60)));
}
