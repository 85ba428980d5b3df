/* skylane VERB: runs skylane-VERB from its own folder. */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "rt/cli.h"

static const struct {
    const char *verb;
    const char *help;
} VERBS[] = {
    {"run", "drive: camera, lane detection, control, actuator"},
    {"sim", "the simulator: road, vehicle and camera"},
    {"detect", "find the lane: as a server, or in pictures and video"},
    {"camera", "list, try and run cameras"},
    {"action", "ask a running vehicle to arm, pause, resume, stop, respawn, set"},
    {"net", "let others watch the vehicle and ask it for something"},
    {"pair", "let a laptop watch or drive over the network"},
    {"view", "watch and command a vehicle in a web browser"},
    {"bus", "look at buses, read from them, clean up, measure"},
    {"calibrate", "find the camera's lens and place, and the servo's centre and ends"},
    {"config", "print, check and explain the settings"},
};
#define VERB_COUNT (sizeof VERBS / sizeof VERBS[0])

static void print_help(FILE *to)
{
    fputs("skylane - camera to steering for small self-driving cars\n\n"
          "usage: skylane VERB [options]\n\n",
          to);
    for (size_t i = 0; i < VERB_COUNT; i++)
        fprintf(to, "  %-10s %s\n", VERBS[i].verb, VERBS[i].help);
    fputs("\n\"skylane VERB --help\" tells more.\n\n"
          "examples:\n"
          "  skylane sim --drive --track city    # watch it drive\n"
          "  skylane detect --images pictures/ --calibration board/sim/skylane.ini --overlay out/\n"
          "\nexit status: 0, 1 (failed), 2 (misuse)\n",
          to);
}

static int unknown_verb(const char *verb)
{
    fprintf(stderr, "skylane: there is no verb \"%s\"", verb);
    for (size_t i = 0; i < VERB_COUNT; i++) {
        if (sl_cli_distance(verb, VERBS[i].verb, 3) < 3) {
            fprintf(stderr, "; did you mean \"%s\"?", VERBS[i].verb);
            break;
        }
    }
    fputs("\nTry \"skylane --help\".\n", stderr);
    return SL_EXIT_MISUSE;
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
    if (strcmp(argv[1], "--version") == 0) {
        puts("skylane " SL_VERSION);
        return SL_EXIT_OK;
    }
    char dir[PATH_MAX], path[PATH_MAX + NAME_MAX];
    if (strchr(argv[1], '/') != NULL || strlen(argv[1]) > 64)
        return unknown_verb(argv[1]);
    if (sl_cli_program_dir(dir, sizeof dir) != 0) {
        fputs("skylane: cannot tell where it is installed (/proc is not mounted?)\n", stderr);
        return SL_EXIT_FAILED;
    }
    snprintf(path, sizeof path, "%s/skylane-%s", dir, argv[1]);
    execv(path, argv + 1);
    if (errno == ENOENT)
        return unknown_verb(argv[1]);
    fprintf(stderr, "skylane: cannot run %s: %s\n", path, strerror(errno));
    return SL_EXIT_FAILED;
}
