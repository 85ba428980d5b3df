/* The settings: one INI file a board, read once, then const.
 *
 * struct sl_settings is generated from settings.def: settings.camera.height_m
 * is key height_m of section [camera]. Numbers are double, whole numbers
 * int64_t, switches bool, texts and choices char arrays. */
#ifndef SL_APP_CONFIG_SETTINGS_H
#define SL_APP_CONFIG_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "rt/error.h"

#define SL_SETTINGS_TEXT_MAX 192

/* power.voltage_path: no file, but what the device of actuator.driver measures. */
#define SL_VOLTAGE_OF_OUTPUTS "outputs"

/* clang-format off */
#define SL_SECTION(section, help) struct {
#define SL_REAL(section, key, unit, min, max, def, live, help) double key;
#define SL_INT(section, key, unit, min, max, def, live, help) int64_t key;
#define SL_BOOL(section, key, def, live, help) bool key;
#define SL_TEXT(section, key, def, live, help) char key[SL_SETTINGS_TEXT_MAX];
#define SL_CHOICE(section, key, choices, def, live, help) char key[SL_SETTINGS_TEXT_MAX];
#define SL_SECTION_END(section) } section;
/* clang-format on */
struct sl_settings {
#include "app/config/settings.def"
};
#undef SL_SECTION
#undef SL_REAL
#undef SL_INT
#undef SL_BOOL
#undef SL_TEXT
#undef SL_CHOICE
#undef SL_SECTION_END

/* Fills in every default. */
void sl_settings_defaults(struct sl_settings *settings);

/* Reads a file over what is there. Unknown, duplicate, malformed or
 * out-of-range keys, cut lines and unreadable files are errors: the first is
 * told with file, line and reason, and `settings` is then unchanged.
 * 0; -ENOENT and the like (file); -EINVAL (content). */
int sl_settings_read(struct sl_settings *settings, const char *path, struct sl_error *err);

/* One "section.key=value", as of -o. 0 or -EINVAL. */
int sl_settings_set(struct sl_settings *settings, const char *assignment, struct sl_error *err);

/* The same while the vehicle drives: refuses keys that cannot be changed then,
 * and what does not fit the other settings. `settings` is unchanged unless 0. */
int sl_settings_set_live(struct sl_settings *settings, const char *assignment,
                         struct sl_error *err);

/* What single keys cannot say: near < far, slow after hold and so on.
 * 0, or -EINVAL naming both keys. Call after the last read or set. */
int sl_settings_check(const struct sl_settings *settings, struct sl_error *err);

/* Prints them as an INI file that sl_settings_read() takes back unchanged. */
void sl_settings_print(const struct sl_settings *settings, FILE *to);

/* The same as one JSON object by section; returned text is the caller's to free. */
char *sl_settings_json(const struct sl_settings *settings);

/* Those that may be changed while driving, as an array of objects: key, value,
 * default, min, max, unit, help. The caller deletes it; NULL: no memory. */
struct cJSON *sl_settings_live_json(const struct sl_settings *settings);

/* The reference: every key with unit, range, default and help; as Markdown
 * (docs/settings.md) or for a terminal. */
void sl_settings_reference(FILE *to, bool markdown);

#endif
