/* Which of a vehicle's figures are beyond what its settings allow. Pure:
 * figures and the time in, alerts that came, changed or went out.
 *
 * An alert is raised at once, and worsens at once. It eases when its figure was
 * a tenth below the limit for 5 s: a figure that wavers about its limit is told
 * once. A figure that is not known counts as below. */
#ifndef SL_NET_ALERTS_H
#define SL_NET_ALERTS_H

#include <stdint.h>

#include <cjson/cJSON.h>

#include "net/figures.h"

enum sl_alert_name {
    SL_ALERT_ACCESS, /* p99 of the detector's access to frames, ms */
    SL_ALERT_MEMORY, /* of control, detector or network, whichever has most; MB: 10^6 bytes */
    SL_ALERT_DROPS,  /* a second, all causes but the agreed rate */
    SL_ALERTS
};

enum sl_alert_level { SL_ALERT_NONE, SL_ALERT_WARNING, SL_ALERT_CRITICAL };

struct sl_alert {
    double warning, critical; /* limits; critical is not the lower one */
    enum sl_alert_level level;
    double value;       /* at the last look */
    uint64_t since_ns;  /* when it was raised */
    uint64_t easing_ns; /* since when the figure is below; 0: it is not */
    char text[320];     /* why it has its level */
};

/* Zero but for the limits. */
struct sl_alerts {
    struct sl_alert each[SL_ALERTS];
};

struct sl_alert_event {
    enum sl_alert_level level; /* NONE: it went */
    char text[320];            /* a sentence for the log */
};

/* Looks at the figures. Returns how many alerts came, changed or went, and
 * tells each in `events`. */
int sl_alerts_look(struct sl_alerts *alerts, const struct sl_figures *figures, uint64_t now_ns,
                   struct sl_alert_event events[SL_ALERTS]);

/* "warning", "error" for the log; "info" for NONE. */
const char *sl_alert_log_level(enum sl_alert_level level);

/* Those that hold, as an array of {name, level, value, limit, unit, text,
 * since_ns}. NULL without memory. */
cJSON *sl_alerts_json(const struct sl_alerts *alerts);

#endif
