/* The three nodes of the control path, and what they share. Private to
 * app/drive. */
#ifndef SL_APP_DRIVE_NODES_H
#define SL_APP_DRIVE_NODES_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "app/config/settings.h"
#include "app/control/control.h"
#include "app/control/limits.h"
#include "app/control/safety.h"
#include "app/detect/detect.h"
#include "hal/actuator/actuator.h"
#include "hal/camera/camera.h"
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
};

struct sl_camera_node {
    struct sl_node_thread thread;
    struct sl_camera *camera; /* NULL: another process publishes the frames */
    struct sl_bus_writer *writer;
    _Atomic bool finished;
    _Atomic uint64_t faulty; /* frames that the source delivered broken */
};

struct sl_detect_node {
    struct sl_node_thread thread;
    struct sl_detector *detector; /* NULL: another process detects */
    struct sl_bus_reader *reader;
    struct sl_bus_writer *writer;
    _Atomic uint64_t frame_seen_ns; /* when the newest frame was taken up */
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
    struct sl_limited applied; /* what the actuator was told last */
    bool not_finite, actuator_failed;
    uint32_t missed;       /* deadlines, since the last step */
    struct sl_state state; /* being made, then latched */

    /* between threads */
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
    bool lockstep;
    uint32_t realtime; /* SL_REALTIME_FIFO, _MLOCK: what was granted */
    struct sl_arena arena;
    struct sl_camera_node camera;
    struct sl_detect_node detect;
    struct sl_control_node control;
    _Atomic bool stop;         /* control stops the vehicle, then ends */
    _Atomic bool stop_sources; /* camera and detect end */
    _Atomic bool warm;         /* a detection went all the way to the actuator */
    uint64_t started_ns;

    /* the polling thread's own */
    struct sl_settings live; /* with what was changed since the start */
    struct sl_bus_writer *state_writer;
    struct sl_bus_reader *actions;
    uint64_t action_id;
    uint32_t action_reason;
    uint64_t requests_sent;
};

/* The threads' mains; the argument is the struct sl_drive. Each ends soon
 * after drive->stop, without having published half a record. */
void *sl_camera_node_main(void *drive);
void *sl_detect_node_main(void *drive);
void *sl_control_node_main(void *drive);

/* Once a round, by the node's own thread: begins to count faults and
 * allocations when the path is warm, and counts. */
void sl_node_round(struct sl_drive *drive, struct sl_node_thread *thread);

#endif
