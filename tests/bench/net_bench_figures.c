#include "tests/bench/net_bench.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "rt/clock.h"
#include "rt/records.h"

#define PERIOD_NS   (10 * SL_NS_PER_MS) /* control.rate_hz, as vehicle_start() sets it */
#define LIMIT_SHARE 0.05
#define LIMIT_US    20.0
#define VIEWER_MAX  0.06 /* of a core */
#define NOBODY_MAX  0.003
#define RESAMPLES   400
#define BLOCK       1000 /* samples, of which p99.9 is one */
#define CELLS       9
#define CELL        48

static const char *const PHASE_NAMES[PHASES] = {"nobody", "one viewer", "ten subscribers",
                                                "garbage on both ports", "skylane net killed"};
static const char *const PHASE_KEYS[PHASES] = {"nobody", "viewer", "ten", "flood", "kill"};
static const char *const MEASURE_NAMES[MEASURES] = {"loop lateness, us", "camera to actuator, us",
                                                    "cyclictest, us"};
static const char *const MEASURE_KEYS[MEASURES] = {"loop_lateness_us", "camera_to_actuator_us",
                                                   "cyclictest_us"};

/* ---- series ---- */

void series_add(struct series *s, double us)
{
    if (s->count == s->room) {
        const size_t room = s->room == 0 ? 1024 : 2 * s->room;
        double *grown = realloc(s->us, room * sizeof *grown);
        if (grown == NULL)
            abort(); /* of some hundred kilobytes */
        s->us = grown;
        s->room = room;
    }
    s->us[s->count++] = us;
}

static void series_append(struct series *to, const struct series *from)
{
    for (size_t i = 0; i < from->count; i++)
        series_add(to, from->us[i]);
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double series_quantile(struct series *s, double share)
{
    if (s->count == 0)
        return NAN;
    qsort(s->us, s->count, sizeof *s->us, compare);
    const size_t rank = (size_t)ceil(share * (double)s->count);
    return s->us[rank > 0 ? rank - 1 : 0];
}

/* Of an even number, the mean of the two in the middle. */
static double median(struct series *s)
{
    const double lower = series_quantile(s, 0.5);
    return s->count == 0 ? NAN : (lower + s->us[s->count / 2]) / 2;
}

/* ---- from commands to samples ---- */

/* The slot that a time is in; they are in order. NULL: between two. */
static struct series *slot_at(struct figures *f, enum measure measure, uint64_t at_ns, int *slot)
{
    while (*slot < f->slot_count && f->slots[*slot].until_ns <= at_ns)
        (*slot)++;
    return *slot < f->slot_count && f->slots[*slot].from_ns <= at_ns ? &f->by_slot[measure][*slot]
                                                                     : NULL;
}

/* Control publishes a command each time it wakes, with the time at which it woke,
 * and its deadlines are whole periods after its start: so that the commands alone
 * tell how late each tick was, just as the loop itself counts it (sl_loop_begin()).
 * The report's percentiles would do only for whole drives. */
static void find_lateness(struct figures *f, const struct vehicle *v, const struct sl_state *state,
                          struct series *all)
{
    int slot = 0;
    uint64_t next_ns = state->started_ns + PERIOD_NS;
    for (size_t i = 0; i < v->count; i++) {
        const struct command *c = &v->seen[i];
        if (c->missed > 0 && i > 0) /* which ticks there were meanwhile, nobody knows */
            next_ns = c->issued_ns + PERIOD_NS - (c->issued_ns - state->started_ns) % PERIOD_NS;
        if (c->issued_ns < next_ns)
            continue;
        const uint64_t late_ns = c->issued_ns - next_ns;
        struct series *to = slot_at(f, LATENESS, next_ns, &slot);
        if (to != NULL)
            series_add(to, (double)late_ns * 1e-3);
        if (c->issued_ns <= state->published_ns)
            series_add(all, (double)late_ns * 1e-3);
        next_ns += (late_ns / PERIOD_NS + 1) * PERIOD_NS;
    }
}

/* From a frame's publication to that of the first command in which it took part. */
static void find_latency(struct figures *f, const struct vehicle *v)
{
    int slot = 0;
    uint64_t frame_id = 0;
    for (size_t i = 0; i < v->count; i++) {
        const struct command *c = &v->seen[i];
        const bool fresh = c->frame_id > frame_id && c->missed == 0 && c->received_ns != 0;
        frame_id = c->frame_id > frame_id ? c->frame_id : frame_id;
        struct series *to = fresh ? slot_at(f, LATENCY, c->received_ns, &slot) : NULL;
        if (to != NULL)
            series_add(to, (double)(c->published_ns - c->received_ns) * 1e-3);
    }
}

int figures_make(struct figures *f, const struct vehicle *v, const struct sl_state *state,
                 struct sl_error *err)
{
    struct series all = {0};
    const struct sl_stage_stats *own = &state->stages[SL_STAGE_LOOP_LATENESS];
    find_lateness(f, v, state, &all);
    find_latency(f, v);
    for (int m = 0; m < MEASURES; m++) {
        for (int i = 0; i < f->slot_count; i++) {
            series_append(&f->all[m][f->slots[i].phase], &f->by_slot[m][i]);
            if (f->slots[i].phase == PHASE_NOBODY)
                series_append(&f->twins[m][f->slots[i].twin], &f->by_slot[m][i]);
        }
    }
    f->own_max_us = series_quantile(&all, 1);
    f->control_max_us = (double)own->max_us;
    f->lost = v->lost;
    f->control_stops = state->stop_count;
    f->last_stop = sl_reason_name(state->stop_reason);
    f->control_drops = state->frames_dropped;
    f->control_misses = state->deadline_misses;
    const double count = (double)all.count, counted = (double)own->count;
    free(all.us);
    if (v->lost == 0 && (fabs(count - counted) > 2 || fabs(f->own_max_us - f->control_max_us) > 1))
        return sl_error_set(err, -EPROTO,
                            "the commands tell of %.0f ticks, the latest by %.1f us, and control "
                            "of %.0f and %.1f us",
                            count, f->own_max_us, counted, f->control_max_us);
    return 0;
}

/* ---- sums over slots ---- */

static double seconds_of(const struct figures *f, enum phase phase)
{
    double s = 0;
    for (int i = 0; i < f->slot_count; i++)
        if (f->slots[i].phase == phase)
            s += (double)(f->slots[i].until_ns - f->slots[i].from_ns) * 1e-9;
    return s;
}

static double net_share(const struct figures *f, enum phase phase)
{
    double cpu_s = 0;
    for (int i = 0; i < f->slot_count; i++)
        if (f->slots[i].phase == phase)
            cpu_s += f->slots[i].net_cpu_s;
    return cpu_s / seconds_of(f, phase);
}

static double steal_of(const struct figures *f, enum phase phase)
{
    double sum = 0;
    int count = 0;
    for (int i = 0; i < f->slot_count; i++) {
        if (f->slots[i].phase == phase) {
            sum += f->slots[i].steal;
            count++;
        }
    }
    return sum / count;
}

static struct peer_sums peers_of(const struct figures *f, enum phase phase, enum peer_kind kind)
{
    struct peer_sums sum = {0};
    for (int i = 0; i < f->slot_count; i++) {
        if (f->slots[i].phase != phase)
            continue;
        sum.frames += f->slots[i].peers[kind].frames;
        sum.bytes += f->slots[i].peers[kind].bytes;
        sum.messages += f->slots[i].peers[kind].messages;
    }
    return sum;
}

static double rate(const struct figures *f, enum phase phase, uint64_t count)
{
    return (double)count / seconds_of(f, phase);
}

/* What a picture, and all that is sent with it, costs skylane net. */
static double picture_us(const struct figures *f)
{
    const double frames = rate(f, PHASE_VIEWER, peers_of(f, PHASE_VIEWER, PEER_VIEWER).frames);
    return (net_share(f, PHASE_VIEWER) - net_share(f, PHASE_NOBODY)) / frames * 1e6;
}

int figures_complete(const struct figures *f, struct sl_error *err)
{
    for (int phase = 0; phase < PHASES; phase++)
        for (int m = 0; m < FLOOR; m++)
            if (f->all[m][phase].count == 0)
                return sl_error_set(err, -ENODATA, "no %s with %s", MEASURE_KEYS[m],
                                    PHASE_NAMES[phase]);
    static const struct {
        enum phase phase;
        enum peer_kind kind;
        const char *what;
    } HEARD[] = {{PHASE_VIEWER, PEER_VIEWER, "the viewer took nothing"},
                 {PHASE_TEN, PEER_ORDINARY, "the subscribers took nothing"},
                 {PHASE_TEN, PEER_SLOW, "the slow subscriber took nothing"},
                 {PHASE_FLOOD, PEER_ACTIONS, "no garbage reached the port of actions"},
                 {PHASE_FLOOD, PEER_TOPICS, "no garbage reached the port of the broadcast"},
                 {PHASE_FLOOD, PEER_STRANGER, "no stranger connected"}};
    for (size_t i = 0; i < sizeof HEARD / sizeof HEARD[0]; i++)
        if (peers_of(f, HEARD[i].phase, HEARD[i].kind).messages == 0)
            return sl_error_set(err, -ENODATA, "%s", HEARD[i].what);
    if (peers_of(f, PHASE_TEN, PEER_STOPPED).messages != 0)
        return sl_error_set(err, -ENODATA, "the stopped subscriber was not stopped");
    if (!(net_share(f, PHASE_NOBODY) > 0) || !(picture_us(f) > 0) || !(f->jpeg_us > 0))
        return sl_error_set(err, -ENODATA, "the CPU time of skylane net cannot be read");
    return 0;
}

/* ---- of many samples, a few figures ---- */

struct summary {
    size_t samples, blocks;
    double p50_us, p99_us, p999_us; /* medians of the blocks' */
    double lowest_us, highest_us;   /* of the blocks' p99.9 */
    double all_p999_us, max_us;     /* of all samples */
};

/* A host that has other guests takes this machine's cores away now and then, for
 * milliseconds, and a few such moments are the whole tail of a phase. So each
 * thousand samples, in the order of time, have a p99.9 of their own, and the median
 * of these counts: what disturbs every thousand is seen, one bad minute is not. */
static struct summary summarize(const struct series *s)
{
    struct summary sum = {.samples = s->count,
                          .blocks = s->count < BLOCK ? s->count > 0 : s->count / BLOCK};
    struct series p50 = {0}, p99 = {0}, p999 = {0}, all = {0};
    for (size_t i = 0; i < sum.blocks; i++) {
        const size_t from = i * s->count / sum.blocks, until = (i + 1) * s->count / sum.blocks;
        struct series block = {0};
        series_append(&block, &(struct series){.us = s->us + from, .count = until - from});
        series_add(&p50, series_quantile(&block, 0.5));
        series_add(&p99, series_quantile(&block, 0.99));
        series_add(&p999, series_quantile(&block, 0.999));
        free(block.us);
    }
    series_append(&all, s);
    sum.p50_us = median(&p50);
    sum.p99_us = median(&p99);
    sum.p999_us = median(&p999);
    sum.lowest_us = series_quantile(&p999, 0);
    sum.highest_us = series_quantile(&p999, 1);
    sum.all_p999_us = series_quantile(&all, 0.999);
    sum.max_us = series_quantile(&all, 1);
    free(p50.us);
    free(p99.us);
    free(p999.us);
    free(all.us);
    return sum;
}

static double limit_us(double nobody_us)
{
    return fmax(LIMIT_SHARE * nobody_us, LIMIT_US);
}

/* ---- tables ---- */

static void print_row(bool markdown, char cells[CELLS][CELL])
{
    static const int WIDTHS[CELLS] = {24, 8, 8, 8, 8, 17, 9, 10, 6};
    for (int i = 0; i < CELLS; i++) {
        if (markdown)
            printf("| %s ", cells[i]);
        else if (cells[i][0] != '\0' || i < CELLS - 1)
            printf("%*s", i == 0 ? -WIDTHS[i] : WIDTHS[i], cells[i]);
    }
    puts(markdown ? "|" : "");
}

static void print_head(bool markdown, enum measure m)
{
    char cells[CELLS][CELL] = {"",       "samples", "p50",      "p99", "p99.9",
                               "blocks", "max",     "- nobody", ""};
    snprintf(cells[0], CELL, "%s", MEASURE_NAMES[m]);
    putchar('\n');
    print_row(markdown, cells);
    if (markdown)
        puts("| --- | --- | --- | --- | --- | --- | --- | --- | --- |");
}

static bool print_phase(const struct figures *f, bool markdown, enum measure m, enum phase phase,
                        double nobody_us)
{
    char cells[CELLS][CELL] = {""};
    const struct summary sum = summarize(&f->all[m][phase]);
    const bool limited = phase >= PHASE_TEN && m != FLOOR;
    const bool over = limited && !(sum.p999_us - nobody_us <= limit_us(nobody_us));
    snprintf(cells[0], CELL, "%s", PHASE_NAMES[phase]);
    snprintf(cells[1], CELL, "%zu", sum.samples);
    snprintf(cells[2], CELL, "%.1f", sum.p50_us);
    snprintf(cells[3], CELL, "%.1f", sum.p99_us);
    snprintf(cells[4], CELL, "%.1f", sum.p999_us);
    snprintf(cells[5], CELL, "%.1f to %.1f", sum.lowest_us, sum.highest_us);
    snprintf(cells[6], CELL, "%.1f", sum.max_us);
    if (phase != PHASE_NOBODY)
        snprintf(cells[7], CELL, "%+.1f", sum.p999_us - nobody_us);
    if (limited)
        snprintf(cells[8], CELL, "%s", over ? "OVER" : "PASS");
    print_row(markdown, cells);
    return !over;
}

static bool print_measure(const struct figures *f, bool markdown, enum measure m)
{
    bool good = true;
    if (f->all[m][PHASE_NOBODY].count == 0) {
        printf("\n%s: not measured: tools/setup --bench installs it, and real-time rights are "
               "needed\n",
               MEASURE_NAMES[m]);
        return true;
    }
    const double nobody_us = summarize(&f->all[m][PHASE_NOBODY]).p999_us;
    print_head(markdown, m);
    for (int phase = 0; phase < PHASES; phase++)
        good = print_phase(f, markdown, m, (enum phase)phase, nobody_us) && good;
    const double first_us = summarize(&f->twins[m][0]).p999_us;
    const double second_us = summarize(&f->twins[m][1]).p999_us;
    printf("%snobody, first and second time of each round: p99.9 %.1f and %.1f us%s\n",
           markdown ? "\n" : "", first_us, second_us,
           fabs(first_us - second_us) <= limit_us(nobody_us)
               ? ""
               : ", further apart than the limit:\nthis machine was too unsteady to tell");
    return good;
}

static void print_happened(const struct figures *f)
{
    const struct peer_sums ordinary = peers_of(f, PHASE_TEN, PEER_ORDINARY),
                           slow = peers_of(f, PHASE_TEN, PEER_SLOW);
    printf("\nlimit of p99.9: %.0f %% or %.0f us above nobody's; p50, p99 and p99.9: medians of "
           "blocks of %d\nsamples or more; blocks: lowest and highest p99.9 of one; max: of "
           "all\n",
           LIMIT_SHARE * 100, LIMIT_US, BLOCK);
    printf("ten subscribers: eight took %.1f pictures a second each, one %.0f kB/s, one nothing\n",
           rate(f, PHASE_TEN, ordinary.frames) / 8, rate(f, PHASE_TEN, slow.bytes) / 1e3);
    printf(
        "garbage a second: %.0f actions, %.0f subscriptions, %.0f messages of strangers; a viewer "
        "took %.1f pictures a second meanwhile\n",
        rate(f, PHASE_FLOOD, peers_of(f, PHASE_FLOOD, PEER_ACTIONS).messages),
        rate(f, PHASE_FLOOD, peers_of(f, PHASE_FLOOD, PEER_TOPICS).messages),
        rate(f, PHASE_FLOOD, peers_of(f, PHASE_FLOOD, PEER_STRANGER).messages),
        rate(f, PHASE_FLOOD, peers_of(f, PHASE_FLOOD, PEER_VIEWER).frames));
    printf("killed %d times; pictures came again after %.2f s on average\n", f->kills, f->kill_s);
    printf("the host took");
    for (int phase = 0; phase < PHASES; phase++)
        printf("%s %.2f %% (%s)", phase == 0 ? "" : ",", steal_of(f, (enum phase)phase) * 100,
               PHASE_NAMES[phase]);
    printf("\nthe whole drive: %" PRIu64 " stops (last: %s), %" PRIu64 " deadlines missed, %" PRIu64
           " frames dropped, %" PRIu64 " commands not seen\n",
           f->control_stops, f->last_stop, f->control_misses, f->control_drops, f->lost);
}

static bool print_cost(const struct figures *f, bool markdown, const char *what, double share,
                       double limit)
{
    const bool good = f->slow_core || share <= limit;
    printf(markdown ? "| %s | %.2f %% " : "%-24s %8.2f %%", what, share * 100);
    if (f->slow_core)
        puts(markdown ? "| | |" : "");
    else
        printf(markdown ? "| <= %.1f %% | %s |\n" : "   <= %.1f %%   %s\n", limit * 100,
               good ? "PASS" : "OVER");
    return good;
}

bool figures_print(const struct figures *f, bool markdown)
{
    bool good = true;
    for (int m = 0; m < MEASURES; m++)
        good = print_measure(f, markdown, (enum measure)m) && good;
    print_happened(f);
    puts(markdown ? "\n| skylane net, of one core | measured | limit | |\n| --- | --- | --- | --- |"
                  : "\nskylane net, of one core");
    good = print_cost(f, markdown, "nobody", net_share(f, PHASE_NOBODY), NOBODY_MAX) && good;
    /* Where this machine drew or sent fewer, as many as there should have been. */
    good = print_cost(f, markdown, "one viewer",
                      net_share(f, PHASE_NOBODY) + picture_us(f) * 1e-6 * VEHICLE_PICTURES_HZ,
                      VIEWER_MAX) &&
           good;
    printf("%sone viewer: %.2f %% with the %.1f pictures a second that it got; %.2f ms for each, "
           "with\nencryption and all else that it is sent; the encoder alone, in a loop: %.2f ms; "
           "ratio %.2f\n",
           markdown ? "\n" : "", net_share(f, PHASE_VIEWER) * 100,
           rate(f, PHASE_VIEWER, peers_of(f, PHASE_VIEWER, PEER_VIEWER).frames),
           picture_us(f) / 1e3, f->jpeg_us / 1e3, picture_us(f) / f->jpeg_us);
    printf("ten subscribers: %.1f %%; garbage: %.1f %%\n", net_share(f, PHASE_TEN) * 100,
           net_share(f, PHASE_FLOOD) * 100);
    return good;
}

/* ---- JSON ---- */

static cJSON *json_of(const struct series *s)
{
    cJSON *o = cJSON_CreateObject();
    const struct summary sum = summarize(s);
    cJSON_AddNumberToObject(o, "samples", (double)sum.samples);
    cJSON_AddNumberToObject(o, "blocks", (double)sum.blocks);
    if (sum.samples == 0)
        return o;
    const struct {
        const char *key;
        double us;
    } FIGURES[] = {{"p50", sum.p50_us},
                   {"p99", sum.p99_us},
                   {"p999", sum.p999_us},
                   {"p999_lowest", sum.lowest_us},
                   {"p999_highest", sum.highest_us},
                   {"p999_all", sum.all_p999_us},
                   {"max", sum.max_us}};
    for (size_t i = 0; i < sizeof FIGURES / sizeof FIGURES[0]; i++)
        cJSON_AddNumberToObject(o, FIGURES[i].key, FIGURES[i].us);
    return o;
}

int figures_json(const struct figures *f, const char *path, struct sl_error *err)
{
    cJSON *result = cJSON_CreateObject();
    for (int m = 0; m < MEASURES; m++) {
        cJSON *measure = cJSON_AddObjectToObject(result, MEASURE_KEYS[m]);
        for (int phase = 0; phase < PHASES; phase++)
            cJSON_AddItemToObject(measure, PHASE_KEYS[phase], json_of(&f->all[m][phase]));
    }
    cJSON *cpu = cJSON_AddObjectToObject(result, "net_cpu_ratio");
    cJSON *steal = cJSON_AddObjectToObject(result, "steal_ratio");
    for (int phase = 0; phase < PHASES; phase++) {
        if (phase != PHASE_KILL)
            cJSON_AddNumberToObject(cpu, PHASE_KEYS[phase], net_share(f, (enum phase)phase));
        cJSON_AddNumberToObject(steal, PHASE_KEYS[phase], steal_of(f, (enum phase)phase));
    }
    cJSON *garbage = cJSON_AddObjectToObject(result, "garbage_hz");
    static const char *const SOURCES[] = {"actions", "subscriptions", "strangers"};
    for (int i = 0; i < 3; i++)
        cJSON_AddNumberToObject(
            garbage, SOURCES[i],
            rate(f, PHASE_FLOOD,
                 peers_of(f, PHASE_FLOOD, (enum peer_kind)(PEER_ACTIONS + i)).messages));
    const struct {
        const char *key;
        double value;
    } NUMBERS[] = {{"picture_us", picture_us(f)},
                   {"jpeg_us", f->jpeg_us},
                   {"kills", f->kills},
                   {"kill_s", f->kill_s},
                   {"stops", (double)f->control_stops},
                   {"deadline_misses", (double)f->control_misses},
                   {"frames_dropped", (double)f->control_drops},
                   {"commands_lost", (double)f->lost}};
    for (size_t i = 0; i < sizeof NUMBERS / sizeof NUMBERS[0]; i++)
        cJSON_AddNumberToObject(result, NUMBERS[i].key, NUMBERS[i].value);
    char *text = cJSON_Print(result);
    cJSON_Delete(result);
    FILE *file = strcmp(path, "-") == 0 ? stdout : fopen(path, "w");
    bool good = file != NULL && text != NULL && fprintf(file, "%s\n", text) > 0;
    if (file != NULL && file != stdout)
        good = fclose(file) == 0 && good;
    free(text);
    return good ? 0 : sl_error_set(err, -EIO, "cannot write %s: %s", path, strerror(errno));
}

void figures_free(struct figures *f)
{
    for (int m = 0; m < MEASURES; m++) {
        for (int i = 0; i < f->slot_count; i++)
            free(f->by_slot[m][i].us);
        free(f->by_slot[m]);
        for (int phase = 0; phase < PHASES; phase++)
            free(f->all[m][phase].us);
        free(f->twins[m][0].us);
        free(f->twins[m][1].us);
    }
    free(f->slots);
}
