/* Key files: made, read again, changed; and refused when they are not safe, not
 * whole, or not theirs. */
#include "keys_folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

static char folder[128];
static struct sl_error err;

static int begin(void **unused)
{
    (void)unused;
    keys_folder_begin(folder, sizeof folder);
    err.text[0] = '\0';
    return 0;
}

static int end(void **unused)
{
    (void)unused;
    keys_folder_end(folder);
    return 0;
}

/* ---- helpers ---- */

static const char *in_folder(const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void write_file(const char *name, const char *text)
{
    (void)mkdir(folder, 0700);
    const int fd = open(in_folder(name), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

static void read_text(const char *name, char *text, size_t size)
{
    FILE *from = fopen(in_folder(name), "r");
    assert_non_null(from);
    text[fread(text, 1, size - 1, from)] = '\0';
    fclose(from);
}

static void must_say(const char *text)
{
    if (strstr(err.text, text) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", err.text, text);
}

static size_t files_in_folder(void)
{
    size_t count = 0;
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL;)
        count += entry->d_name[0] != '.';
    closedir(dir);
    return count;
}

static struct sl_keys_pair own(void)
{
    struct sl_keys_pair pair;
    if (sl_keys_own(folder, SL_KEYS_OF_VEHICLE, &pair, &err) != 0)
        fail_msg("%s", err.text);
    return pair;
}

static size_t count_allowed(void)
{
    struct sl_keys_list list;
    if (sl_keys_read(folder, SL_KEYS_ALLOWED, &list, &err) != 0)
        fail_msg("%s", err.text);
    return list.count;
}

/* ---- own pairs ---- */

static void a_pair_is_made_once(void **unused)
{
    (void)unused;
    const mode_t old = umask(0);
    const struct sl_keys_pair first = own();
    umask(old);
    const struct sl_keys_pair second = own();
    assert_memory_equal(&first, &second, sizeof first);
    assert_string_not_equal(first.public_key, first.secret_key);
    assert_int_equal(keys_rights(folder, ""), 0700);
    assert_int_equal(keys_rights(folder, "vehicle.key"), 0600);
    assert_int_equal(files_in_folder(), 1);
    struct sl_keys_pair laptop;
    assert_int_equal(sl_keys_own(folder, SL_KEYS_OF_CLIENT, &laptop, &err), 0);
    assert_string_not_equal(laptop.public_key, first.public_key);
    sl_keys_pair_wipe(&laptop);
    for (size_t i = 0; i < sizeof laptop; i++)
        assert_int_equal(((const char *)&laptop)[i], 0);
}

static void a_spoilt_pair_is_refused(void **unused)
{
    (void)unused;
    char whole[512], spoilt[1024];
    const struct sl_keys_pair pair = own(), other = keys_fresh();
    struct sl_keys_pair read;
    read_text("vehicle.key", whole, sizeof whole);
    for (size_t length = 0; length + 1 < strlen(whole); length++) {
        snprintf(spoilt, sizeof spoilt, "%.*s", (int)length, whole);
        write_file("vehicle.key", spoilt);
        assert_int_equal(sl_keys_own(folder, SL_KEYS_OF_VEHICLE, &read, &err), -EPROTO);
        assert_int_equal(read.secret_key[0], 0);
    }
    must_say("vehicle.key holds no key pair");
    static const struct {
        const char *before, *after;
    } AROUND[] = {{"public  ", ""},         {"Public ", ""},   {" public ", ""},
                  {"public ", " "},         {"public ", " x"}, {"public ", "\nmore"},
                  {"public x\npublic ", ""}};
    for (size_t i = 0; i < sizeof AROUND / sizeof AROUND[0]; i++) {
        snprintf(spoilt, sizeof spoilt, "%s%s\nsecret %s%s\n", AROUND[i].before, pair.public_key,
                 pair.secret_key, AROUND[i].after);
        write_file("vehicle.key", spoilt);
        assert_int_equal(sl_keys_own(folder, SL_KEYS_OF_VEHICLE, &read, &err), -EPROTO);
    }
    snprintf(spoilt, sizeof spoilt, "public %s\nsecret %s\nsecret %s\n", pair.public_key,
             pair.secret_key, pair.secret_key);
    write_file("vehicle.key", spoilt);
    assert_int_equal(sl_keys_own(folder, SL_KEYS_OF_VEHICLE, &read, &err), -EPROTO);
    /* Halves of two pairs. */
    snprintf(spoilt, sizeof spoilt, "public %s\nsecret %s\n", other.public_key, pair.secret_key);
    write_file("vehicle.key", spoilt);
    assert_int_equal(sl_keys_own(folder, SL_KEYS_OF_VEHICLE, &read, &err), -EPROTO);
    write_file("vehicle.key", whole);
    assert_int_equal(sl_keys_own(folder, SL_KEYS_OF_VEHICLE, &read, &err), 0);
    assert_memory_equal(&read, &pair, sizeof read);
}

/* ---- rights ---- */

static void rights_of_others_are_refused(void **unused)
{
    (void)unused;
    struct sl_keys_pair pair = own();
    struct sl_keys_list list;
    keys_allow(folder, pair.public_key, SL_ROLE_DRIVER, "one");
    static const mode_t BITS[] = {0040, 0020, 0010, 0004, 0002, 0001};
    for (size_t i = 0; i < sizeof BITS / sizeof BITS[0]; i++) {
        assert_int_equal(chmod(in_folder("vehicle.key"), 0600 | BITS[i]), 0);
        assert_int_equal(chmod(in_folder("allowed"), 0600 | BITS[i]), 0);
        assert_int_equal(sl_keys_own(folder, SL_KEYS_OF_VEHICLE, &pair, &err), -EACCES);
        must_say("chmod 600");
        assert_int_equal(sl_keys_read(folder, SL_KEYS_ALLOWED, &list, &err), -EACCES);
        assert_int_equal(list.count, 0);
        assert_int_equal(chmod(in_folder("vehicle.key"), 0600), 0);
        assert_int_equal(chmod(in_folder("allowed"), 0600), 0);
        assert_int_equal(chmod(folder, 0700 | BITS[i]), 0);
        assert_int_equal(sl_keys_own(folder, SL_KEYS_OF_VEHICLE, &pair, &err), -EACCES);
        must_say("chmod 700");
        assert_int_equal(sl_keys_read(folder, SL_KEYS_ALLOWED, &list, &err), -EACCES);
        assert_int_equal(sl_keys_remove(folder, SL_KEYS_ALLOWED, "one", &err), -EACCES);
        assert_int_equal(chmod(folder, 0700), 0);
    }
    assert_int_equal(count_allowed(), 1);
}

static void files_of_somebody_else_are_refused(void **unused)
{
    (void)unused;
    struct sl_keys_pair pair = own();
    struct sl_keys_list list;
    if (geteuid() != 0)
        skip(); /* only root can give files away */
    keys_allow(folder, pair.public_key, SL_ROLE_DRIVER, "one");
    assert_int_equal(chown(in_folder("allowed"), 1, 1), 0);
    assert_int_equal(sl_keys_read(folder, SL_KEYS_ALLOWED, &list, &err), -EACCES);
    must_say("belongs to another user (number 1)");
    must_say("SKYLANE_KEYS");
    assert_int_equal(chown(in_folder("allowed"), 0, 0), 0);
    assert_int_equal(chown(folder, 1, 1), 0);
    assert_int_equal(sl_keys_own(folder, SL_KEYS_OF_VEHICLE, &pair, &err), -EACCES);
    assert_int_equal(sl_keys_read(folder, SL_KEYS_ALLOWED, &list, &err), -EACCES);
    assert_int_equal(chown(folder, 0, 0), 0);
    assert_int_equal(count_allowed(), 1);
}

static void what_is_no_file_is_refused(void **unused)
{
    (void)unused;
    struct sl_keys_pair pair = own();
    char elsewhere[256];
    snprintf(elsewhere, sizeof elsewhere, "%s", in_folder("elsewhere"));
    assert_int_equal(rename(in_folder("vehicle.key"), elsewhere), 0);
    assert_int_equal(symlink(elsewhere, in_folder("vehicle.key")), 0);
    assert_int_equal(sl_keys_own(folder, SL_KEYS_OF_VEHICLE, &pair, &err), -EACCES);
    must_say("is a link");
    assert_int_equal(unlink(in_folder("vehicle.key")), 0);
    assert_int_equal(mkfifo(in_folder("vehicle.key"), 0600), 0);
    assert_int_equal(sl_keys_own(folder, SL_KEYS_OF_VEHICLE, &pair, &err), -EACCES);
    must_say("is no file");
    /* A file where the folder should be. */
    assert_int_equal(sl_keys_own(elsewhere, SL_KEYS_OF_VEHICLE, &pair, &err), -ENOTDIR);
}

/* ---- lists ---- */

static void clients_come_and_go(void **unused)
{
    (void)unused;
    const struct sl_keys_pair a = keys_fresh(), b = keys_fresh(), c = keys_fresh();
    struct sl_keys_list list;
    struct sl_keys_entry entry;
    size_t replaced = 99;
    char text[2048];
    assert_int_equal(count_allowed(), 0);
    assert_int_equal(access(folder, F_OK), -1); /* reading makes nothing */
    write_file("allowed", "# ours\n\n");
    keys_allow(folder, a.public_key, SL_ROLE_DRIVER, "anna");
    const mode_t old = umask(0777); /* that forbids even the owner */
    keys_allow(folder, b.public_key, SL_ROLE_VIEWER, "bert");
    umask(old);
    assert_int_equal(keys_rights(folder, "allowed"), 0600);
    assert_int_equal(sl_keys_read(folder, SL_KEYS_ALLOWED, &list, &err), 0);
    assert_int_equal(list.count, 2);
    assert_int_equal(sl_keys_find(&list, a.public_key)->role, SL_ROLE_DRIVER);
    assert_string_equal(sl_keys_find(&list, b.public_key)->name, "bert");
    assert_int_equal(sl_keys_find_name(&list, "bert")->role, SL_ROLE_VIEWER);
    assert_null(sl_keys_find(&list, c.public_key));
    assert_null(sl_keys_find_name(&list, "anna2"));
    /* A new key for a name, then a new name for a key. */
    entry = keys_entry(c.public_key, SL_ROLE_VIEWER, "anna");
    assert_int_equal(sl_keys_add(folder, SL_KEYS_ALLOWED, &entry, &replaced, &err), 0);
    assert_int_equal(replaced, 1);
    entry = keys_entry(b.public_key, SL_ROLE_DRIVER, "bertha");
    assert_int_equal(sl_keys_add(folder, SL_KEYS_ALLOWED, &entry, &replaced, &err), 0);
    assert_int_equal(replaced, 1);
    /* Name of the one, key of the other: both go. */
    entry = keys_entry(b.public_key, SL_ROLE_DRIVER, "anna");
    assert_int_equal(sl_keys_add(folder, SL_KEYS_ALLOWED, &entry, &replaced, &err), 0);
    assert_int_equal(replaced, 2);
    assert_int_equal(count_allowed(), 1);
    assert_int_equal(sl_keys_remove(folder, SL_KEYS_ALLOWED, "bertha", &err), -ENOENT);
    must_say("bertha");
    assert_int_equal(sl_keys_remove(folder, SL_KEYS_ALLOWED, "anna", &err), 0);
    assert_int_equal(count_allowed(), 0);
    read_text("allowed", text, sizeof text);
    assert_string_equal(text, "# ours\n\n");
    assert_int_equal(files_in_folder(), 1);
}

static void vehicles_have_no_role(void **unused)
{
    (void)unused;
    const struct sl_keys_pair a = keys_fresh();
    struct sl_keys_list list;
    struct sl_keys_entry entry = keys_entry(a.public_key, SL_ROLE_NONE, "car.local");
    assert_int_equal(sl_keys_add(folder, SL_KEYS_VEHICLES, &entry, NULL, &err), 0);
    assert_int_equal(sl_keys_add(folder, SL_KEYS_ALLOWED, &entry, NULL, &err), -EINVAL);
    assert_int_equal(sl_keys_read(folder, SL_KEYS_VEHICLES, &list, &err), 0);
    assert_int_equal(list.count, 1);
    assert_string_equal(sl_keys_find_name(&list, "car.local")->public_key, a.public_key);
    assert_int_equal(list.entries[0].role, SL_ROLE_NONE);
    entry.role = SL_ROLE_DRIVER;
    assert_int_equal(sl_keys_add(folder, SL_KEYS_VEHICLES, &entry, NULL, &err), -EINVAL);
}

static void bad_entries_are_not_written(void **unused)
{
    (void)unused;
    const struct sl_keys_pair a = keys_fresh();
    static const char *const NAMES[] = {"", "two words", "new\nline", "#", "a/b", "\xc3\xa4"};
    for (size_t i = 0; i < sizeof NAMES / sizeof NAMES[0]; i++) {
        const struct sl_keys_entry entry = keys_entry(a.public_key, SL_ROLE_DRIVER, NAMES[i]);
        assert_int_equal(sl_keys_add(folder, SL_KEYS_ALLOWED, &entry, NULL, &err), -EINVAL);
    }
    const struct sl_keys_entry short_key = keys_entry("abc", SL_ROLE_DRIVER, "name");
    assert_int_equal(sl_keys_add(folder, SL_KEYS_ALLOWED, &short_key, NULL, &err), -EINVAL);
    char key[SL_KEYS_TEXT];
    snprintf(key, sizeof key, "%s", a.public_key);
    key[7] = ' ';
    const struct sl_keys_entry bad_key = keys_entry(key, SL_ROLE_DRIVER, "name");
    assert_int_equal(sl_keys_add(folder, SL_KEYS_ALLOWED, &bad_key, NULL, &err), -EINVAL);
    assert_int_equal(access(in_folder("allowed"), F_OK), -1);
    /* A terminator is where it must be. */
    char full[SL_KEYS_NAME];
    memset(full, 'x', sizeof full);
    assert_false(sl_keys_name_good(full));
    full[sizeof full - 1] = '\0';
    assert_true(sl_keys_name_good(full));
}

static void malformed_lines_are_told_by_number(void **unused)
{
    (void)unused;
    static const struct {
        const char *before, *after, *says; /* what stands around a good key in the second line */
    } ROWS[] = {
        {"", "", "viewer"},
        {"", " driver", "no name"},
        {"", " pilot anna", "viewer"},
        {"", " Driver anna", "viewer"},
        {"", " driver anna bert", "more behind the name"},
        {"", " driver anna\r", "no name"},
        {"", " driver \xc3\xa4", "no name"},
        {"", "x driver anna", "does not begin with a key"},
        {"x", " driver anna", "does not begin with a key"},
        {"driver ", " anna", "does not begin with a key"},
        {"", " driver xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
         "no name"},
    };
    const struct sl_keys_pair a = keys_fresh(), b = keys_fresh();
    struct sl_keys_list list;
    char text[2048];
    for (size_t i = 0; i < sizeof ROWS / sizeof ROWS[0]; i++) {
        snprintf(text, sizeof text, "%s driver first\n%s%s%s\n", b.public_key, ROWS[i].before,
                 a.public_key, ROWS[i].after);
        write_file("allowed", text);
        if (sl_keys_read(folder, SL_KEYS_ALLOWED, &list, &err) != -EPROTO)
            fail_msg("taken: %s", text);
        assert_int_equal(list.count, 0);
        must_say("/allowed:2:");
        must_say(ROWS[i].says);
        /* And it is not written over. */
        assert_int_equal(sl_keys_remove(folder, SL_KEYS_ALLOWED, "first", &err), -EPROTO);
    }
    snprintf(text, sizeof text, "%s driver x\n# c\n%s viewer x\n", a.public_key, b.public_key);
    write_file("allowed", text);
    assert_int_equal(sl_keys_read(folder, SL_KEYS_ALLOWED, &list, &err), -EPROTO);
    must_say("/allowed:3:");
    snprintf(text, sizeof text, "%s driver x\n%s viewer y\n", a.public_key, a.public_key);
    write_file("allowed", text);
    assert_int_equal(sl_keys_read(folder, SL_KEYS_ALLOWED, &list, &err), -EPROTO);
    must_say("a key that is listed before");
    snprintf(text, sizeof text, "#%400s\n", "long");
    write_file("allowed", text);
    assert_int_equal(sl_keys_read(folder, SL_KEYS_ALLOWED, &list, &err), -EPROTO);
    must_say("/allowed:1: the line is too long");
    /* Blanks and a missing end of line are none. */
    snprintf(text, sizeof text, "  # c\n \t\n %s\tdriver   x  \n%s viewer y", a.public_key,
             b.public_key);
    write_file("allowed", text);
    assert_int_equal(count_allowed(), 2);
    keys_allow(folder, keys_fresh().public_key, SL_ROLE_VIEWER, "z");
    assert_int_equal(count_allowed(), 3);
}

static void bytes_that_are_no_text_are_refused(void **unused)
{
    (void)unused;
    struct sl_keys_list list;
    write_file("allowed", "");
    const int fd = open(in_folder("allowed"), O_WRONLY);
    assert_int_equal(write(fd, "# a\0b\n", 6), 6);
    assert_int_equal(sl_keys_read(folder, SL_KEYS_ALLOWED, &list, &err), -EPROTO);
    assert_int_equal(ftruncate(fd, 1 << 20), 0);
    assert_int_equal(sl_keys_read(folder, SL_KEYS_ALLOWED, &list, &err), -EPROTO);
    must_say("larger than");
    close(fd);
}

static void a_full_list_takes_no_more(void **unused)
{
    (void)unused;
    char name[32];
    struct sl_keys_pair last = {0};
    for (int i = 0; i < SL_KEYS_MAX; i++) {
        last = keys_fresh();
        snprintf(name, sizeof name, "client-%d", i);
        keys_allow(folder, last.public_key, SL_ROLE_VIEWER, name);
    }
    const struct sl_keys_entry entry = keys_entry(keys_fresh().public_key, SL_ROLE_DRIVER, "late");
    assert_int_equal(sl_keys_add(folder, SL_KEYS_ALLOWED, &entry, NULL, &err), -E2BIG);
    assert_int_equal(count_allowed(), SL_KEYS_MAX);
    keys_allow(folder, last.public_key, SL_ROLE_DRIVER, "late"); /* in place of another */
    assert_int_equal(count_allowed(), SL_KEYS_MAX);
    FILE *to = fopen(in_folder("allowed"), "a");
    fprintf(to, "%s driver much-too-late\n", keys_fresh().public_key);
    fclose(to);
    struct sl_keys_list list;
    assert_int_equal(sl_keys_read(folder, SL_KEYS_ALLOWED, &list, &err), -E2BIG);
    assert_int_equal(list.count, 0);
}

/* ---- writing ---- */

static void a_disk_that_is_full_loses_nothing(void **unused)
{
    (void)unused;
    char before[2048], after[2048];
    const struct sl_keys_entry entry = keys_entry(keys_fresh().public_key, SL_ROLE_DRIVER, "b");
    struct rlimit old, none;
    keys_allow(folder, keys_fresh().public_key, SL_ROLE_DRIVER, "a");
    read_text("allowed", before, sizeof before);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    none = old;
    none.rlim_cur = 16;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
    const int added = sl_keys_add(folder, SL_KEYS_ALLOWED, &entry, NULL, &err);
    const int removed = sl_keys_remove(folder, SL_KEYS_ALLOWED, "a", &err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_int_equal(added, -EFBIG);
    assert_int_equal(removed, -EFBIG);
    read_text("allowed", after, sizeof after);
    assert_string_equal(before, after);
    assert_int_equal(files_in_folder(), 1);
}

static void what_a_power_cut_left_is_in_nobodys_way(void **unused)
{
    (void)unused;
    write_file("allowed.part", "half a line");
    assert_int_equal(chmod(in_folder("allowed.part"), 0644), 0);
    keys_allow(folder, keys_fresh().public_key, SL_ROLE_DRIVER, "a");
    assert_int_equal(keys_rights(folder, "allowed"), 0600);
    assert_int_equal(count_allowed(), 1);
    assert_int_equal(files_in_folder(), 1);
}

static void programs_wait_for_each_other(void **unused)
{
    (void)unused;
    enum { PROGRAMS = 4, EACH = 8 };
    pid_t children[PROGRAMS];
    for (int p = 0; p < PROGRAMS; p++) {
        children[p] = fork();
        if (children[p] == 0) {
            for (int i = 0; i < EACH; i++) {
                char name[32], public_key[SL_KEYS_TEXT], secret_key[SL_KEYS_TEXT];
                snprintf(name, sizeof name, "p%d-%d", p, i);
                zmq_curve_keypair(public_key, secret_key);
                const struct sl_keys_entry entry = keys_entry(public_key, SL_ROLE_VIEWER, name);
                if (sl_keys_add(folder, SL_KEYS_ALLOWED, &entry, NULL, NULL) != 0)
                    _exit(1);
            }
            _exit(0);
        }
    }
    for (int p = 0; p < PROGRAMS; p++) {
        int status = -1;
        assert_int_equal(waitpid(children[p], &status, 0), children[p]);
        assert_int_equal(status, 0);
    }
    assert_int_equal(count_allowed(), PROGRAMS * EACH);
}

/* ---- the folder ---- */

static void the_folder_is_found(void **unused)
{
    (void)unused;
    char path[256], tiny[8];
    assert_int_equal(setenv("SKYLANE_KEYS", "/some/where", 1), 0);
    assert_int_equal(sl_keys_folder(path, sizeof path, &err), 0);
    assert_string_equal(path, "/some/where");
    assert_int_equal(sl_keys_folder(tiny, sizeof tiny, &err), -ENAMETOOLONG);
    assert_int_equal(unsetenv("SKYLANE_KEYS"), 0);
    const pid_t child = fork();
    if (child == 0) {
        /* As somebody who is not root. */
        if (geteuid() == 0) {
            if (sl_keys_folder(path, sizeof path, &err) != 0 ||
                strcmp(path, "/etc/skylane/keys") != 0)
                _exit(1);
            if (setuid(65534) != 0)
                _exit(2);
        }
        setenv("XDG_CONFIG_HOME", "/x", 1);
        if (sl_keys_folder(path, sizeof path, &err) != 0 || strcmp(path, "/x/skylane/keys") != 0)
            _exit(3);
        setenv("XDG_CONFIG_HOME", "relative", 1);
        setenv("HOME", "/h", 1);
        if (sl_keys_folder(path, sizeof path, &err) != 0 ||
            strcmp(path, "/h/.config/skylane/keys") != 0)
            _exit(4);
        _exit(0);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(a_pair_is_made_once),
        TEST(a_spoilt_pair_is_refused),
        TEST(rights_of_others_are_refused),
        TEST(files_of_somebody_else_are_refused),
        TEST(what_is_no_file_is_refused),
        TEST(clients_come_and_go),
        TEST(vehicles_have_no_role),
        TEST(bad_entries_are_not_written),
        TEST(malformed_lines_are_told_by_number),
        TEST(bytes_that_are_no_text_are_refused),
        TEST(a_full_list_takes_no_more),
        TEST(a_disk_that_is_full_loses_nothing),
        TEST(what_a_power_cut_left_is_in_nobodys_way),
        TEST(programs_wait_for_each_other),
        TEST(the_folder_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
