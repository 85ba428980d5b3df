/* What makes a vehicle watchable starts by itself: skylane-net beside skylane-run,
 * and both it and skylane-view beside skylane-sim. Real programs, real sockets. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

#include "rt/clock.h"
#include "tests/integration/programs.h"

#define SETTINGS  SL_SOURCE_DIR "/board/sim/skylane.ini"
#define PATIENT   "safety.miss_limit=1000000"
#define PATIENCE  30 /* s */
#define FAMILY    8
#define LINE_SIZE 96

static struct program sim, run;
static struct sl_bus_reader *states;
static char broadcast[LINE_SIZE], actions[LINE_SIZE]; /* settings */
static int held_port_fd;

/* A port that is free, or (held) that nobody else can have. */
static int port_of_this_machine(bool held)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &size), 0);
    if (held)
        held_port_fd = fd;
    else
        close(fd);
    return ntohs(at.sin_port);
}

static int begin(void **unused)
{
    (void)unused;
    programs_begin();
    states = reader_of(SL_BUS_STATE, SL_RECORD_STATE, sizeof(struct sl_state));
    held_port_fd = -1;
    snprintf(broadcast, sizeof broadcast, "net.broadcast=tcp://127.0.0.1:%d",
             port_of_this_machine(false));
    snprintf(actions, sizeof actions, "net.actions=tcp://127.0.0.1:%d",
             port_of_this_machine(false));
    return 0;
}

static int end(void **unused)
{
    (void)unused;
    program_stop(&run);
    program_stop(&sim);
    sl_bus_reader_close(states);
    if (held_port_fd >= 0)
        close(held_port_fd);
    programs_end();
    return 0;
}

static int children(pid_t parent, const char *name, pid_t found[FAMILY])
{
    return program_children(parent, name, found, FAMILY);
}

static void pause_ms(unsigned ms)
{
    sl_clock_sleep_until_ns(sl_clock_now_ns() + ms * SL_NS_PER_MS);
}

/* Waits for one such child that is not `other`. */
static pid_t await_child(pid_t parent, const char *name, pid_t other)
{
    pid_t found[FAMILY];
    const uint64_t give_up_ns = sl_clock_now_ns() + PATIENCE * SL_NS_PER_S;
    while (children(parent, name, found) != 1 || found[0] == other) {
        if (sl_clock_now_ns() > give_up_ns)
            fail_msg("no %s was started", name);
        pause_ms(20);
    }
    return found[0];
}

static void await_end(pid_t pid)
{
    const uint64_t give_up_ns = sl_clock_now_ns() + PATIENCE * SL_NS_PER_S;
    while (kill(pid, 0) == 0) {
        if (sl_clock_now_ns() > give_up_ns)
            fail_msg("process %d lives on", (int)pid);
        pause_ms(10);
    }
}

static bool driving(const struct sl_state *state)
{
    return state->mode == SL_MODE_DRIVING;
}

static bool moving(const struct sl_state *state)
{
    return state->speed_mps > 2.0f;
}

static void start_drive(const char *start)
{
    struct sl_state state;
    program_start(&sim, NULL, "sim", "--headless", "--track", "oval", "--rate", "30", NULL);
    program_start(&run, NULL, "run", "--config", SETTINGS, "-o", PATIENT, "-o", broadcast, "-o",
                  actions, "-o", start, NULL);
    assert_true(await_state(states, 30000, driving, &state));
}

/* ---- skylane run ---- */

static void killed_net_comes_back_and_the_vehicle_does_not_notice(void **unused)
{
    (void)unused;
    struct sl_state state;
    start_drive("net.start=yes");
    pid_t net = 0;
    for (int i = 0; i < 4; i++) {
        net = await_child(run.pid, "skylane-net", net);
        if (i == 0)
            program_must_say(&run, "broadcasting on tcp://127.0.0.1:");
        kill(net, SIGKILL);
    }
    net = await_child(run.pid, "skylane-net", net);
    assert_true(await_state(states, 5000, driving, &state));
    assert_int_equal(state.page_faults, 0);
    assert_int_equal(state.allocations, 0);
    assert_int_equal(state.stop_count, 0);
    assert_int_equal(program_times_said(&run, "skylane-net was ended by signal 9"), 1);
    program_signal(&run, SIGTERM);
    program_wait(&run, 20);
    await_end(net);
}

static void net_dies_with_a_killed_vehicle(void **unused)
{
    (void)unused;
    start_drive("net.start=yes");
    const pid_t net = await_child(run.pid, "skylane-net", 0);
    program_signal(&run, SIGKILL);
    program_wait(&run, 10);
    await_end(net);
}

static void taken_port_is_told_once_and_the_vehicle_drives(void **unused)
{
    (void)unused;
    struct sl_state state;
    snprintf(broadcast, sizeof broadcast, "net.broadcast=tcp://127.0.0.1:%d",
             port_of_this_machine(true));
    start_drive("net.start=yes");
    program_must_say(&run, "nobody can watch: skylane-net ended with status 1: tcp://127.0.0.1:");
    pause_ms(1500); /* three tries more */
    assert_int_equal(program_times_said(&run, "is taken by another program"), 1);
    assert_true(await_state(states, 5000, driving, &state));
    /* Who held it lets go: it is tried again. */
    close(held_port_fd);
    held_port_fd = -1;
    program_must_say(&run, "broadcasting on tcp://127.0.0.1:");
}

static void net_is_left_out_where_nobody_wants_it(void **unused)
{
    (void)unused;
    pid_t found[FAMILY];
    start_drive("net.start=no");
    pause_ms(500);
    assert_int_equal(children(run.pid, "skylane-net", found), 0);
    program_stop(&run);
    program_start(&run, NULL, "run", "--config", SETTINGS, "--lockstep", "-o", broadcast, "-o",
                  actions, "-o", "net.start=yes", NULL);
    assert_int_equal(sl_bus_wait(states, sl_clock_now_ns() + 10 * SL_NS_PER_S), 0);
    pause_ms(500);
    assert_int_equal(children(run.pid, "skylane-net", found), 0);
    program_stop(&run);
    program_stop(&sim);
    char pictures[64], camera[80];
    snprintf(pictures, sizeof pictures, "%s/pictures", getenv("SKYLANE_BUS_DIR"));
    snprintf(camera, sizeof camera, "file:%s", pictures);
    program_start(&sim, NULL, "sim", "--pictures", pictures, "--count", "2", NULL);
    assert_int_equal(program_wait(&sim, 30), 0);
    program_start(&run, NULL, "run", "--config", SETTINGS, "--camera", camera, "-o", broadcast,
                  "-o", actions, "-o", "net.start=yes", NULL);
    assert_int_equal(sl_bus_wait(states, sl_clock_now_ns() + 10 * SL_NS_PER_S), 0);
    pause_ms(500);
    assert_int_equal(children(run.pid, "skylane-net", found), 0);
}

/* ---- skylane sim ---- */

/* The status line that the page's server answers with. */
static void get(int port, const char *path, char answer[64])
{
    char request[128];
    const struct sockaddr_in at = {.sin_family = AF_INET,
                                   .sin_port = htons((uint16_t)port),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const struct timeval patience = {.tv_sec = PATIENCE};
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    assert_int_equal(connect(fd, (const struct sockaddr *)&at, sizeof at), 0);
    const int n = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: localhost:%d\r\n\r\n",
                           path, port);
    assert_int_equal(write(fd, request, (size_t)n), n);
    size_t used = 0;
    while (used < 63) {
        const ssize_t got = read(fd, answer + used, 63 - used);
        if (got <= 0)
            break;
        used += (size_t)got;
    }
    answer[used] = '\0';
    answer[strcspn(answer, "\r\n")] = '\0';
    close(fd);
}

/* Of the page whose address the simulator tells. */
static int await_page(void)
{
    static char text[65536];
    int port = 0;
    program_must_say(&sim, "watch and command it in a browser: http://127.0.0.1:");
    FILE *from = fopen(sim.output, "r");
    text[fread(text, 1, sizeof text - 1, from)] = '\0';
    fclose(from);
    assert_int_equal(sscanf(strstr(text, "browser: "), "browser: http://127.0.0.1:%d/", &port), 1);
    return port;
}

static void await_picture(int port)
{
    char answer[64];
    const uint64_t give_up_ns = sl_clock_now_ns() + PATIENCE * SL_NS_PER_S;
    do {
        pause_ms(100);
        get(port, "/snapshot.jpg", answer);
        if (sl_clock_now_ns() > give_up_ns)
            fail_msg("no picture: %s", answer);
    } while (strcmp(answer, "HTTP/1.1 200 OK") != 0);
}

/* skylane-view is built only where libwebsockets is. */
static void need_page(void)
{
    if (access(SL_BIN_DIR "/skylane-view", X_OK) != 0)
        skip();
}

static void start_sim(const char *drive, const char *how, const char *value)
{
    program_start(&sim, NULL, "sim", "--headless", "--track", "oval", "--rate", "30", "-o", PATIENT,
                  "-o", actions, "--broadcast-url", strchr(broadcast, '=') + 1, "--web-port", "0",
                  how, value, drive, NULL);
}

static void page_comes_and_goes_with_the_simulator(void **unused)
{
    (void)unused;
    char answer[64];
    pid_t found[FAMILY];
    struct sl_state state;
    need_page();
    start_sim("--drive", "--viewer", "web");
    const int port = await_page();
    get(port, "/", answer);
    assert_string_equal(answer, "HTTP/1.1 200 OK");
    await_picture(port);
    const pid_t page = await_child(sim.pid, "skylane-view", 0);
    const pid_t vehicle = await_child(sim.pid, "skylane-run", 0);
    const pid_t net = await_child(vehicle, "skylane-net", 0);
    assert_int_equal(children(sim.pid, "skylane-net", found), 0); /* there is one already */
    assert_true(await_state(states, 30000, moving, &state));
    program_signal(&sim, SIGTERM);
    assert_int_equal(program_wait(&sim, 20), 0);
    await_end(page);
    await_end(vehicle);
    await_end(net);
}

static void nobody_outlives_a_killed_simulator(void **unused)
{
    (void)unused;
    need_page();
    start_sim("--drive", "--viewer", "web");
    await_picture(await_page());
    const pid_t page = await_child(sim.pid, "skylane-view", 0);
    const pid_t vehicle = await_child(sim.pid, "skylane-run", 0);
    const pid_t net = await_child(vehicle, "skylane-net", 0);
    program_signal(&sim, SIGKILL);
    program_wait(&sim, 10);
    await_end(page);
    await_end(vehicle);
    await_end(net);
}

static void simulator_alone_is_broadcast_too(void **unused)
{
    (void)unused;
    need_page();
    start_sim(NULL, "--viewer", "web");
    await_picture(await_page());
    await_child(sim.pid, "skylane-net", 0);
    assert_true(program_said(&sim, "skylane net: broadcasting on tcp://127.0.0.1:"));
}

static void taken_port_of_the_page_is_told_once(void **unused)
{
    (void)unused;
    struct sl_state state;
    char port[16];
    need_page();
    snprintf(port, sizeof port, "%d", port_of_this_machine(true));
    start_sim("--drive", "--web-port", port);
    program_must_say(&sim,
                     "driving on without a page (--web-port PORT puts it elsewhere): skylane-view "
                     "ended with status 1: port ");
    pause_ms(1500);
    assert_int_equal(program_times_said(&sim, "driving on without a page"), 1);
    assert_true(await_state(states, 30000, driving, &state));
}

static void raw_frames_are_warned_of(void **unused)
{
    (void)unused;
    start_sim(NULL, "--broadcast-images", "--no-noise");
    /* 800x600 in NV12, 30 a second */
    program_must_say(&sim, "21.6 MB/s for each who subscribes");
}

static void scripts_get_no_page(void **unused)
{
    (void)unused;
    pid_t found[FAMILY];
    struct sl_state state;
    program_start(&sim, NULL, "sim", "--drive", "--track", "oval", "--rate", "30", "-o", PATIENT,
                  NULL);
    assert_true(await_state(states, 30000, driving, &state));
    const pid_t vehicle = await_child(sim.pid, "skylane-run", 0);
    assert_int_equal(children(sim.pid, "skylane-view", found), 0);
    assert_int_equal(children(vehicle, "skylane-net", found), 0);
}

static void misuse_is_told(void **unused)
{
    (void)unused;
    static const struct {
        const char *first, *second, *said;
    } CASES[] = {
        {"--viewer=window", NULL, "--viewer is auto, web or none, not window"},
        {"--viewer=none", "--web-port=80", "--web-port is for the page"},
        {"--web-port=65536", NULL, "--web-port is 65536"},
        {"--pictures=here", "--zmq-broadcast", "leave out --zmq-broadcast"},
        {"--pictures=here", "--viewer=web", "leave out --viewer"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        program_start(&sim, NULL, "sim", CASES[i].first, CASES[i].second, NULL);
        assert_int_equal(program_wait(&sim, 20), 2);
        assert_true(program_said(&sim, CASES[i].said));
        unlink(sim.output);
    }
}

int main(void)
{
#define CASE(test) cmocka_unit_test_setup_teardown(test, begin, end)
    const struct CMUnitTest tests[] = {
        CASE(killed_net_comes_back_and_the_vehicle_does_not_notice),
        CASE(net_dies_with_a_killed_vehicle),
        CASE(taken_port_is_told_once_and_the_vehicle_drives),
        CASE(net_is_left_out_where_nobody_wants_it),
        CASE(page_comes_and_goes_with_the_simulator),
        CASE(nobody_outlives_a_killed_simulator),
        CASE(simulator_alone_is_broadcast_too),
        CASE(taken_port_of_the_page_is_told_once),
        CASE(raw_frames_are_warned_of),
        CASE(scripts_get_no_page),
        CASE(misuse_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
