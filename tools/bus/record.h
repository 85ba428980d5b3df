/* Records copied off a bus, of whatever type it carries. */
#ifndef SL_TOOLS_BUS_RECORD_H
#define SL_TOOLS_BUS_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rt/bus.h"
#include "rt/error.h"

struct bus_record {
    uint8_t *data; /* NULL at first; kept from record to record, the caller frees it */
    size_t size;
    size_t capacity;
    _Alignas(8) uint8_t meta[SL_BUS_META_BYTES];
    uint32_t type; /* enum sl_record_type, or another */
    uint64_t seq;
    uint64_t measured_ns;
    uint64_t published_ns;
    uint64_t missed;
};

/* Waits for a record newer than the last, at most until `deadline_ns`, and
 * copies it: the newest, or the next one in order. 0; -EINTR (told to stop
 * meanwhile); else an error with a sentence that names the bus. */
int bus_record_read(struct sl_bus_reader *reader, const char *bus, bool newest,
                    uint64_t deadline_ns, struct bus_record *record, struct sl_error *err);

#endif
