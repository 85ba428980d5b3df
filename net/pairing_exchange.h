/* One exchange of pairing, as either side sees it: CPace, proofs, sealed cards.
 * Private to net and its tests.
 *
 * The vehicle is CPace's initiator. The session id is made of a nonce of each
 * side, so that neither can be made to repeat an old exchange. Plain functions;
 * sodium_init() comes before. An exchange may not be copied while in use. */
#ifndef SL_NET_PAIRING_EXCHANGE_H
#define SL_NET_PAIRING_EXCHANGE_H

#include <stdbool.h>
#include <stdint.h>

#include "net/cpace.h"
#include "net/pairing.h"
#include "net/pairing_wire.h"

#define SL_PAIR_VEHICLE SL_CPACE_INITIATOR
#define SL_PAIR_LAPTOP  SL_CPACE_RESPONDER

struct sl_pair_exchange {
    uint8_t sid[2 * SL_PAIR_NONCE];
    uint8_t scalar[SL_CPACE_SCALAR];
    uint8_t isk[SL_CPACE_ISK];
    struct sl_cpace_transcript transcript; /* points to sid */
};

/* Begins the side `own`; its share is in the transcript then. */
void sl_pair_exchange_begin(struct sl_pair_exchange *exchange, enum sl_cpace_side own,
                            const char *code, const uint8_t laptop_nonce[SL_PAIR_NONCE],
                            const uint8_t vehicle_nonce[SL_PAIR_NONCE]);

/* Takes the other side's share, once: the own scalar is wiped. 0; -EPROTO: it is
 * no point that may be used, or another one was taken before. */
int sl_pair_exchange_agree(struct sl_pair_exchange *exchange, enum sl_cpace_side own,
                           const uint8_t share[SL_CPACE_POINT]);

/* Once agreed: whether `tag` proves that `side` used the same code. Constant time. */
bool sl_pair_exchange_proves(const struct sl_pair_exchange *exchange, enum sl_cpace_side side,
                             const uint8_t tag[SL_CPACE_TAG]);

/* Encrypts what `side` sends. To be called once for each side of an exchange. */
void sl_pair_exchange_seal(const struct sl_pair_exchange *exchange, enum sl_cpace_side side,
                           const struct sl_keys_entry *card, uint8_t sealed[SL_PAIR_SEALED]);

/* Reads what `side` has sent. 0 or -EPROTO. */
int sl_pair_exchange_open(const struct sl_pair_exchange *exchange, enum sl_cpace_side side,
                          const uint8_t sealed[SL_PAIR_SEALED], struct sl_keys_entry *card);

#endif
