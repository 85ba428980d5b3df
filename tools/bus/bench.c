#include "tools/bus/bench.h"

#include "rt/bus.h"
#include "tools/bus/bench_program.h"
#include "tools/bus/bench_transports.h"

/* What the library sets up at a process's first reader is done here, before
 * hundreds of readers are forked: they share those pages then. */
static void open_once(void)
{
    const struct sl_bus_reader_config config = {.name = "bench"};
    struct sl_bus_reader *reader;
    if (sl_bus_reader_open(&reader, &config, NULL) == 0)
        sl_bus_reader_close(reader);
}

static void plan(struct bench_plan *p)
{
    open_once();
    bench_plan_line(p, &bench_line);
    bench_plan_handover(p, &bench_skylane);

    /* Each beside its floor, so that both meet the same moment of the machine. */
    bench_plan_sleep_realtime(p, &bench_futex);
    bench_plan_sleep_realtime(p, &bench_skylane);
    bench_plan_sleep(p, &bench_futex);
    bench_plan_sleep(p, &bench_skylane);

    bench_plan_publish_awake(p, &bench_skylane);
    bench_plan_publish(p, &bench_futex, 1);
    bench_plan_publish(p, &bench_skylane, 1);
    bench_plan_publish(p, &bench_skylane, 200);
    bench_plan_publish(p, &bench_futex, 200);

    bench_plan_many_floor(p, &bench_line, 120);
    bench_plan_many(p, &bench_skylane, 200, 120);
    bench_plan_many(p, &bench_skylane, 500, 60);
    bench_plan_many(p, &bench_futex, 500, 60); /* the same processes without a bus */
    bench_plan_many_unpaced(p, &bench_skylane, 100);
}

int bus_bench_main(int argc, char **argv)
{
    static const struct bench_program PROGRAM = {
        .verb = "bus bench",
        .help = "skylane bus bench - how fast buses are on this machine\n"
                "\n"
                "Measures the bus between processes, and in the same run the floors that the\n"
                "machine sets: a cache line's way to the other core, a bare futex. Takes about\n"
                "a minute. Figures are good only while nothing else runs.\n"
                "\n"
                "usage: skylane bus bench [options]\n"
                "\n",
        .examples = "examples:\n"
                    "  skylane bus bench\n"
                    "  skylane bus bench --only floors,handover,sleep --rounds 7\n"
                    "  skylane bus bench --quick --json -\n"
                    "\n",
        .floors = true,
        .plan = plan,
    };
    return bench_program_main(&PROGRAM, argc, argv);
}
