/* Has a vehicle on this machine do what was asked of it over the network, and
 * waits for its answers in threads of its own. Stopping never waits behind
 * something else. Calls from one thread; none waits. */
#ifndef SL_PROGRAMS_NET_VEHICLE_H
#define SL_PROGRAMS_NET_VEHICLE_H

#include <stdbool.h>

#include "app/config/settings.h"
#include "net/action_gate.h"
#include "rt/error.h"

struct net_vehicle; /* opaque */

struct net_done {
    struct sl_ask ask;
    bool accepted;
    const char *reason; /* a word that lives for ever */
    char text[192];
};

/* The settings outlive it. 0; -ENOMEM, -EAGAIN, -EBUSY (another process permits
 * driving) with a sentence. */
int net_vehicle_open(struct net_vehicle **vehicle, const struct sl_settings *settings,
                     struct sl_error *err);
void net_vehicle_close(struct net_vehicle *vehicle); /* NULL is allowed */

/* Has one of arm, disarm, pause, resume, stop, respawn, set done. False if too
 * much is waiting already. */
bool net_vehicle_ask(struct net_vehicle *vehicle, const struct sl_ask *ask);

/* Lets the vehicle drive, as the driver asked, for no longer than safety.lease_ms.
 * Until when, or 0 where no permission is needed. */
uint64_t net_vehicle_permit(struct net_vehicle *vehicle, const struct sl_ask *ask, uint64_t now_ns);

/* Readable when something is done. */
int net_vehicle_fd(const struct net_vehicle *vehicle);

/* The next that is done. False: none. */
bool net_vehicle_done(struct net_vehicle *vehicle, struct net_done *done);

#endif
