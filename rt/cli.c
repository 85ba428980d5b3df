#include "rt/cli.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static volatile sig_atomic_t stop_wanted;

unsigned sl_cli_distance(const char *a, const char *b, unsigned limit)
{
    /* Levenshtein's, one row at a time. Words of options are short. */
    unsigned row[64];
    size_t columns = strlen(b);
    if (columns + 1 > sizeof row / sizeof row[0])
        return limit;
    for (size_t j = 0; j <= columns; j++)
        row[j] = (unsigned)j;
    for (size_t i = 0; a[i] != '\0'; i++) {
        unsigned diagonal = row[0];
        row[0] = (unsigned)i + 1;
        for (size_t j = 1; j <= columns; j++) {
            bool same = tolower((unsigned char)a[i]) == tolower((unsigned char)b[j - 1]);
            unsigned best = diagonal + (same ? 0 : 1);
            diagonal = row[j];
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    return row[columns] < limit ? row[columns] : limit;
}

static int end_of_misuse(const char *verb)
{
    fprintf(stderr, "Try \"skylane %s --help\".\n", verb);
    return SL_EXIT_MISUSE;
}

int sl_cli_bad_option(const char *verb, int answer, char **argv, const struct option *options)
{
    const char *word = argv[optind - 1];
    if (answer == ':') {
        fprintf(stderr, "skylane %s: %s needs a value\n", verb, word);
        return end_of_misuse(verb);
    }
    fprintf(stderr, "skylane %s: there is no option %s", verb, word);
    const char *nearest = NULL;
    unsigned best = 4;
    if (strncmp(word, "--", 2) == 0) {
        for (const struct option *o = options; o->name != NULL; o++) {
            unsigned distance = sl_cli_distance(word + 2, o->name, 4);
            if (distance < best) {
                best = distance;
                nearest = o->name;
            }
        }
    }
    if (nearest != NULL)
        fprintf(stderr, "; did you mean --%s?", nearest);
    fputc('\n', stderr);
    return end_of_misuse(verb);
}

int sl_cli_bad_operand(const char *verb, const char *operand)
{
    fprintf(stderr, "skylane %s: does not know what to do with \"%s\"\n", verb, operand);
    return end_of_misuse(verb);
}

int sl_cli_misuse(const char *verb, const char *format, ...)
{
    va_list args;
    fprintf(stderr, "skylane %s: ", verb);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    return end_of_misuse(verb);
}

int sl_cli_number(const char *text, const char *what, double min, double max, double *out,
                  struct sl_error *err)
{
    char *end = NULL;
    errno = 0;
    double value = strtod(text, &end);
    if (end == text || *end != '\0' || !isfinite(value))
        return sl_error_set(err, -EINVAL, "%s must be a number, not \"%s\"", what, text);
    if (value < min || value > max)
        return sl_error_set(err, -EINVAL, "%s is %g; it must lie within %g and %g", what, value,
                            min, max);
    *out = value;
    return 0;
}

int sl_cli_integer(const char *text, const char *what, int64_t min, int64_t max, int64_t *out,
                   struct sl_error *err)
{
    char *end = NULL;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (end == text || *end != '\0' || errno == ERANGE)
        return sl_error_set(err, -EINVAL, "%s must be a whole number, not \"%s\"", what, text);
    if (value < min || value > max)
        return sl_error_set(err, -EINVAL, "%s is %lld; it must lie within %lld and %lld", what,
                            value, (long long)min, (long long)max);
    *out = value;
    return 0;
}

static void on_stop(int signal_number)
{
    (void)signal_number;
    stop_wanted = 1;
}

void sl_cli_catch_stop(void)
{
    struct sigaction action = {.sa_handler = on_stop, .sa_flags = (int)SA_RESETHAND};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
}

bool sl_cli_stop_wanted(void)
{
    return stop_wanted != 0;
}

int sl_cli_program_dir(char *path, size_t size)
{
    ssize_t n = readlink("/proc/self/exe", path, size);
    if (n <= 0 || (size_t)n >= size)
        return -ENAMETOOLONG;
    path[n] = '\0';
    char *slash = strrchr(path, '/');
    if (slash != NULL)
        *slash = '\0';
    return 0;
}
