/* Changes keys of one section in a settings file's text and leaves every other
 * byte as it is: other keys, comments, blank lines, order and line ends.
 *
 * Pure: text in, text out. The syntax is that of sl_settings_read(), which is
 * to have accepted the text before. */
#ifndef SL_APP_CALIBRATE_SETTINGS_EDIT_H
#define SL_APP_CALIBRATE_SETTINGS_EDIT_H

#include <stddef.h>

#define SL_SETTINGS_EDIT_VALUE_MAX 32

/* One key and its new value, without spaces at its ends. */
struct sl_settings_edit {
    const char *key;
    char value[SL_SETTINGS_EDIT_VALUE_MAX];
};

/* Writes `text` (`size` bytes) with the edits made to `section` into `out`,
 * which has room for `capacity` bytes, and ends it with a zero that is not
 * counted. A key that is there gets its new value in place, and what follows
 * it on its line stays; others are added at the section's end, and the section
 * at the text's end if there is none. `note` is one line without its line end,
 * written as a comment above the first key that is edited; earlier notes of the
 * section, which are the comments that begin with the same `mark` ("; word:"),
 * go away. The text's size, or -ENOSPC if it does not fit; size + 64 + 64 for
 * each edit + twice the note's length is always room enough. */
long sl_settings_edit(const char *text, size_t size, const char *section, const char *mark,
                      const char *note, const struct sl_settings_edit *edits, size_t count,
                      char *out, size_t capacity);

#endif
