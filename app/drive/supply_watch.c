#include "app/drive/supply_watch.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "app/control/supply.h"
#include "hal/power/power.h"
#include "rt/clock.h"
#include "rt/latch.h"
#include "rt/thread.h"

#define LOOK_NS  (SL_NS_PER_S)
#define OLD_NS   (5 * SL_NS_PER_S)
#define FIRST_NS SL_NS_PER_S

struct sl_supply_watch {
    const struct sl_settings *settings;
    struct sl_actuator *actuator;
    struct sl_log *log;
    struct sl_supply_config config;
    struct sl_supply supply;
    struct sl_supply_verdict told; /* what the log says at present */
    bool told_unreadable;
    struct sl_latch newest; /* struct sl_supply_verdict */
    struct sl_thread thread;
    pthread_mutex_t lock; /* with `wake`: to end without waiting for the next look */
    pthread_cond_t wake;
    bool stop;
};

static bool outputs_measure(const struct sl_settings *s)
{
    return strcmp(s->power.voltage_path, SL_VOLTAGE_OF_OUTPUTS) == 0;
}

static int read_outputs(const struct sl_supply_watch *w, double *voltage_v, struct sl_error *err)
{
    struct sl_actuator_status status;
    const int rc = sl_actuator_status(w->actuator, &status);
    if (rc == 0 && status.state == SL_OUTPUTS_FAILED)
        return sl_error_set(err, -EIO, "no battery voltage: %s", status.problem);
    if (rc != 0 || status.battery_mv == 0 || status.beat_ns + OLD_NS < sl_clock_now_ns())
        return sl_error_set(err, -ENODATA,
                            "the %s outputs tell no battery voltage; check that their firmware "
                            "measures it, or name a file with power.voltage_path",
                            w->settings->actuator.driver);
    *voltage_v = status.battery_mv / 1e3;
    return 0;
}

/* Reads both. 0, or what the first that failed says. */
static int look(struct sl_supply_watch *w, struct sl_supply_verdict *v, struct sl_error *err)
{
    const struct sl_settings *s = w->settings;
    uint32_t flags = 0;
    int rc = 0;
    v->voltage_v = NAN;
    if (outputs_measure(s))
        rc = read_outputs(w, &v->voltage_v, err);
    else if (s->power.voltage_path[0] != '\0')
        rc = sl_power_read_voltage(s->power.voltage_path, s->power.voltage_scale, &v->voltage_v,
                                   err);
    int throttled_rc = 0;
    if (s->power.throttled_path[0] != '\0')
        throttled_rc =
            sl_power_read_throttled(s->power.throttled_path, &flags, rc == 0 ? err : NULL);
    v->under_voltage = (flags & SL_THROTTLED_UNDER_VOLTAGE) != 0;
    /* Nobody knows: as if it were. */
    v->throttled =
        throttled_rc != 0 || (flags & (SL_THROTTLED_UNDER_VOLTAGE | SL_THROTTLED_FREQUENCY |
                                       SL_THROTTLED_NOW | SL_THROTTLED_SOFT_LIMIT)) != 0;
    return rc != 0 ? rc : throttled_rc;
}

static void judge(struct sl_supply_watch *w, struct sl_supply_verdict *v)
{
    v->at_ns = sl_clock_now_ns();
    const struct sl_supply_input in = {
        .now_ns = v->at_ns, .voltage_v = v->voltage_v, .throttled = v->throttled};
    struct sl_supply_output out;
    sl_supply_step(&w->supply, &w->config, &in, &out);
    v->scale = out.scale;
    v->empty = out.empty;
    v->low = out.low;
    v->throttled = out.throttled;
    sl_latch_write(&w->newest, v, sizeof *v);
}

static void tell(struct sl_supply_watch *w, const struct sl_supply_verdict *v, int rc,
                 const struct sl_error *err)
{
    if (rc != 0 && !w->told_unreadable)
        sl_log(w->log, SL_LOG_WARNING, "driving slowly: {}", sl_log_copy(err->text));
    if (v->low && !w->told.low && !isnan(v->voltage_v))
        sl_log(w->log, SL_LOG_WARNING, "the battery is low: {} V; driving slowly",
               sl_log_f64(v->voltage_v));
    if (v->empty && !w->told.empty)
        sl_log(w->log, SL_LOG_WARNING, "the battery is empty: {} V", sl_log_f64(v->voltage_v));
    if (v->throttled && !w->told.throttled && rc == 0)
        sl_log(w->log, SL_LOG_WARNING, "the board tells {}; driving slowly",
               sl_log_text(v->under_voltage ? "under-voltage: its supply is too weak"
                                            : "that it is throttled: it is too warm"));
    if (v->scale >= 1 && w->told.scale < 1 && w->told.at_ns != 0)
        sl_log(w->log, SL_LOG_INFO, "the power supply is good again");
    w->told = *v;
    w->told_unreadable = rc != 0;
}

static bool wait_for_next(struct sl_supply_watch *w, uint64_t until_ns)
{
    const struct timespec until = sl_clock_timespec(until_ns);
    int rc = 0;
    pthread_mutex_lock(&w->lock);
    while (!w->stop && rc != ETIMEDOUT)
        rc = pthread_cond_timedwait(&w->wake, &w->lock, &until);
    const bool go_on = !w->stop;
    pthread_mutex_unlock(&w->lock);
    return go_on;
}

static void *supply_main(void *argument)
{
    struct sl_supply_watch *w = argument;
    while (wait_for_next(w, sl_clock_now_ns() + LOOK_NS)) {
        struct sl_supply_verdict verdict = {0};
        struct sl_error err = {0};
        const int rc = look(w, &verdict, &err);
        judge(w, &verdict);
        tell(w, &verdict, rc, &err);
    }
    return NULL;
}

/* What outputs measure comes with their first answers. */
static int first_look(struct sl_supply_watch *w, struct sl_supply_verdict *v, struct sl_error *err)
{
    const uint64_t give_up_ns = sl_clock_now_ns() + FIRST_NS;
    int rc = look(w, v, err);
    while (rc == -ENODATA && outputs_measure(w->settings) && sl_clock_now_ns() < give_up_ns) {
        sl_clock_sleep_until_ns(sl_clock_now_ns() + FIRST_NS / 50);
        rc = look(w, v, err);
    }
    return rc;
}

int sl_supply_watch_open(struct sl_supply_watch **watch, const struct sl_settings *s,
                         struct sl_actuator *actuator, struct sl_log *log, struct sl_error *err)
{
    *watch = NULL;
    if (s->power.voltage_path[0] == '\0' && s->power.throttled_path[0] == '\0')
        return 0;
    struct sl_supply_watch *w = calloc(1, sizeof *w);
    if (w == NULL)
        return sl_error_set(err, -ENOMEM, "no memory to look at the power supply");
    pthread_condattr_t clock;
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->wake, &clock);
    pthread_condattr_destroy(&clock);
    w->settings = s;
    w->actuator = actuator;
    w->log = log;
    w->config = (struct sl_supply_config){.voltage_expected = s->power.voltage_path[0] != '\0',
                                          .warn_v = s->power.warn_v,
                                          .stop_v = s->power.stop_v,
                                          .stop_after_ms = s->power.stop_after_s * 1e3,
                                          .low_scale = s->power.low_scale,
                                          .throttled_scale = s->power.throttled_scale};
    struct sl_supply_verdict verdict = {0};
    const int rc = first_look(w, &verdict, err);
    if (rc != 0) {
        sl_supply_watch_close(w);
        return rc;
    }
    judge(w, &verdict);
    tell(w, &verdict, 0, NULL);
    *watch = w;
    return 0;
}

int sl_supply_watch_start(struct sl_supply_watch *watch, struct sl_error *err)
{
    const struct sl_thread_config config = {.name = "sl-supply", .cpu = -1};
    return sl_thread_start(&watch->thread, &config, supply_main, watch, err);
}

bool sl_supply_watch_read(struct sl_supply_watch *w, uint64_t now_ns,
                          struct sl_supply_verdict *verdict)
{
    struct sl_supply_verdict newest;
    uint64_t count;
    if (!sl_latch_try_read(&w->newest, &newest, sizeof newest, &count))
        return false;
    if (now_ns > newest.at_ns && now_ns - newest.at_ns > OLD_NS) {
        newest.scale = fmin(newest.scale, w->config.low_scale);
        newest.voltage_v = NAN;
    }
    *verdict = newest;
    return true;
}

void sl_supply_watch_close(struct sl_supply_watch *w)
{
    if (w == NULL)
        return;
    pthread_mutex_lock(&w->lock);
    w->stop = true;
    pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->lock);
    sl_thread_join(&w->thread);
    pthread_cond_destroy(&w->wake);
    pthread_mutex_destroy(&w->lock);
    free(w);
}
