#include "app/drive/keeper.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/config/convert.h"
#include "app/drive/nodes.h"
#include "app/drive/progress.h"
#include "hal/gpio/gpio.h"
#include "hal/watchdog/watchdog.h"
#include "rt/clock.h"
#include "rt/notify.h"

#define TICK_NS  (50 * SL_NS_PER_MS)
#define SLOW_NS  (500 * SL_NS_PER_MS) /* lit so long, then out so long */
#define FAST_NS  (100 * SL_NS_PER_MS)
#define LOOPS    3
#define NO_MODE  UINT32_MAX
#define FEEDINGS 4 /* within one timeout */

struct loop {
    struct sl_node_thread *node;
    struct sl_progress progress;
};

/* Somebody who wants to hear that the loops turn. */
struct feeding {
    uint64_t every_ns; /* 0: nobody */
    uint64_t last_ns;
};

struct sl_keeper {
    struct sl_drive *drive;
    struct loop loops[LOOPS];
    int loop_count;
    struct sl_watchdog *watchdog;
    struct feeding hardware, manager;
    bool told_unfed; /* the watchdog does not take its food */
    struct sl_notify notify;
    bool ready;
    uint32_t told_mode, told_reason; /* to the service manager */
    struct sl_gpio *light;
    struct sl_thread thread;
    _Atomic bool stop;
};

bool sl_keeper_light(uint32_t mode, uint64_t now_ns)
{
    switch (mode) {
    case SL_MODE_DRIVING:
        return true;
    case SL_MODE_DISARMED:
    case SL_MODE_ARMED:
    case SL_MODE_PAUSED:
        return now_ns / SLOW_NS % 2 == 0;
    default:
        return now_ns / FAST_NS % 2 == 0;
    }
}

/* ---- one round ---- */

static void tell_stall(const struct sl_keeper *k, const struct sl_progress *p)
{
    if (k->hardware.every_ns != 0)
        sl_log(k->drive->log, SL_LOG_ERROR,
               "the {} loop has not turned for {} ms: the watchdog is not fed any more and resets "
               "the machine within {} s",
               sl_log_text(p->name), sl_log_u64(p->allowance_ns / SL_NS_PER_MS),
               sl_log_u64(sl_watchdog_info(k->watchdog)->timeout_s));
    else
        sl_log(k->drive->log, SL_LOG_ERROR, "the {} loop has not turned for {} ms",
               sl_log_text(p->name), sl_log_u64(p->allowance_ns / SL_NS_PER_MS));
}

/* True if each loop turns. */
static bool look_at_loops(struct sl_keeper *k, uint64_t now_ns)
{
    bool all = true;
    for (int i = 0; i < k->loop_count; i++) {
        struct sl_node_thread *node = k->loops[i].node;
        struct sl_progress *p = &k->loops[i].progress;
        const enum sl_progress_news news =
            sl_progress_look(p, atomic_load_explicit(&node->rounds, memory_order_relaxed),
                             atomic_load_explicit(&node->ended, memory_order_relaxed), now_ns);
        if (news == SL_PROGRESS_STALLED)
            tell_stall(k, p);
        else if (news == SL_PROGRESS_BACK)
            sl_log(k->drive->log, SL_LOG_WARNING, "the {} loop turns again", sl_log_text(p->name));
        all = all && !p->stalled;
    }
    return all;
}

static bool is_due(struct feeding *f, uint64_t now_ns)
{
    if (f->every_ns == 0 || now_ns - f->last_ns < f->every_ns)
        return false;
    f->last_ns = now_ns;
    return true;
}

static void feed(struct sl_keeper *k, uint64_t now_ns)
{
    if (is_due(&k->hardware, now_ns) && sl_watchdog_feed(k->watchdog) != 0 && !k->told_unfed) {
        k->told_unfed = true;
        sl_log(k->drive->log, SL_LOG_ERROR,
               "the watchdog does not take its food and will reset the machine");
    }
    if (is_due(&k->manager, now_ns))
        (void)sl_notify_send(&k->notify, "WATCHDOG=1");
}

static bool all_began(const struct sl_keeper *k)
{
    for (int i = 0; i < k->loop_count; i++)
        if (k->loops[i].progress.rounds == 0)
            return false;
    return true;
}

/* What does not get through is sent again with the next round. */
static void tell_manager(struct sl_keeper *k, const struct sl_state *state)
{
    char status[512];
    if (k->notify.fd < 0)
        return;
    if (!k->ready && all_began(k))
        k->ready = sl_notify_send(&k->notify, "READY=1") == 0;
    if (state->mode == k->told_mode && state->stop_reason == k->told_reason)
        return;
    const bool stopped = state->mode == SL_MODE_SAFE_STOP;
    snprintf(status, sizeof status, "STATUS=%s%s%s", sl_mode_name(state->mode), stopped ? ": " : "",
             stopped ? sl_reason_text(state->stop_reason) : "");
    if (sl_notify_send(&k->notify, status) == 0) {
        k->told_mode = state->mode;
        k->told_reason = state->stop_reason;
    }
}

static void show_light(struct sl_keeper *k, uint32_t mode, uint64_t now_ns)
{
    if (k->light == NULL || sl_gpio_set(k->light, sl_keeper_light(mode, now_ns)) == 0)
        return;
    sl_log(k->drive->log, SL_LOG_WARNING,
           "the status light is gone: its GPIO chip does not answer");
    sl_gpio_close(k->light);
    k->light = NULL;
}

static void *keeper_main(void *argument)
{
    struct sl_keeper *k = argument;
    while (!atomic_load_explicit(&k->stop, memory_order_relaxed)) {
        struct sl_state state;
        const uint64_t now_ns = sl_clock_now_ns();
        if (look_at_loops(k, now_ns))
            feed(k, now_ns);
        sl_latch_read(&k->drive->control.published, &state, sizeof state);
        tell_manager(k, &state);
        show_light(k, state.mode, now_ns);
        sl_clock_sleep_until_ns(now_ns + TICK_NS);
    }
    return NULL;
}

/* ---- opening and closing ---- */

static void add_loop(struct sl_keeper *k, struct sl_node_thread *node, const char *name,
                     double allowance_ms)
{
    k->loops[k->loop_count++] = (struct loop){
        .node = node,
        .progress = {.name = name,
                     .allowance_ns = (uint64_t)(allowance_ms * (double)SL_NS_PER_MS)}};
}

static void add_loops(struct sl_keeper *k)
{
    struct sl_drive *d = k->drive;
    const struct sl_settings *s = d->settings;
    add_loop(k, &d->control.thread, "control", s->watchdog.stall_ms);
    if (d->detect.reader != NULL)
        add_loop(k, &d->detect.thread, "detection", s->watchdog.stall_ms);
    if (d->camera.source != NULL)
        add_loop(k, &d->camera.thread, "camera", s->watchdog.camera_stall_ms);
}

static int open_light(struct sl_keeper *k, struct sl_error *err)
{
    const struct sl_settings *s = k->drive->settings;
    const struct sl_gpio_config config = {.chip = s->gpio.led_chip,
                                          .line = (uint32_t)s->gpio.led_line,
                                          .consumer = "skylane status light",
                                          .setting = "gpio.led",
                                          .output = true,
                                          .active_low = strcmp(s->gpio.led_lit, "low") == 0};
    return s->gpio.led_line < 0 ? 0 : sl_gpio_open(&k->light, &config, err);
}

/* A reset while only simulated things move would take the developer's machine. */
static int may_arm(const struct sl_drive *d, struct sl_error *err)
{
    const struct sl_settings *s = d->settings;
    if (sl_settings_outputs_are_hardware(s) || s->watchdog.simulated)
        return 0;
    return sl_error_set(err, -EINVAL,
                        "watchdog.driver is %s, but actuator.driver is %s, which moves nothing "
                        "real: a watchdog would reset this machine for a simulation; set "
                        "watchdog.driver = none, or watchdog.simulated = yes if that is wanted",
                        s->watchdog.driver, s->actuator.driver);
}

static void tell_watchdog(const struct sl_keeper *k)
{
    const struct sl_watchdog_info *info = sl_watchdog_info(k->watchdog);
    struct sl_log *log = k->drive->log;
    char text[SL_SETTINGS_TEXT_MAX + 48];
    snprintf(text, sizeof text, "%s (%s)", k->drive->settings->watchdog.device, info->identity);
    sl_log(log, SL_LOG_INFO, "watchdog {} resets the machine when a loop stalls, within {} s",
           sl_log_copy(text), sl_log_u64(info->timeout_s));
    if (info->reset_before)
        sl_log(log, SL_LOG_WARNING, "the machine's last start was a reset by its watchdog");
    if (info->nowayout)
        sl_log(log, SL_LOG_WARNING,
               "this watchdog cannot be disarmed (nowayout): after this program has ended the "
               "machine resets, unless it is started again in time");
    if (info->crash_stops)
        sl_log(log, SL_LOG_WARNING,
               "this watchdog disarms itself when its program dies (no magic close): it covers a "
               "loop that stalls, and no crash");
}

static int open_watchdog(struct sl_keeper *k, struct sl_error *err)
{
    const struct sl_settings *s = k->drive->settings;
    const struct sl_watchdog_config config = {.driver = s->watchdog.driver,
                                              .device = s->watchdog.device,
                                              .timeout_s = (uint32_t)s->watchdog.timeout_s};
    if (strcmp(s->watchdog.driver, "none") == 0)
        return 0;
    int rc = may_arm(k->drive, err);
    if (rc == 0)
        rc = sl_watchdog_open(&k->watchdog, &config, err);
    if (rc != 0)
        return rc;
    k->hardware.every_ns = sl_watchdog_info(k->watchdog)->timeout_s * SL_NS_PER_S / FEEDINGS;
    k->hardware.last_ns = sl_clock_now_ns();
    tell_watchdog(k);
    return 0;
}

int sl_keeper_open(struct sl_keeper **keeper, struct sl_drive *drive, struct sl_error *err)
{
    *keeper = NULL;
    struct sl_keeper *k = calloc(1, sizeof *k);
    if (k == NULL)
        return sl_error_set(err, -ENOMEM, "no memory for the watchdog's thread");
    k->drive = drive;
    k->told_mode = NO_MODE;
    add_loops(k);
    int rc = sl_notify_open(&k->notify, err);
    if (rc == 0)
        rc = open_light(k, err);
    if (rc == 0)
        rc = open_watchdog(k, err);
    k->manager.every_ns = k->notify.watchdog_ns / FEEDINGS;
    const bool needed = k->notify.fd >= 0 || k->light != NULL || k->watchdog != NULL;
    if (rc != 0 || !needed) {
        sl_keeper_close(k);
        return rc;
    }
    *keeper = k;
    return 0;
}

int sl_keeper_start(struct sl_keeper *keeper, struct sl_error *err)
{
    const struct sl_thread_config config = {.name = "sl-keeper", .cpu = -1};
    return sl_thread_start(&keeper->thread, &config, keeper_main, keeper, err);
}

void sl_keeper_stopping(struct sl_keeper *keeper)
{
    if (keeper != NULL && keeper->thread.running)
        (void)sl_notify_send(&keeper->notify, "STOPPING=1");
}

void sl_keeper_close(struct sl_keeper *keeper)
{
    if (keeper == NULL)
        return;
    atomic_store_explicit(&keeper->stop, true, memory_order_relaxed);
    sl_thread_join(&keeper->thread);
    sl_gpio_close(keeper->light);
    sl_watchdog_close(keeper->watchdog, true);
    sl_notify_close(&keeper->notify);
    free(keeper);
}
