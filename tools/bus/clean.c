/* skylane bus clean: removes what dead writers left, and nothing else. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "rt/cli.h"
#include "tools/bus/look.h"
#include "tools/bus/verbs.h"
#include "tools/bus/words.h"

#define VERB "bus clean"

static const char HELP[] =
    "skylane bus clean - remove what dead writers left\n"
    "\n"
    "usage: skylane bus clean [options] [NAME...]\n"
    "\n"
    "  --dry-run    only say what would be removed\n"
    "  --help\n"
    "\n"
    "Removes a bus only if its writer is provably gone: the kernel has dropped the\n"
    "lock that a writer holds for as long as it lives. There is seldom a need to: a\n"
    "dead writer leaves two empty files, and its successor replaces them.\n"
    "\n"
    "examples:\n"
    "  skylane bus clean --dry-run\n"
    "  skylane bus clean camera_feed\n"
    "\n"
    "exit status: 0, 1 (a bus that was named was not removed, or one could not be),\n"
    "2 (misuse)\n";

/* True if it was removed, or would be. */
static bool clean_one(const struct bus_look *look, bool dry_run, bool *failed)
{
    const char *name = look->status.name;
    char sentence[256];
    struct sl_error err = {0};
    if (!look->found || look->status.life != SL_BUS_DEAD) {
        bus_life_sentence(sentence, sizeof sentence, look);
        printf("left         %s: %s\n", name, sentence);
        return false;
    }
    /* Between the look and here a writer may have come. */
    const int rc = dry_run ? 0 : sl_bus_clean(name, &err);
    if (rc == 0) {
        printf("%s %s: its writer is gone\n", dry_run ? "would remove" : "removed     ", name);
        return true;
    }
    printf("left         %s: %s\n", name, err.text);
    *failed = *failed || rc != -EBUSY;
    return false;
}

static int clean(char *const *names, int count, bool dry_run)
{
    struct sl_error err = {0};
    struct bus_looks looks;
    bool failed = false;
    size_t removed = 0;
    const int rc = bus_looks_take(&looks, names, count, &err);
    if (rc == -EINVAL)
        return sl_cli_misuse(VERB, "%s", err.text);
    if (rc != 0) {
        fprintf(stderr, "skylane " VERB ": %s\n", err.text);
        return SL_EXIT_FAILED;
    }
    for (size_t i = 0; i < looks.count; i++)
        removed += clean_one(&looks.looks[i], dry_run, &failed) ? 1 : 0;
    if (removed == 0)
        puts("There is nothing to remove.");
    failed = failed || (count > 0 && removed < looks.count);
    bus_looks_free(&looks);
    return failed ? SL_EXIT_FAILED : SL_EXIT_OK;
}

int bus_clean_main(int argc, char **argv)
{
    enum { OPT_DRY_RUN = 256 };
    static const struct option OPTIONS[] = {
        {"dry-run", no_argument, NULL, OPT_DRY_RUN},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    bool dry_run = false;
    int answer;
    opterr = 0;
    while ((answer = getopt_long(argc, argv, ":h", OPTIONS, NULL)) != -1) {
        switch (answer) {
        case OPT_DRY_RUN:
            dry_run = true;
            break;
        case 'h':
            fputs(HELP, stdout);
            return SL_EXIT_OK;
        default:
            return sl_cli_bad_option(VERB, answer, argv, OPTIONS);
        }
    }
    return clean(argv + optind, argc - optind, dry_run);
}
