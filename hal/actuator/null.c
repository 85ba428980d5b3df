/* Moves nothing: for drives of which only the decisions matter. What would have
 * moved is kept by the wrapper; see sl_actuator_last(). */
#include "hal/actuator/drivers.h"

static int null_open(void *state, const struct sl_actuator_config *config, struct sl_error *err)
{
    (void)state;
    (void)config;
    (void)err;
    return 0;
}

static int null_send(void *state, const struct sl_command *command)
{
    (void)state;
    (void)command;
    return 0;
}

static void null_close(void *state)
{
    (void)state;
}

const struct sl_actuator_driver sl_actuator_null = {
    .name = "null",
    .help = "nothing moves; target: ignored",
    .state_bytes = 0,
    .open = null_open,
    .send = null_send,
    .neutral = null_send,
    .close = null_close,
    .tend = sl_actuator_no_tend,
    .status = sl_actuator_no_status,
};
