/* Reads Prometheus' text format (version 0.0.4), strictly: for tests of what
 * serves it. */
#ifndef SL_TESTS_INTEGRATION_METRICS_TEXT_H
#define SL_TESTS_INTEGRATION_METRICS_TEXT_H

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static inline bool is_name(const char *text, size_t length)
{
    static const char LETTERS[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_:";
    if (length == 0 || strchr(LETTERS, text[0]) == NULL)
        return false;
    for (size_t i = 0; i < length; i++)
        if (strchr(LETTERS, text[i]) == NULL && strchr("0123456789", text[i]) == NULL)
            return false;
    return true;
}

/* Moves over {a="b",c="d"}; false if that is not what stands there. */
static inline bool pass_labels(const char **at)
{
    const char *p = *at;
    if (*p != '{')
        return true;
    do {
        const size_t name = strcspn(++p, "=");
        if (!is_name(p, name) || memchr(p, ':', name) != NULL || strncmp(p + name, "=\"", 2) != 0)
            return false;
        p += name + 2;
        p += strcspn(p, "\"\\\n");
        if (*p++ != '"')
            return false;
    } while (*p == ',');
    *at = p + 1;
    return *p == '}';
}

/* "" if the text is well formed, else what is wrong with it: HELP and TYPE once
 * for each name, before its samples, which stand together; no sample twice;
 * counters named ..._total and not negative; every value a number. */
static inline const char *metrics_problem(const char *text)
{
    static char problem[512];
    char name[128] = "", type[16] = "", help[128] = "", names[8192] = "\n", samples[65536] = "\n";
    unsigned count = 0;
    for (const char *line = text; *line != '\0'; line = strchr(line, '\n') + 1) {
        snprintf(problem, sizeof problem, "%.*s", (int)strcspn(line, "\n"), line);
        if (strchr(line, '\n') == NULL)
            return "the last line has no end";
        char word[130], sample[400], *end;
        int length = 0;
        if (sscanf(line, "# HELP %127[^ \n] %n", help, &length) == 1 && length > 0) {
            snprintf(word, sizeof word, "\n%s\n", help);
            if (!is_name(help, strlen(help)) || strstr(names, word) != NULL ||
                line[length] == '\n' || (name[0] != '\0' && count == 0))
                return problem;
            strncat(names, word + 1, sizeof names - strlen(names) - 1);
            name[0] = '\0';
            continue;
        }
        if (sscanf(line, "# TYPE %127[^ \n] %15[a-z]%n", name, type, &length) == 2) {
            const char *total = strstr(name, "_total");
            const bool counter = strcmp(type, "counter") == 0;
            if (line[length] != '\n' || strcmp(name, help) != 0 ||
                (!counter && strcmp(type, "gauge") != 0) ||
                counter != (total != NULL && total[6] == '\0'))
                return problem;
            count = 0;
            continue;
        }
        const size_t named = strcspn(line, "{ \n");
        const char *at = line + named;
        if (name[0] == '\0' || named != strlen(name) || strncmp(line, name, named) != 0 ||
            !pass_labels(&at) || *at != ' ')
            return problem;
        snprintf(sample, sizeof sample, "\n%.*s\n", (int)(at - line), line);
        if (strstr(samples, sample) != NULL)
            return problem;
        strncat(samples, sample + 1, sizeof samples - strlen(samples) - 1);
        const double value = strtod(at + 1, &end);
        if (end == at + 1 || *end != '\n' || !isfinite(value) ||
            (strcmp(type, "counter") == 0 && value < 0))
            return problem;
        count++;
    }
    return "";
}

/* The value of a sample, such as skylane_x{a="b"}; NAN if it is not there. */
static inline double metrics_value(const char *text, const char *sample)
{
    const size_t length = strlen(sample);
    for (const char *line = text; line != NULL; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, sample, length) == 0 && line[length] == ' ')
            return strtod(line + length, NULL);
    }
    return NAN;
}

#endif
