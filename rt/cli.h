/* What every program's command line has in common. */
#ifndef SL_RT_CLI_H
#define SL_RT_CLI_H

#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>

#include "rt/error.h"

#define SL_EXIT_OK     0
#define SL_EXIT_FAILED 1
#define SL_EXIT_MISUSE 2

/* Says on standard error what is wrong with the option that getopt_long() has
 * just answered with '?' or ':' (call it with opterr = 0 and an option string
 * that begins with ':'), with the nearest option that exists and where help is
 * to be found. Returns SL_EXIT_MISUSE. `verb` is as in "skylane VERB". */
int sl_cli_bad_option(const char *verb, int answer, char **argv, const struct option *options);

/* The same for an operand that no program takes. */
int sl_cli_bad_operand(const char *verb, const char *operand);

/* The same, printf-like, for everything else. */
int sl_cli_misuse(const char *verb, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Reads a number in the C locale with nothing behind it, finite and in
 * [min, max]. 0, or -EINVAL with a sentence that names `what`. */
int sl_cli_number(const char *text, const char *what, double min, double max, double *out,
                  struct sl_error *err);

/* Whole numbers, the same. */
int sl_cli_integer(const char *text, const char *what, int64_t min, int64_t max, int64_t *out,
                   struct sl_error *err);

/* Makes SIGINT and SIGTERM set a flag instead of ending the program, for a
 * clean stop; a second one ends it at once. Ignores SIGPIPE. */
void sl_cli_catch_stop(void);
bool sl_cli_stop_wanted(void);

/* The folder of the running program, "build/bin" or "/usr/bin": where its
 * siblings are. `path` has room for `size` bytes. 0 or -ENAMETOOLONG. */
int sl_cli_program_dir(char *path, size_t size);

/* Levenshtein's edit distance between two words, case ignored, at most `limit`:
 * for suggestions. A `b` of more than 63 bytes is `limit` away. */
unsigned sl_cli_distance(const char *a, const char *b, unsigned limit);

#endif
