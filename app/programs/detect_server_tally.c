#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include <cjson/cJSON.h>

#include "detect_server.h"

void sl_detect_tally_add(struct sl_detect_tally *tally, const struct sl_detection *found)
{
    if (tally->frames++ == 0)
        tally->first_ns = found->finished_ns;
    tally->last_ns = found->finished_ns;
    tally->states[found->state <= SL_LANE_TWO_LINES ? found->state : SL_LANE_LOST]++;
    sl_histogram_add(&tally->detection, found->finished_ns - found->started_ns);
}

static double seconds_of(const struct sl_detect_tally *tally)
{
    return (double)(tally->last_ns - tally->first_ns) / 1e9;
}

static double rate_of(const struct sl_detect_tally *tally)
{
    return tally->frames > 1 && tally->last_ns > tally->first_ns
               ? (double)(tally->frames - 1) / seconds_of(tally)
               : 0;
}

static double us(const struct sl_histogram *histogram, double quantile)
{
    return (double)sl_histogram_quantile_ns(histogram, quantile) / 1e3;
}

static void add_histogram(cJSON *to, const char *name, const struct sl_histogram *histogram)
{
    if (sl_histogram_count(histogram) == 0) {
        cJSON_AddNullToObject(to, name);
        return;
    }
    cJSON *o = cJSON_AddObjectToObject(to, name);
    cJSON_AddNumberToObject(o, "p50", us(histogram, 0.5));
    cJSON_AddNumberToObject(o, "p99", us(histogram, 0.99));
    cJSON_AddNumberToObject(o, "max", (double)sl_histogram_max_ns(histogram) / 1e3);
}

static bool print_json(const struct sl_detect_tally *tally,
                       const struct sl_detect_server_stats *zmq)
{
    cJSON *o = cJSON_CreateObject();
    cJSON_AddNumberToObject(o, "frames", (double)tally->frames);
    cJSON_AddNumberToObject(o, "seconds", round(seconds_of(tally) * 1e3) / 1e3);
    cJSON_AddNumberToObject(o, "fps", round(rate_of(tally) * 1e2) / 1e2);
    cJSON_AddNumberToObject(o, "two_lines", (double)tally->states[SL_LANE_TWO_LINES]);
    cJSON_AddNumberToObject(o, "one_line", (double)tally->states[SL_LANE_ONE_LINE]);
    cJSON_AddNumberToObject(o, "lost", (double)tally->states[SL_LANE_LOST]);
    cJSON_AddNumberToObject(o, "unusable", (double)tally->unusable);
    if (zmq == NULL) {
        cJSON_AddNumberToObject(o, "missed", (double)tally->missed);
        cJSON_AddNumberToObject(o, "overrun", (double)tally->overrun);
    } else {
        cJSON_AddNumberToObject(o, "clients", (double)zmq->clients);
        cJSON_AddNumberToObject(o, "gave_way", (double)zmq->gave_way);
        cJSON_AddNumberToObject(o, "superseded", (double)zmq->superseded);
        cJSON_AddNumberToObject(o, "refused", (double)zmq->refused);
    }
    add_histogram(o, "detection_us", &tally->detection);
    if (zmq == NULL)
        add_histogram(o, "age_us", &tally->age);
    char *text = cJSON_Print(o);
    const bool good = text != NULL && puts(text) >= 0;
    free(text);
    cJSON_Delete(o);
    return good;
}

static void print_text(const struct sl_detect_tally *tally,
                       const struct sl_detect_server_stats *zmq)
{
    printf("%" PRIu64 " frames, %.1f a second: %" PRIu64 " two lines, %" PRIu64
           " one line, %" PRIu64 " lost\n",
           tally->frames, rate_of(tally), tally->states[SL_LANE_TWO_LINES],
           tally->states[SL_LANE_ONE_LINE], tally->states[SL_LANE_LOST]);
    if (tally->frames > 0)
        printf("  detection   p50 %.0f us   p99 %.0f us   max %.0f us\n",
               us(&tally->detection, 0.5), us(&tally->detection, 0.99),
               (double)sl_histogram_max_ns(&tally->detection) / 1e3);
    if (sl_histogram_count(&tally->age) > 0)
        printf("  age         p50 %.2f ms   p99 %.2f ms   max %.2f ms, from the exposure\n",
               us(&tally->age, 0.5) / 1e3, us(&tally->age, 0.99) / 1e3,
               (double)sl_histogram_max_ns(&tally->age) / 1e6);
    if (zmq == NULL)
        printf("  not used    %" PRIu64 " passed over for newer ones, %" PRIu64
               " overwritten meanwhile, %" PRIu64 " unreadable\n",
               tally->missed, tally->overrun, tally->unusable);
    else
        printf("  clients     %" PRIu64 "; %" PRIu64 " gave way, %" PRIu64
               " questions superseded, %" PRIu64 " refused, %" PRIu64 " pictures unreadable\n",
               zmq->clients, zmq->gave_way, zmq->superseded, zmq->refused, tally->unusable);
}

int sl_detect_tally_print(const struct sl_detect_tally *tally,
                          const struct sl_detect_server_stats *zmq, bool json)
{
    bool good = true;
    if (json)
        good = print_json(tally, zmq);
    else
        print_text(tally, zmq);
    return fflush(stdout) == 0 && good ? 0 : -EIO;
}
