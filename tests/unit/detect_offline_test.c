/* skylane-detect offline, as a user runs it: what it writes, and what it says
 * when something is wrong. */
#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
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

#include "detect_paint.h"

static char folder[64];

static void path_of(char path[256], const char *name)
{
    snprintf(path, 256, "%s/%s", folder, name);
}

static void write_text(const char *name, const char *text)
{
    char path[256];
    path_of(path, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static char *read_text(const char *name)
{
    char path[256];
    path_of(path, name);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    char *text = calloc(1, 1 << 20);
    assert_non_null(text);
    size_t n = fread(text, 1, (1 << 20) - 1, f);
    text[n] = 0;
    fclose(f);
    return text;
}

static void write_road(const char *name, double offset_m)
{
    char path[256];
    struct sl_detect_config config = paint_config();
    struct paint_scene scene = paint_usual;
    struct sl_frame_info info;
    uint8_t *pixels = malloc(800 * 600 * 3 / 2);
    assert_non_null(pixels);
    scene.offset_m = offset_m;
    paint_road(&config, &scene, pixels, &info);
    path_of(path, name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    fprintf(f, "P5\n800 600\n255\n");
    assert_int_equal(fwrite(pixels, 1, 800 * 600, f), 800 * 600);
    fclose(f);
    free(pixels);
}

/* Runs the program in the folder; its exit status. What it said is in "said". */
static int run(const char *arguments)
{
    char command[1024];
    snprintf(command, sizeof command, "cd %s && " SL_BIN_DIR "/skylane-detect %s >said 2>&1",
             folder, arguments);
    int status = system(command);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void assert_said(const char *words)
{
    char *said = read_text("said");
    if (!strstr(said, words))
        fail_msg("expected \"%s\" in: %s", words, said);
    free(said);
}

static const char *const settings = "[camera]\n"
                                    "width_px = 800\n"
                                    "height_px = 600\n"
                                    "fx_px = 560\n"
                                    "fy_px = 560\n"
                                    "height_m = 1.3\n"
                                    "pitch_rad = 0.09\n"
                                    "[detect]\n"
                                    "lane_width_m = 3.5\n";

static int set_up(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/skylane-detect-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    char path[256];
    const char *clips[] = {"roads", "roads/one", "roads/two"};
    for (size_t i = 0; i < 3; i++) {
        path_of(path, clips[i]);
        if (mkdir(path, 0700))
            return -1;
    }
    write_road("roads/one/0000.pgm", 0.3);
    write_road("roads/one/0001.pgm", 0.2);
    write_road("roads/two/0000.pgm", -0.3);
    write_text("board.ini", settings);
    /* Straight from the geometry: the horizon lies 560 tan(0.09) above the
     * middle; a lane of 3.5 m is 560 / 1.3 * 3.5 times the slope wide. */
    write_text("clips.json", "{\"one\": {\"width\": 800, \"height\": 600, \"horizon_row\": 249,"
                             " \"vanishing_point\": [399.5, 249], \"last_road_row\": 590,"
                             " \"ipm_quad\": [[265, 349], [534, 349], [803, 549], [-4, 549]],"
                             " \"lane_width_m\": 3.5}}");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

static void predictions(void **state)
{
    (void)state;
    assert_int_equal(run("--images roads --calibration board.ini --predictions out.jsonl --json"),
                     0);
    assert_said("\"pictures\":");
    char *text = read_text("out.jsonl");
    const char *names[] = {"one/0000.pgm", "one/0001.pgm", "two/0000.pgm"};
    const double offsets[] = {0.3, 0.2, -0.3};
    char *rest = NULL;
    for (int i = 0; i < 3; i++) {
        char *line = strtok_r(i ? NULL : text, "\n", &rest);
        assert_non_null(line);
        cJSON *o = cJSON_Parse(line);
        assert_non_null(o);
        assert_string_equal(cJSON_GetObjectItem(o, "raw_file")->valuestring, names[i]);
        cJSON *rows = cJSON_GetObjectItem(o, "h_samples");
        cJSON *lanes = cJSON_GetObjectItem(o, "lanes");
        assert_int_equal(cJSON_GetArraySize(lanes), 2);
        int count = cJSON_GetArraySize(rows);
        assert_true(count > 25);
        assert_int_equal(
            cJSON_GetArrayItem(rows, 1)->valueint - cJSON_GetArrayItem(rows, 0)->valueint, 10);
        assert_true(cJSON_GetArrayItem(rows, count - 1)->valueint == 590);
        for (int side = 0; side < 2; side++) {
            cJSON *lane = cJSON_GetArrayItem(lanes, side);
            assert_int_equal(cJSON_GetArraySize(lane), count);
            int v = cJSON_GetArrayItem(rows, 12)->valueint;
            /* The line's place in this row, from the geometry. */
            double slope = tan(atan((v - 299.5) / 560) + 0.09);
            double x = 1.3 / slope, y = (side ? -1.75 : 1.75) - offsets[i];
            double depth = x * cos(0.09) + 1.3 * sin(0.09);
            double u = 399.5 - 560 * y / depth;
            double got = cJSON_GetArrayItem(lane, 12)->valuedouble;
            if (fabs(got - u) > 3)
                fail_msg("column %g, should be %g", got, u);
        }
        assert_true(cJSON_GetObjectItem(o, "run_time")->valuedouble > 0);
        assert_string_equal(cJSON_GetObjectItem(o, "state")->valuestring, "two_lines");
        double offset = cJSON_GetObjectItem(o, "lateral_offset_m")->valuedouble;
        assert_true(fabs(offset - offsets[i]) < 0.03);
        cJSON_Delete(o);
    }
    assert_null(strtok_r(NULL, "\n", &rest));
    free(text);
}

static void clips_from_json(void **state)
{
    (void)state;
    /* A folder of pictures is one clip, named like the folder. */
    assert_int_equal(run("--images roads/one --calibration clips.json --predictions - --track"), 0);
    assert_said("\"raw_file\":\"one/0000.pgm\"");
    assert_said("two_lines");
    /* A glob; and a clip that the JSON does not know. */
    assert_int_equal(run("--images 'roads/*/0000.pgm' --calibration clips.json"), 1);
    assert_said("no clip named \"two\"");
    assert_said("1 could not be processed");
}

static void overlays(void **state)
{
    (void)state;
    assert_int_equal(run("--images roads --calibration board.ini --overlay drawn"), 0);
    struct stat st;
    char path[256];
    path_of(path, "drawn/two/0000.jpg");
    assert_int_equal(stat(path, &st), 0);
    assert_true(st.st_size > 5000);
}

static void bad_pictures(void **state)
{
    (void)state;
    write_text("roads/one/0002.jpg", "this is no picture");
    write_text("roads/one/0003.pgm", "P5\n800 600\n255\nshort");
    write_text("roads/one/0004.pgm", "");
    int status = run("--images roads --calibration board.ini --predictions out.jsonl");
    char path[256];
    const char *bad[] = {"roads/one/0002.jpg", "roads/one/0003.pgm", "roads/one/0004.pgm"};
    for (size_t i = 0; i < 3; i++) {
        path_of(path, bad[i]);
        unlink(path);
    }
    assert_int_equal(status, 1);
    assert_said("0002.jpg: ");
    assert_said("0003.pgm: ");
    assert_said("0004.pgm: is empty");
    assert_said("3 could not be processed");
    char *text = read_text("out.jsonl");
    assert_non_null(strstr(text, "two/0000.pgm"));
    free(text);
}

/* ---- outputs that fail ---- */

static bool exists(const char *name)
{
    char path[256];
    path_of(path, name);
    return access(path, F_OK) == 0;
}

/* Nothing that looks whole is left, and what was there before still is. A limit
 * on the size of files does what a full disk does. */
static void outputs_that_take_no_more(void **state)
{
    (void)state;
    static const char *const LIMIT = "trap \"\" XFSZ; ulimit -f 4; ";
    char command[1024];
    write_text("old.jsonl", "old\n");
    char path[256];
    path_of(path, "enough");
    assert_int_equal(mkdir(path, 0700), 0);
    for (int i = 0; i < 12; i++) { /* of some 600 bytes a line */
        char name[64], from[256];
        snprintf(name, sizeof name, "enough/%04d.pgm", i);
        path_of(from, "roads/one/0000.pgm");
        path_of(path, name);
        assert_int_equal(link(from, path), 0);
    }
    snprintf(command, sizeof command,
             "cd %s && sh -c '%s exec " SL_BIN_DIR "/skylane-detect --images enough --calibration "
             "board.ini --predictions old.jsonl' >said 2>&1",
             folder, LIMIT);
    int status = system(command);
    assert_int_equal(WEXITSTATUS(status), 1);
    assert_said("cannot write old.jsonl: File too large");
    char *said = read_text("said");
    assert_ptr_equal(strchr(said, '\n'), said + strlen(said) - 1); /* one sentence */
    free(said);
    char *text = read_text("old.jsonl");
    assert_string_equal(text, "old\n");
    free(text);
    assert_false(exists("old.jsonl.part"));

    snprintf(command, sizeof command,
             "cd %s && sh -c '%s exec " SL_BIN_DIR "/skylane-detect --images enough --calibration "
             "board.ini --overlay cut' >said 2>&1",
             folder, LIMIT);
    status = system(command);
    assert_int_equal(WEXITSTATUS(status), 1);
    assert_said("cannot write cut/enough/0000.jpg: File too large");
    assert_false(exists("cut/enough/0000.jpg"));
    assert_false(exists("cut/enough/0000.jpg.part"));

    assert_int_equal(run("--images roads --calibration board.ini --predictions /dev/full"), 1);
    assert_said("cannot write /dev/full: No space left on device");
    snprintf(command, sizeof command,
             "cd %s && " SL_BIN_DIR "/skylane-detect --images roads --calibration board.ini "
             "--json 2>said >/dev/full",
             folder);
    status = system(command);
    assert_int_equal(WEXITSTATUS(status), 1);
    assert_said("cannot write to standard output");
}

static void outputs_that_cannot_be(void **state)
{
    (void)state;
    write_text("file", "text");
    assert_int_equal(run("--images roads --calibration board.ini --overlay file"), 1);
    assert_said("cannot make the folder file: a file has this name");
    assert_int_equal(run("--images roads --calibration board.ini --predictions roads"), 1);
    assert_said("cannot write roads: Is a directory");
    /* Pictures must not be drawn over themselves. */
    assert_int_equal(run("--images roads --calibration board.ini --overlay first"), 0);
    char *before = read_text("first/one/0000.jpg");
    assert_int_equal(run("--images first --calibration board.ini --overlay first"), 1);
    assert_said("first/one/0000.jpg is one of the pictures; give --overlay another folder");
    char *after = read_text("first/one/0000.jpg");
    assert_memory_equal(before, after, 4096);
    free(before);
    free(after);
}

/* ---- video ---- */

/* Two pictures of the clip "one", as often as asked, as a video; then `cut`
 * bytes are taken off its end. */
static void write_video(const char *name, int frames, long cut)
{
    static const char *const pictures[] = {"roads/one/0000.pgm", "roads/one/0001.pgm"};
    const size_t head = strlen("P5\n800 600\n255\n"), size = 800 * 600;
    char path[256];
    uint8_t *bytes = malloc(head + size);
    assert_non_null(bytes);
    path_of(path, name);
    FILE *to = fopen(path, "wb");
    assert_non_null(to);
    fprintf(to, "YUV4MPEG2 W800 H600 F60:1 Cmono XCOLORRANGE=FULL\n");
    for (int i = 0; i < frames; i++) {
        path_of(path, pictures[i % 2]);
        FILE *from = fopen(path, "rb");
        assert_non_null(from);
        assert_int_equal(fread(bytes, 1, head + size, from), head + size);
        fclose(from);
        fprintf(to, "FRAME\n");
        assert_int_equal(fwrite(bytes + head, 1, size, to), size);
    }
    const long end = ftell(to);
    fclose(to);
    free(bytes);
    path_of(path, name);
    assert_int_equal(truncate(path, end - cut), 0);
}

/* The line's columns of one side as they were written. */
static char *lane_of(const char *line, int side)
{
    cJSON *o = cJSON_Parse(line);
    assert_non_null(o);
    char *text = cJSON_PrintUnformatted(cJSON_GetArrayItem(cJSON_GetObjectItem(o, "lanes"), side));
    cJSON_Delete(o);
    assert_non_null(text);
    return text;
}

static void assert_same_lanes(const char *a, const char *b)
{
    for (int side = 0; side < 2; side++) {
        char *x = lane_of(a, side), *y = lane_of(b, side);
        assert_string_equal(x, y);
        free(x);
        free(y);
    }
}

static void video_finds_what_pictures_do(void **state)
{
    (void)state;
    write_video("drive.y4m", 4, 0);
    assert_int_equal(run("--images roads/one --calibration board.ini --predictions pictures"), 0);
    assert_int_equal(run("--video drive.y4m --calibration board.ini --predictions frames"
                         " --overlay drawn"),
                     0);
    char *pictures = read_text("pictures"), *frames = read_text("frames");
    char *rest = NULL, *lines[4], *expected[2];
    expected[0] = strtok_r(pictures, "\n", &rest);
    expected[1] = strtok_r(NULL, "\n", &rest);
    for (int i = 0; i < 4; i++) {
        char name[64];
        lines[i] = strtok_r(i ? NULL : frames, "\n", &rest);
        assert_non_null(lines[i]);
        snprintf(name, sizeof name, "\"raw_file\":\"drive/%06d\"", i + 1);
        assert_non_null(strstr(lines[i], name));
        assert_same_lanes(lines[i], expected[i % 2]);
    }
    assert_null(strtok_r(NULL, "\n", &rest));
    free(pictures);
    free(frames);
    struct stat st;
    char path[256];
    path_of(path, "drawn/drive/000004.jpg");
    assert_int_equal(stat(path, &st), 0);
    assert_true(st.st_size > 5000);

    /* The same from standard input, and a folder in its order. */
    assert_int_equal(run("--video - --calibration board.ini --predictions piped <drive.y4m"), 0);
    assert_int_equal(run("--video - --calibration board.ini --json < /dev/null"), 2);
    assert_said("standard input");
    char command[512];
    snprintf(command, sizeof command,
             "cd %s && cat drive.y4m | " SL_BIN_DIR
             "/skylane-detect --video - --calibration board.ini --predictions piped >said 2>&1",
             folder);
    assert_int_equal(system(command), 0);
    frames = read_text("piped");
    assert_non_null(strstr(frames, "\"raw_file\":\"video/000004\""));
    assert_null(strstr(frames, "000005"));
    free(frames);
    assert_int_equal(run("--video roads/one/ --calibration clips.json --predictions -"), 0);
    assert_said("\"raw_file\":\"one/000002\"");
}

static void video_that_is_bad(void **state)
{
    (void)state;
    write_video("torn.y4m", 3, 7);
    assert_int_equal(run("--video torn.y4m --calibration board.ini --predictions out.jsonl"), 1);
    assert_said("torn/000003: the video ends within a frame");
    assert_said("1 could not be processed");
    char *text = read_text("out.jsonl");
    assert_non_null(strstr(text, "torn/000002"));
    free(text);
    assert_int_equal(run("--video missing.y4m --calibration board.ini"), 2);
    assert_said("missing.y4m");
    write_text("text.y4m", "this is no video");
    assert_int_equal(run("--video text.y4m --calibration board.ini"), 2);
    assert_said("text.y4m: this is no YUV4MPEG2 video");
    write_text("film.mp4", "a kind of video that only ffmpeg reads");
    assert_int_equal(run("--video film.mp4 --calibration board.ini"), 2);
    assert_said("film.mp4: neither a JPEG");
    assert_said("ffmpeg -i FILE");
    /* Its first picture alone could be read, which nobody would notice. */
    write_text("film.mjpeg", "frames");
    assert_int_equal(run("--video film.mjpeg --calibration board.ini"), 2);
    assert_said("film.mjpeg: Motion JPEG is not read, of video only .y4m is; other kinds");
    /* One that never begins. */
    char path[256], command[1024];
    path_of(path, "pipe");
    assert_int_equal(mkfifo(path, 0600), 0);
    snprintf(command, sizeof command,
             "cd %s && " SL_SOURCE_DIR "/tests/integration/interrupt 0.5 " SL_BIN_DIR
             "/skylane-detect --video - --calibration board.ini <>pipe >said 2>&1",
             folder);
    const int status = system(command);
    assert_int_equal(WEXITSTATUS(status), 1);
    assert_said("stopped before the video began");
    /* A clip that the calibration does not know. */
    assert_int_equal(run("--video torn.y4m --calibration clips.json"), 2);
    assert_said("no clip named \"torn\"");
    assert_int_equal(run("--video torn.y4m --images roads --calibration board.ini"), 2);
    assert_said("either --images or --video");
}

/* ---- what is said in the end, and while it takes long ---- */

static void summary_has_a_line_a_clip(void **state)
{
    (void)state;
    assert_int_equal(run("--images roads --calibration board.ini"), 0);
    char *said = read_text("said");
    assert_null(strchr(said, '\033')); /* no colours, no bar: this is no terminal */
    assert_null(strchr(said, '\r'));
    static const struct {
        const char *clip;
        unsigned pictures;
    } lines[] = {{"one", 2}, {"two", 1}, {"all", 3}};
    char *rest = NULL;
    const char *line = strtok_r(said, "\n", &rest);
    assert_non_null(strstr(line, "two lines"));
    for (size_t i = 0; i < 3; i++) {
        char *field = NULL;
        char *clip = strtok_r(strtok_r(NULL, "\n", &rest), " ", &field);
        assert_string_equal(clip, lines[i].clip);
        double numbers[8];
        for (int k = 0; k < 8; k++) {
            char *number = strtok_r(NULL, " ", &field);
            assert_non_null(number);
            numbers[k] = strtod(number, NULL);
        }
        assert_true(numbers[0] == lines[i].pictures && numbers[1] == lines[i].pictures);
        assert_true(numbers[2] == 0 && numbers[3] == 0 && numbers[4] == 0);
        assert_true(numbers[5] > 0.5 && numbers[5] <= 1);        /* confidence */
        assert_true(numbers[6] > 0 && numbers[7] >= numbers[6]); /* ms p50, p99 */
    }
    free(said);

    /* The same numbers as JSON. */
    assert_int_equal(run("--images roads --calibration board.ini --json"), 0);
    said = read_text("said");
    cJSON *o = cJSON_Parse(said);
    assert_non_null(o);
    assert_int_equal(cJSON_GetObjectItem(o, "pictures")->valueint, 3);
    assert_int_equal(cJSON_GetObjectItem(o, "two_lines")->valueint, 3);
    assert_true(cJSON_GetObjectItem(o, "mean_run_time_ms")->valuedouble > 0);
    cJSON *clips = cJSON_GetObjectItem(o, "clips");
    assert_int_equal(cJSON_GetArraySize(clips), 2);
    cJSON *two = cJSON_GetArrayItem(clips, 1);
    assert_string_equal(cJSON_GetObjectItem(two, "clip")->valuestring, "two");
    assert_int_equal(cJSON_GetObjectItem(two, "pictures")->valueint, 1);
    assert_true(cJSON_GetObjectItem(two, "mean_confidence")->valuedouble > 0.5);
    assert_true(cJSON_GetObjectItem(two, "p99_run_time_ms")->valuedouble >=
                cJSON_GetObjectItem(two, "p50_run_time_ms")->valuedouble);
    cJSON_Delete(o);
    free(said);
}

/* Runs the program with a terminal as its standard error; what it said there
 * is in "said". */
static int run_in_terminal(const char *before, const char *arguments)
{
    char command[1024];
    snprintf(command, sizeof command,
             "cd %s && script -qec '%s " SL_BIN_DIR "/skylane-detect %s' said >/dev/null 2>&1 "
             "</dev/null",
             folder, before, arguments);
    int status = system(command);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void long_work_shows_how_far_it_is(void **state)
{
    (void)state;
    if (system("command -v script >/dev/null") != 0)
        skip(); /* util-linux's, for a terminal */
    /* Short work: no bar, but colours. */
    assert_int_equal(run_in_terminal("", "--images roads --calibration board.ini"), 0);
    char *said = read_text("said");
    assert_non_null(strstr(said, "\033[1mclip"));
    assert_null(strstr(said, "a second"));
    free(said);
    assert_int_equal(run_in_terminal("NO_COLOR=1", "--images roads --calibration board.ini"), 0);
    said = read_text("said");
    assert_null(strstr(said, "\033[1m"));
    free(said);

    /* Of what comes through a pipe nobody knows how long it is. */
    write_video("long.y4m", 6, 0);
    assert_int_equal(run_in_terminal("(head -c 1000000 long.y4m; sleep 1.3; tail -c +1000001 "
                                     "long.y4m) |",
                                     "--video - --calibration board.ini"),
                     0);
    assert_said(" pictures, ");
    assert_said(" a second");
    said = read_text("said");
    assert_null(strstr(said, " left"));
    /* The bar has given way to the table. */
    const char *last = strstr(said, " a second");
    for (const char *next; (next = strstr(last + 1, " a second")) != NULL;)
        last = next;
    assert_non_null(strstr(last, "\r\033[K"));
    assert_non_null(strstr(last, "two lines"));
    free(said);
}

/* A bar of known length: enough pictures that a second does not suffice. */
static void a_bar_tells_what_is_left(void **state)
{
    (void)state;
    if (system("command -v script >/dev/null") != 0)
        skip();
    char path[256], target[256];
    path_of(path, "many");
    assert_int_equal(mkdir(path, 0700), 0);
    path_of(target, "roads/one/0000.pgm");
    for (int i = 0; i < 3000; i++) {
        char name[64];
        snprintf(name, sizeof name, "many/%04d.pgm", i);
        path_of(path, name);
        assert_int_equal(link(target, path), 0);
    }
    assert_int_equal(run_in_terminal(SL_SOURCE_DIR "/tests/integration/interrupt 2",
                                     "--images many --calibration board.ini "
                                     "--overlay drawn --predictions many.jsonl"),
                     1);
    assert_said("] ");
    assert_said(" of 3000 pictures, ");
    assert_said(" left");
    assert_said("stopped after ");
    assert_said("two lines");                           /* what was done is told all the same, */
    assert_said("pictures; their predictions are in "); /* and kept, but not as if it were all */
    assert_true(exists("many.jsonl.part"));
    assert_false(exists("many.jsonl"));
    char *lines = read_text("many.jsonl.part");
    assert_true(strlen(lines) > 0 && lines[strlen(lines) - 1] == '\n');
    free(lines);
}

/* Files that this user may not read. Root may, and cannot see it. */
static void what_may_not_be_read(void **state)
{
    (void)state;
    char path[256];
    if (getuid() == 0)
        skip();
    write_text("secret", "");
    path_of(path, "secret");
    assert_int_equal(chmod(path, 0), 0);
    assert_int_equal(run("--video secret --calibration board.ini"), 2);
    assert_said("secret: Permission denied\n"); /* and nothing of ffmpeg */
    assert_int_equal(run("--images roads --calibration secret"), 1);
    assert_said("cannot read the calibration secret: Permission denied");
    path_of(path, "dark");
    assert_int_equal(mkdir(path, 0), 0);
    assert_int_equal(run("--images dark --calibration board.ini"), 1);
    assert_said("cannot read the folder dark: Permission denied");
    assert_int_equal(rmdir(path), 0);
}

static void misuse(void **state)
{
    (void)state;
    assert_int_equal(run("--images roads"), 2);
    assert_said("--calibration is missing");
    assert_int_equal(run("--calibration board.ini"), 2);
    assert_said("--images is missing");
    assert_int_equal(run("--nonsense"), 2);
    assert_said("--help");
    assert_int_equal(run("--images roads --calibration board.ini stray"), 2);
    assert_said("stray");
    assert_int_equal(run("--images nowhere --calibration board.ini"), 2);
    assert_said("nowhere");
    assert_int_equal(run("--images roads --calibration missing.ini"), 2);
    assert_said("missing.ini");
    write_text("bad.ini", "[camera]\nheight_m = tall\n");
    assert_int_equal(run("--images roads --calibration bad.ini"), 2);
    assert_said("bad.ini");
    write_text("bad.json", "{ \"one\": ");
    assert_int_equal(run("--images roads --calibration bad.json"), 2);
    assert_said("bad.json");
    write_text("odd.json", "{\"one\": {\"width\": 800, \"height\": 600, \"ipm_quad\": [[1, 2]]}}");
    assert_int_equal(run("--images roads/one --calibration odd.json"), 1);
    assert_said("ipm_quad");
    assert_int_equal(run("--images roads --calibration board.ini --predictions no/such/folder"), 1);
    assert_said("no/such/folder");
    assert_int_equal(run("--help"), 0);
    assert_said("examples:");
    assert_int_equal(run("--version"), 0);
    assert_said("skylane-detect ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(predictions),
        cmocka_unit_test(clips_from_json),
        cmocka_unit_test(overlays),
        cmocka_unit_test(bad_pictures),
        cmocka_unit_test(outputs_that_take_no_more),
        cmocka_unit_test(outputs_that_cannot_be),
        cmocka_unit_test(video_finds_what_pictures_do),
        cmocka_unit_test(video_that_is_bad),
        cmocka_unit_test(summary_has_a_line_a_clip),
        cmocka_unit_test(long_work_shows_how_far_it_is),
        cmocka_unit_test(a_bar_tells_what_is_left),
        cmocka_unit_test(what_may_not_be_read),
        cmocka_unit_test(misuse),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
