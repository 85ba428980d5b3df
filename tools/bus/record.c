#include "tools/bus/record.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "rt/bus_status.h"
#include "rt/cli.h"
#include "rt/clock.h"
#include "tools/bus/look.h"

#define SLICE_NS (100 * SL_NS_PER_MS) /* between looks whether to stop */

/* 0; -EOVERFLOW if the writer took the slot meanwhile; -ENOMEM. */
static int copy(struct sl_bus_reader *reader, struct sl_bus_view *view, struct bus_record *record)
{
    const size_t size = view->size;
    if (record->data == NULL || record->capacity < size) {
        uint8_t *data = realloc(record->data, size > 0 ? size : 1);
        if (data == NULL) {
            sl_bus_release(reader, view);
            return -ENOMEM;
        }
        record->data = data;
        record->capacity = size;
    }
    memcpy(record->data, view->data, size);
    memcpy(record->meta, view->meta, sizeof record->meta);
    record->size = size;
    record->type = sl_bus_reader_type(reader);
    record->seq = view->seq;
    record->measured_ns = view->measured_ns;
    record->published_ns = view->published_ns;
    record->missed = view->missed;
    return sl_bus_release(reader, view);
}

static int explain(struct sl_bus_reader *reader, const char *bus, int rc, struct sl_error *err)
{
    struct sl_bus_status *status = malloc(sizeof *status);
    const bool absent = status != NULL && sl_bus_status_get(bus, status, NULL) == -ENOENT;
    free(status);
    if (rc == -EAGAIN || rc == -ETIMEDOUT)
        return sl_error_set(err, -ETIMEDOUT,
                            "bus %s has a writer, but it published nothing in time; wait longer "
                            "with --timeout",
                            bus);
    if (rc == -ENOMEM)
        return sl_error_set(err, rc, "no memory for a record of bus %s", bus);
    if (rc == -EOVERFLOW)
        return sl_error_set(err, rc, "bus %s is overwritten faster than this process can copy",
                            bus);
    if (rc == -EPIPE)
        rc = -ETIMEDOUT; /* EPIPE is for output that nobody reads */
    if (!absent)
        return sl_error_set(err, rc, "%s", sl_bus_reader_problem(reader));
    sl_error_set(err, rc, "there is no bus \"%s\"", bus);
    bus_suggest_name(bus, err);
    return rc;
}

int bus_record_read(struct sl_bus_reader *reader, const char *bus, bool newest,
                    uint64_t deadline_ns, struct bus_record *record, struct sl_error *err)
{
    for (;;) {
        struct sl_bus_view view;
        int rc = newest ? sl_bus_acquire_newest(reader, &view) : sl_bus_acquire_next(reader, &view);
        if (rc == 0)
            rc = copy(reader, &view, record);
        if (rc == 0)
            return 0;
        if (sl_cli_stop_wanted())
            return sl_error_set(err, -EINTR, "stopped");
        const uint64_t now = sl_clock_now_ns();
        if (now >= deadline_ns || (rc != -EAGAIN && rc != -EPIPE && rc != -EOVERFLOW))
            return explain(reader, bus, rc, err);
        if (rc != -EOVERFLOW)
            sl_bus_wait(reader, deadline_ns - now < SLICE_NS ? deadline_ns : now + SLICE_NS);
    }
}
