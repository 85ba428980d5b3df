/* skylane action: asks a running vehicle to arm, pause, stop and so on. */
#include <stdio.h>
#include <string.h>

#include "rt/action.h"
#include "rt/cli.h"

#define VERB "action"

static const char HELP[] =
    "skylane action - ask a running vehicle (or simulator) for something\n"
    "\n"
    "usage: skylane action [options] arm|disarm|pause|resume|stop|respawn\n"
    "       skylane action [options] set SECTION.KEY=VALUE\n"
    "\n"
    "  arm       drive as soon as the lane is good\n"
    "  disarm    outputs neutral until armed again\n"
    "  pause     stop in the lane; resume: drive on\n"
    "  stop      safe stop; needs arm to drive again\n"
    "  respawn   simulator: back to the start of the track\n"
    "  set       a setting that may be changed while driving, until the vehicle's program ends;\n"
    "            skylane config --reference tells which\n"
    "\n"
    "  --action-bus NAME  --state-bus NAME    other buses than " SL_BUS_ACTION " and " SL_BUS_STATE
    "\n"
    "  --timeout MS       how long to wait for the answer (1000)\n"
    "  --help, --version\n"
    "\n"
    "examples:\n"
    "  skylane action pause && skylane action resume\n"
    "  skylane action set control.speed_mps=5\n"
    "\n"
    "exit status: 0 (accepted), 1 (refused, or nobody answered), 2 (misuse)\n";

static int unknown_action(const char *word)
{
    for (uint32_t kind = SL_ACTION_ARM; kind <= SL_ACTION_SET; kind++) {
        const char *name = sl_action_name(kind);
        if (sl_cli_distance(word, name, 3) < 3)
            return sl_cli_misuse(VERB, "there is no action \"%.60s\"; did you mean \"%s\"?", word,
                                 name);
    }
    return sl_cli_misuse(VERB, "there is no action \"%.60s\"", word);
}

int main(int argc, char **argv)
{
    enum { OPT_ACTION_BUS = 256, OPT_STATE_BUS, OPT_TIMEOUT };
    static const struct option OPTIONS[] = {
        {"action-bus", required_argument, NULL, OPT_ACTION_BUS},
        {"state-bus", required_argument, NULL, OPT_STATE_BUS},
        {"timeout", required_argument, NULL, OPT_TIMEOUT},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},
        {0},
    };
    const char *action_bus = SL_BUS_ACTION, *state_bus = SL_BUS_STATE;
    struct sl_error err = {0};
    int64_t timeout_ms = 1000;
    int answer;
    opterr = 0;
    while ((answer = getopt_long(argc, argv, ":hV", OPTIONS, NULL)) != -1) {
        switch (answer) {
        case OPT_ACTION_BUS:
            action_bus = optarg;
            break;
        case OPT_STATE_BUS:
            state_bus = optarg;
            break;
        case OPT_TIMEOUT:
            if (sl_cli_integer(optarg, "--timeout", 1, 60000, &timeout_ms, &err) != 0)
                return sl_cli_misuse(VERB, "%s", err.text);
            break;
        case 'h':
            fputs(HELP, stdout);
            return SL_EXIT_OK;
        case 'V':
            puts("skylane-" VERB " " SL_VERSION);
            return SL_EXIT_OK;
        default:
            return sl_cli_bad_option(VERB, answer, argv, OPTIONS);
        }
    }
    if (optind == argc)
        return sl_cli_misuse(VERB, "name one of arm, disarm, pause, resume, stop, respawn, set");
    const uint32_t kind = sl_action_parse(argv[optind]);
    if (kind == 0)
        return unknown_action(argv[optind]);
    const bool set = kind == SL_ACTION_SET;
    if (set && (optind != argc - 2 || strchr(argv[optind + 1], '=') == NULL))
        return sl_cli_misuse(VERB, "set takes SECTION.KEY=VALUE, such as control.speed_mps=5");
    if (!set && optind != argc - 1)
        return sl_cli_bad_operand(VERB, argv[optind + 1]);
    const unsigned wait_ms = (unsigned)timeout_ms;
    const int rc = set ? sl_action_set(action_bus, state_bus, argv[optind + 1], wait_ms, &err)
                       : sl_action_send(action_bus, state_bus, kind, wait_ms, &err);
    if (rc != 0) {
        fprintf(stderr, "skylane " VERB ": %s\n", err.text);
        return SL_EXIT_FAILED;
    }
    return SL_EXIT_OK;
}
