/* What somebody may do with a vehicle. */
#ifndef SL_NET_ROLE_H
#define SL_NET_ROLE_H

enum sl_role {
    SL_ROLE_NONE, /* nothing; the role of what is no client */
    SL_ROLE_VIEWER,
    SL_ROLE_DRIVER,
};

/* "viewer", "driver", or "" of SL_ROLE_NONE. */
const char *sl_role_text(enum sl_role role);

/* SL_ROLE_NONE if it is no role. */
enum sl_role sl_role_parse(const char *text);

#endif
