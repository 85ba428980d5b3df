/* skylane-calibrate as a user runs it: what it finds, what it writes, and what
 * it says when something is wrong. */
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <cjson/cJSON.h>

#include "../unit/calibrate_board.h"
#include "app/config/settings.h"

#define CAMERA "camera "
#define LENS   " --intrinsics 560,560,399.5,299.5"

static char folder[64];

static char *path_of(const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void write_text(const char *name, const char *text)
{
    FILE *f = fopen(path_of(name), "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static char *read_text(const char *name)
{
    FILE *f = fopen(path_of(name), "r");
    assert_non_null(f);
    char *text = calloc(1, 1 << 18);
    assert_non_null(text);
    assert_true(fread(text, 1, (1 << 18) - 1, f) > 0);
    fclose(f);
    return text;
}

/* Runs a program of build/bin in the folder; what it said is in "said". */
static int run_program(const char *program, const char *arguments)
{
    char command[1024];
    snprintf(command, sizeof command, "cd %s && " SL_BIN_DIR "/skylane-%s %s >said 2>&1", folder,
             program, arguments);
    int status = system(command);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void run(int expected, const char *arguments, const char *words)
{
    int status = run_program("calibrate", arguments);
    char *said = read_text("said");
    if (status != expected || strstr(said, words) == NULL)
        fail_msg("%s: status %d (expected %d), \"%s\" expected in: %s", arguments, status, expected,
                 words, said);
    free(said);
}

static bool exists(const char *name)
{
    struct stat st;
    return stat(path_of(name), &st) == 0;
}

static double number_at(const cJSON *o, const char *a, const char *b, const char *c)
{
    const cJSON *n = cJSON_GetObjectItem(cJSON_GetObjectItem(o, a), b);
    if (c != NULL)
        n = cJSON_GetObjectItem(n, c);
    assert_true(cJSON_IsNumber(n));
    return n->valuedouble;
}

static int set_up(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/skylane-calibrate-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    setenv("SKYLANE_BUS_DIR", folder, 1);
    return run_program("sim", "--pictures drive --track oval --count 50 --seed 4");
}

static int tear_down(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

static void from_driving(void **state)
{
    (void)state;
    run(0, CAMERA "--drive drive --lane-width 3.5" LENS " --output cam.ini --overlay drawn",
        "horizon");
    struct sl_settings s;
    struct sl_error err = {0};
    sl_settings_defaults(&s);
    s.camera.pitch_rad = s.camera.height_m = 0;
    if (sl_settings_read(&s, path_of("cam.ini"), &err) != 0)
        fail_msg("%s", err.text);
    assert_true(fabs(s.camera.pitch_rad - 0.09) < 0.002);
    assert_true(fabs(s.camera.yaw_rad) < 0.002);
    assert_true(fabs(s.camera.height_m - 1.3) < 0.02);
    assert_true(s.camera.width_px == 800 && s.camera.fx_px == 560 && s.camera.cx_px == 399.5);
    assert_true(exists("drawn/0000.jpg"));
    /* What was written can begin the next run, from which nothing changes but
     * the notes' place; and another program takes it. */
    run(0, CAMERA "--drive 'drive/00[0-3]*.jpg' --lane-width 3.5 --config cam.ini --json",
        "\"horizon_px\"");
    char *said = read_text("said");
    cJSON *json = cJSON_Parse(said);
    assert_non_null(json);
    assert_true(fabs(number_at(json, "pose", "horizon_px", NULL) - 248.96) < 0.7);
    assert_true(fabs(number_at(json, "pose", "height_m", "value") - 1.3) < 0.02);
    assert_true(number_at(json, "pose", "pictures", "straight") >= 10);
    assert_true(number_at(json, "pose", "pictures", "bent") >= 5);
    assert_true(number_at(json, "camera", "fx_px", NULL) == 560);
    cJSON_Delete(json);
    free(said);
    assert_int_equal(run_program("config", "--check cam.ini"), 0);
    /* The picture's width in degrees instead of the focal length. */
    run(0, CAMERA "--drive drive --lane-width 3.5 --fov-deg 71.1", "guess");
}

/* Footage, where it is at hand, beside the horizon that its labels give. */
static void real_roads(void **state)
{
    (void)state;
    const struct {
        const char *clip;
        double row, most;
    } clips[] = {{"solid_white_right", 304.7, 2}, {"highway_1s", 421.0, 3}};
    const char *roads = getenv("SKYLANE_ROADS");
    char where[512], arguments[700];
    struct stat st;
    for (size_t i = 0; i < sizeof clips / sizeof clips[0]; i++) {
        snprintf(where, sizeof where, "%s/%s", roads ? roads : SL_SOURCE_DIR "/../shared/roads",
                 clips[i].clip);
        if (stat(where, &st) != 0) {
            print_message("skipped: no footage in %s\n", where);
            skip();
        }
        snprintf(arguments, sizeof arguments,
                 CAMERA "--drive %s --lane-width 3.7 --fov-deg 58 --json", where);
        run(0, arguments, "horizon_px");
        char *said = read_text("said");
        cJSON *json = cJSON_Parse(said);
        double row = number_at(json, "pose", "horizon_px", NULL);
        if (!(fabs(row - clips[i].row) < clips[i].most))
            fail_msg("%s: the horizon is in row %.1f, and should be in %.1f", clips[i].clip, row,
                     clips[i].row);
        assert_true(fabs(number_at(json, "pose", "height_m", "value") - 1.24) < 0.05);
        cJSON_Delete(json);
        free(said);
    }
}

static void keeps_the_rest(void **state)
{
    (void)state;
    const char *mine = "; my car\n[vehicle]\nwheelbase_m = 0.26 ; measured\n\n[camera]\n"
                       "driver = bus\nheight_m = 0.15 # by ruler\n\n[detect]\nlane_width_m = 3.5\n";
    write_text("mine.ini", mine);
    assert_int_equal(chmod(path_of("mine.ini"), 0640), 0);
    /* The lane's width comes from the file. */
    run(0, CAMERA "--drive drive --config mine.ini" LENS " --output mine.ini", "is written");
    char *text = read_text("mine.ini");
    assert_memory_equal(text, mine, strstr(mine, "driver") - mine);
    assert_non_null(strstr(text, "driver = bus\n; pose: "));
    assert_non_null(strstr(text, "\n\n[detect]\nlane_width_m = 3.5\n"));
    assert_non_null(strstr(text, " # by ruler\n"));
    assert_non_null(strstr(text, "; lens: given"));
    free(text);
    struct stat st;
    assert_int_equal(stat(path_of("mine.ini"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0640);
    /* A link stays a link. */
    assert_int_equal(symlink("mine.ini", path_of("link.ini")), 0);
    run(0, CAMERA "--size 640x480 --intrinsics 500,500,320,240 --output link.ini", "is written");
    assert_int_equal(lstat(path_of("link.ini"), &st), 0);
    assert_true(S_ISLNK(st.st_mode));
    text = read_text("mine.ini");
    assert_non_null(strstr(text, "width_px = 640"));
    free(text);
    /* Nothing is left beside. */
    char command[128];
    snprintf(command, sizeof command, "test $(ls %s | grep -c 'ini\\.') -eq 0", folder);
    assert_int_equal(system(command), 0);
}

static void output_refused(void **state)
{
    (void)state;
    const char *letter = "Dear reader,\nthis is no settings file.\n";
    write_text("letter.txt", letter);
    run(1, CAMERA "--drive drive --lane-width 3.5" LENS " --output letter.txt",
        "will not overwrite");
    char *text = read_text("letter.txt");
    assert_string_equal(text, letter);
    free(text);
    run(1, CAMERA "--drive drive --lane-width 3.5" LENS " --output no/such/cam.ini",
        "cannot write no/such/cam.ini: No such file or directory; the folder");
    run(1, CAMERA "--drive drive --lane-width 3.5" LENS " --output drive", "Is a directory");
    run(1, CAMERA "--drive drive --lane-width 3.5" LENS " --output ''", "without a name");
    run(2, CAMERA "--drive drive --lane-width 3.5" LENS " --output -", "into a file");
    run(1, CAMERA "--drive drive --lane-width 3.5" LENS " --overlay letter.txt/x",
        "cannot make the folder");
    run(1, CAMERA "--drive drive --lane-width 3.5" LENS " --overlay drive", "another folder");
}

static void refused_in_words(void **state)
{
    (void)state;
    /* The oval's bends, then too few pictures, then the wrong shape. */
    run(1, CAMERA "--drive 'drive/001[5-9].jpg' --lane-width 3.5" LENS, "are needed");
    run(1, CAMERA "--drive 'drive/001[2-9].jpg' --lane-width 3.5" LENS " --output never.ini",
        "the road bends");
    assert_false(exists("never.ini"));
    write_text("square.ini", "[camera]\nwidth_px = 500\nheight_px = 500\n");
    run(1, CAMERA "--drive drive --lane-width 3.5 --config square.ini", "another shape");
    write_text("bad.jpg", "no picture");
    run(1, CAMERA "--drive bad.jpg --lane-width 3.5" LENS, "bad.jpg");
    run(1, CAMERA "--drive drive --config missing.ini", "missing.ini");
}

/* Runs the program and interrupts it once it works on its first pictures. */
static void run_interrupted(const char *arguments)
{
    char command[1024];
    snprintf(command, sizeof command,
             "cd %s && " SL_SOURCE_DIR "/tests/integration/interrupt 1 " SL_BIN_DIR
             "/skylane-calibrate %s >said 2>&1",
             folder, arguments);
    const int status = system(command);
    char *said = read_text("said");
    if (WEXITSTATUS(status) != 1 || strstr(said, "stopped; no settings are written") == NULL)
        fail_msg("%s: status %d: %s", arguments, WEXITSTATUS(status), said);
    free(said);
}

/* More pictures than a second suffices for; settings must not come from a few. */
static void stopped_by_the_user(void **state)
{
    (void)state;
    char from[256], to[256], name[64];
    snprintf(from, sizeof from, "%s", path_of("drive/0000.jpg"));
    assert_int_equal(mkdir(path_of("many"), 0777), 0);
    for (int i = 0; i < 3000; i++) {
        snprintf(name, sizeof name, "many/%04d.jpg", i);
        snprintf(to, sizeof to, "%s", path_of(name));
        assert_int_equal(link(from, to), 0);
    }
    run_interrupted(CAMERA "--bus camera_feed --lane-width 3.5" LENS " --output never.ini");
    if (sl_chessboard_available())
        run_interrupted(CAMERA "--chessboard 9x6 --images many --output never.ini");
    assert_false(exists("never.ini"));
}

static void misuse(void **state)
{
    (void)state;
    run(2, "", "what to calibrate");
    run(2, "camra", "did you mean \"camera\"");
    run(2, CAMERA, "what to look at");
    run(2, CAMERA "--nonsense", "--nonsense");
    run(2, CAMERA "--drive", "needs a value");
    run(2, CAMERA "--drive nowhere --lane-width 3.5" LENS, "nowhere");
    run(2, CAMERA "--drive drive --lane-width 3.5", "the lens is missing");
    run(2, CAMERA "--drive drive" LENS, "--lane-width is missing");
    run(2, CAMERA "--drive drive --lane-width -1" LENS, "--lane-width");
    run(2, CAMERA "--drive drive --bus camera_feed --lane-width 3" LENS, "exclude each other");
    run(2, CAMERA "--drive drive --lane-width 3.5 --intrinsics 1,2,3", "--intrinsics");
    run(2, CAMERA "--drive drive --lane-width 3.5 --intrinsics 5,6,x,7", "cx");
    run(2, CAMERA "--intrinsics 5,6,7,8", "--size");
    run(2, CAMERA "--chessboard 9x6", "--images");
    run(2, CAMERA "--chessboard 9 --images drive", "9x6");
    run(2, CAMERA "--chessboard 2x6 --images drive", "--chessboard");
    run(2, CAMERA "--fov-deg 60 --chessboard 9x6 --images drive", "exclude each other");
    run(2, CAMERA "--markings pink --drive drive --lane-width 3" LENS, "bright, dark or both");
    run(2, CAMERA "--drive drive/0000.jpg drive/0001.jpg --lane-width 3" LENS, "quoted");
    run(2, CAMERA "--print-board 9x6", "--output");
    run(2, CAMERA "--print-board 9x6 --square-mm 40 --output b.svg", "at the most");
    run(0, CAMERA "--help", "examples:");
    run(0, "--help", "camera");
    run(0, "--version", "skylane-calibrate ");
}

static void board_to_print(void **state)
{
    (void)state;
    run(0, CAMERA "--print-board 9x6 --output board.svg", "squares of 25 mm");
    char *text = read_text("board.svg");
    assert_non_null(strstr(text, "</svg>"));
    free(text);
    run(0, CAMERA "--print-board 20x12 --output small.svg", "squares of 13 mm");
    run(1, CAMERA "--print-board 9x6 --output no/such/board.svg", "cannot write");
    run(0, CAMERA "--print-board 9x6 --output board.svg", "squares of 25 mm"); /* again */
    write_text("precious.ini", "[camera]\n");
    run(1, CAMERA "--print-board 9x6 --output precious.ini", "is no SVG");
}

/* Frames of a running simulator, whose car stands on a straight road. */
static void from_a_bus(void **state)
{
    (void)state;
    char path[512];
    snprintf(path, sizeof path, "%s/skylane-sim", SL_BIN_DIR);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        if (freopen("/dev/null", "w", stdout) == NULL || freopen("/dev/null", "w", stderr) == NULL)
            _exit(126);
        execl(path, path, "--headless", "--track", "oval", "--rate", "20", (char *)NULL);
        _exit(127);
    }
    int status =
        run_program("calibrate", CAMERA
                    "--bus camera_feed --seconds 3 --lane-width 3.5 --json --overlay live" LENS);
    kill(pid, SIGTERM);
    waitpid(pid, NULL, 0);
    char *said = read_text("said");
    if (status != 0)
        fail_msg("%s", said);
    cJSON *json = cJSON_Parse(strchr(said, '{'));
    assert_true(fabs(number_at(json, "pose", "pitch_rad", "value") - 0.09) < 0.004);
    assert_true(fabs(number_at(json, "pose", "height_m", "value") - 1.3) < 0.04);
    cJSON_Delete(json);
    free(said);
    assert_true(exists("live/bus-000.jpg"));
}

static void write_board(const char *name, const struct board_rays *rays,
                        const struct sl_chessboard *board, const struct board_scene *scene)
{
    uint8_t *pixels = malloc((size_t)rays->width * rays->height);
    assert_non_null(pixels);
    board_draw(rays, board, scene, pixels);
    FILE *f = fopen(path_of(name), "wb");
    assert_non_null(f);
    fprintf(f, "P5\n%u %u\n255\n", rays->width, rays->height);
    assert_int_equal(fwrite(pixels, rays->width, rays->height, f), rays->height);
    fclose(f);
    free(pixels);
}

static void from_chessboards(void **state)
{
    (void)state;
    if (!sl_chessboard_available()) {
        run(1, CAMERA "--chessboard 9x6 --images drive", "libopencv-calib3d-dev");
        skip();
    }
    const struct sl_camera_calibration camera = {.width_px = 640,
                                                 .height_px = 480,
                                                 .fx_px = 540,
                                                 .fy_px = 540,
                                                 .cx_px = 325,
                                                 .cy_px = 236,
                                                 .k1 = -0.25,
                                                 .k2 = 0.07};
    const struct sl_chessboard board = {9, 6, 0.025};
    struct board_rays rays = board_rays_of(&camera);
    char name[64];
    assert_int_equal(mkdir(path_of("board"), 0777), 0);
    for (int i = 0; i < 15; i++) {
        struct board_scene scene = {
            .pose = board_usual_pose(i), .blur = 1, .noise = 2, .seed = 3u + (uint32_t)i};
        snprintf(name, sizeof name, "board/%02d.pgm", i);
        write_board(name, &rays, &board, &scene);
    }
    struct board_scene wall = {.none = true, .noise = 2, .seed = 1};
    write_board("board/wall.pgm", &rays, &board, &wall);
    free(rays.xy);
    write_text("board/broken.jpg", "no picture");

    run(0, CAMERA "--chessboard 9x6 --images board --output lens.ini --overlay corners",
        "root mean square");
    char *said = read_text("said");
    assert_non_null(strstr(said, "board/wall.pgm"));
    assert_non_null(strstr(said, "shows no chessboard of 9x6"));
    assert_non_null(strstr(said, "broken.jpg"));
    assert_null(strstr(said, "warning"));
    free(said);
    assert_true(exists("corners/00.jpg"));
    struct sl_settings s;
    struct sl_error err = {0};
    sl_settings_defaults(&s);
    if (sl_settings_read(&s, path_of("lens.ini"), &err) != 0)
        fail_msg("%s", err.text);
    assert_true(fabs(s.camera.fx_px - 540) < 2);
    assert_true(fabs(s.camera.cx_px - 325) < 2);
    assert_true(fabs(s.camera.k1 + 0.25) < 0.03);
    char *text = read_text("lens.ini");
    assert_non_null(strstr(text, "; lens: chessboard 9x6 in 1"));
    assert_null(strstr(text, "height_m"));
    free(text);

    run(0, CAMERA "--chessboard 9x6 --images 'board/0[0-4].pgm' --json", "few pictures");
    run(1, CAMERA "--chessboard 9x6 --images 'board/0[01].pgm'", "3 at the least");
    run(1, CAMERA "--chessboard 7x5 --images 'board/0*.pgm'", "3 at the least");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(from_driving),        cmocka_unit_test(real_roads),
        cmocka_unit_test(keeps_the_rest),      cmocka_unit_test(output_refused),
        cmocka_unit_test(refused_in_words),    cmocka_unit_test(misuse),
        cmocka_unit_test(board_to_print),      cmocka_unit_test(from_a_bus),
        cmocka_unit_test(stopped_by_the_user), cmocka_unit_test(from_chessboards),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
