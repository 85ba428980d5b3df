/* An error that a person will read.
 *
 * Functions return 0 or a negative errno for the caller's code, and put a
 * sentence here for the caller's user: what is wrong, and what to do next.
 * Not for real-time loops, which count and log numbers instead. */
#ifndef SL_RT_ERROR_H
#define SL_RT_ERROR_H

#include <stddef.h>

struct sl_error {
    char text[512]; /* always terminated; empty while nothing failed */
};

/* Writes the sentence, printf-like, and returns `code` (a negative errno), so
 * that a failing branch is one line: return sl_error_set(err, -EIO, "...").
 * `err` may be NULL. A text that does not fit is cut. Any thread. */
int sl_error_set(struct sl_error *err, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts "prefix: " before a text that is already there. `err` may be NULL. */
void sl_error_prefix(struct sl_error *err, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
