#include "hal/camera/v4l2_device.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/videodev2.h>

#define NODES_MAX   64
#define LIST_MAX    16
#define SIZES_MAX   64
#define RATE_MARGIN 0.99 /* 29.97 is 30 */

int sl_v4l2_ioctl(int fd, unsigned long request, void *argument)
{
    int rc;
    do
        rc = ioctl(fd, request, argument);
    while (rc < 0 && errno == EINTR);
    return rc < 0 ? -errno : 0;
}

/* ---- which devices there are ---- */

static int by_number(const void *a, const void *b)
{
    const int x = *(const int *)a, y = *(const int *)b;
    return (x > y) - (x < y);
}

/* Numbers of /dev/video*, in order. */
static size_t node_numbers(int numbers[NODES_MAX])
{
    size_t count = 0;
    DIR *folder = opendir("/dev");
    for (const struct dirent *entry; folder != NULL && (entry = readdir(folder)) != NULL;) {
        char *end;
        if (strncmp(entry->d_name, "video", 5) != 0 || !isdigit((unsigned char)entry->d_name[5]))
            continue;
        const long number = strtol(entry->d_name + 5, &end, 10);
        if (*end == '\0' && number < 100000 && count < NODES_MAX)
            numbers[count++] = (int)number;
    }
    if (folder != NULL)
        closedir(folder);
    qsort(numbers, count, sizeof numbers[0], by_number);
    return count;
}

/* 0, with the type of its buffers; -ENOTTY or so where it captures no pictures. */
static int ask(int fd, const char *path, struct sl_v4l2_info *info, uint32_t *type)
{
    struct v4l2_capability c = {0};
    const int rc = sl_v4l2_ioctl(fd, VIDIOC_QUERYCAP, &c);
    if (rc != 0)
        return rc;
    const uint32_t can =
        (c.capabilities & V4L2_CAP_DEVICE_CAPS) != 0 ? c.device_caps : c.capabilities;
    if ((can & (V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_VIDEO_CAPTURE_MPLANE)) == 0 ||
        (can & V4L2_CAP_STREAMING) == 0)
        return -ENOTTY;
    *type = (can & V4L2_CAP_VIDEO_CAPTURE) != 0 ? V4L2_BUF_TYPE_VIDEO_CAPTURE
                                                : V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE;
    snprintf(info->path, sizeof info->path, "%s", path);
    snprintf(info->card, sizeof info->card, "%.32s", (const char *)c.card);
    snprintf(info->driver, sizeof info->driver, "%.16s", (const char *)c.driver);
    snprintf(info->bus, sizeof info->bus, "%.32s", (const char *)c.bus_info);
    return 0;
}

static int open_node(const char *path, struct sl_v4l2_info *info, uint32_t *type)
{
    const int fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    const int rc = ask(fd, path, info, type);
    if (rc == 0)
        return fd;
    close(fd);
    return rc;
}

size_t sl_v4l2_list(struct sl_v4l2_info *infos, size_t max)
{
    int numbers[NODES_MAX];
    size_t found = 0;
    const size_t count = node_numbers(numbers);
    for (size_t i = 0; i < count; i++) {
        struct sl_v4l2_info info;
        uint32_t type;
        char path[32];
        snprintf(path, sizeof path, "/dev/video%d", numbers[i]);
        const int fd = open_node(path, &info, &type);
        if (fd < 0)
            continue;
        close(fd);
        if (found < max)
            infos[found] = info;
        found++;
    }
    return found;
}

/* ---- which one is meant ---- */

static bool contains(const char *text, const char *part)
{
    return strcasestr(text, part) != NULL;
}

static int none_found(const char *source, const struct sl_v4l2_info *infos, size_t count,
                      struct sl_error *err)
{
    int numbers[NODES_MAX];
    char list[300] = "";
    size_t used = 0;
    for (size_t i = 0; i < count && i < LIST_MAX && used < sizeof list; i++)
        used += (size_t)snprintf(list + used, sizeof list - used, "%s%s (%s)", i == 0 ? "" : ", ",
                                 infos[i].path, infos[i].card);
    if (count > 0)
        return sl_error_set(err, -ENODEV, "there is no camera \"%s\"; this machine has: %s", source,
                            list);
    if (node_numbers(numbers) > 0)
        return sl_error_set(err, -ENODEV,
                            "none of this machine's /dev/video* can be used to capture; are they "
                            "another user's (groups: \"sudo usermod -aG video $USER\", then log "
                            "in again)?");
    return sl_error_set(err, -ENODEV,
                        "this machine has no V4L2 camera: there is no /dev/video*; plug one in (a "
                        "USB camera needs the module uvcvideo), or use camera.driver = libcamera "
                        "for a Raspberry Pi's");
}

static int cannot_open(const char *path, int rc, struct sl_error *err)
{
    if (rc == -EACCES || rc == -EPERM)
        return sl_error_set(err, rc,
                            "%s may not be opened by this user: \"sudo usermod -aG video $USER\", "
                            "then log in again",
                            path);
    if (rc == -ENOTTY)
        return sl_error_set(err, -ENODEV,
                            "%s is no camera that streams pictures; \"skylane camera list\" shows "
                            "those there are",
                            path);
    return sl_error_set(err, rc == -ENOENT || rc == -ENXIO ? -ENODEV : rc,
                        "cannot open the camera %s: %s; \"skylane camera list\" shows those there "
                        "are",
                        path, strerror(-rc));
}

/* The path that `source` stands for. */
static int resolve(const char *source, char path[64], struct sl_error *err)
{
    struct sl_v4l2_info infos[LIST_MAX];
    if (source[0] == '/') {
        snprintf(path, 64, "%s", source);
        return 0;
    }
    if (source[0] != '\0' && strspn(source, "0123456789") == strlen(source)) {
        snprintf(path, 64, "/dev/video%.16s", source);
        return 0;
    }
    size_t count = sl_v4l2_list(infos, LIST_MAX);
    const struct sl_v4l2_info *match = NULL;
    for (size_t i = 0; i < count && i < LIST_MAX; i++) {
        if (source[0] != '\0' && !contains(infos[i].card, source) &&
            !contains(infos[i].bus, source))
            continue;
        /* A camera may have several nodes, of which the first has the pictures. */
        if (match == NULL)
            match = &infos[i];
        else if (source[0] != '\0' && strcmp(match->bus, infos[i].bus) != 0)
            return sl_error_set(err, -EINVAL,
                                "\"%s\" stands for %s (%s) as well as for %s (%s): set "
                                "camera.source to a path, best one below /dev/v4l/by-path/",
                                source, match->path, match->bus, infos[i].path, infos[i].bus);
    }
    if (match == NULL)
        return none_found(source, infos, count, err);
    memcpy(path, match->path, sizeof match->path);
    return 0;
}

int sl_v4l2_open(struct sl_v4l2_device *d, const char *source, struct sl_error *err)
{
    char path[64];
    *d = (struct sl_v4l2_device){.fd = -1};
    if (source != NULL && strlen(source) >= sizeof path)
        return sl_error_set(err, -EINVAL, "camera.source is longer than %zu characters",
                            sizeof path - 1);
    int rc = resolve(source != NULL ? source : "", path, err);
    if (rc != 0)
        return rc;
    rc = open_node(path, &d->info, &d->type);
    if (rc < 0)
        return cannot_open(path, rc, err);
    d->fd = rc;
    return 0;
}

void sl_v4l2_close(struct sl_v4l2_device *d)
{
    if (d->fd >= 0)
        close(d->fd);
    d->fd = -1;
}

/* ---- what it can deliver ---- */

static double rate_of(const struct v4l2_fract *interval)
{
    return interval->numerator > 0 ? (double)interval->denominator / interval->numerator : 0;
}

/* The highest at this size; 0 if it does not tell. */
static double highest_rate(int fd, uint32_t fourcc, uint32_t width_px, uint32_t height_px)
{
    double highest_hz = 0;
    struct v4l2_frmivalenum e = {.pixel_format = fourcc, .width = width_px, .height = height_px};
    for (; e.index < SIZES_MAX && sl_v4l2_ioctl(fd, VIDIOC_ENUM_FRAMEINTERVALS, &e) == 0;
         e.index++) {
        const double rate_hz =
            rate_of(e.type == V4L2_FRMIVAL_TYPE_DISCRETE ? &e.discrete : &e.stepwise.min);
        highest_hz = fmax(highest_hz, rate_hz);
        if (e.type != V4L2_FRMIVAL_TYPE_DISCRETE)
            break;
    }
    return highest_hz;
}

/* The size that it makes of a wish, without setting it; false if it has no such
 * format. */
static bool try_size(const struct sl_v4l2_device *d, uint32_t fourcc, uint32_t *width_px,
                     uint32_t *height_px)
{
    const bool planes = d->type == V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE;
    struct v4l2_format f = {.type = d->type};
    if (planes) {
        f.fmt.pix_mp.pixelformat = fourcc;
        f.fmt.pix_mp.width = *width_px;
        f.fmt.pix_mp.height = *height_px;
        f.fmt.pix_mp.field = V4L2_FIELD_NONE;
    } else {
        f.fmt.pix.pixelformat = fourcc;
        f.fmt.pix.width = *width_px;
        f.fmt.pix.height = *height_px;
        f.fmt.pix.field = V4L2_FIELD_NONE;
    }
    if (sl_v4l2_ioctl(d->fd, VIDIOC_TRY_FMT, &f) != 0)
        return false;
    *width_px = planes ? f.fmt.pix_mp.width : f.fmt.pix.width;
    *height_px = planes ? f.fmt.pix_mp.height : f.fmt.pix.height;
    return (planes ? f.fmt.pix_mp.pixelformat : f.fmt.pix.pixelformat) == fourcc;
}

struct caller {
    struct sl_v4l2_device *device;
    void (*each)(void *context, const struct sl_v4l2_mode *mode);
    void *context;
};

static void tell(const struct caller *c, uint32_t fourcc, uint32_t width_px, uint32_t height_px,
                 bool is_least)
{
    const struct sl_v4l2_mode mode = {.fourcc = fourcc,
                                      .width_px = width_px,
                                      .height_px = height_px,
                                      .is_least = is_least,
                                      .rate_hz =
                                          highest_rate(c->device->fd, fourcc, width_px, height_px)};
    c->each(c->context, &mode);
}

static void tell_sizes(const struct caller *c, uint32_t fourcc)
{
    struct v4l2_frmsizeenum e = {.pixel_format = fourcc};
    for (; e.index < SIZES_MAX && sl_v4l2_ioctl(c->device->fd, VIDIOC_ENUM_FRAMESIZES, &e) == 0;
         e.index++) {
        if (e.type != V4L2_FRMSIZE_TYPE_DISCRETE) {
            tell(c, fourcc, e.stepwise.min_width, e.stepwise.min_height, true);
            tell(c, fourcc, e.stepwise.max_width, e.stepwise.max_height, false);
            return;
        }
        tell(c, fourcc, e.discrete.width, e.discrete.height, false);
    }
    /* Where the size is that of a signal, as HDMI's. */
    uint32_t width_px = 1, height_px = 1;
    if (e.index == 0 && try_size(c->device, fourcc, &width_px, &height_px))
        tell(c, fourcc, width_px, height_px, false);
}

void sl_v4l2_modes(struct sl_v4l2_device *d,
                   void (*each)(void *context, const struct sl_v4l2_mode *mode), void *context)
{
    const struct caller caller = {d, each, context};
    struct v4l2_fmtdesc f = {.type = d->type};
    for (; f.index < 256 && sl_v4l2_ioctl(d->fd, VIDIOC_ENUM_FMT, &f) == 0; f.index++)
        tell_sizes(&caller, f.pixelformat);
}

/* ---- agreeing ---- */

/* Best first: luma as a plane of its own, then without decoding. */
static const uint32_t PREFERRED[] = {SL_FORMAT_NV12, SL_FORMAT_YUYV, SL_FORMAT_GRAY8,
                                     SL_FORMAT_BGR24, SL_FORMAT_MJPEG};
#define PREFERRED_COUNT (sizeof PREFERRED / sizeof PREFERRED[0])

struct offers {
    uint32_t width_px, height_px; /* wanted */
    struct {
        bool has;       /* this format in this size */
        double rate_hz; /* 0: not told */
    } each[PREFERRED_COUNT];
    char sizes[200]; /* of the formats that can be used, for people */
    struct sl_v4l2_mode least;
};

static bool lies_within(uint32_t low, uint32_t value, uint32_t high)
{
    return low <= value && value <= high;
}

static void take_offer(void *context, const struct sl_v4l2_mode *mode)
{
    struct offers *o = context;
    const struct sl_v4l2_mode least = o->least;
    o->least = *mode;
    if (mode->is_least)
        return;
    const bool range = least.is_least && least.fourcc == mode->fourcc;
    for (size_t i = 0; i < PREFERRED_COUNT; i++) {
        if (PREFERRED[i] != mode->fourcc)
            continue;
        char text[40];
        if (range)
            snprintf(text, sizeof text, "%ux%u to %ux%u", least.width_px, least.height_px,
                     mode->width_px, mode->height_px);
        else
            snprintf(text, sizeof text, "%ux%u", mode->width_px, mode->height_px);
        const size_t used = strlen(o->sizes);
        if (strstr(o->sizes, text) == NULL && used + strlen(text) + 3 < sizeof o->sizes)
            snprintf(o->sizes + used, sizeof o->sizes - used, "%s%s", used == 0 ? "" : ", ", text);
        if (range ? lies_within(least.width_px, o->width_px, mode->width_px) &&
                        lies_within(least.height_px, o->height_px, mode->height_px)
                  : mode->width_px == o->width_px && mode->height_px == o->height_px) {
            o->each[i].has = true;
            o->each[i].rate_hz = mode->rate_hz;
        }
    }
}

static int set_format(struct sl_v4l2_device *d, uint32_t fourcc, uint32_t width_px,
                      uint32_t height_px, struct sl_error *err)
{
    const bool planes = d->type == V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE;
    struct v4l2_format f = {.type = d->type};
    if (planes)
        f.fmt.pix_mp = (struct v4l2_pix_format_mplane){.width = width_px,
                                                       .height = height_px,
                                                       .pixelformat = fourcc,
                                                       .field = V4L2_FIELD_NONE,
                                                       .num_planes = 1};
    else
        f.fmt.pix = (struct v4l2_pix_format){.width = width_px,
                                             .height = height_px,
                                             .pixelformat = fourcc,
                                             .field = V4L2_FIELD_NONE};
    const int rc = sl_v4l2_ioctl(d->fd, VIDIOC_S_FMT, &f);
    if (rc == -EBUSY)
        return sl_error_set(err, rc, "%s (%s) is in use by another program; end that first",
                            d->info.path, d->info.card);
    char name[5];
    const uint32_t got_fourcc = planes ? f.fmt.pix_mp.pixelformat : f.fmt.pix.pixelformat;
    const uint32_t got_width_px = planes ? f.fmt.pix_mp.width : f.fmt.pix.width;
    const uint32_t got_height_px = planes ? f.fmt.pix_mp.height : f.fmt.pix.height;
    if (rc != 0 || got_fourcc != fourcc || got_width_px != width_px || got_height_px != height_px ||
        (planes && f.fmt.pix_mp.num_planes != 1))
        return sl_error_set(err, rc != 0 ? rc : -EINVAL,
                            "%s (%s) does not do %s with %u x %u px, which it offers%s%s",
                            d->info.path, d->info.card, sl_frame_format_name(fourcc, name),
                            width_px, height_px, rc != 0 ? ": " : "", rc != 0 ? strerror(-rc) : "");
    const uint32_t stride =
        planes ? f.fmt.pix_mp.plane_fmt[0].bytesperline : f.fmt.pix.bytesperline;
    const uint32_t size = planes ? f.fmt.pix_mp.plane_fmt[0].sizeimage : f.fmt.pix.sizeimage;
    if (fourcc == SL_FORMAT_MJPEG) {
        d->image_bytes = size;
        d->layout = (struct sl_frame_info){.fourcc = fourcc,
                                           .width_px = width_px,
                                           .height_px = height_px,
                                           .size_bytes = size,
                                           .plane_count = 1};
        return 0;
    }
    struct sl_frame_info layout = {0};
    if (sl_frame_layout(&layout, fourcc, width_px, height_px) != 0)
        return sl_error_set(err, -EINVAL, "frames of %s cannot have %u x %u px",
                            sl_frame_format_name(fourcc, name), width_px, height_px);
    if (stride > layout.planes[0].stride_bytes) {
        layout.planes[0].stride_bytes = stride;
        if (layout.plane_count > 1) {
            layout.planes[1].offset_bytes = stride * height_px;
            layout.planes[1].stride_bytes = stride;
        }
    }
    /* Some drivers round the image up, and fill only what the rows take. */
    const uint32_t last = layout.plane_count - 1;
    const uint32_t rows = last == 0 ? height_px : height_px / 2; /* NV12's chroma */
    layout.size_bytes = layout.planes[last].offset_bytes + layout.planes[last].stride_bytes * rows;
    d->image_bytes = size;
    if (sl_frame_check(&layout, size, err) != 0) {
        sl_error_prefix(err, "%s (%s)", d->info.path, d->info.card);
        return -EPROTO;
    }
    d->layout = layout;
    return 0;
}

/* Asks for the rate; what it then has is kept. Not every device can be asked. */
static void set_rate(struct sl_v4l2_device *d, double rate_hz)
{
    struct v4l2_streamparm p = {.type = d->type};
    if (rate_hz > 0) {
        p.parm.capture.timeperframe.numerator = 1000;
        p.parm.capture.timeperframe.denominator = (uint32_t)lround(rate_hz * 1000);
        sl_v4l2_ioctl(d->fd, VIDIOC_S_PARM, &p);
    }
    p = (struct v4l2_streamparm){.type = d->type};
    d->rate_hz =
        sl_v4l2_ioctl(d->fd, VIDIOC_G_PARM, &p) == 0 ? rate_of(&p.parm.capture.timeperframe) : 0;
}

static bool fast_enough(const struct offers *o, size_t i, double rate_hz)
{
    return o->each[i].has &&
           (o->each[i].rate_hz <= 0 || o->each[i].rate_hz >= rate_hz * RATE_MARGIN);
}

/* Number in PREFERRED; PREFERRED_COUNT if there is none. */
static size_t choose(const struct offers *o, uint32_t fourcc, double rate_hz)
{
    size_t best = PREFERRED_COUNT;
    for (size_t i = 0; i < PREFERRED_COUNT; i++)
        if (PREFERRED[i] == fourcc && fast_enough(o, i, rate_hz))
            return i;
    for (size_t i = 0; i < PREFERRED_COUNT; i++)
        if (fast_enough(o, i, rate_hz))
            return i;
    for (size_t i = 0; i < PREFERRED_COUNT; i++)
        if (o->each[i].has &&
            (best == PREFERRED_COUNT || o->each[i].rate_hz > o->each[best].rate_hz))
            best = i;
    return best;
}

int sl_v4l2_negotiate(struct sl_v4l2_device *d, uint32_t fourcc, uint32_t width_px,
                      uint32_t height_px, double rate_hz, struct sl_error *err)
{
    struct offers offers = {.width_px = width_px, .height_px = height_px};
    sl_v4l2_modes(d, take_offer, &offers);
    const size_t i = choose(&offers, fourcc, rate_hz);
    if (i == PREFERRED_COUNT && offers.sizes[0] == '\0')
        return sl_error_set(err, -EINVAL,
                            "%s (%s) has none of the formats NV12, YUYV, GREY, BGR24 and MJPEG; "
                            "\"v4l2-ctl -d %s --list-formats\" shows what it has",
                            d->info.path, d->info.card, d->info.path);
    if (i == PREFERRED_COUNT)
        return sl_error_set(err, -EINVAL,
                            "%s (%s) has no frames of %u x %u px, but of %s; set camera.width_px "
                            "and camera.height_px, and calibrate anew",
                            d->info.path, d->info.card, width_px, height_px, offers.sizes);
    const int rc = set_format(d, PREFERRED[i], width_px, height_px, err);
    if (rc == 0)
        set_rate(d, rate_hz);
    return rc;
}

uint32_t sl_v4l2_min_buffers(struct sl_v4l2_device *d)
{
    struct v4l2_control c = {.id = V4L2_CID_MIN_BUFFERS_FOR_CAPTURE};
    return sl_v4l2_ioctl(d->fd, VIDIOC_G_CTRL, &c) == 0 && c.value > 1 && c.value < 16
               ? (uint32_t)c.value
               : 1;
}

/* ---- controls ---- */

static bool has_control(const struct sl_v4l2_device *d, uint32_t id, struct v4l2_queryctrl *q)
{
    *q = (struct v4l2_queryctrl){.id = id};
    return sl_v4l2_ioctl(d->fd, VIDIOC_QUERYCTRL, q) == 0 &&
           (q->flags & V4L2_CTRL_FLAG_DISABLED) == 0;
}

static int set_control(const struct sl_v4l2_device *d, uint32_t id, int32_t value)
{
    struct v4l2_control c = {.id = id, .value = value};
    return sl_v4l2_ioctl(d->fd, VIDIOC_S_CTRL, &c);
}

struct wish {
    const char *setting;
    uint32_t automatic; /* the control that switches the device's own choice on and off */
    int32_t on, off;
    uint32_t manual, other; /* the value's; `other` where there is no `manual`; 0: none */
    bool locked;
    double value;
};

static int apply(const struct sl_v4l2_device *d, const struct wish *w, struct sl_error *err)
{
    struct v4l2_queryctrl q;
    const bool has_automatic = has_control(d, w->automatic, &q);
    if (!w->locked) {
        if (has_automatic)
            set_control(d, w->automatic, w->on); /* not all have all of their menu's values */
        return 0;
    }
    uint32_t id = w->manual;
    bool has = has_control(d, id, &q);
    if (!has && w->other != 0)
        has = has_control(d, id = w->other, &q);
    if (!has)
        return sl_error_set(err, -ENOTSUP,
                            "%s (%s) has no control for camera.%s; leave that setting out",
                            d->info.path, d->info.card, w->setting);
    if (w->value < q.minimum || w->value > q.maximum)
        return sl_error_set(err, -ERANGE,
                            "%s (%s) cannot set camera.%s to %g in its own units: it can do %d to "
                            "%d",
                            d->info.path, d->info.card, w->setting, w->value, q.minimum, q.maximum);
    int rc = has_automatic ? set_control(d, w->automatic, w->off) : 0;
    if (rc == 0)
        rc = set_control(d, id, (int32_t)lround(w->value));
    if (rc != 0)
        return sl_error_set(err, rc, "%s (%s) does not take camera.%s: %s", d->info.path,
                            d->info.card, w->setting, strerror(-rc));
    return 0;
}

int sl_v4l2_set_controls(struct sl_v4l2_device *d, const struct sl_v4l2_controls *c,
                         struct sl_error *err)
{
    const struct wish wishes[] = {
        /* exposure_absolute counts in 100 us. */
        {"exposure_us", V4L2_CID_EXPOSURE_AUTO, V4L2_EXPOSURE_APERTURE_PRIORITY,
         V4L2_EXPOSURE_MANUAL, V4L2_CID_EXPOSURE_ABSOLUTE, 0, c->exposure_us > 0,
         c->exposure_us / 100},
        {"gain", V4L2_CID_AUTOGAIN, 1, 0, V4L2_CID_GAIN, V4L2_CID_ANALOGUE_GAIN, c->gain > 0,
         c->gain},
        {"white_balance_k", V4L2_CID_AUTO_WHITE_BALANCE, 1, 0, V4L2_CID_WHITE_BALANCE_TEMPERATURE,
         0, c->white_balance_k > 0, c->white_balance_k},
        {"focus", V4L2_CID_FOCUS_AUTO, 1, 0, V4L2_CID_FOCUS_ABSOLUTE, 0, c->focus_locked, c->focus},
    };
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < sizeof wishes / sizeof wishes[0]; i++)
        rc = apply(d, &wishes[i], err);
    struct v4l2_queryctrl q;
    /* Else a webcam halves its rate in the dark. */
    if (rc == 0 && has_control(d, V4L2_CID_EXPOSURE_AUTO_PRIORITY, &q))
        set_control(d, V4L2_CID_EXPOSURE_AUTO_PRIORITY, 0);
    return rc;
}
