sl_test(bus_test unit/bus_test.c skylane_rt)
