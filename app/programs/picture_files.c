#include "picture_files.h"

#include <dirent.h>
#include <errno.h>
#include <glob.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "hal/camera/image.h"
#include "rt/outfile.h"

#define FILE_BYTES_MAX (64u << 20)
#define DRAWN_QUALITY  90

/* ---- which ---- */

static bool is_picture(const char *name)
{
    static const char *const KINDS[] = {".jpg", ".jpeg", ".pgm", ".ppm"};
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; dot != NULL && name[0] != '.' && i < sizeof KINDS / sizeof KINDS[0]; i++) {
        if (strcasecmp(dot, KINDS[i]) == 0)
            return true;
    }
    return false;
}

static int add(struct sl_picture_files *files, const char *path, struct sl_error *err)
{
    if (files->count == files->room) {
        const size_t room = files->room ? 2 * files->room : 256;
        char **grown = realloc(files->paths, room * sizeof *grown);
        if (grown == NULL)
            return sl_error_set(err, -ENOMEM, "no memory for so many pictures");
        files->paths = grown;
        files->room = room;
    }
    files->paths[files->count] = strdup(path);
    if (files->paths[files->count] == NULL)
        return sl_error_set(err, -ENOMEM, "no memory for so many pictures");
    files->count++;
    return 0;
}

static int add_folder(struct sl_picture_files *files, const char *path, int depth,
                      struct sl_error *err)
{
    DIR *dir = opendir(path);
    int rc = 0;
    if (dir == NULL)
        return sl_error_set(err, -errno, "cannot read the folder %s: %s", path, strerror(errno));
    for (struct dirent *entry; rc == 0 && (entry = readdir(dir)) != NULL;) {
        char inner[4096];
        struct stat st;
        if (entry->d_name[0] == '.' ||
            snprintf(inner, sizeof inner, "%s/%s", path, entry->d_name) >= (int)sizeof inner ||
            stat(inner, &st) != 0)
            continue;
        if (S_ISDIR(st.st_mode) && depth > 0)
            rc = add_folder(files, inner, depth - 1, err);
        else if (S_ISREG(st.st_mode) && is_picture(entry->d_name))
            rc = add(files, inner, err);
    }
    closedir(dir);
    return rc;
}

static int add_matches(struct sl_picture_files *files, const char *option, const char *where,
                       int depth, struct sl_error *err)
{
    glob_t found;
    struct stat st;
    int rc = glob(where, 0, NULL, &found);
    if (rc == GLOB_NOMATCH)
        return sl_error_set(err, -EINVAL, "there is no folder, picture or match for %s %s", option,
                            where);
    if (rc != 0)
        return sl_error_set(err, -EIO, "cannot look for %s %s", option, where);
    for (size_t i = 0; rc == 0 && i < found.gl_pathc; i++) {
        if (stat(found.gl_pathv[i], &st) == 0 && S_ISDIR(st.st_mode))
            rc = add_folder(files, found.gl_pathv[i], depth, err);
        else
            rc = add(files, found.gl_pathv[i], err);
    }
    globfree(&found);
    return rc;
}

static int by_path(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

int sl_picture_files_find(struct sl_picture_files *files, const char *option, const char *where,
                          int depth, struct sl_error *err)
{
    struct stat st;
    int rc;
    *files = (struct sl_picture_files){0};
    if (stat(where, &st) == 0)
        rc = S_ISDIR(st.st_mode) ? add_folder(files, where, depth, err) : add(files, where, err);
    else if (errno == ENOENT)
        rc = add_matches(files, option, where, depth, err);
    else
        rc = sl_error_set(err, -errno, "cannot read %s: %s", where, strerror(errno));
    if (rc == 0 && files->count == 0)
        rc = sl_error_set(err, -EINVAL,
                          "there are no pictures in %s (looked for .jpg, .jpeg, .pgm and .ppm%s)",
                          where, depth > 0 ? ", also in the folders within" : "");
    if (rc == 0)
        qsort(files->paths, files->count, sizeof *files->paths, by_path);
    return rc;
}

void sl_picture_files_free(struct sl_picture_files *files)
{
    for (size_t i = 0; i < files->count; i++)
        free(files->paths[i]);
    free(files->paths);
    *files = (struct sl_picture_files){0};
}

/* ---- their pixels ---- */

struct sl_picture_file_reader {
    struct sl_image_decoder *decoder;
    uint8_t *bytes; /* of the file that was read last */
    size_t size;
    uint8_t *pixels;
    size_t room;
};

struct sl_picture_file_reader *sl_picture_file_reader_create(void)
{
    struct sl_picture_file_reader *r = calloc(1, sizeof *r);
    if (r == NULL)
        return NULL;
    r->decoder = sl_image_decoder_create();
    r->bytes = malloc(FILE_BYTES_MAX);
    if (r->decoder == NULL || r->bytes == NULL) {
        sl_picture_file_reader_destroy(r);
        return NULL;
    }
    return r;
}

void sl_picture_file_reader_destroy(struct sl_picture_file_reader *reader)
{
    if (reader == NULL)
        return;
    sl_image_decoder_destroy(reader->decoder);
    free(reader->bytes);
    free(reader->pixels);
    free(reader);
}

uint8_t *sl_picture_file_room(struct sl_picture_file_reader *r, size_t bytes, struct sl_error *err)
{
    if (bytes > r->room) {
        free(r->pixels);
        r->pixels = malloc(bytes);
        r->room = r->pixels != NULL ? bytes : 0;
    }
    if (r->room == 0)
        sl_error_set(err, -ENOMEM, "no memory for its pixels");
    return r->pixels;
}

int sl_picture_file_decode(struct sl_picture_file_reader *r, const void *bytes, size_t size,
                           uint32_t fourcc, struct sl_frame_info *info, uint8_t **pixels,
                           struct sl_error *err)
{
    uint32_t width = 0, height = 0;
    int rc = sl_image_probe(r->decoder, bytes, size, &width, &height, err);
    if (rc != 0)
        return rc;
    *info = (struct sl_frame_info){0};
    *pixels = sl_picture_file_room(r, (size_t)width * height * 3, err);
    if (*pixels == NULL)
        return -ENOMEM;
    return sl_image_decode(r->decoder, bytes, size, fourcc, *pixels, r->room, info, err);
}

static int load(struct sl_picture_file_reader *r, const char *path, struct sl_error *err)
{
    FILE *from = fopen(path, "rb");
    if (from == NULL)
        return sl_error_set(err, -errno, "cannot be opened: %s", strerror(errno));
    errno = 0;
    r->size = fread(r->bytes, 1, FILE_BYTES_MAX, from);
    const int failed = ferror(from) ? (errno != 0 ? errno : EIO) : 0;
    const bool more = !failed && r->size == FILE_BYTES_MAX && fgetc(from) != EOF;
    fclose(from);
    if (failed)
        return sl_error_set(err, -failed, "cannot be read: %s", strerror(failed));
    if (more)
        return sl_error_set(err, -EFBIG, "is larger than %u MiB", FILE_BYTES_MAX >> 20);
    if (r->size == 0)
        return sl_error_set(err, -EPROTO, "is empty");
    return 0;
}

int sl_picture_file_read(struct sl_picture_file_reader *reader, const char *path, uint32_t fourcc,
                         struct sl_frame_info *info, uint8_t **pixels, struct sl_error *err)
{
    const int rc = load(reader, path, err);
    return rc != 0 ? rc : sl_picture_file_again(reader, fourcc, info, pixels, err);
}

int sl_picture_file_again(struct sl_picture_file_reader *reader, uint32_t fourcc,
                          struct sl_frame_info *info, uint8_t **pixels, struct sl_error *err)
{
    return sl_picture_file_decode(reader, reader->bytes, reader->size, fourcc, info, pixels, err);
}

/* ---- drawn ones ---- */

static bool is_same_file(const char *a, const char *b)
{
    struct stat x, y;
    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

int sl_picture_file_draw(struct sl_jpeg_encoder *encoder, const struct sl_canvas *canvas,
                         const char *dir, const char *of, struct sl_error *err)
{
    const struct sl_frame_info info = {.fourcc = SL_FORMAT_BGR24,
                                       .width_px = canvas->width_px,
                                       .height_px = canvas->height_px,
                                       .size_bytes =
                                           (uint32_t)(canvas->stride_bytes * canvas->height_px),
                                       .plane_count = 1,
                                       .planes = {{0, (uint32_t)canvas->stride_bytes}}};
    const char *slash = strrchr(of, '/'), *name = slash != NULL ? slash + 1 : of;
    const char *dot = strrchr(name, '.');
    const int stem = (int)(dot != NULL ? (size_t)(dot - name) : strlen(name));
    char path[4096];
    const uint8_t *jpeg;
    size_t size;
    if (snprintf(path, sizeof path, "%s/%.*s.jpg", dir, stem, name) >= (int)sizeof path)
        return sl_error_set(err, -ENAMETOOLONG, "%s/%s is too long a path", dir, name);
    if (is_same_file(path, of))
        return sl_error_set(err, -EEXIST,
                            "%s is one of the pictures; give --overlay another folder", path);
    const int rc = sl_jpeg_encode(encoder, &info, canvas->bgr, DRAWN_QUALITY, &jpeg, &size, err);
    return rc != 0 ? rc : sl_outfile_write(path, jpeg, size, err);
}
