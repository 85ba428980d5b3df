/* Remote detection for the simulated vehicle: reads the camera's bus, asks a
 * detection server (docs/protocol.md), writes what it answers to the bus of
 * lanes. A thread of ordinary priority, which neither the world nor the vehicle
 * waits for: the newest frame wins, one question is under way, and a question
 * that is not answered in time is given up and counted.
 *
 * In lockstep the world stands still until its frame's command comes. There, a
 * frame that is given up is published as "lost", so that time goes on; but until
 * a server has answered for the first time its frame is asked for again and
 * again, so that start order does not matter.
 *
 * The server's clock may be another machine's. The lanes that are published
 * have our clock: started_ns is when the question was sent, finished_ns when
 * the answer was here. */
#ifndef SL_TOOLS_SIM_PROGRAM_BRIDGE_H
#define SL_TOOLS_SIM_PROGRAM_BRIDGE_H

#include <stdbool.h>
#include <stdint.h>

#include "app/config/settings.h"
#include "rt/error.h"
#include "rt/histogram.h"

struct sl_bridge; /* opaque */

struct sl_bridge_config {
    const struct sl_settings *settings; /* bus names; outlives the bridge */
    bool insecure;                      /* the server asks for no keys */
    const char *url;                    /* tcp://HOST:PORT; outlives the bridge */
    uint64_t timeout_ns;                /* then a question is given up */
    int jpeg_quality;                   /* 1 to 100: frames go as JPEG; 0: as they are */
    bool lockstep;
};

struct sl_bridge_status {
    uint64_t asked;    /* questions sent */
    uint64_t bytes;    /* of their pictures */
    uint64_t answered; /* with a lane, in time */
    uint64_t given_up; /* not answered in time */
    uint64_t unasked;  /* frames while no server was connected */
    uint64_t refused;  /* answered with a problem, or with what is no answer */
    uint64_t late;     /* answers to questions that were given up */
};

/* Durations of answered questions. Those of the server are by its clock; the
 * wire is what remains of the time between question and answer. */
struct sl_bridge_times {
    struct sl_histogram until_asked; /* frame published -> question sent, but for making it a
                                      * JPEG; empty in lockstep */
    struct sl_histogram encoding;    /* making it a JPEG; empty where frames go as they are */
    struct sl_histogram wire;        /* there and back */
    struct sl_histogram server;      /* waiting for its turn, reading the picture, the rest */
    struct sl_histogram detection;
};

/* Opens client and buses; does not wait for a server. 0; -EINVAL (url); -EBUSY
 * (another process writes the lanes); -ENOMEM. */
int sl_bridge_open(struct sl_bridge **bridge, const struct sl_bridge_config *config,
                   struct sl_error *err);
int sl_bridge_start(struct sl_bridge *bridge, struct sl_error *err); /* 0 or -EAGAIN */
void sl_bridge_close(struct sl_bridge *bridge);                      /* NULL is allowed */

/* Any thread. */
void sl_bridge_status(struct sl_bridge *bridge, struct sl_bridge_status *status);
const struct sl_bridge_times *sl_bridge_times(const struct sl_bridge *bridge);

/* True if there is something that the user should know since the last call:
 * nobody answers, somebody answers again, frames are refused. Any thread. */
bool sl_bridge_news(struct sl_bridge *bridge, struct sl_error *news);

#endif
