/* Bytes that several connections send, each at its own time. One thread. */
#ifndef SL_TOOLS_VIEW_BUFFER_H
#define SL_TOOLS_VIEW_BUFFER_H

#include <stddef.h>

struct view_buffer;

/* A buffer of `size` bytes, held once, or NULL without memory. */
struct view_buffer *view_buffer_create(size_t size);

/* A text, printf-like, without the final 0 in its size; NULL without memory. */
struct view_buffer *view_buffer_print(const char *format, ...)
    __attribute__((format(printf, 1, 2)));

/* One more holder; returns its argument. NULL is allowed. */
struct view_buffer *view_buffer_hold(struct view_buffer *buffer);

/* One holder less; the last one frees it. NULL is allowed. */
void view_buffer_release(struct view_buffer *buffer);

/* Puts `buffer` (already held for the place, may be NULL) where another was. */
void view_buffer_replace(struct view_buffer **place, struct view_buffer *buffer);

/* Its bytes, with LWS_PRE bytes before them that libwebsockets may write to. */
unsigned char *view_buffer_bytes(struct view_buffer *buffer);
size_t view_buffer_size(const struct view_buffer *buffer);

#endif
