/* skylane bus watch: a look at all buses again and again. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "net/json.h"
#include "rt/cli.h"
#include "rt/clock.h"
#include "tools/bus/look.h"
#include "tools/bus/look_json.h"
#include "tools/bus/show.h"
#include "tools/bus/verbs.h"

#define VERB     "bus watch"
#define FIRST_NS (300 * SL_NS_PER_MS)

static const char HELP[] =
    "skylane bus watch - rates, ages, overruns and readers of buses, again and again\n"
    "\n"
    "On a terminal the table is drawn anew in place; else each look adds lines.\n"
    "\n"
    "usage: skylane bus watch [options] [NAME...]\n"
    "\n"
    "  --interval S   seconds from look to look, 0.1 to 3600 (1)\n"
    "  --count N      end after N looks; without: at Ctrl-C\n"
    "  -l, --long     memory and all readers as well\n"
    "  --json         one object a line, for scripts\n"
    "  --help\n"
    "\n"
    "A bus that is named need not be there yet. OVERRUNS are those since the writer's\n"
    "start, and since the look before.\n"
    "\n"
    "examples:\n"
    "  skylane bus watch\n"
    "  skylane bus watch --json --interval 10 camera_feed >> camera.jsonl\n"
    "\n"
    "exit status: 0, 1 (failed), 2 (misuse)\n";

struct options {
    double interval_s;
    int64_t count; /* 0: until told to stop */
    bool json;
    enum bus_detail detail;
};

/* What is drawn over next time. */
struct screen {
    bool on;
    unsigned lines;
};

/* The length of an escape sequence that begins here (ESC [ ... letter), or 0. */
static size_t escape_length(const char *text)
{
    size_t n = 2;
    if (text[0] != '\033' || text[1] != '[')
        return 0;
    while (text[n] != '\0' && text[n] != 'm')
        n++;
    return text[n] == 'm' ? n + 1 : n;
}

/* A line that wraps could not be drawn over: cuts it, but no colour's end. */
static void put_cut(const char *line, size_t length, unsigned columns)
{
    unsigned used = 0;
    for (size_t i = 0; i < length;) {
        const size_t escape = escape_length(line + i);
        if (escape > 0)
            fwrite(line + i, 1, escape, stdout);
        else if (used++ < columns)
            putchar(line[i]);
        i += escape > 0 ? escape : 1;
    }
}

static void draw(struct screen *screen, const char *text)
{
    struct winsize size;
    const bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 1;
    const unsigned columns = known && size.ws_col > 0 ? size.ws_col : 80;
    const unsigned rows = known ? size.ws_row : 24;
    unsigned lines = 0;
    if (screen->lines > 0)
        printf("\033[%uA", screen->lines);
    while (*text != '\0' && lines < rows - 1) {
        const size_t length = strcspn(text, "\n");
        put_cut(text, length, columns);
        fputs("\033[K\n", stdout);
        text += length + (text[length] == '\n' ? 1 : 0);
        lines++;
    }
    fputs("\033[J", stdout);
    screen->lines = lines;
}

static int flush(struct sl_error *err)
{
    if (fflush(stdout) == 0)
        return 0;
    const int code = errno;
    return sl_error_set(err, -code, "cannot write: %s", strerror(code));
}

static int draw_table(const struct bus_looks *looks, struct bus_show *show, struct screen *screen,
                      struct sl_error *err)
{
    char *text = NULL;
    size_t size = 0;
    FILE *to = open_memstream(&text, &size);
    if (to == NULL)
        return sl_error_set(err, -ENOMEM, "no memory for the table");
    show->has_header = false;
    if (looks->count > 0)
        bus_show_table(to, looks, show);
    else
        fputs("There is no bus yet.\n", to);
    const bool good = fclose(to) == 0;
    if (good)
        draw(screen, text);
    free(text);
    return good ? flush(err) : sl_error_set(err, -ENOMEM, "no memory for the table");
}

static int put_looks(const struct bus_looks *looks, const struct options *o, struct bus_show *show,
                     struct screen *screen, double since_start_s, struct sl_error *err)
{
    char time[32];
    if (o->json) {
        cJSON *json = bus_looks_json(looks);
        const int rc = sl_json_write(stdout, json, true, err);
        cJSON_Delete(json);
        return rc;
    }
    if (screen->on)
        return draw_table(looks, show, screen, err);
    snprintf(time, sizeof time, "%.1f s", since_start_s);
    show->time = time;
    if (looks->count > 0)
        bus_show_table(stdout, looks, show);
    else
        printf("%s  no bus yet\n", time);
    return flush(err);
}

/* False if it was told to stop while it waited. */
static bool wait_until(uint64_t deadline_ns)
{
    for (;;) {
        const uint64_t now = sl_clock_now_ns(), slice = now + 100 * SL_NS_PER_MS;
        if (sl_cli_stop_wanted())
            return false;
        if (now >= deadline_ns)
            return true;
        sl_clock_sleep_until_ns(slice < deadline_ns ? slice : deadline_ns);
    }
}

static int watch(char *const *names, int name_count, const struct options *o, struct sl_error *err)
{
    struct bus_looks before = {0}, now;
    struct screen screen = {.on = isatty(STDOUT_FILENO)};
    struct bus_show show = {.colour = bus_colour_wanted(), .since = true, .detail = o->detail};
    const uint64_t start = sl_clock_now_ns();
    const uint64_t interval_ns = (uint64_t)llround(o->interval_s * 1e9);
    /* A look that is not shown comes first, so that the others have rates. */
    int rc = bus_looks_take(&before, names, name_count, err);
    uint64_t next_ns = start + (interval_ns < FIRST_NS ? interval_ns : FIRST_NS);
    for (int64_t i = 0; rc == 0 && (o->count == 0 || i < o->count) && wait_until(next_ns); i++) {
        const uint64_t look_ns = sl_clock_now_ns();
        next_ns = look_ns + interval_ns;
        rc = bus_looks_take(&now, names, name_count, err);
        if (rc != 0)
            break;
        bus_looks_compare(&now, &before);
        bus_looks_read_frames(&now);
        rc = put_looks(&now, o, &show, &screen, (double)(look_ns - start) * 1e-9, err);
        bus_looks_free(&before);
        before = now;
    }
    bus_looks_free(&before);
    return rc == -EPIPE ? 0 : rc; /* who read it has had enough */
}

int bus_watch_main(int argc, char **argv)
{
    enum { OPT_INTERVAL = 256, OPT_COUNT, OPT_JSON };
    static const struct option OPTIONS[] = {
        {"interval", required_argument, NULL, OPT_INTERVAL},
        {"count", required_argument, NULL, OPT_COUNT},
        {"long", no_argument, NULL, 'l'},
        {"json", no_argument, NULL, OPT_JSON},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    struct options o = {.interval_s = 1.0};
    struct sl_error err = {0};
    int answer, rc = 0;
    opterr = 0;
    while ((answer = getopt_long(argc, argv, ":lh", OPTIONS, NULL)) != -1) {
        switch (answer) {
        case OPT_INTERVAL:
            rc = sl_cli_number(optarg, "--interval", 0.1, 3600, &o.interval_s, &err);
            break;
        case OPT_COUNT:
            rc = sl_cli_integer(optarg, "--count", 1, INT64_C(1) << 53, &o.count, &err);
            break;
        case 'l':
            o.detail = BUS_DETAIL_ALL;
            break;
        case OPT_JSON:
            o.json = true;
            break;
        case 'h':
            fputs(HELP, stdout);
            return SL_EXIT_OK;
        default:
            return sl_cli_bad_option(VERB, answer, argv, OPTIONS);
        }
        if (rc != 0)
            return sl_cli_misuse(VERB, "%s", err.text);
    }
    sl_cli_catch_stop();
    rc = watch(argv + optind, argc - optind, &o, &err);
    if (rc == -EINVAL)
        return sl_cli_misuse(VERB, "%s", err.text);
    if (rc != 0) {
        fprintf(stderr, "skylane " VERB ": %s\n", err.text);
        return SL_EXIT_FAILED;
    }
    return SL_EXIT_OK;
}
