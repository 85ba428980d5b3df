#include "rt/api/now.h"

#include "rt/clock.h"

uint64_t sl_bus_now_ns(void)
{
    return sl_clock_now_ns();
}
