#include "detect_clips.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "hal/camera/y4m.h"
#include "picture_files.h"

static int by_clip(const void *a, const void *b)
{
    const struct sl_clip_picture *x = a, *y = b;
    const int order = strcmp(x->clip, y->clip);
    return order != 0 ? order : strcmp(x->path, y->path);
}

/* Fills the item; false: no memory. */
static bool describe(struct sl_clip_picture *p, const char *path)
{
    p->path = realpath(path, NULL);
    if (p->path == NULL)
        p->path = strdup(path);
    if (p->path == NULL)
        return false;
    const char *name = strrchr(p->path, '/');
    const char *end = name != NULL ? name : p->path, *begin = end;
    while (begin > p->path && begin[-1] != '/')
        begin--;
    p->clip = strndup(begin, (size_t)(end - begin));
    p->raw_file = strdup(begin);
    return p->clip != NULL && p->raw_file != NULL;
}

int sl_clip_pictures_find(struct sl_clip_pictures *pictures, const char *images,
                          struct sl_error *err)
{
    struct sl_picture_files files;
    *pictures = (struct sl_clip_pictures){0};
    int rc = sl_picture_files_find(&files, "--images", images, 1, err);
    if (rc == 0) {
        pictures->items = calloc(files.count, sizeof *pictures->items);
        if (pictures->items == NULL)
            rc = sl_error_set(err, -ENOMEM, "no memory for so many pictures");
    }
    for (size_t i = 0; rc == 0 && i < files.count; i++) {
        pictures->count++; /* also what is half filled is freed */
        if (!describe(&pictures->items[i], files.paths[i]))
            rc = sl_error_set(err, -ENOMEM, "no memory for so many pictures");
    }
    if (rc == 0)
        qsort(pictures->items, pictures->count, sizeof *pictures->items, by_clip);
    sl_picture_files_free(&files);
    return rc;
}

void sl_clip_pictures_free(struct sl_clip_pictures *pictures)
{
    for (size_t i = 0; i < pictures->count; i++) {
        free(pictures->items[i].path);
        free(pictures->items[i].clip);
        free(pictures->items[i].raw_file);
    }
    free(pictures->items);
    *pictures = (struct sl_clip_pictures){0};
}

void sl_clip_name_of_video(const char *video, char *clip, size_t size)
{
    size_t end = strlen(video);
    while (end > 1 && video[end - 1] == '/')
        end--;
    size_t begin = end;
    while (begin > 0 && video[begin - 1] != '/')
        begin--;
    const char *dot = memrchr(video + begin, '.', end - begin);
    if (dot != NULL && dot > video + begin)
        end = (size_t)(dot - video);
    if (strcmp(video, "-") == 0 || end == begin)
        snprintf(clip, size, "video");
    else
        snprintf(clip, size, "%.*s", (int)(end - begin), video + begin);
}

size_t sl_clip_count_of_video(const char *video)
{
    struct stat st;
    struct sl_y4m *y4m;
    if (strcmp(video, "-") == 0 || stat(video, &st) != 0 || !S_ISREG(st.st_mode) ||
        sl_y4m_open(&y4m, video, NULL) != 0)
        return 0;
    const uint64_t count = sl_y4m_count(y4m);
    sl_y4m_close(y4m);
    return (size_t)count;
}
