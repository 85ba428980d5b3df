/* skylane calibrate: measures the vehicle's parts, and writes settings. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "calibrate.h"
#include "rt/cli.h"

static const struct {
    const char *word;
    const char *help;
    int (*run)(int argc, char **argv);
} SUB_VERBS[] = {
    {"camera", "lens from a printed chessboard; pitch, yaw and height from driving",
     calibrate_camera},
    {"steering", "the servo's centre and ends, and a straight run", calibrate_steering},
};
#define SUB_VERB_COUNT (sizeof SUB_VERBS / sizeof SUB_VERBS[0])

int calibrate_failed(const char *format, ...)
{
    va_list args;
    fputs("skylane " VERB ": ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    return SL_EXIT_FAILED;
}

static void help(FILE *to)
{
    fputs("skylane calibrate - measure the vehicle's parts, and write settings\n\n"
          "usage: skylane calibrate PART [options]\n\n",
          to);
    for (size_t i = 0; i < SUB_VERB_COUNT; i++)
        fprintf(to, "  %-8s %s\n", SUB_VERBS[i].word, SUB_VERBS[i].help);
    fputs("\n\"skylane calibrate PART --help\" tells more.\n\n"
          "examples:\n"
          "  skylane calibrate camera --chessboard 9x6 --images board/ --output my-car.ini\n"
          "  skylane calibrate camera --drive straight/ --lane-width 0.4 --config my-car.ini \\\n"
          "      --output my-car.ini\n"
          "  skylane calibrate steering --config my-car.ini --output my-car.ini\n"
          "\nexit status: 0, 1 (failed), 2 (misuse)\n",
          to);
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return sl_cli_misuse(VERB, "say what to calibrate, such as \"camera\"");
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        help(stdout);
        return SL_EXIT_OK;
    }
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
        puts("skylane-" VERB " " SL_VERSION);
        return SL_EXIT_OK;
    }
    for (size_t i = 0; i < SUB_VERB_COUNT; i++)
        if (strcmp(argv[1], SUB_VERBS[i].word) == 0)
            return SUB_VERBS[i].run(argc - 1, argv + 1);
    for (size_t i = 0; i < SUB_VERB_COUNT; i++)
        if (sl_cli_distance(argv[1], SUB_VERBS[i].word, 3) < 3)
            return sl_cli_misuse(VERB, "\"%s\" cannot be calibrated; did you mean \"%s\"?", argv[1],
                                 SUB_VERBS[i].word);
    return sl_cli_misuse(VERB, "\"%s\" cannot be calibrated; \"camera\" and \"steering\" can",
                         argv[1]);
}
