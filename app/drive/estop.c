#include "app/drive/estop.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "hal/gpio/gpio.h"
#include "rt/clock.h"
#include "rt/thread.h"

#define LOOK_NS (20 * SL_NS_PER_MS)

struct sl_estop {
    struct sl_gpio *line;
    struct sl_log *log;
    uint64_t debounce_ns;
    struct sl_thread thread;
    _Atomic bool stop;
    _Atomic bool pressed;
    _Atomic uint64_t presses; /* since the start: a short one is not overlooked */
};

/* True if this is new. */
static bool set(struct sl_estop *e, bool pressed)
{
    if (pressed == atomic_load_explicit(&e->pressed, memory_order_relaxed))
        return false;
    if (pressed)
        atomic_fetch_add_explicit(&e->presses, 1, memory_order_relaxed);
    atomic_store_explicit(&e->pressed, pressed, memory_order_relaxed);
    return true;
}

static void set_and_say(struct sl_estop *e, bool pressed)
{
    if (!set(e, pressed))
        return;
    if (pressed)
        sl_log(e->log, SL_LOG_WARNING, "the emergency stop is pressed");
    else
        sl_log(e->log, SL_LOG_INFO, "the emergency stop is released; arm again to drive");
}

/* A level counts once it has held for debounce_ns. This is done here, and not by the
 * kernel's debouncing: where the chip has none, the kernel answers with the level
 * after the last edge that it saw, from a work queue of ordinary priority, so that
 * looking again would not help when an edge was lost. */
static int steady_level(struct sl_estop *e)
{
    int level = sl_gpio_read(e->line);
    if (level < 0 || (level == 1) == atomic_load_explicit(&e->pressed, memory_order_relaxed))
        return level;
    sl_clock_sleep_until_ns(sl_clock_now_ns() + e->debounce_ns);
    const int again = sl_gpio_read(e->line);
    if (again < 0 || again == level)
        return again;
    return atomic_load_explicit(&e->pressed, memory_order_relaxed);
}

static void *estop_main(void *argument)
{
    struct sl_estop *e = argument;
    while (!atomic_load_explicit(&e->stop, memory_order_relaxed)) {
        int level = sl_gpio_wait(e->line, sl_clock_now_ns() + LOOK_NS);
        if (level >= 0)
            level = steady_level(e);
        if (level < 0) {
            set(e, true);
            sl_log(e->log, SL_LOG_ERROR,
                   "the emergency stop cannot be read any more: its GPIO chip is gone; the vehicle "
                   "stops and does not drive again until it is restarted");
            return NULL;
        }
        set_and_say(e, level == 1);
    }
    return NULL;
}

static enum sl_gpio_bias bias_of(const char *name)
{
    if (strcmp(name, "up") == 0)
        return SL_GPIO_BIAS_UP;
    if (strcmp(name, "down") == 0)
        return SL_GPIO_BIAS_DOWN;
    return strcmp(name, "none") == 0 ? SL_GPIO_BIAS_NONE : SL_GPIO_BIAS_KEEP;
}

/* An open wire takes the level that the bias gives it. */
static bool wire_break_stops(const struct sl_settings *s)
{
    return strcmp(s->gpio.estop_bias, strcmp(s->gpio.estop_pressed, "high") == 0 ? "up" : "down") ==
           0;
}

int sl_estop_open(struct sl_estop **estop, const struct sl_settings *s, struct sl_log *log,
                  struct sl_error *err)
{
    *estop = NULL;
    if (s->gpio.estop_line < 0)
        return 0;
    const struct sl_gpio_config config = {.chip = s->gpio.estop_chip,
                                          .line = (uint32_t)s->gpio.estop_line,
                                          .consumer = "skylane emergency stop",
                                          .setting = "gpio.estop",
                                          .active_low = strcmp(s->gpio.estop_pressed, "low") == 0,
                                          .bias = bias_of(s->gpio.estop_bias)};
    struct sl_estop *e = calloc(1, sizeof *e);
    if (e == NULL)
        return sl_error_set(err, -ENOMEM, "no memory for the emergency stop");
    e->log = log;
    e->debounce_ns = (uint64_t)s->gpio.estop_debounce_us * SL_NS_PER_US;
    int rc = sl_gpio_open(&e->line, &config, err);
    const int level = rc == 0 ? sl_gpio_read(e->line) : 0;
    if (level < 0)
        rc = sl_error_set(err, level, "gpio.estop_line: the emergency stop cannot be read");
    if (rc != 0) {
        sl_estop_close(e);
        return rc;
    }
    if (!wire_break_stops(s))
        sl_log(log, SL_LOG_WARNING,
               "a broken wire to the emergency stop would not stop the vehicle: wire a button that "
               "opens when it is pressed, and set gpio.estop_bias to the level of an open wire");
    set_and_say(e, level == 1);
    *estop = e;
    return 0;
}

int sl_estop_start(struct sl_estop *estop, int priority, struct sl_error *err)
{
    const struct sl_thread_config config = {.name = "sl-estop", .priority = priority, .cpu = -1};
    return sl_thread_start(&estop->thread, &config, estop_main, estop, err);
}

bool sl_estop_pressed(struct sl_estop *estop, uint64_t *presses_seen)
{
    const uint64_t presses = atomic_load_explicit(&estop->presses, memory_order_relaxed);
    const bool pressed_since = presses != *presses_seen;
    *presses_seen = presses;
    return pressed_since || atomic_load_explicit(&estop->pressed, memory_order_relaxed);
}

bool sl_estop_is_pressed(struct sl_estop *estop)
{
    return estop != NULL && atomic_load_explicit(&estop->pressed, memory_order_relaxed);
}

void sl_estop_close(struct sl_estop *estop)
{
    if (estop == NULL)
        return;
    atomic_store_explicit(&estop->stop, true, memory_order_relaxed);
    sl_thread_join(&estop->thread);
    sl_gpio_close(estop->line);
    free(estop);
}
