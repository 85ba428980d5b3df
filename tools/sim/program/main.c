/* skylane sim: the simulator as a program. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include <cjson/cJSON.h>

#include "rt/action.h"
#include "rt/bus.h"
#include "rt/cli.h"
#include "rt/clock.h"
#include "rt/outfile.h"
#include "tools/sim/program/beside.h"
#include "tools/sim/program/bridge.h"
#include "tools/sim/program/console.h"
#include "tools/sim/program/host.h"
#include "tools/sim/program/options.h"
#include "tools/sim/program/pictures.h"
#include "tools/sim/program/report.h"
#include "tools/sim/program/setup.h"
#include "tools/sim/program/stages.h"

#define LINE_NS (200 * SL_NS_PER_MS)

static void obey_key(const struct sl_settings *s, int key, const struct sl_state *state)
{
    enum sl_action_kind kind;
    switch (key) {
    case 'p':
        kind = state->mode == SL_MODE_PAUSED ? SL_ACTION_RESUME : SL_ACTION_PAUSE;
        break;
    case 'r':
        kind = SL_ACTION_RESPAWN;
        break;
    case 's':
        kind = SL_ACTION_STOP;
        break;
    case 'a':
        kind = SL_ACTION_ARM;
        break;
    default:
        return;
    }
    struct sl_error err = {0};
    if (sl_action_send(s->bus.action, s->bus.state, kind, 500, &err) != 0)
        sl_console_say(err.text);
}

/* The vehicle is ready when it publishes its state. */
static int await_vehicle(struct sim_beside *beside, struct sl_bus_reader *states,
                         struct sl_error *err)
{
    const uint64_t give_up = sl_clock_now_ns() + 20 * SL_NS_PER_S;
    while (sl_bus_wait(states, sl_clock_now_ns() + 50 * SL_NS_PER_MS) != 0) {
        const int rc = sim_beside_poll(beside, err);
        if (rc != 0)
            return rc;
        if (sl_cli_stop_wanted())
            return sl_error_set(err, -EINTR, "stopped before the vehicle was ready");
        if (sl_clock_now_ns() > give_up)
            return sl_error_set(err, -ETIMEDOUT, "the vehicle was not ready within 20 s");
    }
    return 0;
}

static void follow_detection(const struct sim_options *o, const struct sim_detection *detection)
{
    struct sl_error news;
    if (detection->stages != NULL)
        sl_stages_poll(detection->stages);
    if (o->shared_memory && sl_stages_news(detection->stages, &news))
        sl_console_say(news.text);
    if (detection->bridge != NULL && sl_bridge_news(detection->bridge, &news))
        sl_console_say(news.text);
}

/* Until the time is up, a key or signal ends it, or something fails. */
static int watch(struct sl_host *host, struct sim_beside *beside, struct sl_bus_reader *states,
                 const struct sim_options *o, const struct sl_settings *settings,
                 const struct sim_detection *detection, struct sl_error *err)
{
    struct sl_state state = {0};
    bool have_state = false;
    uint64_t next_line = 0;
    if (!o->headless)
        sl_console_open();
    int rc = 0;
    while (rc == 0 && !sl_cli_stop_wanted() && !sl_host_finished(host)) {
        sl_clock_sleep_until_ns(sl_clock_now_ns() + 20 * SL_NS_PER_MS);
        if (sl_bus_read_newest(states, &state, sizeof state, NULL) == 0)
            have_state = true;
        follow_detection(o, detection);
        rc = sim_beside_poll(beside, err);
        if (rc != 0 && sl_cli_stop_wanted()) /* it was told to stop, too */
            rc = 0;
        int key = sl_console_key();
        if (key == 'q')
            break;
        if (key != 0)
            obey_key(settings, key, &state);
        uint64_t now = sl_clock_now_ns();
        if (now >= next_line) {
            struct sl_host_status status;
            sl_host_status(host, &status);
            sl_console_line(&status, have_state ? &state : NULL);
            next_line = now + LINE_NS;
        }
    }
    sl_console_close();
    if (rc == 0 && sl_host_failure(host) != NULL)
        rc = sl_error_set(err, -EIO, "%s", sl_host_failure(host));
    return rc;
}

static int open_detection(struct sim_detection *detection, const struct sim_options *o,
                          const struct sl_settings *settings, struct sl_error *err)
{
    const struct sl_bridge_config bridge = {
        .settings = settings,
        .url = o->detector_url,
        .insecure = o->insecure > 0,
        .timeout_ns = (uint64_t)llround(o->detector_timeout_ms * (double)SL_NS_PER_MS),
        .jpeg_quality = (int)o->detector_jpeg,
        .lockstep = o->lockstep};
    int rc = 0;
    if (o->latency || o->shared_memory)
        rc = sl_stages_open(&detection->stages, settings, o->lockstep, err);
    if (rc == 0 && o->detector_url != NULL)
        rc = sl_bridge_open(&detection->bridge, &bridge, err);
    if (rc == 0 && detection->bridge != NULL)
        rc = sl_bridge_start(detection->bridge, err);
    return rc;
}

static int simulate(struct sim_options *o, const struct sl_settings *settings,
                    const struct sl_host_config *config, struct sl_error *err)
{
    const struct sl_bus_reader_config state_bus = {.name = settings->bus.state,
                                                   .type = SL_RECORD_STATE,
                                                   .min_bytes = sizeof(struct sl_state),
                                                   .writers = SL_BUS_WRITERS_ANY};
    static struct sl_host_status status;
    struct sl_host *host = NULL;
    struct sl_bus_reader *states = NULL;
    struct sim_beside beside = {.report_fd = -1};
    struct sim_detection detection = {0};
    char *vehicle_text = NULL;
    int rc = sl_host_open(&host, config, err);
    if (rc == 0)
        rc = open_detection(&detection, o, settings, err);
    if (rc == 0)
        rc = sl_bus_reader_open(&states, &state_bus, err);
    if (rc == 0 && o->drive)
        rc = sim_beside_start_vehicle(&beside, o, err);
    if (rc == 0 && o->drive)
        rc = await_vehicle(&beside, states, err);
    if (rc == 0)
        rc = sl_host_start(host, err);
    if (rc == 0)
        sim_beside_start_watching(&beside, o, settings);
    if (rc == 0)
        rc = watch(host, &beside, states, o, settings, &detection, err);
    if (host != NULL)
        sl_host_status(host, &status);
    /* The vehicle ends before the world does: it rolls out along the lane. */
    if (beside.vehicle != NULL) {
        struct sl_error vehicle_err = {0};
        vehicle_text = sim_beside_stop_vehicle(&beside, &vehicle_err);
        if (rc == 0 && vehicle_text == NULL)
            rc = sl_error_set(err, -EIO, "%s", vehicle_err.text);
    }
    sim_beside_close(&beside);
    if (rc == 0) {
        cJSON *report = sim_report_make(o, vehicle_text, &status, &detection, err);
        rc = report == NULL ? -EPROTO : 0;
        if (rc == 0 && !sim_reports_on_stdout(o))
            sim_report_print(o, report, &status, &detection);
        if (rc == 0 && o->json != NULL)
            rc = sim_report_write(report, o->json, err);
        if (rc == 0 && o->drive && !status.score.moved)
            rc = sl_error_set(err, -EIO, "it never drove");
        cJSON_Delete(report);
    }
    free(vehicle_text);
    sl_bus_reader_close(states);
    sl_bridge_close(detection.bridge);
    sl_stages_close(detection.stages);
    sl_host_close(host);
    return rc;
}

int main(int argc, char **argv)
{
    struct sim_options o;
    const int status = sim_options_read(argc, argv, &o);
    if (status != 0)
        return status < 0 ? SL_EXIT_OK : status;

    struct sl_error err = {0};
    static struct sl_settings settings;
    struct sl_host_config config;
    sl_cli_catch_stop();
    if (o.headless || sim_reports_on_stdout(&o))
        sl_console_silence();
    /* Not after an hour's drive. */
    int rc = o.json != NULL ? sl_outfile_check(o.json, &err) : 0;
    if (rc == 0)
        rc = sim_setup(&o, &settings, &config, &err);
    if (rc == 0)
        rc = o.pictures != NULL ? sl_pictures_write(o.pictures, (uint32_t)o.count, &config, &err)
                                : simulate(&o, &settings, &config, &err);
    if (rc == 0)
        return SL_EXIT_OK;
    fprintf(stderr, "skylane " SIM_VERB ": %s\n", err.text);
    return SL_EXIT_FAILED;
}
