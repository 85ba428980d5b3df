#include "tools/bus/bench_program.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "rt/cli.h"
#include "tools/bus/bench_transports.h"

static const char *const SECTIONS[BENCH_SECTIONS] = {"floors", "handover", "paced",
                                                     "sleep",  "publish",  "many"};
static const char *const TITLES[BENCH_SECTIONS] = {
    "floors",
    "hand-over to a polling reader: just before publishing until it has the pointer",
    "the same, paced",
    "hand-over to a sleeping reader, 200 fps",
    "publishing: what it costs the writer",
    "many readers, each a process: taking a frame, once awake",
};

static const char OPTIONS_HELP[] =
    "  --only LIST    of the sections floors, handover, paced, sleep, publish,\n"
    "                 many (all)\n"
    "  --rounds N     everything N times, in turn; the table shows medians (1)\n"
    "  --quick        a tenth of frames and readers: to see that it works\n"
    "  --json FILE    every round, as JSON (- : standard output, instead of the table)\n"
    "  --samples      in it, every single sample\n"
    "  --help\n"
    "\n"
    "%s"
    "exit status: 0, 1 (failed), 2 (misuse)\n";

struct options {
    bool wanted[BENCH_SECTIONS];
    int64_t rounds;
    bool quick, samples;
    const char *json;
};

/* What the table needs of one case, over all rounds. */
struct row {
    uint32_t count;
    double p50_ns[BENCH_ROUNDS_MAX], p99_ns[BENCH_ROUNDS_MAX], p999_ns[BENCH_ROUNDS_MAX];
    double max_ns;
    char note[200]; /* of the last round */
};

/* ---- one round of one case ---- */

static struct bench_series *main_series(const struct bench_case *c, struct bench_result *result)
{
    if (c->section == BENCH_PUBLISH)
        return &result->publish;
    if (c->section != BENCH_MANY)
        return &result->handover;
    return c->setup.readers > 0 ? &result->access : &result->lateness;
}

static void add_to_row(struct row *row, uint32_t round, struct bench_series *series)
{
    struct bench_summary s = bench_summarize(series);
    row->count += s.count;
    row->p50_ns[round] = s.p50_ns;
    row->p99_ns[round] = s.p99_ns;
    row->p999_ns[round] = s.p999_ns;
    if (s.max_ns > row->max_ns)
        row->max_ns = s.max_ns;
}

static double rate(const struct bench_case *c, const struct bench_result *r)
{
    return r->wall_s > 0 ? c->setup.frames / r->wall_s : 0;
}

static double share(double cpu_s, const struct bench_result *r)
{
    return r->wall_s > 0 ? cpu_s / r->wall_s : 0;
}

static double readers_cpu_s(const struct bench_result *r)
{
    return (double)atomic_load(&r->readers_cpu_ns) * 1e-9;
}

static void write_note(const struct bench_case *c, struct bench_result *r, char *note, size_t size)
{
    int n = snprintf(note, size, "cpu %3.0f %% + %3.0f %%", share(r->writer_cpu_s, r) * 100,
                     share(readers_cpu_s(r), r) * 100);
    if (c->section == BENCH_MANY && c->setup.readers > 0) {
        uint64_t wanted = (uint64_t)c->setup.readers * c->setup.frames;
        n += snprintf(note + n, size - (size_t)n, ", %.0f fps, %lu of %lu seen", rate(c, r),
                      (unsigned long)atomic_load(&r->received), (unsigned long)wanted);
        if (c->setup.weigh)
            snprintf(note + n, size - (size_t)n, ", %.1f MB, writer late p99 %.0f us",
                     (double)(r->memory.pss_bytes + r->memory.hugetlb_bytes) * 1e-6,
                     bench_summarize(&r->lateness).p99_ns * 1e-3);
    }
}

/* ---- JSON ---- */

struct json {
    FILE *to; /* NULL: not wanted */
    bool samples;
    bool begun; /* a comma goes before the next run */
};

static void json_begin_run(struct json *json, const char *section, const char *name,
                           const char *transport)
{
    fprintf(json->to, "%s\n  {\"section\": \"%s\", \"case\": \"%s\", \"transport\": \"%s\"",
            json->begun ? "," : "", section, name, transport);
    json->begun = true;
}

static void json_setup(struct json *json, const struct bench_setup *s)
{
    fprintf(json->to,
            ",\n   \"frame_bytes\": %zu, \"slots\": %u, \"readers\": %u, \"frames\": %u, "
            "\"fps\": %g, \"writer_core\": %d, \"reader_core\": %d, \"writer_fifo\": %d, "
            "\"reader_fifo\": %d",
            s->frame_bytes, s->slots, s->readers, s->frames, s->fps, s->writer_core, s->reader_core,
            s->writer_fifo, s->reader_fifo);
}

static void json_result(struct json *json, const struct bench_case *c, struct bench_result *r)
{
    fprintf(json->to,
            ",\n   \"received\": %lu, \"missed\": %lu, \"overruns_told\": %lu, "
            "\"overruns_counted\": %lu, \"torn\": %lu, \"deadlines_missed\": %u, "
            "\"awake\": %u, \"fifo_granted\": %s",
            (unsigned long)atomic_load(&r->received), (unsigned long)atomic_load(&r->missed),
            (unsigned long)atomic_load(&r->overruns_told), (unsigned long)r->overruns_counted,
            (unsigned long)atomic_load(&r->torn), r->deadlines_missed, r->awake,
            r->fifo ? "true" : "false");
    fprintf(json->to,
            ",\n   \"rate_fps\": %.3f, \"writer_cpu\": %.5f, \"readers_cpu\": %.5f, "
            "\"broker_cpu\": %.5f",
            rate(c, r), share(r->writer_cpu_s, r), share(readers_cpu_s(r), r),
            share(r->broker_cpu_s, r));
    if (c->setup.weigh)
        fprintf(json->to,
                ",\n   \"pss_bytes\": %lu, \"hugetlb_bytes\": %lu, \"page_table_bytes\": %lu",
                (unsigned long)r->memory.pss_bytes, (unsigned long)r->memory.hugetlb_bytes,
                (unsigned long)r->memory.page_table_bytes);
    bench_json_series(json->to, "handover", &r->handover, json->samples);
    bench_json_series(json->to, "publish", &r->publish, json->samples);
    bench_json_series(json->to, "loan", &r->loan, json->samples);
    bench_json_series(json->to, "access", &r->access, json->samples);
    bench_json_series(json->to, "release", &r->release, json->samples);
    bench_json_series(json->to, "lateness", &r->lateness, json->samples);
}

static int run_case(const struct bench_case *c, uint32_t round, struct row *row, struct json *json,
                    struct sl_error *err)
{
    struct bench_result *result;
    int rc = bench_run(c->transport, &c->setup, &result, err);
    if (rc != 0)
        return rc;
    add_to_row(row, round, main_series(c, result));
    write_note(c, result, row->note, sizeof row->note);
    if (json->to != NULL) {
        json_begin_run(json, SECTIONS[c->section], c->name, c->transport->name);
        json_setup(json, &c->setup);
        json_result(json, c, result);
        fputs("}", json->to);
    }
    bench_result_free(result);
    return 0;
}

/* ---- floors ---- */

enum { FLOOR_LINE = 0, FLOOR_CLOCK, FLOOR_MEMCPY_VGA, FLOOR_MEMCPY_FHD, FLOOR_COUNT };

static const char *const FLOORS[FLOOR_COUNT] = {"cache line, one way", "a look at the clock",
                                                "memcpy 800x600", "memcpy 1920x1080"};

static int run_floor(int floor, const struct bench_plan *plan, struct bench_series *series,
                     struct sl_error *err)
{
    uint32_t samples = plan->quick ? 30 : 300;
    switch (floor) {
    case FLOOR_LINE:
        return bench_ping_pong(series, plan->cores, samples, 1000, err);
    case FLOOR_CLOCK:
        bench_clock(series, samples);
        return 0;
    case FLOOR_MEMCPY_VGA:
        return bench_memcpy(series, (size_t)800 * 600 * 3, samples, err);
    default:
        return bench_memcpy(series, (size_t)1920 * 1080 * 3, samples, err);
    }
}

static int run_floors(const struct bench_plan *plan, uint32_t round, struct row rows[FLOOR_COUNT],
                      struct json *json, struct sl_error *err)
{
    int rc = 0;
    for (int floor = 0; floor < FLOOR_COUNT && rc == 0; floor++) {
        struct bench_series *series = calloc(1, sizeof *series);
        if (series == NULL)
            return sl_error_set(err, -ENOMEM, "no memory to measure in");
        rc = run_floor(floor, plan, series, err);
        if (rc == 0)
            add_to_row(&rows[floor], round, series);
        if (rc == 0 && json->to != NULL) {
            json_begin_run(json, SECTIONS[BENCH_FLOORS], FLOORS[floor], "floor");
            bench_json_series(json->to, "time", series, json->samples);
            fputs("}", json->to);
        }
        free(series);
    }
    return rc;
}

/* ---- table ---- */

static void print_row(const char *name, const char *transport, struct row *row, unsigned rounds)
{
    printf("  %-28s %-22s %7u %9.3f %9.3f %9.3f %9.3f  %s\n", name, transport, row->count,
           bench_median(row->p50_ns, rounds) * 1e-3, bench_median(row->p99_ns, rounds) * 1e-3,
           bench_median(row->p999_ns, rounds) * 1e-3, row->max_ns * 1e-3, row->note);
}

static void print_title(enum bench_section section)
{
    printf("\n%s\n  %-28s %-22s %7s %9s %9s %9s %9s  %s\n", TITLES[section], "us", "", "samples",
           "p50", "p99", "p99.9", "max", section == BENCH_FLOORS ? "" : "writer + readers");
}

static void print_table(const struct bench_program *program, const struct options *options,
                        const struct bench_plan *plan, struct row *floors, struct row *rows)
{
    unsigned rounds = (unsigned)options->rounds;
    if (program->floors && options->wanted[BENCH_FLOORS]) {
        print_title(BENCH_FLOORS);
        for (int i = 0; i < FLOOR_COUNT; i++)
            print_row(FLOORS[i], "", &floors[i], rounds);
    }
    for (int section = BENCH_HANDOVER; section < BENCH_SECTIONS; section++) {
        bool titled = false;
        for (uint32_t i = 0; i < plan->count; i++) {
            const struct bench_case *c = &plan->cases[i];
            if ((int)c->section != section || !options->wanted[section])
                continue;
            if (!titled)
                print_title((enum bench_section)section);
            titled = true;
            print_row(c->name, c->transport->name, &rows[i], rounds);
        }
    }
}

/* ---- all of it ---- */

static void print_progress(const struct bench_case *c, uint32_t round, int64_t rounds)
{
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\r\033[K%u/%d  %s: %s, %s", round + 1, (int)rounds, SECTIONS[c->section],
                c->name, c->transport->name);
}

static void end_progress(void)
{
    if (isatty(STDERR_FILENO))
        fputs("\r\033[K", stderr);
}

static int run_round(const struct bench_program *program, const struct options *options,
                     const struct bench_plan *plan, uint32_t round, struct row *floors,
                     struct row *rows, struct json *json, struct sl_error *err)
{
    int rc = 0;
    if (program->floors && options->wanted[BENCH_FLOORS])
        rc = run_floors(plan, round, floors, json, err);
    for (uint32_t i = 0; i < plan->count && rc == 0; i++) {
        if (!options->wanted[plan->cases[i].section])
            continue;
        print_progress(&plan->cases[i], round, options->rounds);
        rc = run_case(&plan->cases[i], round, &rows[i], json, err);
    }
    end_progress();
    return rc;
}

static int run_all(const struct bench_program *program, const struct options *options,
                   const struct bench_plan *plan, struct json *json, struct sl_error *err)
{
    struct row *floors = calloc(FLOOR_COUNT, sizeof *floors);
    struct row *rows = calloc(BENCH_CASES_MAX, sizeof *rows);
    int rc = floors == NULL || rows == NULL ? sl_error_set(err, -ENOMEM, "no memory") : 0;
    if (rc == 0 && json->to != NULL)
        fputs("{\"runs\": [", json->to);
    for (uint32_t round = 0; round < (uint32_t)options->rounds && rc == 0; round++)
        rc = run_round(program, options, plan, round, floors, rows, json, err);
    if (rc == 0 && json->to != NULL)
        fputs("\n]}\n", json->to);
    if (rc == 0 && json->to != stdout)
        print_table(program, options, plan, floors, rows);
    free(floors);
    free(rows);
    return rc;
}

/* "a,b" -> those sections only. */
static int parse_only(const char *list, struct options *options, struct sl_error *err)
{
    memset(options->wanted, 0, sizeof options->wanted);
    while (*list != '\0') {
        size_t length = strcspn(list, ",");
        int found = -1;
        for (int i = 0; i < BENCH_SECTIONS; i++) {
            if (strlen(SECTIONS[i]) == length && strncmp(SECTIONS[i], list, length) == 0)
                found = i;
        }
        if (found < 0)
            return sl_error_set(err, -EINVAL,
                                "--only: there is no section \"%.*s\"; they are floors, handover, "
                                "paced, sleep, publish and many",
                                (int)length, list);
        options->wanted[found] = true;
        list += length + (list[length] == ',');
    }
    return 0;
}

enum { OPT_ONLY = 256, OPT_ROUNDS, OPT_QUICK, OPT_JSON, OPT_SAMPLES };
static const struct option OPTIONS[] = {
    {"only", required_argument, NULL, OPT_ONLY},
    {"rounds", required_argument, NULL, OPT_ROUNDS},
    {"quick", no_argument, NULL, OPT_QUICK},
    {"json", required_argument, NULL, OPT_JSON},
    {"samples", no_argument, NULL, OPT_SAMPLES},
    {"help", no_argument, NULL, 'h'},
    {0},
};

/* -1: go on; else the exit status. */
static int parse(const struct bench_program *program, int argc, char **argv,
                 struct options *options)
{
    struct sl_error err = {0};
    int answer, rc = 0;
    opterr = 0;
    optind = 1;
    while ((answer = getopt_long(argc, argv, ":h", OPTIONS, NULL)) != -1 && rc == 0) {
        switch (answer) {
        case OPT_ONLY:
            rc = parse_only(optarg, options, &err);
            break;
        case OPT_ROUNDS:
            rc = sl_cli_integer(optarg, "--rounds", 1, BENCH_ROUNDS_MAX, &options->rounds, &err);
            break;
        case OPT_QUICK:
            options->quick = true;
            break;
        case OPT_JSON:
            options->json = optarg;
            break;
        case OPT_SAMPLES:
            options->samples = true;
            break;
        case 'h':
            fputs(program->help, stdout);
            printf(OPTIONS_HELP, program->examples);
            return SL_EXIT_OK;
        default:
            return sl_cli_bad_option(program->verb, answer, argv, OPTIONS);
        }
    }
    if (rc != 0)
        return sl_cli_misuse(program->verb, "%s", err.text);
    if (optind < argc)
        return sl_cli_bad_operand(program->verb, argv[optind]);
    return -1;
}

static int open_json(const char *path, struct json *json, struct sl_error *err)
{
    if (path == NULL)
        return 0;
    json->to = strcmp(path, "-") == 0 ? stdout : fopen(path, "w");
    if (json->to == NULL)
        return sl_error_set(err, -errno, "cannot write %s: %s", path, strerror(errno));
    return 0;
}

static int close_json(const char *path, struct json *json, struct sl_error *err)
{
    if (json->to == NULL)
        return 0;
    bool bad = fflush(json->to) != 0 || ferror(json->to);
    if (json->to != stdout)
        bad |= fclose(json->to) != 0;
    return bad ? sl_error_set(err, -EIO, "cannot write %s: %s", path, strerror(errno)) : 0;
}

int bench_program_main(const struct bench_program *program, int argc, char **argv)
{
    struct options options = {.rounds = 1};
    for (int i = 0; i < BENCH_SECTIONS; i++)
        options.wanted[i] = true;
    int status = parse(program, argc, argv, &options);
    if (status >= 0)
        return status;

    static struct bench_plan plan;
    struct json json = {.samples = options.samples};
    struct sl_error err = {0};
    plan.quick = options.quick;
    sl_cli_catch_stop();
    int rc = bench_two_cores(plan.cores, &err);
    if (rc == 0)
        rc = open_json(options.json, &json, &err);
    if (rc == 0) {
        program->plan(&plan);
        rc = run_all(program, &options, &plan, &json, &err);
        struct sl_error close_err = {0};
        int close_rc = close_json(options.json, &json, &close_err);
        if (rc == 0 && close_rc != 0) {
            rc = close_rc;
            err = close_err;
        }
    }
    if (rc == 0)
        return SL_EXIT_OK;
    fprintf(stderr, "skylane %s: %s\n", program->verb, err.text);
    return SL_EXIT_FAILED;
}
