#include "net/role.h"

#include <string.h>

const char *sl_role_text(enum sl_role role)
{
    switch (role) {
    case SL_ROLE_VIEWER:
        return "viewer";
    case SL_ROLE_DRIVER:
        return "driver";
    case SL_ROLE_NONE:
        break;
    }
    return "";
}

enum sl_role sl_role_parse(const char *text)
{
    if (strcmp(text, "viewer") == 0)
        return SL_ROLE_VIEWER;
    if (strcmp(text, "driver") == 0)
        return SL_ROLE_DRIVER;
    return SL_ROLE_NONE;
}
