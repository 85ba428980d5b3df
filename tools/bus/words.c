#include "tools/bus/words.h"

#include <ctype.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "rt/clock.h"
#include "rt/records.h"

static const struct {
    uint32_t type;
    const char *word;
    const char *plural;
} TYPES[] = {
    {SL_RECORD_FRAME, "frame", "frames"},         {SL_RECORD_DETECTION, "detection", "detections"},
    {SL_RECORD_COMMAND, "command", "commands"},   {SL_RECORD_STATE, "state", "vehicle states"},
    {SL_RECORD_ODOMETRY, "odometry", "odometry"}, {SL_RECORD_TRUTH, "truth", "ground truth"},
    {SL_RECORD_ACTION, "action", "requests"},     {SL_RECORD_PERMIT, "permit", "permits"},
    {SL_RECORD_CAMERA, "camera", "reports"},      {SL_RECORD_OUTPUT, "output", "reports"},
    {SL_RECORD_LOG, "log", "log lines"},
};
#define TYPE_COUNT (sizeof TYPES / sizeof TYPES[0])

const char *bus_life_word(const struct bus_look *look)
{
    static const char *const WORDS[] = {
        [SL_BUS_ALIVE] = "alive",     [SL_BUS_DEAD] = "dead",         [SL_BUS_SILENT] = "silent",
        [SL_BUS_FOREIGN] = "foreign", [SL_BUS_MISMATCH] = "mismatch",
    };
    return look->found ? WORDS[look->status.life] : "absent";
}

/* The start of a file in /proc, without the zero at its end; 0 if it can not
 * be read. */
static size_t read_proc(int32_t pid, const char *file, char *text, size_t size)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%" PRId32 "/%s", pid, file);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    const ssize_t n = read(fd, text, size - 1);
    close(fd);
    text[n > 0 ? n : 0] = '\0';
    return n > 0 ? (size_t)n : 0;
}

/* Processes name themselves: no escape sequence of theirs gets to a terminal. */
static void make_printable(char *text)
{
    for (; *text != '\0'; text++) {
        if (!isascii((unsigned char)*text) || !isprint((unsigned char)*text))
            *text = '?';
    }
}

static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

void bus_program_text(char *text, size_t size, int32_t pid)
{
    char name[64], line[512];
    const char *script = "";
    size_t n = pid > 0 ? read_proc(pid, "comm", name, sizeof name) : 0;
    if (n == 0) {
        snprintf(text, size, "?");
        return;
    }
    name[strcspn(name, "\n")] = '\0';
    if (strncmp(name, "python", 6) == 0) { /* which of them? */
        n = read_proc(pid, "cmdline", line, sizeof line);
        const char *word = line + strlen(line) + 1;
        if (n > 0 && word < line + n && *word != '-')
            script = last_part(word);
    }
    snprintf(text, size, "%s%s%.24s", name, script[0] != '\0' ? " " : "", script);
    make_printable(text);
}

void bus_user_text(char *text, size_t size, uint32_t uid)
{
    const struct passwd *user = getpwuid(uid);
    if (user != NULL)
        snprintf(text, size, "%s", user->pw_name);
    else
        snprintf(text, size, "%" PRIu32, uid);
    make_printable(text);
}

/* Its state's letter follows the command, which may hold brackets itself. */
static bool is_stopped(int32_t pid)
{
    char line[512];
    const char *bracket = read_proc(pid, "stat", line, sizeof line) > 0 ? strrchr(line, ')') : NULL;
    return bracket != NULL && (strncmp(bracket, ") T", 3) == 0 || strncmp(bracket, ") t", 3) == 0);
}

static void absence_sentence(char *text, size_t size, const struct bus_look *look)
{
    char nearest[SL_BUS_NAME_MAX + 1];
    if (bus_nearest_name(look->status.name, nearest))
        snprintf(text, size, "there is no bus \"%s\"; did you mean \"%s\"?", look->status.name,
                 nearest);
    else
        snprintf(text, size, "there is no bus \"%s\"; \"skylane bus ls\" shows which there are",
                 look->status.name);
}

static void silence_sentence(char *text, size_t size, int32_t pid, const char *who)
{
    if (pid > 0 && is_stopped(pid))
        snprintf(text, size, "%s is stopped; \"kill -CONT %" PRId32 "\" lets it go on", who, pid);
    else
        snprintf(text, size, "%s lives but does not answer; if it stays so, restart it", who);
}

void bus_life_sentence(char *text, size_t size, const struct bus_look *look)
{
    const int32_t pid = look->status.writer_pid;
    char who[128] = "its writer", program[64];
    if (!look->found) {
        absence_sentence(text, size, look);
        return;
    }
    if (pid > 0) {
        bus_program_text(program, sizeof program, pid);
        snprintf(who, sizeof who, "its writer, process %" PRId32 " (%s),", pid, program);
    }
    switch (look->status.life) {
    case SL_BUS_DEAD:
        snprintf(text, size,
                 "its writer is gone; start it again, or remove what it left with "
                 "\"skylane bus clean\"");
        break;
    case SL_BUS_SILENT:
        silence_sentence(text, size, pid, who);
        break;
    case SL_BUS_FOREIGN:
        snprintf(text, size,
                 "it is another user's and not for this one to read; look as that user or root, or "
                 "give its writer the setting bus.access = group");
        break;
    case SL_BUS_MISMATCH:
        snprintf(text, size, "%s is of another version; update the older of the two programs", who);
        break;
    default:
        snprintf(text, size, "%s is alive", who);
    }
}

void bus_type_word(char *text, size_t size, uint32_t type)
{
    char name[5];
    for (size_t i = 0; i < TYPE_COUNT; i++) {
        if (TYPES[i].type == type) {
            snprintf(text, size, "%s", TYPES[i].word);
            return;
        }
    }
    snprintf(text, size, "%s", sl_frame_format_name(type, name));
}

void bus_carries_text(char *text, size_t size, const struct bus_look *look)
{
    char name[5];
    if (look->width_px != 0) {
        snprintf(text, size, "frames %" PRIu32 "x%" PRIu32 " %s", look->width_px, look->height_px,
                 sl_frame_format_name(look->fourcc, name));
        return;
    }
    for (size_t i = 0; i < TYPE_COUNT; i++) {
        if (TYPES[i].type == look->status.type) {
            snprintf(text, size, "%s", TYPES[i].plural);
            return;
        }
    }
    snprintf(text, size, "records \"%s\"", sl_frame_format_name(look->status.type, name));
}

const char *bus_pages_word(uint32_t pages)
{
    static const char *const WORDS[] = {[SL_BUS_PAGES_PLAIN] = "plain",
                                        [SL_BUS_PAGES_TRANSPARENT] = "transparent",
                                        [SL_BUS_PAGES_HUGE] = "huge"};
    return pages < sizeof WORDS / sizeof WORDS[0] ? WORDS[pages] : "unknown";
}

const char *bus_access_word(uint32_t access)
{
    static const char *const WORDS[] = {[SL_BUS_ACCESS_OWNER] = "owner",
                                        [SL_BUS_ACCESS_GROUP] = "group",
                                        [SL_BUS_ACCESS_ALL] = "all"};
    return access < sizeof WORDS / sizeof WORDS[0] ? WORDS[access] : "unknown";
}

void bus_duration_text(char *text, size_t size, uint64_t ns)
{
    const double s = (double)ns * 1e-9;
    if (ns < SL_NS_PER_MS)
        snprintf(text, size, "%" PRIu64 " us", ns / SL_NS_PER_US);
    else if (ns < SL_NS_PER_S)
        snprintf(text, size, "%" PRIu64 " ms", ns / SL_NS_PER_MS);
    else if (s < 120.0)
        snprintf(text, size, "%.1f s", s);
    else if (s < 7200.0)
        snprintf(text, size, "%.0f min", s / 60.0);
    else
        snprintf(text, size, "%.0f h", s / 3600.0);
}

void bus_bytes_text(char *text, size_t size, uint64_t bytes)
{
    if (bytes < 1024)
        snprintf(text, size, "%" PRIu64 " B", bytes);
    else if (bytes < 1024 * 1024)
        snprintf(text, size, "%.*f KiB", bytes < 10 * 1024 ? 1 : 0, (double)bytes / 1024.0);
    else
        snprintf(text, size, "%.1f MiB", (double)bytes / (1024.0 * 1024.0));
}
