/* The kernel's i2c-stub with a chip at 0x40, for tests: where it is, what is in its
 * registers read as a PCA9685's, and wires that fail (tests/target/i2c_faults.h). Any
 * thread. A call that fails ends the program. */
#ifndef SL_TESTS_CONTRACT_I2C_STUB_H
#define SL_TESTS_CONTRACT_I2C_STUB_H

#include <stdbool.h>
#include <stdint.h>

/* True, and its bus in `path`, which has room for 64 bytes. False where there is none:
 * load i2c-dev, and i2c-stub with chip_addr=0x40. */
bool i2c_stub_find(char *path);

/* One register. */
uint8_t i2c_stub_get(const char *path, uint8_t reg);
void i2c_stub_set(const char *path, uint8_t reg, uint8_t value);

/* The pulse of an output of a PCA9685, 0 to 15, in us: from its registers. */
double i2c_stub_pulse_us(const char *path, int channel);

/* A parameter of the faults: "fail", "fail_with", "hang_ms", "failed". get: -1 if this
 * i2c-stub makes none. */
void i2c_stub_set_fault(const char *parameter, int value);
int i2c_stub_get_fault(const char *parameter);

#endif
