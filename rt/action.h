/* Asking a vehicle to do something, from another process: the sender's side
 * of the vehicle_action bus. */
#ifndef SL_RT_ACTION_H
#define SL_RT_ACTION_H

#include <stdint.h>

#include "rt/error.h"
#include "rt/records.h"

/* "arm" and the like to enum sl_action_kind; 0 if there is no such action. */
uint32_t sl_action_parse(const char *name);
const char *sl_action_name(uint32_t kind);

/* Sends one request and waits at most `timeout_ms` for its answer on
 * `state_bus`. 0: accepted; -EPERM: refused, `err` says why; -ETIMEDOUT: nobody
 * answered; -EBUSY: another process has been sending all the time (stop and
 * disarm then take the bus from it). Takes at
 * least 150 ms, so that other listeners hear it too. Not for real-time threads. */
int sl_action_send(const char *action_bus, const char *state_bus, enum sl_action_kind kind,
                   unsigned timeout_ms, struct sl_error *err);

/* The same for SL_ACTION_SET: `setting` is "section.key=value", shorter than
 * SL_ACTION_SETTING_MAX (else -EINVAL). */
int sl_action_set(const char *action_bus, const char *state_bus, const char *setting,
                  unsigned timeout_ms, struct sl_error *err);

#endif
