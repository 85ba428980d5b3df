/* The runtime: histogram, loops, threads, memory, latch, log, command line. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "rt/cli.h"
#include "rt/clock.h"
#include "rt/histogram.h"
#include "rt/latch.h"
#include "rt/log.h"
#include "rt/memory.h"
#include "rt/thread.h"

/* ---- histogram ---- */

static void quantiles_are_within_their_bucket(void **state)
{
    (void)state;
    static struct sl_histogram h;
    memset(&h, 0, sizeof h);
    assert_int_equal(sl_histogram_quantile_ns(&h, 0.5), 0);
    for (uint64_t us = 1; us <= 10000; us++)
        sl_histogram_add(&h, us * 1000);
    const double quantiles[] = {0.001, 0.5, 0.99, 0.999, 1.0};
    for (size_t i = 0; i < 5; i++) {
        double truth = quantiles[i] * 10000 * 1000;
        double said = (double)sl_histogram_quantile_ns(&h, quantiles[i]);
        assert_true(said >= truth && said <= truth * 1.04);
    }
    assert_int_equal(sl_histogram_max_ns(&h), 10000000);
    assert_int_equal(sl_histogram_count(&h), 10000);
}

static void extreme_durations_count(void **state)
{
    (void)state;
    static struct sl_histogram h;
    memset(&h, 0, sizeof h);
    sl_histogram_add(&h, 0);
    assert_int_equal(sl_histogram_quantile_ns(&h, 1.0), 0);
    sl_histogram_add(&h, UINT64_MAX);
    assert_true(sl_histogram_max_ns(&h) == UINT64_MAX);
    assert_int_equal(sl_histogram_count(&h), 2);
    for (uint64_t v = 1; v < UINT64_C(1) << 40; v = v * 3 + 1) { /* never below the value */
        memset(&h, 0, sizeof h);
        sl_histogram_add(&h, v);
        sl_histogram_add(&h, v * 2);
        uint64_t said = sl_histogram_quantile_ns(&h, 0.5);
        assert_true(said >= v && said <= v + v / 30 + 1);
    }
}

/* ---- loops and threads ---- */

static void lateness_and_misses_are_counted(void **state)
{
    (void)state;
    static struct sl_loop loop;
    sl_loop_init(&loop, 1000, 100, 10000);
    assert_int_equal(loop.next_ns, 11000);
    assert_false(sl_loop_begin(&loop, 11000)); /* on time */
    assert_false(sl_loop_begin(&loop, 12100)); /* as late as allowed */
    assert_int_equal(sl_loop_misses(&loop), 0);
    assert_true(sl_loop_begin(&loop, 13101));
    assert_int_equal(sl_loop_misses(&loop), 1);
    assert_int_equal(loop.next_ns, 14000);
    assert_true(sl_loop_begin(&loop, 17050)); /* slept through 15000, 16000, 17000 */
    assert_int_equal(sl_loop_misses(&loop), 4);
    assert_int_equal(loop.next_ns, 18000);
    assert_int_equal(sl_histogram_max_ns(&loop.lateness), 3050);
}

static void *count_to_ten(void *argument)
{
    struct sl_loop *loop = argument;
    for (int i = 0; i < 10; i++)
        sl_loop_wait(loop);
    return NULL;
}

static void periodic_loop_keeps_its_deadlines(void **state)
{
    (void)state;
    static struct sl_loop loop;
    struct sl_error err;
    struct sl_thread thread;
    const struct sl_thread_config config = {.name = "test", .priority = 50, .cpu = 0};
    uint64_t start = sl_clock_now_ns();
    sl_loop_init(&loop, 2 * SL_NS_PER_MS, SL_NS_PER_S, start);
    assert_int_equal(sl_thread_start(&thread, &config, count_to_ten, &loop, &err), 0);
    sl_thread_join(&thread);
    /* Ten absolute deadlines of 2 ms each can not be over before. */
    assert_true(sl_clock_now_ns() - start >= 20 * SL_NS_PER_MS);
    assert_int_equal(sl_histogram_count(&loop.lateness), 10);
    assert_int_equal(thread.fifo, sl_thread_may_fifo(50, &err) == 0);
}

static void *tell_policy(void *argument)
{
    *(int *)argument = sched_getscheduler(0);
    return NULL;
}

/* As the network's process is: below everything else, whoever started it. */
static void idle_processes_have_idle_threads(void **state)
{
    (void)state;
    const pid_t child = fork();
    if (child == 0) {
        const struct sched_param none = {0};
        const struct sl_thread_config config = {.name = "test", .priority = 0, .cpu = -1};
        struct sl_thread thread;
        int policy = -1;
        if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0))
            _exit(1);
        if (sched_setscheduler(0, SCHED_IDLE, &none) != 0 ||
            sl_thread_start(&thread, &config, tell_policy, &policy, NULL) != 0)
            _exit(2);
        sl_thread_join(&thread);
        _exit(policy == SCHED_IDLE ? 0 : 3);
    }
    int status = -1;
    assert_true(child > 0 && waitpid(child, &status, 0) == child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void *tell_cores(void *argument)
{
    sched_getaffinity(0, sizeof(cpu_set_t), argument);
    return NULL;
}

/* In a child: the others keep their cores. */
static void processes_keep_off_cores(void **state)
{
    (void)state;
    const pid_t child = fork();
    if (child == 0) {
        const struct sl_thread_config config = {.name = "test", .priority = 0, .cpu = -1};
        struct sl_thread thread;
        cpu_set_t before, after;
        int taken[] = {-1, 0, 5000}, all[CPU_SETSIZE];
        sched_getaffinity(0, sizeof before, &before);
        while (!CPU_ISSET(taken[1], &before))
            taken[1]++;
        const bool kept = sl_thread_keep_off(taken, 3);
        if (kept != (CPU_COUNT(&before) > 1) ||
            sl_thread_start(&thread, &config, tell_cores, &after, NULL) != 0)
            _exit(1);
        sl_thread_join(&thread);
        if (kept)
            CPU_CLR(taken[1], &before);
        if (!CPU_EQUAL(&before, &after))
            _exit(2);
        for (int i = 0; i < CPU_SETSIZE; i++)
            all[i] = i;
        if (sl_thread_keep_off(all, CPU_SETSIZE))
            _exit(3);
        sched_getaffinity(0, sizeof after, &after);
        _exit(CPU_EQUAL(&before, &after) ? 0 : 4);
    }
    int status = -1;
    assert_true(child > 0 && waitpid(child, &status, 0) == child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void bad_threads_are_refused(void **state)
{
    (void)state;
    struct sl_error err;
    struct sl_thread thread;
    struct sl_thread_config config = {.name = "test", .priority = 0, .cpu = 5000};
    assert_int_equal(sl_thread_start(&thread, &config, count_to_ten, NULL, &err), -EINVAL);
    assert_non_null(strstr(err.text, "core 5000"));
    sl_thread_join(&thread); /* harmless */
    config = (struct sl_thread_config){.name = "test", .priority = 99, .cpu = -1};
    assert_int_equal(sl_thread_start(&thread, &config, count_to_ten, NULL, &err), -EINVAL);
}

static __attribute__((noinline)) int use_stack(void)
{
    volatile char room[128 << 10];
    for (size_t i = 0; i < sizeof room; i += 4096)
        room[i] = 1;
    return room[0];
}

static void *faults_of_deep_calls(void *argument)
{
    uint64_t before = sl_memory_thread_faults();
    use_stack();
    *(uint64_t *)argument = sl_memory_thread_faults() - before;
    return NULL;
}

static void stacks_are_touched_beforehand(void **state)
{
    (void)state;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    skip(); /* their shadow memory faults on its own */
#endif
    struct sl_error err;
    struct sl_thread thread;
    uint64_t faults = 99;
    const struct sl_thread_config config = {.name = "test", .priority = 0, .cpu = -1};
    assert_int_equal(sl_thread_start(&thread, &config, faults_of_deep_calls, &faults, &err), 0);
    sl_thread_join(&thread);
    assert_int_equal(faults, 0);
}

/* ---- memory ---- */

static void arena_gives_out_touched_memory(void **state)
{
    (void)state;
    struct sl_error err;
    struct sl_arena arena;
    for (int huge = 0; huge <= 1; huge++) {
        assert_int_equal(sl_arena_open(&arena, 100000, huge != 0, &err), 0);
        uint64_t before = sl_memory_thread_faults();
        uint8_t *a = sl_arena_take(&arena, 1000, 64);
        uint8_t *b = sl_arena_take(&arena, 90000, 4096);
        assert_non_null(a);
        assert_non_null(b);
        assert_true(b >= a + 1000);
        assert_int_equal((uintptr_t)b % 4096, 0);
        memset(b, 1, 90000);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
        assert_int_equal(sl_memory_thread_faults() - before, 0);
#endif
        (void)before;
        assert_null(sl_arena_take(&arena, SIZE_MAX - 8, 64));
        assert_null(sl_arena_take(&arena, arena.size, 64));
        sl_arena_close(&arena);
        sl_arena_close(&arena); /* harmless */
    }
}

static void allocations_of_marked_threads_are_counted(void **state)
{
    (void)state;
    if (!sl_memory_counts_allocations())
        skip(); /* a sanitizer's allocator is in its place */
    uint64_t before = sl_memory_marked_allocations();
    free(malloc(100));
    assert_int_equal(sl_memory_marked_allocations(), before);
    sl_memory_mark_thread(true);
    void *volatile a = malloc(100);
    void *volatile b = calloc(3, 100);
    a = realloc(a, 200);
    void *volatile c = aligned_alloc(64, 128);
    void *d = NULL;
    int rc = posix_memalign(&d, 64, 128);
    sl_memory_mark_thread(false);
    assert_int_equal(rc, 0);
    assert_int_equal((uintptr_t)c % 64 + (uintptr_t)d % 64, 0);
    assert_int_equal(sl_memory_marked_allocations() - before, 5);
    free(a);
    free(b);
    free(c);
    free(d);
}

/* ---- latch ---- */

struct twins {
    uint64_t values[40];
};
static struct sl_latch latch;
static _Atomic int latch_stop;

static void *write_twins(void *argument)
{
    (void)argument;
    struct twins t;
    for (uint64_t n = 1; !latch_stop; n++) {
        for (int i = 0; i < 40; i++)
            t.values[i] = n;
        sl_latch_write(&latch, &t, sizeof t);
        /* A writer without any pause would starve the reader, as with any
         * seqlock; real ones write some hundred times a second. */
        if (n % 16 == 0)
            sl_clock_sleep_until_ns(sl_clock_now_ns() + 20 * SL_NS_PER_US);
    }
    return NULL;
}

static void latched_values_are_whole(void **state)
{
    (void)state;
    struct twins t;
    pthread_t thread;
    assert_int_equal(sl_latch_read(&latch, &t, sizeof t), 0);
    pthread_create(&thread, NULL, write_twins, NULL);
    uint64_t last = 0;
    for (int n = 0; n < 20000; n++) {
        sl_latch_read(&latch, &t, sizeof t);
        for (int i = 1; i < 40; i++)
            assert_true(t.values[i] == t.values[0]);
        assert_true(t.values[0] >= last);
        last = t.values[0];
    }
    latch_stop = 1;
    pthread_join(thread, NULL);
}

/* ---- log ---- */

static void log_lines_are_formatted_later(void **state)
{
    (void)state;
    struct sl_error err;
    struct sl_log *log;
    char *text = NULL;
    size_t size = 0;
    FILE *to = open_memstream(&text, &size);
    assert_int_equal(sl_log_open(&log, to, SL_LOG_INFO, &err), 0);
    sl_log(log, SL_LOG_DEBUG, "not shown");
    sl_log(log, SL_LOG_INFO, "plain");
    sl_log(log, SL_LOG_WARNING, "frame {} came {} ms late at {}{}", sl_log_u64(7), sl_log_f64(1.5),
           sl_log_text("night"), sl_log_i64(-2));
    sl_log(log, SL_LOG_ERROR, "too {} few {}", sl_log_i64(1));
    sl_log_close(log);
    fclose(to);
    assert_null(strstr(text, "not shown"));
    assert_non_null(strstr(text, " info: plain\n"));
    assert_non_null(strstr(text, " warning: frame 7 came 1.5 ms late at night-2\n"));
    assert_non_null(strstr(text, " error: too 1 few \n"));
    free(text);
    sl_log(NULL, SL_LOG_ERROR, "nobody listens");
}

static char heard[4096];

static void hear(void *context, uint64_t time_ns, enum sl_log_level level, const char *text)
{
    assert_ptr_equal(context, heard);
    assert_true(time_ns > 0);
    const size_t length = strlen(heard);
    snprintf(heard + length, sizeof heard - length, "%d %s\n", (int)level, text);
}

/* A quiet program may still be listened to. */
static void log_is_listened_to(void **state)
{
    (void)state;
    struct sl_error err;
    struct sl_log *log;
    char *text = NULL, longest[300];
    size_t size = 0;
    FILE *to = open_memstream(&text, &size);
    heard[0] = '\0';
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    assert_int_equal(sl_log_open(&log, to, SL_LOG_WARNING, &err), 0);
    sl_log_listen(log, SL_LOG_INFO, hear, heard);
    sl_log(log, SL_LOG_DEBUG, "for nobody");
    sl_log(log, SL_LOG_INFO, "set: {}", sl_log_text("a.b=1"));
    sl_log(log, SL_LOG_ERROR, "{}{}{}{}", sl_log_text(longest), sl_log_text(longest),
           sl_log_text(longest), sl_log_text(longest));
    sl_log_close(log);
    fclose(to);
    assert_int_equal(strncmp(heard, "1 set: a.b=1\n3 xxx", 18), 0);
    assert_int_equal(strlen(heard), 13 + 2 + 1023 + 1); /* cut */
    assert_null(strstr(text, "set:"));
    assert_non_null(strstr(text, " error: xxx"));
    free(text);
}

static void lines_of_another_log_are_taken_apart(void **state)
{
    (void)state;
    enum sl_log_level level = SL_LOG_DEBUG;
    assert_string_equal(sl_log_line_text("12.345678 warning: a: b", &level), "a: b");
    assert_int_equal(level, SL_LOG_WARNING);
    assert_string_equal(sl_log_line_text("0.000001 error: ", &level), "");
    assert_int_equal(level, SL_LOG_ERROR);
    static const char *const OTHERS[] = {"",           "skylane camera: no",  "12.3",
                                         "12.3 ",      "12.3 warn: a",        "12.3 warning",
                                         "12.3 info:", "12.3  info: a",       "x 12.3 info: a",
                                         "info: a",    "12.3 information: a", " 12.3 info: a"};
    for (size_t i = 0; i < sizeof OTHERS / sizeof OTHERS[0]; i++)
        assert_ptr_equal(sl_log_line_text(OTHERS[i], &level), OTHERS[i]);
    assert_int_equal(level, SL_LOG_ERROR);
}

static void *close_log(void *log)
{
    sl_log_close(log);
    return NULL;
}

static void stalled_log_drops_and_never_waits(void **state)
{
    (void)state;
    struct sl_error err;
    struct sl_log *log;
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    fcntl(fds[1], F_SETPIPE_SZ, 4096);
    FILE *to = fdopen(fds[1], "w");
    assert_int_equal(sl_log_open(&log, to, SL_LOG_DEBUG, &err), 0);
    /* Nobody reads: the pipe fills, then the ring, then messages are dropped.
     * This ends only because no call waits. */
    uint64_t sent = 0;
    while (sl_log_dropped(log) < 1000) {
        sl_log(log, SL_LOG_INFO, "a message of some length, number {}", sl_log_u64(++sent));
        if (sent % 2000 == 0)
            sl_clock_sleep_until_ns(sl_clock_now_ns() + SL_NS_PER_MS);
    }
    static char bytes[65536];
    fcntl(fds[0], F_SETFL, O_NONBLOCK);
    pthread_t closer;
    pthread_create(&closer, NULL, close_log, log);
    bool told = false;
    uint64_t give_up = sl_clock_now_ns() + 10 * SL_NS_PER_S;
    while (!told && sl_clock_now_ns() < give_up) { /* now somebody reads */
        ssize_t n = read(fds[0], bytes, sizeof bytes - 1);
        if (n > 0) {
            bytes[n] = '\0';
            told = strstr(bytes, "log messages were lost") != NULL;
        }
    }
    pthread_join(closer, NULL);
    assert_true(told);
    fclose(to);
    close(fds[0]);
}

/* ---- command line ---- */

static void numbers_are_read_strictly(void **state)
{
    (void)state;
    struct sl_error err;
    double d;
    int64_t i;
    assert_int_equal(sl_cli_number("2.5", "x", 0, 10, &d, &err), 0);
    assert_true(d == 2.5);
    const char *const bad[] = {"", "abc", "2.5x", "nan", "inf", "1e999", "11", "-1", " "};
    for (size_t n = 0; n < sizeof bad / sizeof bad[0]; n++)
        assert_int_equal(sl_cli_number(bad[n], "x", 0, 10, &d, &err), -EINVAL);
    assert_int_equal(sl_cli_integer("42", "x", 0, 100, &i, &err), 0);
    assert_int_equal(i, 42);
    assert_int_equal(sl_cli_integer("4.2", "x", 0, 100, &i, &err), -EINVAL);
    assert_int_equal(sl_cli_integer("101", "x", 0, 100, &i, &err), -EINVAL);
    assert_non_null(strstr(err.text, "x is 101; it must lie within 0 and 100"));
    assert_int_equal(sl_cli_integer("99999999999999999999", "x", 0, 100, &i, &err), -EINVAL);
}

static void distances_are_levenshteins(void **state)
{
    (void)state;
    assert_int_equal(sl_cli_distance("seconds", "seconds", 9), 0);
    assert_int_equal(sl_cli_distance("secnds", "seconds", 9), 1);
    assert_int_equal(sl_cli_distance("kitten", "sitting", 9), 3);
    assert_int_equal(sl_cli_distance("", "abc", 9), 3);
    assert_int_equal(sl_cli_distance("abc", "xyz", 2), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quantiles_are_within_their_bucket),
        cmocka_unit_test(extreme_durations_count),
        cmocka_unit_test(lateness_and_misses_are_counted),
        cmocka_unit_test(periodic_loop_keeps_its_deadlines),
        cmocka_unit_test(idle_processes_have_idle_threads),
        cmocka_unit_test(processes_keep_off_cores),
        cmocka_unit_test(bad_threads_are_refused),
        cmocka_unit_test(stacks_are_touched_beforehand),
        cmocka_unit_test(arena_gives_out_touched_memory),
        cmocka_unit_test(allocations_of_marked_threads_are_counted),
        cmocka_unit_test(latched_values_are_whole),
        cmocka_unit_test(log_lines_are_formatted_later),
        cmocka_unit_test(log_is_listened_to),
        cmocka_unit_test(lines_of_another_log_are_taken_apart),
        cmocka_unit_test(stalled_log_drops_and_never_waits),
        cmocka_unit_test(numbers_are_read_strictly),
        cmocka_unit_test(distances_are_levenshteins),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
