/* Gives a source without a clock of its own the rhythm of a sensor: frame k is
 * due at start + k / rate, whatever became of the frames before it. One thread. */
#ifndef SL_HAL_CAMERA_PACER_H
#define SL_HAL_CAMERA_PACER_H

#include <stdint.h>

struct sl_pacer {
    double period_ns;  /* 0: every frame is due at once */
    uint64_t start_ns; /* when frame 0 was due; 0 until it is asked for */
    uint64_t next;     /* the frame that is due next, from 0 */
};

/* Frame 0 will be due when it is first waited for, so that what happens between
 * the start of a camera and the start of its loop loses no frames. */
void sl_pacer_reset(struct sl_pacer *pacer, double rate_hz);

/* Waits until a frame is due, at most until `deadline_ns`. A caller who is late
 * by whole periods gets the newest frame that is due, at most frame `last`.
 * 0, with the frame's number, the time at which it was due (never in the
 * future) and how many were passed over; -ETIMEDOUT. Does not fail otherwise. */
int sl_pacer_wait(struct sl_pacer *pacer, uint64_t deadline_ns, uint64_t last, uint64_t *frame,
                  uint64_t *due_ns, uint64_t *skipped);

#endif
