/* What the tests of the bus share: buses in a folder of their own. Included
 * after cmocka.h. */
#ifndef SL_TESTS_BUS_HELPERS_H
#define SL_TESTS_BUS_HELPERS_H

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rt/bus.h"
#include "rt/clock.h"
#include "rt/frame.h"

#define TYPE       SL_FOURCC('T', 'S', 'T', '1')
#define OTHER_TYPE SL_FOURCC('T', 'S', 'T', '2')

static inline struct sl_bus_writer *open_writer_with(const struct sl_bus_writer_config *config)
{
    struct sl_error err = {0};
    struct sl_bus_writer *w = NULL;
    if (sl_bus_writer_open(&w, config, &err) != 0)
        fail_msg("%s", err.text);
    return w;
}

static inline struct sl_bus_writer *open_writer(const char *name, uint32_t slots, size_t bytes)
{
    const struct sl_bus_writer_config config = {
        .name = name, .type = TYPE, .slot_count = slots, .slot_bytes = bytes};
    return open_writer_with(&config);
}

static inline struct sl_bus_reader *open_reader_with(const struct sl_bus_reader_config *config)
{
    struct sl_error err = {0};
    struct sl_bus_reader *r = NULL;
    if (sl_bus_reader_open(&r, config, &err) != 0)
        fail_msg("%s", err.text);
    return r;
}

static inline struct sl_bus_reader *open_reader(const char *name, bool realtime)
{
    const struct sl_bus_reader_config config = {
        .name = name, .type = TYPE, .min_bytes = 8, .realtime = realtime};
    return open_reader_with(&config);
}

static inline void put(struct sl_bus_writer *w, uint64_t value)
{
    sl_bus_write(w, &value, 8, value * 10);
}

static inline uint64_t in_ms(uint64_t ms)
{
    return sl_clock_now_ns() + ms * SL_NS_PER_MS;
}

/* Runs `main` in a child and returns its pid once it wrote a byte to its pipe. */
static inline pid_t start_child(void (*main)(int ready_fd))
{
    int fds[2];
    char byte;
    assert_int_equal(pipe(fds), 0);
    pid_t pid = fork();
    if (pid == 0) {
        close(fds[0]);
        main(fds[1]);
        _exit(0);
    }
    close(fds[1]);
    assert_int_equal(read(fds[0], &byte, 1), 1);
    close(fds[0]);
    return pid;
}

static inline void kill_child(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

#endif
