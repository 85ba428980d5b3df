/* Runs "skylane bus" to its end, for the tests of what it says. */
#ifndef SL_TESTS_INTEGRATION_BUS_RUN_H
#define SL_TESTS_INTEGRATION_BUS_RUN_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/integration/programs.h"

static struct program bus_program;
static char bus_said[1 << 20]; /* both outputs of the last one that ended */

static inline int bus_run_end(void)
{
    const int status = program_wait(&bus_program, 20);
    FILE *from = fopen(bus_program.output, "r");
    assert_non_null(from);
    const size_t n = fread(bus_said, 1, sizeof bus_said - 1, from);
    bus_said[n] = '\0';
    fclose(from);
    unlink(bus_program.output);
    return status;
}

#define BUS_START(...) program_start(&bus_program, NULL, "bus", __VA_ARGS__, NULL)
#define BUS_RUN(...)   (BUS_START(__VA_ARGS__), bus_run_end())

/* Fails with what was said instead. */
static inline void assert_said(const char *text)
{
    if (strstr(bus_said, text) == NULL)
        fail_msg("it did not say \"%s\" but:\n%s", text, bus_said);
}

#endif
