#include "app/calibrate/settings_edit.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#define EDITS_MAX 64

struct writer {
    char *to;
    size_t used, capacity;
    bool full;
};

static void put(struct writer *w, const char *bytes, size_t size)
{
    if (w->full || size >= w->capacity - w->used) {
        w->full = true;
        return;
    }
    memcpy(w->to + w->used, bytes, size);
    w->used += size;
}

static void put_text(struct writer *w, const char *text)
{
    put(w, text, strlen(text));
}

/* A line without its end, and that end: "\n", "\r\n" or nothing. */
struct line {
    const char *text;
    size_t length, end;
};

static struct line line_at(const char *text, const char *limit)
{
    struct line l = {.text = text};
    const char *newline = memchr(text, '\n', (size_t)(limit - text));
    l.length = (size_t)((newline != NULL ? newline : limit) - text);
    l.end = newline != NULL;
    if (l.length > 0 && text[l.length - 1] == '\r') {
        l.length--;
        l.end++;
    }
    return l;
}

static bool is_blank(struct line l)
{
    for (size_t i = 0; i < l.length; i++)
        if (l.text[i] != ' ' && l.text[i] != '\t')
            return false;
    return true;
}

static bool is_section(struct line l, const char *name)
{
    size_t n = strlen(name);
    return l.length >= n + 2 && l.text[0] == '[' && memcmp(l.text + 1, name, n) == 0 &&
           l.text[n + 1] == ']';
}

static bool begins_with(struct line l, const char *mark)
{
    size_t n = strlen(mark);
    return l.length >= n && memcmp(l.text, mark, n) == 0;
}

static size_t key_of(struct line l, const struct sl_settings_edit *edits, size_t count)
{
    size_t n = 0;
    while (n < l.length && l.text[n] != '=' && l.text[n] != ':')
        n++;
    if (n == l.length || l.text[0] == ';' || l.text[0] == '#')
        return count;
    while (n > 0 && (l.text[n - 1] == ' ' || l.text[n - 1] == '\t'))
        n--;
    for (size_t i = 0; i < count; i++)
        if (strlen(edits[i].key) == n && memcmp(edits[i].key, l.text, n) == 0)
            return i;
    return count;
}

/* The line with another value: up to the value and from its end on as it was. */
static void put_changed(struct writer *w, struct line l, const char *value)
{
    size_t from = 0;
    while (l.text[from] != '=' && l.text[from] != ':')
        from++;
    from++;
    while (from < l.length && (l.text[from] == ' ' || l.text[from] == '\t'))
        from++;
    size_t to = from;
    while (to < l.length && !((l.text[to] == ';' || l.text[to] == '#') &&
                              (l.text[to - 1] == ' ' || l.text[to - 1] == '\t')))
        to++;
    while (to > from && (l.text[to - 1] == ' ' || l.text[to - 1] == '\t'))
        to--;
    put(w, l.text, from);
    put_text(w, value);
    /* "key =;comment" has no value; a blank parts the new one from what follows. */
    if (to < l.length && l.text[to] != ' ' && l.text[to] != '\t')
        put_text(w, " ");
    put(w, l.text + to, l.length + l.end - to);
}

struct editing {
    struct writer w;
    const char *newline;
    const char *note;
    const struct sl_settings_edit *edits;
    size_t count;
    bool done[EDITS_MAX];
    bool noted;
};

static void put_note(struct editing *e)
{
    if (e->noted)
        return;
    put_text(&e->w, e->note);
    put_text(&e->w, e->newline);
    e->noted = true;
}

static void put_missing(struct editing *e)
{
    for (size_t i = 0; i < e->count; i++) {
        if (e->done[i])
            continue;
        put_note(e);
        put_text(&e->w, e->edits[i].key);
        put_text(&e->w, " = ");
        put_text(&e->w, e->edits[i].value);
        put_text(&e->w, e->newline);
        e->done[i] = true;
    }
}

long sl_settings_edit(const char *text, size_t size, const char *section, const char *mark,
                      const char *note, const struct sl_settings_edit *edits, size_t count,
                      char *out, size_t capacity)
{
    if (capacity == 0 || count > EDITS_MAX)
        return -ENOSPC;
    const char *limit = text + size, *end_of_section = NULL, *body = text;
    struct editing e = {.w = {.to = out, .capacity = capacity},
                        .newline = "\n",
                        .note = note,
                        .edits = edits,
                        .count = count};
    const bool marked = size >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0;
    if (marked) {
        put(&e.w, text, 3);
        body += 3;
    }
    if (size > 0 && line_at(text, limit).end == 2)
        e.newline = "\r\n";

    /* Where missing keys go: behind the first such section's last line that
     * holds something. Which keys are there, wherever the section comes again. */
    bool inside = false, ended = false;
    bool present[EDITS_MAX] = {false};
    for (const char *at = body; at < limit;) {
        struct line l = line_at(at, limit);
        const char *next = at + l.length + l.end;
        if (l.length > 0 && l.text[0] == '[') {
            ended = ended || end_of_section != NULL;
            inside = is_section(l, section);
        }
        if (inside) {
            size_t k = key_of(l, edits, count);
            if (k < count)
                present[k] = true;
            if (!ended && !is_blank(l))
                end_of_section = next;
        }
        at = next;
    }
    for (size_t i = 0; i < count; i++)
        e.done[i] = present[i];

    inside = false;
    for (const char *at = body; at < limit;) {
        struct line l = line_at(at, limit);
        const char *next = at + l.length + l.end;
        if (l.length > 0 && l.text[0] == '[')
            inside = is_section(l, section);
        size_t k = inside ? key_of(l, edits, count) : count;
        if (inside && begins_with(l, mark)) {
            /* an earlier note */
        } else if (k < count) {
            put_note(&e);
            put_changed(&e.w, l, edits[k].value);
        } else {
            put(&e.w, at, l.length + l.end);
        }
        if (next == end_of_section) {
            if (l.end == 0)
                put_text(&e.w, e.newline);
            put_missing(&e);
        }
        at = next;
    }
    if (end_of_section == NULL) {
        if (e.w.used > (marked ? 3 : 0)) {
            if (text[size - 1] != '\n')
                put_text(&e.w, e.newline);
            put_text(&e.w, e.newline);
        }
        put_text(&e.w, "[");
        put_text(&e.w, section);
        put_text(&e.w, "]");
        put_text(&e.w, e.newline);
        put_missing(&e);
    }
    if (e.w.full)
        return -ENOSPC;
    out[e.w.used] = '\0';
    return (long)e.w.used;
}
