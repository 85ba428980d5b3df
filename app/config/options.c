#include "app/config/options.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int sl_settings_options_add_file(struct sl_settings_options *options, const char *path,
                                 struct sl_error *err)
{
    if (options->file_count == SL_SETTINGS_OPTIONS_MAX)
        return sl_error_set(err, -E2BIG, "more than %d settings files", SL_SETTINGS_OPTIONS_MAX);
    options->files[options->file_count++] = path;
    return 0;
}

int sl_settings_options_add(struct sl_settings_options *options, const char *assignment,
                            struct sl_error *err)
{
    if (options->assignment_count == SL_SETTINGS_OPTIONS_MAX)
        return sl_error_set(err, -E2BIG, "more than %d -o; put them into a file",
                            SL_SETTINGS_OPTIONS_MAX);
    options->assignments[options->assignment_count++] = assignment;
    return 0;
}

int sl_settings_options_read(const struct sl_settings_options *options,
                             struct sl_settings *settings, struct sl_error *err)
{
    int rc = 0;
    sl_settings_defaults(settings);
    if (options->file_count == 0 && access(SL_SETTINGS_SYSTEM_FILE, R_OK) == 0)
        rc = sl_settings_read(settings, SL_SETTINGS_SYSTEM_FILE, err);
    for (int i = 0; rc == 0 && i < options->file_count; i++)
        rc = sl_settings_read(settings, options->files[i], err);
    return rc;
}

int sl_settings_options_apply(const struct sl_settings_options *options,
                              struct sl_settings *settings, struct sl_error *err)
{
    int rc = 0;
    for (int i = 0; rc == 0 && i < options->assignment_count; i++)
        rc = sl_settings_set(settings, options->assignments[i], err);
    return rc;
}

int sl_settings_options_pass(const struct sl_settings_options *options, const char **arguments,
                             int count)
{
    for (int i = 0; i < options->file_count; i++) {
        arguments[count++] = "--config";
        arguments[count++] = options->files[i];
    }
    for (int i = 0; i < options->assignment_count; i++) {
        arguments[count++] = "-o";
        arguments[count++] = options->assignments[i];
    }
    return count;
}

int sl_settings_set_value(struct sl_settings *settings, const char *key, const char *value,
                          size_t length, struct sl_error *err)
{
    char assignment[SL_SETTINGS_TEXT_MAX + 64];
    snprintf(assignment, sizeof assignment, "%s=%.*s", key, (int)length, value);
    return sl_settings_set(settings, assignment, err);
}

int sl_settings_set_camera(struct sl_settings *settings, const char *camera, struct sl_error *err)
{
    const char *colon = strchr(camera, ':');
    const size_t length = colon == NULL ? strlen(camera) : (size_t)(colon - camera);
    const int rc = sl_settings_set_value(settings, "camera.driver", camera, length, err);
    if (rc != 0 || colon == NULL)
        return rc;
    return sl_settings_set_value(settings, "camera.source", colon + 1, strlen(colon + 1), err);
}
