# What the emulated machine is asked, in this order; tests/target/suite reads it.
#
#   on virt NAME [option ...]     a program of build-aarch64/tests
#
#     --module "NAME ARGS"        load a module before; removed again afterwards
#     --setup COMMAND             a line of bash before
#     --cleanup COMMAND           and one after
#     --seconds S                 how long it may take (120)
#     --command COMMAND           another command than the program; NAME is then a name
#     --expect N                  the command must end with this status
#
# A program that skips itself (status 77) has failed: the devices are here.
# shellcheck shell=bash

on virt runtime_test
on virt bus_test
on virt bus_life_test
on virt ring_threads_test
on virt child_test
on virt camera_contract_test --module 'vivid n_devs=1' --module vimc --seconds 300
on virt camera_fault_test
on virt actuator_contract_test --module i2c-dev --module 'i2c-stub chip_addr=0x40' --seconds 200
on virt actuator_fault_test

# The devices of the machine themselves, so that a test of ours that fails there
# is not looked for in the wrong place.
on virt kernel_is_real_time --command 'uname -v | grep -q PREEMPT_RT'
on virt vivid_loops_pictures --seconds 200 --command tests/target/guest/vivid_loop
on virt i2c_stub_keeps_registers --module 'i2c-dev' --module 'i2c-stub chip_addr=0x40' \
    --command tests/target/guest/i2c_stub
on virt pwm_on_i2c --module 'i2c-dev' --module 'i2c-stub chip_addr=0x40' --module pwm-pca9685 \
    --command tests/target/guest/pwm_on_i2c
on virt gpio_sim_has_edges --module gpio-sim --command tests/target/guest/gpio_edge

# Our drivers on them.
on virt v4l2_test --module 'vivid n_devs=2 multiplanar=1,2' --seconds 300
on virt libcamera_target_test --module vimc --seconds 300
on virt actuator_outputs_test --module i2c-dev --module 'i2c-stub chip_addr=0x40' --module pwm-pca9685 \
    --seconds 300
on virt gpio_target_test --module gpio-sim
on virt watchdog_target_test --module softdog
on virt vehicle_target_test --module i2c-dev --module 'i2c-stub chip_addr=0x40' \
    --module 'v4l2loopback video_nr=7 exclusive_caps=0' --seconds 600
on virt lap_through_v4l2 --seconds 900 --command 'tests/target/lap oval'

on raspi3b bus_test
on raspi3b gpio_target_test
on raspi3b i2c_of_the_pi --module i2c-dev --command 'i2cdetect -l | grep -q bcm2835'
on raspi3b watchdog_of_the_pi --command 'grep -q bcm2835 /sys/class/watchdog/watchdog0/identity || grep -qi broadcom /sys/class/watchdog/watchdog0/identity'
