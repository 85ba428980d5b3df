/* A look at all buses or at some, for the commands that show them. */
#ifndef SL_TOOLS_BUS_LOOK_H
#define SL_TOOLS_BUS_LOOK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rt/bus_status.h"
#include "rt/error.h"
#include "rt/frame.h"

struct bus_look {
    struct sl_bus_status status; /* with nothing but the name if !found */
    bool found;                  /* false: asked for by name, and not there */
    uint32_t width_px;           /* of the newest frame; 0: no frame, or not readable */
    uint32_t height_px;
    uint32_t fourcc;
    bool compared; /* by bus_looks_compare(): the rest holds */
    double rate_hz;
    uint64_t overruns_since;
};

struct bus_looks {
    struct bus_look *looks; /* about 40 KiB each: who reads stands in them */
    size_t count;
};

/* Looks at the buses that are named, or at all if there are no names. Blocks
 * for 200 ms at each whose writer does not answer. 0; -EINVAL (a name that no
 * bus can have); -ENOENT, -EACCES (the folder); -ENOMEM; in words in `err`. */
int bus_looks_take(struct bus_looks *looks, char *const *names, int name_count,
                   struct sl_error *err);
void bus_looks_free(struct bus_looks *looks);

/* Fills in the rates and overruns since an earlier look, and what that look
 * already knew of frames, for each bus that still has the same writer. */
void bus_looks_compare(struct bus_looks *now, const struct bus_looks *before);

/* Reads the size and format of the newest frame where they are not known yet:
 * becomes a reader for that moment. */
void bus_looks_read_frames(struct bus_looks *looks);

/* How many readers stand in the list: `reader_count` may be more. */
uint32_t bus_readers_listed(const struct sl_bus_status *status);

/* The look at the bus of that name, or NULL. */
const struct bus_look *bus_looks_find(const struct bus_looks *looks, const char *name);

/* The name of a bus that differs from `name` by at most three characters, the
 * nearest, for suggestions. False if there is none. */
bool bus_nearest_name(const char *name, char nearest[SL_BUS_NAME_MAX + 1]);

/* Puts that suggestion, if there is one, behind the sentence in `err`. */
void bus_suggest_name(const char *name, struct sl_error *err);

#endif
