/* Names in comments are the draft's. */
#include "net/cpace.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include <sodium.h>

#define BLOCK 128 /* of SHA-512: H.s_in_bytes */

static struct sl_cpace_bytes text(const char *word)
{
    return (struct sl_cpace_bytes){word, strlen(word)};
}

/* lv_cat of one string: its length as LEB128, which is one byte up to 127. */
static void add(crypto_hash_sha512_state *hash, struct sl_cpace_bytes bytes)
{
    const uint8_t length = (uint8_t)bytes.size;
    assert(bytes.size <= SL_CPACE_FIELD);
    crypto_hash_sha512_update(hash, &length, 1);
    if (bytes.size > 0)
        crypto_hash_sha512_update(hash, bytes.data, bytes.size);
}

void sl_cpace_generator(uint8_t generator[SL_CPACE_POINT], struct sl_cpace_bytes code,
                        struct sl_cpace_bytes channel, struct sl_cpace_bytes sid)
{
    static const uint8_t ZEROS[BLOCK];
    const struct sl_cpace_bytes dsi = text("CPaceRistretto255");
    crypto_hash_sha512_state hash;
    uint8_t digest[crypto_hash_sha512_BYTES];
    /* ZPAD fills the first block: channel and sid, which others may choose, are
     * hashed apart from the code. */
    const size_t used = 1 + (1 + code.size) + (1 + dsi.size);
    const struct sl_cpace_bytes zeros = {ZEROS, used < BLOCK ? BLOCK - used : 0};
    crypto_hash_sha512_init(&hash);
    add(&hash, dsi);
    add(&hash, code);
    add(&hash, zeros);
    add(&hash, channel);
    add(&hash, sid);
    crypto_hash_sha512_final(&hash, digest);
    crypto_core_ristretto255_from_hash(generator, digest);
    sodium_memzero(digest, sizeof digest);
    sodium_memzero(&hash, sizeof hash);
}

void sl_cpace_draw(uint8_t scalar[SL_CPACE_SCALAR], uint8_t share[SL_CPACE_POINT],
                   const uint8_t generator[SL_CPACE_POINT])
{
    do {
        crypto_core_ristretto255_scalar_random(scalar);
        /* Fails for the neutral element only: a generator that is one never comes
         * out of a hash, a scalar that is 0 one time in 2^252. */
    } while (crypto_scalarmult_ristretto255(share, scalar, generator) != 0);
}

static struct sl_cpace_bytes share_of(const struct sl_cpace_transcript *transcript,
                                      enum sl_cpace_side side)
{
    return (struct sl_cpace_bytes){transcript->share[side], SL_CPACE_POINT};
}

int sl_cpace_key(uint8_t isk[SL_CPACE_ISK], const uint8_t scalar[SL_CPACE_SCALAR],
                 enum sl_cpace_side peer, const struct sl_cpace_transcript *transcript)
{
    crypto_hash_sha512_state hash;
    uint8_t point[SL_CPACE_POINT];
    memset(isk, 0, SL_CPACE_ISK);
    /* scalar_mult_vfy: libsodium refuses encodings that are no point, and
     * results that are the neutral element. */
    if (crypto_scalarmult_ristretto255(point, scalar, transcript->share[peer]) != 0) {
        sodium_memzero(point, sizeof point);
        return -EPROTO;
    }
    crypto_hash_sha512_init(&hash);
    add(&hash, text("CPaceRistretto255_ISK"));
    add(&hash, transcript->sid);
    add(&hash, (struct sl_cpace_bytes){point, sizeof point});
    /* transcript_ir */
    for (int side = SL_CPACE_INITIATOR; side <= SL_CPACE_RESPONDER; side++) {
        add(&hash, share_of(transcript, (enum sl_cpace_side)side));
        add(&hash, transcript->data[side]);
    }
    crypto_hash_sha512_final(&hash, isk);
    sodium_memzero(point, sizeof point);
    sodium_memzero(&hash, sizeof hash);
    return 0;
}

void sl_cpace_tag(uint8_t tag[SL_CPACE_TAG], const uint8_t isk[SL_CPACE_ISK],
                  enum sl_cpace_side side, const struct sl_cpace_transcript *transcript)
{
    crypto_hash_sha512_state hash;
    crypto_auth_hmacsha512_state mac;
    uint8_t key[crypto_hash_sha512_BYTES], length;
    const struct sl_cpace_bytes said[] = {share_of(transcript, side), transcript->data[side]};
    crypto_hash_sha512_init(&hash);
    /* Here the draft has no lengths; those of label and ISK are fixed. */
    crypto_hash_sha512_update(&hash, (const uint8_t *)"CPaceMac", 8);
    crypto_hash_sha512_update(&hash, transcript->sid.data, transcript->sid.size);
    crypto_hash_sha512_update(&hash, isk, SL_CPACE_ISK);
    crypto_hash_sha512_final(&hash, key);
    crypto_auth_hmacsha512_init(&mac, key, sizeof key);
    for (size_t i = 0; i < 2; i++) {
        length = (uint8_t)said[i].size;
        crypto_auth_hmacsha512_update(&mac, &length, 1);
        if (said[i].size > 0)
            crypto_auth_hmacsha512_update(&mac, said[i].data, said[i].size);
    }
    crypto_auth_hmacsha512_final(&mac, tag);
    sodium_memzero(key, sizeof key);
    sodium_memzero(&mac, sizeof mac);
    sodium_memzero(&hash, sizeof hash);
}
