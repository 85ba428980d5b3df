/* Reading a settings file.
 *
 * inih splits lines into sections, keys and values, but is lenient where a
 * vehicle must not be: it cuts long lines and names, takes an indented line as
 * more of the key before it, ignores what follows a section's bracket, and may
 * be built with or without line numbers. So the file is read whole, and lines
 * are handed to inih one by one through a reader that refuses whatever inih
 * would bend, and knows which line it is at. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/config/table.h"

#define FILE_BYTES_MAX (1024 * 1024)

struct reading {
    const char *path;
    const char *next; /* first byte not yet handed out */
    const char *end;
    unsigned line; /* the one handed out last, from 1 */
    struct sl_settings settings;
    unsigned *seen_lines; /* by key: where it was set, 0 if nowhere */
    struct sl_error *err;
    int rc; /* of the first error; ends the reading */
};

static int fail(struct reading *r, const char *problem)
{
    r->rc = sl_error_set(r->err, -EINVAL, "%s:%u: %s", r->path, r->line, problem);
    return r->rc;
}

/* Puts file and line before what is in `err`. */
static int fail_prefix(struct reading *r, int rc)
{
    sl_error_prefix(r->err, "%s:%u", r->path, r->line);
    r->rc = rc;
    return rc;
}

/* A section's header must be [name], with nothing but a comment after it. */
static int check_section(struct reading *r, const char *line)
{
    const char *close = strchr(line, ']');
    if (close == NULL)
        return fail(r, "the section's closing ] is missing");
    const char *after = close + 1;
    after += strspn(after, " \t");
    if (*after != '\0' && *after != ';' && *after != '#')
        return fail(r, "text after the section's ]; begin keys on a line of their own");
    char name[64];
    size_t length = (size_t)(close - line - 1);
    if (length >= sizeof name)
        length = sizeof name - 1;
    memcpy(name, line + 1, length);
    name[length] = '\0';
    for (size_t i = 0; i < sl_section_count; i++) {
        if (strcmp(sl_sections[i].name, name) == 0)
            return 0;
    }
    return fail_prefix(r, sl_section_unknown(name, r->err));
}

/* Refuses what inih would bend; `line` has no line end. */
static int check_line(struct reading *r, const char *line, size_t length, size_t longest)
{
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)line[i];
        if (c == '\0')
            return fail(r, "holds a zero byte; a settings file is plain text (ASCII or UTF-8)");
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return fail(r, "holds a control character; a settings file is plain text");
    }
    size_t indent = strspn(line, " \t");
    bool comment = line[indent] == ';' || line[indent] == '#';
    if (length > longest) {
        char problem[80];
        snprintf(problem, sizeof problem, "longer than %zu bytes; shorten the %s", longest,
                 comment ? "comment" : "line");
        return fail(r, problem);
    }
    if (comment || line[indent] == '\0')
        return 0;
    if (indent > 0)
        return fail(r, "indented; begin keys and sections in the first column");
    if (line[0] == '[')
        return check_section(r, line);
    if (line[0] == '=' || line[0] == ':')
        return fail(r, "the key before the = is missing");
    if (strpbrk(line, "=:") == NULL)
        return fail(r, "neither [section] nor key = value nor a comment");
    return 0;
}

/* inih's reader: like fgets(), from memory. Returning NULL ends the parsing. */
static char *next_line(char *to, int room, void *stream)
{
    struct reading *r = stream;
    if (r->rc != 0 || r->next == r->end || room < 3)
        return NULL;
    const char *line_end = memchr(r->next, '\n', (size_t)(r->end - r->next));
    size_t length = (size_t)((line_end != NULL ? line_end : r->end) - r->next);
    const char *line = r->next;
    r->next = line_end != NULL ? line_end + 1 : r->end;
    r->line++;
    if (length > 0 && line[length - 1] == '\r')
        length--;

    /* Copied first, so that the checks see a terminated text; one byte more
     * than fits tells a long line from one that just fits. */
    char copy[1024];
    size_t longest = (size_t)room - 2; /* '\n' and the terminator */
    if (longest > sizeof copy - 2)
        longest = sizeof copy - 2;
    size_t kept = length < longest + 1 ? length : longest + 1;
    memcpy(copy, line, kept);
    copy[kept] = '\0';
    if (check_line(r, copy, kept, longest) != 0)
        return NULL;

    /* inih knows inline comments only after ';'. */
    for (size_t i = 1; i < kept; i++) {
        if (copy[i] == '#' && (copy[i - 1] == ' ' || copy[i - 1] == '\t')) {
            kept = i;
            break;
        }
    }
    memcpy(to, copy, kept);
    to[kept] = '\n';
    to[kept + 1] = '\0';
    return to;
}

/* inih's handler: one key. 0 marks an error. */
static int take_key(void *user, const char *section, const char *name, const char *value)
{
    struct reading *r = user;
    if (r->rc != 0)
        return 0;
    if (name == NULL)
        return 1; /* inih can be built to announce sections */
    if (section[0] == '\0') {
        char problem[128];
        snprintf(problem, sizeof problem, "%.60s: stands before the first [section]", name);
        fail(r, problem);
        return 0;
    }
    const struct sl_key *key = sl_key_find(section, name);
    if (key == NULL) {
        fail_prefix(r, sl_key_unknown(section, name, r->err));
        return 0;
    }
    unsigned *seen_line = &r->seen_lines[key - sl_keys];
    if (*seen_line != 0) {
        char problem[192];
        snprintf(problem, sizeof problem, "%s.%s: set twice, first in line %u; keep one of them",
                 section, name, *seen_line);
        fail(r, problem);
        return 0;
    }
    *seen_line = r->line;
    int rc = sl_key_set(&r->settings, key, value != NULL ? value : "", r->err);
    if (rc != 0) {
        fail_prefix(r, rc);
        return 0;
    }
    return 1;
}

/* Reads the whole file. The text is the caller's to free. */
static int slurp(const char *path, char **text, size_t *size, struct sl_error *err)
{
    char *buffer = NULL;
    int rc = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        int code = errno;
        return sl_error_set(err, -code, "%s: cannot open the settings file: %s", path,
                            strerror(code));
    }
    struct stat status;
    if (fstat(fd, &status) == 0 && S_ISDIR(status.st_mode)) {
        rc = sl_error_set(err, -EISDIR, "%s: is a folder, not a settings file", path);
        goto done;
    }
    buffer = malloc(FILE_BYTES_MAX + 1);
    if (buffer == NULL) {
        rc = sl_error_set(err, -ENOMEM, "%s: no memory to read it", path);
        goto done;
    }
    size_t used = 0;
    while (used <= FILE_BYTES_MAX) {
        ssize_t got = read(fd, buffer + used, FILE_BYTES_MAX + 1 - used);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            int code = errno;
            rc = sl_error_set(err, -code, "%s: cannot read the settings file: %s", path,
                              strerror(code));
            goto done;
        }
        if (got == 0)
            break;
        used += (size_t)got;
    }
    if (used > FILE_BYTES_MAX) {
        rc = sl_error_set(err, -EFBIG, "%s: larger than 1 MiB; this is not a settings file", path);
        goto done;
    }
    *text = buffer;
    *size = used;
    buffer = NULL;
done:
    free(buffer);
    close(fd);
    return rc;
}

int sl_settings_read(struct sl_settings *settings, const char *path, struct sl_error *err)
{
    struct sl_error unused;
    if (err == NULL)
        err = &unused;
    char *text = NULL;
    size_t size = 0;
    int rc = slurp(path, &text, &size, err);
    if (rc != 0)
        return rc;

    struct reading r = {.path = path, .next = text, .end = text + size, .err = err};
    r.settings = *settings;
    r.seen_lines = calloc(sl_key_count, sizeof *r.seen_lines);
    if (r.seen_lines == NULL) {
        free(text);
        return sl_error_set(err, -ENOMEM, "%s: no memory to read it", path);
    }
    if (size >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0)
        r.next += 3;
    int line = ini_parse_stream(next_line, &r, take_key, &r);
    rc = r.rc;
    if (rc == 0 && line != 0)
        rc = sl_error_set(err, -EINVAL, "%s:%d: neither [section] nor key = value nor a comment",
                          path, line);
    if (rc == 0)
        *settings = r.settings;
    free(r.seen_lines);
    free(text);
    return rc;
}
