#include "net/pairing_exchange.h"

#include <errno.h>
#include <string.h>

#include <sodium.h>

_Static_assert(SL_PAIR_SEALED == SL_PAIR_CARD + crypto_secretbox_MACBYTES, "size of a sealed card");
_Static_assert(SL_CPACE_ISK <= crypto_generichash_KEYBYTES_MAX, "ISK as a key of BLAKE2b");

static struct sl_cpace_bytes word(const char *text)
{
    return (struct sl_cpace_bytes){text, strlen(text)};
}

void sl_pair_exchange_begin(struct sl_pair_exchange *exchange, enum sl_cpace_side own,
                            const char *code, const uint8_t laptop_nonce[SL_PAIR_NONCE],
                            const uint8_t vehicle_nonce[SL_PAIR_NONCE])
{
    uint8_t generator[SL_CPACE_POINT];
    memset(exchange, 0, sizeof *exchange);
    memcpy(exchange->sid, laptop_nonce, SL_PAIR_NONCE);
    memcpy(exchange->sid + SL_PAIR_NONCE, vehicle_nonce, SL_PAIR_NONCE);
    exchange->transcript.sid = (struct sl_cpace_bytes){exchange->sid, sizeof exchange->sid};
    exchange->transcript.data[SL_PAIR_VEHICLE] = word("vehicle");
    exchange->transcript.data[SL_PAIR_LAPTOP] = word("laptop");
    sl_cpace_generator(generator, word(code), word("skylane pairing 1"), exchange->transcript.sid);
    sl_cpace_draw(exchange->scalar, exchange->transcript.share[own], generator);
    sodium_memzero(generator, sizeof generator);
}

int sl_pair_exchange_agree(struct sl_pair_exchange *exchange, enum sl_cpace_side own,
                           const uint8_t share[SL_CPACE_POINT])
{
    const enum sl_cpace_side peer = own == SL_PAIR_VEHICLE ? SL_PAIR_LAPTOP : SL_PAIR_VEHICLE;
    memcpy(exchange->transcript.share[peer], share, SL_CPACE_POINT);
    const int rc = sl_cpace_key(exchange->isk, exchange->scalar, peer, &exchange->transcript);
    sodium_memzero(exchange->scalar, sizeof exchange->scalar);
    return rc;
}

bool sl_pair_exchange_proves(const struct sl_pair_exchange *exchange, enum sl_cpace_side side,
                             const uint8_t tag[SL_CPACE_TAG])
{
    uint8_t expected[SL_CPACE_TAG];
    sl_cpace_tag(expected, exchange->isk, side, &exchange->transcript);
    const bool same = sodium_memcmp(expected, tag, sizeof expected) == 0;
    sodium_memzero(expected, sizeof expected);
    return same;
}

/* Each side seals one message, with a key of its own: the nonce can be zero. */
static const uint8_t NONCE[crypto_secretbox_NONCEBYTES];

static void key_of(const struct sl_pair_exchange *exchange, enum sl_cpace_side side,
                   uint8_t key[crypto_secretbox_KEYBYTES])
{
    const struct sl_cpace_bytes label =
        word(side == SL_PAIR_VEHICLE ? "skylane vehicle's card" : "skylane laptop's card");
    crypto_generichash(key, crypto_secretbox_KEYBYTES, label.data, label.size, exchange->isk,
                       sizeof exchange->isk);
}

void sl_pair_exchange_seal(const struct sl_pair_exchange *exchange, enum sl_cpace_side side,
                           const struct sl_keys_entry *card, uint8_t sealed[SL_PAIR_SEALED])
{
    uint8_t key[crypto_secretbox_KEYBYTES], bytes[SL_PAIR_CARD];
    key_of(exchange, side, key);
    sl_pair_card_put(bytes, card);
    crypto_secretbox_easy(sealed, bytes, sizeof bytes, NONCE, key);
    sodium_memzero(key, sizeof key);
}

int sl_pair_exchange_open(const struct sl_pair_exchange *exchange, enum sl_cpace_side side,
                          const uint8_t sealed[SL_PAIR_SEALED], struct sl_keys_entry *card)
{
    uint8_t key[crypto_secretbox_KEYBYTES], bytes[SL_PAIR_CARD];
    key_of(exchange, side, key);
    int rc = -EPROTO;
    if (crypto_secretbox_open_easy(bytes, sealed, SL_PAIR_SEALED, NONCE, key) == 0)
        rc = sl_pair_card_get(bytes, card);
    sodium_memzero(key, sizeof key);
    return rc;
}
