/* A writing party: opens the bus again and again, each time with another slot
 * size, and fills it at paces that change all the time. Several may run; the
 * bus lets one of them in, and the others try until it closes or dies. */
#include <errno.h>
#include <string.h>

#include "parties.h"
#include "pattern.h"
#include "rt/bus.h"
#include "rt/clock.h"

static bool should_end(const struct party *me)
{
    return atomic_load_explicit(&me->leave, memory_order_relaxed) != 0 ||
           atomic_load_explicit(&torture->writers_end, memory_order_relaxed) != 0;
}

static void pause_us(struct party *me, uint64_t low, uint64_t high)
{
    at_point(me, POINT_WAITS);
    sl_clock_sleep_until_ns(sl_clock_now_ns() +
                            pattern_between(&me->chance, low, high) * SL_NS_PER_US);
}

/* Large or small: whatever is behind of the reads that are wanted. */
static bool large_is_due(void)
{
    const double small = (double)parties_accepted(0), large = (double)parties_accepted(1);
    return large * (double)torture->small_reads < small * (double)torture->large_reads;
}

/* True once it has the bus. */
static bool open_bus(struct party *me, struct sl_bus_writer **w, bool roomy)
{
    const bool large = large_is_due();
    const size_t most = large ? torture->large_bytes : torture->small_bytes;
    const size_t least = large ? most - most / 8 : TORTURE_SLOT_BYTES;
    const struct sl_bus_writer_config config = {
        .name = TORTURE_BUS,
        .type = TORTURE_TYPE,
        .slot_count = roomy ? torture->roomy_count : torture->slot_count,
        .slot_bytes = torture->steady ? most : pattern_between(&me->chance, least, most),
        .huge_pages = large && pattern_random(&me->chance) % 2 == 0};
    struct sl_error err = {""};
    at_point(me, POINT_OPENS);
    int rc = sl_bus_writer_open(w, &config, &err);
    if (rc == -EBUSY)
        pause_us(me, 1000, 5000);
    else if (rc != 0)
        violation("a writer could not open the bus: %s", err.text);
    return rc == 0;
}

struct instance {
    struct sl_bus_writer *w;
    uint64_t number, seq;
};

static void write_one(struct party *me, struct instance *in)
{
    struct sl_bus_loan loan;
    at_point(me, POINT_FILLS);
    sl_bus_loan(in->w, &loan);
    if (pattern_random(&me->chance) % 64 == 0) {
        /* A record that was begun and is never seen. */
        memset(loan.data, 0xee, loan.capacity < 4096 ? loan.capacity : 4096);
        sl_bus_cancel(in->w, &loan);
        return;
    }
    in->seq++;
    uint64_t measured_ns;
    size_t size = pattern_fill(torture->run, in->number, in->seq, &loan, &measured_ns);
    at_point(me, POINT_PUBLISHES);
    if (in->seq == 1)
        atomic_store(&torture->instance_ns, sl_clock_now_ns());
    sl_bus_publish(in->w, &loan, size, measured_ns);
    count(&me->published, 1);
    count(&me->life_reads, 1);
}

/* One life of the ring, until it is time to close it. */
static void write_many(struct party *me, struct instance *in)
{
    const uint64_t end_ns =
        sl_clock_now_ns() + pattern_between(&me->chance, 20, 1500) * SL_NS_PER_MS;
    while (!should_end(me) && (torture->steady || sl_clock_now_ns() < end_ns)) {
        if (torture->steady) {
            write_one(me, in);
            pause_us(me, 50, 500);
            continue;
        }
        /* Mostly as fast as it can, with some time for readers to fall asleep. */
        const bool fast = pattern_random(&me->chance) % 4 != 0;
        uint64_t records = pattern_between(&me->chance, 1, fast ? 20000 : 20);
        for (; records > 0 && !should_end(me) && sl_clock_now_ns() < end_ns; records--) {
            write_one(me, in);
            if (!fast)
                pause_us(me, 20, 400);
        }
    }
}

void writer_main(struct party *me)
{
    while (!should_end(me)) {
        struct instance in = {0};
        const bool roomy = torture->roomy_count != 0 && pattern_random(&me->chance) % 2 == 0;
        if (!open_bus(me, &in.w, roomy))
            continue;
        /* Taken under the bus's lock, so that these numbers rise in the order
         * in which readers may see the instances. */
        in.number = atomic_load(&torture->instances) + 1;
        atomic_store(&torture->roomy[in.number % TORTURE_INSTANCES_KNOWN], roomy);
        atomic_store(&torture->instances, in.number);
        write_many(me, &in);
        const uint64_t overruns = sl_bus_writer_overruns(in.w);
        count(&me->overruns, overruns);
        if (roomy && overruns != 0)
            violation("a writer took %llu slots from their holders, though there are more slots "
                      "than readers",
                      (unsigned long long)overruns);
        at_point(me, POINT_CLOSES);
        sl_bus_writer_close(in.w);
    }
}
