/* skylane-detect: lanes in pictures, or as a server between two buses or for
 * clients over ZMQ. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/config/options.h"
#include "detect_offline.h"
#include "detect_server.h"
#include "rt/cli.h"
#include "rt/log.h"

#define VERB         "detect"
#define DEFAULT_HOST "127.0.0.1"

static void help(FILE *to)
{
    fprintf(to,
            "skylane detect - find the lane: as a server, or in pictures and video\n"
            "\n"
            "usage: skylane detect [--shared-memory] [options]          between two buses\n"
            "       skylane detect --port PORT [--host ADDR] [options]  for clients over ZMQ\n"
            "       skylane detect --images WHERE --calibration FILE [options]\n"
            "       skylane detect --video WHERE --calibration FILE [options]\n"
            "\n"
            "as a server, until Ctrl-C:\n"
            "  --shared-memory             reads frames of one bus, writes lanes to another (the\n"
            "                              default); camera and vehicle may come and go\n"
            "  --image-shm-name NAME       bus of the frames (bus.camera: " SL_BUS_CAMERA ")\n"
            "  --detection-shm-name NAME   bus of the lanes (bus.detection: " SL_BUS_DETECTION ")\n"
            "  --port PORT                 answers clients over ZMQ (%d); 0: any free port\n"
            "  --host ADDR                 where to listen (" DEFAULT_HOST "); * : everywhere.\n"
            "                              On this machine only until \"skylane pair\" let one in\n"
            "  --insecure                  without keys, for benches; twice: beyond this machine\n"
            "  --config FILE               settings file; may be given several times, later ones\n"
            "                              win (without: " SL_SETTINGS_SYSTEM_FILE
            " if it exists, else defaults)\n"
            "  -o SECTION.KEY=VALUE        one setting; may be given several times\n"
            "\n"
            "in pictures and video:\n"
            "  --images WHERE       a folder of pictures, a folder of such folders (each is a\n"
            "                       clip), a picture, or a quoted glob; .jpg, .pgm, .ppm\n"
            "  --video WHERE        instead: a .y4m file, a folder of pictures in their order, or\n"
            "                       - for Y4M on standard input (ffmpeg -i FILE -f yuv4mpegpipe\n"
            "                       -pix_fmt yuv420p - | skylane detect --video - ...)\n"
            "  --calibration FILE   one of our settings files, or a JSON with one entry a clip\n"
            "  --predictions FILE   writes one JSON line a picture; - is standard output. It is\n"
            "                       FILE.part until it is whole\n"
            "  --overlay DIR        writes pictures with the lane drawn, in a folder a clip\n"
            "  --track              uses the pictures before, within a clip\n"
            "\n"
            "both:\n"
            "  --method cv          by classical vision. dl, a learned detector, and --gpu ID,\n"
            "                       which it would run on, are not built into this program\n"
            "  --json               prints the summary as JSON\n"
            "  --help, --version\n"
            "\n"
            "A prediction names its picture as clip/name and gives, for each row of h_samples,\n"
            "the columns of the left and the right boundary, -2 where there is none.\n"
            "\n"
            "examples:\n"
            "  skylane detect --config board/sim/skylane.ini          # one terminal\n"
            "  skylane sim --drive --shared-memory                    # another\n"
            "\n"
            "  skylane detect --port %d --config board/sim/skylane.ini\n"
            "  skylane sim --drive --detector-url tcp://localhost:%d\n"
            "\n"
            "  skylane detect --images roads --calibration roads/calibration.json \\\n"
            "      --predictions found.jsonl\n"
            "  skylane detect --images 'drive/1*.jpg' --calibration board/sim/skylane.ini \\\n"
            "      --overlay drawn --track\n"
            "\n"
            "exit status: 0, 1 if a picture, an output or the server failed, 2 if the options are\n"
            "wrong\n",
            SL_DETECT_PORT, SL_DETECT_PORT, SL_DETECT_PORT);
}

struct options {
    struct sl_detect_offline offline;
    struct sl_settings_options settings;
    bool shared_memory, json;
    const char *image_bus, *detection_bus;
    const char *method, *gpu, *host;
    int64_t port; /* -1: not given */
    int insecure; /* how often it was said */
};

/* ---- what goes with what ---- */

/* The first of the options that was given, or NULL. */
struct given {
    bool there;
    const char *name;
};

static const char *first_given(const struct given *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (list[i].there)
            return list[i].name;
    }
    return NULL;
}

static int check_offline(const struct options *o)
{
    const struct given server[] = {{o->shared_memory, "--shared-memory"},
                                   {o->image_bus != NULL, "--image-shm-name"},
                                   {o->detection_bus != NULL, "--detection-shm-name"},
                                   {o->port >= 0, "--port"},
                                   {o->host != NULL, "--host"},
                                   {o->insecure > 0, "--insecure"},
                                   {o->settings.file_count > 0, "--config"},
                                   {o->settings.assignment_count > 0, "-o"}};
    const char *wrong = first_given(server, sizeof server / sizeof server[0]);
    if (wrong != NULL)
        return sl_cli_misuse(VERB,
                             "%s is for the server, %s for pictures: leave out one; pictures "
                             "take their camera from --calibration",
                             wrong, o->offline.images != NULL ? "--images" : "--video");
    if (o->offline.calibration == NULL)
        return sl_cli_misuse(VERB,
                             "--calibration is missing: a settings file with the camera's numbers, "
                             "as \"skylane calibrate camera\" writes it, or a JSON by clips");
    return 0;
}

static int check_server(const struct options *o)
{
    const struct given offline[] = {{o->offline.calibration != NULL, "--calibration"},
                                    {o->offline.predictions != NULL, "--predictions"},
                                    {o->offline.overlay != NULL, "--overlay"},
                                    {o->offline.track, "--track"}};
    const char *wrong = first_given(offline, sizeof offline / sizeof offline[0]);
    if (wrong != NULL)
        return sl_cli_misuse(VERB, "%s is for pictures, but --images is missing, or --video",
                             wrong);
    const struct given buses[] = {{o->shared_memory, "--shared-memory"},
                                  {o->image_bus != NULL, "--image-shm-name"},
                                  {o->detection_bus != NULL, "--detection-shm-name"}};
    wrong = first_given(buses, sizeof buses / sizeof buses[0]);
    if (wrong != NULL && (o->port >= 0 || o->host != NULL))
        return sl_cli_misuse(VERB,
                             "%s serves buses, %s clients over ZMQ: leave out one, or start two "
                             "servers",
                             wrong, o->port >= 0 ? "--port" : "--host");
    if (o->insecure > 0 && o->port < 0 && o->host == NULL)
        return sl_cli_misuse(VERB, "--insecure is for clients over ZMQ: add --port");
    return 0;
}

/* 0, or an exit status after a sentence. */
static int check(const struct options *o)
{
    if (o->method != NULL && strcmp(o->method, "dl") == 0)
        return sl_cli_misuse(VERB, "--method dl: a learned detector is not built into this "
                                   "program; use --method cv");
    if (o->method != NULL && strcmp(o->method, "cv") != 0)
        return sl_cli_misuse(VERB, "there is no method \"%s\"; this program has cv", o->method);
    if (o->gpu != NULL)
        return sl_cli_misuse(VERB,
                             "--gpu %s: only a learned detector would use a GPU, and none is "
                             "built into this program; leave it out",
                             o->gpu);
    return o->offline.images != NULL || o->offline.video != NULL ? check_offline(o)
                                                                 : check_server(o);
}

/* ---- the server ---- */

static int read_settings(struct sl_settings *settings, const struct options *o,
                         struct sl_error *err)
{
    int rc = sl_settings_options_read(&o->settings, settings, err);
    if (rc == 0)
        rc = sl_settings_options_apply(&o->settings, settings, err);
    if (rc == 0 && o->image_bus != NULL)
        rc = sl_settings_set_value(settings, "bus.camera", o->image_bus, strlen(o->image_bus), err);
    if (rc == 0 && o->detection_bus != NULL)
        rc = sl_settings_set_value(settings, "bus.detection", o->detection_bus,
                                   strlen(o->detection_bus), err);
    if (rc == 0)
        rc = sl_settings_check(settings, err);
    return rc;
}

static int serve(const struct options *o)
{
    struct sl_error err = {0};
    struct sl_log *log = NULL;
    static struct sl_settings settings;
    int rc = read_settings(&settings, o, &err);
    if (rc == 0)
        rc = sl_log_open(&log, stderr, SL_LOG_INFO, &err);
    if (rc != 0) {
        fprintf(stderr, "skylane " VERB ": %s\n", err.text);
        return SL_EXIT_FAILED;
    }
    sl_cli_catch_stop();
    const struct sl_detect_serve options = {.settings = &settings,
                                            .host = o->host != NULL ? o->host : DEFAULT_HOST,
                                            .port =
                                                (uint16_t)(o->port >= 0 ? o->port : SL_DETECT_PORT),
                                            .insecure = o->insecure,
                                            .json = o->json,
                                            .log = log};
    const bool zmq = o->port >= 0 || o->host != NULL;
    const int status = zmq ? sl_detect_serve_zmq(&options) : sl_detect_serve_buses(&options);
    sl_log_close(log);
    return status;
}

/* ---- the command line ---- */

enum {
    OPT_IMAGES = 256,
    OPT_VIDEO,
    OPT_CALIBRATION,
    OPT_PREDICTIONS,
    OPT_OVERLAY,
    OPT_TRACK,
    OPT_JSON,
    OPT_SHARED_MEMORY,
    OPT_IMAGE_BUS,
    OPT_DETECTION_BUS,
    OPT_PORT,
    OPT_HOST,
    OPT_INSECURE,
    OPT_CONFIG,
    OPT_METHOD,
    OPT_GPU
};

/* Options that take a picture or a file. False: not one of them. */
static bool take_offline_option(int option, struct sl_detect_offline *offline)
{
    switch (option) {
    case OPT_IMAGES:
        offline->images = optarg;
        return true;
    case OPT_VIDEO:
        offline->video = optarg;
        return true;
    case OPT_CALIBRATION:
        offline->calibration = optarg;
        return true;
    case OPT_PREDICTIONS:
        offline->predictions = optarg;
        return true;
    case OPT_OVERLAY:
        offline->overlay = optarg;
        return true;
    case OPT_TRACK:
        offline->track = true;
        return true;
    default:
        return false;
    }
}

/* 0, or an exit status after a sentence. */
static int take_option(int option, struct options *o)
{
    struct sl_error err = {0};
    int rc = 0;
    switch (option) {
    case OPT_JSON:
        o->json = o->offline.json = true;
        return 0;
    case OPT_SHARED_MEMORY:
        o->shared_memory = true;
        return 0;
    case OPT_IMAGE_BUS:
        o->image_bus = optarg;
        return 0;
    case OPT_DETECTION_BUS:
        o->detection_bus = optarg;
        return 0;
    case OPT_PORT:
        rc = sl_cli_integer(optarg, "--port", 0, 65535, &o->port, &err);
        break;
    case OPT_HOST:
        o->host = optarg;
        return 0;
    case OPT_INSECURE:
        o->insecure++;
        return 0;
    case OPT_METHOD:
        o->method = optarg;
        return 0;
    case OPT_GPU:
        o->gpu = optarg;
        return 0;
    case OPT_CONFIG:
        rc = sl_settings_options_add_file(&o->settings, optarg, &err);
        break;
    default: /* 'o' */
        rc = sl_settings_options_add(&o->settings, optarg, &err);
    }
    return rc != 0 ? sl_cli_misuse(VERB, "%s", err.text) : 0;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"images", required_argument, NULL, OPT_IMAGES},
        {"video", required_argument, NULL, OPT_VIDEO},
        {"calibration", required_argument, NULL, OPT_CALIBRATION},
        {"predictions", required_argument, NULL, OPT_PREDICTIONS},
        {"overlay", required_argument, NULL, OPT_OVERLAY},
        {"track", no_argument, NULL, OPT_TRACK},
        {"json", no_argument, NULL, OPT_JSON},
        {"shared-memory", no_argument, NULL, OPT_SHARED_MEMORY},
        {"image-shm-name", required_argument, NULL, OPT_IMAGE_BUS},
        {"detection-shm-name", required_argument, NULL, OPT_DETECTION_BUS},
        {"port", required_argument, NULL, OPT_PORT},
        {"host", required_argument, NULL, OPT_HOST},
        {"config", required_argument, NULL, OPT_CONFIG},
        {"insecure", no_argument, NULL, OPT_INSECURE},
        {"method", required_argument, NULL, OPT_METHOD},
        {"gpu", required_argument, NULL, OPT_GPU},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},
        {0},
    };
    struct options o = {.port = -1};
    int status = 0;
    opterr = 0;
    for (int option; (option = getopt_long(argc, argv, ":o:hV", options, NULL)) != -1;) {
        switch (option) {
        case 'h':
            help(stdout);
            return SL_EXIT_OK;
        case 'V':
            puts("skylane-" VERB " " SL_VERSION);
            return SL_EXIT_OK;
        case '?':
        case ':':
            return sl_cli_bad_option(VERB, option, argv, options);
        default:
            if (!take_offline_option(option, &o.offline))
                status = take_option(option, &o);
        }
        if (status != 0)
            return status;
    }
    if (optind < argc)
        return sl_cli_misuse(VERB, "unexpected \"%s\"; a glob must be quoted", argv[optind]);
    status = check(&o);
    if (status != 0)
        return status;
    return o.offline.images != NULL || o.offline.video != NULL ? sl_detect_offline(&o.offline)
                                                               : serve(&o);
}
