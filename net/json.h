/* Numbers as JSON without loss: cJSON's own are doubles, which round whole
 * numbers above 2^53 and print a float 0.1 as 0.100000001490116. */
#ifndef SL_NET_JSON_H
#define SL_NET_JSON_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <cjson/cJSON.h>

#include "rt/error.h"

void sl_json_add_u64(cJSON *to, const char *key, uint64_t value);

/* The fewest digits that give the same float back; null if it is not finite. */
cJSON *sl_json_float(float value);
void sl_json_add_float(cJSON *to, const char *key, float value);

/* Six significant digits, for figures that were measured; null likewise. */
void sl_json_add_figure(cJSON *to, const char *key, double value);

/* Writes it on one line or on many, ends the line and flushes. 0, or a
 * negative errno with a sentence: -EPIPE if nobody reads any more. */
int sl_json_write(FILE *to, const cJSON *value, bool one_line, struct sl_error *err);

#endif
