/* What the viewer knows of the vehicle: the newest of each topic, the clocks'
 * offset, and counts. Fed by the link, read by browsers and HTTP. One thread. */
#ifndef SL_TOOLS_VIEW_VEHICLE_H
#define SL_TOOLS_VIEW_VEHICLE_H

#include <stdbool.h>
#include <stdint.h>

#include "net/figures.h"
#include "rt/histogram.h"
#include "tools/view/buffer.h"
#include "tools/view/clock.h"
#include "tools/view/link.h"

#define VIEW_DETECTIONS 64
#define VIEW_LOGS       50

enum view_link_state {
    VIEW_CONNECTING,   /* nothing has come yet */
    VIEW_LIVE,         /* states come, the vehicle's control runs */
    VIEW_NO_VEHICLE,   /* states come, and say that control does not run */
    VIEW_RECONNECTING, /* nothing has come for 0.3 s */
};

struct view_frame {
    struct view_buffer *buffer; /* NULL: none yet */
    uint64_t number;            /* counts those that were kept, from 1 */
    uint64_t frame_id, arrived_ns;
    uint64_t exposed_ns; /* vehicle's clock */
};

struct view_detection {
    struct view_buffer *text; /* NULL: none */
    uint64_t number, frame_id;
};

struct view_counts {
    uint64_t received[VIEW_TOPICS];
    uint64_t lost[VIEW_TOPICS]; /* gaps in seq: the network or a full queue */
    uint64_t overtaken;         /* frames that were not the newest any more */
    uint64_t garbage, sessions, bytes;
    uint64_t shown; /* by browsers */
};

struct view_vehicle {
    const char *endpoint; /* for sentences */
    char session[VIEW_SESSION_LENGTH + 1];
    uint64_t started_ns, heard_ns, state_ns, since_ns; /* viewer's clock */
    enum view_link_state link;
    bool connected, insecure;
    bool refused; /* it turned us away */
    char name[65];

    struct view_clock clock;
    uint64_t last_seq[VIEW_TOPICS];
    struct view_counts counts;
    struct sl_histogram age;   /* of frames, capture to arrival here */
    struct sl_histogram shown; /* capture to screen, as browsers tell */
    double age_ms_sum;         /* since the last report */
    unsigned age_ms_count;
    uint64_t rate_since_ns; /* received_hz is counted from here */
    unsigned rate_count;
    double received_hz;

    struct view_frame frame;
    struct view_detection detections[VIEW_DETECTIONS];
    uint64_t detection_number, state_number, trace_number, log_number;
    struct view_buffer *state, *trace;
    struct view_buffer *logs[VIEW_LOGS];
    struct sl_figures figures;
    uint64_t figures_ns;    /* when they came; 0: none of this session did */
    char garbage_text[256]; /* the last one's sentence */
};

void view_vehicle_init(struct view_vehicle *vehicle, const char *endpoint, uint64_t now_ns);
void view_vehicle_clear(struct view_vehicle *vehicle);

/* A checked message; `arrived_ns` in the viewer's clock. */
void view_vehicle_take(struct view_vehicle *vehicle, const struct view_message *message,
                       const void *payload, size_t payload_bytes, uint64_t arrived_ns);

/* A frame that is not shown because a newer one had come. */
void view_vehicle_overtaken(struct view_vehicle *vehicle, const struct view_message *message);

/* A message that cannot be. */
void view_vehicle_garbage(struct view_vehicle *vehicle, const char *sentence);

/* Looks at the clock: is the link alive? True if that changed. Ten times a
 * second. */
bool view_vehicle_tick(struct view_vehicle *vehicle, uint64_t now_ns);

const char *view_link_state_name(enum view_link_state state);

/* The link as one JSON text for browsers (a new buffer, or NULL), and the
 * member values of /api/state. */
struct view_buffer *view_vehicle_link_text(const struct view_vehicle *vehicle, uint64_t now_ns);

/* The newest frame's mean age on arrival in ms since the last call, or
 * negative if none came or the clocks are not known. */
double view_vehicle_report_age(struct view_vehicle *vehicle);

/* What the vehicle measured of itself, or NULL if it does not tell any more. */
const struct sl_figures *view_vehicle_figures(const struct view_vehicle *vehicle, uint64_t now_ns);

/* The detection of a frame, or NULL. */
const struct view_detection *view_vehicle_detection(const struct view_vehicle *vehicle,
                                                    uint64_t frame_id);

/* The frame's header in its buffer (see websocket.h): written when sent. */
void view_frame_stamp(struct view_frame *frame, const struct view_vehicle *vehicle,
                      uint64_t now_ns);

#define VIEW_FRAME_HEADER 64

#endif
