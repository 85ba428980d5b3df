/* skylane calibrate camera: options, and what they ask for. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/calibrate/board_svg.h"
#include "app/config/convert.h"
#include "calibrate.h"
#include "rt/cli.h"
#include "rt/outfile.h"
#include "rt/records.h"

#define RADIANS (3.14159265358979323846 / 180.0)

static void help(FILE *to)
{
    fputs("skylane calibrate camera - the lens, and how the camera sits on the vehicle\n"
          "\n"
          "usage: skylane calibrate camera --print-board 9x6 [--square-mm 25] --output board.svg\n"
          "       skylane calibrate camera --chessboard 9x6 --images WHERE [--output FILE]\n"
          "       skylane calibrate camera --drive WHERE --lane-width M [--config FILE]\n"
          "                                [--output FILE]\n"
          "\n"
          "The lens (focal length, centre, distortion), one of:\n"
          "  --chessboard CxR     from pictures of a printed board with C by R inner corners\n"
          "    --images WHERE     them: a folder, a picture or a quoted glob; .jpg, .pgm, .ppm\n"
          "    --square-mm MM     side of its squares (25); measure what was printed\n"
          "  --intrinsics fx,fy,cx,cy[,k1,k2,p1,p2,k3]\n"
          "                       given, in pixels; centre from the top left pixel's middle\n"
          "  --fov-deg D          guessed from the view's width in degrees\n"
          "  --config FILE        taken from a settings file\n"
          "    --size WxH         the pictures' size, if no pictures are given\n"
          "The pose (pitch, yaw, height; roll if the vehicle wanders in its lane), from driving\n"
          "straight on in the middle of a lane with both of its lines in view:\n"
          "  --drive WHERE        pictures, as --images\n"
          "  --bus NAME           frames from a running camera or simulator, as camera_feed\n"
          "    --seconds N        for so long, 150 at the most (20)\n"
          "  --lane-width M       between the middles of the lane's lines, in metres; without, as\n"
          "                       in --config\n"
          "  --markings KIND      bright (default), dark or both\n"
          "  --min-contrast N     least step from ground to paint, grey levels (6)\n"
          "Output:\n"
          "  --output FILE        writes what was found into section [camera] of a settings file;\n"
          "                       all else in it stays as it is\n"
          "  --overlay DIR        writes pictures with what was found drawn on them\n"
          "  --json               prints the result as JSON\n"
          "  --print-board CxR    writes a chessboard to print (SVG, A4, to scale) to --output\n"
          "  --help, --version\n"
          "\n"
          "examples:\n"
          "  skylane calibrate camera --print-board 9x6 --square-mm 25 --output board.svg\n"
          "  skylane calibrate camera --chessboard 9x6 --images board/ --output my-car.ini\n"
          "  skylane calibrate camera --config my-car.ini --drive straight/ --lane-width 0.4 \\\n"
          "      --output my-car.ini --overlay look/\n"
          "\n"
          "docs/calibration.md leads through it.\n"
          "exit status: 0, 1 if it failed or what was seen does not suffice, 2 if the options are\n"
          "wrong\n",
          to);
}

/* "9x6" or "1280x720". */
static int parse_pair(const char *text, const char *what, int64_t min, int64_t max, int64_t *a,
                      int64_t *b, struct sl_error *err)
{
    char first[16];
    const char *x = strchr(text, 'x');
    size_t length = x != NULL ? (size_t)(x - text) : 0;
    if (x == NULL || length == 0 || length >= sizeof first)
        return sl_error_set(err, -EINVAL, "%s must be two numbers such as 9x6, not \"%s\"", what,
                            text);
    memcpy(first, text, length);
    first[length] = '\0';
    int rc = sl_cli_integer(first, what, min, max, a, err);
    return rc != 0 ? rc : sl_cli_integer(x + 1, what, min, max, b, err);
}

static int parse_board(struct calibrate_options *o, const char *text, const char *what,
                       struct sl_error *err)
{
    int64_t columns = 0, rows = 0;
    int rc = parse_pair(text, what, SL_CHESSBOARD_SIDE_MIN, SL_CHESSBOARD_SIDE_MAX, &columns, &rows,
                        err);
    o->board.columns = (int)columns;
    o->board.rows = (int)rows;
    return rc;
}

int calibrate_given_lens(const struct calibrate_options *options, uint32_t width_px,
                         uint32_t height_px, struct calibrate_output *output, struct sl_error *err)
{
    struct sl_camera_calibration *c = &output->camera;
    c->width_px = width_px;
    c->height_px = height_px;
    c->k1 = c->k2 = c->p1 = c->p2 = c->k3 = 0;
    output->lens = true;
    if (options->fov_given) {
        c->fx_px = c->fy_px = 0.5 * width_px / tan(0.5 * options->fov_rad);
        c->cx_px = 0.5 * (width_px - 1.0);
        c->cy_px = 0.5 * (height_px - 1.0);
        snprintf(output->lens_note, sizeof output->lens_note, "guessed from a view of %.1f deg",
                 options->fov_rad / RADIANS);
        return 0;
    }
    double *const numbers[] = {&c->fx_px, &c->fy_px, &c->cx_px, &c->cy_px, &c->k1,
                               &c->k2,    &c->p1,    &c->p2,    &c->k3};
    static const char *const NAMES[] = {"fx", "fy", "cx", "cy", "k1", "k2", "p1", "p2", "k3"};
    char copy[256], *rest = NULL;
    size_t count = 0;
    if (snprintf(copy, sizeof copy, "%s", options->intrinsics) >= (int)sizeof copy)
        return sl_error_set(err, -EINVAL, "--intrinsics is too long");
    for (char *word = strtok_r(copy, ",", &rest); word != NULL; word = strtok_r(NULL, ",", &rest)) {
        char what[32];
        if (count == 9)
            return sl_error_set(err, -EINVAL, "--intrinsics takes nine numbers at the most");
        snprintf(what, sizeof what, "--intrinsics' %s", NAMES[count]);
        int rc = sl_cli_number(word, what,
                               count < 2   ? 1
                               : count < 4 ? -10000
                                           : -10,
                               count < 4 ? 100000 : 10, numbers[count], err);
        if (rc != 0)
            return rc;
        count++;
    }
    if (count != 4 && count != 6 && count != 8 && count != 9)
        return sl_error_set(err, -EINVAL,
                            "--intrinsics must be fx,fy,cx,cy[,k1,k2[,p1,p2[,k3]]]; it has %zu "
                            "numbers",
                            count);
    snprintf(output->lens_note, sizeof output->lens_note, "given with --intrinsics");
    return 0;
}

/* A name given in haste must not cost a settings file. */
static bool is_other_file(const char *path)
{
    char head[5] = {0};
    FILE *from = fopen(path, "rb");
    if (from == NULL)
        return false;
    size_t n = fread(head, 1, sizeof head, from);
    fclose(from);
    return n > 0 && (n < sizeof head || memcmp(head, "<?xml", sizeof head) != 0);
}

static int print_board(const struct calibrate_options *o)
{
    struct sl_error err = {0};
    struct sl_chessboard board = o->board;
    if (!o->square_given) /* the largest that fits, 25 mm if it does */
        board.square_m = fmin(25, sl_board_square_max_mm(&board)) * 1e-3;
    if (board.square_m * 1e3 > sl_board_square_max_mm(&board) + 1e-6)
        return sl_cli_misuse(VERB " camera",
                             "a board of %dx%d inner corners fits A4 with squares of %g mm at the "
                             "most",
                             board.columns, board.rows, sl_board_square_max_mm(&board));
    if (strcmp(o->output, "-") != 0 && is_other_file(o->output))
        return calibrate_failed("%s exists and is no SVG; give another name", o->output);
    struct sl_outfile *file;
    if (sl_outfile_open(&file, o->output, &err) != 0)
        return calibrate_failed("%s", err.text);
    if (sl_board_svg(&board, sl_outfile_stream(file), &err) != 0) {
        sl_outfile_abandon(file);
        return calibrate_failed("cannot write %s: %s", o->output, err.text);
    }
    if (sl_outfile_finish(file, &err) != 0)
        return calibrate_failed("%s", err.text);
    if (strcmp(o->output, "-") != 0)
        printf("%s: %dx%d inner corners, squares of %g mm; print it at 100 %% on A4, lying, and "
               "measure it\n",
               o->output, board.columns, board.rows, board.square_m * 1e3);
    return 0;
}

/* The lens and pose to begin with, and the lane's width. */
static int read_config(struct calibrate_options *o, struct calibrate_output *output)
{
    struct sl_error err = {0};
    struct sl_settings *settings = malloc(sizeof *settings);
    if (settings == NULL)
        return calibrate_failed("no memory");
    sl_settings_defaults(settings);
    int rc = o->config != NULL ? sl_settings_read(settings, o->config, &err) : 0;
    if (rc == 0)
        sl_settings_calibration(settings, &output->camera);
    if (rc == 0 && o->config != NULL && !o->lane_width_given)
        o->lane_width_m = settings->detect.lane_width_m;
    free(settings);
    if (rc != 0)
        return calibrate_failed("%s", err.text);
    return 0;
}

static int check(const struct calibrate_options *o)
{
    if (o->print_board != NULL)
        return o->output != NULL
                   ? 0
                   : sl_cli_misuse(VERB " camera", "--print-board needs --output board.svg");
    if (o->output != NULL && strcmp(o->output, "-") == 0)
        return sl_cli_misuse(VERB " camera", "settings are written into a file: give --output its "
                                             "name, or take --json for standard output");
    const int lenses = (o->chessboard != NULL) + (o->intrinsics != NULL) + o->fov_given;
    const bool drives = o->drive != NULL || o->bus != NULL;
    if (lenses > 1)
        return sl_cli_misuse(VERB " camera",
                             "--chessboard, --intrinsics and --fov-deg exclude each other");
    if (lenses == 0 && !drives)
        return sl_cli_misuse(VERB " camera",
                             "say what to look at: --chessboard with --images, or --drive");
    if (lenses == 0 && o->config == NULL)
        return sl_cli_misuse(VERB " camera",
                             "the lens is missing: --config, --intrinsics, --fov-deg or "
                             "--chessboard");
    if ((o->chessboard != NULL) != (o->images != NULL))
        return sl_cli_misuse(VERB " camera", "--chessboard and --images go together");
    if (o->drive != NULL && o->bus != NULL)
        return sl_cli_misuse(VERB " camera", "--drive and --bus exclude each other");
    if (drives && !o->lane_width_given && o->config == NULL)
        return sl_cli_misuse(VERB " camera", "--lane-width is missing: the height comes from it");
    if (!drives && (o->intrinsics != NULL || o->fov_given) && o->size == NULL)
        return sl_cli_misuse(VERB " camera",
                             "without pictures, --size WxH must say how large they are");
    if (o->size != NULL && (drives || o->chessboard != NULL))
        return sl_cli_misuse(VERB " camera",
                             "--size goes with neither --drive, --bus nor --chessboard: the "
                             "pictures say it");
    if (o->overlay != NULL && !drives && o->chessboard == NULL)
        return sl_cli_misuse(VERB " camera", "--overlay needs pictures to draw on");
    return 0;
}

/* The lens, and the pose if it was found: as a settings file would hold them. */
static void camera_json(const struct sl_camera_calibration *c, bool pose, cJSON *json)
{
    const struct {
        const char *key;
        double value;
    } numbers[] = {
        {"width_px", c->width_px},
        {"height_px", c->height_px},
        {"fx_px", c->fx_px},
        {"fy_px", c->fy_px},
        {"cx_px", c->cx_px},
        {"cy_px", c->cy_px},
        {"k1", c->k1},
        {"k2", c->k2},
        {"p1", c->p1},
        {"p2", c->p2},
        {"k3", c->k3},
        {"height_m", c->height_m},
        {"pitch_rad", c->pitch_rad},
        {"yaw_rad", c->yaw_rad},
        {"roll_rad", c->roll_rad},
    };
    cJSON *camera = cJSON_AddObjectToObject(json, "camera");
    const size_t lens_count = 11;
    const size_t count = pose ? sizeof numbers / sizeof numbers[0] : lens_count;
    for (size_t i = 0; i < count; i++)
        cJSON_AddNumberToObject(camera, numbers[i].key, numbers[i].value);
}

static int calibrate(struct calibrate_options *o, struct calibrate_output *output, cJSON *json)
{
    struct sl_error err = {0};
    int status = read_config(o, output);
    if (status == 0 && o->size != NULL) {
        int64_t width = 0, height = 0;
        if (parse_pair(o->size, "--size", 16, SL_CAMERA_SIDE_MAX_PX, &width, &height, &err) != 0 ||
            calibrate_given_lens(o, (uint32_t)width, (uint32_t)height, output, &err) != 0)
            return sl_cli_misuse(VERB " camera", "%s", err.text);
        if (json == NULL)
            printf("lens %s: focal length %.2f, %.2f px, centre %.2f, %.2f px\n", output->lens_note,
                   output->camera.fx_px, output->camera.fy_px, output->camera.cx_px,
                   output->camera.cy_px);
    }
    if (status == 0 && o->chessboard != NULL)
        status = calibrate_lens(o, output, json);
    if (status == 0 && (o->drive != NULL || o->bus != NULL))
        status = calibrate_drive(o, output, json);
    if (status == 0 && sl_cli_stop_wanted()) /* while it drew */
        return calibrate_failed(CALIBRATE_STOPPED);
    if (status == 0 && json != NULL)
        camera_json(&output->camera, output->pose, json);
    if (status == 0 && o->output != NULL) {
        if (calibrate_output_write(output, o->output, &err) != 0)
            return calibrate_failed("%s", err.text);
        if (json == NULL)
            printf("\n%s: section [camera] is written\n", o->output);
    }
    return status;
}

enum {
    OPT_CHESSBOARD = 1,
    OPT_SQUARE,
    OPT_IMAGES,
    OPT_DRIVE,
    OPT_BUS,
    OPT_SECONDS,
    OPT_LANE_WIDTH,
    OPT_MARKINGS,
    OPT_MIN_CONTRAST,
    OPT_INTRINSICS,
    OPT_FOV,
    OPT_CONFIG,
    OPT_SIZE,
    OPT_OUTPUT,
    OPT_OVERLAY,
    OPT_PRINT_BOARD,
    OPT_JSON,
};

static int parse_markings(const char *text, enum sl_marking_polarity *out, struct sl_error *err)
{
    static const char *const KINDS[] = {
        [SL_MARKINGS_BRIGHT] = "bright", [SL_MARKINGS_DARK] = "dark", [SL_MARKINGS_BOTH] = "both"};
    for (size_t i = 0; i < sizeof KINDS / sizeof KINDS[0]; i++) {
        if (strcmp(text, KINDS[i]) == 0) {
            *out = (enum sl_marking_polarity)i;
            return 0;
        }
    }
    return sl_error_set(err, -EINVAL, "--markings must be bright, dark or both, not \"%s\"", text);
}

/* One option. 0, or -EINVAL with a sentence. */
static int take(struct calibrate_options *o, int option, struct sl_error *err)
{
    double number = 0;
    int rc = 0;
    switch (option) {
    case OPT_CHESSBOARD:
        o->chessboard = optarg;
        return parse_board(o, optarg, "--chessboard", err);
    case OPT_PRINT_BOARD:
        o->print_board = optarg;
        return parse_board(o, optarg, "--print-board", err);
    case OPT_SQUARE:
        rc = sl_cli_number(optarg, "--square-mm", 1, 1000, &number, err);
        o->board.square_m = number * 1e-3;
        o->square_given = true;
        return rc;
    case OPT_IMAGES:
        o->images = optarg;
        return 0;
    case OPT_DRIVE:
        o->drive = optarg;
        return 0;
    case OPT_BUS:
        o->bus = optarg;
        return 0;
    case OPT_SECONDS:
        return sl_cli_number(optarg, "--seconds", 1, 150, &o->seconds, err);
    case OPT_LANE_WIDTH:
        o->lane_width_given = true;
        return sl_cli_number(optarg, "--lane-width", 0.05, 20, &o->lane_width_m, err);
    case OPT_MARKINGS:
        return parse_markings(optarg, &o->markings, err);
    case OPT_MIN_CONTRAST:
        return sl_cli_number(optarg, "--min-contrast", 1, 128, &o->min_contrast, err);
    case OPT_INTRINSICS:
        o->intrinsics = optarg;
        return 0;
    case OPT_FOV:
        rc = sl_cli_number(optarg, "--fov-deg", 10, 150, &number, err);
        o->fov_rad = number * RADIANS;
        o->fov_given = true;
        return rc;
    case OPT_CONFIG:
        o->config = optarg;
        return 0;
    case OPT_SIZE:
        o->size = optarg;
        return 0;
    case OPT_OUTPUT:
        o->output = optarg;
        return 0;
    case OPT_OVERLAY:
        o->overlay = optarg;
        return 0;
    default:
        o->json = true;
        return 0;
    }
}

int calibrate_camera(int argc, char **argv)
{
    static const struct option OPTIONS[] = {
        {"chessboard", required_argument, NULL, OPT_CHESSBOARD},
        {"square-mm", required_argument, NULL, OPT_SQUARE},
        {"images", required_argument, NULL, OPT_IMAGES},
        {"drive", required_argument, NULL, OPT_DRIVE},
        {"bus", required_argument, NULL, OPT_BUS},
        {"seconds", required_argument, NULL, OPT_SECONDS},
        {"lane-width", required_argument, NULL, OPT_LANE_WIDTH},
        {"markings", required_argument, NULL, OPT_MARKINGS},
        {"min-contrast", required_argument, NULL, OPT_MIN_CONTRAST},
        {"intrinsics", required_argument, NULL, OPT_INTRINSICS},
        {"fov-deg", required_argument, NULL, OPT_FOV},
        {"config", required_argument, NULL, OPT_CONFIG},
        {"size", required_argument, NULL, OPT_SIZE},
        {"output", required_argument, NULL, OPT_OUTPUT},
        {"overlay", required_argument, NULL, OPT_OVERLAY},
        {"print-board", required_argument, NULL, OPT_PRINT_BOARD},
        {"json", no_argument, NULL, OPT_JSON},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},
        {NULL, 0, NULL, 0},
    };
    struct calibrate_options o = {.seconds = 20,
                                  .min_contrast = 6,
                                  .board = {.square_m = 0.025},
                                  .markings = SL_MARKINGS_BRIGHT};
    struct calibrate_output output = {0};
    struct sl_error err = {0};
    opterr = 0;
    for (int option; (option = getopt_long(argc, argv, ":hV", OPTIONS, NULL)) != -1;) {
        if (option == 'h') {
            help(stdout);
            return SL_EXIT_OK;
        }
        if (option == 'V') {
            puts("skylane-" VERB " " SL_VERSION);
            return SL_EXIT_OK;
        }
        if (option == '?' || option == ':')
            return sl_cli_bad_option(VERB " camera", option, argv, OPTIONS);
        if (take(&o, option, &err) != 0)
            return sl_cli_misuse(VERB " camera", "%s", err.text);
    }
    if (optind < argc)
        return sl_cli_misuse(VERB " camera", "unexpected \"%s\"; a glob must be quoted",
                             argv[optind]);
    int status = check(&o);
    if (status != 0)
        return status;
    /* Judged now, whatever the pictures' size will be. */
    if (o.intrinsics != NULL && calibrate_given_lens(&o, 16, 16, &output, &err) != 0)
        return sl_cli_misuse(VERB " camera", "%s", err.text);
    output = (struct calibrate_output){0};
    if (o.print_board != NULL)
        return print_board(&o);
    if (o.output != NULL && calibrate_output_check(o.output, &err) != 0)
        return calibrate_failed("%s", err.text);
    if (o.overlay != NULL && sl_outfile_folder(o.overlay, &err) != 0)
        return calibrate_failed("%s", err.text);
    cJSON *json = o.json ? cJSON_CreateObject() : NULL;
    status = calibrate(&o, &output, json);
    if (json != NULL && status == 0) {
        char *text = cJSON_Print(json);
        puts(text != NULL ? text : "{}");
        free(text);
    }
    cJSON_Delete(json);
    if (fflush(stdout) != 0 || ferror(stdout))
        status = calibrate_failed("cannot write the output: %s", strerror(errno));
    return status;
}
