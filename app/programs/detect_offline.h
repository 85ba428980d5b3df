/* skylane-detect on pictures instead of a bus. */
#ifndef SL_APP_PROGRAMS_DETECT_OFFLINE_H
#define SL_APP_PROGRAMS_DETECT_OFFLINE_H

#include <stdbool.h>

struct sl_detect_offline {
    const char *images;      /* folder, folder of folders, picture or glob */
    const char *calibration; /* settings or JSON by clip */
    const char *predictions; /* file to write, "-" for stdout, or NULL */
    const char *overlay;     /* folder to write pictures into, or NULL */
    bool track;              /* keep continuity within a clip */
    bool json;               /* the summary as JSON */
};

/* Detects lanes in all pictures. Tells errors on stderr. The exit status:
 * 0; 1 if anything failed, single pictures included; 2 if an option is wrong. */
int sl_detect_offline(const struct sl_detect_offline *options);

#endif
