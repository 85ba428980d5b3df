/* skylane-config from the outside: what it prints, and its exit status. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "app/config/settings.h"

static char output[256 * 1024];

/* Runs with these arguments; the exit status, both outputs in `output`. */
static int run(const char *arguments)
{
    char command[2048];
    snprintf(command, sizeof command, "{ %s/skylane-config %s; } 2>&1", SL_BIN_DIR, arguments);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    size_t size = fread(output, 1, sizeof output - 1, pipe);
    output[size] = '\0';
    int status = pclose(pipe);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void says(const char *part)
{
    if (strstr(output, part) == NULL)
        fail_msg("does not say \"%s\":\n%.500s", part, output);
}

static void prints(void **state)
{
    (void)state;
    assert_int_equal(run(""), 0);
    says("[vehicle]\nwheelbase_m = 2.7\n");
    assert_int_equal(run("--config " SL_SOURCE_DIR "/board/sim/lab.ini "
                         "-o control.law=pid --set control.speed_mps=1"),
                     0);
    says("wheelbase_m = 0.26\n");
    says("law = pid\n");
    says("speed_mps = 1\n");
    assert_int_equal(run("--json"), 0);
    assert_int_equal(output[0], '{');
    says("\"wheelbase_m\":\t2.7");
    assert_int_equal(run("--reference"), 0);
    says("distance between the axles");
    assert_int_equal(run("--reference --markdown"), 0);
    says("# Settings");
    assert_int_equal(run("--help"), 0);
    says("examples:");
    assert_int_equal(run("--version"), 0);
    says("skylane-config ");
    /* What it prints is a file that it takes. */
    assert_int_equal(run("> /dev/null"), 0);
    assert_int_equal(
        run("-o vehicle.wheelbase_m=0.333 | " SL_BIN_DIR "/skylane-config --config /dev/stdin"), 0);
    says("wheelbase_m = 0.333\n");
}

static void checks(void **state)
{
    (void)state;
    assert_int_equal(run("--check " SL_SOURCE_DIR "/board/sim/skylane.ini"), 0);
    says("skylane.ini: good");
    assert_int_equal(run("--check /nowhere.ini"), 1);
    says("/nowhere.ini: cannot open");
    assert_int_equal(run("--check " SL_SOURCE_DIR "/board/sim"), 1);
    says("is a folder");
    assert_int_equal(run("--check " SL_SOURCE_DIR "/board/sim/skylane.ini -o detect.far_m=1"), 1);
    says("detect.near_m");
    assert_int_equal(run("-o control.law=x"), 1);
    says("-o: control.law: \"x\" is none of its choices");
}

static void misuse(void **state)
{
    (void)state;
    static const char *const WRONG[] = {
        "--nonsense",
        "-x",
        "--config",
        "-o",
        "stray",
        "--markdown",
        "--reference --json",
        "--check a.ini --json",
        "--check a --config b",
        "--reference -o control.law=pid",
    };
    for (size_t i = 0; i < sizeof WRONG / sizeof WRONG[0]; i++) {
        assert_int_equal(run(WRONG[i]), 2);
        says("Try \"skylane config --help\"");
    }
    assert_int_equal(run("> /dev/full"), 1);
    says("cannot write the output");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prints),
        cmocka_unit_test(checks),
        cmocka_unit_test(misuse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
