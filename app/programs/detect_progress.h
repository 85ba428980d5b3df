/* How far long work has come: a bar in the terminal's last line. One thread. */
#ifndef SL_APP_PROGRAMS_DETECT_PROGRESS_H
#define SL_APP_PROGRAMS_DETECT_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sl_progress {
    bool terminal;
    bool shown; /* a bar stands in the terminal's last line */
    uint64_t begun_ns, last_ns;
    size_t count; /* 0: nobody knows */
};

/* Without a terminal on standard error nothing will be shown. `count` is of all
 * pictures, 0 if nobody knows. */
void sl_progress_begin(struct sl_progress *progress, size_t count);

/* So many pictures are done. Short work ends before anybody asks: the bar comes
 * after a second. */
void sl_progress_show(struct sl_progress *progress, size_t done);

/* Makes room for a line of text, and for whatever follows the work. */
void sl_progress_clear(struct sl_progress *progress);

#endif
