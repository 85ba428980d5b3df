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
 * Driving without a good lane is staged by its duration: follow the last good
 * one at speed, slow down, stop. Every refusal and stop has a reason.
 *
 * Which fault counts where:
 *
 *   fault                       driving    armed, paused     recovers by itself
 *   actuator, not finite        stops      stops             never
 *   camera or detector stall,   stops      waits             with recover_source
 *   camera blind
 *   missed deadlines            stops      waits             never
 *   no permission (lease_ms)    stops      waits             never
 *   emergency stop, battery     stops      stops             never
 *   lane lost, low confidence   in stages  waits             with recover_lane
 *
 * "Waits": the vehicle stands or comes to a stand anyway, and does not begin
 * to drive while the fault is there. A requested stop never recovers by
 * itself; it also ends the automatic recovery of a stop that it meets, and so do the
 * emergency stop and an empty battery. */
#ifndef SL_APP_CONTROL_SAFETY_H
#define SL_APP_CONTROL_SAFETY_H

#include <stdbool.h>
#include <stdint.h>

#include "rt/error.h"
#include "rt/records.h"

struct sl_safety_config {
    bool arm_at_start;
    bool recover_lane;        /* drive on by itself after the lane was lost and is back */
    bool recover_source;      /* the same after a camera or detector stall */
    double min_confidence;    /* a lane below this is not good */
    double settle_ms;         /* the lane must be good this long before driving */
    double hold_ms;           /* lane bad this long: still hold the speed */
    double slow_ms;           /* from then until here: slow down; after: stop */
    double slow_scale;        /* share of the speed allowed at the end of slowing */
    double stale_ms;          /* a detection older than this is none */
    double camera_stall_ms;   /* no new frame for this long: stop */
    double detector_stall_ms; /* frames but no detection for this long: stop */
    uint32_t miss_limit;      /* missed deadlines within miss_window_ms that stop */
    double miss_window_ms;
    double standing_mps; /* slower than this is standing */
    double lease_ms; /* a permission to drive is good for this long at most; 0: none is needed */
};

enum sl_stage_reaction {
    SL_REACT_NONE = 0,
    SL_REACT_HOLD,
    SL_REACT_SLOW,
    SL_REACT_STOP,
};

/* Missed deadlines are counted in this many parts of miss_window_ms, so that
 * the window slides. */
#define SL_SAFETY_MISS_PARTS 8

struct sl_safety_input {
    uint64_t now_ns;
    uint64_t frame_ns;             /* when the newest frame was seen; 0: never */
    uint64_t detection_ns;         /* when the newest detection was seen; 0: never */
    uint64_t detection_exposed_ns; /* its frame's exposure */
    uint32_t lane_state;
    double confidence;
    double speed_mps;
    uint32_t deadlines_missed; /* since the step before, those slept through included */
    bool not_finite;           /* the control law gave no number */
    bool actuator_failed;
    uint32_t camera_trouble;     /* enum sl_camera_trouble: what its own watch says */
    bool detector_counts_frames; /* false: frame_ns is unknown (detector elsewhere) */
    uint64_t permitted_ns;       /* when driving was last permitted; 0: never */
    uint64_t permitted_until_ns; /* and until when */
    bool estop_pressed;          /* now, or since the step before */
    bool battery_empty;
    double supply_scale; /* 0..1: share of the speed that the power supply allows */
};

struct sl_safety_output {
    uint32_t mode;        /* enum sl_vehicle_mode */
    uint32_t reaction;    /* enum sl_stage_reaction, while driving */
    uint32_t stop_reason; /* enum sl_reason */
    double speed_scale;   /* 0..1 of the speed that control may ask for */
    bool lane_bad;        /* not to be steered by */
    bool neutral;         /* outputs to their safe values */
    bool stopped_now;     /* entered safe stop in this step */
};

struct sl_safety {
    struct sl_safety_config config;
    uint32_t mode;
    uint32_t stop_reason;
    bool arm_pending;     /* arm_at_start, not yet done */
    bool stop_unreported; /* a stop since the last step's output */
    uint64_t started_ns;
    uint64_t good_since_ns; /* 0: the lane is not good */
    uint64_t bad_since_ns;  /* 0: the lane is good */
    /* What arrived, and when it was first seen here: a stamp from the future
     * must not hide a stall. */
    uint64_t frame_ns, frame_seen_ns;
    uint64_t detection_ns, detection_seen_ns;
    uint64_t unanswered_since_ns;          /* first frame after the newest detection; 0: none */
    uint32_t misses[SL_SAFETY_MISS_PARTS]; /* by part of the window, as a ring */
    uint64_t miss_part;                    /* the newest part, counted from started_ns */
    uint64_t stops;
};

/* Starts disarmed; with arm_at_start the first step arms. 0, or -EINVAL with
 * the offending number named. */
int sl_safety_init(struct sl_safety *safety, const struct sl_safety_config *config, uint64_t now_ns,
                   struct sl_error *err);

/* One step, each control tick. In every mode but driving the output is neutral
 * with a speed scale of 0; lane_bad then tells whether there is a good
 * lane to steer along while coming to a stand. */
void sl_safety_step(struct sl_safety *safety, const struct sl_safety_input *in,
                    struct sl_safety_output *out);

/* Asks for arm, disarm, pause, resume or stop. Returns SL_REASON_NONE if
 * accepted, else why not; stop and disarm are always accepted.
 *
 * Arm is refused while anything moves (NOT_STANDING), while the emergency stop is
 * pressed (ESTOP) or the battery empty (BATTERY), while another fault is there
 * or the cause of the last stop remains (FAULT_PRESENT), without permission
 * where one is needed (LINK_LOST), and without a fresh detection
 * (NO_DETECTION_YET). A stop while disarmed changes nothing but that
 * a pending arm_at_start is dropped. */
enum sl_reason sl_safety_request(struct sl_safety *safety, enum sl_action_kind kind,
                                 const struct sl_safety_input *in);

/* Stops for a reason that the caller knows, such as SL_REASON_SHUTDOWN; does
 * nothing where a stop request would change nothing. SL_REASON_NONE and what
 * is no reason count as SL_REASON_REQUESTED. */
void sl_safety_stop(struct sl_safety *safety, enum sl_reason reason);

#endif
