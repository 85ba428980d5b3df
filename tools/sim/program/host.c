#include "tools/sim/program/host.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/config/convert.h"
#include "rt/bus.h"
#include "rt/clock.h"
#include "rt/thread.h"

/* Lockstep's model of the time from exposure to command: a frame is ready and
 * its command acts this long after its exposure. Near what real time shows. */
#define LOCKSTEP_LATENCY_NS  (12 * SL_NS_PER_MS)
#define LOCKSTEP_START_NS    SL_NS_PER_S
#define LOCKSTEP_PATIENCE_NS (30 * SL_NS_PER_S)

struct sl_host {
    struct sl_host_config config;
    struct sl_sim *sim;
    struct sl_bus_writer *camera, *truth, *odometry;
    struct sl_bus_reader *command, *action;
    struct sl_thread thread;
    _Atomic bool stop, finished;
    _Atomic(const char *) failure;
    uint64_t period_ns;
    uint64_t begin_ns; /* simulated time of the first frame */

    struct sl_command acting; /* what the vehicle obeys */
    struct sl_command coming; /* read, but issued after the present moment */
    bool has_coming;

    pthread_mutex_t lock; /* guards status */
    struct sl_host_status status;
};

static int open_writer(struct sl_bus_writer **writer, const struct sl_settings *settings,
                       const char *name, uint32_t type, uint32_t slots, size_t bytes, bool huge,
                       struct sl_error *err)
{
    struct sl_bus_writer_config config = {
        .name = name, .type = type, .slot_count = slots, .slot_bytes = bytes, .huge_pages = huge};
    sl_settings_bus_rights(settings, &config);
    return sl_bus_writer_open(writer, &config, err);
}

int sl_host_open(struct sl_host **out, const struct sl_host_config *config, struct sl_error *err)
{
    *out = NULL;
    struct sl_host *host = calloc(1, sizeof *host);
    if (host == NULL)
        return sl_error_set(err, -ENOMEM, "no memory for the simulator");
    host->config = *config;
    host->period_ns = (uint64_t)llround((double)SL_NS_PER_S / config->rate_hz);
    pthread_mutex_init(&host->lock, NULL);
    const struct sl_settings *s = config->settings;
    const size_t frame_bytes = sl_frame_size_bytes(
        config->world.format, config->world.camera.width_px, config->world.camera.height_px);
    /* Anybody's: nothing moves that could hurt. */
    const struct sl_bus_reader_config command = {.name = s->bus.command,
                                                 .type = SL_RECORD_COMMAND,
                                                 .min_bytes = sizeof(struct sl_command),
                                                 .writers = SL_BUS_WRITERS_ANY};
    const struct sl_bus_reader_config action = {.name = s->bus.action,
                                                .type = SL_RECORD_ACTION,
                                                .min_bytes = sizeof(struct sl_action),
                                                .writers = SL_BUS_WRITERS_ANY};

    int rc = open_writer(&host->camera, s, s->bus.camera, SL_RECORD_FRAME, SL_BUS_FRAME_SLOTS,
                         frame_bytes == 0 ? 1 : frame_bytes, true, err);
    if (rc == 0)
        rc = open_writer(&host->truth, s, SL_BUS_TRUTH, SL_RECORD_TRUTH, SL_BUS_RECORD_SLOTS,
                         sizeof(struct sl_truth), false, err);
    if (rc == 0)
        rc = open_writer(&host->odometry, s, s->bus.odometry, SL_RECORD_ODOMETRY,
                         SL_BUS_RECORD_SLOTS, sizeof(struct sl_odometry), false, err);
    if (rc == 0)
        rc = sl_bus_reader_open(&host->command, &command, err);
    if (rc == 0)
        rc = sl_bus_reader_open(&host->action, &action, err);
    if (rc == 0) {
        /* Simulated time is the machine's own in real time, so that every
         * stamp can be compared with every other. */
        host->config.world.start_ns = config->lockstep ? LOCKSTEP_START_NS : 0;
        rc = sl_sim_create(&host->sim, &host->config.world, err);
    }
    if (rc != 0) {
        sl_host_close(host);
        return rc;
    }
    *out = host;
    return 0;
}

/* ---- commands ---- */

static bool next_command(struct sl_host *host)
{
    if (!host->has_coming)
        host->has_coming =
            sl_bus_read_next(host->command, &host->coming, sizeof host->coming, NULL) == 0;
    return host->has_coming;
}

/* Simulated time as the commands' stamps count it. */
static uint64_t now_of(const struct sl_host *host)
{
    return host->begin_ns + sl_sim_time_ns(host->sim) - host->config.world.start_ns;
}

/* Passes time up to `until_ns` under the acting command, which is obeyed only
 * while its lease runs: after it the vehicle brakes with straight wheels. */
static void pass_time(struct sl_host *host, uint64_t until_ns)
{
    uint64_t now = now_of(host);
    const struct sl_command *c = &host->acting;
    if (now < until_ns && now < c->expires_ns) {
        uint64_t leased = c->expires_ns < until_ns ? c->expires_ns : until_ns;
        sl_sim_step(host->sim, leased - now, (double)c->steering_rad, (double)c->speed_mps);
        now = leased;
    }
    if (now < until_ns)
        sl_sim_step(host->sim, until_ns - now, 0.0, 0.0);
}

static void advance(struct sl_host *host, uint64_t until_ns)
{
    while (next_command(host) && host->coming.issued_ns <= until_ns) {
        pass_time(host, host->coming.issued_ns);
        host->acting = host->coming;
        host->has_coming = false;
    }
    pass_time(host, until_ns);
}

static void obey_actions(struct sl_host *host)
{
    struct sl_action action;
    while (sl_bus_read_next(host->action, &action, sizeof action, NULL) == 0) {
        if (action.kind == SL_ACTION_RESPAWN)
            sl_sim_respawn(host->sim);
        else if (action.kind == SL_ACTION_PAUSE || action.kind == SL_ACTION_RESUME)
            sl_sim_hold(host->sim, action.kind == SL_ACTION_PAUSE);
    }
}

/* ---- frames ---- */

/* Draws and publishes the frame exposed now. Truth and odometry go first, so
 * that they are there when the frame wakes its readers. */
static void publish_frame(struct sl_host *host, uint64_t exposed_ns)
{
    struct sl_sim_exposure exposure;
    struct sl_odometry odometry;
    sl_sim_expose(host->sim, &exposure);
    exposure.truth.exposed_ns = exposed_ns;
    sl_sim_odometry(host->sim, &odometry);
    odometry.measured_ns = exposed_ns;
    sl_bus_write(host->odometry, &odometry, sizeof odometry, exposed_ns);
    sl_bus_write(host->truth, &exposure.truth, sizeof exposure.truth, exposed_ns);

    struct sl_bus_loan loan;
    sl_bus_loan(host->camera, &loan);
    struct sl_frame_info *info = loan.meta;
    if (sl_sim_render(host->sim, &exposure, loan.data, loan.capacity, info) != 0) {
        sl_bus_cancel(host->camera, &loan);
        atomic_store(&host->failure, "a frame did not fit its slot");
        return;
    }
    info->exposed_ns = exposed_ns;
    info->received_ns =
        host->config.lockstep ? exposed_ns + LOCKSTEP_LATENCY_NS : sl_clock_now_ns();
    sl_bus_publish(host->camera, &loan, info->size_bytes, exposed_ns);

    pthread_mutex_lock(&host->lock);
    host->status.seconds = (double)(exposed_ns - host->begin_ns) / 1e9;
    host->status.frames++;
    host->status.truth = exposure.truth;
    sl_tracking_score_add(&host->status.score, &exposure.truth);
    pthread_mutex_unlock(&host->lock);
}

/* Waits until the newest frame's command is there. It stays in `coming` until
 * its time has come. */
static bool await_command(struct sl_host *host, uint64_t frame_id)
{
    const uint64_t give_up = sl_clock_now_ns() + LOCKSTEP_PATIENCE_NS;
    while (!atomic_load_explicit(&host->stop, memory_order_relaxed)) {
        if (next_command(host)) {
            if (host->coming.frame_id >= frame_id)
                return true;
            host->has_coming = false;
            continue;
        }
        uint64_t now = sl_clock_now_ns();
        if (now > give_up && !(host->config.detector_elsewhere && frame_id == 1)) {
            atomic_store(&host->failure,
                         host->config.detector_elsewhere
                             ? "no command came for 30 s; are the detector (skylane detect) and "
                               "\"skylane run --lockstep\" running?"
                             : "no command came for 30 s; is \"skylane run --lockstep\" running?");
            return false;
        }
        sl_bus_wait(host->command, now + 50 * SL_NS_PER_MS);
    }
    return false;
}

static bool over(const struct sl_host *host, uint64_t frame)
{
    return atomic_load_explicit(&host->stop, memory_order_relaxed) ||
           atomic_load_explicit(&host->failure, memory_order_relaxed) != NULL ||
           (host->config.seconds > 0 &&
            (double)(frame * host->period_ns) / 1e9 >= host->config.seconds) ||
           (host->config.laps > 0 && host->status.truth.laps >= host->config.laps);
}

static void run_lockstep(struct sl_host *host)
{
    host->begin_ns = LOCKSTEP_START_NS;
    for (uint64_t k = 0; !over(host, k); k++) {
        uint64_t exposed_ns = host->begin_ns + k * host->period_ns;
        obey_actions(host);
        advance(host, exposed_ns);
        publish_frame(host, exposed_ns);
        if (!await_command(host, k + 1))
            return;
    }
}

static void run_realtime(struct sl_host *host)
{
    host->begin_ns = sl_clock_now_ns();
    uint64_t k = 0;
    while (!over(host, k)) {
        uint64_t exposed_ns = host->begin_ns + k * host->period_ns;
        sl_clock_sleep_until_ns(exposed_ns);
        obey_actions(host);
        advance(host, exposed_ns);
        publish_frame(host, exposed_ns);
        /* A picture that took longer than a period costs the next ones: the
         * newest matters, not all. */
        uint64_t due = (sl_clock_now_ns() - host->begin_ns) / host->period_ns;
        if (due > k) {
            pthread_mutex_lock(&host->lock);
            host->status.late_frames += due - k;
            pthread_mutex_unlock(&host->lock);
            k = due;
        }
        k++;
    }
}

static void *host_main(void *argument)
{
    struct sl_host *host = argument;
    if (host->config.lockstep)
        run_lockstep(host);
    else
        run_realtime(host);
    atomic_store_explicit(&host->finished, true, memory_order_release);
    return NULL;
}

int sl_host_start(struct sl_host *host, struct sl_error *err)
{
    const struct sl_thread_config config = {
        .name = "sl-world", .cpu = -1, .stack_bytes = (size_t)1 << 20};
    return sl_thread_start(&host->thread, &config, host_main, host, err);
}

void sl_host_status(struct sl_host *host, struct sl_host_status *status)
{
    pthread_mutex_lock(&host->lock);
    *status = host->status;
    pthread_mutex_unlock(&host->lock);
}

bool sl_host_finished(const struct sl_host *host)
{
    return atomic_load_explicit(&host->finished, memory_order_acquire);
}

const char *sl_host_failure(const struct sl_host *host)
{
    return atomic_load(&host->failure);
}

void sl_host_stop(struct sl_host *host)
{
    atomic_store_explicit(&host->stop, true, memory_order_relaxed);
    sl_thread_join(&host->thread);
}

void sl_host_close(struct sl_host *host)
{
    if (host == NULL)
        return;
    sl_host_stop(host);
    sl_bus_reader_close(host->command);
    sl_bus_reader_close(host->action);
    sl_bus_writer_close(host->camera);
    sl_bus_writer_close(host->truth);
    sl_bus_writer_close(host->odometry);
    sl_sim_destroy(host->sim);
    pthread_mutex_destroy(&host->lock);
    free(host);
}
