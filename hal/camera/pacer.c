#include "hal/camera/pacer.h"

#include <errno.h>

#include "rt/clock.h"

void sl_pacer_reset(struct sl_pacer *pacer, double rate_hz)
{
    *pacer = (struct sl_pacer){.period_ns = rate_hz > 0 ? 1e9 / rate_hz : 0};
}

/* From the start, not from the frame before, so that rounding never adds up. */
static uint64_t due_at(const struct sl_pacer *pacer, uint64_t frame)
{
    return pacer->start_ns + (uint64_t)((double)frame * pacer->period_ns);
}

int sl_pacer_wait(struct sl_pacer *pacer, uint64_t deadline_ns, uint64_t last, uint64_t *frame,
                  uint64_t *due_ns, uint64_t *skipped)
{
    uint64_t now = sl_clock_now_ns();
    *skipped = 0;
    if (pacer->period_ns == 0) {
        *frame = pacer->next++;
        *due_ns = now;
        return 0;
    }
    if (pacer->start_ns == 0)
        pacer->start_ns = now;
    const uint64_t due = due_at(pacer, pacer->next);
    if (now < due) {
        if (deadline_ns < due) {
            sl_clock_sleep_until_ns(deadline_ns);
            return -ETIMEDOUT;
        }
        now = sl_clock_sleep_until_ns(due);
    }
    uint64_t newest = (uint64_t)((double)(now - pacer->start_ns) / pacer->period_ns);
    if (newest > last)
        newest = last;
    if (newest > pacer->next) {
        *skipped = newest - pacer->next;
        pacer->next = newest;
    }
    *frame = pacer->next++;
    *due_ns = due_at(pacer, *frame);
    if (*due_ns > now)
        *due_ns = now;
    return 0;
}
