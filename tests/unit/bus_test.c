/* The bus as its users see it: one process, several threads, several
 * processes, and everybody dying at the wrong moment. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "bus_helpers.h"

static char dir[] = "/dev/shm/sl-bus-test-XXXXXX";

static void newest_and_next(void **state)
{
    (void)state;
    struct sl_bus_writer *w = open_writer("plain", 8, 64);
    struct sl_bus_reader *newest = open_reader("plain", false);
    struct sl_bus_reader *all = open_reader("plain", false);
    struct sl_bus_view view;
    uint64_t value;

    assert_int_equal(sl_bus_read_newest(newest, &value, 8, NULL), -EAGAIN);
    for (uint64_t i = 1; i <= 5; i++)
        put(w, i);
    assert_int_equal(sl_bus_read_newest(newest, &value, 8, &view), 0);
    assert_int_equal(value, 5);
    assert_int_equal(view.seq, 5);
    assert_int_equal(view.measured_ns, 50);
    assert_true(view.published_ns <= sl_clock_now_ns());
    assert_int_equal(view.missed, 0); /* it has only just arrived */
    assert_int_equal(sl_bus_read_newest(newest, &value, 8, NULL), -EAGAIN);
    put(w, 6);
    put(w, 7);
    assert_int_equal(sl_bus_read_newest(newest, &value, 8, &view), 0);
    assert_int_equal(value, 7);
    assert_int_equal(view.missed, 1);

    for (uint64_t i = 1; i <= 7; i++) {
        assert_int_equal(sl_bus_read_next(all, &value, 8, &view), 0);
        assert_int_equal(value, i);
        assert_int_equal(view.missed, 0);
    }
    for (uint64_t i = 8; i <= 100; i++)
        put(w, i);
    assert_int_equal(sl_bus_read_next(all, &value, 8, &view), 0);
    assert_in_range(value, 93, 94); /* eight slots hold the last eight */
    assert_int_equal(view.missed, value - 8);
    sl_bus_reader_close(newest);
    sl_bus_reader_close(all);
    sl_bus_writer_close(w);
}

static void cancelled_loan_is_never_seen(void **state)
{
    (void)state;
    struct sl_bus_writer *w = open_writer("cancel", 3, 64);
    struct sl_bus_reader *r = open_reader("cancel", false);
    struct sl_bus_loan loan;
    uint64_t value;
    put(w, 1);
    for (int i = 0; i < 10; i++) {
        sl_bus_loan(w, &loan);
        memset(loan.data, 0xff, loan.capacity);
        sl_bus_cancel(w, &loan);
    }
    assert_int_equal(sl_bus_read_newest(r, &value, 8, NULL), 0);
    assert_int_equal(value, 1);
    assert_int_equal(sl_bus_read_newest(r, &value, 8, NULL), -EAGAIN);
    sl_bus_reader_close(r);
    sl_bus_writer_close(w);
}

static void held_slot_is_left_alone_until_none_else_is_free(void **state)
{
    (void)state;
    struct sl_bus_writer *w = open_writer("held", 3, 64);
    struct sl_bus_reader *a = open_reader("held", false);
    struct sl_bus_reader *b = open_reader("held", false);
    struct sl_bus_view va, vb;
    put(w, 1);
    assert_int_equal(sl_bus_acquire_newest(a, &va), 0);
    assert_int_equal(sl_bus_acquire_newest(a, &vb), -EBUSY); /* one at a time */
    for (uint64_t i = 2; i <= 50; i++)
        put(w, i);
    assert_int_equal(*(const uint64_t *)va.data, 1);
    assert_int_equal(sl_bus_writer_overruns(w), 0);

    assert_int_equal(sl_bus_acquire_newest(b, &vb), 0);
    put(w, 51); /* the last free slot */
    assert_int_equal(sl_bus_writer_overruns(w), 0);
    put(w, 52); /* newest, a's and b's: a's is the oldest held one */
    assert_int_equal(sl_bus_writer_overruns(w), 1);
    assert_int_equal(*(const uint64_t *)vb.data, 50);
    assert_int_equal(sl_bus_release(a, &va), -EOVERFLOW);
    assert_int_equal(sl_bus_release(b, &vb), 0);
    assert_int_equal(sl_bus_acquire_newest(a, &va), 0);
    assert_int_equal(*(const uint64_t *)va.data, 52);
    assert_int_equal(sl_bus_release(a, &va), 0);
    sl_bus_reader_close(a);
    sl_bus_reader_close(b);
    sl_bus_writer_close(w);
}

static void *write_after_50_ms(void *argument)
{
    sl_clock_sleep_until_ns(in_ms(50));
    struct sl_bus_writer *w = open_writer(argument, 4, 64);
    sl_clock_sleep_until_ns(in_ms(50));
    put(w, 77);
    return w;
}

static void start_order_is_free(void **state)
{
    (void)state;
    for (int realtime = 0; realtime <= 1; realtime++) {
        struct sl_bus_reader *r = open_reader("late", realtime != 0);
        uint64_t value;
        assert_int_equal(sl_bus_wait(r, in_ms(20)), -EPIPE);
        assert_non_null(strstr(sl_bus_reader_problem(r), "nobody writes bus late"));
        pthread_t thread;
        void *w;
        char name[] = "late";
        pthread_create(&thread, NULL, write_after_50_ms, name);
        assert_int_equal(sl_bus_wait(r, in_ms(10000)), 0);
        assert_int_equal(sl_bus_read_newest(r, &value, 8, NULL), 0);
        assert_int_equal(value, 77);
        pthread_join(thread, &w);
        assert_int_equal(sl_bus_wait(r, in_ms(20)), -ETIMEDOUT); /* alive, nothing new */
        sl_bus_writer_close(w);
        assert_int_equal(sl_bus_wait(r, in_ms(20)), -EPIPE);
        sl_bus_reader_close(r);
    }
}

static void reader_follows_a_writer_with_another_size(void **state)
{
    (void)state;
    struct sl_bus_reader *r = open_reader("resize", true);
    struct sl_bus_writer *w = open_writer("resize", 4, 64);
    uint64_t value;
    put(w, 1);
    assert_int_equal(sl_bus_wait(r, in_ms(1000)), 0);
    assert_int_equal(sl_bus_read_newest(r, &value, 8, NULL), 0);
    sl_bus_writer_close(w);
    w = open_writer("resize", 6, 100000);
    put(w, 2);
    assert_int_equal(sl_bus_wait(r, in_ms(1000)), 0);
    assert_int_equal(sl_bus_read_newest(r, &value, 8, NULL), 0);
    assert_int_equal(value, 2);
    assert_int_equal(sl_bus_reader_attached(r), 2);
    sl_bus_writer_close(w);
    sl_bus_reader_close(r);
}

static void refusals_are_clear(void **state)
{
    (void)state;
    struct sl_error err = {0};
    struct sl_bus_writer *w = open_writer("mine", 4, 64), *second = NULL;
    struct sl_bus_writer_config config = {
        .name = "mine", .type = TYPE, .slot_count = 4, .slot_bytes = 64};
    char pid[32];
    snprintf(pid, sizeof pid, "process %d", getpid());
    assert_int_equal(sl_bus_writer_open(&second, &config, &err), -EBUSY);
    assert_null(second);
    assert_non_null(strstr(err.text, pid));

    const char *const bad_names[] = {"", "Upper", "a/b", "..", "sp ace", "dot.dot"};
    for (size_t i = 0; i < sizeof bad_names / sizeof bad_names[0]; i++) {
        config.name = bad_names[i];
        assert_int_equal(sl_bus_writer_open(&second, &config, &err), -EINVAL);
        assert_non_null(strstr(err.text, "cannot be a bus's name"));
    }
    config.name = "few";
    config.slot_count = 2;
    assert_int_equal(sl_bus_writer_open(&second, &config, &err), -EINVAL);

    struct sl_bus_reader *r = NULL;
    struct sl_bus_reader_config wrong_type = {.name = "mine", .type = OTHER_TYPE, .min_bytes = 8};
    assert_int_equal(sl_bus_reader_open(&r, &wrong_type, &err), 0);
    assert_int_equal(sl_bus_wait(r, in_ms(20)), -EPROTO);
    assert_non_null(strstr(sl_bus_reader_problem(r), "carries TST1 records, but TST2"));
    sl_bus_reader_close(r);
    struct sl_bus_reader_config too_big = {.name = "mine", .type = TYPE, .min_bytes = 65};
    assert_int_equal(sl_bus_reader_open(&r, &too_big, &err), 0);
    assert_int_equal(sl_bus_wait(r, in_ms(20)), -EPROTO);
    assert_non_null(strstr(sl_bus_reader_problem(r), "65 are expected"));
    sl_bus_reader_close(r);

    put(w, 1); /* still in order */
    sl_bus_writer_close(w);
}

static void hanging_writer_can_be_taken_over(void **state)
{
    (void)state;
    struct sl_error err;
    struct sl_bus_writer *hanging = open_writer("urgent", 4, 64), *w = NULL;
    struct sl_bus_reader *r = open_reader("urgent", false);
    uint64_t value;
    put(hanging, 1);
    assert_int_equal(sl_bus_wait(r, in_ms(1000)), 0);
    assert_int_equal(sl_bus_read_newest(r, &value, 8, NULL), 0);
    const struct sl_bus_writer_config config = {
        .name = "urgent", .type = TYPE, .slot_count = 4, .slot_bytes = 64, .take_over = true};
    assert_int_equal(sl_bus_writer_open(&w, &config, &err), 0);
    put(w, 2);
    put(hanging, 3); /* where nobody looks any more */
    const uint64_t give_up = in_ms(2000);
    while (value != 2 && sl_clock_now_ns() < give_up) {
        sl_bus_wait(r, in_ms(20));
        sl_bus_read_newest(r, &value, 8, NULL);
    }
    assert_int_equal(value, 2);
    sl_bus_writer_close(hanging); /* must not remove what is not its own any more */
    put(w, 4);
    assert_int_equal(sl_bus_wait(r, in_ms(1000)), 0);
    assert_int_equal(sl_bus_read_newest(r, &value, 8, NULL), 0);
    assert_int_equal(value, 4);
    sl_bus_reader_close(r);
    sl_bus_writer_close(w);
}

static void absent_and_full_folders(void **state)
{
    (void)state;
    struct sl_error err = {0};
    struct sl_bus_writer *w = NULL;
    const struct sl_bus_writer_config config = {
        .name = "big", .type = TYPE, .slot_count = 4, .slot_bytes = 720000};
    setenv("SKYLANE_BUS_DIR", "/nonexistent/folder", 1);
    assert_int_equal(sl_bus_writer_open(&w, &config, &err), -ENOENT);
    assert_non_null(strstr(err.text, "/nonexistent/folder, does not exist"));
    assert_null(w);
    setenv("SKYLANE_BUS_DIR", dir, 1);
    struct sl_bus_reader *r = open_reader("nobody", false);
    assert_int_equal(sl_bus_wait(r, in_ms(20)), -EPIPE);
    sl_bus_reader_close(r);

    /* A folder with room for itself and nothing else. */
    char small[sizeof dir + 16];
    snprintf(small, sizeof small, "%s/small", dir);
    assert_int_equal(mkdir(small, 0700), 0);
    if (mount("tmpfs", small, "tmpfs", 0, "nr_inodes=1") != 0) {
        print_message("not root: a full folder is not tried\n");
        rmdir(small);
        return;
    }
    setenv("SKYLANE_BUS_DIR", small, 1);
    assert_int_equal(sl_bus_writer_open(&w, &config, &err), -ENOSPC);
    assert_non_null(strstr(err.text, "has no room for one more file"));
    assert_null(w);
    /* Frames take nothing of the folder: two entries are enough, however large
     * the frames, and a failure leaves none. */
    assert_int_equal(mount("tmpfs", small, "tmpfs", MS_REMOUNT, "nr_inodes=3,size=4k"), 0);
    struct sl_bus_writer *fits = open_writer("fits", 4, 720000);
    assert_int_equal(sl_bus_writer_open(&w, &config, &err), -ENOSPC);
    sl_bus_writer_close(fits);
    assert_int_equal(sl_bus_writer_open(&w, &config, &err), 0);
    sl_bus_writer_close(w);
    assert_int_equal(umount(small), 0);
    rmdir(small);
    setenv("SKYLANE_BUS_DIR", dir, 1);
}

static void shortage_of_memory_is_told_before_it_hurts(void **state)
{
    (void)state;
    struct sl_error err = {0};
    struct sl_bus_writer *w = NULL;
    struct sysinfo machine;
    assert_int_equal(sysinfo(&machine), 0);
    const struct sl_bus_writer_config config = {
        .name = "vast", .type = TYPE, .slot_count = 64, .slot_bytes = (size_t)1 << 30};
    if ((uint64_t)machine.totalram * machine.mem_unit > UINT64_C(60) << 30)
        skip(); /* here it might even fit */
    assert_int_equal(sl_bus_writer_open(&w, &config, &err), -ENOMEM);
    assert_non_null(strstr(err.text, "bus vast needs 68719476736 bytes of memory, and "));
    assert_null(w);
    w = open_writer("vast", 4, 64); /* the name is free again */
    sl_bus_writer_close(w);
}

static void writing_child(int ready_fd)
{
    struct sl_bus_writer *w = open_writer("mortal", 4, 64);
    struct sl_bus_loan loan;
    put(w, 1);
    sl_bus_loan(w, &loan); /* dies half-way through the second record */
    memset(loan.data, 0xee, loan.capacity);
    if (write(ready_fd, "r", 1) == 1)
        pause();
}

static void killed_writer_is_noticed_and_replaced(void **state)
{
    (void)state;
    struct sl_bus_reader *r = open_reader("mortal", true);
    uint64_t value;
    for (int round = 0; round < 3; round++) {
        pid_t pid = start_child(writing_child);
        assert_int_equal(sl_bus_wait(r, in_ms(5000)), 0);
        assert_int_equal(sl_bus_read_newest(r, &value, 8, NULL), 0);
        assert_int_equal(value, 1);
        assert_int_equal(sl_bus_wait(r, in_ms(10)), -ETIMEDOUT);
        kill_child(pid);
        assert_int_equal(sl_bus_wait(r, in_ms(100)), -EPIPE);
        assert_non_null(strstr(sl_bus_reader_problem(r), "gone"));
    }
    struct sl_bus_writer *w = open_writer("mortal", 4, 64);
    put(w, 9);
    assert_int_equal(sl_bus_wait(r, in_ms(1000)), 0);
    assert_int_equal(sl_bus_read_newest(r, &value, 8, NULL), 0);
    assert_int_equal(value, 9);
    sl_bus_reader_close(r);
    sl_bus_writer_close(w);
}

static void holding_child(int ready_fd)
{
    struct sl_bus_reader *r = open_reader("orphan", false);
    struct sl_bus_view view;
    if (sl_bus_wait(r, in_ms(5000)) == 0 && sl_bus_acquire_newest(r, &view) == 0 &&
        write(ready_fd, "r", 1) == 1)
        pause();
}

static void dead_readers_give_their_slots_back(void **state)
{
    (void)state;
    struct sl_bus_writer *w = open_writer("orphan", 3, 64);
    put(w, 1);
    kill_child(start_child(holding_child));
    /* Its connection ended with it: the door sees that within milliseconds. */
    const uint64_t give_up = in_ms(100);
    while (sl_bus_writer_readers(w) != 0 && sl_clock_now_ns() < give_up)
        sl_clock_sleep_until_ns(in_ms(1));
    assert_int_equal(sl_bus_writer_readers(w), 0);
    /* With the dead one's slot still held, this second holder would leave none. */
    struct sl_bus_reader *r = open_reader("orphan", false);
    struct sl_bus_view view;
    put(w, 2);
    assert_int_equal(sl_bus_acquire_newest(r, &view), 0);
    for (uint64_t i = 3; i < 20; i++)
        put(w, i);
    assert_int_equal(sl_bus_writer_overruns(w), 0);
    assert_int_equal(sl_bus_release(r, &view), 0);
    sl_bus_reader_close(r);
    sl_bus_writer_close(w);
}

static void reader_limit_is_told(void **state)
{
    (void)state;
    struct sl_bus_writer *w = open_writer("crowd", 3, 64);
    static struct sl_bus_reader *readers[SL_BUS_READERS_MAX + 1];
    struct rlimit files;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
    files.rlim_cur = files.rlim_max; /* both ends of each connection are here */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
    if (files.rlim_max < 2 * SL_BUS_READERS_MAX + 50)
        skip();
    put(w, 1);
    for (int i = 0; i <= SL_BUS_READERS_MAX; i++) {
        readers[i] = open_reader("crowd", false);
        assert_int_equal(sl_bus_wait(readers[i], 0), i < SL_BUS_READERS_MAX ? 0 : -EUSERS);
    }
    assert_non_null(
        strstr(sl_bus_reader_problem(readers[SL_BUS_READERS_MAX]), "no place for another reader"));
    sl_bus_reader_close(readers[0]);
    assert_int_equal(sl_bus_wait(readers[SL_BUS_READERS_MAX], in_ms(1000)), 0);
    for (int i = 1; i <= SL_BUS_READERS_MAX; i++)
        sl_bus_reader_close(readers[i]);
    sl_bus_writer_close(w);
}

/* Threads: every word of a record is its number, so that a torn one shows. */
#define WORDS   2048
#define RECORDS 20000
static _Atomic int torn, reads;

static void *check_records(void *argument)
{
    struct sl_bus_reader *r = open_reader("torture", argument != NULL);
    uint64_t last = 0;
    while (last < RECORDS) {
        struct sl_bus_view view;
        if (sl_bus_wait(r, in_ms(5000)) != 0)
            break;
        if (sl_bus_acquire_newest(r, &view) != 0)
            continue;
        const uint64_t *words = view.data;
        bool good = view.size == WORDS * 8 && view.seq > last;
        for (int i = 0; i < WORDS; i++)
            good = good && words[i] == view.seq;
        last = view.seq;
        if (sl_bus_release(r, &view) == 0) {
            atomic_fetch_add(&reads, 1);
            if (!good)
                atomic_fetch_add(&torn, 1);
        }
    }
    sl_bus_reader_close(r);
    return (void *)(uintptr_t)(last == RECORDS);
}

static void records_are_never_torn(void **state)
{
    (void)state;
    struct sl_bus_writer *w = open_writer("torture", 6, WORDS * 8);
    pthread_t threads[3];
    for (int i = 0; i < 3; i++)
        pthread_create(&threads[i], NULL, check_records, i == 0 ? w : NULL);
    for (uint64_t n = 1; n <= RECORDS; n++) {
        struct sl_bus_loan loan;
        sl_bus_loan(w, &loan);
        uint64_t *words = loan.data;
        for (int i = 0; i < WORDS; i++)
            words[i] = n;
        sl_bus_publish(w, &loan, WORDS * 8, 0);
    }
    for (int i = 0; i < 3; i++) {
        void *complete;
        pthread_join(threads[i], &complete);
        assert_non_null(complete);
    }
    assert_int_equal(torn, 0);
    assert_true(reads >= 3);
    assert_int_equal(sl_bus_writer_overruns(w), 0); /* three readers, six slots */
    sl_bus_writer_close(w);
}

/* As a camera does that has several buffers under way. */
static void several_loans_at_a_time(void **state)
{
    (void)state;
    struct sl_bus_writer *w = open_writer("several", 5, 64);
    struct sl_bus_reader *r = open_reader("several", false);
    struct sl_bus_payloads payloads;
    struct sl_bus_loan loans[6];
    struct sl_bus_view view;
    sl_bus_writer_payloads(w, &payloads);
    assert_int_equal(payloads.count, 5);
    assert_int_equal(payloads.capacity_bytes, 64);
    put(w, 1);
    for (int i = 0; i < 4; i++) {
        sl_bus_loan(w, &loans[i]);
        assert_ptr_equal(loans[i].data, payloads.base + loans[i].slot * payloads.stride_bytes);
        for (int k = 0; k < i; k++)
            assert_int_not_equal(loans[k].slot, loans[i].slot);
    }
    sl_bus_loan(w, &loans[4]);
    assert_null(loans[4].data); /* the newest stays */
    assert_int_equal(sl_bus_acquire_newest(r, &view), 0);
    assert_int_equal(*(const uint64_t *)view.data, 1);

    sl_bus_cancel(w, &loans[1]); /* and is lent again */
    sl_bus_loan(w, &loans[4]);
    assert_int_equal(loans[4].slot, loans[1].slot);
    sl_bus_loan(w, &loans[5]);
    assert_null(loans[5].data);
    memcpy(loans[2].data, &(uint64_t){2}, 8);
    sl_bus_publish(w, &loans[2], 8, 0); /* not in the order in which they were lent */
    sl_bus_loan(w, &loans[5]);          /* the reader holds the only one that is left */
    assert_non_null(loans[5].data);
    assert_int_equal(sl_bus_release(r, &view), -EOVERFLOW);
    assert_int_equal(sl_bus_acquire_newest(r, &view), 0);
    assert_int_equal(*(const uint64_t *)view.data, 2);
    assert_int_equal(sl_bus_release(r, &view), 0);
    sl_bus_reader_close(r);
    sl_bus_writer_close(w);
}

static void huge_pages_or_plain_ones(void **state)
{
    (void)state;
    struct sl_error err = {0};
    struct sl_bus_writer *w = NULL;
    const struct sl_bus_writer_config config = {
        .name = "huge", .type = TYPE, .slot_count = 4, .slot_bytes = 720000, .huge_pages = true};
    assert_int_equal(sl_bus_writer_open(&w, &config, &err), 0);
    print_message("payloads on pages of kind %u\n", sl_bus_writer_pages(w));
    struct sl_bus_reader *r = open_reader("huge", false);
    for (int i = 0; i < 9; i++) {
        struct sl_bus_loan loan;
        struct sl_bus_view view;
        sl_bus_loan(w, &loan);
        assert_int_equal((uintptr_t)loan.data % 4096, 0);
        memset(loan.data, i, 720000);
        ((uint8_t *)loan.meta)[SL_BUS_META_BYTES - 1] = (uint8_t)i;
        sl_bus_publish(w, &loan, 720000, 0);
        assert_int_equal(sl_bus_acquire_newest(r, &view), 0);
        assert_int_equal(((const uint8_t *)view.data)[719999], i);
        assert_int_equal(((const uint8_t *)view.meta)[SL_BUS_META_BYTES - 1], i);
        assert_int_equal(sl_bus_release(r, &view), 0);
    }
    sl_bus_reader_close(r);
    sl_bus_writer_close(w);
}

static void nothing_is_left_behind(void **state)
{
    (void)state;
    /* The killed children's files were replaced, and all else was closed. */
    assert_int_equal(rmdir(dir), 0);
    assert_int_equal(mkdir(dir, 0700), 0);
}

int main(void)
{
    if (mkdtemp(dir) == NULL || setenv("SKYLANE_BUS_DIR", dir, 1) != 0)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(newest_and_next),
        cmocka_unit_test(cancelled_loan_is_never_seen),
        cmocka_unit_test(held_slot_is_left_alone_until_none_else_is_free),
        cmocka_unit_test(start_order_is_free),
        cmocka_unit_test(reader_follows_a_writer_with_another_size),
        cmocka_unit_test(refusals_are_clear),
        cmocka_unit_test(hanging_writer_can_be_taken_over),
        cmocka_unit_test(absent_and_full_folders),
        cmocka_unit_test(shortage_of_memory_is_told_before_it_hurts),
        cmocka_unit_test(killed_writer_is_noticed_and_replaced),
        cmocka_unit_test(dead_readers_give_their_slots_back),
        cmocka_unit_test(reader_limit_is_told),
        cmocka_unit_test(records_are_never_torn),
        cmocka_unit_test(several_loans_at_a_time),
        cmocka_unit_test(huge_pages_or_plain_ones),
        cmocka_unit_test(nothing_is_left_behind),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rmdir(dir);
    return failed;
}
