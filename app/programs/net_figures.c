#include "net_figures.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "app/config/convert.h"
#include "net_processes.h"
#include "rt/bus.h"
#include "rt/clock.h"

#define LOOK_NS   SL_NS_PER_S
#define SECONDS   10 /* over which access and drops are told */
#define RECENT    1024
#define REPORT_NS (3 * SL_NS_PER_S) /* a viewer that says nothing for so long is gone */

/* The last times of something, for their quantiles. */
struct recent {
    uint64_t at_ns[RECENT];
    double seconds[RECENT];
    unsigned next;
};

/* Something that is counted elsewhere, and begins anew when its program does. */
struct counted {
    bool begun;
    uint64_t last;
    uint64_t total;
    uint64_t added[SECONDS];
};

struct net_figures {
    struct net_processes *processes;
    struct sl_bus_reader *detections;
    struct sl_alerts alerts;
    struct recent access[2]; /* enum sl_figure_reader */
    struct counted drops[SL_CAUSES];
    unsigned second; /* of counted.added */
    uint64_t due_ns;
    bool untold; /* summed up, and not in a state yet */
    struct sl_state state;
    bool has_state, connected;
    uint64_t control_started_ns;
    double viewer_age_s;
    uint64_t viewer_ns; /* 0: no viewer ever */

    pthread_mutex_t lock; /* of all below, which the server reads */
    struct sl_figures now;
};

int net_figures_open(struct net_figures **figures, const struct sl_settings *settings,
                     struct sl_error *err)
{
    *figures = NULL;
    struct net_figures *f = calloc(1, sizeof *f);
    if (f == NULL)
        return sl_error_set(err, -ENOMEM, "no memory for figures");
    f->due_ns = sl_clock_now_ns() + LOOK_NS; /* there is nothing to sum up yet */
    pthread_mutex_init(&f->lock, NULL);
    sl_figures_clear(&f->now);
    struct sl_alert *alerts = f->alerts.each;
    alerts[SL_ALERT_ACCESS].warning = settings->alert.access_p99_warning_ms;
    alerts[SL_ALERT_ACCESS].critical = settings->alert.access_p99_critical_ms;
    alerts[SL_ALERT_MEMORY].warning = settings->alert.memory_warning_mb;
    alerts[SL_ALERT_MEMORY].critical = settings->alert.memory_critical_mb;
    alerts[SL_ALERT_DROPS].warning = settings->alert.drops_warning_hz;
    alerts[SL_ALERT_DROPS].critical = settings->alert.drops_critical_hz;
    const struct sl_bus_reader_config detections = {.name = settings->bus.detection,
                                                    .type = SL_RECORD_DETECTION,
                                                    .min_bytes = sizeof(struct sl_detection),
                                                    .writers = sl_settings_bus_writers(settings)};
    int rc = sl_bus_reader_open(&f->detections, &detections, err);
    if (rc == 0)
        rc = net_processes_open(&f->processes, settings, err);
    if (rc != 0) {
        net_figures_close(f);
        return rc;
    }
    *figures = f;
    return 0;
}

void net_figures_close(struct net_figures *figures)
{
    if (figures == NULL)
        return;
    net_processes_close(figures->processes);
    sl_bus_reader_close(figures->detections);
    pthread_mutex_destroy(&figures->lock);
    free(figures);
}

/* ---- what comes in ---- */

static void remember(struct recent *recent, uint64_t at_ns, uint64_t duration_ns)
{
    recent->at_ns[recent->next] = at_ns;
    recent->seconds[recent->next] = (double)duration_ns / (double)SL_NS_PER_S;
    recent->next = (recent->next + 1) % RECENT;
}

static void count(struct counted *counted, unsigned second, uint64_t value)
{
    const uint64_t more = counted->begun && value > counted->last ? value - counted->last : 0;
    counted->begun = true;
    counted->last = value;
    counted->total += more;
    counted->added[second] += more;
}

void net_figures_state(struct net_figures *f, const struct sl_state *state, bool connected)
{
    f->connected = connected;
    f->has_state = state != NULL;
    if (state == NULL)
        return;
    f->state = *state;
    /* What was counted before it was watched is not known to be news. */
    if (state->started_ns != f->control_started_ns)
        f->drops[SL_CAUSE_DETECTOR].begun = f->drops[SL_CAUSE_DEADLINE].begun = false;
    f->control_started_ns = state->started_ns;
    count(&f->drops[SL_CAUSE_DETECTOR], f->second, state->frames_dropped);
    count(&f->drops[SL_CAUSE_DEADLINE], f->second, state->deadline_misses);
}

void net_figures_gone(struct net_figures *f)
{
    net_processes_look(f->processes);
}

void net_figures_access(struct net_figures *f, uint64_t waited_ns)
{
    remember(&f->access[SL_READER_NETWORK], sl_clock_now_ns(), waited_ns);
}

void net_figures_report(struct net_figures *f, double age_ms, uint64_t now_ns)
{
    f->viewer_age_s = age_ms / 1e3;
    f->viewer_ns = now_ns;
}

/* Each frame's detection tells when the frame was published, and when its
 * detector had it: here, in another process, or on another machine. */
static void read_detections(struct net_figures *f, uint64_t now_ns)
{
    struct sl_detection lane;
    while (sl_bus_read_next(f->detections, &lane, sizeof lane, NULL) == 0)
        if (lane.received_ns != 0 && lane.started_ns >= lane.received_ns)
            remember(&f->access[SL_READER_DETECTOR], now_ns, lane.started_ns - lane.received_ns);
}

/* ---- once a second ---- */

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The least value that a share of them does not exceed; NAN of none. */
static void put_quantiles(const struct recent *recent, uint64_t now_ns, double *to)
{
    static const double SHARES[] = {0.5, 0.9, 0.99, 1};
    double sorted[RECENT] = {0};
    size_t n = 0;
    for (unsigned i = 0; i < RECENT; i++)
        if (recent->at_ns[i] != 0 && recent->at_ns[i] + SECONDS * SL_NS_PER_S >= now_ns)
            sorted[n++] = recent->seconds[i];
    qsort(sorted, n, sizeof sorted[0], by_size);
    for (size_t i = 0; i < sizeof SHARES / sizeof SHARES[0]; i++)
        to[i] = n > 0 ? sorted[(size_t)ceil(SHARES[i] * (double)n) - 1] : NAN;
}

static void put_stages(const struct sl_state *state, double (*to)[SL_FIGURE_SECOND_MAX])
{
    for (int i = 0; i < SL_STAGE_COUNT; i++) {
        const struct sl_stage_stats *stage = &state->stages[i];
        if (stage->count == 0)
            continue;
        to[i][SL_QUANTILE_50] = stage->p50_us / 1e6;
        to[i][SL_QUANTILE_90] = stage->p90_us / 1e6;
        to[i][SL_QUANTILE_99] = stage->p99_us / 1e6;
        to[i][SL_QUANTILE_MAX] = stage->max_us / 1e6;
    }
}

static void put_drops(struct net_figures *f, struct sl_figures *to)
{
    for (int i = 0; i < SL_CAUSES; i++) {
        uint64_t added = 0;
        for (int second = 0; second < SECONDS; second++)
            added += f->drops[i].added[second];
        to->value[SL_FIGURE_DROPS][i][0] = (double)f->drops[i].total;
        to->value[SL_FIGURE_DROPS_PER_SECOND][i][0] = (double)added / SECONDS;
    }
    f->second = (f->second + 1) % SECONDS;
    for (int i = 0; i < SL_CAUSES; i++)
        f->drops[i].added[f->second] = 0;
}

static void sum_up(struct net_figures *f, uint64_t now_ns, struct sl_figures *to)
{
    sl_figures_clear(to);
    net_processes_put(f->processes, to);
    to->value[SL_FIGURE_CONTROL_UP][0][0] = f->connected;
    put_quantiles(&f->access[SL_READER_DETECTOR], now_ns,
                  to->value[SL_FIGURE_FRAME_ACCESS][SL_READER_DETECTOR]);
    put_quantiles(&f->access[SL_READER_NETWORK], now_ns,
                  to->value[SL_FIGURE_FRAME_ACCESS][SL_READER_NETWORK]);
    if (f->has_state)
        put_stages(&f->state, to->value[SL_FIGURE_STAGE]);
    put_drops(f, to);
    if (f->viewer_ns != 0 && now_ns - f->viewer_ns < REPORT_NS)
        to->value[SL_FIGURE_PICTURE_AGE][SL_PLACE_VIEWER][0] = f->viewer_age_s;
}

int net_figures_look(struct net_figures *f, const struct net_figures_drops *drops, uint64_t now_ns,
                     struct sl_alert_event events[SL_ALERTS])
{
    read_detections(f, now_ns);
    if (now_ns < f->due_ns)
        return 0;
    count(&f->drops[SL_CAUSE_RATE], f->second, drops->rate);
    count(&f->drops[SL_CAUSE_OVERRUN], f->second, drops->overrun);
    count(&f->drops[SL_CAUSE_FAILED], f->second, drops->failed);
    struct sl_figures now;
    sum_up(f, now_ns, &now);
    const int count_events = sl_alerts_look(&f->alerts, &now, now_ns, events);
    for (int i = 0; i < SL_ALERTS; i++)
        now.value[SL_FIGURE_ALERT][i][0] = f->alerts.each[i].level;
    pthread_mutex_lock(&f->lock);
    f->now = now;
    pthread_mutex_unlock(&f->lock);
    f->untold = true;
    f->due_ns = now_ns + LOOK_NS;
    return count_events;
}

/* ---- what goes out ---- */

void net_figures_add(struct net_figures *f, cJSON *state)
{
    cJSON_AddItemToObject(state, "alerts", sl_alerts_json(&f->alerts));
    if (!f->untold)
        return;
    /* Only this thread writes what it reads here. */
    cJSON_AddItemToObject(state, "figures", sl_figures_json(&f->now));
    f->untold = false;
}

char *net_figures_text(struct net_figures *f, size_t *size)
{
    pthread_mutex_lock(&f->lock);
    const struct sl_figures now = f->now;
    pthread_mutex_unlock(&f->lock);
    char *text = NULL;
    FILE *to = open_memstream(&text, size);
    if (to == NULL)
        return NULL;
    sl_figures_print(to, &now);
    if (fclose(to) == 0)
        return text;
    free(text);
    return NULL;
}
