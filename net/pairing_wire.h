/* The messages of pairing, as bytes. Each is one ZMQ part of a size that its
 * kind fixes: "SKPR", version, kind, then its fields without gaps.
 *
 *   laptop to vehicle        vehicle to laptop
 *   1 HELLO  nonce           2 OFFER  nonce, share
 *   3 PROOF  share, tag,     4 ACCEPT tag, sealed card
 *            sealed card     5 REFUSE reason, tries left
 *
 * Plain functions of bytes; nothing is kept, allocated or waited for. */
#ifndef SL_NET_PAIRING_WIRE_H
#define SL_NET_PAIRING_WIRE_H

#include <stddef.h>
#include <stdint.h>

#include "net/cpace.h"
#include "net/keys.h"

#define SL_PAIR_VERSION     1
#define SL_PAIR_NONCE       16
#define SL_PAIR_CARD        105                 /* key 40, role 1, name 64 */
#define SL_PAIR_SEALED      (SL_PAIR_CARD + 16) /* with crypto_secretbox's MAC */
#define SL_PAIR_MESSAGE_MAX (6 + SL_CPACE_POINT + SL_CPACE_TAG + SL_PAIR_SEALED)

enum sl_pair_kind {
    SL_PAIR_HELLO = 1,
    SL_PAIR_OFFER,
    SL_PAIR_PROOF,
    SL_PAIR_ACCEPT,
    SL_PAIR_REFUSE,
};

enum sl_pair_reason {
    SL_PAIR_WRONG_CODE = 1,
    SL_PAIR_BUSY,     /* too many exchanges: try again */
    SL_PAIR_VERSIONS, /* speaks another version */
    SL_PAIR_TROUBLE,  /* of the vehicle's own: its screen tells */
};

/* Which fields count is told by `kind`; the others are 0 after reading. */
struct sl_pair_message {
    enum sl_pair_kind kind;
    uint8_t nonce[SL_PAIR_NONCE];
    uint8_t share[SL_CPACE_POINT];
    uint8_t tag[SL_CPACE_TAG];
    uint8_t sealed[SL_PAIR_SEALED];
    enum sl_pair_reason reason;
    uint8_t tries_left;
};

/* Writes a message; returns its number of bytes. */
size_t sl_pair_wire_put(uint8_t bytes[SL_PAIR_MESSAGE_MAX], const struct sl_pair_message *message);

/* Reads one. 0; -EPROTONOSUPPORT (ours, but of another version), -EPROTO (no
 * such message, or of another size). `message` is set on success only. */
int sl_pair_wire_get(const void *bytes, size_t size, struct sl_pair_message *message);

/* What both sides tell each other, to be sealed: key, role and name. */
void sl_pair_card_put(uint8_t bytes[SL_PAIR_CARD], const struct sl_keys_entry *entry);

/* 0; -EPROTO (key, role or name are none, or something stands behind the name). */
int sl_pair_card_get(const uint8_t bytes[SL_PAIR_CARD], struct sl_keys_entry *entry);

#endif
