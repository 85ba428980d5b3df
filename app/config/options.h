/* The options --config and -o, which all programs with settings have: files
 * and single settings as they were given, and then what they say. One thread. */
#ifndef SL_APP_CONFIG_OPTIONS_H
#define SL_APP_CONFIG_OPTIONS_H

#include <stddef.h>

#include "app/config/settings.h"
#include "rt/error.h"

/* Read where no --config is given, if it is there. */
#define SL_SETTINGS_SYSTEM_FILE "/etc/skylane/skylane.ini"

#define SL_SETTINGS_OPTIONS_MAX 64

struct sl_settings_options {
    const char *files[SL_SETTINGS_OPTIONS_MAX]; /* of --config; later ones win */
    int file_count;
    const char *assignments[SL_SETTINGS_OPTIONS_MAX]; /* "section.key=value" of -o */
    int assignment_count;
};

/* Notes what was given to --config or to -o; the texts outlive the options. 0,
 * or -E2BIG with a sentence. */
int sl_settings_options_add_file(struct sl_settings_options *options, const char *path,
                                 struct sl_error *err);
int sl_settings_options_add(struct sl_settings_options *options, const char *assignment,
                            struct sl_error *err);

/* Defaults, then the files, or the system's if none was given. 0, or as
 * sl_settings_read(). What the files say is not checked together yet. */
int sl_settings_options_read(const struct sl_settings_options *options,
                             struct sl_settings *settings, struct sl_error *err);

/* Then the settings of -o. 0, or as sl_settings_set(). */
int sl_settings_options_apply(const struct sl_settings_options *options,
                              struct sl_settings *settings, struct sl_error *err);

/* The same options for another program: writes --config FILE and -o SETTING to
 * `arguments` from `count` on; returns the count with them. There must be room
 * for SL_SETTINGS_ARGUMENTS_MAX more. */
#define SL_SETTINGS_ARGUMENTS_MAX (4 * SL_SETTINGS_OPTIONS_MAX)
int sl_settings_options_pass(const struct sl_settings_options *options, const char **arguments,
                             int count);

/* One setting for which a program has an option of its own: `key` is
 * "section.key", the value `length` bytes at `value`. As sl_settings_set(). */
int sl_settings_set_value(struct sl_settings *settings, const char *key, const char *value,
                          size_t length, struct sl_error *err);

/* What --camera DRIVER[:SOURCE] says: camera.driver and camera.source. 0, or as
 * sl_settings_set(). */
int sl_settings_set_camera(struct sl_settings *settings, const char *camera, struct sl_error *err);

#endif
