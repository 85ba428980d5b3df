/* libFuzzer's entry for actions from the network: metadata, one a line, of two
 * clients in turn. Build with -DSL_FUZZ=ON and clang, then run bin/action_fuzz on
 * a copy of tests/fuzz/corpus/action. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "net/action_gate.h"

#define NOW_NS UINT64_C(100000000000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(const char *text, size_t room)
{
    if (memchr(text, '\0', room) == NULL)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sl_gate *gate = sl_gate_create("0123456789abcdef");
    if (gate == NULL)
        return 0;
    uint64_t now_ns = NOW_NS;
    while (size > 0) {
        const uint8_t *end = memchr(data, '\n', size);
        const size_t length = end != NULL ? (size_t)(end - data) : size;
        struct sl_ask ask;
        const enum sl_role role = (enum sl_role)(length % 3);
        const enum sl_gate_verdict verdict =
            sl_gate_take(gate, data, length, role, length % 2 == 0 ? "" : "laptop", now_ns, &ask);
        check_text(ask.id, sizeof ask.id);
        check_text(ask.client, sizeof ask.client);
        check_text(ask.setting, sizeof ask.setting);
        check_text(ask.text, sizeof ask.text);
        if (role == SL_ROLE_NONE && verdict != SL_GATE_GARBAGE)
            abort();
        if (verdict == SL_GATE_PASSED) {
            /* Only those who may, and nothing twice. */
            if (role == SL_ROLE_VIEWER && ask.name != SL_ASK_STOP)
                abort();
            if (sl_gate_take(gate, data, length, role, length % 2 == 0 ? "" : "laptop", now_ns,
                             &ask) == SL_GATE_PASSED)
                abort();
            sl_gate_settle(gate, ask.id, true, "none", "done");
        }
        struct sl_gate_answer answers[SL_GATE_ANSWERS];
        const int count = sl_gate_answers(gate, answers);
        for (int i = 0; i < count; i++)
            if (answers[i].pending || (!answers[i].accepted && answers[i].text[0] == '\0'))
                abort();
        now_ns += 1000000;
        data += length + (end != NULL);
        size -= length + (end != NULL);
    }
    sl_gate_destroy(gate);
    return 0;
}
