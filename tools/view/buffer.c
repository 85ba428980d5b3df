#include "tools/view/buffer.h"

#include <libwebsockets.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct view_buffer {
    unsigned holders;
    size_t size;
    unsigned char bytes[]; /* LWS_PRE, size, and a 0 for printing */
};

struct view_buffer *view_buffer_create(size_t size)
{
    struct view_buffer *buffer = malloc(sizeof *buffer + LWS_PRE + size + 1);
    if (buffer == NULL)
        return NULL;
    buffer->holders = 1;
    buffer->size = size;
    buffer->bytes[LWS_PRE + size] = 0;
    return buffer;
}

struct view_buffer *view_buffer_print(const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    const int size = vsnprintf(NULL, 0, format, args);
    struct view_buffer *buffer = size < 0 ? NULL : view_buffer_create((size_t)size);
    if (buffer != NULL)
        vsnprintf((char *)buffer->bytes + LWS_PRE, (size_t)size + 1, format, again);
    va_end(again);
    va_end(args);
    return buffer;
}

struct view_buffer *view_buffer_hold(struct view_buffer *buffer)
{
    if (buffer != NULL)
        buffer->holders++;
    return buffer;
}

void view_buffer_release(struct view_buffer *buffer)
{
    if (buffer != NULL && --buffer->holders == 0)
        free(buffer);
}

void view_buffer_replace(struct view_buffer **place, struct view_buffer *buffer)
{
    view_buffer_release(*place);
    *place = buffer;
}

unsigned char *view_buffer_bytes(struct view_buffer *buffer)
{
    return buffer->bytes + LWS_PRE;
}

size_t view_buffer_size(const struct view_buffer *buffer)
{
    return buffer->size;
}
