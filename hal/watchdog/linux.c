/* The kernel's watchdogs, /dev/watchdogN: Documentation/watchdog/watchdog-api.rst.
 *
 * Opening starts the timer. It stops at a close that follows the letter V ("magic
 * close"), so that a crash, which closes without it, is not taken for an orderly
 * end; drivers without WDIOF_MAGICCLOSE stop at any close. With the module
 * parameter nowayout, or CONFIG_WATCHDOG_NOWAYOUT, nothing stops it. */
#include <errno.h>
#include <fcntl.h>
#include <linux/watchdog.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "hal/watchdog/drivers.h"

struct linux_state {
    bool opened;
    int fd;
};

static int cannot_open(const char *device, int error, struct sl_error *err)
{
    switch (error) {
    case ENOENT:
    case ENODEV:
    case ENXIO:
        return sl_error_set(err, -ENODEV,
                            "watchdog.device: there is no watchdog %s; load its module (Raspberry "
                            "Pi: bcm2835_wdt, without hardware: softdog) or set watchdog.driver = "
                            "none",
                            device);
    case EACCES:
    case EPERM:
        return sl_error_set(err, -EACCES,
                            "watchdog.device: %s may not be opened by this user; run as root, or "
                            "let a udev rule give it to a group of this user's",
                            device);
    case EBUSY:
        return sl_error_set(err, -EBUSY,
                            "watchdog.device: another program holds %s (systemd's "
                            "RuntimeWatchdogSec=, or a watchdog daemon); end that, or take another "
                            "watchdog",
                            device);
    default:
        return sl_error_set(err, -error, "watchdog.device: %s: %s", device, strerror(error));
    }
}

/* Only sysfs tells, and only where the kernel has it: CONFIG_WATCHDOG_SYSFS. */
static bool is_nowayout(int fd)
{
    struct stat st;
    char path[64];
    if (fstat(fd, &st) != 0)
        return false;
    snprintf(path, sizeof path, "/sys/dev/char/%u:%u/nowayout", major(st.st_rdev),
             minor(st.st_rdev));
    const int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return false;
    char flag = '0';
    const bool known = read(file, &flag, 1) == 1;
    close(file);
    return known && flag == '1';
}

static int linux_open(void *state, const struct sl_watchdog_config *config,
                      struct sl_watchdog_info *info, struct sl_error *err)
{
    struct linux_state *s = state;
    struct watchdog_info device = {0};
    int boot_status = 0;
    s->fd = open(config->device, O_WRONLY | O_CLOEXEC);
    if (s->fd < 0)
        return cannot_open(config->device, errno, err);
    s->opened = true;
    if (ioctl(s->fd, WDIOC_GETSUPPORT, &device) != 0)
        return sl_error_set(err, -ENODEV,
                            "watchdog.device: %s is no watchdog; they are called /dev/watchdog0 "
                            "and on",
                            config->device);
    int timeout_s = (int)config->timeout_s;
    if (ioctl(s->fd, WDIOC_SETTIMEOUT, &timeout_s) != 0)
        return sl_error_set(err, -EINVAL,
                            "watchdog.timeout_s: %s (%.32s) does not take %u s: %s; "
                            "older kernels' for the Raspberry Pi takes 15 s at most",
                            config->device, (const char *)device.identity, config->timeout_s,
                            strerror(errno));
    (void)ioctl(s->fd, WDIOC_GETBOOTSTATUS, &boot_status); /* not every driver knows */
    snprintf(info->identity, sizeof info->identity, "%.32s", (const char *)device.identity);
    info->timeout_s = (uint32_t)timeout_s;
    info->reset_before = (boot_status & WDIOF_CARDRESET) != 0;
    info->nowayout = is_nowayout(s->fd);
    info->crash_stops = (device.options & WDIOF_MAGICCLOSE) == 0 && !info->nowayout;
    return 0;
}

static int linux_feed(void *state)
{
    const struct linux_state *s = state;
    return ioctl(s->fd, WDIOC_KEEPALIVE, 0) == 0 ? 0 : -EIO;
}

static int linux_time_left(void *state, uint32_t *left_s)
{
    const struct linux_state *s = state;
    int left = 0;
    if (ioctl(s->fd, WDIOC_GETTIMELEFT, &left) != 0)
        return errno == EOPNOTSUPP || errno == ENOTTY ? -ENOTSUP : -EIO;
    *left_s = left > 0 ? (uint32_t)left : 0;
    return 0;
}

static void linux_close(void *state, bool disarm)
{
    struct linux_state *s = state;
    if (!s->opened)
        return;
    while (disarm && write(s->fd, "V", 1) < 0 && errno == EINTR) {
    }
    close(s->fd);
    s->opened = false;
}

const struct sl_watchdog_driver sl_watchdog_linux = {
    .name = "linux",
    .help = "a watchdog of the kernel's; device: its path",
    .state_bytes = sizeof(struct linux_state),
    .open = linux_open,
    .feed = linux_feed,
    .time_left = linux_time_left,
    .close = linux_close,
};
