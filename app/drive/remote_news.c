/* What the user is told about the server, by the polling thread: each change once,
 * with its reason, the remedy and the counts up to then. Once it is back all may be
 * told again; how often that can be, detect_source.h bounds. */
#include <stdio.h>

#include "app/drive/nodes.h"
#include "rt/clock.h"

#define PATIENCE_NS (3 * SL_NS_PER_S) /* from the start until a server should be driven by */
#define REASON_NS   SL_NS_PER_S       /* the bridge may learn of it later than sl-detect */

static void tell_gone(struct sl_drive *d, const struct sl_drive_remote *counts,
                      const struct sl_error *why)
{
    char text[sizeof d->settings->detect.url + sizeof why->text + 4];
    snprintf(text, sizeof text, "%s: %s", d->settings->detect.url,
             why->text[0] != '\0' ? why->text
                                  : "no frame came to ask for, or answers take a little too long");
    const char *const format =
        d->detect.detector != NULL
            ? "detection: the built-in detector drives, and {} ({} asked, {} answered, {} late, "
              "{} lost)"
            : "detection: nothing to drive by, and {} ({} asked, {} answered, {} late, {} lost)";
    const struct sl_log_arg args[] = {sl_log_copy(text), sl_log_u64(counts->asked),
                                      sl_log_u64(counts->answered), sl_log_u64(counts->late),
                                      sl_log_u64(counts->lost)};
    sl_log_put(d->log, SL_LOG_WARNING, format, args, sizeof args / sizeof args[0]);
}

static void tell_back(struct sl_drive *d, const struct sl_drive_remote *counts, uint64_t now)
{
    const struct sl_log_arg url = sl_log_copy(d->settings->detect.url);
    if (d->remote_troubles == 0)
        sl_log(d->log, SL_LOG_INFO, "detection: lanes of {} are driven by", url);
    else
        sl_log(d->log, SL_LOG_WARNING,
               "detection: lanes of {} are driven by again, after {} s; {} frames were driven by "
               "the built-in detector so far",
               url, sl_log_f64((double)(now - d->remote_gone_ns) / 1e9),
               sl_log_u64(counts->builtin_frames));
}

/* While it is gone each kind of trouble is told once: who starts a server that then
 * refuses the frames learns that, too. */
static void tell_trouble(struct sl_drive *d, const struct sl_drive_remote *counts, uint64_t now)
{
    struct sl_error why;
    const uint32_t trouble = sl_remote_problem(d->detect.remote, &why);
    const bool first = d->remote_troubles == 0;
    if (trouble == SL_REMOTE_FINE && (!first || now - d->remote_gone_ns < REASON_NS))
        return;
    if ((d->remote_troubles >> trouble & 1) != 0)
        return;
    tell_gone(d, counts, &why);
    d->remote_troubles |= UINT32_C(1) << trouble;
}

void sl_remote_news(struct sl_drive *d)
{
    struct sl_drive_remote counts;
    if (!sl_drive_remote(d, &counts))
        return;
    const uint64_t now = sl_clock_now_ns();
    const bool drives = atomic_load_explicit(&d->detect.remote_drives, memory_order_relaxed);
    if (drives && !d->told_remote_drives)
        tell_back(d, &counts, now);
    if (!drives && d->told_remote_drives) {
        d->remote_gone_ns = now;
        d->remote_troubles = 0;
    }
    d->told_remote_drives = drives;
    if (d->remote_gone_ns == 0) /* never came: so far that is no wonder */
        d->remote_gone_ns = d->started_ns + PATIENCE_NS;
    if (!drives && now >= d->remote_gone_ns)
        tell_trouble(d, &counts, now);
}

void sl_remote_sum_up(struct sl_drive *d)
{
    struct sl_drive_remote counts;
    if (d->started_ns == 0 || !sl_drive_remote(d, &counts))
        return;
    sl_log(d->log, SL_LOG_INFO,
           "detection: of {} questions {} were answered, {} refused, {} late, {} lost; {} frames "
           "were driven by the built-in detector",
           sl_log_u64(counts.asked), sl_log_u64(counts.answered), sl_log_u64(counts.refused),
           sl_log_u64(counts.late), sl_log_u64(counts.lost), sl_log_u64(counts.builtin_frames));
}
