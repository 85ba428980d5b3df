#include "net/alerts.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>

#include "net/json.h"
#include "rt/clock.h"

#define EASED   0.9 /* of the limit */
#define EASE_NS (5 * SL_NS_PER_S)

static const struct {
    const char *name, *unit, *warning_key, *critical_key;
} FACTS[SL_ALERTS] = {
    [SL_ALERT_ACCESS] = {"access", "ms", "alert.access_p99_warning_ms",
                         "alert.access_p99_critical_ms"},
    [SL_ALERT_MEMORY] = {"memory", "MB", "alert.memory_warning_mb", "alert.memory_critical_mb"},
    [SL_ALERT_DROPS] = {"drops", "1/s", "alert.drops_warning_hz", "alert.drops_critical_hz"},
};

static const char *const LEVELS[] = {"none", "warning", "critical"};

/* What a figure is, in words that go on after a number and its unit. */
struct measured {
    double value;       /* in the alert's unit; NAN: not known */
    const char *what;   /* begins a sentence */
    const char *remedy; /* ends it */
};

static struct measured access_now(const struct sl_figures *f)
{
    return (struct measured){
        f->value[SL_FIGURE_FRAME_ACCESS][SL_READER_DETECTOR][SL_QUANTILE_99] * 1e3,
        "frames wait for the detector, p99 of the last 10 s:",
        "let it run in real time (tools/setup --realtime), give it a core (realtime.detect_cpu), "
        "or take other work off this machine"};
}

/* A camera in a process of its own is somebody else's program, such as a
 * simulator, which holds its whole world. */
static struct measured memory_now(const struct sl_figures *f)
{
    static const char *const WHAT[SL_PROCESSES] = {
        [SL_PROCESS_CONTROL] = "memory of the control process:",
        [SL_PROCESS_DETECTOR] = "memory of the detector's process:",
        [SL_PROCESS_NETWORK] = "memory of the network's process:",
    };
    struct measured most = {NAN, "",
                            "if it goes on growing, restart that program and report it; if it "
                            "does not, raise the limit"};
    for (int i = 0; i < SL_PROCESSES; i++) {
        const double mb = f->value[SL_FIGURE_MEMORY][i][0] / 1e6;
        if (WHAT[i] != NULL && isfinite(mb) && !(mb <= most.value)) {
            most.value = mb;
            most.what = WHAT[i];
        }
    }
    return most;
}

/* What the pace leaves out is as was agreed, and no loss. */
static struct measured drops_now(const struct sl_figures *f)
{
    static const struct {
        const char *what, *remedy;
    } WORDS[SL_CAUSES] = {
        [SL_CAUSE_DETECTOR] = {"drops, mostly frames that the detector had no time for:",
                               "lower the camera's rate, or take other work off this machine"},
        [SL_CAUSE_DEADLINE] = {"drops, mostly deadlines that control missed:",
                               "let it run in real time (tools/setup --realtime), or take other "
                               "work off this machine"},
        [SL_CAUSE_OVERRUN] = {"drops, mostly pictures overrun while they were sent:",
                              "lower net.frame_rate_hz, or take other work off this machine"},
        [SL_CAUSE_FAILED] = {"drops, mostly frames that cannot become pictures:",
                             "look whether camera.format fits the camera"},
    };
    struct measured all = {NAN, "", ""};
    double most = -1;
    for (int i = 0; i < SL_CAUSES; i++) {
        const double hz = f->value[SL_FIGURE_DROPS_PER_SECOND][i][0];
        if (i == SL_CAUSE_RATE || !isfinite(hz))
            continue;
        all.value = isfinite(all.value) ? all.value + hz : hz;
        if (hz > most) {
            most = hz;
            all.what = WORDS[i].what;
            all.remedy = WORDS[i].remedy;
        }
    }
    return all;
}

static double limit_of(const struct sl_alert *a, enum sl_alert_level level)
{
    return level == SL_ALERT_CRITICAL ? a->critical : a->warning;
}

/* The level to go to now, if another. */
static enum sl_alert_level judge(struct sl_alert *a, double value, uint64_t now_ns)
{
    const enum sl_alert_level reached = value > a->critical  ? SL_ALERT_CRITICAL
                                        : value > a->warning ? SL_ALERT_WARNING
                                                             : SL_ALERT_NONE;
    if (reached >= a->level || value >= EASED * limit_of(a, a->level)) {
        a->easing_ns = 0;
        return reached > a->level ? reached : a->level;
    }
    if (a->easing_ns == 0)
        a->easing_ns = now_ns;
    if (now_ns - a->easing_ns < EASE_NS)
        return a->level;
    a->easing_ns = 0;
    return reached;
}

static void tell(const struct sl_alert *a, int which, const struct measured *m, uint64_t now_ns,
                 char *to, size_t size)
{
    const bool critical = a->level == SL_ALERT_CRITICAL;
    if (a->level != SL_ALERT_NONE)
        snprintf(to, size, "%s %.3g %s, more than the %.3g %s of %s; %s", m->what, m->value,
                 FACTS[which].unit, limit_of(a, a->level), FACTS[which].unit,
                 critical ? FACTS[which].critical_key : FACTS[which].warning_key, m->remedy);
    else
        snprintf(to, size, "the alert \"%s\" is over after %.0f s", FACTS[which].name,
                 (double)(now_ns - a->since_ns) / (double)SL_NS_PER_S);
}

int sl_alerts_look(struct sl_alerts *alerts, const struct sl_figures *figures, uint64_t now_ns,
                   struct sl_alert_event events[SL_ALERTS])
{
    const struct measured now[SL_ALERTS] = {
        [SL_ALERT_ACCESS] = access_now(figures),
        [SL_ALERT_MEMORY] = memory_now(figures),
        [SL_ALERT_DROPS] = drops_now(figures),
    };
    int count = 0;
    for (int i = 0; i < SL_ALERTS; i++) {
        struct sl_alert *a = &alerts->each[i];
        const enum sl_alert_level before = a->level;
        a->value = now[i].value;
        a->level = judge(a, now[i].value, now_ns);
        if (a->level == before)
            continue;
        if (before == SL_ALERT_NONE)
            a->since_ns = now_ns;
        tell(a, i, &now[i], now_ns, a->text, sizeof a->text);
        events[count].level = a->level;
        snprintf(events[count].text, sizeof events[count].text, "%s", a->text);
        count++;
    }
    return count;
}

const char *sl_alert_log_level(enum sl_alert_level level)
{
    static const char *const LOG[] = {"info", "warning", "error"};
    return LOG[level];
}

cJSON *sl_alerts_json(const struct sl_alerts *alerts)
{
    cJSON *array = cJSON_CreateArray();
    for (int i = 0; i < SL_ALERTS; i++) {
        const struct sl_alert *a = &alerts->each[i];
        if (a->level == SL_ALERT_NONE)
            continue;
        cJSON *o = cJSON_CreateObject();
        cJSON_AddStringToObject(o, "name", FACTS[i].name);
        cJSON_AddStringToObject(o, "level", LEVELS[a->level]);
        sl_json_add_figure(o, "value", a->value);
        sl_json_add_figure(o, "limit", limit_of(a, a->level));
        cJSON_AddStringToObject(o, "unit", FACTS[i].unit);
        cJSON_AddStringToObject(o, "text", a->text);
        sl_json_add_u64(o, "since_ns", a->since_ns);
        cJSON_AddItemToArray(array, o);
    }
    return array;
}
