#include "tools/view/actions.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "rt/clock.h"

#define PATIENCE_NS   (2000 * SL_NS_PER_MS)
#define STOP_AGAIN_NS (100 * SL_NS_PER_MS)

int view_actions_init(struct view_actions *actions, struct view_link *link, struct sl_error *err)
{
    memset(actions, 0, sizeof *actions);
    uint64_t word;
    if (getrandom(&word, sizeof word, 0) != (ssize_t)sizeof word)
        return sl_error_set(err, -EIO, "no random numbers from the system: %s", strerror(errno));
    char host[40] = "laptop";
    gethostname(host, sizeof host - 1);
    host[sizeof host - 1] = '\0';
    /* It stands in messages and on the page. */
    for (char *c = host; *c != '\0'; c++)
        if (strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-", *c) == NULL)
            *c = '-';
    snprintf(actions->prefix, sizeof actions->prefix, "%016" PRIx64, word);
    snprintf(actions->client, sizeof actions->client, "view@%s-%.6s", host, actions->prefix);
    struct timespec wall;
    clock_gettime(CLOCK_REALTIME, &wall);
    actions->seq = (uint64_t)wall.tv_sec * 1000 + (uint64_t)wall.tv_nsec / 1000000;
    actions->link = link;
    return 0;
}

static void forget(struct view_action_pending *pending)
{
    free(pending->metadata);
    memset(pending, 0, sizeof *pending);
}

void view_actions_clear(struct view_actions *actions)
{
    for (size_t i = 0; i < VIEW_ACTIONS_PENDING; i++)
        forget(&actions->pending[i]);
}

bool view_action_name_ok(const char *name)
{
    const size_t length = strlen(name);
    return length >= 1 && length <= 32 && strspn(name, "abcdefghijklmnopqrstuvwxyz_") == length;
}

static char *write_metadata(const struct view_actions *actions,
                            const struct view_action_request *request, const char *id)
{
    cJSON *meta = cJSON_CreateObject();
    bool ok = cJSON_AddNumberToObject(meta, "v", 1) != NULL &&
              cJSON_AddStringToObject(meta, "session", request->session) != NULL &&
              cJSON_AddStringToObject(meta, "id", id) != NULL &&
              cJSON_AddStringToObject(meta, "name", request->name) != NULL &&
              cJSON_AddNumberToObject(meta, "seq", (double)actions->seq) != NULL &&
              cJSON_AddNumberToObject(meta, "issued_ns", (double)request->vehicle_now_ns) != NULL &&
              cJSON_AddNumberToObject(meta, "expires_ms", request->expires_ms) != NULL &&
              cJSON_AddStringToObject(meta, "client", actions->client) != NULL;
    if (ok && request->args != NULL)
        ok = cJSON_AddItemToObject(meta, "args", cJSON_Duplicate(request->args, true)) != 0;
    char *text = ok ? cJSON_PrintUnformatted(meta) : NULL;
    cJSON_Delete(meta);
    return text;
}

static struct view_action_pending *room(struct view_actions *actions)
{
    for (size_t i = 0; i < VIEW_ACTIONS_PENDING; i++)
        if (!actions->pending[i].used)
            return &actions->pending[i];
    return NULL;
}

int view_actions_send(struct view_actions *actions, const struct view_action_request *request,
                      uint64_t now_ns)
{
    const bool stop = strcmp(request->name, "stop") == 0;
    struct view_action_pending *pending = request->answered ? room(actions) : NULL;
    /* A stop goes out even if nobody could be told its answer. */
    if (pending == NULL && request->answered && !stop)
        return -EBUSY;
    char id[VIEW_ID_MAX + 1];
    actions->seq++;
    snprintf(id, sizeof id, "%s-%" PRIu64, actions->prefix, actions->seq);
    char *metadata = write_metadata(actions, request, id);
    if (metadata == NULL)
        return -ENOMEM;
    actions->sent++;
    view_link_send(actions->link, metadata);
    if (pending != NULL) {
        *pending = (struct view_action_pending){.used = true,
                                                .asker = request->asker,
                                                .asked_ns = now_ns,
                                                .give_up_ns = now_ns + PATIENCE_NS,
                                                .again_ns = now_ns + STOP_AGAIN_NS};
        snprintf(pending->id, sizeof pending->id, "%s", id);
        snprintf(pending->name, sizeof pending->name, "%s", request->name);
        if (stop) {
            pending->metadata = metadata;
            return 0;
        }
    }
    cJSON_free(metadata);
    return 0;
}

static struct view_action_pending *find(struct view_actions *actions, const char *id)
{
    for (size_t i = 0; i < VIEW_ACTIONS_PENDING; i++)
        if (actions->pending[i].used && strcmp(actions->pending[i].id, id) == 0)
            return &actions->pending[i];
    return NULL;
}

void view_actions_answers(struct view_actions *actions, const cJSON *answers, uint64_t now_ns,
                          view_answer_fn *answer,
                          void (*pong)(void *context, uint64_t asked_ns, uint64_t taken_ns),
                          void *context)
{
    const cJSON *item;
    if (!cJSON_IsArray(answers))
        return;
    cJSON_ArrayForEach(item, answers)
    {
        const char *id = view_json_text(item, "id");
        struct view_action_pending *pending = id == NULL ? NULL : find(actions, id);
        if (pending == NULL)
            continue;
        const bool accepted = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(item, "accepted")) != 0;
        const char *reason = view_json_text(item, "reason");
        const char *text = view_json_text(item, "text");
        if (pending->asker.browser == 0) {
            uint64_t taken_ns, echo_ns;
            if (accepted && view_json_u64(item, "taken_ns", &taken_ns) &&
                view_json_u64(item, "echo_ns", &echo_ns) && echo_ns == pending->asked_ns)
                pong(context, pending->asked_ns, taken_ns);
        } else {
            *(accepted ? &actions->accepted : &actions->refused) += 1;
            answer(context, &pending->asker, pending->name, accepted, reason == NULL ? "" : reason,
                   text == NULL ? "" : text, (double)(now_ns - pending->asked_ns) / 1e6);
        }
        forget(pending);
    }
}

void view_actions_tick(struct view_actions *actions, uint64_t now_ns, view_answer_fn *answer,
                       void *context)
{
    for (size_t i = 0; i < VIEW_ACTIONS_PENDING; i++) {
        struct view_action_pending *pending = &actions->pending[i];
        if (!pending->used)
            continue;
        /* The same id again is answered as before: repeating does no harm. */
        if (pending->metadata != NULL && now_ns >= pending->again_ns) {
            view_link_send(actions->link, pending->metadata);
            pending->again_ns = now_ns + STOP_AGAIN_NS;
        }
        if (now_ns < pending->give_up_ns)
            continue;
        if (pending->asker.browser != 0) {
            actions->unanswered++;
            answer(context, &pending->asker, pending->name, false, "no_answer",
                   "The vehicle did not answer within 2 s; look at the link, then ask again.",
                   (double)(now_ns - pending->asked_ns) / 1e6);
        }
        forget(pending);
    }
}
