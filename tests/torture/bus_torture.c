/* Tortures the bus: writers and readers in processes of their own, killed,
 * stopped and restarted at random, while every byte of every record is checked
 * through the zero-copy view. See --help. */
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "parties.h"
#include "pattern.h"
#include "rt/bus.h"
#include "rt/bus_status.h"
#include "rt/cli.h"
#include "rt/clock.h"

#define PROGRESS_NS     (200 * SL_NS_PER_MS)
#define MEMORY_MIB      128
#define MEMORY_MIB_FREE 32 /* what others may take or give at the same time */

static const char usage[] =
    "bus_torture - readers and writers of one bus, killed and stopped at random\n"
    "\n"
    "usage: bus_torture [options]\n"
    "\n"
    "  --reads N             accepted reads of small records to reach (10000000)\n"
    "  --large-reads N       and of large ones (a thousandth of that)\n"
    "  --seconds S           run this long instead\n"
    "  --readers R           reading processes, of all kinds by turns (8)\n"
    "  --writers W           processes that want to write; the bus lets one in (2)\n"
    "  --slots S             of the ring, 3 to 64 (4)\n"
    "  --bytes B             largest small record (1024)\n"
    "  --large-bytes B       largest large record (1440000)\n"
    "  --hold-us U           longest hold of slow readers (5000)\n"
    "  --kill-interval-ms M  mean time between two disturbances (10)\n"
    "  --recover-ms M        within which all must go on after the last one (3000)\n"
    "  --seed X              of chance (the clock)\n"
    "  --json FILE           figures as JSON; - is standard output\n"
    "  --help\n"
    "\n"
    "Exit status: 0, all promises kept; 1, one was broken, and which; 2, misuse.\n"
    "\n"
    "examples:\n"
    "  bus_torture                       # a minute or so\n"
    "  bus_torture --reads 1000000000    # the long proof\n";

struct options {
    int64_t reads, large_reads, seconds, readers, writers, slots, bytes, large_bytes, hold_us;
    int64_t interval_ms, recover_ms, seed;
    const char *json;
};

struct outcome {
    double seconds;
    double recovered_ms;  /* until the last party went on */
    double released_ms;   /* until the rows of killed readers were free */
    int files_after_kill; /* of the bus, when everybody was killed at once */
    uint64_t bytes_after_kill;
    int files_at_end;
    bool complete; /* all was done that was asked for */
};

/* ---- chance ---- */

static FILE *human; /* where tables go: not among JSON */
static uint64_t chance;

static uint64_t between(uint64_t low, uint64_t high)
{
    return pattern_between(&chance, low, high);
}

static uint64_t in_us(uint64_t us)
{
    return sl_clock_now_ns() + us * SL_NS_PER_US;
}

/* Dead for a moment, or for a while. */
static void kill_one(struct party *p)
{
    party_kill(p);
    p->due_ns = in_us(between(0, between(0, 3) == 0 ? 30000 : 1000));
}

static void disturb_one(void)
{
    struct party *p = &torture->parties[between(0, torture->party_count - 1)];
    if (p->life != PARTY_RUNS)
        return;
    /* Without a writer there is nothing to read: they are spared somewhat. */
    if (p->kind == PARTY_WRITES && between(0, 2) != 0)
        return;
    switch (between(0, 7)) {
    case 0:
        atomic_store(&p->leave, 1);
        break;
    case 1:
    case 2:
    case 3:
        party_stop(p);
        p->due_ns = in_us(between(0, between(0, 7) == 0 ? 200000 : 20000));
        break;
    default:
        kill_one(p);
        break;
    }
}

/* Starts again who is dead and due, and lets go on who was stopped. */
static void tend(bool at_once)
{
    parties_reap();
    const uint64_t now = sl_clock_now_ns();
    for (uint32_t i = 0; i < torture->party_count; i++) {
        struct party *p = &torture->parties[i];
        if (!at_once && now < p->due_ns)
            continue;
        if (p->life == PARTY_GONE)
            party_start(p);
        else if (p->life == PARTY_STOPPED)
            party_continue(p);
        /* Some die young: on their way into the bus. */
        if (!at_once && p->life == PARTY_RUNS && p->due_ns == 0 && p->kind != PARTY_WRITES &&
            counter(&p->life_reads) == 0 && between(0, 31) == 0)
            kill_one(p);
    }
}

/* ---- the run ---- */

static bool broken(void)
{
    return atomic_load(&torture->violations) != 0;
}

static void show_progress(const struct options *o, uint64_t start_ns, bool last)
{
    static uint64_t next_ns;
    const uint64_t now = sl_clock_now_ns();
    if (!isatty(STDERR_FILENO) || (now < next_ns && !last))
        return;
    next_ns = now + PROGRESS_NS;
    enum { WIDTH = 30 };
    const double seconds = (double)(now - start_ns) * 1e-9;
    const double small = (double)parties_accepted(0), large = (double)parties_accepted(1);
    double done = o->seconds > 0 ? seconds / (double)o->seconds : small / (double)o->reads;
    if (o->seconds == 0 && o->large_reads > 0 && large / (double)o->large_reads < done)
        done = large / (double)o->large_reads;
    done = done < 1 ? done : 1;
    uint64_t kills = 0;
    for (uint32_t i = 0; i < torture->party_count; i++)
        kills += torture->parties[i].kills;
    char bar[WIDTH + 1];
    for (int i = 0; i < WIDTH; i++)
        bar[i] = i < done * WIDTH ? '#' : '.';
    bar[WIDTH] = '\0';
    fprintf(stderr, "\r[%s] %3.0f %%  %.2f M reads, %.0f large  %.0f s  %" PRIu64 " kills ", bar,
            done * 100, small * 1e-6, large, seconds, kills);
    if (last)
        fputc('\n', stderr);
}

static bool enough(const struct options *o, uint64_t start_ns)
{
    if (o->seconds > 0)
        return sl_clock_now_ns() - start_ns >= (uint64_t)o->seconds * SL_NS_PER_S;
    return parties_accepted(0) >= (uint64_t)o->reads &&
           parties_accepted(1) >= (uint64_t)o->large_reads;
}

static void disturb(const struct options *o, struct outcome *out)
{
    const uint64_t start_ns = sl_clock_now_ns();
    const uint64_t mean_us = (uint64_t)o->interval_ms * 1000;
    uint64_t disturb_ns = start_ns;
    while (!enough(o, start_ns) && !broken() && !sl_cli_stop_wanted()) {
        if (sl_clock_now_ns() >= disturb_ns) {
            disturb_one();
            disturb_ns = in_us(between(0, 2 * mean_us));
        }
        tend(false);
        show_progress(o, start_ns, false);
        sl_clock_sleep_until_ns(in_us(between(0, 1000)));
    }
    out->seconds = (double)(sl_clock_now_ns() - start_ns) * 1e-9;
    show_progress(o, start_ns, true);
}

/* ---- what must hold afterwards ---- */

static uint64_t reads_before[TORTURE_PARTIES_MAX];

static bool goes_on(const struct party *p)
{
    return p->kind == PARTY_WRITES ||
           counter(&p->accepted[0]) + counter(&p->accepted[1]) > reads_before[p - torture->parties];
}

/* No more disturbances: all are there, and nobody is on his way out. */
static void start_everybody(const struct options *o)
{
    const uint64_t give_up_ns = sl_clock_now_ns() + (uint64_t)o->recover_ms * SL_NS_PER_MS;
    for (;;) {
        tend(true);
        const struct party *leaving = NULL;
        for (uint32_t i = 0; i < torture->party_count; i++) {
            if (atomic_load(&torture->parties[i].leave) != 0)
                leaving = &torture->parties[i];
        }
        if (leaving == NULL || broken())
            return;
        if (sl_clock_now_ns() > give_up_ns) {
            violation("process %d, which %s, was asked to end %" PRId64 " ms ago and is still %s",
                      (int)leaving->pid, party_name(leaving->kind), o->recover_ms,
                      point_name(atomic_load(&leaving->point)));
            return;
        }
        sl_clock_sleep_until_ns(in_us(1000));
    }
}

/* Every reader that is alive reads again, soon after the last disturbance. */
static void check_recovery(const struct options *o, struct outcome *out)
{
    start_everybody(o);
    const uint64_t start_ns = sl_clock_now_ns();
    for (uint32_t i = 0; i < torture->party_count; i++)
        reads_before[i] =
            counter(&torture->parties[i].accepted[0]) + counter(&torture->parties[i].accepted[1]);
    bool all = parties_await(goes_on, (uint64_t)o->recover_ms);
    out->recovered_ms = (double)(sl_clock_now_ns() - start_ns) * 1e-6;
    for (uint32_t i = 0; !all && i < torture->party_count; i++) {
        const struct party *p = &torture->parties[i];
        if (!goes_on(p))
            violation("a reader that %s (process %d, %s) reads nothing any more, %" PRId64
                      " ms after the last disturbance",
                      party_name(p->kind), (int)p->pid, point_name(atomic_load(&p->point)),
                      o->recover_ms);
    }
}

static bool reader_is_gone(const struct party *p)
{
    return p->kind == PARTY_WRITES || p->life == PARTY_GONE;
}

static bool is_gone(const struct party *p)
{
    return p->life == PARTY_GONE;
}

/* Kills all readers at once, whatever they hold: their rows must come free. The
 * writer may be on its way from one instance to the next: asked again then. */
static void check_rows(const struct options *o, struct outcome *out)
{
    static struct sl_bus_status status;
    for (uint32_t i = 0; i < torture->party_count; i++) {
        if (torture->parties[i].kind != PARTY_WRITES)
            party_kill(&torture->parties[i]);
    }
    const uint64_t start_ns = sl_clock_now_ns();
    const uint64_t give_up_ns = start_ns + (uint64_t)o->recover_ms * SL_NS_PER_MS;
    struct sl_error err = {""};
    int rc;
    do {
        rc = sl_bus_status_get(TORTURE_BUS, &status, &err);
        if (rc == 0 && status.life == SL_BUS_ALIVE && status.reader_count == 0) {
            out->released_ms = (double)(sl_clock_now_ns() - start_ns) * 1e-6;
            return;
        }
        sl_clock_sleep_until_ns(in_us(200));
    } while (sl_clock_now_ns() < give_up_ns);
    if (rc != 0 || status.life != SL_BUS_ALIVE)
        violation("the bus with two living writers does not answer: %s, state %u", err.text,
                  status.life);
    else
        violation("%u readers were killed long ago, but are still listed; the first is process %d",
                  status.reader_count, status.readers[0].pid);
}

/* Everybody closes; nothing is left. */
static void check_clean_end(const struct options *o, struct outcome *out)
{
    start_everybody(o);
    char text[256];
    uint64_t bytes;
    atomic_store(&torture->readers_end, 1);
    if (!parties_await(reader_is_gone, (uint64_t)o->recover_ms))
        violation("a reader does not end within %" PRId64 " ms of being asked to", o->recover_ms);
    atomic_store(&torture->writers_end, 1);
    if (!parties_await(is_gone, (uint64_t)o->recover_ms))
        violation("a writer does not end within %" PRId64 " ms of being asked to", o->recover_ms);
    out->files_at_end = torture_files(text, sizeof text, &bytes);
    if (out->files_at_end != 0 && !broken())
        violation("everybody closed the bus, but %s is left in its folder", text);
    atomic_store(&torture->readers_end, 0);
    atomic_store(&torture->writers_end, 0);
}

static bool has_read(const struct party *p)
{
    return counter(&p->life_reads) > 0;
}

static bool has_read_or_writes(const struct party *p)
{
    return p->kind == PARTY_WRITES || has_read(p);
}

/* Everybody is killed at once; then all start again, with nobody cleaning up. */
static void check_total_loss(const struct options *o, struct outcome *out)
{
    char text[256];
    for (int round = 0; round < 3 && !broken(); round++) {
        start_everybody(o);
        if (!parties_await(has_read_or_writes, (uint64_t)o->recover_ms)) {
            violation("not all readers read within %" PRId64 " ms of a start%s", o->recover_ms,
                      round == 0 ? "" : " after everybody was killed");
            return;
        }
        for (uint32_t i = 0; i < torture->party_count; i++)
            kill(torture->parties[i].pid, SIGKILL); /* all first, then wait */
        for (uint32_t i = 0; i < torture->party_count; i++)
            party_kill(&torture->parties[i]);
        out->files_after_kill = torture_files(text, sizeof text, &out->bytes_after_kill);
        if (out->bytes_after_kill != 0)
            violation("everybody was killed, and %" PRIu64 " bytes of memory are left in %s",
                      out->bytes_after_kill, text);
    }
    check_clean_end(o, out);
}

/* ---- memory ---- */

static uint64_t shared_mib(void)
{
    char line[128];
    unsigned long long kib = 0;
    FILE *f = fopen("/proc/meminfo", "r");
    while (f != NULL && fgets(line, sizeof line, f) != NULL) {
        if (sscanf(line, "Shmem: %llu kB", &kib) == 1)
            break;
    }
    if (f != NULL)
        fclose(f);
    return kib / 1024;
}

/* A writer of 128 MiB, and a reader who holds one of its records. */
static void hold_much(int ready_fd)
{
    const struct sl_bus_writer_config large = {.name = "memory",
                                               .type = TORTURE_TYPE,
                                               .slot_count = 4,
                                               .slot_bytes = (size_t)MEMORY_MIB / 4 << 20};
    const struct sl_bus_reader_config any = {.name = "memory", .min_bytes = 1};
    struct sl_bus_writer *w;
    struct sl_bus_reader *r;
    struct sl_bus_view view;
    struct sl_error err;
    char answer = 'n';
    if (sl_bus_writer_open(&w, &large, &err) != 0)
        fprintf(stderr, "bus_torture: %s\n", err.text);
    else {
        sl_bus_write(w, "x", 1, 0);
        if (sl_bus_reader_open(&r, &any, &err) == 0 &&
            sl_bus_wait(r, sl_clock_now_ns() + SL_NS_PER_S) == 0 &&
            sl_bus_acquire_newest(r, &view) == 0)
            answer = 'y';
    }
    if (write(ready_fd, &answer, 1) == 1)
        pause();
}

/* A killed writer's memory goes back to the machine. Others use memory as well:
 * three tries, of which one must show it. */
static void check_memory(void)
{
    uint64_t before = 0, during = 0, after = 0;
    for (int attempt = 0; attempt < 3; attempt++) {
        int ready[2];
        char answer = 'n';
        before = shared_mib();
        fflush(NULL);
        if (pipe(ready) != 0)
            break;
        pid_t pid = fork();
        if (pid == 0) {
            close(ready[0]);
            hold_much(ready[1]);
            _exit(0);
        }
        close(ready[1]);
        if (pid < 0 || read(ready[0], &answer, 1) != 1 || answer != 'y')
            violation("a bus of %d MiB could not be opened and read", MEMORY_MIB);
        close(ready[0]);
        during = shared_mib();
        if (pid > 0) {
            kill(pid, SIGKILL);
            waitpid(pid, NULL, 0);
        }
        sl_clock_sleep_until_ns(in_us(50000));
        after = shared_mib();
        if (broken() ||
            (during >= before + MEMORY_MIB - MEMORY_MIB_FREE && after <= before + MEMORY_MIB_FREE))
            return;
    }
    violation("a killed writer of %d MiB left memory: %" PRIu64 " MiB shared before, %" PRIu64
              " while it lived, %" PRIu64 " after",
              MEMORY_MIB, before, during, after);
}

/* ---- figures ---- */

struct sums {
    uint64_t processes, starts, kills, stops, accepted, told, torn_and_told, false_alarms;
    uint64_t missed, bytes;
    uint64_t published, overruns;
};

static struct sums sums_of(int kind)
{
    struct sums s = {0};
    for (uint32_t i = 0; i < torture->party_count; i++) {
        const struct party *p = &torture->parties[i];
        if (kind >= 0 && (int)p->kind != kind)
            continue;
        s.processes++;
        s.starts += p->starts;
        s.kills += p->kills;
        s.stops += p->stops;
        s.accepted += counter(&p->accepted[0]) + counter(&p->accepted[1]);
        s.told += counter(&p->told);
        s.torn_and_told += counter(&p->torn_and_told);
        s.false_alarms += counter(&p->false_alarms);
        s.missed += counter(&p->missed);
        s.bytes += counter(&p->bytes);
        s.published += counter(&p->published);
        s.overruns += counter(&p->overruns);
    }
    return s;
}

static void print_summary(const struct outcome *out)
{
    fprintf(human, "%-10s %5s %7s %7s %7s %13s %9s %9s %9s %9s\n", "readers", "procs", "starts",
            "kills", "stops", "accepted", "told", "torn&told", "false", "GB");
    for (int kind = 0; kind <= PARTY_KINDS; kind++) {
        const struct sums s = sums_of(kind == PARTY_KINDS ? -1 : kind);
        if (kind == PARTY_WRITES || s.processes == 0)
            continue;
        fprintf(human,
                "%-10s %5" PRIu64 " %7" PRIu64 " %7" PRIu64 " %7" PRIu64 " %13" PRIu64 " %9" PRIu64
                " %9" PRIu64 " %9" PRIu64 " %9.1f\n",
                kind == PARTY_KINDS ? "all" : party_name((enum party_kind)kind), s.processes,
                s.starts, s.kills, s.stops, s.accepted, s.told, s.torn_and_told, s.false_alarms,
                (double)s.bytes * 1e-9);
    }
    const struct sums w = sums_of(PARTY_WRITES);
    fprintf(human,
            "writers: %" PRIu64 " processes, %" PRIu64 " rings, %" PRIu64 " kills, %" PRIu64
            " stops, %" PRIu64 " records\n",
            w.processes, counter(&torture->instances), w.kills, w.stops, w.published);
    fprintf(human,
            "%.1f s, %.2f M reads a second, %" PRIu64 " of large records; all read again %.1f ms "
            "after the last disturbance\n",
            out->seconds, (double)sums_of(-1).accepted * 1e-6 / out->seconds, parties_accepted(1),
            out->recovered_ms);
    if (out->complete)
        fprintf(human,
                "all readers killed: rows free after %.1f ms; everybody killed: %d empty files and "
                "no memory left, replaced by the next writer; all closed: nothing left\n",
                out->released_ms, out->files_after_kill);
}

static int write_json(const char *path, const struct options *o, const struct outcome *out)
{
    FILE *f = strcmp(path, "-") == 0 ? stdout : fopen(path, "w");
    if (f == NULL) {
        fprintf(stderr, "bus_torture: cannot write %s\n", path);
        return -1;
    }
    const struct sums s = sums_of(-1), w = sums_of(PARTY_WRITES);
    fprintf(f,
            "{\n  \"seed\": %" PRId64 ",\n  \"seconds\": %.3f,\n  \"readers\": %" PRId64
            ",\n  \"slots\": %" PRId64 ",\n  \"reads_accepted\": %" PRIu64
            ",\n  \"reads_accepted_large\": %" PRIu64 ",\n  \"bytes_checked\": %" PRIu64
            ",\n  \"overruns_told\": %" PRIu64 ",\n  \"records_missed_told\": %" PRIu64
            ",\n  \"torn_and_told\": %" PRIu64 ",\n  \"false_alarms\": %" PRIu64
            ",\n  \"violations\": %u,\n  \"kills\": %" PRIu64 ",\n  \"stops\": %" PRIu64
            ",\n  \"kills_of_writers\": %" PRIu64 ",\n  \"rings\": %" PRIu64
            ",\n  \"published\": %" PRIu64 ",\n  \"recovered_ms\": %.3f"
            ",\n  \"rows_released_ms\": %.3f,\n  \"files_at_end\": %d,\n  \"complete\": %s\n}\n",
            o->seed, out->seconds, o->readers, o->slots, s.accepted, parties_accepted(1), s.bytes,
            s.told, s.missed, s.torn_and_told, s.false_alarms, atomic_load(&torture->violations),
            s.kills, s.stops, w.kills, counter(&torture->instances), w.published, out->recovered_ms,
            out->released_ms, out->files_at_end, out->complete ? "true" : "false");
    return f == stdout ? fflush(f) : fclose(f);
}

static void take_options(int argc, char **argv, struct options *o)
{
    static const struct option names[] = {{"reads", 1, NULL, 'n'},
                                          {"large-reads", 1, NULL, 'l'},
                                          {"seconds", 1, NULL, 's'},
                                          {"readers", 1, NULL, 'r'},
                                          {"writers", 1, NULL, 'w'},
                                          {"slots", 1, NULL, 'S'},
                                          {"bytes", 1, NULL, 'b'},
                                          {"large-bytes", 1, NULL, 'B'},
                                          {"hold-us", 1, NULL, 'H'},
                                          {"kill-interval-ms", 1, NULL, 'k'},
                                          {"recover-ms", 1, NULL, 'R'},
                                          {"seed", 1, NULL, 'x'},
                                          {"json", 1, NULL, 'j'},
                                          {"help", 0, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
    /* In the order of `names`; json and help take no number. */
    const struct {
        int64_t *value, min, max;
    } numbers[] = {{&o->reads, 1, INT64_C(1000000000000)},
                   {&o->large_reads, 0, INT64_C(1000000000)},
                   {&o->seconds, 1, 1000000},
                   {&o->readers, 1, 120},
                   {&o->writers, 1, 8},
                   {&o->slots, 3, SL_BUS_SLOTS_MAX},
                   {&o->bytes, TORTURE_SLOT_BYTES, 1 << 20},
                   {&o->large_bytes, 1 << 20, 64 << 20},
                   {&o->hold_us, 0, 1000000},
                   {&o->interval_ms, 1, 1000000},
                   {&o->recover_ms, 100, 1000000},
                   {&o->seed, 0, INT64_MAX}};
    int option, index = 0;
    while ((option = getopt_long(argc, argv, "", names, &index)) != -1) {
        struct sl_error err;
        if (option == 'h') {
            fputs(usage, stdout);
            exit(SL_EXIT_OK);
        }
        if (option == '?') /* getopt has said what is wrong */
            exit(SL_EXIT_MISUSE);
        if (option == 'j') {
            o->json = optarg;
            continue;
        }
        char name[32];
        snprintf(name, sizeof name, "--%s", names[index].name);
        if (sl_cli_integer(optarg, name, numbers[index].min, numbers[index].max,
                           numbers[index].value, &err) != 0) {
            fprintf(stderr, "bus_torture: %s\n", err.text);
            exit(SL_EXIT_MISUSE);
        }
    }
    if (optind < argc) {
        fprintf(stderr, "bus_torture: does not know what to do with \"%s\"\n", argv[optind]);
        exit(SL_EXIT_MISUSE);
    }
}

int main(int argc, char **argv)
{
    struct options o = {.reads = 10000000,
                        .large_reads = -1,
                        .readers = PARTY_KINDS - 1,
                        .writers = 2,
                        .slots = 4,
                        .bytes = 1024,
                        .large_bytes = 1440000,
                        .hold_us = 5000,
                        .interval_ms = 10,
                        .recover_ms = 3000,
                        .seed = (int64_t)(sl_clock_now_ns() % 1000000)};
    struct outcome out = {0};
    take_options(argc, argv, &o);
    human = o.json != NULL && strcmp(o.json, "-") == 0 ? stderr : stdout;
    if (o.large_reads < 0)
        o.large_reads = o.reads / 1000;
    sl_cli_catch_stop();
    torture_begin((uint64_t)o.seed);
    chance = (uint64_t)o.seed;
    torture->slot_count = (uint32_t)o.slots;
    /* Everybody may hold one, and have just died with another in hand. */
    if (2 * o.readers + 8 <= SL_BUS_SLOTS_MAX)
        torture->roomy_count = (uint32_t)(2 * o.readers + 8);
    torture->small_bytes = (uint64_t)o.bytes;
    torture->large_bytes = (uint64_t)o.large_bytes;
    torture->small_reads = (uint64_t)o.reads;
    torture->large_reads = (uint64_t)o.large_reads;
    torture->hold_us = (uint64_t)o.hold_us;
    for (int64_t i = 0; i < o.writers; i++)
        party_add(PARTY_WRITES);
    for (int64_t i = 0; i < o.readers; i++)
        party_add((enum party_kind)(PARTY_WRITES + 1 + i % (PARTY_KINDS - 1)));
    fprintf(human,
            "seed %" PRId64 ", %" PRId64 " writers, %" PRId64 " readers, %" PRId64
            " slots of up to %" PRId64 " and %" PRId64 " bytes\n",
            o.seed, o.writers, o.readers, o.slots, o.bytes, o.large_bytes);

    void (*const checks[])(const struct options *, struct outcome *) = {
        disturb, check_recovery, check_rows, check_clean_end, check_total_loss};
    for (size_t i = 0; i < sizeof checks / sizeof checks[0] && !broken(); i++) {
        if (!sl_cli_stop_wanted())
            checks[i](&o, &out);
    }
    if (!broken() && !sl_cli_stop_wanted())
        check_memory();
    out.complete = !broken() && !sl_cli_stop_wanted();

    /* Who noted a violation may need a moment to put it in words. */
    for (int i = 0; i < 100 && broken() && atomic_load(&torture->violation_told) == 0; i++)
        sl_clock_sleep_until_ns(in_us(1000));
    torture_end();
    print_summary(&out);
    int status = out.complete ? SL_EXIT_OK : SL_EXIT_FAILED;
    if (o.json != NULL && write_json(o.json, &o, &out) != 0)
        status = SL_EXIT_FAILED;
    if (broken())
        fprintf(stderr, "bus_torture: broken promise (seed %" PRId64 "): %s\n", o.seed,
                torture->violation);
    else if (!out.complete)
        fprintf(stderr, "bus_torture: interrupted; what was read so far was right\n");
    else
        fprintf(human, "0 torn records accepted, no promise broken\n");
    return status;
}
