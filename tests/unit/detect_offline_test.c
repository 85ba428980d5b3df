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
        cmocka_unit_test(predictions), cmocka_unit_test(clips_from_json),
        cmocka_unit_test(overlays),    cmocka_unit_test(bad_pictures),
        cmocka_unit_test(misuse),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
