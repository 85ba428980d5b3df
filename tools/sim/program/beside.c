#include "tools/sim/program/beside.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "rt/clock.h"
#include "rt/frame.h"
#include "tools/sim/program/console.h"

#define REPORT_MAX          65536
#define VEHICLE_PATIENCE_NS (5 * SL_NS_PER_S)
#define PATIENCE_NS         (2 * SL_NS_PER_S)
#define ENDPOINT_MAX        (SL_SETTINGS_TEXT_MAX + 16)

/* ---- what they say ---- */

static void vehicle_says(void *unused, enum sl_child_news news, const char *text)
{
    (void)unused;
    (void)news; /* its end is told by sim_beside_poll() */
    sl_console_pass(text);
}

static void net_says(void *unused, enum sl_child_news news, const char *text)
{
    (void)unused;
    char line[1024];
    if (news == SL_CHILD_ENDED) {
        snprintf(line, sizeof line, "driving on, but nobody can watch: %s", text);
        sl_console_say(line);
    } else {
        snprintf(line, sizeof line, "%s%s",
                 strncmp(text, "skylane ", 8) == 0 ? "" : "skylane net: ", text);
        sl_console_pass(line);
    }
}

static void page_says(void *unused, enum sl_child_news news, const char *text)
{
    (void)unused;
    char line[1024];
    if (news == SL_CHILD_ENDED) {
        snprintf(line, sizeof line,
                 "driving on without a page (--web-port PORT puts it elsewhere): %s", text);
        sl_console_say(line);
    } else if (strncmp(text, "http", 4) == 0) {
        snprintf(line, sizeof line, "watch and command it in a browser: %s", text);
        sl_console_say(line);
    } else {
        sl_console_pass(text);
    }
}

static int pass_insecure(const struct sim_options *o, const char **arguments, int count)
{
    for (int i = 0; i < o->insecure && i < 2; i++)
        arguments[count++] = "--insecure";
    return count;
}

/* ---- the vehicle ---- */

int sim_beside_start_vehicle(struct sim_beside *b, const struct sim_options *o,
                             struct sl_error *err)
{
    const char *arguments[2 * SL_SETTINGS_ARGUMENTS_MAX + 10] = {"--quiet", "--json",
                                                                 "/proc/self/fd/3"};
    int count = 3;
    if (o->lockstep)
        arguments[count++] = "--lockstep";
    count = pass_insecure(o, arguments, count);
    /* Simulators run side by side, and there is one port: whoever wants to
     * broadcast says so, and what is said later wins. */
    arguments[count++] = "-o";
    arguments[count++] = "net.start=no";
    count = sl_settings_options_pass(&o->settings, arguments, count);
    count = sl_settings_options_pass(&o->own, arguments, count);
    arguments[count] = NULL;

    int fds[2];
    if (pipe2(fds, O_CLOEXEC) != 0)
        return sl_error_set(err, -errno, "cannot make a pipe: %s", strerror(errno));
    /* SIGTERM: if the simulator is killed, the vehicle still rolls out. */
    const struct sl_child_config config = {.program = "skylane-run",
                                           .arguments = arguments,
                                           .given_fd = fds[1],
                                           .orphan_signal = SIGTERM,
                                           .say = vehicle_says};
    const int rc = sl_child_open(&b->vehicle, &config, err);
    close(fds[1]);
    if (rc == 0)
        b->report_fd = fds[0];
    else
        close(fds[0]);
    return rc;
}

/* Reads to the end of the pipe, which comes with the vehicle's end. */
static char *read_report(int fd)
{
    char *text = malloc(REPORT_MAX);
    size_t used = 0;
    while (text != NULL && used < REPORT_MAX - 1) {
        ssize_t n = read(fd, text + used, REPORT_MAX - 1 - used);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        used += (size_t)n;
    }
    if (text != NULL)
        text[used] = '\0';
    return text;
}

char *sim_beside_stop_vehicle(struct sim_beside *b, struct sl_error *err)
{
    if (!sl_child_stop(b->vehicle, VEHICLE_PATIENCE_NS))
        sl_error_set(err, -ECHILD, "%s", sl_child_end(b->vehicle));
    char *report = read_report(b->report_fd);
    close(b->report_fd);
    b->report_fd = -1;
    if (report != NULL && report[0] == '\0') {
        free(report);
        report = NULL;
    }
    if (report == NULL && err->text[0] == '\0')
        sl_error_set(err, -EIO, "the vehicle's process left no report");
    return report;
}

/* ---- watching ---- */

static struct sl_child *start(const char *program, const char *const *arguments,
                              void (*says)(void *, enum sl_child_news, const char *))
{
    const struct sl_child_config config = {.program = program,
                                           .arguments = arguments,
                                           .given_fd = -1,
                                           .orphan_signal = SIGKILL,
                                           .again = true,
                                           .say = says};
    struct sl_child *child = NULL;
    struct sl_error err;
    if (sl_child_open(&child, &config, &err) != 0) {
        sl_error_prefix(&err, "driving on without %s", program);
        sl_console_say(err.text);
    }
    return child;
}

static struct sl_child *start_net(const struct sim_options *o)
{
    const char *arguments[2 * SL_SETTINGS_ARGUMENTS_MAX + 3];
    int count = pass_insecure(o, arguments, 0);
    count = sl_settings_options_pass(&o->settings, arguments, count);
    count = sl_settings_options_pass(&o->own, arguments, count);
    arguments[count] = NULL;
    return start("skylane-net", arguments, net_says);
}

/* Where to connect to what listens on `endpoint`. */
static void connect_to(const char *endpoint, char address[ENDPOINT_MAX])
{
    static const char *const ANY[] = {"tcp://*:", "tcp://0.0.0.0:", "tcp://[::]:"};
    snprintf(address, ENDPOINT_MAX, "%s", endpoint);
    for (size_t i = 0; i < sizeof ANY / sizeof ANY[0]; i++)
        if (strncmp(endpoint, ANY[i], strlen(ANY[i])) == 0)
            snprintf(address, ENDPOINT_MAX, "tcp://127.0.0.1:%s", endpoint + strlen(ANY[i]));
}

static struct sl_child *start_page(const struct sim_options *o, const struct sl_settings *settings)
{
    char port[16], broadcast[ENDPOINT_MAX], actions[ENDPOINT_MAX];
    snprintf(port, sizeof port, "%d", (int)o->web_port);
    connect_to(settings->net.broadcast, broadcast);
    connect_to(settings->net.actions, actions);
    const char *const arguments[] = {"--vehicle",
                                     broadcast,
                                     "--actions",
                                     actions,
                                     "--port",
                                     port,
                                     o->insecure > 0 ? "--insecure" : NULL,
                                     NULL};
    return start("skylane-view", arguments, page_says);
}

static void tell_bandwidth(const struct sim_options *o, const struct sl_settings *settings)
{
    const char *format = o->format != NULL ? o->format : settings->camera.format;
    const double frame_bytes = (double)sl_frame_size_bytes(sl_frame_format_parse(format),
                                                           (uint32_t)settings->camera.width_px,
                                                           (uint32_t)settings->camera.height_px);
    const double rate_hz = fmin(o->rate_hz, settings->net.frame_rate_hz);
    char text[256];
    snprintf(text, sizeof text,
             "frames as they are take %.1f MB/s for each who subscribes to them (%.0f bytes, %g a "
             "second); leave out --broadcast-images where the network has less",
             frame_bytes * rate_hz / 1e6, frame_bytes, rate_hz);
    sl_console_say(text);
}

void sim_beside_start_watching(struct sim_beside *b, const struct sim_options *o,
                               const struct sl_settings *settings)
{
    if (o->broadcast_images)
        tell_bandwidth(o, settings);
    const bool vehicle_broadcasts = o->drive && !o->lockstep;
    if (o->broadcast && !vehicle_broadcasts)
        b->net = start_net(o);
    if (o->viewer == SIM_VIEWER_WEB)
        b->page = start_page(o, settings);
}

/* ---- all ---- */

int sim_beside_poll(struct sim_beside *b, struct sl_error *err)
{
    sl_child_poll(b->net);
    sl_child_poll(b->page);
    if (b->vehicle == NULL || sl_child_poll(b->vehicle))
        return 0;
    return sl_error_set(err, -ECHILD, "%s", sl_child_end(b->vehicle));
}

void sim_beside_close(struct sim_beside *b)
{
    struct sl_child **const all[] = {&b->vehicle, &b->page, &b->net};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        sl_child_stop(*all[i], PATIENCE_NS);
        sl_child_close(*all[i]);
        *all[i] = NULL;
    }
    if (b->report_fd >= 0)
        close(b->report_fd);
    b->report_fd = -1;
}
