#include "tools/sim/program/stages.h"

#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#include "rt/bus.h"
#include "rt/clock.h"
#include "rt/histogram.h"
#include "rt/records.h"

#define PENDING     256         /* frames between detection and command; one a slot */
#define PATIENCE_NS SL_NS_PER_S /* then the user is told that no lanes come */
#define STAGES_MAX  8

/* What is known of one frame. The two records are read one after the other,
 * so that either may be seen first. */
struct pending {
    uint64_t frame_id;
    uint64_t exposed_ns, finished_ns; /* finished_ns 0: no detection yet */
    uint64_t issued_ns;               /* 0: no command yet */
};

struct sl_stages {
    const struct sl_settings *settings;
    struct sl_bus_reader *lanes, *commands;
    bool lockstep;
    uint64_t opened_ns;
    struct pending pending[PENDING];
    struct sl_histogram to_publish, to_detector, detection, to_command, whole;

    uint64_t lane_ns; /* when a lane came last, or it was opened */
    bool told_absent, told_there;
};

int sl_stages_open(struct sl_stages **out, const struct sl_settings *settings, bool lockstep,
                   struct sl_error *err)
{
    *out = NULL;
    struct sl_stages *stages = calloc(1, sizeof *stages);
    if (stages == NULL)
        return sl_error_set(err, -ENOMEM, "no memory to follow detections");
    stages->settings = settings;
    stages->lockstep = lockstep;
    stages->opened_ns = stages->lane_ns = sl_clock_now_ns();
    /* Anybody's: they are only looked at. */
    const struct sl_bus_reader_config lanes = {.name = settings->bus.detection,
                                               .type = SL_RECORD_DETECTION,
                                               .min_bytes = sizeof(struct sl_detection),
                                               .writers = SL_BUS_WRITERS_ANY};
    const struct sl_bus_reader_config commands = {.name = settings->bus.command,
                                                  .type = SL_RECORD_COMMAND,
                                                  .min_bytes = sizeof(struct sl_command),
                                                  .writers = SL_BUS_WRITERS_ANY};
    int rc = sl_bus_reader_open(&stages->lanes, &lanes, err);
    if (rc == 0)
        rc = sl_bus_reader_open(&stages->commands, &commands, err);
    if (rc != 0) {
        sl_stages_close(stages);
        return rc;
    }
    *out = stages;
    return 0;
}

void sl_stages_close(struct sl_stages *stages)
{
    if (stages == NULL)
        return;
    sl_bus_reader_close(stages->lanes);
    sl_bus_reader_close(stages->commands);
    free(stages);
}

static void add(struct sl_histogram *histogram, uint64_t from_ns, uint64_t to_ns)
{
    sl_histogram_add(histogram, to_ns > from_ns ? to_ns - from_ns : 0);
}

static struct pending *pending_of(struct sl_stages *stages, uint64_t frame_id)
{
    struct pending *p = &stages->pending[frame_id % PENDING];
    if (p->frame_id != frame_id)
        *p = (struct pending){.frame_id = frame_id};
    return p;
}

/* Both records of the frame are there. */
static void note_whole(struct sl_stages *stages, const struct pending *p)
{
    if (p->finished_ns == 0 || p->issued_ns == 0)
        return;
    add(&stages->to_command, p->finished_ns, p->issued_ns);
    add(&stages->whole, p->exposed_ns, p->issued_ns);
}

static void take_lane(struct sl_stages *stages, const struct sl_detection *lane)
{
    add(&stages->detection, lane->started_ns, lane->finished_ns);
    /* What was found before is another drive's. */
    if (stages->lockstep || lane->exposed_ns < stages->opened_ns)
        return;
    add(&stages->to_publish, lane->exposed_ns, lane->received_ns);
    add(&stages->to_detector, lane->received_ns, lane->started_ns);
    struct pending *p = pending_of(stages, lane->frame_id);
    if (p->finished_ns != 0)
        return;
    p->exposed_ns = lane->exposed_ns;
    p->finished_ns = lane->finished_ns;
    note_whole(stages, p);
}

static void take_command(struct sl_stages *stages, const struct sl_command *command)
{
    if (stages->lockstep || command->exposed_ns < stages->opened_ns)
        return;
    struct pending *p = pending_of(stages, command->frame_id);
    if (p->issued_ns != 0)
        return; /* the first command that knew the frame counts; ticks repeat it */
    p->issued_ns = command->issued_ns;
    note_whole(stages, p);
}

void sl_stages_poll(struct sl_stages *stages)
{
    struct sl_detection lane;
    struct sl_command command;
    while (sl_bus_read_next(stages->lanes, &lane, sizeof lane, NULL) == 0) {
        take_lane(stages, &lane);
        stages->lane_ns = sl_clock_now_ns();
    }
    while (sl_bus_read_next(stages->commands, &command, sizeof command, NULL) == 0)
        take_command(stages, &command);
}

bool sl_stages_news(struct sl_stages *stages, struct sl_error *news)
{
    const uint64_t quiet_ns = sl_clock_now_ns() - stages->lane_ns;
    const char *bus = stages->settings->bus.detection;
    if (quiet_ns >= PATIENCE_NS && !stages->told_absent) {
        sl_error_set(news, 0,
                     "no lanes come on bus %s: waits for them; start \"skylane detect "
                     "--shared-memory\" with this camera's settings%s",
                     bus, stages->told_there ? " again" : "");
        stages->told_absent = true;
        return true;
    }
    if (quiet_ns < PATIENCE_NS && sl_histogram_count(&stages->detection) > 0 &&
        (stages->told_absent || !stages->told_there)) {
        sl_error_set(news, 0, "lanes come %son bus %s", stages->told_there ? "again " : "", bus);
        stages->told_there = true;
        stages->told_absent = false;
        return true;
    }
    return false;
}

/* ---- the table ---- */

struct row {
    const char *key, *text;
    const struct sl_histogram *histogram;
};

/* The stages that were measured, in the order in which they pass. */
static int rows_of(const struct sl_stages *s, const struct sl_bridge_times *bridge,
                   struct row rows[STAGES_MAX])
{
    int count = 0;
    rows[count++] = (struct row){"exposed_to_published", "exposed -> published", &s->to_publish};
    if (bridge == NULL) {
        rows[count++] =
            (struct row){"published_to_detector", "published -> detector began", &s->to_detector};
        rows[count++] = (struct row){"detection", "detection", &s->detection};
    } else {
        rows[count++] =
            (struct row){"published_to_asked", "published -> asked", &bridge->until_asked};
        if (sl_histogram_count(&bridge->encoding) > 0)
            rows[count++] = (struct row){"encoding", "frame to JPEG", &bridge->encoding};
        rows[count++] = (struct row){"wire", "wire, there and back", &bridge->wire};
        rows[count++] = (struct row){"server", "server, but detection", &bridge->server};
        rows[count++] = (struct row){"detection", "detection", &bridge->detection};
    }
    rows[count++] = (struct row){"detection_to_command", "lane there -> command", &s->to_command};
    rows[count++] = (struct row){"whole", "exposed -> command, whole", &s->whole};
    return count;
}

static double ms(uint64_t ns)
{
    return (double)ns / 1e6;
}

void sl_stages_print(const struct sl_stages *stages, const struct sl_bridge_times *bridge, FILE *to)
{
    struct row rows[STAGES_MAX];
    const int count = rows_of(stages, bridge, rows);
    fprintf(to, "  %-30s %9s %9s %9s\n", "where the time went, ms", "p50", "p99", "max");
    for (int i = 0; i < count; i++) {
        const struct sl_histogram *h = rows[i].histogram;
        if (sl_histogram_count(h) == 0)
            continue;
        fprintf(to, "    %-28s %9.3f %9.3f %9.3f\n", rows[i].text,
                ms(sl_histogram_quantile_ns(h, 0.5)), ms(sl_histogram_quantile_ns(h, 0.99)),
                ms(sl_histogram_max_ns(h)));
    }
    if (stages->lockstep)
        fputs("    (lockstep: virtual time has no other stages)\n", to);
    else if (sl_histogram_count(&stages->whole) == 0)
        fputs("    (no command came: nobody drove)\n", to);
}

cJSON *sl_stages_json(const struct sl_stages *stages, const struct sl_bridge_times *bridge)
{
    struct row rows[STAGES_MAX];
    const int count = rows_of(stages, bridge, rows);
    cJSON *o = cJSON_CreateObject();
    for (int i = 0; i < count; i++) {
        const struct sl_histogram *h = rows[i].histogram;
        if (sl_histogram_count(h) == 0) {
            cJSON_AddNullToObject(o, rows[i].key);
            continue;
        }
        cJSON *stage = cJSON_AddObjectToObject(o, rows[i].key);
        const struct {
            const char *key;
            uint64_t ns;
        } figures[] = {{"p50", sl_histogram_quantile_ns(h, 0.5)},
                       {"p99", sl_histogram_quantile_ns(h, 0.99)},
                       {"max", sl_histogram_max_ns(h)}};
        for (size_t k = 0; k < sizeof figures / sizeof figures[0]; k++)
            cJSON_AddNumberToObject(stage, figures[k].key, round(ms(figures[k].ns) * 1e4) / 1e4);
    }
    return o;
}
