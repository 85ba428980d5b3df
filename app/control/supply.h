/* What the power supply allows: battery voltage and the processor's own complaints
 * in, a share of the speed and perhaps a stop out. Pure; time comes as an argument.
 *
 *   voltage below warn_v, or not known although it should be   low_scale
 *   under-voltage or throttling now, as the board tells        throttled_scale
 *   both                                                       the lower one
 *   voltage below stop_v for stop_after_ms                     stop
 *
 * A battery recovers as soon as nothing is asked of it: what slowed the vehicle
 * holds for SL_SUPPLY_HOLD_NS after it was last seen, and an empty battery stays
 * empty until its voltage is back at the higher of warn_v and stop_v.
 *
 * Who measures does not matter here. With several voltages of one battery (a file,
 * a motor controller), the lowest is the one to give. */
#ifndef SL_APP_CONTROL_SUPPLY_H
#define SL_APP_CONTROL_SUPPLY_H

#include <stdbool.h>
#include <stdint.h>

#define SL_SUPPLY_HOLD_NS UINT64_C(10000000000)

struct sl_supply_config {
    bool voltage_expected; /* something measures it */
    double warn_v;         /* 0: never low */
    double stop_v;         /* 0: never empty */
    double stop_after_ms;
    double low_scale;       /* 0..1 */
    double throttled_scale; /* 0..1 */
};

struct sl_supply_input {
    uint64_t now_ns;
    double voltage_v; /* NAN: not known */
    bool throttled;   /* under-voltage, frequency cap or throttling at this moment */
};

/* Zero at the start. */
struct sl_supply {
    bool low, throttled; /* seen within the hold */
    bool empty;
    uint64_t low_ns, throttled_ns; /* when last seen */
    bool below;                    /* stop_v, since: */
    uint64_t below_since_ns;
};

struct sl_supply_output {
    double scale; /* 0..1 of the speed */
    bool low, throttled, empty;
};

/* One look, about once a second. */
void sl_supply_step(struct sl_supply *supply, const struct sl_supply_config *config,
                    const struct sl_supply_input *in, struct sl_supply_output *out);

#endif
