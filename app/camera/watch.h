/* Watches what a camera delivers: whether frames come, change, and show anything.
 * Pure; time comes as an argument. One thread. */
#ifndef SL_APP_CAMERA_WATCH_H
#define SL_APP_CAMERA_WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rt/frame.h"
#include "rt/records.h"

struct sl_watch_config {
    double period_ms;     /* between frames; above 0 */
    bool contents;        /* look for repeated and black pictures, too */
    uint32_t good_frames; /* in a row, after which a trouble is over; at least 1 */
};

/* So many periods without a frame, or such frames in a row, are a trouble. */
#define SL_WATCH_PERIODS 3

/* What of a picture is compared: 4096 points of its luma, spread evenly. Two frames
 * of a sensor always differ in some: its noise does not repeat. */
struct sl_frame_digest {
    uint64_t hash;
    uint8_t brightest;
};

/* Of any uncompressed format; of MJPEG, its bytes. Some 10 us. The info has passed
 * sl_frame_check(). */
void sl_frame_digest(const struct sl_frame_info *info, const void *pixels,
                     struct sl_frame_digest *digest);

bool sl_frame_digest_is_black(const struct sl_frame_digest *digest);

struct sl_watch {
    struct sl_watch_config config;
    enum sl_camera_trouble trouble;
    uint64_t trouble_ns; /* since when; 0: all is well */
    uint64_t seen_ns;    /* the newest frame, or the start */
    struct sl_frame_digest last;
    uint64_t frames; /* since the start */
    uint32_t alike;  /* frames in a row that equal the one before */
    uint32_t black;  /* in a row */
    uint32_t good;   /* in a row */
};

/* The source is started, at `now_ns`: nothing was seen yet. A trouble that there was
 * goes on until good frames have come. */
void sl_watch_start(struct sl_watch *watch, const struct sl_watch_config *config, uint64_t now_ns);

/* A frame came. `digest` is used if contents are looked at, else it may be NULL.
 * Both return true if the trouble has changed: begun, ended, or become another. */
bool sl_watch_frame(struct sl_watch *watch, const struct sl_frame_digest *digest, uint64_t now_ns);

/* None came until now. */
bool sl_watch_none(struct sl_watch *watch, uint64_t now_ns);

/* When sl_watch_none() should be asked at the latest. */
uint64_t sl_watch_deadline_ns(const struct sl_watch *watch);

#endif
