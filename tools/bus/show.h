/* Buses as a table, with their readers below each. */
#ifndef SL_TOOLS_BUS_SHOW_H
#define SL_TOOLS_BUS_SHOW_H

#include <stdbool.h>
#include <stdio.h>

#include "tools/bus/look.h"

#define BUS_SHOW_COLUMNS 8

enum bus_detail {
    BUS_DETAIL_LINE = 0, /* one line a bus */
    BUS_DETAIL_SOME,     /* and its memory, and the readers that matter most */
    BUS_DETAIL_ALL,      /* and all readers */
};

struct bus_show {
    bool colour;
    bool since; /* overruns since the look before as well */
    enum bus_detail detail;
    const char *time;                  /* for a first column; NULL: none */
    bool has_header;                   /* it was printed */
    unsigned widths[BUS_SHOW_COLUMNS]; /* so far: they grow, and do not jump */
};

/* Whether the terminal at standard output, if it is one, is to have colours. */
bool bus_colour_wanted(void);

void bus_show_table(FILE *to, const struct bus_looks *looks, struct bus_show *show);

#endif
