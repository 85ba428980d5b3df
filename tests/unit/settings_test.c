/* The settings: what a file may say, how each error is told, and that what is
 * printed can be read back. */
#include <errno.h>
#include <locale.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cjson/cJSON.h>
#include <cmocka.h>

#include "app/config/convert.h"
#include "app/config/settings.h"

static char folder[64];
static char path[128];

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/sl_settings_XXXXXX");
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(path, sizeof path, "%s/test.ini", folder);
    return 0;
}

static int drop_folder(void **state)
{
    (void)state;
    unlink(path);
    rmdir(folder);
    return 0;
}

static void write_file(const char *text, size_t size)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, size, file), size);
    fclose(file);
}

static int read_text(struct sl_settings *settings, const char *text, struct sl_error *err)
{
    write_file(text, strlen(text));
    sl_settings_defaults(settings);
    memset(err, 0, sizeof *err);
    return sl_settings_read(settings, path, err);
}

static void contains(const char *text, const char *part)
{
    if (strstr(text, part) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", text, part);
}

static void defaults_are_good(void **state)
{
    (void)state;
    struct sl_settings s;
    struct sl_error err = {0};
    sl_settings_defaults(&s);
    if (sl_settings_check(&s, &err) != 0)
        fail_msg("%s", err.text);
    assert_true(s.vehicle.wheelbase_m == 2.7);
    assert_int_equal(s.camera.width_px, 800);
    assert_string_equal(s.bus.camera, "camera_feed");
    assert_string_equal(s.bus.detection, "detection_results");
    assert_false(s.safety.arm_at_start);
}

static void reads_what_is_allowed(void **state)
{
    (void)state;
    struct sl_settings s;
    struct sl_error err;
    const char *text = "\xEF\xBB\xBF; a comment\r\n"
                       "# another\r\n"
                       "   ; an indented one\n"
                       "\n"
                       "[vehicle]   ; after a section\n"
                       "wheelbase_m=3\n"
                       "steering_max_rad : .4 ; after a value\n"
                       "speed_max_mps = 1.5e1 # so too\n"
                       "[camera] # and here\n"
                       "width_px = +640\t\n"
                       "driver = FILE\n"
                       "source = /a folder/with;odd#name.jpg\n"
                       "loop = No\n"
                       "k1 = -0.25\n"
                       "[safety]\n"
                       "arm_at_start = ON\n"
                       "[vehicle]\n"
                       "accel_max_mps2 = 1"; /* no newline at the end */
    if (read_text(&s, text, &err) != 0)
        fail_msg("%s", err.text);
    assert_true(s.vehicle.wheelbase_m == 3);
    assert_true(s.vehicle.steering_max_rad == 0.4);
    assert_true(s.vehicle.speed_max_mps == 15);
    assert_true(s.vehicle.accel_max_mps2 == 1);
    assert_int_equal(s.camera.width_px, 640);
    assert_string_equal(s.camera.driver, "file");
    assert_string_equal(s.camera.source, "/a folder/with;odd#name.jpg");
    assert_false(s.camera.loop);
    assert_true(s.camera.k1 == -0.25);
    assert_true(s.safety.arm_at_start);
    assert_int_equal(read_text(&s, "", &err), 0);
    static const char *const WORDS[] = {"true", "yes", "on", "1", "false", "no", "off", "0"};
    for (int i = 0; i < 8; i++) {
        char line[64];
        snprintf(line, sizeof line, "[camera]\nloop = %s\n", WORDS[i]);
        assert_int_equal(read_text(&s, line, &err), 0);
        assert_int_equal(s.camera.loop, i < 4);
    }
}

/* Each error with the line, the key and what is allowed; nothing is taken over. */
static void refuses_with_reasons(void **state)
{
    (void)state;
    char long_line[600], long_section[400], long_comment[600];
    snprintf(long_line, sizeof long_line, "[camera]\nsource = %0*d\n", 300, 1);
    snprintf(long_section, sizeof long_section, "[%0*d]\n", 120, 1);
    snprintf(long_comment, sizeof long_comment, "\n; %0*d\n", 300, 1);
    const struct {
        const char *text;
        unsigned line;
        const char *says, *also;
    } cases[] = {
        {"[vehicle]\nwheelbase = 3\n", 2, "vehicle.wheelbase: no such key",
         "did you mean vehicle.wheelbase_m?"},
        {"[vehicle]\n\nspeed_mps = 3\n", 3, "vehicle.speed_mps: no such key",
         "did you mean control.speed_mps?"},
        {"[vehicle]\nWheelbase_m = 3\n", 2, "no such key", "vehicle.wheelbase_m?"},
        {"[vehicle]\nzzzzqqqq = 3\n", 2, "vehicle.zzzzqqqq: no such key", "--reference"},
        {"[vehicel]\nwheelbase_m = 3\n", 1, "[vehicel]: no such section", "[vehicle]?"},
        {"[wxyzwxyz]\n", 1, "[wxyzwxyz]: no such section", "--reference"},
        {"[]\n", 1, "no such section", ""},
        {long_section, 1, "no such section", ""},
        {"[vehicle]\nwheelbase_m = 3\nwheelbase_m = 3\n", 3, "vehicle.wheelbase_m: set twice",
         "line 2"},
        {"[vehicle]\nwheelbase_m = 3\n[camera]\n[vehicle]\nwheelbase_m = 2\n", 5, "set twice",
         "line 2"},
        {"wheelbase_m = 3\n", 1, "wheelbase_m: stands before the first [section]", ""},
        {"[vehicle\nwheelbase_m = 3\n", 1, "closing ]", ""},
        {"[vehicle] wheelbase_m = 3\n", 1, "text after the section's ]", ""},
        {"[vehicle]\nwheelbase_m\n", 2, "neither [section] nor key = value", ""},
        {"[vehicle]\n= 3\n", 2, "the key before the =", ""},
        {"[vehicle]\nwheelbase_m = 3\n  steering_max_rad = 0.3\n", 3, "indented", "first column"},
        {"[vehicle]\nwheelbase_m = 3\n\t4\n", 3, "indented", ""},
        {"[vehicle]\nwheelbase_m =\n", 2, "vehicle.wheelbase_m: \"\" is empty", "0.05 to 10 m"},
        {"[vehicle]\nwheelbase_m = 2.7 m\n", 2, "text after the number", "0.05 to 10 m"},
        {"[vehicle]\nwheelbase_m = 2,7\n", 2, "text after the number", ""},
        {"[vehicle]\nwheelbase_m = two\n", 2, "not a decimal number", ""},
        {"[vehicle]\nwheelbase_m = nan\n", 2, "not a decimal number", ""},
        {"[vehicle]\nwheelbase_m = inf\n", 2, "not a decimal number", ""},
        {"[vehicle]\nwheelbase_m = 0x2\n", 2, "not a decimal number", ""},
        {"[vehicle]\nwheelbase_m = 1e999\n", 2, "out of range", "0.05 to 10 m"},
        {"[vehicle]\nwheelbase_m = 0.0499\n", 2, "out of range", "0.05 to 10 m"},
        {"[vehicle]\nwheelbase_m = 10.001\n", 2, "out of range", ""},
        {"[vehicle]\nwheelbase_m = -3\n", 2, "out of range", ""},
        {"[camera]\nwidth_px = 800.0\n", 2, "camera.width_px: \"800.0\" has text after",
         "a whole number, 16 to 8192 px"},
        {"[camera]\nwidth_px = 8193\n", 2, "out of range", ""},
        {"[camera]\nwidth_px = 99999999999999999999\n", 2, "out of range", ""},
        {"[camera]\nwidth_px = px\n", 2, "not a whole number", ""},
        {"[camera]\nwidth_px =\n", 2, "is empty", ""},
        {"[camera]\nloop = maybe\n", 2, "neither true nor false", "true or false"},
        {"[camera]\nloop =\n", 2, "neither true nor false", ""},
        {"[camera]\ndriver = usb\n", 2, "camera.driver: \"usb\" is none of its choices",
         "bus, file, pattern"},
        {"[camera]\ndriver = fil\n", 2, "none of its choices", ""},
        {"[camera]\ndriver = file|bus\n", 2, "none of its choices", ""},
        {"[camera]\ndriver =\n", 2, "none of its choices", ""},
        {long_line, 2, "longer than", "shorten the line"},
        {long_comment, 2, "longer than", "shorten the comment"},
        {"[camera]\nsource = a\x01z\n", 2, "control character", ""},
        {"[camera]\rwidth_px = 3\n", 1, "control character", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sl_settings s, before;
        struct sl_error err;
        sl_settings_defaults(&before);
        assert_int_equal(read_text(&s, cases[i].text, &err), -EINVAL);
        char where[160];
        snprintf(where, sizeof where, "%s:%u: ", path, cases[i].line);
        if (strncmp(err.text, where, strlen(where)) != 0)
            fail_msg("\"%s\" does not begin with \"%s\"", err.text, where);
        contains(err.text, cases[i].says);
        contains(err.text, cases[i].also);
        assert_memory_equal(&s, &before, sizeof s);
    }
}

static void refuses_zero_bytes(void **state)
{
    (void)state;
    static const char TEXT[] = "[vehicle]\nwheelbase_m = 3\0.5\n";
    struct sl_settings s;
    struct sl_error err = {0};
    write_file(TEXT, sizeof TEXT - 1);
    sl_settings_defaults(&s);
    assert_int_equal(sl_settings_read(&s, path, &err), -EINVAL);
    contains(err.text, ":2: holds a zero byte");
    assert_true(s.vehicle.wheelbase_m == 2.7);
    /* Callers that do not want the words. */
    assert_int_equal(sl_settings_read(&s, path, NULL), -EINVAL);
}

static void refuses_what_is_no_file(void **state)
{
    (void)state;
    struct sl_settings s;
    struct sl_error err = {0};
    sl_settings_defaults(&s);
    assert_int_equal(sl_settings_read(&s, "/nowhere/at/all.ini", &err), -ENOENT);
    contains(err.text, "/nowhere/at/all.ini: cannot open");
    assert_int_equal(sl_settings_read(&s, folder, &err), -EISDIR);
    contains(err.text, "is a folder");
    char *big = malloc(1024 * 1024 + 1);
    assert_non_null(big);
    memset(big, '\n', 1024 * 1024 + 1);
    write_file(big, 1024 * 1024 + 1);
    assert_int_equal(sl_settings_read(&s, path, &err), -EFBIG);
    contains(err.text, "larger than 1 MiB");
    write_file(big, 1024 * 1024);
    assert_int_equal(sl_settings_read(&s, path, &err), 0);
    free(big);
    if (geteuid() != 0) {
        chmod(path, 0);
        assert_int_equal(sl_settings_read(&s, path, &err), -EACCES);
        chmod(path, 0600);
    }
}

/* A line as long as the reader takes passes whole, one more byte does not. */
static void longest_line(void **state)
{
    (void)state;
    struct sl_settings s;
    struct sl_error err;
    char text[512], value[256];
    size_t longest = 0;
    for (size_t n = 100; n < 250; n++) {
        memset(value, 'x', n);
        value[n] = '\0';
        snprintf(text, sizeof text, "[camera]\nsource = %s\n", value);
        if (read_text(&s, text, &err) == 0) {
            assert_string_equal(s.camera.source, value);
            longest = n;
        } else {
            assert_true(strstr(err.text, "longer than") != NULL ||
                        strstr(err.text, "too long") != NULL);
        }
    }
    assert_int_equal(longest, 180);
}

static void sets_one(void **state)
{
    (void)state;
    struct sl_settings s;
    struct sl_error err = {0};
    sl_settings_defaults(&s);
    assert_int_equal(sl_settings_set(&s, "control.law=stanley", &err), 0);
    assert_string_equal(s.control.law, "stanley");
    assert_int_equal(sl_settings_set(&s, " control . speed_mps = 4.5 ", &err), 0);
    assert_true(s.control.speed_mps == 4.5);
    assert_int_equal(sl_settings_set(&s, "camera.source=a=b.c", &err), 0);
    assert_string_equal(s.camera.source, "a=b.c");
    char many[2000];
    memset(many, 'a', sizeof many - 1);
    many[sizeof many - 1] = '\0';
    memcpy(many, "camera.source=", 14);
    char medium[300];
    snprintf(medium, sizeof medium, "camera.source=%0*d", 181, 1);
    const struct {
        const char *text, *says;
    } cases[] = {
        {"control.law", "expected section.key=value"},
        {"law=pid", "expected section.key=value"},
        {"=", "expected section.key=value"},
        {"", "expected section.key=value"},
        {"control.lawx=pid", "did you mean control.law?"},
        {"control.law=fuzzy", "pure_pursuit, stanley, pid"},
        {"control.speed_mps=5x", "text after the number"},
        {"camera.source=a ;b", "comment"},
        {"camera.source=#b", "comment"},
        {"camera.source=a\nb", "control character"},
        {many, "longer than any setting"},
        {medium, "too long"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sl_settings before = s;
        assert_int_equal(sl_settings_set(&s, cases[i].text, &err), -EINVAL);
        contains(err.text, cases[i].says);
        assert_memory_equal(&s, &before, sizeof s);
    }
}

static void checks_keys_together(void **state)
{
    (void)state;
    const struct {
        const char *set[3];
        const char *says;
    } cases[] = {
        {{"detect.near_m=10", "detect.far_m=10"},
         "detect.near_m (10 m) must be less than detect.far_m"},
        {{"detect.marking_width_m=0.5", "detect.lane_width_m=1"}, "detect.marking_width_m"},
        {{"control.speed_mps=11"},
         "control.speed_mps (11 m/s) must be at most vehicle.speed_max_mps"},
        {{"control.deadline_us=20000"}, "control.deadline_us"},
        {{"safety.hold_ms=2000"}, "safety.hold_ms (2000 ms) must be at most safety.slow_ms"},
        {{"safety.standing_mps=10"}, "safety.standing_mps"},
        {{"safety.command_lease_ms=10"}, "safety.command_lease_ms"},
        {{"realtime.detect_priority=81"}, "realtime.control_priority"},
        {{"realtime.camera_priority=81"}, "realtime.control_priority"},
        {{"realtime.actuator_priority=79"}, "realtime.actuator_priority"},
        {{"actuator.steering_centre_us=1900"},
         "actuator.steering_centre_us (1900 us) must lie between actuator.steering_left_us"},
        {{"actuator.steering_right_us=1950"}, "must lie between"},
        {{"camera.driver=v4l2", "camera.rate_hz=5"},
         "safety.camera_stall_ms (200) must be at least 400, two periods of camera.rate_hz (5)"},
        {{"camera.driver=libcamera", "camera.rate_hz=9.9"}, "must be at least 202"},
        {{"actuator.throttle_start_us=1500"}, "actuator.throttle_start_us"},
        {{"actuator.throttle_end_us=1400"}, "actuator.throttle_start_us"},
        {{"actuator.throttle_brake_us=1600"}, "actuator.throttle_neutral_us"},
        {{"actuator.throttle_brake_us=100"}, "at least 400"},
        {{"actuator.throttle_channel=0"}, "servo and ESC need an output each"},
        {{"actuator.steering_pwm=pwmchip0/1"}, "servo and ESC need an output each"},
        {{"actuator.throttle_pwm=pwmchip0/00000000000000000000000000000001"}, "pwmchipN/M"},
        {{"actuator.vesc_speed_gain=0"}, "nothing would move"},
        {{"actuator.steering_check=00000000"}, "skylane calibrate steering"},
        {{"actuator.driver=pwm", "control.rate_hz=11", "safety.command_lease_ms=200"},
         "control.rate_hz (11 Hz) is too low for actuator.driver pwm"},
        {{"camera.source="}, "camera.source: empty"},
        {{"bus.state="}, "bus.state"},
        {{"bus.state=Upper"}, "allowed: 1 to 48 of a-z, 0-9, _"},
        {{"bus.state=a1234567890123456789012345678901234567890123456789"}, "bus.state"},
        {{"bus.state=same", "bus.action=same"}, "bus.state and bus.action are both \"same\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sl_settings s;
        struct sl_error err = {0};
        sl_settings_defaults(&s);
        for (int k = 0; k < 3 && cases[i].set[k] != NULL; k++)
            assert_int_equal(sl_settings_set(&s, cases[i].set[k], &err), 0);
        assert_int_equal(sl_settings_check(&s, &err), -EINVAL);
        contains(err.text, cases[i].says);
    }
    struct sl_settings s;
    struct sl_error err = {0};
    sl_settings_defaults(&s);
    sl_settings_set(&s, "realtime.camera_priority=90", &err);
    sl_settings_set(&s, "realtime.enable=off", &err);
    assert_int_equal(sl_settings_check(&s, &err), 0);
}

static void prints_what_it_reads(void **state)
{
    (void)state;
    struct sl_settings s, again;
    struct sl_error err = {0};
    sl_settings_defaults(&s);
    assert_int_equal(sl_settings_set(&s, "control.speed_mps=0.1", &err), 0);
    s.control.lookahead_min_m = 1.0 / 3;
    s.camera.k1 = -1e-17;
    s.vehicle.wheelbase_m = 2.7000000000000006;
    assert_int_equal(sl_settings_set(&s, "camera.source=/tmp/a b;c#d", &err), 0);
    /* In a locale with decimal commas, where there is one, all is the same. */
    if (setlocale(LC_ALL, "de_DE.UTF-8") == NULL)
        setlocale(LC_ALL, "");
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    sl_settings_print(&s, file);
    fclose(file);
    sl_settings_defaults(&again);
    int rc = sl_settings_read(&again, path, &err);
    setlocale(LC_ALL, "C");
    if (rc != 0)
        fail_msg("%s", err.text);
    assert_memory_equal(&s, &again, sizeof s);
}

static void json_has_everything(void **state)
{
    (void)state;
    struct sl_settings s;
    sl_settings_defaults(&s);
    char *text = sl_settings_json(&s);
    assert_non_null(text);
    cJSON *root = cJSON_Parse(text);
    assert_non_null(root);
    const cJSON *camera = cJSON_GetObjectItem(root, "camera");
    assert_true(cJSON_GetObjectItem(camera, "height_m")->valuedouble == 1.3);
    assert_int_equal(cJSON_GetObjectItem(camera, "width_px")->valueint, 800);
    assert_true(cJSON_IsTrue(cJSON_GetObjectItem(camera, "loop")));
    assert_string_equal(cJSON_GetObjectItem(camera, "driver")->valuestring, "bus");
    assert_non_null(cJSON_GetObjectItem(root, "realtime"));
    cJSON_Delete(root);
    free(text);
}

/* docs/settings.md is what the table says today. */
static void reference_is_up_to_date(void **state)
{
    (void)state;
    char *text = NULL;
    size_t size = 0;
    FILE *memory = open_memstream(&text, &size);
    assert_non_null(memory);
    sl_settings_reference(memory, true);
    fclose(memory);
    FILE *file = fopen(SL_SOURCE_DIR "/docs/settings.md", "r");
    if (file == NULL)
        fail_msg("docs/settings.md is missing: skylane config --reference --markdown writes it");
    char *page = calloc(1, size + 2);
    assert_non_null(page);
    size_t got = fread(page, 1, size + 1, file);
    fclose(file);
    if (got != size || memcmp(page, text, size) != 0)
        fail_msg("docs/settings.md is out of date: "
                 "skylane config --reference --markdown > docs/settings.md");
    free(page);
    free(text);

    memory = open_memstream(&text, &size);
    assert_non_null(memory);
    sl_settings_reference(memory, false);
    fclose(memory);
    contains(text, "wheelbase_m = 2.7");
    contains(text, "allowed: 0.05 to 10 m");
    contains(text, "may change while driving");
    free(text);
}

/* The files that come with the simulator. */
static void shipped_files_are_good(void **state)
{
    (void)state;
    static const char *const FILES[] = {"skylane.ini", "lab.ini"};
    for (int i = 0; i < 2; i++) {
        char name[512];
        struct sl_settings s;
        struct sl_error err = {0};
        snprintf(name, sizeof name, "%s/board/sim/%s", SL_SOURCE_DIR, FILES[i]);
        sl_settings_defaults(&s);
        if (sl_settings_read(&s, name, &err) != 0 || sl_settings_check(&s, &err) != 0)
            fail_msg("%s", err.text);
        assert_true(s.safety.arm_at_start && s.safety.recover_source);

        struct sl_control_config control_config;
        struct sl_control control;
        struct sl_limits_config limits_config;
        struct sl_limits limits;
        struct sl_safety_config safety_config;
        struct sl_safety safety;
        struct sl_detect_config detect;
        sl_settings_control(&s, &control_config);
        sl_settings_limits(&s, &limits_config);
        sl_settings_safety(&s, &safety_config);
        sl_settings_detect(&s, &detect);
        assert_int_equal(sl_control_init(&control, &control_config, &err), 0);
        assert_int_equal(sl_limits_init(&limits, &limits_config, &err), 0);
        assert_int_equal(sl_safety_init(&safety, &safety_config, 1, &err), 0);
        assert_int_equal(detect.camera.width_px, 800);
        assert_true(detect.lane_width_m == s.detect.lane_width_m);
    }
}

static void converts_laws(void **state)
{
    (void)state;
    static const char *const NAMES[] = {"pure_pursuit", "stanley", "pid"};
    for (int i = 0; i < 3; i++) {
        struct sl_settings s;
        struct sl_control_config config;
        sl_settings_defaults(&s);
        snprintf(s.control.law, sizeof s.control.law, "%s", NAMES[i]);
        sl_settings_control(&s, &config);
        assert_int_equal(config.law, i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_good),
        cmocka_unit_test(reads_what_is_allowed),
        cmocka_unit_test(refuses_with_reasons),
        cmocka_unit_test(refuses_zero_bytes),
        cmocka_unit_test(refuses_what_is_no_file),
        cmocka_unit_test(longest_line),
        cmocka_unit_test(sets_one),
        cmocka_unit_test(checks_keys_together),
        cmocka_unit_test(prints_what_it_reads),
        cmocka_unit_test(json_has_everything),
        cmocka_unit_test(reference_is_up_to_date),
        cmocka_unit_test(shipped_files_are_good),
        cmocka_unit_test(converts_laws),
    };
    return cmocka_run_group_tests(tests, make_folder, drop_folder);
}
