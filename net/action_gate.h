/* Who may ask a vehicle for what, over the network: docs/network.md. Pure: the
 * messages and the time come in, decisions and answers come out; no sockets, no
 * clocks. One thread; it allocates only while it parses.
 *
 * An action passes once. Its id is remembered with its answer, each client's
 * numbers must rise, and what has expired, was meant for an earlier run of the
 * vehicle's program, or comes from a client that does not drive, is refused in
 * words. Stop passes whatever the rest of it says. */
#ifndef SL_NET_ACTION_GATE_H
#define SL_NET_ACTION_GATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/role.h"
#include "rt/records.h"

#define SL_GATE_BYTES_MAX   4096 /* of an action's metadata */
#define SL_GATE_TEXT_MAX    65   /* of ids and names: 64 bytes and the 0 */
#define SL_GATE_CLIENT_MAX  (2 * SL_GATE_TEXT_MAX)
#define SL_GATE_CLIENTS_MAX 32  /* remembered; the least recently heard gives way */
#define SL_GATE_IDS_MAX     256 /* remembered, with their answers */
#define SL_GATE_ANSWERS     16  /* told to everybody */
#define SL_GATE_ABSENT_NS   UINT64_C(10000000000) /* a driver silent for so long lets go */
#define SL_GATE_FUTURE_NS   UINT64_C(1000000000)  /* clocks may differ by so much */

enum sl_ask_name {
    SL_ASK_UNKNOWN = 0,
    SL_ASK_PING,
    SL_ASK_REPORT,
    SL_ASK_STOP,
    SL_ASK_DRIVE,
    SL_ASK_RELEASE,
    SL_ASK_ARM,
    SL_ASK_DISARM,
    SL_ASK_PAUSE,
    SL_ASK_RESUME,
    SL_ASK_RESPAWN,
    SL_ASK_SET,
    SL_ASK_PERMIT,
    SL_ASK_MARK,
    SL_ASK_COUNT
};

/* What somebody asks for. */
struct sl_ask {
    char id[SL_GATE_TEXT_MAX];
    char client[SL_GATE_CLIENT_MAX]; /* who: "user/client", or one of both */
    enum sl_ask_name name;
    uint64_t seq, issued_ns, expires_ns;
    uint64_t client_ns;                  /* ping */
    char setting[SL_ACTION_SETTING_MAX]; /* set: "section.key=value" */
    char text[SL_GATE_TEXT_MAX * 3];     /* mark */
    char topic[16];                      /* report */
    double age_ms, shown_hz;             /* report */
};

struct sl_gate_answer {
    char id[SL_GATE_TEXT_MAX];
    char client[SL_GATE_CLIENT_MAX];
    enum sl_ask_name name;
    bool pending; /* passed, and not answered yet */
    bool accepted;
    char reason[24]; /* a word */
    char text[192];  /* a sentence */
    uint64_t taken_ns;
    uint64_t echo_ns; /* of ping */
};

enum sl_gate_verdict {
    SL_GATE_GARBAGE = 0, /* no action: counted, not answered */
    SL_GATE_PASSED,      /* to be done; then sl_gate_settle() */
    SL_GATE_ANSWERED,    /* by the gate: refused, or nothing is left to do */
    SL_GATE_REPORTED,    /* a report: `ask` has it, no answer is expected */
};

struct sl_gate_counts {
    uint64_t garbage, oversize, role, not_driver, expired, replayed, unknown;
};

struct sl_gate; /* opaque */

/* `session` tells this run from others: 16 hexadecimal digits. NULL: no memory. */
struct sl_gate *sl_gate_create(const char *session);
void sl_gate_destroy(struct sl_gate *gate); /* NULL is allowed */

/* Decides about one action's metadata: `size` bytes of JSON, of anybody. `role`
 * and `user` (shorter than SL_GATE_TEXT_MAX) are what the connection proved; an empty `user`:
 * nothing, so that the client's own name has to do. `ask` is filled in but for garbage. */
enum sl_gate_verdict sl_gate_take(struct sl_gate *gate, const void *metadata, size_t size,
                                  enum sl_role role, const char *user, uint64_t now_ns,
                                  struct sl_ask *ask);

/* Answers what passed. `reason`: a word; `text`: a sentence. */
void sl_gate_settle(struct sl_gate *gate, const char *id, bool accepted, const char *reason,
                    const char *text);

/* Who drives, or NULL. */
const char *sl_gate_driver(struct sl_gate *gate, uint64_t now_ns);

/* The last answers, oldest first; how many. Pending ones are not among them. */
int sl_gate_answers(const struct sl_gate *gate, struct sl_gate_answer answers[SL_GATE_ANSWERS]);

const struct sl_gate_counts *sl_gate_counts(const struct sl_gate *gate);

/* "arm" and the like. */
const char *sl_ask_text(enum sl_ask_name name);

#endif
