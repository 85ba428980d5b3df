#include "tools/bus/look.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rt/cli.h"
#include "rt/clock.h"
#include "rt/records.h"

#define FRAME_TRIES       4
#define FRAME_PATIENCE_NS (50 * SL_NS_PER_MS)

typedef char bus_name[SL_BUS_NAME_MAX + 1];

/* All names, in memory to free; their number or a negative errno. */
static int list_names(bus_name **names, struct sl_error *err)
{
    size_t room = 64;
    for (;;) {
        *names = calloc(room, sizeof(bus_name));
        if (*names == NULL)
            return sl_error_set(err, -ENOMEM, "no memory for the names of %zu buses", room);
        const int count = sl_bus_list(*names, room, err);
        if (count >= 0 && (size_t)count <= room)
            return count;
        free(*names);
        *names = NULL;
        if (count < 0)
            return count;
        room = (size_t)count + 64; /* some may come in between */
    }
}

static int look_at(struct bus_look *look, const char *name, struct sl_error *err)
{
    const int rc = sl_bus_status_get(name, &look->status, err);
    look->found = rc == 0;
    if (rc == -ENOENT) {
        memset(&look->status, 0, sizeof look->status);
        strncpy(look->status.name, name, SL_BUS_NAME_MAX);
        return 0;
    }
    if (rc == -EINVAL)
        bus_suggest_name(name, err);
    return rc;
}

int bus_looks_take(struct bus_looks *looks, char *const *names, int name_count,
                   struct sl_error *err)
{
    bus_name *all = NULL;
    int rc = 0;
    const bool listed = name_count == 0;
    *looks = (struct bus_looks){0};
    if (listed)
        name_count = list_names(&all, err);
    if (name_count <= 0)
        rc = name_count;
    else if ((looks->looks = calloc((size_t)name_count, sizeof *looks->looks)) == NULL)
        rc = sl_error_set(err, -ENOMEM, "no memory for a look at %d buses", name_count);
    for (int i = 0; rc == 0 && i < name_count; i++) {
        struct bus_look *look = &looks->looks[looks->count];
        rc = look_at(look, listed ? all[i] : names[i], err);
        if (!listed || look->found) /* else it went since it was listed */
            looks->count++;
    }
    free(all);
    if (rc != 0)
        bus_looks_free(looks);
    return rc;
}

void bus_looks_free(struct bus_looks *looks)
{
    free(looks->looks);
    *looks = (struct bus_looks){0};
}

const struct bus_look *bus_looks_find(const struct bus_looks *looks, const char *name)
{
    for (size_t i = 0; i < looks->count; i++) {
        if (strcmp(looks->looks[i].status.name, name) == 0)
            return &looks->looks[i];
    }
    return NULL;
}

uint32_t bus_readers_listed(const struct sl_bus_status *status)
{
    uint32_t count = 0;
    while (count < SL_BUS_STATUS_READERS_MAX && count < status->reader_count &&
           status->readers[count].attached_ns != 0)
        count++;
    return count;
}

/* From record to record rather than from look to look: a bus of 50 Hz gets 15
 * or 16 in 300 ms, but always 20 ms apart. */
static double rate_hz(const struct sl_bus_status *now, const struct sl_bus_status *before)
{
    const double records = (double)(now->published - before->published);
    if (before->newest_ns != 0 && now->newest_ns > before->newest_ns)
        return records / ((double)(now->newest_ns - before->newest_ns) * 1e-9);
    return records / ((double)(now->now_ns - before->now_ns) * 1e-9);
}

void bus_looks_compare(struct bus_looks *now, const struct bus_looks *before)
{
    for (size_t i = 0; i < now->count; i++) {
        struct bus_look *look = &now->looks[i];
        const struct bus_look *old = bus_looks_find(before, look->status.name);
        if (old == NULL || look->status.life != SL_BUS_ALIVE || !look->found || !old->found ||
            old->status.started_ns != look->status.started_ns ||
            look->status.now_ns <= old->status.now_ns)
            continue;
        look->compared = true;
        look->rate_hz = rate_hz(&look->status, &old->status);
        look->overruns_since = look->status.overruns - old->status.overruns;
        look->width_px = old->width_px;
        look->height_px = old->height_px;
        look->fourcc = old->fourcc;
    }
}

static void read_frame(struct bus_look *look)
{
    struct sl_bus_reader *reader = NULL;
    struct sl_bus_view view;
    struct sl_frame_info info;
    const struct sl_bus_reader_config config = {.name = look->status.name,
                                                .type = SL_RECORD_FRAME,
                                                .min_bytes = 1,
                                                .writers = SL_BUS_WRITERS_ANY};
    if (sl_bus_reader_open(&reader, &config, NULL) != 0)
        return;
    /* A frame may be overwritten while it is looked at: then the next one. */
    for (int tries = 0; tries < FRAME_TRIES && look->width_px == 0; tries++) {
        if (sl_bus_acquire_newest(reader, &view) != 0) {
            sl_bus_wait(reader, sl_clock_now_ns() + FRAME_PATIENCE_NS);
            continue;
        }
        const size_t size = view.size;
        memcpy(&info, view.meta, sizeof info);
        if (sl_bus_release(reader, &view) == 0 && sl_frame_check(&info, size, NULL) == 0) {
            look->width_px = info.width_px;
            look->height_px = info.height_px;
            look->fourcc = info.fourcc;
        }
    }
    sl_bus_reader_close(reader);
}

void bus_looks_read_frames(struct bus_looks *looks)
{
    for (size_t i = 0; i < looks->count; i++) {
        struct bus_look *look = &looks->looks[i];
        if (look->found && look->status.life == SL_BUS_ALIVE && look->width_px == 0 &&
            look->status.type == SL_RECORD_FRAME && look->status.newest_ns != 0)
            read_frame(look);
    }
}

bool bus_nearest_name(const char *name, char nearest[SL_BUS_NAME_MAX + 1])
{
    bus_name *names = NULL;
    const int count = list_names(&names, NULL);
    unsigned best = 4;
    for (int i = 0; i < count; i++) {
        const unsigned distance = sl_cli_distance(name, names[i], 4);
        if (distance > 0 && distance < best) {
            best = distance;
            memcpy(nearest, names[i], sizeof(bus_name));
        }
    }
    free(names);
    return best < 4;
}

void bus_suggest_name(const char *name, struct sl_error *err)
{
    char nearest[SL_BUS_NAME_MAX + 1];
    const size_t length = strlen(err->text);
    if (bus_nearest_name(name, nearest))
        snprintf(err->text + length, sizeof err->text - length, "; did you mean \"%s\"?", nearest);
}
