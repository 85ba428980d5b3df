#include "app/control/supply.h"

#include <math.h>

static bool held(bool seen_now, uint64_t now_ns, bool *flag, uint64_t *seen_ns)
{
    if (seen_now) {
        *flag = true;
        *seen_ns = now_ns;
    } else if (*flag && now_ns - *seen_ns >= SL_SUPPLY_HOLD_NS) {
        *flag = false;
    }
    return *flag;
}

static void watch_empty(struct sl_supply *s, const struct sl_supply_config *c,
                        const struct sl_supply_input *in)
{
    if (in->voltage_v < c->stop_v) {
        if (!s->below)
            s->below_since_ns = in->now_ns;
        s->below = true;
        if ((double)(in->now_ns - s->below_since_ns) >= c->stop_after_ms * 1e6)
            s->empty = true;
    } else if (!isnan(in->voltage_v)) { /* not known: neither better nor worse */
        s->below = false;
        if (in->voltage_v >= fmax(c->warn_v, c->stop_v))
            s->empty = false;
    }
}

void sl_supply_step(struct sl_supply *s, const struct sl_supply_config *c,
                    const struct sl_supply_input *in, struct sl_supply_output *out)
{
    const bool unknown = c->voltage_expected && isnan(in->voltage_v);
    watch_empty(s, c, in);
    out->low = held(unknown || in->voltage_v < c->warn_v || in->voltage_v < c->stop_v, in->now_ns,
                    &s->low, &s->low_ns);
    out->throttled = held(in->throttled, in->now_ns, &s->throttled, &s->throttled_ns);
    out->empty = s->empty;
    out->scale = fmin(out->low ? c->low_scale : 1, out->throttled ? c->throttled_scale : 1);
}
