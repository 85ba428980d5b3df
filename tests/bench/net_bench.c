/* What watching costs, and whether it costs control anything. See HELP. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "rt/cli.h"
#include "rt/clock.h"
#include "rt/records.h"
#include "rt/thread.h"
#include "tests/bench/net_bench.h"

#define BUSY_LOAD   0.5
#define SETTLE_NS   (300 * SL_NS_PER_MS) /* what has just connected begins */
#define PATIENCE_NS (30 * SL_NS_PER_S)
#define ROUND_SLOTS 6
#define KILL_S      3600 /* cyclictest is ended when the kills are over */

static const char HELP[] =
    "net_bench - what watching the vehicle costs, and whether it costs control anything\n"
    "\n"
    "usage: net_bench [--rounds N] [--seconds N] [--kills N] [--rate HZ] [--width PX]\n"
    "                 [--port N] [--core N] [--slow-core] [--json FILE] [--markdown] [--smoke]\n"
    "\n"
    "One drive: simulator, vehicle and the skylane net that the vehicle starts, at 30 frames of\n"
    "800x600 a second. Each round has nobody watch (twice), one viewer, ten subscribers (one\n"
    "stopped, one that reads 50 kB/s), garbage on both ports beside a viewer, and a viewer whose\n"
    "skylane net is killed. Garbage: 100,000 messages a second from a paired client on each port,\n"
    "and as many from strangers on both, as far as this machine makes and takes them; those that\n"
    "arrived are counted. Beside it all runs cyclictest, if it is installed (tools/setup "
    "--bench).\n"
    "What disturbs runs at SCHED_IDLE: on a car, it is other machines. No core sleeps\n"
    "(/dev/cpu_dma_latency), so that load cannot seem to help.\n"
    "\n"
    "  --rounds N     (10)\n"
    "  --seconds N    of each slot of a round (5); killing takes as long as it does\n"
    "  --kills N      in all (50)\n"
    "  --rate HZ      of the camera (30); more give more samples from camera to actuator\n"
    "  --width PX     of the pictures (800), which are three quarters as high: small ones leave\n"
    "                 more of a slow core to those who disturb\n"
    "  --port N       first of three TCP ports (15557), below those that the kernel hands out\n"
    "  --core N       of the control path, and of nothing else that is started here; without\n"
    "                 it, all share all cores\n"
    "  --slow-core    what skylane net costs is told, and not judged: its limits are a PC's\n"
    "  --json FILE    all figures (- : standard output, and no tables)\n"
    "  --markdown     the tables as Markdown\n"
    "  --smoke        only whether all figures are there: limits do not count\n"
    "  --help\n"
    "\n"
    "p99.9 is the median of that of each thousand samples. Good only while nothing else runs;\n"
    "six minutes. When nobody watches twice and the two differ by more than the limit, the\n"
    "machine was too unsteady, and it says so.\n"
    "\n"
    "examples:\n"
    "  build/tests/net_bench\n"
    "  build/tests/net_bench --rounds 40 --json figures.json\n"
    "  build/tests/net_bench --rounds 1 --seconds 2 --kills 2 --smoke\n"
    "\n"
    "exit status: 0 (measured, limits kept), 1 (failed, or a limit passed: OVER), 2 (misuse)\n";

struct bench {
    int64_t rounds, seconds, kills, rate_hz, width_px, port, core;
    const char *json;
    bool markdown, smoke;
    struct vehicle vehicle;
    struct peers peers;
    struct figures figures;
    double killed_s; /* sum, from a kill until pictures come again */
};

static void progress(const char *text, int64_t round, int64_t rounds)
{
    if (!isatty(STDERR_FILENO))
        return;
    fprintf(stderr, "\r\033[K%s", text);
    if (round > 0)
        fprintf(stderr, ", round %" PRId64 " of %" PRId64, round, rounds);
}

/* ---- one slot ---- */

/* `what` happened to skylane net, and what the vehicle says to it. */
static int net_failed(const struct bench *b, int code, const char *what, struct sl_error *err)
{
    char words[VEHICLE_WORDS];
    vehicle_words(&b->vehicle, words);
    return sl_error_set(err, code, "%s; the vehicle says: %s", what, words);
}

/* Of all cores' time since the boot, in ticks. */
static void read_steal(double *stolen, double *all)
{
    double ticks[8] = {0};
    *stolen = *all = 0;
    FILE *file = fopen("/proc/stat", "r");
    if (file == NULL)
        return;
    if (fscanf(file, "cpu %lf %lf %lf %lf %lf %lf %lf %lf", &ticks[0], &ticks[1], &ticks[2],
               &ticks[3], &ticks[4], &ticks[5], &ticks[6], &ticks[7]) == 8)
        *stolen = ticks[7];
    for (int i = 0; i < 8; i++)
        *all += ticks[i];
    fclose(file);
}

/* Until each that was started has begun. */
static int await_peers(struct bench *b, struct sl_error *err)
{
    const uint64_t give_up_ns = sl_clock_now_ns() + PATIENCE_NS;
    int rc;
    while ((rc = peers_ready(&b->peers, err)) == -EAGAIN) {
        if (sl_clock_now_ns() > give_up_ns)
            return net_failed(b, -ETIMEDOUT, "who connects is not heard by skylane net", err);
        rc = vehicle_watch(&b->vehicle, sl_clock_now_ns() + SL_NS_PER_MS, err);
        if (rc != 0)
            return rc;
    }
    return rc;
}

/* One kind after the other: a slow core has no time for who comes after garbage. */
static int start_peers(struct bench *b, enum phase phase, struct sl_error *err)
{
    static const struct {
        enum phase phase;
        enum peer_kind kind;
        int count;
    } WHO[] = {{PHASE_VIEWER, PEER_VIEWER, 1}, {PHASE_TEN, PEER_ORDINARY, 8},
               {PHASE_TEN, PEER_STOPPED, 1},   {PHASE_TEN, PEER_SLOW, 1},
               {PHASE_FLOOD, PEER_VIEWER, 1},  {PHASE_FLOOD, PEER_ACTIONS, 1},
               {PHASE_FLOOD, PEER_TOPICS, 1},  {PHASE_FLOOD, PEER_STRANGER, 1},
               {PHASE_KILL, PEER_VIEWER, 1}};
    int rc = 0;
    for (size_t i = 0; i < sizeof WHO / sizeof WHO[0]; i++) {
        if (WHO[i].phase != phase)
            continue;
        for (int k = 0; rc == 0 && k < WHO[i].count; k++)
            rc = peers_start(&b->peers, WHO[i].kind, err);
        if (rc == 0)
            rc = await_peers(b, err);
    }
    return rc != 0 ? rc : vehicle_watch(&b->vehicle, sl_clock_now_ns() + SETTLE_NS, err);
}

static uint64_t pictures(const struct bench *b)
{
    struct peer_sums sums[PEER_KINDS];
    peers_sum(&b->peers, sums);
    return sums[PEER_VIEWER].frames;
}

/* Kills it, and waits until its successor shows pictures: what was on its way may
 * still come from the dead one, but long before that. */
static int kill_once(struct bench *b, struct sl_error *err)
{
    const uint64_t killed_ns = sl_clock_now_ns();
    const pid_t old = vehicle_net(&b->vehicle);
    if (old <= 0)
        return net_failed(b, -ESRCH, "skylane net does not run", err);
    kill(old, SIGKILL);
    uint64_t before = UINT64_MAX;
    for (pid_t now; before == UINT64_MAX || pictures(b) <= before;) {
        const int rc = vehicle_watch(&b->vehicle, sl_clock_now_ns() + 5 * SL_NS_PER_MS, err);
        if (rc != 0)
            return rc;
        if (before == UINT64_MAX && (now = vehicle_net(&b->vehicle)) > 0 && now != old)
            before = pictures(b);
        if (sl_clock_now_ns() > killed_ns + PATIENCE_NS)
            return net_failed(b, -ETIMEDOUT, "skylane net was killed and shows no pictures since",
                              err);
    }
    b->figures.kills++;
    b->killed_s += (double)(sl_clock_now_ns() - killed_ns) * 1e-9;
    return 0;
}

/* Its share of all kills. */
static int kill_all(struct bench *b, int64_t round, struct sl_error *err)
{
    int rc = 0;
    while (rc == 0 && b->figures.kills < b->kills * (round + 1) / b->rounds)
        rc = kill_once(b, err);
    return rc;
}

static int run_slot(struct bench *b, enum phase phase, int twin, int64_t round,
                    struct sl_error *err)
{
    struct figures *f = &b->figures;
    struct slot *slot = &f->slots[f->slot_count];
    struct peer_sums before[PEER_KINDS], after[PEER_KINDS];
    struct floor_run floor = {0};
    double stolen[2], ticks[2];
    *slot = (struct slot){.phase = phase, .twin = twin};
    int rc = start_peers(b, phase, err);
    if (rc != 0)
        return rc;
    floor_start(&floor, &b->vehicle, phase == PHASE_KILL ? KILL_S : (double)b->seconds);
    const pid_t net = vehicle_net(&b->vehicle);
    const double cpu_s = process_cpu_s(net);
    read_steal(&stolen[0], &ticks[0]);
    peers_sum(&b->peers, before);
    slot->from_ns = sl_clock_now_ns();
    rc = phase == PHASE_KILL
             ? kill_all(b, round, err)
             : vehicle_watch(&b->vehicle, slot->from_ns + (uint64_t)b->seconds * SL_NS_PER_S, err);
    slot->until_ns = sl_clock_now_ns();
    peers_sum(&b->peers, after);
    read_steal(&stolen[1], &ticks[1]);
    slot->net_cpu_s = phase == PHASE_KILL ? 0 : process_cpu_s(net) - cpu_s;
    slot->steal = (stolen[1] - stolen[0]) / (ticks[1] - ticks[0]);
    for (int i = 0; i < PEER_KINDS; i++)
        slot->peers[i] = (struct peer_sums){.frames = after[i].frames - before[i].frames,
                                            .bytes = after[i].bytes - before[i].bytes,
                                            .messages = after[i].messages - before[i].messages};
    floor_take(&floor, &f->by_slot[FLOOR][f->slot_count++]);
    if (rc == 0 && phase != PHASE_KILL && (net <= 0 || vehicle_net(&b->vehicle) != net))
        rc = net_failed(b, -ECHILD, "skylane net is not there, or another one", err);
    if (rc == 0 && phase != PHASE_KILL)
        rc = peers_ready(&b->peers, err); /* still */
    peers_stop(&b->peers);
    return rc;
}

/* ---- the run ---- */

/* The order turns from round to round, so that whoever comes after whom does not
 * matter; but the kills come last: skylane net has then lived long enough to be
 * started again soon (rt/child.h). */
static int run_rounds(struct bench *b, struct sl_error *err)
{
    static const struct {
        enum phase phase;
        const char *text;
    } TURNS[ROUND_SLOTS - 1] = {{PHASE_NOBODY, "nobody watches"},
                                {PHASE_VIEWER, "one viewer"},
                                {PHASE_TEN, "ten subscribers"},
                                {PHASE_NOBODY, "nobody watches"},
                                {PHASE_FLOOD, "garbage"}};
    int rc = 0;
    for (int64_t round = 0; rc == 0 && round < b->rounds; round++) {
        for (int i = 0; rc == 0 && i < ROUND_SLOTS - 1; i++) {
            const int turn = (int)((i + round) % (ROUND_SLOTS - 1));
            progress(TURNS[turn].text, round + 1, b->rounds);
            rc = run_slot(b, TURNS[turn].phase, turn > 0, round, err);
        }
        progress("skylane net is killed", round + 1, b->rounds);
        if (rc == 0)
            rc = run_slot(b, PHASE_KILL, 0, round, err);
    }
    return rc;
}

static int measure(struct bench *b, struct sl_error *err)
{
    struct sl_state state;
    const size_t slots = (size_t)b->rounds * ROUND_SLOTS;
    b->figures.slots = calloc(slots, sizeof *b->figures.slots);
    bool room = b->figures.slots != NULL;
    for (int m = 0; m < MEASURES; m++) {
        b->figures.by_slot[m] = calloc(slots, sizeof *b->figures.by_slot[m]);
        room = room && b->figures.by_slot[m] != NULL;
    }
    if (!room)
        return sl_error_set(err, -ENOMEM, "no memory for the figures");
    const struct vehicle_setup setup = {.port = (int)b->port,
                                        .camera_hz = (int)b->rate_hz,
                                        .width_px = (int)b->width_px,
                                        .core = (int)b->core};
    sl_thread_keep_off(&setup.core, 1); /* and whoever is started */
    int rc = peers_open(&b->peers, (int)b->port, err);
    progress("waiting until it drives", 0, 0);
    if (rc == 0)
        rc = vehicle_start(&b->vehicle, &setup, err);
    if (rc == 0)
        rc = run_rounds(b, err);
    progress("the encoder alone", 0, 0);
    if (rc == 0)
        rc = vehicle_state(&b->vehicle, &state, err);
    if (rc == 0)
        rc = figures_make(&b->figures, &b->vehicle, &state, err);
    if (rc == 0)
        rc = vehicle_jpeg_us(&b->figures.jpeg_us, err);
    b->figures.kill_s = b->killed_s / b->figures.kills;
    progress("", 0, 0);
    peers_stop(&b->peers);
    vehicle_stop(&b->vehicle);
    return rc != 0 ? rc : figures_complete(&b->figures, err);
}

/* A core that sleeps, above all a virtual machine's, wakes late by its own whim, and
 * does so less while others keep it busy: whoever disturbs would seem to help. So
 * none sleeps in any phase. It holds until this process ends
 * (Documentation/power/pm_qos_interface.rst of Linux). */
static void keep_awake(const struct bench *b)
{
    const int32_t latency_us = 0;
    const int fd = open("/dev/cpu_dma_latency", O_WRONLY | O_CLOEXEC);
    if ((fd < 0 || write(fd, &latency_us, sizeof latency_us) != sizeof latency_us) && !b->smoke)
        fprintf(stderr,
                "net_bench: cores may sleep, and wake late: /dev/cpu_dma_latency: %s; run it as "
                "root\n",
                strerror(errno));
}

static void warn_if_busy(const struct bench *b)
{
    double load = 0;
    if (getloadavg(&load, 1) == 1 && load > BUSY_LOAD && !b->smoke)
        fprintf(stderr,
                "net_bench: this machine is busy (load %.1f); the figures will be worse than it "
                "can do\n",
                load);
}

static int bench(struct bench *b)
{
    struct sl_error err = {0};
    bool good = true;
    warn_if_busy(b);
    keep_awake(b);
    int rc = measure(b, &err);
    if (rc == 0 && (b->json == NULL || strcmp(b->json, "-") != 0))
        good = figures_print(&b->figures, b->markdown);
    if (rc == 0 && b->json != NULL)
        rc = figures_json(&b->figures, b->json, &err);
    if (rc != 0)
        fprintf(stderr, "net_bench: %s\n", err.text);
    figures_free(&b->figures);
    return rc == 0 && (good || b->smoke) ? SL_EXIT_OK : SL_EXIT_FAILED;
}

int main(int argc, char **argv)
{
    static const struct option OPTIONS[] = {{"rounds", required_argument, NULL, 'r'},
                                            {"seconds", required_argument, NULL, 's'},
                                            {"kills", required_argument, NULL, 'k'},
                                            {"port", required_argument, NULL, 'p'},
                                            {"rate", required_argument, NULL, 'f'},
                                            {"core", required_argument, NULL, 'c'},
                                            {"width", required_argument, NULL, 'w'},
                                            {"json", required_argument, NULL, 'j'},
                                            {"markdown", no_argument, NULL, 'm'},
                                            {"slow-core", no_argument, NULL, 'C'},
                                            {"smoke", no_argument, NULL, 'S'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    static struct bench b = {.rounds = 10,
                             .seconds = 5,
                             .kills = 50,
                             .rate_hz = 30,
                             .width_px = 800,
                             .core = -1,
                             .port = 15557};
    struct sl_error err = {0};
    opterr = 0;
    for (int option; (option = getopt_long(argc, argv, ":h", OPTIONS, NULL)) != -1;) {
        int rc = 0;
        switch (option) {
        case 'r':
            rc = sl_cli_integer(optarg, "--rounds", 1, 1000, &b.rounds, &err);
            break;
        case 's':
            rc = sl_cli_integer(optarg, "--seconds", 1, 3600, &b.seconds, &err);
            break;
        case 'k':
            rc = sl_cli_integer(optarg, "--kills", 1, 100000, &b.kills, &err);
            break;
        case 'f':
            rc = sl_cli_integer(optarg, "--rate", 10, 120, &b.rate_hz, &err);
            break;
        case 'w':
            rc = sl_cli_integer(optarg, "--width", 160, 1600, &b.width_px, &err);
            break;
        case 'p':
            rc = sl_cli_integer(optarg, "--port", 1, 65533, &b.port, &err);
            break;
        case 'c':
            rc = sl_cli_integer(optarg, "--core", 0, sysconf(_SC_NPROCESSORS_ONLN) - 1, &b.core,
                                &err);
            break;
        case 'j':
            b.json = optarg;
            break;
        case 'm':
            b.markdown = true;
            break;
        case 'C':
            b.figures.slow_core = true;
            break;
        case 'S':
            b.smoke = true;
            break;
        case 'h':
            fputs(HELP, stdout);
            return SL_EXIT_OK;
        default:
            rc = sl_error_set(&err, -EINVAL, "cannot use %s", argv[optind - 1]);
        }
        if (rc != 0) {
            fprintf(stderr, "net_bench: %s; see net_bench --help\n", err.text);
            return SL_EXIT_MISUSE;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "net_bench: unexpected \"%s\"; see net_bench --help\n", argv[optind]);
        return SL_EXIT_MISUSE;
    }
    sl_cli_catch_stop();
    return bench(&b);
}
