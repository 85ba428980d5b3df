/* skylane bus ls, watch and clean, with writers and readers in processes of
 * their own: alive, stopped, killed, of another user and of another version. */
#include "tests/integration/bus_run.h"

#include <errno.h>
#include <grp.h>
#include <pty.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cjson/cJSON.h>

#include "rt/bus.h"
#include "rt/bus_name.h"
#include "rt/bus_wire.h"
#include "rt/clock.h"
#include "rt/records.h"

#define CHILDREN_MAX 32

static pid_t children[CHILDREN_MAX];
static int child_count;
static cJSON *answer;

/* ---- writers and readers ---- */

/* Starts a process for one end of a bus. It lives until end(). */
static pid_t start(void (*work)(const char *name), const char *name)
{
    const pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        work(name);
        _exit(1);
    }
    assert_true(pid > 0 && child_count < CHILDREN_MAX);
    children[child_count++] = pid;
    return pid;
}

static void kill_child(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    for (int i = 0; i < child_count; i++) {
        if (children[i] == pid)
            children[i] = children[--child_count];
    }
}

static int begin(void **unused)
{
    (void)unused;
    programs_begin();
    return 0;
}

static int end(void **unused)
{
    (void)unused;
    program_stop(&bus_program);
    while (child_count > 0)
        kill_child(children[0]);
    cJSON_Delete(answer);
    answer = NULL;
    programs_end();
    return 0;
}

/* Frames of 64 x 48 at 100 Hz, in three slots: two readers that hold one each
 * leave none for the writer. */
static void write_frames(const char *name)
{
    struct sl_bus_writer *writer;
    struct sl_frame_info info = {0};
    sl_frame_layout(&info, SL_FORMAT_GRAY8, 64, 48);
    const struct sl_bus_writer_config config = {
        .name = name, .type = SL_RECORD_FRAME, .slot_count = 3, .slot_bytes = info.size_bytes};
    if (sl_bus_writer_open(&writer, &config, NULL) != 0)
        _exit(1);
    for (uint64_t now = sl_clock_now_ns();; now += 10 * SL_NS_PER_MS) {
        struct sl_bus_loan loan;
        sl_bus_loan(writer, &loan);
        info.frame_id++;
        memset(loan.data, 1, info.size_bytes);
        memcpy(loan.meta, &info, sizeof info);
        sl_bus_publish(writer, &loan, info.size_bytes, now);
        sl_clock_sleep_until_ns(now + 10 * SL_NS_PER_MS);
    }
}

/* One state, then nothing more. */
static void write_once(const char *name)
{
    struct sl_bus_writer *writer;
    const struct sl_state state = {0};
    const struct sl_bus_writer_config config = {.name = name,
                                                .type = SL_RECORD_STATE,
                                                .slot_count = SL_BUS_RECORD_SLOTS,
                                                .slot_bytes = sizeof state};
    if (sl_bus_writer_open(&writer, &config, NULL) != 0)
        _exit(1);
    sl_bus_write(writer, &state, sizeof state, 1);
    for (;;)
        pause();
}

/* Its name would colour the terminal red, and worse. */
static void write_once_as_escape_sequence(const char *name)
{
    prctl(PR_SET_NAME, "\033[31mevil\033]0;x");
    write_once(name);
}

static void read_all(const char *name, bool realtime)
{
    struct sl_bus_reader *reader;
    struct sl_bus_view view;
    const struct sl_bus_reader_config config = {.name = name, .min_bytes = 1, .realtime = realtime};
    if (sl_bus_reader_open(&reader, &config, NULL) != 0)
        _exit(1);
    for (;;) {
        if (sl_bus_wait(reader, sl_clock_now_ns() + SL_NS_PER_S) == 0 &&
            sl_bus_acquire_newest(reader, &view) == 0)
            sl_bus_release(reader, &view);
    }
}

static void read_as_realtime(const char *name)
{
    read_all(name, true);
}

static void read_as_ordinary(const char *name)
{
    read_all(name, false);
}

static void hold_one(const char *name)
{
    struct sl_bus_reader *reader;
    struct sl_bus_view view;
    const struct sl_bus_reader_config config = {.name = name, .min_bytes = 1};
    if (sl_bus_reader_open(&reader, &config, NULL) != 0)
        _exit(1);
    while (sl_bus_wait(reader, sl_clock_now_ns() + SL_NS_PER_S) != 0 ||
           sl_bus_acquire_newest(reader, &view) != 0)
        ;
    for (;;)
        pause();
}

/* A door that answers as a writer of another version does. */
static void answer_as_stranger(const char *name)
{
    int lock;
    if (sl_bus_lock_take(name, false, &lock, NULL) != 0)
        _exit(1);
    const int door = sl_bus_door_bind(name, 0600, (gid_t)-1, NULL);
    for (;;) {
        struct sl_bus_hello hello;
        const struct sl_bus_welcome welcome = {
            .magic = SL_RING_MAGIC, .layout_version = 999, .code = -EPROTO};
        const int guest = accept(door, NULL, NULL);
        if (recv(guest, &hello, sizeof hello, 0) > 0)
            sl_bus_send(guest, &welcome, sizeof welcome, NULL, 0);
        close(guest);
    }
}

/* ---- asking ---- */

static const cJSON *field(const cJSON *json, const char *key)
{
    const cJSON *found = cJSON_GetObjectItemCaseSensitive(json, key);
    if (found == NULL)
        fail_msg("there is no \"%s\" in:\n%s", key, bus_said);
    return found;
}

static const char *word(const cJSON *json, const char *key)
{
    const cJSON *found = field(json, key);
    return cJSON_IsString(found) ? found->valuestring : "no word";
}

static double number(const cJSON *json, const char *key)
{
    const cJSON *found = field(json, key);
    return cJSON_IsNumber(found) ? found->valuedouble : -1.0;
}

/* What "ls --json" says of a bus; NULL: nothing. */
static const cJSON *listed(const char *name)
{
    const cJSON *bus;
    cJSON_Delete(answer);
    answer = NULL;
    if (BUS_RUN("ls", "--json") != 0 || (answer = cJSON_Parse(bus_said)) == NULL)
        fail_msg("ls: %s", bus_said);
    cJSON_ArrayForEach(bus, field(answer, "buses"))
    {
        if (strcmp(word(bus, "name"), name) == 0)
            return bus;
    }
    return NULL;
}

static const cJSON *reader_of_pid(const cJSON *bus, pid_t pid)
{
    const cJSON *reader;
    cJSON_ArrayForEach(reader, field(bus, "readers"))
    {
        if (number(reader, "pid") == pid)
            return reader;
    }
    return NULL;
}

/* Asks until the bus shows what is waited for: processes take a while. */
static const cJSON *await(const char *name, bool (*good)(const cJSON *bus))
{
    const uint64_t give_up = sl_clock_now_ns() + 20 * SL_NS_PER_S;
    const cJSON *bus = NULL;
    do
        bus = listed(name);
    while ((bus == NULL || !good(bus)) && sl_clock_now_ns() < give_up);
    if (bus == NULL || !good(bus))
        fail_msg("bus %s does not come to what it should: %s", name, bus_said);
    return bus;
}

static bool publishes(const cJSON *bus)
{
    return strcmp(word(bus, "life"), "alive") == 0 && number(bus, "published") >= 1;
}
static bool is_dead(const cJSON *bus)
{
    return strcmp(word(bus, "life"), "dead") == 0;
}
static bool is_silent(const cJSON *bus)
{
    return strcmp(word(bus, "life"), "silent") == 0;
}

/* ---- ls ---- */

static void no_bus_is_no_trouble(void **unused)
{
    (void)unused;
    assert_int_equal(BUS_RUN("ls"), 0);
    assert_said("There is no bus");
    assert_said("skylane sim");
    assert_null(listed("any"));
    assert_int_equal(BUS_RUN("clean"), 0);
    assert_said("There is nothing to remove.");
    assert_int_equal(BUS_RUN("watch", "--count", "1"), 0);
    assert_said("no bus");
}

static void folder_that_is_not_there_is_told(void **unused)
{
    (void)unused;
    char folder[64];
    snprintf(folder, sizeof folder, "%s", getenv("SKYLANE_BUS_DIR"));
    setenv("SKYLANE_BUS_DIR", "/nowhere/at/all", 1);
    const int ls = BUS_RUN("ls");
    assert_said("/nowhere/at/all");
    const int watch = BUS_RUN("watch");
    const int clean = BUS_RUN("clean");
    setenv("SKYLANE_BUS_DIR", folder, 1);
    assert_int_equal(ls, 1);
    assert_int_equal(watch, 1);
    assert_int_equal(clean, 1);
}

static pid_t holder;
static bool has_two_readers(const cJSON *bus)
{
    return publishes(bus) && number(bus, "reader_count") == 2;
}
static bool has_three_readers_and_one_holds(const cJSON *bus)
{
    const cJSON *reader = publishes(bus) ? reader_of_pid(bus, holder) : NULL;
    return reader != NULL && number(bus, "reader_count") == 3 && number(bus, "rate_hz") > 1.0 &&
           cJSON_IsNumber(field(reader, "holds_slot"));
}

static void ls_tells_who_writes_and_who_reads(void **unused)
{
    (void)unused;
    char text[32];
    const pid_t writer = start(write_frames, SL_BUS_CAMERA);
    const pid_t realtime = start(read_as_realtime, SL_BUS_CAMERA);
    const pid_t ordinary = start(read_as_ordinary, SL_BUS_CAMERA);
    holder = start(hold_one, SL_BUS_CAMERA);
    const cJSON *bus = await(SL_BUS_CAMERA, has_three_readers_and_one_holds);
    assert_int_equal(number(field(bus, "writer"), "pid"), writer);
    assert_string_equal(word(field(bus, "writer"), "program"), "bus_cli_test");
    assert_string_equal(word(bus, "type"), "frame");
    assert_int_equal(number(field(bus, "frame"), "width_px"), 64);
    assert_int_equal(number(field(bus, "frame"), "height_px"), 48);
    assert_string_equal(word(field(bus, "frame"), "fourcc"), "GREY");
    assert_int_equal(number(bus, "slot_count"), 3);
    assert_int_equal(number(bus, "slot_bytes"), 64 * 48);
    assert_true(number(bus, "memory_bytes") >= 3 * 64 * 48);
    assert_string_equal(word(bus, "access"), "owner");
    assert_true(number(bus, "age_ms") >= 0.0);
    assert_int_equal(number(bus, "overruns"), 0); /* the one that is held is passed over */

    assert_true(cJSON_IsTrue(field(reader_of_pid(bus, realtime), "realtime")));
    assert_true(cJSON_IsFalse(field(reader_of_pid(bus, ordinary), "realtime")));
    assert_int_equal(number(reader_of_pid(bus, ordinary), "uid"), getuid());
    const int slot = (int)number(reader_of_pid(bus, holder), "holds_slot");
    assert_in_range(slot, 0, 2);

    assert_int_equal(BUS_RUN("ls"), 0);
    assert_said("camera_feed  frames 64x48 GREY");
    assert_said("3 slots of 3.0 KiB");
    assert_said("real-time");
    snprintf(text, sizeof text, "holds slot %d\n", slot);
    assert_said(text);
    snprintf(text, sizeof text, " %d bus_cli_test ", holder);
    assert_said(text);
    assert_null(strchr(bus_said, '\033')); /* this is no terminal */
    assert_int_equal(BUS_RUN("ls", "--short", "--no-rate", SL_BUS_CAMERA), 0);
    assert_null(strstr(bus_said, "holds slot"));
    assert_null(strstr(bus_said, "/s"));

    kill_child(holder); /* who dies is forgotten */
    bus = await(SL_BUS_CAMERA, has_two_readers);
    assert_null(reader_of_pid(bus, holder));
}

static bool all_slots_are_held(const cJSON *bus)
{
    return publishes(bus) && number(bus, "reader_count") == 2 && number(bus, "overruns") >= 1;
}

static void ls_tells_who_was_overrun(void **unused)
{
    (void)unused;
    start(write_frames, SL_BUS_CAMERA);
    await(SL_BUS_CAMERA, publishes);
    const pid_t first = start(hold_one, SL_BUS_CAMERA);
    sl_clock_sleep_until_ns(sl_clock_now_ns() + 100 * SL_NS_PER_MS);
    const pid_t second = start(hold_one, SL_BUS_CAMERA);
    const cJSON *bus = await(SL_BUS_CAMERA, all_slots_are_held);
    assert_true(number(reader_of_pid(bus, first), "overruns") >= 1 ||
                number(reader_of_pid(bus, second), "overruns") >= 1);
    assert_int_equal(BUS_RUN("ls"), 0);
    assert_said(" overruns\n");
}

static bool reader_sleeps(const cJSON *bus)
{
    const cJSON *reader = publishes(bus) ? cJSON_GetArrayItem(field(bus, "readers"), 0) : NULL;
    return reader != NULL && cJSON_IsTrue(field(reader, "asleep")) && number(bus, "rate_hz") == 0.0;
}

static void ls_tells_who_sleeps(void **unused)
{
    (void)unused;
    start(write_once, SL_BUS_STATE);
    start(read_as_ordinary, SL_BUS_STATE);
    const cJSON *bus = await(SL_BUS_STATE, reader_sleeps);
    assert_string_equal(word(bus, "type"), "state");
    assert_int_equal(BUS_RUN("ls", "--no-rate"), 0);
    assert_said("vehicle states");
}

static bool has_ten_readers(const cJSON *bus)
{
    return publishes(bus) && number(bus, "reader_count") == 10;
}

static unsigned lines_with(const char *text)
{
    unsigned count = 0;
    for (const char *at = bus_said; (at = strstr(at, text)) != NULL; at++)
        count++;
    return count;
}

static void many_readers_do_not_flood(void **unused)
{
    (void)unused;
    start(write_once, SL_BUS_STATE);
    for (int i = 0; i < 10; i++)
        start(read_as_ordinary, SL_BUS_STATE);
    await(SL_BUS_STATE, has_ten_readers);
    assert_int_equal(BUS_RUN("ls"), 0);
    assert_said("and 2 readers more (-l shows them)");
    assert_int_equal(lines_with("\n    reader "), 8);
    assert_int_equal(BUS_RUN("ls", "-l"), 0);
    assert_int_equal(lines_with("\n    reader "), 10);
}

static void names_that_are_not_there_are_told(void **unused)
{
    (void)unused;
    start(write_once, SL_BUS_STATE);
    await(SL_BUS_STATE, publishes);
    assert_int_equal(BUS_RUN("ls", "vehicle_stat", SL_BUS_STATE), 1);
    assert_said("there is no bus \"vehicle_stat\"; did you mean \"vehicle_state\"?");
    assert_said("vehicle states"); /* the other one is shown all the same */
    assert_int_equal(BUS_RUN("ls", "quite_another"), 1);
    assert_said("\"skylane bus ls\" shows which there are");
    assert_int_equal(BUS_RUN("ls", "vehicle-state"), 2);
    assert_said("did you mean \"vehicle_state\"?");
    assert_int_equal(BUS_RUN("ls", "../state"), 2);
}

static void names_of_processes_do_not_reach_the_terminal_raw(void **unused)
{
    (void)unused;
    start(write_once_as_escape_sequence, SL_BUS_STATE);
    await(SL_BUS_STATE, publishes);
    assert_int_equal(BUS_RUN("ls"), 0);
    assert_said("?[31mevil?]0;x");
    assert_null(strchr(bus_said, '\033'));
}

/* ---- the dead, the stopped, the strange ---- */

static void dead_is_shown_and_cleaned_and_alive_is_left(void **unused)
{
    (void)unused;
    start(write_once, "alive");
    const pid_t writer = start(write_frames, "killed");
    await("alive", publishes);
    await("killed", publishes);
    kill_child(writer);
    await("killed", is_dead);
    assert_int_equal(BUS_RUN("ls"), 0);
    assert_said("its writer is gone; start it again");
    assert_int_equal(BUS_RUN("clean", "--dry-run"), 0);
    assert_said("would remove killed");
    assert_said("left         alive");
    assert_non_null(listed("killed"));

    assert_int_equal(BUS_RUN("clean", "alive"), 1);
    assert_said("is alive");
    assert_int_equal(BUS_RUN("clean", "kiled"), 1);
    assert_said("did you mean \"killed\"?");
    assert_int_equal(BUS_RUN("clean"), 0);
    assert_said("removed      killed");
    assert_null(listed("killed"));
    assert_true(publishes(listed("alive")));
    assert_int_equal(BUS_RUN("dump", "alive"), 0); /* and it can be read */
    assert_int_equal(BUS_RUN("clean", "killed"), 1);

    start(write_frames, "killed"); /* nothing was in its successor's way */
    await("killed", publishes);
}

static void stopped_writer_is_silent_and_never_cleaned(void **unused)
{
    (void)unused;
    char advice[32];
    const pid_t writer = start(write_once, SL_BUS_STATE);
    await(SL_BUS_STATE, publishes);
    kill(writer, SIGSTOP);
    const cJSON *bus = await(SL_BUS_STATE, is_silent);
    assert_int_equal(number(field(bus, "writer"), "pid"), writer);
    snprintf(advice, sizeof advice, "kill -CONT %d", writer);
    assert_int_equal(BUS_RUN("ls"), 0);
    assert_said(advice);
    assert_int_equal(BUS_RUN("clean"), 0);
    assert_said("There is nothing to remove.");
    assert_int_equal(BUS_RUN("clean", SL_BUS_STATE), 1);
    kill(writer, SIGCONT);
    await(SL_BUS_STATE, publishes);
}

static void writer_of_another_version_is_told(void **unused)
{
    (void)unused;
    start(answer_as_stranger, SL_BUS_STATE);
    const uint64_t give_up = sl_clock_now_ns() + 10 * SL_NS_PER_S;
    const cJSON *bus;
    do
        bus = listed(SL_BUS_STATE);
    while ((bus == NULL || strcmp(word(bus, "life"), "mismatch") != 0) &&
           sl_clock_now_ns() < give_up);
    assert_int_equal(BUS_RUN("ls"), 0);
    assert_said("mismatch");
    assert_said("is of another version");
    assert_int_equal(BUS_RUN("clean", SL_BUS_STATE), 1);
}

static void become_nobody(void)
{
    if (setgroups(0, NULL) != 0 || setgid(65534) != 0 || setuid(65534) != 0)
        _exit(126);
}

static int run_as_nobody(const char *verb, const char *option)
{
    program_start(&bus_program, become_nobody, "bus", verb, option, NULL);
    return bus_run_end();
}

static void bus_of_another_user_is_foreign(void **unused)
{
    (void)unused;
    if (getuid() != 0)
        skip(); /* only root can become somebody else */
    assert_int_equal(chmod(getenv("SKYLANE_BUS_DIR"), 01777), 0); /* as /dev/shm is */
    const pid_t writer = start(write_once, SL_BUS_STATE);
    await(SL_BUS_STATE, publishes);
    assert_int_equal(run_as_nobody("ls", NULL), 0);
    assert_said("foreign");
    assert_said("bus.access = group");
    assert_int_equal(run_as_nobody("dump", SL_BUS_STATE), 1);
    kill_child(writer);
    assert_int_equal(run_as_nobody("clean", NULL), 1); /* dead, but not theirs to remove */
    assert_true(is_dead(listed(SL_BUS_STATE)));
}

/* ---- watch ---- */

static void watch_writes_an_object_a_line(void **unused)
{
    (void)unused;
    unsigned count = 0;
    start(write_frames, SL_BUS_CAMERA);
    await(SL_BUS_CAMERA, publishes);
    assert_int_equal(BUS_RUN("watch", "--json", "--count", "3", "--interval", "0.5"), 0);
    for (char *next = bus_said, *line; (line = strsep(&next, "\n")) != NULL && *line != '\0';) {
        cJSON *json = cJSON_Parse(line);
        assert_non_null(json);
        const cJSON *bus = cJSON_GetArrayItem(field(json, "buses"), 0);
        assert_string_equal(word(bus, "name"), SL_BUS_CAMERA);
        assert_true(number(bus, "rate_hz") > 1.0);
        assert_int_equal(number(bus, "overruns_since"), 0);
        count++;
        cJSON_Delete(json);
    }
    assert_int_equal(count, 3);
}

static void watch_waits_for_a_bus_that_is_named(void **unused)
{
    (void)unused;
    BUS_START("watch", "--interval", "0.1", SL_BUS_STATE);
    program_must_say(&bus_program, "absent");
    start(write_once, SL_BUS_STATE);
    program_must_say(&bus_program, "vehicle states");
    program_signal(&bus_program, SIGINT);
    assert_int_equal(bus_run_end(), 0); /* Ctrl-C is its ordinary end */
    assert_said("absent");
    assert_said("vehicle states");
    assert_said("0.1 s");
    assert_null(strchr(bus_said, '\033'));
}

/* Runs it on a terminal of 60 columns to its end; what it drew in bus_said. */
static void watch_on_terminal(bool colours)
{
    const struct winsize size = {.ws_row = 20, .ws_col = 60};
    int terminal;
    const pid_t pid = forkpty(&terminal, NULL, NULL, &size);
    if (pid == 0) {
        setenv("TERM", "xterm", 1);
        if (colours)
            unsetenv("NO_COLOR");
        else
            setenv("NO_COLOR", "1", 1);
        execl(SL_BIN_DIR "/skylane-bus", "bus", "watch", "--count", "2", "--interval", "0.1", NULL);
        _exit(127);
    }
    size_t used = 0;
    ssize_t n;
    while ((n = read(terminal, bus_said + used, sizeof bus_said - 1 - used)) > 0)
        used += (size_t)n;
    bus_said[used] = '\0';
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    close(terminal);
}

static void watch_draws_in_place_on_a_terminal(void **unused)
{
    (void)unused;
    start(write_frames, SL_BUS_CAMERA);
    const pid_t dead = start(write_once, "dead_one");
    await(SL_BUS_CAMERA, publishes);
    await("dead_one", publishes);
    kill_child(dead);
    watch_on_terminal(true);
    assert_said("\033[3A"); /* up again over header and two buses */
    assert_said("\033[31mdead\033[0m");
    watch_on_terminal(false);
    assert_said("\033[3A");
    assert_null(strstr(bus_said, "\033[31m"));
    for (char *next = bus_said, *line; (line = strsep(&next, "\n")) != NULL;) {
        line[strcspn(line, "\033\r")] = '\0';
        assert_true(strlen(line) <= 60);
    }
}

/* ---- misuse ---- */

static void misuse_is_told(void **unused)
{
    (void)unused;
    assert_int_equal(BUS_RUN("lss"), 2);
    assert_said("there is no verb \"lss\"; did you mean \"ls\"?");
    assert_int_equal(BUS_RUN("wtach"), 2);
    assert_said("did you mean \"watch\"?");
    assert_int_equal(BUS_RUN("quite_another"), 2);
    assert_int_equal(BUS_RUN("ls", "--jsn"), 2);
    assert_said("did you mean --json?");
    assert_int_equal(BUS_RUN("clean", "--dry_run"), 2);
    assert_said("did you mean --dry-run?");
    assert_int_equal(BUS_RUN("watch", "--interval", "0"), 2);
    assert_said("--interval is 0; it must lie within 0.1 and 3600");
    assert_int_equal(BUS_RUN("watch", "--count", "two"), 2);
    assert_int_equal(BUS_RUN("watch", "--count"), 2);
    assert_said("--count needs a value");
    assert_int_equal(BUS_RUN("--help"), 0);
    assert_said("examples:");
    assert_int_equal(BUS_RUN("--version"), 0);
    assert_said("skylane-bus ");
    static const char *const VERBS[] = {"ls", "watch", "dump", "clean", "bench"};
    for (size_t i = 0; i < sizeof VERBS / sizeof VERBS[0]; i++) {
        assert_int_equal(BUS_RUN(VERBS[i], "--help"), 0);
        assert_said("examples:");
    }
}

int main(void)
{
#define CASE(function) cmocka_unit_test_setup_teardown(function, begin, end)
    const struct CMUnitTest tests[] = {
        CASE(no_bus_is_no_trouble),
        CASE(folder_that_is_not_there_is_told),
        CASE(ls_tells_who_writes_and_who_reads),
        CASE(ls_tells_who_was_overrun),
        CASE(ls_tells_who_sleeps),
        CASE(many_readers_do_not_flood),
        CASE(names_that_are_not_there_are_told),
        CASE(names_of_processes_do_not_reach_the_terminal_raw),
        CASE(dead_is_shown_and_cleaned_and_alive_is_left),
        CASE(stopped_writer_is_silent_and_never_cleaned),
        CASE(writer_of_another_version_is_told),
        CASE(bus_of_another_user_is_foreign),
        CASE(watch_writes_an_object_a_line),
        CASE(watch_waits_for_a_bus_that_is_named),
        CASE(watch_draws_in_place_on_a_terminal),
        CASE(misuse_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
