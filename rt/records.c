#include "rt/records.h"

#include <stddef.h>

static const struct {
    const char *name;
    const char *text;
} REASONS[SL_REASON_COUNT] = {
    [SL_REASON_NONE] = {"none", "nothing is wrong"},
    [SL_REASON_REQUESTED] = {"requested", "a stop was requested; arm again to drive on"},
    [SL_REASON_LANE_LOST] = {"lane_lost",
                             "the lane was lost for longer than safety.slow_ms; put the vehicle "
                             "into a lane that the camera sees"},
    [SL_REASON_LOW_CONFIDENCE] = {"low_confidence",
                                  "the lane stayed less sure than safety.min_confidence; check "
                                  "light, lens and calibration"},
    [SL_REASON_CAMERA_STALL] = {"camera_stall",
                                "no new frame for safety.camera_stall_ms; check that the camera "
                                "or the simulator runs"},
    [SL_REASON_DETECTOR_STALL] = {"detector_stall",
                                  "frames come but no detection for safety.detector_stall_ms; "
                                  "check that the detector runs"},
    [SL_REASON_DEADLINE] = {"deadline",
                            "the control loop missed safety.miss_limit deadlines within "
                            "safety.miss_window_ms; the machine is overloaded or lacks real-time "
                            "rights (tools/setup --realtime)"},
    [SL_REASON_NOT_FINITE] = {"not_finite",
                              "the controller produced a value that is not a number; check the "
                              "control settings and report it"},
    [SL_REASON_ACTUATOR] = {"actuator",
                            "the actuator refused or failed; check its power and wiring"},
    [SL_REASON_NO_DETECTION_YET] = {"no_detection_yet",
                                    "nothing has been detected yet; start the camera first"},
    [SL_REASON_MODE] = {"mode", "the request makes no sense in the present mode"},
    [SL_REASON_NOT_STANDING] = {"not_standing", "the vehicle still moves; wait until it stands"},
    [SL_REASON_FAULT_PRESENT] = {"fault_present",
                                 "what stopped the vehicle is still there; remove it first"},
    [SL_REASON_SHUTDOWN] = {"shutdown", "the program is ending"},
    [SL_REASON_STALE_REQUEST] = {"stale_request", "the request had expired when it arrived"},
    [SL_REASON_SETTING] = {"setting",
                           "there is no such setting, it cannot be changed while running, or it "
                           "does not take this value; \"skylane config --reference\" tells"},
    [SL_REASON_LINK_LOST] = {"link_lost",
                             "nobody has permitted driving for safety.lease_ms: the link is lost, "
                             "or no viewer's page that drives is open; open it and arm again"},
    [SL_REASON_CAMERA_BLIND] =
        {"camera_blind", "the camera's pictures are black or do not change; uncover it, check "
                         "its cable, and see camera.watch in the settings"},
    [SL_REASON_ESTOP] = {"estop",
                         "the emergency stop was pressed, or its wire is broken; release it and "
                         "arm again"},
    [SL_REASON_BATTERY] = {"battery",
                           "the battery's voltage stayed below power.stop_v; charge or change it "
                           "and arm again"},
};

const char *sl_reason_text(uint32_t reason)
{
    return reason < SL_REASON_COUNT ? REASONS[reason].text : "unknown reason";
}

const char *sl_reason_name(uint32_t reason)
{
    return reason < SL_REASON_COUNT ? REASONS[reason].name : "unknown";
}

const char *sl_mode_name(uint32_t mode)
{
    static const char *const NAMES[SL_MODE_COUNT] = {
        [SL_MODE_DISARMED] = "disarmed",   [SL_MODE_ARMED] = "armed",
        [SL_MODE_DRIVING] = "driving",     [SL_MODE_PAUSED] = "paused",
        [SL_MODE_SAFE_STOP] = "safe_stop",
    };
    return mode < SL_MODE_COUNT ? NAMES[mode] : "unknown";
}
