/* The offset between two machines' clocks, from questions and answers: NTP's
 * on-wire arithmetic (RFC 5905, section 8). Pure: numbers in, numbers out.
 *
 * "vehicle" is the vehicle's CLOCK_MONOTONIC, "viewer" this machine's. */
#ifndef SL_TOOLS_VIEW_CLOCK_H
#define SL_TOOLS_VIEW_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#define VIEW_CLOCK_SAMPLES 16

struct view_clock_sample {
    int64_t offset_ns;   /* vehicle minus viewer */
    uint64_t trip_ns;    /* there and back, without the time on the vehicle */
    uint64_t arrived_ns; /* viewer's clock */
};

/* Zeroed is: nothing known. */
struct view_clock {
    struct view_clock_sample samples[VIEW_CLOCK_SAMPLES];
    unsigned count; /* of samples since the last reset */
    bool guessed;
    int64_t guess_ns;
};

/* Forgets all: the other side has begun anew. */
void view_clock_reset(struct view_clock *clock);

/* A message that the vehicle sent at `sent_ns` arrived at `arrived_ns`: a
 * first guess until there are answers. It lags by the way here. */
void view_clock_guess(struct view_clock *clock, uint64_t sent_ns, uint64_t arrived_ns);

/* An answer: asked at `asked_ns` (viewer), taken at `taken_ns` and answered at
 * `sent_ns` (vehicle), arrived at `arrived_ns` (viewer). False, and nothing
 * kept, if the four cannot be true. */
bool view_clock_add(struct view_clock *clock, uint64_t asked_ns, uint64_t taken_ns,
                    uint64_t sent_ns, uint64_t arrived_ns);

/* The offset of the answer with the shortest trip among the last 16, and how
 * far off it can be: half that trip, and what crystals of 50 ppm each may
 * have drifted apart since. False while no answer has come: then `offset_ns`
 * is the guess, or 0, and `bound_ns` is UINT64_MAX. */
bool view_clock_offset(const struct view_clock *clock, uint64_t now_ns, int64_t *offset_ns,
                       uint64_t *bound_ns);

/* `vehicle_ns` in the viewer's clock, and the other way; never below 0. */
uint64_t view_clock_to_viewer(uint64_t vehicle_ns, int64_t offset_ns);
uint64_t view_clock_to_vehicle(uint64_t viewer_ns, int64_t offset_ns);

#endif
