/* The protocol of the bus between threads of one process, where
 * ThreadSanitizer sees every access of both sides. As long as no overrun can
 * happen, payloads are plain memory: any record that the writer reuses while a
 * reader may still look at it is a data race. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "rt/bus_ring.h"
#include "rt/clock.h"

#define READERS     4
#define WORDS       64 /* of a payload */
#define SLOTS_MAX   8
#define RECORDS     500000
#define GIVE_UP_NS  (60 * SL_NS_PER_S)
#define LATE_RECORD 1000 /* after this one, the second user comes in */
#define FAR_AHEAD   20   /* records: all slots were filled anew several times */

static struct {
    _Alignas(4096) uint8_t ring[16384];
    _Alignas(4096) _Atomic uint64_t shared[SLOTS_MAX][WORDS]; /* with overruns */
    _Alignas(4096) uint64_t plain[SLOTS_MAX][WORDS];          /* without */
    struct sl_ring_rows rows[2];                              /* two users */
} memory;

static struct sl_ring_writer writer;

struct reading {
    struct sl_ring_reader ring;
    bool next; /* every record in order, else the newest */
    bool slow; /* holds every other record until the writer is far ahead */
    uint64_t reads, accepted, told, wrong, out_of_order;
};

static uint64_t word_of(uint64_t seq, size_t i)
{
    return (seq << 8 | i) * UINT64_C(0x9e3779b97f4a7c15);
}

/* ---- the payload: plain, or as atomics where races are part of the game ---- */

static void fill(bool plain, uint32_t slot, uint64_t seq)
{
    for (size_t i = 0; i < WORDS; i++) {
        if (plain)
            memory.plain[slot][i] = word_of(seq, i);
        else
            atomic_store_explicit(&memory.shared[slot][i], word_of(seq, i), memory_order_relaxed);
    }
}

static bool is_whole(bool plain, uint32_t slot, uint64_t seq)
{
    uint64_t wrong = 0;
    for (size_t i = 0; i < WORDS; i++) {
        uint64_t word = plain ? memory.plain[slot][i]
                              : atomic_load_explicit(&memory.shared[slot][i], memory_order_relaxed);
        wrong |= word ^ word_of(seq, i);
    }
    return wrong == 0;
}

static bool plain_payloads;
static uint32_t beside; /* slots on loan beside the one that is published next */

/* ---- threads ---- */

static void let_in(struct reading *x, uint32_t user, uint32_t row, uint32_t slot_count)
{
    x->ring =
        (struct sl_ring_reader){.header = writer.header,
                                .slots = writer.slots,
                                .payloads = writer.payloads,
                                .slot_count = slot_count,
                                .slot_bytes = writer.slot_bytes,
                                .rows = &memory.rows[user],
                                .hazard = &memory.rows[user].hazard[sl_ring_hazard_index(row)]};
    atomic_store_explicit(&writer.users[user].used, row + 1, memory_order_release);
}

static uint64_t writer_is_at(void)
{
    return atomic_load_explicit(&writer.seq, memory_order_relaxed);
}

static void *read_records(void *argument)
{
    struct reading *x = argument;
    const uint64_t give_up_ns = sl_clock_now_ns() + GIVE_UP_NS;
    for (uint64_t last = 0; last < RECORDS && sl_clock_now_ns() < give_up_ns;) {
        struct sl_bus_view view;
        int rc =
            x->next ? sl_ring_take_next(&x->ring, &view) : sl_ring_take_newest(&x->ring, &view);
        if (rc != 0) {
            x->out_of_order += rc != -EAGAIN;
            sched_yield();
            continue;
        }
        x->out_of_order += last == 0 ? view.missed != 0 : view.seq != last + view.missed + 1;
        last = view.seq;
        x->reads++;
        while (x->slow && x->reads % 2 == 0 && writer_is_at() < view.seq + FAR_AHEAD &&
               writer_is_at() < RECORDS)
            sched_yield();
        bool whole = view.size == WORDS * 8 && view.measured_ns == view.seq &&
                     is_whole(plain_payloads, view.slot, view.seq);
        rc = sl_ring_release(&x->ring, &view);
        x->accepted += rc == 0;
        x->told += rc == -EOVERFLOW;
        /* Where nothing is ever overrun, what is told so is whole as well. */
        x->wrong += !whole && (rc == 0 || plain_payloads);
    }
    return NULL;
}

static void *write_records(void *argument)
{
    (void)argument;
    uint32_t loans[SLOTS_MAX], count = 0; /* in the order in which they are filled */
    for (uint64_t seq = 1; seq <= RECORDS; seq++) {
        for (; count <= beside; count++) {
            loans[count] = sl_ring_loan(&writer);
            fill(plain_payloads, loans[count], 0);
        }
        uint32_t slot = loans[0];
        memmove(&loans[0], &loans[1], --count * sizeof loans[0]);
        fill(plain_payloads, slot, seq);
        if (seq % 16 == 0) { /* a record that nobody ever sees */
            fill(plain_payloads, slot, 0);
            sl_ring_cancel(&writer, slot);
            slot = sl_ring_loan(&writer);
            fill(plain_payloads, slot, seq);
        }
        sl_ring_publish(&writer, slot, WORDS * 8, seq, seq);
        if (seq % 8 == 0)
            sched_yield();
    }
    return NULL;
}

/* Two readers are there from the start; two of another user come while the
 * writer writes. One of each pair wants every record. */
static void run(struct reading readings[READERS], uint32_t slot_count, uint32_t loans, bool plain)
{
    memset(&memory, 0, sizeof memory);
    memset(&writer, 0, sizeof writer);
    plain_payloads = plain;
    beside = loans - 1;
    assert_true(sl_ring_bytes(slot_count) <= sizeof memory.ring);
    sl_ring_create(&writer, memory.ring, plain ? (void *)memory.plain : (void *)memory.shared, 1,
                   slot_count, WORDS * 8, WORDS * 8);
    pthread_t threads[READERS], writing;
    for (uint32_t user = 0; user < 2; user++) {
        assert_int_equal(sl_ring_add_user(&writer, &memory.rows[user], user == 1), user);
        for (uint32_t i = 0; i < 2; i++) {
            struct reading *x = &readings[user * 2 + i];
            x->next = i == 1;
            let_in(x, user, i, slot_count);
            assert_int_equal(pthread_create(&threads[user * 2 + i], NULL, read_records, x), 0);
        }
        if (user == 0)
            assert_int_equal(pthread_create(&writing, NULL, write_records, NULL), 0);
        while (writer_is_at() < LATE_RECORD)
            sched_yield();
    }
    pthread_join(writing, NULL);
    for (int i = 0; i < READERS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(readings[i].wrong, 0);
        assert_int_equal(readings[i].out_of_order, 0);
        assert_true(readings[i].accepted > 0);
        assert_int_equal(readings[i].ring.last_seq, RECORDS);
    }
}

static void plain_memory_without_overruns(void **state)
{
    (void)state;
    struct reading readings[READERS] = {0};
    run(readings, READERS + 2, 1, true); /* all held, the newest, and the one being filled */
    assert_int_equal(atomic_load(&writer.overruns), 0);
}

static void several_loans_without_overruns(void **state)
{
    (void)state;
    struct reading readings[READERS] = {0};
    run(readings, READERS + 4, 3, true);
    assert_int_equal(atomic_load(&writer.overruns), 0);
}

static void overruns_are_told(void **state)
{
    (void)state;
    struct reading readings[READERS] = {[0] = {.slow = true}, [1] = {.slow = true}};
    run(readings, 3, 1, false);
    assert_true(atomic_load(&writer.overruns) > 0);
    assert_true(readings[0].told + readings[1].told > 0);
}

static void overruns_are_told_with_several_loans(void **state)
{
    (void)state;
    struct reading readings[READERS] = {[0] = {.slow = true}, [1] = {.slow = true}};
    run(readings, 5, 3, false);
    assert_true(atomic_load(&writer.overruns) > 0);
    assert_true(readings[0].told + readings[1].told > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_memory_without_overruns),
        cmocka_unit_test(several_loans_without_overruns),
        cmocka_unit_test(overruns_are_told),
        cmocka_unit_test(overruns_are_told_with_several_loans),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
