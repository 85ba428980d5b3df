/* skylane-actuator: holds the hardware outputs for "skylane run". */
#include <stdio.h>
#include <string.h>

#include "hal/actuator/helper.h"
#include "rt/cli.h"

static const char HELP[] =
    "skylane-actuator - hold the steering servo and the motor controller\n"
    "\n"
    "\"skylane run\" starts this program beside it when actuator.driver is pca9685, pwm, serial\n"
    "or vesc; there is nothing to start by hand. It writes each command to the device, goes to\n"
    "neutral when no new one has come for 100 ms, and when \"skylane run\" ends, crashes or is\n"
    "killed.\n"
    "\n"
    "  --help, --version\n"
    "\n"
    "exit status: 0, 1 (failed), 2 (misuse)\n";

int main(int argc, char **argv)
{
    if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        fputs(HELP, stdout);
        return SL_EXIT_OK;
    }
    if (argc == 2 && (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0)) {
        puts("skylane-actuator " SL_VERSION);
        return SL_EXIT_OK;
    }
    struct sl_error err = {0};
    if (sl_actuator_helper_run(SL_HELPER_FD, &err) == 0)
        return SL_EXIT_OK;
    fprintf(stderr, "skylane actuator: %s\n", err.text);
    return SL_EXIT_FAILED;
}
