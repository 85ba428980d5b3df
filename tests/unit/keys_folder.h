/* A folder for keys that a test may spoil. */
#ifndef SL_TESTS_UNIT_KEYS_FOLDER_H
#define SL_TESTS_UNIT_KEYS_FOLDER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <zmq.h>

#include "net/keys.h"

/* Below a fresh folder of the test's; itself not made yet. */
static inline void keys_folder_begin(char *folder, size_t size)
{
    char root[] = "/tmp/sl-keys-XXXXXX";
    assert_non_null(mkdtemp(root));
    assert_true(snprintf(folder, size, "%s/keys", root) < (int)size);
}

static inline void keys_folder_end(const char *folder)
{
    char command[256];
    snprintf(command, sizeof command, "rm -rf %.*s", (int)(strlen(folder) - strlen("/keys")),
             folder);
    assert_int_equal(system(command), 0);
}

static inline struct sl_keys_entry keys_entry(const char *key, enum sl_role role, const char *name)
{
    struct sl_keys_entry entry = {.role = role};
    snprintf(entry.public_key, sizeof entry.public_key, "%s", key);
    snprintf(entry.name, sizeof entry.name, "%s", name);
    return entry;
}

static inline struct sl_keys_pair keys_fresh(void)
{
    struct sl_keys_pair pair;
    assert_int_equal(zmq_curve_keypair(pair.public_key, pair.secret_key), 0);
    return pair;
}

static inline void keys_allow(const char *folder, const char *key, enum sl_role role,
                              const char *name)
{
    struct sl_error err = {0};
    const struct sl_keys_entry entry = keys_entry(key, role, name);
    if (sl_keys_add(folder, SL_KEYS_ALLOWED, &entry, NULL, &err) != 0)
        fail_msg("%s", err.text);
}

/* A server with the key that clients of the folder's user expect on this machine;
 * lets everybody in. */
static inline void keys_be_vehicle(void *socket, const char *folder)
{
    struct sl_keys_pair own;
    struct sl_error err = {0};
    const int yes = 1;
    if (sl_keys_own(folder, SL_KEYS_OF_VEHICLE, &own, &err) != 0)
        fail_msg("%s", err.text);
    assert_int_equal(zmq_setsockopt(socket, ZMQ_CURVE_SERVER, &yes, sizeof yes), 0);
    assert_int_equal(
        zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, own.secret_key, sizeof own.secret_key), 0);
}

static inline unsigned keys_rights(const char *folder, const char *name)
{
    char path[512];
    struct stat st;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_int_equal(lstat(path, &st), 0);
    return st.st_mode & 07777;
}

#endif
