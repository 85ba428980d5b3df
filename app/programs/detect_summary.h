/* What became of the pictures that skylane-detect looked at: counted clip by
 * clip, and told at the end. One thread. */
#ifndef SL_APP_PROGRAMS_DETECT_SUMMARY_H
#define SL_APP_PROGRAMS_DETECT_SUMMARY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include <cjson/cJSON.h>

#include "rt/records.h"

struct sl_clip_tally; /* of one clip */

struct sl_tallies {
    struct sl_clip_tally *clips;
    size_t clip_count;
    size_t done, failed; /* pictures of all clips */
};

/* Begins a clip; the functions below count for the one begun last. False: no
 * memory. */
bool sl_tallies_begin(struct sl_tallies *tallies, const char *clip);

/* A picture in which the detector found this, within `time_ms`. False: no
 * memory. */
bool sl_tallies_add(struct sl_tallies *tallies, const struct sl_detection *found, double time_ms);

/* A picture that could not be read or looked at. */
void sl_tallies_add_failed(struct sl_tallies *tallies);

void sl_tallies_free(struct sl_tallies *tallies);

/* The summary: a table with a line a clip, in colours if `to` is a terminal and
 * NO_COLOR is not set. Orders the clips' times. */
void sl_tallies_print(struct sl_tallies *tallies, FILE *to);

/* The same numbers as JSON. */
void sl_tallies_print_json(struct sl_tallies *tallies, FILE *to);

/* Adds `value`, rounded to multiples of `unit`. */
void sl_detect_add_number(cJSON *object, const char *key, double value, double unit);

#endif
