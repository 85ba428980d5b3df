/* The bus between processes that can not be trusted, or that go their own ways:
 * other users, forked children, guests that lie, programs that poll. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "bus_helpers.h"
#include "rt/bus_name.h"
#include "rt/bus_status.h"
#include "rt/bus_wire.h"

static char dir[] = "/dev/shm/sl-bus-life-XXXXXX";

#define STRANGER 65534 /* nobody */

/* Runs `body` in a child as another user and returns its exit status. */
static int as_stranger(int (*body)(void))
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(setgid(STRANGER) == 0 && setuid(STRANGER) == 0 ? body() : 99);
    int status;
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 98;
}

/* Comes through the door as a reader would, by hand. */
static int enter(const char *name, uint32_t version, struct sl_bus_welcome *welcome, int *fds)
{
    const struct sl_bus_hello hello = {
        .magic = SL_RING_MAGIC, .layout_version = version, .guest = SL_BUS_GUEST_READER};
    int fd = sl_bus_door_connect(name, NULL, NULL);
    assert_true(fd >= 0);
    assert_int_equal(sl_bus_send(fd, &hello, sizeof hello, NULL, 0), 0);
    struct pollfd answer = {.fd = fd, .events = POLLIN};
    assert_int_equal(poll(&answer, 1, 2000), 1);
    assert_int_equal(sl_bus_receive(fd, welcome, sizeof *welcome, fds, SL_BUS_FD_COUNT),
                     sizeof *welcome);
    return fd;
}

static void leave(int fd, const int *fds)
{
    close(fd);
    for (int i = 0; i < SL_BUS_FD_COUNT; i++)
        close(fds[i]);
}

/* ---- rights ---- */

static void readers_can_neither_write_nor_shrink(void **state)
{
    (void)state;
    struct sl_bus_writer *w = open_writer("sealed", 4, 8192);
    struct sl_bus_welcome welcome;
    int fds[SL_BUS_FD_COUNT];
    int door = enter("sealed", SL_RING_LAYOUT_VERSION, &welcome, fds);
    assert_int_equal(welcome.code, 0);
    for (int i = 0; i < SL_BUS_FD_COUNT; i++) {
        assert_int_not_equal(ftruncate(fds[i], 0), 0);
        assert_int_not_equal(ftruncate(fds[i], 1 << 20), 0);
    }
    const int read_only[] = {SL_BUS_FD_RING, SL_BUS_FD_PAYLOADS};
    for (int i = 0; i < 2; i++) {
        int fd = fds[read_only[i]];
        assert_ptr_equal(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
        assert_int_equal(write(fd, "x", 1), -1);
        /* The same user could open it anew to write: the seal holds there too. */
        char path[64];
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        int again = open(path, O_RDWR);
        if (again >= 0) {
            assert_ptr_equal(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, again, 0),
                             MAP_FAILED);
            assert_int_equal(write(again, "x", 1), -1);
            close(again);
        }
    }
    leave(door, fds);
    sl_bus_writer_close(w);
}

static int stranger_is_refused(void)
{
    struct sl_bus_reader *r = open_reader("owned", false);
    return sl_bus_wait(r, in_ms(100)) != -EPIPE                                ? 1
           : strstr(sl_bus_reader_problem(r), "not open to this user") == NULL ? 2
                                                                               : 0;
}

static int stranger_reads(void)
{
    uint64_t value;
    struct sl_bus_reader *r = open_reader("shared", false);
    if (sl_bus_wait(r, in_ms(2000)) != 0 || sl_bus_read_newest(r, &value, 8, NULL) != 0)
        return 1;
    struct sl_bus_reader *urgent = open_reader("shared", true);
    if (sl_bus_wait(urgent, in_ms(100)) != -EUSERS ||
        strstr(sl_bus_reader_problem(urgent), "own user only") == NULL)
        return 2;
    sl_bus_reader_close(r);
    sl_bus_reader_close(urgent);
    return value == 7 ? 0 : 3;
}

static void access_is_as_configured(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip(); /* nobody else to be */
    struct sl_bus_writer_config config = {
        .name = "owned", .type = TYPE, .slot_count = 4, .slot_bytes = 64};
    struct sl_bus_writer *w = open_writer_with(&config);
    assert_int_equal(as_stranger(stranger_is_refused), 0);
    sl_bus_writer_close(w);

    config.name = "shared";
    config.access = SL_BUS_ACCESS_ALL;
    w = open_writer_with(&config);
    put(w, 7);
    assert_int_equal(as_stranger(stranger_reads), 0);
    sl_bus_writer_close(w);

    config.access = SL_BUS_ACCESS_GROUP;
    config.group = "nogroup"; /* of number 65534 in Debian */
    w = open_writer_with(&config);
    put(w, 7);
    assert_int_equal(as_stranger(stranger_reads), 0);
    sl_bus_writer_close(w);

    struct sl_error err;
    config.group = "no_such_group";
    assert_int_equal(sl_bus_writer_open(&w, &config, &err), -EINVAL);
    assert_non_null(strstr(err.text, "there is no group \"no_such_group\""));
}

/* Announces every slot for ever, says that all its readers sleep, and rings
 * nonsense everywhere else. */
static int stranger_scribbles(void)
{
    struct sl_bus_welcome welcome;
    int fds[SL_BUS_FD_COUNT];
    for (int i = 0; i < 8; i++)
        enter("victim", SL_RING_LAYOUT_VERSION, &welcome, fds);
    uint8_t *rows = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fds[SL_BUS_FD_ROWS], 0);
    if (rows == MAP_FAILED)
        return 1;
    const uint64_t until = in_ms(300);
    while (sl_clock_now_ns() < until) {
        memset(rows, 0xff, 4096);
        for (uint32_t i = 0; i < SL_BUS_READERS_MAX; i++)
            rows[i] = (uint8_t)(i % 4 + 1); /* now all slots are held */
        rows[sl_ring_hazard_index(0)] = 1;
        rows[sl_ring_hazard_index(1)] = 2;
        rows[sl_ring_hazard_index(2)] = 3;
        rows[sl_ring_hazard_index(3)] = 4;
    }
    return 0;
}

static int stranger_crowds(void)
{
    struct sl_bus_welcome welcome;
    int fds[SL_BUS_FD_COUNT];
    int seated = 0;
    for (int i = 0; i < SL_BUS_FOREIGN_MAX + 10; i++) {
        enter("crowd", SL_RING_LAYOUT_VERSION, &welcome, fds);
        seated += welcome.code == 0;
    }
    return seated == SL_BUS_FOREIGN_MAX && welcome.code == -EUSERS ? 0 : 1;
}

static void strangers_have_few_places(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    const struct sl_bus_writer_config config = {.name = "crowd",
                                                .type = TYPE,
                                                .slot_count = 4,
                                                .slot_bytes = 64,
                                                .access = SL_BUS_ACCESS_ALL};
    struct sl_bus_writer *w = open_writer_with(&config);
    assert_int_equal(as_stranger(stranger_crowds), 0);
    sl_bus_writer_close(w);
}

/* Where anybody may make files, as in /dev/shm, somebody else may be first to
 * write a name. */
static void stranger_writes(int ready_fd)
{
    if (setgid(STRANGER) != 0 || setuid(STRANGER) != 0)
        _exit(1);
    const struct sl_bus_writer_config config = {.name = "squatted",
                                                .type = TYPE,
                                                .slot_count = 4,
                                                .slot_bytes = 64,
                                                .access = SL_BUS_ACCESS_ALL};
    struct sl_bus_writer *w = NULL;
    if (sl_bus_writer_open(&w, &config, NULL) != 0)
        _exit(1);
    put(w, 7);
    if (write(ready_fd, "r", 1) == 1)
        pause();
}

static void records_of_strangers_are_not_taken_unasked(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    assert_int_equal(chmod(dir, 01777), 0);
    pid_t pid = start_child(stranger_writes);
    uint64_t value;
    struct sl_bus_reader *careful = open_reader("squatted", false);
    assert_int_equal(sl_bus_read_newest(careful, &value, 8, NULL), -EPROTO);
    assert_non_null(strstr(sl_bus_reader_problem(careful), "another user, number 65534"));
    const struct sl_bus_reader_config any = {
        .name = "squatted", .type = TYPE, .min_bytes = 8, .writers = SL_BUS_WRITERS_ANY};
    struct sl_bus_reader *careless = open_reader_with(&any);
    assert_int_equal(sl_bus_read_newest(careless, &value, 8, NULL), 0);
    assert_int_equal(value, 7);
    sl_bus_reader_close(careless);
    kill_child(pid);

    /* The name is free again, but for the files: only their owner and root. */
    struct sl_bus_writer *w = open_writer("squatted", 4, 64);
    put(w, 8);
    assert_int_equal(sl_bus_wait(careful, in_ms(1000)), 0);
    assert_int_equal(sl_bus_read_newest(careful, &value, 8, NULL), 0);
    assert_int_equal(value, 8);
    sl_bus_writer_close(w);
    sl_bus_reader_close(careful);
    assert_int_equal(chmod(dir, 0755), 0);
}

/* Anybody can read the lock file, and so lock it as a reader of it. */
static void read_lock_keeps_no_writer_out(void **state)
{
    (void)state;
    struct sl_bus_writer *w = open_writer("contested", 4, 64);
    char path[sizeof dir + 32];
    snprintf(path, sizeof path, "%s/skylane.contested", dir);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET};
    assert_int_not_equal(fcntl(fd, F_OFD_SETLK, &lock), 0); /* not while it is written */
    char kept[sizeof dir + 32];
    snprintf(kept, sizeof kept, "%s/kept", dir);
    assert_int_equal(link(path, kept), 0);
    sl_bus_writer_close(w);
    assert_int_equal(rename(kept, path), 0); /* as a killed writer leaves it */
    assert_int_equal(fcntl(fd, F_OFD_SETLK, &lock), 0);
    w = open_writer("contested", 4, 64);
    sl_bus_writer_close(w);
    close(fd);
}

static void *run_stranger(void *status)
{
    *(int *)status = as_stranger(stranger_scribbles);
    return NULL;
}

static void hostile_reader_harms_nobody_else(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    const struct sl_bus_writer_config config = {.name = "victim",
                                                .type = TYPE,
                                                .slot_count = 4,
                                                .slot_bytes = 64,
                                                .access = SL_BUS_ACCESS_ALL};
    struct sl_bus_writer *w = open_writer_with(&config);
    struct sl_bus_reader *honest = open_reader("victim", false);
    struct sl_bus_view view;
    pthread_t thread;
    int status = -1;
    put(w, 1);
    assert_int_equal(sl_bus_acquire_newest(honest, &view), 0);
    assert_int_equal(pthread_create(&thread, NULL, run_stranger, &status), 0);
    uint64_t written = 1, held_rounds = 0;
    const uint64_t until = in_ms(500);
    while (sl_clock_now_ns() < until) {
        for (int i = 0; i < 10; i++)
            put(w, ++written);
        /* Held by one of the writer's own user: left alone all the time. */
        assert_int_equal(*(const uint64_t *)view.data, view.seq);
        assert_int_equal(sl_bus_release(honest, &view), 0);
        assert_int_equal(sl_bus_acquire_newest(honest, &view), 0);
        assert_int_equal(view.seq, written);
        held_rounds++;
        sl_clock_sleep_until_ns(sl_clock_now_ns() + SL_NS_PER_MS);
    }
    pthread_join(thread, NULL);
    assert_int_equal(status, 0);
    assert_true(held_rounds > 50);
    assert_true(sl_bus_writer_overruns(w) > 0); /* it did hold everything */
    sl_bus_reader_close(honest);
    sl_bus_writer_close(w);
}

/* ---- guests at the door ---- */

static int open_descriptors(void)
{
    int count = 0;
    for (int fd = 0; fd < 1024; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static void lying_guests_are_shown_out(void **state)
{
    (void)state;
    const int before = open_descriptors();
    struct sl_bus_writer *w = open_writer("guarded", 4, 64);
    struct sl_bus_welcome welcome;
    int fds[SL_BUS_FD_COUNT];
    put(w, 1);
    leave(enter("guarded", SL_RING_LAYOUT_VERSION + 1, &welcome, fds), fds);
    assert_int_equal(welcome.code, -EPROTO); /* a program of another version */
    assert_int_equal(welcome.layout_version, SL_RING_LAYOUT_VERSION);

    uint8_t noise[300];
    for (unsigned round = 0; round < 300; round++) {
        int fd = sl_bus_door_connect("guarded", NULL, NULL);
        if (fd == -EAGAIN) { /* the door is busy with us: let it */
            sl_clock_sleep_until_ns(in_ms(1));
            continue;
        }
        assert_true(fd >= 0);
        for (size_t i = 0; i < sizeof noise; i++)
            noise[i] = (uint8_t)(round * 31 + i * 7);
        if (round % 3 == 0) { /* a good beginning, then too little */
            const uint64_t magic = SL_RING_MAGIC;
            memcpy(noise, &magic, sizeof magic);
        }
        const int gifts[] = {0, 1, 2};
        sl_bus_send(fd, noise, round % sizeof noise + 1, gifts, round % 4);
        close(fd);
    }
    /* Silent ones keep nobody else out. */
    int silent[200];
    for (int i = 0; i < 200; i++) {
        while ((silent[i] = sl_bus_door_connect("guarded", NULL, NULL)) == -EAGAIN)
            sl_clock_sleep_until_ns(in_ms(1));
        assert_true(silent[i] >= 0);
    }
    struct sl_bus_reader *r = open_reader("guarded", false);
    uint64_t value;
    assert_int_equal(sl_bus_wait(r, in_ms(2000)), 0);
    assert_int_equal(sl_bus_read_newest(r, &value, 8, NULL), 0);
    for (int i = 0; i < 200; i++)
        close(silent[i]);
    sl_bus_reader_close(r);
    sl_bus_writer_close(w);
    assert_int_equal(open_descriptors(), before); /* no gift is kept */
}

static void writer_out_of_descriptors_says_so(void **state)
{
    (void)state;
    struct rlimit saved, few;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &saved), 0);
    struct sl_bus_writer *w = open_writer("crammed", 4, 64);
    sl_bus_write(w, &(uint64_t){1}, 8, 1);
    few = saved;
    few.rlim_cur = (rlim_t)open("/dev/null", O_RDONLY | O_CLOEXEC) + 20;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    pid_t pid = fork();
    if (pid == 0) { /* readers of another process, so that only the writer is short */
        setrlimit(RLIMIT_NOFILE, &saved);
        struct sl_bus_reader *readers[40];
        int refused = 0;
        for (int i = 0; i < 40; i++) {
            readers[i] = open_reader("crammed", false);
            /* Until it has the record or a refusal, on however busy a machine. */
            for (int tries = 0; tries < 100; tries++) {
                int rc = sl_bus_wait(readers[i], in_ms(50));
                if (rc == -EUSERS && strstr(sl_bus_reader_problem(readers[i]), "ulimit -n") != NULL)
                    refused++;
                if (rc == 0 || rc == -EUSERS)
                    break;
            }
        }
        _exit(refused > 0 && refused < 40 ? 0 : 1);
    }
    int status;
    waitpid(pid, &status, 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &saved), 0);
    close((int)few.rlim_cur - 20);
    assert_int_equal(status, 0);
    sl_bus_writer_close(w);
}

static void stopped_writer_is_told_from_a_dead_one(void **state)
{
    (void)state;
    int fds[2];
    char byte;
    assert_int_equal(pipe(fds), 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct sl_bus_writer *w = open_writer("frozen", 4, 64);
        put(w, 5);
        if (write(fds[1], "r", 1) == 1)
            pause();
        _exit(0);
    }
    assert_int_equal(read(fds[0], &byte, 1), 1);
    kill(pid, SIGSTOP);
    assert_int_equal(waitpid(pid, NULL, WUNTRACED), pid); /* it has stopped */
    struct sl_bus_reader *r = open_reader("frozen", false);
    assert_int_equal(sl_bus_wait(r, in_ms(100)), -ETIMEDOUT); /* it may answer yet */
    assert_int_equal(sl_bus_wait(r, in_ms(1500)), -EPIPE);
    char who[64];
    snprintf(who, sizeof who, "process %d, does not answer", pid);
    assert_non_null(strstr(sl_bus_reader_problem(r), who));
    struct sl_bus_status status;
    assert_int_equal(sl_bus_status_get("frozen", &status, NULL), 0);
    assert_int_equal(status.life, SL_BUS_SILENT);
    assert_int_equal(status.writer_pid, pid);
    kill(pid, SIGCONT);
    assert_int_equal(sl_bus_wait(r, in_ms(2000)), 0); /* without asking again */
    assert_int_equal(sl_bus_status_get("frozen", &status, NULL), 0);
    assert_int_equal(status.life, SL_BUS_ALIVE);
    assert_int_equal(status.reader_count, 1);
    assert_int_equal(status.readers[0].pid, getpid());
    kill_child(pid);
    assert_int_equal(sl_bus_status_get("frozen", &status, NULL), 0);
    assert_int_equal(status.life, SL_BUS_DEAD);
    assert_int_equal(sl_bus_clean("frozen", NULL), 0);
    assert_int_equal(sl_bus_status_get("frozen", &status, NULL), -ENOENT);
    sl_bus_reader_close(r);
    close(fds[0]);
    close(fds[1]);
}

/* A reader that is never done with the old writer's records still moves on. */
static void busy_reader_hears_of_a_take_over(void **state)
{
    (void)state;
    struct sl_bus_writer *old = open_writer("handed_on", 4, 64);
    struct sl_bus_reader *r = open_reader("handed_on", false);
    const struct sl_bus_writer_config config = {
        .name = "handed_on", .type = TYPE, .slot_count = 4, .slot_bytes = 64, .take_over = true};
    struct sl_bus_writer *new = open_writer_with(&config);
    put(new, 1000);
    uint64_t value = 0;
    const uint64_t until = in_ms(1000);
    while (value != 1000 && sl_clock_now_ns() < until) {
        put(old, 1);
        sl_bus_read_newest(r, &value, 8, NULL);
    }
    assert_int_equal(value, 1000);
    sl_bus_reader_close(r);
    sl_bus_writer_close(old);
    sl_bus_writer_close(new);
}

static void files_that_are_no_bus_are_told(void **state)
{
    (void)state;
    struct sl_bus_status status;
    char path[sizeof dir + 32];
    snprintf(path, sizeof path, "%s/skylane.pipe", dir);
    assert_int_equal(mkfifo(path, 0600), 0);
    sl_bus_status_get("pipe", &status, NULL); /* does not wait for somebody to fill it */
    assert_int_equal(sl_bus_clean("pipe", NULL), -EINVAL);
    assert_int_equal(unlink(path), 0);
}

static void reserved_words_are_zero(void **state)
{
    (void)state;
    struct sl_error err;
    struct sl_bus_writer *w;
    struct sl_bus_reader *r;
    const struct sl_bus_writer_config writer = {
        .name = "odd", .slot_count = 4, .slot_bytes = 64, .reserved = {[3] = 1}};
    const struct sl_bus_reader_config reader = {.name = "odd", .reserved = {[0] = 1}};
    assert_int_equal(sl_bus_writer_open(&w, &writer, &err), -EINVAL);
    assert_non_null(strstr(err.text, "set it to zero"));
    assert_int_equal(sl_bus_reader_open(&r, &reader, &err), -EINVAL);
}

static void living_bus_is_not_cleaned(void **state)
{
    (void)state;
    struct sl_error err;
    struct sl_bus_writer *w = open_writer("alive", 4, 64);
    assert_int_equal(sl_bus_clean("alive", &err), -EBUSY);
    char names[4][SL_BUS_NAME_MAX + 1];
    assert_int_equal(sl_bus_list(names, 4, &err), 1);
    assert_string_equal(names[0], "alive");
    sl_bus_writer_close(w);
    assert_int_equal(sl_bus_list(names, 4, &err), 0);

    char path[sizeof dir + 32];
    snprintf(path, sizeof path, "%s/skylane.diary", dir);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, "dear", 4), 4);
    close(fd);
    assert_int_equal(sl_bus_clean("diary", &err), -EINVAL); /* somebody's own file */
    assert_int_equal(unlink(path), 0);
}

/* ---- fork ---- */

static void forked_child_disturbs_nobody(void **state)
{
    (void)state;
    struct sl_bus_writer *w = open_writer("family", 3, 64);
    struct sl_bus_reader *r = open_reader("family", false);
    struct sl_bus_view view;
    uint64_t value;
    put(w, 1);
    assert_int_equal(sl_bus_acquire_newest(r, &view), 0);
    pid_t pid = fork();
    if (pid == 0) {
        for (uint64_t i = 100; i < 200; i++)
            put(w, i); /* goes nowhere */
        int rc = sl_bus_release(r, &view);
        int again = sl_bus_wait(r, in_ms(10));
        struct sl_bus_reader *own = open_reader("family", false);
        bool reads = sl_bus_read_newest(own, &value, 8, NULL) == 0 && value == 1;
        int files[20], open_files = 0; /* that the handles do not close */
        for (int i = 0; i < 20; i++)
            files[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
        sl_bus_writer_close(w); /* removes nothing */
        sl_bus_reader_close(r);
        for (int i = 0; i < 20; i++)
            open_files += fcntl(files[i], F_GETFD) >= 0;
        _exit(rc == -EOVERFLOW && again == -ECHILD && reads && open_files == 20 ? 0 : 1);
    }
    int status;
    waitpid(pid, &status, 0);
    assert_int_equal(status, 0);
    assert_int_equal(*(const uint64_t *)view.data, 1);
    put(w, 2);
    put(w, 3);
    assert_int_equal(sl_bus_release(r, &view), 0); /* was held all the time */
    assert_int_equal(sl_bus_read_newest(r, &value, 8, NULL), 0);
    assert_int_equal(value, 3);
    sl_bus_reader_close(r);
    sl_bus_writer_close(w);
}

static void bus_ends_with_its_writer_and_not_with_its_children(void **state)
{
    (void)state;
    int fds[2];
    pid_t grandchild;
    assert_int_equal(pipe(fds), 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct sl_bus_writer *w = open_writer("parent", 4, 64);
        put(w, 1);
        grandchild = fork(); /* lives on with copies of everything */
        if (grandchild != 0 && write(fds[1], &grandchild, sizeof grandchild) < 0)
            _exit(1);
        pause();
    }
    assert_int_equal(read(fds[0], &grandchild, sizeof grandchild), sizeof grandchild);
    struct sl_bus_reader *r = open_reader("parent", false);
    assert_int_equal(sl_bus_wait(r, in_ms(1000)), 0);
    uint64_t value;
    assert_int_equal(sl_bus_read_newest(r, &value, 8, NULL), 0);
    kill_child(pid);
    assert_int_equal(sl_bus_wait(r, in_ms(100)), -EPIPE);
    struct sl_bus_writer *w = open_writer("parent", 4, 64);
    put(w, 2);
    assert_int_equal(sl_bus_wait(r, in_ms(100)), 0);
    kill(grandchild, SIGKILL);
    sl_bus_reader_close(r);
    sl_bus_writer_close(w);
    close(fds[0]);
    close(fds[1]);
}

static void *come_and_go(void *stop)
{
    while (!atomic_load((_Atomic bool *)stop)) {
        struct sl_bus_status status;
        sl_bus_status_get("busy", &status, NULL);
        sl_bus_reader_close(open_reader("busy", false));
    }
    return NULL;
}

static void forking_while_guests_come_and_go(void **state)
{
    (void)state;
    struct sl_bus_writer *w = open_writer("busy", 4, 64);
    _Atomic bool stop = false;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, come_and_go, &stop), 0);
    for (int i = 0; i < 300; i++) {
        pid_t pid = fork();
        if (pid == 0)
            _exit(0);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
    }
    atomic_store(&stop, true);
    pthread_join(thread, NULL);
    uint64_t value;
    struct sl_bus_reader *r = open_reader("busy", false);
    put(w, 3); /* the door is still in order */
    assert_int_equal(sl_bus_read_newest(r, &value, 8, NULL), 0);
    sl_bus_reader_close(r);
    sl_bus_writer_close(w);
}

/* ---- ways of waiting ---- */

static bool is_readable(struct sl_bus_reader *r, int ms)
{
    struct pollfd p = {.fd = sl_bus_reader_fd(r), .events = POLLIN};
    return poll(&p, 1, ms) == 1;
}

static void descriptor_tells_news_and_life(void **state)
{
    (void)state;
    const struct sl_bus_reader_config config = {
        .name = "polled", .type = TYPE, .min_bytes = 8, .pollable = true};
    struct sl_bus_reader *r = open_reader_with(&config);
    const int fd = sl_bus_reader_fd(r);
    struct sl_bus_reader *plain = open_reader("polled", false);
    assert_int_equal(sl_bus_reader_fd(plain), -ENOTSUP);
    sl_bus_reader_close(plain);
    for (int life = 0; life < 3; life++) {
        uint64_t value = 0;
        struct sl_bus_writer *w = open_writer("polled", 4, 64);
        /* As a user's loop: poll, then acquire until nothing is left. */
        for (uint64_t i = 1; i <= 20; i++) {
            put(w, i);
            const uint64_t give_up = in_ms(1000);
            while (value != i && sl_clock_now_ns() < give_up) {
                assert_true(is_readable(r, 1000));
                while (sl_bus_read_newest(r, &value, 8, NULL) == 0) {
                }
            }
            assert_int_equal(value, i);
        }
        while (sl_bus_read_newest(r, &value, 8, NULL) == 0) {
        }
        assert_false(is_readable(r, 30)); /* nothing new: it rests */
        sl_bus_writer_close(w);
        assert_true(is_readable(r, 1000)); /* its end is news */
        assert_int_equal(sl_bus_read_newest(r, &value, 8, NULL), -EPIPE);
        assert_int_equal(sl_bus_reader_fd(r), fd);
    }
    sl_bus_reader_close(r);
}

static void descriptor_is_armed_from_the_start(void **state)
{
    (void)state;
    const struct sl_bus_reader_config config = {
        .name = "early", .type = TYPE, .min_bytes = 8, .pollable = true};
    struct sl_bus_writer *w = open_writer("early", 4, 64);
    struct sl_bus_reader *r = open_reader_with(&config); /* attaches at once */
    put(w, 1);
    assert_true(is_readable(r, 1000)); /* without any read before */
    sl_bus_reader_close(r);
    sl_bus_writer_close(w);
}

static void *put_after_20_ms(void *writer)
{
    sl_clock_sleep_until_ns(in_ms(20));
    put(writer, 1);
    return NULL;
}

static void spinner_hands_over_and_times_out(void **state)
{
    (void)state;
    const struct sl_bus_reader_config config = {
        .name = "spun", .type = TYPE, .min_bytes = 8, .spin_us = SL_BUS_SPIN_ALWAYS};
    struct sl_bus_writer *w = open_writer("spun", 4, 64);
    struct sl_bus_reader *r = open_reader_with(&config);
    pthread_t thread;
    uint64_t value;
    assert_int_equal(sl_bus_wait(r, in_ms(5)), -ETIMEDOUT);
    assert_int_equal(pthread_create(&thread, NULL, put_after_20_ms, w), 0);
    assert_int_equal(sl_bus_wait(r, in_ms(5000)), 0);
    assert_int_equal(sl_bus_read_newest(r, &value, 8, NULL), 0);
    pthread_join(thread, NULL);
    struct sl_bus_view view;
    put(w, 2);
    assert_int_equal(sl_bus_acquire_newest(r, &view), 0);
    assert_int_equal(sl_bus_wait(r, 0), -EBUSY); /* holds: release first */
    assert_int_equal(sl_bus_release(r, &view), 0);
    sl_bus_writer_close(w);
    assert_int_equal(sl_bus_wait(r, in_ms(100)), -EPIPE);
    sl_bus_reader_close(r);
}

/* ---- page faults ---- */

static void no_page_faults_after_start(void **state)
{
    (void)state;
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
    skip(); /* their shadow memory is touched as it is used */
#endif
    enum { BYTES = 1440000 };
    for (int huge = 0; huge < 2; huge++) {
        const struct sl_bus_writer_config config = {.name = "touched",
                                                    .type = TYPE,
                                                    .slot_count = 4,
                                                    .slot_bytes = BYTES,
                                                    .huge_pages = huge != 0};
        struct sl_bus_writer *w = open_writer_with(&config);
        struct sl_bus_reader *r = open_reader("touched", false);
        struct sl_bus_loan loan;
        struct sl_bus_view view;
        struct rusage before, after;
        uint64_t sum = 0;
        for (int i = 0; i < 20; i++) {
            if (i == 1) /* the first round is for the code's own pages */
                getrusage(RUSAGE_THREAD, &before);
            sl_bus_loan(w, &loan);
            for (size_t k = 0; k < BYTES; k += 4096)
                ((uint8_t *)loan.data)[k] = (uint8_t)i;
            sl_bus_publish(w, &loan, BYTES, 0);
            assert_int_equal(sl_bus_acquire_newest(r, &view), 0);
            for (size_t k = 0; k < BYTES; k += 4096)
                sum += ((const uint8_t *)view.data)[k];
            assert_int_equal(sl_bus_release(r, &view), 0);
        }
        getrusage(RUSAGE_THREAD, &after);
        assert_true(sum > 0);
        assert_int_equal(after.ru_minflt - before.ru_minflt, 0);
        assert_int_equal(after.ru_majflt - before.ru_majflt, 0);
        sl_bus_reader_close(r);
        sl_bus_writer_close(w);
    }
}

int main(void)
{
    if (mkdtemp(dir) == NULL || chmod(dir, 01777) != 0 || setenv("SKYLANE_BUS_DIR", dir, 1) != 0)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(readers_can_neither_write_nor_shrink),
        cmocka_unit_test(access_is_as_configured),
        cmocka_unit_test(hostile_reader_harms_nobody_else),
        cmocka_unit_test(strangers_have_few_places),
        cmocka_unit_test(records_of_strangers_are_not_taken_unasked),
        cmocka_unit_test(read_lock_keeps_no_writer_out),
        cmocka_unit_test(busy_reader_hears_of_a_take_over),
        cmocka_unit_test(files_that_are_no_bus_are_told),
        cmocka_unit_test(reserved_words_are_zero),
        cmocka_unit_test(lying_guests_are_shown_out),
        cmocka_unit_test(writer_out_of_descriptors_says_so),
        cmocka_unit_test(stopped_writer_is_told_from_a_dead_one),
        cmocka_unit_test(living_bus_is_not_cleaned),
        cmocka_unit_test(forked_child_disturbs_nobody),
        cmocka_unit_test(bus_ends_with_its_writer_and_not_with_its_children),
        cmocka_unit_test(forking_while_guests_come_and_go),
        cmocka_unit_test(descriptor_tells_news_and_life),
        cmocka_unit_test(descriptor_is_armed_from_the_start),
        cmocka_unit_test(spinner_hands_over_and_times_out),
        cmocka_unit_test(no_page_faults_after_start),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rmdir(dir);
    return failed;
}
