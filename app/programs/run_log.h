/* The vehicle's log, also on a bus: for whoever watches from elsewhere. */
#ifndef SL_PROGRAMS_RUN_LOG_H
#define SL_PROGRAMS_RUN_LOG_H

#include "app/config/settings.h"
#include "rt/bus.h"
#include "rt/error.h"
#include "rt/log.h"

/* Has every line of the log, down to information, written to bus.log; the log is
 * to be closed before the writer. Before anybody logs. 0, or as
 * sl_bus_writer_open(). */
int run_log_publish(struct sl_bus_writer **writer, struct sl_log *log,
                    const struct sl_settings *settings, struct sl_error *err);

#endif
