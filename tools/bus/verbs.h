/* The verbs of "skylane bus". Each takes its own command line, argv[0] being
 * its name, and returns an exit status. */
#ifndef SL_TOOLS_BUS_VERBS_H
#define SL_TOOLS_BUS_VERBS_H

int bus_ls_main(int argc, char **argv);
int bus_watch_main(int argc, char **argv);
int bus_dump_main(int argc, char **argv);
int bus_clean_main(int argc, char **argv);

#endif
