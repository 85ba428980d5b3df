/* Whether the vehicle may drive: the arming state machine and the staged
 * reaction to what goes wrong. Pure; time comes as an argument.
 *
 *   disarmed --arm--> armed --lane good for settle_ms--> driving
 *   armed/driving --pause--> paused --resume--> armed
 *   armed/driving/paused --fault or stop--> safe stop
 *   safe stop --cause gone, standing, good again, automatic recovery
 *               allowed for that cause--> armed
 *   safe stop --arm, when standing and the cause is gone--> armed
 *   any --disarm--> disarmed
 *
 * Driving without a good lane is staged by its duration: hold the last
 * steering at speed, slow down, stop. Every refusal and stop has a reason. */
#ifndef SL_APP_CONTROL_SAFETY_H
#define SL_APP_CONTROL_SAFETY_H

#include <stdbool.h>
#include <stdint.h>

#include "rt/error.h"
#include "rt/records.h"

struct sl_safety_config {
    bool arm_at_start;
    bool recover_lane;          /* drive on by itself after the lane was lost and is back */
    bool recover_source;        /* the same after a camera or detector stall */
    double min_confidence;      /* a lane below this is not good */
    double settle_ms;           /* the lane must be good this long before driving */
    double hold_ms;             /* lane bad this long: still hold speed and steering */
    double slow_ms;             /* from then until here: slow down; after: stop */
    double slow_scale;          /* share of the speed allowed at the end of slowing */
    double stale_ms;            /* a detection older than this is none */
    double camera_stall_ms;     /* no new frame for this long: stop */
    double detector_stall_ms;   /* frames but no detection for this long: stop */
    uint32_t miss_limit;        /* missed deadlines within miss_window_ms that stop */
    double miss_window_ms;
    double standing_mps;        /* slower than this is standing */
};

enum sl_stage_reaction {
    SL_REACT_NONE = 0,
    SL_REACT_HOLD,
    SL_REACT_SLOW,
    SL_REACT_STOP,
};

struct sl_safety_input {
    uint64_t now_ns;
    uint64_t frame_ns;          /* when the newest frame was seen; 0: never */
    uint64_t detection_ns;      /* when the newest detection was seen; 0: never */
    uint64_t detection_exposed_ns; /* its frame's exposure */
    uint32_t lane_state;
    double confidence;
    double speed_mps;
    bool deadline_missed;       /* by the tick before this one */
    bool not_finite;            /* the control law gave no number */
    bool actuator_failed;
    bool detector_counts_frames;/* false: frame_ns is unknown (detector elsewhere) */
};

struct sl_safety_output {
    uint32_t mode;              /* enum sl_vehicle_mode */
    uint32_t reaction;          /* enum sl_stage_reaction, while driving */
    uint32_t stop_reason;       /* enum sl_reason */
    double speed_scale;         /* 0..1 of the speed that control may ask for */
    bool hold_steering;         /* keep the last steering instead of the law's */
    bool neutral;               /* outputs to their safe values */
    bool stopped_now;           /* entered safe stop in this step */
};

struct sl_safety {
    struct sl_safety_config config;
    uint32_t mode;
    uint32_t stop_reason;
    uint64_t started_ns;
    uint64_t good_since_ns;     /* 0: the lane is not good */
    uint64_t bad_since_ns;      /* 0: the lane is good */
    uint64_t miss_window_start_ns;
    uint32_t misses;
    uint64_t stops;
};

int sl_safety_init(struct sl_safety *safety, const struct sl_safety_config *config,
                   uint64_t now_ns, struct sl_error *err);

/* One step, each control tick. */
void sl_safety_step(struct sl_safety *safety, const struct sl_safety_input *in,
                    struct sl_safety_output *out);

/* Asks for arm, disarm, pause, resume or stop. Returns SL_REASON_NONE if
 * accepted, else why not; stop and disarm are always accepted. */
enum sl_reason sl_safety_request(struct sl_safety *safety, enum sl_action_kind kind,
                                 const struct sl_safety_input *in);

#endif
