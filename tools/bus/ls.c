/* skylane bus ls: which buses there are, who writes them, who reads them. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/json.h"
#include "rt/cli.h"
#include "rt/clock.h"
#include "tools/bus/look.h"
#include "tools/bus/look_json.h"
#include "tools/bus/show.h"
#include "tools/bus/verbs.h"
#include "tools/bus/words.h"

#define VERB    "bus ls"
#define RATE_NS (300 * SL_NS_PER_MS)

static const char HELP[] =
    "skylane bus ls - which buses there are, who writes them, who reads them\n"
    "\n"
    "usage: skylane bus ls [options] [NAME...]\n"
    "\n"
    "  -s, --short    one line a bus\n"
    "  -l, --long     all readers, not only the 8 that matter most\n"
    "  --no-rate      do not measure the rate, which takes 0.3 s\n"
    "  --json         for scripts\n"
    "  --help\n"
    "\n"
    "RATE is of records a second, AGE the newest record's. OVERRUNS counts how often\n"
    "the writer had to take a slot from a reader that held it for too long.\n"
    "\n"
    "examples:\n"
    "  skylane bus ls\n"
    "  skylane bus ls --json | jq -r '.buses[] | select(.life != \"alive\").name'\n"
    "\n"
    "exit status: 0, 1 (a bus that was named is not there), 2 (misuse)\n";

struct options {
    bool json, no_rate;
    enum bus_detail detail;
};

/* Twice, so that there are rates. */
static int take_looks(struct bus_looks *looks, char *const *names, int count,
                      const struct options *o, struct sl_error *err)
{
    struct bus_looks before;
    int rc = bus_looks_take(looks, names, count, err);
    if (rc != 0)
        return rc;
    if (!o->no_rate && looks->count > 0) {
        before = *looks;
        sl_clock_sleep_until_ns(sl_clock_now_ns() + RATE_NS);
        rc = bus_looks_take(looks, names, count, err);
        if (rc == 0)
            bus_looks_compare(looks, &before);
        bus_looks_free(&before);
    }
    if (rc == 0) /* of a bus that has just begun, the first look saw none */
        bus_looks_read_frames(looks);
    return rc;
}

/* The names that are not there are errors, not rows. */
static int drop_absent(struct bus_looks *looks)
{
    char sentence[256];
    size_t kept = 0;
    int status = SL_EXIT_OK;
    for (size_t i = 0; i < looks->count; i++) {
        if (looks->looks[i].found) {
            if (kept != i)
                looks->looks[kept] = looks->looks[i];
            kept++;
            continue;
        }
        bus_life_sentence(sentence, sizeof sentence, &looks->looks[i]);
        fprintf(stderr, "skylane " VERB ": %s\n", sentence);
        status = SL_EXIT_FAILED;
    }
    looks->count = kept;
    return status;
}

static void print_nothing(void)
{
    const char *dir = getenv("SKYLANE_BUS_DIR");
    if (dir != NULL && dir[0] != '\0')
        printf("There is no bus in %s (SKYLANE_BUS_DIR). ", dir);
    else
        printf("There is no bus. ");
    puts("Start a writer, such as \"skylane sim\".");
}

static int list(char *const *names, int count, const struct options *o)
{
    struct sl_error err = {0};
    struct bus_looks looks;
    struct bus_show show = {.colour = bus_colour_wanted(), .detail = o->detail};
    int rc = take_looks(&looks, names, count, o, &err);
    if (rc == -EINVAL)
        return sl_cli_misuse(VERB, "%s", err.text);
    int status = SL_EXIT_OK;
    if (rc == 0)
        status = drop_absent(&looks);
    if (rc == 0 && o->json) {
        cJSON *json = bus_looks_json(&looks);
        rc = sl_json_write(stdout, json, false, &err);
        cJSON_Delete(json);
    } else if (rc == 0 && looks.count > 0) {
        bus_show_table(stdout, &looks, &show);
    } else if (rc == 0 && count == 0) {
        print_nothing();
    }
    if (rc != 0) {
        fprintf(stderr, "skylane " VERB ": %s\n", err.text);
        status = SL_EXIT_FAILED;
    }
    bus_looks_free(&looks);
    return status;
}

int bus_ls_main(int argc, char **argv)
{
    enum { OPT_JSON = 256, OPT_NO_RATE };
    static const struct option OPTIONS[] = {
        {"short", no_argument, NULL, 's'},
        {"long", no_argument, NULL, 'l'},
        {"no-rate", no_argument, NULL, OPT_NO_RATE},
        {"json", no_argument, NULL, OPT_JSON},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    struct options o = {.detail = BUS_DETAIL_SOME};
    int answer;
    opterr = 0;
    while ((answer = getopt_long(argc, argv, ":slh", OPTIONS, NULL)) != -1) {
        switch (answer) {
        case 's':
            o.detail = BUS_DETAIL_LINE;
            break;
        case 'l':
            o.detail = BUS_DETAIL_ALL;
            break;
        case OPT_NO_RATE:
            o.no_rate = true;
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
    }
    return list(argv + optind, argc - optind, &o);
}
