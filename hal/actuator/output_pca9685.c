/* PCA9685: 16 PWM outputs on I2C, the chip on most servo boards. Register numbers
 * and sequences: NXP, PCA9685 data sheet rev. 4 (2015), chapter 7.
 *
 * Both pulses change together: a PWM register takes effect at the STOP of its
 * transfer (MODE2.OCH = 0, table 6), and both are written in one.
 *
 * Neutral means neutral pulses, not none: an ESC without pulses waits to be armed
 * anew, and a servo without lets the wheels go. The chip goes on by itself when
 * nobody talks to it; so who holds it must end leases (helper.h). */
#include <errno.h>
#include <fcntl.h>
#include <linux/i2c-dev.h>
#include <linux/i2c.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "hal/actuator/output.h"
#include "rt/clock.h"

#define MODE1         0x00 /* table 5 */
#define MODE1_RESTART 0x80
#define MODE1_AI      0x20 /* registers count up by themselves */
#define MODE1_SLEEP   0x10
#define MODE2         0x01 /* table 6 */
#define MODE2_OUTDRV  0x04 /* totem pole; outputs change on STOP */
#define LED0_ON_L     0x06 /* table 7: 4 registers a channel: on, off, 12 bits each */
#define PRE_SCALE     0xfe /* table 8 */
#define CHANNEL_BYTES 4
#define STEPS         4096
#define OSCILLATOR_HZ 25e6                 /* 7.3.5 */
#define START_NS      (500 * SL_NS_PER_US) /* of the oscillator after sleep, 7.3.1.1 */

#define TIMEOUT_10_MS 2 /* I2C_TIMEOUT counts tens of milliseconds */
#define RETRIES       0 /* the helper retries, and counts */

struct pca9685 {
    int fd;
    bool plain; /* the adapter does I2C_RDWR; else SMBus transfers */
    bool block; /* SMBus: blocks, too */
    uint16_t address;
    uint8_t prescale;
    uint8_t first[2]; /* register of each channel: steering, throttle */
    uint8_t written[2][CHANNEL_BYTES];
};

/* ---- transfers ---- */

static int smbus(const struct pca9685 *p, uint8_t direction, uint8_t reg, uint32_t size,
                 union i2c_smbus_data *data)
{
    struct i2c_smbus_ioctl_data transfer = {
        .read_write = direction, .command = reg, .size = size, .data = data};
    return ioctl(p->fd, I2C_SMBUS, &transfer) < 0 ? -errno : 0;
}

static int write_smbus(const struct pca9685 *p, uint8_t reg, const uint8_t *bytes, uint8_t count)
{
    union i2c_smbus_data data = {0};
    if (p->block && count > 1) {
        data.block[0] = count;
        memcpy(data.block + 1, bytes, count);
        return smbus(p, I2C_SMBUS_WRITE, reg, I2C_SMBUS_I2C_BLOCK_DATA, &data);
    }
    int rc = 0;
    for (uint8_t i = 0; i < count && rc == 0; i++) {
        data.byte = bytes[i];
        rc = smbus(p, I2C_SMBUS_WRITE, (uint8_t)(reg + i), I2C_SMBUS_BYTE_DATA, &data);
    }
    return rc;
}

static int read_smbus(const struct pca9685 *p, uint8_t reg, uint8_t *bytes, uint8_t count)
{
    int rc = 0;
    for (uint8_t i = 0; i < count && rc == 0; i++) {
        union i2c_smbus_data data = {0};
        rc = smbus(p, I2C_SMBUS_READ, (uint8_t)(reg + i), I2C_SMBUS_BYTE_DATA, &data);
        bytes[i] = data.byte;
    }
    return rc;
}

static int transfer(const struct pca9685 *p, struct i2c_msg *messages, uint32_t count)
{
    struct i2c_rdwr_ioctl_data all = {.msgs = messages, .nmsgs = count};
    const int done = ioctl(p->fd, I2C_RDWR, &all);
    return done < 0 ? -errno : done == (int)count ? 0 : -EIO;
}

static int write_registers(const struct pca9685 *p, uint8_t reg, const uint8_t *bytes,
                           uint8_t count)
{
    if (!p->plain)
        return write_smbus(p, reg, bytes, count);
    uint8_t buffer[1 + 2 * CHANNEL_BYTES] = {reg};
    memcpy(buffer + 1, bytes, count);
    struct i2c_msg message = {.addr = p->address, .len = (uint16_t)(1 + count), .buf = buffer};
    return transfer(p, &message, 1);
}

static int read_registers(const struct pca9685 *p, uint8_t reg, uint8_t *bytes, uint8_t count)
{
    if (!p->plain)
        return read_smbus(p, reg, bytes, count);
    struct i2c_msg messages[] = {
        {.addr = p->address, .len = 1, .buf = &reg},
        {.addr = p->address, .flags = I2C_M_RD, .len = count, .buf = bytes}};
    return transfer(p, messages, 2);
}

static int write_register(const struct pca9685 *p, uint8_t reg, uint8_t value)
{
    return write_registers(p, reg, &value, 1);
}

/* Both channels with one STOP at the end, wherever they are. */
static int write_channels(struct pca9685 *p, const uint8_t bytes[2][CHANNEL_BYTES])
{
    const int lower = p->first[0] < p->first[1] ? 0 : 1;
    uint8_t buffers[2][1 + 2 * CHANNEL_BYTES];
    for (int i = 0; i < 2; i++) {
        const int channel = i == 0 ? lower : 1 - lower;
        buffers[i][0] = p->first[channel];
        memcpy(buffers[i] + 1, bytes[channel], CHANNEL_BYTES);
    }
    if (p->first[1 - lower] == p->first[lower] + CHANNEL_BYTES) {
        memcpy(buffers[0] + 1 + CHANNEL_BYTES, buffers[1] + 1, CHANNEL_BYTES);
        return write_registers(p, buffers[0][0], buffers[0] + 1, 2 * CHANNEL_BYTES);
    }
    if (p->plain) {
        struct i2c_msg messages[2];
        for (int i = 0; i < 2; i++)
            messages[i] =
                (struct i2c_msg){.addr = p->address, .len = 1 + CHANNEL_BYTES, .buf = buffers[i]};
        return transfer(p, messages, 2);
    }
    const int rc = write_smbus(p, buffers[0][0], buffers[0] + 1, CHANNEL_BYTES);
    return rc != 0 ? rc : write_smbus(p, buffers[1][0], buffers[1] + 1, CHANNEL_BYTES);
}

static int say(const struct pca9685 *p, int code, const char *doing, struct sl_error *err)
{
    if (code == -ENXIO || code == -EREMOTEIO)
        return sl_error_set(err, code,
                            "no chip answers at I2C address 0x%02x while %s; check power, wires "
                            "and actuator.i2c_address",
                            p->address, doing);
    return sl_error_set(err, code,
                        "the PCA9685 at I2C address 0x%02x failed while %s: %s; check "
                        "wires and the bus's speed",
                        p->address, doing, strerror(-code));
}

/* ---- pulses ---- */

/* A step lasts (prescale + 1) periods of the oscillator (7.3.5). */
static void to_steps(const struct pca9685 *p, double us, uint8_t bytes[CHANNEL_BYTES])
{
    const double steps = us * OSCILLATOR_HZ / 1e6 / (p->prescale + 1);
    const long off = lround(fmin(fmax(steps, 0), STEPS - 1));
    bytes[0] = bytes[1] = 0; /* on at step 0 */
    bytes[2] = (uint8_t)(off & 0xff);
    bytes[3] = (uint8_t)(off >> 8);
}

static int pca9685_write(void *state, const struct sl_output *output, struct sl_error *err)
{
    struct pca9685 *p = state;
    to_steps(p, output->pulses.steering_us, p->written[0]);
    to_steps(p, output->pulses.throttle_us, p->written[1]);
    const int rc = write_channels(p, (const uint8_t(*)[CHANNEL_BYTES])p->written);
    return rc == 0 ? 0 : say(p, rc, "setting pulses", err);
}

static int pca9685_check(void *state, struct sl_output_report *report, struct sl_error *err)
{
    const struct pca9685 *p = state;
    (void)report;
    uint8_t mode, prescale, bytes[2][CHANNEL_BYTES];
    int rc = read_registers(p, MODE1, &mode, 1);
    if (rc == 0)
        rc = read_registers(p, PRE_SCALE, &prescale, 1);
    for (int i = 0; i < 2 && rc == 0; i++)
        rc = read_registers(p, p->first[i], bytes[i], CHANNEL_BYTES);
    if (rc != 0)
        return say(p, rc, "reading back", err);
    if ((mode & MODE1_SLEEP) != 0 || (mode & MODE1_AI) == 0 || prescale != p->prescale)
        return sl_error_set(err, -ENODATA,
                            "the PCA9685 at I2C address 0x%02x lost its settings: its power failed "
                            "for a moment; check the supply, which servos load most",
                            p->address);
    if (memcmp(bytes, p->written, sizeof bytes) != 0)
        return sl_error_set(err, -EILSEQ,
                            "the PCA9685 at I2C address 0x%02x holds other pulses than were "
                            "written; check wires, and that no other program uses it",
                            p->address);
    return 0;
}

/* ---- opening ---- */

static int set_up(struct pca9685 *p, const struct sl_output *neutral, struct sl_error *err)
{
    uint8_t mode;
    int rc = read_registers(p, MODE1, &mode, 1);
    if (rc == 0) /* the prescaler can be set only in sleep (7.3.5) */
        rc = write_register(p, MODE1, MODE1_SLEEP | MODE1_AI);
    if (rc == 0)
        rc = write_register(p, PRE_SCALE, p->prescale);
    if (rc == 0)
        rc = write_register(p, MODE2, MODE2_OUTDRV);
    if (rc != 0)
        return say(p, rc, "setting it up", err);
    rc = pca9685_write(p, neutral, err);
    if (rc != 0)
        return rc;
    rc = write_register(p, MODE1, MODE1_AI);
    sl_clock_sleep_until_ns(sl_clock_now_ns() + START_NS);
    if (rc == 0)
        rc = read_registers(p, MODE1, &mode, 1);
    if (rc == 0 && (mode & MODE1_RESTART) != 0) /* it slept while it ran: 7.3.1.1 */
        rc = write_register(p, MODE1, MODE1_RESTART | MODE1_AI);
    return rc == 0 ? 0 : say(p, rc, "waking it", err);
}

static int ask_adapter(struct pca9685 *p, const char *path, struct sl_error *err)
{
    unsigned long functions = 0;
    if (ioctl(p->fd, I2C_FUNCS, &functions) != 0)
        return sl_error_set(err, -ENOTTY,
                            "%s is no I2C bus: actuator.device must name one, such "
                            "as /dev/i2c-1",
                            path);
    p->plain = (functions & I2C_FUNC_I2C) != 0;
    p->block = (functions & I2C_FUNC_SMBUS_WRITE_I2C_BLOCK) != 0;
    if (!p->plain && (functions & I2C_FUNC_SMBUS_BYTE_DATA) != I2C_FUNC_SMBUS_BYTE_DATA)
        return sl_error_set(err, -ENOTSUP, "the I2C bus %s can transfer neither blocks nor bytes",
                            path);
    if (ioctl(p->fd, I2C_SLAVE, (unsigned long)p->address) != 0)
        return sl_error_set(err, -errno,
                            errno == EBUSY
                                ? "a kernel driver holds the chip at I2C address 0x%02x of %s; "
                                  "unload it (pwm-pca9685?), or use actuator.driver = pwm"
                                : "I2C address 0x%02x of %s cannot be used",
                            p->address, path);
    ioctl(p->fd, I2C_TIMEOUT, (unsigned long)TIMEOUT_10_MS);
    ioctl(p->fd, I2C_RETRIES, (unsigned long)RETRIES);
    return 0;
}

static int pca9685_open(void *state, const struct sl_output_config *config,
                        const struct sl_output *neutral, struct sl_error *err)
{
    struct pca9685 *p = state;
    const char *path = sl_output_path(&sl_output_pca9685, config);
    p->fd = open(path, O_RDWR | O_CLOEXEC);
    if (p->fd < 0)
        return sl_error_set(
            err, -errno,
            errno == EACCES ? "%s: no permission; add the user to the group i2c"
            : errno == ENOENT
                ? "there is no I2C bus %s: name another with actuator.device, or load i2c-dev "
                  "(on a Raspberry Pi: dtparam=i2c_arm=on in config.txt)"
                : "the I2C bus %s cannot be opened",
            path);
    p->address = (uint16_t)config->i2c_address;
    p->first[0] = (uint8_t)(LED0_ON_L + CHANNEL_BYTES * config->steering_channel);
    p->first[1] = (uint8_t)(LED0_ON_L + CHANNEL_BYTES * config->throttle_channel);
    p->prescale = (uint8_t)(lround(OSCILLATOR_HZ / (STEPS * config->frequency_hz)) - 1);
    const int rc = ask_adapter(p, path, err);
    return rc != 0 ? rc : set_up(p, neutral, err);
}

static void pca9685_close(void *state)
{
    struct pca9685 *p = state;
    if (p->fd >= 0)
        close(p->fd);
    p->fd = -1;
}

const struct sl_output_device sl_output_pca9685 = {
    .name = "pca9685",
    .usual = "/dev/i2c-1",
    .state_bytes = sizeof(struct pca9685),
    .rewrite_ns = SL_NS_PER_S,
    .check_ns = SL_NS_PER_S,
    .open = pca9685_open,
    .write = pca9685_write,
    .check = pca9685_check,
    .close = pca9685_close,
};
