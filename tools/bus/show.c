#include "tools/bus/show.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/bus/words.h"

#define READERS_SHOWN 8

#define BOLD   "\033[1m"
#define RED    "\033[31m"
#define YELLOW "\033[33m"
#define PLAIN  "\033[0m"

enum column { TIME = 0, BUS, CARRIES, RATE, AGE, OVERRUNS, READERS, WRITER };

static const struct {
    const char *title;
    bool right;
} COLUMNS[BUS_SHOW_COLUMNS] = {
    [TIME] = {"TIME", true},       [BUS] = {"BUS", false},       [CARRIES] = {"CARRIES", false},
    [RATE] = {"RATE", true},       [AGE] = {"AGE", true},        [OVERRUNS] = {"OVERRUNS", true},
    [READERS] = {"READERS", true}, [WRITER] = {"WRITER", false},
};

struct row {
    struct {
        char text[96];
        const char *colour; /* NULL: none */
    } cells[BUS_SHOW_COLUMNS];
};

bool bus_colour_wanted(void)
{
    const char *no_colour = getenv("NO_COLOR"), *terminal = getenv("TERM");
    return isatty(STDOUT_FILENO) && (no_colour == NULL || no_colour[0] == '\0') &&
           terminal != NULL && strcmp(terminal, "dumb") != 0;
}

#define SET(row, column, ...)                                                                      \
    snprintf((row)->cells[column].text, sizeof(row)->cells[column].text, __VA_ARGS__)

static void fill_living(struct row *row, const struct bus_look *look, bool since)
{
    const struct sl_bus_status *s = &look->status;
    bus_carries_text(row->cells[CARRIES].text, sizeof row->cells[CARRIES].text, look);
    if (look->compared)
        SET(row, RATE, "%.1f/s", look->rate_hz);
    if (s->newest_ns != 0)
        bus_duration_text(row->cells[AGE].text, sizeof row->cells[AGE].text,
                          s->now_ns > s->newest_ns ? s->now_ns - s->newest_ns : 0);
    else
        SET(row, AGE, "nothing yet");
    if (since && look->compared)
        SET(row, OVERRUNS, "%" PRIu64 " (+%" PRIu64 ")", s->overruns, look->overruns_since);
    else
        SET(row, OVERRUNS, "%" PRIu64, s->overruns);
    if (since ? look->overruns_since > 0 : s->overruns > 0)
        row->cells[OVERRUNS].colour = YELLOW;
    SET(row, READERS, "%" PRIu32, s->reader_count);
}

static void fill_row(struct row *row, const struct bus_look *look, const struct bus_show *show)
{
    const struct sl_bus_status *s = &look->status;
    char program[64];
    memset(row, 0, sizeof *row);
    SET(row, BUS, "%s", s->name);
    if (show->time != NULL)
        SET(row, TIME, "%s", show->time);
    if (s->writer_pid > 0) {
        bus_program_text(program, sizeof program, s->writer_pid);
        SET(row, WRITER, "%" PRId32 " %s", s->writer_pid, program);
    }
    if (look->found && s->life == SL_BUS_ALIVE) {
        fill_living(row, look, show->since);
        return;
    }
    SET(row, CARRIES, "%s", bus_life_word(look));
    row->cells[CARRIES].colour =
        s->life == SL_BUS_DEAD || s->life == SL_BUS_MISMATCH ? RED : YELLOW;
}

static void print_row(FILE *to, const struct row *row, const struct bus_show *show)
{
    const int first = show->time != NULL ? TIME : BUS;
    int owed = 0; /* spaces, printed when something follows them */
    for (int i = first; i < BUS_SHOW_COLUMNS; i++) {
        const char *text = row->cells[i].text;
        const char *colour = show->colour ? row->cells[i].colour : NULL;
        const int pad = (int)show->widths[i] - (int)strlen(text);
        owed += (i > first ? 2 : 0) + (COLUMNS[i].right ? pad : 0);
        if (text[0] != '\0') {
            fprintf(to, "%*s%s%s%s", owed, "", colour != NULL ? colour : "", text,
                    colour != NULL ? PLAIN : "");
            owed = 0;
        }
        owed += COLUMNS[i].right ? 0 : pad;
    }
    fputc('\n', to);
}

static void print_header(FILE *to, const struct bus_show *show)
{
    struct row row = {0};
    for (int i = 0; i < BUS_SHOW_COLUMNS; i++) {
        SET(&row, i, "%s", COLUMNS[i].title);
        row.cells[i].colour = BOLD;
    }
    print_row(to, &row, show);
}

static void print_memory(FILE *to, const struct sl_bus_status *s)
{
    static const char *const PAGES[] = {[SL_BUS_PAGES_PLAIN] = "4 KiB pages",
                                        [SL_BUS_PAGES_TRANSPARENT] = "transparent huge pages",
                                        [SL_BUS_PAGES_HUGE] = "huge pages"};
    static const char *const ACCESS[] = {[SL_BUS_ACCESS_OWNER] = "its user",
                                         [SL_BUS_ACCESS_GROUP] = "its group",
                                         [SL_BUS_ACCESS_ALL] = "all"};
    char slot[32], all[32];
    bus_bytes_text(slot, sizeof slot, s->slot_bytes);
    bus_bytes_text(all, sizeof all, s->memory_bytes);
    fprintf(to, "    %" PRIu32 " slots of %s, %s in all on %s, %s; readable by %s%s%s\n",
            s->slot_count, slot, all,
            s->pages <= SL_BUS_PAGES_HUGE ? PAGES[s->pages] : "unknown pages",
            s->locked != 0 ? "locked" : "not locked",
            s->access <= SL_BUS_ACCESS_ALL ? ACCESS[s->access] : "unknown",
            s->note[0] != '\0' ? "; " : "", s->note);
}

static int compare_counts(uint64_t a, uint64_t b)
{
    return a < b ? 1 : a > b ? -1 : 0;
}

/* Who causes trouble first: overruns, then what is held, then since when. */
static int compare_readers(const void *left, const void *right)
{
    const struct sl_bus_status_reader *a = left, *b = right;
    int order = compare_counts(a->overruns, b->overruns);
    if (order == 0)
        order = compare_counts(a->holds != 0, b->holds != 0);
    return order != 0 ? order : compare_counts(b->attached_ns, a->attached_ns);
}

static void print_reader(FILE *to, const struct sl_bus_status_reader *r, int program_width,
                         bool colour)
{
    char program[64], user[40], pid[16] = "?", holds[24] = "";
    bus_program_text(program, sizeof program, r->pid);
    bus_user_text(user, sizeof user, r->uid);
    if (r->pid > 0)
        snprintf(pid, sizeof pid, "%" PRId32, r->pid);
    if (r->holds != 0)
        snprintf(holds, sizeof holds, "  holds slot %" PRIu32, r->holds - 1);
    fprintf(to, "    reader %7s %-*s  %-8s  %-9s  %s%s", pid, program_width, program, user,
            r->realtime != 0 ? "real-time" : "ordinary", r->asleep != 0 ? "asleep" : "awake",
            holds);
    if (r->overruns > 0)
        fprintf(to, "  %s%" PRIu64 " %s%s", colour ? YELLOW : "", r->overruns,
                r->overruns == 1 ? "overrun" : "overruns", colour ? PLAIN : "");
    fputc('\n', to);
}

static void print_readers(FILE *to, struct sl_bus_status *s, const struct bus_show *show)
{
    uint32_t count = bus_readers_listed(s);
    qsort(s->readers, count, sizeof s->readers[0], compare_readers);
    if (show->detail != BUS_DETAIL_ALL && count > READERS_SHOWN)
        count = READERS_SHOWN;
    char program[64];
    int width = 0;
    for (uint32_t i = 0; i < count; i++) {
        bus_program_text(program, sizeof program, s->readers[i].pid);
        if ((int)strlen(program) > width)
            width = (int)strlen(program);
    }
    for (uint32_t i = 0; i < count; i++)
        print_reader(to, &s->readers[i], width, show->colour);
    if (count < s->reader_count)
        fprintf(to, "    and %" PRIu32 " readers more%s\n", s->reader_count - count,
                show->detail == BUS_DETAIL_ALL ? "" : " (-l shows them)");
}

void bus_show_table(FILE *to, const struct bus_looks *looks, struct bus_show *show)
{
    struct row row;
    char sentence[256];
    for (int i = 0; i < BUS_SHOW_COLUMNS; i++) {
        if (show->widths[i] == 0)
            show->widths[i] = (unsigned)strlen(COLUMNS[i].title);
    }
    for (size_t k = 0; k < looks->count; k++) {
        fill_row(&row, &looks->looks[k], show);
        for (int i = 0; i < BUS_SHOW_COLUMNS; i++) {
            const size_t length = strlen(row.cells[i].text);
            if (length > show->widths[i])
                show->widths[i] = (unsigned)length;
        }
    }
    if (!show->has_header)
        print_header(to, show);
    show->has_header = true;
    for (size_t k = 0; k < looks->count; k++) {
        struct bus_look *look = &looks->looks[k];
        fill_row(&row, look, show);
        print_row(to, &row, show);
        if (show->detail == BUS_DETAIL_LINE)
            continue;
        if (look->found && look->status.life == SL_BUS_ALIVE) {
            print_memory(to, &look->status);
            print_readers(to, &look->status, show);
        } else {
            bus_life_sentence(sentence, sizeof sentence, look);
            fprintf(to, "    %s\n", sentence);
        }
    }
}
