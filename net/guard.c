#include "net/guard.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <zmq.h>

#include "net/zap.h"
#include "rt/clock.h"

#define TEND_NS  (250 * SL_NS_PER_MS)
#define AGAIN_NS SL_NS_PER_S        /* libzmq gives a port back in its own time */
#define PAUSE_NS (2 * SL_NS_PER_MS) /* between two tries */

struct sl_guard {
    void *context;
    int insecure;
    char folder[PATH_MAX];
    struct sl_keys_pair own;
    struct sl_zap *zap; /* NULL: without keys */
    uint64_t looked_ns;
    uint64_t revoked;
    uint64_t epoch; /* rises when sockets must listen anew */
};

/* ---- keys ---- */

static int start_zap(struct sl_guard *guard, struct sl_error *err)
{
    struct sl_keys_pair user;
    struct sl_keys_entry entry = {.role = SL_ROLE_DRIVER, .name = "local"};
    int rc = sl_keys_folder(guard->folder, sizeof guard->folder, err);
    if (rc == 0)
        rc = sl_keys_own(guard->folder, SL_KEYS_OF_VEHICLE, &guard->own, err);
    if (rc == 0)
        rc = sl_keys_own(guard->folder, SL_KEYS_OF_CLIENT, &user, err);
    if (rc != 0)
        return rc;
    memcpy(entry.public_key, user.public_key, sizeof entry.public_key);
    sl_keys_pair_wipe(&user);
    return sl_zap_start(&guard->zap, guard->context, guard->folder, &entry, err);
}

/* Changes with the list when that takes something away, or opens the door. */
static uint64_t current_epoch(const struct sl_guard *guard)
{
    return guard->zap == NULL ? 0 : 2 * sl_zap_revision(guard->zap) + sl_guard_paired(guard);
}

int sl_guard_open(struct sl_guard **out, void *context, int insecure, struct sl_error *err)
{
    *out = NULL;
    struct sl_guard *guard = calloc(1, sizeof *guard);
    if (guard == NULL)
        return sl_error_set(err, -ENOMEM, "no memory to decide who may connect");
    guard->context = context;
    guard->insecure = insecure;
    const int rc = insecure > 0 ? 0 : start_zap(guard, err);
    if (rc != 0) {
        sl_guard_close(guard);
        return rc;
    }
    guard->epoch = current_epoch(guard);
    *out = guard;
    return 0;
}

void sl_guard_close(struct sl_guard *guard)
{
    if (guard == NULL)
        return;
    sl_zap_stop(guard->zap);
    sl_keys_pair_wipe(&guard->own);
    free(guard);
}

bool sl_guard_paired(const struct sl_guard *guard)
{
    return guard->zap != NULL && sl_zap_listed(guard->zap) > 0;
}

bool sl_guard_advice(const struct sl_guard *guard, struct sl_error *advice)
{
    advice->text[0] = '\0';
    if (guard->zap == NULL)
        sl_error_set(advice, 0,
                     "no keys (--insecure): whoever reaches these sockets can watch and command");
    else if (sl_zap_list_good(guard->zap, advice) == 0 && !sl_guard_paired(guard))
        sl_error_set(advice, 0,
                     "nobody is paired, so only this user on this machine can connect; \"skylane "
                     "pair\" lets others in");
    else
        return advice->text[0] != '\0';
    return true;
}

/* ---- addresses ---- */

static bool is_local(const char *endpoint)
{
    static const char *const LOCAL[] = {"tcp://127.", "tcp://localhost:", "tcp://[::1]:", "ipc://"};
    for (size_t i = 0; i < sizeof LOCAL / sizeof LOCAL[0]; i++)
        if (strncmp(endpoint, LOCAL[i], strlen(LOCAL[i])) == 0)
            return true;
    return false;
}

/* Where to listen instead of `endpoint`: nearer, if others may not come in yet. */
static int reach(const struct sl_guard *guard, const char *endpoint, char *out, size_t room,
                 struct sl_error *err)
{
    static const char EVERYWHERE[] = "tcp://*:";
    const bool everywhere = strncmp(endpoint, EVERYWHERE, sizeof EVERYWHERE - 1) == 0;
    const char *port = strrchr(endpoint, ':');
    if (is_local(endpoint) || guard->insecure > 1 || sl_guard_paired(guard) ||
        strncmp(endpoint, "tcp://", 6) != 0) {
        snprintf(out, room, "%s", endpoint);
        return 0;
    }
    if (guard->insecure > 0 && !everywhere)
        return sl_error_set(err, -EPERM,
                            "\"%s\" could be reached by everybody in the network, and --insecure "
                            "asks nobody for keys; use tcp://127.0.0.1%s, or say --insecure twice",
                            endpoint, port);
    snprintf(out, room, "tcp://%s%s", endpoint[6] == '[' ? "[::1]" : "127.0.0.1", port);
    return 0;
}

/* A port that was drawn once is the one that others know. */
static void keep_port(char *endpoint, size_t room, const char *bound)
{
    char *port = strrchr(endpoint, ':'), *before = strrchr(bound, ':');
    if (strncmp(endpoint, "tcp://", 6) == 0 && before != NULL &&
        (strcmp(port, ":*") == 0 || strcmp(port, ":0") == 0))
        snprintf(port, room - (size_t)(port - endpoint), "%s", before);
}

/* ---- listening ---- */

int sl_guard_listen(struct sl_guard *guard, struct sl_guard_socket *s, struct sl_error *err)
{
    char endpoint[sizeof s->bound];
    s->socket = NULL;
    s->epoch = guard->epoch;
    int rc = reach(guard, s->endpoint, endpoint, sizeof endpoint, err);
    if (rc == 0)
        keep_port(endpoint, sizeof endpoint, s->bound);
    if (rc == 0)
        rc = sl_link_make(&s->socket, guard->context, s->kind, s->options, endpoint, err);
    if (rc == 0 && guard->zap != NULL)
        rc = sl_zap_guard(guard->zap, s->socket, &guard->own, err);
    if (rc == 0)
        rc = sl_link_bind(s->socket, endpoint, s->bound, sizeof s->bound, err);
    if (rc != 0)
        sl_guard_hang_up(s);
    return rc;
}

void sl_guard_hang_up(struct sl_guard_socket *s)
{
    if (s->socket != NULL)
        zmq_close(s->socket);
    s->socket = NULL;
}

bool sl_guard_tend(struct sl_guard *guard, struct sl_guard_socket *s, uint64_t now_ns)
{
    struct sl_error err;
    if (now_ns >= guard->looked_ns + TEND_NS) {
        guard->looked_ns = now_ns;
        guard->epoch = current_epoch(guard);
    }
    if (s->socket != NULL && s->epoch == guard->epoch)
        return false;
    const bool first = s->socket != NULL;
    sl_guard_hang_up(s);
    const uint64_t give_up_ns = sl_clock_now_ns() + (first ? AGAIN_NS : 0);
    while (sl_guard_listen(guard, s, &err) == -EADDRINUSE && sl_clock_now_ns() < give_up_ns)
        sl_clock_sleep_until_ns(sl_clock_now_ns() + PAUSE_NS);
    return true;
}

int sl_guard_sender(struct sl_guard *guard, void *message, struct sl_keys_entry *who)
{
    if (guard->zap == NULL) {
        *who = (struct sl_keys_entry){.role = SL_ROLE_DRIVER};
        return 0;
    }
    const int rc = sl_zap_user(guard->zap, zmq_msg_gets(message, SL_ZAP_USER_ID), who);
    guard->revoked += rc != 0;
    return rc;
}

void sl_guard_counts(const struct sl_guard *guard, struct sl_guard_counts *counts)
{
    struct sl_zap_counts zap = {0};
    if (guard->zap != NULL)
        sl_zap_counts(guard->zap, &zap);
    *counts =
        (struct sl_guard_counts){.denied = zap.denied + zap.malformed, .revoked = guard->revoked};
}

bool sl_guard_insecure(const struct sl_guard *guard)
{
    return guard->zap == NULL;
}

/* ---- the other side ---- */

/* The host in tcp://HOST:PORT, without the brackets of IPv6; "" of other transports. */
static void host_of(const char *endpoint, char *host, size_t room)
{
    host[0] = '\0';
    const char *end = strrchr(endpoint, ':');
    if (strncmp(endpoint, "tcp://", 6) != 0 || end <= endpoint + 6)
        return;
    const char *begin = endpoint + 6;
    if (*begin == '[' && end[-1] == ']') {
        begin++;
        end--;
    }
    snprintf(host, room, "%.*s", (int)(end - begin), begin);
}

static int vehicle_key(const char *folder, const char *endpoint, char key[SL_KEYS_TEXT],
                       struct sl_error *err)
{
    struct sl_keys_list vehicles;
    struct sl_keys_pair local;
    char host[SL_KEYS_NAME];
    host_of(endpoint, host, sizeof host);
    int rc = sl_keys_read(folder, SL_KEYS_VEHICLES, &vehicles, err);
    if (rc != 0)
        return rc;
    const struct sl_keys_entry *found = sl_keys_find_name(&vehicles, host);
    if (found != NULL) {
        memcpy(key, found->public_key, SL_KEYS_TEXT);
        return 0;
    }
    if (!is_local(endpoint))
        return sl_error_set(err, -ENOKEY,
                            "not paired with %s: start \"skylane pair\" there, then \"skylane pair "
                            "--join %s\" here",
                            host, host);
    rc = sl_keys_own(folder, SL_KEYS_OF_VEHICLE, &local, err);
    if (rc == 0)
        memcpy(key, local.public_key, SL_KEYS_TEXT);
    sl_keys_pair_wipe(&local);
    return rc;
}

int sl_guard_present(void *socket, const char *endpoint, bool insecure, struct sl_error *err)
{
    char folder[PATH_MAX], key[SL_KEYS_TEXT];
    struct sl_keys_pair own = {0};
    if (insecure)
        return 0;
    int rc = sl_keys_folder(folder, sizeof folder, err);
    if (rc == 0)
        rc = vehicle_key(folder, endpoint, key, err);
    if (rc == 0)
        rc = sl_keys_own(folder, SL_KEYS_OF_CLIENT, &own, err);
    if (rc == 0)
        rc = sl_zap_present(socket, &own, key, err);
    sl_keys_pair_wipe(&own);
    return rc;
}
