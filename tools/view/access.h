/* Who may look, and from which pages. Pure, but for making a token up. */
#ifndef SL_TOOLS_VIEW_ACCESS_H
#define SL_TOOLS_VIEW_ACCESS_H

#include <stdbool.h>

#include "rt/error.h"

#define VIEW_TOKEN_MIN 8
#define VIEW_TOKEN_MAX 64

struct view_access {
    char token[VIEW_TOKEN_MAX + 1]; /* empty: none is demanded (loopback only) */
};

/* Takes `token`, or, if it is NULL and `demanded`, makes one up of 128 random
 * bits. 0; -EINVAL if it is not 8 to 64 of letters, digits, - and _; -EIO. */
int view_access_init(struct view_access *access, const char *token, bool demanded,
                     struct sl_error *err);

/* Compares in a time that does not depend on where the two differ. */
bool view_access_token_ok(const struct view_access *access, const char *given);

/* Whether a request's Host header may be served. Without a token only names
 * of the loopback are: else any web page could have its own name resolve to
 * 127.0.0.1 and read along (DNS rebinding). */
bool view_access_host_ok(const struct view_access *access, const char *host);

/* Whether a WebSocket may come from a page of `origin`: only from our own,
 * which is what `host` was asked for. */
bool view_access_origin_ok(const char *origin, const char *host);

#endif
