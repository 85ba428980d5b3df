/* What the kernel knows of the power supply: small files in sysfs. Each call opens,
 * reads and closes one, so that a sensor may come and go. A sensor behind a slow bus
 * may take tens of milliseconds: for a thread of ordinary priority. Any thread. */
#ifndef SL_HAL_POWER_POWER_H
#define SL_HAL_POWER_POWER_H

#include <stdint.h>

#include "rt/error.h"

/* What a Raspberry Pi's firmware tells; the bits from 16 on are the same since the
 * start. raspberrypi.com/documentation/computers/os.html, "get_throttled". */
enum {
    SL_THROTTLED_UNDER_VOLTAGE = 1u << 0, /* below 4.63 V */
    SL_THROTTLED_FREQUENCY = 1u << 1,     /* the processor's clock is capped */
    SL_THROTTLED_NOW = 1u << 2,
    SL_THROTTLED_SOFT_LIMIT = 1u << 3, /* warm: the clock is lower */
};

/* Reads a voltage: the file's number times `scale_v`. power_supply/.../voltage_now
 * counts microvolts, hwmon's inN_input millivolts, iio's in_voltageN_raw the
 * converter's steps. 0; -ENOENT, -EACCES and the like; -EINVAL (not a number, or
 * below 0); each with a sentence that names the setting. */
int sl_power_read_voltage(const char *path, double scale_v, double *voltage_v,
                          struct sl_error *err);

/* Reads flags as a hexadecimal number: SL_THROTTLED_* and others. Raspberry Pi OS has
 * /sys/devices/platform/soc/soc:firmware/get_throttled; a kernel without it may have
 * in0_lcrit_alarm of hwmon "rpi_volt", whose 1 means under-voltage too. Errors as
 * above. */
int sl_power_read_throttled(const char *path, uint32_t *flags, struct sl_error *err);

#endif
