/* Programs that this one starts: this very program, told by its arguments to
 * behave. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "rt/child.h"
#include "rt/clock.h"
#include "rt/memory.h"
#include "rt/thread.h"

#define SELF        "child_test"
#define VARIABLE    "SKYLANE_TEST_RESTARTS"
#define PATIENCE_NS (20 * SL_NS_PER_S)
#define TAKEN       "port 5557 is taken; choose another"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED true
#else
#define SANITIZED false
#endif

static struct {
    char said[4096], ended[4096];
    int said_count, ended_count;
} heard;

static void hear(void *unused, enum sl_child_news news, const char *text)
{
    (void)unused;
    char *to = news == SL_CHILD_SAID ? heard.said : heard.ended;
    size_t used = strlen(to);
    if (used > sizeof heard.said - 600) /* the newest is what counts */
        used = 0;
    snprintf(to + used, sizeof heard.said - used, "%s\n", text);
    if (news == SL_CHILD_SAID)
        heard.said_count++;
    else
        heard.ended_count++;
}

static struct sl_child *child;

static void start_with(const char *behaviour, bool again, int given_fd)
{
    const char *const arguments[] = {behaviour, NULL};
    const struct sl_child_config config = {.program = SELF,
                                           .arguments = arguments,
                                           .given_fd = given_fd,
                                           .orphan_signal = SIGKILL,
                                           .again = again,
                                           .restarts_variable = VARIABLE,
                                           .say = hear};
    struct sl_error err = {0};
    if (sl_child_open(&child, &config, &err) != 0)
        fail_msg("%s", err.text);
}

static int begin(void **unused)
{
    (void)unused;
    memset(&heard, 0, sizeof heard);
    child = NULL;
    return 0;
}

static int end(void **unused)
{
    (void)unused;
    sl_child_close(child);
    return 0;
}

static void poll_a_while(void)
{
    sl_child_poll(child);
    sl_clock_sleep_until_ns(sl_clock_now_ns() + 5 * SL_NS_PER_MS);
}

static void await_word(const char *word)
{
    const uint64_t give_up_ns = sl_clock_now_ns() + PATIENCE_NS;
    while (strstr(heard.said, word) == NULL) {
        poll_a_while();
        if (sl_clock_now_ns() > give_up_ns)
            fail_msg("it does not say \"%s\" but \"%s\"", word, heard.said);
    }
}

/* ---- behaviours ---- */

static void say(const char *text)
{
    if (write(STDOUT_FILENO, text, strlen(text)) < 0)
        _exit(9);
}

static void *begin_and_end(void *argument)
{
    return argument;
}

/* Has a child of its own, says its pid, and waits to be killed. A thread comes and
 * goes meanwhile. */
static _Noreturn void behave_as_parent(void)
{
    char line[64];
    pthread_t thread;
    start_with("sleep", false, -1);
    if (pthread_create(&thread, NULL, begin_and_end, NULL) == 0)
        pthread_join(thread, NULL);
    snprintf(line, sizeof line, "child %d\n", (int)sl_child_pid(child));
    say(line);
    for (;;)
        pause();
}

static int behave(const char *how)
{
    const char *restarts = getenv(VARIABLE);
    if (strcmp(how, "parent") == 0)
        behave_as_parent();
    if (strcmp(how, "stubborn") == 0) {
        signal(SIGTERM, SIG_IGN);
        say("ready\n");
    } else if (strcmp(how, "fail") == 0) {
        say("skylane child_test: " TAKEN "\n");
        return 1;
    } else if (strcmp(how, "abort") == 0) {
        say("first\nAssertion failed: " TAKEN "\n");
        abort();
    } else if (strcmp(how, "fail, live, fail") == 0) {
        if (strcmp(restarts, "2") == 0)
            sl_clock_sleep_until_ns(sl_clock_now_ns() + SL_CHILD_LIVED_NS + SL_NS_PER_S / 2);
        say("skylane child_test: " TAKEN "\n");
        return 1;
    } else if (strcmp(how, "write a lot and end") == 0) {
        signal(SIGTERM, SIG_IGN);
        for (int i = 0; i < 40000; i++)
            say("0123456789abcdef\n");
        say("last");
        return 0;
    } else if (strcmp(how, "count") == 0) {
        say("restarts ");
        say(restarts);
        say("\n");
    } else if (strcmp(how, "use 3") == 0) {
        return write(3, "given", 5) == 5 ? 0 : 8;
    } else {
        say("ready\n");
    }
    for (;;)
        pause();
}

/* ---- tests ---- */

static void missing_program_is_told(void **unused)
{
    (void)unused;
    const char *const none[] = {NULL};
    const struct sl_child_config config = {
        .program = "skylane-nothing", .arguments = none, .given_fd = -1, .say = hear};
    struct sl_error err = {0};
    assert_int_equal(sl_child_open(&child, &config, &err), -ENOENT);
    assert_non_null(strstr(err.text, "skylane-nothing is missing; build it"));
    assert_null(child);
}

static void ends_when_asked(void **unused)
{
    (void)unused;
    start_with("sleep", true, -1);
    await_word("ready");
    const uint64_t asked_ns = sl_clock_now_ns();
    sl_child_stop(child, PATIENCE_NS);
    assert_true(sl_clock_now_ns() - asked_ns < PATIENCE_NS);
    assert_non_null(strstr(sl_child_end(child), "signal 15"));
    assert_false(sl_child_poll(child)); /* and is not started again */
    assert_int_equal(heard.ended_count, 0);
}

static void is_killed_when_it_does_not_listen(void **unused)
{
    (void)unused;
    start_with("stubborn", false, -1);
    await_word("ready");
    const pid_t pid = sl_child_pid(child);
    const uint64_t asked_ns = sl_clock_now_ns();
    assert_false(sl_child_stop(child, 300 * SL_NS_PER_MS));
    assert_true(sl_clock_now_ns() - asked_ns >= 300 * SL_NS_PER_MS);
    assert_int_equal(kill(pid, 0), -1);
    assert_non_null(strstr(sl_child_end(child), "signal 9"));
}

static void dies_with_its_parent_but_not_with_a_thread(void **unused)
{
    (void)unused;
    int pid = 0;
    start_with("parent", false, -1);
    await_word("child ");
    assert_int_equal(sscanf(strstr(heard.said, "child "), "child %d", &pid), 1);
    assert_int_equal(kill(pid, 0), 0);
    /* As an orphan it would come to us, and could be waited for. */
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    kill(sl_child_pid(child), SIGKILL);
    int status = 0;
    const uint64_t give_up_ns = sl_clock_now_ns() + PATIENCE_NS;
    while (waitpid(pid, &status, WNOHANG) != pid) {
        if (sl_clock_now_ns() > give_up_ns) {
            kill(pid, SIGKILL);
            fail_msg("it outlives its parent");
        }
        poll_a_while();
    }
    prctl(PR_SET_CHILD_SUBREAPER, 0);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void comes_back_and_knows_how_often(void **unused)
{
    (void)unused;
    start_with("count", true, -1);
    await_word("restarts 0");
    const pid_t first = sl_child_pid(child);
    kill(first, SIGKILL);
    await_word("restarts 1");
    assert_int_not_equal(sl_child_pid(child), first);
    assert_int_equal(sl_child_restarts(child), 1);
    assert_int_equal(heard.ended_count, 1);
    assert_non_null(strstr(heard.ended, "child_test was ended by signal 9"));
}

/* What fails at each start: later each time, and told once, with its reason. */
static void failing_start_is_told_once_and_tried_ever_more_rarely(void **unused)
{
    (void)unused;
    uint64_t counted = 0, since_ns = sl_clock_now_ns(), least_ns = SL_CHILD_DELAY_NS;
    start_with("fail", true, -1);
    while (counted < 4) {
        poll_a_while();
        if (sl_child_restarts(child) == counted)
            continue;
        const uint64_t now_ns = sl_clock_now_ns();
        assert_true(now_ns - since_ns >= least_ns);
        counted = sl_child_restarts(child);
        since_ns = now_ns;
        least_ns *= 2;
    }
    assert_int_equal(heard.said_count, 0);
    assert_int_equal(heard.ended_count, 1);
    assert_string_equal(heard.ended, "child_test ended with status 1: " TAKEN
                                     "; it is started again from time to time\n");
}

/* With what a library said last, which else nobody would see at the log's usual level. */
static void an_abort_is_told_with_its_reason(void **unused)
{
    (void)unused;
    const uint64_t give_up_ns = sl_clock_now_ns() + PATIENCE_NS;
    start_with("abort", true, -1);
    while (heard.ended_count == 0 && sl_clock_now_ns() < give_up_ns)
        poll_a_while();
    assert_string_equal(heard.said, "first\n");
    assert_string_equal(heard.ended,
                        "child_test was ended by signal 6 (Aborted): Assertion failed: " TAKEN
                        "; it is started again from time to time\n");
}

static void delay_falls_back_after_a_while(void **unused)
{
    (void)unused;
    uint64_t ended_ns = 0;
    start_with("fail, live, fail", true, -1);
    while (sl_child_restarts(child) < 3) {
        poll_a_while();
        if (sl_child_restarts(child) == 2 && sl_child_pid(child) != 0)
            ended_ns = sl_clock_now_ns();
    }
    const uint64_t delay_ns = sl_clock_now_ns() - ended_ns;
    assert_true(delay_ns >= SL_CHILD_DELAY_NS / 2 && delay_ns < 3 * SL_CHILD_DELAY_NS);
    assert_int_equal(heard.ended_count, 2); /* what happens after a good hour is news */
}

static void all_that_it_says_arrives(void **unused)
{
    (void)unused;
    start_with("write a lot and end", false, -1);
    while (sl_child_poll(child))
        ; /* 660 kB through a pipe of 64 */
    assert_non_null(strstr(heard.said, "last\n"));
    assert_int_equal(heard.said_count, 40001);
    assert_string_equal(sl_child_end(child), "child_test ended with status 0");
}

static void stopping_does_not_wait_for_a_full_pipe(void **unused)
{
    (void)unused;
    start_with("write a lot and end", false, -1);
    sl_clock_sleep_until_ns(sl_clock_now_ns() + 300 * SL_NS_PER_MS); /* nobody reads */
    sl_child_stop(child, PATIENCE_NS);
    assert_int_equal(sl_child_pid(child), 0);
    assert_null(strstr(sl_child_end(child), "signal 9"));
}

/* Line NAME of /proc/PID/status. */
static void status_line(pid_t pid, const char *name, char line[256])
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    FILE *from = fopen(path, "r");
    assert_non_null(from);
    bool found = false;
    while (!found && fgets(line, 256, from) != NULL)
        found = strncmp(line, name, strlen(name)) == 0;
    fclose(from);
    assert_true(found);
}

static void *stay_on_one_core(void *argument)
{
    while (!atomic_load((_Atomic bool *)argument))
        sl_clock_sleep_until_ns(sl_clock_now_ns() + SL_NS_PER_MS);
    return NULL;
}

/* Of a program whose threads are pinned real-time ones, and whose main thread is
 * a real-time one as well (chrt). */
static void inherits_neither_priority_nor_cores(void **unused)
{
    (void)unused;
    struct sl_error err;
    struct sl_thread thread;
    char ours[256], its[256];
    _Atomic bool over = false;
    const struct sl_thread_config pinned = {.name = "pinned", .priority = 20, .cpu = 0};
    const struct sched_param fifo = {.sched_priority = 10}, none = {0};
    assert_int_equal(sl_thread_start(&thread, &pinned, stay_on_one_core, &over, &err), 0);
    if (sched_setscheduler(0, SCHED_FIFO, &fifo) != 0)
        print_message("SCHED_FIFO is not permitted here: half of this test is left out\n");
    start_with("sleep", false, -1);
    sched_setscheduler(0, SCHED_OTHER, &none);
    await_word("ready");
    assert_int_equal(sched_getscheduler(sl_child_pid(child)), SCHED_OTHER);
    status_line(getpid(), "Cpus_allowed_list", ours);
    status_line(sl_child_pid(child), "Cpus_allowed_list", its);
    assert_string_equal(ours, its);
    status_line(sl_child_pid(child), "VmLck", its);
    assert_int_equal(strtol(its + strlen("VmLck:"), NULL, 10), 0);
    assert_int_equal(getpgid(sl_child_pid(child)), sl_child_pid(child));
    atomic_store(&over, true);
    sl_thread_join(&thread);
}

static int descriptors_of(pid_t pid)
{
    char path[64];
    int count = 0;
    snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
    DIR *folder = opendir(path);
    assert_non_null(folder);
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;)
        count += entry->d_name[0] != '.';
    closedir(folder);
    return count;
}

static void inherits_no_descriptor(void **unused)
{
    (void)unused;
    const int open_here = open("/dev/zero", O_RDONLY); /* not closed on exec */
    assert_true(open_here >= 0);
    start_with("sleep", false, -1);
    await_word("ready");
    assert_int_equal(descriptors_of(sl_child_pid(child)), 3);
    close(open_here);
}

static void gets_the_descriptor_that_is_given(void **unused)
{
    (void)unused;
    int fds[2];
    char bytes[16];
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    start_with("use 3", false, fds[1]);
    close(fds[1]);
    assert_int_equal(read(fds[0], bytes, sizeof bytes), 5);
    assert_int_equal(read(fds[0], bytes, sizeof bytes), 0); /* nobody else has it */
    close(fds[0]);
}

/* Writes to all of its memory, again and again, as a control loop does. */
#define BUSY_BYTES ((size_t)8 << 20)
static struct {
    _Atomic bool over;
    _Atomic unsigned rounds;
    uint64_t faults;
    volatile char *memory;
} busy;

static void *keep_busy(void *unused)
{
    for (size_t i = 0; i < BUSY_BYTES; i += 4096)
        busy.memory[i]++;
    const uint64_t before = sl_memory_thread_faults();
    while (!atomic_load(&busy.over)) {
        for (size_t i = 0; i < BUSY_BYTES; i += 4096)
            busy.memory[i]++;
        atomic_fetch_add(&busy.rounds, 1);
        sl_clock_sleep_until_ns(sl_clock_now_ns() + SL_NS_PER_MS);
    }
    busy.faults = sl_memory_thread_faults() - before;
    return unused;
}

static void fifty_starts_cost_a_thread_no_page_fault(void **unused)
{
    (void)unused;
    struct sl_error err;
    struct sl_thread thread;
    const struct sl_thread_config config = {.name = "busy", .priority = 10, .cpu = -1};
    if (SANITIZED) /* their memory is not to be locked, and TSan forks */
        skip();
    if (sl_memory_lock(&err) != 0)
        skip();
    busy.memory =
        mmap(NULL, BUSY_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(busy.memory != MAP_FAILED);
    assert_int_equal(sl_thread_start(&thread, &config, keep_busy, NULL, &err), 0);
    while (atomic_load(&busy.rounds) < 5)
        sl_clock_sleep_until_ns(sl_clock_now_ns() + SL_NS_PER_MS);
    for (int i = 0; i < 50; i++) {
        start_with("sleep", false, -1);
        const unsigned rounds = atomic_load(&busy.rounds);
        while (atomic_load(&busy.rounds) < rounds + 2)
            sl_clock_sleep_until_ns(sl_clock_now_ns() + SL_NS_PER_MS);
        sl_child_close(child);
        child = NULL;
    }
    atomic_store(&busy.over, true);
    sl_thread_join(&thread);
    munlockall();
    munmap((void *)busy.memory, BUSY_BYTES);
    assert_int_equal(busy.faults, 0);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        return behave(argv[1]);
#define CASE(test) cmocka_unit_test_setup_teardown(test, begin, end)
    const struct CMUnitTest tests[] = {
        CASE(missing_program_is_told),
        CASE(ends_when_asked),
        CASE(is_killed_when_it_does_not_listen),
        CASE(dies_with_its_parent_but_not_with_a_thread),
        CASE(comes_back_and_knows_how_often),
        CASE(failing_start_is_told_once_and_tried_ever_more_rarely),
        CASE(an_abort_is_told_with_its_reason),
        CASE(delay_falls_back_after_a_while),
        CASE(all_that_it_says_arrives),
        CASE(stopping_does_not_wait_for_a_full_pipe),
        CASE(inherits_neither_priority_nor_cores),
        CASE(inherits_no_descriptor),
        CASE(gets_the_descriptor_that_is_given),
        CASE(fifty_starts_cost_a_thread_no_page_fault),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
