/* Pictures and uncompressed video from disk, in the rhythm of a sensor.
 *
 * All that can be taken beforehand is taken while opening: the list of files,
 * and memory for the largest of them. A picture that cannot be delivered
 * (unreadable, truncated, of another size) costs its turn and is counted; the
 * drive goes on with the next.
 *
 * Video on standard input comes once and in order: its writer waits for us, so
 * that a late caller loses nothing, and it cannot begin again. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hal/camera/drivers.h"
#include "hal/camera/image.h"
#include "hal/camera/pacer.h"
#include "hal/camera/y4m.h"
#include "rt/clock.h"

/* Above any picture of 8192 x 8192 that is read here; a larger file is not one. */
#define FILE_BYTES_MAX ((size_t)256 << 20)

struct file_camera {
    char **paths;
    size_t count;
    size_t room; /* of paths */
    uint8_t *bytes;
    size_t capacity;
    struct sl_image_decoder *decoder;
    struct sl_y4m *video;         /* instead of all of these */
    bool begun;                   /* a stream has been started once */
    bool due;                     /* a stream's frame is due and did not come yet, */
    uint64_t due_ns;              /* since then */
    uint32_t width_px, height_px; /* of the first picture, before rounding */
    uint32_t fourcc;
    double rate_hz;
    bool loop;
    struct sl_pacer pacer;
    uint64_t taken;   /* frames that were due since opening: the last frame id */
    uint64_t dropped; /* of these, not delivered */
    uint64_t bad;     /* of those, because they could not be read */
    struct sl_error why;
};

/* ---- the list of files ---- */

/* Numbers by their value, the rest by its bytes: frame9 comes before frame10. */
static int compare_names(const char *a, const char *b)
{
    const char *left = a, *right = b;
    while (*left != '\0' && *right != '\0') {
        if (isdigit((unsigned char)*left) && isdigit((unsigned char)*right)) {
            while (*left == '0')
                left++;
            while (*right == '0')
                right++;
            const size_t n = strspn(left, "0123456789");
            const size_t m = strspn(right, "0123456789");
            const int order = n != m ? (n < m ? -1 : 1) : strncmp(left, right, n);
            if (order != 0)
                return order;
            left += n;
            right += m;
        } else if (*left != *right) {
            return (unsigned char)*left < (unsigned char)*right ? -1 : 1;
        } else {
            left++;
            right++;
        }
    }
    if (*left != *right)
        return *left == '\0' ? -1 : 1;
    return strcmp(a, b); /* 01 and 1: any order will do that is always the same */
}

static int compare_paths(const void *a, const void *b)
{
    return compare_names(*(char *const *)a, *(char *const *)b);
}

static bool is_picture(const char *name)
{
    static const char *const ENDINGS[] = {".jpg", ".jpeg", ".pgm", ".ppm"};
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; dot != NULL && i < sizeof ENDINGS / sizeof ENDINGS[0]; i++) {
        if (strcasecmp(dot, ENDINGS[i]) == 0)
            return name[0] != '.';
    }
    return false;
}

static bool is_video(const char *source)
{
    const char *dot = strrchr(source, '.');
    return strcmp(source, "-") == 0 || (dot != NULL && strcasecmp(dot, ".y4m") == 0);
}

/* Takes the path over, also when it fails. */
static int add_path(struct file_camera *f, char *path, struct sl_error *err)
{
    if (path != NULL && f->count == f->room) {
        const size_t room = f->room == 0 ? 64 : 2 * f->room;
        char **paths = realloc(f->paths, room * sizeof *paths);
        if (paths != NULL) {
            f->paths = paths;
            f->room = room;
        }
    }
    if (path == NULL || f->count == f->room) {
        free(path);
        return sl_error_set(err, -ENOMEM, "no memory for the list of pictures");
    }
    f->paths[f->count++] = path;
    return 0;
}

static int list_folder(struct file_camera *f, const char *folder, struct sl_error *err)
{
    DIR *dir = opendir(folder);
    if (dir == NULL)
        return sl_error_set(err, -errno, "cannot read the folder %s: %s", folder, strerror(errno));
    int failed = 0;
    const struct dirent *entry;
    while (failed == 0 && (entry = readdir(dir)) != NULL) {
        char *path = NULL;
        if (!is_picture(entry->d_name))
            continue;
        if (asprintf(&path, "%s/%s", folder, entry->d_name) < 0)
            path = NULL;
        failed = add_path(f, path, err);
    }
    closedir(dir);
    if (failed == 0 && f->count == 0)
        return sl_error_set(
            err, -ENOENT, "the folder %s holds no pictures (*.jpg, *.jpeg, *.pgm, *.ppm)", folder);
    return failed;
}

static int list_glob(struct file_camera *f, const char *pattern, struct sl_error *err)
{
    glob_t found = {0};
    int failed = 0;
    const int answer = glob(pattern, GLOB_NOSORT, NULL, &found);
    if (answer == GLOB_NOSPACE)
        failed = sl_error_set(err, -ENOMEM, "no memory for the list of pictures");
    else if (answer != 0)
        failed = sl_error_set(err, -ENOENT, "no file fits %s", pattern);
    for (size_t i = 0; failed == 0 && i < found.gl_pathc; i++)
        failed = add_path(f, strdup(found.gl_pathv[i]), err);
    globfree(&found);
    return failed;
}

/* Would open as its first picture, and the rest would be missed in silence. */
static bool is_motion_jpeg(const char *source)
{
    const char *dot = strrchr(source, '.');
    return dot != NULL && (strcasecmp(dot, ".mjpeg") == 0 || strcasecmp(dot, ".mjpg") == 0);
}

static int list_source(struct file_camera *f, const char *source, struct sl_error *err)
{
    struct stat st;
    int failed;
    if (stat(source, &st) == 0) /* a path that exists means itself, brackets and all */
        failed =
            S_ISDIR(st.st_mode) ? list_folder(f, source, err) : add_path(f, strdup(source), err);
    else if (strpbrk(source, "*?[") != NULL)
        failed = list_glob(f, source, err);
    else
        failed = sl_error_set(err, -errno,
                              "cannot open %s: %s; give a folder of pictures, a "
                              "picture, a .y4m video, or a pattern such as 'folder/*.jpg'",
                              source, strerror(errno));
    if (failed == 0)
        qsort(f->paths, f->count, sizeof *f->paths, compare_paths);
    return failed;
}

/* ---- one file ---- */

static int read_whole(struct file_camera *f, const char *path, size_t *size, struct sl_error *err)
{
    /* Without O_NONBLOCK a FIFO among the pictures would stop the camera. */
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return sl_error_set(err, -EPROTO, "%s: %s", path, strerror(errno));
    *size = 0;
    ssize_t got;
    do {
        got = read(fd, f->bytes + *size, f->capacity - *size);
        if (got > 0)
            *size += (size_t)got;
    } while (got > 0 || (got < 0 && errno == EINTR));
    const int code = errno;
    close(fd);
    if (got < 0)
        return sl_error_set(err, -EPROTO, "%s: %s", path, strerror(code));
    if (*size == f->capacity)
        return sl_error_set(err, -EPROTO, "%s has grown since the camera was opened", path);
    return 0;
}

/* Reads the file and checks its size against `width_px`, if that is not 0. */
static int read_picture(struct file_camera *f, const char *path, uint32_t width_px,
                        uint32_t height_px, size_t *size, struct sl_error *err)
{
    uint32_t width = 0, height = 0;
    int failed = read_whole(f, path, size, err);
    if (failed)
        return failed;
    failed = sl_image_probe(f->decoder, f->bytes, *size, &width, &height, err);
    if (failed) {
        sl_error_prefix(err, "%s", path);
        return failed;
    }
    if (width_px != 0 && (width != width_px || height != height_px))
        return sl_error_set(err, -EPROTO, "%s has %u x %u px, not %u x %u", path, width, height,
                            width_px, height_px);
    f->width_px = width;
    f->height_px = height;
    return 0;
}

/* ---- the driver ---- */

static int take_memory(struct file_camera *f, struct sl_error *err)
{
    size_t largest = 0;
    for (size_t i = 0; i < f->count; i++) {
        struct stat st;
        /* What is too large or gone is told when its turn comes. */
        if (stat(f->paths[i], &st) == 0 && S_ISREG(st.st_mode) &&
            (uint64_t)st.st_size <= FILE_BYTES_MAX && (size_t)st.st_size > largest)
            largest = (size_t)st.st_size;
    }
    f->capacity = largest + 1; /* one more: reading up to it shows that a file grew */
    f->bytes = malloc(f->capacity);
    f->decoder = sl_image_decoder_create();
    if (f->bytes == NULL || f->decoder == NULL)
        return sl_error_set(err, -ENOMEM, "no memory for pictures of %zu bytes", largest);
    return 0;
}

static int open_pictures(struct file_camera *f, const struct sl_camera_config *config,
                         struct sl_error *err)
{
    int failed = list_source(f, config->source, err);
    if (failed == 0)
        failed = take_memory(f, err);
    size_t size;
    if (failed == 0)
        failed = read_picture(f, f->paths[0], config->width_px, config->height_px, &size, err);
    return failed;
}

static int open_video(struct file_camera *f, const struct sl_camera_config *config,
                      struct sl_error *err)
{
    const int failed = sl_y4m_open(&f->video, config->source, err);
    if (failed)
        return failed;
    const struct sl_y4m_header *header = sl_y4m_header(f->video);
    f->width_px = header->width_px;
    f->height_px = header->height_px;
    if (config->width_px != 0 &&
        (f->width_px != config->width_px || f->height_px != config->height_px))
        return sl_error_set(err, -EPROTO, "%s has %u x %u px, not %u x %u", config->source,
                            f->width_px, f->height_px, config->width_px, config->height_px);
    if (f->loop && sl_y4m_is_stream(f->video))
        return sl_error_set(err, -EINVAL,
                            "video on standard input cannot begin again: switch the camera's loop "
                            "off, or give a file");
    return 0;
}

static int file_open(void *state, const struct sl_camera_config *config,
                     struct sl_camera_caps *caps, struct sl_error *err)
{
    struct file_camera *f = state;
    char name[5];
    f->fourcc = config->fourcc != 0 ? config->fourcc : (uint32_t)SL_FORMAT_NV12;
    f->rate_hz = config->rate_hz;
    f->loop = config->loop;
    if (f->fourcc != SL_FORMAT_GRAY8 && f->fourcc != SL_FORMAT_NV12 &&
        f->fourcc != SL_FORMAT_YUYV && f->fourcc != SL_FORMAT_BGR24)
        return sl_error_set(err, -EINVAL,
                            "pictures are not decoded to %s, only to GRAY8, NV12, YUYV and BGR24",
                            sl_frame_format_name(f->fourcc, name));
    if (config->source == NULL || config->source[0] == '\0')
        return sl_error_set(err, -EINVAL,
                            "the file camera needs a folder, a pattern, a picture or a .y4m video");
    if (is_motion_jpeg(config->source))
        return sl_error_set(err, -EPROTO, "%s: Motion JPEG is not read, of video only .y4m is",
                            config->source);
    const int failed =
        is_video(config->source) ? open_video(f, config, err) : open_pictures(f, config, err);
    if (failed)
        return failed;

    struct sl_frame_info layout = {0};
    const uint32_t halved = f->fourcc == SL_FORMAT_NV12 || f->fourcc == SL_FORMAT_YUYV ? ~1u : ~0u;
    caps->width_px = f->width_px & halved;
    caps->height_px = f->fourcc == SL_FORMAT_NV12 ? f->height_px & ~1u : f->height_px;
    if (sl_frame_layout(&layout, f->fourcc, caps->width_px, caps->height_px) != 0)
        return sl_error_set(err, -EPROTO, "%s is too small: %u x %u px",
                            f->video != NULL ? config->source : f->paths[0], f->width_px,
                            f->height_px);
    caps->fourcc = f->fourcc;
    caps->frame_bytes = layout.size_bytes;
    caps->rate_hz = f->rate_hz;
    return 0;
}

static int file_start(void *state, struct sl_error *err)
{
    struct file_camera *f = state;
    if (f->begun && f->video != NULL && sl_y4m_is_stream(f->video))
        return sl_error_set(err, -ESPIPE, "video on standard input cannot begin again");
    f->begun = true;
    sl_pacer_reset(&f->pacer, f->rate_hz);
    return 0;
}

/* Decodes picture `index` of the list, or frame `index` of a video's file. */
static int take_indexed(struct file_camera *f, uint64_t index, void *memory, size_t capacity,
                        struct sl_frame_info *info)
{
    const uint8_t *planes;
    if (f->video != NULL) {
        const int failed = sl_y4m_read(f->video, index, &planes, &f->why);
        return failed ? failed
                      : sl_y4m_convert(sl_y4m_header(f->video), planes, f->fourcc, memory, capacity,
                                       info, &f->why);
    }
    const char *path = f->paths[index];
    size_t size;
    int failed = read_picture(f, path, f->width_px, f->height_px, &size, &f->why);
    if (failed)
        return failed;
    failed =
        sl_image_decode(f->decoder, f->bytes, size, f->fourcc, memory, capacity, info, &f->why);
    if (failed)
        sl_error_prefix(&f->why, "%s", path);
    return failed;
}

/* What is due may not have come yet: then the next call goes on waiting for it. */
static int take_streamed(struct file_camera *f, void *memory, size_t capacity,
                         struct sl_frame_info *info, uint64_t deadline_ns)
{
    const uint8_t *planes;
    const int failed = sl_y4m_next(f->video, deadline_ns, &planes, &f->why);
    if (failed == -ETIMEDOUT || failed == -ENODATA)
        return failed;
    f->due = false;
    f->taken++;
    return failed ? failed
                  : sl_y4m_convert(sl_y4m_header(f->video), planes, f->fourcc, memory, capacity,
                                   info, &f->why);
}

static int file_fill(void *state, void *memory, size_t capacity, struct sl_frame_info *info,
                     uint64_t deadline_ns)
{
    struct file_camera *f = state;
    const bool stream = f->video != NULL && sl_y4m_is_stream(f->video);
    const uint64_t count = f->video != NULL ? sl_y4m_count(f->video) : f->count;
    uint64_t index = 0, skipped = 0;
    int failed;
    if (!stream && !f->loop && f->pacer.next >= count)
        return -ENODATA;
    if (!f->due) {
        /* Late or not, the last picture is shown: nothing newer will come. */
        const uint64_t last = stream ? f->pacer.next : f->loop ? UINT64_MAX : count - 1;
        failed = sl_pacer_wait(&f->pacer, deadline_ns, last, &index, &f->due_ns, &skipped);
        if (failed)
            return failed;
    }
    if (stream) {
        f->due = true;
        failed = take_streamed(f, memory, capacity, info, deadline_ns);
        if (failed == -ETIMEDOUT || failed == -ENODATA)
            return failed;
    } else {
        f->taken += skipped + 1;
        f->dropped += skipped;
        failed = take_indexed(f, index % count, memory, capacity, info);
    }
    if (failed) {
        f->dropped++;
        f->bad++;
        return -EPROTO;
    }
    info->frame_id = f->taken;
    info->dropped = f->dropped;
    info->exposed_ns = f->due_ns;
    info->received_ns = sl_clock_now_ns();
    return 0;
}

static void file_drops(const void *state, struct sl_camera_drops *drops)
{
    const struct file_camera *f = state;
    drops->late = f->dropped - f->bad;
    drops->corrupt = f->bad;
}

static const char *file_transfer(const void *state)
{
    (void)state;
    return "read from files";
}

static void file_stop(void *state)
{
    (void)state;
}

static void file_close(void *state)
{
    struct file_camera *f = state;
    for (size_t i = 0; i < f->count; i++)
        free(f->paths[i]);
    free(f->paths);
    free(f->bytes);
    sl_image_decoder_destroy(f->decoder);
    sl_y4m_close(f->video);
    memset(f, 0, sizeof *f);
}

static const char *file_problem(const void *state)
{
    return ((const struct file_camera *)state)->why.text;
}

const struct sl_camera_driver sl_camera_file = {
    .name = "file",
    .help = "pictures (JPEG, PGM, PPM) or video (Y4M) from disk; source: a folder, a glob pattern, "
            "a picture, a .y4m file, or - for Y4M on standard input",
    .state_bytes = sizeof(struct file_camera),
    .open = file_open,
    .start = file_start,
    .fill = file_fill,
    .share = sl_camera_cannot_share,
    .queue = sl_camera_cannot_queue,
    .take = sl_camera_cannot_take,
    .drops = file_drops,
    .transfer = file_transfer,
    .stop = file_stop,
    .close = file_close,
    .problem = file_problem,
};
