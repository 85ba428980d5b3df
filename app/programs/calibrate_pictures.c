#include <dirent.h>
#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "calibrate.h"
#include "hal/camera/image.h"
#include "rt/cli.h"
#include "rt/clock.h"

#define PICTURE_BYTES_MAX (64u << 20)
#define OVERLAY_QUALITY   90

/* ---- which ---- */

static bool is_picture(const char *name)
{
    const char *dot = strrchr(name, '.');
    static const char *const KINDS[] = {".jpg", ".jpeg", ".pgm", ".ppm"};
    for (size_t i = 0; dot != NULL && name[0] != '.' && i < sizeof KINDS / sizeof KINDS[0]; i++)
        if (strcasecmp(dot, KINDS[i]) == 0)
            return true;
    return false;
}

static bool add(struct calibrate_list *list, const char *path)
{
    char **grown = realloc(list->paths, (list->count + 1) * sizeof *grown);
    if (grown == NULL)
        return false;
    list->paths = grown;
    list->paths[list->count] = strdup(path);
    return list->paths[list->count] != NULL && ++list->count > 0;
}

static bool add_folder(struct calibrate_list *list, const char *path)
{
    bool good = true;
    DIR *dir = opendir(path);
    for (struct dirent *entry; dir != NULL && good && (entry = readdir(dir)) != NULL;) {
        char inner[4096];
        if (is_picture(entry->d_name) &&
            snprintf(inner, sizeof inner, "%s/%s", path, entry->d_name) < (int)sizeof inner)
            good = add(list, inner);
    }
    if (dir != NULL)
        closedir(dir);
    return good && dir != NULL;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

int calibrate_list_find(struct calibrate_list *list, const char *option, const char *where)
{
    struct stat st;
    bool good = true;
    list->paths = NULL;
    list->count = 0;
    if (stat(where, &st) == 0 && S_ISDIR(st.st_mode)) {
        good = add_folder(list, where);
    } else if (stat(where, &st) == 0) {
        good = add(list, where);
    } else {
        glob_t found;
        int rc = glob(where, 0, NULL, &found);
        if (rc == GLOB_NOMATCH)
            return sl_cli_misuse(VERB " camera", "there is no folder, picture or match for %s %s",
                                 option, where);
        for (size_t i = 0; rc == 0 && good && i < found.gl_pathc; i++)
            good = add(list, found.gl_pathv[i]);
        if (rc == 0)
            globfree(&found);
        else
            good = false;
    }
    if (!good)
        return calibrate_failed("cannot look for pictures in %s: %s", where, strerror(errno));
    if (list->count == 0)
        return sl_cli_misuse(VERB " camera",
                             "there are no pictures in %s (looked for .jpg, .jpeg, .pgm and "
                             ".ppm)",
                             where);
    qsort(list->paths, list->count, sizeof *list->paths, by_name);
    return 0;
}

void calibrate_list_free(struct calibrate_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->paths[i]);
    free(list->paths);
    list->paths = NULL;
    list->count = 0;
}

/* ---- reading ---- */

struct calibrate_reader {
    struct sl_image_decoder *decoder;
    uint8_t *bytes, *pixels;
    size_t capacity;
};

struct calibrate_reader *calibrate_reader_create(void)
{
    struct calibrate_reader *r = calloc(1, sizeof *r);
    if (r == NULL)
        return NULL;
    r->decoder = sl_image_decoder_create();
    r->bytes = malloc(PICTURE_BYTES_MAX);
    if (r->decoder == NULL || r->bytes == NULL) {
        calibrate_reader_destroy(r);
        return NULL;
    }
    return r;
}

void calibrate_reader_destroy(struct calibrate_reader *reader)
{
    if (reader == NULL)
        return;
    sl_image_decoder_destroy(reader->decoder);
    free(reader->bytes);
    free(reader->pixels);
    free(reader);
}

static int room_for(struct calibrate_reader *r, size_t bytes, struct sl_error *err)
{
    if (bytes <= r->capacity)
        return 0;
    uint8_t *grown = realloc(r->pixels, bytes);
    if (grown == NULL)
        return sl_error_set(err, -ENOMEM, "no memory for its pixels");
    r->pixels = grown;
    r->capacity = bytes;
    return 0;
}

static int decode(struct calibrate_reader *r, const void *bytes, size_t size, uint32_t fourcc,
                  struct sl_frame_info *info, struct sl_error *err)
{
    uint32_t width = 0, height = 0;
    int rc = sl_image_probe(r->decoder, bytes, size, &width, &height, err);
    if (rc == 0)
        rc = room_for(r, (size_t)width * height * (fourcc == SL_FORMAT_BGR24 ? 3 : 1), err);
    if (rc == 0)
        rc = sl_image_decode(r->decoder, bytes, size, fourcc, r->pixels, r->capacity, info, err);
    return rc;
}

static int read_file(struct calibrate_reader *r, const char *path, uint32_t fourcc,
                     struct sl_frame_info *info, struct sl_error *err)
{
    FILE *from = fopen(path, "rb");
    if (from == NULL)
        return sl_error_set(err, -errno, "%s cannot be opened: %s", path, strerror(errno));
    size_t size = fread(r->bytes, 1, PICTURE_BYTES_MAX, from);
    bool failed = ferror(from) != 0, whole = feof(from) != 0;
    fclose(from);
    if (failed || !whole)
        return sl_error_set(err, failed ? -EIO : -EFBIG, "%s %s", path,
                            failed ? "cannot be read" : "is larger than 64 MiB");
    int rc = decode(r, r->bytes, size, fourcc, info, err);
    if (rc != 0)
        sl_error_prefix(err, "%s", path);
    return rc;
}

int calibrate_read_luma(struct calibrate_reader *reader, const char *path, struct sl_luma *luma,
                        struct sl_error *err)
{
    struct sl_frame_info info = {0};
    int rc = read_file(reader, path, SL_FORMAT_GRAY8, &info, err);
    if (rc == 0)
        *luma = (struct sl_luma){reader->pixels + info.planes[0].offset_bytes, info.width_px,
                                 info.height_px, info.planes[0].stride_bytes};
    return rc;
}

int calibrate_read_colour(struct calibrate_reader *reader, const char *path,
                          struct sl_canvas *canvas, struct sl_error *err)
{
    struct sl_frame_info info = {0};
    int rc = read_file(reader, path, SL_FORMAT_BGR24, &info, err);
    if (rc == 0)
        *canvas = (struct sl_canvas){reader->pixels + info.planes[0].offset_bytes, info.width_px,
                                     info.height_px, info.planes[0].stride_bytes};
    return rc;
}

int calibrate_frame_luma(struct calibrate_reader *reader, const struct sl_frame_info *info,
                         const void *pixels, struct sl_luma *luma, struct sl_error *err)
{
    const uint8_t *plane = (const uint8_t *)pixels + info->planes[0].offset_bytes;
    const size_t stride = info->planes[0].stride_bytes;
    *luma = (struct sl_luma){plane, info->width_px, info->height_px, stride};
    if (info->fourcc == SL_FORMAT_GRAY8 || info->fourcc == SL_FORMAT_NV12)
        return 0;
    if (info->fourcc == SL_FORMAT_MJPEG) {
        struct sl_frame_info decoded = {0};
        int rc = decode(reader, plane, info->size_bytes - info->planes[0].offset_bytes,
                        SL_FORMAT_GRAY8, &decoded, err);
        *luma = (struct sl_luma){reader->pixels, decoded.width_px, decoded.height_px,
                                 decoded.planes[0].stride_bytes};
        return rc;
    }
    size_t step = info->fourcc == SL_FORMAT_YUYV    ? 2
                  : info->fourcc == SL_FORMAT_BGR24 ? 3
                  : info->fourcc == SL_FORMAT_BGRA  ? 4
                                                    : 0;
    if (step == 0)
        return sl_error_set(err, -ENOTSUP, "the frames' pixel format has no luma known here");
    int rc = room_for(reader, (size_t)info->width_px * info->height_px, err);
    if (rc != 0)
        return rc;
    for (uint32_t y = 0; y < info->height_px; y++) {
        const uint8_t *from = plane + y * stride;
        uint8_t *to = reader->pixels + (size_t)y * info->width_px;
        for (uint32_t x = 0; x < info->width_px;
             x++, from += step) /* BT.601, as hal/camera/image.h */
            to[x] = step == 2 ? from[0]
                              : (uint8_t)((29 * from[0] + 150 * from[1] + 77 * from[2] + 128) >> 8);
    }
    *luma = (struct sl_luma){reader->pixels, info->width_px, info->height_px, info->width_px};
    return 0;
}

/* ---- writing ---- */

int calibrate_write_overlay(const char *dir, const char *path, const struct sl_canvas *canvas,
                            struct sl_error *err)
{
    struct sl_frame_info info = {0};
    const uint8_t *bytes = NULL;
    size_t size = 0;
    char to_path[4096];
    const char *name = strrchr(path, '/') != NULL ? strrchr(path, '/') + 1 : path;
    const char *dot = strrchr(name, '.');
    int stem = (int)(dot != NULL ? dot - name : (long)strlen(name));
    if (snprintf(to_path, sizeof to_path, "%s/%.*s.jpg", dir, stem, name) >= (int)sizeof to_path)
        return sl_error_set(err, -ENAMETOOLONG, "%s is too long a path", dir);
    struct stat from, to_stat;
    if (stat(path, &from) == 0 && stat(to_path, &to_stat) == 0 && from.st_dev == to_stat.st_dev &&
        from.st_ino == to_stat.st_ino)
        return sl_error_set(err, -EEXIST,
                            "%s is one of the pictures; give --overlay another folder", to_path);
    struct sl_jpeg_encoder *encoder = sl_jpeg_encoder_create();
    int rc = encoder == NULL ? sl_error_set(err, -ENOMEM, "no memory to write %s", to_path) : 0;
    if (rc == 0)
        rc = sl_frame_layout(&info, SL_FORMAT_BGR24, canvas->width_px, canvas->height_px);
    if (rc == 0)
        rc = sl_jpeg_encode(encoder, &info, canvas->bgr, OVERLAY_QUALITY, &bytes, &size, err);
    if (rc == 0) {
        FILE *to = fopen(to_path, "wb");
        bool good = to != NULL && fwrite(bytes, 1, size, to) == size;
        if (to != NULL)
            good = fclose(to) == 0 && good;
        if (!good)
            rc = sl_error_set(err, errno != 0 ? -errno : -EIO, "cannot write %s: %s", to_path,
                              strerror(errno));
    }
    sl_jpeg_encoder_destroy(encoder);
    return rc;
}

void calibrate_progress(const char *what, size_t done, size_t count)
{
    static uint64_t last_ns;
    uint64_t now = sl_clock_now_ns();
    bool end = done == count;
    if (!isatty(STDERR_FILENO) || (!end && now - last_ns < 100 * SL_NS_PER_MS))
        return;
    last_ns = now;
    fprintf(stderr, "\r%s: %zu of %zu%s", what, done, count, end ? "\r\033[K" : "");
    fflush(stderr);
}
