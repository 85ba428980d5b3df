/* skylane bus bench: how fast buses are on this machine, beside the floors that
 * the machine itself sets. */
#ifndef SL_TOOLS_BUS_BENCH_H
#define SL_TOOLS_BUS_BENCH_H

/* argv[0] is the verb. Returns an exit status. */
int bus_bench_main(int argc, char **argv);

#endif
