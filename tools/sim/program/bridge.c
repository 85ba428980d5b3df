#include "tools/sim/program/bridge.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "app/config/convert.h"
#include "net/detect_client.h"
#include "rt/bus.h"
#include "rt/clock.h"
#include "rt/records.h"
#include "rt/thread.h"

#define WAIT_NS  (20 * SL_NS_PER_MS)
#define QUIET_NS SL_NS_PER_S /* one answer that is late is no news */

struct sl_bridge {
    struct sl_bridge_config config;
    struct sl_detect_client *client;
    struct sl_bus_reader *frames, *actions;
    struct sl_bus_writer *lanes;
    struct sl_thread thread;
    _Atomic bool stop;
    struct sl_bridge_times times;

    /* the thread's own */
    bool reset;              /* the server shall forget the frames before */
    bool answered;           /* once at least */
    uint64_t quiet_since_ns; /* of the oldest frame without an answer; 0: none */
    uint64_t quiet_frames;
    bool told_quiet;
    struct sl_error told_refusal;

    pthread_mutex_t lock; /* guards what follows */
    struct sl_bridge_status status;
    struct sl_error news;
    bool has_news;
};

/* ---- what others see ---- */

static void count(struct sl_bridge *bridge, uint64_t *counter)
{
    pthread_mutex_lock(&bridge->lock);
    ++*counter;
    bridge->status.late = sl_detect_client_late(bridge->client);
    pthread_mutex_unlock(&bridge->lock);
}

static void tell(struct sl_bridge *bridge, const struct sl_error *what)
{
    pthread_mutex_lock(&bridge->lock);
    bridge->news = *what;
    bridge->has_news = true;
    pthread_mutex_unlock(&bridge->lock);
}

bool sl_bridge_news(struct sl_bridge *bridge, struct sl_error *news)
{
    pthread_mutex_lock(&bridge->lock);
    const bool has_news = bridge->has_news;
    *news = bridge->news;
    bridge->has_news = false;
    pthread_mutex_unlock(&bridge->lock);
    return has_news;
}

void sl_bridge_status(struct sl_bridge *bridge, struct sl_bridge_status *status)
{
    pthread_mutex_lock(&bridge->lock);
    *status = bridge->status;
    pthread_mutex_unlock(&bridge->lock);
}

const struct sl_bridge_times *sl_bridge_times(const struct sl_bridge *bridge)
{
    return &bridge->times;
}

/* ---- one frame ---- */

static void note_silence(struct sl_bridge *bridge, int rc)
{
    const uint64_t now = sl_clock_now_ns();
    const uint64_t patience =
        bridge->config.timeout_ns > QUIET_NS ? bridge->config.timeout_ns : QUIET_NS;
    if (bridge->quiet_since_ns == 0)
        bridge->quiet_since_ns = now;
    bridge->quiet_frames++;
    if (bridge->told_quiet || now - bridge->quiet_since_ns < patience)
        return;
    struct sl_error what;
    if (rc == -EAGAIN)
        sl_error_set(&what, 0,
                     "nobody answers at %s: goes on asking; start a server with \"skylane detect "
                     "--port %s\", or check address and firewall",
                     bridge->config.url, strrchr(bridge->config.url, ':') + 1);
    else
        sl_error_set(&what, 0,
                     "%s is connected, but answers no question within %.0f ms: goes on asking; a "
                     "longer --detector-timeout may help",
                     bridge->config.url, (double)bridge->config.timeout_ns / 1e6);
    tell(bridge, &what);
    bridge->told_quiet = true;
}

static void note_answer(struct sl_bridge *bridge)
{
    struct sl_error what;
    if (!bridge->answered) {
        sl_error_set(&what, 0, "the detector at %s answers", bridge->config.url);
        tell(bridge, &what);
    } else if (bridge->told_quiet) {
        sl_error_set(&what, 0,
                     "the detector at %s answers again, after %.1f s and %" PRIu64 " frames",
                     bridge->config.url, (double)(sl_clock_now_ns() - bridge->quiet_since_ns) / 1e9,
                     bridge->quiet_frames);
        tell(bridge, &what);
    }
    bridge->answered = true;
    bridge->told_quiet = false;
    bridge->quiet_since_ns = 0;
    bridge->quiet_frames = 0;
}

static void note_refusal(struct sl_bridge *bridge, const struct sl_error *why)
{
    count(bridge, &bridge->status.refused);
    if (strcmp(bridge->told_refusal.text, why->text) == 0)
        return;
    bridge->told_refusal = *why;
    struct sl_error what;
    sl_error_set(&what, 0, "the detector at %s does not take the frames: %s", bridge->config.url,
                 why->text);
    tell(bridge, &what);
}

static void note_times(struct sl_bridge *bridge, const struct sl_detect_answer *answer,
                       uint64_t published_ns)
{
    const struct sl_detect_reply *reply = &answer->reply;
    const uint64_t round_trip_ns = answer->answered_ns - answer->asked_ns;
    const uint64_t total_ns = reply->total_ns < round_trip_ns ? reply->total_ns : round_trip_ns;
    const uint64_t detected_ns = reply->detected_ns < total_ns ? reply->detected_ns : total_ns;
    const uint64_t until_asked_ns = answer->asked_ns - published_ns;
    if (!bridge->config.lockstep)
        sl_histogram_add(&bridge->times.until_asked, until_asked_ns > answer->encoded_ns
                                                         ? until_asked_ns - answer->encoded_ns
                                                         : 0);
    if (bridge->config.jpeg_quality > 0)
        sl_histogram_add(&bridge->times.encoding, answer->encoded_ns);
    sl_histogram_add(&bridge->times.wire, round_trip_ns - total_ns);
    sl_histogram_add(&bridge->times.server, total_ns - detected_ns);
    sl_histogram_add(&bridge->times.detection, detected_ns);
}

static bool stopping(const struct sl_bridge *bridge)
{
    return atomic_load_explicit(&bridge->stop, memory_order_relaxed);
}

/* Sends the frame. Without lockstep there will be a newer one soon, so that
 * nobody waits for a server to take this one. */
static int ask(struct sl_bridge *bridge, const struct sl_frame_info *frame, const void *pixels,
               struct sl_error *err)
{
    const uint64_t give_up = sl_clock_now_ns() + bridge->config.timeout_ns;
    int rc;
    do {
        const uint64_t until = bridge->config.lockstep ? sl_clock_now_ns() + WAIT_NS : 0;
        rc = sl_detect_client_ask(bridge->client, frame, pixels, bridge->reset, until, err);
    } while ((rc == -EAGAIN || rc == -EINTR) && bridge->config.lockstep && !stopping(bridge) &&
             sl_clock_now_ns() < give_up);
    if (rc == 0) {
        bridge->reset = false;
        count(bridge, &bridge->status.asked);
        pthread_mutex_lock(&bridge->lock);
        bridge->status.bytes = sl_detect_client_sent_bytes(bridge->client);
        pthread_mutex_unlock(&bridge->lock);
    } else {
        count(bridge, &bridge->status.unasked);
    }
    return rc;
}

/* 0; -ETIMEDOUT: given up; -EPROTO with the reason. */
static int await(struct sl_bridge *bridge, struct sl_detect_answer *answer, struct sl_error *err)
{
    const uint64_t give_up = sl_clock_now_ns() + bridge->config.timeout_ns;
    for (;;) {
        const uint64_t now = sl_clock_now_ns();
        const uint64_t until = now + WAIT_NS < give_up ? now + WAIT_NS : give_up;
        const int rc = sl_detect_client_wait(bridge->client, until, answer, err);
        if (rc == 0 && answer->reply.status != SL_DETECT_OK)
            return sl_error_set(err, -EPROTO, "%s", answer->reply.problem.text);
        if (rc == 0 || (rc != -EAGAIN && rc != -EINTR))
            return rc;
        if (stopping(bridge) || sl_clock_now_ns() >= give_up) {
            count(bridge, &bridge->status.given_up);
            return -ETIMEDOUT;
        }
    }
}

static void publish(struct sl_bridge *bridge, const struct sl_bus_view *view,
                    const struct sl_frame_info *info, struct sl_detection *lane,
                    uint64_t started_ns)
{
    lane->frame_id = info->frame_id;
    lane->exposed_ns = info->exposed_ns;
    /* In lockstep the frame tells its own time; else the bus knows best. */
    lane->received_ns = bridge->config.lockstep ? info->received_ns : view->published_ns;
    lane->started_ns = started_ns;
    lane->finished_ns = sl_clock_now_ns();
    sl_bus_write(bridge->lanes, lane, sizeof *lane, lane->exposed_ns);
}

static void take_answer(struct sl_bridge *bridge, const struct sl_bus_view *view,
                        const struct sl_frame_info *info, struct sl_detect_answer *answer)
{
    note_times(bridge, answer, view->published_ns);
    publish(bridge, view, info, &answer->reply.lane, answer->asked_ns);
    count(bridge, &bridge->status.answered);
    note_answer(bridge);
}

/* Nothing was found out about this frame. */
static void do_without(struct sl_bridge *bridge, const struct sl_bus_view *view,
                       const struct sl_frame_info *info, int rc, const struct sl_error *why)
{
    if (rc == -EAGAIN || rc == -EINTR || rc == -ETIMEDOUT)
        note_silence(bridge, rc);
    else
        note_refusal(bridge, why);
    if (!bridge->config.lockstep || stopping(bridge))
        return;
    struct sl_detection lost = {.state = SL_LANE_LOST,
                                .frame_width_px = info->width_px,
                                .frame_height_px = info->height_px};
    publish(bridge, view, info, &lost, sl_clock_now_ns());
}

static void obey_actions(struct sl_bridge *bridge)
{
    struct sl_action action;
    while (sl_bus_read_next(bridge->actions, &action, sizeof action, NULL) == 0) {
        if (action.kind == SL_ACTION_RESPAWN)
            bridge->reset = true;
    }
}

static void one_frame(struct sl_bridge *bridge, struct sl_bus_view *view)
{
    struct sl_frame_info info;
    struct sl_detect_answer answer;
    struct sl_error why = {0};
    memcpy(&info, view->meta, sizeof info);
    int rc = ask(bridge, &info, view->data, &why);
    if (sl_bus_release(bridge->frames, view) != 0) {
        /* What was sent may be half another frame. */
        bridge->reset = true;
        return;
    }
    if (rc == 0)
        rc = await(bridge, &answer, &why);
    if (rc == 0)
        take_answer(bridge, view, &info, &answer);
    else
        do_without(bridge, view, &info, rc, &why);
}

/* In lockstep, before any server has answered: the same frame until one does.
 * The world stands still meanwhile, so that its frame can be held. */
static void first_frame(struct sl_bridge *bridge, struct sl_bus_view *view)
{
    struct sl_frame_info info;
    struct sl_detect_answer answer;
    struct sl_error why = {0};
    memcpy(&info, view->meta, sizeof info);
    while (!bridge->answered && !stopping(bridge)) {
        int rc = ask(bridge, &info, view->data, &why);
        if (rc == 0)
            rc = await(bridge, &answer, &why);
        if (rc == 0)
            take_answer(bridge, view, &info, &answer);
        else if (rc == -EAGAIN || rc == -EINTR || rc == -ETIMEDOUT)
            note_silence(bridge, rc);
        else {
            do_without(bridge, view, &info, rc, &why);
            break;
        }
    }
    sl_bus_release(bridge->frames, view);
}

static void *bridge_main(void *argument)
{
    struct sl_bridge *bridge = argument;
    while (!stopping(bridge)) {
        struct sl_bus_view view;
        int rc = sl_bus_wait(bridge->frames, sl_clock_now_ns() + WAIT_NS);
        if (rc == 0)
            rc = sl_bus_acquire_newest(bridge->frames, &view);
        if (rc != 0)
            continue; /* the camera is this program's own: it has just not drawn yet */
        obey_actions(bridge);
        if (bridge->config.lockstep && !bridge->answered)
            first_frame(bridge, &view);
        else
            one_frame(bridge, &view);
    }
    return NULL;
}

/* ---- opening ---- */

static int open_buses(struct sl_bridge *bridge, struct sl_error *err)
{
    const struct sl_settings *s = bridge->config.settings;
    const struct sl_bus_reader_config frames = {
        .name = s->bus.camera, .type = SL_RECORD_FRAME, .min_bytes = 1};
    const struct sl_bus_reader_config actions = {.name = s->bus.action,
                                                 .type = SL_RECORD_ACTION,
                                                 .min_bytes = sizeof(struct sl_action),
                                                 .writers = SL_BUS_WRITERS_ANY};
    struct sl_bus_writer_config lanes = {.name = s->bus.detection,
                                         .type = SL_RECORD_DETECTION,
                                         .slot_count = SL_BUS_RECORD_SLOTS,
                                         .slot_bytes = sizeof(struct sl_detection)};
    sl_settings_bus_rights(s, &lanes);
    int rc = sl_bus_reader_open(&bridge->frames, &frames, err);
    if (rc == 0)
        rc = sl_bus_reader_open(&bridge->actions, &actions, err);
    if (rc == 0)
        rc = sl_bus_writer_open(&bridge->lanes, &lanes, err);
    return rc;
}

int sl_bridge_open(struct sl_bridge **out, const struct sl_bridge_config *config,
                   struct sl_error *err)
{
    *out = NULL;
    struct sl_bridge *bridge = calloc(1, sizeof *bridge);
    if (bridge == NULL)
        return sl_error_set(err, -ENOMEM, "no memory for remote detection");
    bridge->config = *config;
    bridge->reset = true;
    pthread_mutex_init(&bridge->lock, NULL);
    int rc = sl_detect_client_open(&bridge->client, config->url, config->insecure, err);
    if (rc == 0)
        rc = sl_detect_client_use_jpeg(bridge->client, config->jpeg_quality, err);
    if (rc == 0)
        rc = open_buses(bridge, err);
    if (rc != 0) {
        sl_bridge_close(bridge);
        return rc;
    }
    *out = bridge;
    return 0;
}

int sl_bridge_start(struct sl_bridge *bridge, struct sl_error *err)
{
    const struct sl_thread_config config = {.name = "sl-bridge", .cpu = -1};
    return sl_thread_start(&bridge->thread, &config, bridge_main, bridge, err);
}

void sl_bridge_close(struct sl_bridge *bridge)
{
    if (bridge == NULL)
        return;
    atomic_store_explicit(&bridge->stop, true, memory_order_relaxed);
    sl_thread_join(&bridge->thread);
    sl_bus_reader_close(bridge->frames);
    sl_bus_reader_close(bridge->actions);
    sl_bus_writer_close(bridge->lanes);
    sl_detect_client_close(bridge->client);
    pthread_mutex_destroy(&bridge->lock);
    free(bridge);
}
