/* What skylane-detect looks through, by clips: a folder of pictures is one, and
 * so is a video. One thread. */
#ifndef SL_APP_PROGRAMS_DETECT_CLIPS_H
#define SL_APP_PROGRAMS_DETECT_CLIPS_H

#include <stddef.h>

#include "rt/error.h"

struct sl_clip_picture {
    char *path;     /* absolute */
    char *clip;     /* name of its folder */
    char *raw_file; /* clip/name */
};

struct sl_clip_pictures {
    struct sl_clip_picture *items;
    size_t count;
};

/* The pictures of `images` (a folder, a folder of folders, a picture or a
 * glob), clip by clip and in the order of their names. Errors as
 * sl_picture_files_find(); the list may be freed in any case. */
int sl_clip_pictures_find(struct sl_clip_pictures *pictures, const char *images,
                          struct sl_error *err);
void sl_clip_pictures_free(struct sl_clip_pictures *pictures);

/* "drives/monday.y4m" is the clip "monday"; standard input ("-") is "video". */
void sl_clip_name_of_video(const char *video, char *clip, size_t size);

/* How many frames a Y4M file has; 0 where only the end will tell. Reads the
 * file's head. */
size_t sl_clip_count_of_video(const char *video);

#endif
