/* Actions that were asked and wait for the vehicle's answer. One thread. */
#ifndef SL_TOOLS_VIEW_ACTIONS_H
#define SL_TOOLS_VIEW_ACTIONS_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

#include "tools/view/link.h"
#include "tools/view/message.h"

#define VIEW_ACTIONS_PENDING 64
#define VIEW_ID_MAX          64
#define VIEW_ASKER_ID_MAX    32

/* Who asked: a browser's number, or 0 for the viewer itself (pings). */
struct view_asker {
    uint64_t browser;
    char id[VIEW_ASKER_ID_MAX + 1]; /* the browser's own name for its question */
};

struct view_action_pending {
    bool used;
    struct view_asker asker;
    char id[VIEW_ID_MAX + 1];
    char name[33];
    uint64_t asked_ns, give_up_ns, again_ns;
    char *metadata; /* of a stop: it is sent until it is answered */
};

struct view_actions {
    struct view_link *link;
    char client[VIEW_ID_MAX + 1]; /* who we are, for people */
    char prefix[17];              /* of our ids: another for each start */
    uint64_t seq;
    struct view_action_pending pending[VIEW_ACTIONS_PENDING];
    uint64_t sent, accepted, refused, unanswered;
};

/* How an answer is told: `text` is the sentence for people. */
typedef void view_answer_fn(void *context, const struct view_asker *asker, const char *name,
                            bool accepted, const char *reason, const char *text, double took_ms);

/* A new identity; seq begins at wall-clock milliseconds, so that a restarted
 * viewer goes on rising. 0, or -EIO if the system has no random numbers. */
int view_actions_init(struct view_actions *actions, struct view_link *link, struct sl_error *err);
void view_actions_clear(struct view_actions *actions);

struct view_action_request {
    struct view_asker asker;
    const char *name;
    const cJSON *args;       /* NULL: none */
    const char *session;     /* the vehicle's; empty if not known */
    uint64_t vehicle_now_ns; /* as estimated */
    uint32_t expires_ms;
    bool answered; /* false: the vehicle does not answer this one */
};

/* Sends one. 0; -EBUSY if too many wait for answers; -ENOMEM. `now_ns` is the
 * viewer's clock. */
int view_actions_send(struct view_actions *actions, const struct view_action_request *request,
                      uint64_t now_ns);

/* Looks through `answers` of a state for ours; each is told once. Pings are
 * told to `pong`: asked, taken (vehicle's clock). */
void view_actions_answers(struct view_actions *actions, const cJSON *answers, uint64_t now_ns,
                          view_answer_fn *answer,
                          void (*pong)(void *context, uint64_t asked_ns, uint64_t taken_ns),
                          void *context);

/* Repeats stops that nobody answered yet, and tells those that waited too
 * long. To be called some ten times a second. */
void view_actions_tick(struct view_actions *actions, uint64_t now_ns, view_answer_fn *answer,
                       void *context);

/* Whether a name may be one: 1 to 32 of a-z and _. */
bool view_action_name_ok(const char *name);

#endif
