#include "hal/camera/y4m.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "rt/clock.h"

#define MAGIC           "YUV4MPEG2"
#define FRAME           "FRAME"
#define HEADER_WAIT_NS  (30 * 1000 * SL_NS_PER_MS)
#define NEUTRAL_CHROMA  128
#define INDEX_ROOM      1024
#define KINDS_THAT_READ "only 8 bits of 4:2:0 and of mono are"

struct sl_y4m {
    int fd;
    bool stream;
    bool ended;
    struct sl_y4m_header header;
    uint64_t *places; /* file: of each frame's planes */
    uint64_t count, room;
    bool torn;             /* the last of them is damaged */
    struct sl_error why;   /* in this way */
    uint8_t *bytes;        /* file: one frame's planes; stream: its line before them */
    size_t have, capacity; /* stream */
    size_t given;          /* stream: of these, handed out by the last call */
};

/* ---- lines of text ---- */

/* The line's length without its end; -EAGAIN, -EPROTO. */
static int find_line(const char *bytes, size_t size, size_t *length, struct sl_error *err)
{
    const char *end = memchr(bytes, '\n', size < SL_Y4M_LINE_MAX ? size : SL_Y4M_LINE_MAX);
    if (end == NULL && size < SL_Y4M_LINE_MAX)
        return -EAGAIN;
    if (end == NULL)
        return sl_error_set(err, -EPROTO, "a line of the video is longer than %d bytes",
                            SL_Y4M_LINE_MAX);
    *length = (size_t)(end - bytes);
    return 0;
}

/* Begins with the word, and then it ends or a space follows. */
static bool begins(const char *line, size_t length, const char *word)
{
    const size_t n = strlen(word);
    return length >= n && memcmp(line, word, n) == 0 && (length == n || line[n] == ' ');
}

static bool equals(const char *text, size_t length, const char *word)
{
    return length == strlen(word) && memcmp(text, word, length) == 0;
}

/* A side: decimal digits and nothing else; 0 if it is not, or is too large. */
static uint32_t side_of(const char *text, size_t length)
{
    uint32_t value = 0;
    for (size_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9' || value > SL_FRAME_WIDTH_MAX_PX)
            return 0;
        value = 10 * value + (uint32_t)(text[i] - '0');
    }
    return value <= SL_FRAME_WIDTH_MAX_PX ? value : 0;
}

static int take_colours(const char *text, size_t length, struct sl_y4m_header *header,
                        struct sl_error *err)
{
    static const char *const HALVED[] = {"420", "420jpeg", "420mpeg2", "420paldv"};
    header->mono = equals(text, length, "mono");
    for (size_t i = 0; i < sizeof HALVED / sizeof HALVED[0]; i++) {
        if (equals(text, length, HALVED[i]))
            return 0;
    }
    if (header->mono)
        return 0;
    return sl_error_set(err, -EPROTO,
                        "video of kind C%.*s is not read, " KINDS_THAT_READ
                        "; convert it with ffmpeg -pix_fmt yuv420p",
                        length < 24 ? (int)length : 24, text);
}

static int take_field(char tag, const char *text, size_t length, struct sl_y4m_header *header,
                      struct sl_error *err)
{
    switch (tag) {
    case 'W':
        header->width_px = side_of(text, length);
        return 0;
    case 'H':
        header->height_px = side_of(text, length);
        return 0;
    case 'C':
        return take_colours(text, length, header, err);
    case 'X':
        if (equals(text, length, "COLORRANGE=FULL"))
            header->full_range = true;
        return 0;
    default: /* rate, interlacing, aspect: say nothing about the bytes */
        return 0;
    }
}

int sl_y4m_parse(const void *bytes, size_t size, struct sl_y4m_header *header, struct sl_error *err)
{
    const char *line = bytes;
    size_t length = 0;
    memset(header, 0, sizeof *header);
    /* What is no video at all is told before its first line's end comes. */
    const size_t known = size < strlen(MAGIC) ? size : strlen(MAGIC);
    if (memcmp(line, MAGIC, known) != 0)
        return sl_error_set(err, -EPROTO, "this is no YUV4MPEG2 video");
    const int failed = find_line(line, size, &length, err);
    if (failed)
        return failed;
    if (!begins(line, length, MAGIC))
        return sl_error_set(err, -EPROTO, "this is no YUV4MPEG2 video");
    size_t at = strlen(MAGIC);
    while (at < length) {
        if (line[at] == ' ') {
            at++;
            continue;
        }
        const char *end = memchr(line + at, ' ', length - at);
        const size_t field = end != NULL ? (size_t)(end - line) - at : length - at;
        const int bad = take_field(line[at], line + at + 1, field - 1, header, err);
        if (bad)
            return bad;
        at += field;
    }
    if (header->width_px == 0 || header->height_px == 0)
        return sl_error_set(err, -EPROTO,
                            "the video's header has no width and height within 1..%d px",
                            SL_FRAME_WIDTH_MAX_PX);
    const size_t w = header->width_px, h = header->height_px;
    header->line_bytes = length + 1;
    header->frame_bytes = w * h + (header->mono ? 0 : 2 * ((w + 1) / 2) * ((h + 1) / 2));
    return 0;
}

int sl_y4m_parse_frame(const void *bytes, size_t size, size_t *line_bytes, struct sl_error *err)
{
    size_t length = 0;
    const size_t known = size < strlen(FRAME) ? size : strlen(FRAME);
    if (memcmp(bytes, FRAME, known) != 0)
        return sl_error_set(err, -EPROTO, "a frame of the video does not begin with " FRAME);
    const int failed = find_line(bytes, size, &length, err);
    if (failed)
        return failed;
    if (!begins(bytes, length, FRAME))
        return sl_error_set(err, -EPROTO, "a frame of the video does not begin with " FRAME);
    *line_bytes = length + 1;
    return 0;
}

/* ---- colours ---- */

static uint8_t clamp(int value)
{
    return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

/* Tables from the video's range to the full one. */
struct ranges {
    uint8_t luma[256], chroma[256];
};

static int divide(int value, int by)
{
    return (2 * value + (value < 0 ? -by : by)) / (2 * by);
}

static void make_ranges(bool full, struct ranges *r)
{
    for (int i = 0; i < 256; i++) {
        r->luma[i] = full ? (uint8_t)i : clamp(divide((i - 16) * 255, 219));
        r->chroma[i] = full ? (uint8_t)i : clamp(128 + divide((i - 128) * 255, 224));
    }
}

/* One frame's planes, with how to read them. */
struct planes {
    const uint8_t *y, *cb, *cr; /* cb, cr: NULL where there is no chroma */
    size_t y_stride, c_stride;
    struct ranges ranges;
};

static uint8_t chroma_at(const struct planes *p, const uint8_t *plane, size_t u, size_t v)
{
    return plane == NULL ? NEUTRAL_CHROMA : p->ranges.chroma[plane[v / 2 * p->c_stride + u / 2]];
}

static uint8_t luma_at(const struct planes *p, size_t u, size_t v)
{
    return p->ranges.luma[p->y[v * p->y_stride + u]];
}

static void put_luma(const struct planes *p, const struct sl_frame_info *info, uint8_t *to)
{
    for (size_t v = 0; v < info->height_px; v++)
        for (size_t u = 0; u < info->width_px; u++)
            *to++ = luma_at(p, u, v);
}

static void put_nv12_chroma(const struct planes *p, const struct sl_frame_info *info, uint8_t *to)
{
    for (size_t v = 0; v < info->height_px; v += 2) {
        for (size_t u = 0; u < info->width_px; u += 2) {
            *to++ = chroma_at(p, p->cb, u, v);
            *to++ = chroma_at(p, p->cr, u, v);
        }
    }
}

static void put_yuyv(const struct planes *p, const struct sl_frame_info *info, uint8_t *to)
{
    for (size_t v = 0; v < info->height_px; v++) {
        for (size_t u = 0; u < info->width_px; u += 2) {
            *to++ = luma_at(p, u, v);
            *to++ = chroma_at(p, p->cb, u, v);
            *to++ = luma_at(p, u + 1, v);
            *to++ = chroma_at(p, p->cr, u, v);
        }
    }
}

/* JFIF 1.02, page 3, in 16 bits of fraction. */
static void put_bgr(const struct planes *p, const struct sl_frame_info *info, uint8_t *to)
{
    for (size_t v = 0; v < info->height_px; v++) {
        for (size_t u = 0; u < info->width_px; u++) {
            const int y = (luma_at(p, u, v) << 16) + (1 << 15);
            const int cb = chroma_at(p, p->cb, u, v) - 128, cr = chroma_at(p, p->cr, u, v) - 128;
            *to++ = clamp((y + 116130 * cb) >> 16);
            *to++ = clamp((y - 22554 * cb - 46802 * cr) >> 16);
            *to++ = clamp((y + 91881 * cr) >> 16);
        }
    }
}

int sl_y4m_convert(const struct sl_y4m_header *header, const uint8_t *planes, uint32_t fourcc,
                   void *memory, size_t capacity, struct sl_frame_info *info, struct sl_error *err)
{
    char name[5];
    const bool nv12 = fourcc == SL_FORMAT_NV12;
    if (fourcc != SL_FORMAT_GRAY8 && !nv12 && fourcc != SL_FORMAT_YUYV && fourcc != SL_FORMAT_BGR24)
        return sl_error_set(err, -ENOTSUP, "video is not converted to %s",
                            sl_frame_format_name(fourcc, name));
    const uint32_t width =
        nv12 || fourcc == SL_FORMAT_YUYV ? header->width_px & ~1u : header->width_px;
    const uint32_t height = nv12 ? header->height_px & ~1u : header->height_px;
    if (sl_frame_layout(info, fourcc, width, height) != 0)
        return sl_error_set(err, -EPROTO, "the video is too small: %u x %u px", header->width_px,
                            header->height_px);
    if (info->size_bytes > capacity)
        return sl_error_set(err, -ENOSPC, "a frame needs %u bytes, %zu are there", info->size_bytes,
                            capacity);
    const size_t w = header->width_px, h = header->height_px;
    struct planes p = {.y = planes, .y_stride = w, .c_stride = (w + 1) / 2};
    if (!header->mono) {
        p.cb = planes + w * h;
        p.cr = p.cb + p.c_stride * ((h + 1) / 2);
    }
    make_ranges(header->full_range, &p.ranges);
    uint8_t *to = memory;
    if (fourcc == SL_FORMAT_YUYV) {
        put_yuyv(&p, info, to);
    } else if (fourcc == SL_FORMAT_BGR24) {
        put_bgr(&p, info, to);
    } else {
        put_luma(&p, info, to);
        if (nv12)
            put_nv12_chroma(&p, info, to + info->planes[1].offset_bytes);
    }
    return 0;
}

/* ---- files ---- */

/* Reads at a place, as much as there is. Negative errno. */
static ssize_t read_at(int fd, void *to, size_t size, uint64_t place)
{
    size_t have = 0;
    while (have < size) {
        const ssize_t got = pread(fd, (uint8_t *)to + have, size - have, (off_t)(place + have));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -errno;
        if (got == 0)
            break;
        have += (size_t)got;
    }
    return (ssize_t)have;
}

static int add_place(struct sl_y4m *y, uint64_t place, struct sl_error *err)
{
    if (y->count == SL_Y4M_FRAMES_MAX)
        return sl_error_set(err, -EPROTO, "the video has more than %d frames", SL_Y4M_FRAMES_MAX);
    if (y->count == y->room) {
        const uint64_t room = y->room == 0 ? INDEX_ROOM : 2 * y->room;
        uint64_t *places = realloc(y->places, room * sizeof *places);
        if (places == NULL)
            return sl_error_set(err, -ENOMEM, "no memory for the places of the video's frames");
        y->places = places;
        y->room = room;
    }
    y->places[y->count++] = place;
    return 0;
}

/* Walks from frame to frame. Damage ends the walk; that frame counts. */
static int find_frames(struct sl_y4m *y, uint64_t size, struct sl_error *err)
{
    uint64_t at = y->header.line_bytes;
    while (at < size) {
        char line[SL_Y4M_LINE_MAX];
        size_t line_bytes = 0;
        /* Nearly always "FRAME" and the line's end: no more is read of it. */
        size_t asked = sizeof FRAME;
        ssize_t got;
        int parsed;
        do {
            got = read_at(y->fd, line, asked, at);
            if (got < 0)
                return sl_error_set(err, (int)got, "%s", strerror((int)-got));
            parsed = sl_y4m_parse_frame(line, (size_t)got, &line_bytes, &y->why);
            asked =
                parsed == -EAGAIN && (size_t)got == asked && asked < sizeof line ? sizeof line : 0;
        } while (asked != 0);
        y->torn = parsed != 0 || size - at < line_bytes + y->header.frame_bytes;
        if (y->torn && parsed != -EPROTO)
            (void)sl_error_set(&y->why, -EPROTO, "the video ends within a frame");
        const int failed = add_place(y, at + line_bytes, err);
        if (failed || y->torn)
            return failed;
        at += line_bytes + y->header.frame_bytes;
    }
    return 0;
}

static int open_file(struct sl_y4m *y, struct sl_error *err)
{
    char line[SL_Y4M_LINE_MAX];
    struct stat st;
    const ssize_t got = read_at(y->fd, line, sizeof line, 0);
    if (got < 0 || fstat(y->fd, &st) != 0)
        return sl_error_set(err, -EPROTO, "%s", strerror(got < 0 ? (int)-got : errno));
    int failed = sl_y4m_parse(line, (size_t)got, &y->header, err);
    if (failed == -EAGAIN)
        failed = sl_error_set(err, -EPROTO, "the video ends within its header");
    if (failed == 0)
        failed = find_frames(y, (uint64_t)st.st_size, err);
    if (failed)
        return failed;
    if (y->count == 0)
        return sl_error_set(err, -EPROTO, "the video has no frames");
    if (y->torn && y->count == 1)
        return sl_error_set(err, -EPROTO, "%s", y->why.text);
    y->capacity = y->header.frame_bytes;
    return 0;
}

int sl_y4m_read(struct sl_y4m *y, uint64_t index, const uint8_t **planes, struct sl_error *err)
{
    if (y->stream || index >= y->count)
        return -ENODATA;
    if (y->torn && index == y->count - 1)
        return sl_error_set(err, -EPROTO, "%s", y->why.text);
    const ssize_t got = read_at(y->fd, y->bytes, y->header.frame_bytes, y->places[index]);
    if (got < 0)
        return sl_error_set(err, -EPROTO, "%s", strerror((int)-got));
    if ((size_t)got != y->header.frame_bytes)
        return sl_error_set(err, -EPROTO, "the video has shrunk since it was opened");
    *planes = y->bytes;
    return 0;
}

/* ---- streams ---- */

/* Waits for more bytes and reads what there is. 0; -ETIMEDOUT, -EINTR, -ENODATA
 * (the end), -EPROTO. */
static int read_more(struct sl_y4m *y, uint64_t deadline_ns, struct sl_error *err)
{
    const uint64_t now = sl_clock_now_ns();
    const uint64_t left_ns = deadline_ns > now ? deadline_ns - now : 0;
    const uint64_t left_ms = (left_ns + SL_NS_PER_MS - 1) / SL_NS_PER_MS;
    struct pollfd p = {.fd = y->fd, .events = POLLIN};
    const int ready = poll(&p, 1, left_ms > 60000 ? 60000 : (int)left_ms);
    if (ready == 0)
        return left_ms > 60000 ? 0 : -ETIMEDOUT;
    if (ready < 0)
        return errno == EINTR ? -EINTR : sl_error_set(err, -EPROTO, "%s", strerror(errno));
    const ssize_t got = read(y->fd, y->bytes + y->have, y->capacity - y->have);
    if (got < 0)
        return errno == EINTR || errno == EAGAIN
                   ? -EINTR
                   : sl_error_set(err, -EPROTO, "%s", strerror(errno));
    y->have += (size_t)got;
    return got == 0 ? -ENODATA : 0;
}

static void drop(struct sl_y4m *y, size_t size)
{
    y->have -= size;
    memmove(y->bytes, y->bytes + size, y->have);
}

static int open_stream(struct sl_y4m *y, struct sl_error *err)
{
    const uint64_t deadline_ns = sl_clock_now_ns() + HEADER_WAIT_NS;
    y->capacity = SL_Y4M_LINE_MAX;
    y->bytes = malloc(y->capacity);
    if (y->bytes == NULL)
        return sl_error_set(err, -ENOMEM, "no memory for a video");
    int parsed = -EAGAIN;
    while (parsed == -EAGAIN) {
        const int result = read_more(y, deadline_ns, err);
        if (result == -ENODATA)
            return sl_error_set(
                err, -EPROTO, y->have == 0 ? "no video came" : "the video ends within its header");
        if (result == -ETIMEDOUT)
            return sl_error_set(err, -ETIMEDOUT, "no video came within %d s",
                                (int)(HEADER_WAIT_NS / (1000 * SL_NS_PER_MS)));
        if (result == -EINTR)
            return sl_error_set(err, -EINTR, "stopped while waiting for a video");
        if (result)
            return result;
        parsed = sl_y4m_parse(y->bytes, y->have, &y->header, err);
    }
    if (parsed)
        return parsed;
    drop(y, y->header.line_bytes);
    y->capacity = SL_Y4M_LINE_MAX + y->header.frame_bytes;
    uint8_t *bytes = realloc(y->bytes, y->capacity);
    if (bytes == NULL)
        return sl_error_set(err, -ENOMEM, "no memory for video of %u x %u px", y->header.width_px,
                            y->header.height_px);
    y->bytes = bytes;
    return 0;
}

int sl_y4m_next(struct sl_y4m *y, uint64_t deadline_ns, const uint8_t **planes,
                struct sl_error *err)
{
    if (!y->stream || y->ended)
        return -ENODATA;
    drop(y, y->given);
    y->given = 0;
    for (;;) {
        size_t line_bytes = 0;
        int parsed = sl_y4m_parse_frame(y->bytes, y->have, &line_bytes, err);
        if (parsed == 0 && y->have >= line_bytes + y->header.frame_bytes) {
            y->given = line_bytes + y->header.frame_bytes;
            *planes = y->bytes + line_bytes;
            return 0;
        }
        if (parsed == 0 || parsed == -EAGAIN)
            parsed = read_more(y, deadline_ns, err);
        if (parsed == -ETIMEDOUT)
            return parsed;
        if (parsed == 0 || parsed == -EINTR)
            continue;
        y->ended = true;
        if (parsed == -ENODATA && y->have > 0)
            return sl_error_set(err, -EPROTO, "the video ends within a frame");
        return parsed;
    }
}

/* ---- both ---- */

static int open_fd(struct sl_y4m *y, const char *path, struct sl_error *err)
{
    struct stat st;
    const bool standard = strcmp(path, "-") == 0;
    y->fd = standard ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)
                     : open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (y->fd < 0 || fstat(y->fd, &st) != 0)
        return sl_error_set(err, -errno, "%s", strerror(errno));
    if (standard && isatty(y->fd))
        return sl_error_set(err, -EINVAL, "it is a terminal; pipe a video into this program");
    if (!standard && !S_ISREG(st.st_mode))
        return sl_error_set(err, -EPROTO, "is no ordinary file; pipe it into - instead");
    y->stream = !S_ISREG(st.st_mode);
    return 0;
}

int sl_y4m_open(struct sl_y4m **video, const char *path, struct sl_error *err)
{
    *video = NULL;
    struct sl_y4m *y = calloc(1, sizeof *y);
    if (y == NULL)
        return sl_error_set(err, -ENOMEM, "no memory for a video");
    int failed = open_fd(y, path, err);
    if (failed == 0)
        failed = y->stream ? open_stream(y, err) : open_file(y, err);
    if (failed == 0 && !y->stream) {
        y->bytes = malloc(y->capacity);
        if (y->bytes == NULL)
            failed = sl_error_set(err, -ENOMEM, "no memory for video of %u x %u px",
                                  y->header.width_px, y->header.height_px);
    }
    if (failed) {
        sl_error_prefix(err, "%s", strcmp(path, "-") == 0 ? "standard input" : path);
        sl_y4m_close(y);
        return failed;
    }
    *video = y;
    return 0;
}

void sl_y4m_close(struct sl_y4m *y)
{
    if (y == NULL)
        return;
    if (y->fd >= 0)
        close(y->fd);
    free(y->places);
    free(y->bytes);
    free(y);
}

const struct sl_y4m_header *sl_y4m_header(const struct sl_y4m *y)
{
    return &y->header;
}

bool sl_y4m_is_stream(const struct sl_y4m *y)
{
    return y->stream;
}

uint64_t sl_y4m_count(const struct sl_y4m *y)
{
    return y->stream ? 0 : y->count;
}
