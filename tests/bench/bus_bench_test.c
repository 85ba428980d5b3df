/* "skylane bus bench" runs, and what it writes can be used: every section is
 * there, every frame arrived whole, and every figure is a number. How good the
 * figures are is not asked here: bus_compare does, on a machine at rest. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include <cjson/cJSON.h>
#include <cmocka.h>

#define BENCH SL_BIN_DIR "/skylane-bus bench"

/* Runs a command; its output in `text`. Returns its exit status. */
static int run(const char *command, char *text, size_t size)
{
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    size_t length = fread(text, 1, size - 1, pipe);
    text[length] = '\0';
    int status = pclose(pipe);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static double number(const cJSON *object, const char *key)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
    if (!cJSON_IsNumber(item) || !isfinite(item->valuedouble))
        fail_msg("%s is not a finite number", key);
    return item->valuedouble;
}

static const char *text_of(const cJSON *object, const char *key)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, key));
    assert_non_null(text);
    return text;
}

static void check_series(const cJSON *run_object, const char *name)
{
    const cJSON *series = cJSON_GetObjectItemCaseSensitive(run_object, name);
    assert_non_null(series);
    assert_true(number(series, "count") > 0);
    double p50 = number(series, "p50_ns"), p99 = number(series, "p99_ns");
    assert_true(p50 >= 0 && p50 <= p99);
    assert_true(p99 <= number(series, "p999_ns"));
    assert_true(number(series, "p999_ns") <= number(series, "max_ns"));
}

static void check_run(const cJSON *run_object)
{
    const char *section = text_of(run_object, "section");
    if (strcmp(section, "floors") == 0) {
        check_series(run_object, "time");
        return;
    }
    assert_true(number(run_object, "frames") > 0);
    assert_true(number(run_object, "rate_fps") > 0);
    number(run_object, "writer_cpu");
    number(run_object, "readers_cpu");
    assert_true(number(run_object, "torn") == 0);
    if (strcmp(text_of(run_object, "transport"), "skylane") == 0)
        assert_true(number(run_object, "overruns_told") >= number(run_object, "overruns_counted"));
    if (number(run_object, "readers") == 0)
        return;
    check_series(run_object, "handover");
    if (strcmp(section, "many") == 0)
        check_series(run_object, "access");
    /* Told from the numbers in the frames, not by the bus. */
    double seen = number(run_object, "received") + number(run_object, "missed");
    assert_true(seen == number(run_object, "readers") * number(run_object, "frames"));
}

static void test_json(void **state)
{
    (void)state;
    static const char *const SECTIONS[] = {"floors", "handover", "paced",
                                           "sleep",  "publish",  "many"};
    static char text[1 << 20];
    assert_int_equal(run(BENCH " --quick --json -", text, sizeof text), 0);
    cJSON *root = cJSON_Parse(text);
    assert_non_null(root);
    const cJSON *runs = cJSON_GetObjectItemCaseSensitive(root, "runs");
    for (size_t i = 0; i < sizeof SECTIONS / sizeof SECTIONS[0]; i++) {
        int found = 0;
        const cJSON *r;
        cJSON_ArrayForEach(r, runs) found += strcmp(text_of(r, "section"), SECTIONS[i]) == 0;
        assert_true(found > 0);
    }
    const cJSON *r;
    cJSON_ArrayForEach(r, runs) check_run(r);
    cJSON_Delete(root);
}

static void test_samples(void **state)
{
    (void)state;
    static char text[1 << 20];
    assert_int_equal(run(BENCH " --quick --only floors --samples --json -", text, sizeof text), 0);
    cJSON *root = cJSON_Parse(text);
    assert_non_null(root);
    const cJSON *r;
    cJSON_ArrayForEach(r, cJSON_GetObjectItemCaseSensitive(root, "runs"))
    {
        const cJSON *series = cJSON_GetObjectItemCaseSensitive(r, "time");
        const cJSON *samples = cJSON_GetObjectItemCaseSensitive(series, "samples_ns");
        assert_int_equal(cJSON_GetArraySize(samples), (int)number(series, "count"));
    }
    cJSON_Delete(root);
}

static void test_table(void **state)
{
    (void)state;
    static char text[1 << 16];
    assert_int_equal(run(BENCH " --quick --only floors,handover", text, sizeof text), 0);
    assert_non_null(strstr(text, "cache line, one way"));
    assert_non_null(strstr(text, "1920x1080 drawn"));
    assert_null(strstr(text, "many readers"));
}

static void test_misuse(void **state)
{
    (void)state;
    char text[4096];
    assert_int_equal(run(BENCH " --only nonsense 2>&1", text, sizeof text), 2);
    assert_non_null(strstr(text, "there is no section \"nonsense\""));
    assert_int_equal(run(BENCH " --rounds 0 2>&1", text, sizeof text), 2);
    assert_int_equal(run(BENCH " --json /nowhere/at/all 2>&1", text, sizeof text), 1);
    assert_non_null(strstr(text, "cannot write /nowhere/at/all"));
    assert_int_equal(run(BENCH " --help", text, sizeof text), 0);
    assert_non_null(strstr(text, "examples:"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_samples),
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_misuse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
