/* Key pairs, and who was paired: files that only their owner can read.
 *
 * In the folder of sl_keys_folder():
 *
 *   vehicle.key  the vehicle's own CURVE key pair
 *   allowed      who may talk to the vehicle, one line a client:
 *                PUBLIC-KEY viewer|driver NAME
 *   client.key   the laptop's own key pair
 *   vehicles     the vehicles that it knows, one line each:
 *                PUBLIC-KEY HOST
 *
 * Keys are written in Z85 (ZeroMQ RFC 32), 40 characters without blanks. Empty
 * lines and lines that begin with # are comments, and stay when a list is
 * changed. The folder must have the rights 0700 and each file 0600, and belong
 * to the caller: all else is refused, for whoever can write `allowed` can
 * drive, and whoever can read a secret key can pretend to be its owner. Files
 * are replaced as a whole, also in a power cut; programs that change one at the
 * same time wait for each other.
 *
 * Any thread; nothing is kept between calls. Every function that takes a folder
 * blocks as the disk does, for writing until the bytes have reached it, and is
 * not for real-time loops. */
#ifndef SL_NET_KEYS_H
#define SL_NET_KEYS_H

#include <stdbool.h>
#include <stddef.h>

#include "net/role.h"
#include "rt/error.h"

#define SL_KEYS_TEXT 41 /* a key in Z85, terminated */
#define SL_KEYS_NAME 64 /* a name, terminated */
#define SL_KEYS_MAX  64 /* entries in a list */

struct sl_keys_pair {
    char public_key[SL_KEYS_TEXT];
    char secret_key[SL_KEYS_TEXT];
};

struct sl_keys_entry {
    char public_key[SL_KEYS_TEXT];
    enum sl_role role;       /* of a vehicle: none */
    char name[SL_KEYS_NAME]; /* of a vehicle: its host */
};

enum sl_keys_which { SL_KEYS_OF_VEHICLE, SL_KEYS_OF_CLIENT };
enum sl_keys_kind { SL_KEYS_ALLOWED, SL_KEYS_VEHICLES };

struct sl_keys_list {
    size_t count;
    struct sl_keys_entry entries[SL_KEYS_MAX];
};

/* ---- words ---- */

/* 1 to 63 letters, digits and any of . _ - @ : % [ ], so that names need no
 * quotes in files, in user ids and on screens. */
bool sl_keys_name_good(const char *name);

/* What this machine is called, with "-" for what names may not hold. */
void sl_keys_host_name(char name[SL_KEYS_NAME]);

/* 40 characters of Z85 that are a key. */
bool sl_keys_key_good(const char *key);

/* ---- files ---- */

/* The folder to be used: $SKYLANE_KEYS; else for root /etc/skylane/keys; else
 * $XDG_CONFIG_HOME/skylane/keys or ~/.config/skylane/keys. Makes nothing.
 * 0; -ENAMETOOLONG, or -ENOENT (no home) with a sentence. */
int sl_keys_folder(char *path, size_t size, struct sl_error *err);

/* Reads the own key pair; makes folder and pair if they are not there. The
 * caller wipes `pair` with sl_keys_pair_wipe(). 0; -EACCES (whose rights or
 * owner are not safe), -EPROTO (no such file's content, or its halves are no
 * pair), -ENOTSUP (libzmq without CURVE), -EROFS, -ENOSPC and the like with a
 * sentence that tells the remedy. */
int sl_keys_own(const char *folder, enum sl_keys_which which, struct sl_keys_pair *pair,
                struct sl_error *err);

void sl_keys_pair_wipe(struct sl_keys_pair *pair);

/* Where a list lies. 0 or -ENAMETOOLONG. */
int sl_keys_path(const char *folder, enum sl_keys_kind kind, char *path, size_t size);

/* Reads a list; one that is not there, or whose folder is not, is empty.
 * 0; -EACCES as above, -EPROTO (with file and line), -E2BIG (more than
 * SL_KEYS_MAX). After an error the list is empty. */
int sl_keys_read(const char *folder, enum sl_keys_kind kind, struct sl_keys_list *list,
                 struct sl_error *err);

/* Adds an entry in place of those of the same name or the same key, whose
 * number goes to `replaced` (NULL: not asked for). Makes folder and file if
 * they are not there. 0; -EINVAL (key, role or name are none), -E2BIG, or as
 * sl_keys_read() and as writing fails. */
int sl_keys_add(const char *folder, enum sl_keys_kind kind, const struct sl_keys_entry *entry,
                size_t *replaced, struct sl_error *err);

/* Removes the entry of a name. 0; -ENOENT (nobody is called so), or as above. */
int sl_keys_remove(const char *folder, enum sl_keys_kind kind, const char *name,
                   struct sl_error *err);

/* ---- look-ups ---- */

/* Belong to the list; NULL if there is none. Public keys are no secrets: the
 * comparison's time tells nothing worth hiding. */
const struct sl_keys_entry *sl_keys_find(const struct sl_keys_list *list, const char *public_key);
const struct sl_keys_entry *sl_keys_find_name(const struct sl_keys_list *list, const char *name);

#endif
