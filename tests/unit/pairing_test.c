/* The parts of pairing that need no network: CPace against the draft's numbers,
 * codes, messages, exchanges. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "net/cpace.h"
#include "net/pairing.h"
#include "net/pairing_exchange.h"
#include "net/pairing_wire.h"

static struct sl_error err;

static void hex(uint8_t *bytes, size_t size, const char *digits)
{
    size_t length = 0;
    assert_int_equal(sodium_hex2bin(bytes, size, digits, strlen(digits), NULL, &length, NULL), 0);
    assert_int_equal(length, size);
}

/* ---- CPace ---- */

/* draft-irtf-cfrg-cpace-13 (to 21), appendix B.3: CPACE-RISTR255-SHA512. */
static void cpace_gives_the_drafts_numbers(void **unused)
{
    (void)unused;
    static const char CHANNEL[] = "oc\x0b"
                                  "B_responder\x0b"
                                  "A_initiator";
    uint8_t sid[16], generator[32], expected[64], scalar[2][32], isk[64], share[32];
    struct sl_cpace_transcript t = {.sid = {sid, sizeof sid}, .data = {{"ADa", 3}, {"ADb", 3}}};
    hex(sid, 16, "7e4b4791d6a8ef019b936c79fb7f2c57");
    sl_cpace_generator(generator, (struct sl_cpace_bytes){"Password", 8},
                       (struct sl_cpace_bytes){CHANNEL, sizeof CHANNEL - 1}, t.sid);
    hex(expected, 32, "a6fc82c3b8968fbb2e06fee81ca858586dea50d248f0c7ca6a18b0902a30b36b");
    assert_memory_equal(generator, expected, 32);
    hex(scalar[0], 32, "da3d23700a9e5699258aef94dc060dfda5ebb61f02a5ea77fad53f4ff0976d08");
    hex(scalar[1], 32, "d2316b454718c35362d83d69df6320f38578ed5984651435e2949762d900b80d");
    hex(t.share[0], 32, "d40fb265a7abeaee7939d91a585fe59f7053f982c296ec413c624c669308f87a");
    hex(t.share[1], 32, "08bcf6e9777a9c313a3db6daa510f2d398403319c2341bd506a92e672eb7e307");
    for (int side = 0; side < 2; side++) {
        assert_int_equal(crypto_scalarmult_ristretto255(share, scalar[side], generator), 0);
        assert_memory_equal(share, t.share[side], 32);
    }
    hex(expected, 64,
        "4c5469a16b2364c4b944ebc1a79e51d1674ad47db26e8718154f59faebfaa52d"
        "8346f30aa58377117eb20d527f2cbc5c76381f7fd372e89df8239f87f2e02ed1");
    assert_int_equal(sl_cpace_key(isk, scalar[0], SL_CPACE_RESPONDER, &t), 0);
    assert_memory_equal(isk, expected, 64);
    assert_int_equal(sl_cpace_key(isk, scalar[1], SL_CPACE_INITIATOR, &t), 0);
    assert_memory_equal(isk, expected, 64);
}

/* The draft has no numbers for tags: its formula, written out. */
static void tags_are_the_drafts(void **unused)
{
    (void)unused;
    uint8_t isk[64], key[64], expected[64], tag[64], text[8 + 2 + 64], said[1 + 32 + 1 + 3];
    struct sl_cpace_transcript t = {.sid = {"id", 2}, .data = {{"ADa", 3}, {"ADb", 3}}};
    randombytes_buf(isk, sizeof isk);
    randombytes_buf(t.share, sizeof t.share);
    memcpy(text, "CPaceMacid", 10);
    memcpy(text + 10, isk, 64);
    crypto_hash_sha512(key, text, sizeof text);
    for (int side = 0; side < 2; side++) {
        crypto_auth_hmacsha512_state mac;
        said[0] = 32;
        memcpy(said + 1, t.share[side], 32);
        said[33] = 3;
        memcpy(said + 34, t.data[side].data, 3);
        crypto_auth_hmacsha512_init(&mac, key, sizeof key);
        crypto_auth_hmacsha512_update(&mac, said, sizeof said);
        crypto_auth_hmacsha512_final(&mac, expected);
        sl_cpace_tag(tag, isk, (enum sl_cpace_side)side, &t);
        assert_memory_equal(tag, expected, 64);
    }
}

/* Appendix B.3 again: encodings that are no point, and the neutral element. */
static void shares_that_are_none_are_refused(void **unused)
{
    (void)unused;
    static const char *const BAD[] = {
        "2b3c6b8c4f3800e7aef6864025b4ed79bd599117e427c41bd47d93d654b4a51c",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "0100000000000000000000000000000000000000000000000000000000000000"};
    uint8_t scalar[32], isk[64], zeros[64] = {0};
    struct sl_cpace_transcript t = {.sid = {"id", 2}, .data = {{"a", 1}, {"b", 1}}};
    hex(scalar, 32, "7cd0e075fa7955ba52c02759a6c90dbbfc10e6d40aea8d283e407d88cf538a05");
    hex(t.share[1], 32, "2c3c6b8c4f3800e7aef6864025b4ed79bd599117e427c41bd47d93d654b4a51c");
    assert_int_equal(sl_cpace_key(isk, scalar, SL_CPACE_RESPONDER, &t), 0);
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++) {
        hex(t.share[1], 32, BAD[i]);
        memset(isk, 1, sizeof isk);
        assert_int_equal(sl_cpace_key(isk, scalar, SL_CPACE_RESPONDER, &t), -EPROTO);
        assert_memory_equal(isk, zeros, 64);
    }
}

/* ---- codes ---- */

static void codes_can_be_read_back(void **unused)
{
    (void)unused;
    char shown[SL_PAIR_CODE_SHOW], before[SL_PAIR_CODE_SHOW] = "", code[SL_PAIR_CODE];
    unsigned seen[128] = {0}, letters = 0;
    for (int i = 0; i < 1000; i++) {
        sl_pair_code_draw(shown);
        assert_int_equal(strlen(shown), 9);
        assert_int_equal(shown[4], '-');
        assert_string_not_equal(shown, before);
        memcpy(before, shown, sizeof before);
        assert_int_equal(sl_pair_code_read(shown, code, &err), 0);
        assert_memory_equal(code, shown, 4);
        assert_string_equal(code + 4, shown + 5);
        for (const char *at = code; *at != '\0'; at++)
            seen[(unsigned char)*at]++;
    }
    for (size_t i = 0; i < 128; i++) {
        letters += seen[i] > 0;
        if (seen[i] > 0) /* 250 of each, and 16 is a standard deviation */
            assert_in_range(seen[i], 150, 350);
    }
    assert_int_equal(letters, 32);
}

static void codes_are_read_as_people_type_them(void **unused)
{
    (void)unused;
    char code[SL_PAIR_CODE];
    static const char *const GOOD[] = {"K7QF-3M9P", "k7qf3m9p", " k7qf 3M9P\r\n",
                                       "K-7-Q-F-3-M-9-P"};
    static const char *const BAD[] = {"",          "K7QF-3M9",  "K7QF-3M9PX",
                                      "K7QF-3M9O", "K7QF-3M90", "K7QF-3M91",
                                      "K7QF-3M9I", "K7QF_3M9P", "K7QF-3M9\xc3\x84"};
    for (size_t i = 0; i < sizeof GOOD / sizeof GOOD[0]; i++) {
        assert_int_equal(sl_pair_code_read(GOOD[i], code, &err), 0);
        assert_string_equal(code, "K7QF3M9P");
    }
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++) {
        err.text[0] = '\0';
        assert_int_equal(sl_pair_code_read(BAD[i], code, &err), -EINVAL);
        assert_true(err.text[0] != '\0');
    }
}

/* ---- messages ---- */

static void messages_come_through_whole_or_not_at_all(void **unused)
{
    (void)unused;
    for (int kind = SL_PAIR_HELLO; kind <= SL_PAIR_REFUSE; kind++) {
        struct sl_pair_message sent, got = {0};
        uint8_t bytes[SL_PAIR_MESSAGE_MAX + 1] = {0}, again[SL_PAIR_MESSAGE_MAX];
        randombytes_buf(&sent, sizeof sent);
        sent.kind = (enum sl_pair_kind)kind;
        sent.reason = SL_PAIR_TROUBLE;
        const size_t size = sl_pair_wire_put(bytes, &sent);
        assert_in_range(size, 8, SL_PAIR_MESSAGE_MAX);
        for (size_t cut = 0; cut <= sizeof bytes; cut++)
            assert_int_equal(sl_pair_wire_get(bytes, cut, &got), cut == size ? 0 : -EPROTO);
        assert_int_equal(got.kind, kind);
        assert_int_equal(sl_pair_wire_put(again, &got), size);
        assert_memory_equal(again, bytes, size);
        bytes[4]++;
        assert_int_equal(sl_pair_wire_get(bytes, size, &got), -EPROTONOSUPPORT);
        bytes[4]--;
        bytes[0] ^= 1;
        assert_int_equal(sl_pair_wire_get(bytes, size, &got), -EPROTO);
    }
}

static void cards_are_read_strictly(void **unused)
{
    (void)unused;
    uint8_t bytes[SL_PAIR_CARD];
    struct sl_keys_entry card = {.public_key = "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7",
                                 .role = SL_ROLE_VIEWER,
                                 .name = "anna"},
                         got;
    sl_pair_card_put(bytes, &card);
    assert_int_equal(sl_pair_card_get(bytes, &got), 0);
    assert_string_equal(got.public_key, card.public_key);
    assert_int_equal(got.role, SL_ROLE_VIEWER);
    assert_string_equal(got.name, "anna");
    static const struct {
        size_t at;
        uint8_t value;
    } SPOILT[] = {{0, ' '}, {0, '#'}, {40, 3}, {40, 255}, {41, 0}, {42, '\n'}, {50, 'x'}, {104, 1}};
    for (size_t i = 0; i < sizeof SPOILT / sizeof SPOILT[0]; i++) {
        const uint8_t old = bytes[SPOILT[i].at];
        bytes[SPOILT[i].at] = SPOILT[i].value;
        assert_int_equal(sl_pair_card_get(bytes, &got), -EPROTO);
        bytes[SPOILT[i].at] = old;
    }
    memset(bytes + 41, 'x', 64); /* no end */
    assert_int_equal(sl_pair_card_get(bytes, &got), -EPROTO);
}

/* ---- exchanges ---- */

static void agree(struct sl_pair_exchange both[2], const char *vehicle_code,
                  const char *laptop_code)
{
    uint8_t nonces[2][SL_PAIR_NONCE];
    randombytes_buf(nonces, sizeof nonces);
    sl_pair_exchange_begin(&both[0], SL_PAIR_VEHICLE, vehicle_code, nonces[0], nonces[1]);
    sl_pair_exchange_begin(&both[1], SL_PAIR_LAPTOP, laptop_code, nonces[0], nonces[1]);
    assert_int_equal(
        sl_pair_exchange_agree(&both[0], SL_PAIR_VEHICLE, both[1].transcript.share[SL_PAIR_LAPTOP]),
        0);
    assert_int_equal(
        sl_pair_exchange_agree(&both[1], SL_PAIR_LAPTOP, both[0].transcript.share[SL_PAIR_VEHICLE]),
        0);
}

static void only_the_same_code_agrees(void **unused)
{
    (void)unused;
    static const struct sl_keys_entry CARD = {.public_key =
                                                  "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7",
                                              .role = SL_ROLE_DRIVER,
                                              .name = "anna"};
    static const char *const CODES[] = {"K7QF3M9P", "K7QF3M9Q"};
    for (int i = 0; i < 2; i++) {
        struct sl_pair_exchange both[2];
        struct sl_keys_entry got;
        uint8_t tag[SL_CPACE_TAG], sealed[SL_PAIR_SEALED];
        agree(both, CODES[0], CODES[i]);
        for (int from = SL_PAIR_VEHICLE; from <= SL_PAIR_LAPTOP; from++) {
            const enum sl_cpace_side side = (enum sl_cpace_side)from;
            const enum sl_cpace_side other =
                side == SL_PAIR_VEHICLE ? SL_PAIR_LAPTOP : SL_PAIR_VEHICLE;
            sl_cpace_tag(tag, both[from].isk, side, &both[from].transcript);
            assert_int_equal(sl_pair_exchange_proves(&both[1 - from], side, tag), i == 0);
            /* Sent back to whom it came from, it proves nothing. */
            assert_false(sl_pair_exchange_proves(&both[from], other, tag));
            tag[63] ^= 1;
            assert_false(sl_pair_exchange_proves(&both[1 - from], side, tag));
            sl_pair_exchange_seal(&both[from], side, &CARD, sealed);
            assert_int_equal(sl_pair_exchange_open(&both[1 - from], side, sealed, &got),
                             i == 0 ? 0 : -EPROTO);
            assert_int_equal(sl_pair_exchange_open(&both[from], other, sealed, &got), -EPROTO);
            sealed[SL_PAIR_SEALED - 1] ^= 1;
            assert_int_equal(sl_pair_exchange_open(&both[1 - from], side, sealed, &got), -EPROTO);
        }
    }
}

static void an_exchange_is_of_both_and_for_once(void **unused)
{
    (void)unused;
    static const uint8_t ONE[SL_PAIR_NONCE] = {1}, TWO[SL_PAIR_NONCE] = {2};
    struct sl_pair_exchange exchange, other;
    uint8_t zeros[SL_CPACE_SCALAR] = {0};
    sl_pair_exchange_begin(&exchange, SL_PAIR_VEHICLE, "K7QF3M9P", ONE, TWO);
    sl_pair_exchange_begin(&other, SL_PAIR_LAPTOP, "K7QF3M9P", ONE, TWO);
    assert_memory_equal(exchange.sid, ONE, SL_PAIR_NONCE);
    assert_memory_equal(exchange.sid + SL_PAIR_NONCE, TWO, SL_PAIR_NONCE);
    const uint8_t *share = other.transcript.share[SL_PAIR_LAPTOP];
    assert_int_equal(sl_pair_exchange_agree(&exchange, SL_PAIR_VEHICLE, share), 0);
    assert_memory_equal(exchange.scalar, zeros, sizeof zeros);
    assert_int_equal(sl_pair_exchange_agree(&exchange, SL_PAIR_VEHICLE, share), -EPROTO);
}

int main(void)
{
    if (sodium_init() < 0)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cpace_gives_the_drafts_numbers),
        cmocka_unit_test(tags_are_the_drafts),
        cmocka_unit_test(shares_that_are_none_are_refused),
        cmocka_unit_test(codes_can_be_read_back),
        cmocka_unit_test(codes_are_read_as_people_type_them),
        cmocka_unit_test(messages_come_through_whole_or_not_at_all),
        cmocka_unit_test(cards_are_read_strictly),
        cmocka_unit_test(only_the_same_code_agrees),
        cmocka_unit_test(an_exchange_is_of_both_and_for_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
