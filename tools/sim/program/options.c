#include "tools/sim/program/options.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "net/detect_client.h"
#include "rt/cli.h"
#include "rt/records.h"
#include "tools/sim/program/setup.h"

#define DETECTOR_TIMEOUT_MS 200
#define WEB_PORT            8080

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
    "  --viewer auto|web|none  a page in the browser, to watch and command it (auto: web with\n"
    "                       --drive in a terminal, else none); web comes with --zmq-broadcast\n"
    "  --web-port PORT      of the page (8080); 0: any free one\n"
    "  --zmq-broadcast      let programs watch and command it: skylane net beside it\n"
    "  --broadcast-url URL  where (net.broadcast: tcp://*:5557, which is this machine only\n"
    "                       until \"skylane pair\" let others in)\n"
    "  --broadcast-images   frames as they are, too, not only as JPEG\n"
    "  --insecure           all of this without keys, for benches; twice: beyond this machine\n"
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
    "  skylane sim --zmq-broadcast & skylane detect --shared-memory &\n"
    "      skylane view --vehicle tcp://localhost:5557\n"
    "\n"
    "exit status: 0, 1 (failed), 2 (misuse)\n";

bool sim_detects_elsewhere(const struct sim_options *o)
{
    return o->shared_memory || o->detector_url != NULL;
}

bool sim_reports_on_stdout(const struct sim_options *o)
{
    return o->json != NULL && strcmp(o->json, "-") == 0;
}

static void print_help(void)
{
    char tracks[256];
    sim_track_names(tracks, sizeof tracks);
    printf(HELP, tracks); /* the one %s in it */
}

/* Who looks on. Where nobody said, a page is for somebody who sits there and
 * sees its address, and for a drive in real time. */
static int check_watching(struct sim_options *o)
{
    const bool asked = o->viewer == SIM_VIEWER_WEB || o->web_port >= 0;
    const bool broadcast = o->broadcast || o->broadcast_url != NULL || o->broadcast_images;
    if (o->pictures != NULL && (asked || broadcast))
        return sl_cli_misuse(SIM_VERB, "--pictures draws and quits, nobody can watch: leave out %s",
                             asked ? "--viewer and --web-port"
                                   : "--zmq-broadcast and --broadcast-...");
    if (o->viewer == SIM_VIEWER_NONE && o->web_port >= 0)
        return sl_cli_misuse(SIM_VERB,
                             "--web-port is for the page, which --viewer none leaves out");
    const bool somebody_sits_there =
        isatty(STDOUT_FILENO) && !o->headless && !sim_reports_on_stdout(o);
    if (o->viewer == SIM_VIEWER_AUTO)
        o->viewer = asked || (somebody_sits_there && o->drive && !o->lockstep) ? SIM_VIEWER_WEB
                                                                               : SIM_VIEWER_NONE;
    if (o->web_port < 0)
        o->web_port = WEB_PORT;
    o->broadcast = broadcast || o->viewer == SIM_VIEWER_WEB;
    if (o->insecure > 0 && !o->broadcast && o->detector_url == NULL)
        return sl_cli_misuse(SIM_VERB, "--insecure is for --zmq-broadcast, --viewer web and "
                                       "--detector-url: add one of them");
    return 0;
}

static int read_viewer(const char *text, enum sim_viewer *viewer, struct sl_error *err)
{
    static const char *const NAMES[] = {"auto", "web", "none"}; /* as enum sim_viewer */
    for (int i = 0; i < 3; i++) {
        if (strcmp(text, NAMES[i]) == 0) {
            *viewer = (enum sim_viewer)i;
            return 0;
        }
    }
    return sl_error_set(err, -EINVAL, "--viewer is auto, web or none, not %s", text);
}

/* What does not go together. 0, or an exit status after a sentence. */
static int check(struct sim_options *o)
{
    if (o->shared_memory && o->detector_url != NULL)
        return sl_cli_misuse(SIM_VERB,
                             "--shared-memory and --detector-url are two ways to have lanes "
                             "detected elsewhere: leave out one");
    if (o->detector_timeout_ms > 0 && o->detector_url == NULL)
        return sl_cli_misuse(SIM_VERB,
                             "--detector-timeout is for --detector-url, which is missing");
    if (o->pictures != NULL && (sim_detects_elsewhere(o) || o->latency))
        return sl_cli_misuse(SIM_VERB, "--pictures draws and quits, nobody detects: leave out %s",
                             o->shared_memory  ? "--shared-memory"
                             : o->detector_url ? "--detector-url"
                                               : "--latency");
    if (o->detector_jpeg >= 0 && o->detector_url == NULL)
        return sl_cli_misuse(SIM_VERB, "--detector-jpeg is for --detector-url, which is missing");
    if (o->detector_jpeg < 0 && o->detector_url != NULL)
        o->detector_jpeg = sl_detect_client_usual_jpeg(o->detector_url);
    if (o->detector_timeout_ms == 0)
        o->detector_timeout_ms = DETECTOR_TIMEOUT_MS;
    return check_watching(o);
}

int sim_options_read(int argc, char **argv, struct sim_options *o)
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
        OPT_LATENCY,
        OPT_VIEWER,
        OPT_WEB_PORT,
        OPT_BROADCAST,
        OPT_BROADCAST_URL,
        OPT_BROADCAST_IMAGES,
        OPT_INSECURE,
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
        {"viewer", required_argument, NULL, OPT_VIEWER},
        {"web-port", required_argument, NULL, OPT_WEB_PORT},
        {"zmq-broadcast", no_argument, NULL, OPT_BROADCAST},
        {"broadcast-url", required_argument, NULL, OPT_BROADCAST_URL},
        {"broadcast-images", no_argument, NULL, OPT_BROADCAST_IMAGES},
        {"insecure", no_argument, NULL, OPT_INSECURE},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},
        {0},
    };
    struct sl_error err = {0};
    int answer;
    *o = (struct sim_options){.track = "city",
                              .seed = 1,
                              .count = 20,
                              .light = SL_SIM_DAY,
                              .rate_hz = 60,
                              .detector_jpeg = -1,
                              .web_port = -1};
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
        case OPT_VIEWER:
            rc = read_viewer(optarg, &o->viewer, &err);
            break;
        case OPT_WEB_PORT:
            rc = sl_cli_integer(optarg, "--web-port", 0, 65535, &o->web_port, &err);
            break;
        case OPT_BROADCAST:
            o->broadcast = true;
            break;
        case OPT_BROADCAST_URL:
            o->broadcast_url = optarg;
            break;
        case OPT_BROADCAST_IMAGES:
            o->broadcast_images = true;
            break;
        case OPT_INSECURE:
            o->insecure++;
            break;
        case 'h':
            print_help();
            return -1;
        case 'V':
            puts("skylane-" SIM_VERB " " SL_VERSION);
            return -1;
        default:
            return sl_cli_bad_option(SIM_VERB, answer, argv, OPTIONS);
        }
        if (rc != 0)
            return sl_cli_misuse(SIM_VERB, "%s", err.text);
    }
    if (optind < argc)
        return sl_cli_bad_operand(SIM_VERB, argv[optind]);
    return check(o);
}
