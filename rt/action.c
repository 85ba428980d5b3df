#include "rt/action.h"

#include <errno.h>
#include <string.h>

#include "rt/bus.h"
#include "rt/clock.h"

static const char *const NAMES[] = {
    [SL_ACTION_ARM] = "arm",       [SL_ACTION_DISARM] = "disarm", [SL_ACTION_PAUSE] = "pause",
    [SL_ACTION_RESUME] = "resume", [SL_ACTION_STOP] = "stop",     [SL_ACTION_RESPAWN] = "respawn",
    [SL_ACTION_SET] = "set",
};
#define KINDS (sizeof NAMES / sizeof NAMES[0])

uint32_t sl_action_parse(const char *name)
{
    for (uint32_t kind = 1; kind < KINDS; kind++) {
        if (strcmp(name, NAMES[kind]) == 0)
            return kind;
    }
    return 0;
}

const char *sl_action_name(uint32_t kind)
{
    return kind > 0 && kind < KINDS ? NAMES[kind] : "unknown";
}

/* Why, in words: of a request that came at the wrong time, what the vehicle does. */
static const char *refusal(const struct sl_state *state)
{
    static const char *const DOES[SL_MODE_COUNT] = {
        [SL_MODE_DISARMED] = "the vehicle is disarmed; arm it first",
        [SL_MODE_ARMED] = "the vehicle is armed, and drives as soon as the lane is good",
        [SL_MODE_DRIVING] = "the vehicle drives",
        [SL_MODE_PAUSED] = "the vehicle is paused; resume lets it drive on",
        [SL_MODE_SAFE_STOP] = "the vehicle is in a safe stop; arm it to drive again",
    };
    const bool wrong_time = state->action_reason == SL_REASON_MODE && state->mode < SL_MODE_COUNT;
    return wrong_time ? DOES[state->mode] : sl_reason_text(state->action_reason);
}

/* Sends what only lacks its times. */
static int send(const char *action_bus, const char *state_bus, struct sl_action action,
                unsigned timeout_ms, struct sl_error *err)
{
    const uint32_t kind = action.kind;
    struct sl_bus_reader *states = NULL;
    struct sl_bus_writer *actions = NULL;
    /* Root may ask any user's vehicle. */
    const struct sl_bus_reader_config reader = {.name = state_bus,
                                                .type = SL_RECORD_STATE,
                                                .min_bytes = sizeof(struct sl_state),
                                                .writers = SL_BUS_WRITERS_ANY};
    /* Not only who answers listens: a simulator does too, at its own pace. */
    const uint64_t linger_ns = 150 * SL_NS_PER_MS;
    struct sl_bus_writer_config writer = {.name = action_bus,
                                          .type = SL_RECORD_ACTION,
                                          .slot_count = SL_BUS_RECORD_SLOTS,
                                          .slot_bytes = sizeof(struct sl_action)};
    const uint64_t patience = sl_clock_now_ns() + timeout_ms * SL_NS_PER_MS;
    int rc = sl_bus_reader_open(&states, &reader, err);
    if (rc != 0)
        goto done;
    while ((rc = sl_bus_writer_open(&actions, &writer, err)) == -EBUSY &&
           sl_clock_now_ns() < patience)
        sl_clock_sleep_until_ns(sl_clock_now_ns() + 5 * SL_NS_PER_MS);
    if (rc == -EBUSY && (kind == SL_ACTION_STOP || kind == SL_ACTION_DISARM)) {
        /* A sender that hangs must not keep anybody from stopping the vehicle. */
        writer.take_over = true;
        rc = sl_bus_writer_open(&actions, &writer, err);
    }
    if (rc != 0)
        goto done;

    const uint64_t now = sl_clock_now_ns();
    const uint64_t deadline = now + timeout_ms * SL_NS_PER_MS;
    action.id = action.issued_ns = now;
    action.expires_ns = deadline;
    sl_bus_write(actions, &action, sizeof action, now);
    rc = -ETIMEDOUT;
    while (rc == -ETIMEDOUT && sl_bus_wait(states, deadline) == 0) {
        struct sl_state state;
        if (sl_bus_read_newest(states, &state, sizeof state, NULL) != 0 ||
            state.action_id != action.id)
            continue;
        rc = 0;
        if (state.action_reason != SL_REASON_NONE)
            rc = sl_error_set(err, -EPERM, "%s was refused: %s", sl_action_name(kind),
                              refusal(&state));
    }
    if (rc == -ETIMEDOUT)
        sl_error_set(err, rc, "nobody answered within %u ms; is \"skylane run\" running? (%s)",
                     timeout_ms, sl_bus_reader_problem(states));
    sl_clock_sleep_until_ns(now + linger_ns);
done:
    sl_bus_writer_close(actions);
    sl_bus_reader_close(states);
    return rc;
}

int sl_action_send(const char *action_bus, const char *state_bus, enum sl_action_kind kind,
                   unsigned timeout_ms, struct sl_error *err)
{
    return send(action_bus, state_bus, (struct sl_action){.kind = kind}, timeout_ms, err);
}

int sl_action_set(const char *action_bus, const char *state_bus, const char *setting,
                  unsigned timeout_ms, struct sl_error *err)
{
    struct sl_action action = {.kind = SL_ACTION_SET};
    if (strlen(setting) >= sizeof action.setting)
        return sl_error_set(err, -EINVAL, "\"%s\" is longer than %zu characters", setting,
                            sizeof action.setting - 1);
    memcpy(action.setting, setting, strlen(setting));
    return send(action_bus, state_bus, action, timeout_ms, err);
}
