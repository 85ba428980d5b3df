#include "app/drive/drive.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/config/convert.h"
#include "app/drive/actuator_config.h"
#include "app/drive/nodes.h"
#include "rt/clock.h"

void sl_node_round(struct sl_drive *drive, struct sl_node_thread *thread)
{
    atomic_fetch_add_explicit(&thread->rounds, 1, memory_order_relaxed);
    if (!thread->warm) {
        if (!atomic_load_explicit(&drive->warm, memory_order_relaxed))
            return;
        thread->warm = true;
        thread->faults_base = sl_memory_thread_faults();
        sl_memory_mark_thread(true);
    }
    atomic_store_explicit(&thread->faults, sl_memory_thread_faults() - thread->faults_base,
                          memory_order_relaxed);
}

void sl_node_end(struct sl_node_thread *thread)
{
    atomic_store_explicit(&thread->ended, true, memory_order_relaxed);
}

/* ---- opening ---- */

static bool frames_come_from_elsewhere(const struct sl_settings *s)
{
    return strcmp(s->camera.driver, "bus") == 0 && strcmp(s->camera.source, s->bus.camera) == 0;
}

static int open_reader(struct sl_bus_reader **reader, const struct sl_settings *settings,
                       const char *name, uint32_t type, size_t bytes, struct sl_error *err)
{
    const struct sl_bus_reader_config config = {.name = name,
                                                .type = type,
                                                .min_bytes = bytes,
                                                .realtime = true,
                                                .writers = sl_settings_bus_writers(settings)};
    return sl_bus_reader_open(reader, &config, err);
}

static int open_writer(struct sl_bus_writer **writer, const struct sl_settings *settings,
                       const char *name, uint32_t type, size_t bytes, struct sl_error *err)
{
    struct sl_bus_writer_config config = {
        .name = name, .type = type, .slot_count = SL_BUS_RECORD_SLOTS, .slot_bytes = bytes};
    sl_settings_bus_rights(settings, &config);
    return sl_bus_writer_open(writer, &config, err);
}

/* A camera in a process of its own is opened here for a moment: what is wrong with
 * it is told now, and not again and again by that process. */
static int try_camera(const struct sl_settings *s, struct sl_error *err)
{
    struct sl_camera_config config;
    struct sl_camera *camera;
    sl_source_config(s, &config);
    const int rc = sl_camera_open(&camera, &config, err);
    sl_camera_close(camera);
    return rc;
}

static int open_camera(struct sl_drive *d, struct sl_error *err)
{
    const struct sl_settings *s = d->settings;
    if (frames_come_from_elsewhere(s))
        return 0;
    if (sl_settings_camera_is_hardware(s) && s->camera.process)
        return try_camera(s, err);
    return sl_source_open(&d->camera.source, s, d->log, err);
}

/* The detector of this process, in locked memory. */
static int open_builtin(struct sl_drive *d, struct sl_error *err)
{
    const struct sl_settings *s = d->settings;
    struct sl_detect_config config;
    sl_settings_detect(s, &config);
    config.track = 1;
    int rc = sl_arena_open(&d->arena, sl_detector_size() + 4096, s->realtime.enable, err);
    if (rc != 0)
        return rc;
    d->detect.detector = sl_arena_take(&d->arena, sl_detector_size(), 64);
    struct sl_motion_config motion;
    sl_settings_motion(s, &motion);
    sl_motion_init(&d->detect.motion, &motion);
    rc = sl_detector_init(d->detect.detector, &config, err);
    return rc != 0 ? rc
                   : open_reader(&d->detect.odometry, s, s->bus.odometry, SL_RECORD_ODOMETRY,
                                 sizeof(struct sl_odometry), err);
}

static int open_remote(struct sl_drive *d, struct sl_error *err)
{
    const struct sl_settings *s = d->settings;
    if (d->lockstep)
        return sl_error_set(err, -EINVAL,
                            "lockstep waits for each frame's command, and detect.detector = zmq "
                            "for no answer: use skylane sim --detector-url there");
    const int rc = sl_remote_open(&d->detect.remote, s, d->insecure, err);
    return rc != 0 ? rc
                   : open_reader(&d->detect.answers, s, s->bus.remote, SL_RECORD_DETECTION,
                                 sizeof(struct sl_detection), err);
}

static int open_detector(struct sl_drive *d, struct sl_error *err)
{
    const struct sl_settings *s = d->settings;
    const bool remote = strcmp(s->detect.detector, "zmq") == 0;
    if (strcmp(s->detect.detector, "bus") == 0)
        return 0;
    int rc = remote ? open_remote(d, err) : 0;
    if (rc == 0 && (!remote || strcmp(s->detect.when_gone, "builtin") == 0))
        rc = open_builtin(d, err);
    if (rc == 0)
        rc = open_reader(&d->detect.reader, s, s->bus.camera, SL_RECORD_FRAME, 1, err);
    if (rc == 0)
        rc = open_writer(&d->detect.writer, s, s->bus.detection, SL_RECORD_DETECTION,
                         sizeof(struct sl_detection), err);
    return rc;
}

static int open_control(struct sl_drive *d, struct sl_error *err)
{
    const struct sl_settings *s = d->settings;
    struct sl_control_node *node = &d->control;
    struct sl_control_config control;
    struct sl_safety_config safety;
    struct sl_limits_config limits;
    sl_settings_control(s, &control);
    sl_settings_safety(s, &safety);
    sl_settings_limits(s, &limits);
    int rc = sl_control_init(&node->control, &control, err);
    sl_control_node_tell_vehicle(node);
    if (rc == 0)
        rc = sl_safety_init(&node->safety, &safety, 0, err);
    if (rc == 0)
        rc = sl_limits_init(&node->limits, &limits, err);
    if (rc == 0)
        rc = open_reader(&node->detections, s, s->bus.detection, SL_RECORD_DETECTION,
                         sizeof(struct sl_detection), err);
    if (rc == 0)
        rc = open_reader(&node->odometry, s, s->bus.odometry, SL_RECORD_ODOMETRY,
                         sizeof(struct sl_odometry), err);
    if (rc == 0 && s->safety.lease_ms > 0)
        rc = open_reader(&node->permits, s, s->bus.permit, SL_RECORD_PERMIT,
                         sizeof(struct sl_permit), err);
    if (rc == 0 && !d->lockstep &&
        (sl_settings_camera_is_hardware(s) || frames_come_from_elsewhere(s)))
        rc = open_reader(&node->cameras, s, s->bus.camera_status, SL_RECORD_CAMERA,
                         sizeof(struct sl_camera_status), err);
    struct sl_actuator_config actuator;
    struct sl_output_config output;
    sl_drive_actuator_config(s, &actuator, &output);
    actuator.log = d->log;
    if (rc == 0)
        rc = sl_actuator_open(&node->actuator, &actuator, err);
    return rc;
}

static int open_bridge(struct sl_drive *d, struct sl_error *err)
{
    const struct sl_settings *s = d->settings;
    const struct sl_bus_reader_config actions = {.name = s->bus.action,
                                                 .type = SL_RECORD_ACTION,
                                                 .min_bytes = sizeof(struct sl_action),
                                                 .writers = sl_settings_bus_writers(s)};
    int rc = open_writer(&d->state_writer, s, s->bus.state, SL_RECORD_STATE,
                         sizeof(struct sl_state), err);
    if (rc == 0)
        rc = sl_bus_reader_open(&d->actions, &actions, err);
    return rc;
}

/* Real inputs have no place in virtual time. */
static int refuse_hardware(const struct sl_settings *s, struct sl_error *err)
{
    const struct {
        bool set;
        const char *setting;
    } hardware[] = {{strcmp(s->watchdog.driver, "none") != 0, "watchdog.driver"},
                    {s->gpio.estop_line >= 0, "gpio.estop_line"},
                    {s->power.voltage_path[0] != '\0', "power.voltage_path"},
                    {s->power.throttled_path[0] != '\0', "power.throttled_path"}};
    for (size_t i = 0; i < sizeof hardware / sizeof hardware[0]; i++) {
        if (hardware[i].set)
            return sl_error_set(err, -EINVAL,
                                "in lockstep time is virtual, and safety hardware is not: leave "
                                "out %s",
                                hardware[i].setting);
    }
    return 0;
}

/* Before anything of it is armed the vehicle must be able to start. */
static int open_hardware(struct sl_drive *d, struct sl_error *err)
{
    int rc = sl_estop_open(&d->estop, d->settings, d->log, err);
    if (rc == 0)
        rc = sl_supply_watch_open(&d->supply, d->settings, d->control.actuator, d->log, err);
    d->control.supply = (struct sl_supply_verdict){.scale = 1, .voltage_v = NAN};
    return rc;
}

/* What hardware outputs tell goes to buses; of the devices, a VESC measures the speed,
 * which is taken if nobody else publishes one. */
static int open_output_news(struct sl_drive *d, struct sl_error *err)
{
    const struct sl_settings *s = d->settings;
    if (!sl_settings_outputs_are_hardware(s))
        return 0;
    const int rc = open_writer(&d->output_writer, s, s->bus.output_status, SL_RECORD_OUTPUT,
                               sizeof(struct sl_output_status), err);
    if (rc != 0 || strcmp(s->actuator.driver, "vesc") != 0)
        return rc;
    struct sl_error why;
    const int odometry_rc = open_writer(&d->odometry_writer, s, s->bus.odometry, SL_RECORD_ODOMETRY,
                                        sizeof(struct sl_odometry), &why);
    if (odometry_rc != -EBUSY)
        return odometry_rc == 0 ? 0 : sl_error_set(err, odometry_rc, "%s", why.text);
    /* Better sensors than the motor's rotations. */
    sl_log(d->log, SL_LOG_INFO, "the speed that the VESC measures is not used: {}",
           sl_log_copy(why.text));
    return 0;
}

/* Asks for what real time needs; what is not granted is told once, and the
 * vehicle runs without. */
static void ask_for_realtime(struct sl_drive *d)
{
    if (!d->settings->realtime.enable)
        return;
    struct sl_error lacks;
    if (sl_thread_may_fifo((int)d->settings->realtime.control_priority, &lacks) == 0)
        d->realtime |= SL_REALTIME_FIFO;
    else
        sl_log(d->log, SL_LOG_WARNING, "{}", sl_log_copy(lacks.text));
    if (sl_memory_lock(&lacks) == 0)
        d->realtime |= SL_REALTIME_MLOCK;
    else
        sl_log(d->log, SL_LOG_WARNING, "{}", sl_log_copy(lacks.text));
    if (d->detect.detector != NULL && !d->arena.huge_pages)
        sl_log(d->log, SL_LOG_WARNING,
               "memory lies on ordinary pages: no huge pages are free; reserve some with "
               "tools/setup --realtime");
}

int sl_drive_open(struct sl_drive **drive, const struct sl_settings *settings,
                  const struct sl_drive_options *options, struct sl_error *err)
{
    *drive = NULL;
    if (options->lockstep && sl_settings_outputs_are_hardware(settings))
        return sl_error_set(err, -EINVAL,
                            "lockstep is for simulators: actuator.driver must be bus or null");
    if (options->lockstep && settings->safety.lease_ms > 0)
        return sl_error_set(err, -EINVAL,
                            "in lockstep time is virtual, and a permission to drive is not: leave "
                            "out safety.lease_ms");
    int rc = options->lockstep ? refuse_hardware(settings, err) : 0;
    if (rc != 0)
        return rc;
    struct sl_drive *d = calloc(1, sizeof *d);
    if (d == NULL)
        return sl_error_set(err, -ENOMEM, "no memory for the control path");
    d->settings = settings;
    d->live = *settings;
    d->log = options->log;
    d->lockstep = options->lockstep;
    d->insecure = options->insecure;
    rc = open_bridge(d, err);
    if (rc == 0)
        rc = open_camera(d, err);
    if (rc == 0)
        rc = open_detector(d, err);
    if (rc == 0)
        rc = open_control(d, err);
    if (rc == 0)
        rc = open_hardware(d, err);
    if (rc == 0)
        rc = open_output_news(d, err);
    if (rc == 0) {
        ask_for_realtime(d);
        rc = sl_keeper_open(&d->keeper, d, err); /* last: it arms the watchdog */
    }
    if (rc != 0) {
        sl_drive_close(d);
        return rc;
    }
    *drive = d;
    return 0;
}

/* ---- running ---- */

static int start_thread(struct sl_drive *d, struct sl_node_thread *thread, const char *name,
                        int64_t priority, int64_t cpu, void *(*main)(void *), struct sl_error *err)
{
    const struct sl_thread_config config = {
        .name = name,
        .priority = (d->realtime & SL_REALTIME_FIFO) != 0 ? (int)priority : 0,
        .cpu = (int)cpu};
    return sl_thread_start(&thread->thread, &config, main, d, err);
}

/* Control first: while it stops the vehicle the others still feed it. */
static void stop_threads(struct sl_drive *d)
{
    atomic_store_explicit(&d->stop, true, memory_order_relaxed);
    sl_thread_join(&d->control.thread.thread);
    atomic_store_explicit(&d->stop_sources, true, memory_order_relaxed);
    sl_thread_join(&d->detect.thread.thread);
    if (d->detect.remote != NULL)
        sl_remote_stop(d->detect.remote);
    sl_thread_join(&d->camera.thread.thread);
}

/* The stop is read below control, which acts on it, and above what may keep a core
 * busy. */
static int start_hardware(struct sl_drive *d, struct sl_error *err)
{
    const int below = (int)d->settings->realtime.control_priority - 1;
    const bool fifo = (d->realtime & SL_REALTIME_FIFO) != 0;
    int rc = d->estop != NULL ? sl_estop_start(d->estop, fifo ? below : 0, err) : 0;
    if (rc == 0 && d->supply != NULL)
        rc = sl_supply_watch_start(d->supply, err);
    return rc;
}

int sl_drive_start(struct sl_drive *d, struct sl_error *err)
{
    const struct sl_settings *s = d->settings;
    d->started_ns = sl_clock_now_ns();
    d->control.state.started_ns = d->started_ns;
    sl_loop_init(&d->control.loop, (uint64_t)llround((double)SL_NS_PER_S / s->control.rate_hz),
                 (uint64_t)(s->control.deadline_us * (double)SL_NS_PER_US), d->started_ns);
    int rc = start_hardware(d, err);
    if (rc == 0)
        rc = start_thread(d, &d->control.thread, "sl-control", s->realtime.control_priority,
                          s->realtime.control_cpu, sl_control_node_main, err);
    if (rc == 0 && d->detect.reader != NULL)
        rc = start_thread(
            d, &d->detect.thread, "sl-detect", s->realtime.detect_priority, s->realtime.detect_cpu,
            d->detect.remote != NULL ? sl_detect_remote_node_main : sl_detect_node_main, err);
    if (rc == 0 && d->detect.remote != NULL)
        rc = sl_remote_start(d->detect.remote, err);
    if (rc == 0 && d->camera.source != NULL) {
        rc = sl_source_start(d->camera.source, err);
        if (rc == 0)
            rc = start_thread(d, &d->camera.thread, "sl-camera", s->realtime.camera_priority,
                              s->realtime.camera_cpu, sl_camera_node_main, err);
    }
    if (rc == 0 && d->keeper != NULL)
        rc = sl_keeper_start(d->keeper, err);
    if (rc != 0)
        stop_threads(d);
    return rc;
}

static uint32_t change_setting(struct sl_drive *d, const struct sl_action *action)
{
    char setting[SL_ACTION_SETTING_MAX];
    struct sl_error err;
    memcpy(setting, action->setting, sizeof setting);
    setting[sizeof setting - 1] = '\0';
    if (sl_settings_set_live(&d->live, setting, &err) != 0) {
        sl_log(d->log, SL_LOG_WARNING, "not set: {}", sl_log_copy(err.text));
        return SL_REASON_SETTING;
    }
    struct sl_tuning tuning;
    sl_settings_control(&d->live, &tuning.control);
    sl_settings_safety(&d->live, &tuning.safety);
    sl_latch_write(&d->control.tuning, &tuning, sizeof tuning);
    sl_log(d->log, SL_LOG_INFO, "set: {}", sl_log_copy(setting));
    return SL_REASON_NONE;
}

static void pass_request(struct sl_drive *d, const struct sl_action *action)
{
    if (sl_clock_now_ns() > action->expires_ns && !d->lockstep) {
        d->action_id = action->id;
        d->action_reason = SL_REASON_STALE_REQUEST;
        return;
    }
    if (action->kind == SL_ACTION_SET) {
        d->action_id = action->id;
        d->action_reason = change_setting(d, action);
        return;
    }
    const struct sl_request request = {.id = action->id, .kind = action->kind};
    sl_latch_write(&d->control.request, &request, sizeof request);
    d->requests_sent++;
}

void sl_drive_poll(struct sl_drive *d)
{
    struct sl_action action;
    /* One at a time: the next waits on its bus until this one was answered. */
    bool answered =
        d->requests_sent == atomic_load_explicit(&d->control.requests_taken, memory_order_acquire);
    if (answered && sl_bus_read_next(d->actions, &action, sizeof action, NULL) == 0)
        pass_request(d, &action);
    struct sl_state state;
    sl_drive_state(d, &state);
    sl_bus_write(d->state_writer, &state, sizeof state, state.published_ns);
    sl_remote_news(d);
    sl_actuator_tend(d->control.actuator);
    sl_output_news(d);
}

static void summarize(const struct sl_histogram *histogram, struct sl_stage_stats *out)
{
    out->count = sl_histogram_count(histogram);
    out->p50_us = (float)sl_histogram_quantile_ns(histogram, 0.5) / 1e3f;
    out->p90_us = (float)sl_histogram_quantile_ns(histogram, 0.9) / 1e3f;
    out->p99_us = (float)sl_histogram_quantile_ns(histogram, 0.99) / 1e3f;
    out->p999_us = (float)sl_histogram_quantile_ns(histogram, 0.999) / 1e3f;
    out->max_us = (float)sl_histogram_max_ns(histogram) / 1e3f;
}

static void describe_conditions(struct sl_drive *d, struct sl_state *state)
{
    struct sl_supply_verdict supply = {.voltage_v = NAN};
    if (sl_estop_is_pressed(d->estop))
        state->conditions |= SL_CONDITION_ESTOP;
    if (d->supply == NULL)
        return;
    while (!sl_supply_watch_read(d->supply, state->published_ns, &supply)) {
    }
    if (supply.voltage_v >= 0) /* a battery of more than 65 V is told as one of 65 */
        state->battery_mv = (uint16_t)fmax(1, fmin(lround(supply.voltage_v * 1e3), UINT16_MAX));
    if (supply.low)
        state->conditions |= SL_CONDITION_BATTERY_LOW;
    if (supply.empty)
        state->conditions |= SL_CONDITION_BATTERY_EMPTY;
    if (supply.under_voltage)
        state->conditions |= SL_CONDITION_UNDER_VOLTAGE;
    if (supply.throttled)
        state->conditions |= SL_CONDITION_THROTTLED;
}

void sl_drive_state(struct sl_drive *d, struct sl_state *state)
{
    struct sl_control_node *node = &d->control;
    sl_latch_read(&node->published, state, sizeof *state);
    state->published_ns = sl_clock_now_ns();
    state->started_ns = d->started_ns;
    state->deadline_misses = sl_loop_misses(&node->loop);
    state->page_faults = atomic_load_explicit(&d->camera.thread.faults, memory_order_relaxed) +
                         atomic_load_explicit(&d->detect.thread.faults, memory_order_relaxed) +
                         atomic_load_explicit(&node->thread.faults, memory_order_relaxed);
    state->allocations = sl_memory_marked_allocations();
    state->stop_count = atomic_load_explicit(&node->stop_count, memory_order_relaxed);
    state->realtime = d->realtime;
    if (d->arena.huge_pages &&
        atomic_load_explicit(&d->detect.frames_on_huge_pages, memory_order_relaxed))
        state->realtime |= SL_REALTIME_HUGEPAGES;
    describe_conditions(d, state);
    if (d->action_id > state->action_id) {
        state->action_id = d->action_id;
        state->action_reason = d->action_reason;
    }
    for (int i = 0; i < SL_STAGE_LOOP_LATENESS; i++)
        summarize(&node->stages[i], &state->stages[i]);
    summarize(&node->loop.lateness, &state->stages[SL_STAGE_LOOP_LATENESS]);
}

bool sl_drive_finished(const struct sl_drive *d)
{
    return atomic_load_explicit(&d->camera.finished, memory_order_relaxed);
}

uint64_t sl_drive_stops(struct sl_drive *d, uint32_t *reasons, uint32_t max)
{
    /* SYNC with the release in note_stop(). */
    uint64_t count = atomic_load_explicit(&d->control.stop_count, memory_order_acquire);
    for (uint64_t i = 0; i < count && i < max && i < SL_DRIVE_STOPS_MAX; i++)
        reasons[i] = atomic_load_explicit(&d->control.stop_reasons[i], memory_order_relaxed);
    return count;
}

bool sl_drive_remote(struct sl_drive *d, struct sl_drive_remote *remote)
{
    struct sl_detect_node *node = &d->detect;
    if (node->remote == NULL)
        return false;
    sl_remote_counts(node->remote, remote);
    remote->takeovers = atomic_load_explicit(&node->takeovers, memory_order_relaxed);
    remote->builtin_frames = atomic_load_explicit(&node->builtin_frames, memory_order_relaxed);
    return true;
}

void sl_drive_close(struct sl_drive *d)
{
    if (d == NULL)
        return;
    sl_keeper_stopping(d->keeper);
    stop_threads(d);
    sl_remote_sum_up(d);
    sl_supply_watch_close(d->supply); /* it may ask the actuator */
    sl_actuator_close(d->control.actuator);
    sl_keeper_close(d->keeper); /* the outputs are neutral: the watchdog may be disarmed */
    sl_estop_close(d->estop);
    sl_source_close(d->camera.source);
    sl_bus_reader_close(d->control.detections);
    sl_bus_reader_close(d->control.odometry);
    sl_bus_reader_close(d->control.permits);
    sl_bus_reader_close(d->control.cameras);
    sl_bus_reader_close(d->detect.reader);
    sl_bus_reader_close(d->detect.odometry);
    sl_bus_reader_close(d->detect.answers);
    sl_remote_close(d->detect.remote);
    sl_bus_reader_close(d->actions);
    sl_bus_writer_close(d->detect.writer);
    sl_bus_writer_close(d->state_writer);
    sl_bus_writer_close(d->output_writer);
    sl_bus_writer_close(d->odometry_writer);
    sl_arena_close(&d->arena);
    free(d);
}
