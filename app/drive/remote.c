#include "app/drive/remote.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "app/config/convert.h"
#include "app/drive/remote_lane.h"
#include "net/detect_client.h"
#include "rt/bus.h"
#include "rt/clock.h"
#include "rt/records.h"
#include "rt/thread.h"

#define WAIT_NS (20 * SL_NS_PER_MS)

struct sl_remote {
    const struct sl_settings *settings;
    uint64_t timeout_ns;
    struct sl_detect_client *client;
    struct sl_bus_reader *frames;
    struct sl_bus_writer *lanes;
    struct sl_thread thread;
    _Atomic bool stop;
    _Atomic bool reset; /* the server shall forget the frames before */
    uint64_t attached;  /* the thread's own: to which camera */

    pthread_mutex_t lock; /* guards what follows; no real-time thread takes it */
    struct sl_drive_remote counts;
    uint64_t given_up; /* questions; those whose answer still comes are late, others lost */
    uint64_t came;     /* of those */
    uint64_t overdue;  /* answers that were here, but after the timeout */
    uint64_t others;   /* answers to nothing that was asked */
    uint64_t nonsense; /* messages that are no answers */
    uint32_t trouble;  /* enum sl_remote_trouble; of the newest frame */
    struct sl_error problem;
};

/* ---- what others see ---- */

static void count(struct sl_remote *remote, uint64_t *counter)
{
    pthread_mutex_lock(&remote->lock);
    ++*counter;
    pthread_mutex_unlock(&remote->lock);
}

/* The question under way, or the frame that could not be asked for, is counted
 * and has its reason: empty if there is a lane. */
static void note(struct sl_remote *remote, uint64_t *counter, uint32_t trouble,
                 const struct sl_error *why)
{
    pthread_mutex_lock(&remote->lock);
    ++*counter;
    remote->trouble = trouble;
    remote->problem = *why;
    pthread_mutex_unlock(&remote->lock);
}

void sl_remote_counts(struct sl_remote *remote, struct sl_drive_remote *counts)
{
    pthread_mutex_lock(&remote->lock);
    *counts = remote->counts;
    counts->late = remote->came + remote->overdue;
    counts->lost = remote->given_up - remote->came;
    counts->unwanted = remote->others + remote->nonsense;
    pthread_mutex_unlock(&remote->lock);
}

uint32_t sl_remote_problem(struct sl_remote *remote, struct sl_error *why)
{
    pthread_mutex_lock(&remote->lock);
    *why = remote->problem;
    const uint32_t trouble = remote->trouble;
    pthread_mutex_unlock(&remote->lock);
    return trouble;
}

void sl_remote_reset(struct sl_remote *remote)
{
    atomic_store_explicit(&remote->reset, true, memory_order_relaxed);
}

/* ---- one frame ---- */

static bool stopping(const struct sl_remote *remote)
{
    return atomic_load_explicit(&remote->stop, memory_order_relaxed);
}

/* What the client counts itself. */
static void update_counts(struct sl_remote *remote)
{
    pthread_mutex_lock(&remote->lock);
    remote->came = sl_detect_client_late(remote->client);
    remote->others = sl_detect_client_unwanted(remote->client);
    pthread_mutex_unlock(&remote->lock);
}

/* Together: who reads the counts meanwhile finds bytes for each question. */
static void count_question(struct sl_remote *remote)
{
    pthread_mutex_lock(&remote->lock);
    remote->counts.asked++;
    remote->counts.sent_bytes = sl_detect_client_sent_bytes(remote->client);
    pthread_mutex_unlock(&remote->lock);
}

static void publish(struct sl_remote *remote, const struct sl_bus_view *view,
                    const struct sl_frame_info *info, const struct sl_detect_answer *answer,
                    uint64_t began_ns)
{
    struct sl_detection lane = answer->reply.lane;
    lane.frame_id = info->frame_id;
    lane.exposed_ns = info->exposed_ns;
    lane.received_ns = view->published_ns;
    lane.started_ns = began_ns;
    lane.finished_ns = answer->answered_ns;
    sl_bus_write(remote->lanes, &lane, sizeof lane, lane.exposed_ns);
}

static void take_answer(struct sl_remote *remote, const struct sl_bus_view *view,
                        const struct sl_frame_info *info, struct sl_detect_answer *answer,
                        uint64_t began_ns)
{
    struct sl_detect_reply *reply = &answer->reply;
    struct sl_error why;
    if (reply->status != SL_DETECT_OK) {
        note(remote, &remote->counts.refused, SL_REMOTE_REFUSES, &reply->problem);
    } else if (sl_remote_lane_check(&reply->lane, info, remote->settings->detect.lane_width_m,
                                    &why) != 0) {
        note(remote, &remote->counts.refused, SL_REMOTE_REFUSES, &why);
    } else if (answer->answered_ns > began_ns + remote->timeout_ns) {
        sl_error_set(&why, 0, "its answers come too late");
        note(remote, &remote->overdue, SL_REMOTE_SILENT, &why);
    } else {
        note(remote, &remote->counts.answered, SL_REMOTE_FINE, &(const struct sl_error){0});
        publish(remote, view, info, answer, began_ns);
    }
}

/* Until the question is answered or given up. What comes and is no answer to it
 * does not end it: a peer that sends nonsense delays nothing. */
static void await(struct sl_remote *remote, const struct sl_bus_view *view,
                  const struct sl_frame_info *info, uint64_t began_ns)
{
    const uint64_t give_up_ns = began_ns + remote->timeout_ns;
    uint32_t trouble = SL_REMOTE_SILENT;
    struct sl_error why;
    sl_error_set(&why, 0,
                 "it is connected, but does not answer within %.0f ms; a longer "
                 "detect.timeout_ms or less load there may help",
                 (double)remote->timeout_ns / 1e6);
    for (;;) {
        const uint64_t now = sl_clock_now_ns();
        const uint64_t until = now + WAIT_NS < give_up_ns ? now + WAIT_NS : give_up_ns;
        struct sl_detect_answer answer;
        struct sl_error wrong;
        const int rc = sl_detect_client_wait(remote->client, until, &answer, &wrong);
        if (rc == 0) {
            take_answer(remote, view, info, &answer, began_ns);
            return;
        }
        if (rc == -EPROTO) {
            count(remote, &remote->nonsense);
            why = wrong;
            trouble = SL_REMOTE_NONSENSE;
        }
        if (stopping(remote) || sl_clock_now_ns() >= give_up_ns) {
            note(remote, &remote->given_up, trouble, &why);
            return;
        }
    }
}

static void one_frame(struct sl_remote *remote, struct sl_bus_view *view)
{
    struct sl_frame_info info;
    struct sl_error why;
    const uint64_t began_ns = sl_clock_now_ns();
    const uint64_t attached = sl_bus_reader_attached(remote->frames);
    memcpy(&info, view->meta, sizeof info);
    bool reset = atomic_exchange_explicit(&remote->reset, false, memory_order_relaxed);
    reset = attached != remote->attached || reset;
    /* The frame may come from another process: nothing in it is trusted. */
    int rc = sl_frame_check(&info, view->size, &why);
    if (rc == 0)
        rc = sl_detect_client_ask(remote->client, &info, view->data, reset, 0, &why);
    if (rc == -EAGAIN)
        sl_error_set(&why, 0,
                     "no server takes questions there; start one with \"skylane detect --port "
                     "%s\", or check that it does not hang, address and firewall",
                     strrchr(remote->settings->detect.url, ':') + 1);
    const bool whole = sl_bus_release(remote->frames, view) == 0;
    remote->attached = attached;
    /* A frame that was overwritten meanwhile may be half another: the server
     * shall forget it, and its answer is not waited for. */
    if (!whole || (reset && rc != 0))
        sl_remote_reset(remote);
    if (rc != 0) {
        note(remote, &remote->counts.unasked, rc == -EAGAIN ? SL_REMOTE_NOBODY : SL_REMOTE_REFUSES,
             &why);
        return;
    }
    count_question(remote);
    if (whole)
        await(remote, view, &info, began_ns);
    else
        count(remote, &remote->given_up);
    update_counts(remote);
}

static void *remote_main(void *argument)
{
    struct sl_remote *remote = argument;
    while (!stopping(remote)) {
        struct sl_bus_view view;
        int rc = sl_bus_wait(remote->frames, sl_clock_now_ns() + WAIT_NS);
        if (rc == 0)
            rc = sl_bus_acquire_newest(remote->frames, &view);
        if (rc == 0)
            one_frame(remote, &view);
    }
    return NULL;
}

/* ---- opening ---- */

static int open_buses(struct sl_remote *remote, struct sl_error *err)
{
    const struct sl_settings *s = remote->settings;
    const struct sl_bus_reader_config frames = {.name = s->bus.camera,
                                                .type = SL_RECORD_FRAME,
                                                .min_bytes = 1,
                                                .writers = sl_settings_bus_writers(s)};
    struct sl_bus_writer_config lanes = {.name = s->bus.remote,
                                         .type = SL_RECORD_DETECTION,
                                         .slot_count = SL_BUS_RECORD_SLOTS,
                                         .slot_bytes = sizeof(struct sl_detection)};
    sl_settings_bus_rights(s, &lanes);
    const int rc = sl_bus_writer_open(&remote->lanes, &lanes, err);
    return rc != 0 ? rc : sl_bus_reader_open(&remote->frames, &frames, err);
}

int sl_remote_open(struct sl_remote **out, const struct sl_settings *settings, bool insecure,
                   struct sl_error *err)
{
    *out = NULL;
    struct sl_remote *remote = calloc(1, sizeof *remote);
    if (remote == NULL)
        return sl_error_set(err, -ENOMEM, "no memory for remote detection");
    const char *url = settings->detect.url;
    remote->settings = settings;
    remote->timeout_ns = sl_settings_remote_timeout_ns(settings);
    pthread_mutex_init(&remote->lock, NULL);
    int rc = sl_detect_client_open(&remote->client, url, insecure, err);
    if (rc == 0) {
        remote->counts.jpeg_quality = settings->detect.jpeg >= 0 ? (int)settings->detect.jpeg
                                                                 : sl_detect_client_usual_jpeg(url);
        rc = sl_detect_client_use_jpeg(remote->client, remote->counts.jpeg_quality, err);
    }
    remote->counts.timeout_ns = remote->timeout_ns;
    if (rc == 0)
        rc = open_buses(remote, err);
    if (rc != 0) {
        sl_remote_close(remote);
        return rc;
    }
    *out = remote;
    return 0;
}

int sl_remote_start(struct sl_remote *remote, struct sl_error *err)
{
    const struct sl_thread_config config = {.name = "sl-remote", .cpu = -1};
    return sl_thread_start(&remote->thread, &config, remote_main, remote, err);
}

void sl_remote_stop(struct sl_remote *remote)
{
    atomic_store_explicit(&remote->stop, true, memory_order_relaxed);
    sl_thread_join(&remote->thread);
}

void sl_remote_close(struct sl_remote *remote)
{
    if (remote == NULL)
        return;
    sl_remote_stop(remote);
    sl_bus_reader_close(remote->frames);
    sl_bus_writer_close(remote->lanes);
    sl_detect_client_close(remote->client);
    pthread_mutex_destroy(&remote->lock);
    free(remote);
}
