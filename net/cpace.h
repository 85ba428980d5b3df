/* CPace: two sides that share a short code agree on a key, and whoever listens
 * or guesses wrongly learns nothing that would help to guess again offline.
 *
 * CPACE-RISTR255-SHA512 of draft-irtf-cfrg-cpace (versions 13 to 21 give the
 * same numbers; tests/unit/pairing_test.c has its test vectors), initiator and
 * responder, with key confirmation as in its section on explicit mutual
 * authentication. Group and hashes are libsodium's, in constant time.
 *
 * Plain functions: they keep nothing and never block. Before the first one,
 * sodium_init(). Who has secrets (code, scalar, isk) wipes them. */
#ifndef SL_NET_CPACE_H
#define SL_NET_CPACE_H

#include <stddef.h>
#include <stdint.h>

#define SL_CPACE_POINT  32
#define SL_CPACE_SCALAR 32
#define SL_CPACE_ISK    64
#define SL_CPACE_TAG    64
#define SL_CPACE_FIELD  127 /* the longest byte string that is taken */

struct sl_cpace_bytes {
    const void *data;
    size_t size; /* at most SL_CPACE_FIELD */
};

/* Both sides' public part. The initiator's is first. */
struct sl_cpace_transcript {
    struct sl_cpace_bytes sid; /* of this exchange, never used before */
    uint8_t share[2][SL_CPACE_POINT];
    struct sl_cpace_bytes data[2]; /* what each side says beside its share (ADa, ADb) */
};

enum sl_cpace_side { SL_CPACE_INITIATOR, SL_CPACE_RESPONDER };

/* The point that the code stands for in this exchange; as secret as the code.
 * `channel` (CI) says what the key is for. */
void sl_cpace_generator(uint8_t generator[SL_CPACE_POINT], struct sl_cpace_bytes code,
                        struct sl_cpace_bytes channel, struct sl_cpace_bytes sid);

/* Draws a secret scalar and makes the share that is sent. */
void sl_cpace_draw(uint8_t scalar[SL_CPACE_SCALAR], uint8_t share[SL_CPACE_POINT],
                   const uint8_t generator[SL_CPACE_POINT]);

/* The shared key from the own scalar and the other side's share, that of `peer` in the
 * transcript. 0; -EPROTO if that share is no point or the neutral one (isk is
 * then zero): the exchange ends without an answer. */
int sl_cpace_key(uint8_t isk[SL_CPACE_ISK], const uint8_t scalar[SL_CPACE_SCALAR],
                 enum sl_cpace_side peer, const struct sl_cpace_transcript *transcript);

/* By which a side proves that it has the key. Compare with sodium_memcmp(). */
void sl_cpace_tag(uint8_t tag[SL_CPACE_TAG], const uint8_t isk[SL_CPACE_ISK],
                  enum sl_cpace_side side, const struct sl_cpace_transcript *transcript);

#endif
