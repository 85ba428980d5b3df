#include "tools/view/page.h"

#include <string.h>

const struct view_page_file *view_page_find(const char *path)
{
    if (strcmp(path, "/") == 0)
        path = "/index.html";
    for (size_t i = 0; i < VIEW_PAGE_FILE_COUNT; i++)
        if (strcmp(VIEW_PAGE_FILES[i].path, path) == 0)
            return &VIEW_PAGE_FILES[i];
    return NULL;
}
