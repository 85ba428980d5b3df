/* The records that travel on buses: fixed-size values without pointers, read
 * by threads and by other processes. SI units, radians, nanoseconds of
 * CLOCK_MONOTONIC. Vehicle frame: x forward, y left, origin on the ground
 * under the middle of the rear axle; positive steers and bends left.
 *
 * A record's type code is checked when a reader attaches. A change of layout
 * changes the code's last character. */
#ifndef SL_RT_RECORDS_H
#define SL_RT_RECORDS_H

#include <stdint.h>

#include "rt/frame.h"

enum sl_record_type {
    SL_RECORD_FRAME = SL_FOURCC('F', 'R', 'M', '1'), /* struct sl_frame_info in meta */
    SL_RECORD_DETECTION = SL_FOURCC('D', 'E', 'T', '2'),
    SL_RECORD_COMMAND = SL_FOURCC('C', 'M', 'D', '1'),
    SL_RECORD_STATE = SL_FOURCC('S', 'T', 'A', '2'),
    SL_RECORD_ODOMETRY = SL_FOURCC('O', 'D', 'O', '1'),
    SL_RECORD_TRUTH = SL_FOURCC('T', 'R', 'U', '1'),
    SL_RECORD_ACTION = SL_FOURCC('A', 'C', 'T', '2'),
    SL_RECORD_LOG = SL_FOURCC('L', 'O', 'G', '1'),
    SL_RECORD_PERMIT = SL_FOURCC('P', 'E', 'R', '1'),
    SL_RECORD_CAMERA = SL_FOURCC('C', 'A', 'M', '1'), /* struct sl_camera_status */
    SL_RECORD_OUTPUT = SL_FOURCC('O', 'U', 'T', '1'), /* struct sl_output_status */
};

#define SL_BUS_CAMERA        "camera_feed"
#define SL_BUS_DETECTION     "detection_results"
#define SL_BUS_COMMAND       "vehicle_command"
#define SL_BUS_STATE         "vehicle_state"
#define SL_BUS_ODOMETRY      "vehicle_odometry"
#define SL_BUS_TRUTH         "ground_truth"
#define SL_BUS_ACTION        "vehicle_action"
#define SL_BUS_LOG           "vehicle_log"
#define SL_BUS_PERMIT        "driving_permit"
#define SL_BUS_CAMERA_STATUS "camera_status"
#define SL_BUS_OUTPUT_STATUS "output_status"

/* ---- detection_results ---- */

enum sl_lane_state {
    SL_LANE_LOST = 0,     /* nothing to steer by: the lane fields are zero */
    SL_LANE_ONE_LINE = 1, /* one boundary seen, the other placed by the lane width */
    SL_LANE_TWO_LINES = 2,
};

#define SL_LANE_POINTS_MAX 24

/* One boundary of the lane, at the centre of its paint. */
struct sl_lane_line {
    uint32_t seen;        /* 1: fitted to paint in this frame; 0: inferred or absent */
    uint32_t point_count; /* of points_px; 0 if the boundary is absent */
    float confidence;     /* 0..1 for this boundary alone */
    float x_min_m;        /* ahead of the rear axle: where the polynomial holds */
    float x_max_m;
    float poly[4]; /* y_m = poly[0] + poly[1] x + poly[2] x^2 + poly[3] x^3 */
    float points_px[SL_LANE_POINTS_MAX][2]; /* image x, y, from near to far */
};

struct sl_detection {
    uint64_t frame_id;         /* of the frame this was found in */
    uint64_t exposed_ns;       /* when that frame was exposed */
    uint64_t received_ns;      /* when that frame was published */
    uint64_t started_ns;       /* detection began */
    uint64_t finished_ns;      /* detection ended */
    uint32_t state;            /* enum sl_lane_state */
    float confidence;          /* 0..1: chance that both boundaries are right */
    float lateral_offset_m;    /* vehicle relative to the lane's centre, positive left of it */
    float heading_error_rad;   /* vehicle relative to the lane, positive turned left */
    float curvature_1pm;       /* of the lane's centre at the rear axle, positive bends left */
    float curvature_rate_1pm2; /* change of curvature by metre ahead */
    float lane_width_m;
    float lane_width_sd_m;   /* standard deviation */
    float camera_pitch_rad;  /* how much more the camera looks down than its calibration says */
    float covariance[4][4];  /* of lateral offset, heading error, curvature and curvature rate */
    uint32_t frame_width_px; /* the picture that points_px refer to */
    uint32_t frame_height_px;
    uint32_t reserved;
    struct sl_lane_line left;
    struct sl_lane_line right;
};

/* ---- vehicle_command ---- */

struct sl_command {
    uint64_t seq;         /* counts up by one a command, from 1 */
    uint64_t frame_id;    /* newest frame whose detection took part; 0 for none */
    uint64_t exposed_ns;  /* of that frame */
    uint64_t received_ns; /* of that frame: when it was published */
    uint64_t issued_ns;   /* when this command was decided */
    uint64_t expires_ns;  /* not to be obeyed after this time */
    float steering_rad;   /* of the front wheels, positive left */
    float speed_mps;      /* asked speed, never negative */
    uint32_t mode;        /* enum sl_vehicle_mode */
    uint32_t reserved;
};

/* ---- vehicle_state ---- */

enum sl_vehicle_mode {
    SL_MODE_DISARMED = 0, /* outputs neutral, waits for arm */
    SL_MODE_ARMED = 1,    /* outputs neutral, waits for the lane to be good */
    SL_MODE_DRIVING = 2,
    SL_MODE_PAUSED = 3,    /* stopped on request, drives on when resumed */
    SL_MODE_SAFE_STOP = 4, /* stopped or stopping for a reason; see stop_reason */
    SL_MODE_COUNT
};

enum sl_reason {
    SL_REASON_NONE = 0,
    SL_REASON_REQUESTED, /* somebody asked for stop */
    SL_REASON_LANE_LOST,
    SL_REASON_LOW_CONFIDENCE,
    SL_REASON_CAMERA_STALL,     /* no new frame */
    SL_REASON_DETECTOR_STALL,   /* frames come, detections do not */
    SL_REASON_DEADLINE,         /* the control loop missed too many deadlines */
    SL_REASON_NOT_FINITE,       /* a number that is not one */
    SL_REASON_ACTUATOR,         /* the actuator refused or failed */
    SL_REASON_NO_DETECTION_YET, /* refusals to arm or drive from here on */
    SL_REASON_MODE,             /* the request makes no sense in this mode */
    SL_REASON_NOT_STANDING,     /* asked to re-arm while still moving */
    SL_REASON_FAULT_PRESENT,    /* the cause of the stop still holds */
    SL_REASON_SHUTDOWN,         /* the program is ending */
    SL_REASON_STALE_REQUEST,    /* a request that came too late */
    SL_REASON_SETTING,          /* no such live setting, or not this value */
    SL_REASON_LINK_LOST,        /* nobody permits driving, and safety.lease_ms demands it */
    SL_REASON_CAMERA_BLIND,     /* frames come, but they are black or all the same */
    SL_REASON_ESTOP,            /* the emergency stop was pressed, or cannot be read */
    SL_REASON_BATTERY,          /* its voltage stayed below power.stop_v */
    SL_REASON_COUNT
};

/* A sentence for people, with the remedy. Never NULL. */
const char *sl_reason_text(uint32_t reason);
/* A word for logs and reports, such as "lane_lost". Never NULL. */
const char *sl_reason_name(uint32_t reason);
const char *sl_mode_name(uint32_t mode);

/* Percentiles of one stage since the start. */
struct sl_stage_stats {
    uint64_t count;
    float p50_us, p90_us, p99_us, p999_us, max_us;
    uint32_t reserved;
};

enum sl_stage {
    SL_STAGE_CAMERA_TO_DETECT = 0, /* frame published -> detection begins */
    SL_STAGE_DETECT,               /* detection's duration */
    SL_STAGE_DETECT_TO_CONTROL,    /* detection ended -> control law begins */
    SL_STAGE_CAMERA_TO_ACTUATOR,   /* frame published -> command accepted by the actuator */
    SL_STAGE_LOOP_LATENESS,        /* control tick later than its deadline by */
    SL_STAGE_COUNT
};

struct sl_state {
    uint64_t published_ns;
    uint64_t started_ns;     /* when the program started to drive its loops */
    uint64_t frames;         /* detections used by control */
    uint64_t frames_dropped; /* published by the camera, never seen by the detector */
    uint64_t deadline_misses;
    uint64_t page_faults;   /* of the real-time threads after start */
    uint64_t allocations;   /* by the real-time threads after start */
    uint64_t stop_count;    /* safe stops since start */
    uint32_t mode;          /* enum sl_vehicle_mode */
    uint32_t stop_reason;   /* enum sl_reason: of the present or the last stop */
    uint64_t action_id;     /* newest request that was answered */
    uint32_t action_reason; /* enum sl_reason; NONE: accepted */
    uint32_t lane_state;    /* enum sl_lane_state */
    float confidence;
    float lateral_offset_m; /* as detected */
    float heading_error_rad;
    float curvature_1pm;
    float steering_rad; /* as commanded */
    float speed_command_mps;
    float speed_mps;        /* as measured, or as assumed where nothing measures */
    float detection_age_ms; /* of the pose steered by */
    uint32_t realtime;      /* SL_REALTIME_* */
    uint16_t battery_mv;    /* 0: not known, or nothing measures it */
    uint16_t conditions;    /* SL_CONDITION_* */
    struct sl_stage_stats stages[SL_STAGE_COUNT];
};

enum {
    SL_REALTIME_FIFO = 1u << 0,
    SL_REALTIME_MLOCK = 1u << 1,
    SL_REALTIME_HUGEPAGES = 1u << 2,
};

/* What safety hardware tells of the vehicle at this moment. */
enum {
    SL_CONDITION_ESTOP = 1u << 0,         /* the emergency stop is pressed, or cannot be read */
    SL_CONDITION_BATTERY_LOW = 1u << 1,   /* below power.warn_v, or not known: it drives slowly */
    SL_CONDITION_BATTERY_EMPTY = 1u << 2, /* was below power.stop_v: it does not drive */
    SL_CONDITION_UNDER_VOLTAGE = 1u << 3, /* of the board, by its own account */
    SL_CONDITION_THROTTLED = 1u << 4,     /* the board is, or was just now: it drives slowly */
    SL_CONDITION_COUNT = 5
};

/* ---- vehicle_odometry: what the vehicle measures of its own motion ---- */

struct sl_odometry {
    uint64_t measured_ns;
    float speed_mps;
    float steering_rad;
    float yaw_rate_radps;
    uint32_t valid; /* SL_ODOMETRY_* bits: which fields are measured */
};

enum {
    SL_ODOMETRY_SPEED = 1u << 0,
    SL_ODOMETRY_STEERING = 1u << 1,
    SL_ODOMETRY_YAW_RATE = 1u << 2,
};

/* ---- driving_permit: somebody who watches lets the vehicle drive, for a while ---- */

struct sl_permit {
    uint64_t issued_ns;  /* by whom permits, in the vehicle's clock */
    uint64_t expires_ns; /* no permission from here on, unless it is renewed */
};

/* ---- camera_status: how the camera is, at each change and five times a second ---- */

enum sl_camera_trouble {
    SL_CAMERA_GOOD = 0,
    SL_CAMERA_STALLED, /* no frame for three periods */
    SL_CAMERA_FROZEN,  /* the same picture again and again */
    SL_CAMERA_BLACK,   /* nothing to see: a cap, the dark, a broken cable */
};

struct sl_camera_status {
    uint64_t published_ns;
    uint64_t started_ns; /* when its program began */
    uint64_t trouble_ns; /* since when there is one; 0: none */
    uint64_t frames;     /* published */
    uint64_t dropped_sensor, dropped_no_area, dropped_late, dropped_corrupt; /* by cause */
    uint64_t troubles;                                                       /* so far */
    uint64_t restarts;                          /* of the source, for their sake */
    uint64_t recovery_last_ns, recovery_max_ns; /* from a trouble's begin to its end */
    uint32_t trouble;                           /* enum sl_camera_trouble */
    float rate_hz;                              /* measured over the last second or so */
    char transfer[40];                          /* how pixels come into the bus, for people */
    char problem[120];                          /* the source's last fault, in words */
};
_Static_assert(sizeof(struct sl_camera_status) == 264, "the layout is shared between processes");

/* ---- output_status: how hardware outputs are, at each change and five times a second ---- */

enum sl_outputs_state {
    SL_OUTPUTS_OPENING = 0, /* nobody knows yet what they do */
    SL_OUTPUTS_ARMING = 1,  /* the ESC sees neutral, the steering moves */
    SL_OUTPUTS_READY = 2,
    SL_OUTPUTS_STOPPED = 3, /* the device's own emergency stop holds it neutral */
    SL_OUTPUTS_FAILED = 4,  /* the device fails: `problem`; it is opened anew from time to time */
};

/* Counts are since the start of the process that holds the outputs, but `restarts`. */
struct sl_output_status {
    uint64_t published_ns;
    uint64_t restarts;   /* of that process */
    uint64_t writes;     /* that succeeded */
    uint64_t errors;     /* writes and checks that failed */
    uint64_t recovered;  /* of those, made up for by the next try */
    uint64_t reopened;   /* how often the device was set up anew */
    uint64_t lease_ends; /* a command ran out, and the outputs went neutral */
    uint64_t write_last_ns, write_max_ns;
    uint32_t state;                 /* enum sl_outputs_state */
    int32_t code;                   /* FAILED: a negative errno */
    float steering_us, throttle_us; /* written last */
    float speed_mps;                /* measured by the device; NAN: it does not tell */
    uint32_t battery_mv;            /* 0: it does not tell */
    char problem[120];              /* the newest one, in words; empty: none yet */
};
_Static_assert(sizeof(struct sl_output_status) == 216, "the layout is shared between processes");

/* ---- vehicle_log: what the vehicle's program tells people ---- */

#define SL_LOG_LINE_MAX 496

struct sl_log_line {
    uint64_t at_ns;
    uint32_t level; /* enum sl_log_level */
    uint32_t reserved;
    char text[SL_LOG_LINE_MAX]; /* terminated */
};

/* ---- ground_truth: what only a simulator knows, at the frame's exposure ---- */

struct sl_truth {
    uint64_t frame_id;
    uint64_t exposed_ns;
    float x_m, y_m, yaw_rad; /* world */
    float speed_mps;
    float steering_rad;     /* of the wheels */
    float lateral_offset_m; /* as in sl_detection, of the rear axle's middle */
    float heading_error_rad;
    float curvature_1pm;
    float lane_width_m;
    float progress_m; /* along the track since the start, laps counted */
    uint32_t laps;
    uint32_t departures;
    uint32_t markings; /* 1: painted here; 0: a crossing without markings */
    uint32_t reserved;
};

/* ---- vehicle_action: requests ---- */

enum sl_action_kind {
    SL_ACTION_ARM = 1,
    SL_ACTION_DISARM,
    SL_ACTION_PAUSE,
    SL_ACTION_RESUME,
    SL_ACTION_STOP,
    SL_ACTION_RESPAWN, /* simulator only */
    SL_ACTION_SET,     /* a live setting */
};

#define SL_ACTION_SETTING_MAX 96

struct sl_action {
    uint64_t id; /* chosen by the sender, rising */
    uint64_t issued_ns;
    uint64_t expires_ns; /* refused after this time */
    uint32_t kind;       /* enum sl_action_kind */
    uint32_t reserved;
    char setting[SL_ACTION_SETTING_MAX]; /* of SL_ACTION_SET: "section.key=value", ends with 0 */
};

#endif
