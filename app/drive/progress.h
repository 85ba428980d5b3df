/* Whether loops turn. Each loop counts its rounds; who watches looks at the counts.
 * A round is a turn of the loop, whether or not a frame or detection came with it.
 * Pure; time comes as an argument. */
#ifndef SL_APP_DRIVE_PROGRESS_H
#define SL_APP_DRIVE_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

/* One loop, as its watcher sees it. Set the first two; the rest is zero at first. */
struct sl_progress {
    const char *name;
    uint64_t allowance_ns; /* a round may take so long */
    uint64_t rounds;       /* at the last look that saw a new one */
    uint64_t since_ns;     /* when that was; before the first look 0 */
    bool stalled;
};

enum sl_progress_news {
    SL_PROGRESS_SAME = 0,
    SL_PROGRESS_STALLED, /* it was turning, and has not for longer than its allowance */
    SL_PROGRESS_BACK,    /* it turns again */
};

/* Looks at one loop. `rounds` is its count now; `ended` says that it ended as it was
 * told to, which is no stall. A loop that never made a round counts from the first
 * look. */
enum sl_progress_news sl_progress_look(struct sl_progress *progress, uint64_t rounds, bool ended,
                                       uint64_t now_ns);

#endif
