/* Detection for clients on other machines, or in other processes. Each client
 * has a detector of its own, since tracking is about what one camera saw. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/config/convert.h"
#include "detect_server.h"
#include "rt/cli.h"
#include "rt/clock.h"

#define VERB        "detect"
#define WAIT_NS     (50 * SL_NS_PER_MS)
#define REFUSED_MAX 10  /* refusals that are told; the rest is counted */
#define GREETED_MAX 100 /* clients */

struct zmq_server {
    const struct sl_detect_serve *options;
    struct sl_detect_config config;
    struct sl_detect_server *socket;
    struct sl_picture_reader pictures;
    uint8_t *memory;                                      /* of all detectors */
    struct sl_detector *detectors[SL_DETECT_CLIENTS_MAX]; /* one for each place */
    struct sl_detect_tally tally;
    uint64_t refused; /* that were told */
    bool told_full;
};

static void say(const struct zmq_server *server, enum sl_log_level level,
                const struct sl_error *what)
{
    sl_log(server->options->log, level, "{}", sl_log_copy(what->text));
}

/* The lane in a picture whose header was checked. The reply's status. */
static uint32_t detect(struct zmq_server *server, const struct sl_detect_question *question,
                       struct sl_detect_reply *reply)
{
    struct sl_frame_info frame;
    const struct sl_frame_info *info = &question->request.frame;
    struct sl_detector *detector = server->detectors[question->place];
    const void *pixels;
    if (question->request.reset)
        sl_detector_reset(detector);
    const uint64_t began_ns = sl_clock_now_ns();
    if (sl_picture_read(&server->pictures, info, question->picture, &frame, &pixels,
                        &reply->problem) != 0)
        return SL_DETECT_BAD_PICTURE;
    struct sl_detection *lane = &reply->lane;
    const uint64_t started_ns = sl_clock_now_ns();
    if (sl_detector_run(detector, &frame, pixels, lane) != 0) {
        sl_error_set(&reply->problem, 0, "the detector does not read this pixel format");
        return SL_DETECT_BAD_PICTURE;
    }
    lane->frame_id = info->frame_id;
    lane->exposed_ns = info->exposed_ns;
    lane->received_ns = info->received_ns;
    lane->started_ns = started_ns;
    lane->finished_ns = sl_clock_now_ns();
    reply->decoded_ns = started_ns - began_ns;
    reply->detected_ns = lane->finished_ns - started_ns;
    return SL_DETECT_OK;
}

/* A client's first question. */
static void greet(struct zmq_server *server, const struct sl_detect_question *question)
{
    const struct sl_detect_server_stats *stats = sl_detect_server_stats(server->socket);
    struct sl_error what;
    sl_detector_reset(server->detectors[question->place]);
    if (question->client <= GREETED_MAX) {
        sl_error_set(&what, 0, "client %" PRIu64 " asks%s", question->client,
                     question->client == GREETED_MAX ? "; further ones are counted" : "");
        say(server, SL_LOG_INFO, &what);
    }
    if (stats->gave_way > 0 && !server->told_full) {
        sl_error_set(&what, 0,
                     "more than %d clients ask: the least recently seen gives way, and its "
                     "tracking begins anew when it asks again",
                     SL_DETECT_CLIENTS_MAX);
        say(server, SL_LOG_WARNING, &what);
        server->told_full = true;
    }
}

static void tell_refusals(struct zmq_server *server)
{
    const struct sl_detect_server_stats *stats = sl_detect_server_stats(server->socket);
    if (server->refused == stats->refused || server->refused >= REFUSED_MAX)
        return;
    server->refused = stats->refused;
    struct sl_error what;
    sl_error_set(&what, 0, "refused a message: %s%s", stats->last_refusal.text,
                 server->refused >= REFUSED_MAX ? "; further ones are counted" : "");
    say(server, SL_LOG_WARNING, &what);
}

static void answer(struct zmq_server *server, const struct sl_detect_question *question)
{
    struct sl_detect_reply reply = {0};
    const uint64_t began_ns = sl_clock_now_ns();
    if (question->first)
        greet(server, question);
    reply.status = detect(server, question, &reply);
    sl_detect_server_reply(server->socket, question, &reply, began_ns);
    if (reply.status == SL_DETECT_OK) {
        sl_detect_tally_add(&server->tally, &reply.lane);
        return;
    }
    if (server->tally.unusable++ == 0) {
        sl_error_prefix(&reply.problem,
                        "client %" PRIu64
                        " sent a picture that cannot be read, and others will not be told",
                        question->client);
        say(server, SL_LOG_WARNING, &reply.problem);
    }
}

static int start(struct zmq_server *server, struct sl_error *err)
{
    const struct sl_detect_serve *options = server->options;
    sl_settings_detect(options->settings, &server->config);
    server->config.track = 1;
    server->memory = aligned_alloc(64, SL_DETECT_CLIENTS_MAX * sl_detector_size());
    if (server->memory == NULL)
        return sl_error_set(err, -ENOMEM, "no memory for %d detectors", SL_DETECT_CLIENTS_MAX);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < SL_DETECT_CLIENTS_MAX; i++) {
        server->detectors[i] =
            (struct sl_detector *)(void *)(server->memory + i * sl_detector_size());
        rc = sl_detector_init(server->detectors[i], &server->config, err);
    }
    if (rc == 0)
        rc = sl_picture_reader_open(&server->pictures, err);
    if (rc == 0)
        rc = sl_detect_server_open(&server->socket, options->host, options->port, options->insecure,
                                   err);
    return rc;
}

static int serve(struct zmq_server *server, struct sl_error *err)
{
    struct sl_error what;
    sl_error_set(&what, 0, "listens on %s; waits for clients",
                 sl_detect_server_endpoint(server->socket));
    say(server, SL_LOG_INFO, &what);
    if (sl_detect_server_advice(server->socket, &what))
        say(server, server->options->insecure > 0 ? SL_LOG_WARNING : SL_LOG_INFO, &what);
    int rc = 0;
    while (!sl_cli_stop_wanted() && (rc == 0 || rc == -EAGAIN)) {
        struct sl_detect_question question;
        rc = sl_detect_server_next(server->socket, sl_clock_now_ns() + WAIT_NS, &question, err);
        if (rc == 0)
            answer(server, &question);
        tell_refusals(server);
    }
    return rc == -EAGAIN ? 0 : rc;
}

int sl_detect_serve_zmq(const struct sl_detect_serve *options)
{
    struct sl_error err = {0};
    struct zmq_server *server = calloc(1, sizeof *server);
    if (server == NULL) {
        fprintf(stderr, "skylane " VERB ": no memory to start\n");
        return SL_EXIT_FAILED;
    }
    server->options = options;
    int rc = start(server, &err);
    if (rc == 0)
        rc = serve(server, &err);
    if (rc != 0)
        fprintf(stderr, "skylane " VERB ": %s\n", err.text);
    else
        rc = sl_detect_tally_print(&server->tally, sl_detect_server_stats(server->socket),
                                   options->json);
    sl_detect_server_close(server->socket);
    sl_picture_reader_close(&server->pictures);
    free(server->memory);
    free(server);
    return rc == 0 ? SL_EXIT_OK : SL_EXIT_FAILED;
}
