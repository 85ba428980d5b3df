/* Kills parties of a bus with SIGKILL at random points and measures how soon
 * all others are well again. See --help. */
#include <dirent.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "floor.h"
#include "parties.h"
#include "pattern.h"
#include "rt/bus.h"
#include "rt/bus_status.h"
#include "rt/cli.h"
#include "rt/clock.h"
#include "rt/histogram.h"

#define SURVIVORS  5
#define GIVE_UP_MS 10000 /* then it is no matter of time */
#define QUIET_NS   (5 * SL_NS_PER_MS)
#ifdef __SANITIZE_ADDRESS__
/* Its malloc keeps what was freed, and maps more for it as it likes. */
#define MALLOC_MAPPINGS 64
#define MALLOC_KIB      ((uint64_t)1 << 20)
#else
#define MALLOC_MAPPINGS 0
#define MALLOC_KIB      256
#endif
#define PROGRESS_KILLS 10

static const char usage[] =
    "bus_kill - kills readers and writers of a bus, and measures the recovery\n"
    "\n"
    "usage: bus_kill [options]\n"
    "\n"
    "  --kills N      in all (500): three fifths readers, three tenths writers, and\n"
    "                 a tenth a reader and the writer at once\n"
    "  --bound-ms M   longest recovery that is allowed (100)\n"
    "  --seed X       of chance (the clock)\n"
    "  --json FILE    figures as JSON; - is standard output\n"
    "  --help\n"
    "\n"
    "A reader is recovered from when its row and its slot are free again, a writer\n"
    "when every surviving reader has a record of its successor, counted from when\n"
    "that begins to publish. Beside them stands the floor: how late a process wakes\n"
    "that another wakes through a pipe. A recovery above the bound is a failure\n"
    "unless the machine explains it: the floor of that moment was above 5 ms, or\n"
    "writer and reader were ready to run, and waited for a processor, all the time\n"
    "that it was longer than the bound.\n"
    "\n"
    "Exit status: 0, all promises kept; 1, one was broken, and which; 2, misuse.\n"
    "\n"
    "examples:\n"
    "  bus_kill\n"
    "  bus_kill --kills 10000            # the long proof, some five minutes\n";

enum section { READERS_DIE = 0, WRITERS_DIE, BOTH_DIE, SECTIONS };

static const char *const sections[SECTIONS] = {"a reader", "the writer", "both at once"};

static struct result {
    uint64_t wanted;
    uint64_t kills; /* of reader or writer: two when both die */
    uint64_t points[POINTS];
    uint64_t above_bound, unexplained;
    struct sl_histogram recovery, opening;
} results[SECTIONS];

static FILE *human; /* where tables go: not among JSON */
static uint64_t chance, bound_ns;
static struct party *writer, *victim, *survivors[SURVIVORS];

static bool broken(void)
{
    return atomic_load(&torture->violations) != 0 || sl_cli_stop_wanted();
}

static void sleep_us(uint64_t low, uint64_t high)
{
    sl_clock_sleep_until_ns(sl_clock_now_ns() + pattern_between(&chance, low, high) * SL_NS_PER_US);
}

/* ---- what a process has ---- */

struct facts {
    int descriptors, threads;
    uint64_t mappings, private_kib;
};

static int entries(pid_t pid, const char *what)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, what);
    DIR *dir = opendir(path);
    int found = 0;
    for (struct dirent *e; dir != NULL && (e = readdir(dir)) != NULL;)
        found += e->d_name[0] != '.';
    if (dir != NULL)
        closedir(dir);
    return found;
}

static struct facts facts_of(pid_t pid)
{
    struct facts f = {.descriptors = entries(pid, "fd"), .threads = entries(pid, "task")};
    char path[64], line[512];
    snprintf(path, sizeof path, "/proc/%d/maps", (int)pid);
    FILE *file = fopen(path, "r");
    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        f.mappings++;
    if (file != NULL)
        fclose(file);
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    file = fopen(path, "r");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        unsigned long long kib;
        if (sscanf(line, "VmData: %llu kB", &kib) == 1)
            f.private_kib = kib;
    }
    if (file != NULL)
        fclose(file);
    return f;
}

static bool has_grown(struct facts before, struct facts now)
{
    return now.descriptors != before.descriptors || now.threads != before.threads ||
           now.mappings > before.mappings + MALLOC_MAPPINGS ||
           now.private_kib > before.private_kib + MALLOC_KIB;
}

/* What is under way at this moment may take a moment to end. */
static void check_facts(const struct party *p, struct facts before)
{
    struct facts now = {0};
    for (int attempt = 0; attempt < 100; attempt++) {
        now = facts_of(p->pid);
        if (!has_grown(before, now))
            return;
        sleep_us(10000, 10000);
    }
    violation("the process that %s has leaked: %d descriptors, %d threads, %" PRIu64
              " mappings, %" PRIu64 " KiB of private memory before the kills; %d, %d, %" PRIu64
              " and %" PRIu64 " after them",
              party_name(p->kind), before.descriptors, before.threads, before.mappings,
              before.private_kib, now.descriptors, now.threads, now.mappings, now.private_kib);
}

/* ---- recoveries ---- */

/* How long all threads of a process have been ready to run without running;
 * 0 where the kernel does not count it. */
static uint64_t waited_ns(pid_t pid)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    DIR *dir = opendir(path);
    uint64_t sum = 0;
    for (struct dirent *e; dir != NULL && (e = readdir(dir)) != NULL;) {
        unsigned long long ran, waited;
        char file_path[512];
        snprintf(file_path, sizeof file_path, "%s/%s/schedstat", path, e->d_name);
        FILE *file = e->d_name[0] == '.' ? NULL : fopen(file_path, "r");
        if (file != NULL && fscanf(file, "%llu %llu", &ran, &waited) == 2)
            sum += waited;
        if (file != NULL)
            fclose(file);
    }
    if (dir != NULL)
        closedir(dir);
    return sum;
}

/* The machine's tardiness from here to the end of a recovery. */
static struct {
    uint64_t writer_ns, survivor_ns[SURVIVORS];
} waited_before;

static void begin_window(bool writer_is_new)
{
    floor_window();
    waited_before.writer_ns = writer_is_new ? 0 : waited_ns(writer->pid);
    for (int i = 0; i < SURVIVORS; i++)
        waited_before.survivor_ns[i] = waited_ns(survivors[i]->pid);
}

/* `last`: the survivor that was last to recover; -1: none of them took part. */
static void note_recovery(enum section section, uint64_t took_ns, int last)
{
    struct result *r = &results[section];
    sl_histogram_add(&r->recovery, took_ns);
    if (took_ns <= bound_ns)
        return;
    const uint64_t floor_ns = floor_worst_ns();
    uint64_t waiting_ns = waited_ns(writer->pid) - waited_before.writer_ns;
    if (last >= 0)
        waiting_ns += waited_ns(survivors[last]->pid) - waited_before.survivor_ns[last];
    r->above_bound++;
    if (floor_ns > QUIET_NS || took_ns - bound_ns <= waiting_ns)
        return;
    r->unexplained++;
    violation("recovery from the death of %s took %.1f ms (%s), of which its processes waited %.1f "
              "ms for a processor; a process that a pipe wakes was never later than %.1f ms",
              sections[section], (double)took_ns * 1e-6,
              last < 0 ? "row free" : party_name(survivors[last]->kind), (double)waiting_ns * 1e-6,
              (double)floor_ns * 1e-6);
}

static bool survivors_have(uint64_t instance)
{
    for (int i = 0; i < SURVIVORS; i++) {
        if (atomic_load(&survivors[i]->instance) < instance)
            return false;
    }
    return true;
}

/* Starts a writer and waits until all survivors have a record from it. */
static void restart_writer(enum section section)
{
    const uint64_t instance = atomic_load(&torture->instances) + 1;
    const uint64_t start_ns = sl_clock_now_ns();
    const uint64_t give_up_ns = start_ns + GIVE_UP_MS * SL_NS_PER_MS;
    begin_window(true);
    party_start(writer);
    while (!survivors_have(instance) && sl_clock_now_ns() < give_up_ns && !broken()) {
        parties_reap();
        sleep_us(100, 100);
    }
    if (broken())
        return;
    if (atomic_load(&torture->instances) < instance)
        violation("a writer does not get the bus within %d ms of its start", GIVE_UP_MS);
    const uint64_t publishes_ns = atomic_load(&torture->instance_ns);
    uint64_t last_ns = publishes_ns;
    int last = -1;
    for (int i = 0; i < SURVIVORS; i++) {
        const uint64_t has_ns = counter(&survivors[i]->instance_ns);
        if (atomic_load(&survivors[i]->instance) < instance)
            violation("a reader that %s has no record of a writer that began %d ms ago",
                      party_name(survivors[i]->kind), GIVE_UP_MS);
        if (has_ns > last_ns) {
            last_ns = has_ns;
            last = i;
        }
    }
    sl_histogram_add(&results[section].opening, publishes_ns - start_ns);
    note_recovery(section, last_ns - publishes_ns, last);
}

/* Waits until the writer lists no reader of this process any more, which is
 * when its row is free and what it held counts for nothing. */
static void await_row_free(pid_t pid, uint64_t killed_ns)
{
    static struct sl_bus_status status;
    const uint64_t give_up_ns = killed_ns + GIVE_UP_MS * SL_NS_PER_MS;
    struct sl_error err = {""};
    while (!broken()) {
        int rc = sl_bus_status_get(TORTURE_BUS, &status, &err);
        bool listed = false;
        for (uint32_t i = 0; i < status.reader_count && i < SL_BUS_STATUS_READERS_MAX; i++)
            listed = listed || status.readers[i].pid == pid;
        const uint64_t now = sl_clock_now_ns();
        if (rc == 0 && status.life == SL_BUS_ALIVE && !listed) {
            note_recovery(READERS_DIE, now - killed_ns, -1);
            return;
        }
        if (now > give_up_ns) {
            violation("%d ms after reader %d was killed, %s", GIVE_UP_MS, (int)pid,
                      listed ? "the writer still lists it" : "the writer does not answer");
            return;
        }
        sleep_us(100, 100);
    }
}

/* ---- deaths ---- */

/* SIGKILL; notes where it came. False if the party had just ended by itself. */
static bool kill_and_count(struct party *p, struct result *r)
{
    if (!party_kill(p))
        return false;
    r->kills++;
    r->points[atomic_load(&p->point) % POINTS]++;
    return true;
}

/* Has it killed at a place where parties stay so shortly that a signal from
 * outside hardly ever finds them there. */
static void die_at_a_rare_point(struct party *p)
{
    static const enum party_point of_readers[] = {POINT_ACQUIRES, POINT_HOLDS, POINT_RELEASES};
    static const enum party_point of_writers[] = {POINT_FILLS, POINT_PUBLISHES};
    atomic_store(&p->die_at, p->kind == PARTY_WRITES ? of_writers[pattern_between(&chance, 0, 1)]
                                                     : of_readers[pattern_between(&chance, 0, 2)]);
    const uint64_t give_up_ns = sl_clock_now_ns() + 20 * SL_NS_PER_MS;
    while (atomic_load(&p->die_at) != POINT_NOWHERE && sl_clock_now_ns() < give_up_ns) {
    }
}

/* On its way in, at work, or on its way out. */
static void come_to_a_random_point(struct party *p)
{
    const uint64_t way = pattern_between(&chance, 0, 4);
    if (way == 0) {
        sleep_us(0, 3000);
        return;
    }
    const uint64_t give_up_ns = sl_clock_now_ns() + GIVE_UP_MS * SL_NS_PER_MS;
    while (counter(&p->life_reads) == 0 && !broken() && sl_clock_now_ns() < give_up_ns) {
        parties_reap();
        sleep_us(20, 100);
    }
    if (counter(&p->life_reads) == 0)
        violation("a party that %s shows no life within %d ms", party_name(p->kind), GIVE_UP_MS);
    sleep_us(0, 5000);
    if (way == 1) {
        atomic_store(&p->leave, 1);
        sleep_us(0, 400);
    } else if (way != 2) {
        die_at_a_rare_point(p);
    }
}

static void start_victim(void)
{
    victim->kind = (enum party_kind)pattern_between(&chance, PARTY_SLEEPS, PARTY_KINDS - 1);
    party_start(victim);
}

static void kill_reader(void)
{
    struct result *r = &results[READERS_DIE];
    start_victim();
    come_to_a_random_point(victim);
    const pid_t pid = victim->pid;
    begin_window(false);
    const uint64_t now = sl_clock_now_ns();
    if (kill_and_count(victim, r))
        await_row_free(pid, now);
}

/* A successor follows at once, soon, or when readers have stopped looking often. */
static void pause_before_restart(void)
{
    switch (pattern_between(&chance, 0, 7)) {
    case 0:
        sleep_us(50000, 250000);
        break;
    case 1:
        break;
    default:
        sleep_us(0, 20000);
        break;
    }
}

static void kill_writer(void)
{
    struct result *r = &results[WRITERS_DIE];
    come_to_a_random_point(writer);
    kill_and_count(writer, r);
    pause_before_restart();
    /* Some die at once again, on their way in. */
    while (pattern_between(&chance, 0, 3) == 0 && !broken()) {
        party_start(writer);
        sleep_us(0, 2000);
        kill_and_count(writer, r);
    }
    restart_writer(WRITERS_DIE);
}

static void kill_both(void)
{
    struct result *r = &results[BOTH_DIE];
    start_victim();
    come_to_a_random_point(victim);
    if (victim->life == PARTY_RUNS)
        kill(victim->pid, SIGKILL); /* both, then wait for both */
    kill_and_count(writer, r);
    kill_and_count(victim, r);
    pause_before_restart();
    restart_writer(BOTH_DIE);
}

static void show_progress(uint64_t done, uint64_t wanted)
{
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\r%" PRIu64 " of %" PRIu64 " kills%s", done, wanted,
                done >= wanted ? "\n" : "");
}

static uint64_t kills_so_far(void)
{
    uint64_t sum = 0;
    for (int s = 0; s < SECTIONS; s++)
        sum += results[s].kills;
    return sum;
}

/* One section, and what everybody has before and after it. */
static void run_section(enum section section, void (*kill_one)(void), uint64_t all)
{
    struct facts of_writer = {0}, of_survivor[SURVIVORS];
    char text[256];
    uint64_t bytes;
    /* The first few take what the C library keeps for ever. */
    for (int i = 0; i < 5 && !broken(); i++)
        kill_one();
    sleep_us(100000, 100000);
    if (broken())
        return;
    const int files = torture_files(text, sizeof text, &bytes);
    of_writer = facts_of(writer->pid);
    for (int i = 0; i < SURVIVORS; i++)
        of_survivor[i] = facts_of(survivors[i]->pid);
    while (results[section].kills < results[section].wanted && !broken()) {
        kill_one();
        if (results[section].kills % PROGRESS_KILLS == 0)
            show_progress(kills_so_far(), all);
    }
    for (int i = 0; i < SURVIVORS && !broken(); i++)
        check_facts(survivors[i], of_survivor[i]);
    if (!broken())
        check_facts(writer, of_writer);
    const int files_now = torture_files(text, sizeof text, &bytes);
    if (!broken() && files_now != files)
        violation("the bus had %d files before the kills and has %d after them: %s", files,
                  files_now, text);
}

/* With a slot for everybody who may hold one, a slot is taken from its holder
 * only if the dead go on holding theirs. */
static void check_no_slot_was_lost(void)
{
    static struct sl_bus_status status;
    struct sl_error err = {""};
    if (sl_bus_status_get(TORTURE_BUS, &status, &err) != 0)
        violation("the bus does not answer: %s", err.text);
    else if (status.overruns != 0)
        violation("the writer had to take %" PRIu64 " slots from readers that held them, though "
                  "there are enough for all who live",
                  status.overruns);
    else if (status.reader_count != SURVIVORS)
        violation("%d readers live, but %u are listed", SURVIVORS, status.reader_count);
}

static bool is_gone(const struct party *p)
{
    return p->life == PARTY_GONE;
}

static void check_clean_end(void)
{
    char text[256];
    uint64_t bytes;
    atomic_store(&torture->readers_end, 1);
    atomic_store(&torture->writers_end, 1);
    if (!parties_await(is_gone, GIVE_UP_MS))
        violation("not all parties end within %d ms of being asked to", GIVE_UP_MS);
    if (torture_files(text, sizeof text, &bytes) != 0 && !broken())
        violation("everybody closed the bus, but %s is left in its folder", text);
}

/* ---- figures ---- */

static double ms(const struct sl_histogram *h, double quantile)
{
    return (double)sl_histogram_quantile_ns(h, quantile) * 1e-6;
}

static void print_line(const char *name, const struct sl_histogram *h, const struct result *r)
{
    fprintf(human, "%-36s %7" PRIu64 " %9.3f %9.3f %9.3f", name, sl_histogram_count(h), ms(h, 0.5),
            ms(h, 0.99), (double)sl_histogram_max_ns(h) * 1e-6);
    if (r != NULL)
        fprintf(human, " %8" PRIu64 " %11" PRIu64, r->above_bound, r->unexplained);
    fputc('\n', human);
}

static void print_summary(void)
{
    fprintf(human, "%-14s %7s   killed while\n", "killed", "kills");
    for (int s = 0; s < SECTIONS; s++) {
        fprintf(human, "%-14s %7" PRIu64 "  ", sections[s], results[s].kills);
        for (int p = 0; p < POINTS; p++) {
            if (results[s].points[p] != 0)
                fprintf(human, " %s %" PRIu64, point_name((enum party_point)p),
                        results[s].points[p]);
        }
        fputc('\n', human);
    }
    fprintf(human, "%-36s %7s %9s %9s %9s %8s %11s\n", "ms", "count", "p50", "p99", "max",
            "> bound", "unexplained");
    print_line("reader killed -> its row is free", &results[READERS_DIE].recovery,
               &results[READERS_DIE]);
    print_line("new writer -> all have its record", &results[WRITERS_DIE].recovery,
               &results[WRITERS_DIE]);
    print_line("  the same, with a reader killed too", &results[BOTH_DIE].recovery,
               &results[BOTH_DIE]);
    print_line("writer's start, fork to first record", &results[WRITERS_DIE].opening, NULL);
    print_line("floor: wake through a pipe", floor_wakes(), NULL);
}

static int write_json(const char *path, int64_t seed, bool complete)
{
    static const char *const names[SECTIONS] = {"reader", "writer", "both"};
    FILE *f = strcmp(path, "-") == 0 ? stdout : fopen(path, "w");
    if (f == NULL) {
        fprintf(stderr, "bus_kill: cannot write %s\n", path);
        return -1;
    }
    fprintf(f, "{\n  \"seed\": %" PRId64 ",\n  \"kills\": %" PRIu64 ",\n", seed, kills_so_far());
    for (int s = 0; s < SECTIONS; s++) {
        const struct result *r = &results[s];
        fprintf(f,
                "  \"%s\": {\"kills\": %" PRIu64 ", \"recoveries\": %" PRIu64
                ", \"p50_ms\": %.3f, \"p99_ms\": %.3f, \"max_ms\": %.3f, \"above_bound\": %" PRIu64
                ", \"above_bound_unexplained\": %" PRIu64 "},\n",
                names[s], r->kills, sl_histogram_count(&r->recovery), ms(&r->recovery, 0.5),
                ms(&r->recovery, 0.99), (double)sl_histogram_max_ns(&r->recovery) * 1e-6,
                r->above_bound, r->unexplained);
    }
    fprintf(f,
            "  \"floor\": {\"p50_ms\": %.3f, \"p99_ms\": %.3f, \"max_ms\": %.3f},\n"
            "  \"violations\": %u,\n  \"complete\": %s\n}\n",
            ms(floor_wakes(), 0.5), ms(floor_wakes(), 0.99),
            (double)sl_histogram_max_ns(floor_wakes()) * 1e-6, atomic_load(&torture->violations),
            complete ? "true" : "false");
    return f == stdout ? fflush(f) : fclose(f);
}

static const char *take_options(int argc, char **argv, int64_t *kills, int64_t *bound_ms,
                                int64_t *seed)
{
    static const struct option names[] = {{"kills", 1, NULL, 'k'}, {"bound-ms", 1, NULL, 'b'},
                                          {"seed", 1, NULL, 'x'},  {"json", 1, NULL, 'j'},
                                          {"help", 0, NULL, 'h'},  {NULL, 0, NULL, 0}};
    const char *json = NULL;
    int option;
    while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
        struct sl_error err;
        int rc = 0;
        switch (option) {
        case 'k':
            rc = sl_cli_integer(optarg, "kills", 10, 10000000, kills, &err);
            break;
        case 'b':
            rc = sl_cli_integer(optarg, "bound-ms", 1, GIVE_UP_MS, bound_ms, &err);
            break;
        case 'x':
            rc = sl_cli_integer(optarg, "seed", 0, INT64_MAX, seed, &err);
            break;
        case 'j':
            json = optarg;
            break;
        case 'h':
            fputs(usage, stdout);
            exit(SL_EXIT_OK);
        default: /* getopt has said what is wrong */
            exit(SL_EXIT_MISUSE);
        }
        if (rc != 0) {
            fprintf(stderr, "bus_kill: %s\n", err.text);
            exit(SL_EXIT_MISUSE);
        }
    }
    if (optind < argc) {
        fprintf(stderr, "bus_kill: does not know what to do with \"%s\"\n", argv[optind]);
        exit(SL_EXIT_MISUSE);
    }
    return json;
}

int main(int argc, char **argv)
{
    static const enum party_kind surviving[SURVIVORS] = {PARTY_SLEEPS, PARTY_REALTIME, PARTY_NEXT,
                                                         PARTY_SPINS, PARTY_FD};
    int64_t kills = 500, bound_ms = 100, seed = (int64_t)(sl_clock_now_ns() % 1000000);
    const char *json = take_options(argc, argv, &kills, &bound_ms, &seed);
    human = json != NULL && strcmp(json, "-") == 0 ? stderr : stdout;
    sl_cli_catch_stop();
    torture_begin((uint64_t)seed);
    chance = (uint64_t)seed;
    bound_ns = (uint64_t)bound_ms * SL_NS_PER_MS;
    torture->steady = true;
    /* All of theirs, the victim's, the newest, and the one that is being filled. */
    torture->slot_count = torture->roomy_count = SURVIVORS + 1 + 2;
    torture->small_bytes = (uint64_t)1 << 16;
    torture->large_bytes = (uint64_t)1 << 20;
    torture->hold_us = 2000;
    results[READERS_DIE].wanted = (uint64_t)kills * 6 / 10;
    results[WRITERS_DIE].wanted = (uint64_t)kills * 3 / 10;
    results[BOTH_DIE].wanted =
        (uint64_t)kills - results[READERS_DIE].wanted - results[WRITERS_DIE].wanted;
    fprintf(human, "seed %" PRId64 ", %" PRId64 " kills\n", seed, kills);

    writer = party_add(PARTY_WRITES);
    for (int i = 0; i < SURVIVORS; i++) {
        survivors[i] = party_add(surviving[i]);
        survivors[i]->survives = true;
    }
    victim = party_add(PARTY_SLEEPS);
    if (floor_start() != 0) {
        fprintf(stderr, "bus_kill: cannot start the processes that measure the floor\n");
        torture_end();
        return SL_EXIT_FAILED;
    }
    for (int i = 0; i < SURVIVORS; i++)
        party_start(survivors[i]);
    restart_writer(WRITERS_DIE);

    run_section(READERS_DIE, kill_reader, (uint64_t)kills);
    if (!broken())
        check_no_slot_was_lost();
    run_section(WRITERS_DIE, kill_writer, (uint64_t)kills);
    run_section(BOTH_DIE, kill_both, (uint64_t)kills);
    if (!broken())
        check_clean_end();
    const bool complete = !broken();
    for (int i = 0; i < 100 && !complete && atomic_load(&torture->violation_told) == 0; i++)
        sleep_us(1000, 1000);
    torture_end();
    floor_stop();
    print_summary();
    int status = complete ? SL_EXIT_OK : SL_EXIT_FAILED;
    if (json != NULL && write_json(json, seed, complete) != 0)
        status = SL_EXIT_FAILED;
    if (atomic_load(&torture->violations) != 0)
        fprintf(stderr, "bus_kill: broken promise (seed %" PRId64 "): %s\n", seed,
                torture->violation);
    else if (!complete)
        fprintf(stderr, "bus_kill: interrupted; all was well so far\n");
    else
        fprintf(human, "nothing leaked, nobody cleaned up, no promise broken\n");
    return status;
}
