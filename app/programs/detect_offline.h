/* skylane-detect on pictures or video instead of a bus. */
#ifndef SL_APP_PROGRAMS_DETECT_OFFLINE_H
#define SL_APP_PROGRAMS_DETECT_OFFLINE_H

#include <stdbool.h>

struct sl_detect_offline {
    const char *images;      /* folder, folder of folders, picture or glob; or NULL: */
    const char *video;       /* what the file camera opens, as one clip: a .y4m file, "-" for Y4M
                              * on standard input, or a folder, in its order */
    const char *calibration; /* settings or JSON by clip */
    const char *predictions; /* file to write, "-" for stdout, or NULL */
    const char *overlay;     /* folder to write pictures into, or NULL */
    bool track;              /* keep continuity within a clip */
    bool json;               /* the summary as JSON */
};

/* Detects lanes in all pictures of `images` or `video`, of which one must be
 * given. Tells errors on stderr, and how far it is if that is a terminal and it
 * takes long; at the end a table with a line a clip on stderr, or as JSON on
 * stdout. Until done or SIGINT or SIGTERM. The exit status: 0; 1 if anything
 * failed, single pictures included; 2 if an option is wrong. */
int sl_detect_offline(const struct sl_detect_offline *options);

#endif
