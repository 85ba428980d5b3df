/* Publishes commands for whoever moves the vehicle: the simulator, or a
 * process that owns the hardware. The receiver obeys expires_ns. */
#include "rt/bus.h"

#include "hal/actuator/drivers.h"

struct bus_actuator {
    struct sl_bus_writer *writer;
};

static int bus_open(void *state, const struct sl_actuator_config *config, struct sl_error *err)
{
    struct bus_actuator *b = state;
    const struct sl_bus_writer_config writer = {
        .name =
            config->target != NULL && config->target[0] != '\0' ? config->target : SL_BUS_COMMAND,
        .type = SL_RECORD_COMMAND,
        .slot_count = SL_BUS_RECORD_SLOTS,
        .slot_bytes = sizeof(struct sl_command),
        .access = config->bus_access,
        .group = config->bus_group,
    };
    return sl_bus_writer_open(&b->writer, &writer, err);
}

static int bus_send(void *state, const struct sl_command *command)
{
    struct bus_actuator *b = state;
    /* What a command rests on is its frame; without one, its decision. */
    const uint64_t measured_ns =
        command->exposed_ns != 0 ? command->exposed_ns : command->issued_ns;
    sl_bus_write(b->writer, command, sizeof *command, measured_ns);
    return 0;
}

static void bus_close(void *state)
{
    struct bus_actuator *b = state;
    sl_bus_writer_close(b->writer);
    b->writer = NULL;
}

const struct sl_actuator_driver sl_actuator_bus = {
    .name = "bus",
    .help = "publishes commands on a bus; target: its name (vehicle_command)",
    .state_bytes = sizeof(struct bus_actuator),
    .open = bus_open,
    .send = bus_send,
    .neutral = bus_send,
    .close = bus_close,
    .tend = sl_actuator_no_tend,
    .status = sl_actuator_no_status,
};
