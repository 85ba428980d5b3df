/* One thread with two sockets: the REP that libzmq's connections ask, and one
 * end of a pair through which sl_zap_stop() ends it, so that it sleeps while
 * nobody connects.
 *
 * The list is shared with threads that ask sl_zap_user(): a mutex guards it. */
#include "net/zap.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <zmq.h>

#include "net/link.h"
#include "rt/thread.h"

#define ENDPOINT "inproc://zeromq.zap.01"
#define VERSION  "1.0"

/* A handler that is gone must not open the door: libzmq then lets every key in
 * unless this is set. zmq.h 4.3 still calls it a draft, and libzmq 4.3 knows it. */
#ifndef ZMQ_ZAP_ENFORCE_DOMAIN
#define ZMQ_ZAP_ENFORCE_DOMAIN 93
#endif

/* What tells one state of a file from another. */
struct stamp {
    bool there;
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec modified, changed; /* "changed" also moves with the file's rights */
};

struct sl_zap {
    char folder[PATH_MAX];
    char path[PATH_MAX];
    void *questions; /* the thread's, once it runs */
    void *stop_here; /* the thread's */
    void *stop_from; /* of whoever calls sl_zap_stop() */
    struct sl_thread thread;
    _Atomic uint64_t accepted, denied, malformed;

    pthread_mutex_t lock; /* guards what follows */
    struct stamp file_stamp, folder_stamp;
    struct sl_keys_list list;
    struct sl_keys_entry own; /* let in without being listed; no key: nobody */
    int list_rc;
    struct sl_error list_error;
    uint64_t revision;
};

/* ---- the list ---- */

static bool same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static bool same_stamp(const struct stamp *a, const struct stamp *b)
{
    return a->there == b->there && a->device == b->device && a->inode == b->inode &&
           a->size == b->size && same_time(a->modified, b->modified) &&
           same_time(a->changed, b->changed);
}

static struct stamp stamp_of(const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return (struct stamp){0};
    return (struct stamp){.there = true,
                          .device = st.st_dev,
                          .inode = st.st_ino,
                          .size = st.st_size,
                          .modified = st.st_mtim,
                          .changed = st.st_ctim};
}

static const struct sl_keys_entry *find(const struct sl_zap *zap, const struct sl_keys_list *list,
                                        const char *public_key)
{
    const struct sl_keys_entry *found = sl_keys_find(list, public_key);
    if (found == NULL && strcmp(zap->own.public_key, public_key) == 0)
        return &zap->own;
    return found;
}

static bool let_in(const struct sl_zap *zap, const struct sl_keys_list *list,
                   const struct sl_keys_entry *entry)
{
    const struct sl_keys_entry *found = find(zap, list, entry->public_key);
    return found != NULL && found->role == entry->role && strcmp(found->name, entry->name) == 0;
}

/* Reads the list again if it is not the one that was read. With the lock. */
static void refresh(struct sl_zap *zap)
{
    struct sl_keys_list list;
    /* Before reading: what is written meanwhile is then read the next time. */
    const struct stamp file = stamp_of(zap->path), folder = stamp_of(zap->folder);
    if (zap->list_rc == 0 && same_stamp(&file, &zap->file_stamp) &&
        same_stamp(&folder, &zap->folder_stamp))
        return;
    zap->list_error.text[0] = '\0';
    zap->list_rc = sl_keys_read(zap->folder, SL_KEYS_ALLOWED, &list, &zap->list_error);
    zap->file_stamp = file;
    zap->folder_stamp = folder;
    for (size_t i = 0; i < zap->list.count; i++) {
        if (!let_in(zap, &list, &zap->list.entries[i])) {
            zap->revision++;
            break;
        }
    }
    zap->list = list;
}

int sl_zap_user(struct sl_zap *zap, const char *user_id, struct sl_keys_entry *entry)
{
    struct sl_keys_entry user = {0};
    char role[8];
    int end = 0;
    /* 63 and 40 are SL_KEYS_NAME - 1 and SL_KEYS_TEXT - 1. */
    if (user_id == NULL ||
        sscanf(user_id, "%7s %63s %40s%n", role, user.name, user.public_key, &end) != 3 ||
        user_id[end] != '\0' || !sl_keys_name_good(user.name) ||
        !sl_keys_key_good(user.public_key) || (user.role = sl_role_parse(role)) == SL_ROLE_NONE)
        return -EPROTO;
    pthread_mutex_lock(&zap->lock);
    refresh(zap);
    const bool good = let_in(zap, &zap->list, &user);
    pthread_mutex_unlock(&zap->lock);
    if (!good)
        return -EPERM;
    if (entry != NULL)
        *entry = user;
    return 0;
}

uint64_t sl_zap_revision(struct sl_zap *zap)
{
    pthread_mutex_lock(&zap->lock);
    refresh(zap);
    const uint64_t revision = zap->revision;
    pthread_mutex_unlock(&zap->lock);
    return revision;
}

size_t sl_zap_listed(struct sl_zap *zap)
{
    pthread_mutex_lock(&zap->lock);
    refresh(zap);
    const size_t count = zap->list.count;
    pthread_mutex_unlock(&zap->lock);
    return count;
}

int sl_zap_list_good(struct sl_zap *zap, struct sl_error *err)
{
    pthread_mutex_lock(&zap->lock);
    refresh(zap);
    const int rc = zap->list_rc;
    if (rc != 0)
        sl_error_set(err, rc, "%s", zap->list_error.text);
    pthread_mutex_unlock(&zap->lock);
    return rc;
}

void sl_zap_counts(const struct sl_zap *zap, struct sl_zap_counts *counts)
{
    counts->accepted = atomic_load_explicit(&zap->accepted, memory_order_relaxed);
    counts->denied = atomic_load_explicit(&zap->denied, memory_order_relaxed);
    counts->malformed = atomic_load_explicit(&zap->malformed, memory_order_relaxed);
}

/* ---- questions ---- */

enum { VERSION_PART, ID_PART, DOMAIN_PART, ADDRESS_PART, IDENTITY_PART, MECHANISM_PART, KEY_PART };
#define PARTS_MAX 7

struct question {
    size_t count; /* of parts that came, also those that are not kept */
    zmq_msg_t parts[PARTS_MAX];
};

/* Takes one question. False: none was there. */
static bool take(void *socket, struct question *question)
{
    int more = 1;
    question->count = 0;
    for (int i = 0; i < PARTS_MAX; i++)
        zmq_msg_init(&question->parts[i]);
    while (more) {
        zmq_msg_t rest, *part = &rest;
        zmq_msg_init(&rest);
        if (question->count < PARTS_MAX)
            part = &question->parts[question->count];
        if (zmq_msg_recv(part, socket, ZMQ_DONTWAIT) < 0) {
            zmq_msg_close(&rest);
            return false;
        }
        question->count++;
        more = zmq_msg_more(part);
        zmq_msg_close(&rest);
    }
    return true;
}

static void drop(struct question *question)
{
    for (int i = 0; i < PARTS_MAX; i++)
        zmq_msg_close(&question->parts[i]);
}

static bool part_is(struct question *question, size_t part, const char *text)
{
    const size_t length = strlen(text);
    return question->count > part && zmq_msg_size(&question->parts[part]) == length &&
           memcmp(zmq_msg_data(&question->parts[part]), text, length) == 0;
}

/* Decides. The status for the reply; 200 with the user id. */
static const char *judge(struct sl_zap *zap, struct question *question, char *user_id, size_t size,
                         const char **text)
{
    char key[SL_KEYS_TEXT];
    *text = "not a question of ZAP 1.0";
    if (!part_is(question, VERSION_PART, VERSION) || question->count <= MECHANISM_PART)
        return "500";
    if (!part_is(question, MECHANISM_PART, "CURVE") ||
        !part_is(question, DOMAIN_PART, SL_ZAP_DOMAIN)) {
        *text = "only CURVE, and only for " SL_ZAP_DOMAIN;
        return "400";
    }
    if (question->count != PARTS_MAX || zmq_msg_size(&question->parts[KEY_PART]) != 32 ||
        zmq_z85_encode(key, zmq_msg_data(&question->parts[KEY_PART]), 32) == NULL)
        return "500";
    *text = "this key was not paired";
    const char *status = "400";
    pthread_mutex_lock(&zap->lock);
    refresh(zap);
    const struct sl_keys_entry *entry = find(zap, &zap->list, key);
    if (entry != NULL) {
        snprintf(user_id, size, "%s %s %s", sl_role_text(entry->role), entry->name, key);
        *text = "";
        status = "200";
    }
    pthread_mutex_unlock(&zap->lock);
    return status;
}

static void count(struct sl_zap *zap, const char *status)
{
    _Atomic uint64_t *counter = status[0] == '2'   ? &zap->accepted
                                : status[0] == '5' ? &zap->malformed
                                                   : &zap->denied;
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

static void answer(struct sl_zap *zap)
{
    struct question question;
    char user_id[128] = "";
    const char *text;
    if (!take(zap->questions, &question)) {
        drop(&question);
        return;
    }
    const char *status = judge(zap, &question, user_id, sizeof user_id, &text);
    count(zap, status);
    zmq_msg_t *id = &question.parts[ID_PART];
    /* A question of one part has none, and gets an empty one. */
    const char *const parts[] = {status, text, user_id, ""};
    bool sent = zmq_send(zap->questions, VERSION, strlen(VERSION), ZMQ_SNDMORE) >= 0 &&
                zmq_send(zap->questions, zmq_msg_data(id), zmq_msg_size(id), ZMQ_SNDMORE) >= 0;
    for (size_t i = 0; sent && i < 4; i++)
        sent = zmq_send(zap->questions, parts[i], strlen(parts[i]), i < 3 ? ZMQ_SNDMORE : 0) >= 0;
    drop(&question);
}

/* ---- the thread ---- */

static void *main_of_thread(void *argument)
{
    struct sl_zap *zap = argument;
    zmq_pollitem_t items[] = {{.socket = zap->questions, .events = ZMQ_POLLIN},
                              {.socket = zap->stop_here, .events = ZMQ_POLLIN}};
    while ((items[1].revents & ZMQ_POLLIN) == 0) {
        if (zmq_poll(items, 2, -1) < 0) {
            if (errno == EINTR)
                continue;
            break; /* ETERM: the context goes, and all that could ask with it */
        }
        if ((items[0].revents & ZMQ_POLLIN) != 0)
            answer(zap);
    }
    zmq_close(zap->questions);
    zmq_close(zap->stop_here);
    return NULL;
}

/* The two ends of the pair, and the REP. */
static int open_sockets(struct sl_zap *zap, void *context, struct sl_error *err)
{
    char name[64];
    snprintf(name, sizeof name, "inproc://sl-zap-stop-%" PRIxPTR, (uintptr_t)zap);
    zap->questions = zmq_socket(context, ZMQ_REP);
    zap->stop_here = zmq_socket(context, ZMQ_PAIR);
    zap->stop_from = zmq_socket(context, ZMQ_PAIR);
    if (zap->questions == NULL || zap->stop_here == NULL || zap->stop_from == NULL)
        return sl_error_set(err, -errno, "cannot make a ZMQ socket: %s", zmq_strerror(errno));
    if (sl_link_set(zap->questions, ZMQ_LINGER, 0) != 0 ||
        sl_link_set(zap->stop_here, ZMQ_LINGER, 0) != 0 ||
        sl_link_set(zap->stop_from, ZMQ_LINGER, 0) != 0 || zmq_bind(zap->stop_here, name) != 0 ||
        zmq_connect(zap->stop_from, name) != 0)
        return sl_error_set(err, -errno, "cannot set up a ZMQ socket: %s", zmq_strerror(errno));
    if (zmq_bind(zap->questions, ENDPOINT) != 0)
        return sl_error_set(err, -errno, "cannot answer who may connect: %s%s", zmq_strerror(errno),
                            errno == EADDRINUSE ? "; this ZMQ context has a handler already" : "");
    return 0;
}

int sl_zap_start(struct sl_zap **out, void *context, const char *folder,
                 const struct sl_keys_entry *own, struct sl_error *err)
{
    static const struct sl_thread_config THREAD = {.name = "zap", .cpu = -1};
    *out = NULL;
    struct sl_zap *zap = calloc(1, sizeof *zap);
    if (zap == NULL)
        return sl_error_set(err, -ENOMEM, "no memory to decide who may connect");
    pthread_mutex_init(&zap->lock, NULL);
    if (own != NULL)
        zap->own = *own;
    int rc = 0;
    if (snprintf(zap->folder, sizeof zap->folder, "%s", folder) >= (int)sizeof zap->folder ||
        sl_keys_path(folder, SL_KEYS_ALLOWED, zap->path, sizeof zap->path) != 0)
        rc = sl_error_set(err, -ENAMETOOLONG, "the name of the folder for keys is too long");
    if (rc == 0)
        rc = open_sockets(zap, context, err);
    if (rc == 0) {
        zap->list_rc = -EAGAIN; /* not read yet */
        refresh(zap);
        rc = sl_thread_start(&zap->thread, &THREAD, main_of_thread, zap, err);
    }
    if (rc != 0) {
        sl_zap_stop(zap);
        return rc;
    }
    *out = zap;
    return 0;
}

void sl_zap_stop(struct sl_zap *zap)
{
    if (zap == NULL)
        return;
    if (zap->thread.running) {
        (void)zmq_send(zap->stop_from, "", 0, 0);
        sl_thread_join(&zap->thread); /* closes its sockets */
    } else {
        if (zap->questions != NULL)
            zmq_close(zap->questions);
        if (zap->stop_here != NULL)
            zmq_close(zap->stop_here);
    }
    if (zap->stop_from != NULL)
        zmq_close(zap->stop_from);
    pthread_mutex_destroy(&zap->lock);
    free(zap);
}

/* ---- sockets ---- */

static int set_text(void *socket, int option, const char *text)
{
    return zmq_setsockopt(socket, option, text, strlen(text));
}

/* Keys in Z85 are given with their terminator. */
static int set_key(void *socket, int option, const char *key)
{
    return zmq_setsockopt(socket, option, key, SL_KEYS_TEXT);
}

static int no_curve(struct sl_error *err)
{
    const int code = zmq_has("curve") == 1 ? EINVAL : ENOTSUP;
    return sl_error_set(err, -code, "cannot encrypt a ZMQ socket: %s",
                        code == EINVAL ? "these are no keys" : "this libzmq has no CURVE");
}

int sl_zap_guard(const struct sl_zap *zap, void *socket, const struct sl_keys_pair *own,
                 struct sl_error *err)
{
    if (zap == NULL || !sl_keys_key_good(own->secret_key) ||
        sl_link_set(socket, ZMQ_CURVE_SERVER, 1) != 0 ||
        set_key(socket, ZMQ_CURVE_SECRETKEY, own->secret_key) != 0 ||
        set_text(socket, ZMQ_ZAP_DOMAIN, SL_ZAP_DOMAIN) != 0 ||
        sl_link_set(socket, ZMQ_ZAP_ENFORCE_DOMAIN, 1) != 0)
        return no_curve(err);
    return 0;
}

int sl_zap_present(void *socket, const struct sl_keys_pair *own, const char *vehicle_key,
                   struct sl_error *err)
{
    if (!sl_keys_key_good(vehicle_key) || !sl_keys_key_good(own->public_key) ||
        !sl_keys_key_good(own->secret_key) ||
        set_key(socket, ZMQ_CURVE_SERVERKEY, vehicle_key) != 0 ||
        set_key(socket, ZMQ_CURVE_PUBLICKEY, own->public_key) != 0 ||
        set_key(socket, ZMQ_CURVE_SECRETKEY, own->secret_key) != 0)
        return no_curve(err);
    return 0;
}
