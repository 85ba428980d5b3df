#include <cjson/cJSON.h>
#include <stdio.h>
#include <string.h>

#include "app/config/table.h"

void sl_settings_print(const struct sl_settings *settings, FILE *to)
{
    const char *section = "";
    for (size_t i = 0; i < sl_key_count; i++) {
        const struct sl_key *key = &sl_keys[i];
        if (strcmp(section, key->section) != 0) {
            fprintf(to, "%s[%s]\n", i == 0 ? "" : "\n", key->section);
            section = key->section;
        }
        char text[SL_VALUE_TEXT_MAX];
        fprintf(to, "%s = %s\n", key->name, sl_key_text(settings, key, text));
    }
}

static cJSON *value_json(const struct sl_settings *settings, const struct sl_key *key)
{
    const void *from = (const char *)settings + key->offset;
    switch (key->type) {
    case SL_KEY_REAL:
        return cJSON_CreateNumber(*(const double *)from);
    case SL_KEY_INT:
        return cJSON_CreateNumber((double)*(const int64_t *)from);
    case SL_KEY_BOOL:
        return cJSON_CreateBool(*(const bool *)from);
    case SL_KEY_TEXT:
    case SL_KEY_CHOICE:
        break;
    }
    return cJSON_CreateString(from);
}

char *sl_settings_json(const struct sl_settings *settings)
{
    cJSON *root = cJSON_CreateObject();
    cJSON *section = NULL;
    const char *section_name = "";
    char *text = NULL;
    if (root == NULL)
        return NULL;
    for (size_t i = 0; i < sl_key_count; i++) {
        const struct sl_key *key = &sl_keys[i];
        if (strcmp(section_name, key->section) != 0) {
            section = cJSON_AddObjectToObject(root, key->section);
            section_name = key->section;
        }
        if (section == NULL)
            goto done;
        if (!cJSON_AddItemToObject(section, key->name, value_json(settings, key)))
            goto done;
    }
    text = cJSON_Print(root);
done:
    cJSON_Delete(root);
    return text;
}

cJSON *sl_settings_live_json(const struct sl_settings *settings)
{
    struct sl_settings defaults;
    cJSON *array = cJSON_CreateArray();
    sl_settings_defaults(&defaults);
    for (size_t i = 0; array != NULL && i < sl_key_count; i++) {
        const struct sl_key *key = &sl_keys[i];
        if (!key->live)
            continue;
        char name[128];
        cJSON *o = cJSON_CreateObject();
        snprintf(name, sizeof name, "%s.%s", key->section, key->name);
        cJSON_AddStringToObject(o, "key", name);
        cJSON_AddItemToObject(o, "value", value_json(settings, key));
        cJSON_AddItemToObject(o, "default", value_json(&defaults, key));
        if (key->unit != NULL) {
            cJSON_AddNumberToObject(o, "min", key->min);
            cJSON_AddNumberToObject(o, "max", key->max);
            cJSON_AddStringToObject(o, "unit", key->unit);
        }
        cJSON_AddStringToObject(o, "help", key->help);
        cJSON_AddItemToArray(array, o);
    }
    return array;
}

static const char *default_text(const struct sl_key *key, char text[SL_VALUE_TEXT_MAX])
{
    struct sl_settings defaults;
    sl_settings_defaults(&defaults);
    return sl_key_text(&defaults, key, text);
}

static void markdown_section(FILE *to, const struct sl_section *section)
{
    fprintf(to, "\n## [%s]\n\n%s\n\n", section->name, section->help);
    fprintf(to, "| key | allowed | default | live | meaning |\n");
    fprintf(to, "| --- | --- | --- | --- | --- |\n");
    for (size_t i = 0; i < sl_key_count; i++) {
        const struct sl_key *key = &sl_keys[i];
        if (strcmp(key->section, section->name) != 0)
            continue;
        char allowed[SL_VALUE_TEXT_MAX], value[SL_VALUE_TEXT_MAX];
        fprintf(to, "| `%s` | %s | `%s` | %s | %s |\n", key->name, sl_key_allowed(key, allowed),
                default_text(key, value), key->live ? "yes" : "", key->help);
    }
}

static void terminal_section(FILE *to, const struct sl_section *section)
{
    fprintf(to, "\n[%s]  %s\n", section->name, section->help);
    for (size_t i = 0; i < sl_key_count; i++) {
        const struct sl_key *key = &sl_keys[i];
        if (strcmp(key->section, section->name) != 0)
            continue;
        char allowed[SL_VALUE_TEXT_MAX], value[SL_VALUE_TEXT_MAX];
        fprintf(to, "  %s = %s\n      %s\n      allowed: %s%s\n", key->name,
                default_text(key, value), key->help, sl_key_allowed(key, allowed),
                key->live ? "; may change while driving" : "");
    }
}

void sl_settings_reference(FILE *to, bool markdown)
{
    if (markdown) {
        fprintf(to, "# Settings\n\n"
                    "Written by `skylane config --reference --markdown` from the table in\n"
                    "`app/config/settings.def`; edit the table, then run\n"
                    "`skylane config --reference --markdown > docs/settings.md`.\n\n"
                    "A settings file is an INI file: `[section]`, then `key = value`, one a line.\n"
                    "`;` and `#` begin a comment. A key that is left out keeps its default;\n"
                    "`-o section.key=value` on the command line goes before the file. Keys and\n"
                    "sections that are unknown, keys that are set twice, and values that are\n"
                    "malformed or out of range are errors at start, told with file and line.\n"
                    "Keys marked live are safe to change while the vehicle drives; no program "
                    "offers that yet.\n");
    } else {
        fprintf(to, "Settings, with their defaults. SI units; positive steers left, x forward, "
                    "y left.\n");
    }
    for (size_t i = 0; i < sl_section_count; i++) {
        if (markdown)
            markdown_section(to, &sl_sections[i]);
        else
            terminal_section(to, &sl_sections[i]);
    }
}
