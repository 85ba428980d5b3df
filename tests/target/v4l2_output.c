#include "tests/target/v4l2_output.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <linux/videodev2.h>

#include "hal/camera/v4l2_device.h"

int v4l2_output_open(const char *path, const struct sl_frame_info *info, struct sl_error *err)
{
    const int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return sl_error_set(err, -errno, "cannot open %s: %s", path, strerror(errno));
    struct v4l2_format f = {.type = V4L2_BUF_TYPE_VIDEO_OUTPUT};
    f.fmt.pix = (struct v4l2_pix_format){.width = info->width_px,
                                         .height = info->height_px,
                                         .pixelformat = info->fourcc,
                                         .field = V4L2_FIELD_NONE,
                                         .bytesperline = info->planes[0].stride_bytes,
                                         .sizeimage = info->size_bytes};
    if (sl_v4l2_ioctl(fd, VIDIOC_S_FMT, &f) == 0 && f.fmt.pix.sizeimage == info->size_bytes)
        return fd;
    close(fd);
    return sl_error_set(err, -EINVAL, "%s takes no such frames", path);
}

int v4l2_output_show(int fd, const void *pixels, size_t bytes, struct sl_error *err)
{
    return write(fd, pixels, bytes) == (ssize_t)bytes
               ? 0
               : sl_error_set(err, -EIO, "the V4L2 output does not take a frame: %s",
                              strerror(errno));
}
