/* The page's files, part of the program. */
#ifndef SL_TOOLS_VIEW_PAGE_H
#define SL_TOOLS_VIEW_PAGE_H

#include <stddef.h>

struct view_page_file {
    const char *path; /* "/app.js" */
    const char *type; /* "text/javascript; charset=utf-8" */
    const unsigned char *bytes;
    size_t size;
};

/* What is at `path` ("/" is the page itself), or NULL. */
const struct view_page_file *view_page_find(const char *path);

/* Written by embed.cmake at build time. */
extern const struct view_page_file VIEW_PAGE_FILES[];
extern const size_t VIEW_PAGE_FILE_COUNT;

#endif
