#include "tools/sim/track_file.h"

#include <ctype.h>
#include <errno.h>
#include <ini.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/sim/exact.h"

/* inih's line buffer is 200 bytes in Debian's build and it cuts longer lines
 * silently; its reader is asked for the lines, so they are checked there. */
#define LINE_MAX_BYTES 160

struct reading {
    FILE *stream;
    const char *path;
    struct sl_error *err;
    int code; /* the first error's */
    int line; /* of the text being handled */
    struct sl_track_file *file;
    char section[32];
    int section_line;
    uint32_t seen; /* bits of the section's keys, by their place in its table */
};

/* Only the first error is told. */
static int fail(struct reading *r, int line, const char *reason)
{
    if (r->code == 0)
        r->code = sl_error_set(r->err, -EINVAL, "%s:%d: %s", r->path, line, reason);
    return 0;
}

static int parse_number(struct reading *r, const char *key, const char *text, double min,
                        double max, double *value)
{
    char reason[256];
    char *end;
    errno = 0;
    double v = strtod(text, &end);
    if (end == text || *end != '\0' || !isfinite(v) || errno == ERANGE) {
        snprintf(reason, sizeof reason, "%s = %.60s is not a number", key, text);
        return fail(r, r->line, reason);
    }
    if (v < min || v > max) {
        snprintf(reason, sizeof reason, "%s = %.60s lies outside of %g to %g", key, text, min, max);
        return fail(r, r->line, reason);
    }
    *value = v;
    return 1;
}

static int parse_bool(struct reading *r, const char *key, const char *text, bool *value)
{
    if (strcmp(text, "yes") == 0 || strcmp(text, "no") == 0) {
        *value = text[0] == 'y';
        return 1;
    }
    char reason[160];
    snprintf(reason, sizeof reason, "%s = %.60s is neither yes nor no", key, text);
    return fail(r, r->line, reason);
}

/* "none" | [double] solid COLOUR | [double] dashed COLOUR PAINT_M GAP_M */
static int parse_marking(struct reading *r, const char *key, const char *text, struct sl_marking *m)
{
    char copy[LINE_MAX_BYTES];
    char reason[384];
    snprintf(copy, sizeof copy, "%s", text);
    char *words[8];
    size_t count = 0;
    char *rest = copy;
    for (char *w = strtok_r(copy, " \t", &rest); w != NULL; w = strtok_r(NULL, " \t", &rest)) {
        if (count == 8)
            break;
        words[count++] = w;
    }
    memset(m, 0, sizeof *m);
    size_t at = 0;
    if (count == 1 && strcmp(words[0], "none") == 0)
        return 1;
    if (at < count && strcmp(words[at], "double") == 0) {
        m->twice = true;
        at++;
    }
    if (at < count && strcmp(words[at], "solid") == 0)
        m->style = SL_MARKING_SOLID;
    else if (at < count && strcmp(words[at], "dashed") == 0)
        m->style = SL_MARKING_DASHED;
    else
        goto wrong;
    at++;
    if (at < count && strcmp(words[at], "white") == 0)
        m->colour = SL_MARKING_WHITE;
    else if (at < count && strcmp(words[at], "yellow") == 0)
        m->colour = SL_MARKING_YELLOW;
    else
        goto wrong;
    at++;
    if (m->style == SL_MARKING_SOLID)
        return at == count ? 1 : fail(r, r->line, "solid lines take no lengths");
    if (count - at != 2)
        goto wrong;
    return parse_number(r, "length of the paint", words[at], 0.02, 100, &m->paint_m) &&
           parse_number(r, "length of the gap", words[at + 1], 0.02, 100, &m->gap_m);
wrong:
    snprintf(reason, sizeof reason,
             "%s = %.60s is not a marking; write \"none\", \"solid white\", \"dashed yellow 3 6\" "
             "(metres of paint and gap), with \"double\" before it for two lines",
             key, text);
    return fail(r, r->line, reason);
}

/* Marks a key as given; an error if it was before. */
static int once(struct reading *r, const char *const *keys, const char *key)
{
    char reason[512];
    for (int i = 0; keys[i] != NULL; i++) {
        if (strcmp(keys[i], key) != 0)
            continue;
        if (r->seen & UINT32_C(1) << i) {
            snprintf(reason, sizeof reason, "%s is given twice in [%s]", key, r->section);
            return fail(r, r->line, reason);
        }
        r->seen |= UINT32_C(1) << i;
        return 1;
    }
    int used =
        snprintf(reason, sizeof reason, "unknown key %.40s in [%s]; it has", key, r->section);
    for (int i = 0; keys[i] != NULL && used > 0 && (size_t)used < sizeof reason; i++)
        used +=
            snprintf(reason + used, sizeof reason - (size_t)used, "%s %s", i ? "," : "", keys[i]);
    return fail(r, r->line, reason);
}

static int track_key(struct reading *r, const char *key, const char *value)
{
    static const char *const keys[] = {
        "title",        "lane_width_m", "marking_width_m", "shoulder_m", "speed_mps", "spawn_m",
        "transition_m", "lanes_left",   "lanes_right",     "surface",    "trees",     NULL};
    struct sl_track_file *f = r->file;
    double number = 0;
    if (!once(r, keys, key))
        return 0;
    if (strcmp(key, "title") == 0) {
        if (strlen(value) >= sizeof f->title || value[0] == '\0')
            return fail(r, r->line, "title must have 1 to 63 bytes");
        snprintf(f->title, sizeof f->title, "%s", value);
        return 1;
    }
    if (strcmp(key, "lane_width_m") == 0)
        return parse_number(r, key, value, 0.1, 10, &f->lane_width_m);
    if (strcmp(key, "marking_width_m") == 0)
        return parse_number(r, key, value, 0.005, 0.5, &f->marking_width_m);
    if (strcmp(key, "shoulder_m") == 0)
        return parse_number(r, key, value, 0, 10, &f->shoulder_m);
    if (strcmp(key, "speed_mps") == 0)
        return parse_number(r, key, value, 0.05, 40, &f->speed_mps);
    if (strcmp(key, "spawn_m") == 0)
        return parse_number(r, key, value, 0, 100000, &f->spawn_m);
    if (strcmp(key, "transition_m") == 0)
        return parse_number(r, key, value, 0, 200, &f->transition_m);
    if (strcmp(key, "trees") == 0)
        return parse_number(r, key, value, 0, 1, &f->trees);
    if (strcmp(key, "surface") == 0) {
        if (strcmp(value, "road") != 0 && strcmp(value, "indoor") != 0)
            return fail(r, r->line, "surface must be road or indoor");
        f->surface = value[0] == 'r' ? SL_TRACK_ROAD : SL_TRACK_INDOOR;
        return 1;
    }
    if (!parse_number(r, key, value, 0, 2, &number))
        return 0;
    if (number != floor(number))
        return fail(r, r->line, "lanes must be a whole number");
    if (strcmp(key, "lanes_left") == 0)
        f->lanes_left = (int)number;
    else
        f->lanes_right = (int)number;
    return 1;
}

static int section_key(struct reading *r, const char *key, const char *value)
{
    static const char *const keys[] = {
        "type",       "length_m",    "radius_m", "angle_deg", "transition_m", "left", "right",
        "outer_left", "outer_right", "crossing", "worn",      "patches",      NULL};
    struct sl_track_file_section *s = &r->file->sections[r->file->section_count - 1];
    if (!once(r, keys, key))
        return 0;
    if (strcmp(key, "type") == 0) {
        if (strcmp(value, "straight") != 0 && strcmp(value, "bend") != 0)
            return fail(r, r->line, "type must be straight or bend");
        s->bend = value[0] == 'b';
        return 1;
    }
    if (strcmp(key, "length_m") == 0) {
        if (strcmp(value, "auto") == 0) {
            s->solve_length = true;
            s->length_m = 0;
            return 1;
        }
        return parse_number(r, key, value, 0.05, 10000, &s->length_m);
    }
    if (strcmp(key, "radius_m") == 0)
        return parse_number(r, key, value, 0.05, 10000, &s->radius_m);
    if (strcmp(key, "angle_deg") == 0) {
        if (!parse_number(r, key, value, -350, 350, &s->angle_rad))
            return 0;
        if (fabs(s->angle_rad) < 0.5)
            return fail(r, r->line, "a bend must turn by half a degree or more");
        s->angle_rad *= SL_PI / 180;
        return 1;
    }
    if (strcmp(key, "transition_m") == 0)
        return parse_number(r, key, value, 0, 200, &s->transition_m);
    if (strcmp(key, "left") == 0)
        return parse_marking(r, key, value, &s->section.lines[SL_TRACK_LEFT]);
    if (strcmp(key, "right") == 0)
        return parse_marking(r, key, value, &s->section.lines[SL_TRACK_RIGHT]);
    if (strcmp(key, "outer_left") == 0)
        return parse_marking(r, key, value, &s->section.lines[SL_TRACK_OUTER_LEFT]);
    if (strcmp(key, "outer_right") == 0)
        return parse_marking(r, key, value, &s->section.lines[SL_TRACK_OUTER_RIGHT]);
    if (strcmp(key, "crossing") == 0)
        return parse_bool(r, key, value, &s->section.crossing);
    if (strcmp(key, "worn") == 0)
        return parse_number(r, key, value, 0, 1, &s->section.worn);
    return parse_number(r, key, value, 0, 1, &s->section.patches);
}

/* Called when the next section begins and at the end of the file. */
static int finish_section(struct reading *r)
{
    struct sl_track_file *f = r->file;
    char reason[256];
    if (r->section[0] == '\0')
        return 1;
    if (strcmp(r->section, "track") == 0) {
        const char *missing = f->lane_width_m == SL_TRACK_NOT_GIVEN      ? "lane_width_m"
                              : f->marking_width_m == SL_TRACK_NOT_GIVEN ? "marking_width_m"
                              : f->speed_mps == SL_TRACK_NOT_GIVEN       ? "speed_mps"
                              : f->title[0] == '\0'                      ? "title"
                                                                         : NULL;
        if (missing != NULL) {
            snprintf(reason, sizeof reason, "[track] lacks %s", missing);
            return fail(r, r->section_line, reason);
        }
        if (f->marking_width_m > f->lane_width_m / 4)
            return fail(r, r->section_line,
                        "marking_width_m is more than a quarter of lane_width_m");
        return 1;
    }
    struct sl_track_file_section *s = &f->sections[f->section_count - 1];
    const char *wrong = NULL;
    if (s->bend) {
        if (s->radius_m == SL_TRACK_NOT_GIVEN || s->angle_rad == SL_TRACK_NOT_GIVEN)
            wrong = "a bend needs radius_m and angle_deg";
        else if (s->length_m != SL_TRACK_NOT_GIVEN)
            wrong = "a bend's length follows from radius_m and angle_deg: remove length_m";
        else if (s->section.crossing)
            wrong = "a crossing must be straight";
    } else {
        if (s->length_m == SL_TRACK_NOT_GIVEN)
            wrong = "a straight needs length_m (metres, or auto)";
        else if (s->radius_m != SL_TRACK_NOT_GIVEN || s->angle_rad != SL_TRACK_NOT_GIVEN ||
                 s->transition_m != SL_TRACK_NOT_GIVEN)
            wrong = "a straight has no radius_m, angle_deg or transition_m";
    }
    if (wrong != NULL) {
        snprintf(reason, sizeof reason, "[%s]: %s", r->section, wrong);
        return fail(r, r->section_line, reason);
    }
    return 1;
}

static int begin_section(struct reading *r, const char *name)
{
    struct sl_track_file *f = r->file;
    char reason[256];
    if (!finish_section(r))
        return 0;
    if (strlen(name) >= sizeof r->section)
        return fail(r, r->line, "the section's name is too long");
    bool first = r->section[0] == '\0';
    snprintf(r->section, sizeof r->section, "%s", name);
    r->section_line = r->line;
    r->seen = 0;
    if (first) {
        if (strcmp(name, "track") != 0)
            return fail(r, r->line, "the file must begin with [track]");
        return 1;
    }
    char expected[32];
    snprintf(expected, sizeof expected, "section %zu", f->section_count + 1);
    if (strcmp(name, expected) != 0) {
        snprintf(reason, sizeof reason, "found [%s] where [%s] should stand", name, expected);
        return fail(r, r->line, reason);
    }
    if (f->section_count == SL_TRACK_SECTIONS_MAX)
        return fail(r, r->line, "a track has at most 256 sections");
    struct sl_track_file_section *s = &f->sections[f->section_count];
    memset(s, 0, sizeof *s);
    s->line = r->line;
    s->length_m = s->radius_m = s->angle_rad = s->transition_m = SL_TRACK_NOT_GIVEN;
    if (f->section_count > 0) /* lines run on until a section says otherwise */
        memcpy(s->section.lines, f->sections[f->section_count - 1].section.lines,
               sizeof s->section.lines);
    f->section_count++;
    return 1;
}

/* Hands inih one line at a time, after refusing what inih would let pass:
 * lines too long (cut), indented ones (taken for a continuation), headings
 * without keys (never reported). An error ends the input. */
static char *next_line(char *text, int size, void *user)
{
    struct reading *r = user;
    char line[LINE_MAX_BYTES + 2];
    char reason[256];
    if (r->code != 0 || size < (int)sizeof line || fgets(line, sizeof line, r->stream) == NULL)
        return NULL;
    r->line++;
    size_t length = strlen(line);
    if (length > 0 && line[length - 1] == '\n')
        line[--length] = '\0';
    else if (!feof(r->stream)) {
        fail(r, r->line, "the line has more than 160 bytes, or holds a zero byte");
        return NULL;
    }
    if (length > 0 && line[length - 1] == '\r')
        line[--length] = '\0';
    const char *start = line;
    while (isspace((unsigned char)*start))
        start++;
    if (*start == '\0' || *start == '#' || *start == ';') {
        snprintf(text, (size_t)size, "\n");
        return text;
    }
    if (start != line) {
        fail(r, r->line, "the line is indented; begin it at the left edge");
        return NULL;
    }
    if (*start == '[') {
        char *end = strchr(line, ']');
        if (end == NULL || end[1] != '\0') {
            fail(r, r->line, "a heading is one name within [ and ]");
            return NULL;
        }
        *end = '\0';
        if (!begin_section(r, line + 1))
            return NULL;
        *end = ']';
    } else if (strchr(line, '=') == NULL) {
        snprintf(reason, sizeof reason, "\"%.60s\" is neither a heading nor key = value", line);
        fail(r, r->line, reason);
        return NULL;
    }
    snprintf(text, (size_t)size, "%s\n", line);
    return text;
}

static int on_key(void *user, const char *section, const char *key, const char *value)
{
    struct reading *r = user;
    (void)section; /* inih cuts long names; begin_section() has the whole one */
    if (r->code != 0)
        return 0;
    if (r->section[0] == '\0')
        return fail(r, r->line, "a key stands before the first heading");
    return strcmp(r->section, "track") == 0 ? track_key(r, key, value) : section_key(r, key, value);
}

int sl_track_file_read(struct sl_track_file *file, const char *path, struct sl_error *err)
{
    memset(file, 0, sizeof *file);
    file->lane_width_m = file->marking_width_m = file->speed_mps = SL_TRACK_NOT_GIVEN;
    file->shoulder_m = file->transition_m = SL_TRACK_NOT_GIVEN;
    file->trees = 0.5;
    struct reading r = {.path = path, .err = err, .file = file};
    r.stream = fopen(path, "re");
    if (r.stream == NULL)
        return sl_error_set(err, -errno, "%s: %s", path, strerror(errno));
    int rc = ini_parse_stream(next_line, &r, on_key, &r);
    if (r.code == 0 && ferror(r.stream))
        r.code = sl_error_set(err, -EIO, "%s: reading it failed", path);
    fclose(r.stream);
    if (r.code == 0 && rc != 0)
        fail(&r, rc > 0 ? rc : r.line, "not understood; write key = value or [heading]");
    if (r.code == 0)
        finish_section(&r);
    if (r.code == 0 && file->section_count == 0)
        fail(&r, r.line > 0 ? r.line : 1, "there is no [section 1]");
    if (r.code != 0)
        return r.code;
    if (file->shoulder_m == SL_TRACK_NOT_GIVEN)
        file->shoulder_m = file->lane_width_m / 5;
    if (file->transition_m == SL_TRACK_NOT_GIVEN)
        file->transition_m = 0;
    for (size_t i = 0; i < file->section_count; i++) {
        if (file->sections[i].transition_m == SL_TRACK_NOT_GIVEN)
            file->sections[i].transition_m = file->transition_m;
    }
    return 0;
}
