/* How many frames a second are sent, and how good: as many as the best-placed
 * viewer takes without its picture growing old. Pure; docs/network.md, "report".
 *
 * Rate and quality fall by a share when even the freshest picture is too old, and
 * rise by steps while it is fresh (D.-M. Chiu, R. Jain, "Analysis of the increase
 * and decrease algorithms for congestion avoidance", Computer Networks and ISDN
 * Systems 17(1), 1989). A viewer that is slower than the best costs it nothing. */
#ifndef SL_NET_PACE_H
#define SL_NET_PACE_H

#include <stdbool.h>
#include <stdint.h>

struct sl_pace_config {
    double rate_max_hz; /* above 0 */
    int quality_max;    /* of JPEG, 1..100 */
};

struct sl_pace {
    struct sl_pace_config config;
    double rate_hz;
    double quality;
    double freshest_ms;     /* of the reports since the last decision */
    uint64_t reports;       /* of them */
    uint64_t decide_ns;     /* next decision */
    uint64_t next_frame_ns; /* not before */
};

void sl_pace_init(struct sl_pace *pace, const struct sl_pace_config *config);

/* A viewer's picture is so old, from exposure to screen. */
void sl_pace_report(struct sl_pace *pace, double age_ms);

/* Whether a frame may be sent now; if so, it counts as sent. */
bool sl_pace_allows(struct sl_pace *pace, uint64_t now_ns);

/* Of JPEG, at present. */
int sl_pace_quality(const struct sl_pace *pace);

#endif
