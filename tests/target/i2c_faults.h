/* A wire that fails when it is told to, for the kernel's i2c-stub: tests/target/machine
 * compiles this into it. Kernel code, so in the kernel's words. While the machine runs:
 *
 *   /sys/module/i2c_stub/parameters/fail        so many transfers fail next; -1: all
 *   /sys/module/i2c_stub/parameters/fail_with   as what: 6 nobody answers (ENXIO), 5 EIO,
 *                                               11 arbitration lost, 110 time out
 *   /sys/module/i2c_stub/parameters/hang_ms     how long each takes meanwhile
 *   /sys/module/i2c_stub/parameters/failed      how many have failed
 */
#include <linux/delay.h>

static int fail;
module_param(fail, int, 0644);
MODULE_PARM_DESC(fail, "Transfers that fail next (-1: all)");

static int fail_with = ENXIO;
module_param(fail_with, int, 0644);
MODULE_PARM_DESC(fail_with, "Error number of transfers that fail");

static int hang_ms;
module_param(hang_ms, int, 0644);
MODULE_PARM_DESC(hang_ms, "Duration of transfers that fail");

static int failed;
module_param(failed, int, 0644);
MODULE_PARM_DESC(failed, "Transfers that failed");

/* The core holds the bus's lock: one at a time. */
static s32 faulty_xfer(struct i2c_adapter *adap, u16 addr, unsigned short flags, char read_write,
                       u8 command, int size, union i2c_smbus_data *data)
{
    const int left = READ_ONCE(fail);

    if (left == 0)
        return stub_xfer(adap, addr, flags, read_write, command, size, data);
    if (left > 0)
        WRITE_ONCE(fail, left - 1);
    failed++;
    if (hang_ms > 0)
        msleep(hang_ms);
    return -fail_with;
}
