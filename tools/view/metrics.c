#include "tools/view/metrics.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rt/clock.h"
#include "tools/view/websocket.h"

static void head(FILE *to, const char *name, const char *type, const char *help)
{
    fprintf(to, "# HELP skylane_view_%s %s\n# TYPE skylane_view_%s %s\n", name, help, name, type);
}

static void count(FILE *to, const char *name, const char *help, uint64_t value)
{
    head(to, name, "counter", help);
    fprintf(to, "skylane_view_%s %" PRIu64 "\n", name, value);
}

static void gauge(FILE *to, const char *name, const char *help, double value)
{
    head(to, name, "gauge", help);
    fprintf(to, "skylane_view_%s %.6g\n", name, value);
}

static void ages(FILE *to, const char *name, const char *help, const struct sl_histogram *h)
{
    static const double QUANTILES[] = {0.5, 0.99, 1.0};
    head(to, name, "gauge", help);
    for (size_t i = 0; sl_histogram_count(h) > 0 && i < 3; i++)
        fprintf(to, "skylane_view_%s{quantile=\"%g\"} %.6f\n", name, QUANTILES[i],
                (double)sl_histogram_quantile_ns(h, QUANTILES[i]) / 1e9);
}

static void frames(FILE *to, const struct view_server *server)
{
    const struct view_counts *c = &server->vehicle.counts;
    head(to, "messages_received_total", "counter", "Messages of the broadcast by topic.");
    for (unsigned i = 0; i < VIEW_TOPICS; i++)
        fprintf(to, "skylane_view_messages_received_total{topic=\"%s\"} %" PRIu64 "\n",
                view_topic_name((enum view_topic)i), c->received[i]);
    head(to, "messages_lost_total", "counter", "Gaps in the numbers of messages by topic.");
    for (unsigned i = 0; i < VIEW_TOPICS; i++)
        fprintf(to, "skylane_view_messages_lost_total{topic=\"%s\"} %" PRIu64 "\n",
                view_topic_name((enum view_topic)i), c->lost[i]);
    count(to, "frames_received_total", "Frames that came.", c->received[VIEW_FRAME]);
    count(to, "frames_shown_total", "Frames that browsers drew.", c->shown);
    head(to, "frames_dropped_total", "counter", "Frames not shown, by cause.");
    fprintf(to,
            "skylane_view_frames_dropped_total{cause=\"lost\"} %" PRIu64 "\n"
            "skylane_view_frames_dropped_total{cause=\"overtaken\"} %" PRIu64 "\n"
            "skylane_view_frames_dropped_total{cause=\"browser\"} %" PRIu64 "\n",
            c->lost[VIEW_FRAME], c->overtaken, server->not_taken);
    count(to, "frame_bytes_total", "Bytes of JPEG that came.", c->bytes);
    count(to, "garbage_total", "Messages of the vehicle that could not be read.", c->garbage);
    count(to, "sessions_total", "Starts of the vehicle's broadcast that were seen.", c->sessions);
    ages(to, "frame_age_seconds", "From capture to arrival here.", &server->vehicle.age);
    ages(to, "frame_shown_age_seconds", "From capture to screen.", &server->vehicle.shown);
}

struct view_buffer *view_metrics_text(const struct view_server *server)
{
    const struct view_vehicle *vehicle = &server->vehicle;
    char *text = NULL;
    size_t size = 0;
    FILE *to = open_memstream(&text, &size);
    if (to == NULL)
        return NULL;
    int64_t offset_ns;
    uint64_t bound_ns;
    gauge(to, "link_up", "1 while the vehicle is heard.",
          vehicle->link == VIEW_LIVE || vehicle->link == VIEW_NO_VEHICLE);
    gauge(to, "vehicle_drives", "1 while its control process publishes.",
          vehicle->link == VIEW_LIVE);
    if (view_clock_offset(&vehicle->clock, sl_clock_now_ns(), &offset_ns, &bound_ns))
        gauge(to, "clock_bound_seconds", "How far off the clocks' offset can be.",
              (double)bound_ns / 1e9);
    gauge(to, "received_hz", "Frames a second that come.", vehicle->received_hz);
    gauge(to, "shown_hz", "Frames a second that the best browser shows.",
          view_websocket_shown_hz(server));
    gauge(to, "browsers", "Browsers that watch.", server->browser_count);
    frames(to, server);
    head(to, "answers_total", "counter", "Actions of browsers by result.");
    fprintf(to,
            "skylane_view_answers_total{result=\"accepted\"} %" PRIu64 "\n"
            "skylane_view_answers_total{result=\"refused\"} %" PRIu64 "\n"
            "skylane_view_answers_total{result=\"no_answer\"} %" PRIu64 "\n",
            server->actions.accepted, server->actions.refused, server->actions.unanswered);
    count(to, "requests_refused_total", "Requests without token, or from strange pages.",
          server->refused_requests);
    count(to, "texts_dropped_total", "Answers that browsers did not take.", server->texts_dropped);
    const struct sl_figures *figures = view_vehicle_figures(vehicle, sl_clock_now_ns());
    if (figures != NULL)
        sl_figures_print(to, figures);
    if (fclose(to) != 0) {
        free(text);
        return NULL;
    }
    struct view_buffer *buffer = view_buffer_create(size);
    if (buffer != NULL)
        memcpy(view_buffer_bytes(buffer), text, size);
    free(text);
    return buffer;
}
