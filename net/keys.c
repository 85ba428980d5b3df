/* All files are reached through a descriptor of their folder, whose owner and
 * rights were checked: what was checked is what is used. */
#include "net/keys.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>
#include <zmq.h>

#include "rt/outfile.h"

#define FILE_MAX   65536 /* bytes of a list, with its comments */
#define LINE_BYTES 256   /* key, role and name take 112 at the most; comments may take more */
#define PART       ".part"

/* ---- words ---- */

bool sl_keys_name_good(const char *name)
{
    const size_t length = strnlen(name, SL_KEYS_NAME);
    return length > 0 && length < SL_KEYS_NAME &&
           strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-@:%[]") ==
               length;
}

void sl_keys_host_name(char name[SL_KEYS_NAME])
{
    char letter[2] = "";
    if (gethostname(name, SL_KEYS_NAME) != 0 || name[0] == '\0')
        snprintf(name, SL_KEYS_NAME, "skylane");
    name[SL_KEYS_NAME - 1] = '\0';
    for (char *at = name; *at != '\0'; at++) {
        letter[0] = *at;
        if (!sl_keys_name_good(letter))
            *at = '-';
    }
}

bool sl_keys_key_good(const char *key)
{
    uint8_t bytes[32];
    /* zmq_z85_decode() reads characters that are none as it likes. */
    return strnlen(key, SL_KEYS_TEXT) == SL_KEYS_TEXT - 1 &&
           strspn(key, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                       ".-:+=^!/*?&<>()[]{}@%$#") == SL_KEYS_TEXT - 1 &&
           zmq_z85_decode(bytes, key) != NULL;
}

static const char *own_name(enum sl_keys_which which)
{
    return which == SL_KEYS_OF_VEHICLE ? "vehicle.key" : "client.key";
}

static const char *list_name(enum sl_keys_kind kind)
{
    return kind == SL_KEYS_ALLOWED ? "allowed" : "vehicles";
}

/* ---- folders ---- */

int sl_keys_folder(char *path, size_t size, struct sl_error *err)
{
    const char *chosen = getenv("SKYLANE_KEYS"), *config = getenv("XDG_CONFIG_HOME");
    const char *home = getenv("HOME");
    int n;
    if (home == NULL || home[0] != '/') {
        const struct passwd *user = getpwuid(geteuid());
        home = user != NULL ? user->pw_dir : NULL;
    }
    if (chosen != NULL && chosen[0] != '\0')
        n = snprintf(path, size, "%s", chosen);
    else if (geteuid() == 0)
        n = snprintf(path, size, "/etc/skylane/keys");
    else if (config != NULL && config[0] == '/')
        n = snprintf(path, size, "%s/skylane/keys", config);
    else if (home != NULL)
        n = snprintf(path, size, "%s/.config/skylane/keys", home);
    else
        return sl_error_set(err, -ENOENT,
                            "there is no home folder to keep keys in; set SKYLANE_KEYS to a "
                            "folder");
    if (n < 0 || (size_t)n >= size)
        return sl_error_set(err, -ENAMETOOLONG, "the name of the folder for keys is too long");
    return 0;
}

/* Makes the folder with those above it. 0 or an errno. */
static int make_folders(const char *path)
{
    char part[PATH_MAX];
    const size_t length = strlen(path);
    if (length == 0 || length >= sizeof part)
        return ENAMETOOLONG;
    memcpy(part, path, length + 1);
    for (char *at = part + 1; *at != '\0'; at++) {
        if (*at != '/')
            continue;
        *at = '\0';
        if (mkdir(part, 0755) != 0 && errno != EEXIST)
            return errno;
        *at = '/';
    }
    if (mkdir(part, 0700) != 0 && errno != EEXIST)
        return errno;
    return 0;
}

/* Whether nobody else can read or write it. `rights` is what it should have. */
static int check_rights(const struct stat *st, const char *path, const char *rights,
                        struct sl_error *err)
{
    if (st->st_uid != geteuid())
        return sl_error_set(err, -EACCES,
                            "%s belongs to another user (number %u); run this as that user, or "
                            "set SKYLANE_KEYS to a folder of your own",
                            path, (unsigned)st->st_uid);
    if ((st->st_mode & 077) != 0)
        return sl_error_set(err, -EACCES,
                            "others may read or change %s; if nobody has, correct it with \"chmod "
                            "%s %s\", else remove it and pair again",
                            path, rights, path);
    return 0;
}

/* A descriptor of the folder, locked if it is to be changed; or a negative
 * errno with a sentence: -ENOENT (there is none, and none is to be made). */
static int open_folder(const char *folder, bool change, struct sl_error *err)
{
    struct stat st;
    if (change) {
        const int code = make_folders(folder);
        if (code != 0)
            return sl_error_set(err, -code, "cannot make the folder %s for keys: %s%s", folder,
                                strerror(code), sl_outfile_way_out(code));
    }
    const int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        const int code = errno;
        return sl_error_set(err, -code, "cannot open the folder %s: %s", folder, strerror(code));
    }
    int rc = fstat(fd, &st) == 0 ? check_rights(&st, folder, "700", err)
                                 : sl_error_set(err, -errno, "%s: %s", folder, strerror(errno));
    while (rc == 0 && change && flock(fd, LOCK_EX) != 0) {
        if (errno != EINTR)
            rc = sl_error_set(err, -errno, "cannot lock %s: %s", folder, strerror(errno));
    }
    if (rc != 0) {
        close(fd);
        return rc;
    }
    return fd;
}

/* ---- files as a whole ---- */

/* Reads a file into `text` of FILE_MAX + 1 bytes, terminated. The number of
 * bytes, or a negative errno with a sentence; -ENOENT if it is not there. */
static ssize_t read_file(int dir, const char *folder, const char *name, char *text,
                         struct sl_error *err)
{
    char path[PATH_MAX];
    struct stat st;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    /* O_NONBLOCK: a pipe of this name would wait for its writer. */
    const int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 && errno == ELOOP)
        return sl_error_set(err, -EACCES, "%s is a link; put the file itself there", path);
    if (fd < 0) {
        const int code = errno;
        return sl_error_set(err, -code, "cannot read %s: %s", path, strerror(code));
    }
    ssize_t rc = fstat(fd, &st) == 0 ? check_rights(&st, path, "600", err)
                                     : sl_error_set(err, -errno, "%s: %s", path, strerror(errno));
    if (rc == 0 && !S_ISREG(st.st_mode))
        rc = sl_error_set(err, -EACCES, "%s is no file; remove it", path);
    size_t length = 0;
    while (rc == 0) {
        const ssize_t n = read(fd, text + length, FILE_MAX + 1 - length);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            rc = sl_error_set(err, -errno, "cannot read %s: %s", path, strerror(errno));
        if (n <= 0)
            break;
        length += (size_t)n;
        if (length > FILE_MAX)
            rc = sl_error_set(err, -EPROTO, "%s is larger than %d bytes; remove what is no key",
                              path, FILE_MAX);
    }
    close(fd);
    if (rc != 0)
        return rc;
    if (memchr(text, '\0', length) != NULL)
        return sl_error_set(err, -EPROTO, "%s holds bytes that are no text; remove them", path);
    text[length] = '\0';
    return (ssize_t)length;
}

static int write_all(int fd, const char *text, size_t length)
{
    while (length > 0) {
        const ssize_t n = write(fd, text, length);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno;
        text += n;
        length -= (size_t)n;
    }
    return fsync(fd) == 0 ? 0 : errno;
}

/* Replaces a file as a whole. The folder is locked. */
static int write_file(int dir, const char *folder, const char *name, const char *text,
                      size_t length, struct sl_error *err)
{
    char part[32];
    int code = 0;
    snprintf(part, sizeof part, "%s" PART, name);
    /* One that a power cut has left, perhaps with other rights. */
    (void)unlinkat(dir, part, 0);
    const int fd = openat(dir, part, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        code = errno;
    /* The umask may have taken even the owner's rights. */
    if (code == 0 && fchmod(fd, 0600) != 0)
        code = errno;
    if (code == 0)
        code = write_all(fd, text, length);
    if (fd >= 0 && close(fd) != 0 && code == 0)
        code = errno;
    if (code == 0 && renameat(dir, part, dir, name) != 0)
        code = errno;
    if (code == 0 && fsync(dir) != 0)
        code = errno;
    if (code == 0)
        return 0;
    (void)unlinkat(dir, part, 0);
    return sl_error_set(err, -code, "cannot write %s/%s: %s%s", folder, name, strerror(code),
                        sl_outfile_way_out(code));
}

/* ---- own pairs ---- */

static int make_pair(int dir, const char *folder, const char *name, struct sl_keys_pair *pair,
                     struct sl_error *err)
{
    char text[256];
    if (zmq_curve_keypair(pair->public_key, pair->secret_key) != 0)
        return sl_error_set(err, -ENOTSUP,
                            "this libzmq has no CURVE encryption; use one that was built with "
                            "libsodium, as Debian's is");
    const int n = snprintf(text, sizeof text,
                           "# Whoever knows the secret key can pretend to be this machine.\n"
                           "public %s\n"
                           "secret %s\n",
                           pair->public_key, pair->secret_key);
    const int rc = write_file(dir, folder, name, text, (size_t)n, err);
    sodium_memzero(text, sizeof text);
    return rc;
}

/* The rest of a line that begins with `word` and a blank; NULL: another line. */
static const char *after(const char *line, const char *word)
{
    const size_t length = strlen(word);
    return strncmp(line, word, length) == 0 && line[length] == ' ' ? line + length + 1 : NULL;
}

static int parse_pair(char *text, const char *path, struct sl_keys_pair *pair, struct sl_error *err)
{
    char *rest = NULL, derived[SL_KEYS_TEXT];
    *pair = (struct sl_keys_pair){0};
    for (char *line = strtok_r(text, "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest)) {
        const char *public_key = after(line, "public"), *secret_key = after(line, "secret");
        if (line[0] == '#')
            continue;
        if (public_key != NULL && pair->public_key[0] == '\0' && sl_keys_key_good(public_key))
            memcpy(pair->public_key, public_key, SL_KEYS_TEXT);
        else if (secret_key != NULL && pair->secret_key[0] == '\0' && sl_keys_key_good(secret_key))
            memcpy(pair->secret_key, secret_key, SL_KEYS_TEXT);
        else
            goto bad;
    }
    if (pair->public_key[0] == '\0' || pair->secret_key[0] == '\0' ||
        zmq_curve_public(derived, pair->secret_key) != 0 || strcmp(derived, pair->public_key) != 0)
        goto bad;
    return 0;
bad:
    sl_keys_pair_wipe(pair);
    return sl_error_set(
        err, -EPROTO, "%s holds no key pair; put its copy back, or remove it and pair again", path);
}

int sl_keys_own(const char *folder, enum sl_keys_which which, struct sl_keys_pair *pair,
                struct sl_error *err)
{
    char path[PATH_MAX];
    *pair = (struct sl_keys_pair){0};
    char *text = malloc(FILE_MAX + 2);
    if (text == NULL)
        return sl_error_set(err, -ENOMEM, "no memory to read keys");
    snprintf(path, sizeof path, "%s/%s", folder, own_name(which));
    const int dir = open_folder(folder, true, err);
    int rc = dir < 0 ? dir : 0;
    if (rc == 0) {
        const ssize_t n = read_file(dir, folder, own_name(which), text, err);
        if (n == -ENOENT)
            rc = make_pair(dir, folder, own_name(which), pair, err);
        else
            rc = n < 0 ? (int)n : parse_pair(text, path, pair, err);
        close(dir);
    }
    sodium_memzero(text, FILE_MAX + 2);
    free(text);
    if (rc != 0)
        sl_keys_pair_wipe(pair);
    return rc;
}

void sl_keys_pair_wipe(struct sl_keys_pair *pair)
{
    sodium_memzero(pair, sizeof *pair);
}

/* ---- lists ---- */

int sl_keys_path(const char *folder, enum sl_keys_kind kind, char *path, size_t size)
{
    const int n = snprintf(path, size, "%s/%s", folder, list_name(kind));
    return n < 0 || (size_t)n >= size ? -ENAMETOOLONG : 0;
}

/* Takes one field off a line. False: there is none, or it is too long. */
static bool take_field(const char **at, char *field, size_t size)
{
    *at += strspn(*at, " \t");
    const size_t length = strcspn(*at, " \t");
    if (length == 0 || length >= size)
        return false;
    memcpy(field, *at, length);
    field[length] = '\0';
    *at += length;
    return true;
}

/* What is wrong with a line; NULL: nothing. */
static const char *parse_line(const char *line, enum sl_keys_kind kind, struct sl_keys_entry *entry)
{
    char role[16];
    const char *at = line;
    *entry = (struct sl_keys_entry){0};
    if (!take_field(&at, entry->public_key, sizeof entry->public_key) ||
        !sl_keys_key_good(entry->public_key))
        return "does not begin with a key of 40 characters";
    if (kind == SL_KEYS_ALLOWED) {
        if (!take_field(&at, role, sizeof role) ||
            (entry->role = sl_role_parse(role)) == SL_ROLE_NONE)
            return "has no \"viewer\" or \"driver\" behind the key";
    }
    if (!take_field(&at, entry->name, sizeof entry->name) || !sl_keys_name_good(entry->name))
        return "has no name of 1 to 63 letters, digits and .-_@ behind that";
    if (at[strspn(at, " \t")] != '\0')
        return "has more behind the name";
    return NULL;
}

/* No key begins with a #: it is Z85's last digit, and the first of the five for
 * 32 bits is one of the first 83. */
static bool is_comment(const char *line)
{
    const char first = line[strspn(line, " \t")];
    return first == '\0' || first == '#';
}

/* A list's new text: the old lines, comments too, but for entries of this name
 * or this key (NULL: none). */
struct rewrite {
    char *kept; /* has room for the old text and a line more */
    size_t length;
    const char *drop_name, *drop_key;
    size_t dropped;
};

static bool is_dropped(const struct rewrite *rewrite, const struct sl_keys_entry *entry)
{
    return (rewrite->drop_name != NULL && strcmp(entry->name, rewrite->drop_name) == 0) ||
           (rewrite->drop_key != NULL && strcmp(entry->public_key, rewrite->drop_key) == 0);
}

/* Reads a list's text; `rewrite` may be NULL. */
static int parse_list(const char *text, const char *path, enum sl_keys_kind kind,
                      struct sl_keys_list *list, struct rewrite *rewrite, struct sl_error *err)
{
    char line[LINE_BYTES];
    unsigned number = 0;
    list->count = 0;
    for (const char *at = text; *at != '\0';) {
        const size_t length = strcspn(at, "\n");
        const char *wrong = NULL;
        struct sl_keys_entry entry;
        bool keep = true;
        number++;
        if (length >= sizeof line)
            return sl_error_set(err, -EPROTO, "%s:%u: the line is too long; correct or remove it",
                                path, number);
        memcpy(line, at, length);
        line[length] = '\0';
        at += length + (at[length] == '\n');
        if (!is_comment(line)) {
            wrong = parse_line(line, kind, &entry);
            if (wrong == NULL && sl_keys_find(list, entry.public_key) != NULL)
                wrong = "has a key that is listed before";
            if (wrong == NULL && sl_keys_find_name(list, entry.name) != NULL)
                wrong = "has a name that is listed before";
            if (wrong != NULL)
                return sl_error_set(err, -EPROTO, "%s:%u: the line %s; correct or remove it", path,
                                    number, wrong);
            if (list->count == SL_KEYS_MAX)
                return sl_error_set(err, -E2BIG, "%s:%u: it lists more than %d", path, number,
                                    SL_KEYS_MAX);
            list->entries[list->count++] = entry;
            keep = rewrite == NULL || !is_dropped(rewrite, &entry);
        }
        if (rewrite == NULL)
            continue;
        rewrite->dropped += !keep;
        if (keep) {
            memcpy(rewrite->kept + rewrite->length, line, length);
            rewrite->length += length;
            rewrite->kept[rewrite->length++] = '\n';
        }
    }
    return 0;
}

int sl_keys_read(const char *folder, enum sl_keys_kind kind, struct sl_keys_list *list,
                 struct sl_error *err)
{
    char path[PATH_MAX];
    list->count = 0;
    if (sl_keys_path(folder, kind, path, sizeof path) != 0)
        return sl_error_set(err, -ENAMETOOLONG, "the name of the folder for keys is too long");
    const int dir = open_folder(folder, false, err);
    if (dir == -ENOENT)
        return 0;
    if (dir < 0)
        return dir;
    char *text = malloc(FILE_MAX + 2);
    int rc = text != NULL ? 0 : sl_error_set(err, -ENOMEM, "no memory to read keys");
    if (rc == 0) {
        const ssize_t n = read_file(dir, folder, list_name(kind), text, err);
        if (n >= 0)
            rc = parse_list(text, path, kind, list, NULL, err);
        else if (n != -ENOENT)
            rc = (int)n;
    }
    if (rc != 0)
        list->count = 0;
    free(text);
    close(dir);
    return rc;
}

/* Reads the list, leaves out what is to be dropped, adds a line ("" for none)
 * and writes it. If nothing changes, nothing is written. */
static int change_list(const char *folder, enum sl_keys_kind kind, struct rewrite *rewrite,
                       const char *line, struct sl_error *err)
{
    char path[PATH_MAX];
    struct sl_keys_list list;
    if (sl_keys_path(folder, kind, path, sizeof path) != 0)
        return sl_error_set(err, -ENAMETOOLONG, "the name of the folder for keys is too long");
    char *text = malloc(2 * (FILE_MAX + 2) + LINE_BYTES);
    if (text == NULL)
        return sl_error_set(err, -ENOMEM, "no memory to change keys");
    const int dir = open_folder(folder, true, err);
    int rc = dir < 0 ? dir : 0;
    if (rc == 0) {
        const ssize_t n = read_file(dir, folder, list_name(kind), text, err);
        if (n < 0 && n != -ENOENT)
            rc = (int)n;
        if (n == -ENOENT)
            snprintf(text, FILE_MAX, "%s",
                     kind == SL_KEYS_ALLOWED ? "# key, viewer or driver, name\n"
                                             : "# key of the vehicle, host\n");
    }
    rewrite->kept = text + FILE_MAX + 2;
    if (rc == 0)
        rc = parse_list(text, path, kind, &list, rewrite, err);
    if (rc == 0 && line[0] != '\0' && list.count - rewrite->dropped >= SL_KEYS_MAX)
        rc = sl_error_set(err, -E2BIG, "%s is full with %d; remove one first", path, SL_KEYS_MAX);
    if (rc == 0 && rewrite->length + strlen(line) > FILE_MAX)
        rc = sl_error_set(err, -E2BIG, "%s is full of comments; remove some", path);
    if (rc == 0 && (rewrite->dropped > 0 || line[0] != '\0')) {
        memcpy(rewrite->kept + rewrite->length, line, strlen(line));
        rc = write_file(dir, folder, list_name(kind), rewrite->kept, rewrite->length + strlen(line),
                        err);
    }
    if (dir >= 0)
        close(dir);
    free(text);
    return rc;
}

int sl_keys_add(const char *folder, enum sl_keys_kind kind, const struct sl_keys_entry *entry,
                size_t *replaced, struct sl_error *err)
{
    char line[LINE_BYTES];
    if (!sl_keys_key_good(entry->public_key) || !sl_keys_name_good(entry->name) ||
        (kind == SL_KEYS_ALLOWED) != (entry->role != SL_ROLE_NONE))
        return sl_error_set(err, -EINVAL, "this is no key with role and name");
    if (kind == SL_KEYS_ALLOWED)
        snprintf(line, sizeof line, "%s %s %s\n", entry->public_key, sl_role_text(entry->role),
                 entry->name);
    else
        snprintf(line, sizeof line, "%s %s\n", entry->public_key, entry->name);
    struct rewrite rewrite = {.drop_name = entry->name, .drop_key = entry->public_key};
    const int rc = change_list(folder, kind, &rewrite, line, err);
    if (replaced != NULL)
        *replaced = rewrite.dropped;
    return rc;
}

int sl_keys_remove(const char *folder, enum sl_keys_kind kind, const char *name,
                   struct sl_error *err)
{
    struct rewrite rewrite = {.drop_name = name};
    const int rc = change_list(folder, kind, &rewrite, "", err);
    if (rc == 0 && rewrite.dropped == 0)
        return sl_error_set(err, -ENOENT, "nobody is listed as \"%s\"", name);
    return rc;
}

const struct sl_keys_entry *sl_keys_find(const struct sl_keys_list *list, const char *public_key)
{
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->entries[i].public_key, public_key) == 0)
            return &list->entries[i];
    return NULL;
}

const struct sl_keys_entry *sl_keys_find_name(const struct sl_keys_list *list, const char *name)
{
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->entries[i].name, name) == 0)
            return &list->entries[i];
    return NULL;
}
