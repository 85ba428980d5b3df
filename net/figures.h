/* What is measured of a vehicle: the values behind "skylane_..." in /metrics,
 * which the vehicle and the viewer serve alike, and `figures` of the state
 * (docs/network.md). Names, help and labels stand in one table, figures.c.
 *
 * Plain values, SI base units; NAN is "not known", and is left out wherever
 * figures are written. Pure. */
#ifndef SL_NET_FIGURES_H
#define SL_NET_FIGURES_H

#include <stdio.h>

#include <cjson/cJSON.h>

enum sl_figure {
    SL_FIGURE_CONTROL_UP,       /* no label */
    SL_FIGURE_FRAME_ACCESS,     /* enum sl_figure_reader, ..._quantile */
    SL_FIGURE_STAGE,            /* enum sl_stage, enum sl_figure_quantile */
    SL_FIGURE_DROPS,            /* enum sl_figure_cause */
    SL_FIGURE_DROPS_PER_SECOND, /* enum sl_figure_cause */
    SL_FIGURE_CPU_SECONDS,      /* enum sl_figure_process */
    SL_FIGURE_CPU_RATIO,        /* enum sl_figure_process */
    SL_FIGURE_MEMORY,           /* enum sl_figure_process */
    SL_FIGURE_RESTARTS,         /* enum sl_figure_process */
    SL_FIGURE_CRASHES,          /* enum sl_figure_process */
    SL_FIGURE_BUS_RECORDS,      /* enum sl_figure_bus */
    SL_FIGURE_BUS_OVERRUNS,     /* enum sl_figure_bus */
    SL_FIGURE_BUS_READERS,      /* enum sl_figure_bus */
    SL_FIGURE_BUS_STARVED,      /* enum sl_figure_bus */
    SL_FIGURE_PICTURE_AGE,      /* enum sl_figure_place */
    SL_FIGURE_ALERT,            /* enum sl_alert_name: enum sl_alert_level */
    SL_FIGURES
};

enum sl_figure_quantile { SL_QUANTILE_50, SL_QUANTILE_90, SL_QUANTILE_99, SL_QUANTILE_MAX };
enum sl_figure_reader { SL_READER_DETECTOR, SL_READER_NETWORK };
enum sl_figure_cause {
    SL_CAUSE_DETECTOR, /* frames that the detector never saw */
    SL_CAUSE_DEADLINE, /* deadlines that control missed */
    SL_CAUSE_RATE,     /* pictures not sent: more than the rate agreed on */
    SL_CAUSE_OVERRUN,  /* pictures overrun while they were encoded */
    SL_CAUSE_FAILED,   /* pictures that could not be encoded */
    SL_CAUSES
};
enum sl_figure_process {
    SL_PROCESS_CONTROL,
    SL_PROCESS_DETECTOR, /* only where it is not control's, and so on */
    SL_PROCESS_CAMERA,
    SL_PROCESS_NETWORK,
    SL_PROCESSES
};
enum sl_figure_bus {
    SL_FIGURE_BUS_CAMERA,
    SL_FIGURE_BUS_DETECTION,
    SL_FIGURE_BUS_COMMAND,
    SL_FIGURE_BUS_STATE,
    SL_FIGURE_BUSES
};
enum sl_figure_place { SL_PLACE_VEHICLE, SL_PLACE_VIEWER };

#define SL_FIGURE_FIRST_MAX  5 /* words of a first label */
#define SL_FIGURE_SECOND_MAX 4

struct sl_figures {
    double value[SL_FIGURES][SL_FIGURE_FIRST_MAX][SL_FIGURE_SECOND_MAX];
};

/* Nothing is known. */
void sl_figures_clear(struct sl_figures *figures);

/* "control", "deadline" and so on, as in labels. */
const char *sl_process_name(enum sl_figure_process process);
const char *sl_cause_name(enum sl_figure_cause cause);

/* In Prometheus' text format, version 0.0.4. */
void sl_figures_print(FILE *to, const struct sl_figures *figures);

/* As an object: {"frame_access_seconds": {"detector": {"0.5": 0.0001, ...}, ...}, ...}.
 * NULL without memory. And back: what has no name here, or is no number, is
 * passed over, so that an object from another machine may be given. */
cJSON *sl_figures_json(const struct sl_figures *figures);
void sl_figures_read(struct sl_figures *figures, const cJSON *object);

#endif
