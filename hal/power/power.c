#include "hal/power/power.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TEXT_MAX 64

/* The file's first line, without white space around it. */
static int read_line(const char *setting, const char *path, char text[TEXT_MAX],
                     struct sl_error *err)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    const ssize_t got = fd >= 0 ? read(fd, text, TEXT_MAX - 1) : -1;
    const int error = errno;
    if (fd >= 0)
        close(fd);
    if (got < 0)
        return sl_error_set(err, -error,
                            "%s: cannot read %s: %s; look for it below /sys/class, load the "
                            "sensor's module, or leave the setting empty",
                            setting, path, strerror(error));
    text[got] = '\0';
    text[strcspn(text, "\n")] = '\0';
    size_t length = strlen(text);
    while (length > 0 && isspace((unsigned char)text[length - 1]))
        text[--length] = '\0';
    return 0;
}

int sl_power_read_voltage(const char *path, double scale_v, double *voltage_v, struct sl_error *err)
{
    char text[TEXT_MAX], *end = text;
    const int rc = read_line("power.voltage_path", path, text, err);
    if (rc != 0)
        return rc;
    const double value = strtod(text, &end) * scale_v;
    if (end == text || *end != '\0' || !isfinite(value) || value < 0)
        return sl_error_set(err, -EINVAL,
                            "power.voltage_path: %s holds \"%.40s\", which is no voltage; give a "
                            "file such as /sys/class/power_supply/NAME/voltage_now",
                            path, text);
    *voltage_v = value;
    return 0;
}

int sl_power_read_throttled(const char *path, uint32_t *flags, struct sl_error *err)
{
    char text[TEXT_MAX], *end = text;
    const int rc = read_line("power.throttled_path", path, text, err);
    if (rc != 0)
        return rc;
    errno = 0;
    const unsigned long long value = strtoull(text, &end, 16);
    if (!isxdigit((unsigned char)text[0]) || *end != '\0' || errno != 0 || value > UINT32_MAX)
        return sl_error_set(err, -EINVAL,
                            "power.throttled_path: %s holds \"%.40s\", which are no flags; on a "
                            "Raspberry Pi it is "
                            "/sys/devices/platform/soc/soc:firmware/get_throttled",
                            path, text);
    *flags = (uint32_t)value;
    return 0;
}
