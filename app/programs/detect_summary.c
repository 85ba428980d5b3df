#include "detect_summary.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct sl_clip_tally {
    char *clip;
    size_t states[3], failed;
    double confidence; /* sum over the pictures that are not lost */
    float *times_ms;   /* of each that was not failed */
    size_t done, room;
};

/* ---- counting ---- */

bool sl_tallies_begin(struct sl_tallies *tallies, const char *clip)
{
    struct sl_clip_tally *grown =
        realloc(tallies->clips, (tallies->clip_count + 1) * sizeof *grown);
    if (grown == NULL)
        return false;
    tallies->clips = grown;
    grown[tallies->clip_count] = (struct sl_clip_tally){.clip = strdup(clip)};
    return grown[tallies->clip_count].clip != NULL && ++tallies->clip_count > 0;
}

bool sl_tallies_add(struct sl_tallies *tallies, const struct sl_detection *found, double time_ms)
{
    struct sl_clip_tally *t = &tallies->clips[tallies->clip_count - 1];
    if (t->done == t->room) {
        const size_t room = t->room ? 2 * t->room : 256;
        float *grown = realloc(t->times_ms, room * sizeof *grown);
        if (grown == NULL)
            return false;
        t->times_ms = grown;
        t->room = room;
    }
    t->times_ms[t->done++] = (float)time_ms;
    t->states[found->state]++;
    if (found->state != SL_LANE_LOST)
        t->confidence += (double)found->confidence;
    tallies->done++;
    return true;
}

void sl_tallies_add_failed(struct sl_tallies *tallies)
{
    tallies->clips[tallies->clip_count - 1].failed++;
    tallies->failed++;
}

void sl_tallies_free(struct sl_tallies *tallies)
{
    for (size_t i = 0; i < tallies->clip_count; i++) {
        free(tallies->clips[i].clip);
        free(tallies->clips[i].times_ms);
    }
    free(tallies->clips);
    *tallies = (struct sl_tallies){0};
}

/* ---- figures ---- */

struct figures {
    size_t pictures, states[3], failed;
    double confidence; /* mean over the pictures that are not lost */
    double mean_ms, p50_ms, p99_ms;
};

static int ascending(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static double share_of(const float *sorted, size_t count, double share)
{
    size_t at = (size_t)(share * (double)count);
    return count ? (double)sorted[at < count ? at : count - 1] : 0;
}

/* Orders the clip's times. */
static struct figures figures_of(struct sl_clip_tally *t)
{
    struct figures f = {.pictures = t->done + t->failed, .failed = t->failed};
    memcpy(f.states, t->states, sizeof f.states);
    const size_t found = t->done - t->states[SL_LANE_LOST];
    if (t->done)
        qsort(t->times_ms, t->done, sizeof *t->times_ms, ascending);
    for (size_t i = 0; i < t->done; i++)
        f.mean_ms += (double)t->times_ms[i] / (double)t->done;
    f.confidence = found ? t->confidence / (double)found : 0;
    f.p50_ms = share_of(t->times_ms, t->done, 0.5);
    f.p99_ms = share_of(t->times_ms, t->done, 0.99);
    return f;
}

/* Of all clips as one. */
static struct figures figures_of_all(const struct sl_tallies *tallies)
{
    struct sl_clip_tally sum = {
        .times_ms = calloc(tallies->done ? tallies->done : 1, sizeof *sum.times_ms)};
    for (size_t i = 0; i < tallies->clip_count; i++) {
        const struct sl_clip_tally *t = &tallies->clips[i];
        if (sum.times_ms != NULL && t->done)
            memcpy(sum.times_ms + sum.done, t->times_ms, t->done * sizeof *t->times_ms);
        sum.done += t->done;
        sum.failed += t->failed;
        sum.confidence += t->confidence;
        for (int k = 0; k < 3; k++)
            sum.states[k] += t->states[k];
    }
    struct figures f = {0};
    if (sum.times_ms != NULL)
        f = figures_of(&sum);
    free(sum.times_ms);
    return f;
}

/* ---- as JSON ---- */

void sl_detect_add_number(cJSON *object, const char *key, double value, double unit)
{
    cJSON_AddNumberToObject(object, key, round(value / unit) * unit);
}

static void add_figures(cJSON *o, const struct figures *f)
{
    cJSON_AddNumberToObject(o, "pictures", (double)f->pictures);
    cJSON_AddNumberToObject(o, "failed", (double)f->failed);
    cJSON_AddNumberToObject(o, "two_lines", (double)f->states[SL_LANE_TWO_LINES]);
    cJSON_AddNumberToObject(o, "one_line", (double)f->states[SL_LANE_ONE_LINE]);
    cJSON_AddNumberToObject(o, "lost", (double)f->states[SL_LANE_LOST]);
    sl_detect_add_number(o, "mean_confidence", f->confidence, 1e-4);
    sl_detect_add_number(o, "mean_run_time_ms", f->mean_ms, 1e-4);
    sl_detect_add_number(o, "p50_run_time_ms", f->p50_ms, 1e-4);
    sl_detect_add_number(o, "p99_run_time_ms", f->p99_ms, 1e-4);
}

void sl_tallies_print_json(struct sl_tallies *tallies, FILE *to)
{
    const struct figures all = figures_of_all(tallies);
    cJSON *o = cJSON_CreateObject();
    add_figures(o, &all);
    cJSON *clips = cJSON_AddArrayToObject(o, "clips");
    for (size_t i = 0; i < tallies->clip_count; i++) {
        const struct figures f = figures_of(&tallies->clips[i]);
        cJSON *clip = cJSON_CreateObject();
        cJSON_AddStringToObject(clip, "clip", tallies->clips[i].clip);
        add_figures(clip, &f);
        cJSON_AddItemToArray(clips, clip);
    }
    char *text = cJSON_Print(o);
    fprintf(to, "%s\n", text ? text : "{}");
    free(text);
    cJSON_Delete(o);
}

/* ---- as a table ---- */

/* A number in its column, coloured if there is any. */
static void print_count(FILE *to, int width, size_t count, const char *colour)
{
    const bool coloured = count > 0 && colour[0] != '\0';
    fprintf(to, "%s%*zu%s", coloured ? colour : "", width, count, coloured ? "\033[0m" : "");
}

static void print_line(FILE *to, int width, const char *clip, const struct figures *f, bool colours)
{
    fprintf(to, "%-*s %9zu %10zu %9zu", width, clip, f->pictures, f->states[SL_LANE_TWO_LINES],
            f->states[SL_LANE_ONE_LINE]);
    print_count(to, 6, f->states[SL_LANE_LOST], colours ? "\033[33m" : "");
    print_count(to, 8, f->failed, colours ? "\033[31m" : "");
    fprintf(to, " %11.2f %8.3f %8.3f\n", f->confidence, f->p50_ms, f->p99_ms);
}

void sl_tallies_print(struct sl_tallies *tallies, FILE *to)
{
    const bool colours = isatty(fileno(to)) && !getenv("NO_COLOR");
    const struct figures all = figures_of_all(tallies);
    int width = 4;
    for (size_t i = 0; i < tallies->clip_count; i++)
        width = (int)fmax(width, fmin((double)strlen(tallies->clips[i].clip), 48));
    fprintf(to, "%s%-*s %9s %10s %9s %5s %7s %11s %8s %8s%s\n", colours ? "\033[1m" : "", width,
            "clip", "pictures", "two lines", "one line", "lost", "failed", "confidence", "ms p50",
            "p99", colours ? "\033[0m" : "");
    for (size_t i = 0; i < tallies->clip_count; i++) {
        const struct figures f = figures_of(&tallies->clips[i]);
        print_line(to, width, tallies->clips[i].clip, &f, colours);
    }
    if (tallies->clip_count != 1)
        print_line(to, width, "all", &all, colours);
    if (tallies->failed)
        fprintf(to, "%zu could not be processed\n", tallies->failed);
}
