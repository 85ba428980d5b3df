/* skylane camera: lists, tries and runs cameras. */
#include "camera.h"

#include <stdio.h>
#include <string.h>

#include "app/config/options.h"
#include "rt/cli.h"

#define VERB CAMERA_VERB

static const char HELP[] =
    "skylane camera - list, try and run cameras\n"
    "\n"
    "usage: skylane camera list [--json]\n"
    "       skylane camera test [options]\n"
    "       skylane camera run [options]\n"
    "\n"
    "  list   every camera of this machine: its driver, name, formats, sizes, rates\n"
    "  test   takes frames for a while and tells their rate, jitter, age, and which were\n"
    "         dropped why\n"
    "  run    publishes its frames on bus.camera, watches them, and starts the camera anew\n"
    "         when it fails; \"skylane run\" starts this by itself where it is needed\n"
    "\n"
    "  --config FILE            settings file, as for skylane run\n"
    "  -o SECTION.KEY=VALUE     one setting\n"
    "  --camera DRIVER[:SOURCE] short for -o camera.driver= and -o camera.source=\n"
    "  --seconds N              test: for how long (5)\n"
    "  --picture FILE           test: the last frame as JPEG\n"
    "  --json                   list, test: for programs, on standard output\n"
    "  --quiet                  run: only warnings and errors\n"
    "  --help, --version\n"
    "\n"
    "examples:\n"
    "  skylane camera list\n"
    "  skylane camera test --camera v4l2 -o camera.width_px=640 -o camera.height_px=480 \\\n"
    "      --picture seen.jpg\n"
    "  skylane camera run --config board/sim/lab.ini --camera v4l2:/dev/video0\n"
    "\n"
    "exit status: 0, 1 (no camera, or it failed), 2 (misuse)\n";

static const struct {
    const char *name;
    int (*run)(const struct camera_options *o);
} JOBS[] = {{"list", camera_list}, {"test", camera_test}, {"run", camera_run}};
#define JOB_COUNT (sizeof JOBS / sizeof JOBS[0])

static int read_settings(struct sl_settings *settings, const struct sl_settings_options *options,
                         const char *camera, struct sl_error *err)
{
    int rc = sl_settings_options_read(options, settings, err);
    if (rc == 0 && camera != NULL)
        rc = sl_settings_set_camera(settings, camera, err);
    if (rc == 0)
        rc = sl_settings_options_apply(options, settings, err);
    return rc == 0 ? sl_settings_check(settings, err) : rc;
}

static int do_job(const char *name, const struct camera_options *o)
{
    for (size_t i = 0; i < JOB_COUNT; i++)
        if (strcmp(JOBS[i].name, name) == 0)
            return JOBS[i].run(o);
    for (size_t i = 0; i < JOB_COUNT; i++)
        if (sl_cli_distance(name, JOBS[i].name, 3) < 3)
            return sl_cli_misuse(VERB, "there is no \"%s\"; did you mean \"%s\"?", name,
                                 JOBS[i].name);
    return sl_cli_misuse(VERB, "there is no \"%s\", but list, test and run", name);
}

int main(int argc, char **argv)
{
    enum { OPT_CONFIG = 256, OPT_CAMERA, OPT_SECONDS, OPT_PICTURE, OPT_JSON, OPT_QUIET };
    static const struct option OPTIONS[] = {
        {"config", required_argument, NULL, OPT_CONFIG},
        {"camera", required_argument, NULL, OPT_CAMERA},
        {"seconds", required_argument, NULL, OPT_SECONDS},
        {"picture", required_argument, NULL, OPT_PICTURE},
        {"json", no_argument, NULL, OPT_JSON},
        {"quiet", no_argument, NULL, OPT_QUIET},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},
        {0},
    };
    static struct camera_options o = {.seconds = 5};
    struct sl_settings_options settings = {0};
    const char *camera = NULL;
    struct sl_error err = {0};
    opterr = 0;
    for (int answer; (answer = getopt_long(argc, argv, ":o:hV", OPTIONS, NULL)) != -1;) {
        int rc = 0;
        switch (answer) {
        case 'o':
            rc = sl_settings_options_add(&settings, optarg, &err);
            break;
        case OPT_CONFIG:
            rc = sl_settings_options_add_file(&settings, optarg, &err);
            break;
        case OPT_CAMERA:
            camera = optarg;
            break;
        case OPT_SECONDS:
            rc = sl_cli_number(optarg, "--seconds", 0.1, 1e6, &o.seconds, &err);
            break;
        case OPT_PICTURE:
            o.picture = optarg;
            break;
        case OPT_JSON:
            o.json = true;
            break;
        case OPT_QUIET:
            o.quiet = true;
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
    if (optind == argc)
        return sl_cli_misuse(VERB, "say what to do: list, test or run");
    if (optind < argc - 1)
        return sl_cli_bad_operand(VERB, argv[optind + 1]);
    if (read_settings(&o.settings, &settings, camera, &err) != 0) {
        fprintf(stderr, "skylane " VERB ": %s\n", err.text);
        return SL_EXIT_FAILED;
    }
    sl_cli_catch_stop();
    return do_job(argv[optind], &o);
}
