/* What hardware outputs tell, onto buses. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "app/drive/nodes.h"
#include "rt/clock.h"

#define TELL_NS (SL_NS_PER_S / 5)

static void describe(const struct sl_actuator_status *from, struct sl_output_status *to)
{
    *to = (struct sl_output_status){.restarts = from->restarts,
                                    .writes = from->writes,
                                    .errors = from->errors,
                                    .recovered = from->recovered,
                                    .reopened = from->reopened,
                                    .lease_ends = from->lease_ends,
                                    .write_last_ns = from->write_last_ns,
                                    .write_max_ns = from->write_max_ns,
                                    .state = from->state,
                                    .code = from->code,
                                    .steering_us = from->steering_us,
                                    .throttle_us = from->throttle_us,
                                    .speed_mps = from->speed_mps,
                                    .battery_mv = from->battery_mv};
    snprintf(to->problem, sizeof to->problem, "%.*s", (int)sizeof to->problem - 1, from->problem);
}

static bool is_news(const struct sl_output_status *now, const struct sl_output_status *told)
{
    return now->state != told->state || now->errors != told->errors ||
           now->restarts != told->restarts || now->reopened != told->reopened ||
           now->lease_ends != told->lease_ends || strcmp(now->problem, told->problem) != 0;
}

void sl_output_news(struct sl_drive *d)
{
    struct sl_actuator_status status;
    struct sl_output_status now;
    if (d->output_writer == NULL || sl_actuator_status(d->control.actuator, &status) != 0)
        return;
    const uint64_t now_ns = sl_clock_now_ns();
    describe(&status, &now);
    if (is_news(&now, &d->output_told) || now_ns >= d->output_told.published_ns + TELL_NS) {
        now.published_ns = now_ns;
        sl_bus_write(d->output_writer, &now, sizeof now, status.beat_ns);
        d->output_told = now;
    }
    if (d->odometry_writer == NULL || status.speed_ns == d->odometry_ns ||
        !isfinite(status.speed_mps))
        return;
    d->odometry_ns = status.speed_ns;
    const struct sl_odometry motion = {
        .measured_ns = status.speed_ns, .speed_mps = status.speed_mps, .valid = SL_ODOMETRY_SPEED};
    sl_bus_write(d->odometry_writer, &motion, sizeof motion, motion.measured_ns);
}
