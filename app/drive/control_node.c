/* The control thread: sleeps until a detection comes or a tick is due, decides,
 * tells the actuator. The law asks, safety allows, limits have the last word. */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "app/drive/nodes.h"
#include "rt/clock.h"

#define ODOMETRY_FRESH_NS (200 * SL_NS_PER_MS)
#define SHUTDOWN_NS       (3 * SL_NS_PER_S) /* for the vehicle to come to a stand */

static void take_detection(struct sl_control_node *node, uint64_t now_ns)
{
    if (node->lane_seen_ns != 0 && node->lane.frame_id > node->last_frame_id)
        node->state.frames_dropped += node->lane.frame_id - node->last_frame_id - 1;
    node->last_frame_id = node->lane.frame_id;
    node->lane_seen_ns = now_ns;
    node->state.frames++;
}

static void take_odometry(struct sl_control_node *node, uint64_t now_ns)
{
    struct sl_odometry motion;
    if (sl_bus_read_newest(node->odometry, &motion, sizeof motion, NULL) != 0)
        return;
    /* Its age counts from the measurement: what arrives late is old. */
    node->motion = motion;
    node->motion_seen_ns = motion.measured_ns < now_ns ? motion.measured_ns : now_ns;
}

/* Nothing is read where no permission is needed. */
static void take_permit(struct sl_control_node *node)
{
    if (node->permits != NULL)
        (void)sl_bus_read_newest(node->permits, &node->permit, sizeof node->permit, NULL);
}

static void take_camera(struct sl_control_node *node)
{
    struct sl_camera_status status;
    if (node->cameras != NULL &&
        sl_bus_read_newest(node->cameras, &status, sizeof status, NULL) == 0)
        node->camera_trouble = status.trouble;
}

/* Half written: the next tick will see it. */
static void take_supply(struct sl_drive *drive, uint64_t now_ns)
{
    if (drive->supply != NULL)
        (void)sl_supply_watch_read(drive->supply, now_ns, &drive->control.supply);
}

/* Measured where something measures, else what was last asked for. */
static double speed_now(const struct sl_control_node *node, uint64_t now_ns)
{
    if (node->motion_seen_ns != 0 && now_ns - node->motion_seen_ns <= ODOMETRY_FRESH_NS &&
        (node->motion.valid & SL_ODOMETRY_SPEED) != 0 && isfinite(node->motion.speed_mps))
        return (double)node->motion.speed_mps;
    return node->applied.speed_mps;
}

static bool steering_is_measured(const struct sl_control_node *node, uint64_t now_ns)
{
    return node->motion_seen_ns != 0 && now_ns - node->motion_seen_ns <= ODOMETRY_FRESH_NS &&
           (node->motion.valid & SL_ODOMETRY_STEERING) != 0 && isfinite(node->motion.steering_rad);
}

static void answer_request(struct sl_drive *drive, const struct sl_safety_input *in)
{
    struct sl_control_node *node = &drive->control;
    struct sl_request request;
    uint64_t count;
    if (!sl_latch_try_read(&node->request, &request, sizeof request, &count) ||
        count == atomic_load_explicit(&node->requests_taken, memory_order_relaxed))
        return; /* none, or half written: the next tick will see it */
    enum sl_reason reason = SL_REASON_NONE;
    if (request.kind == SL_ACTION_RESPAWN) {
        /* The simulator puts the vehicle elsewhere: what was seen is void. */
        sl_control_reset(&node->control);
        atomic_store_explicit(&drive->detect.reset, true, memory_order_release);
    } else {
        reason = sl_safety_request(&node->safety, request.kind, in);
    }
    node->state.action_id = request.id;
    node->state.action_reason = reason;
    atomic_store_explicit(&node->requests_taken, count, memory_order_release);
}

/* A setting was changed: between two steps, all of it at once. */
void sl_control_node_tell_vehicle(struct sl_control_node *node)
{
    const struct sl_control_config *c = &node->control.config;
    atomic_store_explicit(&node->understeer_rads2pm, (float)c->understeer_rads2pm,
                          memory_order_relaxed);
    atomic_store_explicit(&node->rear_slip_rads2pm, (float)c->rear_slip_rads2pm,
                          memory_order_relaxed);
}

static void take_tuning(struct sl_control_node *node)
{
    struct sl_tuning tuning;
    uint64_t count;
    if (!sl_latch_try_read(&node->tuning, &tuning, sizeof tuning, &count) ||
        count == node->tunings_taken)
        return; /* none, or half written: the next tick will see it */
    node->tunings_taken = count;
    node->control.config = tuning.control;
    node->safety.config = tuning.safety;
    sl_control_node_tell_vehicle(node);
}

static void note_stop(struct sl_drive *drive, uint32_t reason)
{
    struct sl_control_node *node = &drive->control;
    uint64_t n = atomic_load_explicit(&node->stop_count, memory_order_relaxed);
    if (n < SL_DRIVE_STOPS_MAX)
        atomic_store_explicit(&node->stop_reasons[n], reason, memory_order_relaxed);
    /* SYNC with the acquire in sl_drive_stops(). */
    atomic_store_explicit(&node->stop_count, n + 1, memory_order_release);
    sl_log(drive->log, reason == SL_REASON_SHUTDOWN ? SL_LOG_INFO : SL_LOG_WARNING, "safe stop: {}",
           sl_log_text(sl_reason_text(reason)));
}

/* What the law asks for under what safety allows. */
static struct sl_wish decide(struct sl_control_node *node, const struct sl_safety_input *in,
                             const struct sl_safety_output *allowed, uint64_t now_ns,
                             struct sl_control_output *law)
{
    const bool lane_good = node->safety.bad_since_ns == 0 && node->lane_seen_ns != 0;
    const bool stopping = allowed->mode == SL_MODE_PAUSED || allowed->mode == SL_MODE_SAFE_STOP;
    const bool moving = fabs(in->speed_mps) > node->safety.config.standing_mps;
    struct sl_wish wish = {.decided_ns = now_ns,
                           .steering_rad = node->applied.steering_rad,
                           .neutral = allowed->neutral};
    const bool measured = steering_is_measured(node, now_ns);
    const struct sl_control_input input = {
        .now_ns = now_ns,
        .lane = &node->lane,
        .speed_mps = in->speed_mps,
        .steering_rad = measured ? (double)node->motion.steering_rad : node->applied.steering_rad,
        .steering_measured = measured,
        .hold = allowed->lane_bad,
        .speed_scale = allowed->speed_scale};
    *law = (struct sl_control_output){.steering_rad = wish.steering_rad};
    /* A stop in a bend must not run straight on: while it rolls out it is
     * steered along the lane for as long as the lane is good. */
    bool rolling_out = stopping && moving && lane_good;
    if (!allowed->neutral || rolling_out)
        sl_control_step(&node->control, &input, law);
    else
        sl_control_reset(&node->control);

    node->not_finite = !isfinite(law->steering_rad) || !isfinite(law->speed_mps);
    if (node->not_finite) {
        wish.neutral = true;
        return wish;
    }
    if (rolling_out) {
        wish.neutral = false;
        wish.steering_rad = law->steering_rad;
        wish.speed_mps = 0.0;
    } else if (!allowed->neutral) {
        wish.steering_rad = law->steering_rad;
        wish.speed_mps = law->speed_mps;
    }
    return wish;
}

static void send(struct sl_drive *drive, uint64_t now_ns, const struct sl_safety_output *allowed)
{
    struct sl_control_node *node = &drive->control;
    const uint64_t lease_ns =
        (uint64_t)(drive->settings->safety.command_lease_ms * (double)SL_NS_PER_MS);
    const struct sl_command command = {.frame_id = node->lane.frame_id,
                                       .exposed_ns = node->lane.exposed_ns,
                                       .received_ns = node->lane.received_ns,
                                       .issued_ns = now_ns,
                                       .expires_ns = now_ns + lease_ns,
                                       .steering_rad = (float)node->applied.steering_rad,
                                       .speed_mps = (float)node->applied.speed_mps,
                                       .mode = allowed->mode};
    node->actuator_failed = sl_actuator_send(node->actuator, &command, now_ns) != 0;
}

static void publish_state(struct sl_drive *drive, const struct sl_safety_output *allowed,
                          const struct sl_control_output *law, double speed_mps)
{
    struct sl_control_node *node = &drive->control;
    struct sl_state *state = &node->state;
    state->mode = allowed->mode;
    state->stop_reason = allowed->stop_reason;
    state->lane_state = node->lane.state;
    state->confidence = node->lane.confidence;
    state->lateral_offset_m = node->lane.lateral_offset_m;
    state->heading_error_rad = node->lane.heading_error_rad;
    state->curvature_1pm = node->lane.curvature_1pm;
    state->steering_rad = (float)node->applied.steering_rad;
    state->speed_command_mps = (float)node->applied.speed_mps;
    state->speed_mps = (float)speed_mps;
    state->detection_age_ms = (float)(law->age_s * 1e3);
    sl_latch_write(&node->published, state, sizeof *state);
}

/* After the command of a fresh detection. What a detector elsewhere found before
 * this vehicle started has waited for it, and says nothing about latency. */
static void note_latency(struct sl_drive *drive, uint64_t woken_ns)
{
    struct sl_control_node *node = &drive->control;
    const struct sl_detection *lane = &node->lane;
    if (lane->exposed_ns < drive->started_ns)
        return;
    const uint64_t sent_ns = sl_clock_now_ns();
    const uint64_t from[] = {lane->received_ns, lane->started_ns, lane->finished_ns,
                             lane->received_ns};
    const uint64_t to[] = {lane->started_ns, lane->finished_ns, woken_ns, sent_ns};
    for (int i = 0; i < SL_STAGE_LOOP_LATENESS; i++)
        sl_histogram_add(&node->stages[i], to[i] > from[i] ? to[i] - from[i] : 0);
}

static void step(struct sl_drive *drive, uint64_t now_ns, bool fresh, uint64_t woken_ns)
{
    struct sl_control_node *node = &drive->control;
    take_odometry(node, now_ns);
    take_permit(node);
    take_camera(node);
    take_supply(drive, now_ns);
    take_tuning(node);
    const struct sl_safety_input in = {
        .now_ns = now_ns,
        .frame_ns = drive->lockstep
                        ? now_ns
                        : atomic_load_explicit(&drive->detect.frame_seen_ns, memory_order_relaxed),
        .detection_ns = node->lane_seen_ns,
        .detection_exposed_ns = node->lane.exposed_ns,
        .lane_state = node->lane.state,
        .confidence = (double)node->lane.confidence,
        .speed_mps = speed_now(node, now_ns),
        .deadlines_missed = node->missed,
        .not_finite = node->not_finite,
        .actuator_failed = node->actuator_failed,
        .camera_trouble = node->camera_trouble,
        .detector_counts_frames = drive->detect.reader != NULL,
        .permitted_ns = node->permit.issued_ns,
        .permitted_until_ns = node->permit.expires_ns,
        .estop_pressed =
            drive->estop != NULL && sl_estop_pressed(drive->estop, &node->presses_seen),
        .battery_empty = node->supply.empty,
        .supply_scale = node->supply.scale,
    };
    answer_request(drive, &in);
    /* The last command's lease ran out before this one: the thread was held
     * up, and the vehicle has gone to its safe values meanwhile. Driving on
     * from where it was would be a jump. */
    if (sl_actuator_poll(node->actuator, now_ns) == -ETIME && node->safety.mode == SL_MODE_DRIVING)
        sl_safety_stop(&node->safety, SL_REASON_DEADLINE);
    struct sl_safety_output allowed;
    sl_safety_step(&node->safety, &in, &allowed);
    if (allowed.stopped_now)
        note_stop(drive, allowed.stop_reason);

    struct sl_control_output law;
    const struct sl_wish wish = decide(node, &in, &allowed, now_ns, &law);
    sl_limits_apply(&node->limits, now_ns, &wish, &node->applied);
    atomic_store_explicit(&node->asked_steering_rad, (float)node->applied.steering_rad,
                          memory_order_relaxed);
    send(drive, now_ns, &allowed);
    if (fresh && !drive->lockstep)
        note_latency(drive, woken_ns);
    if (fresh && !node->actuator_failed)
        atomic_store_explicit(&drive->warm, true, memory_order_relaxed);
    publish_state(drive, &allowed, &law, in.speed_mps);
}

static void run_lockstep(struct sl_drive *drive)
{
    struct sl_control_node *node = &drive->control;
    while (!atomic_load_explicit(&drive->stop, memory_order_relaxed)) {
        struct sl_detection lane;
        sl_node_round(drive, &node->thread);
        if (sl_bus_wait(node->detections, sl_clock_now_ns() + 20 * SL_NS_PER_MS) != 0 ||
            sl_bus_read_next(node->detections, &lane, sizeof lane, NULL) != 0)
            continue;
        node->lane = lane;
        uint64_t now_ns = node->lane.received_ns; /* virtual time: the frame's */
        take_detection(node, now_ns);
        step(drive, now_ns, true, now_ns);
    }
}

/* One tick, or one detection, whichever is first. */
static void round_realtime(struct sl_drive *drive)
{
    struct sl_control_node *node = &drive->control;
    struct sl_detection lane;
    sl_bus_wait(node->detections, node->loop.next_ns);
    const uint64_t now_ns = sl_clock_now_ns();
    const bool fresh = sl_bus_read_newest(node->detections, &lane, sizeof lane, NULL) == 0;
    const bool due = now_ns >= node->loop.next_ns;
    if (due) {
        const uint64_t before = sl_loop_misses(&node->loop);
        sl_loop_begin(&node->loop, now_ns);
        node->missed = (uint32_t)(sl_loop_misses(&node->loop) - before);
    }
    if (!fresh && !due)
        return; /* woken by a writer that closed */
    if (fresh) {
        node->lane = lane;
        take_detection(node, now_ns);
    }
    step(drive, now_ns, fresh, now_ns);
    node->missed = 0;
    sl_node_round(drive, &node->thread);
}

static void run_realtime(struct sl_drive *drive)
{
    struct sl_control_node *node = &drive->control;
    while (!atomic_load_explicit(&drive->stop, memory_order_relaxed))
        round_realtime(drive);
    /* A program that is told to end while it drives stops the vehicle first,
     * along the lane, as any safe stop does. */
    sl_safety_stop(&node->safety, SL_REASON_SHUTDOWN);
    const uint64_t give_up_ns = sl_clock_now_ns() + SHUTDOWN_NS;
    while (node->applied.speed_mps > 0.0 && sl_clock_now_ns() < give_up_ns)
        round_realtime(drive);
}

void *sl_control_node_main(void *argument)
{
    struct sl_drive *drive = argument;
    if (drive->lockstep)
        run_lockstep(drive);
    else
        run_realtime(drive);
    sl_actuator_neutral(drive->control.actuator, sl_clock_now_ns());
    sl_node_end(&drive->control.thread);
    return NULL;
}
