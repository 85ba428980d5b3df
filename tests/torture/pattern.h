/* Frames that check themselves. Every 64-bit word of a payload and of its meta
 * area follows from the run, the writer's instance, the record's number and the
 * word's place, so that a word from another writer, another record or another
 * place shows, wherever it stands. */
#ifndef SL_TESTS_TORTURE_PATTERN_H
#define SL_TESTS_TORTURE_PATTERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rt/bus.h"

/* A small generator (G. Steele's SplitMix64), for patterns and for chance. */
uint64_t pattern_random(uint64_t *state);

/* A whole number in [low, high]. */
uint64_t pattern_between(uint64_t *state, uint64_t low, uint64_t high);

/* A quarter of the records have this size, for readers who have records of one
 * size copied out; the others each have one of their own. */
#define PATTERN_COPY_BYTES 192

/* What stands in a record's meta area. */
struct pattern_meta {
    uint64_t instance; /* writers of this run, counted from 1 in their order */
    uint64_t seq;
    uint64_t size;     /* of the payload, bytes; follows from instance and seq */
    uint64_t capacity; /* of the instance's slots, bytes */
    uint64_t words[12];
};
_Static_assert(sizeof(struct pattern_meta) == SL_BUS_META_BYTES, "fills the meta area");

/* Fills a loan as record `seq`; returns its size in bytes, which is never 0,
 * and the time to publish it with, which is part of the pattern. */
size_t pattern_fill(uint64_t run, uint64_t instance, uint64_t seq, const struct sl_bus_loan *loan,
                    uint64_t *measured_ns);

/* What a record's words should have been, for the sentence that tells of it. */
struct pattern_fault {
    const char *what; /* NULL: the record is right */
    uint64_t at;      /* byte of the payload or word of meta */
    uint64_t found, expected;
};

/* Checks number, size, time, meta and every byte of the payload; leaves a copy
 * of meta. */
struct pattern_fault pattern_check(uint64_t run, const struct sl_bus_view *view,
                                   struct pattern_meta *meta);

/* True if a record that was copied out is number `seq` of this instance. */
bool pattern_check_copy(uint64_t run, uint64_t instance, uint64_t seq, const void *copy);

#endif
