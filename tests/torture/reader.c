/* Reading parties: everybody who can read a bus, each checking every byte of
 * every record through the view that he was lent. */
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "parties.h"
#include "pattern.h"
#include "rt/bus.h"
#include "rt/clock.h"

#define WAIT_NS (20 * SL_NS_PER_MS)

/* One opened handle and what it saw last. */
struct reading {
    struct party *me;
    struct sl_bus_reader *r;
    uint64_t attached; /* sl_bus_reader_attached() at the last record, */
    uint64_t seq;      /* and its number */
    uint64_t accepted; /* sl_bus_reader_attached() at the last accepted one, */
    uint64_t instance; /* the writer it was from, its number, and when it was published */
    uint64_t accepted_seq;
    uint64_t published_ns;
};

static bool should_end(const struct party *me)
{
    return atomic_load_explicit(&me->leave, memory_order_relaxed) != 0 ||
           atomic_load_explicit(&torture->readers_end, memory_order_relaxed) != 0;
}

/* ---- what must hold of every record ---- */

/* As long as the reader stays attached to one writer, numbers rise by one and
 * what was missed. Holds also for records that are overrun later. `lent` is
 * false for copies: those may have passed over records of other sizes, and over
 * some that were overrun. */
static void check_number(struct reading *x, const struct sl_bus_view *view, bool lent)
{
    const uint64_t attached = sl_bus_reader_attached(x->r);
    const bool fresh = attached != x->attached;
    const uint64_t before = fresh ? 0 : x->seq;
    bool good = view->seq > before + view->missed;
    if (lent)
        good = fresh ? view->seq > 0 && view->missed == 0 : view->seq == before + view->missed + 1;
    if (!good)
        violation("a reader that %s got record %llu after %llu, and was told that it missed %llu",
                  party_name(x->me->kind), (unsigned long long)view->seq,
                  (unsigned long long)before, (unsigned long long)view->missed);
    x->attached = attached;
    x->seq = view->seq;
    count(&x->me->missed, view->missed);
}

/* From one writer as long as it stays attached, later only from later ones; and
 * nothing twice, even if it had to attach to the same writer again. */
static void check_source(struct reading *x, uint64_t instance, uint64_t published_ns)
{
    const bool fresh = x->accepted != x->attached;
    const uint64_t now = sl_clock_now_ns();
    const char *how = fresh ? "attaching anew" : "no change of writers";
    if (instance > counter(&torture->instances) || instance < x->instance ||
        (instance != x->instance && !fresh) ||
        (instance == x->instance && x->seq <= x->accepted_seq))
        violation("a reader that %s got record %llu of writer %llu after record %llu of writer "
                  "%llu, with %s in between",
                  party_name(x->me->kind), (unsigned long long)x->seq, (unsigned long long)instance,
                  (unsigned long long)x->accepted_seq, (unsigned long long)x->instance, how);
    else if (published_ns < x->published_ns || published_ns > now)
        violation("a reader that %s got record %llu, published at %llu ns, after one that was "
                  "published at %llu ns, with %s in between; now is %llu ns",
                  party_name(x->me->kind), (unsigned long long)x->seq,
                  (unsigned long long)published_ns, (unsigned long long)x->published_ns, how,
                  (unsigned long long)now);
    if (instance != counter(&x->me->instance)) {
        atomic_store(&x->me->instance_ns, sl_clock_now_ns());
        atomic_store(&x->me->instance, instance);
    }
    x->accepted = x->attached;
    x->accepted_seq = x->seq;
    x->instance = instance;
    x->published_ns = published_ns;
}

static void count_accepted(struct reading *x, size_t bytes)
{
    count(&x->me->accepted[bytes > torture->small_bytes], 1);
    count(&x->me->bytes, bytes);
    count(&x->me->life_reads, 1);
}

static void hold_for_a_while(struct party *me)
{
    /* Mostly short, so that it comes to accept something as well. */
    uint64_t us = pattern_between(&me->chance, 0, torture->hold_us);
    if (pattern_random(&me->chance) % 4 != 0)
        us /= 50;
    if (us > 0)
        sl_clock_sleep_until_ns(sl_clock_now_ns() + us * SL_NS_PER_US);
}

/* An overrun that was told of. On a roomy ring it can only be a false alarm,
 * which is allowed as long as it is rare: the writer touched the slot's number,
 * saw the reader, and left the record as it was. */
static void note_overrun(struct reading *x, uint64_t seq, struct pattern_fault fault)
{
    count(&x->me->told, 1);
    if (fault.what != NULL)
        count(&x->me->torn_and_told, 1);
    if (x->accepted != x->attached ||
        atomic_load(&torture->roomy[x->instance % TORTURE_INSTANCES_KNOWN]) == 0)
        return;
    count(&x->me->false_alarms, 1);
    if (fault.what != NULL)
        violation("record %llu of writer %llu was overwritten while a reader that %s held it, "
                  "though there are more slots than readers: %s %llu is %016llx, not %016llx",
                  (unsigned long long)seq, (unsigned long long)x->instance, party_name(x->me->kind),
                  fault.what, (unsigned long long)fault.at, (unsigned long long)fault.found,
                  (unsigned long long)fault.expected);
}

/* Checks a record between acquire and release, and counts it by what release
 * says of it. */
static void use(struct reading *x, struct sl_bus_view *view)
{
    struct party *me = x->me;
    at_point(me, POINT_HOLDS);
    check_number(x, view, true);
    struct pattern_meta meta;
    struct pattern_fault fault = pattern_check(torture->run, view, &meta);
    if (me->kind == PARTY_SLOW) {
        hold_for_a_while(me);
        if (fault.what == NULL) /* right all the time, not only at first */
            fault = pattern_check(torture->run, view, &meta);
    }
    const uint64_t seq = view->seq, published_ns = view->published_ns;
    const size_t size = view->size;
    at_point(me, POINT_RELEASES);
    const int rc = sl_bus_release(x->r, view);
    if (rc == -EOVERFLOW) {
        note_overrun(x, seq, fault);
        return;
    }
    if (rc != 0) {
        violation("sl_bus_release() answered %d, which it never should", rc);
        return;
    }
    if (fault.what != NULL) {
        violation("torn and accepted: a reader that %s had record %llu of writer %llu, where %s "
                  "%llu is %016llx, not %016llx",
                  party_name(me->kind), (unsigned long long)seq, (unsigned long long)meta.instance,
                  fault.what, (unsigned long long)fault.at, (unsigned long long)fault.found,
                  (unsigned long long)fault.expected);
        return;
    }
    check_source(x, meta.instance, published_ns);
    if (meta.capacity != sl_bus_reader_capacity(x->r))
        violation("slots have %llu bytes, but a reader that %s was told %zu",
                  (unsigned long long)meta.capacity, party_name(me->kind),
                  sl_bus_reader_capacity(x->r));
    count_accepted(x, size);
}

/* ---- the kinds ---- */

/* What the bus may say where no record is to be had. */
static bool is_quiet(int rc)
{
    return rc == -EAGAIN || rc == -ETIMEDOUT || rc == -EPIPE;
}

static void check_answer(const struct reading *x, const char *call, int rc)
{
    if (rc != 0 && !is_quiet(rc))
        violation("%s answered %d (%s) to a reader that %s: %s", call, rc, strerror(-rc),
                  party_name(x->me->kind), sl_bus_reader_problem(x->r));
}

/* True if a record was had. */
static bool take(struct reading *x, bool next)
{
    struct sl_bus_view view;
    at_point(x->me, POINT_ACQUIRES);
    int rc = next ? sl_bus_acquire_next(x->r, &view) : sl_bus_acquire_newest(x->r, &view);
    check_answer(x, next ? "sl_bus_acquire_next()" : "sl_bus_acquire_newest()", rc);
    if (rc == 0)
        use(x, &view);
    return rc == 0;
}

/* The copy has no meta area: its writer is among those since the last record,
 * and there are few of them. */
static void use_copy(struct reading *x, const void *copy, const struct sl_bus_view *view)
{
    check_number(x, view, false);
    const uint64_t last = counter(&torture->instances);
    for (uint64_t instance = x->instance; instance <= last; instance++) {
        if (pattern_check_copy(torture->run, instance, view->seq, copy)) {
            check_source(x, instance, view->published_ns);
            count_accepted(x, PATTERN_COPY_BYTES);
            return;
        }
    }
    violation("torn and accepted: the copy of record %llu is of no writer from %llu to %llu",
              (unsigned long long)view->seq, (unsigned long long)x->instance,
              (unsigned long long)last);
}

static void copy_one(struct reading *x, bool next)
{
    uint64_t copy[PATTERN_COPY_BYTES / 8];
    struct sl_bus_view view;
    at_point(x->me, POINT_ACQUIRES);
    int rc = next ? sl_bus_read_next(x->r, copy, sizeof copy, &view)
                  : sl_bus_read_newest(x->r, copy, sizeof copy, &view);
    if (rc == 0)
        use_copy(x, copy, &view);
    else if (rc == -EOVERFLOW)
        count(&x->me->told, 1);
    else if (rc != -EPROTO) /* -EPROTO: a record of another size, not for this reader */
        check_answer(x, "sl_bus_read_*()", rc);
}

static void wait_for_news(struct reading *x)
{
    at_point(x->me, POINT_WAITS);
    check_answer(x, "sl_bus_wait()", sl_bus_wait(x->r, sl_clock_now_ns() + WAIT_NS));
}

static void one_round(struct reading *x)
{
    const uint64_t chance = pattern_random(&x->me->chance);
    switch (x->me->kind) {
    case PARTY_POLLS:
        if (!take(x, false)) {
            at_point(x->me, POINT_WAITS);
            sched_yield();
        }
        break;
    case PARTY_NEXT:
        wait_for_news(x);
        while (take(x, true) && !should_end(x->me)) {
        }
        break;
    case PARTY_COPIES:
        wait_for_news(x);
        copy_one(x, chance % 2 == 0);
        break;
    case PARTY_FD: {
        struct pollfd news = {.fd = sl_bus_reader_fd(x->r), .events = POLLIN};
        at_point(x->me, POINT_WAITS);
        if (poll(&news, 1, (int)(WAIT_NS / SL_NS_PER_MS)) > 0 && news.revents != POLLIN)
            violation("poll() on a reader's descriptor says %#x", (unsigned)news.revents);
        while (take(x, false) && !should_end(x->me)) {
        }
        break;
    }
    default:
        wait_for_news(x);
        take(x, false);
        break;
    }
}

static bool open_bus(struct party *me, struct sl_bus_reader **r)
{
    const struct sl_bus_reader_config config = {.name = TORTURE_BUS,
                                                .type = TORTURE_TYPE,
                                                .min_bytes = PATTERN_COPY_BYTES,
                                                .realtime = me->kind == PARTY_REALTIME,
                                                .pollable = me->kind == PARTY_FD,
                                                .spin_us = me->kind == PARTY_SPINS ? 20 : 0};
    struct sl_error err = {""};
    at_point(me, POINT_OPENS);
    int rc = sl_bus_reader_open(r, &config, &err);
    if (rc != 0)
        violation("a reader could not be opened: %s", err.text);
    return rc == 0;
}

void reader_main(struct party *me)
{
    while (!should_end(me)) {
        struct reading x = {.me = me};
        if (!open_bus(me, &x.r))
            return;
        const uint64_t rounds = pattern_between(&me->chance, 1, torture->steady ? 50 : 100000);
        for (uint64_t i = 0; (me->survives || i < rounds) && !should_end(me); i++)
            one_round(&x);
        /* Now and then with a record in hand. */
        struct sl_bus_view view;
        if (pattern_random(&me->chance) % 4 == 0)
            sl_bus_acquire_newest(x.r, &view);
        at_point(me, POINT_CLOSES);
        sl_bus_reader_close(x.r);
    }
}
