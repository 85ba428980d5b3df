/* Who connects: each in a process of its own, forked from a parent that has no
 * threads. */
#include "tests/bench/net_bench.h"

#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <zmq.h>

#include "net/guard.h"
#include "net/link.h"
#include "rt/clock.h"

#define FLOOD_HZ         100000 /* messages of each who sends garbage */
#define SLOW_BYTES_PER_S 50000.0
#define AGAIN_MS         20 /* who lost its vehicle tries again so often */
#define GARBAGE_BYTES    64
#define QUEUE            900 /* messages under way: ZMQ's queue, of 1000, drops none */
#define SETTLE_NS        (50 * SL_NS_PER_MS)
#define BEHIND_NS        (10 * SL_NS_PER_MS)

static void *context; /* a peer's own */

_Noreturn static void give_up(struct peer_counts *counts, const char *what, const char *why)
{
    snprintf(counts->problem, sizeof counts->problem, "%s: %.120s", what, why);
    _exit(1);
}

/* With the keys of this user, whom the vehicle takes for a driver. */
static void *paired(struct peer_counts *counts, int kind, const char *endpoint)
{
    struct sl_error err = {0};
    void *socket = zmq_socket(context, kind);
    if (socket == NULL || sl_guard_present(socket, endpoint, false, &err) != 0)
        give_up(counts, "no socket", socket == NULL ? zmq_strerror(zmq_errno()) : err.text);
    sl_link_set(socket, ZMQ_RECONNECT_IVL, AGAIN_MS);
    return socket;
}

static void add(_Atomic uint64_t *to, uint64_t count)
{
    atomic_fetch_add_explicit(to, count, memory_order_relaxed);
}

/* What the other side's kernel has taken. ZMQ drops what it cannot send, without
 * a word: what was given to it tells nothing. */
static uint64_t acknowledged(int fd)
{
    struct tcp_info info = {0};
    socklen_t size = sizeof info;
    return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0 ? info.tcpi_bytes_acked : 0;
}

/* ---- those who watch ---- */

_Noreturn static void watch(struct peer_counts *counts, const char *endpoint, enum peer_kind kind)
{
    static const char *const TOPICS[] = {"frame", "state", "detection", "trace", "log"};
    const bool slow = kind == PEER_SLOW;
    void *socket = paired(counts, ZMQ_SUB, endpoint);
    if (slow) { /* what waits for it shall wait at the vehicle */
        sl_link_set(socket, ZMQ_RCVHWM, 1);
        sl_link_set(socket, ZMQ_RCVBUF, 16 << 10);
    }
    for (int i = 0; i < (kind == PEER_VIEWER ? 5 : 2); i++)
        zmq_setsockopt(socket, ZMQ_SUBSCRIBE, TOPICS[i], strlen(TOPICS[i]));
    zmq_connect(socket, endpoint);
    bool frame = false;
    zmq_msg_t part;
    zmq_msg_init(&part);
    for (int number = 0; zmq_msg_recv(&part, socket, 0) >= 0;) {
        const size_t size = zmq_msg_size(&part);
        if (number == 0)
            frame = size == 5 && memcmp(zmq_msg_data(&part), "frame", 5) == 0;
        number = zmq_msg_more(&part) ? number + 1 : 0;
        add(&counts->bytes, size);
        add(&counts->messages, number == 0);
        add(&counts->frames, number == 0 && frame);
        if (slow)
            sl_clock_sleep_until_ns(sl_clock_now_ns() +
                                    (uint64_t)((double)size / SLOW_BYTES_PER_S * 1e9));
    }
    give_up(counts, "the socket failed", zmq_strerror(zmq_errno()));
}

/* ---- those who are paired, and send garbage ---- */

struct flood {
    struct peer_counts *counts;
    void *socket, *events; /* of its connection */
    bool actions;
    int fd;                     /* of the connection; -1: none at present */
    uint64_t earlier, before;   /* messages of earlier connections; bytes that do not count */
    unsigned sent, sent_before; /* in all; up to this connection */
};

/* What became of the connection; false if nothing did. */
static bool take_event(struct flood *f, int flags)
{
    uint8_t event[6]; /* number and value; then the address */
    uint16_t number;
    if (zmq_recv(f->events, event, sizeof event, flags) != sizeof event)
        return false;
    zmq_recv(f->events, NULL, 0, 0);
    memcpy(&number, event, sizeof number);
    memcpy(&f->fd, event + 2, sizeof f->fd);
    if (number != ZMQ_EVENT_CONNECTED)
        f->fd = -1;
    f->earlier = f->counts->messages;
    f->before = acknowledged(f->fd);
    f->sent_before = f->sent;
    return true;
}

static void await_connection(struct flood *f)
{
    take_event(f, 0);
    /* Who listens to actions subscribes to them. The other side is given time: a
     * queue that is full before the handshake is over would drop the sample. */
    if (f->actions)
        zmq_recv(f->socket, NULL, 0, 0);
    sl_clock_sleep_until_ns(sl_clock_now_ns() + SETTLE_NS);
}

static void send_garbage(struct flood *f)
{
    char garbage[GARBAGE_BYTES];
    const unsigned number = f->sent++;
    memset(garbage, '{', sizeof garbage);
    if (f->actions) { /* bytes that are no JSON, JSON that is no action */
        static const char *const KINDS[] = {"\xff\xfe\x01", "{\"id\":", "[[[[", "{\"v\":1}"};
        memcpy(garbage, KINDS[number % 4], strlen(KINDS[number % 4]));
        zmq_send(f->socket, "action", 6, ZMQ_SNDMORE | ZMQ_DONTWAIT);
    } else { /* no subscription at all; one to what is no topic; that one taken back */
        static const char KINDS[] = {7, 1, 0};
        memcpy(garbage + 1, &(unsigned){number / 3 % 1000}, sizeof number);
        garbage[0] = KINDS[number % 3];
    }
    zmq_send(f->socket, garbage, sizeof garbage, ZMQ_DONTWAIT);
}

/* Bytes on the wire for each message: of some that fit into ZMQ's queue, so that
 * all of them arrive. */
static double measure_message(struct flood *f)
{
    enum { SAMPLE = QUEUE, STILL = 4 };
    const uint64_t before = acknowledged(f->fd);
    for (int i = 0; i < SAMPLE; i++)
        send_garbage(f);
    uint64_t last = before;
    for (int still = 0; still < STILL || last == before;) {
        sl_clock_sleep_until_ns(sl_clock_now_ns() + SETTLE_NS);
        const uint64_t now = acknowledged(f->fd);
        still = now == last ? still + 1 : 0;
        last = now;
    }
    return (double)(last - before) / SAMPLE;
}

/* A hundred messages a millisecond, as far as the other side takes them: what more is
 * offered to ZMQ costs only the core that both sides may share. */
_Noreturn static void flood(struct peer_counts *counts, const char *endpoint, bool actions)
{
    struct flood f = {.counts = counts, .actions = actions, .fd = -1};
    f.socket = paired(counts, actions ? ZMQ_XPUB : ZMQ_XSUB, endpoint);
    f.events = zmq_socket(context, ZMQ_PAIR);
    zmq_socket_monitor(f.socket, "inproc://events", ZMQ_EVENT_CONNECTED | ZMQ_EVENT_DISCONNECTED);
    zmq_connect(f.events, "inproc://events");
    zmq_connect(f.socket, endpoint);
    await_connection(&f);
    const double message_bytes = measure_message(&f);
    f.before = acknowledged(f.fd);
    f.sent_before = f.sent;
    for (uint64_t next_ns = sl_clock_now_ns();;) {
        const uint64_t now = acknowledged(f.fd); /* 0: the connection has just gone */
        const double taken = now > f.before ? (double)(now - f.before) / message_bytes : 0;
        for (int i = 0; i < FLOOD_HZ / 1000 && f.sent - f.sent_before < taken + QUEUE; i++)
            send_garbage(&f);
        if (now > f.before)
            atomic_store_explicit(&counts->messages, f.earlier + (uint64_t)taken,
                                  memory_order_relaxed);
        /* A vehicle that cannot keep up may hang up; ZMQ then connects again. */
        while (take_event(&f, ZMQ_DONTWAIT))
            ;
        next_ns += SL_NS_PER_MS;
        const uint64_t now_ns = sl_clock_sleep_until_ns(next_ns);
        if (now_ns > next_ns + BEHIND_NS) /* what could not be sent is not made up for */
            next_ns = now_ns;
    }
}

/* ---- those who are not ---- */

enum {
    MESSAGES = 128, /* of a stranger's connection */
    AT_ONCE = 16,   /* connections of a stranger: each waits for a turn of the vehicle's */
};

/* Every other time what a client without encryption would say and send, else bytes
 * that mean nothing. */
static void say_garbage(int fd, unsigned number)
{
    static const uint8_t GREETING[64] = {0xff, 0,    0, 0, 0,   0,   0,   0,
                                         0,    0x7f, 3, 0, 'N', 'U', 'L', 'L'};
    uint8_t bytes[MESSAGES * GARBAGE_BYTES];
    memset(bytes, (int)number, sizeof bytes);
    if ((number & 2) != 0) {
        memcpy(bytes, GREETING, sizeof GREETING);
        for (int i = 1; i < MESSAGES; i++) { /* flags, size */
            bytes[i * GARBAGE_BYTES] = 0;
            bytes[i * GARBAGE_BYTES + 1] = GARBAGE_BYTES - 2;
        }
    }
    send(fd, bytes, sizeof bytes, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* A connection to one of the two ports; -1: none. */
static int come_in(int port)
{
    const struct sockaddr_in to = {.sin_family = AF_INET,
                                   .sin_port = htons((uint16_t)port),
                                   .sin_addr = {htonl(INADDR_LOOPBACK)}};
    const struct timeval patience = {.tv_usec = 100000};
    const struct linger reset = {.l_onoff = 1}; /* no port is kept waiting */
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    if (connect(fd, (const struct sockaddr *)&to, sizeof to) == 0)
        return fd;
    close(fd);
    return -1;
}

/* The vehicle hangs up when it has read the beginning. How many messages arrived:
 * of those that do not fit into the vehicle's buffer, the first. */
static uint64_t leave(int fd)
{
    uint8_t answer[256];
    while (recv(fd, answer, sizeof answer, 0) > 0)
        ;
    const uint64_t messages = acknowledged(fd) / GARBAGE_BYTES;
    close(fd);
    return messages;
}

_Noreturn static void intrude(struct peer_counts *counts, int port)
{
    int fds[AT_ONCE];
    unsigned number = 0;
    for (uint64_t next_ns = sl_clock_now_ns();;) {
        uint64_t messages = 0;
        for (int i = 0; i < AT_ONCE; i++, number++) {
            fds[i] = come_in(port + (int)(number & 1));
            if (fds[i] >= 0)
                say_garbage(fds[i], number);
        }
        for (int i = 0; i < AT_ONCE; i++)
            if (fds[i] >= 0)
                messages += leave(fds[i]);
        add(&counts->messages, messages);
        next_ns += SL_NS_PER_S * messages / FLOOD_HZ;
        const uint64_t now_ns = sl_clock_sleep_until_ns(next_ns);
        if (now_ns > next_ns + BEHIND_NS) /* nor is here */
            next_ns = now_ns;
    }
}

/* ---- starting them ---- */

_Noreturn static void be(enum peer_kind kind, struct peer_counts *counts, int port)
{
    char broadcast[64], actions[64];
    const struct sched_param none = {0};
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGINT, SIG_IGN); /* of a terminal: whoever started it ends it */
    signal(SIGTERM, SIG_DFL);
    sched_setscheduler(0, SCHED_IDLE, &none);
    snprintf(broadcast, sizeof broadcast, "tcp://127.0.0.1:%d", port);
    snprintf(actions, sizeof actions, "tcp://127.0.0.1:%d", port + 1);
    context = zmq_ctx_new();
    if (kind == PEER_STRANGER)
        intrude(counts, port);
    if (kind == PEER_ACTIONS || kind == PEER_TOPICS)
        flood(counts, kind == PEER_ACTIONS ? actions : broadcast, kind == PEER_ACTIONS);
    watch(counts, broadcast, kind);
}

int peers_open(struct peers *p, int port, struct sl_error *err)
{
    *p = (struct peers){.port = port};
    p->counts = mmap(NULL, PEERS_MAX * sizeof *p->counts, PROT_READ | PROT_WRITE,
                     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (p->counts == MAP_FAILED)
        return sl_error_set(err, -ENOMEM, "no memory for what the peers count");
    return 0;
}

int peers_start(struct peers *p, enum peer_kind kind, struct sl_error *err)
{
    const int i = p->count;
    memset(&p->counts[i], 0, sizeof p->counts[i]);
    fflush(NULL);
    const pid_t pid = fork();
    if (pid == 0)
        be(kind, &p->counts[i], p->port);
    if (pid < 0)
        return sl_error_set(err, -errno, "no process for a peer: %s", strerror(errno));
    p->each[i].kind = kind;
    p->each[i].pid = pid;
    p->count++;
    return 0;
}

int peers_ready(struct peers *p, struct sl_error *err)
{
    bool all = true;
    for (int i = 0; i < p->count; i++) {
        if (waitpid(p->each[i].pid, NULL, WNOHANG) != 0) {
            p->each[i].pid = 0;
            return sl_error_set(err, -ECHILD, "a peer has ended: %s", p->counts[i].problem);
        }
        const uint64_t begun =
            p->each[i].kind >= PEER_ACTIONS ? p->counts[i].messages : p->counts[i].frames;
        if (begun == 0)
            all = false;
        else if (p->each[i].kind == PEER_STOPPED)
            kill(p->each[i].pid, SIGSTOP);
    }
    return all ? 0 : -EAGAIN;
}

void peers_stop(struct peers *p)
{
    for (int i = 0; i < p->count; i++)
        if (p->each[i].pid > 0)
            kill(p->each[i].pid, SIGKILL);
    for (int i = 0; i < p->count; i++)
        if (p->each[i].pid > 0)
            waitpid(p->each[i].pid, NULL, 0);
    p->count = 0;
}

void peers_sum(const struct peers *p, struct peer_sums sums[PEER_KINDS])
{
    memset(sums, 0, PEER_KINDS * sizeof *sums);
    for (int i = 0; i < p->count; i++) {
        struct peer_sums *sum = &sums[p->each[i].kind];
        sum->frames += p->counts[i].frames;
        sum->bytes += p->counts[i].bytes;
        sum->messages += p->counts[i].messages;
    }
}
