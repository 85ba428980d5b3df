/* skylane net: the vehicle's side of the network. */
#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <zmq.h>

#include "app/config/options.h"
#include "net/guard.h"
#include "net_figures.h"
#include "net_metrics.h"
#include "net_send.h"
#include "net_vehicle.h"
#include "rt/cli.h"
#include "rt/clock.h"
#include "rt/thread.h"

#define VERB            "net"
#define MEMORY_MAX      (UINT64_C(512) << 20)
#define IDLE_NS         (100 * SL_NS_PER_MS)
#define WARN_NS         (60 * SL_NS_PER_S)
#define ACTIONS_HWM     64 /* that wait; more are dropped */
#define ACTIONS_AT_ONCE 64
/* Of linux/ioprio.h, which libc has no call for. */
#define IOPRIO_WHO_PROCESS 1
#define IOPRIO_IDLE        (3 << 13)
#define TOPIC              "action"

static const char HELP[] =
    "skylane net - let others watch the vehicle and ask it for something\n"
    "\n"
    "usage: skylane net [options]\n"
    "\n"
    "Runs beside \"skylane run\", at the lowest priority: whatever happens on the network\n"
    "cannot move a control deadline. What is sent and what can be asked for is in\n"
    "docs/network.md. Until somebody was paired (\"skylane pair\") it listens on this machine\n"
    "only, and lets in the user who started it.\n"
    "\n"
    "Its figures are at http://localhost:9557/metrics for Prometheus (-o net.metrics=); figures\n"
    "beyond the limits in [alert] of the settings are told in its log, in the state and on the\n"
    "viewer's page.\n"
    "\n"
    "  --config FILE           settings file; may be given several times, later ones win\n"
    "                          (without: " SL_SETTINGS_SYSTEM_FILE " if it exists, else defaults)\n"
    "  -o SECTION.KEY=VALUE    one setting; may be given several times\n"
    "  --broadcast ENDPOINT    short for -o net.broadcast=\n"
    "  --actions ENDPOINT      short for -o net.actions=\n"
    "  --insecure              without keys, for benches: whoever reaches the sockets is a "
    "driver;\n"
    "                          said twice, also beyond this machine\n"
    "  --help, --version\n"
    "\n"
    "examples:\n"
    "  skylane net --config board/sim/skylane.ini\n"
    "  skylane net --broadcast ipc:///tmp/car --actions ipc:///tmp/car-actions\n"
    "  tools/watch.py                        # a client of fifteen lines\n"
    "\n"
    "exit status: 0, 1 (failed), 2 (misuse)\n";

struct net {
    struct sl_settings settings;
    void *context;
    struct sl_broadcast *broadcast;
    struct sl_guard *guard;
    struct sl_guard_socket actions;
    struct sl_gate *gate;
    struct net_figures *figures;
    struct net_metrics *metrics; /* NULL: not served */
    struct net_send *send;
    struct net_vehicle *vehicle;
    uint64_t warn_ns; /* when the log is told again that there are no keys */
    bool answered;    /* something: the state tells it at once */
};

/* libzmq keeps what clients subscribe to, without a bound: one that was let in and floods
 * shall end this process, which is started again, and not take the machine's
 * memory. (Sanitizers reserve more than that.) */
static void bound_memory(void)
{
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    const struct rlimit bound = {.rlim_cur = MEMORY_MAX, .rlim_max = MEMORY_MAX};
    setrlimit(RLIMIT_DATA, &bound);
#endif
}

/* Below everything else: whatever runs on this machine goes first. And off the cores
 * that the settings give to the control path: the kernel's work for our packets is
 * done where we run, and outside PREEMPT_RT it goes before every thread. Before there
 * are threads, which inherit both. */
static void step_back(const struct sl_settings *s)
{
    const struct sched_param none = {0};
    const int taken[] = {s->realtime.camera_cpu, s->realtime.detect_cpu, s->realtime.control_cpu};
    sl_thread_keep_off(taken, sizeof taken / sizeof taken[0]);
    if (sched_setscheduler(0, SCHED_IDLE, &none) != 0)
        setpriority(PRIO_PROCESS, 0, 19);
    syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_IDLE);
}

static int make_session(char session[17], struct sl_error *err)
{
    uint64_t number;
    if (getrandom(&number, sizeof number, 0) != (ssize_t)sizeof number)
        return sl_error_set(err, -errno, "no random numbers: %s", strerror(errno));
    snprintf(session, 17, "%016" PRIx64, number);
    return 0;
}

static int subscribe(const struct net *net, struct sl_error *err)
{
    if (zmq_setsockopt(net->actions.socket, ZMQ_SUBSCRIBE, TOPIC, strlen(TOPIC)) == 0)
        return 0;
    return sl_error_set(err, -errno, "cannot subscribe to actions: %s", zmq_strerror(errno));
}

static int open_all(struct net *net, int insecure, struct sl_error *err)
{
    static const struct sl_link_option ACTIONS[] = {
        {ZMQ_RCVHWM, ACTIONS_HWM}, {ZMQ_MAXMSGSIZE, SL_GATE_BYTES_MAX + SL_GUARD_WRAP_BYTES}, {0}};
    const struct sl_settings *s = &net->settings;
    char session[17];
    int rc = make_session(session, err);
    if (rc != 0)
        return rc;
    net->gate = sl_gate_create(session);
    net->context = zmq_ctx_new();
    if (net->gate == NULL || net->context == NULL)
        return sl_error_set(err, -ENOMEM, "no memory for the network");
    rc = sl_guard_open(&net->guard, net->context, insecure, err);
    if (rc == 0)
        rc = sl_broadcast_open(&net->broadcast, net->guard, s->net.broadcast, session, err);
    if (rc == 0) {
        net->actions = (struct sl_guard_socket){
            .kind = ZMQ_SUB, .options = ACTIONS, .endpoint = s->net.actions};
        rc = sl_guard_listen(net->guard, &net->actions, err);
    }
    if (rc == 0)
        rc = subscribe(net, err);
    if (rc == 0)
        rc = net_figures_open(&net->figures, s, err);
    const struct net_send_parts parts = {net->broadcast, net->gate, net->guard, net->figures};
    if (rc == 0)
        rc = net_send_open(&net->send, s, &parts, err);
    if (rc == 0)
        rc = net_vehicle_open(&net->vehicle, s, err);
    return rc;
}

static void close_all(struct net *net)
{
    net_metrics_close(net->metrics);
    net_vehicle_close(net->vehicle);
    net_send_close(net->send);
    net_figures_close(net->figures);
    sl_broadcast_close(net->broadcast);
    sl_guard_hang_up(&net->actions);
    sl_guard_close(net->guard);
    if (net->context != NULL)
        zmq_ctx_term(net->context);
    sl_gate_destroy(net->gate);
}

/* Nobody needs /metrics to drive: a port that is taken is told, once. */
static void open_metrics(struct net *net)
{
    struct sl_error err = {0};
    const char *where = net->settings.net.metrics;
    if (where[0] == '\0')
        return;
    if (net_metrics_open(&net->metrics, where, net->figures, &err) == 0)
        fprintf(stderr, "figures on http://localhost:%u/metrics\n", net_metrics_port(net->metrics));
    else
        fprintf(stderr, "skylane " VERB ": %s; going on without /metrics\n", err.text);
}

/* ---- actions ---- */

static void mark(struct net *net, const struct sl_ask *ask, uint64_t now_ns)
{
    char line[sizeof ask->client + sizeof ask->text + 16];
    snprintf(line, sizeof line, "mark by %s: %s", ask->client, ask->text);
    net_send_log(net->send, "info", line, now_ns);
    sl_gate_settle(net->gate, ask->id, true, "none", "done");
    net->answered = true;
}

static void take(struct net *net, const void *metadata, size_t size,
                 const struct sl_keys_entry *who, uint64_t now_ns)
{
    struct sl_ask ask;
    switch (sl_gate_take(net->gate, metadata, size, who->role, who->name, now_ns, &ask)) {
    case SL_GATE_PASSED:
        if (ask.name == SL_ASK_MARK) {
            mark(net, &ask, now_ns);
        } else if (ask.name == SL_ASK_PERMIT) {
            net_send_lease(net->send, net_vehicle_permit(net->vehicle, &ask, now_ns));
            sl_gate_settle(net->gate, ask.id, true, "none", "done");
            net->answered = true;
        } else if (!net_vehicle_ask(net->vehicle, &ask)) {
            sl_gate_settle(net->gate, ask.id, false, "busy",
                           "too much was asked for at once; ask again");
            net->answered = true;
        }
        break;
    case SL_GATE_ANSWERED:
        net->answered = true;
        break;
    case SL_GATE_REPORTED:
        net_send_report(net->send, &ask);
        break;
    case SL_GATE_GARBAGE:
        break;
    }
}

/* One message: topic, metadata, payload. All its parts are taken off the socket,
 * however many they are. False if there is none. */
static bool take_message(struct net *net, uint64_t now_ns)
{
    struct sl_keys_entry who = {.role = SL_ROLE_NONE};
    char metadata[SL_GATE_BYTES_MAX];
    size_t size = 0;
    int parts = 0;
    bool named = false, known = false;
    zmq_msg_t part;
    zmq_msg_init(&part);
    do {
        if (net->actions.socket == NULL ||
            zmq_msg_recv(&part, net->actions.socket, ZMQ_DONTWAIT) < 0)
            break;
        const size_t bytes = zmq_msg_size(&part);
        if (parts == 0) {
            known = sl_guard_sender(net->guard, &part, &who) == 0;
            named = bytes == strlen(TOPIC) && memcmp(zmq_msg_data(&part), TOPIC, bytes) == 0;
        } else if (parts == 1) {
            size = bytes;
            memcpy(metadata, zmq_msg_data(&part), bytes < sizeof metadata ? bytes : 0);
        }
        parts++;
    } while (zmq_msg_more(&part));
    zmq_msg_close(&part);
    if (parts == 0)
        return false;
    if (!known)
        return true; /* and counted by the guard */
    if (named && (parts == 2 || parts == 3))
        take(net, metadata, size, &who, now_ns);
    else
        take(net, "", 0, &who, now_ns); /* garbage, and counted as such */
    return true;
}

static void tell_where(const struct net *net)
{
    struct sl_error advice = {0};
    fprintf(stderr, "broadcasting on %s, listening on %s\n", sl_broadcast_endpoint(net->broadcast),
            net->actions.bound);
    if (sl_guard_advice(net->guard, &advice))
        fprintf(stderr, "skylane " VERB ": %s\n", advice.text);
}

/* The list of who may connect may have changed. */
static void tend(struct net *net, uint64_t now_ns)
{
    struct sl_error err;
    sl_broadcast_listen(net->broadcast, now_ns);
    if (sl_guard_tend(net->guard, &net->actions, now_ns) && net->actions.socket != NULL &&
        subscribe(net, &err) == 0)
        tell_where(net);
}

static void take_done(struct net *net, uint64_t now_ns)
{
    struct net_done done;
    while (net_vehicle_done(net->vehicle, &done)) {
        sl_gate_settle(net->gate, done.ask.id, done.accepted, done.reason, done.text);
        if (done.accepted && done.ask.name == SL_ASK_SET)
            net_send_setting(net->send, done.ask.setting);
        char line[512];
        snprintf(line, sizeof line, "%s by %s: %s", sl_ask_text(done.ask.name), done.ask.client,
                 done.text);
        net_send_log(net->send, done.accepted ? "info" : "warning", line, now_ns);
        net->answered = true;
    }
}

/* Whoever reads the log shall see that there are no keys. */
static void warn(struct net *net, uint64_t now_ns)
{
    struct sl_error advice = {0};
    if (!sl_guard_insecure(net->guard) || now_ns < net->warn_ns)
        return;
    net->warn_ns = now_ns + WARN_NS;
    sl_guard_advice(net->guard, &advice);
    net_send_log(net->send, "warning", advice.text, now_ns);
}

static void run(struct net *net)
{
    while (!sl_cli_stop_wanted()) {
        int fds[NET_SEND_FDS];
        net_send_fds(net->send, fds);
        zmq_pollitem_t items[3 + NET_SEND_FDS] = {
            {.socket = sl_broadcast_socket(net->broadcast), .fd = -1, .events = ZMQ_POLLIN},
            {.socket = net->actions.socket, .fd = -1, .events = ZMQ_POLLIN},
            {.fd = net_vehicle_fd(net->vehicle), .events = ZMQ_POLLIN},
        };
        int count = 3;
        for (int i = 0; i < NET_SEND_FDS; i++)
            if (fds[i] >= 0)
                items[count++] = (zmq_pollitem_t){.fd = fds[i], .events = ZMQ_POLLIN};
        uint64_t now_ns = sl_clock_now_ns();
        uint64_t wait_ns = net_send_due_ns(net->send);
        wait_ns = wait_ns > now_ns ? wait_ns - now_ns : 0;
        wait_ns = wait_ns < IDLE_NS ? wait_ns : IDLE_NS;
        zmq_poll(items, count, (long)((wait_ns + SL_NS_PER_MS - 1) / SL_NS_PER_MS));
        now_ns = sl_clock_now_ns();
        tend(net, now_ns);
        /* A flood must not keep pictures from being sent. */
        for (int i = 0; i < ACTIONS_AT_ONCE && take_message(net, now_ns); i++)
            ;
        take_done(net, now_ns);
        warn(net, now_ns);
        if (net->answered)
            net_send_state(net->send, now_ns);
        net->answered = false;
        net_send_news(net->send, now_ns);
    }
}

static int serve(const struct sl_settings_options *options, const char *broadcast,
                 const char *actions, int insecure)
{
    struct net net = {0};
    struct sl_error err = {0};
    int rc = sl_settings_options_read(options, &net.settings, &err);
    if (rc == 0 && broadcast != NULL)
        rc = sl_settings_set_value(&net.settings, "net.broadcast", broadcast, strlen(broadcast),
                                   &err);
    if (rc == 0 && actions != NULL)
        rc = sl_settings_set_value(&net.settings, "net.actions", actions, strlen(actions), &err);
    if (rc == 0)
        rc = sl_settings_options_apply(options, &net.settings, &err);
    if (rc == 0)
        rc = sl_settings_check(&net.settings, &err);
    step_back(&net.settings);
    bound_memory();
    if (rc == 0)
        rc = open_all(&net, insecure, &err);
    if (rc != 0) {
        fprintf(stderr, "skylane " VERB ": %s\n", err.text);
    } else {
        tell_where(&net);
        open_metrics(&net);
        run(&net);
        net_send_summary(net.send, stderr);
    }
    close_all(&net);
    return rc == 0 ? SL_EXIT_OK : SL_EXIT_FAILED;
}

int main(int argc, char **argv)
{
    enum { OPT_CONFIG = 256, OPT_BROADCAST, OPT_ACTIONS, OPT_INSECURE };
    static const struct option OPTIONS[] = {
        {"config", required_argument, NULL, OPT_CONFIG},
        {"broadcast", required_argument, NULL, OPT_BROADCAST},
        {"actions", required_argument, NULL, OPT_ACTIONS},
        {"insecure", no_argument, NULL, OPT_INSECURE},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},
        {0},
    };
    struct sl_settings_options settings = {0};
    const char *broadcast = NULL, *actions = NULL;
    struct sl_error err = {0};
    int answer, insecure = 0;
    opterr = 0;
    while ((answer = getopt_long(argc, argv, ":o:hV", OPTIONS, NULL)) != -1) {
        int rc = 0;
        switch (answer) {
        case 'o':
            rc = sl_settings_options_add(&settings, optarg, &err);
            break;
        case OPT_CONFIG:
            rc = sl_settings_options_add_file(&settings, optarg, &err);
            break;
        case OPT_BROADCAST:
            broadcast = optarg;
            break;
        case OPT_ACTIONS:
            actions = optarg;
            break;
        case OPT_INSECURE:
            insecure++;
            break;
        case 'h':
            fputs(HELP, stdout);
            return SL_EXIT_OK;
        case 'V':
            puts("skylane-" VERB " " SL_VERSION);
            return SL_EXIT_OK;
        default:
            return sl_cli_bad_option(VERB, answer, argv, OPTIONS);
        }
        if (rc != 0)
            return sl_cli_misuse(VERB, "%s", err.text);
    }
    if (optind < argc)
        return sl_cli_bad_operand(VERB, argv[optind]);
    sl_cli_catch_stop();
    return serve(&settings, broadcast, actions, insecure);
}
