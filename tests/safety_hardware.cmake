# Watchdogs, the emergency stop, the status light, the power supply, systemd.
sl_test(safety_hardware_test integration/safety_hardware_test.c skylane_drive skylane_test_programs
        skylane_test_devices skylane_hal_camera skylane_hal_gpio skylane_hal_watchdog)
add_dependencies(safety_hardware_test skylane-actuator)
# It keeps a core busy for a while, and looks at the clock.
set_tests_properties(safety_hardware_test PROPERTIES RUN_SERIAL ON LABELS timing)
sl_test(supply_test unit/supply_test.c skylane_drive skylane_control skylane_hal_power)
sl_test(notify_test unit/notify_test.c skylane_rt)
set_tests_properties(supply_test notify_test PROPERTIES LABELS one_thread)
add_test(NAME service_test
         COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/integration/service_test.sh
                 ${CMAKE_SOURCE_DIR}/board/systemd/skylane.service ${CMAKE_BINARY_DIR}/bin/skylane)
set_tests_properties(service_test PROPERTIES SKIP_RETURN_CODE 77)
# On a machine that has them: tests/target/ boots one.
sl_test(watchdog_target_test hardware/watchdog_target_test.c skylane_hal_watchdog)
sl_test(gpio_target_test hardware/gpio_target_test.c skylane_drive skylane_hal_gpio)
set_tests_properties(watchdog_target_test gpio_target_test PROPERTIES LABELS timing)
sl_test(missing_hardware_test contract/missing_hardware_test.c skylane_hal_watchdog
        skylane_hal_gpio)
