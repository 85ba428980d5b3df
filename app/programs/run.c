/* skylane run: the control path, wired as the settings say. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "app/config/options.h"
#include "app/control/tracking_score.h"
#include "app/drive/drive.h"
#include "rt/bus.h"
#include "rt/cli.h"
#include "rt/clock.h"
#include "rt/memory.h"
#include "rt/outfile.h"
#include "run_camera.h"
#include "run_log.h"
#include "run_net.h"

#define VERB    "run"
#define POLL_NS (20 * SL_NS_PER_MS)
#define LINE_NS (250 * SL_NS_PER_MS)

static const char HELP[] =
    "skylane run - drive: camera, lane detection, control, actuator\n"
    "\n"
    "usage: skylane run [options]\n"
    "\n"
    "  --config FILE           settings file; may be given several times, later ones win\n"
    "                          (without: " SL_SETTINGS_SYSTEM_FILE " if it exists, else defaults)\n"
    "  -o SECTION.KEY=VALUE    one setting; may be given several times\n"
    "  --camera DRIVER[:SOURCE] short for -o camera.driver= and -o camera.source=\n"
    "  --detector builtin|bus|zmq  detect here, let another process do it, or ask a server\n"
    "                          (skylane detect --port 5556) over the network\n"
    "  --detector-url URL      zmq: where that is, tcp://HOST:PORT\n"
    "  --detector-timeout MS   zmq: an answer later than this counts no more, and the built-in\n"
    "                          detector takes over (two of the camera's periods); with\n"
    "                          -o detect.when_gone=stop the vehicle stops instead\n"
    "  --seconds N             stop after N seconds; without: at Ctrl-C\n"
    "  --json FILE             write a report at the end (- : standard output)\n"
    "  --lockstep              virtual time, for simulators that wait for each command\n"
    "  --quiet                 no live line, only warnings and errors\n"
    "  --insecure              network without keys, for benches; twice: beyond this machine\n"
    "  --help, --version\n"
    "\n"
    "Starts \"skylane net\" beside it, so that it can be watched; not with --lockstep nor with\n"
    "--camera file, and not with -o net.start=no.\n"
    "\n"
    "examples:\n"
    "  skylane sim &                                    # in one terminal\n"
    "  skylane run --config board/sim/skylane.ini       # in another\n"
    "  skylane run --detector zmq --detector-url tcp://192.168.1.20:5556\n"
    "  skylane run --camera file:pictures/ --seconds 10 -o actuator.driver=null --json -\n"
    "\n"
    "exit status: 0, 1 (failed, or ended in a safe stop), 2 (misuse)\n";

struct options {
    struct sl_settings_options settings;
    const char *camera;
    const char *detector, *detector_url, *detector_timeout;
    const char *json;
    double seconds; /* 0: until told to stop */
    bool lockstep;
    bool quiet;
    int insecure; /* how often it was said */
};

/* ---- settings ---- */

static int read_settings(struct sl_settings *settings, const struct options *o,
                         struct sl_error *err)
{
    int rc = sl_settings_options_read(&o->settings, settings, err);
    if (rc == 0 && o->camera != NULL)
        rc = sl_settings_set_camera(settings, o->camera, err);
    const struct {
        const char *key, *value;
    } detector[] = {{"detect.detector", o->detector},
                    {"detect.url", o->detector_url},
                    {"detect.timeout_ms", o->detector_timeout}};
    for (size_t i = 0; i < sizeof detector / sizeof detector[0]; i++) {
        if (rc == 0 && detector[i].value != NULL)
            rc = sl_settings_set_value(settings, detector[i].key, detector[i].value,
                                       strlen(detector[i].value), err);
    }
    if (rc == 0)
        rc = sl_settings_options_apply(&o->settings, settings, err);
    return rc;
}

/* Which options of the command line need one another is told as misuse; the settings
 * file may hold either. 0, or the exit status. */
static int check_options(const struct options *o, const struct sl_settings *settings)
{
    const bool asks = strcmp(settings->detect.detector, "zmq") == 0;
    if (asks && settings->detect.url[0] == '\0')
        return sl_cli_misuse(VERB,
                             "nobody is there to ask: tell with --detector-url where the detection "
                             "server is, for example --detector-url tcp://192.168.1.20:5556");
    if (!asks && o->detector_url != NULL)
        return sl_cli_misuse(VERB, "--detector-url is for --detector zmq, which is missing");
    if (!asks && o->detector_timeout != NULL)
        return sl_cli_misuse(VERB, "--detector-timeout is for --detector zmq, which is missing");
    return 0;
}

/* ---- report ---- */

static void add_stage(cJSON *to, const char *name, const struct sl_stage_stats *stage)
{
    cJSON *o = cJSON_AddObjectToObject(to, name);
    const struct {
        const char *key;
        float us;
    } figures[] = {{"p50", stage->p50_us},
                   {"p99", stage->p99_us},
                   {"p999", stage->p999_us},
                   {"max", stage->max_us}};
    for (size_t i = 0; i < sizeof figures / sizeof figures[0]; i++) {
        if (stage->count == 0)
            cJSON_AddNullToObject(o, figures[i].key);
        else
            cJSON_AddNumberToObject(o, figures[i].key, round((double)figures[i].us * 1e3) / 1e3);
    }
}

static void add_tracking(cJSON *to, const struct sl_tracking_score *score)
{
    if (score->frames == 0) { /* nobody knows the truth on a real road */
        cJSON_AddNullToObject(to, "laps");
        cJSON_AddNullToObject(to, "lateral_error_m");
        cJSON_AddNullToObject(to, "departures");
        return;
    }
    cJSON_AddNumberToObject(to, "laps", score->laps);
    cJSON *error = cJSON_AddObjectToObject(to, "lateral_error_m");
    cJSON_AddNumberToObject(error, "mean_abs", sl_tracking_score_mean_m(score));
    cJSON_AddNumberToObject(error, "p95_abs", sl_tracking_score_p95_m(score));
    cJSON_AddNumberToObject(error, "max_abs", score->max_abs_m);
    cJSON_AddNumberToObject(to, "departures", score->departures);
}

static void add_stops(cJSON *to, struct sl_drive *drive)
{
    uint32_t reasons[256];
    uint64_t count = sl_drive_stops(drive, reasons, 256);
    cJSON *stops = cJSON_AddArrayToObject(to, "stops");
    for (uint64_t i = 0; i < count && i < 256; i++)
        cJSON_AddItemToArray(stops, cJSON_CreateString(sl_reason_name(reasons[i])));
}

static void add_remote(cJSON *to, struct sl_drive *drive)
{
    struct sl_drive_remote remote;
    if (!sl_drive_remote(drive, &remote)) {
        cJSON_AddNullToObject(to, "remote_detection");
        return;
    }
    cJSON *o = cJSON_AddObjectToObject(to, "remote_detection");
    cJSON_AddNumberToObject(o, "timeout_ms", (double)remote.timeout_ns / 1e6);
    cJSON_AddNumberToObject(o, "jpeg_quality", remote.jpeg_quality);
    const struct {
        const char *key;
        uint64_t count;
    } counts[] = {{"asked", remote.asked},         {"sent_bytes", remote.sent_bytes},
                  {"answered", remote.answered},   {"refused", remote.refused},
                  {"late", remote.late},           {"lost", remote.lost},
                  {"unwanted", remote.unwanted},   {"unasked", remote.unasked},
                  {"takeovers", remote.takeovers}, {"builtin_frames", remote.builtin_frames}};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
        cJSON_AddNumberToObject(o, counts[i].key, (double)counts[i].count);
}

static cJSON *make_report(struct sl_drive *drive, const struct sl_state *state,
                          const struct sl_tracking_score *score, double seconds)
{
    static const char *const STAGES[] = {"camera_to_detect", "detect", "detect_to_control",
                                         "camera_to_actuator"};
    cJSON *report = cJSON_CreateObject();
    cJSON_AddNumberToObject(report, "seconds", round(seconds * 1e3) / 1e3);
    cJSON_AddNumberToObject(report, "frames", (double)state->frames);
    cJSON_AddNumberToObject(report, "frames_dropped", (double)state->frames_dropped);
    cJSON_AddNumberToObject(report, "fps",
                            seconds > 0 ? round((double)state->frames / seconds * 100) / 100 : 0);
    add_tracking(report, score);
    cJSON *latency = cJSON_AddObjectToObject(report, "latency_us");
    for (int i = 0; i < SL_STAGE_LOOP_LATENESS; i++)
        add_stage(latency, STAGES[i], &state->stages[i]);
    cJSON_AddNumberToObject(report, "deadline_misses", (double)state->deadline_misses);
    add_stage(report, "loop_lateness_us", &state->stages[SL_STAGE_LOOP_LATENESS]);
    cJSON_AddNumberToObject(report, "page_faults_after_start", (double)state->page_faults);
    if (sl_memory_counts_allocations())
        cJSON_AddNumberToObject(report, "allocations_after_start", (double)state->allocations);
    else
        cJSON_AddNullToObject(report, "allocations_after_start");
    cJSON *realtime = cJSON_AddObjectToObject(report, "realtime");
    cJSON_AddBoolToObject(realtime, "fifo", (state->realtime & SL_REALTIME_FIFO) != 0);
    cJSON_AddBoolToObject(realtime, "mlock", (state->realtime & SL_REALTIME_MLOCK) != 0);
    cJSON_AddBoolToObject(realtime, "hugepages", (state->realtime & SL_REALTIME_HUGEPAGES) != 0);
    cJSON_AddStringToObject(report, "mode", sl_mode_name(state->mode));
    add_stops(report, drive);
    add_remote(report, drive);
    return report;
}

static int write_report(cJSON *report, const char *path)
{
    struct sl_error err = {0};
    struct sl_outfile *file;
    char *text = cJSON_Print(report);
    int rc = text != NULL ? sl_outfile_open(&file, path, &err)
                          : sl_error_set(&err, -ENOMEM, "no memory for the report");
    if (rc == 0) {
        fprintf(sl_outfile_stream(file), "%s\n", text);
        rc = sl_outfile_finish(file, &err);
    }
    free(text);
    if (rc != 0)
        fprintf(stderr, "skylane " VERB ": report: %s\n", err.text);
    return rc;
}

/* ---- running ---- */

static void print_line(const struct sl_state *state, double seconds, bool again)
{
    const struct sl_stage_stats *path = &state->stages[SL_STAGE_CAMERA_TO_ACTUATOR];
    printf("%s%6.1f s  %-9s %5.1f fps  lane %+.2f m  steering %+.3f rad  speed %5.2f m/s  "
           "latency %.0f/%.0f/%.0f us  dropped %" PRIu64 "  missed %" PRIu64 "\033[K",
           again ? "\r" : "", seconds, sl_mode_name(state->mode),
           seconds > 0 ? (double)state->frames / seconds : 0.0, (double)state->lateral_offset_m,
           (double)state->steering_rad, (double)state->speed_mps, (double)path->p50_us,
           (double)path->p99_us, (double)path->max_us, state->frames_dropped,
           state->deadline_misses);
    fflush(stdout);
}

static void read_truth(struct sl_bus_reader *reader, struct sl_tracking_score *score)
{
    struct sl_truth truth;
    while (sl_bus_read_next(reader, &truth, sizeof truth, NULL) == 0)
        sl_tracking_score_add(score, &truth);
}

/* Until it is told to stop, the time is up, or the pictures end. */
static double poll_until_end(struct sl_drive *drive, const struct options *o,
                             struct sl_bus_reader *truths, struct sl_tracking_score *score,
                             struct sl_child *camera, struct sl_child *net)
{
    const bool live = !o->quiet && isatty(STDOUT_FILENO);
    const uint64_t start = sl_clock_now_ns();
    uint64_t next = start, next_line = start + LINE_NS;
    bool printed = false;
    double seconds = 0;
    while (!sl_cli_stop_wanted() && !sl_drive_finished(drive) &&
           (o->seconds <= 0 || seconds < o->seconds)) {
        next += POLL_NS;
        uint64_t now = sl_clock_sleep_until_ns(next);
        seconds = (double)(now - start) / 1e9;
        sl_drive_poll(drive);
        sl_child_poll(camera);
        sl_child_poll(net);
        read_truth(truths, score);
        /* A terminal that takes nothing (Ctrl-S, a hanging link) must not keep
         * requests from being read. */
        struct pollfd terminal = {.fd = STDOUT_FILENO, .events = POLLOUT};
        if (live && now >= next_line && poll(&terminal, 1, 0) == 1) {
            struct sl_state state;
            sl_drive_state(drive, &state);
            print_line(&state, seconds, printed);
            printed = true;
            next_line = now + LINE_NS;
        }
        if (now > next + SL_NS_PER_S) /* was stopped for a while: no catching up */
            next = now;
    }
    if (printed)
        putchar('\n');
    return seconds;
}

static int run(const struct options *o)
{
    struct sl_error err = {0};
    struct sl_settings settings;
    struct sl_log *log = NULL;
    struct sl_drive *drive = NULL;
    struct sl_bus_reader *truths = NULL;
    struct sl_child *camera = NULL, *net = NULL;
    struct sl_bus_writer *log_writer = NULL;
    static struct sl_tracking_score score;
    const struct sl_bus_reader_config truth_bus = {
        .name = SL_BUS_TRUTH,
        .type = SL_RECORD_TRUTH,
        .min_bytes = sizeof(struct sl_truth),
        .writers = SL_BUS_WRITERS_ANY /* it only keeps score */};

    int status = SL_EXIT_FAILED;
    int rc = o->json != NULL ? sl_outfile_check(o->json, &err) : 0;
    if (rc == 0)
        rc = read_settings(&settings, o, &err);
    if (rc == 0 && check_options(o, &settings) != 0)
        return SL_EXIT_MISUSE;
    if (rc == 0)
        rc = sl_settings_check(&settings, &err);
    if (rc == 0)
        rc = sl_log_open(&log, stderr, o->quiet ? SL_LOG_WARNING : SL_LOG_INFO, &err);
    const struct sl_drive_options drive_options = {
        .lockstep = o->lockstep, .insecure = o->insecure > 0, .log = log};
    if (rc == 0)
        rc = run_log_publish(&log_writer, log, &settings, &err);
    if (rc == 0)
        rc = sl_drive_open(&drive, &settings, &drive_options, &err);
    if (rc == 0)
        rc = sl_bus_reader_open(&truths, &truth_bus, &err);
    if (rc == 0)
        rc = sl_drive_start(drive, &err);
    if (rc == 0)
        rc = run_camera_start(&camera, &settings, &o->settings, log, &err);
    if (rc != 0) {
        fprintf(stderr, "skylane " VERB ": %s\n", err.text);
        goto done;
    }
    net = run_net_start(&settings, &o->settings, o->lockstep, o->insecure, log);
    double seconds = poll_until_end(drive, o, truths, &score, camera, net);
    read_truth(truths, &score);
    struct sl_state state;
    sl_drive_state(drive, &state);
    status = state.mode == SL_MODE_SAFE_STOP ? SL_EXIT_FAILED : SL_EXIT_OK;
    if (o->json != NULL) {
        cJSON *report = make_report(drive, &state, &score, seconds);
        if (write_report(report, o->json) != 0)
            status = SL_EXIT_FAILED;
        cJSON_Delete(report);
    }
done:
    sl_drive_close(drive);
    sl_child_stop(camera, RUN_CAMERA_PATIENCE_NS);
    sl_child_close(camera);
    sl_child_stop(net, RUN_NET_PATIENCE_NS); /* last: it tells that the vehicle is gone */
    sl_child_close(net);
    sl_bus_reader_close(truths);
    sl_log_close(log);
    sl_bus_writer_close(log_writer);
    return status;
}

int main(int argc, char **argv)
{
    enum {
        OPT_CAMERA = 256,
        OPT_CONFIG,
        OPT_DETECTOR,
        OPT_DETECTOR_URL,
        OPT_DETECTOR_TIMEOUT,
        OPT_SECONDS,
        OPT_JSON,
        OPT_LOCKSTEP,
        OPT_QUIET,
        OPT_INSECURE
    };
    static const struct option OPTIONS[] = {
        {"camera", required_argument, NULL, OPT_CAMERA},
        {"config", required_argument, NULL, OPT_CONFIG},
        {"detector", required_argument, NULL, OPT_DETECTOR},
        {"detector-url", required_argument, NULL, OPT_DETECTOR_URL},
        {"detector-timeout", required_argument, NULL, OPT_DETECTOR_TIMEOUT},
        {"seconds", required_argument, NULL, OPT_SECONDS},
        {"json", required_argument, NULL, OPT_JSON},
        {"lockstep", no_argument, NULL, OPT_LOCKSTEP},
        {"quiet", no_argument, NULL, OPT_QUIET},
        {"insecure", no_argument, NULL, OPT_INSECURE},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},
        {0},
    };
    struct options o = {0};
    struct sl_error err = {0};
    int answer;
    opterr = 0;
    while ((answer = getopt_long(argc, argv, ":o:hV", OPTIONS, NULL)) != -1) {
        int rc = 0;
        switch (answer) {
        case 'o':
            rc = sl_settings_options_add(&o.settings, optarg, &err);
            break;
        case OPT_CONFIG:
            rc = sl_settings_options_add_file(&o.settings, optarg, &err);
            break;
        case OPT_CAMERA:
            o.camera = optarg;
            break;
        case OPT_DETECTOR:
            o.detector = optarg;
            break;
        case OPT_DETECTOR_URL:
            o.detector_url = optarg;
            break;
        case OPT_DETECTOR_TIMEOUT:
            o.detector_timeout = optarg;
            break;
        case OPT_SECONDS:
            rc = sl_cli_number(optarg, "--seconds", 0.1, 1e9, &o.seconds, &err);
            break;
        case OPT_JSON:
            o.json = optarg;
            break;
        case OPT_LOCKSTEP:
            o.lockstep = true;
            break;
        case OPT_QUIET:
            o.quiet = true;
            break;
        case OPT_INSECURE:
            o.insecure++;
            break;
        case 'h':
            fputs(HELP, stdout);
            return SL_EXIT_OK;
        case 'V':
            puts("skylane-" VERB " " SL_VERSION);
            return SL_EXIT_OK;
        default:
            return sl_cli_bad_option(VERB, answer, argv, OPTIONS);
        }
        if (rc != 0)
            return sl_cli_misuse(VERB, "%s", err.text);
    }
    if (optind < argc)
        return sl_cli_bad_operand(VERB, argv[optind]);
    sl_cli_catch_stop();
    return run(&o);
}
