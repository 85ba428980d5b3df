/* The entries of drivers that have nothing to tend and nothing to tell. */
#include <errno.h>
#include <string.h>

#include "hal/actuator/drivers.h"

void sl_actuator_no_tend(void *state)
{
    (void)state;
}

int sl_actuator_no_status(void *state, struct sl_actuator_status *status)
{
    (void)state;
    memset(status, 0, sizeof *status);
    return -ENOTSUP;
}
