#include "net/figures.h"

#include <math.h>
#include <stdbool.h>

#include "net/json.h"

#define PREFIX "skylane_"

struct label {
    const char *key;
    const char *const *words; /* ends with NULL */
};

static const char *const QUANTILES[] = {"0.5", "0.9", "0.99", "1", NULL};
static const char *const READERS[] = {"detector", "network", NULL};
/* As enum sl_stage counts them. */
static const char *const STAGES[] = {"camera_to_detect",   "detect",        "detect_to_control",
                                     "camera_to_actuator", "loop_lateness", NULL};
static const char *const CAUSES[] = {"detector",     "deadline",    "send_rate",
                                     "send_overrun", "send_failed", NULL};
static const char *const PROCESSES[] = {"control", "detector", "camera", "network", NULL};
static const char *const BUSES[] = {"camera", "detection", "command", "state", NULL};
static const char *const PLACES[] = {"vehicle", "viewer", NULL};
static const char *const ALERTS[] = {"access", "memory", "drops", NULL};

static const struct {
    const char *name, *help;
    bool counts;
    struct label first, second; /* key NULL: none */
} TABLE[SL_FIGURES] = {
    [SL_FIGURE_CONTROL_UP] = {"control_up",
                              "1 while the vehicle's control process publishes.",
                              false,
                              {NULL, NULL},
                              {NULL, NULL}},
    [SL_FIGURE_FRAME_ACCESS] = {"frame_access_seconds",
                                "From a frame's publication until a reader has it, over the last "
                                "10 s.",
                                false,
                                {"reader", READERS},
                                {"quantile", QUANTILES}},
    [SL_FIGURE_STAGE] = {"stage_seconds",
                         "Control's latencies by stage, since its start.",
                         false,
                         {"stage", STAGES},
                         {"quantile", QUANTILES}},
    [SL_FIGURE_DROPS] = {"drops_total",
                         "Frames dropped and deadlines missed, by cause, since they are watched.",
                         true,
                         {"cause", CAUSES},
                         {NULL, NULL}},
    [SL_FIGURE_DROPS_PER_SECOND] = {"drops_per_second",
                                    "The same a second, over the last 10 s.",
                                    false,
                                    {"cause", CAUSES},
                                    {NULL, NULL}},
    [SL_FIGURE_CPU_SECONDS] = {"process_cpu_seconds_total",
                               "CPU time that a process has used since its start.",
                               true,
                               {"process", PROCESSES},
                               {NULL, NULL}},
    [SL_FIGURE_CPU_RATIO] = {"process_cpu_ratio",
                             "Share of one core that a process used over the last 10 s.",
                             false,
                             {"process", PROCESSES},
                             {NULL, NULL}},
    [SL_FIGURE_MEMORY] = {"process_memory_bytes",
                          "Resident memory of a process, huge pages and rings that it shares "
                          "included.",
                          false,
                          {"process", PROCESSES},
                          {NULL, NULL}},
    [SL_FIGURE_RESTARTS] = {"restarts_total",
                            "Times that a process was seen to have begun anew.",
                            true,
                            {"process", PROCESSES},
                            {NULL, NULL}},
    [SL_FIGURE_CRASHES] = {"crashes_total",
                           "Times that a process was seen to have died without closing its bus.",
                           true,
                           {"process", PROCESSES},
                           {NULL, NULL}},
    [SL_FIGURE_BUS_RECORDS] = {"bus_records_total",
                               "Records published since a bus's writer began.",
                               true,
                               {"bus", BUSES},
                               {NULL, NULL}},
    [SL_FIGURE_BUS_OVERRUNS] = {"bus_overruns_total",
                                "Slots that a bus's writer took from readers which held them.",
                                true,
                                {"bus", BUSES},
                                {NULL, NULL}},
    [SL_FIGURE_BUS_READERS] =
        {"bus_readers", "Readers that are attached to a bus.", false, {"bus", BUSES}, {NULL, NULL}},
    [SL_FIGURE_BUS_STARVED] = {"bus_starved_readers",
                               "Of those, how many the writer ever took a slot from which they "
                               "held.",
                               false,
                               {"bus", BUSES},
                               {NULL, NULL}},
    [SL_FIGURE_PICTURE_AGE] = {"picture_age_seconds",
                               "Age of the newest picture: on the vehicle since its publication, "
                               "at the viewer since its exposure.",
                               false,
                               {"at", PLACES},
                               {NULL, NULL}},
    [SL_FIGURE_ALERT] =
        {"alert", "0: none, 1: warning, 2: critical.", false, {"alert", ALERTS}, {NULL, NULL}},
};

void sl_figures_clear(struct sl_figures *figures)
{
    for (int i = 0; i < SL_FIGURES; i++)
        for (int a = 0; a < SL_FIGURE_FIRST_MAX; a++)
            for (int b = 0; b < SL_FIGURE_SECOND_MAX; b++)
                figures->value[i][a][b] = NAN;
}

const char *sl_process_name(enum sl_figure_process process)
{
    return PROCESSES[process];
}

const char *sl_cause_name(enum sl_figure_cause cause)
{
    return CAUSES[cause];
}

/* The word of a label, or NULL after the last. A label that a figure does not
 * have has one, which is empty. */
static const char *word(const struct label *label, int which)
{
    return label->key != NULL ? label->words[which] : which == 0 ? "" : NULL;
}

static void print_value(FILE *to, int i, int a, int b, double value)
{
    const struct label *first = &TABLE[i].first, *second = &TABLE[i].second;
    fprintf(to, PREFIX "%s", TABLE[i].name);
    if (first->key != NULL)
        fprintf(to, "{%s=\"%s\"", first->key, word(first, a));
    if (second->key != NULL)
        fprintf(to, ",%s=\"%s\"", second->key, word(second, b));
    /* A counter keeps all its digits: the next value must not look like the same. */
    fprintf(to, "%s %.*g\n", first->key != NULL ? "}" : "", TABLE[i].counts ? 15 : 6, value);
}

void sl_figures_print(FILE *to, const struct sl_figures *figures)
{
    for (int i = 0; i < SL_FIGURES; i++) {
        bool begun = false;
        for (int a = 0; word(&TABLE[i].first, a) != NULL; a++) {
            for (int b = 0; word(&TABLE[i].second, b) != NULL; b++) {
                const double value = figures->value[i][a][b];
                if (!isfinite(value))
                    continue;
                if (!begun)
                    fprintf(to, "# HELP " PREFIX "%s %s\n# TYPE " PREFIX "%s %s\n", TABLE[i].name,
                            TABLE[i].help, TABLE[i].name, TABLE[i].counts ? "counter" : "gauge");
                begun = true;
                print_value(to, i, a, b, value);
            }
        }
    }
}

static void add(cJSON *to, const char *key, double value, bool counts)
{
    if (counts)
        cJSON_AddNumberToObject(to, key, value);
    else
        sl_json_add_figure(to, key, value);
}

static void add_second(cJSON *to, const char *key, int i, const double *values)
{
    const bool counts = TABLE[i].counts;
    cJSON *o = to;
    if (TABLE[i].second.key == NULL) {
        if (isfinite(values[0]))
            add(to, key, values[0], counts);
        return;
    }
    o = cJSON_CreateObject();
    for (int b = 0; word(&TABLE[i].second, b) != NULL; b++)
        if (isfinite(values[b]))
            add(o, word(&TABLE[i].second, b), values[b], counts);
    if (cJSON_GetArraySize(o) > 0)
        cJSON_AddItemToObject(to, key, o);
    else
        cJSON_Delete(o);
}

cJSON *sl_figures_json(const struct sl_figures *figures)
{
    cJSON *all = cJSON_CreateObject();
    for (int i = 0; i < SL_FIGURES; i++) {
        if (TABLE[i].first.key == NULL) {
            add_second(all, TABLE[i].name, i, figures->value[i][0]);
            continue;
        }
        cJSON *o = cJSON_AddObjectToObject(all, TABLE[i].name);
        for (int a = 0; word(&TABLE[i].first, a) != NULL; a++)
            add_second(o, word(&TABLE[i].first, a), i, figures->value[i][a]);
    }
    return all;
}

static const cJSON *member(const cJSON *of, const char *key)
{
    return key[0] == '\0' ? of : cJSON_GetObjectItemCaseSensitive(of, key);
}

void sl_figures_read(struct sl_figures *figures, const cJSON *object)
{
    sl_figures_clear(figures);
    for (int i = 0; i < SL_FIGURES; i++) {
        const cJSON *of = cJSON_GetObjectItemCaseSensitive(object, TABLE[i].name);
        for (int a = 0; word(&TABLE[i].first, a) != NULL; a++) {
            for (int b = 0; word(&TABLE[i].second, b) != NULL; b++) {
                const cJSON *item =
                    member(member(of, word(&TABLE[i].first, a)), word(&TABLE[i].second, b));
                if (cJSON_IsNumber(item))
                    figures->value[i][a][b] = item->valuedouble;
            }
        }
    }
}
