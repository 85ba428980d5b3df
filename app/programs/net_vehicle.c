#include "net_vehicle.h"

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "app/config/convert.h"
#include "rt/action.h"
#include "rt/bus.h"
#include "rt/clock.h"

#define WAITING_MAX 8
#define TIMEOUT_MS  800

struct worker {
    struct net_vehicle *vehicle;
    pthread_t thread;
    bool started;
    struct sl_ask waiting[WAITING_MAX];
    int count;
};

enum { STOPPING, OTHERS, WORKERS };

struct net_vehicle {
    const struct sl_settings *settings;
    struct sl_bus_writer *permits; /* NULL: none are needed */
    pthread_mutex_t lock;          /* of all below */
    pthread_cond_t asked;
    bool ending;
    struct worker workers[WORKERS];
    struct net_done done[2 * WAITING_MAX];
    int done_count;
    int fd;
};

static uint32_t kind_of(enum sl_ask_name name)
{
    return sl_action_parse(sl_ask_text(name));
}

static void carry_out(const struct net_vehicle *v, const struct sl_ask *ask, struct net_done *done)
{
    struct sl_error err = {0};
    const char *actions = v->settings->bus.action, *states = v->settings->bus.state;
    int rc;
    if (ask->name == SL_ASK_SET)
        rc = sl_action_set(actions, states, ask->setting, TIMEOUT_MS, &err);
    else
        rc = sl_action_send(actions, states, (enum sl_action_kind)kind_of(ask->name), TIMEOUT_MS,
                            &err);
    *done = (struct net_done){.ask = *ask, .accepted = rc == 0};
    done->reason = rc == 0            ? "none"
                   : rc == -EPERM     ? "refused"
                   : rc == -ETIMEDOUT ? "no_answer"
                                      : "failed";
    snprintf(done->text, sizeof done->text, "%.*s", (int)sizeof done->text - 1,
             rc == 0 ? "done" : err.text);
}

static void *work(void *argument)
{
    struct worker *worker = argument;
    struct net_vehicle *v = worker->vehicle;
    pthread_mutex_lock(&v->lock);
    while (!v->ending) {
        if (worker->count == 0 || v->done_count == 2 * WAITING_MAX) {
            pthread_cond_wait(&v->asked, &v->lock);
            continue;
        }
        const struct sl_ask ask = worker->waiting[0];
        worker->count--;
        memmove(worker->waiting, worker->waiting + 1,
                (size_t)worker->count * sizeof *worker->waiting);
        pthread_mutex_unlock(&v->lock);
        struct net_done done;
        carry_out(v, &ask, &done);
        pthread_mutex_lock(&v->lock);
        while (v->done_count == 2 * WAITING_MAX && !v->ending)
            pthread_cond_wait(&v->asked, &v->lock);
        if (!v->ending)
            v->done[v->done_count++] = done;
        eventfd_write(v->fd, 1);
    }
    pthread_mutex_unlock(&v->lock);
    return NULL;
}

int net_vehicle_open(struct net_vehicle **vehicle, const struct sl_settings *settings,
                     struct sl_error *err)
{
    *vehicle = NULL;
    struct net_vehicle *v = calloc(1, sizeof *v);
    if (v == NULL)
        return sl_error_set(err, -ENOMEM, "no memory for the vehicle's requests");
    v->settings = settings;
    pthread_mutex_init(&v->lock, NULL);
    pthread_cond_init(&v->asked, NULL);
    if (settings->safety.lease_ms > 0) {
        struct sl_bus_writer_config permits = {.name = settings->bus.permit,
                                               .type = SL_RECORD_PERMIT,
                                               .slot_count = SL_BUS_RECORD_SLOTS,
                                               .slot_bytes = sizeof(struct sl_permit)};
        sl_settings_bus_rights(settings, &permits);
        const int rc = sl_bus_writer_open(&v->permits, &permits, err);
        if (rc != 0) {
            v->fd = -1;
            net_vehicle_close(v);
            return rc;
        }
    }
    v->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    int code = v->fd < 0 ? errno : 0;
    for (int i = 0; i < WORKERS && code == 0; i++) {
        v->workers[i].vehicle = v;
        code = pthread_create(&v->workers[i].thread, NULL, work, &v->workers[i]);
        v->workers[i].started = code == 0;
    }
    if (code != 0) {
        net_vehicle_close(v);
        return sl_error_set(err, -code, "cannot start a thread: %s", strerror(code));
    }
    *vehicle = v;
    return 0;
}

void net_vehicle_close(struct net_vehicle *vehicle)
{
    if (vehicle == NULL)
        return;
    pthread_mutex_lock(&vehicle->lock);
    vehicle->ending = true;
    pthread_cond_broadcast(&vehicle->asked);
    pthread_mutex_unlock(&vehicle->lock);
    for (int i = 0; i < WORKERS; i++)
        if (vehicle->workers[i].started)
            pthread_join(vehicle->workers[i].thread, NULL);
    if (vehicle->fd >= 0)
        close(vehicle->fd);
    sl_bus_writer_close(vehicle->permits);
    pthread_cond_destroy(&vehicle->asked);
    pthread_mutex_destroy(&vehicle->lock);
    free(vehicle);
}

bool net_vehicle_ask(struct net_vehicle *vehicle, const struct sl_ask *ask)
{
    const bool stops = ask->name == SL_ASK_STOP || ask->name == SL_ASK_DISARM;
    struct worker *worker = &vehicle->workers[stops ? STOPPING : OTHERS];
    pthread_mutex_lock(&vehicle->lock);
    const bool room = worker->count < WAITING_MAX;
    if (room) {
        worker->waiting[worker->count++] = *ask;
        pthread_cond_broadcast(&vehicle->asked);
    }
    pthread_mutex_unlock(&vehicle->lock);
    return room;
}

uint64_t net_vehicle_permit(struct net_vehicle *vehicle, const struct sl_ask *ask, uint64_t now_ns)
{
    const uint64_t lease_ns = (uint64_t)(vehicle->settings->safety.lease_ms * (double)SL_NS_PER_MS);
    if (vehicle->permits == NULL)
        return 0;
    /* A client's clock may go ahead of this one, by its error. */
    struct sl_permit permit = {.issued_ns = ask->issued_ns < now_ns ? ask->issued_ns : now_ns,
                               .expires_ns = ask->expires_ns};
    if (permit.expires_ns > permit.issued_ns + lease_ns)
        permit.expires_ns = permit.issued_ns + lease_ns;
    sl_bus_write(vehicle->permits, &permit, sizeof permit, now_ns);
    return permit.expires_ns;
}

int net_vehicle_fd(const struct net_vehicle *vehicle)
{
    return vehicle->fd;
}

bool net_vehicle_done(struct net_vehicle *vehicle, struct net_done *done)
{
    eventfd_t count;
    pthread_mutex_lock(&vehicle->lock);
    const bool any = vehicle->done_count > 0;
    if (any) {
        *done = vehicle->done[0];
        vehicle->done_count--;
        memmove(vehicle->done, vehicle->done + 1,
                (size_t)vehicle->done_count * sizeof *vehicle->done);
        pthread_cond_broadcast(&vehicle->asked);
    } else {
        eventfd_read(vehicle->fd, &count);
    }
    pthread_mutex_unlock(&vehicle->lock);
    return any;
}
