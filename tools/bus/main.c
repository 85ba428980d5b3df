/* skylane bus: buses from the outside. */
#include <stdio.h>
#include <string.h>

#include "rt/cli.h"
#include "tools/bus/bench.h"
#include "tools/bus/verbs.h"

#define VERB "bus"

static const struct {
    const char *verb;
    int (*main)(int argc, char **argv);
    const char *help;
} VERBS[] = {
    {"ls", bus_ls_main, "which buses there are, who writes them, who reads them"},
    {"watch", bus_watch_main, "the same, again each second"},
    {"dump", bus_dump_main, "a frame as a picture, a record as JSON"},
    {"clean", bus_clean_main, "remove what dead writers left"},
    {"bench", bus_bench_main, "how fast buses are on this machine"},
};
#define VERB_COUNT (sizeof VERBS / sizeof VERBS[0])

static void print_help(FILE *to)
{
    fputs("skylane bus - look at buses, read from them, clean up, measure\n"
          "\n"
          "usage: skylane bus VERB [options]\n"
          "\n",
          to);
    for (size_t i = 0; i < VERB_COUNT; i++)
        fprintf(to, "  %-8s %s\n", VERBS[i].verb, VERBS[i].help);
    fputs("\n"
          "Buses are found in /dev/shm, or in the folder that SKYLANE_BUS_DIR names.\n"
          "\"skylane bus VERB --help\" tells more.\n"
          "\n"
          "examples:\n"
          "  skylane bus ls\n"
          "  skylane bus dump camera_feed --out now.png\n"
          "  skylane bus dump vehicle_state\n"
          "\n"
          "exit status: 0, 1 (failed), 2 (misuse)\n",
          to);
}

static int unknown_verb(const char *verb)
{
    const char *nearest = NULL;
    unsigned best = 3;
    for (size_t i = 0; i < VERB_COUNT; i++) {
        const unsigned distance = sl_cli_distance(verb, VERBS[i].verb, 3);
        if (distance < best) {
            best = distance;
            nearest = VERBS[i].verb;
        }
    }
    if (nearest != NULL)
        return sl_cli_misuse(VERB, "there is no verb \"%.60s\"; did you mean \"%s\"?", verb,
                             nearest);
    return sl_cli_misuse(VERB, "there is no verb \"%.60s\"", verb);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        print_help(stderr);
        return SL_EXIT_MISUSE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0) {
        print_help(stdout);
        return SL_EXIT_OK;
    }
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
        puts("skylane-" VERB " " SL_VERSION);
        return SL_EXIT_OK;
    }
    for (size_t i = 0; i < VERB_COUNT; i++) {
        if (strcmp(argv[1], VERBS[i].verb) == 0)
            return VERBS[i].main(argc - 1, argv + 1);
    }
    return unknown_verb(argv[1]);
}
