/* Frames to measure the detector on, each with its camera: pictures of the
 * simulator, real roads where they are at hand, and pictures drawn so that the
 * detector has as much to do as any can give it. One thread. */
#ifndef SL_TESTS_DETECT_FRAMES_H
#define SL_TESTS_DETECT_FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "app/detect/detect.h"

#define FRAMES_CLIPS_MAX 8

struct bench_frame {
    char name[32];
    int clip; /* index of its configuration: frames of a clip follow each other */
    struct sl_frame_info info;
    uint8_t *pixels; /* 64-byte aligned, info.size_bytes */
};

struct frame_set {
    char name[64];
    int clip_count;
    struct sl_detect_config configs[FRAMES_CLIPS_MAX];
    int count, room;
    struct bench_frame *frames;
};

void frames_free(struct frame_set *set);

/* Adds a frame of the newest clip and copies its pixels. 0 or -ENOMEM. */
int frames_add(struct frame_set *set, const char *name, const struct sl_frame_info *info,
               const void *pixels);

/* Noise, chequers, stripes and bar codes on the ground at 800x600 luma, drawn
 * for the detector's own limits: every row full of candidates, as many chains
 * and hypotheses as there is room for. A usual lane comes after every fourth,
 * so that tracking has something to lose. 0 or -ENOMEM. */
int frames_worst(struct frame_set *set);

/* The first row, from the horizon down, in which a frame can show road. */
uint32_t frames_road_row(const struct frame_set *set, const struct bench_frame *frame);

/* To a file and back, for a program of another instruction set: both sides are
 * this source on 64-bit little-endian machines. 0 or a negative errno, told on
 * standard error. */
int frames_write(const struct frame_set *set, const char *path);
int frames_read(struct frame_set *set, const char *path);

/* detect_scenes.c: `count` pictures of a drive through each of the four lights
 * in the given format and size. 0, or a negative errno, told on standard error. */
int frames_simulated(struct frame_set *set, const char *name, uint32_t fourcc, uint32_t width_px,
                     uint32_t height_px, int count);

/* detect_scenes.c: up to `count` pictures of each clip of real roads in
 * $SKYLANE_ROADS or ../shared/roads, decoded and scaled to 800x600 luma. 0;
 * -ENOENT where there are none, silently; other negative errnos, told. */
int frames_roads(struct frame_set *set, int count);

#endif
