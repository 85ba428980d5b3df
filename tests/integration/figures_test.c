/* Figures, alerts and /metrics with the real programs: what skylane net tells of
 * a drive is compared with /proc, and made to be bad. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <cmocka.h>

#include <cjson/cJSON.h>
#include <zmq.h>

#include "net/guard.h"
#include "net/link.h"
#include "rt/clock.h"
#include "tests/integration/metrics_text.h"
#include "tests/integration/programs.h"

#define SETTINGS SL_SOURCE_DIR "/board/sim/skylane.ini"
#define PATIENT  "safety.miss_limit=1000000"

static struct sl_error err;
static struct program sim, run, net;
static void *context, *watch;
static char broadcast_at[96], actions_at[96];
static unsigned port;
static char page[65536]; /* the last answer's body */

static void start_run(void)
{
    program_start(&run, NULL, "run", "--quiet", "--config", SETTINGS, "-o", PATIENT, NULL);
}

static void drive(void)
{
    program_start(&sim, NULL, "sim", "--headless", "--track", "oval", "--rate", "30", NULL);
    start_run();
}

static char *said_by(const struct program *p)
{
    static char text[16384];
    FILE *file = fopen(p->output, "r");
    assert_non_null(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    return text;
}

static unsigned times(const char *text, const char *what)
{
    unsigned count = 0;
    while ((text = strstr(text, what)) != NULL) {
        count++;
        text++;
    }
    return count;
}

/* Any free port; which one is read from what it says. */
static void start_net(void (*before)(void), const char *option, const char *other)
{
    program_start(&net, before, "net", "--config", SETTINGS, "--broadcast", broadcast_at,
                  "--actions", actions_at, "-o", "net.metrics=127.0.0.1:0", "-o", option, "-o",
                  other, NULL);
    const uint64_t give_up = sl_clock_now_ns() + 20 * SL_NS_PER_S;
    const char *at = NULL;
    while (at == NULL || sscanf(at, "http://localhost:%u/metrics\n", &port) != 1) {
        if (sl_clock_now_ns() > give_up)
            fail_msg("skylane net does not tell its port");
        usleep(10000);
        at = strstr(said_by(&net), "http://localhost:");
    }
}

static int begin(void **unused)
{
    (void)unused;
    programs_begin();
    snprintf(broadcast_at, sizeof broadcast_at, "ipc://%s/broadcast", getenv("SKYLANE_BUS_DIR"));
    snprintf(actions_at, sizeof actions_at, "ipc://%s/actions", getenv("SKYLANE_BUS_DIR"));
    context = zmq_ctx_new();
    watch = zmq_socket(context, ZMQ_SUB);
    assert_int_equal(sl_link_set(watch, ZMQ_RCVTIMEO, 20000), 0);
    assert_int_equal(sl_guard_present(watch, broadcast_at, false, &err), 0);
    assert_int_equal(zmq_connect(watch, broadcast_at), 0);
    return 0;
}

static int end(void **unused)
{
    (void)unused;
    program_stop(&net);
    program_stop(&run);
    program_stop(&sim);
    zmq_close(watch);
    zmq_ctx_term(context);
    programs_end();
    return 0;
}

/* ---- HTTP by hand ---- */

/* Sends `request` as it is; the status, and the answer's body in `page`. */
static int ask(const char *request)
{
    const struct sockaddr_in to = {.sin_family = AF_INET,
                                   .sin_port = htons((uint16_t)port),
                                   .sin_addr = {htonl(INADDR_LOOPBACK)}};
    static char answer[65536];
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const struct timeval patience = {.tv_sec = 10};
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience), 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&to, sizeof to), 0);
    assert_int_equal(send(fd, request, strlen(request), MSG_NOSIGNAL), strlen(request));
    size_t size = 0, head = 0;
    unsigned long length = 0;
    int status = 0;
    while (head == 0 || size < head + length) {
        const ssize_t n = recv(fd, answer + size, sizeof answer - 1 - size, 0);
        if (n <= 0)
            break;
        size += (size_t)n;
        answer[size] = '\0';
        const char *blank = strstr(answer, "\r\n\r\n");
        const char *told = strstr(answer, "content-length: ");
        if (blank == NULL || told == NULL)
            continue;
        head = (size_t)(blank + 4 - answer);
        length = strtoul(told + strlen("content-length: "), NULL, 10);
        assert_true(head + length < sizeof answer);
    }
    close(fd);
    if (head == 0 || sscanf(answer, "HTTP/1.1 %d", &status) != 1)
        return 0;
    snprintf(page, sizeof page, "%s", answer + head);
    return status;
}

static void fetch(void)
{
    assert_int_equal(ask("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"), 200);
    assert_string_equal(metrics_problem(page), "");
}

static double value(const char *sample)
{
    return metrics_value(page, sample);
}

/* Fetches until a figure has this value. */
static void await_value(const char *sample, double wanted)
{
    const uint64_t give_up = sl_clock_now_ns() + 30 * SL_NS_PER_S;
    for (fetch(); !(value(sample) == wanted); fetch()) {
        if (sl_clock_now_ns() > give_up)
            fail_msg("%s is %g, not %g", sample, value(sample), wanted);
        usleep(100000);
    }
}

/* ---- /proc, read in another way ---- */

static double proc_cpu_s(pid_t pid)
{
    char command[128];
    double seconds = -1;
    snprintf(command, sizeof command, "awk '{print ($14 + $15) / %ld}' /proc/%d/stat",
             sysconf(_SC_CLK_TCK), (int)pid);
    FILE *out = popen(command, "r");
    assert_non_null(out);
    assert_int_equal(fscanf(out, "%lf", &seconds), 1);
    pclose(out);
    return seconds;
}

static double proc_memory_bytes(pid_t pid)
{
    char command[160];
    double kib = -1;
    snprintf(command, sizeof command,
             "awk '/^(VmRSS|HugetlbPages):/ {sum += $2} END {print sum}' /proc/%d/status",
             (int)pid);
    FILE *out = popen(command, "r");
    assert_non_null(out);
    assert_int_equal(fscanf(out, "%lf", &kib), 1);
    pclose(out);
    return kib * 1024;
}

static void compare(const char *name, pid_t pid, double cpu_before_s)
{
    char sample[96];
    snprintf(sample, sizeof sample, "skylane_process_cpu_seconds_total{process=\"%s\"}", name);
    if (!(value(sample) >= cpu_before_s && value(sample) <= proc_cpu_s(pid)))
        fail_msg("%s: %g s, in truth %g to %g", name, value(sample), cpu_before_s, proc_cpu_s(pid));
    snprintf(sample, sizeof sample, "skylane_process_memory_bytes{process=\"%s\"}", name);
    const double truth = proc_memory_bytes(pid);
    if (!(fabs(value(sample) - truth) < 0.1 * truth))
        fail_msg("%s: %g bytes, in truth %g", name, value(sample), truth);
}

static void serves_what_proc_says(void **unused)
{
    (void)unused;
    start_net(NULL, "net.name=car", "net.quality=80");
    drive();
    await_value("skylane_control_up", 1);
    sleep(3);
    const double before[] = {proc_cpu_s(run.pid), proc_cpu_s(sim.pid), proc_cpu_s(net.pid)};
    usleep(2500000); /* two looks */
    fetch();
    compare("control", run.pid, before[0]);
    compare("camera", sim.pid, before[1]);
    compare("network", net.pid, before[2]);
    assert_true(isnan(value("skylane_process_memory_bytes{process=\"detector\"}"))); /* control's */
    const double ratio = value("skylane_process_cpu_ratio{process=\"camera\"}");
    assert_true(ratio > 0 && ratio < 4);
    const double p50 = value("skylane_frame_access_seconds{reader=\"detector\",quantile=\"0.5\"}");
    const double p99 = value("skylane_frame_access_seconds{reader=\"detector\",quantile=\"0.99\"}");
    assert_true(p50 > 0 && p50 <= p99 && p99 < 1);
    /* Nobody watches: the network reads no frames. */
    assert_true(isnan(value("skylane_frame_access_seconds{reader=\"network\",quantile=\"0.5\"}")));
    const double p90 =
        value("skylane_stage_seconds{stage=\"camera_to_actuator\",quantile=\"0.9\"}");
    assert_true(p90 > 0 && p90 < 1);
    assert_true(value("skylane_bus_records_total{bus=\"camera\"}") > 60);
    assert_true(value("skylane_bus_readers{bus=\"camera\"}") == 2);
    assert_true(value("skylane_picture_age_seconds{at=\"vehicle\"}") < 1);
    assert_true(value("skylane_restarts_total{process=\"control\"}") == 0);
    /* Once somebody does, it does. */
    zmq_setsockopt(watch, ZMQ_SUBSCRIBE, "frame", 5);
    const uint64_t give_up = sl_clock_now_ns() + 20 * SL_NS_PER_S;
    while (isnan(value("skylane_frame_access_seconds{reader=\"network\",quantile=\"0.5\"}"))) {
        if (sl_clock_now_ns() > give_up)
            fail_msg("the network's own access is not told");
        usleep(100000);
        fetch();
    }
}

static void answers_nothing_else(void **unused)
{
    (void)unused;
    start_net(NULL, "net.name=car", "net.quality=80");
    assert_int_equal(ask("GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"), 404);
    assert_int_equal(ask("GET /metrics/x HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"), 404);
    assert_int_equal(ask("POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"),
                     405);
    assert_int_equal(ask("DELETE /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"), 405);
    assert_int_equal(ask("GET /metrics HTTP/1.1\r\nHost: evil.example\r\n\r\n"), 403);
    assert_int_equal(ask("GET /metrics HTTP/1.1\r\nHost: localhost.evil.example\r\n\r\n"), 403);
    assert_int_not_equal(ask("GET /metrics HTTP/1.1\r\n\r\n"), 200);
    assert_int_not_equal(ask("\x16\x03\x01\r\n\r\n"), 200);
    assert_int_equal(ask("GET /metrics HTTP/1.1\r\nHost: [::1]:9557\r\n\r\n"), 200);
    /* The port is taken: said, and all else goes on. */
    char taken[64], other_at[128];
    struct program other;
    snprintf(taken, sizeof taken, "net.metrics=%u", port);
    snprintf(other_at, sizeof other_at, "%s-2", broadcast_at);
    program_start(&other, NULL, "net", "--broadcast", other_at, "--actions", "tcp://127.0.0.1:*",
                  "-o", taken, NULL);
    program_must_say(&other, "going on without");
    assert_true(program_said(&other, "is taken: end the program that has it"));
    assert_int_equal(sl_guard_present(watch, other_at, false, &err), 0);
    assert_int_equal(zmq_connect(watch, other_at), 0);
    zmq_setsockopt(watch, ZMQ_SUBSCRIBE, "state", 5);
    char topic[16];
    assert_true(zmq_recv(watch, topic, sizeof topic, 0) == 5);
    assert_int_equal(program_stop(&other), 0);
    fetch();
}

/* ---- alerts ---- */

struct heard {
    unsigned logs;  /* of the kind looked for */
    char level[16]; /* of the last one */
    bool alert;     /* the last state has it */
    char alert_level[16];
    bool figures;
};

/* Takes one message of state or log, as far as it is about one alert, which a
 * log line names by `words`. */
static void hear(struct heard *heard, const char *name, const char *words)
{
    static char bytes[1 << 17];
    char topic[16] = "";
    if (zmq_recv(watch, topic, sizeof topic - 1, 0) < 0)
        fail_msg("nothing was sent: %s", zmq_strerror(zmq_errno()));
    const int size = zmq_recv(watch, bytes, sizeof bytes, 0);
    zmq_recv(watch, NULL, 0, 0);
    cJSON *metadata = cJSON_ParseWithLength(bytes, size > 0 ? (size_t)size : 0);
    assert_non_null(metadata);
    if (strcmp(topic, "log") == 0) {
        const char *text = cJSON_GetStringValue(cJSON_GetObjectItem(metadata, "text"));
        if (strstr(text, words) != NULL) {
            heard->logs++;
            snprintf(heard->level, sizeof heard->level, "%s",
                     cJSON_GetStringValue(cJSON_GetObjectItem(metadata, "level")));
        }
    } else {
        const cJSON *alert;
        heard->alert = false;
        heard->figures |= cJSON_IsObject(cJSON_GetObjectItem(metadata, "figures"));
        assert_true(cJSON_IsArray(cJSON_GetObjectItem(metadata, "alerts")));
        cJSON_ArrayForEach(alert, cJSON_GetObjectItem(metadata, "alerts"))
        {
            if (strcmp(cJSON_GetStringValue(cJSON_GetObjectItem(alert, "name")), name) != 0)
                continue;
            heard->alert = true;
            snprintf(heard->alert_level, sizeof heard->alert_level, "%s",
                     cJSON_GetStringValue(cJSON_GetObjectItem(alert, "level")));
        }
    }
    cJSON_Delete(metadata);
}

static void hear_for(struct heard *heard, const char *name, const char *words, double seconds)
{
    const uint64_t until = sl_clock_now_ns() + (uint64_t)(seconds * 1e9);
    while (sl_clock_now_ns() < until)
        hear(heard, name, words);
}

static void hear_until(struct heard *heard, const char *name, const char *words, bool alert)
{
    const uint64_t give_up = sl_clock_now_ns() + 30 * SL_NS_PER_S;
    while (heard->alert != alert) {
        hear(heard, name, words);
        if (sl_clock_now_ns() > give_up)
            fail_msg("the alert \"%s\" does not %s", name, alert ? "come" : "go");
    }
}

/* Control is stopped for two seconds: frames are dropped, an alert comes; it
 * drives on: the alert goes. Each is told once. */
static void tells_drops_once(void **unused)
{
    (void)unused;
    struct heard heard = {0};
    zmq_setsockopt(watch, ZMQ_SUBSCRIBE, "state", 5);
    zmq_setsockopt(watch, ZMQ_SUBSCRIBE, "log", 3);
    start_net(NULL, "alert.drops_warning_hz=2", "alert.drops_critical_hz=2.5");
    drive();
    await_value("skylane_control_up", 1);
    hear_for(&heard, "drops", "drops, mostly", 12); /* what its start cost is over */
    assert_false(heard.alert);
    assert_true(heard.figures);
    heard.logs = 0;
    program_signal(&run, SIGSTOP);
    sleep(2);
    program_signal(&run, SIGCONT);
    hear_until(&heard, "drops", "drops, mostly", true);
    hear_for(&heard, "drops", "drops, mostly", 3);
    assert_string_equal(heard.alert_level, "critical");
    assert_int_equal(heard.logs, 1);
    assert_string_equal(heard.level, "error");
    assert_int_equal(times(said_by(&net), "error: drops, mostly"), 1);
    fetch();
    assert_true(value("skylane_alert{alert=\"drops\"}") == 2);
    assert_true(value("skylane_drops_per_second{cause=\"detector\"}") +
                    value("skylane_drops_per_second{cause=\"deadline\"}") >
                2.5);
    heard.logs = 0;
    hear_until(&heard, "drops", "the alert \"drops\" is over", false);
    hear_for(&heard, "drops", "the alert \"drops\" is over", 1);
    assert_int_equal(heard.logs, 1);
    assert_string_equal(heard.level, "info");
    await_value("skylane_alert{alert=\"drops\"}", 0);
}

static void tells_memory_once(void **unused)
{
    (void)unused;
    struct heard heard = {0};
    zmq_setsockopt(watch, ZMQ_SUBSCRIBE, "state", 5);
    zmq_setsockopt(watch, ZMQ_SUBSCRIBE, "log", 3);
    start_net(NULL, "alert.memory_warning_mb=1", "alert.memory_critical_mb=1000");
    hear_until(&heard, "memory", "memory of", true);
    hear_for(&heard, "memory", "memory of", 3);
    assert_string_equal(heard.alert_level, "warning");
    assert_int_equal(times(said_by(&net), "warning: memory of the network's process: "), 1);
    assert_int_equal(heard.logs, 1);
    /* Another limit, and it is well. */
    program_stop(&net);
    start_net(NULL, "alert.memory_warning_mb=500", "alert.memory_critical_mb=1000");
    await_value("skylane_alert{alert=\"memory\"}", 0);
    hear_until(&heard, "memory", "memory of", false);
}

/* ---- restarts ---- */

static void restarted_thrice(void)
{
    setenv("SKYLANE_NET_RESTARTS", "3", 1);
}

static void tells_crashes_from_restarts(void **unused)
{
    (void)unused;
    static const char RESTARTS[] = "skylane_restarts_total{process=\"control\"}";
    static const char CRASHES[] = "skylane_crashes_total{process=\"control\"}";
    start_net(restarted_thrice, "net.name=car", "net.quality=80");
    drive();
    await_value(RESTARTS, 0);
    await_value("skylane_restarts_total{process=\"network\"}", 3);
    program_signal(&run, SIGKILL);
    program_wait(&run, 10);
    await_value(CRASHES, 1);
    await_value("skylane_control_up", 0);
    start_run();
    await_value(RESTARTS, 1);
    await_value("skylane_control_up", 1);
    program_stop(&run);
    await_value("skylane_control_up", 0);
    start_run();
    await_value(RESTARTS, 2);
    assert_true(value(CRASHES) == 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(serves_what_proc_says, begin, end),
        cmocka_unit_test_setup_teardown(answers_nothing_else, begin, end),
        cmocka_unit_test_setup_teardown(tells_drops_once, begin, end),
        cmocka_unit_test_setup_teardown(tells_memory_once, begin, end),
        cmocka_unit_test_setup_teardown(tells_crashes_from_restarts, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
