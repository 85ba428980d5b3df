#include "tools/view/clock.h"

#include <string.h>

#define DRIFT_PPM   100
#define TRIP_MAX_NS UINT64_C(10000000000)
/* Times come from JSON numbers; beyond this (three centuries) is nonsense, and
 * below it differences fit into int64_t. */
#define TIME_MAX_NS (UINT64_C(1) << 62)

void view_clock_reset(struct view_clock *clock)
{
    memset(clock, 0, sizeof *clock);
}

void view_clock_guess(struct view_clock *clock, uint64_t sent_ns, uint64_t arrived_ns)
{
    if (sent_ns > TIME_MAX_NS || arrived_ns > TIME_MAX_NS)
        return;
    const int64_t guess = (int64_t)sent_ns - (int64_t)arrived_ns;
    /* What was under way for the shortest time is the largest. */
    if (!clock->guessed || guess > clock->guess_ns)
        clock->guess_ns = guess;
    clock->guessed = true;
}

bool view_clock_add(struct view_clock *clock, uint64_t asked_ns, uint64_t taken_ns,
                    uint64_t sent_ns, uint64_t arrived_ns)
{
    if (asked_ns > arrived_ns || taken_ns > sent_ns || arrived_ns > TIME_MAX_NS ||
        sent_ns > TIME_MAX_NS)
        return false;
    const uint64_t away = arrived_ns - asked_ns, held = sent_ns - taken_ns;
    if (held > away || away - held > TRIP_MAX_NS)
        return false;
    const int64_t there = (int64_t)taken_ns - (int64_t)asked_ns;
    const int64_t back = (int64_t)sent_ns - (int64_t)arrived_ns;
    clock->samples[clock->count++ % VIEW_CLOCK_SAMPLES] = (struct view_clock_sample){
        .offset_ns = there / 2 + back / 2, .trip_ns = away - held, .arrived_ns = arrived_ns};
    return true;
}

bool view_clock_offset(const struct view_clock *clock, uint64_t now_ns, int64_t *offset_ns,
                       uint64_t *bound_ns)
{
    *offset_ns = clock->guessed ? clock->guess_ns : 0;
    *bound_ns = UINT64_MAX;
    const unsigned held = clock->count < VIEW_CLOCK_SAMPLES ? clock->count : VIEW_CLOCK_SAMPLES;
    for (unsigned i = 0; i < held; i++) {
        const struct view_clock_sample *sample = &clock->samples[i];
        const uint64_t since = now_ns > sample->arrived_ns ? now_ns - sample->arrived_ns : 0;
        const uint64_t bound = sample->trip_ns / 2 + since / 1000000 * DRIFT_PPM;
        if (bound < *bound_ns) {
            *bound_ns = bound;
            *offset_ns = sample->offset_ns;
        }
    }
    return held > 0;
}

uint64_t view_clock_to_viewer(uint64_t vehicle_ns, int64_t offset_ns)
{
    const int64_t viewer = (int64_t)(vehicle_ns & (TIME_MAX_NS - 1)) - offset_ns;
    return viewer < 0 ? 0 : (uint64_t)viewer;
}

uint64_t view_clock_to_vehicle(uint64_t viewer_ns, int64_t offset_ns)
{
    return view_clock_to_viewer(viewer_ns, -offset_ns);
}
