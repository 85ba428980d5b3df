#include "tests/contract/i2c_stub.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/i2c-dev.h>
#include <linux/i2c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define PARAMETERS "/sys/module/i2c_stub/parameters/"

static void must(bool good, const char *doing)
{
    if (good)
        return;
    fprintf(stderr, "i2c-stub: cannot %s: %s\n", doing, strerror(errno));
    abort();
}

bool i2c_stub_find(char *path)
{
    bool found = false;
    DIR *folder = opendir("/sys/class/i2c-dev");
    for (const struct dirent *e; folder != NULL && !found && (e = readdir(folder)) != NULL;) {
        char name[300], text[64] = "";
        snprintf(name, sizeof name, "/sys/class/i2c-dev/%.200s/name", e->d_name);
        FILE *file = fopen(name, "r");
        if (file == NULL)
            continue;
        found = fgets(text, sizeof text, file) != NULL && strstr(text, "stub") != NULL;
        fclose(file);
        snprintf(path, 64, "/dev/%.50s", e->d_name);
    }
    if (folder != NULL)
        closedir(folder);
    return found;
}

static void transfer(const char *path, uint8_t direction, uint8_t reg, uint8_t *value)
{
    union i2c_smbus_data data = {.byte = *value};
    struct i2c_smbus_ioctl_data ask = {
        .read_write = direction, .command = reg, .size = I2C_SMBUS_BYTE_DATA, .data = &data};
    const int fd = open(path, O_RDWR | O_CLOEXEC);
    must(fd >= 0 && ioctl(fd, I2C_SLAVE_FORCE, 0x40) == 0, "open its bus");
    must(ioctl(fd, I2C_SMBUS, &ask) == 0, "reach a register");
    close(fd);
    *value = data.byte;
}

uint8_t i2c_stub_get(const char *path, uint8_t reg)
{
    uint8_t value = 0;
    transfer(path, I2C_SMBUS_READ, reg, &value);
    return value;
}

void i2c_stub_set(const char *path, uint8_t reg, uint8_t value)
{
    transfer(path, I2C_SMBUS_WRITE, reg, &value);
}

/* 25 MHz oscillator, a prescaler, 4 registers a channel from 6 on: on, off. */
double i2c_stub_pulse_us(const char *path, int channel)
{
    const uint8_t reg = (uint8_t)(6 + 4 * channel);
    uint8_t bytes[4];
    for (uint8_t i = 0; i < 4; i++)
        bytes[i] = i2c_stub_get(path, (uint8_t)(reg + i));
    const int on = bytes[0] | bytes[1] << 8, off = bytes[2] | bytes[3] << 8;
    return (off - on) * (i2c_stub_get(path, 0xfe) + 1) / 25.0;
}

void i2c_stub_set_fault(const char *parameter, int value)
{
    char path[96];
    snprintf(path, sizeof path, PARAMETERS "%.40s", parameter);
    FILE *file = fopen(path, "w");
    must(file != NULL && fprintf(file, "%d", value) > 0 && fclose(file) == 0, "set a fault");
}

int i2c_stub_get_fault(const char *parameter)
{
    char path[96], text[32];
    snprintf(path, sizeof path, PARAMETERS "%.40s", parameter);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return -1;
    must(fgets(text, sizeof text, file) != NULL, "read a fault");
    fclose(file);
    return (int)strtol(text, NULL, 10);
}
