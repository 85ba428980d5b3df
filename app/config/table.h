/* The settings as a table, generated from settings.def: what the parser, the
 * printers and the reference walk over. Private to app/config. */
#ifndef SL_APP_CONFIG_TABLE_H
#define SL_APP_CONFIG_TABLE_H

#include "app/config/settings.h"

enum sl_key_type {
    SL_KEY_REAL = 0,
    SL_KEY_INT,
    SL_KEY_BOOL,
    SL_KEY_TEXT,
    SL_KEY_CHOICE,
};

struct sl_key {
    const char *section;
    const char *name;
    enum sl_key_type type;
    size_t offset;    /* of the value in struct sl_settings */
    const char *unit; /* "1" for plain numbers; NULL where there is no number */
    double min, max;
    double default_number;    /* numbers and switches */
    const char *default_text; /* texts and choices */
    const char *choices;      /* "first|second"; NULL but for choices */
    bool live;
    const char *help;
};

struct sl_section {
    const char *name;
    const char *help;
};

/* Room for any value as text. */
#define SL_VALUE_TEXT_MAX SL_SETTINGS_TEXT_MAX

/* Longest text value in bytes: with its key it still fits a line that the INI
 * reader takes whole, so that what is printed can be read back. */
#define SL_TEXT_VALUE_MAX 180

extern const struct sl_key sl_keys[];
extern const size_t sl_key_count;
extern const struct sl_section sl_sections[];
extern const size_t sl_section_count;

/* The key of this name, or NULL. */
const struct sl_key *sl_key_find(const char *section, const char *name);

/* Writes the sentence about a name that is not in the table, with the nearest
 * that is; returns -EINVAL. */
int sl_key_unknown(const char *section, const char *name, struct sl_error *err);

/* The same for a section. */
int sl_section_unknown(const char *section, struct sl_error *err);

/* Parses and stores one value. 0, or -EINVAL with "section.key: reason and
 * what is allowed"; `settings` is then unchanged. */
int sl_key_set(struct sl_settings *settings, const struct sl_key *key, const char *value,
               struct sl_error *err);

/* The value as an INI file would hold it. `text` is returned. */
const char *sl_key_text(const struct sl_settings *settings, const struct sl_key *key,
                        char text[SL_VALUE_TEXT_MAX]);

/* What the key takes, for people: "0.05 to 10 m", "true or false". Returns `text`. */
const char *sl_key_allowed(const struct sl_key *key, char text[SL_VALUE_TEXT_MAX]);

/* The shortest decimal that reads back as the same number, in the C locale.
 * `text` has room for 32 bytes; returned. */
const char *sl_number_text(double number, char text[32]);

#endif
