/* Files that are whole or not there: what is left on the disk after each end,
 * and what is said when the disk takes no more. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "rt/outfile.h"

#define LIMIT_BYTES 4096

static char folder[64];
static struct sl_error err;

static const char *path_of(const char *name)
{
    static char paths[4][128];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static int begin(void **unused)
{
    (void)unused;
    strcpy(folder, "/tmp/skylane-outfile-XXXXXX");
    return mkdtemp(folder) == NULL;
}

static int end(void **unused)
{
    (void)unused;
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

static void write_old(const char *name, const char *text)
{
    FILE *to = fopen(path_of(name), "w");
    assert_non_null(to);
    fputs(text, to);
    assert_int_equal(fclose(to), 0);
}

static void must_hold(const char *name, const char *text)
{
    char found[256] = {0};
    FILE *from = fopen(path_of(name), "r");
    assert_non_null(from);
    assert_int_equal(fread(found, 1, sizeof found - 1, from), strlen(text));
    fclose(from);
    assert_string_equal(found, text);
}

static bool exists(const char *name)
{
    return access(path_of(name), F_OK) == 0;
}

static struct sl_outfile *must_open(const char *path)
{
    struct sl_outfile *file = NULL;
    assert_int_equal(sl_outfile_check(path, &err), 0);
    if (sl_outfile_open(&file, path, &err) != 0)
        fail_msg("%s", err.text);
    return file;
}

static void name_comes_with_the_last_byte(void **unused)
{
    (void)unused;
    write_old("report", "old");
    struct sl_outfile *file = must_open(path_of("report"));
    fputs("new", sl_outfile_stream(file));
    assert_int_equal(sl_outfile_flush(file, &err), 0);
    must_hold("report", "old");
    must_hold("report.part", "new");
    assert_int_equal(sl_outfile_finish(file, &err), 0);
    must_hold("report", "new");
    assert_false(exists("report.part"));
    assert_int_equal(sl_outfile_write(path_of("other"), "whole", 5, &err), 0);
    must_hold("other", "whole");
}

static void what_was_stopped_is_kept_as_a_part(void **unused)
{
    (void)unused;
    char kept[256];
    struct sl_outfile *file = must_open(path_of("work"));
    fputs("half", sl_outfile_stream(file));
    assert_int_equal(sl_outfile_keep_part(file, kept, sizeof kept, &err), 0);
    assert_string_equal(kept, path_of("work.part"));
    must_hold("work.part", "half");
    assert_false(exists("work"));
    /* The next one begins it anew. */
    file = must_open(path_of("work"));
    fputs("all", sl_outfile_stream(file));
    assert_int_equal(sl_outfile_finish(file, &err), 0);
    must_hold("work", "all");
    assert_false(exists("work.part"));
}

static void what_failed_goes_away(void **unused)
{
    (void)unused;
    write_old("report", "old");
    struct sl_outfile *file = must_open(path_of("report"));
    fputs("half", sl_outfile_stream(file));
    sl_outfile_abandon(file);
    must_hold("report", "old");
    assert_false(exists("report.part"));
    sl_outfile_abandon(NULL);
}

/* A limit on the size of files does what a full disk does. */
static void a_disk_that_takes_no_more_is_told(void **unused)
{
    (void)unused;
    static char large[4 * LIMIT_BYTES];
    struct rlimit before, limit;
    struct sl_outfile *file;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    limit = before;
    limit.rlim_cur = LIMIT_BYTES;
    write_old("report", "old");
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    const int written = sl_outfile_write(path_of("report"), large, sizeof large, &err);
    const struct sl_error written_err = err;
    file = must_open(path_of("report"));
    fwrite(large, 1, sizeof large, sl_outfile_stream(file));
    const int finished = sl_outfile_finish(file, &err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(written, -EFBIG);
    assert_non_null(strstr(written_err.text, path_of("report")));
    assert_int_equal(finished, -EFBIG);
    must_hold("report", "old");
    assert_false(exists("report.part"));

    file = must_open("/dev/full");
    fputs("x", sl_outfile_stream(file));
    assert_int_equal(sl_outfile_flush(file, &err), -ENOSPC);
    assert_string_equal(err.text, "cannot write /dev/full: No space left on device; free some "
                                  "space and start again");
    sl_outfile_abandon(file);
    assert_true(access("/dev/full", F_OK) == 0);
}

static void links_and_rights_stay(void **unused)
{
    (void)unused;
    struct stat st;
    write_old("target", "old");
    assert_int_equal(chmod(path_of("target"), 0640), 0);
    assert_int_equal(symlink("target", path_of("link")), 0);
    assert_int_equal(sl_outfile_write(path_of("link"), "new", 3, &err), 0);
    assert_int_equal(lstat(path_of("link"), &st), 0);
    assert_true(S_ISLNK(st.st_mode));
    must_hold("target", "new");
    assert_int_equal(stat(path_of("target"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0640);
    /* A link where the part would be leads nobody elsewhere. */
    write_old("precious", "precious");
    assert_int_equal(symlink("precious", path_of("new.part")), 0);
    assert_int_equal(sl_outfile_write(path_of("new"), "text", 4, &err), -ELOOP);
    must_hold("precious", "precious");
}

static void what_cannot_be_written_is_told_before(void **unused)
{
    (void)unused;
    const struct {
        const char *path, *said;
        int code;
    } cases[] = {{path_of("."), "Is a directory", -EISDIR},
                 {path_of("no/such/file"), "must exist", -ENOENT},
                 {path_of("new/"), "Is a directory", -EISDIR},
                 {"", "without a name", -EINVAL}};
    struct sl_outfile *file;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(sl_outfile_check(cases[i].path, &err), cases[i].code);
        if (strstr(err.text, cases[i].said) == NULL)
            fail_msg("\"%s\" expected in: %s", cases[i].said, err.text);
        assert_int_equal(sl_outfile_open(&file, cases[i].path, &err), cases[i].code);
        assert_null(file);
    }
    assert_int_equal(sl_outfile_check("-", &err), 0);
    assert_int_equal(sl_outfile_check("/dev/null", &err), 0);
    assert_int_equal(sl_outfile_check(path_of("new"), &err), 0);
    assert_false(exists("new"));
    write_old("file", "text");
    assert_int_equal(sl_outfile_folder(path_of("file"), &err), -ENOTDIR);
    assert_non_null(strstr(err.text, "a file has this name"));
    assert_int_equal(sl_outfile_folder(path_of("folder"), &err), 0);
    assert_int_equal(sl_outfile_folder(path_of("folder"), &err), 0);
    assert_int_equal(sl_outfile_folder(path_of("no/folder"), &err), -ENOENT);
    assert_non_null(strstr(err.text, "must exist"));
    assert_int_equal(sl_outfile_folder("", &err), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(name_comes_with_the_last_byte, begin, end),
        cmocka_unit_test_setup_teardown(what_was_stopped_is_kept_as_a_part, begin, end),
        cmocka_unit_test_setup_teardown(what_failed_goes_away, begin, end),
        cmocka_unit_test_setup_teardown(a_disk_that_takes_no_more_is_told, begin, end),
        cmocka_unit_test_setup_teardown(links_and_rights_stay, begin, end),
        cmocka_unit_test_setup_teardown(what_cannot_be_written_is_told_before, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
