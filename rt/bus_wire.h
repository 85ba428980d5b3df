/* What goes through a bus's door: one message in, one answer. Between processes
 * of one machine, so numbers are in its own byte order. */
#ifndef SL_RT_BUS_WIRE_H
#define SL_RT_BUS_WIRE_H

#include <stdint.h>
#include <sys/socket.h>

#include "rt/bus_ring.h"
#include "rt/bus_status.h"

enum sl_bus_guest {
    SL_BUS_GUEST_READER = 1,   /* stays: the connection is its sign of life */
    SL_BUS_GUEST_OBSERVER = 2, /* gets a struct sl_bus_status, then goes */
};

/* The first three fields stay the same in all versions. */
struct sl_bus_hello {
    uint64_t magic; /* SL_RING_MAGIC */
    uint32_t layout_version;
    uint32_t guest; /* enum sl_bus_guest */
    uint32_t realtime;
    uint32_t pollable; /* 1: to be sent a byte when there is news and it has armed itself */
};

struct sl_bus_welcome {
    uint64_t magic;
    uint32_t layout_version;
    int32_t code;           /* 0; else -EUSERS, -EACCES (real time for another user), -EMFILE,
                             * -EPROTO (versions), and no descriptors */
    uint32_t row;           /* the reader's index in the rows */
    uint32_t realtime_word; /* its futex word, if real-time */
};

/* Descriptors that come with a welcome. */
enum { SL_BUS_FD_RING, SL_BUS_FD_PAYLOADS, SL_BUS_FD_ROWS, SL_BUS_FD_COUNT };

/* Sends one message with `fd_count` descriptors, which stay the caller's.
 * Never blocks. 0 or -errno. */
int sl_bus_send(int socket, const void *message, size_t size, const int *fds, size_t fd_count);

/* Receives one message of at most `size` bytes and at most `fd_count`
 * descriptors, which become the caller's; missing ones are -1. With 0, the
 * kernel drops what is sent along. Never blocks.
 * The message's size (0: the other side hung up) or -errno (-EAGAIN: none). */
ssize_t sl_bus_receive(int socket, void *message, size_t size, int *fds, size_t fd_count);

#endif
