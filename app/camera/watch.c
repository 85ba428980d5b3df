#include "app/camera/watch.h"

#include <math.h>

#include "rt/clock.h"

/* Points in a row and in a column. */
#define GRID 64
/* A picture whose brightest point is darker shows nothing, not even a lamp: black
 * is 16 in the range that most cameras use, and noise lifts it a little. */
#define BLACK_LUMA 24

/* ---- a picture's digest ---- */

/* FNV-1a, 64 bits: Fowler, Noll and Vo, RFC 9923, by words. */
#define HASH_START UINT64_C(0xcbf29ce484222325)
#define HASH_PRIME UINT64_C(0x100000001b3)

static void take_byte(struct sl_frame_digest *d, uint8_t luma)
{
    d->hash = (d->hash ^ luma) * HASH_PRIME;
    d->brightest = luma > d->brightest ? luma : d->brightest;
}

/* Bytes from a pixel's luma (or green) to the next one's; and to the first. */
static size_t luma_step(uint32_t fourcc, size_t *first)
{
    *first = fourcc == SL_FORMAT_BGR24 || fourcc == SL_FORMAT_BGRA ? 1 : 0;
    switch (fourcc) {
    case SL_FORMAT_YUYV:
        return 2;
    case SL_FORMAT_BGR24:
        return 3;
    case SL_FORMAT_BGRA:
        return 4;
    default:
        return 1;
    }
}

void sl_frame_digest(const struct sl_frame_info *info, const void *pixels,
                     struct sl_frame_digest *d)
{
    const uint8_t *bytes = (const uint8_t *)pixels + info->planes[0].offset_bytes;
    *d = (struct sl_frame_digest){.hash = HASH_START};
    if (info->fourcc == SL_FORMAT_MJPEG) {
        const size_t count = info->size_bytes - info->planes[0].offset_bytes;
        for (size_t i = 0; i < count; i += 1 + count / ((size_t)GRID * GRID))
            take_byte(d, bytes[i]);
        d->brightest = UINT8_MAX; /* not known */
        return;
    }
    size_t first;
    const size_t step = luma_step(info->fourcc, &first);
    for (size_t row = 0; row < GRID; row++) {
        const size_t y = (2 * row + 1) * info->height_px / (2 * GRID);
        const uint8_t *line = bytes + y * info->planes[0].stride_bytes + first;
        for (size_t column = 0; column < GRID; column++) {
            /* Shifted from row to row, so that no column goes unseen for ever. */
            const size_t x = (2 * column + 1) * info->width_px / (2 * GRID);
            take_byte(d, line[(x + row) % info->width_px * step]);
        }
    }
}

bool sl_frame_digest_is_black(const struct sl_frame_digest *d)
{
    return d->brightest < BLACK_LUMA;
}

/* ---- the watch ---- */

static uint64_t limit_ns(const struct sl_watch *w)
{
    return (uint64_t)(SL_WATCH_PERIODS * w->config.period_ms * (double)SL_NS_PER_MS);
}

static bool become(struct sl_watch *w, enum sl_camera_trouble trouble, uint64_t now_ns)
{
    if (w->trouble == trouble)
        return false;
    if (trouble == SL_CAMERA_GOOD)
        w->trouble_ns = 0;
    else if (w->trouble_ns == 0)
        w->trouble_ns = now_ns;
    w->trouble = trouble;
    return true;
}

void sl_watch_start(struct sl_watch *w, const struct sl_watch_config *config, uint64_t now_ns)
{
    w->config = *config;
    w->seen_ns = now_ns;
    w->frames = 0;
    w->alike = w->black = w->good = 0;
}

bool sl_watch_frame(struct sl_watch *w, const struct sl_frame_digest *digest, uint64_t now_ns)
{
    w->seen_ns = now_ns;
    w->frames++;
    if (w->config.contents) {
        w->alike = w->frames > 1 && digest->hash == w->last.hash ? w->alike + 1 : 0;
        w->black = sl_frame_digest_is_black(digest) ? w->black + 1 : 0;
        w->last = *digest;
    }
    const bool good = w->alike == 0 && w->black == 0;
    w->good = good ? w->good + 1 : 0;
    if (w->black >= SL_WATCH_PERIODS)
        return become(w, SL_CAMERA_BLACK, now_ns);
    if (w->alike >= SL_WATCH_PERIODS)
        return become(w, SL_CAMERA_FROZEN, now_ns);
    return w->good >= w->config.good_frames && become(w, SL_CAMERA_GOOD, now_ns);
}

bool sl_watch_none(struct sl_watch *w, uint64_t now_ns)
{
    if (now_ns < sl_watch_deadline_ns(w))
        return false;
    w->good = 0;
    return become(w, SL_CAMERA_STALLED, now_ns);
}

uint64_t sl_watch_deadline_ns(const struct sl_watch *w)
{
    return w->seen_ns + limit_ns(w);
}
