#include "tools/view/access.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

#include "net/local.h"

#define TOKEN_BYTES 16

int view_access_init(struct view_access *access, const char *token, bool demanded,
                     struct sl_error *err)
{
    memset(access, 0, sizeof *access);
    if (token != NULL) {
        const size_t length = strlen(token);
        if (length < VIEW_TOKEN_MIN || length > VIEW_TOKEN_MAX ||
            strspn(token, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") !=
                length)
            return sl_error_set(err, -EINVAL,
                                "--token: %d to %d letters, digits, - and _ (without --token one "
                                "is made up)",
                                VIEW_TOKEN_MIN, VIEW_TOKEN_MAX);
        memcpy(access->token, token, length + 1);
    } else if (demanded) {
        unsigned char random[TOKEN_BYTES];
        if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
            return sl_error_set(err, -EIO, "no random numbers from the system: %s",
                                strerror(errno));
        for (size_t i = 0; i < sizeof random; i++)
            snprintf(access->token + 2 * i, 3, "%02x", random[i]);
    }
    return 0;
}

bool view_access_token_ok(const struct view_access *access, const char *given)
{
    if (access->token[0] == '\0')
        return true;
    /* Both padded to one length, and every byte looked at. */
    unsigned char theirs[VIEW_TOKEN_MAX + 1] = {0};
    const size_t length = strnlen(given, VIEW_TOKEN_MAX + 1);
    memcpy(theirs, given, length > VIEW_TOKEN_MAX ? VIEW_TOKEN_MAX : length);
    volatile unsigned char different = length > VIEW_TOKEN_MAX;
    for (size_t i = 0; i < sizeof theirs; i++)
        different |= (unsigned char)(theirs[i] ^ (unsigned char)access->token[i]);
    return different == 0;
}

bool view_access_host_ok(const struct view_access *access, const char *host)
{
    return access->token[0] != '\0' || sl_local_is_host(host);
}

bool view_access_origin_ok(const char *origin, const char *host)
{
    /* https: a proxy in front of us may speak it. */
    if (strncasecmp(origin, "http://", 7) == 0)
        origin += 7;
    else if (strncasecmp(origin, "https://", 8) == 0)
        origin += 8;
    else
        return false;
    return host[0] != '\0' && strcasecmp(origin, host) == 0;
}
