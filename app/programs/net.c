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
#include "net/link.h"
#include "net_send.h"
#include "net_vehicle.h"
#include "rt/cli.h"
#include "rt/clock.h"

#define VERB            "net"
#define IDLE_NS         (100 * SL_NS_PER_MS)
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
    "docs/network.md. It listens on this machine only: from elsewhere come through a tunnel,\n"
    "  ssh -L 5557:localhost:5557 -L 5558:localhost:5558 my-car\n"
    "\n"
    "  --config FILE           settings file; may be given several times, later ones win\n"
    "                          (without: " SL_SETTINGS_SYSTEM_FILE " if it exists, else defaults)\n"
    "  -o SECTION.KEY=VALUE    one setting; may be given several times\n"
    "  --broadcast ENDPOINT    short for -o net.broadcast=\n"
    "  --actions ENDPOINT      short for -o net.actions=\n"
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
    void *actions;
    char actions_endpoint[256];
    struct sl_gate *gate;
    struct net_send *send;
    struct net_vehicle *vehicle;
    bool answered; /* something: the state tells it at once */
};

/* Below everything else: whatever runs on this machine goes first. Before there
 * are threads, which inherit it. */
static void step_back(void)
{
    const struct sched_param none = {0};
    if (sched_setscheduler(0, SCHED_IDLE, &none) != 0)
        setpriority(PRIO_PROCESS, 0, 19);
    syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_IDLE);
}

/* Without keys, whoever reaches a socket may watch and ask: only who is on this
 * machine reaches these. */
static int check_local(const char *key, const char *endpoint, struct sl_error *err)
{
    static const char *const LOCAL[] = {
        "tcp://127.0.0.1:", "tcp://localhost:", "tcp://[::1]:", "ipc://"};
    for (size_t i = 0; i < sizeof LOCAL / sizeof LOCAL[0]; i++)
        if (strncmp(endpoint, LOCAL[i], strlen(LOCAL[i])) == 0)
            return 0;
    return sl_error_set(err, -EINVAL,
                        "%s: \"%s\" could be reached by everybody in the network; use "
                        "tcp://127.0.0.1:PORT, and a tunnel (ssh -L) from elsewhere",
                        key, endpoint);
}

static int make_session(char session[17], struct sl_error *err)
{
    uint64_t number;
    if (getrandom(&number, sizeof number, 0) != (ssize_t)sizeof number)
        return sl_error_set(err, -errno, "no random numbers: %s", strerror(errno));
    snprintf(session, 17, "%016" PRIx64, number);
    return 0;
}

static int open_all(struct net *net, struct sl_error *err)
{
    const struct sl_settings *s = &net->settings;
    const struct sl_link_option options[] = {
        {ZMQ_RCVHWM, ACTIONS_HWM}, {ZMQ_MAXMSGSIZE, SL_GATE_BYTES_MAX}, {0}};
    char session[17];
    int rc = check_local("net.broadcast", s->net.broadcast, err);
    if (rc == 0)
        rc = check_local("net.actions", s->net.actions, err);
    if (rc == 0)
        rc = make_session(session, err);
    if (rc != 0)
        return rc;
    net->gate = sl_gate_create(session);
    net->context = zmq_ctx_new();
    if (net->gate == NULL || net->context == NULL)
        return sl_error_set(err, -ENOMEM, "no memory for the network");
    rc = sl_broadcast_open(&net->broadcast, net->context, s->net.broadcast, session, err);
    if (rc == 0)
        rc = sl_link_bind(&net->actions, net->context, ZMQ_SUB, options, s->net.actions,
                          net->actions_endpoint, sizeof net->actions_endpoint, err);
    if (rc == 0 && zmq_setsockopt(net->actions, ZMQ_SUBSCRIBE, TOPIC, strlen(TOPIC)) != 0)
        rc = sl_error_set(err, -errno, "cannot subscribe to actions: %s", zmq_strerror(errno));
    if (rc == 0)
        rc = net_send_open(&net->send, s, net->broadcast, net->gate, err);
    if (rc == 0)
        rc = net_vehicle_open(&net->vehicle, s, err);
    return rc;
}

static void close_all(struct net *net)
{
    net_vehicle_close(net->vehicle);
    net_send_close(net->send);
    sl_broadcast_close(net->broadcast);
    if (net->actions != NULL)
        zmq_close(net->actions);
    if (net->context != NULL)
        zmq_ctx_term(net->context);
    sl_gate_destroy(net->gate);
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

static void take(struct net *net, const void *metadata, size_t size, uint64_t now_ns)
{
    struct sl_ask ask;
    switch (sl_gate_take(net->gate, metadata, size, SL_ROLE_DRIVER, "", now_ns, &ask)) {
    case SL_GATE_PASSED:
        if (ask.name == SL_ASK_MARK) {
            mark(net, &ask, now_ns);
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
    char topic[16], metadata[SL_GATE_BYTES_MAX], rest[1];
    const int topic_size = zmq_recv(net->actions, topic, sizeof topic, ZMQ_DONTWAIT);
    if (topic_size < 0)
        return false;
    int size = -1, parts = 1, more = 0;
    size_t length = sizeof more;
    while (zmq_getsockopt(net->actions, ZMQ_RCVMORE, &more, &length) == 0 && more != 0) {
        const int n = parts == 1
                          ? (size = zmq_recv(net->actions, metadata, sizeof metadata, ZMQ_DONTWAIT))
                          : zmq_recv(net->actions, rest, sizeof rest, ZMQ_DONTWAIT);
        if (n < 0)
            break;
        parts++;
    }
    const bool named = topic_size == (int)strlen(TOPIC) && memcmp(topic, TOPIC, strlen(TOPIC)) == 0;
    if (named && size >= 0 && parts <= 3)
        take(net, metadata, size > (int)sizeof metadata ? sizeof metadata + 1 : (size_t)size,
             now_ns);
    else
        take(net, "", 0, now_ns); /* garbage, and counted as such */
    return true;
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

static void run(struct net *net)
{
    while (!sl_cli_stop_wanted()) {
        int fds[NET_SEND_FDS];
        net_send_fds(net->send, fds);
        zmq_pollitem_t items[3 + NET_SEND_FDS] = {
            {.socket = sl_broadcast_socket(net->broadcast), .events = ZMQ_POLLIN},
            {.socket = net->actions, .events = ZMQ_POLLIN},
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
        sl_broadcast_listen(net->broadcast);
        /* A flood must not keep pictures from being sent. */
        for (int i = 0; i < ACTIONS_AT_ONCE && take_message(net, now_ns); i++)
            ;
        take_done(net, now_ns);
        if (net->answered)
            net_send_state(net->send, now_ns);
        net->answered = false;
        net_send_news(net->send, now_ns);
    }
}

static int serve(const struct sl_settings_options *options, const char *broadcast,
                 const char *actions)
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
    step_back();
    if (rc == 0)
        rc = open_all(&net, &err);
    if (rc != 0) {
        fprintf(stderr, "skylane " VERB ": %s\n", err.text);
    } else {
        fprintf(stderr, "broadcasting on %s, listening on %s\n",
                sl_broadcast_endpoint(net.broadcast), net.actions_endpoint);
        run(&net);
        net_send_summary(net.send, stderr);
    }
    close_all(&net);
    return rc == 0 ? SL_EXIT_OK : SL_EXIT_FAILED;
}

int main(int argc, char **argv)
{
    enum { OPT_CONFIG = 256, OPT_BROADCAST, OPT_ACTIONS };
    static const struct option OPTIONS[] = {
        {"config", required_argument, NULL, OPT_CONFIG},
        {"broadcast", required_argument, NULL, OPT_BROADCAST},
        {"actions", required_argument, NULL, OPT_ACTIONS},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},
        {0},
    };
    struct sl_settings_options settings = {0};
    const char *broadcast = NULL, *actions = NULL;
    struct sl_error err = {0};
    int answer;
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
    return serve(&settings, broadcast, actions);
}
