/* HTTP for this machine alone: where to listen, and whose requests to answer. */
#ifndef SL_NET_LOCAL_H
#define SL_NET_LOCAL_H

#include <stdbool.h>

#include "rt/error.h"

/* Whether a request's Host header names the loopback ("localhost", 127.0.0.1,
 * [::1], with or without a port). Any other name may be a web page's own that
 * resolves to 127.0.0.1, so that its script could read along (DNS rebinding). */
bool sl_local_is_host(const char *host);

/* Listens at "PORT", "127.0.0.1:PORT", "localhost:PORT" or "[::1]:PORT"; port 0
 * takes a free one. `key` begins the sentences. The descriptor, not blocking;
 * -EINVAL, -EADDRINUSE, -EACCES and the like with a sentence. */
int sl_local_listen(const char *key, const char *where, struct sl_error *err);

/* Which port it is; 0 if that cannot be told. */
unsigned sl_local_port(int fd);

#endif
