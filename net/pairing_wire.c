#include "net/pairing_wire.h"

#include <errno.h>
#include <string.h>

#define HEAD 6 /* magic, version, kind */

static const uint8_t MAGIC[4] = {'S', 'K', 'P', 'R'};

/* Copies fields between a message and its bytes, in either direction: the
 * order stands once. Returns the number of bytes, 0 for an unknown kind. */
enum direction { MEASURE, WRITE, READ };

static void field(enum direction direction, uint8_t *bytes, size_t *at, void *value, size_t size)
{
    if (direction == WRITE)
        memcpy(bytes + *at, value, size);
    if (direction == READ)
        memcpy(value, bytes + *at, size);
    *at += size;
}

static size_t body(enum direction direction, uint8_t *bytes, struct sl_pair_message *m)
{
    uint8_t reason = (uint8_t)m->reason;
    size_t at = HEAD;
    switch (m->kind) {
    case SL_PAIR_HELLO:
        field(direction, bytes, &at, m->nonce, sizeof m->nonce);
        return at;
    case SL_PAIR_OFFER:
        field(direction, bytes, &at, m->nonce, sizeof m->nonce);
        field(direction, bytes, &at, m->share, sizeof m->share);
        return at;
    case SL_PAIR_PROOF:
        field(direction, bytes, &at, m->share, sizeof m->share);
        field(direction, bytes, &at, m->tag, sizeof m->tag);
        field(direction, bytes, &at, m->sealed, sizeof m->sealed);
        return at;
    case SL_PAIR_ACCEPT:
        field(direction, bytes, &at, m->tag, sizeof m->tag);
        field(direction, bytes, &at, m->sealed, sizeof m->sealed);
        return at;
    case SL_PAIR_REFUSE:
        field(direction, bytes, &at, &reason, 1);
        field(direction, bytes, &at, &m->tries_left, 1);
        m->reason = (enum sl_pair_reason)reason;
        return at;
    }
    return 0;
}

size_t sl_pair_wire_put(uint8_t bytes[SL_PAIR_MESSAGE_MAX], const struct sl_pair_message *message)
{
    struct sl_pair_message copy = *message;
    memcpy(bytes, MAGIC, sizeof MAGIC);
    bytes[4] = SL_PAIR_VERSION;
    bytes[5] = (uint8_t)message->kind;
    return body(WRITE, bytes, &copy);
}

int sl_pair_wire_get(const void *bytes, size_t size, struct sl_pair_message *message)
{
    uint8_t copy[SL_PAIR_MESSAGE_MAX];
    if (size < HEAD || memcmp(bytes, MAGIC, sizeof MAGIC) != 0)
        return -EPROTO;
    if (((const uint8_t *)bytes)[4] != SL_PAIR_VERSION)
        return -EPROTONOSUPPORT;
    struct sl_pair_message read = {.kind = (enum sl_pair_kind)((const uint8_t *)bytes)[5]};
    if (size > sizeof copy || body(MEASURE, NULL, &read) != size)
        return -EPROTO;
    memcpy(copy, bytes, size);
    body(READ, copy, &read);
    if (read.kind == SL_PAIR_REFUSE &&
        (read.reason < SL_PAIR_WRONG_CODE || read.reason > SL_PAIR_TROUBLE))
        return -EPROTO;
    *message = read;
    return 0;
}

void sl_pair_card_put(uint8_t bytes[SL_PAIR_CARD], const struct sl_keys_entry *entry)
{
    memset(bytes, 0, SL_PAIR_CARD);
    memcpy(bytes, entry->public_key, SL_KEYS_TEXT - 1);
    bytes[SL_KEYS_TEXT - 1] = (uint8_t)entry->role;
    memcpy(bytes + SL_KEYS_TEXT, entry->name, strnlen(entry->name, SL_KEYS_NAME - 1));
}

int sl_pair_card_get(const uint8_t bytes[SL_PAIR_CARD], struct sl_keys_entry *entry)
{
    struct sl_keys_entry read = {0};
    memcpy(read.public_key, bytes, SL_KEYS_TEXT - 1);
    const uint8_t role = bytes[SL_KEYS_TEXT - 1];
    memcpy(read.name, bytes + SL_KEYS_TEXT, SL_KEYS_NAME);
    const size_t length = strnlen(read.name, SL_KEYS_NAME);
    for (size_t i = length; i < SL_KEYS_NAME; i++)
        if (read.name[i] != '\0')
            return -EPROTO;
    if (role > SL_ROLE_DRIVER || length == SL_KEYS_NAME || !sl_keys_key_good(read.public_key) ||
        !sl_keys_name_good(read.name))
        return -EPROTO;
    read.role = (enum sl_role)role;
    *entry = read;
    return 0;
}
