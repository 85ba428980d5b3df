/* The socket that browsers connect to. */
#ifndef SL_TOOLS_VIEW_LISTEN_H
#define SL_TOOLS_VIEW_LISTEN_H

#include <stdbool.h>
#include <stdint.h>

#include "rt/error.h"

/* Whether an address (digits, or "localhost") is the loopback's. */
bool view_listen_is_loopback(const char *address);

/* Listens on `address` ("*": every one) and `port` (0: a free one, told in
 * `port_out`). The descriptor, not blocking; or a negative errno with a
 * sentence that says what to do. */
int view_listen_open(const char *address, uint16_t port, uint16_t *port_out, struct sl_error *err);

/* The next connection, not blocking, or negative if there is none. */
int view_listen_accept(int fd);

#endif
