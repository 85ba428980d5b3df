#include "rt/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int sl_error_set(struct sl_error *err, int code, const char *format, ...)
{
    if (err == NULL)
        return code;
    va_list args;
    va_start(args, format);
    vsnprintf(err->text, sizeof err->text, format, args);
    va_end(args);
    return code;
}

void sl_error_prefix(struct sl_error *err, const char *format, ...)
{
    if (err == NULL)
        return;
    char prefix[sizeof err->text];
    va_list args;
    va_start(args, format);
    vsnprintf(prefix, sizeof prefix, format, args);
    va_end(args);

    struct sl_error old = *err;
    int used = snprintf(err->text, sizeof err->text, "%s: ", prefix);
    if (used >= 0 && (size_t)used < sizeof err->text)
        snprintf(err->text + used, sizeof err->text - (size_t)used, "%.*s",
                 (int)(sizeof err->text - (size_t)used - 1), old.text);
}
