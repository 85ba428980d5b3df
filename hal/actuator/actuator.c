#include "hal/actuator/actuator.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rt/clock.h"

struct sl_actuator {
    const struct sl_actuator_driver *driver;
    float steering_max_rad;
    float speed_max_mps;
    uint64_t seq;
    struct sl_command last;
    bool neutral;      /* `last` is a neutral command */
    bool neutral_owed; /* the device refused one */
    uint32_t owed_mode;
    _Alignas(max_align_t) unsigned char state[];
};

static const struct sl_actuator_driver *find(const char *name)
{
    for (size_t i = 0; sl_actuator_drivers[i] != NULL; i++) {
        if (name != NULL && strcmp(sl_actuator_drivers[i]->name, name) == 0)
            return sl_actuator_drivers[i];
    }
    return NULL;
}

static int no_driver(const char *name, struct sl_error *err)
{
    char list[256] = "";
    size_t used = 0;
    for (size_t i = 0; sl_actuator_drivers[i] != NULL && used < sizeof list; i++)
        used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", i == 0 ? "" : ", ",
                                 sl_actuator_drivers[i]->name);
    return sl_error_set(err, -ENODEV, "there is no actuator driver \"%s\"; this build has: %s",
                        name != NULL ? name : "", list);
}

/* Finite and above 0 also as the float that commands are compared with. */
static bool is_limit(double value)
{
    return isfinite(value) && (float)value > 0 && isfinite((float)value);
}

static int go_neutral(struct sl_actuator *actuator, uint32_t mode, uint64_t now_ns)
{
    const struct sl_command command = {
        .seq = ++actuator->seq, .issued_ns = now_ns, .expires_ns = UINT64_MAX, .mode = mode};
    if (actuator->driver->neutral(actuator->state, &command) != 0) {
        actuator->neutral_owed = true;
        actuator->owed_mode = mode;
        return -EIO;
    }
    actuator->last = command;
    actuator->neutral = true;
    actuator->neutral_owed = false;
    return 0;
}

int sl_actuator_open(struct sl_actuator **actuator, const struct sl_actuator_config *config,
                     struct sl_error *err)
{
    *actuator = NULL;
    const struct sl_actuator_driver *driver = find(config->driver);
    if (driver == NULL)
        return no_driver(config->driver, err);
    if (!is_limit(config->steering_max_rad) || !is_limit(config->speed_max_mps))
        return sl_error_set(err, -EINVAL,
                            "the actuator's limits of %g rad and %g m/s must be numbers above 0",
                            config->steering_max_rad, config->speed_max_mps);
    struct sl_actuator *a = calloc(1, sizeof *a + driver->state_bytes);
    if (a == NULL)
        return sl_error_set(err, -ENOMEM, "no memory for an actuator");
    a->driver = driver;
    a->steering_max_rad = (float)config->steering_max_rad;
    a->speed_max_mps = (float)config->speed_max_mps;
    int failed = driver->open(a->state, config, err);
    if (failed == 0 && go_neutral(a, SL_MODE_DISARMED, sl_clock_now_ns()) != 0)
        failed =
            sl_error_set(err, -EIO, "the actuator \"%s\" does not go to neutral", driver->name);
    if (failed) {
        driver->close(a->state);
        free(a);
        return failed;
    }
    *actuator = a;
    return 0;
}

int sl_actuator_send(struct sl_actuator *actuator, const struct sl_command *command,
                     uint64_t now_ns)
{
    int refused = 0;
    if (!isfinite(command->steering_rad) || !isfinite(command->speed_mps) || command->speed_mps < 0)
        refused = -EINVAL;
    else if (command->expires_ns <= now_ns)
        refused = -ETIME;
    if (refused != 0)
        return go_neutral(actuator, SL_MODE_SAFE_STOP, now_ns) != 0 ? -EIO : refused;

    struct sl_command out = *command;
    out.seq = ++actuator->seq;
    out.steering_rad =
        fminf(fmaxf(out.steering_rad, -actuator->steering_max_rad), actuator->steering_max_rad);
    out.speed_mps = fminf(out.speed_mps, actuator->speed_max_mps);
    if (actuator->driver->send(actuator->state, &out) != 0) {
        go_neutral(actuator, SL_MODE_SAFE_STOP, now_ns);
        return -EIO;
    }
    actuator->last = out;
    actuator->neutral = false;
    actuator->neutral_owed = false;
    return 0;
}

int sl_actuator_poll(struct sl_actuator *actuator, uint64_t now_ns)
{
    if (actuator->neutral_owed)
        return go_neutral(actuator, actuator->owed_mode, now_ns);
    if (actuator->neutral || now_ns < actuator->last.expires_ns)
        return 0;
    return go_neutral(actuator, SL_MODE_SAFE_STOP, now_ns) != 0 ? -EIO : -ETIME;
}

const struct sl_command *sl_actuator_last(const struct sl_actuator *actuator)
{
    return &actuator->last;
}

bool sl_actuator_is_neutral(const struct sl_actuator *actuator)
{
    return actuator->neutral && !actuator->neutral_owed;
}

int sl_actuator_neutral(struct sl_actuator *actuator, uint64_t now_ns)
{
    return go_neutral(actuator, SL_MODE_DISARMED, now_ns);
}

void sl_actuator_tend(struct sl_actuator *actuator)
{
    actuator->driver->tend(actuator->state);
}

int sl_actuator_status(struct sl_actuator *actuator, struct sl_actuator_status *status)
{
    return actuator->driver->status(actuator->state, status);
}

void sl_actuator_close(struct sl_actuator *actuator)
{
    if (actuator == NULL)
        return;
    go_neutral(actuator, SL_MODE_DISARMED, sl_clock_now_ns());
    actuator->driver->close(actuator->state);
    free(actuator);
}
