#include "net/action_gate.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#define EXPIRES_MAX_MS 60000

/* Whole numbers above this are not told apart by JSON's. */
#define WHOLE_MAX 9007199254740992.0

static const struct {
    const char *text;
    enum sl_role role;
    bool drives; /* only for the one who drives */
} NAMES[SL_ASK_COUNT] = {
    [SL_ASK_PING] = {"ping", SL_ROLE_VIEWER, false},
    [SL_ASK_REPORT] = {"report", SL_ROLE_VIEWER, false},
    [SL_ASK_STOP] = {"stop", SL_ROLE_VIEWER, false},
    [SL_ASK_DRIVE] = {"drive", SL_ROLE_DRIVER, false},
    [SL_ASK_RELEASE] = {"release", SL_ROLE_DRIVER, true},
    [SL_ASK_ARM] = {"arm", SL_ROLE_DRIVER, true},
    [SL_ASK_DISARM] = {"disarm", SL_ROLE_DRIVER, true},
    [SL_ASK_PAUSE] = {"pause", SL_ROLE_DRIVER, true},
    [SL_ASK_RESUME] = {"resume", SL_ROLE_DRIVER, true},
    [SL_ASK_RESPAWN] = {"respawn", SL_ROLE_DRIVER, true},
    [SL_ASK_SET] = {"set", SL_ROLE_DRIVER, true},
    [SL_ASK_PERMIT] = {"permit", SL_ROLE_DRIVER, true},
    [SL_ASK_MARK] = {"mark", SL_ROLE_DRIVER, false},
};

struct client {
    char name[SL_GATE_CLIENT_MAX]; /* empty: a free place */
    uint64_t seq;
    uint64_t heard_ns;
};

struct sl_gate {
    char session[17];
    struct client clients[SL_GATE_CLIENTS_MAX];
    char driver[SL_GATE_CLIENT_MAX]; /* empty: nobody drives */
    uint64_t driver_heard_ns;
    struct sl_gate_answer answers[SL_GATE_IDS_MAX]; /* a ring */
    uint64_t answer_count;
    struct sl_gate_counts counts;
};

const char *sl_ask_text(enum sl_ask_name name)
{
    return name > SL_ASK_UNKNOWN && name < SL_ASK_COUNT ? NAMES[name].text : "unknown";
}

struct sl_gate *sl_gate_create(const char *session)
{
    struct sl_gate *gate = calloc(1, sizeof *gate);
    if (gate != NULL)
        snprintf(gate->session, sizeof gate->session, "%s", session);
    return gate;
}

void sl_gate_destroy(struct sl_gate *gate)
{
    free(gate);
}

/* ---- reading ---- */

/* Text without control characters that fits; false if there is none. */
static bool read_text(const cJSON *from, const char *key, char *text, size_t room)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(from, key);
    if (!cJSON_IsString(item) || item->valuestring[0] == '\0' || strlen(item->valuestring) >= room)
        return false;
    for (const char *c = item->valuestring; *c != '\0'; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            return false;
    snprintf(text, room, "%s", item->valuestring);
    return true;
}

static bool read_number(const cJSON *from, const char *key, double min, double max, double *number)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(from, key);
    if (!cJSON_IsNumber(item) || !(item->valuedouble >= min && item->valuedouble <= max))
        return false;
    *number = item->valuedouble;
    return true;
}

static bool read_whole(const cJSON *from, const char *key, uint64_t *whole)
{
    double number;
    if (!read_number(from, key, 0, WHOLE_MAX, &number) || number != floor(number))
        return false;
    *whole = (uint64_t)number;
    return true;
}

/* A setting's value may be a number, a switch or a text. */
static bool read_setting(const cJSON *args, struct sl_ask *ask)
{
    char key[SL_GATE_TEXT_MAX], value[SL_GATE_TEXT_MAX];
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(args, "value");
    if (!read_text(args, "key", key, sizeof key) || strchr(key, '=') != NULL)
        return false;
    if (cJSON_IsNumber(item) && isfinite(item->valuedouble))
        snprintf(value, sizeof value, "%.17g", item->valuedouble);
    else if (cJSON_IsBool(item))
        snprintf(value, sizeof value, "%s", cJSON_IsTrue(item) ? "true" : "false");
    else if (!read_text(args, "value", value, sizeof value))
        return false;
    const int length = snprintf(ask->setting, sizeof ask->setting, "%s=%s", key, value);
    return length < (int)sizeof ask->setting;
}

static bool read_args(const cJSON *args, struct sl_ask *ask)
{
    switch (ask->name) {
    case SL_ASK_PING:
        return read_whole(args, "client_ns", &ask->client_ns);
    case SL_ASK_REPORT:
        return read_text(args, "topic", ask->topic, sizeof ask->topic) &&
               read_number(args, "age_ms", 0, 1e9, &ask->age_ms) &&
               read_number(args, "shown_hz", 0, 1e6, &ask->shown_hz);
    case SL_ASK_SET:
        return read_setting(args, ask);
    case SL_ASK_MARK:
        return read_text(args, "text", ask->text, sizeof ask->text);
    default:
        return true;
    }
}

static enum sl_ask_name name_of(const cJSON *from)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(from, "name");
    for (int i = 1; cJSON_IsString(item) && i < SL_ASK_COUNT; i++)
        if (strcmp(item->valuestring, NAMES[i].text) == 0)
            return (enum sl_ask_name)i;
    return SL_ASK_UNKNOWN;
}

/* ---- answers ---- */

static struct sl_gate_answer *find_answer(struct sl_gate *gate, const char *id)
{
    const uint64_t count =
        gate->answer_count < SL_GATE_IDS_MAX ? gate->answer_count : SL_GATE_IDS_MAX;
    for (uint64_t i = 1; i <= count; i++) {
        struct sl_gate_answer *answer = &gate->answers[(gate->answer_count - i) % SL_GATE_IDS_MAX];
        if (strcmp(answer->id, id) == 0)
            return answer;
    }
    return NULL;
}

static struct sl_gate_answer *add_answer(struct sl_gate *gate, const struct sl_ask *ask,
                                         uint64_t now_ns)
{
    struct sl_gate_answer *answer = &gate->answers[gate->answer_count++ % SL_GATE_IDS_MAX];
    *answer = (struct sl_gate_answer){.name = ask->name, .taken_ns = now_ns};
    memcpy(answer->id, ask->id, sizeof answer->id);
    memcpy(answer->client, ask->client, sizeof answer->client);
    return answer;
}

static void settle(struct sl_gate_answer *answer, bool accepted, const char *reason,
                   const char *text)
{
    answer->pending = false;
    answer->accepted = accepted;
    snprintf(answer->reason, sizeof answer->reason, "%s", reason);
    snprintf(answer->text, sizeof answer->text, "%s", text);
}

void sl_gate_settle(struct sl_gate *gate, const char *id, bool accepted, const char *reason,
                    const char *text)
{
    struct sl_gate_answer *answer = find_answer(gate, id);
    if (answer != NULL && answer->pending)
        settle(answer, accepted, reason, text);
}

int sl_gate_answers(const struct sl_gate *gate, struct sl_gate_answer answers[SL_GATE_ANSWERS])
{
    int found = 0;
    const uint64_t kept =
        gate->answer_count < SL_GATE_IDS_MAX ? gate->answer_count : SL_GATE_IDS_MAX;
    for (uint64_t i = 1; i <= kept && found < SL_GATE_ANSWERS; i++) {
        const struct sl_gate_answer *answer =
            &gate->answers[(gate->answer_count - i) % SL_GATE_IDS_MAX];
        if (!answer->pending)
            answers[found++] = *answer;
    }
    for (int i = 0; i < found / 2; i++) {
        const struct sl_gate_answer swap = answers[i];
        answers[i] = answers[found - 1 - i];
        answers[found - 1 - i] = swap;
    }
    return found;
}

/* ---- clients ---- */

static struct client *client_of(struct sl_gate *gate, const char *name, uint64_t now_ns)
{
    struct client *oldest = &gate->clients[0];
    for (int i = 0; i < SL_GATE_CLIENTS_MAX; i++) {
        struct client *client = &gate->clients[i];
        if (client->name[0] != '\0' && strcmp(client->name, name) == 0) {
            client->heard_ns = now_ns;
            return client;
        }
        if (client->heard_ns < oldest->heard_ns)
            oldest = client;
    }
    *oldest = (struct client){.heard_ns = now_ns};
    snprintf(oldest->name, sizeof oldest->name, "%s", name);
    return oldest;
}

static bool is_driver(const struct sl_gate *gate, const struct client *client)
{
    return strcmp(gate->driver, client->name) == 0;
}

const char *sl_gate_driver(struct sl_gate *gate, uint64_t now_ns)
{
    if (now_ns > gate->driver_heard_ns && now_ns - gate->driver_heard_ns > SL_GATE_ABSENT_NS)
        gate->driver[0] = '\0';
    return gate->driver[0] != '\0' ? gate->driver : NULL;
}

static void hand_over(struct sl_gate *gate, const struct client *client, uint64_t now_ns)
{
    memcpy(gate->driver, client->name, sizeof gate->driver);
    gate->driver_heard_ns = now_ns;
}

/* ---- deciding ---- */

/* Why it is refused, or NULL; `text` has room for the sentence. */
static const char *refusal(struct sl_gate *gate, const cJSON *from, struct sl_ask *ask,
                           struct client *client, uint64_t now_ns, char text[192])
{
    char session[17];
    double expires_ms, version;
    if (!read_number(from, "v", 1, 1, &version)) {
        snprintf(text, 192, "this vehicle speaks version 1 of the protocol");
        return "version";
    }
    if (!read_text(from, "session", session, sizeof session) ||
        strcmp(session, gate->session) != 0) {
        gate->counts.replayed++;
        snprintf(text, 192, "it was meant for an earlier run of the vehicle's program");
        return "other_session";
    }
    if (!read_whole(from, "seq", &ask->seq) || ask->seq <= client->seq) {
        gate->counts.replayed++;
        snprintf(text, 192, "its seq does not rise: the client's last one was %llu",
                 (unsigned long long)client->seq);
        return "out_of_order";
    }
    if (!read_whole(from, "issued_ns", &ask->issued_ns) ||
        !read_number(from, "expires_ms", 1, EXPIRES_MAX_MS, &expires_ms)) {
        gate->counts.expired++;
        snprintf(text, 192, "issued_ns, or expires_ms of 1 to %d, is missing", EXPIRES_MAX_MS);
        return "bad_args";
    }
    ask->expires_ns = ask->issued_ns + (uint64_t)(expires_ms * 1e6);
    if (ask->issued_ns > now_ns + SL_GATE_FUTURE_NS) {
        gate->counts.expired++;
        snprintf(text, 192, "it was issued %.1f s in the future; the client's clock is wrong",
                 (double)(ask->issued_ns - now_ns) * 1e-9);
        return "from_the_future";
    }
    if (now_ns > ask->expires_ns) {
        gate->counts.expired++;
        snprintf(text, 192, "it arrived %.1f s after it had expired",
                 (double)(now_ns - ask->expires_ns) * 1e-9);
        return "expired";
    }
    client->seq = ask->seq;
    if (ask->name == SL_ASK_UNKNOWN) {
        gate->counts.unknown++;
        snprintf(text, 192, "there is no action of this name");
        return "unknown_action";
    }
    if (!read_args(cJSON_GetObjectItemCaseSensitive(from, "args"), ask)) {
        gate->counts.unknown++;
        snprintf(text, 192, "%s needs other args; docs/network.md tells which",
                 sl_ask_text(ask->name));
        return "bad_args";
    }
    return NULL;
}

static const char *not_entitled(struct sl_gate *gate, const struct sl_ask *ask, enum sl_role role,
                                const struct client *client, uint64_t now_ns, char text[192])
{
    if (role < NAMES[ask->name].role) {
        gate->counts.role++;
        snprintf(text, 192, "this laptop was paired as a viewer; pair it as a driver");
        return "role";
    }
    const char *driver = sl_gate_driver(gate, now_ns);
    if (NAMES[ask->name].drives && driver != NULL && !is_driver(gate, client)) {
        gate->counts.not_driver++;
        snprintf(text, 192, "%s drives; take over first (\"drive\")", driver);
        return "not_driver";
    }
    return NULL;
}

static enum sl_gate_verdict decide(struct sl_gate *gate, const cJSON *from, enum sl_role role,
                                   const char *user, uint64_t now_ns, struct sl_ask *ask)
{
    struct client nobody = {0};
    char name[SL_GATE_TEXT_MAX];
    const bool named = read_text(from, "client", name, sizeof name);
    /* What was proved comes first; one laptop may have several clients. */
    snprintf(ask->client, sizeof ask->client, "%s%s%s", user, named && user[0] != '\0' ? "/" : "",
             named ? name : "");
    if (!read_text(from, "id", ask->id, sizeof ask->id) || role == SL_ROLE_NONE) {
        gate->counts.garbage++;
        return SL_GATE_GARBAGE;
    }
    ask->name = name_of(from);
    if (ask->name != SL_ASK_REPORT && find_answer(gate, ask->id) != NULL) {
        gate->counts.replayed++;
        return SL_GATE_ANSWERED;
    }
    if (ask->name == SL_ASK_STOP) {
        add_answer(gate, ask, now_ns)->pending = true;
        return SL_GATE_PASSED;
    }
    char text[192];
    const char *reason = NULL;
    struct client *client = &nobody;
    if (ask->client[0] != '\0') {
        client = client_of(gate, ask->client, now_ns);
        reason = refusal(gate, from, ask, client, now_ns, text);
    } else {
        gate->counts.unknown++;
        snprintf(text, sizeof text, "the client does not say who it is");
        reason = "bad_args";
    }
    if (reason == NULL)
        reason = not_entitled(gate, ask, role, client, now_ns, text);
    if (reason != NULL) {
        settle(add_answer(gate, ask, now_ns), false, reason, text);
        return SL_GATE_ANSWERED;
    }
    if (is_driver(gate, client))
        gate->driver_heard_ns = now_ns;
    if (ask->name == SL_ASK_REPORT)
        return SL_GATE_REPORTED;
    struct sl_gate_answer *answer = add_answer(gate, ask, now_ns);
    if (ask->name == SL_ASK_PING)
        answer->echo_ns = ask->client_ns;
    if (NAMES[ask->name].drives || ask->name == SL_ASK_DRIVE)
        hand_over(gate, client, now_ns);
    if (ask->name == SL_ASK_RELEASE)
        gate->driver[0] = '\0';
    if (ask->name == SL_ASK_PING || ask->name == SL_ASK_DRIVE || ask->name == SL_ASK_RELEASE) {
        settle(answer, true, "none", "done");
        return SL_GATE_ANSWERED;
    }
    answer->pending = true;
    return SL_GATE_PASSED;
}

enum sl_gate_verdict sl_gate_take(struct sl_gate *gate, const void *metadata, size_t size,
                                  enum sl_role role, const char *user, uint64_t now_ns,
                                  struct sl_ask *ask)
{
    memset(ask, 0, sizeof *ask);
    if (size > SL_GATE_BYTES_MAX) {
        gate->counts.oversize++;
        return SL_GATE_GARBAGE;
    }
    cJSON *from = cJSON_ParseWithLength(metadata, size);
    enum sl_gate_verdict verdict = SL_GATE_GARBAGE;
    if (cJSON_IsObject(from))
        verdict = decide(gate, from, role, user, now_ns, ask);
    else
        gate->counts.garbage++;
    cJSON_Delete(from);
    return verdict;
}

const struct sl_gate_counts *sl_gate_counts(const struct sl_gate *gate)
{
    return &gate->counts;
}
