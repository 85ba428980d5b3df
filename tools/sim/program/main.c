/* skylane sim: the simulator as a program. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "app/config/convert.h"
#include "app/config/options.h"
#include "net/detect_client.h"
#include "rt/action.h"
#include "rt/bus.h"
#include "rt/cli.h"
#include "rt/clock.h"
#include "rt/outfile.h"
#include "tools/sim/program/bridge.h"
#include "tools/sim/program/child.h"
#include "tools/sim/program/console.h"
#include "tools/sim/program/host.h"
#include "tools/sim/program/pictures.h"
#include "tools/sim/program/stages.h"

#define VERB    "sim"
#define LINE_NS (200 * SL_NS_PER_MS)
#define OWN_MAX 4 /* settings that options of this program stand for */

#define DETECTOR_TIMEOUT_MS   200
#define DETECTOR_JPEG_QUALITY 80 /* where frames leave the machine */

static const char HELP[] =
    "skylane sim - road, vehicle and camera, closed loop\n"
    "\n"
    "Publishes " SL_BUS_CAMERA ", " SL_BUS_ODOMETRY " and " SL_BUS_TRUTH "; obeys " SL_BUS_COMMAND
    ".\n"
    "\n"
    "usage: skylane sim [options]\n"
    "\n"
    "  --drive              start the vehicle (skylane run) beside it; report of both\n"
    "  --track NAME|FILE    %s (city)\n"
    "  --seed N             texture, shadows, wear, noise, start (1)\n"
    "  --light L            day, dusk, night, glare, rain (day)\n"
    "  --wear W             worn markings, 0 new to 1 nearly gone (0)\n"
    "  --lockstep           virtual time: each frame waits for its command; same seed,\n"
    "                       same drive, same report, on any machine\n"
    "  --seconds N          end after N seconds of simulated time; without: at Ctrl-C\n"
    "  --laps N             end after N laps\n"
    "  --json FILE          report at the end (- : standard output)\n"
    "  --headless           no live line, no keys\n"
    "  --rate HZ            frames a second (60)\n"
    "  --format F           NV12, BGR24 or GRAY8 (the settings')\n"
    "  --no-noise           ideal sensor\n"
    "  --config FILE        settings of vehicle and camera; without: the track's own\n"
    "                       (board/sim/lab.ini for lab, board/sim/skylane.ini else)\n"
    "  -o SECTION.KEY=VALUE one setting, also for the vehicle beside it\n"
    "  --shared-memory      another process detects, over buses: skylane detect\n"
    "  --image-shm-name NAME      bus of the frames (bus.camera: " SL_BUS_CAMERA ")\n"
    "  --detection-shm-name NAME  bus of the lanes (bus.detection: " SL_BUS_DETECTION ")\n"
    "  --detector-url URL   another machine detects, over ZMQ: skylane detect --port 5556;\n"
    "                       tcp://HOST:PORT\n"
    "  --detector-jpeg QUALITY  how frames go there: 1 to 100 as JPEG, 0 as they are (80; 0 on\n"
    "                       this machine: localhost, 127.x.x.x, [::1])\n"
    "  --detector-timeout MS  give up a frame not answered by then (200)\n"
    "  --latency            tell where the time went, stage by stage, at the end\n"
    "  --pictures DIR       instead of driving: pictures along the lane as JPEG, and quit\n"
    "  --count N            how many of them (20)\n"
    "  --help, --version\n"
    "\n"
    "keys while it runs in a terminal: p pause/resume, r respawn, s stop, a arm, q quit\n"
    "\n"
    "examples:\n"
    "  skylane sim --drive --track nasty --light night\n"
    "  skylane sim --drive --lockstep --track city --seed 3 --seconds 60 --json report.json\n"
    "  skylane sim & skylane run --config board/sim/skylane.ini\n"
    "  skylane detect --config board/sim/skylane.ini & skylane sim --drive --shared-memory\n"
    "  skylane sim --drive --detector-url tcp://192.168.1.20:5556 --latency\n"
    "\n"
    "exit status: 0, 1 (failed), 2 (misuse)\n";

struct options {
    const char *track, *json, *format, *pictures;
    struct sl_settings_options settings;
    struct sl_settings_options own; /* of these, what other options stand for */
    const char *image_bus, *detection_bus, *detector_url;
    double detector_timeout_ms; /* 0: not given */
    int64_t detector_jpeg;      /* -1: not given */
    bool shared_memory, latency;
    int64_t seed, count, laps;
    enum sl_sim_light light;
    double wear, seconds, rate_hz;
    bool drive, lockstep, headless, no_noise;
};

/* Where tracks and settings lie: under the prefix of an installation, found
 * from the program's own folder; else beside the sources of a build tree. */
static char installed_tracks[4096], installed_boards[4096];
static const char *const TRACK_DIRS[] = {installed_tracks, SL_SOURCE_TRACKS};
static const char *const BOARD_DIRS[] = {installed_boards, SL_SOURCE_BOARDS};

static void find_installation(void)
{
    char bin[2048];
    if (sl_cli_program_dir(bin, sizeof bin) != 0)
        bin[0] = '\0';
    snprintf(installed_tracks, sizeof installed_tracks, "%s/../share/skylane/tracks", bin);
    snprintf(installed_boards, sizeof installed_boards, "%s/../share/skylane/board", bin);
}

/* ---- setting up ---- */

static int default_settings_file(const char *track_path, char *path, size_t size,
                                 struct sl_error *err)
{
    const char *slash = strrchr(track_path, '/');
    const char *track = slash == NULL ? track_path : slash + 1;
    const char *file = strcmp(track, "lab.ini") == 0 ? "lab.ini" : "skylane.ini";
    for (size_t i = 0; i < 2; i++) {
        int n = snprintf(path, size, "%s/sim/%s", BOARD_DIRS[i], file);
        if (n > 0 && (size_t)n < size && access(path, R_OK) == 0)
            return 0;
    }
    return sl_error_set(err, -ENOENT, "the simulator's settings (sim/%s) are not in %s nor in %s",
                        file, BOARD_DIRS[0], BOARD_DIRS[1]);
}

/* Another process detects: what it publishes is what the vehicle steers by. */
static bool detects_elsewhere(const struct options *o)
{
    return o->shared_memory || o->detector_url != NULL;
}

/* Options of this program that are settings of the vehicle, too. They come
 * after the user's own -o, and so have the last word. */
static int add_own(struct options *o, struct sl_error *err)
{
    static char texts[OWN_MAX - 1][SL_SETTINGS_TEXT_MAX + 32];
    const struct {
        const char *key, *value;
    } own[] = {{"bus.camera", o->image_bus},
               {"camera.source", o->image_bus},
               {"bus.detection", o->detection_bus}};
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) {
        if (own[i].value == NULL)
            continue;
        const int n = snprintf(texts[i], sizeof texts[i], "%s=%s", own[i].key, own[i].value);
        if (n < 0 || (size_t)n >= sizeof texts[i])
            return sl_error_set(err, -EINVAL, "a bus name has at most %d characters",
                                SL_BUS_NAME_MAX);
        sl_settings_options_add(&o->own, texts[i], err);
    }
    if (detects_elsewhere(o))
        sl_settings_options_add(&o->own, "detect.detector=bus", err);
    return 0;
}

static int prepare(struct options *o, struct sl_settings *settings, struct sl_host_config *config,
                   char *track_path, size_t path_size, struct sl_error *err)
{
    static char own_settings[4096];
    int rc = sl_track_find(o->track, TRACK_DIRS, 2, track_path, path_size, err);
    if (rc == 0 && o->settings.file_count == 0) {
        rc = default_settings_file(track_path, own_settings, sizeof own_settings, err);
        sl_settings_options_add_file(&o->settings, own_settings, err);
    }
    if (rc == 0)
        rc = add_own(o, err);
    if (rc == 0)
        rc = sl_settings_options_read(&o->settings, settings, err);
    if (rc == 0)
        rc = sl_settings_options_apply(&o->settings, settings, err);
    if (rc == 0)
        rc = sl_settings_options_apply(&o->own, settings, err);
    if (rc == 0)
        rc = sl_settings_check(settings, err);
    if (rc != 0)
        return rc;

    *config = (struct sl_host_config){.settings = settings,
                                      .rate_hz = o->rate_hz,
                                      .seconds = o->seconds,
                                      .laps = (uint32_t)o->laps,
                                      .lockstep = o->lockstep,
                                      .detector_elsewhere =
                                          strcmp(settings->detect.detector, "bus") == 0};
    struct sl_sim_config *world = &config->world;
    sl_sim_config_default(world);
    world->track_path = track_path;
    world->seed = (uint64_t)o->seed;
    world->light = o->light;
    world->wear = o->wear;
    world->noise = !o->no_noise;
    world->format = sl_frame_format_parse(o->format != NULL ? o->format : settings->camera.format);
    sl_settings_calibration(settings, &world->camera);
    sl_vehicle_parameters_for_wheelbase(&world->vehicle, settings->vehicle.wheelbase_m);
    world->vehicle.steering_max_rad = settings->vehicle.steering_max_rad;
    world->vehicle.accel_max_mps2 = settings->vehicle.accel_max_mps2;
    world->vehicle.decel_max_mps2 = settings->vehicle.decel_max_mps2;
    world->vehicle.speed_max_mps = settings->vehicle.speed_max_mps;
    return 0;
}

static int start_vehicle(struct sl_child *child, const struct options *o, struct sl_error *err)
{
    const char *arguments[2 * (2 * SL_SETTINGS_OPTIONS_MAX + OWN_MAX) + 8];
    const struct sl_settings_options *const all[] = {&o->settings, &o->own};
    int n = 0;
    arguments[n++] = "--quiet";
    if (o->lockstep)
        arguments[n++] = "--lockstep";
    for (int i = 0; i < o->settings.file_count; i++) {
        arguments[n++] = "--config";
        arguments[n++] = o->settings.files[i];
    }
    for (size_t k = 0; k < sizeof all / sizeof all[0]; k++) {
        for (int i = 0; i < all[k]->assignment_count; i++) {
            arguments[n++] = "-o";
            arguments[n++] = all[k]->assignments[i];
        }
    }
    arguments[n] = NULL;
    return sl_child_start(child, arguments, err);
}

/* The vehicle is ready when it publishes its state. */
static int await_vehicle(struct sl_child *child, struct sl_bus_reader *states, struct sl_error *err)
{
    const uint64_t give_up = sl_clock_now_ns() + 20 * SL_NS_PER_S;
    while (sl_bus_wait(states, sl_clock_now_ns() + 50 * SL_NS_PER_MS) != 0) {
        struct sl_error why = {0};
        if (!sl_child_running(child, &why))
            return sl_error_set(err, -ECHILD, "%s; its reason stands above", why.text);
        if (sl_cli_stop_wanted())
            return sl_error_set(err, -EINTR, "stopped before the vehicle was ready");
        if (sl_clock_now_ns() > give_up)
            return sl_error_set(err, -ETIMEDOUT, "the vehicle was not ready within 20 s");
    }
    return 0;
}

/* ---- report ---- */

static void put(cJSON *report, const char *key, cJSON *value)
{
    cJSON_DeleteItemFromObject(report, key);
    cJSON_AddItemToObject(report, key, value);
}

static double rounded(double value, double unit)
{
    return round(value / unit) * unit;
}

/* What follows detection where it happens elsewhere; NULL where not. */
struct detection {
    struct sl_bridge *bridge;
    struct sl_stages *stages;
};

static const struct sl_bridge_times *bridge_times(const struct detection *detection)
{
    return detection->bridge == NULL ? NULL : sl_bridge_times(detection->bridge);
}

static void add_remote(cJSON *report, const struct options *o, struct sl_bridge *bridge)
{
    struct sl_bridge_status remote;
    sl_bridge_status(bridge, &remote);
    cJSON *to = cJSON_AddObjectToObject(report, "remote_detection");
    cJSON_AddStringToObject(to, "url", o->detector_url);
    cJSON_AddNumberToObject(to, "jpeg_quality", (double)o->detector_jpeg);
    if (!o->lockstep) { /* how often it asked before somebody was there is the machine's */
        cJSON_AddNumberToObject(to, "asked", (double)remote.asked);
        cJSON_AddNumberToObject(to, "asked_bytes", (double)remote.bytes);
        cJSON_AddNumberToObject(to, "unasked", (double)remote.unasked);
        cJSON_AddNumberToObject(to, "given_up", (double)remote.given_up);
        cJSON_AddNumberToObject(to, "late", (double)remote.late);
    }
    cJSON_AddNumberToObject(to, "answered", (double)remote.answered);
    cJSON_AddNumberToObject(to, "refused", (double)remote.refused);
}

/* The vehicle's own report, completed with what only the world knows. In
 * lockstep, whatever depends on the wall clock is left out, so that two runs
 * of one seed agree to the byte. */
static cJSON *make_report(const struct options *o, const char *child_text,
                          const struct sl_host_status *status, const struct detection *detection,
                          struct sl_error *err)
{
    static const char *const WALL_CLOCK[] = {"latency_us",
                                             "deadline_misses",
                                             "loop_lateness_us",
                                             "page_faults_after_start",
                                             "allocations_after_start",
                                             "realtime",
                                             "fps"};
    cJSON *report = child_text == NULL ? cJSON_CreateObject() : cJSON_Parse(child_text);
    if (report == NULL) {
        sl_error_set(err, -EPROTO, "the vehicle's report is not JSON");
        return NULL;
    }
    const struct sl_tracking_score *score = &status->score;
    put(report, "seconds", cJSON_CreateNumber(rounded(status->seconds, 1e-3)));
    if (child_text == NULL)
        put(report, "frames", cJSON_CreateNumber((double)status->frames));
    const cJSON *frames = cJSON_GetObjectItem(report, "frames");
    double fps = status->seconds > 0 && cJSON_GetNumberValue(frames) > 0
                     ? (cJSON_GetNumberValue(frames) - 1) / status->seconds
                     : 0;
    put(report, "fps", cJSON_CreateNumber(rounded(fps, 0.01)));
    put(report, "laps", cJSON_CreateNumber(score->laps));
    cJSON *error = cJSON_CreateObject();
    cJSON_AddNumberToObject(error, "mean_abs", rounded(sl_tracking_score_mean_m(score), 1e-6));
    cJSON_AddNumberToObject(error, "p95_abs", rounded(sl_tracking_score_p95_m(score), 1e-6));
    cJSON_AddNumberToObject(error, "max_abs", rounded(score->max_abs_m, 1e-6));
    put(report, "lateral_error_m", error);
    put(report, "departures", cJSON_CreateNumber(score->departures));
    put(report, "late_frames", cJSON_CreateNumber((double)status->late_frames));
    put(report, "distance_m", cJSON_CreateNumber(rounded(status->truth.progress_m, 1e-3)));
    put(report, "track", cJSON_CreateString(o->track));
    put(report, "seed", cJSON_CreateNumber((double)o->seed));
    put(report, "light", cJSON_CreateString(sl_sim_light_name(o->light)));
    put(report, "wear", cJSON_CreateNumber(o->wear));
    put(report, "lockstep", cJSON_CreateBool(o->lockstep));
    if (o->lockstep) {
        for (size_t i = 0; i < sizeof WALL_CLOCK / sizeof WALL_CLOCK[0]; i++)
            cJSON_DeleteItemFromObject(report, WALL_CLOCK[i]);
        cJSON_DeleteItemFromObject(report, "late_frames");
    }
    if (detection->bridge != NULL)
        add_remote(report, o, detection->bridge);
    if (o->latency)
        put(report, "stages_ms", sl_stages_json(detection->stages, bridge_times(detection)));
    return report;
}

static int write_report(cJSON *report, const char *path, struct sl_error *err)
{
    struct sl_outfile *file;
    char *text = cJSON_Print(report);
    int rc = text != NULL ? sl_outfile_open(&file, path, err)
                          : sl_error_set(err, -ENOMEM, "no memory for the report");
    if (rc == 0) {
        fprintf(sl_outfile_stream(file), "%s\n", text);
        rc = sl_outfile_finish(file, err);
    }
    free(text);
    return rc;
}

static double percentile(const cJSON *report, const char *group, const char *stage,
                         const char *figure)
{
    const cJSON *item = cJSON_GetObjectItem(report, group);
    if (stage != NULL)
        item = cJSON_GetObjectItem(item, stage);
    return cJSON_GetNumberValue(cJSON_GetObjectItem(item, figure));
}

static double number(const cJSON *report, const char *key)
{
    return cJSON_GetNumberValue(cJSON_GetObjectItem(report, key));
}

static void print_detection(const struct options *o, const struct detection *detection)
{
    if (detection->bridge != NULL) {
        struct sl_bridge_status remote;
        sl_bridge_status(detection->bridge, &remote);
        printf("  remote detection  %" PRIu64 " frames answered, %" PRIu64
               " given up after %.0f ms, %" PRIu64 " while no server was connected, %" PRIu64
               " refused\n",
               remote.answered, remote.given_up, o->detector_timeout_ms, remote.unasked,
               remote.refused);
        if (remote.asked > 0) {
            printf("  frames went       ");
            if (o->detector_jpeg > 0)
                printf("as JPEG of quality %d", (int)o->detector_jpeg);
            else
                printf("as they are");
            printf(", %.0f kB each\n", (double)remote.bytes / (double)remote.asked / 1e3);
        }
    }
    if (o->latency)
        sl_stages_print(detection->stages, bridge_times(detection), stdout);
}

static void print_summary(const struct options *o, const cJSON *report,
                          const struct sl_host_status *status)
{
    const struct sl_tracking_score *score = &status->score;
    printf("\n%.1f s on %s, %.0f m, %u laps, %.1f frames a second\n", status->seconds,
           cJSON_GetStringValue(cJSON_GetObjectItem(report, "track")),
           (double)status->truth.progress_m, score->laps,
           status->seconds > 0 ? (double)(status->frames - 1) / status->seconds : 0.0);
    printf("  lateral error     mean %.3f m   p95 %.3f m   max %.3f m   departures %u\n",
           sl_tracking_score_mean_m(score), sl_tracking_score_p95_m(score), score->max_abs_m,
           score->departures);
    if (cJSON_HasObjectItem(report, "latency_us") && number(report, "frames") > 0)
        printf("  camera->actuator  p50 %.0f us   p99 %.0f us   max %.0f us\n"
               "  control ticks     p50 %.0f us   p99 %.0f us   max %.0f us late, "
               "%.0f deadlines missed\n"
               "  after start       %.0f page faults, %.0f allocations, %.0f frames dropped\n",
               percentile(report, "latency_us", "camera_to_actuator", "p50"),
               percentile(report, "latency_us", "camera_to_actuator", "p99"),
               percentile(report, "latency_us", "camera_to_actuator", "max"),
               percentile(report, "loop_lateness_us", NULL, "p50"),
               percentile(report, "loop_lateness_us", NULL, "p99"),
               percentile(report, "loop_lateness_us", NULL, "max"),
               number(report, "deadline_misses"), number(report, "page_faults_after_start"),
               number(report, "allocations_after_start"), number(report, "frames_dropped"));
    if (cJSON_HasObjectItem(report, "mode") && number(report, "frames") == 0)
        puts(detects_elsewhere(o) ? "  the vehicle got no lane: nobody detected"
                                  : "  the vehicle saw no frame: its warnings stand above");
    else if (cJSON_HasObjectItem(report, "mode") && !score->moved)
        printf("  the vehicle did not move: it is %s\n",
               cJSON_GetStringValue(cJSON_GetObjectItem(report, "mode")));
    const cJSON *stop;
    cJSON_ArrayForEach(stop, cJSON_GetObjectItem(report, "stops"))
        printf("  safe stop         %s\n", cJSON_GetStringValue(stop));
}

/* ---- running ---- */

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

/* A sentence to the user, which must not get into a report on standard output. */
static void say(const struct options *o, const struct sl_error *what)
{
    if (o->headless || (o->json != NULL && strcmp(o->json, "-") == 0))
        fprintf(stderr, "skylane " VERB ": %s\n", what->text);
    else
        sl_console_say(what->text);
}

static void follow_detection(const struct options *o, const struct detection *detection)
{
    struct sl_error news;
    if (detection->stages != NULL)
        sl_stages_poll(detection->stages);
    if (o->shared_memory && sl_stages_news(detection->stages, &news))
        say(o, &news);
    if (detection->bridge != NULL && sl_bridge_news(detection->bridge, &news))
        say(o, &news);
}

/* Until the time is up, a key or signal ends it, or something fails. */
static int watch(struct sl_host *host, struct sl_child *child, struct sl_bus_reader *states,
                 const struct options *o, const struct sl_settings *settings,
                 const struct detection *detection, struct sl_error *err)
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
        if (o->drive) {
            struct sl_error why = {0};
            if (!sl_child_running(child, &why) && !sl_cli_stop_wanted())
                rc = sl_error_set(err, -ECHILD, "%s", why.text);
        }
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

static int open_detection(struct detection *detection, const struct options *o,
                          const struct sl_settings *settings, struct sl_error *err)
{
    const struct sl_bridge_config bridge = {
        .settings = settings,
        .url = o->detector_url,
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

static int simulate(struct options *o, const struct sl_settings *settings,
                    const struct sl_host_config *config, struct sl_error *err)
{
    const struct sl_bus_reader_config state_bus = {.name = settings->bus.state,
                                                   .type = SL_RECORD_STATE,
                                                   .min_bytes = sizeof(struct sl_state),
                                                   .writers = SL_BUS_WRITERS_ANY};
    static struct sl_host_status status;
    struct sl_host *host = NULL;
    struct sl_bus_reader *states = NULL;
    struct sl_child child = {.report_fd = -1};
    struct detection detection = {0};
    char *child_text = NULL;
    int rc = sl_host_open(&host, config, err);
    if (rc == 0)
        rc = open_detection(&detection, o, settings, err);
    if (rc == 0)
        rc = sl_bus_reader_open(&states, &state_bus, err);
    if (rc == 0 && o->drive)
        rc = start_vehicle(&child, o, err);
    if (rc == 0 && o->drive)
        rc = await_vehicle(&child, states, err);
    if (rc == 0)
        rc = sl_host_start(host, err);
    if (rc == 0)
        rc = watch(host, &child, states, o, settings, &detection, err);
    if (host != NULL)
        sl_host_status(host, &status);
    /* The vehicle ends before the world does: it rolls out along the lane. */
    if (child.report_fd >= 0) {
        struct sl_error child_err = {0};
        child_text = sl_child_stop(&child, &child_err);
        if (rc == 0 && child_text == NULL)
            rc = sl_error_set(err, -EIO, "%s", child_err.text);
    }
    if (rc == 0) {
        cJSON *report = make_report(o, child_text, &status, &detection, err);
        rc = report == NULL ? -EPROTO : 0;
        if (rc == 0 && (o->json == NULL || strcmp(o->json, "-") != 0)) {
            print_summary(o, report, &status);
            print_detection(o, &detection);
        }
        if (rc == 0 && o->json != NULL)
            rc = write_report(report, o->json, err);
        if (rc == 0 && o->drive && !status.score.moved)
            rc = sl_error_set(err, -EIO, "it never drove");
        cJSON_Delete(report);
    }
    free(child_text);
    sl_bus_reader_close(states);
    sl_bridge_close(detection.bridge);
    sl_stages_close(detection.stages);
    sl_host_close(host);
    return rc;
}

static void print_help(void)
{
    char tracks[256];
    sl_track_names(TRACK_DIRS, 2, tracks, sizeof tracks);
    printf(HELP, tracks); /* the one %s in it */
}

/* What does not go together. 0, or an exit status after a sentence. */
static int check_options(struct options *o)
{
    if (o->shared_memory && o->detector_url != NULL)
        return sl_cli_misuse(VERB, "--shared-memory and --detector-url are two ways to have lanes "
                                   "detected elsewhere: leave out one");
    if (o->detector_timeout_ms > 0 && o->detector_url == NULL)
        return sl_cli_misuse(VERB, "--detector-timeout is for --detector-url, which is missing");
    if (o->pictures != NULL && (detects_elsewhere(o) || o->latency))
        return sl_cli_misuse(VERB, "--pictures draws and quits, nobody detects: leave out %s",
                             o->shared_memory  ? "--shared-memory"
                             : o->detector_url ? "--detector-url"
                                               : "--latency");
    if (o->detector_jpeg >= 0 && o->detector_url == NULL)
        return sl_cli_misuse(VERB, "--detector-jpeg is for --detector-url, which is missing");
    if (o->detector_jpeg < 0 && o->detector_url != NULL)
        o->detector_jpeg = sl_detect_client_is_local(o->detector_url) ? 0 : DETECTOR_JPEG_QUALITY;
    if (o->detector_timeout_ms == 0)
        o->detector_timeout_ms = DETECTOR_TIMEOUT_MS;
    return 0;
}

/* 0, or an exit status after a message. -1: told what was asked, exit with 0. */
static int read_options(int argc, char **argv, struct options *o)
{
    enum {
        OPT_DRIVE = 256,
        OPT_TRACK,
        OPT_SEED,
        OPT_LIGHT,
        OPT_WEAR,
        OPT_LOCKSTEP,
        OPT_SECONDS,
        OPT_LAPS,
        OPT_JSON,
        OPT_HEADLESS,
        OPT_RATE,
        OPT_FORMAT,
        OPT_NO_NOISE,
        OPT_CONFIG,
        OPT_PICTURES,
        OPT_COUNT,
        OPT_SHARED_MEMORY,
        OPT_IMAGE_BUS,
        OPT_DETECTION_BUS,
        OPT_DETECTOR_URL,
        OPT_DETECTOR_TIMEOUT,
        OPT_DETECTOR_JPEG,
        OPT_LATENCY
    };
    static const struct option OPTIONS[] = {
        {"drive", no_argument, NULL, OPT_DRIVE},
        {"track", required_argument, NULL, OPT_TRACK},
        {"seed", required_argument, NULL, OPT_SEED},
        {"light", required_argument, NULL, OPT_LIGHT},
        {"wear", required_argument, NULL, OPT_WEAR},
        {"lockstep", no_argument, NULL, OPT_LOCKSTEP},
        {"seconds", required_argument, NULL, OPT_SECONDS},
        {"laps", required_argument, NULL, OPT_LAPS},
        {"json", required_argument, NULL, OPT_JSON},
        {"headless", no_argument, NULL, OPT_HEADLESS},
        {"rate", required_argument, NULL, OPT_RATE},
        {"format", required_argument, NULL, OPT_FORMAT},
        {"no-noise", no_argument, NULL, OPT_NO_NOISE},
        {"config", required_argument, NULL, OPT_CONFIG},
        {"pictures", required_argument, NULL, OPT_PICTURES},
        {"count", required_argument, NULL, OPT_COUNT},
        {"shared-memory", no_argument, NULL, OPT_SHARED_MEMORY},
        {"image-shm-name", required_argument, NULL, OPT_IMAGE_BUS},
        {"detection-shm-name", required_argument, NULL, OPT_DETECTION_BUS},
        {"detector-url", required_argument, NULL, OPT_DETECTOR_URL},
        {"detector-timeout", required_argument, NULL, OPT_DETECTOR_TIMEOUT},
        {"detector-jpeg", required_argument, NULL, OPT_DETECTOR_JPEG},
        {"latency", no_argument, NULL, OPT_LATENCY},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},
        {0},
    };
    struct sl_error err = {0};
    int answer;
    opterr = 0;
    while ((answer = getopt_long(argc, argv, ":o:hV", OPTIONS, NULL)) != -1) {
        int rc = 0;
        switch (answer) {
        case 'o':
            rc = sl_settings_options_add(&o->settings, optarg, &err);
            break;
        case OPT_CONFIG:
            rc = sl_settings_options_add_file(&o->settings, optarg, &err);
            break;
        case OPT_DRIVE:
            o->drive = true;
            break;
        case OPT_TRACK:
            o->track = optarg;
            break;
        case OPT_SEED:
            rc = sl_cli_integer(optarg, "--seed", 0, INT64_C(1) << 53, &o->seed, &err);
            break;
        case OPT_LIGHT:
            rc = sl_sim_light_parse(optarg, &o->light, &err);
            break;
        case OPT_WEAR:
            rc = sl_cli_number(optarg, "--wear", 0, 1, &o->wear, &err);
            break;
        case OPT_LOCKSTEP:
            o->lockstep = true;
            break;
        case OPT_SECONDS:
            rc = sl_cli_number(optarg, "--seconds", 0.1, 1e7, &o->seconds, &err);
            break;
        case OPT_LAPS:
            rc = sl_cli_integer(optarg, "--laps", 1, 1000000, &o->laps, &err);
            break;
        case OPT_JSON:
            o->json = optarg;
            break;
        case OPT_HEADLESS:
            o->headless = true;
            break;
        case OPT_RATE:
            rc = sl_cli_number(optarg, "--rate", 1, 240, &o->rate_hz, &err);
            break;
        case OPT_FORMAT:
            o->format = optarg;
            if (strcasecmp(optarg, "NV12") != 0 && strcasecmp(optarg, "BGR24") != 0 &&
                strcasecmp(optarg, "GRAY8") != 0)
                rc =
                    sl_error_set(&err, -EINVAL, "--format is NV12, BGR24 or GRAY8, not %s", optarg);
            break;
        case OPT_NO_NOISE:
            o->no_noise = true;
            break;
        case OPT_PICTURES:
            o->pictures = optarg;
            break;
        case OPT_COUNT:
            rc = sl_cli_integer(optarg, "--count", 1, 100000, &o->count, &err);
            break;
        case OPT_SHARED_MEMORY:
            o->shared_memory = true;
            break;
        case OPT_IMAGE_BUS:
            o->image_bus = optarg;
            break;
        case OPT_DETECTION_BUS:
            o->detection_bus = optarg;
            break;
        case OPT_DETECTOR_URL:
            o->detector_url = optarg;
            break;
        case OPT_DETECTOR_TIMEOUT:
            rc = sl_cli_number(optarg, "--detector-timeout", 1, 60000, &o->detector_timeout_ms,
                               &err);
            break;
        case OPT_DETECTOR_JPEG:
            rc = sl_cli_integer(optarg, "--detector-jpeg", 0, 100, &o->detector_jpeg, &err);
            break;
        case OPT_LATENCY:
            o->latency = true;
            break;
        case 'h':
            print_help();
            return -1;
        case 'V':
            puts("skylane-" VERB " " SL_VERSION);
            return -1;
        default:
            return sl_cli_bad_option(VERB, answer, argv, OPTIONS);
        }
        if (rc != 0)
            return sl_cli_misuse(VERB, "%s", err.text);
    }
    if (optind < argc)
        return sl_cli_bad_operand(VERB, argv[optind]);
    return check_options(o);
}

int main(int argc, char **argv)
{
    struct options o = {.track = "city",
                        .seed = 1,
                        .count = 20,
                        .light = SL_SIM_DAY,
                        .rate_hz = 60,
                        .detector_jpeg = -1};
    find_installation();
    int status = read_options(argc, argv, &o);
    if (status != 0)
        return status < 0 ? SL_EXIT_OK : status;

    struct sl_error err = {0};
    static struct sl_settings settings;
    struct sl_host_config config;
    char track_path[4096];
    sl_cli_catch_stop();
    /* Not after an hour's drive. */
    int rc = o.json != NULL ? sl_outfile_check(o.json, &err) : 0;
    if (rc == 0)
        rc = prepare(&o, &settings, &config, track_path, sizeof track_path, &err);
    if (rc == 0)
        rc = o.pictures != NULL ? sl_pictures_write(o.pictures, (uint32_t)o.count, &config, &err)
                                : simulate(&o, &settings, &config, &err);
    if (rc == 0)
        return SL_EXIT_OK;
    fprintf(stderr, "skylane " VERB ": %s\n", err.text);
    return SL_EXIT_FAILED;
}
