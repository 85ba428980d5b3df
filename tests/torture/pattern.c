#include "pattern.h"

#include <string.h>

/* SplitMix64's constants: an odd step, so that no two words of a payload are
 * alike, and a finaliser that spreads every bit over all others. */
#define STEP UINT64_C(0x9e3779b97f4a7c15)

static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

uint64_t pattern_random(uint64_t *state)
{
    *state += STEP;
    return mix(*state);
}

uint64_t pattern_between(uint64_t *state, uint64_t low, uint64_t high)
{
    return low + pattern_random(state) % (high - low + 1);
}

/* Two records' keys differ by a number without order, so that word i of one is
 * word j of the other for hardly any i and j. */
static uint64_t key_of(uint64_t run, uint64_t instance, uint64_t seq)
{
    return mix(mix(mix(run) + instance) + seq);
}

/* Word i is key + i * STEP: no more than an addition a word, since a check
 * must not be much dearer than what it checks. */
#define BLOCK 16

static void fill_words(uint64_t *words, size_t count, uint64_t x)
{
    for (size_t i = 0; i < count; i++, x += STEP)
        words[i] = x;
}

static uint64_t difference(const uint64_t *words, size_t count, uint64_t x)
{
    uint64_t wrong = 0;
    size_t i = 0;
    for (; i + BLOCK <= count; i += BLOCK, x += BLOCK * STEP) {
        for (size_t k = 0; k < BLOCK; k++)
            wrong |= words[i + k] ^ (x + k * STEP);
    }
    for (; i < count; i++, x += STEP)
        wrong |= words[i] ^ x;
    return wrong;
}

static uint64_t size_of(uint64_t key, uint64_t capacity)
{
    /* From seven eighths of the slot to all of it, odd sizes too. */
    return mix(~key) % 4 == 0 ? PATTERN_COPY_BYTES : capacity - mix(key) % (capacity / 8 + 1);
}

size_t pattern_fill(uint64_t run, uint64_t instance, uint64_t seq, const struct sl_bus_loan *loan,
                    uint64_t *measured_ns)
{
    const uint64_t key = key_of(run, instance, seq);
    const size_t size = size_of(key, loan->capacity);
    const size_t whole = size / 8;
    fill_words(loan->data, whole, key);
    const uint64_t last = key + whole * STEP;
    memcpy((uint8_t *)loan->data + whole * 8, &last, size % 8);

    struct pattern_meta *meta = loan->meta;
    meta->instance = instance;
    meta->seq = seq;
    meta->size = size;
    meta->capacity = loan->capacity;
    fill_words(meta->words, sizeof meta->words / 8, ~key);
    *measured_ns = key ^ STEP;
    return size;
}

/* Where the first wrong word is: only after something was found wrong. Since
 * the memory may change under a reader that is overrun, it may find nothing. */
static struct pattern_fault first_fault(const char *what, const uint64_t *words, size_t count,
                                        uint64_t x, size_t unit)
{
    for (size_t i = 0; i < count; i++, x += STEP) {
        if (words[i] != x)
            return (struct pattern_fault){what, i * unit, words[i], x};
    }
    return (struct pattern_fault){what, 0, 0, 0};
}

static struct pattern_fault check_payload(uint64_t key, size_t size, const void *data)
{
    const size_t whole = size / 8;
    if (difference(data, whole, key) != 0)
        return first_fault("the payload's byte", data, whole, key, 8);
    const uint64_t last = key + whole * STEP;
    if (memcmp((const uint8_t *)data + whole * 8, &last, size % 8) != 0)
        return (struct pattern_fault){"the payload's end, from byte", whole * 8, 0, last};
    return (struct pattern_fault){0};
}

struct pattern_fault pattern_check(uint64_t run, const struct sl_bus_view *view,
                                   struct pattern_meta *meta)
{
    /* Copied, so that what is checked here is what is used below, even while
     * the writer overruns this reader. */
    memcpy(meta, view->meta, sizeof *meta);
    if (meta->seq != view->seq)
        return (struct pattern_fault){"meta's number, word", 1, meta->seq, view->seq};
    const uint64_t key = key_of(run, meta->instance, meta->seq);
    const size_t words = sizeof meta->words / 8;
    if (difference(meta->words, words, ~key) != 0)
        return first_fault("meta's pattern, word", meta->words, words, ~key, 1);
    const uint64_t size = size_of(key, meta->capacity);
    if (meta->size != size)
        return (struct pattern_fault){"meta's size, word", 2, meta->size, size};
    if (view->size != size)
        return (struct pattern_fault){"the view's size, word", 0, view->size, size};
    if (view->measured_ns != (key ^ STEP))
        return (struct pattern_fault){"measured_ns, word", 0, view->measured_ns, key ^ STEP};
    return check_payload(key, size, view->data);
}

bool pattern_check_copy(uint64_t run, uint64_t instance, uint64_t seq, const void *copy)
{
    return check_payload(key_of(run, instance, seq), PATTERN_COPY_BYTES, copy).what == NULL;
}
