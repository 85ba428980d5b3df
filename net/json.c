#include "net/json.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void sl_json_add_u64(cJSON *to, const char *key, uint64_t value)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRIu64, value);
    cJSON_AddRawToObject(to, key, text);
}

cJSON *sl_json_float(float value)
{
    char text[32];
    if (!isfinite(value))
        return cJSON_CreateNull();
    for (int digits = 6; digits <= 9; digits++) { /* 9 always suffice */
        snprintf(text, sizeof text, "%.*g", digits, (double)value);
        if (strtof(text, NULL) == value)
            break;
    }
    return cJSON_CreateRaw(text);
}

void sl_json_add_float(cJSON *to, const char *key, float value)
{
    cJSON_AddItemToObject(to, key, sl_json_float(value));
}

void sl_json_add_figure(cJSON *to, const char *key, double value)
{
    char text[32];
    snprintf(text, sizeof text, "%.6g", value);
    if (isfinite(value))
        cJSON_AddRawToObject(to, key, text);
    else
        cJSON_AddNullToObject(to, key);
}

int sl_json_write(FILE *to, const cJSON *value, bool one_line, struct sl_error *err)
{
    char *text = one_line ? cJSON_PrintUnformatted(value) : cJSON_Print(value);
    if (text == NULL)
        return sl_error_set(err, -ENOMEM, "no memory for the JSON text");
    const bool good = fputs(text, to) >= 0 && fputc('\n', to) != EOF && fflush(to) == 0;
    const int code = errno;
    cJSON_free(text);
    return good ? 0 : sl_error_set(err, -code, "cannot write: %s", strerror(code));
}
