/* libFuzzer's entry for pairing's messages and the cards in them. The first byte
 * chooses. Build with -DSL_FUZZ=ON and clang, then run bin/pairing_fuzz on a
 * copy of tests/fuzz/corpus/pairing. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "net/pairing_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What was taken is written as it was read. */
static void message(const uint8_t *data, size_t size)
{
    struct sl_pair_message read;
    uint8_t bytes[SL_PAIR_MESSAGE_MAX];
    if (sl_pair_wire_get(data, size, &read) != 0)
        return;
    if (sl_pair_wire_put(bytes, &read) != size || memcmp(bytes, data, size) != 0)
        abort();
}

static void card(const uint8_t *data)
{
    struct sl_keys_entry read;
    uint8_t bytes[SL_PAIR_CARD];
    if (sl_pair_card_get(data, &read) != 0)
        return;
    if (!sl_keys_name_good(read.name) || !sl_keys_key_good(read.public_key))
        abort();
    sl_pair_card_put(bytes, &read);
    if (memcmp(bytes, data, sizeof bytes) != 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    if (data[0] % 2 == 0)
        message(data + 1, size - 1);
    else if (size - 1 == SL_PAIR_CARD)
        card(data + 1);
    return 0;
}
