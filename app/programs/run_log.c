#include "run_log.h"

#include <stdio.h>

#include "app/config/convert.h"
#include "rt/records.h"

static void publish(void *writer, uint64_t time_ns, enum sl_log_level level, const char *text)
{
    struct sl_log_line line = {.at_ns = time_ns, .level = (uint32_t)level};
    snprintf(line.text, sizeof line.text, "%.*s", (int)sizeof line.text - 1, text);
    sl_bus_write(writer, &line, sizeof line, time_ns);
}

int run_log_publish(struct sl_bus_writer **writer, struct sl_log *log,
                    const struct sl_settings *settings, struct sl_error *err)
{
    struct sl_bus_writer_config config = {.name = settings->bus.log,
                                          .type = SL_RECORD_LOG,
                                          .slot_count = SL_BUS_RECORD_SLOTS,
                                          .slot_bytes = sizeof(struct sl_log_line)};
    sl_settings_bus_rights(settings, &config);
    const int rc = sl_bus_writer_open(writer, &config, err);
    if (rc == 0)
        sl_log_listen(log, SL_LOG_INFO, publish, *writer);
    return rc;
}
