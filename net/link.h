/* What all of the vehicle's ZMQ sockets have in common: the kernel looks after their
 * links, so that one that was pulled is noticed within three seconds; no lingering;
 * bounded messages; errors in words. One thread for each socket. */
#ifndef SL_NET_LINK_H
#define SL_NET_LINK_H

#include <stddef.h>

#include "rt/error.h"

/* Sets one of ZMQ's options for sockets that is a whole number (ZMQ_MAXMSGSIZE is
 * one, too). 0, or -1 and errno, as zmq_setsockopt(). */
int sl_link_set(void *socket, int option, int value);

/* Has the kernel ask whether the other machine is still there, each second that
 * nothing comes (TCP keepalive), and end a connection that has had no answer for
 * SL_LINK_SILENT_MS. Before bind or connect; 0, or -1 and errno.
 *
 * Not ZMQ's own heartbeats: libzmq (4.3.5 and before, its issue 4364) aborts the
 * program when one falls due on a connection that has failed while its messages
 * were not taken, as whoever floods and vanishes can bring about. */
#define SL_LINK_SILENT_MS 1500
int sl_link_keep_watch(void *socket);

struct sl_link_option {
    int option; /* ZMQ_...; 0 ends the list */
    int value;
};

/* A socket of this kind with the options, to be bound to `endpoint`. It is the
 * caller's to zmq_close(). 0; -EINVAL (no endpoint), -EMFILE with a sentence, and
 * no socket. */
int sl_link_make(void **socket, void *context, int kind, const struct sl_link_option *options,
                 const char *endpoint, struct sl_error *err);

/* Binds it; where it listens is written to `bound` (`room` bytes), with the port if
 * that was "*" or 0. 0; -EADDRINUSE, -EADDRNOTAVAIL, -EACCES, -EINVAL with a
 * sentence. */
int sl_link_bind(void *socket, const char *endpoint, char *bound, size_t room,
                 struct sl_error *err);

#endif
