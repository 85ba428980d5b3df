#include "app/config/table.h"

#include <ctype.h>
#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "rt/cli.h"

#define LIVE  true
#define FIXED false

#define SL_SECTION(s, h)
#define SL_REAL(s, k, u, lo, hi, d, l, h)                                                          \
    {#s, #k, SL_KEY_REAL, offsetof(struct sl_settings, s.k), u, lo, hi, d, NULL, NULL, l, h},
#define SL_INT(s, k, u, lo, hi, d, l, h)                                                           \
    {#s, #k, SL_KEY_INT, offsetof(struct sl_settings, s.k), u, lo, hi, d, NULL, NULL, l, h},
#define SL_BOOL(s, k, d, l, h)                                                                     \
    {#s, #k, SL_KEY_BOOL, offsetof(struct sl_settings, s.k), NULL, 0, 1, d, NULL, NULL, l, h},
#define SL_TEXT(s, k, d, l, h)                                                                     \
    {#s, #k, SL_KEY_TEXT, offsetof(struct sl_settings, s.k), NULL, 0, 0, 0, d, NULL, l, h},
#define SL_CHOICE(s, k, c, d, l, h)                                                                \
    {#s, #k, SL_KEY_CHOICE, offsetof(struct sl_settings, s.k), NULL, 0, 0, 0, d, c, l, h},
#define SL_SECTION_END(s)
const struct sl_key sl_keys[] = {
#include "app/config/settings.def"
};
#undef SL_SECTION
#undef SL_REAL
#undef SL_INT
#undef SL_BOOL
#undef SL_TEXT
#undef SL_CHOICE

#define SL_SECTION(s, h) {#s, h},
#define SL_REAL(s, k, u, lo, hi, d, l, h)
#define SL_INT(s, k, u, lo, hi, d, l, h)
#define SL_BOOL(s, k, d, l, h)
#define SL_TEXT(s, k, d, l, h)
#define SL_CHOICE(s, k, c, d, l, h)
const struct sl_section sl_sections[] = {
#include "app/config/settings.def"
};

const size_t sl_key_count = sizeof sl_keys / sizeof sl_keys[0];
const size_t sl_section_count = sizeof sl_sections / sizeof sl_sections[0];

const struct sl_key *sl_key_find(const char *section, const char *name)
{
    for (size_t i = 0; i < sl_key_count; i++) {
        if (strcmp(sl_keys[i].section, section) == 0 && strcmp(sl_keys[i].name, name) == 0)
            return &sl_keys[i];
    }
    return NULL;
}

#define FAR 96 /* from every name that there is */

/* Further than a third of its letters is another word, not a misspelling. */
static bool near_enough(size_t distance, const char *name)
{
    size_t allowed = strlen(name) / 3;
    return distance <= (allowed < 2 ? 2 : allowed);
}

static const char *nearest_section(const char *name)
{
    const char *best = NULL;
    size_t best_distance = 0;
    for (size_t i = 0; i < sl_section_count; i++) {
        size_t distance = sl_cli_distance(name, sl_sections[i].name, FAR);
        if (best == NULL || distance < best_distance) {
            best = sl_sections[i].name;
            best_distance = distance;
        }
    }
    return near_enough(best_distance, name) ? best : NULL;
}

int sl_section_unknown(const char *section, struct sl_error *err)
{
    const char *nearest = nearest_section(section);
    if (nearest != NULL)
        return sl_error_set(err, -EINVAL, "[%.60s]: no such section; did you mean [%s]?", section,
                            nearest);
    return sl_error_set(err, -EINVAL,
                        "[%.60s]: no such section; skylane config --reference lists them", section);
}

int sl_key_unknown(const char *section, const char *name, struct sl_error *err)
{
    const struct sl_key *best = NULL;
    size_t best_distance = 0;
    for (size_t i = 0; i < sl_key_count; i++) {
        /* A key in the wrong section is as good as one that is misspelt by one
         * letter; both can be wrong at once. */
        size_t distance = sl_cli_distance(name, sl_keys[i].name, FAR);
        if (strcmp(section, sl_keys[i].section) != 0)
            distance += 1;
        if (best == NULL || distance < best_distance) {
            best = &sl_keys[i];
            best_distance = distance;
        }
    }
    if (best != NULL && near_enough(best_distance, name))
        return sl_error_set(err, -EINVAL, "%.60s.%.60s: no such key; did you mean %s.%s?", section,
                            name, best->section, best->name);
    return sl_error_set(err, -EINVAL,
                        "%.60s.%.60s: no such key; skylane config --reference lists them all",
                        section, name);
}

/* Numbers look the same in every country: the process may have taken another
 * locale, so that both directions switch to "C" around the call. */
static double parse_double(const char *text, char **end)
{
    locale_t c = newlocale(LC_NUMERIC_MASK, "C", (locale_t)0);
    locale_t before = uselocale(c);
    double number = strtod(text, end);
    uselocale(before);
    freelocale(c);
    return number;
}

const char *sl_number_text(double number, char text[32])
{
    locale_t c = newlocale(LC_NUMERIC_MASK, "C", (locale_t)0);
    locale_t before = uselocale(c);
    for (int digits = 6; digits <= 17; digits++) {
        snprintf(text, 32, "%.*g", digits, number);
        if (strtod(text, NULL) == number)
            break;
    }
    uselocale(before);
    freelocale(c);
    return text;
}

const char *sl_key_allowed(const struct sl_key *key, char text[SL_VALUE_TEXT_MAX])
{
    char low[32], high[32];
    switch (key->type) {
    case SL_KEY_REAL:
    case SL_KEY_INT:
        snprintf(text, SL_VALUE_TEXT_MAX, "%s to %s%s%s", sl_number_text(key->min, low),
                 sl_number_text(key->max, high), strcmp(key->unit, "1") == 0 ? "" : " ",
                 strcmp(key->unit, "1") == 0 ? "" : key->unit);
        break;
    case SL_KEY_BOOL:
        snprintf(text, SL_VALUE_TEXT_MAX, "true or false");
        break;
    case SL_KEY_TEXT:
        snprintf(text, SL_VALUE_TEXT_MAX, "text of up to %d bytes", SL_TEXT_VALUE_MAX);
        break;
    case SL_KEY_CHOICE: {
        size_t used = 0;
        for (const char *c = key->choices; *c != '\0' && used + 3 < SL_VALUE_TEXT_MAX; c++) {
            text[used++] = *c == '|' ? ',' : *c;
            if (*c == '|')
                text[used++] = ' ';
        }
        text[used] = '\0';
        break;
    }
    }
    return text;
}

static int refuse(const struct sl_key *key, const char *value, const char *reason,
                  struct sl_error *err)
{
    char allowed[SL_VALUE_TEXT_MAX];
    return sl_error_set(err, -EINVAL, "%s.%s: \"%.60s\" %s; allowed: %s%s", key->section, key->name,
                        value, reason, key->type == SL_KEY_INT ? "a whole number, " : "",
                        sl_key_allowed(key, allowed));
}

static int set_real(double *to, const struct sl_key *key, const char *value, struct sl_error *err)
{
    /* strtod() takes more than decimal numbers ("nan", "0x1p3"). What begins
     * like a decimal and goes on is trailing text, a frequent slip ("5 m"). */
    char *end;
    double number = parse_double(value, &end);
    bool decimal = end != value;
    for (const char *c = value; decimal && c < end; c++)
        decimal = isdigit((unsigned char)*c) || strchr("+-.eE", *c) != NULL;
    if (!decimal)
        return refuse(key, value, value[0] == '\0' ? "is empty" : "is not a decimal number", err);
    if (*end != '\0')
        return refuse(key, value, "has text after the number", err);
    if (!isfinite(number) || number < key->min || number > key->max)
        return refuse(key, value, "is out of range", err);
    *to = number == 0 ? 0 : number; /* no negative zero */
    return 0;
}

static int set_int(int64_t *to, const struct sl_key *key, const char *value, struct sl_error *err)
{
    char *end;
    errno = 0;
    long long number = strtoll(value, &end, 10);
    if (end == value || isspace((unsigned char)value[0]))
        return refuse(key, value, value[0] == '\0' ? "is empty" : "is not a whole number", err);
    if (*end != '\0')
        return refuse(key, value, "has text after the whole number", err);
    if (errno != 0 || (double)number < key->min || (double)number > key->max)
        return refuse(key, value, "is out of range", err);
    *to = number;
    return 0;
}

static int set_bool(bool *to, const struct sl_key *key, const char *value, struct sl_error *err)
{
    static const struct {
        const char *word;
        bool value;
    } WORDS[] = {{"true", true}, {"false", false}, {"yes", true}, {"no", false},
                 {"on", true},   {"off", false},   {"1", true},   {"0", false}};
    for (size_t i = 0; i < sizeof WORDS / sizeof WORDS[0]; i++) {
        if (strcasecmp(value, WORDS[i].word) == 0) {
            *to = WORDS[i].value;
            return 0;
        }
    }
    return refuse(key, value, "is neither true nor false (nor yes, no, on, off, 1, 0)", err);
}

static int set_text(char *to, const struct sl_key *key, const char *value, struct sl_error *err)
{
    size_t length = strlen(value);
    if (length > SL_TEXT_VALUE_MAX)
        return refuse(key, value, "is too long", err);
    /* What a file could not hold is refused from the command line as well. */
    if (length > 0 && (value[0] == ' ' || value[length - 1] == ' '))
        return refuse(key, value, "begins or ends with a space", err);
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)value[i];
        if (c < 0x20 || c == 0x7f)
            return refuse(key, "(text)", "holds a control character", err);
        if ((c == ';' || c == '#') && (i == 0 || value[i - 1] == ' '))
            return refuse(key, value, "holds the beginning of a comment (; or # after a space)",
                          err);
    }
    memcpy(to, value, length + 1);
    return 0;
}

static int set_choice(char *to, const struct sl_key *key, const char *value, struct sl_error *err)
{
    size_t length = strlen(value);
    for (const char *choice = key->choices; choice != NULL;) {
        size_t span = strcspn(choice, "|");
        if (length > 0 && span == length && strncasecmp(choice, value, span) == 0) {
            memcpy(to, choice, span); /* spelt as in the table */
            to[span] = '\0';
            return 0;
        }
        choice = choice[span] == '|' ? choice + span + 1 : NULL;
    }
    return refuse(key, value, "is none of its choices", err);
}

int sl_key_set(struct sl_settings *settings, const struct sl_key *key, const char *value,
               struct sl_error *err)
{
    void *to = (char *)settings + key->offset;
    switch (key->type) {
    case SL_KEY_REAL:
        return set_real(to, key, value, err);
    case SL_KEY_INT:
        return set_int(to, key, value, err);
    case SL_KEY_BOOL:
        return set_bool(to, key, value, err);
    case SL_KEY_TEXT:
        return set_text(to, key, value, err);
    case SL_KEY_CHOICE:
        return set_choice(to, key, value, err);
    }
    return -EINVAL;
}

const char *sl_key_text(const struct sl_settings *settings, const struct sl_key *key,
                        char text[SL_VALUE_TEXT_MAX])
{
    const void *from = (const char *)settings + key->offset;
    char number[32];
    switch (key->type) {
    case SL_KEY_REAL:
        snprintf(text, SL_VALUE_TEXT_MAX, "%s", sl_number_text(*(const double *)from, number));
        break;
    case SL_KEY_INT:
        snprintf(text, SL_VALUE_TEXT_MAX, "%lld", (long long)*(const int64_t *)from);
        break;
    case SL_KEY_BOOL:
        snprintf(text, SL_VALUE_TEXT_MAX, "%s", *(const bool *)from ? "true" : "false");
        break;
    case SL_KEY_TEXT:
    case SL_KEY_CHOICE:
        snprintf(text, SL_VALUE_TEXT_MAX, "%s", (const char *)from);
        break;
    }
    return text;
}
