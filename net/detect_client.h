/* Asks a detection server on another machine or in another process for the
 * lane in a frame: `skylane detect --port`, or whoever speaks docs/protocol.md.
 *
 * One question is under way at a time. Asking anew gives the one before up: its
 * answer, should it still come, is dropped. The server may be started later,
 * end and come back: the connection is made again by itself, within half a
 * second, and no old question is sent then.
 *
 * One thread at a time. It allocates, and has a thread of libzmq's beside it:
 * not for real-time loops. */
#ifndef SL_NET_DETECT_CLIENT_H
#define SL_NET_DETECT_CLIENT_H

#include "net/detect_wire.h"

struct sl_detect_client;

struct sl_detect_answer {
    struct sl_detect_reply reply;
    uint64_t encoded_ns;  /* what it took to make the frame a JPEG; 0: it went as it was */
    uint64_t asked_ns;    /* our clock: before the question was sent */
    uint64_t answered_ns; /* our clock: when the answer was here */
};

/* Prepares it; does not wait for a server. `url` is tcp://HOST:PORT, a name or
 * an address, [IPv6] in brackets. `insecure`: without keys, as the server must be,
 * too. 0; -ENOKEY (not paired with that host; as sl_guard_present()); -EINVAL (url); -ENOMEM,
 * -EMFILE. */
int sl_detect_client_open(struct sl_detect_client **client, const char *url, bool insecure,
                          struct sl_error *err);
void sl_detect_client_close(struct sl_detect_client *client); /* NULL is allowed */

/* True if `url` leads to this machine by its address: localhost, 127.x.x.x or
 * [::1]. Looks no names up. */
bool sl_detect_client_is_local(const char *url);

/* How frames usually go to `url`, as for sl_detect_client_use_jpeg(): 0 on this
 * machine, where to copy a frame is quicker than to encode it, else 80: a tenth
 * of the bytes, so that Wi-Fi and 100 Mbit/s carry 30 frames a second. */
int sl_detect_client_usual_jpeg(const char *url);

/* How raw frames go from now on: as JPEG of `quality` 1 to 100, or as they are
 * (0, which is how it begins). 0; -ENOMEM. */
int sl_detect_client_use_jpeg(struct sl_detect_client *client, int quality, struct sl_error *err);

/* Asks for the lane in a frame that sl_frame_check() would pass, or in a
 * picture file (see struct sl_detect_request). `pixels` are info->size_bytes,
 * at most SL_DETECT_PICTURE_MAX, and copied: they may change after the call.
 * `reset` tells the server to forget the frames before. Waits until
 * `deadline_ns` (0: not at all) for a server that takes it; only then makes a
 * JPEG, some milliseconds for a megapixel. 0; -EAGAIN (no server is connected,
 * or it takes nothing); -EMSGSIZE (too large); -ENOTSUP, -EINVAL, -ENOMEM (as
 * sl_jpeg_encode()); -EINTR (a signal came); -EIO. */
int sl_detect_client_ask(struct sl_detect_client *client, const struct sl_frame_info *info,
                         const void *pixels, bool reset, uint64_t deadline_ns,
                         struct sl_error *err);

/* Waits until `deadline_ns` for the answer to the last question, whatever else
 * comes meanwhile. 0: it is there; answer->reply.status tells whether with a
 * lane. -EAGAIN: not yet, wait again or ask anew; -EINTR; -EPROTO: what came is
 * no answer, `err` says why, and the question still stands; -ENOENT: nothing was
 * asked. */
int sl_detect_client_wait(struct sl_detect_client *client, uint64_t deadline_ns,
                          struct sl_detect_answer *answer, struct sl_error *err);

/* Answers that came after their question was given up. */
uint64_t sl_detect_client_late(const struct sl_detect_client *client);

/* Answers to what was not asked, or was answered before. */
uint64_t sl_detect_client_unwanted(const struct sl_detect_client *client);

/* Bytes of the pictures that were sent so far. */
uint64_t sl_detect_client_sent_bytes(const struct sl_detect_client *client);

#endif
