/* The three nodes of the control path, and what they share. Private to
 * app/drive. */
#ifndef SL_APP_DRIVE_NODES_H
#define SL_APP_DRIVE_NODES_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "app/camera/source.h"
#include "app/config/settings.h"
#include "app/control/control.h"
#include "app/control/limits.h"
#include "app/control/safety.h"
#include "app/detect/detect.h"
#include "app/detect/motion.h"
#include "app/drive/estop.h"
#include "app/drive/keeper.h"
#include "app/drive/remote.h"
#include "app/drive/supply_watch.h"
#include "hal/actuator/actuator.h"
#include "rt/bus.h"
#include "rt/latch.h"
#include "rt/log.h"
#include "rt/memory.h"
#include "rt/records.h"
#include "rt/thread.h"

#define SL_DRIVE_STOPS_MAX 256

/* One real-time thread, and what it costs after the start. */
struct sl_node_thread {
    struct sl_thread thread;
    _Atomic uint64_t faults; /* since the path became warm */
    uint64_t faults_base;
    bool warm;
    _Atomic uint64_t rounds; /* turns of its loop: what the watchdogs go by */
    _Atomic bool ended;      /* it left its loop because it was to */
};

struct sl_camera_node {
    struct sl_node_thread thread;
    struct sl_source *source; /* NULL: another process publishes the frames */
    _Atomic bool finished;
};

struct sl_detect_node {
    struct sl_node_thread thread;
    struct sl_detector *detector; /* NULL: somebody else detects */
    struct sl_bus_reader *reader; /* NULL: another process does, and there is no such thread */
    struct sl_bus_writer *writer;
    struct sl_bus_reader *odometry; /* NULL as the detector */
    struct sl_motion motion;        /* the detect thread's own */
    uint64_t looked_at_ns;          /* when the detector's last frame was exposed; 0: none */
    struct sl_remote *remote;       /* NULL: no server is asked */
    struct sl_bus_reader *answers;  /* its lanes */
    _Atomic bool remote_drives;
    _Atomic uint64_t takeovers, builtin_frames; /* as in struct sl_drive_remote */
    _Atomic uint64_t frame_seen_ns;             /* when the newest frame was taken up */
    _Atomic bool frames_on_huge_pages;
    _Atomic bool reset; /* forget the frames before */
};

/* A request on its way from the bus to the control thread. */
struct sl_request {
    uint64_t id;
    uint32_t kind;
};

/* What live settings change. */
struct sl_tuning {
    struct sl_control_config control;
    struct sl_safety_config safety;
};
_Static_assert(sizeof(struct sl_tuning) <= SL_LATCH_WORDS * 8, "a tuning fits a latch");

struct sl_control_node {
    struct sl_node_thread thread;
    struct sl_bus_reader *detections;
    struct sl_bus_reader *odometry;
    struct sl_bus_reader *permits; /* NULL: no permission is needed */
    struct sl_bus_reader *cameras; /* the camera's reports; NULL: it is none that can fail */
    struct sl_actuator *actuator;
    struct sl_control control;
    struct sl_safety safety;
    struct sl_limits limits;
    struct sl_loop loop;
    struct sl_histogram stages[SL_STAGE_LOOP_LATENESS]; /* lateness is the loop's */

    /* the control thread's own */
    struct sl_detection lane; /* newest detection */
    uint64_t lane_seen_ns;    /* when it arrived; 0: never */
    uint64_t last_frame_id;
    struct sl_odometry motion; /* newest odometry */
    uint64_t motion_seen_ns;
    struct sl_permit permit;         /* newest one */
    uint32_t camera_trouble;         /* enum sl_camera_trouble, as reported last */
    struct sl_supply_verdict supply; /* newest one; a scale of 1 where nothing looks */
    uint64_t presses_seen;           /* of the emergency stop */
    struct sl_limited applied;       /* what the actuator was told last */
    bool not_finite, actuator_failed;
    uint32_t missed;       /* deadlines, since the last step */
    struct sl_state state; /* being made, then latched */

    /* between threads */
    /* for the detect thread: `applied`, and what of `control` says how the vehicle turns */
    _Atomic float asked_steering_rad, understeer_rads2pm, rear_slip_rads2pm;
    struct sl_latch request;         /* struct sl_request, from the polling thread */
    _Atomic uint64_t requests_taken; /* of those */
    struct sl_latch tuning;          /* struct sl_tuning, from the polling thread */
    uint64_t tunings_taken;          /* of those */
    struct sl_latch published;       /* struct sl_state, to the polling thread */
    _Atomic uint32_t stop_reasons[SL_DRIVE_STOPS_MAX];
    _Atomic uint64_t stop_count;
};

struct sl_drive {
    const struct sl_settings *settings;
    struct sl_log *log;
    bool lockstep, insecure;
    uint32_t realtime; /* SL_REALTIME_FIFO, _MLOCK: what was granted */
    struct sl_arena arena;
    struct sl_camera_node camera;
    struct sl_detect_node detect;
    struct sl_control_node control;
    struct sl_estop *estop;         /* NULL: there is none */
    struct sl_supply_watch *supply; /* NULL: nothing looks at the power supply */
    struct sl_keeper *keeper;       /* NULL: nobody is to be told */
    _Atomic bool stop;              /* control stops the vehicle, then ends */
    _Atomic bool stop_sources;      /* camera and detect end */
    _Atomic bool warm;              /* a detection went all the way to the actuator */
    uint64_t started_ns;

    /* the polling thread's own */
    struct sl_settings live; /* with what was changed since the start */
    struct sl_bus_writer *state_writer;
    struct sl_bus_reader *actions;
    struct sl_bus_writer *output_writer;   /* NULL: no hardware outputs */
    struct sl_bus_writer *odometry_writer; /* NULL: they measure no speed */
    struct sl_output_status output_told;
    uint64_t odometry_ns; /* when the speed was measured that was published last */
    uint64_t action_id;
    uint32_t action_reason;
    uint64_t requests_sent;
    bool told_remote_drives;  /* what the log says at present */
    uint64_t remote_gone_ns;  /* since when the server should be driven by, and is not */
    uint32_t remote_troubles; /* those told since: bit by enum sl_remote_trouble */
};

/* The threads' mains; the argument is the struct sl_drive. Each ends soon
 * after drive->stop, without having published half a record. */
void *sl_camera_node_main(void *drive);
void *sl_detect_node_main(void *drive);
void *sl_detect_remote_node_main(void *drive); /* instead, if a server is asked */
void *sl_control_node_main(void *drive);

/* Tells the detect thread how the vehicle turns, by the control law's settings. */
void sl_control_node_tell_vehicle(struct sl_control_node *node);

/* What the detect thread saw of the newest frame. */
struct sl_look {
    bool usable;           /* `lane` was found in it: publish it */
    bool unusable;         /* the detector cannot take such frames */
    uint64_t published_ns; /* when it was published */
    struct sl_detection lane;
};

/* Takes up the camera's newest frame and looks for the lane in it, if there is a
 * detector. `attached` is the thread's own, 0 at first. 0; else what
 * sl_bus_acquire_newest() says, and `look` is all zero. */
int sl_detect_node_look(struct sl_drive *drive, uint64_t *attached, struct sl_look *look);

/* Says in the log, once each, what frames are like that cannot be used, and what
 * the thread waits for when frames do not come. `rc` as of sl_detect_node_look(). */
struct sl_look_log {
    bool told_unusable;
    uint64_t tell_ns; /* when to say what is waited for; 0: told */
};
void sl_detect_node_tell(struct sl_drive *drive, int rc, const struct sl_look *look,
                         struct sl_look_log *log);

/* Tells, once for each change, whether a server's lanes are driven by; and what was
 * asked of it in all. By the polling thread. */
void sl_remote_news(struct sl_drive *drive);
void sl_remote_sum_up(struct sl_drive *drive);

/* Publishes how hardware outputs are, at each change and five times a second, and the
 * speed that they measure. By the polling thread. */
void sl_output_news(struct sl_drive *drive);

/* Once a round, by the node's own thread: counts the round, begins to count faults
 * and allocations when the path is warm, and counts them. */
void sl_node_round(struct sl_drive *drive, struct sl_node_thread *thread);

/* Last, by the node's own thread: no more rounds are to be expected. */
void sl_node_end(struct sl_node_thread *thread);

#endif
